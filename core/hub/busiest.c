/* busiest.c: see busiest.h.
 *
 * The order is kept apart from what is ordered: a topic that comes in moves at most FW_BUSIEST_MAX
 * octets, however often that happens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hub/busiest.h"

#include "base/check.h"

#include <string.h>

void fw_busiest_init(struct fw_busiest *busiest)
{
    busiest->at_ms = 0;
    busiest->count = 0;
    busiest->all = 0;
    busiest->messages = 0;
    busiest->owed = 0;
    memset(busiest->subscribers_by, 0, sizeof busiest->subscribers_by);
}

/* How many of those listed have at least so many messages. */
static uint32_t rank_of(const struct fw_busiest *busiest, uint64_t offset)
{
    uint32_t low = 0;
    uint32_t high = busiest->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (busiest->topics[busiest->order[middle]].offset >= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void write_down(struct fw_busy_topic *busy, const struct fw_topic *topic)
{
    struct fw_bytes name = topic->node.name;
    fw_assert(name.count <= FW_TOPIC_NAME_BYTES_MAX);
    busy->epoch = topic->epoch;
    busy->offset = topic->offset;
    memcpy(busy->subscribers_by, topic->subscribers_by, sizeof busy->subscribers_by);
    memcpy(busy->name, name.at, name.count);
    busy->name[name.count] = '\0';
}

void fw_busiest_add(struct fw_busiest *busiest, const struct fw_topic *topic)
{
    busiest->all++;
    busiest->messages += topic->offset;
    busiest->owed += topic->owed;
    for (unsigned i = 0; i < FW_TRANSPORTS; i++)
        busiest->subscribers_by[i] += topic->subscribers_by[i];
    uint32_t rank = rank_of(busiest, topic->offset);
    if (rank == FW_BUSIEST_MAX)
        return;
    bool full = busiest->count == FW_BUSIEST_MAX;
    uint8_t place = full ? busiest->order[FW_BUSIEST_MAX - 1] : (uint8_t)busiest->count++;
    uint8_t *order = &busiest->order[rank];
    memmove(order + 1, order, busiest->count - 1 - rank);
    *order = place;
    write_down(&busiest->topics[place], topic);
}
