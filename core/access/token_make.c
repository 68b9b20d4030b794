/* token_make.c: making tokens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/key.h"
#include "access/principal.h"
#include "base/base64.h"
#include "base/mem.h"
#include "proto/json.h"

#include <errno.h>
#include <fanwire/status.h>
#include <stdlib.h>
#include <string.h>

/* What a header may be as text, with the longest `kid` written in escapes. */
#define HEADER_BYTES_MAX  (FW_KEY_ID_BYTES_MAX * 6 + 64)
#define PAYLOAD_BYTES_MAX (FW_TOKEN_BYTES_MAX * 3 / 4)

/* Sets a member, which takes the value over; false when there is no memory, or the value is not. */
static bool set(json_t *object, const char *name, json_t *value)
{
    return value != NULL && json_object_set_new(object, name, value) == 0;
}

static json_t *make_header(const struct fw_key *key)
{
    static const char *const names[] = {
        [FW_HS256] = "HS256", [FW_RS256] = "RS256", [FW_ES256] = "ES256", [FW_EDDSA] = "EdDSA"};
    struct fw_bytes id = key->parts.id;
    json_t *header = json_object();
    bool good = header != NULL && set(header, "alg", json_string(names[key->parts.algorithm])) &&
                set(header, "typ", json_string("JWT"));
    if (good && id.count > 0)
        good = set(header, "kid", json_stringn((const char *)id.at, id.count));
    if (good)
        return header;
    json_decref(header);
    return NULL;
}

static bool set_text(json_t *claims, const char *name, const char *text)
{
    return text == NULL || set(claims, name, json_string(text));
}

/* "a.* b" as ["a.*","b"]. */
static bool set_patterns(json_t *claims, const char *name, const char *patterns)
{
    if (patterns == NULL)
        return true;
    json_t *list = json_array();
    if (!set(claims, name, list))
        return false;
    while (*patterns != '\0') {
        size_t count = strcspn(patterns, " ");
        if (json_array_append_new(list, json_stringn(patterns, count)) != 0)
            return false;
        patterns += count;
        patterns += *patterns == ' ';
    }
    return true;
}

static bool set_time(json_t *claims, const char *name, uint64_t time_s)
{
    return time_s == 0 || set(claims, name, json_integer((json_int_t)time_s));
}

static json_t *make_payload(const struct fw_token_claims *from)
{
    json_t *claims = json_object();
    if (claims != NULL && set_text(claims, "sub", from->subject) &&
        set_text(claims, "iss", from->issuer) && set_text(claims, "aud", from->audience) &&
        set_time(claims, "exp", from->expires_s) && set_time(claims, "nbf", from->not_before_s) &&
        set_patterns(claims, "subscribe", from->subscribe) &&
        set_patterns(claims, "publish", from->publish) &&
        (!from->observe || set(claims, "observe", json_true())))
        return claims;
    json_decref(claims);
    return NULL;
}

/* Writes an object as base64url; the characters, or an error. */
static ssize_t write_part(const json_t *object, size_t bytes_max, char *out)
{
    char text[PAYLOAD_BYTES_MAX];
    size_t count = json_dumpb(object, text, sizeof text, JSON_COMPACT);
    if (count == 0)
        return -ENOMEM;
    if (count > bytes_max)
        return FW_ERR_USAGE;
    return (ssize_t)fw_base64url_encode((struct fw_bytes){(const uint8_t *)text, count}, out);
}

/* A text's absence is fine; else it must fit, and be UTF-8, which jansson tells by refusing it. */
static bool text_valid(const char *text, size_t bytes_max)
{
    if (text == NULL)
        return true;
    json_t *string = json_string(text);
    json_decref(string);
    return string != NULL && strlen(text) <= bytes_max;
}

static bool patterns_valid(const char *patterns)
{
    return patterns == NULL || fw_patterns_valid(fw_bytes_of(patterns));
}

static bool claims_valid(const struct fw_token_claims *claims)
{
    return claims->expires_s > 0 && claims->expires_s <= INT64_MAX &&
           claims->not_before_s <= INT64_MAX &&
           text_valid(claims->subject, FW_PRINCIPAL_NAME_BYTES_MAX) &&
           text_valid(claims->audience, FW_PRINCIPAL_NAME_BYTES_MAX) &&
           text_valid(claims->issuer, FW_PRINCIPAL_NAME_BYTES_MAX) &&
           patterns_valid(claims->subscribe) && patterns_valid(claims->publish);
}

/* Writes "HEADER.PAYLOAD"; the characters, or an error. */
static ssize_t write_input(const struct fw_key *key, const struct fw_token_claims *claims,
                           char *out)
{
    json_t *header = make_header(key);
    json_t *payload = make_payload(claims);
    ssize_t total = -ENOMEM;
    if (header != NULL && payload != NULL)
        total = write_part(header, HEADER_BYTES_MAX, out);
    if (total > 0) {
        size_t signature_chars = FW_BASE64URL_CHARS(FW_SIGNATURE_BYTES_MAX) + 2;
        size_t room = (size_t)FW_TOKEN_BYTES_MAX - (size_t)total - signature_chars;
        out[total] = '.';
        ssize_t count = write_part(payload, room * 3 / 4, out + total + 1);
        total = count < 0 ? count : total + 1 + count;
    }
    json_decref(header);
    json_decref(payload);
    return total;
}

ssize_t fw_token_make(const fw_key *key, const struct fw_token_claims *claims, char *token_out)
{
    uint8_t signature[FW_SIGNATURE_BYTES_MAX];
    if (claims->size != sizeof *claims || !claims_valid(claims))
        return FW_ERR_USAGE;
    ssize_t total = write_input(key, claims, token_out);
    if (total < 0)
        return total;
    struct fw_bytes input = {(const uint8_t *)token_out, (size_t)total};
    ssize_t count = fw_key_sign(key, input, signature);
    if (count < 0)
        return count;
    token_out[total++] = '.';
    total += (ssize_t)fw_base64url_encode((struct fw_bytes){signature, (size_t)count},
                                          token_out + total);
    token_out[total] = '\0';
    return total;
}
