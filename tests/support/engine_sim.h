/* engine_sim.h: a third engine, for tests: no kernel, no clock, and the same events for a seed.
 *
 * It keeps the contract of net/engine/engine.h as strictly as that allows and as unkindly: what a
 * test's peer sends is delivered cut at will, late, and in memory that is gone after the callback;
 * a send takes as much as the peer's window, or fails; connections end at any point. And it holds
 * the owner to its side: a send to a slot that is not open, two sends before on_settled, lent bytes
 * that change, a second close and the like abort with a sentence that says which.
 *
 *     struct fw_sim *sim = fw_sim_create(&options, 1);
 *     uint32_t slot = fw_sim_connect(sim, 0);
 *     fw_sim_peer_send(sim, slot, "hello", 5);
 *     fw_sim_run(sim);                           on_adopted, on_received, ...
 *     struct fw_bytes sent = fw_sim_sent(sim, slot);
 *     fw_sim_destroy(sim);
 *
 * The peer's functions may be called between turns and from inside the owner's handlers; what they
 * bring about comes in a turn. Memory for the simulator itself is not the library's (base/mem.h),
 * so tests that make allocations fail do not hit it.
 *
 * thread: the one that created it; fw_engine_wake: any
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_ENGINE_SIM_H
#define TESTS_SUPPORT_ENGINE_SIM_H

#include "base/bytes.h"
#include "net/engine/engine.h"

struct fw_sim;

/* How unkind it is. All zeros, as after fw_sim_create, is a fast and friendly network. */
struct fw_sim_knobs {
    size_t receive_bytes_max; /* at most so many in one on_received; 0: as many as there are */
    bool receive_cut;         /* at random: from 1 octet to what receive_bytes_max allows */
    size_t send_bytes_max;    /* one send takes at most so many; 0: the window alone decides */
    unsigned late_percent;    /* how often what could come this turn comes in a later one, 0..90 */
    bool settle_late;         /* sends happen and settle in the next turn, as with io_uring */
    bool receive_after_pause; /* what had come when a slot was paused may still be delivered */
    unsigned keep_percent;    /* how often fw_engine_keep agrees */
};

/* What became of a slot's present, or else its last, life. */
enum fw_sim_state {
    FW_SIM_UNUSED,     /* none yet */
    FW_SIM_CONNECTING, /* on_adopted, or on_connect_failed, is still to come */
    FW_SIM_OPEN,       /* the owner's */
    FW_SIM_CLOSED,     /* by fw_engine_close(.., false) */
    FW_SIM_ABORTED,    /* by fw_engine_close(.., true) */
};

/* Creates a simulator; never fails (it aborts).
 *
 * options      as for fw_engine_create; receive_bytes is not used
 * seed         of every choice it makes
 */
struct fw_sim *fw_sim_create(const struct fw_engine_options *options, uint64_t seed);

/* The same as fw_engine_destroy on its engine. Lent bytes need not live any longer. */
void fw_sim_destroy(struct fw_sim *sim);

/* The engine to give to the code under test. */
struct fw_engine *fw_sim_engine(struct fw_sim *sim);

/* The knobs; to be turned at any time. */
struct fw_sim_knobs *fw_sim_knobs(struct fw_sim *sim);

/* Turns every knob at random. */
void fw_sim_knobs_shuffle(struct fw_sim *sim);

/* A number from 0 to below - 1, from the seed. */
uint64_t fw_sim_random(struct fw_sim *sim, uint64_t below);

/* ---- the peer's side ------------------------------------------------------------------------- */

/* Connects a peer; on_adopted with `tag` comes in the next turn.
 *
 * returns      the slot, the lowest that is free; it aborts when the table is full
 */
uint32_t fw_sim_connect(struct fw_sim *sim, uint32_t tag);

/* What comes of every fw_engine_connect from now on: 0, on_adopted (as at first); -errno,
 * on_connect_failed; 1, nothing but its timeout. */
void fw_sim_connects(struct fw_sim *sim, int status);

/* The slot of the last fw_engine_connect. */
uint32_t fw_sim_dialed(struct fw_sim *sim);

/* The peer sends; the bytes are copied. After its end, or the slot's, they are lost. */
void fw_sim_peer_send(struct fw_sim *sim, uint32_t slot, const void *bytes, size_t bytes_count);

/* What the peer sends from now on is not delivered together with what it sent before. */
void fw_sim_peer_cut(struct fw_sim *sim, uint32_t slot);

/* The peer ends: with 0 (FIN) after what it sent; with -errno at once, what was not delivered is
 * lost, and sends fail from now on. Paused slots are told when they resume. */
void fw_sim_peer_end(struct fw_sim *sim, uint32_t slot, int status);

/* The peer takes so many bytes more, and then no others. A new slot's window is SIZE_MAX: no end.
 */
void fw_sim_peer_window(struct fw_sim *sim, uint32_t slot, size_t window_bytes);

/* Sends on the slot fail with this -errno from now on; nothing is told otherwise. */
void fw_sim_peer_refuse(struct fw_sim *sim, uint32_t slot, int status);

/* All that was sent on the slot in its present or else its last life; borrowed until the next send
 * or fw_sim_connect. */
struct fw_bytes fw_sim_sent(struct fw_sim *sim, uint32_t slot);

/* Forgets what was sent so far. */
void fw_sim_sent_clear(struct fw_sim *sim, uint32_t slot);

/* ---- what the owner did ---------------------------------------------------------------------- */

enum fw_sim_state fw_sim_state(struct fw_sim *sim, uint32_t slot);
bool fw_sim_is_paused(struct fw_sim *sim, uint32_t slot);
/* Whether fw_engine_shutdown was called. */
bool fw_sim_is_shut(struct fw_sim *sim, uint32_t slot);
/* Slots that are open or whose on_closed is still to come. */
uint32_t fw_sim_slots_count(struct fw_sim *sim);

/* ---- the acceptor's side --------------------------------------------------------------------- */

/* Puts a connection into the backlog: on_accepted comes in a turn after fw_engine_listen, which
 * takes any descriptor. */
void fw_sim_knock(struct fw_sim *sim);

/* The next accept fails with this -errno: on_accept_paused. */
void fw_sim_accept_fail(struct fw_sim *sim, int status);

/* Connections that wait in the backlog. */
unsigned fw_sim_backlog(struct fw_sim *sim);

/* ---- time and turns -------------------------------------------------------------------------- */

/* Moves the clock, which starts at 1000; the next turn reads it. */
void fw_sim_advance(struct fw_sim *sim, uint64_t ms);

/* Whether a turn would bring nothing but on_turn_end. */
bool fw_sim_is_quiet(struct fw_sim *sim);

/* Turns until it is quiet.
 *
 * returns      the number of turns, at least 1. It aborts when something spins: after 200 turns, of
 *              this run and those before it, in which no byte moved and nobody came or went, while
 *              fw_sim_advance moved no time either.
 */
unsigned fw_sim_run(struct fw_sim *sim);

/* Calls of the owner so far, on_turn_end and on_settled included. */
uint64_t fw_sim_completions(struct fw_sim *sim);

/* Calls `hook` after each of them, so that a test can end, close or refuse right behind completion
 * k.
 *
 * hook         NULL takes it away
 * completion   counts from 1
 */
void fw_sim_after_completion(struct fw_sim *sim,
                             void (*hook)(void *context, struct fw_sim *sim, uint64_t completion),
                             void *context);

#endif
