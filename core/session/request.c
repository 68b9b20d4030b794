/* request.c: the program's view of a request (conn.h), and the writing of answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/request.h"
#include "access/access.h"
#include "base/check.h"
#include "session/session_impl.h"

#include <errno.h>
#include <fanwire/conn.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <string.h>

/* Room for the lines of a head that we write ourselves. */
#define HEAD_BYTES_MAX 640

#define ORIGIN_REST                                                                                \
    "\r\nVary: Origin\r\nAccess-Control-Expose-Headers: Fanwire-Position, Fanwire-Topic\r\n"

/* RFC 9110, section 15. */
static const char *reason_phrase(unsigned status)
{
    switch (status) {
    case 200:
        return "OK";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 410:
        return "Gone";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 421:
        return "Misdirected Request";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    default:
        return "Status";
    }
}

/* What some statuses must say besides (RFC 9110, sections 15.5.2, 15.5.6 and 15.5.22; RFC 6455,
 * 4.4). */
static const char *required_headers(const struct fw_session *session, unsigned status)
{
    switch (status) {
    case 401:
        return fw_access_challenge(session->host->access);
    case 405:
        return "Allow: GET, HEAD, POST\r\n";
    case 426:
        return "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    case 429:
    case 503:
        return "Retry-After: 1\r\n";
    default:
        return "";
    }
}

/* What follows an answer. HTTP/1.0 must be told that the connection stays (RFC 9112, appendix
 * C.2.2). */
static const char *connection_header(const struct fw_request *request, bool keep)
{
    if (!keep)
        return "Connection: close\r\n";
    return request->head->minor == 0 ? "Connection: keep-alive\r\n" : "";
}

static const char *origin_rest(const struct fw_session *session)
{
    const struct fw_access *access = session->host->access;
    if (access != NULL && fw_access_needs_origins(access))
        return "\r\nAccess-Control-Allow-Credentials: true" ORIGIN_REST;
    return ORIGIN_REST;
}

/* What a page of another origin may do with an answer (Fetch, section 3.2); nothing without one.
 * The origin is the request's own, which was found among those that may connect. A browser's
 * cookies are taken where the policy reads one, which it does only with a list of origins. */
#define ORIGIN_VALUES(request)                                                                     \
    (request)->origin.count > 0 ? "Access-Control-Allow-Origin: " : "",                            \
        (int)(request)->origin.count, (const char *)(request)->origin.at,                          \
        (request)->origin.count > 0 ? origin_rest((request)->session) : ""

void fw_request_stream(struct fw_request *request, const char *content_type, const char *headers)
{
    struct fw_session *session = request->session;
    size_t room = HEAD_BYTES_MAX + strlen(headers) + strlen(content_type) + request->origin.count;
    uint8_t *at = fw_arena_reserve(session->host->arena, room);
    fw_assert(!request->answered);
    request->answered = true;
    if (at == NULL) {
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    int written = snprintf((char *)at, room,
                           "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s"
                           "X-Content-Type-Options: nosniff\r\nConnection: close\r\n%s%.*s%s\r\n",
                           content_type, headers, ORIGIN_VALUES(request));
    fw_assert(written > 0 && (size_t)written < room);
    fw_session_queue(session, at, (size_t)written);
}

void fw_request_respond(struct fw_request *request, unsigned status, const char *content_type,
                        const char *headers, struct fw_bytes body)
{
    struct fw_session *session = request->session;
    bool keep = !request->close && request->head->keep_alive && session->host->up->ready(session);
    fw_assert(!request->answered);
    request->answered = true;

    if (headers == NULL)
        headers = "";
    char length[40] = ""; /* 204 has no body, and does not say so (RFC 9110, section 8.6) */
    if (status == 204)
        body.count = 0;
    else
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", body.count);
    size_t room = HEAD_BYTES_MAX + strlen(headers) + (content_type ? strlen(content_type) : 0) +
                  request->origin.count;
    uint8_t *at = fw_arena_reserve(session->host->arena, room + body.count);
    if (at == NULL) {
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    int written =
        snprintf((char *)at, room,
                 "HTTP/1.1 %u %s\r\n%s%s%s%s%sX-Content-Type-Options: nosniff\r\n%s%s%s%.*s%s\r\n",
                 status, reason_phrase(status), content_type ? "Content-Type: " : "",
                 content_type ? content_type : "", content_type ? "\r\n" : "", headers, length,
                 required_headers(session, status), connection_header(request, keep),
                 ORIGIN_VALUES(request));
    fw_assert(written > 0 && (size_t)written < room);
    size_t head_bytes = (size_t)written;
    bool head_only = request->head->method == FW_HTTP_HEAD;
    if (!head_only && body.count > 0)
        memcpy(at + head_bytes, body.at, body.count);
    fw_session_queue(session, at, head_bytes + (head_only ? 0 : body.count));
    if (!keep)
        fw_session_finish(session, FW_END_LINGER);
}

void fw_request_refuse_with(struct fw_request *request, unsigned status, const char *sentence)
{
    char text[256];
    request->close = true;
    int written = snprintf(text, sizeof text, "%s\n", sentence);
    fw_assert(written > 0);
    size_t count = (size_t)written < sizeof text ? (size_t)written : sizeof text - 1;
    fw_request_respond(request, status, "text/plain; charset=utf-8", "Cache-Control: no-store\r\n",
                       (struct fw_bytes){(const uint8_t *)text, count});
}

void fw_request_refuse(struct fw_request *request, int error)
{
    int status = fw_status_answer(error);
    fw_request_refuse_with(request, status >= 400 && status <= 599 ? (unsigned)status : 500,
                           fw_status_text(error));
}

/* ---- conn.h ---------------------------------------------------------------------------------- */

const char *fw_request_method(const fw_request *request)
{
    switch ((enum fw_http_method)request->head->method) {
    case FW_HTTP_GET:
        return "GET";
    case FW_HTTP_HEAD:
        return "HEAD";
    case FW_HTTP_POST:
        return "POST";
    case FW_HTTP_OPTIONS:
        return "OPTIONS";
    case FW_HTTP_OTHER:
        break;
    }
    return "OTHER";
}

const char *fw_request_path(const fw_request *request)
{
    return request->path;
}

static const char *found(bool is_there, struct fw_bytes value, size_t *bytes_out)
{
    *bytes_out = is_there ? value.count : 0;
    return is_there ? (const char *)value.at : NULL;
}

const char *fw_request_header(const fw_request *request, const char *name, size_t *bytes_out)
{
    char lower[128];
    size_t count = strlen(name);
    struct fw_bytes value = {0};
    if (count >= sizeof lower)
        return found(false, value, bytes_out);
    for (size_t i = 0; i <= count; i++)
        lower[i] = (char)fw_ascii_lower((uint8_t)name[i]);
    int index = fw_http_find(request->head, request->bytes, lower, 0, &value);
    return found(index >= 0, value, bytes_out);
}

const char *fw_request_query(const fw_request *request, const char *name, size_t *bytes_out)
{
    struct fw_bytes value = {0};
    struct fw_bytes query = fw_http_bytes(request->bytes, request->head->query);
    return found(fw_http_query_find(query, name, &value), value, bytes_out);
}

const char *fw_request_query_text(const fw_request *request, size_t *bytes_out)
{
    struct fw_bytes query = fw_http_bytes(request->bytes, request->head->query);
    *bytes_out = query.count;
    return (const char *)query.at;
}

const void *fw_request_body(const fw_request *request, size_t *bytes_out)
{
    return found(request->body.count > 0, request->body, bytes_out);
}

int fw_request_answer(fw_request *request, unsigned status, const char *content_type,
                      const char *headers, const void *body, size_t body_bytes)
{
    if (request->answered || status < 200 || status > 599)
        return FW_ERR_USAGE;
    fw_request_respond(request, status, content_type, headers, (struct fw_bytes){body, body_bytes});
    return request->session->end == FW_END_ABORT ? -ENOMEM : 0;
}
