/* simd_main.c: the SIMD kernels of another processor family, in an emulator.
 *
 * A program without a test framework, because none is packaged for foreign processors:
 * tests/cross/run compiles it and the kernels statically for aarch64 and runs it under
 * qemu-aarch64. It compiles natively too. The thorough comparison stands in
 * tests/property/test_simd.c and runs natively; this one walks the same reference over every length
 * 0..300, every alignment 0..15 and key phase.
 *
 * Prints "N passed, M failed", a variant being one test; exit status 0, or 1 when anything failed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/cpu.h"
#include "proto/mask.h"
#include "proto/utf8.h"
#include "support/guard_buf.h"
#include "support/random.h"
#include "support/simd_reference.h"

#include <stdio.h>
#include <string.h>

#define LENGTH_MAX    300
#define ALIGNMENT_MAX 15
#define MARGIN_BYTES  64 /* looked at on either side of an output: nothing else may be written */
#define ARENA_BYTES   (MARGIN_BYTES + ALIGNMENT_MAX + LENGTH_MAX + MARGIN_BYTES)

static unsigned long held;
static unsigned long broken;

/* Counts a case; the first failures are told in full. */
static void expect(bool right, const char *kernel, const char *what, size_t bytes, size_t at)
{
    if (right) {
        held++;
    } else if (broken++ < 20) {
        printf("FAILED: %s: %s, %zu octets, at %zu\n", kernel, what, bytes, at);
    }
}

static uint32_t key_of(const uint8_t key[4], size_t phase)
{
    uint8_t rotated[4];
    uint32_t word;
    for (size_t i = 0; i < 4; i++)
        rotated[i] = key[(i + phase) % 4];
    memcpy(&word, rotated, sizeof word);
    return word;
}

static void mask_case(const struct fw_simd_variant *kernel, size_t bytes, size_t alignment,
                      size_t phase, bool in_place)
{
    static const uint8_t key[] = {0x5c, 0x81, 0xe7, 0x2a};
    static _Alignas(64) uint8_t in[ARENA_BYTES], out[ARENA_BYTES];
    static uint8_t right[ARENA_BYTES];
    uint8_t phase_key[4];
    size_t at = MARGIN_BYTES + alignment;
    for (size_t i = 0; i < ARENA_BYTES; i++)
        in[i] = out[i] = right[i] = (uint8_t)(i * 151 + bytes);
    uint32_t key_word = key_of(key, phase);
    memcpy(phase_key, &key_word, sizeof phase_key);
    reference_mask(right + at, in + at, bytes, phase_key);
    uint32_t next = kernel->mask(out + at, in_place ? out + at : in + at, bytes, key_word);
    expect(memcmp(out, right, ARENA_BYTES) == 0, kernel->name, in_place ? "mask in place" : "mask",
           bytes, alignment);
    expect(next == key_of(key, phase + bytes), kernel->name, "next key", bytes, alignment);
}

static void mask_cases(const struct fw_simd_variant *kernel)
{
    for (size_t bytes = 0; bytes <= LENGTH_MAX; bytes++) {
        for (size_t alignment = 0; alignment <= ALIGNMENT_MAX; alignment++) {
            for (size_t phase = 0; phase < 4; phase++) {
                mask_case(kernel, bytes, alignment, phase, true);
                mask_case(kernel, bytes, alignment, phase, false);
            }
        }
    }
}

/* The same flush against unreadable pages: a kernel that reaches too far dies here. */
static void guarded_mask_cases(const struct fw_simd_variant *kernel, struct guard_buf *guard)
{
    static const uint8_t key[] = {1, 2, 4, 8};
    uint8_t plain[LENGTH_MAX], right[LENGTH_MAX];
    memset(plain, 0x5a, sizeof plain);
    reference_mask(right, plain, sizeof plain, key);
    for (size_t bytes = 0; bytes <= LENGTH_MAX; bytes++) {
        uint8_t *at_end = guard_buf_at_end(guard, plain, bytes);
        kernel->mask(at_end, at_end, bytes, key_of(key, 0));
        expect(memcmp(at_end, right, bytes) == 0, kernel->name, "mask at a page's end", bytes, 0);
        uint8_t *at_start = guard_buf_at_start(guard, plain, bytes);
        kernel->mask(at_start, at_start, bytes, key_of(key, 0));
        expect(memcmp(at_start, right, bytes) == 0, kernel->name, "mask at a page's start", bytes,
               0);
    }
}

/* Whether a kernel says of a text, cut in two, what the reference and the scalar kernel say. */
static bool judges_alike(const struct fw_simd_variant *kernel, const uint8_t *in, size_t bytes,
                         size_t cut)
{
    size_t count;
    const struct fw_simd_variant *scalar = fw_simd_variants(&count);
    struct reference_verdict right = reference_utf8(in, bytes);
    uint32_t state = FW_UTF8_START;
    uint32_t scalar_state = FW_UTF8_START;
    bool first = kernel->utf8_check(&state, in, cut);
    if (first != (!right.refused || right.accepted_bytes >= cut))
        return false;
    if (!first)
        return true;
    if (!scalar->utf8_check(&scalar_state, in, cut) || state != scalar_state)
        return false;
    if (kernel->utf8_check(&state, in + cut, bytes - cut) == right.refused)
        return false;
    return right.refused || (state == FW_UTF8_START) == right.whole;
}

/* Random texts of every length and alignment, whole and with one octet spoiled. */
static void utf8_cases(const struct fw_simd_variant *kernel)
{
    static _Alignas(64) uint8_t arena[ALIGNMENT_MAX + LENGTH_MAX];
    uint64_t seed = 0x2545f4914f6cdd1du;
    for (size_t bytes = 0; bytes <= LENGTH_MAX; bytes++) {
        for (size_t alignment = 0; alignment <= ALIGNMENT_MAX; alignment++) {
            uint8_t *in = arena + alignment;
            for (unsigned longest = 1; longest <= 4; longest++) {
                reference_text(&seed, longest, in, bytes);
                size_t cut = (size_t)(random_next(&seed) >> 32) % (bytes + 1);
                expect(judges_alike(kernel, in, bytes, 0), kernel->name, "text", bytes, alignment);
                expect(judges_alike(kernel, in, bytes, cut), kernel->name, "cut text", bytes, cut);
                if (bytes == 0)
                    continue;
                in[(size_t)(random_next(&seed) >> 32) % bytes] = (uint8_t)(seed >> 24);
                expect(judges_alike(kernel, in, bytes, 0), kernel->name, "spoiled", bytes,
                       alignment);
                expect(judges_alike(kernel, in, bytes, cut), kernel->name, "cut, spoiled", bytes,
                       cut);
            }
        }
    }
}

/* Every two octets, and every third behind those that begin a longer sequence, across the border of
 * vectors of 16. */
static void utf8_sequences(const struct fw_simd_variant *kernel)
{
    uint8_t text[100];
    memset(text, 'x', sizeof text);
    for (unsigned first = 0; first <= 0xff; first++) {
        for (unsigned second = 0; second <= 0xff; second++) {
            for (unsigned third = 0; third <= 0xff; third += first < 0xe0 ? 0x40 : 1) {
                size_t at = 13 + (second + third) % 70;
                text[at] = (uint8_t)first;
                text[at + 1] = (uint8_t)second;
                text[at + 2] = (uint8_t)third;
                expect(judges_alike(kernel, text, sizeof text, 0), kernel->name, "sequence",
                       sizeof text, at);
                memset(text + at, 'x', 3);
            }
        }
    }
}

static void guarded_utf8_cases(const struct fw_simd_variant *kernel, struct guard_buf *guard)
{
    uint8_t text[LENGTH_MAX];
    uint64_t seed = 0x14057b7ef767814fu;
    for (size_t bytes = 0; bytes <= LENGTH_MAX; bytes++) {
        for (unsigned longest = 1; longest <= 4; longest++) {
            reference_text(&seed, longest, text, bytes);
            expect(judges_alike(kernel, guard_buf_at_end(guard, text, bytes), bytes, 0),
                   kernel->name, "text at a page's end", bytes, longest);
            expect(judges_alike(kernel, guard_buf_at_start(guard, text, bytes), bytes, 0),
                   kernel->name, "text at a page's start", bytes, longest);
        }
    }
}

int main(void)
{
    size_t count;
    const struct fw_simd_variant *variants = fw_simd_variants(&count);
    struct guard_buf guard;
    unsigned variants_passed = 0;
    unsigned variants_failed = 0;
    guard_buf_init(&guard, LENGTH_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!variants[i].supported()) {
            printf("SKIPPED: this processor does not have %s\n", variants[i].name);
            continue;
        }
        unsigned long held_before = held;
        unsigned long broken_before = broken;
        mask_cases(&variants[i]);
        guarded_mask_cases(&variants[i], &guard);
        utf8_cases(&variants[i]);
        utf8_sequences(&variants[i]);
        guarded_utf8_cases(&variants[i], &guard);
        printf("%s: %lu checks held, %lu did not\n", variants[i].name, held - held_before,
               broken - broken_before);
        variants_failed += broken > broken_before;
        variants_passed += broken == broken_before;
    }
    guard_buf_clear(&guard);
    printf("chosen: %s\n%u passed, %u failed\n", fw_simd_chosen()->name, variants_passed,
           variants_failed);
    return variants_failed == 0 ? 0 : 1;
}
