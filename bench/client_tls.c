/* client_tls.c: a load connection's TLS: cipher bytes in, plain ones to the reader; what is owed
 * encrypted and sent.
 *
 * Full handshakes, never resumed: each costs a server the same. What is encrypted waits in the
 * connection's own memory until the socket has taken it, because records are nobody else's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client_layers.h"
#include "fleet.h"
#include "support.h"

#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Encrypted ahead of the socket: enough for its buffer, and for one large message in few calls. */
#define AHEAD_BYTES_MAX ((size_t)1 << 20)

static void failed(struct bench_client *client, uint32_t slot)
{
    char why[FW_TLS_WHY_BYTES];
    fw_tls_why(client->layers[slot]->tls, why, sizeof why);
    bench_client_failed_for(client, slot, BENCH_FAIL_TLS, why);
}

/* One step: what TLS has to say goes to the wire, what it has for us is plain.
 *
 * returns      plain octets; 0 when more must come, or the connection is over
 */
static size_t pull(struct bench_client *client, uint32_t slot)
{
    struct bench_layers *layers = client->layers[slot];
    uint8_t *plain = client->layers_shared->plain;
    ssize_t got = fw_tls_plain(layers->tls, plain, FW_TLS_PLAIN_BYTES_MAX, &layers->wire);
    if (layers->wire.count > 0)
        bench_client_dirty(client, slot);
    if (got == FW_ERR_TLS_ENDED)
        bench_client_failed(client, slot, BENCH_FAIL_CLOSED);
    else if (got < 0)
        failed(client, slot);
    return got < 0 ? 0 : (size_t)got;
}

void bench_tls_begin(struct bench_client *client, uint32_t slot)
{
    pull(client, slot);
}

void bench_tls_received(struct bench_client *client, uint32_t slot, const uint8_t *bytes,
                        size_t count)
{
    const struct bench_conn *conn = &client->conns[slot];
    struct fw_tls *tls = client->layers[slot]->tls;
    bool open = fw_tls_state(tls) == FW_TLS_OPEN;
    if (!bench_conn_talks(conn))
        return;
    fw_tls_received(tls, bytes, count); /* what fails here fails below again */
    for (;;) {
        size_t got = pull(client, slot);
        if (!bench_conn_talks(conn))
            return;
        if (!open && fw_tls_state(tls) == FW_TLS_OPEN) {
            open = true;
            bench_client_secured(client, slot);
        }
        if (got == 0)
            return;
        bench_client_read(client, slot, client->layers_shared->plain, got);
        if (!bench_conn_talks(conn))
            return;
    }
}

/* ---- out ------------------------------------------------------------------------------------- */

static bool encrypt(struct bench_client *client, uint32_t slot, uint8_t *bytes, size_t count)
{
    struct bench_layers *layers = client->layers[slot];
    const struct iovec piece = {bytes, count};
    if (fw_tls_send(layers->tls, &piece, 1, &layers->wire) == 0)
        return true;
    failed(client, slot);
    return false;
}

/* A control frame's reply goes between two messages; its stash is [bytes, frame...]. */
static bool encrypt_reply(struct bench_client *client, uint32_t slot)
{
    struct bench_conn *conn = &client->conns[slot];
    if (!(conn->flags & CONN_REPLY) || conn->at > 0)
        return true;
    if (!encrypt(client, slot, conn->stash + 1, conn->stash[0]))
        return false;
    conn->flags &= (uint8_t)~CONN_REPLY;
    free(conn->stash);
    conn->stash = NULL;
    return true;
}

/* Encrypts of the pattern what is owed and fits. */
static bool encrypt_owed(struct bench_client *client, uint32_t slot)
{
    struct bench_conn *conn = &client->conns[slot];
    const struct bench_layers *layers = client->layers[slot];
    while (conn->owed > 0 && layers->wire.count < AHEAD_BYTES_MAX) {
        const struct bench_pattern *pattern = conn->pattern;
        uint32_t units = conn->owed < pattern->units ? conn->owed : pattern->units;
        size_t count = (size_t)units * pattern->unit_bytes - conn->at;
        if (count > AHEAD_BYTES_MAX)
            count = AHEAD_BYTES_MAX;
        if (!encrypt(client, slot, pattern->bytes + conn->at, count))
            return false;
        size_t place = conn->at + count;
        conn->owed -= (uint32_t)(place / pattern->unit_bytes);
        conn->at = (uint32_t)(place % pattern->unit_bytes);
    }
    return true;
}

void bench_tls_flush(struct bench_client *client, uint32_t slot)
{
    struct bench_conn *conn = &client->conns[slot];
    struct bench_layers *layers = client->layers[slot];
    bool room = layers->wire.count < AHEAD_BYTES_MAX;
    if (room && (!encrypt_reply(client, slot) || !encrypt_owed(client, slot)))
        return;
    if (layers->wire.count == 0)
        return;
    if (conn->owed > 0 || conn->flags & CONN_REPLY)
        conn->flags |= CONN_AGAIN;
    layers->flying = layers->wire.count;
    bench_client_fly(client, slot, layers->wire.bytes, layers->wire.count);
}

void bench_tls_unsent(struct bench_layers *layers, size_t sent_bytes)
{
    layers->wire.count -= sent_bytes;
    memmove(layers->wire.bytes, layers->wire.bytes + sent_bytes, layers->wire.count);
    layers->flying = 0;
}

bool bench_tls_landed(struct bench_layers *layers)
{
    bool sent = layers->flying > 0;
    layers->wire.count -= layers->flying;
    layers->flying = 0;
    return sent;
}
