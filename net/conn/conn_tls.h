/* conn_tls.h: TLS between a connection's socket and its session.
 *
 * What the socket brings is decrypted into one scratch buffer of the worker and given to the
 * session, a few records at a time; what the session owes is encrypted, a bounded piece ahead of
 * the socket, into a second queue, the wire, from which conn.c sends as it sends a plain
 * connection's. A worker that serves no TLS has none of this; a plain connection pays nothing.
 *
 *   on_adopted --> HELLO --> waiting --a turn's share--> begun --> OPEN --> close_notify or alert
 *                    |          (the ClientHello is whole)  |
 *                    +------- 10 s are over ----------------+--> closed
 *
 * A handshake's expensive step is done for FW_TLS_BEGINS_PER_TURN connections a turn; the others
 * wait in line. Of those begun and not done there are only so many: when they are too many, the
 * oldest goes, if it has had a fair time. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_CONN_TLS_H
#define FW_NET_CONN_TLS_H

#include "net/conn/conn.h"
#include "net/tls/tls.h"

/* Accept to the end of the TLS handshake; dripped records do not extend it. A client's handshakes
 * share its handshake_timeout_ms. */
#define FW_TLS_HANDSHAKE_MS 10000u

/* Handshakes begun in one turn. Each costs 0.1 ms (the system's wolfSSL: 0.23 ms), and everybody
 * else's messages wait for them. */
#define FW_TLS_BEGINS_PER_TURN 8u

/* Handshakes begun and not done: a twentieth of the slots, 20 KB each (the system's: 70 KB) ... */
#define FW_TLS_BEGUN_SHARE 20u
#define FW_TLS_BEGUN_MIN   256u
/* ... and how long each may take undisturbed, when others wait for its place: a round trip round
 * the world; a round trip through a continent when the first in line has waited for long. So a line
 * moves on by five times as many places a quarter of a second, and those who come behind thousands
 * that stand still are served within one. */
#define FW_TLS_BEGUN_MS       250u
#define FW_TLS_BEGUN_LEAST_MS 50u
#define FW_TLS_LINE_MS        250u

/* Encrypted ahead of the socket. More would be memory that the peer does not take, and that a close
 * frame has to wait behind; less would be more sends for large messages. */
#define FW_TLS_AHEAD_BYTES ((size_t)64 * 1024)
static_assert(FW_TLS_AHEAD_BYTES >= FW_TLS_PLAIN_BYTES_MAX, "at least a record");

/* One worker's figures. */
struct fw_conns_tls_stats {
    uint64_t conns_count; /* with a TLS session, whatever its state */
    uint64_t handshakes;  /* done, ever */
    uint64_t resumed;     /* of these, by a ticket */
    uint64_t failed;      /* refused, broken off or too slow */
};

/* Lets the table serve TLS: connections whose tag has FW_CONN_TAG_TLS.
 *
 * place        borrowed: where each takes its context; NULL in a table of clients
 * errors       -ENOMEM
 */
int fw_conns_tls_create(struct fw_conns *conns, struct fw_tls_place *place);

/* After every connection is gone. */
void fw_conns_tls_destroy(struct fw_conns *conns);

struct fw_conns_tls_stats fw_conns_tls_stats(const struct fw_conns *conns);

/* The connection's TLS session; NULL for a plain one. */
const struct fw_tls *fw_conn_tls(const struct fw_conn *conn);

/* ---- for conn.c ---- */

/* See fw_conn_begin_tls. */
int fw_conn_tls_begin(struct fw_conns *conns, struct fw_conn *conn, struct fw_tls_context *context,
                      const char *host);

/* shares the context for servers' connections: the caller drops it. */
struct fw_tls_context *fw_conns_tls_take_context(const struct fw_conns *conns);

/* It is gone. */
void fw_conn_tls_end(struct fw_conns *conns, struct fw_conn *conn);

/* Cipher bytes came. */
void fw_conn_tls_received(struct fw_conns *conns, struct fw_conn *conn, const uint8_t *bytes,
                          size_t bytes_count);

/* For fw_conn_keep: whether what TLS is delivering may be queued as it stands. */
bool fw_conn_tls_keep(struct fw_conns *conns);

/* What is to be sent: cipher bytes. */
struct fw_outq *fw_conn_tls_wire(const struct fw_conns *conns, const struct fw_conn *conn);

/* Encrypts what the session owes, as far ahead as may be; says close_notify when it was the last.
 */
void fw_conn_tls_seal(struct fw_conns *conns, struct fw_conn *conn);

/* Whether the peer makes TLS answer faster than it takes the answers (KeyUpdates). */
bool fw_conn_tls_full(const struct fw_conns *conns, const struct fw_conn *conn);

/* Whether the timer was the handshake's; then it has been seen to. */
bool fw_conn_tls_timer(struct fw_conns *conns, struct fw_conn *conn);

/* The peer's FIN came before its close_notify, and the session is over: it reads no more, and is
 * sent none of ours, which its RST would answer (as with nginx). */
void fw_conn_tls_hung_up(struct fw_conns *conns, struct fw_conn *conn);

/* The turn ends: begins a few of the handshakes that wait. */
void fw_conns_tls_turn(struct fw_conns *conns);

/* How long the next turn may wait for the sake of handshakes in line: until there is room for one
 * of them, which is 0 when there is; -1 when none is in line. */
int fw_conns_tls_wait_ms(const struct fw_conns *conns);

#endif
