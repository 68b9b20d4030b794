/* acceptor.c: takes connections and gives them to the workers that have fewest, on a thread of its
 * own, or on that of the only worker.
 *
 * In a storm one worker gets several in a row: each hand-over wakes its worker, and a worker that
 * finds one connection a turn spends more time on waking up than on it.
 *
 * It never drops one for want of room: when every worker is full, what it holds waits, accepting
 * stops and the kernel's backlog holds the rest; a connection that closes anywhere wakes it. When
 * descriptors or memory run out it pauses for a while instead of trying at full speed.
 *
 *   on_accepted --room--> hand_over --0--> done
 *        |                    | -ENFILE
 *        +--every worker full-+--> waits, accepting stops --a worker has room-->
 * hand_over
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/server_impl.h"

#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <fanwire/status.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* Connections in an acceptor's hands at once that has a thread; accepts in flight are a part of
 * them. */
#define TICKETS_MAX 4096u
/* How long accepting pauses when the process or the machine is out of descriptors or memory. */
#define SHORTAGE_PAUSE_MS 100u
/* How far accepts may be ahead of their rate. */
#define ACCEPT_DEBT_US 100000u
/* While connections wait for room it also looks by itself, in case a wake was lost to a race. */
#define FULL_LOOK_MS 100

/* A worker gets at most so many connections in a row, and at most an eighth of what it has: few
 * connections stand evenly. */
#define RUN_MAX   64u
#define RUN_SHARE 8u
/* It is a storm when more than 8,000 come a second, seen over so long. */
#define STORM_MS    16u
#define STORM_COUNT 128u

static_assert(FW_WORKERS_MAX <= 256, "a worker's index fits the octet that a ticket keeps");

static uint64_t load(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* A worker's connections, those on their way included. */
static uint64_t count_of(const struct fw_acceptor *acceptor, const struct fw_worker *worker)
{
    return acceptor->handed[worker->index] - load(&worker->gone);
}

/* The worker with the fewest connections, or NULL when all are full. */
static struct fw_worker *emptiest(const struct fw_acceptor *acceptor)
{
    struct fw_server *server = acceptor->server;
    struct fw_worker *best = NULL;
    uint64_t best_count = server->slots_max;
    for (unsigned i = 0; i < server->workers_count; i++) {
        uint64_t count = count_of(acceptor, server->workers[i]);
        if (count < best_count) {
            best = server->workers[i];
            best_count = count;
        }
    }
    return best;
}

/* The worker for the next connection, or NULL when all are full: the one whose run goes on, else
 * the emptiest. */
static struct fw_worker *choose(struct fw_acceptor *acceptor)
{
    struct fw_worker *worker = acceptor->run.worker;
    if (acceptor->run.left > 0 && count_of(acceptor, worker) < acceptor->server->slots_max)
        return worker;
    worker = emptiest(acceptor);
    if (worker == NULL)
        return NULL;
    uint64_t share = acceptor->pace.storm ? count_of(acceptor, worker) / RUN_SHARE : 0;
    acceptor->run.worker = worker;
    acceptor->run.left = share < RUN_MAX ? (uint32_t)share + 1 : RUN_MAX;
    return worker;
}

/* Counts who comes; the end of a storm ends its run. */
static void keep_pace(struct fw_acceptor *acceptor)
{
    uint64_t passed_ms = fw_engine_now_ms(acceptor->engine) - acceptor->pace.from_ms;
    if (passed_ms >= STORM_MS) {
        acceptor->pace.storm = acceptor->pace.count >= STORM_COUNT && passed_ms < 2 * STORM_MS;
        acceptor->pace.from_ms += passed_ms;
        acceptor->pace.count = 0;
        if (!acceptor->pace.storm)
            acceptor->run.left = 0;
    }
    acceptor->pace.count++;
}

/* Accepting stops until a worker has room. */
static void block(struct fw_acceptor *acceptor)
{
    if (atomic_exchange(&acceptor->server->accepting_blocked, true))
        return;
    fw_log_peer(&acceptor->log, fw_engine_now_ms(acceptor->engine), FW_LOG_WARN,
                "every worker is full (%u connections each): new connections wait",
                acceptor->server->slots_max);
    fw_engine_accept_pause(acceptor->engine);
}

static void keep_waiting(struct fw_acceptor *acceptor, uint32_t ticket)
{
    acceptor->tickets[ticket].next = acceptor->waiting_first;
    acceptor->waiting_first = ticket + 1;
    block(acceptor);
}

static uint32_t take_waiting(struct fw_acceptor *acceptor)
{
    uint32_t ticket = acceptor->waiting_first - 1;
    acceptor->waiting_first = acceptor->tickets[ticket].next;
    return ticket;
}

/* What the worker is told of the connection. */
static uint32_t tag_of(const struct fw_acceptor *acceptor, uint32_t ticket)
{
    const struct fw_server *server = acceptor->server;
    uint32_t tag = acceptor->tickets[ticket].address;
    if (server->listeners[acceptor->tickets[ticket].came_by].tls)
        tag |= FW_CONN_TAG_TLS;
    if (server->options.proxy_protocol && (tag & FW_TAG_PROXY))
        tag |= FW_CONN_TAG_PROXIED;
    return tag;
}

static void place(struct fw_acceptor *acceptor, uint32_t ticket)
{
    struct fw_worker *worker = choose(acceptor);
    if (worker == NULL) {
        keep_waiting(acceptor, ticket);
        return;
    }
    acceptor->handed[worker->index]++;
    acceptor->run.left--;
    acceptor->tickets[ticket].target = (uint8_t)worker->index;
    acceptor->handing++;
    fw_engine_hand_over(acceptor->engine, ticket, worker->engine, tag_of(acceptor, ticket));
}

/* Places what waits, as far as there is room, and opens the door again when nothing waits any more.
 */
static void place_waiting(struct fw_acceptor *acceptor)
{
    while (acceptor->waiting_first != 0 && choose(acceptor) != NULL)
        place(acceptor, take_waiting(acceptor));
    if (acceptor->waiting_first == 0 && emptiest(acceptor) != NULL &&
        atomic_exchange(&acceptor->server->accepting_blocked, false) && acceptor->resume_ms == 0)
        fw_engine_accept_resume(acceptor->engine);
}

/* Before anything is read or allocated for it: a flood costs an accept and a close. */
static bool is_welcome(struct fw_acceptor *acceptor, uint32_t ticket, const struct sockaddr *peer,
                       socklen_t peer_bytes)
{
    if (fw_server_trusts(acceptor->server, peer)) {
        acceptor->tickets[ticket].address = FW_TAG_PROXY;
        return true;
    }
    return fw_server_admit(acceptor->server, &acceptor->log, fw_engine_now_ms(acceptor->engine),
                           peer, peer_bytes, &acceptor->tickets[ticket].address);
}

/* Pays for an accept by 1/rate seconds; who has a tenth of a second of debt waits it out. Nobody is
 * dropped: the backlog holds who comes meanwhile. Accepts that are in flight still come. */
static void pay(struct fw_acceptor *acceptor)
{
    const uint32_t rate = acceptor->server->options.accepts_per_s;
    if (FW_LIKELY(rate == 0))
        return;
    uint64_t now_ms = fw_engine_now_ms(acceptor->engine);
    uint64_t from_us = acceptor->paid_us > now_ms * 1000 ? acceptor->paid_us : now_ms * 1000;
    acceptor->paid_us = from_us + (rate > 1000000 ? 1 : 1000000 / rate);
    if (acceptor->paid_us <= now_ms * 1000 + ACCEPT_DEBT_US)
        return;
    uint64_t resume_ms = (acceptor->paid_us - ACCEPT_DEBT_US) / 1000 + 1;
    if (acceptor->resume_ms == 0) {
        fw_log_peer(&acceptor->log, now_ms, FW_LOG_WARN,
                    "connections come faster than %u a second: they wait in the backlog", rate);
        atomic_fetch_add_explicit(&acceptor->rate_pauses, 1, memory_order_relaxed);
        if (!atomic_load(&acceptor->server->accepting_blocked))
            fw_engine_accept_pause(acceptor->engine);
    }
    if (resume_ms > acceptor->resume_ms)
        acceptor->resume_ms = resume_ms;
}

void fw_acceptor_accepted(struct fw_acceptor *acceptor, uint32_t ticket,
                          const struct sockaddr *peer, socklen_t peer_bytes)
{
    pay(acceptor);
    if (atomic_load(&acceptor->server->stopping) ||
        !is_welcome(acceptor, ticket, peer, peer_bytes)) {
        fw_engine_refuse(acceptor->engine, ticket);
        return;
    }
    acceptor->tickets[ticket].came_by = (uint8_t)fw_engine_accepted_by(acceptor->engine);
    keep_pace(acceptor);
    place(acceptor, ticket);
}

void fw_acceptor_handed_over(struct fw_acceptor *acceptor, uint32_t ticket, int status)
{
    acceptor->handing--;
    if (status == 0)
        return;
    acceptor->handed[acceptor->tickets[ticket].target]--;
    if (status == -ENFILE) {
        acceptor->run.left = 0;
        keep_waiting(acceptor, ticket);
    } else {
        fw_peers_left(&acceptor->server->peers, acceptor->tickets[ticket].address & FW_TAG_ADDRESS);
        fw_log_peer(&acceptor->log, fw_engine_now_ms(acceptor->engine), FW_LOG_WARN,
                    "a connection was lost on its way to a worker: %s", fw_status_text(status));
    }
}

void fw_acceptor_paused(struct fw_acceptor *acceptor, int status)
{
    uint64_t now_ms = fw_engine_now_ms(acceptor->engine);
    if (status == -ENFILE && emptiest(acceptor) == NULL) {
        block(acceptor);
        return;
    }
    acceptor->resume_ms = now_ms + SHORTAGE_PAUSE_MS;
    fw_log_peer(&acceptor->log, now_ms, FW_LOG_WARN,
                "accepting pauses for %u ms: %s; connections wait in the backlog",
                SHORTAGE_PAUSE_MS, fw_status_text(status));
}

static void on_accepted(void *owner, uint32_t ticket, const struct sockaddr *peer,
                        socklen_t peer_bytes)
{
    fw_acceptor_accepted(owner, ticket, peer, peer_bytes);
}

static void on_handed_over(void *owner, uint32_t ticket, int status)
{
    fw_acceptor_handed_over(owner, ticket, status);
}

static void on_accept_paused(void *owner, int status)
{
    fw_acceptor_paused(owner, status);
}

static void on_nothing(void *owner)
{
    (void)owner; /* the loop looks at everything after each turn */
}

static const struct fw_engine_events acceptor_events = {
    .on_wake = on_nothing,
    .on_turn_end = on_nothing,
    .on_settled = on_nothing,
    .on_accepted = on_accepted,
    .on_accept_paused = on_accept_paused,
    .on_handed_over = on_handed_over,
};

int fw_acceptor_init(struct fw_acceptor *acceptor, struct fw_server *server)
{
    *acceptor = (struct fw_acceptor){.server = server};
    fw_log_init(&acceptor->log, server->log.sink, server->log.context);
    acceptor->handed = fw_mem_zero(sizeof *acceptor->handed * server->workers_count);
    return acceptor->handed == NULL ? -ENOMEM : 0;
}

void fw_acceptor_clear(struct fw_acceptor *acceptor)
{
    fw_mem_free(acceptor->handed);
    acceptor->handed = NULL;
    if (acceptor->tickets != NULL)
        munmap(acceptor->tickets, sizeof *acceptor->tickets * acceptor->tickets_max);
    acceptor->tickets = NULL;
}

int fw_acceptor_open(struct fw_acceptor *acceptor, struct fw_engine *engine, uint32_t tickets_max)
{
    struct fw_server *server = acceptor->server;
    int result = 0;
    acceptor->engine = engine;
    void *tickets = mmap(NULL, sizeof *acceptor->tickets * tickets_max, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (tickets == MAP_FAILED)
        return -ENOMEM;
    acceptor->tickets = tickets;
    acceptor->tickets_max = tickets_max;
    for (unsigned i = 0; result == 0 && i < server->listeners_count; i++)
        result = fw_engine_listen(engine, server->listeners[i].fd);
    if (result == 0)
        atomic_store(&server->stop_target, engine);
    return result;
}

static int start(struct fw_acceptor *acceptor)
{
    struct fw_server *server = acceptor->server;
    struct fw_engine *engine;
    uint32_t limit = fw_engine_slots_limit(server->engine_kind);
    const struct fw_engine_options options = {.slots_max =
                                                  limit < TICKETS_MAX ? limit : TICKETS_MAX,
                                              .receive_bytes = 64 * 1024,
                                              .owner = acceptor,
                                              .events = &acceptor_events};
    int result = fw_engine_create(server->engine_kind, &options, &engine);
    return result == 0 ? fw_acceptor_open(acceptor, engine, options.slots_max) : result;
}

/* The shorter wait, of which -1 is for ever. */
static int sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

int fw_acceptor_wait_ms(const struct fw_acceptor *acceptor)
{
    uint64_t now_ms = fw_engine_now_ms(acceptor->engine);
    int wait = atomic_load(&acceptor->server->accepting_blocked) ? FULL_LOOK_MS : -1;
    if (acceptor->resume_ms != 0)
        wait = acceptor->resume_ms > now_ms ? (int)(acceptor->resume_ms - now_ms) : 0;
    return sooner(wait, fw_memory_wait_ms(acceptor->server->memory, now_ms));
}

static void end_shortage(struct fw_acceptor *acceptor)
{
    if (acceptor->resume_ms == 0 || fw_engine_now_ms(acceptor->engine) < acceptor->resume_ms)
        return;
    acceptor->resume_ms = 0;
    if (!atomic_load(&acceptor->server->accepting_blocked))
        fw_engine_accept_resume(acceptor->engine);
}

/* Looks at the memory in use. At the last mark nobody is let in: who waits in the backlog costs us
 * nothing. */
static void mind_memory(struct fw_acceptor *acceptor)
{
    struct fw_server *server = acceptor->server;
    struct fw_memory *memory = server->memory;
    uint64_t now_ms = fw_engine_now_ms(acceptor->engine);
    if (!fw_memory_look(memory, &server->directory, server->sweeps, server->workers_count,
                        &acceptor->log, now_ms))
        return;
    fw_server_wake_workers(server);
    if (atomic_load_explicit(&memory->pressure, memory_order_relaxed) < FW_PRESSURE_CUT)
        return;
    if (acceptor->resume_ms == 0 && !atomic_load(&server->accepting_blocked))
        fw_engine_accept_pause(acceptor->engine);
    acceptor->resume_ms = now_ms + FW_MEMORY_LOOK_MS;
}

/* Who connects while the others are drained is refused at once, and tries elsewhere. */
static void shut_listeners(struct fw_server *server)
{
    for (unsigned i = 0; i < server->listeners_count; i++) {
        if (!server->listeners[i].inherited)
            shutdown(server->listeners[i].fd, SHUT_RDWR);
    }
}

/* Nobody may be on the way to a worker that has ended: hand-overs are waited for, and what waits
 * for room is refused. Only then the workers stop. */
void fw_acceptor_close(struct fw_acceptor *acceptor)
{
    struct fw_server *server = acceptor->server;
    shut_listeners(server);
    fw_engine_accept_pause(acceptor->engine);
    for (int result = 0; result == 0 && acceptor->handing > 0;)
        result = fw_engine_turn(acceptor->engine, -1);
    while (acceptor->waiting_first != 0)
        fw_engine_refuse(acceptor->engine, take_waiting(acceptor));
    fw_engine_turn(acceptor->engine, 0);
    atomic_store(&server->doors_closed, true);
    fw_server_wake_workers(server); /* each looks */
}

void fw_acceptor_turned(struct fw_acceptor *acceptor)
{
    end_shortage(acceptor);
    mind_memory(acceptor);
    if (FW_UNLIKELY(atomic_load(&acceptor->server->accepting_blocked)))
        place_waiting(acceptor);
}

void *fw_acceptor_main(void *argument)
{
    struct fw_acceptor *acceptor = argument;
    struct fw_server *server = acceptor->server;
    /* Hand-overs need the workers' engines: they come first. */
    bool run = fw_server_wait_ready(server, server->workers_count);
    int result = run ? start(acceptor) : 0;
    if (fw_server_thread_ready(server, result) && run) {
        while (!atomic_load(&server->stopping) && result == 0) {
            result = fw_engine_turn(acceptor->engine, fw_acceptor_wait_ms(acceptor));
            fw_acceptor_turned(acceptor);
        }
        if (result < 0)
            fw_log(&acceptor->log, FW_LOG_ERROR, "the acceptor ended: its engine failed: %s",
                   fw_status_text(result));
        atomic_store(&server->stopping, true);
        fw_acceptor_close(acceptor);
    }
    fw_server_thread_ended(server);
    return NULL;
}
