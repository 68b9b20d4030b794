/* feed.h: publishers and subscribers of topics, for every scenario that has both.
 *
 * Publishers POST over connections that they keep (or, to raw-fanout, send datagrams); subscribers
 * check each message: octets, publisher, sequence. A feed plays rounds (a burst from everybody,
 * then wait until all have all of it) or by the clock (a rate, latency from when a message was
 * due). All of it runs on the fleet's threads; publisher p stands on client p % clients.
 *
 * thread: main, but for the handlers at the end
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_FEED_H
#define FW_BENCH_FEED_H

#include "fleet.h"
#include "feed_message.h"
#include "server.h"

#define FEED_PUBLISHERS_MAX 1024
#define FEED_BURST_MAX      64

struct feed_options {
    size_t subscribers;
    size_t topics;     /* at most subscribers */
    size_t publishers; /* publisher p publishes to topic p % topics, or to several when fewer */
    size_t payload_bytes;
    size_t burst;   /* rounds: messages of each publisher to each of its topics */
    size_t readers; /* the first so many subscribers read; the others are slow (0: all read) */
};

struct feed; /* feed.c */

/* Opens publishers and subscribers on a fleet whose handlers are feed_handlers. */
struct feed *feed_open(struct bench_fleet *fleet, const struct bench_server *server,
                       const struct feed_options *options);

/* Plays so many rounds and waits for the last delivery. */
void feed_play_rounds(struct feed *feed, uint64_t rounds);

/* Publishes by the clock, `rate` messages a second in all, for so long, and waits for the last
 * delivery. */
void feed_play_rate(struct feed *feed, double rate, uint64_t duration_ms);

/* Deliveries counted so far, and what is expected of all messages published so far. */
uint64_t feed_delivered(const struct feed *feed);

/* Forgets latencies of what was warm-up. */
void feed_forget(struct feed *feed);

/* Adds delivery latencies (latency_us, latency_curve) and counts to a record. */
void feed_report(struct feed *feed, json_t *figures);

/* Waits a moment: whatever else comes is one message too many, and ends the program. Frees the
 * feed; the fleet is the caller's to stop first. */
void feed_check_quiet(struct feed *feed);
void feed_free(struct feed *feed);

extern const struct bench_handlers feed_handlers;

#endif
