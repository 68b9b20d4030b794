/* raw.c: listener, end and backlog of the bare servers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "raw.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel cuts it to net.core.somaxconn. */
#define LISTEN_BACKLOG 65535

static volatile sig_atomic_t stopping;

int raw_listen(size_t port)
{
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        bench_die("socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        bench_die("bind to 127.0.0.1:%zu: %s", port, strerror(errno));
    if (listen(fd, LISTEN_BACKLOG) != 0)
        bench_die("listen: %s", strerror(errno));
    return fd;
}

void raw_unlisten(int listener)
{
    shutdown(listener, SHUT_RDWR);
}

static void stop(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

void raw_ready(size_t port, const char *engine)
{
    struct sigaction action = {.sa_handler = stop}; /* no SA_RESTART: a wait must end */
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    printf("ready: listening on 127.0.0.1:%zu (%s)\n", port, engine);
    fflush(stdout);
}

bool raw_stopping(void)
{
    return stopping != 0;
}

void raw_tell(const struct raw_figures *figures)
{
    fprintf(stderr, "turns %zu, receives %zu, sends %zu, short sends %zu, starved receives %zu\n",
            figures->turns, figures->receives, figures->sends, figures->sends_short,
            figures->receives_starved);
}

void raw_backlog_append(struct raw_backlog *backlog, const void *bytes, size_t count)
{
    if (count == 0)
        return;
    if (backlog->begin > 0) {
        memmove(backlog->bytes, backlog->bytes + backlog->begin, raw_backlog_bytes(backlog));
        backlog->end -= backlog->begin;
        backlog->begin = 0;
    }
    if (backlog->end + count > backlog->capacity) {
        backlog->capacity = 2 * (backlog->end + count);
        uint8_t *grown = fw_mem_resize(backlog->bytes, backlog->capacity);
        if (grown == NULL)
            bench_die("out of memory for a backlog of %zu bytes", backlog->capacity);
        backlog->bytes = grown;
    }
    memcpy(backlog->bytes + backlog->end, bytes, count);
    backlog->end += count;
}

void raw_backlog_drop(struct raw_backlog *backlog, size_t count)
{
    backlog->begin += count;
    if (backlog->begin == backlog->end) {
        fw_mem_free(backlog->bytes);
        *backlog = (struct raw_backlog){0};
    }
}
