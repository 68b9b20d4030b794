/* test_ws_deflate.c: compressing and inflating messages (RFC 7692, section 7.2).
 *
 * What is inflated stands flush against an unreadable page, and so does the room it is inflated to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"
#include "proto/ws_deflate.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define BYTES_MAX    200000
/* More contexts than any test keeps. */
#define CONTEXTS_BYTES_MAX ((size_t)16 << 20)

static struct guard_buf in_guard;
static struct guard_buf out_guard;
static struct fw_ws_deflate_pool pool;

static void set_up(void)
{
    guard_buf_init(&in_guard, BYTES_MAX + 1000);
    guard_buf_init(&out_guard, BYTES_MAX + 1000);
    cr_assert_eq(fw_ws_deflate_pool_init(&pool, CONTEXTS_BYTES_MAX), 0);
}

static void tear_down(void)
{
    fw_ws_deflate_pool_clear(&pool);
    guard_buf_clear(&in_guard);
    guard_buf_clear(&out_guard);
}

TestSuite(ws_deflate, .init = set_up, .fini = tear_down);

static struct fw_ws_deflate_context *context_of(unsigned own_bits, unsigned peer_bits)
{
    const struct fw_ws_deflate agreed = {.own_bits = (uint8_t)own_bits,
                                         .peer_bits = (uint8_t)peer_bits,
                                         .own_takeover = true,
                                         .peer_takeover = true};
    struct fw_ws_deflate_context *context = fw_ws_deflate_context_create(&pool, &agreed);
    cr_assert_not_null(context);
    return context;
}

static void context_end(struct fw_ws_deflate_context *context)
{
    fw_ws_deflate_context_destroy(&pool, context);
}

/* A result of inflating: what came, and what was said at the end. */
struct inflated {
    uint8_t *bytes;
    size_t count;
    ssize_t end;
};

/* Inflates a message that was begun, `step` octets at a time, into room for `room` in all. */
static struct inflated drain(struct fw_ws_inflater *inflater, size_t room, size_t step)
{
    struct inflated result = {.bytes = guard_buf_at_end(&out_guard, NULL, room)};
    do {
        size_t left = room - result.count;
        uint8_t spare;
        result.end = left == 0 ? fw_ws_inflater_next(inflater, &spare, 1)
                               : fw_ws_inflater_next(inflater, result.bytes + result.count,
                                                     left < step ? left : step);
        cr_assert_leq(result.end, (ssize_t)FW_WS_INFLATE_STEP_BYTES);
        if (result.end > 0) {
            cr_assert_gt(left, 0, "more than the limit came");
            result.count += (size_t)result.end;
        }
    } while (result.end > 0);
    return result;
}

static struct inflated inflate_with(struct fw_ws_inflater *inflater, const void *message,
                                    size_t bytes, size_t limit, size_t step, bool fresh)
{
    const uint8_t *in = guard_buf_at_end(&in_guard, message, bytes);
    fw_ws_inflater_begin(inflater, (struct fw_bytes){in, bytes}, limit, fresh);
    return drain(inflater, limit, step);
}

static struct inflated inflate_fresh(const void *message, size_t bytes, size_t limit)
{
    return inflate_with(pool.inflater, message, bytes, limit, limit + 1, true);
}

static void expect_text(struct inflated got, const char *text)
{
    cr_expect_eq(got.end, 0, "ended with %zd", got.end);
    cr_expect(got.count == strlen(text) && memcmp(got.bytes, text, got.count) == 0, "%.*s",
              (int)got.count, (const char *)got.bytes);
}

/* Packs into room that ends at an unreadable page. */
static ssize_t pack(struct fw_ws_deflater *deflater, const void *message, size_t bytes, bool fresh,
                    uint8_t *out, size_t room)
{
    const uint8_t *in = guard_buf_at_end(&in_guard, message, bytes);
    uint8_t *at = guard_buf_at_end(&out_guard, NULL, room);
    ssize_t count = fw_ws_deflater_pack(deflater, (struct fw_bytes){in, bytes}, fresh, at, room);
    if (count > 0)
        memcpy(out, at, (size_t)count);
    return count;
}

/* Fills with octets that do not compress. */
static void fill_random(uint8_t *out, size_t bytes)
{
    static uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < bytes; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out[i] = (uint8_t)(state >> 32);
    }
}

/* ---- the examples of RFC 7692 ---------------------------------------------------------------- */

Test(ws_deflate, packs_the_examples_of_the_rfc)
{
    /* RFC 7692, sections 7.2.3.1 and 7.2.3.2: "Hello", twice, with takeover and without */
    struct fw_ws_deflate_context *context = context_of(15, 15);
    struct fw_ws_deflater *deflater = fw_ws_deflate_context_deflater(context);
    uint8_t out[64];
    cr_assert_eq(pack(deflater, "Hello", 5, false, out, 32), 7);
    cr_expect_arr_eq(out, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    cr_assert_eq(pack(deflater, "Hello", 5, false, out, 32), 5);
    cr_expect_arr_eq(out, "\xf2\x00\x11\x00\x00", 5);
    cr_assert_eq(pack(deflater, "Hello", 5, true, out, 32), 7);
    cr_expect_arr_eq(out, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    context_end(context);
}

Test(ws_deflate, packs_an_empty_message_as_one_octet_whatever_came_before)
{
    /* RFC 7692, section 7.2.3.6 */
    struct fw_ws_deflate_context *context = context_of(15, 15);
    struct fw_ws_deflater *deflater = fw_ws_deflate_context_deflater(context);
    struct fw_ws_inflater *inflater = fw_ws_deflate_context_inflater(context);
    static const char *const messages[] = {"", "", "Hello", "", "", "Hello", ""};
    uint8_t out[64];
    for (size_t i = 0; i < COUNT(messages); i++) {
        ssize_t count = pack(deflater, messages[i], strlen(messages[i]), false, out, 32);
        cr_assert_gt(count, 0);
        if (messages[i][0] == '\0')
            cr_expect(count == 1 && out[0] == 0x00);
        expect_text(inflate_with(inflater, out, (size_t)count, 10, 10, false), messages[i]);
    }
    context_end(context);
}

Test(ws_deflate, starts_afresh_behind_an_empty_message_that_was_to_be_fresh)
{
    /* The empty message itself needs no deflater; the next one must not forget what was asked. */
    struct fw_ws_deflate_context *context = context_of(15, 15);
    struct fw_ws_deflater *deflater = fw_ws_deflate_context_deflater(context);
    uint8_t out[64];
    cr_assert_eq(pack(deflater, "Hello", 5, false, out, 32), 7);
    cr_assert_eq(pack(deflater, "", 0, true, out, 32), 1);
    cr_expect_eq(pack(deflater, "Hello", 5, false, out, 32), 7);
    cr_expect_eq(pack(deflater, "Hello", 5, false, out, 32), 5);
    context_end(context);
}

Test(ws_deflate, inflates_the_examples_of_the_rfc)
{
    /* RFC 7692, sections 7.2.3.1 to 7.2.3.6 */
    static const struct {
        const char *message;
        size_t bytes;
        const char *text;
    } cases[] = {
#define CASE(literal, text) {(literal), sizeof(literal) - 1, (text)}
        CASE("\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"),
        CASE("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello"), /* stored */
        CASE("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"),             /* BFINAL set */
        CASE("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello"),
        CASE("\x00", ""),
        /* Two final blocks, and one in the middle of a reference. */
        CASE("\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "HelloHello"),
        CASE("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00", "HelloHello"),
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t step = 1; step < 12; step++)
            expect_text(
                inflate_with(pool.inflater, cases[i].message, cases[i].bytes, 100, step, true),
                cases[i].text);
    }
}

Test(ws_deflate, inflates_references_to_earlier_messages_only_with_takeover)
{
    /* RFC 7692, section 7.2.3.2 */
    struct fw_ws_deflate_context *context = context_of(15, 15);
    struct fw_ws_inflater *inflater = fw_ws_deflate_context_inflater(context);
    expect_text(inflate_with(inflater, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 100, 100, false),
                "Hello");
    expect_text(inflate_with(inflater, "\xf2\x00\x11\x00\x00", 5, 100, 100, false), "Hello");
    expect_text(inflate_fresh("\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 100), "Hello");
    cr_expect_eq(inflate_fresh("\xf2\x00\x11\x00\x00", 5, 100).end, FW_ERR_WS_INFLATE);
    context_end(context);
}

/* ---- limits ---------------------------------------------------------------------------------- */

Test(ws_deflate, lets_a_message_become_exactly_its_limit)
{
    /* security: the limit counts inflated octets, and nothing is written beyond it */
    static const size_t sizes[] = {1, 2, 100, 16383, 16384, 16385, 65535, 65536, 65537, 100000};
    static uint8_t packed[1000];
    static uint8_t zeros[BYTES_MAX];
    struct fw_ws_deflater *deflater = fw_ws_deflate_pool_deflater(&pool, 1);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        size_t size = sizes[i];
        ssize_t count = pack(deflater, zeros, size, true, packed, sizeof packed);
        cr_assert_gt(count, 0);
        for (size_t step = 1; step <= size * 4; step *= 7) {
            struct inflated got =
                inflate_with(pool.inflater, packed, (size_t)count, size, step, true);
            cr_expect(got.end == 0 && got.count == size, "%zu: %zd", size, got.end);
            got = inflate_with(pool.inflater, packed, (size_t)count, size - 1, step, true);
            cr_expect_eq(got.end, FW_ERR_WS_MESSAGE_TOO_LARGE, "%zu: %zd", size, got.end);
            cr_expect_eq(got.count, size - 1, "%zu", size);
        }
    }
}

Test(ws_deflate, stays_failed_after_the_limit_whatever_comes_behind_it)
{
    /* undici CVE-2026-85024: limit hit, then a malformed block, then an error after the clean-up */
    static uint8_t message[1100];
    uint8_t out[200];
    static uint8_t zeros[1000];
    ssize_t count = pack(fw_ws_deflate_pool_deflater(&pool, 1), zeros, sizeof zeros, true, message,
                         sizeof message);
    cr_assert_gt(count, 0);
    memset(message + count, 0xff, 20); /* a reserved block type, and more */
    const uint8_t *in = guard_buf_at_end(&in_guard, message, (size_t)count + 20);
    fw_ws_inflater_begin(pool.inflater, (struct fw_bytes){in, (size_t)count + 20}, 100, true);
    cr_expect_eq(fw_ws_inflater_next(pool.inflater, out, 200), 100);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(fw_ws_inflater_next(pool.inflater, out, 200), FW_ERR_WS_MESSAGE_TOO_LARGE);
    fw_ws_inflater_begin(pool.inflater, (struct fw_bytes){in, (size_t)count + 20}, 5000, true);
    cr_expect_eq(fw_ws_inflater_next(pool.inflater, out, 200), 200);
    ssize_t said;
    while ((said = fw_ws_inflater_next(pool.inflater, out, 200)) > 0)
        continue;
    cr_expect_eq(said, FW_ERR_WS_INFLATE);
    cr_expect_eq(fw_ws_inflater_next(pool.inflater, out, 200), FW_ERR_WS_INFLATE);
}

/* ---- what is malformed ------------------------------------------------------------------------
 */

Test(ws_deflate, refuses_what_is_no_deflate)
{
    /* RFC 7692, section 7.2.2; RFC 1951, section 3.2.3 */
    static const struct {
        const char *message;
        size_t bytes;
    } cases[] = {
#define BAD(literal) {(literal), sizeof(literal) - 1}
        BAD(""),     /* not even an empty message is that */
        BAD("\x06"), /* block type 11 */
        BAD("\x07"),
        BAD("\xff\xff\xff\xff"),
        BAD("\x00\x05\x00\x00\x00Hello\x00"),    /* length and its complement differ */
        BAD("\x00\x05\x00\xfa\xff\x48\x65"),     /* a stored block cut short */
        BAD("\x02\x01\x00\x00"),                 /* a reference with nothing behind it */
        BAD("\xf3\x48\xcd\xc9\xc9\x07\x00"),     /* BFINAL, and no block after it */
        BAD("\xf2\x48\xcd\xc9\xc9\x07\x00\x00"), /* half an empty block too many */
        BAD("\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff"), /* the tail was not cut off */
        BAD("\x04\x00\x00\x00"),                             /* a dynamic block cut short */
        BAD("Hello"),
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t step = 1; step < 4; step++) {
            struct inflated got =
                inflate_with(pool.inflater, cases[i].message, cases[i].bytes, 1000, step, true);
            cr_expect_eq(got.end, FW_ERR_WS_INFLATE, "case %zu: %zd", i, got.end);
        }
    }
}

Test(ws_deflate, refuses_a_message_cut_anywhere)
{
    /* RFC 7692, section 7.2.2: a message ends between two blocks, or it is not whole */
    static const char text[] = "the quick brown fox jumps over the lazy dog; the quick red fox "
                               "jumps over the lazy cat; the slow brown fox sleeps";
    uint8_t packed[256];
    ssize_t count = pack(fw_ws_deflate_pool_deflater(&pool, 1), text, sizeof text - 1, true, packed,
                         sizeof packed);
    cr_assert_gt(count, 10);
    for (ssize_t cut = 0; cut < count; cut++)
        cr_expect_eq(inflate_fresh(packed, (size_t)cut, 1000).end, FW_ERR_WS_INFLATE, "%zd octets",
                     cut);
    expect_text(inflate_fresh(packed, (size_t)count, 1000), text);
}

Test(ws_deflate, stays_failed_until_a_fresh_message)
{
    /* ws_deflate.h: terminal after the first error */
    struct fw_ws_deflate_context *context = context_of(15, 15);
    struct fw_ws_inflater *inflater = fw_ws_deflate_context_inflater(context);
    const char *good = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    cr_expect_eq(inflate_with(inflater, "\x07", 1, 100, 100, false).end, FW_ERR_WS_INFLATE);
    cr_expect_eq(inflate_with(inflater, good, 7, 100, 100, false).end, FW_ERR_WS_INFLATE);
    expect_text(inflate_with(inflater, good, 7, 100, 100, true), "Hello");
    expect_text(inflate_with(inflater, good, 7, 100, 100, false), "Hello");
    context_end(context);
}

Test(ws_deflate, fails_a_context_whose_last_message_was_left_half_way)
{
    /* What was not inflated is missing in the window of all that follows. */
    struct fw_ws_deflate_context *context = context_of(15, 15);
    struct fw_ws_inflater *inflater = fw_ws_deflate_context_inflater(context);
    const uint8_t *good = (const uint8_t *)"\xf2\x48\xcd\xc9\xc9\x07\x00";
    uint8_t out[8];
    fw_ws_inflater_begin(inflater, (struct fw_bytes){good, 7}, 100, false);
    cr_expect_eq(fw_ws_inflater_next(inflater, out, 2), 2);
    cr_expect_eq(inflate_with(inflater, good, 7, 100, 100, false).end, FW_ERR_WS_INFLATE);
    context_end(context);
}

/* ---- windows --------------------------------------------------------------------------------- */

/* 3000 octets that do not compress, except that all come again after `distance`. */
static void fill_with_distance(uint8_t *out, size_t bytes, size_t distance)
{
    fill_random(out, bytes < distance ? bytes : distance);
    for (size_t i = distance; i < bytes; i++)
        out[i] = out[i - distance];
}

/* Whether an inflater with so small a window takes a message, octet by octet: zlib then has nothing
 * but the window to look into. */
static bool fits_window(unsigned bits, const uint8_t *packed, ssize_t count, size_t bytes)
{
    struct fw_ws_deflate_context *context = context_of(15, bits);
    struct fw_ws_inflater *inflater = fw_ws_deflate_context_inflater(context);
    struct inflated got = inflate_with(inflater, packed, (size_t)count, bytes, 1, false);
    context_end(context);
    return got.end == 0 && got.count == bytes;
}

Test(ws_deflate, keeps_to_the_window_of_each_encoding)
{
    /* RFC 7692, section 7.1.2.1: whoever accepts a smaller window really uses it */
    static const unsigned windows[] = {15, 12, 9};
    static uint8_t message[100000];
    static uint8_t packed[110000];
    for (unsigned encoding = 1; encoding <= FW_WS_DEFLATE_ENCODINGS; encoding++) {
        unsigned bits = windows[encoding - 1];
        struct fw_ws_deflater *deflater = fw_ws_deflate_pool_deflater(&pool, encoding);
        for (size_t distance = 200; distance < 40000; distance += distance / 3) {
            size_t bytes = distance * 2 < sizeof message ? distance * 2 : sizeof message;
            fill_with_distance(message, bytes, distance);
            ssize_t count = pack(deflater, message, bytes, true, packed, sizeof packed);
            cr_assert_gt(count, 0);
            cr_expect(fits_window(bits, packed, count, bytes), "%u bits, distance %zu", bits,
                      distance);
            bool found = (size_t)count < bytes * 3 / 4;
            cr_expect_eq(found, distance + 262 <= (size_t)1 << bits, "%u bits, distance %zu", bits,
                         distance);
            if (found && distance > 512)
                cr_expect(!fits_window(9, packed, count, bytes), "the check checks nothing");
        }
    }
}

Test(ws_deflate, keeps_to_the_window_of_each_context)
{
    /* RFC 7692, section 7.1.2: 9 to 15 bits; ours are never larger than 12 */
    static uint8_t message[6000];
    static uint8_t packed[7000];
    for (unsigned bits = FW_WS_DEFLATE_OWN_BITS_MIN; bits <= FW_WS_DEFLATE_BITS_MAX; bits++) {
        struct fw_ws_deflate_context *context = context_of(bits, 15);
        struct fw_ws_deflater *deflater = fw_ws_deflate_context_deflater(context);
        for (size_t distance = 200; distance < 3000; distance += 150) {
            fill_with_distance(message, sizeof message, distance);
            ssize_t count = pack(deflater, message, sizeof message, true, packed, sizeof packed);
            cr_assert_gt(count, 0);
            cr_expect(fits_window(bits < 12 ? bits : 12, packed, count, sizeof message), "%u bits",
                      bits);
        }
        context_end(context);
    }
}

Test(ws_deflate, has_an_encoding_for_every_window_but_the_smallest)
{
    /* zlib makes 9 bits of 8 without a word: who asks for 8 gets nothing compressed */
    static const unsigned encodings[] = {
        [8] = 0, [9] = 3, [10] = 3, [11] = 3, [12] = 2, [13] = 2, [14] = 2, [15] = 1};
    for (unsigned bits = 8; bits <= 15; bits++)
        cr_expect_eq(fw_ws_deflate_encoding(bits), encodings[bits], "%u bits", bits);
}

/* ---- deflater -------------------------------------------------------------------------------- */

Test(ws_deflate, says_when_a_message_does_not_fit_and_refers_to_it_never)
{
    /* The peer has not got what did not fit. */
    static uint8_t noise[2000];
    static uint8_t packed[4000];
    struct fw_ws_deflate_context *context = context_of(15, 15);
    struct fw_ws_deflater *deflater = fw_ws_deflate_context_deflater(context);
    struct fw_ws_inflater *inflater = fw_ws_deflate_context_inflater(context);
    fill_random(noise, sizeof noise);
    cr_expect_eq(pack(deflater, noise, sizeof noise, false, packed, sizeof noise), FW_ERR_LIMIT);
    ssize_t count = pack(deflater, noise, sizeof noise, false, packed, sizeof packed);
    cr_assert_gt(count, 2000, "it knew the message");
    struct inflated got = inflate_with(inflater, packed, (size_t)count, sizeof noise, 16384, false);
    cr_expect(got.end == 0 && memcmp(got.bytes, noise, sizeof noise) == 0);
    count = pack(deflater, noise, sizeof noise, false, packed, sizeof packed);
    cr_expect_lt(count, 100, "%zd", count);
    got = inflate_with(inflater, packed, (size_t)count, sizeof noise, 16384, false);
    cr_expect(got.end == 0 && memcmp(got.bytes, noise, sizeof noise) == 0);
    context_end(context);
}

Test(ws_deflate, fits_a_message_into_exactly_the_room_it_needs)
{
    /* ws_deflate.h: FW_WS_DEFLATE_SPARE_BYTES beyond the result */
    uint8_t packed[64];
    struct fw_ws_deflater *deflater = fw_ws_deflate_pool_deflater(&pool, 1);
    cr_expect_eq(pack(deflater, "Hello", 5, true, packed, 7 + FW_WS_DEFLATE_SPARE_BYTES), 7);
    cr_expect_eq(pack(deflater, "Hello", 5, true, packed, 7 + FW_WS_DEFLATE_SPARE_BYTES - 1),
                 FW_ERR_LIMIT);
}

Test(ws_deflate, goes_on_after_messages_that_the_peer_got_otherwise)
{
    /* A shared message stands in the peer's window between ours: a fresh start refers to neither.
     */
    static const char *const ours[] = {"one two three four five six", "one two three four six",
                                       "one two three four seven", "one two eight four seven"};
    static const char shared[] = "what everybody gets, one two three four five six";
    struct fw_ws_deflate_context *context = context_of(15, 15);
    struct fw_ws_deflater *deflater = fw_ws_deflate_context_deflater(context);
    struct fw_ws_inflater *peer = fw_ws_deflate_context_inflater(context);
    uint8_t packed[256];
    for (size_t i = 0; i < COUNT(ours); i++) {
        bool fresh = i == 2; /* right after the shared one */
        ssize_t count = pack(deflater, ours[i], strlen(ours[i]), fresh, packed, 200);
        cr_assert_gt(count, 0);
        expect_text(inflate_with(peer, packed, (size_t)count, 200, 200, false), ours[i]);
        if (i != 1)
            continue;
        count =
            pack(fw_ws_deflate_pool_deflater(&pool, 1), shared, strlen(shared), true, packed, 200);
        expect_text(inflate_with(peer, packed, (size_t)count, 200, 200, false), shared);
    }
    context_end(context);
}

Test(ws_deflate, packs_long_messages_fast_and_short_ones_well_again)
{
    /* ws_deflate.h: FW_WS_DEFLATE_GOOD_BYTES_MAX */
    static char text[BYTES_MAX];
    static uint8_t packed[BYTES_MAX];
    struct fw_ws_deflater *deflater = fw_ws_deflate_pool_deflater(&pool, 1);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "0123456789abcdef {}:,\""[i * i * i / 7 % 22];
    size_t edge = FW_WS_DEFLATE_GOOD_BYTES_MAX;
    ssize_t good = pack(deflater, text, edge, true, packed, sizeof packed);
    ssize_t fast = pack(deflater, text, edge + 1, true, packed, sizeof packed);
    cr_expect_lt(good, fast, "%zd and %zd", good, fast);
    cr_expect_eq(pack(deflater, text, edge, true, packed, sizeof packed), good);
    ssize_t count = pack(deflater, text, sizeof text, true, packed, sizeof packed);
    cr_assert_gt(count, 0);
    struct inflated got =
        inflate_with(pool.inflater, packed, (size_t)count, sizeof text, 16384, true);
    cr_expect(got.end == 0 && got.count == sizeof text && memcmp(got.bytes, text, got.count) == 0);
}
