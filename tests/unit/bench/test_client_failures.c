/* test_client_failures.c: every way in which a target can fail a load connection is counted by its
 * kind, and said.
 *
 * A thread plays the target with a script; the load is a fleet of one thread, on both engines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/fleet.h"
#include "bench/settings.h"
#include "proto/ws_handshake.h"
#include "support/in_child.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRIES_MAX 5000 /* of a millisecond */

struct script {
    const char *failure; /* its name in records */
    const char *why;     /* what the last sentence has in it; NULL: not looked at */
    bool tls;
    bool deflate;
    enum bench_dialect dialect;
    const char *refusal;    /* in place of the 101 */
    const char *extensions; /* in the 101 */
    bool wrong_key;
    const char *after; /* octets behind it */
    size_t after_bytes;
};

#define OCTETS(literal) .after = (literal), .after_bytes = sizeof(literal) - 1

static const struct script scripts[] = {
    {.failure = "upgrade_refused",
     .why = "403",
     .refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"},
    {.failure = "handshake_wrong", .refusal = "nothing like HTTP\r\n\r\n"},
    {.failure = "handshake_wrong", .wrong_key = true},
    {.failure = "handshake_wrong", .extensions = "permessage-deflate"}, /* not offered */
    {.failure = "closed_by_peer", OCTETS("")},
    {.failure = "close_frame", OCTETS("\x88\x02\x03\xe9")},
    /* RFC 6455, section 5.1: a server masks nothing; 5.2: reserved bits; 5.4: no beginning. */
    {.failure = "frame_wrong", OCTETS("\x82\x81\x01\x02\x03\x04\x05")},
    {.failure = "frame_wrong", OCTETS("\xc2\x01x")},
    {.failure = "frame_wrong", OCTETS("\x80\x01x")},
    {.failure = "frame_wrong",
     .deflate = true,
     .extensions = "permessage-deflate",
     OCTETS("\xa2\x01x")},
    {.failure = "tls_failed",
     .why = "TLS",
     .tls = true,
     .refusal = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"},
    {.failure = "deflate_failed", .why = "does not compress", .deflate = true},
    {.failure = "deflate_failed",
     .deflate = true,
     .extensions = "permessage-deflate; client_max_window_bits=10"}, /* not offered */
    /* A block of the reserved type (RFC 1951, section 3.2.3). */
    {.failure = "deflate_failed",
     .deflate = true,
     .extensions = "permessage-deflate; server_no_context_takeover",
     OCTETS("\xc2\x02\x07\x07")},
    {.failure = "deflate_failed",
     .deflate = true,
     .extensions = "permessage-deflate",
     OCTETS("\xc2\x02\x07\x07")},
    {.failure = "dialect_wrong",
     .why = "Authorization",
     .dialect = BENCH_NATS,
     OCTETS("\x82\x22-ERR 'Authorization Violation'\r\n  ")},
    {.failure = "dialect_wrong",
     .why = "before its greeting",
     .dialect = BENCH_NATS,
     OCTETS("\x82\x0eMSG a 1 2\r\nab\r\n"
            "")},
    {.failure = "dialect_wrong",
     .why = "MSG a 1 x",
     .dialect = BENCH_NATS,
     OCTETS("\x82\x0bMSG a 1 x\r\n")},
    {.failure = "dialect_wrong",
     .why = "more than it counted",
     .dialect = BENCH_NATS,
     OCTETS("\x82\x16PONG\r\nMSG a 1 0\r\nabcde")},
    {.failure = "dialect_wrong",
     .why = "44",
     .dialect = BENCH_SOCKET_IO,
     OCTETS("\x81\x06"
            "44{}{}")},
    {.failure = "dialect_wrong",
     .why = "without its end",
     .dialect = BENCH_SOCKET_IO,
     OCTETS("\x81\x02"
            "40"
            "\x81\x08"
            "42[\"m\",\"")},
};

struct target {
    const struct script *script;
    int listener;
};

/* Reads a request's head, or of TLS what comes first. */
static size_t read_request(int fd, bool tls, char *in, size_t room)
{
    size_t held = 0;
    ssize_t got;
    while (held < room - 1 && (got = read(fd, in + held, room - 1 - held)) > 0) {
        held += (size_t)got;
        in[held] = '\0';
        if (tls || strstr(in, "\r\n\r\n") != NULL)
            break;
    }
    return held;
}

static size_t write_answer(const struct script *script, const char *request, size_t count,
                           char *out, size_t room)
{
    struct fw_http_head head;
    char accept[FW_WS_ACCEPT_CHARS];
    if (script->refusal != NULL)
        return (size_t)snprintf(out, room, "%s", script->refusal);
    fw_http_head_init(&head);
    if (fw_http_request_parse(&head, (const uint8_t *)request, count) <= 0 ||
        fw_ws_handshake_check(&head, (const uint8_t *)request, accept) != 0)
        return 0;
    if (script->wrong_key)
        accept[0] = accept[0] == 'A' ? 'B' : 'A';
    ssize_t bytes = fw_ws_handshake_accept(accept, NULL, script->extensions, out, room);
    if (bytes <= 0)
        return 0;
    if (script->after_bytes > 0)
        memcpy(out + bytes, script->after, script->after_bytes);
    return (size_t)bytes + script->after_bytes;
}

/* One connection by the script; closed when the load has closed it, or at once when that is what
 * the script has. */
static void *play(void *argument)
{
    const struct target *target = argument;
    const struct script *script = target->script;
    char in[4096];
    char out[4096];
    int fd = accept(target->listener, NULL, NULL);
    size_t count = read_request(fd, script->tls, in, sizeof in);
    size_t bytes = write_answer(script, in, count, out, sizeof out);
    if (write(fd, out, bytes) == (ssize_t)bytes && strcmp(script->failure, "closed_by_peer") != 0)
        while (read(fd, in, sizeof in) > 0)
            continue;
    close(fd);
    return NULL;
}

static int listen_somewhere(struct bench_url *url)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_bytes = sizeof at;
    char text[64];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(listen(fd, 1), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &at_bytes), 0);
    snprintf(text, sizeof text, "ws://127.0.0.1:%u/", ntohs(at.sin_port));
    cr_assert_eq(bench_url_parse(text, url), 0);
    return fd;
}

static void judge(void *fleet)
{
    bench_fleet_must_live(fleet);
}

static const struct bench_handlers handlers = {0};

/* Opens one connection and waits until it has failed. */
static void expect_failure(struct bench_url *url, const char *failure, const char *why)
{
    struct bench_fleet fleet;
    struct bench_opening opening;
    char said[1024];
    bench_fleet_start(&fleet, 1, 2, &handlers);
    bench_fleet_opening(&fleet, url, NULL, &opening);
    bench_fleet_open(&fleet, &opening, 1);
    for (int i = 0; i < TRIES_MAX && bench_fleet_failed(&fleet) == 0; i++)
        bench_sleep_ms(1);
    cr_assert_eq(in_child(judge, &fleet, said, sizeof said), 1, "%s", failure);
    cr_assert_not_null(strstr(said, failure), "not %s: %s", failure, said);
    if (why != NULL)
        cr_assert_not_null(strstr(said, why), "not %s: %s", why, said);
    bench_fleet_stop(&fleet);
}

static bool use(enum fw_engine_kind kind)
{
    char why[512];
    if (fw_engine_choose(kind, why, sizeof why) < 0) {
        cr_log_info("skipped: %s", why);
        return false;
    }
    bench_settings.engine = kind;
    return true;
}

static void play_scripts(enum fw_engine_kind kind)
{
    if (!use(kind))
        return;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        struct bench_url url;
        pthread_t thread;
        struct target target = {.script = &scripts[i]};
        target.listener = listen_somewhere(&url);
        url.tls = url.trust_anyone = scripts[i].tls;
        url.deflate = scripts[i].deflate;
        url.dialect = scripts[i].dialect;
        cr_assert_eq(pthread_create(&thread, NULL, play, &target), 0);
        expect_failure(&url, scripts[i].failure, scripts[i].why);
        pthread_join(thread, NULL);
        close(target.listener);
    }
}

Test(bench_client_failures, are_counted_and_said_with_uring)
{
    play_scripts(FW_ENGINE_URING);
}

Test(bench_client_failures, are_counted_and_said_with_epoll)
{
    play_scripts(FW_ENGINE_EPOLL);
}

Test(bench_client_failures, say_that_nobody_listens)
{
    struct bench_url url;
    if (!use(FW_ENGINE_EPOLL))
        return;
    close(listen_somewhere(&url));
    expect_failure(&url, "connect_refused", "refused");
}
