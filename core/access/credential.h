/* credential.h: where a request shows who sends it.
 *
 * In its Authorization line, a parameter `token`, a subprotocol `bearer.TOKEN`, or a cookie; in one
 * of them. A cookie is looked for last, and counts only from our own pages. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_ACCESS_CREDENTIAL_H
#define FW_ACCESS_CREDENTIAL_H

#include "access/access.h"
#include "base/bytes.h"
#include "proto/http1.h"

#include <stdbool.h>
#include <stdint.h>

struct fw_credential {
    bool is_there;
    bool is_token;         /* else what only the program can read */
    struct fw_bytes token; /* borrowed from the request */
};

/* Finds what a request shows.
 *
 * access          NULL: no policy; a parameter counts then, a cookie does not
 * allow_origins   whose pages may send a cookie besides our own (origin.h)
 * credential_out  of nothing shown: all false
 * errors          FW_ERR_CREDENTIAL_TWICE, FW_ERR_COOKIE_ORIGIN
 * source          RFC 6750, section 2; RFC 6265, section 4.2.1
 */
int fw_credential_find(const struct fw_http_head *head, const uint8_t *bytes,
                       const struct fw_access *access, const char *const *allow_origins,
                       struct fw_credential *credential_out);

#endif
