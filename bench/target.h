/* target.h: what a measurement speaks to: a URL taken apart.
 *
 * thread: any
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_TARGET_H
#define FW_BENCH_TARGET_H

#include "net/engine/sock.h"

#include <stdbool.h>
#include <stddef.h>

/* How a connection is spoken to once it is there. */
enum bench_speech {
    BENCH_WS,   /* ws://, wss://: the upgrade, then frames */
    BENCH_HTTP, /* http://, https://: requests */
    BENCH_RAW,  /* tcp://: the bytes that frames would have, without their meaning */
};

/* What is spoken inside WebSocket messages; see client_dialect.c. */
enum bench_dialect {
    BENCH_BARE,      /* a message is a message */
    BENCH_NATS,      /* nats+ws://: the NATS client protocol as a stream of octets */
    BENCH_SOCKET_IO, /* socket.io+ws://: Socket.IO 5 in Engine.IO 4, an event a message */
};

#define BENCH_HOST_BYTES 256
#define BENCH_PATH_BYTES 1024

struct bench_url {
    enum bench_speech speech;
    enum bench_dialect dialect;
    bool tls;
    bool trust_anyone;           /* tls: never set by the parser; for servers started here */
    bool deflate;                /* permessage-deflate is offered; never set by the parser */
    char host[BENCH_HOST_BYTES]; /* as the Host header wants it: with the port */
    char path[BENCH_PATH_BYTES]; /* "" when the URL had none; begins with '/' otherwise */
    struct fw_sock_address address;
};

/* Takes a URL apart and looks its host up.
 *
 * text         ws://HOST:PORT[/PATH], wss://, http://, https://, tcp://HOST:PORT, and nats+ or
 *              socket.io+ before ws:// or wss://; a host without a port has 80, with TLS 443
 * errors       FW_ERR_ADDRESS (not such a URL), and what fw_sock_address_resolve says of the host
 */
int bench_url_parse(const char *text, struct bench_url *url_out);

/* The host of a URL as certificates have it: without port and brackets.
 *
 * host_out     room for BENCH_HOST_BYTES
 */
void bench_url_name(const struct bench_url *url, char *host_out);

#endif
