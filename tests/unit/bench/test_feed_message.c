/* test_feed_message.c: what a published message says of itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/feed_message.h"

#include <criterion/criterion.h>
#include <string.h>

Test(bench_feed_message, is_read_as_it_was_written)
{
    static const struct feed_message messages[] = {
        {0, 0, 0}, {1, 2, 3}, {0xffff, UINT64_MAX, UINT64_MAX}, {7, 0x123456789abcdef0, 1}};
    uint8_t bytes[100];
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        struct feed_message read;
        feed_message_write(&messages[i], bytes, sizeof bytes);
        cr_assert(feed_message_read(bytes, &read));
        cr_assert_eq(read.publisher, messages[i].publisher);
        cr_assert_eq(read.sequence, messages[i].sequence);
        cr_assert_eq(read.due_ns, messages[i].due_ns);
    }
}

Test(bench_feed_message, is_refused_when_a_digit_is_none)
{
    uint8_t bytes[FEED_HEAD_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++) {
        struct feed_message message = {1, 2, 3};
        feed_message_write(&message, bytes, sizeof bytes);
        bytes[i] = 'g';
        cr_assert_not(feed_message_read(bytes, &message), "octet %zu", i);
    }
}

Test(bench_feed_message, knows_its_filler_in_every_piece)
{
    static uint8_t bytes[700];
    feed_message_write(&(struct feed_message){0}, bytes, sizeof bytes);
    for (size_t from = FEED_HEAD_BYTES; from < 160; from++) {
        for (size_t count = 0; from + count <= sizeof bytes; count += 37)
            cr_assert(feed_filler_good(bytes + from, from, count));
    }
}

Test(bench_feed_message, sees_one_wrong_octet_of_the_filler)
{
    static uint8_t bytes[400];
    feed_message_write(&(struct feed_message){0}, bytes, sizeof bytes);
    for (size_t i = FEED_HEAD_BYTES; i < sizeof bytes; i++) {
        bytes[i] ^= 1;
        cr_assert_not(feed_filler_good(bytes + FEED_HEAD_BYTES, FEED_HEAD_BYTES,
                                       sizeof bytes - FEED_HEAD_BYTES));
        bytes[i] ^= 1;
    }
}
