/* msg.c: see msg.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hub/msg.h"
#include "base/check.h"
#include "base/mem.h"

struct fw_msg *fw_msg_create(uint8_t type, struct fw_bytes payload)
{
    fw_assert(payload.count <= UINT32_MAX);
    struct fw_msg *msg = fw_mem_alloc(sizeof *msg + FW_MSG_HEADROOM + payload.count);
    if (msg == NULL)
        return NULL;
    atomic_init(&msg->references, 1);
    msg->payload_bytes = (uint32_t)payload.count;
    msg->offset = 0;
    msg->type = type;
    msg->frame_at = FW_MSG_HEADROOM;
    if (payload.count > 0)
        memcpy(msg->data + FW_MSG_HEADROOM, payload.at, payload.count);
    return msg;
}

void fw_msg_hold(struct fw_msg *msg, unsigned count)
{
    /* Relaxed: who holds one already may make more. */
    atomic_fetch_add_explicit(&msg->references, count, memory_order_relaxed);
}

void fw_msg_drop(struct fw_msg *msg)
{
    /* Release our reads of it, acquire everybody's before the free. */
    unsigned before = atomic_fetch_sub_explicit(&msg->references, 1, memory_order_acq_rel);
    fw_assert(before > 0);
    if (before == 1)
        fw_mem_free(msg);
}
