/* token.h: checking JSON Web Tokens (RFC 7519) in the compact form (RFC 7515, section 7.1).
 *
 * The order of what is looked at: size, three parts, the header; then the key, by the header's
 * `kid`, and that its algorithm is the header's; then the signature; and only of what is signed,
 * the claims. The header's jku, jwk, x5u and x5c are never looked at; a `crit` is refused. The
 * public side of tokens is fanwire/token.h. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_ACCESS_TOKEN_H
#define FW_ACCESS_TOKEN_H

#include "access/key.h"
#include "access/principal.h"

#include <stddef.h>
#include <stdint.h>

/* How far clocks may differ, at most. */
#define FW_TOKEN_SKEW_S_MAX 60u

/* What tokens are held against. */
struct fw_token_rules {
    struct fw_key *const *keys;
    size_t keys_count;
    struct fw_bytes audience; /* required in `aud`; empty: a token must not have one */
    struct fw_bytes issuer;   /* required as `iss`; empty: anyone */
    uint32_t skew_s;          /* at most FW_TOKEN_SKEW_S_MAX */
};

/* Checks a token, and makes the principal that it names. Its expires_ms is the caller's to set.
 *
 * now_s        Unix time
 * errors       FW_ERR_TOKEN_MALFORMED, _ALGORITHM, _KEY, _SIGNATURE, _CLAIM, _EXPIRED, _EARLY,
 *              _AUDIENCE, _ISSUER; -ENOMEM
 */
int fw_token_verify(const struct fw_token_rules *rules, struct fw_bytes token, uint64_t now_s,
                    struct fw_principal **principal_out);

#endif
