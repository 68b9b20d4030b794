/* mask_avx512.c: masking with AVX-512 vectors of 64 octets (RFC 6455, section 5.3).
 *
 * Only the instructions; how a payload is covered with vectors stands in mask_vectors.h.
 *
 * No masked loads and stores at the ends, although this is the instruction set that has them: on
 * Zen 5, behind a frame header, 125 octets went at 0.52 of memcpy's speed with them and at 0.9 with
 * overlapping vectors, 512 octets at 0.56 and 1.0 (bench/micro_mask.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <immintrin.h>
#include <stdint.h>

#define VECTOR       __m512i
#define VECTOR_BYTES 64

static inline VECTOR load(const uint8_t *at)
{
    return _mm512_loadu_si512(at);
}

static inline void store(uint8_t *at, VECTOR vector)
{
    _mm512_storeu_si512(at, vector);
}

static inline VECTOR splat(uint32_t key)
{
    return _mm512_set1_epi32((int)key);
}

static inline VECTOR mix(VECTOR a, VECTOR b)
{
    return _mm512_xor_si512(a, b);
}

#include "proto/simd/mask_vectors.h"

/* Masks MASK_SHORT_BYTES to 64 octets with two half vectors. */
static inline void mask_halves(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key)
{
    __m256i key_back = _mm256_set1_epi32((int)key_after(key, bytes));
    __m256i first = _mm256_loadu_si256((const void *)in);
    __m256i last = _mm256_loadu_si256((const void *)(in + bytes - 32));
    first = _mm256_xor_si256(first, _mm256_set1_epi32((int)key));
    last = _mm256_xor_si256(last, key_back);
    _mm256_storeu_si256((void *)out, first);
    _mm256_storeu_si256((void *)(out + bytes - 32), last);
}

uint32_t fw_mask_avx512(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key)
{
    if (bytes < MASK_SHORT_BYTES)
        mask_short(out, in, bytes, key);
    else if (bytes < VECTOR_BYTES)
        mask_halves(out, in, bytes, key);
    else
        mask_vectors(out, in, bytes, key);
    return key_after(key, bytes);
}
