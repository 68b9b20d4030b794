/* test_json.c: JSON of strangers (core/proto/json.h; RFC 8259).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/json.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>
#include <fanwire/status.h>
#include <string.h>

static int parse(struct guard_buf *guard, const char *text)
{
    size_t count = strlen(text);
    json_t *object = NULL;
    struct fw_bytes in = {guard_buf_at_end(guard, text, count), count};
    int result = fw_json_parse(in, false, &object);
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
        {"{\"a\":[[[[[[[[]]]]]]]]}", FW_ERR_JSON},
        {"{\"a\":\"[[[[[[[[[[[[\"}", 0},
        {"{\"a\":\"\\\"[[[[[[[[[[[[\"}", 0},
        {"{\"a\":\"\\\\\",\"b\":[[[[[[[[]]]]]]]]}", FW_ERR_JSON},
        {"{\"a\":1,\"a\":1}", FW_ERR_JSON},
        {"{\"a\":1,\"\\u0061\":1}", FW_ERR_JSON},
        {"{\"a\":{\"b\":1,\"b\":1}}", FW_ERR_JSON},
        {"", FW_ERR_JSON},
        {"[]", FW_ERR_JSON},
        {"1", FW_ERR_JSON},
        {"null", FW_ERR_JSON},
        {"{} {}", FW_ERR_JSON},
        {"{", FW_ERR_JSON},
        {"}", FW_ERR_JSON},
        {"{\"a", FW_ERR_JSON},
        {"{\"a\\", FW_ERR_JSON},
        {"{\"a\":\"\xc3\"}", FW_ERR_JSON},
        {"{\"a\":\"\\u0000\"}", FW_ERR_JSON},
        {"{\"\\u0000\":1}", FW_ERR_JSON},
        {"{\"a\":01}", FW_ERR_JSON},
        {"{\"a\":1,}", FW_ERR_JSON},
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
    struct fw_bytes text = fw_bytes_of("{\"a\":\"x\",\"b\":1,\"c\":\"\"}");
    cr_assert_eq(fw_json_parse(text, false, &object), 0);
    cr_assert(fw_bytes_equal(fw_json_string(object, "a"), fw_bytes_of("x")));
    cr_assert_not_null(fw_json_string(object, "c").at);
    cr_assert_eq(fw_json_string(object, "c").count, 0u);
    cr_assert_null(fw_json_string(object, "b").at);
    cr_assert_null(fw_json_string(object, "d").at);
    json_decref(object);
}

Test(json, takes_NUL_in_payloads_alone)
{
    json_t *object;
    struct fw_bytes text = fw_bytes_of("{\"a\":\"x\\u0000y\"}");
    cr_assert_eq(fw_json_parse(text, false, &object), FW_ERR_JSON);
    cr_assert_eq(fw_json_parse(text, true, &object), 0);
    cr_assert_eq(fw_json_string(object, "a").count, 3u);
    json_decref(object);
}
