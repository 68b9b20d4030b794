/* server_impl.h: the inside of a server, for the files of net/server.
 *
 *   fw_server -+- acceptor: one thread, an engine that only listens
 *              +- workers:  one thread each: engine, connections, hub, mailbox
 *              +- directory: the topics, shared
 *
 * Life, guarded by `lock` where threads meet:
 *
 *   CREATED --fw_server_start/run--> STARTING --all threads ready--> RUNNING
 *      RUNNING --fw_server_stop--> STOPPING --every thread has ended--> STOPPED
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_SERVER_IMPL_H
#define FW_NET_SERVER_IMPL_H

#include "base/limits.h"
#include "net/conn/conn.h"
#include "net/engine/engine.h"
#include "net/engine/sock.h"
#include "net/server/directory.h"
#include "net/server/mailbox.h"
#include "net/tls/tls.h"
#include "session/compress.h"

#include <fanwire/server.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* A worker that is asked to stop lets its connections say goodbye for this long. */
#define FW_STOP_MS_MAX (FW_CLOSE_MS + 1000u)

struct fw_worker {
    struct fw_conns conns;
    struct fw_hub hub;
    struct fw_compressor compressor; /* used with options.deflate */
    struct fw_mailbox mailbox;
    struct fw_post *inbox; /* taken from the mailbox, not delivered yet */
    struct fw_log log;
    struct fw_server *server;
    struct fw_engine *engine; /* set before the worker is ready, gone after it has ended */
    unsigned index;
    pthread_t thread;
    pthread_mutex_t slow_lock; /* of what is next */
    struct fw_slow_report slow_report;
    uint64_t slow_report_ms; /* the worker's own */

    bool has_thread;
    bool told_stop;    /* it has seen that the server stops */
    bool said_goodbye; /* what was published is delivered, and every connection told */
    uint64_t stop_ms;  /* when it stops waiting for its connections */

    /* Written by the worker, read by anyone. */
    atomic_uint_fast64_t opened; /* connections ever */
    atomic_uint_fast64_t gone;
    atomic_uint_fast64_t refused;
    atomic_uint_fast64_t received;
    atomic_uint_fast64_t delivered;
    atomic_uint_fast64_t slow;
    atomic_uint_fast64_t deflate_bytes;
    atomic_uint_fast64_t tls_conns;
    atomic_uint_fast64_t tls_handshakes;
    atomic_uint_fast64_t tls_resumed;
    atomic_uint_fast64_t tls_failed;
};

/* A listener's socket and its address as text. */
struct fw_listener {
    int fd;
    bool tls;
    char address[FW_SOCK_TEXT_BYTES];
};

struct fw_acceptor {
    struct fw_server *server;
    struct fw_engine *engine;
    struct fw_log log;
    pthread_t thread;
    bool has_thread;
    uint64_t *handed;  /* connections given to each worker ever; the acceptor's own */
    uint32_t *tickets; /* accepted, waiting for a worker with room */
    uint32_t tickets_count;
    uint32_t handing; /* hand-overs that on_handed_over has not ended */
    uint32_t tickets_max;
    uint8_t *targets;   /* by ticket: which worker it was offered to last */
    uint8_t *came_by;   /* by ticket: which listener */
    uint64_t resume_ms; /* when accepting goes on after a shortage; 0: it is on */
};

enum fw_server_state { FW_CREATED, FW_STARTING, FW_RUNNING, FW_STOPPED };

struct fw_server {
    struct fw_server_options options;
    struct fw_session_rules rules;
    struct fw_log log;
    enum fw_engine_kind engine_kind;
    uint32_t slots_max; /* of each worker */
    unsigned workers_count;
    struct fw_worker **workers;
    struct fw_mailbox **mailboxes;
    struct fw_acceptor acceptor;
    struct fw_directory directory;
    struct fw_topic_rules *topic_rules; /* the general ones first */
    size_t topic_rules_count;
    bool has_directory;
    struct fw_listener listeners[FW_LISTENERS_MAX];
    unsigned listeners_count;
    bool beyond_loopback; /* other hosts reach a listener */

    struct fw_tls_place *tls_place; /* NULL: no TLS */
    struct fw_tls_tickets *tls_tickets;

    atomic_bool stopping;
    atomic_bool doors_closed; /* and no connection is on its way to a worker any more */
    /* Who the stop must wake; NULL before there is one and after it has ended. */
    _Atomic(struct fw_engine *) stop_target;
    atomic_bool
        accepting_blocked; /* every worker is full: a closing connection wakes the acceptor */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum fw_server_state state;
    unsigned ready_count; /* threads that are ready, or have failed */
    unsigned ended_count;
    int start_status;
};

/* worker.c */
struct fw_worker *fw_worker_create(struct fw_server *server, unsigned index);
void fw_worker_destroy(struct fw_worker *worker);
/* The worker's life, on its own thread: makes the engine, tells the server, runs, cleans up. */
void *fw_worker_main(void *worker);

/* acceptor.c */
int fw_acceptor_init(struct fw_acceptor *acceptor, struct fw_server *server);
void fw_acceptor_clear(struct fw_acceptor *acceptor);
void *fw_acceptor_main(void *acceptor);

/* server_tls.c: makes the certificates' place when the options want TLS. errors: of
 * fw_server_create. */
bool fw_server_tls_wanted(const struct fw_server *server);
int fw_server_tls_create(struct fw_server *server);
void fw_server_tls_destroy(struct fw_server *server);

/* server.c: what its threads tell it. The acceptor waits until all workers are ready; true when the
 * server may run. */
void fw_server_log_line(void *server, int level, const char *line);
bool fw_server_thread_ready(struct fw_server *server, int status);
bool fw_server_wait_ready(struct fw_server *server, unsigned threads_count);
void fw_server_thread_ended(struct fw_server *server);
int fw_server_publish(struct fw_server *server, struct fw_bytes topic,
                      const struct fw_publication *publication, uint64_t now_ms,
                      struct fw_published *published_out);

#endif
