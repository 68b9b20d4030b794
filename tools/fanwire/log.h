/* log.h: how a log line is written (log.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_LOG_H
#define FANWIRE_LOG_H

#include "settings.h"

/* From now on lines are written as the settings say: quiet, log-format. Thread: any. */
void log_configure(const struct settings *settings);

/* A server runs: from now on say_mistake writes lines of the log. */
void log_take_mistakes(void);

/* Writes a line with its end: "STAMP LEVEL LINE", or a JSON object.
 *
 * out          room for out_bytes, at least 128; a longer line is cut
 * returns      octets written
 */
size_t log_format_line(bool json, const char *stamp, int level, const char *line, char *out,
                       size_t out_bytes);

#endif
