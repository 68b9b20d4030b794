/* sse.h: payloads as the data lines of Server-Sent Events.
 *
 * Every line of a payload, however it ends (CR LF, LF or CR), becomes a line of its own behind
 * "data: ", so that no payload can forge a field or end an event; the reader puts them together
 * again with LF. Thread: any.
 *
 * source       WHATWG HTML, section 9.2.6, "interpreting an event stream"
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_SSE_H
#define FW_PROTO_SSE_H

#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

/* Octets that fw_sse_data_write writes. */
size_t fw_sse_data_bytes(struct fw_bytes payload);

/* Writes the data lines of a payload, and the empty line that ends the event.
 *
 * out          room for fw_sse_data_bytes
 * returns      octets written
 */
size_t fw_sse_data_write(struct fw_bytes payload, uint8_t *out);

#endif
