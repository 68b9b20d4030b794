/* test_ws_decoder.c: properties of the frame decoder that hold for random streams (RFC 6455,
 * sections 5.2 to 5.6):
 *
 *   what a stream was made from comes out of it, however it is cut;
 *   however a stream is cut, the events are the same, also when its octets are damaged.
 *
 * The random numbers are the same in every run; a failure names its seed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/ws_decoder.h"
#include "proto/ws_frame.h"
#include "support/random.h"
#include "support/ws_stream.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_COUNT     1500
#define CUTS_PER_STREAM   6
#define MESSAGES_MAX      8
#define PAYLOAD_BYTES_MAX 70000
#define CUTS_MAX          64

/* Mostly short lengths, often at the edges of the length forms, sometimes long. */
static size_t roll_length(uint64_t *dice)
{
    static const size_t edges[] = {0, 1, 2, 124, 125, 126, 127, 128, 65535, 65536};
    switch (random_below(dice, 12)) {
    case 0:
        return edges[random_below(dice, sizeof edges / sizeof *edges)];
    case 1:
        return random_below(dice, PAYLOAD_BYTES_MAX);
    case 2:
    case 3:
        return random_below(dice, 2000);
    default:
        return random_below(dice, 60);
    }
}

/* Fills with valid UTF-8 of one to four octets a code point. */
static void roll_text(uint64_t *dice, uint8_t *text, size_t bytes)
{
    static const char *const points[] = {"a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    size_t at = 0;
    while (at < bytes) {
        size_t length = 1 + random_below(dice, 8) % 4;
        if (length > bytes - at)
            length = 1;
        memcpy(text + at, points[length - 1], length);
        at += length;
    }
}

/* A stream being made, beside the trace that it must give. */
struct maker {
    uint64_t dice;
    struct ws_stream stream;
    struct ws_trace expected;
    unsigned masked;
    bool deflate;
    uint8_t payload[PAYLOAD_BYTES_MAX + 1];
};

static void make_control(struct maker *maker)
{
    bool ping = random_below(&maker->dice, 2);
    size_t bytes = random_below(&maker->dice, 4) == 0 ? random_below(&maker->dice, 126)
                                                      : random_below(&maker->dice, 8);
    uint8_t payload[125];
    for (size_t i = 0; i < bytes; i++)
        payload[i] = (uint8_t)random_below(&maker->dice, 256);
    ws_stream_frame(&maker->stream,
                    WS_FIN | maker->masked | (ping ? (unsigned)FW_WS_PING : FW_WS_PONG), payload,
                    bytes);
    ws_trace_add(&maker->expected, &(struct fw_ws_event){
                                       .kind = ping ? FW_WS_GOT_PING : FW_WS_GOT_PONG,
                                       .bytes = payload,
                                       .bytes_count = bytes,
                                   });
}

/* One message in one to six frames, some of them empty, control frames between them. */
static void make_message(struct maker *maker)
{
    uint64_t *dice = &maker->dice;
    bool text = random_below(dice, 2);
    bool compressed = maker->deflate && random_below(dice, 2);
    size_t bytes = roll_length(dice);
    size_t frames = random_below(dice, 2) ? 1 : 1 + random_below(dice, 6);
    unsigned opcode = text ? FW_WS_TEXT : FW_WS_BINARY;
    if (text && !compressed)
        roll_text(dice, maker->payload, bytes);
    else
        for (size_t i = 0; i < bytes; i++)
            maker->payload[i] = (uint8_t)random_below(dice, 256);
    size_t at = 0;
    for (size_t i = 0; i < frames; i++) {
        bool last = i + 1 == frames;
        size_t piece = last ? bytes - at : random_below(dice, bytes - at + 1);
        unsigned bits = (last ? WS_FIN : 0) | maker->masked;
        if (i == 0)
            bits |= opcode | (compressed ? FW_WS_RSV1 : 0);
        ws_stream_frame(&maker->stream, bits, maker->payload + at, piece);
        at += piece;
        if (!last && random_below(dice, 4) == 0)
            make_control(maker);
    }
    ws_trace_add(&maker->expected, &(struct fw_ws_event){.kind = FW_WS_MESSAGE,
                                                         .bytes = maker->payload,
                                                         .bytes_count = bytes,
                                                         .opcode = (uint8_t)opcode,
                                                         .compressed = compressed});
}

static struct maker *make(uint64_t seed)
{
    struct maker *maker = calloc(1, sizeof *maker);
    cr_assert_not_null(maker);
    maker->dice = seed * 0x9e3779b97f4a7c15 + 1;
    maker->masked = random_below(&maker->dice, 2) ? WS_MASKED : 0;
    maker->deflate = random_below(&maker->dice, 2);
    ws_trace_init(&maker->expected);
    for (size_t messages = 1 + random_below(&maker->dice, MESSAGES_MAX); messages > 0; messages--) {
        if (random_below(&maker->dice, 5) == 0)
            make_control(maker);
        make_message(maker);
    }
    return maker;
}

static void unmake(struct maker *maker)
{
    ws_stream_clear(&maker->stream);
    ws_trace_clear(&maker->expected);
    free(maker);
}

static int compare(const void *a, const void *b)
{
    size_t x = *(const size_t *)a;
    size_t y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static size_t roll_cuts(uint64_t *dice, size_t bytes, size_t cuts[CUTS_MAX])
{
    size_t count = random_below(dice, CUTS_MAX);
    for (size_t i = 0; i < count; i++)
        cuts[i] = random_below(dice, bytes + 1);
    qsort(cuts, count, sizeof *cuts, compare);
    return count;
}

static void expect_same_however_cut(struct maker *maker, const char *expected, uint64_t seed)
{
    struct fw_ws_rules rules = {
        .message_bytes_max = PAYLOAD_BYTES_MAX, .fragments_max = 6, .client = maker->masked == 0};
    struct guard_buf guard;
    guard_buf_init(&guard, maker->stream.bytes_count);
    for (size_t i = 0; i < CUTS_PER_STREAM; i++) {
        size_t cuts[CUTS_MAX];
        size_t count = i == 0 ? 0 : roll_cuts(&maker->dice, maker->stream.bytes_count, cuts);
        struct ws_trace trace;
        ws_trace_init(&trace);
        ws_trace_decode(&trace, &maker->stream, &rules, maker->deflate, cuts, count, &guard);
        cr_assert_str_eq(trace.text, expected, "seed %llu, cutting %zu", (unsigned long long)seed,
                         i);
        ws_trace_clear(&trace);
    }
    guard_buf_clear(&guard);
}

Test(ws_decoder_property, gives_back_what_a_stream_was_made_from)
{
    /* RFC 6455, sections 5.2 to 5.6: any messages, any fragments, any control frames between them.
     */
    for (uint64_t seed = 1; seed <= STREAMS_COUNT; seed++) {
        struct maker *maker = make(seed);
        expect_same_however_cut(maker, maker->expected.text, seed);
        unmake(maker);
    }
}

Test(ws_decoder_property, gives_the_same_events_for_damaged_streams_however_cut)
{
    /* RFC 6455, section 5: a few octets changed, mostly near a frame's start; whatever that means
     * to the decoder, it means the same to every cutting. */
    size_t failures = 0;
    for (uint64_t seed = 1; seed <= STREAMS_COUNT; seed++) {
        struct maker *maker = make(seed);
        struct ws_stream *stream = &maker->stream;
        size_t near_start = stream->bytes_count < 200 ? stream->bytes_count : 200;
        for (size_t damages = 1 + random_below(&maker->dice, 3); damages > 0; damages--) {
            size_t at = random_below(
                &maker->dice, random_below(&maker->dice, 2) ? near_start : stream->bytes_count);
            stream->bytes[at] ^= (uint8_t)(1 + random_below(&maker->dice, 255));
        }
        struct fw_ws_rules rules = {.message_bytes_max = PAYLOAD_BYTES_MAX,
                                    .fragments_max = 6,
                                    .client = maker->masked == 0};
        struct ws_trace whole;
        ws_trace_init(&whole);
        ws_trace_decode(&whole, stream, &rules, maker->deflate, NULL, 0, NULL);
        failures += strstr(whole.text, "failed(") != NULL;
        expect_same_however_cut(maker, whole.text, seed);
        ws_trace_clear(&whole);
        unmake(maker);
    }
    cr_expect_gt(failures, STREAMS_COUNT / 10, "the damage does not show: %zu", failures);
}
