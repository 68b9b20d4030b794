/* ws_stream.c: streams of frames for tests, and traces of events.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/ws_stream.h"

#include "fanwire/status.h"
#include "proto/ws_frame.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A key of four different octets, one with its high bit set: a wrong turn of it shows. */
static const uint8_t mask_key[4] = {0x37, 0xfa, 0x21, 0x3d};

/* Payloads up to this length are written out in a trace. */
#define SHOWN_BYTES_MAX 64

static void *grown(void *block, size_t *room, size_t needed)
{
    if (needed <= *room)
        return block;
    *room = needed * 2 + 64;
    block = realloc(block, *room);
    if (block == NULL)
        abort();
    return block;
}

void ws_stream_clear(struct ws_stream *stream)
{
    free(stream->bytes);
    *stream = (struct ws_stream){0};
}

void ws_stream_put(struct ws_stream *stream, const void *bytes, size_t bytes_count)
{
    stream->bytes = grown(stream->bytes, &stream->room, stream->bytes_count + bytes_count);
    if (bytes == NULL)
        memset(stream->bytes + stream->bytes_count, 0, bytes_count);
    else if (bytes_count > 0)
        memcpy(stream->bytes + stream->bytes_count, bytes, bytes_count);
    stream->bytes_count += bytes_count;
}

void ws_stream_frame(struct ws_stream *stream, unsigned bits, const void *payload,
                     size_t payload_bytes)
{
    size_t longer = payload_bytes < 126 ? 0 : payload_bytes < 65536 ? 2 : 8;
    size_t length = longer == 0 ? payload_bytes : longer == 2 ? 126 : 127;
    uint8_t head[10] = {(uint8_t)bits, (uint8_t)(length | (bits & WS_MASKED) >> 1)};
    for (size_t i = 0; i < longer; i++)
        head[2 + i] = (uint8_t)((uint64_t)payload_bytes >> (8 * (longer - 1 - i)));
    ws_stream_put(stream, head, 2 + longer);
    if (bits & WS_MASKED)
        ws_stream_put(stream, mask_key, sizeof mask_key);
    ws_stream_put(stream, payload, payload_bytes);
    if (!(bits & WS_MASKED))
        return;
    uint8_t *at = stream->bytes + stream->bytes_count - payload_bytes;
    for (size_t i = 0; i < payload_bytes; i++)
        at[i] ^= mask_key[i % 4];
}

void ws_stream_text(struct ws_stream *stream, unsigned bits, const char *payload)
{
    ws_stream_frame(stream, bits, payload, strlen(payload));
}

void ws_trace_init(struct ws_trace *trace)
{
    *trace = (struct ws_trace){0};
    trace->text = grown(NULL, &trace->room, 1);
    trace->text[0] = '\0';
}

void ws_trace_clear(struct ws_trace *trace)
{
    free(trace->text);
    *trace = (struct ws_trace){0};
}

static void add_format(struct ws_trace *trace, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_format(struct ws_trace *trace, const char *format, ...)
{
    char piece[160];
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (bytes < 0 || (size_t)bytes >= sizeof piece)
        abort();
    trace->text = grown(trace->text, &trace->room, trace->text_bytes + (size_t)bytes + 1);
    memcpy(trace->text + trace->text_bytes, piece, (size_t)bytes + 1);
    trace->text_bytes += (size_t)bytes;
}

static void add_bytes(struct ws_trace *trace, const uint8_t *bytes, size_t bytes_count)
{
    if (bytes_count > SHOWN_BYTES_MAX) {
        uint64_t hash = 0xcbf29ce484222325;
        for (size_t i = 0; i < bytes_count; i++)
            hash = (hash ^ bytes[i]) * 0x100000001b3;
        add_format(trace, "#%zu:%016" PRIx64, bytes_count, hash);
        return;
    }
    for (size_t i = 0; i < bytes_count; i++) {
        bool plain = bytes[i] >= 0x20 && bytes[i] < 0x7f && strchr("()\\#", bytes[i]) == NULL;
        add_format(trace, plain ? "%c" : "\\x%02x", bytes[i]);
    }
}

static const char *status_name(int status)
{
    switch (status) {
#define STATUS_CASE(name, value, answer, sentence)                                                 \
    case value:                                                                                    \
        return #name;
        FW_STATUS_TABLE(STATUS_CASE)
#undef STATUS_CASE
    default:
        return "no status";
    }
}

void ws_trace_add(struct ws_trace *trace, const struct fw_ws_event *event)
{
    const char *space = trace->events_count++ > 0 ? " " : "";
    switch (event->kind) {
    case FW_WS_NEED_MORE:
        trace->events_count--;
        return;
    case FW_WS_MESSAGE:
        add_format(trace, "%s%s%s(", space, event->opcode == FW_WS_TEXT ? "text" : "binary",
                   event->compressed ? "*" : "");
        break;
    case FW_WS_GOT_PING:
        add_format(trace, "%sping(", space);
        break;
    case FW_WS_GOT_PONG:
        add_format(trace, "%spong(", space);
        break;
    case FW_WS_GOT_CLOSE:
        add_format(trace, "%sclose(%u%s", space, event->close_code,
                   event->bytes_count > 0 ? " " : "");
        break;
    case FW_WS_FAILED:
        add_format(trace, "%sfailed(%s)", space, status_name(event->status));
        trace->failed = true;
        return;
    }
    add_bytes(trace, event->bytes, event->bytes_count);
    add_format(trace, ")");
}

/* Writes everywhere the decoder said one may: an unreadable page or a sanitizer will tell, and so
 * will the next event, if the decoder still needed what was there. */
static void scribble(const struct fw_ws_event *event)
{
    if (event->kind == FW_WS_MESSAGE) {
        size_t header_bytes = fw_ws_header_bytes(event->bytes_count, false);
        memset(event->bytes - header_bytes, 0xa5, header_bytes);
    }
    if (event->bytes_count > 0)
        memset(event->bytes, 0x5a, event->bytes_count);
}

bool ws_trace_feed(struct ws_trace *trace, struct fw_ws_decoder *decoder,
                   const struct fw_ws_rules *rules, uint8_t *piece, size_t piece_bytes,
                   struct guard_buf *guard)
{
    uint8_t *in = piece;
    size_t in_bytes = piece_bytes;
    if (guard != NULL && piece_bytes % 2 == 0)
        in = guard_buf_at_start(guard, piece, piece_bytes);
    else if (guard != NULL)
        in = guard_buf_at_end(guard, piece, piece_bytes);
    const uint8_t *end = in + in_bytes;
    struct fw_ws_event event;
    do {
        size_t before = in_bytes;
        memset(&event, 0xee, sizeof event);
        fw_ws_decoder_next(decoder, rules, &in, &in_bytes, &event);
        bool moved = in_bytes < before || event.kind != FW_WS_NEED_MORE || before == 0;
        bool rest = event.kind == FW_WS_NEED_MORE && in_bytes > 0;
        if (in + in_bytes != end || !moved || rest) {
            add_format(trace, " BROKEN");
            return false;
        }
        ws_trace_add(trace, &event);
        scribble(&event);
    } while (event.kind != FW_WS_NEED_MORE);
    return true;
}

bool ws_trace_decode(struct ws_trace *trace, const struct ws_stream *stream,
                     const struct fw_ws_rules *rules, bool deflate, const size_t *cuts,
                     size_t cuts_count, struct guard_buf *guard)
{
    struct fw_ws_decoder decoder;
    bool kept = true;
    size_t from = 0;
    fw_ws_decoder_init(&decoder, deflate);
    for (size_t i = 0; i <= cuts_count && kept; i++) {
        size_t to = i < cuts_count ? cuts[i] : stream->bytes_count;
        /* One octet more than needed, so that an empty piece, too, has an address. */
        uint8_t *piece = malloc(to - from + 1);
        if (piece == NULL)
            abort();
        if (to > from)
            memcpy(piece, stream->bytes + from, to - from);
        kept = ws_trace_feed(trace, &decoder, rules, piece, to - from, guard);
        free(piece);
        from = to;
    }
    fw_ws_decoder_clear(&decoder);
    return kept;
}
