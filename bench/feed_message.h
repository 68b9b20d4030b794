/* feed_message.h: messages of a feed that tell who published them, which one they are, and when.
 *
 * The first 36 characters are hexadecimal: the publisher (4), its sequence number (16), nanoseconds
 * of CLOCK_MONOTONIC when it was due (16). The rest is the load's text (message.h).
 *
 * thread: any
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_FEED_MESSAGE_H
#define FW_BENCH_FEED_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FEED_HEAD_BYTES (4 + 16 + 16)

struct feed_message {
    uint32_t publisher; /* 0..65535 */
    uint64_t sequence;
    uint64_t due_ns;
};

/* Writes a message.
 *
 * out          room for `bytes`, FEED_HEAD_BYTES at least
 */
void feed_message_write(const struct feed_message *message, uint8_t *out, size_t bytes);

/* Reads the first FEED_HEAD_BYTES of one.
 *
 * returns      false when they are not such a head
 */
bool feed_message_read(const uint8_t in[FEED_HEAD_BYTES], struct feed_message *message_out);

#endif
