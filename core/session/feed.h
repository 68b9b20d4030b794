/* feed.h: the resources of the feed server: /topics/NAME, /healthz, /readyz.
 *
 * What each request means is in the manual (fanwire(1)); the answers are JSON or one plain
 * sentence. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_FEED_H
#define FW_SESSION_FEED_H

#include "session/request.h"

#include <stdbool.h>

/* Answers a plain request if it is for one of the feed's resources.
 *
 * returns      false when the path is none of them
 */
bool fw_feed_answer(struct fw_request *request);

/* Whether the path is a topic resource, which a WebSocket may subscribe to. */
bool fw_feed_is_topics(const struct fw_request *request);

/* Subscribes the session to the topics of the path ("/topics/a,b,c").
 *
 * errors       FW_ERR_TOPIC, FW_ERR_LIMIT, -ENOMEM; what was subscribed before stays, and goes with
 * the session
 */
int fw_feed_subscribe(struct fw_request *request);

#endif
