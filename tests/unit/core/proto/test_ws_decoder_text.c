/* test_ws_decoder_text.c: text messages are UTF-8, and judged octet by octet as they come (RFC
 * 6455, section 8.1; RFC 3629).
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
#define FINISH (WS_FIN | FW_WS_CONTINUATION)

/* Valid texts: the edges of every row of the table in RFC 3629, section 4. */
static const char *const valid_texts[] = {
    "\x7f",
    "\xc2\x80",
    "\xdf\xbf",
    "\xe0\xa0\x80",
    "\xe0\xbf\xbf",
    "\xe1\x80\x80",
    "\xec\xbf\xbf",
    "\xed\x80\x80",
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xef\xbf\xbf",
    "\xf0\x90\x80\x80",
    "\xf0\xbf\xbf\xbf",
    "\xf1\x80\x80\x80",
    "\xf3\xbf\xbf\xbf",
    "\xf4\x80\x80\x80",
    "\xf4\x8f\xbf\xbf",
    "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z",
};

/* Texts that cannot be continued to valid ones, and how many of their octets show it. */
static const struct {
    const char *text;
    size_t shown_by;
} invalid_texts[] = {
    {"\x80", 1},
    {"\xbf", 1},
    {"\xc0\xaf", 1},
    {"\xc1\xbf", 1},
    {"\xc2\x41", 2},
    {"\xc2\xc2", 2},
    {"\xe0\x80\xaf", 2},
    {"\xe0\x9f\xbf", 2},
    {"\xe1\x80\x41", 3},
    {"\xed\xa0\x80", 2},
    {"\xed\xbf\xbf", 2},
    {"\xef\xbf\xc0", 3},
    {"\xf0\x80\x80\xaf", 2},
    {"\xf0\x8f\xbf\xbf", 2},
    {"\xf1\x80\x80\x7f", 4},
    {"\xf4\x90\x80\x80", 2},
    {"\xf5\x80\x80\x80", 1},
    {"\xf8\x88\x80\x80\x80", 1},
    {"\xfe", 1},
    {"\xff", 1},
    {"abc\xc3\xa4\xff", 6},
};

/* The trace of one text message. */
static struct ws_trace trace_of_text(const char *text)
{
    struct ws_trace trace;
    ws_trace_init(&trace);
    ws_trace_add(&trace, &(struct fw_ws_event){.kind = FW_WS_MESSAGE,
                                               .bytes = (uint8_t *)(uintptr_t)text,
                                               .bytes_count = strlen(text),
                                               .opcode = FW_WS_TEXT});
    return trace;
}

Test(ws_decoder_text, accepts_the_edges_of_utf8_in_one_frame)
{
    /* RFC 3629, section 4 */
    for (size_t i = 0; i < COUNT(valid_texts); i++) {
        struct ws_trace expected = trace_of_text(valid_texts[i]);
        struct ws_frame_row row[FRAMES_MAX] = {{TEXT, valid_texts[i], strlen(valid_texts[i])}};
        ws_expect_row(row, false, expected.text);
        ws_trace_clear(&expected);
    }
}

Test(ws_decoder_text, lets_a_code_point_be_cut_by_frames_at_every_octet)
{
    /* RFC 6455, section 5.6: "a particular text frame might include a partial UTF-8 sequence" */
    for (size_t i = 0; i < COUNT(valid_texts); i++) {
        const char *text = valid_texts[i];
        struct ws_trace expected = trace_of_text(text);
        for (size_t cut = 0; cut <= strlen(text); cut++) {
            struct ws_frame_row row[FRAMES_MAX] = {
                {FW_WS_TEXT, text, cut},
                FRAME(FW_WS_CONTINUATION, ""),
                {FINISH, text + cut, strlen(text) - cut},
            };
            ws_expect_row(row, false, expected.text);
        }
        ws_trace_clear(&expected);
    }
}

Test(ws_decoder_text, refuses_what_is_not_utf8)
{
    /* RFC 6455, section 8.1; here at the end of a longer text too, beyond the short messages. */
    for (size_t i = 0; i < COUNT(invalid_texts); i++) {
        const char *text = invalid_texts[i].text;
        char longer[140] = {0};
        memset(longer, 'a', 130);
        snprintf(longer + 130, sizeof longer - 130, "%s", text);
        struct ws_frame_row row[FRAMES_MAX] = {{TEXT, text, strlen(text)}};
        struct ws_frame_row long_row[FRAMES_MAX] = {{TEXT, longer, strlen(longer)}};
        ws_expect_row(row, false, "failed(FW_ERR_WS_TEXT)");
        ws_expect_row(long_row, false, "failed(FW_ERR_WS_TEXT)");
    }
}

Test(ws_decoder_text, refuses_a_message_that_ends_inside_a_code_point)
{
    /* RFC 6455, section 8.1: complete frames and messages, but not complete code points. */
    static const char *const texts[] = {"\xc2",          "\xe2\x82",     "\xf0\x9f\x98",
                                        "a\xc3\xa4\xf4", "abcdefgh\xe0", "\xf4\x8f\xbf"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct ws_frame_row whole[FRAMES_MAX] = {{TEXT, texts[i], strlen(texts[i])}};
        struct ws_frame_row fragments[FRAMES_MAX] = {{FW_WS_TEXT, texts[i], strlen(texts[i])},
                                                     FRAME(FINISH, "")};
        ws_expect_row(whole, false, "failed(FW_ERR_WS_TEXT)");
        ws_expect_row(fragments, false, "failed(FW_ERR_WS_TEXT)");
    }
}

Test(ws_decoder_text, refuses_a_bad_octet_wherever_it_stands)
{
    /* RFC 6455, section 8.1: every position of every length that the short way and the wide kernels
     * treat differently. */
    for (size_t length = 1; length <= 200; length++) {
        for (size_t position = 0; position < length; position++) {
            struct ws_stream stream = {0};
            struct ws_trace trace;
            char payload[200];
            memset(payload, 'a', length);
            payload[position] = '\xff';
            ws_stream_frame(&stream, TEXT | WS_MASKED, payload, length);
            ws_trace_init(&trace);
            ws_trace_decode(&trace, &stream, &ws_server_rules, false, NULL, 0, NULL);
            cr_assert_str_eq(trace.text, "failed(FW_ERR_WS_TEXT)", "octet %zu of %zu", position,
                             length);
            ws_trace_clear(&trace);
            ws_stream_clear(&stream);
        }
    }
}

/* Feeds octet by octet; returns after how many the failure came, 0 for never. */
static size_t octets_until_failure(const struct ws_stream *stream, const struct fw_ws_rules *rules)
{
    struct fw_ws_decoder decoder;
    struct fw_ws_event event = {.kind = FW_WS_NEED_MORE};
    size_t count = 0;
    fw_ws_decoder_init(&decoder, false);
    while (count < stream->bytes_count && event.kind == FW_WS_NEED_MORE) {
        uint8_t *in = stream->bytes + count++;
        size_t in_bytes = 1;
        fw_ws_decoder_next(&decoder, rules, &in, &in_bytes, &event);
    }
    fw_ws_decoder_clear(&decoder);
    return event.kind == FW_WS_FAILED && event.status == FW_ERR_WS_TEXT ? count : 0;
}

Test(ws_decoder_text, fails_at_the_octet_that_shows_it)
{
    /* RFC 6455, section 8.1, judged early: f4 is still fine, f4 90 is already wrong; the rest of
     * the frame need not come. */
    for (size_t i = 0; i < COUNT(invalid_texts); i++) {
        struct ws_stream stream = {0};
        char payload[120] = {0};
        snprintf(payload, sizeof payload, "%s and a rest", invalid_texts[i].text);
        ws_stream_frame(&stream, TEXT | WS_MASKED, payload, sizeof payload);
        cr_expect_eq(octets_until_failure(&stream, &ws_server_rules), 6 + invalid_texts[i].shown_by,
                     "text %zu", i);
        ws_stream_clear(&stream);

        ws_stream_text(&stream, FW_WS_TEXT, "\xc3\xa4");
        ws_stream_frame(&stream, FW_WS_CONTINUATION, payload, sizeof payload);
        cr_expect_eq(octets_until_failure(&stream, &ws_client_rules),
                     4 + 2 + invalid_texts[i].shown_by, "text %zu, client", i);
        ws_stream_clear(&stream);
    }
}

Test(ws_decoder_text, keeps_the_state_across_control_frames)
{
    /* RFC 6455, section 5.4: a ping may stand inside a code point. */
    static const struct ws_frame_row good[FRAMES_MAX] = {
        FRAME(FW_WS_TEXT, "\xe2\x82"), FRAME(WS_FIN | FW_WS_PING, "\xff"), FRAME(FINISH, "\xac")};
    static const struct ws_frame_row bad[FRAMES_MAX] = {
        FRAME(FW_WS_TEXT, "\xe2\x82"), FRAME(WS_FIN | FW_WS_PING, "\xac"), FRAME(FINISH, "a")};
    ws_expect_row(good, false, "ping(\\xff) text(\\xe2\\x82\\xac)");
    ws_expect_row(bad, false, "ping(\\xac) failed(FW_ERR_WS_TEXT)");
}

Test(ws_decoder_text, starts_afresh_with_each_message)
{
    /* RFC 6455, section 5.6: binary octets are nobody's business; the next text starts clean. */
    static const struct ws_frame_row row[FRAMES_MAX] = {FRAME(FW_WS_BINARY, "\xf4"),
                                                        FRAME(FINISH, "\x90"),
                                                        FRAME(TEXT, "ok"),
                                                        FRAME(FW_WS_TEXT, "\xc3"),
                                                        FRAME(FINISH, "\xa4"),
                                                        FRAME(WS_FIN | FW_WS_BINARY, "\xc3"),
                                                        FRAME(TEXT, "ok")};
    ws_expect_row(row, false,
                  "binary(\\xf4\\x90) text(ok) text(\\xc3\\xa4) binary(\\xc3) text(ok)");
}
