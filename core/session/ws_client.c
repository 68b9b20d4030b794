/* ws_client.c: see ws_client.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/ws_client.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/ws_deflate.h"
#include "proto/ws_handshake.h"
#include "session/compress.h"
#include "session/session_impl.h"

#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <string.h>

/* A head, the interim ones before it, and the piece of a body. What came behind the head of a 101
 * is copied here once, too, and then not looked at. */
#define ANSWER_BYTES_MAX   (FW_HTTP_HEAD_BYTES_MAX + FW_REFUSAL_BYTES_MAX)
#define ANSWER_BYTES_START 1024u

static const char origin_name[] = "Origin: ";

struct fw_ws_dial {
    void *user;
    const char *host; /* these five stand in `strings` */
    const char *target;
    const char *protocols; /* NULL for none */
    const char *headers;   /* NULL for none */
    const char *tls_name;  /* NULL for no TLS */
    uint8_t key[FW_WS_KEY_BYTES];
    struct fw_ws_deflate_offer offer;
    bool offered;
    bool answered;    /* the head is whole, and it is no 101 */
    uint8_t interims; /* passed over */
    int status;       /* why it fails; 0: not yet known */
    uint8_t *bytes;   /* of the answer */
    size_t count;
    size_t capacity;
    size_t at;         /* where the present head begins */
    size_t head_bytes; /* of it, once it is whole */
    struct fw_http_head head;
    char strings[];
};

/* ---- dials ----------------------------------------------------------------------------------- */

/* A string's octets with its terminator; none for NULL. */
static size_t length(const char *string)
{
    return string == NULL ? 0 : strlen(string) + 1;
}

/* The same of all header lines: Origin's CR LF comes to its name, value and the others. */
static size_t headers_length(const struct fw_ws_dial_options *options)
{
    return sizeof origin_name + length(options->origin) + 2 + length(options->headers);
}

/* Copies a string behind the others; NULL stays NULL. */
static const char *copy(char **at, const char *string)
{
    if (string == NULL)
        return NULL;
    size_t bytes = strlen(string) + 1;
    char *copied = memcpy(*at, string, bytes);
    *at += bytes;
    return copied;
}

/* The same for the header lines, Origin first. */
static const char *copy_headers(char **at, const struct fw_ws_dial_options *options)
{
    if (options->origin == NULL)
        return copy(at, options->headers);
    char *start = *at;
    const char *more = options->headers == NULL ? "" : options->headers;
    int bytes =
        snprintf(start, headers_length(options), "%s%s\r\n%s", origin_name, options->origin, more);
    *at += bytes + 1;
    return start;
}

int fw_ws_dial_create(const struct fw_ws_dial_options *options, struct fw_ws_dial **dial_out)
{
    if (options->host == NULL || options->target == NULL)
        return FW_ERR_USAGE;
    /* Each on its own line: its end must not come from the caller. */
    if (options->origin != NULL && strpbrk(options->origin, "\r\n") != NULL)
        return FW_ERR_USAGE;
    size_t bytes = length(options->host) + length(options->target) + length(options->protocols) +
                   headers_length(options) + length(options->tls_name);
    struct fw_ws_dial *dial = fw_mem_zero(sizeof *dial + bytes);
    if (dial == NULL)
        return -ENOMEM;
    char *at = dial->strings;
    dial->user = options->user;
    dial->host = copy(&at, options->host);
    dial->target = copy(&at, options->target);
    dial->protocols = copy(&at, options->protocols);
    dial->headers = copy_headers(&at, options);
    dial->tls_name = copy(&at, options->tls_name);
    fw_assert((size_t)(at - dial->strings) <= bytes);
    fw_http_head_init(&dial->head);

    /* Written for the judgement alone; the key and the offer are the worker's. */
    static const char longest[FW_WS_DEFLATE_TEXT_BYTES] =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=15; client_max_window_bits=15";
    char *trial = fw_mem_alloc(FW_HTTP_HEAD_BYTES_MAX);
    ssize_t result = -ENOMEM;
    if (trial != NULL)
        result = fw_ws_handshake_request(dial->host, dial->target, dial->key, dial->protocols,
                                         longest, dial->headers, trial, FW_HTTP_HEAD_BYTES_MAX);
    fw_mem_free(trial);
    if (result < 0) {
        fw_ws_dial_destroy(dial);
        return (int)result;
    }
    *dial_out = dial;
    return 0;
}

void *fw_ws_dial_user(const struct fw_ws_dial *dial)
{
    return dial->user;
}

const char *fw_ws_dial_tls_name(const struct fw_ws_dial *dial)
{
    return dial->tls_name;
}

void fw_ws_dial_destroy(struct fw_ws_dial *dial)
{
    if (dial == NULL)
        return;
    fw_mem_free(dial->bytes);
    fw_mem_free(dial);
}

/* ---- the request ----------------------------------------------------------------------------- */

/* What is offered: contexts only when there is room for one. */
static const char *make_offer(const struct fw_session *session, struct fw_ws_dial *dial,
                              char text[FW_WS_DEFLATE_TEXT_BYTES])
{
    struct fw_compressor *compressor = session->host->compressor;
    if (compressor == NULL)
        return NULL;
    bool alone = !fw_ws_deflate_pool_has_room(&compressor->pool);
    dial->offered = true;
    dial->offer = (struct fw_ws_deflate_offer){.client_bits = FW_WS_DEFLATE_BITS_MAX,
                                               .server_no_takeover = alone,
                                               .client_no_takeover = alone};
    fw_ws_deflate_offer_write(&dial->offer, text);
    return text;
}

void fw_ws_client_begin(struct fw_session *session, struct fw_ws_dial *dial)
{
    struct fw_session_host *host = session->host;
    char extensions[FW_WS_DEFLATE_TEXT_BYTES];
    fw_assert(session->phase == FW_PHASE_HTTP && session->in.dial == NULL);
    session->in.dial = dial;
    session->user = dial->user;
    host->up->random(session, dial->key, sizeof dial->key);
    const char *offer = make_offer(session, dial, extensions);
    uint8_t *at = fw_arena_reserve(host->arena, FW_HTTP_HEAD_BYTES_MAX);
    ssize_t count = -ENOMEM;
    if (at != NULL)
        count = fw_ws_handshake_request(dial->host, dial->target, dial->key, dial->protocols, offer,
                                        dial->headers, (char *)at, FW_HTTP_HEAD_BYTES_MAX);
    if (count < 0) {
        dial->status = (int)count;
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    fw_arena_give_back(host->arena, FW_HTTP_HEAD_BYTES_MAX - (size_t)count);
    fw_session_queue(session, at, (size_t)count);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void fail(struct fw_session *session, int status)
{
    if (session->in.dial->status == 0)
        session->in.dial->status = status;
    fw_session_finish(session, FW_END_CLOSE);
}

static struct fw_response response_of(const struct fw_ws_dial *dial)
{
    const uint8_t *bytes = dial->bytes != NULL ? dial->bytes + dial->at : NULL;
    return (struct fw_response){.head = &dial->head, .bytes = bytes};
}

static int append(struct fw_ws_dial *dial, const uint8_t *bytes, size_t count)
{
    if (dial->count + count > dial->capacity) {
        size_t capacity = dial->capacity == 0 ? ANSWER_BYTES_START : dial->capacity;
        while (capacity < dial->count + count)
            capacity *= 2;
        uint8_t *grown = fw_mem_resize(dial->bytes, capacity);
        if (grown == NULL)
            return -ENOMEM;
        dial->bytes = grown;
        dial->capacity = capacity;
    }
    memcpy(dial->bytes + dial->count, bytes, count);
    dial->count += count;
    return 0;
}

/* Whether all is as it was asked for; what was agreed on is then the session's. */
static int judge(struct fw_session *session, struct fw_ws_dial *dial, struct fw_response *response)
{
    struct fw_bytes extensions;
    int status = fw_ws_handshake_verify(&dial->head, response->bytes, dial->key, dial->protocols,
                                        dial->offered, &response->protocol, &extensions);
    if (status == 0 && extensions.count > 0)
        status = fw_session_agree_client(session, extensions, &dial->offer);
    response->deflate = session->deflate;
    return status;
}

/* A 101: the session is open, or it fails. The dial ends here. */
static void open_session(struct fw_session *session)
{
    struct fw_ws_dial *dial = session->in.dial;
    struct fw_response response = response_of(dial);
    int status = judge(session, dial, &response);
    if (status != 0) {
        dial->answered = true;
        fail(session, status);
        return;
    }
    session->in.dial = NULL;
    fw_ws_session_open(session);
    session->told_open = true;
    session->host->up->opened(session, &response);
    fw_ws_dial_destroy(dial);
}

/* How much of a refusal's body is waited for, and told. One whose size nobody announced is passed
 * over (chunks would have to be taken apart), unless the connection's end is its end. */
static size_t body_wanted(const struct fw_http_head *head)
{
    if (head->has_length)
        return head->content_length < FW_REFUSAL_BYTES_MAX ? (size_t)head->content_length
                                                           : FW_REFUSAL_BYTES_MAX;
    return head->keep_alive ? 0 : FW_REFUSAL_BYTES_MAX;
}

/* Any other status: no WebSocket will come of this. */
static void refused(struct fw_session *session)
{
    struct fw_ws_dial *dial = session->in.dial;
    dial->answered = true;
    dial->status = FW_ERR_WS_REFUSED;
    if (dial->count - dial->at - dial->head_bytes >= body_wanted(&dial->head))
        fw_session_finish(session, FW_END_CLOSE);
}

/* Goes on with the answer's head.
 *
 * returns      whether it is whole, and no interim one
 */
static bool parse(struct fw_session *session)
{
    struct fw_ws_dial *dial = session->in.dial;
    for (;;) {
        ssize_t head_bytes =
            fw_http_response_parse(&dial->head, dial->bytes + dial->at, dial->count - dial->at);
        if (head_bytes < 0)
            fail(session, (int)head_bytes);
        if (head_bytes <= 0)
            return false;
        if (dial->head.status >= 200 || dial->head.status == 101) {
            dial->head_bytes = (size_t)head_bytes;
            return true;
        }
        /* RFC 9110, section 15.2: an interim answer may come, even where none was asked for. */
        if (++dial->interims > FW_INTERIM_ANSWERS_MAX) {
            fail(session, FW_ERR_HTTP_HEAD_TOO_LARGE);
            return false;
        }
        dial->at += (size_t)head_bytes;
        fw_http_head_init(&dial->head);
        if (dial->at == dial->count)
            return false;
    }
}

void fw_ws_client_received(struct fw_session *session, uint8_t *bytes, size_t bytes_count)
{
    struct fw_ws_dial *dial = session->in.dial;
    size_t before = dial->count;
    size_t room = ANSWER_BYTES_MAX - before;
    size_t taken = bytes_count < room ? bytes_count : room;
    if (taken == 0) {
        fail(session, FW_ERR_HTTP_HEAD_TOO_LARGE);
        return;
    }
    if (append(dial, bytes, taken) != 0) {
        dial->status = -ENOMEM;
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    if (dial->answered) { /* the body of a refusal */
        refused(session);
        return;
    }
    if (!parse(session))
        return;
    if (dial->head.status != 101) {
        refused(session);
        return;
    }
    /* Frames may stand behind the head: they are worked on where they were received. */
    size_t consumed = dial->at + dial->head_bytes - before;
    open_session(session);
    if (bytes_count > consumed && session->phase != FW_PHASE_DONE)
        fw_session_received(session, bytes + consumed, bytes_count - consumed);
}

void fw_ws_client_ended(struct fw_session *session, int status)
{
    if (session->in.dial->status == 0)
        session->in.dial->status = status != 0 ? status : FW_ERR_WS_NO_ANSWER;
}

void fw_ws_client_timer(struct fw_session *session)
{
    if (session->in.dial->status == 0)
        session->in.dial->status = -ETIMEDOUT;
    fw_session_finish(session, FW_END_ABORT);
}

void fw_ws_client_clear(struct fw_session *session)
{
    struct fw_ws_dial *dial = session->in.dial;
    if (dial == NULL)
        return;
    session->in.dial = NULL;
    struct fw_response response = response_of(dial);
    if (dial->answered && dial->head.status != 101) {
        size_t body_at = dial->at + dial->head_bytes;
        size_t came = dial->count - body_at;
        size_t wanted = body_wanted(&dial->head);
        response.body = (struct fw_bytes){dial->bytes + body_at, came < wanted ? came : wanted};
    }
    session->host->up->failed(session, dial->status == 0 ? FW_ERR_CLOSED : dial->status,
                              dial->answered ? &response : NULL);
    fw_ws_dial_destroy(dial);
}
