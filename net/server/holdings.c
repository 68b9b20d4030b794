/* holdings.c: see holdings.h.
 *
 * A shard's topics with a history stand in a ring. Who needs room looks at a few of them from where
 * the last look ended, and lets go of the oldest message that it sees there: cheap, and the oldest
 * go first, nearly.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/holdings.h"

#include "base/check.h"

/* Topics looked at to find an old message: what Redis's sampling of keys showed to be enough. */
#define SAMPLE_TOPICS 5u
/* What is let go of at once in another shard, so that its lock is taken once for many messages. */
#define SPARE_BYTES ((size_t)64 * 1024)

static uint32_t oldest_of(const struct fw_topic *topic)
{
    uint64_t oldest = fw_history_oldest(&topic->history, topic->offset);
    return fw_history_at(&topic->history, topic->offset, oldest)->published_ms;
}

/* ---- the ring -------------------------------------------------------------------------------- */

static void enter(struct fw_shard *shard, struct fw_topic *topic)
{
    if (topic->held_next != NULL)
        return;
    if (shard->held == NULL) {
        topic->held_next = topic->held_previous = shard->held = topic;
        atomic_store_explicit(&shard->oldest_ms, oldest_of(topic), memory_order_relaxed);
        atomic_store_explicit(&shard->holds, true, memory_order_relaxed);
        return;
    }
    topic->held_next = shard->held;
    topic->held_previous = shard->held->held_previous;
    topic->held_previous->held_next = topic;
    topic->held_next->held_previous = topic;
}

static void leave(struct fw_shard *shard, struct fw_topic *topic)
{
    if (topic->held_next == NULL)
        return;
    if (topic->held_next == topic) {
        shard->held = NULL;
        atomic_store_explicit(&shard->holds, false, memory_order_relaxed);
    } else {
        topic->held_next->held_previous = topic->held_previous;
        topic->held_previous->held_next = topic->held_next;
        if (shard->held == topic)
            shard->held = topic->held_next;
    }
    topic->held_next = topic->held_previous = NULL;
}

static void release(struct fw_directory *directory, size_t bytes)
{
    if (bytes > 0)
        atomic_fetch_sub_explicit(&directory->held_bytes, bytes, memory_order_relaxed);
}

/* ---- room ------------------------------------------------------------------------------------ */

/* Lets go of one of the oldest messages of a locked shard, which holds some. */
static void drop_old(struct fw_directory *directory, struct fw_shard *shard)
{
    struct fw_topic *oldest = shard->held;
    struct fw_topic *topic = oldest;
    for (unsigned i = 1; i < SAMPLE_TOPICS; i++) {
        topic = topic->held_next;
        if ((int32_t)(oldest_of(topic) - oldest_of(oldest)) < 0)
            oldest = topic;
    }
    shard->held = topic->held_next;
    atomic_store_explicit(&shard->oldest_ms, oldest_of(oldest), memory_order_relaxed);
    release(directory, fw_history_drop(&oldest->history));
    if (oldest->history.count == 0)
        fw_directory_forget(directory, shard, oldest);
}

/* The shard whose messages are oldest, as far as can be seen without its lock. */
static struct fw_shard *oldest_shard(struct fw_directory *directory)
{
    struct fw_shard *oldest = NULL;
    uint32_t oldest_ms = 0;
    for (unsigned i = 0; i < FW_DIRECTORY_SHARDS; i++) {
        struct fw_shard *shard = &directory->shards[i];
        uint32_t ms = atomic_load_explicit(&shard->oldest_ms, memory_order_relaxed);
        if (!atomic_load_explicit(&shard->holds, memory_order_relaxed) ||
            (oldest != NULL && (int32_t)(ms - oldest_ms) >= 0))
            continue;
        oldest = shard;
        oldest_ms = ms;
    }
    return oldest;
}

/* Lets go of old messages until `bytes` more have room beneath the ceiling, and promises them.
 *
 * own          the shard that is locked
 * returns      false when there is no room: the message is not to be held
 */
static bool promise(struct fw_directory *directory, struct fw_shard *own, size_t bytes)
{
    uint64_t before =
        atomic_fetch_add_explicit(&directory->held_bytes, bytes, memory_order_relaxed);
    while (FW_UNLIKELY(before + bytes > directory->held_bytes_max)) {
        struct fw_shard *shard = oldest_shard(directory);
        /* Trying cannot deadlock: who holds the other's lock tries for ours. */
        bool other = shard != NULL && shard != own && pthread_mutex_trylock(&shard->lock) == 0;
        if (other) {
            size_t spare = SPARE_BYTES < directory->held_bytes_max / 64
                               ? SPARE_BYTES
                               : (size_t)(directory->held_bytes_max / 64);
            uint64_t until = directory->held_bytes_max - (spare < bytes ? 0 : spare);
            while (shard->held != NULL &&
                   atomic_load_explicit(&directory->held_bytes, memory_order_relaxed) > until)
                drop_old(directory, shard);
            pthread_mutex_unlock(&shard->lock);
        } else if (own->held != NULL) {
            drop_old(directory, own);
        } else {
            release(directory, bytes);
            return false;
        }
        before = atomic_load_explicit(&directory->held_bytes, memory_order_relaxed) - bytes;
    }
    return true;
}

void fw_directory_hold(struct fw_directory *directory, struct fw_shard *shard,
                       struct fw_topic *topic, struct fw_msg *msg)
{
    size_t bytes = fw_msg_held_bytes(msg);
    /* A message that cannot be held is a gap: what is older must go too. */
    if (bytes > topic->rules->history_bytes || !promise(directory, shard, bytes)) {
        fw_directory_forget(directory, shard, topic);
        fw_msg_drop(msg);
        return;
    }
    /* What made room may have been this topic's, ring and all. */
    if (fw_history_reserve(&topic->history, topic->rules) != 0) {
        fw_directory_forget(directory, shard, topic);
        release(directory, bytes);
        fw_msg_drop(msg);
        return;
    }
    release(directory, fw_history_add(&topic->history, topic->rules, msg));
    enter(shard, topic);
    fw_directory_expire(directory, shard, topic, topic->used_ms);
    fw_directory_expire(directory, shard, shard->held,
                        topic->used_ms); /* who is not published to */
    if (shard->held != NULL)
        shard->held = shard->held->held_next;
}

void fw_directory_expire(struct fw_directory *directory, struct fw_shard *shard,
                         struct fw_topic *topic, uint64_t now_ms)
{
    if (topic->history.count == 0)
        return;
    release(directory, fw_history_expire(&topic->history, topic->rules, now_ms));
    if (topic->history.count == 0)
        fw_directory_forget(directory, shard, topic);
}

void fw_directory_forget(struct fw_directory *directory, struct fw_shard *shard,
                         struct fw_topic *topic)
{
    release(directory, fw_history_clear(&topic->history));
    leave(shard, topic);
}
