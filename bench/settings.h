/* settings.h: what every scenario is told: whom to measure, with what, how often, where it is
 * written.
 *
 * thread: written by the main one before others start, then read by any
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_SETTINGS_H
#define FW_BENCH_SETTINGS_H

#include "support.h"
#include "target.h"

#include "net/engine/engine.h"

#include <jansson.h>
#include <sched.h>
#include <sys/types.h>

#define BENCH_PEERS_MAX     64
#define BENCH_PEER_NAME_MAX 32
#define BENCH_THREADS_MAX   256

/* --realtime: where servers and load threads stand, equals. */
#define BENCH_REALTIME_PRIORITY 1

/* What a server is asked to be; a peer may know how to be only some. */
enum bench_role {
    BENCH_ECHO, /* sends every message back */
    BENCH_FEED, /* POST /topics/NAME publishes, a WebSocket on it subscribes */
};

/* A server that takes part: one that runs already (url), or one that is started afresh for every
 * run (command). */
struct bench_peer {
    char name[BENCH_PEER_NAME_MAX];
    const char *url;
    pid_t pid;           /* of a running one; 0: unknown, and so are its CPU time and memory */
    const char *command; /* words with {port}, {role}, {over}, {in}, {out} in them */
    bool raw;            /* speaks bare TCP */
    bool tls;            /* is started with TLS; of a running one, its URL says it */
    bool deflate;        /* permessage-deflate is offered, and it is started to take it */
    unsigned plain;      /* the place + 1 of the peer that this one is, but for those two */
    enum bench_dialect dialect;
    bool ours; /* fanwire itself: knows the flags that a scenario asks for */
};

struct bench_settings {
    const char *url;
    size_t server_pid;
    bool serve;
    bool ceiling;
    const char *serve_engine;
    size_t serve_workers;
    const char *serve_flags; /* more words for `fanwire serve` or `echo` */
    bool tls;                /* targets take part over TLS too */
    bool deflate;            /* and with permessage-deflate */
    const char *ca_file;     /* whom a wss:// URL is believed */
    bool insecure;
    const char *engine_name;
    enum fw_engine_kind engine; /* of the load, chosen */
    size_t threads;
    const char *server_cpu_list;
    const char *load_cpu_list;
    cpu_set_t server_cpus;
    cpu_set_t load_cpus;
    bool realtime;
    size_t repeat;
    size_t round_s; /* a target that takes longer for a round sits out the next; 0: none does */
    const char *out;
    const char *note;
    bool as_json;
    bool quiet;
    bool failed; /* a run had failures that its figures tell: exit code 1 */
    struct bench_peer peers[BENCH_PEERS_MAX];
    unsigned peers_count;
    char programs[1024]; /* the folder this program stands in, where fanwire and raw-* are */
};
extern struct bench_settings bench_settings;

/* The flags of every scenario: the end of its own table. */
extern const struct bench_option bench_common_options[];

/* Judges the settings after the command line: parses CPU lists, chooses the engine, makes the list
 * of peers. Ends the program with status 2 when they do not fit together. */
void bench_settings_check(void);

/* Has every target that can take part once more, behind it, over TLS (NAME-tls) or with
 * permessage-deflate (NAME-deflate), or both. Bare TCP cannot; TLS needs a command that is told
 * ({over}), or our own server. */
void bench_settings_vary(bool tls, bool deflate);

/* Pins this program to the load's CPUs; threads and children inherit them. With --realtime the main
 * thread is in the SCHED_FIFO class from then on, above the load's threads and the servers. */
void bench_take_place(void);

/* With --realtime puts the calling thread where load threads stand: beside the servers, so that on
 * one CPU each runs until it waits for the other. thread: a load thread, when it begins */
void bench_take_load_place(void);

/* Finds the folder of this program: `programs`. */
void bench_settings_locate(void);

/* The options of a table that have a value, as they stand. */
json_t *bench_options_json(const struct bench_option *options);

/* Parses "0", "0-3", "0,2,4-5".
 *
 * returns      false when it is not such a list or empty
 */
bool bench_cpu_list_parse(const char *text, cpu_set_t *cpus_out);

/* Parses --target: NAME=URL[,pid=PID], or NAME=COMMAND with {port} in it; a NAME that begins with
 * raw- speaks bare TCP, one with nats or socket.io that dialect.
 *
 * text         borrowed for ever
 * returns      false when it is none of them
 */
bool bench_peer_parse(const char *text, struct bench_peer *peer_out);

#endif
