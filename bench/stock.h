/* stock.h: memory that the kernel is going to need, touched before it is measured.
 *
 * In a virtual machine free memory is the host's: a page that nobody has used for some seconds
 * comes from there when it is touched, and while a million connections are opened that is a third
 * of all processor time (perf: allocate_slab, the first store into a new page). So what they will
 * need is taken and touched first, and given back piece by piece, a little ahead of them.
 *
 * thread: main
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_STOCK_H
#define FW_BENCH_STOCK_H

#include <stddef.h>

struct bench_stock {
    char *memory; /* NULL: none */
    size_t bytes;
    size_t given; /* of them, from the beginning */
};

/* Takes and touches so much; less, or nothing, when the kernel does not give it. */
void bench_stock_take(struct bench_stock *stock, size_t bytes);

/* Gives back until at most so much is left. */
void bench_stock_give(struct bench_stock *stock, size_t left_bytes_max);

/* What is left. */
size_t bench_stock_left(const struct bench_stock *stock);

/* Gives back all. */
void bench_stock_clear(struct bench_stock *stock);

#endif
