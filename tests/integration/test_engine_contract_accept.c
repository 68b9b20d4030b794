/* test_engine_contract_accept.c: what engine.h promises about accepting connections, handing them
 * over, and running out of room for them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/engine_rig.h"

#include <errno.h>
#include <fanwire/status.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* How many turns of 50 ms fit into 300 ms: 6 of an acceptor that sleeps. */
static unsigned turns_in_300_ms(struct rig *rig)
{
    unsigned turns = 0;
    for (uint64_t until_ms = rig_clock_ms() + 300; rig_clock_ms() < until_ms; turns++)
        rig_acceptor_turn(rig, 50);
    return turns;
}

/* The tag is what the acceptor said: here the peer's port, out of the address on_accepted gave. */
ENGINE_TEST(engine_accept, hands_connections_to_two_workers)
{
    enum { PEERS = 40 };
    struct rig *rig = rig_create(kind, &(struct rig_options){.workers = 2});
    rig->workers[0].echo = true;
    rig->workers[1].echo = true;
    struct rig_peer peers[PEERS];
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = rig_connect(rig, 0);
    UNTIL(rig, rig->workers[0].adopted_count + rig->workers[1].adopted_count == PEERS);
    cr_assert_eq(rig->workers[0].adopted_count, PEERS / 2);
    UNTIL(rig, rig->handed_count == PEERS);
    cr_assert_eq(fw_engine_stats(rig->acceptor)->accepted, PEERS);
    for (unsigned i = 0; i < PEERS; i++) {
        struct rig_worker *worker;
        uint32_t slot;
        cr_assert_not_null(rig_find(rig, peers[i].tag, &worker, &slot), "no slot is tagged %u",
                           peers[i].tag);
        rig_write(&peers[i], 1000);
    }
    for (unsigned i = 0; i < PEERS; i++) {
        UNTIL(rig, rig_has_read(&peers[i], 1000));
        rig_hang_up(&peers[i]);
    }
    rig_destroy(rig);
}

/* Bytes, and even the end, that came before the hand-over are not lost. */
ENGINE_TEST(engine_accept, delivers_what_came_before_the_adoption)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.hold_tickets = true});
    struct rig_peer peer = rig_connect(rig, 0);
    rig_write(&peer, 3000);
    rig_finish(&peer);
    UNTIL(rig, rig->held_count == 1);
    rig_turns(rig, 3);
    rig_hand_over(rig, &rig->workers[0]);
    UNTIL(rig, rig_conn(&rig->workers[0], 0)->ended);
    cr_assert_eq(rig_conn(&rig->workers[0], 0)->received_bytes, 3000u);
    cr_assert_eq(rig_conn(&rig->workers[0], 0)->end_status, 0);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

ENGINE_TEST(engine_accept, a_full_table_leaves_the_ticket_with_the_sender)
{
    enum { SLOTS = 4 };
    struct rig *rig = rig_create(
        kind, &(struct rig_options){.workers = 2, .slots_max = SLOTS, .hold_tickets = true});
    struct rig_peer peers[SLOTS + 2];
    for (unsigned i = 0; i < SLOTS + 2; i++)
        peers[i] = rig_connect(rig, 0);
    UNTIL(rig, rig->held_count == SLOTS + 2);
    for (unsigned i = 0; i < SLOTS; i++)
        rig_hand_over(rig, &rig->workers[0]);
    UNTIL(rig, rig->workers[0].adopted_count == SLOTS && rig->handed_count == SLOTS);

    /* The fifth finds the table full; its ticket is good for the other worker. */
    rig_hand_over(rig, &rig->workers[0]);
    UNTIL(rig, rig->full_count == 1);
    cr_assert_eq(rig->held_count, 2u);
    cr_assert_eq(rig->workers[0].adopted_count, (uint32_t)SLOTS);
    rig_hand_over(rig, &rig->workers[1]);
    rig_hand_over(rig, &rig->workers[1]);
    UNTIL(rig, rig->workers[1].adopted_count == 2);
    UNTIL(rig, rig->handed_count == SLOTS + 2);

    /* Each connection is whole, also those that were refused once. */
    for (unsigned i = 0; i < SLOTS + 2; i++) {
        struct rig_worker *worker;
        uint32_t slot;
        rig_write(&peers[i], 777);
        cr_assert_not_null(rig_find(rig, peers[i].tag, &worker, &slot));
        UNTIL(rig, rig_conn(worker, slot)->received_bytes == 777);
    }
    for (unsigned i = 0; i < SLOTS + 2; i++)
        rig_hang_up(&peers[i]);
    rig_destroy(rig);
}

/* A slot that was closed has room for another connection once on_closed was told. */
ENGINE_TEST(engine_accept, a_table_that_was_full_takes_connections_again)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.slots_max = 1, .hold_tickets = true});
    struct rig_worker *worker = &rig->workers[0];
    struct rig_peer first = rig_connect(rig, 0);
    UNTIL(rig, rig->held_count == 1);
    rig_hand_over(rig, worker);
    UNTIL(rig, worker->adopted_count == 1);
    struct rig_peer second = rig_connect(rig, 0);
    UNTIL(rig, rig->held_count == 1);
    for (unsigned i = 1; i <= 20; i++) {
        rig_hand_over(rig, worker);
        UNTIL(rig, rig->full_count == i);
    }
    rig_close(worker, 0, false);
    UNTIL(rig, worker->closed_count == 1);
    rig_hand_over(rig, worker);
    UNTIL(rig, worker->adopted_count == 2);
    cr_assert_eq(rig_conn(worker, 0)->tag, second.tag);
    rig_write(&second, 100);
    UNTIL(rig, rig_conn(worker, 0)->received_bytes == 100);
    rig_hang_up(&first);
    rig_hang_up(&second);
    rig_destroy(rig);
}

ENGINE_TEST(engine_accept, a_refused_connection_is_closed)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.hold_tickets = true});
    for (unsigned i = 0; i < 200; i++) { /* more than there are tickets: each comes back */
        struct rig_peer peer = rig_connect(rig, 0);
        UNTIL(rig, rig->held_count == 1);
        rig_refuse(rig);
        UNTIL(rig, rig_is_over(&peer));
        rig_hang_up(&peer);
    }
    cr_assert_eq(rig->accept_pauses, 0u);
    rig_destroy(rig);
}

/* ---- pausing --------------------------------------------------------------------------------- */

ENGINE_TEST(engine_accept, a_pause_keeps_connections_in_the_backlog)
{
    enum { PEERS = 10 };
    struct rig *rig = rig_create(kind, NULL);
    fw_engine_accept_pause(rig->acceptor);
    fw_engine_accept_pause(rig->acceptor);
    rig_turns(rig, 3);
    struct rig_peer peers[PEERS];
    for (unsigned i = 0; i < PEERS; i++) {
        peers[i] = rig_connect(rig, 0); /* the kernel completes it without us */
        rig_write(&peers[i], 500);
    }
    unsigned turns = turns_in_300_ms(rig);
    cr_assert_leq(turns, 12u, "%u turns in 300 ms while paused: something spins", turns);
    cr_assert_eq(rig->accepted_count, 0u, "%u connections were accepted while paused",
                 rig->accepted_count);
    cr_assert_eq(rig->accept_pauses, 0u, "on_accept_paused is for what the owner did not ask for");

    fw_engine_accept_resume(rig->acceptor);
    fw_engine_accept_resume(rig->acceptor);
    UNTIL(rig, rig->workers[0].received_bytes == PEERS * 500);
    for (unsigned i = 0; i < PEERS; i++)
        rig_hang_up(&peers[i]);

    /* And again, from a state in which connections were accepted. */
    fw_engine_accept_pause(rig->acceptor);
    rig_turns(rig, 3);
    struct rig_peer late = rig_connect(rig, 0);
    rig_turns(rig, 20);
    cr_assert_eq(rig->accepted_count, (uint32_t)PEERS);
    fw_engine_accept_resume(rig->acceptor);
    UNTIL(rig, rig->accepted_count == PEERS + 1);
    rig_hang_up(&late);
    rig_destroy(rig);
}

/* The acceptor's own table is full of tickets: it says so once, sleeps, and goes on when resumed.
 */
ENGINE_TEST(engine_accept, running_out_of_tickets_pauses_without_spinning)
{
    enum { TICKETS = 8, PEERS = 12 };
    struct rig *rig =
        rig_create(kind, &(struct rig_options){.tickets_max = TICKETS, .hold_tickets = true});
    struct rig_peer peers[PEERS];
    for (unsigned i = 0; i < TICKETS; i++)
        peers[i] = rig_connect(rig, 0);
    UNTIL(rig, rig->held_count == TICKETS);
    rig_turns(rig, 10);
    cr_assert_eq(rig->accept_pauses, 0u, "nobody waits yet");
    for (unsigned i = TICKETS; i < PEERS; i++)
        peers[i] = rig_connect(rig, 0);
    UNTIL(rig, rig->accept_pauses == 1);
    cr_assert_eq(rig->accept_status, -ENFILE, "%s", fw_status_name(rig->accept_status));
    unsigned turns = turns_in_300_ms(rig);
    cr_assert_leq(turns, 12u, "%u turns in 300 ms with a full table: something spins", turns);
    cr_assert_eq(rig->accept_pauses, 1u);
    cr_assert_eq(rig->held_count, (unsigned)TICKETS);

    /* Resumed too early it pauses again; with room it takes who waited. */
    fw_engine_accept_resume(rig->acceptor);
    UNTIL(rig, rig->accept_pauses == 2);
    for (unsigned i = 0; i < TICKETS; i++)
        rig_hand_over(rig, &rig->workers[0]);
    UNTIL(rig, rig->handed_count == TICKETS);
    fw_engine_accept_resume(rig->acceptor);
    UNTIL(rig, rig->held_count == PEERS - TICKETS);
    for (unsigned i = 0; i < PEERS; i++)
        rig_hang_up(&peers[i]);
    rig_destroy(rig);
}

/* Takes every descriptor that the process may still have, but `spare`. */
static unsigned take_descriptors(unsigned spare)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int highest = dup(0);
    close(highest);
    limit.rlim_cur = (rlim_t)highest + spare;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return (unsigned)limit.rlim_cur;
}

/* RLIMIT_NOFILE while connections come: accept(2) fails before it takes one from the queue, and a
 * loop that asks again at once burns a processor. */
ENGINE_TEST(engine_accept, running_out_of_descriptors_pauses_without_spinning)
{
    if (kind == FW_ENGINE_URING)
        cr_skip_test("a ring's connections are not in the process's descriptor table");
    enum { PEERS = 10, SPARE = 4 };
    struct rig *rig = rig_create(kind, NULL);
    fw_engine_accept_pause(rig->acceptor);
    rig_turns(rig, 2);
    struct rig_peer peers[PEERS];
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = rig_connect(rig, 0);
    take_descriptors(SPARE);
    fw_engine_accept_resume(rig->acceptor);
    UNTIL(rig, rig->accept_pauses == 1);
    cr_assert_eq(rig->accept_status, -EMFILE, "%s", fw_status_name(rig->accept_status));
    cr_assert_eq(rig->accepted_count, (uint32_t)SPARE);
    unsigned turns = turns_in_300_ms(rig);
    cr_assert_leq(turns, 12u, "%u turns in 300 ms without descriptors: something spins", turns);
    cr_assert_eq(rig->accept_pauses, 1u, "told %u times", rig->accept_pauses);

    /* Connections that are there live on, and their descriptors are taken by those who wait. */
    for (unsigned resumed = 2; rig->accepted_count < PEERS; resumed++) {
        struct rig_worker *worker = &rig->workers[0];
        UNTIL(rig, worker->adopted_count == rig->accepted_count);
        for (uint32_t slot = 0; slot < worker->slots_max; slot++) {
            if (rig_conn(worker, slot)->open)
                rig_close(worker, slot, false);
        }
        UNTIL(rig, worker->open_count == 0);
        fw_engine_accept_resume(rig->acceptor);
        UNTIL(rig, rig->accept_pauses == resumed || rig->accepted_count == PEERS);
    }
    for (unsigned i = 0; i < PEERS; i++)
        rig_hang_up(&peers[i]);
    rig_destroy(rig);
}

/* ---- threads --------------------------------------------------------------------------------- */

/* Closes what has ended and owes nothing. */
static void close_when_done(struct rig_worker *worker, enum rig_event event, uint32_t slot)
{
    if (event != RIG_SETTLED && event != RIG_ENDED)
        return;
    for (slot = 0; slot < worker->slots_max; slot++) {
        const struct rig_conn *conn = rig_conn(worker, slot);
        if (conn->open && !conn->closing && conn->ended && conn->sent_bytes == conn->owed_bytes)
            rig_close(worker, slot, false);
    }
}

/* As a server runs: one thread accepts, two work; 200 connections, each with an echo. */
ENGINE_TEST(engine_accept, hands_over_between_threads)
{
    enum { ROUNDS = 5, PEERS = 40 };
    const struct rig_options options = {
        .workers = 2, .threads = true, .echo = true, .hook = close_when_done};
    struct rig *rig = rig_create(kind, &options);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct rig_peer peers[PEERS];
        for (unsigned i = 0; i < PEERS; i++) {
            peers[i] = rig_connect(rig, 0);
            rig_write(&peers[i], 2000);
            rig_finish(&peers[i]);
        }
        for (unsigned i = 0; i < PEERS; i++)
            UNTIL(rig, rig_is_over(&peers[i]));
        for (unsigned i = 0; i < PEERS; i++) {
            cr_assert_eq(peers[i].read_bytes, 2000u, "peer %u read %llu octets", i,
                         (unsigned long long)peers[i].read_bytes);
            rig_hang_up(&peers[i]);
        }
    }
    UNTIL(rig, rig->handed_count == ROUNDS * PEERS);
    rig_destroy(rig);
}
