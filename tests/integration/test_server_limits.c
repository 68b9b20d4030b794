/* test_server_limits.c: what goes beyond a limit, against a running server: answered as SECURITY.md
 * says, at once, at no cost. The figures at full scale are tests/attack's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <zlib.h>

#define DEFLATE "Sec-WebSocket-Extensions: permessage-deflate\r\n"

/* Instrumented code takes its time, and other tests run beside it. */
static uint64_t at_once_ms(void)
{
    return server_is_instrumented() ? 2000 : 200;
}

static void still_serves(struct server *server)
{
    struct ws_client client = server_client(server, "/");
    ws_client_text(&client, "echo");
    cr_assert(ws_client_got_text(&client, "echo"));
    ws_client_close(&client);
    EVENTUALLY(server_connections(server) == 0);
}

/* ---- lengths --------------------------------------------------------------------------------- */

/* gorilla CVE-2020-27813, ws CVE-2016-10542: judged as announced, before a byte of it came. */
SERVER_TEST(server_limits, an_announced_length_beyond_the_limit_is_closed_at_once, 120)
{
    static const struct {
        const char *header; /* masked, its key zero */
        unsigned code;
    } rows[] = {
        {"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 1009}, /* 2^63 - 1 */
        {"\x82\xff\x00\x00\x00\x00\x80\x00\x00\x00", 1009}, /* 2^31 */
        {"\x82\xff\x00\x00\x00\x01\x00\x00\x00\x00", 1009}, /* 2^32 */
        {"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x01", 1009}, /* the limit and one */
        {"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x01", 1009}, /* of text */
        {"\x02\xff\x00\x00\x00\x00\x00\x01\x00\x01", 1009}, /* of a fragment */
        {"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", 1002}, /* the highest bit */
        {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1002}, /* all of them */
        {"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", 1002}, /* not minimal */
    };
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ws_client client = server_client(&server, "/");
        uint64_t begun_ms = ws_client_now_ms();
        ws_client_send(&client, rows[i].header, 10);
        ws_client_send(&client, "\0\0\0\0", 4);
        cr_assert(ws_client_got_close(&client, rows[i].code), "row %zu", i);
        cr_assert_leq(ws_client_now_ms() - begun_ms, at_once_ms(), "row %zu", i);
        ws_client_close(&client);
    }
    EVENTUALLY(atomic_load(&server.codes[1009]) == 6);
    still_serves(&server);
    server_end(&server);
}

SERVER_TEST(server_limits, a_message_of_the_limit_is_taken, 60)
{
    enum { LIMIT = 65536 };
    char *message = malloc(LIMIT);
    struct ws_client_frame frame;
    struct server server;
    memset(message, 'e', LIMIT);
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    ws_client_frame(&client, 0x82, message, LIMIT);
    cr_assert(ws_client_receive(&client, &frame));
    cr_assert_eq(frame.count, (size_t)LIMIT);
    ws_client_close(&client);
    free(message);
    server_end(&server);
}

/* ws CVE-2026-62389, a flood of them: swallowed behind the close without being kept. */
SERVER_TEST(server_limits, a_flood_of_empty_fragments_keeps_memory_flat, 120)
{
    size_t count = server_is_instrumented() ? 100000 : 1000000;
    uint8_t *flood = calloc(count, 6);
    struct server server;
    fprintf(stderr, "%zu empty fragments\n", count);
    for (size_t i = 0; i < count; i++)
        flood[i * 6 + 1] = 0x80;
    flood[0] = 0x01;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    uint64_t before = server_resident_bytes();
    (void)ws_client_send(&client, flood, count * 6); /* it may be cut */
    EVENTUALLY(atomic_load(&server.codes[1009]) == 1);
    uint64_t after = server_resident_bytes();
    /* A ring's receive buffers are touched one after the other, 4 MiB in all. */
    uint64_t room = (uint64_t)(server_is_instrumented() ? 64 : 6) << 20;
    cr_assert(after < before + room, "grown by %llu KiB",
              (unsigned long long)(after - before) / 1024);
    ws_client_close(&client);
    free(flood);
    still_serves(&server);
    server_end(&server);
}

/* ---- control frames -------------------------------------------------------------------------- */

/* ws 8.23.0: a default of ten a second and twenty at once. */
SERVER_TEST(server_limits, the_21st_ping_at_once_is_closed_with_1008, 60)
{
    uint8_t pings[100][6];
    struct ws_client_frame frame;
    struct server server;
    unsigned pongs = 0;
    memset(pings, 0, sizeof pings);
    for (size_t i = 0; i < 100; i++) {
        pings[i][0] = 0x89;
        pings[i][1] = 0x80;
    }
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    ws_client_send(&client, pings, sizeof pings);
    while (ws_client_receive(&client, &frame) && frame.opcode == 10)
        pongs++;
    cr_assert_eq(frame.opcode, 8u);
    cr_assert_eq(frame.close_code, 1008u);
    cr_assert(pongs == 20, "%u pongs", pongs);
    cr_assert(server_logged(&server, "control frames come faster than the limit"));
    ws_client_close(&client);
    still_serves(&server);
    server_end(&server);
}

SERVER_TEST(server_limits, control_rate_is_an_option, 60)
{
    struct server server;
    struct ws_client_frame frame;
    server_init(&server, engine);
    server.options.control_per_second = 1001;
    cr_assert_eq(fw_server_create(&server.options, &server.server), FW_ERR_USAGE);
    server.options.control_per_second = 1; /* two at once */
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    for (unsigned i = 0; i < 3; i++)
        ws_client_frame(&client, 0x89, "", 0);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(ws_client_receive(&client, &frame));
        cr_assert_eq(frame.opcode, 10u);
    }
    cr_assert(ws_client_got_close(&client, 1008));
    ws_client_close(&client);
    server_end(&server);
}

/* ---- compression ----------------------------------------------------------------------------- */

/* A message of so many zeros, compressed. Given to the caller. */
static uint8_t *deflate_zeros(size_t zeros, size_t *count_out)
{
    uint8_t *in = calloc(1, zeros);
    uint8_t *out = malloc(zeros / 500 + 1000);
    z_stream stream;
    memset(&stream, 0, sizeof stream);
    cr_assert_eq(deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = in;
    stream.avail_in = (uInt)zeros;
    stream.next_out = out;
    stream.avail_out = (uInt)(zeros / 500 + 1000);
    cr_assert_eq(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
    *count_out = stream.total_out - 4; /* RFC 7692, section 7.2.1: without 00 00 ff ff */
    deflateEnd(&stream);
    free(in);
    return out;
}

static void send_bomb(struct server *server, const uint8_t *bomb, size_t count)
{
    struct ws_client client;
    ws_client_connect(&client, server->address);
    cr_assert_eq(ws_client_open(&client, "/", DEFLATE), 101u);
    ws_client_frame(&client, 0xc2, bomb, count);
    cr_assert(ws_client_got_close(&client, 1009));
    ws_client_close(&client);
}

/* websocket-driver CVE-2026-54464: counted as inflated, and no further than the limit. */
SERVER_TEST(server_limits, deflate_bombs_are_closed_with_1009_and_cost_no_memory, 120)
{
    enum { ROUNDS = 20 };
    static const size_t sizes[] = {1024u * 1032, 60u * 1024 * 1032};
    struct server server;
    server_init(&server, engine);
    server.options.deflate = true;
    server_start(&server);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t count;
        uint8_t *bomb = deflate_zeros(sizes[i], &count);
        send_bomb(&server, bomb, count); /* touches what the worker keeps */
        uint64_t before = server_resident_bytes();
        uint64_t cpu_ms = server_cpu_ms();
        for (unsigned k = 0; k < ROUNDS; k++)
            send_bomb(&server, bomb, count);
        cpu_ms = server_cpu_ms() - cpu_ms;
        uint64_t after = server_resident_bytes();
        uint64_t room = server_is_instrumented() ? (uint64_t)64 << 20 : (uint64_t)4 << 20;
        cr_assert(after < before + room, "%zu zeros: grown by %llu KiB", sizes[i],
                  (unsigned long long)(after - before) / 1024);
        cr_assert_lt(cpu_ms, (server_is_instrumented() ? 100u : 5u) * ROUNDS);
        free(bomb);
    }
    still_serves(&server);
    server_end(&server);
}

/* undici CVE-2026-85024: the limit is met first, then there are malformed blocks. */
SERVER_TEST(server_limits, malformed_blocks_behind_a_bomb_are_never_looked_at, 60)
{
    struct server server;
    size_t count;
    uint8_t *bomb = deflate_zeros(1 << 20, &count);
    server_init(&server, engine);
    server.options.deflate = true;
    server_start(&server);
    for (unsigned i = 0; i < 20; i++) {
        struct ws_client client;
        ws_client_connect(&client, server.address);
        cr_assert_eq(ws_client_open(&client, "/", DEFLATE), 101u);
        ws_client_frame(&client, 0xc2, bomb, count);
        for (unsigned k = 0; k < 10; k++)
            ws_client_frame(&client, 0xc2, "\xff\xff\xff malformed", 13);
        cr_assert(ws_client_got_close(&client, 1009));
        ws_client_close(&client);
    }
    EVENTUALLY(atomic_load(&server.codes[1009]) == 20);
    free(bomb);
    still_serves(&server);
    server_end(&server);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* Tomcat CVE-2024-23672: who does not answer our close is cut after 5 s. */
SERVER_TEST(server_limits, peers_that_ignore_a_close_are_gone_in_six_seconds, 60)
{
    enum { CLIENTS = 50 };
    struct server server;
    struct ws_client clients[CLIENTS];
    server_init(&server, engine);
    server_start(&server);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = server_client(&server, "/");
        ws_client_text(&clients[i], "c1000 bye");
    }
    uint64_t begun_ms = ws_client_now_ms();
    for (unsigned i = 0; i < CLIENTS; i++)
        cr_assert(ws_client_got_close(&clients[i], 1000));
    cr_assert_eq(server_connections(&server), (uint64_t)CLIENTS, "they have their time");
    EVENTUALLY(server_connections(&server) == 0);
    uint64_t took_ms = ws_client_now_ms() - begun_ms;
    cr_assert(took_ms >= 4000 && took_ms <= (server_is_instrumented() ? 12000u : 6000u), "%llu ms",
              (unsigned long long)took_ms);
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

/* Smuggling through proxies (2019): what stands behind a failed upgrade is not a request. */
SERVER_TEST(server_limits, a_request_behind_a_refused_upgrade_is_never_answered, 60)
{
    struct server server;
    struct ws_client client;
    char body[256];
    server_init(&server, engine);
    server_start(&server);
    ws_client_connect(&client, server.address);
    ws_client_say(&client, "GET /room HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                           "Connection: Upgrade\r\nSec-WebSocket-Version: 12\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                           "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_eq(ws_client_answer(&client, body, sizeof body), 426u);
    cr_assert_eq(ws_client_answer(&client, NULL, 0), 0u, "nothing but the end follows");
    cr_assert(ws_client_ended(&client));
    cr_assert_eq(atomic_load(&server.requests), 0u);
    cr_assert_eq(atomic_load(&server.opened), 0u);
    ws_client_close(&client);
    server_end(&server);
}

/* ---- Host ------------------------------------------------------------------------------------ */

static unsigned status_for(struct server *server, const char *host)
{
    struct ws_client client;
    char text[256];
    snprintf(text, sizeof text, "GET /hello HTTP/1.1\r\nHost: %s\r\n\r\n", host);
    ws_client_connect(&client, server->address);
    ws_client_say(&client, text);
    unsigned status = ws_client_answer(&client, NULL, 0);
    ws_client_close(&client);
    return status;
}

/* DNS rebinding: a page at evil.example, whose name says 127.0.0.1 by now. */
SERVER_TEST(server_host, of_a_loopback_server_must_be_a_loopback_name, 60)
{
    static const char *const allowed[] = {"feed.example.com", NULL};
    static const char *const wrong[] = {"https://feed.example.com", NULL};
    struct server server;
    server_init(&server, engine);
    server.options.allow_hosts = wrong;
    cr_assert_eq(fw_server_create(&server.options, &server.server), FW_ERR_USAGE);
    server.options.allow_hosts = allowed;
    server_start(&server);
    cr_assert_eq(status_for(&server, server.address), 200u);
    cr_assert_eq(status_for(&server, "localhost"), 200u);
    cr_assert_eq(status_for(&server, "feed.example.com"), 200u);
    cr_assert_eq(status_for(&server, "evil.example"), 421u);
    cr_assert_eq(status_for(&server, "127.0.0.1.evil.example"), 421u);
    server_end(&server);
}

/* Who listens for others is called by names that we cannot know. */
SERVER_TEST(server_host, of_a_server_that_others_reach_may_be_any, 60)
{
    struct server server;
    char address[64];
    server_init(&server, engine);
    server.options.allow_hosts = NULL;
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0);
    cr_assert_eq(fw_server_listen(server.server, "127.0.0.1:0"), 0);
    cr_assert_eq(fw_server_listen(server.server, "0.0.0.0:0"), 0);
    snprintf(address, sizeof address, "%s", fw_server_address(server.server, 0));
    server.address = address;
    cr_assert_eq(fw_server_start(server.server), 0);
    cr_assert_eq(status_for(&server, "feed.example.com"), 200u);
    server_end(&server);
}

/* ---- of all together ------------------------------------------------------------------------- */

/* So many a second; 20 at once, and what the engine has in flight. */
#define ACCEPTS_PER_S     200u
#define ACCEPTS_IN_FLIGHT 64u

SERVER_TEST(server_limits, connections_that_come_too_fast_wait_and_none_is_dropped, 60)
{
    enum { CLIENTS = 300 };
    static struct ws_client clients[CLIENTS];
    struct server server;
    struct fw_server_stats stats;
    server_init(&server, engine);
    server.options.accepts_per_s = ACCEPTS_PER_S;
    server_start(&server);
    uint64_t from_ms = ws_client_now_ms();
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_connect(&clients[i], server.address);
    for (unsigned i = 0; i < CLIENTS; i++)
        cr_assert_eq(ws_client_open(&clients[i], "/", ""), 101u, "%u", i);
    uint64_t took_ms = ws_client_now_ms() - from_ms;
    unsigned waited = CLIENTS - ACCEPTS_PER_S / 10 - ACCEPTS_IN_FLIGHT;
    cr_assert_geq(took_ms, waited * 1000 / ACCEPTS_PER_S, "%lu ms", (unsigned long)took_ms);
    cr_assert_lt(took_ms, 5000u, "%lu ms", (unsigned long)took_ms);
    fw_server_stats(server.server, &stats);
    cr_assert_eq(stats.connections_accepted, (uint64_t)CLIENTS);
    cr_assert_geq(stats.accept_pauses, 1u);
    cr_assert(server_logged(&server, "connections come faster than 200 a second"));
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

/* ---- full servers ---------------------------------------------------------------------------- */

enum { PLACES = 4 };

/* Starts a server, and takes all its places, by both listeners where there are two. */
static void start_full(struct server *server, enum fw_engine_choice engine, bool listens_twice,
                       struct ws_client *clients)
{
    server_init(server, engine);
    server->options.connections_max = PLACES;
    server->listens_twice = listens_twice;
    server_start(server);
    for (unsigned i = 0; i < PLACES; i++)
        clients[i] =
            server_client_at(listens_twice && i % 2 == 0 ? server->second : server->address, "/");
}

/* One more, who is not answered. */
static struct ws_client one_too_many(const char *address)
{
    struct ws_client waiting;
    ws_client_connect(&waiting, address);
    cr_assert(ws_client_say(&waiting, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
    cr_assert(ws_client_silent(&waiting, 200));
    return waiting;
}

/* Who comes when all places are taken waits in the backlog, and is served when somebody leaves. */
SERVER_TEST(server_limits, connections_beyond_the_most_wait_for_a_place, 60)
{
    struct ws_client clients[PLACES];
    struct server server;
    start_full(&server, engine, false, clients);
    struct ws_client waiting = one_too_many(server.address);
    cr_assert_eq(server_connections(&server), (uint64_t)PLACES);
    cr_assert(ws_client_text(&clients[0], "e"), "those that are there are served");
    cr_assert(ws_client_got_text(&clients[0], "e"));
    ws_client_close(&clients[PLACES - 1]);
    cr_assert_eq(ws_client_answer(&waiting, NULL, 0), 200u);
    ws_client_close(&waiting);
    for (unsigned i = 0; i + 1 < PLACES; i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

/* Accepts that wait at one listener take no place from the other. */
SERVER_TEST(server_limits, two_listeners_have_all_places_between_them, 60)
{
    struct ws_client clients[PLACES];
    struct server server;
    start_full(&server, engine, true, clients);
    for (unsigned round = 0; round < 6; round++) { /* a place that is free is anybody's */
        const char *address = round % 2 == 0 ? server.second : server.address;
        struct ws_client waiting = one_too_many(address);
        ws_client_close(&clients[round % PLACES]);
        cr_assert_eq(ws_client_answer(&waiting, NULL, 0), 200u);
        ws_client_close(&waiting);
        EVENTUALLY(server_connections(&server) == PLACES - 1);
        clients[round % PLACES] = server_client_at(address, "/");
    }
    for (unsigned i = 0; i < PLACES; i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}
