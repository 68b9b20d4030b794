/* utf8_sse.c: UTF-8 validation with SSSE3 vectors of 16 octets (RFC 3629).
 *
 * Only the instructions; the algorithm stands in utf8_vectors.h, its tables in utf8_pairs.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/simd/utf8_pairs.h"

#include <stdbool.h>
#include <stddef.h>
#include <tmmintrin.h>

#define VECTOR         __m128i
#define VECTOR_BYTES   16
#define BODY_BYTES_MIN (VECTOR_BYTES + 3) /* tail_errors looks 3 octets back */

static inline VECTOR load(const uint8_t *at)
{
    return _mm_loadu_si128((const void *)at);
}

static inline VECTOR zeros(void)
{
    return _mm_setzero_si128();
}

static inline VECTOR either(VECTOR a, VECTOR b)
{
    return _mm_or_si128(a, b);
}

static inline bool is_ascii(VECTOR self)
{
    return _mm_movemask_epi8(self) == 0;
}

static inline bool has_errors(VECTOR errors)
{
    return _mm_movemask_epi8(_mm_cmpeq_epi8(errors, zeros())) != 0xffff;
}

static inline VECTOR high_nibbles(VECTOR self)
{
    return _mm_and_si128(_mm_srli_epi16(self, 4), _mm_set1_epi8(0x0f));
}

static inline VECTOR look_up(const uint8_t table[16], VECTOR nibbles)
{
    return _mm_shuffle_epi8(load(table), nibbles);
}

/* The octets one, two and three before each octet of `self` are given as vectors of their own. */
static inline VECTOR errors_of(VECTOR self, VECTOR before1, VECTOR before2, VECTOR before3)
{
    VECTOR low_nibbles = _mm_and_si128(before1, _mm_set1_epi8(0x0f));
    VECTOR pairs = _mm_and_si128(look_up(utf8_before_high, high_nibbles(before1)),
                                 look_up(utf8_before_low, low_nibbles));
    pairs = _mm_and_si128(pairs, look_up(utf8_self_high, high_nibbles(self)));
    /* 80 or more where a third or fourth octet is due: e0 - 60 and f0 - 70 are 80. */
    VECTOR third = _mm_subs_epu8(before2, _mm_set1_epi8(0x60));
    VECTOR fourth = _mm_subs_epu8(before3, _mm_set1_epi8(0x70));
    VECTOR due = _mm_and_si128(either(third, fourth), _mm_set1_epi8((char)0x80));
    /* UTF8_TWO_CONTS must stand just where it is due. */
    return _mm_xor_si128(due, pairs);
}

static inline VECTOR errors_after(VECTOR self, VECTOR previous)
{
    return errors_of(self, _mm_alignr_epi8(self, previous, 15), _mm_alignr_epi8(self, previous, 14),
                     _mm_alignr_epi8(self, previous, 13));
}

static inline VECTOR opens(VECTOR self)
{
    return _mm_subs_epu8(self, load(utf8_last_max + 64 - VECTOR_BYTES));
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

bool fw_utf8_sse(uint32_t *state, const uint8_t *in, size_t bytes)
{
    return utf8_vectors(state, in, bytes);
}
