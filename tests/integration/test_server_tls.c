/* test_server_tls.c: what a server with TLS does beside what every server does: certificates and
 * their reload, client certificates, tickets, plain peers, and peers that attack. What is below,
 * record by record, is in tests/unit/net/tls.
 *
 * The other suites of servers run over TLS too: server_rig.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HONEST_MS_MAX 1000u

static struct fw_server_stats stats_of(struct server *server)
{
    struct fw_server_stats stats;
    fw_server_stats(server->server, &stats);
    return stats;
}

static void echo(struct ws_client *client, const char *text)
{
    cr_assert(ws_client_text(client, text));
    cr_assert(ws_client_got_text(client, text), "%s", text);
}

/* ---- options --------------------------------------------------------------------------------- */

Test(tls_options, say_what_is_wrong_with_them, .timeout = 60)
{
    static const char *const one[] = {"/nowhere/cert.pem", NULL};
    static const char *const none[] = {NULL};
    static const struct {
        const char *const *certs;
        const char *const *keys;
        const char *ca;
        bool self_signed;
        int result;
        const char *line;
    } rows[] = {
        {one, none, NULL, false, FW_ERR_USAGE, "each key beside its certificate"},
        {one, NULL, NULL, false, FW_ERR_USAGE, "each key beside its certificate"},
        {one, one, NULL, true, FW_ERR_USAGE, "tls_self_signed is instead of tls_cert_files"},
        {NULL, NULL, "/nowhere/ca.pem", false, FW_ERR_USAGE, "TLS wants tls_cert_files"},
        {one, one, NULL, false, FW_ERR_TLS_FILE, "/nowhere/cert.pem"},
        {NULL, NULL, "/nowhere/ca.pem", true, FW_ERR_TLS_FILE, "/nowhere/ca.pem"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct server server;
        server_init(&server, FW_USE_EPOLL);
        server.options.tls_cert_files = rows[i].certs;
        server.options.tls_key_files = rows[i].keys;
        server.options.tls_client_ca_file = rows[i].ca;
        server.options.tls_self_signed = rows[i].self_signed;
        int result = fw_server_create(&server.options, &server.server);
        cr_assert_eq(result, rows[i].result, "row %zu: %s", i, fw_status_name(result));
        cr_assert(server_logged(&server, rows[i].line), "row %zu: %s", i, server.log);
    }
}

Test(tls_options, refuse_a_key_that_others_may_read, .timeout = 60)
{
    struct server server;
    struct tls_files files;
    tls_files_make(&files, "one.test", NULL);
    chmod(files.key, 0644);
    server_init(&server, FW_USE_EPOLL);
    server_show(&server, &files, NULL);
    cr_assert_eq(fw_server_create(&server.options, &server.server), FW_ERR_TLS_KEY_EXPOSED);
    cr_assert(server_logged(&server, files.key), "%s", server.log);
}

Test(tls_options, refuse_a_key_of_another_certificate, .timeout = 60)
{
    struct server server;
    struct tls_files one;
    struct tls_files two;
    tls_files_make(&one, "one.test", NULL);
    tls_files_make(&two, "two.test", NULL);
    server_init(&server, FW_USE_EPOLL);
    server_show(&server, &one, NULL);
    server.tls_keys[0] = two.key;
    cr_assert_eq(fw_server_create(&server.options, &server.server), FW_ERR_TLS_KEY_MISMATCH);
    cr_assert(server_logged(&server, one.certificate), "%s", server.log);
}

SERVER_TEST_TLS(server_tls, says_at_its_start_what_runs, 60)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    cr_assert(server_logged(&server, "TLS: wolfSSL "), "%s", server.log);
    cr_assert(server_logged(&server, "throw-away certificate"), "%s", server.log);
    cr_assert_eq(fw_server_reload_tls(server.server), 0); /* nothing to read, and no mistake */
    server_end(&server);
}

/* ---- certificates ---------------------------------------------------------------------------- */

static struct ws_client client_for(struct server *server, const char *name)
{
    tls_ask_for(name);
    struct ws_client client = server_client(server, "/");
    tls_ask_for(NULL);
    return client;
}

static void expect_shown(struct server *server, const char *asked, const char *shown)
{
    char name[64];
    struct ws_client client = client_for(server, asked);
    tls_shown_name(&client, name, sizeof name);
    cr_assert_str_eq(name, shown, "asked for %s", asked == NULL ? "nothing" : asked);
    ws_client_close(&client);
}

SERVER_TEST_TLS(server_tls, shows_the_certificate_for_the_name_that_is_asked_for, 60)
{
    struct server server;
    struct tls_files one;
    struct tls_files two;
    tls_files_make(&one, "one.test", NULL);
    tls_files_make(&two, "two.test", NULL);
    server_init(&server, engine);
    server_show(&server, &one, &two);
    server_start(&server);
    expect_shown(&server, "two.test", "two.test");
    expect_shown(&server, "one.test", "one.test");
    expect_shown(&server, "three.test", "one.test");
    expect_shown(&server, NULL, "one.test");
    server_end(&server);
}

#define LOADED 20

SERVER_TEST_TLS(server_tls, reloads_certificates_under_load_and_drops_nobody, 120)
{
    struct server server;
    struct tls_files now;
    struct tls_files next;
    struct ws_client clients[LOADED];
    tls_files_make(&now, "before.test", NULL);
    tls_files_make(&next, "after.test", NULL);
    server_init(&server, engine);
    server.options.workers = 2;
    server_show(&server, &now, NULL);
    server_start(&server);
    for (size_t i = 0; i < LOADED; i++)
        clients[i] = server_client(&server, "/room");
    for (size_t i = 0; i < LOADED; i++)
        cr_assert(ws_client_got_text(&clients[i], "welcome"));
    for (unsigned round = 0; round < 20; round++) {
        if (round == 10) {
            expect_shown(&server, NULL, "before.test");
            tls_files_replace(&next, &now);
            cr_assert_eq(fw_server_reload_tls(server.server), 0, "%s", server.log);
            expect_shown(&server, NULL, "after.test");
        }
        char text[32];
        int count = snprintf(text, sizeof text, "round %u", round);
        cr_assert_eq(fw_publish(server.server, "room", FW_TEXT, text, (size_t)count, NULL), 0);
        for (size_t i = 0; i < LOADED; i++)
            cr_assert(ws_client_got_text(&clients[i], text), "client %zu", i);
    }
    cr_assert(server_logged(&server, "were reloaded"), "%s", server.log);
    for (size_t i = 0; i < LOADED; i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

SERVER_TEST_TLS(server_tls, keeps_its_certificates_when_the_new_ones_are_wrong, 60)
{
    struct server server;
    struct tls_files now;
    struct tls_files other;
    tls_files_make(&now, "good.test", NULL);
    tls_files_make(&other, "other.test", NULL);
    server_init(&server, engine);
    server_show(&server, &now, NULL);
    server_start(&server);
    cr_assert_eq(rename(other.certificate, now.certificate), 0); /* not its key */
    cr_assert_eq(fw_server_reload_tls(server.server), FW_ERR_TLS_KEY_MISMATCH);
    cr_assert(server_logged(&server, "those in use stay"), "%s", server.log);
    expect_shown(&server, NULL, "good.test");
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_tls, has_nothing_to_reload_without_tls, 60)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    cr_assert_eq(fw_server_reload_tls(server.server), server_speaks_tls() ? 0 : FW_ERR_ABSENT);
    server_end(&server);
}

/* ---- who the client is ----------------------------------------------------------------------- */

static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;
static char seen_subject[128];
static char seen_version[32];
static char seen_name[64];

static unsigned look_at_request(fw_conn *conn, const fw_request *request, void *context)
{
    const char *subject = fw_request_tls_subject(request);
    const char *version = fw_request_tls_version(request);
    const char *name = fw_request_tls_server_name(request);
    (void)conn;
    (void)context;
    pthread_mutex_lock(&seen_lock);
    snprintf(seen_subject, sizeof seen_subject, "%s", subject == NULL ? "none" : subject);
    snprintf(seen_version, sizeof seen_version, "%s", version == NULL ? "none" : version);
    snprintf(seen_name, sizeof seen_name, "%s", name == NULL ? "none" : name);
    pthread_mutex_unlock(&seen_lock);
    return 0;
}

static void expect_seen(const char *subject, const char *version, const char *name)
{
    pthread_mutex_lock(&seen_lock);
    cr_assert_str_eq(seen_subject, subject);
    cr_assert_str_eq(seen_version, version);
    cr_assert_str_eq(seen_name, name);
    pthread_mutex_unlock(&seen_lock);
}

/* The program's other callbacks want what its own on_open makes. */
static void look_only(struct server *server)
{
    server->options.on_open = look_at_request;
    server->options.on_message = NULL;
    server->options.on_close = NULL;
}

SERVER_TEST_AND_TLS(server_tls, tells_a_handler_what_was_agreed_on, 60)
{
    struct server server;
    server_init(&server, engine);
    look_only(&server);
    server_start(&server);
    tls_ask_for("some.test");
    struct ws_client client = server_client(&server, "/");
    bool tls = server_speaks_tls();
    expect_seen("none", tls ? "TLSv1.3" : "none", tls ? "some.test" : "none");
    ws_client_close(&client);
    server_end(&server);
}

/* What is refused after the client has sent its Finished is heard of when it reads. */
static void expect_refused(struct server *server)
{
    struct ws_client client;
    ws_client_connect(&client, server->address);
    cr_assert_eq(ws_client_open(&client, "/", ""), 0u);
    ws_client_close(&client);
}

SERVER_TEST_TLS(server_tls, demands_client_certificates_and_hands_on_their_subject, 60)
{
    struct server server;
    struct tls_files own;
    struct tls_files ca;
    struct tls_files client_files;
    struct tls_files stranger;
    SSL_CTX *context = tls_layer_context();
    tls_files_make(&own, "server.test", NULL);
    tls_files_make(&ca, "ca.test", NULL);
    tls_files_make(&client_files, "alice", &ca);
    tls_files_make(&stranger, "mallory", NULL);
    server_init(&server, engine);
    server_show(&server, &own, NULL);
    server.options.tls_client_ca_file = ca.certificate;
    look_only(&server);
    server_start(&server);

    expect_refused(&server);
    SSL_CTX_use_certificate_file(context, stranger.certificate, SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context, stranger.key, SSL_FILETYPE_PEM);
    expect_refused(&server);
    SSL_CTX_use_certificate_file(context, client_files.certificate, SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context, client_files.key, SSL_FILETYPE_PEM);
    struct ws_client client = server_client(&server, "/");
    expect_seen("CN=alice", "TLSv1.3", "none");
    ws_client_close(&client);
    EVENTUALLY(stats_of(&server).tls_connections == 0);
    cr_assert_eq(stats_of(&server).tls_failed, 2u);
    cr_assert_eq(stats_of(&server).tls_handshakes, 1u);
    server_end(&server);
}

/* ---- tickets --------------------------------------------------------------------------------- */

/* Two workers share their keys: a ticket of the one opens the other's door. */
SERVER_TEST_TLS(server_tls, resumes_by_a_ticket_on_any_worker, 60)
{
    struct server server;
    struct ws_client clients[4];
    server_init(&server, engine);
    server.options.workers = 2;
    server_start(&server);
    clients[0] = server_client(&server, "/");
    echo(&clients[0], "e hello"); /* the tickets have come by now */
    SSL_SESSION *session = SSL_get1_session(tls_layer_of(&clients[0]));
    cr_assert(SSL_SESSION_is_resumable(session));
    tls_resume(session);
    for (size_t i = 1; i < 4; i++) {
        clients[i] = server_client(&server, "/");
        cr_assert(SSL_session_reused(tls_layer_of(&clients[i])), "client %zu", i);
        echo(&clients[i], "e again");
    }
    tls_resume(NULL);
    cr_assert_gt(fw_server_worker_connections(server.server, 0), 0u);
    cr_assert_gt(fw_server_worker_connections(server.server, 1), 0u);
    EVENTUALLY(stats_of(&server).tls_resumed == 3);
    cr_assert_eq(stats_of(&server).tls_connections, 4u);
    cr_assert_gt(stats_of(&server).tls_bytes, 4 * 1000u);
    SSL_SESSION_free(session);
    for (size_t i = 0; i < 4; i++)
        ws_client_close(&clients[i]);
    EVENTUALLY(stats_of(&server).tls_connections == 0);
    server_end(&server);
}

/* ---- versions -------------------------------------------------------------------------------- */

SERVER_TEST_TLS(server_tls, speaks_1_2_and_refuses_what_is_older, 60)
{
    struct server server;
    SSL_CTX *context = tls_layer_context();
    server_init(&server, engine);
    server_start(&server);
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    struct ws_client client = server_client(&server, "/");
    cr_assert_str_eq(SSL_get_version(tls_layer_of(&client)), "TLSv1.2");
    echo(&client, "e over 1.2");
    ws_client_close(&client);

    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
    ws_client_connect(&client, server.address);
    cr_assert(client.ended, "TLS 1.1 was accepted");
    ws_client_close(&client);
    EVENTUALLY(server_logged(&server, "handshake refused"));
    server_end(&server);
}

/* ---- ends ------------------------------------------------------------------------------------ */

SERVER_TEST_AND_TLS(server_tls, calls_a_stream_that_was_cut_off_1006, 60)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    shutdown(client.fd, SHUT_WR); /* a FIN without close_notify */
    EVENTUALLY(atomic_load(&server.codes[1006]) == 1);
    ws_client_close(&client);
    client = server_client(&server, "/");
    cr_assert(ws_client_close_frame(&client, 1000, ""));
    cr_assert(ws_client_got_close(&client, 1000));
    cr_assert(ws_client_ended(&client));
    cr_assert_eq(client.error, 0, "its close_notify came before its FIN: %d", client.error);
    EVENTUALLY(atomic_load(&server.codes[1000]) == 1);
    ws_client_close(&client);
    server_end(&server);
}

/* ---- peers that do not speak TLS, or where none is spoken --------------------------------------
 */

SERVER_TEST_TLS(server_tls, tells_plain_http_to_use_https, 60)
{
    struct server server;
    struct ws_client client;
    char body[128];
    server_init(&server, engine);
    server_start(&server);
    ws_client_layer = NULL;
    ws_client_connect(&client, server.address);
    cr_assert(ws_client_say(&client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    cr_assert_eq(ws_client_answer(&client, body, sizeof body), 400u);
    cr_assert_not_null(strstr(body, "https://"), "%s", body);
    cr_assert(ws_client_ended(&client));
    cr_assert_eq(client.error, 0);
    ws_client_close(&client);
    EVENTUALLY(server_logged(&server, "the first bytes are not TLS"));
    server_end(&server);
}

SERVER_TEST_TLS(server_tls, is_not_spoken_by_a_plain_listener_beside, 60)
{
    struct server server;
    struct ws_client client;
    char body[128];
    server_init(&server, engine);
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0);
    cr_assert_eq(fw_server_listen(server.server, "127.0.0.1:0"), 0);
    cr_assert_eq(fw_server_listen(server.server, "plain:127.0.0.1:0"), 0);
    cr_assert_eq(fw_server_start(server.server), 0);

    server.address = fw_server_address(server.server, 0);
    struct ws_client secret = server_client(&server, "/");
    ws_client_layer = NULL;
    server.address = fw_server_address(server.server, 1);
    struct ws_client open = server_client(&server, "/");
    echo(&secret, "e secret");
    echo(&open, "e open");
    cr_assert_eq(stats_of(&server).tls_connections, 1u);

    ws_client_connect(&client, server.address);
    cr_assert(ws_client_send(&client, "\x16\x03\x01\x00\xc8\x01", 6)); /* a ClientHello begins */
    cr_assert_eq(ws_client_answer(&client, body, sizeof body), 400u);
    cr_assert_not_null(strstr(body, "plain HTTP"), "%s", body);
    ws_client_close(&client);
    ws_client_close(&open);
    ws_client_close(&secret);
    server_end(&server);
}

/* ---- attacks --------------------------------------------------------------------------------- */

/* How long an honest peer waits for its first echo. */
static uint64_t honest_ms(struct server *server)
{
    uint64_t since_ms = ws_client_now_ms();
    struct ws_client client = server_client(server, "/");
    echo(&client, "e honest");
    ws_client_close(&client);
    return ws_client_now_ms() - since_ms;
}

#define HALVES 600

/* Handshakes that are begun and not gone on with: only so many are kept, and nobody waits for them.
 */
SERVER_TEST_TLS(server_tls, bounds_handshakes_that_stand_still, 120)
{
    struct server server;
    struct ws_client *halves = calloc(HALVES, sizeof *halves);
    server_init(&server, engine);
    server.options.connections_max = 1000; /* a twentieth would be less than the least, 256 */
    server_start(&server);
    ws_client_layer = NULL;
    for (size_t i = 0; i < HALVES; i++) {
        ws_client_connect(&halves[i], server.address);
        tls_half_handshake(halves[i].fd);
    }
    EVENTUALLY(stats_of(&server).tls_failed >= HALVES - 256);
    ws_client_layer = &tls_layer;
    for (unsigned i = 0; i < 10; i++)
        cr_assert_lt(honest_ms(&server), HONEST_MS_MAX);
    cr_assert_eq(stats_of(&server).tls_handshakes, 10u);
    cr_assert(server_logged(&server, "it stood still while others waited"), "%s", server.log);
    for (size_t i = 0; i < HALVES; i++)
        ws_client_close(&halves[i]);
    EVENTUALLY(server_connections(&server) == 0);
    free(halves);
    server_end(&server);
}

SERVER_TEST_TLS(server_tls, gives_a_handshake_10_seconds_however_it_drips, 60)
{
    struct server server;
    struct ws_client silent;
    struct ws_client dripping;
    server_init(&server, engine);
    server_start(&server);
    ws_client_layer = NULL;
    uint64_t since_ms = ws_client_now_ms();
    ws_client_connect(&silent, server.address);
    ws_client_connect(&dripping, server.address);
    const uint8_t header[] = {0x16, 3, 1, 0x02, 0, 1, 0, 0x01, 0xfc, 3, 3};
    cr_assert(ws_client_send(&dripping, header, sizeof header));
    while (ws_client_send(&dripping, "x", 1) && ws_client_silent(&dripping, 100))
        cr_assert_lt(ws_client_now_ms() - since_ms, 15000u, "it still drips");
    uint64_t took_ms = ws_client_now_ms() - since_ms;
    cr_assert_geq(took_ms, 9500u);
    cr_assert(ws_client_ended(&silent));
    cr_assert_lt(ws_client_now_ms() - since_ms, 15000u);
    cr_assert(server_logged(&server, "it took more than 10 s"), "%s", server.log);
    ws_client_close(&silent);
    ws_client_close(&dripping);
    server_end(&server);
}

SERVER_TEST_TLS(server_tls, refuses_a_client_hello_of_15_kib, 60)
{
    struct server server;
    struct ws_client client;
    static uint8_t hello[15000] = {0x16,
                                   3,
                                   1,
                                   (15000 - 5) >> 8,
                                   (15000 - 5) & 0xff,
                                   1,
                                   0,
                                   (15000 - 9) >> 8,
                                   (15000 - 9) & 0xff,
                                   3,
                                   3};
    server_init(&server, engine);
    server_start(&server);
    ws_client_layer = NULL;
    ws_client_connect(&client, server.address);
    cr_assert(ws_client_send(&client, hello, sizeof hello));
    cr_assert(ws_client_ended(&client));
    ws_client_close(&client);
    cr_assert(server_logged(&server, "ClientHello"), "%s", server.log);
    ws_client_layer = &tls_layer;
    cr_assert_lt(honest_ms(&server), HONEST_MS_MAX);
    server_end(&server);
}

/* 21 bytes that kill a server of wolfSSL 5.5.4: an encrypted record with nothing in it. */
SERVER_TEST_TLS(server_tls, survives_the_record_that_is_too_short, 60)
{
    struct server server;
    const uint8_t record[21] = {0x17, 3, 3, 0, 16};
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    cr_assert_eq(send(client.fd, record, sizeof record, MSG_NOSIGNAL), (ssize_t)sizeof record);
    cr_assert(ws_client_ended(&client));
    EVENTUALLY(atomic_load(&server.codes[1006]) == 1);
    cr_assert(server_logged(&server, "too short to hold anything"), "%s", server.log);
    ws_client_close(&client);
    cr_assert_lt(honest_ms(&server), HONEST_MS_MAX);
    server_end(&server);
}

SERVER_TEST_TLS(server_tls, ends_a_flood_of_key_updates, 60)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    SSL *ssl = tls_layer_of(&client);
    unsigned updates = 0;
    while (updates < 10000 && SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
           SSL_do_handshake(ssl) == 1)
        updates++;
    ERR_clear_error();
    cr_assert(ws_client_ended(&client));
    EVENTUALLY(atomic_load(&server.codes[1006]) == 1);
    cr_assert(server_logged(&server, "too many TLS records came without data"), "%s", server.log);
    ws_client_close(&client);
    cr_assert_lt(honest_ms(&server), HONEST_MS_MAX);
    server_end(&server);
}

/* Each KiB of data pays for one. */
SERVER_TEST_TLS(server_tls, takes_key_updates_of_an_honest_peer, 60)
{
    struct server server;
    char text[1200];
    memset(text, 'e', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(SSL_key_update(tls_layer_of(&client), SSL_KEY_UPDATE_REQUESTED), 1);
        echo(&client, text);
    }
    ws_client_close(&client);
    server_end(&server);
}

SERVER_TEST_TLS(server_tls, refuses_renegotiation, 60)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    SSL_CTX_set_max_proto_version(tls_layer_context(), TLS1_2_VERSION);
    struct ws_client client = server_client(&server, "/");
    echo(&client, "e before");
    if (SSL_renegotiate(tls_layer_of(&client)) == 1)
        (void)SSL_do_handshake(tls_layer_of(&client));
    ERR_clear_error();
    cr_assert(ws_client_ended(&client));
    cr_assert(server_logged(&server, "renegotiation is not accepted"), "%s", server.log);
    ws_client_close(&client);
    server_end(&server);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* A socket that the server's every byte must go through, cut at will: what OpenSSL writes is sent
 * in pieces of so many octets. */
SERVER_TEST_TLS(server_tls, takes_records_cut_anywhere, 120)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    for (size_t split = 1; split <= 40; split += split < 8 ? 1 : 11) {
        tls_split(split);
        struct ws_client client = server_client(&server, "/");
        char text[700];
        memset(text, 'e', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        for (unsigned i = 0; i < 3; i++)
            echo(&client, text);
        ws_client_close(&client);
    }
    tls_split(0);
    server_end(&server);
}

#define LARGE_BYTES ((size_t)60000)
#define LARGE_COUNT 100

/* More than the socket and what is encrypted ahead of it hold, in both directions at once. */
SERVER_TEST_TLS(server_tls, loses_nothing_when_the_peer_does_not_read, 120)
{
    struct server server;
    struct ws_client client;
    struct ws_client_frame frame;
    uint8_t *message = malloc(LARGE_BYTES);
    server_init(&server, engine);
    server_start(&server);
    ws_client_connect_narrow(&client, server.address);
    cr_assert_eq(ws_client_open(&client, "/", ""), 101u);
    cr_assert(ws_client_text(&client, "f100")); /* 100 messages of 64,000 */
    server_nap(300);
    message[0] = 'e';
    for (unsigned i = 0; i < LARGE_COUNT; i++) {
        cr_assert(ws_client_receive(&client, &frame), "message %u", i);
        cr_assert_eq(frame.count, 64000u);
    }
    for (unsigned i = 0; i < LARGE_COUNT; i++) {
        for (size_t k = 1; k < LARGE_BYTES; k++)
            message[k] = (uint8_t)(k * 31 + i);
        cr_assert(ws_client_frame(&client, 0x82, message, LARGE_BYTES));
        cr_assert(ws_client_receive(&client, &frame));
        cr_assert_eq(frame.count, LARGE_BYTES);
        cr_assert_arr_eq(frame.bytes, message, LARGE_BYTES);
    }
    free(message);
    ws_client_close(&client);
    server_end(&server);
}
