/* fake_host.c: see fake_host.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/fake_host.h"

#include "base/limits.h"
#include "base/topic_name.h"
#include "session/encode.h"

#include <fanwire/status.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Passes of one flush: more means that the session never comes to rest. */
#define PASSES_MAX 100000
/* Payloads up to this length are written out. */
#define SHOWN_BYTES_MAX 64

/* Received bytes that must live until the turn ends. */
struct fake_input {
    struct fake_input *next;
    size_t count;
    uint8_t bytes[];
};

static struct fake_host *fake_of(struct fw_session *session)
{
    return (struct fake_host *)(void *)session->host;
}

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "fake_host: %s\n", what);
    abort();
}

/* ---- what happened --------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 0))) static void append(char *text, size_t text_bytes,
                                                         const char *format, va_list values)
{
    size_t used = strlen(text);
    int written = vsnprintf(text + used, text_bytes - used, format, values);
    if (written < 0 || (size_t)written >= text_bytes - used)
        die("more happened than there is room to write down");
}

void fake_host_tell(struct fake_host *fake, const char *format, ...)
{
    va_list values;
    if (fake->told[0] != '\0')
        strncat(fake->told, " ", sizeof fake->told - strlen(fake->told) - 1);
    va_start(values, format);
    append(fake->told, sizeof fake->told, format, values);
    va_end(values);
}

/* Octets as a string that lives until the next call: long ones by their number. */
static const char *shown(const uint8_t *bytes, size_t count)
{
    static char text[4 * SHOWN_BYTES_MAX + 1];
    if (count > SHOWN_BYTES_MAX) {
        snprintf(text, sizeof text, "#%zu", count);
        return text;
    }
    char *at = text;
    *at = '\0';
    for (size_t i = 0; i < count; i++) {
        bool plain = bytes[i] >= 0x20 && bytes[i] < 0x7f && bytes[i] != '\\';
        at += sprintf(at, plain ? "%c" : "\\x%02x", bytes[i]);
    }
    return text;
}

static void on_log(void *context, int level, const char *line)
{
    struct fake_host *fake = context;
    size_t used = strlen(fake->logged);
    snprintf(fake->logged + used, sizeof fake->logged - used, "%d %s\n", level, line);
}

/* ---- what sessions ask ----------------------------------------------------------------------- */

static void up_changed(struct fw_session *session)
{
    fake_of(session)->changes++;
    fake_of(session)->dirty = true;
}

static bool up_keep(struct fw_session *session)
{
    struct fake_host *fake = fake_of(session);
    bool keeps = fake->keeps && fake->receiving;
    fake->kept = fake->kept || keeps;
    return keeps;
}

static void up_timer(struct fw_session *session, uint64_t due_ms)
{
    fake_of(session)->timer_ms = due_ms;
}

static unsigned up_open(struct fw_session *session, const struct fw_request *request)
{
    struct fake_host *fake = fake_of(session);
    fake_host_tell(fake, "open(%s)", request->path);
    if (fake->on_open != NULL)
        fake->on_open(fake, request);
    return fake->answer;
}

static void up_message(struct fw_session *session, uint8_t type, const uint8_t *bytes, size_t count)
{
    struct fake_host *fake = fake_of(session);
    fake_host_tell(fake, "%s(%s)", type == FW_WS_TEXT ? "text" : "binary", shown(bytes, count));
    if (fake->on_message != NULL)
        fake->on_message(fake, type, bytes, count);
}

static void up_closed(struct fw_session *session, unsigned code, struct fw_bytes reason)
{
    struct fake_host *fake = fake_of(session);
    fake->ends_told++;
    fake_host_tell(fake, "closed(%u%s%s)", code, reason.count > 0 ? " " : "",
                   shown(reason.at, reason.count));
    if (fake->on_closed != NULL)
        fake->on_closed(fake);
}

static void up_drained(struct fw_session *session)
{
    struct fake_host *fake = fake_of(session);
    fake_host_tell(fake, "drained");
    if (fake->on_drained != NULL)
        fake->on_drained(fake);
}

static void up_request(struct fw_session *session, struct fw_request *request)
{
    struct fake_host *fake = fake_of(session);
    fake_host_tell(fake, "request(%s)", request->path);
    if (fake->on_request != NULL)
        fake->on_request(fake, request);
}

static struct fw_topic *topic_named(struct fake_host *fake, struct fw_bytes name)
{
    for (unsigned i = 0; i < fake->topics_count; i++) {
        if (fw_bytes_equal(fake->topics[i]->node.name, name))
            return fake->topics[i];
    }
    if (fake->topics_count == FAKE_TOPICS_MAX)
        die("too many topics");
    struct fw_topic *topic = fw_topic_create(name, 0xabc, 1);
    if (topic != NULL)
        topic->rules = &fake->topic_rules;
    if (topic != NULL)
        fake->topics[fake->topics_count++] = topic;
    return topic;
}

static int up_publish(struct fw_session *session, struct fw_bytes topic,
                      const struct fw_publication *publication, struct fw_published *published_out)
{
    struct fw_bytes payload = publication->payload;
    struct fake_host *fake = fake_of(session);
    if (fake->publish_result != 0)
        return fake->publish_result;
    if (!fw_topic_name_valid(topic))
        return FW_ERR_TOPIC;
    int count =
        snprintf(fake->published, sizeof fake->published, "%.*s %s(%s)", (int)topic.count,
                 (const char *)topic.at, publication->type == FW_WS_TEXT ? "text" : "binary",
                 shown(payload.at, payload.count));
    if (publication->key.count > 0)
        count += sprintf(fake->published + count, " key(%s)",
                         shown(publication->key.at, publication->key.count));
    if (publication->lives_ms > 0)
        sprintf(fake->published + count, " lives(%u)", publication->lives_ms);
    *published_out =
        (struct fw_published){.epoch = 0xabc, .offset = 7, .receivers = fake->receivers};
    return 0;
}

/* As the directory does, but for the locks. */
static void settle(struct fw_subscription *subscription)
{
    fw_subscription_set_state(subscription, subscription->next > subscription->local->topic->offset
                                                ? FW_SUBSCRIPTION_LIVE
                                                : FW_SUBSCRIPTION_BEHIND);
}

static int up_subscribe(struct fw_session *session, struct fw_bytes name,
                        const struct fw_since *since, struct fw_subscription *subscription,
                        struct fw_joined *joined_out)
{
    struct fake_host *fake = fake_of(session);
    if (fake->subscribe_result != 0)
        return fake->subscribe_result;
    struct fw_topic *topic = topic_named(fake, name);
    if (topic == NULL)
        return -12;
    struct fw_local *local = topic->interests[0].local;
    if (local == NULL)
        local = topic->interests[0].local = fw_local_create(topic);
    if (local == NULL)
        return -12;
    int result = fw_local_add(local, subscription);
    if (result != 0)
        return result;
    topic->subscribers++;
    topic->subscribers_by[subscription->transport]++;
    *joined_out = fw_topic_join(topic, since);
    subscription->next = joined_out->offset + 1;
    topic->owed += topic->offset - joined_out->offset;
    settle(subscription);
    return 0;
}

static size_t up_page(struct fw_session *session, struct fw_subscription *subscription,
                      struct fw_msg **msgs_out, struct fw_taken *taken_out)
{
    struct fake_host *fake = fake_of(session);
    struct fw_topic *topic = subscription->local->topic;
    uint64_t oldest = fw_history_oldest(&topic->history, topic->offset);
    size_t count = 0;
    taken_out->missed = oldest > subscription->next ? oldest - subscription->next : 0;
    subscription->next += taken_out->missed;
    while (subscription->next <= topic->offset && count < fake->page_messages) {
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
    subscription->local->topic->subscribers--;
    subscription->local->topic->subscribers_by[subscription->transport]--;
    fw_local_remove(subscription);
}

static int up_info(struct fw_session *session, struct fw_bytes name, struct fw_topic_info *info_out)
{
    struct fake_host *fake = fake_of(session);
    for (unsigned i = 0; i < fake->topics_count; i++) {
        const struct fw_topic *topic = fake->topics[i];
        if (!fw_bytes_equal(topic->node.name, name))
            continue;
        *info_out = (struct fw_topic_info){
            .epoch = topic->epoch,
            .offset = topic->offset,
            .subscribers = topic->subscribers,
            .subscribers_sse = topic->subscribers_by[FW_TRANSPORT_SSE],
            .subscribers_longpoll = topic->subscribers_by[FW_TRANSPORT_LONGPOLL],
            .history_count = topic->history.count,
            .history_oldest = fw_history_oldest(&topic->history, topic->offset),
            .history_bytes = topic->history.bytes,
        };
        return 0;
    }
    return FW_ERR_ABSENT;
}

static bool up_slow(struct fw_session *session, unsigned worker, struct fw_slow_report *report_out)
{
    if (worker == 0)
        fw_slow_report(&fake_of(session)->host, report_out);
    return worker == 0;
}

static bool up_busiest(struct fw_session *session, struct fw_busiest *busiest_out)
{
    struct fake_host *fake = fake_of(session);
    fw_busiest_init(busiest_out);
    for (unsigned i = 0; i < fake->topics_count; i++)
        fw_busiest_add(busiest_out, fake->topics[i]);
    busiest_out->at_ms = fake->host.now_ms;
    return !fake->counts_topics;
}

static bool up_ready(struct fw_session *session)
{
    return fake_of(session)->ready;
}

static struct fw_authorization *up_authorize(struct fw_session *session,
                                             const struct fw_request *request)
{
    struct fake_host *fake = fake_of(session);
    fake_host_tell(fake, "authorize(%s)", request->path);
    if (!fake->authorizes)
        return NULL;
    fake->authorization = (struct fw_authorization){.session = session};
    return &fake->authorization;
}

static bool up_certificate(struct fw_session *session, struct fw_bytes *subject_out)
{
    const struct fake_host *fake = fake_of(session);
    *subject_out = fw_bytes_of(fake->certificate == NULL ? "" : fake->certificate);
    return fake->certificate != NULL;
}

static uint64_t up_wall_s(struct fw_session *session)
{
    (void)session;
    return FAKE_WALL_S;
}

/* Two draws: sixteen octets are the handshake's key, four a frame's. */
static void up_random(struct fw_session *session, uint8_t *out, size_t bytes_count)
{
    struct fake_host *fake = fake_of(session);
    if (bytes_count == 16) {
        memcpy(out, "the sample nonce", 16);
        return;
    }
    uint32_t key = 0x5a000001 + fake->keys++;
    if (bytes_count != sizeof key)
        die("neither a handshake's key nor a frame's");
    memcpy(out, &key, sizeof key);
}

static void up_opened(struct fw_session *session, const struct fw_response *response)
{
    struct fake_host *fake = fake_of(session);
    fake_host_tell(fake, "opened(%s%s)", shown(response->protocol.at, response->protocol.count),
                   response->deflate ? " deflate" : "");
    if (fake->on_opened != NULL)
        fake->on_opened(fake, response);
}

static void up_failed(struct fw_session *session, int status, const struct fw_response *response)
{
    struct fake_host *fake = fake_of(session);
    fake->ends_told++;
    if (response == NULL)
        fake_host_tell(fake, "failed(%s)", fw_status_name(status));
    else
        fake_host_tell(fake, "failed(%s %u %s)", fw_status_name(status), response->head->status,
                       shown(response->body.at, response->body.count));
}

static const struct fw_session_upward upward = {
    .changed = up_changed,
    .keep = up_keep,
    .timer = up_timer,
    .open = up_open,
    .message = up_message,
    .closed = up_closed,
    .drained = up_drained,
    .request = up_request,
    .certificate = up_certificate,
    .wall_s = up_wall_s,
    .publish = up_publish,
    .subscribe = up_subscribe,
    .unsubscribe = up_unsubscribe,
    .page = up_page,
    .reached = up_reached,
    .info = up_info,
    .slow = up_slow,
    .busiest = up_busiest,
    .ready = up_ready,
    .random = up_random,
    .opened = up_opened,
    .failed = up_failed,
};

void fake_host_ask_program(struct fake_host *fake, bool takes)
{
    fake->upward = upward;
    fake->upward.authorize = up_authorize;
    fake->host.up = &fake->upward;
    fake->authorizes = takes;
}

/* ---- life ------------------------------------------------------------------------------------ */

void fake_host_init(struct fake_host *fake)
{
    memset(fake, 0, sizeof *fake);
    fake->rules = (struct fw_session_rules){
        .ws = {.message_bytes_max = FW_MESSAGE_BYTES_DEFAULT,
               .fragments_max = FW_FRAGMENTS_DEFAULT},
        .output_bytes_max = FW_OUTPUT_BYTES_DEFAULT,
        .output_soft_bytes = FW_OUTPUT_SOFT_BYTES,
        .publish_bytes_max = FW_PUBLISH_BYTES_DEFAULT,
        .authorize_timeout_ms = FW_AUTHORIZE_MS_DEFAULT,
        .handshake_timeout_ms = FW_HANDSHAKE_MS_DEFAULT,
        .ping_interval_ms = FW_PING_MS_DEFAULT,
        .pong_timeout_ms = FW_PONG_MS_DEFAULT,
        .feed = true,
    };
    fw_arena_init(&fake->arena);
    fw_log_init(&fake->log, on_log, fake);
    fake->host = (struct fw_session_host){.rules = &fake->rules,
                                          .up = &upward,
                                          .arena = &fake->arena,
                                          .hub = &fake->hub,
                                          .log = &fake->log,
                                          .now_ms = 1000,
                                          .random = 88172645463325252u};
    fw_hub_init(&fake->hub, fw_session_deliver);
    fake->hub.deliver_msgs = fw_session_deliver_msgs;
    fake->hub.encode = fw_session_encode_any;
    fake->hub.encoder = &fake->host;
    fake->topic_rules = (struct fw_topic_rules){.prefix = "",
                                                .history_count = 64,
                                                .history_bytes = FW_HISTORY_BYTES_DEFAULT,
                                                .history_age_ms = FW_HISTORY_AGE_MS_DEFAULT};
    fake->page_messages = FW_PAGE_MESSAGES_MAX;
    fake->window = SIZE_MAX;
    fake->ready = true;
    ws_trace_init(&fake->frames);
    fw_session_init(&fake->session, &fake->host);
}

void fake_host_dial(struct fake_host *fake, struct fw_ws_dial *dial)
{
    fw_session_clear(&fake->session);
    fake->rules.ws.client = true;
    fake->rules.feed = false;
    fw_session_init(&fake->session, &fake->host);
    fw_ws_client_begin(&fake->session, dial);
}

/* The turn is settled: what was kept is gone, and overwritten before. */
static void end_inputs(struct fake_host *fake)
{
    while (fake->inputs != NULL) {
        struct fake_input *next = fake->inputs->next;
        memset(fake->inputs->bytes, 0xdd, fake->inputs->count);
        free(fake->inputs);
        fake->inputs = next;
    }
}

void fake_host_clear(struct fake_host *fake)
{
    fw_session_clear(&fake->session);
    fw_session_host_clear(&fake->host);
    for (unsigned i = 0; i < fake->topics_count; i++) {
        if (fake->topics[i]->interests[0].local != NULL)
            fw_local_destroy(fake->topics[i]->interests[0].local);
        fw_topic_destroy(fake->topics[i]);
    }
    fw_arena_clear(&fake->arena);
    end_inputs(fake);
    ws_trace_clear(&fake->frames);
    free(fake->sent);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

void fake_host_receive(struct fake_host *fake, const void *bytes, size_t bytes_count)
{
    if (fake->gone || bytes_count == 0)
        return;
    struct fake_input *input = malloc(sizeof *input + bytes_count);
    if (input == NULL)
        die("out of memory");
    memcpy(input->bytes, bytes, bytes_count);
    input->count = bytes_count;
    fake->kept = false;
    fake->receiving = true;
    fw_session_received(&fake->session, input->bytes, bytes_count);
    fake->receiving = false;
    if (fake->kept) {
        input->next = fake->inputs;
        fake->inputs = input;
        return;
    }
    memset(input->bytes, 0xdd, bytes_count);
    free(input);
}

void fake_host_receive_pieces(struct fake_host *fake, const uint8_t *bytes, size_t bytes_count,
                              size_t piece)
{
    for (size_t at = 0; at < bytes_count; at += piece) {
        fake_host_receive(fake, bytes + at, bytes_count - at < piece ? bytes_count - at : piece);
        fake_host_flush(fake);
    }
}

static void take(struct fake_host *fake, const uint8_t *bytes, size_t count)
{
    if (fake->sent_count + count + 1 > fake->sent_room) {
        fake->sent_room = 2 * (fake->sent_count + count + 1);
        fake->sent = realloc(fake->sent, fake->sent_room);
        if (fake->sent == NULL)
            die("out of memory");
    }
    memcpy(fake->sent + fake->sent_count, bytes, count);
    fake->sent_count += count;
    fake->sent[fake->sent_count] = '\0';
}

/* Sends what the window takes; what it does not take is put back, as after a short send. */
static void send_queue(struct fake_host *fake)
{
    struct fw_session *session = &fake->session;
    struct fw_outq_entry entry;
    while (!session->blocked && fw_outq_take(&session->outq, &entry, 1) == 1) {
        size_t count = entry.bytes_count < fake->window ? entry.bytes_count : fake->window;
        take(fake, entry.bytes, count);
        if (fake->window != SIZE_MAX)
            fake->window -= count;
        if (count == entry.bytes_count) {
            session->begun = false;
            if (entry.share != NULL)
                fw_share_drop(entry.share);
            continue;
        }
        session->begun = session->begun || count > 0;
        session->blocked = true;
        entry.bytes += count;
        entry.bytes_count -= (uint32_t)count;
        if (fw_outq_put_back(&session->outq, &entry, 1) != 0)
            fw_session_finish(session, FW_END_ABORT);
    }
}

/* The queue is empty: what the session waits for happens. */
static void drained(struct fake_host *fake)
{
    struct fw_session *session = &fake->session;
    switch ((enum fw_session_end)session->end) {
    case FW_END_NOT:
        if (session->held != NULL || session->wants_drain || session->resumes ||
            session->answered || session->slow)
            fw_session_drained(session);
        break;
    case FW_END_LINGER:
    case FW_END_LINGER_SLOW:
        fake->shut = true;
        break;
    case FW_END_AWAIT:
        break;
    case FW_END_CLOSE:
    case FW_END_ABORT:
        fake->gone = true;
        fake->timer_ms = 0;
        break;
    }
}

void fake_host_flush(struct fake_host *fake)
{
    struct fw_session *session = &fake->session;
    for (unsigned pass = 0; !fake->gone; pass++) {
        if (pass == PASSES_MAX)
            die("the session never comes to rest");
        fw_session_catch_up(&fake->host);
        if (!fake->dirty)
            break;
        fake->dirty = false;
        if (session->phase == FW_PHASE_DONE) {
            fw_session_leave(session);
            if (session->end == FW_END_ABORT)
                fw_outq_clear(&session->outq);
        }
        send_queue(fake);
        if (fw_outq_empty(&session->outq))
            drained(fake);
    }
    if (fw_outq_keep(&session->outq) != 0) {
        fw_session_finish(session, FW_END_ABORT);
        fake_host_flush(fake);
        return;
    }
    fw_arena_reset(&fake->arena);
    end_inputs(fake);
}

void fake_host_take(struct fake_host *fake, size_t window)
{
    fake->window = window;
    fake->session.blocked = false;
    fake->dirty = true;
    fake_host_flush(fake);
}

void fake_host_say(struct fake_host *fake, const char *text)
{
    fake_host_receive(fake, text, strlen(text));
    fake_host_flush(fake);
}

void fake_host_frame_bytes(struct fake_host *fake, unsigned bits, const void *payload,
                           size_t payload_bytes)
{
    struct ws_stream stream = {0};
    ws_stream_frame(&stream, bits | WS_MASKED, payload, payload_bytes);
    fake_host_receive(fake, stream.bytes, stream.bytes_count);
    fake_host_flush(fake);
    ws_stream_clear(&stream);
}

void fake_host_frame(struct fake_host *fake, unsigned bits, const char *payload)
{
    fake_host_frame_bytes(fake, bits, payload, strlen(payload));
}

void fake_host_handshake(struct fake_host *fake, const char *path, const char *lines)
{
    char text[4096];
    int count = snprintf(text, sizeof text,
                         "GET %s HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                         "Sec-WebSocket-Version: 13\r\n%s\r\n",
                         path, lines);
    if (count < 0 || (size_t)count >= sizeof text)
        die("the handshake is too long");
    fake_host_say(fake, text);
}

void fake_host_open(struct fake_host *fake, const char *path)
{
    fake_host_handshake(fake, path, "");
    if (strncmp(fake_host_sent(fake), "HTTP/1.1 101 ", 13) != 0)
        die("the handshake was not answered 101");
    fake_host_forget(fake);
}

void fake_host_advance(struct fake_host *fake, uint64_t ms)
{
    fake->host.now_ms += ms;
    if (fake->timer_ms != 0 && fake->timer_ms <= fake->host.now_ms) {
        fake->timer_ms = 0;
        fw_session_timer(&fake->session);
    }
    fake_host_flush(fake);
}

void fake_host_publish(struct fake_host *fake, const char *topic, const void *payload,
                       size_t payload_bytes)
{
    fake_host_publish_as(fake, topic, FW_WS_TEXT, 0, payload, payload_bytes);
}

void fake_host_publish_as(struct fake_host *fake, const char *topic, uint8_t type, uint64_t key,
                          const void *payload, size_t payload_bytes)
{
    struct fw_topic *found = topic_named(fake, fw_bytes_of(topic));
    struct fw_msg *msg =
        fw_msg_create(type, (struct fw_bytes){(const uint8_t *)payload, payload_bytes});
    if (found == NULL || msg == NULL)
        die("out of memory");
    const struct fw_ws_header header = {
        .payload_bytes = payload_bytes, .opcode = type, .fin = true};
    msg->key = key;
    msg->frame_at = (uint8_t)(FW_MSG_HEADROOM - fw_ws_header_bytes(payload_bytes, false));
    fw_ws_header_encode(&header, msg->data + msg->frame_at);
    msg->topic = found;
    msg->offset = ++found->offset;
    found->owed += found->subscribers;
    fw_msg_hold(msg, 1);
    if (fw_history_reserve(&found->history, found->rules) != 0)
        die("out of memory");
    fw_history_add(&found->history, found->rules, msg);
    fw_hub_fan_out(&fake->hub, found->interests[0].local, &msg, 1);
}

/* ---- what was sent --------------------------------------------------------------------------- */

const char *fake_host_sent(struct fake_host *fake)
{
    take(fake, (const uint8_t *)"", 0);
    return (const char *)fake->sent;
}

/* Frames behind the head whose first line has this. */
static const char *frames_behind(struct fake_host *fake, const char *line,
                                 const struct fw_ws_rules *rules)
{
    const char *sent = fake_host_sent(fake);
    const char *upgrade = memmem(sent, fake->sent_count, line, strlen(line));
    size_t from = 0;
    if (upgrade != NULL) {
        const char *end =
            memmem(upgrade, fake->sent_count - (size_t)(upgrade - sent), "\r\n\r\n", 4);
        from = end == NULL ? fake->sent_count : (size_t)(end + 4 - sent);
    }
    struct ws_stream stream = {0};
    ws_stream_put(&stream, sent + from, fake->sent_count - from);
    ws_trace_clear(&fake->frames);
    ws_trace_init(&fake->frames);
    ws_trace_decode(&fake->frames, &stream, rules, false, NULL, 0, NULL);
    ws_stream_clear(&stream);
    return fake->frames.text;
}

const char *fake_host_frames(struct fake_host *fake)
{
    static const struct fw_ws_rules rules = {.message_bytes_max = FW_MESSAGE_BYTES_MAX,
                                             .client = true};
    return frames_behind(fake, "HTTP/1.1 101 ", &rules);
}

const char *fake_host_client_frames(struct fake_host *fake)
{
    static const struct fw_ws_rules rules = {.message_bytes_max = FW_MESSAGE_BYTES_MAX};
    return frames_behind(fake, "GET /", &rules);
}

void fake_host_forget(struct fake_host *fake)
{
    fake->sent_count = 0;
    fake->told[0] = '\0';
    fake->logged[0] = '\0';
}
