/* utf8_avx2.c: UTF-8 validation with AVX2 vectors of 32 octets (RFC 3629).
 *
 * Only the instructions; the algorithm stands in utf8_vectors.h, its tables in utf8_pairs.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/simd/utf8_pairs.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>

#define VECTOR         __m256i
#define VECTOR_BYTES   32
#define BODY_BYTES_MIN (VECTOR_BYTES + 3) /* tail_errors looks 3 octets back */

static inline VECTOR load(const uint8_t *at)
{
    return _mm256_loadu_si256((const void *)at);
}

static inline VECTOR zeros(void)
{
    return _mm256_setzero_si256();
}

static inline VECTOR either(VECTOR a, VECTOR b)
{
    return _mm256_or_si256(a, b);
}

static inline bool is_ascii(VECTOR self)
{
    return _mm256_movemask_epi8(self) == 0;
}

static inline bool has_errors(VECTOR errors)
{
    return !_mm256_testz_si256(errors, errors);
}

static inline VECTOR high_nibbles(VECTOR self)
{
    return _mm256_and_si256(_mm256_srli_epi16(self, 4), _mm256_set1_epi8(0x0f));
}

static inline VECTOR look_up(const uint8_t table[16], VECTOR nibbles)
{
    __m128i once = _mm_loadu_si128((const void *)table);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(once), nibbles);
}

/* The octets one, two and three before each octet of `self` are given as vectors of their own. */
static inline VECTOR errors_of(VECTOR self, VECTOR before1, VECTOR before2, VECTOR before3)
{
    VECTOR low_nibbles = _mm256_and_si256(before1, _mm256_set1_epi8(0x0f));
    VECTOR pairs = _mm256_and_si256(look_up(utf8_before_high, high_nibbles(before1)),
                                    look_up(utf8_before_low, low_nibbles));
    pairs = _mm256_and_si256(pairs, look_up(utf8_self_high, high_nibbles(self)));
    /* 80 or more where a third or fourth octet is due: e0 - 60 and f0 - 70 are 80. */
    VECTOR third = _mm256_subs_epu8(before2, _mm256_set1_epi8(0x60));
    VECTOR fourth = _mm256_subs_epu8(before3, _mm256_set1_epi8(0x70));
    VECTOR due = _mm256_and_si256(either(third, fourth), _mm256_set1_epi8((char)0x80));
    /* UTF8_TWO_CONTS must stand just where it is due. */
    return _mm256_xor_si256(due, pairs);
}

static inline VECTOR errors_after(VECTOR self, VECTOR previous)
{
    /* alignr works within 16 octets; this is what stands 16 octets before `self`. */
    VECTOR half_before = _mm256_permute2x128_si256(previous, self, 0x21);
    return errors_of(self, _mm256_alignr_epi8(self, half_before, 15),
                     _mm256_alignr_epi8(self, half_before, 14),
                     _mm256_alignr_epi8(self, half_before, 13));
}

static inline VECTOR opens(VECTOR self)
{
    return _mm256_subs_epu8(self, load(utf8_last_max + 64 - VECTOR_BYTES));
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

bool fw_utf8_avx2(uint32_t *state, const uint8_t *in, size_t bytes)
{
    /* Two vectors of 16 and a tail are no slower than one of 32 and a tail, and take 19 octets. */
    if (bytes < 2 * VECTOR_BYTES)
        return fw_utf8_sse(state, in, bytes);
    return utf8_vectors(state, in, bytes);
}
