/* base64url.c: see base64url.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/base64url.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The value of a character, or -1. */
static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

ssize_t fw_base64url_decode(struct fw_bytes text, uint8_t *out, size_t out_bytes)
{
    size_t whole = text.count / 4 * 3;
    size_t rest = text.count % 4;
    size_t count = whole + (rest > 0 ? rest - 1 : 0);
    if (rest == 1 || count > out_bytes)
        return -EINVAL;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < text.count; i++) {
        int value = value_of(text.at[i]);
        if (value < 0)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *out++ = (uint8_t)(bits >> held);
        }
    }
    return (bits & ((1u << held) - 1)) != 0 ? -EINVAL : (ssize_t)count;
}

size_t fw_base64url_encode(struct fw_bytes in, char *out)
{
    char *at = out;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < in.count; i++) {
        bits = bits << 8 | in.at[i];
        held += 8;
        while (held >= 6) {
            held -= 6;
            *at++ = alphabet[bits >> held & 63];
        }
    }
    if (held > 0)
        *at++ = alphabet[bits << (6 - held) & 63];
    return (size_t)(at - out);
}
