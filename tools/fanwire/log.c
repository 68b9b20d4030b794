/* log.c: log lines on stderr, as text or JSON.
 *
 * Lines of the library are printable ASCII where strangers had a hand in them (it escapes what they
 * say); here every control character is escaped once more, so that whatever a line holds, it is one
 * line. One write each: the threads' lines do not mix.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define STAMP_BYTES   40
#define MISTAKE_BYTES 1024

/* How lines are written. Threads log while a reload changes it. */
static struct {
    _Atomic uint32_t format; /* enum log_format */
    atomic_bool quiet;
    atomic_bool takes_mistakes;
} config;

static const char *const levels[] = {"error", "warn", "info", "debug"};

static void write_stamp(char *stamp)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t count = strftime(stamp, STAMP_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp + count, STAMP_BYTES - count, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

/* Writes one character of a line: as it is, or escaped. Octets over 0x7f are escaped too: nobody
 * has checked that they are UTF-8, and C1 controls are among them.
 *
 * returns      octets written, at most 6
 */
static size_t put(unsigned char c, bool json, char *at)
{
    if (json && (c == '"' || c == '\\')) {
        at[0] = '\\';
        at[1] = (char)c;
        return 2;
    }
    if (c >= 0x20 && c < 0x7f) {
        *at = (char)c;
        return 1;
    }
    return (size_t)sprintf(at, json ? "\\u%04x" : "\\x%02x", c);
}

size_t log_format_line(bool json, const char *stamp, int level, const char *line, char *out,
                       size_t out_bytes)
{
    const char *end = json ? "\"}\n" : "\n";
    size_t count = (size_t)snprintf(
        out, out_bytes, json ? "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"" : "%s %s ", stamp,
        levels[level]);
    for (; *line != '\0' && count + 16 < out_bytes; line++)
        count += put((unsigned char)*line, json, out + count);
    return count + (size_t)snprintf(out + count, out_bytes - count, "%s", end);
}

void log_configure(const struct settings *settings)
{
    atomic_store(&config.format, settings->log_format);
    atomic_store(&config.quiet, settings->quiet);
}

void log_take_mistakes(void)
{
    atomic_store(&config.takes_mistakes, true);
}

void log_line(int level, const char *line, void *context)
{
    uint32_t format = atomic_load(&config.format);
    char stamp[STAMP_BYTES];
    char text[8192]; /* a line of 1 KiB, each octet escaped */
    (void)context;
    if (atomic_load(&config.quiet) && level > FW_LEVEL_WARN)
        return;
    bool json = format == LOG_JSON || (format == LOG_AUTO && !isatty(STDERR_FILENO));
    write_stamp(stamp);
    size_t count = log_format_line(json, stamp, level, line, text, sizeof text);
    /* A log that cannot be written stops nobody. */
    ssize_t written = write(STDERR_FILENO, text, count);
    (void)written;
}

void say_mistake(const char *format, ...)
{
    char line[MISTAKE_BYTES];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (atomic_load(&config.takes_mistakes))
        log_line(FW_LEVEL_ERROR, line, NULL);
    else
        fprintf(stderr, "fanwire: %s\n", line);
}
