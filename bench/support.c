/* support.c: options, clocks, errors and reports of the measuring programs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"
#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* stdin, stdout, stderr, a listener, an epoll or ring, a control socket, and some to spare. */
#define DESCRIPTORS_OWN 32

_Noreturn void bench_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

_Noreturn static void help(const struct bench_option *options, const char *purpose)
{
    printf("%s: %s\n\n", program_invocation_short_name, purpose);
    for (const struct bench_option *option = options; option->name != NULL; option++) {
        printf("  --%-14s %s", option->name, option->help);
        if (option->number != NULL)
            printf(" (default %zu)", *option->number);
        if (option->text != NULL && *option->text != NULL)
            printf(" (default %s)", *option->text);
        printf("\n");
    }
    exit(0);
}

_Noreturn static void bad_usage(const char *argument, const char *why)
{
    fprintf(stderr, "%s: %s: %s (try --help)\n", program_invocation_short_name, argument, why);
    exit(2);
}

static void read_number(const struct bench_option *option, const char *value)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || *value == '-')
        bad_usage(value, "not a whole number");
    if (number < option->number_min || number > option->number_max)
        bad_usage(value, "outside what the option takes");
    *option->number = (size_t)number;
}

static const struct bench_option *find(const struct bench_option *options, const char *argument)
{
    if (strncmp(argument, "--", 2) != 0)
        return NULL;
    while (options->name != NULL && strcmp(options->name, argument + 2) != 0)
        options++;
    return options->name != NULL ? options : NULL;
}

void bench_options_read(int argc, char **argv, const struct bench_option *options,
                        const char *purpose)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            help(options, purpose);
        const struct bench_option *option = find(options, argv[i]);
        if (option == NULL)
            bad_usage(argv[i], "no such option");
        if (option->flag != NULL) {
            *option->flag = true;
            continue;
        }
        if (i + 1 == argc)
            bad_usage(argv[i], "needs a value");
        const char *value = argv[++i];
        if (option->number != NULL)
            read_number(option, value);
        else
            *option->text = value;
    }
}

uint64_t bench_clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        bench_die("a clock cannot be read: %s", strerror(errno));
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void *bench_alloc(size_t count, size_t bytes_each)
{
    void *block = NULL;
    size_t bytes = 0;
    if (!__builtin_mul_overflow(count, bytes_each, &bytes))
        block = fw_mem_zero(bytes > 0 ? bytes : 1);
    if (block == NULL)
        bench_die("out of memory for %zu times %zu bytes", count, bytes_each);
    return block;
}

void bench_descriptors_raise(size_t needed)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        bench_die("getrlimit: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        bench_die("setrlimit: %s", strerror(errno));
    if (limit.rlim_max < needed + DESCRIPTORS_OWN)
        bench_die("%zu connections need more descriptors than the hard limit of %zu", needed,
                  (size_t)limit.rlim_max);
}

static bool json;
static bool first;

void bench_report_open(bool as_json)
{
    json = as_json;
    first = true;
    if (json)
        putchar('{');
}

static void name_of(const char *name)
{
    if (json)
        printf("%s\"%s\": ", first ? "" : ", ", name);
    else
        printf("%-24s ", name);
    first = false;
}

static void end_of_value(void)
{
    if (!json)
        putchar('\n');
}

void bench_report_text(const char *name, const char *value)
{
    name_of(name);
    printf(json ? "\"%s\"" : "%s", value);
    end_of_value();
}

void bench_report_count(const char *name, size_t value)
{
    name_of(name);
    printf("%zu", value);
    end_of_value();
}

void bench_report_real(const char *name, double value)
{
    name_of(name);
    printf("%.4f", value);
    end_of_value();
}

void bench_report_flag(const char *name, bool value)
{
    name_of(name);
    printf("%s", value ? "true" : "false");
    end_of_value();
}

void bench_report_close(void)
{
    printf(json ? "}\n" : "");
    fflush(stdout);
}
