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

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fw_local;

/* One worker's interest in a topic. */
struct fw_topic_interest {
    uint32_t subscribers;
    struct fw_local *local; /* the worker's own; read by that worker only */
};

struct fw_topic {
    struct fw_map_node node; /* its name points into `name` */
    uint64_t epoch;
    uint64_t offset;      /* of the newest message, 0 before the first */
    uint32_t subscribers; /* on all workers */
    atomic_uint posts;    /* on their way to workers: not to be freed while there are any */
    uint64_t used_ms;     /* when it was last published to or left */
    struct fw_topic_interest *interests; /* one a worker */
    char name[];
};

/* Whether a name is 1 to 128 of A-Z a-z 0-9 _ - . : */
bool fw_topic_name_valid(struct fw_bytes name);

/* Creates a topic for `workers_count` workers; NULL when there is no memory. */
struct fw_topic *fw_topic_create(struct fw_bytes name, uint64_t epoch, unsigned workers_count);

void fw_topic_destroy(struct fw_topic *topic);

#endif
