/* scenario_churn.c: connections that come, are upgraded, and go: what does one cost the server?
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet.h"
#include "process.h"
#include "scenario.h"

#include "proto/ws_frame.h"

#include <string.h>

static size_t conns_count = 64;
static size_t warmup_ms = 300;
static size_t duration_ms = 1500;
static bool with_ping;
static const char *role = "feed";
static atomic_bool going;
static struct bench_pattern ping;

static const struct bench_option options[] = {
    BENCH_NUMBER("connections", &conns_count, 1, 20000, "at once"),
    BENCH_NUMBER("warmup-ms", &warmup_ms, 0, 3600000, "before that"),
    BENCH_NUMBER("duration-ms", &duration_ms, 1, 86400000, "what is measured"),
    BENCH_FLAG("ping", &with_ping, "one ping and its pong before it goes"),
    BENCH_TEXT("role", &role, "what they come to: feed (each subscribes) or echo"),
    BENCH_OPTIONS_THEN(bench_common_options),
};

static void go(struct bench_client *client, uint32_t slot)
{
    bench_client_abort(client, slot);
    bench_count(&client->done_count, 1);
    if (atomic_load(&going))
        bench_client_open(client, 1);
}

static void on_open(struct bench_client *client, uint32_t slot)
{
    if (with_ping)
        bench_client_owe(client, slot, &ping, 1);
    else
        go(client, slot);
}

static const struct bench_handlers handlers = {.on_open = on_open, .on_pong = go};

static void begin(struct bench_client *client, void *argument)
{
    client->opening = *(const struct bench_opening *)argument;
    client->opening.window = (uint32_t)conns_count;
    bench_client_open(
        client, (uint32_t)bench_share(conns_count, client->index, client->fleet->clients_count));
}

static void make_ping(void)
{
    uint8_t frame[32];
    size_t bytes = bench_frame_write(frame, FW_WS_PING, (const uint8_t *)"here", 4);
    bench_pattern_bytes(&ping, frame, bytes, 1);
}

/* At least one each: on a machine that has other things to do a handshake can take longer than what
 * is measured should, and half of one is no figure. */
static void wait_for_more(struct bench_fleet *fleet, uint64_t before)
{
    bench_fleet_wait_for(fleet, offsetof(struct bench_client, done_count), before + conns_count,
                         "connections that came and went");
}

static void need(struct bench_start *start_out)
{
    if (strcmp(role, "echo") == 0)
        start_out->role = BENCH_ECHO;
    else if (strcmp(role, "feed") != 0)
        bench_misuse("--role takes feed or echo, not '%s'", role);
}

static void run(struct bench_server *server, json_t *figures)
{
    struct bench_fleet fleet;
    struct bench_opening opening;
    struct bench_span span;
    unsigned threads = (unsigned)bench_settings.threads;
    if (threads > conns_count)
        threads = (unsigned)conns_count;
    make_ping();
    bench_fleet_start(&fleet, threads, (uint32_t)(2 * conns_count / threads) + 64, &handlers);
    bench_fleet_opening(&fleet, &server->url, NULL, &opening);
    atomic_store(&going, true);
    bench_fleet_each(&fleet, begin, &opening);
    bench_fleet_sleep_ms(&fleet, warmup_ms);
    wait_for_more(&fleet, 0);
    bench_span_begin(&span, server->pid);
    uint64_t before = BENCH_SUM(&fleet, done_count); /* where the clocks were read, both times */
    bench_fleet_sleep_ms(&fleet, duration_ms);
    wait_for_more(&fleet, before);
    bench_span_end(&span);
    uint64_t cycles = BENCH_SUM(&fleet, done_count) - before;
    atomic_store(&going, false);
    bench_fleet_must_live(&fleet);
    bench_span_report(&span, "cycle", cycles, threads, figures);
    json_object_set_new(figures, "connections", json_integer((json_int_t)conns_count));
    bench_fleet_stop(&fleet);
    bench_pattern_clear(&ping);
}

const struct bench_scenario bench_scenario_churn = {
    .name = "churn",
    .purpose = "connections that come, are upgraded, and go",
    .options = options,
    .role = BENCH_FEED,
    .need = need,
    .figure = "server_cpu_us_per_cycle",
    .run = run,
};
