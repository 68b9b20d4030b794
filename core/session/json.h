/* json.h: JSON that strangers send, through jansson, with bounds that jansson does not have.
 *
 * Nesting is bounded before jansson sees the text, and a name that occurs twice in one object is an
 * error: of two parsers that read the same text, one would believe the first and one the last.
 * Thread: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_JSON_H
#define FW_SESSION_JSON_H

#include "base/bytes.h"

#include <jansson.h>

/* Objects and arrays inside one another: a claim is 2 deep, a set of keys 4. */
#define FW_JSON_DEPTH_MAX 8u

/* Parses one JSON object and nothing behind it; json_decref frees it.
 *
 * errors       -EINVAL for what is not one, is too deep, or has a name twice; -ENOMEM
 */
int fw_json_object(struct fw_bytes text, json_t **object_out);

/* A string member's octets, borrowed from the object; false when it is absent or no string. */
bool fw_json_string(const json_t *object, const char *name, struct fw_bytes *value_out);

#endif
