/* topic.c: see topic.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hub/topic.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/topic_name.h"

struct fw_topic *fw_topic_create(struct fw_bytes name, uint64_t epoch, unsigned workers_count)
{
    fw_assert(fw_topic_name_valid(name));
    struct fw_topic *topic = fw_mem_zero(sizeof *topic + name.count + 1);
    if (topic == NULL)
        return NULL;
    topic->interests = fw_mem_zero(sizeof *topic->interests * workers_count);
    if (topic->interests == NULL) {
        fw_mem_free(topic);
        return NULL;
    }
    memcpy(topic->name, name.at, name.count);
    topic->node.name = (struct fw_bytes){(const uint8_t *)topic->name, name.count};
    topic->epoch = epoch;
    topic->rules = &fw_topic_rules_none;
    return topic;
}

void fw_topic_destroy(struct fw_topic *topic)
{
    fw_history_clear(&topic->history);
    fw_mem_free(topic->interests);
    fw_mem_free(topic);
}

struct fw_joined fw_topic_join(const struct fw_topic *topic, const struct fw_since *since)
{
    uint64_t oldest = fw_history_oldest(&topic->history, topic->offset);
    struct fw_joined joined = {.epoch = topic->epoch, .offset = topic->offset, .recovered = true};
    switch ((enum fw_since_kind)since->kind) {
    case FW_SINCE_NOW:
        break;
    case FW_SINCE_FIRST:
        joined.offset = oldest - 1;
        break;
    case FW_SINCE_LAST:
        joined.offset =
            since->offset < topic->history.count ? topic->offset - since->offset : oldest - 1;
        break;
    case FW_SINCE_AT:
        joined.recovered = since->epoch == topic->epoch && since->offset <= topic->offset &&
                           since->offset >= oldest - 1;
        joined.offset = joined.recovered ? since->offset : oldest - 1;
        break;
    }
    return joined;
}

void fw_topic_withdraw(struct fw_topic *topic, uint32_t messages_count, bool dropped)
{
    atomic_fetch_sub_explicit(&topic->delivered, messages_count, memory_order_relaxed);
    atomic_fetch_add_explicit(dropped ? &topic->dropped : &topic->left, messages_count,
                              memory_order_relaxed);
}
