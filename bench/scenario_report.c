/* scenario_report.c: one self-contained page of all runs: plots, tables, on what they were made.
 *
 *     fanwire-bench report FILE... [--out PAGE]
 *
 * Of every label the newest group of runs is shown. No scripts, nothing from elsewhere: the page
 * can be mailed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report.h"
#include "scenario.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--paper:#fbfaf7;--card:#fff;--ink:#1d2330;--soft:#687083;"
    "--line:#e4e2da;--c0:#d9480f;--c1:#f08c3a;--c2:#495057;--c3:#9aa1ab;--c4:#1971c2;--c5:#0c8599;"
    "--c6:#2f9e44;--c7:#7048e8;--c8:#c2255c;--c9:#b08900;--c10:#5c7c2a;--c11:#364fc7;"
    "--c12:#9c36b5;--c13:#7f5539}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#12151c;--card:#1a1f29;--ink:#e8eaf0;"
    "--soft:#98a1b3;--line:#2c3341;--c0:#ff7a3d;--c1:#ffb37a;--c2:#c4cad4;--c3:#7d8796;"
    "--c4:#5aa9f0;--c5:#3fc1d4;--c6:#5fce77;--c7:#a48bff;--c8:#f0719c;--c9:#e3bd3c;--c10:#a9c94f;"
    "--c11:#8298ff;--c12:#d98cf0;--c13:#c99b7b}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);"
    "font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\n"
    "main{max-width:1180px;margin:0 auto;padding:28px 18px 64px}h1{font-size:2rem;margin:0 0 4px;"
    "letter-spacing:-.02em}h2{font-size:1.3rem;margin:44px 0 4px}h3{font-size:1rem;margin:0 0 "
    "2px}\n"
    "p{margin:4px 0 14px;color:var(--soft);max-width:70ch}.grid{display:grid;gap:16px;"
    "grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr))}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px "
    "16px;"
    "min-width:0}.card small{color:var(--soft);display:block;margin-bottom:8px}\n"
    ".wide{overflow-x:auto}svg{width:100%;height:auto;display:block}svg text{fill:var(--ink);"
    "font-size:12px}.name{text-anchor:end}.tick,.title{fill:var(--soft)!important;font-size:11px}\n"
    ".x{text-anchor:middle}.tick.y{text-anchor:end}.title.y{text-anchor:middle}"
    ".grid path,.gridline{}path.grid{stroke:var(--line);stroke-width:1}\n"
    ".note{fill:var(--soft);font-size:11px}path.v1{stroke-dasharray:7 3}"
    "path.v2{stroke-dasharray:2.5 3}path.v3{stroke-dasharray:7 3 2 3}rect.v1{opacity:.75}"
    "rect.v2{opacity:.55}rect.v3{opacity:.4}\n"
    ".line{fill:none!important;stroke-width:2.2;stroke-linejoin:round}.range{stroke:var(--ink);"
    "stroke-width:1.4;opacity:.55}\n"
    "table{border-collapse:collapse;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}"
    "th,td{text-align:right;padding:5px 9px;border-bottom:1px solid var(--line);white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:600}\n"
    ".mark{color:var(--c0);font-weight:600}dl{display:grid;grid-template-columns:max-content 1fr;"
    "gap:2px 14px;margin:0;font-size:.9rem}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}"
    "pre{margin:0;font:12px/1.45 ui-monospace,Menlo,Consolas,monospace;overflow-x:auto}"
    "details summary{cursor:pointer;color:var(--soft)}\n";

static void print_style(FILE *to)
{
    fputs("<style>", to);
    fputs(style, to);
    for (int i = 0; i < PLOT_COLOURS; i++)
        fprintf(to, ".c%d{fill:var(--c%d);stroke:var(--c%d)}rect.c%d,circle.c%d{stroke:none}", i, i,
                i, i, i);
    fputs("</style>\n", to);
}

static const char *text_in(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

/* ---- the machine ----------------------------------------------------------------------------- */

static void print_row(FILE *to, const char *name, const char *value)
{
    if (*value == '\0')
        return;
    fprintf(to, "<dt>%s</dt><dd>", name);
    html_text(to, value);
    fputs("</dd>", to);
}

static void print_machine(FILE *to, const struct report *report)
{
    const json_t *last = json_array_get(report->lines, json_array_size(report->lines) - 1);
    const json_t *machine = json_object_get(last, "machine");
    char cpus[64];
    snprintf(cpus, sizeof cpus, "%lld, %.0f GB of memory",
             (long long)json_integer_value(json_object_get(machine, "cpus")),
             json_number_value(json_object_get(machine, "memory_bytes")) / 1e9);
    fputs("<section class='card'><dl>", to);
    print_row(to, "processor", text_in(machine, "cpu"));
    print_row(to, "CPUs", cpus);
    print_row(to, "Linux", text_in(machine, "kernel"));
    print_row(to, "fanwire", text_in(machine, "commit"));
    print_row(to, "congestion control", text_in(machine, "tcp_congestion_control"));
    print_row(to, "SIMD", text_in(machine, "simd"));
    print_row(to, "load engine", text_in(last, "load_engine"));
    print_row(to, "wolfSSL", text_in(machine, "wolfssl"));
    print_row(to, "last run", text_in(last, "time"));
    fputs("</dl></section>\n", to);
}

/* ---- side by side ---------------------------------------------------------------------------- */

/* What targets are compared by: the scenario's own figure. */
static const char *figure_of(const struct report_group *group)
{
    const struct bench_scenario *scenario = bench_scenario_find(group->scenario);
    return scenario == NULL ? NULL : scenario->figure;
}

static const char *title_of(const char *figure)
{
    static const char *const titles[][2] = {
        {"server_cpu_us_per_message", "server CPU per message, µs"},
        {"server_cpu_us_per_delivery", "server CPU per delivery, µs"},
        {"server_cpu_us_per_connection", "server CPU per connection, µs"},
        {"server_cpu_us_per_cycle", "server CPU per connect, upgrade and close, µs"},
        {"rss_bytes_per_conn", "user memory of an idle connection, bytes"},
        {"rss_bytes_per_hour", "growth of memory, bytes an hour"},
    };
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++) {
        if (strcmp(titles[i][0], figure) == 0)
            return titles[i][1];
    }
    return figure;
}

static int by_bar(const void *a, const void *b)
{
    double left = ((const struct plot_bar *)a)->value;
    double right = ((const struct plot_bar *)b)->value;
    return (left > right) - (left < right);
}

static double figure_in(const json_t *runs, size_t round, const char *figure)
{
    return json_number_value(json_object_get(json_array_get(runs, round), figure));
}

/* What a target that is another one over TLS, or compressed, costs of that one: the median of the
 * rounds' ratios.
 *
 * note_out     "" when it is nobody's variant, or not every round has both
 */
static void write_ratio(const struct report_group *group, const struct report_target *target,
                        const char *figure, char *note_out, size_t note_bytes)
{
    json_t *ratios = json_array();
    struct report_target rounds = {.runs = ratios};
    double median;
    size_t chars;
    note_out[0] = '\0';
    for (unsigned i = 0; plot_variant(target->name, &chars) > 0 && i < group->targets_count; i++) {
        const struct report_target *plain = &group->targets[i];
        size_t count = json_array_size(plain->runs);
        if (strlen(plain->name) != chars || strncmp(plain->name, target->name, chars) != 0 ||
            count != json_array_size(target->runs))
            continue;
        for (size_t round = 0; round < count; round++) {
            double base = figure_in(plain->runs, round, figure);
            double own = figure_in(target->runs, round, figure);
            if (base > 0 && own > 0)
                json_array_append_new(ratios, json_pack("{s:f}", "ratio", own / base));
        }
    }
    if (report_median(&rounds, "ratio", &median, NULL, NULL))
        snprintf(note_out, note_bytes, "%.2f × plain", median);
    json_decref(ratios);
}

static void print_bars(FILE *to, const struct report_group *group)
{
    const char *figure = figure_of(group);
    struct plot_bar bars[REPORT_TARGETS_MAX];
    char notes[REPORT_TARGETS_MAX][32];
    size_t count = 0;
    for (unsigned i = 0; figure != NULL && i < group->targets_count; i++) {
        struct plot_bar bar = {.name = group->targets[i].name};
        if (!report_median(&group->targets[i], figure, &bar.value, &bar.least, &bar.most))
            continue;
        write_ratio(group, &group->targets[i], figure, notes[count], sizeof notes[count]);
        bar.note = notes[count][0] == '\0' ? NULL : notes[count];
        bars[count++] = bar;
    }
    if (count < 2)
        return;
    qsort(bars, count, sizeof *bars, by_bar);
    fputs("<section class='card'><h3>", to);
    html_text(to, group->label);
    fprintf(to, "</h3><small>%s; %zu round%s, medians and ranges</small>", title_of(figure),
            json_array_size(group->targets[0].runs),
            json_array_size(group->targets[0].runs) == 1 ? "" : "s");
    plot_bars(to, bars, count);
    fputs("</section>\n", to);
}

/* ---- curves ---------------------------------------------------------------------------------- */

/* The curve of a target's median run (by p99), or of its only one. */
static void take_curve(struct plot_series *series, const struct report_target *target)
{
    const json_t *figures = json_array_get(target->runs, json_array_size(target->runs) / 2);
    const json_t *curve = json_object_get(figures, "latency_curve");
    size_t index;
    json_t *point;
    series->name = target->name;
    series->count = 0;
    json_array_foreach((json_t *)curve, index, point)
    {
        if (series->count == PLOT_POINTS_MAX)
            break;
        series->x[series->count] = json_number_value(json_array_get(point, 0));
        series->y[series->count++] = json_number_value(json_array_get(point, 1));
    }
}

static void print_curve(FILE *to, const struct report_group *group, struct plot_series *series)
{
    size_t count = 0;
    for (unsigned i = 0; i < group->targets_count; i++) {
        take_curve(&series[count], &group->targets[i]);
        count += series[count].count > 1;
    }
    if (count == 0)
        return;
    const struct plot plot = {.x_title = "share of messages",
                              .y_title = "latency, µs",
                              .x_axis = PLOT_TAIL,
                              .y_axis = PLOT_LOG,
                              .series = series,
                              .series_count = count};
    fputs("<section class='card'><h3>", to);
    html_text(to, group->label);
    fprintf(to, "</h3><small>%s</small>",
            json_integer_value(json_object_get(json_array_get(group->targets[0].runs, 0), "rate")) >
                    0
                ? "open loop: from the time a message was due"
                : "closed loop, as fast as it goes: queues included");
    plot_lines(to, &plot);
    fputs("</section>\n", to);
}

/* ---- throughput by size, memory by connections ----------------------------------------------- */

static struct plot_series *series_named(struct plot_series *series, size_t *count, const char *name)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(series[i].name, name) == 0)
            return &series[i];
    }
    if (*count == PLOT_SERIES_MAX)
        return NULL;
    series[*count] = (struct plot_series){.name = name};
    return &series[(*count)++];
}

/* Keeps the points in the order of x. */
static void add_point(struct plot_series *series, double x, double y)
{
    if (series == NULL || series->count == PLOT_POINTS_MAX)
        return;
    size_t at = series->count++;
    for (; at > 0 && series->x[at - 1] > x; at--) {
        series->x[at] = series->x[at - 1];
        series->y[at] = series->y[at - 1];
    }
    series->x[at] = x;
    series->y[at] = y;
}

/* Leaves out who has one point only: it is no line.
 *
 * returns      how many are left
 */
static size_t keep_lines(struct plot_series *series, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (series[i].count > 1)
            series[kept++] = series[i];
    }
    return kept;
}

/* One plot of a figure over another, over all groups of a scenario. */
static void print_against(FILE *to, const struct report *report, const char *scenario,
                          const char *x_path, const char *y_path, const struct plot *shape,
                          const char *heading, double depth)
{
    size_t count = 0;
    struct plot plot = *shape;
    for (size_t i = 0; i < report->groups_count; i++) {
        const struct report_group *group = &report->groups[i];
        for (unsigned t = 0; strcmp(group->scenario, scenario) == 0 && t < group->targets_count;
             t++) {
            const struct report_target *target = &group->targets[t];
            double x;
            double y;
            double deep;
            if (!report_median(target, x_path, &x, NULL, NULL) ||
                !report_median(target, y_path, &y, NULL, NULL))
                continue;
            double rate;
            if (report_median(target, "rate", &rate, NULL, NULL) && rate > 0)
                continue; /* by the clock: no throughput */
            if (depth > 0 && (!report_median(target, "depth", &deep, NULL, NULL) || deep < depth ||
                              deep > depth))
                continue;
            add_point(series_named(plot.series, &count, target->name), x, y);
        }
    }
    plot.series_count = keep_lines(plot.series, count);
    if (plot.series_count == 0)
        return;
    fprintf(to, "<section class='card'><h3>%s</h3>", heading);
    plot_lines(to, &plot);
    fputs("</section>\n", to);
}

/* ---- tables ---------------------------------------------------------------------------------- */

struct column {
    const char *heading;
    const char *path;
};

static const struct column columns[] = {
    {"per second", "per_s"},          {"CPU µs", NULL}, /* the scenario's own figure */
    {"p50 µs", "latency_us.p50"},     {"p99 µs", "latency_us.p99"},
    {"p99.9 µs", "latency_us.p99_9"}, {"max µs", "latency_us.max"},
    {"load's CPU", "load_use"},
};
static const struct column connect_columns[] = {
    {"connections", "connections"},
    {"failed", "failed"},
    {"time to all, s", "time_to_all_s"},
    {"per second", "per_s"},
    {"kernel B each", "kernel_bytes_per_connection"},
    {"server B each", "rss_bytes_per_conn"},
    {"broadcast first ms", "broadcast.first_ms"},
    {"median ms", "broadcast.median_ms"},
    {"last ms", "broadcast.last_ms"},
    {"close, s", "teardown_s"},
};

static const struct column transport_columns[] = {
    {"p50 µs", "latency_us.p50"},
    {"p99 µs", "latency_us.p99"},
    {"B received a message", "received_bytes_per_delivery"},
    {"B sent a message", "sent_bytes_per_delivery"},
    {"requests a message", "requests_per_delivery"},
    {"server CPU µs a message", "server_cpu_us_per_delivery"},
    {"server's CPU", "server_use"},
    {"never seen", "skipped"},
};

static size_t marks_of(const struct report_target *target)
{
    size_t index;
    json_t *figures;
    size_t marks = 0;
    json_array_foreach(target->runs, index, figures) marks +=
        json_is_true(json_object_get(figures, "saturated"));
    return marks;
}

static void print_heads(FILE *to, const char *first, const struct column *heads, size_t count)
{
    fprintf(to, "<div class='wide'><table><tr><th>%s</th>", first);
    for (size_t i = 0; i < count; i++)
        fprintf(to, "<th>%s</th>", heads[i].heading);
    fputs("<th></th></tr>", to);
}

static void print_targets(FILE *to, const struct report_group *group, const struct column *heads,
                          size_t count)
{
    for (unsigned t = 0; t < group->targets_count; t++) {
        const struct report_target *target = &group->targets[t];
        fputs("<tr><td>", to);
        if (strcmp(group->scenario, "transports") == 0)
            html_text(to, group->label);
        else
            html_text(to, target->name);
        fputs("</td>", to);
        for (size_t i = 0; i < count; i++) {
            const char *path = heads[i].path == NULL ? figure_of(group) : heads[i].path;
            double value;
            fputs("<td>", to);
            if (path != NULL && report_median(target, path, &value, NULL, NULL))
                html_number(to, value);
            fputs("</td>", to);
        }
        fprintf(to, "<td class='mark'>%s</td></tr>", marks_of(target) > 0 ? "load saturated" : "");
    }
}

static void print_tables(FILE *to, const struct report *report)
{
    for (size_t i = 0; i < report->groups_count; i++) {
        const struct report_group *group = &report->groups[i];
        if (strcmp(group->scenario, "micro") == 0 || strcmp(group->scenario, "connect") == 0 ||
            strcmp(group->scenario, "transports") == 0)
            continue;
        fputs("<section class='card'><h3>", to);
        html_text(to, group->label);
        fputs("</h3><small>", to);
        html_text(to, text_in(group->line, "time"));
        fputs("</small>", to);
        print_heads(to, "target", columns, sizeof columns / sizeof *columns);
        print_targets(to, group, columns, sizeof columns / sizeof *columns);
        fputs("</table></div></section><br>\n", to);
    }
}

/* ---- the page -------------------------------------------------------------------------------- */

static bool any_of(const struct report *report, const char *scenario)
{
    for (size_t i = 0; i < report->groups_count; i++) {
        if (strcmp(report->groups[i].scenario, scenario) == 0)
            return true;
    }
    return false;
}

static void print_connect(FILE *to, const struct report *report)
{
    if (!any_of(report, "connect"))
        return;
    fputs("<h2>Very many connections</h2><p>Each a completed WebSocket upgrade and a subscription; "
          "load and server on this machine.</p><section class='card'>\n",
          to);
    print_heads(to, "target", connect_columns, sizeof connect_columns / sizeof *connect_columns);
    for (size_t i = 0; i < report->groups_count; i++) {
        if (strcmp(report->groups[i].scenario, "connect") == 0)
            print_targets(to, &report->groups[i], connect_columns,
                          sizeof connect_columns / sizeof *connect_columns);
    }
    fputs("</table></div></section>\n", to);
}

/* The decision table: what each way of receiving costs. */
static void print_transports(FILE *to, const struct report *report)
{
    if (!any_of(report, "transports"))
        return;
    fputs(
        "<h2>Ways to receive</h2><p>The same feed by WebSocket, event stream, long poll and plain "
        "polling. A message is one that one subscriber got; octets are those above TCP.</p>"
        "<section class='card'>\n",
        to);
    print_heads(to, "transport", transport_columns,
                sizeof transport_columns / sizeof *transport_columns);
    for (size_t i = 0; i < report->groups_count; i++) {
        if (strcmp(report->groups[i].scenario, "transports") == 0)
            print_targets(to, &report->groups[i], transport_columns,
                          sizeof transport_columns / sizeof *transport_columns);
    }
    fputs("</table></div></section>\n", to);
}

static void print_plots(FILE *to, const struct report *report, struct plot_series *series)
{
    struct plot sizes = {.x_title = "bytes of a message",
                         .y_title = "messages a second",
                         .x_axis = PLOT_LOG,
                         .y_axis = PLOT_LOG,
                         .x_bytes = true,
                         .series = series};
    struct plot memory = {.x_title = "connections",
                          .y_title = "bytes a connection",
                          .x_axis = PLOT_LOG,
                          .y_axis = PLOT_LINEAR,
                          .series = series};
    fputs("<h2>Side by side</h2><p>Shorter is better. Absolute figures of two days do not compare; "
          "targets within one plot ran in turns.</p><div class='grid'>\n",
          to);
    for (size_t i = 0; i < report->groups_count; i++)
        print_bars(to, &report->groups[i]);
    fputs(
        "</div>\n<h2>Latency</h2><p>The share of messages that took no longer: the further a line "
        "stays low to the right, the better its tail.</p><div class='grid'>\n",
        to);
    for (size_t i = 0; i < report->groups_count; i++)
        print_curve(to, &report->groups[i], series);
    fputs("</div>\n<h2>By size and number</h2><div class='grid'>\n", to);
    print_against(to, report, "echo", "payload_bytes", "per_s", &sizes,
                  "Throughput by size, one in flight", 1);
    print_against(to, report, "connect", "connections", "rss_bytes_per_conn", &memory,
                  "Server memory by connections", 0);
    print_against(to, report, "connect", "connections", "kernel_bytes_per_connection", &memory,
                  "Kernel memory by connections, both ends", 0);
    fputs("</div>\n", to);
}

static void print_micro(FILE *to, const struct report *report)
{
    if (!any_of(report, "micro"))
        return;
    fputs("<h2>Functions by themselves</h2>\n", to);
    for (size_t i = 0; i < report->groups_count; i++) {
        const struct report_group *group = &report->groups[i];
        if (strcmp(group->scenario, "micro") != 0)
            continue;
        fputs("<details class='card'><summary>", to);
        html_text(to, group->label);
        fputs("</summary><pre>", to);
        html_text(to, text_in(json_object_get(group->line, "figures"), "table"));
        fputs("</pre></details><br>\n", to);
    }
}

static void print_page(FILE *to, const struct report *report)
{
    struct plot_series *series = bench_alloc(PLOT_SERIES_MAX, sizeof *series);
    fputs("<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
          "<meta name='viewport' content='width=device-width,initial-scale=1'>"
          "<title>fanwire-bench</title>\n",
          to);
    print_style(to);
    fprintf(to,
            "</head><body><main><h1>fanwire-bench</h1><p>%zu runs. Each figure is a median; the "
            "load's own CPU time is in the tables, and runs in which it was the limit are "
            "marked.</p>\n",
            json_array_size(report->lines));
    print_machine(to, report);
    print_connect(to, report);
    print_transports(to, report);
    print_plots(to, report, series);
    fputs("<h2>All figures</h2>\n", to);
    print_tables(to, report);
    print_micro(to, report);
    fputs("</main></body></html>\n", to);
    free(series);
}

static int report_main(int argc, char **argv)
{
    struct report report = {0};
    const char *out = "fanwire-bench.html";
    int files = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            puts("usage: fanwire-bench report FILE... [--out PAGE]  (fanwire-bench.html)");
            return 0;
        }
        if (strcmp(argv[i], "--out") == 0 && i + 1 < argc) {
            out = argv[++i];
            continue;
        }
        if (argv[i][0] == '-')
            bench_misuse("there is no option '%s' (try --help)", argv[i]);
        if (!report_read(&report, argv[i]))
            return 1;
        files++;
    }
    if (files == 0)
        bench_misuse("of which records? name files that --out of other scenarios has written");
    if (json_array_size(report.lines) == 0)
        bench_die("no run in %s", files == 1 ? "that file" : "those files");
    report_group(&report);
    FILE *to = fopen(out, "we");
    if (to == NULL)
        bench_die("%s: %s", out, strerror(errno));
    print_page(to, &report);
    if (ferror(to) || fclose(to) != 0)
        bench_die("%s cannot be written: %s", out, strerror(errno));
    printf("%s: %zu runs, %zu comparisons", out, json_array_size(report.lines),
           report.groups_count);
    if (report.passed_over > 0)
        printf(", %zu lines of an older format passed over", report.passed_over);
    putchar('\n');
    report_free(&report);
    return 0;
}

const struct bench_scenario bench_scenario_report = {
    .name = "report",
    .purpose = "one page with plots and tables of the runs that --out has kept",
    .main = report_main,
};
