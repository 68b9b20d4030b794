/* client_layers.h: what lies between a load connection's socket and its messages, when something
 * does: TLS, permessage-deflate, a dialect. Bare ws:// has none of it, and pays one test.
 *
 *   socket -> client_tls.c -> client_read.c -> client_deflate.c -> client_dialect.c -> on_piece
 *   socket <- client_tls.c <- client.c  <----- message.c: patterns are made packed and dressed
 *
 * For client*.c; nobody else includes this. thread: each client's, but for what says otherwise
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_CLIENT_LAYERS_H
#define FW_BENCH_CLIENT_LAYERS_H

#include "client_impl.h"

#include "base/bytes.h"
#include "net/tls/tls.h"
#include "proto/ws_deflate.h"

/* The start of a NATS line that is kept: a MSG of our subjects fits many times. INFO's is longer,
 * and not wanted. */
#define BENCH_LINE_BYTES 512

/* Where a dialect's reading stands. */
struct bench_dialect_reader {
    uint8_t step;        /* client_dialect.c */
    uint16_t line_bytes; /* of the line, or of what comes before a payload */
    size_t left;         /* of a payload */
    size_t at;           /* of it, handed on */
    char line[BENCH_LINE_BYTES];
};

struct bench_layers {
    /* TLS. What is encrypted waits here: `flying` octets of it are with the engine. */
    struct fw_tls *tls; /* NULL: none */
    struct fw_tls_sink wire;
    size_t flying;

    /* permessage-deflate */
    bool deflate;
    struct fw_ws_deflate_context *context; /* NULL: the peer's messages stand alone */
    uint8_t *packed;                       /* a message that came in pieces */
    size_t packed_bytes;
    size_t packed_room;

    enum bench_dialect dialect;
    const struct bench_pattern *greeting; /* the fleet's */
    const struct bench_pattern *pulse;
    struct bench_dialect_reader *reader; /* NULL: BENCH_BARE */
};

/* What a client's connections share; made with the first that has layers. */
struct bench_layers_shared {
    struct fw_ws_deflate_pool pool;
    struct fw_ws_deflate agreed; /* of the head in client->verified */
    uint8_t *known;              /* the last packed message that stood alone, */
    size_t known_bytes;
    uint8_t *known_plain; /* and what it becomes: at most FW_WS_INFLATE_STEP_BYTES */
    size_t known_plain_bytes;
    uint8_t plain[FW_TLS_PLAIN_BYTES_MAX];      /* of a record */
    uint8_t inflated[FW_WS_INFLATE_STEP_BYTES]; /* of a packed message */
};

/* The layers of a slot; NULL: none. */
static inline struct bench_layers *bench_layers_of(const struct bench_client *client, uint32_t slot)
{
    return client->layers_used ? client->layers[slot] : NULL;
}

/* Whether an opening needs layers; gives a slot that is being connected its own; frees them. */
bool bench_layers_wanted(const struct bench_opening *opening);
void bench_layers_begin(struct bench_client *client, uint32_t slot);
void bench_layers_end(struct bench_client *client, uint32_t slot);

/* Frees what the client's connections shared; none is left. */
void bench_layers_clear(struct bench_client *client);

/* ---- client_tls.c ---------------------------------------------------------------------------- */

/* Says hello, once the socket is there; bench_client_secured follows. */
void bench_tls_begin(struct bench_client *client, uint32_t slot);

/* Takes cipher bytes; hands what they hold to bench_client_read. */
void bench_tls_received(struct bench_client *client, uint32_t slot, const uint8_t *bytes,
                        size_t count);

/* Encrypts what a slot owes, and sends it. */
void bench_tls_flush(struct bench_client *client, uint32_t slot);

/* The engine took only so much of the slot's send. */
void bench_tls_unsent(struct bench_layers *layers, size_t sent_bytes);

/* The slot's send is settled.
 *
 * returns      whether one was under way
 */
bool bench_tls_landed(struct bench_layers *layers);

/* ---- client_deflate.c ------------------------------------------------------------------------ */

/* Judges a server's answer to our offer; an empty one is a refusal. What was agreed on is the
 * client's: the heads of a server are the same.
 *
 * returns      false when the connection has failed
 */
bool bench_deflate_judge(struct bench_client *client, uint32_t slot, struct fw_bytes answer);

/* Makes what an upgraded connection needs to inflate.
 *
 * returns      false when the connection has failed
 */
bool bench_deflate_agreed(struct bench_client *client, uint32_t slot);

/* Takes a piece of a packed message, and hands on what it becomes. */
void bench_deflate_piece(struct bench_client *client, uint32_t slot,
                         const struct bench_piece *piece);

/* ---- client_dialect.c ------------------------------------------------------------------------ */

/* Takes a piece of a message in a dialect, and hands on the data in it; completes the greeting. */
void bench_dialect_piece(struct bench_client *client, uint32_t slot,
                         const struct bench_piece *piece);

/* Hands a plain piece to the dialect, or to the scenario. */
static inline void bench_layers_plain(struct bench_client *client, uint32_t slot,
                                      const struct bench_piece *piece)
{
    const struct bench_layers *layers = bench_layers_of(client, slot);
    if (layers != NULL && layers->reader != NULL)
        bench_dialect_piece(client, slot, piece);
    else if (client->handlers->on_piece != NULL)
        client->handlers->on_piece(client, slot, piece);
}

#endif
