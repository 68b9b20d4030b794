/* raw_ring.h: one io_uring with a ring of receive buffers, for the bare servers.
 *
 * SINGLE_ISSUER and DEFER_TASKRUN, direct descriptors, multishot accept and recv. What is received
 * lies in a buffer of the ring; the buffer goes back to the kernel one turn later, when it is known
 * whether the sends out of it were whole. Where the kernel has it (6.12) buffers are incremental:
 * used up piece by piece by whoever receives next.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_RAW_RING_H
#define FW_BENCH_RAW_RING_H

#include "support.h"

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct raw_ring_options {
    size_t conns_max;
    size_t buffers_count; /* a power of two */
    size_t buffer_bytes;
    bool whole_buffers; /* not incremental, even where the kernel could */
};

#define RAW_RING_DEFAULTS                                                                          \
    {                                                                                              \
        .conns_max = 16000, .buffers_count = 64, .buffer_bytes = 64 * 1024                         \
    }

/* Rows of an option table. */
#define RAW_RING_OPTIONS(ring)                                                                     \
    BENCH_NUMBER("conns-max", &(ring)->conns_max, 1, 100000, "room for connections"),              \
        BENCH_NUMBER("buffers", &(ring)->buffers_count, 2, 32768,                                  \
                     "uring: receive buffers, a power of two"),                                    \
        BENCH_NUMBER("buffer-bytes", &(ring)->buffer_bytes, 64, 1u << 24, "uring: bytes of each"), \
        BENCH_FLAG("whole-buffers", &(ring)->whole_buffers, "uring: no incremental buffers")

/* Buffers that a turn's completions have used up. */
struct raw_ring_held {
    uint16_t *ids;
    unsigned count;
};

struct raw_ring {
    struct io_uring uring;
    struct io_uring_buf_ring *buffers;
    uint8_t *memory;
    size_t buffer_bytes;
    unsigned buffers_count;
    unsigned buffers_free; /* with the kernel */
    bool incremental;
    size_t *used_bytes; /* of each buffer */
    struct raw_ring_held held;
    struct raw_ring_held held_before; /* one turn ago */
};

/* What a completion is about. */
enum raw_operation {
    RAW_ACCEPT,
    RAW_RECEIVE,
    RAW_SEND,  /* not waited for: a completion means that it was not whole */
    RAW_DRAIN, /* waited for */
    RAW_CONTROL,
    RAW_NOTHING, /* a cancel's or a close's own */
};

static inline uint64_t raw_tag(enum raw_operation operation, uint32_t slot)
{
    return (uint64_t)operation << 32 | slot;
}

static inline enum raw_operation raw_tag_operation(uint64_t tag)
{
    return (enum raw_operation)(tag >> 32);
}

static inline uint32_t raw_tag_slot(uint64_t tag)
{
    return (uint32_t)tag;
}

/* Makes the ring; ends the program when the kernel has it not. */
void raw_ring_open(struct raw_ring *ring, const struct raw_ring_options *options);

/* A submission entry, all zero but for its tag; submits what is queued when there is none left. */
struct io_uring_sqe *raw_ring_entry(struct raw_ring *ring, uint64_t tag);

/* Queues a multishot accept into direct descriptors, a multishot recv, a close of a descriptor. */
void raw_ring_accept(struct raw_ring *ring, int listener);
void raw_ring_receive(struct raw_ring *ring, uint32_t slot);
void raw_ring_close_slot(struct raw_ring *ring, uint32_t slot);

/* Where the bytes of a RAW_RECEIVE completion lie; its res is above 0. They stay until the second
 * raw_ring_recycle from here. */
uint8_t *raw_ring_bytes(struct raw_ring *ring, const struct io_uring_cqe *completion);

/* Gives back what the turn before used up. Once a turn, when all its completions are seen. */
void raw_ring_recycle(struct raw_ring *ring);

/* Submits what is queued, and waits for a completion unless buffers are short: then those of this
 * turn must come back first. False when a signal ended the wait. */
bool raw_ring_submit(struct raw_ring *ring);

#endif
