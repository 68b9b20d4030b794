/* http1_lookup.c: what is asked of a parsed head: headers by name, lists, the query string.
 *
 * Parsing is http1.c's. Every function is one walk over what http1.h bounds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/http1.h"

#include "base/check.h"
#include "fanwire/status.h"

#include <string.h>

int fw_http_find(const struct fw_http_head *head, const uint8_t *in, const char *name, int from,
                 struct fw_bytes *value_out)
{
    fw_assert(from >= 0);
    size_t name_chars = strlen(name);
    for (int i = from; i < head->headers_count; i++) {
        const struct fw_http_header *header = &head->headers[i];
        if (header->name.count != name_chars ||
            !fw_bytes_equal_lower(fw_http_bytes(in, header->name), name))
            continue;
        *value_out = fw_http_bytes(in, header->value);
        return i;
    }
    return -1;
}

bool fw_http_list_has(const struct fw_http_head *head, const uint8_t *in, const char *name,
                      const char *token)
{
    struct fw_bytes value;
    int at = -1;
    while ((at = fw_http_find(head, in, name, at + 1, &value)) >= 0) {
        struct fw_bytes element;
        while (fw_http_list_next(&value, &element)) {
            if (fw_bytes_equal_lower(element, token))
                return true;
        }
    }
    return false;
}

bool fw_http_query_find(struct fw_bytes query, const char *name, struct fw_bytes *value_out)
{
    struct fw_bytes wanted = fw_bytes_of(name);
    while (query.count > 0) {
        const uint8_t *ampersand = memchr(query.at, '&', query.count);
        size_t count = ampersand == NULL ? query.count : (size_t)(ampersand - query.at);
        const uint8_t *equals = memchr(query.at, '=', count);
        size_t name_count = equals == NULL ? count : (size_t)(equals - query.at);
        if (fw_bytes_equal((struct fw_bytes){query.at, name_count}, wanted)) {
            size_t skipped = equals == NULL ? count : name_count + 1;
            *value_out = (struct fw_bytes){query.at + skipped, count - skipped};
            return true;
        }
        size_t taken = ampersand == NULL ? count : count + 1;
        query.at += taken;
        query.count -= taken;
    }
    return false;
}

/* The value of a hexadecimal digit, or -1. */
static int hex_value(uint8_t c)
{
    uint8_t lower = fw_ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

ssize_t fw_http_percent_decode(struct fw_bytes in, uint8_t *out)
{
    size_t written = 0;
    for (size_t i = 0; i < in.count; i++) {
        uint8_t octet = in.at[i];
        if (octet == '%') {
            int high = in.count - i > 2 ? hex_value(in.at[i + 1]) : -1;
            int low = in.count - i > 2 ? hex_value(in.at[i + 2]) : -1;
            if (high < 0 || low < 0 || (high | low) == 0)
                return FW_ERR_HTTP_TARGET;
            octet = (uint8_t)(high << 4 | low);
            i += 2;
        }
        out[written++] = octet;
    }
    return (ssize_t)written;
}
