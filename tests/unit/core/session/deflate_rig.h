/* deflate_rig.h: a session that can agree on permessage-deflate, on a fake host, and its peer,
 * which is made of the same coders in the client's role.
 *
 *     rig_make_with_contexts();
 *     rig_agree_on("permessage-deflate");
 *     rig_say_text("hi");                       the peer says it, compressed
 *     rig_send_text(tick);                      the program sends
 *     cr_assert_str_eq(rig_got(), "packed(tick)");
 *     rig_clear();
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_CORE_SESSION_DEFLATE_RIG_H
#define TESTS_UNIT_CORE_SESSION_DEFLATE_RIG_H

#include "session/compress.h"
#include "support/fake_host.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TEXT         (WS_FIN | FW_WS_TEXT)
#define BINARY       (WS_FIN | FW_WS_BINARY)
#define EXTENSIONS   "Sec-WebSocket-Extensions: "
#define PMD          "permessage-deflate"

/* What a packed message may be at most. */
#define PACKED_MAX 400000

struct deflate_rig {
    struct fake_host fake;
    struct fw_compressor compressor;
    struct {
        struct fw_ws_deflate_pool pool;
        struct fw_ws_deflate agreed;
        struct fw_ws_deflate_context *context; /* of its own, whether it was agreed on or not */
        struct fw_ws_decoder decoder;
        size_t read; /* of what was sent to it */
        char got[8192];
    } peer;
    uint8_t packed[PACKED_MAX]; /* for whoever packs something */
};

extern struct deflate_rig rig;

/* Texts that compress; rig_got names them "tick" and "tick 2". */
extern const char tick[];
extern const char tick_2[];

/* Makes all of it; the server's side has so much memory for contexts, 1 MiB, or none. */
void rig_make(size_t contexts_bytes_max);
void rig_make_with_contexts(void);
void rig_make_without(void);

/* Frees it, and expects that every context was given back. */
void rig_clear(void);

/* Opens with header lines; the extensions of the answer, or "". */
const char *rig_open_with(const char *path, const char *lines);

/* Opens with one offer, which must be accepted. */
void rig_agree_on(const char *offer);

/* The peer says a message, compressed, in the context that was agreed on. */
void rig_say(unsigned bits, const void *payload, size_t bytes);
void rig_say_text(const char *text);

/* What the peer got since the last call: "packed(hi) plain(tick) packed(#9000 7878) close(1000)",
 * long messages by their size, first and last octet. A message that it cannot inflate fails the
 * test. */
const char *rig_got(void);

/* For fake.on_message: sends every message back. */
void rig_echo(struct fake_host *host, uint8_t type, const uint8_t *bytes, size_t count);

/* The program sends. */
void rig_send_text(const char *text);

/* Publishes as a worker's fan-out does, to a topic that the session is subscribed to. */
void rig_publish_bytes(const char *topic, uint8_t type, struct fw_bytes payload, bool secret);
void rig_publish(const char *topic, const char *text, bool secret);

/* Fills with octets that do not compress; the first and the last are 0. */
void rig_fill_random(uint8_t *out, size_t bytes);

#endif
