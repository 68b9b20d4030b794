/* scenario_slow.c: some subscribers do not read: do the others notice, and what does it cost?
 *
 * The same feed is played twice against the same server: to readers only, then with the share that
 * sleeps. Afterwards the sleepers read what is there, to see which of them were cut off.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "feed.h"
#include "feed_publish.h"
#include "process.h"
#include "scenario.h"

static struct feed_options feed_options = {
    .subscribers = 100, .topics = 1, .publishers = 1, .payload_bytes = 16384, .burst = 1};
static size_t percent = 5;
static size_t rate = 400;
static size_t duration_ms = 3000;
static size_t wake_ms = 1000;

static const struct bench_option options[] = {
    BENCH_NUMBER("subscribers", &feed_options.subscribers, 2, 1000000, "subscribers"),
    BENCH_NUMBER("percent", &percent, 1, 99, "of them that do not read"),
    BENCH_NUMBER("payload", &feed_options.payload_bytes, FEED_HEAD_BYTES, 1u << 20,
                 "bytes of a message"),
    BENCH_NUMBER("rate", &rate, 1, 1000000, "messages a second"),
    BENCH_NUMBER("duration-ms", &duration_ms, 1, 3600000, "each time"),
    BENCH_NUMBER("wake-ms", &wake_ms, 1, 60000, "for the sleepers to read at the end"),
    BENCH_OPTIONS_THEN(bench_common_options),
};

static void wake_sleepers(struct bench_client *client, void *argument)
{
    (void)argument;
    for (uint32_t slot = 0; slot < client->slots_max; slot++) {
        const struct bench_conn *conn = &client->conns[slot];
        if (conn->state == BENCH_OPEN && conn->role == FEED_SLEEPER)
            bench_client_resume(client, slot);
    }
}

static size_t rss_of(const struct bench_server *server)
{
    return server->pid == 0 ? 0 : bench_memory_of(server->pid).rss_bytes;
}

/* Plays the feed once; `sleepers` of the subscribers do not read. */
static void play(struct bench_server *server, size_t sleepers, json_t *figures)
{
    struct bench_fleet fleet;
    struct bench_span span;
    struct feed_options own = feed_options;
    unsigned threads = (unsigned)bench_settings.threads;
    own.readers = sleepers == 0 ? 0 : own.subscribers - sleepers;
    bench_fleet_start(&fleet, threads, (uint32_t)(own.subscribers + 64), &feed_handlers);
    struct feed *feed = feed_open(&fleet, server, &own);
    size_t rss = rss_of(server);
    bench_span_begin(&span, server->pid);
    feed_play_rate(feed, (double)rate, duration_ms);
    bench_span_end(&span);
    bench_span_report(&span, "delivery", feed_delivered(feed), threads, figures);
    feed_report(feed, figures);
    json_object_set_new(figures, "rss_grew_bytes",
                        json_integer((json_int_t)rss_of(server) - (json_int_t)rss));
    bench_fleet_each(&fleet, wake_sleepers, NULL);
    bench_sleep_ms(sleepers == 0 ? 0 : wake_ms);
    json_object_set_new(figures, "cut_off", json_integer((json_int_t)bench_fleet_failed(&fleet)));
    json_object_set_new(figures, "cut_off_how", bench_fleet_failures(&fleet));
    bench_fleet_stop(&fleet);
    feed_free(feed);
}

static void run(struct bench_server *server, json_t *figures)
{
    size_t sleepers = feed_options.subscribers * percent / 100;
    if (sleepers == 0)
        sleepers = 1;
    json_t *alone = json_object();
    play(server, 0, alone);
    json_object_set_new(figures, "without_sleepers", alone);
    play(server, sleepers, figures);
    json_object_set_new(figures, "sleepers", json_integer((json_int_t)sleepers));
}

const struct bench_scenario bench_scenario_slow = {
    .name = "slow",
    .purpose =
        "a share of the subscribers does not read: the others' latency, memory, who is cut off",
    .options = options,
    .role = BENCH_FEED,
    .no_bare_tcp = true,
    .figure = "server_cpu_us_per_delivery",
    .run = run,
};
