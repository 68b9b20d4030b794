/* metrics.h: GET /metrics: figures for Prometheus (text exposition format 0.0.4).
 *
 * Names and labels are fixed: nothing that a client sends makes a series.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_METRICS_H
#define FANWIRE_METRICS_H

#include <fanwire/fanwire.h>

void metrics_start(fw_server *server);

/* Answers with the figures, or 401 or 403 to who may not see them. */
void metrics_answer(fw_request *request);

#endif
