/* process.c: figures of /proc and of CPU clocks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "process.h"
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Above this share of its CPUs the load is as likely the slower side as the server. */
#define SATURATED 0.95

/* Adds the children that one thread of a process has started. */
static size_t add_children(pid_t process, const char *thread, pid_t *processes, size_t count)
{
    char path[300];
    int child;
    snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)process, thread);
    FILE *file = fopen(path, "re");
    while (file != NULL && fscanf(file, "%d", &child) == 1) {
        if (count == BENCH_PROCESSES_MAX)
            bench_die("the server has more than %d processes", BENCH_PROCESSES_MAX);
        processes[count++] = (pid_t)child;
    }
    if (file != NULL)
        fclose(file);
    return count;
}

size_t bench_process_tree(pid_t process, pid_t processes_out[BENCH_PROCESSES_MAX])
{
    size_t count = 0;
    if (process > 0)
        processes_out[count++] = process;
    for (size_t i = 0; i < count; i++) {
        char path[64];
        const struct dirent *thread = NULL;
        snprintf(path, sizeof path, "/proc/%d/task", (int)processes_out[i]);
        DIR *threads = opendir(path);
        while (threads != NULL && (thread = readdir(threads)) != NULL) {
            if (thread->d_name[0] != '.')
                count = add_children(processes_out[i], thread->d_name, processes_out, count);
        }
        if (threads != NULL)
            closedir(threads);
        else if (i == 0)
            return 0;
    }
    return count;
}

/* The second number of a schedstat file (proc(5)); 0 where the thread has ended, or the kernel
 * keeps no such figure. */
static uint64_t thread_waited_ns(pid_t process, const char *thread)
{
    char path[300];
    unsigned long long waited = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)process, thread);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*u %llu", &waited) != 1)
        waited = 0;
    fclose(file);
    return waited;
}

static uint64_t waited_ns(pid_t process)
{
    char path[64];
    uint64_t waited = 0;
    const struct dirent *thread = NULL;
    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    DIR *threads = opendir(path);
    while (threads != NULL && (thread = readdir(threads)) != NULL) {
        if (thread->d_name[0] != '.')
            waited += thread_waited_ns(process, thread->d_name);
    }
    if (threads != NULL)
        closedir(threads);
    return waited;
}

/* /proc/PID/stat counts in hundredths of a second, and /proc/PID/schedstat is as old as the last
 * tick and leaves ended threads out: the clock does neither. */
static uint64_t cpu_ns(pid_t process)
{
    clockid_t clock;
    struct timespec spent;
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &spent) != 0)
        return 0;
    return (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
}

static void sample(struct bench_span *span)
{
    pid_t processes[BENCH_PROCESSES_MAX];
    size_t count = bench_process_tree(span->server, processes);
    if (count == 0 && span->server != 0)
        bench_die("the server, process %d, is gone", (int)span->server);
    span->waited_ns = waited_ns(getpid());
    span->server_cpu_ns = 0;
    for (size_t i = 0; i < count; i++) {
        span->waited_ns += waited_ns(processes[i]);
        span->server_cpu_ns += cpu_ns(processes[i]);
    }
    span->wall_ns = bench_clock_ns(CLOCK_MONOTONIC);
    span->own_cpu_ns = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void bench_span_begin(struct bench_span *span, pid_t server)
{
    span->server = server;
    sample(span);
}

static uint64_t since(uint64_t begin, uint64_t end)
{
    return end > begin ? end - begin : 0; /* what ended took its figures with it */
}

void bench_span_end(struct bench_span *span)
{
    struct bench_span begin = *span;
    sample(span);
    span->wall_ns = since(begin.wall_ns, span->wall_ns);
    span->own_cpu_ns = since(begin.own_cpu_ns, span->own_cpu_ns);
    span->server_cpu_ns = since(begin.server_cpu_ns, span->server_cpu_ns);
    span->waited_ns = since(begin.waited_ns, span->waited_ns);
}

void bench_span_report(const struct bench_span *span, const char *what, uint64_t operations,
                       unsigned threads, json_t *figures)
{
    char name[64];
    double wall = span->wall_ns == 0 ? 1 : (double)span->wall_ns;
    double use = (double)span->own_cpu_ns / wall;
    json_object_set_new(figures, "operations", json_integer((json_int_t)operations));
    json_object_set_new(figures, "wall_s", json_real(wall / 1e9));
    json_object_set_new(figures, "per_s", json_real((double)operations * 1e9 / wall));
    json_object_set_new(figures, "load_use", json_real(use));
    json_object_set_new(figures, "saturated", json_boolean(use > SATURATED * threads));
    json_object_set_new(figures, "waited", json_real((double)span->waited_ns / wall));
    if (span->server == 0)
        return;
    json_object_set_new(figures, "server_use", json_real((double)span->server_cpu_ns / wall));
    if (operations == 0)
        return;
    snprintf(name, sizeof name, "server_cpu_us_per_%s", what);
    json_object_set_new(figures, name,
                        json_real((double)span->server_cpu_ns / 1e3 / (double)operations));
}

static void add_memory(pid_t process, struct bench_memory *memory)
{
    char line[256];
    snprintf(line, sizeof line, "/proc/%d/smaps_rollup", (int)process);
    FILE *file = fopen(line, "re");
    if (file == NULL)
        bench_die("%s: %s; its memory cannot be read", line, strerror(errno));
    while (fgets(line, sizeof line, file) != NULL) {
        size_t kilobytes = 0;
        if (sscanf(line, "Rss: %zu kB", &kilobytes) == 1)
            memory->rss_bytes += kilobytes * 1024;
        else if (sscanf(line, "Private_Clean: %zu kB", &kilobytes) == 1 ||
                 sscanf(line, "Private_Dirty: %zu kB", &kilobytes) == 1)
            memory->private_bytes += kilobytes * 1024;
        else if (sscanf(line, "Anonymous: %zu kB", &kilobytes) == 1)
            memory->anonymous_bytes += kilobytes * 1024;
    }
    fclose(file);
}

struct bench_memory bench_memory_of(pid_t server)
{
    pid_t processes[BENCH_PROCESSES_MAX];
    struct bench_memory memory = {0};
    size_t count = bench_process_tree(server, processes);
    for (size_t i = 0; i < count; i++)
        add_memory(processes[i], &memory);
    return memory;
}

size_t bench_meminfo(const char *name)
{
    char line[128];
    size_t kilobytes = 0;
    size_t name_bytes = strlen(name);
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, name_bytes) == 0 && line[name_bytes] == ':' &&
            sscanf(line + name_bytes + 1, "%zu", &kilobytes) == 1)
            break;
    }
    fclose(file);
    return kilobytes * 1024;
}
