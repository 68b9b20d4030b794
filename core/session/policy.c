/* policy.c: see policy.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/policy.h"
#include "base/check.h"
#include "session/session.h"

/* What is looked for in a queue. */
struct search {
    const struct fw_topic *topic; /* entries of this topic */
    uint64_t key;                 /* and of this key, unless `any_key` */
    bool any_key;
    uint64_t excess_bytes; /* until so many are found */
    bool in_front;         /* the last one found stands in front of the next, which goes with it */
};

static bool is_wanted(const struct fw_outq_entry *entry, void *context)
{
    struct search *search = context;
    const struct fw_share *share = entry->share;
    bool goes = search->in_front;
    search->in_front = false;
    if (share == NULL || share->topic != search->topic)
        return false;
    if (!goes)
        goes = search->excess_bytes > 0 && (search->any_key || share->key == search->key);
    if (!goes)
        return false;
    search->excess_bytes -=
        entry->bytes_count < search->excess_bytes ? entry->bytes_count : search->excess_bytes;
    search->in_front = share->messages_count == 0;
    return true;
}

static uint64_t excess_of(const struct fw_session *session, size_t bytes_count)
{
    uint64_t wanted = (uint64_t)session->outq.queued_bytes + bytes_count;
    uint64_t most = session->host->rules->output_bytes_max;
    /* What is alone is always taken: a message may be larger than the budget. */
    return session->outq.queued_bytes == 0 || wanted <= most ? 0 : wanted - most;
}

static void drop(struct fw_session *session, struct search *search)
{
    uint32_t dropped = fw_outq_filter(&session->outq, session->begun, is_wanted, search);
    fw_slow_dropped(session, dropped);
}

bool fw_session_may_lag(const struct fw_session *session)
{
    for (unsigned i = 0; i < session->subscriptions_count; i++) {
        if (session->subscriptions[i].local->topic->rules->policy != FW_POLICY_DISCONNECT)
            return true;
    }
    return false;
}

enum fw_admission fw_session_admit(struct fw_session *session,
                                   const struct fw_subscription *subscription,
                                   struct fw_share *share, size_t bytes_count)
{
    uint64_t excess = excess_of(session, bytes_count);
    if (FW_LIKELY(excess == 0))
        return FW_ADMITTED;
    const struct fw_topic *topic = subscription->local->topic;
    struct search search = {.topic = topic, .key = share->key, .any_key = true};
    switch ((enum fw_policy)topic->rules->policy) {
    case FW_POLICY_DISCONNECT:
        fw_share_withdraw(share, false);
        return FW_TOO_SLOW;
    case FW_POLICY_LATEST:
        /* All older news of the same key, so that each key waits once; then whatever is oldest. */
        search.any_key = false;
        search.excess_bytes = UINT64_MAX;
        drop(session, &search);
        search.any_key = true;
        search.in_front = false;
        break;
    case FW_POLICY_DROP_OLDEST:
        break;
    }
    search.excess_bytes = excess_of(session, bytes_count);
    if (search.excess_bytes > 0)
        drop(session, &search);
    if (excess_of(session, bytes_count) == 0)
        return FW_ADMITTED;
    fw_slow_dropped(session, share->messages_count);
    fw_share_withdraw(share, true);
    return FW_DROPPED;
}
