/* test_hub_encodings.c: subscribers that agreed on other encodings than the plain one
 * (core/hub/hub.h, msg.h). The hub cannot read them; here encoding 2 of "abc" is "<2:abc>", made by
 * a counting encoder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "hub/hub.h"

#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SUBSCRIBERS_MAX 64

/* Keeps what was delivered to it as text; a lost message is a "!". */
struct subscriber {
    struct fw_subscription subscription;
    char got[512];
    const struct fw_share *last;
};

static struct {
    struct fw_hub hub;
    struct fw_topic *topic;
    struct fw_local *local;
    struct subscriber subscribers[SUBSCRIBERS_MAX];
    unsigned encoded; /* times that an encoding was made */
    unsigned asked;
    bool plain; /* the encoder finds nothing worth it */
} rig;

static void deliver(struct fw_subscription *subscription, struct fw_share *share)
{
    struct subscriber *subscriber = subscription->subscriber;
    size_t used = strlen(subscriber->got);
    subscriber->last = share;
    snprintf(subscriber->got + used, sizeof subscriber->got - used, "%.*s",
             share == NULL ? 1 : (int)share->bytes_count,
             share == NULL ? "!" : (const char *)share->bytes);
}

/* Makes "<2:abc>" shorter than the plain frame, which is "{abc.............}". */
static struct fw_bytes encode(void *encoder, struct fw_msg *msg, unsigned encoding)
{
    cr_assert_eq(encoder, &rig);
    rig.asked++;
    const struct fw_encoded *encoded = fw_msg_encoded(msg, encoding);
    if (encoded == NULL) {
        struct fw_encoded *made = rig.plain ? &fw_encoded_plain : NULL;
        if (made == NULL)
            made = fw_mem_alloc(sizeof *made + 64);
        if (made == NULL)
            return fw_msg_frame(msg);
        if (!rig.plain) {
            struct fw_bytes payload = fw_msg_payload(msg);
            const uint8_t *dot = memchr(payload.at, '.', payload.count);
            size_t dots = dot == NULL ? payload.count : (size_t)(dot - payload.at);
            made->bytes_count = (uint32_t)sprintf((char *)made->bytes, "<%u:%.*s>", encoding,
                                                  (int)dots, (const char *)payload.at);
        }
        rig.encoded++;
        encoded = fw_msg_encode(msg, encoding, made);
    }
    if (encoded->bytes_count == 0)
        return fw_msg_frame(msg);
    return (struct fw_bytes){encoded->bytes, encoded->bytes_count};
}

static void set_up(void)
{
    memset(&rig, 0, sizeof rig);
    fw_hub_init(&rig.hub, deliver);
    rig.hub.encode = encode;
    rig.hub.encoder = &rig;
    rig.topic = fw_topic_create(fw_bytes_of("topic"), 1, 1);
    rig.local = fw_local_create(rig.topic);
}

static void tear_down(void)
{
    for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++) {
        if (rig.subscribers[i].subscription.local != NULL)
            fw_local_remove(&rig.subscribers[i].subscription);
    }
    cr_expect_eq(rig.local->encoded_count, 0);
    fw_local_destroy(rig.local);
    fw_topic_destroy(rig.topic);
}

TestSuite(hub_encodings, .init = set_up, .fini = tear_down);

/* Subscribes one with each of the encodings that the string's digits name. */
static void subscribe(const char *encodings)
{
    for (unsigned i = 0; encodings[i] != '\0'; i++) {
        struct fw_subscription *subscription = &rig.subscribers[i].subscription;
        subscription->subscriber = &rig.subscribers[i];
        subscription->encoding = (uint8_t)(encodings[i] - '0');
        cr_assert_eq(fw_local_add(rig.local, subscription), 0);
    }
}

static struct fw_msg *message(const char *payload)
{
    char text[40];
    snprintf(text, sizeof text, "{%s................", payload);
    struct fw_msg *msg = fw_msg_create(1, fw_bytes_of(text));
    cr_assert_not_null(msg);
    memmove(msg->data + FW_MSG_HEADROOM - 1, msg->data + FW_MSG_HEADROOM, strlen(text));
    msg->frame_at = FW_MSG_HEADROOM - 1;
    msg->data[FW_MSG_HEADROOM + strlen(text) - 1] = '}';
    return msg;
}

static void fan_out(const char *first, const char *second)
{
    struct fw_msg *msgs[2] = {message(first), second == NULL ? NULL : message(second)};
    fw_hub_fan_out(&rig.hub, rig.local, msgs, second == NULL ? 1 : 2);
}

static void expect_got(unsigned i, const char *text)
{
    cr_expect_str_eq(rig.subscribers[i].got, text, "subscriber %u got %s", i,
                     rig.subscribers[i].got);
}

Test(hub_encodings, of_each_subscriber_is_what_it_gets)
{
    subscribe("0123210");
    fan_out("a", NULL);
    static const char *const wanted[] = {"{a................}", "<1:a>", "<2:a>", "<3:a>"};
    for (unsigned i = 0; i < 7; i++)
        expect_got(i, wanted["0123210"[i] - '0']);
}

Test(hub_encodings, are_made_once_however_many_subscribe)
{
    /* CPU a published message costs does not depend on the number of its subscribers */
    for (unsigned count = 1; count <= 32; count *= 2) {
        char encodings[33] = "";
        memset(encodings, '2', count);
        encodings[count] = '\0';
        subscribe(encodings);
        rig.encoded = rig.asked = 0;
        fan_out("a", NULL);
        cr_expect_eq(rig.encoded, 1, "%u subscribers", count);
        cr_expect_eq(rig.asked, 1, "%u subscribers", count);
        for (unsigned i = 0; i < count; i++)
            cr_expect_eq(rig.subscribers[i].last, rig.subscribers[0].last, "they share it");
        tear_down();
        set_up();
    }
}

Test(hub_encodings, are_not_asked_for_while_all_agree_on_the_plain_one)
{
    subscribe("0000");
    fan_out("a", "b");
    fan_out("c", NULL);
    cr_expect_eq(rig.asked, 0);
    expect_got(3, "{a................}{b................}{c................}");
}

Test(hub_encodings, that_nobody_uses_are_not_made)
{
    subscribe("33");
    fan_out("a", NULL);
    cr_expect_eq(rig.encoded, 1);
    expect_got(0, "<3:a>");
}

Test(hub_encodings, are_joined_as_the_plain_one_is)
{
    subscribe("012");
    fan_out("a", "b");
    expect_got(0, "{a................}{b................}");
    expect_got(1, "<1:a><1:b>");
    expect_got(2, "<2:a><2:b>");
    cr_expect_eq(rig.encoded, 4);
    cr_expect_eq(rig.hub.delivered_messages, 6);
}

Test(hub_encodings, give_way_to_the_plain_one_where_they_are_not_worth_it)
{
    subscribe("01");
    rig.plain = true;
    fan_out("a", "b");
    fan_out("c", NULL);
    expect_got(1, "{a................}{b................}{c................}");
    cr_expect_eq(rig.encoded, 3, "and are not tried again");
}

Test(hub_encodings, are_counted_as_subscribers_come_go_and_move)
{
    subscribe("0120");
    struct subscriber *moving = &rig.subscribers[1];
    struct subscriber moved = *moving;
    fw_local_moved(&moved.subscription);
    moved.subscription.subscriber = &moved;
    fw_local_remove(&rig.subscribers[2].subscription);
    fan_out("a", NULL);
    cr_expect_str_eq(moved.got, "<1:a>");
    expect_got(0, "{a................}");
    cr_expect_eq(rig.local->encoded_count, 1);
    cr_expect_eq(rig.local->encoded[1], 0);
    fw_local_remove(&moved.subscription);
    moving->subscription.local = NULL;
    fan_out("b", NULL);
    expect_got(0, "{a................}{b................}");
    cr_expect_eq(rig.asked, 1);
}

Test(hub_encodings, live_as_long_as_the_shares_of_them)
{
    /* AddressSanitizer is the judge: bytes of a message's encoding, held by a queue */
    subscribe("10");
    fan_out("a", NULL);
    subscribe("");
    struct fw_msg *msg = message("b");
    struct fw_bytes bytes = encode(&rig, msg, 1);
    struct fw_share *share = fw_share_of_msg(msg);
    share->bytes = bytes.at;
    fw_share_hold(share);
    fw_share_drop(share);
    cr_expect_eq(share->bytes[1], '1');
    fw_share_drop(share);
}

Test(hub_encodings, leave_nobody_with_a_silent_gap_when_there_is_no_memory)
{
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        subscribe("0112");
        struct fw_msg *msgs[2] = {message("a"), message("b")};
        fail_mem_at(k, FAIL_ONCE);
        fw_hub_fan_out(&rig.hub, rig.local, msgs, 2);
        failed = fail_mem_off();
        unsigned lost = 0;
        for (unsigned i = 0; i < 4; i++) {
            const char *text = rig.subscribers[i].got;
            cr_expect(strcmp(text, "!") == 0 ||
                          (strchr(text, 'a') != NULL && strchr(text, 'b') != NULL),
                      "%u: %s", k, text);
            lost += strcmp(text, "!") == 0;
        }
        cr_expect_eq(rig.hub.lost_messages, lost * 2);
        if (!failed)
            cr_expect_eq(lost, 0);
        tear_down();
        set_up();
    }
}

/* ---- between threads ------------------------------------------------------------------------- */

static struct fw_msg *raced;
static pthread_barrier_t start;

static void *race(void *kept)
{
    struct fw_encoded *mine = fw_mem_alloc(sizeof *mine + 8);
    mine->bytes_count = 8;
    memcpy(mine->bytes, kept, 8);
    pthread_barrier_wait(&start);
    const struct fw_encoded *stays = fw_msg_encode(raced, 2, mine);
    memcpy(kept, stays->bytes, 8);
    fw_msg_drop(raced);
    return NULL;
}

Test(hub_encodings, that_two_workers_make_at_once_are_one_in_the_end)
{
    /* msg.h: the loser's is freed; everybody sees the winner's octets */
    for (int round = 0; round < 200; round++) {
        pthread_t threads[4];
        char kept[4][8];
        raced = message("a");
        fw_msg_hold(raced, 4);
        pthread_barrier_init(&start, NULL, 4);
        for (int i = 0; i < 4; i++) {
            memcpy(kept[i], (char[8]){"mine 0"}, 8);
            kept[i][5] = (char)(kept[i][5] + i);
            cr_assert_eq(pthread_create(&threads[i], NULL, race, kept[i]), 0);
        }
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&start);
        for (int i = 1; i < 4; i++)
            cr_expect_str_eq(kept[i], kept[0]);
        fw_msg_drop(raced);
    }
}
