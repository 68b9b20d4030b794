/* ws_session.c: a connection that speaks WebSocket (RFC 6455, sections 5 to 7), in either role.
 *
 * Pulls events out of the decoder and answers them: messages go to the program, pings get pongs, a
 * close its echo, a mistake the close code that status.h gives it. What is sent stands in the
 * turn's arena as one piece, header and payload. The states are in session.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/session_impl.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/mask.h"
#include "proto/utf8.h"
#include "proto/ws_frame.h"
#include "session/command.h"
#include "session/compress.h"

#include <errno.h>
#include <fanwire/status.h>
#include <fanwire/types.h>
#include <string.h>

/* An echo is sent from where it was received when it and what came behind it are so many octets:
 * fewer are cheaper copied than kept. */
#ifndef ECHO_IN_PLACE_BYTES
#define ECHO_IN_PLACE_BYTES 256
#endif
/* What was assembled is worth a share of its own from here on. */
#define ECHO_SHARED_BYTES 2048

/* How far ahead a peer's control frames may run: two seconds' worth of them at once. */
#define CONTROL_BURST_MS 2000u

/* A close frame's payload: 2 octets of code, then the reason. */
#define REASON_BYTES_MAX (FW_WS_CONTROL_BYTES_MAX - 2)

/* A header for a frame of ours: a client's has a fresh key (RFC 6455, section 5.3). */
static struct fw_ws_header header_of(struct fw_session *session, uint8_t opcode, size_t bytes_count)
{
    struct fw_ws_header header = {.payload_bytes = bytes_count, .opcode = opcode, .fin = true};
    if (FW_UNLIKELY(fw_session_is_client(session))) {
        header.masked = true;
        header.key = fw_session_mask_key(session);
    }
    return header;
}

/* Queues one frame; false when there is no memory (the session is then ended). */
static bool queue_frame(struct fw_session *session, uint8_t opcode, struct fw_bytes payload)
{
    const struct fw_ws_header header = header_of(session, opcode, payload.count);
    size_t header_bytes = fw_ws_header_bytes(payload.count, header.masked);
    uint8_t *at = fw_arena_reserve(session->host->arena, header_bytes + payload.count);
    if (at == NULL) {
        fw_session_finish(session, FW_END_ABORT);
        return false;
    }
    fw_ws_header_encode(&header, at);
    if (header.masked)
        fw_mask(at + header_bytes, payload.at, payload.count, header.key);
    else if (payload.count > 0)
        memcpy(at + header_bytes, payload.at, payload.count);
    fw_session_queue(session, at, header_bytes + payload.count);
    return true;
}

/* A final frame's header for `bytes_count` octets, unmasked; ends before `payload`. */
static inline uint8_t *write_header(uint8_t *payload, uint8_t opcode, size_t bytes_count)
{
    uint8_t *at = payload - 2;
    if (bytes_count < 126) {
        at[1] = (uint8_t)bytes_count;
    } else if (bytes_count <= UINT16_MAX) {
        at -= 2;
        at[1] = 126;
        at[2] = (uint8_t)(bytes_count >> 8);
        at[3] = (uint8_t)bytes_count;
    } else {
        const struct fw_ws_header header = {
            .payload_bytes = bytes_count, .opcode = opcode, .fin = true};
        at = payload - fw_ws_header_bytes(bytes_count, false);
        fw_ws_header_encode(&header, at);
        return at;
    }
    at[0] = (uint8_t)(0x80 | opcode);
    return at;
}

/* Gives what was assembled to the queue, its header in the headroom.
 *
 * returns      false when it must be copied after all
 */
FW_APART
static bool queue_assembled(struct fw_session *session, uint8_t opcode, struct fw_bytes payload)
{
    struct fw_session_told *told = &session->host->told;
    uint8_t *at = write_header(told->bytes, opcode, payload.count);
    size_t bytes_count = (size_t)(told->bytes - at) + payload.count;
    struct fw_share *share =
        fw_share_of_block(told->bytes - FW_WS_MESSAGE_HEADROOM, at, bytes_count);
    if (share == NULL)
        return false;
    told->sent = true;
    if (fw_outq_push(&session->outq, at, bytes_count, share) == 0) {
        session->host->up->changed(session);
        fw_ws_decoder_take(&told->session->in.decoder);
    } else {
        fw_session_finish(session, FW_END_ABORT);
        share->block = NULL; /* the decoder's still: the program may go on reading it */
    }
    fw_share_drop(share);
    return true;
}

static inline size_t header_bytes_of(size_t bytes_count)
{
    return bytes_count < 126 ? 2 : bytes_count <= UINT16_MAX ? 4 : 10;
}

/* Lengthens the last echo by the message being told, which was put right behind it. Echoes that
 * follow each other are one piece so: our header is 4 octets shorter than theirs.
 *
 * returns      false when it does not stand there, or something else was queued since
 */
static inline bool queue_behind_echo(struct fw_session *session, uint8_t opcode, size_t bytes_count)
{
    struct fw_session_told *told = &session->host->told;
    struct fw_session_echoes *echoes = &session->host->echoes;
    const size_t header_bytes = header_bytes_of(bytes_count);
    if (told->bytes - header_bytes != echoes->end ||
        !fw_outq_extend(&session->outq, echoes->end, header_bytes + bytes_count))
        return false;
    write_header(told->bytes, opcode, bytes_count);
    told->sent = true;
    echoes->end = told->bytes + bytes_count;
    return true;
}

/* Sends the message that the program is being told of from where it stands in receive memory, its
 * new header written over the end of its old one.
 *
 * returns      false when it must be copied after all
 */
static bool queue_in_place(struct fw_session *session, uint8_t opcode, size_t bytes_count)
{
    struct fw_session_host *host = session->host;
    struct fw_session_told *told = &host->told;
    if (host->echoes.end == NULL && bytes_count + host->echoes.rest_bytes < ECHO_IN_PLACE_BYTES)
        return false;
    if (!host->up->keep(session))
        return false;
    told->sent = true;
    const uint8_t *at = write_header(told->bytes, opcode, bytes_count);
    host->echoes.end = told->bytes + bytes_count;
    if (fw_outq_push(&session->outq, at, header_bytes_of(bytes_count) + bytes_count, NULL) == 0)
        host->up->changed(session);
    else
        fw_session_finish(session, FW_END_ABORT);
    return true;
}

/* 1005 ("no code") is never sent: the frame is empty then. */
static void queue_close(struct fw_session *session, unsigned code, struct fw_bytes reason)
{
    uint8_t payload[FW_WS_CONTROL_BYTES_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};
    fw_assert(reason.count <= REASON_BYTES_MAX);
    if (reason.count > 0)
        memcpy(payload + 2, reason.at, reason.count);
    queue_frame(session, FW_WS_CLOSE,
                (struct fw_bytes){payload, code == 1005 ? 0 : 2 + reason.count});
}

/* The time between two looks at a silent peer: the interval, 20 % more or less, so that a million
 * connections made in one second are not pinged in one second. */
static uint64_t ping_wait_ms(struct fw_session *session)
{
    uint32_t interval = session->host->rules->ping_interval_ms;
    return interval - interval / 5 + fw_session_jitter(session->host, interval / 5 * 2);
}

void fw_ws_session_open(struct fw_session *session)
{
    fw_assert(session->phase == FW_PHASE_HTTP);
    session->phase = FW_PHASE_OPEN;
    session->upgraded = true;
    fw_ws_decoder_init(&session->in.decoder, session->deflate);
    if (session->host->rules->ping_interval_ms == 0)
        fw_session_clear_timer(session);
    else
        fw_session_set_timer(session, ping_wait_ms(session));
}

/* The same, once it is known that it may be sent. `echo`: it is the message being told. */
FW_APART
static int send_message(struct fw_session *session, uint8_t type, struct fw_bytes payload,
                        bool echo)
{
    const struct fw_session_told *told = &session->host->told;
    /* An echo's text was judged when it came. */
    if (type == FW_TEXT && !(echo && told->text) && !fw_utf8_valid(payload.at, payload.count))
        return FW_ERR_NOT_UTF8;
    if (session->encoding != 0 && fw_session_send_compressed(session, type, payload))
        return session->end == FW_END_ABORT ? -ENOMEM : 0;
    bool queued = false;
    if (echo && !told->sent && !told->assembled)
        queued = queue_in_place(session, type, payload.count);
    else if (echo && !told->sent && payload.count >= ECHO_SHARED_BYTES)
        queued = queue_assembled(session, type, payload);
    if (queued)
        return session->end == FW_END_ABORT ? -ENOMEM : 0;
    return queue_frame(session, type, payload) ? 0 : -ENOMEM;
}

/* Apart: inlined where the payload is an array, gcc warns of what an echo would write before it. */
FW_APART
int fw_ws_session_send(struct fw_session *session, uint8_t type, struct fw_bytes payload)
{
    const struct fw_session_host *host = session->host;
    if (session->phase != FW_PHASE_OPEN)
        return FW_ERR_CLOSED;
    if (payload.count > FW_MESSAGE_BYTES_MAX)
        return FW_ERR_LIMIT;
    if (session->outq.queued_bytes > host->rules->output_bytes_max) {
        session->wants_drain = true;
        return FW_ERR_BUSY;
    }
    const struct fw_session_told *told = &host->told;
    bool echo = told->session != NULL && payload.at == told->bytes && payload.count == told->count;
    if (echo && !told->sent && !told->assembled && (told->text || type == FW_BINARY) &&
        session->encoding == 0 && queue_behind_echo(session, type, payload.count))
        return 0;
    return send_message(session, type, payload, echo);
}

int fw_ws_session_close(struct fw_session *session, unsigned code, struct fw_bytes reason)
{
    if (session->phase != FW_PHASE_OPEN)
        return FW_ERR_CLOSED;
    if (!fw_ws_close_code_valid(code) || reason.count > REASON_BYTES_MAX ||
        !fw_utf8_valid(reason.at, reason.count))
        return FW_ERR_USAGE;
    session->close_code = (uint16_t)code;
    session->phase = FW_PHASE_CLOSING;
    queue_close(session, code, reason);
    fw_session_set_timer(session, FW_CLOSE_MS);
    return 0;
}

void fw_ws_session_fail(struct fw_session *session, unsigned code, const char *reason)
{
    if (session->phase == FW_PHASE_OPEN) {
        session->close_code = (uint16_t)code;
        queue_close(session, code, fw_bytes_of(reason));
    }
    fw_session_finish(session, FW_END_LINGER);
}

void fw_ws_session_fail_slow(struct fw_session *session, const char *reason)
{
    fw_ws_session_fail(session, 1013, reason);
    fw_session_finish(session, FW_END_LINGER_SLOW);
}

static void got_failure(struct fw_session *session, int status)
{
    fw_log_peer(session->host->log, session->host->now_ms, FW_LOG_WARN,
                "a connection was closed with %d: %s", fw_status_answer(status),
                fw_status_text(status));
    fw_ws_session_fail(session, (unsigned)fw_status_answer(status), fw_status_text(status));
}

static void tell_message(struct fw_session *session, const struct fw_ws_event *event)
{
    struct fw_session_host *host = session->host;
    if (session->commands) {
        fw_command_received(session, event->opcode,
                            (struct fw_bytes){event->bytes, event->bytes_count});
        return;
    }
    host->messages_received++;
    host->told = (struct fw_session_told){
        .session = session,
        .bytes = event->bytes,
        .count = event->bytes_count,
        .text = event->opcode == FW_WS_TEXT,
        .assembled = event->assembled,
        /* There is nothing to send it from: it was inflated; or a client's header, with its key,
         * does not fit over a server's. */
        .sent = event->compressed || fw_session_is_client(session),
    };
    host->up->message(session, event->opcode, event->bytes, event->bytes_count);
    host->told.session = NULL;
}

FW_APART
static void got_compressed(struct fw_session *session, struct fw_ws_event *event)
{
    int status = fw_session_inflate(session, event);
    if (status != 0) {
        got_failure(session, status);
        return;
    }
    tell_message(session, event);
    fw_session_inflated_told(session);
}

static inline void got_message(struct fw_session *session, struct fw_ws_event *event)
{
    if (session->phase != FW_PHASE_OPEN)
        return; /* we have said close: what still comes is not for the program */
    const struct fw_rate_rules *rate = &session->host->rules->rate;
    if (FW_UNLIKELY(rate->messages != 0 || rate->bytes != 0) &&
        !fw_session_within_rate(session, event->bytes_count))
        got_failure(session, FW_ERR_WS_RATE);
    else if (FW_LIKELY(!event->compressed))
        tell_message(session, event);
    else
        got_compressed(session, event);
}

/* A pong for each ping while the peer reads; while it does not, only the newest is kept. */
static void got_ping(struct fw_session *session, const struct fw_ws_event *event)
{
    if (session->phase != FW_PHASE_OPEN)
        return;
    struct fw_bytes payload = {event->bytes, event->bytes_count};
    if (!session->blocked) {
        queue_frame(session, FW_WS_PONG, payload);
        return;
    }
    if (session->held == NULL)
        session->held = fw_mem_zero(sizeof *session->held);
    if (session->held == NULL) {
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    session->held->has_pong = true;
    session->held->pong_bytes = (uint8_t)payload.count;
    if (payload.count > 0)
        memcpy(session->held->pong, payload.at, payload.count);
}

void fw_ws_session_drained(struct fw_session *session)
{
    struct fw_session_held *held = session->held;
    if (held == NULL || !held->has_pong || session->phase != FW_PHASE_OPEN)
        return;
    held->has_pong = false;
    queue_frame(session, FW_WS_PONG, (struct fw_bytes){held->pong, held->pong_bytes});
}

/* The peer closes: say the same back once, then the server closes TCP, so that the one who waits in
 * TIME_WAIT is the server (RFC 6455, section 7.1.1). */
static void got_close(struct fw_session *session, const struct fw_ws_event *event)
{
    if (session->phase == FW_PHASE_OPEN) {
        session->close_code = event->close_code;
        queue_close(session, event->close_code, (struct fw_bytes){0});
    }
    /* First: nothing may be sent behind our close. */
    fw_session_finish(session, fw_session_is_client(session) ? FW_END_AWAIT : FW_END_CLOSE);
    fw_session_tell_closed(session, (struct fw_bytes){event->bytes, event->bytes_count});
}

/* A bucket of tokens in one word (the cell rate algorithm): each frame moves the time at which all
 * so far are paid for by one interval, and that may lie two seconds' worth ahead. A time that lies
 * elsewhere has passed, however long ago: also when the word has gone round.
 *
 * returns      whether the frame is within the rate
 */
static bool control_within_rate(struct fw_session *session)
{
    const uint32_t interval_ms = session->host->rules->control_interval_ms;
    const uint32_t now_ms = (uint32_t)session->host->now_ms;
    if (interval_ms == 0)
        return true;
    uint32_t ahead_ms = session->control_ms - now_ms;
    if (ahead_ms > CONTROL_BURST_MS)
        ahead_ms = 0;
    session->control_ms = now_ms + ahead_ms + interval_ms;
    return ahead_ms + interval_ms <= CONTROL_BURST_MS;
}

void fw_ws_session_received(struct fw_session *session, uint8_t *bytes, size_t bytes_count)
{
    const struct fw_session_rules *rules = session->host->rules;
    struct fw_session_echoes *echoes = &session->host->echoes;
    struct fw_ws_event event;
    echoes->end = NULL;
    while (session->phase != FW_PHASE_DONE) {
        if (FW_UNLIKELY(session->outq.queued_bytes > fw_session_soft_bytes(session->host) &&
                        bytes_count > 0)) {
            fw_session_hold(session, bytes, bytes_count);
            return;
        }
        fw_ws_decoder_next_behind(&session->in.decoder, &rules->ws, echoes->end, &bytes,
                                  &bytes_count, &event);
        echoes->rest_bytes = bytes_count;
        switch (event.kind) {
        case FW_WS_NEED_MORE:
            return;
        case FW_WS_MESSAGE:
            got_message(session, &event);
            break;
        case FW_WS_GOT_PING:
        case FW_WS_GOT_PONG: /* of a pong, active_ms says enough */
            if (FW_UNLIKELY(!control_within_rate(session)))
                got_failure(session, FW_ERR_WS_CONTROL_FLOOD);
            else if (event.kind == FW_WS_GOT_PING)
                got_ping(session, &event);
            break;
        case FW_WS_GOT_CLOSE:
            got_close(session, &event);
            break;
        case FW_WS_FAILED:
            got_failure(session, event.status);
            break;
        }
    }
}

/* A silent peer is asked, and ended when it does not answer. The timer is not moved at each
 * message: it rings, sees that the peer was heard meanwhile, and waits for what is left. */
static void look_after(struct fw_session *session)
{
    const struct fw_session_rules *rules = session->host->rules;
    uint32_t silent_ms = (uint32_t)session->host->now_ms - session->active_ms;
    if (rules->ping_interval_ms == 0) /* it rang for one who was behind, and has caught up */
        return;
    if (session->ping_sent) { /* cleared by whatever the peer says */
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    uint32_t least = rules->ping_interval_ms - rules->ping_interval_ms / 5;
    if (silent_ms + FW_PING_SLACK_MS < least) {
        fw_session_set_timer(session, ping_wait_ms(session) - silent_ms);
        return;
    }
    session->ping_sent = true;
    queue_frame(session, FW_WS_PING, (struct fw_bytes){0});
    fw_session_set_timer(session, rules->pong_timeout_ms);
}

void fw_ws_session_timer(struct fw_session *session)
{
    if (session->phase == FW_PHASE_OPEN && session->behind)
        fw_session_end_slow(session, "it was behind for 10 s");
    else if (session->phase == FW_PHASE_OPEN)
        look_after(session);
    else
        fw_session_finish(session, FW_END_ABORT); /* the peer did not answer our close */
}
