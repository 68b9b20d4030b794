/* token.h: keys and JSON Web Tokens: who a client is, and which topics it may use.
 *
 * A key belongs to one algorithm, and a token is checked by the algorithm of its key, whatever the
 * token says. What makes tokens needs a key that can sign (a secret, or a private key); what checks
 * them does with the public one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_TOKEN_H
#define FANWIRE_TOKEN_H

#include <fanwire/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A key; immutable once it is made. */
typedef struct fw_key fw_key;

/* RFC 7518, section 3.1; RFC 8037, section 3.1. */
enum fw_algorithm {
    FW_HS256, /* HMAC with SHA-256: a secret of 32 to 512 octets */
    FW_RS256, /* RSA of 2048 to 4096 bits, PKCS #1 version 1.5, SHA-256 */
    FW_ES256, /* ECDSA on P-256 with SHA-256 */
    FW_EDDSA, /* Ed25519 */
};

/* The largest token that is looked at, and the most keys that are looked through. */
#define FW_TOKEN_BYTES_MAX 8192
#define FW_KEYS_MAX        64

/* Reads the keys of a file's content: a JWK, a JWK set ({"keys":[...]}), PEM (a public or private
 * key, one of them), or else a secret, whose last line end is not a part of it.
 *
 * keys_out     room for FW_KEYS_MAX; each is freed by fw_key_destroy
 * returns      how many keys
 * errors       FW_ERR_KEY for what is no such key, is too weak, or is malformed; FW_ERR_LIMIT for
 *              more than FW_KEYS_MAX; -ENOMEM
 * thread       any
 * source       RFC 7517, RFC 7518 section 6, RFC 8037, RFC 7468
 */
FW_PUBLIC ssize_t fw_keys_read(const void *bytes, size_t bytes_count, fw_key **keys_out);

/* Frees a key, its secret overwritten. NULL is allowed. */
FW_PUBLIC void fw_key_destroy(fw_key *key);

FW_PUBLIC enum fw_algorithm fw_key_algorithm(const fw_key *key);

/* Its `kid`, up to the first NUL octet; NULL when it has none. */
FW_PUBLIC const char *fw_key_id(const fw_key *key);

/* Makes a new key: a secret of 32 octets, or a key pair (not FW_RS256, which other tools make).
 *
 * id           its `kid`: printable ASCII without quote and backslash, at most 64; NULL for none
 * private_out  room for private_bytes (512 is enough): a JWK that can sign, terminated
 * public_out   the same for checking; empty for a secret, which has no public half
 * errors       FW_ERR_USAGE for another algorithm or id, or too little room; -EIO when there is no
 *              randomness; -ENOMEM
 * thread       any
 */
FW_PUBLIC int fw_key_generate(enum fw_algorithm algorithm, const char *id, char *private_out,
                              size_t private_bytes, char *public_out, size_t public_bytes);

/* What a token says. NULL and 0 leave a claim out. */
struct fw_token_claims {
    size_t size;           /* of this struct; FW_TOKEN_CLAIMS sets it */
    const char *subject;   /* who */
    const char *subscribe; /* topic patterns with a space between two: "prices.* news" */
    const char *publish;
    const char *audience;
    const char *issuer;
    uint64_t expires_s;    /* Unix time; the token must have one */
    uint64_t not_before_s; /* Unix time */
    bool observe;          /* may read /metrics and /debug */
};

#define FW_TOKEN_CLAIMS                                                                            \
    {                                                                                              \
        .size = sizeof(struct fw_token_claims)                                                     \
    }

/* Makes a token.
 *
 * token_out    room for FW_TOKEN_BYTES_MAX + 1; terminated
 * returns      its characters
 * errors       FW_ERR_KEY when the key cannot sign; FW_ERR_USAGE when there is no expiry, a pattern
 *              is malformed, a text is not UTF-8 or the token would be too large; -EIO, -ENOMEM
 * thread       any
 * source       RFC 7519, section 7.1
 */
FW_PUBLIC ssize_t fw_token_make(const fw_key *key, const struct fw_token_claims *claims,
                                char *token_out);

#ifdef __cplusplus
}
#endif

#endif
