/* fuzz_jwt.c: libFuzzer target of tokens and keys (RFC 7515, 7517, 7519).
 *
 * The input is a token, and a key file. As a token it is held against one key of each algorithm as
 * it is; and again with its last part replaced by a good signature of the first two, so that header
 * and claims are reached. The oracle: what is accepted has patterns that are valid and has not
 * expired; without a secret nothing of the input is accepted; a key that can be read can be used.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/target.h"
#include "access/token.h"
#include "base/base64.h"
#include "base/mem.h"

#include <fanwire/status.h>

#define NOW_S 1700000000u

static struct fw_key *signer(void)
{
    static struct fw_key *key;
    static const char text[] = "{\"kty\":\"oct\",\"kid\":\"k\",\"k\":"
                               "\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"}";
    if (key == NULL)
        require(fw_keys_read(text, sizeof text - 1, &key) == 1, "the key");
    return key;
}

static void check_token(struct fw_bytes token, bool is_signed)
{
    struct fw_key *key = signer();
    const struct fw_token_rules rules = {.keys = &key, .keys_count = 1, .skew_s = 60};
    struct fw_principal *principal = NULL;
    int result = fw_token_verify(&rules, token, NOW_S, &principal);
    if (result != 0) {
        require(fw_status_answer(result) == 401, "a refusal is a 401");
        return;
    }
    require(is_signed, "nothing is accepted that we did not sign");
    require(fw_patterns_valid(principal->subscribe), "patterns to subscribe to");
    require(fw_patterns_valid(principal->publish), "patterns to publish to");
    require(principal->expires_s > NOW_S, "it has not expired");
    fw_mem_free(principal);
}

/* HEADER\nCLAIMS, encoded and signed. */
static void check_claims(const uint8_t *data, size_t size)
{
    char token[4 * FW_TOKEN_BYTES_MAX];
    uint8_t signature[FW_SIGNATURE_BYTES_MAX];
    const uint8_t *line = memchr(data, '\n', size);
    if (line == NULL || size > FW_TOKEN_BYTES_MAX)
        return;
    size_t header = (size_t)(line - data);
    size_t at = fw_base64url_encode((struct fw_bytes){data, header}, token);
    token[at++] = '.';
    at += fw_base64url_encode((struct fw_bytes){line + 1, size - header - 1}, token + at);
    ssize_t count = fw_key_sign(signer(), (struct fw_bytes){(uint8_t *)token, at}, signature);
    require(count == 32, "a signature");
    token[at++] = '.';
    at += fw_base64url_encode((struct fw_bytes){signature, (size_t)count}, token + at);
    check_token((struct fw_bytes){(uint8_t *)token, at}, true);
}

static void check_keys(const uint8_t *data, size_t size)
{
    struct fw_key *keys[FW_KEYS_MAX];
    ssize_t count = fw_keys_read(data, size, keys);
    require(count > 0 || count == FW_ERR_KEY || count == FW_ERR_LIMIT, "what reading keys says");
    for (ssize_t i = 0; i < count; i++) {
        uint8_t nothing[64] = {0};
        require(fw_key_verify(keys[i], fw_bytes_of("x"), (struct fw_bytes){nothing, 64}) ==
                    FW_ERR_TOKEN_SIGNATURE,
                "zeros are no signature");
        fw_key_destroy(keys[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_token((struct fw_bytes){data, size}, false);
    check_claims(data, size);
    check_keys(data, size);
    return 0;
}
