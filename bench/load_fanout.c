/* load_fanout.c: one publisher, many subscribers: what does a delivery cost the server?
 *
 * A round publishes one message, or a burst at once, and waits until every subscriber has all of
 * it: exactly the bytes that were published, in order, nothing missed and nothing twice. Messages
 * are POSTed to the topic that the subscribers hold over WebSocket; the raw mode sends finished
 * frames in a datagram to raw-fanout instead. One thread, edge-triggered epoll.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BYTES  (64 * 1024)
#define EVENTS_MAX     256
#define BURST_MAX      64
#define HEAD_BYTES_MAX 4096

/* The sequence number in front of each payload, in decimal: what makes a message this message. */
#define SEQUENCE_DIGITS 20

/* How long a message that came twice has to show itself at the end. */
#define QUIET_MS 50

struct fanout_load {
    struct load_target target;
    size_t subscribers_count;
    size_t payload_bytes;
    size_t burst;
    size_t rounds;
    size_t warmup;
    size_t server;
    bool by_conns; /* a burst is one POST on each of so many connections, not all on one */
    bool as_json;

    int epoll;
    int *subscribers;
    size_t *received_bytes; /* of this round, by subscriber */
    size_t complete_count;  /* subscribers that have this round */
    size_t sequence;
    uint8_t *frames; /* this round on a subscriber's wire */
    size_t frames_bytes;
    uint8_t *requests; /* this round as the publisher sends it */
    size_t request_bytes;
    int publishers[BURST_MAX]; /* the raw mode's datagram socket is the first */
    uint8_t received[RECEIVE_BYTES];
};

/* Over several connections nobody knows the order, so there all messages of a round are alike. */
static size_t number_of(const struct fanout_load *load, size_t message)
{
    return load->sequence + (load->by_conns ? 0 : message);
}

static void write_payload(const struct fanout_load *load, size_t message, uint8_t *out)
{
    char digits[SEQUENCE_DIGITS + 1];
    snprintf(digits, sizeof(digits), "%0*zu", SEQUENCE_DIGITS, number_of(load, message));
    memcpy(out, digits, SEQUENCE_DIGITS);
    for (size_t i = SEQUENCE_DIGITS; i < load->payload_bytes; i++)
        out[i] = (uint8_t)('a' + i % 26);
}

static size_t request_head(const struct fanout_load *load, char *out, size_t out_bytes)
{
    int bytes = snprintf(out, out_bytes,
                         "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%zu\r\n"
                         "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n",
                         load->target.path, load->target.port, load->payload_bytes);
    if (bytes < 0 || (size_t)bytes >= out_bytes)
        bench_die("the path is too long");
    return (size_t)bytes;
}

static void make_round(struct fanout_load *load)
{
    char head[HEAD_BYTES_MAX];
    size_t head_bytes = request_head(load, head, sizeof(head));
    size_t frame_bytes = load->frames_bytes / load->burst;
    for (size_t i = 0; i < load->burst; i++) {
        uint8_t *request = load->requests + i * load->request_bytes;
        memcpy(request, head, head_bytes);
        write_payload(load, i, request + head_bytes);
        load_frame_write(load->frames + i * frame_bytes, false, false, request + head_bytes,
                         load->payload_bytes);
    }
    load->sequence += load->burst;
}

static void allocate(struct fanout_load *load)
{
    char head[HEAD_BYTES_MAX];
    load->request_bytes = request_head(load, head, sizeof(head)) + load->payload_bytes;
    load->frames_bytes = load->burst * load_frame_bytes(load->payload_bytes, false);
    load->requests = bench_alloc(load->burst, load->request_bytes);
    load->frames = bench_alloc(load->frames_bytes, 1);
    load->subscribers = bench_alloc(load->subscribers_count, sizeof(*load->subscribers));
    load->received_bytes = bench_alloc(load->subscribers_count, sizeof(*load->received_bytes));
    if (load->target.raw && load->frames_bytes > 65000)
        bench_die("a burst does not fit into a datagram");
}

static int open_datagrams(size_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        bench_die("the control socket: %s", strerror(errno));
    return fd;
}

static size_t publishers_count(const struct fanout_load *load)
{
    return load->by_conns ? load->burst : 1;
}

static void open_publishers(struct fanout_load *load)
{
    struct load_target plain = {.port = load->target.port, .raw = true};
    if (load->target.raw)
        load->publishers[0] = open_datagrams(load->target.port);
    else
        load_open(&plain, load->publishers, publishers_count(load), load->subscribers_count);
}

/* raw-fanout says with one byte that a connection is counted in; a feed server with its 101. */
static void open_subscribers(struct fanout_load *load)
{
    uint8_t greeting = 0;
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load->epoll < 0)
        bench_die("epoll_create1: %s", strerror(errno));
    load_open(&load->target, load->subscribers, load->subscribers_count, 0);
    for (size_t i = 0; i < load->subscribers_count; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = i};
        if (load->target.raw)
            load_receive_all(load->subscribers[i], &greeting, 1);
        if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, load->subscribers[i], &event) != 0)
            bench_die("epoll_ctl: %s", strerror(errno));
    }
}

static void publish(const struct fanout_load *load)
{
    if (load->target.raw) {
        load_send_all(load->publishers[0], load->frames, load->frames_bytes);
        return;
    }
    size_t count = publishers_count(load);
    size_t bytes = load->burst / count * load->request_bytes;
    for (size_t i = 0; i < count; i++)
        load_send_all(load->publishers[i], load->requests + i * bytes, bytes);
}

static size_t body_bytes(const char *head)
{
    static const char name[] = "\r\ncontent-length:";
    for (; *head != '\0'; head++) {
        if (strncasecmp(head, name, sizeof(name) - 1) == 0)
            return strtoul(head + sizeof(name) - 1, NULL, 10);
    }
    bench_die("the publisher's answer has no Content-Length");
}

/* Takes one answer off a publisher's connection; whether the server will close it now. */
static bool receive_answer(int fd)
{
    char head[HEAD_BYTES_MAX];
    char body[HEAD_BYTES_MAX];
    load_receive_head(fd, head, sizeof(head));
    size_t bytes = body_bytes(head);
    if (bytes > sizeof(body))
        bench_die("the publisher's answer is too long: %zu bytes", bytes);
    load_receive_all(fd, body, bytes);
    bool closes = strcasestr(head, "\r\nconnection: close") != NULL;
    head[strcspn(head, "\r")] = '\0';
    if (strncmp(head, "HTTP/1.1 2", 10) != 0)
        bench_die("the server refused a message: %s", head);
    return closes;
}

static void receive_answers(struct fanout_load *load)
{
    struct load_target plain = {.port = load->target.port, .raw = true};
    size_t count = load->target.raw ? 0 : publishers_count(load);
    for (size_t i = 0; i < count; i++) {
        size_t expected = load->burst / count;
        bool closes = false;
        for (size_t j = 0; j < expected; j++) {
            if (closes)
                bench_die("the server takes one POST a connection: try --by-conns");
            closes = receive_answer(load->publishers[i]);
        }
        if (closes) {
            close(load->publishers[i]);
            load_open(&plain, &load->publishers[i], 1, load->subscribers_count);
        }
    }
}

static void check(const struct fanout_load *load, size_t subscriber, size_t count)
{
    size_t had = load->received_bytes[subscriber];
    if (count > load->frames_bytes - had)
        bench_die("subscriber %zu got %zu bytes too many: a message twice?", subscriber,
                  count - (load->frames_bytes - had));
    if (memcmp(load->received, load->frames + had, count) != 0)
        bench_die("subscriber %zu got other bytes than were published", subscriber);
}

/* Takes what came, until the socket is empty (a short recv says so: the edge comes again). */
static void receive_more(struct fanout_load *load, size_t subscriber)
{
    ssize_t received = RECEIVE_BYTES;
    while (received == RECEIVE_BYTES) {
        received = recv(load->subscribers[subscriber], load->received, RECEIVE_BYTES, MSG_DONTWAIT);
        if (received < 0 && errno == EAGAIN)
            return;
        if (received <= 0)
            bench_die("subscriber %zu: %s", subscriber,
                      received == 0 ? "the server closed" : strerror(errno));
        check(load, subscriber, (size_t)received);
        load->received_bytes[subscriber] += (size_t)received;
        if (load->received_bytes[subscriber] == load->frames_bytes)
            load->complete_count++;
    }
}

static void run_round(struct fanout_load *load)
{
    struct epoll_event events[EVENTS_MAX];
    make_round(load);
    memset(load->received_bytes, 0, load->subscribers_count * sizeof(*load->received_bytes));
    load->complete_count = 0;
    publish(load);
    while (load->complete_count < load->subscribers_count) {
        int count = epoll_wait(load->epoll, events, EVENTS_MAX, LOAD_PATIENCE_MS);
        if (count < 0 && errno != EINTR)
            bench_die("epoll_wait: %s", strerror(errno));
        if (count == 0)
            bench_die("%zu of %zu subscribers miss a message",
                      load->subscribers_count - load->complete_count, load->subscribers_count);
        for (int i = 0; i < count; i++)
            receive_more(load, events[i].data.u64);
    }
    receive_answers(load);
}

static void run_rounds(struct fanout_load *load, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++)
        run_round(load);
}

/* Every round is complete: whatever else comes is one message too many. */
static void check_quiet(struct fanout_load *load)
{
    struct epoll_event event;
    while (epoll_wait(load->epoll, &event, 1, QUIET_MS) > 0)
        receive_more(load, event.data.u64);
}

static void report(const struct fanout_load *load, const struct load_span *span)
{
    bench_report_open(load->as_json);
    bench_report_text("program", "load-fanout");
    bench_report_text("mode", load->target.raw ? "raw" : "ws");
    bench_report_text("burst_by", load->by_conns ? "connections" : "pipeline");
    bench_report_count("subscribers", load->subscribers_count);
    bench_report_count("payload_bytes", load->payload_bytes);
    bench_report_count("burst", load->burst);
    bench_report_count("rounds", load->rounds);
    load_span_report(span, "delivery", load->rounds * load->burst * load->subscribers_count);
    bench_report_close();
}

static void read_options(struct fanout_load *load, int argc, char **argv)
{
    const struct bench_option options[] = {
        BENCH_NUMBER("port", &load->target.port, 1, 65535, "the server's port on 127.0.0.1"),
        BENCH_TEXT("path", &load->target.path, "the topic, to subscribe and to POST to"),
        BENCH_FLAG("raw", &load->target.raw, "the server is raw-fanout"),
        BENCH_NUMBER("subscribers", &load->subscribers_count, 1, 100000, "subscribers"),
        BENCH_NUMBER("payload", &load->payload_bytes, SEQUENCE_DIGITS, 4096, "bytes a message"),
        BENCH_NUMBER("burst", &load->burst, 1, BURST_MAX, "messages published at once"),
        BENCH_FLAG("by-conns", &load->by_conns, "a burst over as many connections, not pipelined"),
        BENCH_NUMBER("rounds", &load->rounds, 1, 1000000, "bursts to measure"),
        BENCH_NUMBER("warmup", &load->warmup, 0, 1000000, "bursts before that"),
        BENCH_NUMBER("server-pid", &load->server, 0, 1u << 30, "whose CPU time to read; 0: none"),
        BENCH_FLAG("json", &load->as_json, "report as one line of JSON"),
        BENCH_OPTIONS_END,
    };
    bench_options_read(argc, argv, options, "fan-out load on a feed server");
}

int main(int argc, char **argv)
{
    static struct fanout_load load = {.target = {.port = 8080, .path = "/topics/bench"},
                                      .subscribers_count = 1000,
                                      .payload_bytes = 100,
                                      .burst = 1,
                                      .rounds = 50,
                                      .warmup = 5};
    struct load_span span;
    read_options(&load, argc, argv);
    bench_descriptors_raise(load.subscribers_count + load.burst);
    allocate(&load);
    open_subscribers(&load);
    open_publishers(&load);
    run_rounds(&load, load.warmup);
    load_span_begin(&span, (pid_t)load.server);
    run_rounds(&load, load.rounds);
    load_span_end(&span);
    check_quiet(&load);
    report(&load, &span);
    load_close(load.subscribers, load.subscribers_count);
    return 0;
}
