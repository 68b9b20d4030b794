/* test_support.c: what ends a measuring program, and with which words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/machine.h"
#include "bench/process.h"
#include "bench/report.h"
#include "bench/settings.h"
#include "bench/support.h"
#include "support/in_child.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char said[1024];

static void expect(void (*function)(void *argument), void *argument, int code, const char *words)
{
    cr_assert_eq(in_child(function, argument, said, sizeof said), code, "%s", said);
    cr_assert_not_null(strstr(said, words), "not '%s': %s", words, said);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void ask_for_too_much(void *unused)
{
    (void)unused;
    bench_alloc(SIZE_MAX / 2, 3);
}

Test(bench_support, memory_that_nobody_has_ends_the_program)
{
    expect(ask_for_too_much, NULL, 1, "out of memory for");
}

Test(bench_support, memory_is_zero_and_never_none)
{
    uint8_t *block = bench_alloc(3, 1000);
    for (size_t i = 0; i < 3000; i++)
        cr_assert_eq(block[i], 0);
    free(block);
    block = bench_alloc(0, 8);
    cr_assert_not_null(block);
    free(block);
}

/* Jansson's allocations, of which number `refused` fails. */
static unsigned counted;
static unsigned refused;

static void *allocate(size_t bytes)
{
    return ++counted == refused ? NULL : malloc(bytes);
}

struct report_round {
    const char *path;
    unsigned refused;
    size_t targets; /* that must come out */
};

static void read_report(void *argument)
{
    const struct report_round *round = argument;
    struct report report = {0};
    refused = round->refused;
    json_set_alloc_funcs(allocate, free);
    if (!report_read(&report, round->path))
        exit(3);
    report_group(&report);
    size_t targets = report.groups_count == 1 ? report.groups[0].targets_count : 0;
    bool whole = targets == round->targets && json_array_size(report.lines) == round->targets;
    report_free(&report);
    exit(counted < refused ? 0 : whole ? 4 : 5);
}

/* A page is whole, or there is none: no run is left out for want of memory. */
Test(bench_support, no_run_is_lost_when_memory_is_short)
{
    static const char line[] = "{\"scenario\":\"echo\",\"label\":\"L\",\"group\":\"1\","
                               "\"target\":\"%c\",\"figures\":{\"a\":%d}}\n";
    char path[] = "/tmp/fanwire-report-XXXXXX";
    struct report_round round = {.path = path, .targets = 12};
    FILE *file = fdopen(mkstemp(path), "w");
    for (int i = 0; i < 12; i++)
        fprintf(file, line, 'a' + i, i);
    fclose(file);
    int code = 1;
    for (round.refused = 1; code != 0 && round.refused < 10000; round.refused++) {
        code = in_child(read_report, &round, said, sizeof said);
        cr_assert(code == 0 || code == 1 || code == 3 || code == 4, "allocation %u: %d, %s",
                  round.refused, code, said);
        if (code == 1)
            cr_assert_not_null(strstr(said, "out of memory"), "%s", said);
    }
    cr_assert_eq(code, 0);
    cr_assert_gt(round.refused, 50, "there was memory to be refused");
    unlink(path);
}

/* ---- the command line ------------------------------------------------------------------------ */

static size_t number;
static bool flag;
static const char *text;
static const struct bench_option options[] = {
    BENCH_NUMBER("number", &number, 2, 9, "a number"), BENCH_FLAG("flag", &flag, "a flag"),
    BENCH_TEXT("text", &text, "a text"), BENCH_OPTIONS_END};

static void read_options(void *words)
{
    char **argv = words;
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    bench_options_read(argc, argv, options, "tries options");
}

Test(bench_support, says_what_is_wrong_with_an_option)
{
    static const struct {
        const char *words[4];
        const char *said;
    } lines[] = {{{"x", "--nothing"}, "there is no option '--nothing'"},
                 {{"x", "stray"}, "there is no option 'stray'"},
                 {{"x", "--number"}, "--number needs a value"},
                 {{"x", "--number", "y"}, "takes a whole number"},
                 {{"x", "--number", "-3"}, "takes a whole number"},
                 {{"x", "--number", "3x"}, "takes a whole number"},
                 {{"x", "--number", "99999999999999999999999"}, "takes a whole number"},
                 {{"x", "--number", "1"}, "takes 2 to 9, not 1"},
                 {{"x", "--number", "10"}, "takes 2 to 9, not 10"}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        expect(read_options, (void *)(uintptr_t)lines[i].words, 2, lines[i].said);
}

Test(bench_support, reads_options_into_their_places)
{
    char words[][12] = {"x", "--number", "7", "--flag", "--text", "t"};
    char *argv[] = {words[0], words[1], words[2], words[3], words[4], words[5]};
    bench_options_read(6, argv, options, "tries options");
    cr_assert_eq(number, 7);
    cr_assert(flag);
    cr_assert_str_eq(text, "t");
}

static void want_descriptors(void *unused)
{
    (void)unused;
    bench_descriptors_raise(SIZE_MAX / 2);
}

Test(bench_support, says_when_descriptors_are_too_few)
{
    expect(want_descriptors, NULL, 1, "more descriptors than the hard limit");
}

/* ---- processes ------------------------------------------------------------------------------- */

/* A process that has gone: its number is nobody's. */
static pid_t gone(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    return child;
}

static void span_of(void *process)
{
    struct bench_span span;
    bench_span_begin(&span, *(pid_t *)process);
}

Test(bench_process, a_server_that_is_gone_ends_the_run)
{
    pid_t process = gone();
    expect(span_of, &process, 1, "is gone");
    pid_t tree[BENCH_PROCESSES_MAX];
    cr_assert_eq(bench_process_tree(process, tree), 0);
    cr_assert_eq(bench_memory_of(process).rss_bytes, 0);
}

static pid_t sleeper(void)
{
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    return child;
}

Test(bench_process, children_count_with_their_parents)
{
    pid_t tree[BENCH_PROCESSES_MAX];
    pid_t child = sleeper();
    cr_assert_eq(bench_process_tree(getpid(), tree), 2);
    cr_assert_eq(tree[0], getpid());
    cr_assert_eq(tree[1], child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_assert_eq(bench_process_tree(getpid(), tree), 1);
    cr_assert_gt(bench_memory_of(getpid()).rss_bytes, 0);
}

static void many_children(void *unused)
{
    pid_t tree[BENCH_PROCESSES_MAX];
    (void)unused;
    for (int i = 0; i < BENCH_PROCESSES_MAX; i++) {
        if (fork() == 0) {
            close(2); /* who waits for our words must not wait for them */
            alarm(20);
            pause();
        }
    }
    bench_process_tree(getpid(), tree);
}

Test(bench_process, too_many_processes_end_the_run)
{
    expect(many_children, NULL, 1, "more than 64 processes");
}

Test(bench_process, reports_what_passed)
{
    const struct bench_span span = {.server = 1,
                                    .wall_ns = 2000000000,
                                    .own_cpu_ns = 1950000000,
                                    .server_cpu_ns = 1000000000,
                                    .waited_ns = 200000000};
    json_t *figures = json_object();
    bench_span_report(&span, "message", 500000, 1, figures);
    cr_assert_float_eq(json_number_value(json_object_get(figures, "per_s")), 250000, 1e-6);
    cr_assert_float_eq(json_number_value(json_object_get(figures, "server_cpu_us_per_message")), 2,
                       1e-9);
    cr_assert(json_is_true(json_object_get(figures, "saturated")));
    json_object_clear(figures);
    bench_span_report(&span, "message", 0, 2, figures);
    cr_assert_null(json_object_get(figures, "server_cpu_us_per_message"), "of no message");
    cr_assert(json_is_false(json_object_get(figures, "saturated")));
    json_decref(figures);
}

Test(bench_process, meminfo_knows_whole_names)
{
    cr_assert_gt(bench_meminfo("MemTotal"), 0);
    cr_assert_eq(bench_meminfo("MemTot"), 0);
    cr_assert_eq(bench_meminfo("Nothing"), 0);
}

/* ---- the machine ----------------------------------------------------------------------------- */

/* Where git knows nothing of the folder, the rest is told all the same. */
Test(bench_machine, is_told_without_git)
{
    static const char *const names[] = {"cpu",     "cpus", "memory_bytes", "kernel",
                                        "version", "simd", "wolfssl",      "compiler"};
    strcpy(bench_settings.programs, "/nowhere/at all");
    json_t *machine = bench_machine();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_assert_not_null(json_object_get(machine, names[i]), "%s", names[i]);
    cr_assert_str_eq(json_string_value(json_object_get(machine, "commit")), "");
    cr_assert_gt(strlen(json_string_value(json_object_get(machine, "cpu"))), 0);
    json_decref(machine);
}
