/* key.h: the keys of tokens: what they are made of, signing and checking.
 *
 * A key holds raw octets, and each signature imports them anew: wolfCrypt's own key structs keep
 * the state of an operation in themselves, and a key here is shared by all workers. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_ACCESS_KEY_H
#define FW_ACCESS_KEY_H

#include "base/bytes.h"

#include <fanwire/token.h>
#include <sys/types.h>

#define FW_KEY_SECRET_BYTES_MIN 32u /* RFC 7518, section 3.2: as long as the hash */
#define FW_KEY_SECRET_BYTES_MAX 512u
#define FW_KEY_RSA_BYTES_MIN    256u /* RFC 7518, section 3.3: 2048 bits */
#define FW_KEY_RSA_BYTES_MAX    512u
#define FW_KEY_CURVE_BYTES      32u /* P-256 and Ed25519 */
#define FW_KEY_ID_BYTES_MAX     128u
/* RSA's are as long as the modulus. */
#define FW_SIGNATURE_BYTES_MAX FW_KEY_RSA_BYTES_MAX

/* What a key is made from. What does not belong to its algorithm is empty. */
struct fw_key_parts {
    enum fw_algorithm algorithm;
    struct fw_bytes id;       /* `kid`; empty: it has none */
    struct fw_bytes secret;   /* HS256 */
    struct fw_bytes modulus;  /* RS256, without leading zeros */
    struct fw_bytes exponent; /* RS256, without leading zeros */
    struct fw_bytes x;        /* ES256, EdDSA: 32 octets */
    struct fw_bytes y;        /* ES256: 32 octets */
    /* What signs: 32 octets for the curves, a PKCS #1 or #8 structure for RSA; empty: it checks
     * only. */
    struct fw_bytes private;
};

struct fw_key {
    struct fw_key_parts parts; /* pointing into `bytes` */
    size_t bytes_count;
    uint8_t bytes[];
};

/* Makes a key of copies of its parts, after checking that they are one.
 *
 * errors       FW_ERR_KEY, -ENOMEM
 */
int fw_key_create(const struct fw_key_parts *parts, struct fw_key **key_out);

/* Checks a signature.
 *
 * errors       FW_ERR_TOKEN_SIGNATURE, -ENOMEM
 */
int fw_key_verify(const struct fw_key *key, struct fw_bytes text, struct fw_bytes signature);

/* Signs.
 *
 * signature_out  room for FW_SIGNATURE_BYTES_MAX
 * returns      octets written
 * errors       FW_ERR_KEY when the key only checks; -EIO, -ENOMEM
 */
ssize_t fw_key_sign(const struct fw_key *key, struct fw_bytes text, uint8_t *signature_out);

#endif
