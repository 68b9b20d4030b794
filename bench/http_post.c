/* http_post.c: blocking POSTs.
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

/* Reads one answer, its body too, so that the next one can follow.
 *
 * keep_out     whether the connection goes on
 * returns      the status
 */
static int receive_answer(int fd, bool *keep_out)
{
    uint8_t in[FW_HTTP_HEAD_BYTES_MAX];
    size_t held = 0;
    ssize_t head_bytes = 0;
    struct fw_http_head head;
    fw_http_head_init(&head);
    while (head_bytes == 0 || held < (size_t)head_bytes + head.content_length) {
        if (held == sizeof in)
            bench_die("publishing: the answer is longer than %zu bytes", sizeof in);
        ssize_t received = recv(fd, in + held, sizeof in - held, 0);
        if (received <= 0)
            bench_die("publishing: %s", received == 0 ? "the server closed" : strerror(errno));
        held += (size_t)received;
        if (head_bytes == 0)
            head_bytes = fw_http_response_parse(&head, in, held);
        if (head_bytes < 0)
            bench_die("publishing: %s", fw_status_text((int)head_bytes));
    }
    *keep_out = head.keep_alive && (head.has_length || head.status == 204);
    return head.status;
}

void bench_poster_init(struct bench_poster *poster, const struct bench_url *url, bool text)
{
    *poster = (struct bench_poster){
        .url = url, .content_type = text ? "text/plain" : "application/octet-stream", .fd = -1};
}

void bench_poster_close(struct bench_poster *poster)
{
    if (poster->fd >= 0)
        close(poster->fd);
    poster->fd = -1;
}

int bench_poster_post(struct bench_poster *poster, const void *body, size_t body_bytes)
{
    const struct bench_url *url = poster->url;
    char head[BENCH_PATH_BYTES + BENCH_HOST_BYTES + 256];
    bool keep;
    int head_bytes =
        snprintf(head, sizeof head,
                 "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                 url->path, url->host, poster->content_type, body_bytes);
    const struct iovec pieces[] = {{head, (size_t)head_bytes},
                                   {(void *)(uintptr_t)body, body_bytes}};
    if (poster->fd < 0)
        poster->fd = connect_to(url);
    if (writev(poster->fd, pieces, 2) != (ssize_t)((size_t)head_bytes + body_bytes))
        bench_die("publishing to %s: %s", url->host, strerror(errno));
    int status = receive_answer(poster->fd, &keep);
    if (!keep)
        bench_poster_close(poster);
    return status;
}
