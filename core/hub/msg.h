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
#define FW_MSG_ENCODINGS 3

/* One of them, whole: header and payload. */
struct fw_encoded {
    uint32_t bytes_count; /* 0: the plain frame serves (fw_encoded_plain) */
    uint8_t bytes[];
};

/* Says that an encoding was tried, or is not to be tried, and is not worth it. */
extern struct fw_encoded fw_encoded_plain;

struct fw_msg {
    atomic_uint references;
    uint32_t payload_bytes;
    uint64_t offset; /* its place in the topic, from 1; set once by the topic */
    _Atomic(struct fw_encoded *) encodings[FW_MSG_ENCODINGS]; /* by encoding - 1; NULL: not made */
    uint8_t type;                                             /* enum fw_message_type */
    uint8_t frame_at; /* where in `data` the WebSocket encoding begins */
    bool secret;      /* never compressed: its length would tell of what it holds (CRIME, BREACH) */
    uint8_t data[];   /* FW_MSG_HEADROOM octets, then the payload */
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
static inline const struct fw_encoded *fw_msg_encoded(struct fw_msg *msg, unsigned encoding)
{
    /* Acquire: pairs with the release in fw_msg_encode. */
    return atomic_load_explicit(&msg->encodings[encoding - 1], memory_order_acquire);
}

/* Gives a message an encoding, one heap block; if another thread was faster, it is freed, and
 * theirs stays. Thread: any.
 *
 * returns      the one that stays, as long as the message
 */
const struct fw_encoded *fw_msg_encode(struct fw_msg *msg, unsigned encoding,
                                       struct fw_encoded *encoded);

/* The WebSocket frame: header and payload in one piece. */
static inline struct fw_bytes fw_msg_frame(const struct fw_msg *msg)
{
    return (struct fw_bytes){msg->data + msg->frame_at,
                             (size_t)(FW_MSG_HEADROOM - msg->frame_at) + msg->payload_bytes};
}

#endif
