/* utf8_vectors.h: the one way in which every vector kernel validates; included by each utf8_*.c.
 *
 * The algorithm is that of Keiser and Lemire ("Validating UTF-8 in less than one instruction per
 * byte", 2021): every octet is judged with the three before it, by look-ups and without a branch; a
 * block of four vectors that is all ASCII is not judged at all. Streaming is added around it:
 *
 *     | end of the last      | body: vectors, from boundary to boundary | begin of a code point |
 *     | piece's code point   |                                          | that goes on          |
 *       scalar, 0..3 octets                                               scalar, 0..3 octets
 *
 * Before it is included, the kernel says what a vector is: VECTOR (the type), VECTOR_BYTES,
 * BODY_BYTES_MIN (shorter bodies are left to the scalar kernel) and these functions:
 *
 *     load(at)  zeros()  either(a, b)
 *     is_ascii(self)                   whether no octet has its highest bit set
 *     has_errors(errors)               whether any octet is not zero
 *     errors_after(self, previous)     not zero where an octet is wrong after the three before it,
 *                                      the first of which are the last of the vector before
 *     opens(self)                      not zero where a code point goes on in the next vector
 *     load_tail(in, bytes, i)          the octets from `i` on, where less than a vector is left,
 * with zeros or with octets before them tail_errors(in, bytes, i, previous) the errors among them
 *
 * Not a header in the usual sense: no guard, everything static, one kernel's -m flags.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/simd/simd.h"
#include "proto/utf8.h"

#define BLOCK_BYTES ((size_t)4 * VECTOR_BYTES)

/* Judges four vectors at `at`; carries the last of them, and whether it is cut in a code point. */
static inline bool block_valid(const uint8_t *at, VECTOR *previous, VECTOR *open)
{
    VECTOR a = load(at);
    VECTOR b = load(at + VECTOR_BYTES);
    VECTOR c = load(at + 2 * VECTOR_BYTES);
    VECTOR d = load(at + 3 * VECTOR_BYTES);
    VECTOR errors = *open;
    if (!is_ascii(either(either(a, b), either(c, d)))) {
        errors = either(either(errors_after(a, *previous), errors_after(b, a)),
                        either(errors_after(c, b), errors_after(d, c)));
        *open = opens(d);
    }
    *previous = d;
    return !has_errors(errors);
}

/* Whether what is left from `i` on, less than a block, is all ASCII. */
static inline bool rest_is_ascii(const uint8_t *in, size_t bytes, size_t i)
{
    VECTOR all = zeros();
    for (; bytes - i >= VECTOR_BYTES; i += VECTOR_BYTES)
        all = either(all, load(in + i));
    if (i < bytes)
        all = either(all, load_tail(in, bytes, i));
    return is_ascii(all);
}

/* Judges what is left from `i` on, less than a block. */
static inline bool rest_valid(const uint8_t *in, size_t bytes, size_t i, VECTOR previous)
{
    VECTOR errors = zeros();
    for (; bytes - i >= VECTOR_BYTES; i += VECTOR_BYTES) {
        VECTOR self = load(in + i);
        errors = either(errors, errors_after(self, previous));
        previous = self;
    }
    if (i < bytes)
        errors = either(errors, tail_errors(in, bytes, i, previous));
    return !has_errors(errors);
}

/* Whether a text that starts at a boundary is valid, but for whether its last code point is whole.
 */
static inline bool body_valid(const uint8_t *in, size_t bytes)
{
    VECTOR previous = zeros();
    VECTOR open = zeros();
    size_t i = 0;
    for (; bytes - i >= BLOCK_BYTES; i += BLOCK_BYTES) {
        if (!block_valid(in + i, &previous, &open))
            return false;
    }
    if (rest_is_ascii(in, bytes, i))
        return i == bytes || !has_errors(open);
    return rest_valid(in, bytes, i, previous);
}

/* How many octets at the end of `in` begin a code point and do not finish it: 0 to 3. */
static inline size_t unfinished_bytes(const uint8_t *in, size_t bytes)
{
    for (size_t back = 1; back <= 3 && back <= bytes; back++) {
        uint8_t octet = in[bytes - back];
        if (octet >= 0xc0) {
            size_t needs = octet >= 0xf0 ? 4 : octet >= 0xe0 ? 3 : 2;
            return needs > back ? back : 0;
        }
        if (octet < 0x80)
            return 0;
    }
    return 0;
}

/* fw_utf8_check with vectors. The tail begins with the first octet of a code point, so that the
 * body of a valid text ends at a boundary; a body that does not is the mistake of the octet behind
 * it. */
static inline bool utf8_vectors(uint32_t *state, const uint8_t *in, size_t bytes)
{
    while (*state != FW_UTF8_START && bytes > 0) {
        if (!fw_utf8_scalar(state, in, 1))
            return false;
        in++;
        bytes--;
    }
    size_t tail = unfinished_bytes(in, bytes);
    size_t body = bytes - tail;
    if (body < BODY_BYTES_MIN)
        return fw_utf8_scalar(state, in, bytes);
    if (!body_valid(in, body))
        return false;
    if (tail == 0)
        return true;
    return unfinished_bytes(in, body) == 0 && fw_utf8_scalar(state, in + body, tail);
}
