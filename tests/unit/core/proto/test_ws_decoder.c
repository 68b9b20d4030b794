/* test_ws_decoder.c: bytes in, events out: messages, control frames, closing (RFC 6455, sections 5
 * to 7). What is refused is in test_ws_decoder_refusals.c, text in test_ws_decoder_text.c, memory
 * in test_ws_decoder_memory.c.
 *
 * Unless a test says otherwise, each stream is decoded in both roles and cut at every pair of
 * places, every piece flush against an unreadable page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/ws_decoder.h"
#include "proto/ws_frame.h"
#include "unit/core/proto/ws_expect.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define TEXT     (WS_FIN | FW_WS_TEXT)
#define BINARY   (WS_FIN | FW_WS_BINARY)
#define CONTINUE FW_WS_CONTINUATION
#define FINISH   (WS_FIN | FW_WS_CONTINUATION)
#define CLOSE    (WS_FIN | FW_WS_CLOSE)
#define PING     (WS_FIN | FW_WS_PING)
#define PONG     (WS_FIN | FW_WS_PONG)

struct row {
    struct ws_frame_row frames[FRAMES_MAX];
    const char *expected;
};

static void expect_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ws_expect_row(rows[i].frames, false, rows[i].expected);
}

Test(ws_decoder, reads_whole_messages)
{
    /* RFC 6455, sections 5.6 and 5.7 */
    static const struct row rows[] = {
        {{FRAME(TEXT, "Hello")}, "text(Hello)"},
        {{FRAME(TEXT, "")}, "text()"},
        {{FRAME(BINARY, "")}, "binary()"},
        {{FRAME(BINARY, "\x00\xff\x80\x7f")}, "binary(\\x00\\xff\\x80\\x7f)"},
        {{FRAME(TEXT, "a"), FRAME(TEXT, "bc"), FRAME(BINARY, "d"), FRAME(TEXT, "")},
         "text(a) text(bc) binary(d) text()"},
    };
    expect_rows(rows, COUNT(rows));
}

Test(ws_decoder, joins_fragments)
{
    /* RFC 6455, section 5.4; frames may be empty, the last one too. */
    static const struct row rows[] = {
        {{FRAME(FW_WS_TEXT, "Hel"), FRAME(FINISH, "lo")}, "text(Hello)"},
        {{FRAME(FW_WS_TEXT, "Hel"), FRAME(CONTINUE, "lo"), FRAME(FINISH, "")}, "text(Hello)"},
        {{FRAME(FW_WS_TEXT, ""), FRAME(CONTINUE, ""), FRAME(FINISH, "")}, "text()"},
        {{FRAME(FW_WS_BINARY, ""), FRAME(CONTINUE, "\xff"), FRAME(CONTINUE, ""),
          FRAME(FINISH, "a")},
         "binary(\\xffa)"},
        {{FRAME(FW_WS_TEXT, "1"), FRAME(FINISH, "2"), FRAME(TEXT, "3"), FRAME(FW_WS_BINARY, "4"),
          FRAME(FINISH, "5")},
         "text(12) text(3) binary(45)"},
    };
    expect_rows(rows, COUNT(rows));
}

Test(ws_decoder, reads_every_length_at_the_edges_of_its_form)
{
    /* RFC 6455, section 5.2: 7, 16 and 64 bits of length. */
    static const size_t lengths[] = {1, 124, 125, 126, 127, 128, 255, 256, 4096, 65535, 65536};
    struct fw_ws_rules rules = {.message_bytes_max = 65536, .fragments_max = 1};
    for (size_t i = 0; i < COUNT(lengths) * 2; i++) {
        struct ws_stream stream = {0};
        struct ws_trace expected;
        rules.client = i % 2;
        ws_stream_frame(&stream, BINARY | (rules.client ? 0 : WS_MASKED), NULL, lengths[i / 2]);
        uint8_t *zeros = calloc(1, lengths[i / 2]);
        ws_trace_init(&expected);
        ws_trace_add(&expected, &(struct fw_ws_event){.kind = FW_WS_MESSAGE,
                                                      .bytes = zeros,
                                                      .bytes_count = lengths[i / 2],
                                                      .opcode = FW_WS_BINARY});
        ws_expect_events(&stream, &rules, false, expected.text, "length");
        free(zeros);
        ws_trace_clear(&expected);
        ws_stream_clear(&stream);
    }
}

Test(ws_decoder, hands_out_a_whole_frame_where_it_stands)
{
    /* RFC 6455, section 5.3: unmasked in place; no copy, nothing on the heap. */
    static const size_t lengths[] = {0, 5, 125, 126, 65536};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct ws_stream stream = {0};
        struct fw_ws_decoder decoder;
        struct fw_ws_event event;
        ws_stream_frame(&stream, TEXT | WS_MASKED, NULL, lengths[i]);
        uint8_t *in = stream.bytes;
        size_t in_bytes = stream.bytes_count;
        fw_ws_decoder_init(&decoder, false);
        fw_ws_decoder_next(&decoder, &ws_server_rules, &in, &in_bytes, &event);
        cr_expect_eq(event.kind, FW_WS_MESSAGE);
        cr_expect_eq(event.bytes, stream.bytes + stream.bytes_count - lengths[i]);
        cr_expect_not(event.assembled);
        cr_expect_eq(in_bytes, 0);
        cr_expect_eq(fw_ws_decoder_heap_bytes(&decoder), 0);
        ws_stream_clear(&stream);
    }
}

Test(ws_decoder, marks_compressed_messages_and_leaves_their_octets_alone)
{
    /* RFC 7692, section 6: RSV1 on the first frame of a message only; the octets are not text. */
    static const struct row rows[] = {
        {{FRAME(TEXT | FW_WS_RSV1, "\xf2\x48\xcd")}, "text*(\\xf2H\\xcd)"},
        {{FRAME(BINARY | FW_WS_RSV1, "\x00")}, "binary*(\\x00)"},
        {{FRAME(FW_WS_TEXT | FW_WS_RSV1, "\xf2"), FRAME(PING, "p"), FRAME(FINISH, "\xcd")},
         "ping(p) text*(\\xf2\\xcd)"},
        {{FRAME(TEXT | FW_WS_RSV1, "\xff"), FRAME(TEXT, "plain"), FRAME(FW_WS_TEXT, "pl"),
          FRAME(FINISH, "ain")},
         "text*(\\xff) text(plain) text(plain)"},
        {{FRAME(TEXT | FW_WS_RSV1, "a"), FRAME(TEXT, "\xff")}, "text*(a) failed(FW_ERR_WS_TEXT)"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        ws_expect_row(rows[i].frames, true, rows[i].expected);
}

Test(ws_decoder, hands_out_pings_and_pongs)
{
    /* RFC 6455, sections 5.5.2 and 5.5.3; a pong that nobody asked for is allowed. */
    static const struct row rows[] = {
        {{FRAME(PING, "")}, "ping()"},
        {{FRAME(PONG, "")}, "pong()"},
        {{FRAME(PING, "Hello"), FRAME(PONG, "\xff\x00")}, "ping(Hello) pong(\\xff\\x00)"},
        {{FRAME(PONG, "a"), FRAME(TEXT, "b"), FRAME(PING, "c")}, "pong(a) text(b) ping(c)"},
    };
    expect_rows(rows, COUNT(rows));
}

Test(ws_decoder, reads_control_frames_of_125_octets)
{
    /* RFC 6455, section 5.5: the longest one, cut everywhere, alone and inside a message. */
    char payload[126] = {0};
    memset(payload, 'x', 125);
    struct ws_trace expected;
    ws_trace_init(&expected);
    struct fw_ws_event ping = {
        .kind = FW_WS_GOT_PING, .bytes = (uint8_t *)payload, .bytes_count = 125};
    struct fw_ws_event text = {
        .kind = FW_WS_MESSAGE, .bytes = (uint8_t *)payload, .bytes_count = 4, .opcode = FW_WS_TEXT};
    ws_trace_add(&expected, &ping);
    ws_trace_add(&expected, &ping);
    ws_trace_add(&expected, &text);
    struct ws_stream stream = {0};
    ws_stream_text(&stream, PING | WS_MASKED, payload);
    ws_stream_text(&stream, FW_WS_TEXT | WS_MASKED, "xx");
    ws_stream_text(&stream, PING | WS_MASKED, payload);
    ws_stream_text(&stream, FINISH | WS_MASKED, "xx");
    ws_expect_events(&stream, &ws_server_rules, false, expected.text, "two pings of 125");
    ws_stream_clear(&stream);
    ws_trace_clear(&expected);
}

Test(ws_decoder, lets_control_frames_between_fragments_at_every_position)
{
    /* RFC 6455, section 5.4: "Control frames MAY be injected in the middle of a fragmented
     * message"; they come out at once, the message when it ends. */
    static const struct ws_frame_row controls[] = {FRAME(PING, "p"), FRAME(PONG, ""),
                                                   FRAME(PING, "longer than a word")};
    static const char *const names[] = {"ping(p)", "pong()", "ping(longer than a word)"};
    static const struct ws_frame_row fragments[] = {FRAME(FW_WS_TEXT, "Hel"), FRAME(CONTINUE, ""),
                                                    FRAME(CONTINUE, "l"), FRAME(FINISH, "o")};
    for (size_t control = 0; control < COUNT(controls); control++) {
        for (size_t position = 0; position <= COUNT(fragments); position++) {
            struct ws_frame_row row[FRAMES_MAX] = {0};
            char expected[64];
            size_t count = 0;
            for (size_t i = 0; i <= COUNT(fragments); i++) {
                if (i == position)
                    row[count++] = controls[control];
                if (i < COUNT(fragments))
                    row[count++] = fragments[i];
            }
            bool last = position == COUNT(fragments);
            snprintf(expected, sizeof expected, "%s %s", last ? "text(Hello)" : names[control],
                     last ? names[control] : "text(Hello)");
            ws_expect_row(row, false, expected);
        }
    }
}

Test(ws_decoder, hands_out_a_close_with_its_code_and_reason)
{
    /* RFC 6455, sections 5.5.1 and 7.1.5: 1005 stands for a frame without a code. */
    static const struct row rows[] = {
        {{FRAME(CLOSE, "")}, "close(1005)"},
        {{FRAME(CLOSE, "\x03\xe8")}, "close(1000)"},
        {{FRAME(CLOSE, "\x03\xe9going")}, "close(1001 going)"},
        {{FRAME(CLOSE, "\x13\x87\xc3\xa4")}, "close(4999 \\xc3\\xa4)"},
        {{FRAME(TEXT, "a"), FRAME(CLOSE, "\x0b\xb8")}, "text(a) close(3000)"},
    };
    expect_rows(rows, COUNT(rows));
}

Test(ws_decoder, accepts_a_close_reason_of_123_octets)
{
    /* RFC 6455, section 5.5: 125 octets, two of which are the code. */
    uint8_t payload[125] = {0x03, 0xe8};
    memset(payload + 2, 'r', 123);
    struct ws_trace expected;
    ws_trace_init(&expected);
    ws_trace_add(&expected, &(struct fw_ws_event){.kind = FW_WS_GOT_CLOSE,
                                                  .bytes = payload + 2,
                                                  .bytes_count = 123,
                                                  .close_code = 1000});
    struct ws_stream stream = {0};
    ws_stream_frame(&stream, CLOSE | WS_MASKED, payload, sizeof payload);
    ws_expect_events(&stream, &ws_server_rules, false, expected.text, "long reason");
    ws_stream_clear(&stream);
    ws_trace_clear(&expected);
}

Test(ws_decoder, takes_a_close_in_the_middle_of_a_message)
{
    /* RFC 6455, sections 5.4 and 5.5.1: the message that was under way is dropped. */
    static const struct row rows[] = {
        {{FRAME(FW_WS_TEXT, "Hel"), FRAME(CLOSE, "\x03\xe8"), FRAME(FINISH, "lo")}, "close(1000)"},
        {{FRAME(FW_WS_TEXT, "Hel"), FRAME(CLOSE, "\x03\xe8why")}, "close(1000 why)"},
    };
    expect_rows(rows, COUNT(rows));
}

Test(ws_decoder, ignores_everything_after_a_close)
{
    /* RFC 6455, section 1.4: "discards any further data received" */
    static const struct row rows[] = {
        {{FRAME(CLOSE, ""), FRAME(TEXT, "late")}, "close(1005)"},
        {{FRAME(CLOSE, "\x03\xe8"), FRAME(CLOSE, "\x03\xe8")}, "close(1000)"},
        {{FRAME(CLOSE, "\x03\xe8"), FRAME(PING, "late"), FRAME(3, "nonsense")}, "close(1000)"},
        {{FRAME(CLOSE, "\x03\xe8ok"), FRAME(FW_WS_TEXT, "\xff"), FRAME(FINISH, "")},
         "close(1000 ok)"},
    };
    expect_rows(rows, COUNT(rows));
}

Test(ws_decoder, ignores_everything_after_a_failure)
{
    /* RFC 6455, section 7.1.7 */
    static const struct row rows[] = {
        {{FRAME(WS_FIN | 3, ""), FRAME(TEXT, "late")}, "failed(FW_ERR_WS_OPCODE)"},
        {{FRAME(TEXT, "\xff"), FRAME(CLOSE, "\x03\xe8")}, "failed(FW_ERR_WS_TEXT)"},
        {{FRAME(FW_WS_TEXT, "a"), FRAME(TEXT, "b"), FRAME(FINISH, "c")},
         "failed(FW_ERR_WS_INTERLEAVED)"},
    };
    expect_rows(rows, COUNT(rows));
}

Test(ws_decoder, needs_more_when_there_is_nothing)
{
    /* No input, no address: nothing to do, before, inside and after a frame. */
    struct fw_ws_decoder decoder;
    struct fw_ws_event event;
    struct ws_stream stream = {0};
    ws_stream_text(&stream, TEXT | WS_MASKED, "Hello");
    fw_ws_decoder_init(&decoder, false);
    for (size_t i = 0; i <= stream.bytes_count; i++) {
        uint8_t *in = NULL;
        size_t in_bytes = 0;
        fw_ws_decoder_next(&decoder, &ws_server_rules, &in, &in_bytes, &event);
        cr_expect_eq(event.kind, FW_WS_NEED_MORE);
        if (i == stream.bytes_count)
            break;
        in = stream.bytes + i;
        in_bytes = 1;
        fw_ws_decoder_next(&decoder, &ws_server_rules, &in, &in_bytes, &event);
        cr_expect_eq(event.kind, i + 1 < stream.bytes_count ? FW_WS_NEED_MORE : FW_WS_MESSAGE);
    }
    fw_ws_decoder_clear(&decoder);
    ws_stream_clear(&stream);
}
