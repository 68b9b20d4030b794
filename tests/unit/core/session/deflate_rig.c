/* deflate_rig.c: see deflate_rig.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/core/session/deflate_rig.h"

#include "proto/ws_frame.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct deflate_rig rig;

/* Texts that compress. */
const char tick[] = "{\"symbol\":\"ALDR\",\"price\":120.25,\"change\":-1.5,\"volume\":1200,"
                    "\"side\":\"buy\",\"symbol\":\"ALDR\",\"price\":120.50,\"change\":-1.25}";
const char tick_2[] = "{\"symbol\":\"ALDR\",\"price\":120.75,\"change\":-1.0,\"volume\":1800,"
                      "\"side\":\"buy\",\"symbol\":\"ALDR\",\"price\":120.50,\"change\":-1.25}";

void rig_make(size_t contexts_bytes_max)
{
    const struct fw_ws_deflate both = {15, 15, true, true};
    fake_host_init(&rig.fake);
    rig.fake.rules.ws.compressed_bytes_max =
        fw_ws_deflate_wire_bytes_max(rig.fake.rules.ws.message_bytes_max);
    cr_assert_eq(fw_compressor_init(&rig.compressor, rig.fake.rules.ws.message_bytes_max,
                                    contexts_bytes_max),
                 0);
    rig.fake.host.compressor = &rig.compressor;
    memset(&rig.peer, 0, sizeof rig.peer);
    cr_assert_eq(fw_ws_deflate_pool_init(&rig.peer.pool, 1 << 20), 0);
    rig.peer.context = fw_ws_deflate_context_create(&rig.peer.pool, &both);
    fw_ws_decoder_init(&rig.peer.decoder, true);
}

void rig_make_with_contexts(void)
{
    rig_make(1 << 20);
}

void rig_make_without(void)
{
    rig_make(0);
}

void rig_clear(void)
{
    fake_host_clear(&rig.fake);
    cr_expect_eq(rig.compressor.pool.contexts_bytes, 0, "a context was not given back");
    fw_compressor_clear(&rig.compressor);
    fw_ws_decoder_clear(&rig.peer.decoder);
    fw_ws_deflate_context_destroy(&rig.peer.pool, rig.peer.context);
    fw_ws_deflate_pool_clear(&rig.peer.pool);
}

/* Opens with an offer; the answer's extension, or "" when it has none. */
const char *rig_open_with(const char *path, const char *lines)
{
    static char answer[256];
    fake_host_handshake(&rig.fake, path, lines);
    const char *sent = fake_host_sent(&rig.fake);
    cr_assert(strncmp(sent, "HTTP/1.1 101 ", 13) == 0, "%s", sent);
    const char *found = strstr(sent, EXTENSIONS);
    snprintf(answer, sizeof answer, "%.*s",
             found == NULL ? 0 : (int)strcspn(found + strlen(EXTENSIONS), "\r"),
             found == NULL ? "" : found + strlen(EXTENSIONS));
    fake_host_forget(&rig.fake);
    rig.peer.read = 0;
    return answer;
}

void rig_agree_on(const char *offer)
{
    const struct fw_ws_deflate_offer all = {.client_bits = 15};
    char lines[256];
    snprintf(lines, sizeof lines, EXTENSIONS "%s\r\n", offer);
    const char *answer = rig_open_with("/chat", lines);
    cr_assert_eq(fw_ws_deflate_verify(fw_bytes_of(answer), &all, &rig.peer.agreed), 0, "%s",
                 answer);
}

/* The peer says a message, compressed as it may be. */
void rig_say(unsigned bits, const void *payload, size_t bytes)
{
    struct fw_ws_deflater *deflater = fw_ws_deflate_context_deflater(rig.peer.context);
    ssize_t count =
        fw_ws_deflater_pack(deflater, (struct fw_bytes){payload, bytes},
                            !rig.peer.agreed.own_takeover, rig.packed, sizeof rig.packed);
    cr_assert_gt(count, 0);
    fake_host_frame_bytes(&rig.fake, bits | FW_WS_RSV1, rig.packed, (size_t)count);
}

void rig_say_text(const char *text)
{
    rig_say(TEXT, text, strlen(text));
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    va_list values;
    size_t used = strlen(rig.peer.got);
    va_start(values, format);
    vsnprintf(rig.peer.got + used, sizeof rig.peer.got - used, format, values);
    va_end(values);
}

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
    struct fw_ws_inflater *inflater = fw_ws_deflate_context_inflater(rig.peer.context);
    size_t count = 0;
    ssize_t said;
    fw_ws_inflater_begin(inflater, (struct fw_bytes){event->bytes, event->bytes_count}, sizeof out,
                         !rig.peer.agreed.peer_takeover);
    while ((said = fw_ws_inflater_next(inflater, out + count, sizeof out - count)) > 0)
        count += (size_t)said;
    cr_assert_eq(said, 0, "the peer cannot inflate it: %s", fw_status_text((int)said));
    note_message("packed", out, count);
}

/* What the peer got since the last call, as text. */
const char *rig_got(void)
{
    static const struct fw_ws_rules rules = {.message_bytes_max = 1 << 30, .client = true};
    struct fw_ws_event event;
    fake_host_flush(&rig.fake);
    uint8_t *copy = malloc(rig.fake.sent_count + 1);
    memcpy(copy, rig.fake.sent, rig.fake.sent_count);
    uint8_t *in = copy + rig.peer.read;
    size_t in_bytes = rig.fake.sent_count - rig.peer.read;
    rig.peer.got[0] = '\0';
    do {
        fw_ws_decoder_next(&rig.peer.decoder, &rules, &in, &in_bytes, &event);
        if (event.kind == FW_WS_MESSAGE && event.compressed)
            note_compressed(&event);
        else if (event.kind == FW_WS_MESSAGE)
            note_message("plain", event.bytes, event.bytes_count);
        else if (event.kind == FW_WS_GOT_CLOSE)
            note("close(%u) ", event.close_code);
        else if (event.kind != FW_WS_NEED_MORE)
            note("event %d, status %d ", (int)event.kind, event.status);
    } while (event.kind != FW_WS_NEED_MORE);
    rig.peer.read = rig.fake.sent_count;
    free(copy);
    if (rig.peer.got[0] != '\0')
        rig.peer.got[strlen(rig.peer.got) - 1] = '\0';
    return rig.peer.got;
}

void rig_echo(struct fake_host *host, uint8_t type, const uint8_t *bytes, size_t count)
{
    cr_assert_eq(fw_ws_session_send(&host->session, type, (struct fw_bytes){bytes, count}), 0);
}

void rig_send_text(const char *text)
{
    cr_assert_eq(fw_ws_session_send(&rig.fake.session, FW_WS_TEXT, fw_bytes_of(text)), 0);
}

/* Publishes as a worker's fan-out does, to a topic that the session is subscribed to. */
void rig_publish_bytes(const char *topic, uint8_t type, struct fw_bytes payload, bool secret)
{
    struct fw_hub hub;
    struct fw_msg *msg = fw_msg_create(type, payload);
    const struct fw_ws_header header = {
        .payload_bytes = payload.count, .opcode = type, .fin = true};
    msg->frame_at = (uint8_t)(FW_MSG_HEADROOM - fw_ws_header_bytes(payload.count, false));
    fw_ws_header_encode(&header, msg->data + msg->frame_at);
    msg->secret = secret;
    fw_hub_init(&hub, fw_session_deliver);
    hub.encode = fw_session_encode;
    hub.encoder = &rig.compressor;
    for (unsigned i = 0; i < rig.fake.topics_count; i++) {
        if (fw_bytes_equal(rig.fake.topics[i]->node.name, fw_bytes_of(topic)))
            fw_hub_fan_out(&hub, rig.fake.topics[i]->interests[0].local, &msg, 1);
    }
}

void rig_publish(const char *topic, const char *text, bool secret)
{
    rig_publish_bytes(topic, FW_WS_TEXT, fw_bytes_of(text), secret);
}

/* Fills with octets that do not compress. */
void rig_fill_random(uint8_t *out, size_t bytes)
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
