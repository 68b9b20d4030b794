/* machine.h: on what a figure was measured, for every record.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_MACHINE_H
#define FW_BENCH_MACHINE_H

#include <jansson.h>

/* The processor, the CPUs, memory and kernel; the commit of the tree that this program stands in,
 * with a + when files differ from it; congestion control, SIMD kernels, wolfSSL, the C compiler. */
json_t *bench_machine(void);

#endif
