/* test_stock.c: memory that is touched, and given back piece by piece.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/process.h"
#include "bench/stock.h"

#include <criterion/criterion.h>
#include <unistd.h>

#define MEGABYTE ((size_t)1 << 20)

static size_t resident(void)
{
    return bench_memory_of(getpid()).rss_bytes;
}

Test(bench_stock, is_resident_until_it_is_given_back)
{
    struct bench_stock stock;
    size_t before = resident();
    bench_stock_take(&stock, 128 * MEGABYTE);
    cr_assert_eq(bench_stock_left(&stock), 128 * MEGABYTE);
    size_t taken = resident();
    cr_assert_gt(taken, before + 120 * MEGABYTE);
    bench_stock_give(&stock, 70 * MEGABYTE);
    cr_assert_eq(bench_stock_left(&stock), 64 * MEGABYTE, "in pieces of 32 MiB");
    cr_assert_lt(resident(), taken - 56 * MEGABYTE);
    bench_stock_give(&stock, 100 * MEGABYTE);
    cr_assert_eq(bench_stock_left(&stock), 64 * MEGABYTE, "it does not grow again");
    bench_stock_clear(&stock);
    cr_assert_eq(bench_stock_left(&stock), 0u);
    cr_assert_lt(resident(), before + 8 * MEGABYTE);
}

Test(bench_stock, of_less_than_a_piece_is_nothing)
{
    struct bench_stock stock;
    bench_stock_take(&stock, MEGABYTE);
    cr_assert_null(stock.memory);
    cr_assert_eq(bench_stock_left(&stock), 0u);
    bench_stock_give(&stock, 0);
    bench_stock_clear(&stock);
}
