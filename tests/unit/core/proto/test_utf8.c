/* test_utf8.c: UTF-8 validation (RFC 3629), octet by octet and in one piece, by every kernel.
 *
 * Random texts, every length, split and alignment stand in tests/property/test_simd.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/cpu.h"
#include "proto/utf8.h"

#include <criterion/criterion.h>
#include <string.h>

typedef bool utf8_fn(uint32_t *state, const uint8_t *in, size_t bytes);

/* Calls `check` with fw_utf8_check and with the kernel of every variant that this machine has. */
static void for_every_utf8(void (*check)(utf8_fn *utf8, const char *name))
{
    size_t count;
    const struct fw_simd_variant *variants = fw_simd_variants(&count);
    check(fw_utf8_check, "fw_utf8_check");
    for (size_t i = 0; i < count; i++) {
        if (variants[i].supported())
            check(variants[i].utf8_check, variants[i].name);
        else
            cr_log_warn("SKIPPED: this processor does not have %s", variants[i].name);
    }
}

#define NEVER   SIZE_MAX       /* no octet is refused, and the text is whole */
#define TOO_FEW (SIZE_MAX - 1) /* no octet is refused, but the text ends inside a code point */

struct text {
    const char *octets;
    size_t refused_at; /* index of the first octet that cannot stand there */
};

/* RFC 3629, section 4: the rows of UTF8-octets, each at both ends of its ranges and just outside.
 */
static const struct text texts[] = {
    {"", NEVER},
    {"a", NEVER},
    {"\x7f", NEVER},
    {"\x80", 0},
    {"\xbf", 0},
    {"\xc0\x80", 0},
    {"\xc1\xbf", 0},
    {"\xc2\x80", NEVER},
    {"\xc2\x7f", 1},
    {"\xc2\xc0", 1},
    {"\xc2", TOO_FEW},
    {"\xdf\xbf", NEVER},
    {"\xdf\xbf\x80", 2},
    {"\xe0\x80\x80", 1},
    {"\xe0\x9f\xbf", 1},
    {"\xe0\xa0\x80", NEVER},
    {"\xe0\xa0", TOO_FEW},
    {"\xe0\xbf\xbf", NEVER},
    {"\xe0\xc0\x80", 1},
    {"\xe1\x80\x80", NEVER},
    {"\xe1\x80\x7f", 2},
    {"\xe1\x80\xc0", 2},
    {"\xec\xbf\xbf", NEVER},
    {"\xed\x80\x80", NEVER},
    {"\xed\x9f\xbf", NEVER},
    {"\xed\xa0\x80", 1},
    {"\xed\xbf\xbf", 1},
    {"\xee\x80\x80", NEVER},
    {"\xef\xbf\xbf", NEVER},
    {"\xef\xbf\xbf\xbf", 3},
    {"\xf0\x80\x80\x80", 1},
    {"\xf0\x8f\xbf\xbf", 1},
    {"\xf0\x90\x80\x80", NEVER},
    {"\xf0\x90\x80", TOO_FEW},
    {"\xf0\x90", TOO_FEW},
    {"\xf0", TOO_FEW},
    {"\xf0\x90\x80\x41", 3},
    {"\xf0\x90\x41", 2},
    {"\xf3\xbf\xbf\xbf", NEVER},
    {"\xf4\x80\x80\x80", NEVER},
    {"\xf4\x8f\xbf\xbf", NEVER},
    {"\xf4\x90", 1},
    {"\xf4\xbf\xbf\xbf", 1},
    {"\xf5\x80\x80\x80", 0},
    {"\xf8\x88\x80\x80\x80", 0},
    {"\xfc\x84\x80\x80\x80\x80", 0},
    {"\xfe", 0},
    {"\xff", 0},
    /* in a text: Autobahn's greeting, a surrogate in the middle, a lead cut off by ASCII */
    {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", NEVER},
    {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80 edited", 12},
    {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80 edited", 12},
    {"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!", NEVER},
    {"0123456789abcdef0123456789abcdef\xe2\x82.", 34},
    {"0123456789abcdef0123456789abcde\xe2\x82\xac", NEVER},
};

#define TEXTS_COUNT (sizeof texts / sizeof texts[0])

/* Index of the first octet that is refused when they come one by one. */
static size_t refused_at(utf8_fn *utf8, const char *octets, size_t bytes)
{
    uint32_t state = FW_UTF8_START;
    for (size_t i = 0; i < bytes; i++) {
        if (!utf8(&state, (const uint8_t *)octets + i, 1))
            return i;
    }
    return state == FW_UTF8_START ? NEVER : TOO_FEW;
}

static void check_octet_by_octet(utf8_fn *utf8, const char *name)
{
    for (size_t i = 0; i < TEXTS_COUNT; i++) {
        size_t found = refused_at(utf8, texts[i].octets, strlen(texts[i].octets));
        cr_assert_eq(found, texts[i].refused_at, "%s, text %zu: refused at %zd, not %zd", name, i,
                     (ssize_t)found, (ssize_t)texts[i].refused_at);
    }
}

Test(utf8_check, refuses_the_first_octet_that_cannot_stand_there)
{
    /* RFC 3629, section 4; failing fast: RFC 6455, section 8.1 */
    for_every_utf8(check_octet_by_octet);
}

static void check_in_one_piece(utf8_fn *utf8, const char *name)
{
    /* ASCII in front brings the text into and across the vectors of every kernel. */
    for (size_t front = 0; front <= 150; front++) {
        for (size_t i = 0; i < TEXTS_COUNT; i++) {
            uint8_t in[256];
            size_t bytes = strlen(texts[i].octets);
            memset(in, 'x', front);
            memcpy(in + front, texts[i].octets, bytes);
            uint32_t state = FW_UTF8_START;
            bool taken = utf8(&state, in, front + bytes);
            bool right = texts[i].refused_at == NEVER || texts[i].refused_at == TOO_FEW;
            cr_assert_eq(taken, right, "%s, text %zu behind %zu", name, i, front);
            if (taken)
                cr_assert_eq(state == FW_UTF8_START, texts[i].refused_at == NEVER,
                             "%s, text %zu behind %zu", name, i, front);
        }
    }
}

Test(utf8_check, says_of_a_piece_what_it_says_of_its_octets)
{
    for_every_utf8(check_in_one_piece);
}

static void check_nothing(utf8_fn *utf8, const char *name)
{
    uint32_t inside = FW_UTF8_START;
    cr_assert(utf8(&inside, (const uint8_t *)"\xf0\x90", 2), "%s", name);
    uint32_t state = inside;
    cr_assert(utf8(&state, NULL, 0), "%s", name);
    cr_assert_eq(state, inside, "%s", name);
}

Test(utf8_check, leaves_the_state_as_it_is_for_an_empty_piece)
{
    for_every_utf8(check_nothing);
}

Test(utf8_valid, wants_the_last_code_point_whole)
{
    cr_assert(fw_utf8_valid((const uint8_t *)"\xe2\x82\xac", 3));
    cr_assert_not(fw_utf8_valid((const uint8_t *)"\xe2\x82\xac", 2));
    cr_assert_not(fw_utf8_valid((const uint8_t *)"\xe2\x82\x20", 3));
    cr_assert(fw_utf8_valid(NULL, 0));
}
