/* mask_vectors.h: the one way in which every vector kernel masks; included by each mask_*.c.
 *
 * Before it is included, the kernel says what a vector is: VECTOR (the type), VECTOR_BYTES, and
 * load, store, splat (a key in all lanes) and mix (XOR).
 *
 *     | first |                                                    | last |
 *        | aligned blocks of four ...          | rest: 0 to 4 vectors     |
 *
 * The first and the last vector stand at the payload's ends wherever those are, and the rest is
 * covered from both sides, so that no length needs a loop over octets or a masked store. Vectors
 * overlap; in place that is right because whatever overlaps is loaded before any of it is stored,
 * and both stores then write the same octets. So it is with `out` in front of `in`, because the two
 * ends are loaded first, and what is between is stored from the front to the back.
 *
 * Not a header in the usual sense: no guard, everything static, one kernel's -m flags.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/simd/simd.h"

#define BLOCK_BYTES ((size_t)4 * VECTOR_BYTES)

/* Masks blocks from `i` on while more than one is left; returns where it stopped. */
static inline size_t mask_blocks(uint8_t *out, const uint8_t *in, size_t bytes, size_t i,
                                 VECTOR key)
{
    for (; bytes - i > BLOCK_BYTES; i += BLOCK_BYTES) {
        VECTOR a = load(in + i);
        VECTOR b = load(in + i + VECTOR_BYTES);
        VECTOR c = load(in + i + 2 * VECTOR_BYTES);
        VECTOR d = load(in + i + 3 * VECTOR_BYTES);
        store(out + i, mix(a, key));
        store(out + i + VECTOR_BYTES, mix(b, key));
        store(out + i + 2 * VECTOR_BYTES, mix(c, key));
        store(out + i + 3 * VECTOR_BYTES, mix(d, key));
    }
    return i;
}

/* Masks the rest from `i` on, at most a block, but for its last vector. */
static inline void mask_rest(uint8_t *out, const uint8_t *in, size_t bytes, size_t i, VECTOR key,
                             VECTOR key_back)
{
    size_t rest = bytes - i;
    if (rest > 2 * VECTOR_BYTES) {
        size_t back = bytes - 2 * VECTOR_BYTES;
        VECTOR a = load(in + i);
        VECTOR b = load(in + i + VECTOR_BYTES);
        VECTOR c = load(in + back);
        store(out + i, mix(a, key));
        store(out + i + VECTOR_BYTES, mix(b, key));
        store(out + back, mix(c, key_back));
    } else if (rest > VECTOR_BYTES) {
        store(out + i, mix(load(in + i), key));
    }
}

/* Masks at least VECTOR_BYTES octets. */
static inline void mask_vectors(uint8_t *out, const uint8_t *in, size_t bytes, uint32_t key)
{
    VECTOR key_front = splat(key);
    VECTOR key_back = splat(key_after(key, bytes)); /* a vector holds whole keys */
    VECTOR first = mix(load(in), key_front);
    VECTOR last = mix(load(in + bytes - VECTOR_BYTES), key_back);
    size_t i = VECTOR_BYTES;
    if (bytes > BLOCK_BYTES) {
        /* A store that crosses a cache line costs two: from here on they are aligned. */
        i = VECTOR_BYTES - ((uintptr_t)out & (VECTOR_BYTES - 1));
        key_front = splat(key_after(key, i));
        i = mask_blocks(out, in, bytes, i, key_front);
    }
    mask_rest(out, in, bytes, i, key_front, key_back);
    store(out, first);
    store(out + bytes - VECTOR_BYTES, last);
}
