/* test_mask.c: the masking of client frames (RFC 6455, section 5.3), by the door and by each
 * kernel.
 *
 * Every length and alignment against a second implementation stand in tests/property/test_simd.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/cpu.h"
#include "proto/mask.h"
#include "support/guard_buf.h"
#include "support/random.h"
#include "support/simd_reference.h"

#include <criterion/criterion.h>
#include <string.h>

typedef uint32_t mask_fn(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key);

/* Calls `check` with fw_mask and with the kernel of every variant that this machine has. */
static void for_every_mask(void (*check)(mask_fn *mask, const char *name))
{
    size_t count;
    const struct fw_simd_variant *variants = fw_simd_variants(&count);
    check(fw_mask, "fw_mask");
    for (size_t i = 0; i < count; i++) {
        if (variants[i].supported())
            check(variants[i].mask, variants[i].name);
        else
            cr_log_warn("SKIPPED: this processor does not have %s", variants[i].name);
    }
}

static uint32_t key_of(const uint8_t octets[4])
{
    uint32_t key;
    memcpy(&key, octets, sizeof key);
    return key;
}

static void check_hello(mask_fn *mask, const char *name)
{
    static const uint8_t key[] = {0x37, 0xfa, 0x21, 0x3d};
    static const uint8_t masked[] = {0x7f, 0x9f, 0x4d, 0x51, 0x58};
    uint8_t out[5];
    mask(out, (const uint8_t *)"Hello", 5, key_of(key));
    cr_assert_arr_eq(out, masked, 5, "%s", name);
}

Test(mask, masks_hello_as_the_rfc_does)
{
    /* RFC 6455, section 5.7: a single-frame masked text message */
    for_every_mask(check_hello);
}

static void check_key(mask_fn *mask, const char *name)
{
    static const uint8_t rotated[4][4] = {{1, 2, 3, 4}, {2, 3, 4, 1}, {3, 4, 1, 2}, {4, 1, 2, 3}};
    uint8_t octets[300] = {0};
    for (size_t bytes = 0; bytes <= sizeof octets; bytes++) {
        uint32_t next = mask(octets, octets, bytes, key_of(rotated[0]));
        cr_assert_eq(next, key_of(rotated[bytes % 4]), "%s, %zu octets", name, bytes);
    }
}

Test(mask, returns_the_key_for_the_octet_that_follows)
{
    for_every_mask(check_key);
}

static void check_pieces(mask_fn *mask, const char *name)
{
    static const uint8_t key[] = {0xa5, 0x00, 0xff, 0x13};
    uint8_t in[200], whole[200], pieces[200];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 7);
    reference_mask(whole, in, sizeof in, key);
    for (size_t cut = 0; cut <= sizeof in; cut++) {
        uint32_t next = mask(pieces, in, cut, key_of(key));
        mask(pieces + cut, in + cut, sizeof in - cut, next);
        cr_assert_arr_eq(pieces, whole, sizeof whole, "%s, cut at %zu", name, cut);
    }
}

Test(mask, masks_two_pieces_as_it_masks_the_whole)
{
    for_every_mask(check_pieces);
}

static void check_twice(mask_fn *mask, const char *name)
{
    uint8_t octets[1500], before[1500];
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)(random_next(&seed) >> 56);
    memcpy(before, octets, sizeof before);
    mask(octets, octets, sizeof octets, 0x01020304);
    cr_assert_arr_neq(octets, before, sizeof before, "%s", name);
    mask(octets, octets, sizeof octets, 0x01020304);
    cr_assert_arr_eq(octets, before, sizeof before, "%s", name);
}

Test(mask, gives_back_what_it_masked_in_place)
{
    for_every_mask(check_twice);
}

/* Where an echo is sent from: a little in front of where it came. */
static void check_forward(mask_fn *mask, const char *name)
{
    static const uint8_t key[] = {0xa5, 0x00, 0xff, 0x13};
    static const size_t sizes[] = {0, 1, 3, 7, 8, 15, 20, 31, 32, 63, 64, 65, 127, 200, 300, 1024};
    uint8_t in[1024], masked[1024], memory[1024 + 256];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 7);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        reference_mask(masked, in, sizes[s], key);
        for (size_t shift = 1; shift <= 256; shift++) {
            memcpy(memory + shift, in, sizes[s]);
            mask(memory, memory + shift, sizes[s], key_of(key));
            cr_assert_arr_eq(memory, masked, sizes[s], "%s, %zu octets, %zu to the front", name,
                             sizes[s], shift);
        }
    }
}

Test(mask, masks_to_an_address_in_front)
{
    for_every_mask(check_forward);
}

static void check_nothing(mask_fn *mask, const char *name)
{
    struct guard_buf guard;
    guard_buf_init(&guard, 1);
    uint8_t *unreadable = guard_buf_at_end(&guard, NULL, 0);
    cr_assert_eq(mask(unreadable, unreadable, 0, 0x01020304), 0x01020304, "%s", name);
    guard_buf_clear(&guard);
}

Test(mask, touches_nothing_of_an_empty_payload)
{
    for_every_mask(check_nothing);
}
