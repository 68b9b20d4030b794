/* conn_proxy.h: the PROXY header that connections of a proxy begin with, before TLS or HTTP.
 *
 *   on_adopted, FW_CONN_TAG_PROXIED --> awaited --whole, and the client welcome--> TLS or HTTP
 *                                          |  malformed, not welcome, or too late
 *                                          +--> closed
 *
 * Its time is the handshake's: the timer that was set when the connection was adopted goes on. A
 * header that comes whole costs nothing; of one that comes in pieces a decoder is kept until it is
 * whole. A worker without such listeners has none of this. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_CONN_PROXY_H
#define FW_NET_CONN_PROXY_H

#include "net/conn/conn.h"
#include "proto/proxy_header.h"

/* Lets the table take connections whose tag has FW_CONN_TAG_PROXIED; on_told is the caller's to
 * set.
 *
 * errors       -ENOMEM
 */
int fw_conns_proxy_create(struct fw_conns *conns);
void fw_conns_proxy_destroy(struct fw_conns *conns);

/* Connections that were closed for want of a good header, ever. */
uint64_t fw_conns_proxy_refused(const struct fw_conns *conns);

/* ---- for conn.c ---- */

/* Bytes came.
 *
 * returns      how many of them were the header's, once it is whole and its client welcome; 0 when
 *              there is nothing more to do with them
 */
size_t fw_conn_proxy_received(struct fw_conns *conns, struct fw_conn *conn, const uint8_t *bytes,
                              size_t bytes_count);

/* Its time is up. */
void fw_conn_proxy_timer(struct fw_conns *conns, struct fw_conn *conn);

/* It is gone. */
void fw_conn_proxy_end(struct fw_conns *conns, struct fw_conn *conn);

#endif
