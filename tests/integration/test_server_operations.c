/* test_server_operations.c: what operators rely on (fanwire/server.h): a stop that takes its time,
 * stalled workers noticed, inherited listeners.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 100u

/* The close frame's code and the hint in its reason; when it came is written too. */
static unsigned retry_of(struct ws_client *client, uint64_t *came_ms)
{
    struct ws_client_frame frame;
    unsigned retry_ms = 0;
    char reason[128];
    cr_assert(ws_client_receive(client, &frame));
    cr_assert_eq(frame.opcode, 8u);
    cr_assert_eq(frame.close_code, 1001u);
    snprintf(reason, sizeof reason, "%.*s", (int)(frame.count - 2), (const char *)frame.bytes + 2);
    cr_assert_eq(sscanf(reason, "the server is stopping; retry_ms=%u", &retry_ms), 1, "%s", reason);
    *came_ms = ws_client_now_ms();
    return retry_ms;
}

SERVER_TEST(server_drain, closes_one_after_the_other_with_hints_that_differ, 60)
{
    struct server server;
    struct ws_client clients[CLIENTS];
    uint64_t came_ms[CLIENTS];
    uint64_t last_ms = 0;
    unsigned least_hint = UINT32_MAX, most_hint = 0, first_half = 0;
    server_init(&server, engine);
    server.options.workers = 2;
    server.options.drain_time_ms = 2000;
    server_start(&server);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = server_client(&server, "/quiet");
    uint64_t from_ms = ws_client_now_ms();
    fw_server_stop(server.server);
    for (unsigned i = 0; i < CLIENTS; i++) {
        unsigned hint = retry_of(&clients[i], &came_ms[i]);
        least_hint = hint < least_hint ? hint : least_hint;
        most_hint = hint > most_hint ? hint : most_hint;
        ws_client_close_frame(&clients[i], 1001, "");
        last_ms = came_ms[i] > last_ms ? came_ms[i] : last_ms;
        first_half += came_ms[i] - from_ms < 1000;
    }
    cr_assert_geq(last_ms - from_ms, 1700u, "spread over the window");
    cr_assert_geq(first_half, 25u, "%u of %u in the first half", first_half, CLIENTS);
    cr_assert_leq(first_half, 75u, "%u of %u in the first half", first_half, CLIENTS);
    cr_assert_geq(least_hint, 1000u);
    cr_assert_leq(most_hint, 31000u);
    cr_assert_gt(most_hint - least_hint, 5000u, "the hints differ");
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_close(&clients[i]);
    server_end(&server);
    cr_assert_leq(ws_client_now_ms() - last_ms, 1000u, "over once the last has gone");
}

SERVER_TEST(server_drain, is_over_early_when_nobody_is_left, 60)
{
    struct server server;
    server_init(&server, engine);
    server.options.drain_time_ms = 30000;
    server_start(&server);
    struct ws_client client = server_client(&server, "/quiet");
    fw_server_stop(server.server);
    ws_client_close(&client);
    uint64_t from_ms = ws_client_now_ms();
    server_end(&server);
    cr_assert_leq(ws_client_now_ms() - from_ms, 2000u);
}

static bool is_refused(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int result = connect(fd, (const struct sockaddr *)(const void *)to, sizeof *to);
    bool refused = result != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

SERVER_TEST(server_drain, refuses_new_connections_at_once, 60)
{
    struct server server;
    char address[64];
    server_init(&server, engine);
    server.options.drain_time_ms = 1000;
    server_start(&server);
    struct ws_client client = server_client(&server, "/quiet");
    snprintf(address, sizeof address, "%s", server.address);
    fw_server_stop(server.server);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1));
    EVENTUALLY(is_refused(&to));
    uint64_t ignored_ms;
    retry_of(&client, &ignored_ms);
    ws_client_close(&client);
    server_end(&server);
}

SERVER_TEST(server_watchdog, notices_a_worker_that_does_not_come_round, 60)
{
    struct server server;
    server_init(&server, engine);
    server.options.workers = 2;
    server_start(&server);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(fw_server_stalled_ms(server.server), 0u);
        server_nap(50);
    }
    struct ws_client client = server_client(&server, "/quiet");
    atomic_store(&server.blocks, true);
    ws_client_text(&client, "b");
    EVENTUALLY(atomic_load(&server.blocked) == 1);
    fw_server_stalled_ms(server.server);
    server_nap(100);
    fw_server_stalled_ms(server.server);
    server_nap(300);
    struct fw_server_stall stall;
    fw_server_stalled(server.server, &stall);
    cr_assert_geq(stall.stalled_ms, 290u);
    cr_assert_eq(fw_server_worker_connections(server.server, stall.worker), 1u, "who has it");
    cr_assert_str_eq(stall.doing, "on_message");
    server_unblock(&server);
    EVENTUALLY(fw_server_stalled_ms(server.server) == 0);
    fw_server_stalled(server.server, &stall); /* a moment later: its wake may be on the way */
    cr_assert_lt(stall.stalled_ms, 290u);
    ws_client_close(&client);
    server_end(&server);
}

struct asker {
    fw_server *server;
    atomic_bool ends;
};

static void *keep_asking(void *context)
{
    struct asker *asker = context;
    while (!atomic_load(&asker->ends))
        fw_server_stalled_ms(asker->server);
    return NULL;
}

/* Figures are asked for by a thread of the program's until the server is destroyed (for tsan). */
SERVER_TEST(server_watchdog, may_be_asked_while_the_server_stops, 60)
{
    struct server server;
    pthread_t thread;
    server_init(&server, engine);
    server.options.workers = 2;
    server_start(&server);
    struct asker asker = {.server = server.server};
    cr_assert_eq(pthread_create(&thread, NULL, keep_asking, &asker), 0);
    server_nap(20);
    fw_server_stop(server.server);
    fw_server_wait(server.server);
    cr_assert_eq(fw_server_stalled_ms(server.server), 0u);
    atomic_store(&asker.ends, true);
    pthread_join(thread, NULL);
    server_end(&server);
}

SERVER_TEST(server_inherited, serves_a_listener_that_somebody_opened_and_leaves_it_open, 60)
{
    struct server server;
    char text[32];
    struct sockaddr_in bound = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof bound;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)(void *)&bound, sizeof bound), 0);
    server_init(&server, engine);
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0);
    snprintf(text, sizeof text, "fd:%d", fd);
    cr_assert_eq(fw_server_listen(server.server, text), FW_ERR_ADDRESS, "it does not listen yet");
    cr_assert_eq(listen(fd, 10), 0);
    cr_assert_eq(fw_server_listen(server.server, "fd:"), FW_ERR_ADDRESS);
    cr_assert_eq(fw_server_listen(server.server, "fd:x"), FW_ERR_ADDRESS);
    cr_assert_eq(fw_server_listen(server.server, "fd:9999"), -EBADF);
    int ours = dup(fd);
    cr_assert_eq(fw_server_listen(server.server, text), 0);
    cr_assert_eq(fw_server_start(server.server), 0);
    server.address = fw_server_address(server.server, 0);
    struct ws_client client = server_client(&server, "/quiet");
    ws_client_close(&client);
    server_end(&server);
    cr_assert_eq(getsockname(ours, (struct sockaddr *)(void *)&bound, &bytes), 0);
    int again = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(again, (struct sockaddr *)(void *)&bound, bytes), 0,
                 "it waits in the backlog for the next one");
    close(again);
    close(ours);
}
