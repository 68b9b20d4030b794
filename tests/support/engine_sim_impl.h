/* engine_sim_impl.h: what the two files of the simulator share; tests include engine_sim.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_ENGINE_SIM_IMPL_H
#define TESTS_SUPPORT_ENGINE_SIM_IMPL_H

#include "net/engine/engine_ops.h"
#include "support/engine_sim.h"

#include <pthread.h>
#include <stdatomic.h>

/* No slot, no ticket. */
#define FW_SIM_NONE UINT32_MAX

struct buffer {
    uint8_t *bytes;
    size_t count;
    size_t capacity;
};

/* A fact that a slot's owner or peer brought about, in its present life. */
struct slot {
    enum fw_sim_state state;
    bool dying; /* on_closed is to be told, from turn dying_from on */
    bool paused;
    bool shut;
    bool blocked; /* on_writable is promised */
    bool lent;    /* a send is not settled yet */
    bool has_end; /* the peer ended, with end_status */
    bool ended;   /* on_ended was told */
    int end_status;
    int refuse_status;
    uint32_t tag;
    bool dialed;         /* by fw_engine_connect */
    int connect_status;  /* what comes of it; 1: nothing */
    uint64_t connect_ms; /* when it is over time; 0: never */
    uint64_t dying_from;
    size_t window_bytes;
    size_t after_pause_bytes; /* may be delivered although it is paused */
    struct buffer in;
    size_t in_at; /* delivered so far */
    size_t *cuts; /* offsets into `in`, ascending */
    size_t cuts_count;
    struct buffer out;
};

/* One send between the call and its settlement. */
struct lent {
    uint32_t slot;
    bool done; /* the outcome below is known */
    size_t sent_bytes;
    int status;
    uint64_t hash; /* of the bytes when they were lent */
    unsigned pieces_count;
    struct iovec pieces[FW_ENGINE_PIECES_MAX];
};

/* A delivery that the owner keeps until its sends are settled. */
struct kept {
    uint8_t *bytes;
    size_t bytes_count;
};

enum ticket_state { TICKET_FREE, TICKET_HELD, TICKET_MOVING };

struct ticket {
    enum ticket_state state;
    int status;
};

struct fw_sim {
    struct fw_engine base;
    struct fw_sim_knobs knobs;
    uint64_t random;
    uint64_t clock_ms;
    pthread_t thread;
    bool in_turn;
    uint32_t slots_max;
    struct slot *slots;
    struct lent *lents; /* slots_max of them */
    uint32_t lents_count;
    bool owner_called; /* after on_turn_end */
    bool delivering;   /* inside on_received */
    bool keeping;      /* and what it delivers is to be kept */
    struct kept *kept;
    size_t kept_count;
    atomic_bool woken;

    bool listening;
    bool accept_paused;
    int accept_status;
    int connect_status; /* of fw_sim_connects */
    uint32_t dialed_last;
    unsigned backlog;
    struct ticket *tickets; /* slots_max of them */

    uint64_t completions;
    uint64_t steps; /* of these, what cannot go on for ever; and sends that moved something */
    uint64_t steps_seen;
    unsigned idle_turns; /* in a row, at this moment of its clock */
    void (*hook)(void *context, struct fw_sim *sim, uint64_t completion);
    void *hook_context;
};

static inline bool is_alive(const struct slot *s)
{
    return s->state == FW_SIM_CONNECTING || s->state == FW_SIM_OPEN;
}

static inline bool has_bytes(const struct slot *s)
{
    return s->state == FW_SIM_OPEN && !s->ended && s->in_at < s->in.count &&
           (!s->paused || s->after_pause_bytes > 0);
}

static inline bool has_end_to_tell(const struct slot *s)
{
    return s->state == FW_SIM_OPEN && s->has_end && !s->ended && !s->paused &&
           s->in_at == s->in.count;
}

static inline bool is_writable(const struct slot *s)
{
    return s->state == FW_SIM_OPEN && s->blocked &&
           (s->window_bytes > 0 || s->refuse_status != 0 || (s->has_end && s->end_status != 0));
}

/* Whether something is to be told of a slot that is connecting. */
static inline bool is_connected(const struct fw_sim *sim, const struct slot *s)
{
    return s->state == FW_SIM_CONNECTING &&
           (s->connect_status <= 0 || (s->connect_ms != 0 && sim->clock_ms >= s->connect_ms));
}

static inline bool can_accept(const struct fw_sim *sim)
{
    return sim->listening && !sim->accept_paused && sim->backlog > 0;
}

static inline uint32_t free_slot(const struct fw_sim *sim)
{
    for (uint32_t i = 0; i < sim->slots_max; i++) {
        if (!is_alive(&sim->slots[i]) && !sim->slots[i].dying)
            return i;
    }
    return FW_SIM_NONE;
}

/* Its argument; aborts when that is NULL. */
void *fw_sim_checked(void *block);

void fw_sim_append(struct buffer *buffer, const void *bytes, size_t bytes_count);

#endif
