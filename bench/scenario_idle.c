/* scenario_idle.c: what does a connection that does nothing cost the server in memory?
 *
 * Reads the server's resident memory, opens connections (WebSocket subscribers, or bare TCP), lets
 * the server rest, reads again, and divides. Everything counts: also buffers that were touched for
 * the first time because so many handshakes came. --cycle has such memory touched before the first
 * reading, by that many connections that come and go. The kernel's memory is not in these figures:
 * `connect` reads it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet.h"
#include "process.h"
#include "scenario.h"

static size_t conns_count = 15000;
static size_t cycle_count;
static size_t settle_ms = 500;

static const struct bench_option options[] = {
    BENCH_NUMBER("connections", &conns_count, 1, 1000000, "connections to measure"),
    BENCH_NUMBER("cycle", &cycle_count, 0, 10000000, "opened and closed before that"),
    BENCH_NUMBER("settle-ms", &settle_ms, 0, 60000, "rest before a reading"),
    BENCH_OPTIONS_THEN(bench_common_options),
};

static const struct bench_handlers handlers = {0};

/* Opens and closes connections as often as asked, a few hundred at a time. */
static void cycle(const struct bench_server *server)
{
    struct bench_fleet fleet;
    struct bench_opening opening;
    for (size_t left = cycle_count; left > 0;) {
        size_t count = left < 500 ? left : 500;
        bench_fleet_start(&fleet, 1, 501, &handlers);
        bench_fleet_opening(&fleet, &server->url, NULL, &opening);
        bench_fleet_open_all(&fleet, &opening, count);
        bench_fleet_stop(&fleet);
        left -= count;
    }
}

static double each(size_t before, size_t after)
{
    return ((double)after - (double)before) / (double)conns_count;
}

static void put(json_t *figures, const char *name, double value)
{
    json_object_set_new(figures, name, json_real(value));
}

static void run(struct bench_server *server, json_t *figures)
{
    struct bench_fleet fleet;
    struct bench_opening opening;
    unsigned threads = (unsigned)bench_settings.threads;
    if (server->pid == 0)
        bench_misuse("idle needs to know the server's process: ,pid=PID or --server-pid");
    cycle(server);
    bench_fleet_start(&fleet, threads, (uint32_t)(conns_count / threads) + 64, &handlers);
    bench_fleet_opening(&fleet, &server->url, NULL, &opening);
    bench_fleet_open_all(&fleet, &opening, 1); /* the first one ever touches what all share */
    bench_sleep_ms(settle_ms);
    struct bench_memory before = bench_memory_of(server->pid);
    bench_fleet_open_all(&fleet, &opening, conns_count);
    bench_sleep_ms(settle_ms);
    struct bench_memory after = bench_memory_of(server->pid);
    bench_fleet_must_live(&fleet);
    json_object_set_new(figures, "connections", json_integer((json_int_t)conns_count));
    put(figures, "rss_bytes_per_conn", each(before.rss_bytes, after.rss_bytes));
    put(figures, "private_bytes_per_conn", each(before.private_bytes, after.private_bytes));
    put(figures, "anonymous_bytes_per_conn", each(before.anonymous_bytes, after.anonymous_bytes));
    put(figures, "rss_before_bytes", (double)before.rss_bytes);
    put(figures, "rss_after_bytes", (double)after.rss_bytes);
    bench_fleet_stop(&fleet);
}

const struct bench_scenario bench_scenario_idle = {
    .name = "idle",
    .purpose = "the server's memory for a subscribed connection that does nothing",
    .options = options,
    .role = BENCH_FEED,
    .figure = "rss_bytes_per_conn",
    .run = run,
};
