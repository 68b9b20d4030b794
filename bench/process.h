/* process.h: what a server spends, read from outside: CPU, memory, waiting; its children included.
 *
 * thread: any
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_PROCESS_H
#define FW_BENCH_PROCESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A server is at most this many processes (a cluster's workers). */
#define BENCH_PROCESSES_MAX 64

/* A process and all that descend from it, as they are now.
 *
 * returns      how many; 0 when the process is gone. More than BENCH_PROCESSES_MAX end the program.
 */
size_t bench_process_tree(pid_t process, pid_t processes_out[BENCH_PROCESSES_MAX]);

/* A stretch of time: what passed, what this program and what the server spent in it. */
struct bench_span {
    pid_t server; /* 0: not known */
    uint64_t wall_ns;
    uint64_t own_cpu_ns;
    uint64_t server_cpu_ns;
    uint64_t waited_ns; /* that both were ready to run and had no CPU: somebody else had it */
};

/* Begins a stretch; end puts the differences in place of the beginnings. The server's time is that
 * of all its threads, those of the kernel's that work for it (SQPOLL, io-wq) included, to the
 * nanosecond and also while it runs. */
void bench_span_begin(struct bench_span *span, pid_t server);
void bench_span_end(struct bench_span *span);

/* Adds a finished stretch to a record: operations, wall_s, per_s, load_use, waited, and, when the
 * server is known, server_use and server_cpu_us_per_WHAT.
 *
 * what         what an operation is: "message"
 * threads      load threads: `saturated` says that they used more than 95 % of so many CPUs
 */
void bench_span_report(const struct bench_span *span, const char *what, uint64_t operations,
                       unsigned threads, json_t *figures);

/* What a server has in memory, all its processes together. */
struct bench_memory {
    size_t rss_bytes;
    size_t private_bytes;
    size_t anonymous_bytes;
};
struct bench_memory bench_memory_of(pid_t server);

/* A value of /proc/meminfo in bytes ("MemAvailable"); 0 when the kernel does not say. */
size_t bench_meminfo(const char *name);

#endif
