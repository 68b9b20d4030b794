/* directory.h: all topics of a server, shared by its threads: offsets are given here.
 *
 * A topic stands in one of many shards, each with its lock. Publishing takes the lock, gives the
 * message its offset and posts it to every worker that has subscribers, so that all of them see one
 * order; subscribing takes it to become one of those workers. No worker ever waits for another's
 * work under it: what is done there is counting and a few pointer swaps.
 *
 * A topic's history stands beside its offset, under the same lock: who takes a page of it that ends
 * with the newest message knows that every later one is posted to it (hub.h). All histories
 * together have one ceiling, which is hard: before a message is held, older ones make room, those
 * of other shards first when theirs are older. That costs a look at 64 numbers, and only at the
 * ceiling; a shard in use at that moment is passed over, so that the order is approximate.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_DIRECTORY_H
#define FW_NET_DIRECTORY_H

#include "hub/busiest.h"
#include "hub/hub.h"
#include "net/server/mailbox.h"

#include <fanwire/pubsub.h>
#include <pthread.h>
#include <stdint.h>

/* Enough that publishers to different topics do not meet. */
#define FW_DIRECTORY_SHARDS 64

struct fw_shard {
    pthread_mutex_t lock;
    struct fw_map topics;
    struct fw_topic
        *held; /* one of the ring of topics with a history; where the next look begins */
    /* The time of an old message of its histories, low half; read without the lock. Who looks for
     * the oldest finds one of the oldest by it. */
    atomic_uint oldest_ms;
    atomic_bool holds;
};

struct fw_directory {
    struct fw_shard shards[FW_DIRECTORY_SHARDS];
    uint64_t key[2];
    uint64_t epoch;               /* drawn at random at the start */
    atomic_uint_fast64_t created; /* topics ever: makes each one's epoch its own */
    uint32_t topics_per_shard_max;
    unsigned workers_count;
    struct fw_mailbox *const *mailboxes; /* borrowed: one a worker */
    const struct fw_topic_rules *rules;  /* borrowed */
    size_t rules_count;
    atomic_uint_fast64_t held_bytes_max;
    atomic_uint_fast64_t held_bytes; /* of all histories; promised before a message is held */
};

/* Makes an empty directory.
 *
 * random       the hash's key and the first epoch, from the kernel
 */
void fw_directory_init(struct fw_directory *directory, const uint64_t random[3],
                       uint32_t topics_max, unsigned workers_count,
                       struct fw_mailbox *const *mailboxes);

/* Gives topics that are made from now on their rules, and all histories a ceiling.
 *
 * rules        borrowed for the directory's life
 * held_bytes_max  as fw_msg_held_bytes counts them
 */
void fw_directory_set_rules(struct fw_directory *directory, const struct fw_topic_rules *rules,
                            size_t rules_count, uint64_t held_bytes_max);

/* Moves that ceiling, and lets go of the oldest messages that are above it: some thousand, and more
 * at the next call. Thread: any, one at a time. */
void fw_directory_limit(struct fw_directory *directory, uint64_t held_bytes_max);

/* What all histories hold, as fw_msg_held_bytes counts. Thread: any. */
uint64_t fw_directory_held_bytes(const struct fw_directory *directory);

/* Lets go of what is too old in topics that nobody publishes to: looks at some hundred of a shard,
 * the others the next time.
 *
 * shard        0..FW_DIRECTORY_SHARDS - 1
 * thread       any
 */
void fw_directory_age(struct fw_directory *directory, unsigned shard, uint64_t now_ms);

/* Frees all topics; no worker is left. */
void fw_directory_clear(struct fw_directory *directory);

/* Gives a message its offset and posts it to the workers that listen.
 *
 * msg          shared: the caller keeps its reference
 * wake_out     FW_WORKERS_MAX bits, set for the workers whose mailbox was empty
 * errors       FW_ERR_BUSY, FW_ERR_LIMIT, -ENOMEM; nothing has happened then
 * thread       any
 */
int fw_directory_publish(struct fw_directory *directory, struct fw_bytes name, struct fw_msg *msg,
                         uint64_t now_ms, uint64_t *wake_out, struct fw_published *published_out);

/* Adds a subscriber of a worker's. It gets every message that was published after this returns, by
 * fan-out; when it begins earlier than that it is BEHIND, and those in between are pages.
 *
 * subscription its subscriber, encoding and `singly` are set
 * errors       FW_ERR_LIMIT, -ENOMEM
 * thread       that worker
 */
int fw_directory_subscribe(struct fw_directory *directory, unsigned worker, struct fw_bytes name,
                           uint64_t now_ms, const struct fw_since *since,
                           struct fw_subscription *subscription, struct fw_joined *joined_out);

/* Takes references to the next messages of a subscription that is BEHIND, and makes it live when
 * the newest is among them.
 *
 * msgs_out     room for msgs_max
 * bytes_max    of payloads, unless the first alone is larger
 * missed_out   how many messages were gone; it goes on behind them
 * returns      how many there are; 0 only when there is nothing left to take
 * thread       its worker
 */
size_t fw_directory_page(struct fw_directory *directory, uint64_t now_ms,
                         struct fw_subscription *subscription, struct fw_msg **msgs_out,
                         size_t msgs_max, size_t bytes_max, uint64_t *missed_out);

/* Says that a subscription that is BEHIND has the messages before `next`, and makes it live when
 * those are all. Thread: its worker. */
void fw_directory_reached(struct fw_directory *directory, struct fw_subscription *subscription,
                          uint64_t next);

void fw_directory_unsubscribe(struct fw_directory *directory, unsigned worker, uint64_t now_ms,
                              struct fw_subscription *subscription);

/* Reads a topic's figures; FW_ERR_ABSENT. Thread: any. */
int fw_directory_info(struct fw_directory *directory, struct fw_bytes name,
                      struct fw_topic_info *info_out);

/* How many topics there are. Thread: any. */
size_t fw_directory_count(struct fw_directory *directory);

/* Where a walk over all topics goes on; zeroed before the first step. */
struct fw_directory_walk {
    unsigned shard;
    size_t bucket;
    size_t buckets_count; /* of the shard when the walk came to it; 0: it has not yet */
};

/* Adds some of the topics: those that are there all the while once, others once or not at all. One
 * lock is held meanwhile.
 *
 * topics_max   how many, or the few more of one bucket
 * returns      whether those were the last
 * thread       any
 */
bool fw_directory_walk(struct fw_directory *directory, struct fw_directory_walk *walk,
                       size_t topics_max, struct fw_busiest *busiest);

#endif
