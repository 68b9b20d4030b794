/* test_ws_decoder_refusals.c: every mistake that a peer can make with frames, and its status (RFC
 * 6455, sections 5 and 7.4); and the limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/ws_decoder.h"
#include "proto/ws_frame.h"
#include "unit/core/proto/ws_expect.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define TEXT   (WS_FIN | FW_WS_TEXT)
#define BINARY (WS_FIN | FW_WS_BINARY)
#define FINISH (WS_FIN | FW_WS_CONTINUATION)
#define CLOSE  (WS_FIN | FW_WS_CLOSE)
#define PING   (WS_FIN | FW_WS_PING)

/* Expects a stream of exactly these octets to fail with `status`, for a server. */
static void expect_refused(const void *octets, size_t count, const char *expected)
{
    struct ws_stream stream = {0};
    ws_stream_put(&stream, octets, count);
    ws_expect_events(&stream, &ws_server_rules, false, expected, expected);
    ws_stream_clear(&stream);
}

Test(ws_decoder_refuses, reserved_bits_that_no_extension_gave_a_meaning)
{
    /* RFC 6455, section 5.2: "MUST be 0 unless an extension is negotiated"; RFC 7692, section 6:
     * RSV1 only on the first frame of a data message. All seven, on every opcode. */
    static const unsigned opcodes[] = {FW_WS_TEXT, FW_WS_BINARY, FW_WS_CLOSE, FW_WS_PING,
                                       FW_WS_PONG};
    for (unsigned rsv = 0x10; rsv <= 0x70; rsv += 0x10) {
        for (size_t i = 0; i < COUNT(opcodes); i++) {
            bool data = opcodes[i] <= FW_WS_BINARY;
            struct ws_frame_row row[FRAMES_MAX] = {FRAME(WS_FIN | rsv | opcodes[i], "")};
            ws_expect_row(row, false, "failed(FW_ERR_WS_RESERVED_BITS)");
            if (!data || rsv != FW_WS_RSV1)
                ws_expect_row(row, true, "failed(FW_ERR_WS_RESERVED_BITS)");
        }
        struct ws_frame_row fragments[FRAMES_MAX] = {FRAME(FW_WS_TEXT, "a"),
                                                     FRAME(FINISH | rsv, "b")};
        ws_expect_row(fragments, false, "failed(FW_ERR_WS_RESERVED_BITS)");
        ws_expect_row(fragments, true, "failed(FW_ERR_WS_RESERVED_BITS)");
        fragments[0].bits |= FW_WS_RSV1;
        ws_expect_row(fragments, true, "failed(FW_ERR_WS_RESERVED_BITS)");
    }
}

Test(ws_decoder_refuses, reserved_opcodes)
{
    /* RFC 6455, section 5.2: 3 to 7 and b to f, at any place. */
    static const unsigned opcodes[] = {3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf};
    for (size_t i = 0; i < COUNT(opcodes); i++) {
        struct ws_frame_row first[FRAMES_MAX] = {FRAME(TEXT, "good"),
                                                 FRAME(WS_FIN | opcodes[i], "bad")};
        struct ws_frame_row inside[FRAMES_MAX] = {FRAME(FW_WS_TEXT, "good"),
                                                  FRAME(WS_FIN | opcodes[i], "bad")};
        ws_expect_row(first, false, "text(good) failed(FW_ERR_WS_OPCODE)");
        ws_expect_row(inside, false, "failed(FW_ERR_WS_OPCODE)");
    }
}

Test(ws_decoder_refuses, the_mask_the_wrong_way_round)
{
    /* RFC 6455, section 5.1: a server closes on an unmasked frame, a client on a masked one; every
     * opcode, every length form. */
    static const unsigned opcodes[] = {FW_WS_TEXT, FW_WS_BINARY, FW_WS_CLOSE, FW_WS_PING,
                                       FW_WS_PONG};
    static const size_t lengths[] = {0, 5, 125, 126, 65536};
    for (size_t i = 0; i < COUNT(opcodes) * COUNT(lengths); i++) {
        unsigned opcode = opcodes[i % COUNT(opcodes)];
        size_t length = lengths[i / COUNT(opcodes)];
        if (opcode >= FW_WS_CLOSE && length > 125)
            continue;
        for (int client = 0; client < 2; client++) {
            struct ws_stream stream = {0};
            ws_stream_frame(&stream, WS_FIN | opcode | (client ? WS_MASKED : 0), NULL, length);
            ws_expect_events(&stream, client ? &ws_client_rules : &ws_server_rules, false,
                             "failed(FW_ERR_WS_MASK)", "mask");
            ws_stream_clear(&stream);
        }
    }
}

Test(ws_decoder_refuses, a_wrong_mask_inside_a_message)
{
    /* RFC 6455, section 5.1: every frame, not only the first. */
    struct ws_stream stream = {0};
    ws_stream_text(&stream, FW_WS_TEXT | WS_MASKED, "Hel");
    ws_stream_text(&stream, FINISH, "lo");
    ws_expect_events(&stream, &ws_server_rules, false, "failed(FW_ERR_WS_MASK)", "continuation");
    ws_stream_clear(&stream);
}

Test(ws_decoder_refuses, lengths_that_are_not_minimal_or_too_large)
{
    /* RFC 6455, section 5.2 */
    expect_refused("\x81\xfe\x00\x7d", 4, "failed(FW_ERR_WS_LENGTH_NOT_MINIMAL)");
    expect_refused("\x81\xfe\x00\x00", 4, "failed(FW_ERR_WS_LENGTH_NOT_MINIMAL)");
    expect_refused("\x82\xff\0\0\0\0\0\0\xff\xff", 10, "failed(FW_ERR_WS_LENGTH_NOT_MINIMAL)");
    expect_refused("\x82\xff\0\0\0\0\0\0\0\0", 10, "failed(FW_ERR_WS_LENGTH_NOT_MINIMAL)");
    expect_refused("\x82\xff\x80\0\0\0\0\0\0\0", 10, "failed(FW_ERR_WS_LENGTH_TOO_LARGE)");
    expect_refused("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10,
                   "failed(FW_ERR_WS_LENGTH_TOO_LARGE)");
    /* With all their payload there, too. */
    expect_refused("\x82\xfe\x00\x05\1\2\3\4Hello", 13, "failed(FW_ERR_WS_LENGTH_NOT_MINIMAL)");
    expect_refused("\x82\xff\0\0\0\0\0\0\0\5\1\2\3\4Hello", 19,
                   "failed(FW_ERR_WS_LENGTH_NOT_MINIMAL)");
}

Test(ws_decoder_refuses, control_frames_that_are_long_or_fragmented)
{
    /* RFC 6455, section 5.5 */
    for (unsigned opcode = FW_WS_CLOSE; opcode <= FW_WS_PONG; opcode++) {
        uint8_t longer[] = {(uint8_t)(0x80 | opcode), 0xfe, 0, 126, 1, 2, 3, 4};
        uint8_t longest[] = {(uint8_t)(0x80 | opcode), 0xff};
        uint8_t fragment[] = {(uint8_t)opcode, 0x80, 1, 2, 3, 4};
        expect_refused(longer, sizeof longer, "failed(FW_ERR_WS_CONTROL_TOO_LONG)");
        expect_refused(longest, sizeof longest, "failed(FW_ERR_WS_CONTROL_TOO_LONG)");
        expect_refused(fragment, sizeof fragment, "failed(FW_ERR_WS_CONTROL_FRAGMENTED)");
    }
}

Test(ws_decoder_refuses, continuations_of_nothing)
{
    /* RFC 6455, section 5.4: final or not, first or after a whole message. */
    static const struct ws_frame_row rows[][FRAMES_MAX] = {
        {FRAME(FINISH, "a")},
        {FRAME(FW_WS_CONTINUATION, "a")},
        {FRAME(FW_WS_CONTINUATION, "")},
        {FRAME(PING, ""), FRAME(FINISH, "a")},
        {FRAME(TEXT, "a"), FRAME(FINISH, "b")},
        {FRAME(FW_WS_TEXT, "a"), FRAME(FINISH, "b"), FRAME(FW_WS_CONTINUATION, "c")},
    };
    static const char *const before[] = {"", "", "", "ping() ", "text(a) ", "text(ab) "};
    for (size_t i = 0; i < COUNT(rows); i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "%sfailed(FW_ERR_WS_CONTINUATION)", before[i]);
        ws_expect_row(rows[i], false, expected);
    }
}

Test(ws_decoder_refuses, a_message_inside_a_message)
{
    /* RFC 6455, section 5.4: "fragments of one message MUST NOT be interleaved" */
    static const struct ws_frame_row rows[][FRAMES_MAX] = {
        {FRAME(FW_WS_TEXT, "a"), FRAME(TEXT, "b")},
        {FRAME(FW_WS_TEXT, ""), FRAME(BINARY, "")},
        {FRAME(FW_WS_BINARY, "a"), FRAME(FW_WS_CONTINUATION, "b"), FRAME(FW_WS_TEXT, "c")},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        ws_expect_row(rows[i], false, "failed(FW_ERR_WS_INTERLEAVED)");
}

Test(ws_decoder_refuses, a_close_of_one_octet)
{
    /* RFC 6455, section 5.5.1: "If there is a body, the first two bytes of the body MUST be a
     * 2-byte unsigned integer" */
    static const struct ws_frame_row row[FRAMES_MAX] = {FRAME(CLOSE, "\x03")};
    ws_expect_row(row, false, "failed(FW_ERR_WS_CLOSE_PAYLOAD)");
}

Test(ws_decoder_refuses, every_close_code_that_must_not_be_sent)
{
    /* RFC 6455, section 7.4: all 65536, with and without a reason. */
    for (unsigned code = 0; code < 65536; code++) {
        const uint8_t payload[] = {(uint8_t)(code >> 8), (uint8_t)code, 'r'};
        struct ws_stream stream = {0};
        struct ws_trace trace;
        char expected[64];
        bool reason = code % 2;
        snprintf(expected, sizeof expected, reason ? "close(%u r)" : "close(%u)", code);
        ws_stream_frame(&stream, CLOSE | WS_MASKED, payload, reason ? 3 : 2);
        ws_trace_init(&trace);
        ws_trace_decode(&trace, &stream, &ws_server_rules, false, NULL, 0, NULL);
        cr_expect_str_eq(trace.text,
                         fw_ws_close_code_valid(code) ? expected : "failed(FW_ERR_WS_CLOSE_CODE)");
        ws_trace_clear(&trace);
        ws_stream_clear(&stream);
    }
}

Test(ws_decoder_refuses, close_reasons_that_are_not_utf8)
{
    /* RFC 6455, sections 5.5.1 and 8.1; an incomplete code point is not UTF-8 either. */
    static const struct ws_frame_row rows[][FRAMES_MAX] = {
        {FRAME(CLOSE, "\x03\xe8\xff")},
        {FRAME(CLOSE, "\x03\xe8ok\xe2\x82")},
        {FRAME(CLOSE, "\x03\xe8\xed\xa0\x80")},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        ws_expect_row(rows[i], false, "failed(FW_ERR_WS_CLOSE_REASON)");
}

Test(ws_decoder_refuses, each_with_the_close_code_of_the_table)
{
    /* RFC 6455, section 7.4.1: 1002 protocol error, 1007 bad data, 1009 too big, 1011 ours. */
    static const struct {
        int value;
        int answer;
    } answers[] = {
#define ANSWER(name, value, answer, sentence) {name, answer},
        FW_STATUS_TABLE(ANSWER)
#undef ANSWER
    };
    for (size_t i = 0; i < COUNT(answers); i++) {
        int expected = 1002;
        if (answers[i].value > FW_ERR_WS_RESERVED_BITS || answers[i].value < FW_ERR_WS_MEMORY)
            continue;
        if (answers[i].value == FW_ERR_WS_TEXT || answers[i].value == FW_ERR_WS_CLOSE_REASON ||
            answers[i].value == FW_ERR_WS_INFLATE)
            expected = 1007;
        if (answers[i].value == FW_ERR_WS_MESSAGE_TOO_LARGE ||
            answers[i].value == FW_ERR_WS_FRAGMENTS_TOO_MANY)
            expected = 1009;
        if (answers[i].value == FW_ERR_WS_MEMORY)
            expected = 1011;
        cr_expect_eq(answers[i].answer, expected, "%d", answers[i].value);
    }
}

Test(ws_decoder_refuses, messages_over_the_limit)
{
    /* RFC 6455, section 10.4: exactly the limit passes, one octet more does not: in one frame, in
     * the sum of fragments, at every limit around the short form. */
    static const size_t limits[] = {0, 1, 10, 124, 125, 126, 127, 200};
    for (size_t i = 0; i < COUNT(limits) * 4; i++) {
        size_t limit = limits[i / 4];
        bool over = i % 2;
        bool fragments = i / 2 % 2;
        size_t bytes = limit + (over ? 1 : 0);
        struct fw_ws_rules rules = {.message_bytes_max = limit, .fragments_max = 128};
        struct ws_stream stream = {0};
        struct ws_trace expected;
        uint8_t *zeros = calloc(1, bytes + 1);
        ws_trace_init(&expected);
        struct fw_ws_event message = {
            .kind = FW_WS_MESSAGE, .bytes = zeros, .bytes_count = limit, .opcode = FW_WS_BINARY};
        struct fw_ws_event failed = {.kind = FW_WS_FAILED, .status = FW_ERR_WS_MESSAGE_TOO_LARGE};
        ws_trace_add(&expected, over ? &failed : &message);
        if (fragments) {
            ws_stream_frame(&stream, FW_WS_BINARY | WS_MASKED, NULL, bytes / 2);
            ws_stream_frame(&stream, FINISH | WS_MASKED, NULL, bytes - bytes / 2);
        } else {
            ws_stream_frame(&stream, BINARY | WS_MASKED, NULL, bytes);
        }
        ws_expect_events(&stream, &rules, false, expected.text, "limit");
        free(zeros);
        ws_trace_clear(&expected);
        ws_stream_clear(&stream);
    }
}

Test(ws_decoder_refuses, compressed_messages_over_a_limit_of_their_own)
{
    /* RFC 7692, section 6, and RFC 6455, section 10.4: stored blocks are longer than what comes out
     * of them. The limit holds for the sum of fragments; plain messages keep the other one. */
    struct fw_ws_rules rules = {
        .message_bytes_max = 10, .compressed_bytes_max = 15, .fragments_max = 128};
    static const struct {
        unsigned first_bits;
        size_t first, second;
        const char *expected;
    } cases[] = {
        {FW_WS_RSV1, 15, 0,
         "binary*(\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"
         "\\x00\\x00\\x00)"},
        {FW_WS_RSV1, 16, 0, "failed(FW_ERR_WS_MESSAGE_TOO_LARGE)"},
        {FW_WS_RSV1, 8, 8, "failed(FW_ERR_WS_MESSAGE_TOO_LARGE)"},
        {0, 11, 0, "failed(FW_ERR_WS_MESSAGE_TOO_LARGE)"},
        {0, 6, 5, "failed(FW_ERR_WS_MESSAGE_TOO_LARGE)"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ws_stream stream = {0};
        ws_stream_frame(&stream, FW_WS_BINARY | cases[i].first_bits | WS_MASKED, NULL,
                        cases[i].first);
        ws_stream_frame(&stream, FINISH | WS_MASKED, NULL, cases[i].second);
        ws_expect_events(&stream, &rules, true, cases[i].expected, cases[i].expected);
        ws_stream_clear(&stream);
    }
}

Test(ws_decoder_refuses, announced_lengths_on_the_header_alone)
{
    /* RFC 6455, section 10.4: no payload has come, and none is waited for. The sum of what came and
     * what is announced would overflow in the last rows. */
    static const struct {
        const char *octets;
        size_t count;
    } bombs[] = {
        {"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\1\2\3\4", 14},
        {"\x82\xff\x00\x00\x00\x00\x80\x00\x00\x00\1\2\3\4", 14},
        {"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x01\1\2\3\4", 14},
        {"\x02\x81\0\0\0\0x\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff\1\2\3\4", 21},
        {"\x02\x81\0\0\0\0x\x80\xff\x00\x00\x00\x00\x00\x01\x00\x00\1\2\3\4", 21},
    };
    for (size_t i = 0; i < COUNT(bombs); i++)
        expect_refused(bombs[i].octets, bombs[i].count, "failed(FW_ERR_WS_MESSAGE_TOO_LARGE)");
}

Test(ws_decoder_refuses, sums_that_would_overflow_without_any_limit)
{
    /* RFC 6455, section 5.2: 2^63-1 octets announced behind others, no limit but the type's. */
    struct fw_ws_rules rules = {.message_bytes_max = INT64_MAX};
    struct ws_stream stream = {0};
    ws_stream_text(&stream, FW_WS_BINARY | WS_MASKED, "some");
    ws_stream_put(&stream, "\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff\1\2\3\4", 14);
    ws_expect_events(&stream, &rules, false, "failed(FW_ERR_WS_MESSAGE_TOO_LARGE)", "sum");
    ws_stream_clear(&stream);
}

Test(ws_decoder_refuses, messages_that_a_lowered_limit_no_longer_allows)
{
    /* Not in the RFC: the limit may be changed at run time, in the middle of a message. */
    struct fw_ws_rules rules = ws_server_rules;
    struct fw_ws_decoder decoder;
    struct ws_trace trace;
    struct ws_stream stream = {0};
    ws_trace_init(&trace);
    fw_ws_decoder_init(&decoder, false);
    ws_stream_frame(&stream, FW_WS_BINARY | WS_MASKED, NULL, 100);
    ws_trace_feed(&trace, &decoder, &rules, stream.bytes, stream.bytes_count, NULL);
    ws_stream_clear(&stream);
    rules.message_bytes_max = 50;
    ws_stream_text(&stream, FINISH | WS_MASKED, "a");
    ws_trace_feed(&trace, &decoder, &rules, stream.bytes, stream.bytes_count, NULL);
    cr_expect_str_eq(trace.text, "failed(FW_ERR_WS_MESSAGE_TOO_LARGE)");
    fw_ws_decoder_clear(&decoder);
    ws_stream_clear(&stream);
    ws_trace_clear(&trace);
}

Test(ws_decoder_refuses, more_fragments_than_the_limit)
{
    /* RFC 6455, section 10.4: frames are counted, empty ones too, control frames not. */
    struct fw_ws_rules rules = {.message_bytes_max = 1000, .fragments_max = 3};
    for (size_t frames = 1; frames <= 5; frames++) {
        struct ws_stream stream = {0};
        for (size_t i = 0; i < frames; i++) {
            unsigned fin = i + 1 == frames ? WS_FIN : 0;
            ws_stream_text(&stream, fin | (i == 0 ? FW_WS_TEXT : 0) | WS_MASKED, "");
            ws_stream_text(&stream, WS_FIN | FW_WS_PONG | WS_MASKED, "");
        }
        static const char *const expected[] = {
            "text() pong()",
            "pong() text() pong()",
            "pong() pong() text() pong()",
            "pong() pong() pong() failed(FW_ERR_WS_FRAGMENTS_TOO_MANY)",
            "pong() pong() pong() failed(FW_ERR_WS_FRAGMENTS_TOO_MANY)",
        };
        ws_expect_events(&stream, &rules, false, expected[frames - 1], "fragments");
        ws_stream_clear(&stream);
    }
}

Test(ws_decoder_refuses, a_second_fragment_when_one_frame_is_the_limit)
{
    /* RFC 6455, section 10.4: the smallest limit there is. */
    struct fw_ws_rules rules = {.message_bytes_max = 1000, .fragments_max = 1};
    struct ws_stream stream = {0};
    ws_stream_text(&stream, TEXT | WS_MASKED, "one");
    ws_stream_text(&stream, FW_WS_TEXT | WS_MASKED, "t");
    ws_stream_text(&stream, FINISH | WS_MASKED, "wo");
    ws_expect_events(&stream, &rules, false, "text(one) failed(FW_ERR_WS_FRAGMENTS_TOO_MANY)",
                     "one");
    ws_stream_clear(&stream);
}
