/* fuzz_ws_decoder.c: libFuzzer target of the frame decoder (RFC 6455, sections 5 to 8).
 *
 *   octet 0    bit 0: client role; bit 1: deflate; bits 2 and 3: limits, see `limits`;
 *              bit 4: another limit for compressed messages
 *   octet 1    seed of the cuts
 *   then       the stream
 *
 * The oracle: a stream gives the same events whole, octet by octet and cut at random; every call
 * consumes octets or makes an event; what is lent may be written (ws_stream.c checks both on the
 * way). A crash, a sanitizer's finding or a difference ends the run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/ws_decoder.h"
#include "support/ws_stream.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUTS_MAX 32

static const struct {
    uint64_t message_bytes_max;
    uint32_t fragments_max;
} limits[] = {{65536, 128}, {INT64_MAX, 0}, {125, 3}, {1000, 1}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare_or_die(const char *how, const char *got, const char *expected)
{
    if (strcmp(got, expected) == 0)
        return;
    fprintf(stderr, "%s: %s\nwhole: %s\n", how, got, expected);
    abort();
}

static void decode_or_die(struct ws_trace *trace, const struct ws_stream *stream,
                          const struct fw_ws_rules *rules, bool deflate, const size_t *cuts,
                          size_t cuts_count)
{
    ws_trace_init(trace);
    if (ws_trace_decode(trace, stream, rules, deflate, cuts, cuts_count, NULL))
        return;
    fprintf(stderr, "a promise was broken: %s\n", trace->text);
    abort();
}

/* Cuts anywhere, near to each other or far, ascending. */
static size_t make_cuts(unsigned seed, size_t bytes, size_t cuts[CUTS_MAX])
{
    size_t count = 0;
    size_t stride = 1 + seed % 7 * (bytes / CUTS_MAX + 1);
    for (size_t at = 0; count < CUTS_MAX; count++) {
        seed = seed * 1664525u + 1013904223u;
        at += (seed >> 16) % stride + 1;
        if (at >= bytes)
            break;
        cuts[count] = at;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct fw_ws_rules rules = {
        .message_bytes_max = limits[data[0] >> 2 & 3].message_bytes_max,
        .fragments_max = limits[data[0] >> 2 & 3].fragments_max,
        .client = data[0] & 1,
    };
    if (data[0] & 16)
        rules.compressed_bytes_max = 200;
    bool deflate = data[0] & 2;
    struct ws_stream stream = {0};
    ws_stream_put(&stream, data + 2, size - 2);

    struct ws_trace whole, cut, octets;
    size_t cuts[CUTS_MAX];
    size_t *every_octet = malloc((size + 1) * sizeof *every_octet);
    if (every_octet == NULL)
        abort();
    for (size_t i = 0; i < stream.bytes_count; i++)
        every_octet[i] = i;
    decode_or_die(&whole, &stream, &rules, deflate, NULL, 0);
    decode_or_die(&octets, &stream, &rules, deflate, every_octet, stream.bytes_count);
    decode_or_die(&cut, &stream, &rules, deflate, cuts,
                  make_cuts(data[1], stream.bytes_count, cuts));
    compare_or_die("octet by octet", octets.text, whole.text);
    compare_or_die("cut", cut.text, whole.text);

    free(every_octet);
    ws_trace_clear(&whole);
    ws_trace_clear(&octets);
    ws_trace_clear(&cut);
    ws_stream_clear(&stream);
    return 0;
}
