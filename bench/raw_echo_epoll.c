/* raw_echo_epoll.c: the bare TCP echo on epoll: one receive buffer, one recv and one send a turn.
 *
 * A socket that takes less than it is owed keeps the rest in a backlog, and is not read from until
 * that is gone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "raw_echo.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 256

struct conn {
    size_t position;
    struct raw_backlog backlog;
};

struct server {
    const struct raw_echo_options *options;
    int epoll;
    int listener;
    struct conn *conns; /* by descriptor */
    struct raw_figures figures;
    uint8_t *received;
};

static void watch(const struct server *server, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(server->epoll, operation, fd, &event) != 0)
        bench_die("epoll_ctl: %s", strerror(errno));
}

static void accept_all(struct server *server)
{
    for (;;) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
            return;
        if (fd < 0)
            bench_die("accept: %s", strerror(errno));
        server->conns[fd] = (struct conn){0};
        watch(server, EPOLL_CTL_ADD, fd,
              server->options->edge ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN);
    }
}

static void end(struct server *server, int fd)
{
    fw_mem_free(server->conns[fd].backlog.bytes);
    server->conns[fd] = (struct conn){0};
    close(fd);
}

/* How many bytes the socket took; -1 when it is dead, and closed now. */
static ssize_t send_some(struct server *server, int fd, const uint8_t *bytes, size_t count)
{
    ssize_t sent = send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    server->figures.sends++;
    if (sent >= 0)
        return sent;
    if (errno == EAGAIN)
        return 0;
    end(server, fd);
    return -1;
}

/* Sends what waits. Whether the connection lives and owes nothing. */
static bool drain(struct server *server, int fd)
{
    struct raw_backlog *backlog = &server->conns[fd].backlog;
    if (raw_backlog_bytes(backlog) == 0)
        return true;
    ssize_t sent =
        send_some(server, fd, backlog->bytes + backlog->begin, raw_backlog_bytes(backlog));
    if (sent < 0)
        return false;
    raw_backlog_drop(backlog, (size_t)sent);
    if (raw_backlog_bytes(backlog) > 0)
        return false;
    if (!server->options->edge)
        watch(server, EPOLL_CTL_MOD, fd, EPOLLIN);
    return true;
}

/* Sends, and keeps what was not taken. Whether the connection lives and owes nothing. */
static bool reply(struct server *server, int fd, size_t count)
{
    ssize_t sent = count == 0 ? 0 : send_some(server, fd, server->received, count);
    if (sent < 0)
        return false;
    if ((size_t)sent == count)
        return true;
    server->figures.sends_short++;
    raw_backlog_append(&server->conns[fd].backlog, server->received + sent, count - (size_t)sent);
    if (!server->options->edge)
        watch(server, EPOLL_CTL_MOD, fd, EPOLLOUT);
    return false;
}

/* Level-triggered, one recv and one send; edge-triggered, until a recv is short: what comes after
 * that is a new edge. */
static void serve(struct server *server, int fd)
{
    if (!drain(server, fd))
        return;
    size_t room = server->options->receive_bytes;
    ssize_t received = 0;
    do {
        received = recv(fd, server->received, room, MSG_DONTWAIT);
        if (received < 0 && errno == EAGAIN)
            return;
        if (received <= 0) {
            end(server, fd);
            return;
        }
        struct conn *conn = &server->conns[fd];
        server->figures.receives++;
        if (!reply(server, fd, raw_echo_owed(server->options, &conn->position, (size_t)received)))
            return;
    } while (server->options->edge && (size_t)received == room);
}

void raw_echo_epoll(const struct raw_echo_options *options)
{
    static struct server server;
    struct epoll_event events[EVENTS_MAX];
    bench_descriptors_raise(options->ring.conns_max);
    server.options = options;
    /* Descriptors are dense, the lowest free one first. */
    server.conns = bench_alloc((size_t)sysconf(_SC_OPEN_MAX), sizeof(*server.conns));
    /* With `whole` a receive may end a message that began before it: all of that is sent from here,
     * stale octets too, for only their count matters. */
    server.received = bench_alloc(options->receive_bytes + options->in_bytes, 1);
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    server.listener = raw_listen(options->port);
    watch(&server, EPOLL_CTL_ADD, server.listener, EPOLLIN);
    raw_ready(options->port, options->edge ? "epoll, edge-triggered" : "epoll");
    while (!raw_stopping()) {
        int count = epoll_wait(server.epoll, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR)
            bench_die("epoll_wait: %s", strerror(errno));
        server.figures.turns++;
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == server.listener)
                accept_all(&server);
            else
                serve(&server, events[i].data.fd);
        }
    }
    raw_tell(&server.figures);
}
