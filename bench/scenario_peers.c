/* scenario_peers.c: many servers, many settings, in turns: ours, the ceilings, and others as they
 * come from Debian or npm.
 *
 * A preset is a scenario with its flags. A peer is bench/peers/NAME/run, which says itself what it
 * needs and which roles it has; one that cannot be run here is skipped out loud.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report.h"
#include "scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX    32
#define EXIT_SKIPPED 77

/* What a preset leaves out is as the scenario has it by itself. */
static const struct {
    const char *name;
    const char *scenario;
    const char *flags;
} presets[] = {
    {"echo", "echo", "--payload 20 --connections 200 --depth 1"},
    {"echo-deep", "echo", "--payload 20 --connections 200 --depth 16"},
    {"echo-many", "echo", "--payload 20 --connections 5000 --depth 1"},
    {"echo-1k", "echo", "--payload 1024 --connections 200 --depth 1"},
    {"echo-1k-deep", "echo", "--payload 1024 --connections 200 --depth 16"},
    {"echo-16k", "echo", "--payload 16384 --connections 200 --depth 1"},
    {"echo-256k", "echo", "--payload 262144 --connections 200 --depth 1"},
    {"echo-tls", "echo", "--payload 1024 --connections 200 --depth 1 --tls"},
    {"echo-16k-tls", "echo", "--payload 16384 --connections 200 --depth 1 --tls"},
    {"echo-deflate", "echo", "--payload 1024 --connections 200 --depth 1 --deflate"},
    {"fanout", "fanout", "--payload 100 --subscribers 10000 --burst 1 --rounds 20 --warmup 4"},
    {"fanout-8", "fanout", "--payload 100 --subscribers 10000 --burst 8 --rounds 20 --warmup 4"},
    {"fanout-10", "fanout", "--payload 100 --subscribers 10000 --burst 10 --rounds 20 --warmup 4"},
    {"fanout-1k", "fanout", "--payload 100 --subscribers 1000 --burst 1 --rounds 200 --warmup 20"},
    {"fanout-1k-10", "fanout",
     "--payload 100 --subscribers 1000 --burst 10 --rounds 200 --warmup 20"},
    {"fanout-tls", "fanout",
     "--payload 100 --subscribers 1000 --burst 1 --rounds 100 --warmup 20 --tls"},
    {"fanout-deflate", "fanout",
     "--payload 1024 --subscribers 1000 --burst 1 --rounds 100 --warmup 20 --deflate"},
    {"churn", "churn", "--connections 64 --role feed"},
    {"churn-echo", "churn", "--connections 64 --role echo"},
    {"idle", "idle", "--connections 15000 --cycle 0"},
    {"idle-cycled", "idle", "--connections 15000 --cycle 20000"},
    /* Long enough that 150 messages of a run lie above p99.9; on a CPU of its own the load is half
     * idle at this rate. */
    {"latency", "echo", "--payload 20 --connections 200 --depth 1 --rate 50000 --duration-ms 3000"},
    /* Short, for checking that everything runs. */
    {"smoke-echo", "echo",
     "--payload 100 --connections 10 --depth 1 --duration-ms 100 --warmup-ms 20"},
    {"smoke-fanout", "fanout", "--payload 100 --subscribers 50 --rounds 5 --warmup 1"},
    {"smoke-over", "echo",
     "--payload 300 --connections 10 --depth 4 --duration-ms 100 --warmup-ms 20 --tls --deflate"},
};
#define PRESETS_COUNT (sizeof presets / sizeof *presets)

static const char *only;
static const char *folder = BENCH_PEERS_FOLDER;
static bool bare;
static const char *page;

static const struct bench_option options[] = {
    BENCH_TEXT("only", &only, "targets to run, by name, with commas"),
    BENCH_FLAG("no-peers", &bare, "ours, the ceilings and --target only"),
    BENCH_TEXT("peers", &folder, "the folder of the others, NAME/run in each"),
    BENCH_TEXT("page", &page, "then make the page of all runs that --out has kept (report)"),
    BENCH_OPTIONS_THEN(bench_common_options),
};

static const char *const peer_names[] = {
    "ws",      "gorilla",    "libwebsockets", "beast", "tornado",
    "aiohttp", "websockets", "nchan",         "nats",  "socket.io",
};

/* ---- who takes part -------------------------------------------------------------------------- */

static bool chosen(const char *name)
{
    size_t bytes = strlen(name);
    const char *at = only;
    while (at != NULL) {
        if (strncmp(at, name, bytes) == 0 && (at[bytes] == ',' || at[bytes] == '\0'))
            return true;
        at = strchr(at, ',');
        at = at == NULL ? NULL : at + 1;
    }
    return only == NULL;
}

/* Has a peer compile what it needs.
 *
 * returns      false when it cannot be run here: it has said why
 */
static bool build(const char *name)
{
    char run[1200];
    snprintf(run, sizeof run, "%s/%s/run", folder, name);
    fflush(NULL);
    pid_t pid = fork();
    int status = 0;
    if (pid == 0) {
        dup2(2, 1);
        execl(run, run, "build", "0", (char *)NULL);
        fprintf(stderr, "%s: %s\n", run, strerror(errno));
        _exit(EXIT_SKIPPED);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        bench_die("%s cannot be run: %s", run, strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    fprintf(stderr, "skipped: %s\n", name);
    return false;
}

static void add_peer(const char *name)
{
    char *target = NULL;
    struct bench_peer *peer = &bench_settings.peers[bench_settings.peers_count];
    if (bench_settings.peers_count == BENCH_PEERS_MAX)
        bench_misuse("more than %d targets", BENCH_PEERS_MAX);
    if (asprintf(&target, "%s=%s/%s/run {role} {port} {over}", name, folder, name) < 0)
        bench_die("out of memory for a peer");
    bench_peer_parse(target, peer);
    bench_settings.peers_count++;
}

/* Those whom --tls and --deflate, and presets with them, add to. */
static struct bench_peer base[BENCH_PEERS_MAX];
static unsigned base_count;

/* Ours and the ceilings first: they are what the others are compared with. */
static void gather(void)
{
    /* Whether over TLS is a preset's to say, or said for all of them. */
    bool tls = bench_settings.tls;
    bool deflate = bench_settings.deflate;
    bench_settings.tls = bench_settings.deflate = false;
    bench_settings.serve = true;
    bench_settings.ceiling = true;
    if (strcmp(bench_settings.serve_engine, "auto") == 0)
        bench_settings.serve_engine = "both";
    bench_settings_check();
    unsigned kept = 0;
    for (unsigned i = 0; i < bench_settings.peers_count; i++) {
        if (chosen(bench_settings.peers[i].name))
            bench_settings.peers[kept++] = bench_settings.peers[i];
    }
    bench_settings.peers_count = kept;
    for (size_t i = 0; !bare && i < sizeof peer_names / sizeof *peer_names; i++) {
        if (chosen(peer_names[i]) && build(peer_names[i]))
            add_peer(peer_names[i]);
    }
    if (bench_settings.peers_count == 0)
        bench_misuse("--only %s names nobody", only);
    base_count = bench_settings.peers_count;
    memcpy(base, bench_settings.peers, sizeof base);
    bench_settings.tls = tls;
    bench_settings.deflate = deflate;
}

/* ---- what they do ---------------------------------------------------------------------------- */

/* A scenario's own flags, as they are before a preset sets them. */
#define FLAGS_MAX 32
struct flags {
    size_t numbers[FLAGS_MAX];
    const char *texts[FLAGS_MAX];
    bool flags[FLAGS_MAX];
};

/* Keeps them, or puts them back. */
static void keep_flags(const struct bench_option *own, struct flags *kept, bool back)
{
    for (size_t i = 0; own[i].name != NULL; i++) {
        if (i == FLAGS_MAX)
            bench_die("a scenario has more than %d flags", FLAGS_MAX);
        if (own[i].number != NULL && back)
            *own[i].number = kept->numbers[i];
        else if (own[i].number != NULL)
            kept->numbers[i] = *own[i].number;
        if (own[i].text != NULL && back)
            *own[i].text = kept->texts[i];
        else if (own[i].text != NULL)
            kept->texts[i] = *own[i].text;
        if (own[i].flag != NULL && back)
            *own[i].flag = kept->flags[i];
        else if (own[i].flag != NULL)
            kept->flags[i] = *own[i].flag;
    }
}

static void play(size_t preset)
{
    char text[256];
    char name[] = "peers";
    char *words[WORDS_MAX] = {name};
    int count = 1;
    char *rest = NULL;
    struct flags kept;
    const struct bench_scenario *scenario = bench_scenario_find(presets[preset].scenario);
    snprintf(text, sizeof text, "%s", presets[preset].flags);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    bool tls = bench_settings.tls;
    bool deflate = bench_settings.deflate;
    keep_flags(scenario->options, &kept, false);
    bench_options_read(count, words, scenario->options, scenario->purpose);
    memcpy(bench_settings.peers, base, sizeof base);
    bench_settings.peers_count = base_count;
    bench_settings_vary(bench_settings.tls, bench_settings.deflate);
    bench_scenario_play(scenario, presets[preset].name);
    keep_flags(scenario->options, &kept, true);
    bench_settings.tls = tls; /* the command line's: they hold for every preset */
    bench_settings.deflate = deflate;
}

static size_t find_preset(const char *name)
{
    size_t i = 0;
    while (i < PRESETS_COUNT && strcmp(presets[i].name, name) != 0)
        i++;
    return i;
}

static void print_presets(FILE *to)
{
    fputs("usage: fanwire-bench peers [PRESET...] [flags]\n\n", to);
    for (size_t i = 0; i < PRESETS_COUNT; i++)
        fprintf(to, "  %-13s %s %s\n", presets[i].name, presets[i].scenario, presets[i].flags);
    fputs(
        "\nWithout a name: echo, echo-deep, echo-1k, echo-16k, fanout, fanout-10, churn, idle.\n\n",
        to);
}

static int peers_main(int argc, char **argv)
{
    static const char *const standard[] = {"echo",   "echo-deep", "echo-1k", "echo-16k",
                                           "fanout", "fanout-10", "churn",   "idle"};
    size_t names = 0;
    while ((int)names + 1 < argc && strncmp(argv[names + 1], "--", 2) != 0) {
        if (find_preset(argv[names + 1]) == PRESETS_COUNT) {
            fprintf(stderr, "fanwire-bench: there is no preset '%s'\n", argv[names + 1]);
            print_presets(stderr);
            return 2;
        }
        names++;
    }
    if (argc > 1 && strcmp(argv[argc - 1], "--help") == 0)
        print_presets(stdout);
    bench_options_read(argc - (int)names, argv + names, options, bench_scenario_peers.purpose);
    if (page != NULL && bench_settings.out == NULL)
        bench_misuse("--page shows the runs that --out has kept: say --out FILE too");
    gather();
    bench_server_guard();
    bench_take_place();
    for (size_t i = 0; i < names; i++)
        play(find_preset(argv[i + 1]));
    for (size_t i = 0; names == 0 && i < sizeof standard / sizeof *standard; i++)
        play(find_preset(standard[i]));
    struct report report = {0};
    if (page != NULL && !report_read(&report, bench_settings.out))
        return 1;
    if (page != NULL)
        report_write(&report, page);
    return bench_settings.failed ? 1 : 0;
}

const struct bench_scenario bench_scenario_peers = {
    .name = "peers",
    .purpose = "ours, bare TCP and other people's servers in turns, by named presets",
    .main = peers_main,
};
