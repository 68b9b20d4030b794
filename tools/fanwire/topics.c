/* topics.c: what --topic says of the topics that begin with a prefix (settings.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AGE_SECONDS_MAX 604800 /* a week */
#define HISTORY_MAX     (1u << 24)

static bool value_is(const char *value, size_t count, const char *wanted)
{
    return strlen(wanted) == count && strncmp(value, wanted, count) == 0;
}

static bool read_policy(const char *value, size_t count, enum fw_slow_policy *policy_out)
{
    static const char *const policies[] = {"disconnect", "drop-oldest", "latest"};
    for (int i = 0; i < 3; i++) {
        if (!value_is(value, count, policies[i]))
            continue;
        *policy_out = (enum fw_slow_policy)i;
        return true;
    }
    return false;
}

/* One NAME=VALUE of `count` characters. */
static bool read_one(struct fw_topic_settings *topic, const char *text, size_t count)
{
    const char *equals = memchr(text, '=', count);
    if (equals == NULL)
        return false;
    size_t name_count = (size_t)(equals - text);
    const char *value = equals + 1;
    if (value_is(text, name_count, "policy"))
        return read_policy(value, count - name_count - 1, &topic->policy);
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || end != text + count || errno != 0)
        return false;
    if (value_is(text, name_count, "history") && number <= HISTORY_MAX)
        topic->history_count = number == 0 ? FW_NO_HISTORY : (uint32_t)number;
    else if (value_is(text, name_count, "bytes") && number > 0)
        topic->history_bytes = number;
    else if (value_is(text, name_count, "age") && number > 0 && number <= AGE_SECONDS_MAX)
        topic->history_age_ms = (uint32_t)number * 1000;
    else
        return false;
    return true;
}

/* PREFIX:NAME=VALUE,... A prefix may hold colons: the settings are behind the last one. */
static bool read_topic(struct settings *settings, const char *text, struct fw_topic_settings *topic)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        say_mistake("topic takes PREFIX:SETTINGS, not '%s'", text);
        return false;
    }
    *topic = (struct fw_topic_settings){
        .prefix = settings_copy(settings, text, (size_t)(colon - text)),
    };
    const char *rest = colon;
    while (*rest != '\0') {
        rest++;
        size_t count = strcspn(rest, ",");
        if (!read_one(topic, rest, count)) {
            say_mistake("topic %s: '%.*s' is none of history=N, bytes=N, age=SECONDS, "
                        "policy=disconnect|drop-oldest|latest",
                        topic->prefix, (int)count, rest);
            return false;
        }
        rest += count;
    }
    return true;
}

bool settings_read_topics(struct settings *settings)
{
    for (unsigned i = 0; i < settings->topics.count; i++) {
        if (!read_topic(settings, settings->topics.at[i], &settings->topic_settings[i]))
            return false;
    }
    settings->options.topic_settings = settings->topic_settings;
    settings->options.topic_settings_count = settings->topics.count;
    return true;
}
