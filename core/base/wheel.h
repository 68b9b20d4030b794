/* wheel.h: a timer wheel for as many timers as there are connections, at 12 bytes each.
 *
 * Timers live in the elements of one array (a connection table), linked by index, not by address:
 * that is what makes them small. A timer is in the bucket of its due tick modulo the wheel's size;
 * one that is due in a later round is passed over until then. The wheel takes the time, it never
 * reads a clock. Thread: the owner's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BASE_WHEEL_H
#define FW_BASE_WHEEL_H

#include <stddef.h>
#include <stdint.h>

/* 512 buckets of 64 ms: one round is 33 s, longer than every timer but the slowest pings. */
#define FW_WHEEL_TICK_MS 64u
#define FW_WHEEL_BUCKETS 512u

struct fw_timer {
    uint32_t next; /* index + 1 of the next in the bucket; 0 ends */
    uint32_t prev; /* index + 1 of the one before, 0 for the first */
    uint32_t due;  /* tick; 0: not set */
};

struct fw_wheel {
    char *elements; /* the array, and where in an element its timer is */
    size_t element_bytes;
    size_t timer_at;
    uint64_t start_ms;
    uint32_t tick; /* the last one advanced over */
    uint32_t timers_count;
    uint32_t first[FW_WHEEL_BUCKETS]; /* index + 1 */
};

/* Makes a wheel over an array whose elements have a zeroed struct fw_timer at `timer_at`.
 *
 * elements     borrowed for the wheel's life
 */
void fw_wheel_init(struct fw_wheel *wheel, void *elements, size_t element_bytes, size_t timer_at,
                   uint64_t now_ms);

/* Sets or moves element `index`'s timer; it rings at the first advance to `due_ms` or later,
 * rounded up to a tick. */
void fw_wheel_set(struct fw_wheel *wheel, uint32_t index, uint64_t due_ms);

/* Takes it off; nothing happens when it is not set. */
void fw_wheel_cancel(struct fw_wheel *wheel, uint32_t index);

/* Rings every timer due at `now_ms`; each is off before its call, which may set it again, and
 * others.
 *
 * rings_max    at most so many now; the rest ring at the next advance
 * returns      how many rang
 */
unsigned fw_wheel_advance(struct fw_wheel *wheel, uint64_t now_ms, unsigned rings_max,
                          void (*ring)(void *context, uint32_t index), void *context);

/* How long until the wheel wants to be advanced again: 0.. ms, or -1 when no timer is set. */
int fw_wheel_wait_ms(const struct fw_wheel *wheel, uint64_t now_ms);

#endif
