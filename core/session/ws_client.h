/* ws_client.h: the beginning of a connection that we open: our request, and the server's answer.
 *
 * A dial is what a connect needs until it is open: the request's strings, the key, and the answer's
 * head as far as it has come. It is made on any thread, given to a session on its worker, and freed
 * when the session is open (ws_session.c goes on, in client role) or has failed:
 *
 *   fw_ws_client_begin: request queued --101, all of it as RFC 6455 wants--> up->opened, OPEN
 *          |  1xx: passed over
 *          +--another status, a mistake, the peer's end, time--> DONE --fw_session_leave-->
 * up->failed
 *
 * A session is a client when its host's rules say so (rules->ws.client): all of a worker are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_WS_CLIENT_H
#define FW_SESSION_WS_CLIENT_H

#include "session/session.h"

/* Of the body of an answer that is no 101, so much is kept for the program. */
#define FW_REFUSAL_BYTES_MAX 1024u
/* Interim answers (1xx) that are passed over before one that counts. */
#define FW_INTERIM_ANSWERS_MAX 8u

struct fw_ws_dial; /* ws_client.c */

/* What to ask for; every string is copied. */
struct fw_ws_dial_options {
    const char *host;      /* the value of Host */
    const char *target;    /* "/path?query" */
    const char *protocols; /* "a, b", or NULL */
    const char *origin;    /* the value of Origin, or NULL */
    const char *headers;   /* further lines, each ended by CR LF, or NULL */
    const char *tls_name;  /* wss: whom the server's certificate must be for; NULL: no TLS */
    void *user;            /* the session's */
};

/* An answer's head, for the program to read while it is told of it. */
struct fw_response {
    const struct fw_http_head *head;
    const uint8_t *bytes;     /* where the head lies */
    struct fw_bytes body;     /* of a refusal: what came of it, at most FW_REFUSAL_BYTES_MAX */
    struct fw_bytes protocol; /* the chosen subprotocol; empty for none */
    bool deflate;             /* permessage-deflate is agreed on */
};

/* Makes a dial, and judges what it will send.
 *
 * errors       FW_ERR_USAGE (a string holds what a head must not), FW_ERR_LIMIT (a head over 8
 * KiB), -ENOMEM thread       any
 */
int fw_ws_dial_create(const struct fw_ws_dial_options *options, struct fw_ws_dial **dial_out);

/* The options' pointer. */
void *fw_ws_dial_user(const struct fw_ws_dial *dial);

/* The options' tls_name, for who does TLS: it lives as long as the dial. */
const char *fw_ws_dial_tls_name(const struct fw_ws_dial *dial);

/* Frees a dial that no session was given. NULL is allowed. */
void fw_ws_dial_destroy(struct fw_ws_dial *dial);

/* Sends the request. For a session that fw_session_init has just made; gives the dial. */
void fw_ws_client_begin(struct fw_session *session, struct fw_ws_dial *dial);

/* ---- for session.c --------------------------------------------------------------------------- */

void fw_ws_client_received(struct fw_session *session, uint8_t *bytes, size_t bytes_count);
void fw_ws_client_ended(struct fw_session *session, int status);
void fw_ws_client_timer(struct fw_session *session);
/* Tells up->failed of a dial that has not become a connection, and frees it. */
void fw_ws_client_clear(struct fw_session *session);

#endif
