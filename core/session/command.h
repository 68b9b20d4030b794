/* command.h: fanwire.v1, the subprotocol of those who want many topics on one connection: what each
 * command and answer is, is in fanwire-protocol(7). Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_COMMAND_H
#define FW_SESSION_COMMAND_H

#include "base/bytes.h"

#include <stdint.h>

struct fw_session;
struct fw_subscription;

#define FW_COMMAND_PROTOCOL "fanwire.v1"

/* A whole message came from a client of the subprotocol: does what it says, and answers. */
void fw_command_received(struct fw_session *session, uint8_t type, struct fw_bytes message);

/* Tells it that messages of a subscription are gone, and behind which offset it goes on. */
void fw_command_tell_gap(struct fw_subscription *subscription, uint64_t offset);

/* A stable word for a failure, as answers name it. */
const char *fw_command_code(int error);

#endif
