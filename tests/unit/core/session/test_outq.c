/* test_outq.c: what a connection owes, in order (core/session/outq.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/outq.h"

#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

/* A turn's arena: its octets are overwritten when the turn is over. */
static uint8_t turn[4096];

static void end_turn(void)
{
    memset(turn, 0xdd, sizeof turn);
}

static struct fw_share *share_of(const char *text, uint32_t messages_count)
{
    struct fw_share *share = fw_share_create(strlen(text));
    cr_assert_not_null(share);
    memcpy(share->own, text, strlen(text));
    share->messages_count = messages_count;
    return share;
}

/* Pushes a share and lets go of it: the queue holds the only reference. */
static void push_share(struct fw_outq *outq, const char *text, uint32_t messages_count)
{
    struct fw_share *share = share_of(text, messages_count);
    cr_assert_eq(fw_outq_push(outq, share->bytes, share->bytes_count, share), 0);
    fw_share_drop(share);
}

/* Pushes arena octets at a place of the turn. */
static void push_at(struct fw_outq *outq, size_t at, const char *text)
{
    memcpy(turn + at, text, strlen(text));
    cr_assert_eq(fw_outq_push(outq, turn + at, strlen(text), NULL), 0);
}

/* Takes everything, as text with a bar between entries. */
static const char *taken(struct fw_outq *outq)
{
    static char text[1024];
    struct fw_outq_entry entries[64];
    unsigned count = fw_outq_take(outq, entries, 64);
    char *to = text;
    for (unsigned i = 0; i < count; i++) {
        to += sprintf(to, "%s%.*s", i > 0 ? "|" : "", (int)entries[i].bytes_count,
                      (const char *)entries[i].bytes);
        if (entries[i].share != NULL)
            fw_share_drop(entries[i].share);
    }
    *to = '\0';
    return text;
}

Test(outq, gives_back_entries_in_order)
{
    struct fw_outq outq;
    fw_outq_init(&outq);
    cr_assert(fw_outq_empty(&outq));
    push_share(&outq, "one", 1);
    push_at(&outq, 0, "two");
    push_share(&outq, "three", 1);
    cr_assert_eq(outq.queued_bytes, 11u);
    cr_assert_str_eq(taken(&outq), "one|two|three");
    cr_assert(fw_outq_empty(&outq));
    cr_assert_eq(outq.queued_bytes, 0u);
    cr_assert_null(outq.more, "an empty queue owns nothing");
}

Test(outq, keeps_order_through_growth_and_wrapping)
{
    struct fw_outq outq;
    struct fw_outq_entry entry;
    char text[16];
    unsigned pushed = 0;
    unsigned popped = 0;
    fw_outq_init(&outq);
    /* 3 in, 2 out, so that the ring turns round and grows while it is turned. */
    while (pushed < 300) {
        for (unsigned i = 0; i < 3; i++) {
            snprintf(text, sizeof text, "%u", pushed++);
            push_share(&outq, text, 1);
        }
        for (unsigned i = 0; i < 2; i++) {
            snprintf(text, sizeof text, "%u", popped++);
            cr_assert_eq(fw_outq_take(&outq, &entry, 1), 1u);
            cr_assert_eq(entry.bytes_count, strlen(text));
            cr_assert_eq(memcmp(entry.bytes, text, entry.bytes_count), 0, "entry %u", popped - 1);
            fw_share_drop(entry.share);
        }
    }
    for (; popped < pushed; popped++) {
        snprintf(text, sizeof text, "%u", popped);
        cr_assert_eq(fw_outq_take(&outq, &entry, 1), 1u);
        cr_assert_eq(memcmp(entry.bytes, text, strlen(text)), 0, "entry %u", popped);
        fw_share_drop(entry.share);
    }
    cr_assert_eq(fw_outq_take(&outq, &entry, 1), 0u);
}

Test(outq, makes_its_last_piece_longer_where_it_ends)
{
    struct fw_outq outq;
    fw_outq_init(&outq);
    memcpy(turn, "abcdef", 6);
    cr_assert_not(fw_outq_extend(&outq, turn, 1), "there is none");
    push_at(&outq, 0, "ab");
    cr_assert_not(fw_outq_extend(&outq, turn + 3, 1), "a gap");
    cr_assert(fw_outq_extend(&outq, turn + 2, 2));
    cr_assert_eq(outq.queued_bytes, 4u);
    push_share(&outq, "share", 1);
    cr_assert_not(fw_outq_extend(&outq, turn + 4, 1), "it is not the last any more");
    push_at(&outq, 4, "ef");
    memcpy(turn + 6, "gh", 2);
    cr_assert_not(fw_outq_extend(&outq, turn + 7, 1), "a gap");
    cr_assert(fw_outq_extend(&outq, turn + 6, 2));
    cr_assert_eq(outq.queued_bytes, 13u);
    memcpy(turn + 2, "cd", 2);
    cr_assert_str_eq(taken(&outq), "abcd|share|efgh");
}

Test(outq, makes_one_entry_of_adjacent_arena_pieces)
{
    struct fw_outq outq;
    fw_outq_init(&outq);
    push_at(&outq, 0, "abc");
    push_at(&outq, 3, "def");
    push_at(&outq, 6, "g");
    cr_assert_str_eq(taken(&outq), "abcdefg");
    push_share(&outq, "share", 1);
    push_at(&outq, 100, "abc");
    push_at(&outq, 103, "def");
    push_at(&outq, 107, "not adjacent");
    cr_assert_eq(outq.queued_bytes, 5u + 6 + 12);
    cr_assert_str_eq(taken(&outq), "share|abcdef|not adjacent");
}

/* Bytes of a share are never made longer, whatever follows them in memory. */
Test(outq, does_not_join_arena_pieces_to_shares)
{
    struct fw_outq outq;
    struct fw_share *share = fw_share_create(6);
    fw_outq_init(&outq);
    memcpy(share->own, "abcdef", 6);
    cr_assert_eq(fw_outq_push(&outq, share->own, 3, share), 0);
    cr_assert_eq(fw_outq_push(&outq, share->own + 3, 3, NULL), 0);
    cr_assert_str_eq(taken(&outq), "abc|def");
    cr_assert_eq(share->references, 1u);
    fw_share_drop(share);
}

Test(outq, takes_no_more_entries_than_asked)
{
    struct fw_outq outq;
    struct fw_outq_entry entries[4];
    fw_outq_init(&outq);
    for (unsigned i = 0; i < 10; i++)
        push_share(&outq, "x", 1);
    cr_assert_eq(fw_outq_take(&outq, entries, 4), 4u);
    cr_assert_eq(outq.queued_bytes, 6u);
    cr_assert_eq(fw_outq_put_back(&outq, entries, 4), 0);
    cr_assert_eq(outq.queued_bytes, 10u);
    fw_outq_clear(&outq);
}

Test(outq, drops_every_reference_when_it_is_cleared)
{
    struct fw_outq outq;
    struct fw_share *share = share_of("abc", 1);
    fw_outq_init(&outq);
    for (unsigned i = 0; i < 20; i++)
        cr_assert_eq(fw_outq_push(&outq, share->bytes, 3, share), 0);
    cr_assert_eq(share->references, 21u);
    fw_outq_clear(&outq);
    cr_assert_eq(share->references, 1u);
    cr_assert(fw_outq_empty(&outq));
    cr_assert_eq(outq.queued_bytes, 0u);
    fw_outq_clear(&outq); /* twice does nothing */
    fw_share_drop(share);
}

/* A short send: what was not taken goes back in front, cut, before what came meanwhile; and it
 * outlives the turn. */
Test(outq, puts_back_in_front_and_beyond_the_turn)
{
    for (size_t cut = 0; cut < 3; cut++) {
        struct fw_outq outq;
        struct fw_outq_entry entries[8];
        fw_outq_init(&outq);
        push_at(&outq, 0, "one");
        push_share(&outq, "two", 1);
        push_at(&outq, 10, "three");
        cr_assert_eq(fw_outq_take(&outq, entries, 8), 3u);
        push_share(&outq, "later", 1);
        entries[0].bytes += cut;
        entries[0].bytes_count -= (uint32_t)cut;
        cr_assert_eq(fw_outq_put_back(&outq, entries, 3), 0);
        cr_assert_eq(outq.queued_bytes, 16u - cut);
        end_turn();
        static const char *wanted[] = {"one|two|three|later", "ne|two|three|later",
                                       "e|two|three|later"};
        cr_assert_str_eq(taken(&outq), wanted[cut]);
    }
}

Test(outq, keeps_arena_pieces_beyond_the_turn)
{
    struct fw_outq outq;
    fw_outq_init(&outq);
    cr_assert_eq(fw_outq_keep(&outq), 0, "an empty one has nothing to keep");
    push_at(&outq, 0, "one");
    push_share(&outq, "two", 1);
    push_at(&outq, 10, "three");
    push_at(&outq, 20, "four");
    cr_assert_eq(fw_outq_keep(&outq), 0);
    end_turn();
    cr_assert_eq(fw_outq_keep(&outq), 0, "a second time there is nothing to do");
    cr_assert_eq(outq.queued_bytes, 15u);
    cr_assert_str_eq(taken(&outq), "one|two|three|four");
}

Test(outq, drops_what_is_not_begun_and_counts_the_messages)
{
    struct fw_outq outq;
    fw_outq_init(&outq);
    cr_assert_eq(fw_outq_drop_unbegun(&outq, false), 0u);
    cr_assert_eq(fw_outq_drop_unbegun(&outq, true), 0u);

    push_share(&outq, "first", 1);
    push_share(&outq, "joined", 4);
    push_at(&outq, 0, "a reply");
    push_share(&outq, "last", 1);
    cr_assert_eq(fw_outq_drop_unbegun(&outq, true), 5u, "replies are no published messages");
    cr_assert_eq(outq.queued_bytes, 5u);
    cr_assert_str_eq(taken(&outq), "first");

    push_share(&outq, "first", 1);
    push_share(&outq, "joined", 4);
    cr_assert_eq(fw_outq_drop_unbegun(&outq, false), 5u);
    cr_assert(fw_outq_empty(&outq));
    cr_assert_eq(outq.queued_bytes, 0u);

    push_share(&outq, "after", 1); /* and it goes on working */
    cr_assert_str_eq(taken(&outq), "after");
}

/* ---- without memory -------------------------------------------------------------------------- */

Test(outq, push_says_ENOMEM_and_nothing_changed)
{
    struct fw_outq outq;
    struct fw_share *share = share_of("abc", 1);
    fw_outq_init(&outq);
    fail_mem_at(1, FAIL_FROM_ON);
    cr_assert_eq(fw_outq_push(&outq, share->bytes, 3, share), 0, "the first one needs no memory");
    cr_assert_eq(fw_outq_push(&outq, share->bytes, 3, share), -ENOMEM);
    fail_mem_off();
    cr_assert_eq(outq.queued_bytes, 3u);
    cr_assert_eq(share->references, 2u);
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(fw_outq_push(&outq, share->bytes, 3, share), 0);
    fail_mem_at(1, FAIL_FROM_ON);
    cr_assert_eq(fw_outq_push(&outq, share->bytes, 3, share), -ENOMEM, "nor can it grow");
    fail_mem_off();
    cr_assert_eq(outq.queued_bytes, 27u);
    fw_outq_clear(&outq);
    cr_assert_eq(share->references, 1u);
    fw_share_drop(share);
}

/* Whichever allocation fails, no reference leaks and none is dropped twice. */
Test(outq, put_back_drops_all_it_was_given_when_memory_fails)
{
    bool failed = true;
    unsigned failures = 0;
    for (unsigned k = 1; failed; k++) {
        struct fw_outq outq;
        struct fw_outq_entry entries[16];
        struct fw_share *share = share_of("share", 1);
        fw_outq_init(&outq);
        for (size_t i = 0; i < 12; i++) {
            push_at(&outq, i * 20, "arena");
            cr_assert_eq(fw_outq_push(&outq, share->bytes, 5, share), 0);
        }
        cr_assert_eq(fw_outq_take(&outq, entries, 16), 16u);
        fail_mem_at(k, FAIL_ONCE);
        int result = fw_outq_put_back(&outq, entries, 16);
        failed = fail_mem_off();
        cr_assert_eq(result, failed ? -ENOMEM : 0);
        failures += failed;
        end_turn();
        fw_outq_clear(&outq);
        cr_assert_eq(share->references, 1u, "round %u", k);
        fw_share_drop(share);
    }
    cr_assert_geq(failures, 8u, "each arena piece is copied");
}

/* What is left after a failed keep can be read: every entry is good beyond the turn. */
Test(outq, keep_cuts_the_queue_before_the_piece_it_has_no_memory_for)
{
    static const char *wanted[] = {"", "one|two", "one|two|three|four", "one|two|three|four|five"};
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        struct fw_outq outq;
        fw_outq_init(&outq);
        push_at(&outq, 0, "one");
        push_share(&outq, "two", 1);
        push_at(&outq, 20, "three");
        push_share(&outq, "four", 1);
        push_at(&outq, 40, "five");
        fail_mem_at(k, FAIL_ONCE);
        int result = fw_outq_keep(&outq);
        failed = fail_mem_off();
        cr_assert_eq(result, failed ? -ENOMEM : 0);
        end_turn();
        cr_assert_leq(k, 4u);
        size_t left = outq.queued_bytes;
        const char *text = taken(&outq);
        size_t bars = 0;
        for (const char *c = text; *c != '\0'; c++)
            bars += *c == '|';
        cr_assert_str_eq(text, wanted[k - 1]);
        cr_assert_eq(left, strlen(text) - bars, "the count agrees with what is there");
        fw_outq_clear(&outq);
    }
}

/* ---- looking and skipping: what TLS takes ------------------------------------------------------
 */

/* What fw_outq_peek shows, as text with a bar between pieces. */
static const char *shown(const struct fw_outq *outq, unsigned pieces_max, size_t bytes_max)
{
    static char text[256];
    struct iovec pieces[16];
    unsigned count = fw_outq_peek(outq, pieces, pieces_max, bytes_max);
    char *to = text;
    for (unsigned i = 0; i < count; i++)
        to += sprintf(to, "%s%.*s", i > 0 ? "|" : "", (int)pieces[i].iov_len,
                      (const char *)pieces[i].iov_base);
    *to = '\0';
    return text;
}

Test(outq, shows_what_stands_in_front_and_keeps_it)
{
    struct fw_outq outq;
    fw_outq_init(&outq);
    cr_assert_str_eq(shown(&outq, 16, 100), "");
    push_share(&outq, "one", 1);
    push_at(&outq, 0, "two");
    push_share(&outq, "three", 1);
    cr_assert_str_eq(shown(&outq, 16, 100), "one|two|three");
    cr_assert_str_eq(shown(&outq, 2, 100), "one|two");
    cr_assert_str_eq(shown(&outq, 0, 100), "");
    cr_assert_str_eq(shown(&outq, 16, 1), "o");
    cr_assert_str_eq(shown(&outq, 16, 3), "one");
    cr_assert_str_eq(shown(&outq, 16, 8), "one|two|th");
    cr_assert_eq(outq.queued_bytes, 11u);
    cr_assert_str_eq(taken(&outq), "one|two|three");
}

/* Every number of bytes, at once and in two steps: what is left is the rest, its references held.
 */
Test(outq, skips_any_number_of_bytes)
{
    static const char all[] = "onetwothreefour";
    for (size_t first = 0; first < sizeof all; first++) {
        for (size_t second = 0; first + second < sizeof all; second++) {
            struct fw_outq outq;
            fw_outq_init(&outq);
            push_share(&outq, "one", 1);
            push_at(&outq, 0, "two");
            push_share(&outq, "three", 1);
            push_share(&outq, "four", 1);
            fw_outq_skip(&outq, first);
            bool cut = fw_outq_skip(&outq, second);
            size_t gone = first + second;
            bool begun = gone != 0 && gone != 3 && gone != 6 && gone != 11 && gone != 15;
            if (second > 0)
                cr_assert_eq(cut, begun, "%zu + %zu", first, second);
            cr_assert_eq(outq.queued_bytes, sizeof all - 1 - gone);
            cr_assert_eq(fw_outq_empty(&outq), gone == sizeof all - 1);
            cr_assert_eq(fw_outq_keep(&outq), 0);
            end_turn();
            char left[32] = "";
            const char *text = taken(&outq);
            for (char *to = left; *text != '\0'; text++) {
                if (*text != '|')
                    *to++ = *text;
            }
            cr_assert_str_eq(left, all + gone, "%zu + %zu", first, second);
        }
    }
}
