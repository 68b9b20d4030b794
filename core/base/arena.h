/* arena.h: memory for the bytes of one turn, given back all at once.
 *
 * What connections append while a turn runs (replies, control frames, echoes) stands here until the
 * turn's sends are settled; successive reservations are adjacent as long as a block lasts, so that
 * a connection's sixteen replies are one piece. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BASE_ARENA_H
#define FW_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct fw_arena_block; /* arena.c */

struct fw_arena {
    uint8_t *at;  /* the next free octet of the newest block */
    uint8_t *end; /* its end */
    struct fw_arena_block *blocks;
    struct fw_arena_block *spare; /* of turns before, all of one size */
    unsigned spare_count;
    size_t reserved_bytes; /* since the last reset */
};

void fw_arena_init(struct fw_arena *arena);
void fw_arena_clear(struct fw_arena *arena);

/* The slow way of fw_arena_reserve: a new block. */
uint8_t *fw_arena_reserve_block(struct fw_arena *arena, size_t bytes);

/* Reserves octets, unaligned, until the next reset.
 *
 * returns      their address, or NULL when there is no memory
 */
static inline uint8_t *fw_arena_reserve(struct fw_arena *arena, size_t bytes)
{
    if ((size_t)(arena->end - arena->at) < bytes)
        return fw_arena_reserve_block(arena, bytes);
    uint8_t *reserved = arena->at;
    arena->at += bytes;
    arena->reserved_bytes += bytes;
    return reserved;
}

/* Gives back the last octets of the reservation made last. */
static inline void fw_arena_give_back(struct fw_arena *arena, size_t bytes)
{
    arena->at -= bytes;
    arena->reserved_bytes -= bytes;
}

/* Makes all of it free again. One block is kept, and as many more as turns like this one need, up
 * to 4 MiB: pages that go back to the kernel cost a fault each when they are wanted again. Each
 * turn that leaves some of them unused gives one back to the heap. */
void fw_arena_reset(struct fw_arena *arena);

#endif
