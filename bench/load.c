/* load.c: connections, frames and samples for the load programs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "load.h"
#include "proto/mask.h"
#include "proto/ws_frame.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections that are opened side by side: far below any listener's backlog, so that no SYN is
 * dropped and repeated a second later. */
#define BATCH_CONNS 64

/* The server's half of a handshake is some 130 bytes; refusals may carry a page. */
#define HEAD_BYTES_MAX 4096

/* The example of RFC 6455, section 1.3: what the server must answer is known beforehand. */
#define HANDSHAKE_KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define HANDSHAKE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* The masking key of RFC 6455, section 5.7: four different octets, none of them 0. */
static const uint8_t mask_key[4] = {0x37, 0xfa, 0x21, 0x3d};

/* 127.0.0.2 and up: the first source address, and the n-th. */
static in_addr_t source_address(size_t conn)
{
    size_t source = conn / LOAD_CONNS_PER_SOURCE;
    if (source > 200)
        bench_die("too many connections for one program");
    return htonl(INADDR_LOOPBACK + 1 + (in_addr_t)source);
}

static int connect_one(size_t port, size_t conn)
{
    int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = source_address(conn)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        bench_die("socket: %s", strerror(errno));
    /* The port is chosen at connect, when the target is known: it may then be one that serves
     * another target too. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0)
        bench_die("bind to a loopback address: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        bench_die("connect to 127.0.0.1:%zu: %s", port, strerror(errno));
    return fd;
}

static void wait_for(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    int ready = poll(&one, 1, LOAD_PATIENCE_MS);
    if (ready == 0)
        bench_die("the server did nothing for %d ms", LOAD_PATIENCE_MS);
    if (ready < 0 && errno != EINTR)
        bench_die("poll: %s", strerror(errno));
}

/* One recv that waits; never 0. */
static size_t receive_some(int fd, void *out, size_t count, int flags)
{
    for (;;) {
        ssize_t received = recv(fd, out, count, flags | MSG_DONTWAIT);
        if (received > 0)
            return (size_t)received;
        if (received == 0)
            bench_die("the server closed a connection");
        if (errno != EAGAIN && errno != EINTR)
            bench_die("recv: %s", strerror(errno));
        wait_for(fd, POLLIN);
    }
}

void load_send_all(int fd, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    while (count > 0) {
        ssize_t sent = send(fd, at, count, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            bench_die("send: %s", strerror(errno));
        if (sent < 0) {
            wait_for(fd, POLLOUT);
            continue;
        }
        at += sent;
        count -= (size_t)sent;
    }
}

void load_receive_all(int fd, void *out, size_t count)
{
    uint8_t *at = out;
    while (count > 0) {
        size_t received = receive_some(fd, at, count, 0);
        at += received;
        count -= received;
    }
}

size_t load_receive_head(int fd, char *out, size_t out_bytes)
{
    size_t held = 0;
    for (;;) {
        if (held + 1 >= out_bytes)
            bench_die("the server's head is longer than %zu bytes", out_bytes);
        /* Look first: what follows the head belongs to somebody else. */
        size_t peeked = receive_some(fd, out + held, out_bytes - 1 - held, MSG_PEEK);
        out[held + peeked] = '\0';
        const char *end = strstr(held >= 3 ? out + held - 3 : out, "\r\n\r\n");
        size_t take = end == NULL ? peeked : (size_t)(end - out) + 4 - held;
        load_receive_all(fd, out + held, take);
        held += take;
        out[held] = '\0';
        if (end != NULL)
            return held;
    }
}

static void send_upgrade(int fd, const struct load_target *target)
{
    char request[HEAD_BYTES_MAX];
    int bytes = snprintf(request, sizeof(request),
                         "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%zu\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Key: " HANDSHAKE_KEY "\r\n"
                         "Sec-WebSocket-Version: 13\r\n\r\n",
                         target->path, target->port);
    if (bytes < 0 || (size_t)bytes >= sizeof(request))
        bench_die("the path is too long");
    load_send_all(fd, request, (size_t)bytes);
}

static void receive_upgrade(int fd)
{
    char head[HEAD_BYTES_MAX];
    load_receive_head(fd, head, sizeof(head));
    head[strcspn(head, "\r")] = '\0';
    if (strncmp(head, "HTTP/1.1 101", 12) != 0)
        bench_die("the server refused the upgrade: %s", head);
    head[strlen(head)] = '\r';
    if (strstr(head, HANDSHAKE_ACCEPT) == NULL)
        bench_die("the server's Sec-WebSocket-Accept is wrong");
}

void load_open(const struct load_target *target, int *fds_out, size_t count, size_t already)
{
    for (size_t begin = 0; begin < count; begin += BATCH_CONNS) {
        size_t end = begin + BATCH_CONNS < count ? begin + BATCH_CONNS : count;
        for (size_t i = begin; i < end; i++)
            fds_out[i] = connect_one(target->port, already + i);
        for (size_t i = begin; i < end && !target->raw; i++)
            send_upgrade(fds_out[i], target);
        for (size_t i = begin; i < end && !target->raw; i++)
            receive_upgrade(fds_out[i]);
    }
}

void load_close(const int *fds, size_t count)
{
    struct linger abort = {.l_onoff = 1, .l_linger = 0};
    for (size_t i = 0; i < count; i++) {
        setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
        close(fds[i]);
    }
}

size_t load_frame_bytes(size_t payload_bytes, bool masked)
{
    return fw_ws_header_bytes(payload_bytes, masked) + payload_bytes;
}

size_t load_frame_write(uint8_t *out, bool text, bool masked, const uint8_t *payload,
                        size_t payload_bytes)
{
    uint32_t key = 0;
    memcpy(&key, mask_key, sizeof(key));
    struct fw_ws_header header = {.payload_bytes = payload_bytes,
                                  .key = key,
                                  .opcode = text ? FW_WS_TEXT : FW_WS_BINARY,
                                  .fin = true,
                                  .masked = masked};
    size_t head = fw_ws_header_encode(&header, out);
    if (masked)
        fw_mask(out + head, payload, payload_bytes, key);
    else
        memcpy(out + head, payload, payload_bytes);
    return head + payload_bytes;
}

/* The second number of a schedstat file (proc(5)); 0 where the thread has ended, or the kernel
 * keeps no such figure. */
static uint64_t thread_waited_ns(pid_t process, const char *thread)
{
    char path[300];
    unsigned long long waited = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)process, thread);
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
    snprintf(path, sizeof(path), "/proc/%d/task", (int)process);
    DIR *threads = opendir(path);
    if (threads == NULL)
        bench_die("%s: %s", path, strerror(errno));
    const struct dirent *thread = NULL;
    while ((thread = readdir(threads)) != NULL) {
        if (thread->d_name[0] != '.')
            waited += thread_waited_ns(process, thread->d_name);
    }
    closedir(threads);
    return waited;
}

static void sample(struct load_span *out)
{
    out->waited_ns = waited_ns(getpid()) + (out->server == 0 ? 0 : waited_ns(out->server));
    out->wall_ns = bench_clock_ns(CLOCK_MONOTONIC);
    out->own_cpu_ns = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    out->server_cpu_ns = out->server == 0 ? 0 : bench_clock_ns(out->server_clock);
}

void load_span_begin(struct load_span *span, pid_t server)
{
    span->server = server;
    /* To the nanosecond, also while the process runs; /proc/PID/stat counts in hundredths of a
     * second, and /proc/PID/schedstat is as old as the last tick and leaves ended threads out. */
    if (server != 0 && clock_getcpuclockid(server, &span->server_clock) != 0)
        bench_die("no CPU clock of process %d", (int)server);
    sample(span);
}

void load_span_end(struct load_span *span)
{
    struct load_span begin = *span;
    sample(span);
    span->wall_ns -= begin.wall_ns;
    span->own_cpu_ns -= begin.own_cpu_ns;
    span->server_cpu_ns -= begin.server_cpu_ns;
    /* A thread that ended has taken its figure with it. */
    span->waited_ns -= span->waited_ns < begin.waited_ns ? span->waited_ns : begin.waited_ns;
}

void load_span_report(const struct load_span *span, const char *what, size_t operations)
{
    char name[64];
    double wall = (double)span->wall_ns;
    double use = (double)span->own_cpu_ns / wall;
    snprintf(name, sizeof(name), "%ss", what);
    bench_report_count(name, operations);
    bench_report_real("wall_s", wall / 1e9);
    bench_report_real("per_s", (double)operations * 1e9 / wall);
    bench_report_real("load_use", use);
    bench_report_flag("saturated", use > 0.95);
    bench_report_real("waited", (double)span->waited_ns / wall);
    if (span->server == 0)
        return;
    snprintf(name, sizeof(name), "server_cpu_us_per_%s", what);
    bench_report_real(name, (double)span->server_cpu_ns / 1e3 / (double)operations);
    bench_report_real("server_use", (double)span->server_cpu_ns / wall);
}

struct load_memory load_memory_of(pid_t process)
{
    char line[256];
    struct load_memory memory = {0};
    snprintf(line, sizeof(line), "/proc/%d/smaps_rollup", (int)process);
    FILE *file = fopen(line, "re");
    if (file == NULL)
        bench_die("%s: %s", line, strerror(errno));
    while (fgets(line, sizeof(line), file) != NULL) {
        size_t kilobytes = 0;
        if (sscanf(line, "Rss: %zu kB", &kilobytes) == 1)
            memory.rss_bytes = kilobytes * 1024;
        else if (sscanf(line, "Private_Clean: %zu kB", &kilobytes) == 1 ||
                 sscanf(line, "Private_Dirty: %zu kB", &kilobytes) == 1)
            memory.private_bytes += kilobytes * 1024;
        else if (sscanf(line, "Anonymous: %zu kB", &kilobytes) == 1)
            memory.anonymous_bytes = kilobytes * 1024;
    }
    fclose(file);
    return memory;
}
