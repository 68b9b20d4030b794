/* test_key.c: keys: reading, refusing, signing, checking (core/access/key.h, fanwire/token.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/base64.h"
#include "support/fail_mem.h"
#include "unit/core/access/token_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define X    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define P256 "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" Y "\""
#define OKP                                                                                        \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""

TestSuite(key, .timeout = 60);

static int verify_text(const char *key_text, const char *input, const char *signature_text)
{
    uint8_t signature[FW_SIGNATURE_BYTES_MAX];
    struct fw_key *key = key_of(key_text);
    ssize_t count = fw_base64url_decode(fw_bytes_of(signature_text), signature, sizeof signature);
    cr_assert_geq(count, 0);
    int result =
        fw_key_verify(key, fw_bytes_of(input), (struct fw_bytes){signature, (size_t)count});
    fw_key_destroy(key);
    return result;
}

/* RFC 7515, appendices A.1 and A.3; RFC 8037, appendix A.4. */
Test(key, verifies_the_examples_of_the_rfcs)
{
    cr_assert_eq(verify_text(JWK_RFC_HS256,
                             "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHA"
                             "iOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
                             "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
                 0);
    cr_assert_eq(verify_text(P256 "}",
                             "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQo"
                             "gImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
                             "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQ"
                             "xfKTUJqPP3-Kg6NU1Q"),
                 0);
    cr_assert_eq(verify_text(OKP "}", "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
                             "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsP"
                             "t9g7sVvpAr_MuM0KAg"),
                 0);
}

static void check_pair(const char *private_text, const char *public_text,
                       enum fw_algorithm expected)
{
    uint8_t signature[FW_SIGNATURE_BYTES_MAX];
    struct fw_key *private = key_of(private_text);
    struct fw_key *public = key_of(public_text);
    struct fw_bytes text = fw_bytes_of("what is signed");
    cr_assert_eq(fw_key_algorithm(private), expected);
    cr_assert_eq(fw_key_algorithm(public), expected);
    ssize_t count = fw_key_sign(private, text, signature);
    cr_assert_gt(count, 0, "%zd", count);
    struct fw_bytes signed_bytes = {signature, (size_t)count};
    cr_assert_eq(fw_key_verify(private, text, signed_bytes), 0);
    cr_assert_eq(fw_key_verify(public, text, signed_bytes), 0);
    cr_assert_eq(fw_key_verify(public, fw_bytes_of("something else"), signed_bytes),
                 FW_ERR_TOKEN_SIGNATURE);
    if (expected != FW_HS256)
        cr_assert_eq(fw_key_sign(public, text, signature), FW_ERR_KEY);
    for (ssize_t i = 0; i < count; i++) {
        signature[i] ^= 0x10;
        cr_assert_eq(fw_key_verify(public, text, signed_bytes), FW_ERR_TOKEN_SIGNATURE, "octet %zd",
                     i);
        signature[i] ^= 0x10;
    }
    for (size_t cut = 0; cut < (size_t)count; cut++)
        cr_assert_eq(fw_key_verify(public, text, (struct fw_bytes){signature, cut}),
                     FW_ERR_TOKEN_SIGNATURE);
    fw_key_destroy(private);
    fw_key_destroy(public);
}

Test(key, reads_pem_of_openssl_and_signs_with_it)
{
    check_pair(pem_rsa_private, pem_rsa_public, FW_RS256);
    check_pair(pem_rsa_private_pkcs1, pem_rsa_public, FW_RS256);
    check_pair(pem_p256_private, pem_p256_public, FW_ES256);
    check_pair(pem_p256_private_sec1, pem_p256_public, FW_ES256);
    check_pair(pem_ed25519_private, pem_ed25519_public, FW_EDDSA);
}

Test(key, takes_a_text_without_its_line_end_as_a_secret)
{
    check_pair(TEXT_SECRET, TEXT_SECRET "\n", FW_HS256);
    check_pair(TEXT_SECRET "\r\n", TEXT_SECRET, FW_HS256);
}

Test(key, is_made_and_read_back)
{
    static const enum fw_algorithm algorithms[] = {FW_ES256, FW_EDDSA};
    char private_text[512];
    char public_text[512];
    for (unsigned i = 0; i < 40; i++) {
        enum fw_algorithm algorithm = algorithms[i % 2];
        cr_assert_eq(fw_key_generate(algorithm, "k-1", private_text, sizeof private_text,
                                     public_text, sizeof public_text),
                     0);
        cr_assert_null(strstr(public_text, "\"d\""));
        check_pair(private_text, public_text, algorithm);
    }
    cr_assert_eq(fw_key_generate(FW_HS256, NULL, private_text, sizeof private_text, public_text,
                                 sizeof public_text),
                 0);
    cr_assert_str_eq(public_text, "");
    check_pair(private_text, private_text, FW_HS256);
}

Test(key, is_not_made_for_what_it_cannot_be)
{
    char out[512];
    cr_assert_eq(fw_key_generate(FW_RS256, NULL, out, sizeof out, out, sizeof out), FW_ERR_USAGE);
    cr_assert_eq(fw_key_generate(FW_ES256, "a\"b", out, sizeof out, out, sizeof out), FW_ERR_USAGE);
    cr_assert_eq(fw_key_generate(FW_ES256, "", out, sizeof out, out, sizeof out), FW_ERR_USAGE);
    cr_assert_eq(fw_key_generate(FW_ES256, NULL, out, 20, out, sizeof out), FW_ERR_USAGE);
}

Test(key, reads_a_set)
{
    struct fw_key *keys[FW_KEYS_MAX];
    const char text[] = "{\"keys\":[" P256 ",\"kid\":\"one\"}," OKP ",\"kid\":\"two\"}]}";
    cr_assert_eq(fw_keys_read(text, sizeof text - 1, keys), 2);
    cr_assert(fw_bytes_equal(keys[0]->parts.id, fw_bytes_of("one")));
    cr_assert(fw_bytes_equal(keys[1]->parts.id, fw_bytes_of("two")));
    fw_key_destroy(keys[0]);
    fw_key_destroy(keys[1]);
}

Test(key, refuses_a_set_of_more_keys_than_are_looked_through)
{
    struct fw_key *keys[FW_KEYS_MAX];
    char text[16384];
    size_t at = (size_t)sprintf(text, "{\"keys\":[");
    for (unsigned i = 0; i < FW_KEYS_MAX + 1; i++)
        at += (size_t)sprintf(text + at, "%s" OKP "}", i > 0 ? "," : "");
    sprintf(text + at, "]}");
    cr_assert_eq(fw_keys_read(text, strlen(text), keys), FW_ERR_LIMIT);
}

/* What is weak, malformed, for something else, or says two things. */
Test(key, refuses_what_is_no_key)
{
    static const char *const texts[] = {
        "short secret",
        "{}",
        "{",
        "[]",
        "{\"keys\":[]}",
        "{\"keys\":[1]}",
        "{\"keys\":[" OKP "}]} ,",
        "{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}",
        "{\"kty\":\"oct\"}",
        "{\"kty\":\"oct\",\"k\":7}",
        "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr/T\"}",
        "{\"kty\":\"oct\",\"alg\":\"HS512\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_"
        "T\"}",
        "{\"kty\":\"oct\",\"use\":\"enc\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"}",
        P256 ",\"alg\":\"HS256\"}",
        P256 ",\"use\":\"enc\"}",
        P256 ",\"kid\":7}",
        P256 ",\"x\":\"" X "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" X "\",\"y\":\"" Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" X "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"" Y "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" X "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}",
        "{\"kty\":\"RSA\",\"n\":\"" X "\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"e\":\"AQAB\"}",
        "{\"kty\":\"none\"}",
        pem_rsa_1024,
        pem_p384_public,
        "-----BEGIN PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert(key_refused(texts[i]), "%s", texts[i]);
}

Test(key, refuses_nothing_and_too_much)
{
    struct fw_key *keys[FW_KEYS_MAX];
    char *large = malloc(70000);
    memset(large, 'a', 70000);
    cr_assert_eq(fw_keys_read(large, 0, keys), FW_ERR_KEY);
    cr_assert_eq(fw_keys_read(large, 513, keys), FW_ERR_KEY);
    cr_assert_eq(fw_keys_read(large, 70000, keys), FW_ERR_KEY);
    cr_assert_eq(fw_keys_read(large, 512, keys), 1);
    fw_key_destroy(keys[0]);
    free(large);
}

/* "a" * n with an exponent of 1 or an even one verifies anything, or nothing. */
Test(key, refuses_rsa_with_a_foolish_exponent_or_modulus)
{
    static const char *const exponents[] = {"AQ", "Ag", "AAAAAA", "AQAAAAE"};
    char text[1024];
    char modulus[512];
    uint8_t number[256];
    memset(number, 0xff, sizeof number);
    modulus[fw_base64url_encode((struct fw_bytes){number, sizeof number}, modulus)] = '\0';
    for (size_t i = 0; i < 4; i++) {
        sprintf(text, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}", modulus, exponents[i]);
        cr_assert(key_refused(text), "%s", text);
    }
    sprintf(text, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\"}", modulus);
    fw_key_destroy(key_of(text));
    number[255] = 0xfe;
    modulus[fw_base64url_encode((struct fw_bytes){number, sizeof number}, modulus)] = '\0';
    sprintf(text, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\"}", modulus);
    cr_assert(key_refused(text), "an even modulus");
}

Test(key, survives_every_allocation_failing)
{
    static const char text[] = "{\"keys\":[" P256 ",\"kid\":\"one\"}," OKP ",\"kid\":\"two\"}]}";
    struct fw_key *keys[FW_KEYS_MAX];
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        fail_mem_at(k, FAIL_ONCE);
        ssize_t count = fw_keys_read(text, sizeof text - 1, keys);
        failed = fail_mem_off();
        cr_assert_eq(count, failed ? -ENOMEM : 2);
        for (ssize_t i = 0; i < count; i++)
            fw_key_destroy(keys[i]);
    }
}
