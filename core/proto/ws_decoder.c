/* ws_decoder.c: bytes in, events out (RFC 6455, sections 5 to 8).
 *
 * Three ways through, fastest first:
 *
 *   plain_message   a whole, final data frame of up to 65535 octets, nothing cut: unmasked where
 *                   it stands or in front of that; while it is short, with no call into the wide
 * kernels whole_message   any other whole, final data frame, nothing cut: longer, or compressed
 *   stages          everything else walks the stages of a partial:
 *
 *        header_step --> data_step     until the frame's payload is there, then back
 *                    \-> control_step  only when a control frame is cut; a whole one stays in place
 *
 * Every step either consumes input, or ends the call with an event; so no input can make a call
 * loop. Header bytes are judged in ws_frame.c, text in utf8.c; what close codes answer a failure is
 * in status.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/ws_decoder.h"

#include "base/check.h"
#include "base/mem.h"
#include "fanwire/status.h"
#include "proto/mask.h"
#include "proto/simd/simd.h"
#include "proto/utf8.h"
#include "proto/ws_frame.h"

#include <string.h>

enum stage { STAGE_HEADER, STAGE_DATA, STAGE_CONTROL };

/* What is known of a cut header, a cut frame or an unfinished message. */
struct fw_ws_partial {
    uint8_t *block;    /* FW_WS_MESSAGE_HEADROOM octets, then the message; NULL until it has one */
    size_t block_room; /* message octets that fit into the block */
    size_t message_bytes; /* message octets that stand in the block */
    uint64_t frame_left;  /* payload octets of this frame that have not come */
    uint32_t frame_key;   /* turned so that it fits the next octet */
    uint32_t fragments;   /* frames of this message so far */
    uint32_t utf8;        /* utf8.h, at the end of message_bytes */
    uint8_t stage;        /* enum stage */
    uint8_t frame_opcode; /* STAGE_CONTROL */
    bool frame_fin;
    uint8_t message_opcode; /* FW_WS_CONTINUATION: no message is open */
    bool message_compressed;
    uint8_t stash_count;
    uint8_t stash[FW_WS_CONTROL_BYTES_MAX]; /* a cut header, or a cut control frame's payload */
};

/* The memory rule: what one decoder holds stays within 16 times the payload that has come, and may
 * always be this much. */
#define HELD_BYTES_MIN    1024
#define HELD_PER_RECEIVED 16
#define OVERHEAD_BYTES    (sizeof(struct fw_ws_partial) + FW_WS_MESSAGE_HEADROOM)
static_assert(FW_WS_CONTROL_BYTES_MAX >= FW_WS_HEADER_BYTES_MAX, "the stash takes a cut header");
static_assert(OVERHEAD_BYTES <= HELD_BYTES_MIN / 2, "what came must fit beside the overhead");
static_assert(FW_WS_MESSAGE_HEADROOM >= FW_WS_SERVER_HEADER_BYTES_MAX, "room for our header");

/* Up to here unmasking by words beats the wide kernels (bench/micro_ws_decoder.c). */
#define SHORT_BYTES_MAX 256

/* A longer length says 126 or 127 in its 7 bits. */
#define LENGTH_7_BITS_MAX 125

/* One call's arguments, gathered; `in` and `in_bytes` are the input not yet consumed. */
struct call {
    struct fw_ws_decoder *decoder;
    const struct fw_ws_rules *rules;
    uint8_t *in;
    size_t in_bytes;
    struct fw_ws_event *event;
};

void fw_ws_decoder_init(struct fw_ws_decoder *decoder, bool deflate)
{
    *decoder = (struct fw_ws_decoder){.deflate = deflate};
}

void fw_ws_decoder_clear(struct fw_ws_decoder *decoder)
{
    if (decoder->partial == NULL)
        return;
    fw_mem_free(decoder->partial->block);
    fw_mem_free(decoder->partial);
    decoder->partial = NULL;
}

/* The partial of this connection, made when there is none; NULL without memory. */
static struct fw_ws_partial *partial_open(struct fw_ws_decoder *decoder)
{
    if (decoder->partial != NULL)
        return decoder->partial;
    struct fw_ws_partial *partial = fw_mem_alloc(sizeof *partial);
    if (partial != NULL) {
        /* Not the stash: its octets are written before they are counted. */
        memset(partial, 0, offsetof(struct fw_ws_partial, stash));
        decoder->partial = partial;
    }
    return partial;
}

/* Whether a message is open, its first frame seen and its last not. */
static bool message_open(const struct fw_ws_partial *partial)
{
    return partial != NULL && partial->message_opcode != FW_WS_CONTINUATION;
}

/* Frees what the last event lent, once nothing is cut any more. */
static void lent_release(struct fw_ws_decoder *decoder)
{
    const struct fw_ws_partial *partial = decoder->partial;
    if (partial == NULL)
        return;
    bool cut = message_open(partial) || partial->stage != STAGE_HEADER || partial->stash_count > 0;
    if (!cut || decoder->ended)
        fw_ws_decoder_clear(decoder);
}

/* Ends the call, and the decoder, with a mistake of the peer's. */
static bool fail(struct call *call, int status)
{
    call->decoder->ended = true;
    fw_ws_decoder_clear(call->decoder);
    *call->event = (struct fw_ws_event){.kind = FW_WS_FAILED, .status = status};
    return true;
}

static uint8_t *consume(struct call *call, size_t bytes)
{
    uint8_t *at = call->in;
    call->in += bytes;
    call->in_bytes -= bytes;
    return at;
}

static bool needs_utf8(uint8_t opcode, bool compressed)
{
    return opcode == FW_WS_TEXT && !compressed;
}

/* Unmasks a short payload by words, in place or to somewhere in front of it, and learns on the way
 * whether it is ASCII. For this size the calls through the dispatch of mask.h and utf8.h would cost
 * more than the work.
 *
 * The last word overlaps the one before it, so that a length that is no multiple of 8 costs no
 * branches; it is loaded before anything is stored.
 *
 * returns      true when the payload is ASCII, false when it is not or was not looked at
 */
static inline bool unmask_short(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key)
{
    if (bytes < 8) {
        mask_short(out, in, bytes, key);
        return false;
    }
    uint64_t key_word = key_twice(key);
    uint64_t last = load_u64(in + bytes - 8) ^ key_twice(key_after(key, bytes));
    uint64_t seen = last;
    for (size_t i = 0; i + 8 < bytes; i += 8) {
        uint64_t word = load_u64(in + i) ^ key_word;
        seen |= word;
        store_u64(out + i, word);
    }
    store_u64(out + bytes - 8, last);
    return (seen & 0x8080808080808080u) == 0;
}

/* The same for a payload of any length. */
static inline bool unmask(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key)
{
    if (bytes <= SHORT_BYTES_MAX)
        return unmask_short(out, in, bytes, key);
    fw_mask(out, in, bytes, key);
    return false;
}

/* Finds the payload of a plain frame: whole, final, text or binary, nothing reserved, its length in
 * 7 or 16 bits and within the limit.
 *
 * returns      its octets before the payload; 0 when the input starts with anything else
 */
static inline size_t plain_header(const struct fw_ws_rules *rules, const uint8_t *in,
                                  size_t in_bytes, size_t *payload_bytes_out)
{
    if (in_bytes < 2 || (in[0] != (0x80 | FW_WS_TEXT) && in[0] != (0x80 | FW_WS_BINARY)))
        return 0;
    size_t header_bytes = rules->client ? 2 : 6;
    /* A wrong mask bit becomes the high bit of the length, which is then too long. */
    size_t length = rules->client ? in[1] : in[1] ^ 0x80u;
    if (length > LENGTH_7_BITS_MAX) {
        if (length != 126 || in_bytes < 4)
            return 0;
        length = (size_t)in[2] << 8 | in[3];
        header_bytes += 2;
        if (length <= LENGTH_7_BITS_MAX)
            return 0;
    }
    *payload_bytes_out = length;
    bool fits = header_bytes + length <= in_bytes && length <= rules->message_bytes_max;
    return fits ? header_bytes : 0;
}

/* The commonest input by far, straight through.
 *
 * returns      false, nothing touched, when the input starts with anything but a plain frame
 */
static inline bool plain_message(struct fw_ws_decoder *decoder, const struct fw_ws_rules *rules,
                                 uint8_t *behind, uint8_t **in, size_t *in_bytes,
                                 struct fw_ws_event *event_out)
{
    size_t bytes;
    size_t header_bytes = plain_header(rules, *in, *in_bytes, &bytes);
    if (header_bytes == 0)
        return false;
    uint8_t opcode = **in & 0x0f;
    const uint8_t *from = *in + header_bytes;
    uint8_t *payload = *in + header_bytes;
    if (behind != NULL && !rules->client)
        payload = behind + (bytes <= LENGTH_7_BITS_MAX ? 2 : 4);
    fw_assert(payload <= from);
    /* The key's octets are the last four of the header. */
    bool ascii = !rules->client && unmask(payload, from, bytes, load_u32(from - 4));
    *in += header_bytes + bytes;
    *in_bytes -= header_bytes + bytes;
    if (opcode == FW_WS_TEXT && !ascii && !fw_utf8_valid(payload, bytes)) {
        struct call call = {.decoder = decoder, .event = event_out};
        return fail(&call, FW_ERR_WS_TEXT);
    }
    *event_out = (struct fw_ws_event){
        .kind = FW_WS_MESSAGE, .bytes = payload, .bytes_count = bytes, .opcode = opcode};
    return true;
}

static uint8_t *payload_in_place(struct call *call, const struct fw_ws_header *header)
{
    uint8_t *payload = consume(call, (size_t)header->payload_bytes);
    if (header->masked)
        fw_mask(payload, payload, (size_t)header->payload_bytes, header->key);
    return payload;
}

static bool whole_message(struct call *call, const struct fw_ws_header *header)
{
    size_t bytes = (size_t)header->payload_bytes;
    bool compressed = header->rsv != 0;
    uint8_t *payload = payload_in_place(call, header);
    if (needs_utf8(header->opcode, compressed) && !fw_utf8_valid(payload, bytes))
        return fail(call, FW_ERR_WS_TEXT);
    *call->event = (struct fw_ws_event){
        .kind = FW_WS_MESSAGE,
        .bytes = payload,
        .bytes_count = bytes,
        .opcode = header->opcode,
        .compressed = compressed,
    };
    return true;
}

/* Judges a close frame's payload (RFC 6455, sections 5.5.1, 7.4). */
static int close_check(const uint8_t *payload, size_t bytes, uint16_t *code_out)
{
    *code_out = 1005;
    if (bytes == 0)
        return 0;
    if (bytes == 1)
        return FW_ERR_WS_CLOSE_PAYLOAD;
    *code_out = (uint16_t)(payload[0] << 8 | payload[1]);
    if (!fw_ws_close_code_valid(*code_out))
        return FW_ERR_WS_CLOSE_CODE;
    return fw_utf8_valid(payload + 2, bytes - 2) ? 0 : FW_ERR_WS_CLOSE_REASON;
}

/* Drops an unfinished message. The partial stays: the close reason may stand in its stash. */
static void message_drop(struct fw_ws_partial *partial)
{
    if (partial == NULL)
        return;
    fw_mem_free(partial->block);
    partial->block = NULL;
    partial->block_room = 0;
}

static bool close_done(struct call *call, uint8_t *payload, size_t bytes)
{
    uint16_t code = 0;
    int status = close_check(payload, bytes, &code);
    if (status != 0)
        return fail(call, status);
    size_t code_bytes = bytes == 0 ? 0 : 2;
    call->decoder->ended = true;
    message_drop(call->decoder->partial);
    *call->event = (struct fw_ws_event){
        .kind = FW_WS_GOT_CLOSE,
        .bytes = payload + code_bytes,
        .bytes_count = bytes - code_bytes,
        .close_code = code,
    };
    return true;
}

static bool control_done(struct call *call, uint8_t opcode, uint8_t *payload, size_t bytes)
{
    if (opcode == FW_WS_CLOSE)
        return close_done(call, payload, bytes);
    *call->event = (struct fw_ws_event){
        .kind = opcode == FW_WS_PING ? FW_WS_GOT_PING : FW_WS_GOT_PONG,
        .bytes = payload,
        .bytes_count = bytes,
    };
    return true;
}

/* Moves as much of the frame's payload as came, at most frame_left, to `out`, unmasked. */
static void payload_take(struct call *call, uint8_t *out, size_t bytes)
{
    struct fw_ws_partial *partial = call->decoder->partial;
    const uint8_t *payload = consume(call, bytes);
    partial->frame_left -= bytes;
    if (call->rules->client)
        memcpy(out, payload, bytes);
    else
        partial->frame_key = fw_mask(out, payload, bytes, partial->frame_key);
}

/* How much of the frame's payload is at hand. */
static size_t payload_at_hand(const struct call *call)
{
    uint64_t left = call->decoder->partial->frame_left;
    return left < call->in_bytes ? (size_t)left : call->in_bytes;
}

static bool control_step(struct call *call)
{
    struct fw_ws_partial *partial = call->decoder->partial;
    size_t bytes = payload_at_hand(call);
    payload_take(call, partial->stash + partial->stash_count, bytes);
    partial->stash_count = (uint8_t)(partial->stash_count + bytes);
    if (partial->frame_left > 0)
        return false;
    bytes = partial->stash_count;
    partial->stage = STAGE_HEADER;
    partial->stash_count = 0;
    return control_done(call, partial->frame_opcode, partial->stash, bytes);
}

static bool control_begin(struct call *call, const struct fw_ws_header *header)
{
    if (header->payload_bytes <= call->in_bytes) {
        uint8_t *payload = payload_in_place(call, header);
        return control_done(call, header->opcode, payload, (size_t)header->payload_bytes);
    }
    struct fw_ws_partial *partial = partial_open(call->decoder);
    if (partial == NULL)
        return fail(call, FW_ERR_WS_MEMORY);
    partial->stage = STAGE_CONTROL;
    partial->frame_opcode = header->opcode;
    partial->frame_key = header->key;
    partial->frame_left = header->payload_bytes;
    return control_step(call);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The room to give a block that must hold `received` octets now.
 *
 * What a final frame announced is all that will ever be needed. Behind any other frame more will
 * come: room doubles, so that many small fragments are not copied once each. Both are bounded by
 * what has come, because announcing costs the peer nothing.
 */
static size_t block_room_wanted(const struct fw_ws_partial *partial,
                                const struct fw_ws_rules *rules, size_t received)
{
    uint64_t wanted = partial->message_bytes + partial->frame_left;
    if (!partial->frame_fin)
        wanted = most(wanted, least(2 * (uint64_t)partial->block_room, rules->message_bytes_max));
    uint64_t held_max = most(HELD_PER_RECEIVED * (uint64_t)received, HELD_BYTES_MIN);
    return (size_t)least(wanted, held_max - OVERHEAD_BYTES);
}

/* Makes room for `bytes` more octets behind the message; false without memory. */
static bool block_reserve(struct fw_ws_partial *partial, const struct fw_ws_rules *rules,
                          size_t bytes)
{
    size_t received = partial->message_bytes + bytes;
    if (partial->block != NULL && received <= partial->block_room)
        return true;
    size_t room = block_room_wanted(partial, rules, received);
    fw_assert(room >= received);
    uint8_t *block = fw_mem_resize(partial->block, FW_WS_MESSAGE_HEADROOM + room);
    if (block == NULL)
        return false;
    partial->block = block;
    partial->block_room = room;
    return true;
}

static bool assembled_message(struct call *call)
{
    struct fw_ws_partial *partial = call->decoder->partial;
    *call->event = (struct fw_ws_event){
        .kind = FW_WS_MESSAGE,
        .bytes = partial->block + FW_WS_MESSAGE_HEADROOM,
        .bytes_count = partial->message_bytes,
        .opcode = partial->message_opcode,
        .compressed = partial->message_compressed,
        .assembled = true,
    };
    partial->message_opcode = FW_WS_CONTINUATION;
    return true;
}

static bool data_step(struct call *call)
{
    struct fw_ws_partial *partial = call->decoder->partial;
    size_t bytes = payload_at_hand(call);
    if (!block_reserve(partial, call->rules, bytes))
        return fail(call, FW_ERR_WS_MEMORY);
    uint8_t *at = partial->block + FW_WS_MESSAGE_HEADROOM + partial->message_bytes;
    payload_take(call, at, bytes);
    partial->message_bytes += bytes;

    bool text = needs_utf8(partial->message_opcode, partial->message_compressed);
    if (text && !fw_utf8_check(&partial->utf8, at, bytes))
        return fail(call, FW_ERR_WS_TEXT);
    if (partial->frame_left > 0)
        return false;
    partial->stage = STAGE_HEADER;
    if (!partial->frame_fin)
        return false;
    if (text && partial->utf8 != FW_UTF8_START)
        return fail(call, FW_ERR_WS_TEXT);
    return assembled_message(call);
}

static bool data_begin(struct call *call, const struct fw_ws_header *header)
{
    /* In place only when the header, too, stands in this buffer: it gives the headroom. */
    if (call->decoder->partial == NULL && header->fin && header->payload_bytes <= call->in_bytes)
        return whole_message(call, header);
    struct fw_ws_partial *partial = partial_open(call->decoder);
    if (partial == NULL)
        return fail(call, FW_ERR_WS_MEMORY);
    if (header->opcode != FW_WS_CONTINUATION) {
        partial->message_opcode = header->opcode;
        partial->message_compressed = header->rsv != 0;
    }
    partial->fragments++;
    partial->stage = STAGE_DATA;
    partial->frame_fin = header->fin;
    partial->frame_key = header->key;
    partial->frame_left = header->payload_bytes;
    return data_step(call);
}

/* Judges what needs to know the role, the extension, the open message and the limits. */
static int header_check(const struct call *call, const struct fw_ws_header *header)
{
    const struct fw_ws_rules *rules = call->rules;
    const struct fw_ws_partial *partial = call->decoder->partial;
    bool open = message_open(partial);
    bool first = header->opcode == FW_WS_TEXT || header->opcode == FW_WS_BINARY;
    unsigned rsv_allowed = first && call->decoder->deflate ? FW_WS_RSV1 : 0;
    if (header->rsv & ~rsv_allowed)
        return FW_ERR_WS_RESERVED_BITS;
    if (header->masked == rules->client)
        return FW_ERR_WS_MASK;
    if (!first && header->opcode != FW_WS_CONTINUATION)
        return 0;
    if (first && open)
        return FW_ERR_WS_INTERLEAVED;
    if (!first && !open)
        return FW_ERR_WS_CONTINUATION;
    /* A difference, because a sum could overflow; the limit may have been lowered meanwhile. */
    uint64_t message_bytes = open ? partial->message_bytes : 0;
    uint64_t bytes_max = rules->message_bytes_max;
    if (rules->compressed_bytes_max > 0 && (open ? partial->message_compressed : header->rsv != 0))
        bytes_max = rules->compressed_bytes_max;
    if (message_bytes > bytes_max || header->payload_bytes > bytes_max - message_bytes)
        return FW_ERR_WS_MESSAGE_TOO_LARGE;
    if (open && rules->fragments_max > 0 && partial->fragments >= rules->fragments_max)
        return FW_ERR_WS_FRAGMENTS_TOO_MANY;
    return 0;
}

/* Decodes a header that lies in the stash, the input or both, and consumes its octets. As
 * fw_ws_header_decode, where 0 says that all input went into the stash. */
static ssize_t header_take(struct call *call, struct fw_ws_header *header_out)
{
    const struct fw_ws_partial *cut = call->decoder->partial;
    size_t before = cut == NULL ? 0 : cut->stash_count;
    if (before == 0) {
        ssize_t taken = fw_ws_header_decode(call->in, call->in_bytes, header_out);
        if (taken > 0)
            consume(call, (size_t)taken);
        if (taken != 0)
            return taken;
    }
    struct fw_ws_partial *partial = partial_open(call->decoder);
    if (partial == NULL)
        return FW_ERR_WS_MEMORY;
    size_t bytes = (size_t)least(call->in_bytes, FW_WS_HEADER_BYTES_MAX - before);
    memcpy(partial->stash + before, call->in, bytes);
    ssize_t taken = fw_ws_header_decode(partial->stash, before + bytes, header_out);
    if (taken < 0)
        return taken;
    consume(call, taken == 0 ? bytes : (size_t)taken - before);
    partial->stash_count = (uint8_t)(taken == 0 ? before + bytes : 0);
    return taken;
}

static bool header_step(struct call *call)
{
    struct fw_ws_header header;
    ssize_t taken = header_take(call, &header);
    if (taken <= 0)
        return taken < 0 && fail(call, (int)taken);
    int status = header_check(call, &header);
    if (status != 0)
        return fail(call, status);
    bool data = header.opcode <= FW_WS_BINARY;
    return data ? data_begin(call, &header) : control_begin(call, &header);
}

/* Takes one step; true when it made an event. */
static bool step(struct call *call)
{
    if (call->decoder->ended) {
        consume(call, call->in_bytes);
        return false;
    }
    const struct fw_ws_partial *partial = call->decoder->partial;
    enum stage stage = partial == NULL ? STAGE_HEADER : (enum stage)partial->stage;
    switch (stage) {
    case STAGE_HEADER:
        return header_step(call);
    case STAGE_DATA:
        return data_step(call);
    case STAGE_CONTROL:
        return control_step(call);
    }
    return false;
}

/* The way through for everything that plain_message leaves. */
FW_APART
static void walk_stages(struct fw_ws_decoder *decoder, const struct fw_ws_rules *rules,
                        uint8_t **in, size_t *in_bytes, struct fw_ws_event *event_out)
{
    struct call call = {decoder, rules, *in, *in_bytes, event_out};
    *event_out = (struct fw_ws_event){.kind = FW_WS_NEED_MORE};
    lent_release(decoder);
    while (call.in_bytes > 0 && !step(&call))
        continue;
    *in = call.in;
    *in_bytes = call.in_bytes;
}

void fw_ws_decoder_next_behind(struct fw_ws_decoder *decoder, const struct fw_ws_rules *rules,
                               uint8_t *behind, uint8_t **in, size_t *in_bytes,
                               struct fw_ws_event *event_out)
{
    bool idle = decoder->partial == NULL && !decoder->ended;
    if (FW_LIKELY(idle) && plain_message(decoder, rules, behind, in, in_bytes, event_out))
        return;
    if (FW_LIKELY(idle) && *in_bytes == 0) { /* every buffer ends here */
        *event_out = (struct fw_ws_event){.kind = FW_WS_NEED_MORE};
        return;
    }
    /* Copies, because what is pointed to from outside cannot stay in registers. */
    uint8_t *at = *in;
    size_t left = *in_bytes;
    walk_stages(decoder, rules, &at, &left, event_out);
    *in = at;
    *in_bytes = left;
}

uint8_t *fw_ws_decoder_take(struct fw_ws_decoder *decoder)
{
    struct fw_ws_partial *partial = decoder->partial;
    fw_assert(partial != NULL && partial->block != NULL && !message_open(partial));
    uint8_t *block = partial->block;
    partial->block = NULL;
    partial->block_room = 0;
    return block;
}

size_t fw_ws_decoder_heap_bytes(const struct fw_ws_decoder *decoder)
{
    const struct fw_ws_partial *partial = decoder->partial;
    if (partial == NULL)
        return 0;
    return sizeof *partial + (partial->block ? FW_WS_MESSAGE_HEADROOM + partial->block_room : 0);
}
