/* principal.c: see principal.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/principal.h"
#include "base/mem.h"
#include "base/topic_name.h"

/* Cuts the next pattern off a list; false at its end. Two spaces in a row have an empty one between
 * them. */
static bool next_pattern(struct fw_bytes *list, struct fw_bytes *pattern_out)
{
    if (list->count == 0)
        return false;
    const uint8_t *space = memchr(list->at, ' ', list->count);
    size_t count = space == NULL ? list->count : (size_t)(space - list->at);
    size_t taken = space == NULL ? count : count + 1;
    *pattern_out = (struct fw_bytes){list->at, count};
    *list = (struct fw_bytes){list->at + taken, list->count - taken};
    return true;
}

static bool pattern_valid(struct fw_bytes pattern)
{
    if (pattern.count > 0 && pattern.at[pattern.count - 1] == '*')
        pattern.count--;
    else if (pattern.count == 0)
        return false;
    return pattern.count == 0 || fw_topic_name_valid(pattern);
}

bool fw_patterns_valid(struct fw_bytes patterns)
{
    struct fw_bytes pattern;
    if (patterns.count > FW_PATTERNS_BYTES_MAX)
        return false;
    if (patterns.count > 0 && patterns.at[patterns.count - 1] == ' ')
        return false;
    while (next_pattern(&patterns, &pattern)) {
        if (!pattern_valid(pattern))
            return false;
    }
    return true;
}

bool fw_patterns_match(struct fw_bytes patterns, struct fw_bytes topic)
{
    struct fw_bytes pattern;
    while (next_pattern(&patterns, &pattern)) {
        bool open = pattern.count > 0 && pattern.at[pattern.count - 1] == '*';
        size_t fixed = pattern.count - (open ? 1 : 0);
        if (topic.count < fixed || (!open && topic.count != fixed))
            continue;
        if (fixed == 0 ? open : memcmp(topic.at, pattern.at, fixed) == 0)
            return true;
    }
    return false;
}

static struct fw_bytes put(uint8_t **at, struct fw_bytes bytes)
{
    struct fw_bytes copy = {*at, bytes.count};
    if (bytes.count > 0)
        memcpy(*at, bytes.at, bytes.count);
    *at += bytes.count;
    return copy;
}

struct fw_principal *fw_principal_create(const struct fw_principal *of)
{
    size_t text_bytes = of->name.count + of->subscribe.count + of->publish.count;
    struct fw_principal *made = fw_mem_alloc(sizeof *made + text_bytes);
    if (made == NULL)
        return NULL;
    uint8_t *at = made->text;
    made->expires_ms = of->expires_ms;
    made->expires_s = of->expires_s;
    made->name = put(&at, of->name);
    made->subscribe = put(&at, of->subscribe);
    made->publish = put(&at, of->publish);
    made->observe = of->observe;
    return made;
}
