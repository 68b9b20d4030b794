/* raw_echo.h: the bare TCP echo, between its two engines.
 *
 * So that it moves the bytes of a WebSocket echo, it thinks of its input as messages of in_bytes,
 * of which it leaves the first in_bytes - out_bytes (a client's frame header is longer than a
 * server's) and returns the rest. Only the count matters: it sends so many bytes of what it has
 * received, which ones is all the same. A part of a message is answered with its part, as a stream,
 * unless it is told to wait for the whole, as who speaks WebSocket must.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_RAW_ECHO_H
#define FW_BENCH_RAW_ECHO_H

#include "raw.h"
#include "raw_ring.h"

/* One recv of epoll's takes a message of 256 KB whole: with 64 KB its echo costs twice as much. */
#define RAW_ECHO_RECEIVE_BYTES (512 * 1024)

struct raw_echo_options {
    size_t port;
    size_t in_bytes;
    size_t out_bytes;
    size_t receive_bytes; /* epoll: what one recv takes at most */
    bool edge;            /* epoll: edge-triggered */
    bool whole;           /* epoll: a message is answered once it is whole */
    struct raw_ring_options ring;
};

/* What a connection owes for bytes that came.
 *
 * position     where in a message the connection stands; moved on
 * returns      0..received, or with `whole` all that is owed for messages that ended
 */
static inline size_t raw_echo_owed(const struct raw_echo_options *options, size_t *position,
                                   size_t received)
{
    size_t left = options->in_bytes - options->out_bytes;
    if (left == 0 && !options->whole)
        return received;
    size_t end = *position + received;
    size_t rest = end % options->in_bytes;
    size_t owed = end / options->in_bytes * options->out_bytes;
    if (options->whole) {
        *position = rest;
        return owed;
    }
    owed += rest > left ? rest - left : 0;
    owed -= *position > left ? *position - left : 0;
    *position = rest;
    return owed;
}

/* Serve until raw_stopping. */
void raw_echo_epoll(const struct raw_echo_options *options);
void raw_echo_uring(const struct raw_echo_options *options);

#endif
