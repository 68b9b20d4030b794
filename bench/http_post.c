/* http_post.c: blocking POSTs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_post.h"
#include "opening.h"
#include "support.h"

#include "base/mem.h"
#include "proto/http1.h"

#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATIENCE_SECONDS 30
/* A batch of a hundred messages is answered one by one. */
#define ANSWER_BYTES 65536

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

/* ---- octets, plain or encrypted -------------------------------------------------------------- */

static void write_all(int fd, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0)
            bench_die("publishing: %s", strerror(errno));
        bytes += sent;
        count -= (size_t)sent;
    }
}

/* Writes what TLS has to say, and frees it. */
static void write_wire(int fd, struct fw_tls_sink *wire)
{
    write_all(fd, wire->bytes, wire->count);
    fw_mem_free(wire->bytes);
    *wire = (struct fw_tls_sink){.grow = fw_tls_sink_grow};
}

/* Plain octets as they come; waits for some.
 *
 * returns      0 when TLS has taken a step without any
 */
static size_t receive(struct bench_poster *poster, uint8_t *out, size_t room)
{
    uint8_t cipher[4096];
    struct fw_tls_sink wire = {.grow = fw_tls_sink_grow};
    bool tls = poster->tls != NULL;
    ssize_t got = recv(poster->fd, tls ? cipher : out, tls ? sizeof cipher : room, 0);
    if (got <= 0)
        bench_die("publishing: %s", got == 0 ? "the server closed" : strerror(errno));
    if (!tls)
        return (size_t)got;
    size_t count = 0;
    fw_tls_received(poster->tls, cipher, (size_t)got); /* what fails here fails below again */
    while (got > 0 && count < room) {
        got = fw_tls_plain(poster->tls, out + count, room - count, &wire);
        if (got < 0)
            bench_die("publishing: %s", fw_status_text((int)got));
        count += (size_t)got;
        write_wire(poster->fd, &wire);
    }
    if (got > 0 && fw_tls_keep(poster->tls) != 0)
        bench_die("publishing: out of memory");
    return count;
}

static void shake_hands(struct bench_poster *poster)
{
    uint8_t none[1];
    char name[BENCH_HOST_BYTES];
    struct fw_tls_sink wire = {.grow = fw_tls_sink_grow};
    bench_url_name(poster->url, name);
    int result = fw_tls_create(bench_tls_context(poster->url), name, NULL, &poster->tls);
    ssize_t got = result != 0 ? result : fw_tls_plain(poster->tls, none, sizeof none, &wire);
    if (got < 0)
        bench_die("publishing over TLS: %s", fw_status_text((int)got));
    write_wire(poster->fd, &wire);
    while (fw_tls_state(poster->tls) != FW_TLS_OPEN) {
        if (receive(poster, none, sizeof none) > 0)
            bench_die("publishing: an answer before its request");
    }
}

static void send_request(struct bench_poster *poster, const struct iovec *pieces)
{
    struct fw_tls_sink wire = {.grow = fw_tls_sink_grow};
    size_t count = pieces[0].iov_len + pieces[1].iov_len;
    if (poster->tls == NULL) {
        if (writev(poster->fd, pieces, 2) != (ssize_t)count)
            bench_die("publishing to %s: %s", poster->url->host, strerror(errno));
        return;
    }
    int result = fw_tls_send(poster->tls, pieces, 2, &wire);
    if (result != 0)
        bench_die("publishing over TLS: %s", fw_status_text(result));
    write_wire(poster->fd, &wire);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Reads one answer, its body too, so that the next one can follow; closes the connection when none
 * can.
 *
 * in           room for the whole of it
 * body_out     where the body begins
 * status_out   of the answer
 * returns      octets of the body
 */
static size_t receive_answer(struct bench_poster *poster, uint8_t *in, size_t room,
                             const uint8_t **body_out, int *status_out)
{
    size_t held = 0;
    ssize_t head_bytes = 0;
    struct fw_http_head head;
    fw_http_head_init(&head);
    while (head_bytes == 0 || held < (size_t)head_bytes + head.content_length) {
        if (held == room)
            bench_die("%s: an answer is longer than %zu bytes", poster->url->host, room);
        held += receive(poster, in + held, room - held);
        if (head_bytes == 0)
            head_bytes = fw_http_response_parse(&head, in, held);
        if (head_bytes < 0)
            bench_die("%s: an answer: %s", poster->url->host, fw_status_text((int)head_bytes));
    }
    if (!head.keep_alive || !(head.has_length || head.status == 204))
        bench_poster_close(poster);
    *body_out = in + head_bytes;
    *status_out = head.status;
    return held - (size_t)head_bytes;
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
    if (poster->tls != NULL)
        fw_tls_destroy(poster->tls);
    poster->tls = NULL;
}

static void begin(struct bench_poster *poster)
{
    if (poster->fd >= 0)
        return;
    poster->fd = connect_to(poster->url);
    if (poster->url->tls)
        shake_hands(poster);
}

int bench_poster_post(struct bench_poster *poster, const void *body, size_t body_bytes)
{
    const struct bench_url *url = poster->url;
    char head[BENCH_PATH_BYTES + BENCH_HOST_BYTES + 256];
    uint8_t in[ANSWER_BYTES];
    const uint8_t *answer;
    int status;
    int head_bytes =
        snprintf(head, sizeof head,
                 "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                 url->path, url->host, poster->content_type, body_bytes);
    const struct iovec pieces[] = {{head, (size_t)head_bytes},
                                   {(void *)(uintptr_t)body, body_bytes}};
    begin(poster);
    send_request(poster, pieces);
    receive_answer(poster, in, sizeof in, &answer, &status);
    return status;
}

int bench_poster_get(struct bench_poster *poster, const char *path, char *text_out, size_t room)
{
    char head[BENCH_PATH_BYTES + BENCH_HOST_BYTES + 64];
    const uint8_t *body;
    int status;
    int head_bytes =
        snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, poster->url->host);
    const struct iovec pieces[] = {{head, (size_t)head_bytes}, {NULL, 0}};
    uint8_t *in = bench_alloc(1, FW_HTTP_HEAD_BYTES_MAX + room);
    begin(poster);
    send_request(poster, pieces);
    size_t bytes = receive_answer(poster, in, FW_HTTP_HEAD_BYTES_MAX + room - 1, &body, &status);
    if (bytes >= room)
        bench_die("%s%s: the answer is longer than %zu bytes", poster->url->host, path, room);
    memcpy(text_out, body, bytes);
    text_out[bytes] = '\0';
    free(in);
    return status;
}
