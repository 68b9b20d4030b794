/* mem.h: the one door to the heap, so that tests can make allocation k fail.
 *
 * Every allocation of the library goes through these. Each may return NULL, and each caller lives
 * with that: a connection may die of it, the server never does.
 *
 * thread: any
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BASE_MEM_H
#define FW_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* malloc, realloc, calloc of one object; NULL when there is no memory. Sizes are never 0. */
void *fw_mem_alloc(size_t bytes);
void *fw_mem_zero(size_t bytes);
void *fw_mem_resize(void *block, size_t bytes);
void fw_mem_free(void *block);

/* What the blocks of all threads together take, as malloc rounds them; the allocator's own slack is
 * not in it. A thread's last few KiB may be missing until it settles. */
int64_t fw_mem_bytes(void);

/* Adds what this thread has not added yet: for threads that end, or that come and go. */
void fw_mem_settle(void);

/* Sets how much the blocks may take before fw_mem_over says so; INT64_MAX, as at first: anything.
 * Nothing fails by it: who is about to take much looks. */
void fw_mem_watch(int64_t bytes_max);
bool fw_mem_over(void);

/* Installs a hook that is asked before each allocation; when it says false, the allocation fails.
 *
 * may_allocate borrowed for ever; NULL takes the hook away. Set while no other thread allocates.
 */
void fw_mem_hook(int (*may_allocate)(size_t bytes));

#endif
