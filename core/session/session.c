/* session.c: what all sessions have in common; the diagram is in session.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/session_impl.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/topic_name.h"
#include "session/command.h"
#include "session/compress.h"
#include "session/encode.h"
#include "session/identity.h"
#include "session/policy.h"
#include "session/ws_client.h"

#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <string.h>

void fw_session_init(struct fw_session *session, struct fw_session_host *host)
{
    memset(session, 0, sizeof *session);
    session->host = host;
    session->close_code = 1006;
    session->active_ms = (uint32_t)host->now_ms;
    session->rate = (struct fw_rate){session->active_ms, session->active_ms};
    fw_outq_init(&session->outq);
    fw_session_set_timer(session, host->rules->handshake_timeout_ms);
}

static void release_held(struct fw_session *session)
{
    if (session->held == NULL)
        return;
    fw_mem_free(session->held->block);
    fw_mem_free(session->held);
    session->held = NULL;
}

void fw_session_unsubscribe_all(struct fw_session *session)
{
    fw_session_stop_resuming(session);
    fw_slow_leave(session);
    session->resumes = false;
    for (unsigned i = 0; i < session->subscriptions_count; i++)
        session->host->up->unsubscribe(session, &session->subscriptions[i]);
    session->subscriptions_count = 0;
    if (session->subscriptions != &session->one)
        fw_mem_free(session->subscriptions);
    session->subscriptions = NULL;
}

void fw_session_tell_closed(struct fw_session *session, struct fw_bytes reason)
{
    if (!session->told_open)
        return;
    session->told_open = false;
    session->host->up->closed(session, session->close_code, reason);
}

void fw_session_leave(struct fw_session *session)
{
    fw_assert(session->phase == FW_PHASE_DONE);
    fw_session_unsubscribe_all(session);
    release_held(session);
    if (session->upgraded)
        fw_ws_decoder_clear(&session->in.decoder);
    else if (fw_session_is_client(session))
        fw_ws_client_clear(session);
    else if (session->polls)
        fw_poll_session_clear(session);
    else
        fw_http_session_clear(session);
    fw_session_disagree(session);
    fw_session_tell_closed(session, (struct fw_bytes){0});
    fw_session_forget_principal(session);
}

void fw_session_clear(struct fw_session *session)
{
    session->phase = FW_PHASE_DONE;
    fw_session_leave(session);
    fw_outq_clear(&session->outq);
}

void fw_session_finish(struct fw_session *session, enum fw_session_end end)
{
    if (session->phase != FW_PHASE_DONE) {
        session->phase = FW_PHASE_DONE;
        fw_session_set_timer(session, FW_CLOSE_MS);
    }
    if (session->end < end)
        session->end = (uint8_t)end;
    session->host->up->changed(session);
}

void fw_session_received(struct fw_session *session, uint8_t *bytes, size_t bytes_count)
{
    session->active_ms = (uint32_t)session->host->now_ms;
    session->ping_sent = false;
    if (FW_UNLIKELY(session->held != NULL && session->held->input != NULL)) {
        fw_session_hold(session, bytes, bytes_count);
        return;
    }
    switch ((enum fw_session_phase)session->phase) {
    case FW_PHASE_HTTP:
        if (FW_UNLIKELY(fw_session_is_client(session)))
            fw_ws_client_received(session, bytes, bytes_count);
        else
            fw_http_session_received(session, bytes, bytes_count);
        break;
    case FW_PHASE_OPEN:
    case FW_PHASE_CLOSING:
        fw_ws_session_received(session, bytes, bytes_count);
        break;
    case FW_PHASE_POLL:
        fw_session_hold(session, bytes, bytes_count); /* the next request */
        break;
    case FW_PHASE_STREAM:
    case FW_PHASE_DONE:
        break;
    }
}

void fw_session_blame(struct fw_session *session, int status)
{
    if (session->phase == FW_PHASE_HTTP && fw_session_is_client(session))
        fw_ws_client_ended(session, status);
}

void fw_session_ended(struct fw_session *session, int status)
{
    if (status == 0 && session->phase != FW_PHASE_DONE && session->held != NULL &&
        session->held->input != NULL) {
        session->fin_waits = true;
        return;
    }
    fw_session_blame(session, status);
    /* A reset leaves nobody to flush to; after a FIN the peer may still read. */
    fw_session_finish(session, status == 0 ? FW_END_CLOSE : FW_END_ABORT);
    if (session->end != FW_END_ABORT)
        session->end = FW_END_CLOSE; /* what it may have waited for has come */
}

void fw_session_set_timer(struct fw_session *session, uint64_t in_ms)
{
    uint64_t due_ms = session->host->now_ms + in_ms;
    session->host->up->timer(session, fw_session_due_ms(session, due_ms));
}

void fw_session_clear_timer(struct fw_session *session)
{
    session->host->up->timer(session, fw_session_due_ms(session, 0));
}

void fw_session_timer(struct fw_session *session)
{
    if (fw_session_expire(session))
        return;
    switch ((enum fw_session_phase)session->phase) {
    case FW_PHASE_HTTP:
        if (fw_session_is_client(session))
            fw_ws_client_timer(session);
        else
            fw_http_session_timer(session);
        break;
    case FW_PHASE_OPEN:
    case FW_PHASE_CLOSING:
        fw_ws_session_timer(session);
        break;
    case FW_PHASE_STREAM:
        fw_sse_session_timer(session);
        break;
    case FW_PHASE_POLL:
        fw_poll_session_timer(session);
        break;
    case FW_PHASE_DONE:
        fw_session_finish(session, FW_END_ABORT);
        break;
    }
}

/* Everybody gets another time to come back, so that nobody comes with all the others. */
static void close_stopping(struct fw_session *session)
{
    char reason[64] = "the server is stopping";
    if (fw_session_is_client(session))
        strcpy(reason, "the client is stopping");
    uint32_t most_ms = session->host->retry_ms_max;
    if (most_ms > 0)
        snprintf(reason, sizeof reason, "the server is stopping; retry_ms=%u",
                 FW_RETRY_MS_MIN + fw_session_jitter(session->host, most_ms));
    fw_ws_session_close(session, 1001, fw_bytes_of(reason));
}

void fw_session_stop(struct fw_session *session)
{
    if (session->phase == FW_PHASE_OPEN) {
        close_stopping(session);
    } else if (session->phase == FW_PHASE_HTTP || session->phase == FW_PHASE_STREAM) {
        fw_session_finish(session, FW_END_CLOSE);
    } else if (session->phase == FW_PHASE_POLL) {
        fw_poll_session_timer(session); /* its answer says that nothing came */
    }
}

bool fw_session_full(const struct fw_session *session)
{
    if (session->held != NULL && session->held->input != NULL)
        return true;
    return session->blocked && session->outq.queued_bytes > fw_session_soft_bytes(session->host);
}

/* The timer is moved once when it falls behind; if it has caught up when that rings, silence is
 * looked after as ever. */
void fw_session_weigh(struct fw_session *session)
{
    const struct fw_session_rules *rules = session->host->rules;
    bool behind = session->phase == FW_PHASE_OPEN && rules->output_slow_bytes != 0 &&
                  session->outq.queued_bytes > rules->output_slow_bytes &&
                  !fw_session_may_lag(session);
    if (behind && !session->behind)
        fw_session_set_timer(session, FW_SLOW_MS);
    session->behind = behind;
}

void fw_session_end_slow(struct fw_session *session, const char *why)
{
    uint32_t waited = session->outq.queued_bytes;
    fw_outq_drop_unbegun(&session->outq, session->begun);
    session->host->slow_closed++;
    fw_log_peer(session->host->log, session->host->now_ms, FW_LOG_INFO,
                "a slow consumer was closed (1013) with %u bytes waiting for it: %s", waited, why);
    if (session->phase == FW_PHASE_OPEN)
        fw_ws_session_fail_slow(session, "too slow: reconnect and resume");
    else
        fw_session_finish(session, FW_END_CLOSE);
}

static struct fw_session_held *held_of(struct fw_session *session)
{
    if (session->held == NULL)
        session->held = fw_mem_zero(sizeof *session->held);
    return session->held;
}

/* What is left of a block that is being drained stays where it is: copied each time that the peer
 * has taken a little, megabytes would be copied for every few kilobytes. */
static bool hold_rest(struct fw_session *session, struct fw_session_held *held,
                      const uint8_t *bytes, size_t bytes_count)
{
    struct fw_session_held *from = session->host->draining;
    if (held->block != NULL || from == NULL || from->block == NULL ||
        bytes + bytes_count != from->input + from->input_bytes)
        return false;
    held->block = from->block;
    held->block_bytes = from->block_bytes;
    held->input = from->input + (from->input_bytes - bytes_count);
    held->input_bytes = bytes_count;
    from->block = NULL;
    return true;
}

/* Room for more behind the input: at the block's front, or in a larger one. */
static bool hold_more(struct fw_session_held *held, size_t more)
{
    size_t needed = held->input_bytes + more;
    if (held->block_bytes - (size_t)(held->input - held->block) >= needed)
        return true;
    if (held->block != NULL && held->input != held->block)
        memmove(held->block, held->input, held->input_bytes);
    if (held->block_bytes < needed) {
        size_t wanted = held->block_bytes + held->block_bytes / 2;
        if (wanted < needed)
            wanted = needed;
        held->input = held->block;
        uint8_t *block = fw_mem_resize(held->block, wanted);
        if (block == NULL)
            return false;
        held->block = block;
        held->block_bytes = wanted;
    }
    held->input = held->block;
    return true;
}

void fw_session_hold(struct fw_session *session, const uint8_t *bytes, size_t bytes_count)
{
    if (bytes_count == 0)
        return;
    struct fw_session_held *held = held_of(session);
    if (held == NULL) {
        fw_session_finish(session, FW_END_ABORT);
        return;
    }
    if (!hold_rest(session, held, bytes, bytes_count)) {
        if (!hold_more(held, bytes_count)) {
            fw_session_finish(session, FW_END_ABORT);
            return;
        }
        memcpy(held->input + held->input_bytes, bytes, bytes_count);
        held->input_bytes += bytes_count;
    }
    session->host->up->changed(session);
}

void fw_session_drained(struct fw_session *session)
{
    if (session->phase == FW_PHASE_DONE || session->waits)
        return;
    fw_slow_leave(session);
    if (session->resumes)
        fw_session_resume(session);
    if (session->phase == FW_PHASE_OPEN || session->phase == FW_PHASE_CLOSING)
        fw_ws_session_drained(session);
    if (session->phase == FW_PHASE_POLL) {
        if (!session->answered)
            return; /* what is held is the next request's */
        fw_poll_session_answered(session);
    }
    struct fw_session_held *held = session->held;
    session->held = NULL;
    if (session->wants_drain && session->phase == FW_PHASE_OPEN) {
        session->wants_drain = false;
        session->host->up->drained(session);
    }
    if (held == NULL)
        return;
    if (held->input != NULL) {
        session->host->draining = held;
        fw_session_received(session, held->input, held->input_bytes);
        session->host->draining = NULL;
    }
    fw_mem_free(held->block);
    fw_mem_free(held);
    if (session->fin_waits && (session->held == NULL || session->held->input == NULL))
        fw_session_ended(session, 0);
}

bool fw_session_within_rate(struct fw_session *session, size_t bytes)
{
    struct fw_session_host *host = session->host;
    const struct fw_rate_rules *rules = &host->rules->rate;
    if (FW_LIKELY(rules->messages == 0 && rules->bytes == 0) ||
        fw_rate_take(&session->rate, rules, host->now_ms, bytes))
        return true;
    host->rate_limited++;
    fw_log_peer(host->log, host->now_ms, FW_LOG_WARN,
                "a client sends faster than its limit of %u messages and %u bytes a second",
                rules->messages, rules->bytes);
    return false;
}

void fw_session_queue(struct fw_session *session, const uint8_t *bytes, size_t bytes_count)
{
    if (fw_outq_push(&session->outq, bytes, bytes_count, NULL) != 0)
        fw_session_finish(session, FW_END_ABORT);
    else
        session->host->up->changed(session);
}

/* ---- topics ---------------------------------------------------------------------------------- */

static void end_starved(struct fw_session *session)
{
    if (session->phase == FW_PHASE_OPEN)
        fw_ws_session_fail(session, 1011, "out of memory");
    else
        fw_session_finish(session, FW_END_ABORT);
}

void fw_session_deliver_behind(struct fw_subscription *subscription, struct fw_share *head,
                               struct fw_share *share)
{
    struct fw_session *session = subscription->subscriber;
    struct fw_outq *outq = &session->outq;
    size_t head_bytes = head == NULL ? 0 : head->bytes_count;
    switch (fw_session_admit(session, subscription, share, head_bytes + share->bytes_count)) {
    case FW_ADMITTED:
        break;
    case FW_DROPPED:
        return;
    case FW_TOO_SLOW:
        fw_session_end_slow(session, "its budget is used up");
        return;
    }
    if (FW_UNLIKELY((head != NULL && fw_outq_push(outq, head->bytes, head_bytes, head) != 0) ||
                    fw_outq_push(outq, share->bytes, share->bytes_count, share) != 0)) {
        fw_share_withdraw(share, false);
        end_starved(session);
        return;
    }
    /* The peer's window has it now; our own context does not, and must not refer behind it. */
    if (subscription->encoding != 0)
        session->stale = true;
    if (FW_UNLIKELY(outq->queued_bytes > session->host->rules->output_soft_bytes))
        fw_slow_enter(session, subscription);
    session->host->up->changed(session);
}

/* A subscriber may be ended inside a fan-out, but stays in its topic until the end of the turn
 * (fw_session_leave): what comes for it until then is passed over. */
void fw_session_deliver(struct fw_subscription *subscription, struct fw_share *share)
{
    struct fw_session *session = subscription->subscriber;
    bool goes_on = session->phase == FW_PHASE_OPEN || session->phase == FW_PHASE_STREAM;
    if (FW_LIKELY(goes_on && share != NULL))
        fw_session_deliver_behind(subscription, NULL, share);
    else if (share != NULL)
        fw_share_withdraw(share, false);
    else if (goes_on)
        end_starved(session);
}

void fw_session_count_delivered(struct fw_session *session, struct fw_topic *topic,
                                size_t msgs_count)
{
    session->host->hub->delivered_messages += msgs_count;
    atomic_fetch_add_explicit(&topic->delivered, msgs_count, memory_order_relaxed);
}

void fw_session_tell_gap(struct fw_subscription *subscription, uint64_t offset)
{
    struct fw_session *session = subscription->subscriber;
    switch ((enum fw_session_phase)session->phase) {
    case FW_PHASE_OPEN:
        if (session->commands)
            fw_command_tell_gap(subscription, offset);
        else /* a plain message has no room for the news */
            fw_ws_session_fail(session, 4410, "the history no longer reaches: subscribe anew");
        break;
    case FW_PHASE_STREAM:
        fw_sse_session_tell_gap(subscription, offset);
        break;
    case FW_PHASE_POLL:
        fw_poll_session_tell_gap(subscription, offset);
        break;
    case FW_PHASE_HTTP:
    case FW_PHASE_CLOSING:
    case FW_PHASE_DONE:
        break;
    }
}

void fw_session_deliver_singly(struct fw_session *session, struct fw_subscription *subscription,
                               struct fw_msg *const *msgs, size_t msgs_count)
{
    if (session->phase == FW_PHASE_STREAM)
        fw_sse_session_deliver(session, subscription, msgs, msgs_count);
    else if (session->phase == FW_PHASE_POLL && !session->answered)
        fw_poll_session_deliver(session, subscription, msgs, msgs_count);
    else
        fw_topic_withdraw(subscription->local->topic, (uint32_t)msgs_count, false);
}

static struct fw_subscription *find_subscription(struct fw_session *session, struct fw_bytes topic)
{
    for (unsigned i = 0; i < session->subscriptions_count; i++) {
        if (fw_bytes_equal(session->subscriptions[i].local->topic->node.name, topic))
            return &session->subscriptions[i];
    }
    return NULL;
}

/* Makes room for one more subscription: the first stands in the session, more in a block, and those
 * that moved are told of. */
static int reserve_subscription(struct fw_session *session)
{
    unsigned count = session->subscriptions_count;
    if (count == 0) {
        if (session->subscriptions == NULL)
            session->subscriptions = &session->one;
        return 0;
    }
    if ((count & (count - 1)) != 0)
        return 0;
    struct fw_subscription *grown = fw_mem_alloc(sizeof *grown * count * 2);
    if (grown == NULL)
        return -ENOMEM;
    memcpy(grown, session->subscriptions, sizeof *grown * count);
    if (session->subscriptions != &session->one)
        fw_mem_free(session->subscriptions);
    session->subscriptions = grown;
    for (unsigned i = 0; i < count; i++)
        fw_local_moved(&grown[i]);
    return 0;
}

int fw_session_subscribe(struct fw_session *session, struct fw_bytes topic)
{
    static const struct fw_since now = {.kind = FW_SINCE_NOW};
    struct fw_joined ignored;
    return fw_session_join(session, topic, &now, FW_TRANSPORT_WS, false, &ignored);
}

int fw_session_join(struct fw_session *session, struct fw_bytes topic, const struct fw_since *since,
                    enum fw_transport transport, bool singly, struct fw_joined *joined_out)
{
    if (!fw_topic_name_valid(topic))
        return FW_ERR_TOPIC;
    if (find_subscription(session, topic) != NULL)
        return FW_ERR_EXISTS;
    if (session->subscriptions_count == FW_SUBSCRIPTIONS_MAX)
        return FW_ERR_LIMIT;
    int result = reserve_subscription(session);
    if (result != 0)
        return result;
    struct fw_subscription *subscription = &session->subscriptions[session->subscriptions_count];
    *subscription = (struct fw_subscription){.subscriber = session,
                                             .encoding = session->commands ? FW_ENCODING_COMMANDS
                                                                           : session->encoding,
                                             .transport = (uint8_t)transport,
                                             .singly = singly};
    result = session->host->up->subscribe(session, topic, since, subscription, joined_out);
    if (result != 0)
        return result;
    session->subscriptions_count++;
    if (subscription->state == FW_SUBSCRIPTION_BEHIND)
        fw_session_resume(session);
    return 0;
}

int fw_session_unsubscribe(struct fw_session *session, struct fw_bytes topic)
{
    struct fw_subscription *subscription = find_subscription(session, topic);
    if (subscription == NULL)
        return FW_ERR_ABSENT;
    session->host->up->unsubscribe(session, subscription);
    struct fw_subscription *last = &session->subscriptions[--session->subscriptions_count];
    if (last != subscription) {
        *subscription = *last;
        fw_local_moved(subscription);
    }
    return 0;
}

uint32_t fw_session_jitter(struct fw_session_host *host, uint32_t bound)
{
    /* xorshift64*: enough to spread pings; secrets come from the kernel. */
    host->random ^= host->random >> 12;
    host->random ^= host->random << 25;
    host->random ^= host->random >> 27;
    return bound == 0 ? 0 : (uint32_t)((host->random * 0x2545f4914f6cdd1dull >> 32) % bound);
}
