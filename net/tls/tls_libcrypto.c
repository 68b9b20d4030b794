/* tls_libcrypto.c: libcrypto as wolfSSL's crypto device, for wolfSSLs without hardware AES.
 *
 * Debian's wolfSSL does AES-GCM in portable C, at a thirtieth of the speed, and seeds every session
 * from /dev/urandom by name, which fails when descriptors run out. It can hand such work to a
 * device; here that is OpenSSL's libcrypto, for AES-GCM, for P-256, and for random bytes. What it
 * does not take, wolfSSL does itself. A build of wolfSSL with its own assembly compiles none of
 * this.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_libcrypto.h"

#include <stddef.h>

#ifdef FW_WOLFSSL_LIBCRYPTO

#define OPENSSL_API_COMPAT 0x10101000L /* EC_KEY: its replacement costs 20 us a conversion */
#include "net/tls/tls.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdh.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>
#include <sys/random.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/cryptocb.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#define P256_BYTES 32

/* ---- AES-GCM ---- */

/* One direction's cipher, with the key it had last: a peer that sends much keeps it. Each thread
 * has its own, freed by fw_tls_libcrypto_thread_stop. */
struct gcm {
    EVP_CIPHER_CTX *cipher;
    uint8_t key[32];
    size_t key_bytes;
};
static _Thread_local struct gcm sealing;
static _Thread_local struct gcm opening;

static const EVP_CIPHER *cipher_for(size_t key_bytes)
{
    return key_bytes == 16 ? EVP_aes_128_gcm() : key_bytes == 32 ? EVP_aes_256_gcm() : NULL;
}

/* Readies a cipher for a key and a nonce. */
static bool begin_gcm(struct gcm *gcm, const Aes *aes, const uint8_t *iv, bool seal)
{
    size_t key_bytes = (size_t)aes->keylen;
    const uint8_t *key = (const uint8_t *)aes->devKey;
    if (gcm->cipher == NULL) {
        gcm->cipher = EVP_CIPHER_CTX_new();
        gcm->key_bytes = 0;
    }
    if (gcm->cipher == NULL)
        return false;
    bool same = gcm->key_bytes == key_bytes && memcmp(gcm->key, key, key_bytes) == 0;
    if (!same) {
        gcm->key_bytes = 0;
        if (EVP_CipherInit_ex(gcm->cipher, cipher_for(key_bytes), NULL, NULL, NULL, seal) != 1 ||
            EVP_CipherInit_ex(gcm->cipher, NULL, NULL, key, NULL, seal) != 1)
            return false;
        memcpy(gcm->key, key, key_bytes);
        gcm->key_bytes = key_bytes;
    }
    return EVP_CipherInit_ex(gcm->cipher, NULL, NULL, NULL, iv, seal) == 1;
}

static bool fits_gcm(const Aes *aes, word32 iv_bytes, word32 tag_bytes)
{
    return cipher_for((size_t)aes->keylen) != NULL && iv_bytes == 12 && tag_bytes == 16;
}

/* The bytes that are only authenticated, then those that are also encrypted or decrypted. */
static bool run_gcm(EVP_CIPHER_CTX *cipher, const byte *bound, word32 bound_bytes, const byte *in,
                    byte *out, word32 bytes)
{
    int done = 0;
    return (bound_bytes == 0 ||
            EVP_CipherUpdate(cipher, NULL, &done, bound, (int)bound_bytes) == 1) &&
           (bytes == 0 || EVP_CipherUpdate(cipher, out, &done, in, (int)bytes) == 1);
}

static int gcm_seal(wc_CryptoInfo *info)
{
    Aes *aes = info->cipher.aesgcm_enc.aes;
    if (!fits_gcm(aes, info->cipher.aesgcm_enc.ivSz, info->cipher.aesgcm_enc.authTagSz))
        return CRYPTOCB_UNAVAILABLE;
    int done = 0;
    uint8_t last[16];
    bool good = begin_gcm(&sealing, aes, info->cipher.aesgcm_enc.iv, true) &&
                run_gcm(sealing.cipher, info->cipher.aesgcm_enc.authIn,
                        info->cipher.aesgcm_enc.authInSz, info->cipher.aesgcm_enc.in,
                        info->cipher.aesgcm_enc.out, info->cipher.aesgcm_enc.sz) &&
                EVP_CipherFinal_ex(sealing.cipher, last, &done) == 1 &&
                EVP_CIPHER_CTX_ctrl(sealing.cipher, EVP_CTRL_GCM_GET_TAG, 16,
                                    info->cipher.aesgcm_enc.authTag) == 1;
    return good ? 0 : WC_HW_E;
}

static int gcm_open(wc_CryptoInfo *info)
{
    Aes *aes = info->cipher.aesgcm_dec.aes;
    if (!fits_gcm(aes, info->cipher.aesgcm_dec.ivSz, info->cipher.aesgcm_dec.authTagSz))
        return CRYPTOCB_UNAVAILABLE;
    uint8_t tag[16];
    memcpy(tag, info->cipher.aesgcm_dec.authTag, sizeof tag);
    if (!begin_gcm(&opening, aes, info->cipher.aesgcm_dec.iv, false) ||
        !run_gcm(opening.cipher, info->cipher.aesgcm_dec.authIn, info->cipher.aesgcm_dec.authInSz,
                 info->cipher.aesgcm_dec.in, info->cipher.aesgcm_dec.out,
                 info->cipher.aesgcm_dec.sz) ||
        EVP_CIPHER_CTX_ctrl(opening.cipher, EVP_CTRL_GCM_SET_TAG, sizeof tag, tag) != 1)
        return WC_HW_E;
    int done = 0;
    uint8_t last[16];
    return EVP_CipherFinal_ex(opening.cipher, last, &done) == 1 ? 0 : AES_GCM_AUTH_E;
}

/* ---- P-256 ---- */

static EC_GROUP *p256; /* made at start, only read after */

static bool is_p256(const ecc_key *key)
{
    return key != NULL && key->dp != NULL && key->dp->id == ECC_SECP256R1;
}

/* A copy of a private key in libcrypto's form; EC_KEY_free wipes it. */
static EC_KEY *take_private(ecc_key *key)
{
    uint8_t scalar[P256_BYTES];
    word32 scalar_bytes = sizeof scalar;
    if (wc_ecc_export_private_only(key, scalar, &scalar_bytes) != 0)
        return NULL;
    EC_KEY *taken = EC_KEY_new();
    BIGNUM *number = BN_secure_new();
    bool good = taken != NULL && number != NULL &&
                BN_bin2bn(scalar, (int)scalar_bytes, number) != NULL &&
                EC_KEY_set_group(taken, p256) == 1 && EC_KEY_set_private_key(taken, number) == 1;
    OPENSSL_cleanse(scalar, sizeof scalar);
    BN_clear_free(number);
    if (good)
        return taken;
    EC_KEY_free(taken);
    return NULL;
}

static EC_POINT *take_public(ecc_key *key)
{
    uint8_t encoded[1 + 2 * P256_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    word32 x_bytes = P256_BYTES;
    word32 y_bytes = P256_BYTES;
    if (wc_ecc_export_public_raw(key, encoded + 1, &x_bytes, encoded + 1 + P256_BYTES, &y_bytes) !=
            0 ||
        x_bytes != P256_BYTES || y_bytes != P256_BYTES)
        return NULL;
    EC_POINT *point = EC_POINT_new(p256);
    /* Points that are not on the curve are refused here. */
    if (point != NULL && EC_POINT_oct2point(p256, point, encoded, sizeof encoded, NULL) == 1)
        return point;
    EC_POINT_free(point);
    return NULL;
}

static int make_key(wc_CryptoInfo *info)
{
    ecc_key *key = info->pk.eckg.key;
    if (info->pk.eckg.size != P256_BYTES ||
        (info->pk.eckg.curveId != ECC_SECP256R1 && info->pk.eckg.curveId != ECC_CURVE_DEF))
        return CRYPTOCB_UNAVAILABLE;
    uint8_t scalar[P256_BYTES];
    uint8_t encoded[1 + 2 * P256_BYTES];
    EC_KEY *made = EC_KEY_new();
    int error = WC_HW_E;
    if (made != NULL && EC_KEY_set_group(made, p256) == 1 && EC_KEY_generate_key(made) == 1 &&
        BN_bn2binpad(EC_KEY_get0_private_key(made), scalar, sizeof scalar) == P256_BYTES &&
        EC_POINT_point2oct(p256, EC_KEY_get0_public_key(made), POINT_CONVERSION_UNCOMPRESSED,
                           encoded, sizeof encoded, NULL) == sizeof encoded)
        error = wc_ecc_import_unsigned(key, encoded + 1, encoded + 1 + P256_BYTES, scalar,
                                       ECC_SECP256R1);
    OPENSSL_cleanse(scalar, sizeof scalar);
    EC_KEY_free(made);
    return error;
}

static int agree(wc_CryptoInfo *info)
{
    if (!is_p256(info->pk.ecdh.private_key) || *info->pk.ecdh.outlen < P256_BYTES)
        return CRYPTOCB_UNAVAILABLE;
    EC_KEY *own = take_private(info->pk.ecdh.private_key);
    EC_POINT *peer = take_public(info->pk.ecdh.public_key);
    int error = WC_HW_E;
    if (own != NULL && peer != NULL &&
        ECDH_compute_key(info->pk.ecdh.out, P256_BYTES, peer, own, NULL) == P256_BYTES) {
        *info->pk.ecdh.outlen = P256_BYTES;
        error = 0;
    }
    EC_POINT_free(peer);
    EC_KEY_free(own);
    return error;
}

static int sign(wc_CryptoInfo *info)
{
    if (!is_p256(info->pk.eccsign.key))
        return CRYPTOCB_UNAVAILABLE;
    EC_KEY *own = take_private(info->pk.eccsign.key);
    unsigned bytes = 0;
    int error = WC_HW_E;
    if (own != NULL && (unsigned)ECDSA_size(own) <= *info->pk.eccsign.outlen &&
        ECDSA_sign(0, info->pk.eccsign.in, (int)info->pk.eccsign.inlen, info->pk.eccsign.out,
                   &bytes, own) == 1) {
        *info->pk.eccsign.outlen = bytes;
        error = 0;
    }
    EC_KEY_free(own);
    return error;
}

static int verify(wc_CryptoInfo *info)
{
    if (!is_p256(info->pk.eccverify.key))
        return CRYPTOCB_UNAVAILABLE;
    EC_KEY *peer = EC_KEY_new();
    EC_POINT *point = take_public(info->pk.eccverify.key);
    int error = WC_HW_E;
    *info->pk.eccverify.res = 0;
    if (peer != NULL && point != NULL && EC_KEY_set_group(peer, p256) == 1 &&
        EC_KEY_set_public_key(peer, point) == 1) {
        /* 1 good, 0 wrong, -1 malformed, which is wrong too */
        *info->pk.eccverify.res =
            ECDSA_verify(0, info->pk.eccverify.hash, (int)info->pk.eccverify.hashlen,
                         info->pk.eccverify.sig, (int)info->pk.eccverify.siglen, peer) == 1;
        error = 0;
    }
    EC_POINT_free(point);
    EC_KEY_free(peer);
    return error;
}

/* ---- random bytes ---- */

/* getrandom(2) gives up to 256 bytes whole, and needs no descriptor. */
static int seed(byte *out, word32 bytes)
{
    while (bytes > 0) {
        size_t piece = bytes < 256 ? bytes : 256;
        if (getrandom(out, piece, 0) != (ssize_t)piece)
            return WC_HW_E;
        out += piece;
        bytes -= (word32)piece;
    }
    return 0;
}

/* ---- the device ---- */

static int run_pk(wc_CryptoInfo *info)
{
    if (info->pk.type == WC_PK_TYPE_EC_KEYGEN)
        return make_key(info);
    if (info->pk.type == WC_PK_TYPE_ECDH)
        return agree(info);
    if (info->pk.type == WC_PK_TYPE_ECDSA_SIGN)
        return sign(info);
    if (info->pk.type == WC_PK_TYPE_ECDSA_VERIFY)
        return verify(info);
    return CRYPTOCB_UNAVAILABLE;
}

static int run_device(int device, wc_CryptoInfo *info, void *context)
{
    (void)device;
    (void)context;
    if (info->algo_type == WC_ALGO_TYPE_CIPHER && info->cipher.type == WC_CIPHER_AES_GCM)
        return info->cipher.enc ? gcm_seal(info) : gcm_open(info);
    if (info->algo_type == WC_ALGO_TYPE_PK)
        return run_pk(info);
    if (info->algo_type == WC_ALGO_TYPE_RNG)
        return RAND_bytes(info->rng.out, (int)info->rng.sz) == 1 ? 0 : WC_HW_E;
    if (info->algo_type == WC_ALGO_TYPE_SEED)
        return seed(info->seed.seed, info->seed.sz);
    return CRYPTOCB_UNAVAILABLE;
}

int fw_tls_libcrypto_start(void)
{
    if (p256 == NULL) /* kept by a start that failed behind it */
        p256 = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    if (p256 == NULL || wc_CryptoCb_RegisterDevice(FW_TLS_DEVICE, run_device, NULL) != 0)
        return FW_ERR_TLS_LIBRARY;
    return 0;
}

static void clear_gcm(struct gcm *gcm)
{
    EVP_CIPHER_CTX_free(gcm->cipher);
    OPENSSL_cleanse(gcm, sizeof *gcm);
}

void fw_tls_libcrypto_thread_stop(void)
{
    clear_gcm(&sealing);
    clear_gcm(&opening);
}

const char *fw_tls_libcrypto_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}

#else /* wolfSSL does it all */

int fw_tls_libcrypto_start(void)
{
    return 0;
}

void fw_tls_libcrypto_thread_stop(void)
{
}

const char *fw_tls_libcrypto_version(void)
{
    return NULL;
}

#endif
