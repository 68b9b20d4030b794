/* utf8.c: the door to the UTF-8 kernels, and the scalar kernel: a table automaton (RFC 3629).
 *
 *     START --00..7f------------------------> START
 *     START --c2..df------------------------> ONE   --80..bf--> START
 *     START --e1..ec, ee, ef----------------> TWO   --80..bf--> ONE
 *     START --f1..f3------------------------> THREE --80..bf--> TWO
 *     START --e0--> E0 --a0..bf-------------> ONE      e0 80..9f would be overlong
 *     START --ed--> ED --80..9f-------------> ONE      ed a0..bf would be a surrogate
 *     START --f0--> F0 --90..bf-------------> TWO      f0 80..8f would be overlong
 *     START --f4--> F4 --80..8f-------------> TWO      f4 90..bf would be above U+10FFFF
 *
 * Any other octet leads to BAD, and nothing leads out of it. A state is the number of a 6-bit
 * field; an octet's row holds the next state in each field, so one step is one shift (the row's
 * look-up does not wait for the state before). The vector kernels stand in simd/utf8_*.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/utf8.h"
#include "proto/simd/simd.h"

#include <assert.h>

/* The states: each the first bit of its field in a row. */
enum {
    START = 0,
    ONE = 6,
    TWO = 12,
    THREE = 18,
    E0 = 24,
    ED = 30,
    F0 = 36,
    F4 = 42,
    BAD = 48,
};
static_assert(START == FW_UTF8_START, "a text starts and ends in the state that utf8.h names");

/* The classes of octets that the automaton tells apart. */
enum {
    ASCII,
    CONT_8, /* 80..8f */
    CONT_9, /* 90..9f */
    CONT_A, /* a0..bf */
    LEAD_2, /* c2..df */
    LEAD_3, /* e1..ec, ee, ef */
    LEAD_E0,
    LEAD_ED,
    LEAD_4, /* f1..f3 */
    LEAD_F0,
    LEAD_F4,
    NEVER, /* c0, c1, f5..ff */
    CLASSES_COUNT
};

#define TIMES_2(x)  x, x
#define TIMES_4(x)  TIMES_2(x), TIMES_2(x)
#define TIMES_8(x)  TIMES_4(x), TIMES_4(x)
#define TIMES_16(x) TIMES_8(x), TIMES_8(x)
#define TIMES_32(x) TIMES_16(x), TIMES_16(x)
#define TIMES_64(x) TIMES_32(x), TIMES_32(x)

static const uint8_t class_of[] = {
    TIMES_64(ASCII),  /* 00 */
    TIMES_64(ASCII),  /* 40 */
    TIMES_16(CONT_8), /* 80 */
    TIMES_16(CONT_9), /* 90 */
    TIMES_32(CONT_A), /* a0 */
    TIMES_2(NEVER),   /* c0 */
    TIMES_2(LEAD_2),  /* c2 */
    TIMES_4(LEAD_2),  /* c4 */
    TIMES_8(LEAD_2),  /* c8 */
    TIMES_16(LEAD_2), /* d0 */
    LEAD_E0,          /* e0 */
    TIMES_4(LEAD_3),  /* e1 */
    TIMES_8(LEAD_3),  /* e5 */
    LEAD_ED,          /* ed */
    TIMES_2(LEAD_3),  /* ee */
    LEAD_F0,          /* f0 */
    TIMES_2(LEAD_4),  /* f1 */
    LEAD_4,           /* f3 */
    LEAD_F4,          /* f4 */
    NEVER,            /* f5 */
    TIMES_2(NEVER),   /* f6 */
    TIMES_8(NEVER),   /* f8 */
};
static_assert(sizeof class_of == 256, "one class for each octet");

#define FROM(state, next) ((uint64_t)(next) << (state))
/* Where START leads, with every other state led to BAD. */
#define LEADS(next)                                                                                \
    (FROM(START, next) | FROM(ONE, BAD) | FROM(TWO, BAD) | FROM(THREE, BAD) | FROM(E0, BAD) |      \
     FROM(ED, BAD) | FROM(F0, BAD) | FROM(F4, BAD) | FROM(BAD, BAD))
/* Where the states that expect a continuation lead; those with a narrower second octet differ. */
#define CONTINUES(e0, ed, f0, f4)                                                                  \
    (FROM(START, BAD) | FROM(ONE, START) | FROM(TWO, ONE) | FROM(THREE, TWO) | FROM(E0, e0) |      \
     FROM(ED, ed) | FROM(F0, f0) | FROM(F4, f4) | FROM(BAD, BAD))

static const uint64_t rows[CLASSES_COUNT] = {
    [ASCII] = LEADS(START),
    [CONT_8] = CONTINUES(BAD, ONE, BAD, TWO),
    [CONT_9] = CONTINUES(BAD, ONE, TWO, BAD),
    [CONT_A] = CONTINUES(ONE, BAD, TWO, BAD),
    [LEAD_2] = LEADS(ONE),
    [LEAD_3] = LEADS(TWO),
    [LEAD_E0] = LEADS(E0),
    [LEAD_ED] = LEADS(ED),
    [LEAD_4] = LEADS(THREE),
    [LEAD_F0] = LEADS(F0),
    [LEAD_F4] = LEADS(F4),
    [NEVER] = LEADS(BAD),
};

/* Octets between two looks at whether all is lost. */
#define SCALAR_STRIDE_BYTES 64

bool fw_utf8_scalar(uint32_t *state, const uint8_t *in, size_t bytes)
{
    uint64_t now = *state;
    while (bytes > 0 && (now & 63) != BAD) {
        size_t stride = bytes < SCALAR_STRIDE_BYTES ? bytes : SCALAR_STRIDE_BYTES;
        for (size_t i = 0; i < stride; i++)
            now = rows[class_of[in[i]]] >> (now & 63);
        in += stride;
        bytes -= stride;
    }
    *state = (uint32_t)(now & 63);
    return *state != BAD;
}

#define ASCII_MASK 0x8080808080808080u

/* Pieces of up to this many octets are ASCII more often than not, and that is seen without a call.
 */
#define SHORT_BYTES_MAX 32

/* Under this many octets a vector kernel would hand the piece back to the scalar one. */
#define VECTORS_BYTES_MIN 19

/* Whether 8 to SHORT_BYTES_MAX octets are all ASCII; the words overlap in the middle. */
static inline bool short_ascii(const uint8_t *in, size_t bytes)
{
    uint64_t all = load_u64(in) | load_u64(in + bytes - 8);
    if (bytes > 16)
        all |= load_u64(in + 8) | load_u64(in + bytes - 16);
    return (all & ASCII_MASK) == 0;
}

bool fw_utf8_check(uint32_t *state, const uint8_t *in, size_t bytes)
{
    if (bytes >= 8 && bytes <= SHORT_BYTES_MAX && *state == FW_UTF8_START && short_ascii(in, bytes))
        return true;
    if (bytes < VECTORS_BYTES_MIN)
        return fw_utf8_scalar(state, in, bytes);
    return simd_chosen()->utf8_check(state, in, bytes);
}
