/* server_rig.h: a server in the test's process, through the public API only, and a program on it
 * that does what its clients say and writes down what it is told.
 *
 * A client's text message is a command by its first octet:
 *
 *   e...        the whole message is sent back, text or binary as it came
 *   p...        the whole message is published to "room"
 *   s<topic>    subscribe; the answer is the name of the status
 *   u<topic>    unsubscribe; the answer is the name of the status
 *   c<code> <reason>   close; the answer is the name of the status if that failed
 *   f<n>        n messages of 64,000 octets; FW_ERR_BUSY is waited out by on_drain
 *   b           the worker blocks until server_unblock
 *   anything else   nothing
 *
 * Paths: /room... is subscribed to "room" as it opens and greeted with "welcome"; /refuse/<status>
 * is refused; all others are accepted. Plain requests: /hello is answered, others are not.
 *
 * Each accepted connection has a heap block as its user data, freed in on_close: whatever the
 * server tells too late or twice, a sanitizer sees.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_INTEGRATION_SERVER_RIG_H
#define TESTS_INTEGRATION_SERVER_RIG_H

#include "integration/tls_layer.h"
#include "support/ws_client.h"

#include <criterion/criterion.h>
#include <fanwire/fanwire.h>
#include <pthread.h>
#include <stdatomic.h>

/* One run of a test: on an engine, after `begin`; skipped out loud where the engine does not work.
 */
#define SERVER_RUN(prefix, suite, name, seconds, engine, begin)                                    \
    Test(prefix##_##suite, name, .timeout = (seconds))                                             \
    {                                                                                              \
        server_needs(engine);                                                                      \
        begin;                                                                                     \
        suite##_##name(engine);                                                                    \
    }

#define SERVER_RUNS_PLAIN(suite, name, seconds)                                                    \
    SERVER_RUN(epoll, suite, name, seconds, FW_USE_EPOLL, (void)0)                                 \
    SERVER_RUN(uring, suite, name, seconds, FW_USE_URING, (void)0)

#define SERVER_RUNS_TLS(suite, name, seconds)                                                      \
    SERVER_RUN(tls_epoll, suite, name, seconds, FW_USE_EPOLL, server_speak_tls())                  \
    SERVER_RUN(tls_uring, suite, name, seconds, FW_USE_URING, server_speak_tls())

/* One test, run on every engine. */
#define SERVER_TEST(suite, name, seconds)                                                          \
    static void suite##_##name(enum fw_engine_choice engine);                                      \
    SERVER_RUNS_PLAIN(suite, name, seconds)                                                        \
    static void suite##_##name(enum fw_engine_choice engine)

/* The same over TLS only, in suites tls_...; and plain as well as over TLS. */
#define SERVER_TEST_TLS(suite, name, seconds)                                                      \
    static void suite##_##name(enum fw_engine_choice engine);                                      \
    SERVER_RUNS_TLS(suite, name, seconds)                                                          \
    static void suite##_##name(enum fw_engine_choice engine)

#define SERVER_TEST_AND_TLS(suite, name, seconds)                                                  \
    static void suite##_##name(enum fw_engine_choice engine);                                      \
    SERVER_RUNS_PLAIN(suite, name, seconds)                                                        \
    SERVER_RUNS_TLS(suite, name, seconds)                                                          \
    static void suite##_##name(enum fw_engine_choice engine)

/* Waits for something that another thread brings about; the test fails when it does not. */
#define EVENTUALLY(condition)                                                                      \
    do {                                                                                           \
        uint64_t until_ms = ws_client_now_ms() + WS_CLIENT_PATIENCE_MS;                            \
        while (!(condition)) {                                                                     \
            cr_assert(ws_client_now_ms() < until_ms, "never: %s", #condition);                     \
            server_nap(2);                                                                         \
        }                                                                                          \
    } while (0)

#define SERVER_LOG_BYTES 16384

struct server {
    fw_server *server;
    struct fw_server_options options;
    const char *address; /* of the first listener */
    bool listens_twice;  /* to be set before it starts */
    const char *second;  /* the other listener's address */
    const char *tls_certificates[3];
    const char *tls_keys[3];

    pthread_mutex_t lock; /* of what is below */
    char log[SERVER_LOG_BYTES];
    char last_reason[128];

    atomic_uint opened;
    atomic_uint closed;
    atomic_uint drained;
    atomic_uint busy; /* sends answered with FW_ERR_BUSY */
    atomic_uint requests;
    atomic_uint messages;
    atomic_uint codes[5000]; /* by close code */
    atomic_bool blocks;
    atomic_uint blocked;                /* workers that wait in "b" */
    _Atomic(pthread_t) callback_thread; /* the last on_open's */
};

/* Whether this is an instrumented build: slower, and its memory says little. */
bool server_is_instrumented(void);

void server_needs(enum fw_engine_choice engine);
void server_nap(unsigned ms);

/* From now on servers have a throw-away certificate, and clients speak TLS. */
void server_speak_tls(void);
bool server_speaks_tls(void);

/* Options of the program above, one worker, on an engine; to be changed before server_start. */
void server_init(struct server *server, enum fw_engine_choice engine);

/* Options of certificates to show, instead of a throw-away one; `second` may be NULL. */
void server_show(struct server *server, const struct tls_files *first,
                 const struct tls_files *second);

/* Creates, listens on a free port of 127.0.0.1, starts. */
void server_start(struct server *server);

/* Stops, waits, destroys; and checks that each connection was told of its end. */
void server_end(struct server *server);

/* Lets workers that block in "b" go on. */
void server_unblock(struct server *server);

/* A client that has opened a path; the test fails when it is not answered 101. */
struct ws_client server_client(struct server *server, const char *path);
/* The same by one of several listeners. */
struct ws_client server_client_at(const char *address, const char *path);

/* Whether the log has a line with this. */
bool server_logged(struct server *server, const char *text);

uint64_t server_connections(struct server *server);

/* Processor time of this process so far, user and system. */
uint64_t server_cpu_ms(void);
/* Its resident memory. */
uint64_t server_resident_bytes(void);

#endif
