/* json.h: JSON from strangers, bounded before it is parsed; and strings on their way out.
 *
 * Thread: any, but fw_json_seed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_PROTO_JSON_H
#define FW_PROTO_JSON_H

#include "base/bytes.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Seeds jansson's hash, before other threads use it; twice does nothing. Its allocator stays as it
 * is: that is the whole process's, and a program that uses jansson too would have its own blocks
 * freed by ours, or ours by its own. What is parsed here is freed before the turn ends, and is
 * bounded by what it was parsed from. */
void fw_json_seed(void);

/* Parses one object of at most FW_JSON_DEPTH_MAX levels, whose keys are unique: of two parsers that
 * read the same text, one would believe the first of two and one the last.
 *
 * nul_taken    whether strings may hold U+0000: a payload's may, but what is compared as a name is
 *              handed on as C text, where it would end early
 * object_out   the caller's reference, on success
 * returns      0
 * errors       FW_ERR_JSON, -ENOMEM
 */
int fw_json_parse(struct fw_bytes text, bool nul_taken, json_t **object_out);

/* The string member of a name, borrowed from the object; without one at is NULL. */
struct fw_bytes fw_json_string(const json_t *object, const char *name);

/* Octets that fw_json_quote writes; and the writing of valid UTF-8 as a JSON string.
 *
 * returns      octets written
 */
size_t fw_json_quoted_bytes(struct fw_bytes text);
size_t fw_json_quote(struct fw_bytes text, uint8_t *out);

#endif
