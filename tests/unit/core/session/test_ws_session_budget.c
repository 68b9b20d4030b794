/* test_ws_session_budget.c: what a session does for a peer that does not read, for its
 * subscriptions, and without memory (core/session/session.c, ws_session.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "support/fail_mem.h"
#include "support/fake_host.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT  (WS_FIN | FW_WS_TEXT)
#define PING  (WS_FIN | FW_WS_PING)
#define CLOSE (WS_FIN | FW_WS_CLOSE)

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

TestSuite(ws_session_budget, .init = open_session, .fini = clear_session, .timeout = 60);
TestSuite(ws_session_subscribe, .init = open_session, .fini = clear_session, .timeout = 60);
TestSuite(ws_session_memory, .timeout = 120);

static void echo(struct fake_host *host, uint8_t type, const uint8_t *bytes, size_t count)
{
    fw_ws_session_send(&host->session, type, (struct fw_bytes){bytes, count});
}

static int send_bytes(size_t count)
{
    static uint8_t zeros[1 << 21];
    return fw_ws_session_send(&fake.session, FW_WS_BINARY, (struct fw_bytes){zeros, count});
}

static void publish(const char *topic, size_t count)
{
    char *payload = malloc(count + 1);
    memset(payload, 'p', count + 1);
    fake_host_publish(&fake, topic, payload, count);
    free(payload);
}

static void subscribe(const char *topic)
{
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of(topic)), 0);
}

/* The peer stops reading, with `window` bytes still taken. */
static void block(size_t window)
{
    fake.window = window;
}

/* ---- the program's sends --------------------------------------------------------------------- */

Test(ws_session_budget, says_busy_beyond_the_budget_and_when_to_go_on)
{
    block(0);
    cr_assert_eq(send_bytes(1 << 20), 0, "one message may go beyond it");
    cr_assert_eq(send_bytes(1), FW_ERR_BUSY);
    cr_assert_eq(send_bytes(1), FW_ERR_BUSY);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "");
    fake_host_take(&fake, 1000);
    cr_assert_str_eq(fake.told, "", "not while it owes anything");
    fake_host_take(&fake, SIZE_MAX);
    cr_assert_str_eq(fake.told, "drained", "once");
    cr_assert_eq(send_bytes(1), 0);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "drained", "nobody was told busy meanwhile");
}

static void send_again(struct fake_host *host)
{
    static unsigned sends;
    while (sends < 20 && send_bytes(300000) == 0)
        sends++;
    (void)host;
}

Test(ws_session_budget, may_be_filled_again_from_inside_on_drain)
{
    fake.on_drained = send_again;
    block(100000);
    send_again(&fake);
    fake_host_flush(&fake);
    for (unsigned i = 0; i < 100; i++)
        fake_host_take(&fake, 100000);
    cr_assert_eq(fake.sent_count, 20u * (300000 + 10), "20 messages with their headers");
    cr_assert(fw_outq_empty(&fake.session.outq));
}

Test(ws_session_budget, tells_no_drain_to_one_that_is_closing)
{
    block(0);
    send_bytes(1 << 20);
    cr_assert_eq(send_bytes(1), FW_ERR_BUSY);
    fw_ws_session_close(&fake.session, 1000, fw_bytes_of(""));
    fake_host_flush(&fake);
    fake_host_take(&fake, SIZE_MAX);
    cr_assert_str_eq(fake.told, "");
}

/* ---- slow consumers -------------------------------------------------------------------------- */

/* FEED: beyond the budget a consumer is closed with 1013; what it has not begun to take is dropped.
 */
Test(ws_session_budget, closes_a_slow_consumer_with_1013_and_drops_what_is_not_begun)
{
    subscribe("a");
    block(100);
    publish("a", 400000); /* begun: 100 octets of it are on the wire */
    fake_host_flush(&fake);
    publish("a", 400000);
    fake_host_flush(&fake);
    cr_assert_eq(fake.session.phase, FW_PHASE_OPEN);
    publish("a", 400000);
    cr_assert_eq(fake.session.phase, FW_PHASE_DONE);
    cr_assert_eq(fake.host.slow_closed, 1u);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "closed(1013)");
    cr_assert_eq(fake.session.end, FW_END_LINGER_SLOW, "it has unread what comes before the 1013");
    fake_host_take(&fake, SIZE_MAX);
    const char *frames = fake_host_frames(&fake);
    cr_assert_eq(strncmp(frames, "text(#400000:", 13), 0, "%s", frames);
    cr_assert_not_null(strstr(frames, ") close(1013 too slow: reconnect and resume)"));
    cr_assert_eq(fake.sent_count, 10u + 400000 + 2 + 2 + 30, "one message and the close");
    cr_assert(fake.shut);
}

Test(ws_session_budget, drops_all_of_a_slow_consumers_messages_when_none_is_begun)
{
    subscribe("a");
    block(0);
    publish("a", 600000);
    fake_host_flush(&fake);
    publish("a", 600000);
    fake_host_flush(&fake);
    fake_host_take(&fake, SIZE_MAX);
    cr_assert_str_eq(fake_host_frames(&fake), "close(1013 too slow: reconnect and resume)");
}

Test(ws_session_budget, aborts_a_slow_consumer_that_never_takes_its_close)
{
    subscribe("a");
    block(1);
    publish("a", 600000);
    fake_host_flush(&fake);
    publish("a", 600000);
    fake_host_flush(&fake);
    cr_assert_not(fake.gone);
    fake_host_advance(&fake, 5000);
    cr_assert(fake.gone);
    cr_assert_eq(fake.session.end, FW_END_ABORT);
}

Test(ws_session_budget, takes_a_message_of_any_size_when_it_owes_nothing)
{
    subscribe("a");
    publish("a", 2 << 20);
    cr_assert_eq(fake.session.phase, FW_PHASE_OPEN);
    fake_host_flush(&fake);
    publish("a", 2 << 20);
    fake_host_flush(&fake);
    cr_assert_eq(fake.sent_count, 2u * (10 + (2 << 20)));
    cr_assert_eq(fake.host.slow_closed, 0u);
}

Test(ws_session_budget, passes_over_what_is_published_after_the_end)
{
    subscribe("a");
    block(0);
    publish("a", 700000);
    fake_host_flush(&fake);
    publish("a", 700000); /* ends it, but it stays in its topic until the turn ends */
    publish("a", 10);
    publish("a", 10);
    cr_assert_eq(fake.host.slow_closed, 1u);
    fake_host_flush(&fake);
    publish("a", 10);
    fake_host_take(&fake, SIZE_MAX);
    cr_assert_str_eq(fake_host_frames(&fake), "close(1013 too slow: reconnect and resume)");
}

static void subscribe_to_a(struct fake_host *host, const struct fw_request *request)
{
    (void)request;
    cr_assert_eq(fw_session_subscribe(&host->session, fw_bytes_of("a")), 0);
}

/* A consumer that is too slow for its first turn already still gets its answer to the handshake. */
Test(ws_session_budget, never_drops_the_answer_to_the_handshake)
{
    struct fake_host other;
    char text[512];
    fake_host_init(&other);
    other.on_open = subscribe_to_a;
    snprintf(text, sizeof text,
             "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    fake_host_receive(&other, text, strlen(text));
    char *payload = calloc(1, 1 << 20);
    fake_host_publish(&other, "a", payload, 1 << 20);
    fake_host_flush(&other);
    cr_assert_eq(strncmp(fake_host_sent(&other), "HTTP/1.1 101 ", 13), 0);
    cr_assert_str_eq(fake_host_frames(&other), "close(1013 too slow: reconnect and resume)");
    free(payload);
    fake_host_clear(&other);
}

/* ---- input of a peer that does not read ------------------------------------------------------ */

/* RFC 6455, section 5.5.3: an endpoint may answer only the most recent ping. */
Test(ws_session_budget, keeps_one_pong_the_latest_while_the_peer_does_not_read)
{
    block(3);
    fake_host_frame(&fake, PING, "first");
    cr_assert(fake.session.blocked);
    size_t queued = fake.session.outq.queued_bytes;
    char payload[16];
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(payload, sizeof payload, "%u", i);
        fake_host_frame(&fake, PING, payload);
    }
    cr_assert_eq(fake.session.outq.queued_bytes, queued, "nothing was added");
    fake_host_take(&fake, SIZE_MAX);
    cr_assert_str_eq(fake_host_frames(&fake), "pong(first) pong(9999)");
    fake_host_frame(&fake, PING, "again");
    cr_assert_str_eq(fake_host_frames(&fake), "pong(first) pong(9999) pong(again)");
}

Test(ws_session_budget, forgets_the_pong_it_kept_when_it_closes)
{
    block(3);
    fake_host_frame(&fake, PING, "first");
    fake_host_frame(&fake, PING, "second");
    fw_ws_session_close(&fake.session, 1000, fw_bytes_of(""));
    fake_host_flush(&fake);
    fake_host_take(&fake, SIZE_MAX);
    cr_assert_str_eq(fake_host_frames(&fake), "pong(first) close(1000)");
}

/* The stream that an echo of these messages is, for comparison. */
static void make_streams(struct ws_stream *input, struct ws_stream *echoed, unsigned messages)
{
    static uint8_t payload[40000];
    for (unsigned i = 0; i < messages; i++) {
        size_t count = (size_t)(i * 7919u % 40000u);
        for (size_t k = 0; k < count; k++)
            payload[k] = (uint8_t)('a' + (i + k) % 26);
        ws_stream_frame(input, TEXT | WS_MASKED, payload, count);
        ws_stream_frame(echoed, TEXT, payload, count);
    }
}

/* Whatever the peer's window does, every byte of the echo comes, once and in order; and input is
 * set aside instead of answered without bound. */
Test(ws_session_budget, holds_input_while_it_owes_much_and_loses_no_byte)
{
    static const size_t windows[] = {1000, 4096, 65536, 300000};
    struct ws_stream input = {0};
    struct ws_stream echoed = {0};
    make_streams(&input, &echoed, 60);
    fake.on_message = echo;
    for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
        fake_host_forget(&fake);
        block(0);
        size_t at = 0;
        for (unsigned turn = 0; fake.sent_count < echoed.bytes_count; turn++) {
            cr_assert_lt(turn, 100000u);
            fake.told[0] = '\0';
            if (at < input.bytes_count && !fw_session_full(&fake.session)) {
                size_t piece = input.bytes_count - at < 50000 ? input.bytes_count - at : 50000;
                fake_host_receive(&fake, input.bytes + at, piece);
                at += piece;
            }
            fake_host_flush(&fake);
            cr_assert_leq(fake.session.outq.queued_bytes, FW_OUTPUT_SOFT_BYTES + 40010u);
            cr_assert(fake.session.held == NULL || fake.session.held->input_bytes <= 100000);
            fake_host_take(&fake, windows[w]);
        }
        cr_assert_eq(fake.sent_count, echoed.bytes_count);
        cr_assert_eq(memcmp(fake.sent, echoed.bytes, echoed.bytes_count), 0);
        fake_host_take(&fake, SIZE_MAX);
        cr_assert_null(fake.session.held);
    }
    ws_stream_clear(&input);
    ws_stream_clear(&echoed);
}

/* Input that is set aside keeps what comes later behind it, in one stream. */
Test(ws_session_budget, appends_to_the_input_it_holds)
{
    fake.on_message = echo;
    block(0);
    send_bytes(FW_OUTPUT_SOFT_BYTES + 1);
    fake_host_flush(&fake);
    struct ws_stream stream = {0};
    for (unsigned i = 0; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof text, "m%u", i);
        ws_stream_text(&stream, TEXT | WS_MASKED, text);
    }
    for (size_t at = 0; at < stream.bytes_count; at += 7) {
        size_t left = stream.bytes_count - at;
        fake_host_receive(&fake, stream.bytes + at, left < 7 ? left : 7);
    }
    fake_host_flush(&fake);
    cr_assert(fw_session_full(&fake.session));
    cr_assert_str_eq(fake.told, "");
    fake_host_take(&fake, SIZE_MAX);
    cr_assert_not(fw_session_full(&fake.session));
    cr_assert_eq(fake.host.messages_received, 100u);
    cr_assert_not_null(strstr(fake_host_frames(&fake), "text(m0) text(m1)"));
    cr_assert_not_null(strstr(fake_host_frames(&fake), "text(m98) text(m99)"));
    ws_stream_clear(&stream);
}

Test(ws_session_budget, drops_the_input_it_holds_when_it_is_over)
{
    block(0);
    send_bytes(FW_OUTPUT_SOFT_BYTES + 1);
    fake_host_flush(&fake);
    fake_host_frame(&fake, TEXT, "set aside");
    cr_assert_not_null(fake.session.held);
    fw_session_ended(&fake.session, -ECONNRESET);
    fake_host_frame(&fake, TEXT, "and more");
    fake_host_flush(&fake);
    cr_assert_null(fake.session.held);
    cr_assert_str_eq(fake.told, "closed(1006)");
}

/* A peer that has said all it wants, its close included, and its FIN, and reads slowly: it gets all
 * that it is owed. */
Test(ws_session_budget, works_on_the_input_it_holds_before_it_heeds_a_FIN)
{
    struct ws_stream input = {0};
    struct ws_stream echoed = {0};
    make_streams(&input, &echoed, 60);
    ws_stream_text(&input, CLOSE | WS_MASKED, "\x03\xe8");
    ws_stream_text(&echoed, CLOSE, "\x03\xe8");
    fake.on_message = echo;
    fake.on_closed = NULL;
    block(1000);
    for (size_t at = 0; at < input.bytes_count; at += 1 << 16) {
        size_t left = input.bytes_count - at;
        fake_host_receive(&fake, input.bytes + at, left < 1 << 16 ? left : 1 << 16);
        fake.told[0] = '\0';
    }
    fw_session_ended(&fake.session, 0);
    fake_host_flush(&fake);
    for (unsigned turn = 0; turn < 10000 && !fake.gone; turn++) {
        fake.told[0] = '\0';
        fake_host_take(&fake, 10000);
    }
    cr_assert(fake.gone);
    cr_assert_eq(fake.session.close_code, 1000);
    cr_assert_eq(fake.sent_count, echoed.bytes_count);
    cr_assert_eq(memcmp(fake.sent, echoed.bytes, echoed.bytes_count), 0);
    ws_stream_clear(&input);
    ws_stream_clear(&echoed);
}

/* ---- subscriptions --------------------------------------------------------------------------- */

Test(ws_session_subscribe, delivers_what_is_published)
{
    subscribe("a");
    subscribe("b");
    fake_host_publish(&fake, "a", "one", 3);
    fake_host_publish(&fake, "b", "two", 3);
    fake_host_publish(&fake, "c", "three", 5);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake_host_frames(&fake), "text(one) text(two)");
}

Test(ws_session_subscribe, says_what_is_wrong)
{
    subscribe("a");
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("a")), FW_ERR_EXISTS);
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("")), FW_ERR_TOPIC);
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("a b")), FW_ERR_TOPIC);
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("a,b")), FW_ERR_TOPIC);
    cr_assert_eq(fw_session_unsubscribe(&fake.session, fw_bytes_of("b")), FW_ERR_ABSENT);
    cr_assert_eq(fw_session_unsubscribe(&fake.session, fw_bytes_of("")), FW_ERR_ABSENT);
    fake.subscribe_result = FW_ERR_LIMIT;
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("b")), FW_ERR_LIMIT);
    fake.subscribe_result = 0;
    cr_assert_eq(fake.session.subscriptions_count, 1);
    subscribe("b");
}

Test(ws_session_subscribe, takes_128_topics_and_no_more)
{
    char name[16];
    for (unsigned i = 0; i < 128; i++) {
        snprintf(name, sizeof name, "t%u", i);
        subscribe(name);
    }
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("one-more")), FW_ERR_LIMIT);
    for (unsigned i = 0; i < 128; i++) {
        snprintf(name, sizeof name, "t%u", i);
        fake_host_publish(&fake, name, "x", 1);
    }
    fake_host_flush(&fake);
    cr_assert_eq(fake.sent_count, 128u * 3, "each of them delivers");
    fw_session_unsubscribe(&fake.session, fw_bytes_of("t64"));
    subscribe("one-more");
}

/* The places move as subscriptions come and go: each must still be found by its topic, and by the
 * hub. */
Test(ws_session_subscribe, survives_coming_and_going_in_any_order)
{
    bool wanted[20] = {false};
    uint64_t random = 7;
    char name[16];
    for (unsigned step = 0; step < 3000; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        unsigned i = (unsigned)(random >> 33) % 20;
        struct fw_bytes topic;
        snprintf(name, sizeof name, "t%u", i);
        topic = fw_bytes_of(name);
        int result = wanted[i] ? fw_session_unsubscribe(&fake.session, topic)
                               : fw_session_subscribe(&fake.session, topic);
        cr_assert_eq(result, 0, "step %u", step);
        wanted[i] = !wanted[i];
        if (step % 100 != 0)
            continue;
        size_t count = 0;
        fake_host_forget(&fake);
        for (unsigned k = 0; k < 20; k++) {
            snprintf(name, sizeof name, "t%u", k);
            fake_host_publish(&fake, name, "x", 1);
            count += wanted[k];
        }
        fake_host_flush(&fake);
        cr_assert_eq(fake.sent_count, 3 * count, "step %u", step);
    }
}

Test(ws_session_subscribe, leaves_its_topics_when_it_ends)
{
    subscribe("a");
    subscribe("b");
    fake_host_frame(&fake, CLOSE, "\x03\xe8");
    for (unsigned i = 0; i < fake.topics_count; i++)
        cr_assert_eq(fake.topics[i]->subscribers, 0u);
}

/* Nobody is left with a silent gap. */
Test(ws_session_subscribe, closes_with_1011_when_a_message_was_lost_for_want_of_memory)
{
    subscribe("a");
    fw_session_deliver(fake.session.subscriptions, NULL);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake_host_frames(&fake), "close(1011 out of memory)");
    cr_assert_str_eq(fake.told, "closed(1011)");
}

/* ---- without memory -------------------------------------------------------------------------- */

/* Reads what it was told after it has sent it on: the bytes are its own until it returns. */
static void echo_and_read(struct fake_host *host, uint8_t type, const uint8_t *bytes, size_t count)
{
    static volatile uint8_t seen;
    fw_ws_session_send(&host->session, FW_WS_BINARY, (struct fw_bytes){bytes, count / 2});
    int result = fw_ws_session_send(&host->session, type, (struct fw_bytes){bytes, count});
    cr_assert(result == 0 || result == -ENOMEM || result == FW_ERR_CLOSED);
    for (size_t i = 0; i < count; i++)
        seen = seen ^ bytes[i];
}

static void open_with_topic(struct fake_host *host, const struct fw_request *request)
{
    (void)request;
    fw_session_subscribe(&host->session, fw_bytes_of("a"));
    fw_ws_session_send(&host->session, FW_WS_TEXT, fw_bytes_of("welcome"));
}

static void receive_in_pieces(struct fake_host *host, const struct ws_stream *stream, size_t piece)
{
    for (size_t at = 0; at < stream->bytes_count; at += piece) {
        size_t left = stream->bytes_count - at;
        fake_host_receive(host, stream->bytes + at, left < piece ? left : piece);
        fake_host_flush(host);
    }
}

/* A session's whole life: a handshake in pieces, messages whole and cut, small and large, pings,
 * topics, a peer that stops reading, a close. */
static void live(struct fake_host *host, const struct ws_stream *input, size_t piece)
{
    static uint8_t large[3000];
    receive_in_pieces(host, input, piece);
    for (unsigned i = 0; i < 6 && host->session.phase == FW_PHASE_OPEN; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%u", i);
        fw_session_subscribe(&host->session, fw_bytes_of(name));
    }
    host->window = 10;
    fw_ws_session_send(&host->session, FW_WS_BINARY, (struct fw_bytes){large, sizeof large});
    fake_host_flush(host);
    fake_host_frame(host, PING, "kept");
    fake_host_frame(host, TEXT, "queued behind");
    fw_ws_session_send(&host->session, FW_WS_BINARY, (struct fw_bytes){large, sizeof large});
    fake_host_take(host, 2000);
    fake_host_take(host, SIZE_MAX);
    fw_session_unsubscribe(&host->session, fw_bytes_of("t1"));
    fake_host_frame(host, CLOSE, "\x03\xe8");
}

static void make_life(struct ws_stream *input)
{
    static uint8_t large[3000];
    static const char handshake[] =
        "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    memset(large, 'l', sizeof large);
    ws_stream_put(input, handshake, sizeof handshake - 1);
    ws_stream_text(input, TEXT | WS_MASKED, "small");
    ws_stream_frame(input, TEXT | WS_MASKED, large, sizeof large);
    ws_stream_text(input, FW_WS_TEXT | WS_MASKED, "frag");
    ws_stream_text(input, PING | WS_MASKED, "between");
    ws_stream_text(input, WS_FIN | FW_WS_CONTINUATION | WS_MASKED, "ments");
}

static unsigned count_of(const char *text, const char *word)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}

/* Each allocation of that life fails once, alone and with all that follow: no crash, no leak, and
 * the program hears of the end of exactly what it accepted. The sanitizers are the judges of most.
 */
static void survive(size_t piece, bool keeps, enum fail_mem_mode mode)
{
    struct ws_stream input = {0};
    bool failed = true;
    make_life(&input);
    for (unsigned k = 1; failed; k++) {
        struct fake_host host;
        fake_host_init(&host);
        host.keeps = keeps;
        host.rules.output_soft_bytes = 1000;
        host.on_open = open_with_topic;
        host.on_message = echo_and_read;
        fail_mem_at(k, mode);
        live(&host, &input, piece);
        failed = fail_mem_off();
        fw_session_clear(&host.session);
        cr_assert_eq(count_of(host.told, "open("), count_of(host.told, "closed("), "k %u: %s", k,
                     host.told);
        if (!failed)
            cr_assert_not_null(strstr(host.told, "closed(1000)"), "%s", host.told);
        fake_host_clear(&host);
    }
    ws_stream_clear(&input);
}

Test(ws_session_memory, survives_every_allocation_that_fails_with_input_in_one_piece)
{
    survive(SIZE_MAX / 2, false, FAIL_ONCE);
    survive(SIZE_MAX / 2, true, FAIL_ONCE);
    survive(SIZE_MAX / 2, true, FAIL_FROM_ON);
}

Test(ws_session_memory, survives_every_allocation_that_fails_with_input_in_small_pieces)
{
    survive(5, false, FAIL_ONCE);
    survive(5, true, FAIL_FROM_ON);
}

Test(ws_session_memory, survives_every_allocation_that_fails_with_input_in_large_pieces)
{
    survive(700, true, FAIL_ONCE);
    survive(700, false, FAIL_FROM_ON);
}
