/* test_ws_deflate.c: properties of compression that hold for random conversations (RFC 7692,
 * section 7.2):
 *
 *   what is packed comes out again, whatever windows, contexts and steps both sides use;
 *   however it is drained, a message gives the same octets and the same end, also when it is
 * damaged; nothing ever comes out beyond the limit.
 *
 * The random numbers are the same in every run; a failure names its seed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/ws_deflate.h"
#include "support/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define CONVERSATIONS_COUNT 300
#define MESSAGES_MAX        12
#define MESSAGE_BYTES_MAX   70000
#define DAMAGES_COUNT       3000

static uint64_t dice_of(uint64_t seed)
{
    return (seed + 1) * 0x9e3779b97f4a7c15;
}

/* Mostly short, sometimes long, often around where a message is packed another way. */
static size_t roll_length(uint64_t *dice)
{
    static const size_t edges[] = {0,     1,     2,     3,     255,   256,   257,   511,  512,
                                   16383, 16384, 16385, 32767, 32768, 32769, 65535, 65536};
    switch (random_below(dice, 8)) {
    case 0:
        return edges[random_below(dice, sizeof edges / sizeof *edges)];
    case 1:
        return random_below(dice, MESSAGE_BYTES_MAX);
    case 2:
    case 3:
        return random_below(dice, 5000);
    default:
        return random_below(dice, 300);
    }
}

/* Fills with text of a few words, noise, one octet, or any mixture of them. */
static void roll_payload(uint64_t *dice, uint8_t *out, size_t bytes)
{
    static const char *const words[] = {"{\"price\":", "\"symbol\":", "ALDR", "0.25", "},", "the "};
    uint64_t kind = random_below(dice, 4);
    size_t at = 0;
    while (at < bytes) {
        const char *word = words[random_below(dice, 6)];
        size_t count = strlen(word);
        uint64_t now = kind == 3 ? random_below(dice, 3) : kind;
        for (size_t i = 0; i < count && at < bytes; i++)
            out[at++] = now == 0   ? (uint8_t)word[i]
                        : now == 1 ? (uint8_t)random_below(dice, 256)
                                   : 'z';
    }
}

/* Inflates what was begun in steps of random size.
 *
 * returns      as the last fw_ws_inflater_next
 */
static ssize_t drain(uint64_t *dice, struct fw_ws_inflater *inflater, uint8_t *out, size_t room,
                     size_t *count_out)
{
    static const size_t steps[] = {1, 3, 100, 4096, 16384, 100000};
    size_t most = steps[random_below(dice, room > 20000 ? 6 : 5)];
    ssize_t said;
    *count_out = 0;
    do {
        size_t step = 1 + random_below(dice, most);
        size_t left = room - *count_out;
        said = fw_ws_inflater_next(inflater, out + *count_out, step < left ? step : left);
        if (said > 0)
            *count_out += (size_t)said;
    } while (said > 0);
    return said;
}

static struct fw_ws_deflate roll_agreement(uint64_t *dice)
{
    uint64_t takeovers = 1 + random_below(dice, 3);
    return (struct fw_ws_deflate){.own_bits = (uint8_t)(9 + random_below(dice, 7)),
                                  .peer_bits = 15,
                                  .own_takeover = takeovers & 1,
                                  .peer_takeover = true};
}

/* One side packs, the other inflates with a window no larger than what the first may use. */
static void converse(uint64_t seed, struct fw_ws_deflate_pool *pool)
{
    static uint8_t payload[MESSAGE_BYTES_MAX];
    static uint8_t packed[MESSAGE_BYTES_MAX * 2];
    static uint8_t out[MESSAGE_BYTES_MAX + 2];
    uint64_t dice = dice_of(seed);
    struct fw_ws_deflate ours = roll_agreement(&dice);
    struct fw_ws_deflate theirs = {
        .own_bits = 15, .peer_bits = ours.own_bits, .peer_takeover = true};
    struct fw_ws_deflate_context *sender = fw_ws_deflate_context_create(pool, &ours);
    struct fw_ws_deflate_context *receiver = fw_ws_deflate_context_create(pool, &theirs);
    cr_assert(sender != NULL && receiver != NULL);
    struct fw_ws_inflater *inflater = fw_ws_deflate_context_inflater(receiver);
    bool fresh = false;
    for (uint64_t i = random_below(&dice, MESSAGES_MAX); i > 0; i--) {
        size_t bytes = roll_length(&dice);
        bool own =
            ours.own_takeover && bytes <= FW_WS_DEFLATE_GOOD_BYTES_MAX && random_below(&dice, 3);
        struct fw_ws_deflater *deflater =
            own ? fw_ws_deflate_context_deflater(sender)
                : fw_ws_deflate_pool_deflater(pool, fw_ws_deflate_encoding(ours.own_bits));
        roll_payload(&dice, payload, bytes);
        size_t room = random_below(&dice, 4) == 0 ? bytes + 6 : sizeof packed;
        ssize_t count = fw_ws_deflater_pack(deflater, (struct fw_bytes){payload, bytes},
                                            !own || fresh, packed, room);
        fresh = !own || (fresh && count < 0); /* what our own context does not know of */
        if (count == FW_ERR_LIMIT)
            continue; /* it would be sent as it is */
        cr_assert_gt(count, 0, "seed %lu", (unsigned long)seed);
        size_t inflated;
        fw_ws_inflater_begin(inflater, (struct fw_bytes){packed, (size_t)count}, bytes, false);
        cr_assert_eq(drain(&dice, inflater, out, sizeof out, &inflated), 0, "seed %lu",
                     (unsigned long)seed);
        cr_assert(inflated == bytes && memcmp(out, payload, bytes) == 0, "seed %lu",
                  (unsigned long)seed);
    }
    fw_ws_deflate_context_destroy(pool, sender);
    fw_ws_deflate_context_destroy(pool, receiver);
}

Test(ws_deflate_property, what_is_packed_comes_out_again)
{
    /* RFC 7692, sections 7.2.1 and 7.2.2: inflate(deflate(x)) = x */
    struct fw_ws_deflate_pool pool;
    cr_assert_eq(fw_ws_deflate_pool_init(&pool, (size_t)1 << 20), 0);
    for (uint64_t seed = 0; seed < CONVERSATIONS_COUNT; seed++)
        converse(seed, &pool);
    cr_expect_eq(pool.contexts_bytes, 0);
    fw_ws_deflate_pool_clear(&pool);
}

/* Damages a packed message: octets changed, cut off, doubled. */
static size_t damage(uint64_t *dice, uint8_t *packed, size_t count)
{
    for (uint64_t i = random_below(dice, 3); i > 0 && count > 0; i--)
        packed[random_below(dice, count)] ^= (uint8_t)(1u << random_below(dice, 8));
    if (random_below(dice, 3) == 0)
        count = random_below(dice, count + 1);
    if (random_below(dice, 8) == 0) {
        memcpy(packed + count, packed, count);
        count *= 2;
    }
    return count;
}

Test(ws_deflate_property, a_message_is_the_same_however_it_is_drained)
{
    /* ws_deflate.h: steps change nothing, damage or not, and the limit holds */
    static uint8_t payload[5000];
    static uint8_t packed[30000];
    static uint8_t once[5001];
    static uint8_t again[5001];
    struct fw_ws_deflate_pool pool;
    cr_assert_eq(fw_ws_deflate_pool_init(&pool, 0), 0);
    for (uint64_t seed = 0; seed < DAMAGES_COUNT; seed++) {
        uint64_t dice = dice_of(seed);
        size_t bytes = random_below(&dice, sizeof payload);
        size_t limit = random_below(&dice, 4) == 0 ? random_below(&dice, bytes + 1) : bytes;
        roll_payload(&dice, payload, bytes);
        ssize_t count = fw_ws_deflater_pack(
            fw_ws_deflate_pool_deflater(&pool, 1 + (unsigned)random_below(&dice, 3)),
            (struct fw_bytes){payload, bytes}, true, packed, sizeof packed / 2);
        cr_assert_gt(count, 0);
        size_t damaged = damage(&dice, packed, (size_t)count);
        ssize_t said = 1;
        size_t length = 0;
        for (int way = 0; way < 3; way++) {
            uint8_t *out = way == 0 ? once : again;
            size_t inflated;
            fw_ws_inflater_begin(pool.inflater, (struct fw_bytes){packed, damaged}, limit, true);
            ssize_t end = drain(&dice, pool.inflater, out, sizeof again, &inflated);
            cr_assert(way == 0 || end == said, "seed %lu: %zd, %zd", (unsigned long)seed, end,
                      said);
            cr_assert_leq(inflated, limit, "seed %lu", (unsigned long)seed);
            size_t common = inflated < length ? inflated : length;
            cr_assert(way == 0 || memcmp(once, again, common) == 0, "seed %lu",
                      (unsigned long)seed);
            cr_assert(way == 0 || end != 0 || inflated == length, "seed %lu", (unsigned long)seed);
            said = end;
            length = inflated;
        }
    }
    fw_ws_deflate_pool_clear(&pool);
}
