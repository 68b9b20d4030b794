/* test_watch.c: what the watchdog of the command says of a worker that does not come round
 * (tools/fanwire/watch.c): which, for how long, and what it began last, by the log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/ws_client.h"
#include "tools/fanwire/log.h"
#include "tools/fanwire/watch.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_bool held;

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static void hold_up(fw_conn *conn, enum fw_message_type type, const void *bytes, size_t bytes_count,
                    void *context)
{
    (void)conn;
    (void)type;
    (void)bytes;
    (void)bytes_count;
    (void)context;
    while (atomic_load(&held))
        nap();
}

/* The next line of the log. */
static const char *next_line(FILE *log)
{
    static char line[1024];
    for (unsigned i = 0; i < 2000; i++) { /* ten seconds */
        if (fgets(line, sizeof line, log) != NULL && strchr(line, '\n') != NULL)
            return line;
        clearerr(log);
        nap();
    }
    cr_assert_fail("the log has no line");
    return NULL;
}

/* Serves with one worker, holds it up, and gives the log to read. */
static void expect_lines(enum log_format format, void (*expect)(FILE *log))
{
    char path[] = "/tmp/fanwire-watch-XXXXXX";
    struct settings settings;
    struct ws_client client;
    fw_server *server;
    int fd = mkstemp(path);
    FILE *log = fopen(path, "r");
    int stderr_fd = dup(STDERR_FILENO);
    cr_assert_not_null(log);
    unlink(path);
    settings_init(&settings);
    settings.log_format = format;
    settings.options.workers = 1;
    settings.options.engine = FW_USE_EPOLL;
    settings.options.on_message = hold_up;
    cr_assert_eq(fw_server_create(&settings.options, &server), 0);
    cr_assert_eq(fw_server_listen(server, "127.0.0.1:0"), 0);
    cr_assert_eq(fw_server_start(server), 0);
    ws_client_connect(&client, fw_server_address(server, 0));
    cr_assert_eq(ws_client_open(&client, "/", ""), 101u);
    dup2(fd, STDERR_FILENO);
    log_configure(&settings);
    watch_start(server);
    atomic_store(&held, true);
    cr_assert(ws_client_text(&client, "x"));
    expect(log);
    watch_stop();
    dup2(stderr_fd, STDERR_FILENO);
    close(stderr_fd);
    ws_client_close(&client);
    fw_server_stop(server);
    fw_server_wait(server);
    fw_server_destroy(server);
    settings_clear(&settings);
    fclose(log);
    close(fd);
}

static void expect_text(FILE *log)
{
    unsigned worker = 9;
    unsigned stalled_ms = 0;
    const char *line = next_line(log);
    const char *said = strstr(line, " warn ");
    cr_assert_not_null(said, "%s", line);
    cr_assert_eq(sscanf(said, " warn worker %u has not come round for %u ms", &worker, &stalled_ms),
                 2, "%s", line);
    cr_assert_eq(worker, 0u);
    cr_assert(stalled_ms > 1000 && stalled_ms < 5000, "%s", line);
    cr_assert_not_null(strstr(line, "it began last: on_message\n"), "%s", line);
    atomic_store(&held, false);
    do
        line = next_line(log);
    while (strstr(line, "has not come round") != NULL);
    cr_assert_not_null(strstr(line, " warn worker 0 comes round again, after "), "%s", line);
    cr_assert_not_null(strstr(line, " ms or more of: on_message\n"), "%s", line);
}

Test(watch, says_which_worker_stands_still_where_and_when_it_goes_on, .timeout = 60)
{
    expect_lines(LOG_TEXT, expect_text);
}

static void expect_json(FILE *log)
{
    json_error_t error;
    json_t *line = json_loads(next_line(log), JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(line, "%s", error.text);
    cr_assert_str_eq(json_string_value(json_object_get(line, "level")), "warn");
    const char *message = json_string_value(json_object_get(line, "message"));
    cr_assert(strncmp(message, "worker 0 has not come round for ", 32) == 0, "%s", message);
    json_decref(line);
    atomic_store(&held, false);
}

Test(watch, says_it_as_json_where_the_log_is, .timeout = 60)
{
    expect_lines(LOG_JSON, expect_json);
}
