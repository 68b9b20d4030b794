/* http_post.h: messages published by POST, one at a time, each waited for; and small GETs.
 *
 * For scenarios that publish seldom: the main thread does it, over a connection of its own.
 *
 * thread: main
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_HTTP_POST_H
#define FW_BENCH_HTTP_POST_H

#include "target.h"

#include <stdbool.h>

struct fw_tls;

struct bench_poster {
    const struct bench_url *url; /* borrowed */
    const char *content_type;
    int fd;             /* -1: none is open */
    struct fw_tls *tls; /* NULL: plain */
};

/* Makes a poster; opens nothing yet. Close ends the connection with RST. */
void bench_poster_init(struct bench_poster *poster, const struct bench_url *url, bool text);
void bench_poster_close(struct bench_poster *poster);

/* POSTs a body to the URL's path.
 *
 * returns      the answer's status; the program ends when there is none
 */
int bench_poster_post(struct bench_poster *poster, const void *body, size_t body_bytes);

/* GETs a path of the URL's host.
 *
 * text_out     the body and a 0; the program ends when it does not fit into `room`
 * returns      the answer's status; the program ends when there is none
 */
int bench_poster_get(struct bench_poster *poster, const char *path, char *text_out, size_t room);

#endif
