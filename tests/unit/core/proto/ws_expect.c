/* ws_expect.c: one stream, every way of cutting it, the same events.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/core/proto/ws_expect.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* Streams up to this size are cut at every pair of places. */
#define PAIRS_BYTES_MAX 300

const struct fw_ws_rules ws_server_rules = {.message_bytes_max = 65536, .fragments_max = 128};
const struct fw_ws_rules ws_client_rules = {
    .message_bytes_max = 65536, .fragments_max = 128, .client = true};

/* What every way of cutting shares. */
struct expectation {
    const struct ws_stream *stream;
    const struct fw_ws_rules *rules;
    const char *expected;
    const char *name;
    struct guard_buf guard;
    bool deflate;
};

static bool as_expected(struct expectation *expectation, const size_t *cuts, size_t cuts_count)
{
    struct ws_trace trace;
    ws_trace_init(&trace);
    bool kept = ws_trace_decode(&trace, expectation->stream, expectation->rules,
                                expectation->deflate, cuts, cuts_count, &expectation->guard);
    bool same = kept && strcmp(trace.text, expectation->expected) == 0;
    cr_expect(same, "%s, as %s, %zu cuts, first at %zu: %s instead of %s", expectation->name,
              expectation->rules->client ? "client" : "server", cuts_count,
              cuts_count > 0 ? cuts[0] : 0, trace.text, expectation->expected);
    ws_trace_clear(&trace);
    return same;
}

static bool octet_by_octet(struct expectation *expectation)
{
    size_t count = expectation->stream->bytes_count;
    size_t *cuts = malloc((count + 1) * sizeof *cuts);
    cr_assert_not_null(cuts);
    for (size_t i = 0; i < count; i++)
        cuts[i] = i;
    bool same = as_expected(expectation, cuts, count);
    free(cuts);
    return same;
}

/* Cuts at every place, and at every pair of places while the stream is short; stops at the first
 * difference. */
static void everywhere(struct expectation *expectation)
{
    size_t count = expectation->stream->bytes_count;
    size_t stride = count > 4096 ? count / 97 : 1;
    for (size_t first = 0; first <= count; first += stride) {
        if (!as_expected(expectation, &first, 1))
            return;
        for (size_t second = first; second <= count && count <= PAIRS_BYTES_MAX; second++) {
            size_t cuts[] = {first, second};
            if (!as_expected(expectation, cuts, 2))
                return;
        }
    }
}

void ws_expect_events(const struct ws_stream *stream, const struct fw_ws_rules *rules, bool deflate,
                      const char *expected, const char *name)
{
    struct expectation expectation = {
        .stream = stream, .rules = rules, .expected = expected, .name = name, .deflate = deflate};
    guard_buf_init(&expectation.guard, stream->bytes_count);
    if (as_expected(&expectation, NULL, 0) && octet_by_octet(&expectation))
        everywhere(&expectation);
    guard_buf_clear(&expectation.guard);
}

void ws_expect_row(const struct ws_frame_row frames[FRAMES_MAX], bool deflate, const char *expected)
{
    for (int client = 0; client < 2; client++) {
        struct ws_stream stream = {0};
        unsigned masked = client ? 0 : WS_MASKED;
        for (size_t i = 0; i < FRAMES_MAX && (frames[i].bits || frames[i].payload); i++)
            ws_stream_frame(&stream, frames[i].bits | masked, frames[i].payload,
                            frames[i].payload_bytes);
        ws_expect_events(&stream, client ? &ws_client_rules : &ws_server_rules, deflate, expected,
                         expected);
        ws_stream_clear(&stream);
    }
}
