/* test_json.c: JSON of strangers (core/session/json.h; RFC 8259).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/json.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static int parse(struct guard_buf *guard, const char *text)
{
    size_t count = strlen(text);
    json_t *object = NULL;
    struct fw_bytes in = {guard_buf_at_end(guard, text, count), count};
    int result = fw_json_object(in, &object);
    json_decref(object);
    return result;
}

Test(json, takes_one_object_and_nothing_else)
{
    static const struct {
        const char *text;
        int result;
    } rows[] = {
        {"{}", 0},
        {" {\"a\":1} ", 0},
        {"{\"a\":{\"a\":1}}", 0},
        {"{\"a\":[[[[[[[]]]]]]]}", 0},
        {"{\"a\":[[[[[[[[]]]]]]]]}", -EINVAL},
        {"{\"a\":\"[[[[[[[[[[[[\"}", 0},
        {"{\"a\":\"\\\"[[[[[[[[[[[[\"}", 0},
        {"{\"a\":\"\\\\\",\"b\":[[[[[[[[]]]]]]]]}", -EINVAL},
        {"{\"a\":1,\"a\":1}", -EINVAL},
        {"{\"a\":1,\"\\u0061\":1}", -EINVAL},
        {"{\"a\":{\"b\":1,\"b\":1}}", -EINVAL},
        {"", -EINVAL},
        {"[]", -EINVAL},
        {"1", -EINVAL},
        {"null", -EINVAL},
        {"{} {}", -EINVAL},
        {"{", -EINVAL},
        {"}", -EINVAL},
        {"{\"a", -EINVAL},
        {"{\"a\\", -EINVAL},
        {"{\"a\":\"\xc3\"}", -EINVAL},
        {"{\"a\":\"\\u0000\"}", -EINVAL},
        {"{\"\\u0000\":1}", -EINVAL},
        {"{\"a\":01}", -EINVAL},
        {"{\"a\":1,}", -EINVAL},
    };
    struct guard_buf guard;
    guard_buf_init(&guard, 4096);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_eq(parse(&guard, rows[i].text), rows[i].result, "%s", rows[i].text);
    guard_buf_clear(&guard);
}

Test(json, hands_out_strings_and_only_strings)
{
    json_t *object;
    struct fw_bytes value;
    cr_assert_eq(fw_json_object(fw_bytes_of("{\"a\":\"x\",\"b\":1,\"c\":\"\"}"), &object), 0);
    cr_assert(fw_json_string(object, "a", &value));
    cr_assert(fw_bytes_equal(value, fw_bytes_of("x")));
    cr_assert(fw_json_string(object, "c", &value));
    cr_assert_eq(value.count, 0u);
    cr_assert_not(fw_json_string(object, "b", &value));
    cr_assert_not(fw_json_string(object, "d", &value));
    json_decref(object);
}
