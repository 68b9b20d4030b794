/* publication.c: see publication.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/publication.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/json.h"

#include <errno.h>
#include <fanwire/status.h>
#include <fanwire/types.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/coding.h>

static bool is_digit(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

/* Whether a text is groups of four, of which the last may be padded (RFC 4648, section 4).
 * wolfSSL's decoder ends at padding, whatever stands behind it. */
static bool is_base64(struct fw_bytes text)
{
    size_t count = text.count;
    while (count > 0 && text.count - count < 2 && text.at[count - 1] == '=')
        count--;
    for (size_t i = 0; i < count; i++) {
        if (!is_digit(text.at[i]))
            return false;
    }
    return text.count % 4 == 0;
}

static int decode_base64(struct fw_bytes text, struct fw_bytes *payload_out, void **block_out)
{
    word32 count = (word32)(text.count / 4 * 3 + 3);
    uint8_t *block = fw_mem_alloc(count);
    if (block == NULL)
        return -ENOMEM;
    *block_out = block;
    if (text.count == 0)
        count = 0;
    else if (!is_base64(text) || Base64_Decode(text.at, (word32)text.count, block, &count) != 0)
        return FW_ERR_COMMAND;
    *payload_out = (struct fw_bytes){block, count};
    return 0;
}

/* A JSON value as it is published: compact. */
static int dump(const json_t *value, struct fw_bytes *payload_out, void **block_out)
{
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    size_t count = json_dumpb(value, NULL, 0, flags);
    uint8_t *block = count == 0 ? NULL : fw_mem_alloc(count);
    if (block == NULL)
        return -ENOMEM;
    *block_out = block;
    json_dumpb(value, (char *)block, count, flags);
    *payload_out = (struct fw_bytes){block, count};
    return 0;
}

static int read_options(const json_t *object, struct fw_publication *publication)
{
    const json_t *key = json_object_get(object, "key");
    const json_t *expires = json_object_get(object, "expires");
    if ((key != NULL && !json_is_string(key)) || (expires != NULL && !json_is_number(expires)))
        return FW_ERR_COMMAND;
    publication->key = fw_json_string(object, "key");
    if (expires == NULL)
        return 0;
    double seconds = json_number_value(expires);
    if (!(seconds > 0) || seconds > FW_HISTORY_AGE_MS_MAX / 1000)
        return FW_ERR_COMMAND;
    publication->lives_ms = seconds < 0.001 ? 1 : (uint32_t)(seconds * 1000);
    return 0;
}

int fw_publication_read(const json_t *object, struct fw_publication *publication_out,
                        void **block_out)
{
    const json_t *json = json_object_get(object, "json");
    struct fw_bytes text = fw_json_string(object, "text");
    struct fw_bytes base64 = fw_json_string(object, "base64");
    *block_out = NULL;
    *publication_out = (struct fw_publication){.payload = text, .type = FW_TEXT};
    if ((json != NULL) + (text.at != NULL) + (base64.at != NULL) != 1)
        return FW_ERR_COMMAND;
    int result = read_options(object, publication_out);
    if (result == 0 && json != NULL)
        result = dump(json, &publication_out->payload, block_out);
    if (result == 0 && base64.at != NULL) {
        publication_out->type = FW_BINARY;
        result = decode_base64(base64, &publication_out->payload, block_out);
    }
    return result;
}
