/* utf8_neon.c: UTF-8 validation with NEON vectors of 16 octets (RFC 3629).
 *
 * Only the instructions; the algorithm stands in utf8_vectors.h, its tables in utf8_pairs.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/simd/utf8_pairs.h"

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>

#define VECTOR         uint8x16_t
#define VECTOR_BYTES   16
#define BODY_BYTES_MIN (VECTOR_BYTES + 3) /* tail_errors looks 3 octets back */

static inline VECTOR load(const uint8_t *at)
{
    return vld1q_u8(at);
}

static inline VECTOR zeros(void)
{
    return vdupq_n_u8(0);
}

static inline VECTOR either(VECTOR a, VECTOR b)
{
    return vorrq_u8(a, b);
}

static inline bool is_ascii(VECTOR self)
{
    return vmaxvq_u8(self) < 0x80;
}

static inline bool has_errors(VECTOR errors)
{
    return vmaxvq_u8(errors) != 0;
}

static inline VECTOR high_nibbles(VECTOR self)
{
    return vshrq_n_u8(self, 4);
}

static inline VECTOR look_up(const uint8_t table[16], VECTOR nibbles)
{
    return vqtbl1q_u8(load(table), nibbles);
}

/* The octets one, two and three before each octet of `self` are given as vectors of their own. */
static inline VECTOR errors_of(VECTOR self, VECTOR before1, VECTOR before2, VECTOR before3)
{
    VECTOR low_nibbles = vandq_u8(before1, vdupq_n_u8(0x0f));
    VECTOR pairs = vandq_u8(look_up(utf8_before_high, high_nibbles(before1)),
                            look_up(utf8_before_low, low_nibbles));
    pairs = vandq_u8(pairs, look_up(utf8_self_high, high_nibbles(self)));
    /* 80 or more where a third or fourth octet is due: e0 - 60 and f0 - 70 are 80. */
    VECTOR third = vqsubq_u8(before2, vdupq_n_u8(0x60));
    VECTOR fourth = vqsubq_u8(before3, vdupq_n_u8(0x70));
    VECTOR due = vandq_u8(either(third, fourth), vdupq_n_u8(0x80));
    /* UTF8_TWO_CONTS must stand just where it is due. */
    return veorq_u8(due, pairs);
}

static inline VECTOR errors_after(VECTOR self, VECTOR previous)
{
    return errors_of(self, vextq_u8(previous, self, 15), vextq_u8(previous, self, 14),
                     vextq_u8(previous, self, 13));
}

static inline VECTOR opens(VECTOR self)
{
    return vqsubq_u8(self, load(utf8_last_max + 64 - VECTOR_BYTES));
}

/* The last vector of the text; it overlaps the one before. */
static inline VECTOR load_tail(const uint8_t *in, size_t bytes, size_t i)
{
    (void)i;
    return load(in + bytes - VECTOR_BYTES);
}

static inline VECTOR tail_errors(const uint8_t *in, size_t bytes, size_t i, VECTOR previous)
{
    (void)previous;
    const uint8_t *at = in + bytes - VECTOR_BYTES;
    return errors_of(load_tail(in, bytes, i), load(at - 1), load(at - 2), load(at - 3));
}

#include "proto/simd/utf8_vectors.h"

bool fw_utf8_neon(uint32_t *state, const uint8_t *in, size_t bytes)
{
    return utf8_vectors(state, in, bytes);
}
