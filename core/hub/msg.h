/* msg.h: a published message: immutable, counted, encoded once for everyone.
 *
 * The payload stands once, with room in front where its WebSocket header is written at creation, so
 * that header and payload are one piece for every subscriber. The hub knows no frames: whoever
 * creates the message writes the header (session/encode.h) and says where the encoding begins.
 *
 * A message crosses threads: its count is atomic, and touched once per worker, not once per
 * subscriber (share.h). Everything else is written before the first other thread sees it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_HUB_MSG_H
#define FW_HUB_MSG_H

#include "base/bytes.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Room in front of the payload: a server's frame header takes at most 10 octets. */
#define FW_MSG_HEADROOM 16

struct fw_msg {
    atomic_uint references;
    uint32_t payload_bytes;
    uint64_t offset;  /* its place in the topic, from 1; set once by the topic */
    uint8_t type;     /* enum fw_message_type */
    uint8_t frame_at; /* where in `data` the WebSocket encoding begins */
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

/* The WebSocket frame: header and payload in one piece. */
static inline struct fw_bytes fw_msg_frame(const struct fw_msg *msg)
{
    return (struct fw_bytes){msg->data + msg->frame_at,
                             (size_t)(FW_MSG_HEADROOM - msg->frame_at) + msg->payload_bytes};
}

#endif
