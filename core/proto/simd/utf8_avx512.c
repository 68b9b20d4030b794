/* utf8_avx512.c: UTF-8 validation with AVX-512 vectors of 64 octets (RFC 3629).
 *
 * Only the instructions; the algorithm stands in utf8_vectors.h, its tables in utf8_pairs.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/simd/utf8_pairs.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>

#define VECTOR         __m512i
#define VECTOR_BYTES   64
#define BODY_BYTES_MIN 1

static inline VECTOR load(const uint8_t *at)
{
    return _mm512_loadu_si512(at);
}

static inline VECTOR zeros(void)
{
    return _mm512_setzero_si512();
}

static inline VECTOR either(VECTOR a, VECTOR b)
{
    return _mm512_or_si512(a, b);
}

static inline bool is_ascii(VECTOR self)
{
    return _mm512_movepi8_mask(self) == 0;
}

static inline bool has_errors(VECTOR errors)
{
    return _mm512_test_epi8_mask(errors, errors) != 0;
}

static inline VECTOR high_nibbles(VECTOR self)
{
    return _mm512_and_si512(_mm512_srli_epi16(self, 4), _mm512_set1_epi8(0x0f));
}

static inline VECTOR look_up(const uint8_t table[16], VECTOR nibbles)
{
    __m128i once = _mm_loadu_si128((const void *)table);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(once), nibbles);
}

/* The octets one, two and three before each octet of `self` are given as vectors of their own. */
static inline VECTOR errors_of(VECTOR self, VECTOR before1, VECTOR before2, VECTOR before3)
{
    VECTOR low_nibbles = _mm512_and_si512(before1, _mm512_set1_epi8(0x0f));
    VECTOR pairs = _mm512_and_si512(look_up(utf8_before_high, high_nibbles(before1)),
                                    look_up(utf8_before_low, low_nibbles));
    pairs = _mm512_and_si512(pairs, look_up(utf8_self_high, high_nibbles(self)));
    /* 80 or more where a third or fourth octet is due: e0 - 60 and f0 - 70 are 80. */
    VECTOR third = _mm512_subs_epu8(before2, _mm512_set1_epi8(0x60));
    VECTOR fourth = _mm512_subs_epu8(before3, _mm512_set1_epi8(0x70));
    VECTOR due = _mm512_and_si512(either(third, fourth), _mm512_set1_epi8((char)0x80));
    /* UTF8_TWO_CONTS must stand just where it is due. */
    return _mm512_xor_si512(due, pairs);
}

static inline VECTOR errors_after(VECTOR self, VECTOR previous)
{
    /* alignr works within 16 octets; this is what stands 16 octets before `self`. */
    VECTOR quarter_before = _mm512_alignr_epi64(self, previous, 6);
    return errors_of(self, _mm512_alignr_epi8(self, quarter_before, 15),
                     _mm512_alignr_epi8(self, quarter_before, 14),
                     _mm512_alignr_epi8(self, quarter_before, 13));
}

static inline VECTOR opens(VECTOR self)
{
    return _mm512_subs_epu8(self, load(utf8_last_max));
}

/* What is missing of the vector is zeros, which are ASCII. */
static inline VECTOR load_tail(const uint8_t *in, size_t bytes, size_t i)
{
    __mmask64 lanes = ~(uint64_t)0 >> (VECTOR_BYTES - (bytes - i));
    return _mm512_maskz_loadu_epi8(lanes, in + i);
}

static inline VECTOR tail_errors(const uint8_t *in, size_t bytes, size_t i, VECTOR previous)
{
    return errors_after(load_tail(in, bytes, i), previous);
}

#include "proto/simd/utf8_vectors.h"

bool fw_utf8_avx512(uint32_t *state, const uint8_t *in, size_t bytes)
{
    return utf8_vectors(state, in, bytes);
}
