/* client_impl.h: what client.c and client_read.c share; nobody else includes this.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_CLIENT_IMPL_H
#define FW_BENCH_CLIENT_IMPL_H

#include "client.h"

enum bench_conn_flags {
    CONN_DIRTY = 1,   /* in the list of those that have something to send */
    CONN_BLOCKED = 2, /* the socket is full */
    CONN_AGAIN = 4,   /* has more to send once this is settled */
    CONN_REPLY = 8,   /* the stash is a control frame that goes out */
    CONN_REPLY_FLIES = 16,
    CONN_FIN = 32,     /* the frame that is coming, or came last, is its message's last */
    CONN_PACKED = 64,  /* the message that is coming is compressed */
    CONN_INSIDE = 128, /* a frame's header has come, its payload not all */
};

/* What lies below is there: the upgrade may begin, or the connection is open. */
void bench_client_secured(struct bench_client *client, uint32_t slot);

/* Gives octets to the engine; lent until the slot's send is settled. */
void bench_client_fly(struct bench_client *client, uint32_t slot, uint8_t *bytes, size_t count);

/* The slot has something to send that is no unit of a pattern. */
void bench_client_dirty(struct bench_client *client, uint32_t slot);

/* Whether octets may come and go on it. */
static inline bool bench_conn_talks(const struct bench_conn *conn)
{
    return conn->state == BENCH_UPGRADING || conn->state == BENCH_GREETING ||
           conn->state == BENCH_OPEN;
}

/* Counts a failure of a layer and ends the connection; `why` is what the program says of the last
 * one. */
void bench_client_failed_for(struct bench_client *client, uint32_t slot, enum bench_failure failure,
                             const char *why);

/* Reads what came on a slot; may end the connection. */
void bench_client_read(struct bench_client *client, uint32_t slot, uint8_t *bytes, size_t count);

/* The upgrade is done: the connection is open. */
void bench_client_opened(struct bench_client *client, uint32_t slot);

/* Counts a failure and ends the connection. */
void bench_client_failed(struct bench_client *client, uint32_t slot, enum bench_failure failure);

/* The stash holds [octets, control frame...]: send it between two messages. */
void bench_client_reply(struct bench_client *client, uint32_t slot);

#endif
