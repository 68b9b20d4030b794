/* wheel.c: see wheel.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/wheel.h"
#include "base/check.h"

#include <string.h>

/* A wheel that is far ahead or idle asks to be looked at this often. */
#define WAIT_MS_MAX 1000

static inline struct fw_timer *timer_of(const struct fw_wheel *wheel, uint32_t index)
{
    return (struct fw_timer *)(void *)(wheel->elements + wheel->element_bytes * index +
                                       wheel->timer_at);
}

static inline uint32_t *bucket_of(struct fw_wheel *wheel, uint32_t tick)
{
    return &wheel->first[tick % FW_WHEEL_BUCKETS];
}

void fw_wheel_init(struct fw_wheel *wheel, void *elements, size_t element_bytes, size_t timer_at,
                   uint64_t now_ms)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->elements = elements;
    wheel->element_bytes = element_bytes;
    wheel->timer_at = timer_at;
    wheel->start_ms = now_ms;
}

void fw_wheel_cancel(struct fw_wheel *wheel, uint32_t index)
{
    struct fw_timer *timer = timer_of(wheel, index);
    if (timer->due == 0)
        return;
    if (timer->prev != 0)
        timer_of(wheel, timer->prev - 1)->next = timer->next;
    else
        *bucket_of(wheel, timer->due) = timer->next;
    if (timer->next != 0)
        timer_of(wheel, timer->next - 1)->prev = timer->prev;
    *timer = (struct fw_timer){0};
    wheel->timers_count--;
}

void fw_wheel_set(struct fw_wheel *wheel, uint32_t index, uint64_t due_ms)
{
    fw_wheel_cancel(wheel, index);
    uint64_t elapsed = due_ms > wheel->start_ms ? due_ms - wheel->start_ms : 0;
    uint64_t due = (elapsed + FW_WHEEL_TICK_MS - 1) / FW_WHEEL_TICK_MS;
    if (due <= wheel->tick)
        due = (uint64_t)wheel->tick + 1;
    fw_assert(due <= UINT32_MAX); /* 8,700 years of ticks */

    struct fw_timer *timer = timer_of(wheel, index);
    uint32_t *first = bucket_of(wheel, (uint32_t)due);
    *timer = (struct fw_timer){.next = *first, .due = (uint32_t)due};
    if (*first != 0)
        timer_of(wheel, *first - 1)->prev = index + 1;
    *first = index + 1;
    wheel->timers_count++;
}

/* Rings what is due in one bucket. After each call the bucket is walked from its start again: the
 * call may have moved anything. That is linear as long as the timers of later rounds are few, which
 * the wheel's size sees to. */
static unsigned ring_bucket(struct fw_wheel *wheel, uint32_t tick, unsigned rings_max,
                            void (*ring)(void *context, uint32_t index), void *context)
{
    unsigned rang = 0;
    uint32_t at = *bucket_of(wheel, tick);
    while (at != 0 && rang < rings_max) {
        uint32_t index = at - 1;
        struct fw_timer *timer = timer_of(wheel, index);
        at = timer->next;
        if (timer->due > tick)
            continue;
        fw_wheel_cancel(wheel, index);
        rang++;
        ring(context, index);
        at = *bucket_of(wheel, tick);
    }
    return rang;
}

unsigned fw_wheel_advance(struct fw_wheel *wheel, uint64_t now_ms, unsigned rings_max,
                          void (*ring)(void *context, uint32_t index), void *context)
{
    uint64_t elapsed = now_ms > wheel->start_ms ? now_ms - wheel->start_ms : 0;
    uint32_t now = (uint32_t)(elapsed / FW_WHEEL_TICK_MS);
    unsigned rang = 0;
    if (wheel->timers_count == 0 && now > wheel->tick)
        wheel->tick = now;
    while (wheel->tick < now && rang < rings_max) {
        rang += ring_bucket(wheel, wheel->tick + 1, rings_max - rang, ring, context);
        if (rang == rings_max)
            return rang; /* this tick may hold more: the next advance looks again */
        wheel->tick++;
    }
    return rang;
}

int fw_wheel_wait_ms(const struct fw_wheel *wheel, uint64_t now_ms)
{
    if (wheel->timers_count == 0)
        return -1;
    uint64_t now = now_ms > wheel->start_ms ? now_ms - wheel->start_ms : 0;
    for (uint32_t ahead = 1; ahead <= WAIT_MS_MAX / FW_WHEEL_TICK_MS; ahead++) {
        uint32_t tick = wheel->tick + ahead;
        if (wheel->first[tick % FW_WHEEL_BUCKETS] == 0)
            continue;
        uint64_t due_ms = (uint64_t)tick * FW_WHEEL_TICK_MS;
        return due_ms > now ? (int)(due_ms - now) : 0;
    }
    return WAIT_MS_MAX;
}
