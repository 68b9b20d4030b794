/* ws_expect.h: the sentence that most decoder tests end with.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_CORE_PROTO_WS_EXPECT_H
#define TESTS_UNIT_CORE_PROTO_WS_EXPECT_H

#include "support/ws_stream.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* One frame of a table; the first with bits == 0 and no payload ends a row. */
struct ws_frame_row {
    unsigned bits;
    const char *payload;
    size_t payload_bytes;
};
#define FRAME(bits, literal)                                                                       \
    {                                                                                              \
        (bits), (literal), sizeof(literal) - 1                                                     \
    }
#define FRAMES_MAX 8

/* What most tests decode under: 64 KiB messages in at most 128 frames. */
extern const struct fw_ws_rules ws_server_rules;
extern const struct fw_ws_rules ws_client_rules;

/* Expects that a stream gives these events, however it is cut: whole, octet by octet, at every
 * place, and (up to 300 octets) at every pair of places. */
void ws_expect_events(const struct ws_stream *stream, const struct fw_ws_rules *rules, bool deflate,
                      const char *expected, const char *name);

/* The same for a row of frames, masked as the role wants it, in both roles. */
void ws_expect_row(const struct ws_frame_row frames[FRAMES_MAX], bool deflate,
                   const char *expected);

#endif
