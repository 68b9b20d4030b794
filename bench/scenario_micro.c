/* scenario_micro.c: functions of core by themselves: masking, UTF-8, frames, heads, deflate, the
 * hub; every SIMD variant, against memcpy and, where they are installed, others' libraries.
 *
 *     fanwire-bench micro                     all of them
 *     fanwire-bench micro mask [rounds]       one
 *     fanwire-bench micro --out FILE          and keep the tables
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "machine.h"
#include "micro_all.h"
#include "scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *purpose;
} programs[] = {
    {"mask", micro_mask, "masking kernels against memcpy"},
    {"utf8", micro_utf8, "UTF-8 kernels against the scalar one"},
    {"ws-decoder", micro_ws_decoder, "frames of all sizes against memcpy or a walk"},
    {"http1", micro_http1, "request heads and handshakes against memchr"},
    {"deflate", micro_deflate, "compression: libraries, levels, windows"},
    {"broadcast", micro_broadcast, "a message's way through the hub to 10,000 queues"},
};
#define PROGRAMS_COUNT (sizeof programs / sizeof *programs)

static void print_help(FILE *to)
{
    fputs("usage: fanwire-bench micro [NAME [rounds]] [--out FILE]\n\n", to);
    for (size_t i = 0; i < PROGRAMS_COUNT; i++)
        fprintf(to, "  %-11s %s\n", programs[i].name, programs[i].purpose);
}

/* Reads back what a program printed, and shows it. */
static char *shown(int output)
{
    off_t bytes = lseek(output, 0, SEEK_END);
    char *text = bench_alloc(1, (size_t)bytes + 1);
    if (pread(output, text, (size_t)bytes, 0) != bytes)
        bench_die("the tables cannot be read back: %s", strerror(errno));
    fputs(text, stdout);
    fflush(stdout);
    return text;
}

static void keep(const char *out, const char *name, const char *table, json_t *machine)
{
    char when[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_t *line =
        json_pack("{s:s, s:s, s:s, s:s, s:{s:s}, s:O}", "time", when, "scenario", "micro", "label",
                  name, "target", "core", "figures", "table", table, "machine", machine);
    FILE *file = fopen(out, "ae");
    if (line == NULL || file == NULL || json_dumpf(line, file, JSON_COMPACT) != 0 ||
        fputc('\n', file) == EOF || fclose(file) != 0)
        bench_die("%s cannot be written: %s", out, strerror(errno));
    json_decref(line);
}

/* Runs one program with its stdout caught, so that its tables can be kept. */
static int run_program(size_t i, int argc, char **argv, const char *out, json_t *machine)
{
    fflush(stdout);
    int own = dup(STDOUT_FILENO);
    int output = memfd_create("tables", MFD_CLOEXEC);
    if (own < 0 || output < 0 || dup2(output, STDOUT_FILENO) < 0)
        bench_die("the tables cannot be caught: %s", strerror(errno));
    int result = programs[i].run(argc, argv);
    fflush(stdout);
    dup2(own, STDOUT_FILENO);
    close(own);
    char *text = shown(output);
    close(output);
    if (result == 0 && out != NULL)
        keep(out, programs[i].name, text, machine);
    free(text);
    return result;
}

static int run_all(const char *out, json_t *machine)
{
    for (size_t i = 0; i < PROGRAMS_COUNT; i++) {
        char name[32];
        char *argv[] = {name, NULL};
        snprintf(name, sizeof name, "%s", programs[i].name);
        printf("%s== %s\n", i == 0 ? "" : "\n", name);
        int result = run_program(i, 1, argv, out, machine);
        if (result != 0)
            return result;
    }
    return 0;
}

/* Takes --out FILE off the end. */
static const char *take_out(int *argc, char **argv)
{
    if (*argc < 3 || strcmp(argv[*argc - 2], "--out") != 0)
        return NULL;
    *argc -= 2;
    return argv[*argc + 1];
}

static int micro_main(int argc, char **argv)
{
    const char *out = take_out(&argc, argv);
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        print_help(stdout);
        return 0;
    }
    bench_settings_locate();
    json_t *machine = bench_machine();
    int result = 2;
    if (argc == 1)
        result = run_all(out, machine);
    for (size_t i = 0; argc > 1 && i < PROGRAMS_COUNT; i++) {
        if (strcmp(argv[1], programs[i].name) == 0) {
            result = run_program(i, argc - 1, argv + 1, out, machine);
            json_decref(machine);
            return result;
        }
    }
    json_decref(machine);
    if (argc > 1)
        print_help(stderr);
    return result;
}

const struct bench_scenario bench_scenario_micro = {
    .name = "micro",
    .purpose = "functions of core by themselves: every SIMD variant, against memcpy and libraries",
    .main = micro_main,
};
