/* test_resume_many.c: many that come back at once, and slow ones, against a whole server
 * (core/session/resume.c, policy.c, slow.c).
 *
 * FANWIRE_TEST_SUBSCRIBERS says how many come back; without it 4,000, or 300 in an instrumented
 * build. Half as many descriptors as there may be are left to the rest of the process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGES      300u
#define PAYLOAD_BYTES 100u
#define FRAME_BYTES   (2u + PAYLOAD_BYTES)

static const char upgrade[] =
    "GET /topics/held?since=first HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static unsigned subscribers_wanted(void)
{
    struct rlimit files;
    const char *text = getenv("FANWIRE_TEST_SUBSCRIBERS");
    unsigned wanted = server_is_instrumented() ? 300 : 4000;
    if (text != NULL)
        wanted = (unsigned)strtoul(text, NULL, 10);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    return wanted < files.rlim_cur / 4 ? wanted : (unsigned)(files.rlim_cur / 4);
}

static void publish_held(struct server *server)
{
    char text[PAYLOAD_BYTES + 1];
    for (unsigned i = 1; i <= MESSAGES; i++) {
        snprintf(text, sizeof text, "%0100u", i);
        cr_assert_eq(fw_publish(server->server, "held", FW_TEXT, text, PAYLOAD_BYTES, NULL), 0);
    }
}

/* One who asks all the time how long an answer takes: the turns of the only worker. */
struct witness {
    struct server *server;
    atomic_bool stop;
    atomic_ullong worst_us;
};

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void *ask(void *context)
{
    struct witness *witness = context;
    struct ws_client client = server_client(witness->server, "/echo");
    while (!atomic_load(&witness->stop)) {
        uint64_t began = now_us();
        if (!ws_client_text(&client, "e") || !ws_client_got_text(&client, "e"))
            abort();
        uint64_t took = now_us() - began;
        if (took > atomic_load(&witness->worst_us))
            atomic_store(&witness->worst_us, took);
    }
    ws_client_close(&client);
    return NULL;
}

/* Reads one subscriber's whole stream, and compares it. */
static void expect_all(int fd, unsigned number)
{
    static uint8_t bytes[512 + MESSAGES * FRAME_BYTES];
    size_t count = 0;
    size_t wanted = SIZE_MAX;
    const uint8_t *frames = NULL;
    while (count < wanted) {
        ssize_t got = recv(fd, bytes + count, sizeof bytes - count, 0);
        cr_assert_gt(got, 0, "subscriber %u ended after %zu octets", number, count);
        count += (size_t)got;
        if (frames == NULL && (frames = memmem(bytes, count, "\r\n\r\n", 4)) != NULL) {
            frames += 4;
            wanted = (size_t)(frames - bytes) + MESSAGES * FRAME_BYTES;
        }
    }
    for (unsigned i = 0; i < MESSAGES; i++) {
        char text[PAYLOAD_BYTES + 1];
        snprintf(text, sizeof text, "%0100u", i + 1);
        cr_assert_eq(memcmp(frames + i * FRAME_BYTES + 2, text, PAYLOAD_BYTES), 0,
                     "subscriber %u, message %u", number, i + 1);
    }
}

SERVER_TEST(resume_many, come_back_at_once_and_the_others_go_on, 300)
{
    unsigned count = subscribers_wanted();
    struct server server;
    struct witness witness = {.server = &server};
    pthread_t thread;
    int *fds = calloc(count, sizeof *fds);
    unsigned port;
    server_init(&server, engine);
    server.options.feed = true;
    server.options.history_count = 1000;
    server_start(&server);
    publish_held(&server);
    sscanf(strchr(server.address, ':'), ":%u", &port);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    for (unsigned i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(connect(fds[i], (struct sockaddr *)&to, sizeof to), 0);
    }
    EVENTUALLY(server_connections(&server) == count);
    pthread_create(&thread, NULL, ask, &witness);
    server_nap(50);
    uint64_t quiet_us = atomic_load(&witness.worst_us);
    uint64_t began_cpu = server_cpu_ms();
    uint64_t began = now_us();
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(send(fds[i], upgrade, sizeof upgrade - 1, MSG_NOSIGNAL),
                     (ssize_t)(sizeof upgrade - 1));
    for (unsigned i = 0; i < count; i++)
        expect_all(fds[i], i);
    uint64_t took = now_us() - began;
    uint64_t cpu = server_cpu_ms() - began_cpu;
    atomic_store(&witness.stop, true);
    pthread_join(thread, NULL);
    uint64_t worst_us = atomic_load(&witness.worst_us);
    fprintf(stderr,
            "%s: %u came back for %u messages each in %" PRIu64 " ms (%" PRIu64
            " ms of CPU, both sides); the longest answer took %" PRIu64 " us meanwhile, %" PRIu64
            " us before\n",
            fw_server_engine(server.server), count, MESSAGES, took / 1000, cpu, worst_us, quiet_us);
    cr_expect_lt(worst_us, 2000000u, "somebody waited for those who came back");
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    free(fds);
    server_end(&server);
}

/* ---- page by page ---------------------------------------------------------------------------- */

#define PAGED_HELD      2000u /* before anybody asks: 12 MiB, which are 190 pages of bytes or more */
#define PAGED_ALL       2500u
#define PAGED_READERS   6u
#define PAGED_BYTES_MAX 12016u

/* Message n, of a length and an octet of its own. */
static size_t make_paged(unsigned n, char text[PAGED_BYTES_MAX])
{
    size_t count = 16 + n * 7919u % (PAGED_BYTES_MAX - 16);
    memset(text, 'a' + (int)(n % 26), count);
    snprintf(text, 16, "%015u", n);
    text[15] = ' ';
    return count;
}

static void publish_paged(struct server *server, unsigned n)
{
    char text[PAGED_BYTES_MAX];
    size_t count = make_paged(n, text);
    while (fw_publish(server->server, "paged", FW_TEXT, text, count, NULL) == FW_ERR_BUSY)
        server_nap(1);
}

static void *publish_more(void *context)
{
    for (unsigned n = PAGED_HELD + 1; n <= PAGED_ALL; n++) {
        publish_paged(context, n);
        server_nap(1);
    }
    return NULL;
}

/* One who comes back to a history of many pages while more is published: behind, fresh, live. Those
 * whose turn to read has not come yet stand still in the middle of it, with little on the way. Over
 * TLS a page is encrypted ahead of the socket as far as FW_TLS_AHEAD_BYTES allow. */
SERVER_TEST_AND_TLS(resume_many, take_a_long_history_page_by_page_while_more_is_published, 120)
{
    struct server server;
    struct fw_topic_info info;
    struct ws_client clients[PAGED_READERS];
    pthread_t thread;
    server_init(&server, engine);
    server.options.feed = true;
    server.options.workers = 2;
    server.options.history_count = PAGED_ALL;
    server.options.history_bytes = (uint64_t)1 << 28;
    server.options.history_total_bytes = (uint64_t)1 << 28;
    server_start(&server);
    for (unsigned n = 1; n <= PAGED_HELD; n++)
        publish_paged(&server, n);
    for (unsigned i = 0; i < PAGED_READERS; i++) {
        if (i % 2 == 0)
            ws_client_connect(&clients[i], server.address);
        else
            ws_client_connect_narrow(&clients[i], server.address);
        cr_assert_eq(ws_client_open(&clients[i], "/topics/paged?since=first", ""), 101u);
    }
    pthread_create(&thread, NULL, publish_more, &server);
    for (unsigned i = 0; i < PAGED_READERS; i++) {
        for (unsigned n = 1; n <= PAGED_ALL; n++) {
            struct ws_client_frame frame;
            char text[PAGED_BYTES_MAX];
            size_t count = make_paged(n, text);
            cr_assert(ws_client_receive(&clients[i], &frame), "client %u, message %u: %d, %s", i, n,
                      clients[i].error, server.log);
            cr_assert_eq(frame.count, count, "client %u, message %u", i, n);
            cr_assert_arr_eq(frame.bytes, text, count, "client %u, message %u", i, n);
        }
    }
    pthread_join(thread, NULL);
    cr_assert_eq(server_speaks_tls(), clients[0].layer != NULL);
    for (unsigned i = 0; i < PAGED_READERS; i++)
        ws_client_close(&clients[i]);
    EVENTUALLY(fw_topic_info(server.server, "paged", &info) == 0 && info.subscribers == 0);
    cr_assert_eq(info.owed, (uint64_t)PAGED_READERS * PAGED_ALL);
    cr_assert_eq(info.delivered, info.owed, "nothing dropped, nothing left");
    server_end(&server);
}

/* Publishes until a subscriber that does not read is listed as slow. */
static void make_slow(struct server *server, const char *topic)
{
    static char payload[1000];
    struct ws_client asker;
    char body[4096] = "";
    memset(payload, 'x', sizeof payload);
    for (unsigned i = 0; strstr(body, topic) == NULL; i++) {
        cr_assert_lt(i, 5000u, "nobody became slow: %s", body);
        for (unsigned k = 0; k < 200; k++) {
            while (fw_publish(server->server, topic, FW_TEXT, payload, sizeof payload, NULL) ==
                   FW_ERR_BUSY)
                server_nap(1);
        }
        ws_client_connect(&asker, server->address);
        cr_assert(ws_client_say(&asker, "GET /debug/slow HTTP/1.1\r\nHost: x\r\n\r\n"));
        cr_assert_eq(ws_client_answer(&asker, body, sizeof body), 200u);
        ws_client_close(&asker);
    }
    cr_assert_not_null(strstr(body, "\"transport\":\"ws\""), "%s", body);
}

SERVER_TEST_AND_TLS(resume_many, are_slow_by_their_topics_policy_and_each_message_is_accounted_for,
                    120)
{
    static const struct fw_topic_settings settings[] = {
        {.prefix = "drop.", .history_count = FW_NO_HISTORY, .policy = FW_SLOW_DROP_OLDEST},
        {.prefix = "latest.", .policy = FW_SLOW_LATEST},
    };
    static const char *const topics[] = {"drop.a", "latest.a"};
    struct server server;
    struct fw_topic_info info;
    server_init(&server, engine);
    server.options.feed = true;
    server.options.workers = 2;
    server.options.topic_settings = settings;
    server.options.topic_settings_count = 2;
    server_start(&server);
    for (unsigned i = 0; i < 2; i++) {
        struct ws_client slow;
        char path[32];
        snprintf(path, sizeof path, "/topics/%s", topics[i]);
        ws_client_connect_narrow(&slow, server.address);
        cr_assert_eq(ws_client_open(&slow, path, ""), 101u);
        struct ws_client fast = server_client(&server, path);
        make_slow(&server, topics[i]);
        static char payload[1000];
        memset(payload, 'y', sizeof payload);
        do { /* the kernel's own buffers take megabytes, how many is its affair */
            for (unsigned k = 0; k < 1000; k++) {
                while (fw_publish(server.server, topics[i], FW_TEXT, payload, sizeof payload,
                                  NULL) == FW_ERR_BUSY)
                    server_nap(1);
            }
            cr_assert_eq(fw_topic_info(server.server, topics[i], &info), 0);
            cr_assert_lt(info.offset, 100000u, "100 MB, and nobody lost anything");
        } while (info.dropped == 0);
        cr_expect_eq(info.subscribers, 2u, "nobody was closed");
        cr_expect_eq(info.history_count == 0, i == 0, "a history of its own");
        ws_client_close(&slow);
        ws_client_close(&fast);
        EVENTUALLY(fw_topic_info(server.server, topics[i], &info) == 0 && info.subscribers == 0 &&
                   info.owed == info.delivered + info.dropped + info.left);
        cr_expect_eq(info.owed, 2 * info.offset);
    }
    server_end(&server);
}
