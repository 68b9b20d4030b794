/* raw_echo_uring.c: the bare TCP echo on io_uring, the careful one.
 *
 * A turn:
 *
 *   submit, wait -> see every completion -> recycle buffers -> one send per connection -> again
 *                   (collect, only)
 *
 * What a connection received in a turn stays where the kernel put it, as a list of pieces; its
 * reply is one SEND of them (SENDMSG when there are several) that is not waited for: MSG_DONTWAIT
 * with MSG_WAITALL and CQE_SKIP_SUCCESS give a completion only when the socket did not take
 * everything, and give it before any completion of the next wait. The rest then goes to a backlog,
 * which is sent with a send that is waited for (RAW_DRAIN), one at a time: two sends in flight on
 * one socket would mix their bytes.
 *
 * A connection ends when its recv has ended and no drain is in flight; nothing in the kernel knows
 * its slot then, so no completion can meet the slot's next life.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "raw_echo.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* A backlog above this stops the connection's recv until the backlog is gone. */
#define BACKLOG_BYTES_MAX (1024 * 1024)

#define NO_PIECE UINT32_MAX

struct piece {
    struct iovec bytes;
    uint32_t next; /* of the same connection in this turn, or NO_PIECE */
};

/* One turn's sends: the pieces in order, connection after connection. */
struct sends {
    struct iovec *pieces;
    struct msghdr *heads; /* of sends that have several; at the index of their first piece */
    size_t capacity;
    uint32_t count;
};

struct conn {
    size_t position;
    uint32_t piece_first; /* received in this turn */
    uint32_t piece_last;
    uint32_t sent_first; /* sent in the turn before: into sends.pieces */
    uint32_t sent_count;
    struct raw_backlog backlog;
    struct raw_backlog draining; /* lent to the kernel */
    bool receiving;
    bool cancelled;
    bool ended;
    bool changed; /* in the list of this turn */
};

struct server {
    const struct raw_echo_options *options;
    struct raw_ring ring;
    struct conn *conns; /* by slot */
    uint32_t *changed;  /* slots that this turn has to look after */
    uint32_t changed_count;
    struct piece *pieces;
    uint32_t pieces_count;
    size_t pieces_capacity;
    struct sends sends;
    struct raw_figures figures;
};

static void *grow(void *block, size_t *capacity, size_t bytes_each)
{
    *capacity = *capacity == 0 ? 1024 : *capacity * 2;
    void *grown = fw_mem_resize(block, *capacity * bytes_each);
    if (grown == NULL)
        bench_die("out of memory for %zu pieces", *capacity);
    return grown;
}

static void look_after(struct server *server, uint32_t slot)
{
    struct conn *conn = &server->conns[slot];
    if (!conn->changed)
        server->changed[server->changed_count++] = slot;
    conn->changed = true;
}

static void add_piece(struct server *server, struct conn *conn, uint8_t *bytes, size_t count)
{
    if (conn->piece_last != NO_PIECE) {
        struct iovec *last = &server->pieces[conn->piece_last].bytes;
        if ((uint8_t *)last->iov_base + last->iov_len == bytes) {
            last->iov_len += count;
            return;
        }
    }
    if (server->pieces_count == server->pieces_capacity)
        server->pieces = grow(server->pieces, &server->pieces_capacity, sizeof(*server->pieces));
    uint32_t index = server->pieces_count++;
    server->pieces[index] = (struct piece){{bytes, count}, NO_PIECE};
    if (conn->piece_last == NO_PIECE)
        conn->piece_first = index;
    else
        server->pieces[conn->piece_last].next = index;
    conn->piece_last = index;
}

static void on_accepted(struct server *server, const struct io_uring_cqe *completion)
{
    if (completion->res < 0 || (completion->flags & IORING_CQE_F_MORE) == 0)
        bench_die("accept: %s", completion->res < 0 ? strerror(-completion->res) : "it ended");
    uint32_t slot = (uint32_t)completion->res;
    server->conns[slot] = (struct conn){.piece_first = NO_PIECE, .piece_last = NO_PIECE};
    look_after(server, slot);
}

static void on_received(struct server *server, uint32_t slot, const struct io_uring_cqe *completion)
{
    struct conn *conn = &server->conns[slot];
    server->figures.receives++;
    server->figures.receives_starved += completion->res == -ENOBUFS;
    if (completion->res > 0) {
        uint8_t *bytes = raw_ring_bytes(&server->ring, completion);
        size_t owed = raw_echo_owed(server->options, &conn->position, (size_t)completion->res);
        if (owed > 0)
            add_piece(server, conn, bytes, owed);
    }
    if ((completion->flags & IORING_CQE_F_MORE) == 0) {
        conn->receiving = false;
        /* No buffer, or no room for completions: it goes on. So it does after our cancel. */
        conn->ended |=
            completion->res <= 0 && completion->res != -ENOBUFS && completion->res != -ECANCELED;
    }
    look_after(server, slot);
}

/* The socket took less than it was sent in the turn before. Its pieces still lie there. */
static void on_send_short(struct server *server, uint32_t slot, int result)
{
    struct conn *conn = &server->conns[slot];
    size_t taken = result > 0 ? (size_t)result : 0;
    server->figures.sends_short++;
    if (result < 0 && result != -EAGAIN)
        conn->ended = true;
    for (uint32_t i = 0; i < conn->sent_count && !conn->ended; i++) {
        const struct iovec *piece = &server->sends.pieces[conn->sent_first + i];
        size_t skip = taken < piece->iov_len ? taken : piece->iov_len;
        raw_backlog_append(&conn->backlog, (uint8_t *)piece->iov_base + skip,
                           piece->iov_len - skip);
        taken -= skip;
    }
    look_after(server, slot);
}

static void on_drained(struct server *server, uint32_t slot, int result)
{
    struct conn *conn = &server->conns[slot];
    if (result < 0 || (size_t)result < raw_backlog_bytes(&conn->draining))
        conn->ended = true;
    raw_backlog_drop(&conn->draining, raw_backlog_bytes(&conn->draining));
    look_after(server, slot);
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
        on_send_short(server, slot, completion->res);
        break;
    case RAW_DRAIN:
        on_drained(server, slot, completion->res);
        break;
    case RAW_CONTROL:
    case RAW_NOTHING:
        break;
    }
}

/* Every one, those that overflowed too: a send's bad end must be seen before the next send. */
static void see_all(struct server *server)
{
    struct io_uring *uring = &server->ring.uring;
    do {
        struct io_uring_cqe *completion = NULL;
        unsigned head = 0;
        unsigned count = 0;
        io_uring_for_each_cqe(uring, head, completion)
        {
            see(server, completion);
            count++;
        }
        io_uring_cq_advance(uring, count);
    } while (io_uring_cq_has_overflow(uring) && io_uring_get_events(uring) >= 0);
}

/* Copies a connection's pieces of this turn into the list that outlives the turn. */
static void gather(struct server *server, struct conn *conn)
{
    struct sends *sends = &server->sends;
    conn->sent_first = sends->count;
    for (uint32_t i = conn->piece_first; i != NO_PIECE; i = server->pieces[i].next)
        sends->pieces[sends->count++] = server->pieces[i].bytes;
    conn->sent_count = sends->count - conn->sent_first;
}

static void send_pieces(struct server *server, uint32_t slot)
{
    struct conn *conn = &server->conns[slot];
    int flags = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;
    gather(server, conn);
    server->figures.sends++;
    struct iovec *pieces = &server->sends.pieces[conn->sent_first];
    struct io_uring_sqe *entry = raw_ring_entry(&server->ring, raw_tag(RAW_SEND, slot));
    if (conn->sent_count == 1) {
        io_uring_prep_send(entry, (int)slot, pieces->iov_base, pieces->iov_len, flags);
    } else {
        struct msghdr *head = &server->sends.heads[conn->sent_first];
        *head = (struct msghdr){.msg_iov = pieces, .msg_iovlen = conn->sent_count};
        io_uring_prep_sendmsg(entry, (int)slot, head, (unsigned)flags);
    }
    entry->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
}

static void append_pieces(struct server *server, struct conn *conn)
{
    for (uint32_t i = conn->piece_first; i != NO_PIECE; i = server->pieces[i].next)
        raw_backlog_append(&conn->backlog, server->pieces[i].bytes.iov_base,
                           server->pieces[i].bytes.iov_len);
}

static void drain(struct server *server, uint32_t slot)
{
    struct conn *conn = &server->conns[slot];
    if (raw_backlog_bytes(&conn->draining) > 0 || raw_backlog_bytes(&conn->backlog) == 0)
        return;
    conn->draining = conn->backlog;
    conn->backlog = (struct raw_backlog){0};
    struct io_uring_sqe *entry = raw_ring_entry(&server->ring, raw_tag(RAW_DRAIN, slot));
    io_uring_prep_send(entry, (int)slot, conn->draining.bytes + conn->draining.begin,
                       raw_backlog_bytes(&conn->draining), MSG_WAITALL | MSG_NOSIGNAL);
    entry->flags |= IOSQE_FIXED_FILE;
}

/* Pauses the recv of a connection that does not read, resumes the others'. Arming a recv when the
 * kernel has no buffer would fail at once: such a connection waits a turn. */
static void steer_receive(struct server *server, uint32_t slot)
{
    struct conn *conn = &server->conns[slot];
    size_t backlog = raw_backlog_bytes(&conn->backlog) + raw_backlog_bytes(&conn->draining);
    if (conn->receiving && backlog > BACKLOG_BYTES_MAX && !conn->cancelled) {
        struct io_uring_sqe *entry = raw_ring_entry(&server->ring, raw_tag(RAW_NOTHING, slot));
        io_uring_prep_cancel64(entry, raw_tag(RAW_RECEIVE, slot), 0);
        conn->cancelled = true;
    } else if (!conn->receiving && backlog == 0 && server->ring.buffers_free > 0) {
        raw_ring_receive(&server->ring, slot);
        conn->receiving = true;
        conn->cancelled = false;
    } else if (!conn->receiving && backlog == 0) {
        look_after(server, slot);
    }
}

static void end(struct server *server, uint32_t slot)
{
    struct conn *conn = &server->conns[slot];
    if (conn->receiving || raw_backlog_bytes(&conn->draining) > 0)
        return;
    fw_mem_free(conn->backlog.bytes);
    conn->backlog = (struct raw_backlog){0};
    raw_ring_close_slot(&server->ring, slot);
}

static void settle(struct server *server, uint32_t slot)
{
    struct conn *conn = &server->conns[slot];
    conn->changed = false;
    conn->sent_count = 0;
    if (conn->piece_first != NO_PIECE) {
        size_t backlog = raw_backlog_bytes(&conn->backlog) + raw_backlog_bytes(&conn->draining);
        /* A last send is waited for: its slot is closed after it, not with it. */
        if (backlog > 0 || conn->ended)
            append_pieces(server, conn);
        else
            send_pieces(server, slot);
        conn->piece_first = conn->piece_last = NO_PIECE;
    }
    drain(server, slot);
    if (conn->ended)
        end(server, slot);
    else
        steer_receive(server, slot);
}

static void settle_all(struct server *server)
{
    struct sends *sends = &server->sends;
    sends->count = 0;
    while (sends->capacity < server->pieces_capacity) {
        size_t capacity = sends->capacity;
        sends->pieces = grow(sends->pieces, &capacity, sizeof(*sends->pieces));
        sends->heads = grow(sends->heads, &sends->capacity, sizeof(*sends->heads));
    }
    /* Those that wait for a buffer come onto the list again, in front, for the next turn. */
    uint32_t count = server->changed_count;
    server->changed_count = 0;
    for (uint32_t i = 0; i < count; i++)
        settle(server, server->changed[i]);
    server->pieces_count = 0;
}

void raw_echo_uring(const struct raw_echo_options *options)
{
    static struct server server;
    server.options = options;
    raw_ring_open(&server.ring, &options->ring);
    server.conns = bench_alloc(options->ring.conns_max, sizeof(*server.conns));
    server.changed = bench_alloc(options->ring.conns_max, sizeof(*server.changed));
    int listener = raw_listen(options->port);
    raw_ring_accept(&server.ring, listener);
    raw_ready(options->port, server.ring.incremental ? "uring, incremental buffers" : "uring");
    while (!raw_stopping()) {
        if (!raw_ring_submit(&server.ring))
            continue;
        server.figures.turns++;
        see_all(&server);
        raw_ring_recycle(&server.ring);
        settle_all(&server);
    }
    raw_unlisten(listener);
    raw_tell(&server.figures);
}
