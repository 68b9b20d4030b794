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

/* One share for all messages in one encoding, which takes references of its own. */
static struct fw_share *share_of_encoding(const struct fw_hub *hub, struct fw_msg *const *msgs,
                                          size_t msgs_count, unsigned encoding)
{
    if (msgs_count == 1) {
        struct fw_bytes bytes = encoding_of(hub, msgs[0], encoding);
        struct fw_share *share = fw_share_of_msg(msgs[0]);
        if (share == NULL)
            return NULL;
        fw_msg_hold(msgs[0], 1);
        share->bytes = bytes.at;
        share->bytes_count = (uint32_t)bytes.count;
        return share;
    }
    size_t bytes_count = 0;
    for (size_t i = 0; i < msgs_count; i++)
        bytes_count += encoding_of(hub, msgs[i], encoding).count;
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

/* The run for a topic whose subscribers have not all agreed on the plain encoding: a share for each
 * one in use, however many subscribe. */
static void deliver_encoded(struct fw_hub *hub, struct fw_local *local, struct fw_msg *const *msgs,
                            size_t msgs_count)
{
    struct fw_share *shares[FW_MSG_ENCODINGS + 1] = {0};
    for (unsigned e = 0; e <= FW_MSG_ENCODINGS; e++) {
        uint32_t count = e == 0 ? local->count - local->encoded_count : local->encoded[e - 1];
        if (count == 0)
            continue;
        shares[e] = share_of_encoding(hub, msgs, msgs_count, e);
        if (shares[e] == NULL)
            hub->lost_messages += msgs_count * count;
    }
    drop_all(msgs, msgs_count);
    for (uint32_t i = 0; i < local->count; i++) {
        if (i + PREFETCH_AHEAD < local->count)
            __builtin_prefetch(local->subscriptions[i + PREFETCH_AHEAD], 1);
        struct fw_subscription *subscription = local->subscriptions[i];
        hub->deliver(subscription, shares[subscription->encoding]);
    }
    for (unsigned e = 0; e <= FW_MSG_ENCODINGS; e++) {
        if (shares[e] != NULL)
            fw_share_drop(shares[e]);
    }
}

static void deliver_run(struct fw_hub *hub, struct fw_local *local, struct fw_msg *const *msgs,
                        size_t msgs_count, size_t bytes_count)
{
    struct fw_share *share = share_of(msgs, msgs_count, bytes_count);
    if (share == NULL) {
        hub->lost_messages += msgs_count * local->count;
        drop_all(msgs, msgs_count);
    }
    for (uint32_t i = 0; i < local->count; i++) {
        if (i + PREFETCH_AHEAD < local->count)
            __builtin_prefetch(local->subscriptions[i + PREFETCH_AHEAD], 1);
        hub->deliver(local->subscriptions[i], share);
    }
    if (share != NULL)
        fw_share_drop(share);
}

uint64_t fw_hub_fan_out(struct fw_hub *hub, struct fw_local *local, struct fw_msg *const *msgs,
                        size_t msgs_count)
{
    if (local == NULL || local->count == 0) {
        drop_all(msgs, msgs_count);
        return 0;
    }
    size_t from = 0;
    while (from < msgs_count) {
        size_t bytes_count = fw_msg_frame(msgs[from]).count; /* no encoding is longer */
        size_t to = from + 1;
        for (; to < msgs_count; to++) {
            size_t next = fw_msg_frame(msgs[to]).count;
            if (bytes_count + next > FW_HUB_JOIN_BYTES_MAX)
                break;
            bytes_count += next;
        }
        if (FW_LIKELY(local->encoded_count == 0))
            deliver_run(hub, local, msgs + from, to - from, bytes_count);
        else
            deliver_encoded(hub, local, msgs + from, to - from);
        from = to;
    }
    uint64_t deliveries = (uint64_t)msgs_count * local->count;
    hub->delivered_messages += deliveries;
    return deliveries;
}
