/* test_status.c: return codes, their names, sentences and answers (fanwire/status.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

struct row {
    int status;
    int answer;
    const char *name;
    const char *sentence;
};

static const struct row rows[] = {
#define ROW(name, value, answer, sentence) {value, answer, #name, sentence},
    FW_STATUS_TABLE(ROW)
#undef ROW
};

#define ROWS_COUNT (sizeof rows / sizeof rows[0])

Test(status, says_name_sentence_and_answer_of_every_code)
{
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        cr_assert_str_eq(fw_status_name(rows[i].status), rows[i].name);
        cr_assert_str_eq(fw_status_text(rows[i].status), rows[i].sentence);
        cr_assert_eq(fw_status_answer(rows[i].status), rows[i].answer, "%s", rows[i].name);
    }
}

Test(status, keeps_the_values_that_programs_were_compiled_with)
{
    /* First and last of each group: a code that moves breaks the ABI. */
    cr_assert_eq(FW_OK, 0);
    cr_assert_eq(FW_ERR_USAGE, -10001);
    cr_assert_eq(FW_ERR_HTTP_METHOD, -10101);
    cr_assert_eq(FW_ERR_HTTP_ORIGIN, -10130);
    cr_assert_eq(FW_ERR_HTTP_TLS, -10131);
    cr_assert_eq(FW_ERR_WS_RESERVED_BITS, -10201);
    cr_assert_eq(FW_ERR_WS_CONTROL_FLOOD, -10218);
    cr_assert_eq(FW_ERR_TLS_ENDED, -10301);
    cr_assert_eq(FW_ERR_TLS_KEY_MISMATCH, -10333);
    cr_assert_eq(FW_ERR_KEY, -10401);
    cr_assert_eq(FW_ERR_WS_RATE, -10417);
}

Test(status, gives_every_code_a_value_of_its_own_under_the_errno_values)
{
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        cr_assert_lt(rows[i].status, -10000, "%s", rows[i].name);
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(rows[i].status, rows[j].status, "%s", rows[i].name);
    }
}

Test(status, gives_every_code_a_sentence_of_its_own)
{
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        for (size_t j = 0; j < i; j++)
            cr_assert_str_neq(rows[i].sentence, rows[j].sentence, "%s", rows[i].name);
    }
}

/* RFC 6455, section 7.4.1: the codes that an endpoint may send for the peer's mistakes. */
static bool is_close_code(int answer)
{
    return answer == 1002 || answer == 1007 || answer == 1008 || answer == 1009 || answer == 1011;
}

Test(status, answers_with_a_close_code_or_an_http_error_or_nothing)
{
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        int answer = fw_status_answer(rows[i].status);
        bool http = answer >= 400 && answer <= 599;
        cr_assert(answer == 0 || http || is_close_code(answer), "%s: %d", rows[i].name, answer);
    }
}

Test(status, answers_text_that_is_not_utf8_with_1007)
{
    /* RFC 6455, section 8.1 */
    cr_assert_eq(fw_status_answer(FW_ERR_WS_TEXT), 1007);
    cr_assert_eq(fw_status_answer(FW_ERR_WS_CLOSE_REASON), 1007);
}

Test(status, answers_a_wrong_websocket_version_with_426)
{
    /* RFC 6455, section 4.4 */
    cr_assert_eq(fw_status_answer(FW_ERR_WS_VERSION), 426);
}

Test(status, knows_errno_values_by_name_and_sentence)
{
    cr_assert_str_eq(fw_status_name(-ENOMEM), "ENOMEM");
    cr_assert_str_eq(fw_status_name(-EPERM), "EPERM");
    cr_assert_str_eq(fw_status_name(-ECONNRESET), "ECONNRESET");
    cr_assert_str_eq(fw_status_text(-ECONNRESET), "Connection reset by peer");
    cr_assert_str_eq(fw_status_text(-ENOMEM), "Cannot allocate memory");
    cr_assert_eq(fw_status_answer(-ENOMEM), 0);
}

Test(status, calls_zero_and_counts_success)
{
    static const int counts[] = {0, 1, 14, 10001, INT_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        cr_assert_str_eq(fw_status_name(counts[i]), "FW_OK");
        cr_assert_str_eq(fw_status_text(counts[i]), "success");
        cr_assert_eq(fw_status_answer(counts[i]), 0);
    }
}

Test(status, calls_codes_that_are_nobodys_unknown)
{
    static const int nobodys[] = {-4095, -9999, -10000, -10100, -10300, -20000, INT_MIN};
    for (size_t i = 0; i < sizeof nobodys / sizeof nobodys[0]; i++) {
        cr_assert_str_eq(fw_status_name(nobodys[i]), "unknown", "%d", nobodys[i]);
        cr_assert_str_eq(fw_status_text(nobodys[i]), "unknown error", "%d", nobodys[i]);
        cr_assert_eq(fw_status_answer(nobodys[i]), 0);
    }
}
