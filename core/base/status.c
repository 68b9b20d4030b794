/* status.c: return codes to sentences, names and answers, all from the table in fanwire/status.h.
 *
 * The names and sentences of errno values are the C library's untranslated tables
 * (strerrorname_np and strerrordesc_np): plain look-ups, no locale, no buffer, no failure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fanwire/status.h"

#include <stdbool.h>
#include <string.h>

/* Codes of ours start under this; a kernel's errno is at most 4095 (MAX_ERRNO). */
#define ERRNO_LOWEST (-10000)

static bool is_errno(int status)
{
    return status < 0 && status > ERRNO_LOWEST;
}

const char *fw_status_text(int status)
{
    if (status >= 0)
        return "success";
    switch (status) {
#define STATUS_TEXT(name, value, answer, sentence)                                                 \
    case name:                                                                                     \
        return sentence;
        FW_STATUS_TABLE(STATUS_TEXT)
#undef STATUS_TEXT
    }
    const char *text = is_errno(status) ? strerrordesc_np(-status) : NULL;
    return text != NULL ? text : "unknown error";
}

const char *fw_status_name(int status)
{
    if (status >= 0)
        return "FW_OK";
    switch (status) {
#define STATUS_NAME(name, value, answer, sentence)                                                 \
    case name:                                                                                     \
        return #name;
        FW_STATUS_TABLE(STATUS_NAME)
#undef STATUS_NAME
    }
    const char *name = is_errno(status) ? strerrorname_np(-status) : NULL;
    return name != NULL ? name : "unknown";
}

int fw_status_answer(int status)
{
    switch (status) {
#define STATUS_ANSWER(name, value, answer, sentence)                                               \
    case name:                                                                                     \
        return answer;
        FW_STATUS_TABLE(STATUS_ANSWER)
#undef STATUS_ANSWER
    }
    return 0;
}
