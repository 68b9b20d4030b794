/* slow.h: who is slow at the moment: the connections of a worker that owe more than the soft
 * budget.
 *
 * A connection enters when a message is queued behind too much, and leaves when its queue is empty
 * or it ends. The first FW_SLOW_MAX of a worker are listed, the others counted. Thread: the
 * worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_SLOW_H
#define FW_SESSION_SLOW_H

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fw_session;
struct fw_session_host;
struct fw_subscription;
struct fw_request;

#define FW_SLOW_MAX 32u

/* What is told of one. */
struct fw_slow {
    uint64_t since_ms;
    uint64_t dropped_messages; /* since then */
    uint32_t queued_bytes;     /* as of the report */
    uint8_t subscriptions_count;
    uint8_t transport;                       /* enum fw_transport */
    char topic[FW_TOPIC_NAME_BYTES_MAX + 1]; /* whose message it was */
};

/* A worker's, within its host. */
struct fw_slow_list {
    struct fw_session *sessions[FW_SLOW_MAX];
    struct fw_slow slow[FW_SLOW_MAX];
    uint32_t count; /* listed */
    uint32_t all;   /* listed or not */
    bool changed;   /* somebody came or went since the last report */
};

/* A worker's list, as others may read it. */
struct fw_slow_report {
    struct fw_slow slow[FW_SLOW_MAX];
    uint32_t count;
    uint32_t all;
};

/* The session owes too much: it is slow, if it was not. */
void fw_slow_enter(struct fw_session *session, const struct fw_subscription *subscription);

/* It is not slow any more, if it was. */
void fw_slow_leave(struct fw_session *session);

/* Messages of it were dropped. */
void fw_slow_dropped(struct fw_session *session, uint32_t messages_count);

/* Writes the list as it is now. */
void fw_slow_report(struct fw_session_host *host, struct fw_slow_report *report_out);

/* Answers GET /debug/slow. */
void fw_slow_answer(struct fw_request *request);

#endif
