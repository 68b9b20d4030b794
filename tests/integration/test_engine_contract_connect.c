/* test_engine_contract_connect.c: what engine.h promises about connecting as a client.
 *
 * One engine with slots for connects, and servers that are plain sockets of the test's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/engine_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAGS_MAX 4096u

/* What became of the connect of a tag. */
struct attempt {
    uint32_t slot; /* + 1, once fw_engine_connect returned it */
    unsigned adopted;
    unsigned failed;
    int status;
    uint64_t received_bytes;
    unsigned ended;
    int end_status;
};

/* Whether a handler of the owner's does more than to note; see each test. */
enum deed { NOTHING, PAUSE, CLOSE_AT_ONCE, RETRY };

struct dialer {
    struct fw_engine *engine;
    struct fw_sock_address server;
    int listen_fd;
    enum deed deed;
    bool in_call;
    bool in_turn;
    uint32_t retries;
    struct attempt attempts[TAGS_MAX];
    uint32_t tag_of[TAGS_MAX]; /* by slot */
    uint32_t adopted_count;
    uint32_t failed_count;
    uint32_t closed_count;
    unsigned sends;
};

static int dial(struct dialer *dialer, uint32_t tag, uint32_t timeout_ms)
{
    dialer->in_call = true;
    int slot = fw_engine_connect(dialer->engine, &dialer->server.at.any, dialer->server.bytes, tag,
                                 timeout_ms);
    dialer->in_call = false;
    if (slot >= 0) {
        dialer->attempts[tag].slot = (uint32_t)slot + 1;
        dialer->tag_of[slot] = tag;
    }
    return slot;
}

static void told(const struct dialer *dialer)
{
    MUST(dialer->in_turn && !dialer->in_call, "told from inside a call, or outside of a turn");
}

static void on_adopted(void *owner, uint32_t slot, uint32_t tag)
{
    struct dialer *dialer = owner;
    told(dialer);
    struct attempt *attempt = &dialer->attempts[tag];
    MUST(attempt->slot == slot + 1, "tag %u lives at slot %u, connected as %u", tag, slot,
         attempt->slot - 1);
    attempt->adopted++;
    dialer->adopted_count++;
    if (dialer->deed == PAUSE)
        fw_engine_pause(dialer->engine, slot);
    if (dialer->deed == CLOSE_AT_ONCE)
        fw_engine_close(dialer->engine, slot, false);
}

static void on_connect_failed(void *owner, uint32_t tag, int status)
{
    struct dialer *dialer = owner;
    told(dialer);
    struct attempt *attempt = &dialer->attempts[tag];
    MUST(status < 0, "status %d", status);
    attempt->failed++;
    attempt->status = status;
    dialer->failed_count++;
    if (dialer->deed == RETRY && dialer->retries > 0) {
        dialer->retries--;
        MUST(dial(dialer, tag, 0) >= 0, "the slot of what failed is free again");
    }
}

static void on_received(void *owner, uint32_t slot, uint8_t *bytes, size_t bytes_count)
{
    struct dialer *dialer = owner;
    struct attempt *attempt = &dialer->attempts[dialer->tag_of[slot]];
    told(dialer);
    MUST(attempt->adopted == 1 && attempt->failed == 0, "bytes before the adoption");
    memset(bytes, 0xdd, bytes_count);
    attempt->received_bytes += bytes_count;
}

static void on_ended(void *owner, uint32_t slot, int status)
{
    struct dialer *dialer = owner;
    struct attempt *attempt = &dialer->attempts[dialer->tag_of[slot]];
    told(dialer);
    attempt->ended++;
    attempt->end_status = status;
}

static void on_closed(void *owner, uint32_t slot)
{
    struct dialer *dialer = owner;
    told(dialer);
    MUST(dialer->attempts[dialer->tag_of[slot]].failed == 0, "closed, and failed");
    dialer->closed_count++;
}

static void on_unsent(void *owner, uint32_t slot, size_t sent_bytes, int status)
{
    (void)owner;
    MUST(false, "slot %u: %zu sent, status %d", slot, sent_bytes, status);
}

static void on_slot(void *owner, uint32_t slot)
{
    told(owner);
    (void)slot;
}

static void on_nothing(void *owner)
{
    told(owner);
}

static const struct fw_engine_events events = {
    .on_adopted = on_adopted,
    .on_received = on_received,
    .on_ended = on_ended,
    .on_unsent = on_unsent,
    .on_settled = on_nothing,
    .on_writable = on_slot,
    .on_closed = on_closed,
    .on_connect_failed = on_connect_failed,
    .on_turn_end = on_nothing,
};

static void listen_on(struct dialer *dialer, const char *address, int backlog)
{
    const struct fw_sock_listen_options options = {.backlog = backlog};
    int status = fw_sock_address_parse(address, &dialer->server);
    if (status == 0)
        status = fw_sock_listen(&dialer->server, &options, &dialer->listen_fd);
    if (status == 0)
        status = fw_sock_address_bound(dialer->listen_fd, &dialer->server);
    MUST(status == 0, "listening on %s: %s", address, strerror(-status));
}

static struct dialer *create(enum fw_engine_kind kind, uint32_t slots, uint32_t connects,
                             const char *address)
{
    struct dialer *dialer = calloc(1, sizeof *dialer);
    MUST(dialer != NULL, "out of memory");
    const struct fw_engine_options options = {.slots_max = slots,
                                              .connects_max = connects,
                                              .receive_bytes = 256 * 1024,
                                              .owner = dialer,
                                              .events = &events};
    int status = fw_engine_create(kind, &options, &dialer->engine);
    MUST(status == 0, "fw_engine_create: %s", strerror(-status));
    listen_on(dialer, address, 4096);
    return dialer;
}

static void destroy(struct dialer *dialer)
{
    fw_engine_destroy(dialer->engine);
    if (dialer->listen_fd >= 0)
        close(dialer->listen_fd);
    if (dialer->server.at.any.sa_family == AF_UNIX)
        unlink(dialer->server.at.local.sun_path);
    free(dialer);
}

static void turn(struct dialer *dialer, int timeout_ms)
{
    dialer->in_turn = true;
    int status = fw_engine_turn(dialer->engine, timeout_ms);
    dialer->in_turn = false;
    MUST(status == 0, "fw_engine_turn: %s", strerror(-status));
}

#define TURN_UNTIL(dialer, condition)                                                              \
    do {                                                                                           \
        uint64_t until_ms = rig_clock_ms() + RIG_PATIENCE_MS;                                      \
        while (!(condition)) {                                                                     \
            MUST(rig_clock_ms() < until_ms, "%s: not after %d s", #condition,                      \
                 RIG_PATIENCE_MS / 1000);                                                          \
            turn(dialer, 10);                                                                      \
        }                                                                                          \
    } while (0)

/* Takes the next connection that waits at the listener; the descriptor, or -1. */
static int take(struct dialer *dialer)
{
    return accept4(dialer->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static const char *local_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "unix:/tmp/engine_connect.%d", (int)getpid());
    return path;
}

/* The address of a port where nobody listens. */
static void nobody_listens(struct dialer *dialer)
{
    close(dialer->listen_fd);
    dialer->listen_fd = -1;
}

/* ---- what works ------------------------------------------------------------------------------ */

static void talk(enum fw_engine_kind kind, const char *address)
{
    struct dialer *dialer = create(kind, 8, 8, address);
    int slot = dial(dialer, 7, 5000);
    cr_assert_geq(slot, 0);
    cr_assert_eq(dialer->adopted_count, 0u, "not from inside the call");
    TURN_UNTIL(dialer, dialer->adopted_count == 1);
    int peer = take(dialer);
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
    destroy(dialer);
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
    talk(kind, local_path());
}

/* A server that speaks first, and ends at once: nothing of that is lost to the adoption. */
ENGINE_TEST(engine_connect, what_the_server_says_at_once_is_received)
{
    struct dialer *dialer = create(kind, 4, 4, "127.0.0.1:0");
    cr_assert_geq(dial(dialer, 1, 0), 0);
    int peer = -1;
    TURN_UNTIL(dialer, (peer = take(dialer)) >= 0);
    cr_assert_eq(send(peer, "welcome", 7, MSG_NOSIGNAL), 7);
    close(peer);
    TURN_UNTIL(dialer, dialer->attempts[1].ended == 1);
    cr_assert_eq(dialer->attempts[1].received_bytes, 7u);
    cr_assert_eq(dialer->attempts[1].end_status, 0);
    destroy(dialer);
}

/* Paused from inside on_adopted: nothing comes before the resume, and everything after it. */
ENGINE_TEST(engine_connect, paused_at_its_adoption_is_received_from_when_resumed)
{
    struct dialer *dialer = create(kind, 4, 4, "127.0.0.1:0");
    dialer->deed = PAUSE;
    int slot = dial(dialer, 1, 0);
    TURN_UNTIL(dialer, dialer->adopted_count == 1);
    int peer = take(dialer);
    cr_assert_eq(send(peer, "early", 5, MSG_NOSIGNAL), 5);
    for (unsigned i = 0; i < 20; i++)
        turn(dialer, 2);
    cr_assert_eq(dialer->attempts[1].received_bytes, 0u);
    fw_engine_resume(dialer->engine, (uint32_t)slot);
    TURN_UNTIL(dialer, dialer->attempts[1].received_bytes == 5);
    fw_engine_pause(dialer->engine, (uint32_t)slot);
    turn(dialer, 2);
    turn(dialer, 2);
    cr_assert_eq(send(peer, "later", 5, MSG_NOSIGNAL), 5);
    for (unsigned i = 0; i < 20; i++)
        turn(dialer, 2);
    cr_assert_eq(dialer->attempts[1].received_bytes, 5u);
    fw_engine_resume(dialer->engine, (uint32_t)slot);
    TURN_UNTIL(dialer, dialer->attempts[1].received_bytes == 10);
    close(peer);
    destroy(dialer);
}

/* Nagle's algorithm would hold the second of two small sends until the first is acknowledged. */
ENGINE_TEST(engine_connect, small_sends_are_not_delayed)
{
    struct dialer *dialer = create(kind, 4, 4, "127.0.0.1:0");
    int slot = dial(dialer, 1, 0);
    TURN_UNTIL(dialer, dialer->adopted_count == 1);
    int peer = take(dialer);
    const int none = 0;
    (void)setsockopt(peer, IPPROTO_TCP, TCP_QUICKACK, &none, sizeof none);
    for (unsigned i = 0; i < 20; i++) {
        const struct iovec octet = {.iov_base = (void *)(uintptr_t) "x", .iov_len = 1};
        fw_engine_send(dialer->engine, (uint32_t)slot, &octet, 1);
        turn(dialer, 0); /* hands it to the kernel */
        turn(dialer, 0);
        char bytes[4];
        /* On loopback what was sent is there: the send itself delivered it. */
        cr_assert_eq(recv(peer, bytes, sizeof bytes, 0), 1, "send %u was held back", i);
    }
    close(peer);
    destroy(dialer);
}

/* RST, and no TIME_WAIT of ours: the peer's read fails. */
ENGINE_TEST(engine_connect, an_abort_resets)
{
    struct dialer *dialer = create(kind, 4, 4, "127.0.0.1:0");
    int slot = dial(dialer, 1, 0);
    TURN_UNTIL(dialer, dialer->adopted_count == 1);
    int peer = take(dialer);
    fw_engine_close(dialer->engine, (uint32_t)slot, true);
    TURN_UNTIL(dialer, dialer->closed_count == 1);
    char byte;
    ssize_t result = -1;
    TURN_UNTIL(dialer, (result = recv(peer, &byte, 1, 0)) == 0 || errno != EAGAIN);
    cr_assert_eq(result, -1);
    cr_assert_eq(errno, ECONNRESET);
    close(peer);
    destroy(dialer);
}

/* ---- what does not --------------------------------------------------------------------------- */

static void refuse(enum fw_engine_kind kind, const char *address)
{
    struct dialer *dialer = create(kind, 4, 4, address);
    nobody_listens(dialer);
    cr_assert_geq(dial(dialer, 3, 5000), 0);
    TURN_UNTIL(dialer, dialer->failed_count == 1);
    cr_assert_eq(dialer->attempts[3].status, -ECONNREFUSED, "%s",
                 strerror(-dialer->attempts[3].status));
    cr_assert_eq(dialer->adopted_count, 0u);
    destroy(dialer);
}

ENGINE_TEST(engine_connect, a_port_where_nobody_listens_refuses)
{
    refuse(kind, "127.0.0.1:0");
}

ENGINE_TEST(engine_connect, a_path_where_nobody_listens_refuses)
{
    refuse(kind, local_path());
}

ENGINE_TEST(engine_connect, a_path_that_is_not_there_fails)
{
    struct dialer *dialer = create(kind, 4, 4, "127.0.0.1:0");
    cr_assert_eq(fw_sock_address_parse("unix:/nowhere/at/all", &dialer->server), 0);
    cr_assert_geq(dial(dialer, 3, 5000), 0);
    TURN_UNTIL(dialer, dialer->failed_count == 1);
    cr_assert_eq(dialer->attempts[3].status, -ENOENT);
    destroy(dialer);
}

/* A family that there are no stream sockets of: the socket itself is refused. */
ENGINE_TEST(engine_connect, a_socket_that_cannot_be_made_fails)
{
    struct dialer *dialer = create(kind, 1, 1, "127.0.0.1:0");
    dialer->server.at.any.sa_family = AF_MAX - 1;
    for (unsigned round = 0; round < 10; round++) {
        cr_assert_geq(dial(dialer, round, 5000), 0, "the only slot is free again");
        TURN_UNTIL(dialer, dialer->failed_count == round + 1);
        cr_assert_eq(dialer->attempts[round].status, -EAFNOSUPPORT);
    }
    destroy(dialer);
}

ENGINE_TEST(engine_connect, an_address_of_no_size_is_refused_at_once)
{
    struct dialer *dialer = create(kind, 1, 1, "127.0.0.1:0");
    dialer->server.bytes = 0;
    cr_assert_eq(dial(dialer, 0, 0), -EINVAL);
    dialer->server.bytes = sizeof(struct sockaddr_storage) + 1;
    cr_assert_eq(dial(dialer, 0, 0), -EINVAL);
    destroy(dialer);
}

/* A backlog of one that is full: SYNs are dropped, and nobody answers. */
static void fill(struct dialer *dialer, int *fillers, unsigned count)
{
    close(dialer->listen_fd);
    listen_on(dialer, "127.0.0.1:0", 1);
    for (unsigned i = 0; i < count; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], &dialer->server.at.any, dialer->server.bytes);
    }
}

enum { FILLERS = 8 };

ENGINE_TEST(engine_connect, a_server_that_never_answers_times_out)
{
    struct dialer *dialer = create(kind, 1, 1, "127.0.0.1:0");
    int fillers[FILLERS];
    fill(dialer, fillers, FILLERS);
    uint64_t before_ms = rig_clock_ms();
    cr_assert_geq(dial(dialer, 5, 200), 0);
    uint32_t turns = 0;
    while (dialer->failed_count == 0) {
        turn(dialer, -1); /* an engine that waits for ever wakes by itself */
        turns++;
    }
    uint64_t took_ms = rig_clock_ms() - before_ms;
    cr_assert_eq(dialer->attempts[5].status, -ETIMEDOUT);
    cr_assert(took_ms >= 200 && took_ms < 2000, "took %llu ms", (unsigned long long)took_ms);
    cr_assert_leq(turns, 30u, "%u turns: something spins", turns);
    cr_assert_geq(dial(dialer, 6, 200), 0, "the slot is free again");
    for (unsigned i = 0; i < FILLERS; i++)
        close(fillers[i]);
    destroy(dialer);
}

/* Closed while it is connecting, before or after the kernel has heard of it. */
ENGINE_TEST(engine_connect, may_be_closed_while_it_connects)
{
    struct dialer *dialer = create(kind, 1, 1, "127.0.0.1:0");
    int fillers[FILLERS];
    fill(dialer, fillers, FILLERS);
    for (unsigned round = 0; round < 20; round++) {
        int slot = dial(dialer, round, round % 2 * 5000);
        cr_assert_eq(slot, 0);
        for (unsigned i = 0; i < round % 4; i++)
            turn(dialer, 0);
        fw_engine_close(dialer->engine, 0, round % 3 == 0);
        TURN_UNTIL(dialer, dialer->closed_count == round + 1);
    }
    cr_assert_eq(dialer->failed_count, 0u);
    cr_assert_eq(dialer->adopted_count, 0u);
    for (unsigned i = 0; i < FILLERS; i++)
        close(fillers[i]);
    destroy(dialer);
}

/* The same where the connect succeeds: whichever comes first, the slot dies once. */
ENGINE_TEST(engine_connect, a_close_meets_the_success)
{
    struct dialer *dialer = create(kind, 1, 1, "127.0.0.1:0");
    for (unsigned round = 0; round < 50; round++) {
        cr_assert_eq(dial(dialer, round, 5000), 0);
        for (unsigned i = 0; i < round % 3; i++)
            turn(dialer, 0);
        fw_engine_close(dialer->engine, 0, round % 2 == 0);
        TURN_UNTIL(dialer, dialer->closed_count == round + 1);
        int peer = take(dialer);
        if (peer >= 0)
            close(peer);
    }
    cr_assert_eq(dialer->failed_count, 0u);
    destroy(dialer);
}

ENGINE_TEST(engine_connect, may_be_closed_from_its_adoption)
{
    struct dialer *dialer = create(kind, 2, 2, "127.0.0.1:0");
    dialer->deed = CLOSE_AT_ONCE;
    for (uint32_t round = 0; round < 50; round++) {
        cr_assert_geq(dial(dialer, round, 5000), 0);
        TURN_UNTIL(dialer, dialer->closed_count == round + 1);
        close(take(dialer));
    }
    cr_assert_eq(dialer->adopted_count, 50u);
    destroy(dialer);
}

ENGINE_TEST(engine_connect, a_full_table_refuses_and_goes_on)
{
    enum { SLOTS = 5 };
    struct dialer *dialer = create(kind, SLOTS, SLOTS, "127.0.0.1:0");
    for (uint32_t tag = 0; tag < SLOTS; tag++)
        cr_assert_geq(dial(dialer, tag, 0), 0);
    cr_assert_eq(dial(dialer, SLOTS, 0), -ENFILE);
    TURN_UNTIL(dialer, dialer->adopted_count == SLOTS);
    cr_assert_eq(dial(dialer, SLOTS, 0), -ENFILE);
    fw_engine_close(dialer->engine, dialer->attempts[2].slot - 1, false);
    TURN_UNTIL(dialer, dialer->closed_count == 1);
    cr_assert_geq(dial(dialer, SLOTS, 0), 0);
    TURN_UNTIL(dialer, dialer->adopted_count == SLOTS + 1);
    destroy(dialer);
}

ENGINE_TEST(engine_connect, without_slots_for_it_is_refused)
{
    struct dialer *dialer = create(kind, 4, 0, "127.0.0.1:0");
    cr_assert_eq(dial(dialer, 0, 0), -ENFILE);
    destroy(dialer);
}

/* The slot of a failed connect may be used from inside on_connect_failed. */
ENGINE_TEST(engine_connect, may_be_tried_again_from_its_failure)
{
    struct dialer *dialer = create(kind, 1, 1, "127.0.0.1:0");
    nobody_listens(dialer);
    dialer->deed = RETRY;
    dialer->retries = 100;
    cr_assert_geq(dial(dialer, 0, 1000), 0);
    TURN_UNTIL(dialer, dialer->failed_count == 101);
    destroy(dialer);
}

/* A path whose backlog is full answers EAGAIN, and tells nobody when it is not: it is waited for
 * all the same. */
ENGINE_TEST(engine_connect, waits_for_room_in_a_paths_backlog)
{
    enum { ROOM = 2, WAITING = 6 };
    struct dialer *dialer = create(kind, WAITING, WAITING, "127.0.0.1:0");
    close(dialer->listen_fd);
    listen_on(dialer, local_path(), ROOM);
    for (uint32_t tag = 0; tag < WAITING; tag++)
        cr_assert_geq(dial(dialer, tag, 10000), 0);
    for (unsigned i = 0; i < 20; i++)
        turn(dialer, 5);
    cr_assert_lt(dialer->adopted_count, (uint32_t)WAITING, "the backlog is full");
    cr_assert_eq(dialer->failed_count, 0u);
    TURN_UNTIL(dialer, (close(take(dialer)), dialer->adopted_count == WAITING));
    destroy(dialer);
}

/* The kernel's background closes what a destroyed ring had; nothing is told any more. */
ENGINE_TEST(engine_connect, destroyed_while_connecting_leaves_nothing_open)
{
    enum { DIALED = 20 };
    unsigned before = rig_descriptors();
    struct dialer *dialer = create(kind, DIALED, DIALED, "127.0.0.1:0");
    int fillers[FILLERS];
    fill(dialer, fillers, FILLERS);
    for (uint32_t tag = 0; tag < DIALED; tag++) {
        cr_assert_geq(dial(dialer, tag, tag * 1000), 0);
        if (tag == DIALED / 2)
            turn(dialer, 0);
    }
    destroy(dialer);
    for (unsigned i = 0; i < FILLERS; i++)
        close(fillers[i]);
    for (unsigned i = 0; i < 2000 && rig_descriptors() > before; i++)
        usleep(1000);
    cr_assert_eq(rig_descriptors(), before);
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
    struct dialer *dialer = create(kind, 2 * EACH, EACH, "127.0.0.1:0");
    const struct fw_engine_options options = {
        .slots_max = 8, .receive_bytes = 65536, .owner = dialer, .events = &acceptor_events};
    struct fw_engine *acceptor;
    cr_assert_eq(fw_engine_create(kind, &options, &acceptor), 0);
    cr_assert_eq(fw_engine_listen(acceptor, dialer->listen_fd), 0);
    for (uint32_t tag = 0; tag < EACH; tag++)
        cr_assert_geq(dial(dialer, tag, 0), 0);
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
    destroy(dialer);
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
        cr_assert_geq(dial(dialer, storm->dialed, 20000), 0);
    for (int peer; (peer = take(dialer)) >= 0;)
        storm->peers[storm->taken++] = peer;
    return dialer->adopted_count == CONNECTS && storm->taken == CONNECTS;
}

/* Thousands at once, as a load generator opens them, through one small listener. */
ENGINE_TEST(engine_connect, opens_thousands_at_once)
{
    if (fw_engine_slots_limit(FW_ENGINE_EPOLL) < 2 * CONNECTS + 64)
        cr_skip_test("RLIMIT_NOFILE is under %d", 2 * CONNECTS + 64);
    struct dialer *dialer = create(kind, CONNECTS, CONNECTS, "127.0.0.1:0");
    struct storm *storm = calloc(1, sizeof *storm);
    cr_assert_not_null(storm);
    dialer->deed = PAUSE;
    TURN_UNTIL(dialer, storm_goes_on(dialer, storm));
    cr_assert_eq(dialer->failed_count, 0u);
    cr_assert_eq(dial(dialer, CONNECTS, 0), -ENFILE);
    for (uint32_t tag = 0; tag < CONNECTS; tag++) {
        cr_assert_eq(dialer->attempts[tag].adopted, 1u);
        fw_engine_close(dialer->engine, dialer->attempts[tag].slot - 1, true);
    }
    TURN_UNTIL(dialer, dialer->closed_count == CONNECTS);
    for (unsigned i = 0; i < CONNECTS; i++)
        close(storm->peers[i]);
    free(storm);
    destroy(dialer);
}
