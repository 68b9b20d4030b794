/* test_sim_client.c: client sessions and server sessions against each other, on two simulators
 * whose connections are joined: what one side sent, the other is given, cut and late as the seed
 * wants.
 *
 * Each client sends messages that the server sends back; whatever the network does, they come back
 * whole, in order, and, unless the connection is cut, all of them. A failure names its seed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/compress.h"
#include "session/ws_client.h"
#include "sim/sim_rig.h"

#include "base/limits.h"
#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>
#include <stdlib.h>
#include <string.h>

#define CALLS             4
#define MESSAGES          8
#define MESSAGE_BYTES_MAX 2500u

/* What the program knows of one of its connections. */
struct call {
    struct caller *caller;
    uint32_t slot; /* of the client's simulator, and of the server's */
    uint32_t server_slot;
    size_t up; /* octets carried to the server, and back */
    size_t down;
    bool joined;
    bool up_ended;
    bool down_ended;
    unsigned sent;
    unsigned answered;
    unsigned opened;
    unsigned failed;
    unsigned closed;
    unsigned code;
};

struct caller {
    struct fw_conns conns; /* the first member: a session's host is found as its address */
    struct fw_compressor compressor;
    struct fw_sim *sim;
    struct sim_rig *server;
    struct fw_session_rules rules;
    struct fw_log log;
    struct fw_engine_events events;
    struct call calls[CALLS];
    struct fw_ws_dial *dials[CALLS];
    uint64_t keys;
    uint64_t seed;
};

static struct caller *caller_of(struct fw_session *session)
{
    return (struct caller *)(void *)session->host;
}

/* The n-th message of a call: its size and its octets. */
static size_t message_bytes(const struct call *call, unsigned n)
{
    static const size_t sizes[] = {1, 2, 125, 126, 127, 300, 2048, MESSAGE_BYTES_MAX};
    return sizes[(call->slot + n * 3 + call->caller->seed) % 8];
}

static uint8_t message_octet(const struct call *call, unsigned n, size_t at)
{
    return at == 0 ? 'e' : (uint8_t)('a' + (call->slot * 7 + n * 5 + at / 16) % 26);
}

static void send_next(struct fw_session *session, struct call *call)
{
    uint8_t message[MESSAGE_BYTES_MAX];
    size_t count = message_bytes(call, call->sent);
    for (size_t i = 0; i < count; i++)
        message[i] = message_octet(call, call->sent, i);
    if (fw_ws_session_send(session, FW_WS_TEXT, (struct fw_bytes){message, count}) == 0)
        call->sent++;
}

static void up_random(struct fw_session *session, uint8_t *out, size_t bytes_count)
{
    for (size_t i = 0; i < bytes_count; i++) {
        caller_of(session)->keys = caller_of(session)->keys * 6364136223846793005u + 1;
        out[i] = (uint8_t)(caller_of(session)->keys >> 56);
    }
}

static void up_opened(struct fw_session *session, const struct fw_response *response)
{
    struct call *call = session->user;
    cr_assert_eq(response->head->status, 101);
    call->opened++;
    for (unsigned i = 0; i < MESSAGES / 2; i++)
        send_next(session, call);
}

static void up_failed(struct fw_session *session, int status, const struct fw_response *response)
{
    (void)response;
    cr_assert_lt(status, 0);
    ((struct call *)session->user)->failed++;
}

static void up_message(struct fw_session *session, uint8_t type, const uint8_t *bytes, size_t count)
{
    struct call *call = session->user;
    cr_assert_eq(type, FW_WS_TEXT);
    cr_assert_eq(count, message_bytes(call, call->answered), "seed %llu: answer %u of %zu octets",
                 (unsigned long long)call->caller->seed, call->answered, count);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(bytes[i], message_octet(call, call->answered, i));
    call->answered++;
    if (call->sent < MESSAGES)
        send_next(session, call);
    if (call->answered == MESSAGES)
        fw_ws_session_close(session, 1000, fw_bytes_of(""));
}

static void up_closed(struct fw_session *session, unsigned code, struct fw_bytes reason)
{
    struct call *call = session->user;
    (void)reason;
    cr_assert_eq(call->opened, 1u);
    call->closed++;
    call->code = code;
}

static void up_drained(struct fw_session *session)
{
    (void)session;
}

static const struct fw_session_upward upward = {
    .changed = fw_conn_changed,
    .keep = fw_conn_keep,
    .timer = fw_conn_set_timer,
    .message = up_message,
    .closed = up_closed,
    .drained = up_drained,
    .random = up_random,
    .opened = up_opened,
    .failed = up_failed,
};

static struct fw_conn *adopted_conn;

static void on_opened(void *owner, struct fw_conn *conn)
{
    (void)owner;
    adopted_conn = conn;
}

static void on_nobody(void *owner, struct fw_conn *conn)
{
    (void)owner;
    (void)conn;
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static void on_adopted(void *owner, uint32_t slot, uint32_t tag)
{
    struct caller *caller = owner;
    fw_conns_events.on_adopted(owner, slot, tag);
    fw_ws_client_begin(&adopted_conn->session, caller->dials[tag]);
    caller->dials[tag] = NULL;
}

static void on_connect_failed(void *owner, uint32_t tag, int status)
{
    struct caller *caller = owner;
    cr_assert(status == -ECONNREFUSED || status == -ETIMEDOUT, "status %d", status);
    caller->calls[tag].failed++;
    fw_ws_dial_destroy(caller->dials[tag]);
    caller->dials[tag] = NULL;
}

static struct caller *create(uint64_t seed, bool deflate)
{
    struct caller *caller = calloc(1, sizeof *caller);
    caller->events = fw_conns_events;
    caller->events.on_adopted = on_adopted;
    caller->events.on_connect_failed = on_connect_failed;
    const struct fw_engine_options options = {
        .slots_max = CALLS, .owner = &caller->conns, .events = &caller->events};
    caller->seed = seed;
    caller->keys = seed;
    caller->sim = fw_sim_create(&options, seed * 3 + 1);
    caller->server = sim_create(CALLS, seed);
    caller->rules = (struct fw_session_rules){
        .ws = {.message_bytes_max = 65536, .compressed_bytes_max = 70000, .client = true},
        .output_bytes_max = 1 << 20,
        .output_soft_bytes = 16384,
        .handshake_timeout_ms = FW_HANDSHAKE_MS_DEFAULT,
        .ping_interval_ms = FW_PING_MS_DEFAULT,
        .pong_timeout_ms = FW_PONG_MS_DEFAULT,
    };
    struct fw_engine *engine = fw_sim_engine(caller->sim);
    cr_assert_eq(fw_conns_init(&caller->conns, CALLS, fw_engine_now_ms(engine)), 0);
    fw_log_init(&caller->log, NULL, NULL);
    caller->conns.engine = engine;
    caller->conns.owner = caller;
    caller->conns.on_opened = on_opened;
    caller->conns.on_gone = on_nobody;
    caller->conns.on_wake = on_nothing;
    caller->conns.on_turn = on_nothing;
    caller->conns.host.rules = &caller->rules;
    caller->conns.host.up = &upward;
    caller->conns.host.log = &caller->log;
    caller->conns.host.random = seed * 2 + 1;
    if (deflate) {
        /* Both sides with contexts: the server's rig borrows a compressor of its own. */
        static struct fw_compressor servers;
        cr_assert_eq(fw_compressor_init(&caller->compressor, 65536, 1 << 20), 0);
        cr_assert_eq(fw_compressor_init(&servers, 65536, 1 << 20), 0);
        caller->conns.host.compressor = &caller->compressor;
        caller->server->conns.host.compressor = &servers;
        caller->server->rules.ws.compressed_bytes_max = 80000;
    }
    fw_sim_knobs_shuffle(caller->sim);
    fw_sim_knobs_shuffle(caller->server->sim);
    return caller;
}

static void destroy(struct caller *caller)
{
    struct fw_compressor *servers = caller->server->conns.host.compressor;
    fw_conns_clear(&caller->conns);
    fw_sim_destroy(caller->sim);
    sim_destroy(caller->server);
    if (servers != NULL) {
        fw_compressor_clear(servers);
        fw_compressor_clear(&caller->compressor);
    }
    for (unsigned i = 0; i < CALLS; i++)
        fw_ws_dial_destroy(caller->dials[i]);
    free(caller);
}

static bool connect_all(struct caller *caller)
{
    static const struct sockaddr nowhere = {.sa_family = AF_INET};
    for (unsigned i = 0; i < CALLS; i++) {
        struct call *call = &caller->calls[i];
        *call = (struct call){.caller = caller};
        const struct fw_ws_dial_options options = {.host = "x", .target = "/x", .user = call};
        if (fw_ws_dial_create(&options, &caller->dials[i]) != 0)
            return false;
        int slot = fw_engine_connect(caller->conns.engine, &nowhere, sizeof nowhere, i, 1000);
        cr_assert_geq(slot, 0);
        call->slot = (uint32_t)slot;
    }
    return true;
}

/* What one side sent, and how it ended, comes to the other. */
static bool carry(struct fw_sim *from, uint32_t from_slot, struct fw_sim *to, uint32_t to_slot,
                  size_t *carried, bool *ended)
{
    struct fw_bytes sent = fw_sim_sent(from, from_slot);
    enum fw_sim_state state = fw_sim_state(from, from_slot);
    bool moved = sent.count > *carried;
    if (moved)
        fw_sim_peer_send(to, to_slot, sent.at + *carried, sent.count - *carried);
    *carried = sent.count;
    bool over =
        state == FW_SIM_CLOSED || state == FW_SIM_ABORTED || fw_sim_is_shut(from, from_slot);
    if (over && !*ended) {
        fw_sim_peer_end(to, to_slot, state == FW_SIM_ABORTED ? -ECONNRESET : 0);
        *ended = true;
        moved = true;
    }
    return moved;
}

static bool carry_all(struct caller *caller)
{
    bool moved = false;
    struct fw_sim *server = caller->server->sim;
    for (unsigned i = 0; i < CALLS; i++) {
        struct call *call = &caller->calls[i];
        enum fw_sim_state state = fw_sim_state(caller->sim, call->slot);
        if (!call->joined && state == FW_SIM_OPEN) {
            call->server_slot = fw_sim_connect(server, 0);
            call->joined = true;
        }
        if (!call->joined)
            continue;
        moved |=
            carry(caller->sim, call->slot, server, call->server_slot, &call->up, &call->up_ended);
        moved |= carry(server, call->server_slot, caller->sim, call->slot, &call->down,
                       &call->down_ended);
    }
    return moved;
}

/* Both sides, until neither has anything for the other. */
static void run(struct caller *caller)
{
    for (unsigned rounds = 0;; rounds++) {
        cr_assert_lt(rounds, 100000u, "seed %llu spins", (unsigned long long)caller->seed);
        do {
            fw_sim_run(caller->sim);
        } while (caller->conns.dirty_count > 0 || !fw_sim_is_quiet(caller->sim));
        sim_run(caller->server);
        if (!carry_all(caller))
            return;
    }
}

static void pass(struct caller *caller, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 512) {
        fw_sim_advance(caller->sim, 512);
        fw_sim_advance(caller->server->sim, 512);
        run(caller);
    }
}

static void friendly(uint64_t seed, bool deflate)
{
    struct caller *caller = create(seed, deflate);
    cr_assert(connect_all(caller));
    run(caller);
    for (unsigned i = 0; i < CALLS; i++) {
        const struct call *call = &caller->calls[i];
        cr_assert_eq(call->opened, 1u, "seed %llu call %u", (unsigned long long)seed, i);
        cr_assert_eq(call->answered, (unsigned)MESSAGES, "seed %llu call %u: %u answers",
                     (unsigned long long)seed, i, call->answered);
        cr_assert_eq(call->closed, 1u);
        cr_assert_eq(call->code, 1000u);
        cr_assert_eq(call->failed, 0u);
        /* The server closed first, so both are gone. */
        cr_assert_eq(fw_sim_state(caller->server->sim, call->server_slot), FW_SIM_CLOSED);
        cr_assert_eq(fw_sim_state(caller->sim, call->slot), FW_SIM_CLOSED);
    }
    cr_assert_eq(caller->server->codes[1000], (unsigned)CALLS);
    destroy(caller);
}

Test(sim_client, every_message_comes_back, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 100; seed++)
        friendly(seed, false);
}

Test(sim_client, every_compressed_message_comes_back, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 100; seed++)
        friendly(seed, true);
}

/* A cut at any point: a prefix of the answers came, and one end is told of each call. */
static struct caller *cut_caller;
static uint64_t cut_at;

static void cut(void *context, struct fw_sim *sim, uint64_t completion)
{
    (void)context;
    if (completion != cut_at)
        return;
    struct call *call = &cut_caller->calls[cut_at % CALLS];
    bool client = sim == cut_caller->sim;
    uint32_t slot = client ? call->slot : call->server_slot;
    if (call->joined && fw_sim_state(sim, slot) == FW_SIM_OPEN)
        fw_sim_peer_end(sim, slot, cut_at % 2 == 0 ? -ECONNRESET : 0);
}

static void check_ends(const struct caller *caller)
{
    for (unsigned i = 0; i < CALLS; i++) {
        const struct call *call = &caller->calls[i];
        cr_assert_eq(call->failed + call->closed, 1u, "seed %llu call %u: failed %u closed %u",
                     (unsigned long long)caller->seed, i, call->failed, call->closed);
        cr_assert_leq(call->answered, call->sent);
    }
}

Test(sim_client, a_cut_anywhere_ends_each_call_once, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct caller *caller = create(seed, seed % 2 == 0);
        cut_caller = caller;
        cut_at = 1 + seed * 7 % 200;
        fw_sim_after_completion(seed % 3 == 0 ? caller->server->sim : caller->sim, cut, NULL);
        cr_assert(connect_all(caller));
        run(caller);
        pass(caller, 60000); /* who waits for a peer that is gone gives up */
        check_ends(caller);
        destroy(caller);
    }
}

Test(sim_client, refused_and_silent_connects_are_told, .timeout = 60)
{
    struct caller *caller = create(5, false);
    fw_sim_connects(caller->sim, -ECONNREFUSED);
    cr_assert(connect_all(caller));
    run(caller);
    check_ends(caller);
    destroy(caller);

    caller = create(6, false);
    fw_sim_connects(caller->sim, 1);
    cr_assert(connect_all(caller));
    run(caller);
    for (unsigned i = 0; i < CALLS; i++)
        cr_assert_eq(caller->calls[i].failed, 0u, "nothing has come of it yet");
    pass(caller, 2000);
    check_ends(caller);
    destroy(caller);
}

/* The same with memory that runs out: everything ends, nothing twice. */
Test(sim_client, survives_failed_allocations, .timeout = 120)
{
    for (unsigned k = 1; k <= 250; k++) {
        struct caller *caller = create(k, k % 2 == 0);
        fail_mem_at(k, k % 3 == 0 ? FAIL_FROM_ON : FAIL_ONCE);
        bool all = connect_all(caller);
        if (all) {
            run(caller);
            pass(caller, 60000);
        }
        fail_mem_off();
        if (all)
            check_ends(caller);
        destroy(caller);
    }
}
