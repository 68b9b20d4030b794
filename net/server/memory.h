/* memory.h: a server that stays beneath a ceiling of memory.
 *
 * What the process has in memory (RSS) is looked at by the acceptor, four times a second, and
 * judged by the marks of session/relief.h. From 80 % on the workers are given orders: each looks
 * through its connections, some thousand a turn, ends those that relief.h says, and reports who is
 * owed how much; from that the next order knows how large the largest are. Histories give way in
 * the directory, and free pages go back to the kernel.
 *
 *   look: RSS --> level --+--> orders++ --> every worker: sweep, report --> next look
 *                         +--> histories' ceiling, malloc_trim, accepting paused (CUT)
 *
 * Between two looks the heap's own count (base/mem.h) guards the ceiling: when it has grown by what
 * the last look left free, publishing answers FW_ERR_BUSY and workers act as at the last mark.
 * Without a ceiling nothing of this happens; the categories are then counted when somebody asks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_MEMORY_H
#define FW_NET_MEMORY_H

#include "net/server/directory.h"
#include "session/relief.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fw_log;

struct fw_memory {
    uint64_t bytes_max; /* 0: no ceiling */

    /* Written by the acceptor, read by the workers each turn. */
    atomic_uint orders; /* sweeps asked for so far */
    atomic_uint pressure;
    atomic_uint_fast64_t cut_bytes;

    /* For anybody. */
    atomic_uint_fast64_t resident_bytes; /* at the last look */
    atomic_uint_fast64_t peak_bytes;

    /* The acceptor's own. */
    int statm_fd;
    uint64_t page_bytes;
    uint64_t look_ms;     /* when the next look is due */
    uint64_t trim_ms;     /* when pages may be given back again */
    uint64_t pressed_ms;  /* since when there is pressure */
    unsigned looks_above; /* looks in a row that have cut */
    /* The least that was resident besides the library's blocks: what is more was freed. */
    uint64_t besides_bytes;
    uint64_t history_bytes_max;
};

/* A worker's sweep: what it was asked, where it is, and what it has found last. */
struct fw_memory_sweep {
    unsigned orders; /* the last one begun */
    bool on;
    uint32_t next_slot;
    struct fw_relief relief;

    /* What the next sweep may end connections for; written by the acceptor, taken by the worker. */
    atomic_uint_fast64_t quota_bytes;

    /* Written by the worker at the end of a sweep, read by anyone. */
    atomic_uint_fast64_t owed_bytes[FW_OWED_CLASSES];
    atomic_uint_fast64_t input_bytes;
    atomic_uint_fast64_t ended; /* connections, ever */
};

/* The marks: how short of memory a use is, given what was said last.
 *
 * used, max    bytes; a mark is left once the use is FW_MEMORY_LEAVE_PERCENT below it
 */
enum fw_pressure fw_memory_judge(uint64_t used, uint64_t max, enum fw_pressure last);

/* What the largest owe: the least class such that all that owe so much or more owe `wanted`
 * together.
 *
 * returns      2^k; UINT64_MAX when wanted is 0
 */
uint64_t fw_memory_cut(const uint64_t owed_bytes[FW_OWED_CLASSES], uint64_t wanted);

/* The least memory.max (cgroup v2) or memory.limit_in_bytes (v1) that holds for this process; 0:
 * none. */
uint64_t fw_memory_cgroup_max(void);

/* Begins.
 *
 * bytes_max    0: no ceiling
 * history_bytes_max  what all histories may hold; lowered to FW_MEMORY_HISTORY_PERCENT of the
 *              ceiling
 * errors       -errno of opening /proc/self/statm
 */
int fw_memory_init(struct fw_memory *memory, uint64_t bytes_max, uint64_t history_bytes_max);
void fw_memory_clear(struct fw_memory *memory);

/* What the process has in memory now, octets; 0 when it cannot be read. Thread: any. */
uint64_t fw_memory_resident(const struct fw_memory *memory);

/* How long until the next look: ms, -1 for never. */
int fw_memory_wait_ms(const struct fw_memory *memory, uint64_t now_ms);

/* Looks, when it is time.
 *
 * sweeps       the workers', sweeps_count of them
 * returns      whether the workers are to be woken for an order
 */
bool fw_memory_look(struct fw_memory *memory, struct fw_directory *directory,
                    struct fw_memory_sweep *const *sweeps, unsigned sweeps_count,
                    struct fw_log *log, uint64_t now_ms);

/* Whether a publish must wait: the heap has grown to the ceiling since the last look. */
bool fw_memory_full(const struct fw_memory *memory);

#endif
