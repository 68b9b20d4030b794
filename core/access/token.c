/* token.c: see token.h; making tokens is token_make.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/token.h"
#include "base/base64.h"
#include "base/mem.h"
#include "proto/json.h"

#include <errno.h>
#include <fanwire/status.h>

/* What the parts of a token decode to, together, at most. */
#define DECODED_BYTES_MAX (FW_TOKEN_BYTES_MAX * 3 / 4)
/* Unix times up to here are exact in a double, and far from overflowing with the skew. */
#define TIME_S_MAX 9007199254740992.0

struct parts {
    struct fw_bytes header;
    struct fw_bytes payload;
    struct fw_bytes signature;
    struct fw_bytes input; /* of the signature: header, dot, payload */
};

static bool cut(struct fw_bytes *rest, struct fw_bytes *part_out)
{
    const uint8_t *dot = rest->count == 0 ? NULL : memchr(rest->at, '.', rest->count);
    if (dot == NULL)
        return false;
    *part_out = (struct fw_bytes){rest->at, (size_t)(dot - rest->at)};
    *rest = (struct fw_bytes){dot + 1, rest->count - part_out->count - 1};
    return true;
}

static bool split(struct fw_bytes token, struct parts *parts_out)
{
    struct fw_bytes rest = token;
    if (token.count > FW_TOKEN_BYTES_MAX || !cut(&rest, &parts_out->header) ||
        !cut(&rest, &parts_out->payload))
        return false;
    parts_out->signature = rest;
    parts_out->input = (struct fw_bytes){token.at, token.count - rest.count - 1};
    return parts_out->header.count > 0 && parts_out->payload.count > 0 && rest.count > 0 &&
           memchr(rest.at, '.', rest.count) == NULL;
}

/* Decodes a part and parses it: an object, or an error. */
static int parse_part(struct fw_bytes part, json_t **object_out)
{
    uint8_t decoded[DECODED_BYTES_MAX];
    ssize_t count = fw_base64url_decode(part, decoded, sizeof decoded);
    if (count <= 0)
        return FW_ERR_TOKEN_MALFORMED;
    int result = fw_json_parse((struct fw_bytes){decoded, (size_t)count}, false, object_out);
    return result == FW_ERR_JSON ? FW_ERR_TOKEN_MALFORMED : result;
}

/* ---- the header ------------------------------------------------------------------------------ */

/* The key that `kid` names exactly. Without a kid there is nothing to choose by: a lone key is
 * meant. A lone key that has no id of its own (PEM, a secret) takes every kid. */
static const struct fw_key *choose_key(const struct fw_token_rules *rules, const json_t *header)
{
    struct fw_bytes kid = fw_json_string(header, "kid");
    const struct fw_key *lone = rules->keys_count == 1 ? rules->keys[0] : NULL;
    if (json_object_get(header, "kid") == NULL)
        return lone;
    if (kid.at == NULL)
        return NULL;
    if (lone != NULL && lone->parts.id.count == 0)
        return lone;
    for (size_t i = 0; i < rules->keys_count; i++) {
        if (kid.count > 0 && fw_bytes_equal(rules->keys[i]->parts.id, kid))
            return rules->keys[i];
    }
    return NULL;
}

static bool type_valid(const json_t *header)
{
    if (json_object_get(header, "typ") == NULL)
        return true;
    struct fw_bytes type = fw_json_string(header, "typ");
    return fw_bytes_equal_lower(type, "jwt") || fw_bytes_equal_lower(type, "at+jwt");
}

static int check_header(const struct fw_token_rules *rules, const json_t *header,
                        const struct fw_key **key_out)
{
    static const char *const names[] = {
        [FW_HS256] = "HS256", [FW_RS256] = "RS256", [FW_ES256] = "ES256", [FW_EDDSA] = "EdDSA"};
    struct fw_bytes algorithm = fw_json_string(header, "alg");
    /* We know no extension, so none may be critical (RFC 7515, section 4.1.11). */
    if (json_object_get(header, "crit") != NULL || !type_valid(header) || algorithm.at == NULL)
        return FW_ERR_TOKEN_MALFORMED;
    const struct fw_key *key = choose_key(rules, header);
    if (key == NULL)
        return FW_ERR_TOKEN_KEY;
    if (!fw_bytes_equal(algorithm, fw_bytes_of(names[key->parts.algorithm])))
        return FW_ERR_TOKEN_ALGORITHM;
    *key_out = key;
    return 0;
}

static int check_signature(const struct fw_token_rules *rules, const struct parts *parts)
{
    json_t *header;
    const struct fw_key *key = NULL;
    uint8_t signature[FW_SIGNATURE_BYTES_MAX];
    int result = parse_part(parts->header, &header);
    if (result != 0)
        return result;
    result = check_header(rules, header, &key);
    json_decref(header);
    if (result != 0)
        return result;
    ssize_t count = fw_base64url_decode(parts->signature, signature, sizeof signature);
    if (count < 0)
        return FW_ERR_TOKEN_SIGNATURE;
    return fw_key_verify(key, parts->input, (struct fw_bytes){signature, (size_t)count});
}

/* ---- the claims ------------------------------------------------------------------------------ */

/* A NumericDate (RFC 7519, section 2), cut to whole seconds; false for anything else. */
static bool time_of(const json_t *value, uint64_t *time_out)
{
    if (!json_is_number(value))
        return false;
    double seconds = json_number_value(value);
    if (!(seconds >= 0 && seconds <= TIME_S_MAX)) /* NaN neither */
        return false;
    *time_out = (uint64_t)seconds;
    return true;
}

static int check_times(const struct fw_token_rules *rules, const json_t *claims, uint64_t now_s,
                       uint64_t *expires_s_out)
{
    const json_t *not_before = json_object_get(claims, "nbf");
    uint64_t from_s = 0;
    if (!time_of(json_object_get(claims, "exp"), expires_s_out) ||
        (not_before != NULL && !time_of(not_before, &from_s)))
        return FW_ERR_TOKEN_CLAIM;
    if (now_s >= *expires_s_out + rules->skew_s)
        return FW_ERR_TOKEN_EXPIRED;
    return from_s > now_s + rules->skew_s ? FW_ERR_TOKEN_EARLY : 0;
}

static bool string_is(const json_t *value, struct fw_bytes wanted)
{
    return json_is_string(value) && json_string_length(value) == wanted.count &&
           memcmp(json_string_value(value), wanted.at, wanted.count) == 0;
}

/* `aud` is one string or an array of them. Who has no name is nobody's audience: RFC 7519, section
 * 4.1.3. */
static int check_audience(struct fw_bytes own, const json_t *audience)
{
    if (audience == NULL)
        return own.count == 0 ? 0 : FW_ERR_TOKEN_AUDIENCE;
    if (own.count == 0)
        return FW_ERR_TOKEN_AUDIENCE;
    if (string_is(audience, own))
        return 0;
    for (size_t i = 0; i < json_array_size(audience); i++) {
        if (string_is(json_array_get(audience, i), own))
            return 0;
    }
    return FW_ERR_TOKEN_AUDIENCE;
}

static int check_issuer(struct fw_bytes wanted, const json_t *issuer)
{
    if (wanted.count == 0 || string_is(issuer, wanted))
        return 0;
    return FW_ERR_TOKEN_ISSUER;
}

struct patterns {
    size_t count;
    uint8_t text[FW_PATTERNS_BYTES_MAX];
};

/* Adds one pattern, or a list with spaces, behind a space. */
static bool add_patterns(struct patterns *patterns, const json_t *value)
{
    size_t count = json_string_length(value);
    size_t space = patterns->count > 0 ? 1 : 0;
    if (!json_is_string(value) || count > sizeof patterns->text - patterns->count - space)
        return false;
    if (space)
        patterns->text[patterns->count++] = ' ';
    if (count > 0)
        memcpy(patterns->text + patterns->count, json_string_value(value), count);
    patterns->count += count;
    return true;
}

/* Reads a claim of topic patterns: a string, or an array of strings; absent is none. */
static bool read_patterns(const json_t *claim, struct patterns *patterns, struct fw_bytes *out)
{
    patterns->count = 0;
    if (claim == NULL)
        return true;
    if (json_is_array(claim)) {
        for (size_t i = 0; i < json_array_size(claim); i++) {
            const json_t *one = json_array_get(claim, i);
            if (json_string_length(one) == 0 || !add_patterns(patterns, one))
                return false;
        }
    } else if (!add_patterns(patterns, claim)) {
        return false;
    }
    *out = (struct fw_bytes){patterns->text, patterns->count};
    return fw_patterns_valid(*out);
}

static bool read_name(const json_t *claims, struct fw_bytes *name_out)
{
    if (json_object_get(claims, "sub") == NULL)
        return true;
    *name_out = fw_json_string(claims, "sub");
    return name_out->at != NULL && name_out->count <= FW_PRINCIPAL_NAME_BYTES_MAX;
}

static int make_principal(const json_t *claims, uint64_t expires_s,
                          struct fw_principal **principal_out)
{
    struct patterns subscribe;
    struct patterns publish;
    struct fw_principal principal = {.expires_s = expires_s};
    const json_t *observe = json_object_get(claims, "observe");
    if (!read_name(claims, &principal.name) || (observe != NULL && !json_is_boolean(observe)) ||
        !read_patterns(json_object_get(claims, "subscribe"), &subscribe, &principal.subscribe) ||
        !read_patterns(json_object_get(claims, "publish"), &publish, &principal.publish))
        return FW_ERR_TOKEN_CLAIM;
    principal.observe = json_is_true(observe);
    *principal_out = fw_principal_create(&principal);
    return *principal_out == NULL ? -ENOMEM : 0;
}

static int check_claims(const struct fw_token_rules *rules, const json_t *claims, uint64_t now_s,
                        struct fw_principal **principal_out)
{
    uint64_t expires_s = 0;
    int result = check_times(rules, claims, now_s, &expires_s);
    if (result == 0)
        result = check_audience(rules->audience, json_object_get(claims, "aud"));
    if (result == 0)
        result = check_issuer(rules->issuer, json_object_get(claims, "iss"));
    /* The skew is for clocks that differ, not for a longer life: only who comes late gets some. */
    if (expires_s <= now_s)
        expires_s += rules->skew_s;
    if (result == 0)
        result = make_principal(claims, expires_s, principal_out);
    return result;
}

int fw_token_verify(const struct fw_token_rules *rules, struct fw_bytes token, uint64_t now_s,
                    struct fw_principal **principal_out)
{
    struct parts parts;
    json_t *claims;
    if (!split(token, &parts))
        return FW_ERR_TOKEN_MALFORMED;
    int result = check_signature(rules, &parts);
    if (result == 0)
        result = parse_part(parts.payload, &claims);
    if (result != 0)
        return result;
    result = check_claims(rules, claims, now_s, principal_out);
    json_decref(claims);
    return result;
}
