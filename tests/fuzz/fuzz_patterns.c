/* fuzz_patterns.c: libFuzzer target of topic names and patterns of them (core/base/topic_name.h,
 * core/access/principal.h).
 *
 *   line 1    a list of patterns
 *   line 2    a name
 *
 * The oracle: a name is what a regular expression says; a list is valid when each of its pieces is;
 * and a valid list matches what fnmatch(3) says of one of its pieces. What a principal copies is
 * the same list.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/principal.h"
#include "base/mem.h"
#include "base/topic_name.h"
#include "fuzz/target.h"

#include <fnmatch.h>
#include <regex.h>

#define INPUT_BYTES_MAX (FW_PATTERNS_BYTES_MAX + 300)

static bool matches(const regex_t *pattern, struct fw_bytes text)
{
    char *string = string_of(text);
    bool matched = strlen(string) == text.count && regexec(pattern, string, 0, NULL, 0) == 0;
    free(string);
    return matched;
}

static const regex_t *compiled(const char *pattern, regex_t *place)
{
    if (place->re_nsub == SIZE_MAX)
        require(regcomp(place, pattern, REG_EXTENDED | REG_NOSUB) == 0, "the expression");
    return place;
}

static bool is_name(struct fw_bytes name)
{
    static regex_t place = {.re_nsub = SIZE_MAX};
    return matches(compiled("^[A-Za-z0-9_.:-]{1,128}$", &place), name);
}

static bool is_pattern(struct fw_bytes pattern)
{
    static regex_t place = {.re_nsub = SIZE_MAX};
    return matches(compiled("^([A-Za-z0-9_.:-]{0,128}[*]|[A-Za-z0-9_.:-]{1,128})$", &place),
                   pattern);
}

static bool is_list(struct fw_bytes list)
{
    bool good = list.count <= FW_PATTERNS_BYTES_MAX;
    good = good && (list.count == 0 || list.at[list.count - 1] != ' ');
    while (good && list.count > 0)
        good = is_pattern(cut_at(&list, ' '));
    return good;
}

static bool list_matches(struct fw_bytes list, struct fw_bytes name)
{
    char *topic = string_of(name);
    bool matched = false;
    while (!matched && list.count > 0) {
        char *pattern = string_of(cut_at(&list, ' '));
        matched = fnmatch(pattern, topic, 0) == 0;
        free(pattern);
    }
    free(topic);
    return matched;
}

static void check_principal(struct fw_bytes list, struct fw_bytes name)
{
    const struct fw_principal of = {.name = name, .subscribe = list, .publish = name};
    struct fw_principal *made = fw_principal_create(&of);
    require(made != NULL, "memory");
    require(fw_bytes_equal(made->subscribe, list) && fw_bytes_equal(made->publish, name) &&
                fw_bytes_equal(made->name, name),
            "a principal's copies");
    fw_mem_free(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX)
        return -1;
    struct fw_bytes rest = {data, size};
    struct fw_bytes line = cut_at(&rest, '\n');
    uint8_t *list_block = block_of(line.at, line.count);
    uint8_t *name_block = block_of(rest.at, rest.count);
    struct fw_bytes list = {list_block, line.count};
    struct fw_bytes name = {name_block, rest.count};
    bool valid = is_list(list);
    bool named = is_name(name);
    require(fw_topic_name_valid(name) == named, "a name");
    require(fw_patterns_valid(list) == valid, "a list of patterns");
    bool matched = fw_patterns_match(list, name);
    require(!valid || !named || matched == list_matches(list, name), "a match");
    check_principal(list, name);
    free(list_block);
    free(name_block);
    return 0;
}
