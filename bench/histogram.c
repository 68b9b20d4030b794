/* histogram.c: log-linear counting.
 *
 * Index of a value: those under 2^7 stand for themselves; any other is its top 8 bits, of which the
 * highest is always 1, and how far they were shifted:
 *
 *     value 1 b b b b b b b x x x x      shift 4: index = (4 + 1) * 128 + bbbbbbb
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "histogram.h"

#define SUB_BUCKETS ((uint64_t)1 << BENCH_HISTOGRAM_BITS)

static size_t index_of(uint64_t value)
{
    if (value < SUB_BUCKETS)
        return (size_t)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - BENCH_HISTOGRAM_BITS;
    return (size_t)((shift + 1) * SUB_BUCKETS + ((value >> shift) - SUB_BUCKETS));
}

/* The highest value that falls into a bucket. */
static uint64_t highest_of(size_t index)
{
    if (index < SUB_BUCKETS)
        return index;
    unsigned shift = (unsigned)(index / SUB_BUCKETS) - 1;
    uint64_t lowest = (SUB_BUCKETS + index % SUB_BUCKETS) << shift;
    return lowest + (((uint64_t)1 << shift) - 1);
}

void bench_histogram_record(struct bench_histogram *histogram, uint64_t value)
{
    if (histogram->count == 0 || value < histogram->min)
        histogram->min = value;
    if (value > histogram->max)
        histogram->max = value;
    histogram->count++;
    histogram->sum += (double)value;
    histogram->buckets[index_of(value)]++;
}

void bench_histogram_merge(struct bench_histogram *histogram, const struct bench_histogram *other)
{
    if (other->count == 0)
        return;
    if (histogram->count == 0 || other->min < histogram->min)
        histogram->min = other->min;
    if (other->max > histogram->max)
        histogram->max = other->max;
    histogram->count += other->count;
    histogram->sum += other->sum;
    for (size_t i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++)
        histogram->buckets[i] += other->buckets[i];
}

uint64_t bench_histogram_at(const struct bench_histogram *histogram, double share)
{
    /* How many values the answer must not be below: at least one, and never more than there are. */
    double wanted = share * (double)histogram->count;
    uint64_t rank = (uint64_t)wanted;
    if ((double)rank < wanted || rank == 0)
        rank++;
    uint64_t seen = 0;
    for (size_t i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank)
            return highest_of(i) < histogram->max ? highest_of(i) : histogram->max;
    }
    return histogram->max;
}

double bench_histogram_mean(const struct bench_histogram *histogram)
{
    return histogram->count == 0 ? 0 : histogram->sum / (double)histogram->count;
}
