/* feed.c: see feed.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/feed.h"
#include "base/check.h"
#include "session/access.h"
#include "session/origin.h"
#include "session/session.h"

#include <fanwire/status.h>
#include <fanwire/types.h>
#include <inttypes.h>
#include <stdio.h>

#define TOPICS_PATH "/topics/"
/* A topic's name needs no escapes in JSON: its characters are letters, digits and _ - . : */
#define ANSWER_BYTES_MAX 512

static const char json_type[] = "application/json";
static const char no_store[] = "Cache-Control: no-store\r\n";

static bool path_is(const struct fw_request *request, const char *path)
{
    return fw_bytes_equal(fw_request_path_bytes(request), fw_bytes_of(path));
}

bool fw_feed_is_topics(const struct fw_request *request)
{
    struct fw_bytes path = fw_request_path_bytes(request);
    struct fw_bytes prefix = fw_bytes_of(TOPICS_PATH);
    return path.count >= prefix.count &&
           fw_bytes_equal((struct fw_bytes){path.at, prefix.count}, prefix);
}

/* What follows "/topics/". */
static struct fw_bytes topics_of(const struct fw_request *request)
{
    struct fw_bytes path = fw_request_path_bytes(request);
    size_t prefix = sizeof TOPICS_PATH - 1;
    return (struct fw_bytes){path.at + prefix, path.count - prefix};
}

/* Cuts the next name off a comma-separated list; false at its end. An empty name is a name here,
 * and refused as one. */
static bool next_name(struct fw_bytes *list, struct fw_bytes *name_out)
{
    if (list->at == NULL)
        return false;
    size_t count = 0;
    while (count < list->count && list->at[count] != ',')
        count++;
    *name_out = (struct fw_bytes){list->at, count};
    if (count == list->count)
        *list = (struct fw_bytes){0};
    else
        *list = (struct fw_bytes){list->at + count + 1, list->count - count - 1};
    return true;
}

int fw_feed_subscribe(struct fw_request *request)
{
    struct fw_bytes list = topics_of(request);
    struct fw_bytes name;
    while (next_name(&list, &name)) {
        int result = fw_access_may(request->session, FW_MAY_SUBSCRIBE, name);
        if (result == 0)
            result = fw_session_subscribe(request->session, name);
        if (result != 0 && result != FW_ERR_EXISTS) /* "a,a" is once a */
            return result;
    }
    return 0;
}

static void answer_json(struct fw_request *request, unsigned status, const char *json, int count)
{
    fw_assert(count > 0 && count < ANSWER_BYTES_MAX);
    fw_request_respond(request, status, json_type, no_store,
                       (struct fw_bytes){(const uint8_t *)json, (size_t)count});
}

static void answer_info(struct fw_request *request)
{
    struct fw_session *session = request->session;
    struct fw_bytes name = topics_of(request);
    struct fw_topic_info info;
    int result = fw_access_may(session, FW_MAY_SUBSCRIBE, name);
    if (!fw_topic_name_valid(name))
        result = FW_ERR_TOPIC;
    if (result == 0)
        result = session->host->up->info(session, name, &info);
    if (result == FW_ERR_ABSENT) {
        fw_request_respond(request, 404, "text/plain; charset=utf-8", no_store,
                           fw_bytes_of("nobody has used this topic\n"));
        return;
    }
    if (result != 0) {
        fw_request_refuse(request, result);
        return;
    }
    char json[ANSWER_BYTES_MAX];
    int count =
        snprintf(json, sizeof json,
                 "{\"topic\":\"%.*s\",\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64
                 ",\"subscribers\":{\"ws\":%" PRIu32 "}}\n",
                 (int)name.count, (const char *)name.at, info.epoch, info.offset, info.subscribers);
    answer_json(request, 200, json, count);
}

/* Text unless the publisher says that it is not: text types, JSON and forms (curl -d) are text, no
 * type at all is text when it can be, everything else is binary. */
static enum fw_message_type type_of(const struct fw_request *request)
{
    struct fw_bytes type;
    if (fw_http_find(request->head, request->bytes, "content-type", 0, &type) < 0)
        return FW_TEXT;
    size_t count = 0;
    while (count < type.count && type.at[count] != ';' && type.at[count] != ' ')
        count++;
    type.count = count;
    bool text = count > 5 && fw_bytes_equal_lower((struct fw_bytes){type.at, 5}, "text/");
    if (text || fw_bytes_equal_lower(type, "application/json") ||
        fw_bytes_equal_lower(type, "application/x-www-form-urlencoded"))
        return FW_TEXT;
    return FW_BINARY;
}

static unsigned refusal_of(int error)
{
    if (error == FW_ERR_BUSY || error == FW_ERR_LIMIT || error == FW_ERR_CLOSED || error > -10000)
        return 503;
    return (unsigned)fw_status_answer(error);
}

static void publish(struct fw_request *request)
{
    struct fw_session *session = request->session;
    struct fw_bytes name = topics_of(request);
    struct fw_published published;
    int result = fw_access_may(session, FW_MAY_PUBLISH, name);
    if (result == 0 && !fw_session_within_rate(session, request->body.count))
        result = FW_ERR_RATE;
    if (result == 0)
        result = session->host->up->publish(session, name, (uint8_t)type_of(request), request->body,
                                            &published);
    if (result == FW_ERR_NOT_UTF8) {
        fw_request_refuse_with(request, 400,
                               "the body is not valid UTF-8; for bytes say Content-Type: "
                               "application/octet-stream");
        return;
    }
    if (result != 0) {
        fw_request_refuse_with(request, refusal_of(result), fw_status_text(result));
        return;
    }
    char json[ANSWER_BYTES_MAX];
    int count = snprintf(json, sizeof json,
                         "{\"topic\":\"%.*s\",\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64
                         ",\"receivers\":%" PRIu32 "}\n",
                         (int)name.count, (const char *)name.at, published.epoch, published.offset,
                         published.receivers);
    answer_json(request, published.receivers > 0 ? 200 : 202, json, count);
}

static void answer_topics(struct fw_request *request)
{
    struct fw_bytes ignored;
    struct fw_bytes query = fw_http_bytes(request->bytes, request->head->query);
    switch ((enum fw_http_method)request->head->method) {
    case FW_HTTP_POST:
        publish(request);
        return;
    case FW_HTTP_GET:
    case FW_HTTP_HEAD:
        if (fw_http_query_find(query, "info", &ignored))
            answer_info(request);
        else
            fw_request_refuse_with(request, 426,
                                   "subscribe with a WebSocket: this resource needs Upgrade: "
                                   "websocket");
        return;
    case FW_HTTP_OPTIONS:
    case FW_HTTP_OTHER:
        fw_request_refuse(request, FW_ERR_HTTP_METHOD_NOT_ALLOWED);
        return;
    }
}

/* A resource that can only be read, with one line in it. */
static void answer_line(struct fw_request *request, unsigned status, const char *line)
{
    if (request->head->method != FW_HTTP_GET && request->head->method != FW_HTTP_HEAD)
        fw_request_refuse(request, FW_ERR_HTTP_METHOD_NOT_ALLOWED);
    else
        fw_request_respond(request, status, "text/plain; charset=utf-8", no_store,
                           fw_bytes_of(line));
}

bool fw_feed_answer(struct fw_request *request)
{
    if (fw_feed_is_topics(request)) {
        answer_topics(request);
    } else if (path_is(request, "/healthz")) {
        answer_line(request, 200, "ok\n");
    } else if (path_is(request, "/readyz")) {
        bool ready = request->session->host->up->ready(request->session);
        answer_line(request, ready ? 200 : 503, ready ? "ready\n" : "stopping\n");
    } else {
        return false;
    }
    return true;
}
