/* sim_rig.c: see sim_rig.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/sim_rig.h"

#include "base/limits.h"
#include "session/encode.h"
#include "base/mem.h"
#include "session/request.h"

#include <fanwire/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOOD_BYTES 1000

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "sim_rig: %s\n", what);
    abort();
}

static void must(bool fact, const char *what)
{
    if (!fact)
        die(what);
}

static struct sim_rig *rig_of(struct fw_session *session)
{
    return (struct sim_rig *)(void *)session->host;
}

/* ---- the program ----------------------------------------------------------------------------- */

static void flood(struct fw_session *session)
{
    static const uint8_t payload[FLOOD_BYTES];
    struct sim_user *user = session->user;
    while (user->flood_left > 0) {
        int result =
            fw_ws_session_send(session, FW_WS_BINARY, (struct fw_bytes){payload, sizeof payload});
        if (result == FW_ERR_BUSY)
            rig_of(session)->answered_busy = true;
        if (result != 0)
            return;
        user->flood_left--;
    }
}

static unsigned up_open(struct fw_session *session, const struct fw_request *request)
{
    struct sim_rig *rig = rig_of(session);
    struct sim_user *user = &rig->users[((struct fw_conn *)(void *)session)->slot];
    if (strcmp(request->path, "/no") == 0)
        return 403;
    *user = (struct sim_user){0};
    session->user = user;
    rig->opened++;
    if (strncmp(request->path, "/room", 5) == 0) {
        fw_session_subscribe(session, fw_bytes_of("room"));
        fw_ws_session_send(session, FW_WS_TEXT, fw_bytes_of("welcome"));
    }
    return 0;
}

static void up_message(struct fw_session *session, uint8_t type, const uint8_t *bytes, size_t count)
{
    struct sim_user *user = session->user;
    must(user != NULL && !user->closed, "a message of a connection that is not open");
    switch (count == 0 ? 0 : bytes[0]) {
    case 'e':
        fw_ws_session_send(session, type, (struct fw_bytes){bytes, count});
        break;
    case 'p':
        sim_publish(rig_of(session), bytes, count);
        break;
    case 'f':
        user->flood_left += count > 1 ? (unsigned)(bytes[1] - '0') * 10 : 0;
        flood(session);
        break;
    case 'c':
        fw_ws_session_close(session, 4000, fw_bytes_of("as asked"));
        break;
    default:
        break;
    }
}

static void up_closed(struct fw_session *session, unsigned code, struct fw_bytes reason)
{
    struct sim_rig *rig = rig_of(session);
    struct sim_user *user = session->user;
    (void)reason;
    must(user != NULL, "closed without having been opened");
    must(!user->closed, "closed twice");
    must(code < 5000, "a close code over 4999");
    user->closed = true;
    rig->closed++;
    rig->codes[code]++;
    if (rig->on_closed != NULL)
        rig->on_closed(rig, session);
}

static void up_drained(struct fw_session *session)
{
    rig_of(session)->drained++;
    flood(session);
}

static void up_request(struct fw_session *session, struct fw_request *request)
{
    (void)session;
    (void)request; /* answered 404 */
}

static int up_publish(struct fw_session *session, struct fw_bytes topic,
                      const struct fw_publication *publication, struct fw_published *published_out)
{
    struct fw_bytes payload = publication->payload;
    (void)topic;
    *published_out = (struct fw_published){.epoch = 1, .offset = 1, .receivers = 0};
    return sim_publish(rig_of(session), payload.at, payload.count) ? 0 : -12;
}

/* A small page, so that many are taken. */
#define SIM_PAGE_MESSAGES 3

/* As the directory does, but for the locks; what is published may be on its way. */
static void settle(struct fw_subscription *subscription)
{
    fw_subscription_set_state(subscription, subscription->next > subscription->local->topic->offset
                                                ? FW_SUBSCRIPTION_FRESH
                                                : FW_SUBSCRIPTION_BEHIND);
}

static int up_subscribe(struct fw_session *session, struct fw_bytes topic,
                        const struct fw_since *since, struct fw_subscription *subscription,
                        struct fw_joined *joined_out)
{
    struct sim_rig *rig = rig_of(session);
    (void)topic;
    int result = fw_local_add(rig->local, subscription);
    if (result != 0)
        return result;
    *joined_out = fw_topic_join(rig->topic, since);
    subscription->next = joined_out->offset + 1;
    settle(subscription);
    return 0;
}

static size_t up_page(struct fw_session *session, struct fw_subscription *subscription,
                      struct fw_msg **msgs_out, struct fw_taken *taken_out)
{
    const struct fw_topic *topic = rig_of(session)->topic;
    uint64_t oldest = fw_history_oldest(&topic->history, topic->offset);
    size_t count = 0;
    taken_out->missed = oldest > subscription->next ? oldest - subscription->next : 0;
    subscription->next += taken_out->missed;
    while (subscription->next <= topic->offset && count < SIM_PAGE_MESSAGES) {
        msgs_out[count] = fw_history_at(&topic->history, topic->offset, subscription->next++);
        fw_msg_hold(msgs_out[count++], 1);
    }
    settle(subscription);
    return count;
}

static void up_reached(struct fw_session *session, struct fw_subscription *subscription,
                       uint64_t next)
{
    (void)session;
    subscription->next = next;
    settle(subscription);
}

static void up_unsubscribe(struct fw_session *session, struct fw_subscription *subscription)
{
    (void)session;
    fw_local_remove(subscription);
}

static int up_info(struct fw_session *session, struct fw_bytes topic,
                   struct fw_topic_info *info_out)
{
    (void)session;
    (void)topic;
    (void)info_out;
    return FW_ERR_ABSENT;
}

static bool up_slow(struct fw_session *session, unsigned worker, struct fw_slow_report *report_out)
{
    if (worker == 0)
        fw_slow_report(session->host, report_out);
    return worker == 0;
}

static bool up_busiest(struct fw_session *session, struct fw_busiest *busiest_out)
{
    (void)session;
    fw_busiest_init(busiest_out);
    return true;
}

static bool up_ready(struct fw_session *session)
{
    return !rig_of(session)->stopping;
}

static const struct fw_session_upward upward = {
    .changed = fw_conn_changed,
    .keep = fw_conn_keep,
    .timer = fw_conn_set_timer,
    .open = up_open,
    .message = up_message,
    .closed = up_closed,
    .drained = up_drained,
    .request = up_request,
    .publish = up_publish,
    .subscribe = up_subscribe,
    .unsubscribe = up_unsubscribe,
    .page = up_page,
    .reached = up_reached,
    .info = up_info,
    .slow = up_slow,
    .busiest = up_busiest,
    .ready = up_ready,
};

/* ---- what the table tells -------------------------------------------------------------------- */

static void on_opened(void *owner, struct fw_conn *conn)
{
    struct sim_rig *rig = owner;
    rig->adopted++;
    if (rig->stopping)
        fw_session_stop(&conn->session);
}

static void on_gone(void *owner, struct fw_conn *conn)
{
    (void)conn;
    ((struct sim_rig *)owner)->gone++;
}

static void on_wake(void *owner)
{
    (void)owner;
}

static void on_turn(void *owner)
{
    struct sim_rig *rig = owner;
    unsigned count = rig->posts_count;
    rig->posts_count = 0;
    if (count > 0)
        fw_hub_fan_out(&rig->hub, rig->local, rig->posts, count);
    fw_session_catch_up(&rig->conns.host);
}

bool sim_publish(struct sim_rig *rig, const void *payload, size_t payload_bytes)
{
    if (rig->posts_count == sizeof rig->posts / sizeof *rig->posts)
        return false;
    struct fw_msg *msg = fw_msg_create(FW_WS_TEXT, (struct fw_bytes){payload, payload_bytes});
    if (msg == NULL)
        return false;
    const struct fw_ws_header header = {
        .payload_bytes = payload_bytes, .opcode = FW_WS_TEXT, .fin = true};
    msg->frame_at = (uint8_t)(FW_MSG_HEADROOM - fw_ws_header_bytes(payload_bytes, false));
    fw_ws_header_encode(&header, msg->data + msg->frame_at);
    if (fw_history_reserve(&rig->topic->history, rig->topic->rules) != 0) {
        fw_msg_drop(msg);
        return false;
    }
    msg->topic = rig->topic;
    msg->offset = ++rig->topic->offset;
    if (rig->topic->rules->history_count > 0) {
        fw_msg_hold(msg, 1);
        fw_history_add(&rig->topic->history, rig->topic->rules, msg);
    }
    rig->posts[rig->posts_count++] = msg;
    rig->published++;
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct sim_rig *sim_create(uint32_t slots, uint64_t seed)
{
    struct sim_rig *rig = calloc(1, sizeof *rig);
    must(rig != NULL && slots <= SIM_SLOTS_MAX, "out of memory");
    const struct fw_engine_options options = {
        .slots_max = slots, .owner = &rig->conns, .events = &fw_conns_events};
    rig->sim = fw_sim_create(&options, seed);
    rig->rules = (struct fw_session_rules){
        .ws = {.message_bytes_max = FW_MESSAGE_BYTES_DEFAULT,
               .fragments_max = FW_FRAGMENTS_DEFAULT},
        .output_bytes_max = 65536,
        .output_soft_bytes = 16384,
        .publish_bytes_max = FW_PUBLISH_BYTES_DEFAULT,
        .handshake_timeout_ms = FW_HANDSHAKE_MS_DEFAULT,
        .ping_interval_ms = FW_PING_MS_DEFAULT,
        .pong_timeout_ms = FW_PONG_MS_DEFAULT,
        .feed = true,
    };
    struct fw_engine *engine = fw_sim_engine(rig->sim);
    must(fw_conns_init(&rig->conns, slots, fw_engine_now_ms(engine)) == 0, "out of memory");
    rig->conns.engine = engine;
    rig->conns.owner = rig;
    rig->conns.on_opened = on_opened;
    rig->conns.on_gone = on_gone;
    rig->conns.on_wake = on_wake;
    rig->conns.on_turn = on_turn;
    rig->conns.host.rules = &rig->rules;
    rig->conns.host.up = &upward;
    rig->conns.host.log = &rig->log;
    rig->conns.host.random = seed * 2 + 1;
    fw_log_init(&rig->log, NULL, NULL);
    fw_hub_init(&rig->hub, fw_session_deliver);
    rig->hub.deliver_msgs = fw_session_deliver_msgs;
    rig->hub.encode = fw_session_encode_any;
    rig->hub.encoder = &rig->conns.host;
    rig->conns.host.hub = &rig->hub;
    rig->topic = fw_topic_create(fw_bytes_of("room"), 1, 1);
    must(rig->topic != NULL, "out of memory");
    rig->local = fw_local_create(rig->topic);
    must(rig->local != NULL, "out of memory");
    return rig;
}

void sim_destroy(struct sim_rig *rig)
{
    for (unsigned i = 0; i < rig->posts_count; i++)
        fw_msg_drop(rig->posts[i]);
    fw_conns_clear(&rig->conns);
    fw_sim_destroy(rig->sim);
    must(rig->opened == rig->closed, "the program was not told of every end");
    fw_local_destroy(rig->local); /* asserts that nobody is left in it */
    fw_topic_destroy(rig->topic);
    free(rig);
}

struct fw_session *sim_session(struct sim_rig *rig, uint32_t slot)
{
    return &rig->conns.table[slot].session;
}

/* The simulator does not know what a worker asks before it waits: whether its turn may do so. */
void sim_run(struct sim_rig *rig)
{
    do {
        fw_sim_run(rig->sim);
    } while (fw_conns_wait_ms(&rig->conns) == 0 || rig->conns.host.resuming_count > 0 ||
             !fw_sim_is_quiet(rig->sim));
}

void sim_pass(struct sim_rig *rig, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += FW_WHEEL_TICK_MS) {
        fw_sim_advance(rig->sim, FW_WHEEL_TICK_MS);
        sim_run(rig);
    }
}

void sim_stop(struct sim_rig *rig)
{
    rig->stopping = true;
    fw_conns_stop(&rig->conns, 0, UINT32_MAX);
}

/* ---- scripts --------------------------------------------------------------------------------- */

void sim_script_open(struct ws_stream *script, const char *path)
{
    char text[512];
    int count = snprintf(text, sizeof text,
                         "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                         "Sec-WebSocket-Version: 13\r\n\r\n",
                         path);
    ws_stream_put(script, text, (size_t)count);
}

void sim_script_text(struct ws_stream *script, const char *text)
{
    ws_stream_text(script, WS_FIN | WS_MASKED | FW_WS_TEXT, text);
}

void sim_script_close(struct ws_stream *script)
{
    ws_stream_text(script, WS_FIN | WS_MASKED | FW_WS_CLOSE, "\x03\xe8");
}

const char *sim_frames(struct sim_rig *rig, uint32_t slot)
{
    static const struct fw_ws_rules rules = {.message_bytes_max = FW_MESSAGE_BYTES_MAX,
                                             .client = true};
    static char text[1 << 18];
    struct fw_bytes sent = fw_sim_sent(rig->sim, slot);
    struct ws_stream stream = {0};
    struct ws_trace trace;
    const uint8_t *end = sent.count > 4 ? memmem(sent.at, sent.count, "\r\n\r\n", 4) : NULL;
    size_t from = end == NULL ? sent.count : (size_t)(end + 4 - sent.at);
    ws_stream_put(&stream, sent.at + from, sent.count - from);
    ws_trace_init(&trace);
    ws_trace_decode(&trace, &stream, &rules, false, NULL, 0, NULL);
    must(trace.text_bytes < sizeof text, "a longer trace than there is room for");
    memcpy(text, trace.text, trace.text_bytes + 1);
    ws_trace_clear(&trace);
    ws_stream_clear(&stream);
    return text;
}
