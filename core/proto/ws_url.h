/* ws_url.h: ws:// and wss:// URLs (RFC 6455, section 3), and the form for a path of this machine.
 *
 *   ws://example.com            ws://127.0.0.1:8080/chat?room=1      ws://[::1]:8080/
 *   wss://example.com/feed      unix:/run/feed.sock unix:/run/feed.sock:/chat?room=1
 *
 * Strict: no fragment, no user, no space, no octet beyond ASCII, %XX only whole; what is not sure
 * to reach the server as it was written is refused. Pure functions. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_WS_URL_H
#define FW_PROTO_WS_URL_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

/* A request line takes 4 KiB; half of that is plenty for a URL. */
#define FW_WS_URL_BYTES_MAX 2048
/* A name of the domain name system as text (RFC 1035, section 2.3.4), or an address. */
#define FW_WS_URL_HOST_BYTES_MAX 253
/* "unix:" and what fits into a sockaddr_un. */
#define FW_WS_URL_ADDRESS_BYTES 288

struct fw_ws_url {
    bool secure;                              /* wss: */
    bool local;                               /* unix: */
    char address[FW_WS_URL_ADDRESS_BYTES];    /* as sock.h reads it: "host:port", "unix:/path" */
    char host[FW_WS_URL_HOST_BYTES_MAX + 10]; /* the value of Host: without a default port */
    char name[FW_WS_URL_HOST_BYTES_MAX + 1];  /* the host alone, no brackets; unix: "localhost" */
    char target[FW_WS_URL_BYTES_MAX + 2];     /* "/path?query" */
};

/* Takes a URL apart.
 *
 * errors       FW_ERR_URL; url_out is not written then
 * source       RFC 6455, section 3; RFC 3986, sections 3.2 to 3.4
 */
int fw_ws_url_parse(const char *text, struct fw_ws_url *url_out);

#endif
