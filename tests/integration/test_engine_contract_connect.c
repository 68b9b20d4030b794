/* test_engine_contract_connect.c: what engine.h promises about connecting as a client.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/dialer.h"
#include "support/fail_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what works ------------------------------------------------------------------------------ */

static void talk(enum fw_engine_kind kind, const char *address)
{
    struct dialer *dialer = dialer_create(kind, 8, 8, address);
    int slot = dialer_dial(dialer, 7, 5000);
    cr_assert_geq(slot, 0);
    cr_assert_eq(dialer->adopted_count, 0u, "not from inside the call");
    TURN_UNTIL(dialer, dialer->adopted_count == 1);
    int peer = dialer_take(dialer);
    cr_assert_geq(peer, 0);
    cr_assert_eq(fw_engine_stats(dialer->engine)->connected, 1u);

    const struct iovec hello = {.iov_base = (void *)(uintptr_t) "hello", .iov_len = 5};
    fw_engine_send(dialer->engine, (uint32_t)slot, &hello, 1);
    char bytes[16];
    TURN_UNTIL(dialer, recv(peer, bytes, sizeof bytes, 0) == 5);
    cr_assert_arr_eq(bytes, "hello", 5);
    cr_assert_eq(send(peer, "answer", 6, MSG_NOSIGNAL), 6);
    TURN_UNTIL(dialer, dialer->attempts[7].received_bytes == 6);

    /* Closed by us: the peer sees a FIN, and no timeout strikes what is open or gone. */
    fw_engine_close(dialer->engine, (uint32_t)slot, false);
    TURN_UNTIL(dialer, dialer->closed_count == 1);
    ssize_t end = -1;
    TURN_UNTIL(dialer, (end = recv(peer, bytes, sizeof bytes, 0)) == 0);
    cr_assert_eq(dialer->failed_count, 0u);
    close(peer);
    dialer_destroy(dialer);
}

/* What it says first is there when the server accepts; and one who says nothing is heard, too. */
ENGINE_TEST(engine_connect, speaks_first_or_not_at_all)
{
    struct dialer *dialer = dialer_create_speaking(kind, 8, 8, "127.0.0.1:0");
    int slot = dialer_dial(dialer, 7, 5000);
    cr_assert_geq(slot, 0);
    TURN_UNTIL(dialer, dialer->adopted_count == 1);
    for (unsigned round = 0; round < 3; round++) {
        const struct iovec hello = {.iov_base = (void *)(uintptr_t) "hello", .iov_len = 5};
        fw_engine_send(dialer->engine, (uint32_t)slot, &hello, 1);
        dialer_turn(dialer, 0);
    }
    int peer = -1;
    TURN_UNTIL(dialer, (peer = dialer_take(dialer)) >= 0);
    char bytes[16];
    cr_assert_geq(recv(peer, bytes, sizeof bytes, 0), 5, "the first words came with it");
    cr_assert_eq(send(peer, "answer", 6, MSG_NOSIGNAL), 6);
    TURN_UNTIL(dialer, dialer->attempts[7].received_bytes == 6);
    int silent = dialer_dial(dialer, 8, 5000);
    cr_assert_geq(silent, 0);
    int other = -1;
    TURN_UNTIL(dialer, (other = dialer_take(dialer)) >= 0);
    cr_assert_eq(send(other, "well?", 5, MSG_NOSIGNAL), 5);
    TURN_UNTIL(dialer, dialer->attempts[8].received_bytes == 5);
    close(other);
    close(peer);
    dialer_destroy(dialer);
}

ENGINE_TEST(engine_connect, talks_over_ipv4)
{
    talk(kind, "127.0.0.1:0");
}

ENGINE_TEST(engine_connect, talks_over_ipv6)
{
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in6 loopback = {.sin6_family = AF_INET6,
                                          .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool works =
        probe >= 0 && bind(probe, (const struct sockaddr *)&loopback, sizeof loopback) == 0;
    if (probe >= 0)
        close(probe);
    if (!works)
        cr_skip_test("this machine has no IPv6 loopback");
    talk(kind, "[::1]:0");
}

ENGINE_TEST(engine_connect, talks_over_a_path)
{
    talk(kind, dialer_local_path());
}

/* A server that speaks first, and ends at once: nothing of that is lost to the adoption. */
ENGINE_TEST(engine_connect, what_the_server_says_at_once_is_received)
{
    struct dialer *dialer = dialer_create(kind, 4, 4, "127.0.0.1:0");
    cr_assert_geq(dialer_dial(dialer, 1, 0), 0);
    int peer = -1;
    TURN_UNTIL(dialer, (peer = dialer_take(dialer)) >= 0);
    cr_assert_eq(send(peer, "welcome", 7, MSG_NOSIGNAL), 7);
    close(peer);
    TURN_UNTIL(dialer, dialer->attempts[1].ended == 1);
    cr_assert_eq(dialer->attempts[1].received_bytes, 7u);
    cr_assert_eq(dialer->attempts[1].end_status, 0);
    dialer_destroy(dialer);
}

/* Paused from inside on_adopted: nothing comes before the resume, and everything after it. */
ENGINE_TEST(engine_connect, paused_at_its_adoption_is_received_from_when_resumed)
{
    struct dialer *dialer = dialer_create(kind, 4, 4, "127.0.0.1:0");
    dialer->deed = PAUSE;
    int slot = dialer_dial(dialer, 1, 0);
    TURN_UNTIL(dialer, dialer->adopted_count == 1);
    int peer = dialer_take(dialer);
    cr_assert_eq(send(peer, "early", 5, MSG_NOSIGNAL), 5);
    for (unsigned i = 0; i < 20; i++)
        dialer_turn(dialer, 2);
    cr_assert_eq(dialer->attempts[1].received_bytes, 0u);
    fw_engine_resume(dialer->engine, (uint32_t)slot);
    TURN_UNTIL(dialer, dialer->attempts[1].received_bytes == 5);
    fw_engine_pause(dialer->engine, (uint32_t)slot);
    dialer_turn(dialer, 2);
    dialer_turn(dialer, 2);
    cr_assert_eq(send(peer, "later", 5, MSG_NOSIGNAL), 5);
    for (unsigned i = 0; i < 20; i++)
        dialer_turn(dialer, 2);
    cr_assert_eq(dialer->attempts[1].received_bytes, 5u);
    fw_engine_resume(dialer->engine, (uint32_t)slot);
    TURN_UNTIL(dialer, dialer->attempts[1].received_bytes == 10);
    close(peer);
    dialer_destroy(dialer);
}

/* Nagle's algorithm would hold the second of two small sends until the first is acknowledged. */
ENGINE_TEST(engine_connect, small_sends_are_not_delayed)
{
    struct dialer *dialer = dialer_create(kind, 4, 4, "127.0.0.1:0");
    int slot = dialer_dial(dialer, 1, 0);
    TURN_UNTIL(dialer, dialer->adopted_count == 1);
    int peer = dialer_take(dialer);
    const int none = 0;
    (void)setsockopt(peer, IPPROTO_TCP, TCP_QUICKACK, &none, sizeof none);
    for (unsigned i = 0; i < 20; i++) {
        const struct iovec octet = {.iov_base = (void *)(uintptr_t) "x", .iov_len = 1};
        fw_engine_send(dialer->engine, (uint32_t)slot, &octet, 1);
        dialer_turn(dialer, 0); /* hands it to the kernel */
        dialer_turn(dialer, 0);
        char bytes[4];
        /* On loopback what was sent is there: the send itself delivered it. */
        cr_assert_eq(recv(peer, bytes, sizeof bytes, 0), 1, "send %u was held back", i);
    }
    close(peer);
    dialer_destroy(dialer);
}

/* RST, and no TIME_WAIT of ours: the peer's read fails. */
ENGINE_TEST(engine_connect, an_abort_resets)
{
    struct dialer *dialer = dialer_create(kind, 4, 4, "127.0.0.1:0");
    int slot = dialer_dial(dialer, 1, 0);
    TURN_UNTIL(dialer, dialer->adopted_count == 1);
    int peer = dialer_take(dialer);
    fw_engine_close(dialer->engine, (uint32_t)slot, true);
    TURN_UNTIL(dialer, dialer->closed_count == 1);
    char byte;
    ssize_t result = -1;
    TURN_UNTIL(dialer, (result = recv(peer, &byte, 1, 0)) == 0 || errno != EAGAIN);
    cr_assert_eq(result, -1);
    cr_assert_eq(errno, ECONNRESET);
    close(peer);
    dialer_destroy(dialer);
}

/* ---- what does not --------------------------------------------------------------------------- */

static void refuse(enum fw_engine_kind kind, const char *address)
{
    struct dialer *dialer = dialer_create(kind, 4, 4, address);
    dialer_nobody_listens(dialer);
    cr_assert_geq(dialer_dial(dialer, 3, 5000), 0);
    TURN_UNTIL(dialer, dialer->failed_count == 1);
    cr_assert_eq(dialer->attempts[3].status, -ECONNREFUSED, "%s",
                 strerror(-dialer->attempts[3].status));
    cr_assert_eq(dialer->adopted_count, 0u);
    dialer_destroy(dialer);
}

ENGINE_TEST(engine_connect, a_port_where_nobody_listens_refuses)
{
    refuse(kind, "127.0.0.1:0");
}

ENGINE_TEST(engine_connect, a_path_where_nobody_listens_refuses)
{
    refuse(kind, dialer_local_path());
}

ENGINE_TEST(engine_connect, a_path_that_is_not_there_fails)
{
    struct dialer *dialer = dialer_create(kind, 4, 4, "127.0.0.1:0");
    cr_assert_eq(fw_sock_address_parse("unix:/nowhere/at/all", &dialer->server), 0);
    cr_assert_geq(dialer_dial(dialer, 3, 5000), 0);
    TURN_UNTIL(dialer, dialer->failed_count == 1);
    cr_assert_eq(dialer->attempts[3].status, -ENOENT);
    dialer_destroy(dialer);
}

/* A family that there are no stream sockets of: the socket itself is refused. */
ENGINE_TEST(engine_connect, a_socket_that_cannot_be_made_fails)
{
    struct dialer *dialer = dialer_create(kind, 1, 1, "127.0.0.1:0");
    dialer->server.at.any.sa_family = AF_MAX - 1;
    for (unsigned round = 0; round < 10; round++) {
        cr_assert_geq(dialer_dial(dialer, round, 5000), 0, "the only slot is free again");
        TURN_UNTIL(dialer, dialer->failed_count == round + 1);
        cr_assert_eq(dialer->attempts[round].status, -EAFNOSUPPORT);
    }
    dialer_destroy(dialer);
}

ENGINE_TEST(engine_connect, an_address_of_no_size_is_refused_at_once)
{
    struct dialer *dialer = dialer_create(kind, 1, 1, "127.0.0.1:0");
    dialer->server.bytes = 0;
    cr_assert_eq(dialer_dial(dialer, 0, 0), -EINVAL);
    dialer->server.bytes = sizeof(struct sockaddr_storage) + 1;
    cr_assert_eq(dialer_dial(dialer, 0, 0), -EINVAL);
    dialer_destroy(dialer);
}

/* A backlog of one that is full: SYNs are dropped, and nobody answers. */
static void fill(struct dialer *dialer, int *fillers, unsigned count)
{
    close(dialer->listen_fd);
    dialer_listen(dialer, "127.0.0.1:0", 1);
    for (unsigned i = 0; i < count; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], &dialer->server.at.any, dialer->server.bytes);
    }
}

enum { FILLERS = 8 };

ENGINE_TEST(engine_connect, a_server_that_never_answers_times_out)
{
    struct dialer *dialer = dialer_create(kind, 1, 1, "127.0.0.1:0");
    int fillers[FILLERS];
    fill(dialer, fillers, FILLERS);
    uint64_t before_ms = rig_clock_ms();
    cr_assert_geq(dialer_dial(dialer, 5, 200), 0);
    uint32_t turns = 0;
    while (dialer->failed_count == 0) {
        dialer_turn(dialer, -1); /* an engine that waits for ever wakes by itself */
        turns++;
    }
    uint64_t took_ms = rig_clock_ms() - before_ms;
    cr_assert_eq(dialer->attempts[5].status, -ETIMEDOUT);
    cr_assert(took_ms >= 200 && took_ms < 2000, "took %llu ms", (unsigned long long)took_ms);
    cr_assert_leq(turns, 30u, "%u turns: something spins", turns);
    cr_assert_geq(dialer_dial(dialer, 6, 200), 0, "the slot is free again");
    for (unsigned i = 0; i < FILLERS; i++)
        close(fillers[i]);
    dialer_destroy(dialer);
}

/* Closed while it is connecting, before or after the kernel has heard of it. */
ENGINE_TEST(engine_connect, may_be_closed_while_it_connects)
{
    struct dialer *dialer = dialer_create(kind, 1, 1, "127.0.0.1:0");
    int fillers[FILLERS];
    fill(dialer, fillers, FILLERS);
    for (unsigned round = 0; round < 20; round++) {
        int slot = dialer_dial(dialer, round, round % 2 * 5000);
        cr_assert_eq(slot, 0);
        for (unsigned i = 0; i < round % 4; i++)
            dialer_turn(dialer, 0);
        fw_engine_close(dialer->engine, 0, round % 3 == 0);
        TURN_UNTIL(dialer, dialer->closed_count == round + 1);
    }
    cr_assert_eq(dialer->failed_count, 0u);
    cr_assert_eq(dialer->adopted_count, 0u);
    for (unsigned i = 0; i < FILLERS; i++)
        close(fillers[i]);
    dialer_destroy(dialer);
}

/* The same where the connect succeeds: whichever comes first, the slot dies once. */
ENGINE_TEST(engine_connect, a_close_meets_the_success)
{
    struct dialer *dialer = dialer_create(kind, 1, 1, "127.0.0.1:0");
    for (unsigned round = 0; round < 50; round++) {
        cr_assert_eq(dialer_dial(dialer, round, 5000), 0);
        for (unsigned i = 0; i < round % 3; i++)
            dialer_turn(dialer, 0);
        fw_engine_close(dialer->engine, 0, round % 2 == 0);
        TURN_UNTIL(dialer, dialer->closed_count == round + 1);
        int peer = dialer_take(dialer);
        if (peer >= 0)
            close(peer);
    }
    cr_assert_eq(dialer->failed_count, 0u);
    dialer_destroy(dialer);
}

ENGINE_TEST(engine_connect, may_be_closed_from_its_adoption)
{
    struct dialer *dialer = dialer_create(kind, 2, 2, "127.0.0.1:0");
    dialer->deed = CLOSE_AT_ONCE;
    for (uint32_t round = 0; round < 50; round++) {
        cr_assert_geq(dialer_dial(dialer, round, 5000), 0);
        TURN_UNTIL(dialer, dialer->closed_count == round + 1);
        close(dialer_take(dialer));
    }
    cr_assert_eq(dialer->adopted_count, 50u);
    dialer_destroy(dialer);
}

ENGINE_TEST(engine_connect, a_full_table_refuses_and_goes_on)
{
    enum { SLOTS = 5 };
    struct dialer *dialer = dialer_create(kind, SLOTS, SLOTS, "127.0.0.1:0");
    for (uint32_t tag = 0; tag < SLOTS; tag++)
        cr_assert_geq(dialer_dial(dialer, tag, 0), 0);
    cr_assert_eq(dialer_dial(dialer, SLOTS, 0), -ENFILE);
    TURN_UNTIL(dialer, dialer->adopted_count == SLOTS);
    cr_assert_eq(dialer_dial(dialer, SLOTS, 0), -ENFILE);
    fw_engine_close(dialer->engine, dialer->attempts[2].slot - 1, false);
    TURN_UNTIL(dialer, dialer->closed_count == 1);
    cr_assert_geq(dialer_dial(dialer, SLOTS, 0), 0);
    TURN_UNTIL(dialer, dialer->adopted_count == SLOTS + 1);
    dialer_destroy(dialer);
}

ENGINE_TEST(engine_connect, without_slots_for_it_is_refused)
{
    struct dialer *dialer = dialer_create(kind, 4, 0, "127.0.0.1:0");
    cr_assert_eq(dialer_dial(dialer, 0, 0), -ENFILE);
    dialer_destroy(dialer);
}

/* The slot of a failed connect may be used from inside on_connect_failed. */
ENGINE_TEST(engine_connect, may_be_tried_again_from_its_failure)
{
    struct dialer *dialer = dialer_create(kind, 1, 1, "127.0.0.1:0");
    dialer_nobody_listens(dialer);
    dialer->deed = RETRY;
    dialer->retries = 100;
    cr_assert_geq(dialer_dial(dialer, 0, 1000), 0);
    TURN_UNTIL(dialer, dialer->failed_count == 101);
    dialer_destroy(dialer);
}

/* A path whose backlog is full answers EAGAIN, and tells nobody when it is not: it is waited for
 * all the same. */
ENGINE_TEST(engine_connect, waits_for_room_in_a_paths_backlog)
{
    enum { ROOM = 2, WAITING = 6 };
    struct dialer *dialer = dialer_create(kind, WAITING, WAITING, "127.0.0.1:0");
    close(dialer->listen_fd);
    dialer_listen(dialer, dialer_local_path(), ROOM);
    for (uint32_t tag = 0; tag < WAITING; tag++)
        cr_assert_geq(dialer_dial(dialer, tag, 10000), 0);
    for (unsigned i = 0; i < 20; i++)
        dialer_turn(dialer, 5);
    cr_assert_lt(dialer->adopted_count, (uint32_t)WAITING, "the backlog is full");
    cr_assert_eq(dialer->failed_count, 0u);
    TURN_UNTIL(dialer, (close(dialer_take(dialer)), dialer->adopted_count == WAITING));
    dialer_destroy(dialer);
}

/* The kernel's background closes what a destroyed ring had; nothing is told any more. */
ENGINE_TEST(engine_connect, destroyed_while_connecting_leaves_nothing_open)
{
    enum { DIALED = 20 };
    unsigned before = rig_descriptors();
    struct dialer *dialer = dialer_create(kind, DIALED, DIALED, "127.0.0.1:0");
    int fillers[FILLERS];
    fill(dialer, fillers, FILLERS);
    for (uint32_t tag = 0; tag < DIALED; tag++) {
        cr_assert_geq(dialer_dial(dialer, tag, tag * 1000), 0);
        if (tag == DIALED / 2)
            dialer_turn(dialer, 0);
    }
    dialer_destroy(dialer);
    for (unsigned i = 0; i < FILLERS; i++)
        close(fillers[i]);
    for (unsigned i = 0; i < 2000 && rig_descriptors() > before; i++)
        usleep(1000);
    cr_assert_eq(rig_descriptors(), before);
}

ENGINE_TEST(engine_connect, a_creation_without_memory_leaves_nothing)
{
    static const struct fw_engine_options options = {
        .slots_max = 4, .connects_max = 2, .receive_bytes = 65536, .events = &dialer_events};
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        struct fw_engine *engine = NULL;
        fail_mem_at(k, FAIL_ONCE);
        int status = fw_engine_create(kind, &options, &engine);
        failed = fail_mem_off();
        cr_assert_eq(status, failed ? -ENOMEM : 0, "allocation %u: %d", k, status);
        fw_engine_destroy(engine);
    }
}

/* Hand-overs get the slots that are not for connects, whatever the order. */
static uint32_t accepted_tickets[8];
static unsigned accepted_count;

static void on_accepted(void *owner, uint32_t ticket, const struct sockaddr *peer,
                        socklen_t peer_bytes)
{
    (void)owner;
    (void)peer;
    (void)peer_bytes;
    accepted_tickets[accepted_count++] = ticket;
}

static void on_handed_over(void *owner, uint32_t ticket, int status)
{
    (void)owner;
    (void)ticket;
    MUST(status == 0, "hand-over: %s", strerror(-status));
}

static void on_accept_paused(void *owner, int status)
{
    (void)owner;
    MUST(false, "accepting paused: %s", strerror(-status));
}

ENGINE_TEST(engine_connect, lives_beside_hand_overs)
{
    enum { EACH = 3 };
    static const struct fw_engine_events acceptor_events = {
        .on_accepted = on_accepted,
        .on_handed_over = on_handed_over,
        .on_accept_paused = on_accept_paused,
    };
    accepted_count = 0;
    struct dialer *dialer = dialer_create(kind, 2 * EACH, EACH, "127.0.0.1:0");
    const struct fw_engine_options options = {
        .slots_max = 8, .receive_bytes = 65536, .owner = dialer, .events = &acceptor_events};
    struct fw_engine *acceptor;
    cr_assert_eq(fw_engine_create(kind, &options, &acceptor), 0);
    cr_assert_eq(fw_engine_listen(acceptor, dialer->listen_fd), 0);
    for (uint32_t tag = 0; tag < EACH; tag++)
        cr_assert_geq(dialer_dial(dialer, tag, 0), 0);
    TURN_UNTIL(dialer, (fw_engine_turn(acceptor, 0), accepted_count == EACH));
    TURN_UNTIL(dialer, dialer->adopted_count == EACH);
    bool taken[2 * EACH] = {false};
    for (uint32_t tag = 0; tag < EACH; tag++)
        taken[dialer->attempts[tag].slot - 1] = true;
    for (uint32_t slot = 0; slot < 2 * EACH; slot++) {
        /* Where hand-overs will live: on_adopted checks it. */
        if (!taken[slot] && kind == FW_ENGINE_URING)
            cr_assert_lt(slot, (uint32_t)EACH);
    }
    uint32_t tag = EACH;
    for (uint32_t slot = 0; slot < 2 * EACH; slot++) {
        if (taken[slot])
            continue;
        dialer->attempts[tag].slot = slot + 1;
        dialer->tag_of[slot] = tag;
        fw_engine_hand_over(acceptor, accepted_tickets[tag - EACH], dialer->engine, tag);
        tag++;
        /* One at a time, so that the lowest free slot is this one's. */
        TURN_UNTIL(dialer, (fw_engine_turn(acceptor, 0), dialer->adopted_count == tag));
    }
    fw_engine_destroy(acceptor);
    dialer_destroy(dialer);
}

enum { CONNECTS = 4000 };

struct storm {
    uint32_t dialed;
    unsigned taken;
    int peers[CONNECTS];
};

/* Some more connects, and all that waits at the listener; whether everybody is there. */
static bool storm_goes_on(struct dialer *dialer, struct storm *storm)
{
    for (unsigned i = 0; i < 500 && storm->dialed < CONNECTS; i++, storm->dialed++)
        cr_assert_geq(dialer_dial(dialer, storm->dialed, 20000), 0);
    for (int peer; (peer = dialer_take(dialer)) >= 0;)
        storm->peers[storm->taken++] = peer;
    return dialer->adopted_count == CONNECTS && storm->taken == CONNECTS;
}

/* Thousands at once, as a load generator opens them, through one small listener. */
ENGINE_TEST(engine_connect, opens_thousands_at_once)
{
    if (fw_engine_slots_limit(FW_ENGINE_EPOLL) < 2 * CONNECTS + 64)
        cr_skip_test("RLIMIT_NOFILE is under %d", 2 * CONNECTS + 64);
    struct dialer *dialer = dialer_create(kind, CONNECTS, CONNECTS, "127.0.0.1:0");
    struct storm *storm = calloc(1, sizeof *storm);
    cr_assert_not_null(storm);
    dialer->deed = PAUSE;
    TURN_UNTIL(dialer, storm_goes_on(dialer, storm));
    cr_assert_eq(dialer->failed_count, 0u);
    cr_assert_eq(dialer_dial(dialer, CONNECTS, 0), -ENFILE);
    for (uint32_t tag = 0; tag < CONNECTS; tag++) {
        cr_assert_eq(dialer->attempts[tag].adopted, 1u);
        fw_engine_close(dialer->engine, dialer->attempts[tag].slot - 1, true);
    }
    TURN_UNTIL(dialer, dialer->closed_count == CONNECTS);
    for (unsigned i = 0; i < CONNECTS; i++)
        close(storm->peers[i]);
    free(storm);
    dialer_destroy(dialer);
}
