/* engine_rig.h: what the tests of the engine contract stand on: an acceptor, workers, and peers.
 *
 * A rig is one listening socket, one engine that accepts on it and one or more that work, all of
 * one kind, usually driven by the test's own thread; its peers are plain sockets. Each worker is a
 * small but proper owner: connections queue output, send it once a turn when the turn ends, keep
 * what was unsent, and go on when told. Everything that the engine tells is checked against
 * engine.h on the spot, so a test that only moves bytes tests the contract as well.
 *
 * Every byte of a stream is a function of its connection and its position, so that a lost, doubled,
 * misdirected or reordered byte shows at once. A connection's name is its peer's port: it is the
 * tag of its hand-over, and the seed of its two streams.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_INTEGRATION_ENGINE_RIG_H
#define TESTS_INTEGRATION_ENGINE_RIG_H

#include "net/engine/engine.h"
#include "net/engine/sock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

/* One test, run over every engine; an engine that does not work here is skipped, and says why. */
#define ENGINE_TEST(suite, name)                                                                   \
    static void suite##_##name(enum fw_engine_kind kind);                                          \
    Test(epoll_##suite, name, .timeout = 120)                                                      \
    {                                                                                              \
        rig_needs(FW_ENGINE_EPOLL);                                                                \
        suite##_##name(FW_ENGINE_EPOLL);                                                           \
    }                                                                                              \
    Test(uring_##suite, name, .timeout = 120)                                                      \
    {                                                                                              \
        rig_needs(FW_ENGINE_URING);                                                                \
        suite##_##name(FW_ENGINE_URING);                                                           \
    }                                                                                              \
    static void suite##_##name(enum fw_engine_kind kind)

/* Fails the test with a sentence; from any thread. */
#define MUST(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            rig_failed(__FILE__, __LINE__, #condition, __VA_ARGS__);                               \
    } while (0)

/* Turns the rig's engines until the condition, which may move a peer's bytes, holds. */
#define UNTIL(rig, condition)                                                                      \
    do {                                                                                           \
        uint64_t until_ms = rig_clock_ms() + RIG_PATIENCE_MS;                                      \
        while (!(condition)) {                                                                     \
            if (rig_clock_ms() >= until_ms)                                                        \
                rig_failed(__FILE__, __LINE__, #condition, "not after %d s",                       \
                           RIG_PATIENCE_MS / 1000);                                                \
            rig_turn(rig);                                                                         \
        }                                                                                          \
    } while (0)

/* Long enough for a sanitizer on a busy machine; nothing ever waits for it to pass. */
#define RIG_PATIENCE_MS 20000
#define RIG_WORKERS_MAX 4
#define RIG_TICKETS_MAX 1024

enum rig_event {
    RIG_ADOPTED,
    RIG_RECEIVED,
    RIG_ENDED,
    RIG_UNSENT,
    RIG_SETTLED,
    RIG_WRITABLE,
    RIG_CLOSED,
    RIG_WAKE,
    RIG_TURN_END,
};

/* A connection as its worker sees it; it stays readable after the close until the slot is reused.
 */
struct rig_conn {
    bool open;
    bool closing;
    bool ended;
    bool blocked; /* told -EAGAIN, not yet writable */
    bool broken;  /* told that sends fail */
    bool shut;
    bool lent;
    int end_status;
    int unsent_status;
    uint32_t tag;
    uint64_t received_bytes;
    uint64_t owed_bytes; /* to be sent in all */
    uint64_t sent_bytes; /* of these, out */
    unsigned unsent_count;
    unsigned writable_count;
};

struct rig_worker;

struct rig_lent {
    uint8_t *bytes;
    size_t bytes_count;
    uint32_t slot;
    uint32_t tag;
    bool reported;
};

/* A delivery that fw_engine_keep lets stay where it is. */
struct rig_kept {
    const uint8_t *bytes;
    size_t bytes_count;
    uint32_t tag;
    uint64_t position;
};

#define RIG_KEPT_MAX 4096

struct rig_worker {
    struct rig *rig;
    struct fw_engine *engine;
    struct rig_conn *conns;
    uint32_t slots_max;
    struct rig_lent *lents;
    size_t lents_count;
    struct rig_kept *kept;
    size_t kept_count;
    unsigned kept_deliveries; /* that the engine let it keep, in its life */
    unsigned unkept_deliveries;
    pthread_t thread;
    atomic_bool ready; /* its thread has created the engine */
    atomic_bool stop;
    atomic_bool woken; /* nobody will wake it any more: it may be destroyed */
    bool in_turn;
    bool in_call; /* of the engine: nothing may be told now */
    bool turn_ended;

    uint32_t open_count; /* adopted and not yet told on_closed */
    uint32_t adopted_count;
    uint32_t closed_count;
    uint64_t received_bytes;
    unsigned wakes;
    unsigned settlements;

    /* To be set by the test. */
    bool echo;             /* owes what it received */
    bool keep;             /* keeps what it received as long as the engine lets it */
    size_t send_bytes_max; /* in one send */
    unsigned pieces_count; /* that a send is cut into */
    void (*hook)(struct rig_worker *worker, enum rig_event event, uint32_t slot);
    void *hook_context;
};

struct rig_options {
    unsigned workers;         /* 0: one */
    uint32_t slots_max;       /* of each worker; 0: 64 */
    uint32_t tickets_max;     /* slots of the acceptor; 0: 64 */
    uint32_t receive_bytes;   /* 0: as a server has; 256 KiB is short */
    int send_buffer_bytes;    /* of the connections; 0: the kernel's */
    int receive_buffer_bytes; /* the same */
    bool hold_tickets;        /* hand nothing over: the test does */
    bool local;               /* a Unix socket instead of TCP; tags are 0 */
    bool threads;             /* each worker turns in a thread of its own */
    bool echo;                /* what workers begin with; see struct rig_worker */
    void (*hook)(struct rig_worker *worker, enum rig_event event, uint32_t slot);
};

struct rig {
    enum fw_engine_kind kind;
    struct rig_options options;
    struct fw_engine *acceptor;
    struct rig_worker workers[RIG_WORKERS_MAX];
    unsigned workers_count;
    unsigned next_worker;
    int listen_fd;
    struct fw_sock_address address;

    bool acceptor_in_call;
    uint32_t accepted_count;
    uint32_t handed_count; /* hand-overs that succeeded */
    uint32_t full_count;   /* that failed with -ENFILE */
    unsigned accept_pauses;
    int accept_status;              /* of the last on_accept_paused */
    uint32_t held[RIG_TICKETS_MAX]; /* tickets that are the owner's, the oldest first */
    unsigned held_count;
    uint32_t ticket_tags[RIG_TICKETS_MAX];
};

struct rig_peer {
    int fd;
    uint32_t tag;
    bool echoes; /* what it reads is what it wrote */
    uint64_t written_bytes;
    uint64_t read_bytes;
    bool saw_end;  /* read 0 */
    int saw_error; /* errno of a failed read or write */
};

/* ---- the rig --------------------------------------------------------------------------------- */

_Noreturn __attribute__((format(printf, 4, 5))) void
rig_failed(const char *file, int line, const char *fact, const char *format, ...);

/* Said with every failure: a test that is random puts its seed here. */
extern char rig_story[64];

/* Skips the test out loud when the engine does not work here. */
void rig_needs(enum fw_engine_kind kind);

/* Creates the engines and the listener; the test fails when that fails.
 *
 * options      NULL for the defaults
 */
struct rig *rig_create(enum fw_engine_kind kind, const struct rig_options *options);
void rig_destroy(struct rig *rig);

/* One turn of every engine that has no thread of its own; it may sleep a millisecond. */
void rig_turn(struct rig *rig);
void rig_turns(struct rig *rig, unsigned count);
void rig_acceptor_turn(struct rig *rig, int timeout_ms);
void rig_worker_turn(struct rig_worker *worker, int timeout_ms);

uint64_t rig_clock_ms(void);

/* Descriptors that this process has open. */
unsigned rig_descriptors(void);

/* The octet at a position of a stream: peer to worker (upwards) or back. */
uint8_t rig_octet(uint32_t tag, bool upwards, uint64_t position);

/* ---- the acceptor's owner -------------------------------------------------------------------- */

/* Hands the oldest held ticket over; it is held again when that fails. */
void rig_hand_over(struct rig *rig, struct rig_worker *worker);
/* Drops the oldest held ticket. */
void rig_refuse(struct rig *rig);

/* ---- the workers' owner ---------------------------------------------------------------------- */

struct rig_conn *rig_conn(struct rig_worker *worker, uint32_t slot);

/* Adds to what a connection owes; it is sent when turns end. */
void rig_owe(struct rig_worker *worker, uint32_t slot, uint64_t bytes_count);
/* Sends what it owes now, wherever the test is. */
void rig_send_now(struct rig_worker *worker, uint32_t slot);
void rig_pause(struct rig_worker *worker, uint32_t slot);
void rig_resume(struct rig_worker *worker, uint32_t slot);
void rig_shutdown(struct rig_worker *worker, uint32_t slot);
void rig_close(struct rig_worker *worker, uint32_t slot, bool abort);

/* The open connection of a peer; NULL and no slot when there is none. */
struct rig_conn *rig_find(struct rig *rig, uint32_t tag, struct rig_worker **worker_out,
                          uint32_t *slot_out);

/* ---- peers ----------------------------------------------------------------------------------- */

/* Connects a peer, without a turn of the engines. receive_buffer_bytes: 0 for the kernel's. */
struct rig_peer rig_connect(struct rig *rig, int receive_buffer_bytes);

/* Connects a peer and turns until worker 0 has it. */
struct rig_peer rig_open(struct rig *rig, uint32_t *slot_out);

/* Writes at most so many octets of its stream as the socket takes at once.
 *
 * returns      how many; 0 when the socket is full or broken (saw_error)
 */
size_t rig_write(struct rig_peer *peer, size_t bytes_max);

/* Reads and checks at most so many octets.
 *
 * returns      how many; 0 when there are none, or it saw the end or an error
 */
size_t rig_read(struct rig_peer *peer, size_t bytes_max);

/* Reads all there is now; whether it has read `bytes` in its life. */
bool rig_has_read(struct rig_peer *peer, uint64_t bytes);
/* Reads all there is now; whether the stream ended, well or badly. */
bool rig_is_over(struct rig_peer *peer);
/* FIN. */
void rig_finish(struct rig_peer *peer);
/* RST, and the descriptor is closed. */
void rig_reset(struct rig_peer *peer);
void rig_hang_up(struct rig_peer *peer);

#endif
