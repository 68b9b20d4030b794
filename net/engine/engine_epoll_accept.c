/* engine_epoll_accept.c: the epoll engine's way from a listener to a slot of another engine.
 *
 * Slots and the turn are in engine_epoll.c. Listeners are edge-triggered: that one has connections
 * is kept as a flag, so that pausing costs no system call and a queue that must wait (no descriptor
 * is free, the owner paused) cannot make the turn spin.
 *
 * The life of a ticket, and what walks each arrow:
 *
 *   FREE --accept_one()--> HELD --fw_epoll_hand_over()--> MOVING --report()--> FREE when it moved
 *    ^                      |  ^                                        |
 *    +---fw_epoll_refuse()--+  +--- the target was full ----------------+
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/engine_epoll.h"

#include "base/check.h"
#include "base/mem.h"
#include <fanwire/status.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

/* Connections taken in a turn: a storm of them must not keep the turn from its slots. */
#define ACCEPTS_PER_TURN 64
/* An address family or two on a handful of ports. */
#define LISTENERS_MAX 16

enum ticket_state { TICKET_FREE, TICKET_HELD, TICKET_MOVING };

struct ticket {
    int fd;        /* -1 once it is another engine's */
    uint32_t next; /* in the list of free tickets, or of those whose hand-over is to be told */
    int status;    /* how the hand-over ended */
    enum ticket_state state;
};

struct listener {
    int fd; /* -1 when it turned out to be none */
    bool ready;
};

struct fw_epoll_acceptor {
    struct listener listeners[LISTENERS_MAX];
    unsigned listeners_count;
    unsigned first;         /* the listener whose turn it is to be the first */
    struct ticket *tickets; /* slots_max of them, mapped, touched on first use */
    size_t tickets_bytes;
    uint32_t tickets_max;
    uint32_t tickets_touched;
    uint32_t free_first;
    uint32_t moved_first;
    uint32_t moved_last;
};

/* ---- tickets --------------------------------------------------------------------------------- */

static bool has_ticket(const struct fw_epoll_acceptor *acceptor)
{
    return acceptor->free_first != FW_EPOLL_NONE ||
           acceptor->tickets_touched < acceptor->tickets_max;
}

static uint32_t take_ticket(struct fw_epoll_acceptor *acceptor, int fd)
{
    uint32_t ticket = acceptor->free_first;
    if (ticket == FW_EPOLL_NONE)
        ticket = acceptor->tickets_touched++;
    else
        acceptor->free_first = acceptor->tickets[ticket].next;
    acceptor->tickets[ticket] = (struct ticket){.fd = fd, .state = TICKET_HELD};
    return ticket;
}

static void free_ticket(struct fw_epoll_acceptor *acceptor, uint32_t ticket)
{
    acceptor->tickets[ticket] =
        (struct ticket){.fd = -1, .next = acceptor->free_first, .state = TICKET_FREE};
    acceptor->free_first = ticket;
}

static struct ticket *held_ticket(struct fw_epoll *self, uint32_t ticket)
{
    fw_assert(self->acceptor != NULL && ticket < self->acceptor->tickets_touched);
    fw_assert(self->acceptor->tickets[ticket].state == TICKET_HELD);
    return &self->acceptor->tickets[ticket];
}

void fw_epoll_refuse(struct fw_engine *engine, uint32_t ticket)
{
    struct fw_epoll *self = fw_epoll_of(engine);
    close(held_ticket(self, ticket)->fd);
    free_ticket(self->acceptor, ticket);
}

/* Moves the connection now, and leaves the answer for the acceptor's turn. */
void fw_epoll_hand_over(struct fw_engine *engine, uint32_t ticket, struct fw_engine *target,
                        uint32_t tag)
{
    struct fw_epoll *self = fw_epoll_of(engine);
    struct fw_epoll_acceptor *acceptor = self->acceptor;
    struct ticket *t = held_ticket(self, ticket);
    fw_assert(target->ops == engine->ops);
    t->status = fw_epoll_give(fw_epoll_of(target), t->fd, tag);
    if (t->status == 0)
        t->fd = -1;
    t->state = TICKET_MOVING;
    t->next = FW_EPOLL_NONE;
    if (acceptor->moved_first == FW_EPOLL_NONE)
        acceptor->moved_first = ticket;
    else
        acceptor->tickets[acceptor->moved_last].next = ticket;
    acceptor->moved_last = ticket;
}

/* Tells how the hand-overs ended; one that the owner tries again meanwhile is told in the next
 * turn. */
static void report(struct fw_epoll *self)
{
    struct fw_epoll_acceptor *acceptor = self->acceptor;
    uint32_t ticket = acceptor->moved_first;
    acceptor->moved_first = FW_EPOLL_NONE;
    acceptor->moved_last = FW_EPOLL_NONE;
    while (ticket != FW_EPOLL_NONE) {
        struct ticket *t = &acceptor->tickets[ticket];
        uint32_t next = t->next;
        int status = t->status;
        if (status == 0)
            free_ticket(acceptor, ticket);
        else
            t->state = TICKET_HELD;
        self->base.events->on_handed_over(self->base.owner, ticket, status);
        ticket = next;
    }
}

/* ---- listeners ------------------------------------------------------------------------------- */

static void pause_accepting(struct fw_epoll *self, int status)
{
    self->accept_paused = true;
    if (self->base.events->on_accept_paused != NULL)
        self->base.events->on_accept_paused(self->base.owner, status);
}

/* No ticket is free: accepting stops, but only if somebody really waits. */
static void pause_for_tickets(struct fw_epoll *self, struct listener *listener)
{
    struct pollfd waiting = {.fd = listener->fd, .events = POLLIN};
    if (poll(&waiting, 1, 0) > 0)
        pause_accepting(self, -ENFILE);
    else
        listener->ready = false;
}

static void accept_failed(struct fw_epoll *self, struct listener *listener, int error)
{
    switch (error) {
    case EAGAIN:
        listener->ready = false;
        break;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        pause_accepting(self, -error);
        break;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
        /* The owner ended it: nothing comes from there any more. */
        (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
        *listener = (struct listener){.fd = -1};
        break;
    default:
        /* ECONNABORTED, EPROTO, EPERM by a firewall, ENETDOWN and the like (accept(2)) are of that
         * one connection, which is out of the queue now. */
        break;
    }
}

static void accept_one(struct fw_epoll *self, struct listener *listener)
{
    if (!has_ticket(self->acceptor)) {
        pause_for_tickets(self, listener);
        return;
    }
    struct sockaddr_storage peer;
    socklen_t peer_bytes = sizeof peer;
    int fd =
        accept4(listener->fd, (struct sockaddr *)&peer, &peer_bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        accept_failed(self, listener, errno);
        return;
    }
    self->base.stats.accepted++;
    self->base.accepted_by = (uint32_t)(listener - self->acceptor->listeners);
    uint32_t ticket = take_ticket(self->acceptor, fd);
    self->base.events->on_accepted(self->base.owner, ticket, (const struct sockaddr *)&peer,
                                   peer_bytes);
}

static void accept_some(struct fw_epoll *self)
{
    struct fw_epoll_acceptor *acceptor = self->acceptor;
    unsigned budget = ACCEPTS_PER_TURN;
    unsigned first = acceptor->first++;
    for (unsigned i = 0; i < acceptor->listeners_count; i++) {
        struct listener *listener = &acceptor->listeners[(first + i) % acceptor->listeners_count];
        for (; listener->ready && !self->accept_paused && budget > 0; budget--)
            accept_one(self, listener);
    }
}

void fw_epoll_acceptor_turn(struct fw_epoll *self)
{
    if (self->acceptor == NULL)
        return;
    accept_some(self);
    report(self);
}

void fw_epoll_acceptor_ready(struct fw_epoll *self, uint32_t index)
{
    fw_assert(self->acceptor != NULL && index < self->acceptor->listeners_count);
    struct listener *listener = &self->acceptor->listeners[index];
    listener->ready = listener->fd >= 0;
}

bool fw_epoll_acceptor_waits(const struct fw_epoll *self)
{
    const struct fw_epoll_acceptor *acceptor = self->acceptor;
    if (acceptor == NULL)
        return false;
    if (acceptor->moved_first != FW_EPOLL_NONE)
        return true;
    for (unsigned i = 0; i < acceptor->listeners_count; i++) {
        if (acceptor->listeners[i].ready && !self->accept_paused)
            return true;
    }
    return false;
}

void fw_epoll_accept_pause(struct fw_engine *engine)
{
    fw_epoll_of(engine)->accept_paused = true;
}

/* Looks at every listener anew: one failed accept is all that a wrong guess costs. */
void fw_epoll_accept_resume(struct fw_engine *engine)
{
    struct fw_epoll *self = fw_epoll_of(engine);
    if (!self->accept_paused)
        return;
    self->accept_paused = false;
    for (uint32_t i = 0; self->acceptor != NULL && i < self->acceptor->listeners_count; i++)
        fw_epoll_acceptor_ready(self, i);
}

/* ---- creation -------------------------------------------------------------------------------- */

static int create_acceptor(struct fw_epoll *self)
{
    struct fw_epoll_acceptor *acceptor = fw_mem_zero(sizeof *acceptor);
    if (acceptor == NULL)
        return -ENOMEM;
    acceptor->tickets_max = self->slots_max > 0 ? self->slots_max : 1;
    acceptor->tickets_bytes = acceptor->tickets_max * sizeof *acceptor->tickets;
    acceptor->tickets = fw_epoll_map(acceptor->tickets_bytes);
    if (acceptor->tickets == NULL) {
        fw_mem_free(acceptor);
        return -ENOMEM;
    }
    acceptor->free_first = FW_EPOLL_NONE;
    acceptor->moved_first = FW_EPOLL_NONE;
    acceptor->moved_last = FW_EPOLL_NONE;
    self->acceptor = acceptor;
    return 0;
}

/* A socket that blocks would stop the whole engine, one that does not listen would be silent. */
static int check_listener(int fd)
{
    int listens = 0;
    socklen_t bytes = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) != 0)
        return -errno;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    return listens && flags & O_NONBLOCK ? 0 : -EINVAL;
}

int fw_epoll_listen(struct fw_engine *engine, int listen_fd)
{
    struct fw_epoll *self = fw_epoll_of(engine);
    fw_assert(engine->events->on_accepted != NULL && engine->events->on_handed_over != NULL);
    int status = check_listener(listen_fd);
    if (status == 0 && self->acceptor == NULL)
        status = create_acceptor(self);
    if (status != 0)
        return status;
    unsigned index = self->acceptor->listeners_count;
    if (index == LISTENERS_MAX)
        return FW_ERR_LIMIT;
    struct epoll_event event = {.events = (uint32_t)(EPOLLIN | EPOLLET),
                                .data.u64 = FW_EPOLL_INDEX_LISTENER + index};
    if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) != 0)
        return -errno;
    self->acceptor->listeners[index] = (struct listener){.fd = listen_fd};
    self->acceptor->listeners_count++;
    return 0;
}

void fw_epoll_acceptor_destroy(struct fw_epoll *self)
{
    struct fw_epoll_acceptor *acceptor = self->acceptor;
    if (acceptor == NULL)
        return;
    for (uint32_t i = 0; i < acceptor->tickets_touched; i++) {
        if (acceptor->tickets[i].state != TICKET_FREE && acceptor->tickets[i].fd >= 0)
            close(acceptor->tickets[i].fd);
    }
    munmap(acceptor->tickets, acceptor->tickets_bytes);
    fw_mem_free(acceptor);
}
