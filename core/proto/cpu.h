/* cpu.h: which SIMD kernels this processor can run, and which one runs.
 *
 * The choice is made once, at the first use, and can be overridden by the environment variable
 * FANWIRE_SIMD=scalar|sse|avx2|avx512|neon (an unknown or unsupported name is passed over). Tests
 * and benchmarks walk fw_simd_variants() and call each supported kernel directly.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_CPU_H
#define FW_PROTO_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One set of kernels. */
struct fw_simd_variant {
    const char *name;                                                              /* "avx2" */
    bool (*supported)(void);                                                       /* by this CPU */
    uint32_t (*mask)(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key); /* mask.h */
    bool (*utf8_check)(uint32_t *state, const uint8_t *in, size_t bytes);          /* utf8.h */
};

/* Every variant compiled in, slowest (scalar, always supported) first.
 *
 * thread       any
 */
const struct fw_simd_variant *fw_simd_variants(size_t *count_out);

/* The variant that fw_mask and fw_utf8_check use.
 *
 * thread       any
 */
const struct fw_simd_variant *fw_simd_chosen(void);

#endif
