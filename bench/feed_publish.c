/* feed_publish.c: publishers: requests that go out in rounds or by the clock, answers that come
 * back.
 *
 * A publisher has one batch under way: requests for one or more messages, sent in one piece. The
 * next is made when all its answers are there; what was due meanwhile goes with it, and says when
 * it was due.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "feed_publish.h"
#include "message.h"

#include "proto/ws_frame.h"

#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAM_BYTES_MAX 65000
/* What a message has in a batch beside its payload: a request's head, or a frame's with NATS. */
#define MESSAGE_EXTRA_BYTES ((size_t)BENCH_PATH_BYTES + BENCH_HOST_BYTES + 256)

void feed_topic_path(const struct feed *feed, size_t topic, char *path, size_t path_bytes)
{
    if (topic == 0)
        snprintf(path, path_bytes, "%s", feed->url.path);
    else
        snprintf(path, path_bytes, "%.*s-%zu", (int)path_bytes - 24, feed->url.path, topic);
}

/* ---- making ---------------------------------------------------------------------------------- */

/* Topics that a publisher publishes to: its own one, or every publishers-th. */
static size_t topics_of(const struct feed *feed, uint32_t publisher)
{
    const struct feed_options *options = &feed->options;
    if (options->publishers >= options->topics)
        return 1;
    return (options->topics - publisher + options->publishers - 1) / options->publishers;
}

static size_t topic_at(const struct feed *feed, uint32_t publisher, size_t index)
{
    if (feed->options.publishers >= feed->options.topics)
        return publisher % feed->options.topics;
    return publisher + index * feed->options.publishers;
}

void feed_publishers_create(struct bench_client *client, struct feed_client *own)
{
    const struct feed *feed = own->feed;
    unsigned clients = client->fleet->clients_count;
    for (size_t p = client->index; p < feed->options.publishers; p += clients)
        own->publishers_count++;
    own->publishers = bench_alloc(own->publishers_count, sizeof *own->publishers);
    for (size_t i = 0; i < own->publishers_count; i++) {
        struct feed_publisher *publisher = &own->publishers[i];
        publisher->number = (uint32_t)(client->index + i * clients);
        publisher->datagrams = -1;
        size_t topics = topics_of(feed, publisher->number);
        publisher->sequences = bench_alloc(topics, sizeof *publisher->sequences);
        size_t messages = topics * feed->options.burst;
        if (messages < FEED_BURST_MAX)
            messages = FEED_BURST_MAX;
        publisher->batch_room = messages * (feed->options.payload_bytes + MESSAGE_EXTRA_BYTES);
        publisher->payload = bench_alloc(1, feed->options.payload_bytes);
        publisher->batch.bytes = bench_alloc(1, publisher->batch_room);
        publisher->batch.units = 1;
    }
}

void feed_publishers_free(struct feed_client *own)
{
    for (size_t i = 0; i < own->publishers_count; i++) {
        struct feed_publisher *publisher = &own->publishers[i];
        if (publisher->datagrams >= 0)
            close(publisher->datagrams);
        free(publisher->sequences);
        free(publisher->batch.bytes);
        free(publisher->payload);
    }
    free(own->publishers);
}

void feed_publisher_opened(struct bench_client *client, uint32_t slot)
{
    struct feed_client *own = client->context;
    for (size_t i = 0; i < own->publishers_count; i++) {
        struct feed_publisher *publisher = &own->publishers[i];
        if (publisher->open)
            continue;
        publisher->open = true;
        publisher->slot = slot;
        client->conns[slot].role = FEED_PUBLISHER;
        own->topics[slot] = (uint32_t)i;
        return;
    }
    bench_die("a publisher's connection too many");
}

static void open_datagrams(struct bench_client *client, void *argument)
{
    struct feed_client *own = client->context;
    const struct feed *feed = argument;
    if (own->publishers_count == 0)
        return;
    struct feed_publisher *publisher = &own->publishers[0];
    publisher->datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (publisher->datagrams < 0 ||
        connect(publisher->datagrams, &feed->url.address.at.any, feed->url.address.bytes) != 0)
        bench_die("raw-fanout's control socket: %s", strerror(errno));
    publisher->open = true;
}

static void begin_open(struct bench_client *client, void *argument)
{
    const struct feed_client *own = client->context;
    client->opening = *(const struct bench_opening *)argument;
    if (own->publishers_count > 0)
        bench_client_open(client, (uint32_t)own->publishers_count);
}

void feed_publishers_open(struct feed *feed)
{
    struct bench_opening opening;
    struct bench_url url = feed->url;
    if (feed->raw) {
        bench_fleet_each(feed->fleet, open_datagrams, feed);
        return;
    }
    if (url.dialect == BENCH_NATS)
        url.path[0] = '\0'; /* a publisher subscribes to nothing */
    else {
        url.dialect = BENCH_BARE;
        url.speech = BENCH_HTTP;
    }
    bench_fleet_opening(feed->fleet, &url, NULL, &opening);
    opening.role = FEED_PUBLISHER;
    uint64_t open = BENCH_SUM(feed->fleet, open_count);
    bench_fleet_each(feed->fleet, begin_open, &opening);
    bench_fleet_wait_for(feed->fleet, offsetof(struct bench_client, open_count),
                         open + feed->options.publishers, "publishers' connections");
}

/* ---- a batch --------------------------------------------------------------------------------- */

/* Writes one message as its publisher's server takes it: a request, or a finished frame.
 *
 * returns      octets written
 */
static size_t write_message(const struct feed *feed, const struct feed_publisher *publisher,
                            size_t topic_index, const uint8_t *payload, uint8_t *out, size_t room)
{
    char path[BENCH_PATH_BYTES];
    size_t payload_bytes = feed->options.payload_bytes;
    const struct fw_ws_header header = {
        .payload_bytes = payload_bytes, .opcode = FW_WS_BINARY, .fin = true};
    size_t head;
    feed_topic_path(feed, topic_at(feed, publisher->number, topic_index), path, sizeof path);
    if (feed->url.dialect == BENCH_NATS)
        return bench_nats_publication(path, payload, payload_bytes, out);
    if (feed->raw)
        head = fw_ws_header_encode(&header, out);
    else
        head = (size_t)snprintf((char *)out, room,
                                "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: "
                                "application/octet-stream\r\nContent-Length: %zu\r\n\r\n",
                                path, feed->url.host, payload_bytes);
    memcpy(out + head, payload, payload_bytes);
    return head + payload_bytes;
}

/* Appends one message to the batch. */
static void append(const struct feed *feed, struct feed_publisher *publisher, size_t topic_index,
                   uint64_t due_ns)
{
    uint8_t *at = publisher->batch.bytes + publisher->batch.unit_bytes;
    size_t room = publisher->batch_room - publisher->batch.unit_bytes;
    size_t most = feed->options.payload_bytes + MESSAGE_EXTRA_BYTES;
    const struct feed_message message = {.publisher = publisher->number,
                                         .sequence = publisher->sequences[topic_index]++,
                                         .due_ns = due_ns};
    if (most > room)
        bench_die("a batch of messages does not fit");
    feed_message_write(&message, publisher->payload, feed->options.payload_bytes);
    publisher->batch.unit_bytes +=
        (uint32_t)write_message(feed, publisher, topic_index, publisher->payload, at, room);
    publisher->answers_left += !feed->raw;
}

static bool ready(const struct bench_client *client, const struct feed_publisher *publisher)
{
    return publisher->open && publisher->answers_left == 0 &&
           (publisher->datagrams >= 0 || bench_client_idle(client, publisher->slot));
}

static void send_batch(struct bench_client *client, struct feed_publisher *publisher)
{
    struct bench_pattern *batch = &publisher->batch;
    if (batch->unit_bytes == 0)
        return;
    if (publisher->datagrams < 0) {
        bench_client_owe(client, publisher->slot, batch, 1);
        return;
    }
    if (batch->unit_bytes > DATAGRAM_BYTES_MAX)
        bench_misuse("a burst of %u bytes does not fit into a datagram", batch->unit_bytes);
    if (send(publisher->datagrams, batch->bytes, batch->unit_bytes, 0) != batch->unit_bytes)
        bench_die("raw-fanout's control socket: %s", strerror(errno));
}

static void publish_round(struct bench_client *client, struct feed_publisher *publisher)
{
    const struct feed *feed = ((struct feed_client *)client->context)->feed;
    uint64_t now_ns = bench_clock_ns(CLOCK_MONOTONIC);
    publisher->batch.unit_bytes = 0;
    for (size_t topic = 0; topic < topics_of(feed, publisher->number); topic++) {
        for (size_t i = 0; i < feed->options.burst; i++)
            append(feed, publisher, topic, now_ns);
    }
    send_batch(client, publisher);
}

/* Readers of a topic: the sleepers' deliveries are not counted. */
static uint64_t readers_of(const struct feed *feed, size_t topic)
{
    const struct feed_options *options = &feed->options;
    size_t readers = options->readers == 0 ? options->subscribers : options->readers;
    return readers / options->topics + (topic < readers % options->topics);
}

/* Everything that is due, FEED_BURST_MAX at most: a burst may not become endless. */
static void publish_due(struct bench_client *client, struct feed_publisher *publisher)
{
    struct feed_client *own = client->context;
    const struct feed *feed = own->feed;
    uint64_t now_ns = bench_clock_ns(CLOCK_MONOTONIC);
    size_t topics = topics_of(feed, publisher->number);
    /* Publishers take turns within an interval. */
    double first_ns = (double)feed->clock_ns +
                      feed->interval_ns * publisher->number / (double)feed->options.publishers;
    publisher->batch.unit_bytes = 0;
    for (int i = 0; i < FEED_BURST_MAX; i++) {
        uint64_t due_ns = (uint64_t)(first_ns + feed->interval_ns * (double)publisher->next_due);
        if (due_ns > now_ns)
            break;
        size_t topic = (size_t)(publisher->next_due++ % topics);
        append(feed, publisher, topic, due_ns);
        own->expected += readers_of(feed, topic_at(feed, publisher->number, topic));
    }
    send_batch(client, publisher);
}

void feed_publish_turn(struct bench_client *client)
{
    struct feed_client *own = client->context;
    struct feed *feed = own->feed;
    bool clock = atomic_load(&feed->clock_runs);
    uint64_t begun = atomic_load(&feed->rounds_begun);
    for (size_t i = 0; i < own->publishers_count; i++) {
        struct feed_publisher *publisher = &own->publishers[i];
        if (clock && ready(client, publisher))
            publish_due(client, publisher);
        else if (!clock && publisher->round != begun && ready(client, publisher)) {
            publisher->round = begun;
            publish_round(client, publisher);
        } else if (!clock && publisher->round != begun)
            /* Its answer to a ping of NATS's is on its way: another turn. */
            fw_engine_wake(client->engine);
    }
    if (clock && own->publishers_count > 0)
        client->timeout_ms = feed->interval_ns > 4e6 ? 1 : 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Whether the server closes a connection behind its answer: then it gets a new one. */
static void answered(struct bench_client *client, struct feed_publisher *publisher,
                     const struct fw_http_head *head)
{
    struct feed_client *own = client->context;
    if (head->status / 100 != 2)
        bench_die("the server refused a message: status %u", head->status);
    if (publisher->answers_left == 0)
        bench_die("the server answered a message too many");
    publisher->answers_left--;
    own->taken += !own->feed->by_clock;
    if (head->keep_alive)
        return;
    if (publisher->answers_left > 0)
        bench_die("the server takes one POST a connection: a burst needs --publishers instead");
    publisher->open = false;
    bench_client_abort(client, publisher->slot);
    bench_client_open(client, 1);
}

void feed_publisher_acked(struct bench_client *client, uint32_t slot)
{
    struct feed_client *own = client->context;
    struct feed_publisher *publisher = &own->publishers[own->topics[slot]];
    if (publisher->answers_left == 0)
        bench_die("the server answered a message too many");
    publisher->answers_left--;
    own->taken += !own->feed->by_clock;
}

/* Takes one head off what came.
 *
 * returns      octets consumed
 */
static size_t read_answer_head(struct bench_client *client, struct feed_publisher *publisher,
                               const uint8_t *bytes, size_t count)
{
    struct fw_http_head head;
    struct fw_bytes coding;
    size_t before = publisher->in_bytes;
    size_t take = count < sizeof publisher->in - before ? count : sizeof publisher->in - before;
    memcpy(publisher->in + before, bytes, take);
    publisher->in_bytes += take;
    fw_http_head_init(&head);
    ssize_t whole = fw_http_response_parse(&head, publisher->in, publisher->in_bytes);
    if (whole < 0 || (whole == 0 && publisher->in_bytes == sizeof publisher->in))
        bench_die("the answer to a POST: %s",
                  fw_status_text(whole < 0 ? (int)whole : FW_ERR_HTTP_HEAD_TOO_LARGE));
    if (whole == 0)
        return take;
    if (fw_http_find(&head, publisher->in, "transfer-encoding", 0, &coding) >= 0 ||
        (!head.has_length && head.status != 204))
        bench_die("the answer to a POST has no Content-Length");
    publisher->in_bytes = 0;
    publisher->body_left = (size_t)head.content_length;
    answered(client, publisher, &head);
    return (size_t)whole - before;
}

void feed_publisher_answered(struct bench_client *client, uint32_t slot, uint8_t *bytes,
                             size_t count)
{
    struct feed_client *own = client->context;
    struct feed_publisher *publisher = &own->publishers[own->topics[slot]];
    while (count > 0 && publisher->open) {
        size_t used = publisher->body_left < count ? publisher->body_left : count;
        if (used > 0)
            publisher->body_left -= used;
        else
            used = read_answer_head(client, publisher, bytes, count);
        bytes += used;
        count -= used;
    }
    if (!publisher->open)
        publisher->body_left = 0;
}

/* ---- rounds and clock ------------------------------------------------------------------------ */

static void wake_all(struct feed *feed)
{
    for (unsigned i = 0; i < feed->fleet->clients_count; i++)
        fw_engine_wake(feed->fleet->clients[i].engine);
}

void feed_round_begin(struct feed *feed)
{
    uint64_t answers = feed->raw ? 0 : feed->messages_per_round;
    atomic_store(&feed->left, feed->deliveries_per_round + answers);
    atomic_fetch_add(&feed->rounds_begun, 1);
    wake_all(feed);
}

static void set_clock(struct bench_client *client, void *argument)
{
    struct feed_client *own = client->context;
    (void)argument;
    own->expected = 0;
    for (size_t i = 0; i < own->publishers_count; i++)
        own->publishers[i].next_due = 0;
}

void feed_clock_begin(struct feed *feed, double rate)
{
    bench_fleet_each(feed->fleet, set_clock, NULL);
    feed->interval_ns = 1e9 * (double)feed->options.publishers / rate;
    feed->clock_ns = bench_clock_ns(CLOCK_MONOTONIC);
    atomic_store(&feed->clock_runs, true);
    wake_all(feed);
}

void feed_clock_end(struct feed *feed)
{
    atomic_store(&feed->clock_runs, false);
}
