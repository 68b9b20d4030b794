/* session_impl.h: what the files of the session share, and nobody else needs.
 *
 * session.c is what a session is in every phase; the phases are files of their own, which it calls
 * by the functions at the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_SESSION_IMPL_H
#define FW_SESSION_SESSION_IMPL_H

#include "session/session.h"

/* fw_session_subscribe, beginning where `since` says. singly: hub.h. */
int fw_session_join(struct fw_session *session, struct fw_bytes topic, const struct fw_since *since,
                    enum fw_transport transport, bool singly, struct fw_joined *joined_out);

/* Ends all subscriptions; not inside a fan-out. */
void fw_session_unsubscribe_all(struct fw_session *session);

/* Whether one more message of the peer's is within its rate; counted and logged when it is not. */
bool fw_session_within_rate(struct fw_session *session, size_t bytes);

/* Queues bytes of the arena, or ends the session when there is no memory. */
void fw_session_queue(struct fw_session *session, const uint8_t *bytes, size_t bytes_count);

/* Tells the program that the connection has ended, once. */
void fw_session_tell_closed(struct fw_session *session, struct fw_bytes reason);

/* Ends a consumer that is too slow: what it has not begun to take is dropped, and it is told to
 * come back (1013).
 *
 * why          what the log says of it
 */
void fw_session_end_slow(struct fw_session *session, const char *why);

/* Sets input aside until the queue is drained. */
void fw_session_hold(struct fw_session *session, const uint8_t *bytes, size_t bytes_count);

/* A number in [0, bound) for jitter. */
uint32_t fw_session_jitter(struct fw_session_host *host, uint32_t bound);

/* Rings in so many milliseconds, or when the credential expires (identity.h). */
void fw_session_set_timer(struct fw_session *session, uint64_t in_ms);
/* Rings for an expiry only. */
void fw_session_clear_timer(struct fw_session *session);

/* More than this owed: no more input is worked on. A quarter with each step of pressure. */
static inline uint32_t fw_session_soft_bytes(const struct fw_session_host *host)
{
    return host->rules->output_soft_bytes >> (2 * host->pressure);
}

/* A fresh key for a frame of a client's. */
static inline uint32_t fw_session_mask_key(struct fw_session *session)
{
    uint32_t key;
    session->host->up->random(session, (uint8_t *)&key, sizeof key);
    return key;
}

/* Queues a share behind another of the same message, or NULL, by the topic's policy. The session is
 * OPEN or a STREAM. */
void fw_session_deliver_behind(struct fw_subscription *subscription, struct fw_share *head,
                               struct fw_share *share);

/* Messages were given to a session, besides those of a fan-out: they count. */
void fw_session_count_delivered(struct fw_session *session, struct fw_topic *topic,
                                size_t msgs_count);

/* What a subscriber was to get is gone: it is told, never left with a silent gap.
 *
 * offset       of the last message that is gone: it goes on behind it
 */
void fw_session_tell_gap(struct fw_subscription *subscription, uint64_t offset);

/* Messages for a subscription that is `singly`: an event stream of several topics, a long poll. */
void fw_session_deliver_singly(struct fw_session *session, struct fw_subscription *subscription,
                               struct fw_msg *const *msgs, size_t msgs_count);

/* resume.c. The session is behind, or not any more; and its queue is empty. */
void fw_session_resume(struct fw_session *session);
void fw_session_stop_resuming(struct fw_session *session);

/* sse_session.c */
void fw_sse_session_timer(struct fw_session *session);
void fw_sse_session_expire(struct fw_session *session);
void fw_sse_session_tell_gap(struct fw_subscription *subscription, uint64_t offset);
void fw_sse_session_deliver(struct fw_session *session, struct fw_subscription *subscription,
                            struct fw_msg *const *msgs, size_t msgs_count);

/* longpoll_session.c */
void fw_poll_session_timer(struct fw_session *session);
void fw_poll_session_expire(struct fw_session *session);
void fw_poll_session_answered(struct fw_session *session);
void fw_poll_session_tell_gap(struct fw_subscription *subscription, uint64_t offset);
void fw_poll_session_clear(struct fw_session *session);
void fw_poll_session_deliver(struct fw_session *session, struct fw_subscription *subscription,
                             struct fw_msg *const *msgs, size_t msgs_count);

/* http_session.c */
void fw_http_session_received(struct fw_session *session, uint8_t *bytes, size_t bytes_count);
void fw_http_session_timer(struct fw_session *session);
void fw_http_session_clear(struct fw_session *session);
/* It is known who sent the request that was set aside: session->principal, or a refusal. */
void fw_http_session_decided(struct fw_session *session,
                             const struct fw_authorization *authorization);

/* ws_session.c */
void fw_ws_session_open(struct fw_session *session);
void fw_ws_session_received(struct fw_session *session, uint8_t *bytes, size_t bytes_count);
void fw_ws_session_timer(struct fw_session *session);
void fw_ws_session_drained(struct fw_session *session);

/* Ends the session over a mistake or a limit: a close frame with `code`, then the socket. */
void fw_ws_session_fail(struct fw_session *session, unsigned code, const char *reason);

/* The same over a peer that does not take what it is owed: 1013, try again later. */
void fw_ws_session_fail_slow(struct fw_session *session, const char *reason);

#endif
