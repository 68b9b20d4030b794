/* test_holdings.c: the histories of all topics under one ceiling, and pages of them
 * (net/server/holdings.h, directory.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/directory.h"

#include "base/limits.h"
#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CEILING ((uint64_t)256 * 1024)

static struct fw_directory directory;
static struct fw_mailbox box;
static struct fw_mailbox *boxes[] = {&box};
static struct fw_topic_rules rules;

static const uint64_t random_of[3] = {0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0};

static void set_up(void)
{
    rules = (struct fw_topic_rules){
        .prefix = "", .history_count = 1000, .history_bytes = CEILING, .history_age_ms = 10000};
    fw_mailbox_init(&box);
    fw_directory_init(&directory, random_of, 100000, 1, boxes);
    fw_directory_set_rules(&directory, &rules, 1, CEILING);
}

static void tear_down(void)
{
    fw_directory_clear(&directory);
}

TestSuite(holdings, .init = set_up, .fini = tear_down, .timeout = 120);

static int publish(const char *topic, size_t bytes, uint64_t now_ms)
{
    static const uint8_t payload[CEILING + 1];
    struct fw_msg *msg = fw_msg_create(1, (struct fw_bytes){payload, bytes});
    uint64_t wake[FW_WORKERS_MAX / 64] = {0};
    struct fw_published published;
    int result =
        fw_directory_publish(&directory, fw_bytes_of(topic), msg, now_ms, wake, &published);
    fw_msg_drop(msg);
    return result;
}

static struct fw_topic_info info_of(const char *topic)
{
    struct fw_topic_info info;
    cr_assert_eq(fw_directory_info(&directory, fw_bytes_of(topic), &info), 0);
    return info;
}

static uint64_t held(void)
{
    return atomic_load(&directory.held_bytes);
}

Test(holdings, stay_beneath_the_ceiling_and_let_the_oldest_go_first)
{
    char name[16];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "t%u", i % 500);
        cr_assert_eq(publish(name, 100, 1000 + i), 0);
        cr_assert_leq(held(), CEILING);
    }
    uint64_t bytes = 0;
    unsigned stale = 0;
    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "t%u", i);
        struct fw_topic_info info = info_of(name);
        bytes += info.history_bytes;
        stale += info.history_count > 0 && info.history_oldest < 5;
    }
    cr_assert_eq(bytes, held(), "what is counted is what is held");
    cr_assert_gt(bytes, CEILING / 2, "and not much less than may be");
    cr_assert_lt(stale, 50u, "%u of 500 topics hold what is older than half of all", stale);
}

Test(holdings, of_one_busy_topic_may_take_all_there_is)
{
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "old%u", i);
        cr_assert_eq(publish(name, 1000, 1000), 0);
    }
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(publish("busy", 1000, 2000 + i), 0);
    cr_assert_gt(info_of("busy").history_bytes, CEILING * 8 / 10);
    cr_assert_leq(held(), CEILING);
}

Test(holdings, keep_no_gap_behind_a_message_that_is_too_large)
{
    cr_assert_eq(publish("a", 10, 1000), 0);
    cr_assert_eq(publish("a", CEILING + 1, 1000), 0);
    cr_assert_eq(info_of("a").history_count, 0u);
    cr_assert_eq(info_of("a").history_oldest, 3u);
    cr_assert_eq(held(), 0u);
    cr_assert_eq(publish("a", 10, 1000), 0);
    cr_assert_eq(info_of("a").history_oldest, 3u);
    cr_assert_eq(info_of("a").history_count, 1u);
}

Test(holdings, let_go_of_what_is_too_old_in_topics_that_nobody_publishes_to)
{
    char name[16];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "t%u", i);
        cr_assert_eq(publish(name, 100, 1000), 0);
    }
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "u%u", i % 64);
        cr_assert_eq(publish(name, 1, 20000), 0);
    }
    unsigned count = 0;
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "t%u", i);
        count += info_of(name).history_count;
    }
    cr_assert_lt(count, 60u, "%u of 200 are still held", count);
}

Test(holdings, are_nothing_once_there_are_no_topics)
{
    cr_assert_eq(publish("a", 100, 1000), 0);
    fw_directory_clear(&directory);
    set_up();
    cr_assert_eq(held(), 0u);
}

Test(holdings, publish_or_do_not_whichever_allocation_fails)
{
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        struct fw_msg *msg = fw_msg_create(1, fw_bytes_of("x"));
        uint64_t wake[FW_WORKERS_MAX / 64] = {0};
        struct fw_published published;
        fail_mem_at(k, FAIL_ONCE);
        int result = fw_directory_publish(&directory, fw_bytes_of("a"), msg, 1, wake, &published);
        failed = fail_mem_off();
        fw_msg_drop(msg);
        cr_assert_eq(result, failed ? -ENOMEM : 0);
    }
    cr_assert_eq(info_of("a").offset, 1u);
    cr_assert_eq(info_of("a").history_count, 1u);
}

/* ---- pages ----------------------------------------------------------------------------------- */

static struct fw_joined join(struct fw_subscription *subscription, struct fw_since since)
{
    struct fw_joined joined;
    *subscription = (struct fw_subscription){0};
    cr_assert_eq(fw_directory_subscribe(&directory, 0, fw_bytes_of("a"), 1000, &since, subscription,
                                        &joined),
                 0);
    return joined;
}

/* Takes a page of at most so many messages. returns: how many it had. */
static size_t page(struct fw_subscription *subscription, size_t most, uint64_t *missed_out)
{
    struct fw_msg *msgs[16];
    uint64_t first = subscription->next;
    size_t count =
        fw_directory_page(&directory, 1000, subscription, msgs, most, 100000, missed_out);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(msgs[i]->offset, first + *missed_out + i);
        fw_msg_drop(msgs[i]);
    }
    return count;
}

Test(holdings, are_taken_page_by_page_until_the_subscriber_is_live)
{
    struct fw_subscription subscription;
    uint64_t missed;
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(publish("a", 10, 1000), 0);
    join(&subscription, (struct fw_since){.kind = FW_SINCE_FIRST});
    cr_assert_eq(subscription.state, FW_SUBSCRIPTION_BEHIND);
    cr_assert_eq(page(&subscription, 4, &missed), 4u);
    cr_assert_eq(publish("a", 10, 1000), 0); /* goes into the history, and to the worker */
    cr_assert_eq(page(&subscription, 4, &missed), 4u);
    cr_assert_eq(subscription.state, FW_SUBSCRIPTION_BEHIND);
    cr_assert_eq(page(&subscription, 4, &missed), 3u);
    cr_assert_eq(subscription.state, FW_SUBSCRIPTION_FRESH, "the eleventh is on its way");
    cr_assert_eq(subscription.next, 12u);
    struct fw_post *post = fw_mailbox_take(&box);
    cr_assert_not_null(post);
    cr_assert_eq(post->msg->offset, 11u);
    atomic_fetch_sub(&post->topic->posts, 1);
    fw_msg_drop(post->msg);
    free(post);
    fw_directory_unsubscribe(&directory, 0, 1000, &subscription);
    cr_assert_eq(info_of("a").owed, 11u);
}

Test(holdings, that_were_outrun_are_told_of_by_number)
{
    struct fw_subscription subscription;
    uint64_t missed;
    rules.history_count = 4;
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(publish("a", 10, 1000), 0);
    join(&subscription, (struct fw_since){.kind = FW_SINCE_FIRST});
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(publish("a", 10, 1000), 0);
    cr_assert_eq(page(&subscription, 16, &missed), 4u);
    cr_assert_eq(missed, 3u);
    cr_assert_eq(info_of("a").dropped, 3u);
    for (struct fw_post *post = fw_mailbox_take(&box); post != NULL;) {
        struct fw_post *next = fw_post_next(post);
        atomic_fetch_sub(&post->topic->posts, 1);
        fw_msg_drop(post->msg);
        free(post);
        post = next;
    }
    fw_directory_unsubscribe(&directory, 0, 1000, &subscription);
}

Test(holdings, that_have_expired_are_passed_over)
{
    struct fw_subscription subscription;
    struct fw_msg *msgs[4];
    uint64_t wake[FW_WORKERS_MAX / 64] = {0};
    struct fw_published published;
    uint64_t missed;
    for (unsigned i = 0; i < 3; i++) {
        struct fw_msg *msg = fw_msg_create(1, fw_bytes_of("x"));
        msg->lives_ms = i == 1 ? 500 : 0;
        cr_assert_eq(fw_directory_publish(&directory, fw_bytes_of("a"), msg, 400, wake, &published),
                     0);
        fw_msg_drop(msg);
    }
    cr_assert(join(&subscription, (struct fw_since){.kind = FW_SINCE_FIRST}).recovered);
    cr_assert_eq(fw_directory_page(&directory, 1000, &subscription, msgs, 4, 1000, &missed), 2u);
    cr_assert_eq(missed, 0u, "its publisher said so: it is no gap");
    cr_assert_eq(msgs[1]->offset, 3u);
    fw_msg_drop(msgs[0]);
    fw_msg_drop(msgs[1]);
    cr_assert_eq(subscription.state, FW_SUBSCRIPTION_LIVE);
    fw_directory_unsubscribe(&directory, 0, 1000, &subscription);
}

/* ---- several threads ------------------------------------------------------------------------- */

#define THREADS 4

static void *publish_many(void *context)
{
    unsigned thread = *(unsigned *)context;
    char name[16];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "t%u", (i * 7 + thread) % 300);
        if (publish(name, 50 + i % 200, 1000 + i / 10) != 0 || held() > CEILING + THREADS * 1024)
            abort(); /* each may have promised one message that it finds no room for yet */
    }
    return NULL;
}

Test(holdings, of_many_threads_stay_beneath_one_ceiling)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, publish_many, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    uint64_t bytes = 0;
    for (unsigned i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        bytes += info_of(name).history_bytes;
    }
    cr_assert_eq(bytes, held());
    cr_assert_leq(bytes, CEILING);
}
