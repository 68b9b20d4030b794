/* base64.c: see base64.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/base64.h"

#include <errno.h>

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char alphabet[] = LETTERS_AND_DIGITS "+/";
static const char alphabet_url[] = LETTERS_AND_DIGITS "-_";

/* The value of a character, or -1; `last`: the alphabet's two that are no letters or digits. */
static inline int value_of(uint8_t c, const char last[2])
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == last[0] ? 62 : c == last[1] ? 63 : -1;
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
        int value = value_of(text.at[i], &alphabet_url[62]);
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

static size_t encode(struct fw_bytes in, const char *digits, char *out)
{
    char *at = out;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < in.count; i++) {
        bits = bits << 8 | in.at[i];
        held += 8;
        while (held >= 6) {
            held -= 6;
            *at++ = digits[bits >> held & 63];
        }
    }
    if (held > 0)
        *at++ = digits[bits << (6 - held) & 63];
    return (size_t)(at - out);
}

size_t fw_base64url_encode(struct fw_bytes in, char *out)
{
    return encode(in, alphabet_url, out);
}

size_t fw_base64_encode(struct fw_bytes in, char *out)
{
    size_t count = encode(in, alphabet, out);
    while (count % 4 != 0)
        out[count++] = '=';
    return count;
}

bool fw_base64_is_of(struct fw_bytes text, size_t octets_count)
{
    const size_t digits = FW_BASE64URL_CHARS(octets_count);
    if (text.count != FW_BASE64_CHARS(octets_count))
        return false;
    int value = 0;
    for (size_t i = 0; i < digits; i++) {
        if ((value = value_of(text.at[i], &alphabet[62])) < 0)
            return false;
    }
    for (size_t i = digits; i < text.count; i++) {
        if (text.at[i] != '=')
            return false;
    }
    const unsigned spare = (unsigned)(digits * 6 - octets_count * 8);
    return ((unsigned)value & ((1u << spare) - 1)) == 0;
}
