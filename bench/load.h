/* load.h: the client's side of a measurement: connections, frames, and what the server spent.
 *
 * A load generator on purpose as plain as it can be: frames are made once and sent many times (with
 * one masking key, which no real client may do: RFC 6455, section 10.3), replies are compared with
 * bytes that are known beforehand. Only the loopback network is ever a target. Whatever goes wrong
 * ends the program: a measurement that lost a message has no result. Thread: these programs have
 * one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_LOAD_H
#define FW_BENCH_LOAD_H

#include "support.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A port connects from one source address to one target about 28,000 times at most (the range of
 * ephemeral ports, where it is the kernel's default). We stay far below, for TIME_WAIT's sake. */
#define LOAD_CONNS_PER_SOURCE 10000

/* How long nothing may happen before a message counts as lost. */
#define LOAD_PATIENCE_MS 10000

struct load_target {
    size_t port; /* on 127.0.0.1 */
    const char *path;
    bool raw; /* no upgrade handshake, no frames: bare TCP */
};

/* Opens connections, and upgrades them to WebSocket unless the target is raw. Each comes from a
 * source address 127.0.0.N that serves LOAD_CONNS_PER_SOURCE of them.
 *
 * fds_out      room for `count`; blocking sockets, TCP_NODELAY
 * already      how many this program has open to the target (to go on with the source addresses)
 */
void load_open(const struct load_target *target, int *fds_out, size_t count, size_t already);

/* Closes connections with RST, so that no TIME_WAIT keeps their ports from the next run. */
void load_close(const int *fds, size_t count);

/* Sends or receives every byte, waiting as long as it takes; ends the program when the peer closes
 * or when LOAD_PATIENCE_MS pass. */
void load_send_all(int fd, const void *bytes, size_t count);
void load_receive_all(int fd, void *out, size_t count);

/* Receives up to the end of an HTTP head and not one byte more.
 *
 * out          room for out_bytes; gets a terminating zero
 * returns      the head's bytes
 */
size_t load_receive_head(int fd, char *out, size_t out_bytes);

/* How many bytes a message of so many takes on the wire. */
size_t load_frame_bytes(size_t payload_bytes, bool masked);

/* Writes one whole message as a single frame.
 *
 * masked       as a client sends it
 * out          room for load_frame_bytes()
 * returns      bytes written
 */
size_t load_frame_write(uint8_t *out, bool text, bool masked, const uint8_t *payload,
                        size_t payload_bytes);

/* A stretch of time: what passed, what this program and what the server spent in it. */
struct load_span {
    pid_t server; /* 0: not known */
    clockid_t server_clock;
    uint64_t wall_ns;
    uint64_t own_cpu_ns;
    uint64_t server_cpu_ns;
    uint64_t waited_ns; /* that both were ready to run and had no CPU: somebody else had it */
};

/* Begins a stretch; end puts the differences in place of the beginnings. The server's time is that
 * of all its threads, those of the kernel's that work for it (SQPOLL, io-wq) included. */
void load_span_begin(struct load_span *span, pid_t server);
void load_span_end(struct load_span *span);

/* Puts a finished stretch into the open report: wall time, rate, own use, and the server's CPU
 * microseconds per operation.
 *
 * what         what an operation is called, in names like per_s and server_cpu_us_per_WHAT
 */
void load_span_report(const struct load_span *span, const char *what, size_t operations);

/* What a process has in memory. */
struct load_memory {
    size_t rss_bytes;
    size_t private_bytes;
    size_t anonymous_bytes;
};
struct load_memory load_memory_of(pid_t process);

#endif
