/* mask_avx2.c: masking with AVX2 vectors of 32 octets (RFC 6455, section 5.3).
 *
 * Only the instructions; how a payload is covered with vectors stands in mask_vectors.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <immintrin.h>
#include <stdint.h>

#define VECTOR       __m256i
#define VECTOR_BYTES 32

static inline VECTOR load(const uint8_t *at)
{
    return _mm256_loadu_si256((const void *)at);
}

static inline void store(uint8_t *at, VECTOR vector)
{
    _mm256_storeu_si256((void *)at, vector);
}

static inline VECTOR splat(uint32_t key)
{
    return _mm256_set1_epi32((int)key);
}

static inline VECTOR mix(VECTOR a, VECTOR b)
{
    return _mm256_xor_si256(a, b);
}

#include "proto/simd/mask_vectors.h"

uint32_t fw_mask_avx2(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key)
{
    if (bytes < MASK_SHORT_BYTES)
        mask_short(out, in, bytes, key);
    else
        mask_vectors(out, in, bytes, key);
    return key_after(key, bytes);
}
