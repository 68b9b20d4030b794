/* test_topic.c: topics (core/hub/topic.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "hub/topic.h"

#include "support/fail_mem.h"

#include <criterion/criterion.h>

Test(topic, owns_its_name_and_has_a_place_for_every_worker)
{
    char name[] = "prices.AAPL";
    struct fw_topic *topic = fw_topic_create(fw_bytes_of(name), 0x1234, 3);
    memset(name, 'x', sizeof name - 1);
    cr_assert_str_eq(topic->name, "prices.AAPL");
    cr_assert(fw_bytes_equal(topic->node.name, fw_bytes_of("prices.AAPL")));
    cr_assert_eq(topic->epoch, 0x1234u);
    cr_assert_eq(topic->offset, 0u);
    cr_assert_eq(topic->subscribers, 0u);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(topic->interests[i].subscribers, 0u);
        cr_assert_null(topic->interests[i].local);
    }
    fw_topic_destroy(topic);
}

Test(topic, is_NULL_whichever_allocation_fails)
{
    bool failed = true;
    unsigned rounds = 0;
    for (unsigned k = 1; failed; k++, rounds++) {
        fail_mem_at(k, FAIL_ONCE);
        struct fw_topic *topic = fw_topic_create(fw_bytes_of("a"), 1, 2);
        failed = fail_mem_off();
        cr_assert_eq(topic == NULL, failed);
        if (topic != NULL)
            fw_topic_destroy(topic);
    }
    cr_assert_eq(rounds, 3u, "two allocations, and the round without a failure");
}
