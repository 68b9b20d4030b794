/* msg.c: see msg.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hub/msg.h"
#include "base/check.h"
#include "base/mem.h"

struct fw_encoded fw_encoded_plain;

struct fw_msg *fw_msg_create(uint8_t type, struct fw_bytes payload)
{
    fw_assert(payload.count <= UINT32_MAX);
    struct fw_msg *msg = fw_mem_alloc(sizeof *msg + FW_MSG_HEADROOM + payload.count);
    if (msg == NULL)
        return NULL;
    atomic_init(&msg->references, 1);
    msg->payload_bytes = (uint32_t)payload.count;
    msg->offset = 0;
    for (unsigned i = 0; i < FW_MSG_ENCODINGS; i++)
        atomic_init(&msg->encodings[i], NULL);
    msg->secret = false;
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

static void encoded_free(struct fw_encoded *encoded)
{
    if (encoded != &fw_encoded_plain)
        fw_mem_free(encoded);
}

const struct fw_encoded *fw_msg_encode(struct fw_msg *msg, unsigned encoding,
                                       struct fw_encoded *encoded)
{
    fw_assert(encoding >= 1 && encoding <= FW_MSG_ENCODINGS);
    struct fw_encoded *there = NULL;
    /* Release what we wrote, or acquire what the faster one did. */
    if (atomic_compare_exchange_strong_explicit(&msg->encodings[encoding - 1], &there, encoded,
                                                memory_order_release, memory_order_acquire))
        return encoded;
    encoded_free(encoded);
    return there;
}

static void msg_free(struct fw_msg *msg)
{
    for (unsigned i = 0; i < FW_MSG_ENCODINGS; i++)
        encoded_free(atomic_load_explicit(&msg->encodings[i], memory_order_relaxed));
    fw_mem_free(msg);
}

void fw_msg_drop(struct fw_msg *msg)
{
    /* Release our reads of it, acquire everybody's before the free. */
    unsigned before = atomic_fetch_sub_explicit(&msg->references, 1, memory_order_acq_rel);
    fw_assert(before > 0);
    if (before == 1)
        msg_free(msg);
}
