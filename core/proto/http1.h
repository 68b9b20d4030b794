/* http1.h: strict, incremental, bounded parsing of HTTP/1.1 heads (RFC 9112).
 *
 * One linear pass that resumes where it stopped: however the octets are cut, none is scanned twice;
 * a finished line is looked at once more to give it its meaning, so that at most twice the octets
 * received are ever examined. The head stays where it lies; the parsed form holds offsets into it,
 * so that the buffer may move between calls. Strict: CR LF only, token characters only, no folding,
 * no space before a colon, one valid Host, one Content-Length of digits, no Transfer-Encoding.
 * Bodies are the session's. Thread: the owner's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_HTTP1_H
#define FW_PROTO_HTTP1_H

#include "base/bytes.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Anchors: nginx 8k heads, HAProxy 101 headers (shared limits table in base/limits.h). A line's
 * octets include its CR LF; a head's include its empty line, and one that stands before it. */
#define FW_HTTP_LINE_BYTES_MAX 4096
#define FW_HTTP_HEAD_BYTES_MAX 8192
#define FW_HTTP_HEADERS_MAX    64
static_assert(FW_HTTP_HEAD_BYTES_MAX <= UINT16_MAX, "spans and `scanned` count in 16 bits");
static_assert(FW_HTTP_LINE_BYTES_MAX <= FW_HTTP_HEAD_BYTES_MAX, "a line stands in a head");

enum fw_http_method { FW_HTTP_GET, FW_HTTP_HEAD, FW_HTTP_POST, FW_HTTP_OPTIONS, FW_HTTP_OTHER };

/* A piece of the head: [at, at + count). */
struct fw_http_span {
    uint16_t at;
    uint16_t count;
};

struct fw_http_header {
    struct fw_http_span name;
    struct fw_http_span value; /* without the white space around it */
};

/* A head being parsed, and afterwards the parsed head. FW_HTTP_OTHER is a well-formed token of a
 * known method (PUT, DELETE, PATCH, TRACE, CONNECT): answered 405; an unknown one fails with
 * FW_ERR_HTTP_METHOD, what is no token with FW_ERR_HTTP_REQUEST_LINE. */
struct fw_http_head {
    uint16_t scanned;     /* octets already judged */
    uint16_t line;        /* http1.c: where the line in work begins */
    uint8_t state;        /* http1.c */
    uint8_t seen;         /* http1.c */
    uint8_t method;       /* enum fw_http_method */
    uint8_t minor;        /* 0 or 1: HTTP/1.minor */
    bool keep_alive;      /* the connection outlives the message (RFC 9112, section 9.3) */
    bool upgrade;         /* a Connection header holds the token "upgrade" */
    bool expect_continue; /* Expect: 100-continue, in HTTP/1.1 */
    bool has_length;      /* there was a Content-Length; see content_length */
    uint16_t status;      /* responses: the status code, 100 to 599; requests: 0 */
    uint16_t headers_count;
    struct fw_http_span target; /* as sent: "/topics/a?since=now"; origin-form only */
    struct fw_http_span path;   /* the target up to '?' */
    struct fw_http_span query;  /* after '?', count 0 when there is none */
    uint64_t content_length;
    struct fw_http_header headers[FW_HTTP_HEADERS_MAX];
};

/* Makes a head ready for the first octet of a message. What `headers` holds is left as it is: only
 * the first headers_count of them ever mean something.
 */
void fw_http_head_init(struct fw_http_head *head);

/* Parses a request head as far as the bytes go.
 *
 * One empty line before the request line is passed over. Absolute-form targets are refused, against
 * RFC 9112, section 3.2.2: only proxies are sent them. What the resource must judge is left to the
 * session: FW_ERR_HTTP_LENGTH_MISSING, FW_ERR_HTTP_BODY_TOO_LARGE, FW_ERR_HTTP_METHOD_NOT_ALLOWED,
 * FW_ERR_HTTP_ORIGIN.
 *
 * head         initialized once per head; carries the state from call to call
 * in           all octets of the head received so far, from its first one, borrowed; every call
 *              must show the earlier ones again, unchanged, at any address
 * returns      the head's size, its empty line included, once it is whole, and again at every later
 *              call; 0 when more is needed
 * errors       FW_ERR_HTTP_METHOD, _REQUEST_LINE, _TARGET, _VERSION, _LINE_END, _HEADER_NAME,
 *              _HEADER_VALUE, _FOLDED, _HOST, _LENGTH, _CODING, _LINE_TOO_LONG (the request line),
 *              _HEAD_TOO_LARGE (the head, or a header line), _HEADERS_TOO_MANY; status.h gives the
 *              HTTP status of each. They come at the first octet that shows them, however the bytes
 *              are cut. After an error the head may only be initialized again: asserted.
 * source       RFC 9112, sections 2 to 5; RFC 9110, sections 5.5, 5.6.2, 7.2
 */
ssize_t fw_http_request_parse(struct fw_http_head *head, const uint8_t *in, size_t in_bytes);

/* The same for a response head: status line, then headers. The rules for Host, Expect and
 * Transfer-Encoding do not apply (a client that reads bodies must look for the latter), and no
 * empty line may come first.
 *
 * errors       FW_ERR_HTTP_STATUS_LINE, FW_ERR_HTTP_LINE_TOO_LONG (the status line), and those of
 *              header lines
 * source       RFC 9112, section 4
 */
ssize_t fw_http_response_parse(struct fw_http_head *head, const uint8_t *in, size_t in_bytes);

/* The bytes of a span. */
static inline struct fw_bytes fw_http_bytes(const uint8_t *in, struct fw_http_span span)
{
    return (struct fw_bytes){in + span.at, span.count};
}

/* How many of the octets that `in` begins with are token characters.
 *
 * thread       any
 * source       RFC 9110, section 5.6.2
 */
size_t fw_http_token_span(struct fw_bytes in);

/* Takes the next element off a comma-separated list: what stands between two commas, without the
 * white space around it. Empty elements are passed over (RFC 9110, section 5.6.1.2).
 *
 * list         moved past what was taken
 * element_out  written when there is one; never empty
 * returns      whether there was one
 */
bool fw_http_list_next(struct fw_bytes *list, struct fw_bytes *element_out);

/* Finds a header's value by name, without regard to case.
 *
 * name         lower case
 * from         index to start at (0); to walk repeated headers pass the last one found plus 1
 * value_out    written when found
 * returns      the header's index, or -1 when it is absent
 */
int fw_http_find(const struct fw_http_head *head, const uint8_t *in, const char *name, int from,
                 struct fw_bytes *value_out);

/* Whether a header that is a comma-separated list holds a token, without regard to case, in any of
 * its occurrences.
 *
 * name, token  lower case
 */
bool fw_http_list_has(const struct fw_http_head *head, const uint8_t *in, const char *name,
                      const char *token);

/* Finds a parameter of a query string ("a=1&b") by its exact name; %XX and '+' are not decoded.
 *
 * value_out    written when found; empty for a bare name
 * returns      whether it is there
 */
bool fw_http_query_find(struct fw_bytes query, const char *name, struct fw_bytes *value_out);

/* Decodes %XX in place of a copy.
 *
 * in           borrowed; `out` may be the same memory
 * out          room for in.count octets
 * returns      octets written, or FW_ERR_HTTP_TARGET for a malformed escape or %00
 */
ssize_t fw_http_percent_decode(struct fw_bytes in, uint8_t *out);

#endif
