/* test_ws_session_control.c: the rate of a peer's pings and pongs (core/session/ws_session.c;
 * SECURITY.md).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "support/fake_host.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <string.h>

#define TEXT (WS_FIN | FW_WS_TEXT)
#define PING (WS_FIN | FW_WS_PING)
#define PONG (WS_FIN | FW_WS_PONG)

#define BURST 20

static struct fake_host fake;

static void open_session(void)
{
    fake_host_init(&fake);
    fake.rules.control_interval_ms = 1000 / FW_CONTROL_RATE_DEFAULT;
    fake_host_open(&fake, "/chat");
}

static void clear_session(void)
{
    fake_host_clear(&fake);
}

TestSuite(ws_session_control, .init = open_session, .fini = clear_session, .timeout = 60);

static void send_many(unsigned bits, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        fake_host_frame(&fake, bits, "");
}

static bool is_open(void)
{
    return fake.session.phase == FW_PHASE_OPEN;
}

Test(ws_session_control, a_burst_of_two_seconds_worth_is_answered)
{
    send_many(PING, BURST);
    cr_assert(is_open());
    cr_assert_eq(strlen(fake_host_frames(&fake)), strlen("pong() ") * BURST - 1, "%s",
                 fake_host_frames(&fake));
}

Test(ws_session_control, one_more_ends_the_connection_with_1008)
{
    send_many(PING, BURST);
    fake_host_forget(&fake);
    send_many(PING, 1);
    cr_assert_not(is_open());
    cr_assert_eq(fake.session.close_code, 1008);
    cr_assert_not_null(strstr(fake.logged, fw_status_text(FW_ERR_WS_CONTROL_FLOOD)));
}

Test(ws_session_control, pongs_count_as_pings_do)
{
    send_many(PONG, BURST / 2);
    send_many(PING, BURST / 2);
    cr_assert(is_open());
    send_many(PONG, 1);
    cr_assert_not(is_open());
}

Test(ws_session_control, messages_do_not_count)
{
    for (unsigned i = 0; i < 50; i++) {
        send_many(TEXT, BURST);
        fake_host_forget(&fake);
    }
    send_many(PING, BURST);
    cr_assert(is_open());
}

Test(ws_session_control, ten_a_second_go_on_for_ever_and_eleven_do_not)
{
    for (unsigned i = 0; i < 600; i++) {
        send_many(PING, 1);
        cr_assert(is_open(), "ping %u", i);
        fake_host_advance(&fake, 100);
    }
    unsigned taken = 0;
    for (; is_open() && taken < 1000; taken++) {
        send_many(PING, 1);
        fake_host_advance(&fake, 90);
    }
    cr_assert(taken > 150 && taken < 250, "the burst of 20 is used up by 1 in 10: %u", taken);
}

Test(ws_session_control, what_was_not_used_does_not_add_up)
{
    fake_host_advance(&fake, 20000);
    send_many(PING, BURST);
    cr_assert(is_open());
    send_many(PING, 1);
    cr_assert_not(is_open());
}

/* The time is kept in 32 bits, which go round in 49 days. */
Test(ws_session_control, a_connection_that_was_quiet_for_weeks_is_not_ended)
{
    static const uint64_t weeks[] = {2, 3, 4, 5, 7, 8};
    for (size_t i = 0; i < sizeof weeks / sizeof *weeks; i++) {
        send_many(PING, BURST);
        cr_assert(is_open(), "before the pause of %u weeks", (unsigned)weeks[i]);
        fake.host.now_ms += weeks[i] * 7 * 86400 * 1000;
    }
    send_many(PING, BURST);
    cr_assert(is_open());
}

Test(ws_session_control, any_number_is_taken_where_the_rule_is_off)
{
    fake.rules.control_interval_ms = 0;
    send_many(PING, 1000);
    cr_assert(is_open());
}
