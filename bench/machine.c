/* machine.c: processor, kernel, commit, libraries.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "machine.h"
#include "process.h"
#include "settings.h"

#include "proto/cpu.h"

#include <fanwire/fanwire.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <wolfssl/options.h>
#include <wolfssl/version.h>

/* The first line that a file or a command has, without its end. */
static void first_line(FILE *file, char *line, size_t line_bytes)
{
    if (file == NULL || fgets(line, (int)line_bytes, file) == NULL)
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
}

static void processor(char *name, size_t name_bytes)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    name[0] = '\0';
    while (file != NULL && name[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (colon != NULL && strncmp(line, "model name", 10) == 0)
            snprintf(name, name_bytes, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (file != NULL)
        fclose(file);
}

/* Where git or the tree is not there, the version alone tells. */
static void commit(char *text, size_t text_bytes)
{
    char command[1400];
    char changed[256];
    snprintf(command, sizeof command, "git -C '%s' rev-parse --short=12 HEAD 2>/dev/null",
             bench_settings.programs);
    FILE *git = popen(command, "re");
    first_line(git, text, text_bytes - 1);
    if (git != NULL)
        pclose(git);
    snprintf(command, sizeof command, "git -C '%s' status --porcelain -uno 2>/dev/null",
             bench_settings.programs);
    git = popen(command, "re");
    first_line(git, changed, sizeof changed);
    if (git != NULL)
        pclose(git);
    if (changed[0] != '\0')
        strcat(text, "+");
}

static void put(json_t *record, const char *name, const char *text)
{
    json_object_set_new(record, name, json_string(text));
}

json_t *bench_machine(void)
{
    char text[256];
    struct utsname system;
    json_t *record = json_object();
    processor(text, sizeof text);
    uname(&system);
    put(record, "cpu", text[0] != '\0' ? text : system.machine);
    json_object_set_new(record, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    json_object_set_new(record, "memory_bytes",
                        json_integer((json_int_t)bench_meminfo("MemTotal")));
    put(record, "kernel", system.release);
    put(record, "version", FANWIRE_VERSION);
    commit(text, sizeof text);
    put(record, "commit", text);
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_congestion_control", "re");
    first_line(file, text, sizeof text);
    if (file != NULL)
        fclose(file);
    put(record, "tcp_congestion_control", text);
    put(record, "simd", fw_simd_chosen()->name);
    put(record, "wolfssl", LIBWOLFSSL_VERSION_STRING);
    put(record, "compiler", __VERSION__);
    return record;
}
