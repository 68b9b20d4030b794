/* simd.h: what the kernels share: their declarations, words of octets, and short payloads.
 *
 * Private to proto/{cpu,mask,utf8}.c and this folder; everyone else includes mask.h, utf8.h or
 * cpu.h. How vectors cover a payload or a text stands in mask_vectors.h and utf8_vectors.h; each
 * mask_*.c and utf8_*.c adds the instructions of one processor family. A kernel's file is compiled
 * with its own -m flags, so nothing here may end up as one shared function: all helpers are static
 * inline.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_SIMD_SIMD_H
#define FW_PROTO_SIMD_SIMD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/cpu.h"

/* The kernels: fw_mask_* keep the contract of fw_mask, fw_utf8_* that of fw_utf8_check. Each takes
 * any length, and a UTF-8 kernel leaves the very state that the scalar one leaves.
 *
 * thread       any
 */
uint32_t fw_mask_scalar(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key);
uint32_t fw_mask_sse(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key);
uint32_t fw_mask_avx2(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key);
uint32_t fw_mask_avx512(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key);
uint32_t fw_mask_neon(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key);
bool fw_utf8_scalar(uint32_t *state, const uint8_t *in, size_t bytes);
bool fw_utf8_sse(uint32_t *state, const uint8_t *in, size_t bytes);
bool fw_utf8_avx2(uint32_t *state, const uint8_t *in, size_t bytes);
bool fw_utf8_avx512(uint32_t *state, const uint8_t *in, size_t bytes);
bool fw_utf8_neon(uint32_t *state, const uint8_t *in, size_t bytes);

/* The choice of cpu.c, NULL before the first use. What it points at is constant data, so a relaxed
 * load is enough, and threads that resolve it together store the same pointer. */
extern _Atomic(const struct fw_simd_variant *) fw_simd_choice;

/* fw_simd_chosen() without a call when the choice is made, which is every time but the first. */
static inline const struct fw_simd_variant *simd_chosen(void)
{
    const struct fw_simd_variant *variant =
        atomic_load_explicit(&fw_simd_choice, memory_order_relaxed);
    return variant != NULL ? variant : fw_simd_chosen();
}

static inline uint64_t load_u64(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint32_t load_u32(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline void store_u64(uint8_t *at, uint64_t word)
{
    memcpy(at, &word, sizeof word);
}

static inline void store_u32(uint8_t *at, uint32_t word)
{
    memcpy(at, &word, sizeof word);
}

/* The key for the octet `bytes` after the one that `key` is for. */
static inline uint32_t key_after(uint32_t key, size_t bytes)
{
    unsigned bits = 8u * (unsigned)(bytes & 3);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return key >> bits | key << (-bits & 31);
#else
    return key << bits | key >> (-bits & 31);
#endif
}

static inline uint64_t key_twice(uint32_t key)
{
    return (uint64_t)key << 32 | key;
}

/* Payloads under this many octets are masked by mask_short, in the caller, without any vector. */
#define MASK_SHORT_BYTES 32

/* Masks fewer than MASK_SHORT_BYTES octets.
 *
 * Two pieces that overlap cover every length between one and two pieces without a loop. In place,
 * both are loaded before either is stored, and where they overlap both store the same octets.
 */
static inline void mask_short(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key)
{
    if (bytes >= 16) {
        uint64_t key_front = key_twice(key);
        uint64_t key_back = key_twice(key_after(key, bytes));
        uint64_t a = load_u64(in) ^ key_front;
        uint64_t b = load_u64(in + 8) ^ key_front;
        uint64_t c = load_u64(in + bytes - 16) ^ key_back;
        uint64_t d = load_u64(in + bytes - 8) ^ key_back;
        store_u64(out, a);
        store_u64(out + 8, b);
        store_u64(out + bytes - 16, c);
        store_u64(out + bytes - 8, d);
    } else if (bytes >= 8) {
        uint64_t a = load_u64(in) ^ key_twice(key);
        uint64_t b = load_u64(in + bytes - 8) ^ key_twice(key_after(key, bytes));
        store_u64(out, a);
        store_u64(out + bytes - 8, b);
    } else if (bytes >= 4) {
        uint32_t a = load_u32(in) ^ key;
        uint32_t b = load_u32(in + bytes - 4) ^ key_after(key, bytes);
        store_u32(out, a);
        store_u32(out + bytes - 4, b);
    } else {
        uint8_t octets[4];
        memcpy(octets, &key, sizeof octets);
        for (size_t i = 0; i < bytes; i++)
            out[i] = in[i] ^ octets[i];
    }
}

#endif
