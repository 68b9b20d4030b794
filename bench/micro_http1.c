/* micro_http1.c: what parsing a request head costs, and what the opening handshake adds to it.
 *
 * Each scenario is set against the least that could be done with the same octets: finding the ends
 * of its lines with memchr. The pair runs interleaved (micro.h). A head parsed over and over
 * teaches the branch predictor its every length, so the browser's head also comes as 64 different
 * ones in turn, which is nearer to what a server sees.
 *
 * usage: fanwire-bench micro http1 [rounds]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/micro.h"
#include "bench/micro_all.h"
#include "fanwire/status.h"
#include "proto/http1.h"
#include "proto/ws_handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_DEFAULT 41
#define HEADS_MAX      64

/* Heads that are parsed in turn, one a run. */
struct heads {
    uint8_t *text[HEADS_MAX];
    size_t bytes[HEADS_MAX];
    size_t count;
    size_t turn;
};

/* What a browser sends; the four gaps vary from head to head. */
static const char browser_format[] =
    "GET /topics/%s HTTP/1.1\r\n"
    "Host: feed.example.com\r\n"
    "Connection: Upgrade\r\n"
    "Pragma: no-cache\r\n"
    "Cache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
    "Safari/537.36\r\n"
    "Upgrade: websocket\r\n"
    "Origin: https://%s\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: %s\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

static const char *const topics[] = {"a", "prices.eur?since=now", "room:42", "telemetry-17"};
static const char *const systems[] = {"X11; Linux x86_64", "Windows NT 10.0; Win64; x64",
                                      "Macintosh; Intel Mac OS X 10_15_7", "Linux; Android 10; K"};
static const char *const origins[] = {"www.example.com", "example.org:8443"};
static const char *const languages[] = {"en-US,en;q=0.9", "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7"};

static void heads_add(struct heads *heads, const char *text)
{
    size_t bytes = strlen(text);
    uint8_t *copy = malloc(bytes);
    if (copy == NULL || heads->count == HEADS_MAX)
        abort();
    memcpy(copy, text, bytes);
    heads->text[heads->count] = copy;
    heads->bytes[heads->count++] = bytes;
}

/* `count` heads: all 64 combinations of the gaps, in an order that is not theirs, or the first. */
static void heads_add_browsers(struct heads *heads, size_t count)
{
    char text[1024];
    for (size_t i = 0; i < count; i++) {
        size_t pick = i * 29 % HEADS_MAX;
        snprintf(text, sizeof text, browser_format, topics[pick & 3], systems[pick >> 2 & 3],
                 origins[pick >> 4 & 1], languages[pick >> 5 & 1]);
        heads_add(heads, text);
    }
}

/* The largest head there may be, of long lines. */
static void heads_add_largest(struct heads *heads)
{
    static char text[FW_HTTP_HEAD_BYTES_MAX + 1];
    char *at = stpcpy(text, "GET / HTTP/1.1\r\nHost: a\r\n");
    size_t rest = FW_HTTP_HEAD_BYTES_MAX - (size_t)(at - text) - strlen("\r\n");
    for (size_t lines = 4; lines > 0; lines--) {
        size_t bytes = rest / lines;
        memset(at, 'x', bytes);
        memcpy(at, "Cookie: ", 8);
        memcpy(at + bytes - 2, "\r\n", 2);
        at += bytes;
        rest -= bytes;
    }
    strcpy(at, "\r\n");
    heads_add(heads, text);
}

static size_t next_head(struct heads *heads)
{
    heads->turn = heads->turn + 1 < heads->count ? heads->turn + 1 : 0;
    return heads->turn;
}

static void run_lines(void *context)
{
    struct heads *heads = context;
    size_t i = next_head(heads);
    const uint8_t *at = heads->text[i];
    const uint8_t *end = at + heads->bytes[i];
    while (at != NULL && at < end) {
        at = memchr(at, '\n', (size_t)(end - at));
        micro_touch(at);
        at = at != NULL ? at + 1 : NULL;
    }
}

static void require(bool fact)
{
    if (!fact)
        abort();
}

static void run_parse(void *context)
{
    struct heads *heads = context;
    size_t i = next_head(heads);
    struct fw_http_head head;
    fw_http_head_init(&head);
    require(fw_http_request_parse(&head, heads->text[i], heads->bytes[i]) > 0);
    micro_touch(&head);
}

static void run_drip(void *context)
{
    struct heads *heads = context;
    size_t i = next_head(heads);
    struct fw_http_head head;
    ssize_t result = 0;
    fw_http_head_init(&head);
    for (size_t some = 1; result == 0; some++)
        result = fw_http_request_parse(&head, heads->text[i], some);
    require(result == (ssize_t)heads->bytes[i]);
    micro_touch(&head);
}

static void run_handshake(void *context)
{
    struct heads *heads = context;
    size_t i = next_head(heads);
    struct fw_http_head head;
    char accept[FW_WS_ACCEPT_CHARS];
    char out[512];
    fw_http_head_init(&head);
    require(fw_http_request_parse(&head, heads->text[i], heads->bytes[i]) > 0);
    require(fw_ws_handshake_check(&head, heads->text[i], accept) == 0);
    require(fw_ws_handshake_accept(accept, NULL, NULL, out, sizeof out) > 0);
    micro_touch(out);
}

static void measure(const char *name, void (*run)(void *), struct heads *heads, size_t rounds)
{
    struct micro_contender contenders[] = {{"lines", run_lines, heads}, {name, run, heads}};
    struct micro_result results[2];
    double bytes = 0;
    for (size_t i = 0; i < heads->count; i++)
        bytes += (double)heads->bytes[i] / (double)heads->count;
    micro_compare(contenders, 2, rounds, results);
    printf("%-36s %7.0f %10.1f %9.3f %10.1f %7.2f\n", name, bytes, results[1].ns,
           results[1].ns / bytes, results[0].ns, 1 / results[1].ratio);
}

static void heads_clear(struct heads *heads)
{
    for (size_t i = 0; i < heads->count; i++)
        free(heads->text[i]);
    *heads = (struct heads){.count = 0};
}

int micro_http1(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : ROUNDS_DEFAULT;
    if (argc > 2 || rounds == 0 || rounds > MICRO_ROUNDS_MAX) {
        fprintf(stderr, "usage: fanwire-bench micro http1 [rounds, 1 to %d]\n", MICRO_ROUNDS_MAX);
        return 2;
    }
    static struct heads heads;
    printf("%-36s %7s %10s %9s %10s %7s\n", "request head", "octets", "ns/head", "ns/octet",
           "memchr ns", "ratio");
    heads_add(&heads, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    measure("tiny", run_parse, &heads, rounds);
    heads_clear(&heads);
    heads_add_browsers(&heads, 1);
    measure("browser's upgrade", run_parse, &heads, rounds);
    measure("browser's upgrade, octet by octet", run_drip, &heads, rounds);
    measure("browser's upgrade, check, answer", run_handshake, &heads, rounds);
    heads_clear(&heads);
    heads_add_browsers(&heads, HEADS_MAX);
    measure("64 browsers' upgrades in turn", run_parse, &heads, rounds);
    heads_clear(&heads);
    heads_add_largest(&heads);
    measure("largest", run_parse, &heads, rounds);
    measure("largest, octet by octet", run_drip, &heads, rounds);
    heads_clear(&heads);
    return 0;
}
