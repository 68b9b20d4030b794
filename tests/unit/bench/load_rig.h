/* load_rig.h: one load connection without an engine, which writes down what it is told.
 *
 * For tests of what the load reads: nothing in them may end the connection. Messages are the load's
 * text (bench/message.h); each piece is compared with it, and must follow the one before.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_BENCH_LOAD_RIG_H
#define TESTS_UNIT_BENCH_LOAD_RIG_H

#include "bench/client.h"
#include "bench/client_impl.h"
#include "bench/client_layers.h"

struct load_rig {
    struct bench_client client; /* slot 0 is the connection */
    struct bench_conn conn;
    struct bench_layers *layers[1];
    uint32_t dirty[1];
    uint32_t began_us[1];
    char trace[4096]; /* "open message:7 pong " */
    size_t trace_bytes;
    size_t message_bytes;
};
extern struct load_rig load_rig;

/* Begins a connection in a state, opened as `opening` says, with the layers that it asks for. */
void load_rig_begin(enum bench_state state, const struct bench_opening *opening);

/* Frees what it held. */
void load_rig_end(void);

/* Writes a server's frame whose payload is the text from `at` on, or these octets.
 *
 * opcode       with FW_WS_RSV1 in it or not
 * returns      octets written
 */
size_t load_rig_text(uint8_t *out, uint8_t opcode, bool fin, size_t at, size_t count);
size_t load_rig_frame(uint8_t *out, uint8_t opcode, bool fin, const void *payload, size_t count);

#endif
