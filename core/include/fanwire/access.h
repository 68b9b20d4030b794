/* access.h: who may do what: policies, credentials, and deciding oneself.
 *
 * A request names who sends it by one credential: a token (`Authorization: Bearer`, ?token=, the
 * subprotocol "bearer.TOKEN", a cookie), or whatever else the program understands (on_authorize).
 * It is looked at before the request is answered: before the 101 of a WebSocket. Without a policy
 * and without on_authorize everybody may do everything.
 *
 * Rights are topic patterns: names, or beginnings of names with an asterisk behind ("prices.*"),
 * with a space between two.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_ACCESS_H
#define FANWIRE_ACCESS_H

#include <fanwire/token.h>
#include <fanwire/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A policy; immutable, and counted: a server holds its own reference. */
typedef struct fw_access fw_access;

/* A request that waits for the program's decision. */
typedef struct fw_authorization fw_authorization;

enum fw_right {
    FW_MAY_SUBSCRIBE,
    FW_MAY_PUBLISH,
    FW_MAY_OBSERVE, /* figures: /metrics, /debug; of no topic */
};

/* NULL and 0: none, no. */
struct fw_access_options {
    size_t size; /* FW_ACCESS_OPTIONS sets it */
    fw_key *const *keys;
    size_t keys_count;
    const char *audience; /* `aud` of each token; without one tokens must not have it */
    const char *issuer;   /* `iss` of each token; without one anybody's */
    uint32_t skew_s;      /* how far clocks may differ, at most 60 */
    const char *cookie;   /* the cookie that holds a token; the server needs allow_origins then */
    bool no_query;        /* ?token= is not looked at */
    bool basic;           /* a 401 asks for Basic, too: on_authorize understands it */

    /* Who sends no credential. */
    const char *anonymous_subscribe;
    const char *anonymous_publish;
    bool anonymous_observe;
    /* Who sends none but has a client certificate that TLS has checked. */
    const char *certificate_subscribe;
    const char *certificate_publish;
    bool certificate_observe;
};

#define FW_ACCESS_OPTIONS                                                                          \
    {                                                                                              \
        .size = sizeof(struct fw_access_options)                                                   \
    }

/* Makes a policy. Texts are copied, keys given: on success they are the policy's.
 *
 * errors       FW_ERR_USAGE for a malformed pattern, cookie name or skew; FW_ERR_LIMIT for more
 *              than FW_KEYS_MAX keys; -ENOMEM; the keys are still the caller's then
 * thread       any
 */
FW_PUBLIC int fw_access_create(const struct fw_access_options *options, fw_access **access_out);

/* Drops the caller's reference. NULL is allowed. Thread: any. */
FW_PUBLIC void fw_access_destroy(fw_access *access);

/* Makes a policy the server's, now or while it runs: requests that come from the next turns on are
 * held against it; connections that are open keep the rights that they came with.
 *
 * access       shared; NULL: none, everybody may do everything
 * errors       FW_ERR_USAGE for a policy with a cookie and a server without exact allow_origins
 * thread       any
 */
FW_PUBLIC int fw_server_set_access(fw_server *server, fw_access *access);

/* What a request is granted. NULL: nothing. */
struct fw_grant {
    size_t size; /* FW_GRANT sets it */
    const char *subject;
    const char *subscribe;
    const char *publish;
    bool observe;
    uint64_t expires_s; /* Unix time at which the connection is closed with 4401; 0: never */
};

#define FW_GRANT                                                                                   \
    {                                                                                              \
        .size = sizeof(struct fw_grant)                                                            \
    }

/* Decides on a request that on_authorize took: exactly one of the two, once, from inside it or
 * later; the authorization is gone then. Each must be decided before the server is destroyed, even
 * when the client has left or the time is up: that does no harm.
 *
 * errors       FW_ERR_USAGE for malformed patterns or texts that are too long, -ENOMEM: the request
 *              is answered 500 then
 * thread       any
 */
FW_PUBLIC int fw_authorization_grant(fw_authorization *authorization, const struct fw_grant *grant);

/* status       400 to 599
 * reason       one sentence for the client, at most 127 bytes, without line ends; NULL for none
 * thread       any
 */
FW_PUBLIC void fw_authorization_refuse(fw_authorization *authorization, unsigned status,
                                       const char *reason);

/* Who a connection is, or who sent a request: a token's `sub`, a grant's subject. Not terminated;
 * NULL when it has no name. */
FW_PUBLIC const char *fw_conn_subject(const fw_conn *conn, size_t *bytes_out);
FW_PUBLIC const char *fw_request_subject(const fw_request *request, size_t *bytes_out);

/* Whether it has a right on a topic, by the credential that it came with. The topic of
 * FW_MAY_OBSERVE is NULL.
 *
 * errors       FW_ERR_CREDENTIAL when it has none and that is not enough, FW_ERR_FORBIDDEN when it
 *              has another
 * thread       the connection's worker
 */
FW_PUBLIC int fw_conn_may(const fw_conn *conn, enum fw_right right, const char *topic);
FW_PUBLIC int fw_request_may(const fw_request *request, enum fw_right right, const char *topic);

#ifdef __cplusplus
}
#endif

#endif
