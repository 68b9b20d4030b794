/* compress.c: see compress.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/compress.h"
#include "base/check.h"
#include "base/mem.h"
#include "proto/mask.h"
#include "proto/utf8.h"
#include "proto/ws_frame.h"
#include "session/request.h"
#include "session/session_impl.h"

#include <errno.h>
#include <fanwire/status.h>
#include <string.h>

static_assert(FW_MSG_ENCODINGS >= FW_WS_DEFLATE_ENCODINGS, "the hub carries each of them");
static_assert(FW_COMPRESS_FRESH_BYTES_MIN > FW_WS_DEFLATE_SPARE_BYTES, "room for a shorter result");
static_assert(FW_COMPRESS_CONTEXT_BYTES_MIN > FW_WS_DEFLATE_SPARE_BYTES, "the same");

/* ---- life ------------------------------------------------------------------------------------ */

static size_t least(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

/* Makes room for so many inflated octets; what stands there stays. */
static bool reserve(struct fw_compressor *compressor, size_t room)
{
    uint8_t *inflated = fw_mem_resize(compressor->inflated, FW_WS_MESSAGE_HEADROOM + room);
    if (inflated == NULL)
        return false;
    compressor->inflated = inflated;
    compressor->inflated_room = room;
    return true;
}

int fw_compressor_init(struct fw_compressor *compressor, uint64_t message_bytes_max,
                       size_t contexts_bytes_max)
{
    fw_assert(message_bytes_max > 0);
    *compressor = (struct fw_compressor){.message_bytes_max = message_bytes_max};
    int result = fw_ws_deflate_pool_init(&compressor->pool, contexts_bytes_max);
    if (result == 0 && !reserve(compressor, least(message_bytes_max, FW_INFLATED_BYTES_KEPT))) {
        fw_compressor_clear(compressor);
        result = -ENOMEM;
    }
    return result;
}

void fw_compressor_clear(struct fw_compressor *compressor)
{
    fw_ws_deflate_pool_clear(&compressor->pool);
    fw_mem_free(compressor->inflated);
    compressor->inflated = NULL;
    compressor->inflated_room = 0;
}

/* ---- agreement ------------------------------------------------------------------------------- */

/* The first acceptable offer of all headers; false when there is none. */
static bool accept_offer(const struct fw_request *request, bool takeover,
                         struct fw_ws_deflate *agreed_out,
                         char answer_out[FW_WS_DEFLATE_TEXT_BYTES])
{
    struct fw_bytes offers;
    int at = -1;
    while ((at = fw_http_find(request->head, request->bytes, "sec-websocket-extensions", at + 1,
                              &offers)) >= 0) {
        if (fw_ws_deflate_accept(offers, takeover, agreed_out, answer_out) > 0)
            return true;
    }
    return false;
}

bool fw_session_agree(struct fw_session *session, const struct fw_request *request,
                      char answer_out[FW_WS_DEFLATE_TEXT_BYTES])
{
    struct fw_compressor *compressor = session->host->compressor;
    struct fw_ws_deflate agreed;
    fw_assert(session->context == NULL);
    if (compressor == NULL)
        return false;
    bool takeover = fw_ws_deflate_pool_has_room(&compressor->pool);
    if (!accept_offer(request, takeover, &agreed, answer_out))
        return false;
    if (agreed.own_takeover || agreed.peer_takeover) {
        session->context = fw_ws_deflate_context_create(&compressor->pool, &agreed);
        if (session->context == NULL) /* no memory: the same offer, without */
            accept_offer(request, false, &agreed, answer_out);
    }
    session->deflate = true;
    session->encoding = (uint8_t)fw_ws_deflate_encoding(agreed.own_bits);
    return true;
}

int fw_session_agree_client(struct fw_session *session, struct fw_bytes answer,
                            const struct fw_ws_deflate_offer *offer)
{
    struct fw_compressor *compressor = session->host->compressor;
    struct fw_ws_deflate agreed;
    fw_assert(compressor != NULL && session->context == NULL);
    int status = fw_ws_deflate_verify(answer, offer, &agreed);
    if (status != 0)
        return status;
    if (agreed.own_takeover || agreed.peer_takeover) {
        session->context = fw_ws_deflate_context_create(&compressor->pool, &agreed);
        if (session->context == NULL)
            return FW_ERR_WS_MEMORY;
    }
    session->deflate = true;
    session->encoding = (uint8_t)fw_ws_deflate_encoding(agreed.own_bits);
    return 0;
}

void fw_session_disagree(struct fw_session *session)
{
    if (!session->deflate)
        return;
    fw_ws_deflate_context_destroy(&session->host->compressor->pool, session->context);
    session->context = NULL;
    session->encoding = 0;
    session->deflate = false;
}

/* ---- in -------------------------------------------------------------------------------------- */

/* Inflates all of a message that was begun. Its text is judged piece by piece, while it is warm.
 *
 * returns      its octets, or an error
 */
static ssize_t inflate_all(struct fw_compressor *compressor, struct fw_ws_inflater *inflater,
                           bool text)
{
    uint32_t utf8 = FW_UTF8_START;
    size_t count = 0;
    for (;;) {
        size_t room = compressor->inflated_room;
        if (count == room && room < compressor->message_bytes_max &&
            !reserve(compressor, least(compressor->message_bytes_max, room * 2)))
            return FW_ERR_WS_MEMORY;
        uint8_t *at = compressor->inflated + FW_WS_MESSAGE_HEADROOM + count;
        /* At the limit nothing is written any more: it is asked whether more would come. */
        size_t left = compressor->inflated_room - count;
        ssize_t got = fw_ws_inflater_next(inflater, at, left == 0 ? 1 : left);
        if (got < 0)
            return got;
        if (text && !fw_utf8_check(&utf8, at, (size_t)got))
            return FW_ERR_WS_TEXT;
        if (got == 0)
            return text && utf8 != FW_UTF8_START ? FW_ERR_WS_TEXT : (ssize_t)count;
        count += (size_t)got;
    }
}

int fw_session_inflate(struct fw_session *session, struct fw_ws_event *event)
{
    struct fw_compressor *compressor = session->host->compressor;
    struct fw_ws_deflate_context *context = session->context;
    bool kept = context != NULL && context->agreed.peer_takeover;
    struct fw_ws_inflater *inflater =
        kept ? fw_ws_deflate_context_inflater(context) : compressor->pool.inflater;
    fw_assert(session->deflate && event->compressed);
    if (inflater == NULL)
        return FW_ERR_WS_MEMORY;
    fw_ws_inflater_begin(inflater, (struct fw_bytes){event->bytes, event->bytes_count},
                         compressor->message_bytes_max, !kept);
    ssize_t count = inflate_all(compressor, inflater, event->opcode == FW_WS_TEXT);
    if (count < 0) {
        fw_session_inflated_told(session);
        return (int)count;
    }
    event->bytes = compressor->inflated + FW_WS_MESSAGE_HEADROOM;
    event->bytes_count = (size_t)count;
    return 0;
}

void fw_session_inflated_told(struct fw_session *session)
{
    struct fw_compressor *compressor = session->host->compressor;
    /* A smaller block need not be had: the larger one then stays. */
    if (FW_UNLIKELY(compressor->inflated_room > FW_INFLATED_BYTES_KEPT))
        reserve(compressor, FW_INFLATED_BYTES_KEPT);
}

/* ---- out ------------------------------------------------------------------------------------- */

/* What a frame may take before it is packed: the header of the whole message, and as many octets as
 * a packed one may need that is shorter. */
static size_t frame_room(size_t payload_bytes, bool masked)
{
    return fw_ws_header_bytes(payload_bytes, masked) + payload_bytes - 1 +
           FW_WS_DEFLATE_SPARE_BYTES;
}

/* Writes a compressed frame to memory of frame_room() octets.
 *
 * key          of a client's frame; NULL: it is not masked
 * returns      its octets; 0 when it is not shorter than the message
 */
static size_t write_frame(struct fw_ws_deflater *deflater, uint8_t opcode, struct fw_bytes payload,
                          bool fresh, const uint32_t *key, uint8_t *out)
{
    const bool masked = key != NULL;
    size_t before = fw_ws_header_bytes(payload.count, masked);
    ssize_t packed = fw_ws_deflater_pack(deflater, payload, fresh, out + before,
                                         frame_room(payload.count, masked) - before);
    if (packed < 0)
        return 0;
    const struct fw_ws_header header = {.payload_bytes = (uint64_t)packed,
                                        .key = masked ? *key : 0,
                                        .opcode = opcode,
                                        .rsv = FW_WS_RSV1,
                                        .fin = true,
                                        .masked = masked};
    size_t header_bytes = fw_ws_header_bytes((uint64_t)packed, masked);
    if (header_bytes < before)
        memmove(out + header_bytes, out + before, (size_t)packed);
    fw_ws_header_encode(&header, out);
    if (masked)
        fw_mask(out + header_bytes, out + header_bytes, (size_t)packed, *key);
    return header_bytes + (size_t)packed;
}

/* The session's own deflater where it has one, and it helps; else the one that all share. */
static struct fw_ws_deflater *deflater_for(struct fw_session *session, size_t bytes, bool *own_out)
{
    struct fw_ws_deflate_context *context = session->context;
    struct fw_ws_deflater *deflater = NULL;
    if (context != NULL && context->agreed.own_takeover && bytes >= FW_COMPRESS_CONTEXT_BYTES_MIN &&
        bytes <= FW_WS_DEFLATE_GOOD_BYTES_MAX)
        deflater = fw_ws_deflate_context_deflater(context);
    *own_out = deflater != NULL;
    if (deflater == NULL && bytes >= FW_COMPRESS_FRESH_BYTES_MIN)
        deflater = fw_ws_deflate_pool_deflater(&session->host->compressor->pool, session->encoding);
    return deflater;
}

bool fw_session_send_compressed(struct fw_session *session, uint8_t opcode, struct fw_bytes payload)
{
    struct fw_arena *arena = session->host->arena;
    bool own;
    struct fw_ws_deflater *deflater = deflater_for(session, payload.count, &own);
    if (deflater == NULL)
        return false;
    const bool client = fw_session_is_client(session);
    const uint32_t key = client ? fw_session_mask_key(session) : 0;
    size_t room = frame_room(payload.count, client);
    uint8_t *at = fw_arena_reserve(arena, room);
    if (at == NULL)
        return false;
    size_t count =
        write_frame(deflater, opcode, payload, !own || session->stale, client ? &key : NULL, at);
    fw_arena_give_back(arena, room - count);
    /* Our own context is told what it does not know of: a message from another deflater. It knows
     * by itself of one that it packed and that is not sent. */
    if (own)
        session->stale = false;
    else if (count > 0)
        session->stale = true;
    if (count > 0)
        fw_session_queue(session, at, count);
    return count > 0;
}

/* Makes a published message's encoding; NULL when there is no memory. */
static struct fw_encoded *encode(struct fw_compressor *compressor, const struct fw_msg *msg,
                                 unsigned encoding)
{
    struct fw_bytes payload = fw_msg_payload(msg);
    if (msg->secret || payload.count < FW_COMPRESS_FRESH_BYTES_MIN)
        return &fw_encoded_plain;
    struct fw_ws_deflater *deflater = fw_ws_deflate_pool_deflater(&compressor->pool, encoding);
    struct fw_encoded *encoded = NULL;
    if (deflater != NULL)
        encoded = fw_mem_alloc(sizeof *encoded + frame_room(payload.count, false));
    if (encoded == NULL)
        return NULL;
    size_t count = write_frame(deflater, msg->type, payload, true, NULL, encoded->bytes);
    if (count == 0) {
        fw_mem_free(encoded);
        return &fw_encoded_plain;
    }
    encoded->bytes_count = (uint32_t)count;
    struct fw_encoded *fitted = fw_mem_resize(encoded, sizeof *encoded + count);
    return fitted != NULL ? fitted : encoded;
}

struct fw_bytes fw_session_encode(void *compressor, struct fw_msg *msg, unsigned encoding)
{
    const struct fw_encoded *encoded = fw_msg_encoded(msg, encoding);
    if (encoded == NULL) {
        struct fw_encoded *made = encode(compressor, msg, encoding);
        if (made != NULL)
            encoded = fw_msg_encode(msg, encoding, made);
    }
    if (encoded == NULL || encoded->bytes_count == 0)
        return fw_msg_frame(msg);
    return (struct fw_bytes){encoded->bytes, encoded->bytes_count};
}
