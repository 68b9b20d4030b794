/* test_engine_contract_itself.c: an engine that hands connections over to itself (engine.h): it
 * listens and serves, and connections and tickets may share one table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/engine_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOTS_MAX 64
#define HELD_MAX  4096

/* An owner that listens and echoes: each connection sends 8 octets and has them back. */
struct alone {
    struct fw_engine *engine;
    int listen_fd;
    struct fw_sock_address address;
    bool holds; /* keeps tickets instead of handing them over */
    bool in_call;

    uint32_t held[HELD_MAX];
    uint32_t held_count;
    uint32_t accepted_count;
    uint32_t handed_count;
    uint32_t adopted_count;
    uint32_t closed_count;
    uint32_t ended_count;
    uint32_t pauses;
    int pause_status;

    uint8_t bytes[SLOTS_MAX][8];
    size_t bytes_count[SLOTS_MAX];
    bool owes[SLOTS_MAX];
    bool open[SLOTS_MAX];
    bool closing[SLOTS_MAX];
};

static void hold(struct alone *alone, uint32_t ticket)
{
    cr_assert_lt(alone->held_count, (uint32_t)HELD_MAX);
    alone->held[alone->held_count++] = ticket;
}

static void on_accepted(void *owner, uint32_t ticket, const struct sockaddr *peer,
                        socklen_t peer_bytes)
{
    struct alone *alone = owner;
    cr_assert(peer_bytes >= sizeof(struct sockaddr_in) && peer->sa_family == AF_INET);
    alone->accepted_count++;
    alone->in_call = true;
    if (alone->holds)
        hold(alone, ticket);
    else
        fw_engine_hand_over(alone->engine, ticket, alone->engine, 77);
    alone->in_call = false;
}

static void on_handed_over(void *owner, uint32_t ticket, int status)
{
    struct alone *alone = owner;
    cr_assert_not(alone->in_call, "told from inside a call");
    cr_assert(status == 0 || status == -ENFILE, "%d", status);
    if (status == 0)
        alone->handed_count++;
    else
        hold(alone, ticket); /* it is still ours */
}

static void on_accept_paused(void *owner, int status)
{
    struct alone *alone = owner;
    alone->pauses++;
    alone->pause_status = status;
}

static void on_adopted(void *owner, uint32_t slot, uint32_t tag)
{
    struct alone *alone = owner;
    cr_assert_not(alone->in_call, "told from inside a call");
    cr_assert_lt(slot, (uint32_t)SLOTS_MAX);
    cr_assert_not(alone->open[slot], "slot %u is adopted twice", slot);
    cr_assert_eq(tag, 77u);
    alone->open[slot] = true;
    alone->closing[slot] = false;
    alone->owes[slot] = false;
    alone->bytes_count[slot] = 0;
    alone->adopted_count++;
}

static void on_received(void *owner, uint32_t slot, uint8_t *bytes, size_t bytes_count)
{
    struct alone *alone = owner;
    cr_assert(alone->open[slot]);
    cr_assert_leq(alone->bytes_count[slot] + bytes_count, sizeof alone->bytes[slot]);
    memcpy(alone->bytes[slot] + alone->bytes_count[slot], bytes, bytes_count);
    alone->bytes_count[slot] += bytes_count;
    alone->owes[slot] = alone->bytes_count[slot] == sizeof alone->bytes[slot];
}

static void on_ended(void *owner, uint32_t slot, int status)
{
    struct alone *alone = owner;
    (void)status;
    alone->ended_count++;
    if (!alone->closing[slot]) {
        alone->closing[slot] = true;
        fw_engine_close(alone->engine, slot, true);
    }
}

static void on_unsent(void *owner, uint32_t slot, size_t sent_bytes, int status)
{
    (void)owner, (void)slot, (void)sent_bytes, (void)status; /* its end is told as well */
}

static void on_writable(void *owner, uint32_t slot)
{
    (void)owner, (void)slot;
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static void on_closed(void *owner, uint32_t slot)
{
    struct alone *alone = owner;
    cr_assert(alone->open[slot]);
    alone->open[slot] = false;
    alone->closed_count++;
}

static void on_turn_end(void *owner)
{
    struct alone *alone = owner;
    for (uint32_t slot = 0; slot < SLOTS_MAX; slot++) {
        if (!alone->owes[slot] || alone->closing[slot] || !alone->open[slot])
            continue;
        const struct iovec piece = {alone->bytes[slot], sizeof alone->bytes[slot]};
        alone->owes[slot] = false;
        fw_engine_send(alone->engine, slot, &piece, 1);
    }
}

static const struct fw_engine_events events = {
    .on_adopted = on_adopted,
    .on_received = on_received,
    .on_ended = on_ended,
    .on_unsent = on_unsent,
    .on_settled = on_nothing,
    .on_writable = on_writable,
    .on_closed = on_closed,
    .on_wake = on_nothing,
    .on_turn_end = on_turn_end,
    .on_accepted = on_accepted,
    .on_accept_paused = on_accept_paused,
    .on_handed_over = on_handed_over,
};

static struct alone *begin(enum fw_engine_kind kind, uint32_t slots_max)
{
    struct alone *alone = calloc(1, sizeof *alone);
    cr_assert_not_null(alone);
    const struct fw_engine_options options = {
        .slots_max = slots_max, .receive_bytes = 1024 * 1024, .owner = alone, .events = &events};
    cr_assert_eq(fw_sock_address_resolve("127.0.0.1:0", &alone->address), 0);
    cr_assert_eq(fw_sock_listen(&alone->address, NULL, &alone->listen_fd), 0);
    cr_assert_eq(fw_sock_address_bound(alone->listen_fd, &alone->address), 0);
    cr_assert_eq(fw_engine_create(kind, &options, &alone->engine), 0);
    cr_assert_eq(fw_engine_listen(alone->engine, alone->listen_fd), 0);
    return alone;
}

static void end(struct alone *alone)
{
    fw_engine_destroy(alone->engine);
    close(alone->listen_fd);
    free(alone);
}

/* Turns until the condition holds. */
#define TURN_UNTIL(alone, condition)                                                               \
    do {                                                                                           \
        uint64_t until_ms = rig_clock_ms() + RIG_PATIENCE_MS;                                      \
        while (!(condition)) {                                                                     \
            cr_assert_lt(rig_clock_ms(), until_ms, "it never came true that " #condition);         \
            cr_assert_eq(fw_engine_turn((alone)->engine, 1), 0);                                   \
        }                                                                                          \
    } while (0)

/* A client; the kernel's backlog takes it whether or not it is accepted. */
static int dial(const struct alone *alone)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, &alone->address.at.any, alone->address.bytes), 0);
    return fd;
}

static void say(int fd, uint64_t number)
{
    cr_assert_eq(send(fd, &number, sizeof number, MSG_NOSIGNAL), (ssize_t)sizeof number);
}

static bool hears(int fd, uint64_t number)
{
    uint64_t heard = 0;
    if (recv(fd, &heard, sizeof heard, MSG_DONTWAIT | MSG_PEEK) < (ssize_t)sizeof heard)
        return false;
    cr_assert_eq(heard, number);
    return true;
}

ENGINE_TEST(engine_itself, serves_what_it_accepts)
{
    enum { PEERS = 40 };
    struct alone *alone = begin(kind, SLOTS_MAX);
    int peers[PEERS];
    for (unsigned i = 0; i < PEERS; i++) {
        peers[i] = dial(alone);
        if (i % 2 == 0)
            say(peers[i], i); /* before it is accepted */
    }
    TURN_UNTIL(alone, alone->adopted_count == PEERS && alone->handed_count == PEERS);
    for (unsigned i = 1; i < PEERS; i += 2)
        say(peers[i], i);
    for (unsigned i = 0; i < PEERS; i++)
        TURN_UNTIL(alone, hears(peers[i], i));
    for (unsigned i = 0; i < PEERS; i++)
        close(peers[i]);
    TURN_UNTIL(alone, alone->closed_count == PEERS);
    end(alone);
}

/* Tickets that are kept, and handed over or refused between turns. */
ENGINE_TEST(engine_itself, adopts_tickets_between_turns)
{
    enum { PEERS = 9 };
    struct alone *alone = begin(kind, SLOTS_MAX);
    int peers[PEERS];
    alone->holds = true;
    for (unsigned i = 0; i < PEERS; i++) {
        peers[i] = dial(alone);
        say(peers[i], i);
        TURN_UNTIL(alone, alone->held_count == i + 1);
    }
    for (unsigned i = 0; i < PEERS; i++) {
        alone->in_call = true; /* nothing may be told by these calls */
        if (i % 3 == 0)
            fw_engine_refuse(alone->engine, alone->held[i]);
        else
            fw_engine_hand_over(alone->engine, alone->held[i], alone->engine, 77);
        alone->in_call = false;
    }
    TURN_UNTIL(alone, alone->adopted_count == 6 && alone->handed_count == 6);
    for (unsigned i = 0; i < PEERS; i++) {
        if (i % 3 != 0) {
            TURN_UNTIL(alone, hears(peers[i], i));
        } else { /* FIN, or RST for what was not read */
            struct pollfd over = {.fd = peers[i], .events = POLLIN | POLLRDHUP};
            TURN_UNTIL(alone, poll(&over, 1, 0) == 1);
        }
        close(peers[i]);
    }
    TURN_UNTIL(alone, alone->closed_count == 6);
    end(alone);
}

static void place_held(struct alone *alone)
{
    uint32_t count = alone->held_count;
    alone->held_count = 0;
    for (uint32_t i = 0; i < count; i++)
        fw_engine_hand_over(alone->engine, alone->held[i], alone->engine, 77);
}

/* More than fit: those that do not wait, cost nothing, and come in as others leave. */
ENGINE_TEST(engine_itself, has_the_others_wait_when_it_is_full)
{
    enum { SLOTS = 4, PEERS = 12 };
    struct alone *alone = begin(kind, SLOTS);
    int peers[PEERS];
    unsigned turns = 0;
    for (unsigned i = 0; i < PEERS; i++) {
        peers[i] = dial(alone);
        say(peers[i], i);
    }
    TURN_UNTIL(alone,
               alone->adopted_count == SLOTS && (alone->held_count > 0 || alone->pauses > 0));
    for (uint64_t until_ms = rig_clock_ms() + 300; rig_clock_ms() < until_ms; turns++)
        cr_assert_eq(fw_engine_turn(alone->engine, 50), 0);
    cr_assert_leq(turns, 40u, "%u turns in 300 ms: it spins", turns);
    cr_assert_eq(alone->adopted_count, (uint32_t)SLOTS);
    for (unsigned i = 0; i < PEERS; i++) {
        uint32_t closed = alone->closed_count;
        TURN_UNTIL(alone, hears(peers[i], i));
        close(peers[i]);
        TURN_UNTIL(alone, alone->closed_count == closed + 1);
        place_held(alone);
        fw_engine_accept_resume(alone->engine);
    }
    cr_assert_eq(alone->adopted_count, (uint32_t)PEERS);
    end(alone);
}

/* The kernel reuses an index as soon as it is closed, we only after its last completion. */
ENGINE_TEST(engine_itself, reuses_slots_quickly)
{
    enum { ROUNDS = 600, PEERS = 3 };
    struct alone *alone = begin(kind, PEERS);
    for (unsigned i = 0; i < ROUNDS; i++) {
        int peers[PEERS];
        for (unsigned j = 0; j < PEERS; j++) {
            peers[j] = dial(alone);
            say(peers[j], i * PEERS + j);
        }
        for (unsigned j = 0; j < PEERS; j++) {
            TURN_UNTIL(alone, (place_held(alone), fw_engine_accept_resume(alone->engine),
                               hears(peers[j], i * PEERS + j)));
            close(peers[j]);
        }
    }
    TURN_UNTIL(alone, alone->closed_count == ROUNDS * PEERS);
    cr_assert_eq(alone->adopted_count, (uint32_t)(ROUNDS * PEERS));
    cr_assert_eq(fw_engine_stats(alone->engine)->accepted, (uint64_t)(ROUNDS * PEERS));
    end(alone);
}
