/* ws_client.h: a small blocking WebSocket client for tests of servers: one socket, no thread, no
 * opinion. It writes what it is told, well-formed or not, and shows what comes back.
 *
 * Every wait ends after WS_CLIENT_PATIENCE_MS, so that a test fails instead of hanging. What cannot
 * fail in a test's environment (socket, a connect to a listener) aborts with a message.
 *
 * thread: each client one at a time
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_WS_CLIENT_H
#define TESTS_SUPPORT_WS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Long enough for a sanitizer on a busy machine; nothing that succeeds waits for it. */
#define WS_CLIENT_PATIENCE_MS 30000

/* What may stand between a client and its socket: TLS. Like recv and send on a socket that does not
 * block: -1 with EAGAIN when there is nothing to do now, 0 at the end. */
struct ws_client_layer {
    void *(*begin)(int fd); /* NULL: the server refused */
    ssize_t (*send)(void *state, const void *bytes, size_t count);
    ssize_t (*receive)(void *state, void *bytes, size_t count);
    void (*finish)(void *state);
    void (*end)(void *state);
};

/* The layer of clients that connect from now on; NULL for none. */
extern const struct ws_client_layer *ws_client_layer;

struct ws_client {
    int fd;
    const struct ws_client_layer *layer;
    void *layer_state;
    uint8_t *in; /* received and not used yet */
    size_t in_count;
    size_t in_room;
    uint8_t *frame; /* what ws_client_receive showed last */
    bool ended;     /* the server ended: FIN or RST */
    int error;      /* errno of the end; 0 for a FIN */
};

/* A frame of the server's; bytes are the client's, valid until its next call. */
struct ws_client_frame {
    unsigned opcode;
    bool fin;
    unsigned reserved; /* the three bits as they stand in the first octet */
    const uint8_t *bytes;
    size_t count;
    unsigned close_code; /* of a close frame: 1005 when it has none */
};

/* Connects to "127.0.0.1:PORT" or "unix:/path". */
void ws_client_connect(struct ws_client *client, const char *address);

/* The same with a small receive buffer: a client that does not read soon blocks the server. */
void ws_client_connect_narrow(struct ws_client *client, const char *address);

/* Closes; the second makes it a RST. */
void ws_client_close(struct ws_client *client);
void ws_client_reset(struct ws_client *client);

/* Says FIN and goes on reading. */
void ws_client_finish(struct ws_client *client);

/* Sends all of it.
 *
 * returns      false when the server does not take it: it ended, or time is up
 */
bool ws_client_send(struct ws_client *client, const void *bytes, size_t bytes_count);
bool ws_client_say(struct ws_client *client, const char *text);

/* Sends a masked frame.
 *
 * first_octet  FIN, reserved bits and opcode: 0x81 is a whole text
 */
bool ws_client_frame(struct ws_client *client, unsigned first_octet, const void *payload,
                     size_t payload_bytes);
bool ws_client_text(struct ws_client *client, const char *text);
bool ws_client_close_frame(struct ws_client *client, unsigned code, const char *reason);

/* Reads an HTTP answer; its body goes to `body` (NULL: thrown away), cut and terminated. A 101 has
 * none.
 *
 * returns      the status; 0 when none came
 */
unsigned ws_client_answer(struct ws_client *client, char *body, size_t body_room);

/* Sends the opening handshake with more header lines ("" for none).
 *
 * returns      the status of the answer; 0 when none came
 */
unsigned ws_client_open(struct ws_client *client, const char *path, const char *lines);

/* Reads what comes next, whatever it is.
 *
 * returns      octets written; 0 when the server ended, -1 when time is up
 */
ssize_t ws_client_read(struct ws_client *client, void *bytes, size_t room);

/* Reads the next frame.
 *
 * returns      false when the server ended or time is up
 */
bool ws_client_receive(struct ws_client *client, struct ws_client_frame *frame_out);

/* Whether the next frame is this text, or this close. Others are said on stderr. */
bool ws_client_got_text(struct ws_client *client, const char *text);
bool ws_client_got_close(struct ws_client *client, unsigned code);

/* Whether the server ends the connection, whatever it sends before. */
bool ws_client_ended(struct ws_client *client);

/* Whether nothing comes for so long. */
bool ws_client_silent(struct ws_client *client, unsigned ms);

/* CLOCK_MONOTONIC. */
uint64_t ws_client_now_ms(void);

#endif
