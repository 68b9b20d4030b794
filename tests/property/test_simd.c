/* test_simd.c: every SIMD kernel that this machine runs, against a second, slow implementation.
 *
 * Masking (RFC 6455, section 5.3): every length, alignment and key phase, in place and not. UTF-8
 * (RFC 3629): every sequence of two and three octets, four sampled, random texts and mutations,
 * every split; the result and the state must be the scalar kernel's. Both with inputs flush against
 * an unreadable page at either end. Random cases are repeatable: the seeds are constants.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/cpu.h"
#include "proto/mask.h"
#include "proto/utf8.h"
#include "support/guard_buf.h"
#include "support/random.h"
#include "support/simd_reference.h"

#include <criterion/criterion.h>
#include <string.h>

#define LENGTH_MAX    300
#define ALIGNMENT_MAX 63
#define MARGIN_BYTES  64 /* looked at on either side of an output: nothing else may be written */

/* The kernels under test, with the two doors as one more. */
static const struct fw_simd_variant *kernels(size_t *count_out)
{
    static struct fw_simd_variant found[8] = {{"doors", NULL, fw_mask, fw_utf8_check}};
    size_t variants_count;
    const struct fw_simd_variant *variants = fw_simd_variants(&variants_count);
    *count_out = 1;
    for (size_t i = 0; i < variants_count; i++) {
        if (variants[i].supported())
            found[(*count_out)++] = variants[i];
        else
            cr_log_warn("SKIPPED: this processor does not have %s", variants[i].name);
    }
    return found;
}

static uint32_t key_of(const uint8_t octets[4])
{
    uint32_t key;
    memcpy(&key, octets, sizeof key);
    return key;
}

/* The key octets for the octet `bytes` later. */
static void rotate(uint8_t out[4], const uint8_t key[4], size_t bytes)
{
    for (size_t i = 0; i < 4; i++)
        out[i] = key[(i + bytes) % 4];
}

static void fill_random(uint64_t *seed, uint8_t *out, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(random_next(seed) >> 56);
}

#define ARENA_BYTES (MARGIN_BYTES + ALIGNMENT_MAX + LENGTH_MAX + MARGIN_BYTES)

/* Masks `bytes` octets at `at` of an arena; the rest of the arena must stay as it was. */
static void check_mask(const struct fw_simd_variant *kernel, const uint8_t *arena, size_t at,
                       size_t bytes, const uint8_t key[4], bool in_place)
{
    _Alignas(64) uint8_t in[ARENA_BYTES];
    _Alignas(64) uint8_t out[ARENA_BYTES];
    uint8_t right[ARENA_BYTES];
    uint8_t key_next[4];
    memcpy(in, arena, ARENA_BYTES);
    memcpy(out, arena, ARENA_BYTES);
    memcpy(right, arena, ARENA_BYTES);
    reference_mask(right + at, arena + at, bytes, key);
    rotate(key_next, key, bytes);
    /* Not in place, the input stands at another alignment than the output. */
    const uint8_t *from = in_place ? out + at : memmove(in + at / 2, arena + at, bytes);
    uint32_t next = kernel->mask(out + at, from, bytes, key_of(key));
    if (next != key_of(key_next) || memcmp(out, right, ARENA_BYTES) != 0)
        cr_assert(false, "%s: %zu octets at alignment %zu, %s", kernel->name, bytes, at % 64,
                  in_place ? "in place" : "not in place");
}

Test(mask_kernels, mask_every_length_alignment_and_key_phase)
{
    static const uint8_t key[] = {0x5c, 0x81, 0xe7, 0x2a};
    uint8_t arena[ARENA_BYTES], phase_key[4];
    uint64_t seed = 0x9e3779b97f4a7c15u;
    size_t count;
    const struct fw_simd_variant *found = kernels(&count);
    fill_random(&seed, arena, ARENA_BYTES);
    for (size_t k = 0; k < count; k++) {
        for (size_t bytes = 0; bytes <= LENGTH_MAX; bytes++) {
            for (size_t alignment = 0; alignment <= ALIGNMENT_MAX; alignment++) {
                for (size_t phase = 0; phase < 4; phase++) {
                    rotate(phase_key, key, phase);
                    bool in_place = (alignment + phase) % 2 == 0;
                    check_mask(&found[k], arena, MARGIN_BYTES + alignment, bytes, phase_key,
                               in_place);
                    if (phase == 0)
                        check_mask(&found[k], arena, MARGIN_BYTES + alignment, bytes, phase_key,
                                   !in_place);
                }
            }
        }
    }
}

/* Masks in place and between two guarded buffers, both placed by the same function. */
static void check_mask_guarded(const struct fw_simd_variant *kernel, size_t bytes,
                               uint8_t *place(struct guard_buf *, const void *, size_t))
{
    static const uint8_t key[] = {0x11, 0xd2, 0x43, 0x94};
    static uint8_t plain[4 * 4096], right[4 * 4096];
    static struct guard_buf in_guard, out_guard;
    uint64_t seed = bytes + 1;
    if (in_guard.map == NULL) {
        guard_buf_init(&in_guard, sizeof plain);
        guard_buf_init(&out_guard, sizeof plain);
    }
    fill_random(&seed, plain, bytes);
    reference_mask(right, plain, bytes, key);
    uint8_t *in = place(&in_guard, plain, bytes);
    uint8_t *out = place(&out_guard, plain, bytes);
    kernel->mask(out, out, bytes, key_of(key));
    if (memcmp(out, right, bytes) != 0)
        cr_assert(false, "%s: %zu octets in place", kernel->name, bytes);
    kernel->mask(out, in, bytes, key_of(key));
    if (memcmp(out, right, bytes) != 0)
        cr_assert(false, "%s: %zu octets", kernel->name, bytes);
}

Test(mask_kernels, stay_within_payloads_flush_against_unreadable_pages)
{
    static const size_t longer[] = {511, 512, 513, 1024, 1500, 4095, 4096, 4097, 10007, 16384};
    size_t count;
    const struct fw_simd_variant *found = kernels(&count);
    for (size_t k = 0; k < count; k++) {
        for (size_t bytes = 0; bytes <= LENGTH_MAX; bytes++) {
            check_mask_guarded(&found[k], bytes, guard_buf_at_end);
            check_mask_guarded(&found[k], bytes, guard_buf_at_start);
        }
        for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++) {
            check_mask_guarded(&found[k], longer[i], guard_buf_at_end);
            check_mask_guarded(&found[k], longer[i], guard_buf_at_start);
        }
    }
}

Test(mask_kernels, mask_random_pieces_as_they_mask_the_whole)
{
    static const uint8_t key[] = {0xf1, 0x02, 0x3e, 0xd4};
    static uint8_t in[70000], right[70000], out[70000];
    uint64_t seed = 0xd1342543de82ef95u;
    size_t count;
    const struct fw_simd_variant *found = kernels(&count);
    fill_random(&seed, in, sizeof in);
    reference_mask(right, in, sizeof in, key);
    for (size_t k = 0; k < count; k++) {
        for (size_t round = 0; round < 20; round++) {
            uint32_t next = key_of(key);
            for (size_t at = 0; at < sizeof in;) {
                size_t bytes = (size_t)(random_next(&seed) >> 32) % (64u << round % 10);
                bytes = bytes < sizeof in - at ? bytes : sizeof in - at;
                next = found[k].mask(out + at, in + at, bytes, next);
                at += bytes;
            }
            cr_assert_arr_eq(out, right, sizeof in, "%s, round %zu", found[k].name, round);
        }
    }
}

/* The state that the scalar kernel leaves after a text that it takes. */
static uint32_t scalar_state(const uint8_t *in, size_t bytes)
{
    size_t count;
    uint32_t state = FW_UTF8_START;
    cr_assert(fw_simd_variants(&count)->utf8_check(&state, in, bytes));
    return state;
}

/* What one kernel says of a text in one piece must be what the reference says, and the state what
 * the scalar kernel leaves. */
static void check_utf8(const struct fw_simd_variant *kernel, const uint8_t *in, size_t bytes,
                       struct reference_verdict right)
{
    uint32_t state = FW_UTF8_START;
    bool taken = kernel->utf8_check(&state, in, bytes);
    if (taken == right.refused)
        cr_assert(false, "%s: %s %zu octets, wrong from octet %zu", kernel->name,
                  taken ? "takes" : "refuses", bytes, right.accepted_bytes);
    if (!taken)
        return;
    uint32_t right_state = right.whole ? FW_UTF8_START : scalar_state(in, bytes);
    if (state != right_state || (state == FW_UTF8_START) != right.whole)
        cr_assert(false, "%s: state %u after %zu octets, not %u", kernel->name, state, bytes,
                  right_state);
}

/* The same in two pieces, for every place to cut; and what is refused must be refused by the piece
 * that holds the wrong octet. */
static void check_utf8_cuts(const struct fw_simd_variant *kernel, const uint8_t *in, size_t bytes,
                            struct reference_verdict right)
{
    for (size_t cut = 0; cut <= bytes; cut++) {
        uint32_t state = FW_UTF8_START;
        bool first = kernel->utf8_check(&state, in, cut);
        if (first != (!right.refused || right.accepted_bytes >= cut))
            cr_assert(false, "%s: first piece of %zu of %zu octets", kernel->name, cut, bytes);
        if (!first)
            continue;
        bool second = kernel->utf8_check(&state, in + cut, bytes - cut);
        if (second == right.refused || (second && (state == FW_UTF8_START) != right.whole))
            cr_assert(false, "%s: second piece of %zu octets, cut at %zu", kernel->name, bytes,
                      cut);
    }
}

/* Spoils a valid text: nothing, an octet, a bit, a piece moved, or an end cut off. */
static size_t mutate(uint64_t *seed, uint8_t *text, size_t bytes)
{
    if (bytes == 0)
        return 0;
    uint64_t random = random_next(seed);
    size_t at = (size_t)(random >> 32) % bytes;
    switch (random >> 8 & 7) {
    case 0:
        return bytes;
    case 1:
    case 2:
        text[at] = (uint8_t)(random >> 16);
        return bytes;
    case 3:
    case 4:
        text[at] ^= (uint8_t)(1u << (random >> 16 & 7));
        return bytes;
    case 5:
        memmove(text + at, text + at + 1, bytes - at - 1);
        return bytes - 1;
    case 6:
        text[at] = (uint8_t)(0x80 | (random >> 16 & 0x3f));
        return bytes;
    default:
        return at;
    }
}

Test(utf8_kernels, judge_random_and_spoiled_texts_as_the_reference_does)
{
    _Alignas(64) uint8_t arena[LENGTH_MAX + ALIGNMENT_MAX];
    uint64_t seed = 0x2545f4914f6cdd1du;
    size_t count;
    const struct fw_simd_variant *found = kernels(&count);
    size_t refused = 0;
    for (size_t round = 0; round < 200000; round++) {
        uint64_t random = random_next(&seed);
        size_t bytes = (size_t)(random >> 32) % (LENGTH_MAX + 1);
        uint8_t *in = arena + (random & ALIGNMENT_MAX);
        reference_text(&seed, 1 + (unsigned)(random >> 16 & 3), in, bytes);
        bytes = mutate(&seed, in, bytes);
        struct reference_verdict right = reference_utf8(in, bytes);
        refused += right.refused;
        for (size_t k = 0; k < count; k++)
            check_utf8(&found[k], in, bytes, right);
    }
    /* The cases must not all lie on one side. */
    cr_assert(refused > 40000 && refused < 160000, "%zu of 200000 refused", refused);
}

Test(utf8_kernels, judge_every_length_alike_in_two_pieces_cut_anywhere)
{
    uint8_t in[LENGTH_MAX];
    uint64_t seed = 0x853c49e6748fea9bu;
    size_t count;
    const struct fw_simd_variant *found = kernels(&count);
    for (size_t bytes = 0; bytes <= LENGTH_MAX; bytes++) {
        for (unsigned round = 0; round < 16; round++) {
            reference_text(&seed, 1 + round % 4, in, bytes);
            size_t spoiled = round < 4 ? bytes : mutate(&seed, in, bytes);
            struct reference_verdict right = reference_utf8(in, spoiled);
            for (size_t k = 0; k < count; k++)
                check_utf8_cuts(&found[k], in, spoiled, right);
        }
    }
}

Test(utf8_kernels, refuse_a_code_point_that_long_ascii_cuts_off)
{
    /* Blocks of ASCII are passed over unjudged: what stands open before them must not be. */
    static const uint8_t smile[] = {0xf0, 0x9f, 0x98};
    static uint8_t in[1500];
    size_t count;
    const struct fw_simd_variant *found = kernels(&count);
    for (size_t front = 0; front <= 600; front++) {
        for (size_t octets = 1; octets <= sizeof smile; octets++) {
            memset(in, 'x', sizeof in);
            memcpy(in, "\xc3\xa4", front < 2 ? 0 : 2);
            memcpy(in + front, smile, octets);
            struct reference_verdict right = reference_utf8(in, sizeof in);
            cr_assert(right.refused && right.accepted_bytes == front + octets);
            for (size_t k = 0; k < count; k++)
                check_utf8(&found[k], in, sizeof in, right);
        }
    }
}

/* A valid text of runs, each of ASCII only or of longer code points too. */
static void fill_runs(uint64_t *seed, uint8_t *out, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        uint64_t random = random_next(seed);
        size_t run = (size_t)(random >> 32) % 400;
        run = run < bytes - at ? run : bytes - at;
        reference_text(seed, (random & 1) != 0 ? 1 : 1 + (unsigned)(random >> 8 & 3), out + at,
                       run);
        at += run;
    }
}

Test(utf8_kernels, judge_long_texts_of_ascii_and_other_runs)
{
    static uint8_t in[2500];
    uint64_t seed = 0xa0761d6478bd642fu;
    size_t count;
    const struct fw_simd_variant *found = kernels(&count);
    for (size_t round = 0; round < 5000; round++) {
        size_t bytes = (size_t)(random_next(&seed) >> 32) % sizeof in;
        fill_runs(&seed, in, bytes);
        bytes = mutate(&seed, in, bytes);
        struct reference_verdict right = reference_utf8(in, bytes);
        for (size_t k = 0; k < count; k++)
            check_utf8(&found[k], in, bytes, right);
    }
}

/* An ASCII text in which sequences are put, so that they reach every kernel's vectors and their
 * borders; where one is put follows from the sequence. */
#define FRAME_BYTES 140

static uint8_t frame[FRAME_BYTES];

static void check_in_frame(const struct fw_simd_variant *found, size_t count,
                           const uint8_t *sequence, size_t bytes, size_t at)
{
    memcpy(frame + at, sequence, bytes);
    struct reference_verdict right = reference_utf8(sequence, bytes);
    right.refused |= !right.whole; /* a letter follows, where a continuation is due */
    right.whole = !right.refused;
    right.accepted_bytes += at;
    /* Without the doors: they would only call one of the others once more. */
    for (size_t k = 1; k < count; k++)
        check_utf8(&found[k], frame, FRAME_BYTES, right);
    memset(frame + at, 'x', bytes);
}

Test(utf8_kernels, judge_every_sequence_of_two_octets_at_every_place)
{
    size_t count;
    const struct fw_simd_variant *found = kernels(&count);
    memset(frame, 'x', FRAME_BYTES);
    for (unsigned pair = 0; pair < 0x10000; pair++) {
        uint8_t sequence[] = {(uint8_t)(pair >> 8), (uint8_t)pair};
        for (size_t at = 13 + pair % 3; at < FRAME_BYTES - 2; at += 16)
            check_in_frame(found, count, sequence, 2, at);
    }
}

Test(utf8_kernels, judge_every_sequence_of_three_octets)
{
    size_t count;
    const struct fw_simd_variant *found = kernels(&count);
    memset(frame, 'x', FRAME_BYTES);
    for (uint32_t triple = 0; triple < 0x1000000; triple++) {
        uint8_t sequence[] = {(uint8_t)(triple >> 16), (uint8_t)(triple >> 8), (uint8_t)triple};
        size_t at = (triple * 2654435761u >> 16) % (FRAME_BYTES - 3);
        check_in_frame(found, count, sequence, 3, at);
    }
}

Test(utf8_kernels, judge_sequences_of_four_octets)
{
    /* All first and second octets, with third and fourth ones from both sides of every border. */
    static const uint8_t later[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
                                    0xbf, 0xc0, 0xc2, 0xe0, 0xf0, 0xff};
    size_t later_count = sizeof later / sizeof later[0];
    size_t count;
    const struct fw_simd_variant *found = kernels(&count);
    memset(frame, 'x', FRAME_BYTES);
    for (unsigned first = 0xc0; first <= 0xff; first++) {
        for (unsigned second = 0; second <= 0xff; second++) {
            for (size_t rest = 0; rest < later_count * later_count; rest++) {
                uint8_t sequence[] = {(uint8_t)first, (uint8_t)second, later[rest % later_count],
                                      later[rest / later_count]};
                size_t at = (second + rest * 7) % (FRAME_BYTES - 4);
                check_in_frame(found, count, sequence, 4, at);
            }
        }
    }
}

Test(utf8_kernels, take_every_code_point_in_pieces_of_any_size)
{
    static uint8_t all[4 * 0x110000];
    size_t bytes = 0;
    for (uint32_t code_point = 0; code_point <= 0x10ffff; code_point++) {
        if (code_point < 0xd800 || code_point > 0xdfff)
            bytes += reference_encode(all + bytes, code_point);
    }
    uint64_t seed = 0xda942042e4dd58b5u;
    size_t count;
    const struct fw_simd_variant *found = kernels(&count);
    for (size_t k = 0; k < count; k++) {
        uint32_t state = FW_UTF8_START;
        for (size_t at = 0; at < bytes;) {
            size_t piece = (size_t)(random_next(&seed) >> 32) % 1000;
            piece = piece < bytes - at ? piece : bytes - at;
            if (!found[k].utf8_check(&state, all + at, piece))
                cr_assert(false, "%s: refuses the piece at %zu", found[k].name, at);
            at += piece;
        }
        cr_assert_eq(state, FW_UTF8_START, "%s", found[k].name);
    }
}

Test(utf8_kernels, stay_within_texts_flush_against_unreadable_pages)
{
    uint8_t text[LENGTH_MAX];
    struct guard_buf guard;
    guard_buf_init(&guard, LENGTH_MAX);
    uint64_t seed = 0x14057b7ef767814fu;
    size_t count;
    const struct fw_simd_variant *found = kernels(&count);
    for (size_t bytes = 0; bytes <= LENGTH_MAX; bytes++) {
        for (unsigned round = 0; round < 24; round++) {
            reference_text(&seed, 1 + round % 4, text, bytes);
            size_t spoiled = round < 8 ? bytes : mutate(&seed, text, bytes);
            struct reference_verdict right = reference_utf8(text, spoiled);
            for (size_t k = 0; k < count; k++) {
                check_utf8(&found[k], guard_buf_at_end(&guard, text, spoiled), spoiled, right);
                check_utf8(&found[k], guard_buf_at_start(&guard, text, spoiled), spoiled, right);
            }
        }
    }
    guard_buf_clear(&guard);
}
