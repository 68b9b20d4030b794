/* conn_tls.c: see conn_tls.h.
 *
 *   socket --> fw_tls_received --> fw_tls_plain --> scratch --> session
 *   session.outq --> fw_tls_send --> the turn's arena --> wire --> conn.c sends it
 *
 * Bytes of the wire are in the arena until the turn's sends are settled, and on the heap when the
 * socket does not take them: that is fw_outq's business, as for plain connections.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/conn/conn_tls.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <fanwire/status.h>
#include <string.h>
#include <sys/mman.h>

/* Pieces encrypted by one call: small messages share records. */
#define PIECES_MAX 64
/* A record's cost beside its plaintext, with room to spare: header 5, nonce 8, type 1, tag 16. */
#define RECORD_EXTRA_BYTES 32
/* Records decrypted before the session sees them: a message of 16 KiB, which its header pushes into
 * a second record, comes whole then, and nobody has to assemble it. Four stay in the cache. */
#define SCRATCH_RECORDS 4
/* The first room that a handshake's messages are given; most server flights fit the second. */
#define SINK_BYTES_MIN 1024

/* Neighbours in a line of handshakes; a ring with a head. */
struct link {
    struct link *next;
    struct link *last;
};

struct conn_tls {
    struct link link; /* in `waiting` or `begun`, or in none */
    struct fw_tls *tls;
    struct fw_outq wire;
    uint64_t since_ms; /* when it came to its line; the turn's time */
    uint32_t slot;
    bool begun;   /* counted in begun_count */
    bool open;    /* the handshake was done once */
    bool ended;   /* we said close_notify, or will never say it */
    bool counted; /* as a failure */
};

struct fw_conns_tls {
    struct fw_tls_place *place;
    struct conn_tls **by_slot; /* mapped: slots_max of them */
    struct link waiting;       /* whole ClientHellos, oldest first */
    struct link begun;         /* handshakes under way, oldest first */
    uint32_t begun_count;
    uint32_t begun_max;
    uint32_t begins_left; /* of this turn */
    struct fw_conns_tls_stats stats;
    bool delivering; /* the scratch, to a session */
    bool kept;       /* which queued some of it as it stands */
    uint8_t scratch[SCRATCH_RECORDS * FW_TLS_PLAIN_BYTES_MAX];
};

/* A sink in the turn's arena. */
struct arena_sink {
    struct fw_tls_sink sink; /* first: grow gets its address */
    struct fw_arena *arena;
};

/* ---- lines ----------------------------------------------------------------------------------- */

static void line_init(struct link *head)
{
    head->next = head;
    head->last = head;
}

static bool line_empty(const struct link *head)
{
    return head->next == head;
}

static void line_append(struct link *head, struct link *link)
{
    link->last = head->last;
    link->next = head;
    head->last->next = link;
    head->last = link;
}

static void line_leave(struct link *link)
{
    if (link->next == NULL)
        return;
    link->last->next = link->next;
    link->next->last = link->last;
    *link = (struct link){NULL, NULL};
}

static struct conn_tls *line_first(const struct link *head)
{
    return (struct conn_tls *)(void *)head->next;
}
static_assert(offsetof(struct conn_tls, link) == 0, "a link's address is its connection's");

/* ---- the worker's part ----------------------------------------------------------------------- */

int fw_conns_tls_create(struct fw_conns *conns, struct fw_tls_place *place)
{
    struct fw_conns_tls *all = fw_mem_zero(sizeof *all);
    if (all == NULL)
        return -ENOMEM;
    void *table = mmap(NULL, sizeof(struct conn_tls *) * conns->slots_max, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED) {
        fw_mem_free(all);
        return -ENOMEM;
    }
    all->place = place;
    all->by_slot = table;
    all->begun_max = conns->slots_max / FW_TLS_BEGUN_SHARE;
    if (all->begun_max < FW_TLS_BEGUN_MIN)
        all->begun_max = FW_TLS_BEGUN_MIN;
    all->begins_left = FW_TLS_BEGINS_PER_TURN;
    line_init(&all->waiting);
    line_init(&all->begun);
    conns->tls = all;
    return 0;
}

void fw_conns_tls_destroy(struct fw_conns *conns)
{
    if (conns->tls == NULL)
        return;
    fw_assert(conns->tls->stats.conns_count == 0);
    munmap(conns->tls->by_slot, sizeof(struct conn_tls *) * conns->slots_max);
    fw_mem_free(conns->tls);
    conns->tls = NULL;
}

struct fw_conns_tls_stats fw_conns_tls_stats(const struct fw_conns *conns)
{
    return conns->tls == NULL ? (struct fw_conns_tls_stats){0} : conns->tls->stats;
}

static inline struct conn_tls *of(const struct fw_conns *conns, const struct fw_conn *conn)
{
    return conns->tls->by_slot[conn->slot];
}

const struct fw_tls *fw_conn_tls(const struct fw_conn *conn)
{
    const struct fw_conns *conns = fw_conn_table(conn);
    const struct conn_tls *self = conns->tls == NULL ? NULL : of(conns, conn);
    return self == NULL ? NULL : self->tls;
}

struct fw_outq *fw_conn_tls_wire(const struct fw_conns *conns, const struct fw_conn *conn)
{
    return &of(conns, conn)->wire;
}

/* ---- into the arena -------------------------------------------------------------------------- */

static bool grow(struct fw_tls_sink *sink, size_t more)
{
    struct arena_sink *self = (struct arena_sink *)(void *)sink;
    size_t capacity = sink->capacity < SINK_BYTES_MIN ? SINK_BYTES_MIN : sink->capacity * 2;
    if (capacity < sink->count + more)
        capacity = sink->count + more;
    uint8_t *bytes = fw_arena_reserve(self->arena, capacity);
    if (bytes == NULL)
        return false;
    if (sink->count > 0)
        memcpy(bytes, sink->bytes, sink->count);
    sink->bytes = bytes;
    sink->capacity = capacity;
    return true;
}

static struct arena_sink open_sink(struct fw_conns *conns)
{
    return (struct arena_sink){.sink = {.grow = grow}, .arena = &conns->arena};
}

/* Queues what a sink has. Nothing was reserved after it. */
static int put_on_wire(struct conn_tls *self, struct arena_sink *from)
{
    struct fw_tls_sink *sink = &from->sink;
    if (sink->capacity == 0)
        return 0;
    fw_arena_give_back(from->arena, sink->capacity - sink->count);
    return sink->count == 0 ? 0 : fw_outq_push(&self->wire, sink->bytes, sink->count, NULL);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void leave_lines(struct fw_conns *conns, struct conn_tls *self)
{
    line_leave(&self->link);
    if (self->begun)
        conns->tls->begun_count--;
    self->begun = false;
}

static void count_failed(struct fw_conns *conns, struct conn_tls *self)
{
    if (!self->counted)
        conns->tls->stats.failed++;
    self->counted = true;
    self->ended = true;
    leave_lines(conns, self);
}

/* What a browser or curl shows to somebody who typed http:// where https:// was meant. */
static int answer_plain_http(struct fw_conns *conns, struct conn_tls *self, const uint8_t *bytes)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
                               "Content-Length: 56\r\nConnection: close\r\n\r\n"
                               "this port speaks TLS only: use https:// or wss:// here\r\n";
    if (bytes[0] < 'A' || bytes[0] > 'Z')
        return 0;
    uint8_t *copy = fw_arena_reserve(&conns->arena, sizeof text - 1);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, text, sizeof text - 1);
    return fw_outq_push(&self->wire, copy, sizeof text - 1, NULL);
}

/* The TLS session has failed: its last word is on the wire, nothing of the session's can follow. */
static void fail(struct fw_conns *conns, struct fw_conn *conn, int status)
{
    struct conn_tls *self = of(conns, conn);
    struct fw_session *session = &conn->session;
    char why[FW_TLS_WHY_BYTES];
    fw_tls_why(self->tls, why, sizeof why);
    count_failed(conns, self);
    fw_log_peer(conns->host.log, conns->host.now_ms, FW_LOG_WARN, "TLS %s: %s",
                self->open ? "connection ended" : "handshake refused", why);
    fw_outq_clear(&session->outq);
    fw_session_blame(session, status);
    fw_session_finish(session, status == -ENOMEM ? FW_END_ABORT : FW_END_LINGER);
}

/* Too late, or in the way of others. */
static void drop_handshake(struct fw_conns *conns, struct conn_tls *self, const char *why)
{
    fw_log_peer(conns->host.log, conns->host.now_ms, FW_LOG_WARN, "TLS handshake dropped: %s", why);
    count_failed(conns, self);
    fw_session_finish(&conns->table[self->slot].session, FW_END_ABORT);
}

/* ---- in -------------------------------------------------------------------------------------- */

static void opened(struct fw_conns *conns, struct fw_conn *conn, struct conn_tls *self)
{
    self->open = true;
    leave_lines(conns, self);
    conns->tls->stats.handshakes++;
    if (fw_tls_resumed(self->tls))
        conns->tls->stats.resumed++;
    if (!fw_session_is_client(&conn->session)) /* a client's time is for both handshakes */
        fw_conn_set_timer(&conn->session,
                          conns->host.now_ms + conns->host.rules->handshake_timeout_ms);
    fw_conn_changed(&conn->session); /* what was queued meanwhile */
}

/* Decrypts the next record behind what the scratch has; what TLS has to say goes to the wire, also
 * before an error. */
static ssize_t pull(struct fw_conns *conns, struct fw_conn *conn, struct conn_tls *self,
                    size_t scratch_bytes)
{
    struct arena_sink sink = open_sink(conns);
    ssize_t got = fw_tls_plain(self->tls, conns->tls->scratch + scratch_bytes,
                               sizeof conns->tls->scratch - scratch_bytes, &sink.sink);
    int queued = put_on_wire(self, &sink);
    if (sink.sink.count > 0)
        fw_conn_changed(&conn->session);
    enum fw_tls_state state = fw_tls_state(self->tls);
    if (!self->open && (state == FW_TLS_OPEN || state == FW_TLS_CLOSED)) /* Finished, and the end */
        opened(conns, conn, self);
    return queued != 0 ? queued : got;
}

/* Decrypts what there is, as long as the scratch has room for a record.
 *
 * bytes_out    of the scratch, also before an error
 * returns      more than 0: there may be more; 0: not; or what fw_tls_plain said
 */
static ssize_t fill_scratch(struct fw_conns *conns, struct fw_conn *conn, struct conn_tls *self,
                            size_t *bytes_out)
{
    size_t bytes = 0;
    ssize_t got;
    do {
        got = pull(conns, conn, self, bytes);
        if (got > 0)
            bytes += (size_t)got;
    } while (got > 0 && sizeof conns->tls->scratch - bytes >= FW_TLS_PLAIN_BYTES_MAX);
    *bytes_out = bytes;
    return got;
}

/* Gives the session what the scratch has. What it echoes from there is encrypted at once, out of
 * the cache; what TLS may not encrypt yet moves to the heap, for the scratch is used again. */
static void deliver(struct fw_conns *conns, struct fw_conn *conn, size_t bytes_count)
{
    struct fw_conns_tls *all = conns->tls;
    struct fw_session *session = &conn->session;
    all->delivering = true;
    fw_session_received(session, all->scratch, bytes_count);
    all->delivering = false;
    if (!all->kept)
        return;
    all->kept = false;
    if (session->end == FW_END_NOT) /* else its last words are the flush's business */
        fw_conn_tls_seal(conns, conn);
    if (fw_outq_keep(&session->outq) != 0)
        fw_session_finish(session, FW_END_ABORT);
}

/* Gives the session all that can be decrypted. */
static void run(struct fw_conns *conns, struct fw_conn *conn)
{
    struct conn_tls *self = of(conns, conn);
    struct fw_session *session = &conn->session;
    ssize_t got;
    do {
        size_t bytes;
        got = fill_scratch(conns, conn, self, &bytes);
        if (bytes > 0)
            deliver(conns, conn, bytes);
        if (bytes > 0 && session->phase == FW_PHASE_DONE) /* the rest is for nobody */
            return;
        if (got == FW_ERR_TLS_ENDED)
            fw_session_ended(session, 0);
        else if (got < 0)
            fail(conns, conn, (int)got);
    } while (got > 0);
}

bool fw_conn_tls_keep(struct fw_conns *conns)
{
    if (conns->tls->delivering)
        conns->tls->kept = true;
    return conns->tls->delivering;
}

/* How long until there is room for one more handshake: until the oldest has had its time, which is
 * shorter once the first in line has waited for long. */
static uint64_t room_ms(const struct fw_conns *conns)
{
    const struct fw_conns_tls *all = conns->tls;
    if (all->begun_count < all->begun_max)
        return 0;
    uint64_t since_ms = line_first(&all->begun)->since_ms;
    uint64_t until_ms = since_ms + FW_TLS_BEGUN_MS;
    if (!line_empty(&all->waiting)) {
        uint64_t hurry_ms = line_first(&all->waiting)->since_ms + FW_TLS_LINE_MS;
        if (hurry_ms < since_ms + FW_TLS_BEGUN_LEAST_MS)
            hurry_ms = since_ms + FW_TLS_BEGUN_LEAST_MS;
        until_ms = hurry_ms < until_ms ? hurry_ms : until_ms;
    }
    return until_ms > conns->host.now_ms ? until_ms - conns->host.now_ms : 0;
}

/* Makes room for one more handshake; false when the oldest is too young to go. */
static bool make_room(struct fw_conns *conns)
{
    struct fw_conns_tls *all = conns->tls;
    if (room_ms(conns) > 0)
        return false;
    if (all->begun_count == all->begun_max)
        drop_handshake(conns, line_first(&all->begun), "it stood still while others waited");
    return true;
}

static void wait_in_line(struct fw_conns *conns, struct conn_tls *self)
{
    line_append(&conns->tls->waiting, &self->link);
    self->since_ms = conns->host.now_ms;
}

/* The expensive step. */
static void begin(struct fw_conns *conns, struct conn_tls *self)
{
    struct fw_conns_tls *all = conns->tls;
    line_leave(&self->link);
    line_append(&all->begun, &self->link);
    self->begun = true;
    self->since_ms = conns->host.now_ms;
    all->begun_count++;
    all->begins_left--;
    run(conns, &conns->table[self->slot]);
}

void fw_conn_tls_received(struct fw_conns *conns, struct fw_conn *conn, const uint8_t *bytes,
                          size_t bytes_count)
{
    struct conn_tls *self = of(conns, conn);
    struct fw_conns_tls *all = conns->tls;
    if (conn->session.phase == FW_PHASE_DONE)
        return;
    int status = fw_tls_received(self->tls, bytes, bytes_count);
    if (status == FW_ERR_TLS_NOT_TLS && answer_plain_http(conns, self, bytes) != 0)
        status = -ENOMEM;
    if (status != 0) {
        (void)pull(conns, conn, self, 0); /* the alert that says so */
        fail(conns, conn, status);
        return;
    }
    enum fw_tls_state state = fw_tls_state(self->tls);
    if (FW_LIKELY(state != FW_TLS_HELLO && state != FW_TLS_HELLO_READY)) {
        run(conns, conn);
    } else if (state == FW_TLS_HELLO_READY && self->link.next == NULL) {
        if (line_empty(&all->waiting) && all->begins_left > 0 && make_room(conns))
            begin(conns, self);
        else
            wait_in_line(conns, self);
    }
}

void fw_conns_tls_turn(struct fw_conns *conns)
{
    struct fw_conns_tls *all = conns->tls;
    while (!line_empty(&all->waiting) && all->begins_left > 0 && make_room(conns))
        begin(conns, line_first(&all->waiting));
    all->begins_left = FW_TLS_BEGINS_PER_TURN;
}

int fw_conns_tls_wait_ms(const struct fw_conns *conns)
{
    return line_empty(&conns->tls->waiting) ? -1 : (int)room_ms(conns);
}

bool fw_conn_tls_timer(struct fw_conns *conns, struct fw_conn *conn)
{
    struct conn_tls *self = of(conns, conn);
    if (self->open || conn->session.phase == FW_PHASE_DONE || fw_session_is_client(&conn->session))
        return false;
    drop_handshake(conns, self, "it took more than 10 s");
    return true;
}

/* ---- out ------------------------------------------------------------------------------------- */

/* Encrypts what stands in front of the session's queue, up to so many bytes. */
static int seal_some(struct fw_conns *conns, struct fw_conn *conn, size_t bytes_max)
{
    struct conn_tls *self = of(conns, conn);
    struct fw_outq *outq = &conn->session.outq;
    struct iovec pieces[PIECES_MAX];
    unsigned count = fw_outq_peek(outq, pieces, PIECES_MAX, bytes_max);
    size_t bytes = 0;
    for (unsigned i = 0; i < count; i++)
        bytes += pieces[i].iov_len;

    struct arena_sink sink = open_sink(conns);
    size_t records = bytes / FW_TLS_PLAIN_BYTES_MAX + 1 + count;
    int status = grow(&sink.sink, bytes + records * RECORD_EXTRA_BYTES)
                     ? fw_tls_send(self->tls, pieces, count, &sink.sink)
                     : -ENOMEM;
    if (status == 0)
        status = put_on_wire(self, &sink);
    conn->session.begun = fw_outq_skip(outq, bytes);
    return status;
}

/* Says close_notify: whoever reads our FIN knows that nothing was cut off. */
static int say_end(struct fw_conns *conns, struct conn_tls *self)
{
    struct arena_sink sink = open_sink(conns);
    self->ended = true;
    int status = fw_tls_end(self->tls, &sink.sink);
    int queued = put_on_wire(self, &sink);
    return status != 0 ? status : queued;
}

void fw_conn_tls_hung_up(struct fw_conns *conns, struct fw_conn *conn)
{
    const struct fw_session *session = &conn->session;
    if (session->end != FW_END_NOT && fw_outq_empty(&session->outq))
        of(conns, conn)->ended = true;
}

static int seal(struct fw_conns *conns, struct fw_conn *conn)
{
    struct conn_tls *self = of(conns, conn);
    struct fw_session *session = &conn->session;
    int status = 0;
    while (status == 0 && !fw_outq_empty(&session->outq) &&
           self->wire.queued_bytes < FW_TLS_AHEAD_BYTES)
        status = seal_some(conns, conn, FW_TLS_AHEAD_BYTES - self->wire.queued_bytes);
    /* Also before the peer's end is awaited: it is told while it still reads. */
    bool last = session->end != FW_END_NOT;
    if (status == 0 && last && fw_outq_empty(&session->outq))
        status = say_end(conns, self);
    return status;
}

void fw_conn_tls_seal(struct fw_conns *conns, struct fw_conn *conn)
{
    struct conn_tls *self = of(conns, conn);
    struct fw_session *session = &conn->session;
    if (FW_UNLIKELY(session->end == FW_END_ABORT)) {
        fw_outq_clear(&self->wire);
        return;
    }
    if (session->blocked)
        return;
    if (FW_UNLIKELY(!self->open || self->ended)) {
        /* Before the handshake is done the queue waits, and a session that is over has nothing to
         * say; after the end nobody may hear more. */
        if (self->ended || session->phase == FW_PHASE_DONE)
            fw_outq_clear(&session->outq);
        return;
    }
    if (FW_UNLIKELY(seal(conns, conn) != 0)) {
        fw_outq_clear(&self->wire);
        fw_outq_clear(&session->outq);
        fw_session_finish(session, FW_END_ABORT);
    }
}

bool fw_conn_tls_full(const struct fw_conns *conns, const struct fw_conn *conn)
{
    return conn->session.blocked && of(conns, conn)->wire.queued_bytes > 2 * FW_TLS_AHEAD_BYTES;
}

/* ---- life ------------------------------------------------------------------------------------ */

int fw_conn_tls_begin(struct fw_conns *conns, struct fw_conn *conn, struct fw_tls_context *context,
                      const char *host)
{
    struct conn_tls *self = fw_mem_zero(sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    int status = fw_tls_create(context, host, NULL, &self->tls);
    if (status != 0) {
        fw_mem_free(self);
        return status;
    }
    self->slot = conn->slot;
    fw_outq_init(&self->wire);
    conns->tls->by_slot[conn->slot] = self;
    conns->tls->stats.conns_count++;
    if (fw_tls_state(self->tls) != FW_TLS_HELLO)
        run(conns, conn); /* a client speaks first */
    else
        fw_conn_set_timer(&conn->session, conns->host.now_ms + FW_TLS_HANDSHAKE_MS);
    return 0;
}

struct fw_tls_context *fw_conns_tls_take_context(const struct fw_conns *conns)
{
    return fw_tls_place_take(conns->tls->place);
}

void fw_conn_tls_end(struct fw_conns *conns, struct fw_conn *conn)
{
    struct conn_tls *self = of(conns, conn);
    if (!self->open)
        count_failed(conns, self);
    leave_lines(conns, self);
    conns->tls->by_slot[conn->slot] = NULL;
    conns->tls->stats.conns_count--;
    fw_outq_clear(&self->wire);
    fw_tls_destroy(self->tls);
    fw_mem_free(self);
}
