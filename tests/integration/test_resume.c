/* test_resume.c: subscribers that are cut at random while four threads publish, and come back with
 * their position, on each transport (net/server/directory.h, core/session/resume.c).
 *
 * Every publisher writes down which message got which offset. A subscriber knows the offset of what
 * it receives: an event stream and a poll are told, a WebSocket counts from the position in its
 * handshake's answer. So each message that any of them got is compared with the one that was
 * published there: complete, in order, none twice. With a history that reaches, nobody may be told
 * of a gap; with one that does not, whoever is told of one had one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"
#include "support/random.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLISHERS  4u
#define SUBSCRIBERS 6u /* two of each transport */
#define OFFSETS_MAX (1u << 22)
#define BURST       8u
#define IN_BYTES    65536u
#define POSITION_IN "fanwire-position: "

struct torture {
    struct server server;
    atomic_bool stop;
    atomic_uint alive;        /* subscribers that are not done */
    _Atomic(uint32_t) *truth; /* by offset: publisher and number, 0 while not written down yet */
    unsigned cuts;
    unsigned narrow; /* history_count is small: gaps are allowed */
    atomic_uint gaps;
    atomic_uint cut;
    atomic_ullong received;
};

struct actor {
    struct torture *torture;
    unsigned index;
    uint64_t random;
    pthread_t thread;

    /* A subscriber's. */
    struct ws_client client;
    char in[IN_BYTES];
    size_t in_count;
    bool connected;
    uint64_t epoch;
    uint64_t offset; /* of the last message that it has */
};

static void must(bool fact, const char *what, const struct actor *actor)
{
    if (fact)
        return;
    fprintf(stderr, "subscriber %u at %" PRIu64 ": %s\n", actor->index, actor->offset, what);
    abort();
}

static uint32_t next_random(struct actor *actor, uint32_t bound)
{
    return (uint32_t)random_below(&actor->random, bound);
}

/* ---- publishers ------------------------------------------------------------------------------ */

static void *publish_all(void *context)
{
    struct actor *actor = context;
    struct torture *torture = actor->torture;
    uint32_t number = 0;
    while (!atomic_load(&torture->stop)) {
        for (unsigned i = 0; i < BURST; i++) {
            char text[32];
            struct fw_published published;
            uint32_t value = (actor->index + 1) << 24 | (++number & 0xffffff);
            int count = snprintf(text, sizeof text, "<%08x>", value);
            while (fw_publish(torture->server.server, "torture", FW_TEXT, text, (size_t)count,
                              &published) == FW_ERR_BUSY)
                server_nap(1);
            if (published.offset >= OFFSETS_MAX) {
                atomic_store(&torture->stop, true);
                return NULL;
            }
            atomic_store(&torture->truth[published.offset], value);
        }
        server_nap(server_is_instrumented() ? 8 : 1);
    }
    return NULL;
}

/* ---- subscribers ----------------------------------------------------------------------------- */

/* Reads more; false when the server ended. */
static bool read_more(struct actor *actor)
{
    must(actor->in_count < IN_BYTES - 1, "more than there is room for", actor);
    ssize_t got =
        ws_client_read(&actor->client, actor->in + actor->in_count, IN_BYTES - 1 - actor->in_count);
    must(got >= 0, "nothing came for too long", actor);
    if (got <= 0)
        return false;
    actor->in_count += (size_t)got;
    actor->in[actor->in_count] = '\0';
    return true;
}

static void take(struct actor *actor, size_t count)
{
    memmove(actor->in, actor->in + count, actor->in_count - count + 1);
    actor->in_count -= count;
}

static void disconnect(struct actor *actor)
{
    if (!actor->connected)
        return;
    if (next_random(actor, 2) == 0)
        ws_client_reset(&actor->client);
    else
        ws_client_close(&actor->client);
    actor->connected = false;
}

static void connect_to(struct actor *actor)
{
    ws_client_connect(&actor->client, actor->torture->server.address);
    actor->connected = true;
    actor->in_count = 0;
    actor->in[0] = '\0';
}

/* Asks for the topic from where this subscriber stands, and reads the head of the answer.
 *
 * returns      its status; 0 when the server ended
 */
static unsigned ask(struct actor *actor, const char *lines, char *head_out, size_t head_room)
{
    char request[512];
    char since[64] = "now";
    if (actor->epoch != 0)
        snprintf(since, sizeof since, "%" PRIx64 ":%" PRIu64, actor->epoch, actor->offset);
    snprintf(request, sizeof request, "GET /topics/torture?since=%s HTTP/1.1\r\nHost: x\r\n%s\r\n",
             since, lines);
    if (!ws_client_say(&actor->client, request))
        return 0;
    char *end;
    while ((end = strstr(actor->in, "\r\n\r\n")) == NULL) {
        if (!read_more(actor))
            return 0;
    }
    size_t count = (size_t)(end + 4 - actor->in);
    must(count < head_room, "a head without end", actor);
    memcpy(head_out, actor->in, count);
    head_out[count] = '\0';
    take(actor, count);
    for (char *c = head_out; *c != '\0'; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;
    unsigned status = 0;
    sscanf(head_out, "http/1.1 %u", &status);
    return status;
}

static void read_position(struct actor *actor, const char *text, uint64_t *offset_out)
{
    uint64_t epoch;
    must(sscanf(text, "%" SCNx64 ":%" SCNu64, &epoch, offset_out) == 2, "no position", actor);
    must(actor->epoch == 0 || actor->epoch == epoch, "another epoch", actor);
    actor->epoch = epoch;
}

static void read_position_header(struct actor *actor, const char *head, uint64_t *offset_out)
{
    const char *found = strstr(head, POSITION_IN);
    must(found != NULL, "no position in the head", actor);
    read_position(actor, found + strlen(POSITION_IN), offset_out);
}

/* The server says that there is a gap, and that it goes on behind `offset`. */
static void got_gap(struct actor *actor, uint64_t offset)
{
    must(actor->torture->narrow, "a gap, although the history reaches", actor);
    must(offset > actor->offset, "a gap where there is none", actor);
    actor->offset = offset;
    atomic_fetch_add(&actor->torture->gaps, 1);
}

/* A message came that is of this offset. */
static void got_message(struct actor *actor, uint64_t offset, const char *payload)
{
    uint32_t value = 0;
    must(offset == actor->offset + 1, "a message is missing, or here twice", actor);
    must(offset < OFFSETS_MAX && sscanf(payload, "<%8x>", &value) == 1, "no message", actor);
    actor->offset = offset;
    uint32_t truth;
    uint64_t until_ms = ws_client_now_ms() + WS_CLIENT_PATIENCE_MS;
    while ((truth = atomic_load(&actor->torture->truth[offset])) == 0) {
        must(ws_client_now_ms() < until_ms, "a message that nobody published", actor);
        sched_yield(); /* its publisher has not written it down yet */
    }
    must(truth == value, "another message than was published there", actor);
    atomic_fetch_add(&actor->torture->received, 1);
}

/* ---- WebSocket ------------------------------------------------------------------------------- */

#define UPGRADE                                                                                    \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* Receives frames until the cut; one of a close, too slow or with a gap, is one. */
static void follow_websocket(struct actor *actor, unsigned messages)
{
    char head[2048];
    uint64_t offset;
    connect_to(actor);
    if (ask(actor, UPGRADE, head, sizeof head) != 101)
        return;
    bool first = actor->epoch == 0;
    read_position_header(actor, head, &offset);
    if (first)
        actor->offset = offset;
    else if (strstr(head, "fanwire-recovered: false") != NULL)
        got_gap(actor, offset);
    must(offset == actor->offset, "recovered, but elsewhere", actor);
    while (messages-- > 0) {
        while (actor->in_count < 2 || actor->in_count < 2 + ((size_t)actor->in[1] & 0x7f)) {
            if (!read_more(actor))
                return;
        }
        size_t count = (size_t)actor->in[1] & 0x7f;
        unsigned opcode = (unsigned)actor->in[0] & 0x0f;
        if (opcode == 8)
            return;
        if (opcode == 1)
            got_message(actor, actor->offset + 1, actor->in + 2);
        take(actor, 2 + count);
    }
}

/* ---- event stream ---------------------------------------------------------------------------- */

static void got_event(struct actor *actor, const char *event, bool *first)
{
    const char *data = strstr(event, "data: ");
    const char *id = strstr(event, "id: ");
    uint64_t offset = 0;
    if (strstr(event, "event: reset") != NULL) {
        const char *text = strstr(event, "\"offset\":");
        must(text != NULL && sscanf(text, "\"offset\":%" SCNu64, &offset) == 1, "no offset", actor);
        got_gap(actor, offset);
        return;
    }
    if (id == NULL)
        return; /* a comment */
    read_position(actor, id + 4, &offset);
    if (data == NULL) { /* where the stream begins */
        if (*first)
            actor->offset = offset;
        *first = false;
        must(offset == actor->offset, "it begins elsewhere", actor);
        return;
    }
    got_message(actor, offset, data + 6);
}

static void follow_stream(struct actor *actor, unsigned messages)
{
    char head[2048];
    connect_to(actor);
    bool first = actor->epoch == 0;
    if (ask(actor, "Accept: text/event-stream\r\n", head, sizeof head) != 200)
        return;
    while (messages-- > 0) {
        char *end;
        while ((end = strstr(actor->in, "\n\n")) == NULL) {
            if (!read_more(actor))
                return;
        }
        *end = '\0';
        got_event(actor, actor->in, &first);
        take(actor, (size_t)(end + 2 - actor->in));
    }
}

/* ---- long poll ------------------------------------------------------------------------------- */

static void follow_polls(struct actor *actor, unsigned messages)
{
    char head[2048];
    connect_to(actor);
    while (messages-- > 0) {
        uint64_t offset;
        unsigned long count = 0;
        bool first = actor->epoch == 0;
        unsigned status = ask(actor, "", head, sizeof head);
        if (status == 0)
            return;
        read_position_header(actor, head, &offset);
        const char *length = strstr(head, "content-length: ");
        if (length != NULL)
            count = strtoul(length + 16, NULL, 10);
        while (actor->in_count < count) {
            if (!read_more(actor))
                return;
        }
        if (status == 410)
            got_gap(actor, offset);
        else if (first)
            actor->offset = status == 200 ? offset - 1 : offset;
        if (status == 200)
            got_message(actor, offset, actor->in);
        take(actor, count);
    }
}

/* ---- together -------------------------------------------------------------------------------- */

static void *subscribe_and_cut(void *context)
{
    struct actor *actor = context;
    struct torture *torture = actor->torture;
    for (unsigned i = 0; i < torture->cuts; i++) {
        unsigned messages = next_random(actor, 60);
        switch (actor->index % 3) {
        case 0:
            follow_websocket(actor, messages);
            break;
        case 1:
            follow_stream(actor, messages);
            break;
        default:
            follow_polls(actor, messages / 4);
            break;
        }
        disconnect(actor);
        atomic_fetch_add(&torture->cut, 1);
        if (torture->narrow && next_random(actor, 4) == 0)
            server_nap(next_random(actor, 20));
    }
    atomic_fetch_sub(&torture->alive, 1);
    return NULL;
}

/* FANWIRE_TEST_CUTS says how many cuts there are in all. */
static unsigned cuts_in_all(unsigned standard)
{
    const char *text = getenv("FANWIRE_TEST_CUTS");
    return text == NULL ? standard : (unsigned)strtoul(text, NULL, 10);
}

static void torture(enum fw_engine_choice engine, uint32_t history_count)
{
    struct torture *torture = calloc(1, sizeof *torture);
    struct actor *actors = calloc(PUBLISHERS + SUBSCRIBERS, sizeof *actors);
    struct fw_topic_info info;
    torture->truth = calloc(OFFSETS_MAX, sizeof *torture->truth);
    torture->narrow = history_count < 1000;
    torture->cuts = cuts_in_all(server_is_instrumented() ? 1200 : 10002) / SUBSCRIBERS;
    atomic_store(&torture->alive, SUBSCRIBERS);
    server_init(&torture->server, engine);
    torture->server.options.workers = 2;
    torture->server.options.feed = true;
    torture->server.options.history_count = history_count;
    torture->server.options.history_bytes = (uint64_t)1 << 32;
    torture->server.options.history_total_bytes = (uint64_t)1 << 32;
    server_start(&torture->server);
    struct ws_client first; /* what clients over TLS share is made before there are threads */
    ws_client_connect(&first, torture->server.address);
    ws_client_close(&first);
    for (unsigned i = 0; i < PUBLISHERS + SUBSCRIBERS; i++) {
        struct actor *actor = &actors[i];
        actor->torture = torture;
        actor->index = i < PUBLISHERS ? i : i - PUBLISHERS;
        actor->random = (i + 1) * 0x9e3779b97f4a7c15u;
        cr_assert_eq(pthread_create(&actor->thread, NULL,
                                    i < PUBLISHERS ? publish_all : subscribe_and_cut, actor),
                     0);
    }
    for (unsigned i = PUBLISHERS; i < PUBLISHERS + SUBSCRIBERS; i++)
        pthread_join(actors[i].thread, NULL);
    atomic_store(&torture->stop, true);
    for (unsigned i = 0; i < PUBLISHERS; i++)
        pthread_join(actors[i].thread, NULL);
    cr_assert_eq(atomic_load(&torture->alive), 0u);
    /* Every message for every subscriber is accounted for, once the last one has left. */
    EVENTUALLY(fw_topic_info(torture->server.server, "torture", &info) == 0 &&
               info.subscribers == 0 && info.owed == info.delivered + info.dropped + info.left);
    fprintf(stderr,
            "%s, history of %" PRIu32 ": %u cuts, %" PRIu64 " published, %llu received, %u gaps "
            "told; owed %" PRIu64 " = delivered %" PRIu64 " + dropped %" PRIu64 " + left %" PRIu64
            "\n",
            fw_server_engine(torture->server.server), history_count, atomic_load(&torture->cut),
            info.offset, atomic_load(&torture->received), atomic_load(&torture->gaps), info.owed,
            info.delivered, info.dropped, info.left);
    /* Several messages that went as one count as left behind when it was cut in the middle. */
    cr_expect_gt(info.delivered, atomic_load(&torture->received) * 3 / 4);
    if (torture->narrow)
        cr_expect_gt(atomic_load(&torture->gaps), 0u, "the narrow history never ran out");
    server_end(&torture->server);
    free((void *)torture->truth);
    free(actors);
    free(torture);
}

SERVER_TEST_AND_TLS(resume, misses_nothing_and_repeats_nothing_however_it_is_cut, 300)
{
    torture(engine, OFFSETS_MAX);
}

SERVER_TEST_AND_TLS(resume, is_told_of_each_gap_when_the_history_does_not_reach, 300)
{
    torture(engine, 40);
}
