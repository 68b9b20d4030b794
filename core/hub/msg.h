/* msg.h: a published message: immutable, counted, encoded once for everyone.
 *
 * The payload stands once, with room in front where its WebSocket header is written at creation, so
 * that header and payload are one piece for every subscriber. The hub knows no frames: whoever
 * creates the message writes the header (session/encode.h) and says where the encoding begins.
 *
 * Subscribers that agreed on another encoding with us (compression) share that one too: it is made
 * when the first of them is there, by whichever worker comes first, and stays with the message.
 *
 * A message crosses threads: its count is atomic, and touched once per worker, not once per
 * subscriber (share.h). So are its encodings. Everything else is written before the first other
 * thread sees it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_HUB_MSG_H
#define FW_HUB_MSG_H

#include "base/bytes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room in front of the payload: a server's frame header takes at most 10 octets. */
#define FW_MSG_HEADROOM 16

/* Encodings of a message besides the plain frame, which is encoding 0. What each is, the session
 * floor knows. */
#define FW_MSG_ENCODINGS 5

/* One of them, whole: header and payload. */
struct fw_encoded {
    struct fw_encoded *next; /* of the same message; msg.c */
    uint32_t bytes_count;    /* 0: the plain frame serves (fw_encoded_plain) */
    uint8_t encoding;        /* msg.c */
    uint8_t skipped;         /* octets in front that some of its users leave out */
    uint8_t bytes[];
};

/* Says that an encoding was tried, or is not to be tried, and is not worth it. */
extern struct fw_encoded fw_encoded_plain;

struct fw_topic;

struct fw_msg {
    atomic_uint references;
    uint32_t payload_bytes;
    struct fw_topic *topic; /* where it was published; good while it is on its way (topic.h) */
    uint64_t offset;        /* its place in the topic, from 1; set once by the topic */
    _Atomic(struct fw_encoded *) encodings; /* those that were made, the newest first */
    uint64_t key;          /* what it is news of, hashed: a newer one of the same key replaces it
                              where the policy is FW_POLICY_LATEST; 0: of the topic */
    uint32_t published_ms; /* low half of the time */
    uint32_t lives_ms;     /* after this it is not handed to those who come back; 0: for ever */
    atomic_uchar plain;    /* a bit for each encoding that is not worth it */
    uint8_t type;          /* enum fw_message_type */
    uint8_t frame_at;      /* where in `data` the WebSocket encoding begins */
    bool secret;    /* never compressed: its length would tell of what it holds (CRIME, BREACH) */
    uint8_t data[]; /* FW_MSG_HEADROOM octets, then the payload */
};

/* Creates a message with one reference; the payload is copied.
 *
 * returns      NULL when there is no memory
 * thread       any
 */
struct fw_msg *fw_msg_create(uint8_t type, struct fw_bytes payload);

/* Takes, and gives back, a reference; the last one frees. Thread: any. */
void fw_msg_hold(struct fw_msg *msg, unsigned count);
void fw_msg_drop(struct fw_msg *msg);

static inline struct fw_bytes fw_msg_payload(const struct fw_msg *msg)
{
    return (struct fw_bytes){msg->data + FW_MSG_HEADROOM, msg->payload_bytes};
}

/* The encoding if somebody has made it, else NULL. Thread: any.
 *
 * encoding     1..FW_MSG_ENCODINGS
 */
const struct fw_encoded *fw_msg_encoded(struct fw_msg *msg, unsigned encoding);

/* Gives a message an encoding, one heap block; if another thread was faster, it is freed, and
 * theirs stays. Thread: any.
 *
 * returns      the one that stays, as long as the message
 */
const struct fw_encoded *fw_msg_encode(struct fw_msg *msg, unsigned encoding,
                                       struct fw_encoded *encoded);

/* How long ago it was published; below 0 when the clock that says so was read before. */
static inline int32_t fw_msg_age_ms(const struct fw_msg *msg, uint64_t now_ms)
{
    return (int32_t)((uint32_t)now_ms - msg->published_ms);
}

/* The WebSocket frame: header and payload in one piece. */
static inline struct fw_bytes fw_msg_frame(const struct fw_msg *msg)
{
    return (struct fw_bytes){msg->data + msg->frame_at,
                             (size_t)(FW_MSG_HEADROOM - msg->frame_at) + msg->payload_bytes};
}

#endif
