/* test_server_life.c: a server's life through the public API (fanwire/server.h): creation, its
 * mistakes and what the log says of them, listening, running, stopping, starting again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- creation -------------------------------------------------------------------------------- */

static const char *const bad_origins[] = {"https://ok.example.com", "example.com", NULL};

static void too_many_workers(struct fw_server_options *options)
{
    options->workers = 257;
}
static void large_messages(struct fw_server_options *options)
{
    options->message_bytes_max = ((uint64_t)1 << 30) + 1;
}
static void large_publishes(struct fw_server_options *options)
{
    options->publish_bytes_max = (1u << 30) + 1;
}
static void small_budget(struct fw_server_options *options)
{
    options->output_bytes_max = 4095;
}
static void large_budget(struct fw_server_options *options)
{
    options->output_bytes_max = (1u << 30) + 1;
}
static void long_handshake(struct fw_server_options *options)
{
    options->handshake_timeout_ms = 3600001;
}
static void unlimited_handshake(struct fw_server_options *options)
{
    options->handshake_timeout_ms = FW_UNLIMITED;
}
static void long_ping(struct fw_server_options *options)
{
    options->ping_interval_ms = 3600001;
}
static void long_pong(struct fw_server_options *options)
{
    options->pong_timeout_ms = FW_UNLIMITED;
}
static void origin_without_scheme(struct fw_server_options *options)
{
    options->allow_origins = bad_origins;
}

Test(server_create, refuses_options_out_of_range_and_says_which, .timeout = 60)
{
    static const struct {
        void (*change)(struct fw_server_options *options);
        const char *line;
    } rows[] = {
        {too_many_workers, "workers must be 1 to 256"},
        {large_messages, "message_bytes_max must be at most 1073741824"},
        {large_publishes, "publish_bytes_max must be at most 1073741824"},
        {small_budget, "output_bytes_max must be 4096 to 1073741824"},
        {large_budget, "output_bytes_max must be 4096 to 1073741824"},
        {long_handshake, "a timeout must be at most 3600000 ms"},
        {unlimited_handshake, "a timeout must be at most 3600000 ms"},
        {long_ping, "a timeout must be at most 3600000 ms"},
        {long_pong, "a timeout must be at most 3600000 ms"},
        {origin_without_scheme, "an allowed origin is SCHEME://HOST[:PORT], or *"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct server server;
        server_init(&server, FW_USE_EPOLL);
        rows[i].change(&server.options);
        cr_assert_eq(fw_server_create(&server.options, &server.server), FW_ERR_USAGE, "row %zu", i);
        cr_assert_not_null(strstr(server.log, rows[i].line), "row %zu: %s", i, server.log);
        cr_assert_eq(server.log[0], '0' + FW_LEVEL_ERROR);
    }
}

Test(server_create, takes_options_at_the_ends_of_their_ranges, .timeout = 60)
{
    struct server server;
    server_init(&server, FW_USE_EPOLL);
    server.options.workers = 256;
    server.options.message_bytes_max = 1u << 30;
    server.options.publish_bytes_max = 1u << 30;
    server.options.output_bytes_max = 4096;
    server.options.ping_interval_ms = FW_UNLIMITED;
    server.options.handshake_timeout_ms = 3600000;
    server.options.pong_timeout_ms = 3600000;
    server.options.fragments_max = FW_UNLIMITED;
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0, "%s", server.log);
    cr_assert_eq(fw_server_workers(server.server), 256u);
    cr_assert_str_eq(fw_server_engine(server.server), "epoll");
    fw_server_destroy(server.server);
}

/* A program that was compiled against an older, shorter struct. */
Test(server_create, takes_as_much_of_the_options_as_the_program_knows, .timeout = 60)
{
    struct server server;
    server_init(&server, FW_USE_EPOLL);
    cr_assert_eq(fw_server_create(NULL, &server.server), FW_ERR_USAGE);
    server.options.size = 0;
    cr_assert_eq(fw_server_create(&server.options, &server.server), FW_ERR_USAGE);
    server.options.size = offsetof(struct fw_server_options, workers) - 1;
    cr_assert_eq(fw_server_create(&server.options, &server.server), FW_ERR_USAGE);
    server.options.size = offsetof(struct fw_server_options, feed);
    server.options.message_bytes_max = UINT64_MAX; /* beyond what it knows: not looked at */
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0, "%s", server.log);
    fw_server_destroy(server.server);
    struct {
        struct fw_server_options options;
        char newer[64];
    } newer;
    memset(&newer, 0xff, sizeof newer);
    server_init(&server, FW_USE_EPOLL);
    newer.options = server.options;
    newer.options.size = sizeof newer;
    cr_assert_eq(fw_server_create(&newer.options, &server.server), 0, "%s", server.log);
    fw_server_destroy(server.server);
}

/* What a container's profile does: io_uring_setup is EPERM from now on in this process. */
static void forbid_io_uring(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        cr_skip_test("no seccomp here: %s", strerror(errno));
}

Test(server_create, falls_back_to_epoll_and_says_why_and_fails_when_io_uring_was_asked_for,
     .timeout = 60)
{
    struct server server;
    forbid_io_uring();
    server_init(&server, FW_USE_URING);
    cr_assert_eq(fw_server_create(&server.options, &server.server), FW_ERR_ENGINE);
    cr_assert_not_null(strstr(server.log, "io_uring does not work here (EPERM)"), "%s", server.log);
    server_init(&server, FW_USE_AUTO);
    server_start(&server);
    cr_assert_str_eq(fw_server_engine(server.server), "epoll");
    cr_assert(server_logged(&server, "1 engine: epoll, because io_uring does not work here"));
    struct ws_client client = server_client(&server, "/");
    ws_client_text(&client, "echo");
    cr_assert(ws_client_got_text(&client, "echo"));
    ws_client_close(&client);
    server_end(&server);
}

/* ---- listening ------------------------------------------------------------------------------- */

Test(server_listen, says_what_is_wrong_with_an_address, .timeout = 60)
{
    static const char *const addresses[] = {
        "",      "127.0.0.1",       "127.0.0.1:", ":",         "8080",
        "[::1]", "127.0.0.1:65536", "unix:",      "unix:path", "127.0.0.1:http"};
    struct server server;
    server_init(&server, FW_USE_EPOLL);
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0);
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        cr_assert_eq(fw_server_listen(server.server, addresses[i]), FW_ERR_ADDRESS, "%s",
                     addresses[i]);
    cr_assert_null(fw_server_address(server.server, 0));
    cr_assert_eq(fw_server_listen(server.server, "192.0.2.1:0"), -EADDRNOTAVAIL);
    cr_assert_eq(fw_server_start(server.server), FW_ERR_USAGE, "nothing listens");
    cr_assert_eq(fw_server_run(server.server), FW_ERR_USAGE);
    fw_server_destroy(server.server);
}

Test(server_listen, says_that_a_port_is_taken_and_takes_16_addresses, .timeout = 60)
{
    struct server server;
    struct server other;
    server_init(&server, FW_USE_EPOLL);
    server_init(&other, FW_USE_EPOLL);
    server_start(&server);
    cr_assert_eq(fw_server_listen(server.server, "127.0.0.1:0"), FW_ERR_USAGE, "it runs");
    cr_assert_eq(fw_server_start(server.server), FW_ERR_USAGE, "it runs");
    cr_assert_eq(fw_server_create(&other.options, &other.server), 0);
    cr_assert_eq(fw_server_listen(other.server, server.address), -EADDRINUSE);
    for (unsigned i = 0; i < 16; i++) {
        cr_assert_null(fw_server_address(other.server, i));
        cr_assert_eq(fw_server_listen(other.server, "127.0.0.1:0"), 0);
        cr_assert_neq(atoi(strchr(fw_server_address(other.server, i), ':') + 1), 0);
    }
    cr_assert_eq(fw_server_listen(other.server, "127.0.0.1:0"), FW_ERR_LIMIT);
    fw_server_destroy(other.server);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_listen, serves_every_address_unix_paths_included, 60)
{
    struct server server;
    char path[64];
    char address[80];
    struct stat there;
    snprintf(path, sizeof path, "/tmp/fanwire-test-%d.sock", (int)getpid());
    snprintf(address, sizeof address, "unix:%s", path);
    server_init(&server, engine);
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0);
    cr_assert_eq(fw_server_listen(server.server, "127.0.0.1:0"), 0);
    cr_assert_eq(fw_server_listen(server.server, address), 0);
    cr_assert_eq(fw_server_listen(server.server, "127.0.0.1:0"), 0);
    cr_assert_eq(fw_server_start(server.server), 0);
    cr_assert_str_eq(fw_server_address(server.server, 1), address);
    for (unsigned i = 0; i < 3; i++) {
        struct ws_client client;
        ws_client_connect(&client, fw_server_address(server.server, i));
        cr_assert_eq(ws_client_open(&client, "/", ""), 101u);
        ws_client_text(&client, "echo");
        cr_assert(ws_client_got_text(&client, "echo"));
        ws_client_close(&client);
    }
    server_end(&server);
    cr_assert_neq(stat(path, &there), 0, "the path is gone with the server");
}

/* ---- running --------------------------------------------------------------------------------- */

struct stopper {
    struct server *server;
    pthread_t thread;
    bool served;
};

/* Uses a server that runs on another thread, and stops it. */
static void *use_and_stop(void *context)
{
    struct stopper *stopper = context;
    struct ws_client client;
    ws_client_connect(&client, stopper->server->address);
    stopper->served = ws_client_open(&client, "/", "") == 101 && ws_client_text(&client, "echo") &&
                      ws_client_got_text(&client, "echo");
    fw_server_stop(stopper->server->server);
    stopper->served = stopper->served && ws_client_got_close(&client, 1001);
    ws_client_close(&client);
    return NULL;
}

SERVER_TEST_AND_TLS(server_run, lends_the_callers_thread_to_the_one_worker, 60)
{
    struct server server;
    struct stopper stopper = {.server = &server};
    server_init(&server, engine);
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0);
    cr_assert_eq(fw_server_listen(server.server, "127.0.0.1:0"), 0);
    server.address = fw_server_address(server.server, 0);
    cr_assert_eq(pthread_create(&stopper.thread, NULL, use_and_stop, &stopper), 0);
    cr_assert_eq(fw_server_run(server.server), 0);
    pthread_join(stopper.thread, NULL);
    cr_assert(stopper.served);
    cr_assert(pthread_equal(atomic_load(&server.callback_thread), pthread_self()));
    cr_assert_eq(atomic_load(&server.codes[1001]), 1u);
    fw_server_destroy(server.server);
}

static fw_server *signalled;

static void on_signal(int number)
{
    (void)number;
    fw_server_stop(signalled);
}

/* More than one: ThreadSanitizer runs a handler at the thread's next call that it knows, and one
 * that comes just before the wait in the ring would be put off until the next signal. */
static void *send_signal(void *context)
{
    atomic_bool *ended = context;
    do {
        server_nap(100);
        kill(getpid(), SIGTERM);
    } while (!atomic_load(ended));
    return NULL;
}

SERVER_TEST_AND_TLS(server_run, is_stopped_from_a_signal_handler, 60)
{
    struct server server;
    pthread_t thread;
    struct sigaction action = {.sa_handler = on_signal};
    server_init(&server, engine);
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0);
    cr_assert_eq(fw_server_listen(server.server, "127.0.0.1:0"), 0);
    signalled = server.server;
    sigaction(SIGTERM, &action, NULL);
    atomic_bool ended;
    atomic_init(&ended, false);
    cr_assert_eq(pthread_create(&thread, NULL, send_signal, &ended), 0);
    cr_assert_eq(fw_server_run(server.server), 0);
    atomic_store(&ended, true);
    pthread_join(thread, NULL);
    fw_server_destroy(server.server);
}

/* ---- stopping -------------------------------------------------------------------------------- */

SERVER_TEST_AND_TLS(server_stop, says_1001_to_every_connection_and_waits_for_their_answers, 60)
{
    enum { CLIENTS = 20 };
    struct server server;
    struct ws_client clients[CLIENTS];
    server_init(&server, engine);
    server.options.workers = 2;
    server_start(&server);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = server_client(&server, "/");
    fw_server_stop(server.server);
    fw_server_stop(server.server); /* twice does nothing */
    for (unsigned i = 0; i < CLIENTS; i++) {
        cr_assert(ws_client_got_close(&clients[i], 1001));
        ws_client_close_frame(&clients[i], 1001, "");
        cr_assert(ws_client_ended(&clients[i]));
        cr_assert_eq(clients[i].error, 0, "a clean end: FIN, not RST");
        ws_client_close(&clients[i]);
    }
    uint64_t begun_ms = ws_client_now_ms();
    fw_server_wait(server.server);
    cr_assert_lt(ws_client_now_ms() - begun_ms, 4000u, "nobody was left to wait for");
    cr_assert_eq(atomic_load(&server.codes[1001]), (unsigned)CLIENTS);
    cr_assert_eq(server_connections(&server), 0u);
    cr_assert_eq(fw_publish(server.server, "a", FW_TEXT, "x", 1, NULL), FW_ERR_CLOSED);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_stop, waits_six_seconds_and_no_longer_for_those_that_do_not_answer, 60)
{
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client mute = server_client(&server, "/");
    struct ws_client half;
    ws_client_connect(&half, server.address);
    ws_client_say(&half, "GET / HT");
    uint64_t begun_ms = ws_client_now_ms();
    fw_server_stop(server.server);
    fw_server_wait(server.server);
    uint64_t took_ms = ws_client_now_ms() - begun_ms;
    cr_assert_geq(took_ms, 4500u);
    cr_assert_lt(took_ms, 15000u);
    ws_client_close(&mute);
    ws_client_close(&half);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_stop, before_the_start_makes_the_start_end_at_once, 60)
{
    struct server server;
    server_init(&server, engine);
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0);
    cr_assert_eq(fw_server_listen(server.server, "127.0.0.1:0"), 0);
    fw_server_stop(server.server);
    cr_assert_eq(fw_server_start(server.server), 0);
    fw_server_wait(server.server);
    fw_server_destroy(server.server);
    fw_server_destroy(NULL);
}

/* What was published before the stop is delivered before the goodbye. */
SERVER_TEST_AND_TLS(server_stop, delivers_what_was_published_before_it, 60)
{
    enum { MESSAGES = 500 };
    struct server server;
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/room");
    cr_assert(ws_client_got_text(&client, "welcome"));
    for (unsigned i = 0; i < MESSAGES; i++)
        cr_assert_eq(fw_publish(server.server, "room", FW_TEXT, "message", 7, NULL), 0);
    fw_server_stop(server.server);
    for (unsigned i = 0; i < MESSAGES; i++)
        cr_assert(ws_client_got_text(&client, "message"), "message %u", i);
    cr_assert(ws_client_got_close(&client, 1001));
    ws_client_close(&client);
    server_end(&server);
}

/* ---- again ----------------------------------------------------------------------------------- */

SERVER_TEST_AND_TLS(server_again, starts_on_the_same_port_at_once_with_old_connections_about, 60)
{
    enum { ROUNDS = 10, CLIENTS = 5 };
    char address[64] = "127.0.0.1:0";
    struct ws_client left[ROUNDS * CLIENTS];
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct server server;
        server_init(&server, engine);
        cr_assert_eq(fw_server_create(&server.options, &server.server), 0);
        int result = fw_server_listen(server.server, address);
        cr_assert_eq(result, 0, "round %u: %s", round, fw_status_name(result));
        snprintf(address, sizeof address, "%s", fw_server_address(server.server, 0));
        server.address = address;
        cr_assert_eq(fw_server_start(server.server), 0);
        for (unsigned i = 0; i < CLIENTS; i++) {
            struct ws_client *client = &left[round * CLIENTS + i];
            *client = server_client(&server, "/");
            ws_client_text(client, "echo");
            cr_assert(ws_client_got_text(client, "echo"));
        }
        fw_server_stop(server.server);
        for (unsigned i = 0; i < CLIENTS; i++) { /* they answer, but keep their sockets */
            cr_assert(ws_client_got_close(&left[round * CLIENTS + i], 1001));
            ws_client_close_frame(&left[round * CLIENTS + i], 1001, "");
        }
        server_end(&server);
    }
    for (unsigned i = 0; i < ROUNDS * CLIENTS; i++)
        ws_client_close(&left[i]);
}

SERVER_TEST_AND_TLS(server_again, lives_beside_another_in_one_process, 60)
{
    struct server one;
    struct server two;
    server_init(&one, engine);
    server_init(&two, engine);
    server_start(&one);
    server_start(&two);
    struct ws_client of_one = server_client(&one, "/room");
    struct ws_client of_two = server_client(&two, "/room");
    cr_assert(ws_client_got_text(&of_one, "welcome"));
    cr_assert(ws_client_got_text(&of_two, "welcome"));
    cr_assert_eq(fw_publish(one.server, "room", FW_TEXT, "to one", 6, NULL), 0);
    cr_assert(ws_client_got_text(&of_one, "to one"));
    server_end(&one);
    cr_assert_eq(fw_publish(two.server, "room", FW_TEXT, "to two", 6, NULL), 0);
    cr_assert(ws_client_got_text(&of_two, "to two"));
    ws_client_close(&of_one);
    ws_client_close(&of_two);
    server_end(&two);
}
