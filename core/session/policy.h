/* policy.h: what becomes of a subscriber that owes more than its budget (hub/history.h: enum
 * fw_policy). Replies and control frames are never dropped. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_POLICY_H
#define FW_SESSION_POLICY_H

#include "hub/hub.h"

#include <stdbool.h>

struct fw_session;

enum fw_admission {
    FW_ADMITTED, /* there is room */
    FW_DROPPED,  /* there is none for this one; the subscriber goes on without it */
    FW_TOO_SLOW, /* the subscriber is to be ended */
};

/* Whether it may owe much for as long as it likes: the policy of one of its topics is to drop. */
bool fw_session_may_lag(const struct fw_session *session);

/* Makes room for a share, or not.
 *
 * share        not queued yet; one that is not admitted counts (fw_share_withdraw)
 * bytes_count  its octets, and those of what stands in front of it
 */
enum fw_admission fw_session_admit(struct fw_session *session,
                                   const struct fw_subscription *subscription,
                                   struct fw_share *share, size_t bytes_count);

#endif
