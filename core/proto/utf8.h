/* utf8.h: streaming, fail-fast UTF-8 validation (RFC 3629), as text messages need it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_UTF8_H
#define FW_PROTO_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The state between two pieces of a text. FW_UTF8_START before the first octet and after every
 * whole code point, so a text that ends in another state ends inside a code point. */
#define FW_UTF8_START 0u

/* Validates the next piece of a text.
 *
 * state        carried from piece to piece; after a refusal its value means nothing
 * in           borrowed; any alignment
 * returns      false as soon as some octet cannot belong to valid UTF-8 (overlong forms, surrogates
 *              and code points above U+10FFFF are refused at the first octet that shows it: after
 *              f4, the octet 90 is already wrong)
 * thread       any
 * source       RFC 3629, section 4; RFC 6455, section 8.1
 */
bool fw_utf8_check(uint32_t *state, const uint8_t *in, size_t bytes);

/* Whether a whole text is valid UTF-8. */
static inline bool fw_utf8_valid(const uint8_t *in, size_t bytes)
{
    uint32_t state = FW_UTF8_START;
    return fw_utf8_check(&state, in, bytes) && state == FW_UTF8_START;
}

#endif
