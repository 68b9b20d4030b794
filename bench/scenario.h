/* scenario.h: what a scenario is, and the loop that plays it: every target once a round.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_SCENARIO_H
#define FW_BENCH_SCENARIO_H

#include "server.h"
#include "settings.h"

#include <jansson.h>

/* One kind of measurement. Either `main` does everything, or the loop below calls the others, on
 * the main thread. */
struct bench_scenario {
    const char *name;
    const char *purpose;                /* one line of the help */
    const struct bench_option *options; /* its own flags, then bench_common_options */
    enum bench_role role;
    bool no_bare_tcp;   /* it needs a server with topics, not one that only moves bytes */
    const char *figure; /* the figure that targets are compared by; smaller is better */
    /* How many settings the flags ask for, and which of them is next. NULL: one. */
    size_t (*variants)(void);
    void (*select)(size_t variant);
    /* What the settings are called in tables; NULL: by the scenario's name. */
    void (*describe)(char *text, size_t text_bytes);
    /* Before anything runs: the machine's limits, a namespace. May be NULL. */
    void (*prepare)(void);
    /* What a server must be told; start_out has the role. May be NULL. */
    void (*need)(struct bench_start *start_out);
    /* One run. Ends the program when a message is lost: there is no figure then. */
    void (*run)(struct bench_server *server, json_t *figures);
    int (*main)(int argc, char **argv);
};

extern const struct bench_scenario *const bench_scenarios[];
extern const size_t bench_scenarios_count;

/* The scenario of a name, or NULL. */
const struct bench_scenario *bench_scenario_find(const char *name);

/* Plays a scenario whose flags have been read: all variants, all rounds, all targets in turns;
 * prints what came out and appends each run to --out.
 *
 * label        what the settings are called, when the scenario does not describe them
 */
void bench_scenario_play(const struct bench_scenario *scenario, const char *label);

/* The scenarios, one a file. */
extern const struct bench_scenario bench_scenario_connect;
extern const struct bench_scenario bench_scenario_echo;
extern const struct bench_scenario bench_scenario_fanout;
extern const struct bench_scenario bench_scenario_transports;
extern const struct bench_scenario bench_scenario_storm;
extern const struct bench_scenario bench_scenario_slow;
extern const struct bench_scenario bench_scenario_churn;
extern const struct bench_scenario bench_scenario_soak;
extern const struct bench_scenario bench_scenario_idle;
extern const struct bench_scenario bench_scenario_resume;
extern const struct bench_scenario bench_scenario_drain;
extern const struct bench_scenario bench_scenario_micro;
extern const struct bench_scenario bench_scenario_peers;
extern const struct bench_scenario bench_scenario_report;

#endif
