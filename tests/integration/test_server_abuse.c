/* test_server_abuse.c: peers that mean harm, or die: what SECURITY.md says must hold, against a
 * running server through its public API.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANDSHAKE                                                                                  \
    "GET /room HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"               \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

/* A server still serves, and holds nobody but those that the test knows of. */
static void still_serves(struct server *server, uint64_t connections)
{
    EVENTUALLY(server_connections(server) == connections);
    struct ws_client client = server_client(server, "/");
    ws_client_text(&client, "echo");
    cr_assert(ws_client_got_text(&client, "echo"));
    ws_client_close(&client);
    EVENTUALLY(server_connections(server) == connections);
}

/* What memory may grow by for one connection: a sanitizer's own books grow, too. */
static uint64_t slack_bytes(void)
{
    return (server_is_instrumented() ? (uint64_t)300 : (uint64_t)1) << 20;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* ws CVE-2024-37890: more headers than the limit. */
SERVER_TEST(server_abuse, any_number_of_headers_is_answered_or_refused, 60)
{
    static const unsigned counts[] = {0, 1, 62, 63, 64, 65, 100, 101, 2000, 10000};
    struct server server;
    char *text = malloc(20 * 10000 + 1000);
    server_init(&server, engine);
    server_start(&server);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct ws_client client;
        size_t count = (size_t)sprintf(text, "GET /hello HTTP/1.1\r\nHost: x\r\n");
        for (unsigned k = 0; k < counts[i]; k++)
            count += (size_t)sprintf(text + count, "X-%u: y\r\n", k);
        count += (size_t)sprintf(text + count, "\r\n");
        ws_client_connect(&client, server.address);
        ws_client_send(&client, text, count);
        unsigned status = ws_client_answer(&client, NULL, 0);
        cr_assert_eq(status, counts[i] <= 63 ? 200u : 431u, "%u headers: %u", counts[i], status);
        ws_client_close(&client);
    }
    free(text);
    still_serves(&server, 0);
    server_end(&server);
}

/* tungstenite CVE-2023-43669 was about these: a long head in packets of one octet. */
SERVER_TEST(server_abuse, a_head_in_octets_is_taken, 120)
{
    struct server server;
    struct ws_client client;
    char text[8192] = "GET /hello HTTP/1.1\r\nHost: x\r\n";
    server_init(&server, engine);
    server.options.handshake_timeout_ms = 60000;
    server_start(&server);
    for (size_t at = strlen(text); at < 7800; at = strlen(text))
        snprintf(text + at, sizeof text - at, "X-Filler: %0300d\r\n", 0);
    strcat(text, "\r\n");
    ws_client_connect(&client, server.address);
    for (size_t i = 0; text[i] != '\0'; i++)
        cr_assert(ws_client_send(&client, text + i, 1));
    cr_assert_eq(ws_client_answer(&client, NULL, 0), 200u);
    ws_client_close(&client);
    server_end(&server);
}

/* SECURITY.md, slowloris: a deadline from the accept on, not an idle timer. */
SERVER_TEST(server_abuse, dripped_handshakes_end_in_time_and_disturb_nobody, 60)
{
    enum { CLIENTS = 100 };
    struct server server;
    struct ws_client clients[CLIENTS];
    bool answered[CLIENTS] = {false};
    unsigned answers = 0;
    server_init(&server, engine);
    server.options.handshake_timeout_ms = 1000;
    server_start(&server);
    struct ws_client honest = server_client(&server, "/");
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_connect(&clients[i], server.address);
    uint64_t begun_ms = ws_client_now_ms();
    for (size_t at = 0; answers < CLIENTS; at++) {
        cr_assert_lt(ws_client_now_ms() - begun_ms, 20000u, "%u were answered", answers);
        for (unsigned i = 0; i < CLIENTS; i++) {
            if (answered[i])
                continue;
            if (ws_client_silent(&clients[i], 0)) {
                (void)ws_client_send(&clients[i], &HANDSHAKE[at % (sizeof HANDSHAKE - 8)], 1);
                continue;
            }
            cr_assert_eq(ws_client_answer(&clients[i], NULL, 0), 408u);
            ws_client_close(&clients[i]);
            answered[i] = true;
            answers++;
        }
        server_nap(100);
    }
    ws_client_text(&honest, "echo");
    cr_assert(ws_client_got_text(&honest, "echo"));
    ws_client_close(&honest);
    still_serves(&server, 0);
    server_end(&server);
}

SERVER_TEST(server_abuse, silent_connections_end_in_time, 60)
{
    enum { CLIENTS = 50 };
    struct server server;
    struct ws_client clients[CLIENTS];
    server_init(&server, engine);
    server.options.handshake_timeout_ms = 500;
    server_start(&server);
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_connect(&clients[i], server.address);
    for (unsigned i = 0; i < CLIENTS; i++) {
        cr_assert(ws_client_ended(&clients[i]));
        ws_client_close(&clients[i]);
    }
    still_serves(&server, 0);
    server_end(&server);
}

/* ---- dying peers ----------------------------------------------------------------------------- */

/* SECURITY.md: RST after each octet of a session; nothing leaks, and the count is exact. */
SERVER_TEST_AND_TLS(server_abuse, a_reset_after_each_octet_of_a_session_leaves_nothing, 120)
{
    static const char session[] = HANDSHAKE "\x81\x84\x01\x02\x03\x04"
                                            "djkk"              /* "echo" */
                                            "\x01\x81\0\0\0\0p" /* a fragmented publish */
                                            "\x89\x82\0\0\0\0hi"
                                            "\x80\x81\0\0\0\0x"
                                            "\x82\xfe\0\x80\0\0\0\0";
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    for (size_t at = 0; at < sizeof session; at++) {
        struct ws_client client;
        ws_client_connect(&client, server.address);
        ws_client_send(&client, session, at);
        if (at % 3 == 0) /* let it be seen */
            server_nap(2);
        ws_client_reset(&client);
    }
    still_serves(&server, 0);
    struct fw_server_stats stats;
    fw_server_stats(server.server, &stats);
    cr_assert_leq(stats.connections_accepted, sizeof session + 1);
    EVENTUALLY(atomic_load(&server.opened) == atomic_load(&server.closed));
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_abuse, a_FIN_after_each_octet_of_a_session_leaves_nothing, 120)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    for (size_t at = 0; at < sizeof HANDSHAKE; at++) {
        struct ws_client client;
        ws_client_connect(&client, server.address);
        ws_client_send(&client, HANDSHAKE, at);
        ws_client_finish(&client);
        if (at % 2 == 0)
            cr_assert(ws_client_ended(&client));
        ws_client_close(&client);
    }
    still_serves(&server, 0);
    server_end(&server);
}

SERVER_TEST(server_abuse, peers_that_fall_silent_are_pinged_and_ended, 60)
{
    struct server server;
    struct ws_client_frame frame;
    server_init(&server, engine);
    server.options.ping_interval_ms = 300;
    server.options.pong_timeout_ms = 2000;
    server_start(&server);
    struct ws_client silent = server_client(&server, "/");
    struct ws_client answering = server_client(&server, "/");
    uint64_t begun_ms = ws_client_now_ms();
    unsigned pings = 0;
    while (atomic_load(&server.codes[1006]) == 0) {
        cr_assert_lt(ws_client_now_ms() - begun_ms, 20000u);
        if (ws_client_silent(&answering, 50))
            continue;
        cr_assert(ws_client_receive(&answering, &frame));
        cr_assert_eq(frame.opcode, 9u);
        ws_client_frame(&answering, 0x8a, frame.bytes, frame.count);
        pings++;
    }
    cr_assert_geq(pings, 1u);
    cr_assert(ws_client_receive(&silent, &frame));
    cr_assert_eq(frame.opcode, 9u);
    cr_assert(ws_client_ended(&silent));
    cr_assert_eq(server_connections(&server), 1u, "the other one lives");
    ws_client_close(&silent);
    ws_client_close(&answering);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_abuse, a_peer_that_never_reads_is_ended, 60)
{
    struct server server;
    struct ws_client client;
    server_init(&server, engine);
    server.options.ping_interval_ms = 500;
    server.options.pong_timeout_ms = 1000;
    server_start(&server);
    ws_client_connect_narrow(&client, server.address);
    cr_assert_eq(ws_client_open(&client, "/", ""), 101u);
    ws_client_text(&client, "f1000"); /* 64 MB, of which it takes none */
    EVENTUALLY(atomic_load(&server.codes[1013]) == 1);
    EVENTUALLY(server_connections(&server) == 0);
    ws_client_close(&client);
    server_end(&server);
}

/* ---- floods ---------------------------------------------------------------------------------- */

/* Sends until all is sent, or nothing has been taken for so long.
 *
 * returns      octets sent
 */
static size_t send_while_taken(struct ws_client *client, const uint8_t *bytes, size_t count,
                               unsigned patience_ms)
{
    uint64_t moved_ms = ws_client_now_ms();
    size_t at = 0;
    while (at < count && ws_client_now_ms() - moved_ms < patience_ms) {
        ssize_t sent = send(client->fd, bytes + at, count - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            at += (size_t)sent;
            moved_ms = ws_client_now_ms();
        } else {
            server_nap(1);
        }
    }
    return at;
}

/* ws 8.23.0: pings without reading must not queue pongs without bound. What is not taken at once
 * waits in the kernel and then in the peer; while it is blocked only the latest ping is remembered.
 */
SERVER_TEST_AND_TLS(server_abuse, ping_floods_without_reading_keep_memory_flat, 120)
{
    enum { CLIENTS = 8, PINGS = 200000, PING_BYTES = 131 };
    size_t flood_bytes = (size_t)PINGS * PING_BYTES;
    uint8_t *pings = calloc(1, flood_bytes);
    struct server server;
    struct ws_client clients[CLIENTS];
    server_init(&server, engine);
    server.options.control_per_second = FW_UNLIMITED; /* the rate would end it at the 21st */
    server_start(&server);
    for (size_t i = 0; i < PINGS; i++) {
        pings[i * PING_BYTES] = 0x89;
        pings[i * PING_BYTES + 1] = 0x80 | 125; /* a key of zeros, and zeros */
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        ws_client_connect_narrow(&clients[i], server.address);
        cr_assert_eq(ws_client_open(&clients[i], "/", ""), 101u);
    }
    uint64_t before = server_resident_bytes();
    for (unsigned i = 0; i < CLIENTS; i++)
        (void)send_while_taken(&clients[i], pings, flood_bytes, 300);
    uint64_t after = server_resident_bytes();
    /* What a ring has received already when the session sees the first of it is set aside, too. */
    uint64_t each = slack_bytes() + (engine == FW_USE_URING ? (uint64_t)4 << 20 : 0);
    cr_assert(after < before + each * CLIENTS, "grown by %llu KiB",
              (unsigned long long)(after - before) / 1024);
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_reset(&clients[i]);
    free(pings);
    still_serves(&server, 0);
    server_end(&server);
}

/* ws CVE-2026-62389: a million empty fragments. */
SERVER_TEST(server_abuse, a_fragment_flood_ends_at_the_129th, 60)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    ws_client_frame(&client, 0x01, "", 0);
    for (unsigned i = 0; i < 1000; i++) {
        if (!ws_client_frame(&client, 0x00, "", 0))
            break;
    }
    cr_assert(ws_client_got_close(&client, 1009));
    EVENTUALLY(atomic_load(&server.codes[1009]) == 1);
    ws_client_close(&client);
    still_serves(&server, 0);
    server_end(&server);
}

/* A limit on the sum, not on each frame: undici CVE-2026-9675. */
SERVER_TEST(server_abuse, fragments_of_half_the_limit_end_at_the_third, 60)
{
    static uint8_t half[32768];
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    ws_client_frame(&client, 0x02, half, sizeof half);
    ws_client_frame(&client, 0x00, half, sizeof half);
    ws_client_frame(&client, 0x00, half, 1);
    cr_assert(ws_client_got_close(&client, 1009));
    ws_client_close(&client);
    server_end(&server);
}

/* No allocation is proportional to an announced length. */
SERVER_TEST(server_abuse, announced_lengths_cost_no_memory, 60)
{
    enum { CLIENTS = 200 };
    struct server server;
    struct ws_client clients[CLIENTS];
    server_init(&server, engine);
    server.options.message_bytes_max = 64u << 20;
    server_start(&server);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = server_client(&server, "/");
    uint64_t before = server_resident_bytes();
    for (unsigned i = 0; i < CLIENTS; i++) /* 64 MiB announced, 20 octets sent */
        ws_client_send(&clients[i], "\x82\xff\0\0\0\0\x04\0\0\0\0\0\0\0eeeeeeeeeeeeeeeeeeee", 34);
    server_nap(200);
    uint64_t after = server_resident_bytes();
    cr_assert(after < before + slack_bytes(), "grown by %llu KiB",
              (unsigned long long)(after - before) / 1024);
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_close(&clients[i]);
    still_serves(&server, 0);
    server_end(&server);
}

/* ---- garbage --------------------------------------------------------------------------------- */

static uint64_t random_state = 88172645463325252u;

static uint64_t random_below(uint64_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % below;
}

/* Random octets, or a valid beginning with random octets behind it. */
static size_t make_garbage(uint8_t *out)
{
    static const char *const beginnings[] = {
        "",
        "",
        "GET ",
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
        HANDSHAKE,
        HANDSHAKE "\x81\x85",
        HANDSHAKE "\x88"};
    const char *beginning = beginnings[random_below(8)];
    size_t count = strlen(beginning);
    memcpy(out, beginning, count);
    for (uint64_t i = random_below(300); i > 0; i--)
        out[count++] = (uint8_t)random_below(256);
    return count;
}

/* As many garbage connections as three seconds hold, 32 at a time; then all is as before. */
SERVER_TEST(server_abuse, garbage_connections_do_no_harm, 60)
{
    enum { TOGETHER = 32 };
    struct server server;
    uint8_t garbage[1024];
    unsigned total = 0;
    server_init(&server, engine);
    server.options.workers = 2;
    server_start(&server);
    struct ws_client honest = server_client(&server, "/");
    uint64_t until_ms = ws_client_now_ms() + 3000;
    while (ws_client_now_ms() < until_ms && total < 100000) {
        struct ws_client clients[TOGETHER];
        for (unsigned i = 0; i < TOGETHER; i++) {
            ws_client_connect(&clients[i], server.address);
            (void)ws_client_send(&clients[i], garbage, make_garbage(garbage));
        }
        for (unsigned i = 0; i < TOGETHER; i++) {
            if (random_below(2) == 0)
                ws_client_finish(&clients[i]);
            if (random_below(2) == 0)
                ws_client_reset(&clients[i]);
            else
                ws_client_close(&clients[i]);
        }
        total += TOGETHER;
    }
    fprintf(stderr, "%u garbage connections\n", total);
    cr_assert_gt(total, 300u);
    ws_client_text(&honest, "echo");
    cr_assert(ws_client_got_text(&honest, "echo"));
    still_serves(&server, 1);
    ws_client_close(&honest);
    server_end(&server);
}

/* ---- room ------------------------------------------------------------------------------------ */

SERVER_TEST(server_room, spreads_connections_evenly_over_the_workers, 60)
{
    enum { WORKERS = 4, CLIENTS = 100 };
    struct server server;
    struct ws_client clients[CLIENTS];
    server_init(&server, engine);
    server.options.workers = WORKERS;
    server_start(&server);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = server_client(&server, "/");
    for (unsigned i = 0; i < WORKERS; i++)
        cr_assert_eq(fw_server_worker_connections(server.server, i), CLIENTS / WORKERS, "worker %u",
                     i);
    cr_assert_eq(fw_server_worker_connections(server.server, WORKERS), 0u, "there is none");
    for (unsigned i = 0; i < CLIENTS / 2; i++)
        ws_client_close(&clients[i]);
    EVENTUALLY(server_connections(&server) == CLIENTS / 2);
    usleep(50000);                             /* else 150 at once are a storm: the next test's */
    for (unsigned i = 0; i < CLIENTS / 2; i++) /* gaps are filled */
        clients[i] = server_client(&server, "/");
    for (unsigned i = 0; i < WORKERS; i++)
        cr_assert_eq(fw_server_worker_connections(server.server, i), CLIENTS / WORKERS);
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

/* In a storm a worker gets several connections in a row: an eighth of what it has, and no more. */
SERVER_TEST(server_room, stays_even_in_a_storm_of_connections, 120)
{
    enum { WORKERS = 4, CLIENTS = 800, APART_MAX = CLIENTS / WORKERS / 8 + 1 };
    struct server server;
    static struct ws_client clients[CLIENTS];
    server_init(&server, engine);
    server.options.workers = WORKERS;
    server.options.handshake_timeout_ms = 60000;
    server_start(&server);
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_connect(&clients[i], server.address);
    EVENTUALLY(server_connections(&server) == CLIENTS);
    uint64_t least = CLIENTS;
    uint64_t most = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        uint64_t count = fw_server_worker_connections(server.server, i);
        least = count < least ? count : least;
        most = count > most ? count : most;
    }
    cr_assert_leq(most - least, APART_MAX, "from %llu to %llu connections",
                  (unsigned long long)least, (unsigned long long)most);
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

/* A full table drops nobody and does not spin: who is over it waits, and is served when one goes.
 */
SERVER_TEST(server_room, lets_connections_wait_when_it_is_full, 120)
{
    enum { ROOM = 6, CLIENTS = 40 };
    struct server server;
    struct ws_client clients[CLIENTS];
    server_init(&server, engine);
    server.options.workers = 2;
    server.options.connections_max = ROOM;
    server.options.handshake_timeout_ms = 60000;
    server_start(&server);
    for (unsigned i = 0; i < CLIENTS; i++) {
        ws_client_connect(&clients[i], server.address);
        ws_client_say(&clients[i], HANDSHAKE);
    }
    EVENTUALLY(atomic_load(&server.opened) == ROOM);
    uint64_t cpu_ms = server_cpu_ms();
    server_nap(1000);
    cpu_ms = server_cpu_ms() - cpu_ms;
    cr_assert_lt(cpu_ms, 200u, "%llu ms of processor time in a second of waiting",
                 (unsigned long long)cpu_ms);
    cr_assert_eq(atomic_load(&server.opened), (unsigned)ROOM);
    cr_assert_eq(server_connections(&server), (uint64_t)ROOM);
    cr_assert(server_logged(&server, "every worker is full"));
    /* Whoever is served goes; all are served in the end. */
    unsigned served = 0;
    bool gone[CLIENTS] = {false};
    while (served < CLIENTS) {
        for (unsigned i = 0; i < CLIENTS; i++) {
            if (gone[i] || ws_client_silent(&clients[i], 1))
                continue;
            cr_assert_eq(ws_client_answer(&clients[i], NULL, 0), 101u);
            cr_assert(ws_client_got_text(&clients[i], "welcome"));
            ws_client_close(&clients[i]);
            gone[i] = true;
            served++;
        }
        cr_assert_leq(server_connections(&server), (uint64_t)ROOM);
    }
    EVENTUALLY(server_connections(&server) == 0);
    server_end(&server);
}

/* The clients of the next test, in a process with descriptors of its own. Its exit code is 0 when
 * each of them was answered 101 once there was room. */
static void run_clients(const char *address, unsigned count, int go_fd, int full_fd)
{
    struct ws_client *clients = calloc(count, sizeof *clients);
    char octet;
    for (unsigned i = 0; i < count; i++) {
        ws_client_connect(&clients[i], address);
        ws_client_say(&clients[i], HANDSHAKE);
    }
    unsigned first = 0;
    for (unsigned i = 0; i < count; i++)
        first += !ws_client_silent(&clients[i], i == 0 ? 1000 : 20);
    if (write(full_fd, &first, sizeof first) != (ssize_t)sizeof first ||
        read(go_fd, &octet, 1) != 1)
        _exit(2);
    bool *gone = calloc(count, sizeof *gone);
    uint64_t until_ms = ws_client_now_ms() + 60000;
    for (unsigned served = 0; served < count;) {
        for (unsigned i = 0; i < count; i++) {
            if (gone[i] || ws_client_silent(&clients[i], 1))
                continue;
            if (ws_client_answer(&clients[i], NULL, 0) != 101)
                _exit(3);
            ws_client_close(&clients[i]);
            gone[i] = true;
            served++;
        }
        if (ws_client_now_ms() > until_ms)
            _exit(4);
    }
    _exit(0);
}

/* SECURITY.md, EMFILE: when descriptors run out the acceptor pauses; it neither spins nor drops. */
SERVER_TEST(server_room, waits_for_descriptors_without_spinning, 120)
{
    enum { CLIENTS = 60, FREE = 20 };
    struct server server;
    int go[2];
    int full[2];
    unsigned first = 0;
    server_init(&server, engine);
    server.options.handshake_timeout_ms = 60000;
    server_start(&server);
    cr_assert(pipe(go) == 0 && pipe(full) == 0);
    /* Only so many more from here on. Rings have tables of their own: there all fit. */
    int next = dup(0);
    close(next);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)next + FREE;
    setrlimit(RLIMIT_NOFILE, &limit);
    pid_t child = fork();
    if (child == 0) {
        limit.rlim_cur = before; /* the clients have room */
        setrlimit(RLIMIT_NOFILE, &limit);
        close(go[1]); /* or it would wait for itself when the test has failed */
        close(full[0]);
        run_clients(server.address, CLIENTS, go[0], full[1]);
    }
    cr_assert_eq(read(full[0], &first, sizeof first), (ssize_t)sizeof first);
    uint64_t cpu_ms = server_cpu_ms();
    server_nap(1000);
    cpu_ms = server_cpu_ms() - cpu_ms;
    cr_assert_lt(cpu_ms, 200u, "%llu ms of processor time in a second of waiting",
                 (unsigned long long)cpu_ms);
    cr_assert_geq(first, engine == FW_USE_EPOLL ? 1u : (unsigned)FREE);
    if (engine == FW_USE_EPOLL)
        cr_assert(server_logged(&server, "accepting pauses"));
    cr_assert_eq(write(go[1], "g", 1), 1);
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "the clients ended with %d", WEXITSTATUS(status));
    limit.rlim_cur = before;
    setrlimit(RLIMIT_NOFILE, &limit);
    still_serves(&server, 0);
    server_end(&server);
}
