/* test_sim_tls.c: TLS between conn and its sessions on a network that splits, delays and takes
 * little at a time, and when memory runs out (net/conn/conn_tls.c). The peer is net/tls in its
 * other role.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "net/conn/conn_tls.h"
#include "sim/sim_rig.h"
#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_BYTES_MAX ((size_t)1 << 21)

struct peer {
    uint32_t slot;
    struct fw_tls *tls;
    size_t seen; /* of what was sent on the slot */
    uint8_t *plain;
    size_t plain_count;
    int status;
};

static struct fw_tls_place *place;
static struct fw_tls_context *client_context;

/* Made once in a test's process. */
static void make_contexts(void)
{
    static const char *const hosts[] = {"localhost"};
    struct fw_tls_self_signed self;
    struct fw_tls_context *server;
    char why[FW_TLS_WHY_BYTES];
    cr_assert_eq(fw_tls_self_sign(hosts, 1, 1, &self), 0);
    const struct fw_tls_certificate certificate = {
        .certificate = {self.certificate, self.certificate_bytes},
        .key = {self.key, self.key_bytes}};
    const struct fw_tls_options options = {
        .role = FW_TLS_SERVER, .certificates = &certificate, .certificates_count = 1};
    cr_assert_eq(fw_tls_context_create(&options, why, sizeof why, &server), 0, "%s", why);
    cr_assert_eq(fw_tls_place_create(server, &place), 0);
    const struct fw_tls_options client = {.role = FW_TLS_CLIENT, .trust_anyone = true};
    cr_assert_eq(fw_tls_context_create(&client, why, sizeof why, &client_context), 0, "%s", why);
}

static void drop_contexts(void)
{
    fw_tls_place_destroy(place);
    fw_tls_context_drop(client_context);
}

static struct sim_rig *create(uint64_t seed)
{
    struct sim_rig *rig = sim_create(3, seed);
    cr_assert_eq(fw_conns_tls_create(&rig->conns, place), 0);
    return rig;
}

static void peer_open(struct peer *peer, struct sim_rig *rig)
{
    *peer = (struct peer){.slot = fw_sim_connect(rig->sim, FW_CONN_TAG_TLS),
                          .plain = malloc(PLAIN_BYTES_MAX)};
    cr_assert_eq(fw_tls_create(client_context, NULL, NULL, &peer->tls), 0);
}

static void peer_close(struct peer *peer)
{
    fw_tls_destroy(peer->tls);
    free(peer->plain);
}

static void flush(struct peer *peer, struct sim_rig *rig, struct fw_tls_sink *sink)
{
    if (sink->count > 0)
        fw_sim_peer_send(rig->sim, peer->slot, sink->bytes, sink->count);
    fw_mem_free(sink->bytes);
}

/* Takes what was sent on the slot, and answers. */
static void peer_step(struct peer *peer, struct sim_rig *rig)
{
    struct fw_bytes sent = fw_sim_sent(rig->sim, peer->slot);
    struct fw_tls_sink sink = {.grow = fw_tls_sink_grow};
    if (sent.count > peer->seen)
        (void)fw_tls_received(peer->tls, sent.at + peer->seen, sent.count - peer->seen);
    peer->seen = sent.count;
    ssize_t got;
    while ((got = fw_tls_plain(peer->tls, peer->plain + peer->plain_count,
                               PLAIN_BYTES_MAX - peer->plain_count, &sink)) > 0)
        peer->plain_count += (size_t)got;
    if (got < 0)
        peer->status = (int)got;
    flush(peer, rig, &sink);
}

static void peer_say(struct peer *peer, struct sim_rig *rig, const struct ws_stream *script)
{
    const struct iovec piece = {.iov_base = script->bytes, .iov_len = script->bytes_count};
    struct fw_tls_sink sink = {.grow = fw_tls_sink_grow};
    cr_assert_eq(fw_tls_send(peer->tls, &piece, 1, &sink), 0);
    flush(peer, rig, &sink);
}

static void shake(struct peer *peer, struct sim_rig *rig)
{
    for (unsigned i = 0; i < 10 && fw_tls_state(peer->tls) == FW_TLS_HANDSHAKE; i++) {
        peer_step(peer, rig);
        sim_run(rig);
    }
}

static bool ends_with(const struct peer *peer, const void *bytes, size_t count)
{
    return peer->plain_count >= count &&
           memcmp(peer->plain + peer->plain_count - count, bytes, count) == 0;
}

/* An echo, a flood of 30 messages of 1000 octets, a close: all of it comes, in order, whatever the
 * network does.
 */
Test(sim_tls, a_session_is_whole_on_an_unkind_network, .timeout = 300)
{
    make_contexts();
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct sim_rig *rig = create(seed);
        struct ws_stream script = {0};
        struct peer peer;
        fw_sim_knobs_shuffle(rig->sim);
        peer_open(&peer, rig);
        shake(&peer, rig);
        cr_assert_eq(fw_tls_state(peer.tls), FW_TLS_OPEN, "seed %d", (int)seed);
        sim_script_open(&script, "/");
        sim_script_text(&script, "e hello");
        sim_script_text(&script, "f3");
        peer_say(&peer, rig, &script);
        for (unsigned i = 0; i < 400 && peer.plain_count < 30000; i++) {
            if (i % 7 == 3)
                fw_sim_knobs_shuffle(rig->sim);
            sim_run(rig);
            peer_step(&peer, rig);
        }
        cr_assert_gt(peer.plain_count, 30000u, "seed %d: %zu", (int)seed, peer.plain_count);
        ws_stream_clear(&script);
        sim_script_close(&script);
        peer_say(&peer, rig, &script);
        sim_run(rig);
        peer_step(&peer, rig);
        cr_assert(ends_with(&peer, "\x88\x02\x03\xe8", 4), "seed %d", (int)seed);
        cr_assert_eq(peer.status, FW_ERR_TLS_ENDED, "close_notify came, seed %d", (int)seed);
        sim_run(rig);
        cr_assert_eq(rig->codes[1000], 1u);
        ws_stream_clear(&script);
        peer_close(&peer);
        sim_destroy(rig);
    }
    drop_contexts();
}

/* Who goes without a close_notify reads no more, and is sent none; who says it is told it back,
 * also when its FIN comes along. */
Test(sim_tls, who_hangs_up_without_a_word_is_sent_none)
{
    make_contexts();
    for (unsigned says = 0; says < 2; says++) {
        struct sim_rig *rig = create(1);
        struct ws_stream script = {0};
        struct peer peer;
        peer_open(&peer, rig);
        shake(&peer, rig);
        sim_script_open(&script, "/room");
        peer_say(&peer, rig, &script);
        sim_run(rig);
        peer_step(&peer, rig);
        cr_assert(ends_with(&peer, "\x81\x07welcome", 9));
        if (says) {
            struct fw_tls_sink sink = {.grow = fw_tls_sink_grow};
            cr_assert_eq(fw_tls_end(peer.tls, &sink), 0);
            flush(&peer, rig, &sink);
        }
        fw_sim_peer_end(rig->sim, peer.slot, 0);
        size_t before = peer.seen;
        sim_run(rig);
        size_t more = fw_sim_sent(rig->sim, peer.slot).count - before;
        cr_assert_eq(more > 0, says == 1, "%zu octets", more);
        cr_assert_eq(fw_conns_tls_stats(&rig->conns).conns_count, 0u);
        ws_stream_clear(&script);
        peer_close(&peer);
        sim_destroy(rig);
    }
    drop_contexts();
}

/* Allocation k fails while the server works on the hello, on the end of the handshake with a
 * request behind it, or on messages: that connection dies or lives, and the next one is served. */
Test(sim_tls, every_allocation_may_fail_and_the_server_lives, .timeout = 300)
{
    make_contexts();
    for (unsigned phase = 0; phase < 3; phase++) {
        bool failed = true;
        for (unsigned k = 1; failed; k++) {
            struct sim_rig *rig = create(1);
            struct ws_stream script = {0};
            struct peer peer;
            struct peer next;
            fw_sim_knobs(rig->sim)->send_bytes_max = 700;
            peer_open(&peer, rig);
            sim_run(rig);
            if (phase > 0)
                shake(&peer, rig);
            sim_script_open(&script, "/");
            sim_script_text(&script, "e hello");
            sim_script_text(&script, "f2");
            if (phase == 0)
                peer_step(&peer, rig);
            if (phase == 2)
                peer_say(&peer, rig, &script);
            fail_mem_at(k, k % 2 == 0 ? FAIL_ONCE : FAIL_FROM_ON);
            sim_run(rig);
            failed = fail_mem_off();
            if (phase == 1 && fw_tls_state(peer.tls) == FW_TLS_OPEN)
                peer_say(&peer, rig, &script);
            sim_pass(rig, 8000);
            peer_open(&next, rig);
            shake(&next, rig);
            ws_stream_clear(&script);
            sim_script_open(&script, "/room");
            peer_say(&next, rig, &script);
            sim_run(rig);
            peer_step(&next, rig);
            cr_assert(ends_with(&next, "\x81\x07welcome", 9), "phase %u, k %u", phase, k);
            ws_stream_clear(&script);
            peer_close(&peer);
            peer_close(&next);
            sim_destroy(rig);
        }
    }
    drop_contexts();
}

/* A ClientHello; freed by the caller. */
static struct fw_tls_sink make_hello(void)
{
    struct fw_tls *tls;
    struct fw_tls_sink sink = {.grow = fw_tls_sink_grow};
    uint8_t scratch[16];
    cr_assert_eq(fw_tls_create(client_context, NULL, NULL, &tls), 0);
    (void)fw_tls_plain(tls, scratch, sizeof scratch, &sink);
    fw_tls_destroy(tls);
    return sink;
}

/* A peer that resets at any moment of its handshake leaves nothing behind. */
Test(sim_tls, a_reset_at_every_octet_of_a_handshake_leaves_nothing, .timeout = 300)
{
    make_contexts();
    struct fw_tls_sink sink = make_hello();
    for (size_t count = 0; count <= sink.count; count++) {
        struct sim_rig *rig = create(count + 1);
        uint32_t slot = fw_sim_connect(rig->sim, FW_CONN_TAG_TLS);
        if (count > 0)
            fw_sim_peer_send(rig->sim, slot, sink.bytes, count);
        sim_run(rig);
        fw_sim_peer_end(rig->sim, slot, count % 2 == 0 ? -ECONNRESET : 0);
        sim_pass(rig, 8000);
        cr_assert_eq(fw_conns_tls_stats(&rig->conns).conns_count, 0u, "%zu", count);
        cr_assert_eq(fw_conns_tls_stats(&rig->conns).failed, 1u, "%zu", count);
        sim_destroy(rig);
    }
    fw_mem_free(sink.bytes);
    drop_contexts();
}

/* ---- lines of handshakes --------------------------------------------------------------------- */

/* A worker with `count` peers that have sent a ClientHello and stand still. */
static struct sim_rig *stand_still(unsigned count)
{
    struct fw_tls_sink hello = make_hello();
    struct sim_rig *rig = sim_create(count + 1, 1);
    cr_assert_eq(fw_conns_tls_create(&rig->conns, place), 0);
    for (unsigned i = 0; i < count; i++)
        fw_sim_peer_send(rig->sim, fw_sim_connect(rig->sim, FW_CONN_TAG_TLS), hello.bytes,
                         hello.count);
    fw_mem_free(hello.bytes);
    sim_run(rig);
    return rig;
}

/* Those that were answered, of those that are there. */
static unsigned answered(struct sim_rig *rig, unsigned count)
{
    unsigned answers = 0;
    for (unsigned slot = 0; slot < count; slot++)
        answers += fw_sim_sent(rig->sim, slot).count > 0;
    return answers;
}

Test(sim_tls, one_in_line_lets_the_worker_sleep_until_there_is_room, .timeout = 60)
{
    make_contexts();
    struct sim_rig *rig = stand_still(FW_TLS_BEGUN_MIN + 1);
    cr_assert_eq(answered(rig, FW_TLS_BEGUN_MIN + 1), FW_TLS_BEGUN_MIN);
    cr_assert_eq(fw_conns_wait_ms(&rig->conns), (int)FW_TLS_BEGUN_MS);
    fw_sim_advance(rig->sim, FW_TLS_BEGUN_MS - 1);
    sim_run(rig);
    cr_assert_eq(fw_conns_tls_stats(&rig->conns).failed, 0u, "the oldest has a fair time");
    cr_assert_eq(fw_conns_wait_ms(&rig->conns), 1);
    fw_sim_advance(rig->sim, 1);
    sim_run(rig);
    cr_assert_eq(fw_conns_tls_stats(&rig->conns).failed, 1u);
    cr_assert_eq(answered(rig, FW_TLS_BEGUN_MIN + 1), FW_TLS_BEGUN_MIN + 1);
    cr_assert_gt(fw_conns_wait_ms(&rig->conns), (int)FW_TLS_BEGUN_MS, "nobody is in line");
    sim_pass(rig, FW_TLS_HANDSHAKE_MS + FW_WHEEL_TICK_MS);
    cr_assert_eq(fw_conns_tls_stats(&rig->conns).conns_count, 0u);
    sim_destroy(rig);
    drop_contexts();
}

/* Three times as many in line as there are places: once the first has waited for long, each place
 * is given on soon. */
Test(sim_tls, a_long_line_leaves_each_less_time, .timeout = 60)
{
    make_contexts();
    unsigned count = 4 * FW_TLS_BEGUN_MIN;
    struct sim_rig *rig = stand_still(count);
    static const unsigned waits_ms[] = {FW_TLS_LINE_MS, FW_TLS_BEGUN_LEAST_MS,
                                        FW_TLS_BEGUN_LEAST_MS};
    for (unsigned wave = 0; wave < 3; wave++) {
        cr_assert_eq(answered(rig, count), (wave + 1) * FW_TLS_BEGUN_MIN);
        cr_assert_eq(fw_conns_wait_ms(&rig->conns), (int)waits_ms[wave], "wave %u", wave);
        fw_sim_advance(rig->sim, waits_ms[wave]);
        sim_run(rig);
    }
    cr_assert_eq(answered(rig, count), count);
    cr_assert_eq(fw_conns_tls_stats(&rig->conns).failed, 3 * FW_TLS_BEGUN_MIN);
    sim_pass(rig, FW_TLS_HANDSHAKE_MS + FW_WHEEL_TICK_MS);
    cr_assert_eq(fw_conns_tls_stats(&rig->conns).conns_count, 0u);
    sim_destroy(rig);
    drop_contexts();
}
