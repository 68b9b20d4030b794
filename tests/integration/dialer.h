/* dialer.h: what the tests of connecting engines stand on: one engine with slots for connects, its
 * owner, which checks on the spot what it is told, and a listener that is a plain socket.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_INTEGRATION_DIALER_H
#define TESTS_INTEGRATION_DIALER_H

#include "integration/engine_rig.h"

#define DIALER_TAGS_MAX 4096u

/* What became of the connect of a tag. */
struct attempt {
    uint32_t slot; /* + 1, once fw_engine_connect returned it */
    unsigned adopted;
    unsigned failed;
    int status;
    uint64_t received_bytes;
    unsigned ended;
    int end_status;
};

/* Whether a handler of the owner's does more than to note; see each test. */
enum dialer_deed { NOTHING, PAUSE, CLOSE_AT_ONCE, RETRY };

struct dialer {
    struct fw_engine *engine;
    struct fw_sock_address server;
    int listen_fd;
    enum dialer_deed deed;
    bool in_call;
    bool in_turn;
    uint32_t retries;
    struct attempt attempts[DIALER_TAGS_MAX];
    uint32_t tag_of[DIALER_TAGS_MAX]; /* by slot */
    uint32_t adopted_count;
    uint32_t failed_count;
    uint32_t closed_count;
    unsigned sends;
};

extern const struct fw_engine_events dialer_events;

/* Makes an engine and a listener; the test fails when that fails. */
struct dialer *dialer_create(enum fw_engine_kind kind, uint32_t slots, uint32_t connects,
                             const char *address);
/* The same with an engine that expects to speak first. */
struct dialer *dialer_create_speaking(enum fw_engine_kind kind, uint32_t slots, uint32_t connects,
                                      const char *address);
void dialer_destroy(struct dialer *dialer);

/* Listens anew; the old listener is the caller's to close. */
void dialer_listen(struct dialer *dialer, const char *address, int backlog);

/* The address stays, and nobody listens there. */
void dialer_nobody_listens(struct dialer *dialer);

/* Connects to the listener; what fw_engine_connect said. */
int dialer_dial(struct dialer *dialer, uint32_t tag, uint32_t timeout_ms);

void dialer_turn(struct dialer *dialer, int timeout_ms);

#define TURN_UNTIL(dialer, condition)                                                              \
    do {                                                                                           \
        uint64_t until_ms = rig_clock_ms() + RIG_PATIENCE_MS;                                      \
        while (!(condition)) {                                                                     \
            MUST(rig_clock_ms() < until_ms, "%s: not after %d s", #condition,                      \
                 RIG_PATIENCE_MS / 1000);                                                          \
            dialer_turn(dialer, 10);                                                               \
        }                                                                                          \
    } while (0)

/* Takes the next connection that waits at the listener; the descriptor, or -1. */
int dialer_take(struct dialer *dialer);

/* The address of a path of this process's. */
const char *dialer_local_path(void);

#endif
