/* fleet.c: starting, calling, waiting for and ending load threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet.h"
#include "message.h"
#include "opening.h"
#include "settings.h"

#include "proto/ws_handshake.h"

#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Receive memory of a client: what makes large messages cheap is not worth it a hundred times. */
#define RECEIVE_BYTES      ((uint32_t)4 << 20)
#define RECEIVE_BYTES_MANY ((uint32_t)512 << 10)
#define CLIENTS_MANY       16
/* Opened side by side by one client: far below any listener's backlog. */
#define WINDOW        128
#define REQUEST_BYTES 4096
#define POLL_MS       2
#define LOOK_MS       200 /* for losses, while something is measured: hardly ever */
/* Threads need little: no recursion, no large arrays on the stack but those of wolfSSL's. */
#define STACK_BYTES ((size_t)512 * 1024)

void bench_sleep_ms(uint64_t ms)
{
    struct timespec rest = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
        continue;
}

/* ---- calls ----------------------------------------------------------------------------------- */

void bench_fleet_ready(struct bench_client *client)
{
    struct bench_fleet *fleet = client->fleet;
    pthread_mutex_lock(&fleet->lock);
    fleet->pending--;
    pthread_cond_signal(&fleet->changed);
    pthread_mutex_unlock(&fleet->lock);
}

void bench_fleet_serve(struct bench_client *client)
{
    struct bench_fleet *fleet = client->fleet;
    pthread_mutex_lock(&fleet->lock);
    bool called = client->called;
    client->called = false;
    pthread_mutex_unlock(&fleet->lock);
    if (!called)
        return;
    fleet->call(client, fleet->argument);
    bench_fleet_ready(client);
}

static void call_some(struct bench_fleet *fleet, unsigned first, unsigned count,
                      void (*call)(struct bench_client *client, void *argument), void *argument)
{
    pthread_mutex_lock(&fleet->lock);
    fleet->call = call;
    fleet->argument = argument;
    fleet->pending = count;
    for (unsigned i = first; i < first + count; i++) {
        fleet->clients[i].called = true;
        fw_engine_wake(fleet->clients[i].engine);
    }
    while (fleet->pending > 0)
        pthread_cond_wait(&fleet->changed, &fleet->lock);
    pthread_mutex_unlock(&fleet->lock);
}

void bench_fleet_each(struct bench_fleet *fleet,
                      void (*call)(struct bench_client *client, void *argument), void *argument)
{
    call_some(fleet, 0, fleet->clients_count, call, argument);
}

void bench_fleet_one(struct bench_fleet *fleet, unsigned client,
                     void (*call)(struct bench_client *client, void *argument), void *argument)
{
    call_some(fleet, client, 1, call, argument);
}

/* ---- life ------------------------------------------------------------------------------------ */

void bench_fleet_start(struct bench_fleet *fleet, unsigned clients, uint32_t slots_each,
                       const struct bench_handlers *handlers)
{
    pthread_attr_t attributes;
    if (slots_each > fw_engine_slots_limit(bench_settings.engine))
        bench_misuse("%u connections a load thread, but RLIMIT_NOFILE allows %u: more --threads",
                     slots_each, fw_engine_slots_limit(bench_settings.engine));
    *fleet = (struct bench_fleet){.engine = bench_settings.engine,
                                  .receive_bytes =
                                      clients < CLIENTS_MANY ? RECEIVE_BYTES : RECEIVE_BYTES_MANY,
                                  .clients = bench_alloc(clients, sizeof *fleet->clients),
                                  .clients_count = clients,
                                  .pending = clients};
    pthread_mutex_init(&fleet->lock, NULL);
    pthread_cond_init(&fleet->changed, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (unsigned i = 0; i < clients; i++) {
        struct bench_client *client = &fleet->clients[i];
        client->fleet = fleet;
        client->index = i;
        client->handlers = handlers;
        client->slots_max = slots_each;
        if (pthread_create(&client->thread, &attributes, bench_client_main, client) != 0)
            bench_die("load thread %u of %u cannot be made", i, clients);
    }
    pthread_attr_destroy(&attributes);
    pthread_mutex_lock(&fleet->lock);
    while (fleet->pending > 0)
        pthread_cond_wait(&fleet->changed, &fleet->lock);
    pthread_mutex_unlock(&fleet->lock);
}

static void abort_all(struct bench_client *client, void *argument)
{
    (void)argument;
    client->to_open = 0;
    for (uint32_t slot = 0; slot < client->slots_max; slot++) {
        uint8_t state = client->conns[slot].state;
        if (state != BENCH_FREE && state != BENCH_CLOSING)
            bench_client_abort(client, slot);
    }
}

static bool any_left(const struct bench_client *client)
{
    for (uint32_t slot = 0; slot < client->slots_max; slot++) {
        if (client->conns[slot].state != BENCH_FREE)
            return true;
    }
    return client->under_way > 0;
}

static void stop_when_empty(struct bench_client *client, void *argument)
{
    bool *left = argument;
    if (any_left(client))
        *left = true; /* only one client is asked at a time */
    else
        client->stopping = true;
}

void bench_fleet_stop(struct bench_fleet *fleet)
{
    bench_fleet_each(fleet, abort_all, NULL);
    for (unsigned i = 0; i < fleet->clients_count; i++) {
        bool left = true;
        for (int tries = 0; left && tries < BENCH_PATIENCE_MS / POLL_MS; tries++) {
            left = false;
            bench_fleet_one(fleet, i, stop_when_empty, &left);
            if (left)
                bench_sleep_ms(POLL_MS);
        }
        if (left)
            bench_die("connections of load thread %u do not close", i);
        pthread_join(fleet->clients[i].thread, NULL);
    }
    bench_pattern_clear(&fleet->upgrade);
    bench_opening_clear(fleet);
    pthread_mutex_destroy(&fleet->lock);
    pthread_cond_destroy(&fleet->changed);
    free(fleet->clients);
    *fleet = (struct bench_fleet){0};
}

/* ---- opening --------------------------------------------------------------------------------- */

static void do_nothing(struct bench_client *client, void *argument)
{
    (void)client;
    (void)argument;
}

void bench_fleet_opening(struct bench_fleet *fleet, const struct bench_url *url,
                         const char *more_headers, struct bench_opening *opening_out)
{
    char request[REQUEST_BYTES];
    char target[BENCH_PATH_BYTES];
    char extensions[FW_WS_DEFLATE_TEXT_BYTES];
    *opening_out =
        (struct bench_opening){.address = url->address, .speech = url->speech, .window = WINDOW};
    bench_opening_tls(fleet, url, opening_out);
    if (url->speech != BENCH_WS)
        return;
    if (getrandom(opening_out->key, sizeof opening_out->key, 0) != sizeof opening_out->key)
        bench_die("getrandom: %s", strerror(errno));
    bench_dialect_target(url, target);
    ssize_t bytes = fw_ws_handshake_request(url->host, target, opening_out->key, NULL,
                                            bench_opening_extensions(url, extensions), more_headers,
                                            request, sizeof request);
    if (bytes < 0)
        bench_misuse("the URL's path cannot be asked for: %s", fw_status_text((int)bytes));
    bench_fleet_each(fleet, do_nothing, NULL); /* who still looked at the last one has done so */
    bench_pattern_clear(&fleet->upgrade);
    bench_pattern_bytes(&fleet->upgrade, request, (size_t)bytes, 1);
    opening_out->upgrade = &fleet->upgrade;
    bench_opening_dress(fleet, url, opening_out);
}

uint64_t bench_share_begin(uint64_t count, unsigned client, unsigned clients)
{
    return count * client / clients;
}

uint64_t bench_share(uint64_t count, unsigned client, unsigned clients)
{
    return bench_share_begin(count, client + 1, clients) -
           bench_share_begin(count, client, clients);
}

struct opening_call {
    const struct bench_opening *opening;
    uint64_t count;
};

static void begin_open(struct bench_client *client, void *argument)
{
    const struct opening_call *call = argument;
    client->opening = *call->opening;
    bench_client_open(
        client, (uint32_t)bench_share(call->count, client->index, client->fleet->clients_count));
}

uint64_t bench_fleet_open(struct bench_fleet *fleet, const struct bench_opening *opening,
                          uint64_t count)
{
    struct opening_call call = {opening, count};
    uint64_t open_before = BENCH_SUM(fleet, open_count);
    uint64_t failed_before = bench_fleet_failed(fleet);
    uint64_t last = 0;
    unsigned still_ms = 0;
    bench_fleet_each(fleet, begin_open, &call);
    for (;;) {
        uint64_t failed = bench_fleet_failed(fleet) - failed_before;
        uint64_t done = BENCH_SUM(fleet, open_count) - open_before + failed;
        if (done >= count)
            return failed;
        still_ms = done == last ? still_ms + POLL_MS : 0;
        last = done;
        if (still_ms > 2 * BENCH_PATIENCE_MS)
            bench_die("opening stands still: %llu of %llu connections after %d s of nothing",
                      (unsigned long long)done, (unsigned long long)count,
                      2 * BENCH_PATIENCE_MS / 1000);
        bench_sleep_ms(POLL_MS);
    }
}

void bench_fleet_open_all(struct bench_fleet *fleet, const struct bench_opening *opening,
                          uint64_t count)
{
    bench_fleet_open(fleet, opening, count);
    bench_fleet_must_live(fleet);
}

/* ---- sums ------------------------------------------------------------------------------------ */

uint64_t bench_fleet_sum(const struct bench_fleet *fleet, size_t counter)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < fleet->clients_count; i++) {
        const char *client = (const char *)&fleet->clients[i];
        sum += atomic_load_explicit((const atomic_uint_fast64_t *)(const void *)(client + counter),
                                    memory_order_relaxed);
    }
    return sum;
}

static uint64_t failed_by(const struct bench_fleet *fleet, unsigned kind)
{
    return bench_fleet_sum(fleet, offsetof(struct bench_client, failures) +
                                      kind * sizeof(atomic_uint_fast64_t));
}

uint64_t bench_fleet_failed(const struct bench_fleet *fleet)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < BENCH_FAILURES; i++)
        sum += failed_by(fleet, i);
    return sum;
}

json_t *bench_fleet_failures(const struct bench_fleet *fleet)
{
    json_t *kinds = json_object();
    for (unsigned i = 0; i < BENCH_FAILURES; i++) {
        uint64_t count = failed_by(fleet, i);
        if (count > 0)
            json_object_set_new(kinds, bench_failure_names[i], json_integer((json_int_t)count));
    }
    return kinds;
}

/* What the last failure of a kind was about. */
static void explain(struct bench_fleet *fleet, char *text, size_t text_bytes)
{
    text[0] = '\0';
    pthread_mutex_lock(&fleet->lock);
    for (unsigned i = 0; i < fleet->clients_count; i++) {
        const struct bench_client *client = &fleet->clients[i];
        if (client->refused_status != 0)
            snprintf(text, text_bytes, "; the server answered %d", client->refused_status);
        else if (client->failed_errno != 0)
            snprintf(text, text_bytes, "; connect: %s", fw_status_text(-client->failed_errno));
        else if (client->failed_why[0] != '\0')
            snprintf(text, text_bytes, "; %s", client->failed_why);
        else if (client->opening.speech == BENCH_RAW)
            snprintf(text, text_bytes,
                     "; tcp:// is for servers of bare TCP, as raw-echo; ws:// is WebSocket");
    }
    pthread_mutex_unlock(&fleet->lock);
}

void bench_fleet_must_live(struct bench_fleet *fleet)
{
    char why[320];
    if (bench_fleet_failed(fleet) == 0)
        return;
    json_t *kinds = bench_fleet_failures(fleet);
    char *text = json_dumps(kinds, 0);
    explain(fleet, why, sizeof why);
    bench_die("connections failed, so there is no result: %s%s", text, why);
}

void bench_fleet_wait_for(struct bench_fleet *fleet, size_t counter, uint64_t wanted,
                          const char *what)
{
    uint64_t last = 0;
    unsigned still_ms = 0;
    for (;;) {
        uint64_t now = bench_fleet_sum(fleet, counter);
        bench_fleet_must_live(fleet);
        if (now >= wanted)
            return;
        still_ms = now == last ? still_ms + POLL_MS : 0;
        last = now;
        if (still_ms > BENCH_PATIENCE_MS)
            bench_die(
                "%s: %llu of %llu, then nothing for %d s: they are lost, or the server stands "
                "still",
                what, (unsigned long long)now, (unsigned long long)wanted,
                BENCH_PATIENCE_MS / 1000);
        bench_sleep_ms(POLL_MS);
    }
}

void bench_fleet_sleep_ms(struct bench_fleet *fleet, uint64_t ms)
{
    uint64_t end_ns = bench_clock_ns(CLOCK_MONOTONIC) + ms * 1000000;
    uint64_t now_ns;
    while ((now_ns = bench_clock_ns(CLOCK_MONOTONIC)) < end_ns) {
        uint64_t left_ms = (end_ns - now_ns + 999999) / 1000000;
        bench_sleep_ms(left_ms < LOOK_MS ? left_ms : LOOK_MS);
        bench_fleet_must_live(fleet);
    }
}

/* ---- latencies ------------------------------------------------------------------------------- */

static json_t *us(uint64_t ns)
{
    return json_real((double)ns / 1e3);
}

json_t *bench_latency_json(const struct bench_histogram *histogram)
{
    static const struct {
        const char *name;
        double share;
    } points[] = {{"p50", 0.5},     {"p90", 0.9},       {"p99", 0.99},
                  {"p99_9", 0.999}, {"p99_99", 0.9999}, {"max", 1}};
    json_t *latency = json_object();
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        json_object_set_new(latency, points[i].name,
                            us(bench_histogram_at(histogram, points[i].share)));
    json_object_set_new(latency, "mean", json_real(bench_histogram_mean(histogram) / 1e3));
    json_object_set_new(latency, "count", json_integer((json_int_t)histogram->count));
    return latency;
}

json_t *bench_curve_json(const struct bench_histogram *histogram)
{
    json_t *curve = json_array();
    double tail = 1; /* what is above the point; halved again and again in quarters */
    while (histogram->count > 0 && tail * (double)histogram->count >= 1) {
        for (int quarter = 0; quarter < 4; quarter++) {
            double share = 1 - tail * (1 - quarter / 8.0);
            json_array_append_new(
                curve, json_pack("[f, o]", share, us(bench_histogram_at(histogram, share))));
        }
        tail /= 2;
    }
    json_array_append_new(curve, json_pack("[f, o]", 1.0, us(histogram->max)));
    return curve;
}
