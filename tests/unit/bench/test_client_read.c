/* test_client_read.c: what the load reads is the same however the octets are cut (RFC 6455, 5.2).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/client.h"
#include "bench/client_impl.h"
#include "proto/ws_frame.h"
#include "proto/ws_handshake.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One connection without an engine: nothing here may end it. */
static struct bench_client client;
static struct bench_conn conn;
static uint32_t dirty[1];
static uint32_t began_us[1];
static char trace[4096];
static size_t trace_bytes;
static size_t message_bytes;

static void note(const char *text)
{
    trace_bytes += (size_t)snprintf(trace + trace_bytes, sizeof trace - trace_bytes, "%s", text);
}

static void on_open(struct bench_client *whose, uint32_t slot)
{
    (void)whose;
    (void)slot;
    note("open ");
}

static void on_piece(struct bench_client *whose, uint32_t slot, const struct bench_piece *piece)
{
    char text[64];
    (void)whose;
    (void)slot;
    cr_assert_eq(piece->at, message_bytes, "pieces follow each other");
    for (size_t i = 0; i < piece->count; i++)
        cr_assert_eq(piece->bytes[i], (uint8_t)('a' + (piece->at + i) % 26));
    message_bytes += piece->count;
    if (!piece->last)
        return;
    snprintf(text, sizeof text, "message:%zu%s ", message_bytes, piece->packed ? ":packed" : "");
    note(text);
    message_bytes = 0;
}

static void on_pong(struct bench_client *whose, uint32_t slot)
{
    (void)whose;
    (void)slot;
    note("pong ");
}

static const struct bench_handlers handlers = {
    .on_open = on_open, .on_piece = on_piece, .on_pong = on_pong};

static void begin(enum bench_state state)
{
    client = (struct bench_client){.conns = &conn,
                                   .slots_max = 1,
                                   .handlers = &handlers,
                                   .dirty = dirty,
                                   .began_us = began_us,
                                   .under_way = state == BENCH_OPEN ? 0 : 1};
    free(conn.stash);
    conn = (struct bench_conn){.state = (uint8_t)state, .speech = BENCH_WS, .flags = CONN_FIN};
    trace[0] = '\0';
    trace_bytes = 0;
    message_bytes = 0;
}

/* Appends a server's frame whose payload goes on with the alphabet at `at`. */
static size_t frame(uint8_t *out, uint8_t opcode, bool fin, uint8_t rsv, size_t at, size_t count)
{
    const struct fw_ws_header header = {
        .payload_bytes = count, .opcode = opcode, .fin = fin, .rsv = rsv};
    size_t head = fw_ws_header_encode(&header, out);
    for (size_t i = 0; i < count; i++)
        out[head + i] = (uint8_t)('a' + (at + i) % 26);
    return head + count;
}

static size_t stream(uint8_t *out)
{
    size_t at = 0;
    at += frame(out + at, FW_WS_TEXT, true, 0, 0, 5);
    at += frame(out + at, FW_WS_BINARY, true, 0, 0, 0);
    at += frame(out + at, FW_WS_TEXT, false, 0, 0, 3);
    at += frame(out + at, FW_WS_PONG, true, 0, 0, 2);
    at += frame(out + at, FW_WS_CONTINUATION, false, 0, 3, 0);
    at += frame(out + at, FW_WS_CONTINUATION, true, 0, 3, 130);
    at += frame(out + at, FW_WS_PONG, true, 0, 0, 0);
    at += frame(out + at, FW_WS_BINARY, true, FW_WS_RSV1, 0, 7);
    at += frame(out + at, FW_WS_BINARY, true, 0, 0, 300);
    return at;
}

static const char expected[] =
    "message:5 message:0 pong message:133 pong message:7:packed message:300 ";

Test(bench_client_read, frames_are_the_same_at_every_split_point)
{
    static uint8_t bytes[1024];
    size_t count = stream(bytes);
    for (size_t cut = 0; cut <= count; cut++) {
        begin(BENCH_OPEN);
        client.opening.deflate = true;
        bench_client_read(&client, 0, bytes, cut);
        bench_client_read(&client, 0, bytes + cut, count - cut);
        cr_assert_str_eq(trace, expected, "cut at %zu: %s", cut, trace);
    }
}

Test(bench_client_read, frames_are_the_same_octet_by_octet)
{
    static uint8_t bytes[1024];
    size_t count = stream(bytes);
    begin(BENCH_OPEN);
    client.opening.deflate = true;
    for (size_t i = 0; i < count; i++)
        bench_client_read(&client, 0, bytes + i, 1);
    cr_assert_str_eq(trace, expected);
}

/* RFC 6455, section 5.5.3: a pong has the octets of its ping; masked, because we are a client. */
Test(bench_client_read, a_ping_is_answered_with_its_octets)
{
    static uint8_t bytes[256];
    uint8_t pong[160];
    size_t count = frame(bytes, FW_WS_PING, true, 0, 0, 125);
    size_t wanted = bench_frame_write(pong, FW_WS_PONG, bytes + 2, 125);
    for (size_t cut = 0; cut <= count; cut++) {
        begin(BENCH_OPEN);
        bench_client_read(&client, 0, bytes, cut);
        bench_client_read(&client, 0, bytes + cut, count - cut);
        cr_assert(conn.flags & CONN_REPLY);
        cr_assert_eq(client.dirty_count, 1);
        cr_assert_eq(conn.stash[0], wanted);
        cr_assert_arr_eq(conn.stash + 1, pong, wanted);
    }
    free(conn.stash);
    conn.stash = NULL;
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
    size_t count = (size_t)answered + frame(bytes + answered, FW_WS_TEXT, true, 0, 0, 9);
    for (size_t cut = 0; cut <= count; cut++) {
        begin(BENCH_UPGRADING);
        if (cut > 0)
            bench_client_read(&client, 0, bytes, cut);
        bench_client_read(&client, 0, bytes + cut, count - cut);
        cr_assert_str_eq(trace, "open message:9 ", "cut at %zu: %s", cut, trace);
        cr_assert_eq(client.under_way, 0);
        cr_assert_eq(atomic_load(&client.open_count), 1);
    }
}
