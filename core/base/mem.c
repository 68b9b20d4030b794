/* mem.c: the heap, behind a hook that tests can close.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "base/check.h"

#include <stdlib.h>

static int (*hook)(size_t bytes);

static inline int refused(size_t bytes)
{
    fw_assert(bytes > 0);
    return FW_UNLIKELY(hook != NULL) && !hook(bytes);
}

void *fw_mem_alloc(size_t bytes)
{
    return refused(bytes) ? NULL : malloc(bytes);
}

void *fw_mem_zero(size_t bytes)
{
    return refused(bytes) ? NULL : calloc(1, bytes);
}

void *fw_mem_resize(void *block, size_t bytes)
{
    return refused(bytes) ? NULL : realloc(block, bytes);
}

void fw_mem_free(void *block)
{
    free(block);
}

void fw_mem_hook(int (*may_allocate)(size_t bytes))
{
    hook = may_allocate;
}
