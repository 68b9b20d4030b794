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
 * - Receiving is in engine_uring_receive.c, accepting in engine_uring_accept.c, connecting in
 *   engine_uring_connect.c, the making of the ring in engine_uring_setup.c.
 *
 * user_data of every request: operation (8 bits) | generation (24) | slot, ticket or index (32). A
 * completion whose generation is not the slot's is of an earlier life and ignored.
 *
 * A slot's life, and what walks each arrow:
 *
 *   FREE --adopted()--> OPEN --uring_close()--> CLOSING --fw_uring_retire(), `pending` is 0--> FREE
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

/* The kernel has read the entries, and what they pointed to. */
static void submitted_all(struct fw_uring *self)
{
    self->gathers_count = 0;
    self->gather_pieces_count = 0;
    if (self->connects != NULL)
        self->connects->addresses_count = 0;
}

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
    submitted_all(self);
}

static void arm_poll(struct fw_uring *self, uint32_t slot)
{
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_poll_add(sqe, (int)slot, POLLOUT);
    fw_uring_aim(self, sqe, FW_URING_POLL, slot);
    self->slots[slot].flags |= SLOT_POLLING;
    self->slots[slot].pending++;
}

void fw_uring_arm_wake(struct fw_uring *self)
{
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_read(sqe, self->wake_fd, &self->wake_value, sizeof self->wake_value, 0);
    sqe->user_data = fw_uring_tag(FW_URING_WAKE, 0, 0);
}

/* ---- completions -------------------------------------------------------------------------- */

void fw_uring_open(struct fw_uring *self, uint32_t slot, uint32_t tag)
{
    struct fw_uring_slot *s = &self->slots[slot];
    s->flags = SLOT_OPEN;
    if (fw_uring_shares_room(self, slot))
        self->open_count++;
    self->base.events->on_adopted(self->base.owner, slot, tag);
    if (s->flags == SLOT_OPEN) /* not paused, closed, or resumed meanwhile */
        fw_uring_arm_receive(self, slot);
}

void fw_uring_retire(struct fw_uring *self, uint32_t slot)
{
    struct fw_uring_slot *s = &self->slots[slot];
    fw_assert(s->pending > 0);
    s->pending--;
    if (s->pending > 0 || !(s->flags & SLOT_CLOSED))
        return;
    const uint16_t flags = s->flags;
    s->flags = 0;
    s->generation = (s->generation + 1) & 0xffffff;
    int status = fw_uring_connect_free(self, slot);
    if (flags & SLOT_FAILED)
        self->base.events->on_connect_failed(self->base.owner, s->tag, status);
    else
        self->base.events->on_closed(self->base.owner, slot);
    const bool shared = fw_uring_shares_room(self, slot);
    if (shared)
        self->open_count--;
    if (flags & SLOT_ADOPT_WAITING)
        fw_uring_open(self, slot, s->tag);
    else if (shared)
        fw_uring_arm_accepts(self);
}

void fw_uring_adopted(struct fw_uring *self, uint32_t slot, uint32_t tag)
{
    fw_assert(slot < self->slots_max);
    struct fw_uring_slot *s = &self->slots[slot];
    if (s->flags != 0) {
        /* Closed in the kernel, but its last completions are still on their way to us. */
        fw_assert(s->flags & SLOT_CLOSING);
        s->flags |= SLOT_ADOPT_WAITING;
        s->tag = tag;
        return;
    }
    fw_uring_open(self, slot, tag);
}

void fw_uring_ended(struct fw_uring *self, uint32_t slot, int status)
{
    struct fw_uring_slot *s = &self->slots[slot];
    if (s->flags & (SLOT_ENDED | SLOT_CLOSING))
        return;
    s->flags |= SLOT_ENDED;
    self->base.events->on_ended(self->base.owner, slot, status);
}

static void polled(struct fw_uring *self, uint32_t slot, int result)
{
    bool open = (self->slots[slot].flags & (SLOT_OPEN | SLOT_CLOSING)) == SLOT_OPEN;
    self->slots[slot].flags &= (uint16_t)~SLOT_POLLING;
    if (open && result != -ECANCELED)
        self->base.events->on_writable(self->base.owner, slot);
    fw_uring_retire(self, slot);
}

static void shut(struct fw_uring *self, uint32_t slot)
{
    struct fw_uring_slot *s = &self->slots[slot];
    s->flags &= (uint16_t)~SLOT_SHUTTING;
    if (s->flags & SLOT_CLOSING)
        fw_uring_submit_close(self, slot);
    fw_uring_retire(self, slot);
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
            fw_uring_received(self, index, cqe);
        break;
    case FW_URING_RECEIVE_DEEP:
        if (current(self, cqe->user_data))
            fw_uring_received_deep(self, index, cqe);
        break;
    case FW_URING_READY:
        if (current(self, cqe->user_data))
            fw_uring_ready(self, index, cqe);
        break;
    case FW_URING_POLL:
        if (current(self, cqe->user_data))
            polled(self, index, cqe->res);
        break;
    case FW_URING_CLOSE:
        if (current(self, cqe->user_data)) {
            self->slots[index].flags |= SLOT_CLOSED;
            fw_uring_retire(self, index);
        }
        break;
    case FW_URING_SHUTDOWN:
        if (current(self, cqe->user_data))
            shut(self, index);
        break;
    case FW_URING_ADOPT:
        if (cqe->res >= 0) /* else the sender is told as well; nothing arrived here */
            fw_uring_adopted(self, (uint32_t)cqe->res, index);
        break;
    case FW_URING_WAKE:
        woken(self);
        break;
    case FW_URING_ALARM:
        self->alarm_ms = 0;
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
    case FW_URING_HAND_OVER: /* else the close behind it tells */
        if (cqe->res < 0)
            fw_uring_hand_over_failed(self, index, cqe->res);
        break;
    case FW_URING_HANDED:
        fw_uring_handed_over(self, index, cqe->res);
        break;
    case FW_URING_SOCKET: /* leaves a completion only when it failed */
    case FW_URING_CONNECT:
        if (current(self, cqe->user_data))
            fw_uring_connected(self, index, cqe->res,
                               fw_uring_operation(cqe->user_data) == FW_URING_CONNECT);
        break;
    case FW_URING_UNCONNECT:
        if (current(self, cqe->user_data))
            fw_uring_unconnected(self, index, cqe->res);
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

/* Nothing is lent any more, and nothing needs to be kept. */
static void settled(struct fw_uring *self)
{
    self->sends_unsettled = false;
    fw_uring_release_kept(&self->shallow);
    fw_uring_release_kept(&self->deep);
    self->base.events->on_settled(self->base.owner);
}

/* Tells of the sends that this enter did not finish, then that all others are done. When the
 * completion queue overflowed a report may still be hidden: settle in a later turn. */
static void settle(struct fw_uring *self, unsigned ready)
{
    if (!self->sends_unsettled)
        return;
    unsigned head = *self->ring.cq.khead;
    unsigned mask = *self->ring.cq.kring_mask;
    while (self->told < ready) {
        const struct io_uring_cqe *cqe = &self->ring.cq.cqes[(head + self->told++) & mask];
        if (fw_uring_operation(cqe->user_data) == FW_URING_SEND)
            unsent(self, cqe);
    }
    if (io_uring_cq_has_overflow(&self->ring))
        return;
    settled(self);
}

/* ---- the turn ----------------------------------------------------------------------------- */

uint64_t fw_uring_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Makes the last turn's sends now rather than in the wait's enter, when they hold much of the
 * receive memory, and has that received into again while the cache holds it. Completions that were
 * not seen yet may say where more was received.
 *
 * returns      whether there is something to do that the kernel will not tell of
 */
static bool reuse_memory(struct fw_uring *self)
{
    struct fw_uring_pool *pool = &self->shallow;
    const uint64_t unsent_before = self->base.stats.sends_unsent;
    if (self->sends_unsettled && pool->hot_bytes >= FW_URING_HOT_BYTES) {
        fw_uring_submit(self);
        if (!io_uring_cq_has_overflow(&self->ring))
            settle(self, io_uring_cq_ready(&self->ring));
    }
    if (!self->sends_unsettled && io_uring_cq_ready(&self->ring) == 0 &&
        !io_uring_cq_has_overflow(&self->ring))
        fw_uring_begin_anew(pool);
    return self->base.stats.sends_unsent != unsent_before ||
           (self->line_count > 0 && !self->sends_unsettled);
}

/* Waits for several events at once, behind a turn that had some: a thread that is woken for each of
 * them does little else. */
static int gather(struct fw_uring *self, int timeout_ms)
{
    uint64_t wait_us = self->gather_us;
    if (timeout_ms > 0 && (uint64_t)timeout_ms * 1000 < wait_us)
        wait_us = (uint64_t)timeout_ms * 1000;
    struct __kernel_timespec wait = {.tv_sec = (long long)(wait_us / 1000000),
                                     .tv_nsec = (long long)(wait_us % 1000000) * 1000};
    struct io_uring_cqe *first;
    return io_uring_submit_and_wait_timeout(&self->ring, &first, self->gather_events, &wait, NULL);
}

/* Has the ring wake us by a time. An alarm that stands is left where it is, and may ring too soon:
 * then a turn has nothing to do. A timeout of each wait's own costs 2 % of a turn that has one
 * small message. */
static void set_alarm(struct fw_uring *self, int timeout_ms)
{
    const uint64_t due_ms = self->base.now_ms + (unsigned)timeout_ms;
    if (FW_LIKELY(self->alarm_ms != 0 && self->alarm_ms <= due_ms))
        return;
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    const uint64_t name = fw_uring_tag(FW_URING_ALARM, 0, 0);
    self->alarm = (struct __kernel_timespec){.tv_sec = (long long)(due_ms / 1000),
                                             .tv_nsec = (long long)(due_ms % 1000) * 1000000};
    if (self->alarm_ms == 0) {
        io_uring_prep_timeout(sqe, &self->alarm, 0, IORING_TIMEOUT_ABS);
        sqe->user_data = name;
    } else { /* when it has just rung, its completion ends the wait */
        io_uring_prep_timeout_update(sqe, &self->alarm, name, IORING_TIMEOUT_ABS);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        sqe->user_data = fw_uring_tag(FW_URING_IGNORED, 0, 0);
    }
    self->alarm_ms = due_ms;
}

static int wait_for_events(struct fw_uring *self, int timeout_ms)
{
    if (reuse_memory(self) || self->own_count > 0)
        timeout_ms = 0;
    if (self->sends_unsettled && (timeout_ms < 0 || timeout_ms > FW_URING_SETTLE_MS_MAX))
        timeout_ms = self->line_count > 0 ? 0 : FW_URING_SETTLE_MS_MAX;
    if (self->connects != NULL)
        timeout_ms = fw_uring_connects_wait_ms(self, timeout_ms);
    int result;
    if (timeout_ms == 0) {
        result = io_uring_submit_and_get_events(&self->ring);
    } else if (self->busy && self->gather_events > 0) {
        result = gather(self, timeout_ms);
    } else {
        if (timeout_ms > 0)
            set_alarm(self, timeout_ms);
        result = io_uring_submit_and_wait(&self->ring, 1);
    }
    submitted_all(self);
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
    const bool alarmed = self->alarm_ms != 0;
    settle(self, ready);
    unsigned head = *self->ring.cq.khead;
    unsigned mask = *self->ring.cq.kring_mask;
    for (unsigned i = 0; i < ready; i++) {
        /* Handlers may fw_uring_submit meanwhile; the head moves only below, so entries stay. */
        complete(self, &self->ring.cq.cqes[(head + i) & mask]);
    }
    io_uring_cq_advance(&self->ring, ready);
    self->told = 0;
    self->busy = ready > (alarmed && self->alarm_ms == 0 ? 1u : 0u); /* by more than the alarm */
    fw_uring_adopt_own(self);
    fw_uring_arm_late(self);
    if (self->connects != NULL)
        fw_uring_connects_turn(self);
    if (!self->sends_unsettled && engine->events->on_turn_end != NULL)
        engine->events->on_turn_end(engine->owner);
    if (!self->sends_unsettled && self->shallow.kept + self->deep.kept > 0)
        settled(self);
    fw_uring_serve_line(self);
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
    if (self->connects != NULL && slot >= self->connects->first)
        fw_uring_spoke(self, slot);
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

static void cancel_linked(struct fw_uring *self, uint64_t name, uint32_t slot)
{
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_cancel64(sqe, name, 0);
    sqe->user_data = fw_uring_tag(FW_URING_CANCEL, 0, slot);
    sqe->flags |= IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS;
}

/* Cancels what is armed, then closes. The links are hard: a cancel that finds nothing must not keep
 * the close from running. Without the cancel an armed receive holds the socket, and no FIN goes
 * out. Cancelling by name is a look into a hash table; by descriptor the kernel walks everything
 * that is armed in the ring: 0.5 ms a close with 20,000 connections. */
void fw_uring_submit_close(struct fw_uring *self, uint32_t slot)
{
    struct fw_uring_slot *s = &self->slots[slot];
    fw_uring_need_entries(self, 4);
    struct io_uring_sqe *sqe;
    if ((s->flags & SLOT_ABORT) && self->has_setsockopt) {
        sqe = fw_uring_next_entry(self);
        fw_uring_prep_setsockopt(sqe, (int)slot, SOL_SOCKET, SO_LINGER, &fw_uring_linger_abort,
                                 sizeof fw_uring_linger_abort);
        fw_uring_aim(self, sqe, FW_URING_IGNORED, slot);
        sqe->flags |= IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS;
    }
    if (s->flags & SLOT_RECEIVING)
        cancel_linked(self, fw_uring_armed(self, slot), slot);
    if (s->flags & SLOT_POLLING)
        cancel_linked(self, fw_uring_tag(FW_URING_POLL, s->generation, slot), slot);
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
    fw_assert((s->flags & (SLOT_OPEN | SLOT_CONNECTING)) && !(s->flags & SLOT_CLOSING));
    s->flags |= abort ? SLOT_CLOSING | SLOT_ABORT : SLOT_CLOSING;
    s->pending++;
    if (s->flags & SLOT_CONNECTING)
        fw_uring_unconnect(self, slot);
    else if (!(s->flags & SLOT_SHUTTING))
        fw_uring_submit_close(self, slot);
}

static void uring_gather(struct fw_engine *engine, uint32_t events, uint32_t wait_us)
{
    struct fw_uring *self = fw_uring_of(engine);
    self->gather_events = events;
    self->gather_us = wait_us;
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
    .gather = uring_gather,
    .send = uring_send,
    .keep = fw_uring_keep,
    .pause = fw_uring_pause,
    .resume = fw_uring_resume,
    .shutdown = uring_shutdown,
    .close = uring_close,
    .listen = fw_uring_listen,
    .accept_pause = fw_uring_accept_pause,
    .accept_resume = fw_uring_accept_resume,
    .hand_over = fw_uring_hand_over,
    .refuse = fw_uring_refuse,
    .connect = fw_uring_connect,
};
