/* load_tls.c: what TLS costs a server: load by OpenSSL's client, on whatever server.
 *
 *     load-tls echo|handshakes|keyupdates|probe|idle --port N --pid N [--pid N ...] [flags]
 *
 *   echo         a message in flight on each WebSocket, every reply compared; --plain: without TLS
 *   handshakes   full TLS 1.3 handshakes, some at a time, each closed when its first ticket has
 * come: then the server is done with it as well keyupdates   as echo, with so many KeyUpdates
 * before each message, answers wanted, as a server may stand without closing probe        one
 * connection, a message each millisecond: how long its echo takes idle         connections that
 * have said one request, WebSockets or (--http) kept-alive HTTP
 *
 * The processes named by --pid are the server's: their CPU clocks and resident memory are read
 * before and after. Always TLS 1.3 with X25519 and TLS_AES_128_GCM_SHA256, never resumed, so that
 * servers do the same work. One line of JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIDS_MAX    64
#define EVENTS_MAX  256
#define HEAD_MAX    4096
#define FRAME_EXTRA 14
#define PATIENCE_MS 20000
#define LOCAL_CONNS 10000u /* of one local address: ports are few */
#define PAYLOAD_MAX (1u << 20)
#define KEY_UPDATES 24u /* before a message: ours close at 33 that no KiB of data has paid for */

enum state { FREE, SHAKING, TICKET, ASKING, OPEN, IDLE };

struct conn {
    SSL *ssl; /* NULL: plain */
    int fd;
    enum state state;
    size_t sent; /* of the request or the frame */
    size_t got;  /* of the head or the reply */
};

static struct {
    const char *mode;
    const char *path;
    unsigned port;
    unsigned conns;
    unsigned payload;
    unsigned long count; /* messages or handshakes */
    unsigned long warmup;
    bool plain;
    bool http;
    pid_t pids[PIDS_MAX];
    unsigned pids_count;
} set = {.path = "/", .conns = 200, .payload = 1024, .count = 50000};

static SSL_CTX *context;
static int events_fd;
static struct conn *conns;
static unsigned made;
static uint8_t *frame; /* masked, as it is sent */
static size_t frame_bytes;
static uint8_t *reply; /* as it must come back */
static size_t reply_bytes;
static uint8_t *scratch;
static unsigned long done;
static bool ticket_came; /* to the connection that is being read */

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "load-tls: %s: %s\n", what, errno != 0 ? strerror(errno) : "");
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* ---- what the server costs ------------------------------------------------------------------- */

static uint64_t server_cpu_ns(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < set.pids_count; i++) {
        clockid_t clock;
        struct timespec now;
        if (clock_getcpuclockid(set.pids[i], &clock) != 0 || clock_gettime(clock, &now) != 0)
            die("the server's CPU clock");
        sum += (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    }
    return sum;
}

static uint64_t server_resident_bytes(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < set.pids_count; i++) {
        char path[64];
        unsigned long size;
        unsigned long resident;
        snprintf(path, sizeof path, "/proc/%d/statm", (int)set.pids[i]);
        FILE *file = fopen(path, "r");
        if (file == NULL || fscanf(file, "%lu %lu", &size, &resident) != 2)
            die(path);
        fclose(file);
        sum += (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
    }
    return sum;
}

/* ---- connections ----------------------------------------------------------------------------- */

static void watch(struct conn *conn, int how)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = conn};
    if (epoll_ctl(events_fd, how, conn->fd, &event) != 0)
        die("epoll_ctl");
}

static void dial(struct conn *conn)
{
    const int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)set.port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + made++ / LOCAL_CONNS % 64);
    *conn = (struct conn){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (conn->fd < 0)
        die("socket");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(conn->fd, (struct sockaddr *)&from, sizeof from) != 0)
        die("bind");
    if (connect(conn->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
        die("connect");
    conn->state = set.plain ? ASKING : SHAKING;
    if (!set.plain) {
        conn->ssl = SSL_new(context);
        if (conn->ssl == NULL || SSL_set_fd(conn->ssl, conn->fd) != 1)
            die("SSL_new");
        SSL_set_connect_state(conn->ssl);
        SSL_set_tlsext_host_name(conn->ssl, "localhost");
    }
    watch(conn, EPOLL_CTL_ADD);
}

/* With RST: nothing waits for the ports. */
static void hang_up(struct conn *conn)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(conn->fd);
    SSL_free(conn->ssl);
    *conn = (struct conn){.fd = -1};
}

/* Octets moved, 0 when the socket would block; dies at the end. */
static size_t move_result(struct conn *conn, int result)
{
    if (result > 0)
        return (size_t)result;
    if (conn->ssl == NULL) {
        if (result < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return 0;
    } else {
        int error = SSL_get_error(conn->ssl, result);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
            return 0;
    }
    die("a connection ended");
}

static size_t send_some(struct conn *conn, const uint8_t *bytes, size_t count)
{
    int sent = conn->ssl != NULL ? SSL_write(conn->ssl, bytes, (int)count)
                                 : (int)send(conn->fd, bytes, count, MSG_NOSIGNAL);
    return move_result(conn, sent);
}

static size_t receive_some(struct conn *conn, uint8_t *bytes, size_t room)
{
    int got = conn->ssl != NULL ? SSL_read(conn->ssl, bytes, (int)room)
                                : (int)recv(conn->fd, bytes, room, 0);
    return move_result(conn, got);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static size_t write_request(char *out)
{
    const char *upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                          "Sec-WebSocket-Version: 13\r\n";
    return (size_t)snprintf(out, HEAD_MAX, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", set.path,
                            set.http ? "" : upgrade);
}

/* The answer's head is whole when its empty line came; of HTTP a body may follow, which is read. */
static bool asked(struct conn *conn)
{
    char request[HEAD_MAX];
    uint8_t head[HEAD_MAX];
    size_t request_bytes = write_request(request);
    while (conn->sent < request_bytes) {
        size_t sent = send_some(conn, (uint8_t *)request + conn->sent, request_bytes - conn->sent);
        if (sent == 0)
            return false;
        conn->sent += sent;
    }
    size_t got = receive_some(conn, head, sizeof head - 1);
    if (got == 0)
        return false;
    head[got] = '\0'; /* all of it comes at once: it is small */
    if (strstr((char *)head, "\r\n\r\n") == NULL ||
        strncmp((char *)head, set.http ? "HTTP/1.1 200" : "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "%s\n", (char *)head);
        errno = 0;
        die("another answer was wanted");
    }
    return true;
}

/* Sends what is left of a message; whether that is all. OpenSSL writes each record by itself:
 * corked, they go out together, as they do from clients that gather their records. */
static bool send_frame(struct conn *conn)
{
    int corked = set.payload > 4096;
    if (corked)
        setsockopt(conn->fd, IPPROTO_TCP, TCP_CORK, &corked, sizeof corked);
    while (conn->sent < frame_bytes) {
        size_t sent = send_some(conn, frame + conn->sent, frame_bytes - conn->sent);
        if (sent == 0)
            break;
        conn->sent += sent;
    }
    if (corked) {
        corked = 0;
        setsockopt(conn->fd, IPPROTO_TCP, TCP_CORK, &corked, sizeof corked);
    }
    return conn->sent == frame_bytes;
}

static void update_keys(struct conn *conn)
{
    for (unsigned i = 0; i < KEY_UPDATES; i++) {
        if (SSL_key_update(conn->ssl, SSL_KEY_UPDATE_REQUESTED) != 1 ||
            SSL_do_handshake(conn->ssl) != 1)
            die("a KeyUpdate");
    }
}

/* Sends what is left of a message, takes what came of its reply; counts whole ones. */
static void echo(struct conn *conn)
{
    for (;;) {
        if (conn->sent == 0 && strcmp(set.mode, "keyupdates") == 0)
            update_keys(conn);
        if (conn->sent < frame_bytes && !send_frame(conn))
            return;
        size_t got = receive_some(conn, scratch, reply_bytes - conn->got);
        if (got == 0)
            return;
        if (memcmp(scratch, reply + conn->got, got) != 0) {
            errno = 0;
            die("a reply is not what was sent");
        }
        conn->got += got;
        if (conn->got < reply_bytes)
            continue;
        conn->got = 0;
        conn->sent = 0;
        if (++done >= set.warmup + set.count)
            return;
    }
}

static void step(struct conn *conn)
{
    if (conn->state == SHAKING) {
        int result = SSL_do_handshake(conn->ssl);
        if (result != 1) {
            int error = SSL_get_error(conn->ssl, result);
            if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
                die("a handshake");
            return;
        }
        conn->state = strcmp(set.mode, "handshakes") == 0 ? TICKET : ASKING;
    }
    if (conn->state == TICKET) {
        uint8_t nothing;
        ticket_came = false;
        receive_some(conn, &nothing, 1);
        if (ticket_came) {
            done++;
            hang_up(conn);
            dial(conn);
        }
        return;
    }
    if (conn->state == ASKING && asked(conn)) {
        conn->sent = 0;
        conn->state = strcmp(set.mode, "idle") == 0 ? IDLE : OPEN;
        if (conn->state == IDLE)
            done++;
    }
    if (conn->state == OPEN)
        echo(conn);
}

static void turn(void)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(events_fd, events, EVENTS_MAX, PATIENCE_MS);
    if (count == 0) {
        errno = ETIMEDOUT;
        die("nothing comes");
    }
    for (int i = 0; i < count; i++)
        step(events[i].data.ptr);
}

static void run_until(unsigned long target)
{
    while (done < target)
        turn();
}

/* ---- modes ----------------------------------------------------------------------------------- */

static void make_frames(void)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    frame = malloc(set.payload + FRAME_EXTRA);
    reply = malloc(set.payload + FRAME_EXTRA);
    scratch = malloc(set.payload + FRAME_EXTRA);
    if (frame == NULL || reply == NULL || scratch == NULL)
        die("malloc");
    uint8_t head[10] = {0x82};
    size_t head_bytes = 2;
    if (set.payload < 126) {
        head[1] = (uint8_t)set.payload;
    } else {
        bool wide = set.payload > 65535;
        head[1] = wide ? 127 : 126;
        for (unsigned i = 0; i < (wide ? 8u : 2u); i++)
            head[2 + i] = (uint8_t)((uint64_t)set.payload >> 8 * ((wide ? 7 : 1) - i));
        head_bytes = wide ? 10 : 4;
    }
    memcpy(reply, head, head_bytes);
    memcpy(frame, head, head_bytes);
    frame[1] |= 0x80;
    memcpy(frame + head_bytes, key, 4);
    for (unsigned i = 0; i < set.payload; i++) {
        reply[head_bytes + i] = (uint8_t)(i * 167);
        frame[head_bytes + 4 + i] = (uint8_t)(i * 167) ^ key[i % 4];
    }
    reply_bytes = head_bytes + set.payload;
    frame_bytes = head_bytes + 4 + set.payload;
}

static void run_counted(const char *figure)
{
    for (unsigned i = 0; i < set.conns; i++)
        dial(&conns[i]);
    run_until(set.warmup);
    struct timespec from;
    struct timespec to;
    uint64_t cpu = server_cpu_ns();
    unsigned long before = done;
    clock_gettime(CLOCK_MONOTONIC, &from);
    run_until(set.warmup + set.count);
    cpu = server_cpu_ns() - cpu;
    clock_gettime(CLOCK_MONOTONIC, &to);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    double each = (double)cpu / (double)(done - before) / 1000;
    printf("{\"%s\": %.3f, \"count\": %lu, \"seconds\": %.3f}\n", figure, each, done - before,
           seconds);
}

static int compare(const void *one, const void *other)
{
    double left = *(const double *)one;
    double right = *(const double *)other;
    return (left > right) - (left < right);
}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void run_probe(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    unsigned long count = set.count;
    double *times_us = malloc(count * sizeof *times_us);
    if (times_us == NULL)
        die("malloc");
    set.warmup = 0;
    set.count = 1;
    dial(&conns[0]);
    run_until(1);
    for (unsigned long i = 0; i < count; i++) {
        nanosleep(&pause, NULL);
        set.count++;
        double from = now_us();
        step(&conns[0]);
        run_until(set.count);
        times_us[i] = now_us() - from;
    }
    qsort(times_us, count, sizeof *times_us, compare);
    printf(
        "{\"rtt_us_p50\": %.0f, \"rtt_us_p99\": %.0f, \"rtt_us_p999\": %.0f, \"rtt_us_max\": %.0f, "
        "\"count\": %lu}\n",
        times_us[count / 2], times_us[count * 99 / 100], times_us[count * 999 / 1000],
        times_us[count - 1], count);
    free(times_us);
}

static void run_idle(void)
{
    uint64_t before = 0;
    for (unsigned i = 0; i < set.conns; i++) {
        if (i == 1) /* the first has touched what all share */
            before = server_resident_bytes();
        dial(&conns[i]);
        if (i < 1 || i % 32 == 0)
            run_until(i + 1);
    }
    run_until(set.conns);
    sleep(2); /* what servers give back, they have given back */
    uint64_t grown = server_resident_bytes() - before;
    printf("{\"rss_bytes_per_conn\": %.0f, \"conns\": %u}\n",
           (double)grown / (double)(set.conns - 1), set.conns);
}

static int take_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    (void)session;
    ticket_came = true;
    return 0; /* it is not kept */
}

/* ---- the command ----------------------------------------------------------------------------- */

static void usage(void)
{
    fputs("load-tls echo|handshakes|keyupdates|probe|idle --port N --pid N [--conns N] [--payload "
          "N] [--count N]\n"
          "         [--warmup N] [--path PATH] [--plain] [--http]\n",
          stderr);
    exit(2);
}

static void read_flags(int argc, char **argv)
{
    static const struct option flags[] = {
        {"port", required_argument, NULL, 'p'},  {"pid", required_argument, NULL, 'i'},
        {"conns", required_argument, NULL, 'c'}, {"payload", required_argument, NULL, 'b'},
        {"count", required_argument, NULL, 'n'}, {"warmup", required_argument, NULL, 'w'},
        {"path", required_argument, NULL, 'a'},  {"plain", no_argument, NULL, 'P'},
        {"http", no_argument, NULL, 'H'},        {NULL, 0, NULL, 0},
    };
    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;) {
        unsigned long number = optarg == NULL ? 0 : strtoul(optarg, NULL, 10);
        if (flag == 'p')
            set.port = (unsigned)number;
        else if (flag == 'i' && set.pids_count < PIDS_MAX)
            set.pids[set.pids_count++] = (pid_t)number;
        else if (flag == 'c')
            set.conns = (unsigned)number;
        else if (flag == 'b')
            set.payload = (unsigned)number;
        else if (flag == 'n')
            set.count = number;
        else if (flag == 'w')
            set.warmup = number;
        else if (flag == 'a')
            set.path = optarg;
        else if (flag == 'P')
            set.plain = true;
        else if (flag == 'H')
            set.http = true;
        else
            usage();
    }
    if (optind != argc - 1 || set.port == 0 || set.pids_count == 0 || set.conns < 2 ||
        set.payload > PAYLOAD_MAX)
        usage();
    set.mode = argv[optind];
}

int main(int argc, char **argv)
{
    read_flags(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    context = SSL_CTX_new(TLS_client_method());
    events_fd = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc(set.conns, sizeof *conns);
    if (context == NULL || events_fd < 0 || conns == NULL ||
        SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(context, "X25519") != 1)
        die("a start");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    /* Reads what there is, as a plain client does, and not 5 octets and then a record. */
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, 64 * 1024);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, take_ticket);
    make_frames();
    if (strcmp(set.mode, "echo") == 0 || strcmp(set.mode, "keyupdates") == 0)
        run_counted("server_cpu_us_per_message");
    else if (strcmp(set.mode, "handshakes") == 0)
        run_counted("server_cpu_us_per_handshake");
    else if (strcmp(set.mode, "probe") == 0)
        run_probe();
    else if (strcmp(set.mode, "idle") == 0)
        run_idle();
    else
        usage();
    return 0;
}
