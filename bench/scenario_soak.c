/* scenario_soak.c: a feed plays for long while connections come and go: does memory grow?
 *
 * Once a second the server's resident memory is read; the slope of a straight line through all but
 * the first tenth, where a server fills its pools, is what a leak shows in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "feed.h"
#include "process.h"
#include "scenario.h"

#include <stdlib.h>

static struct feed_options feed_options = {
    .subscribers = 500, .topics = 10, .publishers = 2, .payload_bytes = 200, .burst = 1};
static size_t rate = 200;
static size_t churn = 100;
static size_t seconds = 60;

static const struct bench_option options[] = {
    BENCH_NUMBER("seconds", &seconds, 3, 1000000, "how long"),
    BENCH_NUMBER("subscribers", &feed_options.subscribers, 1, 1000000, "that stay"),
    BENCH_NUMBER("topics", &feed_options.topics, 1, 65536, "topics"),
    BENCH_NUMBER("publishers", &feed_options.publishers, 1, FEED_PUBLISHERS_MAX, "publishers"),
    BENCH_NUMBER("payload", &feed_options.payload_bytes, FEED_HEAD_BYTES, 1u << 20,
                 "bytes of a message"),
    BENCH_NUMBER("rate", &rate, 1, 10000000, "messages a second"),
    BENCH_NUMBER("churn", &churn, 1, 10000, "connections that come and go each second"),
    BENCH_OPTIONS_THEN(bench_common_options),
};

static const struct bench_handlers churn_handlers = {0};

static void come_and_go(const struct bench_server *server)
{
    struct bench_fleet fleet;
    struct bench_opening opening;
    bench_fleet_start(&fleet, 1, (uint32_t)churn + 1, &churn_handlers);
    bench_fleet_opening(&fleet, &server->url, NULL, &opening);
    bench_fleet_open_all(&fleet, &opening, churn);
    bench_fleet_stop(&fleet);
}

/* Least squares: bytes a second. */
static double slope_of(const double *rss, size_t count)
{
    double x_mean = (double)(count - 1) / 2;
    double y_mean = 0;
    double covariance = 0;
    double variance = 0;
    for (size_t i = 0; i < count; i++)
        y_mean += rss[i] / (double)count;
    for (size_t i = 0; i < count; i++) {
        covariance += ((double)i - x_mean) * (rss[i] - y_mean);
        variance += ((double)i - x_mean) * ((double)i - x_mean);
    }
    return variance > 0 ? covariance / variance : 0;
}

static void report_memory(const double *rss, json_t *figures)
{
    size_t skipped = seconds / 10;
    json_t *curve = json_array();
    for (size_t i = 0; i < seconds; i++)
        json_array_append_new(curve, json_real(rss[i]));
    json_object_set_new(figures, "rss_curve", curve);
    json_object_set_new(figures, "rss_first_bytes", json_real(rss[skipped]));
    json_object_set_new(figures, "rss_last_bytes", json_real(rss[seconds - 1]));
    json_object_set_new(figures, "rss_bytes_per_hour",
                        json_real(slope_of(rss + skipped, seconds - skipped) * 3600));
}

static void run(struct bench_server *server, json_t *figures)
{
    struct bench_fleet fleet;
    struct bench_span span;
    unsigned threads = (unsigned)bench_settings.threads;
    double *rss = bench_alloc(seconds, sizeof *rss);
    if (server->pid == 0)
        bench_misuse("soak needs to know the server's process: ,pid=PID or --server-pid");
    bench_fleet_start(&fleet, threads,
                      (uint32_t)(feed_options.subscribers + feed_options.publishers + 64),
                      &feed_handlers);
    struct feed *feed = feed_open(&fleet, server, &feed_options);
    bench_span_begin(&span, server->pid);
    for (size_t i = 0; i < seconds; i++) {
        feed_play_rate(feed, (double)rate, 1000);
        come_and_go(server);
        rss[i] = (double)bench_memory_of(server->pid).rss_bytes;
    }
    bench_span_end(&span);
    bench_span_report(&span, "delivery", feed_delivered(feed), threads, figures);
    feed_report(feed, figures);
    report_memory(rss, figures);
    json_object_set_new(figures, "connections_churned",
                        json_integer((json_int_t)(churn * seconds)));
    feed_check_quiet(feed);
    bench_fleet_stop(&fleet);
    feed_free(feed);
    free(rss);
}

const struct bench_scenario bench_scenario_soak = {
    .name = "soak",
    .purpose = "a feed for long while connections come and go: the slope of the server's memory",
    .options = options,
    .role = BENCH_FEED,
    .no_bare_tcp = true,
    .figure = "rss_bytes_per_hour",
    .run = run,
};
