/* tls_pair.c: the wire between two ends of TLS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/net/tls/tls_pair.h"
#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct fw_tls_context *pair_context(const struct fw_tls_options *options)
{
    char why[FW_TLS_WHY_BYTES];
    struct fw_tls_context *context = NULL;
    int status = fw_tls_context_create(options, why, sizeof why, &context);
    cr_assert_eq(status, 0, "%d: %s", status, why);
    return context;
}

struct fw_tls_context *pair_server_context(void)
{
    struct fw_tls_certificate certificate = pki_in_memory(&pki_shared()->server);
    return pair_context(&(struct fw_tls_options){
        .role = FW_TLS_SERVER, .certificates = &certificate, .certificates_count = 1});
}

struct fw_tls_context *pair_client_context(void)
{
    return pair_context(
        &(struct fw_tls_options){.role = FW_TLS_CLIENT, .ca_file = pki_shared()->ca_file});
}

static void side_open(struct side *side)
{
    *side = (struct side){.out = {.grow = fw_tls_sink_grow}};
}

void pair_open(struct pair *pair, struct fw_tls_context *server, struct fw_tls_context *client,
               const char *host, const struct fw_tls_session *session)
{
    size_t split = pair->split;
    side_open(&pair->client);
    side_open(&pair->server);
    pair->split = split;
    cr_assert_eq(fw_tls_create(server, NULL, NULL, &pair->server.tls), 0);
    cr_assert_eq(fw_tls_create(client, host, session, &pair->client.tls), 0);
}

static void side_close(struct side *side)
{
    fw_tls_destroy(side->tls);
    fw_mem_free(side->out.bytes);
    free(side->plain);
    *side = (struct side){.tls = NULL};
}

void pair_close(struct pair *pair)
{
    side_close(&pair->client);
    side_close(&pair->server);
}

static void take_plain(struct side *side)
{
    for (;;) {
        if (side->plain_room - side->plain_count < FW_TLS_PLAIN_BYTES_MAX) {
            side->plain_room = (side->plain_room + FW_TLS_PLAIN_BYTES_MAX) * 2;
            side->plain = realloc(side->plain, side->plain_room);
        }
        ssize_t got = fw_tls_plain(side->tls, side->plain + side->plain_count,
                                   side->plain_room - side->plain_count, &side->out);
        if (got <= 0) {
            if (side->status == 0)
                side->status = (int)got;
            return;
        }
        side->plain_count += (size_t)got;
    }
}

int side_feed(struct side *side, const uint8_t *bytes, size_t count)
{
    if (count > 0) {
        int status = fw_tls_received(side->tls, bytes, count);
        if (status != 0 && side->status == 0)
            side->status = status;
    }
    take_plain(side);
    return side->status;
}

struct fw_tls_sink side_take(struct side *side)
{
    struct fw_tls_sink taken = side->out;
    side->out = (struct fw_tls_sink){.grow = fw_tls_sink_grow};
    return taken;
}

/* Carries what `from` has to `to`, in copies of their own so that a read past the end is seen. */
static bool carry(struct side *from, struct side *to, size_t split)
{
    struct fw_tls_sink taken = side_take(from);
    size_t piece = split > 0 ? split : taken.count;
    for (size_t at = 0; at < taken.count && to->status == 0; at += piece) {
        size_t count = taken.count - at < piece ? taken.count - at : piece;
        uint8_t *copy = malloc(count);
        memcpy(copy, taken.bytes + at, count);
        side_feed(to, copy, count);
        free(copy);
    }
    fw_mem_free(taken.bytes);
    return taken.count > 0;
}

void pair_run(struct pair *pair)
{
    if (fw_tls_state(pair->client.tls) == FW_TLS_HANDSHAKE)
        side_feed(&pair->client, NULL, 0);
    if (fw_tls_state(pair->server.tls) == FW_TLS_HELLO_READY)
        side_feed(&pair->server, NULL, 0);
    bool moved = true;
    while (moved) {
        moved = carry(&pair->client, &pair->server, pair->split);
        moved |= carry(&pair->server, &pair->client, pair->split);
    }
}

void pair_shake(struct pair *pair)
{
    char why[FW_TLS_WHY_BYTES];
    pair_run(pair);
    fw_tls_why(pair->server.tls, why, sizeof why);
    cr_assert_eq(fw_tls_state(pair->server.tls), FW_TLS_OPEN, "server: %s", why);
    fw_tls_why(pair->client.tls, why, sizeof why);
    cr_assert_eq(fw_tls_state(pair->client.tls), FW_TLS_OPEN, "client: %s", why);
}

void pair_send(struct pair *pair, struct side *from, const void *bytes, size_t count)
{
    struct iovec piece = {(void *)(uintptr_t)bytes, count};
    cr_assert_eq(fw_tls_send(from->tls, &piece, 1, &from->out), 0);
    pair_run(pair);
}
