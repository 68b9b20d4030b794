/* test_log.c: log lines of the command (tools/fanwire/log.c): one line each, whatever is in them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"
#include "tools/fanwire/log.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#define STAMP "2026-11-21T15:00:00.000Z"

/* Writes a line with one octet in it. */
static const char *line_with(unsigned octet, bool json)
{
    static char out[256];
    const char line[] = {'a', (char)octet, 'b', '\0'};
    size_t count = log_format_line(json, STAMP, FW_LEVEL_WARN, line, out, sizeof out);
    cr_assert_eq(count, strlen(out));
    return out;
}

Test(log, has_no_octet_in_a_text_line_that_could_end_or_colour_it)
{
    for (unsigned octet = 1; octet < 256; octet++) {
        const char *line = line_with(octet, false);
        size_t count = strlen(line);
        cr_assert_eq(line[count - 1], '\n');
        for (size_t i = 0; i + 1 < count; i++)
            cr_assert(line[i] >= 0x20 && line[i] < 0x7f, "octet %u became %d", octet, line[i]);
    }
}

/* Each line is one JSON object on one line, and says what was said. */
Test(log, is_json_for_every_octet)
{
    for (unsigned octet = 1; octet < 256; octet++) {
        const char *line = line_with(octet, true);
        json_error_t error;
        json_t *parsed = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        cr_assert_not_null(parsed, "octet %u: %s in %s", octet, error.text, line);
        cr_assert_eq(json_object_size(parsed), 3u);
        const char *message = json_string_value(json_object_get(parsed, "message"));
        if (octet < 0x80)
            cr_assert_eq((unsigned char)message[1], octet);
        cr_assert_eq(message[0], 'a');
        cr_assert_eq(message[strlen(message) - 1], 'b');
        cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1);
        json_decref(parsed);
    }
}

/* What strangers sent comes through fw_log_quote: both ways together. */
Test(log, is_one_line_for_every_octet_that_a_stranger_sends)
{
    for (unsigned octet = 0; octet < 256; octet++) {
        char quoted[64];
        char out[256];
        uint8_t sent[3] = {'a', (uint8_t)octet, 'b'};
        fw_log_quote((struct fw_bytes){sent, 3}, quoted, sizeof quoted);
        for (int json = 0; json < 2; json++) {
            log_format_line(json, STAMP, FW_LEVEL_WARN, quoted, out, sizeof out);
            cr_assert_eq(strchr(out, '\n'), out + strlen(out) - 1, "octet %u", octet);
            cr_assert_null(strchr(out, 0x1b));
        }
    }
}

Test(log, cuts_what_is_too_long_and_stays_json)
{
    char line[2000];
    char out[300];
    memset(line, '\n', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    for (size_t room = 128; room <= sizeof out; room++) {
        size_t count = log_format_line(true, STAMP, FW_LEVEL_INFO, line, out, room);
        cr_assert_lt(count, room);
        json_t *parsed = json_loads(out, 0, NULL);
        cr_assert_not_null(parsed, "in %zu: %s", room, out);
        json_decref(parsed);
    }
}

/* Mistakes are told on stderr until a server runs; then they are lines of its log. */
Test(log, takes_mistakes_once_a_server_runs)
{
    static struct settings settings;
    char told[600];
    char *at = told;
    int pipe_fds[2];
    int stderr_fd = dup(STDERR_FILENO);
    settings_init(&settings);
    cr_assert_eq(pipe(pipe_fds), 0);
    dup2(pipe_fds[1], STDERR_FILENO);
    say_mistake("%s takes %d", "a\nb", 1);
    log_take_mistakes();
    settings.log_format = LOG_JSON;
    settings.quiet = true;
    log_configure(&settings);
    say_mistake("%s takes %d", "a\nb", 2);
    log_line(FW_LEVEL_INFO, "not this", NULL);
    settings.quiet = false;
    settings.log_format = LOG_TEXT;
    log_configure(&settings);
    log_line(FW_LEVEL_INFO, "this", NULL);
    dup2(stderr_fd, STDERR_FILENO);
    close(stderr_fd);
    ssize_t count = read(pipe_fds[0], told, sizeof told - 1);
    cr_assert_gt(count, 0);
    told[count] = '\0';
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    cr_assert_eq(strncmp(at, "fanwire: a\nb takes 1\n", 21), 0, "%s", told);
    char *line = strsep(&at, "\n");
    line = strsep(&at, "\n");
    line = strsep(&at, "\n");
    json_t *parsed = json_loads(line, 0, NULL);
    cr_assert_not_null(parsed, "%s", line);
    cr_assert_str_eq(json_string_value(json_object_get(parsed, "level")), "error");
    cr_assert_str_eq(json_string_value(json_object_get(parsed, "message")), "a\nb takes 2");
    json_decref(parsed);
    line = strsep(&at, "\n");
    cr_assert_not_null(strstr(line, " info this"), "%s", line);
    cr_assert_str_eq(at, "");
}
