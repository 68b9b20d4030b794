/* load_echo.c: closed-loop load on an echo server, WebSocket or bare TCP.
 *
 * Every connection writes `depth` messages at once, waits for all their replies, and writes again;
 * no reply may differ by a byte from what it must be. The figure is the server's CPU time per
 * message, which holds also where this program is the slower side. One thread, edge-triggered
 * epoll. Latency is not measured here: that needs an open loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "load.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* What one recv takes at most: a big reply in few calls, and still within the second-level cache.
 */
#define RECEIVE_BYTES (256 * 1024)
#define EVENTS_MAX    256

struct echo_conn {
    int fd;
    size_t sent_bytes;     /* of the current batch */
    size_t received_bytes; /* of the current batch's replies */
};

struct echo_load {
    struct load_target target;
    size_t conns_count;
    size_t depth;
    size_t payload_bytes;
    size_t messages;
    size_t warmup;
    size_t server;
    bool text;
    bool as_json;

    int epoll;
    struct echo_conn *conns;
    uint8_t *batch; /* what a connection writes at once */
    size_t batch_bytes;
    uint8_t *replies; /* and what it must get for that */
    size_t replies_bytes;
    uint8_t *received;
    size_t messages_done;
    size_t conns_done; /* that have all they are owed, and write no more */
    bool finishing;
};

static void fill_payload(uint8_t *out, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)('a' + i % 26);
}

/* Bare TCP has the bytes of the frames but not their meaning: any byte does for any other. */
static void make_batches(struct echo_load *load)
{
    size_t in_bytes = load_frame_bytes(load->payload_bytes, true);
    size_t out_bytes = load_frame_bytes(load->payload_bytes, false);
    uint8_t *payload = bench_alloc(load->payload_bytes, 1);
    load->batch_bytes = in_bytes * load->depth;
    load->replies_bytes = out_bytes * load->depth;
    load->batch = bench_alloc(load->batch_bytes, 1);
    load->replies = bench_alloc(load->replies_bytes, 1);
    load->received = bench_alloc(RECEIVE_BYTES, 1);
    fill_payload(payload, load->payload_bytes);
    if (load->target.raw) {
        memset(load->batch, 'x', load->batch_bytes);
        memset(load->replies, 'x', load->replies_bytes);
        return;
    }
    for (size_t i = 0; i < load->depth; i++) {
        load_frame_write(load->batch + i * in_bytes, load->text, true, payload,
                         load->payload_bytes);
        load_frame_write(load->replies + i * out_bytes, load->text, false, payload,
                         load->payload_bytes);
    }
}

static void send_more(const struct echo_load *load, struct echo_conn *conn)
{
    while (conn->sent_bytes < load->batch_bytes) {
        ssize_t sent = send(conn->fd, load->batch + conn->sent_bytes,
                            load->batch_bytes - conn->sent_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0)
            bench_die("send: %s", strerror(errno));
        conn->sent_bytes += (size_t)sent;
    }
}

static void check(const struct echo_load *load, const struct echo_conn *conn, size_t count)
{
    if (count > load->replies_bytes - conn->received_bytes)
        bench_die("the server sent more than it owed: %zu bytes too many",
                  count - (load->replies_bytes - conn->received_bytes));
    if (memcmp(load->received, load->replies + conn->received_bytes, count) != 0)
        bench_die("a reply is not what was sent (near byte %zu of %zu)", conn->received_bytes,
                  load->replies_bytes);
}

static void on_batch_done(struct echo_load *load, struct echo_conn *conn)
{
    load->messages_done += load->depth;
    if (load->finishing) {
        load->conns_done++;
        return;
    }
    conn->received_bytes = 0;
    conn->sent_bytes = 0;
    send_more(load, conn);
}

/* Takes what came, until the socket is empty (a short recv says so: the edge comes again). */
static void receive_more(struct echo_load *load, struct echo_conn *conn)
{
    for (;;) {
        ssize_t received = recv(conn->fd, load->received, RECEIVE_BYTES, MSG_DONTWAIT);
        if (received < 0 && errno == EAGAIN)
            return;
        if (received <= 0)
            bench_die("recv: %s", received == 0 ? "the server closed" : strerror(errno));
        check(load, conn, (size_t)received);
        conn->received_bytes += (size_t)received;
        if (conn->received_bytes == load->replies_bytes)
            on_batch_done(load, conn);
        if ((size_t)received < RECEIVE_BYTES)
            return;
    }
}

static void turn(struct echo_load *load)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(load->epoll, events, EVENTS_MAX, LOAD_PATIENCE_MS);
    if (count < 0 && errno != EINTR)
        bench_die("epoll_wait: %s", strerror(errno));
    if (count == 0)
        bench_die("messages are lost: nothing came for %d ms after %zu", LOAD_PATIENCE_MS,
                  load->messages_done);
    for (int i = 0; i < count; i++) {
        struct echo_conn *conn = events[i].data.ptr;
        if ((events[i].events & EPOLLIN) != 0)
            receive_more(load, conn);
        send_more(load, conn);
    }
}

static void run_until(struct echo_load *load, size_t messages)
{
    while (load->messages_done < messages)
        turn(load);
}

/* Others' messages must not hide that one was lost: every connection gets all it is owed. */
static void finish(struct echo_load *load)
{
    load->finishing = true;
    while (load->conns_done < load->conns_count)
        turn(load);
}

static void open_all(struct echo_load *load)
{
    int *fds = bench_alloc(load->conns_count, sizeof(*fds));
    load->conns = bench_alloc(load->conns_count, sizeof(*load->conns));
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load->epoll < 0)
        bench_die("epoll_create1: %s", strerror(errno));
    load_open(&load->target, fds, load->conns_count, 0);
    for (size_t i = 0; i < load->conns_count; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                    .data.ptr = &load->conns[i]};
        load->conns[i].fd = fds[i];
        if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, fds[i], &event) != 0)
            bench_die("epoll_ctl: %s", strerror(errno));
    }
}

static void report(const struct echo_load *load, const struct load_span *span, size_t messages)
{
    bench_report_open(load->as_json);
    bench_report_text("program", "load-echo");
    bench_report_text("mode", load->target.raw ? "raw" : load->text ? "text" : "binary");
    bench_report_count("conns", load->conns_count);
    bench_report_count("depth", load->depth);
    bench_report_count("payload_bytes", load->payload_bytes);
    load_span_report(span, "message", messages);
    bench_report_close();
}

static void read_options(struct echo_load *load, int argc, char **argv)
{
    const struct bench_option options[] = {
        BENCH_NUMBER("port", &load->target.port, 1, 65535, "the server's port on 127.0.0.1"),
        BENCH_TEXT("path", &load->target.path, "what is asked for"),
        BENCH_FLAG("raw", &load->target.raw, "bare TCP, as many bytes as the frames would have"),
        BENCH_FLAG("text", &load->text, "text messages, not binary ones"),
        BENCH_NUMBER("conns", &load->conns_count, 1, 100000, "connections"),
        BENCH_NUMBER("depth", &load->depth, 1, 1024, "messages in flight on each"),
        BENCH_NUMBER("payload", &load->payload_bytes, 0, 16u << 20, "bytes of a message"),
        BENCH_NUMBER("messages", &load->messages, 1, SIZE_MAX / 2, "messages to measure"),
        BENCH_NUMBER("warmup", &load->warmup, 0, SIZE_MAX / 2, "messages before that"),
        BENCH_NUMBER("server-pid", &load->server, 0, 1u << 30, "whose CPU time to read; 0: none"),
        BENCH_FLAG("json", &load->as_json, "report as one line of JSON"),
        BENCH_OPTIONS_END,
    };
    bench_options_read(argc, argv, options, "closed-loop load on an echo server");
}

int main(int argc, char **argv)
{
    struct echo_load load = {.target = {.port = 8080, .path = "/"},
                             .conns_count = 200,
                             .depth = 1,
                             .payload_bytes = 20,
                             .messages = 200000,
                             .warmup = 50000};
    struct load_span span;
    read_options(&load, argc, argv);
    bench_descriptors_raise(load.conns_count);
    make_batches(&load);
    open_all(&load);
    run_until(&load, load.warmup);
    size_t begin = load.messages_done;
    load_span_begin(&span, (pid_t)load.server);
    run_until(&load, begin + load.messages);
    load_span_end(&span);
    size_t messages = load.messages_done - begin;
    finish(&load);
    report(&load, &span, messages);
    for (size_t i = 0; i < load.conns_count; i++)
        load_close(&load.conns[i].fd, 1);
    return 0;
}
