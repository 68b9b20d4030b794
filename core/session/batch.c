/* batch.c: see batch.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/batch.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/topic_name.h"
#include "proto/json.h"
#include "session/command.h"
#include "session/identity.h"
#include "session/publication.h"
#include "session/session_impl.h"

#include <fanwire/status.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A line of the answer: a topic's name, two numbers, or an error's sentence. */
#define LINE_BYTES_MAX (FW_TOPIC_NAME_BYTES_MAX + 256)

/* Cuts the next line off, without its end; false at the end of all. */
static bool next_line(struct fw_bytes *rest, struct fw_bytes *line_out)
{
    if (rest->count == 0)
        return false;
    const uint8_t *end = memchr(rest->at, '\n', rest->count);
    size_t count = end == NULL ? rest->count : (size_t)(end - rest->at);
    *line_out = (struct fw_bytes){rest->at, count};
    size_t passed = end == NULL ? count : count + 1;
    rest->at += passed;
    rest->count -= passed;
    if (count > 0 && line_out->at[count - 1] == '\r')
        line_out->count--;
    return true;
}

/* Lines that are not empty; no more than may be, plus one. */
static size_t lines_of(struct fw_bytes body)
{
    size_t lines = 0;
    struct fw_bytes line;
    while (lines <= FW_BATCH_LINES_MAX && next_line(&body, &line))
        lines += line.count > 0;
    return lines;
}

static int publish_line(struct fw_session *session, struct fw_bytes line, char *topic_out,
                        struct fw_published *published_out)
{
    json_t *object;
    struct fw_publication publication;
    void *block = NULL;
    int result = fw_json_parse(line, true, &object);
    if (result != 0)
        return result;
    struct fw_bytes topic = fw_json_string(object, "topic");
    result = topic.at == NULL ? FW_ERR_COMMAND : FW_ERR_TOPIC;
    if (topic.at != NULL && fw_topic_name_valid(topic))
        result = fw_session_may(session, FW_MAY_PUBLISH, topic);
    if (result == 0)
        result = fw_publication_read(object, &publication, &block);
    if (result == 0 && !fw_session_within_rate(session, publication.payload.count))
        result = FW_ERR_RATE;
    if (result == 0) {
        memcpy(topic_out, topic.at, topic.count);
        topic_out[topic.count] = '\0';
        result = session->host->up->publish(session, topic, &publication, published_out);
    }
    fw_mem_free(block);
    json_decref(object);
    return result;
}

static size_t answer_line(struct fw_session *session, struct fw_bytes line, char *out)
{
    char topic[FW_TOPIC_NAME_BYTES_MAX + 1];
    struct fw_published published;
    int result = publish_line(session, line, topic, &published);
    int count;
    if (result == 0)
        count = snprintf(out, LINE_BYTES_MAX,
                         "{\"topic\":\"%s\",\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64
                         ",\"receivers\":%" PRIu32 "}\n",
                         topic, published.epoch, published.offset, published.receivers);
    else
        count = snprintf(out, LINE_BYTES_MAX, "{\"error\":\"%s\",\"message\":\"%s\"}\n",
                         fw_command_code(result), fw_status_text(result));
    fw_assert(count > 0 && (size_t)count < LINE_BYTES_MAX);
    return (size_t)count;
}

void fw_batch_answer(struct fw_request *request)
{
    struct fw_bytes rest = request->body;
    struct fw_bytes line;
    size_t lines = lines_of(rest);
    int may = fw_session_may_some(request->session, FW_MAY_PUBLISH);
    if (may != 0) {
        fw_request_refuse(request, may);
        return;
    }
    if (lines > FW_BATCH_LINES_MAX) {
        fw_request_refuse_with(request, 413, "a batch has at most 10000 lines");
        return;
    }
    /* Before the first is published: then there must be room to say so. */
    char *answer = fw_mem_alloc(lines * LINE_BYTES_MAX + 1);
    size_t count = 0;
    if (answer == NULL) {
        fw_request_refuse_with(request, 503, "out of memory");
        return;
    }
    while (next_line(&rest, &line)) {
        if (line.count > 0)
            count += answer_line(request->session, line, answer + count);
    }
    fw_request_respond(request, 200, "application/x-ndjson", "Cache-Control: no-store\r\n",
                       (struct fw_bytes){(const uint8_t *)answer, count});
    fw_mem_free(answer);
}
