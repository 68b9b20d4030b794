/* client.h: one thread of load: an engine and the connections it holds.
 *
 * A connection is 64 octets here, and what the engine and the kernel keep. What it sends is never
 * its own: a pattern is a message, already masked, several times in a row, shared by all; a
 * connection only counts how many it owes and where in one it stands. (One masking key for all,
 * which no real client may do: RFC 6455, section 10.3.) What it receives is handed on in pieces as
 * it comes, with its place in the message: nothing is assembled.
 *
 *   FREE --open--> CONNECTING --on_adopted--> UPGRADING --101--> OPEN --end, abort--> CLOSING -->
 * FREE |                         |                                (slot is reused)
 *                       +--refused, timeout-------+--no 101, ended--> counted by kind of failure
 *
 * (BENCH_RAW and BENCH_HTTP connections go from CONNECTING to OPEN; with TLS they are UPGRADING
 * until it is there. A dialect is GREETING between the 101 and OPEN.)
 *
 * TLS, permessage-deflate and dialects lie below this interface (client_layers.h): handlers see
 * plain messages.
 *
 * thread: each client's functions on its own thread, but for those that say otherwise
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_CLIENT_H
#define FW_BENCH_CLIENT_H

#include "histogram.h"
#include "target.h"

#include "net/engine/engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_client;
struct bench_fleet;

/* A message as it goes over the wire, `units` times in a row: so many can be sent at once. */
struct bench_pattern {
    uint8_t *bytes;
    uint32_t unit_bytes;
    uint32_t units;
};

/* Why a connection is not there. */
enum bench_failure {
    BENCH_FAIL_CONNECT,   /* the kernel refused, or nobody listens */
    BENCH_FAIL_TIMEOUT,   /* the connect took too long */
    BENCH_FAIL_UPGRADE,   /* another status than 101 */
    BENCH_FAIL_HANDSHAKE, /* a malformed or wrong answer */
    BENCH_FAIL_CLOSED,    /* the peer closed or reset an open connection */
    BENCH_FAIL_GOODBYE,   /* it sent a close frame */
    BENCH_FAIL_FRAME,     /* it sent what no server may */
    BENCH_FAIL_TLS,       /* the TLS handshake, or a record */
    BENCH_FAIL_DEFLATE,   /* no permessage-deflate, or a message that does not inflate */
    BENCH_FAIL_DIALECT,   /* it does not speak the URL's dialect */
    BENCH_FAILURES,
};
extern const char *const bench_failure_names[BENCH_FAILURES];

enum bench_state {
    BENCH_FREE,
    BENCH_CONNECTING,
    BENCH_UPGRADING, /* TLS's handshake, then HTTP's */
    BENCH_GREETING,  /* a dialect's */
    BENCH_OPEN,
    BENCH_CLOSING,
};

struct bench_conn {
    const struct bench_pattern *pattern; /* what is being sent, or was last */
    uint8_t *stash;       /* a cut response head, or a control frame coming in or going out */
    uint32_t owed;        /* units not handed to the engine */
    uint32_t at;          /* octets of the first owed one that are out */
    uint32_t flight;      /* units with the engine until it is settled */
    uint32_t flight_at;   /* where they began in the first */
    uint32_t frame_bytes; /* payload of the frame that is coming; of a head: octets in the stash */
    uint32_t frame_at;    /* octets of it that came */
    uint32_t earlier;     /* octets of the message's earlier frames */
    uint32_t id;          /* 0 up, in the order of opening */
    uint8_t head[10];     /* a cut frame header */
    uint8_t head_bytes;
    uint8_t opcode; /* of the frame */
    uint8_t state;  /* enum bench_state */
    uint8_t flags;  /* client.c */
    uint8_t role;   /* the scenario's: what kind of connection this is */
    uint8_t speech; /* enum bench_speech */
};
static_assert(sizeof(struct bench_conn) <= 64, "what a connection costs the load");

/* A piece of a message as it came. */
struct bench_piece {
    const uint8_t *bytes;
    size_t count;
    size_t at;   /* where in the message it stands */
    bool last;   /* the message is whole with it */
    bool packed; /* RSV1 was set on the message's first frame: handlers see it unpacked */
};

/* What a scenario is told, on the client's thread; any may be NULL. Connections may be given more
 * to send, paused or aborted from inside. */
struct bench_handlers {
    bool speaks_first; /* every connection sends as soon as it is there (engine.h) */
    void (*on_open)(struct bench_client *client, uint32_t slot);
    void (*on_piece)(struct bench_client *client, uint32_t slot, const struct bench_piece *piece);
    void (*on_pong)(struct bench_client *client, uint32_t slot);
    /* BENCH_RAW and BENCH_HTTP: what came; it may be written to. */
    void (*on_bytes)(struct bench_client *client, uint32_t slot, uint8_t *bytes, size_t count);
    /* An open connection is lost; the slot's state is still there. */
    void (*on_lost)(struct bench_client *client, uint32_t slot, enum bench_failure failure);
    /* All that the slot owed is with the kernel. */
    void (*on_sent)(struct bench_client *client, uint32_t slot);
    /* Once a turn, after all else: what to send next. */
    void (*on_turn)(struct bench_client *client);
    /* The engine is gone, and its thread ends: free the context. */
    void (*on_end)(struct bench_client *client);
};

/* How connections are opened. */
struct bench_opening {
    struct fw_sock_address address;
    enum bench_speech speech;
    const struct bench_pattern *upgrade; /* BENCH_WS: the request */
    uint8_t key[16];                     /* that it carries */
    struct fw_tls_context *tls;          /* NULL: plain */
    const char *tls_name;                /* whom the certificate must be for; NULL: anybody */
    enum bench_dialect dialect;
    const struct bench_pattern *greeting; /* of a dialect: what is said first, */
    const struct bench_pattern *pulse;    /* and in answer to its pings */
    bool deflate;                         /* permessage-deflate was offered */
    bool deaf;                            /* receive only until open, then when told */
    uint32_t window;                      /* under way at once */
    uint8_t role;                         /* given to each */
    uint32_t topic;                       /* the scenario's, for on_open */
};

struct bench_client {
    struct bench_fleet *fleet;
    void *context; /* the scenario's, of this client */
    struct fw_engine *engine;
    const struct bench_handlers *handlers;
    struct bench_conn *conns; /* by slot; mapped, touched on first use */
    uint32_t slots_max;
    unsigned index;
    int timeout_ms; /* of the next turn; a scenario that paces sets it */
    bool stopping;

    struct bench_opening opening;
    uint32_t to_open;   /* connects not begun */
    uint32_t under_way; /* begun, not open and not failed */
    uint32_t next_id;
    uint32_t *began_us; /* of each connect, by slot: since `opening_ns`, modulo 2^32 */
    uint64_t opening_ns;

    uint32_t *dirty; /* slots with something to send */
    uint32_t dirty_count;
    uint32_t *flights; /* slots whose bytes the engine has */
    uint32_t flights_count;

    char verified[1024]; /* the last response head that was right: most are the same */
    size_t verified_bytes;

    struct bench_layers **layers; /* by slot; mapped, touched only when they are used */
    struct bench_layers_shared *layers_shared;
    bool layers_used;

    struct bench_histogram opens; /* ns from the connect to the 101 */

    /* Read by the main thread. One writer each. */
    atomic_int refused_status;       /* of the last BENCH_FAIL_UPGRADE */
    atomic_int failed_errno;         /* of the last BENCH_FAIL_CONNECT */
    char failed_why[256];            /* the last word of a layer that failed; under fleet->lock */
    atomic_uint_fast64_t open_count; /* that came to be, ever */
    atomic_uint_fast64_t gone_count; /* open ones that were lost or aborted */
    atomic_uint_fast64_t failures[BENCH_FAILURES];
    atomic_uint_fast64_t received_bytes;
    atomic_uint_fast64_t done_count;    /* the scenario's: messages, deliveries */
    atomic_uint_fast64_t expected_next; /* the scenario's */

    bool called; /* by the main thread; under the fleet's lock */
    pthread_t thread;
};

/* Begins to open connections with the client's opening, `window` at once. */
void bench_client_open(struct bench_client *client, uint32_t count);

/* Has a connection send `units` more of a pattern.
 *
 * pattern      lent until all is sent; another one than before only when nothing is owed
 */
void bench_client_owe(struct bench_client *client, uint32_t slot,
                      const struct bench_pattern *pattern, uint32_t units);

/* Whether everything that a connection was given is out of our hands. */
bool bench_client_idle(const struct bench_client *client, uint32_t slot);

/* Stops and goes on receiving. */
void bench_client_pause(struct bench_client *client, uint32_t slot);
void bench_client_resume(struct bench_client *client, uint32_t slot);

/* Closes with RST: no TIME_WAIT. The slot must be connecting, upgrading or open. */
void bench_client_abort(struct bench_client *client, uint32_t slot);

/* Adds to one of the counters that the main thread reads. */
static inline void bench_count(atomic_uint_fast64_t *counter, uint64_t more)
{
    /* One writer: no read-modify-write is needed. Pairs with nothing but itself. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/* The thread (pthread_create's). `argument` is the client. */
void *bench_client_main(void *argument);

/* Writes one whole message as a single frame, masked with the one key of this program.
 *
 * out          room for the header (at most FW_WS_HEADER_BYTES_MAX) and the payload
 * returns      octets written
 */
size_t bench_frame_write(uint8_t *out, uint8_t opcode, const uint8_t *payload,
                         size_t payload_bytes);

/* Makes a pattern of frames; freed by bench_pattern_clear. */
void bench_pattern_frames(struct bench_pattern *pattern, uint8_t opcode, const uint8_t *payload,
                          size_t payload_bytes, uint32_t units);
void bench_pattern_bytes(struct bench_pattern *pattern, const void *unit, size_t unit_bytes,
                         uint32_t units);
void bench_pattern_clear(struct bench_pattern *pattern);

#endif
