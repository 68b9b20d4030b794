/* server.c: a server's options and life, and publishing; its threads are worker.c and acceptor.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/server_impl.h"

#include "access/origin.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/topic_name.h"
#include "proto/json.h"
#include "proto/utf8.h"
#include "proto/ws_frame.h"

#include <errno.h>
#include <fcntl.h>
#include <fanwire/pubsub.h>
#include <fanwire/status.h>
#include <sched.h>
#include <stddef.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* ---- options --------------------------------------------------------------------------------- */

unsigned fw_server_cpus(void)
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
    own->workers = own->workers == 0 ? fw_server_cpus() : own->workers;
    own->message_bytes_max =
        own->message_bytes_max == 0 ? FW_MESSAGE_BYTES_DEFAULT : own->message_bytes_max;
    own->fragments_max = or_default(own->fragments_max, FW_FRAGMENTS_DEFAULT);
    own->publish_bytes_max = or_default(own->publish_bytes_max, FW_PUBLISH_BYTES_DEFAULT);
    own->output_bytes_max = or_default(own->output_bytes_max, FW_OUTPUT_BYTES_DEFAULT);
    own->topics_max = or_default(own->topics_max, FW_TOPICS_DEFAULT);
    own->handshake_timeout_ms = or_default(own->handshake_timeout_ms, FW_HANDSHAKE_MS_DEFAULT);
    own->authorize_timeout_ms = or_default(own->authorize_timeout_ms, FW_AUTHORIZE_MS_DEFAULT);
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

static bool read_proxies(struct fw_server *server)
{
    const char *const *texts = server->options.trusted_proxies;
    struct fw_proxies *proxies = &server->proxies;
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++) {
        if (strcmp(texts[i], "unix:") == 0)
            proxies->local = true;
        else if (proxies->count == FW_PROXIES_MAX ||
                 !fw_cidr_parse(texts[i], &proxies->list[proxies->count++]))
            return false;
    }
    return true;
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
        options->authorize_timeout_ms > FW_TIMEOUT_MS_MAX ||
        options->drain_time_ms > FW_TIMEOUT_MS_MAX ||
        (options->ping_interval_ms > FW_TIMEOUT_MS_MAX &&
         options->ping_interval_ms != FW_UNLIMITED))
        return usage(server, "a timeout must be at most 3600000 ms (an hour)");
    if (!read_proxies(server))
        return usage(server, "a trusted proxy is an address, ADDRESS/BITS or unix:, at most 32");
    if (options->proxy_protocol && server->proxies.count == 0 && !server->proxies.local)
        return usage(server, "proxy_protocol needs trusted_proxies: who may say it");
    if (options->proxy_header != FW_PROXY_X_FORWARDED_FOR &&
        options->proxy_header != FW_PROXY_FORWARDED)
        return usage(server, "proxy_header must be one of enum fw_proxy_header");
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

static int check_memory(struct fw_server *server)
{
    struct fw_server_options *options = &server->options;
    if (options->memory_bytes_max == FW_MEMORY_AUTO)
        options->memory_bytes_max = fw_memory_cgroup_max() / 4 * 3;
    if (options->memory_bytes_max != 0 && options->memory_bytes_max < FW_MEMORY_MIN)
        return usage(server, "memory_bytes_max must be at least 33554432 (32 MiB)");
    return 0;
}

/* A burst of 0 would let nothing through. */
static uint32_t burst_of(uint32_t burst)
{
    return burst == 0 ? 1 : burst;
}

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
        .authorize_timeout_ms = options->authorize_timeout_ms,
        .ping_interval_ms =
            options->ping_interval_ms == FW_UNLIMITED ? 0 : options->ping_interval_ms,
        .pong_timeout_ms = options->pong_timeout_ms,
        .rate = {.messages = options->messages_per_s,
                 .messages_burst = burst_of(options->messages_burst),
                 .bytes = options->message_bytes_per_s},
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
    each = each < FW_CONNS_SLOTS_MAX ? each : FW_CONNS_SLOTS_MAX;
    server->slots_max = each == 0 ? 1 : each;
}

/* ---- creation -------------------------------------------------------------------------------- */

static int create_memory(struct fw_server *server)
{
    struct fw_memory *memory = fw_mem_zero(sizeof *memory);
    if (memory == NULL)
        return -ENOMEM;
    server->memory = memory;
    return fw_memory_init(memory, server->options.memory_bytes_max,
                          server->options.history_total_bytes);
}

static void destroy_memory(struct fw_server *server)
{
    if (server->memory != NULL)
        fw_memory_clear(server->memory);
    fw_mem_free(server->memory);
    fw_mem_free(server->sweeps);
}

static int create_parts(struct fw_server *server)
{
    unsigned count = server->workers_count;
    server->workers = fw_mem_zero(sizeof(struct fw_worker *) * count);
    server->mailboxes = fw_mem_zero(sizeof(struct fw_mailbox *) * count);
    server->sweeps = fw_mem_zero(sizeof(struct fw_memory_sweep *) * count);
    if (server->workers == NULL || server->mailboxes == NULL || server->sweeps == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        server->workers[i] = fw_worker_create(server, i);
        if (server->workers[i] == NULL)
            return -ENOMEM;
        server->mailboxes[i] = &server->workers[i]->mailbox;
        server->sweeps[i] = &server->workers[i]->sweep;
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
    fw_census_init(&server->census);
    fw_log_init(&server->log, NULL, NULL);
    server->log.context = server->options.context;
    if (server->options.on_log != NULL)
        fw_log_init(&server->log, fw_server_log_line, server);
    server->workers_count = server->options.workers;
    int result = check_options(server);
    if (result == 0)
        result = fw_server_check_topics(server);
    if (result == 0)
        result = check_memory(server);
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
        result = fw_server_make_topic_rules(server);
    if (result == 0)
        result = create_memory(server);
    if (result == 0)
        result = fw_peers_init(&server->peers, random, server->options.address_connections_max,
                               server->options.address_accepts_per_s,
                               burst_of(server->options.address_accepts_burst));
    if (result == 0) {
        fw_directory_init(&server->directory, random, server->options.topics_max,
                          server->workers_count, server->mailboxes);
        fw_directory_set_rules(&server->directory, server->topic_rules, server->topic_rules_count,
                               server->memory->history_bytes_max);
        if (server->options.feed)
            fw_json_seed();
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
        if (!server->listeners[i].inherited)
            shutdown(server->listeners[i].fd, SHUT_RDWR);
        close(server->listeners[i].fd);
        if (!server->listeners[i].inherited &&
            strncmp(server->listeners[i].address, "unix:", 5) == 0)
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
    if (!fw_server_has_one_thread(server))
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
    fw_census_clear(&server->census);
    fw_peers_clear(&server->peers);
    fw_mem_free(server->topic_rules);
    fw_mem_free(server->workers);
    fw_mem_free(server->mailboxes);
    destroy_memory(server);
    fw_access_destroy(server->access);
    fw_server_tls_destroy(server);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->changed);
    fw_mem_free(server);
}

/* Takes over "fd:N", a listening socket; -ENOENT when the address is another kind. */
static int take_inherited(const char *address, struct fw_listener *listener)
{
    char *end;
    int listens = 0;
    socklen_t bytes = sizeof listens;
    if (strncmp(address, "fd:", 3) != 0)
        return -ENOENT;
    long fd = strtol(address + 3, &end, 10);
    if (address[3] < '0' || address[3] > '9' || *end != '\0' || fd > INT_MAX)
        return FW_ERR_ADDRESS;
    if (getsockopt((int)fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) != 0)
        return -errno;
    if (!listens)
        return FW_ERR_ADDRESS;
    int flags = fcntl((int)fd, F_GETFL);
    if (flags < 0 || fcntl((int)fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return -errno;
    *listener = (struct fw_listener){.fd = (int)fd, .inherited = true};
    return 0;
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
    const char *where = plain ? address + 6 : address;
    int result = take_inherited(where, listener);
    if (result == -ENOENT) {
        result = fw_sock_address_resolve(where, &parsed);
        if (result == 0)
            result = fw_sock_listen(&parsed, NULL, &listener->fd);
    }
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
    int result = 0;
    server->state = FW_STARTING;
    if (!fw_server_has_one_thread(server)) {
        result =
            pthread_create(&server->acceptor.thread, NULL, fw_acceptor_main, &server->acceptor);
        server->acceptor.has_thread = result == 0;
    }
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
    if (fw_server_wait_ready(server, fw_server_threads_count(server))) {
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
    if (FW_UNLIKELY(fw_memory_full(server->memory)))
        return FW_ERR_BUSY;
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

void fw_server_wake_workers(struct fw_server *server)
{
    for (unsigned i = 0; i < server->workers_count; i++)
        fw_engine_wake(server->workers[i]->engine);
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
    int result = fw_server_publish(server, fw_bytes_of(topic), &publication, now_ms,
                                   published_out == NULL ? &ignored : published_out);
    fw_mem_settle(); /* the thread may be gone next */
    return result;
}

int fw_topic_info(fw_server *server, const char *topic, struct fw_topic_info *info_out)
{
    struct fw_bytes name = fw_bytes_of(topic);
    if (!fw_topic_name_valid(name))
        return FW_ERR_TOPIC;
    return fw_directory_info(&server->directory, name, info_out);
}
