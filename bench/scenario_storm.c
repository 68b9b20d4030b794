/* scenario_storm.c: everybody is cut off and comes back at once, as after a network's hiccup.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet.h"
#include "process.h"
#include "scenario.h"

#include <stdlib.h>
#include <string.h>

static size_t conns_count = 5000;
static size_t storms = 3;
static size_t window = 1024;

static const struct bench_option options[] = {
    BENCH_NUMBER("connections", &conns_count, 1, 1000000, "subscribers that come back"),
    BENCH_NUMBER("storms", &storms, 1, 10000, "how often"),
    BENCH_NUMBER("window", &window, 1, 65536, "connects in flight a load thread"),
    BENCH_OPTIONS_THEN(bench_common_options),
};

static const struct bench_handlers handlers = {0};

static void cut_off(struct bench_client *client, void *argument)
{
    (void)argument;
    memset(&client->opens, 0, sizeof client->opens);
    for (uint32_t slot = 0; slot < client->slots_max; slot++) {
        if (client->conns[slot].state == BENCH_OPEN)
            bench_client_abort(client, slot);
    }
}

static void gather(struct bench_client *client, void *argument)
{
    bench_histogram_merge(argument, &client->opens);
}

static void run(struct bench_server *server, json_t *figures)
{
    struct bench_fleet fleet;
    struct bench_opening opening;
    struct bench_span span;
    struct bench_histogram *all = bench_alloc(1, sizeof *all);
    unsigned threads = (unsigned)bench_settings.threads;
    uint64_t slowest_ns = 0;
    bench_fleet_start(&fleet, threads, (uint32_t)(conns_count / threads) + 64, &handlers);
    bench_fleet_opening(&fleet, &server->url, NULL, &opening);
    opening.window = (uint32_t)window;
    bench_fleet_open_all(&fleet, &opening, conns_count);
    bench_span_begin(&span, server->pid);
    for (size_t i = 0; i < storms; i++) {
        uint64_t began_ns = bench_clock_ns(CLOCK_MONOTONIC);
        bench_fleet_each(&fleet, cut_off, NULL);
        bench_fleet_open_all(&fleet, &opening, conns_count);
        uint64_t took_ns = bench_clock_ns(CLOCK_MONOTONIC) - began_ns;
        slowest_ns = took_ns > slowest_ns ? took_ns : slowest_ns;
        for (unsigned client = 0; client < threads; client++)
            bench_fleet_one(&fleet, client, gather, all);
    }
    bench_span_end(&span);
    bench_span_report(&span, "connection", conns_count * storms, threads, figures);
    json_object_set_new(figures, "connections", json_integer((json_int_t)conns_count));
    json_object_set_new(figures, "all_back_s_worst", json_real((double)slowest_ns / 1e9));
    json_object_set_new(figures, "connect_us", bench_latency_json(all));
    json_object_set_new(figures, "connect_curve", bench_curve_json(all));
    bench_fleet_stop(&fleet);
    free(all);
}

const struct bench_scenario bench_scenario_storm = {
    .name = "storm",
    .purpose = "all subscribers are cut off and come back at once",
    .options = options,
    .role = BENCH_FEED,
    .figure = "server_cpu_us_per_connection",
    .run = run,
};
