/* mem.c: the heap, behind a hook that tests can close, and counted.
 *
 * A thread counts for itself and adds to everybody's count when it is SETTLE_BYTES off: an
 * allocation or a free costs a call of malloc_usable_size more, which reads the block's header, an
 * addition and a comparison, and touches no line that threads share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "base/check.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

/* With 256 threads at most 16 MiB of the sum are not in it. */
#define SETTLE_BYTES ((int64_t)64 * 1024)

static int (*hook)(size_t bytes);
/* Initial-exec: reached without a call, also within a shared library; 8 octets fit its reserve. */
static _Thread_local int64_t unsettled __attribute__((tls_model("initial-exec")));
static atomic_int_fast64_t settled;
static atomic_int_fast64_t watched = INT64_MAX;

static inline int refused(size_t bytes)
{
    fw_assert(bytes > 0);
    return FW_UNLIKELY(hook != NULL) && !hook(bytes);
}

static inline void count(int64_t bytes)
{
    unsettled += bytes;
    if (FW_UNLIKELY(unsettled > SETTLE_BYTES || unsettled < -SETTLE_BYTES))
        fw_mem_settle();
}

static inline int64_t size_of(void *block)
{
    return (int64_t)malloc_usable_size(block);
}

static inline void *counted(void *block)
{
    count(size_of(block)); /* 0 of NULL */
    return block;
}

void *fw_mem_alloc(size_t bytes)
{
    return refused(bytes) ? NULL : counted(malloc(bytes));
}

void *fw_mem_zero(size_t bytes)
{
    return refused(bytes) ? NULL : counted(calloc(1, bytes));
}

void *fw_mem_resize(void *block, size_t bytes)
{
    if (refused(bytes))
        return NULL;
    int64_t before = size_of(block);
    void *moved = realloc(block, bytes);
    if (moved != NULL)
        count(size_of(moved) - before);
    return moved;
}

void fw_mem_free(void *block)
{
    count(-size_of(block));
    free(block);
}

void fw_mem_settle(void)
{
    atomic_fetch_add_explicit(&settled, unsettled, memory_order_relaxed);
    unsettled = 0;
}

int64_t fw_mem_bytes(void)
{
    return atomic_load_explicit(&settled, memory_order_relaxed) + unsettled;
}

void fw_mem_watch(int64_t bytes_max)
{
    atomic_store_explicit(&watched, bytes_max, memory_order_relaxed);
}

bool fw_mem_over(void)
{
    return atomic_load_explicit(&settled, memory_order_relaxed) >
           atomic_load_explicit(&watched, memory_order_relaxed);
}

void fw_mem_hook(int (*may_allocate)(size_t bytes))
{
    hook = may_allocate;
}
