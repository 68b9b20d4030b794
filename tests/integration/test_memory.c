/* test_memory.c: a server under a ceiling of memory (net/server/memory.h), with slow readers that
 * want twice what it has.
 *
 * What is measured is the resident memory of this process. A sanitizer keeps freed memory for a
 * while, so that instrumented builds only see what is refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB           ((uint64_t)1 << 20)
#define ROOM          (96 * MIB) /* beneath the ceiling, besides what the process takes anyway */
#define SLOW          250u       /* who owe 1 MiB each */
#define MESSAGE_BYTES 16384u
#define FILL_MS       8000u

/* ---- twice the load -------------------------------------------------------------------------- */

struct fill {
    struct server *server;
    atomic_bool stop;
    atomic_ullong published;
    atomic_ullong busy;
    atomic_ullong highest; /* resident bytes */
    uint64_t slowest_ms;   /* of the witness's answers */
    unsigned answers;
};

static void *publish_all(void *context)
{
    static char payload[MESSAGE_BYTES];
    struct fill *fill = context;
    memset(payload, 'x', sizeof payload);
    while (!atomic_load(&fill->stop)) {
        for (unsigned i = 0; i < SLOW; i++) {
            char topic[32];
            snprintf(topic, sizeof topic, "slow.%u", i);
            int result =
                fw_publish(fill->server->server, topic, FW_TEXT, payload, sizeof payload, NULL);
            if (result == FW_ERR_BUSY) {
                atomic_fetch_add(&fill->busy, 1);
                server_nap(1);
            } else if (result != 0) {
                abort();
            }
            atomic_fetch_add(&fill->published, 1);
        }
    }
    return NULL;
}

static void *watch(void *context)
{
    struct fill *fill = context;
    while (!atomic_load(&fill->stop)) {
        uint64_t bytes = server_resident_bytes();
        if (bytes > atomic_load(&fill->highest))
            atomic_store(&fill->highest, bytes);
        server_nap(1);
    }
    return NULL;
}

/* Somebody who reads what it is sent: a subscriber of its own topic that is never closed. */
static void *take_all(void *context)
{
    struct fill *fill = context;
    struct ws_client client = server_client(fill->server, "/topics/fast");
    for (unsigned number = 0; !atomic_load(&fill->stop); number++) {
        char text[32];
        snprintf(text, sizeof text, "%u", number);
        uint64_t began = ws_client_now_ms();
        while (fw_publish(fill->server->server, "fast", FW_TEXT, text, strlen(text), NULL) ==
               FW_ERR_BUSY)
            server_nap(1);
        if (!ws_client_got_text(&client, text))
            abort();
        uint64_t took = ws_client_now_ms() - began;
        fill->slowest_ms = took > fill->slowest_ms ? took : fill->slowest_ms;
        fill->answers++;
        server_nap(5);
    }
    ws_client_close(&client);
    return NULL;
}

/* Opens a subscription that is never read from; without an answer of 101 it is none. */
static bool open_slow(struct server *server, struct ws_client *client, unsigned i)
{
    char path[64];
    snprintf(path, sizeof path, "/topics/slow.%u", i);
    ws_client_connect_narrow(client, server->address);
    if (ws_client_open(client, path, "") == 101)
        return true;
    ws_client_close(client);
    return false;
}

/* The slow who were closed come back at once: the load does not go away. */
static unsigned come_back(struct server *server, struct ws_client *clients, bool *open)
{
    unsigned again = 0;
    for (unsigned i = 0; i < SLOW; i++) {
        struct pollfd end = {.fd = clients[i].fd, .events = POLLRDHUP};
        if (open[i] && poll(&end, 1, 0) == 1 && (end.revents & (POLLRDHUP | POLLHUP | POLLERR))) {
            ws_client_close(&clients[i]);
            open[i] = false;
        }
        struct fw_server_stats stats;
        fw_server_stats(server->server, &stats);
        if (!open[i] && stats.memory_pressure < 4) /* at the last mark nobody is answered */
            again += open[i] = open_slow(server, &clients[i], i);
    }
    return again;
}

SERVER_TEST(memory, stays_beneath_the_ceiling_at_twice_the_load, 120)
{
    if (server_is_instrumented())
        cr_skip_test("a sanitizer keeps what was freed");
    static struct ws_client clients[SLOW];
    static bool open[SLOW];
    static const struct fw_topic_settings slow = {
        .prefix = "slow.", .history_count = FW_NO_HISTORY, .policy = FW_SLOW_DROP_OLDEST};
    struct server server;
    struct fill fill = {.server = &server};
    pthread_t threads[3];
    server_init(&server, engine);
    uint64_t ceiling = server_resident_bytes() + ROOM;
    server.options.feed = true;
    server.options.workers = 2;
    server.options.topic_settings = &slow;
    server.options.topic_settings_count = 1;
    server.options.memory_bytes_max = ceiling;
    server_start(&server);
    for (unsigned i = 0; i < SLOW; i++)
        open[i] = open_slow(&server, &clients[i], i);
    pthread_create(&threads[0], NULL, publish_all, &fill);
    pthread_create(&threads[1], NULL, watch, &fill);
    pthread_create(&threads[2], NULL, take_all, &fill);
    unsigned again = 0;
    for (uint64_t until = ws_client_now_ms() + FILL_MS; ws_client_now_ms() < until;) {
        again += come_back(&server, clients, open);
        server_nap(20);
    }
    atomic_store(&fill.stop, true);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    uint64_t stopped = ws_client_now_ms();
    while (server_resident_bytes() >= ceiling / 100 * 80 && ws_client_now_ms() < stopped + 15000)
        server_nap(20);
    uint64_t recovered_ms = ws_client_now_ms() - stopped;
    struct fw_server_stats stats;
    fw_server_stats(server.server, &stats);
    fprintf(stderr,
            "memory: ceiling %" PRIu64 " MiB, highest %.1f %%, below 80 %% after %" PRIu64
            " ms; %" PRIu64 " closed, %u came back, %llu published, %llu told busy; "
            "%u answers to the fast one, the slowest after %" PRIu64 " ms\n",
            ceiling / MIB, (double)atomic_load(&fill.highest) * 100 / (double)ceiling, recovered_ms,
            stats.memory_closed, again, atomic_load(&fill.published), atomic_load(&fill.busy),
            fill.answers, fill.slowest_ms);
    cr_expect_leq(atomic_load(&fill.highest), ceiling);
    cr_expect_gt(atomic_load(&fill.highest), ceiling / 100 * 80, "the load was too little");
    cr_expect_lt(recovered_ms, 10000u);
    cr_expect_gt(stats.memory_closed, 0u);
    cr_expect_gt(fill.answers, 100u);
    cr_expect_lt(fill.slowest_ms, 1000u);
    for (unsigned i = 0; i < SLOW; i++) {
        if (open[i])
            ws_client_close(&clients[i]);
    }
    server_end(&server);
}

/* ---- what is refused ------------------------------------------------------------------------- */

/* A server that finds itself at so many percent of its ceiling. */
static void start_at(struct server *server, enum fw_engine_choice engine, unsigned percent)
{
    server_init(server, engine);
    server->options.feed = true;
    server->options.memory_bytes_max = (uint64_t)1 << 50;
    server_start(server);
    struct ws_client client = server_client(server, "/echo"); /* touches what is touched once */
    ws_client_close(&client);
    EVENTUALLY(server_connections(server) == 0);
    server_end(server);
    server_init(server, engine);
    server->options.feed = true;
    uint64_t used = server_resident_bytes();
    used = used < 300 * MIB ? 300 * MIB : used; /* small beside it: a worker's buffers */
    static char *ballast;
    ballast = realloc(ballast, used);
    memset(ballast, 1, used);
    server->options.memory_bytes_max = server_resident_bytes() * 100 / percent;
    server_start(server);
    struct fw_server_stats stats;
    do {
        server_nap(10);
        fw_server_stats(server->server, &stats);
    } while (stats.memory_pressure == 0);
}

static unsigned ask(struct server *server, const char *path, const char *lines, char *body,
                    size_t room)
{
    struct ws_client client;
    char request[512];
    ws_client_connect(&client, server->address);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, lines);
    cr_assert(ws_client_say(&client, request));
    unsigned status = ws_client_answer(&client, body, room);
    ws_client_close(&client);
    return status;
}

static unsigned upgrade(struct server *server, const char *path)
{
    struct ws_client client;
    ws_client_connect(&client, server->address);
    unsigned status = ws_client_open(&client, path, "");
    ws_client_close(&client);
    return status;
}

SERVER_TEST(memory, takes_no_subscriptions_at_85_percent, 60)
{
    struct server server;
    char body[256];
    start_at(&server, engine, 87);
    cr_expect_eq(upgrade(&server, "/echo"), 101u);
    cr_expect_eq(upgrade(&server, "/topics/a"), 503u);
    cr_expect_eq(ask(&server, "/topics/a", "Accept: text/event-stream\r\n", body, sizeof body),
                 503u);
    cr_expect_eq(ask(&server, "/topics/a", "", body, sizeof body), 503u);
    cr_expect_str_eq(body, "the server is short of memory; try again later\n");
    cr_expect_eq(ask(&server, "/healthz", "", body, sizeof body), 200u);
    struct ws_client client = server_client(&server, "/echo");
    cr_expect(ws_client_text(&client, "sb"));
    cr_expect(ws_client_got_text(&client, "FW_ERR_MEMORY"));
    ws_client_close(&client);
    server_end(&server);
}

SERVER_TEST(memory, answers_handshakes_503_at_90_percent, 60)
{
    struct server server;
    char body[256];
    start_at(&server, engine, 92);
    cr_expect_eq(upgrade(&server, "/echo"), 503u);
    cr_expect_eq(ask(&server, "/hello", "", body, sizeof body), 200u);
    struct fw_server_stats stats;
    fw_server_stats(server.server, &stats);
    cr_expect_eq(stats.memory_pressure, 3u);
    cr_expect(server_logged(&server, "handshakes are answered 503"));
    server_end(&server);
}
