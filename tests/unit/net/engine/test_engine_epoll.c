/* test_engine_epoll.c: what is the epoll engine's alone: its creation, its memory, its listeners.
 *
 * What every engine must do is in tests/integration/test_engine_contract_*.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/engine_epoll.h"

#include "base/mem.h"
#include "net/engine/sock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* ---- an owner that only counts --------------------------------------------------------------- */

struct owner {
    struct fw_engine *engine;
    uint32_t slot;
    unsigned adopted;
    unsigned closed;
    unsigned received;
    unsigned accepted;
    uint32_t ticket;
};

static void on_adopted(void *context, uint32_t slot, uint32_t tag)
{
    struct owner *owner = context;
    owner->slot = slot;
    owner->adopted++;
    (void)tag;
}

static void on_received(void *context, uint32_t slot, uint8_t *bytes, size_t bytes_count)
{
    struct owner *owner = context;
    owner->received += (unsigned)bytes_count;
    (void)slot;
    (void)bytes;
}

static void on_ended(void *context, uint32_t slot, int status)
{
    (void)context;
    (void)slot;
    (void)status;
}

static void on_closed(void *context, uint32_t slot)
{
    struct owner *owner = context;
    owner->closed++;
    (void)slot;
}

static void on_accepted(void *context, uint32_t ticket, const struct sockaddr *peer,
                        socklen_t peer_bytes)
{
    struct owner *owner = context;
    owner->accepted++;
    owner->ticket = ticket;
    (void)peer;
    (void)peer_bytes;
}

static void on_handed_over(void *context, uint32_t ticket, int status)
{
    (void)context;
    (void)ticket;
    (void)status;
}

static const struct fw_engine_events events = {
    .on_adopted = on_adopted,
    .on_received = on_received,
    .on_ended = on_ended,
    .on_closed = on_closed,
    .on_accepted = on_accepted,
    .on_handed_over = on_handed_over,
};

static int create(struct owner *owner, uint32_t slots_max)
{
    const struct fw_engine_options options = {
        .slots_max = slots_max, .receive_bytes = 65536, .owner = owner, .events = &events};
    memset(owner, 0, sizeof *owner);
    return fw_engine_epoll_create(&options, &owner->engine);
}

static int open_listener(void)
{
    struct fw_sock_address address;
    int fd = -1;
    cr_assert_eq(fw_sock_address_parse("127.0.0.1:0", &address), 0);
    cr_assert_eq(fw_sock_listen(&address, NULL, &fd), 0);
    return fd;
}

static int connect_to(int listener)
{
    struct fw_sock_address address;
    cr_assert_eq(fw_sock_address_bound(listener, &address), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, &address.at.any, address.bytes), 0, "%s", strerror(errno));
    return fd;
}

static int next_descriptor(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

/* ---- creation -------------------------------------------------------------------------------- */

Test(engine_epoll_create, refuses_more_slots_than_it_can_number)
{
    struct owner owner;
    cr_assert_eq(create(&owner, FW_EPOLL_SLOTS_MAX + 1), FW_ERR_USAGE);
    cr_assert_eq(create(&owner, UINT32_MAX), FW_ERR_USAGE);
}

static unsigned allocations_left;

static int count_down(size_t bytes)
{
    (void)bytes;
    if (allocations_left == 0)
        return 0;
    allocations_left--;
    return 1;
}

/* Allocation k fails, for every k, until creation and listening succeed; nothing stays open. */
Test(engine_epoll_create, every_allocation_may_fail)
{
    int listener = open_listener();
    int before = next_descriptor();
    unsigned k = 0;
    for (bool done = false; !done; k++) {
        struct owner owner;
        allocations_left = k;
        fw_mem_hook(count_down);
        int status = create(&owner, 16);
        if (status == 0) {
            status = fw_engine_listen(owner.engine, listener);
            done = status == 0;
            fw_engine_destroy(owner.engine);
        }
        fw_mem_hook(NULL);
        cr_assert(done || status == -ENOMEM, "allocation %u: %s", k, fw_status_name(status));
        cr_assert_eq(next_descriptor(), before, "allocation %u left a descriptor open", k);
    }
    cr_assert_gt(k, 2u);
    close(listener);
}

Test(engine_epoll_create, says_emfile_when_no_descriptor_is_left)
{
    int before = next_descriptor();
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (unsigned spare = 0; spare < 2; spare++) {
        struct owner owner;
        limit.rlim_cur = (rlim_t)before + spare;
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        cr_assert_eq(create(&owner, 16), -EMFILE, "%u descriptors are left", spare);
    }
    limit.rlim_cur = (rlim_t)before + 10;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(next_descriptor(), before);
}

static size_t resident_bytes(void)
{
    unsigned long total = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%lu %lu", &total, &resident), 2);
    fclose(file);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Tables of a million slots are mapped, not filled: they cost memory as they are used. */
Test(engine_epoll_create, a_million_slots_cost_nothing_before_they_are_used)
{
    struct owner small;
    struct owner large;
    cr_assert_eq(create(&small, 16), 0); /* what the allocator and the libraries take at first */
    size_t before = resident_bytes();
    cr_assert_eq(create(&large, 1000000), 0);
    cr_assert_eq(fw_engine_turn(large.engine, 0), 0);
    size_t after = resident_bytes();
    cr_assert_lt(after - before, 1024u * 1024u, "%zu octets", after - before);
    fw_engine_destroy(large.engine);
    fw_engine_destroy(small.engine);
}

/* ---- listeners ------------------------------------------------------------------------------- */

Test(engine_epoll_listen, refuses_what_does_not_listen_or_would_block)
{
    struct owner owner;
    cr_assert_eq(create(&owner, 16), 0);
    int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int blocking = open_listener();
    cr_assert_eq(fcntl(blocking, F_SETFL, 0), 0);
    cr_assert_eq(fw_engine_listen(owner.engine, socket_fd), -EINVAL);
    cr_assert_eq(fw_engine_listen(owner.engine, blocking), -EINVAL);
    cr_assert_eq(fw_engine_listen(owner.engine, 0), -ENOTSOCK);
    cr_assert_eq(fw_engine_listen(owner.engine, -1), -EBADF);
    close(socket_fd);
    close(blocking);
    fw_engine_destroy(owner.engine);
}

Test(engine_epoll_listen, takes_sixteen_listeners_each_once)
{
    struct owner owner;
    int listeners[17];
    cr_assert_eq(create(&owner, 64), 0);
    for (unsigned i = 0; i < 17; i++)
        listeners[i] = open_listener();
    for (unsigned i = 0; i < 16; i++) {
        cr_assert_eq(fw_engine_listen(owner.engine, listeners[i]), 0);
        if (i == 7)
            cr_assert_eq(fw_engine_listen(owner.engine, listeners[0]), -EEXIST);
    }
    cr_assert_eq(fw_engine_listen(owner.engine, listeners[16]), FW_ERR_LIMIT);

    int peers[16];
    for (unsigned i = 0; i < 16; i++)
        peers[i] = connect_to(listeners[i]);
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(fw_engine_turn(owner.engine, 10), 0);
    cr_assert_eq(owner.accepted, 16u);
    fw_engine_destroy(owner.engine);
    for (unsigned i = 0; i < 16; i++)
        close(peers[i]);
}

/* A storm of connections does not keep the turn from its slots. */
Test(engine_epoll_listen, accepts_at_most_64_connections_in_a_turn)
{
    struct owner owner;
    int peers[150];
    cr_assert_eq(create(&owner, 200), 0);
    int listener = open_listener();
    cr_assert_eq(fw_engine_listen(owner.engine, listener), 0);
    for (unsigned i = 0; i < 150; i++)
        peers[i] = connect_to(listener);
    static const unsigned wanted[] = {64, 128, 150, 150};
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(fw_engine_turn(owner.engine, i < 3 ? -1 : 0), 0);
        cr_assert_eq(owner.accepted, wanted[i], "turn %u: %u", i, owner.accepted);
    }
    fw_engine_destroy(owner.engine);
    for (unsigned i = 0; i < 150; i++)
        close(peers[i]);
    close(listener);
}

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The owner may end a listener under the engine (shutdown(2)): it is forgotten, without spinning.
 */
Test(engine_epoll_listen, forgets_a_listener_that_was_shut_down)
{
    struct owner owner;
    cr_assert_eq(create(&owner, 16), 0);
    int listener = open_listener();
    cr_assert_eq(fw_engine_listen(owner.engine, listener), 0);
    cr_assert_eq(shutdown(listener, SHUT_RDWR), 0);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(fw_engine_turn(owner.engine, 0), 0);
    fw_engine_accept_pause(owner.engine);
    fw_engine_accept_resume(owner.engine);
    uint64_t before = clock_ms();
    cr_assert_eq(fw_engine_turn(owner.engine, 50), 0);
    cr_assert_geq(clock_ms() - before, 45u, "the turn did not sleep");
    fw_engine_destroy(owner.engine);
    close(listener);
}

/* One engine may be acceptor and worker in one. */
Test(engine_epoll_listen, hands_over_to_itself)
{
    struct owner owner;
    cr_assert_eq(create(&owner, 16), 0);
    int listener = open_listener();
    cr_assert_eq(fw_engine_listen(owner.engine, listener), 0);
    int peer = connect_to(listener);
    while (owner.accepted == 0)
        cr_assert_eq(fw_engine_turn(owner.engine, -1), 0);
    fw_engine_hand_over(owner.engine, owner.ticket, owner.engine, 0);
    cr_assert_eq(write(peer, "hello", 5), 5);
    while (owner.received < 5)
        cr_assert_eq(fw_engine_turn(owner.engine, -1), 0);
    fw_engine_close(owner.engine, owner.slot, false);
    while (owner.closed == 0)
        cr_assert_eq(fw_engine_turn(owner.engine, -1), 0);
    fw_engine_destroy(owner.engine);
    close(peer);
    close(listener);
}

/* ---- slots ----------------------------------------------------------------------------------- */

/* Numbers that came back are used again before new ones, so that the table's memory follows the
 * connections that are open, not those that ever were. */
Test(engine_epoll_slots, reuses_the_last_freed_number)
{
    struct owner owner;
    cr_assert_eq(create(&owner, 16), 0);
    int listener = open_listener();
    cr_assert_eq(fw_engine_listen(owner.engine, listener), 0);
    for (unsigned i = 1; i <= 100; i++) {
        int peer = connect_to(listener);
        while (owner.accepted < i)
            cr_assert_eq(fw_engine_turn(owner.engine, -1), 0);
        fw_engine_hand_over(owner.engine, owner.ticket, owner.engine, 0);
        while (owner.adopted < i)
            cr_assert_eq(fw_engine_turn(owner.engine, -1), 0);
        cr_assert_eq(owner.slot, 0u);
        fw_engine_close(owner.engine, owner.slot, true);
        while (owner.closed < i)
            cr_assert_eq(fw_engine_turn(owner.engine, -1), 0);
        close(peer);
    }
    cr_assert_eq(fw_epoll_of(owner.engine)->slots_touched, 1u);
    cr_assert_eq(fw_epoll_of(owner.engine)->slots[0].generation, 100u);
    fw_engine_destroy(owner.engine);
    close(listener);
}

/* Adoptions are bounded per turn, and those that are left do not wait for another to come. */
Test(engine_epoll_slots, adopts_more_than_a_turns_share_without_being_woken_again)
{
    enum { ARRIVALS = 600 };
    struct owner owner;
    static int peers[ARRIVALS];
    cr_assert_eq(create(&owner, ARRIVALS), 0);
    for (unsigned i = 0; i < ARRIVALS; i++) {
        int pair[2];
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        peers[i] = pair[0];
        cr_assert_eq(fw_epoll_give(fw_epoll_of(owner.engine), pair[1], i), 0);
    }
    static const unsigned wanted[] = {256, 512, 600};
    for (unsigned i = 0; i < 3; i++) {
        uint64_t before = clock_ms();
        cr_assert_eq(fw_engine_turn(owner.engine, 3000), 0);
        cr_assert_eq(owner.adopted, wanted[i], "turn %u: %u", i, owner.adopted);
        cr_assert_lt(clock_ms() - before, 2500u, "turn %u slept", i);
    }
    fw_engine_destroy(owner.engine);
    for (unsigned i = 0; i < ARRIVALS; i++) {
        char octet;
        cr_assert_eq(read(peers[i], &octet, 1), 0, "connection %u is still open", i);
        close(peers[i]);
    }
}

/* An event whose generation is not the slot's is of an earlier life: a descriptor that a fork, for
 * one, keeps alive stays in the epoll set after we closed ours. */
Test(engine_epoll_slots, ignores_events_of_an_earlier_life)
{
    struct owner owner;
    cr_assert_eq(create(&owner, 16), 0);
    int listener = open_listener();
    cr_assert_eq(fw_engine_listen(owner.engine, listener), 0);
    int first = connect_to(listener);
    while (owner.accepted < 1)
        cr_assert_eq(fw_engine_turn(owner.engine, -1), 0);
    fw_engine_hand_over(owner.engine, owner.ticket, owner.engine, 0);
    while (owner.adopted < 1)
        cr_assert_eq(fw_engine_turn(owner.engine, -1), 0);
    int kept = dup(fw_epoll_of(owner.engine)->slots[owner.slot].fd);
    fw_engine_close(owner.engine, owner.slot, false);
    while (owner.closed < 1)
        cr_assert_eq(fw_engine_turn(owner.engine, -1), 0);

    int second = connect_to(listener);
    while (owner.accepted < 2)
        cr_assert_eq(fw_engine_turn(owner.engine, -1), 0);
    fw_engine_hand_over(owner.engine, owner.ticket, owner.engine, 0);
    while (owner.adopted < 2)
        cr_assert_eq(fw_engine_turn(owner.engine, -1), 0);
    cr_assert_eq(owner.slot, 0u, "the second connection lives in the first one's slot");
    uint64_t stale = fw_engine_stats(owner.engine)->stale_completions;
    cr_assert_eq(write(first, "old", 3), 3);
    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(fw_engine_turn(owner.engine, 10), 0);
    cr_assert_eq(owner.received, 0u, "octets of the first life came in the second");
    cr_assert_gt(fw_engine_stats(owner.engine)->stale_completions, stale);
    cr_assert_eq(write(second, "newer", 5), 5);
    while (owner.received < 5)
        cr_assert_eq(fw_engine_turn(owner.engine, -1), 0);
    close(kept);
    close(first);
    close(second);
    fw_engine_destroy(owner.engine);
    close(listener);
}
