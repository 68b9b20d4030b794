/* client.c: a client's options and life, connecting, and what responses say; its threads are
 * client_thread.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/client/client_impl.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/ws_url.h"

#include <errno.h>
#include <fanwire/status.h>
#include <stddef.h>
#include <string.h>

/* A server's message: feeds send more than they take. */
#define MESSAGE_BYTES_DEFAULT (16u << 20)

/* ---- options --------------------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t standard)
{
    return value == 0 ? standard : value;
}

/* Copies as much of the caller's options as both sides know, and fills in the defaults. */
static void read_options(struct fw_client *client, const struct fw_client_options *options)
{
    struct fw_client_options *own = &client->options;
    memcpy(own, options, options->size < sizeof *own ? options->size : sizeof *own);
    own->size = sizeof *own;
    own->threads = or_default(own->threads, 1);
    own->message_bytes_max =
        own->message_bytes_max == 0 ? MESSAGE_BYTES_DEFAULT : own->message_bytes_max;
    own->fragments_max = or_default(own->fragments_max, FW_UNLIMITED);
    own->output_bytes_max = or_default(own->output_bytes_max, FW_OUTPUT_BYTES_DEFAULT);
    own->connect_timeout_ms = or_default(own->connect_timeout_ms, FW_HANDSHAKE_MS_DEFAULT);
    own->handshake_timeout_ms = or_default(own->handshake_timeout_ms, FW_HANDSHAKE_MS_DEFAULT);
    own->ping_interval_ms = or_default(own->ping_interval_ms, FW_PING_MS_DEFAULT);
    own->pong_timeout_ms = or_default(own->pong_timeout_ms, FW_PONG_MS_DEFAULT);
}

static int usage(struct fw_client *client, const char *what)
{
    fw_log(&client->log, FW_LOG_ERROR, "an option is out of its range: %s", what);
    return FW_ERR_USAGE;
}

static int check_options(struct fw_client *client)
{
    const struct fw_client_options *options = &client->options;
    if (options->threads > FW_WORKERS_MAX)
        return usage(client, "threads must be 1 to 256");
    if (options->message_bytes_max > FW_MESSAGE_BYTES_MAX)
        return usage(client, "message_bytes_max must be at most 1073741824 (1 GiB)");
    if (options->output_bytes_max < FW_OUTPUT_BYTES_MIN ||
        options->output_bytes_max > FW_MESSAGE_BYTES_MAX)
        return usage(client, "output_bytes_max must be 4096 to 1073741824");
    if (options->connect_timeout_ms > FW_TIMEOUT_MS_MAX ||
        options->handshake_timeout_ms > FW_TIMEOUT_MS_MAX ||
        options->pong_timeout_ms > FW_TIMEOUT_MS_MAX ||
        (options->ping_interval_ms > FW_TIMEOUT_MS_MAX &&
         options->ping_interval_ms != FW_UNLIMITED))
        return usage(client, "a timeout must be at most 3600000 ms (an hour)");
    if (options->deflate && !fw_ws_deflate_version_good(fw_ws_deflate_version())) {
        fw_log(&client->log, FW_LOG_ERROR, "zlib %s is not safe; deflate needs 1.2.12 or newer",
               fw_ws_deflate_version());
        return -ENOTSUP;
    }
    return 0;
}

static void make_rules(struct fw_client *client)
{
    const struct fw_client_options *options = &client->options;
    uint32_t output = options->output_bytes_max;
    client->rules = (struct fw_session_rules){
        .ws = {.message_bytes_max = options->message_bytes_max,
               .compressed_bytes_max = fw_ws_deflate_wire_bytes_max(options->message_bytes_max),
               .fragments_max = options->fragments_max == FW_UNLIMITED ? 0 : options->fragments_max,
               .client = true},
        .output_bytes_max = output,
        .output_soft_bytes = output / 4 < FW_OUTPUT_SOFT_BYTES ? output / 4 : FW_OUTPUT_SOFT_BYTES,
        .handshake_timeout_ms = options->handshake_timeout_ms,
        .ping_interval_ms =
            options->ping_interval_ms == FW_UNLIMITED ? 0 : options->ping_interval_ms,
        .pong_timeout_ms = options->pong_timeout_ms,
    };
}

static int choose_engine(struct fw_client *client)
{
    enum fw_engine_kind wanted = client->options.engine == FW_USE_URING   ? FW_ENGINE_URING
                                 : client->options.engine == FW_USE_EPOLL ? FW_ENGINE_EPOLL
                                                                          : FW_ENGINE_AUTO;
    char why[512];
    int kind = fw_engine_choose(wanted, why, sizeof why);
    fw_log(&client->log, kind < 0 ? FW_LOG_ERROR : FW_LOG_INFO, "engine: %s", why);
    if (kind > 0)
        client->engine_kind = (enum fw_engine_kind)kind;
    return kind < 0 ? kind : 0;
}

/* How many connections each thread may have: each ring has a table of its own, epoll's threads
 * share the process's. */
static void share_slots(struct fw_client *client)
{
    unsigned threads = client->threads_count;
    uint32_t limit = fw_engine_slots_limit(client->engine_kind);
    uint32_t each = client->engine_kind == FW_ENGINE_URING ? limit : limit / threads;
    uint32_t wanted = client->options.connections_max;
    if (wanted != 0 && (wanted - 1) / threads + 1 < each)
        each = (wanted - 1) / threads + 1;
    each = each < FW_CONNS_SLOTS_MAX ? each : FW_CONNS_SLOTS_MAX;
    client->slots_max = each == 0 ? 1 : each;
}

/* ---- creation -------------------------------------------------------------------------------- */

static void log_line(void *context, int level, const char *line)
{
    const struct fw_client *client = context;
    client->options.on_log(level, line, client->options.context);
}

static int create_threads(struct fw_client *client)
{
    client->threads = fw_mem_zero(sizeof(struct fw_client_thread *) * client->threads_count);
    if (client->threads == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < client->threads_count; i++) {
        client->threads[i] = fw_client_thread_create(client, i);
        if (client->threads[i] == NULL)
            return -ENOMEM;
    }
    return 0;
}

int fw_client_create(const struct fw_client_options *options, fw_client **client_out)
{
    if (options == NULL || client_out == NULL ||
        options->size < offsetof(struct fw_client_options, threads))
        return FW_ERR_USAGE;
    struct fw_client *client = fw_mem_zero(sizeof *client);
    if (client == NULL)
        return -ENOMEM;
    read_options(client, options);
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->changed, NULL);
    fw_log_init(&client->log, NULL, NULL);
    if (client->options.on_log != NULL)
        fw_log_init(&client->log, log_line, client);
    fw_client_events_init(&client->events);
    client->threads_count = client->options.threads;
    int result = check_options(client);
    if (result == 0)
        result = choose_engine(client);
    if (result == 0)
        result = fw_client_tls_create(client);
    if (result == 0) {
        make_rules(client);
        share_slots(client);
        result = create_threads(client);
    }
    if (result != 0) {
        fw_client_destroy(client);
        return result;
    }
    *client_out = client;
    return 0;
}

void fw_client_destroy(fw_client *client)
{
    if (client == NULL)
        return;
    fw_assert(client->state != FW_CLIENT_RUNNING);
    for (unsigned i = 0; client->threads != NULL && i < client->threads_count; i++)
        fw_client_thread_destroy(client->threads[i]);
    fw_mem_free(client->threads);
    fw_client_tls_destroy(client);
    pthread_mutex_destroy(&client->lock);
    pthread_cond_destroy(&client->changed);
    fw_mem_free(client);
}

const char *fw_client_engine(const fw_client *client)
{
    return fw_engine_kind_name(client->engine_kind);
}

unsigned fw_client_threads(const fw_client *client)
{
    return client->threads_count;
}

/* ---- life ------------------------------------------------------------------------------------ */

static bool wait_ready(struct fw_client *client)
{
    pthread_mutex_lock(&client->lock);
    while (client->ready_count < client->threads_count && client->start_status == 0)
        pthread_cond_wait(&client->changed, &client->lock);
    bool good = client->start_status == 0;
    pthread_mutex_unlock(&client->lock);
    return good;
}

static void count_ready(struct fw_client *client, int status)
{
    pthread_mutex_lock(&client->lock);
    client->ready_count++;
    if (status != 0 && client->start_status == 0)
        client->start_status = status;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

bool fw_client_thread_ready(struct fw_client *client, int status)
{
    count_ready(client, status);
    return wait_ready(client);
}

static void join_threads(struct fw_client *client)
{
    for (unsigned i = 0; i < client->threads_count; i++) {
        struct fw_client_thread *thread = client->threads[i];
        if (thread->has_thread)
            pthread_join(thread->thread, NULL);
        thread->has_thread = false;
    }
    client->state = FW_CLIENT_STOPPED;
}

/* Starts the threads from `first` on. One that cannot be made counts as one that failed, so that
 * the others do not wait for it. */
static void spawn(struct fw_client *client, unsigned first)
{
    client->state = FW_CLIENT_RUNNING;
    int result = 0;
    for (unsigned i = first; result == 0 && i < client->threads_count; i++) {
        struct fw_client_thread *thread = client->threads[i];
        result = pthread_create(&thread->thread, NULL, fw_client_thread_main, thread);
        thread->has_thread = result == 0;
    }
    if (result != 0)
        count_ready(client, -result);
}

int fw_client_start(fw_client *client)
{
    if (client->state != FW_CLIENT_CREATED)
        return FW_ERR_USAGE;
    spawn(client, 0);
    if (wait_ready(client))
        return 0;
    join_threads(client);
    return client->start_status;
}

void fw_client_wait(fw_client *client)
{
    if (client->state == FW_CLIENT_RUNNING)
        join_threads(client);
}

int fw_client_run(fw_client *client)
{
    if (client->state != FW_CLIENT_CREATED)
        return FW_ERR_USAGE;
    spawn(client, 1);
    fw_client_thread_main(client->threads[0]);
    join_threads(client);
    return client->start_status;
}

void fw_client_stop(fw_client *client)
{
    atomic_store(&client->stopping, true);
    for (unsigned i = 0; i < client->threads_count; i++) {
        struct fw_engine *engine = atomic_load(&client->threads[i]->engine);
        if (engine != NULL)
            fw_engine_wake(engine);
    }
}

/* ---- connecting ------------------------------------------------------------------------------ */

static int make_errand(const struct fw_ws_url *url, const struct fw_connect_options *options,
                       struct fw_errand **errand_out)
{
    const struct fw_ws_dial_options wanted = {.host = url->host,
                                              .target = url->target,
                                              .protocols = options->protocols,
                                              .origin = options->origin,
                                              .headers = options->headers,
                                              .tls_name = url->secure ? url->name : NULL,
                                              .user = options->user};
    struct fw_errand *errand = fw_mem_zero(sizeof *errand);
    int result = errand == NULL ? -ENOMEM : fw_ws_dial_create(&wanted, &errand->dial);
    if (result == 0)
        result = fw_sock_address_resolve(url->address, &errand->address);
    if (result == 0) {
        *errand_out = errand;
        return 0;
    }
    if (errand != NULL)
        fw_ws_dial_destroy(errand->dial);
    fw_mem_free(errand);
    return result == FW_ERR_ADDRESS ? FW_ERR_URL : result;
}

static int post(struct fw_client *client, unsigned thread, struct fw_errand *errand)
{
    int result = fw_client_thread_post(client->threads[thread], errand);
    if (result != 0) {
        fw_ws_dial_destroy(errand->dial);
        fw_mem_free(errand);
    }
    return result;
}

int fw_client_connect(fw_client *client, const char *url, const struct fw_connect_options *options)
{
    struct fw_connect_options wanted = FW_CONNECT_OPTIONS;
    struct fw_ws_url parsed;
    if (options != NULL && options->size < sizeof options->size + sizeof options->user)
        return FW_ERR_USAGE;
    if (options != NULL)
        memcpy(&wanted, options, options->size < sizeof wanted ? options->size : sizeof wanted);
    int result = fw_ws_url_parse(url, &parsed);
    if (result != 0)
        return result;
    if (atomic_load(&client->stopping))
        return FW_ERR_CLOSED;
    struct fw_errand *errand = NULL;
    if (parsed.secure)
        result = fw_client_tls_need(client);
    if (result == 0)
        result = make_errand(&parsed, &wanted, &errand);
    if (result != 0)
        return result;
    return post(client, atomic_fetch_add(&client->next_thread, 1) % client->threads_count, errand);
}

int fw_client_post(fw_client *client, unsigned thread_index, void (*function)(void *argument),
                   void *argument)
{
    if (thread_index >= client->threads_count || function == NULL)
        return FW_ERR_USAGE;
    struct fw_errand *errand = fw_mem_zero(sizeof *errand);
    if (errand == NULL)
        return -ENOMEM;
    errand->function = function;
    errand->argument = argument;
    return post(client, thread_index, errand);
}

/* ---- responses ------------------------------------------------------------------------------- */

static const void *found(struct fw_bytes value, bool there, size_t *bytes_out)
{
    *bytes_out = there ? value.count : 0;
    return there ? value.at : NULL;
}

unsigned fw_response_status(const fw_response *response)
{
    return response->head->status;
}

const char *fw_response_header(const fw_response *response, const char *name, size_t *bytes_out)
{
    char lower[128];
    struct fw_bytes value = {0};
    size_t count = strlen(name);
    if (count >= sizeof lower)
        return found(value, false, bytes_out);
    for (size_t i = 0; i <= count; i++)
        lower[i] = (char)fw_ascii_lower((uint8_t)name[i]);
    int index = fw_http_find(response->head, response->bytes, lower, 0, &value);
    return found(value, index >= 0, bytes_out);
}

const char *fw_response_protocol(const fw_response *response, size_t *bytes_out)
{
    return found(response->protocol, response->protocol.count > 0, bytes_out);
}

const void *fw_response_body(const fw_response *response, size_t *bytes_out)
{
    return found(response->body, response->body.count > 0, bytes_out);
}
