/* test_token.c: tokens that are good, and what each claim decides (core/access/token.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "support/fail_mem.h"
#include "unit/core/access/token_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HS256 "{\"alg\":\"HS256\"}"
#define EXP   "\"exp\":1700003600"

static struct fw_key *key;
static struct fw_token_rules rules;

static void begin(void)
{
    key = key_of(TEXT_SECRET);
    rules = (struct fw_token_rules){.keys = &key, .keys_count = 1};
}

static void end(void)
{
    fw_key_destroy(key);
}

TestSuite(token, .init = begin, .fini = end, .timeout = 60);

static int verify(const char *token, struct fw_principal **principal)
{
    *principal = NULL;
    return fw_token_verify(&rules, fw_bytes_of(token), TOKEN_NOW_S, principal);
}

/* What a token with these claims comes to. */
static int result_of(const char *claims)
{
    struct fw_principal *principal;
    int result = verify(token_of(key, HS256, claims), &principal);
    cr_assert_eq(result == 0, principal != NULL);
    fw_mem_free(principal);
    return result;
}

static void check_alice(const char *key_text, const char *token)
{
    struct fw_key *foreign = key_of(key_text);
    struct fw_principal *principal;
    rules.keys = &foreign;
    cr_assert_eq(verify(token, &principal), 0);
    cr_assert(fw_bytes_equal(principal->name, fw_bytes_of("alice")));
    cr_assert(fw_bytes_equal(principal->subscribe, fw_bytes_of("prices.* news")));
    cr_assert(fw_bytes_equal(principal->publish, fw_bytes_of("chat")));
    cr_assert_eq(principal->expires_s, 1700003600u);
    cr_assert_not(principal->observe);
    fw_mem_free(principal);
    fw_key_destroy(foreign);
}

Test(token, of_another_library_is_understood)
{
    check_alice(pem_rsa_public, foreign_rs256);
    check_alice(pem_p256_public, foreign_es256);
    check_alice(pem_ed25519_public, foreign_eddsa);
}

Test(token, that_is_made_is_understood)
{
    static const char *const keys[] = {TEXT_SECRET, pem_rsa_private, pem_p256_private,
                                       pem_ed25519_private, JWK_RFC_HS256};
    struct fw_token_claims claims = FW_TOKEN_CLAIMS;
    char token[FW_TOKEN_BYTES_MAX + 1];
    claims.subject = "alice";
    claims.subscribe = "prices.* news";
    claims.publish = "chat";
    claims.expires_s = 1700003600;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct fw_key *maker = key_of(keys[i]);
        ssize_t count = fw_token_make(maker, &claims, token);
        cr_assert_eq(count, (ssize_t)strlen(token));
        check_alice(keys[i], token);
        fw_key_destroy(maker);
    }
}

Test(token, carries_every_claim_that_is_made)
{
    struct fw_token_claims claims = FW_TOKEN_CLAIMS;
    struct fw_principal *principal;
    char token[FW_TOKEN_BYTES_MAX + 1];
    claims.audience = "feed";
    claims.issuer = "me";
    claims.not_before_s = TOKEN_NOW_S - 5;
    claims.expires_s = TOKEN_NOW_S + 5;
    claims.observe = true;
    cr_assert_gt(fw_token_make(key, &claims, token), 0);
    rules.audience = fw_bytes_of("feed");
    rules.issuer = fw_bytes_of("me");
    cr_assert_eq(verify(token, &principal), 0);
    cr_assert(principal->observe);
    cr_assert_eq(principal->name.count + principal->subscribe.count + principal->publish.count, 0u);
    fw_mem_free(principal);
    claims.not_before_s = TOKEN_NOW_S + 5;
    cr_assert_gt(fw_token_make(key, &claims, token), 0);
    cr_assert_eq(verify(token, &principal), FW_ERR_TOKEN_EARLY);
}

Test(token, is_not_made_of_what_would_be_refused)
{
    char token[FW_TOKEN_BYTES_MAX + 1];
    char long_text[5000];
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    const struct fw_token_claims good = {.size = sizeof good, .expires_s = 1};
    struct fw_token_claims rows[8];
    for (size_t i = 0; i < 8; i++)
        rows[i] = good;
    rows[0].size = 1;
    rows[1].expires_s = 0;
    rows[2].subject = "not utf-8: \xff";
    rows[3].subject = long_text;
    rows[4].subscribe = "a**";
    rows[5].publish = "a  b";
    rows[6].subscribe = long_text;
    rows[7].expires_s = UINT64_MAX;
    cr_assert_gt(fw_token_make(key, &good, token), 0);
    for (size_t i = 0; i < 8; i++)
        cr_assert_eq(fw_token_make(key, &rows[i], token), FW_ERR_USAGE, "row %zu", i);
}

Test(token, is_not_made_larger_than_it_may_be)
{
    char token[FW_TOKEN_BYTES_MAX + 1];
    char patterns[FW_PATTERNS_BYTES_MAX + 1];
    struct fw_token_claims claims = FW_TOKEN_CLAIMS;
    for (size_t i = 0; i < sizeof patterns - 1; i++)
        patterns[i] = i % 16 == 15 ? ' ' : 'a';
    patterns[sizeof patterns - 2] = 'a';
    patterns[sizeof patterns - 1] = '\0';
    claims.expires_s = 1;
    claims.subscribe = patterns;
    cr_assert_gt(fw_token_make(key, &claims, token), 0);
    claims.publish = patterns;
    cr_assert_eq(fw_token_make(key, &claims, token), FW_ERR_USAGE);
}

/* RFC 7519, section 4.1. */
Test(token, is_judged_by_its_claims)
{
    static const struct {
        const char *claims;
        int result;
    } rows[] = {
        {"{" EXP "}", 0},
        {"{\"exp\":1700000001}", 0},
        {"{\"exp\":1700000001.5}", 0},
        {"{\"exp\":1700000000}", FW_ERR_TOKEN_EXPIRED},
        {"{\"exp\":1699999999}", FW_ERR_TOKEN_EXPIRED},
        {"{\"exp\":0}", FW_ERR_TOKEN_EXPIRED},
        {"{\"exp\":9007199254740992}", 0},
        {"{}", FW_ERR_TOKEN_CLAIM},
        {"{\"exp\":\"1700003600\"}", FW_ERR_TOKEN_CLAIM},
        {"{\"exp\":null}", FW_ERR_TOKEN_CLAIM},
        {"{\"exp\":true}", FW_ERR_TOKEN_CLAIM},
        {"{\"exp\":[1700003600]}", FW_ERR_TOKEN_CLAIM},
        {"{\"exp\":-1}", FW_ERR_TOKEN_CLAIM},
        {"{\"exp\":1e300}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"nbf\":1700000000}", 0},
        {"{" EXP ",\"nbf\":1700000001}", FW_ERR_TOKEN_EARLY},
        {"{" EXP ",\"nbf\":\"0\"}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"aud\":\"feed\"}", FW_ERR_TOKEN_AUDIENCE},
        {"{" EXP ",\"iss\":\"anyone\"}", 0},
        {"{" EXP ",\"sub\":7}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"subscribe\":\"*\"}", 0},
        {"{" EXP ",\"subscribe\":\"\"}", 0},
        {"{" EXP ",\"subscribe\":[]}", 0},
        {"{" EXP ",\"subscribe\":[\"a\",\"b.*\"]}", 0},
        {"{" EXP ",\"subscribe\":\"a b.*\"}", 0},
        {"{" EXP ",\"subscribe\":[\"\"]}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"subscribe\":[1]}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"subscribe\":{}}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"subscribe\":true}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"subscribe\":\"a*b\"}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"subscribe\":\"a  b\"}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"publish\":\" a\"}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"publish\":\"a \"}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"publish\":\"a/b\"}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"publish\":[\"a,b\"]}", FW_ERR_TOKEN_CLAIM},
        {"{" EXP ",\"observe\":true}", 0},
        {"{" EXP ",\"observe\":\"true\"}", FW_ERR_TOKEN_CLAIM},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_eq(result_of(rows[i].claims), rows[i].result, "%s: %s", rows[i].claims,
                     fw_status_name(result_of(rows[i].claims)));
}

Test(token, may_be_late_or_early_by_the_skew_and_no_more)
{
    rules.skew_s = 60;
    cr_assert_eq(result_of("{\"exp\":1699999941}"), 0);
    cr_assert_eq(result_of("{\"exp\":1699999940}"), FW_ERR_TOKEN_EXPIRED);
    cr_assert_eq(result_of("{" EXP ",\"nbf\":1700000060}"), 0);
    cr_assert_eq(result_of("{" EXP ",\"nbf\":1700000061}"), FW_ERR_TOKEN_EARLY);
}

Test(token, must_be_for_us_and_from_our_issuer_when_we_have_names)
{
    static const struct {
        const char *claims;
        int result;
    } rows[] = {
        {"{" EXP ",\"aud\":\"feed\",\"iss\":\"me\"}", 0},
        {"{" EXP ",\"aud\":[\"other\",\"feed\"],\"iss\":\"me\"}", 0},
        {"{" EXP ",\"iss\":\"me\"}", FW_ERR_TOKEN_AUDIENCE},
        {"{" EXP ",\"aud\":\"FEED\",\"iss\":\"me\"}", FW_ERR_TOKEN_AUDIENCE},
        {"{" EXP ",\"aud\":\"feed2\",\"iss\":\"me\"}", FW_ERR_TOKEN_AUDIENCE},
        {"{" EXP ",\"aud\":\"fee\",\"iss\":\"me\"}", FW_ERR_TOKEN_AUDIENCE},
        {"{" EXP ",\"aud\":[],\"iss\":\"me\"}", FW_ERR_TOKEN_AUDIENCE},
        {"{" EXP ",\"aud\":[[\"feed\"]],\"iss\":\"me\"}", FW_ERR_TOKEN_AUDIENCE},
        {"{" EXP ",\"aud\":{\"feed\":1},\"iss\":\"me\"}", FW_ERR_TOKEN_AUDIENCE},
        {"{" EXP ",\"aud\":\"feed\"}", FW_ERR_TOKEN_ISSUER},
        {"{" EXP ",\"aud\":\"feed\",\"iss\":\"you\"}", FW_ERR_TOKEN_ISSUER},
        {"{" EXP ",\"aud\":\"feed\",\"iss\":[\"me\"]}", FW_ERR_TOKEN_ISSUER},
    };
    rules.audience = fw_bytes_of("feed");
    rules.issuer = fw_bytes_of("me");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_eq(result_of(rows[i].claims), rows[i].result, "%s", rows[i].claims);
}

Test(token, finds_its_key_by_its_exact_id)
{
    struct fw_key *keys[3];
    char ed25519[512];
    char public[512];
    cr_assert_eq(fw_key_generate(FW_EDDSA, "b", ed25519, sizeof ed25519, public, sizeof public), 0);
    keys[0] = key_of("{\"kty\":\"oct\",\"kid\":\"a\",\"k\":"
                     "\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"}");
    keys[1] = key_of(ed25519);
    keys[2] = key_of(TEXT_SECRET);
    rules.keys = keys;
    rules.keys_count = 3;
    static const struct {
        unsigned key;
        const char *header;
        int result;
    } rows[] = {
        {0, "{\"alg\":\"HS256\",\"kid\":\"a\"}", 0},
        {1, "{\"alg\":\"EdDSA\",\"kid\":\"b\"}", 0},
        {0, "{\"alg\":\"HS256\",\"kid\":\"A\"}", FW_ERR_TOKEN_KEY},
        {0, "{\"alg\":\"HS256\",\"kid\":\"a \"}", FW_ERR_TOKEN_KEY},
        {0, "{\"alg\":\"HS256\"}", FW_ERR_TOKEN_KEY},
        {2, "{\"alg\":\"HS256\"}", FW_ERR_TOKEN_KEY},
        {2, "{\"alg\":\"HS256\",\"kid\":\"\"}", FW_ERR_TOKEN_KEY},
        {0, "{\"alg\":\"HS256\",\"kid\":\"b\"}", FW_ERR_TOKEN_ALGORITHM},
        {2, "{\"alg\":\"HS256\",\"kid\":\"a\"}", FW_ERR_TOKEN_SIGNATURE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fw_principal *principal;
        const char *token = token_of(keys[rows[i].key], rows[i].header, "{" EXP "}");
        cr_assert_eq(verify(token, &principal), rows[i].result, "row %zu", i);
        fw_mem_free(principal);
    }
    for (size_t i = 0; i < 3; i++)
        fw_key_destroy(keys[i]);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static unsigned json_fails_at;
static unsigned json_count;

static void *failing_json_malloc(size_t bytes)
{
    return ++json_count == json_fails_at ? NULL : malloc(bytes);
}

Test(token, survives_every_allocation_failing)
{
    const char *token = token_of(key, HS256, "{" EXP ",\"sub\":\"a\",\"subscribe\":[\"a\",\"b\"]}");
    struct fw_principal *principal;
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        fail_mem_at(k, FAIL_ONCE);
        int result = verify(token, &principal);
        failed = fail_mem_off();
        cr_assert_eq(result, failed ? -ENOMEM : 0);
        fw_mem_free(principal);
    }
    json_set_alloc_funcs(failing_json_malloc, free);
    failed = true;
    for (unsigned k = 1; failed; k++) {
        json_fails_at = k;
        json_count = 0;
        int result = verify(token, &principal);
        failed = json_count >= k;
        cr_assert(failed ? result == -ENOMEM || result == FW_ERR_TOKEN_MALFORMED : result == 0,
                  "allocation %u of jansson's: %s", k, fw_status_name(result));
        fw_mem_free(principal);
    }
    json_set_alloc_funcs(malloc, free);
}
