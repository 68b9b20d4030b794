/* test_directory.c: topics as all threads share them (net/server/directory.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/directory.h"

#include "base/limits.h"
#include "base/mem.h"
#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define WORKERS 3

struct rig {
    struct fw_directory directory;
    struct fw_mailbox boxes[WORKERS];
    struct fw_mailbox *mailboxes[WORKERS];
    uint64_t wake[FW_WORKERS_MAX / 64];
    struct fw_published published;
};

static const uint64_t random_of[3] = {0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0};

static const struct fw_since now = {.kind = FW_SINCE_NOW};

static struct rig *rig_create(uint32_t topics_max)
{
    struct rig *rig = calloc(1, sizeof *rig);
    for (unsigned i = 0; i < WORKERS; i++) {
        fw_mailbox_init(&rig->boxes[i]);
        rig->mailboxes[i] = &rig->boxes[i];
    }
    fw_directory_init(&rig->directory, random_of, topics_max, WORKERS, rig->mailboxes);
    return rig;
}

/* What a worker does with its posts, without the fan-out.
 *
 * returns      how many there were
 */
static unsigned drain(struct rig *rig, unsigned worker)
{
    unsigned count = 0;
    struct fw_post *post = fw_mailbox_take(&rig->boxes[worker]);
    while (post != NULL) {
        struct fw_post *next = fw_post_next(post);
        fw_mailbox_done(&rig->boxes[worker], fw_post_bytes(post));
        atomic_fetch_sub(&post->topic->posts, 1);
        fw_msg_drop(post->msg);
        fw_mem_free(post);
        post = next;
        count++;
    }
    return count;
}

static void rig_destroy(struct rig *rig)
{
    for (unsigned i = 0; i < WORKERS; i++)
        drain(rig, i);
    fw_directory_clear(&rig->directory);
    free(rig);
}

static int publish_bytes(struct rig *rig, const char *topic, size_t bytes, uint64_t now_ms)
{
    static uint8_t payload[1 << 20];
    struct fw_msg *msg = fw_msg_create(1, (struct fw_bytes){payload, bytes});
    cr_assert_not_null(msg);
    memset(rig->wake, 0, sizeof rig->wake);
    int result = fw_directory_publish(&rig->directory, fw_bytes_of(topic), msg, now_ms, rig->wake,
                                      &rig->published);
    fw_msg_drop(msg);
    return result;
}

static int publish(struct rig *rig, const char *topic)
{
    return publish_bytes(rig, topic, 5, 1000);
}

static void subscribe(struct rig *rig, unsigned worker, const char *topic,
                      struct fw_subscription *subscription)
{
    *subscription = (struct fw_subscription){0};
    struct fw_joined joined;
    cr_assert_eq(fw_directory_subscribe(&rig->directory, worker, fw_bytes_of(topic), 1000, &now,
                                        subscription, &joined),
                 0);
}

static struct fw_topic_info info_of(struct rig *rig, const char *topic)
{
    struct fw_topic_info info;
    cr_assert_eq(fw_directory_info(&rig->directory, fw_bytes_of(topic), &info), 0);
    return info;
}

/* ---- publishing ------------------------------------------------------------------------------ */

Test(directory, counts_the_messages_of_each_topic_from_1)
{
    struct rig *rig = rig_create(1000);
    for (uint64_t i = 1; i <= 5; i++) {
        cr_assert_eq(publish(rig, "a"), 0);
        cr_assert_eq(rig->published.offset, i);
    }
    cr_assert_eq(publish(rig, "b"), 0);
    cr_assert_eq(rig->published.offset, 1u);
    cr_assert_eq(info_of(rig, "a").offset, 5u);
    rig_destroy(rig);
}

Test(directory, gives_every_topic_an_epoch_of_its_own)
{
    struct rig *rig = rig_create(1000);
    uint64_t seen[50];
    for (unsigned i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        cr_assert_eq(publish(rig, name), 0);
        seen[i] = rig->published.epoch;
        for (unsigned k = 0; k < i; k++)
            cr_assert_neq(seen[k], seen[i]);
        cr_assert_eq(publish(rig, name), 0);
        cr_assert_eq(rig->published.epoch, seen[i], "and it stays the same");
    }
    rig_destroy(rig);
}

Test(directory, posts_to_the_workers_that_listen_and_says_whom_to_wake)
{
    struct rig *rig = rig_create(1000);
    struct fw_subscription on_0;
    struct fw_subscription on_2;
    struct fw_subscription also_on_2;
    subscribe(rig, 0, "a", &on_0);
    subscribe(rig, 2, "a", &on_2);
    subscribe(rig, 2, "a", &also_on_2);
    cr_assert_eq(publish(rig, "a"), 0);
    cr_assert_eq(rig->published.receivers, 3u);
    cr_assert_eq(rig->wake[0], 5u, "workers 0 and 2");
    cr_assert_eq(publish(rig, "a"), 0);
    cr_assert_eq(rig->wake[0], 0u, "they are awake");
    cr_assert_eq(publish(rig, "b"), 0);
    cr_assert_eq(rig->published.receivers, 0u);
    cr_assert_eq(drain(rig, 0), 2u);
    cr_assert_eq(drain(rig, 1), 0u);
    cr_assert_eq(drain(rig, 2), 2u, "once a worker, however many listen there");
    fw_directory_unsubscribe(&rig->directory, 0, 1000, &on_0);
    cr_assert_eq(publish(rig, "a"), 0);
    cr_assert_eq(rig->wake[0], 4u);
    cr_assert_eq(rig->published.receivers, 2u);
    fw_directory_unsubscribe(&rig->directory, 2, 1000, &on_2);
    fw_directory_unsubscribe(&rig->directory, 2, 1000, &also_on_2);
    cr_assert_eq(info_of(rig, "a").subscribers, 0u);
    rig_destroy(rig);
}

Test(directory, puts_the_offset_into_the_message)
{
    struct rig *rig = rig_create(1000);
    struct fw_subscription subscription;
    subscribe(rig, 1, "a", &subscription);
    for (uint64_t i = 1; i <= 3; i++)
        cr_assert_eq(publish(rig, "a"), 0);
    struct fw_post *posts = fw_mailbox_take(&rig->boxes[1]);
    uint64_t offset = 0;
    for (struct fw_post *post = posts; post != NULL; post = fw_post_next(post))
        cr_assert_eq(post->msg->offset, ++offset);
    cr_assert_eq(offset, 3u);
    while (posts != NULL) {
        struct fw_post *next = fw_post_next(posts);
        fw_msg_drop(posts->msg);
        fw_mem_free(posts);
        posts = next;
    }
    fw_directory_unsubscribe(&rig->directory, 1, 1000, &subscription);
    rig_destroy(rig);
}

Test(directory, is_busy_when_one_listening_worker_is_behind_and_then_nothing_happens)
{
    struct rig *rig = rig_create(1000);
    struct fw_subscription on_0;
    struct fw_subscription on_1;
    subscribe(rig, 0, "a", &on_0);
    subscribe(rig, 1, "a", &on_1);
    unsigned count = 0;
    while (publish_bytes(rig, "a", 1 << 20, 1000) == 0) {
        drain(rig, 0); /* worker 0 keeps up, worker 1 does not */
        cr_assert_lt(count++, 100u);
    }
    cr_assert_eq(publish_bytes(rig, "a", 1 << 20, 1000), FW_ERR_BUSY);
    cr_assert_eq(rig->wake[0], 0u);
    cr_assert_eq(info_of(rig, "a").offset, (uint64_t)count, "no offset is used up");
    cr_assert_eq(drain(rig, 0), 0u, "nobody got half of it");
    cr_assert_eq(publish_bytes(rig, "b", 1 << 20, 1000), 0, "other topics go on");
    cr_assert_eq(drain(rig, 1), count);
    cr_assert_eq(publish_bytes(rig, "a", 1 << 20, 1000), 0);
    fw_directory_unsubscribe(&rig->directory, 0, 1000, &on_0);
    fw_directory_unsubscribe(&rig->directory, 1, 1000, &on_1);
    rig_destroy(rig);
}

/* ---- subscribing ----------------------------------------------------------------------------- */

Test(directory, makes_a_topic_by_subscribing_and_counts_its_subscribers)
{
    struct rig *rig = rig_create(1000);
    struct fw_subscription subscriptions[4];
    struct fw_topic_info info;
    cr_assert_eq(fw_directory_info(&rig->directory, fw_bytes_of("a"), &info), FW_ERR_ABSENT);
    for (unsigned i = 0; i < 4; i++)
        subscribe(rig, i % WORKERS, "a", &subscriptions[i]);
    cr_assert_eq(info_of(rig, "a").subscribers, 4u);
    cr_assert_eq(info_of(rig, "a").offset, 0u);
    for (unsigned i = 0; i < 4; i++)
        fw_directory_unsubscribe(&rig->directory, i % WORKERS, 1000, &subscriptions[i]);
    cr_assert_eq(info_of(rig, "a").subscribers, 0u);
    rig_destroy(rig);
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* One topic a shard: the next name of a shard takes the place of the one that nobody uses. */
Test(directory, lets_go_of_the_topic_that_was_left_alone_for_longest)
{
    struct rig *rig = rig_create(2 * FW_DIRECTORY_SHARDS);
    char names[1000][16];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(names[i], sizeof names[i], "t%u", i);
        cr_assert_eq(publish_bytes(rig, names[i], 1, 1000 + i), 0);
        if (i > 0)
            cr_assert_eq(publish_bytes(rig, names[0], 1, 1000 + i), 0);
    }
    size_t count = 0;
    for (unsigned i = 0; i < FW_DIRECTORY_SHARDS; i++)
        count += rig->directory.shards[i].topics.count;
    cr_assert_eq(count, 2u * FW_DIRECTORY_SHARDS);
    cr_assert_eq(info_of(rig, names[0]).offset, 1000u, "the one in use has stayed");
    cr_assert_eq(info_of(rig, names[999]).offset, 1u, "and so has the newest");
    rig_destroy(rig);
}

Test(directory, begins_a_new_epoch_for_a_name_that_was_let_go_of)
{
    struct rig *rig = rig_create(FW_DIRECTORY_SHARDS);
    cr_assert_eq(publish(rig, "a"), 0);
    uint64_t epoch = rig->published.epoch;
    struct fw_topic_info info;
    char name[16];
    for (unsigned i = 0; fw_directory_info(&rig->directory, fw_bytes_of("a"), &info) == 0; i++) {
        cr_assert_lt(i, 10000u);
        snprintf(name, sizeof name, "t%u", i);
        cr_assert_eq(publish_bytes(rig, name, 1, 2000 + i), 0);
    }
    cr_assert_eq(publish(rig, "a"), 0);
    cr_assert_eq(rig->published.offset, 1u);
    cr_assert_neq(rig->published.epoch, epoch, "no position means two messages");
    rig_destroy(rig);
}

/* A name of the same shard as another, which a directory of one topic a shard has no room for. */
static const char *sibling_of(struct rig *rig, const char *name)
{
    static char other[16];
    uint64_t shard = fw_siphash(rig->directory.key, fw_bytes_of(name)) >> 58;
    for (unsigned i = 0;; i++) {
        snprintf(other, sizeof other, "s%u", i);
        if (fw_siphash(rig->directory.key, fw_bytes_of(other)) >> 58 == shard)
            return other;
    }
}

Test(directory, says_LIMIT_rather_than_let_go_of_a_topic_in_use)
{
    struct rig *rig = rig_create(FW_DIRECTORY_SHARDS);
    struct fw_subscription subscription;
    struct fw_subscription other = {0};
    subscribe(rig, 0, "a", &subscription);
    const char *sibling = sibling_of(rig, "a");
    cr_assert_eq(publish(rig, sibling), FW_ERR_LIMIT, "somebody is on it");
    cr_assert_eq(fw_directory_subscribe(&rig->directory, 0, fw_bytes_of(sibling), 1, &now, &other,
                                        &(struct fw_joined){0}),
                 FW_ERR_LIMIT);
    cr_assert_null(other.local);
    cr_assert_eq(publish(rig, "a"), 0);
    fw_directory_unsubscribe(&rig->directory, 0, 1000, &subscription);
    cr_assert_eq(publish(rig, sibling), FW_ERR_LIMIT, "a message of it is on its way");
    cr_assert_eq(drain(rig, 0), 1u);
    cr_assert_eq(publish(rig, sibling), 0);
    rig_destroy(rig);
}

/* ---- without memory -------------------------------------------------------------------------- */

Test(directory, publishes_to_all_or_to_nobody_whichever_allocation_fails)
{
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        struct rig *rig = rig_create(1000);
        struct fw_subscription subscriptions[WORKERS];
        for (unsigned i = 0; i < WORKERS; i++)
            subscribe(rig, i, "a", &subscriptions[i]);
        struct fw_msg *msg = fw_msg_create(1, fw_bytes_of("x"));
        uint64_t wake[FW_WORKERS_MAX / 64] = {0};
        fail_mem_at(k, FAIL_ONCE);
        int result =
            fw_directory_publish(&rig->directory, fw_bytes_of("a"), msg, 1, wake, &rig->published);
        failed = fail_mem_off();
        cr_assert_eq(result, failed ? -ENOMEM : 0);
        cr_assert_eq(wake[0], failed ? 0u : 7u);
        cr_assert_eq(atomic_load(&msg->references), failed ? 1u : 1u + WORKERS);
        for (unsigned i = 0; i < WORKERS; i++)
            cr_assert_eq(drain(rig, i), failed ? 0u : 1u);
        fw_msg_drop(msg);
        for (unsigned i = 0; i < WORKERS; i++)
            fw_directory_unsubscribe(&rig->directory, i, 1000, &subscriptions[i]);
        rig_destroy(rig);
    }
}

Test(directory, makes_no_half_topic_whichever_allocation_fails)
{
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        struct rig *rig = rig_create(1000);
        struct fw_subscription subscription = {0};
        fail_mem_at(k, FAIL_ONCE);
        int result = fw_directory_subscribe(&rig->directory, 1, fw_bytes_of("a"), 1, &now,
                                            &subscription, &(struct fw_joined){0});
        failed = fail_mem_off();
        cr_assert_eq(result, failed ? -ENOMEM : 0);
        cr_assert_eq(subscription.local == NULL, failed);
        if (failed)
            subscribe(rig, 1, "a", &subscription);
        cr_assert_eq(info_of(rig, "a").subscribers, 1u);
        fw_directory_unsubscribe(&rig->directory, 1, 1, &subscription);
        rig_destroy(rig);
    }
}

/* ---- several threads ------------------------------------------------------------------------- */

/* Criterion's asserts are for the test's own thread. */
static void must(bool fact, const char *what)
{
    if (!fact) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

#define PUBLISHERS 3
#define MESSAGES   3000

struct actor {
    struct rig *rig;
    unsigned index;
    pthread_t thread;
    atomic_uint *publishing;
};

static void *publish_many(void *context)
{
    struct actor *actor = context;
    for (unsigned i = 0; i < MESSAGES; i++) {
        uint64_t wake[FW_WORKERS_MAX / 64] = {0};
        struct fw_published published;
        struct fw_msg *msg = fw_msg_create(1, fw_bytes_of("x"));
        must(fw_directory_publish(&actor->rig->directory, fw_bytes_of("a"), msg, i, wake,
                                  &published) == 0,
             "a publish failed");
        fw_msg_drop(msg);
    }
    atomic_fetch_sub(actor->publishing, 1);
    return NULL;
}

/* A worker that comes and goes: while it is subscribed it gets every message, in the topic's order,
 * without a gap. */
static void *listen_on_and_off(void *context)
{
    struct actor *actor = context;
    struct rig *rig = actor->rig;
    while (atomic_load(actor->publishing) > 0) {
        struct fw_subscription subscription = {0};
        uint64_t last = 0;
        must(fw_directory_subscribe(&rig->directory, actor->index, fw_bytes_of("a"), 1000, &now,
                                    &subscription, &(struct fw_joined){0}) == 0,
             "a subscribe failed");
        for (unsigned i = 0; i < 50; i++) {
            struct fw_post *post = fw_mailbox_take(&rig->boxes[actor->index]);
            while (post != NULL) {
                struct fw_post *next = fw_post_next(post);
                must(last == 0 || post->msg->offset == last + 1, "a message is missing");
                last = post->msg->offset;
                fw_mailbox_done(&rig->boxes[actor->index], fw_post_bytes(post));
                atomic_fetch_sub_explicit(&post->topic->posts, 1, memory_order_release);
                fw_msg_drop(post->msg);
                fw_mem_free(post);
                post = next;
            }
        }
        fw_directory_unsubscribe(&rig->directory, actor->index, 1000, &subscription);
        drain(rig, actor->index);
    }
    return NULL;
}

Test(directory, gives_listeners_of_all_threads_one_order_without_gaps, .timeout = 120)
{
    struct rig *rig = rig_create(1000);
    atomic_uint publishing = PUBLISHERS;
    struct actor actors[PUBLISHERS + WORKERS];
    for (unsigned i = 0; i < PUBLISHERS + WORKERS; i++) {
        actors[i] = (struct actor){
            .rig = rig, .index = i < PUBLISHERS ? i : i - PUBLISHERS, .publishing = &publishing};
        cr_assert_eq(pthread_create(&actors[i].thread, NULL,
                                    i < PUBLISHERS ? publish_many : listen_on_and_off, &actors[i]),
                     0);
    }
    for (unsigned i = 0; i < PUBLISHERS + WORKERS; i++)
        pthread_join(actors[i].thread, NULL);
    cr_assert_eq(info_of(rig, "a").offset, (uint64_t)PUBLISHERS * MESSAGES);
    cr_assert_eq(info_of(rig, "a").subscribers, 0u);
    rig_destroy(rig);
}

/* ---- all topics ------------------------------------------------------------------------------ */

static void walk_all(struct rig *rig, size_t topics_max, struct fw_busiest *busiest)
{
    struct fw_directory_walk walk = {.shard = 0};
    fw_busiest_init(busiest);
    while (!fw_directory_walk(&rig->directory, &walk, topics_max, busiest))
        continue;
}

Test(directory, lists_the_busiest_topics_of_all_shards)
{
    struct rig *rig = rig_create(10000);
    struct fw_busiest *busiest = malloc(sizeof *busiest);
    struct fw_subscription subscriptions[2];
    walk_all(rig, 1000, busiest);
    cr_assert_eq(busiest->all, 0u);
    for (unsigned i = 0; i < 300; i++) {
        char name[16];
        sprintf(name, "t%u", i);
        cr_assert_eq(publish(rig, name), 0);
    }
    subscribe(rig, 0, "t7", &subscriptions[0]);
    subscribe(rig, 2, "t7", &subscriptions[1]);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(publish(rig, "t7"), 0);
    walk_all(rig, 7, busiest);
    cr_assert_eq(busiest->all, 300u);
    cr_assert_eq(fw_directory_count(&rig->directory), 300u);
    cr_assert_eq(busiest->count, FW_BUSIEST_MAX);
    cr_assert_eq(busiest->messages, 303u);
    cr_assert_eq(busiest->owed, 6u);
    cr_assert_eq(busiest->subscribers_by[FW_TRANSPORT_WS], 2u);
    const struct fw_busy_topic *first = &busiest->topics[busiest->order[0]];
    cr_assert_str_eq(first->name, "t7");
    cr_assert_eq(first->offset, 4u);
    cr_assert_eq(first->epoch, info_of(rig, "t7").epoch);
    cr_assert_eq(first->subscribers_by[FW_TRANSPORT_WS], 2u);
    for (unsigned i = 0; i < 2; i++)
        fw_directory_unsubscribe(&rig->directory, i * 2, 1000, &subscriptions[i]);
    free(busiest);
    rig_destroy(rig);
}

/* Topics that come while a walk is on their shard double its buckets: those that were there before
 * are still found, and once. */
Test(directory, is_walked_while_it_grows)
{
    struct rig *rig = rig_create(100000);
    struct fw_busiest *busiest = malloc(sizeof *busiest);
    struct fw_directory_walk walk = {.shard = 0};
    char name[16];
    unsigned topics = 0;
    for (; topics < 3000; topics++) {
        sprintf(name, "old%u", topics);
        cr_assert_eq(publish(rig, name), 0);
        cr_assert_eq(publish(rig, name), 0);
    }
    fw_busiest_init(busiest);
    unsigned steps = 0;
    while (!fw_directory_walk(&rig->directory, &walk, 10, busiest)) {
        for (unsigned i = 0; i < 5; i++) {
            sprintf(name, "new%u", topics++);
            cr_assert_eq(publish(rig, name), 0);
        }
        cr_assert_lt(++steps, 10000u, "it ends");
    }
    cr_assert_geq(steps, 250u, "10 at a time");
    /* Of messages the old have 2 each, the new 1: 3000 old ones, once each, and any new ones. */
    cr_assert_eq(busiest->messages - busiest->all, 3000u);
    free(busiest);
    rig_destroy(rig);
}

/* ---- histories that nobody publishes to ------------------------------------------------------ */

static const struct fw_topic_rules aging = {
    .prefix = "", .history_count = 100, .history_bytes = 1 << 20, .history_age_ms = 5000};

/* Every shard, as the workers do once a second. */
static void age(struct rig *rig, uint64_t now_ms)
{
    for (unsigned i = 0; i < FW_DIRECTORY_SHARDS; i++)
        fw_directory_age(&rig->directory, i, now_ms);
}

Test(directory_age, lets_go_of_what_is_too_old_and_of_nothing_else)
{
    struct rig *rig = rig_create(1000);
    fw_directory_set_rules(&rig->directory, &aging, 1, 1 << 30);
    age(rig, 1000);
    for (uint64_t i = 0; i < 10; i++)
        cr_assert_eq(publish_bytes(rig, "a", 100, 1000 + i * 500), 0);
    uint64_t all_bytes = fw_directory_held_bytes(&rig->directory);
    age(rig, 6000);
    cr_assert_eq(fw_directory_held_bytes(&rig->directory), all_bytes, "5 s old is not too old");
    age(rig, 6001);
    cr_assert_eq(fw_directory_held_bytes(&rig->directory), all_bytes / 10 * 9);
    age(rig, 8001);
    cr_assert_eq(fw_directory_held_bytes(&rig->directory), all_bytes / 10 * 5);
    cr_assert_eq(info_of(rig, "a").offset, 10u, "the count goes on");
    age(rig, 15001);
    cr_assert_eq(fw_directory_held_bytes(&rig->directory), 0u);
    age(rig, 20000);
    cr_assert_eq(publish_bytes(rig, "a", 100, 20000), 0);
    cr_assert_eq(rig->published.offset, 11u);
    cr_assert_eq(fw_directory_held_bytes(&rig->directory), all_bytes / 10, "it is held again");
    rig_destroy(rig);
}

/* Bounded work: of many topics of a shard some are looked at, and the others by the next calls. */
Test(directory_age, reaches_every_topic_by_and_by)
{
    struct rig *rig = rig_create(100000);
    fw_directory_set_rules(&rig->directory, &aging, 1, 1 << 30);
    char name[16];
    for (unsigned i = 0; i < 40000; i++) {
        sprintf(name, "t%u", i);
        cr_assert_eq(publish_bytes(rig, name, 10, 1000), 0);
    }
    uint64_t all_bytes = fw_directory_held_bytes(&rig->directory);
    age(rig, 7000);
    uint64_t left_bytes = fw_directory_held_bytes(&rig->directory);
    cr_assert(left_bytes > 0 && left_bytes < all_bytes, "some of them");
    unsigned rounds = 1;
    for (; fw_directory_held_bytes(&rig->directory) > 0; rounds++) {
        cr_assert_lt(rounds, 20u, "%lu bytes are left",
                     (unsigned long)fw_directory_held_bytes(&rig->directory));
        age(rig, 7000 + rounds);
    }
    rig_destroy(rig);
}

/* Topics that keep theirs longer stand in the same rings, and hold up nobody. */
Test(directory_age, goes_by_each_topics_own_rules)
{
    static const struct fw_topic_rules rules[] = {
        {.prefix = "", .history_count = 100, .history_bytes = 1 << 20, .history_age_ms = 5000},
        {.prefix = "long.",
         .history_count = 100,
         .history_bytes = 1 << 20,
         .history_age_ms = 60000},
    };
    struct rig *rig = rig_create(10000);
    fw_directory_set_rules(&rig->directory, rules, 2, 1 << 30);
    char name[16];
    for (unsigned i = 0; i < 500; i++) {
        sprintf(name, "%s%u", i % 2 == 0 ? "long." : "short.", i);
        cr_assert_eq(publish_bytes(rig, name, 10, 1000), 0);
    }
    uint64_t all_bytes = fw_directory_held_bytes(&rig->directory);
    for (unsigned i = 0; i < 5; i++)
        age(rig, 7000);
    cr_assert_eq(fw_directory_held_bytes(&rig->directory), all_bytes / 2);
    for (unsigned i = 0; i < 5; i++)
        age(rig, 61001);
    cr_assert_eq(fw_directory_held_bytes(&rig->directory), 0u);
    rig_destroy(rig);
}
