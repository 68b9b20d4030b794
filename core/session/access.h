/* access.h: who sends a request, and what that allows; the public side is fanwire/access.h.
 *
 * A request is identified before it is answered. A token is checked on the spot; what only the
 * program understands waits for it (`authorize` of session.h), the request set aside meanwhile:
 *
 *   fw_access_identify --token--> principal --------------------------> answered
 *        |                                                                 ^
 *        +--no opinion of the program's: anonymous, certificate -----------+
 *        +--the program takes it: request->authorization --------+         |
 *                            fw_http_session_decided <--decision-+---------+
 *                                  |  refused, or too late
 *                                  +--> its status
 *
 * The principal belongs to the session: of the last request, and of the WebSocket or stream that
 * came of it. Its expiry ends the session: every timer of a session is cut to it. Thread: the
 * worker's; policies are shared.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_ACCESS_H
#define FW_SESSION_ACCESS_H

#include "base/bytes.h"
#include "session/principal.h"
#include "session/token.h"

#include <fanwire/access.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fw_request;
struct fw_session;

#define FW_COOKIE_NAME_BYTES_MAX 64u
#define FW_REFUSAL_REASON_BYTES  128u

/* The close code of an expired credential: 401, as WebSocket's private codes go. */
#define FW_CLOSE_EXPIRED 4401u

/* The subprotocol that is answered to who offers it beside its token: browsers fail a handshake
 * that chooses none of those they offered. Messages are as without any. */
#define FW_PROTOCOL_PLAIN "fanwire"

struct fw_access {
    atomic_uint references;
    struct fw_token_rules rules; /* the keys are its own */
    struct fw_key *keys[FW_KEYS_MAX];
    struct fw_bytes cookie;
    bool query;
    bool basic;
    struct fw_principal *anonymous;
    struct fw_principal *certificate; /* NULL: a certificate is no credential */
    uint8_t text[];
};

/* What the program decides; embedded in its floor's own struct. */
struct fw_authorization {
    struct fw_session *session; /* NULL: it has ended, or does not wait any more; the worker's */
    struct fw_authorization *next;
    struct fw_principal *principal; /* granted; NULL: refused */
    unsigned status;
    char reason[FW_REFUSAL_REASON_BYTES];
};

void fw_access_hold(struct fw_access *access);

/* Whether a policy needs exact origins. */
static inline bool fw_access_needs_origins(const struct fw_access *access)
{
    return access->cookie.count > 0;
}

/* Finds out who sends a request: sets the session's principal, or the request's authorization when
 * the program will say.
 *
 * errors       FW_ERR_CREDENTIAL_TWICE, FW_ERR_CREDENTIAL_WRONG, FW_ERR_COOKIE_ORIGIN; those of
 *              fw_token_verify
 */
int fw_access_identify(struct fw_request *request);

/* Forgets who the session was. */
void fw_access_forget(struct fw_session *session);

/* Whether the session has a right on a topic: the one place that says so.
 *
 * topic        of FW_MAY_OBSERVE: empty
 * errors       FW_ERR_CREDENTIAL, FW_ERR_FORBIDDEN
 */
int fw_access_may(const struct fw_session *session, enum fw_right right, struct fw_bytes topic);

/* The same of any topic at all: who may use none is refused before it names one.
 *
 * errors       FW_ERR_CREDENTIAL, FW_ERR_FORBIDDEN
 */
int fw_access_may_some(const struct fw_session *session, enum fw_right right);

/* A timer's due time, cut to the credential's expiry; 0 (never) becomes the expiry. */
uint64_t fw_access_due_ms(const struct fw_session *session, uint64_t due_ms);

/* Ends what a session does by its credential when that has expired: a WebSocket by 4401, an event
 * stream by an event, a poll by 401.
 *
 * returns      whether it has
 */
bool fw_access_expire(struct fw_session *session);

/* The WWW-Authenticate lines of a 401. */
const char *fw_access_challenge(const struct fw_session *session);

/* Takes over what the program decided: a session that waits goes on. Frees the principal when
 * nobody waits. */
void fw_access_decided(struct fw_authorization *authorization);

#endif
