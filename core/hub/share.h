/* share.h: bytes that many output queues of one worker hold together.
 *
 * The count is plain: a share never leaves its worker. It stands for one message (whose atomic
 * count it holds once) or for the encodings of several messages that came for one topic in one
 * turn, joined so that a subscriber is touched once for all of them. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_HUB_SHARE_H
#define FW_HUB_SHARE_H

#include "base/bytes.h"
#include "hub/msg.h"

#include <stddef.h>
#include <stdint.h>

struct fw_share {
    const uint8_t *bytes;
    struct fw_msg *msg;     /* whose bytes they are, or */
    uint8_t *block;         /* the heap block they stand in, or neither: they stand in `own` */
    struct fw_topic *topic; /* where its messages were published, kept alive by it; or NULL */
    uint64_t key;           /* of its message, when it is one (msg.h) */
    uint32_t bytes_count;
    uint32_t references;
    uint32_t messages_count; /* 0, with a topic: what stands in front of the next share's message */
    uint8_t own[];
};

/* Makes a share of a message's WebSocket frame; the caller's reference of the message goes with it.
 *
 * returns      with one reference; NULL when there is no memory (the message stays the caller's)
 */
struct fw_share *fw_share_of_msg(struct fw_msg *msg);

/* Makes a share of its own bytes, which the caller fills in at share->own.
 *
 * returns      with one reference; NULL when there is no memory
 */
struct fw_share *fw_share_create(size_t bytes_count);

/* Makes a share of a part of a heap block, which goes with it and is freed by fw_mem_free.
 *
 * returns      with one reference; NULL when there is no memory (the block stays the caller's)
 */
struct fw_share *fw_share_of_block(uint8_t *block, const uint8_t *bytes, size_t bytes_count);

/* Says that a share's messages are of a topic; the topic outlives it. */
void fw_share_set_topic(struct fw_share *share, struct fw_topic *topic);

/* Says that a queue let go of a share without sending it (fw_topic_withdraw). */
void fw_share_withdraw(struct fw_share *share, bool dropped);

static inline void fw_share_hold(struct fw_share *share)
{
    share->references++;
}

/* The end of the last reference. */
void fw_share_free(struct fw_share *share);

static inline void fw_share_drop(struct fw_share *share)
{
    if (--share->references == 0)
        fw_share_free(share);
}

#endif
