/* hub.c: see hub.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hub/hub.h"
#include "base/check.h"
#include "base/mem.h"

#include <errno.h>

#define CAPACITY_START 4
/* How far ahead of the loop a subscriber is fetched: its queue is a cache line that this worker
 * last touched ten thousand subscribers ago. */
#define PREFETCH_AHEAD 6

void fw_hub_init(struct fw_hub *hub,
                 void (*deliver)(struct fw_subscription *subscription, struct fw_share *share))
{
    *hub = (struct fw_hub){.deliver = deliver};
}

struct fw_local *fw_local_create(struct fw_topic *topic)
{
    struct fw_local *local = fw_mem_zero(sizeof *local);
    if (local != NULL)
        local->topic = topic;
    return local;
}

void fw_local_destroy(struct fw_local *local)
{
    fw_assert(local->count == 0);
    fw_mem_free(local->subscriptions);
    fw_mem_free(local);
}

static bool is_apart(const struct fw_subscription *subscription)
{
    return subscription->state != FW_SUBSCRIPTION_LIVE || subscription->singly;
}

void fw_subscription_set_state(struct fw_subscription *subscription,
                               enum fw_subscription_state state)
{
    subscription->local->apart_count -= is_apart(subscription);
    subscription->state = (uint8_t)state;
    subscription->local->apart_count += is_apart(subscription);
}

int fw_local_add(struct fw_local *local, struct fw_subscription *subscription)
{
    fw_assert(subscription->local == NULL);
    if (local->count == local->capacity) {
        uint32_t wanted = local->capacity == 0 ? CAPACITY_START : local->capacity * 2;
        struct fw_subscription **grown =
            fw_mem_resize(local->subscriptions, wanted * sizeof(struct fw_subscription *));
        if (grown == NULL)
            return -ENOMEM;
        local->subscriptions = grown;
        local->capacity = wanted;
    }
    if (subscription->encoding != 0) {
        fw_assert(subscription->encoding <= FW_MSG_ENCODINGS);
        local->encoded[subscription->encoding - 1]++;
        local->encoded_count++;
    }
    local->apart_count += is_apart(subscription);
    subscription->local = local;
    subscription->index = local->count;
    local->subscriptions[local->count++] = subscription;
    return 0;
}

void fw_local_remove(struct fw_subscription *subscription)
{
    struct fw_local *local = subscription->local;
    fw_assert(local != NULL && local->subscriptions[subscription->index] == subscription);
    struct fw_subscription *last = local->subscriptions[--local->count];
    local->subscriptions[subscription->index] = last;
    last->index = subscription->index;
    subscription->local = NULL;
    local->apart_count -= is_apart(subscription);
    if (subscription->encoding != 0) {
        local->encoded[subscription->encoding - 1]--;
        local->encoded_count--;
    }
}

void fw_local_moved(struct fw_subscription *subscription)
{
    subscription->local->subscriptions[subscription->index] = subscription;
}

/* One share for all messages: the message's own bytes when it is one, a joined copy when they are
 * more. Their references go with it. */
static struct fw_share *share_of(struct fw_msg *const *msgs, size_t msgs_count, size_t bytes_count)
{
    if (msgs_count == 1)
        return fw_share_of_msg(msgs[0]);
    struct fw_share *share = fw_share_create(bytes_count);
    if (share == NULL)
        return NULL;
    uint8_t *at = share->own;
    for (size_t i = 0; i < msgs_count; i++) {
        struct fw_bytes frame = fw_msg_frame(msgs[i]);
        memcpy(at, frame.at, frame.count);
        at += frame.count;
        fw_msg_drop(msgs[i]);
    }
    share->messages_count = (uint32_t)msgs_count;
    return share;
}

static void drop_all(struct fw_msg *const *msgs, size_t msgs_count)
{
    for (size_t i = 0; i < msgs_count; i++)
        fw_msg_drop(msgs[i]);
}

static struct fw_bytes encoding_of(const struct fw_hub *hub, struct fw_msg *msg, unsigned encoding)
{
    return encoding == 0 ? fw_msg_frame(msg) : hub->encode(hub->encoder, msg, encoding);
}

static struct fw_share *share_one(const struct fw_hub *hub, struct fw_msg *msg, unsigned encoding)
{
    struct fw_bytes bytes = encoding_of(hub, msg, encoding);
    struct fw_share *share = bytes.count == 0 ? NULL : fw_share_of_msg(msg);
    if (share == NULL)
        return NULL;
    fw_msg_hold(msg, 1);
    share->bytes = bytes.at;
    share->bytes_count = (uint32_t)bytes.count;
    return share;
}

static struct fw_share *share_joined(const struct fw_hub *hub, struct fw_msg *const *msgs,
                                     size_t msgs_count, unsigned encoding)
{
    size_t bytes_count = 0;
    for (size_t i = 0; i < msgs_count; i++) {
        size_t count = encoding_of(hub, msgs[i], encoding).count;
        if (count == 0)
            return NULL;
        bytes_count += count;
    }
    struct fw_share *share = fw_share_create(bytes_count);
    if (share == NULL)
        return NULL;
    uint8_t *at = share->own;
    for (size_t i = 0; i < msgs_count; i++) {
        /* An encoding that there was no memory for a moment ago may be there now: it is shorter. */
        struct fw_bytes bytes = encoding_of(hub, msgs[i], encoding);
        memcpy(at, bytes.at, bytes.count);
        at += bytes.count;
    }
    fw_assert((size_t)(at - share->own) <= bytes_count);
    share->bytes_count = (uint32_t)(at - share->own);
    share->messages_count = (uint32_t)msgs_count;
    return share;
}

struct fw_share *fw_hub_share(const struct fw_hub *hub, struct fw_msg *const *msgs,
                              size_t msgs_count, unsigned encoding)
{
    struct fw_share *share = msgs_count == 1 ? share_one(hub, msgs[0], encoding)
                                             : share_joined(hub, msgs, msgs_count, encoding);
    if (share != NULL)
        fw_share_set_topic(share, msgs[0]->topic);
    return share;
}

/* What a subscription that is not simply live makes of a run: passed over, or handed to it alone.
 *
 * returns      false when it is live by now, and takes the run as all do
 */
static bool deliver_apart(struct fw_hub *hub, struct fw_subscription *subscription,
                          struct fw_msg *const *msgs, size_t msgs_count)
{
    uint64_t first = msgs[0]->offset;
    if (subscription->state == FW_SUBSCRIPTION_BEHIND)
        return true; /* it is in the history */
    if (subscription->state == FW_SUBSCRIPTION_FRESH) {
        if (subscription->next >= first + msgs_count)
            return true; /* it has all of it */
        fw_subscription_set_state(subscription, FW_SUBSCRIPTION_LIVE);
    }
    size_t has = 0;
    if (subscription->next > first)
        has = (size_t)(subscription->next - first);
    if (has == 0 && !subscription->singly)
        return false;
    subscription->next = first + msgs_count;
    hub->delivered_messages += msgs_count - has;
    if (msgs[0]->topic != NULL)
        atomic_fetch_add_explicit(&msgs[0]->topic->delivered, msgs_count - has,
                                  memory_order_relaxed);
    hub->deliver_msgs(subscription, msgs + has, msgs_count - has);
    return true;
}

/* The run for a topic whose subscribers are not all alike: a share for each encoding in use,
 * however many subscribe.
 *
 * returns      subscribers that were handed a share
 */
static uint32_t deliver_mixed(struct fw_hub *hub, struct fw_local *local,
                              struct fw_msg *const *msgs, size_t msgs_count)
{
    struct fw_share *shares[FW_MSG_ENCODINGS + 1] = {0};
    bool made[FW_MSG_ENCODINGS + 1] = {0};
    uint32_t delivered = 0;
    for (uint32_t i = 0; i < local->count; i++) {
        if (i + PREFETCH_AHEAD < local->count)
            __builtin_prefetch(local->subscriptions[i + PREFETCH_AHEAD], 1);
        struct fw_subscription *subscription = local->subscriptions[i];
        if ((subscription->state != FW_SUBSCRIPTION_LIVE || subscription->singly) &&
            deliver_apart(hub, subscription, msgs, msgs_count))
            continue;
        unsigned encoding = subscription->encoding;
        if (!made[encoding])
            shares[encoding] = fw_hub_share(hub, msgs, msgs_count, encoding);
        made[encoding] = true;
        if (shares[encoding] == NULL)
            hub->lost_messages += msgs_count;
        else
            delivered++;
        hub->deliver(subscription, shares[encoding]);
    }
    for (unsigned e = 0; e <= FW_MSG_ENCODINGS; e++) {
        if (shares[e] != NULL)
            fw_share_drop(shares[e]);
    }
    drop_all(msgs, msgs_count);
    return delivered;
}

/* The run for a topic whose subscribers are all live and plain. returns: as deliver_mixed. */
static uint32_t deliver_run(struct fw_hub *hub, struct fw_local *local, struct fw_msg *const *msgs,
                            size_t msgs_count, size_t bytes_count)
{
    struct fw_topic *topic = msgs[0]->topic;
    struct fw_share *share = share_of(msgs, msgs_count, bytes_count);
    if (share == NULL) {
        hub->lost_messages += msgs_count * local->count;
        drop_all(msgs, msgs_count);
    } else {
        fw_share_set_topic(share, topic);
    }
    for (uint32_t i = 0; i < local->count; i++) {
        if (i + PREFETCH_AHEAD < local->count)
            __builtin_prefetch(local->subscriptions[i + PREFETCH_AHEAD], 1);
        hub->deliver(local->subscriptions[i], share);
    }
    if (share == NULL)
        return 0;
    fw_share_drop(share);
    return local->count;
}

/* How many messages from the first on are fanned out together. Those of a topic whose slow
 * subscribers keep the newest of each key stay apart: one must be found to be replaced. */
static size_t run_of(const struct fw_local *local, struct fw_msg *const *msgs, size_t msgs_count,
                     size_t *bytes_count_out)
{
    size_t count = 1;
    *bytes_count_out = fw_msg_frame(msgs[0]).count;
    if (local->topic->rules->policy == FW_POLICY_LATEST)
        return count;
    for (; count < msgs_count; count++) {
        size_t next = fw_msg_frame(msgs[count]).count;
        if (*bytes_count_out + next > FW_HUB_JOIN_BYTES_MAX)
            break;
        *bytes_count_out += next;
    }
    return count;
}

uint64_t fw_hub_fan_out(struct fw_hub *hub, struct fw_local *local, struct fw_msg *const *msgs,
                        size_t msgs_count)
{
    if (local == NULL || local->count == 0) {
        drop_all(msgs, msgs_count);
        return 0;
    }
    uint64_t before = hub->delivered_messages;
    if (msgs[msgs_count - 1]->offset != 0)
        local->newest = msgs[msgs_count - 1]->offset;
    for (size_t from = 0; from < msgs_count;) {
        size_t bytes_count;
        size_t count = run_of(local, msgs + from, msgs_count - from, &bytes_count);
        struct fw_topic *topic = msgs[from]->topic;
        uint32_t delivered;
        if (FW_LIKELY(local->encoded_count == 0 && local->apart_count == 0))
            delivered = deliver_run(hub, local, msgs + from, count, bytes_count);
        else
            delivered = deliver_mixed(hub, local, msgs + from, count);
        uint64_t deliveries = (uint64_t)count * delivered;
        hub->delivered_messages += deliveries;
        if (topic != NULL)
            atomic_fetch_add_explicit(&topic->delivered, deliveries, memory_order_relaxed);
        from += count;
    }
    return hub->delivered_messages - before;
}
