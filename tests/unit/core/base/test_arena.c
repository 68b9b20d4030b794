/* test_arena.c: the memory of one turn (core/base/arena.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"

#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <string.h>

/* A block, as arena.c has it. */
#define BLOCK_BYTES ((size_t)256 * 1024)

Test(arena, gives_adjacent_pieces_so_that_replies_are_one)
{
    struct fw_arena arena;
    fw_arena_init(&arena);
    uint8_t *first = fw_arena_reserve(&arena, 10);
    uint8_t *second = fw_arena_reserve(&arena, 7);
    uint8_t *third = fw_arena_reserve(&arena, 1);
    cr_assert_not_null(first);
    cr_assert_eq(second, first + 10);
    cr_assert_eq(third, second + 7);
    cr_assert_eq(arena.reserved_bytes, 18u);
    fw_arena_clear(&arena);
}

Test(arena, gives_memory_that_is_writable_and_disjoint_over_many_blocks)
{
    enum { PIECES = 200 };
    struct fw_arena arena;
    uint8_t *pieces[PIECES];
    fw_arena_init(&arena);
    for (unsigned i = 0; i < PIECES; i++) {
        pieces[i] = fw_arena_reserve(&arena, 10000 + i);
        cr_assert_not_null(pieces[i]);
        memset(pieces[i], (int)i, 10000 + i);
    }
    for (unsigned i = 0; i < PIECES; i++) {
        for (unsigned k = 0; k < 10000 + i; k++)
            cr_assert(pieces[i][k] == (uint8_t)i, "piece %u, octet %u", i, k);
    }
    fw_arena_clear(&arena);
}

Test(arena, takes_a_piece_that_is_larger_than_a_block)
{
    struct fw_arena arena;
    fw_arena_init(&arena);
    uint8_t *large = fw_arena_reserve(&arena, 3 * BLOCK_BYTES);
    cr_assert_not_null(large);
    memset(large, 1, 3 * BLOCK_BYTES);
    cr_assert_not_null(fw_arena_reserve(&arena, 1));
    fw_arena_clear(&arena);
}

Test(arena, serves_the_next_turn_from_the_blocks_of_the_last)
{
    struct fw_arena arena;
    fw_arena_init(&arena);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_not_null(fw_arena_reserve(&arena, BLOCK_BYTES));
    for (unsigned turn = 0; turn < 3; turn++) {
        fw_arena_reset(&arena);
        cr_assert_eq(arena.reserved_bytes, 0u);
        fail_mem_at(1, FAIL_FROM_ON);
        for (unsigned i = 0; i < 3; i++)
            cr_assert_not_null(fw_arena_reserve(&arena, BLOCK_BYTES), "turn %u, block %u", turn, i);
        cr_assert_null(fw_arena_reserve(&arena, 1), "and there are no more of them");
        fail_mem_off();
    }
    fw_arena_clear(&arena);
}

Test(arena, gives_a_block_back_for_each_turn_that_leaves_some)
{
    enum { BLOCKS = 5 };
    struct fw_arena arena;
    fw_arena_init(&arena);
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_assert_not_null(fw_arena_reserve(&arena, BLOCK_BYTES));
    fw_arena_reset(&arena);
    for (unsigned left = BLOCKS - 1; left > 0; left--) {
        cr_assert_eq(arena.spare_count, left);
        cr_assert_not_null(fw_arena_reserve(&arena, 1));
        fw_arena_reset(&arena);
    }
    cr_assert_eq(arena.spare_count, 0u);
    cr_assert_null(arena.spare);
    cr_assert_not_null(arena.blocks, "the last stays");
    fw_arena_clear(&arena);
}

Test(arena, keeps_no_more_than_a_bound_whatever_a_turn_took)
{
    struct fw_arena arena;
    fw_arena_init(&arena);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_not_null(fw_arena_reserve(&arena, BLOCK_BYTES));
    fw_arena_reset(&arena);
    cr_assert_eq((arena.spare_count + 1) * BLOCK_BYTES, (size_t)4 * 1024 * 1024);
    fw_arena_clear(&arena);
    cr_assert_null(arena.spare);
}

Test(arena, keeps_no_block_of_an_odd_size)
{
    struct fw_arena arena;
    fw_arena_init(&arena);
    cr_assert_not_null(fw_arena_reserve(&arena, 2 * BLOCK_BYTES));
    fw_arena_reset(&arena);
    cr_assert_null(arena.blocks, "a rare large turn must not stay in memory");
    cr_assert_not_null(fw_arena_reserve(&arena, 1));
    fw_arena_clear(&arena);
}

Test(arena, returns_NULL_without_memory_and_serves_on_from_what_it_has)
{
    struct fw_arena arena;
    fw_arena_init(&arena);
    fail_mem_at(1, FAIL_ONCE);
    cr_assert_null(fw_arena_reserve(&arena, 1));
    fail_mem_off();
    cr_assert_not_null(fw_arena_reserve(&arena, 1));
    fail_mem_at(1, FAIL_ONCE);
    cr_assert_null(fw_arena_reserve(&arena, BLOCK_BYTES));
    cr_assert_not_null(fw_arena_reserve(&arena, 1), "what the block still has is untouched");
    fail_mem_off();
    cr_assert_eq(arena.reserved_bytes, 2u);
    fw_arena_clear(&arena);
}

Test(arena, clear_and_reset_of_an_empty_one_do_nothing)
{
    struct fw_arena arena;
    fw_arena_init(&arena);
    fw_arena_reset(&arena);
    fw_arena_clear(&arena);
    fw_arena_clear(&arena);
    cr_assert_null(arena.blocks);
}
