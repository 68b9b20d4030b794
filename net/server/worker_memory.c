/* worker_memory.c: what a worker does about memory at the end of each turn: the orders of memory.h,
 * and the aging of histories that nobody publishes to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "base/limits.h"
#include "net/server/server_impl.h"

/* Slots that a turn looks through: under a millisecond, also when each is in no cache. */
#define SLOTS_PER_TURN 4096u
/* How often a worker looks through its share of the topics for messages that are too old. */
#define AGE_MS 1000u

static void relieve(struct fw_session *session, void *context)
{
    fw_session_relieve(session, context);
}

static void set(atomic_uint_fast64_t *figure, uint64_t value)
{
    atomic_store_explicit(figure, value, memory_order_relaxed);
}

static void end_sweep(struct fw_memory_sweep *sweep)
{
    sweep->on = false;
    for (unsigned class = 0; class < FW_OWED_CLASSES; class ++)
        set(&sweep->owed_bytes[class], sweep->relief.owed_bytes[class]);
    set(&sweep->input_bytes, sweep->relief.input_bytes);
    uint64_t ended = atomic_load_explicit(&sweep->ended, memory_order_relaxed);
    set(&sweep->ended, ended + sweep->relief.ended);
}

static void sweep_some(struct fw_worker *worker)
{
    struct fw_memory_sweep *sweep = &worker->sweep;
    sweep->next_slot =
        fw_conns_visit(&worker->conns, sweep->next_slot, SLOTS_PER_TURN, relieve, &sweep->relief);
    if (sweep->next_slot == 0)
        end_sweep(sweep);
}

/* Each worker has a share of the directory's shards. */
static void age_histories(struct fw_worker *worker)
{
    struct fw_server *server = worker->server;
    uint64_t now_ms = worker->conns.host.now_ms;
    if (now_ms < worker->age_ms)
        return;
    worker->age_ms = now_ms + AGE_MS;
    for (unsigned i = worker->index; i < FW_DIRECTORY_SHARDS; i += server->workers_count)
        fw_directory_age(&server->directory, i, now_ms);
}

void fw_worker_mind_memory(struct fw_worker *worker)
{
    struct fw_memory *memory = worker->server->memory;
    struct fw_memory_sweep *sweep = &worker->sweep;
    /* Acquire: pairs with the release in fw_memory_look. */
    unsigned orders = atomic_load_explicit(&memory->orders, memory_order_acquire);
    if (FW_UNLIKELY(orders != sweep->orders && !sweep->on)) {
        sweep->orders = orders;
        sweep->on = true;
        sweep->relief = (struct fw_relief){
            .cut_bytes = atomic_load_explicit(&memory->cut_bytes, memory_order_relaxed),
            .quota_bytes = atomic_exchange_explicit(&sweep->quota_bytes, 0, memory_order_relaxed)};
    }
    if (memory->bytes_max != 0)
        worker->conns.host.pressure =
            fw_memory_full(memory)
                ? FW_PRESSURE_CUT
                : (uint8_t)atomic_load_explicit(&memory->pressure, memory_order_relaxed);
    if (FW_UNLIKELY(sweep->on))
        sweep_some(worker);
    age_histories(worker);
}

int fw_worker_memory_wait_ms(const struct fw_worker *worker)
{
    const struct fw_server *server = worker->server;
    uint64_t now_ms = worker->conns.host.now_ms;
    if (worker->sweep.on)
        return 0;
    if (worker->conns.host.pressure >
        atomic_load_explicit(&server->memory->pressure, memory_order_relaxed))
        return FW_MEMORY_LOOK_MS; /* the heap was full: the next look may have found room */
    if (fw_directory_held_bytes(&server->directory) == 0)
        return -1;
    return worker->age_ms > now_ms ? (int)(worker->age_ms - now_ms) : 0;
}
