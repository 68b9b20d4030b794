/* test_ws_session_deflate.c: a session that agreed on permessage-deflate (core/session/compress.c;
 * RFC 7692), against a peer that is made of the same coders in the client's role.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "base/mem.h"
#include "proto/ws_frame.h"
#include "session/compress.h"
#include "support/fail_mem.h"
#include "support/fake_host.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TEXT         (WS_FIN | FW_WS_TEXT)
#define BINARY       (WS_FIN | FW_WS_BINARY)
#define PACKED_MAX   400000

#define EXTENSIONS "Sec-WebSocket-Extensions: "
#define PMD        "permessage-deflate"

static struct fake_host fake;
static struct fw_compressor compressor;

/* The other side: a client's contexts. */
static struct {
    struct fw_ws_deflate_pool pool;
    struct fw_ws_deflate agreed;
    struct fw_ws_deflate_context *context; /* of its own, whether it was agreed on or not */
    struct fw_ws_decoder decoder;
    size_t read; /* of what was sent to it */
    char got[8192];
} peer;

static uint8_t packed[PACKED_MAX];

static void make(size_t contexts_bytes_max)
{
    const struct fw_ws_deflate both = {15, 15, true, true};
    fake_host_init(&fake);
    fake.rules.ws.compressed_bytes_max =
        fw_ws_deflate_wire_bytes_max(fake.rules.ws.message_bytes_max);
    cr_assert_eq(
        fw_compressor_init(&compressor, fake.rules.ws.message_bytes_max, contexts_bytes_max), 0);
    fake.host.compressor = &compressor;
    memset(&peer, 0, sizeof peer);
    cr_assert_eq(fw_ws_deflate_pool_init(&peer.pool, 1 << 20), 0);
    peer.context = fw_ws_deflate_context_create(&peer.pool, &both);
    fw_ws_decoder_init(&peer.decoder, true);
}

static void make_with_contexts(void)
{
    make(1 << 20);
}

static void make_without(void)
{
    make(0);
}

static void clear(void)
{
    fake_host_clear(&fake);
    cr_expect_eq(compressor.pool.contexts_bytes, 0, "a context was not given back");
    fw_compressor_clear(&compressor);
    fw_ws_decoder_clear(&peer.decoder);
    fw_ws_deflate_context_destroy(&peer.pool, peer.context);
    fw_ws_deflate_pool_clear(&peer.pool);
}

TestSuite(ws_session_deflate, .init = make_without, .fini = clear, .timeout = 60);
TestSuite(ws_session_takeover, .init = make_with_contexts, .fini = clear, .timeout = 60);
TestSuite(ws_session_deflate_memory, .timeout = 120);

/* Opens with an offer; the answer's extension, or "" when it has none. */
static const char *open_with(const char *path, const char *lines)
{
    static char answer[256];
    fake_host_handshake(&fake, path, lines);
    const char *sent = fake_host_sent(&fake);
    cr_assert(strncmp(sent, "HTTP/1.1 101 ", 13) == 0, "%s", sent);
    const char *found = strstr(sent, EXTENSIONS);
    snprintf(answer, sizeof answer, "%.*s",
             found == NULL ? 0 : (int)strcspn(found + strlen(EXTENSIONS), "\r"),
             found == NULL ? "" : found + strlen(EXTENSIONS));
    fake_host_forget(&fake);
    peer.read = 0;
    return answer;
}

static void agree_on(const char *offer)
{
    const struct fw_ws_deflate_offer all = {.client_bits = 15};
    char lines[256];
    snprintf(lines, sizeof lines, EXTENSIONS "%s\r\n", offer);
    const char *answer = open_with("/chat", lines);
    cr_assert_eq(fw_ws_deflate_verify(fw_bytes_of(answer), &all, &peer.agreed), 0, "%s", answer);
}

/* The peer says a message, compressed as it may be. */
static void say(unsigned bits, const void *payload, size_t bytes)
{
    struct fw_ws_deflater *deflater = fw_ws_deflate_context_deflater(peer.context);
    ssize_t count = fw_ws_deflater_pack(deflater, (struct fw_bytes){payload, bytes},
                                        !peer.agreed.own_takeover, packed, sizeof packed);
    cr_assert_gt(count, 0);
    fake_host_frame_bytes(&fake, bits | FW_WS_RSV1, packed, (size_t)count);
}

static void say_text(const char *text)
{
    say(TEXT, text, strlen(text));
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    va_list values;
    size_t used = strlen(peer.got);
    va_start(values, format);
    vsnprintf(peer.got + used, sizeof peer.got - used, format, values);
    va_end(values);
}

/* Texts that compress. */
static const char tick[] =
    "{\"symbol\":\"ALDR\",\"price\":120.25,\"change\":-1.5,\"volume\":1200,"
    "\"side\":\"buy\",\"symbol\":\"ALDR\",\"price\":120.50,\"change\":-1.25}";
static const char tick_2[] =
    "{\"symbol\":\"ALDR\",\"price\":120.75,\"change\":-1.0,\"volume\":1800,"
    "\"side\":\"buy\",\"symbol\":\"ALDR\",\"price\":120.50,\"change\":-1.25}";

static bool is(const void *bytes, size_t count, const char *text)
{
    return count == strlen(text) && memcmp(bytes, text, count) == 0;
}

/* Notes a message: short ones in full, those above by name, others by their size and ends. */
static void note_message(const char *how, const uint8_t *bytes, size_t count)
{
    if (is(bytes, count, tick) || is(bytes, count, tick_2))
        note("%s(%s) ", how, is(bytes, count, tick) ? "tick" : "tick 2");
    else if (count <= 64)
        note("%s(%.*s) ", how, (int)count, (const char *)bytes);
    else
        note("%s(#%zu %02x%02x) ", how, count, bytes[0], bytes[count - 1]);
}

/* Inflates what the peer got, as one context that has seen it all. */
static void note_compressed(const struct fw_ws_event *event)
{
    static uint8_t out[PACKED_MAX];
    struct fw_ws_inflater *inflater = fw_ws_deflate_context_inflater(peer.context);
    size_t count = 0;
    ssize_t said;
    fw_ws_inflater_begin(inflater, (struct fw_bytes){event->bytes, event->bytes_count}, sizeof out,
                         !peer.agreed.peer_takeover);
    while ((said = fw_ws_inflater_next(inflater, out + count, sizeof out - count)) > 0)
        count += (size_t)said;
    cr_assert_eq(said, 0, "the peer cannot inflate it: %s", fw_status_text((int)said));
    note_message("packed", out, count);
}

/* What the peer got since the last call, as text. */
static const char *got(void)
{
    static const struct fw_ws_rules rules = {.message_bytes_max = 1 << 30, .client = true};
    struct fw_ws_event event;
    fake_host_flush(&fake);
    uint8_t *copy = malloc(fake.sent_count + 1);
    memcpy(copy, fake.sent, fake.sent_count);
    uint8_t *in = copy + peer.read;
    size_t in_bytes = fake.sent_count - peer.read;
    peer.got[0] = '\0';
    do {
        fw_ws_decoder_next(&peer.decoder, &rules, &in, &in_bytes, &event);
        if (event.kind == FW_WS_MESSAGE && event.compressed)
            note_compressed(&event);
        else if (event.kind == FW_WS_MESSAGE)
            note_message("plain", event.bytes, event.bytes_count);
        else if (event.kind == FW_WS_GOT_CLOSE)
            note("close(%u) ", event.close_code);
        else if (event.kind != FW_WS_NEED_MORE)
            note("event %d, status %d ", (int)event.kind, event.status);
    } while (event.kind != FW_WS_NEED_MORE);
    peer.read = fake.sent_count;
    free(copy);
    if (peer.got[0] != '\0')
        peer.got[strlen(peer.got) - 1] = '\0';
    return peer.got;
}

static void echo(struct fake_host *host, uint8_t type, const uint8_t *bytes, size_t count)
{
    cr_assert_eq(fw_ws_session_send(&host->session, type, (struct fw_bytes){bytes, count}), 0);
}

static void send_text(const char *text)
{
    cr_assert_eq(fw_ws_session_send(&fake.session, FW_WS_TEXT, fw_bytes_of(text)), 0);
}

/* Publishes as a worker's fan-out does, to a topic that the session is subscribed to. */
static void publish(const char *topic, const char *text, bool secret)
{
    struct fw_hub hub;
    struct fw_msg *msg = fw_msg_create(FW_WS_TEXT, fw_bytes_of(text));
    const struct fw_ws_header header = {
        .payload_bytes = strlen(text), .opcode = FW_WS_TEXT, .fin = true};
    msg->frame_at = (uint8_t)(FW_MSG_HEADROOM - fw_ws_header_bytes(strlen(text), false));
    fw_ws_header_encode(&header, msg->data + msg->frame_at);
    msg->secret = secret;
    fw_hub_init(&hub, fw_session_deliver);
    hub.encode = fw_session_encode;
    hub.encoder = &compressor;
    for (unsigned i = 0; i < fake.topics_count; i++) {
        if (fw_bytes_equal(fake.topics[i]->node.name, fw_bytes_of(topic)))
            fw_hub_fan_out(&hub, fake.topics[i]->interests[0].local, &msg, 1);
    }
}

/* ---- agreement ------------------------------------------------------------------------------- */

Test(ws_session_deflate, answers_an_offer_that_asks_for_nothing)
{
    /* security: no context takeover by default */
    cr_expect_str_eq(open_with("/chat", EXTENSIONS PMD "\r\n"),
                     PMD "; server_no_context_takeover; client_no_context_takeover");
}

Test(ws_session_deflate, takes_the_first_good_offer_of_all_headers)
{
    /* RFC 6455, section 9.1: several headers are one list */
    cr_expect_str_eq(open_with("/chat",
                               EXTENSIONS "other\r\n" EXTENSIONS PMD "; unknown\r\n" EXTENSIONS PMD
                                          "; server_max_window_bits=10\r\n"),
                     PMD "; server_no_context_takeover; client_no_context_takeover; "
                         "server_max_window_bits=10");
}

Test(ws_session_deflate, answers_nothing_to_what_it_cannot_honour)
{
    /* RFC 7692, section 5.1 */
    cr_expect_str_eq(open_with("/chat", EXTENSIONS PMD "; server_max_window_bits=8\r\n"), "");
    fake_host_frame(&fake, TEXT | FW_WS_RSV1, "x");
    cr_expect_str_eq(got(), "close(1002)", "RSV1 means nothing without an agreement");
}

Test(ws_session_deflate, answers_nothing_when_it_is_off)
{
    fake.host.compressor = NULL;
    cr_expect_str_eq(open_with("/chat", EXTENSIONS PMD "\r\n"), "");
    fake_host_frame(&fake, TEXT, "plain");
    cr_expect_str_eq(fake.told, "text(plain)");
}

Test(ws_session_takeover, keeps_contexts_while_there_is_room)
{
    /* ws_deflate.h: past the cap a connection needs no memory, so it agrees on none */
    cr_expect_str_eq(open_with("/chat", EXTENSIONS PMD "; client_max_window_bits\r\n"),
                     PMD "; client_max_window_bits=12");
    cr_expect_gt(compressor.pool.contexts_bytes, 0);
    size_t promised = compressor.pool.contexts_bytes;
    fw_session_clear(&fake.session);
    cr_expect_eq(compressor.pool.contexts_bytes, 0);
    compressor.pool.contexts_bytes_max = promised; /* less than the largest may need */
    fw_session_init(&fake.session, &fake.host);
    cr_expect_str_eq(open_with("/chat", EXTENSIONS PMD "; client_max_window_bits\r\n"),
                     PMD "; server_no_context_takeover; client_no_context_takeover");
}

Test(ws_session_takeover, gives_the_contexts_back_when_the_program_says_no)
{
    fake.answer = 403;
    fake_host_handshake(&fake, "/chat", EXTENSIONS PMD "\r\n");
    cr_expect(strncmp(fake_host_sent(&fake), "HTTP/1.1 403 ", 13) == 0);
    cr_expect_eq(compressor.pool.contexts_bytes, 0);
}

Test(ws_session_takeover, gives_the_contexts_back_when_a_topic_is_refused)
{
    fake_host_handshake(&fake, "/topics/not~a~name", EXTENSIONS PMD "\r\n");
    cr_expect(strncmp(fake_host_sent(&fake), "HTTP/1.1 400 ", 13) == 0, "%s",
              fake_host_sent(&fake));
    cr_expect_eq(compressor.pool.contexts_bytes, 0);
}

Test(ws_session_takeover, gives_the_contexts_back_at_the_end_of_the_connection)
{
    agree_on(PMD);
    say_text(tick);
    send_text(tick);
    cr_expect_gt(compressor.pool.contexts_bytes, 0);
    fake_host_frame(&fake, WS_FIN | FW_WS_CLOSE, "\x03\xe8");
    cr_expect_eq(compressor.pool.contexts_bytes, 0);
}

/* ---- in -------------------------------------------------------------------------------------- */

Test(ws_session_deflate, tells_what_a_message_was_before_it_was_compressed)
{
    /* RFC 7692, section 7.2.2 */
    agree_on(PMD);
    say_text("Hello");
    say(BINARY, "\x00\x01", 2);
    say_text("");
    fake_host_frame(&fake, TEXT, "plain");
    say_text("Hello");
    cr_expect_str_eq(fake.told, "text(Hello) binary(\\x00\\x01) text() text(plain) text(Hello)");
    cr_expect_eq(fake.host.messages_received, 5);
}

Test(ws_session_takeover, tells_what_refers_to_earlier_messages)
{
    /* RFC 7692, section 7.2.3.2 */
    agree_on(PMD);
    fake_host_frame_bytes(&fake, TEXT | FW_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    fake_host_frame_bytes(&fake, TEXT | FW_WS_RSV1, "\xf2\x00\x11\x00\x00", 5);
    cr_expect_str_eq(fake.told, "text(Hello) text(Hello)");
}

Test(ws_session_deflate, refuses_what_refers_to_earlier_messages_when_none_are_kept)
{
    agree_on(PMD);
    fake_host_frame_bytes(&fake, TEXT | FW_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    fake_host_frame_bytes(&fake, TEXT | FW_WS_RSV1, "\xf2\x00\x11\x00\x00", 5);
    cr_expect_str_eq(fake.told, "text(Hello) closed(1007)");
    cr_expect_str_eq(got(), "close(1007)");
}

Test(ws_session_deflate, puts_fragments_together_before_it_inflates)
{
    /* RFC 7692, section 7.2.3.1: "Hello" cut after three octets, a ping between */
    agree_on(PMD);
    fake_host_frame_bytes(&fake, FW_WS_TEXT | FW_WS_RSV1, "\xf2\x48\xcd", 3);
    fake_host_frame(&fake, WS_FIN | FW_WS_PING, "p");
    fake_host_frame_bytes(&fake, WS_FIN | FW_WS_CONTINUATION, "\xc9\xc9\x07\x00", 4);
    cr_expect_str_eq(fake.told, "text(Hello)");
}

Test(ws_session_deflate, refuses_rsv1_behind_the_first_frame)
{
    /* RFC 7692, section 6.1 */
    agree_on(PMD);
    fake_host_frame_bytes(&fake, FW_WS_TEXT | FW_WS_RSV1, "\xf2\x48\xcd", 3);
    fake_host_frame_bytes(&fake, WS_FIN | FW_WS_CONTINUATION | FW_WS_RSV1, "\xc9\xc9\x07\x00", 4);
    cr_expect_str_eq(got(), "close(1002)");
}

Test(ws_session_deflate, closes_over_what_is_malformed)
{
    /* RFC 7692, section 7.2.2; RFC 6455, section 7.4.1: 1007 */
    static const struct {
        const char *payload;
        size_t bytes;
    } cases[] = {{"", 0}, {"\x07", 1}, {"\xf2\x48\xcd", 3}, {"Hello", 5}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        agree_on(PMD);
        fake_host_frame_bytes(&fake, BINARY | FW_WS_RSV1, cases[i].payload, cases[i].bytes);
        cr_expect_str_eq(got(), "close(1007)", "case %zu", i);
        clear();
        make_without();
    }
}

Test(ws_session_deflate, judges_text_after_inflating)
{
    /* RFC 6455, section 8.1: wrong in the middle, cut short at the end, both allowed in binary */
    static const char *const wrong[] = {"ab\xff", "\xc3", "\xe2\x82", "\xed\xa0\x80 surrogate"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        agree_on(PMD);
        say(BINARY, wrong[i], strlen(wrong[i]));
        cr_expect_str_eq(got(), "");
        say(TEXT, wrong[i], strlen(wrong[i]));
        cr_expect_str_eq(got(), "close(1007)", "case %zu", i);
        clear();
        make_without();
    }
    agree_on(PMD);
    say_text("\xe2\x82\xac");
    cr_expect_str_eq(fake.told, "text(\\xe2\\x82\\xac)");
}

Test(ws_session_deflate, judges_text_that_is_cut_by_its_own_steps)
{
    /* A code point of three octets across every edge of the 16 KiB that are inflated at once. */
    static char text[3 * 16384 + 1];
    agree_on(PMD);
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', shift);
        size_t count = (sizeof text - 1 - shift) / 3 * 3;
        for (size_t i = 0; i < count; i += 3)
            memcpy(text + shift + i, "\xe2\x82\xac", 3);
        say(TEXT, text, shift + count);
        cr_expect_neq(fake.told[0], '\0');
        cr_expect_str_eq(got(), "");
        fake_host_forget(&fake);
        peer.read = 0;
    }
}

Test(ws_session_deflate, counts_the_limit_in_inflated_octets)
{
    /* security: the limit and the close code, one octet to either side */
    static char text[FW_MESSAGE_BYTES_DEFAULT + 2];
    agree_on(PMD);
    memset(text, 'a', sizeof text);
    say(TEXT, text, FW_MESSAGE_BYTES_DEFAULT);
    cr_expect_str_eq(fake.told, "text(#65536)");
    cr_expect_str_eq(got(), "");
    say(TEXT, text, FW_MESSAGE_BYTES_DEFAULT + 1);
    cr_expect_str_eq(got(), "close(1009)");
}

/* Fills with octets that do not compress. */
static void fill_random(uint8_t *out, size_t bytes)
{
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < bytes; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out[i] = (uint8_t)(state >> 32);
    }
    out[0] = out[bytes - 1] = 0;
}

Test(ws_session_deflate, takes_a_message_of_the_limit_that_compression_made_longer)
{
    /* Noise becomes longer on the wire; the limit is on the message. */
    static uint8_t noise[FW_MESSAGE_BYTES_DEFAULT];
    agree_on(PMD);
    fill_random(noise, sizeof noise);
    say(BINARY, noise, sizeof noise);
    cr_expect_str_eq(fake.told, "binary(#65536)");
    fake_host_frame_bytes(&fake, BINARY, noise, sizeof noise);
    cr_expect_str_eq(fake.told, "binary(#65536) binary(#65536)");
}

Test(ws_session_deflate, refuses_longer_messages_on_their_announced_length)
{
    /* Whatever it becomes, nothing of the limit can be so long on the wire. */
    static uint8_t header[] = {0xc2, 0xff, 0, 0, 0, 0, 0, 1, 0x40, 0, 1, 2, 3, 4};
    agree_on(PMD);
    fake_host_receive(&fake, header, sizeof header);
    cr_expect_str_eq(got(), "close(1009)");
}

Test(ws_session_deflate, refuses_plain_messages_over_the_limit_as_ever)
{
    static char text[FW_MESSAGE_BYTES_DEFAULT + 1];
    agree_on(PMD);
    fake_host_frame_bytes(&fake, BINARY, text, sizeof text);
    cr_expect_str_eq(got(), "close(1009)");
}

Test(ws_session_deflate, gives_large_memory_back_when_the_message_is_told)
{
    static char text[1 << 20];
    clear();
    make_without();
    compressor.message_bytes_max = 1 << 20;
    agree_on(PMD);
    say(BINARY, text, sizeof text);
    cr_expect_str_eq(fake.told, "binary(#1048576)");
    cr_expect_eq(compressor.inflated_room, FW_INFLATED_BYTES_KEPT);
    say(BINARY, text, 1000);
    cr_expect_str_eq(fake.told, "binary(#1048576) binary(#1000)");
}

Test(ws_session_deflate, inflates_nothing_after_it_has_said_close)
{
    /* RFC 6455, section 5.5.1 */
    agree_on(PMD);
    fw_ws_session_close(&fake.session, 1000, (struct fw_bytes){0});
    fake_host_frame_bytes(&fake, TEXT | FW_WS_RSV1, "\x07", 1);
    cr_expect_str_eq(got(), "close(1000)");
}

/* ---- out ------------------------------------------------------------------------------------- */

Test(ws_session_deflate, compresses_what_it_sends_when_that_helps)
{
    /* RFC 7692, section 6.1: message by message */
    static uint8_t noise[5000];
    agree_on(PMD);
    fill_random(noise, sizeof noise);
    send_text("short");
    send_text(tick);
    cr_assert_eq(
        fw_ws_session_send(&fake.session, FW_WS_BINARY, (struct fw_bytes){noise, sizeof noise}), 0);
    send_text("");
    send_text(tick);
    cr_expect_str_eq(got(), "plain(short) packed(tick) plain(#5000 0000) plain() "
                            "packed(tick)");
}

Test(ws_session_deflate, writes_each_length_of_header_right)
{
    /* The header is shorter than that of the message itself: 126 becomes 125, 65536 becomes less.
     */
    static char text[300000];
    agree_on(PMD);
    fake.rules.output_bytes_max = 1 << 20;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "abcdefghij klmnop"[i * i / 5 % 17];
    static const size_t sizes[] = {96, 125, 126, 127, 200, 300, 65535, 65536, 70000, 300000};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char wanted[64];
        cr_assert_eq(fw_ws_session_send(&fake.session, FW_WS_TEXT,
                                        (struct fw_bytes){(uint8_t *)text, sizes[i]}),
                     0);
        snprintf(wanted, sizeof wanted, "packed(#%zu %02x%02x)", sizes[i], text[0],
                 text[sizes[i] - 1]);
        cr_expect_str_eq(got(), wanted);
    }
}

Test(ws_session_deflate, echoes_what_came_compressed_or_not)
{
    static char text[9000];
    static uint8_t noise[9000];
    agree_on(PMD);
    fake.on_message = echo;
    memset(text, 'e', sizeof text);
    fill_random(noise, sizeof noise);
    say(TEXT, text, sizeof text);
    fake_host_frame_bytes(&fake, TEXT, text, sizeof text);
    say(BINARY, noise, sizeof noise);
    fake_host_frame_bytes(&fake, BINARY, noise, sizeof noise);
    say_text("hi");
    cr_expect_str_eq(got(),
                     "packed(#9000 6565) packed(#9000 6565) plain(#9000 0000) plain(#9000 0000) "
                     "plain(hi)");
    /* Nine octets of a message that was put together from two frames. */
    fake_host_frame_bytes(&fake, FW_WS_TEXT, text, 4500);
    fake_host_frame_bytes(&fake, WS_FIN | FW_WS_CONTINUATION, text, 4500);
    cr_expect_str_eq(got(), "packed(#9000 6565)");
}

Test(ws_session_takeover, refers_to_what_it_sent_before)
{
    agree_on(PMD);
    send_text(tick);
    cr_expect_str_eq(got(), "packed(tick)");
    size_t first = fake.sent_count;
    send_text(tick);
    cr_expect_str_eq(got(), "packed(tick)");
    cr_expect_lt(fake.sent_count - first, 12, "%zu octets", fake.sent_count - first);
    send_text("{\"symbol\":\"ALDR\"}");
    cr_expect_str_eq(got(), "packed({\"symbol\":\"ALDR\"})", "short ones too");
}

Test(ws_session_takeover, keeps_to_no_takeover_in_the_direction_that_asked_for_it)
{
    /* RFC 7692, section 7.1.1.1 */
    agree_on(PMD "; server_no_context_takeover");
    cr_expect(!peer.agreed.peer_takeover && peer.agreed.own_takeover);
    say_text("Hello");
    say_text("Hello");
    cr_expect_str_eq(fake.told, "text(Hello) text(Hello)");
    for (int i = 0; i < 3; i++) {
        send_text(tick); /* the peer forgets everything between two messages */
        cr_expect_str_eq(got(), "packed(tick)");
    }
}

Test(ws_session_takeover, does_not_refer_behind_a_message_that_everybody_got)
{
    /* The shared encoding stands in the peer's window, and not in ours. */
    agree_on(PMD);
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("ticks")), 0);
    for (int round = 0; round < 3; round++) {
        send_text(tick);
        send_text(tick);
        publish("ticks", tick_2, false);
        send_text(tick);
        send_text(tick_2);
        publish("ticks", tick, false);
        publish("ticks", "short", false);
        cr_expect_str_eq(got(), "packed(tick) packed(tick) packed(tick 2) "
                                "packed(tick) packed(tick 2) packed(tick) "
                                "plain(short)");
    }
}

Test(ws_session_takeover, does_not_refer_behind_a_long_message_that_was_compressed_fast)
{
    static char text[50000];
    agree_on(PMD);
    memset(text, 't', sizeof text);
    for (int round = 0; round < 3; round++) {
        send_text(tick);
        cr_assert_eq(fw_ws_session_send(&fake.session, FW_WS_TEXT,
                                        (struct fw_bytes){(uint8_t *)text, sizeof text}),
                     0);
        send_text(tick);
        send_text(tick);
        cr_expect_str_eq(got(), "packed(tick) packed(#50000 7474) packed(tick) "
                                "packed(tick)");
    }
}

Test(ws_session_takeover, does_not_refer_to_what_it_sent_uncompressed_after_all)
{
    static uint8_t noise[3000];
    agree_on(PMD);
    fill_random(noise, sizeof noise);
    for (int round = 0; round < 3; round++) {
        send_text(tick);
        cr_assert_eq(
            fw_ws_session_send(&fake.session, FW_WS_BINARY, (struct fw_bytes){noise, sizeof noise}),
            0);
        send_text(tick);
        cr_expect_str_eq(got(), "packed(tick) plain(#3000 0000) packed(tick)");
    }
}

/* ---- topics ---------------------------------------------------------------------------------- */

Test(ws_session_deflate, gets_published_messages_in_its_encoding)
{
    fake_host_handshake(&fake, "/topics/ticks", EXTENSIONS PMD "; server_max_window_bits=9\r\n");
    cr_assert(strncmp(fake_host_sent(&fake), "HTTP/1.1 101 ", 13) == 0);
    fake_host_forget(&fake);
    peer.read = 0;
    cr_expect_eq(fake.session.subscriptions[0].encoding, 3);
    publish("ticks", tick, false);
    publish("ticks", "short", false);
    publish("ticks", tick, false);
    cr_expect_str_eq(got(), "packed(tick) plain(short) packed(tick)");
}

Test(ws_session_deflate, gets_secret_messages_uncompressed)
{
    /* security: CRIME, BREACH: a length must not tell of a secret */
    agree_on(PMD);
    cr_assert_eq(fw_session_subscribe(&fake.session, fw_bytes_of("ticks")), 0);
    publish("ticks", tick, true);
    cr_expect_str_eq(got(), "plain(tick)");
}

/* ---- memory ---------------------------------------------------------------------------------- */

Test(ws_session_deflate_memory, that_is_refused_ends_one_session_at_most)
{
    /* base/mem.h: allocation k fails, for every k; what is told and sent is whole, or not at all */
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        make_with_contexts();
        peer.agreed = (struct fw_ws_deflate){15, 15, true, true};
        fail_mem_at(k, FAIL_ONCE);
        fake_host_handshake(&fake, "/topics/ticks", EXTENSIONS PMD "\r\n");
        failed = fail_mem_off();
        const char *sent = fake_host_sent(&fake);
        bool open = strstr(sent, " 101 ") != NULL;
        peer.agreed.own_takeover = peer.agreed.peer_takeover =
            open && strstr(sent, "no_context_takeover") == NULL;
        fake_host_forget(&fake);
        peer.read = 0;
        if (!open) {
            cr_expect(failed);
            clear();
            continue;
        }
        static const char *const all = "text(Hello) text(Hello)";
        fail_mem_at(k, FAIL_ONCE);
        fake.on_message = NULL;
        fake_host_frame_bytes(&fake, TEXT | FW_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
        if (!fake.gone && !fake.shut && fake.session.phase == FW_PHASE_OPEN) {
            fw_ws_session_send(&fake.session, FW_WS_TEXT, fw_bytes_of(tick));
            fake_host_flush(&fake);
        }
        failed = fail_mem_off() || failed;
        fake_host_frame_bytes(&fake, TEXT | FW_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
        const char *said = got();
        if (!failed) {
            cr_expect_str_eq(fake.told, all);
            cr_expect_str_eq(said, "packed(tick)");
        } else {
            cr_expect(strstr(fake.told, "text(Hello)") != NULL || fake.shut || fake.gone, "%u: %s",
                      k, fake.told);
        }
        clear();
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
    make(contexts_bytes_max);
    agree_on(PMD);
    /* Blocks that end on an octet's edge, repeated: 48 of 32 KiB each make 1.5 MiB of zeros. */
    cr_assert_eq(fw_ws_deflate_pool_init(&pool, 0), 0);
    ssize_t count = fw_ws_deflater_pack(fw_ws_deflate_pool_deflater(&pool, 1),
                                        (struct fw_bytes){zeros, 32 * 1024}, true, packed, 1000);
    cr_assert_gt(count, 0);
    memcpy(packed + count, "\x00\x00\xff\xff", 4);
    size_t piece = (size_t)count + 4;
    size_t bytes = piece;
    for (int i = 1; i < 48; i++, bytes += piece)
        memcpy(packed + bytes, packed, piece);
    fw_ws_deflate_pool_clear(&pool);
    struct ws_stream stream = {0};
    ws_stream_frame(&stream, BINARY | FW_WS_RSV1 | WS_MASKED, packed, bytes - 4);
    allocated_bytes = 0;
    fw_mem_hook(count_heap);
    double start = cpu_ms();
    fake_host_receive(&fake, stream.bytes, stream.bytes_count);
    double took = cpu_ms() - start;
    fw_mem_hook(NULL);
    cr_expect_str_eq(got(), "close(1009)");
    cr_expect_leq(allocated_bytes, 64 * 1024 + 256 * 1024 + 64, "%zu, the arena's block among them",
                  allocated_bytes);
    cr_expect_lt(took, 5.0, "%.2f ms", took);
    cr_log_info("a bomb of %zu octets: %zu octets of heap, %.3f ms", bytes, allocated_bytes, took);
    ws_stream_clear(&stream);
    clear();
}

Test(ws_session_deflate_memory, that_a_bomb_costs_is_bounded)
{
    /* websockets CVE-2018-1000518: the limit is on what a message becomes, found out in steps */
    bomb(0);
    bomb(1 << 20);
}
