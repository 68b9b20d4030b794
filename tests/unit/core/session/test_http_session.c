/* test_http_session.c: the first bytes of every connection (core/session/http_session.c,
 * request.c): requests whole and in pieces, their answers, and the program's view of them. The way
 * to WebSocket is in test_http_upgrade.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "support/fail_mem.h"
#include "support/fake_host.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/conn.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>

#define GET_A "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

static struct fake_host fake;

static void begin(void)
{
    fake_host_init(&fake);
}

static void end(void)
{
    fake_host_clear(&fake);
}

TestSuite(http_session, .init = begin, .fini = end, .timeout = 60);
TestSuite(http_request, .init = begin, .fini = end, .timeout = 60);

/* Answers every request with its path. */
static void answer_path(struct fake_host *host, struct fw_request *request)
{
    const char *path = fw_request_path(request);
    if (strlen(host->told) > sizeof host->told / 2)
        host->told[0] = '\0';
    cr_assert_eq(fw_request_answer(request, 200, "text/plain", NULL, path, strlen(path)), 0);
}

static unsigned count_of(const char *text, const char *word)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}

static void sent_is(const char *wanted)
{
    cr_assert_str_eq(fake_host_sent(&fake), wanted);
}

/* Status of the first answer, 0 when there is none. */
static unsigned status_of(struct fake_host *host)
{
    unsigned status = 0;
    sscanf(fake_host_sent(host), "HTTP/1.1 %u", &status);
    return status;
}

/* ---- answers --------------------------------------------------------------------------------- */

Test(http_session, answers_a_whole_request)
{
    fake.on_request = answer_path;
    fake_host_say(&fake, GET_A);
    cr_assert_str_eq(fake.told, "request(/a)");
    sent_is("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
            "X-Content-Type-Options: nosniff\r\n\r\n/a");
    cr_assert_not(fake.shut);
}

Test(http_session, answers_404_what_nobody_answers)
{
    fake_host_say(&fake, GET_A);
    cr_assert_eq(status_of(&fake), 404u);
    cr_assert_not(fake.shut, "which is no reason to close");
    fake_host_say(&fake, GET_A);
    cr_assert_eq(count_of(fake.told, "request(/a)"), 2u);
}

Test(http_session, answers_HEAD_as_GET_without_the_body)
{
    fake.on_request = answer_path;
    fake_host_say(&fake, "HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_not_null(strstr(fake_host_sent(&fake), "Content-Length: 4\r\n"));
    cr_assert_str_eq(fake_host_sent(&fake) + fake.sent_count - 4, "\r\n\r\n");
}

/* RFC 9112, section 9.3: persistence by version and Connection. */
Test(http_session, stays_open_or_closes_as_the_peer_wishes)
{
    static const struct {
        const char *line;
        bool closes;
        const char *says;
    } rows[] = {
        {"HTTP/1.1\r\nHost: x\r\n", false, NULL},
        {"HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n", false, NULL},
        {"HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", true, "Connection: close\r\n"},
        {"HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n", true, "Connection: close\r\n"},
        {"HTTP/1.0\r\n", true, "Connection: close\r\n"},
        {"HTTP/1.0\r\nConnection: keep-alive\r\n", false, "Connection: keep-alive\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_host host;
        char text[256];
        fake_host_init(&host);
        snprintf(text, sizeof text, "GET /a %s\r\n", rows[i].line);
        fake_host_say(&host, text);
        cr_assert_eq(host.shut, rows[i].closes, "%s", rows[i].line);
        const char *says = strstr(fake_host_sent(&host), "Connection:");
        if (rows[i].says == NULL)
            cr_assert_null(says, "%s", rows[i].line);
        else
            cr_assert_eq(strncmp(says, rows[i].says, strlen(rows[i].says)), 0, "%s", rows[i].line);
        fake_host_clear(&host);
    }
}

Test(http_session, closes_after_each_answer_once_the_server_stops)
{
    fake.ready = false;
    fake_host_say(&fake, GET_A);
    cr_assert_not_null(strstr(fake_host_sent(&fake), "Connection: close\r\n"));
    cr_assert(fake.shut);
}

/* RFC 9112, section 9.3.2: in order, each once. */
Test(http_session, answers_pipelined_requests_in_order_however_they_are_cut)
{
    static const char input[] =
        GET_A "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
              "\r\nGET /c HTTP/1.1\r\nHost: x\r\n\r\n" GET_A;
    size_t count = sizeof input - 1;
    fake.on_request = answer_path;
    for (size_t cut = 0; cut <= count; cut++) {
        fake_host_forget(&fake);
        fake_host_receive(&fake, input, cut);
        fake_host_flush(&fake);
        fake_host_receive(&fake, input + cut, count - cut);
        fake_host_flush(&fake);
        cr_assert_str_eq(fake.told, "request(/a) request(/b) request(/c) request(/a)", "%zu", cut);
        cr_assert_eq(count_of(fake_host_sent(&fake), "HTTP/1.1 200 OK"), 4u);
    }
}

Test(http_session, takes_requests_one_octet_at_a_time)
{
    static const char input[] =
        "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" GET_A;
    fake.on_request = answer_path;
    for (size_t i = 0; i < sizeof input - 1; i++) {
        fake_host_receive(&fake, input + i, 1);
        fake_host_flush(&fake);
    }
    cr_assert_str_eq(fake.told, "request(/b) request(/a)");
}

/* The window of a peer that pipelines without reading closes; every answer comes all the same. */
Test(http_session, holds_pipelined_requests_of_a_peer_that_does_not_read)
{
    enum { REQUESTS = 4000 };
    fake.on_request = answer_path;
    fake.window = 0;
    char *input = malloc(REQUESTS * sizeof GET_A);
    size_t count = 0;
    for (unsigned i = 0; i < REQUESTS; i++)
        count += (size_t)sprintf(input + count, "%s", GET_A);
    for (size_t at = 0; at < count; at += 5000) {
        fake_host_receive(&fake, input + at, count - at < 5000 ? count - at : 5000);
        fake_host_flush(&fake);
        cr_assert_leq(fake.session.outq.queued_bytes, FW_OUTPUT_SOFT_BYTES + 1000u);
        fake.told[0] = '\0';
    }
    cr_assert(fw_session_full(&fake.session));
    while (fake.session.held != NULL)
        fake_host_take(&fake, 1 << 17);
    fake_host_take(&fake, SIZE_MAX);
    cr_assert_eq(count_of(fake_host_sent(&fake), "HTTP/1.1 200 OK"), (unsigned)REQUESTS);
    free(input);
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* SECURITY.md, upgrade smuggling: after any refusal the connection closes, and nothing behind it is
 * ever looked at. */
Test(http_session, refuses_with_a_status_and_closes)
{
    static char long_line[FW_HTTP_LINE_BYTES_MAX + 100];
    static char long_head[FW_HTTP_HEAD_BYTES_MAX + 200];
    static char many_headers[2000];
    static char large_post[128];
    memset(long_line, 'a', sizeof long_line - 1);
    memcpy(long_line, "GET /", 5);
    strcpy(long_head, "GET / HTTP/1.1\r\nHost: x\r\n");
    while (strlen(long_head) < FW_HTTP_HEAD_BYTES_MAX)
        strcat(long_head, "X-Filler: 0123456789012345678901234567890123456789\r\n");
    strcpy(many_headers, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (unsigned i = 0; i < FW_HTTP_HEADERS_MAX; i++)
        strcat(many_headers, "X: y\r\n");
    strcat(many_headers, "\r\n");
    snprintf(large_post, sizeof large_post,
             "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %u\r\n\r\n",
             FW_PUBLISH_BYTES_DEFAULT + 1);
    static const struct {
        const char *input;
        unsigned status;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: \r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\nHost: x\n\n", 400},
        {"GET  / HTTP/1.1\r\n", 400},
        {"GET http://x/ HTTP/1.1\r\n", 400},
        {"GET / HTTP/2.0\r\n", 400},
        {"GET /\r\n", 400},
        {"GET / HTTP/1.1\r\nHost : x\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
        {"\x16\x03\x01\x02", 400}, /* a TLS hello */
        {"PUT / HTTP/1.1\r\nHost: x\r\n\r\n", 405},
        {"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", 405},
        {"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", 405},
        {"POST / HTTP/1.1\r\nHost: x\r\n\r\n", 411},
        {large_post, 413},
        {long_line, 414},
        {long_head, 431},
        {many_headers, 431},
        {"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501},
        {"get / HTTP/1.1\r\nHost: x\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         501},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (unsigned pieces = 1; pieces <= 2; pieces++) {
            struct fake_host host;
            size_t count = strlen(rows[i].input);
            size_t first = pieces == 1 ? count : count / 2;
            fake_host_init(&host);
            fake_host_receive(&host, rows[i].input, first);
            fake_host_flush(&host);
            fake_host_receive(&host, rows[i].input + first, count - first);
            fake_host_flush(&host);
            fake_host_say(&host, GET_A);
            const char *sent = fake_host_sent(&host);
            cr_assert_eq(status_of(&host), rows[i].status, "row %zu: %s", i, sent);
            cr_assert_eq(count_of(sent, "HTTP/1.1 "), 1u, "row %zu: %s", i, sent);
            cr_assert_not_null(strstr(sent, "Connection: close\r\n"), "row %zu", i);
            cr_assert_str_eq(host.told, "", "row %zu", i);
            cr_assert(host.shut, "row %zu", i);
            cr_assert_eq(host.host.handshakes_refused, 1u, "row %zu", i);
            cr_assert_neq(strlen(host.logged), 0u, "row %zu", i);
            fake_host_clear(&host);
        }
    }
}

/* RFC 9110, sections 15.5.6 and 15.5.22. */
Test(http_session, says_what_some_statuses_must_say)
{
    fake_host_say(&fake, "PUT / HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_not_null(strstr(fake_host_sent(&fake), "\r\nAllow: GET, HEAD, POST\r\n"));
}

Test(http_session, logs_a_strangers_path_quoted)
{
    fake_host_say(&fake, "PUT /%1b[31m'x|y HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_not_null(strstr(fake.logged, "a request for \"/%1b[31m'x|y\" was answered 405"), "%s",
                       fake.logged);
}

Test(http_session, does_not_log_a_query)
{
    fake_host_say(&fake, "PUT /path?token=secret HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_not_null(strstr(fake.logged, "/path"));
    cr_assert_null(strstr(fake.logged, "secret"));
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static void tell_body(struct fake_host *host, struct fw_request *request)
{
    size_t count;
    const char *body = fw_request_body(request, &count);
    fake_host_tell(host, "body(%.*s)", (int)count, body == NULL ? "-" : body);
    fw_request_answer(request, 200, NULL, NULL, NULL, 0);
}

Test(http_session, gives_the_body_whole)
{
    fake.on_request = tell_body;
    fake_host_say(&fake, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe");
    cr_assert_str_eq(fake.told, "");
    fake_host_say(&fake, "llo");
    cr_assert_str_eq(fake.told, "request(/b) body(hello)");
    fake_host_say(&fake, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    cr_assert_not_null(strstr(fake.told, "body()"));
}

Test(http_session, takes_a_body_of_the_limit)
{
    char *body = malloc(FW_PUBLISH_BYTES_DEFAULT);
    char head[128];
    memset(body, 'b', FW_PUBLISH_BYTES_DEFAULT);
    snprintf(head, sizeof head, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: %u\r\n\r\n",
             FW_PUBLISH_BYTES_DEFAULT);
    fake_host_say(&fake, head);
    for (size_t at = 0; at < FW_PUBLISH_BYTES_DEFAULT; at += 4096)
        fake_host_receive(&fake, body + at, 4096);
    fake_host_flush(&fake);
    cr_assert_str_eq(fake.told, "request(/b)");
    free(body);
}

/* SECURITY.md: memory grows with what came, not with what was announced. */
Test(http_session, allocates_no_body_before_it_comes)
{
    char head[128];
    snprintf(head, sizeof head, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: %u\r\n\r\n",
             FW_PUBLISH_BYTES_DEFAULT);
    fake.rules.publish_bytes_max = 1u << 30;
    fake_host_say(&fake, head);
    cr_assert_not_null(fake.session.in.pending);
    /* It would abort with a 1 MiB block: the hook refuses the third allocation. */
    fail_mem_at(3, FAIL_FROM_ON);
    fake_host_say(&fake, "first octets");
    cr_assert_not(fail_mem_off());
    cr_assert_eq(fake.session.phase, FW_PHASE_HTTP);
}

/* RFC 9110, section 10.1.1. */
Test(http_session, says_100_continue_to_a_client_that_waits_for_it)
{
    static const char head[] =
        "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    fake.on_request = answer_path;
    fake_host_say(&fake, head);
    sent_is("HTTP/1.1 100 Continue\r\n\r\n");
    fake_host_say(&fake, "ab");
    cr_assert_eq(strncmp(fake_host_sent(&fake) + 25, "HTTP/1.1 200 OK", 15), 0);
    fake_host_forget(&fake);

    fake_host_receive(&fake, head, 30); /* the same with the head in pieces */
    fake_host_say(&fake, head + 30);
    sent_is("HTTP/1.1 100 Continue\r\n\r\n");
    fake_host_say(&fake, "ab");
}

Test(http_session, says_no_100_when_the_body_has_begun_or_the_client_is_of_HTTP_1_0)
{
    static const char *inputs[] = {
        "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\na",
        "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab",
        "POST /b HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
        "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: something\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        struct fake_host host;
        fake_host_init(&host);
        fake_host_say(&host, inputs[i]);
        cr_assert_null(strstr(fake_host_sent(&host), "100 Continue"), "%zu", i);
        fake_host_clear(&host);
    }
}

Test(http_session, refuses_at_once_instead_of_100_what_it_would_not_take)
{
    fake_host_say(&fake, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n"
                         "Expect: 100-continue\r\n\r\n");
    cr_assert_eq(status_of(&fake), 413u);
}

/* ---- deadlines ------------------------------------------------------------------------------- */

/* SECURITY.md, slowloris: absolute from the accept. */
Test(http_session, gives_a_dripped_head_no_more_time)
{
    static const char head[] = GET_A;
    for (size_t i = 0; i < 5; i++) {
        fake_host_receive(&fake, head + i, 1);
        fake_host_advance(&fake, 999);
    }
    cr_assert_not(fake.shut);
    fake_host_advance(&fake, 5);
    cr_assert_eq(status_of(&fake), 408u);
    cr_assert(fake.shut);
}

Test(http_session, lets_a_silent_connection_go_without_a_word)
{
    fake_host_advance(&fake, 4999);
    cr_assert_not(fake.gone);
    fake_host_advance(&fake, 1);
    cr_assert(fake.gone);
    cr_assert_eq(fake.sent_count, 0u);
}

Test(http_session, gives_a_body_ten_seconds_from_its_head)
{
    fake_host_advance(&fake, 4000);
    fake_host_say(&fake, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    for (unsigned i = 0; i < 99; i++) {
        fake_host_say(&fake, "x");
        fake_host_advance(&fake, 100);
    }
    cr_assert_eq(status_of(&fake), 0u);
    fake_host_advance(&fake, 100);
    cr_assert_eq(status_of(&fake), 408u);
}

Test(http_session, lets_an_idle_kept_connection_go_after_a_while)
{
    fake_host_say(&fake, GET_A);
    fake_host_advance(&fake, 14999);
    cr_assert_not(fake.gone);
    fake_host_say(&fake, GET_A);
    fake_host_advance(&fake, 14999);
    cr_assert_not(fake.gone, "each answer begins the time anew");
    fake_host_advance(&fake, 1);
    cr_assert(fake.gone);
}

Test(http_session, closes_when_the_server_stops)
{
    fake_host_say(&fake, "GET /half");
    fw_session_stop(&fake.session);
    fake_host_flush(&fake);
    cr_assert(fake.gone);
}

/* `printf GET... | nc`: the FIN comes with the request, and the answer must still go out. */
Test(http_session, answers_a_peer_that_has_said_FIN_behind_its_request)
{
    fake.on_request = answer_path;
    fake_host_receive(&fake, GET_A GET_A, 2 * (sizeof GET_A - 1));
    fw_session_ended(&fake.session, 0);
    fake_host_flush(&fake);
    cr_assert_eq(count_of(fake_host_sent(&fake), "200 OK"), 2u);
    cr_assert(fake.gone);
    cr_assert_eq(fake.session.end, FW_END_CLOSE);
}

/* ---- the program's view (conn.h) ------------------------------------------------------------- */

static void look_at_it(struct fake_host *host, struct fw_request *request)
{
    size_t count = 99;
    const char *value = fw_request_header(request, "X-Custom", &count);
    fake_host_tell(host, "%s %s [%.*s]", fw_request_method(request), fw_request_path(request),
                   (int)count, value);
    value = fw_request_query(request, "b", &count);
    fake_host_tell(host, "b=%.*s", (int)count, value);
    cr_assert_null(fw_request_query(request, "absent", &count));
    cr_assert_eq(count, 0u);
    cr_assert_not_null(fw_request_query(request, "c", &count), "a bare name is there");
    cr_assert_eq(count, 0u);
    cr_assert_null(fw_request_header(request, "absent", &count));
    cr_assert_eq(count, 0u);
    char long_name[300];
    memset(long_name, 'n', sizeof long_name);
    long_name[299] = '\0';
    cr_assert_null(fw_request_header(request, long_name, &count));
    cr_assert_null(fw_request_body(request, &count));
    cr_assert_eq(count, 0u);
}

Test(http_request, shows_method_path_query_and_headers)
{
    fake.on_request = look_at_it;
    fake_host_say(&fake, "GET /some/path?a=1&b=two%20words&c HTTP/1.1\r\nHost: x\r\n"
                         "x-CUSTOM:  a value \r\n\r\n");
    cr_assert_str_eq(fake.told, "request(/some/path) GET /some/path [a value] b=two%20words");
}

static void answer_badly(struct fake_host *host, struct fw_request *request)
{
    (void)host;
    cr_assert_eq(fw_request_answer(request, 199, NULL, NULL, NULL, 0), FW_ERR_USAGE);
    cr_assert_eq(fw_request_answer(request, 600, NULL, NULL, NULL, 0), FW_ERR_USAGE);
    cr_assert_eq(fw_request_answer(request, 599, NULL, NULL, NULL, 0), 0);
    cr_assert_eq(fw_request_answer(request, 200, NULL, NULL, NULL, 0), FW_ERR_USAGE);
}

Test(http_request, is_answered_once_with_a_final_status)
{
    fake.on_request = answer_badly;
    fake_host_say(&fake, GET_A);
    sent_is("HTTP/1.1 599 Status\r\nContent-Length: 0\r\nX-Content-Type-Options: nosniff\r\n\r\n");
}

static void answer_204(struct fake_host *host, struct fw_request *request)
{
    (void)host;
    cr_assert_eq(fw_request_answer(request, 204, NULL, "X-More: 1\r\n", "body", 4), 0);
}

/* RFC 9110, sections 8.6 and 15.3.5: a body would be taken for the next answer. */
Test(http_request, has_no_body_nor_length_when_answered_204)
{
    fake.on_request = answer_204;
    fake_host_say(&fake, GET_A);
    sent_is("HTTP/1.1 204 No Content\r\nX-More: 1\r\nX-Content-Type-Options: nosniff\r\n\r\n");
}

static void answer_large(struct fake_host *host, struct fw_request *request)
{
    static char headers[2000];
    static char body[300000];
    (void)host;
    memset(headers, 'h', sizeof headers);
    memcpy(headers, "X: ", 3);
    strcpy(headers + sizeof headers - 3, "\r\n");
    memset(body, 'b', sizeof body);
    cr_assert_eq(fw_request_answer(request, 200, "a/b", headers, body, sizeof body), 0);
}

Test(http_request, may_be_answered_with_long_headers_and_a_large_body)
{
    fake.on_request = answer_large;
    fake_host_say(&fake, GET_A);
    const char *end = strstr(fake_host_sent(&fake), "\r\n\r\n");
    cr_assert_not_null(end);
    cr_assert_eq(fake.sent_count - (size_t)(end + 4 - fake_host_sent(&fake)), 300000u);
}

/* SECURITY.md, response splitting: what a stranger sent never stands in a header. */
Test(http_request, is_refused_with_constants_only)
{
    fake_host_say(&fake, "PUT /evil HTTP/1.1\r\nHost: evil\r\nX-Evil: evil\r\n\r\n");
    cr_assert_null(strstr(fake_host_sent(&fake), "evil"));
}

/* ---- without memory -------------------------------------------------------------------------- */

static void answer_whatever_memory_says(struct fake_host *host, struct fw_request *request)
{
    int result = fw_request_answer(request, 200, "a/b", NULL, "body", 4);
    cr_assert(result == 0 || result == -ENOMEM);
    fake_host_tell(host, "%s", fw_status_name(result));
}

Test(http_session, survives_every_allocation_that_fails)
{
    static const char input[] =
        GET_A "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1500\r\nExpect: 100-continue\r\n\r\n";
    static const size_t pieces[] = {1, 40, 10000};
    char body[1500];
    memset(body, 'b', sizeof body);
    for (unsigned variant = 0; variant < 6; variant++) {
        bool failed = true;
        for (unsigned k = 1; failed; k++) {
            struct fake_host host;
            size_t piece = pieces[variant / 2];
            fake_host_init(&host);
            host.on_request = answer_whatever_memory_says;
            fail_mem_at(k, variant % 2 == 0 ? FAIL_ONCE : FAIL_FROM_ON);
            for (size_t at = 0; at < sizeof input - 1; at += piece) {
                size_t left = sizeof input - 1 - at;
                fake_host_receive(&host, input + at, left < piece ? left : piece);
                if (at % 7 == 0)
                    fake_host_flush(&host);
            }
            for (size_t at = 0; at < sizeof body; at += 500)
                fake_host_receive(&host, body + at, 500);
            fake_host_flush(&host);
            failed = fail_mem_off();
            if (!failed)
                cr_assert_eq(count_of(fake_host_sent(&host), "200 OK"), 2u);
            else
                cr_assert(host.gone, "a request that memory lacked for ends its connection");
            fake_host_clear(&host);
        }
    }
}

/* ---- Host ------------------------------------------------------------------------------------ */

/* DNS rebinding: Origin and Host agree, and both are a stranger's (RFC 9110, section 15.5.20). */
Test(http_session, of_a_loopback_server_refuses_foreign_hosts_with_421)
{
    static const char *const allow[] = {"feed.example.com", NULL};
    static const struct {
        const char *input;
        const char *status;
    } rows[] = {
        {"GET /healthz HTTP/1.1\r\nHost: localhost:8080\r\n\r\n", "HTTP/1.1 200"},
        {"GET /healthz HTTP/1.1\r\nHost: feed.example.com\r\n\r\n", "HTTP/1.1 200"},
        {"GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.1 200"},
        {"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 421"},
        {"POST /topics/a HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n"
         "Content-Length: 1\r\n\r\nx",
         "HTTP/1.1 421"},
        {"GET /topics/a HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n"
         "Upgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
         "HTTP/1.1 421"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_host host;
        fake_host_init(&host);
        host.rules.local_hosts = true;
        host.rules.allow_hosts = allow;
        fake_host_say(&host, rows[i].input);
        const char *sent = fake_host_sent(&host);
        cr_assert_eq(strncmp(sent, rows[i].status, 12), 0, "row %zu: %.60s", i, sent);
        cr_assert_str_eq(host.published, "");
        fake_host_clear(&host);
    }
}
