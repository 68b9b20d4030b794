/* test_http_upgrade.c: from HTTP to WebSocket (core/session/http_session.c): who is let in, what
 * the program may do while it is asked, and what is refused (RFC 6455, section 4.2).
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

#define GET_A "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define UPGRADE                                                                                    \
    "GET /ws?q=1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"             \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

static struct fake_host fake;

static void begin(void)
{
    fake_host_init(&fake);
}

static void end(void)
{
    fake_host_clear(&fake);
}

TestSuite(http_upgrade, .init = begin, .fini = end, .timeout = 60);

static unsigned count_of(const char *text, const char *word)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}

static void send_text(struct fake_host *host, const char *text)
{
    cr_assert_eq(fw_ws_session_send(&host->session, FW_WS_TEXT, fw_bytes_of(text)), 0);
}

/* ---- accepted -------------------------------------------------------------------------------- */

/* RFC 6455, section 1.3: this key has this answer. */
Test(http_upgrade, is_answered_101_with_the_accept_of_its_key)
{
    fake_host_say(&fake, UPGRADE);
    cr_assert_eq(strncmp(fake_host_sent(&fake), "HTTP/1.1 101 ", 13), 0);
    cr_assert_not_null(strstr(fake_host_sent(&fake), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    cr_assert_str_eq(fake.told, "open(/ws)");
    cr_assert_eq(fake.session.phase, FW_PHASE_OPEN);
}

Test(http_upgrade, may_come_one_octet_at_a_time_with_frames_behind_it)
{
    struct ws_stream stream = {0};
    ws_stream_put(&stream, UPGRADE, sizeof UPGRADE - 1);
    ws_stream_text(&stream, WS_FIN | FW_WS_TEXT | WS_MASKED, "at once");
    for (size_t piece = 1; piece < 400; piece += piece < 20 ? 1 : 37) {
        struct fake_host host;
        fake_host_init(&host);
        for (size_t at = 0; at < stream.bytes_count; at += piece) {
            size_t left = stream.bytes_count - at;
            fake_host_receive(&host, stream.bytes + at, left < piece ? left : piece);
            fake_host_flush(&host);
        }
        cr_assert_str_eq(host.told, "open(/ws) text(at once)", "pieces of %zu", piece);
        fake_host_clear(&host);
    }
    ws_stream_clear(&stream);
}

Test(http_upgrade, comes_after_the_answers_to_requests_before_it)
{
    for (size_t cut = 0; cut < sizeof(GET_A GET_A UPGRADE); cut += 9) {
        struct fake_host host;
        fake_host_init(&host);
        fake_host_receive(&host, GET_A GET_A UPGRADE, cut);
        fake_host_say(&host, &(GET_A GET_A UPGRADE)[cut]);
        const char *sent = fake_host_sent(&host);
        cr_assert_eq(count_of(sent, "HTTP/1.1 404 "), 2u);
        cr_assert_gt(strstr(sent, "HTTP/1.1 101 "), strstr(strstr(sent, "404 ") + 4, "404 "));
        cr_assert_str_eq(host.told, "request(/a) request(/a) open(/ws)");
        fake_host_clear(&host);
    }
}

static void greet(struct fake_host *host, const struct fw_request *request)
{
    (void)request;
    send_text(host, "welcome");
    send_text(host, "and more");
}

Test(http_upgrade, lets_the_program_send_behind_the_101)
{
    fake.on_open = greet;
    fake_host_say(&fake, GET_A UPGRADE);
    cr_assert_str_eq(fake_host_frames(&fake), "text(welcome) text(and more)");
    cr_assert_eq(count_of(fake_host_sent(&fake), "HTTP/1.1 404 "), 1u);
}

static void close_at_once(struct fake_host *host, const struct fw_request *request)
{
    (void)request;
    cr_assert_eq(fw_ws_session_close(&host->session, 4000, fw_bytes_of("not now")), 0);
}

Test(http_upgrade, lets_the_program_accept_and_close)
{
    fake.on_open = close_at_once;
    fake_host_say(&fake, UPGRADE);
    cr_assert_str_eq(fake_host_frames(&fake), "close(4000 not now)");
    fake_host_frame(&fake, WS_FIN | FW_WS_CLOSE, "\x0f\xa0");
    cr_assert_str_eq(fake.told, "open(/ws) closed(4000)");
}

/* RFC 9110, section 7.8: a server may pass over an offer. Some HTTP libraries offer h2c with every
 * request. */
Test(http_upgrade, passes_over_offers_of_other_protocols)
{
    fake_host_say(&fake, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                         "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
    cr_assert_str_eq(fake.told, "request(/a)");
    cr_assert_not(fake.shut);
    fake_host_say(&fake, "POST /b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
                         "Content-Length: 2\r\n\r\nhi");
    cr_assert_str_eq(fake.told, "request(/a) request(/b)");
}

/* ---- refused by the handshake ---------------------------------------------------------------- */

Test(http_upgrade, is_refused_when_it_is_malformed_and_nothing_behind_it_is_looked_at)
{
    static const struct {
        const char *method;
        const char *lines;
        unsigned status;
    } rows[] = {
        {"GET", "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", 400},
        {"GET",
         "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2hvcnQ=\r\n",
         400},
        {"GET", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
         400},
        {"GET",
         "Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
         426},
        {"GET",
         "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 0\r\n",
         400},
        {"HEAD",
         "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
         405},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_host host;
        char text[1024];
        fake_host_init(&host);
        snprintf(text, sizeof text,
                 "%s /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n%s\r\n" UPGRADE GET_A,
                 rows[i].method, rows[i].lines);
        fake_host_say(&host, text);
        char wanted[32];
        snprintf(wanted, sizeof wanted, "HTTP/1.1 %u ", rows[i].status);
        const char *sent = fake_host_sent(&host);
        cr_assert_eq(strncmp(sent, wanted, strlen(wanted)), 0, "row %zu: %s", i, sent);
        cr_assert_eq(count_of(sent, "HTTP/1.1 "), 1u, "row %zu", i);
        cr_assert_not_null(strstr(sent, "Connection: close\r\n"), "row %zu", i);
        cr_assert_str_eq(host.told, "", "row %zu", i);
        cr_assert(host.shut, "row %zu", i);
        fake_host_clear(&host);
    }
}

/* RFC 6455, section 4.4. */
Test(http_upgrade, says_which_version_it_speaks)
{
    fake_host_say(&fake, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Version: 99\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    cr_assert_not_null(strstr(fake_host_sent(&fake), "Sec-WebSocket-Version: 13\r\n"));
}

/* SECURITY.md, cross-site WebSocket hijacking. */
Test(http_upgrade, is_refused_403_from_another_origin)
{
    static const char *const allowed[] = {"https://app.example.net", NULL};
    static const struct {
        const char *lines;
        bool wanted;
    } rows[] = {
        {"", true},
        {"Origin: http://example.com\r\n", true},
        {"Origin: https://app.example.net\r\n", true},
        {"Origin: https://evil.com\r\n", false},
        {"Origin: null\r\n", false},
        {"Origin: \r\n", false},
        {"Origin: http://example.com\r\nOrigin: https://evil.com\r\n", false},
        {"Origin: http://example.com\r\nOrigin: http://example.com\r\n", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_host host;
        fake_host_init(&host);
        host.rules.allow_origins = allowed;
        fake_host_handshake(&host, "/ws", rows[i].lines);
        cr_assert_str_eq(host.told, rows[i].wanted ? "open(/ws)" : "", "row %zu", i);
        cr_assert_eq(
            strncmp(fake_host_sent(&host), rows[i].wanted ? "HTTP/1.1 101" : "HTTP/1.1 403", 12), 0,
            "row %zu", i);
        fake_host_clear(&host);
    }
}

Test(http_upgrade, a_POST_from_another_origin_is_refused_403_too)
{
    fake_host_say(&fake, "POST /a HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.com\r\n"
                         "Content-Length: 1\r\n\r\nx");
    cr_assert_eq(strncmp(fake_host_sent(&fake), "HTTP/1.1 403 ", 13), 0);
    cr_assert_str_eq(fake.told, "");
}

/* ---- refused by the program ------------------------------------------------------------------ */

static void subscribe_and_send(struct fake_host *host, const struct fw_request *request)
{
    (void)request;
    cr_assert_eq(fw_session_subscribe(&host->session, fw_bytes_of("a")), 0);
    send_text(host, "never to be seen");
}

/* The 101 and what the program sent are taken back; answers to earlier requests are not. */
Test(http_upgrade, refused_by_the_program_gets_its_status_and_nothing_else)
{
    fake.on_open = subscribe_and_send;
    fake.answer = 401;
    fake_host_receive(&fake, GET_A UPGRADE GET_A, sizeof(GET_A UPGRADE GET_A) - 1);
    fake_host_publish(&fake, "a", "nor this", 8);
    fake_host_flush(&fake);
    const char *sent = fake_host_sent(&fake);
    cr_assert_eq(count_of(sent, "HTTP/1.1 404 "), 1u);
    cr_assert_eq(count_of(sent, "HTTP/1.1 401 Unauthorized\r\n"), 1u);
    cr_assert_null(strstr(sent, "101"));
    cr_assert_null(strstr(sent, "never"));
    cr_assert_null(strstr(sent, "nor this"));
    cr_assert_not_null(strstr(strstr(sent, " 401 "), "Connection: close\r\n"));
    cr_assert_str_eq(fake.told, "request(/a) open(/ws)", "on_close is for accepted ones");
    cr_assert_eq(fake.topics[0]->subscribers, 0u, "it left its topics");
    cr_assert(fake.shut);
    cr_assert_eq(fake.host.handshakes_refused, 1u);
}

Test(http_upgrade, refused_by_the_program_swallows_what_follows)
{
    fake.answer = 403;
    fake_host_say(&fake, UPGRADE);
    fake_host_frame(&fake, WS_FIN | FW_WS_TEXT, "x");
    fake_host_say(&fake, GET_A);
    cr_assert_str_eq(fake.told, "open(/ws)");
    cr_assert_eq(count_of(fake_host_sent(&fake), "HTTP/1.1 "), 1u);
}

Test(http_upgrade, refused_with_what_is_no_error_status_is_refused_403)
{
    static const unsigned answers[] = {1, 101, 200, 302, 399, 600, 4000};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct fake_host host;
        fake_host_init(&host);
        host.answer = answers[i];
        fake_host_say(&host, UPGRADE);
        cr_assert_eq(strncmp(fake_host_sent(&host), "HTTP/1.1 403 ", 13), 0, "%u", answers[i]);
        fake_host_clear(&host);
    }
}

Test(http_upgrade, refused_after_the_program_closed_it_is_refused)
{
    fake.on_open = close_at_once;
    fake.answer = 503;
    fake_host_say(&fake, UPGRADE);
    cr_assert_eq(strncmp(fake_host_sent(&fake), "HTTP/1.1 503 ", 13), 0);
    cr_assert_eq(count_of(fake_host_sent(&fake), "HTTP/1.1 "), 1u);
    cr_assert_str_eq(fake.told, "open(/ws)");
}

/* ---- without memory -------------------------------------------------------------------------- */

static void subscribe_and_try_to_send(struct fake_host *host, const struct fw_request *request)
{
    (void)request;
    fw_session_subscribe(&host->session, fw_bytes_of("a"));
    fw_session_subscribe(&host->session, fw_bytes_of("b"));
    fw_ws_session_send(&host->session, FW_WS_TEXT, fw_bytes_of("welcome"));
}

Test(http_upgrade, survives_every_allocation_that_fails)
{
    for (unsigned variant = 0; variant < 8; variant++) {
        bool failed = true;
        for (unsigned k = 1; failed; k++) {
            struct fake_host host;
            fake_host_init(&host);
            host.on_open = subscribe_and_try_to_send;
            host.answer = variant & 1 ? 403 : 0;
            fail_mem_at(k, variant & 2 ? FAIL_ONCE : FAIL_FROM_ON);
            if (variant & 4) { /* in pieces */
                fake_host_say(&host, "GET /a HTTP/1.1\r\nHo");
                fake_host_say(&host, "st: x\r\n\r\nGET /topics/t");
                fake_host_say(&host, ",u HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                                     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
            } else {
                fake_host_say(&host, GET_A UPGRADE);
            }
            failed = fail_mem_off();
            bool accepted = host.session.told_open;
            cr_assert(failed || accepted == (host.answer == 0));
            fw_session_clear(&host.session);
            cr_assert_eq(count_of(host.told, "closed("),
                         accepted || (host.answer == 0 && strstr(host.told, "open(") != NULL) ? 1u
                                                                                              : 0u,
                         "%s", host.told);
            for (unsigned i = 0; i < host.topics_count; i++)
                cr_assert_eq(host.topics[i]->subscribers, 0u);
            fake_host_clear(&host);
        }
    }
}
