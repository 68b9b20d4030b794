/* feed.h: the resources of the feed server: /topics/NAME, /publish, /debug, /healthz, /readyz.
 *
 * What each request means is in the manual (fanwire(1)); the answers are JSON or one plain
 * sentence. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_FEED_H
#define FW_SESSION_FEED_H

#include "base/limits.h"
#include "hub/topic.h"
#include "session/request.h"

#include <stdbool.h>

/* Answers a plain request if it is for one of the feed's resources.
 *
 * returns      false when the path is none of them
 */
bool fw_feed_answer(struct fw_request *request);

/* Whether the path is a topic resource, which a WebSocket may subscribe to. */
bool fw_feed_is_topics(const struct fw_request *request);

/* Where the topics of a request begin, in the order of the session's subscriptions. */
struct fw_feed_joined {
    bool recovered[FW_SUBSCRIPTIONS_MAX]; /* false: messages are gone since the position it named */
};

/* Subscribes the session to the topics of the path ("/topics/a,b,c"), from where the request says
 * (since.h). With fanwire.v1 there need be none.
 *
 * errors       FW_ERR_CREDENTIAL, FW_ERR_FORBIDDEN, then nothing was subscribed;
 *              FW_ERR_TOPIC, FW_ERR_POSITION, FW_ERR_LIMIT, -ENOMEM; what was subscribed before
 *              stays, and goes with the session
 */
int fw_feed_subscribe(struct fw_request *request, enum fw_transport transport,
                      struct fw_feed_joined *joined_out);

/* Answers a request whose subscribing failed, and ends what was subscribed. */
void fw_feed_refuse(struct fw_request *request, int error);

/* sse_session.c, longpoll_session.c: makes the session what the request asks for. */
void fw_sse_session_begin(struct fw_request *request);
void fw_poll_session_begin(struct fw_request *request);

#endif
