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
    atomic_init(&msg->encodings, NULL);
    atomic_init(&msg->plain, 0);
    msg->topic = NULL;
    msg->key = 0;
    msg->published_ms = 0;
    msg->lives_ms = 0;
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

/* An encoding among those from `list` on. */
static const struct fw_encoded *find(const struct fw_encoded *list, unsigned encoding)
{
    while (list != NULL && list->encoding != encoding)
        list = list->next;
    return list;
}

const struct fw_encoded *fw_msg_encoded(struct fw_msg *msg, unsigned encoding)
{
    static_assert(FW_MSG_ENCODINGS < 8, "a bit of `plain` for each");
    if (atomic_load_explicit(&msg->plain, memory_order_relaxed) >> encoding & 1)
        return &fw_encoded_plain;
    /* Acquire: pairs with the release in fw_msg_encode. */
    return find(atomic_load_explicit(&msg->encodings, memory_order_acquire), encoding);
}

const struct fw_encoded *fw_msg_encode(struct fw_msg *msg, unsigned encoding,
                                       struct fw_encoded *encoded)
{
    fw_assert(encoding >= 1 && encoding <= FW_MSG_ENCODINGS);
    if (encoded == &fw_encoded_plain) {
        /* Relaxed: the bit is all there is to see. */
        atomic_fetch_or_explicit(&msg->plain, (unsigned char)(1u << encoding),
                                 memory_order_relaxed);
        return encoded;
    }
    encoded->encoding = (uint8_t)encoding;
    struct fw_encoded *newest = atomic_load_explicit(&msg->encodings, memory_order_acquire);
    do {
        const struct fw_encoded *there = find(newest, encoding);
        if (there != NULL) {
            fw_mem_free(encoded);
            return there;
        }
        encoded->next = newest;
        /* Release what we wrote, or acquire what the faster one did. */
    } while (!atomic_compare_exchange_weak_explicit(&msg->encodings, &newest, encoded,
                                                    memory_order_release, memory_order_acquire));
    return encoded;
}

static void msg_free(struct fw_msg *msg)
{
    struct fw_encoded *encoded = atomic_load_explicit(&msg->encodings, memory_order_relaxed);
    while (encoded != NULL) {
        struct fw_encoded *next = encoded->next;
        fw_mem_free(encoded);
        encoded = next;
    }
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
