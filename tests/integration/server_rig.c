/* server_rig.c: see server_rig.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FLOOD_BYTES 64000

/* A connection's user data. */
struct user {
    unsigned flood_left;
};

bool server_is_instrumented(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return false;
}

void server_nap(unsigned ms)
{
    const struct timespec nap = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&nap, NULL);
}

/* ---- the program ----------------------------------------------------------------------------- */

static void on_log(int level, const char *line, void *context)
{
    struct server *server = context;
    pthread_mutex_lock(&server->lock);
    size_t used = strlen(server->log);
    snprintf(server->log + used, sizeof server->log - used, "%d %s\n", level, line);
    pthread_mutex_unlock(&server->lock);
}

static unsigned on_open(fw_conn *conn, const fw_request *request, void *context)
{
    struct server *server = context;
    const char *path = fw_request_path(request);
    atomic_store(&server->callback_thread, pthread_self());
    if (strncmp(path, "/refuse/", 8) == 0)
        return (unsigned)atoi(path + 8);
    struct user *user = calloc(1, sizeof *user);
    if (user == NULL || fw_conn_user(conn) != NULL || fw_conn_context(conn) != server)
        abort();
    fw_conn_set_user(conn, user);
    atomic_fetch_add(&server->opened, 1);
    if (strncmp(path, "/room", 5) == 0) {
        if (fw_conn_subscribe(conn, "room") != 0 || fw_conn_send(conn, FW_TEXT, "welcome", 7) != 0)
            abort();
    }
    return 0;
}

static void flood(fw_conn *conn, struct server *server)
{
    static const uint8_t payload[FLOOD_BYTES];
    struct user *user = fw_conn_user(conn);
    while (user->flood_left > 0) {
        int result = fw_conn_send(conn, FW_BINARY, payload, sizeof payload);
        if (result == FW_ERR_BUSY)
            atomic_fetch_add(&server->busy, 1);
        if (result != 0)
            return;
        user->flood_left--;
    }
}

static void answer(fw_conn *conn, int status)
{
    const char *name = fw_status_name(status);
    fw_conn_send(conn, FW_TEXT, name, strlen(name));
}

static void obey(fw_conn *conn, struct server *server, const char *text, size_t count)
{
    char rest[256];
    snprintf(rest, sizeof rest, "%.*s", count > 0 ? (int)count - 1 : 0, count > 0 ? text + 1 : "");
    switch (count > 0 ? text[0] : 0) {
    case 'p':
        fw_publish(server->server, "room", FW_TEXT, text, count, NULL);
        break;
    case 's':
        answer(conn, fw_conn_subscribe(conn, rest));
        break;
    case 'u':
        answer(conn, fw_conn_unsubscribe(conn, rest));
        break;
    case 'c': {
        char *reason = NULL;
        unsigned code = (unsigned)strtoul(rest, &reason, 10);
        int result = fw_conn_close(conn, code, *reason == ' ' ? reason + 1 : NULL);
        if (result != 0)
            answer(conn, result);
        break;
    }
    case 'f':
        ((struct user *)fw_conn_user(conn))->flood_left += (unsigned)atoi(rest);
        flood(conn, server);
        break;
    case 'b':
        atomic_fetch_add(&server->blocked, 1);
        while (atomic_load(&server->blocks))
            server_nap(2);
        atomic_fetch_sub(&server->blocked, 1);
        break;
    default:
        break;
    }
}

static void on_message(fw_conn *conn, enum fw_message_type type, const void *bytes,
                       size_t bytes_count, void *context)
{
    struct server *server = context;
    if (fw_conn_user(conn) == NULL)
        abort();
    atomic_fetch_add(&server->messages, 1);
    if (bytes_count > 0 && *(const char *)bytes == 'e')
        fw_conn_send(conn, type, bytes, bytes_count);
    else
        obey(conn, server, bytes, bytes_count);
}

static void on_close(fw_conn *conn, unsigned code, const char *reason, size_t reason_bytes,
                     void *context)
{
    struct server *server = context;
    struct user *user = fw_conn_user(conn);
    if (user == NULL || code >= 5000)
        abort(); /* told twice, or of what was not opened */
    fw_conn_set_user(conn, NULL);
    free(user);
    pthread_mutex_lock(&server->lock);
    snprintf(server->last_reason, sizeof server->last_reason, "%.*s", (int)reason_bytes,
             reason_bytes > 0 ? reason : "");
    pthread_mutex_unlock(&server->lock);
    atomic_fetch_add(&server->codes[code], 1);
    atomic_fetch_add(&server->closed, 1);
}

static void on_drain(fw_conn *conn, void *context)
{
    struct server *server = context;
    atomic_fetch_add(&server->drained, 1);
    flood(conn, server);
}

static void on_request(fw_request *request, void *context)
{
    struct server *server = context;
    atomic_fetch_add(&server->requests, 1);
    if (strcmp(fw_request_path(request), "/hello") == 0)
        fw_request_answer(request, 200, "text/plain", NULL, "hello", 5);
}

/* ---- its life -------------------------------------------------------------------------------- */

void server_needs(enum fw_engine_choice engine)
{
    struct server server;
    server_init(&server, engine);
    int result = fw_server_create(&server.options, &server.server);
    if (result == FW_ERR_ENGINE)
        cr_skip_test("%s", server.log);
    cr_assert_eq(result, 0);
    fw_server_destroy(server.server);
    pthread_mutex_destroy(&server.lock);
}

void server_speak_tls(void)
{
    ws_client_layer = &tls_layer;
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
}

bool server_speaks_tls(void)
{
    return ws_client_layer == &tls_layer;
}
/* Tests write their own requests; those of the Host rule take this away. */
static const char *const any_host[] = {"*", NULL};

void server_init(struct server *server, enum fw_engine_choice engine)
{
    memset(server, 0, sizeof *server);
    pthread_mutex_init(&server->lock, NULL);
    server->options = (struct fw_server_options)FW_SERVER_OPTIONS;
    server->options.context = server;
    server->options.on_open = on_open;
    server->options.on_message = on_message;
    server->options.on_close = on_close;
    server->options.on_drain = on_drain;
    server->options.on_request = on_request;
    server->options.on_log = on_log;
    server->options.workers = 1;
    server->options.engine = engine;
    server->options.allow_hosts = any_host;
    server->options.tls_self_signed = server_speaks_tls();
}

void server_show(struct server *server, const struct tls_files *first,
                 const struct tls_files *second)
{
    const struct tls_files *files[] = {first, second, NULL};
    for (size_t i = 0; i < 3; i++) {
        server->tls_certificates[i] = files[i] == NULL ? NULL : files[i]->certificate;
        server->tls_keys[i] = files[i] == NULL ? NULL : files[i]->key;
    }
    server->options.tls_self_signed = false;
    server->options.tls_cert_files = server->tls_certificates;
    server->options.tls_key_files = server->tls_keys;
}

void server_start(struct server *server)
{
    int result = fw_server_create(&server->options, &server->server);
    cr_assert_eq(result, 0, "%s: %s", fw_status_name(result), server->log);
    cr_assert_eq(fw_server_listen(server->server, "127.0.0.1:0"), 0);
    server->address = fw_server_address(server->server, 0);
    if (server->listens_twice) {
        cr_assert_eq(fw_server_listen(server->server, "127.0.0.1:0"), 0);
        server->second = fw_server_address(server->server, 1);
    }
    result = fw_server_start(server->server);
    cr_assert_eq(result, 0, "%s: %s", fw_status_name(result), server->log);
}

void server_end(struct server *server)
{
    fw_server_stop(server->server);
    fw_server_wait(server->server);
    unsigned opened = atomic_load(&server->opened);
    unsigned closed = atomic_load(&server->closed);
    fw_server_destroy(server->server);
    pthread_mutex_destroy(&server->lock);
    cr_assert_eq(opened, closed, "%u connections were accepted, %u told of their end", opened,
                 closed);
}

void server_unblock(struct server *server)
{
    atomic_store(&server->blocks, false);
}

struct ws_client server_client(struct server *server, const char *path)
{
    return server_client_at(server->address, path);
}

struct ws_client server_client_at(const char *address, const char *path)
{
    struct ws_client client;
    ws_client_connect(&client, address);
    unsigned status = ws_client_open(&client, path, "");
    cr_assert_eq(status, 101u, "%s was answered %u", path, status);
    return client;
}

bool server_logged(struct server *server, const char *text)
{
    pthread_mutex_lock(&server->lock);
    bool found = strstr(server->log, text) != NULL;
    pthread_mutex_unlock(&server->lock);
    return found;
}

uint64_t server_connections(struct server *server)
{
    struct fw_server_stats stats;
    fw_server_stats(server->server, &stats);
    return stats.connections;
}

/* ---- figures --------------------------------------------------------------------------------- */

uint64_t server_cpu_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

uint64_t server_resident_bytes(void)
{
    unsigned long long pages = 0;
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%llu %llu", &pages, &resident) != 2)
        abort();
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}
