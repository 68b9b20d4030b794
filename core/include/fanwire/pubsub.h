/* pubsub.h: publishing to topics, from any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_PUBSUB_H
#define FANWIRE_PUBSUB_H

#include <fanwire/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fw_published {
    uint64_t epoch;     /* changes when the topic's counting began anew */
    uint64_t offset;    /* the message's place in its topic, from 1 */
    uint32_t receivers; /* subscribers at that moment, on all workers */
};

/* What the server knows of a topic. */
struct fw_topic_info {
    uint64_t epoch;
    uint64_t offset;               /* of the newest message, 0 before the first */
    uint32_t subscribers;          /* in all, */
    uint32_t subscribers_sse;      /* event streams among them, */
    uint32_t subscribers_longpoll; /* and waiting GETs */
    uint32_t history_count;        /* messages held for those who come back */
    uint64_t history_oldest; /* offset of the oldest of them; of the next one when none is held */
    uint64_t history_bytes;
    /* Messages times subscribers: owed = delivered + dropped + left, once all is quiet. */
    uint64_t owed;
    uint64_t delivered; /* handed to a connection */
    uint64_t dropped;   /* by a slow subscriber's policy, expired, or gone from the history */
    uint64_t left;      /* not handed over, because the subscriber ended first */
};

/* Publishes a message to everyone who is subscribed to the topic.
 *
 * The message is copied and encoded once. Every subscriber gets the messages of one topic in the
 * order of their offsets, so those of one publishing thread in the order of its calls.
 *
 * topic        1 to 128 of A-Z a-z 0-9 _ - . :
 * type         FW_TEXT needs valid UTF-8
 * published_out  may be NULL
 * returns      0
 * errors       FW_ERR_TOPIC, FW_ERR_NOT_UTF8, FW_ERR_LIMIT (message size, or topics in all),
 *              FW_ERR_BUSY (workers are behind: slow down), FW_ERR_CLOSED, -ENOMEM; nothing was
 *              published then
 * thread       any
 */
FW_PUBLIC int fw_publish(fw_server *server, const char *topic, enum fw_message_type type,
                         const void *bytes, size_t bytes_count, struct fw_published *published_out);

/* What a publisher may say besides. Start from FW_PUBLISH_OPTIONS. */
struct fw_publish_options {
    size_t size;
    /* What the message is news of, at most 128 bytes: where the policy is FW_SLOW_LATEST it
     * replaces an older one of the same key that a slow subscriber has not got yet. NULL: of the
     * topic. */
    const char *key;
    uint32_t lives_ms; /* after this nobody who comes back is handed it; 0: for ever */
};

#define FW_PUBLISH_OPTIONS                                                                         \
    {                                                                                              \
        .size = sizeof(struct fw_publish_options)                                                  \
    }

/* The same with options; NULL for none. errors: besides, FW_ERR_USAGE. Thread: any. */
FW_PUBLIC int fw_publish_with(fw_server *server, const char *topic, enum fw_message_type type,
                              const void *bytes, size_t bytes_count,
                              const struct fw_publish_options *publish_options,
                              struct fw_published *published_out);

/* Reads a topic's figures; FW_ERR_ABSENT when nobody has used it. Thread: any. */
FW_PUBLIC int fw_topic_info(fw_server *server, const char *topic, struct fw_topic_info *info_out);

#ifdef __cplusplus
}
#endif

#endif
