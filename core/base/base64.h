/* base64.h: octets as URL-safe text without padding, and back (RFC 4648, section 5); as plain text
 * with padding (section 4). Our own, because wolfCrypt has none for URLs, and its decoder passes
 * over white space and spare bits.
 *
 * Decoding is strict: the alphabet and nothing else, no padding, no line ends, and the bits that
 * the last character has too many must be zero, so that each octet string has one text only. Pure
 * functions; thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BASE_BASE64URL_H
#define FW_BASE_BASE64URL_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Characters that so many octets become, without a terminator. */
#define FW_BASE64URL_CHARS(bytes) (((bytes)*4 + 2) / 3)
#define FW_BASE64_CHARS(bytes)    (((bytes) + 2) / 3 * 4)

/* Decodes.
 *
 * out          room for `out_bytes`
 * returns      octets written, or -EINVAL for text that is not base64url, or is too long for `out`
 */
ssize_t fw_base64url_decode(struct fw_bytes text, uint8_t *out, size_t out_bytes);

/* Encodes.
 *
 * out          room for FW_BASE64URL_CHARS(in.count), or FW_BASE64_CHARS(in.count); not terminated
 * returns      characters written
 */
size_t fw_base64url_encode(struct fw_bytes in, char *out);
size_t fw_base64_encode(struct fw_bytes in, char *out);

/* Whether a text is what fw_base64_encode makes of so many octets: the alphabet, the padding, and
 * nothing in the bits that the last character has too many. */
bool fw_base64_is_of(struct fw_bytes text, size_t octets_count);

#endif
