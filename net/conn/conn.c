/* conn.c: see conn.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/conn/conn.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/conn/conn_proxy.h"
#include "net/conn/conn_tls.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* A turn's timers are bounded: a million pings due at once are spread over turns. */
#define RINGS_PER_TURN_MAX 4096u
#define FLIGHTS_START      256u
/* A slot stands in the dirty list once; while the list is being flushed, once more behind its end.
 */
#define DIRTY_PER_SLOT 2u
/* One send. The kernel cuts a write near 2 GiB short, and not every engine would be told. */
#define SEND_BYTES_MAX ((size_t)1 << 30)

static_assert(offsetof(struct fw_conns, host) == 0, "a session's host is its table");
static_assert(offsetof(struct fw_conn, session) == 0, "a session's address is its connection's");

enum conn_flags {
    CONN_LIVE = 1,
    CONN_DIRTY = 2,
    CONN_CLOSING = 4,  /* the engine was told to close it */
    CONN_SHUT = 8,     /* our FIN is said; what still comes is swallowed */
    CONN_PAUSED = 16,  /* the engine receives nothing from it */
    CONN_TLS = 32,     /* conn_tls.c stands between it and its session */
    CONN_PROXIED = 64, /* conn_proxy.c waits for its PROXY header */
    CONN_RESET = 128,  /* by the peer: nothing of it is left to abort */
};

/* One connection's send of this batch: which pieces it took. */
struct fw_flight {
    uint32_t first; /* in pieces */
    uint32_t count;
    bool begun;  /* its first piece is the rest of one that is partly on the wire */
    bool behind; /* the peer had not caught up before it */
};

static inline struct fw_conn *conn_of(struct fw_session *session)
{
    return (struct fw_conn *)(void *)session;
}

static void *map_zeroed(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int fw_conns_init(struct fw_conns *conns, uint32_t slots_max, uint64_t now_ms)
{
    memset(conns, 0, sizeof *conns);
    fw_assert(slots_max <= FW_CONNS_SLOTS_MAX);
    conns->slots_max = slots_max;
    conns->batch = 1;
    conns->table = map_zeroed(sizeof *conns->table * slots_max);
    conns->dirty = map_zeroed(sizeof *conns->dirty * slots_max * DIRTY_PER_SLOT);
    if (conns->table == NULL || conns->dirty == NULL) {
        fw_conns_clear(conns);
        return -ENOMEM;
    }
    fw_arena_init(&conns->arena);
    conns->host.arena = &conns->arena;
    conns->host.now_ms = now_ms;
    fw_wheel_init(&conns->wheel, conns->table, sizeof *conns->table,
                  offsetof(struct fw_conn, timer), now_ms);
    return 0;
}

static void drop_pieces(struct fw_conns *conns)
{
    for (uint32_t i = 0; i < conns->pieces_count; i++) {
        if (conns->pieces[i].share != NULL)
            fw_share_drop(conns->pieces[i].share);
    }
    conns->pieces_count = 0;
    conns->flights_count = 0;
    conns->batch++;
}

/* Ends what stands between it and its session. */
static inline void end_layers(struct fw_conns *conns, struct fw_conn *conn)
{
    if (FW_UNLIKELY(conn->flags & CONN_TLS))
        fw_conn_tls_end(conns, conn);
    if (FW_UNLIKELY(conn->flags & CONN_PROXIED))
        fw_conn_proxy_end(conns, conn);
}

void fw_conns_clear(struct fw_conns *conns)
{
    for (uint32_t slot = 0; conns->live_count > 0 && slot < conns->slots_max; slot++) {
        struct fw_conn *conn = &conns->table[slot];
        if (!(conn->flags & CONN_LIVE))
            continue;
        end_layers(conns, conn);
        fw_session_clear(&conn->session);
        conn->flags = 0;
        conns->live_count--;
    }
    fw_session_host_clear(&conns->host);
    fw_conns_tls_destroy(conns);
    fw_conns_proxy_destroy(conns);
    drop_pieces(conns);
    fw_arena_clear(&conns->arena);
    fw_mem_free(conns->flights);
    fw_mem_free(conns->pieces);
    if (conns->table != NULL)
        munmap(conns->table, sizeof *conns->table * conns->slots_max);
    if (conns->dirty != NULL)
        munmap(conns->dirty, sizeof *conns->dirty * conns->slots_max * DIRTY_PER_SLOT);
    conns->table = NULL;
    conns->dirty = NULL;
}

int fw_conns_wait_ms(const struct fw_conns *conns)
{
    if (conns->dirty_count > 0)
        return 0;
    int wait = fw_wheel_wait_ms(&conns->wheel, conns->host.now_ms);
    int tls_wait = conns->tls == NULL ? -1 : fw_conns_tls_wait_ms(conns);
    return wait < 0 || (tls_wait >= 0 && tls_wait < wait) ? tls_wait : wait;
}

uint32_t fw_conns_stop(struct fw_conns *conns, uint32_t from, uint32_t count)
{
    uint32_t slot = from;
    for (; slot < conns->slots_max && count > 0; slot++) {
        if ((conns->table[slot].flags & CONN_LIVE) == 0)
            continue;
        fw_session_stop(&conns->table[slot].session);
        count--;
    }
    return slot;
}

uint32_t fw_conns_visit(struct fw_conns *conns, uint32_t first, uint32_t slots_count,
                        void (*visit)(struct fw_session *session, void *context), void *context)
{
    uint32_t slot = first;
    for (; slot < conns->slots_max && slot - first < slots_count; slot++) {
        if ((conns->table[slot].flags & (CONN_LIVE | CONN_CLOSING)) == CONN_LIVE)
            visit(&conns->table[slot].session, context);
    }
    return slot < conns->slots_max ? slot : 0;
}

void fw_conn_changed(struct fw_session *session)
{
    struct fw_conn *conn = conn_of(session);
    if (conn->flags & CONN_DIRTY)
        return;
    struct fw_conns *conns = fw_conn_table(conn);
    conn->flags |= CONN_DIRTY;
    fw_assert_slow(conns->dirty_count < conns->slots_max * DIRTY_PER_SLOT);
    conns->dirty[conns->dirty_count++] = conn->slot;
}

bool fw_conn_keep(struct fw_session *session)
{
    struct fw_conn *conn = conn_of(session);
    struct fw_conns *conns = fw_conn_table(conn);
    if (FW_UNLIKELY(conn->flags & CONN_TLS))
        return fw_conn_tls_keep(conns);
    return conns->receiving && fw_engine_keep(conns->engine);
}

void fw_conn_set_timer(struct fw_session *session, uint64_t due_ms)
{
    struct fw_conn *conn = conn_of(session);
    struct fw_wheel *wheel = &fw_conn_table(conn)->wheel;
    if (due_ms == 0)
        fw_wheel_cancel(wheel, conn->slot);
    else
        fw_wheel_set(wheel, conn->slot, due_ms);
}

/* ---- flushing -------------------------------------------------------------------------------- */

/* What is sent as it stands: what the session owes, or what TLS made of it. */
static inline struct fw_outq *wire_of(struct fw_conns *conns, struct fw_conn *conn)
{
    return FW_UNLIKELY(conn->flags & CONN_TLS) ? fw_conn_tls_wire(conns, conn)
                                               : &conn->session.outq;
}

/* Stops, or lets go on, the receiving of a connection, as its session wants. */
static void steer(struct fw_conns *conns, struct fw_conn *conn)
{
    bool full = fw_session_full(&conn->session) ||
                ((conn->flags & CONN_TLS) && fw_conn_tls_full(conns, conn));
    full = full && conn->session.phase != FW_PHASE_DONE;
    if (FW_LIKELY(full == ((conn->flags & CONN_PAUSED) != 0)))
        return;
    conn->flags ^= CONN_PAUSED;
    if (full)
        fw_engine_pause(conns->engine, conn->slot);
    else
        fw_engine_resume(conns->engine, conn->slot);
}

/* Room for one more flight of the most pieces; false when there is no memory. */
static bool reserve_flight(struct fw_conns *conns)
{
    if (FW_UNLIKELY(conns->flights_count == conns->flights_capacity)) {
        uint32_t wanted =
            conns->flights_capacity == 0 ? FLIGHTS_START : conns->flights_capacity * 2;
        struct fw_flight *grown = fw_mem_resize(conns->flights, sizeof *grown * wanted);
        if (grown == NULL)
            return false;
        conns->flights = grown;
        conns->flights_capacity = wanted;
    }
    if (FW_UNLIKELY(conns->pieces_capacity - conns->pieces_count < FW_ENGINE_PIECES_MAX)) {
        uint32_t wanted = conns->pieces_capacity * 2 + FLIGHTS_START;
        struct fw_outq_entry *grown = fw_mem_resize(conns->pieces, sizeof *grown * wanted);
        if (grown == NULL)
            return false;
        conns->pieces = grown;
        conns->pieces_capacity = wanted;
    }
    return true;
}

/* Takes what one send may take: at least one piece, and as many as there are within its bounds. */
static unsigned take_pieces(struct fw_outq *outq, struct fw_outq_entry *pieces_out)
{
    if (FW_LIKELY(outq->more == NULL)) {
        fw_outq_take_only(outq, pieces_out);
        return 1;
    }
    unsigned count = 0;
    size_t bytes = 0;
    while (count < FW_ENGINE_PIECES_MAX && !fw_outq_empty(outq) &&
           (count == 0 || bytes + outq->first_count <= SEND_BYTES_MAX)) {
        fw_outq_take(outq, &pieces_out[count], 1);
        bytes += pieces_out[count++].bytes_count;
    }
    return count;
}

/* Sends what the wire's queue holds, as one send. */
static void launch(struct fw_conns *conns, struct fw_conn *conn, struct fw_outq *wire)
{
    struct fw_outq_entry *pieces = &conns->pieces[conns->pieces_count];
    unsigned count = take_pieces(wire, pieces);
    bool begun = conn->session.begun;
    struct iovec vectors[FW_ENGINE_PIECES_MAX];
    for (unsigned i = 0; i < count; i++)
        vectors[i] = (struct iovec){.iov_base = (void *)(uintptr_t)pieces[i].bytes,
                                    .iov_len = pieces[i].bytes_count};
    conn->batch = conns->batch;
    conn->flight = conns->flights_count & (FW_CONNS_SLOTS_MAX - 1); /* one for each slot */
    conns->flights[conns->flights_count++] = (struct fw_flight){.first = conns->pieces_count,
                                                                .count = count,
                                                                .begun = begun,
                                                                .behind = conn->session.behind};
    conns->pieces_count += count;
    /* Of what a TLS session owes, the wire has only a part: seal says what is begun. */
    bool all = wire == &conn->session.outq;
    conn->session.begun = !all && begun;
    conn->session.behind = !all && conn->session.behind &&
                           conn->session.outq.queued_bytes > conns->host.rules->output_slow_bytes;
    fw_engine_send(conns->engine, conn->slot, vectors, count);
}

static void close_conn(struct fw_conns *conns, struct fw_conn *conn, bool abort)
{
    conn->flags |= CONN_CLOSING;
    fw_wheel_cancel(&conns->wheel, conn->slot);
    fw_engine_close(conns->engine, conn->slot, abort && !(conn->flags & CONN_RESET));
}

/* Says FIN, and waits for the peer's or for so long; twice does nothing. */
static void linger(struct fw_conns *conns, struct fw_conn *conn, uint64_t ms)
{
    if (conn->flags & CONN_SHUT)
        return;
    conn->flags |= CONN_SHUT;
    fw_engine_shutdown(conns->engine, conn->slot);
    fw_conn_set_timer(&conn->session, conns->host.now_ms + ms);
}

/* Everything is sent: what the session waits for happens.
 *
 * returns      whether to look again next turn
 */
static bool flushed(struct fw_conns *conns, struct fw_conn *conn)
{
    struct fw_session *session = &conn->session;
    switch ((enum fw_session_end)session->end) {
    case FW_END_NOT:
        if (session->held != NULL || session->wants_drain || session->resumes ||
            session->answered || session->slow)
            fw_session_drained(session);
        steer(conns, conn);
        return false;
    case FW_END_LINGER:
        linger(conns, conn, FW_LINGER_MS);
        return false;
    case FW_END_LINGER_SLOW:
        linger(conns, conn, FW_CLOSE_MS);
        return false;
    case FW_END_AWAIT: /* its timer is the session's */
        return false;
    case FW_END_CLOSE:
    case FW_END_ABORT:
        close_conn(conns, conn, session->end == FW_END_ABORT);
        return false;
    }
    return false;
}

/* Does what a changed connection needs.
 *
 * returns      whether to look again next turn
 */
static bool flush(struct fw_conns *conns, struct fw_conn *conn)
{
    struct fw_session *session = &conn->session;
    if (FW_UNLIKELY((conn->flags & (CONN_LIVE | CONN_CLOSING)) != CONN_LIVE))
        return false;
    if (conn->batch == conns->batch) /* sent this turn already: one send at a time */
        return true;
    if (FW_UNLIKELY(session->phase == FW_PHASE_DONE)) {
        fw_session_leave(session);
        if (session->end == FW_END_ABORT)
            fw_outq_clear(&session->outq);
        else if (conn->flags & CONN_PAUSED)
            steer(conns, conn); /* the peer's end must be seen */
    }
    if (FW_UNLIKELY(conn->flags & CONN_TLS))
        fw_conn_tls_seal(conns, conn);
    struct fw_outq *wire = wire_of(conns, conn);
    if (fw_outq_empty(wire)) /* of a TLS handshake the session waits for the end */
        return fw_outq_empty(&session->outq) && flushed(conns, conn);
    if (FW_UNLIKELY(session->blocked)) {
        fw_session_weigh(session);
        steer(conns, conn);
        return false;
    }
    if (FW_UNLIKELY(!reserve_flight(conns))) {
        fw_session_finish(session, FW_END_ABORT);
        return true;
    }
    launch(conns, conn, wire);
    /* More pieces than one send takes, an end, or somebody who waits for the queue to be empty: the
     * program, input set aside, or the receiving that was paused. */
    return !fw_outq_empty(&session->outq) || !fw_outq_empty(wire) || session->end != FW_END_NOT ||
           session->held != NULL || session->wants_drain || session->resumes || session->answered ||
           session->slow || (conn->flags & CONN_PAUSED);
}

/* Arena bytes that stay queued beyond this turn move to the heap. */
static void keep_queued(struct fw_conns *conns, struct fw_conn *conn)
{
    int result = fw_outq_keep(&conn->session.outq);
    if (FW_UNLIKELY(conn->flags & CONN_TLS) && result == 0)
        result = fw_outq_keep(wire_of(conns, conn));
    if (result != 0)
        fw_session_finish(&conn->session, FW_END_ABORT);
}

/* Flushes every connection that was dirty when the turn ended. Those that want another look, and
 * those that a closing callback made dirty meanwhile, stay in the list. */
static void flush_dirty(struct fw_conns *conns)
{
    uint32_t count = conns->dirty_count;
    uint32_t again = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct fw_conn *conn = &conns->table[conns->dirty[i]];
        conn->flags &= (uint8_t)~CONN_DIRTY;
        if (flush(conns, conn) && !(conn->flags & CONN_DIRTY)) {
            conn->flags |= CONN_DIRTY;
            conns->dirty[again++] = conn->slot;
        }
        if (FW_UNLIKELY(!fw_outq_empty(&conn->session.outq) || (conn->flags & CONN_TLS)))
            keep_queued(conns, conn);
    }
    uint32_t added = conns->dirty_count - count;
    memmove(conns->dirty + again, conns->dirty + count, added * sizeof *conns->dirty);
    conns->dirty_count = again + added;
    for (uint32_t i = again; i < conns->dirty_count; i++)
        keep_queued(conns, &conns->table[conns->dirty[i]]);
}

/* ---- what the engine tells ------------------------------------------------------------------- */

static inline struct fw_conns *enter(void *owner)
{
    struct fw_conns *conns = owner;
    conns->host.now_ms = fw_engine_now_ms(conns->engine);
    return conns;
}

int fw_conn_begin_tls(struct fw_conn *conn, struct fw_tls_context *context, const char *host)
{
    int result = fw_conn_tls_begin(fw_conn_table(conn), conn, context, host);
    if (result == 0)
        conn->flags |= CONN_TLS;
    return result;
}

static void accept_tls(struct fw_conns *conns, struct fw_conn *conn)
{
    struct fw_tls_context *context = fw_conns_tls_take_context(conns);
    if (fw_conn_begin_tls(conn, context, NULL) != 0)
        fw_session_finish(&conn->session, FW_END_ABORT);
    fw_tls_context_drop(context);
}

/* The connection's own bytes come next. */
static void begin_layers(struct fw_conns *conns, struct fw_conn *conn)
{
    if (FW_UNLIKELY(conn->tag & FW_CONN_TAG_TLS))
        accept_tls(conns, conn);
}

static void on_adopted(void *owner, uint32_t slot, uint32_t tag)
{
    struct fw_conns *conns = enter(owner);
    struct fw_conn *conn = &conns->table[slot];
    fw_assert(slot < conns->slots_max && !(conn->flags & CONN_LIVE));
    /* A dirty flag of an earlier life says that the slot stands in the list already. */
    uint8_t dirty = conn->flags & CONN_DIRTY;
    *conn = (struct fw_conn){.slot = slot, .tag = tag, .flags = (uint8_t)(CONN_LIVE | dirty)};
    conns->live_count++;
    fw_session_init(&conn->session, &conns->host);
    if (FW_UNLIKELY(tag & FW_CONN_TAG_PROXIED))
        conn->flags |= CONN_PROXIED;
    else
        begin_layers(conns, conn);
    conns->on_opened(conns->owner, conn);
}

static void on_received(void *owner, uint32_t slot, uint8_t *bytes, size_t bytes_count)
{
    struct fw_conns *conns = enter(owner);
    struct fw_conn *conn = &conns->table[slot];
    if (FW_UNLIKELY(conn->flags & CONN_CLOSING))
        return;
    if (FW_UNLIKELY(conn->flags & CONN_PROXIED)) {
        size_t header_bytes = fw_conn_proxy_received(conns, conn, bytes, bytes_count);
        if (header_bytes == 0)
            return;
        conn->flags &= (uint8_t)~CONN_PROXIED;
        begin_layers(conns, conn);
        bytes += header_bytes;
        bytes_count -= header_bytes;
        if (bytes_count == 0)
            return;
    }
    if (FW_UNLIKELY(conn->flags & CONN_TLS)) {
        fw_conn_tls_received(conns, conn, bytes, bytes_count);
        return;
    }
    conns->receiving = true;
    fw_session_received(&conn->session, bytes, bytes_count);
    conns->receiving = false;
    if (FW_UNLIKELY(conn->session.held != NULL)) /* at once: a flood would fill memory until the
                                                    turn's end */
        steer(conns, conn);
}

static void on_ended(void *owner, uint32_t slot, int status)
{
    struct fw_conns *conns = enter(owner);
    struct fw_conn *conn = &conns->table[slot];
    if (conn->flags & CONN_CLOSING)
        return;
    bool told = conn->session.end != FW_END_NOT;
    if (status == -ECONNRESET)
        conn->flags |= CONN_RESET;
    fw_session_ended(&conn->session, status);
    if (FW_UNLIKELY(conn->flags & CONN_TLS) && !told)
        fw_conn_tls_hung_up(conns, conn);
}

static void on_unsent(void *owner, uint32_t slot, size_t sent_bytes, int status)
{
    struct fw_conns *conns = enter(owner);
    struct fw_conn *conn = &conns->table[slot];
    struct fw_session *session = &conn->session;
    if (conn->flags & CONN_CLOSING)
        return;
    fw_assert(conn->batch == conns->batch);
    struct fw_flight *flight = &conns->flights[conn->flight];
    if (status != -EAGAIN) {
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    struct fw_outq_entry *piece = &conns->pieces[flight->first];
    struct fw_outq_entry *end = piece + flight->count;
    while (piece < end && sent_bytes >= piece->bytes_count) {
        sent_bytes -= piece->bytes_count;
        piece++;
    }
    session->blocked = true;
    if (piece == end) /* all of it went, and then the socket was full */
        return;
    piece->bytes += sent_bytes;
    piece->bytes_count -= (uint32_t)sent_bytes;
    if (!(conn->flags & CONN_TLS))
        session->begun =
            sent_bytes > 0 || (flight->begun && piece == &conns->pieces[flight->first]);
    if (fw_outq_put_back(wire_of(conns, conn), piece, (unsigned)(end - piece)) != 0)
        fw_session_finish(session, FW_END_ABORT);
    for (; piece < end; piece++)
        piece->share = NULL; /* their references went back */
    session->behind = flight->behind;
    fw_session_weigh(session);
    steer(conns, conn);
}

static void on_settled(void *owner)
{
    struct fw_conns *conns = owner;
    drop_pieces(conns);
    fw_arena_reset(&conns->arena);
}

static void on_writable(void *owner, uint32_t slot)
{
    struct fw_conns *conns = enter(owner);
    struct fw_conn *conn = &conns->table[slot];
    conn->session.blocked = false;
    /* It took something, which is a sign of life: its pongs may stand behind input that we do not
     * take while it is blocked. */
    conn->session.active_ms = (uint32_t)conns->host.now_ms;
    conn->session.ping_sent = false;
    fw_conn_changed(&conn->session);
}

static void on_closed(void *owner, uint32_t slot)
{
    struct fw_conns *conns = enter(owner);
    struct fw_conn *conn = &conns->table[slot];
    fw_assert(conn->flags & CONN_LIVE);
    end_layers(conns, conn);
    fw_session_clear(&conn->session);
    fw_wheel_cancel(&conns->wheel, slot);
    /* It may stand in the dirty list still: that flag stays, and its flush finds it dead. */
    conn->flags &= CONN_DIRTY;
    conns->live_count--;
    conns->on_gone(conns->owner, conn);
}

static void on_wake(void *owner)
{
    struct fw_conns *conns = enter(owner);
    conns->on_wake(conns->owner);
}

static void ring(void *context, uint32_t slot)
{
    struct fw_conns *conns = context;
    struct fw_conn *conn = &conns->table[slot];
    if (FW_UNLIKELY(conn->flags & CONN_PROXIED) && conn->session.phase != FW_PHASE_DONE)
        fw_conn_proxy_timer(conns, conn);
    else if (!(conn->flags & CONN_TLS) || !fw_conn_tls_timer(conns, conn))
        fw_session_timer(&conn->session);
}

static void on_turn_end(void *owner)
{
    struct fw_conns *conns = enter(owner);
    fw_wheel_advance(&conns->wheel, conns->host.now_ms, RINGS_PER_TURN_MAX, ring, conns);
    conns->on_turn(conns->owner);
    if (conns->tls != NULL)
        fw_conns_tls_turn(conns);
    flush_dirty(conns);
    /* Nothing is lent, and what stays queued was moved to the heap. */
    if (conns->flights_count == 0)
        fw_arena_reset(&conns->arena);
}

const struct fw_engine_events fw_conns_events = {
    .on_adopted = on_adopted,
    .on_received = on_received,
    .on_ended = on_ended,
    .on_unsent = on_unsent,
    .on_settled = on_settled,
    .on_writable = on_writable,
    .on_closed = on_closed,
    .on_wake = on_wake,
    .on_turn_end = on_turn_end,
};
