/* access.c: see access.h; making policies is access_policy.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/access.h"
#include "base/check.h"
#include "base/mem.h"
#include "proto/ws_handshake.h"
#include "session/feed.h"
#include "session/origin.h"
#include "session/request.h"
#include "session/session.h"

#include <errno.h>
#include <fanwire/conn.h>
#include <fanwire/status.h>
#include <string.h>

/* The prefix of a subprotocol that is a token. */
static const char protocol_prefix[] = "bearer.";

/* Where a credential stood. */
enum source { NONE, AUTHORIZATION, PARAMETER, PROTOCOL, COOKIE };

struct credential {
    enum source source;
    bool is_token;
    struct fw_bytes token;
};

/* ---- finding the credential ------------------------------------------------------------------ */

/* Splits "Bearer TOKEN" (RFC 9110, section 11.4); another scheme is the program's to read. */
static void read_authorization(struct fw_bytes value, struct credential *found)
{
    size_t scheme = 0;
    while (scheme < value.count && value.at[scheme] != ' ')
        scheme++;
    size_t token = scheme;
    while (token < value.count && value.at[token] == ' ')
        token++;
    found->is_token = fw_bytes_equal_lower((struct fw_bytes){value.at, scheme}, "bearer");
    found->token = (struct fw_bytes){value.at + token, value.count - token};
}

static int find_authorization(const struct fw_request *request, struct credential *found)
{
    struct fw_bytes value;
    int index = fw_http_find(request->head, request->bytes, "authorization", 0, &value);
    if (index < 0)
        return 0;
    found->source = AUTHORIZATION;
    read_authorization(value, found);
    return fw_http_find(request->head, request->bytes, "authorization", index + 1, &value) < 0
               ? 0
               : FW_ERR_CREDENTIAL_TWICE;
}

/* Notes a token; a second one is one too many: which of them would count? (RFC 6750, section 2) */
static int note(struct credential *found, enum source source, struct fw_bytes token)
{
    if (found->source != NONE)
        return FW_ERR_CREDENTIAL_TWICE;
    *found = (struct credential){.source = source, .is_token = true, .token = token};
    return 0;
}

static int find_parameter(const struct fw_request *request, struct credential *found)
{
    struct fw_bytes token;
    struct fw_bytes query = fw_http_bytes(request->bytes, request->head->query);
    const struct fw_access *access = request->session->host->access;
    if ((access != NULL && !access->query) || !fw_http_query_find(query, "token", &token))
        return 0;
    return note(found, PARAMETER, token);
}

static int find_protocol(const struct fw_request *request, struct credential *found)
{
    struct fw_bytes list;
    struct fw_bytes element;
    size_t prefix = sizeof protocol_prefix - 1;
    int index = -1;
    const char name[] = "sec-websocket-protocol";
    while ((index = fw_http_find(request->head, request->bytes, name, index + 1, &list)) >= 0) {
        while (fw_http_list_next(&list, &element)) {
            if (element.count < prefix || memcmp(element.at, protocol_prefix, prefix) != 0)
                continue;
            int result = note(found, PROTOCOL,
                              (struct fw_bytes){element.at + prefix, element.count - prefix});
            if (result != 0)
                return result;
        }
    }
    return 0;
}

/* Finds a cookie's value in one Cookie line (RFC 6265, section 4.2.1). */
static bool cookie_in(struct fw_bytes line, struct fw_bytes name, struct fw_bytes *value_out)
{
    while (line.count > 0) {
        const uint8_t *semicolon = memchr(line.at, ';', line.count);
        size_t count = semicolon == NULL ? line.count : (size_t)(semicolon - line.at);
        size_t taken = semicolon == NULL ? count : count + 1;
        struct fw_bytes pair = {line.at, count};
        while (pair.count > 0 && pair.at[0] == ' ') {
            pair.at++;
            pair.count--;
        }
        if (pair.count > name.count && pair.at[name.count] == '=' &&
            memcmp(pair.at, name.at, name.count) == 0) {
            *value_out = (struct fw_bytes){pair.at + name.count + 1, pair.count - name.count - 1};
            return true;
        }
        line = (struct fw_bytes){line.at + taken, line.count - taken};
    }
    return false;
}

/* A cookie rides along on what any page makes a browser send. It counts only when the browser says
 * that the request is ours: an Origin that may, or, where a browser sends none, Sec-Fetch-Site. */
static bool cookie_counts(const struct fw_request *request)
{
    struct fw_bytes value;
    if (fw_http_find(request->head, request->bytes, "origin", 0, &value) >= 0)
        return fw_request_origin_allowed(request);
    return fw_http_find(request->head, request->bytes, "sec-fetch-site", 0, &value) >= 0 &&
           fw_bytes_equal(value, fw_bytes_of("same-origin"));
}

/* Looked for last: who says explicitly who it is is not asked for its cookies. */
static int find_cookie(const struct fw_request *request, struct credential *found)
{
    const struct fw_access *access = request->session->host->access;
    struct fw_bytes line;
    struct fw_bytes token;
    int index = -1;
    if (access == NULL || access->cookie.count == 0 || found->source != NONE)
        return 0;
    while ((index = fw_http_find(request->head, request->bytes, "cookie", index + 1, &line)) >= 0) {
        if (!cookie_in(line, access->cookie, &token))
            continue;
        return cookie_counts(request) ? note(found, COOKIE, token) : FW_ERR_COOKIE_ORIGIN;
    }
    return 0;
}

static int find_credential(const struct fw_request *request, struct credential *found)
{
    *found = (struct credential){.source = NONE};
    int result = find_authorization(request, found);
    if (result == 0)
        result = find_parameter(request, found);
    if (result == 0)
        result = find_protocol(request, found);
    if (result == 0)
        result = find_cookie(request, found);
    return result;
}

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

int fw_access_identify(struct fw_request *request)
{
    struct fw_session *session = request->session;
    struct fw_session_host *host = session->host;
    struct credential found;
    fw_access_forget(session);
    if ((host->access == NULL && host->up->authorize == NULL) || !needs_name(request))
        return 0;
    int result = find_credential(request, &found);
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
    if (found.source != NONE && host->access != NULL)
        return FW_ERR_CREDENTIAL_WRONG; /* nobody here can read it */
    return use_certificate(session);
}

void fw_access_forget(struct fw_session *session)
{
    fw_mem_free(session->principal);
    session->principal = NULL;
}

/* ---- what that allows ------------------------------------------------------------------------ */

static bool grants(const struct fw_principal *principal, enum fw_right right, struct fw_bytes topic)
{
    switch (right) {
    case FW_MAY_SUBSCRIBE:
        return fw_patterns_match(principal->subscribe, topic);
    case FW_MAY_PUBLISH:
        return fw_patterns_match(principal->publish, topic);
    case FW_MAY_OBSERVE:
        return principal->observe;
    }
    return false;
}

static bool grants_some(const struct fw_principal *principal, enum fw_right right)
{
    switch (right) {
    case FW_MAY_SUBSCRIBE:
        return principal->subscribe.count > 0;
    case FW_MAY_PUBLISH:
        return principal->publish.count > 0;
    case FW_MAY_OBSERVE:
        return principal->observe;
    }
    return false;
}

int fw_access_may_some(const struct fw_session *session, enum fw_right right)
{
    const struct fw_access *access = session->host->access;
    if (session->principal != NULL)
        return grants_some(session->principal, right) ? 0 : FW_ERR_FORBIDDEN;
    return access == NULL || grants_some(access->anonymous, right) ? 0 : FW_ERR_CREDENTIAL;
}

int fw_access_may(const struct fw_session *session, enum fw_right right, struct fw_bytes topic)
{
    const struct fw_access *access = session->host->access;
    if (session->principal != NULL)
        return grants(session->principal, right, topic) ? 0 : FW_ERR_FORBIDDEN;
    return access == NULL || grants(access->anonymous, right, topic) ? 0 : FW_ERR_CREDENTIAL;
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

uint64_t fw_access_due_ms(const struct fw_session *session, uint64_t due_ms)
{
    if (!lasts(session))
        return due_ms;
    uint64_t expires_ms = session->principal->expires_ms;
    return due_ms == 0 || expires_ms < due_ms ? expires_ms : due_ms;
}

bool fw_access_expire(struct fw_session *session)
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

/* RFC 6750, section 3; RFC 7617, section 2. */
const char *fw_access_challenge(const struct fw_session *session)
{
    const struct fw_access *access = session->host->access;
    if (access != NULL && access->basic)
        return "WWW-Authenticate: Bearer realm=\"fanwire\"\r\n"
               "WWW-Authenticate: Basic realm=\"fanwire\", charset=\"UTF-8\"\r\n";
    return "WWW-Authenticate: Bearer realm=\"fanwire\"\r\n";
}

void fw_access_decided(struct fw_authorization *authorization)
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
    return fw_access_may(request->session, right, fw_bytes_of(topic == NULL ? "" : topic));
}

const char *fw_conn_subject(const fw_conn *conn, size_t *bytes_out)
{
    return subject_of((const struct fw_session *)(const void *)conn, bytes_out);
}

int fw_conn_may(const fw_conn *conn, enum fw_right right, const char *topic)
{
    return fw_access_may((const struct fw_session *)(const void *)conn, right,
                         fw_bytes_of(topic == NULL ? "" : topic));
}
