/* test_hub.c: a worker's subscribers and the fan-out to them (core/hub/hub.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hub/hub.h"

#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SUBSCRIBERS_MAX 200

/* Keeps what was delivered to it as text; a lost message is a "!". */
struct subscriber {
    struct fw_subscription subscription;
    char got[1024];
    unsigned deliveries;
    uint64_t got_bytes;
};

struct rig {
    struct fw_hub hub;
    struct fw_topic *topic;
    struct fw_local *local;
    struct subscriber subscribers[SUBSCRIBERS_MAX];
};

static void deliver(struct fw_subscription *subscription, struct fw_share *share)
{
    struct subscriber *subscriber = subscription->subscriber;
    size_t used = strlen(subscriber->got);
    size_t room = sizeof subscriber->got - used;
    subscriber->deliveries++;
    if (share == NULL) {
        snprintf(subscriber->got + used, room, "!");
        return;
    }
    subscriber->got_bytes += share->bytes_count;
    if (share->bytes_count < 100)
        snprintf(subscriber->got + used, room, "[%.*s]", (int)share->bytes_count,
                 (const char *)share->bytes);
}

static struct rig *rig_create(unsigned subscribers)
{
    struct rig *rig = calloc(1, sizeof *rig);
    fw_hub_init(&rig->hub, deliver);
    rig->topic = fw_topic_create(fw_bytes_of("topic"), 1, 1);
    rig->local = fw_local_create(rig->topic);
    for (unsigned i = 0; i < subscribers; i++) {
        rig->subscribers[i].subscription.subscriber = &rig->subscribers[i];
        cr_assert_eq(fw_local_add(rig->local, &rig->subscribers[i].subscription), 0);
    }
    return rig;
}

static void rig_destroy(struct rig *rig)
{
    for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++) {
        if (rig->subscribers[i].subscription.local != NULL)
            fw_local_remove(&rig->subscribers[i].subscription);
    }
    fw_local_destroy(rig->local);
    fw_topic_destroy(rig->topic);
    free(rig);
}

static struct fw_msg *message(const char *payload)
{
    struct fw_msg *msg = fw_msg_create(1, fw_bytes_of(payload));
    cr_assert_not_null(msg);
    return msg;
}

static struct fw_msg *message_of(size_t bytes)
{
    uint8_t *payload = calloc(1, bytes);
    struct fw_msg *msg = fw_msg_create(1, (struct fw_bytes){payload, bytes});
    free(payload);
    return msg;
}

/* ---- locals ---------------------------------------------------------------------------------- */

Test(hub_local, knows_each_subscriber_by_its_place)
{
    struct rig *rig = rig_create(100);
    cr_assert_eq(rig->local->count, 100u);
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(rig->subscribers[i].subscription.index, i);
        cr_assert_eq(rig->local->subscriptions[i], &rig->subscribers[i].subscription);
    }
    rig_destroy(rig);
}

Test(hub_local, moves_the_last_one_into_a_gap)
{
    struct rig *rig = rig_create(5);
    fw_local_remove(&rig->subscribers[1].subscription);
    cr_assert_eq(rig->local->count, 4u);
    cr_assert_null(rig->subscribers[1].subscription.local);
    cr_assert_eq(rig->subscribers[4].subscription.index, 1u);
    fw_local_remove(&rig->subscribers[3].subscription); /* the last one itself */
    cr_assert_eq(rig->local->count, 3u);
    for (uint32_t i = 0; i < rig->local->count; i++)
        cr_assert_eq(rig->local->subscriptions[i]->index, i);
    rig_destroy(rig);
}

Test(hub_local, follows_a_subscription_that_moved)
{
    struct rig *rig = rig_create(3);
    struct fw_subscription moved = rig->subscribers[1].subscription;
    rig->subscribers[1].subscription.local = NULL;
    fw_local_moved(&moved);
    cr_assert_eq(rig->local->subscriptions[1], &moved);
    struct fw_msg *msg = message("m");
    fw_hub_fan_out(&rig->hub, rig->local, &msg, 1);
    cr_assert_str_eq(rig->subscribers[1].got, "[m]", "its subscriber is the same");
    fw_local_remove(&moved);
    rig_destroy(rig);
}

Test(hub_local, add_says_ENOMEM_and_nothing_changed)
{
    struct rig *rig = rig_create(4); /* full: the next one grows the table */
    struct subscriber *fifth = &rig->subscribers[4];
    fail_mem_at(1, FAIL_ONCE);
    cr_assert_eq(fw_local_add(rig->local, &fifth->subscription), -ENOMEM);
    fail_mem_off();
    cr_assert_eq(rig->local->count, 4u);
    cr_assert_null(fifth->subscription.local);
    cr_assert_eq(fw_local_add(rig->local, &fifth->subscription), 0);
    rig_destroy(rig);
}

Test(hub_local, is_NULL_without_memory)
{
    struct fw_topic *topic = fw_topic_create(fw_bytes_of("a"), 1, 1);
    fail_mem_at(1, FAIL_ONCE);
    cr_assert_null(fw_local_create(topic));
    fail_mem_off();
    fw_topic_destroy(topic);
}

/* ---- fan-out --------------------------------------------------------------------------------- */

Test(hub_fan_out, gives_one_message_to_every_subscriber_once)
{
    struct rig *rig = rig_create(SUBSCRIBERS_MAX);
    struct fw_msg *msg = message("m");
    fw_msg_hold(msg, 1);
    cr_assert_eq(fw_hub_fan_out(&rig->hub, rig->local, &msg, 1), (uint64_t)SUBSCRIBERS_MAX);
    for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++)
        cr_assert_str_eq(rig->subscribers[i].got, "[m]");
    cr_assert_eq(rig->hub.delivered_messages, (uint64_t)SUBSCRIBERS_MAX);
    cr_assert_eq(atomic_load(&msg->references), 1u, "the reference it was given is gone");
    fw_msg_drop(msg);
    rig_destroy(rig);
}

Test(hub_fan_out, joins_the_messages_of_a_turn_so_that_each_subscriber_is_touched_once)
{
    struct rig *rig = rig_create(10);
    struct fw_msg *msgs[3] = {message("one"), message("two"), message("three")};
    cr_assert_eq(fw_hub_fan_out(&rig->hub, rig->local, msgs, 3), 30u);
    for (unsigned i = 0; i < 10; i++) {
        cr_assert_str_eq(rig->subscribers[i].got, "[onetwothree]");
        cr_assert_eq(rig->subscribers[i].deliveries, 1u);
    }
    rig_destroy(rig);
}

Test(hub_fan_out, joins_up_to_64_KiB_and_keeps_the_order)
{
    struct rig *rig = rig_create(2);
    /* 40 + 20 KiB fit together; the next 20 do not; a large one stands alone. */
    struct fw_msg *msgs[5] = {message_of(40 * 1024), message_of(20 * 1024), message_of(20 * 1024),
                              message_of(200 * 1024), message("end")};
    cr_assert_eq(fw_hub_fan_out(&rig->hub, rig->local, msgs, 5), 10u);
    cr_assert_eq(rig->subscribers[1].deliveries, 4u);
    cr_assert_eq(rig->subscribers[1].got_bytes, 280u * 1024 + 3);
    cr_assert_str_eq(rig->subscribers[1].got, "[end]");
    rig_destroy(rig);
}

Test(hub_fan_out, drops_what_nobody_listens_to)
{
    struct rig *rig = rig_create(0);
    struct fw_msg *msgs[2] = {message("a"), message("b")};
    cr_assert_eq(fw_hub_fan_out(&rig->hub, rig->local, msgs, 2), 0u);
    struct fw_msg *more[2] = {message("a"), message("b")};
    cr_assert_eq(fw_hub_fan_out(&rig->hub, NULL, more, 2), 0u);
    cr_assert_eq(rig->hub.delivered_messages, 0u);
    rig_destroy(rig); /* leaks would show */
}

/* Nobody is left with a silent gap: a message that memory lacks for is told as lost. */
Test(hub_fan_out, tells_every_subscriber_of_a_loss_whichever_allocation_fails)
{
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        struct rig *rig = rig_create(3);
        struct fw_msg *msgs[2] = {message("one"), message("two")};
        struct fw_msg *single = message("three");
        fail_mem_at(k, FAIL_ONCE);
        fw_hub_fan_out(&rig->hub, rig->local, msgs, 2);
        fw_hub_fan_out(&rig->hub, rig->local, &single, 1);
        failed = fail_mem_off();
        const char *wanted = k == 1 ? "![three]" : k == 2 ? "[onetwo]!" : "[onetwo][three]";
        for (unsigned i = 0; i < 3; i++)
            cr_assert_str_eq(rig->subscribers[i].got, wanted, "round %u", k);
        cr_assert_eq(rig->hub.lost_messages, k == 1 ? 6u : k == 2 ? 3u : 0u);
        rig_destroy(rig);
    }
}
