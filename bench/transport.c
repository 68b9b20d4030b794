/* transport.c: event streams, long polls, polls.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "transport.h"
#include "support.h"

#include "proto/http1.h"

#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void transport_init(struct transport *transport, enum transport_kind kind)
{
    *transport = (struct transport){.kind = kind};
    transport->request =
        (struct bench_pattern){.bytes = bench_alloc(1, TRANSPORT_OUT_BYTES), .units = 1};
}

void transport_clear(struct transport *transport)
{
    free(transport->request.bytes);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void write_query(const struct transport *transport, char *query, size_t query_bytes)
{
    query[0] = '\0';
    if (transport->kind == TRANSPORT_POLL)
        snprintf(query, query_bytes, "?last=1");
    else if (transport->kind == TRANSPORT_LONG_POLL && transport->position[0] != '\0')
        snprintf(query, query_bytes, "?since=%s", transport->position);
}

void transport_ask(struct bench_client *client, uint32_t slot, struct transport *transport,
                   const struct bench_url *url, struct transport_sink *sink)
{
    char query[128];
    write_query(transport, query, sizeof query);
    int bytes = snprintf((char *)transport->request.bytes, TRANSPORT_OUT_BYTES,
                         "GET %s%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", url->path, query, url->host,
                         transport->kind == TRANSPORT_SSE ? "Accept: text/event-stream\r\n" : "");
    if (bytes < 0 || bytes >= TRANSPORT_OUT_BYTES)
        bench_misuse("the URL's path is too long");
    transport->request.unit_bytes = (uint32_t)bytes;
    transport->waiting = true;
    sink->requests++;
    sink->sent_bytes += (uint64_t)bytes;
    bench_client_owe(client, slot, &transport->request, 1);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void take_position(struct transport *transport, const struct fw_http_head *head)
{
    struct fw_bytes value;
    if (fw_http_find(head, transport->in, "fanwire-position", 0, &value) < 0 ||
        value.count >= sizeof transport->position)
        bench_die("a poll's answer has no Fanwire-Position: does this server have histories?");
    memcpy(transport->position, value.at, value.count);
    transport->position[value.count] = '\0';
}

static void drop_front(struct transport *transport, size_t count)
{
    transport->in_bytes -= count;
    memmove(transport->in, transport->in + count, transport->in_bytes);
}

/* Takes an answer of a poll, once it is whole.
 *
 * returns      whether there was one
 */
static bool read_poll(struct bench_client *client, uint32_t slot, struct transport *transport,
                      struct transport_sink *sink)
{
    struct fw_http_head head;
    fw_http_head_init(&head);
    ssize_t bytes = fw_http_response_parse(&head, transport->in, transport->in_bytes);
    if (bytes < 0)
        bench_die("a poll's answer: %s", fw_status_text((int)bytes));
    if (bytes == 0 || transport->in_bytes < (size_t)bytes + head.content_length)
        return false;
    if (head.status != 200 && head.status != 204)
        bench_die("a poll was answered %u: a subscriber missed messages, or the server has no "
                  "polls",
                  head.status);
    if (transport->kind == TRANSPORT_LONG_POLL)
        take_position(transport, &head);
    transport->waiting = false;
    if (head.status == 200)
        sink->on_message(client, slot, transport->in + bytes, (size_t)head.content_length);
    drop_front(transport, (size_t)bytes + (size_t)head.content_length);
    return true;
}

/* Takes the head of an event stream.
 *
 * returns      false when more is needed
 */
static bool read_stream_head(struct transport *transport)
{
    struct fw_http_head head;
    fw_http_head_init(&head);
    ssize_t bytes = fw_http_response_parse(&head, transport->in, transport->in_bytes);
    if (bytes < 0 || (bytes > 0 && head.status != 200))
        bench_die("the event stream was answered %d: does this server have them?",
                  bytes < 0 ? (int)bytes : head.status);
    if (bytes == 0)
        return false;
    transport->streaming = true;
    drop_front(transport, (size_t)bytes);
    return true;
}

/* Takes one line of an event stream; our messages are one line of text. */
static bool read_line(struct bench_client *client, uint32_t slot, struct transport *transport,
                      struct transport_sink *sink)
{
    const uint8_t *end = memchr(transport->in, '\n', transport->in_bytes);
    if (end == NULL)
        return false;
    size_t line = (size_t)(end - transport->in);
    if (line > 6 && memcmp(transport->in, "data: ", 6) == 0)
        sink->on_message(client, slot, transport->in + 6, line - 6);
    else if (line >= 12 && memcmp(transport->in, "event: reset", 12) == 0)
        bench_die("an event stream was reset: a subscriber missed messages");
    drop_front(transport, line + 1);
    return true;
}

void transport_read(struct bench_client *client, uint32_t slot, struct transport *transport,
                    const struct bench_url *url, struct transport_sink *sink, const uint8_t *bytes,
                    size_t count)
{
    while (count > 0) {
        size_t room = sizeof transport->in - transport->in_bytes;
        size_t take = count < room ? count : room;
        if (take == 0)
            bench_die("an answer is longer than %zu bytes", sizeof transport->in);
        memcpy(transport->in + transport->in_bytes, bytes, take);
        transport->in_bytes += take;
        bytes += take;
        count -= take;
        if (transport->kind != TRANSPORT_SSE) {
            while (transport->in_bytes > 0 && read_poll(client, slot, transport, sink))
                continue;
            if (transport->kind == TRANSPORT_LONG_POLL && !transport->waiting)
                transport_ask(client, slot, transport, url, sink);
        } else if (transport->streaming || read_stream_head(transport)) {
            while (read_line(client, slot, transport, sink))
                continue;
        }
    }
}
