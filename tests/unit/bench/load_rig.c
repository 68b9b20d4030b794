/* load_rig.c: see load_rig.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/bench/load_rig.h"
#include "bench/message.h"
#include "proto/ws_frame.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct load_rig load_rig;

static void note(const char *text)
{
    load_rig.trace_bytes +=
        (size_t)snprintf(load_rig.trace + load_rig.trace_bytes,
                         sizeof load_rig.trace - load_rig.trace_bytes, "%s", text);
}

static void on_open(struct bench_client *whose, uint32_t slot)
{
    (void)whose;
    (void)slot;
    note("open ");
}

static void on_piece(struct bench_client *whose, uint32_t slot, const struct bench_piece *piece)
{
    char text[64];
    (void)whose;
    (void)slot;
    cr_assert_eq(piece->at, load_rig.message_bytes, "pieces follow each other");
    cr_assert(bench_text_good(piece->bytes, piece->at, piece->count));
    load_rig.message_bytes += piece->count;
    if (!piece->last)
        return;
    snprintf(text, sizeof text, "message:%zu ", load_rig.message_bytes);
    note(text);
    load_rig.message_bytes = 0;
}

static void on_pong(struct bench_client *whose, uint32_t slot)
{
    (void)whose;
    (void)slot;
    note("pong ");
}

static const struct bench_handlers handlers = {
    .on_open = on_open, .on_piece = on_piece, .on_pong = on_pong};

void load_rig_begin(enum bench_state state, const struct bench_opening *opening)
{
    load_rig.client = (struct bench_client){.conns = &load_rig.conn,
                                            .slots_max = 1,
                                            .handlers = &handlers,
                                            .layers = load_rig.layers,
                                            .dirty = load_rig.dirty,
                                            .began_us = load_rig.began_us,
                                            .under_way = state == BENCH_OPEN ? 0 : 1,
                                            .opening = *opening};
    free(load_rig.conn.stash);
    load_rig.conn =
        (struct bench_conn){.state = (uint8_t)state, .speech = BENCH_WS, .flags = CONN_FIN};
    load_rig.trace[0] = '\0';
    load_rig.trace_bytes = 0;
    load_rig.message_bytes = 0;
    if (bench_layers_wanted(opening))
        bench_layers_begin(&load_rig.client, 0);
}

void load_rig_end(void)
{
    bench_layers_end(&load_rig.client, 0);
    bench_layers_clear(&load_rig.client);
    free(load_rig.conn.stash);
    load_rig.conn.stash = NULL;
}

size_t load_rig_frame(uint8_t *out, uint8_t opcode, bool fin, const void *payload, size_t count)
{
    const struct fw_ws_header header = {
        .payload_bytes = count, .opcode = opcode & 0xf, .rsv = opcode & FW_WS_RSV1, .fin = fin};
    size_t head = fw_ws_header_encode(&header, out);
    memcpy(out + head, payload, count);
    return head + count;
}

size_t load_rig_text(uint8_t *out, uint8_t opcode, bool fin, size_t at, size_t count)
{
    uint8_t text[4096];
    cr_assert_leq(count, sizeof text);
    bench_text_write(text, at, count);
    return load_rig_frame(out, opcode, fin, text, count);
}
