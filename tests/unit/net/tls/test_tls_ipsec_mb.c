/* test_tls_ipsec_mb.c: AES-GCM by libIPSec_MB is what wolfSSL's own is (net/tls/tls_ipsec_mb.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_internal.h"
#include "net/tls/tls_ipsec_mb.h"

#include <criterion/criterion.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/random.h>

#define BYTES_MAX 16640

static uint8_t plain[BYTES_MAX];
static uint8_t ours[BYTES_MAX];
static uint8_t theirs[BYTES_MAX];
static uint8_t opened[BYTES_MAX];

static const uint8_t nonce[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const uint8_t bound[] = {23, 3, 3, 64, 17};

/* Skips, out loud, where the processor or the build has nothing to test. */
static void need_device(void)
{
    cr_assert_eq(fw_tls_library_start(), 0);
    if (fw_tls_ipsec_mb_version() == NULL)
        cr_skip_test("libIPSec_MB is not built in, or this processor has no VAES");
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 167 >> 3);
}

static void make(Aes *aes, int device, uint8_t key_seed, unsigned key_bytes)
{
    uint8_t key[32];
    for (unsigned i = 0; i < key_bytes; i++)
        key[i] = (uint8_t)(key_seed + i * 7);
    cr_assert_eq(wc_AesInit(aes, NULL, device), 0);
    cr_assert_eq(wc_AesGcmSetKey(aes, key, key_bytes), 0);
}

static int seal(Aes *aes, uint8_t *out, size_t bytes, uint8_t tag[16])
{
    return wc_AesGcmEncrypt(aes, out, plain, (word32)bytes, nonce, sizeof nonce, tag, 16, bound,
                            sizeof bound);
}

static int open_sealed(Aes *aes, const uint8_t *in, size_t bytes, const uint8_t tag[16])
{
    memset(opened, 0xaa, sizeof opened);
    return wc_AesGcmDecrypt(aes, opened, in, (word32)bytes, nonce, sizeof nonce, tag, 16, bound,
                            sizeof bound);
}

/* Every length of the last block, around the size that a new key needs, and a whole record. */
static size_t next_size(size_t bytes)
{
    return bytes < 80 || (bytes >= 1000 && bytes < 1100) || bytes >= 16380 ? bytes + 1
           : bytes < 1000                                                  ? bytes + 23
                                                                           : bytes + 509;
}

Test(tls_ipsec_mb, seals_and_opens_as_wolfSSL_does_at_every_size)
{
    need_device();
    for (unsigned key_bytes = 16; key_bytes <= 32; key_bytes += 16) {
        for (size_t bytes = 0; bytes <= 16400; bytes = next_size(bytes)) {
            uint8_t our_tag[16];
            uint8_t their_tag[16];
            Aes with;
            Aes without;
            make(&with, FW_TLS_IPSEC_MB_DEVICE, (uint8_t)bytes, key_bytes);
            make(&without, INVALID_DEVID, (uint8_t)bytes, key_bytes);
            cr_assert_eq(seal(&with, ours, bytes, our_tag), 0);
            cr_assert_eq(seal(&without, theirs, bytes, their_tag), 0);
            cr_assert_arr_eq(ours, theirs, bytes, "%zu bytes", bytes);
            cr_assert_arr_eq(our_tag, their_tag, 16, "%zu bytes", bytes);
            cr_assert_eq(open_sealed(&with, theirs, bytes, their_tag), 0, "%zu bytes", bytes);
            cr_assert_arr_eq(opened, plain, bytes, "%zu bytes", bytes);
            wc_AesFree(&with);
            wc_AesFree(&without);
        }
    }
    fw_tls_thread_stop();
}

Test(tls_ipsec_mb, works_in_place_and_with_the_key_of_the_record_before)
{
    need_device();
    Aes aes[2];
    uint8_t tag[16];
    uint8_t expected_tag[16];
    for (uint8_t i = 0; i < 2; i++)
        make(&aes[i], FW_TLS_IPSEC_MB_DEVICE, i, 16);
    for (unsigned round = 0; round < 6; round++) {
        size_t bytes = round % 3 == 2 ? 4 : 16384; /* a small one shares the large one's table */
        Aes *one = &aes[round / 3 % 2];
        Aes plainly;
        make(&plainly, INVALID_DEVID, round / 3 % 2, 16);
        cr_assert_eq(seal(&plainly, theirs, bytes, expected_tag), 0);
        memcpy(ours, plain, bytes);
        cr_assert_eq(wc_AesGcmEncrypt(one, ours, ours, (word32)bytes, nonce, sizeof nonce, tag, 16,
                                      bound, sizeof bound),
                     0);
        cr_assert_arr_eq(ours, theirs, bytes);
        cr_assert_arr_eq(tag, expected_tag, 16);
        cr_assert_eq(wc_AesGcmDecrypt(one, ours, ours, (word32)bytes, nonce, sizeof nonce, tag, 16,
                                      bound, sizeof bound),
                     0);
        cr_assert_arr_eq(ours, plain, bytes);
        wc_AesFree(&plainly);
    }
    wc_AesFree(&aes[0]);
    wc_AesFree(&aes[1]);
    fw_tls_thread_stop();
}

Test(tls_ipsec_mb, refuses_what_was_changed_and_gives_none_of_it_away)
{
    need_device();
    static const size_t sizes[] = {1024, 5000, 16384};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        Aes aes;
        uint8_t tag[16];
        make(&aes, FW_TLS_IPSEC_MB_DEVICE, 9, 32);
        cr_assert_eq(seal(&aes, ours, sizes[i], tag), 0);
        for (unsigned at = 0; at < 16; at++) {
            tag[at] ^= 0x10;
            cr_assert_eq(open_sealed(&aes, ours, sizes[i], tag), AES_GCM_AUTH_E);
            tag[at] ^= 0x10;
            for (size_t k = 0; k < sizes[i]; k++)
                cr_assert(opened[k] == 0 || opened[k] == 0xaa, "octet %zu of %zu", k, sizes[i]);
        }
        ours[sizes[i] / 2] ^= 1;
        cr_assert_eq(open_sealed(&aes, ours, sizes[i], tag), AES_GCM_AUTH_E);
        ours[sizes[i] / 2] ^= 1;
        cr_assert_eq(open_sealed(&aes, ours, sizes[i], tag), 0);
        wc_AesFree(&aes);
    }
    fw_tls_thread_stop();
}

Test(tls_ipsec_mb, gives_its_keys_up_when_the_thread_stops)
{
    need_device();
    Aes aes;
    uint8_t tag[16];
    make(&aes, FW_TLS_IPSEC_MB_DEVICE, 3, 16);
    for (unsigned round = 0; round < 2; round++) {
        cr_assert_eq(seal(&aes, ours, 2048, tag), 0);
        cr_assert_eq(open_sealed(&aes, ours, 2048, tag), 0, "round %u", round);
        cr_assert_arr_eq(opened, plain, 2048);
        fw_tls_thread_stop();
    }
    wc_AesFree(&aes);
}

/* A request may be larger than the 256 bytes that one getrandom gives for certain. */
Test(tls_library, random_bytes_fill_all_that_was_asked_for)
{
    static uint8_t one[4096];
    static uint8_t other[4096];
    WC_RNG rng;
    cr_assert_eq(fw_tls_library_start(), 0);
    cr_assert_eq(wc_InitRng_ex(&rng, NULL, FW_TLS_DEVICE), 0);
    cr_assert_eq(wc_RNG_GenerateBlock(&rng, one, sizeof one), 0);
    cr_assert_eq(wc_RNG_GenerateBlock(&rng, other, sizeof other), 0);
    for (size_t at = 0; at < sizeof one; at += 16) { /* chance: 2^-128 each */
        static const uint8_t zero[16];
        cr_expect_arr_neq(one + at, zero, 16, "octets from %zu", at);
        cr_expect_arr_neq(one + at, other + at, 16, "octets from %zu", at);
    }
    wc_FreeRng(&rng);
    fw_tls_thread_stop();
}
