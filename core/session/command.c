/* command.c: see command.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/command.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/json.h"
#include "session/encode.h"
#include "session/identity.h"
#include "session/publication.h"
#include "session/session_impl.h"
#include "session/since.h"

#include <errno.h>
#include <fanwire/status.h>
#include <fanwire/types.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A command's id is given back as it came: a number, or a string of so many octets. */
#define ID_BYTES_MAX 64
/* An id whose every octet is escaped, a topic's name twice, and what stands around them. */
#define ANSWER_BYTES_MAX (6 * ID_BYTES_MAX + 2 * FW_TOPIC_NAME_BYTES_MAX + 512)

const char *fw_command_code(int error)
{
    static const struct {
        int error;
        const char *code;
    } codes[] = {
        {FW_ERR_JSON, "json"},
        {FW_ERR_COMMAND, "command"},
        {FW_ERR_TOPIC, "topic"},
        {FW_ERR_POSITION, "position"},
        {FW_ERR_EXISTS, "exists"},
        {FW_ERR_ABSENT, "absent"},
        {FW_ERR_LIMIT, "limit"},
        {FW_ERR_BUSY, "busy"},
        {FW_ERR_NOT_UTF8, "not-utf8"},
        {FW_ERR_CLOSED, "stopping"},
        {-ENOMEM, "memory"},
        {FW_ERR_MEMORY, "memory"},
        {FW_ERR_CREDENTIAL, "credential"},
        {FW_ERR_FORBIDDEN, "forbidden"},
        {FW_ERR_RATE, "rate"},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (codes[i].error == error)
            return codes[i].code;
    }
    return "refused";
}

/* ---- answers --------------------------------------------------------------------------------- */

/* The id of a command as JSON text; "null" when it has none that may be given back. */
struct id {
    char text[6 * ID_BYTES_MAX + 3];
};

static struct id id_of(const json_t *command)
{
    struct id id = {"null"};
    const json_t *value = json_object_get(command, "id");
    if (json_is_integer(value)) {
        snprintf(id.text, sizeof id.text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_string(value) && json_string_length(value) <= ID_BYTES_MAX) {
        size_t count = fw_json_quote(fw_json_string(command, "id"), (uint8_t *)id.text);
        id.text[count] = '\0';
    }
    return id;
}

/* Sends a header line without a payload. A client that asks faster than it reads is too slow. */
__attribute__((format(printf, 2, 3))) static void answer(struct fw_session *session,
                                                         const char *format, ...)
{
    char text[ANSWER_BYTES_MAX];
    va_list values;
    va_start(values, format);
    int count = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    fw_assert(count > 0 && (size_t)count < sizeof text);
    int result = fw_ws_session_send(session, FW_TEXT,
                                    (struct fw_bytes){(const uint8_t *)text, (size_t)count});
    if (result == FW_ERR_BUSY)
        fw_ws_session_fail_slow(session, "read your answers");
}

static void answer_error(struct fw_session *session, const struct id *id, int error)
{
    answer(session, "{\"id\":%s,\"error\":\"%s\",\"message\":\"%s\"}\n", id->text,
           fw_command_code(error), fw_status_text(error));
}

/* ---- commands -------------------------------------------------------------------------------- */

static void subscribe(struct fw_session *session, const struct id *id, const json_t *command,
                      struct fw_bytes topic)
{
    const json_t *last = json_object_get(command, "last");
    struct fw_bytes since_text = fw_json_string(command, "since");
    struct fw_since since = {.kind = FW_SINCE_NOW};
    struct fw_joined joined;
    int result = 0;
    if (json_object_get(command, "since") != NULL)
        result = since_text.at == NULL ? FW_ERR_COMMAND : fw_since_parse(since_text, &since);
    else if (last != NULL && (!json_is_integer(last) || json_integer_value(last) < 0))
        result = FW_ERR_COMMAND;
    else if (last != NULL)
        since =
            (struct fw_since){.kind = FW_SINCE_LAST, .offset = (uint64_t)json_integer_value(last)};
    if (result == 0)
        result = fw_session_may(session, FW_MAY_SUBSCRIBE, topic);
    if (result == 0)
        result = fw_session_join(session, topic, &since, FW_TRANSPORT_WS, false, &joined);
    if (result != 0) {
        answer_error(session, id, result);
        return;
    }
    answer(session,
           "{\"id\":%s,\"subscribed\":\"%.*s\",\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64
           ",\"recovered\":%s}\n",
           id->text, (int)topic.count, (const char *)topic.at, joined.epoch, joined.offset,
           joined.recovered ? "true" : "false");
}

static void unsubscribe(struct fw_session *session, const struct id *id, struct fw_bytes topic)
{
    int result = fw_session_unsubscribe(session, topic);
    if (result != 0)
        answer_error(session, id, result);
    else
        answer(session, "{\"id\":%s,\"unsubscribed\":\"%.*s\"}\n", id->text, (int)topic.count,
               (const char *)topic.at);
}

static void publish(struct fw_session *session, const struct id *id, const json_t *command,
                    struct fw_bytes topic)
{
    struct fw_publication publication;
    struct fw_published published;
    void *block = NULL;
    /* Its rate is that of messages: ws_session.c has taken it. */
    int result = fw_session_may(session, FW_MAY_PUBLISH, topic);
    if (result == 0)
        result = fw_publication_read(command, &publication, &block);
    if (result == 0)
        result = session->host->up->publish(session, topic, &publication, &published);
    fw_mem_free(block);
    if (result != 0)
        answer_error(session, id, result);
    else
        answer(session,
               "{\"id\":%s,\"published\":\"%.*s\",\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64
               ",\"receivers\":%" PRIu32 "}\n",
               id->text, (int)topic.count, (const char *)topic.at, published.epoch,
               published.offset, published.receivers);
}

static void obey(struct fw_session *session, const json_t *command)
{
    const struct id id = id_of(command);
    struct fw_bytes to_subscribe = fw_json_string(command, "subscribe");
    struct fw_bytes to_unsubscribe = fw_json_string(command, "unsubscribe");
    struct fw_bytes to_publish = fw_json_string(command, "publish");
    bool ping = json_object_get(command, "ping") != NULL;
    int verbs =
        (to_subscribe.at != NULL) + (to_unsubscribe.at != NULL) + (to_publish.at != NULL) + ping;
    if (verbs != 1)
        answer_error(session, &id, FW_ERR_COMMAND);
    else if (to_subscribe.at != NULL)
        subscribe(session, &id, command, to_subscribe);
    else if (to_unsubscribe.at != NULL)
        unsubscribe(session, &id, to_unsubscribe);
    else if (to_publish.at != NULL)
        publish(session, &id, command, to_publish);
    else
        answer(session, "{\"id\":%s,\"pong\":true}\n", id.text);
}

void fw_command_received(struct fw_session *session, uint8_t type, struct fw_bytes message)
{
    json_t *command;
    session->host->messages_received++;
    if (type != FW_TEXT) {
        fw_ws_session_fail(session, 1003, "a command is a text message");
        return;
    }
    int result = fw_json_parse(message, true, &command);
    if (result != 0) {
        const struct id none = {"null"};
        answer_error(session, &none, result);
        return;
    }
    obey(session, command);
    json_decref(command);
}

void fw_command_tell_gap(struct fw_subscription *subscription, uint64_t offset)
{
    const struct fw_topic *topic = subscription->local->topic;
    struct fw_bytes name = topic->node.name;
    answer(subscription->subscriber,
           "{\"topic\":\"%.*s\",\"recovered\":false,\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64
           "}\n",
           (int)name.count, (const char *)name.at, topic->epoch, offset);
}
