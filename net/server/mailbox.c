/* mailbox.c: see mailbox.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/mailbox.h"

#include "base/limits.h"

void fw_mailbox_init(struct fw_mailbox *mailbox)
{
    mailbox->posts = (struct fw_stack){NULL};
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
    return fw_stack_push(&mailbox->posts, &post->link) == FW_STACK_WAS_EMPTY;
}

struct fw_post *fw_mailbox_take(struct fw_mailbox *mailbox)
{
    return (struct fw_post *)(void *)fw_stack_take(&mailbox->posts);
}

void fw_mailbox_done(struct fw_mailbox *mailbox, size_t bytes)
{
    atomic_fetch_sub_explicit(&mailbox->waiting_bytes, bytes, memory_order_relaxed);
}
