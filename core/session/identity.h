/* identity.h: who sends a session's requests, how that is found out, and when it ends.
 *
 * A request is identified before it is answered. A token is checked on the spot; what only the
 * program understands waits for it (`authorize` of session.h), the request set aside meanwhile:
 *
 *   fw_session_identify --token--> principal -------------------------> answered
 *        |                                                                 ^
 *        +--no opinion of the program's: anonymous, certificate -----------+
 *        +--the program takes it: request->authorization --------+         |
 *                            fw_http_session_decided <--decision-+---------+
 *                                  |  refused, or too late
 *                                  +--> its status
 *
 * The principal belongs to the session: of the last request, and of the WebSocket or stream that
 * came of it. Its expiry ends the session: every timer of a session is cut to it. What a principal
 * may do is access/access.h. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_IDENTITY_H
#define FW_SESSION_IDENTITY_H

#include "access/access.h"
#include "base/stack.h"
#include "session/session.h"

#include <stdbool.h>
#include <stdint.h>

#define FW_REFUSAL_REASON_BYTES 128u

/* The close code of an expired credential: 401, as WebSocket's private codes go. */
#define FW_CLOSE_EXPIRED 4401u

/* The subprotocol that is answered to who offers it beside its token: browsers fail a handshake
 * that chooses none of those they offered. Messages are as without any. */
#define FW_PROTOCOL_PLAIN "fanwire"

/* What the program decides; embedded in its floor's own struct. */
struct fw_authorization {
    struct fw_stack_link link;  /* first; for who brings decisions back to the session's thread */
    struct fw_session *session; /* NULL: it has ended, or does not wait any more; the worker's */
    struct fw_principal *principal; /* granted; NULL: refused */
    unsigned status;
    char reason[FW_REFUSAL_REASON_BYTES];
};

/* Finds out who sends a request: sets the session's principal, or the request's authorization when
 * the program will say.
 *
 * errors       FW_ERR_CREDENTIAL_WRONG; those of fw_credential_find and fw_token_verify
 */
int fw_session_identify(struct fw_request *request);

/* Forgets who the session was. */
void fw_session_forget_principal(struct fw_session *session);

/* fw_access_may of the session's principal, under the host's policy. */
int fw_session_may(const struct fw_session *session, enum fw_right right, struct fw_bytes topic);

/* The same for fw_access_may_some. */
int fw_session_may_some(const struct fw_session *session, enum fw_right right);

/* A timer's due time, cut to the credential's expiry; 0 (never) becomes the expiry. */
uint64_t fw_session_due_ms(const struct fw_session *session, uint64_t due_ms);

/* Ends what a session does by its credential when that has expired: a WebSocket by 4401, an event
 * stream by an event, a poll by 401.
 *
 * returns      whether it has
 */
bool fw_session_expire(struct fw_session *session);

/* Takes over what the program decided: a session that waits goes on. Frees the principal when
 * nobody waits. */
void fw_session_decided(struct fw_authorization *authorization);

#endif
