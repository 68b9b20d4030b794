/* principal.h: who a connection is, and which topics it may use.
 *
 * Rights are lists of topic patterns, one text with a space between two: a name, or the beginning
 * of names with an asterisk behind it ("prices.*"; a lone asterisk is every topic). A principal is
 * one block of memory; it belongs to its session. Thread: the owner's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_ACCESS_PRINCIPAL_H
#define FW_ACCESS_PRINCIPAL_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

/* A name, one list of patterns. A token of 8 KiB has room for no more. */
#define FW_PRINCIPAL_NAME_BYTES_MAX 256u
#define FW_PATTERNS_BYTES_MAX       4096u

struct fw_principal {
    uint64_t expires_ms; /* of the session's clock; 0: never */
    uint64_t expires_s;  /* Unix time; 0: never */
    struct fw_bytes name;
    struct fw_bytes subscribe;
    struct fw_bytes publish;
    bool observe; /* may read figures: /metrics, /debug */
    uint8_t text[];
};

/* Whether a text is a list of patterns: separated by single spaces; the empty list is one. */
bool fw_patterns_valid(struct fw_bytes patterns);

/* Whether one of the patterns matches the topic. */
bool fw_patterns_match(struct fw_bytes patterns, struct fw_bytes topic);

/* Makes a principal of copies of what `of` points to; fw_mem_free frees it.
 *
 * returns      NULL when there is no memory
 */
struct fw_principal *fw_principal_create(const struct fw_principal *of);

#endif
