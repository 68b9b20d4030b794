/* identity.c: see identity.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/identity.h"
#include "access/credential.h"
#include "base/mem.h"
#include "session/feed.h"
#include "session/request.h"
#include "session/session_impl.h"

#include <errno.h>
#include <fanwire/conn.h>
#include <fanwire/status.h>
#include <string.h>

/* Lives of credentials are cut to 136 years, so that no product of milliseconds overflows. */
#define LIFE_S_MAX UINT32_MAX

/* ---- who it is ------------------------------------------------------------------------------- */

static int verify(struct fw_session *session, struct fw_bytes token)
{
    const struct fw_session_host *host = session->host;
    uint64_t now_s = host->up->wall_s(session);
    int result = fw_token_verify(&host->access->rules, token, now_s, &session->principal);
    if (result == 0)
        session->principal->expires_ms =
            host->now_ms + (session->principal->expires_s - now_s) * 1000;
    return result;
}

/* Who has a certificate is known by its subject. */
static int use_certificate(struct fw_session *session)
{
    const struct fw_session_host *host = session->host;
    struct fw_bytes subject;
    if (host->access == NULL || host->access->certificate == NULL ||
        host->up->certificate == NULL || !host->up->certificate(session, &subject))
        return 0;
    struct fw_principal of = *host->access->certificate;
    of.name = subject;
    if (subject.count > FW_PRINCIPAL_NAME_BYTES_MAX)
        return FW_ERR_CREDENTIAL_WRONG;
    session->principal = fw_principal_create(&of);
    return session->principal == NULL ? -ENOMEM : 0;
}

/* What only shows that we are here needs nobody's name. */
static bool needs_name(const struct fw_request *request)
{
    static const char *const prefixes[] = {"/publish", "/metrics", "/debug"};
    if (fw_http_list_has(request->head, request->bytes, "upgrade", "websocket") ||
        fw_feed_is_topics(request))
        return true;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(request->path, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

int fw_session_identify(struct fw_request *request)
{
    struct fw_session *session = request->session;
    struct fw_session_host *host = session->host;
    struct fw_credential found;
    fw_session_forget_principal(session);
    if ((host->access == NULL && host->up->authorize == NULL) || !needs_name(request))
        return 0;
    int result = fw_credential_find(request->head, request->bytes, host->access,
                                    host->rules->allow_origins, &found);
    if (result != 0)
        return result;
    if (found.is_token && host->access != NULL && host->access->rules.keys_count > 0)
        return verify(session, found.token);
    if (host->up->authorize != NULL) {
        request->authorization = host->up->authorize(session, request);
        if (request->authorization != NULL)
            return 0;
        if (session->phase == FW_PHASE_DONE)
            return -ENOMEM;
    }
    if (found.is_there && host->access != NULL)
        return FW_ERR_CREDENTIAL_WRONG; /* nobody here can read it */
    return use_certificate(session);
}

void fw_session_forget_principal(struct fw_session *session)
{
    fw_mem_free(session->principal);
    session->principal = NULL;
}

/* ---- what that allows ------------------------------------------------------------------------ */

int fw_session_may(const struct fw_session *session, enum fw_right right, struct fw_bytes topic)
{
    return fw_access_may(session->host->access, session->principal, right, topic);
}

int fw_session_may_some(const struct fw_session *session, enum fw_right right)
{
    return fw_access_may_some(session->host->access, session->principal, right);
}

/* ---- expiry ---------------------------------------------------------------------------------- */

/* Whether what the session does ends with its credential. Between requests nothing does: each says
 * anew who sends it. */
static bool lasts(const struct fw_session *session)
{
    if (session->principal == NULL || session->principal->expires_ms == 0)
        return false;
    return session->phase == FW_PHASE_OPEN || session->phase == FW_PHASE_STREAM ||
           (session->phase == FW_PHASE_POLL && !session->answered);
}

uint64_t fw_session_due_ms(const struct fw_session *session, uint64_t due_ms)
{
    if (!lasts(session))
        return due_ms;
    uint64_t expires_ms = session->principal->expires_ms;
    return due_ms == 0 || expires_ms < due_ms ? expires_ms : due_ms;
}

bool fw_session_expire(struct fw_session *session)
{
    if (!lasts(session) || session->host->now_ms < session->principal->expires_ms)
        return false;
    if (session->phase == FW_PHASE_OPEN)
        fw_ws_session_close(session, FW_CLOSE_EXPIRED, fw_bytes_of("the credential has expired"));
    else if (session->phase == FW_PHASE_STREAM)
        fw_sse_session_expire(session);
    else
        fw_poll_session_expire(session);
    return true;
}

/* ---- answers --------------------------------------------------------------------------------- */

void fw_session_decided(struct fw_authorization *authorization)
{
    struct fw_session *session = authorization->session;
    struct fw_principal *principal = authorization->principal;
    authorization->principal = NULL;
    if (session == NULL) {
        fw_mem_free(principal);
        return;
    }
    uint64_t wall_s = session->host->up->wall_s(session);
    if (principal != NULL && principal->expires_s != 0) {
        uint64_t left_s = principal->expires_s > wall_s ? principal->expires_s - wall_s : 0;
        left_s = left_s < LIFE_S_MAX ? left_s : LIFE_S_MAX;
        principal->expires_ms = session->host->now_ms + left_s * 1000;
    }
    authorization->session = NULL;
    session->principal = principal;
    fw_http_session_decided(session, authorization);
}

/* ---- access.h, the public one ---------------------------------------------------------------- */

static const char *subject_of(const struct fw_session *session, size_t *bytes_out)
{
    const struct fw_principal *principal = session->principal;
    bool named = principal != NULL && principal->name.count > 0;
    *bytes_out = named ? principal->name.count : 0;
    return named ? (const char *)principal->name.at : NULL;
}

const char *fw_request_subject(const fw_request *request, size_t *bytes_out)
{
    return subject_of(request->session, bytes_out);
}

int fw_request_may(const fw_request *request, enum fw_right right, const char *topic)
{
    return fw_session_may(request->session, right, fw_bytes_of(topic == NULL ? "" : topic));
}

const char *fw_conn_subject(const fw_conn *conn, size_t *bytes_out)
{
    return subject_of((const struct fw_session *)(const void *)conn, bytes_out);
}

int fw_conn_may(const fw_conn *conn, enum fw_right right, const char *topic)
{
    return fw_session_may((const struct fw_session *)(const void *)conn, right,
                          fw_bytes_of(topic == NULL ? "" : topic));
}
