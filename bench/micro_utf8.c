/* micro_utf8.c: every UTF-8 kernel that this processor runs, against the scalar one.
 *
 * One table a kind of text. Every text is valid, so that every kernel reads it to its end.
 *
 *     fanwire-bench micro utf8 [rounds]        default 31
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/micro.h"
#include "bench/micro_all.h"

#include "proto/cpu.h"
#include "proto/utf8.h"

#include <stdio.h>
#include <string.h>

#define BYTES_MAX  (1u << 20)
#define LINE_BYTES 64

struct job {
    bool (*check)(uint32_t *state, const uint8_t *in, size_t bytes);
    const uint8_t *in;
    size_t bytes;
};

static void run_check(void *context)
{
    struct job *job = context;
    uint32_t state = FW_UTF8_START;
    if (!job->check(&state, job->in, job->bytes) || state != FW_UTF8_START) {
        fprintf(stderr, "micro utf8: a valid text was refused\n");
        abort();
    }
}

/* What a text is made of, again and again. */
struct text {
    const char *title;
    const char *piece;
};

static const struct text texts[] = {
    {"ASCII", "{\"symbol\":\"EURUSD\",\"bid\":1.08412,\"ask\":1.08415,\"ts\":1718000000123}"},
    {"ASCII with a euro sign in 64 octets",
     "{\"symbol\":\"EURUSD\",\"price\":\"\xe2\x82\xac 1.08412\",\"ts\":1718000000123} "},
    {"Cyrillic (2 octets a letter)",
     "\xd1\x86\xd0\xb5\xd0\xbd\xd0\xb0 \xd0\xb7\xd0\xbe\xd0\xbb\xd0\xbe\xd1\x82\xd0\xb0 "},
    {"Chinese (3 octets a sign)",
     "\xe4\xbb\xb7\xe6\xa0\xbc\xe4\xb8\x8a\xe6\xb6\xa8\xef\xbc\x8c\xe6\x88\x90\xe4\xba\xa4"},
    {"emoji (4 octets each)", "\xf0\x9f\x93\x88\xf0\x9f\x9a\x80\xf0\x9f\x98\x80"},
};

/* Fills `bytes` octets with whole pieces, and with full stops what a piece does not fit in. */
static void fill(uint8_t *out, size_t bytes, const char *piece)
{
    size_t piece_bytes = strlen(piece);
    size_t at = 0;
    for (; bytes - at >= piece_bytes; at += piece_bytes)
        memcpy(out + at, piece, piece_bytes);
    memset(out + at, '.', bytes - at);
}

/* Fills in every supported kernel and fw_utf8_check; returns how many. */
static size_t contenders_of(struct micro_contender *contenders, struct job *jobs, struct job job)
{
    size_t variants_count;
    const struct fw_simd_variant *variants = fw_simd_variants(&variants_count);
    size_t count = 0;
    for (size_t i = 0; i <= variants_count; i++) {
        bool door = i == variants_count;
        if (!door && !variants[i].supported())
            continue;
        job.check = door ? fw_utf8_check : variants[i].utf8_check;
        jobs[count] = job;
        contenders[count] = (struct micro_contender){door ? "fw_utf8_check" : variants[i].name,
                                                     run_check, &jobs[count]};
        count++;
    }
    return count;
}

static void print_head(const struct micro_contender *contenders, size_t count, const char *title)
{
    printf("\n%s; octets per ns, and ratio to %s\n%8s", title, contenders[0].name, "octets");
    for (size_t i = 0; i < count; i++)
        printf(i == 0 ? " %8s" : " %13s  ", contenders[i].name);
    printf("\n");
}

static void table(const struct text *text, uint8_t *in, size_t rounds)
{
    static const size_t sizes[] = {7,   16,  20,   32,   40,    64,    100,
                                   125, 256, 1024, 4096, 16384, 65536, 1048576};
    struct micro_contender contenders[MICRO_CONTENDERS_MAX];
    struct micro_result results[MICRO_CONTENDERS_MAX];
    struct job jobs[MICRO_CONTENDERS_MAX];
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        fill(in, sizes[s], text->piece);
        size_t count = contenders_of(contenders, jobs, (struct job){NULL, in, sizes[s]});
        if (s == 0)
            print_head(contenders, count, text->title);
        micro_compare(contenders, count, rounds, results);
        printf("%8zu %8.1f", sizes[s], (double)sizes[s] / results[0].ns);
        for (size_t i = 1; i < count; i++)
            printf(" %8.1f %5.1fx", (double)sizes[s] / results[i].ns, results[i].ratio);
        printf("\n");
    }
}

int micro_utf8(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 31;
    if (argc > 2 || rounds < 1 || rounds > MICRO_ROUNDS_MAX) {
        fprintf(stderr, "usage: fanwire-bench micro utf8 [rounds 1..%d]\n", MICRO_ROUNDS_MAX);
        return 2;
    }
    uint8_t *in = aligned_alloc(LINE_BYTES, BYTES_MAX);
    if (in == NULL) {
        fprintf(stderr, "micro utf8: out of memory\n");
        return 1;
    }
    printf("chosen: %s; %lu rounds\n", fw_simd_chosen()->name, rounds);
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++)
        table(&texts[t], in, rounds);
    free(in);
    return 0;
}
