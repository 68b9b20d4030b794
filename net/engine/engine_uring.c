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
 * - Receives are multishot from a ring of provided buffers, incremental where the kernel has it.
 * Few are in service until they run out, because a small ring stays in the cache.
 * - Accepting is in engine_uring_accept.c, the making of the ring in engine_uring_setup.c.
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
#include "net/engine/engine_uring.h"

#include "base/check.h"
#include <fanwire/status.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct linger fw_uring_linger_abort = {.l_onoff = 1, .l_linger = 0};

/* ---- submission --------------------------------------------------------------------------- */

/* Hands the queue to the kernel without waiting. */
void fw_uring_submit(struct fw_uring *self)
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

static void arm_receive(struct fw_uring *self, uint32_t slot)
{
    struct fw_uring_slot *s = &self->slots[slot];
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_recv_multishot(sqe, (int)slot, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = FW_URING_BUFFER_GROUP;
    fw_uring_aim(self, sqe, FW_URING_RECEIVE, slot);
    s->flags |= SLOT_RECEIVING;
    s->pending++;
}

static void arm_poll(struct fw_uring *self, uint32_t slot)
{
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_poll_add(sqe, (int)slot, POLLOUT);
    fw_uring_aim(self, sqe, FW_URING_POLL, slot);
    self->slots[slot].polling = true;
    self->slots[slot].pending++;
}

void fw_uring_arm_wake(struct fw_uring *self)
{
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_read(sqe, self->wake_fd, &self->wake_value, sizeof self->wake_value, 0);
    sqe->user_data = fw_uring_tag(FW_URING_WAKE, 0, 0);
}

/* ---- receive memory ----------------------------------------------------------------------- */

void fw_uring_give_buffer(struct fw_uring *self, unsigned id)
{
    self->buffers[id] = (struct fw_uring_buffer){0};
    io_uring_buf_ring_add(self->buffer_ring, self->buffer_memory + id * FW_URING_BUFFER_BYTES,
                          (unsigned)FW_URING_BUFFER_BYTES, (unsigned short)id,
                          io_uring_buf_ring_mask(self->buffers_count), 0);
    io_uring_buf_ring_advance(self->buffer_ring, 1);
}

/* The sends are settled: what was kept for them is free again. */
static void release_kept(struct fw_uring *self)
{
    for (unsigned id = 0; id < self->buffers_serving && self->buffers_kept > 0; id++) {
        struct fw_uring_buffer *buffer = &self->buffers[id];
        if (!buffer->kept)
            continue;
        self->buffers_kept--;
        buffer->kept = false;
        if (buffer->consumed)
            fw_uring_give_buffer(self, id);
    }
}

/* Receive memory ran out: twice as much from now on, as far as allowed. */
static void serve_more_buffers(struct fw_uring *self)
{
    unsigned wanted = self->buffers_serving * 2;
    if (wanted > self->buffers_count)
        wanted = self->buffers_count;
    while (self->buffers_serving < wanted)
        fw_uring_give_buffer(self, self->buffers_serving++);
}

/* ---- completions -------------------------------------------------------------------------- */

/* Counts one request of the slot as over; the last one of a closing slot ends its life. */
static void retire(struct fw_uring *self, uint32_t slot)
{
    struct fw_uring_slot *s = &self->slots[slot];
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

static void adopted(struct fw_uring *self, int result, uint32_t tag)
{
    if (result < 0) /* the sender is told as well; nothing arrived here */
        return;
    uint32_t slot = (uint32_t)result;
    fw_assert(slot < self->slots_max);
    struct fw_uring_slot *s = &self->slots[slot];
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

static void ended(struct fw_uring *self, uint32_t slot, int status)
{
    struct fw_uring_slot *s = &self->slots[slot];
    if (s->flags & (SLOT_ENDED | SLOT_CLOSING))
        return;
    s->flags |= SLOT_ENDED;
    self->base.events->on_ended(self->base.owner, slot, status);
}

/* Delivers what a receive brought and gives its buffer back when it is used up. */
static void deliver(struct fw_uring *self, uint32_t slot, const struct io_uring_cqe *cqe)
{
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    fw_assert(id < self->buffers_serving);
    struct fw_uring_buffer *buffer = &self->buffers[id];
    uint8_t *bytes = self->buffer_memory + id * FW_URING_BUFFER_BYTES + buffer->used;
    bool more = self->incremental && (cqe->flags & FW_URING_CQE_BUFFER_MORE);
    buffer->used += (uint32_t)cqe->res;
    fw_assert(buffer->used <= FW_URING_BUFFER_BYTES);
    if (!(self->slots[slot].flags & (SLOT_CLOSING | SLOT_ENDED))) {
        self->base.stats.received_bytes += (uint64_t)cqe->res;
        self->slots[slot].turn = (uint8_t)self->base.stats.turns;
        self->buffer_delivered = (int)id;
        self->base.events->on_received(self->base.owner, slot, bytes, (size_t)cqe->res);
        self->buffer_delivered = -1;
    }
    if (more)
        return;
    if (buffer->kept)
        buffer->consumed = true;
    else
        fw_uring_give_buffer(self, id);
}

/* Arms a receive again. One that has used up the receive memory waits until those that found none
 * are armed: else a flooding peer would take it all again before a quiet one is served. */
static void rearm(struct fw_uring *self, uint32_t slot, bool starved)
{
    if (starved && self->slots[slot].turn == (uint8_t)self->base.stats.turns)
        self->late[self->late_count++] = slot;
    else
        arm_receive(self, slot);
}

static void arm_late(struct fw_uring *self)
{
    for (uint32_t i = 0; i < self->late_count; i++) {
        uint32_t slot = self->late[i];
        const uint8_t flags = self->slots[slot].flags;
        if ((flags & (SLOT_OPEN | SLOT_CLOSING | SLOT_PAUSED | SLOT_ENDED | SLOT_RECEIVING)) ==
            SLOT_OPEN)
            arm_receive(self, slot);
    }
    self->late_count = 0;
}

static void received(struct fw_uring *self, uint32_t slot, const struct io_uring_cqe *cqe)
{
    struct fw_uring_slot *s = &self->slots[slot];
    bool last = !(cqe->flags & IORING_CQE_F_MORE);
    if (last)
        s->flags &= (uint8_t)~SLOT_RECEIVING;
    if (cqe->res > 0)
        deliver(self, slot, cqe);
    else if (cqe->flags & IORING_CQE_F_BUFFER && !(cqe->flags & FW_URING_CQE_BUFFER_MORE) &&
             !self->incremental)
        fw_uring_give_buffer(self, cqe->flags >> IORING_CQE_BUFFER_SHIFT);

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
        rearm(self, slot, cqe->res == -ENOBUFS);
    retire(self, slot);
}

static void polled(struct fw_uring *self, uint32_t slot, int result)
{
    bool open = (self->slots[slot].flags & (SLOT_OPEN | SLOT_CLOSING)) == SLOT_OPEN;
    self->slots[slot].polling = false;
    if (open && result != -ECANCELED)
        self->base.events->on_writable(self->base.owner, slot);
    retire(self, slot);
}

static void submit_close(struct fw_uring *self, uint32_t slot);

static void shut(struct fw_uring *self, uint32_t slot)
{
    struct fw_uring_slot *s = &self->slots[slot];
    s->flags &= (uint8_t)~SLOT_SHUTTING;
    if (s->flags & SLOT_CLOSING)
        submit_close(self, slot);
    retire(self, slot);
}

static void woken(struct fw_uring *self)
{
    /* Cleared before the owner looks: a wake from now on writes again.
     * Pairs with the exchange in uring_wake. */
    atomic_store(&self->wake_pending, false);
    fw_uring_arm_wake(self);
    if (self->base.events->on_wake != NULL)
        self->base.events->on_wake(self->base.owner);
}

/* Whether a completion is of the slot's present life. */
static inline bool current(struct fw_uring *self, uint64_t data)
{
    uint32_t slot = (uint32_t)data;
    if (FW_LIKELY((uint32_t)(data >> 32 & 0xffffff) == self->slots[slot].generation))
        return true;
    self->base.stats.stale_completions++;
    return false;
}

static void complete(struct fw_uring *self, const struct io_uring_cqe *cqe)
{
    uint32_t index = (uint32_t)cqe->user_data;
    switch (fw_uring_operation(cqe->user_data)) {
    case FW_URING_RECEIVE:
        if (current(self, cqe->user_data))
            received(self, index, cqe);
        break;
    case FW_URING_POLL:
        if (current(self, cqe->user_data))
            polled(self, index, cqe->res);
        break;
    case FW_URING_CLOSE:
        if (current(self, cqe->user_data)) {
            self->slots[index].flags |= SLOT_CLOSED;
            retire(self, index);
        }
        break;
    case FW_URING_SHUTDOWN:
        if (current(self, cqe->user_data))
            shut(self, index);
        break;
    case FW_URING_ADOPT:
        adopted(self, cqe->res, index);
        break;
    case FW_URING_WAKE:
        woken(self);
        break;
    case FW_URING_ACCEPT:
        fw_uring_accepted(self, index, cqe->res);
        break;
    case FW_URING_WATCH:
        fw_uring_watched(self, index, cqe->res);
        break;
    case FW_URING_TICKET:
        fw_uring_ticket_closed(self, cqe->res);
        break;
    case FW_URING_HAND_OVER:
        fw_uring_handed_over(self, index, cqe->res);
        break;
    case FW_URING_SEND: /* reported in report_unsent */
    case FW_URING_CANCEL:
    case FW_URING_IGNORED:
        break;
    }
}

/* A send that left a completion was not whole: tell the owner, and wait for room. */
static void unsent(struct fw_uring *self, const struct io_uring_cqe *cqe)
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
static void settle(struct fw_uring *self, unsigned ready)
{
    if (!self->sends_unsettled)
        return;
    unsigned head = *self->ring.cq.khead;
    unsigned mask = *self->ring.cq.kring_mask;
    for (unsigned i = 0; i < ready; i++) {
        const struct io_uring_cqe *cqe = &self->ring.cq.cqes[(head + i) & mask];
        if (fw_uring_operation(cqe->user_data) == FW_URING_SEND)
            unsent(self, cqe);
    }
    if (io_uring_cq_has_overflow(&self->ring))
        return;
    self->sends_unsettled = false;
    release_kept(self);
    self->base.events->on_settled(self->base.owner);
}

/* ---- the turn ----------------------------------------------------------------------------- */

uint64_t fw_uring_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int wait_for_events(struct fw_uring *self, int timeout_ms)
{
    if (self->sends_unsettled && (timeout_ms < 0 || timeout_ms > FW_URING_SETTLE_MS_MAX))
        timeout_ms = FW_URING_SETTLE_MS_MAX;
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
    struct fw_uring *self = fw_uring_of(engine);
    int result = wait_for_events(self, timeout_ms);
    if (result < 0)
        return result;
    engine->now_ms = fw_uring_monotonic_ms();
    engine->stats.turns++;

    unsigned ready = io_uring_cq_ready(&self->ring);
    settle(self, ready);
    unsigned head = *self->ring.cq.khead;
    unsigned mask = *self->ring.cq.kring_mask;
    for (unsigned i = 0; i < ready; i++) {
        /* Handlers may fw_uring_submit meanwhile; the head moves only below, so entries stay. */
        complete(self, &self->ring.cq.cqes[(head + i) & mask]);
    }
    io_uring_cq_advance(&self->ring, ready);
    arm_late(self);
    if (!self->sends_unsettled && engine->events->on_turn_end != NULL)
        engine->events->on_turn_end(engine->owner);
    return 0;
}

/* ---- calls of the owner ------------------------------------------------------------------- */

static void uring_send(struct fw_engine *engine, uint32_t slot, const struct iovec *pieces,
                       unsigned pieces_count)
{
    struct fw_uring *self = fw_uring_of(engine);
    fw_assert(self->slots[slot].flags & SLOT_OPEN);
    const unsigned flags = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;
    struct io_uring_sqe *sqe;
    if (FW_LIKELY(pieces_count == 1)) {
        sqe = fw_uring_next_entry(self);
        io_uring_prep_send(sqe, (int)slot, pieces[0].iov_base, pieces[0].iov_len, (int)flags);
    } else {
        fw_assert(pieces_count > 0 && pieces_count <= FW_ENGINE_PIECES_MAX);
        if (self->gathers_count == FW_URING_GATHERS_MAX ||
            self->gather_pieces_count + pieces_count > FW_URING_PIECES_MAX)
            fw_uring_submit(self);
        sqe = fw_uring_next_entry(self);
        struct msghdr *gather = &self->gathers[self->gathers_count++];
        struct iovec *copy = &self->gather_pieces[self->gather_pieces_count];
        self->gather_pieces_count += pieces_count;
        memcpy(copy, pieces, pieces_count * sizeof *pieces);
        *gather = (struct msghdr){.msg_iov = copy, .msg_iovlen = pieces_count};
        io_uring_prep_sendmsg(sqe, (int)slot, gather, flags);
    }
    fw_uring_aim(self, sqe, FW_URING_SEND, slot);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    self->sends_unsettled = true;
    engine->stats.sends++;
}

/* Half of the receive memory may be kept: the next turn receives into the other half. */
static bool uring_keep(struct fw_engine *engine)
{
    struct fw_uring *self = fw_uring_of(engine);
    fw_assert(self->buffer_delivered >= 0);
    struct fw_uring_buffer *buffer = &self->buffers[self->buffer_delivered];
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
    struct fw_uring *self = fw_uring_of(engine);
    struct fw_uring_slot *s = &self->slots[slot];
    if (s->flags & (SLOT_PAUSED | SLOT_CLOSING))
        return;
    s->flags |= SLOT_PAUSED;
    if (!(s->flags & SLOT_RECEIVING))
        return;
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_cancel64(sqe, fw_uring_tag(FW_URING_RECEIVE, s->generation, slot), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = fw_uring_tag(FW_URING_CANCEL, 0, slot);
}

static void uring_resume(struct fw_engine *engine, uint32_t slot)
{
    struct fw_uring *self = fw_uring_of(engine);
    struct fw_uring_slot *s = &self->slots[slot];
    if (!(s->flags & SLOT_PAUSED))
        return;
    s->flags &= (uint8_t)~SLOT_PAUSED;
    /* A receive whose cancellation is under way is armed again when its end is told. */
    if (!(s->flags & (SLOT_RECEIVING | SLOT_CLOSING | SLOT_ENDED)))
        arm_receive(self, slot);
}

static void uring_shutdown(struct fw_engine *engine, uint32_t slot)
{
    struct fw_uring *self = fw_uring_of(engine);
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_shutdown(sqe, (int)slot, SHUT_WR);
    fw_uring_aim(self, sqe, FW_URING_SHUTDOWN, slot);
    self->slots[slot].pending++;
    self->slots[slot].flags |= SLOT_SHUTTING;
}

/* Asks for the end of a slot's request, before what comes next in a chain. By its name, which the
 * kernel has hashed: to cancel by descriptor it walks all that is armed on the ring, and a thousand
 * connections that end together would cost a million steps. */
static void link_cancel(struct fw_uring *self, enum fw_uring_operation operation, uint32_t slot)
{
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_cancel64(sqe, fw_uring_tag(operation, self->slots[slot].generation, slot), 0);
    sqe->user_data = fw_uring_tag(FW_URING_CANCEL, 0, slot);
    sqe->flags |= IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS;
}

/* Cancels what is armed, then closes. The links are hard: a cancel that finds nothing must not keep
 * the close from running. Without the cancel an armed receive holds the socket, and no FIN goes
 * out. */
static void submit_close(struct fw_uring *self, uint32_t slot)
{
    struct fw_uring_slot *s = &self->slots[slot];
    fw_uring_need_entries(self, 4);
    struct io_uring_sqe *sqe;
    if (s->abort && self->has_setsockopt) {
        sqe = fw_uring_next_entry(self);
        fw_uring_prep_setsockopt(sqe, (int)slot, SOL_SOCKET, SO_LINGER, &fw_uring_linger_abort,
                                 sizeof fw_uring_linger_abort);
        fw_uring_aim(self, sqe, FW_URING_IGNORED, slot);
        sqe->flags |= IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS;
    }
    if (s->flags & SLOT_RECEIVING)
        link_cancel(self, FW_URING_RECEIVE, slot);
    if (s->polling)
        link_cancel(self, FW_URING_POLL, slot);
    sqe = fw_uring_next_entry(self);
    io_uring_prep_close_direct(sqe, slot);
    sqe->user_data = fw_uring_tag(FW_URING_CLOSE, s->generation, slot);
}

/* A shutdown runs in a thread of the kernel's, which looks its slot up when it comes to it: were
 * the slot closed before, it could find the next connection there. So the close waits for it. */
static void uring_close(struct fw_engine *engine, uint32_t slot, bool abort)
{
    struct fw_uring *self = fw_uring_of(engine);
    struct fw_uring_slot *s = &self->slots[slot];
    fw_assert((s->flags & (SLOT_OPEN | SLOT_CLOSING)) == SLOT_OPEN);
    s->flags |= SLOT_CLOSING;
    s->abort = abort;
    s->pending++;
    if (!(s->flags & SLOT_SHUTTING))
        submit_close(self, slot);
}

static void uring_wake(struct fw_engine *engine)
{
    struct fw_uring *self = fw_uring_of(engine);
    if (atomic_exchange(&self->wake_pending, true)) /* pairs with the store in woken() */
        return;
    uint64_t one = 1;
    ssize_t written = write(self->wake_fd, &one, sizeof one);
    fw_assert(written == (ssize_t)sizeof one);
}

const struct fw_engine_ops fw_uring_ops = {
    .destroy = fw_uring_destroy,
    .turn = uring_turn,
    .wake = uring_wake,
    .send = uring_send,
    .keep = uring_keep,
    .pause = uring_pause,
    .resume = uring_resume,
    .shutdown = uring_shutdown,
    .close = uring_close,
    .listen = fw_uring_listen,
    .accept_pause = fw_uring_accept_pause,
    .accept_resume = fw_uring_accept_resume,
    .hand_over = fw_uring_hand_over,
    .refuse = fw_uring_refuse,
};
