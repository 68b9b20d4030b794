/* types.h: the handles and small types that every public header shares.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_TYPES_H
#define FANWIRE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Marks what the shared library exports; the rest of it is hidden. */
#define FW_PUBLIC __attribute__((visibility("default")))

/* A server: its listeners, its acceptor thread and its workers. */
typedef struct fw_server fw_server;

/* One connection. It belongs to one worker, and only that worker's callbacks may use it. */
typedef struct fw_conn fw_conn;

/* A parsed request head, readable while the callback that was given it runs. */
typedef struct fw_request fw_request;

/* What a message is; the values are the opcodes of RFC 6455, section 5.2. */
enum fw_message_type {
    FW_TEXT = 1,
    FW_BINARY = 2,
};

#ifdef __cplusplus
}
#endif

#endif
