/* engine_epoll_connect.c: the connecting side of the epoll engine.
 *
 * The socket is made, and connect called, inside fw_engine_connect; what came of it is told in a
 * later turn. An internet socket is registered right away and gives an edge when it is connected or
 * has failed. A path answers at once, or says EAGAIN when its listener's backlog is full, and then
 * never tells when it is not: it is tried again at the wheel's next tick.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/engine_epoll.h"

#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int fw_epoll_connects_create(struct fw_epoll *self)
{
    struct fw_epoll_connects *connects = fw_mem_zero(sizeof *connects);
    if (connects == NULL)
        return -ENOMEM;
    connects->count = self->slots_max;
    connects->table = fw_epoll_map(sizeof *connects->table * connects->count);
    if (connects->table == NULL) {
        fw_mem_free(connects);
        return -ENOMEM;
    }
    fw_wheel_init(&connects->wheel, connects->table, sizeof *connects->table,
                  offsetof(struct fw_epoll_connect, timer), self->base.now_ms);
    self->connects = connects;
    return 0;
}

void fw_epoll_connects_destroy(struct fw_epoll *self)
{
    if (self->connects == NULL)
        return;
    munmap(self->connects->table, sizeof *self->connects->table * self->connects->count);
    fw_mem_free(self->connects);
}

static int open_socket(int family, int *fd_out)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    const int enabled = 1;
    if (family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &enabled, sizeof enabled)) {
        int status = -errno;
        close(fd);
        return status;
    }
    *fd_out = fd;
    return 0;
}

/* Rings when the connect is over time, or is to be tried again. */
static void set_timer(struct fw_epoll *self, uint32_t slot)
{
    const struct fw_epoll_connect *attempt = &self->connects->table[slot];
    if (attempt->retry_bytes > 0)
        fw_wheel_set(&self->connects->wheel, slot, self->base.now_ms + 1);
    else if (attempt->due_ms != UINT64_MAX)
        fw_wheel_set(&self->connects->wheel, slot, attempt->due_ms);
}

/* Begins to connect, or begins again. What is decided already makes the slot due. */
static void begin(struct fw_epoll *self, uint32_t slot, const struct sockaddr *peer,
                  socklen_t peer_bytes)
{
    struct fw_epoll_slot *s = &self->slots[slot];
    struct fw_epoll_connect *attempt = &self->connects->table[slot];
    int status = s->fd >= 0 ? 0 : open_socket(peer->sa_family, &s->fd);
    if (status == 0 && connect(s->fd, peer, peer_bytes) != 0)
        status = -errno;
    attempt->retry_bytes = 0;
    if (status == 0 || status == -EINPROGRESS) {
        status = fw_epoll_watch(self, slot); /* gives an edge for what is so already */
    } else if (status == -EAGAIN && peer->sa_family == AF_UNIX) {
        attempt->retry_bytes = peer_bytes;
        memmove(&attempt->retry, peer, peer_bytes);
        status = 0;
    }
    attempt->status = status;
    if (status != 0)
        fw_epoll_make_due(self, slot);
    set_timer(self, slot);
}

int fw_epoll_connect(struct fw_engine *engine, const struct sockaddr *peer, socklen_t peer_bytes,
                     uint32_t tag, uint32_t timeout_ms)
{
    struct fw_epoll *self = fw_epoll_of(engine);
    if (self->connects == NULL || !fw_epoll_reserve_slot(self))
        return -ENFILE;
    uint32_t slot = fw_epoll_take_slot(self);
    struct fw_epoll_slot *s = &self->slots[slot];
    s->fd = -1;
    s->flags = SLOT_CONNECTING;
    struct fw_epoll_connect *attempt = &self->connects->table[slot];
    attempt->tag = tag;
    attempt->due_ms = timeout_ms == 0 ? UINT64_MAX : fw_epoll_monotonic_ms() + timeout_ms;
    begin(self, slot, peer, peer_bytes);
    return (int)slot;
}

static void fail(struct fw_epoll *self, uint32_t slot, int status)
{
    struct fw_epoll_slot *s = &self->slots[slot];
    uint32_t tag = self->connects->table[slot].tag;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    fw_epoll_free_slot(self, slot);
    self->base.events->on_connect_failed(self->base.owner, tag, status);
}

bool fw_epoll_connect_serve(struct fw_epoll *self, uint32_t slot)
{
    struct fw_epoll_slot *s = &self->slots[slot];
    const struct fw_epoll_connect *attempt = &self->connects->table[slot];
    int status = attempt->status;
    if (status == 0) {
        int error = 0;
        socklen_t bytes = sizeof error;
        status = getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 ? -error : -errno;
    }
    fw_wheel_cancel(&self->connects->wheel, slot);
    if (status != 0) {
        fail(self, slot, status);
        return false;
    }
    s->flags = SLOT_OPEN | (s->flags & (SLOT_READABLE | SLOT_HANGUP));
    self->base.stats.connected++;
    self->base.events->on_adopted(self->base.owner, slot, attempt->tag);
    return (s->flags & SLOT_OPEN) != 0;
}

void fw_epoll_connect_forget(struct fw_epoll *self, uint32_t slot)
{
    fw_wheel_cancel(&self->connects->wheel, slot);
}

/* Fails in the next turn: the slot may stand in the list of due ones. */
static void rang(void *context, uint32_t slot)
{
    struct fw_epoll *self = context;
    struct fw_epoll_connect *attempt = &self->connects->table[slot];
    fw_assert(self->slots[slot].flags & SLOT_CONNECTING);
    if (self->base.now_ms >= attempt->due_ms) {
        if (attempt->status == 0)
            attempt->status = -ETIMEDOUT;
        fw_epoll_make_due(self, slot);
    } else if (attempt->retry_bytes > 0) {
        begin(self, slot, (const struct sockaddr *)&attempt->retry, attempt->retry_bytes);
    }
}

void fw_epoll_connects_turn(struct fw_epoll *self)
{
    fw_wheel_advance(&self->connects->wheel, self->base.now_ms, UINT32_MAX, rang, self);
}

int fw_epoll_connects_wait_ms(const struct fw_epoll *self, int timeout_ms)
{
    int wait_ms = fw_wheel_wait_ms(&self->connects->wheel, self->base.now_ms);
    if (wait_ms < 0)
        return timeout_ms;
    return timeout_ms < 0 || timeout_ms > wait_ms ? wait_ms : timeout_ms;
}
