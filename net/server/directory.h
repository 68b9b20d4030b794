/* directory.h: all topics of a server, shared by its threads: offsets are given here.
 *
 * A topic stands in one of many shards, each with its lock. Publishing takes the lock, gives the
 * message its offset and posts it to every worker that has subscribers, so that all of them see one
 * order; subscribing takes it to become one of those workers. No worker ever waits for another's
 * work under it: what is done there is counting and a few pointer swaps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_DIRECTORY_H
#define FW_NET_DIRECTORY_H

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
};

struct fw_directory {
    struct fw_shard shards[FW_DIRECTORY_SHARDS];
    uint64_t key[2];
    uint64_t epoch;               /* drawn at random at the start */
    atomic_uint_fast64_t created; /* topics ever: makes each one's epoch its own */
    uint32_t topics_per_shard_max;
    unsigned workers_count;
    struct fw_mailbox *const *mailboxes; /* borrowed: one a worker */
};

/* Makes an empty directory.
 *
 * random       the hash's key and the first epoch, from the kernel
 */
void fw_directory_init(struct fw_directory *directory, const uint64_t random[3],
                       uint32_t topics_max, unsigned workers_count,
                       struct fw_mailbox *const *mailboxes);

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

/* Adds a subscriber of a worker's. It gets every message published after this returns.
 *
 * errors       FW_ERR_LIMIT, -ENOMEM
 * thread       that worker
 */
int fw_directory_subscribe(struct fw_directory *directory, unsigned worker, struct fw_bytes name,
                           uint64_t now_ms, struct fw_subscription *subscription);

void fw_directory_unsubscribe(struct fw_directory *directory, unsigned worker, uint64_t now_ms,
                              struct fw_subscription *subscription);

/* Reads a topic's figures; FW_ERR_ABSENT. Thread: any. */
int fw_directory_info(struct fw_directory *directory, struct fw_bytes name,
                      struct fw_topic_info *info_out);

#endif
