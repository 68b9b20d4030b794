/* test_engine_sim.c: the simulator that tests of connections stand on does what it says, and
 * catches an owner that breaks the contract.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/engine_sim.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- an owner that writes down what it is told ----------------------------------------------- */

struct owner {
    struct fw_sim *sim;
    struct fw_engine *engine;
    char story[8192];
    size_t story_bytes;
    uint32_t ticket;
    bool close_when_received;
    bool echo_kept; /* sends what it received from where it stands, if it may */
};

__attribute__((format(printf, 2, 3))) static void tell(struct owner *owner, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(owner->story + owner->story_bytes,
                          sizeof owner->story - owner->story_bytes, format, arguments);
    va_end(arguments);
    owner->story_bytes += (size_t)count;
    cr_assert_lt(owner->story_bytes, sizeof owner->story);
}

static void on_adopted(void *context, uint32_t slot, uint32_t tag)
{
    tell(context, "adopted %u tag %u\n", slot, tag);
}

static void on_received(void *context, uint32_t slot, uint8_t *bytes, size_t bytes_count)
{
    struct owner *owner = context;
    tell(owner, "received %u '%.*s'\n", slot, (int)bytes_count, (const char *)bytes);
    struct iovec piece = {.iov_base = bytes, .iov_len = bytes_count};
    if (owner->echo_kept && fw_engine_keep(owner->engine) && fw_engine_keep(owner->engine))
        fw_engine_send(owner->engine, slot, &piece, 1);
    if (owner->close_when_received)
        fw_engine_close(owner->engine, slot, false);
}

static void on_ended(void *context, uint32_t slot, int status)
{
    tell(context, "ended %u %d\n", slot, status);
}

static void on_unsent(void *context, uint32_t slot, size_t sent_bytes, int status)
{
    tell(context, "unsent %u after %zu %s\n", slot, sent_bytes, strerror(-status));
}

static void on_settled(void *context)
{
    tell(context, "settled\n");
}

static void on_writable(void *context, uint32_t slot)
{
    tell(context, "writable %u\n", slot);
}

static void on_closed(void *context, uint32_t slot)
{
    tell(context, "closed %u\n", slot);
}

static void on_wake(void *context)
{
    tell(context, "wake\n");
}

static void on_accepted(void *context, uint32_t ticket, const struct sockaddr *peer,
                        socklen_t peer_bytes)
{
    struct owner *owner = context;
    owner->ticket = ticket;
    tell(owner, "accepted %u family %d\n", ticket, peer->sa_family);
    (void)peer_bytes;
}

static void on_accept_paused(void *context, int status)
{
    tell(context, "accept paused %s\n", strerror(-status));
}

static void on_handed_over(void *context, uint32_t ticket, int status)
{
    tell(context, "handed over %u %s\n", ticket, status == 0 ? "well" : strerror(-status));
}

static const struct fw_engine_events events = {
    .on_adopted = on_adopted,
    .on_received = on_received,
    .on_ended = on_ended,
    .on_unsent = on_unsent,
    .on_settled = on_settled,
    .on_writable = on_writable,
    .on_closed = on_closed,
    .on_wake = on_wake,
    .on_accepted = on_accepted,
    .on_accept_paused = on_accept_paused,
    .on_handed_over = on_handed_over,
};

static struct owner owner;

static void create(uint64_t seed)
{
    const struct fw_engine_options options = {.slots_max = 4, .owner = &owner, .events = &events};
    memset(&owner, 0, sizeof owner);
    owner.sim = fw_sim_create(&options, seed);
    owner.engine = fw_sim_engine(owner.sim);
}

/* Runs, and compares what was told meanwhile. */
static void expect(const char *story)
{
    fw_sim_run(owner.sim);
    cr_assert_str_eq(owner.story, story, "was told:\n%swanted:\n%s", owner.story, story);
    owner.story_bytes = 0;
    owner.story[0] = '\0';
}

static uint32_t connect_one(void)
{
    uint32_t slot = fw_sim_connect(owner.sim, 9);
    fw_sim_run(owner.sim);
    owner.story_bytes = 0;
    owner.story[0] = '\0';
    return slot;
}

static void send_text(uint32_t slot, const char *text)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    fw_engine_send(owner.engine, slot, &piece, 1);
}

/* ---- what the peer does ---------------------------------------------------------------------- */

Test(engine_sim, delivers_bytes_and_then_the_end)
{
    create(1);
    uint32_t slot = fw_sim_connect(owner.sim, 7);
    fw_sim_peer_send(owner.sim, slot, "hel", 3);
    fw_sim_peer_send(owner.sim, slot, "lo", 2);
    fw_sim_peer_end(owner.sim, slot, 0);
    fw_sim_peer_send(owner.sim, slot, "lost", 4);
    expect("adopted 0 tag 7\nreceived 0 'hello'\nended 0 0\n");
    fw_sim_destroy(owner.sim);
}

Test(engine_sim, cuts_where_it_is_told)
{
    create(1);
    uint32_t slot = connect_one();
    for (const char *c = "abc"; *c != '\0'; c++) {
        fw_sim_peer_cut(owner.sim, slot);
        fw_sim_peer_send(owner.sim, slot, c, 1);
    }
    expect("received 0 'a'\nreceived 0 'b'\nreceived 0 'c'\n");
    fw_sim_knobs(owner.sim)->receive_bytes_max = 2;
    fw_sim_peer_send(owner.sim, slot, "defgh", 5);
    expect("received 0 'de'\nreceived 0 'fg'\nreceived 0 'h'\n");
    fw_sim_destroy(owner.sim);
}

Test(engine_sim, a_reset_loses_what_was_not_delivered_and_fails_sends)
{
    create(1);
    uint32_t slot = connect_one();
    fw_sim_peer_send(owner.sim, slot, "lost", 4);
    fw_sim_peer_end(owner.sim, slot, -ECONNRESET);
    fw_engine_turn(owner.engine, 0);
    send_text(slot, "into the void");
    expect("ended 0 -104\nunsent 0 after 0 Broken pipe\nsettled\n");
    fw_sim_destroy(owner.sim);
}

Test(engine_sim, pause_holds_bytes_and_the_end_back)
{
    create(1);
    uint32_t slot = connect_one();
    fw_engine_pause(owner.engine, slot);
    cr_assert(fw_sim_is_paused(owner.sim, slot));
    fw_sim_peer_send(owner.sim, slot, "later", 5);
    fw_sim_peer_end(owner.sim, slot, 0);
    expect("");
    fw_engine_resume(owner.engine, slot);
    expect("received 0 'later'\nended 0 0\n");
    fw_sim_destroy(owner.sim);
}

/* ---- sends ----------------------------------------------------------------------------------- */

Test(engine_sim, a_send_takes_what_the_window_takes)
{
    for (int late = 0; late <= 1; late++) {
        create(1);
        fw_sim_knobs(owner.sim)->settle_late = late;
        uint32_t slot = connect_one();
        send_text(slot, "whole");
        expect("settled\n");
        fw_sim_peer_window(owner.sim, slot, 3);
        send_text(slot, "abcdef");
        expect("unsent 0 after 3 Resource temporarily unavailable\nsettled\n");
        fw_sim_peer_window(owner.sim, slot, SIZE_MAX);
        expect("writable 0\n");
        send_text(slot, "def");
        expect("settled\n");
        struct fw_bytes sent = fw_sim_sent(owner.sim, slot);
        cr_assert_eq(sent.count, 11u);
        cr_assert_arr_eq(sent.at, "wholeabcdef", 11);
        fw_sim_sent_clear(owner.sim, slot);
        cr_assert_eq(fw_sim_sent(owner.sim, slot).count, 0u);
        cr_assert_eq(fw_engine_stats(owner.engine)->sends, 3u);
        cr_assert_eq(fw_engine_stats(owner.engine)->sends_unsent, 1u);
        fw_sim_destroy(owner.sim);
    }
}

Test(engine_sim, kept_bytes_can_be_sent_from_where_they_stand)
{
    for (int late = 0; late <= 1; late++) {
        create(1);
        fw_sim_knobs(owner.sim)->settle_late = late;
        uint32_t slot = connect_one();
        owner.echo_kept = true;
        fw_sim_peer_send(owner.sim, slot, "copy me", 7);
        expect("received 0 'copy me'\n"); /* keeping is off: the engine said no */
        fw_sim_knobs(owner.sim)->keep_percent = 100;
        fw_sim_peer_send(owner.sim, slot, "keep me", 7);
        expect("received 0 'keep me'\nsettled\n");
        struct fw_bytes sent = fw_sim_sent(owner.sim, slot);
        cr_assert_eq(sent.count, 7u);
        cr_assert_arr_eq(sent.at, "keep me", 7);
        fw_sim_destroy(owner.sim);
    }
}

Test(engine_sim, a_send_may_be_refused)
{
    create(1);
    uint32_t slot = connect_one();
    fw_sim_peer_refuse(owner.sim, slot, -EPIPE);
    send_text(slot, "x");
    expect("unsent 0 after 0 Broken pipe\nsettled\n");
    fw_sim_destroy(owner.sim);
}

/* ---- lives ----------------------------------------------------------------------------------- */

Test(engine_sim, a_closed_slot_hears_of_its_death_alone_and_is_used_again)
{
    create(1);
    owner.close_when_received = true;
    uint32_t slot = connect_one();
    fw_sim_knobs(owner.sim)->receive_bytes_max = 1;
    fw_sim_peer_send(owner.sim, slot, "abc", 3);
    fw_sim_peer_end(owner.sim, slot, 0);
    expect("received 0 'a'\nclosed 0\n");
    cr_assert_eq(fw_sim_state(owner.sim, slot), FW_SIM_CLOSED);
    cr_assert_eq(fw_sim_slots_count(owner.sim), 0u);
    cr_assert_eq(fw_sim_connect(owner.sim, 8), slot);
    cr_assert_eq(fw_sim_state(owner.sim, slot), FW_SIM_CONNECTING);
    expect("adopted 0 tag 8\n");
    fw_engine_close(owner.engine, slot, true);
    expect("closed 0\n");
    cr_assert_eq(fw_sim_state(owner.sim, slot), FW_SIM_ABORTED);
    fw_sim_destroy(owner.sim);
}

/* A farewell: the send is out, the close follows, its failure is nobody's business any more. */
Test(engine_sim, a_send_before_a_close_is_out)
{
    for (int late = 0; late <= 1; late++) {
        create(1);
        fw_sim_knobs(owner.sim)->settle_late = late;
        uint32_t slot = connect_one();
        fw_sim_peer_window(owner.sim, slot, 2);
        send_text(slot, "bye");
        fw_engine_close(owner.engine, slot, false);
        expect("settled\nclosed 0\n");
        cr_assert_eq(fw_sim_sent(owner.sim, slot).count, 2u);
        fw_sim_destroy(owner.sim);
    }
}

Test(engine_sim, shutdown_is_seen_and_receiving_goes_on)
{
    create(1);
    uint32_t slot = connect_one();
    fw_engine_shutdown(owner.engine, slot);
    cr_assert(fw_sim_is_shut(owner.sim, slot));
    fw_sim_peer_send(owner.sim, slot, "more", 4);
    expect("received 0 'more'\n");
    fw_sim_destroy(owner.sim);
}

Test(engine_sim, wakes_and_keeps_time)
{
    create(1);
    fw_engine_wake(owner.engine);
    fw_engine_wake(owner.engine);
    uint64_t before = fw_engine_now_ms(owner.engine);
    fw_sim_advance(owner.sim, 250);
    cr_assert_eq(fw_engine_now_ms(owner.engine), before, "the clock is read in the turn");
    expect("wake\n");
    cr_assert_eq(fw_engine_now_ms(owner.engine), before + 250);
    fw_sim_destroy(owner.sim);
}

/* ---- the acceptor's side --------------------------------------------------------------------- */

Test(engine_sim, accepts_hands_over_and_fills_up)
{
    create(1);
    struct fw_engine_options options = {.slots_max = 1, .owner = &owner, .events = &events};
    struct fw_sim *target = fw_sim_create(&options, 2);
    fw_sim_knock(owner.sim);
    expect("");
    cr_assert_eq(fw_engine_listen(owner.engine, 0), 0);
    expect("accepted 0 family 2\n");
    fw_engine_hand_over(owner.engine, owner.ticket, fw_sim_engine(target), 77);
    expect("handed over 0 well\n");
    fw_sim_run(target);
    expect("adopted 0 tag 77\n");

    fw_sim_knock(owner.sim);
    fw_sim_run(owner.sim);
    fw_engine_hand_over(owner.engine, owner.ticket, fw_sim_engine(target), 78);
    fw_sim_run(owner.sim);
    fw_engine_refuse(owner.engine, owner.ticket);
    expect("accepted 0 family 2\nhanded over 0 Too many open files in system\n");

    fw_sim_accept_fail(owner.sim, -EMFILE);
    fw_sim_knock(owner.sim);
    expect("accept paused Too many open files\n");
    cr_assert_eq(fw_sim_backlog(owner.sim), 1u);
    fw_engine_accept_resume(owner.engine);
    expect("accepted 0 family 2\n");
    fw_sim_destroy(target);
    fw_sim_destroy(owner.sim);
}

/* ---- seeds ----------------------------------------------------------------------------------- */

/* A conversation under shuffled knobs, as its owner heard it. */
static void converse(uint64_t seed, char *story)
{
    create(seed);
    fw_sim_knobs_shuffle(owner.sim);
    fw_sim_knobs(owner.sim)->late_percent = 30;
    uint32_t slots[3];
    for (unsigned i = 0; i < 3; i++) {
        slots[i] = fw_sim_connect(owner.sim, i);
        fw_sim_peer_send(owner.sim, slots[i], "abcdefghijklmnop", 16);
        fw_sim_peer_end(owner.sim, slots[i], 0);
    }
    fw_sim_run(owner.sim);
    memcpy(story, owner.story, sizeof owner.story);
    fw_sim_destroy(owner.sim);
}

Test(engine_sim, tells_the_same_story_for_a_seed_and_others_for_others)
{
    static char first[sizeof owner.story];
    static char second[sizeof owner.story];
    unsigned same = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        converse(seed, first);
        converse(seed, second);
        cr_assert_str_eq(first, second, "seed %llu", (unsigned long long)seed);
        converse(seed + 1, second);
        same += strcmp(first, second) == 0;
    }
    cr_assert_lt(same, 20u, "%u of 100 seeds tell their neighbour's story", same);
}

static void close_behind(void *context, struct fw_sim *sim, uint64_t completion)
{
    const uint64_t *when = context;
    if (completion == *when && fw_sim_state(sim, 0) == FW_SIM_OPEN)
        fw_engine_close(fw_sim_engine(sim), 0, true);
}

/* The hook reaches behind every completion: what follows a close there is on_closed alone. */
Test(engine_sim, lets_a_test_close_behind_every_completion)
{
    static const char *const stories[] = {
        "adopted 0 tag 0\nclosed 0\n",
        "adopted 0 tag 0\nreceived 0 'a'\nclosed 0\n",
        "adopted 0 tag 0\nreceived 0 'a'\nreceived 0 'b'\nclosed 0\n",
        "adopted 0 tag 0\nreceived 0 'a'\nreceived 0 'b'\nended 0 0\nclosed 0\n",
    };
    for (uint64_t when = 1; when <= 4; when++) {
        create(3);
        fw_sim_knobs(owner.sim)->receive_bytes_max = 1;
        fw_sim_after_completion(owner.sim, close_behind, &when);
        uint32_t slot = fw_sim_connect(owner.sim, 0);
        fw_sim_peer_send(owner.sim, slot, "ab", 2);
        fw_sim_peer_end(owner.sim, slot, 0);
        expect(stories[when - 1]);
        cr_assert_eq(fw_sim_completions(owner.sim), when + 1);
        fw_sim_destroy(owner.sim);
    }
}

/* ---- owners that break the contract ---------------------------------------------------------- */

Test(engine_sim_catches, a_send_to_a_closed_slot, .signal = SIGABRT)
{
    create(1);
    uint32_t slot = connect_one();
    fw_engine_close(owner.engine, slot, false);
    send_text(slot, "x");
}

Test(engine_sim_catches, a_send_to_a_slot_that_is_not_adopted_yet, .signal = SIGABRT)
{
    create(1);
    send_text(fw_sim_connect(owner.sim, 0), "x");
}

Test(engine_sim_catches, two_sends_before_they_are_settled, .signal = SIGABRT)
{
    create(1);
    uint32_t slot = connect_one();
    send_text(slot, "x");
    send_text(slot, "y");
}

Test(engine_sim_catches, a_send_behind_a_shutdown, .signal = SIGABRT)
{
    create(1);
    uint32_t slot = connect_one();
    fw_engine_shutdown(owner.engine, slot);
    send_text(slot, "x");
}

Test(engine_sim_catches, too_many_pieces, .signal = SIGABRT)
{
    create(1);
    uint32_t slot = connect_one();
    struct iovec pieces[FW_ENGINE_PIECES_MAX + 1] = {{0}};
    fw_engine_send(owner.engine, slot, pieces, FW_ENGINE_PIECES_MAX + 1);
}

Test(engine_sim_catches, lent_bytes_that_change, .signal = SIGABRT)
{
    create(1);
    uint32_t slot = connect_one();
    char text[] = "lent";
    send_text(slot, text);
    text[0] = 'b';
    fw_sim_run(owner.sim);
}

Test(engine_sim_catches, keeping_what_is_not_being_delivered, .signal = SIGABRT)
{
    create(1);
    connect_one();
    fw_engine_keep(owner.engine);
}

Test(engine_sim_catches, a_second_close, .signal = SIGABRT)
{
    create(1);
    uint32_t slot = connect_one();
    fw_engine_close(owner.engine, slot, false);
    fw_engine_close(owner.engine, slot, true);
}

Test(engine_sim_catches, a_pause_of_a_dead_slot, .signal = SIGABRT)
{
    create(1);
    uint32_t slot = connect_one();
    fw_engine_close(owner.engine, slot, false);
    fw_sim_run(owner.sim);
    fw_engine_pause(owner.engine, slot);
}

Test(engine_sim_catches, a_ticket_that_is_used_twice, .signal = SIGABRT)
{
    create(1);
    fw_engine_listen(owner.engine, 0);
    fw_sim_knock(owner.sim);
    fw_sim_run(owner.sim);
    fw_engine_refuse(owner.engine, owner.ticket);
    fw_engine_refuse(owner.engine, owner.ticket);
}

static void turn_behind(void *context, struct fw_sim *sim, uint64_t completion)
{
    (void)context;
    (void)completion;
    fw_engine_turn(fw_sim_engine(sim), 0);
}

Test(engine_sim_catches, a_turn_inside_a_turn, .signal = SIGABRT)
{
    create(1);
    fw_sim_after_completion(owner.sim, turn_behind, NULL);
    connect_one();
}

static void *close_elsewhere(void *context)
{
    fw_engine_close(owner.engine, *(uint32_t *)context, false);
    return NULL;
}

Test(engine_sim_catches, a_call_from_another_thread, .signal = SIGABRT)
{
    create(1);
    uint32_t slot = connect_one();
    pthread_t thread;
    pthread_create(&thread, NULL, close_elsewhere, &slot);
    pthread_join(thread, NULL);
}

/* ---- owners that spin ------------------------------------------------------------------------ */

static void ignore_turn(void *context)
{
    (void)context;
}

static void create_with(const struct fw_engine_events *its_events)
{
    const struct fw_engine_options options = {
        .slots_max = 4, .owner = &owner, .events = its_events};
    memset(&owner, 0, sizeof owner);
    owner.sim = fw_sim_create(&options, 1);
    owner.engine = fw_sim_engine(owner.sim);
}

static void ignore_pause(void *context, int status)
{
    (void)context;
    (void)status;
}

static void wake_again(void *context)
{
    fw_engine_wake(((struct owner *)context)->engine);
}

Test(engine_sim_catches, one_who_wakes_itself_for_ever, .signal = SIGABRT)
{
    static const struct fw_engine_events its_events = {.on_wake = wake_again,
                                                       .on_turn_end = ignore_turn};
    create_with(&its_events);
    fw_engine_wake(owner.engine);
    fw_sim_run(owner.sim);
}

static void resume_again(void *context)
{
    struct owner *self = context;
    fw_engine_accept_resume(self->engine);
    fw_sim_accept_fail(self->sim, -EMFILE);
}

Test(engine_sim_catches, one_who_accepts_again_without_descriptors, .signal = SIGABRT)
{
    static const struct fw_engine_events its_events = {.on_accept_paused = ignore_pause,
                                                       .on_turn_end = resume_again};
    create_with(&its_events);
    fw_engine_listen(owner.engine, 0);
    fw_sim_accept_fail(owner.sim, -EMFILE);
    fw_sim_knock(owner.sim);
    fw_sim_run(owner.sim);
}

/* One who asks for turns from outside of fw_sim_run, as a rig does for its dirty list. */
Test(engine_sim_catches, run_upon_run_in_which_nothing_moves, .signal = SIGABRT)
{
    static const struct fw_engine_events its_events = {.on_turn_end = ignore_turn};
    create_with(&its_events);
    for (unsigned i = 0; i < 1000; i++)
        fw_sim_run(owner.sim);
}

#define DRIPPED_BYTES 150000u

static void drip(struct owner *self, uint32_t slot)
{
    static uint8_t bytes[2];
    const struct iovec piece = {.iov_base = bytes, .iov_len = sizeof bytes};
    if (fw_sim_sent(self->sim, slot).count < DRIPPED_BYTES)
        fw_engine_send(self->engine, slot, &piece, 1);
}

static void drip_on(void *context, uint32_t slot)
{
    drip(context, slot);
}

static void wait_to_drip(void *context, uint32_t slot, size_t sent_bytes, int status)
{
    (void)context;
    (void)slot;
    (void)sent_bytes;
    (void)status;
}

static void begin_to_drip(void *context, uint32_t slot, uint32_t tag)
{
    (void)tag;
    drip(context, slot);
}

Test(engine_sim, takes_a_long_drip_for_no_spin, .timeout = 60)
{
    static const struct fw_engine_events its_events = {.on_adopted = begin_to_drip,
                                                       .on_unsent = wait_to_drip,
                                                       .on_writable = drip_on,
                                                       .on_settled = ignore_turn,
                                                       .on_turn_end = ignore_turn};
    create_with(&its_events);
    fw_sim_knobs(owner.sim)->send_bytes_max = 1;
    uint32_t slot = fw_sim_connect(owner.sim, 0);
    cr_assert_gt(fw_sim_run(owner.sim), DRIPPED_BYTES);
    cr_assert_eq(fw_sim_sent(owner.sim, slot).count, DRIPPED_BYTES);
    fw_sim_destroy(owner.sim);
}
