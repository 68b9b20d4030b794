/* topic_name.c: see topic_name.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/topic_name.h"
#include "base/limits.h"

static bool name_character(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
}

bool fw_topic_name_valid(struct fw_bytes name)
{
    if (name.count == 0 || name.count > FW_TOPIC_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.count; i++) {
        if (!name_character(name.at[i]))
            return false;
    }
    return true;
}
