/* fuzz_http1.c: libFuzzer target of the head parser (RFC 9112).
 *
 * The input is a head as it comes off the wire, so that any capture is a seed; where it is cut is
 * drawn from its own octets. The oracle: request and response parser say the same of the input
 * whole and cut, in every field; each piece is shown in a block of exactly its size; what a whole
 * head says lies in it and is made of the characters it may be made of; the lookups stay inside it.
 * A crash, a sanitizer's finding or a difference ends the run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/target.h"
#include "proto/http1.h"

typedef ssize_t parse_function(struct fw_http_head *head, const uint8_t *in, size_t in_bytes);

/* Shows the first `some` octets in a block of their own. */
static ssize_t show(parse_function *parse, struct fw_http_head *head, const uint8_t *data,
                    size_t some)
{
    uint8_t *copy = block_of(data, some);
    ssize_t result = parse(head, copy, some);
    free(copy);
    return result;
}

/* Pieces of 1 to `piece_max` octets, until there is a result. */
static ssize_t parse_cut(parse_function *parse, struct fw_http_head *head, const uint8_t *data,
                         size_t size, size_t piece_max)
{
    uint32_t seed = hash_of(data, size);
    ssize_t result = 0;
    fw_http_head_init(head);
    for (size_t some = 0; result == 0 && some < size;) {
        seed = seed * 1664525u + 1013904223u;
        some += (seed >> 16) % piece_max + 1;
        some = some < size ? some : size;
        result = show(parse, head, data, some);
    }
    return result;
}

static void require_same(const struct fw_http_head *a, const struct fw_http_head *b)
{
    require(memcmp(a, b, offsetof(struct fw_http_head, headers)) == 0, "same fields");
    require(memcmp(a->headers, b->headers, a->headers_count * sizeof *a->headers) == 0,
            "same headers");
}

static bool span_within(struct fw_http_span span, const struct fw_http_head *head)
{
    return (size_t)span.at + span.count <= head->scanned;
}

/* A header of a whole head: a name of token characters, a value without controls or outer blanks.
 */
static void require_header(const struct fw_http_head *head, const uint8_t *in,
                           const struct fw_http_header *header)
{
    struct fw_bytes name = fw_http_bytes(in, header->name);
    struct fw_bytes value = fw_http_bytes(in, header->value);
    require(span_within(header->name, head) && span_within(header->value, head), "spans");
    require(name.count > 0 && fw_http_token_span(name) == name.count, "a name is a token");
    for (size_t i = 0; i < value.count; i++) {
        bool blank = value.at[i] == ' ' || value.at[i] == '\t';
        require(blank ? i > 0 && i + 1 < value.count : value.at[i] > 0x20 && value.at[i] != 0x7f,
                "a value");
    }
}

static void require_target(const struct fw_http_head *head, const uint8_t *in)
{
    struct fw_bytes target = fw_http_bytes(in, head->target);
    require(span_within(head->target, head) && span_within(head->path, head) &&
                span_within(head->query, head),
            "target spans");
    require(target.count > 0 && target.at[0] == '/', "origin-form");
    for (size_t i = 0; i < target.count; i++)
        require(target.at[i] > 0x20 && target.at[i] < 0x7f && target.at[i] != '#', "a target");
}

/* The lookups of a session, on whatever came. */
static void look_up(const struct fw_http_head *head, const uint8_t *in)
{
    static uint8_t decoded[FW_HTTP_LINE_BYTES_MAX];
    struct fw_bytes value;
    ssize_t written = fw_http_percent_decode(fw_http_bytes(in, head->path), decoded);
    require(written <= (ssize_t)head->path.count, "decoding shrinks");
    if (fw_http_query_find(fw_http_bytes(in, head->query), "since", &value))
        require(value.at >= in && value.at + value.count <= in + head->scanned, "query in head");
    int at = -1;
    while ((at = fw_http_find(head, in, "cookie", at + 1, &value)) >= 0)
        require(at < head->headers_count, "index");
    fw_http_list_has(head, in, "connection", "close");
}

static void fuzz(parse_function *parse, bool request, const uint8_t *data, size_t size)
{
    struct fw_http_head whole, cut;
    fw_http_head_init(&whole);
    ssize_t result = show(parse, &whole, data, size);
    require(result == parse_cut(parse, &cut, data, size, 1 + hash_of(data, size) % 100), "cut");
    if (size > 0)
        require_same(&whole, &cut);
    if (size <= 256)
        require(result == parse_cut(parse, &cut, data, size, 1), "octet by octet");
    require(whole.scanned <= size, "scanned");
    require(result != 0 || (whole.scanned == size && size < FW_HTTP_HEAD_BYTES_MAX), "need more");
    if (result <= 0)
        return;
    require((size_t)result == whole.scanned && memcmp(data + result - 4, "\r\n\r\n", 4) == 0,
            "the end");
    for (size_t i = 0; i < whole.headers_count; i++)
        require_header(&whole, data, &whole.headers[i]);
    if (request)
        require_target(&whole, data);
    look_up(&whole, data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz(fw_http_request_parse, true, data, size);
    fuzz(fw_http_response_parse, false, data, size);
    return 0;
}
