/* test_proxy_header.c: PROXY headers mean the same however they are cut (the protocol's version 2,
 * section 2.2: a receiver takes them off a stream).
 *
 * Inputs are made of good headers by a fixed seed, and mutated; each is shown whole, octet by
 * octet, and cut at every place in two, and the results must be those of a second reading that is
 * written without regard to pieces.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/proxy_header.h"
#include "support/guard_buf.h"
#include "support/random.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <string.h>

#define INPUT_BYTES_MAX 512
#define ROUNDS          4000

TestSuite(proxy_header_property, .init = guard_pair_init, .fini = guard_pair_clear);

struct result {
    ssize_t bytes; /* of the header; 0: not whole; or a status */
    struct fw_proxy_client client;
};

/* The second reading: all octets at once, the first fault from the left. */
static struct result read_whole(const uint8_t *in, size_t count)
{
    static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";
    struct result result = {.bytes = 0};
    for (size_t i = 0; i < count && i < 12; i++) {
        if (memcmp(in, signature, i + 1) != 0 && (i >= 6 || memcmp(in, "PROXY ", i + 1) != 0))
            return (struct result){.bytes = FW_ERR_PROXY_MISSING};
        if (i == 5 && in[0] == 'P')
            return (struct result){.bytes = FW_ERR_PROXY_V1};
    }
    if (count > 12 && in[12] != 0x20 && in[12] != 0x21)
        return (struct result){.bytes = FW_ERR_PROXY_VERSION};
    static const uint8_t families[] = {0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32};
    if (count > 13 && in[12] == 0x21 && memchr(families, in[13], sizeof families) == NULL)
        return (struct result){.bytes = FW_ERR_PROXY_FAMILY};
    if (count < 16)
        return result;
    size_t length = (size_t)in[14] << 8 | in[15];
    size_t addresses = in[13] == 0x11 ? 12 : in[13] == 0x21 ? 36 : in[13] == 0x31 ? 216 : length;
    if (in[12] == 0x20)
        addresses = length;
    if (addresses > length)
        return (struct result){.bytes = FW_ERR_PROXY_LENGTH};
    for (size_t at = addresses; at < length;) {
        size_t have = count - 16 < length ? count - 16 : length;
        if (at + 3 > length && have == length)
            return (struct result){.bytes = FW_ERR_PROXY_LENGTH};
        if (at + 3 > have)
            return result;
        at += 3 + ((size_t)in[16 + at + 1] << 8 | in[16 + at + 2]);
        if (at > length)
            return (struct result){.bytes = FW_ERR_PROXY_LENGTH};
    }
    if (count < 16 + length)
        return result;
    result.bytes = (ssize_t)(16 + length);
    if (in[12] == 0x21 && in[13] == 0x11) {
        result.client =
            (struct fw_proxy_client){.family = 4, .address = {[10] = 0xff, [11] = 0xff}};
        memcpy(result.client.address + 12, in + 16, 4);
        result.client.port = (uint16_t)(in[24] << 8 | in[25]);
    } else if (in[12] == 0x21 && in[13] == 0x21) {
        result.client.family = 6;
        memcpy(result.client.address, in + 16, 16);
        result.client.port = (uint16_t)(in[48] << 8 | in[49]);
    }
    return result;
}

/* Shows the input in pieces that end at `cut`, or of one octet each (cut 0). */
static struct result read_cut(const uint8_t *in, size_t count, size_t cut)
{
    struct fw_proxy_decoder decoder = {.left = 0};
    struct result result = {.bytes = 0};
    for (size_t at = 0; at < count;) {
        size_t piece = cut == 0 ? 1 : at < cut ? cut : count - at;
        ssize_t taken =
            fw_proxy_decode(&decoder, guard_pair_show(in + at, piece), piece, &result.client);
        if (taken < 0)
            return (struct result){.bytes = taken};
        if (taken > 0) {
            result.bytes = (ssize_t)at + taken;
            return result;
        }
        at += piece;
    }
    return result;
}

static bool same(const struct result *a, const struct result *b)
{
    return a->bytes == b->bytes &&
           (a->bytes <= 0 ||
            (a->client.family == b->client.family && a->client.port == b->client.port &&
             memcmp(a->client.address, b->client.address, 16) == 0));
}

/* A header that is mostly good, with octets behind it. */
static size_t make(uint64_t *state, uint8_t out[INPUT_BYTES_MAX])
{
    static const uint8_t families[] = {0x00, 0x11, 0x11, 0x11, 0x21, 0x21, 0x31, 0x12};
    uint8_t family = families[random_next(state) % sizeof families];
    size_t length = family == 0x11 ? 12 : family == 0x21 ? 36 : family == 0x31 ? 216 : 4;
    for (size_t i = 0; i < INPUT_BYTES_MAX; i++)
        out[i] = (uint8_t)random_next(state);
    memcpy(out, "\r\n\r\n\0\r\nQUIT\n", 12);
    out[12] = random_next(state) % 8 == 0 ? 0x20 : 0x21;
    out[13] = family;
    for (uint64_t tlvs = random_next(state) % 4; tlvs > 0; tlvs--) {
        size_t value = (size_t)(random_next(state) % 20);
        out[16 + length + 1] = 0;
        out[16 + length + 2] = (uint8_t)value;
        length += 3 + value;
    }
    if (out[12] == 0x20 && random_next(state) % 2 == 0) /* of LOCAL any length is good */
        length = (size_t)(random_next(state) % 40);
    out[14] = (uint8_t)(length >> 8);
    out[15] = (uint8_t)length;
    return 16 + length + (size_t)(random_next(state) % 9);
}

static void mutate(uint64_t *state, uint8_t *bytes, size_t *count)
{
    switch (random_next(state) % 4) {
    case 0:
        return;
    case 1:
        bytes[random_next(state) % 16] ^= (uint8_t)(1u << random_next(state) % 8);
        return;
    case 2:
        bytes[random_next(state) % *count] = (uint8_t)random_next(state);
        return;
    default:
        *count = (size_t)(random_next(state) % *count) + 1;
        return;
    }
}

Test(proxy_header_property, is_read_the_same_however_it_is_cut)
{
    uint64_t state = 20261121;
    unsigned whole = 0;
    unsigned refused = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t bytes[INPUT_BYTES_MAX];
        size_t count = make(&state, bytes);
        mutate(&state, bytes, &count);
        struct result wanted = read_whole(bytes, count);
        whole += wanted.bytes > 0;
        refused += wanted.bytes < 0;
        for (size_t cut = 0; cut <= count; cut++) {
            struct result got = read_cut(bytes, count, cut);
            cr_assert(same(&wanted, &got), "round %u, cut at %zu of %zu: %zd, not %zd", round, cut,
                      count, got.bytes, wanted.bytes);
        }
    }
    cr_assert_gt(whole, ROUNDS / 4, "the inputs must reach the end, too");
    cr_assert_gt(refused, ROUNDS / 16);
}
