/* feed_message.c: what a published message says of itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "feed_message.h"
#include "message.h"

static void write_hex(uint8_t *out, uint64_t value, unsigned digits)
{
    while (digits-- > 0) {
        out[digits] = (uint8_t) "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

static bool read_hex(const uint8_t *in, unsigned digits, uint64_t *value_out)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < digits; i++) {
        unsigned digit = in[i] >= '0' && in[i] <= '9'   ? in[i] - (unsigned)'0'
                         : in[i] >= 'a' && in[i] <= 'f' ? in[i] - (unsigned)'a' + 10
                                                        : 16;
        if (digit > 15)
            return false;
        value = value << 4 | digit;
    }
    *value_out = value;
    return true;
}

void feed_message_write(const struct feed_message *message, uint8_t *out, size_t bytes)
{
    write_hex(out, message->publisher, 4);
    write_hex(out + 4, message->sequence, 16);
    write_hex(out + 20, message->due_ns, 16);
    bench_text_write(out + FEED_HEAD_BYTES, FEED_HEAD_BYTES, bytes - FEED_HEAD_BYTES);
}

bool feed_message_read(const uint8_t in[FEED_HEAD_BYTES], struct feed_message *message_out)
{
    uint64_t publisher;
    if (!read_hex(in, 4, &publisher) || !read_hex(in + 4, 16, &message_out->sequence) ||
        !read_hex(in + 20, 16, &message_out->due_ns))
        return false;
    message_out->publisher = (uint32_t)publisher;
    return true;
}
