/* conn.h: one socket: a slot of the engine, the session on it, and the flushing of what it owes.
 *
 * A worker has one table of connections, indexed by the engine's slots and touched on first use.
 * The table is the engine's owner: it hands received bytes to sessions, and once a turn sends what
 * each dirty connection owes, in one send.
 *
 *   free --on_adopted--> LIVE --session ends, queue flushed--> CLOSING --on_closed--> free
 *
 * A flush takes the queue's pieces out at once (a flight) and forgets them when the sends are
 * settled; only a send that was not whole is looked at again, and its rest put back. Flights of one
 * settlement are a batch. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_CONN_H
#define FW_NET_CONN_H

#include "base/arena.h"
#include "base/wheel.h"
#include "net/engine/engine.h"
#include "session/session.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* Connections of one table. What a connection knows of its flight has so many bits. */
#define FW_CONNS_SLOTS_MAX (1u << 24)

struct fw_conn {
    struct fw_session session;
    uint32_t slot;
    uint32_t batch;       /* the batch of its last flight */
    uint32_t flight : 24; /* its index there */
    uint32_t flags : 8;   /* conn.c */
    struct fw_timer timer;
    uint32_t tag; /* what it was handed over with */
};
static_assert(sizeof(struct fw_conn) <= 192, "what an idle connection pays in all, but its slot");

/* A bit of a hand-over's tag: the connection speaks TLS. */
#define FW_CONN_TAG_TLS 0x40000000u
/* Another: it is a proxy's, and begins with a PROXY header (conn_proxy.h). */
#define FW_CONN_TAG_PROXIED 0x20000000u

struct fw_flight;      /* conn.c */
struct fw_conns_tls;   /* conn_tls.h */
struct fw_conns_proxy; /* conn_proxy.h */
struct fw_proxy_client;
struct fw_tls_context;

struct fw_conns {
    struct fw_session_host host;
    struct fw_engine *engine;
    struct fw_conn *table; /* mapped: slots_max of them */
    uint32_t slots_max;
    uint32_t live_count;
    bool receiving;               /* inside the engine's on_received */
    struct fw_conns_tls *tls;     /* NULL: no connection speaks TLS */
    struct fw_conns_proxy *proxy; /* NULL: none begins with a PROXY header */
    struct fw_wheel wheel;
    struct fw_arena arena;

    uint32_t *dirty; /* mapped: slots to flush at the end of the turn */
    uint32_t dirty_count;

    uint32_t batch;
    struct fw_flight *flights;
    uint32_t flights_count;
    uint32_t flights_capacity;
    struct fw_outq_entry *pieces; /* of all flights */
    uint32_t pieces_count;
    uint32_t pieces_capacity;

    /* The floor above, each with `owner`: a connection came or went; the engine was woken; the turn
     * ends, and more may be queued before the flush. */
    void *owner;
    void (*on_opened)(void *owner, struct fw_conn *conn);
    void (*on_gone)(void *owner, struct fw_conn *conn);
    void (*on_wake)(void *owner);
    void (*on_turn)(void *owner);
    /* Whom a proxy's connection is for; false: it is closed. */
    bool (*on_told)(void *owner, struct fw_conn *conn, const struct fw_proxy_client *client);
};

/* What an engine of connections calls; its owner is the table. */
extern const struct fw_engine_events fw_conns_events;

/* Makes an empty table. The host's rules, upward calls and log, and the callbacks are the caller's
 * to set; engine once it exists.
 *
 * errors       -ENOMEM
 */
int fw_conns_init(struct fw_conns *conns, uint32_t slots_max, uint64_t now_ms);

/* Clears every session that is still there, and frees the table. */
void fw_conns_clear(struct fw_conns *conns);

/* How long a turn may wait: 0 while there is something left to flush, -1 for ever. */
int fw_conns_wait_ms(const struct fw_conns *conns);

/* Tells sessions that the server stops: up to `count` live ones, from slot `from` on.
 *
 * returns      where to go on; slots_max when all were told
 */
uint32_t fw_conns_stop(struct fw_conns *conns, uint32_t from, uint32_t count);

/* Puts TLS between a connection that was just adopted and its session, in the context's role. A
 * client's hello is queued at once, and what its session queues waits for the handshake's end.
 *
 * context      shared; the table has fw_conns_tls_create behind it
 * host         client: see fw_tls_create
 * errors       of fw_tls_create; the connection is as it was
 */
int fw_conn_begin_tls(struct fw_conn *conn, struct fw_tls_context *context, const char *host);

/* Calls `visit` for the live connections of some slots; sessions may be ended there.
 *
 * first        the slot to begin with
 * returns      the slot to go on with; 0 when that was all
 */
uint32_t fw_conns_visit(struct fw_conns *conns, uint32_t first, uint32_t slots_count,
                        void (*visit)(struct fw_session *session, void *context), void *context);

/* For the session's upward calls. */
bool fw_conn_keep(struct fw_session *session);
void fw_conn_changed(struct fw_session *session);
void fw_conn_set_timer(struct fw_session *session, uint64_t due_ms);

static inline struct fw_conns *fw_conn_table(const struct fw_conn *conn)
{
    return (struct fw_conns *)(void *)conn->session.host; /* its first member */
}

#endif
