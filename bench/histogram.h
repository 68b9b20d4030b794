/* histogram.h: counts of times, exact in number and within 0.8 % in value.
 *
 * Log-linear, as HdrHistogram has it: every power of two is cut into 128 equal buckets, so that a
 * nanosecond and an hour have the same relative error and nothing is ever out of range. Fixed in
 * size, mergeable, no allocation. Thread: one a histogram; merge when the threads are done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_HISTOGRAM_H
#define FW_BENCH_HISTOGRAM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* 2^7 buckets a power of two: an error of at most 1/128. */
#define BENCH_HISTOGRAM_BITS    7
#define BENCH_HISTOGRAM_BUCKETS ((size_t)(64 - BENCH_HISTOGRAM_BITS + 1) << BENCH_HISTOGRAM_BITS)
static_assert(BENCH_HISTOGRAM_BUCKETS == 58 * 128, "values under 256 exactly, then 57 more powers");

/* All zero is an empty one. */
struct bench_histogram {
    uint64_t count;
    uint64_t min; /* exact; 0 when empty */
    uint64_t max; /* exact */
    double sum;
    uint64_t buckets[BENCH_HISTOGRAM_BUCKETS];
};

/* Counts one value. */
void bench_histogram_record(struct bench_histogram *histogram, uint64_t value);

/* Adds another's counts. */
void bench_histogram_merge(struct bench_histogram *histogram, const struct bench_histogram *other);

/* The value that a share of all counted ones does not exceed.
 *
 * share        0 to 1: 0.5 is the median, 1 the maximum
 * returns      the highest value of its bucket, at most the exact maximum; 0 when empty
 */
uint64_t bench_histogram_at(const struct bench_histogram *histogram, double share);

/* The mean; 0 when empty. */
double bench_histogram_mean(const struct bench_histogram *histogram);

#endif
