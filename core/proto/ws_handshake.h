/* ws_handshake.h: the opening handshake of RFC 6455, section 4, both sides.
 *
 * Works on heads that http1.h parsed; writes heads into the caller's buffer. What an extension's
 * parameters mean is not judged here: fw_ws_extension_next hands them to whoever knows. Whether an
 * origin may connect is the session's. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_WS_HANDSHAKE_H
#define FW_PROTO_WS_HANDSHAKE_H

#include "base/bytes.h"
#include "proto/http1.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* base64 of 16 and of 20 octets. */
#define FW_WS_KEY_BYTES    16
#define FW_WS_KEY_CHARS    24
#define FW_WS_ACCEPT_CHARS 28
static_assert(FW_WS_KEY_CHARS == (FW_WS_KEY_BYTES + 2) / 3 * 4, "base64 of the key");
static_assert(FW_WS_ACCEPT_CHARS == (20 + 2) / 3 * 4, "base64 of a SHA-1 digest");

/* Bounds against quadratic or unbounded work in list headers: subprotocols, or extensions and their
 * parameters counted together, and octets of the values, in all occurrences of the header. */
#define FW_WS_LIST_TOKENS_MAX 32
#define FW_WS_LIST_BYTES_MAX  1024

/* Checks that a request is a valid opening handshake.
 *
 * head, in     a whole request head and its bytes, borrowed
 * accept_out   written on success: what Sec-WebSocket-Accept must say, FW_WS_ACCEPT_CHARS of them,
 *              no terminator
 * returns      0
 * errors       FW_ERR_WS_METHOD, FW_ERR_WS_UPGRADE, FW_ERR_WS_KEY, FW_ERR_WS_VERSION,
 *              FW_ERR_WS_PROTOCOL (malformed, repeated or over the bounds above),
 *              FW_ERR_WS_EXTENSION (malformed or over the bounds), FW_ERR_HTTP_BODY_UNEXPECTED,
 *              FW_ERR_HTTP_VERSION (HTTP/1.0), -ENOMEM (the hash found no memory)
 * source       RFC 6455, sections 4.1, 4.2.1, 4.2.2, 11.3
 */
int fw_ws_handshake_check(const struct fw_http_head *head, const uint8_t *in,
                          char accept_out[FW_WS_ACCEPT_CHARS]);

/* Whether the request offers a subprotocol, compared exactly (subprotocols are case-sensitive). */
bool fw_ws_handshake_offers(const struct fw_http_head *head, const uint8_t *in,
                            const char *protocol);

/* Walks the value of one Sec-WebSocket-Extensions header: the extensions in it and, of each, the
 * parameters. Start with fw_ws_extension_begin; no other function touches the members.
 *
 *     while ((more = fw_ws_extension_next(&reader, &name)) > 0)
 *         while ((more = fw_ws_extension_param_next(&reader, &param)) > 0)
 *             ...
 *
 * One linear walk. The grammar is RFC 6455's with the white space of RFC 9110, section 5.6: around
 * ',' and ';', not around '='. Empty list elements are passed over.
 */
struct fw_ws_extension_reader {
    struct fw_bytes rest;   /* the elements not reached yet */
    struct fw_bytes params; /* what is unread of the present element, from its ';' */
    uint16_t tokens;        /* extensions and parameters handed out */
    bool failed;
};

struct fw_ws_extension_param {
    struct fw_bytes name;
    struct fw_bytes value; /* without its quotes; a quoted value keeps its backslashes */
    bool has_value;        /* false: the bare name */
    bool quoted;
};

/* Makes a reader ready for a value.
 *
 * value        borrowed as long as the reader and what it hands out are used
 */
void fw_ws_extension_begin(struct fw_ws_extension_reader *reader, struct fw_bytes value);

/* Goes to the next extension, past the parameters of the present one that were not asked for (they
 * are judged all the same).
 *
 * name_out     written when there is one; compare it exactly
 * returns      1, or 0 at the end of the value
 * errors       FW_ERR_WS_EXTENSION: malformed, more than FW_WS_LIST_TOKENS_MAX tokens, or a value
 *              of more than FW_WS_LIST_BYTES_MAX octets; again at every later call
 * source       RFC 6455, section 9.1
 */
int fw_ws_extension_next(struct fw_ws_extension_reader *reader, struct fw_bytes *name_out);

/* Goes to the next parameter of the present extension.
 *
 * param_out    written when there is one
 * returns      1, or 0 when the extension has no more
 * errors       FW_ERR_WS_EXTENSION, as above
 */
int fw_ws_extension_param_next(struct fw_ws_extension_reader *reader,
                               struct fw_ws_extension_param *param_out);

/* Writes the 101 response.
 *
 * accept       what fw_ws_handshake_check gave
 * protocol     the chosen subprotocol, a constant of ours; NULL for none
 * extensions   the value of Sec-WebSocket-Extensions, ours; NULL for none. Neither may hold a
 *              control character: asserted, because a peer's octets have no way here.
 * out          room for out_bytes
 * returns      octets written; FW_ERR_LIMIT when out_bytes are too few (512 and the two strings
 *              always do)
 */
ssize_t fw_ws_handshake_accept(const char accept[FW_WS_ACCEPT_CHARS], const char *protocol,
                               const char *extensions, char *out, size_t out_bytes);

/* Writes a client's request.
 *
 * host         the value of Host: "example.com", "[::1]:8080"
 * target       begins with '/'
 * key          16 random octets
 * protocols, extensions  header values, or NULL
 * more_headers lines that end in CR LF, or NULL
 * returns      octets written
 * errors       FW_ERR_LIMIT when out_bytes are too few; FW_ERR_USAGE when a string holds a control
 *              character other than the CR LF of more_headers, host or target is empty or holds a
 *              space, or more_headers holds an empty line, which would end the head
 * source       RFC 6455, section 4.1
 */
ssize_t fw_ws_handshake_request(const char *host, const char *target,
                                const uint8_t key[FW_WS_KEY_BYTES], const char *protocols,
                                const char *extensions, const char *more_headers, char *out,
                                size_t out_bytes);

/* Checks a server's response head against the key that was sent.
 *
 * protocols    what the request offered ("a, b"), or NULL
 * extensions_offered  whether the request offered any extension
 * protocol_out, extensions_out  what the server chose, empty for none; borrowed from `in`
 * returns      0
 * errors       FW_ERR_WS_REFUSED (status is not 101; head->status says which), FW_ERR_WS_UPGRADE
 *              (HTTP/1.0 included), FW_ERR_WS_ACCEPT, FW_ERR_WS_OFFER (not offered, malformed or
 *              repeated), -ENOMEM (the hash found no memory)
 * source       RFC 6455, section 4.1
 */
int fw_ws_handshake_verify(const struct fw_http_head *head, const uint8_t *in,
                           const uint8_t key[FW_WS_KEY_BYTES], const char *protocols,
                           bool extensions_offered, struct fw_bytes *protocol_out,
                           struct fw_bytes *extensions_out);

#endif
