/* key_read.c: keys out of files' contents: JWK and JWK sets (RFC 7517), PEM (RFC 7468), secrets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/key.h"
#include "base/base64.h"
#include "base/mem.h"
#include "proto/json.h"

#include <errno.h>
#include <fanwire/status.h>
#include <string.h>
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/coding.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/rsa.h>

/* A set of 64 RSA keys is 50 KiB. A private RSA key of 4096 bits is 2,400 octets of DER. */
#define TEXT_BYTES_MAX 65536u
#define DER_BYTES_MAX  4096u

/* ---- JWK ------------------------------------------------------------------------------------- */

/* Decoded members of a JWK, one after the other. */
struct scratch {
    size_t used;
    uint8_t bytes[2 * FW_KEY_RSA_BYTES_MAX];
};

/* Decodes a member; false when it is there and malformed. Absent leaves it empty. */
static bool take_member(const json_t *jwk, const char *name, struct scratch *scratch,
                        struct fw_bytes *out)
{
    if (json_object_get(jwk, name) == NULL)
        return true;
    struct fw_bytes text = fw_json_string(jwk, name);
    if (text.at == NULL)
        return false;
    uint8_t *at = scratch->bytes + scratch->used;
    ssize_t count = fw_base64url_decode(text, at, sizeof scratch->bytes - scratch->used);
    if (count < 0)
        return false;
    scratch->used += (size_t)count;
    *out = (struct fw_bytes){at, (size_t)count};
    return true;
}

static void strip_zeros(struct fw_bytes *number)
{
    while (number->count > 0 && number->at[0] == 0) {
        number->at++;
        number->count--;
    }
}

static bool member_is(const json_t *jwk, const char *name, const char *wanted)
{
    struct fw_bytes value = fw_json_string(jwk, name);
    return value.at != NULL && fw_bytes_equal(value, fw_bytes_of(wanted));
}

/* The algorithm that the key's type and curve mean; -1 for one that is none of ours. */
static int algorithm_of(const json_t *jwk)
{
    if (member_is(jwk, "kty", "oct"))
        return FW_HS256;
    if (member_is(jwk, "kty", "RSA"))
        return FW_RS256;
    if (member_is(jwk, "kty", "EC") && member_is(jwk, "crv", "P-256"))
        return FW_ES256;
    if (member_is(jwk, "kty", "OKP") && member_is(jwk, "crv", "Ed25519"))
        return FW_EDDSA;
    return -1;
}

/* What the key says of itself must agree with what it is. */
static bool is_for_signatures(const json_t *jwk, int algorithm)
{
    static const char *const names[] = {"HS256", "RS256", "ES256", "EdDSA"};
    if (json_object_get(jwk, "alg") != NULL && !member_is(jwk, "alg", names[algorithm]))
        return false;
    return json_object_get(jwk, "use") == NULL || member_is(jwk, "use", "sig");
}

static int read_jwk(const json_t *jwk, struct fw_key **key_out)
{
    struct scratch scratch = {0};
    struct fw_key_parts parts = {0};
    int algorithm = json_is_object(jwk) ? algorithm_of(jwk) : -1;
    if (algorithm < 0 || !is_for_signatures(jwk, algorithm))
        return FW_ERR_KEY;
    parts.algorithm = (enum fw_algorithm)algorithm;
    parts.id = fw_json_string(jwk, "kid");
    if (json_object_get(jwk, "kid") != NULL && parts.id.at == NULL)
        return FW_ERR_KEY;
    bool curve = algorithm == FW_ES256 || algorithm == FW_EDDSA;
    bool good = (algorithm != FW_HS256 || take_member(jwk, "k", &scratch, &parts.secret)) &&
                (algorithm != FW_RS256 || (take_member(jwk, "n", &scratch, &parts.modulus) &&
                                           take_member(jwk, "e", &scratch, &parts.exponent))) &&
                (!curve || (take_member(jwk, "x", &scratch, &parts.x) &&
                            take_member(jwk, "d", &scratch, &parts.private))) &&
                (algorithm != FW_ES256 || take_member(jwk, "y", &scratch, &parts.y));
    strip_zeros(&parts.modulus);
    strip_zeros(&parts.exponent);
    int result = good ? fw_key_create(&parts, key_out) : FW_ERR_KEY;
    explicit_bzero(&scratch, sizeof scratch);
    return result;
}

static void destroy_all(struct fw_key **keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fw_key_destroy(keys[i]);
}

static ssize_t read_jwk_set(const json_t *set, struct fw_key **keys_out)
{
    size_t count = json_array_size(set);
    if (count == 0)
        return FW_ERR_KEY;
    if (count > FW_KEYS_MAX)
        return FW_ERR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        int result = read_jwk(json_array_get(set, i), &keys_out[i]);
        if (result == 0)
            continue;
        destroy_all(keys_out, i);
        return result;
    }
    return (ssize_t)count;
}

static ssize_t read_json(struct fw_bytes text, struct fw_key **keys_out)
{
    json_t *object;
    int result = fw_json_parse(text, false, &object);
    if (result != 0)
        return result == -ENOMEM ? result : FW_ERR_KEY;
    const json_t *set = json_object_get(object, "keys");
    ssize_t count = 1;
    if (set != NULL)
        count = read_jwk_set(set, keys_out);
    else if ((result = read_jwk(object, keys_out)) != 0)
        count = result;
    json_decref(object);
    return count;
}

/* ---- PEM ------------------------------------------------------------------------------------- */

static int read_rsa_der(struct fw_bytes der, bool private, struct fw_key **key_out)
{
    RsaKey rsa;
    word32 at = 0;
    uint8_t modulus[FW_KEY_RSA_BYTES_MAX];
    uint8_t exponent[8];
    word32 modulus_bytes = sizeof modulus;
    word32 exponent_bytes = sizeof exponent;
    if (wc_InitRsaKey(&rsa, NULL) != 0)
        return -ENOMEM;
    int result = private ? wc_RsaPrivateKeyDecode(der.at, &at, &rsa, (word32)der.count)
                         : wc_RsaPublicKeyDecode(der.at, &at, &rsa, (word32)der.count);
    if (result == 0)
        result = wc_RsaFlattenPublicKey(&rsa, exponent, &exponent_bytes, modulus, &modulus_bytes);
    wc_FreeRsaKey(&rsa);
    if (result != 0)
        return result == MEMORY_E ? -ENOMEM : FW_ERR_KEY;
    struct fw_key_parts parts = {.algorithm = FW_RS256,
                                 .modulus = {modulus, modulus_bytes},
                                 .exponent = {exponent, exponent_bytes}};
    if (private)
        parts.private = der;
    strip_zeros(&parts.modulus);
    strip_zeros(&parts.exponent);
    return fw_key_create(&parts, key_out);
}

/* Writes the raw numbers of a key of P-256; the private one is 0 octets long in a public key. */
static int export_p256(ecc_key *ecc, uint8_t *x, uint8_t *y, uint8_t *d, word32 *d_bytes)
{
    word32 x_bytes = FW_KEY_CURVE_BYTES;
    word32 y_bytes = FW_KEY_CURVE_BYTES;
    if (wc_ecc_get_curve_id(ecc->idx) != ECC_SECP256R1)
        return FW_ERR_KEY;
    int result = 0;
    if (ecc->type == ECC_PRIVATEKEY_ONLY)
        result = wc_ecc_make_pub(ecc, NULL);
    if (result == 0)
        result = wc_ecc_export_public_raw(ecc, x, &x_bytes, y, &y_bytes);
    if (result == 0 && *d_bytes > 0)
        result = wc_ecc_export_private_only(ecc, d, d_bytes);
    if (result != 0)
        return result == MEMORY_E ? -ENOMEM : FW_ERR_KEY;
    return x_bytes == FW_KEY_CURVE_BYTES && y_bytes == FW_KEY_CURVE_BYTES ? 0 : FW_ERR_KEY;
}

static int read_p256_der(struct fw_bytes der, bool private, struct fw_key **key_out)
{
    ecc_key ecc;
    word32 at = 0;
    uint8_t x[FW_KEY_CURVE_BYTES];
    uint8_t y[FW_KEY_CURVE_BYTES];
    uint8_t d[FW_KEY_CURVE_BYTES];
    word32 d_bytes = private ? sizeof d : 0;
    if (wc_ecc_init(&ecc) != 0)
        return -ENOMEM;
    int result = private ? wc_EccPrivateKeyDecode(der.at, &at, &ecc, (word32)der.count)
                         : wc_EccPublicKeyDecode(der.at, &at, &ecc, (word32)der.count);
    if (result == 0)
        result = export_p256(&ecc, x, y, d, &d_bytes);
    wc_ecc_free(&ecc);
    if (result != 0)
        return result == MEMORY_E || result == -ENOMEM ? -ENOMEM : FW_ERR_KEY;
    const struct fw_key_parts parts = {
        .algorithm = FW_ES256, .x = {x, sizeof x}, .y = {y, sizeof y}, .private = {d, d_bytes}};
    result = fw_key_create(&parts, key_out);
    explicit_bzero(d, sizeof d);
    return result;
}

static int read_ed25519_der(struct fw_bytes der, bool private, struct fw_key **key_out)
{
    ed25519_key ed25519;
    word32 at = 0;
    uint8_t x[FW_KEY_CURVE_BYTES];
    uint8_t d[FW_KEY_CURVE_BYTES];
    word32 x_bytes = sizeof x;
    word32 d_bytes = private ? sizeof d : 0;
    if (wc_ed25519_init(&ed25519) != 0)
        return -ENOMEM;
    int result = private ? wc_Ed25519PrivateKeyDecode(der.at, &at, &ed25519, (word32)der.count)
                         : wc_Ed25519PublicKeyDecode(der.at, &at, &ed25519, (word32)der.count);
    if (result == 0 && private)
        result = wc_ed25519_export_private_only(&ed25519, d, &d_bytes);
    if (result == 0 && private)
        result = wc_ed25519_make_public(&ed25519, x, sizeof x);
    else if (result == 0)
        result = wc_ed25519_export_public(&ed25519, x, &x_bytes);
    wc_ed25519_free(&ed25519);
    if (result != 0)
        return result == MEMORY_E ? -ENOMEM : FW_ERR_KEY;
    const struct fw_key_parts parts = {
        .algorithm = FW_EDDSA, .x = {x, sizeof x}, .private = {d, d_bytes}};
    result = fw_key_create(&parts, key_out);
    explicit_bzero(d, sizeof d);
    return result;
}

/* A DER structure names its own algorithm: the readers are tried, and one knows it. */
static int read_der(struct fw_bytes der, bool private, struct fw_key **key_out)
{
    int result = read_rsa_der(der, private, key_out);
    if (result == FW_ERR_KEY)
        result = read_p256_der(der, private, key_out);
    if (result == FW_ERR_KEY)
        result = read_ed25519_der(der, private, key_out);
    return result;
}

static const char pem_begin[] = "-----BEGIN ";
static const char pem_end[] = "-----END ";
static const char pem_dashes[] = "-----";

/* Finds what stands between the lines of a PEM block with this label. */
static bool find_pem(struct fw_bytes text, const char *label, struct fw_bytes *base64_out)
{
    char begin[64];
    char end[64];
    struct fw_bytes found = text;
    size_t begin_chars =
        (size_t)stpcpy(stpcpy(stpcpy(begin, pem_begin), label), pem_dashes) - (size_t)begin;
    size_t end_chars =
        (size_t)stpcpy(stpcpy(stpcpy(end, pem_end), label), pem_dashes) - (size_t)end;
    const uint8_t *from = memmem(text.at, text.count, begin, begin_chars);
    if (from == NULL)
        return false;
    found.at = from + begin_chars;
    found.count = (size_t)(text.at + text.count - found.at);
    const uint8_t *until = memmem(found.at, found.count, end, end_chars);
    if (until == NULL)
        return false;
    found.count = (size_t)(until - found.at);
    *base64_out = found;
    return true;
}

static ssize_t read_pem(struct fw_bytes text, struct fw_key **keys_out)
{
    static const struct {
        const char *label;
        bool private;
    } labels[] = {{"PUBLIC KEY", false},
                  {"PRIVATE KEY", true},
                  {"RSA PRIVATE KEY", true},
                  {"EC PRIVATE KEY", true}};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        struct fw_bytes base64;
        uint8_t der[DER_BYTES_MAX];
        word32 der_bytes = sizeof der;
        if (!find_pem(text, labels[i].label, &base64))
            continue;
        if (Base64_Decode(base64.at, (word32)base64.count, der, &der_bytes) != 0)
            return FW_ERR_KEY;
        int result = read_der((struct fw_bytes){der, der_bytes}, labels[i].private, keys_out);
        explicit_bzero(der, sizeof der);
        return result == 0 ? 1 : result;
    }
    return FW_ERR_KEY;
}

/* ---- which of them --------------------------------------------------------------------------- */

static ssize_t read_secret(struct fw_bytes text, struct fw_key **keys_out)
{
    if (text.count > 0 && text.at[text.count - 1] == '\n')
        text.count--;
    if (text.count > 0 && text.at[text.count - 1] == '\r')
        text.count--;
    const struct fw_key_parts parts = {.algorithm = FW_HS256, .secret = text};
    int result = fw_key_create(&parts, keys_out);
    return result == 0 ? 1 : result;
}

ssize_t fw_keys_read(const void *bytes, size_t bytes_count, fw_key **keys_out)
{
    struct fw_bytes text = {bytes, bytes_count};
    if (bytes_count == 0 || bytes_count > TEXT_BYTES_MAX)
        return FW_ERR_KEY;
    size_t first = 0;
    while (first < text.count && memchr(" \t\r\n", text.at[first], 4) != NULL)
        first++;
    if (first < text.count && text.at[first] == '{')
        return read_json(text, keys_out);
    /* PEM may have lines of text in front (RFC 7468, section 2); a secret that says BEGIN is none.
     */
    if (memmem(text.at, text.count, pem_begin, sizeof pem_begin - 1) != NULL)
        return read_pem(text, keys_out);
    return read_secret(text, keys_out);
}
