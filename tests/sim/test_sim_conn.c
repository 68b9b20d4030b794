/* test_sim_conn.c: what net/conn promises, each by itself, on the simulator: flushing, pausing,
 * lingering, timers, stopping.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/sim_rig.h"

#include "base/limits.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Connects a peer that sends a handshake and a few texts, NULL-terminated. */
static uint32_t connect_peer(struct sim_rig *rig, const char *path, const char *const *texts)
{
    struct ws_stream script = {0};
    uint32_t slot = fw_sim_connect(rig->sim, 0);
    sim_script_open(&script, path);
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
        sim_script_text(&script, texts[i]);
    fw_sim_peer_send(rig->sim, slot, script.bytes, script.bytes_count);
    ws_stream_clear(&script);
    return slot;
}

static void peer_says(struct sim_rig *rig, uint32_t slot, const char *text)
{
    struct ws_stream script = {0};
    sim_script_text(&script, text);
    fw_sim_peer_send(rig->sim, slot, script.bytes, script.bytes_count);
    ws_stream_clear(&script);
}

static void peer_closes(struct sim_rig *rig, uint32_t slot)
{
    struct ws_stream script = {0};
    sim_script_close(&script);
    fw_sim_peer_send(rig->sim, slot, script.bytes, script.bytes_count);
    ws_stream_clear(&script);
}

static char *text_of(char first, size_t count)
{
    char *text = malloc(count + 1);
    memset(text, first, count);
    text[count] = '\0';
    return text;
}

static void open_and_close(bool settle_late)
{
    struct sim_rig *rig = sim_create(2, 1);
    fw_sim_knobs(rig->sim)->settle_late = settle_late;
    uint32_t slot = connect_peer(rig, "/room", (const char *const[]){"eone", "etwo", NULL});
    sim_run(rig);
    cr_assert_str_eq(sim_frames(rig, slot), "text(welcome) text(eone) text(etwo)");
    peer_closes(rig, slot);
    sim_run(rig);
    cr_assert_str_eq(sim_frames(rig, slot), "text(welcome) text(eone) text(etwo) close(1000)");
    cr_assert_eq(fw_sim_state(rig->sim, slot), FW_SIM_CLOSED);
    cr_assert_eq(rig->codes[1000], 1u);
    cr_assert_eq(rig->gone, 1u);
    cr_assert_eq(rig->conns.live_count, 0u);
    sim_destroy(rig);
}

Test(sim_conn, serves_a_session_from_handshake_to_close)
{
    open_and_close(false);
    open_and_close(true);
}

Test(sim_conn, sends_once_a_turn_what_many_messages_brought)
{
    struct sim_rig *rig = sim_create(2, 1);
    uint32_t slot = connect_peer(rig, "/", NULL);
    sim_run(rig);
    uint64_t before = fw_engine_stats(fw_sim_engine(rig->sim))->sends;
    for (unsigned i = 0; i < 16; i++)
        peer_says(rig, slot, "echo");
    sim_run(rig);
    cr_assert_eq(fw_engine_stats(fw_sim_engine(rig->sim))->sends, before + 1);
    sim_destroy(rig);
}

Test(sim_conn, fans_out_to_every_subscriber_and_to_no_other)
{
    struct sim_rig *rig = sim_create(8, 1);
    uint32_t slots[8];
    for (unsigned i = 0; i < 8; i++)
        slots[i] = connect_peer(rig, i % 2 == 0 ? "/room" : "/", NULL);
    sim_run(rig);
    peer_says(rig, slots[1], "phello");
    sim_run(rig);
    for (unsigned i = 0; i < 8; i++)
        cr_assert_str_eq(sim_frames(rig, slots[i]), i % 2 == 0 ? "text(welcome) text(phello)" : "");
    sim_destroy(rig);
}

/* 64 pieces is what one send takes. */
Test(sim_conn, sends_more_pieces_than_one_send_takes_in_order)
{
    enum { MESSAGES = 200 };
    struct sim_rig *rig = sim_create(1, 1);
    rig->rules.output_bytes_max = 1u << 30;
    uint32_t slot = connect_peer(rig, "/room", NULL);
    sim_run(rig);
    fw_sim_sent_clear(rig->sim, slot);
    struct ws_stream wanted = {0};
    for (unsigned i = 0; i < MESSAGES; i++) {
        char *text = text_of((char)('A' + i % 26), 40000 + i); /* two are not joined */
        cr_assert(sim_publish(rig, text, 40000 + i));
        ws_stream_frame(&wanted, WS_FIN | FW_WS_TEXT, text, 40000 + i);
        free(text);
    }
    sim_run(rig);
    struct fw_bytes sent = fw_sim_sent(rig->sim, slot);
    cr_assert_eq(sent.count, wanted.bytes_count);
    cr_assert_eq(memcmp(sent.at, wanted.bytes, sent.count), 0);
    ws_stream_clear(&wanted);
    sim_destroy(rig);
}

/* ---- peers that do not read ------------------------------------------------------------------ */

Test(sim_conn, pauses_a_peer_that_does_not_read_and_resumes_it)
{
    struct sim_rig *rig = sim_create(1, 1);
    char *text = text_of('e', 10000);
    uint32_t slot = connect_peer(rig, "/", NULL);
    sim_run(rig);
    fw_sim_peer_window(rig->sim, slot, 100);
    for (unsigned i = 0; i < 20; i++) {
        peer_says(rig, slot, text);
        sim_run(rig);
    }
    cr_assert(fw_sim_is_paused(rig->sim, slot));
    cr_assert_leq(sim_session(rig, slot)->outq.queued_bytes, 16384u + 10004);
    fw_sim_peer_window(rig->sim, slot, SIZE_MAX);
    sim_run(rig);
    cr_assert_not(fw_sim_is_paused(rig->sim, slot));
    cr_assert_eq(fw_sim_sent(rig->sim, slot).count, 129u + 20 * 10004);
    free(text);
    sim_destroy(rig);
}

Test(sim_conn, lets_the_program_fill_the_budget_again_each_time_it_drains)
{
    struct sim_rig *rig = sim_create(1, 1); /* one slot: the dirty list is as short as can be */
    uint32_t slot = connect_peer(rig, "/", (const char *const[]){"f9", "f9", "f9", NULL});
    fw_sim_knobs(rig->sim)->send_bytes_max = 5000;
    sim_run(rig);
    cr_assert(rig->answered_busy);
    cr_assert_geq(rig->drained, 2u);
    cr_assert_eq(fw_sim_sent(rig->sim, slot).count, 129u + 270 * 1004);
    sim_destroy(rig);
}

/* Every slot is in the dirty list, and every one is changed again while the list is flushed. */
Test(sim_conn, has_room_for_changes_that_flushing_itself_brings)
{
    struct sim_rig *rig = sim_create(SIM_SLOTS_MAX, 1);
    rig->rules.output_bytes_max = FW_OUTPUT_BYTES_MIN;
    rig->rules.output_soft_bytes = FW_OUTPUT_BYTES_MIN / 4;
    for (uint32_t i = 0; i < SIM_SLOTS_MAX; i++)
        connect_peer(rig, "/", (const char *const[]){"f1", "f1", "f1", NULL});
    sim_run(rig);
    for (uint32_t i = 0; i < SIM_SLOTS_MAX; i++)
        cr_assert_eq(fw_sim_sent(rig->sim, i).count, 129u + 30 * 1004);
    cr_assert_geq(rig->drained, (unsigned)SIM_SLOTS_MAX);
    sim_destroy(rig);
}

Test(sim_conn, closes_a_slow_consumer_with_1013_and_disturbs_no_other)
{
    struct sim_rig *rig = sim_create(3, 1);
    uint32_t slow = connect_peer(rig, "/room", NULL);
    uint32_t fast = connect_peer(rig, "/room", NULL);
    char *text = text_of('m', 10000);
    sim_run(rig);
    fw_sim_peer_window(rig->sim, slow, 100);
    for (unsigned i = 0; i < 20; i++) {
        cr_assert(sim_publish(rig, text, 10000));
        sim_run(rig);
    }
    cr_assert_eq(rig->codes[1013], 1u);
    cr_assert_eq(fw_sim_sent(rig->sim, fast).count, 129u + 9 + 20 * 10004);
    fw_sim_peer_window(rig->sim, slow, SIZE_MAX);
    sim_run(rig);
    const char *frames = sim_frames(rig, slow);
    cr_assert_eq(strncmp(frames, "text(welcome) text(#10000:", 26), 0);
    cr_assert_str_eq(frames + strlen(frames) - 43, " close(1013 too slow: reconnect and resume)");
    cr_assert(fw_sim_is_shut(rig->sim, slow));
    free(text);
    sim_destroy(rig);
}

/* A send that takes nothing after one that took a part: what is partly on the wire stays begun. */
static void close_window(void *context, struct fw_sim *sim, uint64_t completion)
{
    (void)completion;
    if (fw_sim_sent(sim, *(uint32_t *)context).count > 0)
        fw_sim_peer_window(sim, *(uint32_t *)context, 0);
}

Test(sim_conn, does_not_cut_a_message_in_two_when_it_gives_up_on_a_slow_consumer)
{
    struct sim_rig *rig = sim_create(1, 1);
    uint32_t slot = connect_peer(rig, "/room", NULL);
    char *text = text_of('m', 30000);
    sim_run(rig);
    fw_sim_sent_clear(rig->sim, slot);
    fw_sim_peer_window(rig->sim, slot, 100);
    cr_assert(sim_publish(rig, text, 30000));
    sim_run(rig); /* 100 octets of it are out */
    /* on_writable, and then the window closes before anything is sent. */
    fw_sim_after_completion(rig->sim, close_window, &slot);
    fw_sim_peer_window(rig->sim, slot, 50);
    sim_run(rig);
    fw_sim_after_completion(rig->sim, NULL, NULL);
    cr_assert_eq(fw_sim_sent(rig->sim, slot).count, 100u);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert(sim_publish(rig, text, 30000));
        sim_run(rig);
    }
    cr_assert_eq(rig->codes[1013], 1u);
    fw_sim_peer_window(rig->sim, slot, SIZE_MAX);
    sim_run(rig);
    struct fw_bytes sent = fw_sim_sent(rig->sim, slot);
    cr_assert_eq(sent.count, 30004u + 2 + 2 + 30, "the whole message, then the close");
    free(text);
    sim_destroy(rig);
}

/* ---- ends ------------------------------------------------------------------------------------ */

Test(sim_conn, says_FIN_after_a_failure_and_closes_when_the_peer_does_or_after_a_second)
{
    for (unsigned peer_ends = 0; peer_ends < 2; peer_ends++) {
        struct sim_rig *rig = sim_create(1, 1);
        uint32_t slot = connect_peer(rig, "/", NULL);
        sim_run(rig);
        fw_sim_peer_send(rig->sim, slot, "\x81\x01x", 3); /* not masked */
        sim_run(rig);
        cr_assert(fw_sim_is_shut(rig->sim, slot));
        cr_assert_eq(rig->codes[1002], 1u);
        peer_says(rig, slot, "swallowed");
        if (peer_ends)
            fw_sim_peer_end(rig->sim, slot, 0);
        sim_run(rig);
        cr_assert_eq(fw_sim_state(rig->sim, slot), peer_ends ? FW_SIM_CLOSED : FW_SIM_OPEN);
        sim_pass(rig, 1200);
        cr_assert_eq(fw_sim_state(rig->sim, slot), peer_ends ? FW_SIM_CLOSED : FW_SIM_ABORTED);
        sim_destroy(rig);
    }
}

Test(sim_conn, aborts_what_a_broken_send_tells_of)
{
    struct sim_rig *rig = sim_create(1, 1);
    uint32_t slot = connect_peer(rig, "/", NULL);
    sim_run(rig);
    fw_sim_peer_refuse(rig->sim, slot, -EPIPE);
    peer_says(rig, slot, "echo");
    sim_run(rig);
    cr_assert_eq(fw_sim_state(rig->sim, slot), FW_SIM_ABORTED);
    cr_assert_eq(rig->codes[1006], 1u);
    sim_destroy(rig);
}

Test(sim_conn, answers_before_it_heeds_a_FIN)
{
    struct sim_rig *rig = sim_create(1, 1);
    uint32_t slot = connect_peer(rig, "/", (const char *const[]){"eone", NULL});
    peer_closes(rig, slot);
    fw_sim_peer_end(rig->sim, slot, 0);
    sim_run(rig);
    cr_assert_str_eq(sim_frames(rig, slot), "text(eone) close(1000)");
    cr_assert_eq(rig->codes[1000], 1u);
    cr_assert_eq(fw_sim_state(rig->sim, slot), FW_SIM_CLOSED);
    sim_destroy(rig);
}

static void tell_the_others(struct sim_rig *rig, struct fw_session *session)
{
    for (uint32_t i = 0; i < rig->conns.slots_max; i++) {
        struct fw_session *other = sim_session(rig, i);
        if (other != session && other->host != NULL)
            fw_ws_session_send(other, FW_WS_TEXT, fw_bytes_of("one left"));
    }
}

/* on_close runs while the dirty list is flushed: what it sends to others goes out all the same,
 * whether they stand before or behind it in the list, or not in it. */
Test(sim_conn, sends_to_others_what_on_close_says)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct sim_rig *rig = sim_create(4, seed);
        rig->on_closed = tell_the_others;
        fw_sim_knobs(rig->sim)->settle_late = seed % 2 == 0;
        uint32_t slots[4];
        for (unsigned i = 0; i < 4; i++)
            slots[i] = connect_peer(rig, "/room", NULL);
        sim_run(rig);
        peer_says(rig, slots[0], "e1");
        peer_says(rig, slots[1], "p2");
        fw_sim_peer_end(rig->sim, slots[2], seed % 3 == 0 ? -ECONNRESET : 0);
        sim_run(rig);
        cr_assert_not_null(strstr(sim_frames(rig, slots[0]), "text(one left)"), "seed %u", seed);
        cr_assert_not_null(strstr(sim_frames(rig, slots[1]), "text(one left)"), "seed %u", seed);
        cr_assert_not_null(strstr(sim_frames(rig, slots[3]), "text(one left)"), "seed %u", seed);
        rig->on_closed = NULL;
        sim_destroy(rig);
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

Test(sim_conn, ends_a_connection_that_never_finishes_its_handshake)
{
    struct sim_rig *rig = sim_create(2, 1);
    uint32_t silent = fw_sim_connect(rig->sim, 0);
    uint32_t dripping = fw_sim_connect(rig->sim, 0);
    for (unsigned i = 0; i < 49; i++) {
        fw_sim_peer_send(rig->sim, dripping, "G", 1);
        if (i == 0)
            fw_sim_peer_send(rig->sim, dripping, "ET /", 4);
        sim_pass(rig, 100);
    }
    sim_pass(rig, 1000);
    cr_assert_eq(fw_sim_state(rig->sim, silent), FW_SIM_CLOSED);
    cr_assert_eq(fw_sim_sent(rig->sim, silent).count, 0u);
    cr_assert(fw_sim_is_shut(rig->sim, dripping) ||
              fw_sim_state(rig->sim, dripping) != FW_SIM_OPEN);
    cr_assert_eq(memcmp(fw_sim_sent(rig->sim, dripping).at, "HTTP/1.1 408", 12), 0);
    sim_destroy(rig);
}

Test(sim_conn, ends_a_peer_that_is_silent_and_no_other)
{
    struct sim_rig *rig = sim_create(2, 1);
    uint32_t silent = connect_peer(rig, "/", NULL);
    uint32_t talking = connect_peer(rig, "/", NULL);
    for (unsigned i = 0; i < 42; i++) {
        peer_says(rig, talking, "x");
        sim_pass(rig, 1000);
    }
    cr_assert_eq(fw_sim_state(rig->sim, silent), FW_SIM_ABORTED);
    cr_assert_str_eq(sim_frames(rig, silent), "ping()");
    cr_assert_eq(fw_sim_state(rig->sim, talking), FW_SIM_OPEN);
    sim_destroy(rig);
}

/* It reads slowly but steadily, and so owes its pongs behind input that we do not take. */
Test(sim_conn, takes_reading_for_a_sign_of_life)
{
    struct sim_rig *rig = sim_create(1, 1);
    char *text = text_of('e', 30000);
    uint32_t slot = connect_peer(rig, "/", NULL);
    sim_run(rig);
    fw_sim_peer_window(rig->sim, slot, 100);
    for (unsigned i = 0; i < 10; i++)
        peer_says(rig, slot, text);
    sim_run(rig);
    cr_assert(fw_sim_is_paused(rig->sim, slot));
    for (unsigned i = 0; i < 60; i++) {
        fw_sim_peer_window(rig->sim, slot, 1000);
        sim_pass(rig, 2000);
        cr_assert_eq(fw_sim_state(rig->sim, slot), FW_SIM_OPEN, "after %u s", 2 * i);
    }
    sim_pass(rig, 42000); /* now it reads no more */
    cr_assert_eq(fw_sim_state(rig->sim, slot), FW_SIM_ABORTED);
    free(text);
    sim_destroy(rig);
}

/* ---- stopping -------------------------------------------------------------------------------- */

Test(sim_conn, stops_every_connection_whatever_it_is_doing)
{
    struct sim_rig *rig = sim_create(6, 1);
    uint32_t answering = connect_peer(rig, "/room", NULL);
    uint32_t mute = connect_peer(rig, "/room", NULL);
    uint32_t deaf = connect_peer(rig, "/room", NULL);
    uint32_t half = fw_sim_connect(rig->sim, 0);
    uint32_t closing = connect_peer(rig, "/", (const char *const[]){"c", NULL});
    uint32_t failed = connect_peer(rig, "/", NULL);
    char *text = text_of('m', 30000);
    fw_sim_peer_send(rig->sim, half, "GET / HT", 8);
    sim_run(rig);
    fw_sim_peer_send(rig->sim, failed, "\x81\x01x", 3);
    fw_sim_peer_window(rig->sim, deaf, 10);
    cr_assert(sim_publish(rig, text, 30000));
    sim_run(rig);
    sim_stop(rig);
    sim_run(rig);
    peer_closes(rig, answering);
    sim_run(rig);
    cr_assert_eq(fw_sim_state(rig->sim, answering), FW_SIM_CLOSED);
    cr_assert_eq(fw_sim_state(rig->sim, half), FW_SIM_CLOSED);
    const char *frames = sim_frames(rig, mute);
    cr_assert_not_null(strstr(frames, "close(1001 the server is stopping)"));
    sim_pass(rig, 6000);
    cr_assert_eq(fw_sim_state(rig->sim, mute), FW_SIM_ABORTED);
    cr_assert_eq(fw_sim_state(rig->sim, deaf), FW_SIM_ABORTED);
    cr_assert_neq(fw_sim_state(rig->sim, closing), FW_SIM_OPEN);
    cr_assert_neq(fw_sim_state(rig->sim, failed), FW_SIM_OPEN);
    cr_assert_eq(rig->conns.live_count, 0u);
    cr_assert_eq(rig->codes[1001], 3u);
    free(text);
    sim_destroy(rig);
}

/* ---- consumers that stay behind -------------------------------------------------------------- */

/* A connection to "room" that takes `window` bytes of the `count` published to it. */
static uint32_t fall_behind(struct sim_rig *rig, size_t window, size_t count)
{
    uint32_t slot = connect_peer(rig, "/room", NULL);
    sim_run(rig);
    fw_sim_peer_window(rig->sim, slot, window);
    char *text = text_of('b', count);
    cr_assert(sim_publish(rig, text, count));
    free(text);
    sim_run(rig);
    return slot;
}

/* SECURITY.md: 256 KiB owed for 10 s; here with a budget of 64 KiB, so 16 KiB. */
Test(sim_conn, a_consumer_behind_for_ten_seconds_is_closed_with_1013)
{
    struct sim_rig *rig = sim_create(2, 1);
    rig->rules.output_slow_bytes = 16384;
    uint32_t slot = fall_behind(rig, 100, 20000);
    sim_pass(rig, FW_SLOW_MS - 200);
    cr_assert_eq(rig->codes[1013], 0u);
    sim_pass(rig, 400);
    cr_assert_eq(rig->codes[1013], 1u);
    cr_assert_eq(rig->conns.host.slow_closed, 1u);
    fw_sim_peer_window(rig->sim, slot, SIZE_MAX);
    sim_run(rig);
    const char *frames = sim_frames(rig, slot);
    cr_assert_not_null(strstr(frames, "close(1013"), "what had begun comes whole, then: %.200s",
                       frames);
    sim_destroy(rig);
}

Test(sim_conn, a_consumer_that_catches_up_in_time_stays)
{
    struct sim_rig *rig = sim_create(2, 1);
    rig->rules.output_slow_bytes = 16384;
    uint32_t slot = fall_behind(rig, 100, 20000);
    sim_pass(rig, 6000);
    fw_sim_peer_window(rig->sim, slot, 10000); /* under the mark, though blocked still */
    sim_run(rig);
    sim_pass(rig, 6000);
    cr_assert_eq(rig->codes[1013], 0u);
    /* Behind once more: its ten seconds begin anew. */
    char *text = text_of('c', 20000);
    cr_assert(sim_publish(rig, text, 20000));
    free(text);
    sim_run(rig);
    sim_pass(rig, FW_SLOW_MS - 400);
    cr_assert_eq(rig->codes[1013], 0u);
    sim_pass(rig, 600);
    cr_assert_eq(rig->codes[1013], 1u);
    sim_destroy(rig);
}

/* The mark is passed in turns: what was caught up with in between does not count together. */
Test(sim_conn, a_consumer_that_falls_behind_again_and_again_stays)
{
    struct sim_rig *rig = sim_create(2, 1);
    rig->rules.output_slow_bytes = 16384;
    uint32_t slot = fall_behind(rig, 0, 20000);
    for (unsigned i = 0; i < 10; i++) {
        sim_pass(rig, 3000);
        fw_sim_peer_window(rig->sim, slot, SIZE_MAX); /* all of it */
        sim_run(rig);
        fw_sim_peer_window(rig->sim, slot, 0);
        char *text = text_of('d', 20000);
        cr_assert(sim_publish(rig, text, 20000));
        free(text);
        sim_run(rig);
        cr_assert_eq(rig->codes[1013], 0u, "round %u", i);
    }
    sim_destroy(rig);
}

/* With pings off, the timer that was set for a consumer that caught up must not ping. */
Test(sim_conn, a_consumer_that_caught_up_is_not_pinged_where_pings_are_off)
{
    struct sim_rig *rig = sim_create(2, 1);
    rig->rules.output_slow_bytes = 16384;
    rig->rules.ping_interval_ms = 0;
    uint32_t slot = fall_behind(rig, 100, 20000);
    fw_sim_peer_window(rig->sim, slot, SIZE_MAX);
    sim_run(rig);
    fw_sim_sent_clear(rig->sim, slot);
    sim_pass(rig, 60000);
    cr_assert_eq(fw_sim_sent(rig->sim, slot).count, 0u);
    cr_assert_eq(fw_sim_state(rig->sim, slot), FW_SIM_OPEN);
    sim_destroy(rig);
}

/* ---- visits ---------------------------------------------------------------------------------- */

struct visits {
    uint32_t slots[SIM_SLOTS_MAX];
    unsigned count;
    bool ends; /* each session, as it is visited */
};

static void note_visit(struct fw_session *session, void *context)
{
    struct visits *visits = context;
    visits->slots[visits->count++] = ((struct fw_conn *)(void *)session)->slot;
    if (visits->ends)
        fw_session_finish(session, FW_END_ABORT);
}

Test(sim_conn, visits_live_connections_some_slots_at_a_time)
{
    struct sim_rig *rig = sim_create(8, 1);
    struct visits visits = {.count = 0};
    uint32_t slots[6];
    for (unsigned i = 0; i < 6; i++)
        slots[i] = connect_peer(rig, "/", NULL);
    sim_run(rig);
    fw_sim_peer_end(rig->sim, slots[1], -ECONNRESET);
    sim_run(rig);
    uint32_t next = fw_conns_visit(&rig->conns, 0, 3, note_visit, &visits);
    cr_assert_eq(next, 3u);
    cr_assert_eq(visits.count, 2u, "one of the three is gone");
    next = fw_conns_visit(&rig->conns, next, 3, note_visit, &visits);
    cr_assert_eq(next, 6u);
    next = fw_conns_visit(&rig->conns, next, 100, note_visit, &visits);
    cr_assert_eq(next, 0u, "that was all");
    cr_assert_eq(visits.count, 5u);
    for (unsigned i = 1; i < visits.count; i++)
        cr_assert_gt(visits.slots[i], visits.slots[i - 1], "each once");
    cr_assert_eq(fw_conns_visit(&rig->conns, 7, 1, note_visit, &visits), 0u);
    sim_destroy(rig);
}

Test(sim_conn, may_be_ended_by_a_visit)
{
    struct sim_rig *rig = sim_create(4, 1);
    struct visits visits = {.ends = true};
    for (unsigned i = 0; i < 4; i++)
        connect_peer(rig, "/room", NULL);
    sim_run(rig);
    cr_assert_eq(fw_conns_visit(&rig->conns, 0, 4, note_visit, &visits), 0u);
    cr_assert_eq(visits.count, 4u);
    sim_run(rig);
    cr_assert_eq(rig->conns.live_count, 0u);
    cr_assert_eq(fw_conns_visit(&rig->conns, 0, 4, note_visit, &visits), 0u);
    cr_assert_eq(visits.count, 4u, "nobody is left");
    sim_destroy(rig);
}
