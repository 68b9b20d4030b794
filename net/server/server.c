/* server.c: a server's options and life, and publishing; its threads are worker.c and acceptor.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/server_impl.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/utf8.h"
#include "proto/ws_frame.h"
#include "session/json.h"
#include "session/origin.h"

#include <errno.h>
#include <fanwire/pubsub.h>
#include <fanwire/status.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* ---- options --------------------------------------------------------------------------------- */

static unsigned allowed_cpus(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return 1;
    int count = CPU_COUNT(&cpus);
    return count < 1 ? 1 : count > (int)FW_WORKERS_MAX ? FW_WORKERS_MAX : (unsigned)count;
}

static uint32_t or_default(uint32_t value, uint32_t standard)
{
    return value == 0 ? standard : value;
}

/* Copies as much of the caller's options as both sides know, and fills in the defaults. */
static void read_options(struct fw_server *server, const struct fw_server_options *options)
{
    struct fw_server_options *own = &server->options;
    size_t known = options->size < sizeof *own ? options->size : sizeof *own;
    memcpy(own, options, known);
    own->size = sizeof *own;
    own->workers = own->workers == 0 ? allowed_cpus() : own->workers;
    own->message_bytes_max =
        own->message_bytes_max == 0 ? FW_MESSAGE_BYTES_DEFAULT : own->message_bytes_max;
    own->fragments_max = or_default(own->fragments_max, FW_FRAGMENTS_DEFAULT);
    own->publish_bytes_max = or_default(own->publish_bytes_max, FW_PUBLISH_BYTES_DEFAULT);
    own->output_bytes_max = or_default(own->output_bytes_max, FW_OUTPUT_BYTES_DEFAULT);
    own->topics_max = or_default(own->topics_max, FW_TOPICS_DEFAULT);
    own->handshake_timeout_ms = or_default(own->handshake_timeout_ms, FW_HANDSHAKE_MS_DEFAULT);
    own->ping_interval_ms = or_default(own->ping_interval_ms, FW_PING_MS_DEFAULT);
    own->pong_timeout_ms = or_default(own->pong_timeout_ms, FW_PONG_MS_DEFAULT);
    own->history_count = own->history_count == 0 && !own->feed
                             ? FW_NO_HISTORY
                             : or_default(own->history_count, FW_HISTORY_COUNT_DEFAULT);
    own->history_age_ms = or_default(own->history_age_ms, FW_HISTORY_AGE_MS_DEFAULT);
    own->history_bytes = own->history_bytes == 0 ? FW_HISTORY_BYTES_DEFAULT : own->history_bytes;
    own->history_total_bytes =
        own->history_total_bytes == 0 ? FW_HISTORY_TOTAL_DEFAULT : own->history_total_bytes;
    own->control_per_second = or_default(own->control_per_second, FW_CONTROL_RATE_DEFAULT);
}

static int usage(struct fw_server *server, const char *what)
{
    fw_log(&server->log, FW_LOG_ERROR, "an option is out of its range: %s", what);
    return FW_ERR_USAGE;
}

/* Old versions of zlib let a peer corrupt memory; better not to start than to wait for it. */
static int check_zlib(struct fw_server *server)
{
    if (!server->options.deflate || fw_ws_deflate_version_good(fw_ws_deflate_version()))
        return 0;
    fw_log(&server->log, FW_LOG_ERROR, "zlib %s is not safe; deflate needs 1.2.12 or newer",
           fw_ws_deflate_version());
    return -ENOTSUP;
}

static int check_options(struct fw_server *server)
{
    const struct fw_server_options *options = &server->options;
    if (options->workers > FW_WORKERS_MAX)
        return usage(server, "workers must be 1 to 256");
    if (options->message_bytes_max > FW_MESSAGE_BYTES_MAX)
        return usage(server, "message_bytes_max must be at most 1073741824 (1 GiB)");
    if (options->publish_bytes_max > FW_MESSAGE_BYTES_MAX)
        return usage(server, "publish_bytes_max must be at most 1073741824 (1 GiB)");
    if (options->output_bytes_max < FW_OUTPUT_BYTES_MIN ||
        options->output_bytes_max > FW_MESSAGE_BYTES_MAX)
        return usage(server, "output_bytes_max must be 4096 to 1073741824");
    if (options->pong_timeout_ms > FW_TIMEOUT_MS_MAX ||
        options->handshake_timeout_ms > FW_TIMEOUT_MS_MAX ||
        (options->ping_interval_ms > FW_TIMEOUT_MS_MAX &&
         options->ping_interval_ms != FW_UNLIMITED))
        return usage(server, "a timeout must be at most 3600000 ms (an hour)");
    const char *const *origins = options->allow_origins;
    for (size_t i = 0; origins != NULL && origins[i] != NULL; i++) {
        if (!fw_origin_pattern_valid(origins[i]))
            return usage(server, "an allowed origin is SCHEME://HOST[:PORT], or *");
    }
    const char *const *hosts = options->allow_hosts;
    for (size_t i = 0; hosts != NULL && hosts[i] != NULL; i++) {
        if (!fw_host_pattern_valid(hosts[i]))
            return usage(server, "an allowed host is a name without a scheme, or *");
    }
    if (options->control_per_second > FW_CONTROL_RATE_MAX &&
        options->control_per_second != FW_UNLIMITED)
        return usage(server, "control_per_second must be 1 to 1000, or FW_UNLIMITED");
    return 0;
}

static int check_topics(struct fw_server *server)
{
    const struct fw_server_options *options = &server->options;
    struct fw_topic_settings all = {.prefix = "",
                                    .history_count = options->history_count,
                                    .history_age_ms = options->history_age_ms};
    if (options->topic_settings_count > FW_TOPIC_SETTINGS_MAX)
        return usage(server, "at most 1024 topic prefixes have settings");
    for (size_t i = 0; i <= options->topic_settings_count; i++) {
        const struct fw_topic_settings *topic = i == 0 ? &all : &options->topic_settings[i - 1];
        struct fw_bytes prefix = fw_bytes_of(topic->prefix == NULL ? "" : topic->prefix);
        if (prefix.count > 0 && !fw_topic_name_valid(prefix))
            return usage(server, "a topic prefix is the beginning of a topic's name");
        if (topic->history_count > FW_HISTORY_COUNT_MAX && topic->history_count != FW_NO_HISTORY)
            return usage(server, "history_count must be at most 16777216");
        if (topic->history_age_ms > FW_HISTORY_AGE_MS_MAX)
            return usage(server, "history_age_ms must be at most 604800000 (a week)");
        if ((unsigned)topic->policy > FW_SLOW_LATEST)
            return usage(server, "a policy is one of enum fw_slow_policy");
    }
    return 0;
}

/* Writes out what each prefix obeys: its own settings, the general ones where it has none. */
static int make_topic_rules(struct fw_server *server)
{
    const struct fw_server_options *options = &server->options;
    size_t count = 1 + options->topic_settings_count;
    struct fw_topic_rules *rules = fw_mem_zero(sizeof *rules * count);
    if (rules == NULL)
        return -ENOMEM;
    server->topic_rules = rules;
    server->topic_rules_count = count;
    for (size_t i = 0; i < count; i++) {
        static const struct fw_topic_settings none = {.prefix = ""};
        const struct fw_topic_settings *topic = i == 0 ? &none : &options->topic_settings[i - 1];
        uint32_t history = or_default(topic->history_count, options->history_count);
        rules[i] = (struct fw_topic_rules){
            .prefix = topic->prefix == NULL ? "" : topic->prefix,
            .history_count = history == FW_NO_HISTORY ? 0 : history,
            .history_bytes =
                topic->history_bytes == 0 ? options->history_bytes : topic->history_bytes,
            .history_age_ms = or_default(topic->history_age_ms, options->history_age_ms),
            .policy = (uint8_t)topic->policy,
        };
    }
    return 0;
}

static_assert((int)FW_SLOW_DISCONNECT == (int)FW_POLICY_DISCONNECT &&
                  (int)FW_SLOW_DROP_OLDEST == (int)FW_POLICY_DROP_OLDEST &&
                  (int)FW_SLOW_LATEST == (int)FW_POLICY_LATEST,
              "the public names of the policies");

static void make_rules(struct fw_server *server)
{
    const struct fw_server_options *options = &server->options;
    uint32_t output = options->output_bytes_max;
    server->rules = (struct fw_session_rules){
        .ws = {.message_bytes_max = options->message_bytes_max,
               .compressed_bytes_max = fw_ws_deflate_wire_bytes_max(options->message_bytes_max),
               .fragments_max =
                   options->fragments_max == FW_UNLIMITED ? 0 : options->fragments_max},
        .output_bytes_max = output,
        .output_soft_bytes = output / 4 < FW_OUTPUT_SOFT_BYTES ? output / 4 : FW_OUTPUT_SOFT_BYTES,
        .output_slow_bytes = output / 4,
        .publish_bytes_max = options->publish_bytes_max,
        .handshake_timeout_ms = options->handshake_timeout_ms,
        .ping_interval_ms =
            options->ping_interval_ms == FW_UNLIMITED ? 0 : options->ping_interval_ms,
        .pong_timeout_ms = options->pong_timeout_ms,
        .control_interval_ms =
            options->control_per_second == FW_UNLIMITED ? 0 : 1000 / options->control_per_second,
        .feed = options->feed,
        .allow_origins = options->allow_origins,
        .allow_hosts = options->allow_hosts,
    };
}

static int choose_engine(struct fw_server *server)
{
    enum fw_engine_kind wanted = server->options.engine == FW_USE_URING   ? FW_ENGINE_URING
                                 : server->options.engine == FW_USE_EPOLL ? FW_ENGINE_EPOLL
                                                                          : FW_ENGINE_AUTO;
    char why[512];
    int kind = fw_engine_choose(wanted, why, sizeof why);
    if (kind < 0) {
        fw_log(&server->log, FW_LOG_ERROR, "%s", why);
        return kind;
    }
    bool fell_back = wanted == FW_ENGINE_AUTO && kind == FW_ENGINE_EPOLL;
    fw_log(&server->log, fell_back ? FW_LOG_WARN : FW_LOG_INFO, "engine: %s", why);
    server->engine_kind = (enum fw_engine_kind)kind;
    return 0;
}

/* How many connections each worker may have: each ring has a table of its own, epoll's workers
 * share the process's. */
static void share_slots(struct fw_server *server)
{
    unsigned workers = server->workers_count;
    uint32_t limit = fw_engine_slots_limit(server->engine_kind);
    uint32_t each = server->engine_kind == FW_ENGINE_URING ? limit : limit / workers;
    uint32_t wanted = server->options.connections_max;
    if (wanted != 0 && (wanted + workers - 1) / workers < each)
        each = (wanted + workers - 1) / workers;
    server->slots_max = each == 0 ? 1 : each;
}

/* ---- creation -------------------------------------------------------------------------------- */

static int create_parts(struct fw_server *server)
{
    unsigned count = server->workers_count;
    server->workers = fw_mem_zero(sizeof(struct fw_worker *) * count);
    server->mailboxes = fw_mem_zero(sizeof(struct fw_mailbox *) * count);
    if (server->workers == NULL || server->mailboxes == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        server->workers[i] = fw_worker_create(server, i);
        if (server->workers[i] == NULL)
            return -ENOMEM;
        server->mailboxes[i] = &server->workers[i]->mailbox;
    }
    return fw_acceptor_init(&server->acceptor, server);
}

int fw_server_create(const struct fw_server_options *options, fw_server **server_out)
{
    if (options == NULL || options->size < offsetof(struct fw_server_options, workers))
        return FW_ERR_USAGE;
    struct fw_server *server = fw_mem_zero(sizeof *server);
    uint64_t random[3];
    if (server == NULL)
        return -ENOMEM;
    read_options(server, options);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, NULL);
    fw_log_init(&server->log, NULL, NULL);
    server->log.context = server->options.context;
    if (server->options.on_log != NULL)
        fw_log_init(&server->log, fw_server_log_line, server);
    server->workers_count = server->options.workers;
    int result = check_options(server);
    if (result == 0)
        result = check_topics(server);
    if (result == 0)
        result = check_zlib(server);
    if (result == 0)
        result = fw_server_tls_create(server);
    if (result == 0)
        result = choose_engine(server);
    if (result == 0 && getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        result = -EIO;
    if (result == 0) {
        make_rules(server);
        share_slots(server);
        result = create_parts(server);
    }
    if (result == 0)
        result = make_topic_rules(server);
    if (result == 0) {
        fw_directory_init(&server->directory, random, server->options.topics_max,
                          server->workers_count, server->mailboxes);
        fw_directory_set_rules(&server->directory, server->topic_rules, server->topic_rules_count,
                               server->options.history_total_bytes);
        if (server->options.feed)
            fw_json_use_own_heap();
        server->has_directory = true;
        *server_out = server;
        return 0;
    }
    fw_server_destroy(server);
    return result;
}

void fw_server_log_line(void *context, int level, const char *line)
{
    const struct fw_server *server = context;
    server->options.on_log(level, line, server->options.context);
}

static void close_listeners(struct fw_server *server)
{
    for (unsigned i = 0; i < server->listeners_count; i++) {
        /* A ring lets go of its files some time after it is closed; a socket that no longer listens
         * does not keep a new server from the port meanwhile. */
        shutdown(server->listeners[i].fd, SHUT_RDWR);
        close(server->listeners[i].fd);
        if (strncmp(server->listeners[i].address, "unix:", 5) == 0)
            unlink(server->listeners[i].address + 5);
    }
    server->listeners_count = 0;
}

void fw_server_destroy(fw_server *server)
{
    if (server == NULL)
        return;
    fw_assert(server->state == FW_CREATED || server->state == FW_STOPPED);
    atomic_store(&server->stop_target, NULL);
    fw_engine_destroy(server->acceptor.engine);
    for (unsigned i = 0; server->workers != NULL && i < server->workers_count; i++) {
        if (server->workers[i] != NULL)
            fw_engine_destroy(server->workers[i]->engine);
        fw_worker_destroy(server->workers[i]);
    }
    close_listeners(server);
    fw_acceptor_clear(&server->acceptor);
    if (server->has_directory)
        fw_directory_clear(&server->directory);
    fw_mem_free(server->topic_rules);
    fw_mem_free(server->workers);
    fw_mem_free(server->mailboxes);
    fw_server_tls_destroy(server);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->changed);
    fw_mem_free(server);
}

int fw_server_listen(fw_server *server, const char *address)
{
    if (server->state != FW_CREATED)
        return FW_ERR_USAGE;
    if (server->listeners_count == FW_LISTENERS_MAX)
        return FW_ERR_LIMIT;
    struct fw_listener *listener = &server->listeners[server->listeners_count];
    struct fw_sock_address parsed;
    bool plain = strncmp(address, "plain:", 6) == 0;
    int result = fw_sock_address_resolve(plain ? address + 6 : address, &parsed);
    if (result == 0)
        result = fw_sock_listen(&parsed, NULL, &listener->fd);
    if (result != 0)
        return result;
    if (fw_sock_address_bound(listener->fd, &parsed) == 0)
        fw_sock_address_text(&parsed.at.any, parsed.bytes, listener->address,
                             sizeof listener->address);
    /* A page in a browser reaches no path. */
    if (parsed.at.any.sa_family != AF_UNIX) {
        bool local = fw_sock_address_is_local(&parsed);
        server->beyond_loopback |= !local;
        server->rules.local_hosts = !server->beyond_loopback;
    }
    listener->tls = server->tls_place != NULL && !plain;
    server->listeners_count++;
    return 0;
}

const char *fw_server_address(const fw_server *server, unsigned listener)
{
    return listener < server->listeners_count ? server->listeners[listener].address : NULL;
}

const char *fw_server_engine(const fw_server *server)
{
    return fw_engine_kind_name(server->engine_kind);
}

unsigned fw_server_workers(const fw_server *server)
{
    return server->workers_count;
}

/* ---- life ------------------------------------------------------------------------------------ */

bool fw_server_thread_ready(struct fw_server *server, int status)
{
    pthread_mutex_lock(&server->lock);
    server->ready_count++;
    if (status != 0 && server->start_status == 0)
        server->start_status = status;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    return status == 0;
}

bool fw_server_wait_ready(struct fw_server *server, unsigned threads_count)
{
    pthread_mutex_lock(&server->lock);
    while (server->ready_count < threads_count && server->start_status == 0)
        pthread_cond_wait(&server->changed, &server->lock);
    bool good = server->start_status == 0;
    pthread_mutex_unlock(&server->lock);
    return good;
}

void fw_server_thread_ended(struct fw_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->ended_count++;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static void join_threads(struct fw_server *server)
{
    for (unsigned i = 0; i < server->workers_count; i++) {
        struct fw_worker *worker = server->workers[i];
        if (worker->has_thread)
            pthread_join(worker->thread, NULL);
        worker->has_thread = false;
    }
    if (server->acceptor.has_thread)
        pthread_join(server->acceptor.thread, NULL);
    server->acceptor.has_thread = false;
    close_listeners(server);
    server->state = FW_STOPPED;
}

/* Starts the acceptor and the workers from `first` on. A thread that cannot be made counts as one
 * that failed, so that the others do not wait for it. */
static void spawn(struct fw_server *server, unsigned first)
{
    server->state = FW_STARTING;
    int result =
        pthread_create(&server->acceptor.thread, NULL, fw_acceptor_main, &server->acceptor);
    server->acceptor.has_thread = result == 0;
    for (unsigned i = first; result == 0 && i < server->workers_count; i++) {
        struct fw_worker *worker = server->workers[i];
        result = pthread_create(&worker->thread, NULL, fw_worker_main, worker);
        worker->has_thread = result == 0;
    }
    if (result != 0)
        fw_server_thread_ready(server, -result);
}

int fw_server_start(fw_server *server)
{
    if (server->state != FW_CREATED || server->listeners_count == 0)
        return FW_ERR_USAGE;
    spawn(server, 0);
    if (fw_server_wait_ready(server, server->workers_count + 1)) {
        server->state = FW_RUNNING;
        return 0;
    }
    join_threads(server);
    return server->start_status;
}

void fw_server_wait(fw_server *server)
{
    if (server->state == FW_RUNNING)
        join_threads(server);
}

int fw_server_run(fw_server *server)
{
    if (server->state != FW_CREATED || server->listeners_count == 0)
        return FW_ERR_USAGE;
    spawn(server, 1);
    fw_worker_main(server->workers[0]);
    join_threads(server);
    return server->start_status;
}

void fw_server_stop(fw_server *server)
{
    atomic_store(&server->stopping, true);
    struct fw_engine *acceptor = atomic_load(&server->stop_target);
    if (acceptor != NULL)
        fw_engine_wake(acceptor);
}

/* ---- topics ---------------------------------------------------------------------------------- */

/* Writes the WebSocket header into the room in front of the payload: the one encoding that all
 * subscribers share. */
static void encode(struct fw_msg *msg)
{
    const struct fw_ws_header header = {
        .payload_bytes = msg->payload_bytes, .opcode = msg->type, .fin = true};
    size_t header_bytes = fw_ws_header_bytes(msg->payload_bytes, false);
    msg->frame_at = (uint8_t)(FW_MSG_HEADROOM - header_bytes);
    fw_ws_header_encode(&header, msg->data + msg->frame_at);
}

static int check_publish(const struct fw_server *server, struct fw_bytes topic,
                         const struct fw_publication *publication)
{
    struct fw_bytes payload = publication->payload;
    if (atomic_load_explicit(&server->stopping, memory_order_relaxed))
        return FW_ERR_CLOSED;
    if (!fw_topic_name_valid(topic))
        return FW_ERR_TOPIC;
    if (payload.count > server->options.publish_bytes_max)
        return FW_ERR_LIMIT;
    if (publication->key.count > FW_TOPIC_NAME_BYTES_MAX)
        return FW_ERR_LIMIT;
    if (publication->type == FW_TEXT && !fw_utf8_valid(payload.at, payload.count))
        return FW_ERR_NOT_UTF8;
    return 0;
}

int fw_server_publish(struct fw_server *server, struct fw_bytes topic,
                      const struct fw_publication *publication, uint64_t now_ms,
                      struct fw_published *published_out)
{
    int result = check_publish(server, topic, publication);
    if (result != 0)
        return result;
    struct fw_msg *msg = fw_msg_create(publication->type, publication->payload);
    if (msg == NULL)
        return -ENOMEM;
    if (publication->key.count > 0)
        msg->key = fw_siphash(server->directory.key, publication->key) | 1; /* never 0 */
    msg->lives_ms = publication->lives_ms;
    encode(msg);
    uint64_t wake[FW_WORKERS_MAX / 64] = {0};
    result = fw_directory_publish(&server->directory, topic, msg, now_ms, wake, published_out);
    fw_msg_drop(msg);
    for (unsigned i = 0; i < server->workers_count; i++) {
        if (wake[i / 64] >> (i % 64) & 1)
            fw_engine_wake(server->workers[i]->engine);
    }
    return result;
}

int fw_publish(fw_server *server, const char *topic, enum fw_message_type type, const void *bytes,
               size_t bytes_count, struct fw_published *published_out)
{
    return fw_publish_with(server, topic, type, bytes, bytes_count, NULL, published_out);
}

int fw_publish_with(fw_server *server, const char *topic, enum fw_message_type type,
                    const void *bytes, size_t bytes_count,
                    const struct fw_publish_options *publish_options,
                    struct fw_published *published_out)
{
    struct fw_published ignored;
    struct timespec now;
    struct fw_publish_options options = FW_PUBLISH_OPTIONS;
    if ((type != FW_TEXT && type != FW_BINARY) || topic == NULL ||
        (bytes == NULL && bytes_count > 0))
        return FW_ERR_USAGE;
    if (publish_options != NULL && publish_options->size < sizeof options)
        return FW_ERR_USAGE; /* no older one was ever shorter */
    if (publish_options != NULL)
        options = *publish_options;
    if (options.lives_ms > FW_HISTORY_AGE_MS_MAX)
        return FW_ERR_USAGE;
    const struct fw_publication publication = {
        .payload = {bytes, bytes_count},
        .key = fw_bytes_of(options.key == NULL ? "" : options.key),
        .lives_ms = options.lives_ms,
        .type = (uint8_t)type,
    };
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    return fw_server_publish(server, fw_bytes_of(topic), &publication, now_ms,
                             published_out == NULL ? &ignored : published_out);
}

int fw_topic_info(fw_server *server, const char *topic, struct fw_topic_info *info_out)
{
    struct fw_bytes name = fw_bytes_of(topic);
    if (!fw_topic_name_valid(name))
        return FW_ERR_TOPIC;
    return fw_directory_info(&server->directory, name, info_out);
}

/* ---- figures --------------------------------------------------------------------------------- */

static uint64_t load(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

uint64_t fw_server_worker_connections(const fw_server *server, unsigned worker)
{
    if (worker >= server->workers_count)
        return 0;
    /* Gone first: a connection that comes between the reads is counted, never one below zero. */
    uint64_t gone = atomic_load_explicit(&server->workers[worker]->gone, memory_order_acquire);
    return load(&server->workers[worker]->opened) - gone;
}

void fw_server_stats(const fw_server *server, struct fw_server_stats *stats_out)
{
    *stats_out = (struct fw_server_stats){0};
    for (unsigned i = 0; i < server->workers_count; i++) {
        const struct fw_worker *worker = server->workers[i];
        stats_out->connections += fw_server_worker_connections(server, i);
        stats_out->connections_accepted += load(&worker->opened);
        stats_out->connections_refused += load(&worker->refused);
        stats_out->messages_received += load(&worker->received);
        stats_out->messages_delivered += load(&worker->delivered);
        stats_out->slow_closed += load(&worker->slow);
        stats_out->deflate_bytes += load(&worker->deflate_bytes);
        stats_out->tls_connections += load(&worker->tls_conns);
        stats_out->tls_handshakes += load(&worker->tls_handshakes);
        stats_out->tls_resumed += load(&worker->tls_resumed);
        stats_out->tls_failed += load(&worker->tls_failed);
    }
    if (server->tls_place != NULL) {
        int64_t bytes = fw_tls_memory().bytes;
        stats_out->tls_bytes = bytes > 0 ? (uint64_t)bytes : 0;
    }
}
