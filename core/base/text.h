/* text.h: formatted text into memory that is known to be large enough.
 *
 * Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BASE_TEXT_H
#define FW_BASE_TEXT_H

#include <stddef.h>

/* Writes text and a terminator.
 *
 * room         octets at `out`; that they suffice is asserted
 * returns      characters written, without the terminator
 */
size_t fw_text_put(char *out, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
