/* ws_deflate.h: permessage-deflate (RFC 7692), both roles: what is agreed on, and the coders.
 *
 * Three parts. The negotiation is pure functions over header values (ws_deflate_offer.c). A
 * deflater and an inflater each handle one direction, message by message. A pool is what the
 * connections of one thread share: coders for messages that stand alone, and the count of the
 * memory promised to connections that keep a context between messages.
 *
 * Who keeps no context (no_context_takeover) owns nothing here: its messages go through the pool's
 * coders, which forget each message at the next one. When a message is worth compressing, and what
 * a frame around it looks like, is the session's. Thread: the one that owns the coder or the pool;
 * the negotiation: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_WS_DEFLATE_H
#define FW_PROTO_WS_DEFLATE_H

#include "base/bytes.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The logarithm of a window's octets (RFC 7692, section 7.1.2). zlib does not compress with a
 * window of 8 bits: it refuses, or takes 9 without a word, as its version goes. So ours begin
 * there. */
#define FW_WS_DEFLATE_BITS_MIN     8
#define FW_WS_DEFLATE_BITS_MAX     15
#define FW_WS_DEFLATE_OWN_BITS_MIN 9

/* The window of a context that lives as long as its connection: with 4 KiB instead of 32 a stream
 * of ticks shrinks to the same 29 %, for 49 KiB a connection instead of 301
 * (bench/micro_deflate.c). */
#define FW_WS_DEFLATE_CONTEXT_BITS 12

/* ---- negotiation ----------------------------------------------------------------------------- */

/* What both sides agreed on, from our side: `own` is what we compress, `peer` what we inflate. */
struct fw_ws_deflate {
    uint8_t own_bits;  /* our window's largest size: 9..15; 8: nothing that we send is compressed */
    uint8_t peer_bits; /* the peer's: 8..15 */
    bool own_takeover; /* a context may be kept between messages */
    bool peer_takeover;
};

/* The parameters of one offer or answer. */
struct fw_ws_deflate_offer {
    uint8_t server_bits; /* server_max_window_bits; 0: not there */
    uint8_t client_bits; /* client_max_window_bits; 0: not there; without a value it says 15 */
    bool server_no_takeover;
    bool client_no_takeover;
};

/* What the longest text takes, with its terminator: the name, the two flags, two sizes. */
#define FW_WS_DEFLATE_TEXT_BYTES 160
static_assert(FW_WS_DEFLATE_TEXT_BYTES > sizeof "permessage-deflate" - 1 +
                                             2 * (sizeof "; server_no_context_takeover" - 1) +
                                             2 * (sizeof "; server_max_window_bits=15" - 1),
              "the longest answer fits");

/* Chooses among the offers of one Sec-WebSocket-Extensions header: the first that we can honour.
 *
 * An offer with an unknown parameter, one that stands there twice, or a value that is none of 8 to
 * 15 is declined, and so is server_max_window_bits=8; other extensions are passed over.
 *
 * offers       the header's value; judged up to the chosen offer (ws_handshake.h judges the whole)
 * takeover     whether contexts may be kept between messages. If not, the answer asks the client to
 *              keep none, and says that we do not.
 * agreed_out, answer_out  written when an offer is accepted; the answer is terminated
 * returns      1 when an offer is accepted, else 0
 * errors       FW_ERR_WS_EXTENSION: malformed
 * source       RFC 7692, sections 5 and 7.1
 */
int fw_ws_deflate_accept(struct fw_bytes offers, bool takeover, struct fw_ws_deflate *agreed_out,
                         char answer_out[FW_WS_DEFLATE_TEXT_BYTES]);

/* Writes a client's offer, terminated.
 *
 * offer        bits of 0 or 8..15: asserted
 * returns      characters without the terminator
 */
size_t fw_ws_deflate_offer_write(const struct fw_ws_deflate_offer *offer,
                                 char out[FW_WS_DEFLATE_TEXT_BYTES]);

/* Checks a server's answer against the one offer that was made.
 *
 * answer       the value of its Sec-WebSocket-Extensions; not empty
 * agreed_out   written on success
 * returns      0
 * errors       FW_ERR_WS_OFFER: malformed, another extension or more than one, a parameter that is
 *              unknown, twice there or has a wrong value, one that was offered and is not accepted,
 *              or one that was not offered and needs to be
 * source       RFC 7692, sections 5.1 and 7.1
 */
int fw_ws_deflate_verify(struct fw_bytes answer, const struct fw_ws_deflate_offer *offer,
                         struct fw_ws_deflate *agreed_out);

/* ---- compressing ----------------------------------------------------------------------------- */

/* The encodings that messages for many are compressed to: one a window, the largest first. Peers
 * that allow other windows get the next smaller one. 0 is no encoding: the message as it is. */
#define FW_WS_DEFLATE_ENCODINGS 3

/* The encoding for a peer that allows us so large a window; 0 for 8 bits. */
unsigned fw_ws_deflate_encoding(unsigned own_bits);

/* One direction, ours. */
struct fw_ws_deflater;

/* Beyond this size a message is compressed fast, not well, and without a context: a worker must not
 * stand still for it (1 MiB: 27 ms the good way, 7 ms the fast one). */
#define FW_WS_DEFLATE_GOOD_BYTES_MAX ((size_t)32 * 1024)

/* What a compressed message needs of its room beyond its own octets: the four that are cut off, and
 * one that shows that it was all. */
#define FW_WS_DEFLATE_SPARE_BYTES 5

/* Compresses one message, and cuts off the tail of RFC 7692, section 7.2.1.
 *
 * fresh        earlier messages are not referred to. A deflater whose last message did not fit, or
 *              that the peer has not been sent, starts so by itself.
 * out_room     FW_WS_DEFLATE_SPARE_BYTES more than the largest result that is wanted
 * returns      octets written, at least 1
 * errors       FW_ERR_LIMIT: it does not fit; what stands in `out` is nothing
 */
ssize_t fw_ws_deflater_pack(struct fw_ws_deflater *deflater, struct fw_bytes message, bool fresh,
                            uint8_t *out, size_t out_room);

/* ---- inflating ------------------------------------------------------------------------------- */

/* One direction, the peer's. */
struct fw_ws_inflater;

/* What one call inflates at most: the limit is looked at at least so often. */
#define FW_WS_INFLATE_STEP_BYTES ((size_t)16 * 1024)

/* The most octets on the wire that a message of so many may become: zlib at its least memory makes
 * nine bits of eight, and blocks have heads. (deflateBound of zlib says the same, tighter.) */
static inline uint64_t fw_ws_deflate_wire_bytes_max(uint64_t message_bytes)
{
    return message_bytes + message_bytes / 8 + message_bytes / 128 + 64;
}

/* Begins a message. What is left of the one before, after an error, is discarded.
 *
 * message      as it came, without the tail; borrowed until its end or its first error
 * bytes_max    the limit on what it may become
 * fresh        the peer keeps no context; else an inflater that has failed stays failed
 */
void fw_ws_inflater_begin(struct fw_ws_inflater *inflater, struct fw_bytes message,
                          uint64_t bytes_max, bool fresh);

/* Inflates the next piece of the message.
 *
 * A reference farther back than the agreed window is malformed, but only found out when it reaches
 * behind what this call wrote: zlib's window is all it looks at.
 *
 * out          room for out_room octets, at least 1; never written beyond bytes_max in all
 * returns      octets written, at most FW_WS_INFLATE_STEP_BYTES; 0 at the message's end
 * errors       FW_ERR_WS_INFLATE (malformed, or cut short), FW_ERR_WS_MESSAGE_TOO_LARGE (it becomes
 *              bytes_max + 1 or more), FW_ERR_WS_MEMORY; the same again at every later call
 * source       RFC 7692, section 7.2.2
 */
ssize_t fw_ws_inflater_next(struct fw_ws_inflater *inflater, uint8_t *out, size_t out_room);

/* ---- memory ---------------------------------------------------------------------------------- */

/* What the connections of one thread share. */
struct fw_ws_deflate_pool {
    struct fw_ws_inflater *inflater;
    struct fw_ws_deflater *deflaters[FW_WS_DEFLATE_ENCODINGS]; /* made when they are needed */
    size_t contexts_bytes;     /* promised to connections that keep contexts */
    size_t contexts_bytes_max; /* beyond it nobody else is promised any */
    /* What zlib takes for a context of so many bits, as it was seen to; 0 below the least. */
    uint32_t own_bytes[FW_WS_DEFLATE_BITS_MAX + 1];
    uint32_t peer_bytes[FW_WS_DEFLATE_BITS_MAX + 1];
};

/* One connection's contexts; each is made when the first message needs it. */
struct fw_ws_deflate_context {
    struct fw_ws_deflate agreed;
    struct fw_ws_deflater *deflater;
    struct fw_ws_inflater *inflater;
    size_t promised_bytes;
};

/* Whether a zlib of this version may be used: 1.2.12 or newer (CVE-2018-25032 corrupts memory in
 * older ones). */
bool fw_ws_deflate_version_good(const char *version);

/* The version that the program runs with. */
const char *fw_ws_deflate_version(void);

/* Makes a pool.
 *
 * contexts_bytes_max  0: no connection keeps a context
 * errors       -ENOMEM; it is clear then
 */
int fw_ws_deflate_pool_init(struct fw_ws_deflate_pool *pool, size_t contexts_bytes_max);

/* Frees it; no contexts are left. */
void fw_ws_deflate_pool_clear(struct fw_ws_deflate_pool *pool);

/* Whether one more connection may keep contexts, whatever it agrees on. */
bool fw_ws_deflate_pool_has_room(const struct fw_ws_deflate_pool *pool);

/* The deflater for messages that stand alone.
 *
 * encoding     1..FW_WS_DEFLATE_ENCODINGS
 * returns      NULL when there is no memory: then send the message as it is
 */
struct fw_ws_deflater *fw_ws_deflate_pool_deflater(struct fw_ws_deflate_pool *pool,
                                                   unsigned encoding);

/* Promises a connection the memory of what was agreed on.
 *
 * agreed       with a takeover in one direction at least
 * returns      NULL when there is no memory or no room: do not agree on takeover then
 */
struct fw_ws_deflate_context *fw_ws_deflate_context_create(struct fw_ws_deflate_pool *pool,
                                                           const struct fw_ws_deflate *agreed);

/* Frees it and gives the promise back. NULL is allowed. */
void fw_ws_deflate_context_destroy(struct fw_ws_deflate_pool *pool,
                                   struct fw_ws_deflate_context *context);

/* The connection's own coders; NULL when there is no memory. For the direction that has a takeover:
 * asserted. */
struct fw_ws_deflater *fw_ws_deflate_context_deflater(struct fw_ws_deflate_context *context);
struct fw_ws_inflater *fw_ws_deflate_context_inflater(struct fw_ws_deflate_context *context);

/* Heap octets of what a context has made so far, for metrics and tests. */
size_t fw_ws_deflate_context_heap_bytes(const struct fw_ws_deflate_context *context);

#endif
