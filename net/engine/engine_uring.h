/* engine_uring.h: what the files of the io_uring engine share; nobody else includes this.
 *
 * engine_uring.c moves the bytes of slots and runs the turn, engine_uring_accept.c takes
 * connections and hands them over, engine_uring_setup.c makes the ring, its tables and its memory,
 * and ends them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_ENGINE_URING_H
#define FW_NET_ENGINE_URING_H

#include "base/check.h"
#include "net/engine/engine_ops.h"
#include "net/engine/uring_compat.h"

#include <assert.h>
#include <stdatomic.h>
#include <sys/socket.h>

/* A turn's sends are submitted in pieces of this many. */
#define FW_URING_SQ_ENTRIES 1024
/* 16 per submission entry: a burst of receives on many slots fits without the overflow list. */
#define FW_URING_CQ_ENTRIES 16384
/* One receive takes at most this much. 8 of 64 KB, 2 and 4 of 256 KB and 2 of 512 KB did not do
 * better than 4 of 64 KB in echoes of 16 KB and 256 KB. */
#define FW_URING_BUFFER_BYTES ((size_t)64 * 1024)
/* Buffers in service at the start; doubled when they run out, up to what the options allow. */
#define FW_URING_BUFFERS_START 4
#define FW_URING_BUFFERS_MAX   64
#define FW_URING_BUFFER_GROUP  0
/* Accepts in flight per listener: connections taken per enter in a storm. */
#define FW_URING_ACCEPTS       64
#define FW_URING_LISTENERS_MAX 16
/* Room for the gathered sends of one submission. */
#define FW_URING_GATHERS_MAX 256
#define FW_URING_PIECES_MAX  4096
/* While sends are unsettled a turn does not sleep for longer: lent memory comes back. */
#define FW_URING_SETTLE_MS_MAX 100

static_assert(FW_URING_PIECES_MAX >= FW_ENGINE_PIECES_MAX, "one gathered send always fits");

static_assert(FW_URING_LISTENERS_MAX <= 32, "one bit each in listeners_watched");

enum fw_uring_operation {
    FW_URING_RECEIVE = 1,
    FW_URING_SEND,
    FW_URING_POLL,
    FW_URING_CANCEL,
    FW_URING_CLOSE,
    FW_URING_SHUTDOWN,
    FW_URING_ADOPT,
    FW_URING_WAKE,
    FW_URING_ACCEPT,
    FW_URING_WATCH,
    FW_URING_HAND_OVER,
    FW_URING_TICKET,
    FW_URING_IGNORED,
};

enum fw_uring_slot_flags {
    SLOT_OPEN = 1,
    SLOT_CLOSING = 2,
    SLOT_RECEIVING = 4,      /* a receive is armed */
    SLOT_PAUSED = 8,         /* the owner wants none */
    SLOT_ENDED = 16,         /* on_ended was told */
    SLOT_ADOPT_WAITING = 32, /* the kernel reused the index before its old life was over */
    SLOT_CLOSED = 64,        /* the descriptor is closed, completions may still come */
    SLOT_SHUTTING = 128,     /* a shutdown is under way in a thread of the kernel's */
};

struct fw_uring_slot {
    uint32_t generation; /* 24 bits used */
    uint32_t tag;        /* of the adoption that waits */
    uint8_t flags;
    uint8_t pending;  /* requests whose last completion has not come */
    uint8_t turn;     /* low bits of the turn in which it last received */
    bool abort : 1;   /* how it is to be closed */
    bool polling : 1; /* a poll is armed */
};

struct fw_uring_buffer {
    uint32_t used; /* octets of it that the kernel has filled in this round */
    bool kept;     /* the owner sends from it: not the kernel's before the sends are settled */
    bool consumed; /* the kernel is done with it, and it is kept */
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
    bool sends_unsettled;
    bool incremental;
    bool has_setsockopt;

    struct io_uring_buf_ring *buffer_ring;
    uint8_t *buffer_memory;
    unsigned buffers_count;   /* a power of two: entries of the ring */
    unsigned buffers_serving; /* given to the kernel so far */
    unsigned buffers_kept;
    int buffer_delivered; /* the one on_received is reading from; -1: none */
    struct fw_uring_buffer buffers[FW_URING_BUFFERS_MAX];

    int wake_fd;
    atomic_bool wake_pending;
    uint64_t wake_value;

    int listen_fds[FW_URING_LISTENERS_MAX];
    unsigned listeners_count;
    bool accept_paused;
    uint32_t tickets_used;    /* accepted connections that are the owner's */
    uint32_t tickets_closing; /* those of them on their way out */
    uint32_t accepts_armed;
    uint32_t listeners_watched;      /* bits: polled, because there is no room to accept */
    struct fw_uring_accept *accepts; /* FW_URING_ACCEPTS for each listener */

    struct msghdr *gathers;
    struct iovec *gather_pieces;
    unsigned gathers_count;
    unsigned gather_pieces_count;
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

/* Waits for the next fw_engine_wake. */
void fw_uring_arm_wake(struct fw_uring *self);

/* Puts a receive buffer at the end of the kernel's. */
void fw_uring_give_buffer(struct fw_uring *self, unsigned id);

uint64_t fw_uring_monotonic_ms(void);

extern const struct linger fw_uring_linger_abort;
extern const struct fw_engine_ops fw_uring_ops;

/* engine_uring_accept.c: the acceptor's part of the operations, and its completions. */
void fw_uring_accepted(struct fw_uring *self, uint32_t index, int result);
void fw_uring_watched(struct fw_uring *self, uint32_t listener, int result);
void fw_uring_ticket_closed(struct fw_uring *self, int result);
void fw_uring_handed_over(struct fw_uring *self, uint32_t ticket, int result);
int fw_uring_listen(struct fw_engine *engine, int listen_fd);
void fw_uring_accept_pause(struct fw_engine *engine);
void fw_uring_accept_resume(struct fw_engine *engine);
void fw_uring_hand_over(struct fw_engine *engine, uint32_t ticket, struct fw_engine *target,
                        uint32_t tag);
void fw_uring_refuse(struct fw_engine *engine, uint32_t ticket);

/* engine_uring_setup.c */
void fw_uring_destroy(struct fw_engine *engine);

#endif
