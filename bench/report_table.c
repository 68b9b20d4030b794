/* report_table.c: the page's tables: what each target's runs came to, how they were made, and what
 * speaks against them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report.h"
#include "scenario.h"

#include <stdlib.h>
#include <string.h>

/* What a figure is told in: a number, or a time in the unit it is kept in. */
enum unit { NUMBER, MICROSECONDS, MILLISECONDS, SECONDS };

struct column {
    const char *heading;
    const char *path;
    enum unit unit;
};

/* The server's CPU time has a name for each scenario's operation. */
#define CPU_TIME "server_cpu_us_per_"
static const char *const operations[] = {"message", "delivery", "connection", "cycle"};

/* Of all scenarios: a table leaves out what none of its targets has. */
static const struct column columns[] = {
    {"per second", "per_s", NUMBER},
    {"server CPU each", CPU_TIME, MICROSECONDS},
    {"CPU each, live", "live_" CPU_TIME "delivery", MICROSECONDS},
    {"p50", "latency_us.p50", MICROSECONDS},
    {"p99", "latency_us.p99", MICROSECONDS},
    {"p99.9", "latency_us.p99_9", MICROSECONDS},
    {"max", "latency_us.max", MICROSECONDS},
    {"sent late, p99", "sent_late_us.p99", MICROSECONDS},
    {"p99 without sleepers", "without_sleepers.latency_us.p99", MICROSECONDS},
    {"sleepers", "sleepers", NUMBER},
    {"cut off", "cut_off", NUMBER},
    {"connect, p50", "connect_us.p50", MICROSECONDS},
    {"p99", "connect_us.p99", MICROSECONDS},
    {"all back after", "all_back_s_worst", SECONDS},
    {"longest turn", "turn_ms_max_resume", MILLISECONDS},
    {"memory B each", "rss_bytes_per_conn", NUMBER},
    {"private B each", "private_bytes_per_conn", NUMBER},
    {"memory B at first", "rss_first_bytes", NUMBER},
    {"at last", "rss_last_bytes", NUMBER},
    {"growth B an hour", "rss_bytes_per_hour", NUMBER},
    {"connections", "connections", NUMBER},
    {"told", "told", NUMBER},
    {"told, p50", "told_us.p50", MICROSECONDS},
    {"last", "told_us.max", MICROSECONDS},
    {"ended after", "exit_after_s", SECONDS},
    {"exit code", "exit_code", NUMBER},
    {"server's CPUs", "server_use", NUMBER},
    {"load's CPUs", "load_use", NUMBER},
};

static const struct column connect_columns[] = {
    {"connections", "connections", NUMBER},
    {"failed", "failed", NUMBER},
    {"all open after", "time_to_all_s", SECONDS},
    {"per second", "per_s", NUMBER},
    {"server CPU each", CPU_TIME, MICROSECONDS},
    {"kernel B each, both ends", "kernel_bytes_per_connection", NUMBER},
    {"server B each", "rss_bytes_per_conn", NUMBER},
    {"broadcast: first", "broadcast.first_ms", MILLISECONDS},
    {"median", "broadcast.median_ms", MILLISECONDS},
    {"last", "broadcast.last_ms", MILLISECONDS},
    {"pings: last", "ping_round.last_ms", MILLISECONDS},
    {"closed after", "teardown_s", SECONDS},
};

static const struct column transport_columns[] = {
    {"p50", "latency_us.p50", MICROSECONDS},
    {"p99", "latency_us.p99", MICROSECONDS},
    {"B received a message", "received_bytes_per_delivery", NUMBER},
    {"B sent a message", "sent_bytes_per_delivery", NUMBER},
    {"requests a message", "requests_per_delivery", NUMBER},
    {"server CPU a message", CPU_TIME, MICROSECONDS},
    {"server's CPUs", "server_use", NUMBER},
    {"never seen", "skipped", NUMBER},
};
#define COLUMNS_COUNT(list) (sizeof(list) / sizeof *(list))
#define COLUMNS_MAX         COLUMNS_COUNT(columns)

/* ---- marks ----------------------------------------------------------------------------------- */

/* More than this share of the time somebody else had the CPU. */
#define CONTENDED 0.10

static const char *text_in(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

struct marks report_marks(const struct report_group *group, const struct report_target *target)
{
    size_t index;
    json_t *figures;
    struct marks marks = {0};
    /* Then they wait for each other, as they should. */
    bool shared = strcmp(group->scenario, "connect") == 0 || report_cpus_shared(group->line);
    json_array_foreach(target->runs, index, figures)
    {
        double waited = json_number_value(json_object_get(figures, "waited"));
        marks.saturated += json_is_true(json_object_get(figures, "saturated"));
        marks.late_tail += json_is_true(json_object_get(figures, "late_tail"));
        marks.contended += !shared && waited > CONTENDED;
    }
    return marks;
}

size_t report_rounds(const struct report_group *group)
{
    const json_t *options = json_object_get(group->line, "options");
    return (size_t)json_integer_value(json_object_get(options, "repeat"));
}

static void print_mark(FILE *to, const char *what, size_t runs, bool *any)
{
    if (runs == 0)
        return;
    fprintf(to, "%s%s in %zu", *any ? ", " : "", what, runs);
    *any = true;
}

static void print_marks(FILE *to, const struct report_group *group,
                        const struct report_target *target)
{
    struct marks marks = report_marks(group, target);
    size_t rounds = json_array_size(target->runs);
    bool any = rounds < report_rounds(group);
    fputs("<td class='mark'>", to);
    if (any)
        fprintf(to, "%zu of %zu rounds", rounds, report_rounds(group));
    print_mark(to, "load saturated", marks.saturated, &any);
    print_mark(to, "CPU contended", marks.contended, &any);
    print_mark(to, "p99.9 is the load's lateness", marks.late_tail, &any);
    fputs("</td></tr>", to);
}

/* ---- cells ----------------------------------------------------------------------------------- */

static bool value_at(const struct report_target *target, const struct column *column,
                     double *value_out)
{
    char path[64];
    if (strcmp(column->path, CPU_TIME) != 0)
        return report_median(target, column->path, value_out, NULL, NULL);
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        snprintf(path, sizeof path, CPU_TIME "%s", operations[i]);
        if (report_median(target, path, value_out, NULL, NULL))
            return true;
    }
    return false;
}

static void print_value(FILE *to, double value, enum unit unit)
{
    switch (unit) {
    case NUMBER:
        html_number(to, value);
        break;
    case MICROSECONDS:
        html_time(to, value);
        break;
    case MILLISECONDS:
        html_time(to, value * 1e3);
        break;
    case SECONDS:
        html_time(to, value * 1e6);
        break;
    }
}

/* Those of a list that any target has.
 *
 * returns      how many
 */
static size_t choose(const struct report_group *group, const struct column *list, size_t count,
                     struct column *chosen_out)
{
    size_t chosen = 0;
    for (size_t i = 0; i < count; i++) {
        double value;
        unsigned t = 0;
        while (t < group->targets_count && !value_at(&group->targets[t], &list[i], &value))
            t++;
        if (t < group->targets_count)
            chosen_out[chosen++] = list[i];
    }
    return chosen;
}

/* Wide tables scroll in their box, by keyboard too. */
static void print_heads(FILE *to, const char *first, const struct column *heads, size_t count)
{
    fprintf(to,
            "<div class='wide' role='region' tabindex='0' aria-label='figures'><table><thead><tr>"
            "<th scope='col'>%s</th>",
            first);
    for (size_t i = 0; i < count; i++)
        fprintf(to, "<th scope='col'>%s</th>", heads[i].heading);
    fputs("<th scope='col'>marks</th></tr></thead><tbody>", to);
}

static void print_targets(FILE *to, const struct report_group *group, const struct column *heads,
                          size_t count)
{
    for (unsigned t = 0; t < group->targets_count; t++) {
        const struct report_target *target = &group->targets[t];
        fputs("<tr><th scope='row'>", to);
        if (strcmp(group->scenario, "transports") == 0) {
            html_text(to, group->label);
            if (group->targets_count > 1) {
                fputs(", ", to);
                html_text(to, target->name);
            }
        } else
            html_text(to, target->name);
        fputs("</th>", to);
        for (size_t i = 0; i < count; i++) {
            double value;
            fputs("<td>", to);
            if (value_at(target, &heads[i], &value))
                print_value(to, value, heads[i].unit);
            else
                fputs("–", to);
            fputs("</td>", to);
        }
        print_marks(to, group, target);
    }
}

/* ---- how they were made ---------------------------------------------------------------------- */

static void print_part(FILE *to, const char *before, const char *text)
{
    if (*text == '\0')
        return;
    fputs(before, to);
    html_text(to, text);
}

void report_circumstances(FILE *to, const struct report_group *group)
{
    const json_t *options = json_object_get(group->line, "options");
    const json_t *machine = json_object_get(group->line, "machine");
    const char *server = text_in(group->line, "server_cpus");
    const char *load = text_in(group->line, "load_cpus");
    if (*server == '\0')
        server = text_in(options, "server-cpu");
    if (*load == '\0')
        load = text_in(options, "load-cpu");
    fputs("<small>", to);
    html_text(to, text_in(group->line, "time"));
    print_part(to, ", fanwire ", text_in(machine, "commit"));
    print_part(to, ", server on CPU ", server);
    print_part(to, ", load on CPU ", load);
    print_part(to, ", load’s engine ", text_in(group->line, "load_engine"));
    if (json_is_true(json_object_get(options, "realtime")))
        fputs(", both real-time", to);
    print_part(to, "; ", text_in(group->line, "note"));
    fputs("</small>", to);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static bool has_own_section(const struct report_group *group)
{
    return strcmp(group->scenario, "micro") == 0 || strcmp(group->scenario, "connect") == 0 ||
           strcmp(group->scenario, "transports") == 0;
}

void report_tables(FILE *to, const struct report *report)
{
    struct column chosen[COLUMNS_MAX];
    for (size_t i = 0; i < report->groups_count; i++) {
        const struct report_group *group = &report->groups[i];
        if (has_own_section(group))
            continue;
        size_t count = choose(group, columns, COLUMNS_MAX, chosen);
        fputs("<section class='card'><h3>", to);
        html_text(to, group->label);
        fputs("</h3>", to);
        report_circumstances(to, group);
        print_heads(to, "target", chosen, count);
        print_targets(to, group, chosen, count);
        fputs("</tbody></table></div></section>\n", to);
    }
}

static bool any_of(const struct report *report, const char *scenario)
{
    for (size_t i = 0; i < report->groups_count; i++) {
        if (strcmp(report->groups[i].scenario, scenario) == 0)
            return true;
    }
    return false;
}

/* All groups of a scenario in one table. */
static void print_scenario(FILE *to, const struct report *report, const char *scenario,
                           const char *first, const struct column *heads, size_t count)
{
    const struct report_group *last = NULL;
    fputs("<section class='card'>", to);
    print_heads(to, first, heads, count);
    for (size_t i = 0; i < report->groups_count; i++) {
        if (strcmp(report->groups[i].scenario, scenario) != 0)
            continue;
        last = &report->groups[i];
        print_targets(to, last, heads, count);
    }
    fputs("</tbody></table></div>", to);
    if (last != NULL)
        report_circumstances(to, last);
    fputs("</section>\n", to);
}

void report_connect(FILE *to, const struct report *report)
{
    if (!any_of(report, "connect"))
        return;
    fputs("<h2>Very many connections</h2><p>Each a completed WebSocket upgrade and a subscription; "
          "load and server on one machine, so the kernel’s memory is that of both ends.</p>\n",
          to);
    print_scenario(to, report, "connect", "target", connect_columns,
                   COLUMNS_COUNT(connect_columns));
}

void report_transports(FILE *to, const struct report *report)
{
    if (!any_of(report, "transports"))
        return;
    fputs(
        "<h2>Ways to receive</h2><p>The same feed by WebSocket, event stream, long poll and plain "
        "polling. A message is one that one subscriber got; octets are those above TCP.</p>\n",
        to);
    print_scenario(to, report, "transports", "transport", transport_columns,
                   COLUMNS_COUNT(transport_columns));
}
