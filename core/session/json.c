/* json.c: see json.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/json.h"

#include <errno.h>

/* Whether brackets outside of strings nest at most FW_JSON_DEPTH_MAX deep; whether they match is
 * for the parser to say. */
static bool is_shallow(struct fw_bytes text)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.count; i++) {
        uint8_t c = text.at[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > FW_JSON_DEPTH_MAX)
                return false;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

int fw_json_object(struct fw_bytes text, json_t **object_out)
{
    json_error_t error;
    if (!is_shallow(text))
        return -EINVAL;
    json_t *parsed = json_loadb((const char *)text.at, text.count, JSON_REJECT_DUPLICATES, &error);
    if (parsed == NULL)
        return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
    if (!json_is_object(parsed)) {
        json_decref(parsed);
        return -EINVAL;
    }
    *object_out = parsed;
    return 0;
}

bool fw_json_string(const json_t *object, const char *name, struct fw_bytes *value_out)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value))
        return false;
    *value_out =
        (struct fw_bytes){(const uint8_t *)json_string_value(value), json_string_length(value)};
    return true;
}
