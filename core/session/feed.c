/* feed.c: see feed.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/feed.h"
#include "access/origin.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/topic_name.h"
#include "session/batch.h"
#include "session/identity.h"
#include "session/session_impl.h"
#include "session/since.h"

#include <errno.h>
#include <fanwire/status.h>
#include <fanwire/types.h>
#include <inttypes.h>
#include <stdio.h>

#define TOPICS_PATH "/topics/"
/* A topic's name needs no escapes in JSON: its characters are letters, digits and _ - . : */
#define ANSWER_BYTES_MAX 768
/* /debug/topics: one topic, with its name and five numbers, and what stands before the first. */
#define BUSY_BYTES_MAX      (FW_TOPIC_NAME_BYTES_MAX + 192)
#define BUSY_HEAD_BYTES_MAX 320

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

static bool is_subscribed(const struct fw_session *session, struct fw_bytes name)
{
    for (unsigned i = 0; i < session->subscriptions_count; i++) {
        if (fw_bytes_equal(session->subscriptions[i].local->topic->node.name, name))
            return true;
    }
    return false;
}

/* Whether it may subscribe to all topics of a list: nothing is begun for who may not. Without a
 * list, to be used by commands, whether it may do anything by them. */
static int check_rights(const struct fw_session *session, struct fw_bytes list)
{
    struct fw_bytes name;
    int result = 0;
    if (session->commands && list.count == 0) {
        result = fw_session_may_some(session, FW_MAY_PUBLISH);
        return result == 0 ? 0 : fw_session_may_some(session, FW_MAY_SUBSCRIBE);
    }
    while (result == 0 && next_name(&list, &name))
        result = fw_session_may(session, FW_MAY_SUBSCRIBE, name);
    return result;
}

int fw_feed_subscribe(struct fw_request *request, enum fw_transport transport,
                      struct fw_feed_joined *joined_out)
{
    struct fw_session *session = request->session;
    struct fw_bytes list = topics_of(request);
    struct fw_since_list since_list;
    struct fw_bytes name;
    int result = check_rights(session, list);
    if (result != 0 || (session->commands && list.count == 0))
        return result;
    result = fw_since_begin(&since_list, request);
    bool several = list.count > 0 && memchr(list.at, ',', list.count) != NULL;
    bool singly = transport == FW_TRANSPORT_LONGPOLL || (transport == FW_TRANSPORT_SSE && several);
    while (result == 0 && next_name(&list, &name)) {
        struct fw_since since;
        struct fw_joined joined;
        if (is_subscribed(session, name)) /* "a,a" is once a */
            continue;
        result = fw_since_next(&since_list, &since);
        if (result == 0)
            result = fw_session_join(session, name, &since, transport, singly, &joined);
        if (result == 0)
            joined_out->recovered[session->subscriptions_count - 1] = joined.recovered;
    }
    if (result == 0 && !fw_since_done(&since_list))
        result = FW_ERR_POSITION;
    return result;
}

void fw_feed_refuse(struct fw_request *request, int error)
{
    bool too_many = request->session->subscriptions_count == FW_SUBSCRIPTIONS_MAX;
    fw_session_unsubscribe_all(request->session);
    if (error == FW_ERR_LIMIT && too_many)
        fw_request_refuse_with(request, 400, "a connection has at most 128 topics");
    else if (error == FW_ERR_LIMIT || error == -ENOMEM)
        fw_request_refuse_with(request, 503, fw_status_text(error));
    else
        fw_request_refuse(request, error);
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
    int result = fw_session_may(session, FW_MAY_SUBSCRIBE, name);
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
    int count = snprintf(
        json, sizeof json,
        "{\"topic\":\"%.*s\",\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64
        ",\"subscribers\":{\"ws\":%" PRIu32 ",\"sse\":%" PRIu32 ",\"longpoll\":%" PRIu32
        "},\"history\":{\"count\":%" PRIu32 ",\"oldest\":%" PRIu64 ",\"bytes\":%" PRIu64
        "},\"messages\":{\"owed\":%" PRIu64 ",\"delivered\":%" PRIu64 ",\"dropped\":%" PRIu64
        ",\"left\":%" PRIu64 "}}\n",
        (int)name.count, (const char *)name.at, info.epoch, info.offset,
        info.subscribers - info.subscribers_sse - info.subscribers_longpoll, info.subscribers_sse,
        info.subscribers_longpoll, info.history_count, info.history_oldest, info.history_bytes,
        info.owed, info.delivered, info.dropped, info.left);
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

/* Seconds, whole ones, that a message lives. */
static bool read_expires(struct fw_bytes text, uint32_t *lives_ms_out)
{
    uint32_t seconds = 0;
    for (size_t i = 0; i < text.count; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || seconds > FW_HISTORY_AGE_MS_MAX / 10000)
            return false;
        seconds = seconds * 10 + (uint32_t)(text.at[i] - '0');
    }
    *lives_ms_out = seconds * 1000;
    return seconds > 0 && seconds <= FW_HISTORY_AGE_MS_MAX / 1000;
}

/* ?key=KEY&expires=SECONDS. The key's escapes are left as they are: it is compared, not read. */
static bool read_options(const struct fw_request *request, struct fw_publication *publication)
{
    struct fw_bytes query = fw_http_bytes(request->bytes, request->head->query);
    struct fw_bytes expires;
    fw_http_query_find(query, "key", &publication->key);
    return !fw_http_query_find(query, "expires", &expires) ||
           read_expires(expires, &publication->lives_ms);
}

static void publish(struct fw_request *request)
{
    struct fw_session *session = request->session;
    struct fw_bytes name = topics_of(request);
    struct fw_publication publication = {.payload = request->body,
                                         .type = (uint8_t)type_of(request)};
    struct fw_published published;
    if (!read_options(request, &publication)) {
        fw_request_refuse_with(request, 400, "expires is a number of seconds, at most 604800");
        return;
    }
    int result = fw_session_may(session, FW_MAY_PUBLISH, name);
    if (result == 0 && !fw_session_within_rate(session, request->body.count))
        result = FW_ERR_RATE;
    if (result == 0)
        result = session->host->up->publish(session, name, &publication, &published);
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

/* Whether an Accept header names event streams, whatever the preference. */
static bool wants_stream(const struct fw_request *request)
{
    struct fw_bytes accept;
    struct fw_bytes element;
    int at = -1;
    while ((at = fw_http_find(request->head, request->bytes, "accept", at + 1, &accept)) >= 0) {
        while (fw_http_list_next(&accept, &element)) {
            size_t count = 0;
            while (count < element.count && element.at[count] != ';' && element.at[count] != ' ')
                count++;
            element.count = count;
            if (fw_bytes_equal_lower(element, "text/event-stream"))
                return true;
        }
    }
    return false;
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
        if (request->head->method == FW_HTTP_HEAD || fw_http_query_find(query, "info", &ignored))
            answer_info(request);
        else if (wants_stream(request))
            fw_sse_session_begin(request);
        else
            fw_poll_session_begin(request);
        return;
    case FW_HTTP_OPTIONS:
    case FW_HTTP_OTHER:
        fw_request_refuse(request, FW_ERR_HTTP_METHOD_NOT_ALLOWED);
        return;
    }
}

static bool is_read(const struct fw_request *request)
{
    return request->head->method == FW_HTTP_GET || request->head->method == FW_HTTP_HEAD;
}

static size_t write_busy_topic(const struct fw_busy_topic *topic, char *out)
{
    return fw_text_put(
        out, BUSY_BYTES_MAX,
        "{\"topic\":\"%s\",\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64
        ",\"subscribers\":{\"ws\":%" PRIu32 ",\"sse\":%" PRIu32 ",\"longpoll\":%" PRIu32 "}}",
        topic->name, topic->epoch, topic->offset, topic->subscribers_by[FW_TRANSPORT_WS],
        topic->subscribers_by[FW_TRANSPORT_SSE], topic->subscribers_by[FW_TRANSPORT_LONGPOLL]);
}

/* Answers GET /debug/topics. `at_ms` is a clock that only goes forward, the time of the count: who
 * asks twice divides what came in between by it. */
static void answer_busiest(struct fw_request *request)
{
    struct fw_session *session = request->session;
    size_t room = BUSY_HEAD_BYTES_MAX + FW_BUSIEST_MAX * (BUSY_BYTES_MAX + 1);
    struct fw_busiest *busiest = fw_mem_alloc(sizeof *busiest + room);
    if (busiest == NULL) {
        fw_request_refuse_with(request, 503, "out of memory");
        return;
    }
    if (!session->host->up->busiest(session, busiest)) {
        fw_request_refuse_with(request, 503, "the topics are being counted: ask again in a second");
        fw_mem_free(busiest);
        return;
    }
    char *body = (char *)(busiest + 1);
    size_t count = fw_text_put(body, BUSY_HEAD_BYTES_MAX,
                               "{\"at_ms\":%" PRIu64 ",\"count\":%" PRIu32 ",\"messages\":%" PRIu64
                               ",\"owed\":%" PRIu64 ",\"subscribers\":{\"ws\":%" PRIu64
                               ",\"sse\":%" PRIu64 ",\"longpoll\":%" PRIu64 "},\"topics\":[",
                               busiest->at_ms, busiest->all, busiest->messages, busiest->owed,
                               busiest->subscribers_by[FW_TRANSPORT_WS],
                               busiest->subscribers_by[FW_TRANSPORT_SSE],
                               busiest->subscribers_by[FW_TRANSPORT_LONGPOLL]);
    for (uint32_t i = 0; i < busiest->count; i++) {
        if (i > 0)
            body[count++] = ',';
        count += write_busy_topic(&busiest->topics[busiest->order[i]], body + count);
    }
    count += fw_text_put(body + count, room - count, "]}\n");
    fw_request_respond(request, 200, json_type, no_store,
                       (struct fw_bytes){(const uint8_t *)body, count});
    fw_mem_free(busiest);
}

/* What /debug tells is told in one place. */
static void answer_figures(struct fw_request *request, void (*answer)(struct fw_request *request))
{
    int error = FW_ERR_HTTP_METHOD_NOT_ALLOWED;
    if (is_read(request))
        error = fw_session_may(request->session, FW_MAY_OBSERVE, (struct fw_bytes){0});
    if (error != 0)
        fw_request_refuse(request, error);
    else
        answer(request);
}

/* A resource that can only be read, with one line in it. */
static void answer_line(struct fw_request *request, unsigned status, const char *line)
{
    if (!is_read(request))
        fw_request_refuse(request, FW_ERR_HTTP_METHOD_NOT_ALLOWED);
    else
        fw_request_respond(request, status, "text/plain; charset=utf-8", no_store,
                           fw_bytes_of(line));
}

bool fw_feed_answer(struct fw_request *request)
{
    if (fw_feed_is_topics(request)) {
        answer_topics(request);
    } else if (path_is(request, "/publish")) {
        if (request->head->method == FW_HTTP_POST)
            fw_batch_answer(request);
        else
            fw_request_refuse(request, FW_ERR_HTTP_METHOD_NOT_ALLOWED);
    } else if (path_is(request, "/debug/slow")) {
        answer_figures(request, fw_slow_answer);
    } else if (path_is(request, "/debug/topics")) {
        answer_figures(request, answer_busiest);
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
