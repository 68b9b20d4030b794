/* publication.h: what is published, as JSON says it: a command of fanwire.v1, a line of a batch.
 *
 * Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_PUBLICATION_H
#define FW_SESSION_PUBLICATION_H

#include "session/session.h"

#include <jansson.h>

/* What a command or a line of a batch publishes.
 *
 * object           with "text" (a string), "json" (any value) or "base64"; "key" and "expires"
 *                  (seconds) or not
 * publication_out  borrows from object and from *block_out
 * block_out        the caller's to free by fw_mem_free, NULL when there is none
 * returns          0
 * errors           FW_ERR_COMMAND, -ENOMEM
 */
int fw_publication_read(const json_t *object, struct fw_publication *publication_out,
                        void **block_out);

#endif
