/* test_ws_session_deflate_out.c: which messages a session compresses, those of its own and
 * published ones, and what they refer to (core/session/compress.c; RFC 7692).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/core/session/deflate_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(ws_session_packs, .init = rig_make_without, .fini = rig_clear, .timeout = 60);
TestSuite(ws_session_refers, .init = rig_make_with_contexts, .fini = rig_clear, .timeout = 60);

/* ---- out ------------------------------------------------------------------------------------- */

Test(ws_session_packs, compresses_what_it_sends_when_that_helps)
{
    /* RFC 7692, section 6.1: message by message */
    static uint8_t noise[5000];
    rig_agree_on(PMD);
    rig_fill_random(noise, sizeof noise);
    rig_send_text("short");
    rig_send_text(tick);
    cr_assert_eq(
        fw_ws_session_send(&rig.fake.session, FW_WS_BINARY, (struct fw_bytes){noise, sizeof noise}),
        0);
    rig_send_text("");
    rig_send_text(tick);
    cr_expect_str_eq(rig_got(), "plain(short) packed(tick) plain(#5000 0000) plain() "
                                "packed(tick)");
}

Test(ws_session_packs, writes_each_length_of_header_right)
{
    /* The header is shorter than that of the message itself: 126 becomes 125, 65536 becomes less.
     */
    static char text[300000];
    rig_agree_on(PMD);
    rig.fake.rules.output_bytes_max = 1 << 20;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "abcdefghij klmnop"[i * i / 5 % 17];
    static const size_t sizes[] = {96, 125, 126, 127, 200, 300, 65535, 65536, 70000, 300000};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char wanted[64];
        cr_assert_eq(fw_ws_session_send(&rig.fake.session, FW_WS_TEXT,
                                        (struct fw_bytes){(uint8_t *)text, sizes[i]}),
                     0);
        snprintf(wanted, sizeof wanted, "packed(#%zu %02x%02x)", sizes[i], text[0],
                 text[sizes[i] - 1]);
        cr_expect_str_eq(rig_got(), wanted);
    }
}

Test(ws_session_packs, echoes_what_came_compressed_or_not)
{
    static char text[9000];
    static uint8_t noise[9000];
    rig_agree_on(PMD);
    rig.fake.on_message = rig_echo;
    memset(text, 'e', sizeof text);
    rig_fill_random(noise, sizeof noise);
    rig_say(TEXT, text, sizeof text);
    fake_host_frame_bytes(&rig.fake, TEXT, text, sizeof text);
    rig_say(BINARY, noise, sizeof noise);
    fake_host_frame_bytes(&rig.fake, BINARY, noise, sizeof noise);
    rig_say_text("hi");
    cr_expect_str_eq(rig_got(),
                     "packed(#9000 6565) packed(#9000 6565) plain(#9000 0000) plain(#9000 0000) "
                     "plain(hi)");
    /* Nine octets of a message that was put together from two frames. */
    fake_host_frame_bytes(&rig.fake, FW_WS_TEXT, text, 4500);
    fake_host_frame_bytes(&rig.fake, WS_FIN | FW_WS_CONTINUATION, text, 4500);
    cr_expect_str_eq(rig_got(), "packed(#9000 6565)");
}

Test(ws_session_refers, refers_to_what_it_sent_before)
{
    rig_agree_on(PMD);
    rig_send_text(tick);
    cr_expect_str_eq(rig_got(), "packed(tick)");
    size_t first = rig.fake.sent_count;
    rig_send_text(tick);
    cr_expect_str_eq(rig_got(), "packed(tick)");
    cr_expect_lt(rig.fake.sent_count - first, 12, "%zu octets", rig.fake.sent_count - first);
    rig_send_text("{\"symbol\":\"ALDR\"}");
    cr_expect_str_eq(rig_got(), "packed({\"symbol\":\"ALDR\"})", "short ones too");
}

Test(ws_session_refers, keeps_to_no_takeover_in_the_direction_that_asked_for_it)
{
    /* RFC 7692, section 7.1.1.1 */
    rig_agree_on(PMD "; server_no_context_takeover");
    cr_expect(!rig.peer.agreed.peer_takeover && rig.peer.agreed.own_takeover);
    rig_say_text("Hello");
    rig_say_text("Hello");
    cr_expect_str_eq(rig.fake.told, "text(Hello) text(Hello)");
    for (int i = 0; i < 3; i++) {
        rig_send_text(tick); /* the peer forgets everything between two messages */
        cr_expect_str_eq(rig_got(), "packed(tick)");
    }
}

Test(ws_session_refers, does_not_refer_behind_a_message_that_everybody_got)
{
    /* The shared encoding stands in the peer's window, and not in ours. */
    rig_agree_on(PMD);
    cr_assert_eq(fw_session_subscribe(&rig.fake.session, fw_bytes_of("ticks")), 0);
    for (int round = 0; round < 3; round++) {
        rig_send_text(tick);
        rig_send_text(tick);
        rig_publish("ticks", tick_2, false);
        rig_send_text(tick);
        rig_send_text(tick_2);
        rig_publish("ticks", tick, false);
        rig_publish("ticks", "short", false);
        cr_expect_str_eq(rig_got(), "packed(tick) packed(tick) packed(tick 2) "
                                    "packed(tick) packed(tick 2) packed(tick) "
                                    "plain(short)");
    }
}

Test(ws_session_refers, does_not_refer_behind_a_long_message_that_was_compressed_fast)
{
    static char text[50000];
    rig_agree_on(PMD);
    memset(text, 't', sizeof text);
    for (int round = 0; round < 3; round++) {
        rig_send_text(tick);
        cr_assert_eq(fw_ws_session_send(&rig.fake.session, FW_WS_TEXT,
                                        (struct fw_bytes){(uint8_t *)text, sizeof text}),
                     0);
        rig_send_text(tick);
        rig_send_text(tick);
        cr_expect_str_eq(rig_got(), "packed(tick) packed(#50000 7474) packed(tick) "
                                    "packed(tick)");
    }
}

Test(ws_session_refers, does_not_refer_to_what_it_sent_uncompressed_after_all)
{
    static uint8_t noise[3000];
    rig_agree_on(PMD);
    rig_fill_random(noise, sizeof noise);
    for (int round = 0; round < 3; round++) {
        rig_send_text(tick);
        cr_assert_eq(fw_ws_session_send(&rig.fake.session, FW_WS_BINARY,
                                        (struct fw_bytes){noise, sizeof noise}),
                     0);
        rig_send_text(tick);
        cr_expect_str_eq(rig_got(), "packed(tick) plain(#3000 0000) packed(tick)");
    }
}

/* ---- topics ---------------------------------------------------------------------------------- */

Test(ws_session_packs, gets_published_messages_in_its_encoding)
{
    fake_host_handshake(&rig.fake, "/topics/ticks",
                        EXTENSIONS PMD "; server_max_window_bits=9\r\n");
    cr_assert(strncmp(fake_host_sent(&rig.fake), "HTTP/1.1 101 ", 13) == 0);
    fake_host_forget(&rig.fake);
    rig.peer.read = 0;
    cr_expect_eq(rig.fake.session.subscriptions[0].encoding, 3);
    rig_publish("ticks", tick, false);
    rig_publish("ticks", "short", false);
    rig_publish("ticks", tick, false);
    cr_expect_str_eq(rig_got(), "packed(tick) plain(short) packed(tick)");
}

Test(ws_session_packs, gets_published_noise_as_it_is)
{
    static uint8_t noise[200];
    rig_agree_on(PMD);
    cr_assert_eq(fw_session_subscribe(&rig.fake.session, fw_bytes_of("ticks")), 0);
    rig_fill_random(noise, sizeof noise);
    rig_publish_bytes("ticks", FW_WS_BINARY, (struct fw_bytes){noise, sizeof noise}, false);
    rig_publish("ticks", tick, false);
    cr_expect_str_eq(rig_got(), "plain(#200 0000) packed(tick)");
}

Test(ws_session_packs, gets_secret_messages_uncompressed)
{
    /* security: CRIME, BREACH: a length must not tell of a secret */
    rig_agree_on(PMD);
    cr_assert_eq(fw_session_subscribe(&rig.fake.session, fw_bytes_of("ticks")), 0);
    rig_publish("ticks", tick, true);
    cr_expect_str_eq(rig_got(), "plain(tick)");
}
