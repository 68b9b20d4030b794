/* encode.h: what a published message looks like to those who do not take it as a plain frame: each
 * form is made once, kept in the message, and shared by all who agreed on it. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_ENCODE_H
#define FW_SESSION_ENCODE_H

#include "base/bytes.h"
#include "hub/msg.h"
#include "proto/ws_deflate.h"

#include <stddef.h>

/* The numbers of fw_subscription.encoding, behind those of permessage-deflate. */
enum fw_session_encoding {
    /* "id: EPOCH:OFFSET", "event: binary" for what is not text, the data lines. Who has several
     * topics leaves out what stands before the data lines (fw_encoded.skipped). */
    FW_ENCODING_SSE = FW_WS_DEFLATE_ENCODINGS + 1,
    /* A frame of fanwire.v1: {"topic":"NAME","offset":N}, a newline, the payload. */
    FW_ENCODING_COMMANDS = FW_WS_DEFLATE_ENCODINGS + 2,
};

/* The hub's encode.
 *
 * host         struct fw_session_host
 * returns      empty when there is no memory, and the plain frame is no answer
 */
struct fw_bytes fw_session_encode_any(void *host, struct fw_msg *msg, unsigned encoding);

/* A message's form, made when it is not there yet; NULL when there is no memory.
 *
 * encoding     FW_ENCODING_SSE or FW_ENCODING_COMMANDS
 */
const struct fw_encoded *fw_session_encoded(struct fw_msg *msg, unsigned encoding);

/* Octets of standard base64, which pads; and the writing of it. */
static inline size_t fw_base64_bytes(size_t bytes_count)
{
    return (bytes_count + 2) / 3 * 4;
}
void fw_base64_write(struct fw_bytes in, uint8_t *out);

#endif
