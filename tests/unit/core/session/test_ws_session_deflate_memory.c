/* test_ws_session_deflate_memory.c: what a session that compresses does without memory, and what a
 * bomb costs it (core/session/compress.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/core/session/deflate_rig.h"

#include "base/mem.h"
#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

TestSuite(ws_session_deflate_memory, .timeout = 120);

Test(ws_session_deflate_memory, that_is_refused_ends_one_session_at_most)
{
    /* base/mem.h: allocation k fails, for every k; what is told and sent is whole, or not at all */
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        rig_make_with_contexts();
        rig.peer.agreed = (struct fw_ws_deflate){15, 15, true, true};
        fail_mem_at(k, FAIL_ONCE);
        fake_host_handshake(&rig.fake, "/topics/ticks", EXTENSIONS PMD "\r\n");
        failed = fail_mem_off();
        const char *sent = fake_host_sent(&rig.fake);
        bool open = strstr(sent, " 101 ") != NULL;
        rig.peer.agreed.own_takeover = rig.peer.agreed.peer_takeover =
            open && strstr(sent, "no_context_takeover") == NULL;
        fake_host_forget(&rig.fake);
        rig.peer.read = 0;
        if (!open) {
            cr_expect(failed);
            rig_clear();
            continue;
        }
        static const char *const all = "text(Hello) text(Hello)";
        fail_mem_at(k, FAIL_ONCE);
        rig.fake.on_message = NULL;
        fake_host_frame_bytes(&rig.fake, TEXT | FW_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
        if (!rig.fake.gone && !rig.fake.shut && rig.fake.session.phase == FW_PHASE_OPEN) {
            fw_ws_session_send(&rig.fake.session, FW_WS_TEXT, fw_bytes_of(tick));
            fake_host_flush(&rig.fake);
        }
        failed = fail_mem_off() || failed;
        fake_host_frame_bytes(&rig.fake, TEXT | FW_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
        const char *said = rig_got();
        if (!failed) {
            cr_expect_str_eq(rig.fake.told, all);
            cr_expect_str_eq(said, "packed(tick)");
        } else {
            cr_expect(strstr(rig.fake.told, "text(Hello)") != NULL || rig.fake.shut ||
                          rig.fake.gone,
                      "%u: %s", k, rig.fake.told);
        }
        rig_clear();
    }
}

Test(ws_session_deflate_memory, that_is_missing_at_the_start_is_an_error)
{
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        struct fw_compressor made;
        fail_mem_at(k, FAIL_ONCE);
        int result = fw_compressor_init(&made, 65536, 1 << 20);
        failed = fail_mem_off();
        cr_expect_eq(result, failed ? -ENOMEM : 0);
        fw_compressor_clear(&made);
    }
}

Test(ws_session_deflate_memory, that_is_missing_for_a_context_lets_it_go_without)
{
    rig_make_with_contexts();
    fail_mem_at(1, FAIL_ONCE);
    const char *answer = rig_open_with("/chat", EXTENSIONS PMD "\r\n");
    cr_expect(fail_mem_off());
    cr_expect_str_eq(answer, PMD "; server_no_context_takeover; client_no_context_takeover");
    cr_expect_null(rig.fake.session.context);
    rig_clear();
}

Test(ws_session_deflate_memory, that_is_missing_for_an_inflater_closes_with_1011)
{
    rig_make_with_contexts();
    rig_agree_on(PMD);
    fail_mem_at(1, FAIL_ONCE);
    fake_host_frame_bytes(&rig.fake, TEXT | FW_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    cr_expect(fail_mem_off());
    cr_expect_str_eq(rig_got(), "close(1011)");
    rig_clear();
}

Test(ws_session_deflate_memory, that_is_missing_for_a_large_message_closes_with_1011)
{
    static char text[1 << 20];
    rig_make_without();
    rig.compressor.message_bytes_max = 1 << 20;
    rig_agree_on(PMD);
    rig_say(BINARY, text, 1000);
    struct ws_stream stream = {0};
    ssize_t count = fw_ws_deflater_pack(fw_ws_deflate_context_deflater(rig.peer.context),
                                        (struct fw_bytes){(uint8_t *)text, sizeof text}, true,
                                        rig.packed, sizeof rig.packed);
    ws_stream_frame(&stream, BINARY | FW_WS_RSV1 | WS_MASKED, rig.packed, (size_t)count);
    fail_mem_at(1, FAIL_ONCE);
    fake_host_receive(&rig.fake, stream.bytes, stream.bytes_count);
    cr_expect(fail_mem_off());
    cr_expect_str_eq(rig_got(), "close(1011)");
    ws_stream_clear(&stream);
    rig_clear();
}

Test(ws_session_deflate_memory, that_is_missing_makes_what_is_sent_longer_or_ends_the_session)
{
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        rig_make_with_contexts();
        rig_agree_on(PMD);
        fail_mem_at(k, FAIL_ONCE);
        int result = fw_ws_session_send(&rig.fake.session, FW_WS_TEXT, fw_bytes_of(tick));
        failed = fail_mem_off();
        const char *said = rig_got();
        if (result != 0)
            cr_expect(failed && rig.fake.gone);
        else if (failed)
            cr_expect(strcmp(said, "plain(tick)") == 0 || strcmp(said, "packed(tick)") == 0, "%s",
                      said);
        else
            cr_expect_str_eq(said, "packed(tick)");
        rig_clear();
    }
}

Test(ws_session_deflate_memory, that_is_missing_for_a_packed_frame_makes_it_a_plain_one)
{
    static uint8_t zeros[300000]; /* more than the turn's memory has left */
    rig_make_without();
    rig_agree_on(PMD);
    rig_send_text(tick);
    fail_mem_at(1, FAIL_ONCE);
    int result =
        fw_ws_session_send(&rig.fake.session, FW_WS_BINARY, (struct fw_bytes){zeros, sizeof zeros});
    cr_expect(fail_mem_off());
    cr_expect_eq(result, 0);
    cr_expect_str_eq(rig_got(), "packed(tick) plain(#300000 0000)");
    rig_clear();
}

Test(ws_session_deflate_memory, that_is_missing_makes_what_is_published_longer)
{
    bool failed = true;
    for (unsigned k = 2; failed; k++) { /* the first is the message itself */
        rig_make_without();
        rig_agree_on(PMD);
        cr_assert_eq(fw_session_subscribe(&rig.fake.session, fw_bytes_of("ticks")), 0);
        fail_mem_at(k, FAIL_ONCE);
        rig_publish("ticks", tick, false);
        failed = fail_mem_off();
        const char *said = rig_got();
        if (!failed)
            cr_expect_str_eq(said, "packed(tick)");
        else
            cr_expect(strcmp(said, "plain(tick)") == 0 || strcmp(said, "packed(tick)") == 0 ||
                          strcmp(said, "close(1011)") == 0,
                      "%s", said);
        rig_clear();
    }
}

static size_t allocated_bytes;

static int count_heap(size_t bytes)
{
    allocated_bytes += bytes;
    return 1;
}

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void bomb(size_t contexts_bytes_max)
{
    static uint8_t zeros[1 << 20];
    struct fw_ws_deflate_pool pool;
    rig_make(contexts_bytes_max);
    rig_agree_on(PMD);
    /* Blocks that end on an octet's edge, repeated: 48 of 32 KiB each make 1.5 MiB of zeros. */
    cr_assert_eq(fw_ws_deflate_pool_init(&pool, 0), 0);
    ssize_t count =
        fw_ws_deflater_pack(fw_ws_deflate_pool_deflater(&pool, 1),
                            (struct fw_bytes){zeros, 32 * 1024}, true, rig.packed, 1000);
    cr_assert_gt(count, 0);
    memcpy(rig.packed + count, "\x00\x00\xff\xff", 4);
    size_t piece = (size_t)count + 4;
    size_t bytes = piece;
    for (int i = 1; i < 48; i++, bytes += piece)
        memcpy(rig.packed + bytes, rig.packed, piece);
    fw_ws_deflate_pool_clear(&pool);
    struct ws_stream stream = {0};
    ws_stream_frame(&stream, BINARY | FW_WS_RSV1 | WS_MASKED, rig.packed, bytes - 4);
    allocated_bytes = 0;
    fw_mem_hook(count_heap);
    double start = cpu_ms();
    fake_host_receive(&rig.fake, stream.bytes, stream.bytes_count);
    double took = cpu_ms() - start;
    fw_mem_hook(NULL);
    cr_expect_str_eq(rig_got(), "close(1009)");
    cr_expect_leq(allocated_bytes, 64 * 1024 + 256 * 1024 + 64, "%zu, the arena's block among them",
                  allocated_bytes);
    cr_expect_lt(took, 5.0, "%.2f ms", took);
    cr_log_info("a bomb of %zu octets: %zu octets of heap, %.3f ms", bytes, allocated_bytes, took);
    ws_stream_clear(&stream);
    rig_clear();
}

Test(ws_session_deflate_memory, that_a_bomb_costs_is_bounded)
{
    /* websockets CVE-2018-1000518: the limit is on what a message becomes, found out in steps */
    bomb(0);
    bomb(1 << 20);
}
