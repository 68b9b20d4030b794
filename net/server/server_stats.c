/* server_stats.c: a server's figures, each read once and without a lock, and how long its workers
 * have been silent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/server_impl.h"

#include "base/mem.h"

#include <time.h>

static uint64_t load(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static const char *const doings[] = {
#define DOING_TEXT(name, text) [name] = (text),
    FW_DOING_TABLE(DOING_TEXT)
#undef DOING_TEXT
};

void fw_server_stalled(fw_server *server, struct fw_server_stall *stall_out)
{
    struct timespec now;
    *stall_out = (struct fw_server_stall){.doing = doings[FW_DOING_SOCKETS]};
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    if (server->state != FW_RUNNING || atomic_load(&server->stopping))
        return;
    for (unsigned i = 0; i < server->workers_count; i++) {
        struct fw_worker *worker = server->workers[i];
        uint64_t beat = load(&worker->beat);
        if (beat != worker->beat_seen || worker->asked_ms == 0) {
            worker->beat_seen = beat;
            worker->asked_ms = now_ms;
        } else if (now_ms - worker->asked_ms > stall_out->stalled_ms) {
            uint64_t stalled_ms = now_ms - worker->asked_ms;
            unsigned doing = atomic_load_explicit(&worker->doing, memory_order_relaxed);
            *stall_out = (struct fw_server_stall){
                .stalled_ms = stalled_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)stalled_ms,
                .worker = i,
                .doing = doings[doing]};
        }
        fw_engine_wake(worker->engine);
    }
}

uint32_t fw_server_stalled_ms(fw_server *server)
{
    struct fw_server_stall stall;
    fw_server_stalled(server, &stall);
    return stall.stalled_ms;
}

uint64_t fw_server_worker_connections(const fw_server *server, unsigned worker)
{
    if (worker >= server->workers_count)
        return 0;
    /* Gone first: a connection that comes between the reads is counted, never one below zero. */
    uint64_t gone = atomic_load_explicit(&server->workers[worker]->gone, memory_order_acquire);
    return load(&server->workers[worker]->opened) - gone;
}

static uint64_t not_below_zero(int64_t bytes)
{
    return bytes > 0 ? (uint64_t)bytes : 0;
}

/* What is written by sweeps is as old as the last one; the next is asked for here. */
static void add_memory(const struct fw_server *server, struct fw_server_stats *stats)
{
    struct fw_memory *memory = server->memory;
    stats->memory_bytes = fw_memory_resident(memory);
    stats->memory_peak_bytes = load(&memory->peak_bytes);
    stats->memory_bytes_max = memory->bytes_max;
    stats->memory_pressure = atomic_load_explicit(&memory->pressure, memory_order_relaxed);
    stats->heap_bytes = not_below_zero(fw_mem_bytes());
    stats->history_bytes = fw_directory_held_bytes(&server->directory);
    for (unsigned i = 0; i < server->workers_count; i++) {
        const struct fw_worker *worker = server->workers[i];
        for (unsigned class = 0; class < FW_OWED_CLASSES; class ++)
            stats->output_bytes += load(&worker->sweep.owed_bytes[class]);
        stats->input_bytes += load(&worker->sweep.input_bytes);
        stats->output_bytes -= load(&worker->sweep.input_bytes);
        stats->memory_closed += load(&worker->sweep.ended);
        stats->mailbox_bytes +=
            atomic_load_explicit(&worker->mailbox.waiting_bytes, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&memory->orders, 1, memory_order_relaxed);
}

void fw_server_stats(const fw_server *server, struct fw_server_stats *stats_out)
{
    *stats_out = (struct fw_server_stats){0};
    for (unsigned i = 0; i < server->workers_count; i++) {
        const struct fw_worker *worker = server->workers[i];
        stats_out->connections += fw_server_worker_connections(server, i);
        stats_out->connections_accepted += load(&worker->opened);
        stats_out->connections_refused += load(&worker->refused);
        stats_out->messages_received += load(&worker->received);
        stats_out->messages_delivered += load(&worker->delivered);
        stats_out->slow_closed += load(&worker->slow);
        stats_out->deflate_bytes += load(&worker->deflate_bytes);
        stats_out->rate_limited += load(&worker->rate_limited);
        stats_out->proxy_refused += load(&worker->proxy_refused);
        if (load(&worker->turn_us_max) > stats_out->turn_us_max)
            stats_out->turn_us_max = load(&worker->turn_us_max);
        stats_out->receive_bytes += load(&worker->receive_bytes);
        stats_out->tls_connections += load(&worker->tls_conns);
        stats_out->tls_handshakes += load(&worker->tls_handshakes);
        stats_out->tls_resumed += load(&worker->tls_resumed);
        stats_out->tls_failed += load(&worker->tls_failed);
    }
    if (server->tls_place != NULL)
        stats_out->tls_bytes = not_below_zero(fw_tls_memory().bytes);
    add_memory(server, stats_out);
    stats_out->connection_bytes = stats_out->connections * sizeof(struct fw_conn);
    stats_out->address_full = load(&server->acceptor.address_full);
    stats_out->address_fast = load(&server->acceptor.address_fast);
    stats_out->accept_pauses = load(&server->acceptor.rate_pauses);
}
