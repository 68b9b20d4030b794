/* test_engine_contract_life.c: what engine.h promises about the lives of slots, about waiting, and
 * about waking.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/engine_rig.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MEGABYTE ((uint64_t)1024 * 1024)

/* ---- generations ----------------------------------------------------------------------------- */

static void close_the_others(struct rig_worker *worker, enum rig_event event, uint32_t slot)
{
    if (event != RIG_RECEIVED)
        return;
    for (uint32_t other = 0; other < worker->slots_max; other++) {
        if (other != slot && rig_conn(worker, other)->open && !rig_conn(worker, other)->closing)
            rig_close(worker, other, false);
    }
}

/* Several connections have events in one batch, and the handler of the first closes the others:
 * nothing more may come of those (the rig fails on it), neither in this batch nor in the slot's
 * next life, whose bytes are all of another peer's. */
ENGINE_TEST(engine_life, events_of_a_closed_slot_never_reach_its_next_life)
{
    enum { PEERS = 6, ROUNDS = 50 };
    struct rig *rig = rig_create(kind, &(struct rig_options){.slots_max = PEERS});
    struct rig_worker *worker = &rig->workers[0];
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct rig_peer peers[PEERS];
        uint32_t slots[PEERS];
        worker->hook = NULL;
        for (unsigned i = 0; i < PEERS; i++)
            peers[i] = rig_open(rig, &slots[i]);
        for (unsigned i = 0; i < PEERS; i++)
            rig_write(&peers[i], 1000 + i);
        worker->hook = close_the_others;
        UNTIL(rig, worker->open_count == 1);
        for (unsigned i = 0; i < PEERS; i++) {
            struct rig_worker *same;
            uint32_t slot;
            if (rig_find(rig, peers[i].tag, &same, &slot) != NULL)
                rig_close(worker, slot, round % 2 == 0);
        }
        UNTIL(rig, worker->open_count == 0);
        for (unsigned i = 0; i < PEERS; i++)
            rig_hang_up(&peers[i]);
    }
    cr_assert_eq(worker->adopted_count, PEERS * ROUNDS);
    cr_assert_eq(worker->closed_count, PEERS * ROUNDS);
    rig_destroy(rig);
}

/* 1000 lives of two slots; each ends with bytes in flight in both directions. */
ENGINE_TEST(engine_life, a_slot_is_reused_a_thousand_times)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.slots_max = 2});
    struct rig_worker *worker = &rig->workers[0];
    for (unsigned life = 0; life < 1000; life++) {
        uint32_t slot;
        struct rig_peer peer = rig_open(rig, &slot);
        cr_assert_lt(slot, 2u);
        rig_write(&peer, 100 + life);
        rig_owe(worker, slot, 50000);
        if (life % 3 > 0)
            rig_turn(rig);
        rig_close(worker, slot, life % 2 == 0);
        rig_hang_up(&peer);
        UNTIL(rig, worker->open_count == 0);
    }
    cr_assert_eq(worker->closed_count, 1000u);
    rig_destroy(rig);
}

ENGINE_TEST(engine_life, destroy_closes_every_socket)
{
    unsigned before = rig_descriptors();
    struct rig *rig = rig_create(kind, &(struct rig_options){.send_buffer_bytes = 4096});
    struct rig_worker *worker = &rig->workers[0];
    struct rig_peer peers[4];
    uint32_t slots[4];
    for (unsigned i = 0; i < 4; i++)
        peers[i] = rig_open(rig, &slots[i]);
    rig_owe(worker, slots[1], 16 * MEGABYTE); /* blocked */
    rig_pause(worker, slots[2]);
    rig_write(&peers[2], 1000); /* paused, with bytes waiting */
    UNTIL(rig, rig_conn(worker, slots[1])->blocked);
    rig_close(worker, slots[3], false); /* on_closed is still to come */
    struct rig_peer accepted = rig_connect(rig, 0);
    UNTIL(rig, rig->accepted_count == 5); /* on its way, or adopted */
    struct rig_peer waiting = rig_connect(rig, 0);
    rig_destroy(rig);

    for (unsigned i = 0; i < 4; i++) {
        uint64_t until_ms = rig_clock_ms() + RIG_PATIENCE_MS;
        while (!rig_is_over(&peers[i]) && rig_clock_ms() < until_ms)
            usleep(1000);
        cr_assert(rig_is_over(&peers[i]), "peer %u is still connected", i);
        rig_hang_up(&peers[i]);
    }
    rig_hang_up(&accepted);
    rig_hang_up(&waiting);
    /* A ring's descriptors are closed by the kernel in the background. */
    for (unsigned i = 0; i < 2000 && rig_descriptors() > before; i++)
        usleep(1000);
    cr_assert_eq(rig_descriptors(), before, "%u descriptors before, %u after", before,
                 rig_descriptors());
}

ENGINE_TEST(engine_life, destroy_closes_what_nobody_took)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.hold_tickets = true});
    struct rig_peer peers[6];
    for (unsigned i = 0; i < 6; i++)
        peers[i] = rig_connect(rig, 0);
    UNTIL(rig, rig->held_count == 6);
    for (unsigned i = 0; i < 3; i++)
        rig_hand_over(rig, &rig->workers[0]);
    /* Three are on their way to a worker that never looks, three are tickets still. */
    for (unsigned i = 0; rig->handed_count < 3; i++) {
        MUST(i < 2000, "%u of 3 hand-overs were told", rig->handed_count);
        rig_acceptor_turn(rig, 10);
    }
    rig_destroy(rig);
    for (unsigned i = 0; i < 6; i++) {
        uint64_t until_ms = rig_clock_ms() + RIG_PATIENCE_MS;
        while (!rig_is_over(&peers[i]) && rig_clock_ms() < until_ms)
            usleep(1000);
        cr_assert(rig_is_over(&peers[i]), "peer %u is still connected", i);
        rig_hang_up(&peers[i]);
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* How many turns of 50 ms fit into 300 ms: 6 of an engine that sleeps. */
static unsigned turns_in_300_ms(struct rig_worker *worker)
{
    unsigned turns = 0;
    for (uint64_t until_ms = rig_clock_ms() + 300; rig_clock_ms() < until_ms; turns++)
        rig_worker_turn(worker, 50);
    return turns;
}

/* Whatever state its connections are in, an engine with nothing to do sleeps. */
ENGINE_TEST(engine_life, sleeps_when_nothing_can_be_done)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.send_buffer_bytes = 4096});
    struct rig_worker *worker = &rig->workers[0];
    enum { IDLE, BLOCKED, PAUSED, PAUSED_ENDED, HALF_CLOSED, RESET, SHUT, PEERS };
    struct rig_peer peers[PEERS];
    uint32_t slots[PEERS];
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = rig_open(rig, &slots[i]);
    rig_owe(worker, slots[BLOCKED], 32 * MEGABYTE);
    rig_pause(worker, slots[PAUSED]);
    rig_pause(worker, slots[PAUSED_ENDED]);
    rig_turns(rig, 3);
    rig_write(&peers[PAUSED], 100000);
    rig_write(&peers[PAUSED_ENDED], 100000);
    rig_finish(&peers[PAUSED_ENDED]);
    rig_finish(&peers[HALF_CLOSED]);
    rig_reset(&peers[RESET]);
    rig_shutdown(worker, slots[SHUT]);
    UNTIL(rig, rig_conn(worker, slots[BLOCKED])->blocked);
    UNTIL(rig, rig_conn(worker, slots[HALF_CLOSED])->ended);
    UNTIL(rig, rig_conn(worker, slots[RESET])->ended);
    UNTIL(rig, rig_is_over(&peers[SHUT]));
    /* The kernel moves the blocked connection's bytes for a while. */
    for (unsigned i = 0; i < 20; i++)
        rig_worker_turn(worker, 10);
    unsigned turns = turns_in_300_ms(worker);
    cr_assert_leq(turns, 12u, "%u turns in 300 ms, of 50 ms each: something spins", turns);
    for (unsigned i = 0; i < PEERS; i++) {
        if (i != RESET)
            rig_hang_up(&peers[i]);
    }
    rig_destroy(rig);
}

/* Turns of 3 s until the condition holds: each but the last must return as soon as there is work,
 * so that all of them together take far less than one that sleeps. */
#define PROMPTLY(worker, condition)                                                                \
    do {                                                                                           \
        uint64_t start_ms = rig_clock_ms();                                                        \
        while (!(condition))                                                                       \
            rig_worker_turn(worker, 3000);                                                         \
        uint64_t took_ms = rig_clock_ms() - start_ms;                                              \
        MUST(took_ms < 2500, "%s took %llu ms: a turn slept over it", #condition,                  \
             (unsigned long long)took_ms);                                                         \
    } while (0)

/* What the kernel does not tell of a second time (bytes left over from a turn, or that came while a
 * slot was paused, a close) does not wait for something else to happen. */
ENGINE_TEST(engine_life, does_not_sleep_over_work_that_is_left)
{
    struct rig *rig = rig_create(
        kind, &(struct rig_options){.slots_max = 300, .receive_buffer_bytes = 4 * 1024 * 1024});
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    const struct rig_conn *conn = rig_conn(worker, slot);
    rig_write(&peer, 2 * MEGABYTE); /* more than one turn's share */
    PROMPTLY(worker, conn->received_bytes == peer.written_bytes);

    rig_pause(worker, slot);
    rig_turns(rig, 3);
    rig_write(&peer, 100000);
    rig_turns(rig, 3);
    rig_resume(worker, slot);
    PROMPTLY(worker, conn->received_bytes == peer.written_bytes);

    rig_owe(worker, slot, 1000);
    rig_worker_turn(worker, 0);
    PROMPTLY(worker, conn->sent_bytes == 1000);

    rig_close(worker, slot, false);
    PROMPTLY(worker, worker->closed_count == 1);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

struct retry {
    uint32_t blocked;
    uint32_t other;
    bool wanted;
};

/* Once, at the end of a turn, a send that is sure to fail; and when that is told, a decision. */
static void retry_then_owe(struct rig_worker *worker, enum rig_event event, uint32_t slot)
{
    struct retry *retry = worker->hook_context;
    if (event == RIG_TURN_END && retry->wanted) {
        retry->wanted = false;
        rig_send_now(worker, retry->blocked);
    } else if (event == RIG_UNSENT && slot == retry->blocked) {
        rig_owe(worker, retry->other, 500);
    }
}

/* What an owner decides in on_unsent is sent without waiting for an event of the kernel's: none
 * will come, since nobody reads. */
ENGINE_TEST(engine_life, does_not_sleep_over_what_was_decided_in_on_unsent)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.send_buffer_bytes = 4096});
    struct rig_worker *worker = &rig->workers[0];
    struct retry retry = {.wanted = true};
    struct rig_peer stuck = rig_open(rig, &retry.blocked);
    struct rig_peer peer = rig_open(rig, &retry.other);
    const struct rig_conn *conn = rig_conn(worker, retry.blocked);
    rig_owe(worker, retry.blocked, 64 * MEGABYTE);
    uint64_t before = 0;
    for (unsigned calm = 0; calm < 200; calm++) {
        rig_turn(rig);
        if (conn->sent_bytes != before || !conn->blocked)
            calm = 0;
        before = conn->sent_bytes;
    }
    worker->hook = retry_then_owe;
    worker->hook_context = &retry;
    rig_worker_turn(worker, 0);
    PROMPTLY(worker, rig_conn(worker, retry.other)->sent_bytes == 500);
    cr_assert(rig_has_read(&peer, 500));
    rig_hang_up(&stuck);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

ENGINE_TEST(engine_life, reads_the_clock_once_a_turn)
{
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    rig_worker_turn(worker, 0);
    uint64_t before = fw_engine_now_ms(worker->engine);
    uint64_t clock = rig_clock_ms();
    cr_assert_leq(before, clock);
    usleep(20000);
    cr_assert_eq(fw_engine_now_ms(worker->engine), before);
    rig_worker_turn(worker, 50);
    cr_assert_geq(fw_engine_now_ms(worker->engine), before + 50,
                  "a turn that waited until 50 ms after the last, 20 of them gone");
    rig_destroy(rig);
}

/* A wait may end too soon, never too late: also behind a longer one that was cut, whose alarm the
 * engine may have left standing. */
ENGINE_TEST(engine_life, waits_of_all_lengths_end_in_time)
{
    static const int waits_ms[] = {60000, 200, 20, 60000, 5, 90, 1, 60000};
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    for (unsigned i = 0; i < sizeof waits_ms / sizeof *waits_ms; i++) {
        uint64_t due_ms = fw_engine_now_ms(worker->engine) + (unsigned)waits_ms[i];
        bool cut = waits_ms[i] == 60000;
        unsigned wakes = worker->wakes + cut;
        if (cut)
            fw_engine_wake(worker->engine);
        unsigned turns = 0;
        while (cut ? worker->wakes < wakes : fw_engine_now_ms(worker->engine) < due_ms) {
            rig_worker_turn(worker, (int)(due_ms - fw_engine_now_ms(worker->engine)));
            cr_assert_leq(++turns, 10u, "wait %u turns in vain", i);
        }
        cr_assert_lt(fw_engine_now_ms(worker->engine), due_ms + 5000);
    }
    rig_destroy(rig);
}

/* ---- waking ---------------------------------------------------------------------------------- */

ENGINE_TEST(engine_life, many_wakes_before_a_turn_are_told_once)
{
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    for (unsigned round = 1; round <= 100; round++) {
        for (unsigned i = 0; i < round; i++)
            fw_engine_wake(worker->engine);
        rig_worker_turn(worker, -1);
        cr_assert_eq(worker->wakes, round, "round %u: %u on_wake", round, worker->wakes);
        rig_worker_turn(worker, 0);
        cr_assert_eq(worker->wakes, round, "an on_wake that nobody asked for");
    }
    rig_destroy(rig);
}

static void wake_again(struct rig_worker *worker, enum rig_event event, uint32_t slot)
{
    (void)slot;
    if (event == RIG_WAKE && worker->wakes < 10)
        fw_engine_wake(worker->engine);
}

ENGINE_TEST(engine_life, a_wake_inside_on_wake_is_told_in_another_turn)
{
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    worker->hook = wake_again;
    fw_engine_wake(worker->engine);
    for (unsigned i = 1; i <= 10; i++) {
        rig_worker_turn(worker, -1);
        cr_assert_eq(worker->wakes, i);
    }
    rig_destroy(rig);
}

enum { WAKERS = 4, WAKES = 5000 };

struct waker {
    struct fw_engine *engine;
    atomic_uint posted;
};

static void *wake_often(void *context)
{
    struct waker *waker = context;
    for (unsigned i = 1; i <= WAKES; i++) {
        atomic_store(&waker->posted, i);
        fw_engine_wake(waker->engine);
    }
    return NULL;
}

struct posts {
    struct waker wakers[WAKERS];
    unsigned seen;
};

static void look_at_posts(struct rig_worker *worker, enum rig_event event, uint32_t slot)
{
    (void)slot;
    struct posts *posts = worker->hook_context;
    if (event != RIG_WAKE)
        return;
    posts->seen = 0;
    for (unsigned i = 0; i < WAKERS; i++)
        posts->seen += atomic_load(&posts->wakers[i].posted);
}

/* What was posted before a wake is seen by the on_wake behind it. The engine sleeps without a
 * limit: a lost wake hangs here (and Criterion's timeout says so). */
ENGINE_TEST(engine_life, no_wake_of_four_threads_is_lost)
{
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    struct posts posts = {.seen = 0};
    pthread_t threads[WAKERS];
    worker->hook = look_at_posts;
    worker->hook_context = &posts;
    for (unsigned i = 0; i < WAKERS; i++) {
        posts.wakers[i].engine = worker->engine;
        cr_assert_eq(pthread_create(&threads[i], NULL, wake_often, &posts.wakers[i]), 0);
    }
    while (posts.seen < WAKERS * WAKES)
        rig_worker_turn(worker, -1);
    for (unsigned i = 0; i < WAKERS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_leq(worker->wakes, (unsigned)(WAKERS * WAKES));
    rig_worker_turn(worker, 0);
    unsigned turns = turns_in_300_ms(worker);
    cr_assert_leq(turns, 12u, "%u turns in 300 ms after the last wake: something spins", turns);
    rig_destroy(rig);
}
