/* check.c: the end of a failed assert.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void fw_assert_failed(const char *fact, const char *file, int line)
{
    fprintf(stderr, "fanwire: assertion failed: %s (%s:%d)\n", fact, file, line);
    abort();
}
