/* engine_rig.c: the rig of engine_rig.h: its engines and their owners; peers are in
 * engine_rig_peer.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/engine_rig.h"

#include "base/limits.h"
#include <fanwire/status.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char rig_story[64];

static pthread_t test_thread;

void rig_failed(const char *file, int line, const char *fact, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    /* On the test's thread Criterion says it; elsewhere its jump out of the test would be
     * undefined, so the process says it and dies. */
    if (pthread_equal(test_thread, pthread_self()))
        cr_assert(false, "%s:%d: %s: %s %s", file, line, fact, message, rig_story);
    fprintf(stderr, "%s:%d: %s: %s %s\n", file, line, fact, message, rig_story);
    abort();
}

void rig_needs(enum fw_engine_kind kind)
{
    char why[256];
    test_thread = pthread_self();
    if (fw_engine_choose(kind, why, sizeof why) != (int)kind)
        cr_skip_test("%s: %s", fw_engine_kind_name(kind), why);
}

/* ---- what a worker is told ------------------------------------------------------------------- */

/* What holds whenever the engine tells anything. */
static void told(struct rig_worker *worker, const char *event)
{
    MUST(worker->in_turn, "%s was told outside of a turn", event);
    MUST(!worker->in_call, "%s was told from inside a call of the owner's", event);
    MUST(pthread_equal(worker->thread, pthread_self()), "%s was told on a wrong thread", event);
}

/* What holds whenever it tells something of a connection. */
static struct rig_conn *told_of(struct rig_worker *worker, uint32_t slot, const char *event)
{
    told(worker, event);
    MUST(slot < worker->slots_max, "%s: slot %u of %u", event, slot, worker->slots_max);
    struct rig_conn *conn = &worker->conns[slot];
    MUST(conn->open, "%s: slot %u is not open", event, slot);
    MUST(!conn->closing, "%s: slot %u was closed; only on_closed may come", event, slot);
    return conn;
}

static void run_hook(struct rig_worker *worker, enum rig_event event, uint32_t slot)
{
    if (worker->hook != NULL)
        worker->hook(worker, event, slot);
}

static void on_adopted(void *owner, uint32_t slot, uint32_t tag)
{
    struct rig_worker *worker = owner;
    told(worker, "on_adopted");
    MUST(!worker->turn_ended, "on_adopted came after on_turn_end");
    MUST(slot < worker->slots_max, "on_adopted: slot %u of %u", slot, worker->slots_max);
    MUST(!worker->conns[slot].open, "on_adopted: slot %u is still in use", slot);
    worker->conns[slot] = (struct rig_conn){.open = true, .tag = tag};
    worker->open_count++;
    worker->adopted_count++;
    run_hook(worker, RIG_ADOPTED, slot);
}

static void check_octets(const uint8_t *bytes, size_t bytes_count, uint32_t tag, uint64_t position,
                         const char *when)
{
    for (size_t i = 0; i < bytes_count; i++) {
        uint8_t wanted = rig_octet(tag, true, position + i);
        MUST(bytes[i] == wanted, "%s: octet %llu of peer %u is %02x, not %02x", when,
             (unsigned long long)(position + i), tag, bytes[i], wanted);
    }
}

/* Whether the engine lets these bytes stay; it is asked twice, as a handler may. */
static bool keep(struct rig_worker *worker, const struct rig_conn *conn, const uint8_t *bytes,
                 size_t bytes_count)
{
    bool kept = worker->keep && worker->kept_count < RIG_KEPT_MAX && fw_engine_keep(worker->engine);
    if (!kept) {
        worker->unkept_deliveries++;
        return false;
    }
    MUST(fw_engine_keep(worker->engine), "what is kept is kept");
    worker->kept[worker->kept_count++] =
        (struct rig_kept){bytes, bytes_count, conn->tag, conn->received_bytes};
    worker->kept_deliveries++;
    return true;
}

static void on_received(void *owner, uint32_t slot, uint8_t *bytes, size_t bytes_count)
{
    struct rig_worker *worker = owner;
    struct rig_conn *conn = told_of(worker, slot, "on_received");
    MUST(!worker->turn_ended, "on_received came after on_turn_end");
    MUST(!conn->ended, "on_received: slot %u has ended", slot);
    MUST(bytes_count > 0, "on_received: slot %u, no bytes", slot);
    check_octets(bytes, bytes_count, conn->tag, conn->received_bytes, "on_received");
    if (!keep(worker, conn, bytes, bytes_count))
        memset(bytes, 0xdd, bytes_count); /* they are writable, and ours only until we return */
    conn->received_bytes += bytes_count;
    worker->received_bytes += bytes_count;
    if (worker->echo)
        conn->owed_bytes += bytes_count;
    run_hook(worker, RIG_RECEIVED, slot);
}

static void on_ended(void *owner, uint32_t slot, int status)
{
    struct rig_worker *worker = owner;
    struct rig_conn *conn = told_of(worker, slot, "on_ended");
    MUST(!worker->turn_ended, "on_ended came after on_turn_end");
    MUST(!conn->ended, "on_ended: slot %u was told twice", slot);
    MUST(status <= 0, "on_ended: slot %u, status %d", slot, status);
    conn->ended = true;
    conn->end_status = status;
    run_hook(worker, RIG_ENDED, slot);
}

static struct rig_lent *find_lent(struct rig_worker *worker, uint32_t slot, uint32_t tag)
{
    for (size_t i = 0; i < worker->lents_count; i++) {
        struct rig_lent *lent = &worker->lents[i];
        if (lent->slot == slot && lent->tag == tag)
            return lent;
    }
    return NULL;
}

static void on_unsent(void *owner, uint32_t slot, size_t sent_bytes, int status)
{
    struct rig_worker *worker = owner;
    struct rig_conn *conn = told_of(worker, slot, "on_unsent");
    struct rig_lent *lent = find_lent(worker, slot, conn->tag);
    MUST(lent != NULL, "on_unsent: slot %u has no send", slot);
    MUST(!lent->reported, "on_unsent: slot %u was told twice of one send", slot);
    MUST(sent_bytes < lent->bytes_count, "on_unsent: slot %u, %zu of %zu octets", slot, sent_bytes,
         lent->bytes_count);
    MUST(status < 0, "on_unsent: slot %u, status %d", slot, status);
    lent->reported = true;
    conn->sent_bytes += sent_bytes;
    conn->unsent_count++;
    conn->unsent_status = status;
    conn->blocked = status == -EAGAIN;
    conn->broken = status != -EAGAIN;
    run_hook(worker, RIG_UNSENT, slot);
}

/* What was kept was ours until now, and so nobody wrote there. */
static void check_kept(struct rig_worker *worker)
{
    for (size_t i = 0; i < worker->kept_count; i++) {
        const struct rig_kept *kept = &worker->kept[i];
        check_octets(kept->bytes, kept->bytes_count, kept->tag, kept->position, "kept");
    }
    worker->kept_count = 0;
}

/* The lent bytes are ours again: spoiled, so that a later look at them shows, and freed. */
static void on_settled(void *owner)
{
    struct rig_worker *worker = owner;
    told(worker, "on_settled");
    check_kept(worker);
    size_t count = worker->lents_count;
    for (size_t i = 0; i < count; i++) {
        struct rig_lent *lent = &worker->lents[i];
        struct rig_conn *conn = &worker->conns[lent->slot];
        if (conn->open && conn->tag == lent->tag && conn->lent) {
            conn->lent = false;
            if (!lent->reported)
                conn->sent_bytes += lent->bytes_count;
        }
        memset(lent->bytes, 0xee, lent->bytes_count);
        free(lent->bytes);
    }
    worker->lents_count = 0;
    worker->settlements++;
    run_hook(worker, RIG_SETTLED, 0);
}

static void on_writable(void *owner, uint32_t slot)
{
    struct rig_worker *worker = owner;
    struct rig_conn *conn = told_of(worker, slot, "on_writable");
    MUST(!worker->turn_ended, "on_writable came after on_turn_end");
    MUST(conn->blocked, "on_writable: slot %u was not blocked", slot);
    conn->blocked = false;
    conn->writable_count++;
    run_hook(worker, RIG_WRITABLE, slot);
}

static void on_closed(void *owner, uint32_t slot)
{
    struct rig_worker *worker = owner;
    told(worker, "on_closed");
    MUST(slot < worker->slots_max, "on_closed: slot %u of %u", slot, worker->slots_max);
    MUST(worker->conns[slot].open, "on_closed: slot %u is closed already", slot);
    MUST(worker->conns[slot].closing, "on_closed: slot %u was not closed by its owner", slot);
    worker->conns[slot].open = false;
    worker->open_count--;
    worker->closed_count++;
    run_hook(worker, RIG_CLOSED, slot);
}

static void on_wake(void *owner)
{
    struct rig_worker *worker = owner;
    told(worker, "on_wake");
    MUST(!worker->turn_ended, "on_wake came after on_turn_end");
    worker->wakes++;
    run_hook(worker, RIG_WAKE, 0);
}

/* Sends what a connection owes, once, in pieces whose array is spoiled right after the call. */
static void send_owed(struct rig_worker *worker, uint32_t slot)
{
    struct rig_conn *conn = &worker->conns[slot];
    uint64_t left = conn->owed_bytes - conn->sent_bytes;
    size_t count = left < worker->send_bytes_max ? (size_t)left : worker->send_bytes_max;
    uint8_t *bytes = malloc(count);
    MUST(bytes != NULL, "out of memory");
    for (size_t i = 0; i < count; i++)
        bytes[i] = rig_octet(conn->tag, worker->echo, conn->sent_bytes + i);

    struct iovec pieces[FW_ENGINE_PIECES_MAX];
    unsigned pieces_count = count < worker->pieces_count ? (unsigned)count : worker->pieces_count;
    size_t piece = count / pieces_count;
    for (unsigned i = 0; i < pieces_count; i++) {
        bool last = i + 1 == pieces_count;
        pieces[i].iov_base = bytes + piece * i;
        pieces[i].iov_len = last ? count - piece * i : piece;
    }
    worker->lents[worker->lents_count++] = (struct rig_lent){bytes, count, slot, conn->tag, false};
    conn->lent = true;
    worker->in_call = true;
    fw_engine_send(worker->engine, slot, pieces, pieces_count);
    worker->in_call = false;
    memset(pieces, 0xff, sizeof pieces);
}

static void on_turn_end(void *owner)
{
    struct rig_worker *worker = owner;
    told(worker, "on_turn_end");
    MUST(!worker->turn_ended, "on_turn_end came twice in a turn");
    worker->turn_ended = true;
    for (uint32_t slot = 0; slot < worker->slots_max; slot++) {
        const struct rig_conn *conn = &worker->conns[slot];
        if (conn->open && !conn->closing && !conn->blocked && !conn->broken && !conn->shut &&
            !conn->lent && conn->owed_bytes > conn->sent_bytes)
            send_owed(worker, slot);
    }
    run_hook(worker, RIG_TURN_END, 0);
}

static const struct fw_engine_events worker_events = {
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

/* ---- what the acceptor is told --------------------------------------------------------------- */

static void hold(struct rig *rig, uint32_t ticket)
{
    MUST(rig->held_count < RIG_TICKETS_MAX, "more than %d tickets", RIG_TICKETS_MAX);
    rig->held[rig->held_count++] = ticket;
}

static void on_accepted(void *owner, uint32_t ticket, const struct sockaddr *peer,
                        socklen_t peer_bytes)
{
    struct rig *rig = owner;
    MUST(!rig->acceptor_in_call, "on_accepted was told from inside a call of the owner's");
    MUST(peer->sa_family == rig->address.at.any.sa_family, "on_accepted: family %u",
         peer->sa_family);
    uint32_t tag = 0;
    if (peer->sa_family == AF_INET) {
        struct sockaddr_in in4;
        MUST(peer_bytes == sizeof in4, "on_accepted: an address of %u octets", peer_bytes);
        memcpy(&in4, peer, sizeof in4);
        tag = ntohs(in4.sin_port);
    }
    rig->accepted_count++;
    MUST(ticket < RIG_TICKETS_MAX, "on_accepted: ticket %u", ticket);
    rig->ticket_tags[ticket] = tag;
    hold(rig, ticket);
    if (!rig->options.hold_tickets)
        rig_hand_over(rig, &rig->workers[rig->next_worker++ % rig->workers_count]);
}

static void on_accept_paused(void *owner, int status)
{
    struct rig *rig = owner;
    MUST(!rig->acceptor_in_call, "on_accept_paused was told from inside a call of the owner's");
    rig->accept_pauses++;
    rig->accept_status = status;
}

static void on_handed_over(void *owner, uint32_t ticket, int status)
{
    struct rig *rig = owner;
    MUST(!rig->acceptor_in_call, "on_handed_over was told from inside a call of the owner's");
    MUST(status == 0 || status == -ENFILE, "on_handed_over: ticket %u, %s", ticket,
         fw_status_name(status));
    if (status == 0) {
        rig->handed_count++;
    } else {
        rig->full_count++;
        hold(rig, ticket);
    }
}

static const struct fw_engine_events acceptor_events = {
    .on_accepted = on_accepted,
    .on_accept_paused = on_accept_paused,
    .on_handed_over = on_handed_over,
};

static uint32_t take_held(struct rig *rig)
{
    MUST(rig->held_count > 0, "no ticket is held");
    uint32_t ticket = rig->held[0];
    rig->held_count--;
    memmove(rig->held, rig->held + 1, rig->held_count * sizeof *rig->held);
    return ticket;
}

void rig_hand_over(struct rig *rig, struct rig_worker *worker)
{
    uint32_t ticket = take_held(rig);
    rig->acceptor_in_call = true;
    fw_engine_hand_over(rig->acceptor, ticket, worker->engine, rig->ticket_tags[ticket]);
    rig->acceptor_in_call = false;
}

void rig_refuse(struct rig *rig)
{
    uint32_t ticket = take_held(rig);
    rig->acceptor_in_call = true;
    fw_engine_refuse(rig->acceptor, ticket);
    rig->acceptor_in_call = false;
}

/* ---- the workers' owner ---------------------------------------------------------------------- */

struct rig_conn *rig_conn(struct rig_worker *worker, uint32_t slot)
{
    return &worker->conns[slot];
}

/* A connection that the test may call the engine for. */
static struct rig_conn *callable(struct rig_worker *worker, uint32_t slot)
{
    struct rig_conn *conn = &worker->conns[slot];
    MUST(slot < worker->slots_max && conn->open && !conn->closing, "the test's slot %u is not open",
         slot);
    return conn;
}

void rig_owe(struct rig_worker *worker, uint32_t slot, uint64_t bytes_count)
{
    callable(worker, slot)->owed_bytes += bytes_count;
}

void rig_pause(struct rig_worker *worker, uint32_t slot)
{
    callable(worker, slot);
    worker->in_call = true;
    fw_engine_pause(worker->engine, slot);
    worker->in_call = false;
}

void rig_resume(struct rig_worker *worker, uint32_t slot)
{
    callable(worker, slot);
    worker->in_call = true;
    fw_engine_resume(worker->engine, slot);
    worker->in_call = false;
}

void rig_shutdown(struct rig_worker *worker, uint32_t slot)
{
    callable(worker, slot)->shut = true;
    worker->in_call = true;
    fw_engine_shutdown(worker->engine, slot);
    worker->in_call = false;
}

void rig_close(struct rig_worker *worker, uint32_t slot, bool abort)
{
    callable(worker, slot)->closing = true;
    worker->in_call = true;
    fw_engine_close(worker->engine, slot, abort);
    worker->in_call = false;
}

void rig_send_now(struct rig_worker *worker, uint32_t slot)
{
    callable(worker, slot);
    send_owed(worker, slot);
}

struct rig_conn *rig_find(struct rig *rig, uint32_t tag, struct rig_worker **worker_out,
                          uint32_t *slot_out)
{
    for (unsigned i = 0; i < rig->workers_count; i++) {
        struct rig_worker *worker = &rig->workers[i];
        for (uint32_t slot = 0; slot < worker->slots_max; slot++) {
            struct rig_conn *conn = &worker->conns[slot];
            if (!conn->open || conn->closing || conn->tag != tag)
                continue;
            *worker_out = worker;
            *slot_out = slot;
            return conn;
        }
    }
    return NULL;
}

/* ---- the rig --------------------------------------------------------------------------------- */

static uint32_t or_else(uint32_t value, uint32_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static void create_engine(struct rig_worker *worker)
{
    const struct rig_options *options = &worker->rig->options;
    const struct fw_engine_options wanted = {
        .slots_max = worker->slots_max,
        .receive_bytes = or_else(options->receive_bytes, FW_RECEIVE_BYTES_DEFAULT),
        .owner = worker,
        .events = &worker_events,
    };
    worker->thread = pthread_self();
    int status = fw_engine_create(worker->rig->kind, &wanted, &worker->engine);
    MUST(status == 0, "fw_engine_create: %s", fw_status_name(status));
}

static void destroy_engine(struct rig_worker *worker)
{
    fw_engine_destroy(worker->engine);
    worker->engine = NULL;
    for (size_t i = 0; i < worker->lents_count; i++)
        free(worker->lents[i].bytes);
    worker->lents_count = 0;
}

static void *run_worker(void *context)
{
    struct rig_worker *worker = context;
    create_engine(worker);
    atomic_store(&worker->ready, true);
    while (!atomic_load(&worker->stop))
        rig_worker_turn(worker, -1);
    while (!atomic_load(&worker->woken))
        usleep(100);
    destroy_engine(worker);
    return NULL;
}

static void start_worker(struct rig_worker *worker)
{
    pthread_t thread;
    int status = pthread_create(&thread, NULL, run_worker, worker);
    MUST(status == 0, "pthread_create: %s", strerror(status));
    while (!atomic_load(&worker->ready))
        usleep(100);
}

static void create_worker(struct rig *rig, struct rig_worker *worker)
{
    worker->rig = rig;
    worker->slots_max = or_else(rig->options.slots_max, 64);
    worker->conns = calloc(worker->slots_max, sizeof *worker->conns);
    /* A slot may be in its second life before the sends of its first are settled. */
    worker->lents = calloc((size_t)worker->slots_max * 2, sizeof *worker->lents);
    worker->kept = calloc(RIG_KEPT_MAX, sizeof *worker->kept);
    worker->send_bytes_max = 256 * 1024;
    worker->pieces_count = 1;
    worker->echo = rig->options.echo;
    worker->hook = rig->options.hook;
    MUST(worker->conns != NULL && worker->lents != NULL && worker->kept != NULL, "out of memory");
    if (rig->options.threads)
        start_worker(worker);
    else
        create_engine(worker);
}

static void open_listener(struct rig *rig)
{
    char path[64] = "127.0.0.1:0";
    if (rig->options.local)
        snprintf(path, sizeof path, "unix:/tmp/engine_rig.%d", (int)getpid());
    int status = fw_sock_address_parse(path, &rig->address);
    const struct fw_sock_listen_options options = {
        .send_buffer_bytes = rig->options.send_buffer_bytes,
        .receive_buffer_bytes = rig->options.receive_buffer_bytes,
    };
    if (status == 0)
        status = fw_sock_listen(&rig->address, &options, &rig->listen_fd);
    if (status == 0)
        status = fw_sock_address_bound(rig->listen_fd, &rig->address);
    MUST(status == 0, "listening on %s: %s", path, fw_status_name(status));
}

struct rig *rig_create(enum fw_engine_kind kind, const struct rig_options *options)
{
    struct rig *rig = calloc(1, sizeof *rig);
    MUST(rig != NULL, "out of memory");
    rig->kind = kind;
    if (options != NULL)
        rig->options = *options;
    open_listener(rig);
    rig->workers_count = or_else(rig->options.workers, 1);
    for (unsigned i = 0; i < rig->workers_count; i++)
        create_worker(rig, &rig->workers[i]);
    const struct fw_engine_options wanted = {
        .slots_max = or_else(rig->options.tickets_max, 64),
        .receive_bytes = 64 * 1024,
        .owner = rig,
        .events = &acceptor_events,
    };
    int status = fw_engine_create(kind, &wanted, &rig->acceptor);
    MUST(status == 0, "fw_engine_create: %s", fw_status_name(status));
    status = fw_engine_listen(rig->acceptor, rig->listen_fd);
    MUST(status == 0, "fw_engine_listen: %s", fw_status_name(status));
    return rig;
}

void rig_destroy(struct rig *rig)
{
    fw_engine_destroy(rig->acceptor);
    for (unsigned i = 0; i < rig->workers_count; i++) {
        struct rig_worker *worker = &rig->workers[i];
        if (rig->options.threads) {
            atomic_store(&worker->stop, true);
            fw_engine_wake(worker->engine);
            atomic_store(&worker->woken, true);
            pthread_join(worker->thread, NULL);
        } else {
            destroy_engine(worker);
        }
        free(worker->conns);
        free(worker->lents);
        free(worker->kept);
    }
    close(rig->listen_fd);
    if (rig->options.local)
        unlink(rig->address.at.local.sun_path);
    free(rig);
}

void rig_acceptor_turn(struct rig *rig, int timeout_ms)
{
    int status = fw_engine_turn(rig->acceptor, timeout_ms);
    MUST(status == 0, "fw_engine_turn of the acceptor: %s", fw_status_name(status));
}

void rig_worker_turn(struct rig_worker *worker, int timeout_ms)
{
    worker->in_turn = true;
    worker->turn_ended = false;
    int status = fw_engine_turn(worker->engine, timeout_ms);
    MUST(status == 0, "fw_engine_turn of a worker: %s", fw_status_name(status));
    worker->in_turn = false;
}

void rig_turn(struct rig *rig)
{
    bool threads = rig->options.threads;
    rig_acceptor_turn(rig, threads ? 1 : 0);
    for (unsigned i = 0; i < rig->workers_count && !threads; i++)
        rig_worker_turn(&rig->workers[i], i + 1 == rig->workers_count ? 1 : 0);
}

void rig_turns(struct rig *rig, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        rig_turn(rig);
}
