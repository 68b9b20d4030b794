/* raw_fanout_uring.c: the bare fan-out on io_uring: a loop of SEND entries.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "raw_fanout.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

struct server {
    const struct raw_fanout_options *options;
    struct raw_ring ring;
    int control;
    uint32_t *slots;    /* of all connections, in no order */
    uint32_t *index_of; /* a slot's place among them */
    uint32_t slots_count;
    struct raw_fanout_burst burst;
    struct msghdr head;
};

static void queue_send(struct server *server, uint32_t slot, const void *bytes, size_t count)
{
    struct io_uring_sqe *entry = raw_ring_entry(&server->ring, raw_tag(RAW_SEND, slot));
    io_uring_prep_send(entry, (int)slot, bytes, count, MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
    entry->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
}

static void queue_sendmsg(struct server *server, uint32_t slot)
{
    struct io_uring_sqe *entry = raw_ring_entry(&server->ring, raw_tag(RAW_SEND, slot));
    io_uring_prep_sendmsg(entry, (int)slot, &server->head,
                          MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
    entry->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
}

/* All are submitted before the burst's memory is written again. */
static void send_to_all(struct server *server)
{
    struct raw_fanout_burst *burst = &server->burst;
    server->head = (struct msghdr){.msg_iov = burst->pieces, .msg_iovlen = burst->pieces_count};
    for (uint32_t i = 0; i < server->slots_count; i++) {
        if (burst->pieces_count == 0)
            queue_send(server, server->slots[i], burst->bytes, burst->bytes_count);
        else
            queue_sendmsg(server, server->slots[i]);
    }
    io_uring_submit(&server->ring.uring);
}

static void watch_control(struct server *server)
{
    struct io_uring_sqe *entry = raw_ring_entry(&server->ring, raw_tag(RAW_CONTROL, 0));
    io_uring_prep_poll_multishot(entry, server->control, POLLIN);
}

static void on_accepted(struct server *server, const struct io_uring_cqe *completion)
{
    if (completion->res < 0 || (completion->flags & IORING_CQE_F_MORE) == 0)
        bench_die("accept: %s", completion->res < 0 ? strerror(-completion->res) : "it ended");
    uint32_t slot = (uint32_t)completion->res;
    server->index_of[slot] = server->slots_count;
    server->slots[server->slots_count++] = slot;
    raw_ring_receive(&server->ring, slot);
    queue_send(server, slot, RAW_FANOUT_GREETING, 1);
}

/* Subscribers say nothing; what comes is an end. */
static void on_received(struct server *server, uint32_t slot, const struct io_uring_cqe *completion)
{
    if (completion->res > 0)
        bench_die("a subscriber said something");
    uint32_t last = server->slots[--server->slots_count];
    server->slots[server->index_of[slot]] = last;
    server->index_of[last] = server->index_of[slot];
    raw_ring_close_slot(&server->ring, slot);
}

static void on_control(struct server *server, const struct io_uring_cqe *completion)
{
    while (raw_fanout_next(server->control, server->options, &server->burst))
        send_to_all(server);
    if ((completion->flags & IORING_CQE_F_MORE) == 0)
        watch_control(server);
}

static void see(struct server *server, const struct io_uring_cqe *completion)
{
    uint32_t slot = raw_tag_slot(completion->user_data);
    switch (raw_tag_operation(completion->user_data)) {
    case RAW_ACCEPT:
        on_accepted(server, completion);
        break;
    case RAW_RECEIVE:
        on_received(server, slot, completion);
        break;
    case RAW_SEND:
        /* At the end of a run the subscribers close all at once, and nothing is on its way. */
        if (completion->res != -EPIPE && completion->res != -ECONNRESET)
            bench_die("a message is lost: a send gave %d", completion->res);
        break;
    case RAW_CONTROL:
        on_control(server, completion);
        break;
    case RAW_DRAIN:
    case RAW_NOTHING:
        break;
    }
}

void raw_fanout_uring(const struct raw_fanout_options *options)
{
    static struct server server;
    server.options = options;
    raw_ring_open(&server.ring, &options->ring);
    server.slots = bench_alloc(options->ring.conns_max, sizeof(*server.slots));
    server.index_of = bench_alloc(options->ring.conns_max, sizeof(*server.index_of));
    server.control = raw_fanout_control(options);
    int listener = raw_listen(options->port);
    raw_ring_accept(&server.ring, listener);
    watch_control(&server);
    raw_ready(options->port, "uring");
    while (!raw_stopping()) {
        struct io_uring_cqe *completion = NULL;
        unsigned head = 0;
        unsigned count = 0;
        if (!raw_ring_submit(&server.ring))
            continue;
        io_uring_for_each_cqe(&server.ring.uring, head, completion)
        {
            see(&server, completion);
            count++;
        }
        io_uring_cq_advance(&server.ring.uring, count);
        raw_ring_recycle(&server.ring);
    }
    raw_unlisten(listener);
}
