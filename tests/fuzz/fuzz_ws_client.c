/* fuzz_ws_client.c: libFuzzer target of a session in client role (RFC 6455, sections 4.1 and 5).
 *
 * The input is what a server sends: its answer's head, and frames behind it. The oracle: what the
 * program is told is the same whether the input comes at once, in two pieces, or octet by octet;
 * one end is told, of a connection or of its failure; and what was sent decodes as masked frames. A
 * crash, a sanitizer's finding or a difference ends the run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/fake_host.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is told of so many octets fits into the host's notes. */
#define INPUT_BYTES_MAX 900

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact, const char *what, const char *told)
{
    if (fact)
        return;
    fprintf(stderr, "broken: %s: %s\n", what, told);
    abort();
}

static void answer(struct fake_host *fake, const uint8_t *data, size_t size)
{
    fake_host_receive(fake, data, size);
    fake_host_flush(fake);
}

/* One life, its input in pieces of `piece` octets; what was told is copied out. */
static void live(const uint8_t *data, size_t size, size_t piece, char *told_out)
{
    static const struct fw_ws_dial_options options = {
        .host = "a", .target = "/", .protocols = "chat, superchat"};
    struct fake_host fake;
    struct fw_ws_dial *dial;
    fake_host_init(&fake);
    require(fw_ws_dial_create(&options, &dial) == 0, "a dial", "");
    fake_host_dial(&fake, dial);
    fake_host_flush(&fake);
    for (size_t at = 0; at < size; at += piece)
        answer(&fake, data + at, size - at < piece ? size - at : piece);
    fw_session_ended(&fake.session, 0);
    fake_host_flush(&fake);
    const char *frames = fake_host_client_frames(&fake);
    require(!fake.frames.failed, "frames of ours", frames);
    require(fake.ends_told == 1, "one end is told", fake.told);
    memcpy(told_out, fake.told, sizeof fake.told);
    fake_host_clear(&fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char whole[4096];
    char cut[4096];
    if (size == 0 || size > INPUT_BYTES_MAX)
        return -1;
    live(data, size, size, whole);
    live(data, size, 1, cut);
    require(strcmp(whole, cut) == 0, "octet by octet", cut);
    live(data, size, 1 + size / 2, cut);
    require(strcmp(whole, cut) == 0, "in two pieces", cut);
    return 0;
}
