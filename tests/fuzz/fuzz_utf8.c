/* fuzz_utf8.c: libFuzzer target of the UTF-8 kernels (RFC 3629).
 *
 *   octet 0    alignment of the text
 *   octet 1    seed of the pieces
 *   then       the text
 *
 * The oracle, for each kernel that this machine has: a decoder with the arithmetic of code points
 * (simd_reference.h) says the same, of the text whole, cut in two at every point and cut into
 * pieces at random; a piece is refused exactly when it holds the first wrong octet; the state
 * between two pieces is the one that the scalar kernel leaves. Texts stand at the alignment, and
 * flush against an unreadable page in front and behind.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/target.h"
#include "proto/cpu.h"
#include "proto/utf8.h"
#include "support/guard_buf.h"
#include "support/random.h"
#include "support/simd_reference.h"

#define TEXT_BYTES_MAX  4096
#define ALIGNMENT_MAX   64
#define CUTS_MAX        100
#define PIECE_BYTES_MAX 80

typedef bool check_function(uint32_t *state, const uint8_t *in, size_t bytes);

static struct guard_buf guard;

/* Where a piece stands. */
enum place { AT_ALIGNMENT, AT_START, AT_END };

static const uint8_t *place(const uint8_t *piece, size_t bytes, enum place where, size_t alignment)
{
    switch (where) {
    case AT_START:
        return guard_buf_at_start(&guard, piece, bytes);
    case AT_END:
        return guard_buf_at_end(&guard, piece, bytes);
    case AT_ALIGNMENT:
        break;
    }
    uint8_t *at = guard_buf_at_start(&guard, NULL, bytes + alignment) + alignment;
    if (bytes > 0)
        memcpy(at, piece, bytes);
    return at;
}

/* Checks one piece with a kernel and with the scalar one, which both go on from `state`.
 *
 * from, to     where the piece stands in the text
 * returns      whether it is accepted, which is as it must be
 */
static bool check_piece(check_function *check, uint32_t *state, const uint8_t *text, size_t from,
                        size_t to, const struct reference_verdict *verdict, const uint8_t *at)
{
    uint32_t expected = *state;
    bool accepted = check(state, at, to - from);
    require(accepted == (!verdict->refused || to <= verdict->accepted_bytes),
            "a piece is refused exactly when the first wrong octet is in it");
    if (accepted) {
        require(fw_simd_variants(&(size_t){0})[0].utf8_check(&expected, text + from, to - from),
                "the scalar kernel accepts it");
        require(*state == expected, "the state is the scalar kernel's");
    }
    return accepted;
}

static void check_whole(check_function *check, const uint8_t *text, size_t bytes, size_t alignment,
                        const struct reference_verdict *verdict)
{
    for (int where = AT_ALIGNMENT; where <= AT_END; where++) {
        uint32_t state = FW_UTF8_START;
        const uint8_t *at = place(text, bytes, (enum place)where, alignment);
        if (check_piece(check, &state, text, 0, bytes, verdict, at))
            require((state == FW_UTF8_START) == verdict->whole, "whole or not");
    }
}

static void check_cut(check_function *check, const uint8_t *text, size_t bytes, size_t cut,
                      const struct reference_verdict *verdict)
{
    uint32_t state = FW_UTF8_START;
    const uint8_t *front = place(text, cut, AT_END, 0);
    if (!check_piece(check, &state, text, 0, cut, verdict, front))
        return;
    const uint8_t *back = place(text + cut, bytes - cut, cut % 2 ? AT_START : AT_END, 0);
    if (check_piece(check, &state, text, cut, bytes, verdict, back))
        require((state == FW_UTF8_START) == verdict->whole, "cut, whole or not");
}

static void check_pieces(check_function *check, const uint8_t *text, size_t bytes, uint64_t seed,
                         const struct reference_verdict *verdict)
{
    uint32_t state = FW_UTF8_START;
    for (size_t from = 0; from < bytes;) {
        size_t count = 1 + (size_t)(random_next(&seed) >> 32) % PIECE_BYTES_MAX;
        size_t to = bytes - from < count ? bytes : from + count;
        const uint8_t *at = place(text + from, to - from, AT_END, 0);
        if (!check_piece(check, &state, text, from, to, verdict, at))
            return;
        from = to;
    }
    require((state == FW_UTF8_START) == verdict->whole, "in pieces, whole or not");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t variants_count;
    const struct fw_simd_variant *variants = fw_simd_variants(&variants_count);
    if (guard.map == NULL)
        guard_buf_init(&guard, TEXT_BYTES_MAX + ALIGNMENT_MAX);
    if (size < 2 || size - 2 > TEXT_BYTES_MAX)
        return -1;
    const uint8_t *text = data + 2;
    size_t bytes = size - 2;
    size_t stride = 1 + bytes / CUTS_MAX;
    struct reference_verdict verdict = reference_utf8(text, bytes);
    require(fw_utf8_valid(text, bytes) == verdict.whole, "the chosen kernel");
    for (size_t i = 0; i < variants_count; i++) {
        if (!variants[i].supported())
            continue;
        check_function *check = variants[i].utf8_check;
        check_whole(check, text, bytes, data[0] % ALIGNMENT_MAX, &verdict);
        check_pieces(check, text, bytes, 1 + data[1], &verdict);
        for (size_t cut = data[1] % stride; cut <= bytes; cut += stride)
            check_cut(check, text, bytes, cut, &verdict);
    }
    return 0;
}
