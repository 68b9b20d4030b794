/* directory.c: see directory.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/directory.h"

#include "base/check.h"
#include "base/mem.h"

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
static bool evict(struct fw_shard *shard)
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
    if (shard->topics.count >= directory->topics_per_shard_max && !evict(shard))
        return FW_ERR_LIMIT;
    uint64_t epoch = directory->epoch + atomic_fetch_add(&directory->created, 1);
    struct fw_topic *topic = fw_topic_create(name, epoch, directory->workers_count);
    if (topic == NULL)
        return -ENOMEM;
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
        struct fw_post *next = posts->next;
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
        *post = (struct fw_post){.next = *posts_out, .topic = topic, .msg = msg};
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
        posts = posts->next;
        if (fw_mailbox_post(directory->mailboxes[i], post))
            wake_out[i / 64] |= (uint64_t)1 << (i % 64);
    }
}

static int publish_locked(struct fw_directory *directory, struct fw_topic *topic,
                          struct fw_msg *msg, uint64_t *wake_out,
                          struct fw_published *published_out)
{
    struct fw_post *posts;
    unsigned posts_count;
    int result = prepare_posts(directory, topic, msg, &posts, &posts_count);
    if (result != 0)
        return result;
    msg->offset = ++topic->offset;
    if (posts_count > 0) {
        fw_msg_hold(msg, posts_count);
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
        result = publish_locked(directory, topic, msg, wake_out, published_out);
    }
    pthread_mutex_unlock(&shard->lock);
    return result;
}

int fw_directory_subscribe(struct fw_directory *directory, unsigned worker, struct fw_bytes name,
                           uint64_t now_ms, struct fw_subscription *subscription)
{
    uint64_t hash;
    struct fw_topic *topic;
    struct fw_shard *shard = lock_shard(directory, name, &hash);
    int result = find_or_create(directory, shard, name, hash, &topic);
    if (result == 0) {
        struct fw_topic_interest *interest = &topic->interests[worker];
        if (interest->local == NULL)
            interest->local = fw_local_create(topic);
        result = interest->local == NULL ? -ENOMEM : fw_local_add(interest->local, subscription);
        if (result == 0) {
            interest->subscribers++;
            topic->subscribers++;
        } else if (interest->local != NULL && interest->local->count == 0) {
            fw_local_destroy(interest->local);
            interest->local = NULL;
        }
        topic->used_ms = now_ms;
    }
    pthread_mutex_unlock(&shard->lock);
    return result;
}

void fw_directory_unsubscribe(struct fw_directory *directory, unsigned worker, uint64_t now_ms,
                              struct fw_subscription *subscription)
{
    uint64_t hash;
    struct fw_local *local = subscription->local;
    struct fw_topic *topic = local->topic;
    struct fw_shard *shard = lock_shard(directory, topic->node.name, &hash);
    struct fw_topic_interest *interest = &topic->interests[worker];
    fw_assert(interest->local == local && interest->subscribers > 0);
    fw_local_remove(subscription);
    interest->subscribers--;
    topic->subscribers--;
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
        const struct fw_topic *topic = topic_of(node);
        *info_out = (struct fw_topic_info){
            .epoch = topic->epoch, .offset = topic->offset, .subscribers = topic->subscribers};
    }
    pthread_mutex_unlock(&shard->lock);
    return node == NULL ? FW_ERR_ABSENT : 0;
}
