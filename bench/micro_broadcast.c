/* micro_broadcast.c: what a published message costs a worker, by the number of its subscribers,
 * plain and compressed: the fan-out from the mailbox to the output queues, without the kernel.
 *
 * Real sessions, subscriptions and queues; nothing is sent: after each message every queue is
 * emptied, outside the clock. Compressing is timed apart, to show that it is done once a message
 * (and once more for each further window that subscribers agreed on), however many they are.
 *
 *     fanwire-bench micro broadcast [rounds]        default 31
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/micro.h"
#include "bench/micro_all.h"

#include "base/arena.h"
#include "hub/hub.h"
#include "proto/ws_frame.h"
#include "session/compress.h"
#include "session/session.h"

#include <stdio.h>
#include <string.h>

#define SUBSCRIBERS_MAX 10000

/* Who agreed on what: encodings given to subscribers in turn. */
struct mixture {
    const char *name;
    uint8_t encodings[4];
    unsigned count;
};

static const struct mixture mixtures[] = {
    {"plain", {0}, 1},
    {"compressed, one window", {1}, 1},
    {"half of each", {0, 1}, 2},
    {"compressed, three windows", {1, 2, 3}, 3},
};

static struct {
    struct fw_session_host host;
    struct fw_session_rules rules;
    struct fw_compressor compressor;
    struct fw_hub hub;
    struct fw_topic *topic;
    struct fw_local *local;
    struct fw_session *sessions;
    double encode_us; /* spent compressing, since it was set to 0 */
    unsigned encodings;
    uint64_t seed;
} bench;

static void stop(const char *what)
{
    fprintf(stderr, "micro broadcast: %s\n", what);
    exit(1);
}

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void changed(struct fw_session *session)
{
    (void)session;
}

static void set_timer(struct fw_session *session, uint64_t due_ms)
{
    (void)session;
    (void)due_ms;
}

static const struct fw_session_upward upward = {.changed = changed, .timer = set_timer};

static struct fw_bytes timed_encode(void *compressor, struct fw_msg *msg, unsigned encoding)
{
    double start = cpu_us();
    struct fw_bytes bytes = fw_session_encode(compressor, msg, encoding);
    bench.encode_us += cpu_us() - start;
    bench.encodings++;
    return bytes;
}

/* A message that was never seen before, of `quotes` quotes. */
static struct fw_msg *next_message(unsigned quotes)
{
    static const char *const symbols[] = {"ALDR", "BIRC", "CEDR", "DOGW", "ELMT", "FNWR"};
    char text[4096] = "[";
    size_t at = 1;
    for (unsigned i = 0; i < quotes; i++) {
        bench.seed = bench.seed * 6364136223846793005u + 1442695040888963407u;
        unsigned dice = (unsigned)(bench.seed >> 33);
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "{\"symbol\":\"%s\",\"price\":%u.%02u,\"volume\":%u,\"side\":\"%s\","
                               "\"at\":%llu},",
                               symbols[dice % 6], dice % 400, dice % 100, dice / 7 % 100000,
                               dice & 64 ? "buy" : "sell",
                               (unsigned long long)(1718000000000 + dice % 1000000));
    }
    text[at - 1] = ']';
    struct fw_msg *msg = fw_msg_create(FW_WS_TEXT, (struct fw_bytes){(uint8_t *)text, at});
    if (msg == NULL)
        stop("out of memory");
    const struct fw_ws_header header = {.payload_bytes = at, .opcode = FW_WS_TEXT, .fin = true};
    msg->frame_at = (uint8_t)(FW_MSG_HEADROOM - fw_ws_header_bytes(at, false));
    fw_ws_header_encode(&header, msg->data + msg->frame_at);
    return msg;
}

static void subscribe(size_t count, const struct mixture *mixture)
{
    for (size_t i = 0; i < count; i++) {
        struct fw_session *session = &bench.sessions[i];
        fw_session_init(session, &bench.host);
        session->phase = FW_PHASE_OPEN;
        session->one = (struct fw_subscription){.subscriber = session,
                                                .encoding = mixture->encodings[i % mixture->count]};
        if (fw_local_add(bench.local, &session->one) != 0)
            stop("out of memory");
    }
}

static void unsubscribe(size_t count)
{
    for (size_t i = 0; i < count; i++)
        fw_local_remove(&bench.sessions[i].one);
}

/* One message to all; the queues are emptied afterwards. */
static double broadcast(size_t count, unsigned quotes)
{
    struct fw_msg *msg = next_message(quotes);
    double start = cpu_us();
    fw_hub_fan_out(&bench.hub, bench.local, &msg, 1);
    double took = cpu_us() - start;
    for (size_t i = 0; i < count; i++)
        fw_outq_clear(&bench.sessions[i].outq);
    return took;
}

static void measure(const struct mixture *mixture, size_t count, unsigned quotes, size_t rounds)
{
    double total[MICRO_ROUNDS_MAX];
    double encode[MICRO_ROUNDS_MAX];
    subscribe(count, mixture);
    /* A few messages a round for the few subscribers, whose fan-out is shorter than the clock's
     * grain. */
    size_t messages = 1 + 1000 / count;
    bench.encodings = 0;
    for (size_t round = 0; round < rounds; round++) {
        total[round] = 0;
        bench.encode_us = 0;
        for (size_t i = 0; i < messages; i++)
            total[round] += broadcast(count, quotes);
        total[round] /= (double)messages;
        encode[round] = bench.encode_us / (double)messages;
    }
    unsubscribe(count);
    double all = micro_median(total, rounds);
    double packing = micro_median(encode, rounds);
    printf("%-26s %11zu %12.1f %14.1f %12.1f %16.1f\n", mixture->name, count,
           (double)bench.encodings / (double)(messages * rounds), packing, all,
           (all - packing) * 1000 / (double)count);
}

static void table(unsigned quotes, size_t rounds)
{
    static const size_t counts[] = {1, 10, 100, 1000, 10000};
    struct fw_msg *msg = next_message(quotes);
    struct fw_bytes packed = fw_session_encode(&bench.compressor, msg, 1);
    printf("\nmessages of %u B, compressed %zu B\n%-26s %11s %12s %14s %12s %16s\n",
           msg->payload_bytes, packed.count, "", "subscribers", "compressions", "us compressing",
           "us in all", "ns a delivery");
    fw_msg_drop(msg);
    for (size_t m = 0; m < sizeof mixtures / sizeof mixtures[0]; m++) {
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
            measure(&mixtures[m], counts[i], quotes, rounds);
    }
}

int micro_broadcast(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 31;
    if (argc > 2 || rounds < 1 || rounds > MICRO_ROUNDS_MAX) {
        fprintf(stderr, "usage: fanwire-bench micro broadcast [rounds 1..%d]\n", MICRO_ROUNDS_MAX);
        return 2;
    }
    bench.sessions = calloc(SUBSCRIBERS_MAX, sizeof *bench.sessions);
    bench.topic = fw_topic_create(fw_bytes_of("ticks"), 1, 1);
    if (bench.sessions == NULL || bench.topic == NULL ||
        fw_compressor_init(&bench.compressor, 65536, 0) != 0)
        stop("out of memory");
    bench.local = fw_local_create(bench.topic);
    if (bench.local == NULL)
        stop("out of memory");
    bench.rules = (struct fw_session_rules){.output_bytes_max = 1 << 20};
    bench.host = (struct fw_session_host){
        .rules = &bench.rules, .up = &upward, .compressor = &bench.compressor};
    fw_hub_init(&bench.hub, fw_session_deliver);
    bench.hub.encode = timed_encode;
    bench.hub.encoder = &bench.compressor;
    printf("CPU of the fan-out, medians of %lu rounds\n", rounds);
    table(2, rounds);
    table(10, rounds);
    fw_local_destroy(bench.local);
    fw_topic_destroy(bench.topic);
    fw_compressor_clear(&bench.compressor);
    free(bench.sessions);
    return 0;
}
