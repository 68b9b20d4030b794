/* fuzz_ws_deflate.c: libFuzzer target of compression (RFC 7692, section 7.2).
 *
 *   octet 0    bits 0 to 2: the inflater's window, 8 to 15 bits; bit 3: the peer keeps a context;
 *              bits 4 and 5: the limit, see `limits`; bits 6 and 7: the encoding we pack to
 *   octet 1    seed of the steps
 *   then       messages: two octets of length each, the last as long as what is left
 *
 * The oracle: messages give the same octets and the same end whether they are drained in large
 * steps or in small ones of random size; nothing comes out beyond the limit; after an error the
 * same error comes for ever. And each message, taken as a payload, comes out of packing and
 * inflating as it went in. Everything stands in blocks of its own size, for the sanitizer to see
 * their ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/ws_deflate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 8

static const size_t limits[] = {0, 100, 5000, 70000};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "a promise was broken: %s\n", what);
    abort();
}

/* What a series of messages came to. */
struct result {
    uint8_t *bytes[MESSAGES_MAX];
    size_t counts[MESSAGES_MAX];
    ssize_t ends[MESSAGES_MAX];
};

static uint8_t *allocate(size_t bytes)
{
    uint8_t *block = malloc(bytes > 0 ? bytes : 1);
    if (block == NULL)
        die("no memory");
    return block;
}

/* Drains one message; a seed of 0 takes the largest steps. */
static ssize_t drain(struct fw_ws_inflater *inflater, uint8_t *out, size_t limit, unsigned seed,
                     size_t *count_out)
{
    uint8_t beyond = 0;
    size_t count = 0;
    ssize_t said;
    do {
        seed = seed * 1664525u + (seed != 0 ? 1013904223u : 0);
        size_t left = limit - count;
        size_t step = seed == 0 ? left : (seed >> 16) % 700 + 1;
        if (step > left)
            step = left;
        said = left == 0 ? fw_ws_inflater_next(inflater, &beyond, 1)
                         : fw_ws_inflater_next(inflater, out + count, step);
        if (said > 0 && (size_t)said > step)
            die("more came than there was room, or than the limit");
        count += said > 0 ? (size_t)said : 0;
    } while (said > 0);
    for (int i = 0; i < 2; i++) {
        if (fw_ws_inflater_next(inflater, &beyond, 1) != said)
            die("the end did not stay the end");
    }
    *count_out = count;
    return said;
}

static void inflate_all(struct fw_ws_deflate_pool *pool, const struct fw_bytes *messages,
                        size_t messages_count, unsigned flags, unsigned seed, struct result *result)
{
    const struct fw_ws_deflate agreed = {
        .own_bits = 15, .peer_bits = (uint8_t)(8 + (flags & 7)), .peer_takeover = true};
    size_t limit = limits[flags >> 4 & 3];
    struct fw_ws_deflate_context *context = fw_ws_deflate_context_create(pool, &agreed);
    if (context == NULL)
        die("no memory");
    struct fw_ws_inflater *inflater = fw_ws_deflate_context_inflater(context);
    for (size_t i = 0; i < messages_count; i++) {
        result->bytes[i] = allocate(limit);
        fw_ws_inflater_begin(inflater, messages[i], limit, !(flags & 8));
        result->ends[i] = drain(inflater, result->bytes[i], limit, seed, &result->counts[i]);
    }
    fw_ws_deflate_context_destroy(pool, context);
}

/* zlib sees a reference beyond the agreed window only when it reaches behind the present step:
 * there steps may make a difference, and what follows in that context with them. */
static void compare(const struct result *a, const struct result *b, size_t messages_count,
                    bool whole_window)
{
    for (size_t i = 0; i < messages_count; i++) {
        if (!whole_window && a->ends[i] != b->ends[i])
            return;
        size_t common = a->counts[i] < b->counts[i] ? a->counts[i] : b->counts[i];
        if (a->ends[i] != b->ends[i] || memcmp(a->bytes[i], b->bytes[i], common) != 0 ||
            (a->ends[i] == 0 && a->counts[i] != b->counts[i]))
            die("the steps made a difference");
    }
}

static void release(struct result *result, size_t messages_count)
{
    for (size_t i = 0; i < messages_count; i++)
        free(result->bytes[i]);
}

/* Packs each message, in one context or alone, and inflates it again. */
static void round_trip(struct fw_ws_deflate_pool *pool, const struct fw_bytes *messages,
                       size_t messages_count, unsigned flags)
{
    const struct fw_ws_deflate agreed = {.own_bits = (uint8_t)(9 + (flags & 7) % 7),
                                         .peer_bits = (uint8_t)(9 + (flags & 7) % 7),
                                         .own_takeover = true,
                                         .peer_takeover = true};
    struct fw_ws_deflate_context *context = fw_ws_deflate_context_create(pool, &agreed);
    if (context == NULL)
        die("no memory");
    unsigned encoding = flags >> 6;
    struct fw_ws_deflater *deflater = encoding > 0 ? fw_ws_deflate_pool_deflater(pool, encoding)
                                                   : fw_ws_deflate_context_deflater(context);
    struct fw_ws_inflater *inflater =
        encoding > 0 ? pool->inflater : fw_ws_deflate_context_inflater(context);
    for (size_t i = 0; i < messages_count; i++) {
        size_t room = (size_t)fw_ws_deflate_wire_bytes_max(messages[i].count);
        uint8_t *packed = allocate(room);
        uint8_t *out = allocate(messages[i].count);
        size_t count;
        ssize_t packed_bytes =
            fw_ws_deflater_pack(deflater, messages[i], encoding > 0, packed, room);
        if (packed_bytes <= 0)
            die("a message did not fit into the worst case");
        fw_ws_inflater_begin(inflater, (struct fw_bytes){packed, (size_t)packed_bytes},
                             messages[i].count, encoding > 0);
        if (drain(inflater, out, messages[i].count, flags, &count) != 0 ||
            count != messages[i].count || (count > 0 && memcmp(out, messages[i].at, count) != 0))
            die("a message did not come out as it went in");
        free(packed);
        free(out);
    }
    fw_ws_deflate_context_destroy(pool, context);
}

/* Cuts the input into messages, each a block of its own. */
static size_t cut(const uint8_t *data, size_t size, struct fw_bytes *messages)
{
    size_t count = 0;
    while (size >= 2 && count < MESSAGES_MAX) {
        size_t bytes = (size_t)(data[0] << 8 | data[1]);
        data += 2;
        size -= 2;
        if (bytes > size)
            bytes = size;
        uint8_t *copy = allocate(bytes);
        if (bytes > 0)
            memcpy(copy, data, bytes);
        messages[count++] = (struct fw_bytes){copy, bytes};
        data += bytes;
        size -= bytes;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fw_ws_deflate_pool pool;
    if (pool.inflater == NULL && fw_ws_deflate_pool_init(&pool, (size_t)1 << 20) != 0)
        die("no memory");
    if (size < 2)
        return 0;
    struct fw_bytes messages[MESSAGES_MAX];
    size_t count = cut(data + 2, size - 2, messages);
    struct result large;
    struct result small;
    inflate_all(&pool, messages, count, data[0], 0, &large);
    inflate_all(&pool, messages, count, data[0], data[1] + 1u, &small);
    compare(&large, &small, count, (data[0] & 7) == 7);
    round_trip(&pool, messages, count, data[0]);
    release(&large, count);
    release(&small, count);
    for (size_t i = 0; i < count; i++)
        free((uint8_t *)(uintptr_t)messages[i].at);
    return 0;
}
