/* request.h: a request that is being answered, as the session files see it; conn.h has the
 * program's view.
 *
 * It lives on the stack of http_session.c while the request is handled; the bytes are borrowed from
 * the receive buffer or from the pieces put together. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_REQUEST_H
#define FW_SESSION_REQUEST_H

#include "base/bytes.h"
#include "proto/http1.h"

#include <stdbool.h>

struct fw_authorization;
struct fw_session;

struct fw_request {
    struct fw_session *session;
    const struct fw_http_head *head;
    const uint8_t *bytes; /* of the head */
    struct fw_bytes body;
    struct fw_authorization *authorization; /* the program says who sends it, later */
    struct fw_bytes origin; /* of a page that may read the answer, other than our own; or empty */
    bool answered;
    bool close; /* whatever the peer wishes, the connection ends after the answer */
    char path[FW_HTTP_LINE_BYTES_MAX + 1];
};

/* Queues the answer to a request, head and body, and notes that it is answered. Without keep-alive
 * the session is finished.
 *
 * content_type NULL when there is no body
 * headers      further lines, each with its CR LF, or NULL; constants of ours or the program's
 */
void fw_request_respond(struct fw_request *request, unsigned status, const char *content_type,
                        const char *headers, struct fw_bytes body);

/* Queues the head of an answer whose body is what is queued from now on, until the connection is
 * closed. */
void fw_request_stream(struct fw_request *request, const char *content_type, const char *headers);

/* The same for a mistake: its status and sentence by status.h; the connection is closed after it.
 */
void fw_request_refuse(struct fw_request *request, int error);

/* The same with a status of its own and a sentence without its full stop. */
void fw_request_refuse_with(struct fw_request *request, unsigned status, const char *sentence);

static inline struct fw_bytes fw_request_path_bytes(const struct fw_request *request)
{
    return fw_http_bytes(request->bytes, request->head->path);
}

#endif
