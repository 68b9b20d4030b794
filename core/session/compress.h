/* compress.h: a session's part of permessage-deflate (RFC 7692): who agrees on it, which messages
 * are compressed, and the frames around them.
 *
 * A worker has one compressor. Sessions without it, or without an agreement, pay a predicted branch
 * for each message that they send. How octets are packed and what contexts cost is in
 * proto/ws_deflate.h. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_COMPRESS_H
#define FW_SESSION_COMPRESS_H

#include "base/bytes.h"
#include "hub/msg.h"
#include "proto/ws_decoder.h"
#include "proto/ws_deflate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fw_request;
struct fw_session;

/* Messages shorter than this go as they are, when they are compressed alone (a tick of 94 octets
 * shrinks by 7 %, for 3 us) and when a context helps (it shrinks to 29 %). */
#define FW_COMPRESS_FRESH_BYTES_MIN   96
#define FW_COMPRESS_CONTEXT_BYTES_MIN 16

/* Where inflated messages stand until they are told: kept at this size, and while one larger
 * message is told, of its size. It is all that a bomb fills: the default limit is as large. */
#define FW_INFLATED_BYTES_KEPT ((size_t)64 * 1024)

struct fw_compressor {
    struct fw_ws_deflate_pool pool;
    uint8_t *inflated; /* FW_WS_MESSAGE_HEADROOM octets, then `inflated_room` */
    size_t inflated_room;
    uint64_t message_bytes_max; /* the limit on what a message may become */
};

/* Makes a compressor.
 *
 * message_bytes_max  of a client's message, inflated
 * contexts_bytes_max  memory for contexts kept between messages; 0: none are kept
 * errors       -ENOMEM; it is clear then
 */
int fw_compressor_init(struct fw_compressor *compressor, uint64_t message_bytes_max,
                       size_t contexts_bytes_max);

/* Frees it; no session is left that has an agreement. One that is zero is clear. */
void fw_compressor_clear(struct fw_compressor *compressor);

/* Agrees on the best of what a handshake offers; the session is ready for compressed messages once
 * it is upgraded.
 *
 * answer_out   the value of the answer's Sec-WebSocket-Extensions
 * returns      whether anything was agreed on
 */
bool fw_session_agree(struct fw_session *session, const struct fw_request *request,
                      char answer_out[FW_WS_DEFLATE_TEXT_BYTES]);

/* The same for a client: takes the server's answer to our offer.
 *
 * answer       the value of its Sec-WebSocket-Extensions; not empty
 * errors       FW_ERR_WS_OFFER, as fw_ws_deflate_verify; FW_ERR_WS_MEMORY when there is no room for
 *              the contexts that it wants to keep
 */
int fw_session_agree_client(struct fw_session *session, struct fw_bytes answer,
                            const struct fw_ws_deflate_offer *offer);

/* Forgets what was agreed on, and frees its contexts. */
void fw_session_disagree(struct fw_session *session);

/* Puts what a compressed message becomes in its place.
 *
 * event        a message; its bytes are then the compressor's, with FW_WS_MESSAGE_HEADROOM in
 * front, until fw_session_inflated_told returns      0 errors       FW_ERR_WS_INFLATE,
 * FW_ERR_WS_MESSAGE_TOO_LARGE, FW_ERR_WS_TEXT, FW_ERR_WS_MEMORY
 */
int fw_session_inflate(struct fw_session *session, struct fw_ws_event *event);

/* The program has been told: gives back memory beyond FW_INFLATED_BYTES_KEPT. */
void fw_session_inflated_told(struct fw_session *session);

/* Queues a message as a compressed frame, if that is worth it.
 *
 * session      with an encoding
 * opcode       FW_WS_TEXT or FW_WS_BINARY
 * returns      false: nothing was queued, send it as it is
 */
bool fw_session_send_compressed(struct fw_session *session, uint8_t opcode,
                                struct fw_bytes payload);

/* The hub's encode: a published message's frame in an encoding. `compressor` is the worker's. */
struct fw_bytes fw_session_encode(void *compressor, struct fw_msg *msg, unsigned encoding);

#endif
