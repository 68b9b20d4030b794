/* client_layers.c: a load connection's layers: made at its connect, gone with its slot.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client_layers.h"
#include "support.h"

#include "base/mem.h"

#include <fanwire/status.h>
#include <stdlib.h>

bool bench_layers_wanted(const struct bench_opening *opening)
{
    bool http = opening->speech == BENCH_HTTP;
    return opening->tls != NULL || (!http && (opening->deflate || opening->dialect != BENCH_BARE));
}

static void share(struct bench_client *client)
{
    struct bench_layers_shared *shared = bench_alloc(1, sizeof *shared);
    /* The load keeps what servers keep: no bound but the machine's. */
    if (fw_ws_deflate_pool_init(&shared->pool, SIZE_MAX / 2) != 0)
        bench_die("out of memory for permessage-deflate");
    client->layers_shared = shared;
}

void bench_layers_begin(struct bench_client *client, uint32_t slot)
{
    const struct bench_opening *opening = &client->opening;
    struct bench_layers *layers = bench_alloc(1, sizeof *layers);
    bool ws = opening->speech == BENCH_WS;
    *layers = (struct bench_layers){.wire = {.grow = fw_tls_sink_grow},
                                    .deflate = ws && opening->deflate,
                                    .dialect = opening->dialect,
                                    .greeting = opening->greeting,
                                    .pulse = opening->pulse};
    if (client->layers_shared == NULL)
        share(client);
    if (ws && opening->dialect != BENCH_BARE)
        layers->reader = bench_alloc(1, sizeof *layers->reader);
    if (opening->tls != NULL) {
        int result = fw_tls_create(opening->tls, opening->tls_name, NULL, &layers->tls);
        if (result != 0)
            bench_die("a connection has no TLS: %s", fw_status_text(result));
    }
    client->layers[slot] = layers;
    client->layers_used = true;
}

void bench_layers_end(struct bench_client *client, uint32_t slot)
{
    struct bench_layers *layers = bench_layers_of(client, slot);
    if (layers == NULL)
        return;
    if (layers->tls != NULL)
        fw_tls_destroy(layers->tls);
    fw_mem_free(layers->wire.bytes);
    fw_ws_deflate_context_destroy(&client->layers_shared->pool, layers->context);
    free(layers->packed);
    free(layers->reader);
    free(layers);
    client->layers[slot] = NULL;
}

void bench_layers_clear(struct bench_client *client)
{
    struct bench_layers_shared *shared = client->layers_shared;
    if (shared == NULL)
        return;
    fw_ws_deflate_pool_clear(&shared->pool);
    free(shared->known);
    free(shared->known_plain);
    free(shared);
    client->layers_shared = NULL;
    client->layers_used = false;
}
