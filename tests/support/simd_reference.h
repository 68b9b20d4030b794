/* simd_reference.h: masking and UTF-8 written once more, slowly, for kernels to be compared with.
 *
 * Nothing here is shared with core/: the masks go octet by octet, and UTF-8 is decided with the
 * arithmetic of code points (which values may still come out of the octets so far?) where the
 * library has tables. Free of any test framework, so that tests/cross can use it too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SIMD_REFERENCE_H
#define TESTS_SUPPORT_SIMD_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 6455, section 5.3: octet i of the output is octet i of the input XOR key octet i % 4. */
void reference_mask(uint8_t *out, const uint8_t *in, size_t bytes, const uint8_t key[4]);

/* What RFC 3629 says of some octets. */
struct reference_verdict {
    size_t accepted_bytes; /* octets before the first that no valid text can have there */
    bool refused;          /* there is such an octet */
    bool whole;            /* not refused, and the last code point is complete */
};

struct reference_verdict reference_utf8(const uint8_t *in, size_t bytes);

/* Encodes one code point; returns its 1 to 4 octets' number. */
size_t reference_encode(uint8_t out[4], uint32_t code_point);

/* Writes a random valid text.
 *
 * longest      the most octets that a code point takes: 1 for ASCII, up to 4
 */
void reference_text(uint64_t *seed, unsigned longest, uint8_t *out, size_t bytes);

#endif
