/* engine_uring_receive.c: what the io_uring engine receives, and the memory it does that into.
 *
 * Two ways, by what a slot brings (fathom):
 *
 *   shallow   a multishot receive, armed all the time, from a pool of small buffers that many
 *             receives fill one behind the other: small messages cost one completion each
 *   deep      a multishot poll, armed all the time; what is ready stands in line, and is received
 *             by one-shot receives, as many a turn as there are deep buffers. So a large message
 *             stands in one piece, is answered from where it stands, and is sent while it is still
 *             in the cache: what all slots bring at once waits in their sockets, not in memory that
 *             would be cold when its turn comes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/engine_uring.h"

#include "base/check.h"

#include <errno.h>
#include <poll.h>

/* ---- buffers ------------------------------------------------------------------------------ */

void fw_uring_give_buffer(struct fw_uring_pool *pool, unsigned id)
{
    const int mask = io_uring_buf_ring_mask(pool->count);
    pool->buffers[id] = (struct fw_uring_buffer){.place = pool->ring->tail & (uint16_t)mask};
    io_uring_buf_ring_add(pool->ring, pool->memory + id * pool->buffer_bytes,
                          (unsigned)pool->buffer_bytes, (unsigned short)id, mask, 0);
    io_uring_buf_ring_advance(pool->ring, 1);
    pool->ready++;
}

/* The sends are settled: what was kept for them is free again. */
void fw_uring_release_kept(struct fw_uring_pool *pool)
{
    for (unsigned id = 0; id < pool->serving && pool->kept > 0; id++) {
        struct fw_uring_buffer *buffer = &pool->buffers[id];
        if (!buffer->kept)
            continue;
        pool->kept--;
        buffer->kept = false;
        if (buffer->consumed)
            fw_uring_give_buffer(pool, id);
    }
}

/* Has the buffer that is filled in part filled from its start again. Nothing received waits to be
 * delivered. Of an incremental buffer the kernel keeps what is left in its entry of the ring, and
 * reads that anew for each receive. */
void fw_uring_begin_anew(struct fw_uring_pool *pool)
{
    if (pool->kept > 0)
        return;
    pool->hot_bytes = 0;
    if (pool->begun == 0)
        return;
    unsigned id = pool->begun - 1;
    struct fw_uring_buffer *buffer = &pool->buffers[id];
    struct io_uring_buf *entry = &pool->ring->bufs[buffer->place];
    if (entry->bid != id || entry->len != pool->buffer_bytes - buffer->used)
        return;
    entry->addr = (uint64_t)(uintptr_t)(pool->memory + id * pool->buffer_bytes);
    entry->len = (uint32_t)pool->buffer_bytes;
    buffer->used = 0;
    pool->begun = 0;
}

/* Shallow receive memory ran out: twice as much from now on, as far as allowed. */
static void serve_more_buffers(struct fw_uring_pool *pool)
{
    unsigned wanted = pool->serving * 2;
    if (wanted > pool->count)
        wanted = pool->count;
    while (pool->serving < wanted)
        fw_uring_give_buffer(pool, pool->serving++);
}

/* ---- arming ------------------------------------------------------------------------------- */

/* Lets a slot receive: shallow, by a multishot receive; deep, by a multishot poll (edges) that puts
 * it in line for a deep buffer. */
void fw_uring_arm_receive(struct fw_uring *self, uint32_t slot)
{
    struct fw_uring_slot *s = &self->slots[slot];
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    if (s->flags & SLOT_DEEP) {
        io_uring_prep_poll_multishot(sqe, (int)slot, POLLIN | POLLRDHUP);
        fw_uring_aim(self, sqe, FW_URING_READY, slot);
        s->flags |= SLOT_WATCHED;
    } else {
        io_uring_prep_recv_multishot(sqe, (int)slot, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = self->shallow.group;
        fw_uring_aim(self, sqe, FW_URING_RECEIVE, slot);
        s->flags &= (uint16_t)~SLOT_WATCHED;
    }
    s->flags |= SLOT_RECEIVING;
    s->pending++;
}

/* Receives what a deep slot holds, as much as a buffer takes. */
static void receive_deep(struct fw_uring *self, uint32_t slot)
{
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_recv(sqe, (int)slot, NULL, 0, MSG_DONTWAIT);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = self->deep.group;
    fw_uring_aim(self, sqe, FW_URING_RECEIVE_DEEP, slot);
    self->slots[slot].pending++;
}

/* Ends what is armed to receive; its last completion tells that it is over. */
static void cancel_receive(struct fw_uring *self, uint32_t slot)
{
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_cancel64(sqe, fw_uring_armed(self, slot), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = fw_uring_tag(FW_URING_CANCEL, 0, slot);
}

/* Chooses the pool that suits what a slot brings; a change ends the receive that is armed. */
static void fathom(struct fw_uring *self, uint32_t slot, bool deep, size_t bytes_count)
{
    struct fw_uring_slot *s = &self->slots[slot];
    if (deep != ((s->flags & SLOT_DEEP) != 0))
        return; /* a change is under way */
    if (!deep) {
        s->turn = (uint8_t)self->base.stats.turns;
        if (bytes_count < FW_URING_DEEP_BYTES || self->deep.count == 0)
            return;
    } else if (bytes_count >= FW_URING_DEEP_BYTES) {
        s->small = 0;
        return;
    } else if (++s->small < FW_URING_SHALLOW_AFTER) {
        return;
    }
    s->flags ^= SLOT_DEEP;
    s->small = 0;
    if ((s->flags & (SLOT_RECEIVING | SLOT_PAUSED)) == SLOT_RECEIVING)
        cancel_receive(self, slot);
}

/* The kernel took a buffer and put nothing into it. */
static void return_buffer(struct fw_uring_pool *pool, const struct io_uring_cqe *cqe)
{
    pool->ready--;
    fw_uring_give_buffer(pool, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
}

/* Delivers what a receive brought and gives its buffer back when it is used up. */
static void deliver(struct fw_uring *self, uint32_t slot, const struct io_uring_cqe *cqe,
                    struct fw_uring_pool *pool)
{
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    size_t bytes_count = (size_t)cqe->res;
    fw_assert(id < pool->serving);
    struct fw_uring_buffer *buffer = &pool->buffers[id];
    uint8_t *bytes = pool->memory + id * pool->buffer_bytes + buffer->used;
    bool more = pool->incremental && (cqe->flags & FW_URING_CQE_BUFFER_MORE);
    buffer->used += (uint32_t)bytes_count;
    fw_assert(buffer->used <= pool->buffer_bytes);
    pool->begun = more ? id + 1 : 0;
    pool->hot_bytes += bytes_count;
    if (!more)
        pool->ready--;
    if (!(self->slots[slot].flags & (SLOT_CLOSING | SLOT_ENDED))) {
        self->base.stats.received_bytes += bytes_count;
        fathom(self, slot, pool == &self->deep, bytes_count);
        self->delivered_pool = pool;
        self->delivered_buffer = buffer;
        self->base.events->on_received(self->base.owner, slot, bytes, bytes_count);
        self->delivered_pool = NULL;
    }
    if (more)
        return;
    if (buffer->kept)
        buffer->consumed = true;
    else
        fw_uring_give_buffer(pool, id);
}

/* Arms a shallow receive again. One that has used up the memory waits until those that found none
 * are armed: else a flooding peer would take it all again before a quiet one is served. */
static void rearm(struct fw_uring *self, uint32_t slot, bool starved)
{
    if (starved && !(self->slots[slot].flags & SLOT_DEEP) &&
        self->slots[slot].turn == (uint8_t)self->base.stats.turns)
        self->late[self->late_count++] = slot;
    else
        fw_uring_arm_receive(self, slot);
}

void fw_uring_arm_late(struct fw_uring *self)
{
    for (uint32_t i = 0; i < self->late_count; i++) {
        uint32_t slot = self->late[i];
        if ((self->slots[slot].flags & (SLOT_STATE | SLOT_RECEIVING)) == SLOT_OPEN)
            fw_uring_arm_receive(self, slot);
    }
    self->late_count = 0;
}

/* Puts a deep slot in line for a buffer. The line has room for every slot, but places of earlier
 * lives are left in it: one that finds it full receives at once. */
static void line_up(struct fw_uring *self, uint32_t slot)
{
    struct fw_uring_slot *s = &self->slots[slot];
    if (s->flags & SLOT_IN_LINE)
        return;
    if (self->line_count == self->slots_max) {
        receive_deep(self, slot);
        return;
    }
    s->flags |= SLOT_IN_LINE;
    self->line[(self->line_first + self->line_count++) % self->slots_max] = slot;
}

/* Serves as many deep slots as there are deep buffers, first come, first served. Behind the turn's
 * sends: those read what is still in the cache. */
void fw_uring_serve_line(struct fw_uring *self)
{
    for (unsigned ready = self->deep.ready; ready > 0 && self->line_count > 0;) {
        uint32_t slot = self->line[self->line_first];
        struct fw_uring_slot *s = &self->slots[slot];
        self->line_first = (self->line_first + 1) % self->slots_max;
        self->line_count--;
        bool stands = (s->flags & SLOT_IN_LINE) != 0;
        s->flags &= (uint16_t)~SLOT_IN_LINE;
        if (!stands || (s->flags & SLOT_STATE) != SLOT_OPEN)
            continue;
        receive_deep(self, slot);
        ready--;
    }
}

/* What a completion that brought no octets says. */
static void received_none(struct fw_uring *self, uint32_t slot, int result)
{
    if (result == 0)
        fw_uring_ended(self, slot, 0);
    else if (result < 0 && result != -ENOBUFS && result != -ECANCELED && result != -EINTR &&
             result != -EAGAIN)
        fw_uring_ended(self, slot, result);
}

void fw_uring_received(struct fw_uring *self, uint32_t slot, const struct io_uring_cqe *cqe)
{
    struct fw_uring_slot *s = &self->slots[slot];
    struct fw_uring_pool *pool = &self->shallow;
    bool last = !(cqe->flags & IORING_CQE_F_MORE);
    if (last)
        s->flags &= (uint16_t)~SLOT_RECEIVING;
    if (cqe->res > 0)
        deliver(self, slot, cqe, pool);
    else if (cqe->flags & IORING_CQE_F_BUFFER && !pool->incremental)
        return_buffer(pool, cqe);
    if (cqe->res == -ENOBUFS) {
        self->base.stats.receives_starved++;
        serve_more_buffers(pool);
    }
    if (cqe->res <= 0)
        received_none(self, slot, cqe->res);
    if (!last)
        return;
    /* Overflow, starvation and pauses end a multishot without losing data: arm it again. */
    if ((s->flags & SLOT_STATE) == SLOT_OPEN)
        rearm(self, slot, cqe->res == -ENOBUFS);
    fw_uring_retire(self, slot);
}

void fw_uring_received_deep(struct fw_uring *self, uint32_t slot, const struct io_uring_cqe *cqe)
{
    struct fw_uring_pool *pool = &self->deep;
    if (cqe->res > 0)
        deliver(self, slot, cqe, pool);
    else if (cqe->flags & IORING_CQE_F_BUFFER)
        return_buffer(pool, cqe);
    if (cqe->res <= 0)
        received_none(self, slot, cqe->res);
    /* No edge comes for what is there already: more octets, or the end that came with them. */
    uint16_t flags = self->slots[slot].flags;
    bool more = cqe->res == -ENOBUFS || cqe->res == -EINTR ||
                cqe->res == (int)FW_URING_DEEP_BUFFER_BYTES ||
                (cqe->res > 0 && flags & SLOT_HANGUP);
    if (more && (flags & SLOT_STATE) == SLOT_OPEN)
        line_up(self, slot);
    fw_uring_retire(self, slot);
}

/* A deep slot's poll: it may have something to receive, if only its end. */
void fw_uring_ready(struct fw_uring *self, uint32_t slot, const struct io_uring_cqe *cqe)
{
    struct fw_uring_slot *s = &self->slots[slot];
    bool last = !(cqe->flags & IORING_CQE_F_MORE);
    bool open = (s->flags & SLOT_STATE) == SLOT_OPEN;
    if (last)
        s->flags &= (uint16_t)~SLOT_RECEIVING;
    if (cqe->res > 0 && cqe->res & (POLLRDHUP | POLLHUP | POLLERR))
        s->flags |= SLOT_HANGUP;
    if (open && cqe->res > 0)
        line_up(self, slot);
    if (!last)
        return;
    if (open)
        fw_uring_arm_receive(self, slot);
    fw_uring_retire(self, slot);
}

/* Half of the receive memory may be kept: the next turn receives into the other half. */
bool fw_uring_keep(struct fw_engine *engine)
{
    struct fw_uring *self = fw_uring_of(engine);
    struct fw_uring_pool *pool = self->delivered_pool;
    fw_assert(pool != NULL);
    struct fw_uring_buffer *buffer = self->delivered_buffer;
    if (buffer->kept)
        return true;
    if (pool != &self->deep && (pool->kept + 1) * 2 > pool->serving)
        return false;
    buffer->kept = true;
    pool->kept++;
    return true;
}

void fw_uring_pause(struct fw_engine *engine, uint32_t slot)
{
    struct fw_uring *self = fw_uring_of(engine);
    struct fw_uring_slot *s = &self->slots[slot];
    if (s->flags & (SLOT_PAUSED | SLOT_CLOSING))
        return;
    s->flags |= SLOT_PAUSED;
    if (!(s->flags & SLOT_RECEIVING))
        return;
    cancel_receive(self, slot);
}

void fw_uring_resume(struct fw_engine *engine, uint32_t slot)
{
    struct fw_uring *self = fw_uring_of(engine);
    struct fw_uring_slot *s = &self->slots[slot];
    if (!(s->flags & SLOT_PAUSED))
        return;
    s->flags &= (uint16_t)~SLOT_PAUSED;
    /* A receive whose cancellation is under way is armed again when its end is told. */
    if (!(s->flags & (SLOT_RECEIVING | SLOT_CLOSING | SLOT_ENDED)))
        fw_uring_arm_receive(self, slot);
}
