/* share.c: see share.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hub/share.h"
#include "base/check.h"
#include "base/mem.h"
#include "hub/topic.h"

struct fw_share *fw_share_of_msg(struct fw_msg *msg)
{
    struct fw_share *share = fw_mem_alloc(sizeof *share);
    if (share == NULL)
        return NULL;
    struct fw_bytes frame = fw_msg_frame(msg);
    *share = (struct fw_share){.bytes = frame.at,
                               .msg = msg,
                               .key = msg->key,
                               .bytes_count = (uint32_t)frame.count,
                               .references = 1,
                               .messages_count = 1};
    return share;
}

struct fw_share *fw_share_create(size_t bytes_count)
{
    fw_assert(bytes_count <= UINT32_MAX);
    struct fw_share *share = fw_mem_alloc(sizeof *share + bytes_count);
    if (share == NULL)
        return NULL;
    *share = (struct fw_share){.bytes_count = (uint32_t)bytes_count, .references = 1};
    share->bytes = share->own;
    return share;
}

struct fw_share *fw_share_of_block(uint8_t *block, const uint8_t *bytes, size_t bytes_count)
{
    fw_assert(bytes_count <= UINT32_MAX);
    struct fw_share *share = fw_mem_alloc(sizeof *share);
    if (share == NULL)
        return NULL;
    *share = (struct fw_share){
        .bytes = bytes, .block = block, .bytes_count = (uint32_t)bytes_count, .references = 1};
    return share;
}

void fw_share_set_topic(struct fw_share *share, struct fw_topic *topic)
{
    share->topic = topic;
    if (topic != NULL)
        atomic_fetch_add_explicit(&topic->posts, 1, memory_order_relaxed);
}

void fw_share_withdraw(struct fw_share *share, bool dropped)
{
    if (share->topic != NULL)
        fw_topic_withdraw(share->topic, share->messages_count, dropped);
}

void fw_share_free(struct fw_share *share)
{
    /* Release: the topic may be freed once this says that nothing is on its way. */
    if (share->topic != NULL)
        atomic_fetch_sub_explicit(&share->topic->posts, 1, memory_order_release);
    if (share->msg != NULL)
        fw_msg_drop(share->msg);
    fw_mem_free(share->block);
    fw_mem_free(share);
}
