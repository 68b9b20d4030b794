/* test_engine_contract_flow.c: what engine.h promises about pausing, blocking, ending and closing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/engine_rig.h"

#include <errno.h>
#include <fanwire/status.h>
#include <string.h>
#include <unistd.h>

#define MEGABYTE ((uint64_t)1024 * 1024)

/* ---- pause and resume ------------------------------------------------------------------------ */

/* Writes until the peer's and the engine's socket are full, whatever the kernel moves in between.
 */
static void fill(struct rig *rig, struct rig_peer *peer)
{
    for (unsigned quiet = 0; quiet < 20;) {
        quiet = rig_write(peer, MEGABYTE) > 0 ? 0 : quiet + 1;
        rig_turn(rig);
    }
}

ENGINE_TEST(engine_flow, pause_blocks_the_peer_and_resume_loses_nothing)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.receive_buffer_bytes = 65536});
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    const struct rig_conn *conn = rig_conn(worker, slot);
    for (unsigned round = 0; round < 5; round++) {
        rig_pause(worker, slot);
        rig_pause(worker, slot); /* twice is once */
        rig_turns(rig, 3);       /* what was received already is delivered now, if ever */
        uint64_t before = conn->received_bytes;
        fill(rig, &peer);
        cr_assert_eq(conn->received_bytes, before, "%llu octets came while paused",
                     (unsigned long long)(conn->received_bytes - before));
        cr_assert_gt(peer.written_bytes, before, "the peer's bytes wait in the kernel");
        rig_resume(worker, slot);
        rig_resume(worker, slot);
        UNTIL(rig, conn->received_bytes == peer.written_bytes);
    }
    rig_hang_up(&peer);
    rig_destroy(rig);
}

static void pause_at_once(struct rig_worker *worker, enum rig_event event, uint32_t slot)
{
    if (event == RIG_RECEIVED)
        rig_pause(worker, slot);
}

/* Edges that come while a slot is paused are not lost: one pause per delivery, megabytes in all. */
ENGINE_TEST(engine_flow, pause_in_every_on_received_loses_nothing)
{
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    const struct rig_conn *conn = rig_conn(worker, slot);
    worker->hook = pause_at_once;
    while (peer.written_bytes < 2 * MEGABYTE) {
        rig_write(&peer, 50000);
        rig_turn(rig);
        rig_resume(worker, slot);
    }
    rig_finish(&peer);
    UNTIL(rig, (rig_resume(worker, slot), conn->ended));
    cr_assert_eq(conn->received_bytes, peer.written_bytes);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

static void pause_and_resume_at_once(struct rig_worker *worker, enum rig_event event, uint32_t slot)
{
    if (event == RIG_RECEIVED) {
        rig_pause(worker, slot);
        rig_resume(worker, slot);
    }
}

ENGINE_TEST(engine_flow, pause_and_resume_in_one_handler_change_nothing)
{
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    worker->hook = pause_and_resume_at_once;
    while (peer.written_bytes < 2 * MEGABYTE) {
        rig_write(&peer, 50000);
        rig_turn(rig);
    }
    UNTIL(rig, rig_conn(worker, slot)->received_bytes == peer.written_bytes);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

/* Whether the end of a paused connection is told before or after resume is the engine's business;
 * that its bytes come first, and that it comes, is not. */
ENGINE_TEST(engine_flow, an_end_while_paused_is_told_after_the_bytes)
{
    for (int reset = 0; reset <= 1; reset++) {
        struct rig *rig = rig_create(kind, NULL);
        struct rig_worker *worker = &rig->workers[0];
        uint32_t slot;
        struct rig_peer peer = rig_open(rig, &slot);
        const struct rig_conn *conn = rig_conn(worker, slot);
        rig_pause(worker, slot);
        rig_turns(rig, 3);
        rig_write(&peer, 100000);
        rig_turns(rig, 3);
        if (reset)
            rig_reset(&peer);
        else
            rig_finish(&peer);
        rig_turns(rig, 10);
        rig_resume(worker, slot);
        UNTIL(rig, conn->ended);
        if (reset) {
            cr_assert_lt(conn->end_status, 0);
        } else {
            cr_assert_eq(conn->end_status, 0, "%s", fw_status_name(conn->end_status));
            cr_assert_eq(conn->received_bytes, 100000u);
            rig_hang_up(&peer);
        }
        rig_destroy(rig);
    }
}

/* ---- blocked sends --------------------------------------------------------------------------- */

ENGINE_TEST(engine_flow, writable_comes_when_the_peer_reads_and_not_before)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.send_buffer_bytes = 16384});
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_connect(rig, 16384);
    UNTIL(rig, rig_find(rig, peer.tag, &worker, &slot) != NULL);
    const struct rig_conn *conn = rig_conn(worker, slot);
    rig_owe(worker, slot, 8 * MEGABYTE);
    /* Until nothing moves any more: blocked, and no writable for many turns. */
    unsigned calm = 0;
    for (uint64_t before = 0; calm < 100; calm++) {
        rig_turn(rig);
        if (conn->sent_bytes != before || !conn->blocked)
            calm = 0;
        before = conn->sent_bytes;
    }
    unsigned writable_before = conn->writable_count;
    rig_turns(rig, 50);
    cr_assert_eq(conn->writable_count, writable_before,
                 "told writable while the peer reads nothing");
    UNTIL(rig, (rig_read(&peer, 8192), conn->writable_count > writable_before));
    UNTIL(rig, rig_has_read(&peer, 8 * MEGABYTE));
    rig_hang_up(&peer);
    rig_destroy(rig);
}

/* One blocked connection is nobody else's business. */
ENGINE_TEST(engine_flow, a_blocked_connection_does_not_hold_up_another)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.send_buffer_bytes = 16384});
    struct rig_worker *worker = &rig->workers[0];
    uint32_t stuck_slot;
    uint32_t slot;
    struct rig_peer stuck = rig_open(rig, &stuck_slot);
    struct rig_peer peer = rig_open(rig, &slot);
    rig_owe(worker, stuck_slot, 32 * MEGABYTE);
    UNTIL(rig, rig_conn(worker, stuck_slot)->blocked);
    for (unsigned i = 1; i <= 100; i++) {
        rig_owe(worker, slot, 100);
        UNTIL(rig, rig_has_read(&peer, i * 100));
    }
    rig_hang_up(&stuck);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

/* A send may be made at any time. Between two turns it blocks, and the peer makes room at once: the
 * owner hears of both, in that order. */
ENGINE_TEST(engine_flow, a_send_between_turns_is_told_of_like_any_other)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.send_buffer_bytes = 16384});
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    worker->send_bytes_max = MEGABYTE;
    for (uint64_t round = 1; round <= 3; round++) {
        rig_turns(rig, 3);
        rig_owe(worker, slot, MEGABYTE);
        rig_send_now(worker, slot);
        for (unsigned i = 0; i < 10; i++) {
            rig_read(&peer, MEGABYTE);
            usleep(100);
        }
        UNTIL(rig, rig_has_read(&peer, round * MEGABYTE));
    }
    cr_assert_gt(rig_conn(worker, slot)->unsent_count, 0u);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

/* ---- shutdown and close ---------------------------------------------------------------------- */

ENGINE_TEST(engine_flow, shutdown_sends_a_fin_behind_what_was_sent_and_receiving_goes_on)
{
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    const struct rig_conn *conn = rig_conn(worker, slot);
    rig_owe(worker, slot, 10000);
    UNTIL(rig, conn->sent_bytes == 10000);
    rig_shutdown(worker, slot);
    UNTIL(rig, rig_is_over(&peer));
    cr_assert(peer.saw_end);
    cr_assert_eq(peer.read_bytes, 10000u);
    rig_write(&peer, 5000);
    UNTIL(rig, conn->received_bytes == 5000);
    cr_assert_not(conn->ended);
    rig_finish(&peer);
    UNTIL(rig, conn->ended);
    cr_assert_eq(conn->end_status, 0);
    rig_close(worker, slot, false);
    UNTIL(rig, worker->closed_count == 1);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

static void close_after_sending(struct rig_worker *worker, enum rig_event event, uint32_t slot)
{
    (void)slot;
    if (event == RIG_TURN_END && rig_conn(worker, 0)->lent && !rig_conn(worker, 0)->closing)
        rig_close(worker, 0, false);
}

/* The farewell: a last send and the close in one on_turn_end; the peer reads it all, then a FIN. */
ENGINE_TEST(engine_flow, close_right_behind_a_send_lets_the_bytes_out)
{
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    cr_assert_eq(slot, 0u, "the first slot is 0");
    worker->hook = close_after_sending;
    rig_owe(worker, slot, 10000);
    UNTIL(rig, worker->closed_count == 1);
    UNTIL(rig, rig_is_over(&peer));
    cr_assert(peer.saw_end, "the peer saw %s", strerror(peer.saw_error));
    cr_assert_eq(peer.read_bytes, 10000u, "the peer read %llu of 10000 octets",
                 (unsigned long long)peer.read_bytes);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

ENGINE_TEST(engine_flow, close_is_a_fin_and_abort_is_a_reset)
{
    for (int abort = 0; abort <= 1; abort++) {
        struct rig *rig = rig_create(kind, NULL);
        struct rig_worker *worker = &rig->workers[0];
        uint32_t slot;
        struct rig_peer peer = rig_open(rig, &slot);
        rig_write(&peer, 100);
        UNTIL(rig, rig_conn(worker, slot)->received_bytes == 100);
        rig_close(worker, slot, abort != 0);
        UNTIL(rig, worker->closed_count == 1);
        UNTIL(rig, rig_is_over(&peer));
        if (abort)
            cr_assert_eq(peer.saw_error, ECONNRESET, "after an abort the peer saw %s",
                         peer.saw_end ? "a FIN" : strerror(peer.saw_error));
        else
            cr_assert(peer.saw_end, "after a close the peer saw %s", strerror(peer.saw_error));
        rig_hang_up(&peer);
        rig_destroy(rig);
    }
}

ENGINE_TEST(engine_flow, close_while_blocked_tells_on_closed_and_nothing_else)
{
    for (int abort = 0; abort <= 1; abort++) {
        struct rig *rig = rig_create(kind, &(struct rig_options){.send_buffer_bytes = 4096});
        struct rig_worker *worker = &rig->workers[0];
        uint32_t slot;
        struct rig_peer peer = rig_open(rig, &slot);
        rig_owe(worker, slot, 16 * MEGABYTE);
        UNTIL(rig, rig_conn(worker, slot)->blocked);
        rig_close(worker, slot, abort != 0);
        UNTIL(rig, worker->closed_count == 1);
        UNTIL(rig, rig_is_over(&peer)); /* the rig fails on an on_writable in these turns */
        rig_turns(rig, 5);
        cr_assert_eq(worker->open_count, 0u);
        rig_hang_up(&peer);
        rig_destroy(rig);
    }
}

ENGINE_TEST(engine_flow, close_while_paused_with_bytes_waiting)
{
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    rig_pause(worker, slot);
    rig_turns(rig, 2);
    rig_write(&peer, 100000);
    rig_turns(rig, 2);
    rig_close(worker, slot, false);
    UNTIL(rig, worker->closed_count == 1);
    UNTIL(rig, rig_is_over(&peer));
    rig_hang_up(&peer);
    rig_destroy(rig);
}

/* ---- close from inside every handler --------------------------------------------------------- */

static void close_in_handler(struct rig_worker *worker, enum rig_event event, uint32_t slot)
{
    const enum rig_event *wanted = worker->hook_context;
    if (event == *wanted && !rig_conn(worker, slot)->closing)
        rig_close(worker, slot, false);
}

ENGINE_TEST(engine_flow, close_inside_any_handler_is_followed_by_on_closed_alone)
{
    static const enum rig_event events[] = {RIG_ADOPTED, RIG_RECEIVED, RIG_ENDED, RIG_UNSENT,
                                            RIG_WRITABLE};
    static const char *const names[] = {"on_adopted", "on_received", "on_ended", "on_unsent",
                                        "on_writable"};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        struct rig *rig = rig_create(kind, &(struct rig_options){.send_buffer_bytes = 4096});
        struct rig_worker *worker = &rig->workers[0];
        enum rig_event wanted = events[i];
        worker->hook = close_in_handler;
        worker->hook_context = &wanted;
        struct rig_peer peer = rig_connect(rig, 0);
        rig_write(&peer, 200000);
        UNTIL(rig, worker->adopted_count == 1);
        if (rig_conn(worker, 0)->open && !rig_conn(worker, 0)->closing)
            rig_owe(worker, 0, 16 * MEGABYTE);
        for (unsigned turn = 0; worker->closed_count == 0; turn++) {
            MUST(turn < 20000, "closing in %s: no on_closed came", names[i]);
            rig_turn(rig);
            rig_read(&peer, 1000);
            if (turn == 20)
                rig_finish(&peer);
        }
        rig_turns(rig, 5);
        cr_assert_eq(worker->closed_count, 1u);
        rig_hang_up(&peer);
        rig_destroy(rig);
    }
}
