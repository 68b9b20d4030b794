/* opening.h: the layers of connections that are opened: whom TLS trusts, what is offered, how a
 * dialect begins.
 *
 * thread: main
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_OPENING_H
#define FW_BENCH_OPENING_H

#include "fleet.h"

#include "net/tls/tls.h"
#include "proto/ws_deflate.h"

/* The context of a target's connections, made once for each kind of trust, for the program's life:
 * a server started here is believed, another must show a certificate of the system's CAs or of
 * --ca, unless --insecure. Ends the program when there is none. */
struct fw_tls_context *bench_tls_context(const struct bench_url *url);

/* Gives an opening its TLS. */
void bench_opening_tls(struct bench_fleet *fleet, const struct bench_url *url,
                       struct bench_opening *opening);

/* Gives an opening its dialect, and says whether permessage-deflate is offered. Nobody may use the
 * patterns of an earlier one meanwhile. */
void bench_opening_dress(struct bench_fleet *fleet, const struct bench_url *url,
                         struct bench_opening *opening);

/* The value of Sec-WebSocket-Extensions; NULL: none. */
const char *bench_opening_extensions(const struct bench_url *url,
                                     char text[FW_WS_DEFLATE_TEXT_BYTES]);

/* Frees what openings have put into a fleet. */
void bench_opening_clear(struct bench_fleet *fleet);

#endif
