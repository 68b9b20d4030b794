/* scenario_fanout.c: one message to many subscribers: what does a delivery cost, how long does it
 * take?
 *
 * As fast as it goes (rounds: a burst, then wait until all have all of it), or by the clock
 * (--rate: latency from when a message was due). No subscriber may miss one, get one twice, or get
 * them out of order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "feed.h"
#include "process.h"
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>

static struct feed_options feed_options = {
    .subscribers = 1000, .topics = 1, .publishers = 1, .payload_bytes = 100, .burst = 1};
static size_t rate;
static size_t rounds = 50;
static size_t warmup = 5;
static size_t duration_ms = 2000;

static const struct bench_option options[] = {
    BENCH_NUMBER("subscribers", &feed_options.subscribers, 1, 1000000, "subscribers"),
    BENCH_NUMBER("topics", &feed_options.topics, 1, 65536, "topics; each subscriber holds one"),
    BENCH_NUMBER("publishers", &feed_options.publishers, 1, FEED_PUBLISHERS_MAX, "publishers"),
    BENCH_NUMBER("payload", &feed_options.payload_bytes, FEED_HEAD_BYTES, 1u << 20,
                 "bytes of a message"),
    BENCH_NUMBER("burst", &feed_options.burst, 1, FEED_BURST_MAX, "messages published at once"),
    BENCH_NUMBER("rounds", &rounds, 1, 1000000, "bursts to measure"),
    BENCH_NUMBER("warmup", &warmup, 0, 1000000, "bursts before that"),
    BENCH_NUMBER("rate", &rate, 1, 10000000,
                 "messages a second, all publishers together; without: rounds"),
    BENCH_NUMBER("duration-ms", &duration_ms, 1, 3600000, "with --rate: how long"),
    BENCH_OPTIONS_THEN(bench_common_options),
};

static void play(struct feed *feed)
{
    if (rate > 0)
        feed_play_rate(feed, (double)rate, duration_ms);
    else
        feed_play_rounds(feed, rounds);
}

static void run(struct bench_server *server, json_t *figures)
{
    struct bench_fleet fleet;
    struct bench_span span;
    unsigned threads = (unsigned)bench_settings.threads;
    size_t all = feed_options.subscribers + feed_options.publishers;
    bench_fleet_start(&fleet, threads, (uint32_t)(all / threads + all % threads + 64),
                      &feed_handlers);
    struct feed *feed = feed_open(&fleet, server, &feed_options);
    feed_play_rounds(feed, warmup);
    feed_forget(feed);
    uint64_t before = feed_delivered(feed);
    bench_span_begin(&span, server->pid);
    play(feed);
    bench_span_end(&span);
    bench_span_report(&span, "delivery", feed_delivered(feed) - before, threads, figures);
    feed_report(feed, figures);
    json_object_set_new(figures, "rate", json_integer((json_int_t)rate));
    feed_check_quiet(feed);
    bench_fleet_stop(&fleet);
    feed_free(feed);
}

static void describe(char *text, size_t text_bytes)
{
    char how[48];
    if (rate > 0)
        snprintf(how, sizeof how, "%zu/s", rate);
    else
        snprintf(how, sizeof how, "%zu at once", feed_options.burst);
    snprintf(text, text_bytes, "fan-out of %zu B to %zu%s, %s", feed_options.payload_bytes,
             feed_options.subscribers, feed_options.topics > 1 ? " on several topics" : "", how);
}

const struct bench_scenario bench_scenario_fanout = {
    .name = "fanout",
    .purpose = "messages to many subscribers: CPU per delivery, latency, nothing missed or doubled",
    .options = options,
    .role = BENCH_FEED,
    .figure = "server_cpu_us_per_delivery",
    .describe = describe,
    .run = run,
};
