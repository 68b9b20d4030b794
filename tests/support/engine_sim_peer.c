/* engine_sim_peer.c: the test's side of the simulator: peers, what the owner did, time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/engine_sim_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Turns in a row in which nothing moves. What comes late comes in one of the next few: 22 turns are
 * the longest wait in the tests of connections. */
#define IDLE_TURNS_MAX 200

void *fw_sim_checked(void *block)
{
    if (block == NULL) {
        fputs("engine_sim: out of memory\n", stderr);
        abort();
    }
    return block;
}

void fw_sim_append(struct buffer *buffer, const void *bytes, size_t bytes_count)
{
    if (bytes_count == 0)
        return;
    if (buffer->count + bytes_count > buffer->capacity) {
        buffer->capacity = 2 * (buffer->count + bytes_count);
        buffer->bytes = fw_sim_checked(realloc(buffer->bytes, buffer->capacity));
    }
    memcpy(buffer->bytes + buffer->count, bytes, bytes_count);
    buffer->count += bytes_count;
}

/* splitmix64 (Vigna): small, and good for any seed. */
uint64_t fw_sim_random(struct fw_sim *sim, uint64_t below)
{
    sim->random += 0x9e3779b97f4a7c15u;
    uint64_t z = sim->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return below == 0 ? 0 : (z ^ (z >> 31)) % below;
}

static struct slot *peers_slot(struct fw_sim *sim, uint32_t slot)
{
    if (slot >= sim->slots_max || sim->slots[slot].state == FW_SIM_UNUSED) {
        fprintf(stderr, "engine_sim: the test's slot %u was never connected\n", slot);
        abort();
    }
    return &sim->slots[slot];
}

struct fw_engine *fw_sim_engine(struct fw_sim *sim)
{
    return &sim->base;
}

struct fw_sim_knobs *fw_sim_knobs(struct fw_sim *sim)
{
    return &sim->knobs;
}

void fw_sim_knobs_shuffle(struct fw_sim *sim)
{
    static const size_t sizes[] = {0, 0, 1, 2, 3, 7, 125, 126, 1000, 4096, 65536};
    const size_t sizes_count = sizeof sizes / sizeof *sizes;
    sim->knobs.receive_bytes_max = sizes[fw_sim_random(sim, sizes_count)];
    sim->knobs.receive_cut = fw_sim_random(sim, 2) == 0;
    sim->knobs.send_bytes_max = sizes[fw_sim_random(sim, sizes_count)];
    sim->knobs.late_percent = (unsigned)fw_sim_random(sim, 61);
    sim->knobs.settle_late = fw_sim_random(sim, 2) == 0;
    sim->knobs.receive_after_pause = fw_sim_random(sim, 2) == 0;
    sim->knobs.keep_percent = (unsigned)fw_sim_random(sim, 3) * 50;
}

uint32_t fw_sim_connect(struct fw_sim *sim, uint32_t tag)
{
    uint32_t slot = free_slot(sim);
    if (slot == FW_SIM_NONE) {
        fprintf(stderr, "engine_sim: the test connects more than %u at once\n", sim->slots_max);
        abort();
    }
    struct slot *s = &sim->slots[slot];
    struct slot fresh = {.state = FW_SIM_CONNECTING, .tag = tag, .window_bytes = SIZE_MAX};
    fresh.in = (struct buffer){.bytes = s->in.bytes, .capacity = s->in.capacity};
    fresh.out = (struct buffer){.bytes = s->out.bytes, .capacity = s->out.capacity};
    fresh.cuts = s->cuts;
    *s = fresh;
    return slot;
}

void fw_sim_connects(struct fw_sim *sim, int status)
{
    sim->connect_status = status;
}

uint32_t fw_sim_dialed(struct fw_sim *sim)
{
    return sim->dialed_last;
}

void fw_sim_peer_send(struct fw_sim *sim, uint32_t slot, const void *bytes, size_t bytes_count)
{
    struct slot *s = peers_slot(sim, slot);
    if (is_alive(s) && !s->has_end)
        fw_sim_append(&s->in, bytes, bytes_count);
}

void fw_sim_peer_cut(struct fw_sim *sim, uint32_t slot)
{
    struct slot *s = peers_slot(sim, slot);
    s->cuts = fw_sim_checked(realloc(s->cuts, (s->cuts_count + 1) * sizeof *s->cuts));
    s->cuts[s->cuts_count++] = s->in.count;
}

void fw_sim_peer_end(struct fw_sim *sim, uint32_t slot, int status)
{
    struct slot *s = peers_slot(sim, slot);
    /* A reset may follow a FIN, and loses what that one had left to be delivered. */
    if (s->has_end && (s->end_status != 0 || status == 0))
        return;
    s->has_end = true;
    s->end_status = status;
    if (status != 0)
        s->in_at = s->in.count;
}

void fw_sim_peer_window(struct fw_sim *sim, uint32_t slot, size_t window_bytes)
{
    peers_slot(sim, slot)->window_bytes = window_bytes;
}

void fw_sim_peer_refuse(struct fw_sim *sim, uint32_t slot, int status)
{
    peers_slot(sim, slot)->refuse_status = status;
}

struct fw_bytes fw_sim_sent(struct fw_sim *sim, uint32_t slot)
{
    struct slot *s = peers_slot(sim, slot);
    return (struct fw_bytes){s->out.bytes, s->out.count};
}

void fw_sim_sent_clear(struct fw_sim *sim, uint32_t slot)
{
    peers_slot(sim, slot)->out.count = 0;
}

enum fw_sim_state fw_sim_state(struct fw_sim *sim, uint32_t slot)
{
    return slot < sim->slots_max ? sim->slots[slot].state : FW_SIM_UNUSED;
}

bool fw_sim_is_paused(struct fw_sim *sim, uint32_t slot)
{
    return peers_slot(sim, slot)->paused;
}

bool fw_sim_is_shut(struct fw_sim *sim, uint32_t slot)
{
    return peers_slot(sim, slot)->shut;
}

uint32_t fw_sim_slots_count(struct fw_sim *sim)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->slots_max; i++)
        count += is_alive(&sim->slots[i]) || sim->slots[i].dying;
    return count;
}

void fw_sim_knock(struct fw_sim *sim)
{
    sim->backlog++;
}

void fw_sim_accept_fail(struct fw_sim *sim, int status)
{
    sim->accept_status = status;
}

unsigned fw_sim_backlog(struct fw_sim *sim)
{
    return sim->backlog;
}

void fw_sim_advance(struct fw_sim *sim, uint64_t ms)
{
    sim->clock_ms += ms;
    sim->idle_turns = 0;
}

static bool slot_is_quiet(const struct fw_sim *sim, const struct slot *s)
{
    return !s->dying && !is_connected(sim, s) && !is_writable(s) && !has_bytes(s) &&
           !has_end_to_tell(s);
}

bool fw_sim_is_quiet(struct fw_sim *sim)
{
    if (sim->lents_count > 0 || sim->owner_called || can_accept(sim) || atomic_load(&sim->woken))
        return false;
    for (uint32_t i = 0; i < sim->slots_max; i++) {
        if (!slot_is_quiet(sim, &sim->slots[i]) || sim->tickets[i].state == TICKET_MOVING)
            return false;
    }
    return true;
}

/* Counts turns in which nothing moves: through the runs of one moment, so that an owner who asks
 * for turn after turn is seen as well. */
static void watch(struct fw_sim *sim)
{
    sim->idle_turns = sim->steps == sim->steps_seen ? sim->idle_turns + 1 : 0;
    sim->steps_seen = sim->steps;
    if (sim->idle_turns <= IDLE_TURNS_MAX)
        return;
    fprintf(stderr, "engine_sim: nothing moves for %d turns: something spins\n", IDLE_TURNS_MAX);
    abort();
}

unsigned fw_sim_run(struct fw_sim *sim)
{
    unsigned turns = 0;
    do {
        fw_engine_turn(&sim->base, 0);
        watch(sim);
        turns++;
    } while (!fw_sim_is_quiet(sim));
    return turns;
}

uint64_t fw_sim_completions(struct fw_sim *sim)
{
    return sim->completions;
}

void fw_sim_after_completion(struct fw_sim *sim,
                             void (*hook)(void *context, struct fw_sim *sim, uint64_t completion),
                             void *context)
{
    sim->hook = hook;
    sim->hook_context = context;
}
