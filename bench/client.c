/* client.c: a load thread's connections: opening, sending, and the ends.
 *
 * What comes in is read in client_read.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client.h"
#include "client_impl.h"
#include "client_layers.h"
#include "fleet.h"
#include "settings.h"

#include "base/check.h"
#include "proto/mask.h"
#include "proto/ws_frame.h"

#include <errno.h>
#include <fanwire/status.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CONNECT_TIMEOUT_MS 20000
#define IDLE_TURN_MS       100
/* Less than this in one send is not worth a second look at the connection. */
#define SEND_BYTES_MAX ((size_t)1 << 20)

const char *const bench_failure_names[BENCH_FAILURES] = {
    "connect_refused", "connect_timeout", "upgrade_refused", "handshake_wrong", "closed_by_peer",
    "close_frame",     "frame_wrong",     "tls_failed",      "deflate_failed",  "dialect_wrong",
};

/* The masking key of RFC 6455, section 5.7: four different octets, none of them 0. */
static const uint8_t mask_key[4] = {0x37, 0xfa, 0x21, 0x3d};

/* ---- patterns -------------------------------------------------------------------------------- */

size_t bench_frame_write(uint8_t *out, uint8_t opcode, const uint8_t *payload, size_t payload_bytes)
{
    uint32_t key;
    memcpy(&key, mask_key, sizeof key);
    const struct fw_ws_header header = {.payload_bytes = payload_bytes,
                                        .key = key,
                                        .opcode = opcode & 0xf,
                                        .rsv = opcode & FW_WS_RSV1,
                                        .fin = true,
                                        .masked = true};
    size_t head = fw_ws_header_encode(&header, out);
    fw_mask(out + head, payload, payload_bytes, key);
    return head + payload_bytes;
}

void bench_pattern_bytes(struct bench_pattern *pattern, const void *unit, size_t unit_bytes,
                         uint32_t units)
{
    if (unit_bytes > UINT32_MAX)
        bench_misuse("a message of %zu bytes is too long", unit_bytes);
    while (units > 1 && unit_bytes * units > SEND_BYTES_MAX)
        units--;
    *pattern = (struct bench_pattern){.bytes = bench_alloc(units, unit_bytes),
                                      .unit_bytes = (uint32_t)unit_bytes,
                                      .units = units};
    for (uint32_t i = 0; i < units; i++)
        memcpy(pattern->bytes + i * unit_bytes, unit, unit_bytes);
}

void bench_pattern_frames(struct bench_pattern *pattern, uint8_t opcode, const uint8_t *payload,
                          size_t payload_bytes, uint32_t units)
{
    uint8_t *frame = bench_alloc(1, payload_bytes + FW_WS_HEADER_BYTES_MAX);
    size_t bytes = bench_frame_write(frame, opcode, payload, payload_bytes);
    bench_pattern_bytes(pattern, frame, bytes, units);
    free(frame);
}

void bench_pattern_clear(struct bench_pattern *pattern)
{
    free(pattern->bytes);
    *pattern = (struct bench_pattern){0};
}

/* ---- sending --------------------------------------------------------------------------------- */

static void mark_dirty(struct bench_client *client, uint32_t slot)
{
    struct bench_conn *conn = &client->conns[slot];
    if (conn->flags & CONN_DIRTY)
        return;
    conn->flags |= CONN_DIRTY;
    client->dirty[client->dirty_count++] = slot;
}

void bench_client_dirty(struct bench_client *client, uint32_t slot)
{
    if (!(client->conns[slot].flags & CONN_BLOCKED))
        mark_dirty(client, slot);
}

void bench_client_owe(struct bench_client *client, uint32_t slot,
                      const struct bench_pattern *pattern, uint32_t units)
{
    struct bench_conn *conn = &client->conns[slot];
    fw_assert(conn->pattern == pattern || (conn->owed == 0 && conn->flight == 0));
    conn->pattern = pattern;
    conn->owed += units;
    bench_client_dirty(client, slot);
}

bool bench_client_idle(const struct bench_client *client, uint32_t slot)
{
    const struct bench_layers *layers = bench_layers_of(client, slot);
    return client->conns[slot].owed == 0 && client->conns[slot].flight == 0 &&
           (layers == NULL || layers->wire.count == 0);
}

void bench_client_reply(struct bench_client *client, uint32_t slot)
{
    client->conns[slot].flags |= CONN_REPLY;
    bench_client_dirty(client, slot);
}

void bench_client_fly(struct bench_client *client, uint32_t slot, uint8_t *bytes, size_t count)
{
    const struct iovec piece = {bytes, count};
    client->flights[client->flights_count++] = slot;
    fw_engine_send(client->engine, slot, &piece, 1);
}

/* A control frame's reply goes between two messages; its stash is [bytes, frame...]. */
static void send_reply(struct bench_client *client, uint32_t slot)
{
    struct bench_conn *conn = &client->conns[slot];
    conn->flags |= CONN_REPLY_FLIES;
    bench_client_fly(client, slot, conn->stash + 1, conn->stash[0]);
}

static bool has_tls(const struct bench_client *client, uint32_t slot)
{
    const struct bench_layers *layers = bench_layers_of(client, slot);
    return layers != NULL && layers->tls != NULL;
}

static void flush(struct bench_client *client, uint32_t slot)
{
    struct bench_conn *conn = &client->conns[slot];
    conn->flags &= (uint8_t)~CONN_DIRTY;
    if (!bench_conn_talks(conn) || conn->flags & CONN_BLOCKED)
        return;
    if (has_tls(client, slot)) {
        bench_tls_flush(client, slot);
        return;
    }
    if (conn->flags & CONN_REPLY && conn->at == 0) {
        send_reply(client, slot);
        if (conn->owed > 0)
            conn->flags |= CONN_AGAIN;
        return;
    }
    if (conn->owed == 0)
        return;
    const struct bench_pattern *pattern = conn->pattern;
    uint32_t units = conn->owed < pattern->units ? conn->owed : pattern->units;
    conn->flight = units;
    conn->flight_at = conn->at;
    conn->owed -= units;
    conn->at = 0;
    if (conn->owed > 0 || conn->flags & CONN_REPLY)
        conn->flags |= CONN_AGAIN;
    bench_client_fly(client, slot, pattern->bytes + conn->flight_at,
                     (size_t)units * pattern->unit_bytes - conn->flight_at);
}

static void on_turn_end(void *owner)
{
    struct bench_client *client = owner;
    if (client->handlers->on_turn != NULL)
        client->handlers->on_turn(client);
    for (uint32_t i = 0; i < client->dirty_count; i++)
        flush(client, client->dirty[i]);
    client->dirty_count = 0;
}

static void on_unsent(void *owner, uint32_t slot, size_t sent_bytes, int status)
{
    struct bench_client *client = owner;
    struct bench_conn *conn = &client->conns[slot];
    if (status == -EAGAIN)
        conn->flags |= CONN_BLOCKED;
    if (has_tls(client, slot)) {
        bench_tls_unsent(client->layers[slot], sent_bytes);
        return;
    }
    if (conn->flags & CONN_REPLY_FLIES) {
        /* 131 octets that do not fit: what is left of them goes first when there is room. */
        conn->stash[0] = (uint8_t)(conn->stash[0] - sent_bytes);
        memmove(conn->stash + 1, conn->stash + 1 + sent_bytes, conn->stash[0]);
        conn->flags &= (uint8_t)~CONN_REPLY_FLIES;
        return;
    }
    if (conn->flight == 0)
        return;
    size_t place = conn->flight_at + sent_bytes;
    conn->owed += conn->flight - (uint32_t)(place / conn->pattern->unit_bytes);
    conn->at = (uint32_t)(place % conn->pattern->unit_bytes);
    conn->flight = 0;
}

static void landed(struct bench_client *client, uint32_t slot)
{
    struct bench_conn *conn = &client->conns[slot];
    if (!bench_conn_talks(conn))
        return;
    bool sent = conn->flight > 0;
    if (has_tls(client, slot))
        sent = bench_tls_landed(client->layers[slot]);
    if (conn->flags & CONN_REPLY_FLIES) {
        conn->flags &= (uint8_t) ~(CONN_REPLY | CONN_REPLY_FLIES);
        free(conn->stash);
        conn->stash = NULL;
    }
    conn->flight = 0;
    if (conn->flags & CONN_AGAIN) {
        conn->flags &= (uint8_t)~CONN_AGAIN;
        bench_client_dirty(client, slot);
    } else if (sent && bench_client_idle(client, slot) && client->handlers->on_sent != NULL &&
               conn->state == BENCH_OPEN)
        client->handlers->on_sent(client, slot);
}

static void on_settled(void *owner)
{
    struct bench_client *client = owner;
    uint32_t count = client->flights_count;
    client->flights_count = 0;
    for (uint32_t i = 0; i < count; i++)
        landed(client, client->flights[i]);
}

static void on_writable(void *owner, uint32_t slot)
{
    struct bench_client *client = owner;
    client->conns[slot].flags &= (uint8_t)~CONN_BLOCKED;
    mark_dirty(client, slot);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Since the client's first connect. */
static uint32_t opening_us(const struct bench_client *client)
{
    return (uint32_t)((bench_clock_ns(CLOCK_MONOTONIC) - client->opening_ns) / 1000);
}

static void open_more(struct bench_client *client)
{
    const struct bench_opening *opening = &client->opening;
    while (client->to_open > 0 && client->under_way < opening->window) {
        int slot = fw_engine_connect(client->engine, &opening->address.at.any,
                                     opening->address.bytes, client->next_id, CONNECT_TIMEOUT_MS);
        if (slot == -ENFILE) /* aborted ones are still on their way out */
            return;
        if (slot < 0)
            bench_misuse("the target's address cannot be connected to: %s", fw_status_text(slot));
        struct bench_conn *conn = &client->conns[slot];
        fw_assert(conn->state == BENCH_FREE);
        /* A slot that was in the list of the dirty ones in its earlier life still is. */
        *conn = (struct bench_conn){.id = client->next_id,
                                    .state = BENCH_CONNECTING,
                                    .role = opening->role,
                                    .speech = (uint8_t)opening->speech,
                                    .flags = CONN_FIN | (conn->flags & CONN_DIRTY)};
        client->began_us[slot] = opening_us(client);
        if (bench_layers_wanted(opening))
            bench_layers_begin(client, (uint32_t)slot);
        client->next_id++;
        client->to_open--;
        client->under_way++;
    }
}

void bench_client_open(struct bench_client *client, uint32_t count)
{
    client->to_open += count;
    if (client->opening_ns == 0)
        client->opening_ns = bench_clock_ns(CLOCK_MONOTONIC);
    open_more(client);
}

void bench_client_opened(struct bench_client *client, uint32_t slot)
{
    struct bench_conn *conn = &client->conns[slot];
    /* Microseconds of 32 bits go round in 71 minutes; their difference does not. */
    uint32_t took_us = opening_us(client) - client->began_us[slot];
    conn->state = BENCH_OPEN;
    client->under_way--;
    bench_histogram_record(&client->opens, (uint64_t)took_us * 1000);
    bench_count(&client->open_count, 1);
    if (client->opening.deaf)
        fw_engine_pause(client->engine, slot);
    if (client->handlers->on_open != NULL)
        client->handlers->on_open(client, slot);
    open_more(client);
}

void bench_client_secured(struct bench_client *client, uint32_t slot)
{
    if (client->conns[slot].speech != BENCH_WS)
        bench_client_opened(client, slot);
    else
        bench_client_owe(client, slot, client->opening.upgrade, 1);
}

static void on_adopted(void *owner, uint32_t slot, uint32_t tag)
{
    struct bench_client *client = owner;
    struct bench_conn *conn = &client->conns[slot];
    fw_assert(conn->state == BENCH_CONNECTING && conn->id == tag);
    conn->state = BENCH_UPGRADING;
    if (has_tls(client, slot))
        bench_tls_begin(client, slot);
    else
        bench_client_secured(client, slot);
}

/* The tag is all that a failure tells. It is rare: a walk over those under way will do. */
static uint32_t slot_of_connect(const struct bench_client *client, uint32_t id)
{
    uint32_t slot = 0;
    while (client->conns[slot].state != BENCH_CONNECTING || client->conns[slot].id != id) {
        slot++;
        fw_assert(slot < client->slots_max);
    }
    return slot;
}

static void on_connect_failed(void *owner, uint32_t tag, int status)
{
    struct bench_client *client = owner;
    bool timeout = status == -ETIMEDOUT;
    uint32_t slot = slot_of_connect(client, tag);
    bench_layers_end(client, slot);
    client->conns[slot] = (struct bench_conn){.flags = client->conns[slot].flags & CONN_DIRTY};
    client->under_way--;
    client->failed_errno = -status;
    bench_count(&client->failures[timeout ? BENCH_FAIL_TIMEOUT : BENCH_FAIL_CONNECT], 1);
    open_more(client);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void end(struct bench_client *client, uint32_t slot)
{
    struct bench_conn *conn = &client->conns[slot];
    if (conn->state == BENCH_OPEN)
        bench_count(&client->gone_count, 1);
    else
        client->under_way--;
    conn->state = BENCH_CLOSING;
    fw_engine_close(client->engine, slot, true);
}

void bench_client_abort(struct bench_client *client, uint32_t slot)
{
    end(client, slot);
}

void bench_client_failed(struct bench_client *client, uint32_t slot, enum bench_failure failure)
{
    struct bench_conn *conn = &client->conns[slot];
    if (!bench_conn_talks(conn))
        return;
    bool was_open = conn->state == BENCH_OPEN;
    bench_count(&client->failures[failure], 1);
    if (was_open && client->handlers->on_lost != NULL)
        client->handlers->on_lost(client, slot, failure);
    if (conn->state != BENCH_CLOSING)
        end(client, slot);
    open_more(client);
}

void bench_client_failed_for(struct bench_client *client, uint32_t slot, enum bench_failure failure,
                             const char *why)
{
    pthread_mutex_lock(&client->fleet->lock);
    snprintf(client->failed_why, sizeof client->failed_why, "%s", why);
    pthread_mutex_unlock(&client->fleet->lock);
    bench_client_failed(client, slot, failure);
}

static void on_ended(void *owner, uint32_t slot, int status)
{
    (void)status;
    bench_client_failed(owner, slot, BENCH_FAIL_CLOSED);
}

static void on_closed(void *owner, uint32_t slot)
{
    struct bench_client *client = owner;
    free(client->conns[slot].stash);
    bench_layers_end(client, slot);
    client->conns[slot] = (struct bench_conn){.flags = client->conns[slot].flags & CONN_DIRTY};
    open_more(client);
}

void bench_client_pause(struct bench_client *client, uint32_t slot)
{
    fw_engine_pause(client->engine, slot);
}

void bench_client_resume(struct bench_client *client, uint32_t slot)
{
    fw_engine_resume(client->engine, slot);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void on_received(void *owner, uint32_t slot, uint8_t *bytes, size_t bytes_count)
{
    struct bench_client *client = owner;
    bench_count(&client->received_bytes, bytes_count);
    if (has_tls(client, slot))
        bench_tls_received(client, slot, bytes, bytes_count);
    else
        bench_client_read(client, slot, bytes, bytes_count);
}

static void on_wake(void *owner)
{
    bench_fleet_serve(owner);
}

static const struct fw_engine_events events = {
    .on_adopted = on_adopted,
    .on_connect_failed = on_connect_failed,
    .on_received = on_received,
    .on_ended = on_ended,
    .on_unsent = on_unsent,
    .on_settled = on_settled,
    .on_writable = on_writable,
    .on_closed = on_closed,
    .on_wake = on_wake,
    .on_turn_end = on_turn_end,
};

static void *map(size_t count, size_t bytes_each)
{
    void *memory = mmap(NULL, count * bytes_each, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        bench_die("out of memory for %zu connections", count);
    return memory;
}

static void prepare(struct bench_client *client)
{
    const struct fw_engine_options options = {.slots_max = client->slots_max,
                                              .receive_bytes = client->fleet->receive_bytes,
                                              .connects_max = client->slots_max,
                                              .speaks_first = client->handlers->speaks_first,
                                              .owner = client,
                                              .events = &events};
    client->conns = map(client->slots_max, sizeof *client->conns);
    client->began_us = map(client->slots_max, sizeof *client->began_us);
    client->dirty = map(client->slots_max, sizeof *client->dirty);
    client->flights = map(client->slots_max, sizeof *client->flights);
    client->layers = map(client->slots_max, sizeof *client->layers);
    client->timeout_ms = IDLE_TURN_MS;
    int result = fw_engine_create(client->fleet->engine, &options, &client->engine);
    if (result != 0)
        bench_die("load thread %u has no engine: %s", client->index, fw_status_text(result));
}

static void clear(struct bench_client *client)
{
    fw_engine_destroy(client->engine);
    if (client->handlers->on_end != NULL)
        client->handlers->on_end(client);
    for (uint32_t i = 0; i < client->slots_max; i++) {
        free(client->conns[i].stash);
        bench_layers_end(client, i);
    }
    bench_layers_clear(client);
    munmap(client->layers, client->slots_max * sizeof *client->layers);
    munmap(client->conns, client->slots_max * sizeof *client->conns);
    munmap(client->began_us, client->slots_max * sizeof *client->began_us);
    munmap(client->dirty, client->slots_max * sizeof *client->dirty);
    munmap(client->flights, client->slots_max * sizeof *client->flights);
}

void *bench_client_main(void *argument)
{
    struct bench_client *client = argument;
    bench_take_load_place();
    prepare(client);
    bench_fleet_ready(client);
    while (!client->stopping) {
        /* By the clock we look again and again, and never wait: equals on this CPU, the server
         * perhaps, have their turn between two looks. Ordinary processes that want this CPU all the
         * time get a twentieth of it in one piece (the kernel's fair server), and that is seen: in
         * how late we send. */
        if (client->timeout_ms == 0 && bench_settings.realtime)
            sched_yield();
        int result = fw_engine_turn(client->engine, client->timeout_ms);
        if (result != 0)
            bench_die("load thread %u: %s", client->index, fw_status_text(result));
    }
    clear(client);
    return NULL;
}
