/* test_msg_share.c: messages and the shares of them (core/hub/msg.h, core/hub/share.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "hub/share.h"

#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

static struct fw_msg *message(const char *payload)
{
    struct fw_msg *msg = fw_msg_create(1, fw_bytes_of(payload));
    cr_assert_not_null(msg);
    return msg;
}

/* ---- messages -------------------------------------------------------------------------------- */

Test(msg, copies_its_payload)
{
    char payload[] = "hello";
    struct fw_msg *msg = fw_msg_create(2, fw_bytes_of(payload));
    memset(payload, 'x', sizeof payload - 1);
    cr_assert(fw_bytes_equal(fw_msg_payload(msg), fw_bytes_of("hello")));
    cr_assert_eq(msg->type, 2);
    cr_assert_eq(msg->offset, 0u);
    fw_msg_drop(msg);
}

Test(msg, may_be_empty)
{
    struct fw_msg *msg = fw_msg_create(1, (struct fw_bytes){NULL, 0});
    cr_assert_eq(fw_msg_payload(msg).count, 0u);
    cr_assert_eq(fw_msg_frame(msg).count, 0u, "no header is written yet");
    fw_msg_drop(msg);
}

/* The header is written into the room in front, so that frame and payload are one piece. */
Test(msg, has_room_for_a_header_right_before_its_payload)
{
    for (unsigned header = 0; header <= FW_MSG_HEADROOM; header++) {
        struct fw_msg *msg = message("payload");
        msg->frame_at = (uint8_t)(FW_MSG_HEADROOM - header);
        memset(msg->data + msg->frame_at, 0xee, header);
        struct fw_bytes frame = fw_msg_frame(msg);
        cr_assert_eq(frame.count, header + 7u);
        cr_assert_eq(frame.at + header, fw_msg_payload(msg).at);
        cr_assert_eq(memcmp(frame.at + header, "payload", 7), 0);
        fw_msg_drop(msg);
    }
}

/* LeakSanitizer and AddressSanitizer are the judges: not freed too late, nor too early. */
Test(msg, lives_as_long_as_somebody_holds_it)
{
    struct fw_msg *msg = message("x");
    fw_msg_hold(msg, 3);
    for (unsigned i = 0; i < 3; i++) {
        fw_msg_drop(msg);
        cr_assert_eq(fw_msg_payload(msg).at[0], 'x');
    }
    fw_msg_drop(msg);
}

Test(msg, is_NULL_without_memory)
{
    fail_mem_at(1, FAIL_ONCE);
    cr_assert_null(fw_msg_create(1, fw_bytes_of("x")));
    fail_mem_off();
}

static void *hold_and_drop(void *context)
{
    struct fw_msg *msg = context;
    for (unsigned i = 0; i < 20000; i++) {
        fw_msg_hold(msg, 2);
        fw_msg_drop(msg);
        if (msg->data[FW_MSG_HEADROOM] != 'x')
            abort(); /* Criterion's asserts are for the test's own thread */
        fw_msg_drop(msg);
    }
    fw_msg_drop(msg);
    return NULL;
}

Test(msg, is_counted_across_threads, .timeout = 60)
{
    enum { THREADS = 4 };
    struct fw_msg *msg = message("x");
    pthread_t threads[THREADS];
    fw_msg_hold(msg, THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, hold_and_drop, msg), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&msg->references), 1u);
    fw_msg_drop(msg);
}

/* ---- shares ---------------------------------------------------------------------------------- */

Test(share, of_a_message_shows_its_frame_and_takes_its_reference)
{
    struct fw_msg *msg = message("payload");
    msg->frame_at = FW_MSG_HEADROOM - 2;
    fw_msg_hold(msg, 1);
    struct fw_share *share = fw_share_of_msg(msg);
    cr_assert_eq(share->bytes, fw_msg_frame(msg).at);
    cr_assert_eq(share->bytes_count, 9u);
    cr_assert_eq(share->messages_count, 1u);
    fw_share_hold(share);
    fw_share_drop(share);
    cr_assert_eq(atomic_load(&msg->references), 2u, "the message is dropped once, at the end");
    fw_share_drop(share);
    cr_assert_eq(atomic_load(&msg->references), 1u);
    fw_msg_drop(msg);
}

Test(share, of_its_own_bytes_is_one_block)
{
    struct fw_share *share = fw_share_create(1000);
    memset(share->own, 7, 1000);
    cr_assert_eq(share->bytes, share->own);
    cr_assert_eq(share->bytes_count, 1000u);
    cr_assert_eq(share->messages_count, 0u);
    fw_share_drop(share);
}

Test(share, of_a_block_frees_it_at_the_end)
{
    uint8_t *block = fw_mem_alloc(100);
    struct fw_share *share = fw_share_of_block(block, block + 10, 90);
    cr_assert_eq(share->bytes, block + 10);
    cr_assert_eq(share->bytes_count, 90u);
    fw_share_hold(share);
    fw_share_drop(share);
    memset(block, 1, 100); /* still there */
    fw_share_drop(share);
}

Test(share, is_NULL_without_memory_and_what_was_given_stays_the_callers)
{
    struct fw_msg *msg = message("x");
    uint8_t *block = fw_mem_alloc(100);
    fail_mem_at(1, FAIL_FROM_ON);
    cr_assert_null(fw_share_of_msg(msg));
    cr_assert_null(fw_share_create(10));
    cr_assert_null(fw_share_of_block(block, block, 100));
    fail_mem_off();
    cr_assert_eq(atomic_load(&msg->references), 1u);
    fw_msg_drop(msg);
    fw_mem_free(block);
}
