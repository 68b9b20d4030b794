/* scenario_drain.c: a server is told to stop (SIGTERM): is everybody told, how are the goodbyes
 * spread over the window, and how does the process end?
 *
 * Only of a server that this program has started: it is gone afterwards.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet.h"
#include "scenario.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

/* The spread is counted in parts of the window. */
#define PARTS 10u
/* Beyond the window: the closing handshakes, and the process's end. */
#define SPARE_MS 10000u

static size_t conns_count = 10000;
static size_t drain_seconds = 10;

static const struct bench_option options[] = {
    BENCH_NUMBER("connections", &conns_count, 1, 1000000, "subscribers that are told"),
    BENCH_NUMBER("drain-time", &drain_seconds, 0, 600, "the window, in seconds"),
    BENCH_OPTIONS_THEN(bench_common_options),
};

static void need(struct bench_start *start)
{
    static char flags[64];
    snprintf(flags, sizeof flags, "--drain-time %zu", drain_seconds);
    start->ours_flags = flags;
}

/* ---- on the clients' threads ----------------------------------------------------------------- */

static uint64_t began_ns; /* SIGTERM; written while no connection is lost */

/* When the goodbyes of one client came, since SIGTERM. */
struct goodbyes {
    struct bench_histogram after;
    uint64_t parts[PARTS];
};

static void on_lost(struct bench_client *client, uint32_t slot, enum bench_failure failure)
{
    struct goodbyes *own = client->context;
    uint64_t after_ns = bench_clock_ns(CLOCK_MONOTONIC) - began_ns;
    uint64_t window_ns = (uint64_t)drain_seconds * 1000000000u;
    (void)slot;
    if (failure != BENCH_FAIL_GOODBYE)
        return;
    bench_histogram_record(&own->after, after_ns);
    size_t part = window_ns == 0 ? 0 : (size_t)(after_ns * PARTS / window_ns);
    own->parts[part < PARTS ? part : PARTS - 1]++;
}

static void give_context(struct bench_client *client, void *argument)
{
    (void)argument;
    client->context = bench_alloc(1, sizeof(struct goodbyes));
}

static void on_end(struct bench_client *client)
{
    free(client->context);
}

static void gather(struct bench_client *client, void *argument)
{
    const struct goodbyes *own = client->context;
    struct goodbyes *all = argument;
    bench_histogram_merge(&all->after, &own->after);
    for (size_t i = 0; i < PARTS; i++)
        all->parts[i] += own->parts[i];
}

static const struct bench_handlers handlers = {.on_lost = on_lost, .on_end = on_end};

/* ---- a run ----------------------------------------------------------------------------------- */

/* Waits for the process's end, which bench_server_stop finds again.
 *
 * returns      its exit code; -1 when a signal ended it, or it still runs
 */
static int wait_for_exit(pid_t pid, uint64_t until_ns)
{
    siginfo_t info = {.si_pid = 0};
    while (bench_clock_ns(CLOCK_MONOTONIC) < until_ns) {
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == pid)
            return info.si_code == CLD_EXITED ? info.si_status : -1;
        bench_sleep_ms(10);
    }
    return -1;
}

static void report(const struct bench_fleet *fleet, const struct goodbyes *all, int exit_code,
                   json_t *figures)
{
    uint64_t told = BENCH_SUM(fleet, failures[BENCH_FAIL_GOODBYE]);
    json_t *parts = json_object();
    char name[32];
    for (size_t i = 0; i < PARTS; i++) {
        snprintf(name, sizeof name, "%zu0_percent", i + 1);
        json_object_set_new(parts, name, json_integer((json_int_t)all->parts[i]));
    }
    json_object_set_new(figures, "connections", json_integer((json_int_t)conns_count));
    json_object_set_new(figures, "told", json_integer((json_int_t)told));
    json_object_set_new(figures, "told_us", bench_latency_json(&all->after));
    json_object_set_new(figures, "told_by_part_of_the_window", parts);
    json_object_set_new(figures, "exit_code", json_integer(exit_code));
    if (told == conns_count && exit_code == 0)
        return;
    fprintf(stderr, "drain: %llu of %zu were told, exit code %d\n", (unsigned long long)told,
            conns_count, exit_code);
    bench_settings.failed = true;
}

static void run(struct bench_server *server, json_t *figures)
{
    struct bench_fleet fleet;
    struct bench_opening opening;
    struct goodbyes *all = bench_alloc(1, sizeof *all);
    unsigned threads = (unsigned)bench_settings.threads;
    if (!server->started)
        bench_misuse("drain ends the server: it must be started here (--serve)");
    bench_fleet_start(&fleet, threads, (uint32_t)(conns_count / threads) + 64, &handlers);
    bench_fleet_each(&fleet, give_context, NULL);
    bench_fleet_opening(&fleet, &server->url, NULL, &opening);
    bench_fleet_open_all(&fleet, &opening, conns_count);
    began_ns = bench_clock_ns(CLOCK_MONOTONIC);
    uint64_t until_ns = began_ns + (uint64_t)(drain_seconds * 1000 + SPARE_MS) * 1000000u;
    kill(server->pid, SIGTERM);
    while (BENCH_SUM(&fleet, gone_count) < conns_count &&
           bench_clock_ns(CLOCK_MONOTONIC) < until_ns)
        bench_sleep_ms(5);
    int exit_code = wait_for_exit(server->pid, until_ns);
    json_object_set_new(figures, "exit_after_s",
                        json_real((double)(bench_clock_ns(CLOCK_MONOTONIC) - began_ns) / 1e9));
    for (unsigned client = 0; client < threads; client++)
        bench_fleet_one(&fleet, client, gather, all);
    report(&fleet, all, exit_code, figures);
    bench_fleet_stop(&fleet);
    free(all);
}

const struct bench_scenario bench_scenario_drain = {
    .name = "drain",
    .purpose = "SIGTERM: everybody is told, spread over the window, and the server ends with 0",
    .options = options,
    .role = BENCH_FEED,
    .no_bare_tcp = true,
    .figure = "exit_after_s",
    .need = need,
    .run = run,
};
