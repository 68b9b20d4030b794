/* fuzz_command.c: libFuzzer target of fanwire.v1 (core/session/command.c; fanwire-protocol(7)).
 *
 * Each line is a message of a client of the subprotocol. The oracle: each valid text is answered by
 * one frame, which is JSON, gives the id back and says one thing; what is refused as JSON is what
 * jansson refuses, or is too deep; what is published is what was asked for; and all of it is the
 * same, octet for octet, when the frames come at once or cut anywhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "fuzz/publications.h"
#include "proto/utf8.h"

#define INPUT_BYTES_MAX 4096
#define COMMANDS_MAX    24
#define ID_BYTES_MAX    64

/* ---- what a command may be ------------------------------------------------------------------- */

static json_t *parse(struct fw_bytes text)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    return json_loadb((const char *)text.at, text.count, flags, NULL);
}

/* Levels of objects and arrays. */
static unsigned depth_of(const json_t *value)
{
    unsigned deepest = 0;
    const char *name;
    json_t *member;
    size_t index;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, name, member)
        {
            unsigned depth = depth_of(member);
            deepest = depth > deepest ? depth : deepest;
        }
        return deepest + 1;
    }
    if (!json_is_array(value))
        return 0;
    json_array_foreach(value, index, member)
    {
        unsigned depth = depth_of(member);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

static bool is_string(const json_t *object, const char *name)
{
    return json_is_string(json_object_get(object, name));
}

static void require_id(const json_t *command, const json_t *answer)
{
    const json_t *id = json_object_get(command, "id");
    const json_t *given = json_object_get(answer, "id");
    bool kept =
        json_is_integer(id) || (json_is_string(id) && json_string_length(id) <= ID_BYTES_MAX);
    require(kept ? json_equal(id, given) : json_is_null(given), "the id is given back");
}

/* An answer to what is an object: it says what was asked, or an error. */
static void require_says(const json_t *command, const json_t *answer)
{
    static const char *const verbs[][2] = {
        {"subscribe", "subscribed"}, {"unsubscribe", "unsubscribed"}, {"publish", "published"}};
    unsigned asked = json_object_get(command, "ping") != NULL;
    unsigned said = json_object_get(answer, "pong") != NULL;
    require(!said || asked, "a pong for a ping");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        const json_t *done = json_object_get(answer, verbs[i][1]);
        asked += is_string(command, verbs[i][0]);
        said += done != NULL;
        require(done == NULL || json_equal(done, json_object_get(command, verbs[i][0])),
                "what was done was asked for");
    }
    bool failed = is_string(answer, "error") && is_string(answer, "message");
    require(said + failed == 1, "it says one thing");
    require(asked == 1 || failed, "one verb");
}

static void require_answer(struct fw_bytes message, struct fw_bytes text)
{
    json_t *answer = parse(text);
    json_t *command = parse(message);
    size_t published = noted_count;
    require(text.count > 0 && text.at[text.count - 1] == '\n', "an answer is a line");
    require(json_is_object(answer), "an answer is an object");
    const char *error = json_string_value(json_object_get(answer, "error"));
    bool good = json_is_object(command) && depth_of(command) <= FW_JSON_DEPTH_MAX;
    require(good == (error == NULL || strcmp(error, "json") != 0), "what JSON is");
    if (good) {
        require_id(command, answer);
        require_says(command, answer);
    }
    const json_t *offset = json_object_get(answer, "offset");
    if (json_object_get(answer, "published") != NULL) {
        require(published > 0 &&
                    json_integer_value(offset) == (json_int_t)(published - 1) + NOTED_OFFSET_FIRST,
                "its offset");
        require_publication(command, "publish", &noted[published - 1]);
    }
    json_decref(command);
    json_decref(answer);
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void open_session(struct fake_host *fake)
{
    fake_host_init(fake);
    note_publications(fake);
    fake_host_handshake(fake, "/topics/", "Sec-WebSocket-Protocol: fanwire.v1\r\n");
    require(strstr(fake_host_sent(fake), " 101 ") != NULL, "the handshake");
    fake_host_forget(fake);
}

/* The one frame that was sent: its first octet and its payload (RFC 6455, section 5.2). */
static uint8_t frame_of(const struct fake_host *fake, struct fw_bytes *payload_out)
{
    const uint8_t *at = fake->sent;
    require(fake->sent_count >= 2, "a frame is sent");
    size_t header = at[1] < 126 ? 2 : 4;
    require(at[1] < 127 && fake->sent_count >= header, "a short one");
    size_t count = at[1] < 126 ? at[1] : (size_t)(at[2] << 8 | at[3]);
    require(fake->sent_count == header + count, "and no other");
    *payload_out = (struct fw_bytes){at + header, count};
    return at[0];
}

/* One message, its answer judged; false when it ended the session. */
static bool say(struct fake_host *fake, struct fw_bytes message)
{
    struct fw_bytes payload;
    size_t published = noted_count;
    fake_host_forget(fake);
    fake_host_frame_bytes(fake, WS_FIN | FW_WS_TEXT, message.at, message.count);
    uint8_t first = frame_of(fake, &payload);
    if (!fw_utf8_valid(message.at, message.count)) {
        require(first == (WS_FIN | FW_WS_CLOSE) && payload.count >= 2 && payload.at[0] == 1007 >> 8,
                "what is no text ends it");
        return false;
    }
    require(first == (WS_FIN | FW_WS_TEXT), "a text is answered by a text");
    require(noted_count <= published + 1, "at most one publication");
    require_answer(message, payload);
    return true;
}

/* All frames as they are, in pieces of at most so many octets; returns what was sent. */
static uint8_t *live(const struct ws_stream *stream, size_t piece_max, size_t *count_out)
{
    struct fake_host fake;
    uint32_t seed = hash_of(stream->bytes, stream->bytes_count);
    open_session(&fake);
    for (size_t at = 0; at < stream->bytes_count;) {
        seed = seed * 1664525u + 1013904223u;
        size_t left = stream->bytes_count - at;
        size_t piece = piece_max == SIZE_MAX ? left : 1 + (seed >> 16) % piece_max;
        piece = piece < left ? piece : left;
        fake_host_receive(&fake, stream->bytes + at, piece);
        fake_host_flush(&fake);
        at += piece;
    }
    *count_out = fake.sent_count;
    uint8_t *sent = block_of(fake.sent, fake.sent_count);
    fake_host_clear(&fake);
    return sent;
}

static void compare_cuts(const struct ws_stream *stream)
{
    size_t whole_count;
    size_t cut_count;
    uint8_t *whole = live(stream, SIZE_MAX, &whole_count);
    uint8_t *cut = live(stream, 50, &cut_count);
    require(whole_count == cut_count && memcmp(whole, cut, cut_count) == 0, "whole as cut");
    free(whole);
    free(cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake_host fake;
    struct ws_stream stream = {0};
    struct fw_bytes rest = {data, size};
    if (size == 0 || size > INPUT_BYTES_MAX)
        return -1;
    open_session(&fake);
    for (int i = 0; i < COMMANDS_MAX && rest.count > 0; i++) {
        struct fw_bytes message = cut_at(&rest, '\n');
        ws_stream_frame(&stream, WS_FIN | WS_MASKED | FW_WS_TEXT, message.at, message.count);
        if (!say(&fake, message))
            break;
    }
    fake_host_clear(&fake);
    compare_cuts(&stream);
    ws_stream_clear(&stream);
    return 0;
}
