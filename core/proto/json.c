/* json.c: see json.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/json.h"
#include "base/limits.h"

#include <errno.h>
#include <fanwire/status.h>
#include <string.h>

void fw_json_seed(void)
{
    json_object_seed(0); /* from the kernel; a no-op once it has one */
}

/* Whether no more levels are opened than may be: jansson's parser goes down by calling itself. */
static bool is_shallow(struct fw_bytes text)
{
    unsigned depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.count; i++) {
        uint8_t c = text.at[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '[') && ++depth > FW_JSON_DEPTH_MAX)
            return false;
        else if (!quoted && (c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return true;
}

int fw_json_parse(struct fw_bytes text, bool nul_taken, json_t **object_out)
{
    json_error_t error;
    if (text.count == 0 || !is_shallow(text))
        return FW_ERR_JSON;
    size_t flags = JSON_REJECT_DUPLICATES | (nul_taken ? JSON_ALLOW_NUL : 0);
    json_t *value = json_loadb((const char *)text.at, text.count, flags, &error);
    if (value == NULL)
        return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : FW_ERR_JSON;
    if (!json_is_object(value)) {
        json_decref(value);
        return FW_ERR_JSON;
    }
    *object_out = value;
    return 0;
}

struct fw_bytes fw_json_string(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value))
        return (struct fw_bytes){0};
    return (struct fw_bytes){(const uint8_t *)json_string_value(value), json_string_length(value)};
}

/* What stands for an octet within quotes: itself, or an escape of up to 6. */
static size_t escape(uint8_t c, char out[8])
{
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        return 2;
    }
    if (c >= 0x20) {
        out[0] = (char)c;
        return 1;
    }
    static const char digits[] = "0123456789abcdef";
    memcpy(out, "\\u00", 4);
    out[4] = digits[c >> 4];
    out[5] = digits[c & 15];
    return 6;
}

size_t fw_json_quoted_bytes(struct fw_bytes text)
{
    char ignored[8];
    size_t bytes = 2;
    for (size_t i = 0; i < text.count; i++)
        bytes += escape(text.at[i], ignored);
    return bytes;
}

size_t fw_json_quote(struct fw_bytes text, uint8_t *out)
{
    uint8_t *at = out;
    *at++ = '"';
    for (size_t i = 0; i < text.count; i++) {
        char escaped[8];
        size_t count = escape(text.at[i], escaped);
        memcpy(at, escaped, count);
        at += count;
    }
    *at++ = '"';
    return (size_t)(at - out);
}
