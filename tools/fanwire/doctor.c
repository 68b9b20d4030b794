/* doctor.c: `fanwire doctor`: what this machine lacks for so many connections, and how to mend it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "command.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What an idle connection costs here: the kernel's part is half of what both ends of a loopback
 * pair took (8,701 octets: sockets, inodes, files, an armed receive), ours what `fanwire-bench
 * idle` says. bench/results/2026-11-21-connect.jsonl, 2026-11-21-feed.txt. */
#define KERNEL_BYTES         4352u
#define USER_BYTES           230u
#define BYTES_PER_CONNECTION (KERNEL_BYTES + USER_BYTES)
#define WANTED_DEFAULT       10000u
#define SOMAXCONN_LEAST      4096u

struct visit {
    uint64_t wanted;
    unsigned faults;
};

static void good(const char *what, const char *value)
{
    printf("ok    %-14s %s\n", what, value);
}

/* What holds in some surroundings only. */
static void note(const char *what, const char *value, const char *hint)
{
    printf("note  %-14s %s\n      %-14s %s\n", what, value, "", hint);
}

static void bad(struct visit *visit, const char *what, const char *value, const char *fix)
{
    visit->faults++;
    printf("LACKS %-14s %s\n      %-14s fix: %s\n", what, value, "", fix);
}

/* A number of /proc; 0 when it is not there. */
static uint64_t read_number(const char *path)
{
    unsigned long long number = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu", &number) != 1)
        number = 0;
    fclose(file);
    return number;
}

static char reason[512];

static void keep_reason(int level, const char *line, void *context)
{
    (void)context;
    if (level <= FW_LEVEL_WARN)
        snprintf(reason, sizeof reason, "%s", line);
}

static void look_at_engine(struct visit *visit)
{
    struct fw_server_options options = FW_SERVER_OPTIONS;
    fw_server *server = NULL;
    options.engine = FW_USE_URING;
    options.on_log = keep_reason;
    options.workers = 1;
    int result = fw_server_create(&options, &server);
    if (result == 0)
        good("engine", "io_uring works here");
    else
        bad(visit, "engine", reason[0] != '\0' ? reason : fw_status_text(result),
            "allow io_uring (sysctl kernel.io_uring_disabled=0, in containers a seccomp profile "
            "that has it); epoll serves until then");
    fw_server_destroy(server);
}

static void look_at_descriptors(struct visit *visit)
{
    struct rlimit limit = {0};
    char value[128];
    char fix[160];
    uint64_t needed = visit->wanted + visit->wanted / 10 + 64;
    getrlimit(RLIMIT_NOFILE, &limit);
    snprintf(value, sizeof value, "RLIMIT_NOFILE is %" PRIu64 " (hard %" PRIu64 ")",
             (uint64_t)limit.rlim_cur, (uint64_t)limit.rlim_max);
    if (limit.rlim_max >= needed) {
        good("descriptors", value);
        return;
    }
    snprintf(fix, sizeof fix,
             "LimitNOFILE=%" PRIu64 " in the unit, or ulimit -n %" PRIu64
             " (with io_uring, --workers N holds N times as many)",
             needed, needed);
    bad(visit, "descriptors", value, fix);
}

static void look_at_backlog(struct visit *visit)
{
    char value[64];
    uint64_t most = read_number("/proc/sys/net/core/somaxconn");
    snprintf(value, sizeof value, "net.core.somaxconn is %" PRIu64, most);
    if (most >= SOMAXCONN_LEAST)
        good("backlog", value);
    else
        bad(visit, "backlog", value, "sysctl net.core.somaxconn=4096");
}

static void look_at_conntrack(struct visit *visit)
{
    char value[96];
    char fix[96];
    uint64_t most = read_number("/proc/sys/net/netfilter/nf_conntrack_max");
    if (most == 0) {
        good("conntrack", "not in the way");
        return;
    }
    snprintf(value, sizeof value, "nf_conntrack_max is %" PRIu64, most);
    snprintf(fix, sizeof fix, "sysctl net.netfilter.nf_conntrack_max=%" PRIu64, visit->wanted * 2);
    if (most >= visit->wanted * 2)
        good("conntrack", value);
    else
        bad(visit, "conntrack", value, fix);
}

/* Ports bound who connects, from one address to one address and port: a proxy in front, say. */
static void look_at_ports(const struct visit *visit)
{
    unsigned first = 32768;
    unsigned last = 60999;
    char value[96];
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    int fields = file == NULL ? 0 : fscanf(file, "%u %u", &first, &last);
    if (file != NULL)
        fclose(file);
    snprintf(value, sizeof value, "%u for one proxy on this machine", last - first + 1);
    if (fields != 2 || visit->wanted <= last - first)
        good("ports", value);
    else
        note("ports", value,
             "nothing to mend for clients of other machines; for a proxy here, listen on a unix: "
             "path, or on several addresses");
}

static void look_at_memory(struct visit *visit)
{
    char value[128];
    uint64_t pages = (uint64_t)sysconf(_SC_AVPHYS_PAGES);
    uint64_t free_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t needed = visit->wanted * BYTES_PER_CONNECTION;
    snprintf(value, sizeof value,
             "%" PRIu64 " MiB free; %" PRIu64 " idle connections take about %" PRIu64 " MiB",
             free_bytes >> 20, visit->wanted, needed >> 20);
    if (free_bytes > needed)
        good("memory", value);
    else
        bad(visit, "memory", value, "more memory, or fewer connections (--max-connections)");
}

int doctor_main(int argc, char **argv)
{
    static const struct option flags[] = {{"connections", required_argument, NULL, 'c'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    struct visit visit = {.wanted = WANTED_DEFAULT};
    int flag;
    optind = 1;
    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        char *end = NULL;
        if (flag == 'c')
            visit.wanted = strtoull(optarg, &end, 10);
        if (flag == 'h') {
            puts("usage: fanwire doctor [--connections N]   what this machine lacks for N (10000)");
            return EXIT_DONE;
        }
        if (flag != 'c' || *end != '\0' || visit.wanted == 0 || visit.wanted > 1000000000) {
            fputs("fanwire: doctor takes --connections N, a number up to 1000000000\n", stderr);
            return EXIT_USAGE;
        }
    }
    look_at_engine(&visit);
    look_at_descriptors(&visit);
    look_at_backlog(&visit);
    look_at_conntrack(&visit);
    look_at_ports(&visit);
    look_at_memory(&visit);
    printf("%s for %" PRIu64 " connections\n", visit.faults == 0 ? "good" : "not yet good",
           visit.wanted);
    return visit.faults == 0 ? EXIT_DONE : EXIT_FAILED;
}
