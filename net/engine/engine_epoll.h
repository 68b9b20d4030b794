/* engine_epoll.h: what the files of the epoll engine share; nobody else includes this.
 *
 * engine_epoll.c moves the bytes of slots and runs the turn; engine_epoll_accept.c takes
 * connections from listeners and gives them to other engines; engine_epoll_connect.c opens them;
 * engine_epoll_setup.c makes the tables and descriptors, and ends them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_ENGINE_EPOLL_H
#define FW_NET_ENGINE_EPOLL_H

#include "base/wheel.h"
#include "net/engine/engine_ops.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/un.h>

/* Slots that one engine may have: the numbers above are free for what is no slot. */
#define FW_EPOLL_SLOTS_MAX (1u << 24)
/* In epoll's user data, instead of a slot: the wake descriptor, the alarm, and the first listener.
 */
#define FW_EPOLL_INDEX_WAKE     0xffffffffu
#define FW_EPOLL_INDEX_ALARM    0xfffffffeu
#define FW_EPOLL_INDEX_LISTENER 0x80000000u
/* Ends a list of slots or tickets. */
#define FW_EPOLL_NONE 0xffffffffu
/* Events taken from the kernel at once: 3 KB, and a turn that stays short also when each of them is
 * answered (12 us, with the send). */
#define FW_EPOLL_EVENTS_MAX 256

static_assert(FW_EPOLL_SLOTS_MAX < FW_EPOLL_INDEX_LISTENER, "slots and listeners never meet");

enum fw_epoll_slot_flags {
    SLOT_OPEN = 1,
    SLOT_CLOSING = 2,    /* closed in the kernel; on_closed is due */
    SLOT_DUE = 4,        /* in the list of due slots */
    SLOT_READABLE = 8,   /* the socket was not read until it was empty */
    SLOT_HANGUP = 16,    /* FIN, RST or an error came: read on until recv says which */
    SLOT_PAUSED = 32,    /* the owner wants none */
    SLOT_ENDED = 64,     /* on_ended was told */
    SLOT_UNSENT = 128,   /* has a record in `unsent` */
    SLOT_BLOCKED = 256,  /* on_unsent(-EAGAIN) was told: on_writable is promised */
    SLOT_WRITABLE = 512, /* and is due */
    SLOT_CONNECTING = 1024
};

/* One connection. Small, because a million of them are touched at random. */
struct fw_epoll_slot {
    int fd; /* -1 while it is not open */
    uint32_t generation;
    uint32_t next; /* in the list of free slots, or in the list of due ones */
    uint32_t flags;
};
static_assert(sizeof(struct fw_epoll_slot) == 16, "four slots in a cache line");

/* A send that was not whole, to be told when the owner's call is over. */
struct fw_epoll_unsent {
    uint32_t slot;
    int status;
    size_t sent_bytes;
};

/* A connection on its way from an acceptor to this engine. */
struct fw_epoll_arrival {
    int fd;
    uint32_t tag;
};

/* What a slot has besides while it is connecting. */
struct fw_epoll_connect {
    struct fw_timer timer;
    uint32_t tag;
    int status;      /* why it failed; 0: not yet */
    uint64_t due_ms; /* UINT64_MAX: the kernel gives up */
    socklen_t retry_bytes;
    struct sockaddr_un retry; /* a path whose backlog is full tells nobody when it is not */
};

/* By slot; mapped. */
struct fw_epoll_connects {
    struct fw_wheel wheel;
    struct fw_epoll_connect *table;
    uint32_t count; /* slots_max */
};

struct fw_epoll_acceptor;

struct fw_epoll {
    struct fw_engine base;
    int epoll_fd;
    int wake_fd;
    int alarm_fd;
    uint64_t alarm_ms; /* when it rings; 0: it is not set */
    uint8_t *buffer;   /* all slots receive into this one, behind what is kept */
    size_t buffer_bytes;
    size_t window_bytes;    /* one receive takes at most this */
    size_t kept_bytes;      /* at the front of the buffer, until the sends are settled */
    size_t delivered_at;    /* where the bytes are that on_received tells of now */
    size_t delivered_bytes; /* how many; 0 outside of on_received */

    /* Tables of slots_max entries in one mapping; the kernel gives memory as they are touched. */
    struct fw_epoll_slot *slots;
    struct fw_epoll_unsent *unsent;
    struct fw_epoll_arrival *arrivals;
    uint32_t *closing; /* closed slots whose on_closed is due */
    size_t tables_bytes;
    uint32_t slots_max;
    uint32_t slots_touched; /* those from here on were never used */
    uint32_t free_first;
    uint32_t due_first; /* to be served in the next turn */
    uint32_t due_last;
    uint32_t unsent_count;
    uint32_t closing_count;
    bool sends_unsettled;
    bool owner_called; /* after on_turn_end: what it did then must not wait for an event */

    struct fw_epoll_connects *connects; /* NULL without connects_max */
    struct fw_epoll_acceptor *acceptor; /* NULL until fw_engine_listen */
    bool accept_paused;

    /* What other threads touch. */
    atomic_uint slots_used; /* open, closing, and reserved by arrivals */
    atomic_uint asked;      /* bits of enum asked in engine_epoll.c */
    atomic_bool sleeping;
    pthread_mutex_t arrivals_lock;
    uint32_t arrivals_first; /* under arrivals_lock, as the next */
    uint32_t arrivals_count;

    struct epoll_event events[FW_EPOLL_EVENTS_MAX];
};

static inline struct fw_epoll *fw_epoll_of(struct fw_engine *engine)
{
    return (struct fw_epoll *)(void *)engine;
}

extern const struct fw_engine_ops fw_epoll_ops;

uint64_t fw_epoll_monotonic_ms(void);

/* Maps zeroed memory that costs nothing until it is touched; NULL when there is none. */
void *fw_epoll_map(size_t bytes);

/* Gives a connected socket to an engine.
 *
 * thread       any
 * errors       -ENFILE when its table is full; the socket is the caller's still
 */
int fw_epoll_give(struct fw_epoll *target, int fd, uint32_t tag);

/* Counts one more slot as used; false when all are. Thread: any. */
bool fw_epoll_reserve_slot(struct fw_epoll *self);
/* Takes the slot that was reserved, and gives a dead one back. */
uint32_t fw_epoll_take_slot(struct fw_epoll *self);
void fw_epoll_free_slot(struct fw_epoll *self, uint32_t slot);

/* Registers a slot's descriptor for both directions; 0 or -errno. */
int fw_epoll_watch(struct fw_epoll *self, uint32_t slot);

/* Puts a slot into the list that the next turn serves. */
void fw_epoll_make_due(struct fw_epoll *self, uint32_t slot);

/* engine_epoll_setup.c */
void fw_epoll_destroy(struct fw_engine *engine);

/* engine_epoll_connect.c */
int fw_epoll_connects_create(struct fw_epoll *self);
void fw_epoll_connects_destroy(struct fw_epoll *self);
int fw_epoll_connect(struct fw_engine *engine, const struct sockaddr *peer, socklen_t peer_bytes,
                     uint32_t tag, uint32_t timeout_ms);
/* A connecting slot is due: it is adopted, or has failed and is free; whether it is open. */
bool fw_epoll_connect_serve(struct fw_epoll *self, uint32_t slot);
/* The owner closes a connecting slot. */
void fw_epoll_connect_forget(struct fw_epoll *self, uint32_t slot);
void fw_epoll_connects_turn(struct fw_epoll *self);
int fw_epoll_connects_wait_ms(const struct fw_epoll *self, int timeout_ms);

/* Notes that the listener of an index has connections. */
void fw_epoll_acceptor_ready(struct fw_epoll *self, uint32_t index);

/* Whether there is something to do that the kernel will not tell of. */
bool fw_epoll_acceptor_waits(const struct fw_epoll *self);

/* Takes new connections and tells how hand-overs ended. */
void fw_epoll_acceptor_turn(struct fw_epoll *self);

/* Closes the connections that are still tickets, and frees. */
void fw_epoll_acceptor_destroy(struct fw_epoll *self);

/* The acceptor's part of the engine's operations. */
int fw_epoll_listen(struct fw_engine *engine, int listen_fd);
void fw_epoll_accept_pause(struct fw_engine *engine);
void fw_epoll_accept_resume(struct fw_engine *engine);
void fw_epoll_hand_over(struct fw_engine *engine, uint32_t ticket, struct fw_engine *target,
                        uint32_t tag);
void fw_epoll_refuse(struct fw_engine *engine, uint32_t ticket);

#endif
