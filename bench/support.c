/* support.c: options, clocks and errors of the measuring programs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* stdin, stdout, stderr, a listener, an epoll or ring, a control socket, and some to spare. */
#define DESCRIPTORS_OWN 32

/* Errors of several threads at once: one of them ends the program, the others wait for that. */
_Noreturn __attribute__((format(printf, 2, 0))) static void end(int status, const char *format,
                                                                va_list arguments)
{
    static atomic_flag ending = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&ending))
        pause();
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(status);
}

_Noreturn void bench_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    end(1, format, arguments);
}

_Noreturn void bench_misuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    end(2, format, arguments);
}

static void print_option(const struct bench_option *option)
{
    printf("  --%-18s %s", option->name, option->help);
    if (option->number != NULL && *option->number != 0)
        printf(" (%zu)", *option->number);
    if (option->text != NULL && *option->text != NULL)
        printf(" (%s)", *option->text);
    printf("\n");
}

_Noreturn static void help(const struct bench_option *options, const char *purpose)
{
    printf("%s: %s\n\n", program_invocation_short_name, purpose);
    while (options != NULL) {
        for (; options->name != NULL; options++)
            print_option(options);
        options = options->after;
    }
    exit(0);
}

static void read_number(const struct bench_option *option, const char *value)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || *value == '-')
        bench_misuse("--%s takes a whole number, not '%s'", option->name, value);
    if (number < option->number_min || number > option->number_max)
        bench_misuse("--%s takes %zu to %zu, not %s", option->name, option->number_min,
                     option->number_max, value);
    *option->number = (size_t)number;
}

static const struct bench_option *find(const struct bench_option *options, const char *argument)
{
    if (strncmp(argument, "--", 2) != 0)
        return NULL;
    for (; options != NULL; options = options->after) {
        for (; options->name != NULL; options++) {
            if (strcmp(options->name, argument + 2) == 0)
                return options;
        }
    }
    return NULL;
}

void bench_options_read(int argc, char **argv, const struct bench_option *options,
                        const char *purpose)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            help(options, purpose);
        const struct bench_option *option = find(options, argv[i]);
        if (option == NULL)
            bench_misuse("there is no option '%s' (try --help)", argv[i]);
        if (option->flag != NULL) {
            *option->flag = true;
            continue;
        }
        if (i + 1 == argc)
            bench_misuse("%s needs a value", argv[i]);
        const char *value = argv[++i];
        if (option->number != NULL)
            read_number(option, value);
        else if (option->take != NULL)
            option->take(value);
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
        block = calloc(1, bytes > 0 ? bytes : 1);
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
