/* engine.h: the contract between sockets and everything above them.
 *
 * An engine moves bytes for the sockets of one thread. Two implementations keep the contract,
 * engine_uring.c and engine_epoll.c, and a third for tests (tests/support/engine_sim.c) that
 * splits, delays and resets at will. Nothing above this header knows which one runs.
 *
 * The contract is completion-shaped:
 *
 * 1. Received bytes are borrowed, and writable, until on_received returns; or, when fw_engine_keep
 *    agreed meanwhile, until on_settled: an echo is sent from where it was received. A turn that
 *    keeps and sends nothing is settled too: what one connection cannot send holds up nobody.
 * 2. A send's bytes are lent to the engine until on_settled. One send per slot between two
 *    on_settled; a send takes what the socket takes at once and never waits.
 *    Silence is success: what was sent whole is not reported. What was not is told by on_unsent,
 * and then by on_writable once it is worth trying again.
 * 3. A slot is dead only after on_closed, never before; then its number may come back.
 * 4. Only fw_engine_wake and fw_engine_hand_over (as the target) may be used from another thread.
 * 5. The engine never calls into its owner from inside a call of the owner's, so no handler can
 * find its connection gone under it.
 *
 * One turn (fw_engine_turn):
 *
 *      wait for the kernel --> on_unsent ... on_settled        (the last turn's sends)
 *          --> on_adopted, on_received, on_ended, on_writable, on_accepted, on_wake, on_closed ...
 *          --> on_turn_end: the owner sends what its connections owe, once each
 *
 * (epoll sends inside on_turn_end, and so reports on_unsent and on_settled at the end of the same
 * turn; owners cannot tell.)
 *
 * The life of a slot:
 *
 *      fw_engine_connect --> CONNECTING --> on_connect_failed
 *                                 |
 *      on_adopted --> OPEN <------+ (with on_adopted)
 *                     OPEN --fw_engine_close--> CLOSING --> on_closed
 *                      |  on_ended (the peer will send no more; sending may still work)
 *                      +--> still OPEN: the owner decides, and closes
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_ENGINE_H
#define FW_NET_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct fw_engine;

/* What the engine tells its owner; every function is called on the engine's thread. An owner that
 * never listens leaves the acceptor's three NULL; one that only listens leaves the others NULL; one
 * that does both has all of them. */
struct fw_engine_events {
    /* A socket that an engine handed over (`tag` is what the acceptor said) or that
     * fw_engine_connect made lives at `slot` now, and is being received from. */
    void (*on_adopted)(void *owner, uint32_t slot, uint32_t tag);
    /* Bytes came; borrowed and writable until the return. bytes_count > 0. */
    void (*on_received)(void *owner, uint32_t slot, uint8_t *bytes, size_t bytes_count);
    /* Nothing more will be received: 0 at the peer's FIN, else -errno. At most once per slot. */
    void (*on_ended)(void *owner, uint32_t slot, int status);
    /* The slot's send stopped after `sent_bytes`: -EAGAIN when the socket is full (on_writable will
     * follow), another -errno when it is broken (nothing will follow). Lent bytes are still whole.
     */
    void (*on_unsent)(void *owner, uint32_t slot, size_t sent_bytes, int status);
    /* Every send since the last on_settled has been reported or is done: lent bytes are free. */
    void (*on_settled)(void *owner);
    /* After on_unsent(-EAGAIN): the socket takes bytes again. */
    void (*on_writable)(void *owner, uint32_t slot);
    /* The slot is dead. */
    void (*on_closed)(void *owner, uint32_t slot);
    /* What fw_engine_connect began did not come about: -ECONNREFUSED, -ETIMEDOUT, -EMFILE or what
     * else the kernel said. Its slot is free again. An owner that never connects leaves it NULL. */
    void (*on_connect_failed)(void *owner, uint32_t tag, int status);
    /* fw_engine_wake was called at least once since the last on_wake. */
    void (*on_wake)(void *owner);
    /* The turn's events are delivered: send now what is owed. */
    void (*on_turn_end)(void *owner);

    /* A listener accepted a connection; `ticket` names it until fw_engine_hand_over succeeds or
     * fw_engine_refuse drops it. `peer` is borrowed until the return. */
    void (*on_accepted)(void *owner, uint32_t ticket, const struct sockaddr *peer,
                        socklen_t peer_bytes);
    /* Accepting stopped with -EMFILE, -ENFILE, -ENOBUFS or -ENOMEM (queued connections stay in the
     * backlog) until fw_engine_accept_resume. */
    void (*on_accept_paused)(void *owner, int status);
    /* How a hand-over ended: 0, or -ENFILE when the target's table is full and the ticket is still
     * the owner's; another -errno when the connection is lost. */
    void (*on_handed_over)(void *owner, uint32_t ticket, int status);
};

struct fw_engine_options {
    uint32_t slots_max;     /* connections at once; at most what fw_engine_slots_limit says */
    uint32_t receive_bytes; /* memory to receive into, all connections together */
    uint32_t connects_max;  /* of the slots, those for fw_engine_connect; others hand over to the
                               rest. 0: it is not called */
    bool speaks_first; /* what it connects sends at once: the last packet of TCP's handshake may
                          wait for that, 40 ms at most. A hint, which epoll does not take */
    void *owner;
    const struct fw_engine_events *events; /* borrowed for ever */
};

enum fw_engine_kind { FW_ENGINE_AUTO, FW_ENGINE_URING, FW_ENGINE_EPOLL };

/* Finds out which engine works here, by trying: features are probed, never versions, and a pair of
 * sockets is driven through it.
 *
 * wanted       FW_ENGINE_AUTO falls back from io_uring to epoll on any errno
 * why          written: one line that says which engine runs and, after a fallback or a failure,
 * why and what to do about it thread       any returns      FW_ENGINE_URING or FW_ENGINE_EPOLL;
 * FW_ERR_ENGINE when the wanted one does not work
 */
int fw_engine_choose(enum fw_engine_kind wanted, char *why, size_t why_bytes);

/* "uring" or "epoll". */
const char *fw_engine_kind_name(enum fw_engine_kind kind);

/* How many slots one engine can have here: RLIMIT_NOFILE bounds a ring's file table as it does a
 * process's descriptors. */
uint32_t fw_engine_slots_limit(enum fw_engine_kind kind);

/* Creates an engine; the calling thread is the one that runs it.
 *
 * kind         FW_ENGINE_URING or FW_ENGINE_EPOLL
 * errors       -errno of what the kernel refused, -ENOMEM
 */
int fw_engine_create(enum fw_engine_kind kind, const struct fw_engine_options *options,
                     struct fw_engine **engine_out);

/* Closes every socket it still has, without further calls to the owner, and frees the engine. */
void fw_engine_destroy(struct fw_engine *engine);

/* Runs one turn.
 *
 * timeout_ms   how long to wait for the first event, counted from fw_engine_now_ms; 0: do not wait,
 *              -1: for ever. The turn may come sooner, and without one.
 * returns      0; -errno when the engine itself is broken (nothing of a peer's making does that)
 */
int fw_engine_turn(struct fw_engine *engine, int timeout_ms);

/* Has a turn that follows a busy one wait for several events, or for so long, before it begins:
 * fewer wakes for later events. It is a hint, which epoll does not take.
 *
 * events       0: a turn begins with the first one, as it does at first; at most
 *              FW_ENGINE_GATHER_MAX
 * wait_us      as much later an event may be told
 */
#define FW_ENGINE_GATHER_MAX 256
void fw_engine_gather(struct fw_engine *engine, uint32_t events, uint32_t wait_us);

/* CLOCK_MONOTONIC in milliseconds, read once per turn. */
uint64_t fw_engine_now_ms(const struct fw_engine *engine);

/* Makes the engine's current or next wait return, and on_wake be called.
 *
 * thread       any
 */
void fw_engine_wake(struct fw_engine *engine);

/* Sends pieces, in order, as one write. The array is copied; the bytes are lent until on_settled.
 *
 * pieces_count 1..FW_ENGINE_PIECES_MAX
 */
#define FW_ENGINE_PIECES_MAX 64
void fw_engine_send(struct fw_engine *engine, uint32_t slot, const struct iovec *pieces,
                    unsigned pieces_count);

/* Asks, from inside on_received, to keep the bytes it is delivering until the next on_settled.
 *
 * returns      false when receive memory is short: copy what outlives the call
 */
bool fw_engine_keep(struct fw_engine *engine);

/* Stops receiving from a slot, so that the kernel's buffer and then the peer fill up. What was
 * already received may still be delivered. Pausing twice, or resuming what runs, does nothing. */
void fw_engine_pause(struct fw_engine *engine, uint32_t slot);
void fw_engine_resume(struct fw_engine *engine, uint32_t slot);

/* Ends our sending direction (FIN) once what was sent is out; receiving goes on. Costs a system
 * call or a kernel worker: for the ends of connections, not their lives. */
void fw_engine_shutdown(struct fw_engine *engine, uint32_t slot);

/* Closes a slot: after this only on_closed is told of it. `abort` sends RST and leaves no
 * TIME_WAIT. A slot is closed once. */
void fw_engine_close(struct fw_engine *engine, uint32_t slot, bool abort);

/* Accepts connections from a listening socket, which the engine borrows and which is non-blocking.
 * An engine that serves as well needs FW_ENGINE_ACCEPTS_MAX more slots for each listener than it
 * may have connections: accepts that wait for one may each take a slot.
 */
#define FW_ENGINE_ACCEPTS_MAX 64
int fw_engine_listen(struct fw_engine *engine, int listen_fd);

/* Stops taking connections from all listeners; the backlog holds what comes. */
void fw_engine_accept_pause(struct fw_engine *engine);
void fw_engine_accept_resume(struct fw_engine *engine);

/* Gives an accepted connection to another engine of the same kind, or to this one itself; the
 * target's on_adopted has `tag`. on_handed_over tells how that went. */
void fw_engine_hand_over(struct fw_engine *engine, uint32_t ticket, struct fw_engine *target,
                         uint32_t tag);

/* From inside on_accepted: which listener it came by, counted from 0 in the order of
 * fw_engine_listen. */
uint32_t fw_engine_accepted_by(const struct fw_engine *engine);

/* Drops an accepted connection. */
void fw_engine_refuse(struct fw_engine *engine, uint32_t ticket);

/* Opens a connection as a client, without delay of small sends (TCP_NODELAY).
 *
 * on_adopted with `tag` follows in a turn, or on_connect_failed. A slot that is paused from inside
 * its on_adopted is not received from before it is resumed, and costs no kernel memory for that. It
 * may be closed before either has come; then only on_closed follows.
 *
 * peer         an internet address or a path (AF_UNIX); copied
 * timeout_ms   until on_connect_failed(-ETIMEDOUT), a tick of 64 ms late at most; 0: the kernel's,
 *              minutes
 * returns      the slot
 * errors       -ENFILE when none of the slots for connects is free, -EINVAL for an address that is
 *              too long for one; nothing follows then
 */
int fw_engine_connect(struct fw_engine *engine, const struct sockaddr *peer, socklen_t peer_bytes,
                      uint32_t tag, uint32_t timeout_ms);

/* Figures for metrics, all of this engine's life. Readable on the engine's thread. */
struct fw_engine_stats {
    uint64_t turns;
    uint64_t received_bytes;
    uint64_t sends;
    uint64_t sends_unsent;      /* short or refused */
    uint64_t receives_starved;  /* receive memory ran out; re-armed */
    uint64_t stale_completions; /* of a slot's earlier life; ignored */
    uint64_t accepted;
    uint64_t connected;
    uint64_t receive_memory_bytes; /* what bytes are received into, touched or not */
};
const struct fw_engine_stats *fw_engine_stats(const struct fw_engine *engine);

#endif
