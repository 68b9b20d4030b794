/* topic.c: see topic.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hub/topic.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

static bool name_character(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
}

bool fw_topic_name_valid(struct fw_bytes name)
{
    if (name.count == 0 || name.count > FW_TOPIC_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.count; i++) {
        if (!name_character(name.at[i]))
            return false;
    }
    return true;
}

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
    return topic;
}

void fw_topic_destroy(struct fw_topic *topic)
{
    fw_mem_free(topic->interests);
    fw_mem_free(topic);
}
