/* token_rig.c: see token_rig.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/core/access/token_rig.h"
#include "base/base64.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <string.h>

/* Some tokens of the tests are meant to be too large. */
#define TOKEN_ROOM (4 * FW_TOKEN_BYTES_MAX)

struct fw_key *key_of(const char *text)
{
    struct fw_key *keys[FW_KEYS_MAX];
    ssize_t count = fw_keys_read(text, strlen(text), keys);
    cr_assert_eq(count, 1, "%zd: %s", count, text);
    return keys[0];
}

bool key_refused(const char *text)
{
    struct fw_key *keys[FW_KEYS_MAX];
    return fw_keys_read(text, strlen(text), keys) == FW_ERR_KEY;
}

static char *next_room(void)
{
    static char rooms[4][TOKEN_ROOM];
    static unsigned next;
    return rooms[next++ % 4];
}

static char *put_encoded(char *at, const void *bytes, size_t count)
{
    return at + fw_base64url_encode((struct fw_bytes){bytes, count}, at);
}

static char *put_input(char *at, const char *header, const char *payload)
{
    at = put_encoded(at, header, strlen(header));
    *at++ = '.';
    return put_encoded(at, payload, strlen(payload));
}

const char *token_of(const struct fw_key *key, const char *header, const char *payload)
{
    uint8_t signature[FW_SIGNATURE_BYTES_MAX];
    char *token = next_room();
    char *at = put_input(token, header, payload);
    struct fw_bytes input = {(const uint8_t *)token, (size_t)(at - token)};
    ssize_t count = fw_key_sign(key, input, signature);
    cr_assert_gt(count, 0, "signing: %zd", count);
    *at++ = '.';
    at = put_encoded(at, signature, (size_t)count);
    *at = '\0';
    return token;
}

const char *token_with(const char *header, const char *payload, const void *signature,
                       size_t signature_bytes)
{
    char *token = next_room();
    char *at = put_input(token, header, payload);
    *at++ = '.';
    at = put_encoded(at, signature, signature_bytes);
    *at = '\0';
    return token;
}
