/* http_post.h: one message published by POST, waited for: for scenarios that publish seldom.
 *
 * thread: any
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_HTTP_POST_H
#define FW_BENCH_HTTP_POST_H

#include "target.h"

/* POSTs a body to a URL's path over a connection of its own, and closes that with RST.
 *
 * sent_ns_out  CLOCK_MONOTONIC when the request went out
 * returns      the answer's status; the program ends when there is none
 */
int bench_http_post(const struct bench_url *url, const void *body, size_t body_bytes,
                    uint64_t *sent_ns_out);

#endif
