/* busiest.h: the topics with the most messages, and the sums of all: what a dashboard shows.
 *
 * Filled topic by topic, so that who owns them may let go of its locks in between. Thread: the
 * owner's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_HUB_BUSIEST_H
#define FW_HUB_BUSIEST_H

#include "base/limits.h"
#include "hub/topic.h"

#include <assert.h>
#include <stdint.h>

/* What fits a page that people read. Places are octets. */
#define FW_BUSIEST_MAX 100u
static_assert(FW_BUSIEST_MAX <= 255, "fw_busiest.order counts in octets");

/* One topic as it was when it was looked at. */
struct fw_busy_topic {
    uint64_t epoch;
    uint64_t offset;
    uint32_t subscribers_by[FW_TRANSPORTS];
    char name[FW_TOPIC_NAME_BYTES_MAX + 1];
};

struct fw_busiest {
    struct fw_busy_topic topics[FW_BUSIEST_MAX];
    uint8_t order[FW_BUSIEST_MAX]; /* places in `topics`: the greatest offset first */
    uint64_t at_ms;                /* when all had been counted: the owner's to set */
    uint32_t count;                /* listed */
    uint32_t all;                  /* listed or not */
    uint64_t messages;             /* of all */
    uint64_t owed;                 /* messages times subscribers, of all */
    uint64_t subscribers_by[FW_TRANSPORTS];
};

/* Empties the list. */
void fw_busiest_init(struct fw_busiest *busiest);

/* Counts a topic, and lists it if it is one of the busiest so far. Of topics with the same offset
 * those that came first stay. */
void fw_busiest_add(struct fw_busiest *busiest, const struct fw_topic *topic);

#endif
