/* test_engine_contract_gather.c: turns that wait for several events (fw_engine_gather).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/engine_rig.h"

enum { PEERS = 4, WAIT_MS = 400 };

struct crowd {
    struct rig *rig;
    struct rig_worker *worker;
    struct rig_peer peers[PEERS];
};

/* Everybody is open, and the worker has just been idle. */
static struct crowd crowd_open(enum fw_engine_kind kind)
{
    struct crowd crowd = {.rig = rig_create(kind, NULL)};
    uint32_t slot;
    crowd.worker = &crowd.rig->workers[0];
    for (unsigned i = 0; i < PEERS; i++)
        crowd.peers[i] = rig_open(crowd.rig, &slot);
    rig_turns(crowd.rig, 5);
    fw_engine_gather(crowd.worker->engine, PEERS, WAIT_MS * 1000);
    return crowd;
}

static void crowd_close(struct crowd *crowd)
{
    for (unsigned i = 0; i < PEERS; i++)
        rig_hang_up(&crowd->peers[i]);
    rig_destroy(crowd->rig);
}

/* Has some peers write an octet each; ms that the worker's next turn took. */
static uint64_t turn_after(struct crowd *crowd, unsigned writers, int timeout_ms)
{
    for (unsigned i = 0; i < writers; i++)
        cr_assert_eq(rig_write(&crowd->peers[i], 1), 1u);
    uint64_t began_ms = rig_clock_ms();
    rig_worker_turn(crowd->worker, timeout_ms);
    return rig_clock_ms() - began_ms;
}

static void received(struct crowd *crowd, uint64_t bytes)
{
    UNTIL(crowd->rig, crowd->worker->received_bytes == bytes);
}

ENGINE_TEST(engine_gather, an_idle_engine_tells_the_first_event_at_once)
{
    struct crowd crowd = crowd_open(kind);
    cr_assert_lt(turn_after(&crowd, 1, 20000), (uint64_t)WAIT_MS);
    received(&crowd, 1);
    crowd_close(&crowd);
}

ENGINE_TEST(engine_gather, a_busy_engine_waits_for_as_many_as_were_asked_for)
{
    struct crowd crowd = crowd_open(kind);
    turn_after(&crowd, 1, 20000);
    cr_assert_lt(turn_after(&crowd, PEERS, 20000), (uint64_t)WAIT_MS, "they are all there");
    received(&crowd, 1 + PEERS);
    crowd_close(&crowd);
}

ENGINE_TEST(engine_gather, a_busy_engine_tells_fewer_when_the_time_is_over)
{
    struct crowd crowd = crowd_open(kind);
    turn_after(&crowd, 1, 20000);
    uint64_t took_ms = turn_after(&crowd, 1, 20000);
    if (kind == FW_ENGINE_URING)
        cr_assert_geq(took_ms, (uint64_t)WAIT_MS * 3 / 4, "%llu ms", (unsigned long long)took_ms);
    received(&crowd, 2);
    crowd_close(&crowd);
}

ENGINE_TEST(engine_gather, a_turn_takes_no_longer_than_its_own_timeout)
{
    struct crowd crowd = crowd_open(kind);
    turn_after(&crowd, 1, 20000);
    cr_assert_lt(turn_after(&crowd, 0, 10), (uint64_t)WAIT_MS / 2);
    crowd_close(&crowd);
}

ENGINE_TEST(engine_gather, ends_when_no_events_are_asked_for)
{
    struct crowd crowd = crowd_open(kind);
    fw_engine_gather(crowd.worker->engine, 0, 0);
    turn_after(&crowd, 1, 20000);
    cr_assert_lt(turn_after(&crowd, 1, 20000), (uint64_t)WAIT_MS / 2);
    received(&crowd, 2);
    crowd_close(&crowd);
}
