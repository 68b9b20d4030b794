/* random.h: repeatable random numbers for tests: the failing seed is all that a report needs.
 *
 * Free of any test framework, so that fuzz targets and tests/cross can use it too.
 *
 * source       Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled",
 *              2016: xorshift64*
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_RANDOM_H
#define TESTS_SUPPORT_RANDOM_H

#include <stdint.h>

/* The next number of the sequence; *state, the seed at first, is never 0. */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

/* One of 0 to `count` - 1, of the upper bits, which are the better ones. */
static inline uint64_t random_below(uint64_t *state, uint64_t count)
{
    return (random_next(state) >> 11) % count;
}

#endif
