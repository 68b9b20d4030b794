/* bytes.h: a borrowed piece of memory and the few things done with one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BASE_BYTES_H
#define FW_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fw_bytes {
    const uint8_t *at;
    size_t count;
};

/* The characters of a string, without its terminator. */
static inline struct fw_bytes fw_bytes_of(const char *string)
{
    return (struct fw_bytes){(const uint8_t *)string, strlen(string)};
}

static inline bool fw_bytes_equal(struct fw_bytes a, struct fw_bytes b)
{
    return a.count == b.count && (a.count == 0 || memcmp(a.at, b.at, a.count) == 0);
}

static inline uint8_t fw_ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Compares without regard to ASCII case. */
static inline bool fw_bytes_equal_any_case(struct fw_bytes a, struct fw_bytes b)
{
    size_t i = 0;
    while (i < a.count && i < b.count && fw_ascii_lower(a.at[i]) == fw_ascii_lower(b.at[i]))
        i++;
    return i == a.count && i == b.count;
}

/* The same with a string that is lower case already. */
static inline bool fw_bytes_equal_lower(struct fw_bytes a, const char *lower)
{
    size_t i = 0;
    for (; i < a.count && lower[i] != '\0'; i++) {
        if (fw_ascii_lower(a.at[i]) != (uint8_t)lower[i])
            return false;
    }
    return i == a.count && lower[i] == '\0';
}

#endif
