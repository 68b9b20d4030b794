/* http_post.c: a blocking POST.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_post.h"
#include "support.h"

#include "proto/http1.h"

#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATIENCE_SECONDS 30

static int connect_to(const struct bench_url *url)
{
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    const struct linger abort = {.l_onoff = 1};
    int fd = socket(url->address.at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &url->address.at.any, url->address.bytes) != 0)
        bench_die("publishing to %s: %s", url->host, strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    return fd;
}

static int receive_status(int fd)
{
    uint8_t in[FW_HTTP_HEAD_BYTES_MAX];
    size_t held = 0;
    struct fw_http_head head;
    fw_http_head_init(&head);
    while (held < sizeof in) {
        ssize_t received = recv(fd, in + held, sizeof in - held, 0);
        if (received <= 0)
            bench_die("publishing: %s", received == 0 ? "the server closed" : strerror(errno));
        held += (size_t)received;
        ssize_t parsed = fw_http_response_parse(&head, in, held);
        if (parsed > 0)
            return head.status;
        if (parsed < 0)
            bench_die("publishing: %s", fw_status_text((int)parsed));
    }
    bench_die("publishing: the answer's head is too long");
}

int bench_http_post(const struct bench_url *url, const void *body, size_t body_bytes,
                    uint64_t *sent_ns_out)
{
    char head[BENCH_PATH_BYTES + BENCH_HOST_BYTES + 256];
    int head_bytes =
        snprintf(head, sizeof head,
                 "POST %s HTTP/1.1\r\nHost: %s\r\n"
                 "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n",
                 url->path, url->host, body_bytes);
    const struct iovec pieces[] = {{head, (size_t)head_bytes},
                                   {(void *)(uintptr_t)body, body_bytes}};
    int fd = connect_to(url);
    *sent_ns_out = bench_clock_ns(CLOCK_MONOTONIC);
    if (writev(fd, pieces, 2) != (ssize_t)((size_t)head_bytes + body_bytes))
        bench_die("publishing to %s: %s", url->host, strerror(errno));
    int status = receive_status(fd);
    close(fd);
    return status;
}
