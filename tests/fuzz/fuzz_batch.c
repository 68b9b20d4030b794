/* fuzz_batch.c: libFuzzer target of POST /publish (core/session/batch.c; fanwire-protocol(7)).
 *
 * The input is the body: lines of JSON. The oracle: each line that is not empty has a line in the
 * answer, in order, which is JSON and is what the same line is answered alone; what is published is
 * what the line asked for; the answer is the same, octet for octet, however the request is cut.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/publications.h"

#define BODY_BYTES_MAX 4096
#define LINES_MAX      24
#define HEAD_BYTES_MAX 128

static char *post(struct fw_bytes body, size_t piece_max)
{
    struct fake_host fake;
    char head[HEAD_BYTES_MAX];
    int head_count =
        snprintf(head, sizeof head,
                 "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", body.count);
    size_t count = (size_t)head_count + body.count;
    uint8_t *request = malloc(count);
    uint32_t seed = hash_of(body.at, body.count);
    require(request != NULL, "memory");
    memcpy(request, head, (size_t)head_count);
    if (body.count > 0)
        memcpy(request + head_count, body.at, body.count);
    fake_host_init(&fake);
    note_publications(&fake);
    for (size_t at = 0; at < count;) {
        seed = seed * 1664525u + 1013904223u;
        size_t piece = piece_max == SIZE_MAX ? count : 1 + (seed >> 16) % piece_max;
        piece = piece < count - at ? piece : count - at;
        fake_host_receive(&fake, request + at, piece);
        fake_host_flush(&fake);
        at += piece;
    }
    free(request);
    require(fake.sent_count > 0 && strlen(fake_host_sent(&fake)) == fake.sent_count, "an answer");
    char *sent = string_of((struct fw_bytes){fake.sent, fake.sent_count});
    fake_host_clear(&fake);
    return sent;
}

/* What stands behind the head of an answer. */
static struct fw_bytes body_of(const char *sent)
{
    const char *end = strstr(sent, "\r\n\r\n");
    require(strncmp(sent, "HTTP/1.1 200 ", 13) == 0 && end != NULL, "200");
    return fw_bytes_of(end + 4);
}

/* The next line that is not empty, as a batch reads lines; false at the end. */
static bool next_line(struct fw_bytes *rest, struct fw_bytes *line_out)
{
    while (rest->count > 0) {
        *line_out = cut_at(rest, '\n');
        if (line_out->count > 0 && line_out->at[line_out->count - 1] == '\r')
            line_out->count--;
        if (line_out->count > 0)
            return true;
    }
    return false;
}

/* An answer is an error, or what was published. */
static json_t *read_answer(struct fw_bytes text)
{
    json_t *answer = json_loadb((const char *)text.at, text.count, JSON_REJECT_DUPLICATES, NULL);
    require(json_is_object(answer), "an answer is an object");
    bool failed = json_is_string(json_object_get(answer, "error")) &&
                  json_is_string(json_object_get(answer, "message"));
    bool done = json_is_string(json_object_get(answer, "topic")) &&
                json_is_integer(json_object_get(answer, "offset"));
    require(failed != done, "it says one thing");
    return answer;
}

/* What a line published is what it said. */
static void check_line(struct fw_bytes line, struct fw_bytes text, size_t *published)
{
    json_t *answer = read_answer(text);
    if (json_object_get(answer, "error") == NULL) {
        const json_t *offset = json_object_get(answer, "offset");
        json_t *object = json_loadb((const char *)line.at, line.count,
                                    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        require(json_is_object(object), "only objects publish");
        require(*published < noted_count &&
                    json_integer_value(offset) == (json_int_t)*published + NOTED_OFFSET_FIRST,
                "in order");
        require_publication(object, "topic", &noted[(*published)++]);
        json_decref(object);
    }
    json_decref(answer);
}

/* Alone, a publication has another offset. */
static void check_alone(struct fw_bytes line, struct fw_bytes text)
{
    uint8_t *with_end = malloc(line.count + 2);
    require(with_end != NULL, "memory");
    memcpy(with_end, line.at, line.count);
    memcpy(with_end + line.count, "\r\n", 2);
    char *sent = post((struct fw_bytes){with_end, line.count + 2}, SIZE_MAX);
    free(with_end);
    json_t *among = read_answer(text);
    json_t *alone = read_answer(body_of(sent));
    json_object_del(among, "offset");
    json_object_del(alone, "offset");
    require(json_equal(among, alone), "a line is answered as it is alone");
    json_decref(among);
    json_decref(alone);
    free(sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fw_bytes body = {data, size};
    struct fw_bytes line;
    size_t published = 0;
    size_t lines = 0;
    if (size > BODY_BYTES_MAX)
        return -1;
    for (struct fw_bytes rest = body; next_line(&rest, &line);)
        lines++;
    if (lines > LINES_MAX)
        return -1;
    char *cut = post(body, 60);
    char *whole = post(body, SIZE_MAX);
    require(strcmp(whole, cut) == 0, "whole as cut");
    struct fw_bytes answers = body_of(whole);
    for (struct fw_bytes rest = body; next_line(&rest, &line);)
        check_line(line, cut_at(&answers, '\n'), &published);
    require(answers.count == 0 && published == noted_count, "a line for each line");
    answers = body_of(whole);
    for (struct fw_bytes rest = body; next_line(&rest, &line);)
        check_alone(line, cut_at(&answers, '\n'));
    free(whole);
    free(cut);
    return 0;
}
