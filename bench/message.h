/* message.h: messages as the load sends them: text that looks like a feed's, in a dialect, packed.
 *
 * thread: any
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_MESSAGE_H
#define FW_BENCH_MESSAGE_H

#include "client.h"

#include "proto/ws_deflate.h"

/* What the load offers: its own messages each alone, because they are packed once for all. */
extern const struct fw_ws_deflate_offer bench_deflate_offer;

/* The text of all messages: quotes as a ticker publishes them, over and over. Octet `at` of a
 * message is octet `at` of it. It has no octet that JSON would escape, and packs to a third, as
 * such feeds do. */
void bench_text_write(uint8_t *out, size_t at, size_t count);

/* Whether octets are those. */
bool bench_text_good(const uint8_t *bytes, size_t at, size_t count);

/* Makes a pattern of one message, many times: bare or as the URL's dialect has it, packed when it
 * has deflate and that is shorter; freed by bench_pattern_clear. NATS is not for it: its messages
 * are made by who publishes them.
 *
 * text         a text message, else a binary one; Socket.IO has text only
 */
void bench_message_pattern(struct bench_pattern *pattern, const struct bench_url *url, bool text,
                           const uint8_t *payload, size_t payload_bytes, uint32_t units);

/* ---- dialects -------------------------------------------------------------------------------- */

/* What is asked for in the upgrade, for the URL's path.
 *
 * target_out   room for BENCH_PATH_BYTES
 */
void bench_dialect_target(const struct bench_url *url, char *target_out);

/* Makes what a connection says first, which has it receive the URL's path as a topic (a NATS
 * subject, a Socket.IO room); nothing when the path is empty. And what it answers pings with. */
void bench_dialect_patterns(const struct bench_url *url, struct bench_pattern *greeting,
                            struct bench_pattern *pulse);

/* Writes a NATS publication, and a ping whose answer says that it was taken, as one frame.
 *
 * out          room for payload_bytes and BENCH_PATH_BYTES + 64 more
 * returns      octets written
 */
size_t bench_nats_publication(const char *path, const uint8_t *payload, size_t payload_bytes,
                              uint8_t *out);

#endif
