/* key_make.c: new keys, as JWKs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/key.h"
#include "base/base64.h"

#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <string.h>
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/memory.h>
#include <wolfssl/wolfcrypt/random.h>

#define KEY_ID_CHARS_MAX 64u

/* 32 octets as text, terminated. */
struct text32 {
    char chars[FW_BASE64URL_CHARS(FW_KEY_CURVE_BYTES) + 1];
};

struct numbers {
    uint8_t x[FW_KEY_CURVE_BYTES];
    uint8_t y[FW_KEY_CURVE_BYTES];
    uint8_t d[FW_KEY_CURVE_BYTES]; /* or the secret */
};

static struct text32 text_of(const uint8_t *octets)
{
    struct text32 text = {{0}};
    fw_base64url_encode((struct fw_bytes){octets, FW_KEY_CURVE_BYTES}, text.chars);
    return text;
}

static int error_of(int crypt_result)
{
    return crypt_result == MEMORY_E ? -ENOMEM : -EIO;
}

static int make_p256(WC_RNG *random, struct numbers *numbers)
{
    ecc_key ecc;
    word32 x_bytes = FW_KEY_CURVE_BYTES;
    word32 y_bytes = FW_KEY_CURVE_BYTES;
    word32 d_bytes = FW_KEY_CURVE_BYTES;
    int result = wc_ecc_init(&ecc);
    if (result != 0)
        return error_of(result);
    result = wc_ecc_make_key_ex(random, FW_KEY_CURVE_BYTES, &ecc, ECC_SECP256R1);
    if (result == 0) /* each padded to the curve's size */
        result = wc_ecc_export_private_raw(&ecc, numbers->x, &x_bytes, numbers->y, &y_bytes,
                                           numbers->d, &d_bytes);
    wc_ecc_free(&ecc);
    bool whole = x_bytes == FW_KEY_CURVE_BYTES && y_bytes == FW_KEY_CURVE_BYTES &&
                 d_bytes == FW_KEY_CURVE_BYTES;
    return result != 0 ? error_of(result) : whole ? 0 : -EIO;
}

static int make_ed25519(WC_RNG *random, struct numbers *numbers)
{
    ed25519_key ed25519;
    word32 x_bytes = FW_KEY_CURVE_BYTES;
    word32 d_bytes = FW_KEY_CURVE_BYTES;
    int result = wc_ed25519_init(&ed25519);
    if (result != 0)
        return error_of(result);
    result = wc_ed25519_make_key(random, ED25519_KEY_SIZE, &ed25519);
    if (result == 0)
        result = wc_ed25519_export_public(&ed25519, numbers->x, &x_bytes);
    if (result == 0)
        result = wc_ed25519_export_private_only(&ed25519, numbers->d, &d_bytes);
    wc_ed25519_free(&ed25519);
    return result == 0 ? 0 : error_of(result);
}

static int make_numbers(enum fw_algorithm algorithm, struct numbers *numbers)
{
    WC_RNG random;
    int result = wc_InitRng(&random);
    if (result != 0)
        return error_of(result);
    if (algorithm == FW_ES256)
        result = make_p256(&random, numbers);
    else if (algorithm == FW_EDDSA)
        result = make_ed25519(&random, numbers);
    else if (wc_RNG_GenerateBlock(&random, numbers->d, sizeof numbers->d) != 0)
        result = -EIO;
    wc_FreeRng(&random);
    return result;
}

/* An id that needs no escapes in JSON, in a header or on a screen. */
static bool id_valid(const char *id)
{
    size_t count = strlen(id);
    for (size_t i = 0; i < count; i++) {
        if (id[i] < 0x21 || id[i] > 0x7e || id[i] == '"' || id[i] == '\\')
            return false;
    }
    return count > 0 && count <= KEY_ID_CHARS_MAX;
}

/* Writes one half of the key: the private one has d (or k) as well. */
static bool write_jwk(enum fw_algorithm algorithm, const char *id, const struct numbers *numbers,
                      bool private, char *out, size_t out_bytes)
{
    char kid[KEY_ID_CHARS_MAX + 16] = "";
    char hidden[FW_BASE64URL_CHARS(FW_KEY_CURVE_BYTES) + 16] = "";
    struct text32 x = text_of(numbers->x);
    struct text32 y = text_of(numbers->y);
    struct text32 d = text_of(numbers->d);
    int written;
    if (id != NULL)
        snprintf(kid, sizeof kid, "\"kid\":\"%s\",", id);
    if (private && algorithm != FW_HS256)
        snprintf(hidden, sizeof hidden, ",\"d\":\"%s\"", d.chars);
    if (algorithm == FW_HS256)
        written = snprintf(out, out_bytes, "{\"kty\":\"oct\",%s\"alg\":\"HS256\",\"k\":\"%s\"}\n",
                           kid, d.chars);
    else if (algorithm == FW_ES256)
        written = snprintf(out, out_bytes,
                           "{\"kty\":\"EC\",%s\"alg\":\"ES256\",\"crv\":\"P-256\",\"x\":\"%s\","
                           "\"y\":\"%s\"%s}\n",
                           kid, x.chars, y.chars, hidden);
    else
        written = snprintf(out, out_bytes,
                           "{\"kty\":\"OKP\",%s\"alg\":\"EdDSA\",\"crv\":\"Ed25519\",\"x\":\"%s\""
                           "%s}\n",
                           kid, x.chars, hidden);
    explicit_bzero(&d, sizeof d);
    explicit_bzero(hidden, sizeof hidden);
    return written > 0 && (size_t)written < out_bytes;
}

int fw_key_generate(enum fw_algorithm algorithm, const char *id, char *private_out,
                    size_t private_bytes, char *public_out, size_t public_bytes)
{
    struct numbers numbers = {0};
    if ((algorithm != FW_HS256 && algorithm != FW_ES256 && algorithm != FW_EDDSA) ||
        (id != NULL && !id_valid(id)) || private_bytes == 0 || public_bytes == 0)
        return FW_ERR_USAGE;
    int result = make_numbers(algorithm, &numbers);
    public_out[0] = '\0';
    if (result == 0 && (!write_jwk(algorithm, id, &numbers, true, private_out, private_bytes) ||
                        (algorithm != FW_HS256 &&
                         !write_jwk(algorithm, id, &numbers, false, public_out, public_bytes))))
        result = FW_ERR_USAGE;
    explicit_bzero(&numbers, sizeof numbers);
    return result;
}
