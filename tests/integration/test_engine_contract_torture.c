/* test_engine_contract_torture.c: ten thousand random operations on both sides of some connections,
 * with every promise of engine.h checked on the way (the rig does that) and every byte at the end.
 *
 * FANWIRE_TEST_SEED=n runs one seed alone. The kernel takes part in what happens, so a seed makes
 * the same operations again, not the same events.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/engine_rig.h"

#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEERS_MAX = 24, OPERATIONS = 10000 };

/* Small enough to be full all the time. Much less, and windows are so far under the loopback's
 * segments of 64 KB that TCP itself waits for its timers (silly window avoidance, RFC 9293, section
 * 3.8.6.2): seconds in which no engine has a part. */
#define SMALL_BUFFER 16384

/* One connection of the torture: the peer, and what was done to it. */
struct victim {
    struct rig_peer peer;
    bool connected;
    bool finished; /* the peer sent FIN */
    bool paused;   /* by the owner */
};

struct torture {
    struct rig *rig;
    struct victim victims[PEERS_MAX];
    uint64_t random;
    uint64_t bytes_count; /* that arrived whole, in both directions */
    unsigned connections;
    unsigned whole; /* connections of which every byte arrived */
};

/* splitmix64 (Vigna). */
static uint64_t draw(struct torture *torture, uint64_t below)
{
    torture->random += 0x9e3779b97f4a7c15u;
    uint64_t z = torture->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

/* Small numbers as often as large ones. */
static size_t draw_size(struct torture *torture)
{
    return (size_t)draw(torture, (uint64_t)1 << (1 + draw(torture, 17))) + 1;
}

static struct rig_conn *conn_of(struct torture *torture, const struct victim *victim,
                                struct rig_worker **worker_out, uint32_t *slot_out)
{
    return victim->connected ? rig_find(torture->rig, victim->peer.tag, worker_out, slot_out)
                             : NULL;
}

static bool has_peer(const struct torture *torture, uint32_t tag)
{
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        if (torture->victims[i].connected && torture->victims[i].peer.tag == tag)
            return true;
    }
    return false;
}

/* A port that an open connection has already cannot name another one. */
static bool is_taken(struct torture *torture, uint32_t tag)
{
    struct rig_worker *worker;
    uint32_t slot;
    return has_peer(torture, tag) || rig_find(torture->rig, tag, &worker, &slot) != NULL;
}

static void connect_one(struct torture *torture, struct victim *victim)
{
    struct rig_peer peer = rig_connect(torture->rig, draw(torture, 2) ? SMALL_BUFFER : 0);
    if (is_taken(torture, peer.tag)) {
        rig_reset(&peer);
        return;
    }
    *victim = (struct victim){.peer = peer, .connected = true};
    torture->connections++;
}

static void disturb_peer(struct torture *torture, struct victim *victim)
{
    uint64_t what = draw(torture, 100);
    if (what < 50) {
        if (!victim->finished)
            rig_write(&victim->peer, draw_size(torture));
    } else if (what < 92) {
        rig_read(&victim->peer, draw_size(torture));
    } else if (what < 96) {
        rig_finish(&victim->peer);
        victim->finished = true;
    } else if (what < 98) {
        rig_reset(&victim->peer);
        victim->connected = false;
    } else {
        rig_hang_up(&victim->peer);
        victim->connected = false;
    }
}

static void disturb_owner(struct torture *torture, struct victim *victim)
{
    struct rig_worker *worker;
    uint32_t slot;
    struct rig_conn *conn = conn_of(torture, victim, &worker, &slot);
    if (conn == NULL)
        return;
    uint64_t what = draw(torture, 100);
    if (what < 60) {
        if (!conn->shut)
            rig_owe(worker, slot, draw_size(torture));
    } else if (what < 90) {
        if (victim->paused)
            rig_resume(worker, slot);
        else
            rig_pause(worker, slot);
        victim->paused = !victim->paused;
    } else if (what < 95) {
        if (!conn->shut && conn->owed_bytes == conn->sent_bytes && !conn->lent)
            rig_shutdown(worker, slot);
    } else {
        rig_close(worker, slot, draw(torture, 2) == 0);
    }
}

/* In a third of the handlers the owner itself does something. */
static void disturb_handler(struct rig_worker *worker, enum rig_event event, uint32_t slot)
{
    struct torture *torture = worker->hook_context;
    if (event >= RIG_CLOSED || event == RIG_SETTLED || draw(torture, 3) > 0)
        return;
    struct rig_conn *conn = rig_conn(worker, slot);
    uint64_t what = draw(torture, 100);
    if (event == RIG_ENDED && conn->end_status < 0)
        what = 99;
    if (what < 60 && !conn->shut)
        rig_owe(worker, slot, draw_size(torture));
    else if (what < 80)
        rig_resume(worker, slot);
    else if (what > 97)
        rig_close(worker, slot, draw(torture, 2) == 0);
}

/* Closes the owner's side of connections whose peer is gone, and the peers of closed ones; that is
 * also room for who found the table full. */
static void clean_up(struct torture *torture)
{
    struct rig_worker *worker = &torture->rig->workers[0];
    for (uint32_t slot = 0; slot < worker->slots_max; slot++) {
        struct rig_conn *conn = rig_conn(worker, slot);
        if (conn->open && !conn->closing && !has_peer(torture, conn->tag))
            rig_close(worker, slot, false);
    }
    for (unsigned held = torture->rig->held_count; held > 0; held--)
        rig_hand_over(torture->rig, worker);
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        struct victim *victim = &torture->victims[i];
        if (victim->connected && (victim->peer.saw_error != 0 || victim->peer.saw_end)) {
            rig_hang_up(&victim->peer);
            victim->connected = false;
        }
    }
}

/* Whether all that was written on a connection which nobody broke has arrived, both ways. */
static bool is_whole(struct torture *torture, struct victim *victim)
{
    struct rig_worker *worker;
    uint32_t slot;
    struct rig_conn *conn = conn_of(torture, victim, &worker, &slot);
    if (conn == NULL || conn->broken || conn->end_status < 0)
        return true; /* was closed from one side: its bytes were checked as far as they came */
    if (!conn->ended)
        rig_resume(worker, slot);
    bool all_read = rig_has_read(&victim->peer, conn->owed_bytes);
    if (victim->peer.saw_error != 0)
        return true;
    bool ended = !victim->finished || conn->ended;
    if (!all_read || conn->received_bytes != victim->peer.written_bytes || !ended)
        return false;
    torture->bytes_count += conn->owed_bytes + conn->received_bytes;
    torture->whole++;
    rig_close(worker, slot, true);
    return true;
}

static void finish(struct torture *torture)
{
    struct rig_worker *worker = &torture->rig->workers[0];
    worker->hook = NULL;
    /* Who connected last may not be adopted yet. */
    UNTIL(torture->rig, (clean_up(torture), worker->adopted_count >= torture->connections &&
                                                torture->rig->held_count == 0));
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        if (!torture->victims[i].connected)
            continue;
        UNTIL(torture->rig, is_whole(torture, &torture->victims[i]));
        rig_hang_up(&torture->victims[i].peer);
    }
    for (uint32_t slot = 0; slot < worker->slots_max; slot++) {
        if (rig_conn(worker, slot)->open && !rig_conn(worker, slot)->closing)
            rig_close(worker, slot, true);
    }
    UNTIL(torture->rig, worker->open_count == 0);
}

static void torment(enum fw_engine_kind kind, uint64_t seed)
{
    snprintf(rig_story, sizeof rig_story, "(FANWIRE_TEST_SEED=%llu)", (unsigned long long)seed);
    struct torture torture = {.random = seed};
    const struct rig_options options = {
        .send_buffer_bytes = draw(&torture, 2) ? SMALL_BUFFER : 0,
        .receive_buffer_bytes = draw(&torture, 2) ? SMALL_BUFFER : 0,
        .receive_bytes = draw(&torture, 2) ? 256 * 1024 : 0,
        .slots_max = 2 * PEERS_MAX,
    };
    torture.rig = rig_create(kind, &options);
    struct rig_worker *worker = &torture.rig->workers[0];
    worker->hook = disturb_handler;
    worker->hook_context = &torture;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        struct victim *victim = &torture.victims[draw(&torture, PEERS_MAX)];
        worker->pieces_count = 1 + (unsigned)draw(&torture, FW_ENGINE_PIECES_MAX);
        worker->send_bytes_max = draw_size(&torture);
        uint64_t what = draw(&torture, 10);
        if (what < 2)
            rig_turn(torture.rig);
        else if (!victim->connected)
            connect_one(&torture, victim);
        else if (what < 7)
            disturb_peer(&torture, victim);
        else
            disturb_owner(&torture, victim);
        if (i % 50 == 0)
            clean_up(&torture);
    }
    worker->send_bytes_max = 256 * 1024;
    finish(&torture);
    cr_assert_gt(torture.whole, 0u, "no connection of %u was left whole", torture.connections);
    cr_log_info("seed %llu: %u connections, %llu octets on %u whole ones, %llu unsent, %llu stale",
                (unsigned long long)seed, torture.connections,
                (unsigned long long)torture.bytes_count, torture.whole,
                (unsigned long long)fw_engine_stats(worker->engine)->sends_unsent,
                (unsigned long long)fw_engine_stats(worker->engine)->stale_completions);
    rig_destroy(torture.rig);
}

ENGINE_TEST(engine_torture, survives_ten_thousand_random_operations)
{
    const char *seed = getenv("FANWIRE_TEST_SEED");
    if (seed != NULL) {
        torment(kind, strtoull(seed, NULL, 10));
        return;
    }
    for (uint64_t i = 1; i <= 8; i++)
        torment(kind, i);
}
