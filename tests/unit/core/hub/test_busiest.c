/* test_busiest.c: the topics with the most messages (core/hub/busiest.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hub/busiest.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct fw_busiest busiest;

static void add(const char *name, uint64_t offset)
{
    struct fw_topic *topic = fw_topic_create(fw_bytes_of(name), 0xabc, 1);
    topic->offset = offset;
    fw_busiest_add(&busiest, topic);
    fw_topic_destroy(topic);
}

static const struct fw_busy_topic *at(uint32_t rank)
{
    cr_assert_lt(rank, busiest.count);
    return &busiest.topics[busiest.order[rank]];
}

Test(busiest, is_empty_at_first_and_again_after_init)
{
    fw_busiest_init(&busiest);
    add("a", 3);
    fw_busiest_init(&busiest);
    cr_assert_eq(busiest.count, 0u);
    cr_assert_eq(busiest.all, 0u);
    cr_assert_eq(busiest.messages, 0u);
}

Test(busiest, has_the_most_messages_first_and_of_equals_who_came_first)
{
    fw_busiest_init(&busiest);
    add("two", 2);
    add("none", 0);
    add("nine", 9);
    add("too", 2);
    add("most", UINT64_MAX);
    static const char *const wanted[] = {"most", "nine", "two", "too", "none"};
    cr_assert_eq(busiest.count, 5u);
    for (uint32_t i = 0; i < 5; i++)
        cr_expect_str_eq(at(i)->name, wanted[i], "rank %u", i);
}

/* In every order that they may come in, by steps that visit each number once. */
Test(busiest, keeps_the_100_with_the_most_and_counts_all)
{
    static const unsigned steps[] = {1, 2, 7, 89, 498, 502, 1001};
    enum { TOPICS = 1003 }; /* a prime */
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        uint64_t sum = 0;
        fw_busiest_init(&busiest);
        for (unsigned i = 0; i < TOPICS; i++) {
            unsigned number = i * steps[s] % TOPICS;
            char name[16];
            sprintf(name, "t%u", number);
            add(name, number);
            sum += number;
        }
        cr_assert_eq(busiest.count, FW_BUSIEST_MAX);
        cr_assert_eq(busiest.all, (uint32_t)TOPICS);
        cr_assert_eq(busiest.messages, sum);
        for (uint32_t i = 0; i < FW_BUSIEST_MAX; i++) {
            char name[16];
            sprintf(name, "t%u", TOPICS - 1 - i);
            cr_assert_eq(at(i)->offset, (uint64_t)(TOPICS - 1 - i), "step %u, rank %u", steps[s],
                         i);
            cr_assert_str_eq(at(i)->name, name);
        }
    }
}

Test(busiest, tells_a_topic_as_it_is_and_sums_subscribers_by_transport)
{
    char name[FW_TOPIC_NAME_BYTES_MAX + 1];
    memset(name, 'n', FW_TOPIC_NAME_BYTES_MAX);
    name[FW_TOPIC_NAME_BYTES_MAX] = '\0';
    struct fw_topic *topic = fw_topic_create(fw_bytes_of(name), 0x1234, 1);
    topic->offset = 7;
    topic->owed = 21;
    topic->subscribers_by[FW_TRANSPORT_WS] = 1;
    topic->subscribers_by[FW_TRANSPORT_SSE] = 2;
    topic->subscribers_by[FW_TRANSPORT_LONGPOLL] = 3;
    fw_busiest_init(&busiest);
    fw_busiest_add(&busiest, topic);
    fw_busiest_add(&busiest, topic);
    fw_topic_destroy(topic);
    cr_assert_str_eq(at(0)->name, name);
    cr_assert_eq(at(0)->epoch, 0x1234u);
    cr_assert_eq(at(0)->subscribers_by[FW_TRANSPORT_SSE], 2u);
    cr_assert_eq(busiest.owed, 42u);
    cr_assert_eq(busiest.subscribers_by[FW_TRANSPORT_WS], 2u);
    cr_assert_eq(busiest.subscribers_by[FW_TRANSPORT_LONGPOLL], 6u);
}
