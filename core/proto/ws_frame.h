/* ws_frame.h: WebSocket frame headers, bytes to struct and back (RFC 6455, section 5.2).
 *
 * Pure functions: no allocation, no I/O, no state. Masking lives in mask.h, message assembly in
 * ws_decoder.h. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_WS_FRAME_H
#define FW_PROTO_WS_FRAME_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Header bytes: 2 fixed + 8 length + 4 mask key (RFC 6455, section 5.2). */
#define FW_WS_HEADER_BYTES_MAX 14
static_assert(FW_WS_HEADER_BYTES_MAX == 2 + 8 + 4, "section 5.2: fixed + length + mask key");

/* What a frame without a mask needs in front of its payload at most. */
#define FW_WS_SERVER_HEADER_BYTES_MAX 10

/* A control frame's payload (RFC 6455, section 5.5). */
#define FW_WS_CONTROL_BYTES_MAX 125

enum fw_ws_opcode {
    FW_WS_CONTINUATION = 0x0,
    FW_WS_TEXT = 0x1,
    FW_WS_BINARY = 0x2,
    FW_WS_CLOSE = 0x8,
    FW_WS_PING = 0x9,
    FW_WS_PONG = 0xa,
};

/* The three reserved bits as they stand in the first octet. */
#define FW_WS_RSV1 0x40u
#define FW_WS_RSV2 0x20u
#define FW_WS_RSV3 0x10u

struct fw_ws_header {
    uint64_t payload_bytes; /* at most 2^63 - 1 */
    uint32_t key;           /* octets in memory order; only when masked */
    uint8_t opcode;         /* enum fw_ws_opcode */
    uint8_t rsv;            /* FW_WS_RSV* bits */
    bool fin;
    bool masked;
};

/* Decodes one frame header at the start of `in`.
 *
 * It judges what the header alone can show: reserved opcodes, lengths that are not minimal or have
 * the highest bit set, control frames that are long or fragmented. Reserved bits and the mask bit
 * are handed out for the decoder, which knows extension and role, to judge.
 *
 * in           in_bytes received so far, borrowed; may stop anywhere
 * header_out   written only on success
 * returns      bytes consumed, 2..FW_WS_HEADER_BYTES_MAX; 0 when more bytes are needed. An error
 *              that the bytes at hand already prove is returned at once, not when more have come.
 * errors       FW_ERR_WS_OPCODE, FW_ERR_WS_LENGTH_NOT_MINIMAL, FW_ERR_WS_LENGTH_TOO_LARGE,
 *              FW_ERR_WS_CONTROL_TOO_LONG, FW_ERR_WS_CONTROL_FRAGMENTED
 * source       RFC 6455, sections 5.2 and 5.5
 */
ssize_t fw_ws_header_decode(const uint8_t *in, size_t in_bytes, struct fw_ws_header *header_out);

/* How many bytes fw_ws_header_encode will write for it. */
size_t fw_ws_header_bytes(uint64_t payload_bytes, bool masked);

/* Encodes one frame header, with the length in its minimal form.
 *
 * header       a valid header: asserted
 * out          room for fw_ws_header_bytes() octets
 * returns      bytes written, 2..FW_WS_HEADER_BYTES_MAX
 * source       RFC 6455, section 5.2
 */
size_t fw_ws_header_encode(const struct fw_ws_header *header, uint8_t *out);

/* Whether an endpoint may put this code into a close frame: 1000-1003, 1007-1014, 3000-4999.
 *
 * source       RFC 6455, section 7.4, and the IANA registry (1012 to 1014)
 */
bool fw_ws_close_code_valid(unsigned code);

#endif
