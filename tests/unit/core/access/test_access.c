/* test_access.c: policies (core/access/access.h, fanwire/access.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"
#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fanwire/status.h>

Test(access_policy, must_be_well_formed)
{
    static const struct fw_access_options rows[] = {
        {.size = sizeof rows[0], .anonymous_subscribe = "a**"},
        {.size = sizeof rows[0], .anonymous_publish = " "},
        {.size = sizeof rows[0], .certificate_subscribe = "a/b"},
        {.size = sizeof rows[0], .certificate_publish = "*a"},
        {.size = sizeof rows[0], .cookie = "a b"},
        {.size = sizeof rows[0], .cookie = "a="},
        {.size = sizeof rows[0], .skew_s = 61},
        {.size = 0},
    };
    struct fw_access *access;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_eq(fw_access_create(&rows[i], &access), FW_ERR_USAGE, "row %zu", i);
    const struct fw_access_options many = {.size = sizeof many, .keys_count = FW_KEYS_MAX + 1};
    cr_assert_eq(fw_access_create(&many, &access), FW_ERR_LIMIT);
    cr_assert_eq(fw_access_create(NULL, &access), FW_ERR_USAGE);
    bool failed = true;
    for (unsigned k = 1; failed; k++) {
        const struct fw_access_options good = {.size = sizeof good, .certificate_observe = true};
        fail_mem_at(k, FAIL_ONCE);
        int result = fw_access_create(&good, &access);
        failed = fail_mem_off();
        cr_assert_eq(result, failed ? -ENOMEM : 0);
        if (result == 0)
            fw_access_destroy(access);
    }
}
