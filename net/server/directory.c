/* directory.c: see directory.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/directory.h"

#include "base/check.h"
#include "base/mem.h"
#include "net/server/holdings.h"

#include <errno.h>
#include <fanwire/status.h>

void fw_directory_init(struct fw_directory *directory, const uint64_t random[3],
                       uint32_t topics_max, unsigned workers_count,
                       struct fw_mailbox *const *mailboxes)
{
    *directory = (struct fw_directory){.key = {random[0], random[1]},
                                       .epoch = random[2],
                                       .workers_count = workers_count,
                                       .mailboxes = mailboxes};
    atomic_init(&directory->created, 0);
    directory->topics_per_shard_max = (topics_max + FW_DIRECTORY_SHARDS - 1) / FW_DIRECTORY_SHARDS;
    for (unsigned i = 0; i < FW_DIRECTORY_SHARDS; i++) {
        pthread_mutex_init(&directory->shards[i].lock, NULL);
        fw_map_init(&directory->shards[i].topics, directory->key);
    }
}

void fw_directory_set_rules(struct fw_directory *directory, const struct fw_topic_rules *rules,
                            size_t rules_count, uint64_t held_bytes_max)
{
    directory->rules = rules;
    directory->rules_count = rules_count;
    atomic_store(&directory->held_bytes_max, held_bytes_max);
}

uint64_t fw_directory_held_bytes(const struct fw_directory *directory)
{
    return atomic_load_explicit(&directory->held_bytes, memory_order_relaxed);
}

static inline struct fw_topic *topic_of(struct fw_map_node *node)
{
    return fw_container_of(node, struct fw_topic, node);
}

void fw_directory_clear(struct fw_directory *directory)
{
    for (unsigned i = 0; i < FW_DIRECTORY_SHARDS; i++) {
        struct fw_map *topics = &directory->shards[i].topics;
        for (size_t bucket = 0; bucket < topics->buckets_count; bucket++) {
            struct fw_map_node *node = topics->buckets[bucket];
            while (node != NULL) {
                struct fw_map_node *next = node->next;
                fw_topic_destroy(topic_of(node));
                node = next;
            }
        }
        fw_map_clear(topics);
        pthread_mutex_destroy(&directory->shards[i].lock);
    }
}

/* A shard, locked, and the name's hash. The shard is of the hash's high bits, the bucket of its low
 * ones. */
static struct fw_shard *lock_shard(struct fw_directory *directory, struct fw_bytes name,
                                   uint64_t *hash_out)
{
    *hash_out = fw_siphash(directory->key, name);
    struct fw_shard *shard = &directory->shards[*hash_out >> 58];
    static_assert(FW_DIRECTORY_SHARDS == 64, "6 high bits of the hash");
    pthread_mutex_lock(&shard->lock);
    return shard;
}

/* Frees the topic of a full shard that was left alone for longest; nobody may be on it, and nothing
 * on its way. A later use of its name begins a new epoch. */
static bool evict(struct fw_directory *directory, struct fw_shard *shard)
{
    struct fw_topic *oldest = NULL;
    for (size_t i = 0; i < shard->topics.buckets_count; i++) {
        for (struct fw_map_node *node = shard->topics.buckets[i]; node != NULL; node = node->next) {
            struct fw_topic *topic = topic_of(node);
            if (topic->subscribers == 0 && atomic_load(&topic->posts) == 0 &&
                (oldest == NULL || topic->used_ms < oldest->used_ms))
                oldest = topic;
        }
    }
    if (oldest == NULL)
        return false;
    fw_map_remove(&shard->topics, &oldest->node);
    fw_directory_forget(directory, shard, oldest);
    fw_topic_destroy(oldest);
    return true;
}

/* The topic of a name, made when it is new. The shard is locked. */
static int find_or_create(struct fw_directory *directory, struct fw_shard *shard,
                          struct fw_bytes name, uint64_t hash, struct fw_topic **topic_out)
{
    struct fw_map_node *node = fw_map_find(&shard->topics, name, hash);
    if (node != NULL) {
        *topic_out = topic_of(node);
        return 0;
    }
    if (shard->topics.count >= directory->topics_per_shard_max && !evict(directory, shard))
        return FW_ERR_LIMIT;
    uint64_t epoch = directory->epoch + atomic_fetch_add(&directory->created, 1);
    struct fw_topic *topic = fw_topic_create(name, epoch, directory->workers_count);
    if (topic == NULL)
        return -ENOMEM;
    topic->rules = fw_topic_rules_find(directory->rules, directory->rules_count, name);
    if (fw_map_add(&shard->topics, &topic->node, hash) != 0) {
        fw_topic_destroy(topic);
        return -ENOMEM;
    }
    *topic_out = topic;
    return 0;
}

static void free_posts(struct fw_post *posts)
{
    while (posts != NULL) {
        struct fw_post *next = fw_post_next(posts);
        fw_mem_free(posts);
        posts = next;
    }
}

/* Makes one post for each worker that listens, so that nothing can fail once the first is sent. */
static int prepare_posts(struct fw_directory *directory, struct fw_topic *topic, struct fw_msg *msg,
                         struct fw_post **posts_out, unsigned *count_out)
{
    *posts_out = NULL;
    *count_out = 0;
    for (unsigned i = directory->workers_count; i-- > 0;) {
        if (topic->interests[i].subscribers == 0)
            continue;
        struct fw_post *post = NULL;
        int error = FW_ERR_BUSY;
        if (fw_mailbox_has_room(directory->mailboxes[i], msg->payload_bytes)) {
            post = fw_mem_alloc(sizeof *post);
            error = -ENOMEM;
        }
        if (post == NULL) {
            free_posts(*posts_out);
            return error;
        }
        *post = (struct fw_post){.link.next = (void *)*posts_out, .topic = topic, .msg = msg};
        *posts_out = post;
        ++*count_out;
    }
    return 0;
}

static void send_posts(struct fw_directory *directory, struct fw_topic *topic,
                       struct fw_post *posts, uint64_t *wake_out)
{
    for (unsigned i = 0; posts != NULL; i++) {
        if (topic->interests[i].subscribers == 0)
            continue;
        struct fw_post *post = posts;
        posts = fw_post_next(posts);
        if (fw_mailbox_post(directory->mailboxes[i], post))
            wake_out[i / 64] |= (uint64_t)1 << (i % 64);
    }
}

static int publish_locked(struct fw_directory *directory, struct fw_shard *shard,
                          struct fw_topic *topic, struct fw_msg *msg, uint64_t *wake_out,
                          struct fw_published *published_out)
{
    struct fw_post *posts;
    unsigned posts_count;
    bool holds = topic->rules->history_count > 0;
    if (holds && fw_history_reserve(&topic->history, topic->rules) != 0)
        return -ENOMEM;
    int result = prepare_posts(directory, topic, msg, &posts, &posts_count);
    if (result != 0)
        return result;
    msg->topic = topic;
    msg->offset = ++topic->offset;
    msg->published_ms = (uint32_t)topic->used_ms;
    topic->owed += topic->subscribers;
    if (posts_count + holds > 0)
        fw_msg_hold(msg, posts_count + holds);
    if (holds)
        fw_directory_hold(directory, shard, topic, msg);
    if (posts_count > 0) {
        atomic_fetch_add_explicit(&topic->posts, posts_count, memory_order_relaxed);
        send_posts(directory, topic, posts, wake_out);
    }
    *published_out = (struct fw_published){
        .epoch = topic->epoch, .offset = topic->offset, .receivers = topic->subscribers};
    return 0;
}

int fw_directory_publish(struct fw_directory *directory, struct fw_bytes name, struct fw_msg *msg,
                         uint64_t now_ms, uint64_t *wake_out, struct fw_published *published_out)
{
    uint64_t hash;
    struct fw_topic *topic;
    struct fw_shard *shard = lock_shard(directory, name, &hash);
    int result = find_or_create(directory, shard, name, hash, &topic);
    if (result == 0) {
        topic->used_ms = now_ms;
        result = publish_locked(directory, shard, topic, msg, wake_out, published_out);
    }
    pthread_mutex_unlock(&shard->lock);
    return result;
}

/* A subscription has all messages before its `next`: it is live when those are all there are. What
 * is on its way to the worker it has already, and passes over as long as there may be some. */
static void settle(struct fw_subscription *subscription)
{
    struct fw_topic *topic = subscription->local->topic;
    enum fw_subscription_state state = FW_SUBSCRIPTION_BEHIND;
    if (subscription->next > topic->offset)
        state = atomic_load(&topic->posts) > 0 ? FW_SUBSCRIPTION_FRESH : FW_SUBSCRIPTION_LIVE;
    fw_subscription_set_state(subscription, state);
}

/* Joins a topic whose local is there. The shard is locked. */
static int join(struct fw_directory *directory, struct fw_shard *shard, struct fw_topic *topic,
                struct fw_topic_interest *interest, const struct fw_since *since,
                struct fw_subscription *subscription, struct fw_joined *joined_out)
{
    int result = fw_local_add(interest->local, subscription);
    if (result != 0)
        return result;
    fw_directory_expire(directory, shard, topic, topic->used_ms);
    *joined_out = fw_topic_join(topic, since);
    subscription->next = joined_out->offset + 1;
    settle(subscription);
    topic->owed += topic->offset - joined_out->offset;
    interest->subscribers++;
    topic->subscribers++;
    topic->subscribers_by[subscription->transport]++;
    return 0;
}

int fw_directory_subscribe(struct fw_directory *directory, unsigned worker, struct fw_bytes name,
                           uint64_t now_ms, const struct fw_since *since,
                           struct fw_subscription *subscription, struct fw_joined *joined_out)
{
    uint64_t hash;
    struct fw_topic *topic;
    struct fw_shard *shard = lock_shard(directory, name, &hash);
    int result = find_or_create(directory, shard, name, hash, &topic);
    if (result == 0) {
        struct fw_topic_interest *interest = &topic->interests[worker];
        topic->used_ms = now_ms;
        if (interest->local == NULL)
            interest->local = fw_local_create(topic);
        result = -ENOMEM;
        if (interest->local != NULL)
            result = join(directory, shard, topic, interest, since, subscription, joined_out);
        if (result != 0 && interest->local != NULL && interest->local->count == 0) {
            fw_local_destroy(interest->local);
            interest->local = NULL;
        }
    }
    pthread_mutex_unlock(&shard->lock);
    return result;
}

/* The shard of a topic whose hash is known, locked. */
static struct fw_shard *lock_topic(struct fw_directory *directory, const struct fw_topic *topic)
{
    struct fw_shard *shard = &directory->shards[topic->node.hash >> 58];
    pthread_mutex_lock(&shard->lock);
    return shard;
}

size_t fw_directory_page(struct fw_directory *directory, uint64_t now_ms,
                         struct fw_subscription *subscription, struct fw_msg **msgs_out,
                         size_t msgs_max, size_t bytes_max, uint64_t *missed_out)
{
    struct fw_topic *topic = subscription->local->topic;
    struct fw_shard *shard = lock_topic(directory, topic);
    size_t count = 0;
    size_t bytes = 0;
    fw_assert(subscription->state == FW_SUBSCRIPTION_BEHIND);
    fw_directory_expire(directory, shard, topic, now_ms);
    uint64_t oldest = fw_history_oldest(&topic->history, topic->offset);
    uint64_t next = subscription->next;
    *missed_out = oldest > next ? oldest - next : 0;
    next += *missed_out;
    uint64_t unsent = *missed_out;
    for (; next <= topic->offset && count < msgs_max; next++) {
        struct fw_msg *msg = fw_history_at(&topic->history, topic->offset, next);
        if (msg->lives_ms != 0 && fw_msg_age_ms(msg, now_ms) >= (int32_t)msg->lives_ms) {
            unsent++;
            continue;
        }
        if (count > 0 && bytes + msg->payload_bytes > bytes_max)
            break;
        bytes += msg->payload_bytes;
        fw_msg_hold(msg, 1);
        msgs_out[count++] = msg;
    }
    subscription->next = next;
    if (unsent > 0)
        atomic_fetch_add_explicit(&topic->dropped, unsent, memory_order_relaxed);
    settle(subscription);
    pthread_mutex_unlock(&shard->lock);
    return count;
}

void fw_directory_reached(struct fw_directory *directory, struct fw_subscription *subscription,
                          uint64_t next)
{
    struct fw_shard *shard = lock_topic(directory, subscription->local->topic);
    fw_assert(subscription->state == FW_SUBSCRIPTION_BEHIND && next > subscription->next);
    subscription->next = next;
    settle(subscription);
    pthread_mutex_unlock(&shard->lock);
}

/* What a subscriber that leaves was still to get: what has not been fanned out here, or what it has
 * not taken from the history. */
static uint64_t left_behind(const struct fw_subscription *subscription)
{
    const struct fw_local *local = subscription->local;
    uint64_t has = subscription->next - 1;
    if (subscription->state != FW_SUBSCRIPTION_BEHIND && local->newest > has)
        has = local->newest;
    return local->topic->offset - has;
}

void fw_directory_unsubscribe(struct fw_directory *directory, unsigned worker, uint64_t now_ms,
                              struct fw_subscription *subscription)
{
    struct fw_local *local = subscription->local;
    struct fw_topic *topic = local->topic;
    struct fw_shard *shard = lock_topic(directory, topic);
    struct fw_topic_interest *interest = &topic->interests[worker];
    fw_assert(interest->local == local && interest->subscribers > 0);
    uint64_t left = left_behind(subscription);
    if (left > 0)
        atomic_fetch_add_explicit(&topic->left, left, memory_order_relaxed);
    fw_local_remove(subscription);
    interest->subscribers--;
    topic->subscribers--;
    topic->subscribers_by[subscription->transport]--;
    topic->used_ms = now_ms;
    if (local->count == 0) {
        fw_local_destroy(local);
        interest->local = NULL;
    }
    pthread_mutex_unlock(&shard->lock);
}

int fw_directory_info(struct fw_directory *directory, struct fw_bytes name,
                      struct fw_topic_info *info_out)
{
    uint64_t hash;
    struct fw_shard *shard = lock_shard(directory, name, &hash);
    struct fw_map_node *node = fw_map_find(&shard->topics, name, hash);
    if (node != NULL) {
        struct fw_topic *topic = topic_of(node);
        *info_out = (struct fw_topic_info){
            .epoch = topic->epoch,
            .offset = topic->offset,
            .subscribers = topic->subscribers,
            .subscribers_sse = topic->subscribers_by[FW_TRANSPORT_SSE],
            .subscribers_longpoll = topic->subscribers_by[FW_TRANSPORT_LONGPOLL],
            .history_oldest = fw_history_oldest(&topic->history, topic->offset),
            .history_count = topic->history.count,
            .history_bytes = topic->history.bytes,
            .owed = topic->owed,
            .delivered = atomic_load_explicit(&topic->delivered, memory_order_relaxed),
            .dropped = atomic_load_explicit(&topic->dropped, memory_order_relaxed),
            .left = atomic_load_explicit(&topic->left, memory_order_relaxed),
        };
    }
    pthread_mutex_unlock(&shard->lock);
    return node == NULL ? FW_ERR_ABSENT : 0;
}

size_t fw_directory_count(struct fw_directory *directory)
{
    size_t count = 0;
    for (unsigned i = 0; i < FW_DIRECTORY_SHARDS; i++) {
        struct fw_shard *shard = &directory->shards[i];
        pthread_mutex_lock(&shard->lock);
        count += shard->topics.count;
        pthread_mutex_unlock(&shard->lock);
    }
    return count;
}

/* A bucket of a map that had so many when the walk came to it. Maps grow by doubling, so that what
 * was in it is in those that lie so far apart. */
static size_t add_bucket(const struct fw_map *topics, size_t bucket, size_t buckets_count,
                         struct fw_busiest *busiest)
{
    size_t added = 0;
    for (; bucket < topics->buckets_count; bucket += buckets_count) {
        for (struct fw_map_node *node = topics->buckets[bucket]; node != NULL; node = node->next) {
            fw_busiest_add(busiest, topic_of(node));
            added++;
        }
    }
    return added;
}

bool fw_directory_walk(struct fw_directory *directory, struct fw_directory_walk *walk,
                       size_t topics_max, struct fw_busiest *busiest)
{
    size_t added = 0;
    while (walk->shard < FW_DIRECTORY_SHARDS && added < topics_max) {
        struct fw_shard *shard = &directory->shards[walk->shard];
        pthread_mutex_lock(&shard->lock);
        if (walk->buckets_count == 0)
            walk->buckets_count = shard->topics.buckets_count;
        for (; walk->bucket < walk->buckets_count && added < topics_max; walk->bucket++)
            added += add_bucket(&shard->topics, walk->bucket, walk->buckets_count, busiest);
        pthread_mutex_unlock(&shard->lock);
        if (walk->bucket == walk->buckets_count)
            *walk = (struct fw_directory_walk){.shard = walk->shard + 1};
    }
    return walk->shard == FW_DIRECTORY_SHARDS;
}
