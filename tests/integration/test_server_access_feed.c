/* test_server_access_feed.c: every way to use the feed, with every kind of credential: subscribing
 * by WebSocket, event stream, long poll and command, reading figures, publishing by POST, batch and
 * command; and what becomes of each when the credential expires (fanwire(1), ACCESS).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <fanwire/access.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ORIGIN "https://app.example.com"

static const char secret[] = "correct horse battery staple 123";
static const char *const origins[] = {ORIGIN, NULL};

/* ---- credentials ----------------------------------------------------------------------------- */

/* What a credential allows: topic a and figures; another topic alone; what it did, once. */
enum grant { GRANTS_IT, GRANTS_OTHERS, EXPIRED };

/* Where it stands. */
enum place { AUTHORIZATION, PARAMETER, PROTOCOL, COOKIE, BASIC };

static fw_key *make_key(void)
{
    fw_key *key;
    cr_assert_eq(fw_keys_read(secret, sizeof secret - 1, &key), 1);
    return key;
}

static const char *token_for(const char *topic, bool observe, int64_t seconds)
{
    static char token[FW_TOKEN_BYTES_MAX + 1];
    fw_key *key = make_key();
    struct fw_token_claims claims = FW_TOKEN_CLAIMS;
    claims.subscribe = topic;
    claims.publish = topic;
    claims.observe = observe;
    claims.expires_s = (uint64_t)((int64_t)time(NULL) + seconds);
    cr_assert_gt(fw_token_make(key, &claims, token), 0);
    fw_key_destroy(key);
    return token;
}

static const char *token_of(enum grant grant)
{
    bool it = grant != GRANTS_OTHERS;
    return token_for(it ? "a" : "b", it, grant == EXPIRED ? -100 : 60);
}

/* A credential, as header lines and as an end of the target. */
struct shown {
    char lines[FW_TOKEN_BYTES_MAX + 128];
    char query[FW_TOKEN_BYTES_MAX + 16];
};

static const char *const basics[] = {"aXQ6eA==", "b3RoZXI6eA==", "d3Jvbmc6eA=="};

static void show(enum place place, enum grant grant, struct shown *shown)
{
    *shown = (struct shown){0};
    const char *token = token_of(grant);
    switch (place) {
    case AUTHORIZATION:
        snprintf(shown->lines, sizeof shown->lines, "Authorization: Bearer %s\r\n", token);
        return;
    case PARAMETER:
        snprintf(shown->query, sizeof shown->query, "&token=%s", token);
        return;
    case PROTOCOL:
        snprintf(shown->lines, sizeof shown->lines, "Sec-WebSocket-Protocol: bearer.%s, x\r\n",
                 token);
        return;
    case COOKIE:
        snprintf(shown->lines, sizeof shown->lines, "Origin: " ORIGIN "\r\nCookie: feed=%s\r\n",
                 token);
        return;
    case BASIC:
        snprintf(shown->lines, sizeof shown->lines, "Authorization: Basic %s\r\n", basics[grant]);
        return;
    }
}

/* The program's decision on Basic. */
static bool decide(fw_authorization *authorization, const fw_request *request, void *context)
{
    size_t count;
    const char *value = fw_request_header(request, "Authorization", &count);
    struct fw_grant grant = FW_GRANT;
    (void)context;
    if (value == NULL)
        return false;
    for (size_t i = 0; i < 2; i++) {
        if (count != 6 + strlen(basics[i]) || memcmp(value + 6, basics[i], count - 6) != 0)
            continue;
        grant.subscribe = i == GRANTS_IT ? "a" : "b";
        grant.publish = grant.subscribe;
        grant.observe = i == GRANTS_IT;
        cr_assert_eq(fw_authorization_grant(authorization, &grant), 0);
        return true;
    }
    fw_authorization_refuse(authorization, 401, "wrong password");
    return true;
}

/* ---- ways ------------------------------------------------------------------------------------ */

enum way {
    WEBSOCKET,
    STREAM,
    POLL,
    INFO,
    COMMAND_SUBSCRIBE,
    SUBSCRIBE_AS_IT_OPENS,
    POST,
    BATCH,
    COMMAND_PUBLISH,
    DEBUG,
    WAYS_COUNT
};

static const char *const way_names[WAYS_COUNT] = {
    "WebSocket",      "event stream", "long poll",      "?info",           "command subscribe",
    "command opened", "POST",         "batch of POSTs", "command publish", "/debug/slow"};

/* Sends a request and reads the answer: all of it, or the head of a stream. */
static unsigned exchange(struct server *server, const char *text, char *body, size_t room)
{
    struct ws_client client;
    char answer[8192];
    size_t count = 0;
    unsigned status = 0;
    ws_client_connect(&client, server->address);
    cr_assert(ws_client_say(&client, text));
    for (;;) {
        ssize_t more = ws_client_read(&client, answer + count, sizeof answer - 1 - count);
        cr_assert_geq(more, 0, "no end of the answer to %s", text);
        count += (size_t)more;
        answer[count] = '\0';
        const char *head_end = strstr(answer, "\r\n\r\n");
        if (more == 0 || (head_end != NULL && strstr(answer, "text/event-stream") != NULL))
            break;
    }
    ws_client_close(&client);
    cr_assert_eq(sscanf(answer, "HTTP/1.1 %u", &status), 1, "%s", answer);
    cr_assert_eq(status == 401, strstr(answer, "\r\nWWW-Authenticate: Bearer") != NULL, "%s",
                 answer);
    cr_assert_null(strstr(answer, "eyJ"), "a token is never said back: %s", answer);
    const char *begin = strstr(answer, "\r\n\r\n");
    snprintf(body, room, "%s", begin == NULL ? "" : begin + 4);
    return status;
}

static unsigned get(struct server *server, const char *target, const char *more,
                    const struct shown *shown)
{
    static char text[4 * FW_TOKEN_BYTES_MAX];
    char body[1024];
    snprintf(text, sizeof text, "GET %s%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s%s\r\n",
             target, shown->query, more, shown->lines);
    return exchange(server, text, body, sizeof body);
}

static unsigned post(struct server *server, const char *target, const char *payload,
                     const struct shown *shown, char *body, size_t room)
{
    static char text[4 * FW_TOKEN_BYTES_MAX];
    snprintf(
        text, sizeof text,
        "POST %s%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s",
        target, shown->query, strlen(payload), shown->lines, payload);
    return exchange(server, text, body, room);
}

/* What an error's code is as a status; 200 without one. */
static unsigned status_of(const char *text)
{
    if (strstr(text, "\"error\":\"credential\"") != NULL)
        return 401;
    if (strstr(text, "\"error\":\"forbidden\"") != NULL)
        return 403;
    cr_assert_null(strstr(text, "\"error\""), "%s", text);
    return 200;
}

static unsigned open_status(struct ws_client *client, struct server *server, const char *target,
                            const char *more, const struct shown *shown)
{
    static char path[FW_TOKEN_BYTES_MAX + 128];
    static char lines[2 * FW_TOKEN_BYTES_MAX];
    snprintf(path, sizeof path, "%s%s", target, shown->query);
    snprintf(lines, sizeof lines, "%s%s", more, shown->lines);
    ws_client_connect(client, server->address);
    unsigned status = ws_client_open(client, path, lines);
    return status == 101 ? 200 : status;
}

static unsigned command(struct server *server, const char *text, const struct shown *shown)
{
    struct ws_client client;
    struct ws_client_frame frame;
    unsigned status =
        open_status(&client, server, "/topics/?x", "Sec-WebSocket-Protocol: fanwire.v1\r\n", shown);
    if (status == 200) {
        char answer[512];
        cr_assert(ws_client_text(&client, text));
        cr_assert(ws_client_receive(&client, &frame));
        cr_assert_eq(frame.opcode, 1u);
        snprintf(answer, sizeof answer, "%.*s", (int)frame.count, (const char *)frame.bytes);
        cr_assert_not_null(strstr(answer, "\"id\":7"), "%s", answer);
        status = status_of(answer);
    }
    ws_client_close(&client);
    return status;
}

static unsigned opened(struct server *server, const char *more, const struct shown *shown)
{
    struct ws_client client;
    unsigned status = open_status(&client, server, "/topics/a?last=0", more, shown);
    ws_client_close(&client);
    return status;
}

/* Goes a way. returns: 200 when it leads there, else 401 or 403 */
static unsigned go(struct server *server, enum way way, const struct shown *shown)
{
    char body[1024];
    unsigned status;
    switch (way) {
    case WEBSOCKET:
        return opened(server, "", shown);
    case STREAM:
        return get(server, "/topics/a?last=0", "Accept: text/event-stream\r\n", shown);
    case POLL:
        return get(server, "/topics/a?last=1", "", shown);
    case INFO:
        return get(server, "/topics/a?info", "", shown);
    case COMMAND_SUBSCRIBE:
        return command(server, "{\"id\":7,\"subscribe\":\"a\"}", shown);
    case SUBSCRIBE_AS_IT_OPENS:
        return opened(server, "Sec-WebSocket-Protocol: fanwire.v1\r\n", shown);
    case POST:
        status = post(server, "/topics/a?x", "hi", shown, body, sizeof body);
        return status == 202 ? 200 : status;
    case BATCH:
        status = post(server, "/publish?x", "{\"topic\":\"a\",\"text\":\"hi\"}\n", shown, body,
                      sizeof body);
        return status == 200 ? status_of(body) : status;
    case COMMAND_PUBLISH:
        return command(server, "{\"id\":7,\"publish\":\"a\",\"text\":\"hi\"}", shown);
    case DEBUG:
        return get(server, "/debug/slow?x", "", shown);
    case WAYS_COUNT:
        break;
    }
    return 0;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void set_policy(struct server *server, struct fw_access_options options)
{
    fw_key *key = make_key();
    fw_access *access;
    options.size = sizeof options;
    options.keys = &key;
    options.keys_count = 1;
    options.cookie = "feed";
    cr_assert_eq(fw_access_create(&options, &access), 0);
    cr_assert_eq(fw_server_set_access(server->server, access), 0);
    fw_access_destroy(access);
    static const struct shown nothing;
    EVENTUALLY(get(server, "/topics/none?info", "", &nothing) == 401);
}

static void start(struct server *server, enum fw_engine_choice engine)
{
    server_init(server, engine);
    server->options.feed = true;
    server->options.allow_origins = origins;
    server->options.on_authorize = decide;
    server_start(server);
}

SERVER_TEST(server_access_feed, goes_each_way_by_each_kind_of_credential_or_says_why_not, 120)
{
    struct server server;
    struct shown shown;
    static const unsigned statuses[] = {200, 403, 401};
    start(&server, engine);
    set_policy(&server, (struct fw_access_options){0});
    show(AUTHORIZATION, GRANTS_IT, &shown);
    cr_assert_eq(go(&server, POST, &shown), 200u); /* something for polls */
    for (enum way way = 0; way < WAYS_COUNT; way++) {
        for (enum place place = AUTHORIZATION; place <= BASIC; place++) {
            for (enum grant grant = GRANTS_IT; grant <= EXPIRED; grant++) {
                show(place, grant, &shown);
                unsigned status = go(&server, way, &shown);
                cr_expect_eq(status, statuses[grant], "%s, place %d, grant %d: %u", way_names[way],
                             (int)place, (int)grant, status);
            }
        }
    }
    EVENTUALLY(server_connections(&server) == 0);
    server_end(&server);
}

SERVER_TEST(server_access_feed, without_a_credential_goes_the_ways_that_are_everybodys, 120)
{
    struct server server;
    static const struct shown nothing;
    struct shown other;
    start(&server, engine);
    set_policy(&server, (struct fw_access_options){0});
    for (enum way way = 0; way < WAYS_COUNT; way++)
        cr_expect_eq(go(&server, way, &nothing), 401u, "%s", way_names[way]);

    set_policy(&server, (struct fw_access_options){.anonymous_subscribe = "b"});
    for (enum way way = 0; way < WAYS_COUNT; way++)
        cr_expect_eq(go(&server, way, &nothing), 401u, "another topic: %s", way_names[way]);

    set_policy(&server, (struct fw_access_options){.anonymous_publish = "a"});
    for (enum way way = 0; way < WAYS_COUNT; way++) {
        bool publishes = way == POST || way == BATCH || way == COMMAND_PUBLISH;
        EVENTUALLY(go(&server, POST, &nothing) == 200);
        cr_expect_eq(go(&server, way, &nothing), publishes ? 200u : 401u, "%s", way_names[way]);
    }

    set_policy(&server, (struct fw_access_options){.anonymous_subscribe = "a"});
    EVENTUALLY(go(&server, POST, &nothing) == 401);
    for (enum way way = WEBSOCKET; way <= SUBSCRIBE_AS_IT_OPENS; way++)
        cr_expect_eq(go(&server, way, &nothing), 200u, "%s", way_names[way]);
    for (enum way way = POST; way < WAYS_COUNT; way++)
        cr_expect_eq(go(&server, way, &nothing), 401u, "%s", way_names[way]);
    /* A credential stands for itself. */
    show(AUTHORIZATION, GRANTS_OTHERS, &other);
    for (enum way way = 0; way < WAYS_COUNT; way++)
        cr_expect_eq(go(&server, way, &other), 403u, "%s", way_names[way]);

    set_policy(&server, (struct fw_access_options){.anonymous_observe = true});
    EVENTUALLY(go(&server, DEBUG, &nothing) == 200);
    cr_expect_eq(go(&server, WEBSOCKET, &nothing), 401u);
    server_end(&server);
}

SERVER_TEST(server_access_feed, one_forbidden_topic_forbids_them_all_and_begins_none, 60)
{
    struct server server;
    struct shown shown;
    struct ws_client client;
    char body[512];
    start(&server, engine);
    set_policy(&server, (struct fw_access_options){0});
    show(AUTHORIZATION, GRANTS_IT, &shown);
    cr_assert_eq(get(&server, "/topics/a,b?last=0", "Accept: text/event-stream\r\n", &shown), 403u);
    cr_assert_eq(get(&server, "/topics/b,a?last=0", "", &shown), 403u);
    cr_assert_eq(open_status(&client, &server, "/topics/a,b", "", &shown), 403u);
    ws_client_close(&client);
    cr_assert_eq(get(&server, "/topics/a?info", "", &shown), 404u, "nobody has used it");
    /* Of a batch, each line stands for itself. */
    cr_assert_eq(post(&server, "/publish?x",
                      "{\"topic\":\"b\",\"text\":\"no\"}\n{\"topic\":\"a\",\"text\":\"yes\"}\n",
                      &shown, body, sizeof body),
                 200u);
    cr_assert_not_null(strstr(body, "{\"error\":\"forbidden\""));
    cr_assert_not_null(strstr(body, "{\"topic\":\"a\",\"epoch\":"));
    server_end(&server);
}

/* Within so long of the expiry, and not before. */
static void assert_on_time(uint64_t began_ms, unsigned lives_s)
{
    uint64_t took_ms = ws_client_now_ms() - began_ms;
    cr_assert_geq(took_ms + 1000, lives_s * 1000u, "the claim is in whole seconds");
    cr_assert_leq(took_ms, lives_s * 1000u + 1500);
}

static void show_for(unsigned seconds, struct shown *shown)
{
    *shown = (struct shown){0};
    snprintf(shown->lines, sizeof shown->lines, "Authorization: Bearer %s\r\n",
             token_for("a", true, seconds));
}

SERVER_TEST(server_access_feed, that_expires_ends_streams_by_an_event, 60)
{
    struct server server;
    struct shown shown;
    struct ws_client client;
    char text[FW_TOKEN_BYTES_MAX + 512];
    char got[4096];
    size_t count = 0;
    ssize_t more;
    start(&server, engine);
    set_policy(&server, (struct fw_access_options){0});
    show_for(2, &shown);
    uint64_t began_ms = ws_client_now_ms();
    ws_client_connect(&client, server.address);
    snprintf(text, sizeof text,
             "GET /topics/a HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n%s\r\n",
             shown.lines);
    cr_assert(ws_client_say(&client, text));
    while ((more = ws_client_read(&client, got + count, sizeof got - 1 - count)) > 0)
        count += (size_t)more;
    got[count] = '\0';
    cr_assert_eq(more, 0);
    assert_on_time(began_ms, 2);
    cr_assert_not_null(strstr(got, "HTTP/1.1 200 "));
    static const char end[] =
        ": the credential has expired\nevent: expired\ndata: {\"code\":4401}\n\n";
    cr_assert_str_eq(got + count - (sizeof end - 1), end);
    ws_client_close(&client);
    server_end(&server);
}

SERVER_TEST(server_access_feed, that_expires_answers_polls_401_and_the_connection_stays, 60)
{
    struct server server;
    struct shown shown;
    struct ws_client client;
    char text[FW_TOKEN_BYTES_MAX + 512];
    char body[256];
    start(&server, engine);
    set_policy(&server, (struct fw_access_options){0});
    show_for(2, &shown);
    uint64_t began_ms = ws_client_now_ms();
    ws_client_connect(&client, server.address);
    snprintf(text, sizeof text, "GET /topics/a HTTP/1.1\r\nHost: x\r\n%s\r\n", shown.lines);
    cr_assert(ws_client_say(&client, text));
    cr_assert_eq(ws_client_answer(&client, body, sizeof body), 401u);
    assert_on_time(began_ms, 2);
    cr_assert_str_eq(body, "the credential has expired\n");
    show_for(60, &shown);
    snprintf(text, sizeof text, "GET /topics/a?info HTTP/1.1\r\nHost: x\r\n%s\r\n", shown.lines);
    cr_assert(ws_client_say(&client, text));
    cr_assert_eq(ws_client_answer(&client, body, sizeof body), 200u);
    ws_client_close(&client);
    server_end(&server);
}

SERVER_TEST(server_access_feed, that_expires_closes_commands_with_4401, 60)
{
    struct server server;
    struct shown shown;
    struct ws_client client;
    start(&server, engine);
    set_policy(&server, (struct fw_access_options){0});
    show_for(2, &shown);
    uint64_t began_ms = ws_client_now_ms();
    cr_assert_eq(
        open_status(&client, &server, "/topics/", "Sec-WebSocket-Protocol: fanwire.v1\r\n", &shown),
        200u);
    cr_assert(ws_client_got_close(&client, 4401));
    assert_on_time(began_ms, 2);
    ws_client_close(&client);
    server_end(&server);
}

/* What is faster than the limit is said so on every way of publishing. */
SERVER_TEST(server_access_feed, publishes_within_its_rate, 60)
{
    struct server server;
    static const struct shown nothing;
    struct ws_client client;
    char body[1024];
    server_init(&server, engine);
    server.options.feed = true;
    server.options.messages_per_s = 1;
    server.options.messages_burst = 2;
    server_start(&server);
    const char line[] = "{\"topic\":\"a\",\"text\":\"hi\"}\n";
    char lines[4 * sizeof line];
    snprintf(lines, sizeof lines, "%s%s%s%s", line, line, line, line);
    cr_assert_eq(post(&server, "/publish?x", lines, &nothing, body, sizeof body), 200u);
    const char *third = strchr(strchr(body, '\n') + 1, '\n') + 1;
    cr_assert_eq(strncmp(third, "{\"error\":\"rate\"", 15), 0, "%s", body);
    cr_assert_not_null(strstr(body, "\"offset\":2"));
    cr_assert_null(strstr(body, "\"offset\":3"));

    cr_assert_eq(open_status(&client, &server, "/topics/", "Sec-WebSocket-Protocol: fanwire.v1\r\n",
                             &nothing),
                 200u);
    for (unsigned i = 0; i < 4; i++)
        ws_client_text(&client, "{\"id\":7,\"publish\":\"b\",\"text\":\"hi\"}");
    struct ws_client_frame frame;
    for (unsigned i = 0; i < 2; i++)
        cr_assert(ws_client_receive(&client, &frame) && frame.opcode == 1);
    cr_assert(ws_client_got_close(&client, 1008));
    ws_client_close(&client);
    server_end(&server);
}
