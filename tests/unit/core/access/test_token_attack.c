/* test_token_attack.c: tokens made by somebody who knows this source and every public key, but no
 * secret. Each row must be refused, for its own reason (RFC 8725; RFC 7515, section 10; the CVEs
 * that the rows name).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/base64.h"
#include "base/mem.h"
#include "unit/core/access/token_rig.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADMIN    "{\"exp\":1700003600,\"publish\":\"*\"}"
#define JWT(alg) "{\"alg\":\"" alg "\",\"typ\":\"JWT\"}"
#define NONE_DOT "eyJhbGciOiJub25lIn0.eyJleHAiOjE3MDAwMDM2MDB9."

enum { SECRET, RSA, P256, ED25519, KEYS };

static struct fw_key *keys[KEYS];

static void begin(void)
{
    keys[SECRET] = key_of(TEXT_SECRET);
    keys[RSA] = key_of(pem_rsa_private);
    keys[P256] = key_of(pem_p256_private);
    keys[ED25519] = key_of(pem_ed25519_private);
}

static void end(void)
{
    for (unsigned i = 0; i < KEYS; i++)
        fw_key_destroy(keys[i]);
}

TestSuite(token_attack, .init = begin, .fini = end, .timeout = 60);

static int verify(unsigned key, const char *token)
{
    const struct fw_token_rules rules = {.keys = &keys[key], .keys_count = 1, .skew_s = 60};
    struct fw_principal *principal = NULL;
    int result = fw_token_verify(&rules, fw_bytes_of(token), TOKEN_NOW_S, &principal);
    cr_assert_eq(result == 0, principal != NULL);
    fw_mem_free(principal);
    return result;
}

static void refuses(unsigned key, const char *token, int expected)
{
    int result = verify(key, token);
    cr_assert_eq(result, expected, "%s for %s", fw_status_name(result), token);
}

Test(token_attack, is_held_against_tokens_that_are_good)
{
    static const char *const names[] = {"HS256", "RS256", "ES256", "EdDSA"};
    char header[64];
    for (unsigned i = 0; i < KEYS; i++) {
        sprintf(header, "{\"alg\":\"%s\"}", names[i]);
        cr_assert_eq(verify(i, token_of(keys[i], header, ADMIN)), 0, "%s", header);
    }
}

/* "none" in every spelling, with an empty, a short and a borrowed signature (CVE-2015-9235). */
Test(token_attack, without_a_signature)
{
    static const char *const headers[] = {JWT("none"),
                                          JWT("None"),
                                          JWT("NONE"),
                                          JWT("nOnE"),
                                          JWT(""),
                                          JWT("null"),
                                          "{\"alg\":null}",
                                          "{\"alg\":false}",
                                          "{\"alg\":[\"none\"]}",
                                          "{}",
                                          "{\"alg\":\"none\\u0000HS256\"}"};
    for (unsigned key = 0; key < KEYS; key++) {
        refuses(key, NONE_DOT, FW_ERR_TOKEN_MALFORMED);
        for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
            int result = verify(key, token_with(headers[i], ADMIN, "x", 1));
            cr_assert(result == FW_ERR_TOKEN_ALGORITHM || result == FW_ERR_TOKEN_MALFORMED, "%s",
                      headers[i]);
            result = verify(key, token_of(keys[SECRET], headers[i], ADMIN));
            cr_assert(result == FW_ERR_TOKEN_ALGORITHM || result == FW_ERR_TOKEN_MALFORMED, "%s",
                      headers[i]);
        }
    }
}

/* A public key's text as HMAC secret (CVE-2015-9235, CVE-2016-10555, CVE-2024-54150). */
Test(token_attack, with_the_public_key_as_secret)
{
    static const struct {
        unsigned key;
        const char *public_text;
    } rows[] = {{RSA, pem_rsa_public}, {P256, pem_p256_public}, {ED25519, pem_ed25519_public}};
    for (size_t i = 0; i < 3; i++) {
        struct fw_key_parts parts = {.algorithm = FW_HS256,
                                     .secret = fw_bytes_of(rows[i].public_text)};
        struct fw_key *confused;
        cr_assert_eq(fw_key_create(&parts, &confused), 0);
        refuses(rows[i].key, token_of(confused, JWT("HS256"), ADMIN), FW_ERR_TOKEN_ALGORITHM);
        refuses(rows[i].key, token_of(confused, JWT("RS256"), ADMIN),
                rows[i].key == RSA ? FW_ERR_TOKEN_SIGNATURE : FW_ERR_TOKEN_ALGORITHM);
        fw_key_destroy(confused);
    }
    /* The raw octets of the keys, too. */
    struct fw_key_parts raw = {.algorithm = FW_HS256, .secret = keys[ED25519]->parts.x};
    struct fw_key *confused;
    cr_assert_eq(fw_key_create(&raw, &confused), 0);
    refuses(ED25519, token_of(confused, JWT("HS256"), ADMIN), FW_ERR_TOKEN_ALGORITHM);
    fw_key_destroy(confused);
}

/* Each key with each algorithm that is not its own, well signed by somebody else's. */
Test(token_attack, with_another_algorithm_than_the_keys)
{
    static const char *const names[] = {"HS256",   "RS256", "ES256",  "EdDSA",  "HS384",
                                        "HS512",   "RS384", "PS256",  "ES384",  "ES256K",
                                        "Ed25519", "hs256", "HS256 ", "A128KW", "dir"};
    char header[64];
    for (unsigned key = 0; key < KEYS; key++) {
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
            if (i == key)
                continue;
            sprintf(header, "{\"alg\":\"%s\"}", names[i]);
            refuses(key, token_of(keys[key], header, ADMIN), FW_ERR_TOKEN_ALGORITHM);
        }
    }
}

/* r = s = 0 (CVE-2022-21449), and the numbers around 0 and the order. */
Test(token_attack, with_psychic_signatures)
{
    static const uint8_t order[32] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                      0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    uint8_t numbers[5][32] = {{0}};
    uint8_t signature[64];
    numbers[1][31] = 1;
    memcpy(numbers[2], order, 32);
    memcpy(numbers[3], order, 32);
    numbers[3][31]--;
    memset(numbers[4], 0xff, 32);
    for (unsigned r = 0; r < 5; r++) {
        for (unsigned s = 0; s < 5; s++) {
            memcpy(signature, numbers[r], 32);
            memcpy(signature + 32, numbers[s], 32);
            refuses(P256, token_with(JWT("ES256"), ADMIN, signature, 64), FW_ERR_TOKEN_SIGNATURE);
        }
    }
}

static size_t sign_raw(unsigned key, const char *token, uint8_t *signature)
{
    const char *dot = strrchr(token, '.');
    struct fw_bytes input = {(const uint8_t *)token, (size_t)(dot - token)};
    return (size_t)fw_key_sign(keys[key], input, signature);
}

/* The same message's signature, changed so that a lax library still takes it. */
Test(token_attack, with_malleable_signatures)
{
    static const uint8_t ed25519_order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                              0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                              0,    0,    0,    0,    0,    0,    0,    0,
                                              0,    0,    0,    0,    0,    0,    0,    0x10};
    uint8_t signature[FW_SIGNATURE_BYTES_MAX + 1] = {0};
    /* Ed25519: S + L (RFC 8032, section 5.1.7). */
    size_t count = sign_raw(ED25519, token_with(JWT("EdDSA"), ADMIN, "", 0), signature);
    refuses(ED25519, token_with(JWT("EdDSA"), ADMIN, signature, count), 0);
    unsigned carry = 0;
    for (unsigned i = 0; i < 32; i++) {
        carry += (unsigned)signature[32 + i] + ed25519_order[i];
        signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    refuses(ED25519, token_with(JWT("EdDSA"), ADMIN, signature, count), FW_ERR_TOKEN_SIGNATURE);
    /* One octet more or less, each algorithm. */
    for (unsigned key = 0; key < KEYS; key++) {
        static const char *const headers[] = {JWT("HS256"), JWT("RS256"), JWT("ES256"),
                                              JWT("EdDSA")};
        memset(signature, 0, sizeof signature);
        count = sign_raw(key, token_with(headers[key], ADMIN, "", 0), signature);
        refuses(key, token_with(headers[key], ADMIN, signature, count), 0);
        refuses(key, token_with(headers[key], ADMIN, signature, count + 1), FW_ERR_TOKEN_SIGNATURE);
        refuses(key, token_with(headers[key], ADMIN, signature, count - 1), FW_ERR_TOKEN_SIGNATURE);
    }
    /* ES256 as DER, the form of certificates. */
    static const uint8_t der[] = {0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01};
    refuses(P256, token_with(JWT("ES256"), ADMIN, der, sizeof der), FW_ERR_TOKEN_SIGNATURE);
}

/* PKCS #1 version 1.5 padding that hides a forged cube (CVE-2006-4339) is compared whole: any octet
 * of the encoded message that differs fails. Tried by numbers that open to themselves. */
Test(token_attack, with_rsa_signatures_of_small_numbers)
{
    uint8_t signature[256] = {0};
    refuses(RSA, token_with(JWT("RS256"), ADMIN, signature, 256), FW_ERR_TOKEN_SIGNATURE);
    signature[255] = 1;
    refuses(RSA, token_with(JWT("RS256"), ADMIN, signature, 256), FW_ERR_TOKEN_SIGNATURE);
    memset(signature, 0xff, 256);
    refuses(RSA, token_with(JWT("RS256"), ADMIN, signature, 256), FW_ERR_TOKEN_SIGNATURE);
    memcpy(signature, keys[RSA]->parts.modulus.at, 256);
    refuses(RSA, token_with(JWT("RS256"), ADMIN, signature, 256), FW_ERR_TOKEN_SIGNATURE);
    signature[255]--;
    refuses(RSA, token_with(JWT("RS256"), ADMIN, signature, 256), FW_ERR_TOKEN_SIGNATURE);
}

/* A key that the token brings along, or an address of one, is never looked at (CVE-2018-0114). */
Test(token_attack, with_a_key_of_its_own)
{
    char private_text[512];
    char public_text[512];
    char header[1024];
    cr_assert_eq(fw_key_generate(FW_ES256, NULL, private_text, sizeof private_text, public_text,
                                 sizeof public_text),
                 0);
    struct fw_key *own = key_of(private_text);
    sprintf(header, "{\"alg\":\"ES256\",\"jwk\":%s}", public_text);
    refuses(P256, token_of(own, header, ADMIN), FW_ERR_TOKEN_SIGNATURE);
    static const char *const headers[] = {
        "{\"alg\":\"ES256\",\"jku\":\"http://127.0.0.1:1/keys\"}",
        "{\"alg\":\"ES256\",\"x5u\":\"file:///etc/passwd\"}",
        "{\"alg\":\"ES256\",\"x5c\":[\"AAAA\"]}",
        "{\"alg\":\"ES256\",\"kid\":\"../../dev/null\"}",
        "{\"alg\":\"ES256\",\"kid\":\"' OR 1=1 --\"}",
        "{\"alg\":\"ES256\",\"kid\":\"\\u0000\"}",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        int result = verify(P256, token_of(own, headers[i], ADMIN));
        cr_assert(result == FW_ERR_TOKEN_SIGNATURE || result == FW_ERR_TOKEN_MALFORMED, "%s",
                  headers[i]);
    }
    fw_key_destroy(own);
}

/* Well signed, so that only the header decides. */
Test(token_attack, with_a_header_that_says_two_things_or_too_much)
{
    static const struct {
        const char *header;
        int result;
    } rows[] = {
        {"{\"alg\":\"HS256\",\"alg\":\"none\"}", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"none\",\"\\u0061lg\":\"HS256\"}", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"crit\":[],\"b64\":false}", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"crit\":null}", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":\"JWE\"}", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":7}", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":7}", FW_ERR_TOKEN_KEY},
        {"[\"HS256\"]", FW_ERR_TOKEN_MALFORMED},
        {"\"HS256\"", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\"", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\"} {}", FW_ERR_TOKEN_MALFORMED},
        {"{'alg':'HS256'}", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",}", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"a\":\"\xff\"}", FW_ERR_TOKEN_MALFORMED},
        {"\xef\xbb\xbf{\"alg\":\"HS256\"}", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"a\":[[[[[[[[0]]]]]]]]}", FW_ERR_TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"a\":[[[[[[[0]]]]]]]}", 0},
        {"{\"alg\":\"HS256\",\"typ\":\"jwt\"}", 0},
        {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", 0},
        {"{\"alg\":\"HS256\",\"a\":\"]]]][[[[[[[[[[\\\"[[[\"}", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refuses(SECRET, token_of(keys[SECRET], rows[i].header, ADMIN), rows[i].result);
}

Test(token_attack, with_claims_that_say_two_things_or_too_much)
{
    static const struct {
        const char *claims;
        int result;
    } rows[] = {
        {"{\"exp\":1,\"exp\":1700003600}", FW_ERR_TOKEN_MALFORMED},
        {"{\"exp\":1700003600,\"publish\":\"a\",\"publish\":\"*\"}", FW_ERR_TOKEN_MALFORMED},
        {"{\"exp\":1700003600,\"a\":{\"b\":1,\"b\":2}}", FW_ERR_TOKEN_MALFORMED},
        {"{\"exp\":1700003600,\"a\":[[[[[[[[0]]]]]]]]}", FW_ERR_TOKEN_MALFORMED},
        {"{\"exp\":1700003600,\"sub\":\"a\\u0000b\"}", FW_ERR_TOKEN_MALFORMED},
        {"{\"exp\":1e999}", FW_ERR_TOKEN_MALFORMED},
        {"{\"exp\":99999999999999999999999}", FW_ERR_TOKEN_MALFORMED},
        {"{\"exp\":NaN}", FW_ERR_TOKEN_MALFORMED},
        {"{\"exp\":18446744073709551615}", FW_ERR_TOKEN_MALFORMED},
        {"{\"exp\":9223372036854775807}", FW_ERR_TOKEN_CLAIM},
        {"{\"EXP\":1700003600}", FW_ERR_TOKEN_CLAIM},
        {"[{\"exp\":1700003600}]", FW_ERR_TOKEN_MALFORMED},
        {"1700003600", FW_ERR_TOKEN_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refuses(SECRET, token_of(keys[SECRET], JWT("HS256"), rows[i].claims), rows[i].result);
}

/* The parts themselves: count, alphabet, padding, spare bits. */
Test(token_attack, with_parts_that_are_cut_or_padded)
{
    char changed[1024];
    const char *good = token_of(keys[SECRET], JWT("HS256"), ADMIN);
    size_t count = strlen(good);
    refuses(SECRET, good, 0);
    for (size_t cut = 0; cut < count; cut++) {
        memcpy(changed, good, cut);
        changed[cut] = '\0';
        cr_assert_neq(verify(SECRET, changed), 0, "cut at %zu", cut);
    }
    for (size_t i = 0; i < count; i++) {
        for (unsigned with = 0; with < 6; with++) {
            strcpy(changed, good);
            changed[i] = "=+/ .\n"[with];
            if (changed[i] != good[i])
                cr_assert_neq(verify(SECRET, changed), 0, "'%c' at %zu", changed[i], i);
        }
    }
    static const char *const tails[] = {"=", "==", ".", ".x", " ", "\n", "A"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        sprintf(changed, "%s%s", good, tails[i]);
        cr_assert_neq(verify(SECRET, changed), 0, "%s behind", tails[i]);
    }
    /* The last character of 32 octets has two bits too many: another text, the same octets. */
    strcpy(changed, good);
    changed[count - 1]++;
    refuses(SECRET, changed, FW_ERR_TOKEN_SIGNATURE);
    refuses(SECRET, "", FW_ERR_TOKEN_MALFORMED);
    refuses(SECRET, "..", FW_ERR_TOKEN_MALFORMED);
    refuses(SECRET, "a.b.c.d.e", FW_ERR_TOKEN_MALFORMED);
}

Test(token_attack, with_the_parts_of_two_tokens)
{
    char mixed[2048];
    const char *one = token_of(keys[SECRET], JWT("HS256"), "{\"exp\":1700003600}");
    const char *two = token_of(keys[SECRET], JWT("HS256"), "{\"exp\":1700003601}");
    size_t head = (size_t)(strrchr(one, '.') - one);
    memcpy(mixed, one, head);
    strcpy(mixed + head, strrchr(two, '.'));
    refuses(SECRET, mixed, FW_ERR_TOKEN_SIGNATURE);
}

Test(token_attack, with_more_octets_than_a_token_has)
{
    char claims[FW_TOKEN_BYTES_MAX];
    int chars = sprintf(claims, "{\"exp\":1700003600,\"a\":\"");
    size_t most = 6060; /* 8080 characters: with header and signature about 8190 */
    memset(claims + chars, 'a', most - (size_t)chars - 2);
    strcpy(claims + most - 2, "\"}");
    const char *fits = token_of(keys[SECRET], "{\"alg\":\"HS256\"}", claims);
    cr_assert_leq(strlen(fits), (size_t)FW_TOKEN_BYTES_MAX);
    refuses(SECRET, fits, 0);
    memset(claims + chars, 'a', 7000);
    strcpy(claims + 7000, "\"}");
    refuses(SECRET, token_of(keys[SECRET], "{\"alg\":\"HS256\"}", claims), FW_ERR_TOKEN_MALFORMED);
}

Test(token_attack, without_any_key_of_ours)
{
    const struct fw_token_rules none = {0};
    struct fw_principal *principal = NULL;
    const char *token = token_of(keys[SECRET], JWT("HS256"), ADMIN);
    cr_assert_eq(fw_token_verify(&none, fw_bytes_of(token), TOKEN_NOW_S, &principal),
                 FW_ERR_TOKEN_KEY);
}
