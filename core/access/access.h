/* access.h: a policy: what tokens are held against, and what everybody may; the public side is
 * fanwire/access.h.
 *
 * Immutable once it is made, counted, and shared by all workers. Which credential a request shows
 * is credential.h; how a session comes by its principal is session/identity.h. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_ACCESS_ACCESS_H
#define FW_ACCESS_ACCESS_H

#include "access/principal.h"
#include "access/token.h"
#include "base/bytes.h"

#include <fanwire/access.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FW_COOKIE_NAME_BYTES_MAX 64u

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

void fw_access_hold(struct fw_access *access);

/* Whether a policy needs exact origins. */
static inline bool fw_access_needs_origins(const struct fw_access *access)
{
    return access->cookie.count > 0;
}

/* Whether a principal has a right on a topic: the one place that says so.
 *
 * access       NULL: everybody may do everything
 * principal    NULL: anonymous
 * topic        of FW_MAY_OBSERVE: empty
 * errors       FW_ERR_CREDENTIAL, FW_ERR_FORBIDDEN
 */
int fw_access_may(const struct fw_access *access, const struct fw_principal *principal,
                  enum fw_right right, struct fw_bytes topic);

/* The same of any topic at all: who may use none is refused before it names one.
 *
 * errors       FW_ERR_CREDENTIAL, FW_ERR_FORBIDDEN
 */
int fw_access_may_some(const struct fw_access *access, const struct fw_principal *principal,
                       enum fw_right right);

/* The WWW-Authenticate lines of a 401; access may be NULL. */
const char *fw_access_challenge(const struct fw_access *access);

#endif
