/* holdings.h: the histories of all topics under one ceiling; for directory.c alone, under the lock
 * of the shard in question.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_HOLDINGS_H
#define FW_NET_HOLDINGS_H

#include "net/server/directory.h"

/* Holds a topic's newest message, when the ceiling allows it: older ones go first.
 *
 * msg          given: one reference; there is room for it (fw_history_reserve)
 */
void fw_directory_hold(struct fw_directory *directory, struct fw_shard *shard,
                       struct fw_topic *topic, struct fw_msg *msg);

/* Lets go of what is too old in a topic's history. */
void fw_directory_expire(struct fw_directory *directory, struct fw_shard *shard,
                         struct fw_topic *topic, uint64_t now_ms);

/* Lets go of a topic's whole history. */
void fw_directory_forget(struct fw_directory *directory, struct fw_shard *shard,
                         struct fw_topic *topic);

#endif
