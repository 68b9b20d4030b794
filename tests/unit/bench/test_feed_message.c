/* test_feed_message.c: what a published message says of itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/feed_message.h"
#include "bench/message.h"

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

Test(bench_feed_message, has_the_loads_text_behind_its_head)
{
    static uint8_t bytes[700];
    for (size_t count = FEED_HEAD_BYTES; count <= sizeof bytes; count += 83) {
        feed_message_write(&(struct feed_message){0}, bytes, count);
        cr_assert(
            bench_text_good(bytes + FEED_HEAD_BYTES, FEED_HEAD_BYTES, count - FEED_HEAD_BYTES));
    }
}
