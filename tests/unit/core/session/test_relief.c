/* test_relief.c: what a session does for a server that runs short of memory
 * (core/session/relief.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "support/fake_host.h"

#include <criterion/criterion.h>
#include <string.h>

static struct fake_host fake;
static struct fw_relief relief;

static void begin(void)
{
    fake_host_init(&fake);
    relief = (struct fw_relief){.cut_bytes = UINT64_MAX};
}

static void end(void)
{
    fake_host_clear(&fake);
}

TestSuite(relief, .init = begin, .fini = end);

static void relieve(enum fw_pressure pressure)
{
    fake.host.pressure = (uint8_t)pressure;
    fw_session_relieve(&fake.session, &relief);
    fake_host_flush(&fake);
}

/* A subscriber that takes nothing of so many octets. */
static void open_blocked(size_t bytes)
{
    static char payload[65536];
    memset(payload, 'x', sizeof payload);
    fake_host_open(&fake, "/topics/a");
    fake.window = 0;
    fake_host_publish(&fake, "a", payload, bytes);
    fake_host_flush(&fake);
    cr_assert(fake.session.blocked);
}

static uint64_t owed_of_all_classes(void)
{
    uint64_t sum = 0;
    for (unsigned class = 0; class < FW_OWED_CLASSES; class ++)
        sum += relief.owed_bytes[class];
    return sum;
}

Test(relief, counts_what_is_owed_by_powers_of_two)
{
    open_blocked(40000);
    relieve(FW_PRESSURE_NONE);
    cr_assert_gt(relief.owed_bytes[15], 40000u, "32 KiB to 64 KiB, with its place");
    cr_assert_eq(owed_of_all_classes(), relief.owed_bytes[15]);
    cr_assert_eq(relief.ended, 0u);
}

Test(relief, counts_what_came_of_a_message_that_is_not_whole)
{
    static char part[20000];
    fake_host_open(&fake, "/chat");
    relieve(FW_PRESSURE_NONE);
    cr_assert_eq(relief.input_bytes, 0u);
    cr_assert_eq(owed_of_all_classes(), 0u);
    fake_host_frame_bytes(&fake, FW_WS_BINARY, part, sizeof part); /* without FIN */
    relieve(FW_PRESSURE_NONE);
    cr_assert_geq(relief.input_bytes, sizeof part);
    cr_assert_eq(owed_of_all_classes(), relief.input_bytes, "it goes with the session");
}

/* 80 %: who stands still goes, after two seconds. */
Test(relief, ends_who_takes_nothing_once_memory_is_short)
{
    open_blocked(1000);
    fake.host.now_ms += FW_RELIEF_STALL_MS;
    relieve(FW_PRESSURE_NONE);
    cr_assert_eq(relief.ended, 0u, "there is no pressure");
    fake.session.active_ms = (uint32_t)fake.host.now_ms - FW_RELIEF_STALL_MS + 1;
    relieve(FW_PRESSURE_SHRINK);
    cr_assert_eq(relief.ended, 0u, "it may still be about to");
    fake.host.now_ms++;
    relieve(FW_PRESSURE_SHRINK);
    cr_assert_eq(relief.ended, 1u);
    cr_assert_eq(fake.session.phase, FW_PHASE_DONE);
    cr_assert_not_null(strstr(fake.logged, "the server is short of memory"));
    relieve(FW_PRESSURE_CUT);
    cr_assert_eq(relief.ended, 1u, "once");
}

Test(relief, leaves_who_owes_us_nothing_alone)
{
    fake_host_open(&fake, "/topics/a");
    fake.host.now_ms += 10 * FW_RELIEF_STALL_MS;
    relief.cut_bytes = 4096;
    relief.quota_bytes = UINT64_MAX;
    relieve(FW_PRESSURE_CUT);
    cr_assert_eq(relief.ended, 0u);
    cr_assert_eq(fake.session.phase, FW_PHASE_OPEN);
}

Test(relief, ends_idle_http_once_memory_is_short)
{
    fake.host.now_ms += FW_RELIEF_STALL_MS - 1;
    relieve(FW_PRESSURE_SHRINK);
    cr_assert_eq(relief.ended, 0u);
    fake.host.now_ms++;
    relieve(FW_PRESSURE_NONE);
    cr_assert_eq(relief.ended, 0u);
    relieve(FW_PRESSURE_SHRINK);
    cr_assert_eq(relief.ended, 1u);
    cr_assert(fake.gone);
}

Test(relief, leaves_http_with_a_request_under_way_alone)
{
    fake_host_say(&fake, "GET / HTTP/1.1\r\nHo");
    fake.host.now_ms += FW_RELIEF_STALL_MS;
    relieve(FW_PRESSURE_SHRINK);
    cr_assert_eq(relief.ended, 0u, "its own deadline ends it");
}

/* 95 %: the largest, until the quota is used up; also when they take a little now and then. */
Test(relief, ends_the_largest_within_the_quota)
{
    static const struct {
        uint64_t cut_bytes;
        uint64_t quota_bytes;
        unsigned ended;
    } rows[] = {
        {65536, 1 << 20, 0}, /* it is smaller than those that must go */
        {32768, 0, 0},       /* others were enough */
        {32768, 1, 1},
    };
    open_blocked(40000);
    for (unsigned i = 0; i < 3; i++) {
        relief.cut_bytes = rows[i].cut_bytes;
        relief.quota_bytes = rows[i].quota_bytes;
        relieve(FW_PRESSURE_CUT);
        cr_assert_eq(relief.ended, rows[i].ended, "row %u", i);
    }
    cr_assert_eq(relief.quota_bytes, 0u, "never below zero");
}

Test(relief, takes_what_goes_off_the_quota)
{
    open_blocked(40000);
    relief.cut_bytes = 4096;
    relief.quota_bytes = 1 << 20;
    relieve(FW_PRESSURE_CUT);
    cr_assert_eq(relief.ended, 1u);
    cr_assert_eq(relief.quota_bytes, (1u << 20) - owed_of_all_classes());
}
