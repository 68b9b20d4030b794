/* test_memory.c: the marks of a ceiling of memory, and who goes first (net/server/memory.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/memory.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define MIB ((uint64_t)1 << 20)

Test(memory, each_mark_is_reached_at_its_percentage_and_left_two_below)
{
    static const struct {
        unsigned percent;
        enum fw_pressure last;
        enum fw_pressure level;
    } rows[] = {
        {0, FW_PRESSURE_NONE, FW_PRESSURE_NONE},      {79, FW_PRESSURE_NONE, FW_PRESSURE_NONE},
        {80, FW_PRESSURE_NONE, FW_PRESSURE_SHRINK},   {84, FW_PRESSURE_NONE, FW_PRESSURE_SHRINK},
        {85, FW_PRESSURE_NONE, FW_PRESSURE_HOLD},     {90, FW_PRESSURE_SHRINK, FW_PRESSURE_REFUSE},
        {95, FW_PRESSURE_NONE, FW_PRESSURE_CUT},      {150, FW_PRESSURE_NONE, FW_PRESSURE_CUT},
        {94, FW_PRESSURE_CUT, FW_PRESSURE_CUT},       {93, FW_PRESSURE_CUT, FW_PRESSURE_CUT},
        {92, FW_PRESSURE_CUT, FW_PRESSURE_REFUSE},    {87, FW_PRESSURE_CUT, FW_PRESSURE_HOLD},
        {79, FW_PRESSURE_SHRINK, FW_PRESSURE_SHRINK}, {77, FW_PRESSURE_SHRINK, FW_PRESSURE_NONE},
        {84, FW_PRESSURE_HOLD, FW_PRESSURE_HOLD},     {50, FW_PRESSURE_CUT, FW_PRESSURE_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(fw_memory_judge(rows[i].percent * MIB, 100 * MIB, rows[i].last), rows[i].level,
                     "%u %% after %u", rows[i].percent, (unsigned)rows[i].last);
}

Test(memory, the_largest_go_first_and_no_more_of_them_than_needed)
{
    uint64_t owed[FW_OWED_CLASSES] = {[10] = 5000, [16] = 300000, [19] = 2000000};
    cr_expect_eq(fw_memory_cut(owed, 0), UINT64_MAX);
    cr_expect_eq(fw_memory_cut(owed, 1), (uint64_t)1 << 19);
    cr_expect_eq(fw_memory_cut(owed, 2000000), (uint64_t)1 << 19);
    cr_expect_eq(fw_memory_cut(owed, 2000001), (uint64_t)1 << 16);
    cr_expect_eq(fw_memory_cut(owed, 2300001), (uint64_t)1 << 10);
    cr_expect_eq(fw_memory_cut(owed, UINT64_MAX), 1u, "all that owe anything");
}

static struct fw_mailbox *no_boxes[1];

Test(memory, a_look_gives_an_order_while_there_is_pressure_and_once_when_it_ends)
{
    static struct fw_directory directory;
    static struct fw_memory_sweep sweep;
    struct fw_memory_sweep *sweeps[] = {&sweep};
    const uint64_t random_of[3] = {1, 2, 3};
    struct fw_memory memory;
    struct fw_log log;
    fw_log_init(&log, NULL, NULL);
    fw_directory_init(&directory, random_of, 10, 1, no_boxes);
    cr_assert_eq(fw_memory_init(&memory, 0, 1000), 0);
    cr_expect_eq(fw_memory_wait_ms(&memory, 5), -1, "no ceiling, no look");
    cr_expect(!fw_memory_look(&memory, &directory, sweeps, 1, &log, 5));
    cr_expect(!fw_memory_full(&memory));
    uint64_t used = fw_memory_resident(&memory);
    cr_assert_gt(used, 100000u);
    fw_memory_clear(&memory);

    cr_assert_eq(fw_memory_init(&memory, used * 10, used * 9), 0);
    cr_expect_eq(memory.history_bytes_max, used * 10 / 100 * 50, "histories have half of it");
    cr_expect(!fw_memory_look(&memory, &directory, sweeps, 1, &log, 1000));
    cr_expect_eq(fw_memory_wait_ms(&memory, 1000), (int)FW_MEMORY_LOOK_MS);
    memory.bytes_max = used / 2; /* as if the use had grown */
    cr_expect(!fw_memory_look(&memory, &directory, sweeps, 1, &log, 1249), "not yet");
    cr_expect(fw_memory_look(&memory, &directory, sweeps, 1, &log, 1250));
    cr_expect_eq(atomic_load(&memory.pressure), FW_PRESSURE_CUT);
    cr_expect_eq(atomic_load(&memory.cut_bytes), UINT64_MAX, "nobody has told what is owed");
    cr_expect_eq(fw_memory_wait_ms(&memory, 1250), (int)FW_MEMORY_LOOK_FAST_MS);
    cr_expect(fw_memory_full(&memory));
    atomic_store(&sweep.owed_bytes[20], UINT64_MAX / 4);
    cr_expect(fw_memory_look(&memory, &directory, sweeps, 1, &log, 1300));
    cr_expect_eq(atomic_load(&memory.cut_bytes), (uint64_t)1 << 20);
    cr_expect_gt(atomic_load(&sweep.quota_bytes), 0u);
    memory.bytes_max = used * 10;
    cr_expect(fw_memory_look(&memory, &directory, sweeps, 1, &log, 2000), "the end is told");
    cr_expect_eq(atomic_load(&memory.pressure), FW_PRESSURE_NONE);
    cr_expect(!fw_memory_look(&memory, &directory, sweeps, 1, &log, 3000));
    cr_expect(!fw_memory_full(&memory));
    fw_memory_clear(&memory);
    fw_directory_clear(&directory);
}

Test(memory, a_group_s_limit_is_none_or_some_memory)
{
    uint64_t limit = fw_memory_cgroup_max();
    cr_expect(limit == 0 || limit >= MIB, "%llu", (unsigned long long)limit);
}
