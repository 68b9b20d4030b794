/* scenario_resume.c: everybody comes back at once for what a topic's history holds; then the same
 * number of messages live: what does a delivery cost each time, and how long did the server's
 * worker take at most in one turn?
 *
 * The handshakes are in the resume's figure. Nobody may miss a message, get one twice, or out of
 * order. Of fanwire alone, which is told to measure its turns (--turn-times).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "feed_message.h"
#include "fleet.h"
#include "http_post.h"
#include "process.h"
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAYLOAD_BYTES_MAX 4096
#define FIGURES_BYTES     16384
#define TOPIC_BYTES       128

static size_t conns_count = 10000;
static size_t messages_count = 300;
static size_t payload_bytes = 100;
static size_t burst = 10;

static const struct bench_option options[] = {
    BENCH_NUMBER("connections", &conns_count, 1, 1000000, "subscribers that come back"),
    BENCH_NUMBER("messages", &messages_count, 1, 100000, "messages that are held, and then live"),
    BENCH_NUMBER("payload", &payload_bytes, FEED_HEAD_BYTES, PAYLOAD_BYTES_MAX,
                 "bytes of a message"),
    BENCH_NUMBER("burst", &burst, 1, 1000, "live messages published at once"),
    BENCH_OPTIONS_THEN(bench_common_options),
};

static void need(struct bench_start *start)
{
    static char flags[160];
    snprintf(flags, sizeof flags,
             "--history %zu --history-bytes 1000000000 --history-max 1000000000 --ping-interval 0 "
             "--turn-times",
             2 * messages_count);
    start->ours_flags = flags;
}

/* ---- on the clients' threads ----------------------------------------------------------------- */

struct subscriber {
    uint64_t next; /* the sequence number that is due */
    uint8_t head[FEED_HEAD_BYTES];
};

static void note(struct subscriber *subscriber, const struct bench_piece *piece)
{
    struct feed_message message;
    if (piece->at < FEED_HEAD_BYTES) {
        size_t room = FEED_HEAD_BYTES - piece->at;
        memcpy(subscriber->head + piece->at, piece->bytes,
               piece->count < room ? piece->count : room);
    }
    if (!piece->last)
        return;
    if (!feed_message_read(subscriber->head, &message))
        bench_die("a message is not what was published");
    if (message.sequence > 0 && subscriber->next == 0)
        bench_die("the history begins with message %llu, not 0: a running server needs --history "
                  "%zu",
                  (unsigned long long)message.sequence, 2 * messages_count);
    if (message.sequence != subscriber->next)
        bench_die("a subscriber got message %llu, not %llu", (unsigned long long)message.sequence,
                  (unsigned long long)subscriber->next);
    subscriber->next++;
}

static void on_piece(struct bench_client *client, uint32_t slot, const struct bench_piece *piece)
{
    struct subscriber *subscribers = client->context;
    note(&subscribers[slot], piece);
    if (piece->last)
        bench_count(&client->done_count, 1);
}

static void give_context(struct bench_client *client, void *argument)
{
    (void)argument;
    client->context = bench_alloc(client->slots_max, sizeof(struct subscriber));
}

static void on_end(struct bench_client *client)
{
    free(client->context);
}

static const struct bench_handlers handlers = {.on_piece = on_piece, .on_end = on_end};

/* ---- publishing ------------------------------------------------------------------------------ */

/* Publishes messages first to first + count - 1 with one POST. */
static void publish(struct bench_poster *poster, const char *topic, size_t first, size_t count)
{
    size_t line_bytes = payload_bytes + strlen(topic) + 64;
    char *body = bench_alloc(count, line_bytes);
    uint8_t payload[PAYLOAD_BYTES_MAX];
    size_t bytes = 0;
    for (size_t i = first; i < first + count; i++) {
        const struct feed_message message = {.sequence = i};
        feed_message_write(&message, payload, payload_bytes);
        bytes +=
            (size_t)snprintf(body + bytes, line_bytes, "{\"topic\":\"%s\",\"text\":\"%.*s\"}\n",
                             topic, (int)payload_bytes, (const char *)payload);
    }
    int status = bench_poster_post(poster, body, bytes);
    if (status != 200 && status != 202)
        bench_die("publishing was answered %d", status);
    free(body);
}

/* ---- the server's longest turn --------------------------------------------------------------- */

/* Of all turns so far. */
static double longest_turn_ms(struct bench_poster *poster)
{
    static const char name[] = "\nfanwire_turn_microseconds_max ";
    char text[FIGURES_BYTES];
    int status = bench_poster_get(poster, "/metrics", text, sizeof text);
    const char *line = strstr(text, name);
    if (status != 200 || line == NULL)
        bench_die("the server does not tell its longest turn at /metrics (it answered %d): is it "
                  "fanwire, with --turn-times?",
                  status);
    return (double)strtoull(line + sizeof name - 1, NULL, 10) / 1000;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void wait_for(struct bench_fleet *fleet, size_t each, const char *what)
{
    bench_fleet_wait_for(fleet, offsetof(struct bench_client, done_count),
                         (uint64_t)conns_count * each, what);
}

static double per_delivery_us(const struct bench_span *span)
{
    return (double)span->server_cpu_ns / 1e3 / ((double)conns_count * (double)messages_count);
}

static void play(struct bench_fleet *fleet, struct bench_server *server,
                 struct bench_poster *poster, const char *topic, json_t *figures)
{
    struct bench_opening opening;
    struct bench_span resume;
    struct bench_span live;
    struct bench_url url = server->url;
    snprintf(url.path, sizeof url.path, "/topics/%s?since=first", topic);
    bench_fleet_opening(fleet, &url, NULL, &opening);
    opening.window = 65536; /* all at once */
    double before_ms = longest_turn_ms(poster);
    bench_span_begin(&resume, server->pid);
    bench_fleet_open_all(fleet, &opening, conns_count);
    wait_for(fleet, messages_count, "deliveries of history");
    bench_span_end(&resume);
    double resumed_ms = longest_turn_ms(poster);
    if (!(resumed_ms > 0))
        bench_misuse("resume needs a server that measures its turns: --turn-times");
    bench_span_begin(&live, server->pid);
    for (size_t i = 0; i < messages_count; i += burst)
        publish(poster, topic, messages_count + i,
                messages_count - i < burst ? messages_count - i : burst);
    wait_for(fleet, 2 * messages_count, "live deliveries");
    bench_span_end(&live);
    bench_span_report(&resume, "delivery", conns_count * messages_count,
                      (unsigned)bench_settings.threads, figures);
    json_object_set_new(figures, "live_server_cpu_us_per_delivery",
                        json_real(per_delivery_us(&live)));
    json_object_set_new(figures, "resume_to_live",
                        json_real((double)resume.server_cpu_ns / (double)live.server_cpu_ns));
    json_object_set_new(figures, "turn_ms_max_before", json_real(before_ms));
    json_object_set_new(figures, "turn_ms_max_resume", json_real(resumed_ms));
    json_object_set_new(figures, "turn_ms_max_in_all", json_real(longest_turn_ms(poster)));
}

/* A running server's topic may have a history: its name is added to. */
static void name_topic(const struct bench_server *server, char topic[TOPIC_BYTES])
{
    const char *path = server->url.path;
    const char *name = strncmp(path, "/topics/", 8) == 0 ? path + 8 : "bench";
    if (server->started)
        snprintf(topic, TOPIC_BYTES, "%.64s", name);
    else
        snprintf(topic, TOPIC_BYTES, "%.64s-%d-%llx", name, getpid(),
                 (unsigned long long)bench_clock_ns(CLOCK_MONOTONIC));
}

static void run(struct bench_server *server, json_t *figures)
{
    struct bench_fleet fleet;
    struct bench_poster poster;
    struct bench_url batches = server->url;
    unsigned threads = (unsigned)bench_settings.threads;
    char topic[TOPIC_BYTES];
    name_topic(server, topic);
    if (server->pid == 0)
        bench_misuse("resume needs the server's process: --serve, or --server-pid");
    strcpy(batches.path, "/publish");
    bench_poster_init(&poster, &batches, true);
    for (size_t i = 0; i < messages_count; i += 100)
        publish(&poster, topic, i, messages_count - i < 100 ? messages_count - i : 100);
    bench_fleet_start(&fleet, threads, (uint32_t)(conns_count / threads) + 64, &handlers);
    bench_fleet_each(&fleet, give_context, NULL);
    play(&fleet, server, &poster, topic, figures);
    bench_poster_close(&poster);
    json_object_set_new(figures, "connections", json_integer((json_int_t)conns_count));
    bench_fleet_must_live(&fleet);
    bench_fleet_stop(&fleet);
}

const struct bench_scenario bench_scenario_resume = {
    .name = "resume",
    .purpose = "all come back for a topic's history at once: CPU per delivery, longest turn",
    .options = options,
    .role = BENCH_FEED,
    .no_bare_tcp = true,
    .figure = "server_cpu_us_per_delivery",
    .need = need,
    .run = run,
};
