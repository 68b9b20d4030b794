/* test_http1_strict.c: what a strict parser of request heads refuses, and with which code.
 *
 * The cases are those on which servers and proxies have disagreed, which is what request smuggling
 * is made of: the public vectors of llhttp (transfer-encoding, content-length, invalid, lenient-*,
 * uri, method) retold, each of them a refusal here, and the CVEs of SECURITY.md. Each case is
 * parsed whole and octet by octet, flush against an unreadable page; both must end in the same
 * code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/http1.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A request line, and one with the Host that HTTP/1.1 wants, so that a case can be wrong in one
 * way. */
#define GET  "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define HEAD GET HOST
#define POST "POST / HTTP/1.1\r\n" HOST

/* Literals may hold NUL, so their size is taken, not their length. */
#define CASE(why, text, expected)                                                                  \
    {                                                                                              \
        why, text, sizeof(text) - 1, expected                                                      \
    }

struct refusal {
    const char *why;
    const char *text;
    size_t bytes;
    int expected;
};

static struct guard_buf guard;

static void set_up(void)
{
    guard_buf_init(&guard, 2 * FW_HTTP_HEAD_BYTES_MAX);
}

static void tear_down(void)
{
    guard_buf_clear(&guard);
}

TestSuite(http1_strict, .init = set_up, .fini = tear_down);

static ssize_t parse_whole(const void *text, size_t bytes)
{
    struct fw_http_head head;
    fw_http_head_init(&head);
    return fw_http_request_parse(&head, guard_buf_at_end(&guard, text, bytes), bytes);
}

static ssize_t parse_dripped(const void *text, size_t bytes)
{
    struct fw_http_head head;
    ssize_t result = 0;
    fw_http_head_init(&head);
    for (size_t some = 0; some <= bytes && result == 0; some++)
        result = fw_http_request_parse(&head, guard_buf_at_end(&guard, text, some), some);
    return result;
}

static void expect(const char *why, const void *text, size_t bytes, ssize_t expected)
{
    ssize_t whole = parse_whole(text, bytes);
    ssize_t dripped = parse_dripped(text, bytes);
    cr_expect_eq(whole, expected, "%s: %zd (%s)", why, whole, fw_status_name((int)whole));
    cr_expect_eq(dripped, expected, "%s, dripped: %zd", why, dripped);
}

static void expect_refusals(const struct refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect(cases[i].why, cases[i].text, cases[i].bytes, cases[i].expected);
}

static void expect_accepted(const char *why, const char *text)
{
    expect(why, text, strlen(text), (ssize_t)strlen(text));
}

Test(http1_strict, refuses_every_transfer_encoding)
{
    /* RFC 9112, section 6.1; CVE-2022-32213, -32214, -32215, CVE-2021-40346 */
    static const struct refusal cases[] = {
        CASE("chunked", POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("GET", HEAD "Transfer-Encoding: chunked\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("name in capitals", POST "TRANSFER-ENCODING: chunked\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("name in lower case", POST "transfer-encoding: chunked\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("value in capitals", POST "Transfer-Encoding: CHUNKED\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("identity", POST "Transfer-Encoding: identity\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("unknown", POST "Transfer-Encoding: pigeons\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("empty", POST "Transfer-Encoding:\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("blank", POST "Transfer-Encoding: \t \r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("tab first", POST "Transfer-Encoding:\tchunked\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("blank last", POST "Transfer-Encoding: chunked \r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("chunked first", POST "Transfer-Encoding: chunked, deflate\r\n\r\n",
             FW_ERR_HTTP_CODING),
        CASE("chunked last", POST "Transfer-Encoding: deflate, chunked\r\n\r\n",
             FW_ERR_HTTP_CODING),
        CASE("two lines", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: deflate\r\n\r\n",
             FW_ERR_HTTP_CODING),
        CASE("doubled word", POST "Transfer-Encoding: chunkedchunked\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("prefixed word", POST "Transfer-Encoding: xchunked\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("quoted", POST "Transfer-Encoding: \"chunked\"\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("after a length", POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
             FW_ERR_HTTP_CODING),
        CASE("before a length", POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
             FW_ERR_HTTP_CODING),
        CASE("three empty ones and a length",
             POST "Content-Length: 10\r\nTransfer-Encoding:\r\nTransfer-Encoding:\r\n\r\n",
             FW_ERR_HTTP_CODING),
        CASE("folded value", POST "Transfer-Encoding:\r\n chunked\r\n\r\n", FW_ERR_HTTP_CODING),
        CASE("folded after the value", POST "Transfer-Encoding: chunked\r\n  abc\r\n\r\n",
             FW_ERR_HTTP_CODING),
        CASE("HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
             FW_ERR_HTTP_CODING),
        CASE("space before the colon", POST "Transfer-Encoding : chunked\r\n\r\n",
             FW_ERR_HTTP_HEADER_NAME),
        CASE("tab before the colon", POST "Transfer-Encoding\t: chunked\r\n\r\n",
             FW_ERR_HTTP_HEADER_NAME),
        CASE("vertical tab before the colon", POST "Transfer-Encoding\v: chunked\r\n\r\n",
             FW_ERR_HTTP_HEADER_NAME),
        CASE("vertical tab in the value", POST "Transfer-Encoding: \vchunked\r\n\r\n",
             FW_ERR_HTTP_HEADER_VALUE),
        CASE("NUL in the value", POST "Transfer-Encoding: chunked\0\r\n\r\n",
             FW_ERR_HTTP_HEADER_VALUE),
        CASE("CR for the hyphen", POST "Transfer\rEncoding: chunked\r\n\r\n",
             FW_ERR_HTTP_HEADER_NAME),
        CASE("behind a bare LF", POST "x:x\nTransfer-Encoding: chunked\r\n\r\n",
             FW_ERR_HTTP_LINE_END),
        CASE("behind a bare CR", POST "x:x\rTransfer-Encoding: chunked\r\n\r\n",
             FW_ERR_HTTP_LINE_END),
        CASE("behind an empty value and LF", POST "x:\nTransfer-Encoding: chunked\r\n\r\n",
             FW_ERR_HTTP_LINE_END),
        CASE("behind an empty value and CR", POST "x:\rTransfer-Encoding: chunked\r\n\r\n",
             FW_ERR_HTTP_LINE_END),
    };
    expect_refusals(cases, COUNT(cases));
}

Test(http1_strict, refuses_content_lengths_that_can_be_read_two_ways)
{
    /* RFC 9112, section 6.3; CVE-2020-11080's kin, undici CVE-2026-1525 */
    static const struct refusal cases[] = {
        CASE("twice, different", POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
             FW_ERR_HTTP_LENGTH),
        CASE("twice, equal", POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
             FW_ERR_HTTP_LENGTH),
        CASE("twice, by case", POST "Content-Length: 1\r\ncontent-length: 1\r\n\r\n",
             FW_ERR_HTTP_LENGTH),
        CASE("twice, zero first", POST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
             FW_ERR_HTTP_LENGTH),
        CASE("a list", POST "Content-Length: 1, 1\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("a list without blank", POST "Content-Length: 1,1\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("2^64", POST "Content-Length: 18446744073709551616\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("2^64 and more", POST "Content-Length: 18446744073709551620\r\n\r\n",
             FW_ERR_HTTP_LENGTH),
        CASE("10^21", POST "Content-Length: 1000000000000000000000\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("empty", POST "Content-Length:\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("blank", POST "Content-Length:  \t\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("plus", POST "Content-Length: +1\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("minus", POST "Content-Length: -1\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("minus zero", POST "Content-Length: -0\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("hexadecimal", POST "Content-Length: 0x10\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("letters", POST "Content-Length: ten\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("digits, then letters", POST "Content-Length: 5a\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("fraction", POST "Content-Length: 1.0\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("exponent", POST "Content-Length: 1e2\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("two numbers", POST "Content-Length: 4 2\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("two numbers, longer", POST "Content-Length: 13 37\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("quoted", POST "Content-Length: \"5\"\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("semicolon", POST "Content-Length: 5;\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("underscore", POST "Content-Length: 1_0\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("full-width digit", POST "Content-Length: \xef\xbc\x95\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("vertical tab", POST "Content-Length: \v5\r\n\r\n", FW_ERR_HTTP_HEADER_VALUE),
        CASE("NUL behind it", POST "Content-Length: 5\0\r\n\r\n", FW_ERR_HTTP_HEADER_VALUE),
        CASE("CR inside", POST "Content-Length: 5\r6\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("folded", POST "Content-Length: 5\r\n 6\r\n\r\n", FW_ERR_HTTP_FOLDED),
        CASE("folded at once", POST "Content-Length:\r\n 5\r\n\r\n", FW_ERR_HTTP_LENGTH),
        CASE("space before the colon", POST "Content-Length : 4\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("CR for the hyphen", POST "Content\rLength: 003\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("hidden in a folded line", POST "Foo: bar\r\n Content-Length: 38\r\n\r\n",
             FW_ERR_HTTP_FOLDED),
        CASE("behind a bare LF", POST "Dummy: x\nContent-Length: 23\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("HTTP/1.0, twice", "POST / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
             FW_ERR_HTTP_LENGTH),
    };
    expect_refusals(cases, COUNT(cases));
}

Test(http1_strict, refuses_lines_that_do_not_end_in_cr_lf)
{
    /* RFC 9112, section 2.2: a recipient MAY take a bare LF for a line's end; CVE-2023-30589 */
    static const struct refusal cases[] = {
        CASE("LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("LF after a header", GET "Host: a\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("LF for the empty line", HEAD "\n", FW_ERR_HTTP_LINE_END),
        CASE("LF everywhere", "GET / HTTP/1.1\nHost: a\n\n", FW_ERR_HTTP_LINE_END),
        CASE("LF in a name", HEAD "Fo\no: x\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("LF in the method", "GE\nT / HTTP/1.1\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("LF after the method", "GET\n/ HTTP/1.1\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("LF in the target", "GET /a\nb HTTP/1.1\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("LF in the version", "GET / HTTP\n/1.1\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("CR after the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("CR after a header", HEAD "Foo: 1\rBar: 2\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("CR for the empty line, then a request", HEAD "\rZGET /evil: HTTP/1.1\r\n\r\n",
             FW_ERR_HTTP_LINE_END),
        CASE("CR CR LF after a header", GET "Host: a\r\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("CR CR LF for the empty line", HEAD "\r\r\n", FW_ERR_HTTP_LINE_END),
        CASE("LF CR after a header", GET "Host: a\n\r\r\n", FW_ERR_HTTP_LINE_END),
        CASE("CR before the body", HEAD "\rabc", FW_ERR_HTTP_LINE_END),
        CASE("LF first", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("CR first", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", FW_ERR_HTTP_LINE_END),
        CASE("two empty lines first", "\r\n\r\n" HEAD "\r\n", FW_ERR_HTTP_LINE_END),
        CASE("CR LF, LF first", "\r\n\n" HEAD "\r\n", FW_ERR_HTTP_LINE_END),
    };
    expect_refusals(cases, COUNT(cases));
}

Test(http1_strict, refuses_folded_lines_and_blanks_before_the_first_header)
{
    /* RFC 9112, sections 5.2 and 2.2 */
    static const struct refusal cases[] = {
        CASE("folded by a space", HEAD "Foo: a\r\n b\r\n\r\n", FW_ERR_HTTP_FOLDED),
        CASE("folded by a tab", HEAD "Foo: a\r\n\tb\r\n\r\n", FW_ERR_HTTP_FOLDED),
        CASE("folded after an empty value", HEAD "Foo:\r\n b\r\n\r\n", FW_ERR_HTTP_FOLDED),
        CASE("a line of blanks", HEAD "Foo: a\r\n \r\n\r\n", FW_ERR_HTTP_FOLDED),
        CASE("space before the first header", GET " Host: a\r\n\r\n", FW_ERR_HTTP_FOLDED),
        CASE("tab before the first header", GET "\tHost: a\r\n\r\n", FW_ERR_HTTP_FOLDED),
        CASE("the name on a line of its own", HEAD "name\r\n : value\r\n\r\n",
             FW_ERR_HTTP_HEADER_NAME),
        CASE("folded Connection", HEAD "Connection:\r\n close\r\n\r\n", FW_ERR_HTTP_FOLDED),
        CASE("space before the empty line", HEAD " \r\n", FW_ERR_HTTP_FOLDED),
    };
    expect_refusals(cases, COUNT(cases));
}

Test(http1_strict, refuses_names_that_are_not_tokens)
{
    /* RFC 9112, section 5.1; HAProxy CVE-2023-25725 (the empty name) */
    static const struct refusal cases[] = {
        CASE("empty", HEAD ": value\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("empty, empty value", HEAD ":\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("no colon", HEAD "Foo\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("no colon, corrupted", HEAD "Connection\r\033\065\325eep-Alive\r\n\r\n",
             FW_ERR_HTTP_HEADER_NAME),
        CASE("space inside", HEAD "Foo Bar: x\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("space before the colon", HEAD "Foo : x\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("tab before the colon", HEAD "Foo\t: x\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("at sign", HEAD "Fo@: x\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("control character", HEAD "Foo\01test: x\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("NUL", HEAD "Foo\0: x\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("obs-text", HEAD "F\xf6o: x\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("quoted", HEAD "\"Foo\": x\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("parentheses", HEAD "(Foo): x\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
        CASE("a request line", HEAD "GET /admin HTTP/1.1\r\n\r\n", FW_ERR_HTTP_HEADER_NAME),
    };
    expect_refusals(cases, COUNT(cases));
}

Test(http1_strict, refuses_request_lines_that_are_not_quite_http)
{
    /* RFC 9112, section 3; RFC 9110, section 9.1 (an unknown method is 501) */
    static const struct refusal cases[] = {
        CASE("unknown method", "MKCOLA / HTTP/1.1\r\n", FW_ERR_HTTP_METHOD),
        CASE("method of a longer one", "GE / HTTP/1.1\r\n", FW_ERR_HTTP_METHOD),
        CASE("method beyond a known one", "GETS / HTTP/1.1\r\n", FW_ERR_HTTP_METHOD),
        CASE("lower case", "get / HTTP/1.1\r\n", FW_ERR_HTTP_METHOD),
        CASE("RTSP's", "ANNOUNCE /x HTTP/1.1\r\n", FW_ERR_HTTP_METHOD),
        CASE("SSDP's", "M-SEARCH * HTTP/1.1\r\n", FW_ERR_HTTP_METHOD),
        CASE("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", FW_ERR_HTTP_METHOD),
        CASE("TLS", "\x16\x03\x01\x02", FW_ERR_HTTP_REQUEST_LINE),
        CASE("one character too many", "AAAAAAAA", FW_ERR_HTTP_METHOD),
        CASE("endless", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", FW_ERR_HTTP_METHOD),
        CASE("none", " / HTTP/1.1\r\n", FW_ERR_HTTP_REQUEST_LINE),
        CASE("a header first", "Host: a\r\n", FW_ERR_HTTP_REQUEST_LINE),
        CASE("not a token", "G@T / HTTP/1.1\r\n", FW_ERR_HTTP_REQUEST_LINE),
        CASE("NUL", "GET\0/ HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("tab after the method", "GET\t/ HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("method alone", "GET\r\n\r\n", FW_ERR_HTTP_TARGET),
        CASE("two spaces", "GET  / HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("asterisk", "OPTIONS * HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("absolute form", "GET http://a/ HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("absolute form, query", "GET http://a?hail=all HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("authority form", "CONNECT a.example:443 HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("no slash", "GET a HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("query only", "GET ?a=b HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("fragment", "GET /a?b=1#c HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("fragment only", "GET # HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("UTF-8", "GET /\xce\xb4/pope HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("quotes", "GET /\"a\" HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("angle bracket", "GET /<script> HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("tab", "GET /a\tb HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("NUL in the target", "GET /a\0b HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("DEL in the target", "GET /a\x7f HTTP/1.1\r\n", FW_ERR_HTTP_TARGET),
        CASE("space in the target", "GET /foo bar/ HTTP/1.1\r\n", FW_ERR_HTTP_VERSION),
        CASE("no version", "GET /\r\n\r\n", FW_ERR_HTTP_VERSION),
        CASE("space for the version", "GET / \r\n\r\n", FW_ERR_HTTP_VERSION),
        CASE("two spaces before the version", "GET /  HTTP/1.1\r\n", FW_ERR_HTTP_VERSION),
        CASE("space behind the version", "GET / HTTP/1.1 \r\n", FW_ERR_HTTP_VERSION),
        CASE("tab behind the version", "GET / HTTP/1.1\t\r\n", FW_ERR_HTTP_VERSION),
        CASE("HTTP/0.9", "GET / HTTP/0.9\r\n", FW_ERR_HTTP_VERSION),
        CASE("HTTP/1.2", "GET / HTTP/1.2\r\n", FW_ERR_HTTP_VERSION),
        CASE("HTTP/1.10", "GET / HTTP/1.10\r\n", FW_ERR_HTTP_VERSION),
        CASE("HTTP/01.1", "GET / HTTP/01.1\r\n", FW_ERR_HTTP_VERSION),
        CASE("HTTP/2.0", "GET / HTTP/2.0\r\n", FW_ERR_HTTP_VERSION),
        CASE("HTTP/5.6", "GET / HTTP/5.6\r\n", FW_ERR_HTTP_VERSION),
        CASE("HTTP/1", "GET / HTTP/1\r\n", FW_ERR_HTTP_VERSION),
        CASE("HTTP/1,1", "GET / HTTP/1,1\r\n", FW_ERR_HTTP_VERSION),
        CASE("lower case version", "GET / http/1.1\r\n", FW_ERR_HTTP_VERSION),
        CASE("ICE", "GET /music ICE/1.0\r\n", FW_ERR_HTTP_VERSION),
        CASE("RTSP", "OPTIONS /music RTSP/1.0\r\n", FW_ERR_HTTP_VERSION),
        CASE("not quite ICE", "GET /music IHTTP/1.0\r\n", FW_ERR_HTTP_VERSION),
        CASE("NUL in the version", "GET / HTTP/1.\0\r\n", FW_ERR_HTTP_VERSION),
    };
    expect_refusals(cases, COUNT(cases));
}

Test(http1_strict, refuses_what_is_not_exactly_one_valid_host)
{
    /* RFC 9112, section 3.2; RFC 3986, section 3.2.2 */
    static const struct refusal cases[] = {
        CASE("none", GET "\r\n", FW_ERR_HTTP_HOST),
        CASE("none among others", GET "Accept: */*\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("empty", GET "Host:\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("blank", GET "Host: \t \r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("two, equal", HEAD "Host: a\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("two, different", HEAD "Host: b\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("two, by case", HEAD "hOST: a\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("two, the second empty", HEAD "Host:\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("two in one", GET "Host: a,b\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("two in one, apart", GET "Host: a, b\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("space", GET "Host: a b\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("tab", GET "Host: a\tb\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("path", GET "Host: a/b\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("query", GET "Host: a?b\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("fragment", GET "Host: a#b\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("user", GET "Host: user@a\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("URL", GET "Host: http://a\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("backslash", GET "Host: a\\b\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("quotes", GET "Host: \"a\"\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("escape", GET "Host: %61\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("obs-text", GET "Host: \xc3\xa4\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("port of letters", GET "Host: a:http\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("port and more", GET "Host: a:80x\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("two ports", GET "Host: a:80:80\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("port alone", GET "Host: :80\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("open literal", GET "Host: [::1\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("empty literal", GET "Host: []\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("bracket alone", GET "Host: [\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("literal and more", GET "Host: [::1]a\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("literal with a zone", GET "Host: [fe80::1%25eth0]\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("bare IPv6", GET "Host: ::1\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("HTTP/1.0, two", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", FW_ERR_HTTP_HOST),
        CASE("HTTP/1.0, empty", "GET / HTTP/1.0\r\nHost:\r\n\r\n", FW_ERR_HTTP_HOST),
    };
    expect_refusals(cases, COUNT(cases));
}

Test(http1_strict, accepts_what_is_odd_but_right)
{
    /* RFC 9112, sections 2.2 and 3; RFC 9110, sections 5.5, 7.2, 8.6 */
    expect_accepted("one empty line first", "\r\n" HEAD "\r\n");
    expect_accepted("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n");
    expect_accepted("no space after the colon", GET "Host:a\r\n\r\n");
    expect_accepted("blanks around a value", GET "Host: \t a \t \r\n\r\n");
    expect_accepted("an empty value", HEAD "X:\r\n\r\n");
    expect_accepted("obs-text in a value", HEAD "Test: D\xfcsseldorf \xff\r\n\r\n");
    expect_accepted("all of a token", HEAD "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n");
    expect_accepted("length with zeroes", POST "Content-Length: 003\r\n\r\n");
    expect_accepted("greatest length", POST "Content-Length: 18446744073709551615\r\n\r\n");
    expect_accepted("length between tabs", POST "Content-Length:\t42\t \r\n\r\n");
    expect_accepted("question mark in a query", "GET /a?b=c?d HTTP/1.1\r\n" HOST "\r\n");
    expect_accepted("vertical bar in a query", "GET /a?b=| HTTP/1.1\r\n" HOST "\r\n");
    expect_accepted("empty segments", "GET //a//b HTTP/1.1\r\n" HOST "\r\n");
    expect_accepted("empty query", "GET /? HTTP/1.1\r\n" HOST "\r\n");
    expect_accepted("another's length", HEAD "Content_Length: x\r\n\r\n");
    expect_accepted("host with port", GET "Host: feed.example.com:8443\r\n\r\n");
    expect_accepted("host with an empty port", GET "Host: a:\r\n\r\n");
    expect_accepted("host with underscore", GET "Host: home_0.example.com\r\n\r\n");
    expect_accepted("host with sub-delims", GET "Host: 0.0.0.0=5000\r\n\r\n");
    expect_accepted("IPv6 literal", GET "Host: [::]\r\n\r\n");
    expect_accepted("IPv6 literal with port", GET "Host: [2001:DB8::1]:8080\r\n\r\n");
    expect_accepted("IPv4 in IPv6", GET "Host: [::ffff:192.0.2.1]\r\n\r\n");
}

Test(http1_strict, stops_at_the_end_of_the_head_whatever_follows)
{
    /* RFC 9112, section 9.3.2: a pipelined request is the next head's, and judged then */
    static const char *const followers[] = {HEAD "\r\n", "\r\n", "\n", "\0", "\xff\xff\xff", " "};
    char text[256];
    for (size_t i = 0; i < COUNT(followers); i++) {
        size_t bytes = strlen(HEAD "\r\n");
        memcpy(text, HEAD "\r\n", bytes);
        strcpy(text + bytes, followers[i]);
        expect("followed", text, bytes + strlen(followers[i]) + 1, (ssize_t)bytes);
    }
}

/* Puts every octet in turn where `text` has its '@', and expects success exactly where `right`
 * says.
 */
static void expect_octets(const char *text, bool (*right)(unsigned octet), const char *what)
{
    char copy[128];
    size_t bytes = strlen(text);
    memcpy(copy, text, bytes);
    size_t place = (size_t)(strchr(text, '@') - text);
    for (unsigned octet = 0; octet < 256; octet++) {
        copy[place] = (char)octet;
        ssize_t whole = parse_whole(copy, bytes);
        ssize_t dripped = parse_dripped(copy, bytes);
        cr_expect_eq(whole, dripped, "%s 0x%02x: %zd, dripped %zd", what, octet, whole, dripped);
        cr_expect_eq(whole == (ssize_t)bytes, right(octet), "%s 0x%02x: %zd", what, octet, whole);
    }
}

static bool is_tchar(unsigned octet)
{
    static const char tchars[] = "!#$%&'*+-.^_`|~0123456789"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    return octet != 0 && octet < 0x80 && strchr(tchars, (int)octet) != NULL;
}

static bool is_tchar_or_colon(unsigned octet)
{
    return octet == ':' || is_tchar(octet);
}

static bool is_value_octet(unsigned octet)
{
    return octet == '\t' || (octet >= 0x20 && octet != 0x7f);
}

/* A space ends the target, and what follows is not a version. */
static bool is_target_octet(unsigned octet)
{
    return octet > 0x20 && octet < 0x7f && strchr("\"#<>", (int)octet) == NULL;
}

static bool is_host_octet(unsigned octet)
{
    static const char marks[] = "-._~!$&'()*+;=:\t "; /* a blank is trimmed, ':' begins no port */
    return octet != 0 && octet < 0x80 &&
           ((is_tchar(octet) && strchr("#%^`|", (int)octet) == NULL) ||
            strchr(marks, (int)octet) != NULL);
}

Test(http1_strict, takes_each_octet_only_where_the_grammar_has_it)
{
    /* RFC 9110, sections 5.5 and 5.6.2; RFC 3986, sections 3.2.2 and 3.3 */
    expect_octets(HEAD "na@me: x\r\n\r\n", is_tchar_or_colon, "in a name");
    expect_octets(HEAD "@name: x\r\n\r\n", is_tchar, "first in a name");
    expect_octets(HEAD "name@: x\r\n\r\n", is_tchar_or_colon, "last in a name");
    expect_octets(HEAD "name: a@b\r\n\r\n", is_value_octet, "in a value");
    expect_octets(HEAD "name:@\r\n\r\n", is_value_octet, "alone in a value");
    expect_octets(HEAD "name: 0123456789abcd@f0123456789abcdef\r\n\r\n", is_value_octet,
                  "deep in a value");
    expect_octets(HEAD "name: 0123456789abcdef0123456789abcde@\r\n\r\n", is_value_octet,
                  "last in a value");
    expect_octets("GET /a@b HTTP/1.1\r\n" HOST "\r\n", is_target_octet, "in a path");
    expect_octets("GET /a?b@ HTTP/1.1\r\n" HOST "\r\n", is_target_octet, "in a query");
    expect_octets(GET "Host: a@\r\n\r\n", is_host_octet, "in a host");
}

/* A head of `count` headers, Host first, each as short as one can be. */
static size_t head_of(size_t count, char *text)
{
    size_t bytes = (size_t)stpcpy(text, GET) - (size_t)text;
    for (size_t i = 0; i < count; i++)
        bytes += (size_t)(stpcpy(text + bytes, i == 0 ? HOST : "x:\r\n") - (text + bytes));
    strcpy(text + bytes, "\r\n");
    return bytes + 2;
}

Test(http1_strict, counts_headers_before_anything_else_is_done_with_them)
{
    /* ws CVE-2024-37890: a head of too many headers is a refusal, never a surprise later */
    static const struct {
        size_t count;
        int error;
    } cases[] = {
        {0, FW_ERR_HTTP_HOST},
        {1, 0},
        {63, 0},
        {FW_HTTP_HEADERS_MAX, 0},
        {FW_HTTP_HEADERS_MAX + 1, FW_ERR_HTTP_HEADERS_TOO_MANY},
        {100, FW_ERR_HTTP_HEADERS_TOO_MANY},
        {101, FW_ERR_HTTP_HEADERS_TOO_MANY},
        {2000, FW_ERR_HTTP_HEADERS_TOO_MANY},
        {3000, FW_ERR_HTTP_HEADERS_TOO_MANY},
    };
    static char text[16384];
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t bytes = head_of(cases[i].count, text);
        expect("count", text, bytes, cases[i].error != 0 ? cases[i].error : (ssize_t)bytes);
    }
}

Test(http1_strict, answers_each_refusal_with_its_http_status)
{
    /* RFC 9110, section 15.5; RFC 6585, section 5 */
    static const struct {
        int error;
        int answer;
    } cases[] = {
        {FW_ERR_HTTP_METHOD, 501},         {FW_ERR_HTTP_REQUEST_LINE, 400},
        {FW_ERR_HTTP_TARGET, 400},         {FW_ERR_HTTP_VERSION, 400},
        {FW_ERR_HTTP_LINE_END, 400},       {FW_ERR_HTTP_HEADER_NAME, 400},
        {FW_ERR_HTTP_HEADER_VALUE, 400},   {FW_ERR_HTTP_FOLDED, 400},
        {FW_ERR_HTTP_HOST, 400},           {FW_ERR_HTTP_LENGTH, 400},
        {FW_ERR_HTTP_CODING, 501},         {FW_ERR_HTTP_LINE_TOO_LONG, 414},
        {FW_ERR_HTTP_HEAD_TOO_LARGE, 431}, {FW_ERR_HTTP_HEADERS_TOO_MANY, 431},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_expect_eq(fw_status_answer(cases[i].error), cases[i].answer, "%d", cases[i].error);
}
