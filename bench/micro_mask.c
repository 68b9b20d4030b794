/* micro_mask.c: every masking kernel that this processor runs, in place, against memcpy.
 *
 * Two tables: payloads that start on a cache line, and payloads where a received frame's payload
 * starts (6 octets of header in front for short ones, 8 for those over 125, 14 for those over
 * 65535). memcpy copies the same number of octets between two buffers of the same alignment.
 *
 *     fanwire-bench micro mask [rounds]        default 31
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/micro.h"
#include "bench/micro_all.h"

#include "proto/cpu.h"
#include "proto/mask.h"

#include <stdio.h>
#include <string.h>

#define BYTES_MAX  (1u << 20)
#define LINE_BYTES 64

/* Payloads of up to this many octets lie side by side in this much memory and are taken in turn, as
 * frames in a receive buffer: masking the same octets again and again would wait for its own
 * stores, which no server does. Both of memcpy's sides fit in a 48 KiB L1 together. */
#define ARENA_BYTES (16u << 10)

struct job {
    uint32_t (*mask)(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key);
    uint8_t *out;
    uint8_t *in;
    size_t bytes;
    size_t at;
    size_t stride;
    size_t end; /* a multiple of stride */
};

/* Where the next payload lies. */
static size_t next_at(struct job *job)
{
    size_t at = job->at;
    size_t next = at + job->stride;
    job->at = next == job->end ? 0 : next;
    return at;
}

static void run_mask(void *context)
{
    struct job *job = context;
    uint8_t *at = job->out + next_at(job);
    job->mask(at, at, job->bytes, 0x9d2fa137);
    micro_touch(at);
}

static void run_memcpy(void *context)
{
    struct job *job = context;
    size_t at = next_at(job);
    memcpy(job->out + at, job->in + at, job->bytes);
    micro_touch(job->out + at);
}

static size_t header_bytes(size_t payload_bytes)
{
    return payload_bytes > 65535 ? 14 : payload_bytes > 125 ? 8 : 6;
}

/* Fills in memcpy, fw_mask and every supported kernel; returns how many. */
static size_t contenders_of(struct micro_contender *contenders, struct job *jobs, struct job job)
{
    size_t variants_count;
    const struct fw_simd_variant *variants = fw_simd_variants(&variants_count);
    size_t count = 0;
    jobs[count] = job;
    contenders[count] = (struct micro_contender){"memcpy", run_memcpy, &jobs[count]};
    count++;
    for (size_t i = 0; i <= variants_count; i++) {
        bool door = i == variants_count;
        if (!door && !variants[i].supported())
            continue;
        job.mask = door ? fw_mask : variants[i].mask;
        jobs[count] = job;
        contenders[count] =
            (struct micro_contender){door ? "fw_mask" : variants[i].name, run_mask, &jobs[count]};
        count++;
    }
    return count;
}

static void print_head(const struct micro_contender *contenders, size_t count, const char *title)
{
    printf("\n%s; octets per ns, and ratio to memcpy\n%8s", title, "octets");
    for (size_t i = 0; i < count; i++)
        printf(i == 0 ? " %8s" : " %8s      ", contenders[i].name);
    printf("\n");
}

static void table(uint8_t *out, uint8_t *in, bool framed, size_t rounds)
{
    static const size_t sizes[] = {16,    20,    31,    32,     48,     64,     100,    125,
                                   200,   256,   512,   1024,   1500,   2048,   4096,   8192,
                                   16384, 32768, 65536, 131072, 262144, 524288, 1048576};
    struct micro_contender contenders[MICRO_CONTENDERS_MAX];
    struct micro_result results[MICRO_CONTENDERS_MAX];
    struct job jobs[MICRO_CONTENDERS_MAX];
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t skip = framed ? header_bytes(sizes[s]) : 0;
        size_t stride = (skip + sizes[s] + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
        size_t slots = stride < ARENA_BYTES ? ARENA_BYTES / stride : 1;
        struct job job = {NULL, out + skip, in + skip, sizes[s], 0, stride, slots * stride};
        size_t count = contenders_of(contenders, jobs, job);
        if (s == 0)
            print_head(contenders, count, framed ? "behind a frame header" : "on a cache line");
        micro_compare(contenders, count, rounds, results);
        printf("%8zu %8.1f", sizes[s], (double)sizes[s] / results[0].ns);
        for (size_t i = 1; i < count; i++)
            printf(" %8.1f %4.2fx", (double)sizes[s] / results[i].ns, results[i].ratio);
        printf("\n");
    }
}

int micro_mask(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 31;
    if (argc > 2 || rounds < 1 || rounds > MICRO_ROUNDS_MAX) {
        fprintf(stderr, "usage: fanwire-bench micro mask [rounds 1..%d]\n", MICRO_ROUNDS_MAX);
        return 2;
    }
    uint8_t *out = aligned_alloc(LINE_BYTES, BYTES_MAX + LINE_BYTES);
    uint8_t *in = aligned_alloc(LINE_BYTES, BYTES_MAX + LINE_BYTES);
    if (out == NULL || in == NULL) {
        fprintf(stderr, "micro mask: out of memory\n");
        return 1;
    }
    memset(out, 'x', BYTES_MAX + LINE_BYTES);
    memset(in, 'x', BYTES_MAX + LINE_BYTES);
    printf("chosen: %s; %lu rounds\n", fw_simd_chosen()->name, rounds);
    table(out, in, false, rounds);
    table(out, in, true, rounds);
    free(out);
    free(in);
    return 0;
}
