/* topic.h: a topic as all workers know it: name, epoch, offset, and which workers listen.
 *
 * Plain data: whoever shares topics between threads guards them (net/server/directory.h does, by
 * one lock for each of many shards). The offset counts messages from 1; the epoch changes when it
 * cannot go on counting, so that a position EPOCH:OFFSET is never mistaken for another's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_HUB_TOPIC_H
#define FW_HUB_TOPIC_H

#include "base/bytes.h"
#include "base/map.h"
#include "hub/history.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fw_local;

/* How a subscriber is reached; for the figures only. */
enum fw_transport { FW_TRANSPORT_WS, FW_TRANSPORT_SSE, FW_TRANSPORT_LONGPOLL };
#define FW_TRANSPORTS 3

/* One worker's interest in a topic. */
struct fw_topic_interest {
    uint32_t subscribers;
    struct fw_local *local; /* the worker's own; read by that worker only */
};

struct fw_topic {
    struct fw_map_node node; /* its name points into `name` */
    uint64_t epoch;
    uint64_t offset;                        /* of the newest message, 0 before the first */
    uint32_t subscribers;                   /* on all workers, */
    uint32_t subscribers_by[FW_TRANSPORTS]; /* and by enum fw_transport */
    atomic_uint posts; /* on their way to workers, and shares of them in queues: not to be
                          freed while there are any */
    uint64_t used_ms;  /* when it was last published to or left */
    struct fw_topic_interest *interests; /* one a worker */
    const struct fw_topic_rules *rules;  /* borrowed */
    struct fw_history history;
    struct fw_topic *held_next; /* the ring of the shard's topics that have a history, or NULL */
    struct fw_topic *held_previous;

    /* Messages times subscribers: owed = delivered + dropped + left, once nothing is under way. The
     * first is guarded as the rest, the others are added to by any worker. What is in a queue
     * counts as delivered, until it is taken out of it unsent. */
    uint64_t owed;
    atomic_uint_fast64_t delivered;
    atomic_uint_fast64_t dropped; /* by a policy, or gone from the history before it was taken */
    atomic_uint_fast64_t left;    /* behind, by subscribers that ended first */
    char name[];
};

/* Where a subscriber wants to begin. */
enum fw_since_kind {
    FW_SINCE_NOW,   /* with the next message */
    FW_SINCE_FIRST, /* with the oldest that is held */
    FW_SINCE_LAST,  /* with the newest `offset` messages */
    FW_SINCE_AT,    /* behind a position that it has reached */
};

struct fw_since {
    uint8_t kind; /* enum fw_since_kind */
    uint64_t epoch;
    uint64_t offset;
};

/* Where it does begin. */
struct fw_joined {
    uint64_t epoch;
    uint64_t offset; /* of the message before its first one */
    bool recovered;  /* false: between the position it named and this one messages are gone */
};

/* Says where a subscriber begins: exactly behind its position when the history reaches that far
 * back, else with all that is held.
 */
struct fw_joined fw_topic_join(const struct fw_topic *topic, const struct fw_since *since);

/* Messages of a topic that were not sent after all: they count as left behind, or as dropped.
 * Thread: any. */
void fw_topic_withdraw(struct fw_topic *topic, uint32_t messages_count, bool dropped);

/* Creates a topic for `workers_count` workers; NULL when there is no memory. It keeps no history
 * until it is given rules. */
struct fw_topic *fw_topic_create(struct fw_bytes name, uint64_t epoch, unsigned workers_count);

void fw_topic_destroy(struct fw_topic *topic);

#endif
