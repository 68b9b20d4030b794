/* topic_name.h: what a topic may be called; topics themselves are hub/topic.h.
 *
 * Who may use a topic (access) and who hears of it (hub) know nothing of each other but this.
 * Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BASE_TOPIC_NAME_H
#define FW_BASE_TOPIC_NAME_H

#include "base/bytes.h"

#include <stdbool.h>

/* Whether a name is 1 to 128 of A-Z a-z 0-9 _ - . : */
bool fw_topic_name_valid(struct fw_bytes name);

#endif
