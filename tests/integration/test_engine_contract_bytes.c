/* test_engine_contract_bytes.c: what engine.h promises about bytes: all of them, in order, borrowed
 * and lent as it says, whatever the sizes of buffers and however connections end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/engine_rig.h"

#include <errno.h>
#include <fanwire/status.h>

#define MEGABYTE ((uint64_t)1024 * 1024)

ENGINE_TEST(engine_bytes, echoes_over_tcp)
{
    struct rig *rig = rig_create(kind, NULL);
    rig->workers[0].echo = true;
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    for (unsigned i = 1; i <= 100; i++) {
        uint64_t before = peer.written_bytes;
        cr_assert_eq(rig_write(&peer, i * 37), i * 37);
        UNTIL(rig, rig_has_read(&peer, before + i * 37));
    }
    cr_assert_eq(peer.read_bytes, peer.written_bytes);
    cr_assert_eq(rig_conn(&rig->workers[0], slot)->received_bytes, peer.written_bytes);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

ENGINE_TEST(engine_bytes, echoes_over_a_unix_socket)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.local = true});
    rig->workers[0].echo = true;
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    cr_assert_eq(rig_write(&peer, 5000), 5000);
    UNTIL(rig, rig_has_read(&peer, 5000));
    rig_finish(&peer);
    UNTIL(rig, rig_conn(&rig->workers[0], slot)->ended);
    cr_assert_eq(rig_conn(&rig->workers[0], slot)->end_status, 0);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

/* Contract 2: a send takes what the socket takes; the rest is told by on_unsent and on_writable. */
ENGINE_TEST(engine_bytes, sends_megabytes_in_order_through_a_tiny_send_buffer)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.send_buffer_bytes = 4096});
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    rig_owe(worker, slot, 4 * MEGABYTE);
    UNTIL(rig, (rig_read(&peer, 50000), peer.read_bytes == 4 * MEGABYTE));
    rig_turns(rig, 3);

    const struct rig_conn *conn = rig_conn(worker, slot);
    cr_assert_eq(conn->sent_bytes, 4 * MEGABYTE, "the owner counted %llu octets",
                 (unsigned long long)conn->sent_bytes);
    cr_assert_gt(conn->unsent_count, 10u, "a full socket was told %u times", conn->unsent_count);
    cr_assert_eq(conn->writable_count, conn->unsent_count, "%u on_unsent, %u on_writable",
                 conn->unsent_count, conn->writable_count);
    cr_assert_eq(fw_engine_stats(worker->engine)->sends_unsent, conn->unsent_count);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

ENGINE_TEST(engine_bytes, receives_megabytes_in_order_in_any_buffer)
{
    static const uint32_t receive_bytes[] = {64 * 1024, 256 * 1024, 4 * 1024 * 1024};
    for (size_t i = 0; i < sizeof receive_bytes / sizeof *receive_bytes; i++) {
        struct rig *rig =
            rig_create(kind, &(struct rig_options){.receive_bytes = receive_bytes[i]});
        uint32_t slot;
        struct rig_peer peer = rig_open(rig, &slot);
        const struct rig_conn *conn = rig_conn(&rig->workers[0], slot);
        for (size_t step = 1; peer.written_bytes < 4 * MEGABYTE; step = step * 7 % 70001) {
            rig_write(&peer, step);
            rig_turn(rig);
        }
        UNTIL(rig, conn->received_bytes == peer.written_bytes);
        cr_assert_eq(fw_engine_stats(rig->workers[0].engine)->received_bytes, peer.written_bytes);
        rig_hang_up(&peer);
        rig_destroy(rig);
    }
}

ENGINE_TEST(engine_bytes, echoes_megabytes_on_many_connections_at_once)
{
    enum { PEERS = 20 };
    struct rig *rig = rig_create(kind, NULL);
    rig->workers[0].echo = true;
    struct rig_peer peers[PEERS];
    uint32_t slots[PEERS];
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = rig_open(rig, &slots[i]);
    const uint64_t wanted = MEGABYTE / 4;
    unsigned done = 0;
    for (unsigned turn = 0; done < PEERS; turn++) {
        MUST(turn < 100000, "%u of %u peers had their echo", done, PEERS);
        done = 0;
        for (unsigned i = 0; i < PEERS; i++) {
            uint64_t left = wanted - peers[i].written_bytes;
            rig_write(&peers[i], left < 1000 * (i + 1) ? (size_t)left : 1000 * (i + 1));
            done += rig_has_read(&peers[i], wanted);
        }
        rig_turn(rig);
    }
    for (unsigned i = 0; i < PEERS; i++)
        rig_hang_up(&peers[i]);
    rig_destroy(rig);
}

/* A FIN that arrives together with bytes ends the stream behind them, not instead of them. */
ENGINE_TEST(engine_bytes, delivers_what_came_with_a_fin_before_it_tells_the_end)
{
    static const size_t sizes[] = {0, 1, 1000, 65535, 65536, 65537, 131072, 400000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct rig *rig =
            rig_create(kind, &(struct rig_options){.receive_buffer_bytes = 1024 * 1024});
        struct rig_worker *worker = &rig->workers[0];
        uint32_t slot;
        struct rig_peer peer = rig_open(rig, &slot);
        cr_assert_eq(rig_write(&peer, sizes[i]), sizes[i]);
        rig_finish(&peer);
        const struct rig_conn *conn = rig_conn(worker, slot);
        UNTIL(rig, conn->ended);
        cr_assert_eq(conn->end_status, 0, "%zu octets and a FIN: %s", sizes[i],
                     fw_status_name(conn->end_status));
        cr_assert_eq(conn->received_bytes, sizes[i], "%llu of %zu octets came before the end",
                     (unsigned long long)conn->received_bytes, sizes[i]);
        /* The other direction is open still. */
        rig_owe(worker, slot, 1234);
        UNTIL(rig, rig_has_read(&peer, 1234));
        rig_hang_up(&peer);
        rig_destroy(rig);
    }
}

ENGINE_TEST(engine_bytes, tells_a_fin_that_comes_alone_and_later)
{
    struct rig *rig = rig_create(kind, NULL);
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    const struct rig_conn *conn = rig_conn(&rig->workers[0], slot);
    rig_write(&peer, 10);
    UNTIL(rig, conn->received_bytes == 10);
    rig_turns(rig, 3);
    cr_assert_not(conn->ended);
    rig_finish(&peer);
    UNTIL(rig, conn->ended);
    cr_assert_eq(conn->end_status, 0);
    rig_turns(rig, 5); /* and only once: the rig checks */
    rig_hang_up(&peer);
    rig_turns(rig, 5);
    rig_destroy(rig);
}

ENGINE_TEST(engine_bytes, tells_a_reset_as_an_error_and_then_fails_sends)
{
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    rig_write(&peer, 100000);
    rig_turn(rig);
    rig_write(&peer, 1000);
    rig_reset(&peer);
    const struct rig_conn *conn = rig_conn(worker, slot);
    UNTIL(rig, conn->ended);
    cr_assert_eq(conn->end_status, -ECONNRESET, "the reset was told as %s",
                 fw_status_name(conn->end_status));
    cr_assert_leq(conn->received_bytes, peer.written_bytes);

    rig_owe(worker, slot, 100);
    UNTIL(rig, conn->broken);
    cr_assert(conn->unsent_status == -EPIPE || conn->unsent_status == -ECONNRESET,
              "a send on a broken connection was told as %s", fw_status_name(conn->unsent_status));
    cr_assert_eq(conn->sent_bytes, 0u);
    rig_turns(rig, 5);
    cr_assert_eq(conn->writable_count, 0u, "after a broken send nothing follows");
    rig_close(worker, slot, false);
    UNTIL(rig, worker->closed_count == 1);
    rig_destroy(rig);
}

/* A reset while the socket is full: the promise of on_writable holds, and the next send says why.
 */
ENGINE_TEST(engine_bytes, lets_a_blocked_sender_find_out_about_a_reset)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.send_buffer_bytes = 4096});
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    const struct rig_conn *conn = rig_conn(worker, slot);
    rig_owe(worker, slot, 16 * MEGABYTE);
    UNTIL(rig, conn->blocked);
    rig_reset(&peer);
    UNTIL(rig, conn->broken && conn->ended);
    cr_assert_geq(conn->writable_count, 1u);
    rig_close(worker, slot, false);
    UNTIL(rig, worker->closed_count == 1);
    rig_destroy(rig);
}

/* The array of pieces is copied (the rig spoils it at once), the bytes are sent as one write. */
ENGINE_TEST(engine_bytes, sends_every_number_of_pieces)
{
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    uint64_t sent = 0;
    for (unsigned pieces = 1; pieces <= FW_ENGINE_PIECES_MAX; pieces++) {
        worker->pieces_count = pieces;
        rig_owe(worker, slot, pieces * 100 + 1);
        sent += pieces * 100 + 1;
        UNTIL(rig, rig_has_read(&peer, sent));
    }
    rig_turn(rig);
    cr_assert_eq(fw_engine_stats(worker->engine)->sends, FW_ENGINE_PIECES_MAX);
    cr_assert_eq(fw_engine_stats(worker->engine)->sends_unsent, 0u);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

ENGINE_TEST(engine_bytes, sends_64_pieces_on_many_connections_in_one_turn)
{
    enum { PEERS = 60 };
    struct rig *rig = rig_create(kind, NULL);
    struct rig_worker *worker = &rig->workers[0];
    worker->pieces_count = FW_ENGINE_PIECES_MAX;
    struct rig_peer peers[PEERS];
    uint32_t slots[PEERS];
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = rig_open(rig, &slots[i]);
    for (unsigned round = 1; round <= 3; round++) {
        for (unsigned i = 0; i < PEERS; i++)
            rig_owe(worker, slots[i], 5000);
        for (unsigned i = 0; i < PEERS; i++)
            UNTIL(rig, rig_has_read(&peers[i], round * 5000));
    }
    for (unsigned i = 0; i < PEERS; i++)
        rig_hang_up(&peers[i]);
    rig_destroy(rig);
}

/* A blocked send of 64 pieces stops in the middle of any of them. */
ENGINE_TEST(engine_bytes, resumes_a_gathered_send_in_the_middle_of_a_piece)
{
    struct rig *rig = rig_create(kind, &(struct rig_options){.send_buffer_bytes = 4096});
    struct rig_worker *worker = &rig->workers[0];
    worker->pieces_count = FW_ENGINE_PIECES_MAX;
    worker->send_bytes_max = 300007;
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    rig_owe(worker, slot, MEGABYTE);
    UNTIL(rig, (rig_read(&peer, 12345), peer.read_bytes == MEGABYTE));
    cr_assert_gt(rig_conn(worker, slot)->unsent_count, 0u);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

/* Contract 1: kept bytes stay until on_settled (the rig looks at each then), however many receives
 * come meanwhile; then their memory is used again, so keeping goes on for ever. */
ENGINE_TEST(engine_bytes, kept_bytes_stay_until_sends_are_settled)
{
    /* In all eight times the memory there is. */
    enum { PEERS = 8, ROUNDS = 200 };
    struct rig *rig = rig_create(kind, &(struct rig_options){.receive_bytes = 256 * 1024});
    struct rig_worker *worker = &rig->workers[0];
    worker->echo = true;
    worker->keep = true;
    struct rig_peer peers[PEERS];
    uint32_t slots[PEERS];
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = rig_open(rig, &slots[i]);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        for (unsigned i = 0; i < PEERS; i++)
            rig_write(&peers[i], 1000 + 100 * i);
        for (unsigned i = 0; i < PEERS; i++)
            UNTIL(rig, rig_has_read(&peers[i], round * (1000 + 100 * i)));
    }
    if (!worker->kept_deliveries)
        cr_skip_test("%s never keeps", fw_engine_kind_name(kind));
    cr_assert_gt(worker->kept_deliveries, PEERS * ROUNDS / 2, "kept %u deliveries, not %u",
                 worker->kept_deliveries, worker->unkept_deliveries);
    for (unsigned i = 0; i < PEERS; i++)
        rig_hang_up(&peers[i]);
    rig_destroy(rig);
}

/* So much in a turn that its sends are settled before the next one waits, and the memory that they
 * were sent from is received into at once. */
static void keep_much(enum fw_engine_kind kind, int send_buffer_bytes)
{
    enum { PEERS = 16, ROUNDS = 20, WRITES = 8, BYTES = 30000 };
    struct rig *rig =
        rig_create(kind, &(struct rig_options){.send_buffer_bytes = send_buffer_bytes});
    struct rig_worker *worker = &rig->workers[0];
    worker->echo = true;
    worker->keep = true;
    struct rig_peer peers[PEERS];
    uint32_t slots[PEERS];
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = rig_open(rig, &slots[i]);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < PEERS * WRITES; i++) {
            rig_write(&peers[i % PEERS], BYTES);
            if (i % PEERS == 0)
                rig_turn(rig);
        }
        for (unsigned i = 0; i < PEERS; i++)
            UNTIL(rig, rig_has_read(&peers[i], peers[i].written_bytes));
    }
    cr_assert_gt(worker->kept_deliveries, 0u);
    if (send_buffer_bytes > 0)
        cr_assert_gt(fw_engine_stats(worker->engine)->sends_unsent, 0u);
    for (unsigned i = 0; i < PEERS; i++)
        rig_hang_up(&peers[i]);
    rig_destroy(rig);
}

ENGINE_TEST(engine_bytes, kept_bytes_stay_when_a_turn_brings_much)
{
    keep_much(kind, 0);
}

ENGINE_TEST(engine_bytes, kept_bytes_stay_when_a_turn_brings_much_and_sockets_are_full)
{
    keep_much(kind, 4096);
}

/* With more to keep than there is memory the engine says no, and receiving goes on; and what was
 * kept for nothing, because nothing was sent, is free again with the next turn. */
ENGINE_TEST(engine_bytes, refuses_to_keep_more_than_it_has_memory_for)
{
    enum { ROUNDS = 100 };
    struct rig *rig =
        rig_create(kind, &(struct rig_options){.receive_buffer_bytes = 8 * 1024 * 1024,
                                               .receive_bytes = 256 * 1024});
    struct rig_worker *worker = &rig->workers[0];
    worker->keep = true; /* and sends nothing */
    uint32_t slot;
    struct rig_peer peer = rig_open(rig, &slot);
    while (peer.written_bytes < 2 * MEGABYTE) {
        if (rig_write(&peer, MEGABYTE) == 0)
            rig_turn(rig);
    }
    UNTIL(rig, rig_conn(worker, slot)->received_bytes == peer.written_bytes);
    cr_assert_gt(worker->unkept_deliveries, 0u);
    unsigned before = worker->kept_deliveries;
    for (unsigned round = 0; round < ROUNDS; round++) {
        rig_write(&peer, 1000);
        UNTIL(rig, rig_conn(worker, slot)->received_bytes == peer.written_bytes);
    }
    cr_assert(before == 0 || worker->kept_deliveries >= before + ROUNDS, "kept %u, then %u", before,
              worker->kept_deliveries);
    rig_hang_up(&peer);
    rig_destroy(rig);
}

/* One flooding peer must not take a turn for itself: a small message of another is served at once,
 * and what one connection brings in a turn is bounded. */
static void serve_quiet_beside_loud(enum fw_engine_kind kind, uint32_t receive_bytes)
{
    struct rig *rig =
        rig_create(kind, &(struct rig_options){.receive_buffer_bytes = 8 * 1024 * 1024,
                                               .receive_bytes = receive_bytes});
    struct rig_worker *worker = &rig->workers[0];
    uint32_t loud_slot;
    uint32_t quiet_slot;
    struct rig_peer loud = rig_open(rig, &loud_slot);
    struct rig_peer quiet = rig_open(rig, &quiet_slot);
    const struct rig_conn *loud_conn = rig_conn(worker, loud_slot);
    const struct rig_conn *quiet_conn = rig_conn(worker, quiet_slot);
    for (unsigned round = 0; round < 20; round++) {
        rig_write(&loud, 16 * MEGABYTE);
        rig_write(&quiet, 10);
        for (unsigned turn = 0; turn < 3; turn++) {
            uint64_t before = loud_conn->received_bytes;
            rig_worker_turn(worker, 0);
            cr_assert_leq(loud_conn->received_bytes - before, MEGABYTE,
                          "one connection took %llu octets of a turn",
                          (unsigned long long)(loud_conn->received_bytes - before));
        }
        cr_assert_eq(quiet_conn->received_bytes, quiet.written_bytes,
                     "round %u: the quiet peer waited for more than 3 turns", round);
    }
    UNTIL(rig, loud_conn->received_bytes == loud.written_bytes);
    rig_hang_up(&loud);
    rig_hang_up(&quiet);
    rig_destroy(rig);
}

ENGINE_TEST(engine_bytes, serves_a_quiet_peer_beside_a_flooding_one)
{
    serve_quiet_beside_loud(kind, 0);
    serve_quiet_beside_loud(kind, 256 * 1024);
}
