/* raw_fanout_epoll.c: the bare fan-out on epoll: a loop of send().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "raw_fanout.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 256

struct server {
    const struct raw_fanout_options *options;
    int epoll;
    int listener;
    int control;
    int *fds; /* of all connections, in no order */
    size_t fds_count;
    struct raw_fanout_burst burst;
};

static void watch(const struct server *server, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
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
        if (server->fds_count == server->options->ring.conns_max)
            bench_die("more than %zu connections", server->fds_count);
        server->fds[server->fds_count++] = fd;
        watch(server, fd);
        send(fd, RAW_FANOUT_GREETING, 1, MSG_NOSIGNAL);
    }
}

static void send_to_all(struct server *server)
{
    struct raw_fanout_burst *burst = &server->burst;
    struct msghdr head = {.msg_iov = burst->pieces, .msg_iovlen = burst->pieces_count};
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    for (size_t i = 0; i < server->fds_count; i++) {
        ssize_t sent = burst->pieces_count == 0
                           ? send(server->fds[i], burst->bytes, burst->bytes_count, flags)
                           : sendmsg(server->fds[i], &head, flags);
        if (sent != (ssize_t)burst->bytes_count)
            bench_die("a message is lost: a send of %zu bytes gave %zd", burst->bytes_count, sent);
    }
}

/* Subscribers say nothing; what becomes readable is an end. */
static void end(struct server *server, int fd)
{
    size_t i = 0;
    while (server->fds[i] != fd)
        i++;
    server->fds[i] = server->fds[--server->fds_count];
    close(fd);
}

static void serve(struct server *server, int fd)
{
    if (fd == server->listener) {
        accept_all(server);
    } else if (fd == server->control) {
        while (raw_fanout_next(fd, server->options, &server->burst))
            send_to_all(server);
    } else {
        end(server, fd);
    }
}

void raw_fanout_epoll(const struct raw_fanout_options *options)
{
    static struct server server;
    struct epoll_event events[EVENTS_MAX];
    bench_descriptors_raise(options->ring.conns_max);
    server.options = options;
    server.fds = bench_alloc(options->ring.conns_max, sizeof(*server.fds));
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    server.listener = raw_listen(options->port);
    server.control = raw_fanout_control(options);
    watch(&server, server.listener);
    watch(&server, server.control);
    raw_ready(options->port, "epoll");
    while (!raw_stopping()) {
        int count = epoll_wait(server.epoll, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR)
            bench_die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++)
            serve(&server, events[i].data.fd);
    }
}
