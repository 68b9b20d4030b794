/* http_session.c: the first bytes of every connection: HTTP/1.1 requests, and the way to WebSocket.
 *
 * A request that comes whole is handled where it lies. One that comes in pieces is put together in
 * a `pending`, which grows with what came, never with what was announced, and which carries the
 * parser's state, so that no byte is looked at twice. Deadlines are absolute: a dripped head or
 * body does not extend them.
 *
 *   between requests --first byte--> head --whole--> body (POST) --whole--> answered
 *        ^      (whole at once: no pending)        |                           |
 *        |                                          +--the program says who it is, later
 *        |                                             (set aside whole: `waits`)--> answered
 *        +------------------------- keep-alive --------------------------------+
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/session_impl.h"
#include "access/origin.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "proto/ws_handshake.h"
#include "session/command.h"
#include "session/compress.h"
#include "session/feed.h"
#include "session/identity.h"
#include "session/request.h"
#include "session/since.h"

#include <errno.h>
#include <fanwire/status.h>
#include <string.h>

#define PENDING_BYTES_START 1024u
#define ACCEPT_BYTES_MAX    (512u + FW_WS_DEFLATE_TEXT_BYTES)
/* Of one topic: its position, its "false,", and a share of the names of both headers. */
#define POSITION_HEADER_BYTES_MAX (FW_POSITION_CHARS_MAX + 6u + 64u)
/* The first octet of a ClientHello's record (RFC 8446, section 5.1): no method begins so. */
#define TLS_HANDSHAKE 0x16
static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

struct fw_http_pending {
    struct fw_http_head head;
    uint8_t *bytes;
    size_t count;
    size_t capacity;
    size_t head_bytes;                      /* 0 until the head is whole */
    size_t wanted;                          /* head and body, once the head is whole */
    struct fw_authorization *authorization; /* what the whole request waits for */
};

void fw_http_session_clear(struct fw_session *session)
{
    struct fw_http_pending *pending = session->in.pending;
    if (pending == NULL)
        return;
    if (pending->authorization != NULL)
        pending->authorization->session = NULL;
    session->waits = false;
    fw_mem_free(pending->bytes);
    fw_mem_free(pending);
    session->in.pending = NULL;
}

/* ---- answers to a whole request -------------------------------------------------------------- */

/* A refusal before there is a request: the head is malformed, or too late. */
static void refuse(struct fw_session *session, int error)
{
    static const struct fw_http_head nothing = {.method = FW_HTTP_GET};
    struct fw_request request = {.session = session, .head = &nothing};
    fw_log_peer(session->host->log, session->host->now_ms, FW_LOG_WARN,
                "a request was answered %d: %s", fw_status_answer(error), fw_status_text(error));
    session->host->handshakes_refused++;
    fw_request_refuse(&request, error);
}

static void refuse_request(struct fw_request *request, int error)
{
    struct fw_session_host *host = request->session->host;
    char path[300];
    fw_log_peer(host->log, host->now_ms, FW_LOG_WARN, "a request for %s was answered %d: %s",
                fw_log_quote(fw_request_path_bytes(request), path, sizeof path),
                fw_status_answer(error), fw_status_text(error));
    host->handshakes_refused++;
    fw_request_refuse(request, error);
}

/* A browser's request must come from an origin that may; others send none. */
static bool origin_allowed(const struct fw_request *request)
{
    return fw_origin_allowed_in(request->head, request->bytes,
                                request->session->host->rules->allow_origins);
}

/* What a page of another origin that may connect is told before it publishes, or reads with headers
 * of its own (Fetch, section 3.2.2). */
static const char preflight_headers[] =
    "Access-Control-Allow-Methods: GET, HEAD, POST\r\n"
    "Access-Control-Allow-Headers: Authorization, Content-Type, Last-Event-ID, Cache-Control\r\n"
    "Access-Control-Max-Age: 600\r\n";

static bool is_preflight(const struct fw_request *request)
{
    struct fw_bytes ignored;
    return request->head->method == FW_HTTP_OPTIONS &&
           fw_http_find(request->head, request->bytes, "origin", 0, &ignored) >= 0 &&
           fw_http_find(request->head, request->bytes, "access-control-request-method", 0,
                        &ignored) >= 0;
}

static bool is_feed(const struct fw_request *request)
{
    return request->session->host->rules->feed &&
           (fw_feed_is_topics(request) || strcmp(request->path, "/publish") == 0);
}

/* The answer, refusals too, may be read by the page that asks: its origin, which may connect, is
 * said back. A page of our own needs none of it, and is not hurt by it. */
static void note_origin(struct fw_request *request)
{
    if (is_feed(request) && origin_allowed(request))
        fw_http_find(request->head, request->bytes, "origin", 0, &request->origin);
}

/* HTTP/1.0 may leave Host out; a browser, which is who must be told apart, never does. */
static bool host_allowed(const struct fw_request *request)
{
    const struct fw_session_rules *rules = request->session->host->rules;
    struct fw_bytes host;
    return !rules->local_hosts ||
           fw_http_find(request->head, request->bytes, "host", 0, &host) < 0 ||
           fw_host_allowed(host, rules->allow_hosts);
}

/* Other protocols that a client offers (h2c, by some HTTP libraries with every request) are passed
 * over: RFC 9110, section 7.8. */
static bool wants_websocket(const struct fw_request *request)
{
    return fw_http_list_has(request->head, request->bytes, "upgrade", "websocket");
}

/* Continues a head, over the empty line that ends it, with where the session's topics begin: there
 * is no other place to say so before plain messages.
 *
 * returns      octets that were added
 */
static size_t write_positions(const struct fw_session *session, const struct fw_feed_joined *joined,
                              char *out, size_t room)
{
    if (session->subscriptions_count == 0)
        return 0;
    size_t count = fw_text_put(out, room, "Fanwire-Position: ");
    count += fw_session_positions(session, out + count);
    count += fw_text_put(out + count, room - count, "\r\nFanwire-Recovered: ");
    for (unsigned i = 0; i < session->subscriptions_count; i++)
        count += fw_text_put(out + count, room - count, "%s%s", i > 0 ? "," : "",
                             joined->recovered[i] ? "true" : "false");
    count += fw_text_put(out + count, room - count, "\r\n\r\n");
    return count - 2;
}

/* Writes the 101; false when there is no memory. */
static bool accept_websocket(struct fw_request *request, const char accept[FW_WS_ACCEPT_CHARS],
                             const char *extensions, const struct fw_feed_joined *joined)
{
    struct fw_session *session = request->session;
    bool plain = fw_ws_handshake_offers(request->head, request->bytes, FW_PROTOCOL_PLAIN);
    const char *protocol = plain ? FW_PROTOCOL_PLAIN : NULL;
    if (session->commands)
        protocol = FW_COMMAND_PROTOCOL;
    size_t room =
        ACCEPT_BYTES_MAX + (size_t)session->subscriptions_count * POSITION_HEADER_BYTES_MAX;
    uint8_t *at = fw_arena_reserve(session->host->arena, room);
    ssize_t count = -1;
    if (at != NULL)
        count = fw_ws_handshake_accept(accept, protocol, extensions, (char *)at, ACCEPT_BYTES_MAX);
    if (count < 0)
        return false;
    size_t whole = (size_t)count + write_positions(session, joined, (char *)at + count - 2,
                                                   room - (size_t)count + 2);
    return fw_outq_push(&session->outq, at, whole, NULL) == 0;
}

/* Puts what was owed before an upgrade in front of what the upgrade queued. */
static void queue_behind(struct fw_session *session, struct fw_outq *before)
{
    struct fw_outq after = session->outq;
    struct fw_outq_entry entry;
    session->outq = *before;
    while (fw_outq_take(&after, &entry, 1) == 1) {
        if (fw_outq_push(&session->outq, entry.bytes, entry.bytes_count, entry.share) != 0)
            fw_session_finish(session, FW_END_ABORT);
        if (entry.share != NULL)
            fw_share_drop(entry.share);
    }
}

/* Lets the program decide. The 101 is queued before it is asked, so that what it sends comes
 * behind; when it says no, that is taken back, but not the answers to earlier requests. */
static void ask_program(struct fw_request *request, const char accept[FW_WS_ACCEPT_CHARS],
                        const char *extensions, const struct fw_feed_joined *joined)
{
    struct fw_session *session = request->session;
    struct fw_outq before = session->outq;
    fw_outq_init(&session->outq);
    if (!accept_websocket(request, accept, extensions, joined)) {
        session->outq = before;
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    fw_ws_session_open(session);
    session->begun = true; /* a consumer that is too slow at once must not lose the 101 */
    session->host->up->changed(session);
    session->told_open = true;
    unsigned refusal = session->host->up->open(session, request);
    if (refusal == 0) {
        if (!fw_outq_empty(&before))
            queue_behind(session, &before);
        return;
    }
    session->told_open = false;
    fw_outq_clear(&session->outq);
    session->outq = before;
    session->host->handshakes_refused++;
    fw_request_refuse_with(request, refusal < 400 || refusal > 599 ? 403 : refusal,
                           "the server does not accept this connection");
}

/* Everything that can be judged is judged before the program is asked: after the 101 there is no
 * way back to a status. */
static void upgrade(struct fw_request *request)
{
    struct fw_session *session = request->session;
    char accept[FW_WS_ACCEPT_CHARS];
    char extensions[FW_WS_DEFLATE_TEXT_BYTES];
    int error = fw_ws_handshake_check(request->head, request->bytes, accept);
    if (error == 0 && !origin_allowed(request))
        error = FW_ERR_HTTP_ORIGIN;
    if (error == 0 && session->host->up->admit != NULL &&
        !session->host->up->admit(session, request))
        error = FW_ERR_RATE;
    bool topics = session->host->rules->feed && fw_feed_is_topics(request);
    /* Before it subscribes: a subscription says how its messages are encoded. */
    bool agreed = error == 0 && fw_session_agree(session, request, extensions);
    struct fw_feed_joined joined;
    session->commands = error == 0 && topics &&
                        fw_ws_handshake_offers(request->head, request->bytes, FW_COMMAND_PROTOCOL);
    if (error == 0 && topics)
        error = fw_feed_subscribe(request, FW_TRANSPORT_WS, &joined);
    if (error != 0) {
        if (error == FW_ERR_LIMIT || error == -ENOMEM)
            fw_feed_refuse(request, error);
        else
            refuse_request(request, error);
        return;
    }
    fw_http_session_clear(session);
    ask_program(request, accept, agreed ? extensions : NULL, &joined);
}

/* It is known who sends it. */
static void answer_identified(struct fw_request *request)
{
    struct fw_session *session = request->session;
    if (wants_websocket(request)) {
        if (FW_UNLIKELY(session->host->pressure >= FW_PRESSURE_REFUSE))
            refuse_request(request, FW_ERR_MEMORY);
        else
            upgrade(request);
        return;
    }
    bool feed = is_feed(request);
    bool preflight = feed && is_preflight(request);
    if (request->head->method == FW_HTTP_OTHER ||
        (request->head->method == FW_HTTP_OPTIONS && !preflight)) {
        refuse_request(request, FW_ERR_HTTP_METHOD_NOT_ALLOWED);
        return;
    }
    if ((feed || request->head->method == FW_HTTP_POST) && !origin_allowed(request)) {
        refuse_request(request, FW_ERR_HTTP_ORIGIN);
        return;
    }
    if (preflight) {
        fw_request_respond(request, 204, NULL, preflight_headers, (struct fw_bytes){0});
        return;
    }
    if (session->host->rules->feed && fw_feed_answer(request))
        return;
    session->host->up->request(session, request);
    if (!request->answered)
        fw_request_respond(request, 404, "text/plain; charset=utf-8", NULL,
                           fw_bytes_of("there is nothing here\n"));
}

/* What a request has of its own besides its head. */
static void begin_request(struct fw_request *request)
{
    struct fw_bytes path = fw_request_path_bytes(request);
    memcpy(request->path, path.at, path.count);
    request->path[path.count] = '\0';
    note_origin(request);
}

static void answer(struct fw_request *request)
{
    begin_request(request);
    if (!host_allowed(request)) {
        refuse_request(request, FW_ERR_HTTP_HOST_FOREIGN);
        return;
    }
    /* A browser asks with no credential whether it may ask with one (Fetch, section 4.8). */
    int error = is_feed(request) && is_preflight(request) ? 0 : fw_session_identify(request);
    if (error == -ENOMEM)
        fw_request_refuse_with(request, 503, fw_status_text(error));
    else if (error != 0)
        refuse_request(request, error);
    else if (request->authorization == NULL)
        answer_identified(request);
}

/* ---- from bytes to requests ------------------------------------------------------------------ */

/* What a whole head says about the body: its size, or an error. */
static int body_bytes_of(const struct fw_session *session, const struct fw_http_head *head,
                         const uint8_t *bytes, size_t *body_bytes_out)
{
    *body_bytes_out = 0;
    /* Not waited for: nothing may stand behind a handshake. Other protocols' offers are passed
     * over. */
    bool length_and_upgrade = head->has_length && head->upgrade;
    if (length_and_upgrade && fw_http_list_has(head, bytes, "upgrade", "websocket"))
        return FW_ERR_HTTP_BODY_UNEXPECTED;
    if (head->method == FW_HTTP_POST && !head->has_length)
        return FW_ERR_HTTP_LENGTH_MISSING;
    if (head->content_length > session->host->rules->publish_bytes_max)
        return FW_ERR_HTTP_BODY_TOO_LARGE;
    *body_bytes_out = (size_t)head->content_length;
    return 0;
}

/* Handles a request whose head and body are at hand.
 *
 * returns      what it waits for, to be set aside with it; NULL when it is answered
 */
static struct fw_authorization *handle(struct fw_session *session, const struct fw_http_head *head,
                                       const uint8_t *bytes, size_t head_bytes, size_t body_bytes)
{
    struct fw_request request = {
        .session = session,
        .head = head,
        .bytes = bytes,
        .body = {bytes + head_bytes, body_bytes},
    };
    answer(&request);
    if (session->phase == FW_PHASE_HTTP && request.authorization == NULL)
        fw_session_set_timer(session, FW_KEEP_ALIVE_IDLE_MS);
    return request.authorization;
}

/* The session has a pending request, and waits. What comes meanwhile is held. */
static void await_decision(struct fw_session *session, struct fw_authorization *authorization)
{
    struct fw_http_pending *pending = session->in.pending;
    if (pending == NULL) { /* there was no memory to set it aside: the session has ended */
        authorization->session = NULL;
        return;
    }
    pending->authorization = authorization;
    session->waits = true;
    fw_session_set_timer(session, session->host->rules->authorize_timeout_ms);
}

void fw_http_session_decided(struct fw_session *session,
                             const struct fw_authorization *authorization)
{
    struct fw_http_pending *pending = session->in.pending;
    fw_assert(session->waits && pending != NULL && pending->authorization == authorization);
    pending->authorization = NULL;
    session->in.pending = NULL;
    session->waits = false;
    struct fw_request request = {
        .session = session,
        .head = &pending->head,
        .bytes = pending->bytes,
        .body = {pending->bytes + pending->head_bytes, pending->wanted - pending->head_bytes},
    };
    begin_request(&request);
    if (session->principal != NULL || authorization->status == 0) {
        answer_identified(&request);
    } else {
        session->host->handshakes_refused++;
        fw_request_refuse_with(&request, authorization->status, authorization->reason);
    }
    if (session->phase == FW_PHASE_HTTP)
        fw_session_set_timer(session, FW_KEEP_ALIVE_IDLE_MS);
    fw_mem_free(pending->bytes);
    fw_mem_free(pending);
    session->host->up->changed(session); /* what was held meanwhile goes on */
}

static int append(struct fw_http_pending *pending, const uint8_t *bytes, size_t count)
{
    if (pending->count + count > pending->capacity) {
        size_t capacity = pending->capacity == 0 ? PENDING_BYTES_START : pending->capacity;
        while (capacity < pending->count + count)
            capacity *= 2;
        uint8_t *grown = fw_mem_resize(pending->bytes, capacity);
        if (grown == NULL)
            return -ENOMEM;
        pending->bytes = grown;
        pending->capacity = capacity;
    }
    if (count > 0)
        memcpy(pending->bytes + pending->count, bytes, count);
    pending->count += count;
    return 0;
}

/* Sets a request's beginning aside; the head, whole (head_bytes > 0) or not, goes with it. */
static void set_aside(struct fw_session *session, const struct fw_http_head *head,
                      size_t head_bytes, size_t wanted, const uint8_t *bytes, size_t count)
{
    struct fw_http_pending *pending = fw_mem_zero(sizeof *pending);
    if (pending == NULL || append(pending, bytes, count) != 0) {
        fw_mem_free(pending);
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    pending->head = *head;
    pending->head_bytes = head_bytes;
    pending->wanted = wanted;
    session->in.pending = pending;
}

/* The head is whole, the body is not: the time for it begins, and who waits for a word gets it. */
static void await_body(struct fw_session *session, const struct fw_http_head *head, bool body_begun)
{
    fw_session_set_timer(session, FW_BODY_MS);
    if (head->expect_continue && !body_begun)
        fw_session_queue(session, (const uint8_t *)continue_line, sizeof continue_line - 1);
}

/* Works on a request that begins at `bytes`.
 *
 * returns      octets consumed; all of them when it was set aside
 */
static size_t receive_new(struct fw_session *session, const uint8_t *bytes, size_t count)
{
    struct fw_http_head *head = &session->host->head;
    fw_http_head_init(head);
    ssize_t head_bytes =
        bytes[0] == TLS_HANDSHAKE ? FW_ERR_HTTP_TLS : fw_http_request_parse(head, bytes, count);
    if (head_bytes < 0) {
        refuse(session, (int)head_bytes);
        return count;
    }
    if (head_bytes == 0) {
        set_aside(session, head, 0, 0, bytes, count);
        return count;
    }
    size_t body_bytes;
    int error = body_bytes_of(session, head, bytes, &body_bytes);
    if (error != 0) {
        refuse(session, error);
        return count;
    }
    size_t wanted = (size_t)head_bytes + body_bytes;
    if (count < wanted) {
        set_aside(session, head, (size_t)head_bytes, wanted, bytes, count);
        await_body(session, head, count > (size_t)head_bytes);
        return count;
    }
    struct fw_authorization *authorization =
        handle(session, head, bytes, (size_t)head_bytes, body_bytes);
    if (authorization != NULL) {
        set_aside(session, head, (size_t)head_bytes, wanted, bytes, wanted);
        await_decision(session, authorization);
    }
    return wanted;
}

/* Goes on with a head in pieces: false when the session was refused. */
static bool continue_head(struct fw_session *session, struct fw_http_pending *pending)
{
    ssize_t head_bytes = fw_http_request_parse(&pending->head, pending->bytes, pending->count);
    size_t body_bytes = 0;
    int error = head_bytes < 0 ? (int)head_bytes : 0;
    if (head_bytes > 0)
        error = body_bytes_of(session, &pending->head, pending->bytes, &body_bytes);
    if (error != 0) {
        refuse(session, error);
        return false;
    }
    if (head_bytes > 0) {
        pending->head_bytes = (size_t)head_bytes;
        pending->wanted = (size_t)head_bytes + body_bytes;
        if (pending->count < pending->wanted)
            await_body(session, &pending->head, pending->count > pending->head_bytes);
    }
    return true;
}

/* How much of the input belongs to the pending request: while the head is not whole nobody knows,
 * and a head is bounded; then up to the body's end. */
static size_t share_of_input(const struct fw_http_pending *pending, size_t count)
{
    size_t room = pending->head_bytes > 0 ? pending->wanted - pending->count
                                          : FW_HTTP_HEAD_BYTES_MAX + 1 - pending->count;
    return count < room ? count : room;
}

/* Goes on with a request that came in pieces.
 *
 * returns      octets consumed
 */
static size_t receive_more(struct fw_session *session, const uint8_t *bytes, size_t count)
{
    struct fw_http_pending *pending = session->in.pending;
    size_t taken = share_of_input(pending, count);
    if (taken == 0) {
        refuse(session, FW_ERR_HTTP_HEAD_TOO_LARGE);
        return count;
    }
    if (append(pending, bytes, taken) != 0) {
        fw_session_finish(session, FW_END_ABORT);
        return count;
    }
    if (pending->head_bytes == 0 && !continue_head(session, pending))
        return count;
    if (pending->head_bytes == 0 || pending->count < pending->wanted)
        return taken;

    /* Whole. What was taken beyond it (a head does not say where it ends) is given back. */
    size_t beyond = pending->count - pending->wanted;
    session->in.pending = NULL;
    struct fw_authorization *authorization =
        handle(session, &pending->head, pending->bytes, pending->head_bytes,
               pending->wanted - pending->head_bytes);
    if (authorization != NULL) {
        session->in.pending = pending;
        await_decision(session, authorization);
        return taken - beyond;
    }
    fw_mem_free(pending->bytes);
    fw_mem_free(pending);
    return taken - beyond;
}

void fw_http_session_received(struct fw_session *session, uint8_t *bytes, size_t bytes_count)
{
    while (bytes_count > 0 && session->phase == FW_PHASE_HTTP) {
        if (session->waits || session->outq.queued_bytes > fw_session_soft_bytes(session->host)) {
            fw_session_hold(session, bytes, bytes_count);
            return;
        }
        size_t consumed = session->in.pending != NULL ? receive_more(session, bytes, bytes_count)
                                                      : receive_new(session, bytes, bytes_count);
        fw_assert(consumed <= bytes_count);
        bytes += consumed;
        bytes_count -= consumed;
    }
    /* Frames right behind the handshake, or the next request behind one that waits. */
    if (bytes_count > 0 && session->phase == FW_PHASE_OPEN)
        fw_ws_session_received(session, bytes, bytes_count);
    else if (bytes_count > 0 && session->phase == FW_PHASE_POLL)
        fw_session_hold(session, bytes, bytes_count);
}

/* Too late: a half request is told so, a silent connection just goes. */
void fw_http_session_timer(struct fw_session *session)
{
    if (session->in.pending == NULL) {
        fw_session_finish(session, FW_END_CLOSE);
        return;
    }
    static const struct fw_http_head nothing = {.method = FW_HTTP_GET};
    struct fw_request request = {.session = session, .head = &nothing};
    if (session->waits)
        fw_request_refuse_with(&request, 503, "deciding who may do this took too long");
    else
        fw_request_refuse_with(&request, 408, "the request took too long");
}
