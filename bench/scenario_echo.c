/* scenario_echo.c: every message comes back: what does one cost the server, and how long does it
 * take?
 *
 * Closed loop: every connection writes `depth` messages at once, waits for all their replies, and
 * writes again: the figure is the server's CPU time per message. Open loop (--rate): messages go
 * out by the clock, whatever comes back, and latency counts from the time at which a message was
 * due, so that a server that stalls cannot hide it by slowing the load down. No reply may differ by
 * a byte from what it must be, and none may be missing at the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet.h"
#include "message.h"
#include "process.h"
#include "scenario.h"

#include "proto/ws_frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZES_MAX 32

static struct {
    const char *payloads;
    const char *connections;
    const char *depths;
    size_t payload_bytes; /* of the variant that runs */
    size_t conns_count;
    size_t depth;
    size_t rate;
    size_t warmup_ms;
    size_t duration_ms;
    bool text;
} echo = {
    .payloads = "20", .connections = "200", .depths = "1", .warmup_ms = 300, .duration_ms = 1500};

static const struct bench_option options[] = {
    BENCH_TEXT("payload", &echo.payloads, "bytes of a message; a list: 20,1024,16384"),
    BENCH_TEXT("connections", &echo.connections, "connections; a list"),
    BENCH_TEXT("depth", &echo.depths, "messages in flight on each; a list"),
    BENCH_NUMBER("rate", &echo.rate, 0, 100000000,
                 "messages a second, all connections together; without: as fast as they come back"),
    BENCH_NUMBER("warmup-ms", &echo.warmup_ms, 0, 3600000, "before that"),
    BENCH_NUMBER("duration-ms", &echo.duration_ms, 1, 3600000, "what is measured"),
    BENCH_FLAG("text", &echo.text, "text messages, not binary ones"),
    BENCH_OPTIONS_THEN(bench_common_options),
};

/* What each connection of a client has, by its number. */
struct echo_conn {
    uint32_t slot;
    uint32_t missing;   /* closed loop: replies of the batch that have not come */
    uint64_t replies;   /* whole ones */
    uint64_t sent_ns;   /* closed loop: when the batch went out */
    size_t reply_bytes; /* raw: of the present batch */
};

/* What each client has. */
struct echo_client {
    struct echo_conn *conns;
    uint32_t conns_count;
    bool sending;
    /* Messages that were due from here to there are measured, whenever their replies come: a server
     * that stalls to the end shall not lose its worst ones. */
    uint64_t measured_from_ns;
    uint64_t measured_to_ns;
    uint64_t began_ns; /* open loop: when message 0 was due */
    double interval_ns;
    uint64_t due_count; /* open loop: messages sent so far */
    struct bench_histogram latency;
    struct bench_histogram lag; /* open loop: how late we sent */
};

static struct {
    struct bench_pattern pattern;
    uint8_t *payload;
    size_t reply_bytes; /* raw: of one message */
} shared;

/* ---- what comes back ------------------------------------------------------------------------- */

static void send_batch(struct bench_client *client, uint32_t id)
{
    struct echo_client *own = client->context;
    own->conns[id].missing = (uint32_t)echo.depth;
    own->conns[id].sent_ns = bench_clock_ns(CLOCK_MONOTONIC);
    bench_client_owe(client, own->conns[id].slot, &shared.pattern, (uint32_t)echo.depth);
}

static bool measured(const struct echo_client *own, uint64_t due_ns)
{
    return due_ns >= own->measured_from_ns && due_ns < own->measured_to_ns;
}

/* One message has come back to a connection. */
static void replied(struct bench_client *client, uint32_t id)
{
    struct echo_client *own = client->context;
    uint64_t now_ns = bench_clock_ns(CLOCK_MONOTONIC);
    uint64_t due_ns = own->conns[id].sent_ns;
    if (echo.rate > 0) {
        double turn = (double)own->conns[id].replies * own->conns_count + id;
        due_ns = own->began_ns + (uint64_t)(turn * own->interval_ns);
    } else if (own->conns[id].missing == 0)
        bench_die("the server sent a message too many");
    own->conns[id].replies++;
    bench_count(&client->done_count, 1);
    if (measured(own, due_ns))
        bench_histogram_record(&own->latency, now_ns > due_ns ? now_ns - due_ns : 0);
    if (echo.rate == 0 && --own->conns[id].missing == 0 && own->sending)
        send_batch(client, id);
}

static void on_piece(struct bench_client *client, uint32_t slot, const struct bench_piece *piece)
{
    if (piece->at + piece->count > echo.payload_bytes ||
        memcmp(piece->bytes, shared.payload + piece->at, piece->count) != 0)
        bench_die("a reply is not what was sent (near byte %zu of %zu)", piece->at,
                  echo.payload_bytes);
    if (!piece->last)
        return;
    if (piece->at + piece->count != echo.payload_bytes)
        bench_die("a reply has %zu bytes, not %zu", piece->at + piece->count, echo.payload_bytes);
    replied(client, client->conns[slot].id);
}

/* Bare TCP has the bytes of frames without their meaning: they are only counted. */
static void on_bytes(struct bench_client *client, uint32_t slot, uint8_t *bytes, size_t count)
{
    struct echo_client *own = client->context;
    uint32_t id = client->conns[slot].id;
    (void)bytes;
    own->conns[id].reply_bytes += count;
    while (own->conns[id].reply_bytes >= shared.reply_bytes) {
        own->conns[id].reply_bytes -= shared.reply_bytes;
        replied(client, id);
    }
}

static void on_open(struct bench_client *client, uint32_t slot)
{
    struct echo_client *own = client->context;
    own->conns[client->conns[slot].id].slot = slot;
}

/* Open loop: everything that is due. */
static void on_turn(struct bench_client *client)
{
    struct echo_client *own = client->context;
    if (echo.rate == 0 || !own->sending)
        return;
    uint64_t now_ns = bench_clock_ns(CLOCK_MONOTONIC);
    for (;;) {
        uint64_t due_ns = own->began_ns + (uint64_t)((double)own->due_count * own->interval_ns);
        if (due_ns > now_ns)
            break;
        bench_client_owe(client, own->conns[own->due_count % own->conns_count].slot,
                         &shared.pattern, 1);
        own->due_count++;
        bench_count(&client->expected_next, 1);
        if (measured(own, due_ns))
            bench_histogram_record(&own->lag, now_ns - due_ns);
    }
    /* The engine's clock counts milliseconds: nearer than that we look again and again. */
    client->timeout_ms = own->interval_ns > 2e6 ? 1 : 0;
}

/* ---- phases ---------------------------------------------------------------------------------- */

static void give_context(struct bench_client *client, void *argument)
{
    (void)argument;
    struct echo_client *own = bench_alloc(1, sizeof *own);
    unsigned clients = client->fleet->clients_count;
    own->conns_count = (uint32_t)bench_share(echo.conns_count, client->index, clients);
    own->conns = bench_alloc(own->conns_count, sizeof *own->conns);
    if (echo.rate > 0)
        own->interval_ns = 1e9 * (double)echo.conns_count / own->conns_count / (double)echo.rate;
    client->context = own;
}

static void on_end(struct bench_client *client)
{
    struct echo_client *own = client->context;
    free(own->conns);
    free(own);
}

static const struct bench_handlers handlers = {.on_open = on_open,
                                               .on_piece = on_piece,
                                               .on_bytes = on_bytes,
                                               .on_turn = on_turn,
                                               .on_end = on_end};

static void begin(struct bench_client *client, void *argument)
{
    struct echo_client *own = client->context;
    (void)argument;
    own->sending = true;
    own->began_ns = bench_clock_ns(CLOCK_MONOTONIC);
    if (echo.rate > 0)
        client->timeout_ms = 0;
    for (uint32_t id = 0; echo.rate == 0 && id < own->conns_count; id++)
        send_batch(client, id);
}

static void measure_from_now(struct bench_client *client, void *argument)
{
    struct echo_client *own = client->context;
    (void)argument;
    own->measured_from_ns = bench_clock_ns(CLOCK_MONOTONIC);
    own->measured_to_ns = UINT64_MAX;
}

static void measure_to_now(struct bench_client *client, void *argument)
{
    struct echo_client *own = client->context;
    (void)argument;
    own->measured_to_ns = bench_clock_ns(CLOCK_MONOTONIC);
}

static void finish(struct bench_client *client, void *argument)
{
    struct echo_client *own = client->context;
    uint64_t *missing = argument; /* clients are asked one after the other */
    own->sending = false;
    client->timeout_ms = 100;
    *missing += own->due_count;
    for (uint32_t id = 0; id < own->conns_count; id++)
        *missing += echo.rate == 0 ? own->conns[id].missing + own->conns[id].replies : 0;
}

static void gather(struct bench_client *client, void *argument)
{
    struct echo_client *all = argument;
    const struct echo_client *own = client->context;
    bench_histogram_merge(&all->latency, &own->latency);
    bench_histogram_merge(&all->lag, &own->lag);
}

static void make_messages(const struct bench_url *url)
{
    const struct fw_ws_header header = {
        .payload_bytes = echo.payload_bytes, .opcode = FW_WS_BINARY, .fin = true};
    uint8_t scratch[FW_WS_HEADER_BYTES_MAX];
    shared.payload = bench_alloc(1, echo.payload_bytes);
    bench_text_write(shared.payload, 0, echo.payload_bytes);
    shared.reply_bytes = fw_ws_header_encode(&header, scratch) + echo.payload_bytes;
    bench_message_pattern(&shared.pattern, url, echo.text, shared.payload, echo.payload_bytes,
                          (uint32_t)echo.depth);
    if (url->speech == BENCH_RAW)
        memset(shared.pattern.bytes, 'x', (size_t)shared.pattern.unit_bytes * shared.pattern.units);
}

/* Whether the greater part of what a percentile tells is how late the load itself was. */
static bool late_at(const struct echo_client *all, double share)
{
    return 2 * bench_histogram_at(&all->lag, share) > bench_histogram_at(&all->latency, share);
}

static void report(struct bench_fleet *fleet, const struct bench_span *span, uint64_t messages,
                   json_t *figures)
{
    struct echo_client *all = bench_alloc(1, sizeof *all);
    for (unsigned i = 0; i < fleet->clients_count; i++)
        bench_fleet_one(fleet, i, gather, all);
    bench_span_report(span, "message", messages, fleet->clients_count, figures);
    json_object_set_new(figures, "payload_bytes", json_integer((json_int_t)echo.payload_bytes));
    json_object_set_new(figures, "connections", json_integer((json_int_t)echo.conns_count));
    json_object_set_new(figures, "depth", json_integer((json_int_t)echo.depth));
    json_object_set_new(figures, "rate", json_integer((json_int_t)echo.rate));
    json_object_set_new(figures, "latency_us", bench_latency_json(&all->latency));
    json_object_set_new(figures, "latency_curve", bench_curve_json(&all->latency));
    if (echo.rate > 0) {
        /* The load spins by the clock, so its CPU says nothing: whether it kept time does. Every
         * latency holds the message's own delay. */
        json_object_set_new(figures, "sent_late_us", bench_latency_json(&all->lag));
        json_object_set_new(figures, "saturated",
                            json_boolean(late_at(all, 0.5) || late_at(all, 0.99)));
        json_object_set_new(figures, "late_tail", json_boolean(late_at(all, 0.999)));
    }
    free(all);
}

static void run(struct bench_server *server, json_t *figures)
{
    struct bench_fleet fleet;
    struct bench_opening opening;
    struct bench_span span;
    uint64_t expected = 0;
    unsigned threads = (unsigned)bench_settings.threads;
    if (threads > echo.conns_count)
        threads = (unsigned)echo.conns_count;
    make_messages(&server->url);
    bench_fleet_start(&fleet, threads, (uint32_t)((echo.conns_count + threads - 1) / threads) + 1,
                      &handlers);
    bench_fleet_each(&fleet, give_context, NULL);
    bench_fleet_opening(&fleet, &server->url, NULL, &opening);
    bench_fleet_open_all(&fleet, &opening, echo.conns_count);
    bench_fleet_each(&fleet, begin, NULL);
    bench_fleet_sleep_ms(&fleet, echo.warmup_ms);
    bench_fleet_each(&fleet, measure_from_now, NULL);
    bench_span_begin(&span, server->pid);
    uint64_t before = BENCH_SUM(&fleet, done_count); /* where the clocks were read, both times */
    bench_fleet_sleep_ms(&fleet, echo.duration_ms);
    bench_span_end(&span);
    uint64_t messages = BENCH_SUM(&fleet, done_count) - before;
    bench_fleet_each(&fleet, measure_to_now, NULL);
    for (unsigned i = 0; i < threads; i++)
        bench_fleet_one(&fleet, i, finish, &expected);
    bench_fleet_wait_for(&fleet, offsetof(struct bench_client, done_count), expected, "replies");
    report(&fleet, &span, messages, figures);
    bench_fleet_stop(&fleet);
    bench_pattern_clear(&shared.pattern);
    free(shared.payload);
}

/* ---- variants -------------------------------------------------------------------------------- */

static size_t list(const char *name, const char *text, size_t most, size_t *numbers_out)
{
    size_t count = 0;
    for (;;) {
        char *end = NULL;
        unsigned long long number = strtoull(text, &end, 10);
        if (end == text || *text < '0' || *text > '9' || number > most || count == SIZES_MAX ||
            (*end != ',' && *end != '\0'))
            bench_misuse("--%s takes numbers up to %zu with commas between, not '%s'", name, most,
                         text);
        numbers_out[count++] = (size_t)number;
        if (*end == '\0')
            return count;
        text = end + 1;
    }
}

static struct {
    size_t payloads[SIZES_MAX], connections[SIZES_MAX], depths[SIZES_MAX];
    size_t payloads_count, connections_count, depths_count;
} lists;

static size_t variants(void)
{
    lists.payloads_count = list("payload", echo.payloads, 256u << 20, lists.payloads);
    lists.connections_count = list("connections", echo.connections, 1000000, lists.connections);
    lists.depths_count = list("depth", echo.depths, 4096, lists.depths);
    for (size_t i = 0; i < lists.connections_count; i++) {
        if (lists.connections[i] == 0)
            bench_misuse("--connections: at least 1");
    }
    for (size_t i = 0; i < lists.depths_count; i++) {
        if (lists.depths[i] == 0)
            bench_misuse("--depth: at least 1");
    }
    return lists.payloads_count * lists.connections_count * lists.depths_count;
}

static void pick(size_t variant)
{
    echo.payload_bytes = lists.payloads[variant % lists.payloads_count];
    variant /= lists.payloads_count;
    echo.conns_count = lists.connections[variant % lists.connections_count];
    echo.depth = lists.depths[variant / lists.connections_count];
}

static void describe(char *text, size_t text_bytes)
{
    char rate[32] = "";
    if (echo.rate > 0)
        snprintf(rate, sizeof rate, ", %zu/s", echo.rate);
    snprintf(text, text_bytes, "echo of %zu B, %zu connection%s, %zu in flight%s",
             echo.payload_bytes, echo.conns_count, echo.conns_count == 1 ? "" : "s", echo.depth,
             rate);
}

static void need(struct bench_start *start)
{
    static char flags[64];
    size_t most = echo.payload_bytes < 65536 ? 65536 : echo.payload_bytes;
    snprintf(flags, sizeof flags, "--max-message %zu", most);
    start->ours_flags = flags;
    start->payload_bytes = echo.payload_bytes;
}

const struct bench_scenario bench_scenario_echo = {
    .name = "echo",
    .purpose = "messages that come back: CPU per message, latency, closed or open loop",
    .options = options,
    .role = BENCH_ECHO,
    .figure = "server_cpu_us_per_message",
    .variants = variants,
    .select = pick,
    .describe = describe,
    .need = need,
    .run = run,
};
