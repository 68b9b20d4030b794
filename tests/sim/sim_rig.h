/* sim_rig.h: a worker without a kernel: net/conn over the simulator, a hub, and a program.
 *
 * The program's connections obey their first octets, so that a peer's script says what happens:
 *
 *   path /room...   subscribed to "room" when it opens, and greeted with "welcome"
 *   path /no        refused with 403
 *   e...            the whole message is sent back
 *   p...            the whole message is published to "room"
 *   f<n>            n messages of 1000 octets are sent; FW_ERR_BUSY is waited out by on_drain
 *   c               it is closed with 4000
 *   anything else   nothing
 *
 * It counts what the program was told, and the rig checks on the spot that each connection is
 * accepted once, closed once, and never told of in between the wrong way round.
 *
 * thread: the test's
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SIM_SIM_RIG_H
#define TESTS_SIM_SIM_RIG_H

#include "net/conn/conn.h"
#include "support/engine_sim.h"
#include "support/ws_stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_SLOTS_MAX 1100

/* What the program knows of a connection: its user data. */
struct sim_user {
    unsigned flood_left;
    bool closed;
};

struct sim_rig {
    struct fw_conns conns; /* the first member: a session's host is found as its address */
    struct fw_sim *sim;
    struct fw_session_rules rules;
    struct fw_log log;
    struct fw_hub hub;
    struct fw_topic *topic;
    struct fw_local *local;    /* of the one topic */
    struct fw_msg *posts[256]; /* published, to be fanned out when the turn ends */
    unsigned posts_count;
    struct sim_user users[SIM_SLOTS_MAX];
    bool stopping;
    bool answered_busy;

    /* What happened. */
    unsigned adopted;
    unsigned gone;
    unsigned opened; /* accepted WebSockets */
    unsigned closed; /* told of their end */
    unsigned drained;
    unsigned published;
    unsigned codes[5000]; /* by close code */

    /* For the test. */
    void (*on_closed)(struct sim_rig *rig, struct fw_session *session);
};

/* Makes a worker of `slots` connections; dies when it cannot. No allocation failure may be set. */
struct sim_rig *sim_create(uint32_t slots, uint64_t seed);

/* Checks that all is accounted for, and frees everything. */
void sim_destroy(struct sim_rig *rig);

/* Publishes to "room" as another thread would: fanned out when the turn ends. False without memory.
 */
bool sim_publish(struct sim_rig *rig, const void *payload, size_t payload_bytes);

/* The session of a slot. */
struct fw_session *sim_session(struct sim_rig *rig, uint32_t slot);

/* Turns until quiet; and so that `ms` of time pass meanwhile, a wheel's tick at a time. */
void sim_run(struct sim_rig *rig);
void sim_pass(struct sim_rig *rig, uint64_t ms);

/* The server stops: every session is told. */
void sim_stop(struct sim_rig *rig);

/* ---- scripts --------------------------------------------------------------------------------- */

/* Appends the opening handshake for a path. */
void sim_script_open(struct ws_stream *script, const char *path);
/* Appends a masked text message. */
void sim_script_text(struct ws_stream *script, const char *text);
/* Appends a masked close frame with 1000. */
void sim_script_close(struct ws_stream *script);

/* What was sent on a slot behind the 101, as a trace of ws_stream.h. Borrowed until the next call.
 */
const char *sim_frames(struct sim_rig *rig, uint32_t slot);

#endif
