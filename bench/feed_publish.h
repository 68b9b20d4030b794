/* feed_publish.h: what feed.c and feed_publish.c share; nobody else includes this.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_FEED_PUBLISH_H
#define FW_BENCH_FEED_PUBLISH_H

#include "feed.h"
#include "support.h"

#include "proto/http1.h"

enum feed_role { FEED_SUBSCRIBER, FEED_SLEEPER, FEED_PUBLISHER };

/* One connection that POSTs, or raw-fanout's socket of datagrams. */
struct feed_publisher {
    uint32_t number;
    uint32_t slot;
    bool open;
    int datagrams;              /* raw; -1 otherwise */
    struct bench_pattern batch; /* requests in a row, as one unit; rewritten for each batch */
    size_t batch_room;
    uint8_t *payload; /* of the message that is being made */
    uint32_t answers_left;
    uint64_t round;      /* the last one that it has begun */
    uint64_t *sequences; /* by topic that it publishes to */
    uint64_t next_due;   /* by clock: messages of ours that are out or in the batch */
    size_t body_left;    /* of an answer's body that is still to come */
    size_t in_bytes;     /* of an answer's head */
    uint8_t in[FW_HTTP_HEAD_BYTES_MAX];
};

struct feed_client {
    struct feed *feed;
    uint32_t *topics;  /* by slot */
    uint8_t *heads;    /* by slot: FEED_HEAD_BYTES of the message that is coming */
    uint64_t *next;    /* by slot and publisher of the topic: the sequence number that is next */
    uint64_t taken;    /* deliveries and answers since the last turn */
    uint64_t expected; /* by clock: deliveries of all messages that we published ever */
    struct feed_publisher *publishers;
    size_t publishers_count;
    size_t opening_next; /* which publisher the next opened connection is of */
    struct bench_histogram latency;
};

struct feed {
    struct bench_fleet *fleet;
    struct feed_options options;
    struct bench_url url;
    bool raw;
    size_t publishers_per_topic;
    uint64_t messages_per_round;
    uint64_t deliveries_per_round;

    atomic_bool by_clock;
    atomic_uint_fast64_t left; /* deliveries and answers that this round still waits for */
    atomic_uint_fast64_t rounds_begun;
    atomic_uint_fast64_t rounds_done;
    uint64_t rounds_wanted;

    atomic_bool clock_runs;
    uint64_t clock_ns;  /* when message 0 of everybody is due */
    double interval_ns; /* between two messages of one publisher */
};

/* Publishers of one topic when there are more publishers than topics. */
static inline size_t bench_share_of_topic(const struct feed_options *options, size_t topic)
{
    return options->publishers / options->topics + (topic < options->publishers % options->topics);
}

/* The path of a topic: the URL's own for the first, with -1, -2 and so on behind it for others. */
void feed_topic_path(const struct feed *feed, size_t topic, char *path, size_t path_bytes);

void feed_publishers_create(struct bench_client *client, struct feed_client *own);
void feed_publishers_free(struct feed_client *own);
void feed_publishers_open(struct feed *feed);

/* On the clients' threads. */
void feed_publisher_opened(struct bench_client *client, uint32_t slot);
void feed_publisher_answered(struct bench_client *client, uint32_t slot, uint8_t *bytes,
                             size_t count);
void feed_publisher_acked(struct bench_client *client, uint32_t slot);
void feed_publish_turn(struct bench_client *client);

/* thread: any */
void feed_round_begin(struct feed *feed);
void feed_clock_begin(struct feed *feed, double rate);
void feed_clock_end(struct feed *feed);

#endif
