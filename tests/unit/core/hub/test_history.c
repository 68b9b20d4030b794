/* test_history.c: the newest messages of a topic, and where a subscriber begins
 * (core/hub/history.h, topic.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hub/topic.h"

#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <errno.h>

static struct fw_topic *topic;
static struct fw_topic_rules rules;

static void set_up(void)
{
    rules = (struct fw_topic_rules){
        .prefix = "", .history_count = 8, .history_bytes = 1 << 20, .history_age_ms = 1000};
    topic = fw_topic_create(fw_bytes_of("t"), 7, 1);
    topic->rules = &rules;
}

static void tear_down(void)
{
    fw_topic_destroy(topic);
}

TestSuite(history, .init = set_up, .fini = tear_down);

/* Publishes a message of so many octets. returns: what fw_history_reserve said. */
static int publish(size_t bytes, uint32_t now_ms)
{
    static uint8_t payload[4096];
    struct fw_msg *msg = fw_msg_create(1, (struct fw_bytes){payload, bytes});
    int result = fw_history_reserve(&topic->history, &rules);
    if (result != 0) {
        fw_msg_drop(msg);
        return result;
    }
    msg->offset = ++topic->offset;
    msg->published_ms = now_ms;
    fw_history_add(&topic->history, &rules, msg);
    return 0;
}

static void expect_holds(uint64_t oldest, uint32_t count)
{
    cr_assert_eq(topic->history.count, count);
    cr_assert_eq(fw_history_oldest(&topic->history, topic->offset), oldest);
    uint64_t bytes = 0;
    for (uint64_t offset = oldest; offset < oldest + count; offset++) {
        const struct fw_msg *msg = fw_history_at(&topic->history, topic->offset, offset);
        cr_assert_eq(msg->offset, offset);
        bytes += fw_msg_held_bytes(msg);
    }
    cr_assert_eq(topic->history.bytes, bytes);
}

Test(history, holds_nothing_before_the_first_message)
{
    expect_holds(1, 0);
    cr_assert_null(topic->history.ring);
}

Test(history, keeps_the_newest_by_count)
{
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(publish(10, 0), 0);
        expect_holds(i < 8 ? 1 : i - 6, i < 8 ? i + 1 : 8);
    }
}

Test(history, keeps_the_newest_by_bytes)
{
    rules.history_bytes = 1000;
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(publish(i % 2 == 0 ? 300 : 10, 0), 0);
        cr_assert_leq(topic->history.bytes, 1000u);
        cr_assert_gt(topic->history.count, i == 0 ? 0u : 1u);
    }
}

Test(history, keeps_nothing_of_a_message_that_is_larger_than_all_it_may_hold)
{
    rules.history_bytes = 1000;
    cr_assert_eq(publish(10, 0), 0);
    cr_assert_eq(publish(2000, 0), 0);
    expect_holds(3, 0);
    cr_assert_eq(publish(10, 0), 0);
    expect_holds(3, 1);
}

Test(history, lets_go_of_what_is_too_old_and_of_nothing_else)
{
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(publish(10, 100 * i), 0);
    cr_assert_eq(fw_history_expire(&topic->history, &rules, 1000), 0u);
    fw_history_expire(&topic->history, &rules, 1201);
    expect_holds(4, 2);
    fw_history_expire(&topic->history, &rules, 5000);
    expect_holds(6, 0);
}

Test(history, is_not_emptied_by_a_clock_that_was_read_before_the_message)
{
    cr_assert_eq(publish(10, 500), 0);
    fw_history_expire(&topic->history, &rules, 499);
    expect_holds(1, 1);
}

Test(history, counts_time_across_the_wrap_of_its_clock)
{
    cr_assert_eq(publish(10, UINT32_MAX - 10), 0);
    fw_history_expire(&topic->history, &rules, (uint64_t)UINT32_MAX + 900);
    expect_holds(1, 1);
    fw_history_expire(&topic->history, &rules, (uint64_t)UINT32_MAX + 1100);
    expect_holds(2, 0);
}

Test(history, says_that_there_is_no_memory_before_anything_has_happened)
{
    fail_mem_at(2, FAIL_ONCE); /* the first is the message's own */
    cr_assert_eq(publish(10, 0), -ENOMEM);
    fail_mem_off();
    expect_holds(1, 0);
    cr_assert_eq(publish(10, 0), 0);
    expect_holds(1, 1);
}

Test(history, of_a_hundred_thousand_messages_costs_at_most_what_was_promised)
{
    /* issue 6: 1.6 times their bytes and 64 octets each, the ring's places included. The heap puts
     * 8 octets before a block and rounds to 16. */
    size_t block = sizeof(struct fw_msg) + FW_MSG_HEADROOM + 100 + 8;
    size_t each = (block + 15) / 16 * 16 + 2 * sizeof(struct fw_msg *);
    cr_assert_leq(each, 160u + 64u, "%zu", each);
}

Test(history, has_the_rules_of_the_longest_prefix)
{
    static const struct fw_topic_rules table[] = {
        {.prefix = "", .history_count = 1},
        {.prefix = "prices.", .history_count = 2},
        {.prefix = "prices.EU.", .history_count = 3},
    };
    static const struct {
        const char *name;
        uint32_t wanted;
    } rows[] = {{"x", 1},         {"prices", 1},        {"prices.", 2}, {"prices.A", 2},
                {"prices.EU", 2}, {"prices.EU.VOW", 3}, {"p", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct fw_topic_rules *found =
            fw_topic_rules_find(table, 3, fw_bytes_of(rows[i].name));
        cr_assert_eq(found->history_count, rows[i].wanted, "%s", rows[i].name);
    }
    cr_assert_eq(fw_topic_rules_find(NULL, 0, fw_bytes_of("x")), &fw_topic_rules_none);
}

/* ---- where a subscriber begins --------------------------------------------------------------- */

/* Held are 13 to 20 of epoch 7. */
Test(history, begins_where_a_subscriber_asks_or_says_that_it_cannot)
{
    static const struct {
        struct fw_since since;
        uint64_t wanted;
        bool recovered;
    } rows[] = {
        {{.kind = FW_SINCE_NOW}, 20, true},
        {{.kind = FW_SINCE_FIRST}, 12, true},
        {{.kind = FW_SINCE_LAST, .offset = 0}, 20, true},
        {{.kind = FW_SINCE_LAST, .offset = 3}, 17, true},
        {{.kind = FW_SINCE_LAST, .offset = 8}, 12, true},
        {{.kind = FW_SINCE_LAST, .offset = 9}, 12, true},
        {{.kind = FW_SINCE_LAST, .offset = UINT64_MAX}, 12, true},
        {{.kind = FW_SINCE_AT, .epoch = 7, .offset = 20}, 20, true},
        {{.kind = FW_SINCE_AT, .epoch = 7, .offset = 15}, 15, true},
        {{.kind = FW_SINCE_AT, .epoch = 7, .offset = 12}, 12, true},
        {{.kind = FW_SINCE_AT, .epoch = 7, .offset = 11}, 12, false},
        {{.kind = FW_SINCE_AT, .epoch = 7, .offset = 0}, 12, false},
        {{.kind = FW_SINCE_AT, .epoch = 7, .offset = 21}, 12, false},
        {{.kind = FW_SINCE_AT, .epoch = 7, .offset = UINT64_MAX}, 12, false},
        {{.kind = FW_SINCE_AT, .epoch = 8, .offset = 15}, 12, false},
    };
    for (unsigned i = 0; i < 20; i++)
        cr_assert_eq(publish(10, 0), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fw_joined joined = fw_topic_join(topic, &rows[i].since);
        cr_expect_eq(joined.offset, rows[i].wanted, "row %zu", i);
        cr_expect_eq(joined.recovered, rows[i].recovered, "row %zu", i);
        cr_expect_eq(joined.epoch, 7u);
    }
}

Test(history, recovers_who_missed_nothing_where_nothing_is_held)
{
    const struct fw_since at_0 = {.kind = FW_SINCE_AT, .epoch = 7};
    cr_assert(fw_topic_join(topic, &at_0).recovered);
    topic->offset = 5;
    const struct fw_since at_5 = {.kind = FW_SINCE_AT, .epoch = 7, .offset = 5};
    cr_assert(fw_topic_join(topic, &at_5).recovered);
    cr_assert_not(fw_topic_join(topic, &at_0).recovered);
}
