/* mask.c: the door to the masking kernels, and the scalar kernel (RFC 6455, section 5.3).
 *
 * Short payloads are masked right here: a 20-octet message must not pay for an indirect call. The
 * vector kernels stand in simd/mask_*.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/mask.h"
#include "proto/simd/simd.h"

uint32_t fw_mask(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key)
{
    if (bytes >= MASK_SHORT_BYTES)
        return simd_chosen()->mask(out, in, bytes, key);
    mask_short(out, in, bytes, key);
    return key_after(key, bytes);
}

uint32_t fw_mask_scalar(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key)
{
    uint64_t word = key_twice(key);
    size_t i = 0;
    for (; bytes - i >= MASK_SHORT_BYTES; i += 8)
        store_u64(out + i, load_u64(in + i) ^ word);
    mask_short(out + i, in + i, bytes - i, key);
    return key_after(key, bytes);
}
