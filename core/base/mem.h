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

#include <stddef.h>

/* malloc, realloc, calloc of one object; NULL when there is no memory. Sizes are never 0. */
void *fw_mem_alloc(size_t bytes);
void *fw_mem_zero(size_t bytes);
void *fw_mem_resize(void *block, size_t bytes);
void fw_mem_free(void *block);

/* Installs a hook that is asked before each allocation; when it says false, the allocation fails.
 *
 * may_allocate borrowed for ever; NULL takes the hook away. Set while no other thread allocates.
 */
void fw_mem_hook(int (*may_allocate)(size_t bytes));

#endif
