/* log.h: lines for the operator, limited in rate, safe to print.
 *
 * A log formats a line and hands it to its sink; where that goes is the program's. What strangers
 * sent is written by fw_log_quote, never by %s: control characters and quotes come out escaped, and
 * no more than 256 octets of it. Payloads, tokens and query strings are not logged. Thread: the
 * owner's; each worker has its own log, and the sink must bear several threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BASE_LOG_H
#define FW_BASE_LOG_H

#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

enum fw_log_level { FW_LOG_ERROR, FW_LOG_WARN, FW_LOG_INFO, FW_LOG_DEBUG };

#define FW_LOG_LINE_BYTES_MAX 1024
/* Lines about peers per second, and how many may come at once. */
#define FW_LOG_PER_SECOND 10u
#define FW_LOG_BURST      50u

struct fw_log {
    void (*sink)(void *context, int level, const char *line); /* NULL: nothing is logged */
    void *context;
    uint64_t refilled_ms;
    uint32_t tokens;
    uint32_t suppressed;
};

void fw_log_init(struct fw_log *log, void (*sink)(void *context, int level, const char *line),
                 void *context);

/* Logs a line that only we cause: never suppressed. */
void fw_log(struct fw_log *log, enum fw_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Logs a line that a peer can cause: at most FW_LOG_PER_SECOND on average. The first line after a
 * silence says how many were left out. */
void fw_log_peer(struct fw_log *log, uint64_t now_ms, enum fw_log_level level, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));

/* Writes a stranger's octets as a quoted, escaped, terminated string.
 *
 * out          room for out_bytes, at least 8; what does not fit is cut and marked with "..."
 * returns      out
 */
char *fw_log_quote(struct fw_bytes in, char *out, size_t out_bytes);

#endif
