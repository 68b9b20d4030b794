/* test_fanout_large.c: many subscribers over two workers, four publishing threads, nothing lost.
 *
 * The server runs here, through its public API; the subscribers live in a child process, so that
 * descriptors suffice for both. Each message carries its publisher and number, and each subscriber
 * must see every publisher's numbers in order, once. FANWIRE_TEST_SUBSCRIBERS says how many there
 * are; without it 10,000, or 500 in an instrumented build, and the test says so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fanwire/fanwire.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PUBLISHERS    4u
#define EACH          250u /* messages of each publisher: 1,000 in all */
#define PAYLOAD_BYTES 100u
#define FRAME_BYTES   (2u + PAYLOAD_BYTES)
#define SLOW_ONE_IN   100u
#define PATIENCE_S    120

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define INSTRUMENTED 1
#endif
#endif
#ifndef INSTRUMENTED
#define INSTRUMENTED 0
#endif

static const char upgrade[] =
    "GET /topics/numbers HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/* ---- the subscribers' process ---------------------------------------------------------------- */

struct subscriber {
    int fd;
    bool slow;
    bool closed_1013;
    uint32_t held; /* octets of a frame that is not whole yet */
    uint32_t next[PUBLISHERS];
    uint32_t messages;
    uint8_t frame[FRAME_BYTES];
};

/* The child says what went wrong by its exit code and a line. */
static void child_fails(const char *what, unsigned subscriber)
{
    fprintf(stderr, "subscriber %u: %s (%s)\n", subscriber, what, strerror(errno));
    _exit(1);
}

/* A slow subscriber's segments and window are small, so that little fits into the kernel for it. */
static int subscribe(unsigned number, unsigned port, bool slow)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int small = 2304;
    int segment = 536;
    int large = 256 * 1024;
    char answer[1024];
    size_t count = 0;
    if (fd < 0)
        child_fails("no socket", number);
    if (slow) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    } else { /* who reads may wait long for a CPU: all messages find room in its kernel's buffer */
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
    }
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ||
        send(fd, upgrade, sizeof upgrade - 1, MSG_NOSIGNAL) != (ssize_t)sizeof upgrade - 1)
        child_fails("no connection", number);
    /* Octet by octet at the end, so that no frame is swallowed with the head. */
    while (count < sizeof answer && (count < 4 || memcmp(answer + count - 4, "\r\n\r\n", 4) != 0)) {
        if (recv(fd, answer + count, 1, 0) != 1)
            child_fails("no answer", number);
        count++;
    }
    if (memcmp(answer, "HTTP/1.1 101", 12) != 0)
        child_fails("refused", number);
    return fd;
}

/* Judges one whole frame: a number that follows its publisher's last one. */
static void take_frame(struct subscriber *subscriber, unsigned number)
{
    const uint8_t *frame = subscriber->frame;
    uint32_t message;
    memcpy(&message, frame + 3, sizeof message);
    if (frame[0] != 0x82 || frame[1] != PAYLOAD_BYTES || frame[2] >= PUBLISHERS)
        child_fails("a frame is not what was published", number);
    if (subscriber->next[frame[2]] != message)
        child_fails("a message is missing, doubled or out of order", number);
    subscriber->next[frame[2]]++;
    subscriber->messages++;
}

/* Takes received octets apart; false once a close frame with 1013 was seen. */
static bool take_bytes(struct subscriber *subscriber, unsigned number, const uint8_t *bytes,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        subscriber->frame[subscriber->held++] = bytes[i];
        if (subscriber->held == 4 && subscriber->frame[0] == 0x88) {
            subscriber->closed_1013 =
                subscriber->frame[2] == 1013 >> 8 && subscriber->frame[3] == (1013 & 255);
            return false;
        }
        if (subscriber->held == FRAME_BYTES) {
            take_frame(subscriber, number);
            subscriber->held = 0;
        }
    }
    return true;
}

/* Reads everybody who reads until they have everything. */
static void read_all(struct subscriber *subscribers, unsigned count, unsigned slow_count)
{
    static uint8_t bytes[65536];
    struct epoll_event events[256];
    unsigned done = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (!subscribers[i].slow && epoll_ctl(epoll, EPOLL_CTL_ADD, subscribers[i].fd, &event) != 0)
            child_fails("epoll", i);
    }
    while (done < count - slow_count) {
        int ready = epoll_wait(epoll, events, 256, PATIENCE_S * 1000);
        if (ready <= 0)
            child_fails("messages do not come", done);
        for (int e = 0; e < ready; e++) {
            unsigned i = events[e].data.u32;
            ssize_t got = recv(subscribers[i].fd, bytes, sizeof bytes, MSG_DONTWAIT);
            if (got <= 0 || !take_bytes(&subscribers[i], i, bytes, (size_t)got))
                child_fails("closed although it reads", i);
            if (subscribers[i].messages == PUBLISHERS * EACH) {
                done++;
                epoll_ctl(epoll, EPOLL_CTL_DEL, subscribers[i].fd, NULL);
            }
        }
    }
    close(epoll);
}

/* Those that did not read find their messages up to a point, in order, and then 1013. */
static void read_slow(struct subscriber *subscriber, unsigned number)
{
    uint8_t bytes[4096];
    ssize_t got;
    while ((got = recv(subscriber->fd, bytes, sizeof bytes, 0)) > 0) {
        if (!take_bytes(subscriber, number, bytes, (size_t)got))
            break;
    }
    if (!subscriber->closed_1013 || subscriber->messages == PUBLISHERS * EACH)
        child_fails("a slow one was not closed with 1013", number);
}

static void child_main(unsigned port, unsigned count, bool with_slow, int ready_fd, int go_fd)
{
    struct subscriber *subscribers = calloc(count, sizeof *subscribers);
    unsigned slow_count = 0;
    char octet = 1;
    for (unsigned i = 0; i < count; i++) {
        subscribers[i].slow = with_slow && i % SLOW_ONE_IN == 0;
        slow_count += subscribers[i].slow;
        subscribers[i].fd = subscribe(i, port, subscribers[i].slow);
    }
    if (write(ready_fd, &octet, 1) != 1)
        child_fails("the parent is gone", 0);
    read_all(subscribers, count, slow_count);
    /* The parent says when everything is published and the slow ones are judged. */
    if (read(go_fd, &octet, 1) != 1)
        child_fails("the parent is gone", 0);
    for (unsigned i = 0; i < count; i++) {
        if (subscribers[i].slow)
            read_slow(&subscribers[i], i);
        close(subscribers[i].fd);
    }
    free(subscribers);
    _exit(0);
}

/* ---- the server's process -------------------------------------------------------------------- */

struct publisher {
    fw_server *server;
    uint8_t number;
};

static void *publish(void *argument)
{
    const struct publisher *publisher = argument;
    const struct timespec moment = {.tv_nsec = 1000000};
    uint8_t payload[PAYLOAD_BYTES] = {publisher->number};
    for (uint32_t message = 0; message < EACH; message++) {
        memcpy(payload + 1, &message, sizeof message);
        int result;
        while ((result = fw_publish(publisher->server, "numbers", FW_BINARY, payload,
                                    sizeof payload, NULL)) == FW_ERR_BUSY)
            nanosleep(&moment, NULL);
        cr_assert_eq(result, 0, "%s", fw_status_text(result));
    }
    return NULL;
}

static void publish_all(fw_server *server)
{
    pthread_t threads[PUBLISHERS];
    struct publisher publishers[PUBLISHERS];
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        publishers[i] = (struct publisher){.server = server, .number = (uint8_t)i};
        cr_assert_eq(pthread_create(&threads[i], NULL, publish, &publishers[i]), 0);
    }
    for (unsigned i = 0; i < PUBLISHERS; i++)
        pthread_join(threads[i], NULL);
}

static unsigned subscribers_wanted(void)
{
    const char *wanted = getenv("FANWIRE_TEST_SUBSCRIBERS");
    unsigned count = wanted != NULL ? (unsigned)atoi(wanted) : INSTRUMENTED ? 500 : 10000;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < count + 200)
        count = (unsigned)limit.rlim_cur - 200;
    if (count != 10000)
        fprintf(stderr, "%u subscribers instead of 10000 (FANWIRE_TEST_SUBSCRIBERS sets it)\n",
                count);
    return count;
}

static void quiet_log(int level, const char *line, void *context)
{
    (void)context;
    if (level == FW_LEVEL_ERROR)
        fprintf(stderr, "server: %s\n", line);
}

static void fan_out(enum fw_engine_choice engine, bool with_slow)
{
    unsigned count = subscribers_wanted();
    struct fw_server_options options = FW_SERVER_OPTIONS;
    options.engine = engine;
    options.workers = 2;
    options.feed = true;
    options.on_log = quiet_log;
    /* What a slow one may owe is less than all messages; what a fast one owes stays far below. */
    options.output_bytes_max = with_slow ? 32768 : 0;
    fw_server *server;
    int result = fw_server_create(&options, &server);
    if (result == FW_ERR_ENGINE)
        cr_skip_test("io_uring does not work here");
    cr_assert_eq(result, 0, "%s", fw_status_text(result));
    cr_assert_eq(fw_server_listen(server, "127.0.0.1:0"), 0);
    unsigned port = (unsigned)atoi(strrchr(fw_server_address(server, 0), ':') + 1);

    int ready[2];
    int go[2];
    char octet = 1;
    cr_assert(pipe(ready) == 0 && pipe(go) == 0);
    pid_t child = fork();
    if (child == 0)
        child_main(port, count, with_slow, ready[1], go[0]);
    close(ready[1]); /* a child that fails ends the waiting below */
    cr_assert_eq(fw_server_start(server), 0);
    cr_assert_eq(read(ready[0], &octet, 1), 1, "the subscribers failed");

    struct fw_topic_info info;
    cr_assert_eq(fw_topic_info(server, "numbers", &info), 0);
    cr_assert_eq(info.subscribers, count);
    uint64_t first = fw_server_worker_connections(server, 0);
    cr_assert(first >= count / 2 - 1 && first <= count / 2 + 1, "placement: %u of %u",
              (unsigned)first, count);

    publish_all(server);
    struct fw_server_stats stats = {0};
    const struct timespec moment = {.tv_nsec = 10000000};
    unsigned slow_count = with_slow ? (count + SLOW_ONE_IN - 1) / SLOW_ONE_IN : 0;
    for (unsigned i = 0; i < PATIENCE_S * 100 && stats.slow_closed < slow_count; i++) {
        nanosleep(&moment, NULL);
        fw_server_stats(server, &stats);
    }
    cr_assert_eq(write(go[1], &octet, 1), 1);
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "the subscribers failed");
    fw_server_stats(server, &stats);
    cr_assert_eq(stats.slow_closed, slow_count);
    fw_server_stop(server);
    fw_server_wait(server);
    fw_server_destroy(server);
    close(ready[0]);
    close(go[0]);
    close(go[1]);
}

Test(fanout_large, uring_everybody_gets_every_message_once_in_order)
{
    fan_out(FW_USE_URING, false);
}

Test(fanout_large, epoll_everybody_gets_every_message_once_in_order)
{
    fan_out(FW_USE_EPOLL, false);
}

Test(fanout_large, uring_those_who_do_not_read_disturb_nobody_and_are_closed_with_1013)
{
    fan_out(FW_USE_URING, true);
}

Test(fanout_large, epoll_those_who_do_not_read_disturb_nobody_and_are_closed_with_1013)
{
    fan_out(FW_USE_EPOLL, true);
}
