/* mask.h: the masking of client frames (RFC 6455, section 5.3), at the speed of memcpy.
 *
 * Masking and unmasking are the same XOR. The kernels stand in simd/, one file a variant; cpu.h
 * chooses among them once. Thread: any, no state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_MASK_H
#define FW_PROTO_MASK_H

#include <stddef.h>
#include <stdint.h>

/* XORs `bytes` octets of `in` with `key` into `out`.
 *
 * out          written; `in` itself, any address in front of it, or one that does not overlap it
 * in           borrowed; any alignment
 * key          the four key octets as they stand in memory (memcpy from the wire), the first one
 *              belonging to in[0]
 * returns      the key for the octet that follows: `key` rotated by bytes % 4, so that a payload
 *              may come in pieces
 * source       RFC 6455, section 5.3
 */
uint32_t fw_mask(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key);

#endif
