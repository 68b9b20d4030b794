/* ws_stream.h: streams of frames for tests, and what a decoder makes of them, as text.
 *
 * The frames are written octet by octet, without the code under test, so that wrong ones can be
 * written as easily as right ones. A trace is one line: each event with its bytes, in order.
 *
 *     text(Hello) ping() close(1000 bye)
 *     binary(\x00\xff) failed(FW_ERR_WS_TEXT)
 *     text(#65536:cbf29ce484222325)       long payloads: their count and FNV-1a hash
 *
 * A message that is compressed is marked: text*(...). Whether a message stood in place or was
 * assembled is not in the trace, because that is the one thing that cuts may change.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_WS_STREAM_H
#define TESTS_SUPPORT_WS_STREAM_H

#include "proto/ws_decoder.h"
#include "support/guard_buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Octets that grow; start with {0}. */
struct ws_stream {
    uint8_t *bytes;
    size_t bytes_count;
    size_t room;
};

/* Bits of the first two octets, to be or-ed to an opcode. */
#define WS_FIN    0x80u
#define WS_MASKED 0x100u /* the mask bit, which stands in the second octet */

void ws_stream_clear(struct ws_stream *stream);

/* Appends octets as they are; NULL for zeros. */
void ws_stream_put(struct ws_stream *stream, const void *bytes, size_t bytes_count);

/* Appends a frame, its length encoded minimally, masked with a fixed key when WS_MASKED is set.
 *
 * bits         WS_FIN | WS_MASKED | FW_WS_RSV* | opcode
 */
void ws_stream_frame(struct ws_stream *stream, unsigned bits, const void *payload,
                     size_t payload_bytes);

/* The same with a string as payload. */
void ws_stream_text(struct ws_stream *stream, unsigned bits, const char *payload);

/* A trace that grows; start with ws_trace_init. */
struct ws_trace {
    char *text;
    size_t text_bytes;
    size_t room;
    size_t events_count;
    bool failed; /* FW_WS_FAILED is among them */
};

void ws_trace_init(struct ws_trace *trace);
void ws_trace_clear(struct ws_trace *trace);

/* Appends one event by hand: what a test expects. */
void ws_trace_add(struct ws_trace *trace, const struct fw_ws_event *event);

/* Feeds one piece of input to a decoder until FW_WS_NEED_MORE, and appends each event.
 *
 * On the way it holds the decoder to its promises: every call consumes octets or makes an event;
 * event bytes may be written, and before a message as many octets as our header needs.
 *
 * guard        the piece is copied there, flush against an unreadable page, in front or behind by
 *              turns; NULL to use the piece itself, which is then written
 * returns      false when a promise was broken; the trace then ends with BROKEN
 */
bool ws_trace_feed(struct ws_trace *trace, struct fw_ws_decoder *decoder,
                   const struct fw_ws_rules *rules, uint8_t *piece, size_t piece_bytes,
                   struct guard_buf *guard);

/* Decodes a whole stream with a decoder of its own, in pieces that end at the cuts.
 *
 * cuts         ascending, each at most the stream's size; NULL with cuts_count 0 for one piece
 * guard        as above
 * trace        initialized by the caller; appended to
 * returns      false when a promise was broken
 */
bool ws_trace_decode(struct ws_trace *trace, const struct ws_stream *stream,
                     const struct fw_ws_rules *rules, bool deflate, const size_t *cuts,
                     size_t cuts_count, struct guard_buf *guard);

#endif
