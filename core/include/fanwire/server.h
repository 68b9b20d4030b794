/* server.h: a server's options, callbacks and life.
 *
 *   create --> listen ... --> run (blocks) ---------------> destroy
 *                       \-> start --> stop --> wait --/
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_SERVER_H
#define FANWIRE_SERVER_H

#include <fanwire/access.h>
#include <fanwire/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fw_engine_choice { FW_USE_AUTO, FW_USE_URING, FW_USE_EPOLL };

/* Levels of log lines. */
enum { FW_LEVEL_ERROR, FW_LEVEL_WARN, FW_LEVEL_INFO, FW_LEVEL_DEBUG };

/* What becomes of a subscriber that owes more than output_bytes_max. */
enum fw_slow_policy {
    FW_SLOW_DISCONNECT,  /* it is closed with 1013, and comes back with its position */
    FW_SLOW_DROP_OLDEST, /* it loses what it has waited for longest */
    FW_SLOW_LATEST,      /* of what waits for it only the newest message of each key is kept */
};

/* Where a proxy names its client. */
enum fw_proxy_header {
    FW_PROXY_X_FORWARDED_FOR,
    FW_PROXY_FORWARDED, /* RFC 7239 */
};

/* Settings of the topics of one prefix; 0 means as all topics. */
struct fw_topic_settings {
    const char *prefix;
    uint32_t history_count; /* FW_NO_HISTORY: none */
    uint32_t history_age_ms;
    uint64_t history_bytes;
    enum fw_slow_policy policy;
};

/* Start from FW_SERVER_OPTIONS, which sets `size`: a library newer than the program then knows
 * which fields are there. 0 and NULL mean the default. Callbacks run on the connection's worker;
 * each has `context` as its last argument. */
struct fw_server_options {
    size_t size;
    void *context;

    /* A WebSocket handshake came: return 0 to accept it, or an HTTP status (400 to 599) to refuse.
     * The connection may be given user data, subscribed and sent to here already. NULL accepts all.
     */
    unsigned (*on_open)(fw_conn *conn, const fw_request *request, void *context);
    /* A whole message came; borrowed until the return. */
    void (*on_message)(fw_conn *conn, enum fw_message_type type, const void *bytes,
                       size_t bytes_count, void *context);
    /* An accepted connection has ended: with the peer's close code, ours, 1005 (the peer gave none)
     * or 1006 (it vanished). The last call for this connection. */
    void (*on_close)(fw_conn *conn, unsigned code, const char *reason, size_t reason_bytes,
                     void *context);
    /* What fw_conn_send answered with FW_ERR_BUSY may be tried again. */
    void (*on_drain)(fw_conn *conn, void *context);
    /* A plain HTTP request that the server itself has no answer for; answer it by fw_request_answer
     * before the return, or it is answered 404. */
    void (*on_request)(fw_request *request, void *context);
    /* One line, without a newline. Called from several threads. NULL: no log. */
    void (*on_log)(int level, const char *line, void *context);

    unsigned workers;                 /* threads; default: one per allowed CPU */
    enum fw_engine_choice engine;     /* default: io_uring where it works, else epoll */
    bool feed;                        /* serve /topics/..., /healthz and /readyz */
    const char *const *allow_origins; /* browsers' origins besides our own, NULL-terminated;
                                         "https://app.example.com", "https://STAR.example.com" with
                                         an asterisk for STAR, or "*" */

    /* Limits. */
    uint64_t message_bytes_max;    /* a client's message: 64 KiB */
    uint32_t fragments_max;        /* frames of a message: 128; FW_UNLIMITED: any number */
    uint32_t publish_bytes_max;    /* a published message, a POST's body: 1 MiB */
    uint32_t output_bytes_max;     /* what a connection may owe: 1 MiB */
    uint32_t connections_max;      /* all workers together: what RLIMIT_NOFILE allows */
    uint32_t topics_max;           /* 65536 */
    uint32_t handshake_timeout_ms; /* accept to request: 5000 */
    uint32_t ping_interval_ms;     /* idle time before a ping: 25000; FW_UNLIMITED: never */
    uint32_t pong_timeout_ms;      /* 10000 */

    bool deflate; /* compress for clients that offer permessage-deflate; default: off */
    /* Memory for compression that remembers a connection's earlier messages, about 50 KiB each, of
     * all workers together. 0, and for connections beyond it: each message is compressed alone. */
    uint64_t deflate_bytes_max;

    /* While all listeners are loopback addresses (paths aside), a request's Host must be localhost,
     * 127.0.0.0/8, [::1] or one of these names, else it is answered 421: a page whose name was made
     * to resolve to 127.0.0.1 must not get in. NULL-terminated; "feed.example.com", with "*." in
     * front for any name below a domain, or "*". */
    const char *const *allow_hosts;
    uint32_t control_per_second; /* pings and pongs of a peer: 10, and 20 at once; beyond it 1008.
                                    At most 1000; FW_UNLIMITED: any number */
    /* TLS: every listener speaks it, unless its address begins with "plain:". Lists end with NULL;
     * each certificate file (PEM, its intermediates after it) has its key file at the same place,
     * which nobody else may read. A client gets the certificate for the name it asks for, else the
     * first. */
    const char *const *tls_cert_files;
    const char *const *tls_key_files;
    const char *tls_client_ca_file; /* demand a certificate by these CAs of every client */
    bool tls_self_signed;           /* make a throw-away certificate instead, for trying out */
    /* Each topic's newest messages, for subscribers that come back
     * (fanwire-protocol(7), POSITIONS). With `feed` 64 of them, without it none; FW_NO_HISTORY:
     * none. */
    uint32_t history_count;
    uint32_t history_age_ms;      /* 300000 */
    uint64_t history_bytes;       /* of one topic, with what each message costs: 1 MiB */
    uint64_t history_total_bytes; /* of all topics; the oldest messages go first: 256 MiB */
    /* What the whole process may have in memory (RSS), 32 MiB at least; 0: any. The server acts
     * from 80 % of it on, so that it stays below: fanwire(1), --memory-max. The kernel's socket
     * buffers are not in it. FW_MEMORY_AUTO: three quarters of the control group's limit, any
     * without one. */
    uint64_t memory_bytes_max;
    /* What topics whose names begin so have of their own; the longest prefix counts. */
    const struct fw_topic_settings *topic_settings;
    size_t topic_settings_count;
    /* Says who sends a request that carries no token for the server's policy (access.h): a
     * WebSocket handshake, or a request for a topic or for figures. False: no opinion, the policy's
     * anonymous rights hold. True: the program calls fw_authorization_grant or _refuse, now or
     * later, from any thread; the request waits meanwhile, and is readable only until the return.
     */
    bool (*on_authorize)(fw_authorization *authorization, const fw_request *request, void *context);
    uint32_t authorize_timeout_ms; /* then it is answered 503: 5000 */

    /* Limits by a client's address (an IPv6 one's /64), and for each connection; 0: none. */
    uint32_t address_connections_max;
    uint32_t address_accepts_per_s;
    uint32_t address_accepts_burst; /* 1 at least */
    uint32_t messages_per_s;        /* of a client: WebSocket messages, published bodies */
    uint32_t messages_burst;        /* 1 at least */
    uint32_t message_bytes_per_s;

    /* fw_server_stop closes connections one after the other over this time, each with a hint in its
     * close reason ("retry_ms=12345", spread at random up to 30 s, or this time when it is longer),
     * so that they do not all come back at once. 0: all at once, without a hint. */
    uint32_t drain_time_ms;

    /* Proxies of ours, "10.0.0.0/8", one address or "unix:" (who comes by a path) each,
     * NULL-terminated, at most 32: their connections are not limited by their address, and
     * WebSockets that come through them count for the client that proxy_header names (the
     * right-most address that is not ours). */
    const char *const *trusted_proxies;
    enum fw_proxy_header proxy_header; /* which one they write; the other may be a client's */
    /* Connections of trusted_proxies begin with the PROXY protocol's version 2, before TLS or HTTP,
     * and count for the client that it names. One that does not is closed. */
    bool proxy_protocol;
    /* New connections a second, all addresses together, a tenth of them at once; beyond it they
     * wait in the kernel's backlog. 0: any number. */
    uint32_t accepts_per_s;
    bool turn_times; /* measure workers' turns (turn_us_max): a call of the kernel's for each */
};

#define FW_UNLIMITED   UINT32_MAX
#define FW_NO_HISTORY  UINT32_MAX
#define FW_MEMORY_AUTO UINT64_MAX
#define FW_SERVER_OPTIONS                                                                          \
    {                                                                                              \
        .size = sizeof(struct fw_server_options)                                                   \
    }

/* Creates a server; nothing listens yet. Options are copied, strings and context borrowed for its
 * life.
 *
 * errors       FW_ERR_USAGE (an option is out of its range; the log says which), FW_ERR_ENGINE (the
 *              engine that was asked for does not work here; the log says why and what to do),
 *              -ENOTSUP (deflate, with a zlib that is not safe; the log says which),
 * FW_ERR_TLS_FILE, FW_ERR_TLS_KEY_EXPOSED, FW_ERR_TLS_KEY_MISMATCH, FW_ERR_TLS_LIBRARY (the log
 * says what is wrong with which file), -ENOMEM
 */
FW_PUBLIC int fw_server_create(const struct fw_server_options *options, fw_server **server_out);

/* Listens on an address: "HOST:PORT", "[HOST]:PORT" or "unix:/path"; port 0 takes a free one. With
 * "plain:" before it there is no TLS here. "fd:N" takes a socket that somebody opened for us
 * (systemd's socket activation); it is the server's from then on, and is closed but not shut down:
 * the opener goes on listening. May be called up to 16 times before the server runs.
 *
 * errors       FW_ERR_ADDRESS, FW_ERR_LIMIT, -errno of socket, bind or listen
 */
FW_PUBLIC int fw_server_listen(fw_server *server, const char *address);

/* The address a listener is bound to ("127.0.0.1:40123"); NULL when there is no such listener. */
FW_PUBLIC const char *fw_server_address(const fw_server *server, unsigned listener);

/* "uring" or "epoll", and the number of workers. */
FW_PUBLIC const char *fw_server_engine(const fw_server *server);
FW_PUBLIC unsigned fw_server_workers(const fw_server *server);

/* Starts the threads and returns once connections are taken. errors: -errno of what failed. */
FW_PUBLIC int fw_server_start(fw_server *server);

/* Waits until a started server has stopped. */
FW_PUBLIC void fw_server_wait(fw_server *server);

/* Starts, and lends the calling thread to the first worker until the server has stopped: with one
 * worker every callback runs on the caller's own thread. */
FW_PUBLIC int fw_server_run(fw_server *server);

/* Makes the server stop: no more connections are taken, each one is closed with 1001. Returns at
 * once. With one worker its thread takes connections, too: a callback that blocks it puts off both.
 *
 * thread       any, and signal handlers
 */
FW_PUBLIC void fw_server_stop(fw_server *server);

/* Reads the certificate and key files again, and checks them all before any is used: on an error
 * those in use stay, and the log says why. Connections stay as they are; new ones get the new
 * certificates.
 *
 * errors       FW_ERR_ABSENT without TLS; as fw_server_create
 * thread       any, one at a time; reads files
 */
FW_PUBLIC int fw_server_reload_tls(fw_server *server);

/* Frees a server that was never started or has stopped. NULL is allowed. */
FW_PUBLIC void fw_server_destroy(fw_server *server);

/* Figures of all workers together, each read once, without a lock. Thread: any. */
struct fw_server_stats {
    uint64_t connections;          /* open now */
    uint64_t connections_accepted; /* ever */
    uint64_t connections_refused;  /* handshakes answered with an error */
    uint64_t messages_received;
    uint64_t messages_delivered; /* published messages times their subscribers */
    uint64_t slow_closed;        /* closed with 1013: their budget was used up */
    uint64_t deflate_bytes;      /* of deflate_bytes_max, what connections were promised by now */
    uint64_t address_full;       /* connections dropped: their address had too many */
    uint64_t address_fast;       /* connections dropped: their address came too fast */
    uint64_t rate_limited;       /* messages refused: their connection was too fast */
    uint64_t connection_bytes;   /* of connections\' own state, queues and buffers not counted */
    uint64_t tls_connections;    /* of the connections, those with TLS */
    uint64_t tls_handshakes;     /* done, ever */
    uint64_t tls_resumed;        /* of these, by a ticket */
    uint64_t tls_failed;         /* refused, broken off, too slow, or ended by a broken record */
    uint64_t tls_bytes;         /* heap of the TLS library, this process's other servers included */
    uint64_t memory_bytes;      /* of the process, resident (RSS) */
    uint64_t memory_peak_bytes; /* the most that a look at it has found; 0 without a ceiling */
    uint64_t memory_bytes_max;  /* the ceiling; 0: none */
    uint64_t memory_pressure;   /* 0 to 4: below 80 %, 80, 85, 90, 95 % of it */
    uint64_t memory_closed;     /* connections closed for want of memory */
    uint64_t heap_bytes;    /* of the library, this process's other servers included; of them: */
    uint64_t history_bytes; /* held of all topics */
    uint64_t mailbox_bytes; /* published, not fanned out yet */
    /* What connections were owed, bytes that they share counted for each, and the places those
     * stand in; and what came of them and waits: as of the last look, and one is made for each call
     * of this function. */
    uint64_t output_bytes;
    uint64_t input_bytes;
    uint64_t proxy_refused; /* proxies' connections dropped: no good PROXY header in time */
    uint64_t turn_us_max;   /* the longest turn of a worker, in its processor's time; turn_times */
    uint64_t accept_pauses; /* times that accepts_per_s was reached */
    uint64_t receive_bytes; /* the engines' memory to receive into, all connections together */
};
FW_PUBLIC void fw_server_stats(const fw_server *server, struct fw_server_stats *stats_out);

/* How long a worker has not come round although it was asked to, the longest of all; and asks each
 * of them anew. Called once a second it is a watchdog: beyond 1000 something holds a worker up, be
 * it a callback that blocks. 0 before the start and after the stop. Thread: any one at a time. */
FW_PUBLIC uint32_t fw_server_stalled_ms(fw_server *server);

/* The worker that has not come round for longest. */
struct fw_server_stall {
    uint32_t stalled_ms; /* 0: all of them come round */
    unsigned worker;
    const char *doing; /* what it began last: "on_message", "fanning out"; lives for ever */
};

/* The same as fw_server_stalled_ms, which it may be called instead of, and who it is. */
FW_PUBLIC void fw_server_stalled(fw_server *server, struct fw_server_stall *stall_out);

/* Open connections of one worker, for those who look at the placement. */
FW_PUBLIC uint64_t fw_server_worker_connections(const fw_server *server, unsigned worker);

#ifdef __cplusplus
}
#endif

#endif
