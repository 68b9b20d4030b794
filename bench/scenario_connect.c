/* scenario_connect.c: how many connections does a server hold, at what cost?
 *
 * Opens them (each a completed upgrade of a subscriber), holds them, has one message go to all and
 * one ping come back from each, and closes without TIME_WAIT. Memory of the kernel and of the
 * server is read before and after. A ring's table of files is as long as RLIMIT_NOFILE allows, so
 * there are as many load threads and, with --serve, as many workers as that asks for; with --serve
 * each load thread speaks to an address of its own (127.0.r.1), for the ports.
 *
 * A connection receives only when something is due: an armed receive costs the kernel 867 octets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet.h"
#include "http_post.h"
#include "namespace.h"
#include "process.h"
#include "scenario.h"
#include "stock.h"

#include "proto/ws_frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Measured on Linux 6.18 (bench/README.md): what the kernel keeps for both ends of a loopback
 * connection, and for a receive that is armed on the load's side too; what a ring with its buffers
 * takes; what we and fanwire keep. */
#define KERNEL_BYTES_PAIR ((size_t)8710)
#define ARMED_BYTES       ((size_t)907)
#define USER_BYTES        ((size_t)360)
#define RING_BYTES        ((size_t)1 << 20)
/* Memory that stays free: under it the machine itself gets into trouble. */
#define SPARE_BYTES ((size_t)1536 << 20)

/* How far the memory in stock is given back ahead of the connections: a second's worth. */
#define AHEAD_BYTES ((size_t)384 << 20)

#define ACTIVE_MIN 3 /* load threads that open at once */
/* Hundreds of connections do something at any time: their threads are woken for several. */
#define GATHER_EVENTS 32
#define GATHER_US     300
#define LOOK_MS       100
#define LINE_MS       5000 /* between lines of progress that is not on a terminal */
#define PAYLOAD_BYTES 100
#define SETTLE_MS     1000
/* Descriptors that are no connections: rings, wakes, logs. */
#define DESCRIPTORS_SPARE 64

static struct {
    size_t count;
    size_t hold_ms;
    size_t window;
    bool no_namespace;
    bool armed;
    bool no_ping;
    bool no_stock;
    unsigned rings;   /* load threads */
    unsigned workers; /* of the server that is started */
    uint8_t payload[PAYLOAD_BYTES];
    struct bench_pattern ping;
    atomic_uint_fast64_t sent_ns; /* of what is waited for now */
} connect_run = {.count = 15000, .hold_ms = 1000, .window = 128};

static const struct bench_option options[] = {
    BENCH_NUMBER("connections", &connect_run.count, 1, 5000000, "how many"),
    BENCH_NUMBER("hold-ms", &connect_run.hold_ms, 0, 86400000, "keep them before the broadcast"),
    BENCH_NUMBER("window", &connect_run.window, 1, 4096, "connects in flight a load thread"),
    BENCH_FLAG("armed", &connect_run.armed, "receive all the time, to answer a server's pings"),
    BENCH_FLAG("no-ping", &connect_run.no_ping, "leave out the round of pings"),
    BENCH_FLAG("no-stock", &connect_run.no_stock, "do not touch the memory before it is needed"),
    BENCH_FLAG("no-namespace", &connect_run.no_namespace, "stay in this network namespace"),
    BENCH_OPTIONS_THEN(bench_common_options),
};

/* ---- the machine ----------------------------------------------------------------------------- */

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static unsigned tables_for(size_t connections, size_t each)
{
    return (unsigned)((connections + each - 1) / each);
}

/* Rings have tables of their own; descriptors of epoll's are the process's. */
static void share_connections(void)
{
    size_t limit = fw_engine_slots_limit(bench_settings.engine);
    size_t each = limit > 2 * DESCRIPTORS_SPARE ? limit - DESCRIPTORS_SPARE : limit;
    if (bench_settings.engine == FW_ENGINE_EPOLL && connect_run.count > each)
        bench_misuse("on epoll RLIMIT_NOFILE (%zu) bounds the connections: raise it, or use "
                     "io_uring",
                     limit);
    unsigned tables = tables_for(connect_run.count, each);
    connect_run.rings = tables > bench_settings.threads ? tables : (unsigned)bench_settings.threads;
    connect_run.workers =
        tables > bench_settings.serve_workers ? tables : (unsigned)bench_settings.serve_workers;
    if (connect_run.rings > BENCH_THREADS_MAX)
        bench_misuse("%zu connections need %u rings of %zu (RLIMIT_NOFILE), and %d is the most: "
                     "raise the limit",
                     connect_run.count, connect_run.rings, each, BENCH_THREADS_MAX);
}

static bool any_started(void)
{
    for (unsigned i = 0; i < bench_settings.peers_count; i++) {
        if (bench_settings.peers[i].command != NULL)
            return true;
    }
    return false;
}

static void check_memory(void)
{
    size_t available = bench_meminfo("MemAvailable");
    bool both = any_started();
    size_t kernel = both ? KERNEL_BYTES_PAIR + ARMED_BYTES : KERNEL_BYTES_PAIR / 2 + ARMED_BYTES;
    size_t rings = (connect_run.rings + (both ? connect_run.workers : 0)) * RING_BYTES;
    size_t needed = connect_run.count * (kernel + USER_BYTES) + rings;
    if (available == 0 || needed + SPARE_BYTES <= available)
        return;
    size_t most = (available - SPARE_BYTES - rings) / (kernel + USER_BYTES);
    bench_misuse("%zu connections x (%zu B of the kernel's + %zu B of ours) + %zu MB of rings = "
                 "%.1f GB; available are %.1f GB, of which %.1f GB stay free: %zu connections fit",
                 connect_run.count, kernel, USER_BYTES, rings >> 20, (double)needed / 1e9,
                 (double)available / 1e9, (double)SPARE_BYTES / 1e9,
                 available > SPARE_BYTES + rings ? most : 0);
}

/* Load and server share all CPUs, unless the command line says otherwise: which of them has more to
 * do changes with what they do, opening, broadcast or pings. */
static void share_cpus(void)
{
    cpu_set_t *server = &bench_settings.server_cpus;
    cpu_set_t *load = &bench_settings.load_cpus;
    if (bench_settings.server_cpu_list != NULL || bench_settings.load_cpu_list != NULL)
        return;
    CPU_OR(load, load, server);
    *server = *load;
}

static void prepare(void)
{
    raise_descriptors();
    share_connections();
    check_memory();
    if (any_started())
        share_cpus();
    if (any_started() && !connect_run.no_namespace && connect_run.count > 20000)
        bench_namespace_enter(connect_run.count);
}

static void need(struct bench_start *start)
{
    static char flags[256];
    /* All come from this machine, which is not the limit that is looked for. */
    snprintf(flags, sizeof flags,
             "--workers %u --insecure-publish --address-connections 0 --address-accept-rate 0 "
             "--accept-rate 0 --message-rate 0%s",
             connect_run.workers, connect_run.armed ? "" : " --ping-interval 0");
    start->ours_flags = flags;
    start->listen_host = "0.0.0.0";
}

/* ---- on the clients' threads ----------------------------------------------------------------- */

struct connect_client {
    struct bench_histogram arrivals;
    uint32_t *got; /* by slot: messages; nobody may get one twice */
};

static void arrived(struct connect_client *own)
{
    uint64_t sent_ns = atomic_load_explicit(&connect_run.sent_ns, memory_order_relaxed);
    bench_histogram_record(&own->arrivals, bench_clock_ns(CLOCK_MONOTONIC) - sent_ns);
}

static void on_piece(struct bench_client *client, uint32_t slot, const struct bench_piece *piece)
{
    struct connect_client *own = client->context;
    if (piece->at + piece->count > PAYLOAD_BYTES ||
        memcmp(piece->bytes, connect_run.payload + piece->at, piece->count) != 0)
        bench_die("a subscriber got other bytes than were published");
    if (!piece->last)
        return;
    if (++own->got[slot] > 1)
        bench_die("a subscriber got the message twice");
    arrived(own);
    bench_count(&client->done_count, 1);
}

static void on_pong(struct bench_client *client, uint32_t slot)
{
    struct connect_client *own = client->context;
    (void)slot;
    arrived(own);
    bench_count(&client->done_count, 1);
}

static void give_context(struct bench_client *client, void *argument)
{
    (void)argument;
    struct connect_client *own = bench_alloc(1, sizeof *own);
    fw_engine_gather(client->engine, GATHER_EVENTS, GATHER_US);
    own->got = bench_alloc(client->slots_max, sizeof *own->got);
    client->context = own;
}

static void on_end(struct bench_client *client)
{
    struct connect_client *own = client->context;
    free(own->got);
    free(own);
}

static const struct bench_handlers handlers = {
    .speaks_first = true, .on_piece = on_piece, .on_pong = on_pong, .on_end = on_end};

static void begin_open(struct bench_client *client, void *argument)
{
    client->opening = *(const struct bench_opening *)argument;
    bench_client_open(client, (uint32_t)bench_share(connect_run.count, client->index,
                                                    client->fleet->clients_count));
}

static void expect(struct bench_client *client, void *argument)
{
    struct connect_client *own = client->context;
    (void)argument;
    memset(&own->arrivals, 0, sizeof own->arrivals);
    for (uint32_t slot = 0; slot < client->slots_max; slot++) {
        if (client->conns[slot].state == BENCH_OPEN)
            bench_client_resume(client, slot);
    }
}

static void ping_all(struct bench_client *client, void *argument)
{
    expect(client, argument);
    for (uint32_t slot = 0; slot < client->slots_max; slot++) {
        if (client->conns[slot].state == BENCH_OPEN)
            bench_client_owe(client, slot, &connect_run.ping, 1);
    }
}

static void gather_arrivals(struct bench_client *client, void *argument)
{
    bench_histogram_merge(argument, &((struct connect_client *)client->context)->arrivals);
}

static void gather_opens(struct bench_client *client, void *argument)
{
    bench_histogram_merge(argument, &client->opens);
}

/* ---- memory that is touched before ----------------------------------------------------------- */

static size_t stock_needed(uint64_t connections)
{
    return (size_t)connections * (KERNEL_BYTES_PAIR + USER_BYTES);
}

/* Only where both ends are here, and where it takes more than a moment. */
static void take_stock(const struct bench_server *server, struct bench_stock *stock,
                       json_t *figures)
{
    *stock = (struct bench_stock){0};
    if (connect_run.no_stock || !server->started || connect_run.count <= 20000)
        return;
    size_t available = bench_meminfo("MemAvailable");
    size_t most = available > SPARE_BYTES ? available - SPARE_BYTES : 0;
    size_t needed = stock_needed(connect_run.count);
    uint64_t began_ns = bench_clock_ns(CLOCK_MONOTONIC);
    bench_stock_take(stock, needed < most ? needed : most);
    json_object_set_new(figures, "memory_touched_s",
                        json_real((double)(bench_clock_ns(CLOCK_MONOTONIC) - began_ns) / 1e9));
}

/* Gives back what the connections to come will need soon. */
static void give_stock(struct bench_stock *stock, uint64_t done)
{
    size_t later = stock_needed(connect_run.count - done);
    bench_stock_give(stock, later > AHEAD_BYTES ? later - AHEAD_BYTES : 0);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void show_progress(const char *what, uint64_t done, uint64_t failed, size_t memory,
                          double seconds)
{
    static double shown;
    bool terminal = isatty(2);
    if (bench_settings.quiet || (!terminal && seconds - shown < LINE_MS / 1e3 && seconds >= shown))
        return;
    shown = seconds;
    fprintf(stderr, "%s%s %llu of %zu, %.0f/s, %llu failed, %.1f GB of memory left%s",
            terminal ? "\r\033[K" : "", what, (unsigned long long)done, connect_run.count,
            seconds > 0 ? (double)done / seconds : 0.0, (unsigned long long)failed,
            (double)memory / 1e9, terminal ? "" : "\n");
}

static void end_progress(void)
{
    if (isatty(2) && !bench_settings.quiet)
        fputs("\r\033[K", stderr);
}

static uint64_t done_of(const struct bench_client *client)
{
    uint64_t done = atomic_load_explicit(&client->open_count, memory_order_relaxed);
    for (unsigned i = 0; i < BENCH_FAILURES; i++)
        done += atomic_load_explicit(&client->failures[i], memory_order_relaxed);
    return done;
}

/* Which load threads are done; few open at once: more do not open faster, and the accept queue is
 * one. */
static unsigned count_active(const struct bench_fleet *fleet, unsigned begun)
{
    unsigned active = 0;
    for (unsigned i = 0; i < begun; i++)
        active +=
            done_of(&fleet->clients[i]) < bench_share(connect_run.count, i, fleet->clients_count);
    return active;
}

/* Each load thread's own address; a server that we did not start may not listen on them. */
static void aim(struct bench_opening *opening, const struct bench_server *server, unsigned ring)
{
    if (server->started && server->peer->ours)
        opening->address.at.in4.sin_addr.s_addr =
            htonl(INADDR_LOOPBACK + ((uint32_t)(ring % 250 + 1) << 8) + ring / 250);
}

static void begin_next(struct bench_fleet *fleet, const struct bench_server *server,
                       struct bench_opening opening, unsigned ring)
{
    aim(&opening, server, ring);
    bench_fleet_one(fleet, ring, begin_open, &opening);
}

static void check_ports(const struct bench_server *server)
{
    size_t targets = server->started && server->peer->ours ? connect_run.rings : 1;
    size_t ports = bench_ports_per_target();
    if (connect_run.count > ports * targets)
        bench_misuse("%zu connections to %zu address%s, but ip_local_port_range has %zu ports for "
                     "each: widen it, or run against more addresses",
                     connect_run.count, targets, targets == 1 ? "" : "es", ports);
}

/* Opens all of them; ns that it took. */
static uint64_t open_all(struct bench_fleet *fleet, const struct bench_server *server,
                         struct bench_stock *stock)
{
    struct bench_opening opening;
    unsigned active_max =
        bench_settings.threads > ACTIVE_MIN ? (unsigned)bench_settings.threads : ACTIVE_MIN;
    unsigned begun = 0;
    uint64_t last = 0;
    unsigned still_ms = 0;
    bench_fleet_opening(fleet, &server->url, NULL, &opening);
    opening.deaf = !connect_run.armed;
    opening.window = (uint32_t)connect_run.window;
    uint64_t began_ns = bench_clock_ns(CLOCK_MONOTONIC);
    for (unsigned look = 0;; look++) {
        while (begun < fleet->clients_count && count_active(fleet, begun) < active_max)
            begin_next(fleet, server, opening, begun++);
        uint64_t failed = bench_fleet_failed(fleet);
        uint64_t done = BENCH_SUM(fleet, open_count) + failed;
        uint64_t now_ns = bench_clock_ns(CLOCK_MONOTONIC);
        if (done >= connect_run.count)
            break;
        give_stock(stock, done);
        if (look % (LOOK_MS / 5) == 0) {
            size_t memory = bench_meminfo("MemAvailable") + bench_stock_left(stock);
            show_progress("open:", done, failed, memory, (double)(now_ns - began_ns) / 1e9);
            if (memory < SPARE_BYTES / 2)
                bench_die("stopped at %llu connections: less than %.1f GB of memory are left",
                          (unsigned long long)done, (double)SPARE_BYTES / 2e9);
        }
        still_ms = done == last ? still_ms + 5 : 0;
        last = done;
        if (still_ms > 3 * BENCH_PATIENCE_MS)
            bench_die("opening stands still at %llu of %zu", (unsigned long long)done,
                      connect_run.count);
        bench_sleep_ms(5);
    }
    end_progress();
    return bench_clock_ns(CLOCK_MONOTONIC) - began_ns;
}

/* ---- the rounds ------------------------------------------------------------------------------ */

static void put_real(json_t *figures, const char *name, double value)
{
    json_object_set_new(figures, name, json_real(value));
}

static void put_count(json_t *figures, const char *name, uint64_t value)
{
    json_object_set_new(figures, name, json_integer((json_int_t)value));
}

static void put_arrivals(struct bench_fleet *fleet, const char *name, json_t *figures)
{
    struct bench_histogram *all = bench_alloc(1, sizeof *all);
    for (unsigned i = 0; i < fleet->clients_count; i++)
        bench_fleet_one(fleet, i, gather_arrivals, all);
    json_object_set_new(figures, name,
                        json_pack("{s:f, s:f, s:f, s:f}", "first_ms", (double)all->min / 1e6,
                                  "median_ms", (double)bench_histogram_at(all, 0.5) / 1e6, "p99_ms",
                                  (double)bench_histogram_at(all, 0.99) / 1e6, "last_ms",
                                  (double)all->max / 1e6));
    free(all);
}

static void broadcast(struct bench_fleet *fleet, const struct bench_server *server, uint64_t open,
                      json_t *figures)
{
    uint64_t before = BENCH_SUM(fleet, done_count);
    bench_fleet_each(fleet, expect, NULL);
    atomic_store(&connect_run.sent_ns, bench_clock_ns(CLOCK_MONOTONIC));
    struct bench_poster poster;
    bench_poster_init(&poster, &server->url, false);
    int status = bench_poster_post(&poster, connect_run.payload, PAYLOAD_BYTES);
    bench_poster_close(&poster);
    if (status / 100 != 2)
        bench_die("the message was not taken: the server answered %d", status);
    bench_fleet_wait_for(fleet, offsetof(struct bench_client, done_count), before + open,
                         "the broadcast");
    put_arrivals(fleet, "broadcast", figures);
}

static void ping_round(struct bench_fleet *fleet, uint64_t open, json_t *figures)
{
    uint64_t before = BENCH_SUM(fleet, done_count);
    atomic_store(&connect_run.sent_ns, bench_clock_ns(CLOCK_MONOTONIC));
    bench_fleet_each(fleet, ping_all, NULL);
    bench_fleet_wait_for(fleet, offsetof(struct bench_client, done_count), before + open,
                         "the round of pings");
    put_arrivals(fleet, "ping_round", figures);
}

static void make_messages(void)
{
    uint8_t frame[64];
    static const uint8_t words[] = "are you still there?";
    size_t bytes = bench_frame_write(frame, FW_WS_PING, words, sizeof words - 1);
    bench_pattern_bytes(&connect_run.ping, frame, bytes, 1);
    for (size_t i = 0; i < PAYLOAD_BYTES; i++)
        connect_run.payload[i] = (uint8_t)('a' + i % 26);
}

struct memory_state {
    size_t kernel_bytes;
    size_t server_bytes;
    size_t load_bytes;
};

static struct memory_state memory_state(const struct bench_server *server)
{
    return (struct memory_state){
        .kernel_bytes = bench_meminfo("Slab"),
        .server_bytes = server->pid == 0 ? 0 : bench_memory_of(server->pid).rss_bytes,
        .load_bytes = bench_memory_of(getpid()).rss_bytes,
    };
}

static double each(size_t before, size_t after)
{
    return ((double)after - (double)before) / (double)connect_run.count;
}

static void report_open(struct bench_fleet *fleet, uint64_t took_ns, uint64_t open, json_t *figures)
{
    struct bench_histogram *all = bench_alloc(1, sizeof *all);
    for (unsigned i = 0; i < fleet->clients_count; i++)
        bench_fleet_one(fleet, i, gather_opens, all);
    put_count(figures, "connections", connect_run.count);
    put_count(figures, "open", open);
    put_count(figures, "failed", bench_fleet_failed(fleet));
    json_object_set_new(figures, "failures", bench_fleet_failures(fleet));
    put_real(figures, "time_to_all_s", (double)took_ns / 1e9);
    put_real(figures, "per_s", (double)open * 1e9 / (double)took_ns);
    json_object_set_new(figures, "connect_us", bench_latency_json(all));
    json_object_set_new(figures, "connect_curve", bench_curve_json(all));
    put_count(figures, "load_rings", fleet->clients_count);
    put_count(figures, "load_bytes_per_conn_struct", sizeof(struct bench_conn));
    free(all);
}

static void report_memory(const struct bench_server *server, struct memory_state before,
                          json_t *figures)
{
    struct memory_state after = memory_state(server);
    put_real(figures, "kernel_bytes_per_connection", each(before.kernel_bytes, after.kernel_bytes));
    put_real(figures, "load_bytes_per_connection", each(before.load_bytes, after.load_bytes));
    if (server->pid != 0)
        put_real(figures, "rss_bytes_per_conn", each(before.server_bytes, after.server_bytes));
    put_real(figures, "memory_left_gb", (double)bench_meminfo("MemAvailable") / 1e9);
}

static void close_all(struct bench_fleet *fleet, json_t *figures)
{
    uint64_t began_ns = bench_clock_ns(CLOCK_MONOTONIC);
    bench_fleet_stop(fleet);
    put_real(figures, "teardown_s", (double)(bench_clock_ns(CLOCK_MONOTONIC) - began_ns) / 1e9);
}

/* On shared CPUs the load is the limit when both together leave nothing of them. */
static void mark_shared(json_t *figures)
{
    double use = json_number_value(json_object_get(figures, "load_use")) +
                 json_number_value(json_object_get(figures, "server_use"));
    if (CPU_EQUAL(&bench_settings.server_cpus, &bench_settings.load_cpus))
        json_object_set_new(figures, "saturated",
                            json_boolean(use > 0.95 * CPU_COUNT(&bench_settings.load_cpus)));
}

static void run(struct bench_server *server, json_t *figures)
{
    struct bench_fleet fleet;
    struct bench_span span;
    unsigned rings = connect_run.rings;
    check_ports(server);
    make_messages();
    struct bench_stock stock;
    struct memory_state before = memory_state(server);
    take_stock(server, &stock, figures);
    bench_fleet_start(&fleet, rings, (uint32_t)((connect_run.count + rings - 1) / rings) + 1,
                      &handlers);
    bench_fleet_each(&fleet, give_context, NULL);
    bench_span_begin(&span, server->pid);
    uint64_t took_ns = open_all(&fleet, server, &stock);
    bench_span_end(&span);
    uint64_t open = BENCH_SUM(&fleet, open_count) - BENCH_SUM(&fleet, gone_count);
    bench_span_report(&span, "connection", open, (unsigned)CPU_COUNT(&bench_settings.load_cpus),
                      figures);
    mark_shared(figures);
    bench_stock_clear(&stock);
    report_open(&fleet, took_ns, open, figures);
    bench_sleep_ms(SETTLE_MS);
    report_memory(server, before, figures);
    bench_sleep_ms(connect_run.hold_ms);
    if (bench_fleet_failed(&fleet) > 0)
        bench_settings.failed = true;
    else {
        broadcast(&fleet, server, open, figures);
        if (!connect_run.no_ping)
            ping_round(&fleet, open, figures);
    }
    close_all(&fleet, figures);
    bench_pattern_clear(&connect_run.ping);
}

static void describe(char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "%zu connections", connect_run.count);
}

const struct bench_scenario bench_scenario_connect = {
    .name = "connect",
    .purpose = "very many connections: time, memory, one message to all, one ping from each",
    .options = options,
    .role = BENCH_FEED,
    .no_bare_tcp = true,
    .figure = "server_cpu_us_per_connection",
    .describe = describe,
    .prepare = prepare,
    .need = need,
    .run = run,
};
