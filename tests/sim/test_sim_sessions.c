/* test_sim_sessions.c: whole sessions on the simulator, driven by seeds: whatever the network does,
 * every stream is what an undisturbed run gives, or the beginning of it; and whatever ends when,
 * nothing crashes, leaks, or is told twice.
 *
 * A failure names its seed, which repeats it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/sim_rig.h"

#include "support/fail_mem.h"
#include "session/session_impl.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEERS 8

static uint64_t random_state;

static uint64_t random_below(uint64_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return below == 0 ? 0 : (random_state >> 33) % below;
}

/* ---- scripts --------------------------------------------------------------------------------- */

/* Sizes on both sides of every form of a length, of the decoder's short cut and of what is echoed
 * in place. */
static size_t random_size(void)
{
    static const size_t edges[] = {1, 2, 125, 126, 127, 255, 256, 257, 2047, 2048, 2049, 5000};
    return random_below(3) == 0 ? edges[random_below(12)] : 1 + (size_t)random_below(300);
}

/* An echo of random size, whole or in fragments. */
static void add_echo(struct ws_stream *script)
{
    char payload[5001];
    size_t size = random_size();
    for (size_t i = 0; i < size; i++)
        payload[i] = (char)('a' + random_below(26));
    payload[0] = 'e';
    unsigned type = random_below(2) == 0 ? FW_WS_TEXT : FW_WS_BINARY;
    size_t at = 0;
    while (random_below(3) == 0 && at < size) {
        size_t piece = (size_t)random_below(size - at);
        ws_stream_frame(script, WS_MASKED | type, payload + at, piece);
        type = FW_WS_CONTINUATION;
        at += piece;
    }
    ws_stream_frame(script, WS_FIN | WS_MASKED | type, payload + at, size - at);
}

/* Requests, perhaps; a handshake, perhaps refused; echoes; an end. */
static void make_script(struct ws_stream *script)
{
    static const char get[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char post[] = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nsome body";
    static const char bad[] = "GET /a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n";
    for (uint64_t i = random_below(3); i > 0; i--)
        ws_stream_put(script, get, sizeof get - 1);
    if (random_below(4) == 0)
        ws_stream_put(script, post, sizeof post - 1);
    if (random_below(16) == 0)
        ws_stream_put(script, bad, sizeof bad - 1);
    sim_script_open(script, random_below(16) == 0 ? "/no" : "/x");
    for (uint64_t i = random_below(30); i > 0; i--)
        add_echo(script);
    if (random_below(4) == 0)
        sim_script_text(script, "c");
    if (random_below(16) == 0)
        ws_stream_put(script, "\x81\x01x", 3); /* not masked */
    sim_script_close(script);
}

/* What a friendly network makes of a script. */
static void run_undisturbed(const struct ws_stream *script, struct ws_stream *sent_out)
{
    struct sim_rig *rig = sim_create(1, 1);
    uint32_t slot = fw_sim_connect(rig->sim, 0);
    fw_sim_peer_send(rig->sim, slot, script->bytes, script->bytes_count);
    sim_run(rig);
    struct fw_bytes sent = fw_sim_sent(rig->sim, slot);
    ws_stream_put(sent_out, sent.at, sent.count);
    cr_assert_gt(sent.count, 0u);
    sim_destroy(rig);
}

/* ---- peers ----------------------------------------------------------------------------------- */

struct peer {
    struct ws_stream script;
    struct ws_stream wanted;
    struct ws_stream sent;
    size_t fed;
    uint32_t slot;
    unsigned connects_at; /* turn */
    unsigned ends_at;     /* 0: never */
    int end_status;
    bool connected;
    bool over;
    bool narrow; /* its window opens a little at a time */
};

static void make_peer(struct peer *peer, bool may_end)
{
    *peer =
        (struct peer){.connects_at = (unsigned)random_below(60), .narrow = random_below(3) == 0};
    make_script(&peer->script);
    run_undisturbed(&peer->script, &peer->wanted);
    if (may_end && random_below(2) == 0) {
        peer->ends_at = peer->connects_at + 1 + (unsigned)random_below(80);
        peer->end_status = random_below(2) == 0 ? 0 : -ECONNRESET;
    }
}

static void clear_peer(struct peer *peer)
{
    ws_stream_clear(&peer->script);
    ws_stream_clear(&peer->wanted);
    ws_stream_clear(&peer->sent);
}

static void connect_peer(struct sim_rig *rig, struct peer *peer)
{
    peer->slot = fw_sim_connect(rig->sim, 0);
    peer->connected = true;
    if (peer->narrow)
        fw_sim_peer_window(rig->sim, peer->slot, (size_t)random_below(200));
}

static void move_peer(struct sim_rig *rig, struct peer *peer, unsigned turn)
{
    if (!peer->connected && turn >= peer->connects_at)
        connect_peer(rig, peer);
    if (!peer->connected || peer->over)
        return;
    if (fw_sim_state(rig->sim, peer->slot) >= FW_SIM_CLOSED) {
        struct fw_bytes sent = fw_sim_sent(rig->sim, peer->slot);
        if (sent.count > 0)
            ws_stream_put(&peer->sent, sent.at, sent.count);
        peer->over = true;
        return;
    }
    size_t left = peer->script.bytes_count - peer->fed;
    if (left > 0 && random_below(3) == 0) {
        size_t piece = 1 + (size_t)random_below(left < 6000 ? left : 6000);
        fw_sim_peer_send(rig->sim, peer->slot, peer->script.bytes + peer->fed, piece);
        peer->fed += piece;
    }
    if (peer->narrow && random_below(2) == 0)
        fw_sim_peer_window(rig->sim, peer->slot, 1 + (size_t)random_below(3000));
    if (peer->ends_at != 0 && turn == peer->ends_at)
        fw_sim_peer_end(rig->sim, peer->slot, peer->end_status);
    /* Who lingers waits for the peer's end, or for a second. */
    if (fw_sim_is_shut(rig->sim, peer->slot) && random_below(10) == 0)
        fw_sim_peer_end(rig->sim, peer->slot, 0);
}

static bool all_over(const struct peer *peers)
{
    for (unsigned i = 0; i < PEERS; i++) {
        if (!peers[i].over)
            return false;
    }
    return true;
}

static void check_peer(const struct peer *peer, uint64_t seed, unsigned number)
{
    size_t count = peer->sent.bytes_count;
    if (peer->ends_at == 0)
        cr_assert_eq(count, peer->wanted.bytes_count, "seed %llu, peer %u",
                     (unsigned long long)seed, number);
    cr_assert_leq(count, peer->wanted.bytes_count);
    cr_assert(count == 0 || memcmp(peer->sent.bytes, peer->wanted.bytes, count) == 0,
              "seed %llu, peer %u", (unsigned long long)seed, number);
}

/* Eight peers at once on a network that is as unkind as the seed makes it. */
static void run_seed(uint64_t seed, bool may_end)
{
    struct peer peers[PEERS];
    random_state = seed * 0x9e3779b97f4a7c15u;
    for (unsigned i = 0; i < PEERS; i++)
        make_peer(&peers[i], may_end);
    /* Fewer slots than peers would be the test's mistake; more are never needed. */
    struct sim_rig *rig = sim_create(PEERS, seed);
    for (unsigned turn = 0; !all_over(peers); turn++) {
        cr_assert_lt(turn, 100000u, "seed %llu: it never ends", (unsigned long long)seed);
        if (turn % 16 == 0)
            fw_sim_knobs_shuffle(rig->sim);
        for (unsigned i = 0; i < PEERS; i++)
            move_peer(rig, &peers[i], turn);
        cr_assert_eq(fw_engine_turn(fw_sim_engine(rig->sim), 0), 0);
        if (turn < 400)
            fw_sim_advance(rig->sim, random_below(10)); /* well within every deadline */
        else if (turn > 4000)
            fw_sim_advance(rig->sim, 10); /* what lingers goes */
    }
    sim_run(rig);
    for (unsigned i = 0; i < PEERS; i++) {
        check_peer(&peers[i], seed, i);
        clear_peer(&peers[i]);
    }
    cr_assert_eq(rig->adopted, rig->gone);
    sim_destroy(rig);
}

Test(sim_sessions, give_every_peer_the_bytes_of_an_undisturbed_run, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= 300; seed++)
        run_seed(seed, false);
}

Test(sim_sessions, give_every_peer_that_goes_the_beginning_of_them_and_the_others_all,
     .timeout = 300)
{
    for (uint64_t seed = 1001; seed <= 1300; seed++)
        run_seed(seed, true);
}

/* ---- fan-out --------------------------------------------------------------------------------- */

/* The number after the last message of a trace, 0 when there is none; it fails at a gap. */
static unsigned numbers_end(const char *frames)
{
    unsigned next = 0;
    for (const char *at = strstr(frames, "text(p"); at != NULL; at = strstr(at + 1, "text(p")) {
        unsigned number = (unsigned)strtoul(at + 6, NULL, 10);
        cr_assert(next == 0 || number == next, "a gap: %s", frames);
        next = number + 1;
    }
    return next;
}

/* Subscribers that come while messages are published, on any network, get every one from then on,
 * in order. */
Test(sim_sessions, miss_no_message_once_they_are_subscribed, .timeout = 300)
{
    enum { MESSAGES = 200 };
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sim_rig *rig = sim_create(PEERS, seed);
        struct ws_stream open = {0};
        uint32_t slots[PEERS];
        unsigned published = 0;
        random_state = seed;
        rig->rules.output_bytes_max = 1 << 20; /* who is slow is another test */
        sim_script_open(&open, "/room");
        for (unsigned turn = 0, connected = 0; published < MESSAGES || connected < PEERS; turn++) {
            if (turn % 16 == 0)
                fw_sim_knobs_shuffle(rig->sim);
            if (connected < PEERS && turn >= connected * 10) {
                slots[connected] = fw_sim_connect(rig->sim, 0);
                fw_sim_peer_send(rig->sim, slots[connected++], open.bytes, open.bytes_count);
            }
            for (uint64_t i = random_below(6); i > 0 && published < MESSAGES; i--) {
                char text[16];
                int count = snprintf(text, sizeof text, "p%u", ++published);
                cr_assert(sim_publish(rig, text, (size_t)count));
            }
            fw_engine_turn(fw_sim_engine(rig->sim), 0);
        }
        /* One more for all of them: it shows that nobody has missed the last. */
        sim_run(rig);
        cr_assert(sim_publish(rig, "p201", 4));
        sim_run(rig);
        for (unsigned i = 0; i < PEERS; i++) {
            cr_assert_eq(numbers_end(sim_frames(rig, slots[i])), 202u, "seed %llu, peer %u",
                         (unsigned long long)seed, i);
        }
        ws_stream_clear(&open);
        sim_destroy(rig);
    }
}

/* ---- an end after each completion ------------------------------------------------------------ */

enum injection { PEER_FIN, PEER_RESET, SENDS_FAIL, WE_CLOSE, WE_FAIL, WE_STOP, INJECTIONS };

struct injected {
    struct sim_rig *rig;
    enum injection what;
    uint64_t at;
    uint32_t slot;
};

static void inject(void *context, struct fw_sim *sim, uint64_t completion)
{
    struct injected *injected = context;
    struct fw_session *session = sim_session(injected->rig, injected->slot);
    if (completion != injected->at)
        return;
    switch (injected->what) {
    case PEER_FIN:
        fw_sim_peer_end(sim, injected->slot, 0);
        break;
    case PEER_RESET:
        fw_sim_peer_end(sim, injected->slot, -ECONNRESET);
        break;
    case SENDS_FAIL:
        fw_sim_peer_refuse(sim, injected->slot, -EPIPE);
        break;
    case WE_CLOSE:
        if (session->host != NULL)
            fw_ws_session_close(session, 4321, fw_bytes_of("now"));
        break;
    case WE_FAIL:
        if (session->host != NULL && session->phase == FW_PHASE_OPEN)
            fw_ws_session_fail(session, 1011, "injected");
        break;
    case WE_STOP:
        sim_stop(injected->rig);
        break;
    case INJECTIONS:
        break;
    }
}

/* A session that does everything: a request, the handshake in two pieces, echoes whole and cut, a
 * ping, a publish that comes back to it and to the other, a flood beyond the budget, a close. */
static void make_full_script(struct ws_stream *script)
{
    static const char get[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    char large[3000];
    memset(large, 'e', sizeof large);
    ws_stream_put(script, get, sizeof get - 1);
    sim_script_open(script, "/room");
    sim_script_text(script, "echo");
    ws_stream_frame(script, WS_FIN | WS_MASKED | FW_WS_BINARY, large, sizeof large);
    ws_stream_text(script, WS_MASKED | FW_WS_TEXT, "efrag");
    ws_stream_text(script, WS_FIN | WS_MASKED | FW_WS_PING, "ping");
    ws_stream_text(script, WS_FIN | WS_MASKED | FW_WS_CONTINUATION, "mented");
    sim_script_text(script, "published");
    sim_script_text(script, "f1");
    sim_script_close(script);
}

/* Runs that session beside another one; both to their ends.
 *
 * returns      the completions it took
 */
static uint64_t run_full(uint64_t seed, bool unkind, enum injection what, uint64_t at)
{
    struct sim_rig *rig = sim_create(3, seed);
    struct injected injected = {.rig = rig, .what = what, .at = at};
    struct ws_stream script = {0};
    struct ws_stream other = {0};
    rig->rules.output_bytes_max = 4096;
    rig->rules.output_soft_bytes = 1024;
    if (unkind) {
        fw_sim_knobs_shuffle(rig->sim);
        fw_sim_knobs(rig->sim)->receive_bytes_max = 300;
        fw_sim_knobs(rig->sim)->send_bytes_max = 700;
    }
    make_full_script(&script);
    sim_script_open(&other, "/room");
    uint32_t watcher = fw_sim_connect(rig->sim, 1);
    fw_sim_peer_send(rig->sim, watcher, other.bytes, other.bytes_count);
    sim_run(rig);

    fw_sim_after_completion(rig->sim, inject, &injected);
    injected.at += fw_sim_completions(rig->sim);
    uint64_t before = fw_sim_completions(rig->sim);
    injected.slot = fw_sim_connect(rig->sim, 2);
    fw_sim_peer_send(rig->sim, injected.slot, script.bytes, 120);
    fw_sim_peer_cut(rig->sim, injected.slot);
    fw_sim_peer_send(rig->sim, injected.slot, script.bytes + 120, script.bytes_count - 120);
    sim_run(rig);
    uint64_t completions = fw_sim_completions(rig->sim) - before;
    fw_sim_after_completion(rig->sim, NULL, NULL);

    /* Whatever happened: the other one is served as before, unless the server stops. */
    if (what != WE_STOP || at > completions) {
        fw_sim_sent_clear(rig->sim, watcher);
        cr_assert(sim_publish(rig, "still here", 10));
        sim_run(rig);
        cr_assert_eq(fw_sim_sent(rig->sim, watcher).count, 12u);
    }
    sim_pass(rig, 8000);
    cr_assert_neq(fw_sim_state(rig->sim, injected.slot), FW_SIM_OPEN, "injection %d at %llu", what,
                  (unsigned long long)at);
    ws_stream_clear(&script);
    ws_stream_clear(&other);
    sim_destroy(rig);
    return completions;
}

static void inject_everywhere(uint64_t seed, bool unkind)
{
    for (enum injection what = 0; what < INJECTIONS; what++) {
        uint64_t completions = run_full(seed, unkind, what, UINT64_MAX / 2);
        cr_assert_gt(completions, 8u);
        for (uint64_t at = 1; at <= completions; at++)
            run_full(seed, unkind, what, at);
    }
}

/* SECURITY.md: close injected after each of the completions of a full session. */
Test(sim_close, at_every_step_of_a_session_on_a_friendly_network, .timeout = 300)
{
    inject_everywhere(1, false);
}

Test(sim_close, at_every_step_of_a_session_on_an_unkind_network, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= 4; seed++)
        inject_everywhere(seed, true);
}

/* ---- without memory -------------------------------------------------------------------------- */

/* Whether the last `count` octets sent are a close frame with 1011, or the beginning of one. */
static bool is_close_1011(const uint8_t *at, size_t count)
{
    static const uint8_t code[2] = {0x03, 0xf3};
    if (at[0] != 0x88 || (count > 1 && count > at[1] + 2u))
        return false;
    return count <= 2 || memcmp(at + 2, code, count - 2 < 2 ? count - 2 : 2) == 0;
}

/* Whether `sent` is the beginning of `wanted`, perhaps with that close frame behind it. */
static bool is_beginning(const struct ws_stream *wanted, struct fw_bytes sent)
{
    size_t same = 0;
    while (same < sent.count && same < wanted->bytes_count && sent.at[same] == wanted->bytes[same])
        same++;
    if (same == sent.count)
        return true;
    /* The frame may begin like what was wanted. */
    for (size_t from = same < 4 ? 0 : same - 4; from <= same; from++) {
        if (is_close_1011(sent.at + from, sent.count - from))
            return true;
    }
    return false;
}

static void run_without_memory(uint64_t seed, bool unkind, enum fail_mem_mode mode)
{
    struct ws_stream script = {0};
    struct ws_stream wanted = {0};
    bool failed = true;
    random_state = seed;
    make_script(&script);
    run_undisturbed(&script, &wanted);
    for (unsigned k = 1; failed; k++) {
        struct sim_rig *rig = sim_create(2, seed);
        if (unkind) {
            fw_sim_knobs_shuffle(rig->sim);
            fw_sim_knobs(rig->sim)->receive_bytes_max = 500;
            fw_sim_knobs(rig->sim)->send_bytes_max = 700;
        }
        fail_mem_at(k, mode);
        uint32_t slot = fw_sim_connect(rig->sim, 0);
        fw_sim_peer_send(rig->sim, slot, script.bytes, script.bytes_count);
        sim_run(rig);
        sim_pass(rig, 8000);
        failed = fail_mem_off();
        struct fw_bytes sent = fw_sim_sent(rig->sim, slot);
        cr_assert(is_beginning(&wanted, sent), "seed %llu, allocation %u", (unsigned long long)seed,
                  k);
        if (!failed)
            cr_assert_eq(sent.count, wanted.bytes_count);
        sim_destroy(rig);
    }
    ws_stream_clear(&script);
    ws_stream_clear(&wanted);
}

Test(sim_memory, every_allocation_may_fail_and_the_stream_is_a_beginning, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        run_without_memory(seed, false, FAIL_ONCE);
        run_without_memory(seed, true, FAIL_ONCE);
        run_without_memory(seed, true, FAIL_FROM_ON);
    }
}

/* With fan-out, floods and a second connection; the server lives, and serves when memory is back.
 */
Test(sim_memory, every_allocation_may_fail_and_the_server_lives, .timeout = 300)
{
    for (unsigned variant = 0; variant < 4; variant++) {
        bool failed = true;
        for (unsigned k = 1; failed; k++) {
            struct sim_rig *rig = sim_create(3, 1);
            struct ws_stream script = {0};
            struct ws_stream other = {0};
            rig->rules.output_bytes_max = 4096;
            rig->rules.output_soft_bytes = 1024;
            fw_sim_knobs(rig->sim)->settle_late = variant % 2 == 1;
            fw_sim_knobs(rig->sim)->send_bytes_max = 700;
            make_full_script(&script);
            sim_script_open(&other, "/room");
            fail_mem_at(k, variant < 2 ? FAIL_ONCE : FAIL_FROM_ON);
            uint32_t watcher = fw_sim_connect(rig->sim, 1);
            fw_sim_peer_send(rig->sim, watcher, other.bytes, other.bytes_count);
            uint32_t slot = fw_sim_connect(rig->sim, 2);
            fw_sim_peer_send(rig->sim, slot, script.bytes, script.bytes_count);
            sim_run(rig);
            failed = fail_mem_off();
            sim_pass(rig, 8000);
            uint32_t later = fw_sim_connect(rig->sim, 3);
            fw_sim_peer_send(rig->sim, later, other.bytes, other.bytes_count);
            sim_run(rig);
            cr_assert_str_eq(sim_frames(rig, later), "text(welcome)", "allocation %u", k);
            ws_stream_clear(&script);
            ws_stream_clear(&other);
            sim_destroy(rig);
        }
    }
}
