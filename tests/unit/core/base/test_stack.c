/* test_stack.c: the lock-free stack (core/base/stack.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/stack.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

struct item {
    struct fw_stack_link link;
    unsigned pusher;
    unsigned number;
};

static struct item *item_of(struct fw_stack_link *link)
{
    return (struct item *)(void *)link;
}

Test(stack, gives_what_was_pushed_oldest_first)
{
    struct fw_stack stack = {NULL};
    struct item items[5] = {0};
    cr_assert_null(fw_stack_take(&stack));
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 5; i++)
            fw_stack_push(&stack, &items[i].link);
        struct fw_stack_link *link = fw_stack_take(&stack);
        for (unsigned i = 0; i < 5; i++, link = link->next)
            cr_assert_eq(item_of(link), &items[i]);
        cr_assert_null(link);
        cr_assert_null(fw_stack_take(&stack), "all of it was taken");
    }
}

Test(stack, says_who_must_wake_the_taker)
{
    struct fw_stack stack = {NULL};
    struct item items[2] = {0};
    for (unsigned round = 0; round < 3; round++) {
        cr_assert(fw_stack_is_empty(&stack));
        cr_assert_eq(fw_stack_push(&stack, &items[0].link), FW_STACK_WAS_EMPTY);
        cr_assert_not(fw_stack_is_empty(&stack));
        cr_assert_eq(fw_stack_push(&stack, &items[1].link), FW_STACK_HAD_MORE);
        cr_assert_not_null(fw_stack_take(&stack));
    }
}

Test(stack, refuses_what_comes_after_its_close)
{
    struct fw_stack stack = {NULL};
    struct item items[3] = {0};
    fw_stack_push(&stack, &items[0].link);
    fw_stack_push(&stack, &items[1].link);
    struct fw_stack_link *link = fw_stack_close(&stack);
    cr_assert_eq(item_of(link), &items[0]);
    cr_assert_eq(item_of(link->next), &items[1]);
    cr_assert_null(link->next->next);
    for (unsigned round = 0; round < 2; round++) {
        cr_assert_eq(fw_stack_push(&stack, &items[2].link), FW_STACK_CLOSED);
        cr_assert_null(fw_stack_take(&stack), "taking does not open it");
        cr_assert(fw_stack_is_empty(&stack));
        cr_assert_null(fw_stack_close(&stack));
    }
}

/* ---- several threads ------------------------------------------------------------------------- */

#define PUSHERS 4
#define PUSHES  20000u

struct pusher {
    struct fw_stack *stack;
    atomic_uint *wakes;
    struct item *items;
    unsigned index;
    unsigned pushed; /* before it was refused */
    pthread_t thread;
};

static void *push_many(void *context)
{
    struct pusher *pusher = context;
    for (unsigned i = 0; i < PUSHES; i++) {
        struct item *item = &pusher->items[i];
        item->pusher = pusher->index;
        item->number = i;
        enum fw_stack_pushed pushed = fw_stack_push(pusher->stack, &item->link);
        if (pushed == FW_STACK_CLOSED)
            return NULL;
        pusher->pushed++;
        if (pushed == FW_STACK_WAS_EMPTY)
            atomic_fetch_add(pusher->wakes, 1);
    }
    return NULL;
}

static void start(struct pusher *pushers, struct fw_stack *stack, atomic_uint *wakes)
{
    for (unsigned i = 0; i < PUSHERS; i++) {
        pushers[i] = (struct pusher){.stack = stack,
                                     .wakes = wakes,
                                     .index = i,
                                     .items = calloc(PUSHES, sizeof(struct item))};
        cr_assert_not_null(pushers[i].items);
        cr_assert_eq(pthread_create(&pushers[i].thread, NULL, push_many, &pushers[i]), 0);
    }
}

/* Counts what was taken, and that each thread's comes in its order. */
static unsigned check(struct fw_stack_link *link, unsigned *next)
{
    unsigned count = 0;
    for (; link != NULL; link = link->next, count++) {
        const struct item *item = item_of(link);
        cr_assert(item->number == next[item->pusher], "pusher %u: %u instead of %u", item->pusher,
                  item->number, next[item->pusher]);
        next[item->pusher]++;
    }
    return count;
}

static void end(struct pusher *pushers)
{
    for (unsigned i = 0; i < PUSHERS; i++)
        free(pushers[i].items);
}

/* A taker that sleeps whenever it found nothing is woken for everything that came later. */
Test(stack, keeps_the_order_of_each_thread_and_loses_no_wake, .timeout = 120)
{
    struct fw_stack stack = {NULL};
    struct pusher pushers[PUSHERS];
    atomic_uint wakes = 0;
    unsigned seen_wakes = 0;
    unsigned next[PUSHERS] = {0};
    unsigned total = 0;
    start(pushers, &stack, &wakes);
    while (total < PUSHERS * PUSHES) {
        while (atomic_load(&wakes) == seen_wakes)
            sched_yield();
        seen_wakes = atomic_load(&wakes);
        total += check(fw_stack_take(&stack), next);
    }
    for (unsigned i = 0; i < PUSHERS; i++)
        pthread_join(pushers[i].thread, NULL);
    cr_assert_null(fw_stack_take(&stack));
    end(pushers);
}

/* Whatever was not refused is taken, be the close where it may. */
Test(stack, closed_among_pushes_loses_none_that_it_took_in, .timeout = 120)
{
    for (unsigned after = 0; after < 20; after++) {
        struct fw_stack stack = {NULL};
        struct pusher pushers[PUSHERS];
        atomic_uint wakes = 0;
        unsigned next[PUSHERS] = {0};
        start(pushers, &stack, &wakes);
        for (unsigned i = 0; i < after; i++) {
            check(fw_stack_take(&stack), next);
            sched_yield();
        }
        check(fw_stack_close(&stack), next);
        for (unsigned i = 0; i < PUSHERS; i++) {
            pthread_join(pushers[i].thread, NULL);
            cr_assert_eq(next[i], pushers[i].pushed);
        }
        end(pushers);
    }
}

/* Who pushes and then sees nobody to wake, and who says it is there and then sees nothing pushed:
 * never both. */
struct meeting {
    struct fw_stack stack;
    atomic_bool there;
    atomic_uint round; /* the next to be played */
    atomic_uint played;
    bool saw_taker;
    struct item item;
};

#define MEETINGS 20000u

static void *meet(void *context)
{
    struct meeting *meeting = context;
    for (unsigned i = 1; i <= MEETINGS; i++) {
        while (atomic_load(&meeting->round) != i)
            sched_yield();
        fw_stack_push(&meeting->stack, &meeting->item.link);
        meeting->saw_taker = atomic_load(&meeting->there);
        atomic_store(&meeting->played, i);
    }
    return NULL;
}

Test(stack, is_a_barrier_between_pusher_and_taker, .timeout = 120)
{
    struct meeting meeting = {.round = 0};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, meet, &meeting), 0);
    for (unsigned i = 1; i <= MEETINGS; i++) {
        atomic_store(&meeting.there, false);
        atomic_store(&meeting.round, i);
        atomic_store(&meeting.there, true);
        bool saw_item = !fw_stack_is_empty(&meeting.stack);
        while (atomic_load(&meeting.played) != i)
            sched_yield();
        cr_assert(saw_item || meeting.saw_taker, "round %u", i);
        cr_assert_not_null(fw_stack_take(&meeting.stack));
    }
    pthread_join(thread, NULL);
}
