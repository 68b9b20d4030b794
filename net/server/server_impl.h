/* server_impl.h: the inside of a server, for the files of net/server.
 *
 *   fw_server -+- acceptor: one thread, an engine that only listens; the only worker is it as well
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
#include "base/stack.h"
#include "net/conn/conn.h"
#include "net/engine/engine.h"
#include "net/engine/sock.h"
#include "net/server/census.h"
#include "net/server/directory.h"
#include "net/server/forwarded.h"
#include "net/server/mailbox.h"
#include "net/server/memory.h"
#include "net/server/peers.h"
#include "net/tls/tls.h"
#include "session/compress.h"

#include <fanwire/server.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* The part of a hand-over's tag that is the entry of the client's address (peers.h). */
#define FW_TAG_ADDRESS 0x00ffffffu
/* A bit of it: the connection is a trusted proxy's. */
#define FW_TAG_PROXY 0x01000000u
static_assert(FW_PEERS_MAX <= FW_TAG_ADDRESS, "each entry has a tag");

/* A worker that is asked to stop lets its connections say goodbye for this long. */
#define FW_STOP_MS_MAX (FW_CLOSE_MS + 1000u)

/* What a worker began last, for who asks why it does not come round. X(name, text) */
#define FW_DOING_TABLE(X)                                                                          \
    X(FW_DOING_SOCKETS, "receiving and sending")                                                   \
    X(FW_DOING_OPEN, "on_open")                                                                    \
    X(FW_DOING_MESSAGE, "on_message")                                                              \
    X(FW_DOING_CLOSE, "on_close")                                                                  \
    X(FW_DOING_DRAIN, "on_drain")                                                                  \
    X(FW_DOING_REQUEST, "on_request")                                                              \
    X(FW_DOING_AUTHORIZE, "on_authorize")                                                          \
    X(FW_DOING_FAN_OUT, "fanning out")                                                             \
    X(FW_DOING_RESUME, "handing out history")                                                      \
    X(FW_DOING_MEMORY, "looking after memory")                                                     \
    X(FW_DOING_GOODBYE, "closing connections")

enum fw_doing {
#define FW_DOING_ENUM(name, text) name,
    FW_DOING_TABLE(FW_DOING_ENUM)
#undef FW_DOING_ENUM
};

struct fw_worker {
    struct fw_conns conns;
    struct fw_hub hub;
    struct fw_compressor compressor; /* used with options.deflate */
    struct fw_mailbox mailbox;
    struct fw_post *inbox;     /* taken from the mailbox, not delivered yet */
    struct fw_stack decisions; /* struct fw_authorization: authorize.c */
    unsigned access_version;   /* of the policy that the host holds */
    struct fw_log log;
    struct fw_server *server;
    struct fw_engine *engine;       /* set before the worker is ready, gone after it has ended */
    struct fw_engine_events events; /* of the engine: the table's, and the acceptor's maybe */
    unsigned index;
    pthread_t thread;
    pthread_mutex_t slow_lock; /* of what is next */
    struct fw_slow_report slow_report;
    uint64_t slow_report_ms; /* the worker's own */
    struct fw_memory_sweep sweep;
    uint64_t age_ms; /* when histories are looked through next */
    struct fw_census_walk census;

    bool has_thread;
    bool told_stop;    /* it has seen that the server stops */
    bool said_goodbye; /* what was published is delivered, and every connection told */
    struct {
        uint64_t from_ms;
        uint32_t total;     /* connections when it began */
        uint32_t told;      /* of them */
        uint32_t next_slot; /* those before it are told */
        bool on;
    } drain;
    uint64_t stop_ms; /* when it stops waiting for its connections */
    uint64_t cpu_ns;  /* of its thread, when the last turn ended; options.turn_times */

    uint_fast64_t beat_seen; /* fw_server_stalled_ms: the beat when it asked last, and when */
    uint64_t asked_ms;

    /* Written by the worker, read by anyone. */
    atomic_uint_fast64_t beat;   /* wakes that it has answered */
    atomic_uchar doing;          /* enum fw_doing */
    atomic_uint_fast64_t opened; /* connections ever */
    atomic_uint_fast64_t gone;
    atomic_uint_fast64_t refused;
    atomic_uint_fast64_t received;
    atomic_uint_fast64_t delivered;
    atomic_uint_fast64_t slow;
    atomic_uint_fast64_t deflate_bytes;
    atomic_uint_fast64_t rate_limited;
    atomic_uint_fast64_t proxy_refused;
    atomic_uint_fast64_t receive_bytes;
    atomic_uint_fast64_t turn_us_max;
    atomic_uint_fast64_t tls_conns;
    atomic_uint_fast64_t tls_handshakes;
    atomic_uint_fast64_t tls_resumed;
    atomic_uint_fast64_t tls_failed;
};

/* A listener's socket and its address as text. */
struct fw_listener {
    int fd;
    bool inherited; /* somebody else listens on it as well */
    bool tls;
    char address[FW_SOCK_TEXT_BYTES];
};

/* A connection that is accepted and not handed over yet. */
struct fw_ticket {
    uint32_t address; /* its entry of the server's peers */
    uint32_t next;    /* of those that wait, + 1 */
    uint8_t target;   /* which worker it was offered to last */
    uint8_t came_by;  /* which listener */
};

struct fw_acceptor {
    struct fw_server *server;
    struct fw_engine *engine;
    struct fw_log log;
    pthread_t thread;
    bool has_thread;
    uint64_t *handed; /* connections given to each worker ever; the acceptor's own */
    struct {
        uint64_t from_ms;
        uint32_t count; /* accepted since */
        bool storm;
    } pace;
    struct {
        struct fw_worker *worker; /* who gets the next `left` connections */
        uint32_t left;
    } run;
    struct fw_ticket *tickets; /* mapped: tickets_max of them, touched on first use */
    uint32_t tickets_max;
    uint32_t waiting_first; /* tickets that wait for a worker with room, the newest, + 1; 0: none */
    uint32_t handing;       /* hand-overs that on_handed_over has not ended */
    atomic_uint_fast64_t address_full;
    atomic_uint_fast64_t address_fast;
    atomic_uint_fast64_t rate_pauses;
    uint64_t paid_us;   /* when the accepts so far are paid for: accepts_per_s, as a schedule */
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
    struct fw_memory *memory; /* apart, so that reading figures may ask for them */
    struct fw_memory_sweep **sweeps;
    struct fw_topic_rules *topic_rules; /* the general ones first */
    size_t topic_rules_count;
    struct fw_census census;
    bool has_directory;
    struct fw_peers peers;
    struct fw_proxies proxies;
    struct fw_listener listeners[FW_LISTENERS_MAX];
    unsigned listeners_count;
    bool beyond_loopback; /* other hosts reach a listener */

    struct fw_access *access; /* under `lock` */
    atomic_uint access_version;
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
    _Atomic(enum fw_server_state) state; /* other threads ask while one waits for the end */
    unsigned ready_count;                /* threads that are ready, or have failed */
    unsigned ended_count;
    int start_status;
};

static inline void fw_worker_does(struct fw_worker *worker, enum fw_doing doing)
{
    atomic_store_explicit(&worker->doing, (unsigned char)doing, memory_order_relaxed);
}

/* worker.c */
struct fw_worker *fw_worker_create(struct fw_server *server, unsigned index);
void fw_worker_destroy(struct fw_worker *worker);
/* The worker's life, on its own thread: makes the engine, tells the server, runs, cleans up. */
void *fw_worker_main(void *worker);

/* worker_memory.c: what each turn does about memory; at its end. */
void fw_worker_mind_memory(struct fw_worker *worker);
/* How long the worker may wait for that: ms, -1 for ever. */
int fw_worker_memory_wait_ms(const struct fw_worker *worker);
/* server_tls.c: the subject of the client's certificate; false: it has shown none. */
bool fw_worker_certificate(struct fw_session *session, struct fw_bytes *subject_out);

/* authorize.c: for the worker. */
struct fw_authorization *fw_worker_authorize(struct fw_session *session,
                                             const struct fw_request *request);
/* Takes what was decided, and the newest policy. */
void fw_worker_take_decisions(struct fw_worker *worker);
/* Frees decisions that nobody took, and lets the policy go. */
void fw_worker_drop_decisions(struct fw_worker *worker);

/* admission.c: judges a connection by its client's address, and counts it when it is welcome; what
 * is not is counted and logged. index_out: its entry of the server's peers. Thread: any. */
bool fw_server_admit(struct fw_server *server, struct fw_log *log, uint64_t now_ms,
                     const struct sockaddr *client, socklen_t client_bytes, uint32_t *index_out);
/* Whether who connects is a proxy of ours. */
bool fw_server_trusts(const struct fw_server *server, const struct sockaddr *peer);
/* For the worker: a PROXY header, or a WebSocket's request, names the client of a proxy's
 * connection, which counts for that one from now on. false: it may not connect. */
bool fw_worker_told(void *owner, struct fw_conn *conn, const struct fw_proxy_client *client);
bool fw_worker_admit(struct fw_session *session, const struct fw_request *request);

/* acceptor.c */
int fw_acceptor_init(struct fw_acceptor *acceptor, struct fw_server *server);
void fw_acceptor_clear(struct fw_acceptor *acceptor);
/* The acceptor's life on a thread of its own. */
void *fw_acceptor_main(void *acceptor);

/* The same on the thread of the only worker, whose engine it listens on: there is nobody to hand
 * connections over to, and two threads on one CPU wake each other for every one of them. */
static inline bool fw_server_has_one_thread(const struct fw_server *server)
{
    return server->workers_count == 1;
}
/* Begins to listen on `engine`, which has `tickets_max` slots, and whose events are told by what
 * follows. 0 or -errno. */
int fw_acceptor_open(struct fw_acceptor *acceptor, struct fw_engine *engine, uint32_t tickets_max);
void fw_acceptor_accepted(struct fw_acceptor *acceptor, uint32_t ticket,
                          const struct sockaddr *peer, socklen_t peer_bytes);
void fw_acceptor_handed_over(struct fw_acceptor *acceptor, uint32_t ticket, int status);
void fw_acceptor_paused(struct fw_acceptor *acceptor, int status);
/* What it does behind every turn, and how long the next one may wait: ms, -1 for ever. */
void fw_acceptor_turned(struct fw_acceptor *acceptor);
int fw_acceptor_wait_ms(const struct fw_acceptor *acceptor);
/* Lets nobody in any more, and tells the workers once none is on the way to them: runs turns. */
void fw_acceptor_close(struct fw_acceptor *acceptor);

/* server_tls.c: makes the certificates' place when the options want TLS. errors: of
 * fw_server_create. */
bool fw_server_tls_wanted(const struct fw_server *server);
int fw_server_tls_create(struct fw_server *server);
void fw_server_tls_destroy(struct fw_server *server);

/* topic_rules.c: whether the options' settings of topics are within their ranges, which is logged;
 * and the writing of topic_rules from them.
 *
 * errors       FW_ERR_USAGE; -ENOMEM
 */
int fw_server_check_topics(struct fw_server *server);
int fw_server_make_topic_rules(struct fw_server *server);

/* server.c: on how many CPUs this process may run, FW_WORKERS_MAX at most. */
unsigned fw_server_cpus(void);

/* server.c: what its threads tell it. The acceptor waits until all workers are ready; true when the
 * server may run. */
void fw_server_log_line(void *server, int level, const char *line);
bool fw_server_thread_ready(struct fw_server *server, int status);
static inline unsigned fw_server_threads_count(const struct fw_server *server)
{
    return server->workers_count + (fw_server_has_one_thread(server) ? 0 : 1);
}
bool fw_server_wait_ready(struct fw_server *server, unsigned threads_count);
void fw_server_thread_ended(struct fw_server *server);
void fw_server_wake_workers(struct fw_server *server);
int fw_server_publish(struct fw_server *server, struct fw_bytes topic,
                      const struct fw_publication *publication, uint64_t now_ms,
                      struct fw_published *published_out);

#endif
