/* topic_rules.c: the settings of topics by prefix (fanwire/server.h), as the directory reads them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/server_impl.h"

#include "base/mem.h"
#include "base/topic_name.h"

#include <assert.h>
#include <errno.h>
#include <fanwire/status.h>

static int usage(struct fw_server *server, const char *what)
{
    fw_log(&server->log, FW_LOG_ERROR, "an option is out of its range: %s", what);
    return FW_ERR_USAGE;
}

static_assert((int)FW_SLOW_DISCONNECT == (int)FW_POLICY_DISCONNECT &&
                  (int)FW_SLOW_DROP_OLDEST == (int)FW_POLICY_DROP_OLDEST &&
                  (int)FW_SLOW_LATEST == (int)FW_POLICY_LATEST,
              "the public names of the policies");

int fw_server_check_topics(struct fw_server *server)
{
    const struct fw_server_options *options = &server->options;
    struct fw_topic_settings all = {.prefix = "",
                                    .history_count = options->history_count,
                                    .history_age_ms = options->history_age_ms};
    if (options->topic_settings_count > FW_TOPIC_SETTINGS_MAX)
        return usage(server, "at most 1024 topic prefixes have settings");
    for (size_t i = 0; i <= options->topic_settings_count; i++) {
        const struct fw_topic_settings *topic = i == 0 ? &all : &options->topic_settings[i - 1];
        struct fw_bytes prefix = fw_bytes_of(topic->prefix == NULL ? "" : topic->prefix);
        if (prefix.count > 0 && !fw_topic_name_valid(prefix))
            return usage(server, "a topic prefix is the beginning of a topic's name");
        if (topic->history_count > FW_HISTORY_COUNT_MAX && topic->history_count != FW_NO_HISTORY)
            return usage(server, "history_count must be at most 16777216");
        if (topic->history_age_ms > FW_HISTORY_AGE_MS_MAX)
            return usage(server, "history_age_ms must be at most 604800000 (a week)");
        if ((unsigned)topic->policy > FW_SLOW_LATEST)
            return usage(server, "a policy is one of enum fw_slow_policy");
    }
    return 0;
}

static uint32_t own_or(uint32_t own, uint32_t general)
{
    return own == 0 ? general : own;
}

/* Writes out what each prefix obeys: its own settings, the general ones where it has none. */
int fw_server_make_topic_rules(struct fw_server *server)
{
    const struct fw_server_options *options = &server->options;
    size_t count = 1 + options->topic_settings_count;
    struct fw_topic_rules *rules = fw_mem_zero(sizeof *rules * count);
    if (rules == NULL)
        return -ENOMEM;
    server->topic_rules = rules;
    server->topic_rules_count = count;
    for (size_t i = 0; i < count; i++) {
        static const struct fw_topic_settings none = {.prefix = ""};
        const struct fw_topic_settings *topic = i == 0 ? &none : &options->topic_settings[i - 1];
        uint32_t history = own_or(topic->history_count, options->history_count);
        rules[i] = (struct fw_topic_rules){
            .prefix = topic->prefix == NULL ? "" : topic->prefix,
            .history_count = history == FW_NO_HISTORY ? 0 : history,
            .history_bytes =
                topic->history_bytes == 0 ? options->history_bytes : topic->history_bytes,
            .history_age_ms = own_or(topic->history_age_ms, options->history_age_ms),
            .policy = (uint8_t)topic->policy,
        };
    }
    return 0;
}
