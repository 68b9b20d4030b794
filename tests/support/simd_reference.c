/* simd_reference.c: masking and UTF-8 written once more, slowly.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/simd_reference.h"

#include "support/random.h"

#include <string.h>

void reference_mask(uint8_t *out, const uint8_t *in, size_t bytes, const uint8_t key[4])
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(in[i] ^ key[i % 4]);
}

/* Whether some code point between first and last may be encoded in `octets` octets. */
static bool reachable(uint32_t first, uint32_t last, unsigned octets)
{
    static const uint32_t shortest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (first < shortest[octets])
        first = shortest[octets];
    if (last > 0x10ffff)
        last = 0x10ffff;
    bool only_surrogates = first >= 0xd800 && last <= 0xdfff;
    return first <= last && !only_surrogates;
}

/* What a first octet says: how many octets there will be (0: it is none) and its bits of value. */
static unsigned lead(uint8_t octet, uint32_t *value_out)
{
    static const uint8_t marks[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    static const uint8_t masks[] = {0, 0x80, 0xe0, 0xf0, 0xf8};
    for (unsigned octets = 1; octets <= 4; octets++) {
        if ((octet & masks[octets]) == marks[octets]) {
            *value_out = (uint32_t)(octet & ~masks[octets] & 0xff);
            return octets;
        }
    }
    return 0;
}

struct reference_verdict reference_utf8(const uint8_t *in, size_t bytes)
{
    unsigned octets = 0;
    unsigned missing = 0;
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        bool right;
        if (missing == 0) {
            octets = lead(in[i], &value);
            right = octets != 0;
            missing = right ? octets - 1 : 0;
        } else {
            right = (in[i] & 0xc0) == 0x80;
            value = value << 6 | (in[i] & 0x3fu);
            missing--;
        }
        uint32_t first = value << 6 * missing;
        uint32_t last = first | ((1u << 6 * missing) - 1);
        if (!right || !reachable(first, last, octets))
            return (struct reference_verdict){i, true, false};
    }
    return (struct reference_verdict){bytes, false, missing == 0};
}

size_t reference_encode(uint8_t out[4], uint32_t code_point)
{
    static const uint8_t marks[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    size_t octets = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = octets; i-- > 1; code_point >>= 6)
        out[i] = (uint8_t)(0x80 | (code_point & 0x3f));
    out[0] = (uint8_t)(marks[octets] | code_point);
    return octets;
}

/* A random code point of at most `longest` octets; the number of octets is drawn first. */
static uint32_t random_code_point(uint64_t *seed, unsigned longest)
{
    static const uint32_t first[] = {0, 0, 0x80, 0x800, 0x10000, 0x110000};
    unsigned octets = 1 + (unsigned)(random_next(seed) >> 32) % longest;
    uint32_t span = first[octets + 1] - first[octets];
    uint32_t code_point = first[octets] + (uint32_t)(random_next(seed) >> 32) % span;
    bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
    return surrogate ? 0xfffd : code_point;
}

void reference_text(uint64_t *seed, unsigned longest, uint8_t *out, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        uint8_t encoded[4];
        unsigned room = bytes - at < longest ? (unsigned)(bytes - at) : longest;
        size_t octets = reference_encode(encoded, random_code_point(seed, room));
        memcpy(out + at, encoded, octets);
        at += octets;
    }
}
