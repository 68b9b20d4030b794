/* client_thread.c: one thread of a client: its engine, its connections, and its errands.
 *
 * The loop is fw_client_thread_main. The table of connections is the server's (net/conn); what a
 * client's engine tells besides, the outcome of connects, is taken here first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/client/client_impl.h"

#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <fanwire/conn.h>
#include <fanwire/status.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

/* Errands done in a turn: what they connect goes out with it, and what came is not kept waiting. */
#define ERRANDS_PER_TURN 1024u
/* A thread that stops lets its connections say goodbye for this long. */
#define STOP_MS_MAX (FW_CLOSE_MS + 1000u)

static_assert(offsetof(struct fw_client_thread, conns) == 0, "a session's host is its thread");

static inline struct fw_client_thread *thread_of(const struct fw_session *session)
{
    return (struct fw_client_thread *)(void *)session->host;
}

static inline const struct fw_client_options *options_of(const struct fw_session *session)
{
    return &thread_of(session)->client->options;
}

static inline struct fw_conn *conn_of(struct fw_session *session)
{
    return (struct fw_conn *)(void *)session;
}

/* ---- what sessions ask ----------------------------------------------------------------------- */

static void refill(struct fw_client_thread *thread)
{
    size_t count = 0;
    while (count < sizeof thread->random) {
        ssize_t got = getrandom(thread->random + count, sizeof thread->random - count, 0);
        fw_assert(got > 0 || errno == EINTR); /* the kernel's generator does not fail */
        count += got > 0 ? (size_t)got : 0;
    }
    thread->random_left = sizeof thread->random;
}

static void up_random(struct fw_session *session, uint8_t *out, size_t bytes_count)
{
    struct fw_client_thread *thread = thread_of(session);
    fw_assert(bytes_count <= sizeof thread->random);
    if (FW_UNLIKELY(thread->random_left < bytes_count))
        refill(thread);
    thread->random_left -= (uint32_t)bytes_count;
    memcpy(out, thread->random + thread->random_left, bytes_count);
}

static void up_opened(struct fw_session *session, const struct fw_response *response)
{
    const struct fw_client_options *options = options_of(session);
    if (options->on_open != NULL)
        options->on_open(conn_of(session), response, options->context);
}

static void tell_failed(struct fw_client *client, void *user, int status,
                        const struct fw_response *response)
{
    if (client->options.on_fail != NULL)
        client->options.on_fail(user, status, response, client->options.context);
}

static void up_failed(struct fw_session *session, int status, const struct fw_response *response)
{
    tell_failed(thread_of(session)->client, session->user, status, response);
}

static void up_message(struct fw_session *session, uint8_t type, const uint8_t *bytes, size_t count)
{
    const struct fw_client_options *options = options_of(session);
    if (options->on_message != NULL)
        options->on_message(conn_of(session), (enum fw_message_type)type, bytes, count,
                            options->context);
}

static void up_closed(struct fw_session *session, unsigned code, struct fw_bytes reason)
{
    const struct fw_client_options *options = options_of(session);
    if (options->on_close != NULL)
        options->on_close(conn_of(session), code, (const char *)reason.at, reason.count,
                          options->context);
}

static void up_drained(struct fw_session *session)
{
    const struct fw_client_options *options = options_of(session);
    if (options->on_drain != NULL)
        options->on_drain(conn_of(session), options->context);
}

/* What only a server's sessions ask is not there. */
static const struct fw_session_upward upward = {
    .changed = fw_conn_changed,
    .keep = fw_conn_keep,
    .timer = fw_conn_set_timer,
    .message = up_message,
    .closed = up_closed,
    .drained = up_drained,
    .random = up_random,
    .opened = up_opened,
    .failed = up_failed,
};

/* ---- connects -------------------------------------------------------------------------------- */

static uint32_t take_tag(struct fw_client_thread *thread, struct fw_ws_dial *dial)
{
    uint32_t tag = thread->connecting_free - 1;
    if (thread->connecting_free == 0)
        tag = thread->connecting_touched++;
    else
        thread->connecting_free = thread->connecting[tag].next;
    thread->connecting[tag].dial = dial;
    return tag;
}

/* Gives a tag's dial back; the tag is free. */
static struct fw_ws_dial *give_tag(struct fw_client_thread *thread, uint32_t tag)
{
    struct fw_connecting *connecting = &thread->connecting[tag];
    struct fw_ws_dial *dial = connecting->dial;
    fw_assert(dial != NULL);
    *connecting = (struct fw_connecting){.next = thread->connecting_free};
    thread->connecting_free = tag + 1;
    return dial;
}

static void fail_dial(struct fw_client *client, struct fw_ws_dial *dial, int status)
{
    tell_failed(client, fw_ws_dial_user(dial), status, NULL);
    fw_ws_dial_destroy(dial);
}

static void connect_to(struct fw_client_thread *thread, struct fw_errand *errand)
{
    struct fw_client *client = thread->client;
    if (thread->said_goodbye) {
        fail_dial(client, errand->dial, FW_ERR_CLOSED);
        return;
    }
    /* The engine has a slot for each tag, and one more connect than tags is refused there. */
    uint32_t tag = 0;
    int slot = -ENFILE;
    if (thread->connecting_free != 0 || thread->connecting_touched < client->slots_max) {
        tag = take_tag(thread, errand->dial);
        slot = fw_engine_connect(thread->conns.engine, &errand->address.at.any,
                                 errand->address.bytes, tag, client->options.connect_timeout_ms);
        if (slot < 0)
            give_tag(thread, tag);
    }
    if (slot < 0)
        fail_dial(client, errand->dial, slot == -ENFILE ? FW_ERR_LIMIT : slot);
}

static void on_adopted(void *owner, uint32_t slot, uint32_t tag)
{
    struct fw_client_thread *thread = owner;
    thread->adopted = give_tag(thread, tag);
    fw_conns_events.on_adopted(owner, slot, tag);
}

static void on_connect_failed(void *owner, uint32_t tag, int status)
{
    struct fw_client_thread *thread = owner;
    fail_dial(thread->client, give_tag(thread, tag), status);
}

void fw_client_events_init(struct fw_engine_events *events)
{
    *events = fw_conns_events;
    events->on_adopted = on_adopted;
    events->on_connect_failed = on_connect_failed;
}

/* ---- errands --------------------------------------------------------------------------------- */

int fw_client_thread_post(struct fw_client_thread *thread, struct fw_errand *errand)
{
    enum fw_stack_pushed pushed = fw_stack_push(&thread->errands, &errand->link);
    if (pushed == FW_STACK_CLOSED)
        return FW_ERR_CLOSED;
    /* Either we see the engine, or its thread, which looks at the stack before it first waits, sees
     * the errand. Pairs with the store in start. */
    struct fw_engine *engine = atomic_load(&thread->engine);
    if (pushed == FW_STACK_WAS_EMPTY && engine != NULL)
        fw_engine_wake(engine);
    return 0;
}

/* Puts what was taken behind what is in the inbox. */
static void add_errands(struct fw_client_thread *thread, struct fw_stack_link *taken)
{
    struct fw_stack_link **end = &thread->inbox;
    while (*end != NULL)
        end = &(*end)->next;
    *end = taken;
}

static struct fw_errand *next_errand(struct fw_client_thread *thread)
{
    struct fw_errand *errand = (struct fw_errand *)(void *)thread->inbox;
    thread->inbox = errand->link.next;
    return errand;
}

static void do_errand(struct fw_client_thread *thread, struct fw_errand *errand)
{
    if (errand->function != NULL)
        errand->function(errand->argument);
    else
        connect_to(thread, errand);
    fw_mem_free(errand);
}

static void do_errands(struct fw_client_thread *thread, unsigned errands_max)
{
    for (unsigned i = 0; thread->inbox != NULL && i < errands_max; i++)
        do_errand(thread, next_errand(thread));
}

/* Nothing is taken any more; what was taken is done, which for a connect is its failure. */
static void close_errands(struct fw_client_thread *thread)
{
    thread->said_goodbye = true;
    add_errands(thread, fw_stack_close(&thread->errands));
    do_errands(thread, UINT32_MAX);
}

/* ---- what the table of connections tells ----------------------------------------------------- */

static void on_opened(void *owner, struct fw_conn *conn)
{
    struct fw_client_thread *thread = owner;
    struct fw_ws_dial *dial = thread->adopted;
    thread->adopted = NULL;
    const char *tls_name = fw_ws_dial_tls_name(dial);
    fw_ws_client_begin(&conn->session, dial);
    if (tls_name != NULL) {
        int status = fw_client_thread_begin_tls(thread, conn, tls_name);
        if (status != 0)
            fw_session_ended(&conn->session, status);
    }
    if (thread->said_goodbye)
        fw_session_stop(&conn->session);
}

static void on_gone(void *owner, struct fw_conn *conn)
{
    (void)owner;
    (void)conn;
}

static void on_wake(void *owner)
{
    (void)owner; /* errands and the stop are looked for at every turn's end */
}

static void on_turn(void *owner)
{
    struct fw_client_thread *thread = owner;
    if (thread->inbox == NULL)
        thread->inbox = fw_stack_take(&thread->errands);
    do_errands(thread, ERRANDS_PER_TURN);
    if (!atomic_load(&thread->client->stopping) || thread->said_goodbye)
        return;
    thread->said_goodbye = true;
    thread->stop_ms = thread->conns.host.now_ms + STOP_MS_MAX;
    fw_conns_stop(&thread->conns, 0, UINT32_MAX);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct fw_client_thread *fw_client_thread_create(struct fw_client *client, unsigned index)
{
    struct fw_client_thread *thread = fw_mem_zero(sizeof *thread);
    if (thread == NULL)
        return NULL;
    thread->client = client;
    thread->index = index;
    fw_log_init(&thread->log, client->log.sink, client->log.context);
    return thread;
}

void fw_client_thread_destroy(struct fw_client_thread *thread)
{
    if (thread == NULL)
        return;
    fw_engine_destroy(atomic_load(&thread->engine));
    /* Of a client that never ran: what was posted to it comes to nothing. */
    add_errands(thread, fw_stack_close(&thread->errands));
    while (thread->inbox != NULL) {
        struct fw_errand *errand = next_errand(thread);
        fw_ws_dial_destroy(errand->dial);
        fw_mem_free(errand);
    }
    if (thread->connecting != NULL)
        munmap(thread->connecting, sizeof *thread->connecting * thread->client->slots_max);
    fw_mem_free(thread);
}

static int start_compressor(struct fw_client_thread *thread)
{
    const struct fw_client *client = thread->client;
    if (!client->options.deflate)
        return 0;
    uint64_t contexts_bytes_max = client->options.deflate_bytes_max / client->threads_count;
    if (contexts_bytes_max > SIZE_MAX)
        contexts_bytes_max = SIZE_MAX;
    int result = fw_compressor_init(&thread->compressor, client->options.message_bytes_max,
                                    (size_t)contexts_bytes_max);
    if (result == 0)
        thread->conns.host.compressor = &thread->compressor;
    return result;
}

static int start_conns(struct fw_client_thread *thread, struct fw_engine *engine)
{
    struct fw_client *client = thread->client;
    struct fw_conns *conns = &thread->conns;
    int result = fw_conns_init(conns, client->slots_max, fw_engine_now_ms(engine));
    if (result != 0)
        return result;
    conns->engine = engine;
    conns->owner = thread;
    conns->on_opened = on_opened;
    conns->on_gone = on_gone;
    conns->on_wake = on_wake;
    conns->on_turn = on_turn;
    conns->host.context = client->options.context;
    conns->host.rules = &client->rules;
    conns->host.up = &upward;
    conns->host.log = &thread->log;
    refill(thread);
    memcpy(&conns->host.random, thread->random, sizeof conns->host.random);
    thread->random_left -= (uint32_t)sizeof conns->host.random;
    conns->host.random |= 1; /* a generator at 0 stays there */
    return start_compressor(thread);
}

static int start(struct fw_client_thread *thread)
{
    struct fw_client *client = thread->client;
    const struct fw_engine_options options = {.slots_max = client->slots_max,
                                              .connects_max = client->slots_max,
                                              .receive_bytes = FW_RECEIVE_BYTES_DEFAULT,
                                              .owner = thread,
                                              .events = &client->events};
    void *connecting =
        mmap(NULL, sizeof *thread->connecting * client->slots_max, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (connecting == MAP_FAILED)
        return -ENOMEM;
    thread->connecting = connecting;
    struct fw_engine *engine;
    int result = fw_engine_create(client->engine_kind, &options, &engine);
    if (result != 0)
        return result;
    atomic_store(&thread->engine, engine);
    return start_conns(thread, engine);
}

/* How long the next turn may wait. */
static int wait_ms(struct fw_client_thread *thread)
{
    bool stops = atomic_load(&thread->client->stopping);
    if (thread->inbox != NULL || !fw_stack_is_empty(&thread->errands) ||
        (stops && !thread->said_goodbye))
        return 0;
    int wait = fw_conns_wait_ms(&thread->conns);
    if (stops && (wait < 0 || wait > (int)FW_WHEEL_TICK_MS))
        return (int)FW_WHEEL_TICK_MS;
    return wait;
}

static bool finished(const struct fw_client_thread *thread)
{
    return thread->said_goodbye && thread->inbox == NULL &&
           (thread->conns.live_count == 0 ||
            fw_engine_now_ms(thread->conns.engine) >= thread->stop_ms);
}

/* Connects whose outcome nobody waits for any more. */
static void fail_connecting(struct fw_client_thread *thread)
{
    for (uint32_t tag = 0; tag < thread->connecting_touched; tag++) {
        if (thread->connecting[tag].dial != NULL)
            fail_dial(thread->client, give_tag(thread, tag), FW_ERR_CLOSED);
    }
}

void *fw_client_thread_main(void *argument)
{
    struct fw_client_thread *thread = argument;
    struct fw_client *client = thread->client;
    int result = start(thread);
    if (fw_client_thread_ready(client, result)) {
        while (!finished(thread) && result == 0)
            result = fw_engine_turn(thread->conns.engine, wait_ms(thread));
        if (result < 0)
            fw_log(&thread->log, FW_LOG_ERROR, "thread %u ended: its engine failed: %s",
                   thread->index, fw_status_text(result));
        if (result < 0)
            fw_client_stop(client);
    }
    /* The engine outlives its thread: others may wake it until the client is destroyed. */
    close_errands(thread);
    fail_connecting(thread);
    fw_conns_clear(&thread->conns);
    fw_client_thread_end_tls(thread);
    fw_compressor_clear(&thread->compressor);
    return NULL;
}

unsigned fw_conn_thread(const fw_conn *conn)
{
    fw_assert(fw_session_is_client(&conn->session));
    return thread_of(&conn->session)->index;
}
