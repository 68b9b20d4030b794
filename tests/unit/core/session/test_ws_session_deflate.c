/* test_ws_session_deflate.c: how a session agrees on permessage-deflate, and what it makes of
 * compressed messages (core/session/compress.c; RFC 7692).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/core/session/deflate_rig.h"

#include "base/limits.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(ws_session_deflate, .init = rig_make_without, .fini = rig_clear, .timeout = 60);
TestSuite(ws_session_takeover, .init = rig_make_with_contexts, .fini = rig_clear, .timeout = 60);

/* ---- agreement ------------------------------------------------------------------------------- */

Test(ws_session_deflate, answers_an_offer_that_asks_for_nothing)
{
    /* security: no context takeover by default */
    cr_expect_str_eq(rig_open_with("/chat", EXTENSIONS PMD "\r\n"),
                     PMD "; server_no_context_takeover; client_no_context_takeover");
}

Test(ws_session_deflate, takes_the_first_good_offer_of_all_headers)
{
    /* RFC 6455, section 9.1: several headers are one list */
    cr_expect_str_eq(rig_open_with("/chat", EXTENSIONS "other\r\n" EXTENSIONS PMD
                                                       "; unknown\r\n" EXTENSIONS PMD
                                                       "; server_max_window_bits=10\r\n"),
                     PMD "; server_no_context_takeover; client_no_context_takeover; "
                         "server_max_window_bits=10");
}

Test(ws_session_deflate, answers_nothing_to_what_it_cannot_honour)
{
    /* RFC 7692, section 5.1 */
    cr_expect_str_eq(rig_open_with("/chat", EXTENSIONS PMD "; server_max_window_bits=8\r\n"), "");
    fake_host_frame(&rig.fake, TEXT | FW_WS_RSV1, "x");
    cr_expect_str_eq(rig_got(), "close(1002)", "RSV1 means nothing without an agreement");
}

Test(ws_session_deflate, answers_nothing_when_it_is_off)
{
    rig.fake.host.compressor = NULL;
    cr_expect_str_eq(rig_open_with("/chat", EXTENSIONS PMD "\r\n"), "");
    fake_host_frame(&rig.fake, TEXT, "plain");
    cr_expect_str_eq(rig.fake.told, "text(plain)");
}

Test(ws_session_takeover, keeps_contexts_while_there_is_room)
{
    /* ws_deflate.h: past the cap a connection needs no memory, so it agrees on none */
    cr_expect_str_eq(rig_open_with("/chat", EXTENSIONS PMD "; client_max_window_bits\r\n"),
                     PMD "; client_max_window_bits=12");
    cr_expect_gt(rig.compressor.pool.contexts_bytes, 0);
    size_t promised = rig.compressor.pool.contexts_bytes;
    fw_session_clear(&rig.fake.session);
    cr_expect_eq(rig.compressor.pool.contexts_bytes, 0);
    rig.compressor.pool.contexts_bytes_max = promised; /* less than the largest may need */
    fw_session_init(&rig.fake.session, &rig.fake.host);
    cr_expect_str_eq(rig_open_with("/chat", EXTENSIONS PMD "; client_max_window_bits\r\n"),
                     PMD "; server_no_context_takeover; client_no_context_takeover");
}

Test(ws_session_takeover, gives_the_contexts_back_when_the_program_says_no)
{
    rig.fake.answer = 403;
    fake_host_handshake(&rig.fake, "/chat", EXTENSIONS PMD "\r\n");
    cr_expect(strncmp(fake_host_sent(&rig.fake), "HTTP/1.1 403 ", 13) == 0);
    cr_expect_eq(rig.compressor.pool.contexts_bytes, 0);
}

Test(ws_session_takeover, gives_the_contexts_back_when_a_topic_is_refused)
{
    fake_host_handshake(&rig.fake, "/topics/not~a~name", EXTENSIONS PMD "\r\n");
    cr_expect(strncmp(fake_host_sent(&rig.fake), "HTTP/1.1 400 ", 13) == 0, "%s",
              fake_host_sent(&rig.fake));
    cr_expect_eq(rig.compressor.pool.contexts_bytes, 0);
}

Test(ws_session_takeover, gives_the_contexts_back_at_the_end_of_the_connection)
{
    rig_agree_on(PMD);
    rig_say_text(tick);
    rig_send_text(tick);
    cr_expect_gt(rig.compressor.pool.contexts_bytes, 0);
    fake_host_frame(&rig.fake, WS_FIN | FW_WS_CLOSE, "\x03\xe8");
    cr_expect_eq(rig.compressor.pool.contexts_bytes, 0);
}

/* ---- in -------------------------------------------------------------------------------------- */

Test(ws_session_deflate, tells_what_a_message_was_before_it_was_compressed)
{
    /* RFC 7692, section 7.2.2 */
    rig_agree_on(PMD);
    rig_say_text("Hello");
    rig_say(BINARY, "\x00\x01", 2);
    rig_say_text("");
    fake_host_frame(&rig.fake, TEXT, "plain");
    rig_say_text("Hello");
    cr_expect_str_eq(rig.fake.told,
                     "text(Hello) binary(\\x00\\x01) text() text(plain) text(Hello)");
    cr_expect_eq(rig.fake.host.messages_received, 5);
}

Test(ws_session_takeover, tells_what_refers_to_earlier_messages)
{
    /* RFC 7692, section 7.2.3.2 */
    rig_agree_on(PMD);
    fake_host_frame_bytes(&rig.fake, TEXT | FW_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    fake_host_frame_bytes(&rig.fake, TEXT | FW_WS_RSV1, "\xf2\x00\x11\x00\x00", 5);
    cr_expect_str_eq(rig.fake.told, "text(Hello) text(Hello)");
}

Test(ws_session_deflate, refuses_what_refers_to_earlier_messages_when_none_are_kept)
{
    rig_agree_on(PMD);
    fake_host_frame_bytes(&rig.fake, TEXT | FW_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    fake_host_frame_bytes(&rig.fake, TEXT | FW_WS_RSV1, "\xf2\x00\x11\x00\x00", 5);
    cr_expect_str_eq(rig.fake.told, "text(Hello) closed(1007)");
    cr_expect_str_eq(rig_got(), "close(1007)");
}

Test(ws_session_deflate, puts_fragments_together_before_it_inflates)
{
    /* RFC 7692, section 7.2.3.1: "Hello" cut after three octets, a ping between */
    rig_agree_on(PMD);
    fake_host_frame_bytes(&rig.fake, FW_WS_TEXT | FW_WS_RSV1, "\xf2\x48\xcd", 3);
    fake_host_frame(&rig.fake, WS_FIN | FW_WS_PING, "p");
    fake_host_frame_bytes(&rig.fake, WS_FIN | FW_WS_CONTINUATION, "\xc9\xc9\x07\x00", 4);
    cr_expect_str_eq(rig.fake.told, "text(Hello)");
}

Test(ws_session_deflate, refuses_rsv1_behind_the_first_frame)
{
    /* RFC 7692, section 6.1 */
    rig_agree_on(PMD);
    fake_host_frame_bytes(&rig.fake, FW_WS_TEXT | FW_WS_RSV1, "\xf2\x48\xcd", 3);
    fake_host_frame_bytes(&rig.fake, WS_FIN | FW_WS_CONTINUATION | FW_WS_RSV1, "\xc9\xc9\x07\x00",
                          4);
    cr_expect_str_eq(rig_got(), "close(1002)");
}

Test(ws_session_deflate, closes_over_what_is_malformed)
{
    /* RFC 7692, section 7.2.2; RFC 6455, section 7.4.1: 1007 */
    static const struct {
        const char *payload;
        size_t bytes;
    } cases[] = {{"", 0}, {"\x07", 1}, {"\xf2\x48\xcd", 3}, {"Hello", 5}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        rig_agree_on(PMD);
        fake_host_frame_bytes(&rig.fake, BINARY | FW_WS_RSV1, cases[i].payload, cases[i].bytes);
        cr_expect_str_eq(rig_got(), "close(1007)", "case %zu", i);
        rig_clear();
        rig_make_without();
    }
}

Test(ws_session_deflate, judges_text_after_inflating)
{
    /* RFC 6455, section 8.1: wrong in the middle, cut short at the end, both allowed in binary */
    static const char *const wrong[] = {"ab\xff", "\xc3", "\xe2\x82", "\xed\xa0\x80 surrogate"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        rig_agree_on(PMD);
        rig_say(BINARY, wrong[i], strlen(wrong[i]));
        cr_expect_str_eq(rig_got(), "");
        rig_say(TEXT, wrong[i], strlen(wrong[i]));
        cr_expect_str_eq(rig_got(), "close(1007)", "case %zu", i);
        rig_clear();
        rig_make_without();
    }
    rig_agree_on(PMD);
    rig_say_text("\xe2\x82\xac");
    cr_expect_str_eq(rig.fake.told, "text(\\xe2\\x82\\xac)");
}

Test(ws_session_deflate, judges_text_that_is_cut_by_its_own_steps)
{
    /* A code point of three octets across every edge of the 16 KiB that are inflated at once. */
    static char text[3 * 16384 + 1];
    rig_agree_on(PMD);
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', shift);
        size_t count = (sizeof text - 1 - shift) / 3 * 3;
        for (size_t i = 0; i < count; i += 3)
            memcpy(text + shift + i, "\xe2\x82\xac", 3);
        rig_say(TEXT, text, shift + count);
        cr_expect_neq(rig.fake.told[0], '\0');
        cr_expect_str_eq(rig_got(), "");
        fake_host_forget(&rig.fake);
        rig.peer.read = 0;
    }
}

Test(ws_session_deflate, counts_the_limit_in_inflated_octets)
{
    /* security: the limit and the close code, one octet to either side */
    static char text[FW_MESSAGE_BYTES_DEFAULT + 2];
    rig_agree_on(PMD);
    memset(text, 'a', sizeof text);
    rig_say(TEXT, text, FW_MESSAGE_BYTES_DEFAULT);
    cr_expect_str_eq(rig.fake.told, "text(#65536)");
    cr_expect_str_eq(rig_got(), "");
    rig_say(TEXT, text, FW_MESSAGE_BYTES_DEFAULT + 1);
    cr_expect_str_eq(rig_got(), "close(1009)");
}

Test(ws_session_deflate, takes_a_message_of_the_limit_that_compression_made_longer)
{
    /* Noise becomes longer on the wire; the limit is on the message. */
    static uint8_t noise[FW_MESSAGE_BYTES_DEFAULT];
    rig_agree_on(PMD);
    rig_fill_random(noise, sizeof noise);
    rig_say(BINARY, noise, sizeof noise);
    cr_expect_str_eq(rig.fake.told, "binary(#65536)");
    fake_host_frame_bytes(&rig.fake, BINARY, noise, sizeof noise);
    cr_expect_str_eq(rig.fake.told, "binary(#65536) binary(#65536)");
}

Test(ws_session_deflate, refuses_longer_messages_on_their_announced_length)
{
    /* Whatever it becomes, nothing of the limit can be so long on the wire. */
    static uint8_t header[] = {0xc2, 0xff, 0, 0, 0, 0, 0, 1, 0x40, 0, 1, 2, 3, 4};
    rig_agree_on(PMD);
    fake_host_receive(&rig.fake, header, sizeof header);
    cr_expect_str_eq(rig_got(), "close(1009)");
}

Test(ws_session_deflate, refuses_plain_messages_over_the_limit_as_ever)
{
    static char text[FW_MESSAGE_BYTES_DEFAULT + 1];
    rig_agree_on(PMD);
    fake_host_frame_bytes(&rig.fake, BINARY, text, sizeof text);
    cr_expect_str_eq(rig_got(), "close(1009)");
}

Test(ws_session_deflate, gives_large_memory_back_when_the_message_is_told)
{
    static char text[1 << 20];
    rig_clear();
    rig_make_without();
    rig.compressor.message_bytes_max = 1 << 20;
    rig_agree_on(PMD);
    rig_say(BINARY, text, sizeof text);
    cr_expect_str_eq(rig.fake.told, "binary(#1048576)");
    cr_expect_eq(rig.compressor.inflated_room, FW_INFLATED_BYTES_KEPT);
    rig_say(BINARY, text, 1000);
    cr_expect_str_eq(rig.fake.told, "binary(#1048576) binary(#1000)");
}

Test(ws_session_deflate, inflates_nothing_after_it_has_said_close)
{
    /* RFC 6455, section 5.5.1 */
    rig_agree_on(PMD);
    fw_ws_session_close(&rig.fake.session, 1000, (struct fw_bytes){0});
    fake_host_frame_bytes(&rig.fake, TEXT | FW_WS_RSV1, "\x07", 1);
    cr_expect_str_eq(rig_got(), "close(1000)");
}
