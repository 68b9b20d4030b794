/* stock.c: see stock.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "stock.h"

#include <sys/mman.h>
#include <unistd.h>

/* Given back at once, and the least that is taken: 16 large pages. */
#define PIECE_BYTES ((size_t)32 << 20)

void bench_stock_take(struct bench_stock *stock, size_t bytes)
{
    *stock = (struct bench_stock){0};
    bytes -= bytes % PIECE_BYTES;
    if (bytes == 0)
        return;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return;
    madvise(memory, bytes, MADV_HUGEPAGE); /* fewer faults, where there are large pages */
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; at < bytes; at += page)
        ((volatile char *)memory)[at] = 1;
    *stock = (struct bench_stock){.memory = memory, .bytes = bytes};
}

void bench_stock_give(struct bench_stock *stock, size_t left_bytes_max)
{
    while (bench_stock_left(stock) > left_bytes_max) {
        munmap(stock->memory + stock->given, PIECE_BYTES);
        stock->given += PIECE_BYTES;
    }
}

size_t bench_stock_left(const struct bench_stock *stock)
{
    return stock->bytes - stock->given;
}

void bench_stock_clear(struct bench_stock *stock)
{
    bench_stock_give(stock, 0);
    *stock = (struct bench_stock){0};
}
