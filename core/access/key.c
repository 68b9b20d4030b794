/* key.c: see key.h; reading keys is key_read.c, making them key_make.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/key.h"
#include "base/mem.h"

#include <errno.h>
#include <fanwire/status.h>
#include <string.h>
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/memory.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/signature.h>

#ifndef HAVE_ED25519
#error "wolfSSL must be built with Ed25519 (--enable-ed25519): tokens may be signed with it"
#endif

/* DER of an ECDSA signature: two integers of at most 33 octets, each with 2 in front, and 2. */
#define DER_SIGNATURE_BYTES_MAX (2 + 2 * (2 + 33))

/* The order of P-256: r and s of a signature are in [1, order - 1] (FIPS 186-4, D.1.2.3). */
static const uint8_t p256_order[FW_KEY_CURVE_BYTES] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

/* Octets of a token or key fit wolfCrypt's 32-bit counts many times over. */
static word32 count32(struct fw_bytes bytes)
{
    return (word32)bytes.count;
}

/* wolfCrypt's errors as ours: what is not its memory is the peer's mistake. */
static int error_of(int crypt_result, int otherwise)
{
    return crypt_result == MEMORY_E ? -ENOMEM : otherwise;
}

/* ---- imports into wolfCrypt's structs; 0, -ENOMEM or FW_ERR_KEY ------------------------------ */

static int import_rsa_public(const struct fw_key_parts *parts, RsaKey *key)
{
    int result = wc_InitRsaKey(key, NULL);
    if (result != 0)
        return error_of(result, FW_ERR_KEY);
    result = wc_RsaPublicKeyDecodeRaw(parts->modulus.at, count32(parts->modulus),
                                      parts->exponent.at, count32(parts->exponent), key);
    if (result != 0)
        wc_FreeRsaKey(key);
    return result == 0 ? 0 : error_of(result, FW_ERR_KEY);
}

static int import_rsa_private(const struct fw_key_parts *parts, RsaKey *key)
{
    word32 at = 0;
    int result = wc_InitRsaKey(key, NULL);
    if (result != 0)
        return error_of(result, FW_ERR_KEY);
    result = wc_RsaPrivateKeyDecode(parts->private.at, &at, key, count32(parts->private));
    if (result != 0)
        wc_FreeRsaKey(key);
    return result == 0 ? 0 : error_of(result, FW_ERR_KEY);
}

/* wolfCrypt does not write through these pointers, but its prototypes do not say so. */
static int import_p256(const struct fw_key_parts *parts, ecc_key *key)
{
    int result = wc_ecc_init(key);
    if (result != 0)
        return error_of(result, FW_ERR_KEY);
    const uint8_t *private = parts->private.count > 0 ? parts->private.at : NULL;
    result = wc_ecc_import_unsigned(key, parts->x.at, parts->y.at, private, ECC_SECP256R1);
    if (result != 0)
        wc_ecc_free(key);
    return result == 0 ? 0 : error_of(result, FW_ERR_KEY);
}

static int import_ed25519(const struct fw_key_parts *parts, ed25519_key *key)
{
    int result = wc_ed25519_init(key);
    if (result != 0)
        return error_of(result, FW_ERR_KEY);
    if (parts->private.count > 0)
        result = wc_ed25519_import_private_key(parts->private.at, count32(parts->private),
                                               parts->x.at, count32(parts->x), key);
    else
        result = wc_ed25519_import_public(parts->x.at, count32(parts->x), key);
    if (result != 0)
        wc_ed25519_free(key);
    return result == 0 ? 0 : error_of(result, FW_ERR_KEY);
}

/* ---- making ---------------------------------------------------------------------------------- */

static int check_rsa(const struct fw_key_parts *parts)
{
    struct fw_bytes n = parts->modulus;
    struct fw_bytes e = parts->exponent;
    RsaKey key;
    /* 2048 bits and more: the first octet of so many is not small. Even numbers are no RSA. */
    if (n.count < FW_KEY_RSA_BYTES_MIN || n.count > FW_KEY_RSA_BYTES_MAX || n.at[0] < 0x80 ||
        (n.at[n.count - 1] & 1) == 0)
        return FW_ERR_KEY;
    if (e.count == 0 || e.count > 4 || (e.at[e.count - 1] & 1) == 0 ||
        (e.count == 1 && e.at[0] < 3))
        return FW_ERR_KEY;
    int result = import_rsa_public(parts, &key);
    if (result != 0)
        return result;
    wc_FreeRsaKey(&key);
    if (parts->private.count == 0)
        return 0;
    result = import_rsa_private(parts, &key);
    if (result == 0)
        wc_FreeRsaKey(&key);
    return result;
}

static bool is_curve_octets(struct fw_bytes bytes)
{
    return bytes.count == FW_KEY_CURVE_BYTES;
}

static int check_p256(const struct fw_key_parts *parts)
{
    ecc_key key;
    if (!is_curve_octets(parts->x) || !is_curve_octets(parts->y) ||
        (parts->private.count > 0 && !is_curve_octets(parts->private)))
        return FW_ERR_KEY;
    int result = import_p256(parts, &key);
    if (result != 0)
        return result;
    result = wc_ecc_check_key(&key); /* on the curve, and of its order */
    wc_ecc_free(&key);
    return result == 0 ? 0 : error_of(result, FW_ERR_KEY);
}

static int check_ed25519(const struct fw_key_parts *parts)
{
    ed25519_key key;
    if (!is_curve_octets(parts->x) ||
        (parts->private.count > 0 && !is_curve_octets(parts->private)))
        return FW_ERR_KEY;
    int result = import_ed25519(parts, &key);
    if (result == 0)
        wc_ed25519_free(&key);
    return result;
}

static int check_parts(const struct fw_key_parts *parts)
{
    if (parts->id.count > FW_KEY_ID_BYTES_MAX)
        return FW_ERR_KEY;
    switch (parts->algorithm) {
    case FW_HS256:
        return parts->secret.count >= FW_KEY_SECRET_BYTES_MIN &&
                       parts->secret.count <= FW_KEY_SECRET_BYTES_MAX
                   ? 0
                   : FW_ERR_KEY;
    case FW_RS256:
        return check_rsa(parts);
    case FW_ES256:
        return check_p256(parts);
    case FW_EDDSA:
        return check_ed25519(parts);
    }
    return FW_ERR_KEY;
}

static void put(uint8_t **at, struct fw_bytes *bytes)
{
    if (bytes->count > 0)
        memcpy(*at, bytes->at, bytes->count);
    bytes->at = *at;
    *at += bytes->count;
}

int fw_key_create(const struct fw_key_parts *parts, struct fw_key **key_out)
{
    int result = check_parts(parts);
    if (result != 0)
        return result;
    size_t count = parts->id.count + parts->secret.count + parts->modulus.count +
                   parts->exponent.count + parts->x.count + parts->y.count + parts->private.count;
    count++; /* the id is terminated */
    struct fw_key *key = fw_mem_alloc(sizeof *key + count);
    if (key == NULL)
        return -ENOMEM;
    uint8_t *at = key->bytes;
    key->parts = *parts;
    key->bytes_count = count;
    put(&at, &key->parts.id);
    *at++ = '\0';
    put(&at, &key->parts.secret);
    put(&at, &key->parts.modulus);
    put(&at, &key->parts.exponent);
    put(&at, &key->parts.x);
    put(&at, &key->parts.y);
    put(&at, &key->parts.private);
    *key_out = key;
    return 0;
}

void fw_key_destroy(fw_key *key)
{
    if (key == NULL)
        return;
    explicit_bzero(key->bytes, key->bytes_count);
    fw_mem_free(key);
}

enum fw_algorithm fw_key_algorithm(const fw_key *key)
{
    return key->parts.algorithm;
}

const char *fw_key_id(const fw_key *key)
{
    return key->parts.id.count > 0 ? (const char *)key->parts.id.at : NULL;
}

/* ---- checking -------------------------------------------------------------------------------- */

static int make_hmac(const struct fw_key_parts *parts, struct fw_bytes text,
                     uint8_t digest_out[WC_SHA256_DIGEST_SIZE])
{
    Hmac hmac;
    int result = wc_HmacInit(&hmac, NULL, INVALID_DEVID);
    if (result != 0)
        return error_of(result, -EIO);
    result = wc_HmacSetKey(&hmac, WC_SHA256, parts->secret.at, count32(parts->secret));
    if (result == 0)
        result = wc_HmacUpdate(&hmac, text.at, count32(text));
    if (result == 0)
        result = wc_HmacFinal(&hmac, digest_out);
    wc_HmacFree(&hmac);
    return result == 0 ? 0 : error_of(result, -EIO);
}

/* Compares without a branch on what is compared: how long it takes says nothing. */
static bool equal_in_constant_time(const uint8_t *a, const uint8_t *b, size_t count)
{
    unsigned different = 0;
    for (size_t i = 0; i < count; i++)
        different |= (unsigned)(a[i] ^ b[i]);
    return different == 0;
}

static int verify_hmac(const struct fw_key *key, struct fw_bytes text, struct fw_bytes signature)
{
    uint8_t digest[WC_SHA256_DIGEST_SIZE];
    if (signature.count != sizeof digest)
        return FW_ERR_TOKEN_SIGNATURE;
    int result = make_hmac(&key->parts, text, digest);
    if (result != 0)
        return result == -ENOMEM ? result : FW_ERR_TOKEN_SIGNATURE;
    return equal_in_constant_time(digest, signature.at, sizeof digest) ? 0 : FW_ERR_TOKEN_SIGNATURE;
}

static int verify_rsa(const struct fw_key *key, struct fw_bytes text, struct fw_bytes signature)
{
    RsaKey rsa;
    if (signature.count != key->parts.modulus.count)
        return FW_ERR_TOKEN_SIGNATURE;
    int result = import_rsa_public(&key->parts, &rsa);
    if (result != 0)
        return result;
    result = wc_SignatureVerify(WC_HASH_TYPE_SHA256, WC_SIGNATURE_TYPE_RSA_W_ENC, text.at,
                                count32(text), signature.at, count32(signature), &rsa, sizeof rsa);
    wc_FreeRsaKey(&rsa);
    return result == 0 ? 0 : error_of(result, FW_ERR_TOKEN_SIGNATURE);
}

/* In [1, order - 1]. */
static bool is_scalar(const uint8_t *number)
{
    static const uint8_t zero[FW_KEY_CURVE_BYTES];
    return memcmp(number, zero, sizeof zero) != 0 &&
           memcmp(number, p256_order, sizeof p256_order) < 0;
}

static int verify_p256(const struct fw_key *key, struct fw_bytes text, struct fw_bytes signature)
{
    const uint8_t *r = signature.at;
    if (signature.count != (size_t)2 * FW_KEY_CURVE_BYTES || !is_scalar(r) ||
        !is_scalar(r + FW_KEY_CURVE_BYTES))
        return FW_ERR_TOKEN_SIGNATURE;
    uint8_t der[DER_SIGNATURE_BYTES_MAX];
    word32 der_bytes = sizeof der;
    ecc_key ecc;
    int result = wc_ecc_rs_raw_to_sig(r, FW_KEY_CURVE_BYTES, r + FW_KEY_CURVE_BYTES,
                                      FW_KEY_CURVE_BYTES, der, &der_bytes);
    if (result != 0)
        return error_of(result, FW_ERR_TOKEN_SIGNATURE);
    result = import_p256(&key->parts, &ecc);
    if (result != 0)
        return result;
    result = wc_SignatureVerify(WC_HASH_TYPE_SHA256, WC_SIGNATURE_TYPE_ECC, text.at, count32(text),
                                der, der_bytes, &ecc, sizeof ecc);
    wc_ecc_free(&ecc);
    return result == 0 ? 0 : error_of(result, FW_ERR_TOKEN_SIGNATURE);
}

static int verify_ed25519(const struct fw_key *key, struct fw_bytes text, struct fw_bytes signature)
{
    ed25519_key ed25519;
    int good = 0;
    if (signature.count != ED25519_SIG_SIZE)
        return FW_ERR_TOKEN_SIGNATURE;
    int result = import_ed25519(&key->parts, &ed25519);
    if (result != 0)
        return result;
    result = wc_ed25519_verify_msg(signature.at, count32(signature), text.at, count32(text), &good,
                                   &ed25519);
    wc_ed25519_free(&ed25519);
    return result == 0 && good == 1 ? 0 : error_of(result, FW_ERR_TOKEN_SIGNATURE);
}

int fw_key_verify(const struct fw_key *key, struct fw_bytes text, struct fw_bytes signature)
{
    switch (key->parts.algorithm) {
    case FW_HS256:
        return verify_hmac(key, text, signature);
    case FW_RS256:
        return verify_rsa(key, text, signature);
    case FW_ES256:
        return verify_p256(key, text, signature);
    case FW_EDDSA:
        return verify_ed25519(key, text, signature);
    }
    return FW_ERR_TOKEN_SIGNATURE;
}

/* ---- signing --------------------------------------------------------------------------------- */

static ssize_t sign_rsa(const struct fw_key *key, struct fw_bytes text, uint8_t *out,
                        WC_RNG *random)
{
    RsaKey rsa;
    word32 count = (word32)key->parts.modulus.count;
    int result = import_rsa_private(&key->parts, &rsa);
    if (result != 0)
        return result;
    wc_RsaSetRNG(&rsa, random); /* blinding */
    result = wc_SignatureGenerate(WC_HASH_TYPE_SHA256, WC_SIGNATURE_TYPE_RSA_W_ENC, text.at,
                                  count32(text), out, &count, &rsa, sizeof rsa, random);
    wc_FreeRsaKey(&rsa);
    return result == 0 ? (ssize_t)count : error_of(result, -EIO);
}

/* Moves an integer of at most 32 octets to the end of 32, zeros in front. */
static void pad(uint8_t *number, word32 count)
{
    memmove(number + FW_KEY_CURVE_BYTES - count, number, count);
    memset(number, 0, FW_KEY_CURVE_BYTES - count);
}

static ssize_t sign_p256(const struct fw_key *key, struct fw_bytes text, uint8_t *out,
                         WC_RNG *random)
{
    ecc_key ecc;
    uint8_t der[DER_SIGNATURE_BYTES_MAX + 8];
    word32 der_bytes = sizeof der;
    word32 r_bytes = FW_KEY_CURVE_BYTES;
    word32 s_bytes = FW_KEY_CURVE_BYTES;
    int result = import_p256(&key->parts, &ecc);
    if (result != 0)
        return result;
        /* Where this is compiled in, the scalar multiplication is blinded with it. */
#ifdef ECC_TIMING_RESISTANT
    wc_ecc_set_rng(&ecc, random);
#endif
    result = wc_SignatureGenerate(WC_HASH_TYPE_SHA256, WC_SIGNATURE_TYPE_ECC, text.at,
                                  count32(text), der, &der_bytes, &ecc, sizeof ecc, random);
    wc_ecc_free(&ecc);
    if (result == 0)
        result =
            wc_ecc_sig_to_rs(der, der_bytes, out, &r_bytes, out + FW_KEY_CURVE_BYTES, &s_bytes);
    if (result != 0)
        return error_of(result, -EIO);
    pad(out, r_bytes);
    pad(out + FW_KEY_CURVE_BYTES, s_bytes);
    return 2 * (ssize_t)FW_KEY_CURVE_BYTES;
}

static ssize_t sign_ed25519(const struct fw_key *key, struct fw_bytes text, uint8_t *out)
{
    ed25519_key ed25519;
    word32 count = ED25519_SIG_SIZE;
    int result = import_ed25519(&key->parts, &ed25519);
    if (result != 0)
        return result;
    result = wc_ed25519_sign_msg(text.at, count32(text), out, &count, &ed25519);
    wc_ed25519_free(&ed25519);
    return result == 0 ? (ssize_t)count : error_of(result, -EIO);
}

static ssize_t sign_with_random(const struct fw_key *key, struct fw_bytes text, uint8_t *out)
{
    WC_RNG random;
    int result = wc_InitRng(&random);
    if (result != 0)
        return error_of(result, -EIO);
    ssize_t count = key->parts.algorithm == FW_RS256 ? sign_rsa(key, text, out, &random)
                                                     : sign_p256(key, text, out, &random);
    wc_FreeRng(&random);
    return count;
}

ssize_t fw_key_sign(const struct fw_key *key, struct fw_bytes text, uint8_t *signature_out)
{
    if (key->parts.algorithm != FW_HS256 && key->parts.private.count == 0)
        return FW_ERR_KEY;
    switch (key->parts.algorithm) {
    case FW_HS256: {
        int result = make_hmac(&key->parts, text, signature_out);
        return result == 0 ? (ssize_t)WC_SHA256_DIGEST_SIZE : result;
    }
    case FW_RS256:
    case FW_ES256:
        return sign_with_random(key, text, signature_out);
    case FW_EDDSA:
        return sign_ed25519(key, text, signature_out);
    }
    return FW_ERR_KEY;
}
