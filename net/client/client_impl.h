/* client_impl.h: the inside of a client, for the files of net/client.
 *
 *   fw_client --- threads: one each: engine, connections, errands (the one way in)
 *
 * Life, guarded by `lock` where threads meet:
 *
 *   CREATED --fw_client_start/run--> RUNNING --fw_client_stop--> every thread has ended: STOPPED
 *
 * An errand is a connect or a function to run, posted by any thread to a lock-free stack that its
 * thread takes whole; the stack's end is the mark that nothing is taken any more.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_CLIENT_IMPL_H
#define FW_NET_CLIENT_IMPL_H

#include "base/limits.h"
#include "base/stack.h"
#include "net/conn/conn.h"
#include "net/engine/engine.h"
#include "net/engine/sock.h"
#include "net/tls/tls.h"
#include "session/compress.h"
#include "session/ws_client.h"

#include <fanwire/client.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Random octets that a thread has in store: a thousand keys for one system call. */
#define FW_CLIENT_RANDOM_BYTES 4096u

struct fw_errand {
    struct fw_stack_link link;        /* first: an errand is found as its link */
    void (*function)(void *argument); /* NULL: connect */
    void *argument;
    struct fw_ws_dial *dial;
    struct fw_sock_address address;
};

/* A connect that the engine has not told the outcome of; by its tag. */
struct fw_connecting {
    struct fw_ws_dial *dial; /* NULL: free */
    uint32_t next;           /* the next free one, as an index + 1 */
};

struct fw_client_thread {
    struct fw_conns conns;
    struct fw_compressor compressor; /* used with options.deflate */
    struct fw_log log;
    struct fw_client *client;
    unsigned index;
    pthread_t thread;
    bool has_thread;
    bool has_tls;      /* it had a wss connection */
    bool said_goodbye; /* every connection was told that the client stops */
    uint64_t stop_ms;  /* when it stops waiting for them */

    _Atomic(struct fw_engine *) engine; /* who a post must wake; NULL before there is one */
    struct fw_stack errands;            /* closed by the thread's end */
    struct fw_stack_link *inbox;        /* taken, not done yet; the oldest first */

    struct fw_connecting *connecting; /* mapped: slots_max of them */
    uint32_t connecting_touched;
    uint32_t connecting_free;   /* index + 1 */
    struct fw_ws_dial *adopted; /* of the connection that is being made */

    uint32_t random_left;
    uint8_t random[FW_CLIENT_RANDOM_BYTES];
};

enum fw_client_state { FW_CLIENT_CREATED, FW_CLIENT_RUNNING, FW_CLIENT_STOPPED };

struct fw_client {
    struct fw_client_options options;
    struct fw_session_rules rules;
    struct fw_log log;
    struct fw_engine_events events; /* fw_conns_events, and what a client adds */
    enum fw_engine_kind engine_kind;
    uint32_t slots_max; /* of each thread */
    unsigned threads_count;
    struct fw_client_thread **threads;
    atomic_uint next_thread;
    atomic_bool stopping;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Of wss connections; NULL before the first, and made once: threads see it with the errand. */
    struct fw_tls_context *tls;
    enum fw_client_state state;
    unsigned ready_count; /* threads that are ready, or have failed */
    int start_status;
};

/* client_tls.c */
/* At creation: reads the files that the options name, so that what is wrong with them is said at
 * once. errors: of fw_tls_context_create; the log says why */
int fw_client_tls_create(struct fw_client *client);
void fw_client_tls_destroy(struct fw_client *client);
/* Before a wss connect: makes the context if there is none yet. Thread: any. */
int fw_client_tls_need(struct fw_client *client);
/* Puts TLS under a connection whose dial has a tls_name. Thread: its own. */
int fw_client_thread_begin_tls(struct fw_client_thread *thread, struct fw_conn *conn,
                               const char *name);
void fw_client_thread_end_tls(struct fw_client_thread *thread);

/* client_thread.c */
struct fw_client_thread *fw_client_thread_create(struct fw_client *client, unsigned index);
void fw_client_thread_destroy(struct fw_client_thread *thread);
/* A thread's life: makes the engine, tells the client, runs, cleans up. */
void *fw_client_thread_main(void *thread);
/* Makes the client's table of the engine's events. */
void fw_client_events_init(struct fw_engine_events *events);
/* Gives an errand. Thread: any. errors: FW_ERR_CLOSED; the errand is then the caller's still */
int fw_client_thread_post(struct fw_client_thread *thread, struct fw_errand *errand);

/* client.c: a thread is ready, or has failed; waits for the others, and says whether all are. */
bool fw_client_thread_ready(struct fw_client *client, int status);

#endif
