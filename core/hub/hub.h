/* hub.h: one worker's part of all topics: who listens here, and how a message reaches them.
 *
 * Each worker has a hub of its own, and no lock. A topic as everybody knows it (its name, epoch and
 * offset) is topic.h; a `local` is that topic's subscribers on this worker. The hub carries
 * encodings that it cannot read, and knows of a subscriber only how to call it.
 *
 *   publish (any thread) -> mailbox -> fw_hub_fan_out -> deliver(subscription, share) per
 * subscriber
 *
 * A subscription says which encoding its subscriber agreed on. While all of a topic's agree on the
 * plain one, nobody else's work is done; else each encoding in use gets a share of its own, made by
 * `encode`, which knows what it is.
 *
 * deliver only queues: it may not subscribe, unsubscribe or free anything. A NULL share says that
 * messages were lost for want of memory: nobody is left with a silent gap. Thread: the worker's.
 *
 * A subscription that begins in the past is BEHIND: what is published goes past it, into the
 * topic's history, from where it is handed page after page. The page that reaches the newest
 * message makes it live again, under the lock that gives the offsets; what was on its way to this
 * worker already, it has: until that has gone by it is FRESH, and each message is looked at. While
 * none of a topic's subscriptions here is like that, nothing is looked at.
 *
 *   BEHIND --page reaches the newest--> FRESH --a message it has not--> LIVE
 *                  |                                                     ^
 *                  +--------------- nothing is on its way ---------------+
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_HUB_HUB_H
#define FW_HUB_HUB_H

#include "hub/share.h"
#include "hub/topic.h"

#include <stddef.h>
#include <stdint.h>

/* Encodings of one topic's messages of a turn are joined up to this size; beyond it the copy costs
 * more than touching every subscriber again. */
#define FW_HUB_JOIN_BYTES_MAX ((size_t)64 * 1024)

struct fw_local;

enum fw_subscription_state { FW_SUBSCRIPTION_LIVE, FW_SUBSCRIPTION_FRESH, FW_SUBSCRIPTION_BEHIND };

/* A subscriber's place in a topic; stands in the subscriber. */
struct fw_subscription {
    struct fw_local *local; /* NULL: not subscribed */
    void *subscriber;
    uint64_t next;     /* the offset it wants next; unless it is LIVE and not `singly` it is kept */
    uint32_t index;    /* in local->subscriptions */
    uint8_t encoding;  /* 0: plain; 1..FW_MSG_ENCODINGS; stays while it is subscribed */
    uint8_t state;     /* enum fw_subscription_state */
    uint8_t transport; /* enum fw_transport; stays while it is subscribed */
    bool singly;       /* it is handed messages, not shares; stays while it is subscribed */
};

/* A topic's subscribers on this worker. */
struct fw_local {
    struct fw_topic *topic;
    struct fw_subscription **subscriptions;
    uint32_t count;
    uint32_t capacity;
    uint32_t encoded_count;             /* of count: their encoding is not the plain one, */
    uint32_t encoded[FW_MSG_ENCODINGS]; /* but, by encoding - 1, this */
    uint32_t apart_count;               /* of count: not LIVE, or `singly` */
    uint64_t newest;                    /* the offset fanned out last; 0: none yet */
};

struct fw_hub {
    void (*deliver)(struct fw_subscription *subscription, struct fw_share *share);
    /* Messages, in order, for one subscription alone; borrowed. Needed once one is not LIVE, or
     * `singly`. */
    void (*deliver_msgs)(struct fw_subscription *subscription, struct fw_msg *const *msgs,
                         size_t msgs_count);
    /* A message's bytes in an encoding, made now or kept in it; the plain frame when that serves
     * better or there is no memory; empty when it does not serve. Needed once a subscription has an
     * encoding. */
    struct fw_bytes (*encode)(void *encoder, struct fw_msg *msg, unsigned encoding);
    void *encoder;
    uint64_t delivered_messages; /* messages times subscribers that were handed to deliver */
    uint64_t lost_messages;      /* not handed on for want of memory */
};

void fw_hub_init(struct fw_hub *hub,
                 void (*deliver)(struct fw_subscription *subscription, struct fw_share *share));

/* Makes a topic's local part, empty; NULL when there is no memory. */
struct fw_local *fw_local_create(struct fw_topic *topic);

/* Frees it; asserted empty. */
void fw_local_destroy(struct fw_local *local);

/* Adds a subscriber.
 *
 * subscription lent until fw_local_remove
 * errors       -ENOMEM
 */
int fw_local_add(struct fw_local *local, struct fw_subscription *subscription);

/* Takes it out again; the last subscription moves into its place. */
void fw_local_remove(struct fw_subscription *subscription);

/* Tells a local that a subscription moved in memory. */
void fw_local_moved(struct fw_subscription *subscription);

/* Makes it LIVE, FRESH or BEHIND. */
void fw_subscription_set_state(struct fw_subscription *subscription,
                               enum fw_subscription_state state);

/* One share for messages of one topic in an encoding: their own bytes when it is one, a joined copy
 * when they are more. Takes references of its own.
 *
 * returns      with one reference; NULL when there is no memory
 */
struct fw_share *fw_hub_share(const struct fw_hub *hub, struct fw_msg *const *msgs,
                              size_t msgs_count, unsigned encoding);

/* Hands messages, in order, to every subscriber of the topic here, joined when there are several.
 *
 * local        NULL when nobody listens here
 * msgs         given: one reference of each
 * returns      deliveries made: messages times subscribers
 */
uint64_t fw_hub_fan_out(struct fw_hub *hub, struct fw_local *local, struct fw_msg *const *msgs,
                        size_t msgs_count);

#endif
