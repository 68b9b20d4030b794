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
    uint64_t offset; /* of the newest message, 0 before the first */
    uint32_t subscribers;
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

/* Reads a topic's figures; FW_ERR_ABSENT when nobody has used it. Thread: any. */
FW_PUBLIC int fw_topic_info(fw_server *server, const char *topic, struct fw_topic_info *info_out);

#ifdef __cplusplus
}
#endif

#endif
