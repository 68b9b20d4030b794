/* test_server_proxy.c: connections of a proxy that says the PROXY protocol's version 2 first
 * (net/conn/conn_proxy.h, net/server/admission.c), plain and before TLS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SIGNATURE    "\r\n\r\n\0\r\nQUIT\n"
/* So many octets: the signature, PROXY, IPv4, 12 of addresses. */
#define HEADER_BYTES 28u

static const char *const this_machine[] = {"127.0.0.0/8", NULL};
static const char *const elsewhere[] = {"10.0.0.0/8", NULL};

static void start(struct server *server, enum fw_engine_choice engine, const char *const *proxies)
{
    server_init(server, engine);
    server->options.feed = true;
    server->options.proxy_protocol = true;
    server->options.trusted_proxies = proxies;
    server->options.address_connections_max = 2;
}

/* A header for the client 198.51.100.HOST:4711. */
static void make_header(uint8_t host, uint8_t out[HEADER_BYTES])
{
    memcpy(out, SIGNATURE "\x21\x11\0\x0c\xc6\x33\x64\0\x0a\0\0\x01\x12\x67\x01\xbb", HEADER_BYTES);
    out[19] = host;
}

/* Connects as a proxy does: these octets, then TLS where the test is of it, then a handshake.
 *
 * cut          the octets come in two pieces; 0: in one
 * returns      the handshake's status; 0: the server ended
 */
static unsigned open_behind(struct server *server, struct ws_client *client, const void *header,
                            size_t header_bytes, size_t cut, const char *lines)
{
    const struct ws_client_layer *layer = ws_client_layer;
    ws_client_layer = NULL;
    ws_client_connect(client, server->address);
    ws_client_layer = layer;
    ws_client_send(client, header, cut);
    if (cut > 0)
        server_nap(5);
    ws_client_send(client, (const uint8_t *)header + cut, header_bytes - cut);
    if (layer != NULL) {
        client->layer_state = layer->begin(client->fd);
        if (client->layer_state == NULL)
            return 0;
        client->layer = layer;
    }
    return ws_client_open(client, "/topics/a", lines);
}

static unsigned open_for(struct server *server, struct ws_client *client, uint8_t host)
{
    uint8_t header[HEADER_BYTES];
    make_header(host, header);
    return open_behind(server, client, header, sizeof header, 0, "");
}

static struct fw_server_stats stats_of(struct server *server)
{
    struct fw_server_stats stats;
    fw_server_stats(server->server, &stats);
    return stats;
}

/* Whether the server ends a connection over these octets, without an answer. */
static bool is_dropped(struct server *server, const void *bytes, size_t count)
{
    const struct ws_client_layer *layer = ws_client_layer;
    struct ws_client client;
    uint8_t answer[16];
    ws_client_layer = NULL;
    ws_client_connect(&client, server->address);
    ws_client_layer = layer;
    ws_client_send(&client, bytes, count);
    bool dropped = ws_client_read(&client, answer, sizeof answer) == 0;
    ws_client_close(&client);
    return dropped;
}

SERVER_TEST_AND_TLS(server_proxy, counts_connections_for_the_client_that_it_tells, 60)
{
    struct server server;
    struct ws_client clients[5];
    static const struct {
        uint8_t host;
        unsigned status;
    } rows[] = {{1, 101}, {1, 101}, {1, 0}, {2, 101}, {1, 0}};
    start(&server, engine, this_machine);
    server_start(&server);
    for (unsigned i = 0; i < COUNT(rows); i++)
        cr_assert_eq(open_for(&server, &clients[i], rows[i].host), rows[i].status, "%u", i);
    cr_assert(server_logged(&server, "a connection of 198.51.100.1:4711 was dropped"));
    cr_assert_eq(stats_of(&server).address_full, 2u);
    cr_assert_eq(stats_of(&server).proxy_refused, 0u);
    struct fw_published published;
    cr_assert_eq(fw_publish(server.server, "a", FW_TEXT, "hi", 2, &published), 0);
    cr_assert(ws_client_got_text(&clients[0], "hi"), "what follows is served as ever");
    for (unsigned i = 0; i < COUNT(rows); i++)
        ws_client_close(&clients[i]);
    EVENTUALLY(server_connections(&server) == 0);
    cr_assert_eq(open_for(&server, &clients[0], 1), 101u, "they have left");
    ws_client_close(&clients[0]);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_proxy, may_send_its_header_in_pieces, 60)
{
    static const size_t cuts[] = {1, 5, 11, 12, 13, 14, 15, 16, 17, 19, 20, 27};
    struct server server;
    start(&server, engine, this_machine);
    server_start(&server);
    for (unsigned i = 0; i < COUNT(cuts); i++) {
        uint8_t header[HEADER_BYTES];
        struct ws_client client;
        make_header((uint8_t)i, header);
        cr_assert_eq(open_behind(&server, &client, header, sizeof header, cuts[i], ""), 101u, "%zu",
                     cuts[i]);
        ws_client_close(&client);
    }
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_proxy, may_speak_for_itself, 60)
{
    static const char local[] = SIGNATURE "\x20\0\0\0";
    struct server server;
    struct ws_client clients[4];
    start(&server, engine, this_machine);
    server_start(&server);
    for (unsigned i = 0; i < COUNT(clients); i++)
        cr_assert_eq(open_behind(&server, &clients[i], local, sizeof local - 1, 0, ""), 101u,
                     "its own connections are not limited");
    for (unsigned i = 0; i < COUNT(clients); i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

/* Two proxies: the header tells the second one, whose requests tell the client. */
SERVER_TEST(server_proxy, that_tells_another_of_ours_is_asked_on, 60)
{
    static const char *const both[] = {"127.0.0.0/8", "198.51.100.9", NULL};
    struct server server;
    struct ws_client clients[5];
    static const struct {
        uint8_t host;
        const char *lines;
        unsigned status;
    } rows[] = {
        {9, "Forwarded: for=192.0.2.1\r\n", 101},
        {9, "Forwarded: for=192.0.2.1\r\nX-Forwarded-For: 192.0.2.7\r\n", 101},
        {9, "Forwarded: for=192.0.2.1;proto=https\r\n", 429},
        {8, "Forwarded: for=192.0.2.1\r\n", 101}, /* a client's own invention */
        {9, "Forwarded: for=192.0.2.2\r\n", 101},
    };
    start(&server, engine, both);
    server.options.proxy_header = FW_PROXY_FORWARDED;
    server_start(&server);
    for (unsigned i = 0; i < COUNT(rows); i++) {
        uint8_t header[HEADER_BYTES];
        make_header(rows[i].host, header);
        cr_assert_eq(open_behind(&server, &clients[i], header, sizeof header, 0, rows[i].lines),
                     rows[i].status, "%u", i);
    }
    for (unsigned i = 0; i < COUNT(rows); i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_proxy, that_says_something_else_is_dropped_and_the_log_says_why, 60)
{
    static const struct {
        const char *bytes;
        size_t count;
        const char *line;
    } rows[] = {
        {"GET /healthz HTTP/1.1\r\n", 23, "the first bytes are no PROXY protocol header"},
        {"\x16\x03\x01\0\xff", 5, "the first bytes are no PROXY protocol header"},
        {"PROXY TCP4 198.51.100.1 10.0.0.1 4711 443\r\n", 43,
         "version 1 of the PROXY protocol is not accepted; send 2 (HAProxy: send-proxy-v2)"},
        {SIGNATURE "\x31\x11\0\x0c", 16, "version or command is not known"},
        {SIGNATURE "\x21\x44\0\x0c", 16, "address family is not known"},
        {SIGNATURE "\x21\x11\0\x0b", 16, "lengths contradict each other"},
    };
    struct server server;
    start(&server, engine, this_machine);
    server_start(&server);
    for (unsigned i = 0; i < COUNT(rows); i++)
        cr_assert(is_dropped(&server, rows[i].bytes, rows[i].count), "%u", i);
    EVENTUALLY(stats_of(&server).proxy_refused == COUNT(rows));
    cr_assert(server_logged(&server, rows[0].line));
    for (unsigned i = 2; i < COUNT(rows); i++)
        cr_assert(server_logged(&server, rows[i].line), "%s", rows[i].line);
    server_end(&server);
}

/* The time is that of the handshake, from the accept on: octets that drip do not extend it. */
SERVER_TEST_AND_TLS(server_proxy, that_drips_its_header_is_dropped_when_the_handshakes_time_is_up,
                    60)
{
    const struct ws_client_layer *layer = ws_client_layer;
    struct server server;
    struct ws_client client;
    uint8_t header[HEADER_BYTES];
    uint8_t answer[16];
    start(&server, engine, this_machine);
    server.options.handshake_timeout_ms = 1000;
    server_start(&server);
    make_header(1, header);
    ws_client_layer = NULL;
    ws_client_connect(&client, server.address);
    ws_client_layer = layer;
    uint64_t from_ms = ws_client_now_ms();
    for (unsigned i = 0; i + 1 < HEADER_BYTES && ws_client_now_ms() - from_ms < 900; i++) {
        cr_assert(ws_client_send(&client, header + i, 1));
        server_nap(50);
    }
    cr_assert_eq(ws_client_read(&client, answer, sizeof answer), 0, "without an answer");
    uint64_t took_ms = ws_client_now_ms() - from_ms;
    cr_assert(took_ms >= 900 && took_ms < 3000, "%lu ms", (unsigned long)took_ms);
    ws_client_close(&client);
    cr_assert(server_logged(&server, "its PROXY header did not come in time"));
    EVENTUALLY(server_connections(&server) == 0);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_proxy, is_not_whoever_says_so, 60)
{
    uint8_t header[HEADER_BYTES];
    struct server server;
    struct ws_client client;
    start(&server, engine, elsewhere);
    server_start(&server);
    client = server_client(&server, "/topics/a"); /* strangers need no header */
    ws_client_close(&client);
    make_header(1, header);
    cr_assert_neq(open_behind(&server, &client, header, sizeof header, 0, ""), 101u);
    ws_client_close(&client);
    cr_assert_eq(stats_of(&server).proxy_refused, 0u, "it is a bad request, not a bad proxy");
    server_end(&server);
}

SERVER_TEST(server_proxy, may_come_by_a_path, 60)
{
    static const char *const by_path[] = {"unix:", NULL};
    char path[64];
    char address[80];
    struct server server;
    struct ws_client clients[3];
    static const unsigned wanted[] = {101, 101, 0};
    snprintf(path, sizeof path, "/tmp/fanwire-proxy-%d.sock", (int)getpid());
    snprintf(address, sizeof address, "unix:%s", path);
    start(&server, engine, by_path);
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0);
    cr_assert_eq(fw_server_listen(server.server, address), 0);
    cr_assert_eq(fw_server_start(server.server), 0);
    server.address = fw_server_address(server.server, 0);
    for (unsigned i = 0; i < COUNT(clients); i++)
        cr_assert_eq(open_for(&server, &clients[i], 7), wanted[i], "%u", i);
    for (unsigned i = 0; i < COUNT(clients); i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

/* Connections that stop in the middle of a header are ended with the server, and nothing is lost
 * (the sanitizer looks). */
SERVER_TEST(server_proxy, that_has_not_said_all_does_not_hold_up_a_stop, 60)
{
    struct server server;
    struct ws_client clients[2];
    uint8_t header[HEADER_BYTES];
    start(&server, engine, this_machine);
    server_start(&server);
    make_header(1, header);
    for (unsigned i = 0; i < 2; i++) {
        ws_client_connect(&clients[i], server.address);
        cr_assert(ws_client_send(&clients[i], header, 20));
    }
    EVENTUALLY(server_connections(&server) == 2);
    server_nap(20);
    ws_client_reset(&clients[0]);
    EVENTUALLY(server_connections(&server) == 1);
    uint64_t from_ms = ws_client_now_ms();
    server_end(&server);
    cr_assert_lt(ws_client_now_ms() - from_ms, 3000u);
    ws_client_close(&clients[1]);
}

Test(server_proxy, needs_somebody_to_trust, .timeout = 60)
{
    struct server server;
    server_init(&server, FW_USE_EPOLL);
    server.options.proxy_protocol = true;
    cr_assert_eq(fw_server_create(&server.options, &server.server), FW_ERR_USAGE);
    cr_assert(server_logged(&server, "proxy_protocol needs trusted_proxies"));
}
