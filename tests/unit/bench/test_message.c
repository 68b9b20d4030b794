/* test_message.c: what the load says: its text, its patterns, its dialects' first words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/message.h"
#include "proto/mask.h"
#include "proto/ws_frame.h"
#include "support/fail_mem.h"
#include "support/in_child.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(bench_message, the_text_is_the_same_in_every_piece)
{
    static uint8_t whole[20000];
    static uint8_t piece[20000];
    bench_text_write(whole, 0, sizeof whole);
    for (size_t at = 0; at < sizeof whole; at += 977) {
        for (size_t count = 0; at + count <= sizeof whole; count += 1291) {
            bench_text_write(piece, at, count);
            cr_assert_arr_eq(piece, whole + at, count);
            cr_assert(bench_text_good(whole + at, at, count));
        }
    }
}

Test(bench_message, one_wrong_octet_of_the_text_is_seen)
{
    static uint8_t text[9000]; /* over the place where it begins again */
    bench_text_write(text, 0, sizeof text);
    for (size_t i = 0; i < sizeof text; i += 37) {
        text[i] ^= 1;
        cr_assert_not(bench_text_good(text, 0, sizeof text), "octet %zu", i);
        text[i] ^= 1;
    }
}

/* What a JSON string would escape would make a Socket.IO event another text. */
Test(bench_message, the_text_needs_no_escapes)
{
    static uint8_t text[8192];
    bench_text_write(text, 0, sizeof text);
    for (size_t i = 0; i < sizeof text; i++)
        cr_assert(text[i] >= ' ' && text[i] < 0x7f && text[i] != '"' && text[i] != '\\',
                  "octet %zu is %d", i, text[i]);
}

/* Takes the one frame of a unit apart, unmasked. */
static struct fw_ws_header open_frame(const struct bench_pattern *pattern, uint8_t *payload_out)
{
    struct fw_ws_header header;
    ssize_t head = fw_ws_header_decode(pattern->bytes, pattern->unit_bytes, &header);
    cr_assert_gt(head, 0);
    cr_assert(header.masked && header.fin);
    cr_assert_eq((size_t)head + header.payload_bytes, pattern->unit_bytes);
    fw_mask(payload_out, pattern->bytes + head, (size_t)header.payload_bytes, header.key);
    return header;
}

static uint8_t payload[4096];
static uint8_t opened[8192];

Test(bench_message, bare_messages_are_what_they_say)
{
    const struct bench_url url = {.speech = BENCH_WS};
    struct bench_pattern pattern;
    bench_text_write(payload, 0, sizeof payload);
    bench_message_pattern(&pattern, &url, true, payload, 100, 3);
    struct fw_ws_header header = open_frame(&pattern, opened);
    cr_assert_eq(header.opcode, FW_WS_TEXT);
    cr_assert_eq(header.rsv, 0);
    cr_assert_eq(header.payload_bytes, 100);
    cr_assert_arr_eq(opened, payload, 100);
    cr_assert_eq(pattern.units, 3);
    cr_assert_arr_eq(pattern.bytes, pattern.bytes + 2 * pattern.unit_bytes, pattern.unit_bytes);
    bench_pattern_clear(&pattern);
}

/* RFC 7692, section 7.2: what is sent inflates to the message. */
Test(bench_message, packed_messages_inflate_to_themselves)
{
    const struct bench_url url = {.speech = BENCH_WS, .deflate = true};
    static uint8_t inflated[8192];
    struct fw_ws_deflate_pool pool;
    struct bench_pattern pattern;
    bench_text_write(payload, 0, sizeof payload);
    bench_message_pattern(&pattern, &url, false, payload, sizeof payload, 1);
    struct fw_ws_header header = open_frame(&pattern, opened);
    cr_assert_eq(header.rsv, FW_WS_RSV1);
    cr_assert_eq(header.opcode, FW_WS_BINARY);
    cr_assert_lt(header.payload_bytes, sizeof payload / 2, "it packs as feeds do");
    cr_assert_eq(fw_ws_deflate_pool_init(&pool, 0), 0);
    fw_ws_inflater_begin(pool.inflater, (struct fw_bytes){opened, (size_t)header.payload_bytes},
                         sizeof inflated, true);
    size_t count = 0;
    ssize_t got;
    while ((got = fw_ws_inflater_next(pool.inflater, inflated + count, sizeof inflated - count)) >
           0)
        count += (size_t)got;
    cr_assert_eq(got, 0);
    cr_assert_eq(count, sizeof payload);
    cr_assert_arr_eq(inflated, payload, count);
    fw_ws_deflate_pool_clear(&pool);
    bench_pattern_clear(&pattern);
}

Test(bench_message, what_packing_would_lengthen_goes_as_it_is)
{
    const struct bench_url url = {.speech = BENCH_WS, .deflate = true};
    struct bench_pattern pattern;
    for (size_t bytes = 0; bytes < 4; bytes++) {
        bench_message_pattern(&pattern, &url, false, (const uint8_t *)"\x91\x5e\xc3", bytes, 1);
        struct fw_ws_header header = open_frame(&pattern, opened);
        cr_assert_eq(header.rsv, 0);
        cr_assert_eq(header.payload_bytes, bytes);
        bench_pattern_clear(&pattern);
    }
}

Test(bench_message, socket_io_has_events)
{
    const struct bench_url url = {.speech = BENCH_WS, .dialect = BENCH_SOCKET_IO};
    struct bench_pattern pattern;
    bench_message_pattern(&pattern, &url, false, (const uint8_t *)"abc", 3, 1);
    struct fw_ws_header header = open_frame(&pattern, opened);
    cr_assert_eq(header.opcode, FW_WS_TEXT);
    opened[header.payload_bytes] = '\0';
    cr_assert_str_eq((char *)opened, "42[\"m\",\"abc\"]");
    bench_pattern_clear(&pattern);
}

static void greeting_of(const struct bench_url *url, char *greeting, char *pulse)
{
    struct bench_pattern patterns[2];
    char *const out[] = {greeting, pulse};
    bench_dialect_patterns(url, &patterns[0], &patterns[1]);
    for (int i = 0; i < 2; i++) {
        struct fw_ws_header header = open_frame(&patterns[i], (uint8_t *)out[i]);
        out[i][header.payload_bytes] = '\0';
        bench_pattern_clear(&patterns[i]);
    }
}

/* docs.nats.io, "Client Protocol": CONNECT first; a subject's tokens have dots between. */
Test(bench_message, nats_connects_and_subscribes)
{
    struct bench_url url = {.speech = BENCH_WS, .dialect = BENCH_NATS, .path = "/topics/bench"};
    char greeting[2048];
    char pulse[64];
    char target[BENCH_PATH_BYTES];
    greeting_of(&url, greeting, pulse);
    cr_assert_eq(strncmp(greeting, "CONNECT {", 9), 0);
    cr_assert_not_null(strstr(greeting, "\r\nSUB topics.bench 1\r\nPING\r\n"));
    cr_assert_str_eq(pulse, "PONG\r\n");
    bench_dialect_target(&url, target);
    cr_assert_str_eq(target, "/");
    url.path[0] = '\0';
    greeting_of(&url, greeting, pulse);
    cr_assert_null(strstr(greeting, "SUB"), "a publisher holds nothing: %s", greeting);
    cr_assert_not_null(strstr(greeting, "}\r\nPING\r\n"));
}

Test(bench_message, nats_publications_are_counted)
{
    static uint8_t out[4096];
    struct bench_pattern pattern = {.bytes = out, .units = 1};
    pattern.unit_bytes =
        (uint32_t)bench_nats_publication("/topics/a", (const uint8_t *)"hello", 5, out);
    struct fw_ws_header header = open_frame(&pattern, opened);
    opened[header.payload_bytes] = '\0';
    cr_assert_str_eq((char *)opened, "PUB topics.a 5\r\nhello\r\nPING\r\n");
}

Test(bench_message, socket_io_asks_for_its_room)
{
    const struct bench_url url = {
        .speech = BENCH_WS, .dialect = BENCH_SOCKET_IO, .path = "/topics/bench"};
    char greeting[64];
    char pulse[64];
    char target[BENCH_PATH_BYTES];
    greeting_of(&url, greeting, pulse);
    cr_assert_str_eq(greeting, "40");
    cr_assert_str_eq(pulse, "3");
    bench_dialect_target(&url, target);
    cr_assert_str_eq(target, "/socket.io/?EIO=4&transport=websocket&topic=/topics/bench");
}

static void echo_to_nats(void *unused)
{
    const struct bench_url url = {.speech = BENCH_WS, .dialect = BENCH_NATS};
    struct bench_pattern pattern;
    (void)unused;
    bench_message_pattern(&pattern, &url, false, payload, 5, 1);
}

static void target_of_a_long_path(void *unused)
{
    static struct bench_url url = {.speech = BENCH_WS, .dialect = BENCH_SOCKET_IO};
    char target[BENCH_PATH_BYTES];
    (void)unused;
    memset(url.path, 'x', sizeof url.path - 1);
    url.path[0] = '/';
    bench_dialect_target(&url, target);
}

Test(bench_message, says_what_it_cannot)
{
    char said[512];
    cr_assert_eq(in_child(echo_to_nats, NULL, said, sizeof said), 2);
    cr_assert_not_null(strstr(said, "NATS sends nothing back"), "%s", said);
    cr_assert_eq(in_child(target_of_a_long_path, NULL, said, sizeof said), 2);
    cr_assert_not_null(strstr(said, "too long"), "%s", said);
}

static void make_packed(void *round)
{
    const struct bench_url url = {.speech = BENCH_WS, .deflate = true};
    struct bench_pattern pattern;
    fail_mem_at(*(unsigned *)round, FAIL_ONCE);
    bench_message_pattern(&pattern, &url, false, payload, sizeof payload, 1);
    bench_pattern_clear(&pattern);
}

Test(bench_message, packing_without_memory_ends_with_a_sentence)
{
    char said[512];
    unsigned round = 1;
    for (int code = 1; code != 0; round++) {
        code = in_child(make_packed, &round, said, sizeof said);
        cr_assert(code == 0 || code == 1, "round %u: %d, %s", round, code, said);
        if (code == 1)
            cr_assert_not_null(strstr(said, "out of memory"), "round %u: %s", round, said);
    }
    cr_assert_gt(round, 3, "there was memory to be refused");
}
