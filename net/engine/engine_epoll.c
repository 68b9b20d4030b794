/* engine_epoll.c: engine.h over epoll, edge-triggered; the slots and the turn.
 *
 * Listeners, tickets and hand-overs are in engine_epoll_accept.c, connects in
 * engine_epoll_connect.c. What decides the shape:
 *
 * - All slots receive into one buffer: it stays in the cache, and an idle connection costs none.
 *   What the owner keeps (fw_engine_keep) stays at its front, and the next receive goes behind it.
 * - A socket is registered once, for both directions, when it is adopted; there is no epoll_ctl in
 *   its life after that. An edge that comes when it is not wanted (paused, over budget) is kept as
 * a flag of the slot.
 * - Every slot with something to do stands once in the list of due slots, whoever put it there: an
 *   event, a resume, or a turn whose budget ended. The turn serves that list and nothing else, so
 *   each slot is served once a turn.
 * - Sends are system calls inside fw_engine_send. What failed is kept and told once on_turn_end is
 *   over; that is also when lent bytes are free.
 *
 * The life of a slot, and what walks each arrow:
 *
 *   FREE --adopt()--> OPEN --epoll_close()--> CLOSING --bury()--> FREE, with the next generation
 *    |  ^---on_connect_failed---+  ^
 *    +--fw_epoll_connect()--> CONNECTING--fw_epoll_connect_serve()
 *
 * on_closed comes in a turn after the one of the close, and a settlement lies between: so no send
 * of one life is told in the next, and one unsent record per slot is enough.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/engine_epoll.h"

#include "base/check.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* What is kept ends at a cache line, so that the kernel's copy of the next bytes starts at one. */
#define KEPT_ALIGNMENT ((size_t)64)
/* A turn that has received this much ends: what it received is sent from the cache, and a peer that
 * floods waits behind the others. Measured, CPU per 256 KB echo without it: 2.4 times as much. */
#define TURN_BYTES_MAX ((uint64_t)256 * 1024)
/* Connections adopted in a turn; the next turn takes the others. */
#define ADOPTIONS_PER_TURN 256
/* Far under what the kernel cuts a single write to (2^31 - 4096), which gives no edge. */
#define SEND_BYTES_MAX ((size_t)1 << 30)

/* What other threads ask of the engine's. */
enum asked { ASKED_WAKE = 1, ASKED_ARRIVALS = 2 };

#define EVENTS_HANGUP  ((uint32_t)(EPOLLRDHUP | EPOLLHUP | EPOLLERR))
#define EVENTS_OF_SLOT ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET))

static const struct linger linger_abort = {.l_onoff = 1, .l_linger = 0};

/* ---- slots ----------------------------------------------------------------------------------- */

uint32_t fw_epoll_take_slot(struct fw_epoll *self)
{
    uint32_t slot = self->free_first;
    if (slot == FW_EPOLL_NONE) {
        slot = self->slots_touched++;
        fw_assert(slot < self->slots_max); /* an arrival reserved it */
        return slot;
    }
    self->free_first = self->slots[slot].next;
    return slot;
}

/* The last one out is the first one in: the table stays as short as the number of connections. */
void fw_epoll_free_slot(struct fw_epoll *self, uint32_t slot)
{
    struct fw_epoll_slot *s = &self->slots[slot];
    s->flags = 0;
    s->generation++;
    s->next = self->free_first;
    self->free_first = slot;
    atomic_fetch_sub(&self->slots_used, 1);
}

void fw_epoll_make_due(struct fw_epoll *self, uint32_t slot)
{
    struct fw_epoll_slot *s = &self->slots[slot];
    if (s->flags & SLOT_DUE)
        return;
    s->flags |= SLOT_DUE;
    s->next = FW_EPOLL_NONE;
    if (self->due_first == FW_EPOLL_NONE)
        self->due_first = slot;
    else
        self->slots[self->due_last].next = slot;
    self->due_last = slot;
}

static inline bool wants_bytes(const struct fw_epoll_slot *s)
{
    const uint32_t all = SLOT_OPEN | SLOT_READABLE | SLOT_PAUSED | SLOT_ENDED;
    return (s->flags & all) == (SLOT_OPEN | SLOT_READABLE);
}

static inline struct fw_epoll_slot *open_slot(struct fw_epoll *self, uint32_t slot)
{
    fw_assert(slot < self->slots_touched);
    struct fw_epoll_slot *s = &self->slots[slot];
    fw_assert(s->flags & SLOT_OPEN);
    return s;
}

static void end(struct fw_epoll *self, uint32_t slot, int status)
{
    struct fw_epoll_slot *s = &self->slots[slot];
    s->flags &= ~(uint32_t)SLOT_READABLE;
    s->flags |= SLOT_ENDED;
    self->base.events->on_ended(self->base.owner, slot, status);
}

/* ---- arrivals -------------------------------------------------------------------------------- */

/* Makes the engine's thread look at `asked`. The descriptor is written only when that thread sleeps
 * or is about to, and once: either we see `sleeping`, or it sees `asked` before it sleeps. */
static void ask(struct fw_epoll *self, enum asked what)
{
    unsigned before = atomic_fetch_or(&self->asked, what);
    if (before != 0 || !atomic_load(&self->sleeping)) /* pairs with the store in wait_for_events */
        return;
    const uint64_t one = 1;
    ssize_t written = write(self->wake_fd, &one, sizeof one);
    fw_assert(written == (ssize_t)sizeof one);
}

bool fw_epoll_reserve_slot(struct fw_epoll *self)
{
    unsigned used = atomic_load(&self->slots_used);
    do {
        if (used >= self->slots_max)
            return false;
    } while (!atomic_compare_exchange_weak(&self->slots_used, &used, used + 1));
    return true;
}

int fw_epoll_give(struct fw_epoll *target, int fd, uint32_t tag)
{
    if (!fw_epoll_reserve_slot(target))
        return -ENFILE;
    pthread_mutex_lock(&target->arrivals_lock);
    fw_assert(target->arrivals_count < target->slots_max);
    uint32_t last = (target->arrivals_first + target->arrivals_count) % target->slots_max;
    target->arrivals[last] = (struct fw_epoll_arrival){fd, tag};
    target->arrivals_count++;
    pthread_mutex_unlock(&target->arrivals_lock);
    ask(target, ASKED_ARRIVALS);
    return 0;
}

int fw_epoll_watch(struct fw_epoll *self, uint32_t slot)
{
    const struct fw_epoll_slot *s = &self->slots[slot];
    struct epoll_event event = {.events = EVENTS_OF_SLOT,
                                .data.u64 = (uint64_t)s->generation << 32 | slot};
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, s->fd, &event) == 0 ? 0 : -errno;
}

static void adopt(struct fw_epoll *self, const struct fw_epoll_arrival *arrival)
{
    uint32_t slot = fw_epoll_take_slot(self);
    struct fw_epoll_slot *s = &self->slots[slot];
    s->fd = arrival->fd;
    s->flags = SLOT_OPEN;
    int status = fw_epoll_watch(self, slot);
    self->base.events->on_adopted(self->base.owner, slot, arrival->tag);
    /* The kernel is out of memory or of watches. The acceptor was told that all is well, so the
     * owner hears of a connection, and that it ended. */
    if (status != 0 && (s->flags & SLOT_OPEN))
        end(self, slot, status);
}

static uint32_t take_arrivals(struct fw_epoll *self, struct fw_epoll_arrival *taken)
{
    pthread_mutex_lock(&self->arrivals_lock);
    uint32_t count =
        self->arrivals_count < ADOPTIONS_PER_TURN ? self->arrivals_count : ADOPTIONS_PER_TURN;
    for (uint32_t i = 0; i < count; i++)
        taken[i] = self->arrivals[(self->arrivals_first + i) % self->slots_max];
    self->arrivals_count -= count;
    /* An empty ring starts again at its first page. */
    self->arrivals_first =
        self->arrivals_count == 0 ? 0 : (self->arrivals_first + count) % self->slots_max;
    if (self->arrivals_count > 0)
        atomic_fetch_or(&self->asked, ASKED_ARRIVALS);
    pthread_mutex_unlock(&self->arrivals_lock);
    return count;
}

static void adopt_arrivals(struct fw_epoll *self)
{
    struct fw_epoll_arrival taken[ADOPTIONS_PER_TURN];
    uint32_t count = take_arrivals(self, taken);
    for (uint32_t i = 0; i < count; i++)
        adopt(self, &taken[i]);
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* Keeps what an event says in its slot, and makes the slot due when its owner wants to know. */
static void note(struct fw_epoll *self, const struct epoll_event *event)
{
    uint32_t slot = (uint32_t)event->data.u64;
    if (FW_UNLIKELY(slot >= FW_EPOLL_INDEX_LISTENER)) {
        if (slot == FW_EPOLL_INDEX_ALARM)
            self->alarm_ms = 0;
        else if (slot != FW_EPOLL_INDEX_WAKE) /* `asked` is looked at in every turn */
            fw_epoll_acceptor_ready(self, slot - FW_EPOLL_INDEX_LISTENER);
        return;
    }
    struct fw_epoll_slot *s = &self->slots[slot];
    if (FW_UNLIKELY(s->generation != (uint32_t)(event->data.u64 >> 32) ||
                    !(s->flags & (SLOT_OPEN | SLOT_CONNECTING)))) {
        self->base.stats.stale_completions++;
        return;
    }
    if (event->events & EVENTS_HANGUP)
        s->flags |= SLOT_READABLE | SLOT_HANGUP;
    if (event->events & EPOLLIN)
        s->flags |= SLOT_READABLE;
    /* A broken socket is worth trying, too: the next send says what broke it. */
    if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR) && s->flags & SLOT_BLOCKED)
        s->flags |= SLOT_WRITABLE;
    if (s->flags & (SLOT_WRITABLE | SLOT_CONNECTING) || wants_bytes(s))
        fw_epoll_make_due(self, slot);
}

/* What a recv that brought nothing says. */
static void receive_stopped(struct fw_epoll *self, uint32_t slot, int status)
{
    if (status == -EAGAIN)
        self->slots[slot].flags &= ~(uint32_t)(SLOT_READABLE | SLOT_HANGUP);
    else
        end(self, slot, status);
}

/* recv and send without waiting. libc's are cancellation points, which in a process with threads
 * cost two locked instructions each: more than all that this engine does for a message. */
static ssize_t recv_now(int fd, uint8_t *bytes, size_t bytes_max)
{
    return syscall(SYS_recvfrom, fd, bytes, bytes_max, MSG_DONTWAIT, NULL, NULL);
}

static ssize_t send_now(int fd, const struct iovec *piece)
{
    return syscall(SYS_sendto, fd, piece->iov_base, piece->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT,
                   NULL, 0);
}

/* Receives until the socket is empty or the turn has received `bytes_max`. A short read proves it
 * empty (epoll(7)), unless a FIN or an error came with the bytes: their edge is already taken. */
static void receive(struct fw_epoll *self, uint32_t slot, uint64_t bytes_max)
{
    struct fw_epoll_slot *s = &self->slots[slot];
    while (wants_bytes(s) && self->base.stats.received_bytes < bytes_max) {
        uint8_t *bytes = self->buffer + self->kept_bytes;
        ssize_t count = recv_now(s->fd, bytes, self->window_bytes);
        if (count < 0 && errno == EINTR)
            break;
        if (count <= 0) {
            receive_stopped(self, slot, count == 0 ? 0 : -errno);
            break;
        }
        size_t bytes_count = (size_t)count;
        if (bytes_count < self->window_bytes && !(s->flags & SLOT_HANGUP))
            s->flags &= ~(uint32_t)SLOT_READABLE;
        self->base.stats.received_bytes += bytes_count;
        self->delivered_at = self->kept_bytes;
        self->delivered_bytes = bytes_count;
        self->base.events->on_received(self->base.owner, slot, bytes, bytes_count);
        self->delivered_bytes = 0;
    }
    if (wants_bytes(s))
        fw_epoll_make_due(self, slot);
}

static void serve(struct fw_epoll *self, uint32_t slot, uint64_t bytes_max)
{
    struct fw_epoll_slot *s = &self->slots[slot];
    if (FW_UNLIKELY(s->flags & SLOT_CONNECTING)) {
        if (fw_epoll_connect_serve(self, slot))
            receive(self, slot, bytes_max);
        return;
    }
    if (FW_UNLIKELY(!(s->flags & SLOT_OPEN))) { /* closed since it became due */
        self->base.stats.stale_completions++;
        return;
    }
    if (s->flags & SLOT_WRITABLE) {
        s->flags &= ~(uint32_t)(SLOT_WRITABLE | SLOT_BLOCKED);
        self->base.events->on_writable(self->base.owner, slot);
    }
    receive(self, slot, bytes_max);
}

/* Serves the slots that are due now, until the turn has received its share. Those that are left,
 * and those that become due meanwhile, wait for the next turn. */
static void serve_due(struct fw_epoll *self)
{
    uint32_t last = self->due_last;
    uint64_t bytes_max = self->base.stats.received_bytes + TURN_BYTES_MAX;
    while (self->due_first != FW_EPOLL_NONE && self->base.stats.received_bytes < bytes_max) {
        uint32_t slot = self->due_first;
        struct fw_epoll_slot *s = &self->slots[slot];
        self->due_first = s->next;
        s->flags &= ~(uint32_t)SLOT_DUE;
        serve(self, slot, bytes_max);
        if (slot == last)
            break;
    }
}

/* Tells on_closed of the slots that were closed before this turn; one that is still in the list of
 * due slots waits until its turn there has come. */
static void bury(struct fw_epoll *self, uint32_t count)
{
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = self->closing[i];
        fw_assert(self->slots[slot].flags & SLOT_CLOSING);
        if (self->slots[slot].flags & SLOT_DUE) {
            self->closing[waiting++] = slot;
            continue;
        }
        self->base.events->on_closed(self->base.owner, slot);
        fw_epoll_free_slot(self, slot);
    }
    uint32_t later = self->closing_count - count;
    memmove(self->closing + waiting, self->closing + count, later * sizeof *self->closing);
    self->closing_count = waiting + later;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void report_unsent(struct fw_epoll *self, const struct fw_epoll_unsent *record)
{
    struct fw_epoll_slot *s = &self->slots[record->slot];
    if (!(s->flags & SLOT_UNSENT)) /* closed meanwhile */
        return;
    s->flags &= ~(uint32_t)(SLOT_UNSENT | SLOT_BLOCKED | SLOT_WRITABLE);
    /* Out of kernel memory, not of room: no edge will come, so the next turn tries again. */
    bool no_edge =
        record->status == -ENOBUFS || record->status == -ENOMEM || record->status == -EINTR;
    int status = no_edge ? -EAGAIN : record->status;
    if (status == -EAGAIN)
        s->flags |= SLOT_BLOCKED;
    if (no_edge) {
        s->flags |= SLOT_WRITABLE;
        fw_epoll_make_due(self, record->slot);
    }
    self->owner_called = true;
    self->base.events->on_unsent(self->base.owner, record->slot, record->sent_bytes, status);
}

/* Tells of the sends that were not whole, then that all lent bytes are free. */
static void settle(struct fw_epoll *self)
{
    if (!self->sends_unsettled && self->kept_bytes == 0)
        return;
    /* The owner may send on other slots meanwhile: the count is read anew each time. */
    for (uint32_t i = 0; i < self->unsent_count; i++) {
        struct fw_epoll_unsent record = self->unsent[i];
        report_unsent(self, &record);
    }
    self->unsent_count = 0;
    self->sends_unsettled = false;
    self->kept_bytes = 0;
    self->base.events->on_settled(self->base.owner);
}

static void keep_unsent(struct fw_epoll *self, uint32_t slot, size_t sent_bytes, int status)
{
    fw_assert(self->unsent_count < self->slots_max);
    self->unsent[self->unsent_count++] = (struct fw_epoll_unsent){slot, status, sent_bytes};
    self->slots[slot].flags |= SLOT_UNSENT;
    self->base.stats.sends_unsent++;
}

static ssize_t gather(int fd, const struct iovec *pieces, unsigned pieces_count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                             .msg_iovlen = pieces_count};
    return syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void epoll_send(struct fw_engine *engine, uint32_t slot, const struct iovec *pieces,
                       unsigned pieces_count)
{
    struct fw_epoll *self = fw_epoll_of(engine);
    struct fw_epoll_slot *s = open_slot(self, slot);
    fw_assert(!(s->flags & SLOT_UNSENT)); /* one send between two on_settled */
    fw_assert(pieces_count > 0 && pieces_count <= FW_ENGINE_PIECES_MAX);
    size_t total = 0;
    for (unsigned i = 0; i < pieces_count; i++)
        total += pieces[i].iov_len;
    fw_assert(total <= SEND_BYTES_MAX);

    ssize_t sent =
        pieces_count == 1 ? send_now(s->fd, pieces) : gather(s->fd, pieces, pieces_count);
    self->sends_unsettled = true;
    engine->stats.sends++;
    if (FW_LIKELY(sent == (ssize_t)total))
        return;
    /* A short write means that the socket is full, and that the kernel will give an edge. */
    keep_unsent(self, slot, sent < 0 ? 0 : (size_t)sent, sent < 0 ? -errno : -EAGAIN);
}

/* ---- the owner's other calls ----------------------------------------------------------------- */

/* Moves the place of the next receive behind the bytes that are being delivered, if a whole window
 * fits there. */
static bool epoll_keep(struct fw_engine *engine)
{
    struct fw_epoll *self = fw_epoll_of(engine);
    fw_assert(self->delivered_bytes > 0);
    size_t end = self->delivered_at + self->delivered_bytes;
    end = (end + KEPT_ALIGNMENT - 1) / KEPT_ALIGNMENT * KEPT_ALIGNMENT;
    if (end + self->window_bytes > self->buffer_bytes)
        return false;
    self->kept_bytes = end;
    return true;
}

static void epoll_pause(struct fw_engine *engine, uint32_t slot)
{
    open_slot(fw_epoll_of(engine), slot)->flags |= SLOT_PAUSED;
}

static void epoll_resume(struct fw_engine *engine, uint32_t slot)
{
    struct fw_epoll *self = fw_epoll_of(engine);
    struct fw_epoll_slot *s = open_slot(self, slot);
    s->flags &= ~(uint32_t)SLOT_PAUSED;
    if (wants_bytes(s))
        fw_epoll_make_due(self, slot);
}

static void epoll_shutdown(struct fw_engine *engine, uint32_t slot)
{
    /* It fails when the peer has reset the connection, which recv tells. */
    (void)shutdown(open_slot(fw_epoll_of(engine), slot)->fd, SHUT_WR);
}

static void epoll_close(struct fw_engine *engine, uint32_t slot, bool abort)
{
    struct fw_epoll *self = fw_epoll_of(engine);
    struct fw_epoll_slot *s = &self->slots[slot];
    if (s->flags & SLOT_CONNECTING)
        fw_epoll_connect_forget(self, slot);
    else
        fw_assert(s->flags & SLOT_OPEN);
    if (abort && s->fd >= 0)
        (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger_abort, sizeof linger_abort);
    if (s->fd >= 0)
        close(s->fd); /* takes it out of the epoll set, too */
    s->fd = -1;
    s->flags = SLOT_CLOSING | (s->flags & SLOT_DUE);
    self->closing[self->closing_count++] = slot;
}

static void epoll_wake(struct fw_engine *engine)
{
    ask(fw_epoll_of(engine), ASKED_WAKE);
}

/* ---- the turn -------------------------------------------------------------------------------- */

uint64_t fw_epoll_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Whether there is something to do that the kernel will not tell of. */
static bool work_waits(const struct fw_epoll *self)
{
    return self->due_first != FW_EPOLL_NONE || self->closing_count > 0 || self->sends_unsettled ||
           self->owner_called || fw_epoll_acceptor_waits(self);
}

/* Has the kernel wake us by a time. An alarm that stands is left where it is, and may ring too
 * soon: then a turn has nothing to do. A timeout of each wait's own costs 2 % of a turn that has
 * one small message. */
static int set_alarm(struct fw_epoll *self, int timeout_ms)
{
    const uint64_t due_ms = self->base.now_ms + (unsigned)timeout_ms;
    if (FW_LIKELY(self->alarm_ms != 0 && self->alarm_ms <= due_ms))
        return 0;
    const struct itimerspec alarm = {.it_value = {.tv_sec = (time_t)(due_ms / 1000),
                                                  .tv_nsec = (long)(due_ms % 1000) * 1000000}};
    if (timerfd_settime(self->alarm_fd, TFD_TIMER_ABSTIME, &alarm, NULL) != 0)
        return -errno;
    self->alarm_ms = due_ms;
    return 0;
}

static int wait_for_events(struct fw_epoll *self, int timeout_ms)
{
    if (timeout_ms != 0 && work_waits(self))
        timeout_ms = 0;
    if (self->connects != NULL)
        timeout_ms = fw_epoll_connects_wait_ms(self, timeout_ms);
    int status = timeout_ms > 0 ? set_alarm(self, timeout_ms) : 0;
    if (status != 0)
        return status;
    if (timeout_ms != 0) {
        atomic_store(&self->sleeping, true); /* pairs with the load in ask */
        if (atomic_load(&self->asked) != 0)
            timeout_ms = 0;
    }
    int count =
        epoll_wait(self->epoll_fd, self->events, FW_EPOLL_EVENTS_MAX, timeout_ms == 0 ? 0 : -1);
    status = count >= 0 ? count : errno == EINTR ? 0 : -errno;
    atomic_store(&self->sleeping, false);
    self->owner_called = false;
    return status;
}

/* Does what other threads asked for. */
static void answer(struct fw_epoll *self)
{
    if (atomic_load(&self->asked) == 0)
        return;
    /* Taken before it is acted upon: what is asked from now on asks again. */
    unsigned asked = atomic_exchange(&self->asked, 0);
    if (asked & ASKED_ARRIVALS)
        adopt_arrivals(self);
    if (asked & ASKED_WAKE && self->base.events->on_wake != NULL)
        self->base.events->on_wake(self->base.owner);
}

static int epoll_turn(struct fw_engine *engine, int timeout_ms)
{
    struct fw_epoll *self = fw_epoll_of(engine);
    int count = wait_for_events(self, timeout_ms);
    if (count < 0)
        return count;
    engine->now_ms = fw_epoll_monotonic_ms();
    engine->stats.turns++;

    settle(self); /* sends made outside of on_turn_end, or after it */
    uint32_t closing_count = self->closing_count;
    for (int i = 0; i < count; i++)
        note(self, &self->events[i]);
    serve_due(self);
    bury(self, closing_count);
    fw_epoll_acceptor_turn(self);
    answer(self);
    if (self->connects != NULL)
        fw_epoll_connects_turn(self);
    if (engine->events->on_turn_end != NULL)
        engine->events->on_turn_end(engine->owner);
    settle(self);
    return 0;
}

const struct fw_engine_ops fw_epoll_ops = {
    .destroy = fw_epoll_destroy,
    .turn = epoll_turn,
    .wake = epoll_wake,
    .send = epoll_send,
    .keep = epoll_keep,
    .pause = epoll_pause,
    .resume = epoll_resume,
    .shutdown = epoll_shutdown,
    .close = epoll_close,
    .listen = fw_epoll_listen,
    .accept_pause = fw_epoll_accept_pause,
    .accept_resume = fw_epoll_accept_resume,
    .hand_over = fw_epoll_hand_over,
    .refuse = fw_epoll_refuse,
    .connect = fw_epoll_connect,
};
