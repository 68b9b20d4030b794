/* ws_frame.c: WebSocket frame headers, bytes to struct and back (RFC 6455, section 5.2).
 *
 *   octet 0    fin 0x80 | rsv1 0x40 | rsv2 0x20 | rsv3 0x10 | opcode 0x0f
 *   octet 1    masked 0x80 | length 0..125, 126 (2 octets follow), 127 (8 octets follow)
 *   then       the longer length, big-endian; then the 4 key octets when masked
 *
 * Pure functions: no allocation, no I/O, no state. Masking lives in mask.h, message assembly and
 * everything that depends on role or extension in ws_decoder.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/ws_frame.h"

#include "base/check.h"
#include "fanwire/status.h"

#include <string.h>

#define FIN       0x80u
#define RSV       (FW_WS_RSV1 | FW_WS_RSV2 | FW_WS_RSV3)
#define OPCODE    0x0fu
#define CONTROL   0x08u
#define MASKED    0x80u
#define LENGTH    0x7fu
#define LENGTH_16 126u
#define LENGTH_64 127u
#define KEY_BYTES 4

static bool opcode_known(unsigned opcode)
{
    /* 3 to 7 and b to f are reserved: both halves of the space use their first three values. */
    return (opcode & ~CONTROL) <= 2;
}

/* Judges the two fixed octets; in_bytes is at least 1. */
static int fixed_check(const uint8_t *in, size_t in_bytes)
{
    if (!opcode_known(in[0] & OPCODE))
        return FW_ERR_WS_OPCODE;
    if (!(in[0] & CONTROL))
        return 0;
    if (!(in[0] & FIN))
        return FW_ERR_WS_CONTROL_FRAGMENTED;
    if (in_bytes > 1 && (in[1] & LENGTH) > FW_WS_CONTROL_BYTES_MAX)
        return FW_ERR_WS_CONTROL_TOO_LONG;
    return 0;
}

static uint64_t big_endian(const uint8_t *in, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | in[i];
    return value;
}

static size_t length_bytes(unsigned form)
{
    return form < LENGTH_16 ? 0 : form == LENGTH_16 ? 2 : 8;
}

/* Judges a longer length by those of its octets that are there. */
static int length_check(unsigned form, const uint8_t *length, size_t have)
{
    if (form == LENGTH_16)
        return have == 2 && big_endian(length, 2) < LENGTH_16 ? FW_ERR_WS_LENGTH_NOT_MINIMAL : 0;
    if (have > 0 && length[0] & 0x80)
        return FW_ERR_WS_LENGTH_TOO_LARGE;
    /* Six zero octets in front prove that two octets would have done, whatever follows. */
    if (have >= 6 && big_endian(length, 6) == 0)
        return FW_ERR_WS_LENGTH_NOT_MINIMAL;
    return 0;
}

ssize_t fw_ws_header_decode(const uint8_t *in, size_t in_bytes, struct fw_ws_header *header_out)
{
    if (in_bytes == 0)
        return 0;
    int status = fixed_check(in, in_bytes);
    if (status != 0 || in_bytes < 2)
        return status;

    unsigned form = in[1] & LENGTH;
    bool masked = in[1] & MASKED;
    size_t key_at = 2 + length_bytes(form);
    if (form >= LENGTH_16)
        status = length_check(form, in + 2, in_bytes < key_at ? in_bytes - 2 : key_at - 2);
    size_t bytes = key_at + (masked ? KEY_BYTES : 0);
    if (status != 0 || in_bytes < bytes)
        return status;

    *header_out = (struct fw_ws_header){
        .payload_bytes = form < LENGTH_16 ? form : big_endian(in + 2, key_at - 2),
        .opcode = in[0] & OPCODE,
        .rsv = in[0] & RSV,
        .fin = in[0] & FIN,
        .masked = masked,
    };
    if (masked)
        memcpy(&header_out->key, in + key_at, KEY_BYTES);
    return (ssize_t)bytes;
}

size_t fw_ws_header_bytes(uint64_t payload_bytes, bool masked)
{
    size_t length = payload_bytes < LENGTH_16 ? 0 : payload_bytes <= UINT16_MAX ? 2 : 8;
    return 2 + length + (masked ? KEY_BYTES : 0);
}

static void header_assert(const struct fw_ws_header *header)
{
    fw_assert(opcode_known(header->opcode));
    fw_assert((header->rsv & ~RSV) == 0);
    fw_assert(header->payload_bytes <= INT64_MAX);
    if (header->opcode & CONTROL)
        fw_assert(header->fin && header->payload_bytes <= FW_WS_CONTROL_BYTES_MAX);
}

size_t fw_ws_header_encode(const struct fw_ws_header *header, uint8_t *out)
{
    header_assert(header);
    uint64_t payload_bytes = header->payload_bytes;
    size_t key_at = fw_ws_header_bytes(payload_bytes, false);
    unsigned form = key_at == 2 ? (unsigned)payload_bytes : key_at == 4 ? LENGTH_16 : LENGTH_64;

    out[0] = (uint8_t)((header->fin ? FIN : 0) | header->rsv | header->opcode);
    out[1] = (uint8_t)((header->masked ? MASKED : 0) | form);
    for (size_t at = key_at; at > 2; at--) {
        out[at - 1] = (uint8_t)payload_bytes;
        payload_bytes >>= 8;
    }
    if (!header->masked)
        return key_at;
    memcpy(out + key_at, &header->key, KEY_BYTES);
    return key_at + KEY_BYTES;
}

bool fw_ws_close_code_valid(unsigned code)
{
    if (code >= 3000)
        return code <= 4999;
    /* 1004 is reserved; 1005, 1006 and 1015 only ever stand in for a code that was not sent. */
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}
