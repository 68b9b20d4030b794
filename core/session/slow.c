/* slow.c: see slow.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/slow.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/text.h"
#include "session/request.h"
#include "session/session.h"

#include <inttypes.h>

/* One of the answer's objects: a topic's name, five numbers and what stands around them. */
#define OBJECT_BYTES_MAX (FW_TOPIC_NAME_BYTES_MAX + 256)

/* Its place in the list; count when it is not listed. */
static uint32_t place_of(const struct fw_session *session)
{
    const struct fw_slow_list *list = &session->host->slow;
    uint32_t i = 0;
    while (i < list->count && list->sessions[i] != session)
        i++;
    return i;
}

void fw_slow_enter(struct fw_session *session, const struct fw_subscription *subscription)
{
    struct fw_slow_list *list = &session->host->slow;
    if (session->slow)
        return;
    session->slow = true;
    list->changed = true;
    list->all++;
    if (list->count == FW_SLOW_MAX)
        return;
    struct fw_slow *slow = &list->slow[list->count];
    struct fw_bytes name = subscription->local->topic->node.name;
    *slow = (struct fw_slow){.since_ms = session->host->now_ms,
                             .subscriptions_count = session->subscriptions_count,
                             .transport = subscription->transport};
    memcpy(slow->topic, name.at, name.count);
    list->sessions[list->count++] = session;
}

void fw_slow_leave(struct fw_session *session)
{
    struct fw_slow_list *list = &session->host->slow;
    if (!session->slow)
        return;
    uint32_t place = place_of(session);
    session->slow = false;
    list->changed = true;
    list->all--;
    if (place == list->count)
        return;
    list->count--;
    list->sessions[place] = list->sessions[list->count];
    list->slow[place] = list->slow[list->count];
}

void fw_slow_dropped(struct fw_session *session, uint32_t messages_count)
{
    uint32_t place = place_of(session);
    session->host->dropped_messages += messages_count;
    if (place < session->host->slow.count)
        session->host->slow.slow[place].dropped_messages += messages_count;
}

void fw_slow_report(struct fw_session_host *host, struct fw_slow_report *report_out)
{
    struct fw_slow_list *list = &host->slow;
    list->changed = false;
    report_out->count = list->count;
    report_out->all = list->all;
    for (uint32_t i = 0; i < list->count; i++) {
        report_out->slow[i] = list->slow[i];
        report_out->slow[i].queued_bytes = list->sessions[i]->outq.queued_bytes;
    }
}

static size_t write_object(const struct fw_slow *slow, unsigned worker, uint64_t now_ms, char *out)
{
    static const char *const transports[] = {"ws", "sse", "longpoll"};
    uint64_t for_ms = now_ms > slow->since_ms ? now_ms - slow->since_ms : 0;
    return fw_text_put(out, OBJECT_BYTES_MAX,
                       "{\"worker\":%u,\"transport\":\"%s\",\"topic\":\"%s\",\"topics\":%u,"
                       "\"queued\":%" PRIu32 ",\"dropped\":%" PRIu64 ",\"for_ms\":%" PRIu64 "}",
                       worker, transports[slow->transport], slow->topic, slow->subscriptions_count,
                       slow->queued_bytes, slow->dropped_messages, for_ms);
}

void fw_slow_answer(struct fw_request *request)
{
    struct fw_session *session = request->session;
    const struct fw_session_host *host = session->host;
    struct fw_slow_report report;
    uint32_t listed = 0;
    uint32_t all = 0;
    unsigned workers = 0;
    for (; host->up->slow(session, workers, &report); workers++)
        listed += report.count;
    /* Somebody may come between the two looks: so many are told, no more. */
    size_t room = (size_t)listed * (OBJECT_BYTES_MAX + 1) + 64;
    char *body = fw_mem_alloc(room);
    if (body == NULL) {
        fw_request_refuse_with(request, 503, "out of memory");
        return;
    }
    size_t count = fw_text_put(body, room, "{\"slow\":[");
    uint32_t told = 0;
    for (unsigned worker = 0; worker < workers; worker++) {
        host->up->slow(session, worker, &report);
        all += report.all;
        for (uint32_t i = 0; i < report.count && told < listed; i++) {
            if (told++ > 0)
                body[count++] = ',';
            count += write_object(&report.slow[i], worker, host->now_ms, body + count);
        }
    }
    count += fw_text_put(body + count, room - count, "],\"count\":%" PRIu32 "}\n", all);
    fw_request_respond(request, 200, "application/json", "Cache-Control: no-store\r\n",
                       (struct fw_bytes){(const uint8_t *)body, count});
    fw_mem_free(body);
}
