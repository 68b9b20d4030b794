/* client_dialect.c: what servers say inside their WebSocket messages: NATS, Socket.IO.
 *
 * A reader takes pieces, cut anywhere, hands the data on as pieces of its own, and answers what
 * keeps the connection alive. It also walks the greeting:
 *
 *   NATS       GREETING --INFO: we say CONNECT, SUB, PING--> PONG --> OPEN
 *   Socket.IO  GREETING --0{...}: we say 40--> 40{...} --> OPEN
 *
 * In OPEN a NATS PONG is told as on_pong: with it a publication was taken.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client_layers.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum step {
    STEP_LINE,    /* NATS: a line; Socket.IO: what comes before a payload */
    STEP_PAYLOAD, /* NATS: `left` octets; Socket.IO: up to the quote */
    STEP_AFTER,   /* NATS: CR LF; Socket.IO: the message's rest */
};

/* A position in a piece. */
struct cursor {
    const uint8_t *at;
    size_t left;
};

static void wrong(struct bench_client *client, uint32_t slot, const char *said)
{
    char why[128];
    snprintf(why, sizeof why, "the server said '%.80s'", said);
    bench_client_failed_for(client, slot, BENCH_FAIL_DIALECT, why);
}

static void say(struct bench_client *client, uint32_t slot, const struct bench_pattern *pattern)
{
    /* Who has more to say is alive anyway. */
    if (bench_client_idle(client, slot))
        bench_client_owe(client, slot, pattern, 1);
}

static void greeted(struct bench_client *client, uint32_t slot)
{
    if (client->conns[slot].state == BENCH_GREETING)
        bench_client_opened(client, slot);
    else if (client->handlers->on_pong != NULL)
        client->handlers->on_pong(client, slot);
}

/* Hands data on. */
static void hand_on(struct bench_client *client, uint32_t slot, const uint8_t *bytes, size_t count,
                    bool last)
{
    struct bench_dialect_reader *reader = client->layers[slot]->reader;
    const struct bench_piece piece = {
        .bytes = bytes, .count = count, .at = reader->at, .last = last};
    reader->at = last ? 0 : reader->at + count;
    if (client->conns[slot].state != BENCH_OPEN)
        wrong(client, slot, "a message before its greeting");
    else if (client->handlers->on_piece != NULL)
        client->handlers->on_piece(client, slot, &piece);
}

/* Keeps the start of a line. */
static void keep(struct bench_dialect_reader *reader, const uint8_t *bytes, size_t count)
{
    size_t room = sizeof reader->line - 1 - reader->line_bytes;
    size_t take = count < room ? count : room;
    memcpy(reader->line + reader->line_bytes, bytes, take);
    reader->line_bytes = (uint16_t)(reader->line_bytes + take);
    reader->line[reader->line_bytes] = '\0';
}

static bool begins(const struct bench_dialect_reader *reader, const char *word)
{
    return strncmp(reader->line, word, strlen(word)) == 0;
}

/* ---- NATS ------------------------------------------------------------------------------------ */

/* MSG subject sid [reply] bytes: the last word counts. */
static void nats_message(struct bench_client *client, uint32_t slot)
{
    struct bench_dialect_reader *reader = client->layers[slot]->reader;
    const char *number = strrchr(reader->line, ' ');
    char *end = NULL;
    unsigned long long bytes = number == NULL ? 0 : strtoull(number + 1, &end, 10);
    if (end == NULL || end == number + 1 || *end != '\r' || bytes > UINT32_MAX) {
        wrong(client, slot, reader->line);
        return;
    }
    reader->left = (size_t)bytes;
    reader->step = STEP_PAYLOAD;
}

static void nats_line(struct bench_client *client, uint32_t slot)
{
    const struct bench_layers *layers = client->layers[slot];
    struct bench_dialect_reader *reader = layers->reader;
    if (begins(reader, "MSG "))
        nats_message(client, slot);
    else if (begins(reader, "PONG"))
        greeted(client, slot);
    else if (begins(reader, "PING"))
        say(client, slot, layers->pulse);
    else if (begins(reader, "INFO ") && client->conns[slot].state == BENCH_GREETING)
        say(client, slot, layers->greeting);
    else if (!begins(reader, "INFO ") && !begins(reader, "+OK"))
        wrong(client, slot, reader->line);
    reader->line_bytes = 0;
}

static void nats_step(struct bench_client *client, uint32_t slot, struct cursor *in)
{
    struct bench_dialect_reader *reader = client->layers[slot]->reader;
    const uint8_t *from = in->at;
    size_t take;
    switch ((enum step)reader->step) {
    case STEP_LINE: {
        const uint8_t *end = memchr(in->at, '\n', in->left);
        take = end == NULL ? in->left : (size_t)(end - in->at) + 1;
        keep(reader, from, take);
        in->at += take;
        in->left -= take;
        if (end != NULL)
            nats_line(client, slot);
        return;
    }
    case STEP_PAYLOAD:
        take = in->left < reader->left ? in->left : reader->left;
        in->at += take;
        in->left -= take;
        reader->left -= take;
        if (reader->left == 0)
            reader->step = STEP_AFTER;
        hand_on(client, slot, from, take, reader->step == STEP_AFTER);
        return;
    case STEP_AFTER:
        in->at++;
        in->left--;
        if (*from == '\n')
            reader->step = STEP_LINE;
        else if (*from != '\r')
            wrong(client, slot, "more than it counted");
        return;
    }
}

/* ---- Socket.IO ------------------------------------------------------------------------------- */

/* What comes before a text: its packet's type, and the event's name. */
static const char event_head[] = "42[\"m\",\"";
#define EVENT_HEAD_BYTES (sizeof event_head - 1)

/* A whole message that is no event. */
static void socket_io_control(struct bench_client *client, uint32_t slot)
{
    const struct bench_layers *layers = client->layers[slot];
    struct bench_dialect_reader *reader = layers->reader;
    bool greeting = client->conns[slot].state == BENCH_GREETING;
    if (strcmp(reader->line, "2") == 0)
        say(client, slot, layers->pulse);
    else if (greeting && begins(reader, "0{"))
        say(client, slot, layers->greeting);
    else if (greeting && begins(reader, "40"))
        greeted(client, slot);
    else
        wrong(client, slot, reader->line);
}

static void socket_io_step(struct bench_client *client, uint32_t slot, struct cursor *in)
{
    struct bench_dialect_reader *reader = client->layers[slot]->reader;
    const uint8_t *from = in->at;
    size_t take = in->left;
    if (reader->step == STEP_LINE) {
        if (reader->line_bytes < EVENT_HEAD_BYTES && take > EVENT_HEAD_BYTES - reader->line_bytes)
            take = EVENT_HEAD_BYTES - reader->line_bytes;
        keep(reader, from, take);
        if (reader->line_bytes == EVENT_HEAD_BYTES && begins(reader, event_head))
            reader->step = STEP_PAYLOAD;
    } else if (reader->step == STEP_PAYLOAD) {
        const uint8_t *end = memchr(from, '"', take);
        size_t data = end == NULL ? take : (size_t)(end - from);
        take = data + (end != NULL);
        if (end != NULL)
            reader->step = STEP_AFTER;
        hand_on(client, slot, from, data, end != NULL);
    }
    in->at += take;
    in->left -= take;
}

/* A message has ended: it was an event to its end, or a control packet. */
static void socket_io_end(struct bench_client *client, uint32_t slot)
{
    struct bench_dialect_reader *reader = client->layers[slot]->reader;
    if (reader->step == STEP_LINE)
        socket_io_control(client, slot);
    else if (reader->step == STEP_PAYLOAD)
        wrong(client, slot, "an event without its end");
    reader->step = STEP_LINE;
    reader->line_bytes = 0;
}

/* ---- both ------------------------------------------------------------------------------------ */

void bench_dialect_piece(struct bench_client *client, uint32_t slot,
                         const struct bench_piece *piece)
{
    const struct bench_conn *conn = &client->conns[slot];
    bool nats = client->layers[slot]->dialect == BENCH_NATS;
    struct cursor in = {piece->bytes, piece->count};
    while (in.left > 0 && (conn->state == BENCH_GREETING || conn->state == BENCH_OPEN)) {
        if (nats)
            nats_step(client, slot, &in);
        else
            socket_io_step(client, slot, &in);
    }
    if (!nats && piece->last && (conn->state == BENCH_GREETING || conn->state == BENCH_OPEN))
        socket_io_end(client, slot);
}
