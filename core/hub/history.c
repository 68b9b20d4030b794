/* history.c: see history.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hub/history.h"
#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define CAPACITY_START 4u

const struct fw_topic_rules fw_topic_rules_none = {.prefix = ""};

const struct fw_topic_rules *fw_topic_rules_find(const struct fw_topic_rules *rules,
                                                 size_t rules_count, struct fw_bytes name)
{
    const struct fw_topic_rules *found = &fw_topic_rules_none;
    size_t longest = 0;
    for (size_t i = 0; i < rules_count; i++) {
        size_t count = strlen(rules[i].prefix);
        if (count < longest || count > name.count || memcmp(rules[i].prefix, name.at, count) != 0)
            continue;
        found = &rules[i];
        longest = count;
    }
    return found;
}

static inline struct fw_msg **place(const struct fw_history *history, uint32_t i)
{
    return &history->ring[(history->first + i) & (history->capacity - 1)];
}

struct fw_msg *fw_history_at(const struct fw_history *history, uint64_t newest, uint64_t offset)
{
    fw_assert(offset <= newest && newest - offset < history->count);
    return *place(history, history->count - 1 - (uint32_t)(newest - offset));
}

int fw_history_reserve(struct fw_history *history, const struct fw_topic_rules *rules)
{
    if (history->count < history->capacity || history->count >= rules->history_count)
        return 0; /* the one that is added takes the oldest one's place */
    uint32_t wanted = history->capacity == 0 ? CAPACITY_START : history->capacity * 2;
    struct fw_msg **ring = fw_mem_alloc(wanted * sizeof *ring);
    if (ring == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < history->count; i++)
        ring[i] = *place(history, i);
    fw_mem_free(history->ring);
    history->ring = ring;
    history->first = 0;
    history->capacity = wanted;
    return 0;
}

size_t fw_history_drop(struct fw_history *history)
{
    fw_assert(history->count > 0);
    struct fw_msg *msg = *place(history, 0);
    size_t bytes = fw_msg_held_bytes(msg);
    history->first++;
    history->count--;
    history->bytes -= bytes;
    fw_msg_drop(msg);
    return bytes;
}

size_t fw_history_add(struct fw_history *history, const struct fw_topic_rules *rules,
                      struct fw_msg *msg)
{
    size_t bytes = fw_msg_held_bytes(msg);
    size_t dropped = 0;
    while (history->count > 0 && (history->count >= rules->history_count ||
                                  history->bytes + bytes > rules->history_bytes))
        dropped += fw_history_drop(history);
    if (rules->history_count == 0 || bytes > rules->history_bytes) {
        fw_msg_drop(msg); /* larger than all that may be kept */
        return dropped + bytes;
    }
    fw_assert(history->count < history->capacity);
    *place(history, history->count++) = msg;
    history->bytes += bytes;
    return dropped;
}

size_t fw_history_expire(struct fw_history *history, const struct fw_topic_rules *rules,
                         uint64_t now_ms)
{
    size_t dropped = 0;
    while (history->count > 0 &&
           fw_msg_age_ms(*place(history, 0), now_ms) > (int32_t)rules->history_age_ms)
        dropped += fw_history_drop(history);
    return dropped;
}

size_t fw_history_clear(struct fw_history *history)
{
    size_t dropped = 0;
    while (history->count > 0)
        dropped += fw_history_drop(history);
    fw_mem_free(history->ring);
    *history = (struct fw_history){0};
    return dropped;
}
