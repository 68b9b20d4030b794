/* client_read.c: what comes in on a load connection: the response head, then frames.
 *
 * Frames are handed on as they come, in pieces: the load must not assemble 256 KiB to count them.
 * What only a server may do wrong is judged: masks, reserved bits, opcodes, order of fragments.
 * UTF-8 is not: that would be our CPU time, and the scenarios compare octets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client_impl.h"
#include "client_layers.h"

#include "base/check.h"
#include "proto/http1.h"
#include "proto/ws_frame.h"
#include "proto/ws_handshake.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

/* A response head may come in pieces of any size; a refusal's page is not wanted. */
#define HEAD_BYTES_MAX 4096
/* [octets][header 2 + key 4][payload 125] */
#define CONTROL_STASH_BYTES (1 + 6 + FW_WS_CONTROL_BYTES_MAX)

/* ---- the response head ----------------------------------------------------------------------- */

/* Judges a head.
 *
 * returns      its octets when it is whole and right, 0 when more is needed, -1 when it failed
 */
static ssize_t judge_head(struct bench_client *client, uint32_t slot, const uint8_t *in,
                          size_t in_bytes)
{
    const struct bench_opening *opening = &client->opening;
    const struct bench_layers *layers = bench_layers_of(client, slot);
    bool deflate = layers != NULL && layers->deflate;
    if (client->verified_bytes > 0 && in_bytes >= client->verified_bytes &&
        memcmp(in, client->verified, client->verified_bytes) == 0)
        return (ssize_t)client->verified_bytes;
    struct fw_http_head head;
    struct fw_bytes protocol;
    struct fw_bytes extensions;
    fw_http_head_init(&head);
    ssize_t bytes = fw_http_response_parse(&head, in, in_bytes);
    if (bytes == 0)
        return 0;
    if (bytes > 0 && head.status != 101) {
        client->refused_status = head.status;
        bench_client_failed(client, slot, BENCH_FAIL_UPGRADE);
        return -1;
    }
    if (bytes < 0 || fw_ws_handshake_verify(&head, in, opening->key, NULL, deflate, &protocol,
                                            &extensions) != 0) {
        bench_client_failed(client, slot, BENCH_FAIL_HANDSHAKE);
        return -1;
    }
    if (deflate && !bench_deflate_judge(client, slot, extensions))
        return -1;
    if ((size_t)bytes <= sizeof client->verified) {
        memcpy(client->verified, in, (size_t)bytes);
        client->verified_bytes = (size_t)bytes;
    }
    return bytes;
}

/* The head was right: what the URL's dialect begins with comes next. */
static void upgraded(struct bench_client *client, uint32_t slot)
{
    struct bench_conn *conn = &client->conns[slot];
    const struct bench_layers *layers = bench_layers_of(client, slot);
    conn->frame_bytes = 0;
    if (layers != NULL && layers->deflate && !bench_deflate_agreed(client, slot))
        return;
    if (layers != NULL && layers->reader != NULL)
        conn->state = BENCH_GREETING;
    else
        bench_client_opened(client, slot);
}

/* Reads of a head what is there.
 *
 * returns      octets of `bytes` that were consumed; those after the head are frames
 */
static size_t read_head(struct bench_client *client, uint32_t slot, const uint8_t *bytes,
                        size_t count)
{
    struct bench_conn *conn = &client->conns[slot];
    size_t held = conn->frame_bytes;
    if (conn->stash == NULL) {
        ssize_t whole = judge_head(client, slot, bytes, count);
        if (whole != 0) {
            if (whole > 0)
                upgraded(client, slot);
            return whole > 0 ? (size_t)whole : count;
        }
        conn->stash = malloc(HEAD_BYTES_MAX);
    }
    size_t take = count < HEAD_BYTES_MAX - held ? count : HEAD_BYTES_MAX - held;
    if (conn->stash == NULL || take == 0) {
        bench_client_failed(client, slot, BENCH_FAIL_HANDSHAKE);
        return count;
    }
    memcpy(conn->stash + held, bytes, take);
    conn->frame_bytes = (uint32_t)(held + take);
    ssize_t whole = judge_head(client, slot, conn->stash, held + take);
    if (whole == 0)
        return take;
    if (whole < 0)
        return count;
    free(conn->stash);
    conn->stash = NULL;
    upgraded(client, slot);
    return (size_t)whole - held;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static bool is_control(const struct bench_conn *conn)
{
    return (conn->opcode & 8) != 0;
}

/* Whether a header is one that this server may send now. */
static bool header_good(const struct bench_conn *conn, bool deflate,
                        const struct fw_ws_header *header)
{
    bool within = (conn->flags & CONN_FIN) == 0;
    bool control = (header->opcode & 8) != 0;
    if (header->masked || header->payload_bytes > UINT32_MAX / 2)
        return false;
    if (header->rsv != 0 &&
        (header->rsv != FW_WS_RSV1 || !deflate || control || header->opcode == FW_WS_CONTINUATION))
        return false;
    return control || within == (header->opcode == FW_WS_CONTINUATION);
}

/* Takes a header over into the connection. The flags FIN and PACKED are of the message, so a
 * control frame between two fragments leaves them. */
static void begin_frame(struct bench_conn *conn, const struct fw_ws_header *header)
{
    conn->opcode = header->opcode;
    conn->frame_bytes = (uint32_t)header->payload_bytes;
    conn->frame_at = 0;
    conn->head_bytes = 0;
    conn->flags |= CONN_INSIDE;
    if (is_control(conn))
        return;
    if (header->opcode != FW_WS_CONTINUATION) {
        conn->earlier = 0;
        conn->flags &= (uint8_t)~CONN_PACKED;
        if (header->rsv != 0)
            conn->flags |= CONN_PACKED;
    }
    conn->flags &= (uint8_t)~CONN_FIN;
    if (header->fin)
        conn->flags |= CONN_FIN;
}

/* Reads a header, whole or cut.
 *
 * returns      octets consumed; all of them when it failed
 */
static size_t read_header(struct bench_client *client, uint32_t slot, const uint8_t *bytes,
                          size_t count)
{
    struct bench_conn *conn = &client->conns[slot];
    const struct bench_layers *layers = bench_layers_of(client, slot);
    bool deflate = layers != NULL && layers->deflate;
    struct fw_ws_header header;
    size_t used = 0;
    ssize_t result = 0;
    if (conn->head_bytes == 0) {
        result = fw_ws_header_decode(bytes, count, &header);
        used = result > 0 ? (size_t)result : 0;
    }
    while (result == 0 && used < count && conn->head_bytes < sizeof conn->head) {
        conn->head[conn->head_bytes++] = bytes[used++];
        result = fw_ws_header_decode(conn->head, conn->head_bytes, &header);
    }
    bool endless = result == 0 && conn->head_bytes == sizeof conn->head; /* masked: 14 octets */
    if (endless || result < 0 || (result > 0 && !header_good(conn, deflate, &header))) {
        bench_client_failed(client, slot, BENCH_FAIL_FRAME);
        return count;
    }
    if (result > 0)
        begin_frame(conn, &header);
    return used;
}

/* A whole control frame stands in the stash, or was not kept. */
static void control_done(struct bench_client *client, uint32_t slot)
{
    struct bench_conn *conn = &client->conns[slot];
    uint8_t payload[FW_WS_CONTROL_BYTES_MAX];
    if (conn->opcode == FW_WS_CLOSE) {
        bench_client_failed(client, slot, BENCH_FAIL_GOODBYE);
        return;
    }
    if (conn->opcode == FW_WS_PONG && client->handlers->on_pong != NULL)
        client->handlers->on_pong(client, slot);
    /* Of pings that come while a reply waits the later ones may go unanswered (section 5.5.3). */
    if (conn->opcode != FW_WS_PING || conn->stash == NULL || conn->flags & CONN_REPLY)
        return;
    memcpy(payload, conn->stash + 7, conn->frame_bytes);
    conn->stash[0] =
        (uint8_t)bench_frame_write(conn->stash + 1, FW_WS_PONG, payload, conn->frame_bytes);
    bench_client_reply(client, slot);
}

static void control_piece(struct bench_client *client, uint32_t slot, const uint8_t *bytes,
                          size_t count)
{
    struct bench_conn *conn = &client->conns[slot];
    if (conn->opcode == FW_WS_PING && conn->stash == NULL)
        conn->stash = malloc(CONTROL_STASH_BYTES);
    if (conn->opcode == FW_WS_PING && conn->stash != NULL && !(conn->flags & CONN_REPLY))
        memcpy(conn->stash + 7 + conn->frame_at, bytes, count);
    conn->frame_at += (uint32_t)count;
    if (conn->frame_at < conn->frame_bytes)
        return;
    conn->flags &= (uint8_t)~CONN_INSIDE;
    control_done(client, slot);
}

static void message_piece(struct bench_client *client, uint32_t slot, const uint8_t *bytes,
                          size_t count)
{
    struct bench_conn *conn = &client->conns[slot];
    bool frame_done = conn->frame_at + count == conn->frame_bytes;
    const struct bench_piece piece = {.bytes = bytes,
                                      .count = count,
                                      .at = (size_t)conn->earlier + conn->frame_at,
                                      .last = frame_done && conn->flags & CONN_FIN,
                                      .packed = (conn->flags & CONN_PACKED) != 0};
    conn->frame_at += (uint32_t)count;
    if (frame_done) {
        conn->earlier = piece.last ? 0 : conn->earlier + conn->frame_bytes;
        conn->flags &= (uint8_t)~CONN_INSIDE;
    }
    if (piece.packed)
        bench_deflate_piece(client, slot, &piece);
    else
        bench_layers_plain(client, slot, &piece);
}

static void read_frames(struct bench_client *client, uint32_t slot, const uint8_t *bytes,
                        size_t count)
{
    struct bench_conn *conn = &client->conns[slot];
    while (conn->state == BENCH_OPEN || conn->state == BENCH_GREETING) {
        if (!(conn->flags & CONN_INSIDE)) {
            if (count == 0)
                return;
            size_t used = read_header(client, slot, bytes, count);
            bytes += used;
            count -= used;
            continue;
        }
        size_t left = conn->frame_bytes - conn->frame_at;
        size_t take = left < count ? left : count;
        if (take == 0 && left > 0)
            return;
        if (is_control(conn))
            control_piece(client, slot, bytes, take);
        else
            message_piece(client, slot, bytes, take);
        bytes += take;
        count -= take;
    }
}

void bench_client_read(struct bench_client *client, uint32_t slot, uint8_t *bytes, size_t count)
{
    struct bench_conn *conn = &client->conns[slot];
    if (conn->state == BENCH_UPGRADING) {
        size_t used = read_head(client, slot, bytes, count);
        bytes += used;
        count -= used;
    }
    if (count == 0 || (conn->state != BENCH_OPEN && conn->state != BENCH_GREETING))
        return;
    if (conn->speech == BENCH_WS)
        read_frames(client, slot, bytes, count);
    else if (client->handlers->on_bytes != NULL)
        client->handlers->on_bytes(client, slot, bytes, count);
}
