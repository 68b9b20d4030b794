/* batch.h: POST /publish: many messages in one request, one JSON object a line. Thread: the
 * worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_BATCH_H
#define FW_SESSION_BATCH_H

#include "session/request.h"

/* Publishes each line, and answers with a line for each: what a POST of that message would have
 * been answered, or its error. */
void fw_batch_answer(struct fw_request *request);

#endif
