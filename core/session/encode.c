/* encode.c: see encode.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/encode.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "hub/topic.h"
#include "proto/sse.h"
#include "proto/ws_frame.h"
#include "session/compress.h"
#include "session/session.h"

#include <fanwire/types.h>
#include <inttypes.h>
#include <stdio.h>

static_assert(FW_MSG_ENCODINGS == FW_ENCODING_COMMANDS, "the hub carries each of them");

/* A topic's name, 20 digits, and what stands around them. */
#define HEAD_BYTES_MAX (FW_TOPIC_NAME_BYTES_MAX + 64)

void fw_base64_write(struct fw_bytes in, uint8_t *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t i = 0;
    for (; i + 3 <= in.count; i += 3) {
        uint32_t bits =
            (uint32_t)in.at[i] << 16 | (uint32_t)in.at[i + 1] << 8 | (uint32_t)in.at[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *out++ = (uint8_t)digits[bits >> shift & 63];
    }
    if (i == in.count)
        return;
    uint32_t bits = (uint32_t)in.at[i] << 16;
    if (i + 1 < in.count)
        bits |= (uint32_t)in.at[i + 1] << 8;
    *out++ = (uint8_t)digits[bits >> 18];
    *out++ = (uint8_t)digits[bits >> 12 & 63];
    *out++ = (uint8_t)(i + 1 < in.count ? digits[bits >> 6 & 63] : '=');
    *out = '=';
}

static struct fw_encoded *create(size_t bytes_count)
{
    struct fw_encoded *encoded = fw_mem_alloc(sizeof *encoded + bytes_count);
    if (encoded != NULL)
        *encoded = (struct fw_encoded){.bytes_count = (uint32_t)bytes_count};
    return encoded;
}

/* What is not text goes as base64, in one line. */
static struct fw_encoded *make_sse(const struct fw_msg *msg)
{
    char head[HEAD_BYTES_MAX];
    struct fw_bytes payload = fw_msg_payload(msg);
    bool text = msg->type == FW_TEXT;
    int head_bytes = snprintf(head, sizeof head, "id: %" PRIx64 ":%" PRIu64 "\n%s",
                              msg->topic->epoch, msg->offset, text ? "" : "event: binary\n");
    size_t data_bytes = text ? fw_sse_data_bytes(payload) : 6 + fw_base64_bytes(payload.count) + 2;
    fw_assert(head_bytes > 0 && head_bytes < UINT8_MAX);
    if (data_bytes > UINT32_MAX / 2)
        return NULL;
    struct fw_encoded *encoded = create((size_t)head_bytes + data_bytes);
    if (encoded == NULL)
        return NULL;
    uint8_t *data = encoded->bytes + head_bytes;
    encoded->skipped = (uint8_t)head_bytes;
    memcpy(encoded->bytes, head, (size_t)head_bytes);
    if (text) {
        fw_sse_data_write(payload, data);
    } else {
        memcpy(data, "data: ", 6);
        fw_base64_write(payload, data + 6);
        memcpy(data + data_bytes - 2, "\n\n", 2);
    }
    return encoded;
}

static struct fw_encoded *make_commands(const struct fw_msg *msg)
{
    char head[HEAD_BYTES_MAX];
    struct fw_bytes payload = fw_msg_payload(msg);
    struct fw_bytes name = msg->topic->node.name;
    int head_bytes = snprintf(head, sizeof head, "{\"topic\":\"%.*s\",\"offset\":%" PRIu64 "}\n",
                              (int)name.count, (const char *)name.at, msg->offset);
    fw_assert(head_bytes > 0 && (size_t)head_bytes < sizeof head);
    const struct fw_ws_header header = {
        .payload_bytes = (uint64_t)head_bytes + payload.count, .opcode = msg->type, .fin = true};
    size_t header_bytes = fw_ws_header_bytes(header.payload_bytes, false);
    struct fw_encoded *encoded = create(header_bytes + (size_t)header.payload_bytes);
    if (encoded == NULL)
        return NULL;
    fw_ws_header_encode(&header, encoded->bytes);
    memcpy(encoded->bytes + header_bytes, head, (size_t)head_bytes);
    if (payload.count > 0)
        memcpy(encoded->bytes + header_bytes + head_bytes, payload.at, payload.count);
    return encoded;
}

const struct fw_encoded *fw_session_encoded(struct fw_msg *msg, unsigned encoding)
{
    const struct fw_encoded *encoded = fw_msg_encoded(msg, encoding);
    if (encoded != NULL)
        return encoded;
    struct fw_encoded *made = encoding == FW_ENCODING_SSE ? make_sse(msg) : make_commands(msg);
    return made == NULL ? NULL : fw_msg_encode(msg, encoding, made);
}

struct fw_bytes fw_session_encode_any(void *context, struct fw_msg *msg, unsigned encoding)
{
    struct fw_session_host *host = context;
    if (encoding <= FW_WS_DEFLATE_ENCODINGS)
        return fw_session_encode(host->compressor, msg, encoding);
    const struct fw_encoded *encoded = fw_session_encoded(msg, encoding);
    if (encoded == NULL)
        return (struct fw_bytes){0};
    return (struct fw_bytes){encoded->bytes, encoded->bytes_count};
}
