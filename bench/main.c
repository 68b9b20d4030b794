/* main.c: fanwire-bench: picks the scenario, reads its flags, plays it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scenario.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void usage(FILE *to)
{
    fputs("usage: fanwire-bench SCENARIO [flags]\n\n", to);
    for (size_t i = 0; i < bench_scenarios_count; i++)
        fprintf(to, "  %-11s %s\n", bench_scenarios[i]->name, bench_scenarios[i]->purpose);
    fputs("\nfanwire-bench SCENARIO --help lists its flags; bench/README.md says how to measure.\n",
          to);
}

/* Figures that nobody got are no figures. */
static int ended(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        bench_die("the output cannot be written: %s", strerror(errno));
    return status;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const struct bench_scenario *scenario = bench_scenario_find(name);
    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (scenario == NULL) {
        if (*name == '\0')
            fputs("fanwire-bench: which scenario?\n", stderr);
        else
            fprintf(stderr, "fanwire-bench: there is no scenario '%s'\n", name);
        usage(stderr);
        return 2;
    }
    if (scenario->main != NULL)
        return ended(scenario->main(argc - 1, argv + 1));
    bench_options_read(argc - 1, argv + 1, scenario->options, scenario->purpose);
    bench_settings_check();
    bench_server_guard();
    if (scenario->prepare != NULL)
        scenario->prepare();
    bench_take_place();
    bench_scenario_play(scenario, scenario->name);
    return ended(bench_settings.failed ? 1 : 0);
}
