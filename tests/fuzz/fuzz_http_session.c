/* fuzz_http_session.c: libFuzzer target of what a feed answers (core/session/http_session.h).
 *
 * The input is what a client sends: requests of any kind, an upgrade and frames. The oracle: the
 * first answer, and a 100 before it, have a head that our own strict parser takes, with lines of
 * ours alone, each in the form that it has; so nobody splits an answer, and nobody's octets come
 * back in a head. Judged for the input at once and octet by octet. A crash, a sanitizer's finding
 * or another line ends the run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/target.h"
#include "proto/http1.h"
#include "support/fake_host.h"

/* What happens with so many octets fits into the host's notes. */
#define INPUT_BYTES_MAX 900

#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* A header of ours has one of some values, or is made of some characters. */
struct line {
    const char *name;
    const char *values[6];
    const char *characters;
};

static const struct line lines[] = {
    {"access-control-allow-credentials", {"true"}, ""},
    {"access-control-allow-headers",
     {"Authorization, Content-Type, Last-Event-ID, Cache-Control"},
     ""},
    {"access-control-allow-methods", {"GET, HEAD, POST"}, ""},
    {"access-control-allow-origin", {0}, LETTERS DIGITS ":/.-_~[]"},
    {"access-control-expose-headers", {"Fanwire-Position, Fanwire-Topic"}, ""},
    {"access-control-max-age", {"600"}, ""},
    {"allow", {"GET, HEAD, POST"}, ""},
    {"cache-control", {"no-store"}, ""},
    {"connection", {"close", "keep-alive", "Upgrade"}, ""},
    {"content-length", {0}, DIGITS},
    {"content-type",
     {"application/json", "application/octet-stream", "application/x-ndjson", "text/event-stream",
      "text/plain; charset=utf-8"},
     ""},
    {"fanwire-position", {0}, "0123456789abcdef:,"},
    {"fanwire-recovered", {"true", "false"}, ""},
    {"fanwire-topic", {0}, LETTERS DIGITS "_-.:"},
    {"retry-after", {"1"}, ""},
    {"sec-websocket-accept", {0}, LETTERS DIGITS "+/="},
    {"sec-websocket-extensions", {0}, LETTERS DIGITS "-_=; "},
    {"sec-websocket-protocol", {"fanwire.v1"}, ""},
    {"sec-websocket-version", {"13"}, ""},
    {"upgrade", {"websocket"}, ""},
    {"vary", {"Origin"}, ""},
    {"x-accel-buffering", {"no"}, ""},
    {"x-content-type-options", {"nosniff"}, ""},
};

static bool is_of(struct fw_bytes value, const struct line *line)
{
    for (size_t i = 0; i < 6 && line->values[i] != NULL; i++) {
        if (fw_bytes_equal(value, fw_bytes_of(line->values[i])))
            return true;
    }
    size_t some = 0;
    while (some < value.count && value.at[some] != '\0' &&
           strchr(line->characters, value.at[some]) != NULL)
        some++;
    return *line->characters != '\0' && some == value.count;
}

static bool is_ours(struct fw_bytes name, struct fw_bytes value)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (fw_bytes_equal_lower(name, lines[i].name))
            return is_of(value, &lines[i]);
    }
    return false;
}

/* Judges the head at the start of what was sent; how long it is, 0 when nothing was. */
static size_t judge_head(const uint8_t *sent, size_t count, unsigned *status_out)
{
    struct fw_http_head head;
    fw_http_head_init(&head);
    *status_out = 0;
    if (count == 0)
        return 0;
    ssize_t bytes = fw_http_response_parse(&head, sent, count);
    require(bytes > 0, "a whole head");
    for (size_t i = 0; i < head.headers_count; i++)
        require(is_ours(fw_http_bytes(sent, head.headers[i].name),
                        fw_http_bytes(sent, head.headers[i].value)),
                "a line of ours");
    *status_out = head.status;
    return (size_t)bytes;
}

/* One connection, its input in pieces of `piece` octets. */
static void live(const uint8_t *data, size_t size, size_t piece)
{
    static const char *const origins[] = {"https://app.example.com", NULL};
    struct fake_host fake;
    unsigned status;
    fake_host_init(&fake);
    fake.rules.feed = true;
    fake.rules.allow_origins = origins;
    fake_host_receive_pieces(&fake, data, size, piece);
    fake_host_publish(&fake, "a", "x", 1); /* what a poll waits for */
    fake_host_flush(&fake);
    size_t bytes = judge_head(fake.sent, fake.sent_count, &status);
    if (status == 100)
        judge_head(fake.sent + bytes, fake.sent_count - bytes, &status);
    fw_session_ended(&fake.session, 0);
    fake_host_flush(&fake);
    fake_host_clear(&fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX)
        return -1;
    live(data, size, size > 0 ? size : 1);
    live(data, size, 1);
    return 0;
}
