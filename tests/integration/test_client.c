/* test_client.c: the client's public API, against servers of our own in the same process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/client_rig.h"
#include "support/fail_mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what works ------------------------------------------------------------------------------ */

static void talk(enum fw_engine_choice engine, bool deflate)
{
    struct server server;
    struct caller caller;
    server_init(&server, engine);
    server.options.deflate = deflate;
    server.options.deflate_bytes_max = 1 << 20;
    server_start(&server);
    caller_init(&caller, engine);
    caller.options.deflate = deflate;
    caller.options.deflate_bytes_max = 1 << 20;
    caller_start(&caller);
    cr_assert_str_eq(fw_client_engine(caller.client), engine == FW_USE_URING ? "uring" : "epoll");
    cr_assert_eq(fw_client_threads(caller.client), 1u);
    cr_assert_eq(caller_call(&caller, &server, "/any?x=1"), 0);
    EVENTUALLY(atomic_load(&caller.opened) == 1);
    for (unsigned i = 1; i <= 5; i++) {
        cr_assert_eq(
            caller_run(&caller, caller_send, "echo echo echo echo echo echo echo echo echo echo"),
            0);
        EVENTUALLY(atomic_load(&caller.messages) == i);
    }
    cr_assert(
        caller_noted(&caller, caller.text, "echo echo echo echo echo echo echo echo echo echo"));
    cr_assert_eq(caller_run(&caller, caller_close, "enough"), 0);
    EVENTUALLY(atomic_load(&caller.closed) == 1);
    cr_assert_eq(atomic_load(&caller.code), 4000u);
    EVENTUALLY(atomic_load(&server.closed) == 1);
    cr_assert_eq(atomic_load(&server.codes[4000]), 1u);
    caller_end(&caller);
    server_end(&server);
}

SERVER_TEST_AND_TLS(client, talks_with_a_server, 60)
{
    talk(engine, false);
}

SERVER_TEST(client, talks_compressed, 60)
{
    talk(engine, true);
}

SERVER_TEST_AND_TLS(client, tells_of_a_close_by_the_server, 60)
{
    struct server server;
    struct caller caller;
    server_init(&server, engine);
    server_start(&server);
    caller_init(&caller, engine);
    caller_start(&caller);
    cr_assert_eq(caller_call(&caller, &server, "/"), 0);
    EVENTUALLY(atomic_load(&caller.opened) == 1);
    cr_assert_eq(caller_run(&caller, caller_send, "c3001 go away"), 0);
    EVENTUALLY(atomic_load(&caller.closed) == 1);
    cr_assert_eq(atomic_load(&caller.code), 3001u);
    cr_assert(caller_noted(&caller, caller.reason, "go away"));
    EVENTUALLY(server_connections(&server) == 0);
    caller_end(&caller);
    server_end(&server);
}

/* A feed's subscriber: what is published comes. */
SERVER_TEST_AND_TLS(client, receives_what_is_published, 60)
{
    enum { MESSAGES = 500 };
    struct server server;
    struct caller caller;
    server_init(&server, engine);
    server_start(&server);
    caller_init(&caller, engine);
    caller_start(&caller);
    cr_assert_eq(caller_call(&caller, &server, "/room"), 0);
    EVENTUALLY(atomic_load(&caller.messages) == 1); /* "welcome" */
    for (unsigned i = 0; i < MESSAGES; i++)
        cr_assert_eq(fw_publish(server.server, "room", FW_TEXT, "news", 4, NULL), 0);
    EVENTUALLY(atomic_load(&caller.messages) == 1 + MESSAGES);
    cr_assert(caller_noted(&caller, caller.text, "news"));
    caller_end(&caller);
    server_end(&server);
}

SERVER_TEST(client, speaks_over_a_path, 60)
{
    struct server server;
    struct caller caller;
    char path[64];
    char url[128];
    snprintf(path, sizeof path, "unix:/tmp/fanwire_client.%d", (int)getpid());
    snprintf(url, sizeof url, "%s:/room", path);
    server_init(&server, engine);
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0);
    cr_assert_eq(fw_server_listen(server.server, path), 0);
    cr_assert_eq(fw_server_start(server.server), 0);
    caller_init(&caller, engine);
    caller_start(&caller);
    cr_assert_eq(fw_client_connect(caller.client, url, NULL), 0);
    EVENTUALLY(atomic_load(&caller.messages) == 1);
    cr_assert(caller_noted(&caller, caller.text, "welcome"));
    caller_end(&caller);
    server_end(&server);
}

/* More than a connection may owe: busy, and drained, until all of it is there. */
SERVER_TEST_AND_TLS(client, waits_when_it_owes_too_much, 60)
{
    struct server server;
    struct caller caller;
    server_init(&server, engine);
    server_start(&server);
    caller_init(&caller, engine);
    caller.options.output_bytes_max = 65536;
    caller.floods = true;
    caller_start(&caller);
    cr_assert_eq(caller_call(&caller, &server, "/"), 0);
    EVENTUALLY(atomic_load(&server.messages) == 500);
    cr_assert_gt(atomic_load(&caller.drained), 0u);
    caller_end(&caller);
    server_end(&server);
}

/* Many connections on several threads, from several threads, each greeted and echoed. */
static void *call_often(void *argument)
{
    struct caller *caller = argument;
    for (unsigned i = 0; i < 100; i++) {
        const struct fw_connect_options options = {.size = sizeof options, .user = caller};
        cr_assert_eq(fw_client_connect(caller->client, caller->url, &options), 0);
    }
    return NULL;
}

SERVER_TEST_AND_TLS(client, opens_many_from_many_threads, 120)
{
    enum { THREADS = 4 };
    struct server server;
    struct caller caller;
    pthread_t threads[THREADS];
    server_init(&server, engine);
    server.options.workers = 2;
    server_start(&server);
    caller_init(&caller, engine);
    caller.options.threads = 3;
    caller.greetings = 5;
    caller_aim(&caller, &server, "/");
    cr_assert_eq(fw_client_create(&caller.options, &caller.client), 0);
    call_often(&caller); /* before it runs: they wait */
    cr_assert_eq(fw_client_start(caller.client), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, call_often, &caller);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EVENTUALLY(atomic_load(&caller.opened) == (THREADS + 1) * 100);
    EVENTUALLY(atomic_load(&caller.messages) == (THREADS + 1) * 500);
    cr_assert_eq(atomic_load(&caller.failed), 0u);
    cr_assert_eq(atomic_load(&caller.user), &caller);
    caller_end(&caller);
    server_end(&server);
    cr_assert_eq(atomic_load(&caller.code), 1001u, "they went politely: %u",
                 atomic_load(&caller.code));
}

/* ---- what does not --------------------------------------------------------------------------- */

SERVER_TEST_AND_TLS(client, tells_of_a_refusal_and_its_body, 60)
{
    struct server server;
    struct caller caller;
    server_init(&server, engine);
    server_start(&server);
    caller_init(&caller, engine);
    caller_start(&caller);
    int mark = 0;
    const struct fw_connect_options options = {.size = sizeof options, .user = &mark};
    caller_aim(&caller, &server, "/refuse/403");
    cr_assert_eq(fw_client_connect(caller.client, caller.url, &options), 0);
    EVENTUALLY(atomic_load(&caller.failed) == 1);
    cr_assert_eq(atomic_load(&caller.status), FW_ERR_WS_REFUSED);
    cr_assert_eq(atomic_load(&caller.http_status), 403u);
    cr_assert_eq(atomic_load(&caller.user), &mark);
    cr_assert(!caller_noted(&caller, caller.body, ""), "the answer's body says why");
    caller_end(&caller);
    server_end(&server);
}

/* A listener that answers one request with what the test says. */
static int listen_somewhere(char *url, size_t url_bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, bytes), 0);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    snprintf(url, url_bytes, "ws://127.0.0.1:%u/", ntohs(address.sin_port));
    return fd;
}

static void answer_with(int listener, const char *text)
{
    char request[4096];
    int fd = accept(listener, NULL, NULL);
    cr_assert_gt(recv(fd, request, sizeof request, 0), 0);
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    shutdown(fd, SHUT_WR);
    while (recv(fd, request, sizeof request, 0) > 0)
        continue;
    close(fd);
}

SERVER_TEST(client, tells_of_redirects_and_nonsense, 60)
{
    struct caller caller;
    caller_init(&caller, engine);
    caller_start(&caller);
    int listener = listen_somewhere(caller.url, sizeof caller.url);
    cr_assert_eq(fw_client_connect(caller.client, caller.url, NULL), 0);
    answer_with(listener, "HTTP/1.1 307 Elsewhere\r\nLocation: ws://elsewhere/\r\n\r\n");
    EVENTUALLY(atomic_load(&caller.failed) == 1);
    cr_assert_eq(atomic_load(&caller.status), FW_ERR_WS_REFUSED);
    cr_assert_eq(atomic_load(&caller.http_status), 307u);
    cr_assert(caller_noted(&caller, caller.location, "ws://elsewhere/"), "told, not followed");

    cr_assert_eq(fw_client_connect(caller.client, caller.url, NULL), 0);
    answer_with(listener, "220 mail.example ESMTP\r\n");
    EVENTUALLY(atomic_load(&caller.failed) == 2);
    cr_assert_eq(atomic_load(&caller.status), FW_ERR_HTTP_STATUS_LINE);

    cr_assert_eq(fw_client_connect(caller.client, caller.url, NULL), 0);
    answer_with(listener, "");
    EVENTUALLY(atomic_load(&caller.failed) == 3);
    cr_assert_eq(atomic_load(&caller.status), FW_ERR_WS_NO_ANSWER);
    close(listener);
    caller_end(&caller);
}

SERVER_TEST(client, tells_when_nobody_listens_and_nobody_answers, 60)
{
    struct caller caller;
    caller_init(&caller, engine);
    caller.options.handshake_timeout_ms = 200;
    caller_start(&caller);
    int listener = listen_somewhere(caller.url, sizeof caller.url);
    cr_assert_eq(fw_client_connect(caller.client, caller.url, NULL), 0);
    EVENTUALLY(atomic_load(&caller.failed) == 1);
    cr_assert_eq(atomic_load(&caller.status), -ETIMEDOUT);
    close(listener);
    cr_assert_eq(fw_client_connect(caller.client, caller.url, NULL), 0);
    EVENTUALLY(atomic_load(&caller.failed) == 2);
    cr_assert_eq(atomic_load(&caller.status), -ECONNREFUSED);
    caller_end(&caller);
}

SERVER_TEST(client, connects_again_from_its_callbacks, 60)
{
    struct caller caller;
    caller_init(&caller, engine);
    caller.reconnects = true;
    atomic_store(&caller.again, 50);
    int listener = listen_somewhere(caller.url, sizeof caller.url);
    close(listener);
    caller_start(&caller);
    cr_assert_eq(fw_client_connect(caller.client, caller.url, NULL), 0);
    EVENTUALLY(atomic_load(&caller.failed) == 51);
    caller.reconnects = false;
    caller_end(&caller);
}

SERVER_TEST(client, more_than_its_connections_are_refused, 60)
{
    struct server server;
    struct caller caller;
    server_init(&server, engine);
    server_start(&server);
    caller_init(&caller, engine);
    caller.options.connections_max = 3;
    caller_start(&caller);
    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(caller_call(&caller, &server, "/"), 0);
    EVENTUALLY(atomic_load(&caller.opened) == 3 && atomic_load(&caller.failed) == 2);
    cr_assert_eq(atomic_load(&caller.status), FW_ERR_LIMIT);
    caller_end(&caller);
    server_end(&server);
}

SERVER_TEST(client, refuses_wrong_calls, 60)
{
    struct caller caller;
    caller_init(&caller, engine);
    caller_start(&caller);
    cr_assert_eq(fw_client_connect(caller.client, "http://127.0.0.1/", NULL), FW_ERR_URL);
    cr_assert_eq(fw_client_connect(caller.client, "ws://127.1/", NULL), FW_ERR_URL);
    struct fw_connect_options options = FW_CONNECT_OPTIONS;
    options.headers = "X: y\r\n\r\n";
    cr_assert_eq(fw_client_connect(caller.client, "ws://127.0.0.1/", &options), FW_ERR_USAGE);
    cr_assert_eq(fw_client_post(caller.client, 1, caller_send, NULL), FW_ERR_USAGE);
    cr_assert_eq(fw_client_post(caller.client, 0, NULL, NULL), FW_ERR_USAGE);
    cr_assert_eq(fw_client_start(caller.client), FW_ERR_USAGE);
    fw_client_stop(caller.client);
    fw_client_wait(caller.client);
    cr_assert_eq(fw_client_connect(caller.client, "ws://127.0.0.1/", NULL), FW_ERR_CLOSED);
    cr_assert_eq(fw_client_post(caller.client, 0, caller_send, NULL), FW_ERR_CLOSED);
    caller_end(&caller);

    struct fw_client_options wrong = FW_CLIENT_OPTIONS;
    fw_client *client;
    wrong.threads = 257;
    cr_assert_eq(fw_client_create(&wrong, &client), FW_ERR_USAGE);
    cr_assert_eq(fw_client_create(NULL, &client), FW_ERR_USAGE);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* Whatever its connects have come to, a stop ends them all, and each is told of once. */
SERVER_TEST_AND_TLS(client, a_stop_ends_everything, 120)
{
    struct server server;
    struct caller caller;
    server_init(&server, engine);
    server_start(&server);
    int silent;
    char silent_url[64];
    silent = listen_somewhere(silent_url, sizeof silent_url);
    for (unsigned round = 0; round < 20; round++) {
        caller_init(&caller, engine);
        caller.options.threads = 1 + round % 3;
        caller_start(&caller);
        unsigned calls = 0;
        for (; calls < 30; calls++) {
            int status = calls % 3 == 0 ? fw_client_connect(caller.client, silent_url, NULL)
                                        : caller_call(&caller, &server, "/room");
            cr_assert_eq(status, 0);
        }
        server_nap(round % 5);
        caller_end(&caller);
        cr_assert_eq(atomic_load(&caller.opened) + atomic_load(&caller.failed), calls,
                     "round %u: %u opened, %u failed", round, atomic_load(&caller.opened),
                     atomic_load(&caller.failed));
    }
    close(silent);
    server_end(&server);
}

SERVER_TEST(client, never_run_or_stopped_before_it_runs, 60)
{
    struct caller caller;
    caller_init(&caller, engine);
    cr_assert_eq(fw_client_create(&caller.options, &caller.client), 0);
    cr_assert_eq(fw_client_connect(caller.client, "ws://127.0.0.1:1/", NULL), 0);
    fw_client_destroy(caller.client);
    cr_assert_eq(fw_client_create(&caller.options, &caller.client), 0);
    cr_assert_eq(fw_client_connect(caller.client, "ws://127.0.0.1:1/", NULL), 0);
    fw_client_stop(caller.client);
    cr_assert_eq(fw_client_run(caller.client), 0);
    cr_assert_eq(atomic_load(&caller.failed), 1u);
    fw_client_destroy(caller.client);
    fw_client_destroy(NULL);
    pthread_mutex_destroy(&caller.lock);
}

static void stop_after_failure(void *user, int status, const fw_response *response, void *context)
{
    struct caller *caller = context;
    caller_on_fail(user, status, response, context);
    fw_client_stop(caller->client);
}

/* From the creation to the failure of a connect, whatever finds no memory. */
SERVER_TEST(client, survives_every_failed_allocation, 60)
{
    static const enum fail_mem_mode modes[] = {FAIL_ONCE, FAIL_FROM_ON};
    for (unsigned m = 0; m < 2; m++) {
        bool failed = true;
        for (unsigned k = 1; failed; k++) {
            struct caller caller;
            caller_init(&caller, engine);
            caller.options.on_fail = stop_after_failure;
            caller.options.deflate = true;
            fail_mem_at(k, modes[m]);
            if (fw_client_create(&caller.options, &caller.client) == 0) {
                int status = fw_client_connect(caller.client, "ws://127.0.0.1:1/", NULL);
                if (status == 0 && fw_client_run(caller.client) == 0)
                    cr_assert_eq(atomic_load(&caller.failed), 1u);
                fw_client_destroy(caller.client);
            }
            failed = fail_mem_off();
            pthread_mutex_destroy(&caller.lock);
        }
    }
}
