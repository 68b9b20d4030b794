/* transport.h: subscribers by other ways than WebSocket, as the load's connections.
 *
 * Event streams, long polls and plain polls of a topic, over kept connections: requests are made,
 * answers taken apart, and each message handed on whole. fanwire-protocol(7) is what they speak.
 *
 * thread: each client's
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_TRANSPORT_H
#define FW_BENCH_TRANSPORT_H

#include "client.h"

enum transport_kind { TRANSPORT_WS, TRANSPORT_SSE, TRANSPORT_LONG_POLL, TRANSPORT_POLL };

/* What is between two messages: a head, or an event's lines. */
#define TRANSPORT_IN_BYTES  16384
#define TRANSPORT_OUT_BYTES 2048

struct transport {
    enum transport_kind kind;
    bool streaming; /* event stream: the head is there */
    bool waiting;   /* a request is out */
    size_t in_bytes;
    uint64_t next;     /* sequence number that is next */
    bool any;          /* a message has come */
    char position[96]; /* long poll: where the next one begins; "" at first */
    struct bench_pattern request;
    uint8_t in[TRANSPORT_IN_BYTES];
};

/* What transports call for a whole message, and count with. */
struct transport_sink {
    void (*on_message)(struct bench_client *client, uint32_t slot, const uint8_t *bytes,
                       size_t bytes_count);
    uint64_t requests;
    uint64_t sent_bytes;
};

void transport_init(struct transport *transport, enum transport_kind kind);
void transport_clear(struct transport *transport);

/* Sends the next request of a subscriber that waits for none.
 *
 * url          whose path is the topic's
 */
void transport_ask(struct bench_client *client, uint32_t slot, struct transport *transport,
                   const struct bench_url *url, struct transport_sink *sink);

/* Takes what came; a long poll is asked again by itself. */
void transport_read(struct bench_client *client, uint32_t slot, struct transport *transport,
                    const struct bench_url *url, struct transport_sink *sink, const uint8_t *bytes,
                    size_t count);

#endif
