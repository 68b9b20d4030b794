/* ws_client.c: see ws_client.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/ws_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 * 1024)
/* Of a narrow client: little, but not so little that TCP waits for its timers. */
#define NARROW_BYTES (32 * 1024)

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "ws_client: %s: %s\n", what, strerror(errno));
    abort();
}

uint64_t ws_client_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- sockets --------------------------------------------------------------------------------- */

static int open_local(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        die(path);
    return fd;
}

static int open_internet(const char *text, int receive_buffer_bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    unsigned port = 0;
    const int one = 1;
    if (sscanf(text, "%63[^:]:%u", host, &port) != 2 ||
        inet_pton(AF_INET, host, &address.sin_addr) != 1)
        die(text);
    address.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (receive_buffer_bytes > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    while (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (errno != EINTR)
            die(text);
    }
    return fd;
}

const struct ws_client_layer *ws_client_layer;

static void begin(struct ws_client *client, int fd)
{
    *client = (struct ws_client){.fd = fd, .layer = ws_client_layer};
    if (client->layer == NULL)
        return;
    client->layer_state = client->layer->begin(fd);
    if (client->layer_state == NULL) {
        client->layer = NULL;
        client->ended = true;
        client->error = EPROTO;
    }
}

void ws_client_connect(struct ws_client *client, const char *address)
{
    begin(client,
          strncmp(address, "unix:", 5) == 0 ? open_local(address + 5) : open_internet(address, 0));
}

void ws_client_connect_narrow(struct ws_client *client, const char *address)
{
    begin(client, open_internet(address, NARROW_BYTES));
}

void ws_client_close(struct ws_client *client)
{
    if (client->layer != NULL)
        client->layer->end(client->layer_state);
    if (client->fd >= 0)
        close(client->fd);
    free(client->in);
    free(client->frame);
    *client = (struct ws_client){.fd = -1, .ended = true};
}

void ws_client_reset(struct ws_client *client)
{
    const struct linger abort = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    ws_client_close(client);
}

void ws_client_finish(struct ws_client *client)
{
    if (client->layer != NULL)
        client->layer->finish(client->layer_state);
    shutdown(client->fd, SHUT_WR);
}

/* Waits for an event until a time; false when it is up. */
static bool wait_for(struct ws_client *client, short events, uint64_t until_ms)
{
    for (;;) {
        uint64_t now_ms = ws_client_now_ms();
        int wait = now_ms < until_ms ? (int)(until_ms - now_ms) : 0;
        struct pollfd waiting = {.fd = client->fd, .events = events};
        int count = poll(&waiting, 1, wait);
        if (count > 0)
            return true;
        if (count == 0)
            return false;
        if (errno != EINTR)
            die("poll");
    }
}

static void end(struct ws_client *client, int error)
{
    client->ended = true;
    client->error = error;
}

/* ---- sending --------------------------------------------------------------------------------- */

static ssize_t send_some(struct ws_client *client, const uint8_t *bytes, size_t count)
{
    if (client->layer != NULL)
        return client->layer->send(client->layer_state, bytes, count);
    return send(client->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool ws_client_send(struct ws_client *client, const void *bytes, size_t bytes_count)
{
    uint64_t until_ms = ws_client_now_ms() + WS_CLIENT_PATIENCE_MS;
    const uint8_t *at = bytes;
    while (bytes_count > 0) {
        ssize_t sent = send_some(client, at, bytes_count);
        if (sent < 0 && errno == EAGAIN) {
            if (!wait_for(client, POLLOUT, until_ms))
                return false;
            continue;
        }
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false; /* what the server said before can still be read */
        at += sent;
        bytes_count -= (size_t)sent;
    }
    return true;
}

bool ws_client_say(struct ws_client *client, const char *text)
{
    return ws_client_send(client, text, strlen(text));
}

bool ws_client_frame(struct ws_client *client, unsigned first_octet, const void *payload,
                     size_t payload_bytes)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t longer = payload_bytes < 126 ? 0 : payload_bytes < 65536 ? 2 : 8;
    uint8_t *frame = malloc(14 + payload_bytes);
    if (frame == NULL)
        die("malloc");
    frame[0] = (uint8_t)first_octet;
    frame[1] = (uint8_t)(0x80 | (longer == 0 ? payload_bytes : longer == 2 ? 126 : 127));
    for (size_t i = 0; i < longer; i++)
        frame[2 + i] = (uint8_t)((uint64_t)payload_bytes >> (8 * (longer - 1 - i)));
    memcpy(frame + 2 + longer, key, sizeof key);
    for (size_t i = 0; i < payload_bytes; i++)
        frame[6 + longer + i] = ((const uint8_t *)payload)[i] ^ key[i % 4];
    bool sent = ws_client_send(client, frame, 6 + longer + payload_bytes);
    free(frame);
    return sent;
}

bool ws_client_text(struct ws_client *client, const char *text)
{
    return ws_client_frame(client, 0x81, text, strlen(text));
}

bool ws_client_close_frame(struct ws_client *client, unsigned code, const char *reason)
{
    uint8_t payload[125] = {(uint8_t)(code >> 8), (uint8_t)code};
    size_t count = strlen(reason);
    memcpy(payload + 2, reason, count < 123 ? count : 123);
    return ws_client_frame(client, 0x88, payload, code == 1005 ? 0 : 2 + count);
}

/* ---- receiving ------------------------------------------------------------------------------- */

static ssize_t receive_some(struct ws_client *client, uint8_t *bytes, size_t count)
{
    if (client->layer != NULL)
        return client->layer->receive(client->layer_state, bytes, count);
    return recv(client->fd, bytes, count, MSG_DONTWAIT);
}

/* Receives something more; false when the server ended or time is up. */
static bool receive_more(struct ws_client *client, uint64_t until_ms)
{
    if (client->ended)
        return false;
    if (client->in_room - client->in_count < READ_BYTES) {
        client->in_room = client->in_count + 2 * READ_BYTES;
        client->in = realloc(client->in, client->in_room);
        if (client->in == NULL)
            die("realloc");
    }
    /* First without waiting: a layer may have something that the socket has no longer. */
    ssize_t count = receive_some(client, client->in + client->in_count, READ_BYTES);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return wait_for(client, POLLIN, until_ms);
    if (count <= 0) {
        end(client, count == 0 ? 0 : errno);
        return false;
    }
    client->in_count += (size_t)count;
    return true;
}

/* Has so many octets at hand. */
static bool need(struct ws_client *client, size_t count, uint64_t until_ms)
{
    while (client->in_count < count) {
        if (!receive_more(client, until_ms))
            return false;
    }
    return true;
}

static void use(struct ws_client *client, size_t count)
{
    client->in_count -= count;
    memmove(client->in, client->in + count, client->in_count);
}

ssize_t ws_client_read(struct ws_client *client, void *bytes, size_t room)
{
    uint64_t until_ms = ws_client_now_ms() + WS_CLIENT_PATIENCE_MS;
    while (client->in_count == 0) {
        if (!receive_more(client, until_ms))
            return client->ended ? 0 : -1;
    }
    size_t count = client->in_count < room ? client->in_count : room;
    memcpy(bytes, client->in, count);
    use(client, count);
    return (ssize_t)count;
}

/* The value of a header line of a head, as a number; 0 when it is absent. */
static size_t length_in(const char *head)
{
    for (const char *line = head; (line = strstr(line, "\r\n")) != NULL;) {
        line += 2;
        if (strncasecmp(line, "content-length:", 15) == 0)
            return (size_t)strtoul(line + 15, NULL, 10);
    }
    return 0;
}

unsigned ws_client_answer(struct ws_client *client, char *body, size_t body_room)
{
    uint64_t until_ms = ws_client_now_ms() + WS_CLIENT_PATIENCE_MS;
    const uint8_t *end_of_head = NULL;
    while (client->in_count == 0 ||
           (end_of_head = memmem(client->in, client->in_count, "\r\n\r\n", 4)) == NULL) {
        if (!receive_more(client, until_ms))
            return 0;
    }
    size_t head_bytes = (size_t)(end_of_head - client->in) + 4;
    char *head = strndup((const char *)client->in, head_bytes);
    unsigned status = 0;
    if (head == NULL || sscanf(head, "HTTP/1.1 %u", &status) != 1)
        status = 0;
    size_t body_bytes = status == 101 ? 0 : length_in(head);
    free(head);
    if (!need(client, head_bytes + body_bytes, until_ms))
        return 0;
    if (body != NULL && body_room > 0) {
        size_t count = body_bytes < body_room - 1 ? body_bytes : body_room - 1;
        memcpy(body, client->in + head_bytes, count);
        body[count] = '\0';
    }
    use(client, head_bytes + body_bytes);
    return status;
}

unsigned ws_client_open(struct ws_client *client, const char *path, const char *lines)
{
    char text[8192];
    int count = snprintf(text, sizeof text,
                         "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                         "Sec-WebSocket-Version: 13\r\n%s\r\n",
                         path, lines);
    if (count < 0 || (size_t)count >= sizeof text)
        die("the handshake is too long");
    if (!ws_client_send(client, text, (size_t)count))
        return 0;
    return ws_client_answer(client, NULL, 0);
}

bool ws_client_receive(struct ws_client *client, struct ws_client_frame *frame_out)
{
    uint64_t until_ms = ws_client_now_ms() + WS_CLIENT_PATIENCE_MS;
    if (!need(client, 2, until_ms))
        return false;
    size_t longer = (client->in[1] & 0x7f) == 126 ? 2 : (client->in[1] & 0x7f) == 127 ? 8 : 0;
    if (!need(client, 2 + longer, until_ms))
        return false;
    uint64_t count = client->in[1] & 0x7f;
    if (longer > 0)
        count = 0;
    for (size_t i = 0; i < longer; i++)
        count = count << 8 | client->in[2 + i];
    if ((client->in[1] & 0x80) != 0 || count > (uint64_t)1 << 31) {
        fprintf(stderr, "ws_client: a masked frame, or one of %llu octets\n",
                (unsigned long long)count);
        return false;
    }
    if (!need(client, 2 + longer + (size_t)count, until_ms))
        return false;
    free(client->frame);
    uint8_t *last = client->frame = malloc((size_t)count + 1);
    if (last == NULL)
        die("malloc");
    memcpy(last, client->in + 2 + longer, (size_t)count);
    last[count] = '\0';
    *frame_out = (struct ws_client_frame){.opcode = client->in[0] & 0x0f,
                                          .fin = (client->in[0] & 0x80) != 0,
                                          .reserved = client->in[0] & 0x70,
                                          .bytes = last,
                                          .count = (size_t)count,
                                          .close_code = 1005};
    if (frame_out->opcode == 8 && count >= 2)
        frame_out->close_code = (unsigned)last[0] << 8 | last[1];
    use(client, 2 + longer + (size_t)count);
    return true;
}

static bool something_else(const struct ws_client_frame *frame, const char *wanted)
{
    fprintf(stderr, "ws_client: instead of %s came opcode %u, %zu octets: %.60s\n", wanted,
            frame->opcode, frame->count, (const char *)frame->bytes);
    return false;
}

bool ws_client_got_text(struct ws_client *client, const char *text)
{
    struct ws_client_frame frame;
    if (!ws_client_receive(client, &frame))
        return false;
    if (frame.opcode == 1 && frame.fin && frame.count == strlen(text) &&
        memcmp(frame.bytes, text, frame.count) == 0)
        return true;
    return something_else(&frame, text);
}

bool ws_client_got_close(struct ws_client *client, unsigned code)
{
    struct ws_client_frame frame;
    if (!ws_client_receive(client, &frame))
        return false;
    if (frame.opcode == 8 && frame.close_code == code)
        return true;
    return something_else(&frame, "a close");
}

bool ws_client_ended(struct ws_client *client)
{
    uint64_t until_ms = ws_client_now_ms() + WS_CLIENT_PATIENCE_MS;
    while (receive_more(client, until_ms))
        client->in_count = 0;
    return client->ended;
}

bool ws_client_silent(struct ws_client *client, unsigned ms)
{
    uint64_t until_ms = ws_client_now_ms() + ms;
    while (client->in_count == 0 && receive_more(client, until_ms))
        continue;
    return client->in_count == 0 && !client->ended;
}
