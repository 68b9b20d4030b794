/* fail_mem.h: allocation k fails, for every k, until the thing under test gets through.
 *
 *     bool failed = true;
 *     for (unsigned k = 1; failed; k++) {
 *         fail_mem_at(k, FAIL_ONCE);
 *         ... what allocates ...
 *         failed = fail_mem_off();
 *     }
 *
 * The loop ends after the first round in which nothing failed, so every allocation of the path has
 * failed once when it is over. Only allocations through base/mem.h are counted.
 *
 * thread: the allocations may be any thread's, the functions are the test's
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_FAIL_MEM_H
#define TESTS_SUPPORT_FAIL_MEM_H

#include <stdbool.h>

enum fail_mem_mode {
    FAIL_ONCE,    /* the k-th allocation fails, later ones do not */
    FAIL_FROM_ON, /* the k-th and all later ones fail */
};

/* Begins to count: allocation k (from 1) fails. It aborts for a k that no path of ours reaches. */
void fail_mem_at(unsigned k, enum fail_mem_mode mode);

/* Ends that.
 *
 * returns      whether an allocation has failed since fail_mem_at
 */
bool fail_mem_off(void);

#endif
