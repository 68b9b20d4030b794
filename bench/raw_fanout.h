/* raw_fanout.h: the bare fan-out, between its two engines.
 *
 * Every datagram that comes to the server's port is sent as it is, in one send each, to every
 * connection. A connection is counted in when it gets the greeting. A socket that does not take all
 * at once ends the server: a bare loop has no queue, and a lost message makes no result.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_RAW_FANOUT_H
#define FW_BENCH_RAW_FANOUT_H

#include "raw.h"
#include "raw_ring.h"

#include <sys/uio.h>

#define RAW_FANOUT_GREETING   "."
#define RAW_FANOUT_BYTES_MAX  65536
#define RAW_FANOUT_PIECES_MAX 64

struct raw_fanout_options {
    size_t port;
    size_t piece_bytes; /* send pieces of this size with one sendmsg; 0: the whole with one send */
    struct raw_ring_options ring;
};

/* A datagram, and its pieces. */
struct raw_fanout_burst {
    uint8_t bytes[RAW_FANOUT_BYTES_MAX];
    size_t bytes_count;
    struct iovec pieces[RAW_FANOUT_PIECES_MAX];
    size_t pieces_count; /* 0: one send */
};

/* Opens the socket that datagrams come to. */
int raw_fanout_control(const struct raw_fanout_options *options);

/* Takes the next datagram; false when there is none. */
bool raw_fanout_next(int control, const struct raw_fanout_options *options,
                     struct raw_fanout_burst *burst_out);

/* Serve until raw_stopping. */
void raw_fanout_epoll(const struct raw_fanout_options *options);
void raw_fanout_uring(const struct raw_fanout_options *options);

#endif
