/* mailbox.c: see mailbox.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/mailbox.h"

#include "base/limits.h"

void fw_mailbox_init(struct fw_mailbox *mailbox)
{
    atomic_init(&mailbox->newest, NULL);
    atomic_init(&mailbox->waiting_bytes, 0);
}

bool fw_mailbox_has_room(struct fw_mailbox *mailbox, size_t bytes)
{
    size_t waiting = atomic_load_explicit(&mailbox->waiting_bytes, memory_order_relaxed);
    return waiting == 0 || waiting + bytes <= FW_MAILBOX_BYTES_MAX;
}

bool fw_mailbox_post(struct fw_mailbox *mailbox, struct fw_post *post)
{
    atomic_fetch_add_explicit(&mailbox->waiting_bytes, fw_post_bytes(post), memory_order_relaxed);
    struct fw_post *newest = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        post->next = newest;
        /* Release: pairs with the acquire in fw_mailbox_take. */
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &newest, post,
                                                    memory_order_release, memory_order_relaxed));
    return newest == NULL;
}

struct fw_post *fw_mailbox_take(struct fw_mailbox *mailbox)
{
    if (atomic_load_explicit(&mailbox->newest, memory_order_relaxed) == NULL)
        return NULL;
    struct fw_post *newest = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    struct fw_post *oldest = NULL;
    while (newest != NULL) {
        struct fw_post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

void fw_mailbox_done(struct fw_mailbox *mailbox, size_t bytes)
{
    atomic_fetch_sub_explicit(&mailbox->waiting_bytes, bytes, memory_order_relaxed);
}
