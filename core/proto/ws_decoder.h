/* ws_decoder.h: bytes in, events out (RFC 6455, sections 5 to 8). No callbacks, no I/O.
 *
 * Push the bytes that came, pull events until FW_WS_NEED_MORE. Payloads are unmasked in place, and
 * a message that came as one whole frame in one buffer is handed out where it stands: no copy, no
 * allocation. Anything cut (a header, a frame, a fragmented message) lives in a `partial` that is
 * allocated when it is needed and freed when the message is handed out, so that a connection
 * between two messages owns 16 bytes here.
 *
 *            whole frame                      fin, all bytes there
 *   IDLE ------------------> MESSAGE   PARTIAL ---------------------> MESSAGE, then IDLE
 *     |  cut header/payload                ^  |
 *     |  or fin = 0                        |  | control frame: event, state kept
 *     +------------------------------------+  +------------------------------+
 *   any state: a close frame -> CLOSE, a mistake -> FAILED; afterwards every byte is ignored
 *
 * Compressed messages (RSV1, when allowed) come out as they are, marked: inflating and their UTF-8
 * are ws_deflate's and the session's. Thread: the one that owns the decoder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_WS_DECODER_H
#define FW_PROTO_WS_DECODER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writable bytes before every message that the decoder hands out, in place or assembled: enough to
 * put the header of a server's frame of the same length in front of it without a copy. For a masked
 * frame in place its own header, always 4 longer than ours, gives that room. */
#define FW_WS_MESSAGE_HEADROOM 16

/* What all connections of one side share; borrowed by every call. */
struct fw_ws_rules {
    uint64_t message_bytes_max; /* a message's octets on the wire, all fragments together */
    /* The same of a compressed one, which may be longer than what it becomes; 0: no other limit. */
    uint64_t compressed_bytes_max;
    uint32_t fragments_max; /* frames a message may come in, empty ones counted; 0: any number */
    bool client;            /* we are the client: frames must come unmasked */
};

struct fw_ws_partial; /* ws_decoder.c */

struct fw_ws_decoder {
    struct fw_ws_partial *partial; /* NULL when no frame or message is cut */
    bool deflate;                  /* RSV1 is allowed on the first frame of a message (RFC 7692) */
    bool ended;                    /* a close or a failure was handed out */
};
static_assert(sizeof(struct fw_ws_decoder) <= 16, "what an idle connection pays for its decoder");

enum fw_ws_event_kind {
    FW_WS_NEED_MORE, /* all input is consumed */
    FW_WS_MESSAGE,   /* a whole message */
    FW_WS_GOT_PING,  /* answer with a pong of the same bytes */
    FW_WS_GOT_PONG,
    FW_WS_GOT_CLOSE, /* code 1005 and no reason when the frame was empty */
    FW_WS_FAILED,    /* `status` says why; fw_status_answer(status) is the close code */
};

/* Bytes are borrowed, writable, and valid until the next call on this decoder. */
struct fw_ws_event {
    enum fw_ws_event_kind kind;
    uint8_t *bytes; /* message, control payload or close reason */
    size_t bytes_count;
    uint16_t close_code; /* FW_WS_GOT_CLOSE */
    uint8_t opcode;      /* FW_WS_MESSAGE: FW_WS_TEXT or FW_WS_BINARY */
    bool compressed;     /* FW_WS_MESSAGE: RSV1 was set; UTF-8 is not checked yet */
    bool assembled;      /* FW_WS_MESSAGE: stands in the decoder's own buffer, see _take */
    int status;          /* FW_WS_FAILED */
};

/* Makes a decoder ready; allocates nothing. `deflate` says whether RSV1 was negotiated. */
void fw_ws_decoder_init(struct fw_ws_decoder *decoder, bool deflate);

/* Frees what a cut message holds. The decoder may be initialized again. */
void fw_ws_decoder_clear(struct fw_ws_decoder *decoder);

/* Gives the next event that the input completes.
 *
 * rules        borrowed
 * behind       where in the input's memory the next payload may be put: behind these octets and
 *              room for a server's header (RFC 6455, section 5.2), if that is in front of where it
 *              stands; only a server's decoder does so, and not with every message. NULL: nowhere
 * in           the unread input: the address and count are moved past what was consumed; the bytes
 *              are written (unmasked in place). Call again with the rest until FW_WS_NEED_MORE,
 *              which comes only with *in_bytes == 0.
 * event_out    always written. After FW_WS_GOT_CLOSE or FW_WS_FAILED all further input is
 *              swallowed and answered with FW_WS_NEED_MORE.
 *
 * Each octet of text is judged as it arrives, inside an incomplete frame too. The length limit is
 * judged on the announced length, before a byte of payload has come. Memory grows with the bytes
 * that have come, not with those announced: at most 16 times what arrived, or 1 KiB.
 *
 * failures     every FW_ERR_WS_* of "frames and messages" in status.h, out of memory among them
 * source       RFC 6455, sections 5.2 to 5.6, 7.1, 7.4, 8.1
 */
void fw_ws_decoder_next_behind(struct fw_ws_decoder *decoder, const struct fw_ws_rules *rules,
                               uint8_t *behind, uint8_t **in, size_t *in_bytes,
                               struct fw_ws_event *event_out);

/* The same, every payload where it came. */
static inline void fw_ws_decoder_next(struct fw_ws_decoder *decoder,
                                      const struct fw_ws_rules *rules, uint8_t **in,
                                      size_t *in_bytes, struct fw_ws_event *event_out)
{
    fw_ws_decoder_next_behind(decoder, rules, NULL, in, in_bytes, event_out);
}

/* Takes the buffer of the assembled message that was just handed out (event.assembled), so that it
 * can be sent on without a copy.
 *
 * returns      the block's start, to be freed with fw_mem_free; the message begins
 *              FW_WS_MESSAGE_HEADROOM octets into it
 */
uint8_t *fw_ws_decoder_take(struct fw_ws_decoder *decoder);

/* Heap bytes that this decoder holds now, for metrics and tests. */
size_t fw_ws_decoder_heap_bytes(const struct fw_ws_decoder *decoder);

#endif
