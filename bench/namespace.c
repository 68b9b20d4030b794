/* namespace.c: a network namespace for load and server.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "namespace.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SYSCTL        "/proc/sys/net/"
#define CHILD_ENTRIES SYSCTL "ipv4/tcp_child_ehash_entries"

/* More buckets than this the kernel does not give (16 M). */
#define ENTRIES_MAX ((size_t)16 << 20)
#define ENTRIES_MIN ((size_t)64 << 10)

static bool read_value(const char *path, char *value, size_t value_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd < 0 ? -1 : read(fd, value, value_bytes - 1);
    if (fd >= 0)
        close(fd);
    value[bytes < 0 ? 0 : bytes] = '\0';
    return bytes > 0;
}

static bool write_value(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    if (fd >= 0)
        close(fd);
    return good;
}

static bool loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0)
        close(fd);
    return good;
}

/* Two buckets a connection: each has an end here and an end there. */
static size_t entries_for(size_t connections)
{
    size_t entries = ENTRIES_MIN;
    while (entries < connections * 2 && entries < ENTRIES_MAX)
        entries *= 2;
    return entries;
}

static void advise(size_t connections, int error)
{
    fprintf(stderr,
            "no network namespace of our own (%s): run as root, or as root set\n"
            "  sysctl net.ipv4.ip_local_port_range='1024 65535' net.core.somaxconn=65535 "
            "net.ipv4.tcp_max_syn_backlog=65535\n",
            strerror(error));
    if (connections > 262144)
        fprintf(stderr, "  and boot with thash_entries=%zu, or chains in its hash table get long\n",
                entries_for(connections));
}

bool bench_namespace_enter(size_t connections)
{
    char before[32];
    char entries[32];
    snprintf(entries, sizeof entries, "%zu", entries_for(connections));
    bool known = read_value(CHILD_ENTRIES, before, sizeof before);
    /* A file of /proc/sys/net stays that of the namespace in which it was opened. */
    int outside = known ? open(CHILD_ENTRIES, O_WRONLY | O_CLOEXEC) : -1;
    bool sized = outside >= 0 && write(outside, entries, strlen(entries)) > 0;
    int result = unshare(CLONE_NEWNET);
    int error = errno;
    bool restored = !sized || pwrite(outside, before, strlen(before), 0) > 0;
    if (outside >= 0)
        close(outside);
    if (!restored)
        fprintf(stderr, "net.ipv4.tcp_child_ehash_entries is %s now, and was %s", entries, before);
    if (result != 0) {
        advise(connections, error);
        return false;
    }
    if (!loopback_up())
        bench_die("lo cannot be brought up in the new network namespace: %s", strerror(errno));
    if (!write_value(SYSCTL "ipv4/ip_local_port_range", "1024 65535") ||
        !write_value(SYSCTL "core/somaxconn", "65535") ||
        !write_value(SYSCTL "ipv4/tcp_max_syn_backlog", "65535"))
        bench_die("the new network namespace cannot be set up: %s", strerror(errno));
    /* Nothing is to be learned from one connection for the next; without it slower, not wrong. */
    write_value(SYSCTL "ipv4/tcp_no_metrics_save", "1");
    return true;
}

size_t bench_ports_per_target(void)
{
    char range[64];
    unsigned first = 32768;
    unsigned last = 60999;
    if (read_value(SYSCTL "ipv4/ip_local_port_range", range, sizeof range))
        sscanf(range, "%u %u", &first, &last);
    return last >= first ? last - first + 1 : 0;
}
