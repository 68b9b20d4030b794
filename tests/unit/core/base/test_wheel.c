/* test_wheel.c: the timer wheel (core/base/wheel.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/wheel.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define TICK  ((uint64_t)FW_WHEEL_TICK_MS)
#define ROUND (TICK * FW_WHEEL_BUCKETS)
#define START ((uint64_t)123456)
#define COUNT 1000

/* As in a connection: the timer stands somewhere inside, and the wheel must not touch the rest. */
struct element {
    uint64_t before;
    struct fw_timer timer;
    uint32_t after;
};

struct rig {
    struct fw_wheel wheel;
    struct element elements[COUNT];
    uint32_t rang[4 * COUNT]; /* in order */
    unsigned rang_count;
    void (*on_ring)(struct rig *rig, uint32_t index);
    uint64_t now_ms;
};

static struct rig *rig_create(void)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->now_ms = START;
    for (unsigned i = 0; i < COUNT; i++) {
        rig->elements[i].before = 0x1111111111111111;
        rig->elements[i].after = 0x22222222;
    }
    fw_wheel_init(&rig->wheel, rig->elements, sizeof rig->elements[0],
                  offsetof(struct element, timer), START);
    return rig;
}

static void rig_destroy(struct rig *rig)
{
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert(rig->elements[i].before == 0x1111111111111111 &&
                  rig->elements[i].after == 0x22222222);
    free(rig);
}

static void ring(void *context, uint32_t index)
{
    struct rig *rig = context;
    cr_assert_eq(rig->elements[index].timer.due, 0u, "a timer is off before its call");
    cr_assert_lt(rig->rang_count, 4u * COUNT);
    rig->rang[rig->rang_count++] = index;
    if (rig->on_ring != NULL)
        rig->on_ring(rig, index);
}

static unsigned advance(struct rig *rig, uint64_t to_ms)
{
    rig->now_ms = to_ms;
    return fw_wheel_advance(&rig->wheel, to_ms, UINT32_MAX, ring, rig);
}

Test(wheel, rings_at_its_time_rounded_up_to_a_tick_and_not_before)
{
    static const uint64_t waits[] = {1, 2, 63, 64, 65, 127, 128, 1000, 4999, 5000, 32000};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        struct rig *rig = rig_create();
        fw_wheel_set(&rig->wheel, 7, START + waits[i]);
        uint64_t rings_at = START + (waits[i] + TICK - 1) / TICK * TICK;
        for (uint64_t ms = START; ms<rings_at; ms += waits[i]> 2000 ? 61 : 1)
            cr_assert_eq(advance(rig, ms), 0u, "%llu ms rang early", (unsigned long long)waits[i]);
        cr_assert_eq(advance(rig, rings_at - 1), 0u);
        cr_assert_eq(advance(rig, rings_at), 1u);
        cr_assert_eq(rig->rang[0], 7u);
        cr_assert_eq(advance(rig, rings_at + ROUND), 0u, "once only");
        rig_destroy(rig);
    }
}

Test(wheel, rings_a_time_that_is_past_at_the_next_tick)
{
    struct rig *rig = rig_create();
    advance(rig, START + 10 * TICK);
    fw_wheel_set(&rig->wheel, 1, START);
    fw_wheel_set(&rig->wheel, 2, 0);
    fw_wheel_set(&rig->wheel, 3, START + 10 * TICK);
    cr_assert_eq(advance(rig, START + 10 * TICK), 0u);
    cr_assert_eq(advance(rig, START + 11 * TICK), 3u);
    rig_destroy(rig);
}

Test(wheel, passes_over_a_timer_of_a_later_round)
{
    struct rig *rig = rig_create();
    for (uint32_t i = 0; i < 20; i++)
        fw_wheel_set(&rig->wheel, i, START + 5 * TICK + i * ROUND); /* all in one bucket */
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(advance(rig, START + 4 * TICK + i * ROUND), 0u);
        cr_assert_eq(advance(rig, START + 5 * TICK + i * ROUND), 1u, "round %u", i);
        cr_assert_eq(rig->rang[i], i);
    }
    cr_assert_eq(rig->wheel.timers_count, 0u);
    rig_destroy(rig);
}

Test(wheel, moves_a_timer_that_is_set_again)
{
    struct rig *rig = rig_create();
    fw_wheel_set(&rig->wheel, 3, START + 1000);
    fw_wheel_set(&rig->wheel, 3, START + 5000);
    cr_assert_eq(rig->wheel.timers_count, 1u);
    cr_assert_eq(advance(rig, START + 2000), 0u);
    fw_wheel_set(&rig->wheel, 3, START + 2100);
    cr_assert_eq(advance(rig, START + 2200), 1u);
    cr_assert_eq(advance(rig, START + 9000), 0u);
    rig_destroy(rig);
}

Test(wheel, cancels_wherever_in_a_bucket_a_timer_stands)
{
    for (uint32_t gone = 0; gone < 5; gone++) {
        struct rig *rig = rig_create();
        for (uint32_t i = 0; i < 5; i++)
            fw_wheel_set(&rig->wheel, i, START + 100);
        fw_wheel_cancel(&rig->wheel, gone);
        fw_wheel_cancel(&rig->wheel, gone); /* off already: nothing happens */
        cr_assert_eq(advance(rig, START + 1000), 4u);
        for (unsigned i = 0; i < rig->rang_count; i++)
            cr_assert_neq(rig->rang[i], gone);
        rig_destroy(rig);
    }
}

static void set_again(struct rig *rig, uint32_t index)
{
    fw_wheel_set(&rig->wheel, index, rig->now_ms + 100);
}

Test(wheel, lets_a_ringing_timer_be_set_again)
{
    struct rig *rig = rig_create();
    rig->on_ring = set_again;
    fw_wheel_set(&rig->wheel, 0, START + 100);
    for (uint64_t ms = 0; ms <= 10000; ms += 10)
        advance(rig, START + ms);
    /* 100 ms from a tick on are two ticks: every 128 ms, 10000 / 128 times. */
    cr_assert_eq(rig->rang_count, 78u);
    rig_destroy(rig);
}

static void cancel_others(struct rig *rig, uint32_t index)
{
    (void)index;
    for (uint32_t i = 0; i < 10; i++)
        fw_wheel_cancel(&rig->wheel, i);
}

static void set_others(struct rig *rig, uint32_t index)
{
    if (index < 10)
        fw_wheel_set(&rig->wheel, 10 + index, rig->now_ms + 1000);
}

Test(wheel, lets_a_call_cancel_the_others_of_its_bucket)
{
    struct rig *rig = rig_create();
    rig->on_ring = cancel_others;
    for (uint32_t i = 0; i < 10; i++)
        fw_wheel_set(&rig->wheel, i, START + 100);
    cr_assert_eq(advance(rig, START + 1000), 1u);
    cr_assert_eq(rig->wheel.timers_count, 0u);
    rig_destroy(rig);
}

Test(wheel, lets_a_call_set_others)
{
    struct rig *rig = rig_create();
    rig->on_ring = set_others;
    for (uint32_t i = 0; i < 10; i++)
        fw_wheel_set(&rig->wheel, i, START + 100);
    cr_assert_eq(advance(rig, START + 128), 10u);
    cr_assert_eq(advance(rig, START + 1000), 0u);
    cr_assert_eq(advance(rig, START + 1200), 10u);
    rig_destroy(rig);
}

Test(wheel, rings_no_more_than_it_may_and_the_rest_at_the_next_advance)
{
    struct rig *rig = rig_create();
    for (uint32_t i = 0; i < COUNT; i++)
        fw_wheel_set(&rig->wheel, i, START + 64 + i % 4 * 64);
    unsigned advances = 0;
    for (; rig->wheel.timers_count > 0; advances++) {
        unsigned rang = fw_wheel_advance(&rig->wheel, START + 5000, 64, ring, rig);
        cr_assert(rang == 64 || rig->wheel.timers_count == 0);
    }
    cr_assert_eq(rig->rang_count, (unsigned)COUNT);
    cr_assert_eq(advances, (COUNT + 63u) / 64u);
    rig_destroy(rig);
}

/* What is left over from an advance that was cut short is due at once. */
Test(wheel, waits_no_time_when_some_that_are_due_have_not_rung)
{
    struct rig *rig = rig_create();
    for (uint32_t i = 0; i < 10; i++)
        fw_wheel_set(&rig->wheel, i, START + 64);
    fw_wheel_advance(&rig->wheel, START + 70, 4, ring, rig);
    cr_assert_eq(fw_wheel_wait_ms(&rig->wheel, START + 70), 0);
    rig_destroy(rig);
}

Test(wheel, wants_no_look_when_it_is_empty)
{
    struct rig *rig = rig_create();
    cr_assert_eq(fw_wheel_wait_ms(&rig->wheel, START), -1);
    fw_wheel_set(&rig->wheel, 0, START + 500);
    cr_assert_geq(fw_wheel_wait_ms(&rig->wheel, START), 0);
    fw_wheel_cancel(&rig->wheel, 0);
    cr_assert_eq(fw_wheel_wait_ms(&rig->wheel, START), -1);
    rig_destroy(rig);
}

/* Waiting as told, and advancing, rings each timer within a tick of its time, and does not spin. */
Test(wheel, wait_says_when_to_come_back)
{
    static const uint64_t waits[] = {1, 64, 100, 500, 999, 1000, 1024, 5000, 25000, 40000};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        struct rig *rig = rig_create();
        fw_wheel_set(&rig->wheel, 0, START + waits[i]);
        uint64_t now_ms = START;
        unsigned looks = 0;
        while (rig->rang_count == 0) {
            int wait = fw_wheel_wait_ms(&rig->wheel, now_ms);
            cr_assert_geq(wait, 0);
            cr_assert_lt(++looks, 100u, "it spins");
            now_ms += (uint64_t)wait;
            advance(rig, now_ms);
        }
        cr_assert_geq(now_ms, START + waits[i]);
        cr_assert_leq(now_ms, START + waits[i] + TICK);
        rig_destroy(rig);
    }
}

Test(wheel, skips_idle_time_at_once)
{
    struct rig *rig = rig_create();
    uint64_t year_ms = (uint64_t)365 * 86400 * 1000;
    cr_assert_eq(advance(rig, START + year_ms), 0u);
    fw_wheel_set(&rig->wheel, 5, START + year_ms + 100);
    cr_assert_eq(advance(rig, START + year_ms + 50), 0u);
    cr_assert_eq(advance(rig, START + year_ms + 200), 1u);
    rig_destroy(rig);
}

Test(wheel, bears_a_clock_that_stands_before_its_start)
{
    struct rig *rig = rig_create();
    fw_wheel_set(&rig->wheel, 0, START - 1000);
    cr_assert_eq(advance(rig, START - 500), 0u);
    cr_assert_geq(fw_wheel_wait_ms(&rig->wheel, START - 500), 0);
    cr_assert_eq(advance(rig, START + TICK), 1u);
    rig_destroy(rig);
}

/* A model beside the wheel: random sets, cancels and advances of a thousand timers; each must ring
 * exactly when the model says. */
Test(wheel, agrees_with_a_plain_table_under_random_use)
{
    struct rig *rig = rig_create();
    uint64_t due[COUNT] = {0};
    uint64_t random = 42;
    uint64_t now_ms = START;
    for (unsigned step = 0; step < 200000; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t index = (uint32_t)(random >> 33) % COUNT;
        unsigned choice = (unsigned)(random >> 20) % 16;
        if (choice < 10) {
            uint64_t wait = (random >> 40) % (choice < 8 ? 6000 : 100000);
            fw_wheel_set(&rig->wheel, index, now_ms + wait);
            uint64_t tick = (now_ms + wait - START + TICK - 1) / TICK;
            due[index] = tick > rig->wheel.tick ? tick : (uint64_t)rig->wheel.tick + 1;
        } else if (choice < 12) {
            fw_wheel_cancel(&rig->wheel, index);
            due[index] = 0;
        } else {
            now_ms += (random >> 40) % 300;
            rig->rang_count = 0;
            advance(rig, now_ms);
            uint64_t tick = (now_ms - START) / TICK;
            for (unsigned i = 0; i < rig->rang_count; i++) {
                cr_assert(due[rig->rang[i]] != 0 && due[rig->rang[i]] <= tick, "step %u", step);
                due[rig->rang[i]] = 0;
            }
            for (unsigned i = 0; i < COUNT; i++)
                cr_assert(due[i] == 0 || due[i] > tick, "step %u: timer %u is late", step, i);
        }
    }
    rig_destroy(rig);
}
