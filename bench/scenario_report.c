/* scenario_report.c: one self-contained page of all runs: plots, tables, on what they were made.
 *
 *     fanwire-bench report FILE... [--out PAGE]
 *
 * Of every comparison the newest group of runs is shown. No scripts, nothing from elsewhere: the
 * page can be mailed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report.h"
#include "scenario.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--paper:#fbfaf7;--card:#fff;--ink:#1d2330;--soft:#5d6577;"
    "--line:#e4e2da;--c0:#c2410c;--c1:#dd7a1a;--c2:#343a40;--c3:#868e99;--c4:#1971c2;--c5:#0c8599;"
    "--c6:#2b8a3e;--c7:#7048e8;--c8:#c2255c;--c9:#a37f00;--c10:#5c7c2a;--c11:#364fc7;"
    "--c12:#9c36b5;--c13:#7f5539;--c14:#74b816;--c15:#f06595}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#12151c;--card:#1a1f29;--ink:#e8eaf0;"
    "--soft:#98a1b3;--line:#2c3341;--c0:#ff7a3d;--c1:#ffb37a;--c2:#c4cad4;--c3:#7d8796;"
    "--c4:#5aa9f0;--c5:#3fc1d4;--c6:#5fce77;--c7:#a48bff;--c8:#f0719c;--c9:#e3bd3c;--c10:#a9c94f;"
    "--c11:#8298ff;--c12:#d98cf0;--c13:#c99b7b;--c14:#94d82d;--c15:#f783ac}}\n"
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
    ".x{text-anchor:middle}.tick.end{text-anchor:end}.tick.y{text-anchor:end}.title.y{text-anchor:"
    "middle}"
    ".grid path,.gridline{}path.grid{stroke:var(--line);stroke-width:1}\n"
    ".note{fill:var(--soft);font-size:11px}path.v1{stroke-dasharray:7 3}"
    "path.v2{stroke-dasharray:2.5 3}path.v3{stroke-dasharray:7 3 2 3}rect.v1{opacity:.75}"
    "rect.v2{opacity:.55}rect.v3{opacity:.4}\n"
    ".line{fill:none!important;stroke-width:2.2;stroke-linejoin:round}.range{stroke:var(--ink);"
    "stroke-width:1.4;opacity:.55}\n"
    "table{border-collapse:collapse;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}"
    "th,td{text-align:right;padding:5px 9px;border-bottom:1px solid var(--line);white-space:nowrap}"
    "thead th{color:var(--soft);font-weight:600;white-space:normal;vertical-align:bottom}"
    "tbody th{font-weight:400}th:first-child{text-align:left;position:sticky;left:0;"
    "background:var(--card)}section+section{margin-top:16px}.grid section{margin-top:0}"
    "td.mark{text-align:left;white-space:normal;min-width:14em}thead "
    "th:last-child{text-align:left}.wide:focus-visible{outline:2px solid var(--c4)}\n"
    ".mark{color:var(--c0);font-weight:600}dl{display:grid;grid-template-columns:max-content 1fr;"
    "gap:2px 14px;margin:0;font-size:.9rem}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}"
    "pre{margin:0;font:12px/1.45 ui-monospace,Menlo,Consolas,monospace;overflow-x:auto}"
    "details summary{cursor:pointer;color:var(--soft)}.star{fill:var(--c0)!important;"
    "font-weight:700}.dot{stroke:var(--card)!important;stroke-width:1}\n"
    "@media print{:root{--paper:#fff}main{max-width:none;padding:0}body{font-size:11pt}"
    ".card{break-inside:avoid;border-color:#bbb}.grid{grid-template-columns:1fr 1fr}h2{"
    "break-after:avoid}.wide{overflow:visible}table{font-size:7pt}th,td{padding:2px 3px}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}\n";

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
    const json_t *last = report_newest(report);
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
    print_row(to, "wolfSSL", text_in(machine, "wolfssl"));
    print_row(to, "newest run", text_in(last, "time"));
    fputs("</dl></section>\n", to);
}

/* What others are compared with. */
#define BASE "raw-epoll"

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
        {"exit_after_s", "from SIGTERM to the end of the process, s"},
        {"latency_us.p50", "latency p50: half of the messages took no longer"},
        {"latency_us.p99", "latency p99: all but one message in a hundred"},
        {"latency_us.p99_9", "latency p99.9: all but one in a thousand"},
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

/* The figure of a target's run in a round; 0 when it has none. */
static double figure_in(const struct report_target *target, json_int_t round, const char *figure)
{
    size_t index;
    json_t *figures;
    json_array_foreach(target->runs, index, figures)
    {
        if (json_integer_value(json_object_get(figures, "round")) == round)
            return json_number_value(report_figure(figures, figure));
    }
    return 0;
}

/* Whom a target is compared with: one over TLS, or compressed, with its plain self, others with the
 * bare TCP echo or fan-out on epoll. NULL when that took no part. */
static const struct report_target *base_of(const struct report_group *group,
                                           const struct report_target *target)
{
    size_t chars;
    const char *name = BASE;
    if (plot_variant(target->name, &chars) > 0)
        name = target->name;
    else
        chars = strlen(BASE);
    for (unsigned i = 0; i < group->targets_count; i++) {
        const struct report_target *base = &group->targets[i];
        if (base != target && strlen(base->name) == chars && strncmp(base->name, name, chars) == 0)
            return base;
    }
    return NULL;
}

/* The median of the rounds' ratios.
 *
 * note_out     "" when there is nobody to compare with, or no round has both
 */
static void write_ratio(const struct report_group *group, const struct report_target *target,
                        const char *figure, char *note_out, size_t note_bytes)
{
    const struct report_target *base = base_of(group, target);
    json_t *ratios = json_array();
    struct report_target rounds = {.runs = ratios};
    double median;
    size_t index;
    size_t chars;
    json_t *figures;
    note_out[0] = '\0';
    json_array_foreach(target->runs, index, figures)
    {
        double own = json_number_value(report_figure(figures, figure));
        json_int_t round = json_integer_value(json_object_get(figures, "round"));
        double theirs = base == NULL ? 0 : figure_in(base, round, figure);
        if (theirs > 0 && own > 0)
            json_array_append_new(ratios, json_pack("{s:f}", "ratio", own / theirs));
    }
    if (report_median(&rounds, "ratio", &median, NULL, NULL))
        snprintf(note_out, note_bytes, "%.2f ×%s", median,
                 plot_variant(target->name, &chars) > 0 ? " plain" : "");
    json_decref(ratios);
}

static bool is_marked(const struct report_group *group, const struct report_target *target)
{
    struct marks marks = report_marks(group, target);
    return marks.saturated + marks.contended + marks.late_tail > 0;
}

static void print_caption(FILE *to, const struct report_group *group, const char *figure,
                          bool ratios, bool marked)
{
    size_t rounds = report_rounds(group);
    fputs("<section class='card'><h3>", to);
    html_text(to, group->label);
    fprintf(to, "</h3><small>%s; ", title_of(figure));
    if (rounds > 1)
        fprintf(to, "medians and ranges of %zu rounds", rounds);
    else
        fputs("one round", to);
    if (ratios)
        fprintf(to, "; ×: as much as %s in the same round", BASE);
    if (marked)
        fputs("; <b class='mark'>*</b> marked in the tables below", to);
    fputs("</small>", to);
}

static void print_bars(FILE *to, const struct report_group *group, const char *figure)
{
    struct plot_bar bars[REPORT_TARGETS_MAX];
    char notes[REPORT_TARGETS_MAX][32];
    size_t count = 0;
    bool ratios = false;
    bool marked = false;
    for (unsigned i = 0; figure != NULL && i < group->targets_count; i++) {
        const struct report_target *target = &group->targets[i];
        struct plot_bar bar = {.name = target->name,
                               .time = strncmp(figure, "latency_us", 10) == 0,
                               .marked = is_marked(group, target)};
        if (!report_median(target, figure, &bar.value, &bar.least, &bar.most))
            continue;
        write_ratio(group, target, figure, notes[count], sizeof notes[count]);
        bar.note = notes[count][0] == '\0' ? NULL : notes[count];
        ratios |= bar.note != NULL && strstr(bar.note, "plain") == NULL;
        marked |= bar.marked;
        bars[count++] = bar;
    }
    if (count < 2)
        return;
    qsort(bars, count, sizeof *bars, by_bar);
    print_caption(to, group, figure, ratios, marked);
    plot_bars(to, bars, count);
    fputs("</section>\n", to);
}

/* Messages that went out by the clock are about how long they took, then about CPU time. */
static void print_group_bars(FILE *to, const struct report_group *group)
{
    double rate;
    if (strcmp(group->scenario, "transports") == 0)
        return; /* compared with each other, in a table of their own */
    for (unsigned t = 0; t < group->targets_count; t++) {
        if (!report_median(&group->targets[t], "rate", &rate, NULL, NULL) || !(rate > 0))
            continue;
        for (size_t i = 0; report_latencies[i] != NULL; i++)
            print_bars(to, group, report_latencies[i]);
        break;
    }
    print_bars(to, group, figure_of(group));
}

/* ---- curves ---------------------------------------------------------------------------------- */

/* The run whose p99 is nearest to the median of all runs' p99. */
static const json_t *median_run(const struct report_target *target)
{
    double median = 0;
    const json_t *nearest = NULL;
    double distance = INFINITY;
    size_t index;
    json_t *figures;
    report_median(target, "latency_us.p99", &median, NULL, NULL);
    json_array_foreach(target->runs, index, figures)
    {
        double own = fabs(json_number_value(report_figure(figures, "latency_us.p99")) - median);
        if (own < distance) {
            distance = own;
            nearest = figures;
        }
    }
    return nearest;
}

static void take_curve(struct plot_series *series, const struct report_target *target)
{
    const json_t *figures = median_run(target);
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
                              .y_title = "latency",
                              .y_time = true,
                              .x_axis = PLOT_TAIL,
                              .y_axis = PLOT_LOG,
                              .series = series,
                              .series_count = count};
    fputs("<section class='card'><h3>", to);
    html_text(to, group->label);
    fprintf(to, "</h3><small>%s</small>",
            json_integer_value(json_object_get(json_array_get(group->targets[0].runs, 0), "rate")) >
                    0
                ? "open loop: from the time a message was due; the median run of each"
                : "closed loop, as fast as it goes: queues included; the median run of each");
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

/* Keeps the points in the order of x; of two for the same x the first. */
static void add_point(struct plot_series *series, double x, double y)
{
    if (series == NULL || series->count == PLOT_POINTS_MAX)
        return;
    size_t at = series->count;
    while (at > 0 && series->x[at - 1] > x)
        at--;
    if (at > 0 && !(series->x[at - 1] < x))
        return;
    for (size_t i = series->count++; i > at; i--) {
        series->x[i] = series->x[i - 1];
        series->y[i] = series->y[i - 1];
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

/* The server's memory, second by second, of each target's last run. */
static void print_soak(FILE *to, const struct report_group *group, struct plot_series *series)
{
    size_t count = 0;
    for (unsigned t = 0; strcmp(group->scenario, "soak") == 0 && t < group->targets_count; t++) {
        const json_t *runs = group->targets[t].runs;
        const json_t *curve =
            json_object_get(json_array_get(runs, json_array_size(runs) - 1), "rss_curve");
        size_t seconds = json_array_size(curve);
        size_t step = seconds / PLOT_POINTS_MAX + 1;
        series[count] = (struct plot_series){.name = group->targets[t].name};
        for (size_t i = 0; i < seconds; i += step)
            add_point(&series[count], (double)i + 1,
                      json_number_value(json_array_get(curve, i)) / (1 << 20));
        count += series[count].count > 1;
    }
    if (count == 0)
        return;
    const struct plot plot = {.x_title = "seconds",
                              .y_title = "resident memory, MiB",
                              .series = series,
                              .series_count = count};
    fputs("<section class='card'><h3>", to);
    html_text(to, group->label);
    fputs("</h3><small>the server's memory while connections come and go</small>", to);
    plot_lines(to, &plot);
    fputs("</section>\n", to);
}

/* ---- order ----------------------------------------------------------------------------------- */

static size_t scenario_place(const struct report_group *group)
{
    size_t i = 0;
    while (i < bench_scenarios_count && strcmp(bench_scenarios[i]->name, group->scenario) != 0)
        i++;
    return i;
}

static double first_figure(const struct report_group *group, const char *figure)
{
    double value = 0;
    if (group->targets_count > 0)
        report_median(&group->targets[0], figure, &value, NULL, NULL);
    return value;
}

/* By scenario, as the help has them; small before large; by the clock, and over TLS, behind; and
 * what was made in another way than the rest behind its like. */
static bool goes_before(const struct report_group *a, const struct report_group *b)
{
    static const char *const figures[] = {"rate",        "payload_bytes", "subscribers",
                                          "connections", "depth",         "burst"};
    if (scenario_place(a) != scenario_place(b))
        return scenario_place(a) < scenario_place(b);
    bool a_over = strstr(a->label, ", plain and ") != NULL;
    bool b_over = strstr(b->label, ", plain and ") != NULL;
    if (a_over != b_over)
        return b_over;
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        double left = first_figure(a, figures[i]);
        double right = first_figure(b, figures[i]);
        if (left < right || left > right)
            return left < right;
    }
    return b->apart && !a->apart;
}

/* Equals stay as the files have them. */
static void put_in_order(struct report *report)
{
    for (size_t i = 1; i < report->groups_count; i++) {
        struct report_group group = report->groups[i];
        size_t at = i;
        for (; at > 0 && goes_before(&group, &report->groups[at - 1]); at--)
            report->groups[at] = report->groups[at - 1];
        report->groups[at] = group;
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

/* Cards of a section are written aside first: without any there is no section. */
static FILE *begin_grid(char **text, size_t *bytes)
{
    FILE *grid = open_memstream(text, bytes);
    if (grid == NULL)
        bench_die("out of memory for the report");
    return grid;
}

static void end_grid(FILE *to, FILE *grid, char **text, const char *heading)
{
    if (fclose(grid) != 0)
        bench_die("out of memory for the report");
    if (**text != '\0')
        fprintf(to, "%s<div class='grid'>\n%s</div>\n", heading, *text);
    free(*text);
    *text = NULL;
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
    char *text = NULL;
    size_t bytes = 0;
    FILE *grid = begin_grid(&text, &bytes);
    for (size_t i = 0; i < report->groups_count; i++)
        print_group_bars(grid, &report->groups[i]);
    end_grid(
        to, grid, &text,
        "<h2>Side by side</h2><p>Shorter is better. Targets within one plot ran in turns, and "
        "ratios "
        "are taken within a round; absolute figures of two plots, or of two days, do not "
        "compare. raw-epoll and raw-uring are bare TCP servers that only move the bytes: what the "
        "machine can do.</p>");
    grid = begin_grid(&text, &bytes);
    for (size_t i = 0; i < report->groups_count; i++)
        print_curve(grid, &report->groups[i], series);
    end_grid(
        to, grid, &text,
        "<h2>Latency</h2><p>The share of messages that took no longer: the further a line stays "
        "low to the right, the better its tail.</p>");
    grid = begin_grid(&text, &bytes);
    print_against(grid, report, "echo", "payload_bytes", "per_s", &sizes,
                  "Throughput by size, one in flight", 1);
    print_against(grid, report, "connect", "connections", "rss_bytes_per_conn", &memory,
                  "Server memory by connections", 0);
    print_against(grid, report, "connect", "connections", "kernel_bytes_per_connection", &memory,
                  "Kernel memory by connections, both ends", 0);
    for (size_t i = 0; i < report->groups_count; i++)
        print_soak(grid, &report->groups[i], series);
    end_grid(to, grid, &text, "<h2>By size, number and time</h2>");
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
            "</head><body><main><h1>fanwire-bench</h1><p>%zu runs, of each comparison the newest "
            "ones. Each figure is the median of its rounds. Runs in which the load was the limit, "
            "or something else wanted the CPUs, are marked with a star, and in the tables.</p>\n",
            json_array_size(report->lines));
    print_machine(to, report);
    report_connect(to, report);
    report_transports(to, report);
    print_plots(to, report, series);
    fputs("<h2>All figures</h2>\n", to);
    report_tables(to, report);
    print_micro(to, report);
    fputs("</main></body></html>\n", to);
    free(series);
}

void report_write(struct report *report, const char *page)
{
    if (json_array_size(report->lines) == 0)
        bench_die("no run in what was read");
    report_group(report);
    put_in_order(report);
    FILE *to = fopen(page, "we");
    if (to == NULL)
        bench_die("%s: %s", page, strerror(errno));
    print_page(to, report);
    if (ferror(to) || fclose(to) != 0)
        bench_die("%s cannot be written: %s", page, strerror(errno));
    FILE *say = bench_settings.as_json ? stderr : stdout;
    fprintf(say, "%s: %zu runs, %zu comparisons", page, json_array_size(report->lines),
            report->groups_count);
    if (report->passed_over > 0)
        fprintf(say, ", %zu lines of an older format passed over", report->passed_over);
    fputc('\n', say);
    report_free(report);
}

static int report_main(int argc, char **argv)
{
    struct report report = {0};
    const char *page = "fanwire-bench.html";
    int files = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            puts("usage: fanwire-bench report FILE... [--out PAGE]  (fanwire-bench.html)");
            return 0;
        }
        if (strcmp(argv[i], "--out") == 0 && i + 1 < argc) {
            page = argv[++i];
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
    report_write(&report, page);
    return 0;
}

const struct bench_scenario bench_scenario_report = {
    .name = "report",
    .purpose = "one page with plots and tables of the runs that --out has kept",
    .main = report_main,
};
