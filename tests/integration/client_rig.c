/* client_rig.c: see client_rig.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/client_rig.h"

#include <stdio.h>
#include <string.h>

struct errand {
    struct caller *caller;
    const char *text;
    int status;
    atomic_bool done;
    bool on_its_thread;
};

static void note(struct caller *caller, char *out, size_t room, const void *bytes, size_t count)
{
    pthread_mutex_lock(&caller->lock);
    snprintf(out, room, "%.*s", (int)(count < room ? count : room - 1),
             bytes == NULL ? "" : (const char *)bytes);
    pthread_mutex_unlock(&caller->lock);
}

bool caller_logged(struct caller *caller, const char *text)
{
    pthread_mutex_lock(&caller->lock);
    bool there = strstr(caller->log, text) != NULL;
    pthread_mutex_unlock(&caller->lock);
    return there;
}

bool caller_noted(struct caller *caller, const char *where, const char *wanted)
{
    pthread_mutex_lock(&caller->lock);
    bool same = strcmp(where, wanted) == 0;
    pthread_mutex_unlock(&caller->lock);
    return same;
}

/* Sends until the connection owes too much; on_drain goes on. */
static void flood(struct caller *caller, fw_conn *conn)
{
    static const char block[10000] = "block";
    while (atomic_load(&caller->sent) < 500) {
        int status = fw_conn_send(conn, FW_BINARY, block, sizeof block);
        if (status == FW_ERR_BUSY)
            return;
        cr_assert_eq(status, 0);
        atomic_fetch_add(&caller->sent, 1);
    }
}

static void on_open(fw_conn *conn, const fw_response *response, void *context)
{
    struct caller *caller = context;
    size_t count;
    cr_assert_eq(fw_conn_context(conn), context);
    cr_assert_eq(fw_response_status(response), 101u);
    const char *protocol = fw_response_protocol(response, &count);
    note(caller, caller->protocol, sizeof caller->protocol, protocol, count);
    cr_assert_not_null(fw_response_header(response, "Sec-WebSocket-Accept", &count));
    cr_assert_eq(count, 28u);
    atomic_store(&caller->user, fw_conn_user(conn));
    atomic_store(&caller->conn, conn);
    atomic_store(&caller->thread, pthread_self());
    for (unsigned i = 0; i < caller->greetings; i++)
        cr_assert_eq(fw_conn_send(conn, FW_TEXT, "echo", 4), 0);
    cr_assert_eq(fw_conn_subscribe(conn, "room"), FW_ERR_USAGE);
    if (caller->floods)
        flood(caller, conn);
    atomic_fetch_add(&caller->opened, 1);
}

static void connect_again(struct caller *caller)
{
    if (caller->reconnects && atomic_fetch_sub(&caller->again, 1) > 0)
        cr_assert_eq(fw_client_connect(caller->client, caller->url, NULL), 0);
}

void caller_on_fail(void *user, int status, const fw_response *response, void *context)
{
    struct caller *caller = context;
    size_t count;
    atomic_store(&caller->user, user);
    atomic_store(&caller->status, status);
    atomic_store(&caller->http_status, response == NULL ? 0 : fw_response_status(response));
    if (response != NULL) {
        const void *body = fw_response_body(response, &count);
        note(caller, caller->body, sizeof caller->body, body, count);
        const char *location = fw_response_header(response, "LOCATION", &count);
        note(caller, caller->location, sizeof caller->location, location, count);
    }
    connect_again(caller);
    atomic_fetch_add(&caller->failed, 1);
}

static void on_message(fw_conn *conn, enum fw_message_type type, const void *bytes,
                       size_t bytes_count, void *context)
{
    struct caller *caller = context;
    (void)conn;
    (void)type;
    note(caller, caller->text, sizeof caller->text, bytes, bytes_count);
    atomic_fetch_add(&caller->messages, 1);
}

static void on_close(fw_conn *conn, unsigned code, const char *reason, size_t reason_bytes,
                     void *context)
{
    struct caller *caller = context;
    (void)conn;
    note(caller, caller->reason, sizeof caller->reason, reason, reason_bytes);
    atomic_store(&caller->code, code);
    connect_again(caller);
    atomic_fetch_add(&caller->closed, 1);
}

static void on_drain(fw_conn *conn, void *context)
{
    struct caller *caller = context;
    atomic_fetch_add(&caller->drained, 1);
    if (caller->floods)
        flood(caller, conn);
}

static void on_log(int level, const char *line, void *context)
{
    struct caller *caller = context;
    (void)level;
    pthread_mutex_lock(&caller->lock);
    size_t count = strlen(caller->log);
    snprintf(caller->log + count, sizeof caller->log - count, "%s\n", line);
    pthread_mutex_unlock(&caller->lock);
}

void caller_init(struct caller *caller, enum fw_engine_choice engine)
{
    memset(caller, 0, sizeof *caller);
    pthread_mutex_init(&caller->lock, NULL);
    caller->options = (struct fw_client_options)FW_CLIENT_OPTIONS;
    caller->options.context = caller;
    caller->options.engine = engine;
    caller->options.on_open = on_open;
    caller->options.on_fail = caller_on_fail;
    caller->options.on_message = on_message;
    caller->options.on_close = on_close;
    caller->options.on_drain = on_drain;
    caller->options.on_log = on_log;
    caller->options.tls_insecure = server_speaks_tls(); /* its certificate is its own */
}

void caller_start(struct caller *caller)
{
    cr_assert_eq(fw_client_create(&caller->options, &caller->client), 0);
    cr_assert_eq(fw_client_start(caller->client), 0);
}

void caller_end(struct caller *caller)
{
    fw_client_stop(caller->client);
    fw_client_wait(caller->client);
    fw_client_destroy(caller->client);
    cr_assert_eq(atomic_load(&caller->opened), atomic_load(&caller->closed),
                 "%u were open, %u told of their end", atomic_load(&caller->opened),
                 atomic_load(&caller->closed));
    pthread_mutex_destroy(&caller->lock);
}

void caller_aim(struct caller *caller, const struct server *server, const char *path)
{
    snprintf(caller->url, sizeof caller->url, "%s://%s%s", server_speaks_tls() ? "wss" : "ws",
             server->address, path);
}

int caller_call(struct caller *caller, const struct server *server, const char *path)
{
    caller_aim(caller, server, path);
    return fw_client_connect(caller->client, caller->url, NULL);
}

void caller_send(void *argument)
{
    struct errand *posted = argument;
    fw_conn *conn = atomic_load(&posted->caller->conn);
    posted->on_its_thread =
        pthread_equal(pthread_self(), atomic_load(&posted->caller->thread)) != 0;
    posted->status = fw_conn_send(conn, FW_TEXT, posted->text, strlen(posted->text));
    atomic_store(&posted->done, true);
}

void caller_close(void *argument)
{
    struct errand *posted = argument;
    posted->status = fw_conn_close(atomic_load(&posted->caller->conn), 4000, posted->text);
    atomic_store(&posted->done, true);
}

int caller_run(struct caller *caller, void (*function)(void *argument), const char *text)
{
    struct errand posted = {.caller = caller, .text = text};
    unsigned thread = fw_conn_thread(atomic_load(&caller->conn));
    cr_assert_eq(fw_client_post(caller->client, thread, function, &posted), 0);
    EVENTUALLY(atomic_load(&posted.done));
    return posted.status;
}
