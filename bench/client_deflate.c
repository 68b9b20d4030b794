/* client_deflate.c: permessage-deflate on the load's side (RFC 7692).
 *
 * What the load sends is packed once for all (message.c), so it offers client_no_context_takeover.
 * Whether the server keeps a context is the server's to say, as with a browser. Messages that stand
 * alone and are the same as the last one are not inflated again: in a fan-out all are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client_layers.h"
#include "message.h"
#include "support.h"

#include <fanwire/status.h>
#include <stdlib.h>
#include <string.h>

/* No message of a scenario becomes more. */
#define INFLATED_BYTES_MAX ((uint64_t)1 << 30)

static void failed(struct bench_client *client, uint32_t slot, const char *why)
{
    bench_client_failed_for(client, slot, BENCH_FAIL_DEFLATE, why);
}

bool bench_deflate_judge(struct bench_client *client, uint32_t slot, struct fw_bytes answer)
{
    if (answer.count == 0) {
        failed(client, slot, "the server does not compress: permessage-deflate was not taken");
        return false;
    }
    int result = fw_ws_deflate_verify(answer, &bench_deflate_offer, &client->layers_shared->agreed);
    if (result != 0)
        failed(client, slot, fw_status_text(result));
    return result == 0;
}

bool bench_deflate_agreed(struct bench_client *client, uint32_t slot)
{
    struct bench_layers_shared *shared = client->layers_shared;
    struct bench_layers *layers = client->layers[slot];
    if (!shared->agreed.peer_takeover)
        return true;
    layers->context = fw_ws_deflate_context_create(&shared->pool, &shared->agreed);
    if (layers->context == NULL)
        failed(client, slot, "out of memory to inflate with");
    return layers->context != NULL;
}

/* ---- a message ------------------------------------------------------------------------------- */

static void hand_on(struct bench_client *client, uint32_t slot, const uint8_t *bytes, size_t count,
                    size_t at, bool last)
{
    const struct bench_piece piece = {.bytes = bytes, .count = count, .at = at, .last = last};
    bench_layers_plain(client, slot, &piece);
}

/* Keeps a message and what it became; one that is too long, or has no memory, is not kept. */
static void remember(struct bench_layers_shared *shared, struct fw_bytes packed,
                     const uint8_t *plain, size_t plain_bytes)
{
    uint8_t *known = realloc(shared->known, packed.count + 1);
    uint8_t *known_plain = realloc(shared->known_plain, plain_bytes + 1);
    if (known != NULL)
        shared->known = known;
    if (known_plain != NULL)
        shared->known_plain = known_plain;
    shared->known_bytes = 0;
    if (known == NULL || known_plain == NULL)
        return;
    memcpy(known, packed.at, packed.count);
    memcpy(known_plain, plain, plain_bytes);
    shared->known_bytes = packed.count;
    shared->known_plain_bytes = plain_bytes;
}

static bool is_known(const struct bench_layers_shared *shared, struct fw_bytes packed)
{
    return shared->known_bytes > 0 && shared->known_bytes == packed.count &&
           memcmp(shared->known, packed.at, packed.count) == 0;
}

/* Inflates a whole message and hands it on in pieces; the last one is empty. */
static void inflate(struct bench_client *client, uint32_t slot, struct fw_bytes packed)
{
    struct bench_layers_shared *shared = client->layers_shared;
    struct fw_ws_deflate_context *context = client->layers[slot]->context;
    const struct bench_conn *conn = &client->conns[slot];
    struct fw_ws_inflater *inflater =
        context == NULL ? shared->pool.inflater : fw_ws_deflate_context_inflater(context);
    size_t at = 0;
    ssize_t got = inflater == NULL ? FW_ERR_WS_MEMORY : 1;
    if (inflater != NULL)
        fw_ws_inflater_begin(inflater, packed, INFLATED_BYTES_MAX, context == NULL);
    while (got > 0) {
        got = fw_ws_inflater_next(inflater, shared->inflated, sizeof shared->inflated);
        if (got <= 0)
            break;
        if (at == 0 && context == NULL)
            remember(shared, packed, shared->inflated, (size_t)got);
        else
            shared->known_bytes = 0;
        hand_on(client, slot, shared->inflated, (size_t)got, at, false);
        at += (size_t)got;
        if (conn->state != BENCH_OPEN && conn->state != BENCH_GREETING)
            return;
    }
    if (got == 0) {
        hand_on(client, slot, shared->inflated, 0, at, true);
        return;
    }
    shared->known_bytes = 0;
    failed(client, slot, fw_status_text((int)got));
}

static void whole(struct bench_client *client, uint32_t slot, struct fw_bytes packed)
{
    const struct bench_layers_shared *shared = client->layers_shared;
    if (client->layers[slot]->context == NULL && is_known(shared, packed))
        hand_on(client, slot, shared->known_plain, shared->known_plain_bytes, 0, true);
    else
        inflate(client, slot, packed);
}

static bool reserve(struct bench_layers *layers, size_t more)
{
    size_t room = layers->packed_room == 0 ? 4096 : layers->packed_room;
    while (room - layers->packed_bytes < more)
        room *= 2;
    uint8_t *packed = room == layers->packed_room ? layers->packed : realloc(layers->packed, room);
    if (packed == NULL)
        return false;
    layers->packed = packed;
    layers->packed_room = room;
    return true;
}

void bench_deflate_piece(struct bench_client *client, uint32_t slot,
                         const struct bench_piece *piece)
{
    struct bench_layers *layers = client->layers[slot];
    if (piece->at == 0 && piece->last) {
        whole(client, slot, (struct fw_bytes){piece->bytes, piece->count});
        return;
    }
    if (piece->at == 0)
        layers->packed_bytes = 0;
    if (!reserve(layers, piece->count)) {
        failed(client, slot, "out of memory for a compressed message");
        return;
    }
    memcpy(layers->packed + layers->packed_bytes, piece->bytes, piece->count);
    layers->packed_bytes += piece->count;
    if (piece->last)
        whole(client, slot, (struct fw_bytes){layers->packed, layers->packed_bytes});
}
