/* test_client_read.c: what the load reads is the same however the octets are cut (RFC 6455, 5.2).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/client_impl.h"
#include "proto/ws_frame.h"
#include "proto/ws_handshake.h"
#include "unit/bench/load_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void begin(enum bench_state state)
{
    const struct bench_opening opening = {.speech = BENCH_WS};
    load_rig_begin(state, &opening);
}

static size_t stream(uint8_t *out)
{
    size_t at = 0;
    at += load_rig_text(out + at, FW_WS_TEXT, true, 0, 5);
    at += load_rig_text(out + at, FW_WS_BINARY, true, 0, 0);
    at += load_rig_text(out + at, FW_WS_TEXT, false, 0, 3);
    at += load_rig_text(out + at, FW_WS_PONG, true, 0, 2);
    at += load_rig_text(out + at, FW_WS_CONTINUATION, false, 3, 0);
    at += load_rig_text(out + at, FW_WS_CONTINUATION, true, 3, 130);
    at += load_rig_text(out + at, FW_WS_PONG, true, 0, 0);
    at += load_rig_text(out + at, FW_WS_BINARY, true, 0, 300);
    return at;
}

static const char expected[] = "message:5 message:0 pong message:133 pong message:300 ";

Test(bench_client_read, frames_are_the_same_at_every_split_point)
{
    static uint8_t bytes[1024];
    size_t count = stream(bytes);
    for (size_t cut = 0; cut <= count; cut++) {
        begin(BENCH_OPEN);
        bench_client_read(&load_rig.client, 0, bytes, cut);
        bench_client_read(&load_rig.client, 0, bytes + cut, count - cut);
        cr_assert_str_eq(load_rig.trace, expected, "cut at %zu: %s", cut, load_rig.trace);
    }
}

Test(bench_client_read, frames_are_the_same_octet_by_octet)
{
    static uint8_t bytes[1024];
    size_t count = stream(bytes);
    begin(BENCH_OPEN);
    for (size_t i = 0; i < count; i++)
        bench_client_read(&load_rig.client, 0, bytes + i, 1);
    cr_assert_str_eq(load_rig.trace, expected);
}

/* RFC 6455, section 5.5.3: a pong has the octets of its ping; masked, because we are a
 * load_rig.client. */
Test(bench_client_read, a_ping_is_answered_with_its_octets)
{
    static uint8_t bytes[256];
    uint8_t pong[160];
    size_t count = load_rig_text(bytes, FW_WS_PING, true, 0, 125);
    size_t wanted = bench_frame_write(pong, FW_WS_PONG, bytes + 2, 125);
    for (size_t cut = 0; cut <= count; cut++) {
        begin(BENCH_OPEN);
        bench_client_read(&load_rig.client, 0, bytes, cut);
        bench_client_read(&load_rig.client, 0, bytes + cut, count - cut);
        cr_assert(load_rig.conn.flags & CONN_REPLY);
        cr_assert_eq(load_rig.client.dirty_count, 1);
        cr_assert_eq(load_rig.conn.stash[0], wanted);
        cr_assert_arr_eq(load_rig.conn.stash + 1, pong, wanted);
    }
    load_rig_end();
}

/* Section 4.1: the head may come in any pieces, with frames behind it. */
Test(bench_client_read, the_upgrade_is_the_same_at_every_split_point)
{
    static const uint8_t key[FW_WS_KEY_BYTES] = {0};
    char request[512];
    static uint8_t bytes[1024];
    struct fw_http_head head;
    char accept[FW_WS_ACCEPT_CHARS];
    ssize_t asked =
        fw_ws_handshake_request("a", "/", key, NULL, NULL, NULL, request, sizeof request);
    fw_http_head_init(&head);
    cr_assert_gt(fw_http_request_parse(&head, (const uint8_t *)request, (size_t)asked), 0);
    cr_assert_eq(fw_ws_handshake_check(&head, (const uint8_t *)request, accept), 0);
    ssize_t answered = fw_ws_handshake_accept(accept, NULL, NULL, (char *)bytes, sizeof bytes);
    cr_assert_gt(answered, 0);
    size_t count = (size_t)answered + load_rig_text(bytes + answered, FW_WS_TEXT, true, 0, 9);
    for (size_t cut = 0; cut <= count; cut++) {
        begin(BENCH_UPGRADING);
        if (cut > 0)
            bench_client_read(&load_rig.client, 0, bytes, cut);
        bench_client_read(&load_rig.client, 0, bytes + cut, count - cut);
        cr_assert_str_eq(load_rig.trace, "open message:9 ", "cut at %zu: %s", cut, load_rig.trace);
        cr_assert_eq(load_rig.client.under_way, 0);
        cr_assert_eq(atomic_load(&load_rig.client.open_count), 1);
    }
}
