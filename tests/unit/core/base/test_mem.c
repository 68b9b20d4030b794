/* test_mem.c: the heap's own count (base/mem.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

Test(mem, what_is_allocated_is_counted_until_it_is_freed)
{
    int64_t before = fw_mem_bytes();
    char *block = fw_mem_alloc(1000);
    cr_assert_not_null(block);
    memset(block, 'x', 1000);
    cr_expect_geq(fw_mem_bytes() - before, 1000);
    cr_expect_lt(fw_mem_bytes() - before, 1100);
    block = fw_mem_resize(block, 1000000);
    cr_assert_not_null(block);
    cr_expect_geq(fw_mem_bytes() - before, 1000000);
    void *zero = fw_mem_zero(100);
    cr_expect_geq(fw_mem_bytes() - before, 1000100);
    fw_mem_free(zero);
    fw_mem_free(block);
    fw_mem_free(NULL);
    cr_expect_eq(fw_mem_bytes(), before);
}

static void *allocate_and_end(void *context)
{
    *(void **)context = fw_mem_alloc(10000);
    fw_mem_settle();
    return NULL;
}

Test(mem, a_thread_that_settles_leaves_its_count_behind)
{
    int64_t before = fw_mem_bytes();
    pthread_t thread;
    void *block;
    cr_assert_eq(pthread_create(&thread, NULL, allocate_and_end, &block), 0);
    pthread_join(thread, NULL);
    cr_expect_geq(fw_mem_bytes() - before, 10000);
    fw_mem_free(block);
    cr_expect_eq(fw_mem_bytes(), before);
}

Test(mem, a_watch_says_when_more_is_used)
{
    cr_expect(!fw_mem_over());
    fw_mem_watch(fw_mem_bytes() + 500000);
    void *small = fw_mem_alloc(400000);
    cr_expect(!fw_mem_over());
    void *large = fw_mem_alloc(400000);
    cr_expect(fw_mem_over());
    fw_mem_free(small);
    cr_expect(!fw_mem_over());
    fw_mem_watch(INT64_MAX);
    fw_mem_free(large);
}
