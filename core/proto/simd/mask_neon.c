/* mask_neon.c: masking with NEON vectors of 16 octets (RFC 6455, section 5.3).
 *
 * Only the instructions; how a payload is covered with vectors stands in mask_vectors.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arm_neon.h>
#include <stdint.h>

#define VECTOR       uint8x16_t
#define VECTOR_BYTES 16

static inline VECTOR load(const uint8_t *at)
{
    return vld1q_u8(at);
}

static inline void store(uint8_t *at, VECTOR vector)
{
    vst1q_u8(at, vector);
}

static inline VECTOR splat(uint32_t key)
{
    return vreinterpretq_u8_u32(vdupq_n_u32(key));
}

static inline VECTOR mix(VECTOR a, VECTOR b)
{
    return veorq_u8(a, b);
}

#include "proto/simd/mask_vectors.h"

uint32_t fw_mask_neon(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key)
{
    if (bytes < MASK_SHORT_BYTES)
        mask_short(out, in, bytes, key);
    else
        mask_vectors(out, in, bytes, key);
    return key_after(key, bytes);
}
