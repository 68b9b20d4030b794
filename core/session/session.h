/* session.h: the protocol state of one connection, and what it needs from the floors above.
 *
 * A session takes the bytes that came and queues the bytes that are owed; it owns no socket and
 * reads no clock. It begins as HTTP (http_session.c, or ws_client.c when we opened it); an upgrade
 * makes it a WebSocket (ws_session.c).
 *
 *   HTTP --upgrade accepted--> OPEN --we close--> CLOSING --peer's close--> DONE
 *   |  |                         |                   |
 *   |  |  answered, no keep-alive| peer's close,     | time is up
 *   |  |  or malformed           | failure, its end  v
 *   |  +------------------------>+----------------> DONE
 *   +--GET of a topic: an event stream--> STREAM --its end--> DONE     (sse_session.c)
 *   +--any other GET of a topic--> POLL --answered--> HTTP, or DONE    (longpoll_session.c)
 *
 * In DONE input is swallowed; `end` says what becomes of the socket once the queue is flushed. The
 * connection (net/conn) embeds the session, and looks at `outq` and `end` after `changed` was
 * called. Nothing here is freed while a call of the session's is on the stack. Thread: the
 * worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_SESSION_H
#define FW_SESSION_SESSION_H

#include "access/rate.h"
#include "base/arena.h"
#include "base/bytes.h"
#include "base/log.h"
#include "hub/busiest.h"
#include "hub/hub.h"
#include "proto/http1.h"
#include "proto/ws_decoder.h"
#include "proto/ws_frame.h"
#include "session/outq.h"
#include "session/relief.h"
#include "session/slow.h"

#include <assert.h>
#include <fanwire/pubsub.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fw_access;        /* access/access.h */
struct fw_authorization; /* identity.h */
struct fw_compressor;    /* compress.h */
struct fw_principal;
struct fw_request;
struct fw_response;
struct fw_session;
struct fw_ws_dial;
struct fw_ws_deflate_context;

/* What every session of a server obeys; immutable while it runs. */
struct fw_session_rules {
    struct fw_ws_rules ws;
    uint32_t output_bytes_max;  /* more than this owed: the slow-consumer policy */
    uint32_t output_soft_bytes; /* more than this owed: no more input is worked on */
    uint32_t output_slow_bytes; /* more than this owed for FW_SLOW_MS: the same policy; 0: never */
    uint32_t publish_bytes_max;
    uint32_t handshake_timeout_ms;
    uint32_t authorize_timeout_ms;
    uint32_t ping_interval_ms; /* 0: never */
    uint32_t pong_timeout_ms;
    struct fw_rate_rules rate; /* of what a client says */
    uint32_t
        control_interval_ms; /* one ping or pong each, twice a second's worth at once; 0: any */
    bool feed;
    bool local_hosts; /* only this machine reaches us: Host must be a loopback name */
    const char *const *allow_origins; /* NULL-terminated, or NULL */
    const char *const *allow_hosts;   /* the same */
};

/* What is published. */
struct fw_publication {
    struct fw_bytes payload;
    struct fw_bytes key; /* what it is news of; empty: of the topic */
    uint32_t lives_ms;   /* 0: for ever */
    uint8_t type;
};

/* What a page says besides its messages. */
struct fw_taken {
    uint64_t missed; /* messages that were gone before they were taken */
};

/* What sessions ask of the floors above. */
struct fw_session_upward {
    /* The session has output or an end: flush it at the end of the turn. */
    void (*changed)(struct fw_session *session);
    /* Keep the bytes that are being received until the turn's sends are settled; false: copy them.
     */
    bool (*keep)(struct fw_session *session);
    /* Ring fw_session_timer at `due_ms`; 0: not at all. */
    void (*timer)(struct fw_session *session, uint64_t due_ms);

    /* The program's callbacks (server.h). */
    unsigned (*open)(struct fw_session *session, const struct fw_request *request);
    void (*message)(struct fw_session *session, uint8_t type, const uint8_t *bytes, size_t count);
    void (*closed)(struct fw_session *session, unsigned code, struct fw_bytes reason);
    void (*drained)(struct fw_session *session);
    void (*request)(struct fw_session *session, struct fw_request *request);

    /* Whether a WebSocket may be opened from the address that a proxy names; NULL: any. */
    bool (*admit)(struct fw_session *session, const struct fw_request *request);
    /* Lets the program decide who sends a request (identity.h); NULL: it has no opinion. The
     * pointer itself may be NULL. */
    struct fw_authorization *(*authorize)(struct fw_session *session,
                                          const struct fw_request *request);
    /* The subject of the client's certificate, which TLS has checked; false: none. The pointer
     * itself may be NULL. */
    bool (*certificate)(struct fw_session *session, struct fw_bytes *subject_out);
    /* Unix time, for tokens. */
    uint64_t (*wall_s)(struct fw_session *session);

    /* Topics, shared by all workers. */
    int (*publish)(struct fw_session *session, struct fw_bytes topic,
                   const struct fw_publication *publication, struct fw_published *published_out);
    int (*subscribe)(struct fw_session *session, struct fw_bytes topic,
                     const struct fw_since *since, struct fw_subscription *subscription,
                     struct fw_joined *joined_out);
    /* The next page of a subscription that is BEHIND: up to FW_PAGE_MESSAGES_MAX references, whose
     * count is returned. Its state and `next` are then those of who has them. */
    size_t (*page)(struct fw_session *session, struct fw_subscription *subscription,
                   struct fw_msg **msgs_out, struct fw_taken *taken_out);
    /* The same for who got the messages before `next` from elsewhere. */
    void (*reached)(struct fw_session *session, struct fw_subscription *subscription,
                    uint64_t next);
    void (*unsubscribe)(struct fw_session *session, struct fw_subscription *subscription);
    int (*info)(struct fw_session *session, struct fw_bytes topic, struct fw_topic_info *info_out);
    /* Who is slow on a worker, shortly ago; false when there is no such worker. */
    bool (*slow)(struct fw_session *session, unsigned worker, struct fw_slow_report *report_out);
    /* Fills in all topics; false while they are being counted: soon it is known. */
    bool (*busiest)(struct fw_session *session, struct fw_busiest *busiest_out);
    /* Whether the server takes new work: false once it is stopping. */
    bool (*ready)(struct fw_session *session);

    /* Of clients only (ws_client.h). Unpredictable octets: a key for each frame that we send
     * (RFC 6455, section 10.3). */
    void (*random)(struct fw_session *session, uint8_t *out, size_t bytes_count);
    /* The server switched protocols; or the connection came to nothing: then nothing else is told
     * of it. `response` is NULL when none came. */
    void (*opened)(struct fw_session *session, const struct fw_response *response);
    void (*failed)(struct fw_session *session, int status, const struct fw_response *response);
};

/* The message that the program is being told of: an echo of it can be sent from where it stands. */
struct fw_session_told {
    struct fw_session *session; /* NULL: none */
    uint8_t *bytes;
    size_t count;
    bool text;      /* and so valid UTF-8 */
    bool assembled; /* it stands in the decoder's buffer, else in receive memory */
    bool sent;      /* the room before it holds a header already */
};

/* Echoes that are sent from the receive memory that is being worked on. */
struct fw_session_echoes {
    uint8_t *end;      /* of the last of them; NULL: there is none */
    size_t rest_bytes; /* that came behind the message being told */
};

/* What all sessions of one worker share. */
struct fw_session_host {
    const struct fw_session_rules *rules;
    const struct fw_session_upward *up;
    struct fw_arena *arena;           /* reset when the turn's sends are settled */
    struct fw_compressor *compressor; /* NULL: nothing is compressed */
    struct fw_hub *hub;
    struct fw_access *access; /* NULL: everybody may do everything */
    struct fw_log *log;
    void *context; /* the program's, for fw_conn_context */
    uint64_t now_ms;
    struct fw_http_head head; /* scratch for heads that come whole */
    struct fw_session_told told;
    struct fw_session_echoes echoes;
    struct fw_session_held *draining; /* what fw_session_drained is working on */
    uint64_t random;                  /* state of the jitter's generator; not for secrets */
    uint64_t handshakes_refused;
    uint64_t messages_received;
    uint64_t slow_closed;
    uint64_t rate_limited;
    uint32_t retry_ms_max; /* who is closed by a stop is told to wait so long at most; 0: no hint */
    uint64_t dropped_messages; /* by policies */
    uint8_t pressure;          /* enum fw_pressure: relief.h */
    struct fw_slow_list slow;

    struct fw_session **resuming; /* resume.c: those that wait for a page */
    uint32_t resuming_count;
    uint32_t resuming_capacity;
    uint32_t resuming_next;
};

enum fw_session_phase {
    FW_PHASE_HTTP,
    FW_PHASE_OPEN,
    FW_PHASE_CLOSING,
    FW_PHASE_STREAM,
    FW_PHASE_POLL,
    FW_PHASE_DONE
};

/* What becomes of the socket once the queue is flushed. */
enum fw_session_end {
    FW_END_NOT,
    FW_END_CLOSE,  /* close it */
    FW_END_AWAIT,  /* the server closes first: wait for that (RFC 6455, section 7.1.1) */
    FW_END_LINGER, /* say FIN, swallow what still comes for a while, then close: a socket closed
                      over unread input would say RST and could take our last words with it */
    /* The same, and longer: who takes little of what it is owed finds our last words only behind
     * it, and of a socket that is closed before, the kernel may throw them away. */
    FW_END_LINGER_SLOW,
    FW_END_ABORT, /* close it now, whatever is queued */
};

/* What a session must set aside while its peer does not take what it is owed. */
struct fw_session_held {
    uint8_t *input; /* bytes not worked on yet, inside `block` */
    size_t input_bytes;
    uint8_t *block;
    size_t block_bytes;
    uint8_t pong_bytes;
    bool has_pong; /* one, the newest: RFC 6455, section 5.5.3 */
    uint8_t pong[FW_WS_CONTROL_BYTES_MAX];
};

struct fw_http_pending; /* http_session.c: a request that came in pieces */

struct fw_session {
    struct fw_session_host *host;
    void *user;
    struct fw_outq outq;
    union {
        struct fw_http_pending *pending; /* FW_PHASE_HTTP; NULL between whole requests */
        struct fw_ws_dial *dial;         /* the same of a client */
        struct fw_ws_decoder decoder;    /* later */
        struct fw_poll *poll; /* FW_PHASE_POLL, and until it is left: longpoll_session.c */
    } in;
    struct fw_session_held *held;
    struct fw_ws_deflate_context *context; /* compression that remembers; NULL for nearly all */
    struct fw_principal *principal;        /* who it is; NULL: anonymous */
    struct fw_subscription *subscriptions; /* &one, or a block of its own */
    struct fw_subscription one;
    struct fw_rate rate;
    uint32_t active_ms;  /* low half of the time at which the peer was last heard */
    uint32_t control_ms; /* low half of the time at which its control frames so far are paid for */
    uint16_t close_code; /* what the program will be told: 1006 until something better is known */
    uint8_t phase;
    uint8_t end;
    uint8_t subscriptions_count;
    uint8_t encoding;     /* of what is sent to many: 0, or the one agreed on */
    uint32_t resuming_at; /* its place in the host's list, from 1; 0: none */
    bool blocked : 1;     /* set by conn: the socket is full */
    bool begun : 1;       /* set by conn: part of the queue's first entry is on the wire */
    bool upgraded : 1;    /* `in` is the decoder */
    bool told_open : 1;   /* the program knows of it, and has not been told of its close */
    bool ping_sent : 1;
    bool wants_drain : 1; /* somebody was told FW_ERR_BUSY */
    bool fin_waits : 1;   /* the peer's FIN came while input was set aside: that goes first */
    bool deflate : 1;     /* permessage-deflate is agreed on */
    bool stale : 1;       /* the peer was sent what `context` does not know of */
    bool waits : 1;       /* its request is set aside until it is known who it is */
    bool resumes : 1;     /* one of its subscriptions is behind */
    bool polls : 1;       /* `in` is the poll */
    bool answered : 1;    /* the poll has its answer: it goes on once that is sent */
    bool commands : 1;    /* it speaks fanwire.v1 */
    bool slow : 1;        /* slow.h */
    bool behind : 1;      /* set by conn: too much is owed; the timer rings when it was too long */
};
static_assert(sizeof(struct fw_session) <= 160, "what an idle connection pays for its session");

/* Makes a session ready to be received from; sets its handshake timer. */
void fw_session_init(struct fw_session *session, struct fw_session_host *host);

/* Ends what the session takes part in: subscriptions, input set aside, the program's interest. For
 * a session in FW_PHASE_DONE, at the end of the turn, so that no handler and no fan-out finds it
 * half gone; twice does nothing. */
void fw_session_leave(struct fw_session *session);

/* The connection is gone: leaves, and frees what it owns. */
void fw_session_clear(struct fw_session *session);

/* Bytes came. They are written (unmasked), and copied where they outlive the call. */
void fw_session_received(struct fw_session *session, uint8_t *bytes, size_t bytes_count);

/* The peer will send no more: 0 for its FIN, else -errno. */
void fw_session_ended(struct fw_session *session, int status);

/* The time set by `timer` has come. */
void fw_session_timer(struct fw_session *session);

/* What was owed is sent: held input goes on, and who was told busy hears of it. */
void fw_session_drained(struct fw_session *session);

/* The server stops: close politely (1001). */
void fw_session_stop(struct fw_session *session);

/* The peer does not take what it is owed: whether it has fallen behind, or caught up. A consumer
 * that stays behind for FW_SLOW_MS is ended. */
void fw_session_weigh(struct fw_session *session);

/* Whether no more input should be taken from the socket now. */
bool fw_session_full(const struct fw_session *session);

/* The hub's deliver: queues the share, or ends a consumer that is too slow. */
void fw_session_deliver(struct fw_subscription *subscription, struct fw_share *share);

/* Subscribes to a topic that it is not subscribed to yet.
 *
 * errors       FW_ERR_TOPIC, FW_ERR_EXISTS, FW_ERR_LIMIT, -ENOMEM
 */
int fw_session_subscribe(struct fw_session *session, struct fw_bytes topic);
int fw_session_unsubscribe(struct fw_session *session, struct fw_bytes topic);

/* Hands pages to those that wait for one, within a turn's bounds. Some may be left waiting
 * (host->resuming_count). */
void fw_session_catch_up(struct fw_session_host *host);

/* The hub's deliver_msgs. */
void fw_session_deliver_msgs(struct fw_subscription *subscription, struct fw_msg *const *msgs,
                             size_t msgs_count);

/* Frees what the host's sessions shared; none is left. */
void fw_session_host_clear(struct fw_session_host *host);

/* Why the connection ends, said before fw_session_finish by who stands between it and the socket:
 * what a connect of ours that comes to nothing is told. A server's session does not ask. */
void fw_session_blame(struct fw_session *session, int status);

/* Nothing more will be worked on: flush, leave, then do as `end` says (a stronger end stays). */
void fw_session_finish(struct fw_session *session, enum fw_session_end end);

/* Whether we opened the connection. */
static inline bool fw_session_is_client(const struct fw_session *session)
{
    return session->host->rules->ws.client;
}

/* Sends one data message of a WebSocket's. errors: as fw_conn_send (conn.h). */
int fw_ws_session_send(struct fw_session *session, uint8_t type, struct fw_bytes payload);

/* Begins the closing handshake. errors: as fw_conn_close (conn.h). */
int fw_ws_session_close(struct fw_session *session, unsigned code, struct fw_bytes reason);

#endif
