/* test_server_callbacks.c: what a program is told, and what it may do (fanwire/server.h, conn.h):
 * opening, messages, closing with the right code on both sides, budgets, plain requests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening --------------------------------------------------------------------------------- */

SERVER_TEST_AND_TLS(server_open, accepts_with_101_and_lets_the_program_speak_first, 60)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/room?token=x");
    cr_assert(ws_client_got_text(&client, "welcome"));
    cr_assert_eq(atomic_load(&server.opened), 1u);
    cr_assert_eq(server_connections(&server), 1u);
    ws_client_close(&client);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_open, refuses_with_the_programs_status_and_tells_no_close, 60)
{
    static const struct {
        const char *path;
        unsigned status;
    } rows[] = {{"/refuse/401", 401}, {"/refuse/403", 403}, {"/refuse/404", 404},
                {"/refuse/503", 503}, {"/refuse/599", 599}, {"/refuse/200", 403}};
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ws_client client;
        ws_client_connect(&client, server.address);
        cr_assert_eq(ws_client_open(&client, rows[i].path, ""), rows[i].status, "%s", rows[i].path);
        cr_assert(ws_client_ended(&client));
        cr_assert_eq(client.error, 0, "a clean end");
        ws_client_close(&client);
    }
    cr_assert_eq(atomic_load(&server.opened), 0u);
    struct fw_server_stats stats;
    fw_server_stats(server.server, &stats);
    cr_assert_eq(stats.connections_refused, sizeof rows / sizeof *rows);
    server_end(&server);
    cr_assert_eq(atomic_load(&server.closed), 0u);
}

/* SECURITY.md, cross-site WebSocket hijacking. */
SERVER_TEST_AND_TLS(server_open, refuses_browsers_of_other_origins, 60)
{
    static const char *const allowed[] = {"https://*.example.com", NULL};
    struct server server;
    server_init(&server, engine);
    server.options.allow_origins = allowed;
    server_start(&server);
    static const struct {
        const char *line;
        unsigned status;
    } rows[] = {
        {"", 101},
        {"Origin: http://127.0.0.1\r\n", 101},
        {"Origin: https://app.example.com\r\n", 101},
        {"Origin: https://example.com\r\n", 403},
        {"Origin: https://evil.com\r\n", 403},
        {"Origin: null\r\n", 403},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ws_client client;
        ws_client_connect(&client, server.address);
        unsigned status = ws_client_open(&client, "/", rows[i].line);
        cr_assert_eq(status, rows[i].status, "%s was answered %u (errno %d): %s", rows[i].line,
                     status, client.error, server.log);
        ws_client_close(&client);
    }
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_open, works_without_any_callback, 60)
{
    struct server server;
    struct ws_client client;
    server_init(&server, engine);
    server.options = (struct fw_server_options)FW_SERVER_OPTIONS;
    server.options.engine = engine;
    server.options.tls_self_signed = server_speaks_tls();
    server_start(&server);
    cr_assert_geq(fw_server_workers(server.server), 1u);
    ws_client_connect(&client, server.address);
    cr_assert_eq(ws_client_open(&client, "/", ""), 101u);
    ws_client_text(&client, "nobody listens");
    ws_client_close_frame(&client, 1000, "");
    cr_assert(ws_client_got_close(&client, 1000));
    ws_client_close(&client);
    server_end(&server);
}

/* ---- messages -------------------------------------------------------------------------------- */

SERVER_TEST_AND_TLS(server_message, comes_with_its_type_and_all_its_octets, 60)
{
    static const size_t sizes[] = {1, 125, 126, 127, 2047, 2048, 4096, 65535, 65536};
    struct server server;
    struct ws_client_frame frame;
    uint8_t *payload = malloc(65536);
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    for (size_t i = 0; i < 65536; i++)
        payload[i] = (uint8_t)(i * 7 + (i >> 8) * 13);
    payload[0] = 'e';
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ws_client_frame(&client, 0x82, payload, sizes[i]);
        cr_assert(ws_client_receive(&client, &frame));
        cr_assert_eq(frame.opcode, 2u);
        cr_assert_eq(frame.count, sizes[i]);
        cr_assert_eq(memcmp(frame.bytes, payload, sizes[i]), 0);
    }
    ws_client_text(&client, "e\xc3\xa4");
    cr_assert(ws_client_got_text(&client, "e\xc3\xa4"));
    ws_client_frame(&client, 0x01, "e", 1);
    ws_client_frame(&client, 0x89, "ping", 4);
    ws_client_frame(&client, 0x80, " fragmented", 11);
    cr_assert(ws_client_receive(&client, &frame));
    cr_assert_eq(frame.opcode, 10u);
    cr_assert_eq(memcmp(frame.bytes, "ping", 4), 0);
    cr_assert(ws_client_got_text(&client, "e fragmented"));
    free(payload);
    ws_client_close(&client);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_message, is_echoed_in_any_number_and_any_cut, 60)
{
    enum { MESSAGES = 2000 };
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    unsigned answered = 0;
    for (unsigned i = 0; i < MESSAGES; i++) {
        char text[32];
        snprintf(text, sizeof text, "echo %u", i);
        cr_assert(ws_client_text(&client, text));
        if (i % 16 != 15)
            continue;
        for (; answered <= i; answered++) {
            snprintf(text, sizeof text, "echo %u", answered);
            cr_assert(ws_client_got_text(&client, text));
        }
    }
    cr_assert_eq(atomic_load(&server.messages), (unsigned)MESSAGES);
    ws_client_close(&client);
    server_end(&server);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void wait_for_code(struct server *server, unsigned code, unsigned closed)
{
    EVENTUALLY(atomic_load(&server->closed) == closed);
    cr_assert_eq(atomic_load(&server->codes[code]), 1u, "%u was not told", code);
}

static bool last_reason_is(struct server *server, const char *reason)
{
    pthread_mutex_lock(&server->lock);
    bool same = strcmp(server->last_reason, reason) == 0;
    pthread_mutex_unlock(&server->lock);
    return same;
}

SERVER_TEST_AND_TLS(server_close, by_the_peer_tells_its_code_and_reason_and_answers_the_code, 60)
{
    static const unsigned codes[] = {1000, 1001, 1003, 1011, 3000, 4999};
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct ws_client client = server_client(&server, "/");
        ws_client_close_frame(&client, codes[i], "so long \xe2\x9c\x8b");
        cr_assert(ws_client_got_close(&client, codes[i]));
        cr_assert(ws_client_ended(&client));
        cr_assert_eq(client.error, 0);
        wait_for_code(&server, codes[i], i + 1);
        cr_assert(last_reason_is(&server, "so long \xe2\x9c\x8b"));
        ws_client_close(&client);
    }
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_close, by_the_peer_without_a_code_is_1005, 60)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    ws_client_close_frame(&client, 1005, "");
    cr_assert(ws_client_got_close(&client, 1005));
    wait_for_code(&server, 1005, 1);
    ws_client_close(&client);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_close, of_a_peer_that_vanishes_is_1006, 60)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    for (unsigned i = 0; i < 6; i++) {
        struct ws_client client = server_client(&server, "/room");
        cr_assert(ws_client_got_text(&client, "welcome"));
        if (i % 3 == 0)
            ws_client_reset(&client);
        else if (i % 3 == 1)
            ws_client_finish(&client);
        ws_client_close(&client);
        EVENTUALLY(atomic_load(&server.codes[1006]) == i + 1);
    }
    EVENTUALLY(server_connections(&server) == 0);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_close, by_the_program_is_seen_on_both_sides, 60)
{
    struct server server;
    struct ws_client_frame frame;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    ws_client_text(&client, "c4001 enough");
    cr_assert(ws_client_receive(&client, &frame));
    cr_assert_eq(frame.opcode, 8u);
    cr_assert_eq(frame.close_code, 4001u);
    cr_assert_eq(memcmp(frame.bytes + 2, "enough", 6), 0);
    cr_assert_eq(atomic_load(&server.closed), 0u, "not before the peer has answered");
    ws_client_close_frame(&client, 4001, "fine");
    cr_assert(ws_client_ended(&client));
    wait_for_code(&server, 4001, 1);
    cr_assert(last_reason_is(&server, "fine"));
    ws_client_close(&client);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_close, refuses_codes_that_may_not_be_sent, 60)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    static const char *const bad[] = {"c0",    "c999",  "c1004", "c1005",     "c1006",
                                      "c1015", "c2999", "c5000", "c1000 \xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ws_client_frame(&client, 0x82, bad[i], strlen(bad[i]));
        cr_assert(ws_client_got_text(&client, "FW_ERR_USAGE"), "%s", bad[i]);
    }
    ws_client_text(&client, "c1000");
    cr_assert(ws_client_got_close(&client, 1000));
    ws_client_close(&client);
    server_end(&server);
}

/* SECURITY.md: close handshakes that are never completed end after 5 s. */
SERVER_TEST_AND_TLS(server_close, that_the_peers_do_not_answer_ends_after_five_seconds, 60)
{
    enum { CLIENTS = 100 };
    struct server server;
    struct ws_client clients[CLIENTS];
    server_init(&server, engine);
    server_start(&server);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = server_client(&server, "/");
        ws_client_text(&clients[i], "c1000");
    }
    uint64_t begun_ms = ws_client_now_ms();
    EVENTUALLY(atomic_load(&server.codes[1000]) == CLIENTS);
    EVENTUALLY(server_connections(&server) == 0);
    cr_assert_lt(ws_client_now_ms() - begun_ms, 15000u);
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

/* RFC 6455, section 7.4.1, for each kind of mistake; status.h has the sentence. */
SERVER_TEST_AND_TLS(server_close, for_a_mistake_of_the_peers_has_its_code_on_both_sides, 60)
{
    static const struct {
        const char *name;
        unsigned code;
        const char *bytes;
        size_t count;
    } rows[] = {
        {"not masked", 1002, "\x81\x01x", 3},
        {"a reserved bit", 1002, "\xc1\x80\0\0\0\0", 6},
        {"a reserved opcode", 1002, "\x83\x80\0\0\0\0", 6},
        {"nothing to continue", 1002, "\x80\x80\0\0\0\0", 6},
        {"a fragmented ping", 1002, "\x09\x80\0\0\0\0", 6},
        {"a length not minimal", 1002, "\x82\xfe\0\x01\0\0\0\0x", 9},
        {"a length with its highest bit", 1002, "\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 14},
        {"a close of one octet", 1002, "\x88\x81\0\0\0\0x", 7},
        {"text that is not UTF-8", 1007, "\x81\x81\0\0\0\0\xff", 7},
        {"a message over the limit", 1009, "\x82\xff\0\0\0\0\0\1\0\1\0\0\0\0", 14},
        {"2^63 - 1 octets", 1009, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14},
    };
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    unsigned told[5000] = {0};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ws_client client = server_client(&server, "/");
        ws_client_send(&client, rows[i].bytes, rows[i].count);
        cr_assert(ws_client_got_close(&client, rows[i].code), "%s", rows[i].name);
        cr_assert(ws_client_ended(&client));
        cr_assert_eq(client.error, 0, "%s: FIN, so that our last words are read", rows[i].name);
        ws_client_close(&client);
        EVENTUALLY(atomic_load(&server.closed) == i + 1);
        cr_assert_eq(atomic_load(&server.codes[rows[i].code]), ++told[rows[i].code], "%s",
                     rows[i].name);
    }
    server_end(&server);
}

/* ---- budgets --------------------------------------------------------------------------------- */

SERVER_TEST_AND_TLS(server_budget, says_busy_and_drains_until_all_is_sent, 60)
{
    enum { MESSAGES = 200 };
    struct server server;
    struct ws_client client;
    server_init(&server, engine);
    server.options.output_bytes_max = 256 * 1024;
    server_start(&server);
    ws_client_connect_narrow(&client, server.address);
    cr_assert_eq(ws_client_open(&client, "/", ""), 101u);
    ws_client_text(&client, "f200");
    EVENTUALLY(atomic_load(&server.busy) > 0);
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct ws_client_frame frame;
        cr_assert(ws_client_receive(&client, &frame), "message %u", i);
        cr_assert_eq(frame.count, 64000u);
    }
    cr_assert_gt(atomic_load(&server.drained), 0u);
    ws_client_text(&client, "echo");
    cr_assert(ws_client_got_text(&client, "echo"));
    ws_client_close(&client);
    server_end(&server);
}

struct sender {
    struct ws_client *client;
    const uint8_t *payload;
    size_t payload_bytes;
    unsigned messages;
    atomic_uint sent;
    pthread_t thread;
};

static void *send_all(void *context)
{
    struct sender *sender = context;
    while (atomic_load(&sender->sent) < sender->messages) {
        if (!ws_client_frame(sender->client, 0x82, sender->payload, sender->payload_bytes))
            break;
        atomic_fetch_add(&sender->sent, 1);
    }
    return NULL;
}

/* A peer that sends without end and does not read is not read from without end either: what it says
 * stays in the kernels' buffers, then in its own; and once it reads, every byte of the echo comes.
 */
SERVER_TEST_AND_TLS(server_budget, reads_no_more_from_a_peer_that_does_not_read, 120)
{
    enum { MESSAGES = 800, BYTES = 60000 }; /* 48 MB */
    static uint8_t payload[BYTES];
    struct server server;
    struct ws_client client;
    server_init(&server, engine);
    server_start(&server);
    ws_client_connect_narrow(&client, server.address);
    cr_assert_eq(ws_client_open(&client, "/", ""), 101u);
    memset(payload, 'e', sizeof payload);
    struct sender sender = {
        .client = &client, .payload = payload, .payload_bytes = BYTES, .messages = MESSAGES};
    cr_assert_eq(pthread_create(&sender.thread, NULL, send_all, &sender), 0);
    unsigned before;
    do {
        before = atomic_load(&sender.sent);
        server_nap(500);
    } while (atomic_load(&sender.sent) > before);
    cr_assert_lt(before, (unsigned)MESSAGES, "it is stuck");
    cr_assert_lt(atomic_load(&server.messages), (unsigned)MESSAGES / 2);
    for (unsigned received = 0; received < MESSAGES; received++) {
        struct ws_client_frame frame;
        cr_assert(ws_client_receive(&client, &frame));
        cr_assert_eq(frame.count, (size_t)BYTES);
        cr_assert_eq(memcmp(frame.bytes, payload, BYTES), 0);
    }
    pthread_join(sender.thread, NULL);
    ws_client_close(&client);
    server_end(&server);
}

/* ---- topics ---------------------------------------------------------------------------------- */

SERVER_TEST_AND_TLS(server_topics, are_subscribed_and_left_by_a_connection, 60)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    static const struct {
        const char *command;
        const char *answer;
    } rows[] = {
        {"sa", "FW_OK"}, {"sa", "FW_ERR_EXISTS"}, {"s", "FW_ERR_TOPIC"},   {"sa b", "FW_ERR_TOPIC"},
        {"sb", "FW_OK"}, {"ub", "FW_OK"},         {"ub", "FW_ERR_ABSENT"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ws_client_text(&client, rows[i].command);
        cr_assert(ws_client_got_text(&client, rows[i].answer), "%s", rows[i].command);
    }
    cr_assert_eq(fw_publish(server.server, "b", FW_TEXT, "not for us", 10, NULL), 0);
    cr_assert_eq(fw_publish(server.server, "a", FW_BINARY, "\xff", 1, NULL), 0);
    struct ws_client_frame frame;
    cr_assert(ws_client_receive(&client, &frame));
    cr_assert_eq(frame.opcode, 2u);
    cr_assert_eq(frame.bytes[0], 0xff);
    for (unsigned i = 2; i <= 128; i++) {
        char command[16];
        snprintf(command, sizeof command, "st%u", i);
        ws_client_text(&client, command);
        cr_assert(ws_client_got_text(&client, "FW_OK"), "%u", i);
    }
    ws_client_text(&client, "sone-more");
    cr_assert(ws_client_got_text(&client, "FW_ERR_LIMIT"));
    ws_client_close(&client);
    server_end(&server);
}

/* ---- plain requests -------------------------------------------------------------------------- */

SERVER_TEST_AND_TLS(server_request, is_answered_by_the_program_or_404, 60)
{
    struct server server;
    struct ws_client client;
    char body[64];
    server_init(&server, engine);
    server_start(&server);
    ws_client_connect(&client, server.address);
    for (unsigned i = 0; i < 3; i++) { /* on one connection */
        ws_client_say(&client, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        cr_assert_eq(ws_client_answer(&client, body, sizeof body), 200u);
        cr_assert_str_eq(body, "hello");
        ws_client_say(&client, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
        cr_assert_eq(ws_client_answer(&client, body, sizeof body), 404u);
    }
    cr_assert_eq(ws_client_open(&client, "/", ""), 101u, "and then a WebSocket");
    ws_client_text(&client, "echo");
    cr_assert(ws_client_got_text(&client, "echo"));
    cr_assert_eq(atomic_load(&server.requests), 6u);
    ws_client_close(&client);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_request, publishes_to_the_feed_and_reads_it, 60)
{
    struct server server;
    struct ws_client client;
    char body[256];
    server_init(&server, engine);
    server.options.feed = true;
    server_start(&server);
    struct ws_client subscriber = server_client(&server, "/topics/prices.AAPL,b");
    ws_client_connect(&client, server.address);
    ws_client_say(&client, "POST /topics/prices.AAPL HTTP/1.1\r\nHost: x\r\n"
                           "Content-Length: 5\r\n\r\n187.5");
    cr_assert_eq(ws_client_answer(&client, body, sizeof body), 200u);
    cr_assert_not_null(strstr(body, "\"offset\":1,\"receivers\":1"), "%s", body);
    cr_assert(ws_client_got_text(&subscriber, "187.5"));
    ws_client_say(&client, "GET /topics/prices.AAPL?info HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_eq(ws_client_answer(&client, body, sizeof body), 200u);
    cr_assert_not_null(strstr(body, "\"offset\":1"), "%s", body);
    ws_client_say(&client, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_eq(ws_client_answer(&client, body, sizeof body), 200u);
    ws_client_close(&client);
    ws_client_close(&subscriber);
    server_end(&server);
}

/* SECURITY.md, upgrade smuggling: bad version, and a second request behind it. */
SERVER_TEST_AND_TLS(server_request, behind_a_refused_upgrade_is_never_answered, 60)
{
    struct server server;
    struct ws_client client;
    server_init(&server, engine);
    server_start(&server);
    ws_client_connect(&client, server.address);
    ws_client_say(&client, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                           "Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                           "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_eq(ws_client_answer(&client, NULL, 0), 426u);
    cr_assert_eq(ws_client_answer(&client, NULL, 0), 0u);
    cr_assert(client.ended);
    cr_assert_eq(atomic_load(&server.requests), 0u);
    ws_client_close(&client);
    server_end(&server);
}
