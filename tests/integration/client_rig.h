/* client_rig.h: a client in the test's process, through the public API only, whose program writes
 * down what it is told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_INTEGRATION_CLIENT_RIG_H
#define TESTS_INTEGRATION_CLIENT_RIG_H

#include "integration/server_rig.h"

/* What a client's program was told, by any of its threads. */
struct caller {
    fw_client *client;
    struct fw_client_options options;
    char url[128];
    pthread_mutex_t lock; /* of the strings */
    char text[64];        /* the last message's beginning */
    char protocol[32];
    char body[64];
    char location[64];
    char reason[128];
    char log[4096];
    atomic_uint opened;
    atomic_uint failed;
    atomic_uint closed;
    atomic_uint messages;
    atomic_uint drained;
    atomic_int status; /* of the last on_fail */
    atomic_uint http_status;
    atomic_uint code; /* of the last on_close */
    _Atomic(void *) user;
    _Atomic(fw_conn *) conn; /* the last that opened */
    _Atomic(pthread_t) thread;
    atomic_size_t sent;
    unsigned greetings; /* sent as a connection opens */
    bool reconnects;    /* from inside on_fail and on_close, while `again` lasts */
    atomic_int again;
    bool floods;
};

/* Options of the program, one thread, on an engine; to be changed before caller_start. Where
 * servers speak TLS, their throw-away certificates are good. */
void caller_init(struct caller *caller, enum fw_engine_choice engine);
void caller_start(struct caller *caller);
/* Stops, waits, destroys; and checks that each connection was told of its end. */
void caller_end(struct caller *caller);

/* Writes a server's URL into caller->url; and connects to it. */
void caller_aim(struct caller *caller, const struct server *server, const char *path);
int caller_call(struct caller *caller, const struct server *server, const char *path);

/* The program's on_fail, for one that does more. */
void caller_on_fail(void *user, int status, const fw_response *response, void *context);

/* Whether one of the caller's strings is this; whether its log has this. */
bool caller_noted(struct caller *caller, const char *where, const char *wanted);
bool caller_logged(struct caller *caller, const char *text);

/* Runs one of the two on the last opened connection's thread; what fw_conn_send or fw_conn_close
 * said: a text message, a close with 4000. */
int caller_run(struct caller *caller, void (*function)(void *argument), const char *text);
void caller_send(void *argument);
void caller_close(void *argument);

#endif
