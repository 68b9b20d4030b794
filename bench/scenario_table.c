/* scenario_table.c: the list of the scenarios.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scenario.h"

#include <string.h>

const struct bench_scenario *const bench_scenarios[] = {
    &bench_scenario_connect,    &bench_scenario_echo,   &bench_scenario_fanout,
    &bench_scenario_transports, &bench_scenario_resume, &bench_scenario_idle,
    &bench_scenario_storm,      &bench_scenario_slow,   &bench_scenario_churn,
    &bench_scenario_drain,      &bench_scenario_soak,   &bench_scenario_micro,
    &bench_scenario_peers,      &bench_scenario_report,
};
const size_t bench_scenarios_count = sizeof bench_scenarios / sizeof *bench_scenarios;

const struct bench_scenario *bench_scenario_find(const char *name)
{
    for (size_t i = 0; i < bench_scenarios_count; i++) {
        if (strcmp(bench_scenarios[i]->name, name) == 0)
            return bench_scenarios[i];
    }
    return NULL;
}
