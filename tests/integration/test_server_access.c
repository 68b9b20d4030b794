/* test_server_access.c: credentials against a running server (fanwire/access.h): tokens, the
 * program's decisions from another thread, expiry on the real clock, policies that are replaced.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <fanwire/access.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char secret[] = "correct horse battery staple 123";

static fw_key *make_key(void)
{
    fw_key *key;
    cr_assert_eq(fw_keys_read(secret, sizeof secret - 1, &key), 1);
    return key;
}

/* "Authorization: Bearer TOKEN", for so many seconds; lives until the next call. */
static const char *bearer(const char *subscribe, const char *publish, unsigned seconds)
{
    static char lines[FW_TOKEN_BYTES_MAX + 64];
    char token[FW_TOKEN_BYTES_MAX + 1];
    fw_key *key = make_key();
    struct fw_token_claims claims = FW_TOKEN_CLAIMS;
    claims.subject = "tester";
    claims.subscribe = subscribe;
    claims.publish = publish;
    claims.expires_s = (uint64_t)time(NULL) + seconds;
    cr_assert_gt(fw_token_make(key, &claims, token), 0);
    fw_key_destroy(key);
    snprintf(lines, sizeof lines, "Authorization: Bearer %s\r\n", token);
    return lines;
}

static void set_policy(struct server *server, const char *anonymous_subscribe)
{
    fw_key *key = make_key();
    fw_access *access;
    struct fw_access_options options = FW_ACCESS_OPTIONS;
    options.keys = &key;
    options.keys_count = 1;
    options.anonymous_subscribe = anonymous_subscribe;
    cr_assert_eq(fw_access_create(&options, &access), 0);
    cr_assert_eq(fw_server_set_access(server->server, access), 0);
    fw_access_destroy(access);
}

static unsigned open_status(struct server *server, const char *path, const char *lines)
{
    struct ws_client client;
    ws_client_connect(&client, server->address);
    unsigned status = ws_client_open(&client, path, lines);
    ws_client_close(&client);
    return status;
}

static unsigned publish_status(struct server *server, const char *lines, char *body, size_t room)
{
    static char text[FW_TOKEN_BYTES_MAX + 512];
    struct ws_client client;
    ws_client_connect(&client, server->address);
    snprintf(text, sizeof text,
             "POST /topics/news HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n"
             "%s\r\nhi",
             lines);
    cr_assert(ws_client_say(&client, text));
    unsigned status = ws_client_answer(&client, body, room);
    ws_client_close(&client);
    return status;
}

static void start(struct server *server, enum fw_engine_choice engine)
{
    server_init(server, engine);
    server->options.feed = true;
}

SERVER_TEST(server_access, lets_in_by_token_and_refuses_before_the_upgrade, 60)
{
    struct server server;
    char body[256];
    start(&server, engine);
    server.options.workers = 2;
    server_start(&server);
    set_policy(&server, NULL);
    EVENTUALLY(open_status(&server, "/topics/a", "") == 401);
    cr_assert_eq(open_status(&server, "/topics/a", bearer("a b.*", NULL, 60)), 101u);
    cr_assert_eq(open_status(&server, "/topics/a,b.c", bearer("a b.*", NULL, 60)), 101u);
    cr_assert_eq(open_status(&server, "/topics/a,c", bearer("a b.*", NULL, 60)), 403u);
    cr_assert_eq(publish_status(&server, "", body, sizeof body), 401u);
    cr_assert_str_eq(body, "this needs a credential\n");
    cr_assert_eq(publish_status(&server, bearer("*", "new", 60), body, sizeof body), 403u);
    cr_assert_eq(publish_status(&server, bearer(NULL, "new*", 60), body, sizeof body), 202u);
    EVENTUALLY(server_connections(&server) == 0);
    server_end(&server);
}

SERVER_TEST(server_access, closes_with_4401_within_a_second_of_the_expiry, 60)
{
    struct server server;
    struct ws_client client;
    start(&server, engine);
    server_start(&server);
    set_policy(&server, NULL);
    EVENTUALLY(open_status(&server, "/topics/a", "") == 401);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const char *lines = bearer("a", NULL, 2);
    uint64_t expires_ms = ((uint64_t)now.tv_sec + 2) * 1000;
    ws_client_connect(&client, server.address);
    cr_assert_eq(ws_client_open(&client, "/topics/a", lines), 101u);
    cr_assert(ws_client_got_close(&client, 4401));
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t closed_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    cr_assert_geq(closed_ms + 10, expires_ms, "not before");
    cr_assert_leq(closed_ms, expires_ms + 1000 + 1000, "the claim is in whole seconds");
    ws_client_close(&client);
    server_end(&server);
}

/* ---- the program decides --------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    fw_authorization *waiting[4096];
    unsigned count;
    bool ends;
    bool hold; /* nothing is decided */
} clerk;

static bool take(fw_authorization *authorization, const fw_request *request, void *context)
{
    (void)context;
    if (strcmp(fw_request_path(request), "/topics/open") == 0)
        return false;
    if (strcmp(fw_request_path(request), "/topics/now") == 0) {
        fw_authorization_refuse(authorization, 402, "pay first");
        return true;
    }
    pthread_mutex_lock(&clerk.lock);
    clerk.waiting[clerk.count++ % 4096] = authorization;
    pthread_cond_signal(&clerk.changed);
    pthread_mutex_unlock(&clerk.lock);
    return true;
}

static void *decide(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&clerk.lock);
    while (!clerk.ends || clerk.count > 0) {
        if (clerk.count == 0 || (clerk.hold && !clerk.ends)) {
            pthread_cond_wait(&clerk.changed, &clerk.lock);
            continue;
        }
        fw_authorization *authorization = clerk.waiting[--clerk.count];
        struct fw_grant grant = FW_GRANT;
        grant.subject = "clerk";
        grant.subscribe = "a*";
        grant.publish = "news";
        pthread_mutex_unlock(&clerk.lock);
        cr_assert_eq(fw_authorization_grant(authorization, &grant), 0);
        pthread_mutex_lock(&clerk.lock);
    }
    pthread_mutex_unlock(&clerk.lock);
    return NULL;
}

static pthread_t begin_clerk(bool hold)
{
    pthread_t thread;
    memset(&clerk, 0, sizeof clerk);
    clerk.hold = hold;
    pthread_mutex_init(&clerk.lock, NULL);
    pthread_cond_init(&clerk.changed, NULL);
    cr_assert_eq(pthread_create(&thread, NULL, decide, NULL), 0);
    return thread;
}

static void end_clerk(pthread_t thread)
{
    pthread_mutex_lock(&clerk.lock);
    clerk.ends = true;
    pthread_cond_signal(&clerk.changed);
    pthread_mutex_unlock(&clerk.lock);
    pthread_join(thread, NULL);
}

SERVER_TEST(server_access, waits_for_a_decision_of_another_thread, 120)
{
    struct server server;
    char body[256];
    pthread_t thread = begin_clerk(false);
    start(&server, engine);
    server.options.workers = 2;
    server.options.on_authorize = take;
    server_start(&server);
    for (unsigned i = 0; i < 50; i++) {
        cr_assert_eq(open_status(&server, "/topics/a1", ""), 101u);
        cr_assert_eq(open_status(&server, "/topics/b", ""), 403u);
        cr_assert_eq(publish_status(&server, "", body, sizeof body), 202u);
    }
    cr_assert_eq(open_status(&server, "/topics/open", ""), 101u);
    cr_assert_eq(open_status(&server, "/topics/now", ""), 402u);
    EVENTUALLY(server_connections(&server) == 0);
    end_clerk(thread);
    server_end(&server);
}

/* Whoever leaves, or stops waiting, while the program thinks. */
SERVER_TEST(server_access, survives_clients_that_do_not_wait_and_decisions_after_the_end, 120)
{
    struct server server;
    struct ws_client clients[64];
    pthread_t thread = begin_clerk(true);
    start(&server, engine);
    server.options.on_authorize = take;
    server.options.authorize_timeout_ms = 300;
    server_start(&server);
    for (unsigned i = 0; i < 64; i++) {
        ws_client_connect(&clients[i], server.address);
        cr_assert(ws_client_say(&clients[i], "POST /topics/news HTTP/1.1\r\nHost: x\r\n"
                                             "Content-Length: 2\r\n\r\nhi"));
    }
    EVENTUALLY(server_connections(&server) == 64);
    for (unsigned i = 0; i < 32; i++)
        ws_client_reset(&clients[i]);
    for (unsigned i = 32; i < 64; i++) {
        cr_assert_eq(ws_client_answer(&clients[i], NULL, 0), 503u);
        ws_client_close(&clients[i]);
    }
    EVENTUALLY(server_connections(&server) == 0);
    fw_server_stop(server.server);
    fw_server_wait(server.server);
    end_clerk(thread); /* decides all 64 now */
    server_end(&server);
}

/* ---- policies -------------------------------------------------------------------------------- */

SERVER_TEST(server_access, obeys_a_new_policy_while_it_runs_and_drops_nobody, 60)
{
    struct server server;
    struct ws_client client;
    char body[256];
    start(&server, engine);
    server.options.workers = 2;
    server_start(&server);
    client = server_client(&server, "/topics/news");
    for (unsigned i = 0; i < 20; i++) {
        set_policy(&server, i % 2 == 0 ? NULL : "news");
        EVENTUALLY(open_status(&server, "/topics/news", "") == (i % 2 == 0 ? 401 : 101));
        cr_assert_eq(publish_status(&server, bearer(NULL, "news", 60), body, sizeof body), 200u);
        cr_assert(ws_client_got_text(&client, "hi"));
    }
    cr_assert_eq(fw_server_set_access(server.server, NULL), 0);
    EVENTUALLY(open_status(&server, "/topics/x", "") == 101);
    ws_client_close(&client);
    server_end(&server);
}

SERVER_TEST(server_access, refuses_a_policy_of_cookies_without_exact_origins, 60)
{
    static const char *const any[] = {"https://a.example", "*", NULL};
    static const char *const exact[] = {"https://a.example", NULL};
    static const char *const none[] = {NULL};
    const char *const *const rows[] = {NULL, any, none, exact};
    struct fw_access_options options = FW_ACCESS_OPTIONS;
    fw_access *access;
    options.cookie = "feed";
    cr_assert_eq(fw_access_create(&options, &access), 0);
    for (unsigned i = 0; i < 4; i++) {
        struct server server;
        start(&server, engine);
        server.options.allow_origins = rows[i];
        server_start(&server);
        cr_assert_eq(fw_server_set_access(server.server, access), i == 3 ? 0 : FW_ERR_USAGE);
        server_end(&server);
    }
    fw_access_destroy(access);
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* Whether a new connection is served, or dropped unread. */
static bool is_served(struct server *server, struct ws_client *client)
{
    ws_client_connect(client, server->address);
    return ws_client_open(client, "/topics/a", "") == 101;
}

SERVER_TEST(server_limits, drops_connections_of_an_address_that_has_enough, 60)
{
    struct server server;
    struct ws_client clients[4];
    struct fw_server_stats stats;
    start(&server, engine);
    server.options.workers = 2;
    server.options.address_connections_max = 3;
    server_start(&server);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(is_served(&server, &clients[i]), "connection %u", i);
    cr_assert_not(is_served(&server, &clients[3]));
    ws_client_close(&clients[3]);
    fw_server_stats(server.server, &stats);
    cr_assert_eq(stats.address_full, 1u);
    cr_assert(server_logged(&server, "its address has 3 already"));
    ws_client_close(&clients[0]);
    EVENTUALLY(server_connections(&server) == 2);
    cr_assert(is_served(&server, &clients[0]));
    for (unsigned i = 0; i < 3; i++)
        ws_client_close(&clients[i]);
    EVENTUALLY(server_connections(&server) == 0);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(is_served(&server, &clients[i]), "all have left");
    for (unsigned i = 0; i < 3; i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

SERVER_TEST(server_limits, drops_connections_that_come_too_fast, 60)
{
    struct server server;
    struct ws_client client;
    struct fw_server_stats stats;
    unsigned served = 0;
    start(&server, engine);
    server.options.address_accepts_per_s = 1;
    server.options.address_accepts_burst = 5;
    server_start(&server);
    for (unsigned i = 0; i < 20; i++) {
        served += is_served(&server, &client);
        ws_client_close(&client);
    }
    cr_assert_geq(served, 5u);
    cr_assert_leq(served, 15u); /* one more for each second that this took */
    fw_server_stats(server.server, &stats);
    cr_assert_eq(stats.address_fast, 20 - served);
    EVENTUALLY(is_served(&server, &client) || (ws_client_close(&client), false));
    ws_client_close(&client);
    server_end(&server);
}

SERVER_TEST(server_limits, refuses_messages_that_come_too_fast, 60)
{
    struct server server;
    struct ws_client client;
    struct fw_server_stats stats;
    start(&server, engine);
    server.options.messages_per_s = 1;
    server.options.messages_burst = 10;
    server_start(&server);
    client = server_client(&server, "/chat");
    for (unsigned i = 0; i < 30; i++)
        ws_client_text(&client, "x");
    cr_assert(ws_client_got_close(&client, 1008));
    ws_client_close(&client);
    ws_client_connect(&client, server.address);
    unsigned status = 0;
    for (unsigned i = 0; i < 30 && status != 429; i++) {
        cr_assert(ws_client_say(&client, "POST /topics/news HTTP/1.1\r\nHost: x\r\n"
                                         "Content-Length: 2\r\n\r\nhi"));
        status = ws_client_answer(&client, NULL, 0);
        cr_assert(status == 202 || (status == 429 && i >= 10), "%u: %u", i, status);
    }
    cr_assert_eq(status, 429u);
    ws_client_close(&client);
    fw_server_stats(server.server, &stats);
    cr_assert_eq(stats.rate_limited, 2u);
    server_end(&server);
}

SERVER_TEST(server_limits, count_who_comes_through_a_trusted_proxy_by_its_own_address, 60)
{
    static const char *const proxies[] = {"127.0.0.0/8", NULL};
    struct server server;
    struct ws_client clients[5];
    static const struct {
        const char *lines;
        unsigned status;
    } rows[] = {
        {"X-Forwarded-For: 198.51.100.1\r\n", 101},
        {"X-Forwarded-For: 9.9.9.9, 198.51.100.1\r\n", 101},
        {"X-Forwarded-For: 8.8.8.8, 198.51.100.1\r\n", 429},
        {"X-Forwarded-For: 198.51.100.1, 198.51.100.2\r\n", 101},
        {"", 101},
    };
    start(&server, engine);
    server.options.address_connections_max = 2;
    server.options.trusted_proxies = proxies;
    server_start(&server);
    for (unsigned i = 0; i < 5; i++) {
        ws_client_connect(&clients[i], server.address);
        cr_assert_eq(ws_client_open(&clients[i], "/topics/a", rows[i].lines), rows[i].status, "%u",
                     i);
    }
    for (unsigned i = 0; i < 5; i++)
        ws_client_close(&clients[i]);
    EVENTUALLY(server_connections(&server) == 0);
    cr_assert_eq(open_status(&server, "/topics/a", rows[2].lines), 101u, "they have left");
    server_end(&server);
}

Test(server_limits, take_no_proxy_that_is_none, .timeout = 60)
{
    static const char *const wrong[] = {"127.0.0.1/8", NULL};
    struct server server;
    server_init(&server, FW_USE_EPOLL);
    server.options.trusted_proxies = wrong;
    cr_assert_eq(fw_server_create(&server.options, &server.server), FW_ERR_USAGE);
    cr_assert(server_logged(&server, "a trusted proxy is"));
}
