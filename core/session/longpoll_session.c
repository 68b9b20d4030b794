/* longpoll_session.c: a GET of a topic that waits for a message: what it is answered, is in
 * fanwire-protocol(7).
 *
 * It subscribes as any transport does, `singly`, and takes the first message that is handed to it,
 * from the history or live; with ?batch all that are handed over at once. The subscription ends
 * when the answer is sent, for it cannot end inside a fan-out. What the client sends meanwhile, the
 * next request of a pipeline, is set aside.
 *
 *   HTTP --GET--> POLL --message, time is up, gap--> answered --sent--> HTTP
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "proto/json.h"
#include "session/encode.h"
#include "session/feed.h"
#include "session/session_impl.h"
#include "session/since.h"

#include <errno.h>
#include <fanwire/status.h>
#include <fanwire/types.h>
#include <inttypes.h>
#include <string.h>

/* What is remembered of the request until it is answered. */
struct fw_poll {
    struct fw_http_head head; /* the method and what follows the answer; no headers */
    bool batch;
    size_t origin_bytes;
    uint8_t origin[];
};

/* Header lines of an answer: the positions of all topics, and one topic's name. */
#define HEADERS_BYTES_MAX                                                                          \
    (FW_SUBSCRIPTIONS_MAX * FW_POSITION_CHARS_MAX + FW_TOPIC_NAME_BYTES_MAX + 128)

/* A line of a batch: a name, two numbers, and what stands around them. */
#define LINE_BYTES_MAX (FW_TOPIC_NAME_BYTES_MAX + 128)

void fw_poll_session_clear(struct fw_session *session)
{
    fw_mem_free(session->in.poll);
    session->in.poll = NULL;
    session->polls = false;
}

/* Writes the header lines that every answer has.
 *
 * topic        the message's, or NULL
 */
static void write_headers(struct fw_session *session, const struct fw_topic *topic,
                          char out[HEADERS_BYTES_MAX])
{
    size_t count =
        fw_text_put(out, HEADERS_BYTES_MAX, "Cache-Control: no-store\r\nFanwire-Position: ");
    count += fw_session_positions(session, out + count);
    count += fw_text_put(out + count, HEADERS_BYTES_MAX - count, "\r\n");
    if (topic != NULL)
        fw_text_put(out + count, HEADERS_BYTES_MAX - count, "Fanwire-Topic: %.*s\r\n",
                    (int)topic->node.name.count, (const char *)topic->node.name.at);
}

static void respond(struct fw_session *session, unsigned status, const char *content_type,
                    const char *headers, struct fw_bytes body)
{
    const struct fw_poll *poll = session->in.poll;
    struct fw_request request = {
        .session = session,
        .head = &poll->head,
        .origin = {poll->origin, poll->origin_bytes},
    };
    session->answered = true;
    fw_session_clear_timer(session);
    fw_request_respond(&request, status, content_type, headers, body);
}

/* The answer was sent: the connection is an HTTP one again. */
void fw_poll_session_answered(struct fw_session *session)
{
    fw_session_unsubscribe_all(session);
    fw_poll_session_clear(session);
    session->answered = false;
    session->phase = FW_PHASE_HTTP;
    fw_session_set_timer(session, FW_KEEP_ALIVE_IDLE_MS);
}

/* A position that the history no longer reaches: the answer names one that it does. */
static void respond_gone(struct fw_session *session)
{
    char headers[HEADERS_BYTES_MAX];
    write_headers(session, NULL, headers);
    respond(session, 410, "text/plain; charset=utf-8", headers,
            fw_bytes_of("the history no longer reaches this position; the oldest that it does is "
                        "in Fanwire-Position\n"));
}

static bool all_recovered(const struct fw_session *session, const struct fw_feed_joined *joined)
{
    for (unsigned i = 0; i < session->subscriptions_count; i++) {
        if (!joined->recovered[i])
            return false;
    }
    return true;
}

void fw_poll_session_begin(struct fw_request *request)
{
    struct fw_session *session = request->session;
    struct fw_feed_joined joined;
    struct fw_bytes ignored;
    int result = fw_feed_subscribe(request, FW_TRANSPORT_LONGPOLL, &joined);
    struct fw_poll *poll = NULL;
    if (result == 0) {
        poll = fw_mem_alloc(sizeof *poll + request->origin.count);
        result = poll == NULL ? -ENOMEM : 0;
    }
    if (result != 0) {
        fw_feed_refuse(request, result);
        return;
    }
    fw_http_head_init(&poll->head);
    poll->head.method = request->head->method;
    poll->head.minor = request->head->minor;
    poll->head.keep_alive = request->head->keep_alive;
    poll->batch =
        fw_http_query_find(fw_http_bytes(request->bytes, request->head->query), "batch", &ignored);
    poll->origin_bytes = request->origin.count;
    if (poll->origin_bytes > 0)
        memcpy(poll->origin, request->origin.at, poll->origin_bytes);
    request->answered = true; /* it will be */
    session->in.poll = poll;
    session->polls = true;
    session->phase = FW_PHASE_POLL;
    if (all_recovered(session, &joined))
        fw_session_set_timer(session, FW_POLL_MS);
    else
        respond_gone(session);
}

/* Time is up, or the server stops: nothing came. */
void fw_poll_session_timer(struct fw_session *session)
{
    char headers[HEADERS_BYTES_MAX];
    if (session->answered)
        return;
    write_headers(session, NULL, headers);
    respond(session, 204, NULL, headers, (struct fw_bytes){0});
}

/* Who waited too long to be let wait on. The position is still its own to come back with. */
void fw_poll_session_expire(struct fw_session *session)
{
    char headers[HEADERS_BYTES_MAX];
    write_headers(session, NULL, headers);
    respond(session, 401, "text/plain; charset=utf-8", headers,
            fw_bytes_of("the credential has expired\n"));
}

void fw_poll_session_tell_gap(struct fw_subscription *subscription, uint64_t offset)
{
    struct fw_session *session = subscription->subscriber;
    if (session->answered)
        return;
    uint64_t next = subscription->next;
    subscription->next = offset + 1;
    respond_gone(session);
    subscription->next = next;
}

/* Octets that a message takes in a batch, at most. */
static size_t line_room(const struct fw_msg *msg)
{
    struct fw_bytes payload = fw_msg_payload(msg);
    return LINE_BYTES_MAX + (msg->type == FW_TEXT ? fw_json_quoted_bytes(payload)
                                                  : fw_base64_bytes(payload.count) + 2);
}

static size_t write_line(const struct fw_msg *msg, uint8_t *out)
{
    struct fw_bytes payload = fw_msg_payload(msg);
    struct fw_bytes name = msg->topic->node.name;
    bool text = msg->type == FW_TEXT;
    size_t count =
        fw_text_put((char *)out, LINE_BYTES_MAX,
                    "{\"topic\":\"%.*s\",\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64 ",\"%s\":",
                    (int)name.count, (const char *)name.at, msg->topic->epoch, msg->offset,
                    text ? "text" : "base64");
    if (text) {
        count += fw_json_quote(payload, out + count);
    } else {
        out[count++] = '"';
        fw_base64_write(payload, out + count);
        count += fw_base64_bytes(payload.count);
        out[count++] = '"';
    }
    out[count++] = '}';
    out[count++] = '\n';
    return count;
}

/* All messages at hand, one JSON object a line. */
static void respond_batch(struct fw_session *session, const char *headers,
                          struct fw_msg *const *msgs, size_t msgs_count)
{
    size_t room = 0;
    size_t count = 0;
    for (size_t i = 0; i < msgs_count; i++)
        room += line_room(msgs[i]);
    uint8_t *body = fw_mem_alloc(room);
    if (body == NULL) {
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    for (size_t i = 0; i < msgs_count; i++)
        count += write_line(msgs[i], body + count);
    respond(session, 200, "application/x-ndjson", headers, (struct fw_bytes){body, count});
    fw_mem_free(body);
}

void fw_poll_session_deliver(struct fw_session *session, struct fw_subscription *subscription,
                             struct fw_msg *const *msgs, size_t msgs_count)
{
    char headers[HEADERS_BYTES_MAX];
    struct fw_topic *topic = subscription->local->topic;
    size_t taken = session->in.poll->batch ? msgs_count : 1;
    uint64_t next = subscription->next;
    if (!session->in.poll->batch)
        subscription->next = msgs[0]->offset + 1;
    write_headers(session, topic, headers);
    subscription->next = next;
    if (taken < msgs_count)
        fw_topic_withdraw(topic, (uint32_t)(msgs_count - taken), false);
    if (session->in.poll->batch)
        respond_batch(session, headers, msgs, msgs_count);
    else
        respond(session, 200,
                msgs[0]->type == FW_TEXT ? "text/plain; charset=utf-8" : "application/octet-stream",
                headers, fw_msg_payload(msgs[0]));
}
