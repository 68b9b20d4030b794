/* engine_uring.c: engine.h over io_uring (Linux 6.1 and later).
 *
 * One ring per engine, on direct descriptors: a slot is an index of the ring's own file table. What
 * was measured before it was written this way is in ARCHITECTURE.md, Decisions; in short:
 *
 * - One enter per turn: it submits the last turn's sends and waits for the next events.
 * - A send is MSG_DONTWAIT|MSG_WAITALL with CQE_SKIP_SUCCESS. It runs inside the enter, so that a
 *   whole send leaves no completion, a short one a byte count, a full socket -EAGAIN, and nothing
 *   stays pending: after the enter the lent bytes are free. (CQE_SKIP_SUCCESS without MSG_WAITALL
 *   loses short sends silently.)
 * - A blocked slot waits by a one-shot poll, not by a send in the kernel: nothing is ever lent for
 *   longer than a turn.
 * - Receives are multishot from a ring of provided buffers, incremental where the kernel has it;
 * few are in service until they run out, because a small ring stays in the cache.
 * - Accepts are one-shot, a fixed number in flight: a multishot accept whose file table is full
 *   accepts connections and drops them.
 *
 * user_data of every request: operation (8 bits) | generation (24) | slot, ticket or index (32). A
 * completion whose generation is not the slot's is of an earlier life and ignored.
 *
 * A slot's life, and what walks each arrow:
 *
 *   FREE --adopted()--> OPEN --uring_close()--> CLOSING --retire(), once `pending` is 0--> FREE
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/engine_ops.h"
#include "net/engine/uring_compat.h"

#include "base/check.h"
#include "base/mem.h"
#include <fanwire/status.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* A turn's sends are submitted in pieces of this many; measured: 1024 and 4096 do not differ. */
#define SQ_ENTRIES 1024
/* 16 per submission entry: a burst of receives on many slots fits without the overflow list. */
#define CQ_ENTRIES 16384
/* One receive takes at most this much; measured against 2, 16 and 256 KB (engine figures). */
#ifndef BUFFER_KB
#define BUFFER_KB 64
#endif
#define BUFFER_BYTES ((size_t)BUFFER_KB * 1024)
/* Buffers in service at the start; doubled when they run out, up to what the options allow. */
#ifndef BUFFERS_START
#define BUFFERS_START 4
#endif
#define BUFFERS_MAX   64
#define BUFFER_GROUP  0
/* Accepts in flight per listener: connections taken per enter in a storm. */
#define ACCEPTS_PER_LISTENER 64
#define LISTENERS_MAX        16
/* Room for the gathered sends of one submission. */
#define GATHERS_MAX       256
#define GATHER_PIECES_MAX 4096
/* While sends are unsettled a turn does not sleep for longer: lent memory comes back. */
#define SETTLE_WAIT_MS_MAX 100

static_assert(GATHER_PIECES_MAX >= FW_ENGINE_PIECES_MAX, "one gathered send always fits");

enum operation {
    OP_RECEIVE = 1,
    OP_SEND,
    OP_POLL,
    OP_CANCEL,
    OP_CLOSE,
    OP_SHUTDOWN,
    OP_ADOPT,
    OP_WAKE,
    OP_ACCEPT,
    OP_HAND_OVER,
    OP_IGNORED,
};

enum slot_flags {
    SLOT_OPEN = 1,
    SLOT_CLOSING = 2,
    SLOT_RECEIVING = 4,      /* a receive is armed */
    SLOT_PAUSED = 8,         /* the owner wants none */
    SLOT_ENDED = 16,         /* on_ended was told */
    SLOT_ADOPT_WAITING = 32, /* the kernel reused the index before its old life was over */
    SLOT_CLOSED = 64,        /* the descriptor is closed, completions may still come */
};

struct slot {
    uint32_t generation; /* 24 bits used */
    uint32_t tag;        /* of the adoption that waits */
    uint8_t flags;
    uint8_t pending; /* requests whose last completion has not come */
};

struct buffer {
    uint32_t used; /* octets of it that the kernel has filled in this round */
    bool kept;     /* the owner sends from it: not the kernel's before the sends are settled */
    bool consumed; /* the kernel is done with it, and it is kept */
};

struct accept {
    struct sockaddr_storage peer;
    socklen_t peer_bytes;
    uint16_t listener;
    bool armed;
};

struct uring {
    struct fw_engine base;
    struct io_uring ring;
    struct slot *slots; /* mapped, touched on first use */
    uint32_t slots_max;
    bool sends_unsettled;
    bool incremental;
    bool has_setsockopt;
    bool wake_armed;

    struct io_uring_buf_ring *buffer_ring;
    uint8_t *buffer_memory;
    unsigned buffers_count;   /* a power of two: entries of the ring */
    unsigned buffers_serving; /* given to the kernel so far */
    unsigned buffers_kept;
    int buffer_delivered; /* the one on_received is reading from; -1: none */
    struct buffer buffers[BUFFERS_MAX];

    int wake_fd;
    atomic_bool wake_pending;
    uint64_t wake_value;

    int listen_fds[LISTENERS_MAX];
    unsigned listeners_count;
    bool accept_paused;
    struct accept *accepts; /* ACCEPTS_PER_LISTENER for each listener */

    struct msghdr *gathers;
    struct iovec *gather_pieces;
    unsigned gathers_count;
    unsigned gather_pieces_count;
};

static const struct linger linger_abort = {.l_onoff = 1, .l_linger = 0};

static inline struct uring *uring_of(struct fw_engine *engine)
{
    return fw_container_of(engine, struct uring, base);
}

static inline uint64_t tag_of(enum operation operation, uint32_t generation, uint32_t index)
{
    return (uint64_t)operation << 56 | (uint64_t)(generation & 0xffffff) << 32 | index;
}

static inline enum operation operation_of(uint64_t data)
{
    return (enum operation)(data >> 56);
}

/* ---- submission ------------------------------------------------------------------------------ */

/* Hands the queue to the kernel without waiting. */
static void submit(struct uring *self)
{
    for (int tries = 0; tries < 1000; tries++) {
        int submitted = io_uring_submit(&self->ring);
        if (submitted >= 0)
            break;
        /* EBUSY, EAGAIN: completions overflowed or memory is short; let the kernel flush. */
        if (submitted != -EINTR)
            io_uring_get_events(&self->ring);
    }
    self->gathers_count = 0;
    self->gather_pieces_count = 0;
}

/* Makes room for `count` entries that must go out together. */
static inline void need_entries(struct uring *self, unsigned count)
{
    if (FW_UNLIKELY(io_uring_sq_space_left(&self->ring) < count))
        submit(self);
}

static inline struct io_uring_sqe *next_entry(struct uring *self)
{
    need_entries(self, 1);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
    fw_assert(sqe != NULL);
    return sqe;
}

/* Marks an entry's descriptor as the slot, and names the completion. */
static inline void aim(struct uring *self, struct io_uring_sqe *sqe, enum operation operation,
                       uint32_t slot)
{
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = tag_of(operation, self->slots[slot].generation, slot);
}

static void arm_receive(struct uring *self, uint32_t slot)
{
    struct slot *s = &self->slots[slot];
    struct io_uring_sqe *sqe = next_entry(self);
    io_uring_prep_recv_multishot(sqe, (int)slot, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    aim(self, sqe, OP_RECEIVE, slot);
    s->flags |= SLOT_RECEIVING;
    s->pending++;
}

static void arm_poll(struct uring *self, uint32_t slot)
{
    struct io_uring_sqe *sqe = next_entry(self);
    io_uring_prep_poll_add(sqe, (int)slot, POLLOUT);
    aim(self, sqe, OP_POLL, slot);
    self->slots[slot].pending++;
}

static void arm_wake(struct uring *self)
{
    struct io_uring_sqe *sqe = next_entry(self);
    io_uring_prep_read(sqe, self->wake_fd, &self->wake_value, sizeof self->wake_value, 0);
    sqe->user_data = tag_of(OP_WAKE, 0, 0);
}

static void arm_accept(struct uring *self, uint32_t index)
{
    struct accept *accept = &self->accepts[index];
    struct io_uring_sqe *sqe = next_entry(self);
    accept->peer_bytes = sizeof accept->peer;
    accept->armed = true;
    io_uring_prep_accept_direct(sqe, self->listen_fds[accept->listener],
                                (struct sockaddr *)&accept->peer, &accept->peer_bytes, 0, 0);
    sqe->file_index = IORING_FILE_INDEX_ALLOC; /* liburing 2.3 would add 1 to it, and make it 0 */
    sqe->user_data = tag_of(OP_ACCEPT, 0, index);
}

/* ---- receive memory -------------------------------------------------------------------------- */

static void give_buffer(struct uring *self, unsigned id)
{
    self->buffers[id] = (struct buffer){0};
    io_uring_buf_ring_add(self->buffer_ring, self->buffer_memory + id * BUFFER_BYTES,
                          (unsigned)BUFFER_BYTES, (unsigned short)id,
                          io_uring_buf_ring_mask(self->buffers_count), 0);
    io_uring_buf_ring_advance(self->buffer_ring, 1);
}

/* The sends are settled: what was kept for them is free again. */
static void release_kept(struct uring *self)
{
    for (unsigned id = 0; id < self->buffers_serving && self->buffers_kept > 0; id++) {
        struct buffer *buffer = &self->buffers[id];
        if (!buffer->kept)
            continue;
        self->buffers_kept--;
        buffer->kept = false;
        if (buffer->consumed)
            give_buffer(self, id);
    }
}

/* Receive memory ran out: twice as much from now on, as far as allowed. */
static void serve_more_buffers(struct uring *self)
{
    unsigned wanted = self->buffers_serving * 2;
    if (wanted > self->buffers_count)
        wanted = self->buffers_count;
    while (self->buffers_serving < wanted)
        give_buffer(self, self->buffers_serving++);
}

/* ---- completions ----------------------------------------------------------------------------- */

/* Counts one request of the slot as over; the last one of a closing slot ends its life. */
static void retire(struct uring *self, uint32_t slot)
{
    struct slot *s = &self->slots[slot];
    fw_assert(s->pending > 0);
    s->pending--;
    if (s->pending > 0 || !(s->flags & SLOT_CLOSED))
        return;
    bool adopt_waits = (s->flags & SLOT_ADOPT_WAITING) != 0;
    s->flags = adopt_waits ? SLOT_OPEN : 0;
    s->generation = (s->generation + 1) & 0xffffff;
    self->base.events->on_closed(self->base.owner, slot);
    if (adopt_waits) {
        arm_receive(self, slot);
        self->base.events->on_adopted(self->base.owner, slot, s->tag);
    }
}

static void adopted(struct uring *self, int result, uint32_t tag)
{
    if (result < 0) /* the sender is told as well; nothing arrived here */
        return;
    uint32_t slot = (uint32_t)result;
    fw_assert(slot < self->slots_max);
    struct slot *s = &self->slots[slot];
    if (s->flags != 0) {
        /* Closed in the kernel, but its last completions are still on their way to us. */
        fw_assert(s->flags & SLOT_CLOSING);
        s->flags |= SLOT_ADOPT_WAITING;
        s->tag = tag;
        return;
    }
    s->flags = SLOT_OPEN;
    arm_receive(self, slot);
    self->base.events->on_adopted(self->base.owner, slot, tag);
}

static void ended(struct uring *self, uint32_t slot, int status)
{
    struct slot *s = &self->slots[slot];
    if (s->flags & (SLOT_ENDED | SLOT_CLOSING))
        return;
    s->flags |= SLOT_ENDED;
    self->base.events->on_ended(self->base.owner, slot, status);
}

/* Delivers what a receive brought and gives its buffer back when it is used up. */
static void deliver(struct uring *self, uint32_t slot, const struct io_uring_cqe *cqe)
{
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    fw_assert(id < self->buffers_serving);
    struct buffer *buffer = &self->buffers[id];
    uint8_t *bytes = self->buffer_memory + id * BUFFER_BYTES + buffer->used;
    bool more = self->incremental && (cqe->flags & FW_URING_CQE_BUFFER_MORE);
    buffer->used += (uint32_t)cqe->res;
    fw_assert(buffer->used <= BUFFER_BYTES);
    if (!(self->slots[slot].flags & (SLOT_CLOSING | SLOT_ENDED))) {
        self->base.stats.received_bytes += (uint64_t)cqe->res;
        self->buffer_delivered = (int)id;
        self->base.events->on_received(self->base.owner, slot, bytes, (size_t)cqe->res);
        self->buffer_delivered = -1;
    }
    if (more)
        return;
    if (buffer->kept)
        buffer->consumed = true;
    else
        give_buffer(self, id);
}

static void received(struct uring *self, uint32_t slot, const struct io_uring_cqe *cqe)
{
    struct slot *s = &self->slots[slot];
    bool last = !(cqe->flags & IORING_CQE_F_MORE);
    if (last)
        s->flags &= (uint8_t)~SLOT_RECEIVING;
    if (cqe->res > 0)
        deliver(self, slot, cqe);
    else if (cqe->flags & IORING_CQE_F_BUFFER && !(cqe->flags & FW_URING_CQE_BUFFER_MORE) &&
             !self->incremental)
        give_buffer(self, cqe->flags >> IORING_CQE_BUFFER_SHIFT);

    if (cqe->res == 0)
        ended(self, slot, 0);
    else if (cqe->res == -ENOBUFS) {
        self->base.stats.receives_starved++;
        serve_more_buffers(self);
    } else if (cqe->res < 0 && cqe->res != -ECANCELED && cqe->res != -EINTR && cqe->res != -EAGAIN)
        ended(self, slot, cqe->res);

    if (!last)
        return;
    /* Overflow, starvation and pauses end a multishot without losing data: arm it again. */
    if ((s->flags & (SLOT_OPEN | SLOT_CLOSING | SLOT_PAUSED | SLOT_ENDED)) == SLOT_OPEN)
        arm_receive(self, slot);
    retire(self, slot);
}

static void polled(struct uring *self, uint32_t slot, int result)
{
    bool open = (self->slots[slot].flags & (SLOT_OPEN | SLOT_CLOSING)) == SLOT_OPEN;
    if (open && result != -ECANCELED)
        self->base.events->on_writable(self->base.owner, slot);
    retire(self, slot);
}

static void woken(struct uring *self)
{
    /* Cleared before the owner looks: a wake from now on writes again.
     * Pairs with the exchange in uring_wake. */
    atomic_store(&self->wake_pending, false);
    arm_wake(self);
    if (self->base.events->on_wake != NULL)
        self->base.events->on_wake(self->base.owner);
}

static void pause_accepting(struct uring *self, int status)
{
    if (self->accept_paused)
        return;
    fw_engine_accept_pause(&self->base);
    self->base.events->on_accept_paused(self->base.owner, status);
}

static void accepted(struct uring *self, uint32_t index, int result)
{
    struct accept *accept = &self->accepts[index];
    accept->armed = false;
    if (result >= 0) {
        self->base.stats.accepted++;
        self->base.events->on_accepted(self->base.owner, (uint32_t)result,
                                       (const struct sockaddr *)&accept->peer, accept->peer_bytes);
    } else if (result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM) {
        pause_accepting(self, result);
    }
    /* Anything else (ECONNABORTED, EINTR, EPERM by a firewall) is that connection's, not ours. */
    if (!self->accept_paused)
        arm_accept(self, index);
}

/* Whether a completion is of the slot's present life. */
static inline bool current(struct uring *self, uint64_t data)
{
    uint32_t slot = (uint32_t)data;
    if (FW_LIKELY((uint32_t)(data >> 32 & 0xffffff) == self->slots[slot].generation))
        return true;
    self->base.stats.stale_completions++;
    return false;
}

static void complete(struct uring *self, const struct io_uring_cqe *cqe)
{
    uint32_t index = (uint32_t)cqe->user_data;
    switch (operation_of(cqe->user_data)) {
    case OP_RECEIVE:
        if (current(self, cqe->user_data))
            received(self, index, cqe);
        break;
    case OP_POLL:
        if (current(self, cqe->user_data))
            polled(self, index, cqe->res);
        break;
    case OP_CLOSE:
        if (current(self, cqe->user_data)) {
            self->slots[index].flags |= SLOT_CLOSED;
            retire(self, index);
        }
        break;
    case OP_SHUTDOWN:
        if (current(self, cqe->user_data))
            retire(self, index);
        break;
    case OP_ADOPT:
        adopted(self, cqe->res, index);
        break;
    case OP_WAKE:
        woken(self);
        break;
    case OP_ACCEPT:
        accepted(self, index, cqe->res);
        break;
    case OP_HAND_OVER:
        self->base.events->on_handed_over(self->base.owner, index, cqe->res < 0 ? cqe->res : 0);
        break;
    case OP_SEND: /* reported in report_unsent */
    case OP_CANCEL:
    case OP_IGNORED:
        break;
    }
}

/* A send that left a completion was not whole: tell the owner, and wait for room. */
static void unsent(struct uring *self, const struct io_uring_cqe *cqe)
{
    if (!current(self, cqe->user_data))
        return;
    uint32_t slot = (uint32_t)cqe->user_data;
    self->base.stats.sends_unsent++;
    if (self->slots[slot].flags & SLOT_CLOSING)
        return;
    if (cqe->res >= 0 || cqe->res == -EAGAIN || cqe->res == -EINTR || cqe->res == -ENOBUFS) {
        arm_poll(self, slot);
        self->base.events->on_unsent(self->base.owner, slot, cqe->res > 0 ? (size_t)cqe->res : 0,
                                     -EAGAIN);
    } else {
        self->base.events->on_unsent(self->base.owner, slot, 0, cqe->res);
    }
}

/* Tells of the sends that this enter did not finish, then that all others are done. When the
 * completion queue overflowed a report may still be hidden: settle in a later turn. */
static void settle(struct uring *self, unsigned ready)
{
    if (!self->sends_unsettled)
        return;
    unsigned head = *self->ring.cq.khead;
    unsigned mask = *self->ring.cq.kring_mask;
    for (unsigned i = 0; i < ready; i++) {
        const struct io_uring_cqe *cqe = &self->ring.cq.cqes[(head + i) & mask];
        if (operation_of(cqe->user_data) == OP_SEND)
            unsent(self, cqe);
    }
    if (io_uring_cq_has_overflow(&self->ring))
        return;
    self->sends_unsettled = false;
    release_kept(self);
    self->base.events->on_settled(self->base.owner);
}

/* ---- the turn -------------------------------------------------------------------------------- */

static uint64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int wait_for_events(struct uring *self, int timeout_ms)
{
    if (self->sends_unsettled && (timeout_ms < 0 || timeout_ms > SETTLE_WAIT_MS_MAX))
        timeout_ms = SETTLE_WAIT_MS_MAX;
    int result;
    if (timeout_ms == 0) {
        result = io_uring_submit_and_get_events(&self->ring);
    } else {
        struct __kernel_timespec wait = {.tv_sec = timeout_ms / 1000,
                                         .tv_nsec = timeout_ms % 1000 * 1000000LL};
        struct io_uring_cqe *first;
        result = io_uring_submit_and_wait_timeout(&self->ring, &first, 1,
                                                  timeout_ms < 0 ? NULL : &wait, NULL);
    }
    self->gathers_count = 0;
    self->gather_pieces_count = 0;
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EBUSY &&
        result != -EAGAIN && result != -ENOMEM)
        return result;
    return 0;
}

static int uring_turn(struct fw_engine *engine, int timeout_ms)
{
    struct uring *self = uring_of(engine);
    int result = wait_for_events(self, timeout_ms);
    if (result < 0)
        return result;
    engine->now_ms = monotonic_ms();
    engine->stats.turns++;

    unsigned ready = io_uring_cq_ready(&self->ring);
    settle(self, ready);
    unsigned head = *self->ring.cq.khead;
    unsigned mask = *self->ring.cq.kring_mask;
    for (unsigned i = 0; i < ready; i++) {
        /* Handlers may submit meanwhile; the head moves only below, so entries stay. */
        complete(self, &self->ring.cq.cqes[(head + i) & mask]);
    }
    io_uring_cq_advance(&self->ring, ready);
    if (!self->sends_unsettled && engine->events->on_turn_end != NULL)
        engine->events->on_turn_end(engine->owner);
    return 0;
}

/* ---- calls of the owner ---------------------------------------------------------------------- */

static void uring_send(struct fw_engine *engine, uint32_t slot, const struct iovec *pieces,
                       unsigned pieces_count)
{
    struct uring *self = uring_of(engine);
    fw_assert(self->slots[slot].flags & SLOT_OPEN);
    const unsigned flags = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;
    struct io_uring_sqe *sqe;
    if (FW_LIKELY(pieces_count == 1)) {
        sqe = next_entry(self);
        io_uring_prep_send(sqe, (int)slot, pieces[0].iov_base, pieces[0].iov_len, (int)flags);
    } else {
        fw_assert(pieces_count > 0 && pieces_count <= FW_ENGINE_PIECES_MAX);
        if (self->gathers_count == GATHERS_MAX ||
            self->gather_pieces_count + pieces_count > GATHER_PIECES_MAX)
            submit(self);
        sqe = next_entry(self);
        struct msghdr *gather = &self->gathers[self->gathers_count++];
        struct iovec *copy = &self->gather_pieces[self->gather_pieces_count];
        self->gather_pieces_count += pieces_count;
        memcpy(copy, pieces, pieces_count * sizeof *pieces);
        *gather = (struct msghdr){.msg_iov = copy, .msg_iovlen = pieces_count};
        io_uring_prep_sendmsg(sqe, (int)slot, gather, flags);
    }
    aim(self, sqe, OP_SEND, slot);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    self->sends_unsettled = true;
    engine->stats.sends++;
}

/* Half of the receive memory may be kept: the next turn receives into the other half. */
static bool uring_keep(struct fw_engine *engine)
{
    struct uring *self = uring_of(engine);
    fw_assert(self->buffer_delivered >= 0);
    struct buffer *buffer = &self->buffers[self->buffer_delivered];
    if (buffer->kept)
        return true;
    if ((self->buffers_kept + 1) * 2 > self->buffers_serving)
        return false;
    buffer->kept = true;
    self->buffers_kept++;
    return true;
}

static void uring_pause(struct fw_engine *engine, uint32_t slot)
{
    struct uring *self = uring_of(engine);
    struct slot *s = &self->slots[slot];
    if (s->flags & (SLOT_PAUSED | SLOT_CLOSING))
        return;
    s->flags |= SLOT_PAUSED;
    if (!(s->flags & SLOT_RECEIVING))
        return;
    struct io_uring_sqe *sqe = next_entry(self);
    io_uring_prep_cancel64(sqe, tag_of(OP_RECEIVE, s->generation, slot), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = tag_of(OP_CANCEL, 0, slot);
}

static void uring_resume(struct fw_engine *engine, uint32_t slot)
{
    struct uring *self = uring_of(engine);
    struct slot *s = &self->slots[slot];
    if (!(s->flags & SLOT_PAUSED))
        return;
    s->flags &= (uint8_t)~SLOT_PAUSED;
    /* A receive whose cancellation is under way is armed again when its end is told. */
    if (!(s->flags & (SLOT_RECEIVING | SLOT_CLOSING | SLOT_ENDED)))
        arm_receive(self, slot);
}

static void uring_shutdown(struct fw_engine *engine, uint32_t slot)
{
    struct uring *self = uring_of(engine);
    struct io_uring_sqe *sqe = next_entry(self);
    io_uring_prep_shutdown(sqe, (int)slot, SHUT_WR);
    aim(self, sqe, OP_SHUTDOWN, slot);
    self->slots[slot].pending++;
}

/* Cancels what is armed, then closes. The links are hard: a cancel that finds nothing must not keep
 * the close from running. Without the cancel an armed receive holds the socket, and no FIN goes
 * out. */
static void uring_close(struct fw_engine *engine, uint32_t slot, bool abort)
{
    struct uring *self = uring_of(engine);
    struct slot *s = &self->slots[slot];
    fw_assert((s->flags & (SLOT_OPEN | SLOT_CLOSING)) == SLOT_OPEN);
    s->flags |= SLOT_CLOSING;
    s->pending++;

    need_entries(self, 3);
    struct io_uring_sqe *sqe;
    if (abort && self->has_setsockopt) {
        sqe = next_entry(self);
        fw_uring_prep_setsockopt(sqe, (int)slot, SOL_SOCKET, SO_LINGER, &linger_abort,
                                 sizeof linger_abort);
        aim(self, sqe, OP_IGNORED, slot);
        sqe->flags |= IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS;
    }
    sqe = next_entry(self);
    io_uring_prep_cancel_fd(sqe, (int)slot, IORING_ASYNC_CANCEL_FD_FIXED | IORING_ASYNC_CANCEL_ALL);
    sqe->user_data = tag_of(OP_CANCEL, 0, slot);
    sqe->flags |= IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS;
    sqe = next_entry(self);
    io_uring_prep_close_direct(sqe, slot);
    sqe->user_data = tag_of(OP_CLOSE, s->generation, slot);
}

static int uring_listen(struct fw_engine *engine, int listen_fd)
{
    struct uring *self = uring_of(engine);
    if (self->listeners_count == LISTENERS_MAX)
        return FW_ERR_LIMIT;
    size_t count = (size_t)ACCEPTS_PER_LISTENER * (self->listeners_count + 1);
    if (self->accepts == NULL) {
        /* The kernel writes addresses into these: they never move. */
        self->accepts = fw_mem_zero(sizeof *self->accepts * ACCEPTS_PER_LISTENER * LISTENERS_MAX);
        if (self->accepts == NULL)
            return -ENOMEM;
    }
    self->listen_fds[self->listeners_count] = listen_fd;
    for (size_t i = count - ACCEPTS_PER_LISTENER; i < count; i++) {
        self->accepts[i].listener = (uint16_t)self->listeners_count;
        if (!self->accept_paused)
            arm_accept(self, (uint32_t)i);
    }
    self->listeners_count++;
    return 0;
}

static void uring_accept_pause(struct fw_engine *engine)
{
    struct uring *self = uring_of(engine);
    if (self->accept_paused)
        return;
    self->accept_paused = true;
    for (unsigned i = 0; i < self->listeners_count; i++) {
        struct io_uring_sqe *sqe = next_entry(self);
        io_uring_prep_cancel_fd(sqe, self->listen_fds[i], IORING_ASYNC_CANCEL_ALL);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        sqe->user_data = tag_of(OP_CANCEL, 0, 0);
    }
}

static void uring_accept_resume(struct fw_engine *engine)
{
    struct uring *self = uring_of(engine);
    if (!self->accept_paused)
        return;
    self->accept_paused = false;
    for (uint32_t i = 0; i < self->listeners_count * ACCEPTS_PER_LISTENER; i++) {
        if (!self->accepts[i].armed)
            arm_accept(self, i);
    }
}

/* Sends the descriptor, then closes ours; a refused send breaks the link and keeps the ticket. */
static void uring_hand_over(struct fw_engine *engine, uint32_t ticket, struct fw_engine *target,
                            uint32_t tag)
{
    struct uring *self = uring_of(engine);
    need_entries(self, 2);
    struct io_uring_sqe *sqe = next_entry(self);
    fw_uring_prep_send_fd(sqe, uring_of(target)->ring.ring_fd, ticket, tag_of(OP_ADOPT, 0, tag));
    sqe->user_data = tag_of(OP_HAND_OVER, 0, ticket);
    sqe->flags |= IOSQE_IO_LINK;
    fw_engine_refuse(engine, ticket);
}

static void uring_refuse(struct fw_engine *engine, uint32_t ticket)
{
    struct io_uring_sqe *sqe = next_entry(uring_of(engine));
    io_uring_prep_close_direct(sqe, ticket);
    sqe->user_data = tag_of(OP_IGNORED, 0, ticket);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void uring_wake(struct fw_engine *engine)
{
    struct uring *self = uring_of(engine);
    if (atomic_exchange(&self->wake_pending, true)) /* pairs with the store in woken() */
        return;
    uint64_t one = 1;
    ssize_t written = write(self->wake_fd, &one, sizeof one);
    fw_assert(written == (ssize_t)sizeof one);
}

/* ---- creation -------------------------------------------------------------------------------- */

static const uint8_t allowed_operations[] = {
    IORING_OP_RECV,     IORING_OP_SEND,         IORING_OP_SENDMSG,  IORING_OP_POLL_ADD,
    IORING_OP_CLOSE,    IORING_OP_ASYNC_CANCEL, IORING_OP_READ,     IORING_OP_ACCEPT,
    IORING_OP_MSG_RING, IORING_OP_SHUTDOWN,     IORING_OP_URING_CMD};

/* The ring may do what an engine does and nothing else, whatever a bug or an intruder asks. */
static int restrict_ring(struct uring *self)
{
    enum { COUNT = sizeof allowed_operations };
    struct io_uring_restriction rules[COUNT + 1];
    memset(rules, 0, sizeof rules);
    for (unsigned i = 0; i < COUNT; i++) {
        rules[i].opcode = IORING_RESTRICTION_SQE_OP;
        rules[i].sqe_op = allowed_operations[i];
    }
    rules[COUNT].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    rules[COUNT].sqe_flags = IOSQE_FIXED_FILE | IOSQE_IO_LINK | IOSQE_IO_HARDLINK |
                             IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
    return fw_uring_register(&self->ring, IORING_REGISTER_RESTRICTIONS, rules, COUNT + 1);
}

static int create_ring(struct uring *self)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED |
                 FW_URING_NO_SQARRAY,
        .cq_entries = CQ_ENTRIES,
    };
    int result = io_uring_queue_init_params(SQ_ENTRIES, &self->ring, &params);
    if (result == -EINVAL && FW_URING_NO_SQARRAY != 0) {
        params.flags &= ~FW_URING_NO_SQARRAY;
        result = io_uring_queue_init_params(SQ_ENTRIES, &self->ring, &params);
    }
    return result;
}

/* Maps and registers the ring of receive buffers: incremental if the kernel takes that. The memory
 * is touched now, so that what a process uses does not grow with its first connections. */
static int create_buffers(struct uring *self, size_t receive_bytes)
{
    unsigned count = 1;
    while (count < BUFFERS_MAX && count * 2 * BUFFER_BYTES <= receive_bytes)
        count *= 2;
    self->buffers_count = count;
    size_t ring_bytes = count * sizeof(struct io_uring_buf);
    self->buffer_ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (self->buffer_ring == MAP_FAILED) {
        self->buffer_ring = NULL;
        return -ENOMEM;
    }
    self->buffer_memory = mmap(NULL, count * BUFFER_BYTES, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (self->buffer_memory == MAP_FAILED) {
        self->buffer_memory = NULL;
        return -ENOMEM;
    }
    io_uring_buf_ring_init(self->buffer_ring);
    struct io_uring_buf_reg ring = {.ring_addr = (uint64_t)(uintptr_t)self->buffer_ring,
                                    .ring_entries = count,
                                    .bgid = BUFFER_GROUP};
    /* Called `pad` in headers older than the flag, `flags` since: the same 16 bits. */
    const uint16_t incremental = FW_URING_BUFFERS_INCREMENTAL;
    memcpy((char *)&ring + offsetof(struct io_uring_buf_reg, bgid) + sizeof ring.bgid, &incremental,
           sizeof incremental);
    int result = io_uring_register_buf_ring(&self->ring, &ring, 0);
    self->incremental = result == 0;
    if (result == -EINVAL) {
        memset((char *)&ring + offsetof(struct io_uring_buf_reg, bgid) + sizeof ring.bgid, 0,
               sizeof incremental);
        result = io_uring_register_buf_ring(&self->ring, &ring, 0);
    }
    if (result < 0)
        return result;
    while (self->buffers_serving < BUFFERS_START && self->buffers_serving < count)
        give_buffer(self, self->buffers_serving++);
    return 0;
}

static int create_tables(struct uring *self)
{
    size_t bytes = sizeof(struct slot) * self->slots_max;
    self->slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (self->slots == MAP_FAILED) {
        self->slots = NULL;
        return -ENOMEM;
    }
    self->gathers = fw_mem_alloc(sizeof *self->gathers * GATHERS_MAX);
    self->gather_pieces = fw_mem_alloc(sizeof *self->gather_pieces * GATHER_PIECES_MAX);
    return self->gathers == NULL || self->gather_pieces == NULL ? -ENOMEM : 0;
}

/* Whether setsockopt is a command here (Linux 6.7): tried on a socket of its own. */
static void probe_setsockopt(struct uring *self)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    struct io_uring_sqe *sqe = next_entry(self);
    fw_uring_prep_setsockopt(sqe, fd, SOL_SOCKET, SO_LINGER, &linger_abort, sizeof linger_abort);
    sqe->user_data = tag_of(OP_IGNORED, 0, 0);
    struct io_uring_cqe *cqe;
    if (io_uring_submit(&self->ring) == 1 && io_uring_wait_cqe(&self->ring, &cqe) == 0) {
        self->has_setsockopt = cqe->res >= 0;
        io_uring_cqe_seen(&self->ring, cqe);
    }
    close(fd);
}

static void uring_destroy(struct fw_engine *engine)
{
    struct uring *self = uring_of(engine);
    if (self->ring.ring_fd >= 0)
        io_uring_queue_exit(&self->ring);
    if (self->wake_fd >= 0)
        close(self->wake_fd);
    if (self->buffer_ring != NULL)
        munmap(self->buffer_ring, self->buffers_count * sizeof(struct io_uring_buf));
    if (self->buffer_memory != NULL)
        munmap(self->buffer_memory, self->buffers_count * BUFFER_BYTES);
    if (self->slots != NULL)
        munmap(self->slots, sizeof(struct slot) * self->slots_max);
    fw_mem_free(self->gathers);
    fw_mem_free(self->gather_pieces);
    fw_mem_free(self->accepts);
    fw_mem_free(self);
}

static const struct fw_engine_ops uring_ops = {
    .destroy = uring_destroy,
    .turn = uring_turn,
    .wake = uring_wake,
    .send = uring_send,
    .keep = uring_keep,
    .pause = uring_pause,
    .resume = uring_resume,
    .shutdown = uring_shutdown,
    .close = uring_close,
    .listen = uring_listen,
    .accept_pause = uring_accept_pause,
    .accept_resume = uring_accept_resume,
    .hand_over = uring_hand_over,
    .refuse = uring_refuse,
};

static int start_ring(struct uring *self, const struct fw_engine_options *options)
{
    int result = create_ring(self);
    if (result < 0) {
        self->ring.ring_fd = -1;
        return result;
    }
    if ((result = io_uring_register_files_sparse(&self->ring, self->slots_max)) < 0)
        return result;
    if ((result = create_buffers(self, options->receive_bytes)) < 0)
        return result;
    if ((result = restrict_ring(self)) < 0)
        return result;
    if ((result = fw_uring_register(&self->ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0)) < 0)
        return result;
    /* Saves the enter a look-up of the ring's descriptor; without it everything works as well. */
    (void)io_uring_register_ring_fd(&self->ring);
    probe_setsockopt(self);
    arm_wake(self);
    return 0;
}

int fw_engine_uring_create(const struct fw_engine_options *options, struct fw_engine **engine_out)
{
    struct uring *self = fw_mem_zero(sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    self->base = (struct fw_engine){.ops = &uring_ops,
                                    .events = options->events,
                                    .owner = options->owner,
                                    .now_ms = monotonic_ms()};
    self->slots_max = options->slots_max;
    self->ring.ring_fd = -1;
    self->buffer_delivered = -1;
    self->wake_fd = eventfd(0, EFD_CLOEXEC);
    int result = self->wake_fd < 0 ? -errno : create_tables(self);
    if (result == 0)
        result = start_ring(self, options);
    if (result < 0) {
        uring_destroy(&self->base);
        return result;
    }
    *engine_out = &self->base;
    return 0;
}
