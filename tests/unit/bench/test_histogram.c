/* test_histogram.c: exact counts, values within 1/128.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/histogram.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct bench_histogram one;
static struct bench_histogram two;

static void empty(void)
{
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
}

Test(bench_histogram, is_empty_when_zero, .init = empty)
{
    cr_assert_eq(bench_histogram_at(&one, 0.5), 0);
    cr_assert_eq(bench_histogram_at(&one, 1), 0);
    cr_assert_float_eq(bench_histogram_mean(&one), 0, 1e-9);
}

Test(bench_histogram, is_exact_under_256, .init = empty)
{
    for (uint64_t value = 0; value < 256; value++)
        bench_histogram_record(&one, value);
    for (uint64_t value = 0; value < 256; value++)
        cr_assert_eq(bench_histogram_at(&one, (double)(value + 1) / 256), value, "%lu",
                     (unsigned long)value);
    cr_assert_eq(one.min, 0);
    cr_assert_eq(one.max, 255);
    cr_assert_float_eq(bench_histogram_mean(&one), 127.5, 1e-9);
}

Test(bench_histogram, is_within_a_128th_everywhere, .init = empty)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int64_t near = -2; near <= 2; near++) {
            uint64_t value = ((uint64_t)1 << bit) + (uint64_t)near;
            empty();
            bench_histogram_record(&one, value);
            bench_histogram_record(&one, UINT64_MAX);
            uint64_t told = bench_histogram_at(&one, 0.5);
            cr_assert_geq(told, value);
            cr_assert_leq(told - value, value / 128, "%lu told as %lu", (unsigned long)value,
                          (unsigned long)told);
        }
    }
}

Test(bench_histogram, never_tells_more_than_the_maximum, .init = empty)
{
    bench_histogram_record(&one, 1000003);
    cr_assert_eq(bench_histogram_at(&one, 0.5), 1000003);
    cr_assert_eq(bench_histogram_at(&one, 1), 1000003);
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

Test(bench_histogram, agrees_with_sorting, .init = empty)
{
    static const double shares[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    enum { COUNT = 10000 };
    static uint64_t values[COUNT];
    srandom(7);
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = (uint64_t)random() >> (random() % 31);
        bench_histogram_record(i % 3 == 0 ? &two : &one, values[i]);
    }
    bench_histogram_merge(&one, &two);
    qsort(values, COUNT, sizeof *values, by_value);
    cr_assert_eq(one.count, COUNT);
    cr_assert_eq(one.min, values[0]);
    cr_assert_eq(one.max, values[COUNT - 1]);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        uint64_t exact = values[(size_t)(shares[i] * COUNT + 0.5) - 1];
        uint64_t told = bench_histogram_at(&one, shares[i]);
        cr_assert_geq(told, exact);
        cr_assert_leq(told - exact, exact / 128 + 1);
    }
}

Test(bench_histogram, merging_an_empty_one_changes_nothing, .init = empty)
{
    bench_histogram_record(&one, 5);
    bench_histogram_merge(&one, &two);
    cr_assert_eq(one.min, 5);
    cr_assert_eq(one.count, 1);
    bench_histogram_merge(&two, &one);
    cr_assert_eq(two.min, 5);
}
