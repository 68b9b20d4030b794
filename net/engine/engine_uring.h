/* engine_uring.h: what the files of the io_uring engine share; nobody else includes this.
 *
 * engine_uring.c sends and runs the turn, engine_uring_receive.c receives, engine_uring_accept.c
 * takes connections and hands them over, engine_uring_connect.c opens them, engine_uring_setup.c
 * makes the ring, its tables and its memory, and ends them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_ENGINE_URING_H
#define FW_NET_ENGINE_URING_H

#include "base/check.h"
#include "base/wheel.h"
#include "net/engine/engine_ops.h"
#include "net/engine/uring_compat.h"

#include <assert.h>
#include <stdatomic.h>
#include <sys/socket.h>

/* A turn's sends are submitted in pieces of this many. */
#define FW_URING_SQ_ENTRIES 1024
/* 16 per submission entry: a burst of receives on many slots fits without the overflow list. */
#define FW_URING_CQ_ENTRIES 16384
/* Receive memory is in two pools, each a buffer group of the ring. The shallow one serves small
 * messages: buffers that many receives fill one behind the other (where the kernel can), few in
 * service at the start and doubled when they run out. The deep one serves slots that bring much at
 * once: a receive takes a whole buffer, so that a message of 256 KB stands in one piece, and a slot
 * that finds none waits in line instead of making the pool grow, so that what is in use stays in
 * the cache. */
#define FW_URING_BUFFER_BYTES        ((size_t)512 * 1024)
#define FW_URING_BUFFERS_START       2
#define FW_URING_SMALL_BUFFER_BYTES  ((size_t)64 * 1024) /* where receive memory is short */
#define FW_URING_SMALL_BUFFERS_START 4
#define FW_URING_BUFFERS_MAX         64
#define FW_URING_DEEP_BUFFER_BYTES   ((size_t)512 * 1024)
#define FW_URING_DEEP_BUFFERS        2
/* When so much of the shallow memory was filled since it was last begun anew, the sends from it are
 * made and settled before the next wait, and it is begun anew: what is in use stays in the cache.
 * One more enter then pays for many messages. */
#define FW_URING_HOT_BYTES ((size_t)128 * 1024)
/* A receive of so many octets makes its slot deep; so many smaller ones in a row, shallow again. */
#define FW_URING_DEEP_BYTES    (32 * 1024)
#define FW_URING_SHALLOW_AFTER 16
/* Accepts in flight per listener: connections taken per enter in a storm. */
#define FW_URING_ACCEPTS       FW_ENGINE_ACCEPTS_MAX
#define FW_URING_LISTENERS_MAX 16
/* Room for the gathered sends of one submission. */
#define FW_URING_GATHERS_MAX 256
#define FW_URING_PIECES_MAX  4096
/* Peers' addresses of the connects of one submission: more would not fit its entries. */
#define FW_URING_ADDRESSES_MAX (FW_URING_SQ_ENTRIES / 2)
/* While sends are unsettled a turn does not sleep for longer: lent memory comes back. */
#define FW_URING_SETTLE_MS_MAX 100

static_assert(FW_URING_PIECES_MAX >= FW_ENGINE_PIECES_MAX, "one gathered send always fits");

static_assert(FW_URING_LISTENERS_MAX <= 32, "one bit each in listeners_watched");

enum fw_uring_operation {
    FW_URING_RECEIVE = 1,
    FW_URING_RECEIVE_DEEP,
    FW_URING_READY,
    FW_URING_SEND,
    FW_URING_POLL,
    FW_URING_CANCEL,
    FW_URING_CLOSE,
    FW_URING_SHUTDOWN,
    FW_URING_ADOPT,
    FW_URING_WAKE,
    FW_URING_ALARM,
    FW_URING_ACCEPT,
    FW_URING_WATCH,
    FW_URING_HAND_OVER,
    FW_URING_HANDED,
    FW_URING_TICKET,
    FW_URING_SOCKET,
    FW_URING_CONNECT,
    FW_URING_UNCONNECT,
    FW_URING_IGNORED,
};

enum fw_uring_slot_flags {
    SLOT_OPEN = 1,
    SLOT_CLOSING = 2,
    SLOT_RECEIVING = 4,      /* a receive, or a deep slot's poll, is armed */
    SLOT_PAUSED = 8,         /* the owner wants none */
    SLOT_ENDED = 16,         /* on_ended was told */
    SLOT_ADOPT_WAITING = 32, /* the kernel reused the index before its old life was over */
    SLOT_CLOSED = 64,        /* the descriptor is closed, completions may still come */
    SLOT_SHUTTING = 128,     /* a shutdown is under way in a thread of the kernel's */
    SLOT_ABORT = 256,        /* to be closed with RST */
    SLOT_CONNECTING = 512,   /* neither on_adopted nor on_connect_failed was told */
    SLOT_FAILED = 1024,      /* on_connect_failed is told when it is closed, not on_closed */
    SLOT_DEEP = 2048,        /* receives from the deep pool, from the next arming on */
    SLOT_WATCHED = 4096,     /* what is armed to receive is the poll of a deep slot */
    SLOT_IN_LINE = 8192,     /* stands in line for a deep buffer */
    SLOT_HANGUP = 16384,     /* a deep slot's FIN or error came: receive until that is told */
    SLOT_POLLING = 32768,    /* a poll for room to send is armed */
};
/* Of these a slot that may be received from has SLOT_OPEN only. */
#define SLOT_STATE (SLOT_OPEN | SLOT_CLOSING | SLOT_PAUSED | SLOT_ENDED)

struct fw_uring_slot {
    uint32_t generation; /* 24 bits used */
    uint32_t tag;        /* of the adoption that waits, or of the connect */
    uint16_t flags;
    uint8_t pending; /* requests whose last completion has not come */
    union {
        uint8_t turn;  /* shallow: low bits of the turn in which it last received */
        uint8_t small; /* deep: small receives in a row */
    };
};
static_assert(sizeof(struct fw_uring_slot) == 12, "a million of them are touched at random");

/* What only a slot for connects has. */
struct fw_uring_connect {
    struct fw_timer timer;
    uint32_t next; /* free: the next free one, as an index + 1 */
    int status;    /* why it failed; 0: not yet */
    bool silent;   /* nothing was sent: TCP_QUICKACK is off */
};

/* The slots from `first` on are for connects: the kernel gives none of them to hand-overs. */
struct fw_uring_connects {
    struct fw_wheel wheel;
    struct fw_uring_connect *table; /* mapped; by slot - first */
    uint32_t first;
    uint32_t count;
    uint32_t touched;    /* those from here on were never used */
    uint32_t free_first; /* index + 1 */
    bool speaks_first;
    unsigned addresses_count;
    struct sockaddr_storage addresses[FW_URING_ADDRESSES_MAX]; /* read at the submission */
};

struct fw_uring_buffer {
    uint32_t used;  /* octets of it that the kernel has filled in this round */
    uint16_t place; /* its entry of the pool's ring */
    bool kept;      /* the owner sends from it: not the kernel's before the sends are settled */
    bool consumed;  /* the kernel is done with it, and it is kept */
};

struct fw_uring_pool {
    struct io_uring_buf_ring *ring;
    uint8_t *memory;
    size_t buffer_bytes;
    unsigned count;   /* a power of two: entries of the ring */
    unsigned serving; /* given to the kernel so far */
    unsigned ready;   /* that the kernel has now, whole or in part */
    unsigned kept;
    unsigned begun;   /* the buffer that the kernel has filled in part, as an id + 1; 0: none */
    size_t hot_bytes; /* delivered since the memory was begun anew */
    bool incremental;
    uint16_t group;
    struct fw_uring_buffer buffers[FW_URING_BUFFERS_MAX];
};

struct fw_uring_accept {
    struct sockaddr_storage peer;
    socklen_t peer_bytes;
    uint16_t listener;
    bool armed;
};

struct fw_uring {
    struct fw_engine base;
    struct io_uring ring;
    struct fw_uring_slot *slots; /* mapped, touched on first use */
    uint32_t slots_max;
    uint32_t *late; /* mapped: slots whose receive is armed behind all others of the turn */
    uint32_t late_count;
    uint32_t *line; /* mapped: a ring of slots that stand in line for a deep buffer */
    uint32_t line_first;
    uint32_t line_count;
    bool sends_unsettled;
    unsigned told; /* completions at the queue's head whose sends were told of already */
    bool has_setsockopt;
    uint16_t accept_flags; /* FW_URING_ACCEPT_POLL_FIRST, where that is had */
    bool busy;             /* the last turn had events */
    uint32_t gather_events;
    uint32_t gather_us;

    struct fw_uring_pool shallow;
    struct fw_uring_pool deep;            /* empty where receive memory is short */
    struct fw_uring_pool *delivered_pool; /* where on_received is reading; NULL: it is not */
    struct fw_uring_buffer *delivered_buffer;

    int wake_fd;
    atomic_bool wake_pending;
    uint64_t wake_value;

    struct __kernel_timespec alarm; /* read at the submission */
    uint64_t alarm_ms;              /* when it rings; 0: it is not set */

    int listen_fds[FW_URING_LISTENERS_MAX];
    unsigned listeners_count;
    bool accept_paused;
    uint32_t tickets_used;    /* accepted connections that are the owner's */
    uint32_t tickets_closing; /* those of them on their way out */
    uint32_t accepts_armed;
    uint32_t listeners_watched;      /* bits: polled, because there is no room to accept */
    struct fw_uring_accept *accepts; /* FW_URING_ACCEPTS for each listener; NULL without one */
    uint32_t *own; /* mapped: tickets that are handed over to this engine itself */
    uint32_t own_count;
    uint32_t open_count;     /* slots in use, when it listens: they share the table with tickets */
    uint32_t listeners_dead; /* bits: sockets that do not listen any more */

    struct msghdr *gathers;
    struct iovec *gather_pieces;
    unsigned gathers_count;
    unsigned gather_pieces_count;

    struct fw_uring_connects *connects; /* NULL without connects_max */
};

static inline struct fw_uring *fw_uring_of(struct fw_engine *engine)
{
    return fw_container_of(engine, struct fw_uring, base);
}

/* The user_data of a request, and its operation. */
static inline uint64_t fw_uring_tag(enum fw_uring_operation operation, uint32_t generation,
                                    uint32_t index)
{
    return (uint64_t)operation << 56 | (uint64_t)(generation & 0xffffff) << 32 | index;
}

static inline enum fw_uring_operation fw_uring_operation(uint64_t data)
{
    return (enum fw_uring_operation)(data >> 56);
}

/* Whether a slot takes room from accepts. */
static inline bool fw_uring_shares_room(const struct fw_uring *self, uint32_t slot)
{
    return self->accepts != NULL && (self->connects == NULL || slot < self->connects->first);
}

/* Hands the queue to the kernel without waiting. */
void fw_uring_submit(struct fw_uring *self);

/* Makes room for `count` entries that must go out together. */
static inline void fw_uring_need_entries(struct fw_uring *self, unsigned count)
{
    if (FW_UNLIKELY(io_uring_sq_space_left(&self->ring) < count))
        fw_uring_submit(self);
}

static inline struct io_uring_sqe *fw_uring_next_entry(struct fw_uring *self)
{
    fw_uring_need_entries(self, 1);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
    fw_assert(sqe != NULL);
    return sqe;
}

/* Marks an entry's descriptor as the slot, and names the completion. */
static inline void fw_uring_aim(struct fw_uring *self, struct io_uring_sqe *sqe,
                                enum fw_uring_operation operation, uint32_t slot)
{
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = fw_uring_tag(operation, self->slots[slot].generation, slot);
}

/* The name of what is armed to receive (SLOT_RECEIVING). */
static inline uint64_t fw_uring_armed(struct fw_uring *self, uint32_t slot)
{
    const struct fw_uring_slot *s = &self->slots[slot];
    return fw_uring_tag(s->flags & SLOT_WATCHED ? FW_URING_READY : FW_URING_RECEIVE, s->generation,
                        slot);
}

/* Waits for the next fw_engine_wake. */
void fw_uring_arm_wake(struct fw_uring *self);

/* A slot's life begins: tells on_adopted, then receives unless the owner does not want that. */
void fw_uring_open(struct fw_uring *self, uint32_t slot, uint32_t tag);

/* The kernel has put a connection at `slot`; its old life there may not be over. */
void fw_uring_adopted(struct fw_uring *self, uint32_t slot, uint32_t tag);

/* Queues what ends a slot's descriptor. */
void fw_uring_submit_close(struct fw_uring *self, uint32_t slot);

/* Counts one request of the slot as over; the last one of a closing slot ends its life. */
void fw_uring_retire(struct fw_uring *self, uint32_t slot);

/* Tells the owner, once, that the slot will receive no more. */
void fw_uring_ended(struct fw_uring *self, uint32_t slot, int status);

/* engine_uring_receive.c: its operations, its completions, and the turn's part of it. */
bool fw_uring_keep(struct fw_engine *engine);
void fw_uring_pause(struct fw_engine *engine, uint32_t slot);
void fw_uring_resume(struct fw_engine *engine, uint32_t slot);
void fw_uring_received(struct fw_uring *self, uint32_t slot, const struct io_uring_cqe *cqe);
void fw_uring_received_deep(struct fw_uring *self, uint32_t slot, const struct io_uring_cqe *cqe);
void fw_uring_ready(struct fw_uring *self, uint32_t slot, const struct io_uring_cqe *cqe);
void fw_uring_arm_receive(struct fw_uring *self, uint32_t slot);
void fw_uring_arm_late(struct fw_uring *self);
void fw_uring_serve_line(struct fw_uring *self);
void fw_uring_release_kept(struct fw_uring_pool *pool);
void fw_uring_begin_anew(struct fw_uring_pool *pool);

/* Puts a receive buffer at the end of the kernel's. */
void fw_uring_give_buffer(struct fw_uring_pool *pool, unsigned id);

uint64_t fw_uring_monotonic_ms(void);

extern const struct linger fw_uring_linger_abort;
extern const struct fw_engine_ops fw_uring_ops;

/* engine_uring_accept.c: the acceptor's part of the operations, and its completions. */
void fw_uring_accepted(struct fw_uring *self, uint32_t index, int result);
void fw_uring_watched(struct fw_uring *self, uint32_t listener, int result);
void fw_uring_ticket_closed(struct fw_uring *self, int result);
void fw_uring_hand_over_failed(struct fw_uring *self, uint32_t ticket, int result);
void fw_uring_handed_over(struct fw_uring *self, uint32_t ticket, int result);
/* Adopts what was handed over to this engine itself. */
void fw_uring_adopt_own(struct fw_uring *self);
/* Arms every accept that is not, as far as there is room. */
void fw_uring_arm_accepts(struct fw_uring *self);
int fw_uring_listen(struct fw_engine *engine, int listen_fd);
void fw_uring_accept_pause(struct fw_engine *engine);
void fw_uring_accept_resume(struct fw_engine *engine);
void fw_uring_hand_over(struct fw_engine *engine, uint32_t ticket, struct fw_engine *target,
                        uint32_t tag);
void fw_uring_refuse(struct fw_engine *engine, uint32_t ticket);

/* engine_uring_connect.c: the client's part. `installed`: whether the slot holds a descriptor. */
int fw_uring_connects_create(struct fw_uring *self, uint32_t connects_max);
void fw_uring_connects_destroy(struct fw_uring *self);
int fw_uring_connect(struct fw_engine *engine, const struct sockaddr *peer, socklen_t peer_bytes,
                     uint32_t tag, uint32_t timeout_ms);
void fw_uring_connected(struct fw_uring *self, uint32_t slot, int result, bool installed);
/* Behind the entry of a send, of a slot for connects. */
void fw_uring_spoke(struct fw_uring *self, uint32_t slot);
void fw_uring_unconnect(struct fw_uring *self, uint32_t slot);
void fw_uring_unconnected(struct fw_uring *self, uint32_t slot, int result);
/* Gives a dead slot back, if it is one for connects; what it failed with, or 0. */
int fw_uring_connect_free(struct fw_uring *self, uint32_t slot);
void fw_uring_connects_turn(struct fw_uring *self);
int fw_uring_connects_wait_ms(const struct fw_uring *self, int timeout_ms);

/* engine_uring_setup.c */
void fw_uring_destroy(struct fw_engine *engine);

#endif
