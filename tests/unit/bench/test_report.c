/* test_report.c: records read back, grouped, and drawn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/report.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char records[] =
    "{\"time\":\"t\",\"program\":\"an older format\"}\n"
    "{\"scenario\":\"echo\",\"label\":\"L\",\"group\":\"1\",\"target\":\"old\",\"figures\":{\"a\":"
    "1}}\n"
    "\n"
    "{\"scenario\":\"echo\",\"label\":\"L\",\"group\":\"2\",\"target\":\"x\","
    "\"figures\":{\"a\":3,\"in\":{\"side\":7}}}\n"
    "{\"scenario\":\"echo\",\"label\":\"L\",\"group\":\"2\",\"target\":\"y\",\"figures\":{\"a\":9}}"
    "\n"
    "{\"scenario\":\"echo\",\"label\":\"L\",\"group\":\"2\",\"target\":\"x\",\"figures\":{\"a\":1}}"
    "\n"
    "{\"scenario\":\"echo\",\"label\":\"L\",\"group\":\"2\",\"target\":\"x\",\"figures\":{\"a\":2}}"
    "\n"
    "{\"scenario\":\"idle\",\"label\":\"L\",\"group\":\"3\",\"target\":\"x\",\"figures\":{}}\n";

/* A file of these words; the caller removes it. */
static void write_file(char path[32], const char *words)
{
    strcpy(path, "/tmp/fanwire-report-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, words, strlen(words)), (ssize_t)strlen(words));
    close(fd);
}

static void read_records(struct report *report, const char *words)
{
    char path[32];
    *report = (struct report){0};
    write_file(path, words);
    cr_assert(report_read(report, path));
    unlink(path);
    report_group(report);
}

Test(bench_report, shows_the_newest_group_of_a_label)
{
    struct report report;
    read_records(&report, records);
    cr_assert_eq(report.passed_over, 1);
    cr_assert_eq(report.groups_count, 2);
    cr_assert_str_eq(report.groups[0].group, "2");
    cr_assert_eq(report.groups[0].targets_count, 2);
    cr_assert_str_eq(report.groups[0].targets[0].name, "x");
    cr_assert_eq(json_array_size(report.groups[0].targets[0].runs), 3);
    report_free(&report);
}

#define RECORD(time, group, target)                                                                \
    "{\"time\":\"" time "\",\"scenario\":\"echo\",\"label\":\"L\",\"group\":\"" group              \
    "\",\"target\":\"" target "\",\"figures\":{}}\n"

Test(bench_report, shows_the_newest_group_in_whatever_order_they_are_read)
{
    static const char new_first[] =
        RECORD("2026-02-01T10:00:00Z", "b", "x") RECORD("2026-02-01T10:00:01Z", "b", "y")
            RECORD("2026-01-31T10:00:00Z", "a", "x") RECORD("2026-01-31T10:00:01Z", "a", "z");
    struct report report;
    read_records(&report, new_first);
    cr_assert_eq(report.groups_count, 1);
    cr_assert_str_eq(report.groups[0].group, "b");
    cr_assert_eq(report.groups[0].targets_count, 2);
    cr_assert_str_eq(report.groups[0].targets[1].name, "y");
    report_free(&report);
}

#define MADE(time, group, server, load, control)                                                   \
    "{\"time\":\"" time "\",\"scenario\":\"echo\",\"label\":\"L\",\"group\":\"" group              \
    "\",\"target\":\"x\",\"server_cpus\":\"" server "\",\"load_cpus\":\"" load                     \
    "\",\"machine\":{\"tcp_congestion_control\":\"" control "\"},\"figures\":{}}\n"

Test(bench_report, keeps_what_was_made_in_another_way_apart)
{
    static const char made[] = MADE("2026-01-01T10:00:00Z", "a", "0", "1", "bbr")
        MADE("2026-01-01T10:00:01Z", "b", "0", "0", "bbr")
            MADE("2026-01-01T10:00:02Z", "c", "0", "0", "cubic")
                MADE("2026-01-01T10:00:03Z", "d", "0", "1", "bbr");
    struct report report;
    read_records(&report, made);
    cr_assert_eq(report.groups_count, 3);
    cr_assert_str_eq(report.groups[0].label, "L");
    cr_assert_str_eq(report.groups[0].group, "d", "the newer of its like");
    cr_assert_not(report.groups[0].apart);
    cr_assert_str_eq(report.groups[1].label, "L, sharing CPUs");
    cr_assert(report.groups[1].apart);
    cr_assert_str_eq(report.groups[2].label, "L, sharing CPUs, cubic");
    report_free(&report);
}

Test(bench_report, takes_medians_and_ranges)
{
    struct report report;
    double median;
    double least;
    double most;
    read_records(&report, records);
    const struct report_target *x = &report.groups[0].targets[0];
    cr_assert(report_median(x, "a", &median, &least, &most));
    cr_assert_float_eq(median, 2, 1e-9);
    cr_assert_float_eq(least, 1, 1e-9);
    cr_assert_float_eq(most, 3, 1e-9);
    cr_assert(report_median(x, "in.side", &median, NULL, NULL));
    cr_assert_float_eq(median, 7, 1e-9);
    cr_assert_not(report_median(x, "absent", &median, NULL, NULL));
    cr_assert_not(report_median(x, "a.inside", &median, NULL, NULL));
    report_free(&report);
}

Test(bench_report, refuses_what_is_no_record)
{
    struct report report = {0};
    char path[32];
    write_file(path, "{\"scenario\": \"echo\"\n");
    cr_assert_not(report_read(&report, path));
    unlink(path);
    cr_assert_not(report_read(&report, path));
    report_group(&report);
    report_free(&report);
}

static char *drawn(const struct plot *plot)
{
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);
    cr_assert_not_null(to);
    plot_lines(to, plot);
    fclose(to);
    return text;
}

Test(bench_report, draws_numbers_and_no_others)
{
    static struct plot_series series[2] = {
        {.name = "a<b", .x = {0, 0.5, 0.99, 1}, .y = {1, 10, 0, 1000}, .count = 4},
        {.name = "one", .x = {0.5}, .y = {5}, .count = 1}};
    for (int axis = PLOT_LINEAR; axis <= PLOT_LOG; axis++) {
        const struct plot plot = {.x_title = "x",
                                  .y_title = "y",
                                  .x_axis = PLOT_TAIL,
                                  .y_axis = (enum plot_axis)axis,
                                  .series = series,
                                  .series_count = 2};
        char *text = drawn(&plot);
        cr_assert_null(strstr(text, "nan"), "%s", text);
        cr_assert_null(strstr(text, "inf"), "%s", text);
        cr_assert_not_null(strstr(text, "a&lt;b"));
        cr_assert_null(strstr(text, "a<b"));
        free(text);
    }
}

Test(bench_report, draws_nothing_of_nothing)
{
    static struct plot_series series[1] = {{.name = "empty"}};
    const struct plot plot = {.x_title = "x", .y_title = "y", .series = series, .series_count = 1};
    char *text = drawn(&plot);
    cr_assert_null(strstr(text, "nan"), "%s", text);
    cr_assert_null(strstr(text, "inf"), "%s", text);
    free(text);
}

Test(bench_report, writes_numbers_for_people)
{
    static const struct {
        double value;
        const char *text;
    } numbers[] = {{0, "0"},           {0.1234, "0.123"}, {12.34, "12.3"},     {123.4, "123"},
                   {9999, "9999"},     {12345, "12.3 k"}, {1234567, "1.23 M"}, {2.5e9, "2.5 G"},
                   {-12345, "-12.3 k"}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char *text = NULL;
        size_t bytes;
        FILE *to = open_memstream(&text, &bytes);
        html_number(to, numbers[i].value);
        fclose(to);
        cr_assert_str_eq(text, numbers[i].text);
        free(text);
    }
}

Test(bench_report, knows_variants_by_their_names)
{
    static const struct {
        const char *name;
        unsigned variant;
        size_t chars;
    } names[] = {{"ws", 0, 2},   {"ws-tls", 1, 2}, {"ws-deflate", 2, 2}, {"ws-tls-deflate", 3, 2},
                 {"-tls", 0, 4}, {"", 0, 0}};
    size_t chars;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cr_assert_eq(plot_variant(names[i].name, &chars), names[i].variant, "%s", names[i].name);
        cr_assert_eq(chars, names[i].chars, "%s", names[i].name);
    }
    cr_assert_eq(plot_colour("ws-tls"), plot_colour("ws"));
    cr_assert_lt(plot_colour("anybody"), PLOT_COLOURS);
    cr_assert_neq(plot_colour("anybody"), plot_colour("gorilla"));
}

/* A name's width is its bars' beginning: the longest must not be cut at the left. */
Test(bench_report, makes_room_for_long_names_and_notes)
{
    const struct plot_bar bars[] = {{.name = "a", .value = 1, .least = 1, .most = 1},
                                    {.name = "fanwire-uring-tls-deflate",
                                     .value = 2,
                                     .least = 1,
                                     .most = 3,
                                     .note = "2.00 x plain"}};
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);
    cr_assert_not_null(to);
    plot_bars(to, bars, 2);
    fclose(to);
    const char *rect = strstr(text, "<rect");
    cr_assert_not_null(rect);
    cr_assert_gt(strtod(strstr(rect, "x='") + 3, NULL), 25 * 6);
    cr_assert_not_null(strstr(text, "2.00 x plain"));
    free(text);
}

/* ---- times and marks ------------------------------------------------------------------------- */

Test(bench_report, tells_times_in_the_unit_that_suits_them)
{
    static const struct {
        double us;
        const char *text;
    } times[] = {{0, "0 µs"},        {0.25, "0.25 µs"},  {12.34, "12.3 µs"}, {999.4, "999 µs"},
                 {999.6, "1 ms"},    {22900, "22.9 ms"}, {999400, "999 ms"}, {999600, "1 s"},
                 {6.54e6, "6.54 s"}, {3600e6, "3600 s"}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char *text = NULL;
        size_t bytes;
        FILE *to = open_memstream(&text, &bytes);
        cr_assert_not_null(to);
        html_time(to, times[i].us);
        fclose(to);
        cr_assert_str_eq(text, times[i].text);
        free(text);
    }
}

static const char marked[] =
    "{\"scenario\":\"echo\",\"label\":\"L\",\"group\":\"1\",\"target\":\"x\",\"round\":4,"
    "\"server_cpus\":\"0\",\"load_cpus\":\"1\",\"figures\":{\"saturated\":true,\"waited\":0.2,"
    "\"a\":{\"b\":{\"c\":5}}}}\n"
    "{\"scenario\":\"echo\",\"label\":\"L\",\"group\":\"1\",\"target\":\"x\",\"round\":5,"
    "\"server_cpus\":\"0\",\"load_cpus\":\"1\",\"figures\":{\"late_tail\":true,\"waited\":0.2}}\n"
    "{\"scenario\":\"echo\",\"label\":\"M\",\"group\":\"2\",\"target\":\"x\",\"round\":0,"
    "\"server_cpus\":\"0\",\"load_cpus\":\"0\",\"figures\":{\"waited\":0.9}}\n"
    "{\"scenario\":\"echo\",\"label\":\"N\",\"group\":\"3\",\"target\":\"x\",\"round\":0,"
    "\"figures\":{\"waited\":0.05}}\n";

/* On one CPU server and load wait for each other: that is no mark. */
Test(bench_report, counts_the_runs_that_something_speaks_against)
{
    struct report report;
    read_records(&report, marked);
    const struct report_group *group = &report.groups[0];
    struct marks marks = report_marks(group, &group->targets[0]);
    cr_assert_eq(marks.saturated, 1);
    cr_assert_eq(marks.late_tail, 1);
    cr_assert_eq(marks.contended, 2);
    cr_assert_eq(report_marks(&report.groups[1], &report.groups[1].targets[0]).contended, 0);
    cr_assert_eq(report_marks(&report.groups[2], &report.groups[2].targets[0]).contended, 0);
    report_free(&report);
}

Test(bench_report, keeps_the_round_of_a_run_beside_its_figures)
{
    struct report report;
    read_records(&report, marked);
    const json_t *runs = report.groups[0].targets[0].runs;
    cr_assert_eq(json_integer_value(json_object_get(json_array_get(runs, 1), "round")), 5);
    cr_assert_eq(json_integer_value(report_figure(json_array_get(runs, 0), "a.b.c")), 5);
    cr_assert_null(report_figure(json_array_get(runs, 0), "a.x.c"));
    report_free(&report);
}

/* What no target has is no column; what one lacks is a dash, never a nought. */
Test(bench_report, tables_have_the_columns_that_there_are_figures_for)
{
    struct report report;
    char *text = NULL;
    size_t bytes;
    read_records(&report,
                 "{\"scenario\":\"idle\",\"label\":\"L\",\"group\":\"1\",\"target\":\"x\","
                 "\"figures\":{\"rss_bytes_per_conn\":250}}\n"
                 "{\"scenario\":\"idle\",\"label\":\"L\",\"group\":\"1\",\"target\":\"<y>\","
                 "\"figures\":{}}\n");
    FILE *to = open_memstream(&text, &bytes);
    cr_assert_not_null(to);
    report_tables(to, &report);
    fclose(to);
    cr_assert_not_null(strstr(text, "memory B each"));
    cr_assert_null(strstr(text, "server CPU"));
    cr_assert_not_null(strstr(text, "<td>250</td>"));
    cr_assert_not_null(strstr(text, "<td>–</td>"));
    cr_assert_not_null(strstr(text, "&lt;y&gt;"));
    free(text);
    report_free(&report);
}
