/* test_ws_handshake.c: the opening handshake, both sides (RFC 6455, section 4).
 *
 * Requests and responses are parsed by http1.c first, so the cases are whole heads, flush against
 * an unreadable page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/ws_handshake.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define PIECE_BYTES_MAX (2 * FW_HTTP_HEAD_BYTES_MAX)

/* The pieces of the handshake in RFC 6455, section 1.3. */
#define LINE       "GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"
#define UPGRADE    "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define KEY        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION    "Sec-WebSocket-Version: 13\r\n"
#define ACCEPT     "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define REQUEST    LINE UPGRADE CONNECTION KEY VERSION

static const uint8_t sample_key[FW_WS_KEY_BYTES] = "the sample nonce";

static struct guard_buf guard;
static struct fw_http_head head;
static uint8_t *in;

static void set_up(void)
{
    guard_buf_init(&guard, PIECE_BYTES_MAX);
}

static void tear_down(void)
{
    guard_buf_clear(&guard);
}

TestSuite(ws_handshake_check, .init = set_up, .fini = tear_down);
TestSuite(ws_handshake_write, .init = set_up, .fini = tear_down);
TestSuite(ws_handshake_verify, .init = set_up, .fini = tear_down);

static void parse_request(const char *text)
{
    ssize_t bytes = (ssize_t)strlen(text);
    fw_http_head_init(&head);
    in = guard_buf_at_end(&guard, text, (size_t)bytes);
    cr_assert_eq(fw_http_request_parse(&head, in, (size_t)bytes), bytes, "%s", text);
}

static int check(const char *text)
{
    char accept[FW_WS_ACCEPT_CHARS];
    parse_request(text);
    return fw_ws_handshake_check(&head, in, accept);
}

/* The sample request with a few more lines. */
static int check_with(const char *lines)
{
    static char text[PIECE_BYTES_MAX];
    cr_assert_lt(strlen(REQUEST "\r\n") + strlen(lines), sizeof text);
    strcpy(stpcpy(stpcpy(text, REQUEST), lines), "\r\n");
    return check(text);
}

static int verify(const char *text, const char *protocols, bool extensions_offered,
                  struct fw_bytes *protocol_out, struct fw_bytes *extensions_out)
{
    ssize_t bytes = (ssize_t)strlen(text);
    fw_http_head_init(&head);
    in = guard_buf_at_end(&guard, text, (size_t)bytes);
    cr_assert_eq(fw_http_response_parse(&head, in, (size_t)bytes), bytes, "%s", text);
    return fw_ws_handshake_verify(&head, in, sample_key, protocols, extensions_offered,
                                  protocol_out, extensions_out);
}

static bool is(struct fw_bytes bytes, const char *text)
{
    return fw_bytes_equal(bytes, fw_bytes_of(text));
}

/* ---- check ---- */

Test(ws_handshake_check, answers_the_sample_of_the_rfc)
{
    /* RFC 6455, section 1.3 */
    char accept[FW_WS_ACCEPT_CHARS + 1] = "";
    parse_request(REQUEST "Origin: http://example.com\r\n"
                          "Sec-WebSocket-Protocol: chat, superchat\r\n\r\n");
    cr_assert_eq(fw_ws_handshake_check(&head, in, accept), 0);
    cr_expect_str_eq(accept, ACCEPT);
}

Test(ws_handshake_check, answers_other_keys)
{
    /* RFC 6455, section 4.2.2; the answers computed with another SHA-1 and base64 */
    static const struct {
        const char *key;
        const char *accept;
    } cases[] = {
        {"AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI="},
        {"/////////////////////w==", "XXpj4jYzLM2yUE0C7TIgMwTQh2g="},
        {"x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="},
    };
    char text[512];
    for (size_t i = 0; i < COUNT(cases); i++) {
        char accept[FW_WS_ACCEPT_CHARS + 1] = "";
        snprintf(text, sizeof text, LINE UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: %s\r\n\r\n",
                 cases[i].key);
        parse_request(text);
        cr_expect_eq(fw_ws_handshake_check(&head, in, accept), 0, "%s", cases[i].key);
        cr_expect_str_eq(accept, cases[i].accept);
    }
}

Test(ws_handshake_check, accepts_what_browsers_and_proxies_make_of_it)
{
    /* RFC 6455, section 4.2.1: case does not matter, lists may hold more */
    static const char *const requests[] = {
        LINE KEY VERSION "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n\r\n",
        LINE KEY VERSION "UPGRADE: h2c, WEBSOCKET\r\nConnection: UPGRADE\r\n\r\n",
        LINE KEY VERSION UPGRADE "Connection: keep-alive\r\nConnection: ,Upgrade\r\n\r\n",
        LINE UPGRADE CONNECTION VERSION "SEC-WEBSOCKET-KEY:dGhlIHNhbXBsZSBub25jZQ==  \r\n\r\n",
        REQUEST "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b,c\r\n\r\n",
        REQUEST "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
        REQUEST "Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n"
                "Sec-WebSocket-Extensions: a;b=\"c\" , d\r\n\r\n",
        REQUEST "Sec-WebSocket-Protocol: ,a,, b ,\r\n\r\n",
        "GET /?a=b HTTP/1.1\r\nHost: [::1]:80\r\n" UPGRADE CONNECTION KEY VERSION "\r\n",
    };
    for (size_t i = 0; i < COUNT(requests); i++)
        cr_expect_eq(check(requests[i]), 0, "%s", requests[i]);
}

Test(ws_handshake_check, refuses_what_is_not_an_upgrade_to_websocket)
{
    /* RFC 6455, section 4.2.1, items 1 to 6; SECURITY.md on smuggling: no body, of any length */
    static const struct {
        const char *text;
        int expected;
    } cases[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\n" UPGRADE CONNECTION KEY VERSION "\r\n", FW_ERR_WS_METHOD},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n" UPGRADE CONNECTION KEY VERSION "\r\n", FW_ERR_WS_METHOD},
        {"PUT / HTTP/1.1\r\nHost: a\r\n" UPGRADE CONNECTION KEY VERSION "\r\n", FW_ERR_WS_METHOD},
        {"GET / HTTP/1.0\r\nHost: a\r\n" UPGRADE CONNECTION KEY VERSION "\r\n",
         FW_ERR_HTTP_VERSION},
        {REQUEST "Content-Length: 0\r\n\r\n", FW_ERR_HTTP_BODY_UNEXPECTED},
        {REQUEST "Content-Length: 5\r\n\r\n", FW_ERR_HTTP_BODY_UNEXPECTED},
        {LINE CONNECTION KEY VERSION "\r\n", FW_ERR_WS_UPGRADE},
        {LINE UPGRADE KEY VERSION "\r\n", FW_ERR_WS_UPGRADE},
        {LINE CONNECTION KEY VERSION "Upgrade:\r\n\r\n", FW_ERR_WS_UPGRADE},
        {LINE CONNECTION KEY VERSION "Upgrade: h2c\r\n\r\n", FW_ERR_WS_UPGRADE},
        {LINE CONNECTION KEY VERSION "Upgrade: websocket/13\r\n\r\n", FW_ERR_WS_UPGRADE},
        {LINE CONNECTION KEY VERSION "Upgrade: websockets\r\n\r\n", FW_ERR_WS_UPGRADE},
        {LINE CONNECTION KEY VERSION "Upgrade: web socket\r\n\r\n", FW_ERR_WS_UPGRADE},
        {LINE UPGRADE KEY VERSION "Connection: websocket\r\n\r\n", FW_ERR_WS_UPGRADE},
        {LINE UPGRADE KEY VERSION "Connection: keep-alive\r\n\r\n", FW_ERR_WS_UPGRADE},
        {LINE UPGRADE CONNECTION KEY "\r\n", FW_ERR_WS_VERSION},
        {LINE UPGRADE CONNECTION KEY "Sec-WebSocket-Version:\r\n\r\n", FW_ERR_WS_VERSION},
        {LINE UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n\r\n", FW_ERR_WS_VERSION},
        {LINE UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 14\r\n\r\n", FW_ERR_WS_VERSION},
        {LINE UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 013\r\n\r\n", FW_ERR_WS_VERSION},
        {LINE UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n", FW_ERR_WS_VERSION},
        {REQUEST "Sec-WebSocket-Version: 13\r\n\r\n", FW_ERR_WS_VERSION},
        {REQUEST "Sec-WebSocket-Version: 8\r\n\r\n", FW_ERR_WS_VERSION},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_expect_eq(check(cases[i].text), cases[i].expected, "%s", cases[i].text);
}

Test(ws_handshake_check, would_refuse_a_transfer_encoding_if_one_came_this_far)
{
    /* RFC 9112, section 6.1: http1.c refuses it; the check stands on its own all the same */
    static const char text[] = REQUEST "Transfer-Encoding: chunked\r\n\r\n";
    static const char harmless[] = REQUEST "Transfer-Encodinh: chunked\r\n\r\n";
    char accept[FW_WS_ACCEPT_CHARS];
    parse_request(harmless);
    memcpy(in, text, sizeof text - 1);
    cr_expect_eq(fw_ws_handshake_check(&head, in, accept), FW_ERR_HTTP_BODY_UNEXPECTED);
}

Test(ws_handshake_check, refuses_keys_that_are_not_16_octets_in_canonical_base64)
{
    /* RFC 6455, section 4.1, item 7; RFC 4648, section 3.5 */
    static const char *const lines[] = {
        "",
        "Sec-WebSocket-Key:\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ===\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n", /* spare bits */
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZf==\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=Q\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWU=\r\n", /* 17 octets */
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWVl\r\n", /* 18 octets */
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n",     /* 15 octets */
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==,\r\n",
        "Sec-WebSocket-Key: dGhl IHNhbXBsZSBub25jZQ=\r\n",
        "Sec-WebSocket-Key: dGhl IHNhbXBsZSBub25jZQ==\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbX\tsZSBub25jZQ==\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbX-sZSBub25jZQ==\r\n", /* base64url */
        "Sec-WebSocket-Key: dGhlIHNhbX_sZSBub25jZQ==\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbX\xff"
        "sZSBub25jZQ==\r\n",
        "Sec-WebSocket-Key: ========================\r\n",
        "Sec-WebSocket-Key: =GhlIHNhbXBsZSBub25jZQ==\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBs====b25jZQ==\r\n",
        "Sec-WebSocket-Key: \"GhlIHNhbXBsZSBub25jZQ==\r\n",
        KEY KEY,
        KEY "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
        KEY "Sec-WebSocket-Key:\r\n",
    };
    char text[512];
    for (size_t i = 0; i < COUNT(lines); i++) {
        snprintf(text, sizeof text, LINE UPGRADE CONNECTION VERSION "%s\r\n", lines[i]);
        cr_expect_eq(check(text), FW_ERR_WS_KEY, "%s", lines[i]);
    }
}

Test(ws_handshake_check, takes_each_last_character_of_a_key_only_if_its_spare_bits_are_zero)
{
    /* RFC 4648, section 3.5: 4 of the 64 */
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[512];
    for (size_t i = 0; i < 64; i++) {
        snprintf(text, sizeof text,
                 LINE UPGRADE CONNECTION VERSION
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ%c==\r\n\r\n",
                 alphabet[i]);
        cr_expect_eq(check(text), i % 16 == 0 ? 0 : FW_ERR_WS_KEY, "%c", alphabet[i]);
    }
}

Test(ws_handshake_check, refuses_subprotocol_lists_that_are_malformed_or_repeat)
{
    /* RFC 6455, section 4.1, item 10: unique tokens */
    static const char *const values[] = {
        "",       " ",   ",",       ", ,", "a b", "a;b",      "a=b", "\"a\"", "a/b",
        "a, b c", "a,a", "a, b, a", "(a)", "a,@", "\xc3\xa4", "a:b", "{}",    "a\\",
    };
    char line[256];
    for (size_t i = 0; i < COUNT(values); i++) {
        snprintf(line, sizeof line, "Sec-WebSocket-Protocol: %s\r\n", values[i]);
        cr_expect_eq(check_with(line), FW_ERR_WS_PROTOCOL, "%s", values[i]);
    }
    cr_expect_eq(check_with("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b, a\r\n"),
                 FW_ERR_WS_PROTOCOL, "repeated in another line");
    cr_expect_eq(check_with("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol:\r\n"),
                 FW_ERR_WS_PROTOCOL, "an empty line behind a good one");
    cr_expect_eq(check_with("Sec-WebSocket-Protocol: a, A\r\n"), 0, "case tells them apart");
}

/* "Name: begin0, begin1, ..." of `count` elements, whose value takes at least `bytes` octets. */
static char *list_line(const char *name, const char *begin, size_t count, size_t bytes)
{
    static char line[PIECE_BYTES_MAX];
    int at = sprintf(line, "%s: ", name);
    int value = at;
    for (size_t i = 0; i < count; i++)
        at += sprintf(line + at, "%s%s%zu", i == 0 ? "" : ",", begin, i);
    while ((size_t)(at - value) < bytes)
        line[at++] = 'x';
    strcpy(line + at, "\r\n");
    return line;
}

Test(ws_handshake_check, bounds_subprotocols_at_32_tokens_and_1024_octets)
{
    /* ws CVE-2021-32640 */
    static const char name[] = "Sec-WebSocket-Protocol";
    static char two[PIECE_BYTES_MAX];
    char *end;
    cr_expect_eq(check_with(list_line(name, "p", 32, 0)), 0);
    cr_expect_eq(check_with(list_line(name, "p", 33, 0)), FW_ERR_WS_PROTOCOL);
    cr_expect_eq(check_with(list_line(name, "p", 1, 1024)), 0);
    cr_expect_eq(check_with(list_line(name, "p", 1, 1025)), FW_ERR_WS_PROTOCOL);
    end = stpcpy(two, list_line(name, "p", 1, 1000));
    strcpy(end, list_line(name, "q", 1, 24));
    cr_expect_eq(check_with(two), 0);
    end = stpcpy(two, list_line(name, "p", 1, 1000));
    strcpy(end, list_line(name, "q", 1, 25));
    cr_expect_eq(check_with(two), FW_ERR_WS_PROTOCOL);
    end = stpcpy(two, list_line(name, "p", 20, 0));
    strcpy(end, list_line(name, "q", 13, 0));
    cr_expect_eq(check_with(two), FW_ERR_WS_PROTOCOL);
}

Test(ws_handshake_check, bounds_extensions_at_32_tokens_and_1024_octets)
{
    /* websocket-extensions CVE-2020-7662 */
    static const char name[] = "Sec-WebSocket-Extensions";
    static char two[PIECE_BYTES_MAX];
    char *end;
    cr_expect_eq(check_with(list_line(name, "e", 32, 0)), 0);
    cr_expect_eq(check_with(list_line(name, "e", 33, 0)), FW_ERR_WS_EXTENSION);
    cr_expect_eq(check_with(list_line(name, "e;p", 16, 0)), 0);
    cr_expect_eq(check_with(list_line(name, "e;p", 17, 0)), FW_ERR_WS_EXTENSION);
    cr_expect_eq(check_with(list_line(name, "e", 1, 1024)), 0);
    cr_expect_eq(check_with(list_line(name, "e", 1, 1025)), FW_ERR_WS_EXTENSION);
    end = stpcpy(two, list_line(name, "e", 1, 1000));
    strcpy(end, list_line(name, "f", 1, 25));
    cr_expect_eq(check_with(two), FW_ERR_WS_EXTENSION);
    end = stpcpy(two, list_line(name, "e", 20, 0));
    strcpy(end, list_line(name, "f", 13, 0));
    cr_expect_eq(check_with(two), FW_ERR_WS_EXTENSION);
}

Test(ws_handshake_check, sees_what_is_offered_exactly)
{
    /* RFC 6455, section 11.5: subprotocol names are case-sensitive */
    parse_request(REQUEST "Sec-WebSocket-Protocol: a, Feed.v1\r\n"
                          "Sec-WebSocket-Protocol: b\r\n\r\n");
    cr_expect(fw_ws_handshake_offers(&head, in, "a"));
    cr_expect(fw_ws_handshake_offers(&head, in, "Feed.v1"));
    cr_expect(fw_ws_handshake_offers(&head, in, "b"));
    cr_expect(!fw_ws_handshake_offers(&head, in, "feed.v1"));
    cr_expect(!fw_ws_handshake_offers(&head, in, "Feed"));
    cr_expect(!fw_ws_handshake_offers(&head, in, ""));
    parse_request(REQUEST "\r\n");
    cr_expect(!fw_ws_handshake_offers(&head, in, "a"));
}

/* ---- writing ---- */

Test(ws_handshake_write, answers_with_exactly_these_lines)
{
    /* RFC 6455, section 4.2.2 */
    static const struct {
        const char *protocol;
        const char *extensions;
        const char *more;
    } cases[] = {
        {NULL, NULL, ""},
        {"feed.v1", NULL, "Sec-WebSocket-Protocol: feed.v1\r\n"},
        {NULL, "permessage-deflate", "Sec-WebSocket-Extensions: permessage-deflate\r\n"},
        {"a", "b; c=1", "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Extensions: b; c=1\r\n"},
    };
    char expected[512];
    char out[512];
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(expected, sizeof expected,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n%s\r\n",
                 cases[i].more);
        ssize_t bytes =
            fw_ws_handshake_accept(ACCEPT, cases[i].protocol, cases[i].extensions, out, sizeof out);
        cr_assert_eq(bytes, (ssize_t)strlen(expected));
        cr_expect_eq(memcmp(out, expected, (size_t)bytes), 0, "%.*s", (int)bytes, out);
    }
}

Test(ws_handshake_write, refuses_to_answer_with_a_line_break, .signal = SIGABRT)
{
    /* undici CVE-2026-1527: only our constants are written, so this is our mistake, not a peer's */
    char out[512];
    fw_ws_handshake_accept(ACCEPT, "a\r\nSet-Cookie: x", NULL, out, sizeof out);
}

Test(ws_handshake_write, asks_with_exactly_these_lines)
{
    /* RFC 6455, section 4.1 */
    char out[512];
    ssize_t bytes = fw_ws_handshake_request("server.example.com", "/chat", sample_key, "a, b",
                                            "permessage-deflate", "Origin: http://example.com\r\n",
                                            out, sizeof out);
    static const char expected[] = LINE UPGRADE CONNECTION VERSION KEY
        "Sec-WebSocket-Protocol: a, b\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin: http://example.com\r\n\r\n";
    cr_assert_eq(bytes, (ssize_t)strlen(expected));
    cr_expect_eq(memcmp(out, expected, (size_t)bytes), 0, "%.*s", (int)bytes, out);
    bytes = fw_ws_handshake_request("a", "/", sample_key, NULL, NULL, NULL, out, sizeof out);
    static const char least[] =
        "GET / HTTP/1.1\r\nHost: a\r\n" UPGRADE CONNECTION VERSION KEY "\r\n";
    cr_assert_eq(bytes, (ssize_t)strlen(least));
    cr_expect_eq(memcmp(out, least, (size_t)bytes), 0, "%.*s", (int)bytes, out);
}

Test(ws_handshake_write, stays_within_its_room)
{
    /* the contract of ws_handshake.h: FW_ERR_LIMIT, and nothing behind out_bytes is touched */
    char out[512];
    size_t answer = (size_t)fw_ws_handshake_accept(ACCEPT, "a", "b", out, sizeof out);
    size_t question = (size_t)fw_ws_handshake_request("a", "/", sample_key, "a", "b", "C: d\r\n",
                                                      out, sizeof out);
    for (size_t room = 0; room <= answer || room <= question; room++) {
        char *tight = (char *)guard_buf_at_end(&guard, NULL, room);
        ssize_t bytes = fw_ws_handshake_accept(ACCEPT, "a", "b", tight, room);
        cr_expect_eq(bytes, room < answer ? FW_ERR_LIMIT : (ssize_t)answer, "%zu", room);
        bytes = fw_ws_handshake_request("a", "/", sample_key, "a", "b", "C: d\r\n", tight, room);
        cr_expect_eq(bytes, room < question ? FW_ERR_LIMIT : (ssize_t)question, "%zu", room);
    }
}

Test(ws_handshake_write, refuses_strings_that_would_break_the_request)
{
    /* RFC 9112, section 11.1: request splitting */
    static const struct {
        const char *host, *target, *protocols, *extensions, *more;
    } cases[] = {
        {"", "/", NULL, NULL, NULL},
        {"a b", "/", NULL, NULL, NULL},
        {"a\r\nB: c", "/", NULL, NULL, NULL},
        {"a\t", "/", NULL, NULL, NULL},
        {"a", "", NULL, NULL, NULL},
        {"a", "b", NULL, NULL, NULL},
        {"a", "*", NULL, NULL, NULL},
        {"a", "/b c", NULL, NULL, NULL},
        {"a", "/\n", NULL, NULL, NULL},
        {"a", "/\x7f", NULL, NULL, NULL},
        {"a", "/", "b\r\n", NULL, NULL},
        {"a", "/", "b\x01", NULL, NULL},
        {"a", "/", NULL, "b\n", NULL},
        {"a", "/", NULL, NULL, "B: c"},
        {"a", "/", NULL, NULL, "B: c\n"},
        {"a", "/", NULL, NULL, "B: c\r"},
        {"a", "/", NULL, NULL, "B: c\rD: e\r\n"},
        {"a", "/", NULL, NULL, "\r\n"},
        {"a", "/", NULL, NULL, "B: c\r\n\r\n"},
        {"a", "/", NULL, NULL, "B: c\r\n\r\nGET / HTTP/1.1\r\n"},
        {"a", "/", NULL, NULL, "B: \x1b[0m\r\n"},
    };
    char out[512];
    for (size_t i = 0; i < COUNT(cases); i++) {
        ssize_t bytes =
            fw_ws_handshake_request(cases[i].host, cases[i].target, sample_key, cases[i].protocols,
                                    cases[i].extensions, cases[i].more, out, sizeof out);
        cr_expect_eq(bytes, FW_ERR_USAGE, "case %zu: %zd", i, bytes);
    }
}

Test(ws_handshake_write, makes_what_the_other_side_accepts)
{
    /* RFC 6455, sections 4.1 and 4.2: one side's request is the other's, and so its answer */
    for (unsigned round = 0; round < 200; round++) {
        uint8_t key[FW_WS_KEY_BYTES];
        char accept[FW_WS_ACCEPT_CHARS];
        char out[1024];
        struct fw_bytes protocol, extensions;
        for (size_t i = 0; i < sizeof key; i++)
            key[i] = (uint8_t)(round * 131 + i * (round + 17));
        ssize_t bytes = fw_ws_handshake_request("a:1", "/?q", key, "x, feed", "e; f=\"g\"", NULL,
                                                out, sizeof out);
        fw_http_head_init(&head);
        cr_assert_eq(fw_http_request_parse(&head, (uint8_t *)out, (size_t)bytes), bytes);
        cr_assert_eq(fw_ws_handshake_check(&head, (uint8_t *)out, accept), 0);
        cr_assert(fw_ws_handshake_offers(&head, (uint8_t *)out, "feed"));
        bytes = fw_ws_handshake_accept(accept, "feed", "e; f=1", out, sizeof out);
        fw_http_head_init(&head);
        cr_assert_eq(fw_http_response_parse(&head, (uint8_t *)out, (size_t)bytes), bytes);
        cr_assert_eq(fw_ws_handshake_verify(&head, (uint8_t *)out, key, "x, feed", true, &protocol,
                                            &extensions),
                     0);
        cr_assert(is(protocol, "feed") && is(extensions, "e; f=1"));
    }
}

/* ---- verify ---- */

#define SWITCHES "HTTP/1.1 101 Switching Protocols\r\n"
#define ACCEPTED "Sec-WebSocket-Accept: " ACCEPT "\r\n"
#define RESPONSE SWITCHES UPGRADE CONNECTION ACCEPTED

Test(ws_handshake_verify, takes_the_answer_to_its_key)
{
    /* RFC 6455, section 4.1 */
    struct fw_bytes protocol, extensions;
    cr_expect_eq(verify(RESPONSE "\r\n", NULL, false, &protocol, &extensions), 0);
    cr_expect(protocol.count == 0 && extensions.count == 0);
    cr_expect_eq(verify(RESPONSE "\r\n", "a, b", true, &protocol, &extensions), 0, "chose nothing");
    cr_expect(protocol.count == 0 && extensions.count == 0);
    cr_expect_eq(verify(SWITCHES "uPGRADE: WebSocket\r\nconnection: x, upgrade\r\n" ACCEPTED
                                 "Sec-WebSocket-Protocol: b\r\n"
                                 "Sec-WebSocket-Extensions: e; f\r\n\r\n",
                        "a, b", true, &protocol, &extensions),
                 0);
    cr_expect(is(protocol, "b") && is(extensions, "e; f"));
}

Test(ws_handshake_verify, refuses_every_other_answer)
{
    /* RFC 6455, section 4.1, items 1 to 6 of what the client must check; section 11.3 */
    static const struct {
        const char *text;
        int expected;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n" UPGRADE CONNECTION ACCEPTED "\r\n", FW_ERR_WS_REFUSED},
        {"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n\r\n", FW_ERR_WS_REFUSED},
        {"HTTP/1.1 100 Continue\r\n\r\n", FW_ERR_WS_REFUSED},
        {"HTTP/1.0 101 x\r\n" UPGRADE CONNECTION ACCEPTED "\r\n", FW_ERR_WS_UPGRADE},
        {SWITCHES CONNECTION ACCEPTED "\r\n", FW_ERR_WS_UPGRADE},
        {SWITCHES UPGRADE ACCEPTED "\r\n", FW_ERR_WS_UPGRADE},
        {SWITCHES CONNECTION ACCEPTED "Upgrade: websocket, h2c\r\n\r\n", FW_ERR_WS_UPGRADE},
        {RESPONSE UPGRADE "\r\n", FW_ERR_WS_UPGRADE},
        {SWITCHES UPGRADE CONNECTION "\r\n", FW_ERR_WS_ACCEPT},
        {SWITCHES UPGRADE CONNECTION "Sec-WebSocket-Accept:\r\n\r\n", FW_ERR_WS_ACCEPT},
        {SWITCHES UPGRADE CONNECTION "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n",
         FW_ERR_WS_ACCEPT},
        {SWITCHES UPGRADE CONNECTION "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
         FW_ERR_WS_ACCEPT},
        {SWITCHES UPGRADE CONNECTION "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo\r\n\r\n",
         FW_ERR_WS_ACCEPT},
        {RESPONSE ACCEPTED "\r\n", FW_ERR_WS_ACCEPT},
        {RESPONSE "Sec-WebSocket-Protocol: c\r\n\r\n", FW_ERR_WS_OFFER},
        {RESPONSE "Sec-WebSocket-Protocol: A\r\n\r\n", FW_ERR_WS_OFFER},
        {RESPONSE "Sec-WebSocket-Protocol: a, b\r\n\r\n", FW_ERR_WS_OFFER},
        {RESPONSE "Sec-WebSocket-Protocol:\r\n\r\n", FW_ERR_WS_OFFER},
        {RESPONSE "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n\r\n",
         FW_ERR_WS_OFFER},
        {RESPONSE "Sec-WebSocket-Extensions:\r\n\r\n", FW_ERR_WS_OFFER},
        {RESPONSE "Sec-WebSocket-Extensions: e;\r\n\r\n", FW_ERR_WS_OFFER},
        {RESPONSE "Sec-WebSocket-Extensions: e\r\nSec-WebSocket-Extensions: e\r\n\r\n",
         FW_ERR_WS_OFFER},
    };
    struct fw_bytes protocol, extensions;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int result = verify(cases[i].text, "a, b", true, &protocol, &extensions);
        cr_expect_eq(result, cases[i].expected, "%s: %d", cases[i].text, result);
    }
}

Test(ws_handshake_verify, refuses_choices_when_nothing_was_offered)
{
    /* RFC 6455, section 4.1, items 5 and 6 */
    struct fw_bytes protocol, extensions;
    cr_expect_eq(
        verify(RESPONSE "Sec-WebSocket-Protocol: a\r\n\r\n", NULL, true, &protocol, &extensions),
        FW_ERR_WS_OFFER);
    cr_expect_eq(
        verify(RESPONSE "Sec-WebSocket-Extensions: a\r\n\r\n", "a", false, &protocol, &extensions),
        FW_ERR_WS_OFFER);
}
