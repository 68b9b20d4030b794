/* engine.c: the calls of engine.h, passed on to the implementation that runs, and the choice of it.
 *
 * The choice is made by trying: two small engines of the wanted kind are made on this thread, one
 * accepts a connection and hands it to the other, bytes go there and back, the peer's end is seen
 * and the slot dies, and the other connects, too. What a container's seccomp filter, a sysctl or an
 * old kernel forbids shows there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/engine_ops.h"

#include "base/check.h"
#include <fanwire/status.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

/* Descriptors that a process needs besides its connections: listeners, logs, rings, wake-ups. */
#define DESCRIPTORS_RESERVED 64
/* The self-test's turns and patience: everything it does is local and done in one or two. */
#define SELF_TEST_TURNS_MAX 50
#define SELF_TEST_WAIT_MS   20
#define SELF_TEST_SLOTS     8
#define SELF_TEST_MEMORY    ((uint32_t)64 * 1024)

void fw_engine_destroy(struct fw_engine *engine)
{
    if (engine != NULL)
        engine->ops->destroy(engine);
}

int fw_engine_turn(struct fw_engine *engine, int timeout_ms)
{
    return engine->ops->turn(engine, timeout_ms);
}

uint64_t fw_engine_now_ms(const struct fw_engine *engine)
{
    return engine->now_ms;
}

void fw_engine_gather(struct fw_engine *engine, uint32_t events, uint32_t wait_us)
{
    fw_assert(events <= FW_ENGINE_GATHER_MAX);
    if (engine->ops->gather != NULL)
        engine->ops->gather(engine, events, wait_us);
}

void fw_engine_wake(struct fw_engine *engine)
{
    engine->ops->wake(engine);
}

void fw_engine_send(struct fw_engine *engine, uint32_t slot, const struct iovec *pieces,
                    unsigned pieces_count)
{
    engine->ops->send(engine, slot, pieces, pieces_count);
}

bool fw_engine_keep(struct fw_engine *engine)
{
    return engine->ops->keep != NULL && engine->ops->keep(engine);
}

void fw_engine_pause(struct fw_engine *engine, uint32_t slot)
{
    engine->ops->pause(engine, slot);
}

void fw_engine_resume(struct fw_engine *engine, uint32_t slot)
{
    engine->ops->resume(engine, slot);
}

void fw_engine_shutdown(struct fw_engine *engine, uint32_t slot)
{
    engine->ops->shutdown(engine, slot);
}

void fw_engine_close(struct fw_engine *engine, uint32_t slot, bool abort)
{
    engine->ops->close(engine, slot, abort);
}

int fw_engine_listen(struct fw_engine *engine, int listen_fd)
{
    return engine->ops->listen(engine, listen_fd);
}

void fw_engine_accept_pause(struct fw_engine *engine)
{
    engine->ops->accept_pause(engine);
}

void fw_engine_accept_resume(struct fw_engine *engine)
{
    engine->ops->accept_resume(engine);
}

void fw_engine_hand_over(struct fw_engine *engine, uint32_t ticket, struct fw_engine *target,
                         uint32_t tag)
{
    engine->ops->hand_over(engine, ticket, target, tag);
}

uint32_t fw_engine_accepted_by(const struct fw_engine *engine)
{
    return engine->accepted_by;
}

void fw_engine_refuse(struct fw_engine *engine, uint32_t ticket)
{
    engine->ops->refuse(engine, ticket);
}

int fw_engine_connect(struct fw_engine *engine, const struct sockaddr *peer, socklen_t peer_bytes,
                      uint32_t tag, uint32_t timeout_ms)
{
    if (peer_bytes < sizeof peer->sa_family || peer_bytes > sizeof(struct sockaddr_storage))
        return -EINVAL;
    return engine->ops->connect(engine, peer, peer_bytes, tag, timeout_ms);
}

const struct fw_engine_stats *fw_engine_stats(const struct fw_engine *engine)
{
    return &engine->stats;
}

const char *fw_engine_kind_name(enum fw_engine_kind kind)
{
    switch (kind) {
    case FW_ENGINE_AUTO:
        return "auto";
    case FW_ENGINE_URING:
        return "uring";
    case FW_ENGINE_EPOLL:
        return "epoll";
    }
    return "unknown";
}

int fw_engine_create(enum fw_engine_kind kind, const struct fw_engine_options *options,
                     struct fw_engine **engine_out)
{
    fw_assert(options->slots_max > 0);
    return kind == FW_ENGINE_URING ? fw_engine_uring_create(options, engine_out)
                                   : fw_engine_epoll_create(options, engine_out);
}

/* IORING_MAX_FIXED_FILES of the kernel (io_uring/rsrc.h). */
#define RING_FILES_MAX (1u << 20)

uint32_t fw_engine_slots_limit(enum fw_engine_kind kind)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > UINT32_MAX / 2)
        limit.rlim_cur = UINT32_MAX / 2;
    uint32_t files = (uint32_t)limit.rlim_cur;
    /* A ring's table is its own; epoll's connections share the process's with everything else. */
    if (kind == FW_ENGINE_URING)
        return files < RING_FILES_MAX ? files : RING_FILES_MAX;
    return files > 2 * DESCRIPTORS_RESERVED ? files - DESCRIPTORS_RESERVED : files / 2;
}

/* ---- the self-test --------------------------------------------------------------------------- */

/* What the two engines of the test have seen so far. */
struct self_test {
    struct fw_engine *acceptor;
    struct fw_engine *worker;
    uint32_t slot;
    int handed_over; /* 1: not told yet */
    int connected;   /* the same; the tag of a connect is 8, of a hand-over 7 */
    bool adopted;
    bool echoed;
    bool ended;
    bool closed;
};

static void test_accepted(void *owner, uint32_t ticket, const struct sockaddr *peer,
                          socklen_t peer_bytes)
{
    struct self_test *test = owner;
    (void)peer;
    (void)peer_bytes;
    fw_engine_hand_over(test->acceptor, ticket, test->worker, 7);
}

static void test_paused(void *owner, int status)
{
    ((struct self_test *)owner)->handed_over = status;
}

static void test_handed_over(void *owner, uint32_t ticket, int status)
{
    (void)ticket;
    ((struct self_test *)owner)->handed_over = status;
}

static void test_adopted(void *owner, uint32_t slot, uint32_t tag)
{
    struct self_test *test = owner;
    if (tag == 8) {
        test->connected = 0;
        return;
    }
    test->slot = slot;
    test->adopted = tag == 7;
}

static void test_connect_failed(void *owner, uint32_t tag, int status)
{
    (void)tag;
    ((struct self_test *)owner)->connected = status;
}

static void test_received(void *owner, uint32_t slot, uint8_t *bytes, size_t bytes_count)
{
    struct self_test *test = owner;
    static const char pong[] = "pong";
    if (bytes_count == 4 && memcmp(bytes, "ping", 4) == 0) {
        struct iovec piece = {.iov_base = (void *)(uintptr_t)pong, .iov_len = 4};
        fw_engine_send(test->worker, slot, &piece, 1);
    }
}

static void test_ended(void *owner, uint32_t slot, int status)
{
    struct self_test *test = owner;
    test->ended = status == 0;
    fw_engine_close(test->worker, slot, false);
}

static void test_closed(void *owner, uint32_t slot)
{
    (void)slot;
    ((struct self_test *)owner)->closed = true;
}

static void test_unsent(void *owner, uint32_t slot, size_t sent_bytes, int status)
{
    (void)owner;
    (void)slot;
    (void)sent_bytes;
    (void)status; /* "pong" then never comes, and the test says so */
}

static void test_nothing(void *owner)
{
    (void)owner;
}

static void test_writable(void *owner, uint32_t slot)
{
    (void)owner;
    (void)slot;
}

static const struct fw_engine_events self_test_events = {
    .on_adopted = test_adopted,
    .on_received = test_received,
    .on_ended = test_ended,
    .on_unsent = test_unsent,
    .on_settled = test_nothing,
    .on_writable = test_writable,
    .on_closed = test_closed,
    .on_connect_failed = test_connect_failed,
    .on_wake = test_nothing,
    .on_turn_end = test_nothing,
    .on_accepted = test_accepted,
    .on_accept_paused = test_paused,
    .on_handed_over = test_handed_over,
};

/* A listening socket on an address that the kernel makes up, and a client connected to it. */
static int open_pair(int *listener_out, int *client_out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t bytes = sizeof address.sun_family;
    *client_out = -1;
    *listener_out = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*listener_out < 0 || bind(*listener_out, (struct sockaddr *)&address, bytes) != 0)
        return -errno;
    bytes = sizeof address;
    if (listen(*listener_out, 1) != 0 ||
        getsockname(*listener_out, (struct sockaddr *)&address, &bytes) != 0)
        return -errno;
    *client_out = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*client_out < 0 || connect(*client_out, (struct sockaddr *)&address, bytes) != 0)
        return -errno;
    return 0;
}

/* The client's side: "ping" is sent when the connection was adopted, "pong" awaited, then it ends.
 */
static int test_conversation(struct self_test *test, int client)
{
    bool asked = false;
    for (int turn = 0; turn < SELF_TEST_TURNS_MAX && !test->closed; turn++) {
        int result = fw_engine_turn(test->acceptor, test->handed_over == 1 ? SELF_TEST_WAIT_MS : 0);
        if (result == 0)
            result = fw_engine_turn(test->worker, SELF_TEST_WAIT_MS);
        if (result < 0 || test->handed_over < 0)
            return result < 0 ? result : test->handed_over;
        char answer[8];
        if (test->adopted && !asked)
            asked = send(client, "ping", 4, MSG_NOSIGNAL) == 4;
        else if (asked && !test->echoed && recv(client, answer, sizeof answer, 0) == 4)
            test->echoed = memcmp(answer, "pong", 4) == 0 && shutdown(client, SHUT_WR) == 0;
    }
    return test->echoed && test->ended && test->closed ? 0 : -EIO;
}

/* The worker's: it connects to the listener, which need not take it. */
static int test_connect(struct self_test *test, int listener)
{
    struct sockaddr_un address;
    socklen_t bytes = sizeof address;
    if (getsockname(listener, (struct sockaddr *)&address, &bytes) != 0)
        return -errno;
    int result = fw_engine_connect(test->worker, (const struct sockaddr *)&address, bytes, 8, 0);
    for (int turn = 0; turn < SELF_TEST_TURNS_MAX && test->connected == 1 && result >= 0; turn++)
        result = fw_engine_turn(test->worker, SELF_TEST_WAIT_MS);
    if (result < 0)
        return result;
    return test->connected == 1 ? -EIO : test->connected;
}

static int self_test(enum fw_engine_kind kind)
{
    struct self_test test = {.handed_over = 1, .connected = 1};
    struct fw_engine_options options = {.slots_max = SELF_TEST_SLOTS,
                                        .receive_bytes = SELF_TEST_MEMORY,
                                        .connects_max = SELF_TEST_SLOTS / 2,
                                        .owner = &test,
                                        .events = &self_test_events};
    int listener = -1;
    int client = -1;
    int result = open_pair(&listener, &client);
    if (result == 0)
        result = fw_engine_create(kind, &options, &test.acceptor);
    if (result == 0)
        result = fw_engine_create(kind, &options, &test.worker);
    if (result == 0)
        result = fw_engine_listen(test.acceptor, listener);
    if (result == 0)
        result = test_conversation(&test, client);
    if (result == 0)
        result = test_connect(&test, listener);
    fw_engine_destroy(test.worker);
    fw_engine_destroy(test.acceptor);
    if (client >= 0)
        close(client);
    if (listener >= 0)
        close(listener);
    return result;
}

/* What to do about an io_uring that does not work, by the errno it failed with. */
static const char *advice(int status)
{
    switch (-status) {
    case EPERM:
    case EACCES:
        return "a seccomp filter or kernel.io_uring_disabled forbids it: allow the io_uring system "
               "calls in the container's profile, or set kernel.io_uring_disabled=0";
    case ENOSYS:
        return "this kernel has no io_uring (Linux 6.1 or later is needed), or a seccomp filter "
               "hides it: allow the io_uring system calls in the container's profile";
    case EINVAL:
        return "this kernel's io_uring lacks a feature: Linux 6.1 or later is needed";
    case ENOMEM:
        return "memory or RLIMIT_MEMLOCK is short: raise the limit (ulimit -l)";
    case EMFILE:
        return "too few file descriptors: raise RLIMIT_NOFILE (ulimit -n)";
    default:
        return "the self-test failed";
    }
}

int fw_engine_choose(enum fw_engine_kind wanted, char *why, size_t why_bytes)
{
    if (wanted == FW_ENGINE_EPOLL) {
        snprintf(why, why_bytes, "epoll, as asked for");
        return FW_ENGINE_EPOLL;
    }
    int status = self_test(FW_ENGINE_URING);
    if (status == 0) {
        snprintf(why, why_bytes, "io_uring, its self-test passed");
        return FW_ENGINE_URING;
    }
    if (wanted == FW_ENGINE_URING) {
        snprintf(why, why_bytes, "io_uring does not work here (%s): %s; or run with --engine=epoll",
                 fw_status_name(status), advice(status));
        return FW_ERR_ENGINE;
    }
    snprintf(why, why_bytes, "epoll, because io_uring does not work here (%s): %s",
             fw_status_name(status), advice(status));
    return FW_ENGINE_EPOLL;
}
