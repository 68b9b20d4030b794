/* proxy_header.c: see proxy_header.h.
 *
 *   kept < 16 --> kept < 16 + addresses --> TLV heads and values --> left == 0: whole
 *                    | LOCAL, unspecified, datagram: all that is left is read over
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/proxy_header.h"

#include "base/check.h"

#include <fanwire/status.h>
#include <stdbool.h>
#include <string.h>

#define SIGNATURE_BYTES 12u
#define TLV_HEAD_BYTES  3u
#define UNIX_BYTES      216u

static const uint8_t signature[SIGNATURE_BYTES] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                   0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
static const char version_1[] = "PROXY ";

enum command { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };

/* Octet 13: family in the high half, transport in the low one. */
enum family { IPV4_STREAM = 0x11, IPV6_STREAM = 0x21, UNIX_STREAM = 0x31 };

static inline uint16_t read_16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* Whether the transport and family are any that are known: 0 or 1 to 3 with 1 or 2. */
static bool family_known(uint8_t octet)
{
    unsigned family = octet >> 4;
    unsigned transport = octet & 15u;
    if (family == 0 || transport == 0) /* unspecified in both halves, or not at all */
        return octet == 0;
    return family <= 3 && transport <= 2;
}

/* Octets of addresses that are kept: a client's, none for LOCAL, whose family means nothing. */
static unsigned addresses_bytes(const struct fw_proxy_decoder *decoder)
{
    uint8_t family = decoder->kept[SIGNATURE_BYTES + 1];
    if (decoder->kept[SIGNATURE_BYTES] == COMMAND_LOCAL)
        return 0;
    return family == IPV4_STREAM ? 12u : family == IPV6_STREAM ? 36u : 0u;
}

static int judge_signature(const uint8_t *kept, size_t count)
{
    if (memcmp(kept, signature, count) == 0)
        return 0;
    if (count >= sizeof version_1 || memcmp(kept, version_1, count) != 0)
        return FW_ERR_PROXY_MISSING;
    return count == sizeof version_1 - 1 ? FW_ERR_PROXY_V1 : 0;
}

/* Judges an octet of the fixed part where it stands. */
static int judge(const struct fw_proxy_decoder *decoder)
{
    unsigned at = decoder->kept_count - 1u;
    uint8_t octet = decoder->kept[at];
    if (at < SIGNATURE_BYTES)
        return judge_signature(decoder->kept, decoder->kept_count);
    if (at == SIGNATURE_BYTES && octet != COMMAND_LOCAL && octet != COMMAND_PROXY)
        return FW_ERR_PROXY_VERSION;
    if (at == SIGNATURE_BYTES + 1 && decoder->kept[SIGNATURE_BYTES] == COMMAND_PROXY &&
        !family_known(octet))
        return FW_ERR_PROXY_FAMILY;
    return 0;
}

/* The fixed part is whole: says what follows it. */
static int begin_rest(struct fw_proxy_decoder *decoder)
{
    unsigned addresses = addresses_bytes(decoder);
    decoder->left = read_16(decoder->kept + 14);
    if (addresses > 0) {
        decoder->skip = 0;
    } else if (decoder->kept[SIGNATURE_BYTES] == COMMAND_PROXY &&
               decoder->kept[SIGNATURE_BYTES + 1] == UNIX_STREAM) {
        decoder->skip = UNIX_BYTES;
    } else {
        decoder->skip = decoder->left; /* section 2.2: discarded */
    }
    return decoder->left < addresses || decoder->left < decoder->skip ? FW_ERR_PROXY_LENGTH : 0;
}

/* How many octets are kept of this header. */
static unsigned kept_wanted(const struct fw_proxy_decoder *decoder)
{
    return decoder->kept_count < FW_PROXY_FIXED_BYTES
               ? FW_PROXY_FIXED_BYTES
               : FW_PROXY_FIXED_BYTES + addresses_bytes(decoder);
}

static int keep(struct fw_proxy_decoder *decoder, uint8_t octet)
{
    decoder->kept[decoder->kept_count++] = octet;
    if (decoder->kept_count > FW_PROXY_FIXED_BYTES) {
        decoder->left--;
        return 0;
    }
    int status = judge(decoder);
    if (status == 0 && decoder->kept_count == FW_PROXY_FIXED_BYTES)
        status = begin_rest(decoder);
    return status;
}

/* An octet of a TLV's head; a value that is longer than the header is no value. */
static int take_tlv(struct fw_proxy_decoder *decoder, uint8_t octet)
{
    decoder->left--;
    decoder->tlv_count++;
    if (decoder->tlv_count == 2)
        decoder->value_bytes = (uint16_t)(octet << 8);
    if (decoder->tlv_count < TLV_HEAD_BYTES)
        return decoder->left == 0 ? FW_ERR_PROXY_LENGTH : 0;
    decoder->tlv_count = 0;
    decoder->skip = decoder->value_bytes | octet;
    return decoder->skip > decoder->left ? FW_ERR_PROXY_LENGTH : 0;
}

static size_t read_over(struct fw_proxy_decoder *decoder, size_t in_bytes)
{
    size_t count = in_bytes < decoder->skip ? in_bytes : decoder->skip;
    decoder->skip = (uint16_t)(decoder->skip - count);
    decoder->left = (uint16_t)(decoder->left - count);
    return count;
}

static void read_client(const struct fw_proxy_decoder *decoder, struct fw_proxy_client *client_out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *addresses = decoder->kept + FW_PROXY_FIXED_BYTES;
    *client_out = (struct fw_proxy_client){0};
    if (decoder->kept[SIGNATURE_BYTES] == COMMAND_LOCAL)
        return;
    if (decoder->kept[SIGNATURE_BYTES + 1] == IPV4_STREAM) {
        client_out->family = 4;
        memcpy(client_out->address, mapped, sizeof mapped);
        memcpy(client_out->address + sizeof mapped, addresses, 4);
        client_out->port = read_16(addresses + 8);
    } else if (decoder->kept[SIGNATURE_BYTES + 1] == IPV6_STREAM) {
        client_out->family = 6;
        memcpy(client_out->address, addresses, 16);
        client_out->port = read_16(addresses + 32);
    }
}

static bool whole(const struct fw_proxy_decoder *decoder)
{
    return decoder->kept_count >= FW_PROXY_FIXED_BYTES && decoder->left == 0;
}

ssize_t fw_proxy_decode(struct fw_proxy_decoder *decoder, const uint8_t *in, size_t in_bytes,
                        struct fw_proxy_client *client_out)
{
    size_t at = 0;
    while (at < in_bytes) {
        int status = 0;
        if (decoder->kept_count < kept_wanted(decoder))
            status = keep(decoder, in[at++]);
        else if (decoder->skip > 0)
            at += read_over(decoder, in_bytes - at);
        else
            status = take_tlv(decoder, in[at++]);
        if (status != 0)
            return status;
        if (whole(decoder)) {
            fw_assert(decoder->skip == 0 && decoder->tlv_count == 0);
            read_client(decoder, client_out);
            return (ssize_t)at;
        }
    }
    return 0;
}
