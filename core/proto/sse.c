/* sse.c: see sse.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/sse.h"

#include <string.h>

static const char field[6] = {'d', 'a', 't', 'a', ':', ' '};

/* The octets of the line that begins at `from`, and where the next one begins; SIZE_MAX when it is
 * the last. */
static size_t line_of(struct fw_bytes payload, size_t from, size_t *next_out)
{
    size_t at = from;
    while (at < payload.count && payload.at[at] != '\n' && payload.at[at] != '\r')
        at++;
    if (at == payload.count)
        *next_out = SIZE_MAX;
    else if (payload.at[at] == '\r' && at + 1 < payload.count && payload.at[at + 1] == '\n')
        *next_out = at + 2;
    else
        *next_out = at + 1;
    return at - from;
}

size_t fw_sse_data_bytes(struct fw_bytes payload)
{
    size_t bytes = 1;
    size_t next;
    for (size_t from = 0; from != SIZE_MAX; from = next)
        bytes += sizeof field + line_of(payload, from, &next) + 1;
    return bytes;
}

size_t fw_sse_data_write(struct fw_bytes payload, uint8_t *out)
{
    uint8_t *at = out;
    size_t next;
    for (size_t from = 0; from != SIZE_MAX; from = next) {
        size_t count = line_of(payload, from, &next);
        memcpy(at, field, sizeof field);
        if (count > 0)
            memcpy(at + sizeof field, payload.at + from, count);
        at += sizeof field + count;
        *at++ = '\n';
    }
    *at++ = '\n';
    return (size_t)(at - out);
}
