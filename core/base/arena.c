/* arena.c: see arena.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"

/* A block: a turn of small messages fits, and so does the processor's second cache. */
#define BLOCK_BYTES ((size_t)256 * 1024)
/* Blocks kept beside the current one: a turn of 200 replies of 16 KiB, encrypted. */
#define SPARE_MAX 15

struct fw_arena_block {
    struct fw_arena_block *older;
    size_t bytes_count;
    uint8_t bytes[];
};

void fw_arena_init(struct fw_arena *arena)
{
    *arena = (struct fw_arena){0};
}

static void free_blocks(struct fw_arena_block *block)
{
    while (block != NULL) {
        struct fw_arena_block *older = block->older;
        fw_mem_free(block);
        block = older;
    }
}

void fw_arena_clear(struct fw_arena *arena)
{
    free_blocks(arena->blocks);
    free_blocks(arena->spare);
    *arena = (struct fw_arena){0};
}

static struct fw_arena_block *take_spare(struct fw_arena *arena)
{
    struct fw_arena_block *block = arena->spare;
    if (block != NULL) {
        arena->spare = block->older;
        arena->spare_count--;
    }
    return block;
}

/* A block is done with: kept when it may be, and freed. */
static void put_spare(struct fw_arena *arena, struct fw_arena_block *block)
{
    if (block->bytes_count != BLOCK_BYTES || arena->spare_count == SPARE_MAX) {
        fw_mem_free(block);
        return;
    }
    block->older = arena->spare;
    arena->spare = block;
    arena->spare_count++;
}

uint8_t *fw_arena_reserve_block(struct fw_arena *arena, size_t bytes)
{
    size_t room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    struct fw_arena_block *block = room == BLOCK_BYTES ? take_spare(arena) : NULL;
    if (block == NULL)
        block = fw_mem_alloc(sizeof *block + room);
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
    fw_mem_free(take_spare(arena));
    while (arena->blocks != NULL) {
        struct fw_arena_block *block = arena->blocks;
        arena->blocks = block->older;
        if (kept == NULL && block->bytes_count == BLOCK_BYTES)
            kept = block;
        else
            put_spare(arena, block);
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
