/* test_http1.c: heads parse the same however they are cut, and wherever they lie (RFC 9112,
 * section 2.2: a message is a sequence of octets, the transport's pieces mean nothing).
 *
 * The property: for every prefix of an input, the head fed octet by octet is equal, in every field,
 * to the head fed that prefix at once; for every place to cut in two, and for random cuts in many,
 * the result is that of the whole. Each piece is shown at an address of its own, flush against an
 * unreadable page. Inputs are good and bad heads, and thousands of mutations of them with fixed
 * seeds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/http1.h"
#include "support/guard_buf.h"
#include "support/random.h"

#include <criterion/criterion.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define MUTATIONS 20000

typedef ssize_t parse_function(struct fw_http_head *head, const uint8_t *in, size_t in_bytes);

TestSuite(http1_property, .init = guard_pair_init, .fini = guard_pair_clear);

static const char *const requests[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "\r\nPOST /topics/a?since=now HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 12\r\n"
    "Expect: 100-continue\r\nConnection: keep-alive, close\r\n\r\nhello",
    "GET /chat?room=1 HTTP/1.1\r\nHost: feed.example.com\r\nConnection: Upgrade\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n"
    "Upgrade: websocket\r\nOrigin: https://example.com\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAccept-Encoding: gzip, deflate, br\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n\x81\x85",
    "OPTIONS /a HTTP/1.1\r\nHost: a\r\nEmpty:\r\nBlank: \t \r\nX:  y\t\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nFoo: b\r\n c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\nFoo: b\r\n\r\n",
    "DELETE /%zz HTTP/1.1\r\nHost : a\r\n\r\n",
};

#define SWITCHES "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

static const char *const responses[] = {
    SWITCHES "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x05hello",
    "HTTP/1.0 200 \r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc",
    "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200\r\n\r\n",
};

/* Shows `bytes` octets to the parser, in the page that the last call did not use. */
static ssize_t show(parse_function *parse, struct fw_http_head *head, const void *text,
                    size_t bytes)
{
    return parse(head, guard_pair_show(text, bytes), bytes);
}

static bool same(const struct fw_http_head *a, const struct fw_http_head *b)
{
    return memcmp(a, b, offsetof(struct fw_http_head, headers)) == 0 &&
           memcmp(a->headers, b->headers, a->headers_count * sizeof *a->headers) == 0;
}

/* Judges what must hold of every result. */
static bool sound(const struct fw_http_head *head, const char *text, size_t bytes, ssize_t result)
{
    if (result < 0)
        return result <= -10000 && *fw_status_name((int)result) == 'F' && head->scanned <= bytes;
    if (head->scanned != (result > 0 ? (size_t)result : bytes))
        return false;
    for (size_t i = 0; i < head->headers_count; i++) {
        struct fw_http_header header = head->headers[i];
        if (header.name.count == 0 || header.name.at + header.name.count >= header.value.at ||
            header.value.at + header.value.count > head->scanned)
            return false;
    }
    return result == 0 || memcmp(text + result - 4, "\r\n\r\n", 4) == 0;
}

static ssize_t parse_once(parse_function *parse, struct fw_http_head *head, const char *text,
                          size_t bytes)
{
    fw_http_head_init(head);
    return show(parse, head, text, bytes);
}

/* Octet by octet, against every prefix at once. */
static void expect_prefixes_agree(parse_function *parse, const char *text, size_t bytes)
{
    struct fw_http_head dripped;
    struct fw_http_head whole;
    ssize_t result = 0;
    fw_http_head_init(&dripped);
    for (size_t some = 0; some <= bytes && result == 0; some++) {
        result = show(parse, &dripped, text, some);
        cr_assert_eq(result, parse_once(parse, &whole, text, some), "%s: %zu", text, some);
        cr_assert(same(&dripped, &whole), "%s: %zu", text, some);
        cr_assert(sound(&whole, text, some, result), "%s: %zu", text, some);
    }
}

static void expect_cuts_agree(parse_function *parse, const char *text, size_t bytes)
{
    struct fw_http_head whole;
    struct fw_http_head cut;
    ssize_t expected = parse_once(parse, &whole, text, bytes);
    for (size_t first = 0; first <= bytes; first++) {
        ssize_t result = parse_once(parse, &cut, text, first);
        if (result == 0)
            result = show(parse, &cut, text, bytes);
        cr_assert_eq(result, expected, "%s: cut at %zu", text, first);
        cr_assert(same(&cut, &whole), "%s: cut at %zu", text, first);
    }
}

Test(http1_property, a_request_is_the_same_cut_anywhere)
{
    for (size_t i = 0; i < COUNT(requests); i++) {
        expect_prefixes_agree(fw_http_request_parse, requests[i], strlen(requests[i]));
        expect_cuts_agree(fw_http_request_parse, requests[i], strlen(requests[i]));
    }
}

Test(http1_property, a_response_is_the_same_cut_anywhere)
{
    for (size_t i = 0; i < COUNT(responses); i++) {
        expect_prefixes_agree(fw_http_response_parse, responses[i], strlen(responses[i]));
        expect_cuts_agree(fw_http_response_parse, responses[i], strlen(responses[i]));
    }
}

/* Changes, drops or doubles a few octets; what comes in is what tends to matter. */
static size_t mutate(uint64_t *random, char *text, size_t bytes)
{
    static const char octets[] = "\r\n\t :,;=/?\"#[]\0\x7f\x80\xffHGc01.-";
    size_t changes = random_next(random) % 3 + 1;
    for (size_t i = 0; i < changes && bytes > 1; i++) {
        size_t at = random_next(random) % bytes;
        switch (random_next(random) % 4) {
        case 0:
            text[at] = octets[random_next(random) % sizeof octets];
            break;
        case 1:
            text[at] = (char)random_next(random);
            break;
        case 2:
            memmove(text + at, text + at + 1, --bytes - at);
            break;
        default:
            memmove(text + at + 1, text + at, bytes++ - at);
            break;
        }
    }
    return bytes;
}

/* Random cuts against the whole. */
static void expect_random_cuts_agree(parse_function *parse, uint64_t *random, const char *text,
                                     size_t bytes, unsigned seed)
{
    struct fw_http_head whole;
    struct fw_http_head cut;
    ssize_t expected = parse_once(parse, &whole, text, bytes);
    size_t piece_max = random_next(random) % 64 + 1;
    size_t some = 0;
    ssize_t result = 0;
    fw_http_head_init(&cut);
    while (result == 0 && some < bytes) {
        some += random_next(random) % piece_max + 1;
        some = some < bytes ? some : bytes;
        result = show(parse, &cut, text, some);
    }
    cr_assert_eq(result, expected, "mutation %u", seed);
    cr_assert(same(&cut, &whole), "mutation %u", seed);
    cr_assert(sound(&whole, text, bytes, expected), "mutation %u", seed);
}

Test(http1_property, a_mutated_head_is_the_same_cut_at_random)
{
    unsigned accepted = 0;
    for (unsigned seed = 1; seed <= MUTATIONS; seed++) {
        uint64_t random = seed * 0x9e3779b97f4a7c15u;
        char text[GUARD_PAIR_BYTES_MAX];
        bool request = random_next(&random) % 4 != 0;
        const char *from = request ? requests[random_next(&random) % COUNT(requests)]
                                   : responses[random_next(&random) % COUNT(responses)];
        strcpy(text, from);
        size_t bytes = mutate(&random, text, strlen(from));
        parse_function *parse = request ? fw_http_request_parse : fw_http_response_parse;
        struct fw_http_head head;
        accepted += parse_once(parse, &head, text, bytes) > 0;
        expect_random_cuts_agree(parse, &random, text, bytes, seed);
    }
    /* a generator that only makes refusals, or none, would prove little */
    cr_expect_gt(accepted, MUTATIONS / 10);
    cr_expect_lt(accepted, MUTATIONS * 9 / 10);
}
