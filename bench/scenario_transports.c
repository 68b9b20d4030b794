/* scenario_transports.c: the same feed by WebSocket, event stream, long poll and plain polling:
 * latency, octets, requests, the server's CPU time, at several rates.
 *
 * WebSockets, streams and long polls must get every message, in order. A plain poll sees the newest
 * message each time it asks; what it never sees is counted. Octets are those above TCP. The server
 * needs histories (fanwire-protocol(7)).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "feed_message.h"
#include "fleet.h"
#include "http_post.h"
#include "message.h"
#include "process.h"
#include "scenario.h"
#include "transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATES_MAX 8
/* A first message is published so often, and so long waited for each time. */
#define ROUSE_TRIES 20
#define ROUSE_MS    500

static size_t conns_count = 200;
static size_t payload_bytes = 200;
static size_t duration_ms = 3000;
static size_t poll_ms = 1000;
static const char *rates_text = "1,10,50";
static const char *only = "ws,sse,long-poll,poll";
static size_t rates[RATES_MAX];
static size_t rates_count;
static enum transport_kind kinds[4];
static size_t kinds_count;
static size_t rate; /* of the variant that runs */
static enum transport_kind kind;

static const char *const kind_names[] = {"ws", "sse", "long-poll", "poll"};

static const struct bench_option options[] = {
    BENCH_NUMBER("subscribers", &conns_count, 1, 20000, "subscribers of each kind"),
    BENCH_NUMBER("payload", &payload_bytes, FEED_HEAD_BYTES, 4096, "bytes of a message"),
    BENCH_TEXT("rates", &rates_text, "messages a second; a list"),
    BENCH_TEXT("only", &only, "the transports"),
    BENCH_NUMBER("poll-ms", &poll_ms, 1, 3600000, "between two plain polls of a subscriber"),
    BENCH_NUMBER("duration-ms", &duration_ms, 100, 3600000, "of each"),
    BENCH_OPTIONS_THEN(bench_common_options),
};

struct transports_client {
    struct transport *transports; /* by slot */
    uint32_t *slots;              /* by connection */
    uint8_t *heads;               /* ws: of the message that is coming, by slot */
    uint32_t conns_count;
    struct transport_sink sink;
    uint64_t skipped;
    uint64_t polls; /* plain: made so far */
    uint64_t began_ns;
    bool polling;
    struct bench_histogram latency;
};

static struct bench_url url; /* http, of the topic */

/* ---- on the clients' threads ----------------------------------------------------------------- */

/* Whether a message is a new one; what came between is a fault, but for plain polls. */
static bool is_new(struct bench_client *client, struct transport *transport, uint64_t sequence)
{
    struct transports_client *own = client->context;
    if (transport->any && sequence < transport->next) {
        if (kind != TRANSPORT_POLL)
            bench_die("a subscriber got message %llu twice", (unsigned long long)sequence);
        return false;
    }
    if (transport->any && sequence > transport->next) {
        if (kind != TRANSPORT_POLL)
            bench_die("a subscriber missed a message: %llu came, %llu is next",
                      (unsigned long long)sequence, (unsigned long long)transport->next);
        own->skipped += sequence - transport->next;
    }
    if (!transport->any)
        bench_count(&client->expected_next, 1); /* of those that are there */
    transport->any = true;
    transport->next = sequence + 1;
    return true;
}

static void on_message(struct bench_client *client, uint32_t slot, const uint8_t *bytes,
                       size_t count)
{
    struct transports_client *own = client->context;
    struct feed_message message;
    if (count != payload_bytes || !feed_message_read(bytes, &message) ||
        !bench_text_good(bytes + FEED_HEAD_BYTES, FEED_HEAD_BYTES, count - FEED_HEAD_BYTES))
        bench_die("a subscriber got %zu bytes that nobody published", count);
    if (!is_new(client, &own->transports[slot], message.sequence))
        return;
    uint64_t now_ns = bench_clock_ns(CLOCK_MONOTONIC);
    bench_histogram_record(&own->latency, now_ns > message.due_ns ? now_ns - message.due_ns : 0);
    bench_count(&client->done_count, 1);
}

static void on_piece(struct bench_client *client, uint32_t slot, const struct bench_piece *piece)
{
    struct transports_client *own = client->context;
    uint8_t *whole = own->heads + (size_t)slot * payload_bytes;
    if (piece->at + piece->count > payload_bytes)
        bench_die("a subscriber got a message of more than %zu bytes", payload_bytes);
    memcpy(whole + piece->at, piece->bytes, piece->count);
    if (piece->last)
        on_message(client, slot, whole, piece->at + piece->count);
}

static void on_bytes(struct bench_client *client, uint32_t slot, uint8_t *bytes, size_t count)
{
    struct transports_client *own = client->context;
    transport_read(client, slot, &own->transports[slot], &url, &own->sink, bytes, count);
}

static void on_open(struct bench_client *client, uint32_t slot)
{
    struct transports_client *own = client->context;
    transport_init(&own->transports[slot], kind);
    own->slots[client->conns[slot].id] = slot;
    if (kind == TRANSPORT_SSE || kind == TRANSPORT_LONG_POLL)
        transport_ask(client, slot, &own->transports[slot], &url, &own->sink);
}

/* Plain polls are spread over their interval. */
static void on_turn(struct bench_client *client)
{
    struct transports_client *own = client->context;
    if (own == NULL || !own->polling)
        return;
    uint64_t now_ns = bench_clock_ns(CLOCK_MONOTONIC);
    double interval_ns = (double)poll_ms * 1e6 / own->conns_count;
    while (own->began_ns + (uint64_t)((double)own->polls * interval_ns) <= now_ns) {
        uint32_t slot = own->slots[own->polls++ % own->conns_count];
        if (!own->transports[slot].waiting)
            transport_ask(client, slot, &own->transports[slot], &url, &own->sink);
    }
}

static void on_end(struct bench_client *client)
{
    struct transports_client *own = client->context;
    for (uint32_t i = 0; i < client->slots_max; i++)
        transport_clear(&own->transports[i]);
    free(own->transports);
    free(own->slots);
    free(own->heads);
    free(own);
}

static const struct bench_handlers handlers = {.on_open = on_open,
                                               .on_piece = on_piece,
                                               .on_bytes = on_bytes,
                                               .on_turn = on_turn,
                                               .on_end = on_end};

static void give_context(struct bench_client *client, void *argument)
{
    (void)argument;
    struct transports_client *own = bench_alloc(1, sizeof *own);
    own->conns_count =
        (uint32_t)bench_share(conns_count, client->index, client->fleet->clients_count);
    own->transports = bench_alloc(client->slots_max, sizeof *own->transports);
    own->slots = bench_alloc(own->conns_count, sizeof *own->slots);
    own->heads = bench_alloc(client->slots_max, payload_bytes);
    own->sink.on_message = on_message;
    client->context = own;
}

static void set_polling(struct bench_client *client, void *argument)
{
    struct transports_client *own = client->context;
    own->polling = kind == TRANSPORT_POLL && *(bool *)argument;
    own->began_ns = bench_clock_ns(CLOCK_MONOTONIC);
    own->polls = 0;
    client->timeout_ms = own->polling ? 1 : 100;
}

static void forget(struct bench_client *client, void *argument)
{
    struct transports_client *own = client->context;
    (void)argument;
    memset(&own->latency, 0, sizeof own->latency);
    own->sink.requests = 0;
    own->sink.sent_bytes = 0;
    own->skipped = 0;
}

static void gather(struct bench_client *client, void *argument)
{
    struct transports_client *all = argument;
    const struct transports_client *own = client->context;
    bench_histogram_merge(&all->latency, &own->latency);
    all->sink.requests += own->sink.requests;
    all->sink.sent_bytes += own->sink.sent_bytes;
    all->skipped += own->skipped;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void publish(struct bench_poster *poster, uint64_t sequence, uint64_t due_ns)
{
    uint8_t body[4096];
    const struct feed_message message = {.sequence = sequence, .due_ns = due_ns};
    feed_message_write(&message, body, payload_bytes);
    int status = bench_poster_post(poster, body, payload_bytes);
    if (status / 100 != 2)
        bench_die("a message was not taken: the server answered %d", status);
}

/* Publishes by the clock; returns how many. */
static uint64_t play(struct bench_poster *poster, uint64_t first)
{
    uint64_t began_ns = bench_clock_ns(CLOCK_MONOTONIC);
    uint64_t count = duration_ms * rate / 1000 < 2 ? 2 : duration_ms * rate / 1000;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t due_ns = began_ns + i * 1000000000u / rate;
        uint64_t now_ns = bench_clock_ns(CLOCK_MONOTONIC);
        if (due_ns > now_ns) {
            const struct timespec rest = {.tv_sec = (time_t)((due_ns - now_ns) / 1000000000u),
                                          .tv_nsec = (long)((due_ns - now_ns) % 1000000000u)};
            nanosleep(&rest, NULL);
        }
        publish(poster, first + i, due_ns);
    }
    return count;
}

static void report(struct bench_fleet *fleet, uint64_t deliveries, uint64_t received_bytes,
                   json_t *figures)
{
    struct transports_client *all = bench_alloc(1, sizeof *all);
    double each = deliveries == 0 ? 1 : (double)deliveries;
    for (unsigned i = 0; i < fleet->clients_count; i++)
        bench_fleet_one(fleet, i, gather, all);
    json_object_set_new(figures, "latency_us", bench_latency_json(&all->latency));
    json_object_set_new(figures, "latency_curve", bench_curve_json(&all->latency));
    json_object_set_new(figures, "rate", json_integer((json_int_t)rate));
    json_object_set_new(figures, "transport", json_string(kind_names[kind]));
    json_object_set_new(figures, "received_bytes_per_delivery",
                        json_real((double)received_bytes / each));
    json_object_set_new(figures, "sent_bytes_per_delivery",
                        json_real((double)all->sink.sent_bytes / each));
    json_object_set_new(figures, "requests_per_delivery",
                        json_real((double)all->sink.requests / each));
    json_object_set_new(figures, "skipped", json_integer((json_int_t)all->skipped));
    free(all);
}

/* Publishes until every subscriber has had a message: streams and polls are asked for, and no
 * answer says so before one. Then waits until nothing comes any more.
 *
 * returns      the sequence number that is next
 */
static uint64_t rouse(struct bench_fleet *fleet, struct bench_poster *poster)
{
    uint64_t sequence = 0;
    for (int tries = 0; BENCH_SUM(fleet, expected_next) < conns_count; tries++) {
        if (tries == ROUSE_TRIES)
            bench_die("%llu of %zu subscribers get messages",
                      (unsigned long long)BENCH_SUM(fleet, expected_next), conns_count);
        publish(poster, sequence++, bench_clock_ns(CLOCK_MONOTONIC));
        for (int i = 0; i < ROUSE_MS && BENCH_SUM(fleet, expected_next) < conns_count; i += 5)
            bench_sleep_ms(5);
    }
    for (uint64_t last = 0, now = 1; now != last; now = BENCH_SUM(fleet, done_count)) {
        last = BENCH_SUM(fleet, done_count);
        bench_sleep_ms(50);
    }
    return sequence;
}

/* Opens the subscribers and sees to it that each is there.
 *
 * returns      the sequence number that is next
 */
static uint64_t begin(struct bench_fleet *fleet, const struct bench_server *server,
                      struct bench_poster *poster)
{
    struct bench_opening opening;
    struct bench_url target = server->url;
    bool on = true;
    bench_fleet_each(fleet, give_context, NULL);
    target.speech = kind == TRANSPORT_WS ? BENCH_WS : BENCH_HTTP;
    bench_fleet_opening(fleet, &target, NULL, &opening);
    bench_fleet_open_all(fleet, &opening, conns_count);
    bench_fleet_each(fleet, set_polling, &on);
    uint64_t next = rouse(fleet, poster);
    bench_fleet_each(fleet, forget, NULL);
    return next;
}

static void run(struct bench_server *server, json_t *figures)
{
    struct bench_fleet fleet;
    struct bench_span span;
    struct bench_poster poster;
    bool off = false;
    unsigned threads =
        (unsigned)(bench_settings.threads < conns_count ? bench_settings.threads : conns_count);
    url = server->url;
    bench_poster_init(&poster, &server->url, true);
    bench_fleet_start(&fleet, threads, (uint32_t)(conns_count / threads) + 2, &handlers);
    uint64_t next = begin(&fleet, server, &poster);
    uint64_t before = BENCH_SUM(&fleet, done_count);
    uint64_t received = BENCH_SUM(&fleet, received_bytes);
    bench_span_begin(&span, server->pid);
    uint64_t published = play(&poster, next);
    if (kind == TRANSPORT_POLL)
        bench_sleep_ms(poll_ms + 100);
    else
        bench_fleet_wait_for(&fleet, offsetof(struct bench_client, done_count),
                             before + published * conns_count, "deliveries");
    bench_span_end(&span);
    uint64_t deliveries = BENCH_SUM(&fleet, done_count) - before;
    received = BENCH_SUM(&fleet, received_bytes) - received;
    bench_fleet_each(&fleet, set_polling, &off);
    bench_span_report(&span, "delivery", deliveries, threads, figures);
    report(&fleet, deliveries, received, figures);
    bench_poster_close(&poster);
    bench_fleet_stop(&fleet);
}

/* ---- variants -------------------------------------------------------------------------------- */

static void read_rates(void)
{
    const char *at = rates_text;
    rates_count = 0;
    do {
        char *end = NULL;
        unsigned long number = strtoul(at, &end, 10);
        if (end == at || number < 1 || number > 1000 || rates_count == RATES_MAX ||
            (*end != ',' && *end != '\0'))
            bench_misuse("--rates takes at most %d numbers from 1 to 1000, not '%s'", RATES_MAX,
                         rates_text);
        rates[rates_count++] = number;
        at = *end == ',' ? end + 1 : end;
    } while (*at != '\0');
}

static size_t variants(void)
{
    char text[64];
    char *rest = NULL;
    read_rates();
    snprintf(text, sizeof text, "%s", only);
    kinds_count = 0;
    for (char *word = strtok_r(text, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        size_t i = 0;
        while (i < 4 && strcmp(word, kind_names[i]) != 0)
            i++;
        if (i == 4 || kinds_count == 4)
            bench_misuse("--only takes ws, sse, long-poll and poll, not '%s'", word);
        kinds[kinds_count++] = (enum transport_kind)i;
    }
    return rates_count * kinds_count;
}

static void pick(size_t variant)
{
    kind = kinds[variant % kinds_count];
    rate = rates[variant / kinds_count];
}

static void describe(char *text, size_t text_bytes)
{
    static const char *const names[] = {"WebSocket", "event stream", "long poll", "plain poll"};
    snprintf(text, text_bytes, "%s, %zu a second to %zu", names[kind], rate, conns_count);
}

const struct bench_scenario bench_scenario_transports = {
    .name = "transports",
    .purpose = "one feed by WebSocket, event stream, long poll and polling: what each costs",
    .options = options,
    .role = BENCH_FEED,
    .no_bare_tcp = true,
    .figure = "server_cpu_us_per_delivery",
    .variants = variants,
    .select = pick,
    .describe = describe,
    .run = run,
};
