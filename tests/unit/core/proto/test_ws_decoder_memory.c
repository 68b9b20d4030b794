/* test_ws_decoder_memory.c: what a decoder holds on the heap, who frees it, and what happens when
 * there is none. The rules are ws_decoder.h's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "fanwire/status.h"
#include "proto/ws_decoder.h"
#include "proto/ws_frame.h"
#include "unit/core/proto/ws_expect.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

#define TEXT   (WS_FIN | FW_WS_TEXT)
#define FINISH (WS_FIN | FW_WS_CONTINUATION)

static size_t allocations_left;
static size_t allocations_count;
static size_t allocated_bytes;

static int counting_heap(size_t bytes)
{
    allocations_count++;
    allocated_bytes += bytes;
    if (allocations_left == 0)
        return 0;
    allocations_left--;
    return 1;
}

static void heap_set(size_t allocations_allowed)
{
    allocations_left = allocations_allowed;
    allocations_count = 0;
    allocated_bytes = 0;
    fw_mem_hook(counting_heap);
}

static void heap_restore(void)
{
    fw_mem_hook(NULL);
}

TestSuite(ws_decoder_memory, .fini = heap_restore);

/* A decoder that is fed, and what it may hold by now. */
struct fed {
    struct fw_ws_decoder decoder;
    struct fw_ws_event event;
    size_t payload_bytes; /* of the one message, so far */
};

/* Feeds a piece with so many octets of payload in it, and asserts the rule: at most 16 times the
 * payload of the message so far, or 1 KiB. */
static void feed_bounded(struct fed *fed, uint8_t *in, size_t in_bytes, size_t payload_bytes)
{
    struct fw_ws_rules rules = {.message_bytes_max = 1 << 24};
    fed->payload_bytes += payload_bytes;
    fw_ws_decoder_next(&fed->decoder, &rules, &in, &in_bytes, &fed->event);
    size_t held_max = fed->payload_bytes * 16 > 1024 ? fed->payload_bytes * 16 : 1024;
    cr_assert_leq(fw_ws_decoder_heap_bytes(&fed->decoder), held_max, "after %zu octets",
                  fed->payload_bytes);
}

/* Feeds one frame: its header octet by octet, its payload in pieces. */
static void feed_frame_bounded(struct fed *fed, unsigned bits, size_t bytes, size_t piece)
{
    struct ws_stream stream = {0};
    ws_stream_frame(&stream, bits | WS_MASKED, NULL, bytes);
    size_t at = 0;
    for (; at < stream.bytes_count - bytes; at++)
        feed_bounded(fed, stream.bytes + at, 1, 0);
    for (; at < stream.bytes_count; at += piece) {
        size_t left = stream.bytes_count - at;
        feed_bounded(fed, stream.bytes + at, left < piece ? left : piece,
                     left < piece ? left : piece);
    }
    ws_stream_clear(&stream);
}

Test(ws_decoder_memory, grows_with_what_came_not_with_what_was_announced)
{
    /* security: a header that announces much costs the peer nothing, so it must cost us nothing. */
    static const size_t lengths[] = {1, 100, 125, 126, 1000, 5000, 65536, 1 << 20};
    static const size_t pieces[] = {1, 7, 64, 1000, 16384};
    for (size_t i = 0; i < COUNT(lengths) * COUNT(pieces); i++) {
        size_t length = lengths[i % COUNT(lengths)];
        size_t piece = pieces[i / COUNT(lengths)];
        struct fed fed = {0};
        if (piece > length || length / piece > 100000)
            continue;
        feed_frame_bounded(&fed, WS_FIN | FW_WS_BINARY, length, piece);
        cr_expect_eq(fed.event.kind, FW_WS_MESSAGE);
        fw_ws_decoder_clear(&fed.decoder);
    }
}

Test(ws_decoder_memory, grows_with_what_came_in_fragments_too)
{
    /* The same over the frames of one message, behind which more must be expected. */
    static const size_t lengths[] = {0, 1, 3, 60, 64, 1000, 30000};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct fed fed = {0};
        feed_frame_bounded(&fed, FW_WS_BINARY, lengths[i], 999);
        for (size_t frame = 0; frame < 50; frame++)
            feed_frame_bounded(&fed, FW_WS_CONTINUATION, lengths[i], 999);
        feed_frame_bounded(&fed, FINISH, lengths[i], 999);
        cr_expect_eq(fed.event.kind, FW_WS_MESSAGE);
        cr_expect_eq(fed.event.bytes_count, 52 * lengths[i]);
        fw_ws_decoder_clear(&fed.decoder);
    }
}

Test(ws_decoder_memory, holds_no_more_than_a_final_frame_announced)
{
    /* A cut frame of 100 octets needs 100 octets, headroom, and what is known about it. */
    struct fw_ws_decoder decoder;
    struct fw_ws_event event;
    struct ws_stream stream = {0};
    ws_stream_frame(&stream, WS_FIN | FW_WS_BINARY | WS_MASKED, NULL, 100);
    fw_ws_decoder_init(&decoder, false);
    uint8_t *in = stream.bytes;
    size_t in_bytes = 3;
    fw_ws_decoder_next(&decoder, &ws_server_rules, &in, &in_bytes, &event);
    size_t overhead = fw_ws_decoder_heap_bytes(&decoder);
    cr_expect_gt(overhead, 0);
    cr_expect_leq(overhead, 256);
    in_bytes = 50;
    fw_ws_decoder_next(&decoder, &ws_server_rules, &in, &in_bytes, &event);
    cr_expect_eq(fw_ws_decoder_heap_bytes(&decoder), overhead + FW_WS_MESSAGE_HEADROOM + 100);
    fw_ws_decoder_clear(&decoder);
    cr_expect_eq(fw_ws_decoder_heap_bytes(&decoder), 0);
    ws_stream_clear(&stream);
}

Test(ws_decoder_memory, copies_a_message_of_small_fragments_rarely)
{
    /* Room doubles behind frames that are not final: 100000 fragments, some twenty allocations. */
    struct fw_ws_rules rules = {.message_bytes_max = 1 << 20};
    struct ws_stream stream = {0};
    struct ws_trace trace;
    for (size_t i = 0; i < 100000; i++)
        ws_stream_text(&stream, (i == 0 ? FW_WS_TEXT : 0) | WS_MASKED, "x");
    ws_stream_text(&stream, FINISH | WS_MASKED, "");
    ws_trace_init(&trace);
    heap_set(SIZE_MAX);
    ws_trace_decode(&trace, &stream, &rules, false, NULL, 0, NULL);
    cr_expect_eq(trace.events_count, 1);
    cr_expect_leq(allocations_count, 20, "%zu", allocations_count);
    ws_trace_clear(&trace);
    ws_stream_clear(&stream);
}

Test(ws_decoder_memory, of_an_idle_decoder_is_none)
{
    /* After every message, whole, cut or fragmented, the next call gives everything back. */
    struct fw_ws_decoder decoder;
    struct ws_trace trace;
    struct ws_stream stream = {0};
    ws_trace_init(&trace);
    fw_ws_decoder_init(&decoder, false);
    ws_stream_text(&stream, TEXT | WS_MASKED, "whole");
    ws_stream_text(&stream, FW_WS_TEXT | WS_MASKED, "frag");
    ws_stream_text(&stream, WS_FIN | FW_WS_PING | WS_MASKED, "control");
    ws_stream_text(&stream, FINISH | WS_MASKED, "ment");
    for (size_t cut = 0; cut <= stream.bytes_count; cut++) {
        uint8_t copy[64];
        memcpy(copy, stream.bytes, stream.bytes_count);
        ws_trace_feed(&trace, &decoder, &ws_server_rules, copy, cut, NULL);
        ws_trace_feed(&trace, &decoder, &ws_server_rules, copy + cut, stream.bytes_count - cut,
                      NULL);
        cr_expect_eq(fw_ws_decoder_heap_bytes(&decoder), 0, "cut at %zu", cut);
    }
    cr_expect_eq(trace.events_count, 3 * (stream.bytes_count + 1));
    ws_trace_clear(&trace);
    ws_stream_clear(&stream);
}

Test(ws_decoder_memory, does_not_grow_for_length_bombs)
{
    /* security 1.1: 2^63-1, 2^31, limit+1; whole and octet by octet, less than 4 KiB. */
    static const char *const bombs[] = {
        "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\1\2\3\4",
        "\x82\xff\x00\x00\x00\x00\x80\x00\x00\x00\1\2\3\4",
        "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x01\1\2\3\4",
    };
    for (size_t i = 0; i < COUNT(bombs); i++) {
        struct ws_stream stream = {0};
        size_t cuts[14];
        for (size_t at = 0; at < COUNT(cuts); at++)
            cuts[at] = at;
        ws_stream_put(&stream, bombs[i], 14);
        for (size_t cuts_count = 0; cuts_count <= COUNT(cuts); cuts_count += COUNT(cuts)) {
            struct ws_trace trace;
            ws_trace_init(&trace);
            heap_set(SIZE_MAX);
            ws_trace_decode(&trace, &stream, &ws_server_rules, false, cuts, cuts_count, NULL);
            cr_expect_str_eq(trace.text, "failed(FW_ERR_WS_MESSAGE_TOO_LARGE)");
            cr_expect_lt(allocated_bytes, 4096);
            ws_trace_clear(&trace);
        }
        ws_stream_clear(&stream);
    }
}

Test(ws_decoder_memory, does_not_grow_with_empty_fragments)
{
    /* security 1.1: a million empty continuation frames. Refused at the limit; and without a limit
     * on their number still no octet more. */
    struct ws_stream stream = {0};
    ws_stream_text(&stream, FW_WS_TEXT | WS_MASKED, "");
    for (size_t i = 0; i < 1000000; i++)
        ws_stream_put(&stream, "\x00\x80\1\2\3\4", 6);
    struct fw_ws_rules rules = {.message_bytes_max = 65536, .fragments_max = 128};
    struct fw_ws_decoder decoder;
    struct fw_ws_event event;
    uint8_t *in = stream.bytes;
    size_t in_bytes = stream.bytes_count;
    heap_set(SIZE_MAX);
    fw_ws_decoder_init(&decoder, false);
    fw_ws_decoder_next(&decoder, &rules, &in, &in_bytes, &event);
    cr_expect_eq(event.status, FW_ERR_WS_FRAGMENTS_TOO_MANY);
    cr_expect_eq(in, stream.bytes + 129 * 6, "not at the 129th frame");
    cr_expect_lt(allocated_bytes, 4096);
    cr_expect_eq(fw_ws_decoder_heap_bytes(&decoder), 0);

    rules.fragments_max = 0;
    in = stream.bytes;
    in_bytes = stream.bytes_count;
    fw_ws_decoder_init(&decoder, false);
    fw_ws_decoder_next(&decoder, &rules, &in, &in_bytes, &event);
    cr_expect_eq(event.kind, FW_WS_NEED_MORE);
    cr_expect_leq(fw_ws_decoder_heap_bytes(&decoder), 1024);
    cr_expect_lt(allocated_bytes, 8192);
    fw_ws_decoder_clear(&decoder);
    ws_stream_clear(&stream);
}

Test(ws_decoder_memory, is_given_back_with_a_failure)
{
    /* A connection that failed waits for its close frame to go out; it should not hold a message.
     */
    struct fw_ws_decoder decoder;
    struct ws_trace trace;
    struct ws_stream stream = {0};
    ws_trace_init(&trace);
    fw_ws_decoder_init(&decoder, false);
    ws_stream_frame(&stream, FW_WS_BINARY | WS_MASKED, NULL, 50000);
    ws_trace_feed(&trace, &decoder, &ws_server_rules, stream.bytes, stream.bytes_count, NULL);
    cr_expect_gt(fw_ws_decoder_heap_bytes(&decoder), 50000);
    uint8_t bad[] = {0x83, 0x80};
    uint8_t *in = bad;
    size_t in_bytes = sizeof bad;
    struct fw_ws_event event;
    fw_ws_decoder_next(&decoder, &ws_server_rules, &in, &in_bytes, &event);
    cr_expect_eq(event.kind, FW_WS_FAILED);
    cr_expect_eq(fw_ws_decoder_heap_bytes(&decoder), 0);
    fw_ws_decoder_clear(&decoder);
    ws_trace_clear(&trace);
    ws_stream_clear(&stream);
}

Test(ws_decoder_memory, of_an_unfinished_message_is_given_back_with_a_close)
{
    /* The same for a close frame, cut so that its reason stands in the decoder's own memory. */
    struct fw_ws_decoder decoder;
    struct fw_ws_event event;
    struct ws_trace trace;
    struct ws_stream stream = {0};
    ws_trace_init(&trace);
    fw_ws_decoder_init(&decoder, false);
    ws_stream_frame(&stream, FW_WS_BINARY | WS_MASKED, NULL, 50000);
    ws_stream_text(&stream, WS_FIN | FW_WS_CLOSE | WS_MASKED, "\x03\xe8why");
    ws_trace_feed(&trace, &decoder, &ws_server_rules, stream.bytes, stream.bytes_count - 2, NULL);
    uint8_t *in = stream.bytes + stream.bytes_count - 2;
    size_t in_bytes = 2;
    fw_ws_decoder_next(&decoder, &ws_server_rules, &in, &in_bytes, &event);
    cr_expect_eq(event.kind, FW_WS_GOT_CLOSE);
    cr_expect_eq(event.bytes_count, 3);
    cr_expect_arr_eq(event.bytes, "why", 3);
    cr_expect_lt(fw_ws_decoder_heap_bytes(&decoder), 1024);
    fw_ws_decoder_next(&decoder, &ws_server_rules, &in, &in_bytes, &event);
    cr_expect_eq(fw_ws_decoder_heap_bytes(&decoder), 0);
    ws_trace_clear(&trace);
    ws_stream_clear(&stream);
}

Test(ws_decoder_memory, of_an_assembled_message_can_be_taken)
{
    /* The block outlives the decoder, with headroom in front, and the next message gets its own. */
    struct fw_ws_decoder decoder;
    struct fw_ws_event event;
    struct ws_stream stream = {0};
    ws_stream_text(&stream, FW_WS_TEXT | WS_MASKED, "Hel");
    ws_stream_text(&stream, FINISH | WS_MASKED, "lo");
    ws_stream_text(&stream, TEXT | WS_MASKED, "next");
    uint8_t *in = stream.bytes;
    size_t in_bytes = stream.bytes_count;
    fw_ws_decoder_init(&decoder, false);
    fw_ws_decoder_next(&decoder, &ws_server_rules, &in, &in_bytes, &event);
    cr_assert(event.kind == FW_WS_MESSAGE && event.assembled);
    uint8_t *message = event.bytes;
    uint8_t *block = fw_ws_decoder_take(&decoder);
    cr_expect_eq(message, block + FW_WS_MESSAGE_HEADROOM);
    fw_ws_decoder_next(&decoder, &ws_server_rules, &in, &in_bytes, &event);
    cr_expect_eq(event.kind, FW_WS_MESSAGE);
    cr_expect_arr_eq(event.bytes, "next", 4);
    fw_ws_decoder_clear(&decoder);
    memset(block, 0xa5, FW_WS_MESSAGE_HEADROOM);
    cr_expect_arr_eq(message, "Hello", 5);
    fw_mem_free(block);
    ws_stream_clear(&stream);
}

Test(ws_decoder_memory, of_an_empty_assembled_message_can_be_taken_too)
{
    /* Nothing but headroom: still a block of its own. */
    struct fw_ws_decoder decoder;
    struct fw_ws_event event;
    struct ws_stream stream = {0};
    ws_stream_text(&stream, FW_WS_TEXT | WS_MASKED, "");
    ws_stream_text(&stream, FINISH | WS_MASKED, "");
    uint8_t *in = stream.bytes;
    size_t in_bytes = stream.bytes_count;
    fw_ws_decoder_init(&decoder, false);
    fw_ws_decoder_next(&decoder, &ws_server_rules, &in, &in_bytes, &event);
    cr_assert(event.kind == FW_WS_MESSAGE && event.assembled);
    cr_expect_eq(event.bytes_count, 0);
    uint8_t *block = fw_ws_decoder_take(&decoder);
    cr_assert_not_null(block);
    memset(block, 0xa5, FW_WS_MESSAGE_HEADROOM);
    fw_mem_free(block);
    fw_ws_decoder_clear(&decoder);
    ws_stream_clear(&stream);
}

Test(ws_decoder_memory, cannot_be_taken_when_nothing_was_assembled, .signal = SIGABRT)
{
    /* Our own mistake, not the peer's: asserted. */
    struct fw_ws_decoder decoder;
    fw_ws_decoder_init(&decoder, false);
    fw_ws_decoder_take(&decoder);
}

Test(ws_decoder_memory, is_freed_by_clear_at_every_octet)
{
    /* A connection may end anywhere; the leak checker watches. */
    struct ws_stream stream = {0};
    ws_stream_text(&stream, FW_WS_TEXT | WS_MASKED, "Hel");
    ws_stream_text(&stream, WS_FIN | FW_WS_PING | WS_MASKED, "ping");
    ws_stream_text(&stream, FINISH | WS_MASKED, "lo");
    for (size_t cut = 0; cut <= stream.bytes_count; cut++) {
        uint8_t copy[64];
        struct fw_ws_decoder decoder;
        struct ws_trace trace;
        memcpy(copy, stream.bytes, stream.bytes_count);
        ws_trace_init(&trace);
        fw_ws_decoder_init(&decoder, false);
        ws_trace_feed(&trace, &decoder, &ws_server_rules, copy, cut, NULL);
        fw_ws_decoder_clear(&decoder);
        cr_expect_null(decoder.partial);
        fw_ws_decoder_clear(&decoder);
        ws_trace_clear(&trace);
    }
    ws_stream_clear(&stream);
}

static void decode_octets(struct ws_trace *trace, const struct ws_stream *stream, size_t piece)
{
    size_t cuts[512];
    size_t cuts_count = 0;
    for (size_t at = piece; at < stream->bytes_count; at += piece)
        cuts[cuts_count++] = at;
    ws_trace_decode(trace, stream, &ws_server_rules, false, cuts, cuts_count, NULL);
}

Test(ws_decoder_memory, may_fail_at_every_allocation)
{
    /* Allocation k fails, for every k, until none does: each time FW_ERR_WS_MEMORY, nothing leaks,
     * and what was handed out before stands. */
    struct ws_stream stream = {0};
    ws_stream_text(&stream, TEXT | WS_MASKED, "whole");
    ws_stream_text(&stream, FW_WS_TEXT | WS_MASKED, "one ");
    ws_stream_text(&stream, WS_FIN | FW_WS_PING | WS_MASKED, "ping");
    ws_stream_text(&stream, FW_WS_CONTINUATION | WS_MASKED, "message in ");
    ws_stream_text(&stream, FINISH | WS_MASKED, "fragments");
    ws_stream_text(&stream, WS_FIN | FW_WS_PONG | WS_MASKED, "pong");
    ws_stream_frame(&stream, WS_FIN | FW_WS_BINARY | WS_MASKED, NULL, 4);
    static const char all[] = "text(whole) ping(ping) text(one message in fragments) pong(pong) "
                              "binary(\\x00\\x00\\x00\\x00)";
    static const size_t pieces[] = {1, 2, 3, 5, 12, 13, 17, 40, 500};
    size_t failures = 0;
    for (size_t i = 0; i < COUNT(pieces); i++) {
        bool failed = true;
        for (size_t k = 0; failed; k++) {
            struct ws_trace trace;
            ws_trace_init(&trace);
            heap_set(k);
            decode_octets(&trace, &stream, pieces[i]);
            failed = allocations_count > k;
            failures += failed;
            char *end = strstr(trace.text, "failed(FW_ERR_WS_MEMORY)");
            cr_assert_eq(end != NULL, failed, "piece %zu, k %zu: %s", pieces[i], k, trace.text);
            if (failed)
                cr_expect_eq(strncmp(trace.text, all, (size_t)(end - trace.text)), 0);
            else
                cr_expect_str_eq(trace.text, all);
            ws_trace_clear(&trace);
        }
    }
    cr_expect_gt(failures, 3 * COUNT(pieces));
    ws_stream_clear(&stream);
}
