/* log.c: see log.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>

#define QUOTED_BYTES_MAX 256

void fw_log_init(struct fw_log *log, void (*sink)(void *context, int level, const char *line),
                 void *context)
{
    *log = (struct fw_log){.sink = sink, .context = context, .tokens = FW_LOG_BURST};
}

__attribute__((format(printf, 3, 0))) static void
log_line(struct fw_log *log, enum fw_log_level level, const char *format, va_list values)
{
    char line[FW_LOG_LINE_BYTES_MAX];
    vsnprintf(line, sizeof line, format, values);
    log->sink(log->context, (int)level, line);
}

void fw_log(struct fw_log *log, enum fw_log_level level, const char *format, ...)
{
    if (log->sink == NULL)
        return;
    va_list values;
    va_start(values, format);
    log_line(log, level, format, values);
    va_end(values);
}

/* Takes a token if there is one; they come back FW_LOG_PER_SECOND a second. */
static bool allowed(struct fw_log *log, uint64_t now_ms)
{
    uint64_t earned = (now_ms - log->refilled_ms) * FW_LOG_PER_SECOND / 1000;
    if (earned > 0) {
        log->tokens =
            earned > FW_LOG_BURST - log->tokens ? FW_LOG_BURST : log->tokens + (uint32_t)earned;
        log->refilled_ms = now_ms;
    }
    if (log->tokens == 0) {
        log->suppressed++;
        return false;
    }
    log->tokens--;
    return true;
}

void fw_log_peer(struct fw_log *log, uint64_t now_ms, enum fw_log_level level, const char *format,
                 ...)
{
    if (log->sink == NULL || !allowed(log, now_ms))
        return;
    if (log->suppressed > 0) {
        fw_log(log, FW_LOG_WARN, "%u lines about peers were left out", log->suppressed);
        log->suppressed = 0;
    }
    va_list values;
    va_start(values, format);
    log_line(log, level, format, values);
    va_end(values);
}

char *fw_log_quote(struct fw_bytes in, char *out, size_t out_bytes)
{
    static const char hex[] = "0123456789abcdef";
    fw_assert(out_bytes >= 8);
    char *at = out;
    char *end = out + out_bytes - 6; /* room for one escape and the closing quote */
    size_t count = in.count < QUOTED_BYTES_MAX ? in.count : QUOTED_BYTES_MAX;
    size_t i = 0;
    *at++ = '"';
    for (; i < count && at < end; i++) {
        uint8_t c = in.at[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            *at++ = (char)c;
            continue;
        }
        if (at + 4 > end)
            break;
        *at++ = '\\';
        *at++ = 'x';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    if (i < in.count) {
        memcpy(at, "...", 3);
        at += 3;
    }
    *at++ = '"';
    *at = '\0';
    return out;
}
