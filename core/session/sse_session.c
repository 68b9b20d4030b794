/* sse_session.c: a connection that is an event stream (WHATWG HTML, section 9.2), whose form
 * fanwire-protocol(7) gives.
 *
 * A stream of one topic takes the form that all such streams share; one of several topics takes its
 * data lines, behind an id line of its own with the positions of all. What the client still sends
 * is swallowed: the connection ends with the stream.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "session/encode.h"
#include "session/feed.h"
#include "session/session_impl.h"
#include "session/since.h"

#include <fanwire/status.h>
#include <inttypes.h>
#include <string.h>

/* One reset event, without positions. */
#define RESET_BYTES_MAX (FW_TOPIC_NAME_BYTES_MAX + 128)

static const char keep_alive[] = ":\n\n";
static const char expired[] =
    ": the credential has expired\nevent: expired\ndata: {\"code\":4401}\n\n";

static void set_timer(struct fw_session *session)
{
    if (session->host->rules->ping_interval_ms != 0)
        fw_session_set_timer(session, session->host->rules->ping_interval_ms);
}

/* Writes the event that says that messages of a topic are gone, up to an offset. */
static size_t write_reset(const struct fw_topic *topic, uint64_t offset, char *out)
{
    return fw_text_put(out, RESET_BYTES_MAX,
                       ": recovered false\nevent: reset\ndata: {\"topic\":\"%.*s\","
                       "\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64 "}\n\n",
                       (int)topic->node.name.count, (const char *)topic->node.name.at, topic->epoch,
                       offset);
}

/* The first lines: how long to wait before coming back; what is gone; and then the position from
 * which, so that who is cut before that hears of the gap again. */
static bool queue_beginning(struct fw_session *session, const struct fw_feed_joined *joined)
{
    unsigned topics = session->subscriptions_count;
    size_t room = 64 + (size_t)topics * (FW_POSITION_CHARS_MAX + RESET_BYTES_MAX);
    char *out = (char *)fw_arena_reserve(session->host->arena, room);
    if (out == NULL)
        return false;
    size_t count = fw_text_put(out, room, "retry: %u\n\n", FW_SSE_RETRY_MS);
    for (unsigned i = 0; i < topics; i++) {
        const struct fw_subscription *subscription = &session->subscriptions[i];
        if (!joined->recovered[i])
            count += write_reset(subscription->local->topic, subscription->next - 1, out + count);
    }
    count += fw_text_put(out + count, room - count, "id: ");
    count += fw_session_positions(session, out + count);
    memcpy(out + count, "\n\n", 2);
    fw_session_queue(session, (const uint8_t *)out, count + 2);
    return true;
}

void fw_sse_session_begin(struct fw_request *request)
{
    struct fw_session *session = request->session;
    struct fw_feed_joined joined;
    session->encoding = FW_ENCODING_SSE;
    int result = fw_feed_subscribe(request, FW_TRANSPORT_SSE, &joined);
    if (result != 0) {
        session->encoding = 0;
        fw_feed_refuse(request, result);
        return;
    }
    fw_request_stream(request, "text/event-stream",
                      "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n");
    if (session->phase == FW_PHASE_DONE)
        return;
    session->phase = FW_PHASE_STREAM;
    session->begun = true; /* a consumer that is too slow at once must not lose the head */
    fw_session_clear_timer(session);
    set_timer(session);
    if (!queue_beginning(session, &joined))
        fw_session_finish(session, FW_END_ABORT);
}

/* A comment keeps proxies from ending a silent stream, and shows a peer that is gone: one that has
 * taken nothing since the last one. */
void fw_sse_session_timer(struct fw_session *session)
{
    if (session->blocked && session->ping_sent) {
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    session->ping_sent = true; /* cleared when the socket takes something */
    if (!session->blocked)
        fw_session_queue(session, (const uint8_t *)keep_alive, sizeof keep_alive - 1);
    set_timer(session);
}

/* What waits goes out before it, as far as the peer takes it in time. A browser that comes back by
 * itself is answered 401, and gives up. */
void fw_sse_session_expire(struct fw_session *session)
{
    fw_session_queue(session, (const uint8_t *)expired, sizeof expired - 1);
    fw_session_finish(session, FW_END_CLOSE);
}

void fw_sse_session_tell_gap(struct fw_subscription *subscription, uint64_t offset)
{
    struct fw_session *session = subscription->subscriber;
    char *out = (char *)fw_arena_reserve(session->host->arena, RESET_BYTES_MAX);
    if (out == NULL) {
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    fw_session_queue(session, (const uint8_t *)out,
                     write_reset(subscription->local->topic, offset, out));
}

/* The lines in front of a message's data: the positions of all topics, and which one it is of. They
 * are the message's, so that a policy that drops it drops them.
 *
 * returns      NULL when there is no memory
 */
static struct fw_share *share_head(const struct fw_session *session, const struct fw_msg *msg)
{
    struct fw_bytes name = msg->topic->node.name;
    size_t room =
        64 + FW_TOPIC_NAME_BYTES_MAX + (size_t)session->subscriptions_count * FW_POSITION_CHARS_MAX;
    struct fw_share *share = fw_share_create(room);
    if (share == NULL)
        return NULL;
    char *out = (char *)share->own;
    size_t count = fw_text_put(out, room, "id: ");
    count += fw_session_positions(session, out + count);
    count += fw_text_put(out + count, room - count, "\nevent: %s:%.*s\n",
                         msg->type == FW_TEXT ? "topic" : "binary", (int)name.count,
                         (const char *)name.at);
    share->bytes_count = (uint32_t)count;
    share->key = msg->key;
    fw_share_set_topic(share, msg->topic);
    return share;
}

/* The data lines that all event streams share. */
static struct fw_share *share_data(struct fw_msg *msg)
{
    const struct fw_encoded *encoded = fw_session_encoded(msg, FW_ENCODING_SSE);
    struct fw_share *share = encoded == NULL ? NULL : fw_share_of_msg(msg);
    if (share == NULL)
        return NULL;
    fw_msg_hold(msg, 1);
    share->bytes = encoded->bytes + encoded->skipped;
    share->bytes_count = encoded->bytes_count - encoded->skipped;
    fw_share_set_topic(share, msg->topic);
    return share;
}

/* Queues one message for a stream of several topics; false when there is no memory. */
static bool queue_event(struct fw_session *session, struct fw_subscription *subscription,
                        struct fw_msg *msg)
{
    uint64_t next = subscription->next;
    subscription->next = msg->offset + 1;
    struct fw_share *head = share_head(session, msg);
    subscription->next = next;
    struct fw_share *data = head == NULL ? NULL : share_data(msg);
    if (data != NULL) {
        fw_session_deliver_behind(subscription, head, data);
        fw_share_drop(data);
    } else {
        fw_topic_withdraw(msg->topic, 1, false);
    }
    if (head != NULL)
        fw_share_drop(head);
    return data != NULL;
}

void fw_sse_session_deliver(struct fw_session *session, struct fw_subscription *subscription,
                            struct fw_msg *const *msgs, size_t msgs_count)
{
    for (size_t i = 0; i < msgs_count; i++) {
        bool streams = session->phase == FW_PHASE_STREAM;
        if (streams && queue_event(session, subscription, msgs[i]))
            continue;
        if (streams)
            fw_session_finish(session, FW_END_ABORT);
        else
            fw_topic_withdraw(subscription->local->topic, 1, false);
    }
}
