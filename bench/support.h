/* support.h: what every measuring program needs: options, clocks, an end with a sentence.
 *
 * Not for the library and not of it. What only the bare servers share stands in raw.h. Thread:
 * main, where nothing else is said.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_SUPPORT_H
#define FW_BENCH_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* One `--name VALUE` option; exactly one of the four places is given. */
struct bench_option {
    const char *name; /* without the dashes; NULL ends the table */
    const char *help;
    size_t *number; /* a whole number, number_min..number_max */
    size_t number_min;
    size_t number_max;
    const char **text;
    bool *flag;                       /* takes no value */
    void (*take)(const char *value);  /* may be given more than once */
    const struct bench_option *after; /* at the table's end: the table that goes on, or NULL */
};

/* Rows of an option table. */
#define BENCH_NUMBER(option, place, min, max, words)                                               \
    {                                                                                              \
        .name = (option), .help = (words), .number = (place), .number_min = (min),                 \
        .number_max = (max)                                                                        \
    }
#define BENCH_TEXT(option, place, words)                                                           \
    {                                                                                              \
        .name = (option), .help = (words), .text = (place)                                         \
    }
#define BENCH_FLAG(option, place, words)                                                           \
    {                                                                                              \
        .name = (option), .help = (words), .flag = (place)                                         \
    }
#define BENCH_REPEATED(option, function, words)                                                    \
    {                                                                                              \
        .name = (option), .help = (words), .take = (function)                                      \
    }
#define BENCH_OPTIONS_THEN(table)                                                                  \
    {                                                                                              \
        .name = NULL, .after = (table)                                                             \
    }
#define BENCH_OPTIONS_END                                                                          \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* Ends the program with status 1 and a sentence on stderr, which `format` and what follows make;
 * bench_misuse with status 2, for what only the command line can mend. Thread: any. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void bench_misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reads the command line into the places that `options` names; whatever it does not name keeps the
 * value it has. Ends the program with status 2 on bad usage, and with 0 after --help.
 *
 * purpose      what the program is for, one line of --help
 */
void bench_options_read(int argc, char **argv, const struct bench_option *options,
                        const char *purpose);

/* Nanoseconds of a clock that exists. */
uint64_t bench_clock_ns(clockid_t clock);

/* Memory that is zero; ends the program when there is none. */
void *bench_alloc(size_t count, size_t bytes_each);

/* Raises the limit of open descriptors as far as it goes; ends the program when that is less than
 * `needed` (and a few for the program itself). */
void bench_descriptors_raise(size_t needed);

#endif
