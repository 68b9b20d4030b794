/* test_principal.c: topic patterns and principals (core/access/principal.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/principal.h"
#include "base/mem.h"
#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <string.h>

Test(patterns, match_names_and_beginnings_of_names)
{
    static const struct {
        const char *patterns;
        const char *topic;
        bool matches;
    } rows[] = {
        {"", "a", false},
        {"a", "a", true},
        {"a", "ab", false},
        {"ab", "a", false},
        {"a", "A", false},
        {"a*", "a", true},
        {"a*", "abc", true},
        {"a*", "b", false},
        {"*", "anything", true},
        {"*", "", true},
        {"a.*", "a.b", true},
        {"a.*", "a.b.c", true},
        {"a.*", "a.", true},
        {"a.*", "a", false},
        {"a.*", "ab", false},
        {"x y z", "y", true},
        {"x y z", "x y", false},
        {"x y* z", "yes", true},
        {"x y z*", "zebra", true},
        {"x y z", "", false},
        {"prices.* news", "news", true},
        {"prices.* news", "newsflash", false},
        {"a*", "a*", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_eq(fw_patterns_match(fw_bytes_of(rows[i].patterns), fw_bytes_of(rows[i].topic)),
                     rows[i].matches, "'%s' and '%s'", rows[i].patterns, rows[i].topic);
}

Test(patterns, are_valid_when_each_is_a_name_or_a_beginning)
{
    static const char *const good[] = {"", "a", "*", "a*", "a.b:c-d_E", "a b* *"};
    static const char *const bad[] = {" ",   " a",  "a ",  "a  b",     "**",   "*a",
                                      "a*b", "a/b", "a,b", "\xc3\xa4", "a\tb", "a* "};
    char name[140];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(fw_patterns_valid(fw_bytes_of(good[i])), "'%s'", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(fw_patterns_valid(fw_bytes_of(bad[i])), "'%s'", bad[i]);
    memset(name, 'a', sizeof name);
    cr_assert(fw_patterns_valid((struct fw_bytes){(const uint8_t *)name, 128}));
    cr_assert_not(fw_patterns_valid((struct fw_bytes){(const uint8_t *)name, 129}));
    name[128] = '*';
    cr_assert(fw_patterns_valid((struct fw_bytes){(const uint8_t *)name, 129}));
}

Test(patterns, are_no_longer_than_a_token_could_say)
{
    uint8_t text[FW_PATTERNS_BYTES_MAX + 2];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 == 0 ? 'a' : ' ';
    cr_assert(fw_patterns_valid((struct fw_bytes){text, FW_PATTERNS_BYTES_MAX - 1}));
    cr_assert_not(fw_patterns_valid((struct fw_bytes){text, FW_PATTERNS_BYTES_MAX + 1}));
}

Test(principal, is_a_copy)
{
    char name[] = "alice";
    const struct fw_principal of = {.expires_ms = 7,
                                    .name = fw_bytes_of(name),
                                    .subscribe = fw_bytes_of("a.* b"),
                                    .publish = fw_bytes_of("c"),
                                    .observe = true};
    struct fw_principal *made = fw_principal_create(&of);
    memset(name, 'x', sizeof name - 1);
    cr_assert(fw_bytes_equal(made->name, fw_bytes_of("alice")));
    cr_assert(fw_bytes_equal(made->subscribe, fw_bytes_of("a.* b")));
    cr_assert(fw_bytes_equal(made->publish, fw_bytes_of("c")));
    cr_assert_eq(made->expires_ms, 7u);
    cr_assert(made->observe);
    fw_mem_free(made);
    fail_mem_at(1, FAIL_ONCE);
    cr_assert_null(fw_principal_create(&of));
    fail_mem_off();
}
