/* token_rig.h: keys and tokens for the tests of core/session: any header, any claims, signed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_TOKEN_RIG_H
#define TESTS_TOKEN_RIG_H

#include "access/token.h"

#include <stdbool.h>

/* The time of all these tests, and expiry claims that fit it. */
#define TOKEN_NOW_S 1700000000u

extern const char pem_rsa_private[];
extern const char pem_rsa_private_pkcs1[];
extern const char pem_rsa_public[];
extern const char pem_rsa_1024[];
extern const char pem_p256_private[];
extern const char pem_p256_private_sec1[];
extern const char pem_p256_public[];
extern const char pem_p384_public[];
extern const char pem_ed25519_private[];
extern const char pem_ed25519_public[];
/* {"sub":"alice","exp":1700003600,"subscribe":["prices.*","news"],"publish":"chat"} */
extern const char foreign_rs256[];
extern const char foreign_es256[];
extern const char foreign_eddsa[];

/* RFC 7515, appendix A.1; a secret of 32 octets. */
#define JWK_RFC_HS256                                                                              \
    "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS"  \
    "4hcgUuTwjAzZr1Z9CAow\"}"
#define TEXT_SECRET "correct horse battery staple 123"

/* The only key of a text; the test fails when it cannot be read. */
struct fw_key *key_of(const char *text);

/* Whether a text is refused as a key, with FW_ERR_KEY. */
bool key_refused(const char *text);

/* HEADER.PAYLOAD.SIGNATURE, where the first two are encoded as they are; lives until the fourth
 * call after it. */
const char *token_of(const struct fw_key *key, const char *header, const char *payload);

/* The same with a signature of the caller's. */
const char *token_with(const char *header, const char *payload, const void *signature,
                       size_t signature_bytes);

#endif
