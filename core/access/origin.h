/* origin.h: which browser pages may use this server (RFC 6454; RFC 6455, section 10.2).
 *
 * Cross-site WebSocket hijacking needs no cookie jar of ours: a page anywhere may connect to a
 * server on the visitor's own machine. So a request that carries an Origin must come from this
 * server's own origin or from one that was allowed by name. Compared by parsed parts, never by
 * suffix. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_ACCESS_ORIGIN_H
#define FW_ACCESS_ORIGIN_H

#include "base/bytes.h"
#include "proto/http1.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether an origin may use the server.
 *
 * origin       the Origin header's value
 * host         the Host header's value: the same host and port make it same-origin. The scheme is
 * not compared then: TLS may end in a proxy before us, which we cannot see. allowed
 * NULL-terminated, or NULL: exact origins ("https://app.example.com:8443"), any name one or more
 * labels below a domain ("https://" "*.example.com"), or "*" for every origin
 */
bool fw_origin_allowed(struct fw_bytes origin, struct fw_bytes host, const char *const *allowed);

/* The same of a request: its one Origin, against its Host; true when it has none. */
bool fw_origin_allowed_in(const struct fw_http_head *head, const uint8_t *bytes,
                          const char *const *allowed);

/* Whether an entry of an allow-list is well-formed. */
bool fw_origin_pattern_valid(const char *pattern);

/* Whether a request for `host` is meant for a server that only this machine reaches. A page whose
 * own name was made to resolve to 127.0.0.1 is same-origin with us, by Origin and Host alike; only
 * the name in both tells it (DNS rebinding).
 *
 * host         the Host header's value; its port is not compared
 * allowed      NULL-terminated, or NULL: names besides localhost, 127.0.0.0/8 and [::1]; "*." in
 *              front stands for one or more labels, "*" for every name
 */
bool fw_host_allowed(struct fw_bytes host, const char *const *allowed);

/* Whether an entry of that list is well-formed. */
bool fw_host_pattern_valid(const char *pattern);

#endif
