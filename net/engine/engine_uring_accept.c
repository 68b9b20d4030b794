/* engine_uring_accept.c: the listening side of the io_uring engine: accepts, and hand-overs to
 * other rings.
 *
 * Accepts are one-shot, FW_URING_ACCEPTS in flight for each listener, and never more than the table
 * has room for: an accept whose file table is full takes the connection and drops it. Each begins
 * by a poll, where that is had: a try, mostly in vain, costs a twelfth of a connection's life.
 * While there is no room the listeners are polled, so that the owner is told when somebody waits. A
 * hand-over is a ring message that carries the direct descriptor, linked to the closing of ours:
 * refused by a full table, it breaks the link, and the ticket is still the owner's.
 *
 * Handed over to this engine itself, a ticket becomes the slot of its number: both are indexes of
 * one table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/engine_uring.h"

#include "base/mem.h"
#include <fanwire/status.h>

#include <errno.h>
#include <poll.h>

static bool is_dead(const struct fw_uring *self, uint32_t listener)
{
    return self->listeners_dead >> listener & 1;
}

/* Of the indexes that the kernel gives to accepts and hand-overs, how many are in use. */
static uint32_t table_used(const struct fw_uring *self)
{
    return self->tickets_used + self->open_count;
}

static uint32_t table_room(const struct fw_uring *self)
{
    return self->connects != NULL ? self->connects->first : self->slots_max;
}

/* Arms one accept, if the table has room for what it may bring. */
static bool arm_accept(struct fw_uring *self, uint32_t index)
{
    struct fw_uring_accept *accept = &self->accepts[index];
    if (table_used(self) + self->accepts_armed >= table_room(self))
        return false;
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    accept->peer_bytes = sizeof accept->peer;
    accept->armed = true;
    self->accepts_armed++;
    io_uring_prep_accept_direct(sqe, self->listen_fds[accept->listener],
                                (struct sockaddr *)&accept->peer, &accept->peer_bytes, 0, 0);
    sqe->file_index = IORING_FILE_INDEX_ALLOC; /* liburing 2.3 would add 1 to it, and make it 0 */
    sqe->ioprio = self->accept_flags;
    sqe->user_data = fw_uring_tag(FW_URING_ACCEPT, 0, index);
    return true;
}

/* No room for anybody: asks to be told when somebody waits at a listener. */
static void watch_listeners(struct fw_uring *self)
{
    for (uint32_t i = 0; i < self->listeners_count; i++) {
        if (self->listeners_watched & 1u << i || is_dead(self, i))
            continue;
        self->listeners_watched |= 1u << i;
        struct io_uring_sqe *sqe = fw_uring_next_entry(self);
        io_uring_prep_poll_add(sqe, self->listen_fds[i], POLLIN);
        sqe->user_data = fw_uring_tag(FW_URING_WATCH, 0, i);
    }
}

/* Arms every accept that is not, as far as there is room. */
void fw_uring_arm_accepts(struct fw_uring *self)
{
    uint32_t count = self->listeners_count * FW_URING_ACCEPTS;
    if (self->accept_paused || self->accepts_armed == count)
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (!self->accepts[i].armed && !is_dead(self, self->accepts[i].listener) &&
            !arm_accept(self, i))
            break;
    }
    if (self->accepts_armed == 0)
        watch_listeners(self);
}

static void pause_accepting(struct fw_uring *self, int status)
{
    if (self->accept_paused)
        return;
    fw_engine_accept_pause(&self->base);
    self->base.events->on_accept_paused(self->base.owner, status);
}

void fw_uring_accepted(struct fw_uring *self, uint32_t index, int result)
{
    struct fw_uring_accept *accept = &self->accepts[index];
    accept->armed = false;
    self->accepts_armed--;
    if (result >= 0) {
        self->base.stats.accepted++;
        self->base.accepted_by = accept->listener;
        self->tickets_used++;
        self->base.events->on_accepted(self->base.owner, (uint32_t)result,
                                       (const struct sockaddr *)&accept->peer, accept->peer_bytes);
    } else if (result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM) {
        pause_accepting(self, result);
    } else if (result == -EINVAL || result == -EBADF || result == -ENOTSOCK) {
        self->listeners_dead |= 1u << accept->listener; /* somebody has shut it */
    }
    /* Anything else (ECONNABORTED, EINTR, EPERM by a firewall) is that connection's, not ours. */
    if (!self->accept_paused && !accept->armed &&
        (is_dead(self, accept->listener) || !arm_accept(self, index)))
        fw_uring_arm_accepts(self);
}

void fw_uring_watched(struct fw_uring *self, uint32_t listener, int result)
{
    self->listeners_watched &= ~(1u << listener);
    if (self->accept_paused)
        return;
    if (result > 0 && table_used(self) - self->tickets_closing >= table_room(self))
        pause_accepting(self, -ENFILE);
    else if (self->tickets_closing == 0) /* else their ends arm */
        fw_uring_arm_accepts(self);
}

/* Closes a ticket's descriptor; only when that is done is there room for another.
 *
 * operation    FW_URING_TICKET, or FW_URING_HANDED behind a hand-over
 */
static void close_ticket(struct fw_uring *self, uint32_t ticket, enum fw_uring_operation operation)
{
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_close_direct(sqe, ticket);
    sqe->user_data = fw_uring_tag(operation, 0, ticket);
    self->tickets_closing++;
}

void fw_uring_ticket_closed(struct fw_uring *self, int result)
{
    self->tickets_closing--;
    if (result == -ECANCELED) /* a hand-over was refused, and broke the link to this */
        return;
    fw_assert(self->tickets_used > 0);
    self->tickets_used--;
    fw_uring_arm_accepts(self);
}

void fw_uring_hand_over_failed(struct fw_uring *self, uint32_t ticket, int result)
{
    /* The broken link has kept the descriptor: the owner tries again after ENFILE, and gives up
     * after anything else. */
    if (result != -ENFILE)
        close_ticket(self, ticket, FW_URING_TICKET);
    self->base.events->on_handed_over(self->base.owner, ticket, result);
}

/* A hand-over has succeeded when our descriptor is closed: while it is open the connection is ours,
 * too, and its worker's close would not end it. */
void fw_uring_handed_over(struct fw_uring *self, uint32_t ticket, int result)
{
    fw_uring_ticket_closed(self, result);
    if (result != -ECANCELED)
        self->base.events->on_handed_over(self->base.owner, ticket, 0);
}

int fw_uring_listen(struct fw_engine *engine, int listen_fd)
{
    struct fw_uring *self = fw_uring_of(engine);
    if (self->listeners_count == FW_URING_LISTENERS_MAX)
        return FW_ERR_LIMIT;
    size_t count = (size_t)FW_URING_ACCEPTS * (self->listeners_count + 1);
    if (self->accepts == NULL) {
        /* The kernel writes addresses into these: they never move. */
        self->accepts =
            fw_mem_zero(sizeof *self->accepts * FW_URING_ACCEPTS * FW_URING_LISTENERS_MAX);
        if (self->accepts == NULL)
            return -ENOMEM;
    }
    self->listen_fds[self->listeners_count] = listen_fd;
    for (size_t i = count - FW_URING_ACCEPTS; i < count; i++)
        self->accepts[i].listener = (uint16_t)self->listeners_count;
    self->listeners_count++;
    fw_uring_arm_accepts(self);
    return 0;
}

void fw_uring_accept_pause(struct fw_engine *engine)
{
    struct fw_uring *self = fw_uring_of(engine);
    if (self->accept_paused)
        return;
    self->accept_paused = true;
    /* By name: by descriptor the kernel looks through all that is armed in the ring. Watches stay,
     * and say nothing. */
    for (uint32_t i = 0; i < self->listeners_count * FW_URING_ACCEPTS; i++) {
        if (!self->accepts[i].armed)
            continue;
        struct io_uring_sqe *sqe = fw_uring_next_entry(self);
        io_uring_prep_cancel64(sqe, fw_uring_tag(FW_URING_ACCEPT, 0, i), 0);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        sqe->user_data = fw_uring_tag(FW_URING_CANCEL, 0, 0);
    }
}

void fw_uring_accept_resume(struct fw_engine *engine)
{
    struct fw_uring *self = fw_uring_of(engine);
    if (!self->accept_paused)
        return;
    self->accept_paused = false;
    fw_uring_arm_accepts(self);
}

/* Sends the descriptor, then closes ours; a refused send breaks the link and keeps the ticket. */
void fw_uring_hand_over(struct fw_engine *engine, uint32_t ticket, struct fw_engine *target,
                        uint32_t tag)
{
    struct fw_uring *self = fw_uring_of(engine);
    if (target == engine) {
        fw_assert(self->own_count < self->slots_max);
        self->slots[ticket].tag = tag;
        self->own[self->own_count++] = ticket;
        return;
    }
    fw_uring_need_entries(self, 2);
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    fw_uring_prep_send_fd(sqe, fw_uring_of(target)->ring.ring_fd, ticket,
                          fw_uring_tag(FW_URING_ADOPT, 0, tag));
    sqe->user_data = fw_uring_tag(FW_URING_HAND_OVER, 0, ticket);
    sqe->flags |= IOSQE_IO_LINK;
    close_ticket(self, ticket, FW_URING_HANDED);
}

void fw_uring_adopt_own(struct fw_uring *self)
{
    for (uint32_t i = 0; i < self->own_count; i++) {
        const uint32_t ticket = self->own[i];
        self->tickets_used--;
        fw_uring_adopted(self, ticket, self->slots[ticket].tag);
        self->base.events->on_handed_over(self->base.owner, ticket, 0);
    }
    self->own_count = 0;
}

void fw_uring_refuse(struct fw_engine *engine, uint32_t ticket)
{
    close_ticket(fw_uring_of(engine), ticket, FW_URING_TICKET);
}
