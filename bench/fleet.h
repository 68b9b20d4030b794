/* fleet.h: all load threads together, as the main thread sees them.
 *
 * thread: main, but for the two functions at the end
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_FLEET_H
#define FW_BENCH_FLEET_H

#include "client.h"

#include <jansson.h>

/* How long nothing may happen before what is waited for counts as lost. */
#define BENCH_PATIENCE_MS 10000

struct bench_fleet {
    enum fw_engine_kind engine;
    uint32_t receive_bytes; /* of each client */
    struct bench_client *clients;
    unsigned clients_count;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned pending; /* clients that have not done the call, or are not ready */
    void (*call)(struct bench_client *client, void *argument);
    void *argument;

    struct bench_pattern upgrade;  /* of the opening that bench_fleet_opening made */
    struct bench_pattern greeting; /* these three are opening.c's */
    struct bench_pattern pulse;
    char tls_name[BENCH_HOST_BYTES];
};

/* Starts threads, each with an engine for slots_each connections. */
void bench_fleet_start(struct bench_fleet *fleet, unsigned clients, uint32_t slots_each,
                       const struct bench_handlers *handlers);

/* Aborts every connection, ends the threads, frees everything. */
void bench_fleet_stop(struct bench_fleet *fleet);

/* Has a function run on the threads of all clients, or of one, and waits until it is done. */
void bench_fleet_each(struct bench_fleet *fleet,
                      void (*call)(struct bench_client *client, void *argument), void *argument);
void bench_fleet_one(struct bench_fleet *fleet, unsigned client,
                     void (*call)(struct bench_client *client, void *argument), void *argument);

/* How a URL is opened: address, request, key; for the same speech and role for all. The request
 * lives as long as the fleet, one at a time.
 *
 * more_headers lines that end in CR LF, or NULL
 */
void bench_fleet_opening(struct bench_fleet *fleet, const struct bench_url *url,
                         const char *more_headers, struct bench_opening *opening_out);

/* Opens `count` connections, shared evenly, and waits for all of them.
 *
 * returns      how many failed; bench_fleet_failures tells why
 */
uint64_t bench_fleet_open(struct bench_fleet *fleet, const struct bench_opening *opening,
                          uint64_t count);

/* The same for figures that must not have failures: ends the program when one connection fails. */
void bench_fleet_open_all(struct bench_fleet *fleet, const struct bench_opening *opening,
                          uint64_t count);

/* The share of `count` that a client has of things shared evenly, and where it begins. */
uint64_t bench_share(uint64_t count, unsigned client, unsigned clients);
uint64_t bench_share_begin(uint64_t count, unsigned client, unsigned clients);

/* Sums of a counter over all clients; `counter` is offsetof(struct bench_client, done_count). */
uint64_t bench_fleet_sum(const struct bench_fleet *fleet, size_t counter);
#define BENCH_SUM(fleet, member) bench_fleet_sum((fleet), offsetof(struct bench_client, member))

/* Connections that failed or were lost, and their kinds as {"connect_refused": 3}. */
uint64_t bench_fleet_failed(const struct bench_fleet *fleet);
json_t *bench_fleet_failures(const struct bench_fleet *fleet);

/* Ends the program with the kinds of failures when there is one: for scenarios that must lose
 * nothing. */
void bench_fleet_must_live(struct bench_fleet *fleet);

/* Waits until a counter is `wanted` or more; ends the program when it does not move, or a
 * connection is lost.
 *
 * what         what is waited for, in the sentence that ends the program
 */
void bench_fleet_wait_for(struct bench_fleet *fleet, size_t counter, uint64_t wanted,
                          const char *what);

void bench_sleep_ms(uint64_t ms);

/* Sleeps while the load works; ends the program soon after a connection is lost. */
void bench_fleet_sleep_ms(struct bench_fleet *fleet, uint64_t ms);

/* Percentiles of a histogram of ns as {"p50": us, ... "max": us, "mean": us, "count": n}. */
json_t *bench_latency_json(const struct bench_histogram *histogram);

/* Its curve for plots: [[share, us], ...], denser towards 1. */
json_t *bench_curve_json(const struct bench_histogram *histogram);

/* The client's side: its engine is there; the main thread calls. thread: the client's */
void bench_fleet_ready(struct bench_client *client);
void bench_fleet_serve(struct bench_client *client);

#endif
