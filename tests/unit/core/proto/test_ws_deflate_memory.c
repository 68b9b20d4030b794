/* test_ws_deflate_memory.c: what compression holds, what it may hold at most, and what happens when
 * there is none. The rules are ws_deflate.h's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "fanwire/status.h"
#include "proto/ws_deflate.h"
#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define MESSAGE_BYTES 40000

static size_t allocated_bytes;

static int count_heap(size_t bytes)
{
    allocated_bytes += bytes;
    return 1;
}

static void heap_restore(void)
{
    fw_mem_hook(NULL);
}

TestSuite(ws_deflate_memory, .fini = heap_restore);

static struct fw_ws_deflate agree(unsigned own_bits, unsigned peer_bits, bool own, bool peer)
{
    return (struct fw_ws_deflate){.own_bits = (uint8_t)own_bits,
                                  .peer_bits = (uint8_t)peer_bits,
                                  .own_takeover = own,
                                  .peer_takeover = peer};
}

Test(ws_deflate_memory, wants_a_zlib_without_its_known_holes)
{
    /* CVE-2018-25032: memory corruption in deflate, mended in 1.2.12 */
    static const struct {
        const char *version;
        bool good;
    } cases[] = {
        {"1.2.12", true},
        {"1.2.13", true},
        {"1.3", true},
        {"1.3.1", true},
        {"1.3.1.zlib-ng", true},
        {"1.10", true},
        {"2.0", true},
        {"2", true},
        {"1.2.12.1", true},
        {"1.2.11", false},
        {"1.2.11.1", false},
        {"1.2.8", false},
        {"1.2", false},
        {"1.1.99", false},
        {"0.95", false},
        {"1", false},
        {"", false},
        {"zlib", false},
        {"1.x", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_expect_eq(fw_ws_deflate_version_good(cases[i].version), cases[i].good, "%s",
                     cases[i].version);
    cr_expect(fw_ws_deflate_version_good(fw_ws_deflate_version()));
}

/* Makes both coders work, with a message long enough for every window. */
static void use(struct fw_ws_deflate_context *context)
{
    static uint8_t message[MESSAGE_BYTES];
    static uint8_t packed[MESSAGE_BYTES + 1000];
    static uint8_t stored[5 + 1000 + 1] = {0x00, 0xe8, 0x03, 0x17, 0xfc};
    uint8_t out[1000];
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)(i * i >> 7);
    if (context->agreed.own_takeover) {
        ssize_t count = fw_ws_deflater_pack(fw_ws_deflate_context_deflater(context),
                                            (struct fw_bytes){message, sizeof message}, false,
                                            packed, sizeof packed);
        cr_assert_gt(count, 0);
    }
    if (!context->agreed.peer_takeover)
        return;
    for (int i = 0; i < 50; i++) {
        struct fw_ws_inflater *inflater = fw_ws_deflate_context_inflater(context);
        fw_ws_inflater_begin(inflater, (struct fw_bytes){stored, sizeof stored}, 1000, false);
        cr_assert_eq(fw_ws_inflater_next(inflater, out, sizeof out), 1000);
        cr_assert_eq(fw_ws_inflater_next(inflater, out, sizeof out), 0);
    }
}

Test(ws_deflate_memory, of_a_context_is_what_was_promised)
{
    /* security: contexts are counted before they exist, so that the cap holds whoever uses them */
    struct fw_ws_deflate_pool pool;
    cr_assert_eq(fw_ws_deflate_pool_init(&pool, (size_t)1 << 20), 0);
    for (unsigned own = 9; own <= 15; own++) {
        for (unsigned peer = 8; peer <= 15; peer++) {
            for (unsigned takeovers = 1; takeovers <= 3; takeovers++) {
                struct fw_ws_deflate agreed = agree(own, peer, takeovers & 1, takeovers & 2);
                allocated_bytes = 0;
                fw_mem_hook(count_heap);
                struct fw_ws_deflate_context *context =
                    fw_ws_deflate_context_create(&pool, &agreed);
                cr_assert_not_null(context);
                cr_expect_eq(pool.contexts_bytes, context->promised_bytes);
                cr_expect_eq(fw_ws_deflate_context_heap_bytes(context), sizeof *context,
                             "nothing is made before it is used");
                use(context);
                fw_mem_hook(NULL);
                cr_expect_eq(fw_ws_deflate_context_heap_bytes(context), context->promised_bytes);
                cr_expect_eq(allocated_bytes, context->promised_bytes, "%u, %u bits", own, peer);
                fw_ws_deflate_context_destroy(&pool, context);
                cr_expect_eq(pool.contexts_bytes, 0);
            }
        }
    }
    fw_ws_deflate_pool_clear(&pool);
}

Test(ws_deflate_memory, is_promised_up_to_the_cap_and_not_beyond)
{
    /* security: 256 KB a context, a million of them; past the cap there is no context takeover */
    struct fw_ws_deflate_pool pool;
    struct fw_ws_deflate_context *contexts[64];
    const struct fw_ws_deflate agreed = agree(15, 12, true, true);
    size_t cap = 500000;
    size_t count = 0;
    cr_assert_eq(fw_ws_deflate_pool_init(&pool, cap), 0);
    while (count < COUNT(contexts) &&
           (contexts[count] = fw_ws_deflate_context_create(&pool, &agreed)) != NULL) {
        count++;
        cr_assert_leq(pool.contexts_bytes, cap);
    }
    size_t each = contexts[0]->promised_bytes;
    cr_expect_eq(count, cap / each, "%zu of %zu octets", count, each);
    cr_expect(!fw_ws_deflate_pool_has_room(&pool));
    fw_ws_deflate_context_destroy(&pool, contexts[--count]);
    contexts[count] = fw_ws_deflate_context_create(&pool, &agreed);
    cr_assert_not_null(contexts[count++]);
    while (count > 0)
        fw_ws_deflate_context_destroy(&pool, contexts[--count]);
    cr_expect_eq(pool.contexts_bytes, 0);
    cr_expect(fw_ws_deflate_pool_has_room(&pool));
    fw_ws_deflate_pool_clear(&pool);
}

Test(ws_deflate_memory, has_room_when_even_the_largest_context_fits)
{
    /* ws_deflate.h: whoever was told that there is room must get what it agrees on */
    const struct fw_ws_deflate largest = agree(15, 15, true, true);
    for (size_t cap = 0; cap < 400000; cap += 1117) {
        struct fw_ws_deflate_pool pool;
        cr_assert_eq(fw_ws_deflate_pool_init(&pool, cap), 0);
        while (fw_ws_deflate_pool_has_room(&pool)) {
            size_t before = pool.contexts_bytes;
            struct fw_ws_deflate_context *context = fw_ws_deflate_context_create(&pool, &largest);
            cr_assert_not_null(context);
            fw_ws_deflate_context_destroy(&pool, context);
            pool.contexts_bytes = before + 50000; /* as if others held so much */
        }
        cr_expect(fw_ws_deflate_context_create(&pool, &largest) == NULL);
        pool.contexts_bytes = 0;
        fw_ws_deflate_pool_clear(&pool);
    }
}

Test(ws_deflate_memory, without_a_cap_is_nobodys)
{
    /* security: no context takeover by default */
    struct fw_ws_deflate_pool pool;
    const struct fw_ws_deflate agreed = agree(9, 8, true, true);
    cr_assert_eq(fw_ws_deflate_pool_init(&pool, 0), 0);
    cr_expect(!fw_ws_deflate_pool_has_room(&pool));
    cr_expect(fw_ws_deflate_context_create(&pool, &agreed) == NULL);
    fw_ws_deflate_pool_clear(&pool);
}

Test(ws_deflate_memory, that_is_refused_fails_what_needs_it_and_nothing_else)
{
    /* base/mem.h: allocation k fails, for every k */
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        struct fw_ws_deflate_pool pool;
        const struct fw_ws_deflate agreed = agree(15, 15, true, true);
        uint8_t out[64];
        fail_mem_at(k, FAIL_ONCE);
        if (fw_ws_deflate_pool_init(&pool, 1 << 20) != 0) {
            failed = fail_mem_off();
            cr_expect(failed);
            continue;
        }
        struct fw_ws_deflate_context *context = fw_ws_deflate_context_create(&pool, &agreed);
        struct fw_ws_deflater *shared = fw_ws_deflate_pool_deflater(&pool, 2);
        if (context != NULL) {
            fw_ws_deflate_context_deflater(context);
            fw_ws_deflate_context_inflater(context);
        }
        struct fw_bytes message = {(const uint8_t *)"\xf2\x48\xcd\xc9\xc9\x07\x00", 7};
        fw_ws_inflater_begin(pool.inflater, message, 10, true);
        ssize_t count = fw_ws_inflater_next(pool.inflater, out, sizeof out);
        failed = fail_mem_off();
        cr_expect(count == 5 || count == FW_ERR_WS_MEMORY, "%zd", count);
        if (!failed)
            cr_expect(context != NULL && shared != NULL && count == 5);
        /* With memory again, all that failed is there. */
        shared = fw_ws_deflate_pool_deflater(&pool, 2);
        cr_expect_not_null(shared);
        fw_ws_inflater_begin(pool.inflater, message, 10, true);
        cr_expect_eq(fw_ws_inflater_next(pool.inflater, out, sizeof out), 5);
        fw_ws_deflate_context_destroy(&pool, context);
        fw_ws_deflate_pool_clear(&pool);
    }
}

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Fills with what becomes a million zeros a kilobyte: pieces that end on an octet's edge, repeated.
 * Returns how many octets fit. */
static size_t make_bomb(uint8_t *out, size_t room)
{
    static uint8_t zeros[1 << 20];
    z_stream stream = {.next_in = zeros, .avail_in = sizeof zeros, .next_out = out};
    stream.avail_out = (uInt)room;
    cr_assert_eq(deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
    size_t piece = room - stream.avail_out;
    deflateEnd(&stream);
    cr_assert_lt(piece, 1100);
    size_t count = piece;
    for (; count + piece <= room; count += piece)
        memcpy(out + count, out, piece);
    return count - 4; /* the tail */
}

Test(ws_deflate_memory, that_a_bomb_costs_is_bounded)
{
    /* websockets CVE-2018-1000518, undici CVE-2026-1526: 1 KB and 128 KB of zeros x 1032 */
    static const size_t packed_sizes[] = {1100, 128 * 1024};
    static uint8_t packed[128 * 1024];
    static uint8_t out[65536];
    for (size_t i = 0; i < COUNT(packed_sizes); i++) {
        struct fw_ws_deflate_pool pool;
        const struct fw_ws_deflate agreed = agree(15, 15, true, true);
        size_t count = make_bomb(packed, packed_sizes[i]);
        cr_assert_eq(fw_ws_deflate_pool_init(&pool, 1 << 20), 0);
        allocated_bytes = 0;
        fw_mem_hook(count_heap);
        struct fw_ws_deflate_context *context = fw_ws_deflate_context_create(&pool, &agreed);
        struct fw_ws_inflater *inflater = fw_ws_deflate_context_inflater(context);
        double start = cpu_ms();
        size_t written = 0;
        ssize_t said;
        fw_ws_inflater_begin(inflater, (struct fw_bytes){packed, count}, sizeof out, false);
        while ((said = fw_ws_inflater_next(inflater, out + written % sizeof out,
                                           sizeof out - written % sizeof out)) > 0)
            written += (size_t)said;
        double took = cpu_ms() - start;
        fw_mem_hook(NULL);
        cr_expect_eq(said, FW_ERR_WS_MESSAGE_TOO_LARGE);
        cr_expect_eq(fw_status_answer((int)said), 1009);
        cr_expect_eq(written, sizeof out);
        cr_expect_leq(allocated_bytes, 64 * 1024, "%zu octets", allocated_bytes);
        cr_expect_lt(took, 5.0, "%.2f ms", took);
        cr_log_info("a bomb of %zu octets: %zu octets of heap, %.3f ms", count, allocated_bytes,
                    took);
        fw_ws_deflate_context_destroy(&pool, context);
        fw_ws_deflate_pool_clear(&pool);
    }
}
