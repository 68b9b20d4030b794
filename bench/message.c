/* message.c: what the load says.
 *
 * NATS (docs.nats.io, "Client Protocol") is a stream of lines and counted payloads, cut into
 * WebSocket messages as it comes. Socket.IO 5 in Engine.IO 4 (socket.io/docs, "protocol") has one
 * packet a message: an event is `42["name","text"]`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "message.h"
#include "support.h"

#include "proto/ws_frame.h"

#include <fanwire/status.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct fw_ws_deflate_offer bench_deflate_offer = {.client_no_takeover = true};

/* ---- the text -------------------------------------------------------------------------------- */

/* Longer than a packed message looks back with the windows that feeds are worth. */
#define TEXT_BYTES 8192

static char text[TEXT_BYTES + 128];
static pthread_once_t text_once = PTHREAD_ONCE_INIT;

static void make_text(void)
{
    static const char *const symbols[] = {"ALDR", "BIRC", "CEDR", "DOGW", "ELMT", "FNWR",
                                          "GORS", "HAZL", "IVYX", "JUNP", "KAPK", "LARC"};
    uint64_t random = 88172645463325252;
    uint64_t at_ms = 1718000000123;
    for (size_t at = 0; at < TEXT_BYTES;) {
        random ^= random << 13; /* xorshift: the same everywhere */
        random ^= random >> 7;
        random ^= random << 17;
        at_ms += random % 50;
        at += (size_t)snprintf(
            text + at, sizeof text - at,
            "symbol:%s,price:%llu.%02llu,change:%llu.%02llu,volume:%llu,side:%s,"
            "at:%llu;",
            symbols[random % 12], (unsigned long long)(random >> 8) % 400,
            (unsigned long long)(random >> 20) % 100, (unsigned long long)(random >> 30) % 5,
            (unsigned long long)(random >> 36) % 100, (unsigned long long)(random >> 42) % 100000,
            random >> 63 ? "buy" : "sell", (unsigned long long)at_ms);
    }
}

void bench_text_write(uint8_t *out, size_t at, size_t count)
{
    pthread_once(&text_once, make_text);
    while (count > 0) {
        size_t place = at % TEXT_BYTES;
        size_t take = count < TEXT_BYTES - place ? count : TEXT_BYTES - place;
        memcpy(out, text + place, take);
        out += take;
        at += take;
        count -= take;
    }
}

bool bench_text_good(const uint8_t *bytes, size_t at, size_t count)
{
    pthread_once(&text_once, make_text);
    while (count > 0) {
        size_t place = at % TEXT_BYTES;
        size_t take = count < TEXT_BYTES - place ? count : TEXT_BYTES - place;
        if (memcmp(bytes, text + place, take) != 0)
            return false;
        bytes += take;
        at += take;
        count -= take;
    }
    return true;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Packs a message by itself.
 *
 * returns      its octets in a block that the caller frees; NULL when it would not be shorter
 */
static uint8_t *pack(const uint8_t *message, size_t bytes, size_t *packed_bytes_out)
{
    struct fw_ws_deflate_pool pool;
    if (bytes < 2)
        return NULL;
    if (fw_ws_deflate_pool_init(&pool, 0) != 0)
        bench_die("out of memory for permessage-deflate");
    struct fw_ws_deflater *deflater = fw_ws_deflate_pool_deflater(&pool, 1);
    if (deflater == NULL)
        bench_die("out of memory for permessage-deflate");
    uint8_t *packed = bench_alloc(1, bytes + FW_WS_DEFLATE_SPARE_BYTES);
    ssize_t result = fw_ws_deflater_pack(deflater, (struct fw_bytes){message, bytes}, true, packed,
                                         bytes - 1 + FW_WS_DEFLATE_SPARE_BYTES);
    fw_ws_deflate_pool_clear(&pool);
    if (result < 0) {
        free(packed);
        return NULL;
    }
    *packed_bytes_out = (size_t)result;
    return packed;
}

static void frames(struct bench_pattern *pattern, bool deflate, uint8_t opcode,
                   const uint8_t *message, size_t bytes, uint32_t units)
{
    size_t packed_bytes;
    uint8_t *packed = deflate ? pack(message, bytes, &packed_bytes) : NULL;
    if (packed == NULL)
        bench_pattern_frames(pattern, opcode, message, bytes, units);
    else
        bench_pattern_frames(pattern, opcode | FW_WS_RSV1, packed, packed_bytes, units);
    free(packed);
}

void bench_message_pattern(struct bench_pattern *pattern, const struct bench_url *url, bool is_text,
                           const uint8_t *payload, size_t payload_bytes, uint32_t units)
{
    static const char before[] = "42[\"m\",\"";
    static const char after[] = "\"]";
    if (url->dialect == BENCH_BARE) {
        frames(pattern, url->deflate, is_text ? FW_WS_TEXT : FW_WS_BINARY, payload, payload_bytes,
               units);
        return;
    }
    if (url->dialect == BENCH_NATS)
        bench_misuse("NATS sends nothing back: it takes part in fanout and idle");
    size_t bytes = sizeof before - 1 + payload_bytes + sizeof after - 1;
    uint8_t *event = bench_alloc(1, bytes);
    memcpy(event, before, sizeof before - 1);
    memcpy(event + sizeof before - 1, payload, payload_bytes);
    memcpy(event + sizeof before - 1 + payload_bytes, after, sizeof after - 1);
    frames(pattern, url->deflate, FW_WS_TEXT, event, bytes, units);
    free(event);
}

/* ---- dialects -------------------------------------------------------------------------------- */

/* A path as a NATS subject: "/topics/a" is "topics.a". */
static void write_subject(const char *path, char *subject)
{
    for (path += *path == '/'; *path != '\0'; path++)
        *subject++ = *path == '/' ? '.' : *path;
    *subject = '\0';
}

void bench_dialect_target(const struct bench_url *url, char *target_out)
{
    int bytes = 0;
    switch (url->dialect) {
    case BENCH_BARE:
        bytes = snprintf(target_out, BENCH_PATH_BYTES, "%s", url->path);
        break;
    case BENCH_NATS:
        bytes = snprintf(target_out, BENCH_PATH_BYTES, "/");
        break;
    case BENCH_SOCKET_IO:
        bytes = snprintf(target_out, BENCH_PATH_BYTES,
                         "/socket.io/?EIO=4&transport=websocket&topic=%s", url->path);
        break;
    }
    if (bytes >= BENCH_PATH_BYTES)
        bench_misuse("the URL's path is too long");
}

void bench_dialect_patterns(const struct bench_url *url, struct bench_pattern *greeting,
                            struct bench_pattern *pulse)
{
    char words[BENCH_PATH_BYTES + 128];
    char subject[BENCH_PATH_BYTES];
    if (url->dialect == BENCH_NATS) {
        write_subject(url->path, subject);
        int bytes =
            snprintf(words, sizeof words,
                     "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\n"
                     "%s%s%sPING\r\n",
                     *subject == '\0' ? "" : "SUB ", subject, *subject == '\0' ? "" : " 1\r\n");
        bench_pattern_frames(greeting, FW_WS_BINARY, (const uint8_t *)words, (size_t)bytes, 1);
        bench_pattern_frames(pulse, FW_WS_BINARY, (const uint8_t *)"PONG\r\n", 6, 1);
    } else if (url->dialect == BENCH_SOCKET_IO) {
        bench_pattern_frames(greeting, FW_WS_TEXT, (const uint8_t *)"40", 2, 1);
        bench_pattern_frames(pulse, FW_WS_TEXT, (const uint8_t *)"3", 1, 1);
    }
}

size_t bench_nats_publication(const char *path, const uint8_t *payload, size_t payload_bytes,
                              uint8_t *out)
{
    static const char after[] = "\r\nPING\r\n";
    char subject[BENCH_PATH_BYTES];
    char line[BENCH_PATH_BYTES + 32];
    write_subject(path, subject);
    size_t head = (size_t)snprintf(line, sizeof line, "PUB %s %zu\r\n", subject, payload_bytes);
    size_t bytes = head + payload_bytes + sizeof after - 1;
    uint8_t *message = bench_alloc(1, bytes);
    memcpy(message, line, head);
    memcpy(message + head, payload, payload_bytes);
    memcpy(message + head + payload_bytes, after, sizeof after - 1);
    size_t written = bench_frame_write(out, FW_WS_BINARY, message, bytes);
    free(message);
    return written;
}
