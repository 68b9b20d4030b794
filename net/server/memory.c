/* memory.c: see memory.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/memory.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Histories may take this much of the ceiling, and are never shrunk below a quarter of that. */
#define HISTORY_PERCENT 50u
/* What the heap may grow to between two looks; the rest is for what is not counted. */
#define WATCH_PERCENT 97u
/* After so long under pressure the largest go although the last mark is not reached. */
#define PATIENCE_MS 3000u
/* What a cut aims at, below the first mark. */
#define AIM_PERCENT 76u
/* How often free pages are given back: it holds the heap's locks for milliseconds. */
#define TRIM_MS      1000u
#define TRIM_FAST_MS 250u
/* Who owes less is nobody's largest. */
#define CUT_BYTES_MIN 4096u

/* ---- judging --------------------------------------------------------------------------------- */

static const unsigned marks[FW_PRESSURES] = {
    [FW_PRESSURE_SHRINK] = FW_MEMORY_SHRINK_PERCENT,
    [FW_PRESSURE_HOLD] = FW_MEMORY_HOLD_PERCENT,
    [FW_PRESSURE_REFUSE] = FW_MEMORY_REFUSE_PERCENT,
    [FW_PRESSURE_CUT] = FW_MEMORY_CUT_PERCENT,
};

static uint64_t percent_of(uint64_t max, unsigned percent)
{
    return max / 100 * percent;
}

enum fw_pressure fw_memory_judge(uint64_t used, uint64_t max, enum fw_pressure last)
{
    unsigned level = FW_PRESSURES - 1;
    while (level > FW_PRESSURE_NONE) {
        unsigned mark = marks[level] - (level <= last ? FW_MEMORY_LEAVE_PERCENT : 0);
        if (used >= percent_of(max, mark))
            break;
        level--;
    }
    return (enum fw_pressure)level;
}

uint64_t fw_memory_cut(const uint64_t owed_bytes[FW_OWED_CLASSES], uint64_t wanted)
{
    if (wanted == 0)
        return UINT64_MAX;
    uint64_t sum = 0;
    unsigned class = FW_OWED_CLASSES;
    while (class > 0 && sum < wanted)
        sum += owed_bytes[--class];
    return (uint64_t)1 << class;
}

/* ---- what others say ------------------------------------------------------------------------- */

static bool read_text(const char *path, char *text_out, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? -1 : read(fd, text_out, room - 1);
    if (fd >= 0)
        close(fd);
    text_out[count < 0 ? 0 : count] = '\0';
    return count > 0;
}

/* A limit's file; "max", and v1's huge number for none, say 0. */
static uint64_t read_limit(const char *folder, const char *path, const char *file)
{
    char name[1200];
    char text[64];
    if (snprintf(name, sizeof name, "%s%s/%s", folder, path, file) >= (int)sizeof name ||
        !read_text(name, text, sizeof text))
        return 0;
    uint64_t limit = strtoull(text, NULL, 10);
    return limit >= (uint64_t)1 << 60 ? 0 : limit;
}

/* The least of a group's limits and those of the groups around it; cuts the path down. */
static uint64_t least_limit(const char *folder, char *path, const char *file)
{
    uint64_t least = 0;
    for (;;) {
        uint64_t limit = read_limit(folder, path, file);
        if (limit != 0 && (least == 0 || limit < least))
            least = limit;
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

uint64_t fw_memory_cgroup_max(void)
{
    char text[4096];
    uint64_t least = 0;
    if (!read_text("/proc/self/cgroup", text, sizeof text))
        return 0;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        char *controllers = strchr(line, ':');
        char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (path == NULL || strlen(path) > 1000)
            continue;
        *path++ = '\0';
        uint64_t limit = 0;
        if (controllers[1] == '\0')
            limit = least_limit("/sys/fs/cgroup", path, "memory.max");
        else if (strcmp(controllers + 1, "memory") == 0)
            limit = least_limit("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
        if (limit != 0 && (least == 0 || limit < least))
            least = limit;
    }
    return least;
}

uint64_t fw_memory_resident(const struct fw_memory *memory)
{
    char text[128];
    char *second;
    ssize_t count = pread(memory->statm_fd, text, sizeof text - 1, 0);
    if (count <= 0)
        return 0;
    text[count] = '\0';
    strtoull(text, &second, 10);
    return strtoull(second, NULL, 10) * memory->page_bytes;
}

/* ---- life ------------------------------------------------------------------------------------ */

int fw_memory_init(struct fw_memory *memory, uint64_t bytes_max, uint64_t history_bytes_max)
{
    uint64_t most = percent_of(bytes_max, HISTORY_PERCENT);
    *memory = (struct fw_memory){
        .bytes_max = bytes_max,
        .page_bytes = (uint64_t)sysconf(_SC_PAGESIZE),
        .history_bytes_max = bytes_max != 0 && history_bytes_max > most ? most : history_bytes_max,
    };
    memory->besides_bytes = UINT64_MAX; /* until the first look */
    atomic_init(&memory->cut_bytes, UINT64_MAX);
    memory->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    return memory->statm_fd < 0 ? -errno : 0;
}

void fw_memory_clear(struct fw_memory *memory)
{
    if (memory->bytes_max != 0)
        fw_mem_watch(INT64_MAX);
    if (memory->statm_fd >= 0)
        close(memory->statm_fd);
    memory->statm_fd = -1;
}

int fw_memory_wait_ms(const struct fw_memory *memory, uint64_t now_ms)
{
    if (memory->bytes_max == 0)
        return -1;
    return memory->look_ms > now_ms ? (int)(memory->look_ms - now_ms) : 0;
}

bool fw_memory_full(const struct fw_memory *memory)
{
    return memory->bytes_max != 0 && fw_mem_over();
}

/* ---- looking --------------------------------------------------------------------------------- */

static uint64_t load(const atomic_uint_fast64_t *figure)
{
    return atomic_load_explicit(figure, memory_order_relaxed);
}

/* What is resident besides the library's blocks: the program, the engines' buffers, and blocks that
 * were freed, whose pages the kernel has not got back. */
static uint64_t besides_of(uint64_t used)
{
    int64_t heap = fw_mem_bytes();
    uint64_t blocks = heap < 0 ? 0 : (uint64_t)heap;
    return used > blocks ? used - blocks : 0;
}

static uint64_t owed_from(const struct fw_memory_sweep *sweep, uint64_t cut_bytes)
{
    uint64_t sum = 0;
    for (unsigned class = 0; class < FW_OWED_CLASSES; class ++)
        sum += (uint64_t)1 << class >= cut_bytes ? load(&sweep->owed_bytes[class]) : 0;
    return sum;
}

/* Tells each worker how much of what is wanted is its part. */
static void share_cut(struct fw_memory_sweep *const *sweeps, unsigned sweeps_count,
                      uint64_t cut_bytes, uint64_t wanted)
{
    double all = 1;
    for (unsigned i = 0; i < sweeps_count; i++)
        all += (double)owed_from(sweeps[i], cut_bytes);
    for (unsigned i = 0; i < sweeps_count; i++) {
        double part = (double)owed_from(sweeps[i], cut_bytes) / all;
        atomic_store_explicit(&sweeps[i]->quota_bytes, (uint64_t)((double)wanted * part),
                              memory_order_relaxed);
    }
}

/* Who must go: the largest, until what is too much is freed. What was freed already and is resident
 * still counts as gone. Bytes that many share are freed by the last of them only, so each further
 * look in a row asks for twice as much. */
static uint64_t choose_cut(struct fw_memory *memory, struct fw_memory_sweep *const *sweeps,
                           unsigned sweeps_count, uint64_t used, enum fw_pressure last,
                           enum fw_pressure level, uint64_t now_ms)
{
    uint64_t owed[FW_OWED_CLASSES] = {0};
    uint64_t aim = percent_of(memory->bytes_max, AIM_PERCENT);
    aim += besides_of(used) - memory->besides_bytes;
    bool patient = level < FW_PRESSURE_CUT && now_ms - memory->pressed_ms < PATIENCE_MS;
    bool blind = last == FW_PRESSURE_NONE; /* no sweep was ordered yet, to tell who is owed most */
    if (level == FW_PRESSURE_NONE || patient || blind || used <= aim) {
        memory->looks_above = 0;
        return UINT64_MAX;
    }
    for (unsigned i = 0; i < sweeps_count; i++) {
        for (unsigned class = 0; class < FW_OWED_CLASSES; class ++)
            owed[class] += load(&sweeps[i]->owed_bytes[class]);
    }
    unsigned doubled = memory->looks_above < 16 ? memory->looks_above++ : 16;
    uint64_t wanted = (used - aim) << doubled;
    uint64_t cut = fw_memory_cut(owed, wanted);
    cut = cut < CUT_BYTES_MIN ? CUT_BYTES_MIN : cut;
    share_cut(sweeps, sweeps_count, cut, wanted);
    return cut;
}

/* Histories may grow to what they were allowed below the first mark, not at all above the second:
 * there they give back a quarter of what is too much, each look. */
static void limit_histories(struct fw_memory *memory, struct fw_directory *directory, uint64_t used,
                            enum fw_pressure level)
{
    if (level == FW_PRESSURE_NONE) {
        fw_directory_limit(directory, memory->history_bytes_max);
    } else if (level >= FW_PRESSURE_HOLD) {
        uint64_t least = memory->history_bytes_max / 4;
        uint64_t held = fw_directory_held_bytes(directory);
        uint64_t excess = (used - percent_of(memory->bytes_max, AIM_PERCENT)) / 4;
        uint64_t wanted = held > excess ? held - excess : 0;
        fw_directory_limit(directory, wanted > least ? wanted : held < least ? held : least);
    }
}

static void report(struct fw_memory *memory, struct fw_directory *directory, struct fw_log *log,
                   uint64_t used, enum fw_pressure last, enum fw_pressure level)
{
    static const char *const acts[FW_PRESSURES] = {
        [FW_PRESSURE_NONE] = "all is as usual again",
        [FW_PRESSURE_SHRINK] = "connections that stand still are closed",
        [FW_PRESSURE_HOLD] = "no new subscriptions, histories shrink",
        [FW_PRESSURE_REFUSE] = "handshakes are answered 503",
        [FW_PRESSURE_CUT] = "those that are owed most are closed",
    };
    if (level == last)
        return;
    fw_log(log, level > last ? FW_LOG_WARN : FW_LOG_INFO,
           "memory: %" PRIu64 " of %" PRIu64 " bytes are in use (histories %" PRIu64
           ", heap %" PRId64 "): %s",
           used, memory->bytes_max, fw_directory_held_bytes(directory), fw_mem_bytes(),
           acts[level]);
}

/* Gives free pages back to the kernel when there is pressure, and they are worth it.
 *
 * returns      what is resident then
 */
static uint64_t trim(struct fw_memory *memory, uint64_t used, enum fw_pressure level,
                     uint64_t now_ms)
{
    uint64_t freed = besides_of(used) - memory->besides_bytes;
    if (level == FW_PRESSURE_NONE || now_ms < memory->trim_ms ||
        freed < percent_of(memory->bytes_max, FW_MEMORY_LEAVE_PERCENT))
        return used;
    malloc_trim(0);
    memory->trim_ms = now_ms + (level >= FW_PRESSURE_REFUSE ? TRIM_FAST_MS : TRIM_MS);
    return fw_memory_resident(memory);
}

static void note_besides(struct fw_memory *memory, uint64_t used)
{
    uint64_t besides = besides_of(used);
    if (besides < memory->besides_bytes)
        memory->besides_bytes = besides;
}

bool fw_memory_look(struct fw_memory *memory, struct fw_directory *directory,
                    struct fw_memory_sweep *const *sweeps, unsigned sweeps_count,
                    struct fw_log *log, uint64_t now_ms)
{
    if (memory->bytes_max == 0 || now_ms < memory->look_ms)
        return false;
    enum fw_pressure last =
        (enum fw_pressure)atomic_load_explicit(&memory->pressure, memory_order_relaxed);
    uint64_t used = fw_memory_resident(memory);
    note_besides(memory, used);
    used = trim(memory, used, fw_memory_judge(used, memory->bytes_max, last), now_ms);
    note_besides(memory, used);
    enum fw_pressure level = fw_memory_judge(used, memory->bytes_max, last);
    if (level == FW_PRESSURE_NONE)
        memory->pressed_ms = now_ms;
    uint64_t room = percent_of(memory->bytes_max, WATCH_PERCENT);
    fw_mem_watch(fw_mem_bytes() + (int64_t)room - (int64_t)used);

    uint64_t cut = choose_cut(memory, sweeps, sweeps_count, used, last, level, now_ms);
    limit_histories(memory, directory, used, level);
    atomic_store_explicit(&memory->resident_bytes, used, memory_order_relaxed);
    if (used > load(&memory->peak_bytes))
        atomic_store_explicit(&memory->peak_bytes, used, memory_order_relaxed);
    atomic_store_explicit(&memory->cut_bytes, cut, memory_order_relaxed);
    atomic_store_explicit(&memory->pressure, level, memory_order_relaxed);
    report(memory, directory, log, used, last, level);
    memory->look_ms =
        now_ms + (level == FW_PRESSURE_CUT ? FW_MEMORY_LOOK_FAST_MS : FW_MEMORY_LOOK_MS);
    if (level == FW_PRESSURE_NONE && last == FW_PRESSURE_NONE)
        return false;
    /* Release: a worker that sees the order sees what is ordered. */
    atomic_fetch_add_explicit(&memory->orders, 1, memory_order_release);
    return true;
}
