/* arena.c: see arena.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"

/* The block that stays: a turn of small messages fits, and so does the processor's second cache. */
#define BLOCK_BYTES ((size_t)256 * 1024)

struct fw_arena_block {
    struct fw_arena_block *older;
    size_t bytes_count;
    uint8_t bytes[];
};

void fw_arena_init(struct fw_arena *arena)
{
    *arena = (struct fw_arena){0};
}

void fw_arena_clear(struct fw_arena *arena)
{
    while (arena->blocks != NULL) {
        struct fw_arena_block *older = arena->blocks->older;
        fw_mem_free(arena->blocks);
        arena->blocks = older;
    }
    *arena = (struct fw_arena){0};
}

uint8_t *fw_arena_reserve_block(struct fw_arena *arena, size_t bytes)
{
    size_t room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    struct fw_arena_block *block = fw_mem_alloc(sizeof *block + room);
    if (block == NULL)
        return NULL;
    block->older = arena->blocks;
    block->bytes_count = room;
    arena->blocks = block;
    arena->at = block->bytes + bytes;
    arena->end = block->bytes + room;
    arena->reserved_bytes += bytes;
    return block->bytes;
}

void fw_arena_reset(struct fw_arena *arena)
{
    struct fw_arena_block *kept = NULL;
    while (arena->blocks != NULL) {
        struct fw_arena_block *older = arena->blocks->older;
        if (kept == NULL && arena->blocks->bytes_count == BLOCK_BYTES)
            kept = arena->blocks;
        else
            fw_mem_free(arena->blocks);
        arena->blocks = older;
    }
    arena->reserved_bytes = 0;
    arena->blocks = kept;
    arena->at = arena->end = NULL;
    if (kept == NULL)
        return;
    kept->older = NULL;
    arena->at = kept->bytes;
    arena->end = kept->bytes + kept->bytes_count;
}
