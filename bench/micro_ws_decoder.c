/* micro_ws_decoder.c: what decoding a stream of frames costs, against the least it could cost.
 *
 * Small frames are set against a walk that only reads headers and adds lengths, large ones against
 * memcpy of the same payload. Each pair runs interleaved, A B A B, in one process; the medians of
 * all rounds are printed, with the quartiles, because single runs on a shared machine mean nothing.
 *
 * The stream is decoded in place, so every other round finds its payloads masked. The keys' octets
 * are all below 0x80, which keeps ASCII text ASCII either way: both rounds do the same work.
 *
 * usage: fanwire-bench micro ws-decoder [rounds]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/micro_all.h"
#include "fanwire/status.h"
#include "proto/ws_decoder.h"
#include "proto/ws_frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_DEFAULT 41
#define ROUNDS_MAX     1001

/* One line of the table. */
struct scenario {
    const char *name;
    uint8_t opcode;
    size_t payload_bytes; /* of each frame; when mixed, of the largest */
    size_t frames_count;
    size_t read_bytes; /* the stream comes in pieces of this size; 0: in one */
    enum {
        WALK,
        WALK_MIXED,
        COPY
    } against; /* mixed: lengths at random, which no branch foresees */
};

static const struct scenario scenarios[] = {
    {"text 20 B", FW_WS_TEXT, 20, 8192, 0, WALK},
    {"binary 20 B", FW_WS_BINARY, 20, 8192, 0, WALK},
    {"text 20 B, reads of 16 KiB", FW_WS_TEXT, 20, 8192, 16384, WALK},
    {"text 100 B", FW_WS_TEXT, 100, 2048, 0, WALK},
    {"text 200 B", FW_WS_TEXT, 200, 1024, 0, WALK},
    {"text 1 to 250 B, mixed", FW_WS_TEXT, 250, 16384, 0, WALK_MIXED},
    {"binary 1 KiB", FW_WS_BINARY, 1024, 256, 0, COPY},
    {"text 1 KiB", FW_WS_TEXT, 1024, 256, 0, COPY},
    {"binary 64 KiB, hot", FW_WS_BINARY, 65536, 1, 0, COPY},
    {"text 64 KiB, hot", FW_WS_TEXT, 65536, 1, 0, COPY},
    {"binary 64 KiB, 4 MiB stream", FW_WS_BINARY, 65536, 64, 0, COPY},
    {"binary 64 KiB, reads of 16 KiB", FW_WS_BINARY, 65536, 1, 16384, COPY},
};

struct stream {
    uint8_t *bytes;
    uint8_t *copy;
    size_t bytes_count;
    uint64_t payload_bytes; /* all frames together */
    const struct scenario *scenario;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *allocated(size_t bytes)
{
    void *block = calloc(1, bytes);
    if (block == NULL) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return block;
}

static void stream_add(struct stream *stream, size_t payload_bytes, uint32_t random)
{
    struct fw_ws_header header = {
        .payload_bytes = payload_bytes,
        .key = random & 0x7f7f7f7f,
        .opcode = stream->scenario->opcode,
        .fin = true,
        .masked = true,
    };
    uint8_t *at = stream->bytes + stream->bytes_count;
    size_t header_bytes = fw_ws_header_encode(&header, at);
    memset(at + header_bytes, 'a', payload_bytes);
    stream->bytes_count += header_bytes + payload_bytes;
    stream->payload_bytes += payload_bytes;
}

static void stream_make(struct stream *stream, const struct scenario *scenario)
{
    size_t frame_bytes_max = FW_WS_HEADER_BYTES_MAX + scenario->payload_bytes;
    *stream = (struct stream){.scenario = scenario};
    stream->bytes = allocated(scenario->frames_count * frame_bytes_max);
    stream->copy = allocated(scenario->payload_bytes);
    uint32_t random = 0x2545f491;
    for (size_t i = 0; i < scenario->frames_count; i++) {
        size_t payload_bytes = scenario->payload_bytes;
        random = random * 1664525u + 1013904223u;
        if (scenario->against == WALK_MIXED)
            payload_bytes = 1 + (random >> 8) % payload_bytes;
        stream_add(stream, payload_bytes, random);
    }
}

/* Feeds the whole stream to a decoder; returns the payload octets seen. */
static uint64_t decode(const struct stream *stream)
{
    struct fw_ws_rules rules = {.message_bytes_max = 1u << 20, .fragments_max = 128};
    struct fw_ws_decoder decoder;
    struct fw_ws_event event;
    uint64_t payload_bytes = 0;
    uint8_t *at = stream->bytes;
    size_t left = stream->bytes_count;
    fw_ws_decoder_init(&decoder, false);
    while (left > 0) {
        size_t piece = stream->scenario->read_bytes;
        if (piece == 0 || piece > left)
            piece = left;
        left -= piece;
        do {
            fw_ws_decoder_next(&decoder, &rules, &at, &piece, &event);
            payload_bytes += event.bytes_count;
        } while (event.kind == FW_WS_MESSAGE);
    }
    fw_ws_decoder_clear(&decoder);
    return payload_bytes;
}

/* The least that any decoder must do with a stream of masked frames: find where each one ends. */
static uint64_t walk(const struct stream *stream)
{
    const uint8_t *at = stream->bytes;
    const uint8_t *end = at + stream->bytes_count;
    uint64_t payload_bytes = 0;
    while (at < end) {
        uint64_t length = at[1] & 0x7f;
        size_t header_bytes = at[1] & 0x80 ? 6 : 2;
        if (length == 126) {
            length = (uint64_t)at[2] << 8 | at[3];
            header_bytes += 2;
        } else if (length == 127) {
            memcpy(&length, at + 2, 8);
            length = __builtin_bswap64(length);
            header_bytes += 8;
        }
        payload_bytes += length;
        at += header_bytes + length;
    }
    return payload_bytes;
}

/* Copies each payload, into the same cache-hot place every time. */
static uint64_t copy(const struct stream *stream)
{
    size_t payload_bytes = stream->scenario->payload_bytes;
    size_t header_bytes = fw_ws_header_bytes(payload_bytes, true);
    const uint8_t *at = stream->bytes + header_bytes;
    for (size_t i = 0; i < stream->scenario->frames_count; i++) {
        memcpy(stream->copy, at, payload_bytes);
        __asm__ volatile("" ::"r"(stream->copy) : "memory"); /* keeps every copy */
        at += header_bytes + payload_bytes;
    }
    return payload_bytes * stream->scenario->frames_count;
}

/* Time of one pass, averaged over enough passes that the clock does not show. */
static double pass_ns(uint64_t (*pass)(const struct stream *), const struct stream *stream)
{
    size_t passes = 2 + (1u << 21) / stream->bytes_count / 2 * 2; /* even: see the file's head */
    uint64_t begin = now_ns();
    for (size_t i = 0; i < passes; i++) {
        if (pass(stream) != stream->payload_bytes) {
            fprintf(stderr, "%s: not all payload came out\n", stream->scenario->name);
            exit(1);
        }
    }
    return (double)(now_ns() - begin) / (double)passes;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void run(const struct scenario *scenario, size_t rounds)
{
    static double ours[ROUNDS_MAX], theirs[ROUNDS_MAX], ratios[ROUNDS_MAX];
    struct stream stream;
    stream_make(&stream, scenario);
    uint64_t (*reference)(const struct stream *) = scenario->against == COPY ? copy : walk;
    pass_ns(decode, &stream);
    pass_ns(reference, &stream);
    for (size_t i = 0; i < rounds; i++) {
        ours[i] = pass_ns(decode, &stream) / (double)scenario->frames_count;
        theirs[i] = pass_ns(reference, &stream) / (double)scenario->frames_count;
        ratios[i] = ours[i] / theirs[i];
    }
    qsort(ours, rounds, sizeof *ours, compare);
    qsort(theirs, rounds, sizeof *theirs, compare);
    qsort(ratios, rounds, sizeof *ratios, compare);
    printf("%-32s %10.1f %8.2f %12.1f  %-6s %7.2f  (%.2f to %.2f)\n", scenario->name,
           ours[rounds / 2],
           (double)stream.payload_bytes / (double)scenario->frames_count / ours[rounds / 2],
           theirs[rounds / 2], scenario->against == COPY ? "memcpy" : "walk", ratios[rounds / 2],
           ratios[rounds / 4], ratios[rounds * 3 / 4]);
    free(stream.bytes);
    free(stream.copy);
}

int micro_ws_decoder(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : ROUNDS_DEFAULT;
    if (argc > 2 || rounds == 0 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: fanwire-bench micro ws-decoder [rounds, 1 to %d]\n", ROUNDS_MAX);
        return 2;
    }
    printf("%-32s %10s %8s %12s  %-6s %7s  %s\n", "frames, masked", "ns/frame", "GB/s", "reference",
           "", "ratio", "(quartiles)");
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        run(&scenarios[i], rounds);
    return 0;
}
