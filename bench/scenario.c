/* scenario.c: rounds over targets; records and tables of what came out.
 *
 * A machine's speed changes by a third from minute to minute; within a round it cancels. So ratios
 * are taken within a round, the order turns so that nobody always follows the same one, and what is
 * shown is the median and the range.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scenario.h"
#include "machine.h"
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A run in which the server or the load waited for its CPU longer than this share of the time
 * shared it with somebody else. */
#define CONTENDED 0.10

/* One variant's runs: figures[target][round], NULL where a target skipped. */
struct runs {
    const struct bench_scenario *scenario;
    char label[128];
    json_t *options;
    json_t *machine;
    size_t rounds;
    json_t **figures;
    bool skips[BENCH_PEERS_MAX];
    char group[64]; /* names the variant's runs in the records */
};

static json_t **figures_at(struct runs *runs, unsigned target, size_t round)
{
    return &runs->figures[target * runs->rounds + round];
}

static void append(const char *path, json_t *record)
{
    char *line = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(10));
    FILE *file = path == NULL ? stdout : fopen(path, "ae");
    if (line == NULL || file == NULL || fprintf(file, "%s\n", line) < 0 || fflush(file) != 0)
        bench_die("%s cannot be written: %s", path == NULL ? "the output" : path, strerror(errno));
    if (file != stdout)
        fclose(file);
    free(line);
}

/* As --server-cpu takes them. */
static json_t *cpus_json(const cpu_set_t *cpus)
{
    char text[256] = "";
    size_t chars = 0;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && chars < sizeof text; cpu++) {
        size_t last = cpu;
        if (!CPU_ISSET(cpu, cpus))
            continue;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, cpus))
            last++;
        chars +=
            (size_t)snprintf(text + chars, sizeof text - chars, "%s%zu", chars > 0 ? "," : "", cpu);
        if (last > cpu && chars < sizeof text)
            chars += (size_t)snprintf(text + chars, sizeof text - chars, "-%zu", last);
        cpu = last;
    }
    return json_string(text);
}

static void record(const struct runs *runs, const struct bench_server *server, size_t round,
                   const char *said, json_t *figures)
{
    const struct bench_settings *own = &bench_settings;
    char when[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_t *line = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:I, s:s, s:s, s:s*, s:O, s:O, s:O}", "time", when,
        "scenario", runs->scenario->name, "label", runs->label, "group", runs->group, "target",
        server->peer->name, "tls", server->url.tls, "deflate", server->url.deflate, "round",
        (json_int_t)round, "server_said", said, "load_engine", fw_engine_kind_name(own->engine),
        "note", own->note, "options", runs->options, "figures", figures, "machine", runs->machine);
    if (line == NULL || json_object_set_new(line, "load_cpus", cpus_json(&own->load_cpus)) != 0 ||
        (server->peer->command != NULL &&
         json_object_set_new(line, "server_cpus", cpus_json(&own->server_cpus)) != 0))
        bench_die("out of memory for a record");
    if (own->out != NULL)
        append(own->out, line);
    if (own->as_json)
        append(NULL, line);
    json_decref(line);
}

static json_t *run_once(const struct runs *runs, const struct bench_peer *peer, size_t round)
{
    struct bench_start start = {.role = runs->scenario->role};
    struct bench_server server;
    char said[256];
    if (runs->scenario->need != NULL)
        runs->scenario->need(&start);
    if (!bench_server_start(peer, &start, &server))
        return NULL;
    json_t *figures = json_object();
    runs->scenario->run(&server, figures);
    bench_server_said(&server, said, sizeof said);
    bench_server_stop(&server);
    record(runs, &server, round, said, figures);
    return figures;
}

/* ---- tables ---------------------------------------------------------------------------------- */

struct spread {
    double median, min, max;
    size_t count;
};

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static struct spread spread_of(double *values, size_t count)
{
    if (count == 0)
        return (struct spread){0};
    qsort(values, count, sizeof *values, by_value);
    double median =
        count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
    return (struct spread){median, values[0], values[count - 1], count};
}

static bool number_in(const json_t *figures, const char *name, double *value_out)
{
    const json_t *value = report_figure(figures, name);
    *value_out = json_number_value(value);
    return json_is_number(value);
}

static bool flag_in(const json_t *figures, const char *name)
{
    return json_is_true(json_object_get(figures, name));
}

static struct spread spread_over(struct runs *runs, unsigned target, const char *name)
{
    double *values = bench_alloc(runs->rounds, sizeof *values);
    size_t count = 0;
    for (size_t i = 0; i < runs->rounds; i++)
        count += number_in(*figures_at(runs, target, i), name, &values[count]);
    struct spread spread = spread_of(values, count);
    free(values);
    return spread;
}

/* A target's figure over another one's, round by round. */
static struct spread ratio_to(struct runs *runs, unsigned target, unsigned base, const char *name)
{
    double *values = bench_alloc(runs->rounds, sizeof *values);
    size_t count = 0;
    for (size_t i = 0; i < runs->rounds; i++) {
        double mine;
        double theirs;
        if (number_in(*figures_at(runs, target, i), name, &mine) &&
            number_in(*figures_at(runs, base, i), name, &theirs) && theirs > 0)
            values[count++] = mine / theirs;
    }
    struct spread spread = spread_of(values, count);
    free(values);
    return spread;
}

static void print_figure(const char *name, const json_t *value, int indent)
{
    const char *key;
    json_t *inner;
    if (json_is_object(value)) {
        printf("%*s%s\n", indent, "", name);
        json_object_foreach((json_t *)value, key, inner) print_figure(key, inner, indent + 2);
    } else if (json_is_integer(value))
        printf("%*s%-*s %lld\n", indent, "", 34 - indent, name,
               (long long)json_integer_value(value));
    else if (json_is_real(value))
        printf("%*s%-*s %.4g\n", indent, "", 34 - indent, name, json_real_value(value));
    else if (json_is_boolean(value))
        printf("%*s%-*s %s\n", indent, "", 34 - indent, name, json_is_true(value) ? "yes" : "no");
    else if (json_is_string(value))
        printf("%*s%-*s %s\n", indent, "", 34 - indent, name, json_string_value(value));
    /* Arrays are curves: for the report. */
}

static void print_marks(struct runs *runs, unsigned target)
{
    size_t saturated = 0;
    size_t contended = 0;
    size_t late = 0;
    size_t played = 0;
    for (size_t i = 0; i < runs->rounds; i++) {
        const json_t *figures = *figures_at(runs, target, i);
        double waited;
        played += figures != NULL;
        late += flag_in(figures, "late_tail");
        saturated += flag_in(figures, "saturated");
        contended += number_in(figures, "waited", &waited) && waited > CONTENDED;
    }
    /* On one CPU they wait for each other, and that is as it should be. */
    if (CPU_EQUAL(&bench_settings.server_cpus, &bench_settings.load_cpus))
        contended = 0;
    if (played < runs->rounds)
        printf("   [%zu of %zu rounds]", played, runs->rounds);
    if (saturated > 0)
        printf("   [load SATURATED in %zu]", saturated);
    if (contended > 0)
        printf("   [CPU contended in %zu]", contended);
    if (late > 0)
        printf("   [p99.9 is the load's own lateness in %zu]", late);
    putchar('\n');
}

static void print_row(struct runs *runs, unsigned target, const char *figure)
{
    struct spread cost = spread_over(runs, target, figure);
    printf("  %-20s ", bench_settings.peers[target].name);
    if (cost.count == 0) {
        printf("  no figure: skipped, or its process is not known\n");
        return;
    }
    printf("%9.4g (%.4g to %.4g)", cost.median, cost.min, cost.max);
    unsigned plain = bench_settings.peers[target].plain;
    bool any_raw = false;
    for (unsigned i = 0; i < bench_settings.peers_count; i++)
        any_raw |= bench_settings.peers[i].raw;
    for (unsigned i = 0; i < bench_settings.peers_count; i++) {
        bool base = any_raw ? bench_settings.peers[i].raw : i == 0;
        if (i == target || !(base || i + 1 == plain))
            continue;
        struct spread ratio = ratio_to(runs, target, i, figure);
        if (ratio.count > 0)
            printf("   %.3f (%.3f to %.3f) x %s", ratio.median, ratio.min, ratio.max,
                   bench_settings.peers[i].name);
    }
    print_marks(runs, target);
}

static void print_table(struct runs *runs, const char *figure)
{
    printf("%s: %s, %zu round%s: median (range)\n", runs->label, figure, runs->rounds,
           runs->rounds == 1 ? "" : "s");
    for (unsigned i = 0; i < bench_settings.peers_count; i++)
        print_row(runs, i, figure);
}

/* Messages went out by the clock: what targets are compared by is how long one took. */
static bool by_clock(struct runs *runs)
{
    bool any = false;
    for (unsigned i = 0; i < bench_settings.peers_count; i++)
        any |= spread_over(runs, i, "rate").median > 0;
    return any;
}

static void print_runs(struct runs *runs)
{
    if (bench_settings.peers_count == 1 && runs->rounds == 1) {
        const char *key;
        json_t *value;
        printf("%s\n", runs->label);
        json_object_foreach(*figures_at(runs, 0, 0), key, value) print_figure(key, value, 2);
    } else {
        for (size_t i = 0; by_clock(runs) && report_latencies[i] != NULL; i++)
            print_table(runs, report_latencies[i]);
        print_table(runs, runs->scenario->figure);
    }
    putchar('\n');
    fflush(stdout);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void progress(const struct runs *runs, size_t round, const char *target)
{
    if (isatty(2) && !bench_settings.quiet)
        fprintf(stderr, "\r\033[K%s: round %zu of %zu, %s", runs->label, round + 1, runs->rounds,
                target);
}

/* Says of a target that its rounds take more than they may, and how long this one took. */
static bool took_too_long(const struct runs *runs, unsigned target, size_t round, uint64_t begun_ns)
{
    const uint64_t took_s = (bench_clock_ns(CLOCK_MONOTONIC) - begun_ns) / 1000000000;
    if (bench_settings.round_s == 0 || took_s < bench_settings.round_s)
        return false;
    if (round + 1 < runs->rounds)
        fprintf(stderr,
                "%s: a round of %s took %llu s, --round-s allows less: it sits out the others\n",
                runs->label, bench_settings.peers[target].name, (unsigned long long)took_s);
    return true;
}

static void play_variant(struct runs *runs)
{
    unsigned count = bench_settings.peers_count;
    for (size_t round = 0; round < runs->rounds; round++) {
        for (unsigned i = 0; i < count; i++) {
            unsigned target = (unsigned)((round + i) % count);
            progress(runs, round, bench_settings.peers[target].name);
            if (runs->skips[target])
                continue;
            const uint64_t begun_ns = bench_clock_ns(CLOCK_MONOTONIC);
            json_t *figures = run_once(runs, &bench_settings.peers[target], round);
            *figures_at(runs, target, round) = figures;
            runs->skips[target] = figures == NULL || took_too_long(runs, target, round, begun_ns);
        }
    }
    if (isatty(2) && !bench_settings.quiet)
        fputs("\r\033[K", stderr);
    if (!bench_settings.as_json)
        print_runs(runs);
}

/* Runs that have more targets are another comparison. */
static void add_over(char *label, size_t label_bytes)
{
    size_t chars = strlen(label);
    snprintf(label + chars, label_bytes - chars, "%s%s",
             bench_settings.tls ? ", plain and TLS" : "",
             bench_settings.deflate ? ", plain and compressed" : "");
}

/* Before anything runs: what cannot be is said now. */
static void check_peers(const struct bench_scenario *scenario)
{
    for (unsigned i = 0; i < bench_settings.peers_count; i++) {
        const struct bench_peer *peer = &bench_settings.peers[i];
        if (scenario->no_bare_tcp && peer->raw)
            bench_misuse("%s needs WebSocket, and target '%s' is bare TCP: %s", scenario->name,
                         peer->name,
                         peer->url == NULL ? "leave --ceiling out" : "say ws:// or http://");
    }
}

void bench_scenario_play(const struct bench_scenario *scenario, const char *label)
{
    check_peers(scenario);
    size_t variants = scenario->variants == NULL ? 1 : scenario->variants();
    struct runs runs = {
        .scenario = scenario, .machine = bench_machine(), .rounds = bench_settings.repeat};
    size_t all = runs.rounds * bench_settings.peers_count;
    for (size_t i = 0; i < variants; i++) {
        if (scenario->select != NULL)
            scenario->select(i);
        snprintf(runs.label, sizeof runs.label, "%s", label);
        if (scenario->describe != NULL)
            scenario->describe(runs.label, sizeof runs.label);
        add_over(runs.label, sizeof runs.label);
        runs.options = bench_options_json(scenario->options);
        memset(runs.skips, 0, sizeof runs.skips);
        runs.figures = bench_alloc(all, sizeof *runs.figures);
        snprintf(runs.group, sizeof runs.group, "%lld-%d-%zu", (long long)time(NULL), getpid(), i);
        play_variant(&runs);
        for (size_t run = 0; run < all; run++)
            json_decref(runs.figures[run]);
        free(runs.figures);
        json_decref(runs.options);
    }
    json_decref(runs.machine);
}
