/* text.c: see text.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>

size_t fw_text_put(char *out, size_t room, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    int count = vsnprintf(out, room, format, values);
    va_end(values);
    fw_assert(count >= 0 && (size_t)count < room);
    return (size_t)count;
}
