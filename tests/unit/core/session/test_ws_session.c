/* test_ws_session.c: a session that speaks WebSocket (core/session/ws_session.c, session.c):
 * messages, closing, failures, pings. Budgets and blocked peers are in test_ws_session_budget.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/fail_mem.h"
#include "support/fake_host.h"
#include "session/session_impl.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT   (WS_FIN | FW_WS_TEXT)
#define BINARY (WS_FIN | FW_WS_BINARY)
#define PING   (WS_FIN | FW_WS_PING)
#define PONG   (WS_FIN | FW_WS_PONG)
#define CLOSE  (WS_FIN | FW_WS_CLOSE)

static struct fake_host fake;

static void open_session(void)
{
    fake_host_init(&fake);
    fake_host_open(&fake, "/chat");
}

static void clear_session(void)
{
    fake_host_clear(&fake);
}

TestSuite(ws_session, .init = open_session, .fini = clear_session, .timeout = 60);

static int send_text(const char *text)
{
    return fw_ws_session_send(&fake.session, FW_WS_TEXT, fw_bytes_of(text));
}

static int close_with(unsigned code, const char *reason)
{
    return fw_ws_session_close(&fake.session, code, fw_bytes_of(reason));
}

static void echo(struct fake_host *host, uint8_t type, const uint8_t *bytes, size_t count)
{
    fw_ws_session_send(&host->session, type, (struct fw_bytes){bytes, count});
}

/* ---- messages -------------------------------------------------------------------------------- */

Test(ws_session, tells_messages_with_their_type)
{
    fake_host_frame(&fake, TEXT, "hello");
    fake_host_frame(&fake, BINARY, "\x01\xff");
    fake_host_frame(&fake, TEXT, "");
    cr_assert_str_eq(fake.told, "text(hello) binary(\\x01\\xff) text()");
    cr_assert_str_eq(fake_host_frames(&fake), "");
    cr_assert_eq(fake.host.messages_received, 3u);
}

Test(ws_session, tells_a_message_of_fragments_once_with_controls_in_between_answered)
{
    fake_host_frame(&fake, FW_WS_TEXT, "he");
    fake_host_frame(&fake, PING, "?");
    fake_host_frame(&fake, FW_WS_CONTINUATION, "ll");
    fake_host_frame(&fake, WS_FIN | FW_WS_CONTINUATION, "o");
    cr_assert_str_eq(fake.told, "text(hello)");
    cr_assert_str_eq(fake_host_frames(&fake), "pong(?)");
}

Test(ws_session, does_not_care_how_the_bytes_are_cut)
{
    struct ws_stream stream = {0};
    ws_stream_text(&stream, TEXT | WS_MASKED, "one");
    ws_stream_text(&stream, PING | WS_MASKED, "two");
    ws_stream_text(&stream, FW_WS_BINARY | WS_MASKED, "thr");
    ws_stream_text(&stream, WS_FIN | FW_WS_CONTINUATION | WS_MASKED, "ee");
    fake.on_message = echo;
    for (size_t cut = 0; cut <= stream.bytes_count; cut++) {
        fake_host_forget(&fake);
        fake_host_receive(&fake, stream.bytes, cut);
        fake_host_flush(&fake);
        fake_host_receive(&fake, stream.bytes + cut, stream.bytes_count - cut);
        fake_host_flush(&fake);
        cr_assert_str_eq(fake.told, "text(one) binary(three)", "cut at %zu", cut);
        cr_assert_str_eq(fake_host_frames(&fake), "text(one) pong(two) binary(three)");
    }
    ws_stream_clear(&stream);
}

Test(ws_session, sends_text_and_binary_as_one_frame_each)
{
    cr_assert_eq(send_text("hello"), 0);
    cr_assert_eq(fw_ws_session_send(&fake.session, FW_WS_BINARY, fw_bytes_of("\x80")), 0);
    cr_assert_eq(send_text(""), 0);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake_host_frames(&fake), "text(hello) binary(\\x80) text()");
    cr_assert_eq(fake.sent_count, 2u + 5 + 2 + 1 + 2);
}

Test(ws_session, queues_replies_of_one_turn_as_one_piece)
{
    for (unsigned i = 0; i < 16; i++)
        send_text("reply");
    cr_assert_null(fake.session.outq.more, "adjacent in the arena: one entry, one send");
    fake_host_flush(&fake);
    cr_assert_eq(fake.sent_count, 16u * 7);
}

Test(ws_session, refuses_to_send_text_that_is_not_utf8)
{
    cr_assert_eq(send_text("\xc3\x28"), FW_ERR_NOT_UTF8);
    cr_assert_eq(send_text("\xc3"), FW_ERR_NOT_UTF8);
    cr_assert_eq(fw_ws_session_send(&fake.session, FW_WS_BINARY, fw_bytes_of("\xc3\x28")), 0);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake_host_frames(&fake), "binary(\\xc3\\x28)");
}

/* The bytes of a binary message were never judged: an echo of them as text is. */
static void echo_as_text(struct fake_host *host, uint8_t type, const uint8_t *bytes, size_t count)
{
    (void)type;
    fake_host_tell(host, "%s",
                   fw_status_name(fw_ws_session_send(&host->session, FW_WS_TEXT,
                                                     (struct fw_bytes){bytes, count})));
}

Test(ws_session, judges_a_binary_message_that_is_sent_on_as_text)
{
    fake.on_message = echo_as_text;
    fake_host_frame(&fake, BINARY, "\xff");
    cr_assert_str_eq(fake.told, "binary(\\xff) FW_ERR_NOT_UTF8");
    cr_assert_str_eq(fake_host_frames(&fake), "");
}

static void send_part(struct fake_host *host, uint8_t type, const uint8_t *bytes, size_t count)
{
    (void)type;
    int result =
        fw_ws_session_send(&host->session, FW_WS_TEXT, (struct fw_bytes){bytes, count - 1});
    fake_host_tell(host, "%s", fw_status_name(result));
}

Test(ws_session, judges_a_part_of_the_text_it_is_told)
{
    fake.on_message = send_part;
    fake_host_frame(&fake, TEXT, "\xc3\xa4");
    cr_assert_str_eq(fake.told, "text(\\xc3\\xa4) FW_ERR_NOT_UTF8");
}

Test(ws_session, refuses_a_message_over_1_GiB)
{
    struct fw_bytes huge = {(const uint8_t *)"", ((size_t)1 << 30) + 1};
    cr_assert_eq(fw_ws_session_send(&fake.session, FW_WS_BINARY, huge), FW_ERR_LIMIT);
    cr_assert_eq(fake.session.phase, FW_PHASE_OPEN);
}

/* Large echoes are sent from where they stand: in the receive memory, or in the decoder's buffer
 * when they came cut; and again, and with another type, by copying. */
static void echo_thrice(struct fake_host *host, uint8_t type, const uint8_t *bytes, size_t count)
{
    echo(host, type, bytes, count);
    echo(host, FW_WS_BINARY, bytes, count);
    echo(host, type, bytes, count);
}

Test(ws_session, echoes_large_messages_byte_for_byte_whole_or_cut_kept_or_copied)
{
    static const size_t sizes[] = {125, 126, 2047, 2048, 2049, 60000};
    struct ws_stream wanted = {0};
    struct ws_stream input = {0};
    uint8_t *payload = malloc(60000);
    fake.on_message = echo_thrice;
    for (size_t i = 0; i < 60000; i++)
        payload[i] = (uint8_t)('a' + i % 23);
    for (unsigned round = 0; round < 24; round++) {
        size_t size = sizes[round / 4];
        size_t cut = round % 2 == 0 ? 0 : 3 + size / 2;
        fake.keeps = round / 2 % 2 == 0;
        wanted.bytes_count = 0;
        input.bytes_count = 0;
        ws_stream_frame(&input, TEXT | WS_MASKED, payload, size);
        ws_stream_frame(&wanted, TEXT, payload, size);
        ws_stream_frame(&wanted, BINARY, payload, size);
        ws_stream_frame(&wanted, TEXT, payload, size);
        fake_host_forget(&fake);
        fake_host_receive(&fake, input.bytes, cut);
        fake_host_receive(&fake, input.bytes + cut, input.bytes_count - cut);
        fake_host_flush(&fake);
        cr_assert_eq(fake.sent_count, wanted.bytes_count, "round %u", round);
        cr_assert_eq(memcmp(fake.sent, wanted.bytes, wanted.bytes_count), 0, "round %u", round);
    }
    ws_stream_clear(&wanted);
    ws_stream_clear(&input);
    free(payload);
}

/* ---- our close ------------------------------------------------------------------------------- */

/* RFC 6455, section 7.1.1: close, the peer's close, then the server closes TCP. */
Test(ws_session, closes_with_a_handshake)
{
    cr_assert_eq(close_with(1000, "bye"), 0);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake_host_frames(&fake), "close(1000 bye)");
    cr_assert_str_eq(fake.told, "");
    cr_assert_not(fake.gone);
    fake_host_frame(&fake, CLOSE, "\x03\xe8thanks");
    cr_assert_str_eq(fake.told, "closed(1000 thanks)");
    cr_assert(fake.gone);
    cr_assert_str_eq(fake_host_frames(&fake), "close(1000 bye)", "it is said once");
}

Test(ws_session, sends_nothing_after_its_close_and_tells_no_message)
{
    close_with(4000, "");
    cr_assert_eq(send_text("late"), FW_ERR_CLOSED);
    cr_assert_eq(close_with(4001, ""), FW_ERR_CLOSED);
    fake_host_frame(&fake, TEXT, "still under way");
    fake_host_frame(&fake, PING, "?");
    cr_assert_str_eq(fake.told, "");
    cr_assert_str_eq(fake_host_frames(&fake), "close(4000)");
}

Test(ws_session, takes_only_close_codes_and_reasons_that_may_be_sent)
{
    static const unsigned bad[] = {0,    1,    999,  1004, 1005, 1006,  1015,
                                   1016, 1999, 2000, 2999, 5000, 65535, 66536};
    char reason[130];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(close_with(bad[i], ""), FW_ERR_USAGE, "%u", bad[i]);
    memset(reason, 'r', sizeof reason);
    reason[124] = '\0';
    cr_assert_eq(close_with(1000, reason), FW_ERR_USAGE, "124 octets");
    cr_assert_eq(close_with(1000, "\xff"), FW_ERR_USAGE, "not UTF-8");
    cr_assert_eq(fake.session.phase, FW_PHASE_OPEN, "it is open still");
    reason[123] = '\0';
    cr_assert_eq(close_with(1000, reason), 0);
    fake_host_flush(&fake);
    cr_assert_eq(fake.sent_count, 2u + 125);
}

Test(ws_session, takes_every_close_code_that_may_be_sent)
{
    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                                    1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char wanted[32];
        struct fake_host other;
        fake_host_init(&other);
        fake_host_open(&other, "/");
        cr_assert_eq(fw_ws_session_close(&other.session, good[i], fw_bytes_of("")), 0);
        fake_host_flush(&other);
        snprintf(wanted, sizeof wanted, "close(%u)", good[i]);
        cr_assert_str_eq(fake_host_frames(&other), wanted);
        fake_host_clear(&other);
    }
}

Test(ws_session, gives_up_on_a_peer_that_does_not_answer_its_close)
{
    close_with(1000, "");
    fake_host_flush(&fake);
    fake_host_advance(&fake, 4999);
    cr_assert_not(fake.gone);
    fake_host_advance(&fake, 1);
    cr_assert(fake.gone);
    cr_assert_eq(fake.session.end, FW_END_ABORT);
    cr_assert_str_eq(fake.told, "closed(1000)");
}

Test(ws_session, does_not_wait_longer_for_a_close_because_the_peer_talks)
{
    close_with(1000, "");
    for (unsigned i = 0; i < 50; i++) {
        fake_host_frame(&fake, TEXT, "blah");
        fake_host_advance(&fake, 100);
    }
    cr_assert(fake.gone);
}

/* ---- the peer's close ------------------------------------------------------------------------ */

/* RFC 6455, section 5.5.1: the answer echoes the code. */
Test(ws_session, answers_the_peers_close_with_its_code_once)
{
    fake_host_frame(&fake, CLOSE, "\x0f\xa0so long");
    cr_assert_str_eq(fake.told, "closed(4000 so long)");
    cr_assert_str_eq(fake_host_frames(&fake), "close(4000)");
    cr_assert(fake.gone);
    cr_assert_eq(fake.session.end, FW_END_CLOSE);
}

Test(ws_session, answers_an_empty_close_with_an_empty_one_and_tells_1005)
{
    fake_host_frame(&fake, CLOSE, "");
    cr_assert_str_eq(fake.told, "closed(1005)");
    cr_assert_eq(fake.sent_count, 2u);
    cr_assert_eq(fake.sent[0], 0x88);
    cr_assert_eq(fake.sent[1], 0);
}

static void use_it_all(struct fake_host *host)
{
    struct fw_session *session = &host->session;
    fake_host_tell(host, "%s",
                   fw_status_name(fw_ws_session_send(session, FW_WS_TEXT, fw_bytes_of("late"))));
    fake_host_tell(host, "%s", fw_status_name(fw_ws_session_close(session, 1000, fw_bytes_of(""))));
}

/* RFC 6455, section 5.5.1: no frame may follow a close frame, whatever on_close tries. */
Test(ws_session, sends_nothing_behind_its_answer_even_when_on_close_tries)
{
    fake.on_closed = use_it_all;
    fake_host_frame(&fake, CLOSE, "\x03\xe8");
    cr_assert_str_eq(fake.told, "closed(1000) FW_ERR_CLOSED FW_ERR_CLOSED");
    cr_assert_eq(fake.sent_count, 4u, "the answer to the close, and no more");
}

Test(ws_session, sends_what_it_owes_before_its_answer_to_a_close)
{
    fake.on_message = echo;
    struct ws_stream stream = {0};
    ws_stream_text(&stream, TEXT | WS_MASKED, "last words");
    ws_stream_text(&stream, CLOSE | WS_MASKED, "\x03\xe9");
    ws_stream_text(&stream, TEXT | WS_MASKED, "after the close");
    fake_host_receive(&fake, stream.bytes, stream.bytes_count);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "text(last words) closed(1001)");
    cr_assert_str_eq(fake_host_frames(&fake), "text(last words) close(1001)");
    ws_stream_clear(&stream);
}

/* ---- its end --------------------------------------------------------------------------------- */

Test(ws_session, tells_1006_when_the_peer_vanishes)
{
    fw_session_ended(&fake.session, 0);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "closed(1006)");
    cr_assert(fake.gone);
    cr_assert_str_eq(fake_host_frames(&fake), "", "there is nobody to say it to");
}

Test(ws_session, aborts_after_a_reset_and_tells_1006)
{
    send_text("never read");
    fw_session_ended(&fake.session, -ECONNRESET);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "closed(1006)");
    cr_assert_eq(fake.session.end, FW_END_ABORT);
    cr_assert_eq(fake.sent_count, 0u);
}

Test(ws_session, tells_its_own_code_when_the_peer_vanishes_after_our_close)
{
    close_with(4321, "");
    fake_host_flush(&fake);
    fw_session_ended(&fake.session, 0);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "closed(4321)");
}

Test(ws_session, tells_its_end_once_however_often_it_ends)
{
    fake_host_frame(&fake, CLOSE, "\x03\xe8");
    fw_session_ended(&fake.session, 0);
    fw_session_ended(&fake.session, -ECONNRESET);
    fw_session_timer(&fake.session);
    fw_session_stop(&fake.session);
    fake_host_flush(&fake);
    fw_session_clear(&fake.session);
    cr_assert_str_eq(fake.told, "closed(1000)");
}

Test(ws_session, tells_its_end_when_the_socket_just_goes)
{
    fw_session_clear(&fake.session);
    cr_assert_str_eq(fake.told, "closed(1006)");
}

/* RFC 6455, section 7.4.1: 1001, the endpoint goes away. */
Test(ws_session, says_1001_when_the_server_stops)
{
    send_text("last");
    fw_session_stop(&fake.session);
    fw_session_stop(&fake.session); /* told twice, said once */
    fake_host_flush(&fake);
    cr_assert_str_eq(fake_host_frames(&fake), "text(last) close(1001 the server is stopping)");
    fake_host_frame(&fake, CLOSE, "\x03\xe9");
    cr_assert_str_eq(fake.told, "closed(1001)");
    cr_assert(fake.gone);
}

/* ---- mistakes of the peer -------------------------------------------------------------------- */

struct mistake {
    const char *name;
    unsigned bits;
    const char *payload;
    unsigned code;
    int status;
};

/* status.h: each mistake has the close code of RFC 6455, section 7.4.1. */
Test(ws_session, answers_every_mistake_with_its_close_code)
{
    static const struct mistake rows[] = {
        {"a reserved bit", TEXT | FW_WS_RSV1, "x", 1002, FW_ERR_WS_RESERVED_BITS},
        {"another", PING | FW_WS_RSV3, "x", 1002, FW_ERR_WS_RESERVED_BITS},
        {"a reserved opcode", WS_FIN | 3, "x", 1002, FW_ERR_WS_OPCODE},
        {"a reserved control", WS_FIN | 11, "x", 1002, FW_ERR_WS_OPCODE},
        {"a fragmented ping", FW_WS_PING, "x", 1002, FW_ERR_WS_CONTROL_FRAGMENTED},
        {"nothing to continue", WS_FIN | FW_WS_CONTINUATION, "x", 1002, FW_ERR_WS_CONTINUATION},
        {"a close of one octet", CLOSE, "x", 1002, FW_ERR_WS_CLOSE_PAYLOAD},
        {"a code not to be sent", CLOSE, "\x03\xee", 1002, FW_ERR_WS_CLOSE_CODE},
        {"a reason not UTF-8", CLOSE, "\x03\xe8\xff", 1007, FW_ERR_WS_CLOSE_REASON},
        {"text not UTF-8", TEXT, "\xff", 1007, FW_ERR_WS_TEXT},
        {"text cut short", TEXT, "\xc3", 1007, FW_ERR_WS_TEXT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_host other;
        char told[64];
        char sent[160];
        fake_host_init(&other);
        fake_host_open(&other, "/");
        fake_host_frame(&other, rows[i].bits, rows[i].payload);
        fake_host_frame(&other, TEXT, "after it");
        snprintf(told, sizeof told, "closed(%u)", rows[i].code);
        snprintf(sent, sizeof sent, "close(%u %s)", rows[i].code, fw_status_text(rows[i].status));
        cr_assert_str_eq(other.told, told, "%s: %s", rows[i].name, other.told);
        cr_assert_str_eq(fake_host_frames(&other), sent, "%s", rows[i].name);
        cr_assert(other.shut, "%s: FIN, and what still comes is swallowed", rows[i].name);
        cr_assert_neq(strlen(other.logged), 0u, "the log says why");
        fake_host_clear(&other);
    }
}

Test(ws_session, refuses_an_unmasked_frame)
{
    fake_host_receive(&fake, "\x81\x02hi", 4);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "closed(1002)");
}

/* SECURITY.md, length bomb: judged by what is announced, before any of it has come. */
Test(ws_session, refuses_an_announced_length_over_its_limit_at_once)
{
    static const uint8_t bombs[3][14] = {
        {0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, /* 2^63 - 1 */
        {0x82, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0},                      /* 2^31 */
        {0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1},                         /* the limit and one */
    };
    for (size_t i = 0; i < 3; i++) {
        struct fake_host other;
        fake_host_init(&other);
        fake_host_open(&other, "/");
        fail_mem_at(3, FAIL_FROM_ON); /* the answer needs an arena block; nothing may need more */
        fake_host_receive(&other, bombs[i], sizeof bombs[i]);
        fake_host_flush(&other);
        cr_assert_not(fail_mem_off());
        cr_assert_str_eq(other.told, "closed(1009)");
        fake_host_clear(&other);
    }
}

Test(ws_session, refuses_a_message_and_fragments_over_their_limits_with_1009)
{
    uint8_t *payload = calloc(1, 65537);
    fake_host_frame_bytes(&fake, BINARY, payload, 65536);
    cr_assert_str_eq(fake.told, "binary(#65536)");
    fake_host_frame_bytes(&fake, FW_WS_BINARY, payload, 65536);
    fake_host_frame_bytes(&fake, WS_FIN | FW_WS_CONTINUATION, payload, 1);
    cr_assert_str_eq(fake.told, "binary(#65536) closed(1009)", "the sum counts");
    free(payload);
}

Test(ws_session, refuses_the_129th_fragment_even_when_all_are_empty)
{
    fake_host_frame(&fake, FW_WS_TEXT, "");
    for (unsigned i = 2; i <= 128; i++)
        fake_host_frame(&fake, FW_WS_CONTINUATION, "");
    cr_assert_eq(fake.session.phase, FW_PHASE_OPEN);
    fake_host_frame(&fake, FW_WS_CONTINUATION, "");
    cr_assert_str_eq(fake.told, "closed(1009)");
}

Test(ws_session, lingers_after_a_failure_no_longer_than_it_must)
{
    fake_host_frame(&fake, TEXT, "\xff");
    cr_assert(fake.shut);
    cr_assert_not(fake.gone);
    fw_session_ended(&fake.session, 0); /* the peer's FIN is what it lingered for */
    fake_host_flush(&fake);
    cr_assert(fake.gone);
    cr_assert_eq(fake.session.end, FW_END_CLOSE);
}

/* ---- pings ----------------------------------------------------------------------------------- */

/* RFC 6455, section 5.5.3: the same application data. */
Test(ws_session, answers_every_ping_while_the_peer_reads)
{
    char longest[126];
    memset(longest, 'p', 125);
    longest[125] = '\0';
    fake_host_frame(&fake, PING, "");
    fake_host_frame(&fake, PING, "a\x01z");
    fake_host_frame(&fake, PONG, "nobody asked");
    fake_host_frame(&fake, PING, longest);
    cr_assert_eq(strncmp(fake_host_frames(&fake), "pong() pong(a\\x01z) pong(#125:", 29), 0, "%s",
                 fake_host_frames(&fake));
    cr_assert_str_eq(fake.told, "");
}

Test(ws_session, pings_a_silent_peer_and_ends_it_when_it_stays_silent)
{
    fake_host_advance(&fake, 19000);
    cr_assert_str_eq(fake_host_frames(&fake), "", "not before 25 s less 20 percent");
    fake_host_advance(&fake, 11000);
    cr_assert_str_eq(fake_host_frames(&fake), "ping()", "but by 25 s and 20 percent");
    fake_host_advance(&fake, 9999);
    cr_assert_not(fake.gone);
    fake_host_advance(&fake, 1);
    cr_assert(fake.gone);
    cr_assert_eq(fake.session.end, FW_END_ABORT);
    cr_assert_str_eq(fake.told, "closed(1006)");
}

Test(ws_session, takes_anything_from_the_peer_for_a_sign_of_life)
{
    for (unsigned round = 0; round < 5; round++) {
        fake_host_forget(&fake);
        fake_host_advance(&fake, 31000);
        cr_assert_str_eq(fake_host_frames(&fake), "ping()", "round %u", round);
        if (round % 2 == 0)
            fake_host_frame(&fake, PONG, "");
        else
            fake_host_frame(&fake, TEXT, "x");
        fake_host_advance(&fake, 10000);
        cr_assert_not(fake.gone);
    }
}

Test(ws_session, pings_nobody_who_talks)
{
    for (unsigned i = 0; i < 100; i++) {
        fake_host_frame(&fake, TEXT, "x");
        fake_host_advance(&fake, 5000);
        fake.told[0] = '\0';
    }
    cr_assert_str_eq(fake_host_frames(&fake), "");
    fake_host_advance(&fake, 31000);
    cr_assert_str_eq(fake_host_frames(&fake), "ping()");
}

Test(ws_session, pings_at_different_times_so_that_a_million_are_not_pinged_at_once)
{
    uint64_t first = fake.timer_ms;
    bool differs = false;
    for (unsigned i = 0; i < 50; i++) {
        struct fw_session session;
        fw_session_init(&session, &fake.host);
        session.phase = FW_PHASE_HTTP;
        fw_ws_session_open(&session);
        cr_assert_geq(fake.timer_ms, fake.host.now_ms + 20000);
        cr_assert_lt(fake.timer_ms, fake.host.now_ms + 30000);
        differs = differs || fake.timer_ms != first;
        fw_session_clear(&session);
    }
    cr_assert(differs);
}

Test(ws_session, pings_nobody_when_told_not_to)
{
    struct fake_host other;
    fake_host_init(&other);
    other.rules.ping_interval_ms = 0;
    fake_host_open(&other, "/");
    cr_assert_eq(other.timer_ms, 0u, "the handshake's deadline is off, too");
    fake_host_advance(&other, 86400000);
    cr_assert_eq(other.sent_count, 0u);
    fake_host_clear(&other);
}
