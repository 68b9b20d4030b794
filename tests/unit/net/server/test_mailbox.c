/* test_mailbox.c: the way from any thread into a worker (net/server/mailbox.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/mailbox.h"

#include "base/limits.h"
#include "base/mem.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

static struct fw_post *post_of(const void *payload, size_t bytes)
{
    struct fw_post *post = fw_mem_alloc(sizeof *post);
    *post = (struct fw_post){.msg = fw_msg_create(1, (struct fw_bytes){payload, bytes})};
    if (post->msg == NULL)
        abort();
    return post;
}

static void free_post(struct fw_post *post)
{
    fw_msg_drop(post->msg);
    fw_mem_free(post);
}

Test(mailbox, gives_posts_oldest_first)
{
    struct fw_mailbox mailbox;
    fw_mailbox_init(&mailbox);
    cr_assert_null(fw_mailbox_take(&mailbox));
    for (char c = 'a'; c <= 'z'; c++)
        fw_mailbox_post(&mailbox, post_of(&c, 1));
    struct fw_post *posts = fw_mailbox_take(&mailbox);
    for (char c = 'a'; c <= 'z'; c++) {
        struct fw_post *post = posts;
        cr_assert_eq(fw_msg_payload(post->msg).at[0], c);
        posts = fw_post_next(post);
        free_post(post);
    }
    cr_assert_null(posts);
    cr_assert_null(fw_mailbox_take(&mailbox), "all of it was taken");
}

Test(mailbox, says_when_its_worker_must_be_woken)
{
    struct fw_mailbox mailbox;
    fw_mailbox_init(&mailbox);
    for (unsigned round = 0; round < 3; round++) {
        cr_assert(fw_mailbox_post(&mailbox, post_of("x", 1)), "it was empty");
        cr_assert_not(fw_mailbox_post(&mailbox, post_of("y", 1)), "somebody woke it already");
        struct fw_post *posts = fw_mailbox_take(&mailbox);
        free_post(fw_post_next(posts));
        free_post(posts);
    }
}

Test(mailbox, has_room_until_its_bytes_are_used_up_and_again_when_they_are_worked_on)
{
    enum { SIZE = 1 << 20 };
    static uint8_t payload[SIZE];
    struct fw_mailbox mailbox;
    unsigned posts_count = 0;
    size_t waited = 0;
    fw_mailbox_init(&mailbox);
    while (fw_mailbox_has_room(&mailbox, SIZE)) {
        cr_assert_lt(posts_count++, 100u);
        fw_mailbox_post(&mailbox, post_of(payload, SIZE));
    }
    cr_assert_eq(posts_count, FW_MAILBOX_BYTES_MAX / SIZE - 1, "what a post costs itself counts");
    struct fw_post *posts = fw_mailbox_take(&mailbox);
    cr_assert_not(fw_mailbox_has_room(&mailbox, SIZE), "taken is not worked on");
    while (posts != NULL) {
        struct fw_post *next = fw_post_next(posts);
        waited += fw_post_bytes(posts);
        free_post(posts);
        posts = next;
    }
    fw_mailbox_done(&mailbox, waited);
    cr_assert_eq(atomic_load(&mailbox.waiting_bytes), 0u);
    cr_assert(fw_mailbox_has_room(&mailbox, SIZE));
}

/* Messages without a payload cost memory, too: a publisher of nothing else must not have all. */
Test(mailbox, is_bounded_for_empty_messages)
{
    struct fw_mailbox mailbox;
    struct fw_msg *msg = fw_msg_create(1, (struct fw_bytes){NULL, 0});
    struct fw_post *posts = calloc(FW_MAILBOX_BYTES_MAX / 16, sizeof *posts);
    size_t count = 0;
    fw_mailbox_init(&mailbox);
    for (; fw_mailbox_has_room(&mailbox, 0); count++) {
        cr_assert_lt(count, FW_MAILBOX_BYTES_MAX / 16u);
        posts[count].msg = msg;
        fw_mailbox_post(&mailbox, &posts[count]);
    }
    cr_assert_gt(count, 100000u);
    fw_msg_drop(msg);
    free(posts);
}

Test(mailbox, takes_one_message_of_any_size_when_it_is_empty)
{
    struct fw_mailbox mailbox;
    fw_mailbox_init(&mailbox);
    cr_assert(fw_mailbox_has_room(&mailbox, (size_t)1 << 30));
    fw_mailbox_post(&mailbox, post_of("x", 1));
    cr_assert_not(fw_mailbox_has_room(&mailbox, (size_t)1 << 30));
    free_post(fw_mailbox_take(&mailbox));
}

/* ---- several threads ------------------------------------------------------------------------- */

#define POSTERS 4
#define POSTS   20000

struct note {
    unsigned poster;
    unsigned number;
};

struct poster {
    struct fw_mailbox *mailbox;
    unsigned index;
    atomic_uint *wakes;
    pthread_t thread;
};

static void *post_many(void *context)
{
    struct poster *poster = context;
    for (unsigned i = 0; i < POSTS; i++) {
        struct note note = {poster->index, i};
        if (fw_mailbox_post(poster->mailbox, post_of(&note, sizeof note)))
            atomic_fetch_add(poster->wakes, 1);
    }
    return NULL;
}

/* Each once, in its thread's order; and a worker that sleeps whenever it found nothing is woken for
 * everything that came later. */
Test(mailbox, keeps_the_order_of_each_thread_and_loses_no_wake, .timeout = 120)
{
    struct fw_mailbox mailbox;
    atomic_uint wakes = 0;
    unsigned seen_wakes = 0;
    unsigned next[POSTERS] = {0};
    unsigned total = 0;
    struct poster posters[POSTERS];
    fw_mailbox_init(&mailbox);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.mailbox = &mailbox, .index = i, .wakes = &wakes};
        cr_assert_eq(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
    }
    while (total < POSTERS * POSTS) {
        while (atomic_load(&wakes) == seen_wakes)
            sched_yield();
        seen_wakes = atomic_load(&wakes);
        struct fw_post *post = fw_mailbox_take(&mailbox);
        while (post != NULL) {
            struct fw_post *following = fw_post_next(post);
            struct note note;
            memcpy(&note, fw_msg_payload(post->msg).at, sizeof note);
            cr_assert(note.number == next[note.poster], "poster %u: %u instead of %u", note.poster,
                      note.number, next[note.poster]);
            next[note.poster]++;
            total++;
            fw_mailbox_done(&mailbox, fw_post_bytes(post));
            free_post(post);
            post = following;
        }
    }
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
    cr_assert_null(fw_mailbox_take(&mailbox));
    cr_assert_eq(atomic_load(&mailbox.waiting_bytes), 0u);
}
