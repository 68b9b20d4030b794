/* feed.c: publishing, counting and checking deliveries.
 *
 * A round ends when `left` is 0: deliveries and answers that are outstanding, all clients together.
 * Each client takes its share off once a turn; whoever takes the last begins the next round by
 * waking those that have publishers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "feed.h"
#include "feed_publish.h"
#include "message.h"
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a message that came twice has to show itself at the end. */
#define QUIET_MS 100

/* ---- deliveries ------------------------------------------------------------------------------ */

static void check_sequence(struct feed_client *own, uint32_t slot,
                           const struct feed_message *message)
{
    const struct feed *feed = own->feed;
    uint32_t topic = own->topics[slot];
    size_t ordinal = message->publisher / feed->options.topics;
    if (feed->options.publishers <= feed->options.topics)
        ordinal = 0;
    if (message->publisher >= feed->options.publishers ||
        (feed->options.publishers > feed->options.topics &&
         message->publisher % feed->options.topics != topic))
        bench_die("a subscriber got a message of a topic that it does not hold");
    uint64_t *next = &own->next[slot * feed->publishers_per_topic + ordinal];
    if (message->sequence < *next)
        bench_die("a subscriber got message %llu twice, or out of order (%llu is next)",
                  (unsigned long long)message->sequence, (unsigned long long)*next);
    if (message->sequence > *next)
        bench_die("a subscriber missed a message: %llu came, %llu is next",
                  (unsigned long long)message->sequence, (unsigned long long)*next);
    ++*next;
}

static void on_piece(struct bench_client *client, uint32_t slot, const struct bench_piece *piece)
{
    struct feed_client *own = client->context;
    struct feed *feed = own->feed;
    const uint8_t *bytes = piece->bytes;
    size_t at = piece->at;
    size_t count = piece->count;
    uint8_t *head = own->heads + (size_t)slot * FEED_HEAD_BYTES;
    if (at < FEED_HEAD_BYTES) {
        size_t take = count < FEED_HEAD_BYTES - at ? count : FEED_HEAD_BYTES - at;
        memcpy(head + at, bytes, take);
        bytes += take;
        at += take;
        count -= take;
    }
    if (count > 0 && !bench_text_good(bytes, at, count))
        bench_die("a subscriber got other bytes than were published");
    if (!piece->last)
        return;
    struct feed_message message;
    if (at + count != feed->options.payload_bytes || !feed_message_read(head, &message))
        bench_die("a subscriber got a message of %zu bytes that nobody published", at + count);
    check_sequence(own, slot, &message);
    uint64_t now_ns = bench_clock_ns(CLOCK_MONOTONIC);
    bench_histogram_record(&own->latency, now_ns > message.due_ns ? now_ns - message.due_ns : 0);
    bench_count(&client->done_count, 1);
    own->taken++;
}

/* raw-fanout says with one octet that a connection is counted in; what follows are frames. */
static void greeted(struct bench_client *client, uint32_t slot)
{
    client->conns[slot].speech = BENCH_WS;
    bench_count(&client->expected_next, 1);
}

static void on_bytes(struct bench_client *client, uint32_t slot, uint8_t *bytes, size_t count)
{
    if (client->conns[slot].role == FEED_PUBLISHER)
        feed_publisher_answered(client, slot, bytes, count);
    else if (count == 1)
        greeted(client, slot);
    else
        bench_die("raw-fanout greets with one octet, not %zu", count);
}

/* NATS answers a publisher with a pong. */
static void on_pong(struct bench_client *client, uint32_t slot)
{
    if (client->conns[slot].role == FEED_PUBLISHER)
        feed_publisher_acked(client, slot);
}

static void on_open(struct bench_client *client, uint32_t slot)
{
    struct feed_client *own = client->context;
    own->topics[slot] = client->opening.topic;
    if (client->conns[slot].role == FEED_PUBLISHER)
        feed_publisher_opened(client, slot);
    else if (client->conns[slot].role == FEED_SLEEPER)
        bench_client_pause(client, slot);
}

/* What this turn brought is taken off; whoever takes the last begins the next round. */
static void settle(struct bench_client *client)
{
    struct feed_client *own = client->context;
    struct feed *feed = own->feed;
    uint64_t taken = own->taken;
    if (taken == 0)
        return;
    own->taken = 0;
    if (atomic_fetch_sub(&feed->left, taken) != taken || feed->by_clock)
        return;
    uint64_t done = atomic_fetch_add(&feed->rounds_done, 1) + 1;
    if (done >= feed->rounds_wanted)
        return;
    feed_round_begin(feed);
}

static void on_turn(struct bench_client *client)
{
    if (client->context == NULL)
        return;
    settle(client);
    feed_publish_turn(client);
}

static void on_end(struct bench_client *client)
{
    struct feed_client *own = client->context;
    if (own == NULL)
        return;
    feed_publishers_free(own);
    free(own->topics);
    free(own->heads);
    free(own->next);
    free(own);
}

const struct bench_handlers feed_handlers = {.on_open = on_open,
                                             .on_piece = on_piece,
                                             .on_bytes = on_bytes,
                                             .on_pong = on_pong,
                                             .on_turn = on_turn,
                                             .on_end = on_end};

/* ---- opening --------------------------------------------------------------------------------- */

static void give_context(struct bench_client *client, void *argument)
{
    struct feed *feed = argument;
    struct feed_client *own = bench_alloc(1, sizeof *own);
    own->feed = feed;
    own->topics = bench_alloc(client->slots_max, sizeof *own->topics);
    own->heads = bench_alloc(client->slots_max, FEED_HEAD_BYTES);
    own->next = bench_alloc(client->slots_max * feed->publishers_per_topic, sizeof *own->next);
    feed_publishers_create(client, own);
    client->context = own;
}

/* How many subscribers a topic has. */
static uint64_t subscribers_of(const struct feed *feed, size_t topic)
{
    return feed->options.subscribers / feed->options.topics +
           (topic < feed->options.subscribers % feed->options.topics);
}

static uint64_t readers_of(const struct feed *feed, size_t topic)
{
    const struct feed_options *options = &feed->options;
    if (options->readers == 0)
        return subscribers_of(feed, topic);
    return options->readers / options->topics + (topic < options->readers % options->topics);
}

static void open_subscribers(struct feed *feed, const struct bench_server *server)
{
    struct bench_url url = server->url;
    struct bench_opening opening;
    for (size_t topic = 0; topic < feed->options.topics; topic++) {
        if (topic > 0)
            feed_topic_path(feed, topic, url.path, sizeof url.path);
        bench_fleet_opening(feed->fleet, &url, NULL, &opening);
        opening.topic = (uint32_t)topic;
        opening.role = FEED_SUBSCRIBER;
        uint64_t readers = readers_of(feed, topic);
        bench_fleet_open_all(feed->fleet, &opening, readers);
        opening.role = FEED_SLEEPER;
        if (readers < subscribers_of(feed, topic))
            bench_fleet_open_all(feed->fleet, &opening, subscribers_of(feed, topic) - readers);
    }
    if (feed->raw)
        bench_fleet_wait_for(feed->fleet, offsetof(struct bench_client, expected_next),
                             feed->options.subscribers, "raw-fanout's greetings");
}

struct feed *feed_open(struct bench_fleet *fleet, const struct bench_server *server,
                       const struct feed_options *options)
{
    struct feed *feed = bench_alloc(1, sizeof *feed);
    *feed = (struct feed){.fleet = fleet, .options = *options, .url = server->url};
    feed->raw = server->url.speech == BENCH_RAW;
    feed->publishers_per_topic =
        options->publishers <= options->topics
            ? 1
            : (options->publishers + options->topics - 1) / options->topics;
    if (feed->raw && (options->topics > 1 || options->publishers > 1))
        bench_misuse("raw-fanout has one topic and one publisher");
    if (options->payload_bytes < FEED_HEAD_BYTES)
        bench_misuse("--payload is %d at least: each message says who it is", FEED_HEAD_BYTES);
    if (options->topics > options->subscribers)
        bench_misuse("more topics than subscribers");
    for (size_t topic = 0; topic < options->topics; topic++) {
        size_t publishers =
            options->publishers <= options->topics ? 1 : bench_share_of_topic(options, topic);
        feed->deliveries_per_round += readers_of(feed, topic) * publishers * options->burst;
        feed->messages_per_round += publishers * options->burst;
    }
    bench_fleet_each(fleet, give_context, feed);
    open_subscribers(feed, server);
    feed_publishers_open(feed);
    return feed;
}

/* ---- playing --------------------------------------------------------------------------------- */

void feed_play_rounds(struct feed *feed, uint64_t rounds)
{
    feed->by_clock = false;
    feed->rounds_wanted = atomic_load(&feed->rounds_done) + rounds;
    uint64_t wanted = feed_delivered(feed) + rounds * feed->deliveries_per_round;
    if (rounds == 0)
        return;
    feed_round_begin(feed);
    bench_fleet_wait_for(feed->fleet, offsetof(struct bench_client, done_count), wanted,
                         "deliveries");
    while (atomic_load(&feed->rounds_done) < feed->rounds_wanted)
        bench_sleep_ms(1); /* the last answers */
}

static void stop_clock(struct bench_client *client, void *argument)
{
    const struct feed_client *own = client->context;
    client->timeout_ms = 100;
    *(uint64_t *)argument += own->expected; /* clients are asked one after the other */
}

void feed_play_rate(struct feed *feed, double rate, uint64_t duration_ms)
{
    uint64_t expected = feed_delivered(feed);
    feed->by_clock = true;
    feed_clock_begin(feed, rate);
    bench_fleet_sleep_ms(feed->fleet, duration_ms);
    feed_clock_end(feed);
    for (unsigned i = 0; i < feed->fleet->clients_count; i++)
        bench_fleet_one(feed->fleet, i, stop_clock, &expected);
    bench_fleet_wait_for(feed->fleet, offsetof(struct bench_client, done_count), expected,
                         "deliveries");
}

uint64_t feed_delivered(const struct feed *feed)
{
    return BENCH_SUM(feed->fleet, done_count);
}

static void forget(struct bench_client *client, void *argument)
{
    struct feed_client *own = client->context;
    (void)argument;
    memset(&own->latency, 0, sizeof own->latency);
}

void feed_forget(struct feed *feed)
{
    bench_fleet_each(feed->fleet, forget, NULL);
}

static void gather(struct bench_client *client, void *argument)
{
    bench_histogram_merge(argument, &((struct feed_client *)client->context)->latency);
}

void feed_report(struct feed *feed, json_t *figures)
{
    struct bench_histogram *all = bench_alloc(1, sizeof *all);
    for (unsigned i = 0; i < feed->fleet->clients_count; i++)
        bench_fleet_one(feed->fleet, i, gather, all);
    json_object_set_new(figures, "latency_us", bench_latency_json(all));
    json_object_set_new(figures, "latency_curve", bench_curve_json(all));
    json_object_set_new(figures, "subscribers",
                        json_integer((json_int_t)feed->options.subscribers));
    json_object_set_new(figures, "payload_bytes",
                        json_integer((json_int_t)feed->options.payload_bytes));
    json_object_set_new(figures, "burst", json_integer((json_int_t)feed->options.burst));
    json_object_set_new(figures, "topics", json_integer((json_int_t)feed->options.topics));
    json_object_set_new(figures, "publishers", json_integer((json_int_t)feed->options.publishers));
    free(all);
}

void feed_check_quiet(struct feed *feed)
{
    uint64_t before = feed_delivered(feed);
    bench_sleep_ms(QUIET_MS);
    if (feed_delivered(feed) != before)
        bench_die("subscribers got more than was published");
}

void feed_free(struct feed *feed)
{
    free(feed);
}
