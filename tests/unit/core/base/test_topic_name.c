/* test_topic_name.c: what a topic may be called (core/base/topic_name.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/limits.h"
#include "base/topic_name.h"

#include <criterion/criterion.h>
#include <string.h>

/* A name is 1 to 128 of A-Z a-z 0-9 _ - . : */
Test(topic_name, takes_these_octets_and_no_others)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:";
    for (unsigned c = 0; c < 256; c++) {
        uint8_t name[3] = {'a', (uint8_t)c, 'z'};
        bool wanted = c != 0 && strchr(allowed, (int)c) != NULL;
        cr_assert_eq(fw_topic_name_valid((struct fw_bytes){name, 3}), wanted, "octet %02x", c);
        cr_assert_eq(fw_topic_name_valid((struct fw_bytes){name + 1, 1}), wanted, "octet %02x", c);
    }
}

Test(topic_name, has_1_to_128_octets)
{
    uint8_t name[FW_TOPIC_NAME_BYTES_MAX + 1];
    memset(name, 'a', sizeof name);
    cr_assert_not(fw_topic_name_valid((struct fw_bytes){name, 0}));
    cr_assert(fw_topic_name_valid((struct fw_bytes){name, 1}));
    cr_assert(fw_topic_name_valid((struct fw_bytes){name, 128}));
    cr_assert_not(fw_topic_name_valid((struct fw_bytes){name, 129}));
}
