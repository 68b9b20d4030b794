/* rate.h: how fast one connection may say things: messages and octets a second.
 *
 * Each limit is a schedule: what was said so far is paid for up to a time, and a burst may run
 * ahead of it. So a limit costs a session four octets, and nothing has to tick. Thread: the
 * worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_ACCESS_RATE_H
#define FW_ACCESS_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a session may say; 0: any number. */
struct fw_rate_rules {
    uint32_t messages;       /* a second */
    uint32_t messages_burst; /* at once, at least 1 */
    uint32_t bytes;          /* a second; a second's worth at once, or one message */
};

/* Times up to which what was said is paid for: the low halves of milliseconds. Begins as the time.
 */
struct fw_rate {
    uint32_t messages_ms;
    uint32_t bytes_ms;
};

/* Takes one message of so many octets.
 *
 * returns      false when it comes too fast; it is not counted then
 */
bool fw_rate_take(struct fw_rate *rate, const struct fw_rate_rules *rules, uint64_t now_ms,
                  size_t bytes);

#endif
