/* worker.c: one thread's share of a server: its engine, connections, hub and mailbox.
 *
 * The loop is fw_worker_main, on one screen. What sessions ask of the floors above (session.h) is
 * answered here: the program's callbacks, the topics.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/server_impl.h"

#include "base/check.h"
#include "base/mem.h"
#include "net/conn/conn_proxy.h"
#include "net/conn/conn_tls.h"
#include "session/encode.h"
#include "session/request.h"

#include <fanwire/conn.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Published bytes fanned out in one turn; less where a connection's budget is smaller. */
#define INBOX_BYTES_PER_TURN ((size_t)128 * 1024)
/* A drain closes no fewer than 25 connections a second: more than that come back unnoticed. */
#define DRAIN_MS_PER_CONN 40u
/* Messages of one topic that the hub is handed at once. */
#define RUN_MESSAGES_MAX 256u
/* Workers that share a CPU take turns anyway: who takes its turn for several events leaves more of
 * the CPU to all of them. */
#define GATHER_EVENTS 16u
#define GATHER_US     200u
/* How old the figures of slow connections may be. */
#define SLOW_REPORT_MS 100u

static inline struct fw_worker *worker_of(struct fw_session *session)
{
    return (struct fw_worker *)(void *)session->host; /* the host is the table's first member, the
                                                         table the worker's */
}
static_assert(offsetof(struct fw_worker, conns) == 0, "a session's host is its worker");

static inline struct fw_conn *conn_of(struct fw_session *session)
{
    return (struct fw_conn *)(void *)session;
}

/* Counters have one writer: a plain load and store is enough. Release pairs with the acquire in
 * fw_server_worker_connections: who sees a connection gone sees that it was opened. */
static inline void set_count(atomic_uint_fast64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_release);
}

static inline void count_one(atomic_uint_fast64_t *counter)
{
    set_count(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1);
}

/* ---- what sessions ask ----------------------------------------------------------------------- */

static unsigned up_open(struct fw_session *session, const struct fw_request *request)
{
    const struct fw_server_options *options = &worker_of(session)->server->options;
    if (options->on_open == NULL)
        return 0;
    fw_worker_does(worker_of(session), FW_DOING_OPEN);
    return options->on_open(conn_of(session), request, options->context);
}

static void up_message(struct fw_session *session, uint8_t type, const uint8_t *bytes, size_t count)
{
    const struct fw_server_options *options = &worker_of(session)->server->options;
    if (options->on_message == NULL)
        return;
    fw_worker_does(worker_of(session), FW_DOING_MESSAGE);
    options->on_message(conn_of(session), (enum fw_message_type)type, bytes, count,
                        options->context);
}

static void up_closed(struct fw_session *session, unsigned code, struct fw_bytes reason)
{
    const struct fw_server_options *options = &worker_of(session)->server->options;
    if (options->on_close == NULL)
        return;
    fw_worker_does(worker_of(session), FW_DOING_CLOSE);
    options->on_close(conn_of(session), code, (const char *)reason.at, reason.count,
                      options->context);
}

static void up_drained(struct fw_session *session)
{
    const struct fw_server_options *options = &worker_of(session)->server->options;
    if (options->on_drain == NULL)
        return;
    fw_worker_does(worker_of(session), FW_DOING_DRAIN);
    options->on_drain(conn_of(session), options->context);
}

static void up_request(struct fw_session *session, struct fw_request *request)
{
    const struct fw_server_options *options = &worker_of(session)->server->options;
    if (options->on_request == NULL)
        return;
    fw_worker_does(worker_of(session), FW_DOING_REQUEST);
    options->on_request(request, options->context);
}

static int up_publish(struct fw_session *session, struct fw_bytes topic,
                      const struct fw_publication *publication, struct fw_published *published_out)
{
    struct fw_worker *worker = worker_of(session);
    return fw_server_publish(worker->server, topic, publication, worker->conns.host.now_ms,
                             published_out);
}

static int up_subscribe(struct fw_session *session, struct fw_bytes topic,
                        const struct fw_since *since, struct fw_subscription *subscription,
                        struct fw_joined *joined_out)
{
    struct fw_worker *worker = worker_of(session);
    if (FW_UNLIKELY(worker->conns.host.pressure >= FW_PRESSURE_HOLD))
        return FW_ERR_MEMORY;
    return fw_directory_subscribe(&worker->server->directory, worker->index, topic,
                                  worker->conns.host.now_ms, since, subscription, joined_out);
}

static size_t up_page(struct fw_session *session, struct fw_subscription *subscription,
                      struct fw_msg **msgs_out, struct fw_taken *taken_out)
{
    struct fw_worker *worker = worker_of(session);
    return fw_directory_page(&worker->server->directory, worker->conns.host.now_ms, subscription,
                             msgs_out, FW_PAGE_MESSAGES_MAX, FW_PAGE_BYTES_MAX, &taken_out->missed);
}

static void up_reached(struct fw_session *session, struct fw_subscription *subscription,
                       uint64_t next)
{
    fw_directory_reached(&worker_of(session)->server->directory, subscription, next);
}

static void up_unsubscribe(struct fw_session *session, struct fw_subscription *subscription)
{
    struct fw_worker *worker = worker_of(session);
    fw_directory_unsubscribe(&worker->server->directory, worker->index, worker->conns.host.now_ms,
                             subscription);
}

static int up_info(struct fw_session *session, struct fw_bytes topic,
                   struct fw_topic_info *info_out)
{
    return fw_directory_info(&worker_of(session)->server->directory, topic, info_out);
}

static bool up_slow(struct fw_session *session, unsigned index, struct fw_slow_report *report_out)
{
    const struct fw_server *server = worker_of(session)->server;
    if (index >= server->workers_count)
        return false;
    struct fw_worker *worker = server->workers[index];
    pthread_mutex_lock(&worker->slow_lock);
    *report_out = worker->slow_report;
    pthread_mutex_unlock(&worker->slow_lock);
    return true;
}

static bool up_busiest(struct fw_session *session, struct fw_busiest *busiest_out)
{
    struct fw_worker *worker = worker_of(session);
    return fw_census_ask(&worker->server->census, &worker->census, &worker->server->directory,
                         worker->conns.host.now_ms, busiest_out);
}

static bool up_ready(struct fw_session *session)
{
    return !atomic_load_explicit(&worker_of(session)->server->stopping, memory_order_relaxed);
}

static uint64_t up_wall_s(struct fw_session *session)
{
    struct timespec now;
    (void)session;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec;
}

static const struct fw_session_upward upward = {
    .changed = fw_conn_changed,
    .keep = fw_conn_keep,
    .timer = fw_conn_set_timer,
    .open = up_open,
    .message = up_message,
    .closed = up_closed,
    .drained = up_drained,
    .request = up_request,
    .admit = fw_worker_admit,
    .authorize = fw_worker_authorize,
    .certificate = fw_worker_certificate,
    .wall_s = up_wall_s,
    .publish = up_publish,
    .subscribe = up_subscribe,
    .unsubscribe = up_unsubscribe,
    .page = up_page,
    .reached = up_reached,
    .info = up_info,
    .slow = up_slow,
    .busiest = up_busiest,
    .ready = up_ready,
};

/* ---- messages -------------------------------------------------------------------------------- */

/* What a post takes of a turn's share: at least its frame. */
static inline size_t share_of(const struct fw_post *post)
{
    return sizeof *post + post->msg->payload_bytes;
}
static_assert(sizeof(struct fw_post) >= FW_WS_SERVER_HEADER_BYTES_MAX, "a frame fits its share");

/* Cuts a run off the inbox: successive posts of one topic, of `room` bytes in all, or one.
 *
 * room         of the turn's share; what is left of it afterwards is written back
 * waited_out   what the posts counted as in the mailbox
 * returns      messages written to msgs
 */
static size_t take_run(struct fw_worker *worker, struct fw_msg **msgs, size_t *room,
                       size_t *waited_out)
{
    struct fw_topic *topic = worker->inbox->topic;
    size_t count = 0;
    *waited_out = 0;
    while (worker->inbox != NULL && worker->inbox->topic == topic && count < RUN_MESSAGES_MAX &&
           (count == 0 || share_of(worker->inbox) <= *room)) {
        struct fw_post *post = worker->inbox;
        worker->inbox = fw_post_next(post);
        *room -= share_of(post) < *room ? share_of(post) : *room;
        *waited_out += fw_post_bytes(post);
        msgs[count++] = post->msg;
        fw_mem_free(post);
    }
    return count;
}

/* Fans out what the mailbox brought, up to a turn's share; the rest waits in the inbox. The share
 * is one message, or what fits into a subscriber's budget: who takes all that it is owed each turn
 * is never too slow.
 *
 * returns      whether nothing is left
 */
static bool deliver_inbox(struct fw_worker *worker)
{
    struct fw_msg *msgs[RUN_MESSAGES_MAX];
    const uint32_t budget = worker->server->rules.output_bytes_max;
    const size_t share = budget < INBOX_BYTES_PER_TURN ? budget : INBOX_BYTES_PER_TURN;
    size_t room = share;
    for (;;) {
        if (worker->inbox == NULL)
            worker->inbox = fw_mailbox_take(&worker->mailbox);
        if (worker->inbox == NULL)
            return true;
        if (room < share && share_of(worker->inbox) > room)
            return false;
        struct fw_topic *topic = worker->inbox->topic;
        size_t waited;
        size_t count = take_run(worker, msgs, &room, &waited);
        fw_hub_fan_out(&worker->hub, topic->interests[worker->index].local, msgs, count);
        fw_mailbox_done(&worker->mailbox, waited);
        /* Release: the topic may be freed once this says that nothing is on its way. */
        atomic_fetch_sub_explicit(&topic->posts, (unsigned)count, memory_order_release);
    }
}

static void free_inbox(struct fw_worker *worker)
{
    while (worker->inbox != NULL || (worker->inbox = fw_mailbox_take(&worker->mailbox)) != NULL) {
        struct fw_post *post = worker->inbox;
        worker->inbox = fw_post_next(post);
        fw_msg_drop(post->msg);
        fw_mem_free(post);
    }
}

/* ---- what the table of connections tells ----------------------------------------------------- */

static void on_opened(void *owner, struct fw_conn *conn)
{
    struct fw_worker *worker = owner;
    count_one(&worker->opened);
    if (worker->said_goodbye)
        fw_session_stop(&conn->session);
}

static void on_gone(void *owner, struct fw_conn *conn)
{
    struct fw_worker *worker = owner;
    fw_peers_left(&worker->server->peers, conn->tag & FW_TAG_ADDRESS);
    count_one(&worker->gone);
    if (atomic_load_explicit(&worker->server->accepting_blocked, memory_order_relaxed)) {
        struct fw_engine *acceptor = atomic_load(&worker->server->stop_target);
        if (acceptor != NULL)
            fw_engine_wake(acceptor);
    }
}

/* Messages are looked for at every turn's end; the stop is all that is left to see. */
static void on_wake(void *owner)
{
    struct fw_worker *worker = owner;
    count_one(&worker->beat);
    fw_worker_take_decisions(worker);
    if (!atomic_load(&worker->server->doors_closed) || worker->told_stop)
        return;
    worker->told_stop = true;
    worker->stop_ms =
        worker->conns.host.now_ms + worker->server->options.drain_time_ms + FW_STOP_MS_MAX;
}

/* Tells as many connections as the time that has passed is of the drain's. */
static void say_goodbyes(struct fw_worker *worker)
{
    struct fw_conns *conns = &worker->conns;
    uint32_t window_ms = worker->server->options.drain_time_ms;
    uint32_t most = UINT32_MAX;
    if (!worker->drain.on) {
        worker->drain.on = true;
        worker->drain.from_ms = conns->host.now_ms;
        worker->drain.total = conns->live_count;
        if (window_ms > 0)
            conns->host.retry_ms_max = window_ms > FW_RETRY_MS_MAX ? window_ms : FW_RETRY_MS_MAX;
    }
    /* A few need not wait for the whole of it. */
    uint64_t needed_ms = (uint64_t)worker->drain.total * DRAIN_MS_PER_CONN;
    window_ms = needed_ms < window_ms ? (uint32_t)needed_ms : window_ms;
    uint64_t passed_ms = conns->host.now_ms - worker->drain.from_ms;
    if (passed_ms < window_ms) {
        uint64_t due = (uint64_t)worker->drain.total * (passed_ms + 1) / window_ms;
        most = due > worker->drain.told ? (uint32_t)due - worker->drain.told : 0;
        worker->drain.told += most;
    }
    worker->drain.next_slot = fw_conns_stop(conns, worker->drain.next_slot, most);
    /* Who has left meanwhile makes it end early; who was late to come is told as it comes. */
    worker->said_goodbye = worker->drain.next_slot == conns->slots_max || conns->live_count == 0;
}

/* Writes down who is slow, for other workers to read: at once when somebody came or went. */
static void report_slow(struct fw_worker *worker)
{
    struct fw_session_host *host = &worker->conns.host;
    bool due = host->slow.count > 0 && host->now_ms - worker->slow_report_ms >= SLOW_REPORT_MS;
    if (FW_LIKELY(!host->slow.changed && !due))
        return;
    pthread_mutex_lock(&worker->slow_lock);
    fw_slow_report(host, &worker->slow_report);
    pthread_mutex_unlock(&worker->slow_lock);
    worker->slow_report_ms = host->now_ms;
}

static void publish_tls(struct fw_worker *worker)
{
    const struct fw_conns_tls_stats stats = fw_conns_tls_stats(&worker->conns);
    set_count(&worker->tls_conns, stats.conns_count);
    set_count(&worker->tls_handshakes, stats.handshakes);
    set_count(&worker->tls_resumed, stats.resumed);
    set_count(&worker->tls_failed, stats.failed);
}

/* What was published before the stop goes out before the goodbyes. */
static void on_turn(void *owner)
{
    struct fw_worker *worker = owner;
    fw_worker_does(worker, FW_DOING_FAN_OUT);
    bool idle = deliver_inbox(worker);
    fw_worker_does(worker, FW_DOING_RESUME);
    fw_session_catch_up(&worker->conns.host);
    report_slow(worker);
    fw_worker_does(worker, FW_DOING_MEMORY);
    fw_worker_mind_memory(worker);
    if (FW_UNLIKELY(worker->census.found != NULL))
        fw_census_step(&worker->server->census, &worker->census, &worker->server->directory,
                       worker->conns.host.now_ms);
    fw_worker_does(worker, FW_DOING_GOODBYE);
    if (worker->told_stop && !worker->said_goodbye && (idle || worker->drain.on))
        say_goodbyes(worker);
    fw_worker_does(worker, FW_DOING_SOCKETS);
    set_count(&worker->refused, worker->conns.host.handshakes_refused);
    set_count(&worker->received, worker->conns.host.messages_received);
    set_count(&worker->delivered, worker->hub.delivered_messages);
    set_count(&worker->slow, worker->conns.host.slow_closed);
    set_count(&worker->rate_limited, worker->conns.host.rate_limited);
    set_count(&worker->proxy_refused, fw_conns_proxy_refused(&worker->conns));
    set_count(&worker->deflate_bytes, worker->compressor.pool.contexts_bytes);
    if (worker->server->tls_place != NULL)
        publish_tls(worker);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct fw_worker *fw_worker_create(struct fw_server *server, unsigned index)
{
    struct fw_worker *worker = fw_mem_zero(sizeof *worker);
    if (worker == NULL)
        return NULL;
    worker->server = server;
    worker->index = index;
    pthread_mutex_init(&worker->slow_lock, NULL);
    fw_hub_init(&worker->hub, fw_session_deliver);
    worker->hub.deliver_msgs = fw_session_deliver_msgs;
    worker->hub.encode = fw_session_encode_any;
    worker->hub.encoder = &worker->conns.host;
    fw_mailbox_init(&worker->mailbox);
    fw_log_init(&worker->log, server->log.sink, server->log.context);
    return worker;
}

void fw_worker_destroy(struct fw_worker *worker)
{
    if (worker == NULL)
        return;
    free_inbox(worker);
    fw_worker_drop_decisions(worker);
    pthread_mutex_destroy(&worker->slow_lock);
    fw_mem_free(worker);
}

/* Lets the sessions and the hub of this worker compress, when the server is to. */
static int start_compressor(struct fw_worker *worker)
{
    const struct fw_server *server = worker->server;
    if (!server->options.deflate)
        return 0;
    uint64_t contexts_bytes_max = server->options.deflate_bytes_max / server->workers_count;
    if (contexts_bytes_max > SIZE_MAX)
        contexts_bytes_max = SIZE_MAX;
    int result = fw_compressor_init(&worker->compressor, server->options.message_bytes_max,
                                    (size_t)contexts_bytes_max);
    if (result != 0)
        return result;
    worker->conns.host.compressor = &worker->compressor;
    return 0;
}

/* ---- the only worker's, which accepts as well ------------------------------------------------ */

static struct fw_acceptor *acceptor_of(void *owner)
{
    const struct fw_worker *worker = owner; /* its first member is the table */
    return &worker->server->acceptor;
}

static void on_accepted(void *owner, uint32_t ticket, const struct sockaddr *peer,
                        socklen_t peer_bytes)
{
    fw_acceptor_accepted(acceptor_of(owner), ticket, peer, peer_bytes);
}

static void on_accept_paused(void *owner, int status)
{
    fw_acceptor_paused(acceptor_of(owner), status);
}

static void on_handed_over(void *owner, uint32_t ticket, int status)
{
    fw_acceptor_handed_over(acceptor_of(owner), ticket, status);
}

/* Until the doors are closed. */
static bool accepts_too(const struct fw_worker *worker)
{
    return fw_server_has_one_thread(worker->server) &&
           !atomic_load_explicit(&worker->server->doors_closed, memory_order_relaxed);
}

static void choose_events(struct fw_worker *worker)
{
    worker->events = fw_conns_events;
    if (!fw_server_has_one_thread(worker->server))
        return;
    worker->events.on_accepted = on_accepted;
    worker->events.on_accept_paused = on_accept_paused;
    worker->events.on_handed_over = on_handed_over;
}

/* ---- its life -------------------------------------------------------------------------------- */

/* How many slots the worker's engine has: one for each connection, and for each accept of the only
 * worker's that waits for one; where all that would not fit, there are fewer connections. */
static uint32_t make_room(struct fw_server *server)
{
    if (!fw_server_has_one_thread(server))
        return server->slots_max;
    uint32_t limit = fw_engine_slots_limit(server->engine_kind);
    if (limit > FW_CONNS_SLOTS_MAX)
        limit = FW_CONNS_SLOTS_MAX;
    uint32_t accepts = server->listeners_count * FW_ENGINE_ACCEPTS_MAX;
    if (accepts > limit / 2)
        accepts = limit / 2;
    if (server->slots_max > limit - accepts)
        server->slots_max = limit - accepts;
    return server->slots_max + accepts;
}

static int start(struct fw_worker *worker)
{
    struct fw_server *server = worker->server;
    const uint32_t slots_max = make_room(server);
    const struct fw_engine_options options = {.slots_max = slots_max,
                                              .receive_bytes = FW_RECEIVE_BYTES_DEFAULT,
                                              .owner = &worker->conns,
                                              .events = &worker->events};
    choose_events(worker);
    int result = fw_engine_create(server->engine_kind, &options, &worker->engine);
    if (result != 0)
        return result;
    if (server->workers_count > fw_server_cpus())
        fw_engine_gather(worker->engine, GATHER_EVENTS, GATHER_US);
    struct fw_conns *conns = &worker->conns;
    result = fw_conns_init(conns, slots_max, fw_engine_now_ms(worker->engine));
    if (result != 0)
        return result;
    conns->engine = worker->engine;
    set_count(&worker->receive_bytes, fw_engine_stats(worker->engine)->receive_memory_bytes);
    conns->owner = worker;
    conns->on_opened = on_opened;
    conns->on_gone = on_gone;
    conns->on_wake = on_wake;
    conns->on_turn = on_turn;
    conns->on_told = fw_worker_told;
    conns->host.context = server->options.context;
    conns->host.rules = &server->rules;
    conns->host.up = &upward;
    conns->host.hub = &worker->hub;
    conns->host.log = &worker->log;
    if (getrandom(&conns->host.random, sizeof conns->host.random, 0) < 0 || conns->host.random == 0)
        conns->host.random = worker->index + 1; /* jitter only */
    fw_worker_take_decisions(worker);
    if (server->tls_place != NULL) {
        fw_tls_thread_start();
        result = fw_conns_tls_create(conns, server->tls_place);
    }
    if (result == 0 && server->options.proxy_protocol)
        result = fw_conns_proxy_create(conns);
    if (result == 0)
        result = start_compressor(worker);
    if (result == 0 && fw_server_has_one_thread(server))
        result = fw_acceptor_open(&server->acceptor, worker->engine, slots_max);
    return result;
}

/* How long the next turn may wait. */
static int wait_ms(const struct fw_worker *worker)
{
    if (worker->inbox != NULL || worker->census.found != NULL ||
        worker->conns.host.resuming_count > 0 || (worker->told_stop && !worker->drain.on))
        return 0;
    int wait = fw_conns_wait_ms(&worker->conns);
    int memory_wait = fw_worker_memory_wait_ms(worker);
    if (wait < 0 || (memory_wait >= 0 && memory_wait < wait))
        wait = memory_wait;
    int acceptor_wait = accepts_too(worker) ? fw_acceptor_wait_ms(&worker->server->acceptor) : -1;
    if (wait < 0 || (acceptor_wait >= 0 && acceptor_wait < wait))
        wait = acceptor_wait;
    if (worker->told_stop && (wait < 0 || wait > (int)FW_WHEEL_TICK_MS))
        return (int)FW_WHEEL_TICK_MS;
    return wait;
}

/* What the only worker does besides. */
static void accept_too(struct fw_worker *worker)
{
    struct fw_acceptor *acceptor = &worker->server->acceptor;
    if (!accepts_too(worker))
        return;
    if (atomic_load(&worker->server->stopping))
        fw_acceptor_close(acceptor);
    else
        fw_acceptor_turned(acceptor);
}

static bool finished(const struct fw_worker *worker)
{
    return worker->said_goodbye &&
           (worker->conns.live_count == 0 || fw_engine_now_ms(worker->engine) >= worker->stop_ms);
}

/* The first one is its start, and does not count. */
static void time_turn(struct fw_worker *worker)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    uint64_t cpu_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    uint64_t took_us = worker->cpu_ns == 0 ? 0 : (cpu_ns - worker->cpu_ns) / 1000;
    worker->cpu_ns = cpu_ns;
    if (took_us > atomic_load_explicit(&worker->turn_us_max, memory_order_relaxed))
        set_count(&worker->turn_us_max, took_us);
}

void *fw_worker_main(void *argument)
{
    struct fw_worker *worker = argument;
    struct fw_server *server = worker->server;
    int result = start(worker);
    if (fw_server_thread_ready(server, result) &&
        fw_server_wait_ready(server, fw_server_threads_count(server))) {
        while (!finished(worker) && result == 0) {
            accept_too(worker);
            result = fw_engine_turn(worker->engine, wait_ms(worker));
            if (FW_UNLIKELY(server->options.turn_times))
                time_turn(worker);
        }
        if (result < 0)
            fw_log(&worker->log, FW_LOG_ERROR, "worker %u ended: its engine failed: %s",
                   worker->index, fw_status_text(result));
        if (result < 0) /* nobody would serve what the acceptor hands over */
            fw_server_stop(server);
        accept_too(worker); /* it stops: the doors are closed */
    }
    /* The engine outlives its thread: publishers may wake it until the server is destroyed. */
    fw_conns_clear(&worker->conns);
    fw_census_leave(&server->census, &worker->census);
    if (server->tls_place != NULL)
        fw_tls_thread_stop();
    fw_compressor_clear(&worker->compressor);
    fw_mem_settle();
    fw_server_thread_ended(server);
    return NULL;
}

/* ---- conn.h ---------------------------------------------------------------------------------- */

int fw_conn_send(fw_conn *conn, enum fw_message_type type, const void *bytes, size_t bytes_count)
{
    if ((type != FW_TEXT && type != FW_BINARY) || (bytes == NULL && bytes_count > 0))
        return FW_ERR_USAGE;
    return fw_ws_session_send(&conn->session, (uint8_t)type, (struct fw_bytes){bytes, bytes_count});
}

int fw_conn_close(fw_conn *conn, unsigned code, const char *reason)
{
    return fw_ws_session_close(&conn->session, code, fw_bytes_of(reason == NULL ? "" : reason));
}

void fw_conn_set_user(fw_conn *conn, void *user)
{
    conn->session.user = user;
}

void *fw_conn_user(const fw_conn *conn)
{
    return conn->session.user;
}

void *fw_conn_context(const fw_conn *conn)
{
    return conn->session.host->context;
}

size_t fw_conn_queued_bytes(const fw_conn *conn)
{
    return conn->session.outq.queued_bytes;
}

int fw_conn_subscribe(fw_conn *conn, const char *topic)
{
    if (fw_session_is_client(&conn->session)) /* topics are a server's */
        return FW_ERR_USAGE;
    if (conn->session.phase != FW_PHASE_OPEN)
        return FW_ERR_CLOSED;
    return fw_session_subscribe(&conn->session, fw_bytes_of(topic));
}

int fw_conn_unsubscribe(fw_conn *conn, const char *topic)
{
    return fw_session_unsubscribe(&conn->session, fw_bytes_of(topic));
}
