/* history.h: the newest messages of one topic, kept for those who come back.
 *
 * A ring of references, bounded by count, bytes and age; offsets are contiguous, so that a position
 * is an index. It holds the messages themselves (msg.h), whose encodings and bytes the queues
 * share. An empty history owns nothing. Whoever guards the topic guards its history.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_HUB_HISTORY_H
#define FW_HUB_HISTORY_H

#include "base/bytes.h"
#include "hub/msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What becomes of a subscriber that owes more than its budget. */
enum fw_policy { FW_POLICY_DISCONNECT, FW_POLICY_DROP_OLDEST, FW_POLICY_LATEST };

/* What the topics of a prefix obey; immutable while there are any. */
struct fw_topic_rules {
    const char *prefix;     /* "" for those that no other rule is for */
    uint32_t history_count; /* messages; 0: none are kept */
    uint64_t history_bytes; /* as fw_msg_held_bytes counts them */
    uint32_t history_age_ms;
    uint8_t policy; /* enum fw_policy */
};

/* No history, and slow subscribers are disconnected. */
extern const struct fw_topic_rules fw_topic_rules_none;

/* The rules of the longest prefix that a name begins with; fw_topic_rules_none when none fits. */
const struct fw_topic_rules *fw_topic_rules_find(const struct fw_topic_rules *rules,
                                                 size_t rules_count, struct fw_bytes name);

struct fw_history {
    struct fw_msg **ring;
    uint32_t first; /* index of the oldest */
    uint32_t count;
    uint32_t capacity; /* a power of two; 0: no ring */
    uint64_t bytes;    /* of all messages, as fw_msg_held_bytes counts them */
};

/* What a held message counts as: itself, what the heap puts around it, and its place here. */
static inline size_t fw_msg_held_bytes(const struct fw_msg *msg)
{
    return sizeof *msg + FW_MSG_HEADROOM + msg->payload_bytes + 3 * sizeof(void *);
}

/* The offset of the oldest message held; of the next one to come when none is.
 *
 * newest       the topic's offset
 */
static inline uint64_t fw_history_oldest(const struct fw_history *history, uint64_t newest)
{
    return newest - history->count + 1;
}

/* The message of an offset that is held. */
struct fw_msg *fw_history_at(const struct fw_history *history, uint64_t newest, uint64_t offset);

/* Makes room for one more message, so that fw_history_add cannot fail. errors: -ENOMEM. */
int fw_history_reserve(struct fw_history *history, const struct fw_topic_rules *rules);

/* Adds the topic's newest message, and lets go of those that are too many or too large.
 *
 * msg          given: one reference; its offset follows that of the last one added
 * returns      the bytes let go of
 */
size_t fw_history_add(struct fw_history *history, const struct fw_topic_rules *rules,
                      struct fw_msg *msg);

/* Lets go of the oldest message, of which there is one. returns: its bytes. */
size_t fw_history_drop(struct fw_history *history);

/* Lets go of all messages that are too old. returns: their bytes. */
size_t fw_history_expire(struct fw_history *history, const struct fw_topic_rules *rules,
                         uint64_t now_ms);

/* Lets go of all messages, and of the ring. returns: their bytes. */
size_t fw_history_clear(struct fw_history *history);

#endif
