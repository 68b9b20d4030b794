/* test_client_layers.c: compressed messages and dialects, read the same however they are cut.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/message.h"
#include "proto/ws_frame.h"
#include "unit/bench/load_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bench_pattern greeting;
static struct bench_pattern pulse;

static void begin(enum bench_dialect dialect, bool deflate, enum bench_state state)
{
    const struct bench_opening opening = {.speech = BENCH_WS,
                                          .deflate = deflate,
                                          .dialect = dialect,
                                          .greeting = &greeting,
                                          .pulse = &pulse};
    load_rig_begin(state, &opening);
}

/* Reads a stream whole, at every split point and octet by octet.
 *
 * prepare      begins a connection
 */
static void same_at_every_cut(void (*prepare)(void), const uint8_t *stream, size_t count,
                              const char *expected)
{
    static uint8_t bytes[65536];
    size_t step = count > 2000 ? 7 : 1;
    for (size_t cut = 0; cut <= count; cut += step) {
        prepare();
        memcpy(bytes, stream, count);
        bench_client_read(&load_rig.client, 0, bytes, cut);
        bench_client_read(&load_rig.client, 0, bytes + cut, count - cut);
        cr_assert_str_eq(load_rig.trace, expected, "cut at %zu: %s", cut, load_rig.trace);
        load_rig_end();
    }
    prepare();
    memcpy(bytes, stream, count);
    for (size_t i = 0; i < count; i++)
        bench_client_read(&load_rig.client, 0, bytes + i, 1);
    cr_assert_str_eq(load_rig.trace, expected, "octet by octet: %s", load_rig.trace);
    load_rig_end();
}

/* ---- permessage-deflate ---------------------------------------------------------------------- */

static const char alone[] =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
static const char kept[] = "permessage-deflate";
static const char *answer;

static void begin_deflate(void)
{
    begin(BENCH_BARE, true, BENCH_OPEN);
    cr_assert(bench_deflate_judge(&load_rig.client, 0, fw_bytes_of(answer)));
    cr_assert(bench_deflate_agreed(&load_rig.client, 0));
}

/* Messages of the text, packed as a server packs them; the third and fourth in fragments, the
 * second not packed at all. */
static size_t packed_stream(uint8_t *out, bool takeover)
{
    static const size_t sizes[] = {300, 50, 300, 20000, 300};
    static uint8_t text[20000];
    static uint8_t packed[20000];
    const struct fw_ws_deflate agreed = {
        .own_bits = 15, .peer_bits = 15, .own_takeover = takeover, .peer_takeover = false};
    struct fw_ws_deflate_pool pool;
    size_t at = 0;
    cr_assert_eq(fw_ws_deflate_pool_init(&pool, SIZE_MAX / 2), 0);
    struct fw_ws_deflate_context *context =
        takeover ? fw_ws_deflate_context_create(&pool, &agreed) : NULL;
    struct fw_ws_deflater *deflater =
        takeover ? fw_ws_deflate_context_deflater(context) : fw_ws_deflate_pool_deflater(&pool, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        bench_text_write(text, 0, sizes[i]);
        if (i == 1) {
            at += load_rig_frame(out + at, FW_WS_TEXT, true, text, sizes[i]);
            continue;
        }
        ssize_t count = fw_ws_deflater_pack(deflater, (struct fw_bytes){text, sizes[i]}, !takeover,
                                            packed, sizeof packed);
        cr_assert_gt(count, 0);
        size_t first = i == 2 || i == 3 ? (size_t)count / 3 : 0;
        if (first > 0)
            at += load_rig_frame(out + at, FW_WS_TEXT | FW_WS_RSV1, false, packed, first);
        at += load_rig_frame(out + at, first > 0 ? FW_WS_CONTINUATION : FW_WS_TEXT | FW_WS_RSV1,
                             true, packed + first, (size_t)count - first);
    }
    fw_ws_deflate_context_destroy(&pool, context);
    fw_ws_deflate_pool_clear(&pool);
    return at;
}

static const char packed_expected[] =
    "message:300 message:50 message:300 message:20000 message:300 ";

/* RFC 7692, section 7.2.2; the first and the last message are the same octets. */
Test(bench_client_layers, messages_that_stand_alone_are_inflated)
{
    static uint8_t stream[65536];
    answer = alone;
    same_at_every_cut(begin_deflate, stream, packed_stream(stream, false), packed_expected);
}

/* Section 7.1.1: what refers to earlier messages, too. */
Test(bench_client_layers, messages_with_a_context_are_inflated)
{
    static uint8_t stream[65536];
    answer = kept;
    same_at_every_cut(begin_deflate, stream, packed_stream(stream, true), packed_expected);
}

/* ---- NATS ------------------------------------------------------------------------------------ */

static void begin_nats(void)
{
    begin(BENCH_NATS, false, BENCH_OPEN);
}

/* Appends what a server says: lines and payloads, in frames of `most` octets. */
static size_t nats_stream(uint8_t *out, size_t most)
{
    static uint8_t words[4096];
    size_t count = 0;
    size_t at = 0;
    for (size_t bytes = 0; bytes <= 300; bytes += 100) {
        count += (size_t)sprintf((char *)words + count, "MSG topics.bench 1 %zu\r\n", bytes);
        bench_text_write(words + count, 0, bytes);
        count += bytes;
        count += (size_t)sprintf((char *)words + count, "\r\n%s",
                                 bytes == 100   ? "PONG\r\n"
                                 : bytes == 200 ? "+OK\r\nINFO {\"a\":1}\r\n"
                                                : "");
    }
    for (size_t from = 0; from < count; from += most)
        at += load_rig_frame(out + at, FW_WS_BINARY, true, words + from,
                             count - from < most ? count - from : most);
    return at;
}

Test(bench_client_layers, nats_is_a_stream_whatever_its_frames)
{
    static uint8_t stream[65536];
    static const size_t mosts[] = {1, 3, 17, 256, 4096};
    for (size_t i = 0; i < sizeof mosts / sizeof *mosts; i++)
        same_at_every_cut(begin_nats, stream, nats_stream(stream, mosts[i]),
                          "message:0 message:100 pong message:200 message:300 ");
}

/* INFO is longer than what is kept of a line; the greeting goes out, the pong opens. */
Test(bench_client_layers, nats_opens_when_its_greeting_is_answered)
{
    static uint8_t stream[8192];
    char info[3000];
    size_t count = (size_t)sprintf(info, "INFO {\"x\":\"%02000d\"}\r\n", 0);
    count = load_rig_frame(stream, FW_WS_BINARY, true, info, count);
    begin(BENCH_NATS, false, BENCH_GREETING);
    for (size_t i = 0; i < count; i++)
        bench_client_read(&load_rig.client, 0, stream + i, 1);
    cr_assert_eq(load_rig.conn.state, BENCH_GREETING);
    cr_assert_eq(load_rig.conn.pattern, &greeting);
    cr_assert_eq(load_rig.conn.owed, 1);
    count = load_rig_frame(stream, FW_WS_BINARY, true, "PONG\r\n", 6);
    bench_client_read(&load_rig.client, 0, stream, count);
    cr_assert_str_eq(load_rig.trace, "open ");
    cr_assert_eq(load_rig.client.under_way, 0);
    load_rig_end();
}

Test(bench_client_layers, nats_pings_are_answered)
{
    static uint8_t stream[64];
    begin_nats();
    bench_client_read(&load_rig.client, 0, stream,
                      load_rig_frame(stream, FW_WS_BINARY, true, "PING\r\n", 6));
    cr_assert_eq(load_rig.conn.pattern, &pulse);
    cr_assert_eq(load_rig.conn.owed, 1);
    /* With something owed already there is no need: it shows that we live. */
    bench_client_read(&load_rig.client, 0, stream,
                      load_rig_frame(stream, FW_WS_BINARY, true, "PING\r\n", 6));
    cr_assert_eq(load_rig.conn.owed, 1);
    load_rig_end();
}

/* ---- Socket.IO ------------------------------------------------------------------------------- */

static void begin_socket_io(void)
{
    begin(BENCH_SOCKET_IO, false, BENCH_GREETING);
}

static size_t event(uint8_t *out, size_t bytes)
{
    char words[512];
    strcpy(words, "42[\"m\",\"");
    size_t head = strlen(words);
    bench_text_write((uint8_t *)words + head, 0, bytes);
    memcpy(words + head + bytes, "\"]", 2);
    return load_rig_frame(out, FW_WS_TEXT, true, words, head + bytes + 2);
}

Test(bench_client_layers, socket_io_greets_and_has_events)
{
    static uint8_t stream[2048];
    static const char open_words[] = "0{\"sid\":\"a\",\"upgrades\":[],\"pingInterval\":25000}";
    size_t at = load_rig_frame(stream, FW_WS_TEXT, true, open_words, sizeof open_words - 1);
    at += load_rig_frame(stream + at, FW_WS_TEXT, true, "40{\"sid\":\"b\"}", 13);
    at += event(stream + at, 0);
    at += event(stream + at, 200);
    at += load_rig_frame(stream + at, FW_WS_TEXT, true, "2", 1);
    at += event(stream + at, 7);
    same_at_every_cut(begin_socket_io, stream, at, "open message:0 message:200 message:7 ");
}
