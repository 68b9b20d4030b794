/* settings.c: the flags that all scenarios share, and what they mean together.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "settings.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bench_settings bench_settings = {
    .serve_engine = "auto", .serve_workers = 1, .engine_name = "auto", .repeat = 1};

static void add_peer(struct bench_peer peer)
{
    struct bench_settings *own = &bench_settings;
    if (own->peers_count == BENCH_PEERS_MAX)
        bench_misuse("more than %d targets", BENCH_PEERS_MAX);
    for (unsigned i = 0; i < own->peers_count; i++) {
        if (strcmp(own->peers[i].name, peer.name) == 0)
            bench_misuse("two targets are called '%s'", peer.name);
    }
    own->peers[own->peers_count++] = peer;
}

static void take_target(const char *value)
{
    struct bench_peer peer;
    if (!bench_peer_parse(value, &peer))
        bench_misuse("--target is NAME=URL[,pid=PID] or NAME=COMMAND with {port} in it, not '%s'",
                     value);
    add_peer(peer);
}

const struct bench_option bench_common_options[] = {
    BENCH_TEXT("url", &bench_settings.url,
               "a running server: ws://, wss://, http:// or tcp://HOST:PORT"),
    BENCH_NUMBER("server-pid", &bench_settings.server_pid, 1, 1u << 30,
                 "its process, for CPU and memory"),
    BENCH_REPEATED("target", take_target,
                   "NAME=URL[,pid=PID] or NAME=COMMAND with {port} {role} {over}; repeatable"),
    BENCH_FLAG("serve", &bench_settings.serve, "start fanwire itself as a target"),
    BENCH_TEXT("serve-engine", &bench_settings.serve_engine, "its engine; both: uring and epoll"),
    BENCH_NUMBER("serve-workers", &bench_settings.serve_workers, 1, 256, "its workers"),
    BENCH_TEXT("serve-flags", &bench_settings.serve_flags, "more flags for it"),
    BENCH_FLAG("tls", &bench_settings.tls, "targets that are started take part over TLS too"),
    BENCH_FLAG("deflate", &bench_settings.deflate, "targets take part with permessage-deflate too"),
    BENCH_TEXT("ca", &bench_settings.ca_file, "PEM file of CAs for wss:// URLs, not the system's"),
    BENCH_FLAG("insecure", &bench_settings.insecure, "wss:// URLs: take any certificate"),
    BENCH_FLAG("ceiling", &bench_settings.ceiling, "bare TCP servers on both engines take part"),
    BENCH_TEXT("engine", &bench_settings.engine_name, "the load's: auto, uring or epoll"),
    BENCH_NUMBER("threads", &bench_settings.threads, 1, BENCH_THREADS_MAX,
                 "load threads; one for each of its CPUs unless said"),
    BENCH_TEXT("server-cpu", &bench_settings.server_cpu_list,
               "CPUs of servers that are started, as 0-3,5 (the first half of all)"),
    BENCH_TEXT("load-cpu", &bench_settings.load_cpu_list, "CPUs of the load (the other half)"),
    BENCH_FLAG("realtime", &bench_settings.realtime,
               "both in the SCHED_FIFO class (root; others stand still meanwhile)"),
    BENCH_NUMBER("repeat", &bench_settings.repeat, 1, 1000, "rounds; every target once in each"),
    BENCH_NUMBER("round-s", &bench_settings.round_s, 0, 86400,
                 "a target whose round took so long sits out the others (0: none)"),
    BENCH_TEXT("out", &bench_settings.out, "append every run to this file of JSON lines"),
    BENCH_TEXT("note", &bench_settings.note, "words to keep with every run"),
    BENCH_FLAG("json", &bench_settings.as_json, "print the runs as JSON lines, nothing else"),
    BENCH_FLAG("quiet", &bench_settings.quiet, "no progress line"),
    BENCH_OPTIONS_END,
};

bool bench_cpu_list_parse(const char *text, cpu_set_t *cpus_out)
{
    CPU_ZERO(cpus_out);
    do {
        char *end = NULL;
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = first;
        if (end == text || *text < '0' || *text > '9')
            return false;
        if (*end == '-') {
            text = end + 1;
            last = strtoul(text, &end, 10);
            if (end == text || *text < '0' || *text > '9')
                return false;
        }
        if (first > last || last >= CPU_SETSIZE || (*end != ',' && *end != '\0'))
            return false;
        for (unsigned long cpu = first; cpu <= last; cpu++)
            CPU_SET(cpu, cpus_out);
        text = *end == ',' ? end + 1 : end;
        if (*end == ',' && *text == '\0')
            return false;
    } while (*text != '\0');
    return true;
}

/* Splits "URL,pid=PID". */
static bool parse_running(const char *text, struct bench_peer *peer)
{
    const char *comma = strstr(text, ",pid=");
    char *end = NULL;
    char *url = strdup(text); /* for the life of the program */
    if (url == NULL)
        bench_die("out of memory for a target");
    if (comma != NULL) {
        url[comma - text] = '\0';
        peer->pid = (pid_t)strtol(comma + 5, &end, 10);
        if (end == comma + 5 || *end != '\0' || peer->pid <= 0) {
            free(url);
            return false;
        }
    }
    peer->url = url;
    peer->raw = strncmp(url, "tcp://", 6) == 0;
    return true;
}

bool bench_peer_parse(const char *text, struct bench_peer *peer_out)
{
    *peer_out = (struct bench_peer){0};
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || equals - text >= BENCH_PEER_NAME_MAX)
        return false;
    memcpy(peer_out->name, text, (size_t)(equals - text));
    const char *value = equals + 1;
    size_t scheme = strspn(value, "abcdefghijklmnopqrstuvwxyz");
    if (strncmp(value + scheme, "://", 3) == 0)
        return parse_running(value, peer_out);
    if (strstr(value, "{port}") == NULL)
        return false;
    peer_out->command = value;
    peer_out->raw = strncmp(peer_out->name, "raw-", 4) == 0;
    peer_out->dialect = strncmp(peer_out->name, "nats", 4) == 0        ? BENCH_NATS
                        : strncmp(peer_out->name, "socket.io", 9) == 0 ? BENCH_SOCKET_IO
                                                                       : BENCH_BARE;
    return true;
}

json_t *bench_options_json(const struct bench_option *options)
{
    json_t *values = json_object();
    for (; options != NULL; options = options->after) {
        for (; options->name != NULL; options++) {
            json_t *value = NULL;
            if (options->number != NULL)
                value = json_integer((json_int_t)*options->number);
            else if (options->flag != NULL)
                value = json_boolean(*options->flag);
            else if (options->text != NULL && *options->text != NULL)
                value = json_string(*options->text);
            if (value != NULL)
                json_object_set_new(values, options->name, value);
        }
    }
    return values;
}

/* ---- what they mean together ----------------------------------------------------------------- */

static void read_cpus(const char *name, const char *list, cpu_set_t *cpus)
{
    cpu_set_t allowed;
    cpu_set_t usable;
    if (list == NULL)
        return;
    if (!bench_cpu_list_parse(list, cpus))
        bench_misuse("--%s takes CPUs as in 0-3,5, not '%s'", name, list);
    sched_getaffinity(0, sizeof allowed, &allowed);
    CPU_AND(&usable, &allowed, cpus);
    if (!CPU_EQUAL(&usable, cpus))
        bench_misuse("--%s: this program may not run on all of '%s'", name, list);
}

/* The first half of the CPUs for servers, the other for the load; one CPU serves both. */
static void share_cpus(struct bench_settings *own)
{
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    int count = CPU_COUNT(&allowed);
    CPU_ZERO(&own->server_cpus);
    CPU_ZERO(&own->load_cpus);
    int seen = 0;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        bool first_half = seen++ < count / 2;
        if (first_half || count == 1)
            CPU_SET(cpu, &own->server_cpus);
        if (!first_half)
            CPU_SET(cpu, &own->load_cpus);
    }
    read_cpus("server-cpu", own->server_cpu_list, &own->server_cpus);
    read_cpus("load-cpu", own->load_cpu_list, &own->load_cpus);
}

static void choose_engine(struct bench_settings *own)
{
    static const char *const names[] = {"auto", "uring", "epoll"};
    char why[512];
    for (int i = 0; i < 3; i++) {
        if (strcmp(own->engine_name, names[i]) != 0)
            continue;
        int kind = fw_engine_choose((enum fw_engine_kind)i, why, sizeof why);
        if (kind < 0)
            bench_die("%s", why);
        own->engine = (enum fw_engine_kind)kind;
        return;
    }
    bench_misuse("--engine takes auto, uring or epoll, not '%s'", own->engine_name);
}

void bench_settings_locate(void)
{
    struct bench_settings *own = &bench_settings;
    ssize_t bytes = readlink("/proc/self/exe", own->programs, sizeof own->programs - 1);
    if (bytes <= 0)
        bench_die("/proc/self/exe cannot be read: where are the programs beside this one?");
    own->programs[bytes] = '\0';
    *strrchr(own->programs, '/') = '\0';
}

/* A command for a peer of ours, that lives as long as the program. */
__attribute__((format(printf, 1, 2))) static const char *command(const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    int bytes = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (bytes < 0)
        bench_die("out of memory for a command");
    return text;
}

static void add_fanwire(const struct bench_settings *own, const char *name, const char *engine)
{
    struct bench_peer peer = {
        .ours = true,
        .command =
            command("%s/fanwire {role} --quiet --workers %zu --engine %s %s {flags}", own->programs,
                    own->serve_workers, engine, own->serve_flags == NULL ? "" : own->serve_flags)};
    snprintf(peer.name, sizeof peer.name, "%s", name);
    add_peer(peer);
}

static void add_ceiling(const struct bench_settings *own, const char *engine)
{
    struct bench_peer peer = {.raw = true,
                              .command = command("%s/raw-{role} --engine %s --port {port} {flags}",
                                                 own->programs, engine)};
    snprintf(peer.name, sizeof peer.name, "raw-%s", engine);
    add_peer(peer);
}

/* A target once more, as its -tls or -deflate self, behind the plain one. */
static void add_variant(const struct bench_peer *plain, unsigned place, bool tls, bool deflate)
{
    struct bench_peer peer = *plain;
    int bytes = snprintf(peer.name, sizeof peer.name, "%s%s%s", plain->name, tls ? "-tls" : "",
                         deflate ? "-deflate" : "");
    if (bytes >= BENCH_PEER_NAME_MAX)
        bench_misuse("'%s' is too long a name to add -tls or -deflate to", plain->name);
    peer.plain = place;
    peer.tls |= tls;
    peer.deflate |= deflate;
    add_peer(peer);
}

void bench_settings_vary(bool tls, bool deflate)
{
    struct bench_settings *own = &bench_settings;
    struct bench_peer plain[BENCH_PEERS_MAX];
    unsigned count = own->peers_count;
    memcpy(plain, own->peers, sizeof plain);
    own->peers_count = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct bench_peer *peer = &plain[i];
        bool told = peer->ours || (peer->command != NULL && strstr(peer->command, "{over}"));
        add_peer(*peer);
        unsigned place = own->peers_count;
        if (tls && told)
            add_variant(peer, place, true, false);
        if (deflate && !peer->raw)
            add_variant(peer, place, false, true);
        if (tls && deflate && told)
            add_variant(peer, place, true, true);
    }
}

static void gather_peers(struct bench_settings *own)
{
    if (own->url != NULL) {
        struct bench_peer peer = {.name = "url",
                                  .url = own->url,
                                  .pid = (pid_t)own->server_pid,
                                  .raw = strncmp(own->url, "tcp://", 6) == 0};
        add_peer(peer);
    } else if (own->server_pid != 0)
        bench_misuse("--server-pid belongs to --url; a target has it as ,pid=PID");
    if (own->ceiling) {
        add_ceiling(own, "epoll");
        add_ceiling(own, "uring");
    }
    if (own->serve && strcmp(own->serve_engine, "both") == 0) {
        add_fanwire(own, "fanwire-uring", "uring");
        add_fanwire(own, "fanwire-epoll", "epoll");
    } else if (own->serve)
        add_fanwire(own, "fanwire", own->serve_engine);
    bench_settings_vary(own->tls, own->deflate);
    if (own->peers_count == 0)
        bench_misuse("whom to measure? say --url URL, --serve or --target NAME=...");
}

/* Better now than after an hour. */
static void check_out(const char *path)
{
    FILE *file = path == NULL ? NULL : fopen(path, "ae");
    if (path != NULL && file == NULL)
        bench_misuse("--out %s cannot be written: %s", path, strerror(errno));
    if (file != NULL)
        fclose(file);
}

void bench_settings_check(void)
{
    struct bench_settings *own = &bench_settings;
    check_out(own->out);
    bench_settings_locate();
    share_cpus(own);
    choose_engine(own);
    gather_peers(own);
    if (own->threads == 0)
        own->threads = (size_t)CPU_COUNT(&own->load_cpus);
}

/* The main thread stands above the load's: it sleeps but for some microseconds at the beginning and
 * the end of what is measured, and a load thread that never sleeps (one that sends by the clock, or
 * one that always has something to read) would keep it from its CPU for ever. */
#define MAIN_PRIORITY (BENCH_REALTIME_PRIORITY + 1)

void bench_take_place(void)
{
    const struct sched_param main_place = {.sched_priority = MAIN_PRIORITY};
    if (sched_setaffinity(0, sizeof bench_settings.load_cpus, &bench_settings.load_cpus) != 0)
        bench_die("the load cannot be pinned to its CPUs: %s", strerror(errno));
    if (bench_settings.realtime && sched_setscheduler(0, SCHED_FIFO, &main_place) != 0)
        bench_die("--realtime: %s: run as root, or with CAP_SYS_NICE", strerror(errno));
}

void bench_take_load_place(void)
{
    const struct sched_param place = {.sched_priority = BENCH_REALTIME_PRIORITY};
    if (!bench_settings.realtime)
        return;
    /* Round robin is FIFO but for equals that never sleep: two load threads on one CPU take turns.
     */
    int error = pthread_setschedparam(pthread_self(), SCHED_RR, &place);
    if (error != 0)
        bench_die("--realtime: a load thread: %s", strerror(error));
}
