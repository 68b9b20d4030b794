/* test_resume.c: sessions that come back, on each transport, page by page (core/session/resume.c,
 * since.c, sse_session.c, longpoll_session.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "session/since.h"
#include "support/fail_mem.h"
#include "support/fake_host.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>

static struct fake_host fake;

/* A handshake that is received before the turn ends. */
static const char upgrade[] =
    "GET /topics/a?since=first HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n";

static void begin(void)
{
    fake_host_init(&fake);
}

static void end(void)
{
    fake_host_clear(&fake);
}

TestSuite(resume, .init = begin, .fini = end, .timeout = 60);

/* Publishes "1", "2", ... */
static void publish(const char *topic, unsigned from, unsigned to)
{
    char text[16];
    for (unsigned i = from; i <= to; i++)
        fake_host_publish(&fake, topic, text, (size_t)sprintf(text, "%u", i));
}

static void get(const char *target, const char *lines)
{
    char text[4096];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", target, lines);
    fake_host_say(&fake, text);
}

static bool sent(const char *text)
{
    return strstr(fake_host_sent(&fake), text) != NULL;
}

/* ---- positions ------------------------------------------------------------------------------- */

Test(resume, reads_positions_and_refuses_what_is_none)
{
    static const struct {
        const char *text;
        int result;
        struct fw_since wanted;
    } rows[] = {
        {"now", 0, {.kind = FW_SINCE_NOW}},
        {"first", 0, {.kind = FW_SINCE_FIRST}},
        {"0:0", 0, {.kind = FW_SINCE_AT}},
        {"abc:7", 0, {.kind = FW_SINCE_AT, .epoch = 0xabc, .offset = 7}},
        {"ABC:7", 0, {.kind = FW_SINCE_AT, .epoch = 0xabc, .offset = 7}},
        {"ffffffffffffffff:18446744073709551615",
         0,
         {.kind = FW_SINCE_AT, .epoch = UINT64_MAX, .offset = UINT64_MAX}},
        {"", FW_ERR_POSITION, {0}},
        {":", FW_ERR_POSITION, {0}},
        {"a:", FW_ERR_POSITION, {0}},
        {":1", FW_ERR_POSITION, {0}},
        {"g:1", FW_ERR_POSITION, {0}},
        {"a:b", FW_ERR_POSITION, {0}},
        {"a:-1", FW_ERR_POSITION, {0}},
        {"a: 1", FW_ERR_POSITION, {0}},
        {"a:1:2", FW_ERR_POSITION, {0}},
        {"10000000000000000:1", FW_ERR_POSITION, {0}},
        {"a:18446744073709551616", FW_ERR_POSITION, {0}},
        {"First", FW_ERR_POSITION, {0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fw_since since;
        cr_expect_eq(fw_since_parse(fw_bytes_of(rows[i].text), &since), rows[i].result, "%s",
                     rows[i].text);
        if (rows[i].result != 0)
            continue;
        cr_expect_eq(since.kind, rows[i].wanted.kind, "%s", rows[i].text);
        cr_expect_eq(since.epoch, rows[i].wanted.epoch, "%s", rows[i].text);
        cr_expect_eq(since.offset, rows[i].wanted.offset, "%s", rows[i].text);
    }
}

Test(resume, refuses_a_request_whose_positions_do_not_fit_its_topics)
{
    static const char *const queries[] = {
        "?since=x",
        "?since=abc:1",
        "?since=abc:1,abc:2,abc:3",
        "?since=abc:1,",
        "?since=%zz",
        "?since=",
        "?last=x",
        "?last=",
        "?last=-1",
        "?since=first,first",
    };
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct fake_host host;
        char path[128];
        fake_host_init(&host);
        snprintf(path, sizeof path, "/topics/a,b%s", queries[i]);
        fake_host_handshake(&host, path, "");
        cr_expect_not_null(strstr(fake_host_sent(&host), "HTTP/1.1 400 "), "%s: %s", queries[i],
                           fake_host_sent(&host));
        for (unsigned k = 0; k < host.topics_count; k++)
            cr_expect_eq(host.topics[k]->subscribers, 0u, "%s", queries[i]);
        fake_host_clear(&host);
    }
}

/* ---- WebSocket ------------------------------------------------------------------------------- */

Test(resume, hands_over_what_was_missed_and_then_what_comes)
{
    publish("a", 1, 5);
    fake_host_handshake(&fake, "/topics/a?since=abc:2", "");
    publish("a", 6, 7);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake_host_frames(&fake), "text(3) text(4) text(5) text(6) text(7)");
    cr_assert(sent("\r\nFanwire-Position: abc:2\r\nFanwire-Recovered: true\r\n\r\n"));
}

Test(resume, decodes_a_position_that_a_browser_escaped)
{
    publish("a", 1, 3);
    publish("b", 1, 3);
    fake_host_handshake(&fake, "/topics/a,b?since=abc%3A2%2Cabc%3a1", "");
    cr_assert_str_eq(fake_host_frames(&fake), "text(3) text(2) text(3)");
    cr_assert(sent("Fanwire-Position: abc:2,abc:1\r\nFanwire-Recovered: true,true\r\n"));
}

Test(resume, takes_last_first_and_now_for_all_topics)
{
    publish("a", 1, 3);
    publish("b", 4, 6);
    fake_host_handshake(&fake, "/topics/a,b?last=1", "");
    cr_assert_str_eq(fake_host_frames(&fake), "text(3) text(6)");
    struct fake_host other;
    fake_host_init(&other);
    fake_host_handshake(&other, "/topics/a", "");
    cr_assert_str_eq(fake_host_frames(&other), "");
    fake_host_clear(&other);
}

Test(resume, says_in_the_handshake_that_the_history_does_not_reach)
{
    publish("a", 1, 100);
    fake_host_handshake(&fake, "/topics/a?since=abc:10", "");
    cr_assert(sent("\r\nFanwire-Position: abc:36\r\nFanwire-Recovered: false\r\n"));
    cr_assert_eq(strncmp(fake_host_frames(&fake), "text(37) text(38)", 17), 0);
}

/* One page a turn, and only to who has taken the last one; what is published meanwhile comes once,
 * in its place. */
Test(resume, takes_page_after_page_while_messages_are_published)
{
    char wanted[1024] = "";
    fake.page_messages = 3;
    publish("a", 1, 20);
    fake_host_receive(&fake, upgrade, sizeof upgrade - 1);
    fake.window = 0;
    fake_host_flush(&fake);
    for (unsigned i = 21; i <= 40; i++) {
        publish("a", i, i);
        fake_host_take(&fake, 5);
    }
    cr_assert_lt(fake.session.outq.queued_bytes, 400u, "it is not given more than it takes");
    fake_host_take(&fake, SIZE_MAX);
    for (unsigned i = 1; i <= 40; i++)
        sprintf(wanted + strlen(wanted), "%stext(%u)", i > 1 ? " " : "", i);
    cr_assert_str_eq(fake_host_frames(&fake), wanted);
}

Test(resume, closes_a_plain_one_that_the_history_outran)
{
    fake.page_messages = 3;
    publish("a", 1, 20);
    fake.window = 0;
    fake_host_handshake(&fake, "/topics/a?since=first", "");
    publish("a", 21, 100);
    fake_host_take(&fake, SIZE_MAX);
    const char *frames = fake_host_frames(&fake);
    cr_assert_not_null(strstr(frames, "close(4410 the history no longer reaches"), "%s", frames);
}

Test(resume, leaves_the_list_when_it_ends)
{
    publish("a", 1, 10);
    fake.window = 0;
    fake_host_receive(&fake, upgrade, sizeof upgrade - 1);
    cr_assert_eq(fake.host.resuming_count, 1u);
    fw_session_ended(&fake.session, -104);
    fake_host_flush(&fake);
    cr_assert_eq(fake.host.resuming_count, 0u);
    cr_assert_eq(fake.topics[0]->subscribers, 0u);
}

/* ---- event streams --------------------------------------------------------------------------- */

#define SSE "Accept: text/event-stream\r\n"

Test(resume, streams_events_with_their_positions)
{
    publish("a", 1, 2);
    get("/topics/a?since=first", SSE);
    publish("a", 3, 3);
    fake_host_flush(&fake);
    cr_assert(
        sent("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
             "X-Accel-Buffering: no\r\n"));
    cr_assert(
        sent("\r\n\r\nretry: 1000\n\nid: abc:0\n\nid: abc:1\ndata: 1\n\nid: abc:2\ndata: 2\n\n"
             "id: abc:3\ndata: 3\n\n"),
        "%s", fake_host_sent(&fake));
    cr_assert_not(sent("Content-Length"));
}

Test(resume, streams_several_topics_with_the_positions_of_all)
{
    publish("a", 1, 1);
    publish("b", 7, 7);
    get("/topics/a,b?since=first", SSE);
    publish("b", 8, 8);
    fake_host_flush(&fake);
    cr_assert(sent("id: abc:0,abc:0\n\nid: abc:1,abc:0\nevent: topic:a\ndata: 1\n\n"
                   "id: abc:1,abc:1\nevent: topic:b\ndata: 7\n\n"
                   "id: abc:1,abc:2\nevent: topic:b\ndata: 8\n\n"),
              "%s", fake_host_sent(&fake));
}

Test(resume, believes_the_last_event_id_before_the_url)
{
    publish("a", 1, 3);
    get("/topics/a?since=first", SSE "Last-Event-ID: abc:2\r\n");
    cr_assert_not(sent("data: 2"));
    cr_assert(sent("data: 3"));
}

/* security.md 1.3, SSE injection: however a line ends, the next one is data. */
Test(resume, streams_payloads_that_cannot_forge_a_field)
{
    static const struct {
        const char *payload;
        const char *wanted;
    } rows[] = {
        {"", "\ndata: \n\n"},
        {"a\nb", "\ndata: a\ndata: b\n\n"},
        {"a\r\nb", "\ndata: a\ndata: b\n\n"},
        {"a\rb", "\ndata: a\ndata: b\n\n"},
        {"a\n\nid: 9:9\n\n", "\ndata: a\ndata: \ndata: id: 9:9\ndata: \ndata: \n\n"},
        {"\r\r\n\n", "\ndata: \ndata: \ndata: \ndata: \n\n"},
        {"a\xe2\x80\xa8"
         "b",
         "\ndata: a\xe2\x80\xa8"
         "b\n\n"},
    };
    get("/topics/a", SSE);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fake_host_forget(&fake);
        fake_host_publish(&fake, "a", rows[i].payload, strlen(rows[i].payload));
        fake_host_flush(&fake);
        cr_expect(sent(rows[i].wanted), "row %zu: %s", i, fake_host_sent(&fake));
    }
}

Test(resume, streams_what_is_not_text_as_base64)
{
    static const struct {
        size_t count;
        const char *wanted;
    } rows[] = {{0, ""}, {1, "AA=="}, {2, "AP8="}, {3, "AP8Q"}, {4, "AP8Q/g=="}};
    static const uint8_t bytes[] = {0x00, 0xff, 0x10, 0xfe};
    get("/topics/a", SSE);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char wanted[64];
        fake_host_forget(&fake);
        fake_host_publish_as(&fake, "a", FW_WS_BINARY, 0, bytes, rows[i].count);
        fake_host_flush(&fake);
        snprintf(wanted, sizeof wanted, "\nevent: binary\ndata: %s\n\n", rows[i].wanted);
        cr_expect(sent(wanted), "%zu: %s", i, fake_host_sent(&fake));
    }
}

Test(resume, resets_a_stream_that_the_history_does_not_reach)
{
    publish("a", 1, 100);
    get("/topics/a?since=abd:99", SSE);
    cr_assert(sent("retry: 1000\n\n: recovered false\nevent: reset\n"
                   "data: {\"topic\":\"a\",\"epoch\":\"abc\",\"offset\":36}\n\nid: abc:36\n\n"
                   "id: abc:37\ndata: 37\n\n"),
              "%s", fake_host_sent(&fake));
}

Test(resume, keeps_a_silent_stream_alive_and_ends_one_that_takes_nothing)
{
    get("/topics/a", SSE);
    fake_host_forget(&fake);
    fake_host_advance(&fake, FW_PING_MS_DEFAULT);
    cr_assert_str_eq(fake_host_sent(&fake), ":\n\n");
    fake.window = 1;
    fake_host_publish(&fake, "a", "x", 1);
    fake_host_flush(&fake);
    cr_assert(fake.session.blocked);
    fake_host_advance(&fake, FW_PING_MS_DEFAULT);
    cr_assert(fake.gone);
}

/* ---- long polls ------------------------------------------------------------------------------ */

Test(resume, answers_a_poll_at_once_when_there_is_something)
{
    publish("a", 1, 3);
    get("/topics/a?since=abc:1", "");
    cr_assert(sent("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"));
    cr_assert(sent("\r\nFanwire-Position: abc:2\r\nFanwire-Topic: a\r\nContent-Length: 1\r\n"));
    cr_assert(sent("\r\n\r\n2"));
    cr_assert_eq(fake.session.phase, FW_PHASE_HTTP);
    cr_assert_eq(fake.topics[0]->subscribers, 0u);
}

Test(resume, lets_a_poll_wait_for_a_message)
{
    get("/topics/a", "");
    cr_assert_str_eq(fake_host_sent(&fake), "");
    publish("a", 1, 2);
    fake_host_flush(&fake);
    cr_assert(sent("Fanwire-Position: abc:1\r\n"), "one message an answer");
    cr_assert_not(sent("abc:2"));
    cr_assert_eq(fake.topics[0]->subscribers, 0u);
}

Test(resume, answers_204_to_a_poll_when_nothing_comes)
{
    get("/topics/a?since=now", "");
    fake_host_advance(&fake, FW_POLL_MS - 1);
    cr_assert_str_eq(fake_host_sent(&fake), "");
    fake_host_advance(&fake, 1);
    cr_assert(sent("HTTP/1.1 204 No Content\r\n"));
    cr_assert(sent("Fanwire-Position: abc:0\r\n"));
    cr_assert_eq(fake.session.phase, FW_PHASE_HTTP);
}

Test(resume, answers_410_with_the_oldest_position_that_is_left)
{
    publish("a", 1, 100);
    get("/topics/a?since=abc:1", "");
    cr_assert(sent("HTTP/1.1 410 Gone\r\n"));
    cr_assert(sent("Fanwire-Position: abc:36\r\n"));
    fake_host_forget(&fake);
    get("/topics/a?since=abc:36", "");
    cr_assert(sent("\r\n\r\n37"));
}

Test(resume, answers_pipelined_polls_in_their_order)
{
    fake_host_say(&fake, "GET /topics/a HTTP/1.1\r\nHost: x\r\n\r\n"
                         "GET /topics/a?since=abc:1 HTTP/1.1\r\nHost: x\r\n\r\n"
                         "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_str_eq(fake_host_sent(&fake), "");
    publish("a", 1, 1);
    fake_host_flush(&fake);
    cr_assert(sent("Fanwire-Position: abc:1\r\n"));
    cr_assert_not(sent("ok\n"));
    publish("a", 2, 2);
    fake_host_flush(&fake);
    cr_assert(sent("Fanwire-Position: abc:2\r\n"));
    cr_assert(sent("ok\n"));
}

Test(resume, answers_a_batch_with_all_that_is_at_hand)
{
    fake_host_publish(&fake, "a", "x\"\n", 3);
    fake_host_publish_as(&fake, "a", FW_WS_BINARY, 0, "\x00\xff", 2);
    get("/topics/a?since=first&batch", "");
    cr_assert(sent("{\"topic\":\"a\",\"epoch\":\"abc\",\"offset\":1,\"text\":\"x\\\"\\u000a\"}\n"
                   "{\"topic\":\"a\",\"epoch\":\"abc\",\"offset\":2,\"base64\":\"AP8=\"}\n"),
              "%s", fake_host_sent(&fake));
    cr_assert(sent("Fanwire-Position: abc:2\r\n"));
    cr_assert(sent("Content-Type: application/x-ndjson\r\n"));
}

Test(resume, closes_after_the_answer_when_the_client_said_so)
{
    get("/topics/a", "Connection: close\r\n");
    publish("a", 1, 1);
    fake_host_flush(&fake);
    cr_assert(sent("Connection: close\r\n"));
    cr_assert(fake.shut);
    cr_assert_eq(fake.topics[0]->subscribers, 0u);
}

Test(resume, forgets_a_poll_whose_client_has_gone)
{
    get("/topics/a", "");
    fw_session_ended(&fake.session, 0);
    fake_host_flush(&fake);
    cr_assert(fake.gone);
    cr_assert_eq(fake.topics[0]->subscribers, 0u);
}

Test(resume, answers_waiting_polls_when_the_server_stops)
{
    get("/topics/a", "");
    fake.ready = false;
    fw_session_stop(&fake.session);
    fake_host_flush(&fake);
    cr_assert(sent("HTTP/1.1 204 "));
    cr_assert(fake.shut);
}

/* ---- other origins --------------------------------------------------------------------------- */

Test(resume, lets_pages_of_allowed_origins_read_and_no_others)
{
    static const char *const origins[] = {"https://app.example.com", NULL};
    fake.rules.allow_origins = origins;
    get("/topics/a?info", "Origin: https://app.example.com\r\n");
    cr_assert(sent("Access-Control-Allow-Origin: https://app.example.com\r\nVary: Origin\r\n"));
    cr_assert_not(sent("Access-Control-Allow-Credentials"));
    fake_host_forget(&fake);
    get("/topics/a", SSE "Origin: https://evil.example.com\r\n");
    cr_assert(sent("HTTP/1.1 403 "));
    cr_assert_not(sent("Access-Control"));
}

Test(resume, answers_the_preflight_of_an_allowed_origin)
{
    static const char *const origins[] = {"https://app.example.com", NULL};
    fake.rules.allow_origins = origins;
    fake_host_say(&fake,
                  "OPTIONS /topics/a HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example.com\r\n"
                  "Access-Control-Request-Method: POST\r\n\r\n");
    cr_assert(sent("HTTP/1.1 204 "));
    cr_assert(sent("Access-Control-Allow-Methods: GET, HEAD, POST\r\n"));
    cr_assert(sent("Access-Control-Allow-Origin: https://app.example.com\r\n"));
}

/* ---- without memory -------------------------------------------------------------------------- */

static void coming_back(struct fake_host *host, const char *target, const char *lines)
{
    char text[512];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", target, lines);
    fake_host_say(host, text);
}

/* Whichever allocation fails: it is refused or ended, or all that was asked for comes. */
Test(resume, leaves_no_silent_gap_whichever_allocation_fails)
{
    static const struct {
        const char *target;
        const char *lines;
        const char *wanted;
    } rows[] = {
        {"/topics/a?since=first", SSE, "data: 1\n\nid: abc:2\ndata: 2\n\nid: abc:3\ndata: 3\n\n"},
        {"/topics/a,b?since=first", SSE, "data: 3\n\n"},
        {"/topics/a?since=first", "", "\r\n\r\n1"},
        {"/topics/a?since=first&batch", "", "\"offset\":3,\"text\":\"3\"}\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool failed = true;
        for (unsigned k = 1; failed; k++) {
            struct fake_host host;
            cr_assert_lt(k, 100u);
            fake_host_init(&host);
            for (unsigned n = 1; n <= 3; n++)
                fake_host_publish(&host, "a", &"123"[n - 1], 1);
            fail_mem_at(k, FAIL_ONCE);
            coming_back(&host, rows[i].target, rows[i].lines);
            failed = fail_mem_off();
            fake_host_flush(&host);
            const char *text = fake_host_sent(&host);
            cr_expect(strstr(text, rows[i].wanted) != NULL || host.gone || host.shut ||
                          strstr(text, "HTTP/1.1 503 ") != NULL,
                      "%zu, %u: %s", i, k, text);
            fake_host_clear(&host);
        }
    }
}
