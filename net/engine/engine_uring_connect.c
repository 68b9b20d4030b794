/* engine_uring_connect.c: the connecting side of the io_uring engine.
 *
 * A connect is one chain of linked requests: SOCKET into a slot that we choose, TCP_NODELAY,
 * CONNECT. What works leaves one completion, CONNECT's; what fails breaks the chain,
 * and leaves one too: the kernel skips the completions of what it cancels behind a request that was
 * to be silent. So a chain counts as one pending request of its slot.
 *
 *   FREE --fw_uring_connect()--> CONNECTING --fw_uring_connected()--> OPEN
 *                 fw_uring_unconnect() |  ^ not found yet                \
 *                                      v  | fw_uring_unconnected()        +--> as in engine_uring.c
 *                                 (cancelled) --fw_uring_connected()--> CLOSING --> FREE
 *
 * For an owner that speaks first, TCP_QUICKACK is off until it does: the last packet of TCP's
 * handshake goes out with the request, which is there then when the server accepts. Behind the
 * first send it is on again, or the acknowledgement of the answer would wait for a timer. What an
 * upgrade costs with it and without: bench/README.md.
 *
 * The slots are ours, not the kernel's to choose: a link must name its slot before the socket is
 * made. Timeouts are on a wheel: a linked one would cost a kernel timer and a completion each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/engine_uring.h"

#include "base/mem.h"
#include <fanwire/status.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/mman.h>

static const int enabled = 1;
static const int disabled = 0;

static inline struct fw_uring_connect *connect_of(struct fw_uring *self, uint32_t slot)
{
    return &self->connects->table[slot - self->connects->first];
}

int fw_uring_connects_create(struct fw_uring *self, uint32_t connects_max)
{
    fw_assert(connects_max <= self->slots_max);
    struct fw_uring_connects *connects = fw_mem_zero(sizeof *connects);
    if (connects == NULL)
        return -ENOMEM;
    self->connects = connects;
    connects->count = connects_max;
    connects->first = self->slots_max - connects_max;
    void *table = mmap(NULL, sizeof *connects->table * connects_max, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED)
        return -ENOMEM;
    connects->table = table;
    fw_wheel_init(&connects->wheel, table, sizeof *connects->table,
                  offsetof(struct fw_uring_connect, timer), self->base.now_ms);
    return 0;
}

void fw_uring_connects_destroy(struct fw_uring *self)
{
    struct fw_uring_connects *connects = self->connects;
    if (connects == NULL)
        return;
    if (connects->table != NULL)
        munmap(connects->table, sizeof *connects->table * connects->count);
    fw_mem_free(connects);
}

/* The last one out is the first one in: the tables stay as short as the number of connections. */
static bool take_slot(struct fw_uring_connects *connects, uint32_t *slot_out)
{
    uint32_t index = connects->touched;
    if (connects->free_first != 0) {
        index = connects->free_first - 1;
        connects->free_first = connects->table[index].next;
    } else if (index == connects->count) {
        return false;
    } else {
        connects->touched++;
    }
    connects->table[index] = (struct fw_uring_connect){.status = 0};
    *slot_out = connects->first + index;
    return true;
}

int fw_uring_connect_free(struct fw_uring *self, uint32_t slot)
{
    struct fw_uring_connects *connects = self->connects;
    if (connects == NULL || slot < connects->first)
        return 0;
    struct fw_uring_connect *connect = connect_of(self, slot);
    connect->next = connects->free_first;
    connects->free_first = slot - connects->first + 1;
    return connect->status;
}

/* Queues one link of the chain; only the last one tells of its success. */
static struct io_uring_sqe *link_entry(struct fw_uring *self)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
    fw_assert(sqe != NULL); /* the caller asked for the whole chain's */
    return sqe;
}

static void set_option(struct fw_uring *self, uint32_t slot, int name, const int *value)
{
    struct io_uring_sqe *sqe = link_entry(self);
    fw_uring_prep_setsockopt(sqe, (int)slot, IPPROTO_TCP, name, value, sizeof *value);
    fw_uring_aim(self, sqe, FW_URING_CONNECT, slot);
    sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
}

void fw_uring_spoke(struct fw_uring *self, uint32_t slot)
{
    struct fw_uring_connect *connect = connect_of(self, slot);
    if (!connect->silent)
        return;
    connect->silent = false;
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    fw_uring_prep_setsockopt(sqe, (int)slot, IPPROTO_TCP, TCP_QUICKACK, &enabled, sizeof enabled);
    fw_uring_aim(self, sqe, FW_URING_IGNORED, slot);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

int fw_uring_connect(struct fw_engine *engine, const struct sockaddr *peer, socklen_t peer_bytes,
                     uint32_t tag, uint32_t timeout_ms)
{
    struct fw_uring *self = fw_uring_of(engine);
    struct fw_uring_connects *connects = self->connects;
    uint32_t slot;
    if (connects == NULL || !take_slot(connects, &slot))
        return -ENFILE;
    fw_uring_need_entries(self, 4);
    if (connects->addresses_count == FW_URING_ADDRESSES_MAX)
        fw_uring_submit(self);
    struct sockaddr_storage *address = &connects->addresses[connects->addresses_count++];
    memcpy(address, peer, peer_bytes);
    struct fw_uring_slot *s = &self->slots[slot];
    s->flags = SLOT_CONNECTING;
    s->tag = tag;
    s->pending = 1;

    struct io_uring_sqe *sqe = link_entry(self);
    io_uring_prep_socket(sqe, peer->sa_family, SOCK_STREAM, 0, 0);
    sqe->file_index = slot + 1; /* liburing 2.3's prep_socket_direct leaves its fields unsure */
    sqe->user_data = fw_uring_tag(FW_URING_SOCKET, s->generation, slot);
    sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    if (self->has_setsockopt && peer->sa_family != AF_UNIX) {
        set_option(self, slot, TCP_NODELAY, &enabled);
        if (connects->speaks_first)
            set_option(self, slot, TCP_QUICKACK, &disabled);
        connect_of(self, slot)->silent = connects->speaks_first;
    }
    sqe = link_entry(self);
    io_uring_prep_connect(sqe, (int)slot, (const struct sockaddr *)address, peer_bytes);
    fw_uring_aim(self, sqe, FW_URING_CONNECT, slot);
    if (timeout_ms > 0)
        fw_wheel_set(&connects->wheel, slot - connects->first,
                     fw_uring_monotonic_ms() + timeout_ms);
    return (int)slot;
}

void fw_uring_connected(struct fw_uring *self, uint32_t slot, int result, bool installed)
{
    struct fw_uring_slot *s = &self->slots[slot];
    struct fw_uring_connect *connect = connect_of(self, slot);
    fw_wheel_cancel(&self->connects->wheel, slot - self->connects->first);
    s->flags &= (uint16_t)~SLOT_CONNECTING;
    if (result >= 0 && !(s->flags & SLOT_CLOSING)) {
        connect->status = 0; /* a timeout that came too late */
        self->base.stats.connected++;
        fw_uring_open(self, slot, s->tag);
        fw_uring_retire(self, slot);
        return;
    }
    if (!(s->flags & SLOT_CLOSING)) {
        if (connect->status == 0)
            connect->status = result;
        s->flags |= SLOT_CLOSING | SLOT_FAILED;
        s->pending++; /* the close */
    }
    if (installed) {
        fw_uring_submit_close(self, slot);
    } else {
        s->flags |= SLOT_CLOSED;
        fw_uring_retire(self, slot);
    }
    fw_uring_retire(self, slot);
}

void fw_uring_unconnect(struct fw_uring *self, uint32_t slot)
{
    struct fw_uring_slot *s = &self->slots[slot];
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_cancel64(sqe, fw_uring_tag(FW_URING_CONNECT, s->generation, slot), 0);
    sqe->user_data = fw_uring_tag(FW_URING_UNCONNECT, s->generation, slot);
    s->pending++;
}

void fw_uring_unconnected(struct fw_uring *self, uint32_t slot, int result)
{
    /* Links are issued after what stood behind them in the queue: this came before the CONNECT. */
    if (result == -ENOENT && (self->slots[slot].flags & SLOT_CONNECTING))
        fw_uring_unconnect(self, slot);
    fw_uring_retire(self, slot);
}

static void timed_out(void *context, uint32_t index)
{
    struct fw_uring *self = context;
    uint32_t slot = self->connects->first + index;
    fw_assert(self->slots[slot].flags & SLOT_CONNECTING);
    if (self->slots[slot].flags & SLOT_CLOSING) /* it is being cancelled already */
        return;
    self->connects->table[index].status = -ETIMEDOUT;
    fw_uring_unconnect(self, slot);
}

void fw_uring_connects_turn(struct fw_uring *self)
{
    fw_wheel_advance(&self->connects->wheel, self->base.now_ms, UINT32_MAX, timed_out, self);
}

int fw_uring_connects_wait_ms(const struct fw_uring *self, int timeout_ms)
{
    int wait_ms = fw_wheel_wait_ms(&self->connects->wheel, self->base.now_ms);
    if (wait_ms < 0)
        return timeout_ms;
    return timeout_ms < 0 || timeout_ms > wait_ms ? wait_ms : timeout_ms;
}
