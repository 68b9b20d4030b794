/* since.h: where a request wants to begin: "?since=EPOCH:OFFSET", "first" or "now", "?last=N", or
 * the Last-Event-ID of a browser that comes back.
 *
 * A position is what a topic's subscriber has reached: the topic's epoch in hexadecimal digits, a
 * colon, the offset of the last message that it has, in decimal ones. Several topics have several
 * positions, in the order in which their names stand in the path, separated by commas; "first",
 * "now" and last=N are for all of them. Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_SINCE_H
#define FW_SESSION_SINCE_H

#include "base/bytes.h"
#include "hub/topic.h"
#include "proto/http1.h"

#include <stdbool.h>
#include <stddef.h>

struct fw_request;
struct fw_session;

/* "ffffffffffffffff:18446744073709551615", and what separates it from the next. */
#define FW_POSITION_CHARS_MAX (16 + 1 + 20 + 1)

/* Reads one position, "first" or "now". errors: FW_ERR_POSITION. */
int fw_since_parse(struct fw_bytes text, struct fw_since *since_out);

/* What a request says of all of its topics. */
struct fw_since_list {
    struct fw_bytes rest; /* positions not handed out yet */
    struct fw_since all;
    bool each; /* there is a position for each topic */
    char text[FW_HTTP_LINE_BYTES_MAX];
};

/* Reads it. Last-Event-ID is stronger than since (a browser that comes back repeats the URL with
 * which it began), since than last; without any it is now.
 *
 * errors       FW_ERR_POSITION
 */
int fw_since_begin(struct fw_since_list *list, const struct fw_request *request);

/* What it says of the next topic. errors: FW_ERR_POSITION when there are too few. */
int fw_since_next(struct fw_since_list *list, struct fw_since *since_out);

/* Whether every position was handed out. */
bool fw_since_done(const struct fw_since_list *list);

/* Writes the positions that the subscriptions of a session have reached, separated by commas; each
 * is kept (hub.h: `next`).
 *
 * out          room for FW_POSITION_CHARS_MAX for each subscription
 * returns      characters written; no terminator
 */
size_t fw_session_positions(const struct fw_session *session, char *out);

#endif
