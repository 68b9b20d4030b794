/* micro.h: timing of small functions, paired, for the micro_* programs.
 *
 * The machine is shared and its clock wanders, so one contender is never timed after the other is
 * done: in each round every contender runs one batch, and what is compared is the median over the
 * rounds of each batch's time and of its ratio to the first contender's batch of the same round.
 *
 * Header only: each micro_* program is one file. Thread: the main one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define MICRO_CONTENDERS_MAX 16
#define MICRO_ROUNDS_MAX     101

/* A batch is as many runs as last about this long: far above the clock's grain, far below a time
 * slice. */
#define MICRO_BATCH_NS 50000

/* One function under the clock. */
struct micro_contender {
    const char *name;
    void (*run)(void *context); /* does the work once */
    void *context;
};

struct micro_result {
    double ns; /* one run; median over the rounds */
    double
        ratio; /* time of contender 0 / time of this one, same round; median; above 1 is faster */
};

/* Keeps the compiler from dropping or moving the memory's contents. */
static inline void micro_touch(const void *memory)
{
    __asm__ volatile("" : : "r"(memory) : "memory");
}

static inline uint64_t micro_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline double micro_batch_ns(const struct micro_contender *contender, size_t runs)
{
    uint64_t start = micro_now_ns();
    for (size_t i = 0; i < runs; i++)
        contender->run(contender->context);
    return (double)(micro_now_ns() - start) / (double)runs;
}

/* How many runs last about MICRO_BATCH_NS; warms caches and clock on the way. */
static inline size_t micro_batch_runs(const struct micro_contender *contender)
{
    size_t runs = 1;
    while (micro_batch_ns(contender, runs) * (double)runs < MICRO_BATCH_NS)
        runs *= 2;
    return runs;
}

static inline int micro_by_value(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static inline double micro_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, micro_by_value);
    return values[count / 2];
}

/* Times the contenders against the first of them.
 *
 * contenders   count of them, 1..MICRO_CONTENDERS_MAX
 * rounds       1..MICRO_ROUNDS_MAX; odd, so that the median is one of the measured values
 * results_out  one for each contender
 */
static inline void micro_compare(const struct micro_contender *contenders, size_t count,
                                 size_t rounds, struct micro_result *results_out)
{
    static double ns[MICRO_CONTENDERS_MAX][MICRO_ROUNDS_MAX];
    static double ratios[MICRO_CONTENDERS_MAX][MICRO_ROUNDS_MAX];
    size_t runs[MICRO_CONTENDERS_MAX];
    for (size_t c = 0; c < count; c++)
        runs[c] = micro_batch_runs(&contenders[c]);
    for (size_t round = 0; round < rounds; round++) {
        for (size_t c = 0; c < count; c++) {
            ns[c][round] = micro_batch_ns(&contenders[c], runs[c]);
            ratios[c][round] = ns[0][round] / ns[c][round];
        }
    }
    for (size_t c = 0; c < count; c++) {
        results_out[c].ns = micro_median(ns[c], rounds);
        results_out[c].ratio = micro_median(ratios[c], rounds);
    }
}

#endif
