/* test_ws_client.c: the client's side of the opening handshake (RFC 6455, section 4.1), and frames
 * in client role (section 5.1).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/fail_mem.h"
#include "support/fake_host.h"

#include "base/limits.h"
#include "session/compress.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD                                                                                       \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static const struct fw_ws_dial_options plain = {.host = "example.com", .target = "/chat?room=1"};

static void dial_with(struct fake_host *fake, const struct fw_ws_dial_options *options)
{
    struct fw_ws_dial *dial;
    fake_host_init(fake);
    cr_assert_eq(fw_ws_dial_create(options, &dial), 0);
    fake_host_dial(fake, dial);
    fake_host_flush(fake);
}

static void dial(struct fake_host *fake)
{
    dial_with(fake, &plain);
}

/* A connection that is open, and of which nothing has been told or sent yet. */
static void open_client(struct fake_host *fake)
{
    dial(fake);
    fake_host_say(fake, HEAD "\r\n");
    cr_assert_str_eq(fake->told, "opened()");
    fake->told[0] = '\0';
}

static void server_frame(struct fake_host *fake, unsigned bits, const char *payload)
{
    struct ws_stream stream = {0};
    ws_stream_text(&stream, bits, payload);
    fake_host_receive(fake, stream.bytes, stream.bytes_count);
    fake_host_flush(fake);
    ws_stream_clear(&stream);
}

/* ---- the request ----------------------------------------------------------------------------- */

/* RFC 6455, section 4.1: the request's parts. */
Test(ws_client, asks_for_a_websocket)
{
    struct fake_host fake;
    dial_with(&fake, &(struct fw_ws_dial_options){.host = "example.com:8080",
                                                  .target = "/chat",
                                                  .protocols = "chat, superchat",
                                                  .origin = "https://example.com",
                                                  .headers = "X-Token: abc\r\nCookie: a=b\r\n"});
    const char *sent = fake_host_sent(&fake);
    cr_assert_eq(strncmp(sent, "GET /chat HTTP/1.1\r\n", 20), 0);
    static const char *const lines[] = {
        "\r\nHost: example.com:8080\r\n",
        "\r\nUpgrade: websocket\r\n",
        "\r\nConnection: Upgrade\r\n",
        "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "\r\nSec-WebSocket-Version: 13\r\n",
        "\r\nSec-WebSocket-Protocol: chat, superchat\r\n",
        "\r\nOrigin: https://example.com\r\n",
        "\r\nX-Token: abc\r\n",
        "\r\nCookie: a=b\r\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_assert_not_null(strstr(sent, lines[i]), "no %s in %s", lines[i], sent);
    cr_assert_null(strstr(sent, "Extensions"), "nothing compresses: nothing is offered");
    cr_assert_str_eq(sent + strlen(sent) - 4, "\r\n\r\n");
    fake_host_clear(&fake);
}

/* What a head must not hold is refused before anything is connected. */
Test(ws_client, refuses_strings_that_are_no_part_of_a_head)
{
    static const struct fw_ws_dial_options wrong[] = {
        {.host = NULL, .target = "/"},
        {.host = "a", .target = NULL},
        {.host = "", .target = "/"},
        {.host = "a b", .target = "/"},
        {.host = "a\r\nX: y", .target = "/"},
        {.host = "a", .target = "/ HTTP/1.1\r\nX: y"},
        {.host = "a", .target = "/", .protocols = "a\r\nX: y"},
        {.host = "a", .target = "/", .origin = "a\r\nX: y"},
        {.host = "a", .target = "/", .origin = "a\nX: y"},
        {.host = "a", .target = "/", .headers = "X: y\r\n\r\nGET / HTTP/1.1\r\n"},
        {.host = "a", .target = "/", .headers = "X: y\n"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fw_ws_dial *made = NULL;
        cr_assert_eq(fw_ws_dial_create(&wrong[i], &made), FW_ERR_USAGE, "case %zu", i);
    }
    char *large = calloc(1, 9000);
    memset(large, 'a', 8999);
    large[0] = '/';
    struct fw_ws_dial *made = NULL;
    cr_assert_eq(
        fw_ws_dial_create(&(struct fw_ws_dial_options){.host = "a", .target = large}, &made),
        FW_ERR_LIMIT);
    free(large);
}

/* ---- the answer ------------------------------------------------------------------------------ */

struct answer {
    const char *head;
    const char *told;
};

static const struct answer answers[] = {
    {HEAD "\r\n", "opened()"},
    {HEAD "Sec-WebSocket-Protocol: chat\r\n\r\n", "opened(chat)"},
    {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" HEAD "\r\n",
     "opened()"},
    /* frames behind the head */
    {HEAD "\r\n\x81\x02hi", "opened() text(hi)"},
    {HEAD "\r\n\x88\x02\x03\xe8", "opened() closed(1000)"},
    /* refusals: told with their status and the beginning of their body */
    {"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nthere",
     "failed(FW_ERR_WS_REFUSED 404 there)"},
    {"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nthere, and more",
     "failed(FW_ERR_WS_REFUSED 404 there)"},
    {"HTTP/1.1 301 Moved\r\nLocation: ws://b/\r\nContent-Length: 0\r\n\r\n",
     "failed(FW_ERR_WS_REFUSED 301 )"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "failed(FW_ERR_WS_REFUSED 200 )"},
    /* what is no answer to our request */
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
     "failed(FW_ERR_WS_ACCEPT 101 )"},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
     "failed(FW_ERR_WS_ACCEPT 101 )"},
    {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
     "failed(FW_ERR_WS_UPGRADE 101 )"},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
     "failed(FW_ERR_WS_UPGRADE 101 )"},
    {HEAD "Sec-WebSocket-Protocol: other\r\n\r\n\x81\x02hi", "failed(FW_ERR_WS_OFFER 101 )"},
    {HEAD "Sec-WebSocket-Protocol: other\r\n\r\n", "failed(FW_ERR_WS_OFFER 101 )"},
    {HEAD "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "failed(FW_ERR_WS_OFFER 101 )"},
    /* what is no HTTP */
    {"SSH-2.0-OpenSSH_9.6\r\n", "failed(FW_ERR_HTTP_STATUS_LINE)"},
    {"HTTP/1.1 101 S\nUpgrade: websocket\n\n", "failed(FW_ERR_HTTP_LINE_END)"},
    {"HTTP/1.1 101 S\r\n Upgrade: websocket\r\n\r\n", "failed(FW_ERR_HTTP_FOLDED)"},
};

/* Every answer, cut at every point: the same is told. */
Test(ws_client, judges_the_answer_however_it_is_cut)
{
    static const struct fw_ws_dial_options options = {
        .host = "a", .target = "/", .protocols = "chat, superchat"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        size_t bytes = strlen(answers[i].head);
        for (size_t cut = 0; cut <= bytes; cut++) {
            struct fake_host fake;
            dial_with(&fake, &options);
            fake_host_receive(&fake, answers[i].head, cut);
            fake_host_flush(&fake);
            fake_host_receive(&fake, answers[i].head + cut, bytes - cut);
            fake_host_flush(&fake);
            cr_assert_str_eq(fake.told, answers[i].told, "answer %zu cut at %zu: %s", i, cut,
                             fake.told);
            fake_host_clear(&fake);
        }
    }
}

Test(ws_client, judges_the_answer_octet_by_octet)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct fake_host fake;
        dial_with(&fake, &(struct fw_ws_dial_options){
                             .host = "a", .target = "/", .protocols = "chat, superchat"});
        for (const char *at = answers[i].head; *at != '\0'; at++) {
            fake_host_receive(&fake, at, 1);
            fake_host_flush(&fake);
        }
        cr_assert_str_eq(fake.told, answers[i].told, "answer %zu: %s", i, fake.told);
        fake_host_clear(&fake);
    }
}

/* A body without a size ends with the connection, and is bounded. */
Test(ws_client, a_refusals_body_is_bounded)
{
    struct fake_host fake;
    dial(&fake);
    fake_host_say(&fake, "HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\nlater");
    cr_assert_str_eq(fake.told, "");
    fw_session_ended(&fake.session, 0);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "failed(FW_ERR_WS_REFUSED 503 later)");
    fake_host_clear(&fake);

    dial(&fake);
    fake_host_say(&fake, "HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n");
    char filler[700];
    memset(filler, 'x', sizeof filler);
    fake_host_receive(&fake, filler, sizeof filler);
    cr_assert_str_eq(fake.told, "");
    fake_host_receive(&fake, filler, sizeof filler);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "failed(FW_ERR_WS_REFUSED 503 #1024)");
    fake_host_clear(&fake);
}

Test(ws_client, a_head_is_bounded)
{
    struct fake_host fake;
    dial(&fake);
    fake_host_say(&fake, "HTTP/1.1 101 Switching Protocols\r\n");
    for (unsigned i = 0; i < 400 && fake.told[0] == '\0'; i++)
        fake_host_say(&fake, "X-Filler: 0123456789012345678901234567890123456789\r\n");
    cr_assert(strcmp(fake.told, "failed(FW_ERR_HTTP_HEADERS_TOO_MANY)") == 0 ||
                  strcmp(fake.told, "failed(FW_ERR_HTTP_HEAD_TOO_LARGE)") == 0,
              "%s", fake.told);
    fake_host_clear(&fake);

    dial(&fake);
    for (unsigned i = 0; i < 100 && fake.told[0] == '\0'; i++)
        fake_host_say(&fake, "HTTP/1.1 100 Continue\r\n\r\n");
    cr_assert_str_eq(fake.told, "failed(FW_ERR_HTTP_HEAD_TOO_LARGE)");
    fake_host_clear(&fake);
}

/* ---- ends before it is open ------------------------------------------------------------------ */

Test(ws_client, an_end_before_the_answer_is_told)
{
    struct fake_host fake;
    dial(&fake);
    fw_session_ended(&fake.session, 0);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "failed(FW_ERR_WS_NO_ANSWER)");
    fake_host_clear(&fake);

    dial(&fake);
    fake_host_say(&fake, "HTTP/1.1 101 Sw");
    fw_session_ended(&fake.session, -ECONNRESET);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "failed(ECONNRESET)");
    fake_host_clear(&fake);
}

Test(ws_client, an_answer_that_does_not_come_is_not_waited_for)
{
    struct fake_host fake;
    dial(&fake);
    fake_host_advance(&fake, FW_HANDSHAKE_MS_DEFAULT - 1);
    fake_host_say(&fake, "HTTP/1.1 101 ");
    cr_assert_str_eq(fake.told, "");
    fake_host_advance(&fake, 1);
    cr_assert_str_eq(fake.told, "failed(ETIMEDOUT)");
    cr_assert(fake.gone);
    fake_host_clear(&fake);
}

Test(ws_client, a_stop_before_the_answer_is_told)
{
    struct fake_host fake;
    dial(&fake);
    fw_session_stop(&fake.session);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "failed(FW_ERR_CLOSED)");
    fake_host_clear(&fake);
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* RFC 6455, section 5.3: every frame is masked, each with a key of its own. */
Test(ws_client, masks_every_frame_with_a_fresh_key)
{
    struct fake_host fake;
    open_client(&fake);
    size_t from = fake.sent_count;
    cr_assert_eq(fw_ws_session_send(&fake.session, FW_WS_TEXT, fw_bytes_of("hello")), 0);
    cr_assert_eq(fw_ws_session_send(&fake.session, FW_WS_BINARY, fw_bytes_of("")), 0);
    fake_host_flush(&fake);
    server_frame(&fake, WS_FIN | FW_WS_PING, "p");
    cr_assert_eq(fw_ws_session_close(&fake.session, 1000, fw_bytes_of("bye")), 0);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake_host_client_frames(&fake),
                     "text(hello) binary() pong(p) close(1000 bye)");
    cr_assert_eq(fake.keys, 4u);
    const uint8_t *first = fake.sent + from;
    cr_assert_eq(first[1], 0x85, "masked, 5 octets");
    cr_assert_neq(memcmp(first + 6, "hello", 5), 0, "the octets on the wire are not the payload's");
    const uint8_t *second = first + 6 + 5;
    cr_assert_neq(memcmp(first + 2, second + 2, 4), 0, "two frames, two keys");
    fake_host_clear(&fake);
}

static void send_back(struct fake_host *fake, uint8_t type, const uint8_t *bytes, size_t count)
{
    cr_assert_eq(fw_ws_session_send(&fake->session, type, (struct fw_bytes){bytes, count}), 0);
}

/* An echo is never written over what came: a key and a longer header do not fit there. */
Test(ws_client, echoes_of_every_size_are_whole)
{
    static const size_t sizes[] = {0, 1, 125, 126, 127, 2047, 2048, 4096, 65535, 65536};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct fake_host fake;
        open_client(&fake);
        fake.keeps = true;
        fake.on_message = send_back;
        char *payload = malloc(sizes[i] + 1);
        for (size_t k = 0; k < sizes[i]; k++)
            payload[k] = (char)('a' + k % 26);
        struct ws_stream stream = {0};
        ws_stream_frame(&stream, WS_FIN | FW_WS_TEXT, payload, sizes[i]);
        fake_host_receive(&fake, stream.bytes, stream.bytes_count);
        fake_host_flush(&fake);
        struct ws_trace wanted;
        static const struct fw_ws_rules rules = {.message_bytes_max = FW_MESSAGE_BYTES_MAX,
                                                 .client = true};
        ws_trace_init(&wanted);
        ws_trace_decode(&wanted, &stream, &rules, false, NULL, 0, NULL);
        cr_assert_str_eq(fake_host_client_frames(&fake), wanted.text, "%zu octets", sizes[i]);
        ws_trace_clear(&wanted);
        ws_stream_clear(&stream);
        free(payload);
        fake_host_clear(&fake);
    }
}

/* RFC 6455, section 5.1: a client closes when a frame comes masked. */
Test(ws_client, refuses_a_masked_frame)
{
    struct fake_host fake;
    open_client(&fake);
    server_frame(&fake, WS_FIN | WS_MASKED | FW_WS_TEXT, "hi");
    cr_assert_str_eq(fake.told, "closed(1002)");
    cr_assert_not_null(strstr(fake_host_client_frames(&fake), "close(1002"));
    fake_host_clear(&fake);
}

/* RFC 6455, section 7.1.1: the server closes TCP first; we wait, but not for ever. */
Test(ws_client, waits_for_the_server_to_close)
{
    struct fake_host fake;
    open_client(&fake);
    server_frame(&fake, WS_FIN | FW_WS_CLOSE, "\x03\xe9go");
    cr_assert_str_eq(fake.told, "closed(1001 go)");
    cr_assert_str_eq(fake_host_client_frames(&fake), "close(1001)");
    cr_assert(!fake.gone && !fake.shut);
    fw_session_ended(&fake.session, 0);
    fake_host_flush(&fake);
    cr_assert(fake.gone);
    fake_host_clear(&fake);

    open_client(&fake);
    cr_assert_eq(fw_ws_session_close(&fake.session, 3000, fw_bytes_of("")), 0);
    server_frame(&fake, WS_FIN | FW_WS_CLOSE, "\x0b\xb8");
    cr_assert_str_eq(fake.told, "closed(3000)");
    cr_assert(!fake.gone);
    fake_host_advance(&fake, FW_CLOSE_MS);
    cr_assert(fake.gone);
    fake_host_clear(&fake);
}

Test(ws_client, asks_a_silent_server)
{
    struct fake_host fake;
    open_client(&fake);
    fake_host_advance(&fake, FW_PING_MS_DEFAULT * 2);
    cr_assert_str_eq(fake_host_client_frames(&fake), "ping()");
    fake_host_advance(&fake, FW_PONG_MS_DEFAULT);
    cr_assert_str_eq(fake.told, "closed(1006)");
    fake_host_clear(&fake);
}

static void greet(struct fake_host *fake, const struct fw_response *response)
{
    cr_assert_eq(response->head->status, 101);
    cr_assert_eq(fw_ws_session_send(&fake->session, FW_WS_TEXT, fw_bytes_of("first")), 0);
    cr_assert_eq(fw_ws_session_close(&fake->session, 1000, fw_bytes_of("")), 0);
}

/* The program may send and close from inside on_open, with frames of the server's behind the head.
 */
Test(ws_client, may_be_sent_to_and_closed_as_it_opens)
{
    struct fake_host fake;
    dial(&fake);
    fake.on_opened = greet;
    fake_host_say(&fake, HEAD "\r\n\x81\x02hi\x88\x02\x03\xe8");
    cr_assert_str_eq(fake.told, "opened() closed(1000)", "what came behind our close is not told");
    cr_assert_str_eq(fake_host_client_frames(&fake), "text(first) close(1000)");
    fake_host_clear(&fake);
}

/* ---- permessage-deflate ---------------------------------------------------------------------- */

static void deflate_with(size_t contexts_bytes_max, const char *offer, const char *answer,
                         const char *told)
{
    struct fake_host fake;
    struct fw_compressor compressor;
    struct fw_ws_dial *made;
    cr_assert_eq(fw_compressor_init(&compressor, FW_MESSAGE_BYTES_DEFAULT, contexts_bytes_max), 0);
    fake_host_init(&fake);
    fake.host.compressor = &compressor;
    cr_assert_eq(fw_ws_dial_create(&plain, &made), 0);
    fake_host_dial(&fake, made);
    fake_host_flush(&fake);
    cr_assert_not_null(strstr(fake_host_sent(&fake), offer), "%s in %s", offer,
                       fake_host_sent(&fake));
    char head[512];
    snprintf(head, sizeof head, "%sSec-WebSocket-Extensions: %s\r\n\r\n", HEAD, answer);
    fake_host_say(&fake, head);
    cr_assert_str_eq(fake.told, told, "%s", fake.told);
    if (strncmp(told, "opened", 6) == 0) {
        static const char text[] = "tick tick tick tick tick tick tick tick tick tick tick tick "
                                   "tick tick tick tick tick tick tick tick tick tick tick tick";
        size_t before = fake.sent_count;
        cr_assert_eq(fw_ws_session_send(&fake.session, FW_WS_TEXT, fw_bytes_of(text)), 0);
        fake_host_flush(&fake);
        const uint8_t *frame = fake.sent + before;
        cr_assert_eq(frame[0], 0xc1, "RSV1: compressed");
        cr_assert(frame[1] & 0x80, "masked");
        cr_assert_lt(fake.sent_count - before, sizeof text / 2);
    }
    fake_host_clear(&fake);
    fw_compressor_clear(&compressor);
}

Test(ws_client, compresses_what_was_agreed_on)
{
    deflate_with(1 << 20, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
                 "permessage-deflate", "opened( deflate)");
    deflate_with(0, "server_no_context_takeover",
                 "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
                 "opened( deflate)");
    deflate_with(1 << 20, "permessage-deflate", "permessage-deflate; client_max_window_bits=10",
                 "opened( deflate)");
    deflate_with(1 << 20, "permessage-deflate", "permessage-deflate; unknown=1",
                 "failed(FW_ERR_WS_OFFER 101 )");
    deflate_with(1 << 20, "permessage-deflate", "x-other", "failed(FW_ERR_WS_OFFER 101 )");
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* One connection, from the dial to its close; whatever fails, it is told of once. */
static bool whole_life(void)
{
    struct fw_ws_dial *made;
    struct fake_host fake;
    fake_host_init(&fake);
    bool ends = true;
    if (fw_ws_dial_create(&plain, &made) == 0) {
        fake_host_dial(&fake, made);
        fake_host_flush(&fake);
        fake_host_say(&fake, "HTTP/1.1 100 Continue\r\n\r\n");
        fake_host_say(&fake, HEAD);
        fake_host_say(&fake, "\r\n\x81\x02hi");
        fw_ws_session_send(&fake.session, FW_WS_TEXT, fw_bytes_of("hello"));
        server_frame(&fake, WS_FIN | FW_WS_CLOSE, "\x03\xe8");
        fw_session_ended(&fake.session, -ECONNRESET);
        fake_host_flush(&fake);
        ends = (strstr(fake.told, "failed(") != NULL) != (strstr(fake.told, "closed(") != NULL);
    }
    fake_host_clear(&fake);
    return ends;
}

Test(ws_client, survives_every_failed_allocation)
{
    static const enum fail_mem_mode modes[] = {FAIL_ONCE, FAIL_FROM_ON};
    for (unsigned m = 0; m < 2; m++) {
        bool failed = true;
        for (unsigned k = 1; failed; k++) {
            fail_mem_at(k, modes[m]);
            bool ends = whole_life();
            failed = fail_mem_off();
            cr_assert(ends, "allocation %u: told of no end, or of two", k);
        }
    }
}
