/* server.c: starting, watching and ending servers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server.h"
#include "process.h"

#include "proto/ws_frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fanwire/status.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_SECONDS     20
#define STOP_SECONDS      30
#define WORDS_MAX         64
#define COMMAND_BYTES_MAX 4096
/* As tests and packagers have it: this cannot be run here. */
#define EXIT_SKIPPED 77

/* The group to end when this program ends; 0: none. Read by signal handlers. */
static volatile sig_atomic_t live_group;

static void end_group(void)
{
    if (live_group != 0)
        kill(-live_group, SIGKILL);
}

static void on_signal(int number)
{
    end_group();
    signal(number, SIG_DFL);
    raise(number);
}

void bench_server_guard(void)
{
    atexit(end_group);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGHUP, on_signal);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- the command ----------------------------------------------------------------------------- */

static size_t frame_bytes(size_t payload_bytes, bool masked)
{
    return fw_ws_header_bytes(payload_bytes, masked) + payload_bytes;
}

/* The value of a placeholder for this peer; NULL for a word that is none. */
static const char *value_of(const char *name, const struct bench_peer *peer,
                            const struct bench_start *start, uint16_t port, char *room,
                            size_t room_bytes)
{
    bool echo = start->role == BENCH_ECHO;
    size_t in = frame_bytes(start->payload_bytes, true);
    size_t out = frame_bytes(start->payload_bytes, false);
    if (strncmp(name, "{port}", 6) == 0)
        snprintf(room, room_bytes, "%u", port);
    else if (strncmp(name, "{in}", 4) == 0)
        snprintf(room, room_bytes, "%zu", in);
    else if (strncmp(name, "{out}", 5) == 0)
        snprintf(room, room_bytes, "%zu", out);
    else if (strncmp(name, "{role}", 6) == 0)
        snprintf(room, room_bytes, "%s", echo ? "echo" : peer->raw ? "fanout" : "serve");
    else if (strncmp(name, "{over}", 6) == 0)
        snprintf(room, room_bytes, "%s%s", peer->tls ? "tls" : "plain",
                 peer->deflate ? "+deflate" : "");
    else if (strncmp(name, "{flags}", 7) == 0 && peer->ours)
        snprintf(room, room_bytes, "--listen %s:%u %s%s%s",
                 start->listen_host == NULL ? "127.0.0.1" : start->listen_host, port,
                 start->ours_flags == NULL ? "" : start->ours_flags,
                 peer->tls ? " --tls-self-signed" : "", peer->deflate ? " --deflate" : "");
    else if (strncmp(name, "{flags}", 7) == 0 && echo)
        snprintf(room, room_bytes, "--in %zu --out %zu", in, out);
    else if (strncmp(name, "{flags}", 7) == 0)
        *room = '\0';
    else
        return NULL;
    return room;
}

bool bench_server_words(const struct bench_peer *peer, const struct bench_start *start,
                        uint16_t port, char *text, size_t text_bytes, char **words_out, size_t room)
{
    char value[512];
    size_t at = 0;
    for (const char *from = peer->command; *from != '\0';) {
        const char *put =
            *from == '{' ? value_of(from, peer, start, port, value, sizeof value) : NULL;
        size_t bytes = put == NULL ? 1 : strlen(put);
        if (at + bytes + 1 > text_bytes)
            return false;
        memcpy(text + at, put == NULL ? from : put, bytes);
        at += bytes;
        from = put == NULL ? from + 1 : strchr(from, '}') + 1;
    }
    text[at] = '\0';
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (count + 1 >= room)
            return false;
        words_out[count++] = word;
    }
    words_out[count] = NULL;
    return count > 0;
}

/* ---- its life -------------------------------------------------------------------------------- */

static int bound(int type, uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Below the ephemeral range, and free for TCP and for raw-fanout's datagrams. */
static uint16_t free_port(void)
{
    for (int tries = 0; tries < 1000; tries++) {
        uint16_t random;
        if (getrandom(&random, sizeof random, 0) != sizeof random)
            break;
        uint16_t port = (uint16_t)(10000 + random % 20000);
        int tcp = bound(SOCK_STREAM, port);
        int udp = tcp < 0 ? -1 : bound(SOCK_DGRAM, port);
        if (tcp >= 0)
            close(tcp);
        if (udp >= 0) {
            close(udp);
            return port;
        }
    }
    bench_die("no free port on 127.0.0.1 between 10000 and 29999");
}

_Noreturn static void become(char **words, int output, bool pinned)
{
    const struct sched_param first = {.sched_priority = BENCH_REALTIME_PRIORITY};
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int input = open("/dev/null", O_RDONLY);
    if (input < 0 || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
        _exit(126);
    if (pinned)
        sched_setaffinity(0, sizeof bench_settings.server_cpus, &bench_settings.server_cpus);
    if (bench_settings.realtime && sched_setscheduler(0, SCHED_FIFO, &first) != 0)
        dprintf(2, "--realtime: %s\n", strerror(errno));
    for (int number = 1; number < 32; number++)
        signal(number, SIG_DFL);
    execvp(words[0], words);
    dprintf(2, "%s: %s\n", words[0], strerror(errno));
    _exit(127);
}

/* Everything it printed, its last 2000 octets. */
static void print_output(const struct bench_server *server)
{
    char words[2001];
    off_t end = lseek(server->output, 0, SEEK_END);
    ssize_t bytes = pread(server->output, words, 2000, end > 2000 ? end - 2000 : 0);
    words[bytes < 0 ? 0 : bytes] = '\0';
    fprintf(stderr, "%s said:\n%s\n", server->peer->name, words);
}

static bool port_open(uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    if (fd >= 0)
        close(fd);
    return open;
}

static bool skipped(struct bench_server *server, int status)
{
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SKIPPED)
        return false;
    fprintf(stderr, "skipped: ");
    print_output(server);
    return true;
}

/* Whether it is ready; false when it skips. */
static bool wait_until_ready(struct bench_server *server)
{
    const struct timespec pause_10ms = {.tv_nsec = 10000000};
    for (int tries = 0; tries < READY_SECONDS * 100; tries++) {
        int status;
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            live_group = 0;
            if (skipped(server, status))
                return false;
            print_output(server);
            bench_die("%s ended before it was ready", server->peer->name);
        }
        if (port_open(server->port))
            return true;
        nanosleep(&pause_10ms, NULL);
    }
    print_output(server);
    bench_die("%s is not ready after %d s", server->peer->name, READY_SECONDS);
}

static void spawn(struct bench_server *server, const struct bench_start *start)
{
    char text[COMMAND_BYTES_MAX];
    char *words[WORDS_MAX];
    if (!bench_server_words(server->peer, start, server->port, text, sizeof text, words, WORDS_MAX))
        bench_misuse("the command of %s is empty, or too long", server->peer->name);
    server->output = memfd_create("output", MFD_CLOEXEC);
    fflush(NULL);
    server->pid = server->output < 0 ? -1 : fork();
    if (server->pid == 0)
        become(words, server->output, !start->anywhere);
    if (server->pid < 0)
        bench_die("%s cannot be started: %s", server->peer->name, strerror(errno));
    setpgid(server->pid, server->pid); /* in the child too: whoever comes first */
    live_group = server->pid;
    server->started = true;
}

/* Where a started server is reached. */
static void aim(struct bench_server *server, enum bench_role role)
{
    static const char *const dialects[] = {
        [BENCH_BARE] = "", [BENCH_NATS] = "nats+", [BENCH_SOCKET_IO] = "socket.io+"};
    const struct bench_peer *peer = server->peer;
    char url[128];
    snprintf(url, sizeof url, "%s%s://127.0.0.1:%u%s", dialects[peer->dialect],
             peer->raw   ? "tcp"
             : peer->tls ? "wss"
                         : "ws",
             server->port, role == BENCH_FEED && !peer->raw ? "/topics/bench" : "/");
    int result = bench_url_parse(url, &server->url);
    if (result != 0)
        bench_die("%s: %s", url, fw_status_text(result));
    server->url.trust_anyone = true; /* whoever answers there is ours: the certificate is made up */
    server->url.deflate = peer->deflate;
}

bool bench_server_start(const struct bench_peer *peer, const struct bench_start *start,
                        struct bench_server *server_out)
{
    *server_out = (struct bench_server){.peer = peer, .output = -1, .pid = peer->pid};
    if (peer->url != NULL) {
        int result = bench_url_parse(peer->url, &server_out->url);
        if (result != 0)
            bench_misuse("%s: %s", peer->url, fw_status_text(result));
        server_out->url.deflate = peer->deflate;
        if (server_out->url.speech == BENCH_HTTP) /* where an upgrade to WebSocket begins */
            server_out->url.speech = BENCH_WS;
        if (server_out->url.path[0] == '\0')
            strcpy(server_out->url.path, start->role == BENCH_FEED ? "/topics/bench" : "/");
        server_out->port = ntohs(server_out->url.address.at.in4.sin_port);
        return true;
    }
    server_out->port = free_port();
    spawn(server_out, start);
    if (!wait_until_ready(server_out)) {
        close(server_out->output);
        return false;
    }
    aim(server_out, start->role);
    return true;
}

void bench_server_stop(struct bench_server *server)
{
    const struct timespec pause_10ms = {.tv_nsec = 10000000};
    bool gone = false;
    if (!server->started)
        return;
    kill(server->pid, SIGTERM);
    for (int tries = 0; tries < STOP_SECONDS * 100 && !gone; tries++) {
        gone = waitpid(server->pid, NULL, WNOHANG) == server->pid;
        if (!gone)
            nanosleep(&pause_10ms, NULL);
    }
    kill(-server->pid, SIGKILL);
    if (!gone)
        waitpid(server->pid, NULL, 0);
    live_group = 0;
    close(server->output);
    server->started = false;
}

void bench_server_said(const struct bench_server *server, char *line, size_t line_bytes)
{
    ssize_t bytes = server->output < 0 ? 0 : pread(server->output, line, line_bytes - 1, 0);
    line[bytes < 0 ? 0 : bytes] = '\0';
    line[strcspn(line, "\n")] = '\0';
}
