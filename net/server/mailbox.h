/* mailbox.h: the one way from any thread into a worker.
 *
 * A stack that many push to and one takes whole (base/stack.h): posts of one thread stay in its
 * order. It is bounded by the bytes that wait in it, softly: a publisher looks before it posts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_MAILBOX_H
#define FW_NET_MAILBOX_H

#include "base/stack.h"
#include "hub/msg.h"
#include "hub/topic.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* A message on its way to one worker. */
struct fw_post {
    struct fw_stack_link link; /* first: a post is found as its link */
    struct fw_topic *topic;
    struct fw_msg *msg; /* one reference goes with it */
};

/* The post behind it in a list; NULL: it is the last. */
static inline struct fw_post *fw_post_next(const struct fw_post *post)
{
    return (struct fw_post *)(void *)post->link.next;
}

/* What it counts as while it waits: itself and its message, so that empty ones are bounded too. */
static inline size_t fw_post_bytes(const struct fw_post *post)
{
    return sizeof *post + sizeof *post->msg + FW_MSG_HEADROOM + post->msg->payload_bytes;
}

struct fw_mailbox {
    struct fw_stack posts;
    atomic_size_t waiting_bytes;
};

void fw_mailbox_init(struct fw_mailbox *mailbox);

/* Whether a post of so many bytes may still go in. Thread: any. */
bool fw_mailbox_has_room(struct fw_mailbox *mailbox, size_t bytes);

/* Posts; gives the post and its message reference.
 *
 * returns      whether it was empty: the worker must be woken
 * thread       any
 */
bool fw_mailbox_post(struct fw_mailbox *mailbox, struct fw_post *post);

/* Takes everything, oldest first, as a list through fw_post_next; NULL when there is nothing.
 * Thread: the worker. */
struct fw_post *fw_mailbox_take(struct fw_mailbox *mailbox);

/* Says that taken posts have been worked on: their bytes (fw_post_bytes) wait no longer. Thread:
 * the worker. */
void fw_mailbox_done(struct fw_mailbox *mailbox, size_t bytes);

#endif
