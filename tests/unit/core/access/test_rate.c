/* test_rate.c: how fast a connection may say things (core/access/rate.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/rate.h"

#include <criterion/criterion.h>

/* Messages that pass when one is tried every millisecond. */
static unsigned passed(const struct fw_rate_rules *rules, uint64_t from_ms, unsigned ms,
                       size_t bytes)
{
    struct fw_rate rate = {(uint32_t)from_ms, (uint32_t)from_ms};
    unsigned count = 0;
    for (unsigned i = 0; i < ms; i++)
        count += fw_rate_take(&rate, rules, from_ms + i, bytes);
    return count;
}

Test(rate, lets_a_burst_through_and_then_the_rate)
{
    const struct fw_rate_rules rules = {.messages = 50, .messages_burst = 100};
    struct fw_rate rate = {0};
    for (unsigned i = 0; i < 100; i++)
        cr_assert(fw_rate_take(&rate, &rules, 5000, 1), "%u", i);
    cr_assert_not(fw_rate_take(&rate, &rules, 5000, 1));
    cr_assert_not(fw_rate_take(&rate, &rules, 5019, 1));
    cr_assert(fw_rate_take(&rate, &rules, 5020, 1));
    cr_assert_not(fw_rate_take(&rate, &rules, 5020, 1));
    unsigned count = passed(&rules, 1, 10000, 1);
    cr_assert_geq(count, 598u);
    cr_assert_leq(count, 601u);
}

Test(rate, counts_octets)
{
    const struct fw_rate_rules rules = {.bytes = 1000};
    unsigned count = passed(&rules, 1, 10000, 100); /* 10 a second, and a second's worth at once */
    cr_assert_geq(count, 110u);
    cr_assert_leq(count, 112u);
    struct fw_rate rate = {0};
    cr_assert(fw_rate_take(&rate, &rules, 1, 1u << 30), "one of any size may begin");
    cr_assert_not(fw_rate_take(&rate, &rules, 1790000, 1), "and is paid for, for half an hour");
    cr_assert(fw_rate_take(&rate, &rules, 1810000, 1));
}

Test(rate, without_limits_lets_all_through)
{
    const struct fw_rate_rules rules = {0};
    cr_assert_eq(passed(&rules, 0, 1000, 1u << 30), 1000u);
}

/* The low half of the clock comes round every 49 days. */
Test(rate, lives_through_the_wrap_of_its_clock)
{
    const struct fw_rate_rules rules = {.messages = 10, .messages_burst = 5, .bytes = 1000};
    unsigned count = passed(&rules, 0xffffffffu - 5000u, 10000, 10);
    cr_assert_geq(count, 103u);
    cr_assert_leq(count, 106u);
    struct fw_rate rate = {.messages_ms = 1, .bytes_ms = 1};
    cr_assert(fw_rate_take(&rate, &rules, 0x80000010u, 1), "a debt of long ago is none");
}
