/* engine_sim.c: the engine of engine_sim.h. What a test does to it is in engine_sim_peer.c.
 *
 * One turn, in the order of engine.h:
 *
 *   settle (what settles late) -> for each slot, from a random one on: on_adopted, on_writable,
 *   on_received, on_ended, on_closed -> on_handed_over, on_accepted -> on_wake -> on_turn_end ->
 *   settle (what does not)
 *
 * on_closed comes in a later turn than the close, with a settlement between, so that no send of one
 * life is told in the next.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/engine_sim_impl.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- helpers --------------------------------------------------------------------------------- */

_Noreturn __attribute__((format(printf, 1, 2))) static void broken(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("engine_sim: the contract of engine.h is broken: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

/* FNV-1a: only to notice a change. */
static uint64_t hash_pieces(const struct iovec *pieces, unsigned pieces_count)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (unsigned i = 0; i < pieces_count; i++) {
        const uint8_t *bytes = pieces[i].iov_base;
        for (size_t k = 0; k < pieces[i].iov_len; k++)
            hash = (hash ^ bytes[k]) * 0x100000001b3u;
    }
    return hash;
}

static size_t pieces_bytes(const struct iovec *pieces, unsigned pieces_count)
{
    size_t total = 0;
    for (unsigned i = 0; i < pieces_count; i++)
        total += pieces[i].iov_len;
    return total;
}

static bool comes_late(struct fw_sim *sim)
{
    return sim->knobs.late_percent > 0 && fw_sim_random(sim, 100) < sim->knobs.late_percent;
}

static struct fw_sim *sim_of(struct fw_engine *engine)
{
    return (struct fw_sim *)(void *)engine;
}

static void on_its_thread(struct fw_sim *sim, const char *call)
{
    if (!pthread_equal(sim->thread, pthread_self()))
        broken("%s was called on another thread than the engine's", call);
}

/* The slot of an owner's call, which must be open. */
static struct slot *owners_slot(struct fw_engine *engine, uint32_t slot, const char *call)
{
    struct fw_sim *sim = sim_of(engine);
    on_its_thread(sim, call);
    if (slot >= sim->slots_max)
        broken("%s: slot %u is none of the %u", call, slot, sim->slots_max);
    struct slot *s = &sim->slots[slot];
    if (s->state != FW_SIM_OPEN)
        broken("%s: slot %u is not open%s", call, slot, s->dying ? ", it was closed" : "");
    return s;
}

/* Counts a call of the owner, and lets the test do its worst behind it. */
static void completed(struct fw_sim *sim)
{
    sim->completions++;
    if (sim->hook != NULL)
        sim->hook(sim->hook_context, sim, sim->completions);
}

/* The same for a call that tells of something that happens once: bytes, a connection's begin or
 * end. Telling again and again that a slot is writable, or that a turn ends, is none. */
static void happened(struct fw_sim *sim)
{
    sim->steps++;
    completed(sim);
}

/* ---- sends ----------------------------------------------------------------------------------- */

/* What the peer's end of the connection does with a send, now. */
static void perform(struct fw_sim *sim, struct lent *lent)
{
    struct slot *s = &sim->slots[lent->slot];
    size_t total = pieces_bytes(lent->pieces, lent->pieces_count);
    lent->done = true;
    if (s->refuse_status != 0 || (s->has_end && s->end_status != 0)) {
        lent->status = s->refuse_status != 0 ? s->refuse_status : -EPIPE;
        return;
    }
    size_t room = s->window_bytes;
    if (sim->knobs.send_bytes_max > 0 && room > sim->knobs.send_bytes_max)
        room = sim->knobs.send_bytes_max;
    lent->sent_bytes = total < room ? total : room;
    lent->status = lent->sent_bytes < total ? -EAGAIN : 0;
    sim->steps += lent->sent_bytes > 0;
    if (s->window_bytes != SIZE_MAX)
        s->window_bytes -= lent->sent_bytes;
    size_t left = lent->sent_bytes;
    for (unsigned i = 0; left > 0; i++) {
        size_t count = lent->pieces[i].iov_len < left ? lent->pieces[i].iov_len : left;
        fw_sim_append(&s->out, lent->pieces[i].iov_base, count);
        left -= count;
    }
}

static void sim_send(struct fw_engine *engine, uint32_t slot, const struct iovec *pieces,
                     unsigned pieces_count)
{
    struct fw_sim *sim = sim_of(engine);
    struct slot *s = owners_slot(engine, slot, "fw_engine_send");
    if (s->lent)
        broken("fw_engine_send: slot %u has a send already that is not settled", slot);
    if (s->shut)
        broken("fw_engine_send: slot %u was shut down", slot);
    if (pieces_count == 0 || pieces_count > FW_ENGINE_PIECES_MAX)
        broken("fw_engine_send: slot %u, %u pieces are not 1 to %u", slot, pieces_count,
               FW_ENGINE_PIECES_MAX);
    s->lent = true;
    struct lent *lent = &sim->lents[sim->lents_count++];
    *lent = (struct lent){
        .slot = slot, .pieces_count = pieces_count, .hash = hash_pieces(pieces, pieces_count)};
    memcpy(lent->pieces, pieces, pieces_count * sizeof *pieces);
    sim->base.stats.sends++;
    if (!sim->knobs.settle_late)
        perform(sim, lent);
}

static void settle_one(struct fw_sim *sim, struct lent *lent)
{
    struct slot *s = &sim->slots[lent->slot];
    if (hash_pieces(lent->pieces, lent->pieces_count) != lent->hash)
        broken("bytes that were lent to slot %u changed before on_settled", lent->slot);
    if (!lent->done)
        perform(sim, lent);
    s->lent = false;
    if (lent->status == 0)
        return;
    sim->base.stats.sends_unsent++;
    if (s->state != FW_SIM_OPEN) /* closed meanwhile: it is told of that only */
        return;
    s->blocked = lent->status == -EAGAIN;
    sim->owner_called = true;
    sim->base.events->on_unsent(sim->base.owner, lent->slot, lent->sent_bytes, lent->status);
    completed(sim);
}

static void spoil(uint8_t *bytes, size_t bytes_count)
{
    memset(bytes, 0xdd, bytes_count);
    free(bytes);
}

static void spoil_kept(struct fw_sim *sim)
{
    for (size_t i = 0; i < sim->kept_count; i++)
        spoil(sim->kept[i].bytes, sim->kept[i].bytes_count);
    sim->kept_count = 0;
}

static void settle(struct fw_sim *sim)
{
    if (sim->lents_count == 0 && sim->kept_count == 0)
        return;
    /* The owner may send on other slots meanwhile: the count is read anew each time. */
    for (uint32_t i = 0; i < sim->lents_count; i++) {
        struct lent lent = sim->lents[i];
        settle_one(sim, &lent);
    }
    sim->lents_count = 0;
    spoil_kept(sim);
    sim->base.events->on_settled(sim->base.owner);
    completed(sim);
}

/* ---- the owner's other calls ----------------------------------------------------------------- */

static void sim_pause(struct fw_engine *engine, uint32_t slot)
{
    struct fw_sim *sim = sim_of(engine);
    struct slot *s = owners_slot(engine, slot, "fw_engine_pause");
    if (s->paused)
        return;
    s->paused = true;
    s->after_pause_bytes = 0;
    if (sim->knobs.receive_after_pause)
        s->after_pause_bytes = (size_t)fw_sim_random(sim, s->in.count - s->in_at + 1);
}

static void sim_resume(struct fw_engine *engine, uint32_t slot)
{
    owners_slot(engine, slot, "fw_engine_resume")->paused = false;
}

static void sim_shutdown(struct fw_engine *engine, uint32_t slot)
{
    owners_slot(engine, slot, "fw_engine_shutdown")->shut = true;
}

static void sim_close(struct fw_engine *engine, uint32_t slot, bool abort)
{
    struct fw_sim *sim = sim_of(engine);
    bool dialed = slot < sim->slots_max && sim->slots[slot].state == FW_SIM_CONNECTING &&
                  sim->slots[slot].dialed;
    struct slot *s = dialed ? &sim->slots[slot] : owners_slot(engine, slot, "fw_engine_close");
    s->state = abort ? FW_SIM_ABORTED : FW_SIM_CLOSED;
    s->dying = true;
    s->dying_from = sim->base.stats.turns + 1;
}

static void sim_wake(struct fw_engine *engine)
{
    atomic_store(&sim_of(engine)->woken, true);
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* How many bytes the next on_received of a slot brings. */
static size_t next_delivery(struct fw_sim *sim, const struct slot *s)
{
    size_t count = s->in.count - s->in_at;
    for (size_t i = 0; i < s->cuts_count; i++) {
        if (s->cuts[i] > s->in_at && s->cuts[i] - s->in_at < count)
            count = s->cuts[i] - s->in_at;
    }
    if (s->paused && count > s->after_pause_bytes)
        count = s->after_pause_bytes;
    if (sim->knobs.receive_bytes_max > 0 && count > sim->knobs.receive_bytes_max)
        count = sim->knobs.receive_bytes_max;
    if (sim->knobs.receive_cut && count > 1)
        count = 1 + (size_t)fw_sim_random(sim, count);
    return count;
}

/* Keeps the delivery, once. */
static bool sim_keep(struct fw_engine *engine)
{
    struct fw_sim *sim = sim_of(engine);
    on_its_thread(sim, "fw_engine_keep");
    if (!sim->delivering)
        broken("fw_engine_keep was called outside of on_received");
    if (!sim->keeping)
        sim->keeping = fw_sim_random(sim, 100) < sim->knobs.keep_percent;
    return sim->keeping;
}

static void keep(struct fw_sim *sim, uint8_t *bytes, size_t bytes_count)
{
    sim->kept = fw_sim_checked(realloc(sim->kept, (sim->kept_count + 1) * sizeof *sim->kept));
    sim->kept[sim->kept_count++] = (struct kept){bytes, bytes_count};
}

/* Delivers bytes in memory of their own, which is gone afterwards, or when it is no longer kept. */
static void deliver(struct fw_sim *sim, uint32_t slot, size_t count)
{
    struct slot *s = &sim->slots[slot];
    uint8_t *bytes = fw_sim_checked(malloc(count));
    memcpy(bytes, s->in.bytes + s->in_at, count);
    s->in_at += count;
    s->after_pause_bytes -= count < s->after_pause_bytes ? count : s->after_pause_bytes;
    sim->base.stats.received_bytes += count;
    sim->delivering = true;
    sim->keeping = false;
    sim->base.events->on_received(sim->base.owner, slot, bytes, count);
    sim->delivering = false;
    if (sim->keeping)
        keep(sim, bytes, count);
    else
        spoil(bytes, count);
    happened(sim);
}

static void die(struct fw_sim *sim, uint32_t slot)
{
    struct slot *s = &sim->slots[slot];
    s->dying = false;
    sim->base.events->on_closed(sim->base.owner, slot);
    happened(sim);
}

static void adopt(struct fw_sim *sim, uint32_t slot)
{
    struct slot *s = &sim->slots[slot];
    if (s->connect_status != 0) {
        s->state = FW_SIM_UNUSED;
        sim->base.events->on_connect_failed(sim->base.owner, s->tag,
                                            s->connect_status < 0 ? s->connect_status : -ETIMEDOUT);
        happened(sim);
        return;
    }
    s->state = FW_SIM_OPEN;
    sim->base.stats.connected += s->dialed;
    sim->base.events->on_adopted(sim->base.owner, slot, sim->slots[slot].tag);
    happened(sim);
}

/* What a slot has to tell this turn; each step may find that the one before closed it. */
static void serve(struct fw_sim *sim, uint32_t slot)
{
    struct slot *s = &sim->slots[slot];
    if (s->dying && s->dying_from <= sim->base.stats.turns && !comes_late(sim)) {
        die(sim, slot);
        return;
    }
    if (is_connected(sim, s) && !comes_late(sim))
        adopt(sim, slot);
    if (is_writable(s) && !comes_late(sim)) {
        s->blocked = false;
        sim->base.events->on_writable(sim->base.owner, slot);
        completed(sim);
    }
    while (has_bytes(s) && !comes_late(sim))
        deliver(sim, slot, next_delivery(sim, s));
    if (has_end_to_tell(s) && !comes_late(sim)) {
        s->ended = true;
        sim->base.events->on_ended(sim->base.owner, slot, s->end_status);
        happened(sim);
    }
}

/* ---- accepting ------------------------------------------------------------------------------- */

static uint32_t free_ticket(const struct fw_sim *sim)
{
    for (uint32_t i = 0; i < sim->slots_max; i++) {
        if (sim->tickets[i].state == TICKET_FREE)
            return i;
    }
    return FW_SIM_NONE;
}

static void accept_one(struct fw_sim *sim)
{
    const struct sockaddr_in peer = {.sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)(40000 + sim->backlog)),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint32_t ticket = free_ticket(sim);
    int status = sim->accept_status != 0 ? sim->accept_status : ticket == FW_SIM_NONE ? -ENFILE : 0;
    sim->accept_status = 0;
    if (status != 0) {
        sim->accept_paused = true;
        sim->base.events->on_accept_paused(sim->base.owner, status);
    } else {
        sim->backlog--;
        sim->steps++;
        sim->base.stats.accepted++;
        sim->tickets[ticket].state = TICKET_HELD;
        sim->base.events->on_accepted(sim->base.owner, ticket, (const struct sockaddr *)&peer,
                                      sizeof peer);
    }
    completed(sim);
}

static void report_handed_over(struct fw_sim *sim)
{
    for (uint32_t i = 0; i < sim->slots_max; i++) {
        struct ticket *ticket = &sim->tickets[i];
        if (ticket->state != TICKET_MOVING || comes_late(sim))
            continue;
        ticket->state = ticket->status == 0 ? TICKET_FREE : TICKET_HELD;
        sim->steps += ticket->status == 0;
        sim->base.events->on_handed_over(sim->base.owner, i, ticket->status);
        completed(sim);
    }
}

static int sim_listen(struct fw_engine *engine, int listen_fd)
{
    (void)listen_fd;
    sim_of(engine)->listening = true;
    return 0;
}

static void sim_accept_pause(struct fw_engine *engine)
{
    sim_of(engine)->accept_paused = true;
}

static void sim_accept_resume(struct fw_engine *engine)
{
    sim_of(engine)->accept_paused = false;
}

static struct ticket *owners_ticket(struct fw_engine *engine, uint32_t ticket, const char *call)
{
    struct fw_sim *sim = sim_of(engine);
    on_its_thread(sim, call);
    if (ticket >= sim->slots_max || sim->tickets[ticket].state != TICKET_HELD)
        broken("%s: ticket %u is not the owner's", call, ticket);
    return &sim->tickets[ticket];
}

static void sim_refuse(struct fw_engine *engine, uint32_t ticket)
{
    owners_ticket(engine, ticket, "fw_engine_refuse")->state = TICKET_FREE;
}

static void sim_hand_over(struct fw_engine *engine, uint32_t ticket, struct fw_engine *target,
                          uint32_t tag)
{
    struct ticket *t = owners_ticket(engine, ticket, "fw_engine_hand_over");
    if (target->ops != engine->ops)
        broken("fw_engine_hand_over: the target is an engine of another kind");
    t->status = free_slot(sim_of(target)) == FW_SIM_NONE ? -ENFILE : 0;
    if (t->status == 0)
        fw_sim_connect(sim_of(target), tag);
    t->state = TICKET_MOVING;
}

static int sim_connect(struct fw_engine *engine, const struct sockaddr *peer, socklen_t peer_bytes,
                       uint32_t tag, uint32_t timeout_ms)
{
    struct fw_sim *sim = sim_of(engine);
    (void)peer;
    (void)peer_bytes;
    on_its_thread(sim, "fw_engine_connect");
    if (free_slot(sim) == FW_SIM_NONE)
        return -ENFILE;
    uint32_t slot = fw_sim_connect(sim, tag);
    struct slot *s = &sim->slots[slot];
    s->dialed = true;
    s->connect_status = sim->connect_status;
    s->connect_ms = timeout_ms == 0 ? 0 : sim->clock_ms + timeout_ms;
    sim->dialed_last = slot;
    return (int)slot;
}

/* ---- the turn -------------------------------------------------------------------------------- */

static int sim_turn(struct fw_engine *engine, int timeout_ms)
{
    struct fw_sim *sim = sim_of(engine);
    (void)timeout_ms;
    on_its_thread(sim, "fw_engine_turn");
    if (sim->in_turn)
        broken("fw_engine_turn was called from inside a turn");
    sim->in_turn = true;
    sim->owner_called = false;
    engine->now_ms = sim->clock_ms;
    engine->stats.turns++;

    settle(sim);
    uint32_t first = (uint32_t)fw_sim_random(sim, sim->slots_max);
    for (uint32_t i = 0; i < sim->slots_max; i++)
        serve(sim, (first + i) % sim->slots_max);
    report_handed_over(sim);
    while (can_accept(sim) && !comes_late(sim))
        accept_one(sim);
    if (atomic_exchange(&sim->woken, false) && engine->events->on_wake != NULL) {
        engine->events->on_wake(engine->owner);
        completed(sim);
    }
    if (engine->events->on_turn_end != NULL) {
        engine->events->on_turn_end(engine->owner);
        completed(sim);
    }
    if (!sim->knobs.settle_late)
        settle(sim);
    sim->in_turn = false;
    return 0;
}

static void sim_destroy(struct fw_engine *engine)
{
    struct fw_sim *sim = sim_of(engine);
    if (sim->in_turn)
        broken("fw_engine_destroy was called from inside a turn");
    for (uint32_t i = 0; i < sim->slots_max; i++) {
        free(sim->slots[i].in.bytes);
        free(sim->slots[i].cuts);
        free(sim->slots[i].out.bytes);
    }
    spoil_kept(sim);
    free(sim->kept);
    free(sim->slots);
    free(sim->lents);
    free(sim->tickets);
    free(sim);
}

static const struct fw_engine_ops sim_ops = {
    .destroy = sim_destroy,
    .turn = sim_turn,
    .wake = sim_wake,
    .send = sim_send,
    .keep = sim_keep,
    .pause = sim_pause,
    .resume = sim_resume,
    .shutdown = sim_shutdown,
    .close = sim_close,
    .listen = sim_listen,
    .accept_pause = sim_accept_pause,
    .accept_resume = sim_accept_resume,
    .hand_over = sim_hand_over,
    .refuse = sim_refuse,
    .connect = sim_connect,
};

struct fw_sim *fw_sim_create(const struct fw_engine_options *options, uint64_t seed)
{
    struct fw_sim *sim = fw_sim_checked(calloc(1, sizeof *sim));
    sim->base.ops = &sim_ops;
    sim->base.events = options->events;
    sim->base.owner = options->owner;
    sim->clock_ms = 1000;
    sim->base.now_ms = sim->clock_ms;
    sim->random = seed;
    sim->thread = pthread_self();
    sim->slots_max = options->slots_max;
    sim->slots = fw_sim_checked(calloc(sim->slots_max, sizeof *sim->slots));
    sim->lents = fw_sim_checked(calloc(sim->slots_max, sizeof *sim->lents));
    sim->tickets = fw_sim_checked(calloc(sim->slots_max, sizeof *sim->tickets));
    return sim;
}

void fw_sim_destroy(struct fw_sim *sim)
{
    if (sim != NULL)
        sim_destroy(&sim->base);
}
