/* fake_host.h: the floors above a session, for tests: no socket, no clock, one session.
 *
 * It implements struct fw_session_upward, flushes as net/conn does (net/conn/conn.c is the real
 * one), and writes down what happened. The peer takes `window` bytes more; what it took is in
 * `sent`. Input is handed over in memory that is gone, and overwritten, after the call.
 *
 *     struct fake_host fake;
 *     fake_host_init(&fake);
 *     fake_host_open(&fake, "/chat");            a whole handshake
 *     fake_host_frame(&fake, WS_FIN | FW_WS_TEXT, "hi");
 *     cr_assert_str_eq(fake.told, "open(/chat) text(hi)");
 *     cr_assert_str_eq(fake_host_frames(&fake), "");
 *     fake_host_clear(&fake);
 *
 * thread: the test's
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_FAKE_HOST_H
#define TESTS_SUPPORT_FAKE_HOST_H

#include "session/identity.h"
#include "session/request.h"
#include "session/session.h"
#include "session/ws_client.h"
#include "support/ws_stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_TOPICS_MAX 160

struct fake_input; /* fake_host.c */

struct fake_host {
    struct fw_session_host host; /* the first member: a session's host is found as its address */
    struct fw_session session;
    struct fw_session_rules rules;
    struct fw_arena arena;
    struct fw_log log;
    struct fw_hub hub;
    struct fw_topic_rules topic_rules; /* of every topic; a history of 64 at first */
    size_t page_messages;              /* of a page of history */

    /* What the test sets. */
    bool keeps;         /* what up->keep says: input then lives until the turn ends */
    size_t window;      /* bytes that the peer takes still; SIZE_MAX at first */
    bool ready;         /* what up->ready says; true at first */
    unsigned answer;    /* what up->open says; 0 accepts */
    bool counts_topics; /* what /debug/topics tells is not known yet */
    int publish_result;
    int subscribe_result;
    uint32_t receivers;      /* what a publish is answered with */
    const char *certificate; /* the subject that TLS has checked; NULL: none */
    bool authorizes;         /* the program decides (fake_host_ask_program) */
    void (*on_open)(struct fake_host *fake, const struct fw_request *request);
    void (*on_message)(struct fake_host *fake, uint8_t type, const uint8_t *bytes, size_t count);
    void (*on_closed)(struct fake_host *fake);
    void (*on_drained)(struct fake_host *fake);
    void (*on_request)(struct fake_host *fake, struct fw_request *request);
    void (*on_opened)(struct fake_host *fake, const struct fw_response *response);

    /* What happened. */
    char told[4096];    /* "open(/chat) text(hi) drained close(1000 bye)", each with its bytes */
    unsigned ends_told; /* closed or failed */
    char logged[4096];
    uint8_t *sent; /* what the peer took */
    size_t sent_count;
    size_t sent_room;
    uint64_t timer_ms; /* due; 0: off */
    unsigned changes;
    uint32_t keys; /* for frames of a client's, drawn so far: the next key is this and 0x5a000001 */
    bool dirty;
    bool gone;            /* the socket was closed: by FW_END_CLOSE, or FW_END_ABORT */
    bool shut;            /* FIN was said (FW_END_LINGER) */
    char published[1024]; /* the last: "topic text(payload)" */

    struct fw_topic *topics[FAKE_TOPICS_MAX];
    unsigned topics_count;
    struct fw_authorization
        authorization; /* of the request that waits; the session is gone: NULL */
    struct fw_session_upward upward;
    struct ws_trace frames;
    struct fake_input *inputs; /* received in this turn, and kept */
    bool kept;
    bool receiving; /* what was set aside earlier is not the engine's, and cannot be kept */
};

/* Unix time, in every test. */
#define FAKE_WALL_S 1700000000u

/* From now on the program is asked who sends a request, and takes it (`takes`) or has no opinion.
 */
void fake_host_ask_program(struct fake_host *fake, bool takes);

/* Makes a host of default rules with a session that has just been accepted, at 1000 ms. */
void fake_host_init(struct fake_host *fake);

/* Makes the session anew, in client role, and begins with a dial. Its key is the one of RFC 6455,
 * section 1.3. What it is told: "opened(chat)", "failed(FW_ERR_WS_REFUSED 404 body)". */
void fake_host_dial(struct fake_host *fake, struct fw_ws_dial *dial);

/* Clears the session (as a closed socket would), and frees everything. */
void fake_host_clear(struct fake_host *fake);

/* The peer's bytes come; nothing is flushed. */
void fake_host_receive(struct fake_host *fake, const void *bytes, size_t bytes_count);

/* The same in pieces of `piece` octets, each flushed. */
void fake_host_receive_pieces(struct fake_host *fake, const uint8_t *bytes, size_t bytes_count,
                              size_t piece);

/* Ends the turn: sends, as far as the window goes, and does what the session waits for, until
 * nothing changes any more. */
void fake_host_flush(struct fake_host *fake);

/* The peer opens its window by so many bytes, and the turn ends. */
void fake_host_take(struct fake_host *fake, size_t window);

/* Receives and flushes: a string, or one masked frame. */
void fake_host_say(struct fake_host *fake, const char *text);
void fake_host_frame(struct fake_host *fake, unsigned bits, const char *payload);
void fake_host_frame_bytes(struct fake_host *fake, unsigned bits, const void *payload,
                           size_t payload_bytes);

/* A valid opening handshake for a path, with more header lines or "". */
void fake_host_handshake(struct fake_host *fake, const char *path, const char *lines);

/* The same, and dies when it is not answered 101; forgets what was sent and told. */
void fake_host_open(struct fake_host *fake, const char *path);

/* Moves the clock, and rings the timer if it is due. The turn ends then. */
void fake_host_advance(struct fake_host *fake, uint64_t ms);

/* Publishes a text to a topic of this session, as a worker's fan-out does. The turn does not end.
 */
void fake_host_publish(struct fake_host *fake, const char *topic, const void *payload,
                       size_t payload_bytes);

/* The same of another type, and with a key. */
void fake_host_publish_as(struct fake_host *fake, const char *topic, uint8_t type, uint64_t key,
                          const void *payload, size_t payload_bytes);

/* What was sent, as text; terminated. */
const char *fake_host_sent(struct fake_host *fake);

/* What was sent after the opening handshake's answer, as a trace of ws_stream.h: "text(hi)
 * close(1000)". "BROKEN..." when it does not decode. */
const char *fake_host_frames(struct fake_host *fake);

/* The same of a client's: what was sent after its request. */
const char *fake_host_client_frames(struct fake_host *fake);

/* Forgets what was sent, told and logged so far. */
void fake_host_forget(struct fake_host *fake);

/* Appends to what was told. */
void fake_host_tell(struct fake_host *fake, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
