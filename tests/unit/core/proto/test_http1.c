/* test_http1.c: what a parsed head says, its limits, and that it is scanned once (RFC 9112).
 *
 * Refusals stand in test_http1_strict.c, cuts at every place in tests/property/test_http1.c. Every
 * input stands flush against an unreadable page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/http1.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define GET  "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"

#define PIECE_BYTES_MAX (2 * FW_HTTP_HEAD_BYTES_MAX)

static struct guard_buf guard;
static struct fw_http_head head;
static uint8_t *in;

static void set_up(void)
{
    guard_buf_init(&guard, PIECE_BYTES_MAX);
    fw_http_head_init(&head);
}

static void tear_down(void)
{
    guard_buf_clear(&guard);
}

TestSuite(http1_request, .init = set_up, .fini = tear_down);
TestSuite(http1_response, .init = set_up, .fini = tear_down);
TestSuite(http1_limits, .init = set_up, .fini = tear_down);
TestSuite(http1_lookup, .init = set_up, .fini = tear_down);

static ssize_t parse_bytes(const void *text, size_t bytes)
{
    fw_http_head_init(&head);
    in = guard_buf_at_end(&guard, text, bytes);
    return fw_http_request_parse(&head, in, bytes);
}

static void parse(const char *text)
{
    cr_assert_eq(parse_bytes(text, strlen(text)), (ssize_t)strlen(text), "%s", text);
}

static ssize_t respond(const char *text)
{
    fw_http_head_init(&head);
    in = guard_buf_at_end(&guard, text, strlen(text));
    return fw_http_response_parse(&head, in, strlen(text));
}

static bool is(struct fw_bytes bytes, const char *text)
{
    return fw_bytes_equal(bytes, fw_bytes_of(text));
}

static bool span_is(struct fw_http_span span, const char *text)
{
    return is(fw_http_bytes(in, span), text);
}

/* ---- requests ---- */

Test(http1_request, hands_out_what_the_request_line_says)
{
    /* RFC 9112, section 3 */
    static const struct {
        const char *text;
        enum fw_http_method method;
        int minor;
        const char *target;
        const char *path;
        const char *query;
    } cases[] = {
        {"GET / HTTP/1.1\r\n", FW_HTTP_GET, 1, "/", "/", ""},
        {"GET /a/b HTTP/1.0\r\n", FW_HTTP_GET, 0, "/a/b", "/a/b", ""},
        {"HEAD /a? HTTP/1.1\r\n", FW_HTTP_HEAD, 1, "/a?", "/a", ""},
        {"POST /a?b=c?d HTTP/1.1\r\n", FW_HTTP_POST, 1, "/a?b=c?d", "/a", "b=c?d"},
        {"OPTIONS /?a HTTP/1.1\r\n", FW_HTTP_OPTIONS, 1, "/?a", "/", "a"},
        {"PUT /%00 HTTP/1.1\r\n", FW_HTTP_OTHER, 1, "/%00", "/%00", ""},
        {"DELETE //x HTTP/1.1\r\n", FW_HTTP_OTHER, 1, "//x", "//x", ""},
        {"PATCH /..%2f HTTP/1.1\r\n", FW_HTTP_OTHER, 1, "/..%2f", "/..%2f", ""},
        {"TRACE /a HTTP/1.1\r\n", FW_HTTP_OTHER, 1, "/a", "/a", ""},
        {"CONNECT /a HTTP/1.1\r\n", FW_HTTP_OTHER, 1, "/a", "/a", ""},
        {"\r\nGET /late HTTP/1.1\r\n", FW_HTTP_GET, 1, "/late", "/late", ""},
    };
    char text[128];
    for (size_t i = 0; i < COUNT(cases); i++) {
        strcpy(stpcpy(text, cases[i].text), HOST "\r\n");
        parse(text);
        cr_expect_eq(head.method, cases[i].method, "%s", cases[i].text);
        cr_expect_eq(head.minor, cases[i].minor, "%s", cases[i].text);
        cr_expect(span_is(head.target, cases[i].target), "%s", cases[i].text);
        cr_expect(span_is(head.path, cases[i].path), "%s", cases[i].text);
        cr_expect(span_is(head.query, cases[i].query), "%s", cases[i].text);
        cr_expect_eq(head.status, 0);
        cr_expect_eq(head.headers_count, 1);
    }
}

Test(http1_request, hands_out_headers_without_the_white_space_around_values)
{
    /* RFC 9112, section 5.1 */
    parse(GET "Host:a\r\nA: \t b c \t\r\nEmpty:\r\nBlank: \t \r\nA:  d\r\n\r\n");
    static const struct {
        const char *name;
        const char *value;
    } headers[] = {{"Host", "a"}, {"A", "b c"}, {"Empty", ""}, {"Blank", ""}, {"A", "d"}};
    cr_assert_eq(head.headers_count, COUNT(headers));
    for (size_t i = 0; i < COUNT(headers); i++) {
        cr_expect(span_is(head.headers[i].name, headers[i].name), "%zu", i);
        cr_expect(span_is(head.headers[i].value, headers[i].value), "%zu", i);
    }
}

Test(http1_request, reads_a_content_length)
{
    /* RFC 9110, section 8.6 */
    static const struct {
        const char *value;
        uint64_t length;
    } cases[] = {
        {"0", 0},
        {"003", 3},
        {"65536", 65536},
        {"18446744073709551615", UINT64_MAX},
        {"000000000000000000000000000000018446744073709551615", UINT64_MAX},
    };
    char text[256];
    for (size_t i = 0; i < COUNT(cases); i++) {
        strcpy(stpcpy(stpcpy(text, GET HOST "cOnTent-Length: "), cases[i].value), "\r\n\r\n");
        parse(text);
        cr_expect(head.has_length);
        cr_expect_eq(head.content_length, cases[i].length, "%s", cases[i].value);
    }
    parse(GET HOST "\r\n");
    cr_expect(!head.has_length);
    cr_expect_eq(head.content_length, 0);
}

Test(http1_request, weighs_connection_and_version_into_keep_alive)
{
    /* RFC 9112, section 9.3: close wins, then 1.1 persists, then 1.0 with keep-alive does */
    static const struct {
        const char *text;
        bool keep_alive;
        bool upgrade;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: CLOSE\t\r\n\r\n", false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n", false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false,
         false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", true, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close;x\r\n\r\n", true, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nX-Connection: close\r\n\r\n", true, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnexions: close\r\n\r\n", true, false},
        {"GET / HTTP/1.0\r\n\r\n", false, false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n", false, false},
        {"GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n", false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n", true, true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: ,, keep-alive ,upgrade,\r\n\r\n", true, true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: UPGRADE\r\n\r\n", true, true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, token, upgrade, token\r\n\r\n", false,
         true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade upgrade\r\n\r\n", true, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", true, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        parse(cases[i].text);
        cr_expect_eq(head.keep_alive, cases[i].keep_alive, "%s", cases[i].text);
        cr_expect_eq(head.upgrade, cases[i].upgrade, "%s", cases[i].text);
    }
}

Test(http1_request, sees_that_the_client_waits_for_100_continue)
{
    /* RFC 9110, section 10.1.1: an HTTP/1.0 client gets none */
    static const struct {
        const char *text;
        bool expected;
    } cases[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", true},
        {"POST / HTTP/1.1\r\nHost: a\r\nexpect: 100-Continue\r\n\r\n", true},
        {"POST / HTTP/1.1\r\nHost: a\r\nExpect: x, 100-continue\r\n\r\n", true},
        {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continued\r\n\r\n", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nExpert: 100-continue\r\n\r\n", false},
        {"POST / HTTP/1.1\r\nHost: a\r\n\r\n", false},
        {"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        parse(cases[i].text);
        cr_expect_eq(head.expect_continue, cases[i].expected, "%s", cases[i].text);
    }
}

Test(http1_request, says_the_size_again_once_the_head_is_whole)
{
    /* the contract of http1.h: 0 is "more", so a whole head must not answer with it */
    static const char text[] = GET HOST "\r\nbody";
    ssize_t bytes = (ssize_t)strlen(GET HOST "\r\n");
    cr_expect_eq(parse_bytes(text, sizeof text - 1), bytes);
    cr_expect_eq(fw_http_request_parse(&head, in, sizeof text - 1), bytes);
    cr_expect_eq(fw_http_request_parse(&head, in, (size_t)bytes), bytes);
}

Test(http1_request, asserts_when_a_failed_head_is_parsed_on, .signal = SIGABRT)
{
    /* http1.h: after an error the head may only be initialized again */
    cr_assert_eq(parse_bytes("\n", 1), FW_ERR_HTTP_LINE_END);
    fw_http_request_parse(&head, in, 1);
}

/* ---- responses ---- */

Test(http1_response, hands_out_status_and_headers)
{
    /* RFC 9112, section 4 */
    static const struct {
        const char *text;
        int minor;
        int status;
    } cases[] = {
        {"HTTP/1.1 101 Switching Protocols\r\n", 1, 101},
        {"HTTP/1.1 200 \r\n", 1, 200},
        {"HTTP/1.0 404 Not  Found, \t\xfc\r\n", 0, 404},
        {"HTTP/1.1 599 1 2 3\r\n", 1, 599},
        {"HTTP/1.1 100 :\r\n", 1, 100},
    };
    char text[256];
    for (size_t i = 0; i < COUNT(cases); i++) {
        strcpy(stpcpy(text, cases[i].text), "Connection: Upgrade\r\nContent-Length: 7\r\n\r\n");
        cr_expect_eq(respond(text), (ssize_t)strlen(text), "%s", text);
        cr_expect_eq(head.minor, cases[i].minor, "%s", text);
        cr_expect_eq(head.status, cases[i].status, "%s", text);
        cr_expect(head.upgrade && head.has_length && head.content_length == 7, "%s", text);
        cr_expect_eq(head.headers_count, 2);
    }
}

Test(http1_response, refuses_status_lines_that_are_malformed)
{
    /* RFC 9112, section 4: HTTP-version SP 3DIGIT SP [ reason-phrase ] */
    static const struct {
        const char *text;
        int expected;
    } cases[] = {
        {"HTTP/1.1 101\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1  101 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1 10 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1 1011 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1 099 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1 000 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1 600 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1 999 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1 +10 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1 2x0 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1\t200 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.2 200 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/2 200 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"http/1.1 200 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"\r\nHTTP/1.1 200 x\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"GET / HTTP/1.1\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1 200 x\x01\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1 200 x\x7f\r\n\r\n", FW_ERR_HTTP_STATUS_LINE},
        {"HTTP/1.1 200 x\n\r\n", FW_ERR_HTTP_LINE_END},
        {"HTTP/1.1 200 x\rA: b\r\n\r\n", FW_ERR_HTTP_LINE_END},
        {"HTTP/1.1 200\nA: b\r\n\r\n", FW_ERR_HTTP_LINE_END},
        {"HTTP/1.1\n200 x\r\n\r\n", FW_ERR_HTTP_LINE_END},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_expect_eq(respond(cases[i].text), cases[i].expected, "%s", cases[i].text);
}

Test(http1_response, judges_header_lines_as_strictly_as_a_request_s)
{
    /* RFC 9112, sections 5 and 6.3 */
    static const struct {
        const char *headers;
        int expected;
    } cases[] = {
        {"A : b\r\n", FW_ERR_HTTP_HEADER_NAME},
        {" A: b\r\n", FW_ERR_HTTP_FOLDED},
        {"A: b\n", FW_ERR_HTTP_LINE_END},
        {"A: b\x01\r\n", FW_ERR_HTTP_HEADER_VALUE},
        {"Content-Length: 1\r\nContent-Length: 1\r\n", FW_ERR_HTTP_LENGTH},
    };
    char text[256];
    for (size_t i = 0; i < COUNT(cases); i++) {
        strcpy(stpcpy(stpcpy(text, "HTTP/1.1 200 OK\r\n"), cases[i].headers), "\r\n");
        cr_expect_eq(respond(text), cases[i].expected, "%s", text);
    }
}

Test(http1_response, leaves_host_and_transfer_encoding_to_the_client)
{
    /* RFC 9112, section 6.1: a server may send it; the client that reads the body must look */
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n"
                               "Host:\r\nHost: b c\r\nExpect: 100-continue\r\n\r\n";
    struct fw_bytes value;
    cr_assert_eq(respond(text), (ssize_t)strlen(text));
    cr_expect_eq(fw_http_find(&head, in, "transfer-encoding", 0, &value), 0);
    cr_expect(!head.expect_continue);
}

/* ---- limits ---- */

/* Writes `bytes` octets: `begin`, as many x as it takes, `end`.
 *
 * returns      the end of what was written, a terminator
 */
static char *put_line(char *at, const char *begin, size_t bytes, const char *end)
{
    size_t fill = bytes - strlen(begin) - strlen(end);
    at = stpcpy(at, begin);
    memset(at, 'x', fill);
    return stpcpy(at + fill, end);
}

Test(http1_limits, takes_a_request_line_of_4096_octets_and_no_more)
{
    /* RFC 9112, section 3: a server that receives a longer target than it parses answers 414 */
    static char text[PIECE_BYTES_MAX];
    char *end = put_line(text, "GET /", FW_HTTP_LINE_BYTES_MAX, " HTTP/1.1\r\n");
    end = stpcpy(end, HOST "\r\n");
    cr_expect_eq(parse_bytes(text, (size_t)(end - text)), end - text);
    end = put_line(text, "GET /", FW_HTTP_LINE_BYTES_MAX + 1, " HTTP/1.1\r\n");
    end = stpcpy(end, HOST "\r\n");
    cr_expect_eq(parse_bytes(text, (size_t)(end - text)), FW_ERR_HTTP_LINE_TOO_LONG);
    /* refused with the octet that fills the line, not when more of it has come */
    cr_expect_eq(parse_bytes(text, FW_HTTP_LINE_BYTES_MAX - 1), 0);
    cr_expect_eq(parse_bytes(text, FW_HTTP_LINE_BYTES_MAX), FW_ERR_HTTP_LINE_TOO_LONG);
    end = put_line(text, "HTTP/1.1 200 ", FW_HTTP_LINE_BYTES_MAX + 1, "\r\n");
    cr_expect_eq(respond(text), FW_ERR_HTTP_LINE_TOO_LONG);
}

Test(http1_limits, takes_a_header_line_of_4096_octets_and_no_more)
{
    /* RFC 6585, section 5 */
    static char text[PIECE_BYTES_MAX];
    char *line = stpcpy(text, GET HOST);
    char *end = stpcpy(put_line(line, "x: ", FW_HTTP_LINE_BYTES_MAX, "\r\n"), "\r\n");
    cr_expect_eq(parse_bytes(text, (size_t)(end - text)), end - text);
    end = stpcpy(put_line(line, "x: ", FW_HTTP_LINE_BYTES_MAX + 1, "\r\n"), "\r\n");
    cr_expect_eq(parse_bytes(text, (size_t)(end - text)), FW_ERR_HTTP_HEAD_TOO_LARGE);
    end = stpcpy(put_line(line, "x", FW_HTTP_LINE_BYTES_MAX + 3, "\r\n"), "\r\n");
    cr_expect_eq(parse_bytes(text, (size_t)(end - text)), FW_ERR_HTTP_HEAD_TOO_LARGE, "a name");
}

Test(http1_limits, takes_a_head_of_8192_octets_and_no_more)
{
    /* RFC 6585, section 5 */
    static char text[PIECE_BYTES_MAX];
    size_t rest = FW_HTTP_HEAD_BYTES_MAX - strlen(GET HOST "\r\n");
    for (size_t more = 0; more <= 3; more++) {
        char *end = put_line(stpcpy(text, GET HOST), "x: ", FW_HTTP_LINE_BYTES_MAX, "\r\n");
        end = put_line(end, "y: ", rest - FW_HTTP_LINE_BYTES_MAX + more, "\r\n");
        end = stpcpy(end, "\r\n");
        ssize_t expected = more == 0 ? FW_HTTP_HEAD_BYTES_MAX : FW_ERR_HTTP_HEAD_TOO_LARGE;
        cr_expect_eq(parse_bytes(text, (size_t)(end - text)), expected, "%zu more", more);
        cr_expect_eq(parse_bytes(text, FW_HTTP_HEAD_BYTES_MAX - 1), 0, "%zu more", more);
        cr_expect_eq(parse_bytes(text, FW_HTTP_HEAD_BYTES_MAX), expected, "%zu more", more);
    }
}

Test(http1_limits, counts_the_empty_line_before_the_request_as_the_heads)
{
    /* RFC 9112, section 2.2 */
    static char text[PIECE_BYTES_MAX];
    char *end = put_line(stpcpy(text, "\r\nGET / HTTP/1.1\r\n" HOST), "x: ", FW_HTTP_LINE_BYTES_MAX,
                         "\r\n");
    size_t rest = FW_HTTP_HEAD_BYTES_MAX - (size_t)(end - text) - 2;
    end = stpcpy(put_line(end, "y: ", rest, "\r\n"), "\r\n");
    cr_expect_eq(parse_bytes(text, (size_t)(end - text)), FW_HTTP_HEAD_BYTES_MAX);
    end = put_line(text, "\r\nGET /", FW_HTTP_LINE_BYTES_MAX + 2, " HTTP/1.1\r\n" HOST "\r\n");
    cr_expect_gt(parse_bytes(text, (size_t)(end - text)), 0);
}

Test(http1_limits, judges_every_octet_that_has_come_and_scans_none_again)
{
    /* tungstenite CVE-2023-43669. After each call `scanned` is all that came, so the next one
     * begins behind it; and octets of a value already scanned may turn into line ends without being
     * noticed, so nothing begins further in front. */
    static char text[PIECE_BYTES_MAX];
    char *line = stpcpy(text, GET HOST);
    char *end = put_line(line, "Long: ", FW_HTTP_LINE_BYTES_MAX, "\r\n");
    end = put_line(end, "Longer: ", FW_HTTP_HEAD_BYTES_MAX - (size_t)(end - text) - 2, "\r\n");
    end = stpcpy(end, "\r\n");
    size_t bytes = (size_t)(end - text);
    size_t value = (size_t)(line - text) + strlen("Long: x");
    for (size_t some = 0; some < bytes; some++) {
        in = guard_buf_at_end(&guard, text, some);
        if (some > value)
            memset(in + value, '\n', some - 1 - value);
        cr_assert_eq(fw_http_request_parse(&head, in, some), 0, "%zu octets", some);
        cr_assert_eq(head.scanned, some);
    }
    in = guard_buf_at_end(&guard, text, bytes);
    cr_expect_eq(fw_http_request_parse(&head, in, bytes), (ssize_t)bytes);
}

/* ---- lookups ---- */

Test(http1_lookup, finds_headers_by_name_without_regard_to_case_and_in_order)
{
    /* RFC 9110, section 5.1 */
    struct fw_bytes value = {NULL, 0};
    parse(GET "Host: a\r\nX-a: 1\r\nx-A: 2\r\nX-ab: 3\r\nX-A:\r\n\r\n");
    cr_expect_eq(fw_http_find(&head, in, "x-a", 0, &value), 1);
    cr_expect(is(value, "1"));
    cr_expect_eq(fw_http_find(&head, in, "x-a", 2, &value), 2);
    cr_expect(is(value, "2"));
    cr_expect_eq(fw_http_find(&head, in, "x-a", 3, &value), 4);
    cr_expect(is(value, ""));
    cr_expect_eq(fw_http_find(&head, in, "x-a", 5, &value), -1);
    cr_expect_eq(fw_http_find(&head, in, "x-", 0, &value), -1);
    cr_expect_eq(fw_http_find(&head, in, "absent", 0, &value), -1);
    cr_expect_eq(fw_http_find(&head, in, "x-ab", 0, &value), 3);
    cr_expect(is(value, "3"), "written only when found");
}

Test(http1_lookup, sees_a_token_in_any_occurrence_of_a_list)
{
    /* RFC 9110, section 5.6.1 */
    parse(GET "L: z\r\n" HOST "L: a, b ,\tC,,d e\r\nl:F\r\nM: x\r\nl: g\r\nN:\r\nO: , ,\r\n\r\n");
    cr_expect(fw_http_list_has(&head, in, "l", "z"));
    cr_expect(fw_http_list_has(&head, in, "l", "g"));
    cr_expect(fw_http_list_has(&head, in, "l", "a"));
    cr_expect(fw_http_list_has(&head, in, "l", "b"));
    cr_expect(fw_http_list_has(&head, in, "l", "c"));
    cr_expect(fw_http_list_has(&head, in, "l", "f"));
    cr_expect(fw_http_list_has(&head, in, "l", "d e"));
    cr_expect(!fw_http_list_has(&head, in, "l", "d"));
    cr_expect(!fw_http_list_has(&head, in, "l", "x"));
    cr_expect(!fw_http_list_has(&head, in, "l", ""));
    cr_expect(!fw_http_list_has(&head, in, "n", "a"));
    cr_expect(!fw_http_list_has(&head, in, "o", ","));
    cr_expect(!fw_http_list_has(&head, in, "absent", "a"));
}

Test(http1_lookup, takes_a_list_apart_in_one_walk)
{
    /* RFC 9110, section 5.6.1.2: empty elements are passed over */
    static const char *const elements[] = {"a", "b c", "d\"", "e"};
    static const char list_text[] = " ,a ,, b c\t, d\",e";
    struct fw_bytes element;
    size_t bytes = strlen(list_text);
    struct fw_bytes list = {guard_buf_at_end(&guard, list_text, bytes), bytes};
    for (size_t i = 0; i < COUNT(elements); i++) {
        cr_assert(fw_http_list_next(&list, &element));
        cr_expect(is(element, elements[i]), "%s", elements[i]);
    }
    cr_expect(!fw_http_list_next(&list, &element));
    cr_expect_eq(list.count, 0);
}

Test(http1_lookup, measures_tokens)
{
    /* RFC 9110, section 5.6.2 */
    cr_expect_eq(fw_http_token_span(fw_bytes_of("")), 0);
    cr_expect_eq(fw_http_token_span(fw_bytes_of("abc")), 3);
    cr_expect_eq(fw_http_token_span(fw_bytes_of("a.b;c")), 3);
    cr_expect_eq(fw_http_token_span(fw_bytes_of(" a")), 0);
    cr_expect_eq(fw_http_token_span(fw_bytes_of("\xc3\xa4")), 0);
}

Test(http1_lookup, finds_query_parameters_by_their_exact_name)
{
    /* WHATWG URL, section 5.1, without its decoding */
    static const struct {
        const char *query;
        const char *name;
        const char *value; /* NULL: absent */
    } cases[] = {
        {"", "a", NULL},       {"a=1", "a", "1"},
        {"a=1&b=2", "b", "2"}, {"a", "a", ""},
        {"a=", "a", ""},       {"ab=1&a=2", "a", "2"},
        {"a=1&a=2", "a", "1"}, {"a=b=c", "a", "b=c"},
        {"&&a=1&&", "a", "1"}, {"b=a", "a", NULL},
        {"A=1", "a", NULL},    {"=1", "", "1"},
        {"%61=1", "a", NULL},  {"a=%20+", "a", "%20+"},
        {"b&a=1", "a", "1"},   {"since=a&b=1?c", "b", "1?c"},
        {"aa&a", "a", ""},     {"a=1", "a=1", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t bytes = strlen(cases[i].query);
        struct fw_bytes query = {guard_buf_at_end(&guard, cases[i].query, bytes), bytes};
        struct fw_bytes value = {NULL, 0};
        bool found = fw_http_query_find(query, cases[i].name, &value);
        cr_expect_eq(found, cases[i].value != NULL, "%s in %s", cases[i].name, cases[i].query);
        cr_expect(!found || is(value, cases[i].value), "%s in %s", cases[i].name, cases[i].query);
    }
}

Test(http1_lookup, decodes_percent_escapes)
{
    /* RFC 3986, section 2.1 */
    static const struct {
        const char *text;
        const char *decoded; /* NULL: refused */
    } cases[] = {
        {"", ""},        {"a+b", "a+b"},       {"%41%7a", "Az"}, {"%2f%2F", "//"},
        {"%ff", "\xff"}, {"%25%32%35", "%25"}, {"%", NULL},      {"%4", NULL},
        {"%4g", NULL},   {"%g4", NULL},        {"%00", NULL},    {"a%00b", NULL},
        {"%%41", NULL},  {"% 41", NULL},       {"%+1", NULL},    {"ab%", NULL},
        {"%0a", "\n"},   {"%01", "\x01"},      {"%10", "\x10"},  {"%-1", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t bytes = strlen(cases[i].text);
        uint8_t *text = guard_buf_at_end(&guard, cases[i].text, bytes);
        ssize_t written = fw_http_percent_decode((struct fw_bytes){text, bytes}, text);
        if (cases[i].decoded == NULL) {
            cr_expect_eq(written, FW_ERR_HTTP_TARGET, "%s", cases[i].text);
            continue;
        }
        cr_assert_eq(written, (ssize_t)strlen(cases[i].decoded), "%s", cases[i].text);
        cr_expect(is((struct fw_bytes){text, (size_t)written}, cases[i].decoded), "in place");
    }
}
