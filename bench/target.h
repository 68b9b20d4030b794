/* target.h: what a measurement speaks to: a URL taken apart.
 *
 * thread: any
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_TARGET_H
#define FW_BENCH_TARGET_H

#include "net/engine/sock.h"

#include <stddef.h>

/* How a connection is spoken to once it is there. */
enum bench_speech {
    BENCH_WS,   /* ws://: the upgrade, then frames */
    BENCH_HTTP, /* http://: requests */
    BENCH_RAW,  /* tcp://: the bytes that frames would have, without their meaning */
};

#define BENCH_HOST_BYTES 256
#define BENCH_PATH_BYTES 1024

struct bench_url {
    enum bench_speech speech;
    char host[BENCH_HOST_BYTES]; /* as the Host header wants it: with the port */
    char path[BENCH_PATH_BYTES]; /* "" when the URL had none; begins with '/' otherwise */
    struct fw_sock_address address;
};

/* Takes a URL apart and looks its host up.
 *
 * text         ws://HOST:PORT[/PATH], http://..., tcp://HOST:PORT; a host without a port has 80
 * errors       FW_ERR_ADDRESS (not such a URL), FW_ERR_ENGINE (wss:// and https://: not yet),
 *              and what fw_sock_address_resolve says of the host
 */
int bench_url_parse(const char *text, struct bench_url *url_out);

#endif
