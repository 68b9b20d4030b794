/* tls_ipsec_mb.c: libIPSec_MB as wolfSSL's crypto device, for AES-GCM with VAES.
 *
 * wolfSSL's assembly works on 128 bits at a time. Processors with VAES and VPCLMULQDQ do 512, for
 * which Intel's library has the code (and OpenSSL from 3.2 on, which Debian 12 has not): 16 KiB in
 * 0.65 us instead of 2.6. Of the library only six functions are used, of its direct interface,
 * which hold nothing and queue nothing.
 *
 * It wants a table made of each key, 0.1 us. A thread keeps that of the key it used last, so that
 * the records of a large message share it; where it would be made for a small record, wolfSSL is
 * quicker.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_internal.h"
#include "net/tls/tls_ipsec_mb.h"

#ifdef FW_WOLFSSL_IPSEC_MB

#include <intel-ipsec-mb.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/cryptocb.h>

#include <stdio.h>

#define NONCE_BYTES  12
#define TAG_BYTES    16
#define VECTOR_BYTES 64

/* A record with a key of its own from which on the table pays. */
#define NEW_KEY_BYTES_MIN 1024

/* What the code needs to be at its best; without one of them it is no better than wolfSSL's. */
#define FEATURES (IMB_FEATURE_AVX512_SKX | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ)

/* The functions for one length of key. */
struct functions {
    aes_gcm_pre_t make_table;
    aes_gcm_enc_dec_t seal;
    aes_gcm_enc_dec_t open;
};
static struct functions of_128; /* set at start, only read after */
static struct functions of_256;
static char version[32];

/* One direction's key. The code loads and stores whole vectors, and the header does not say so. */
struct gcm {
    _Alignas(VECTOR_BYTES) struct gcm_key_data table;
    uint8_t key[32];
    size_t key_bytes;
};
static _Thread_local struct gcm sealing;
static _Thread_local struct gcm opening;

static const struct functions *functions_for(const Aes *aes)
{
    return aes->keylen == 16 ? &of_128 : aes->keylen == 32 ? &of_256 : NULL;
}

/* Readies a direction for the key; false when wolfSSL had better do it. */
static bool take_key(struct gcm *gcm, const struct functions *functions, const Aes *aes,
                     size_t record_bytes)
{
    size_t key_bytes = (size_t)aes->keylen;
    if (gcm->key_bytes == key_bytes && memcmp(gcm->key, aes->devKey, key_bytes) == 0)
        return true;
    if (record_bytes < NEW_KEY_BYTES_MIN)
        return false;
    memcpy(gcm->key, aes->devKey, key_bytes);
    gcm->key_bytes = key_bytes;
    functions->make_table(gcm->key, &gcm->table);
    return true;
}

static int seal(const wc_CryptoInfo *info)
{
    const Aes *aes = info->cipher.aesgcm_enc.aes;
    const word32 bytes = info->cipher.aesgcm_enc.sz;
    const struct functions *functions = functions_for(aes);
    if (functions == NULL || info->cipher.aesgcm_enc.ivSz != NONCE_BYTES ||
        info->cipher.aesgcm_enc.authTagSz != TAG_BYTES ||
        !take_key(&sealing, functions, aes, bytes))
        return CRYPTOCB_UNAVAILABLE;
    _Alignas(VECTOR_BYTES) struct gcm_context_data state;
    functions->seal(&sealing.table, &state, info->cipher.aesgcm_enc.out, info->cipher.aesgcm_enc.in,
                    bytes, info->cipher.aesgcm_enc.iv, info->cipher.aesgcm_enc.authIn,
                    info->cipher.aesgcm_enc.authInSz, info->cipher.aesgcm_enc.authTag, TAG_BYTES);
    return 0;
}

/* In a time that does not tell where they differ. */
static bool is_same_tag(const uint8_t *one, const uint8_t *other)
{
    uint8_t differs = 0;
    for (unsigned i = 0; i < TAG_BYTES; i++)
        differs |= one[i] ^ other[i];
    return differs == 0;
}

static int open_sealed(const wc_CryptoInfo *info)
{
    const Aes *aes = info->cipher.aesgcm_dec.aes;
    const word32 bytes = info->cipher.aesgcm_dec.sz;
    const struct functions *functions = functions_for(aes);
    if (functions == NULL || info->cipher.aesgcm_dec.ivSz != NONCE_BYTES ||
        info->cipher.aesgcm_dec.authTagSz != TAG_BYTES ||
        !take_key(&opening, functions, aes, bytes))
        return CRYPTOCB_UNAVAILABLE;
    _Alignas(VECTOR_BYTES) struct gcm_context_data state;
    uint8_t tag[TAG_BYTES];
    functions->open(&opening.table, &state, info->cipher.aesgcm_dec.out, info->cipher.aesgcm_dec.in,
                    bytes, info->cipher.aesgcm_dec.iv, info->cipher.aesgcm_dec.authIn,
                    info->cipher.aesgcm_dec.authInSz, tag, TAG_BYTES);
    if (is_same_tag(tag, info->cipher.aesgcm_dec.authTag))
        return 0;
    memset(info->cipher.aesgcm_dec.out, 0, bytes); /* nobody may use what nobody vouches for */
    return AES_GCM_AUTH_E;
}

static int run_device(int device, wc_CryptoInfo *info, void *context)
{
    (void)device;
    (void)context;
    if (info->algo_type != WC_ALGO_TYPE_CIPHER || info->cipher.type != WC_CIPHER_AES_GCM)
        return CRYPTOCB_UNAVAILABLE;
    return info->cipher.enc ? seal(info) : open_sealed(info);
}

int fw_tls_ipsec_mb_start(void)
{
    IMB_MGR *manager = alloc_mb_mgr(0);
    if (manager == NULL)
        return 0; /* then wolfSSL does it */
    IMB_ARCH arch;
    init_mb_mgr_auto(manager, &arch);
    bool serves = arch == IMB_ARCH_AVX512 && (manager->features & FEATURES) == FEATURES;
    of_128 = (struct functions){manager->gcm128_pre, manager->gcm128_enc, manager->gcm128_dec};
    of_256 = (struct functions){manager->gcm256_pre, manager->gcm256_enc, manager->gcm256_dec};
    free_mb_mgr(manager);
    if (!serves)
        return 0;
    if (wc_CryptoCb_RegisterDevice(FW_TLS_IPSEC_MB_DEVICE, run_device, NULL) != 0)
        return FW_ERR_TLS_LIBRARY;
    snprintf(version, sizeof version, "%s", imb_get_version_str());
    return 0;
}

void fw_tls_ipsec_mb_serve(struct WOLFSSL *ssl)
{
    if (version[0] != '\0')
        wolfSSL_SetDevId(ssl, FW_TLS_IPSEC_MB_DEVICE);
}

void fw_tls_ipsec_mb_thread_stop(void)
{
    explicit_bzero(&sealing, sizeof sealing);
    explicit_bzero(&opening, sizeof opening);
}

const char *fw_tls_ipsec_mb_version(void)
{
    return version[0] != '\0' ? version : NULL;
}

#else /* wolfSSL does it all, or libcrypto */

int fw_tls_ipsec_mb_start(void)
{
    return 0;
}

void fw_tls_ipsec_mb_serve(struct WOLFSSL *ssl)
{
    (void)ssl;
}

void fw_tls_ipsec_mb_thread_stop(void)
{
}

const char *fw_tls_ipsec_mb_version(void)
{
    return NULL;
}

#endif
