/* report.c: reading records back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report.h"
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const report_latencies[] = {"latency_us.p50", "latency_us.p99", "latency_us.p99_9",
                                        NULL};

/* A page without some of its runs would be a lie: no memory, no page. */
static json_t *must(json_t *value)
{
    if (value == NULL)
        bench_die("out of memory for the report");
    return value;
}

static void keep(json_t *array, json_t *value)
{
    if (json_array_append(array, value) != 0)
        must(NULL);
}

static void keep_in(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0) /* also when there is no value */
        must(NULL);
}

bool report_read(struct report *report, const char *path)
{
    char *line = NULL;
    size_t room = 0;
    size_t number = 0;
    bool good = true;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(stderr, "fanwire-bench: %s: %s\n", path, strerror(errno));
        return false;
    }
    if (report->lines == NULL)
        report->lines = must(json_array());
    while (good && getline(&line, &room, file) >= 0) {
        json_error_t error;
        number++;
        if (line[strspn(line, " \r\n")] == '\0')
            continue;
        json_t *record = json_loads(line, 0, &error);
        if (record == NULL && error.text[0] == '\0') /* jansson has no word for it */
            must(NULL);
        good = json_is_object(record);
        if (!good)
            fprintf(stderr, "fanwire-bench: %s:%zu: %s\n", path, number, error.text);
        else if (json_is_string(json_object_get(record, "scenario")) &&
                 json_is_string(json_object_get(record, "label")) &&
                 json_is_string(json_object_get(record, "target")) &&
                 json_is_object(json_object_get(record, "figures")))
            keep(report->lines, record);
        else
            report->passed_over++;
        json_decref(record);
    }
    free(line);
    fclose(file);
    return good;
}

static const char *text_of(const json_t *record, const char *name)
{
    const char *text = json_string_value(json_object_get(record, name));
    return text == NULL ? "" : text;
}

bool report_cpus_shared(const json_t *record)
{
    const json_t *options = json_object_get(record, "options");
    const char *server = text_of(record, "server_cpus");
    const char *load = text_of(record, "load_cpus");
    if (*server == '\0') { /* an older record: only what the command line said */
        server = text_of(options, "server-cpu");
        load = text_of(options, "load-cpu");
    }
    return *server != '\0' && strcmp(server, load) == 0;
}

const json_t *report_newest(const struct report *report)
{
    const json_t *last = NULL;
    size_t index;
    json_t *line;
    json_array_foreach(report->lines, index, line)
    {
        if (last == NULL || strcmp(text_of(line, "time"), text_of(last, "time")) >= 0)
            last = line;
    }
    return last;
}

static const char *congestion_control(const json_t *record)
{
    return text_of(json_object_get(record, "machine"), "tcp_congestion_control");
}

/* Adds to a record's label what sets it apart from others of that label.
 *
 * home         the congestion control that goes without saying
 * returns      whether there was something
 */
static bool set_apart(json_t *record, const char *home)
{
    const char *control = congestion_control(record);
    bool elsewhere = *control != '\0' && *home != '\0' && strcmp(control, home) != 0;
    bool shared = strcmp(text_of(record, "scenario"), "connect") != 0 && report_cpus_shared(record);
    if (elsewhere || shared)
        keep_in(record, "label",
                json_sprintf("%s%s%s%s", text_of(record, "label"), shared ? ", sharing CPUs" : "",
                             elsewhere ? ", " : "", elsewhere ? control : ""));
    return elsewhere || shared;
}

static struct report_group *find(struct report *report, const json_t *record)
{
    for (size_t i = 0; i < report->groups_count; i++) {
        if (strcmp(report->groups[i].scenario, text_of(record, "scenario")) == 0 &&
            strcmp(report->groups[i].label, text_of(record, "label")) == 0)
            return &report->groups[i];
    }
    return NULL;
}

static void clear(struct report_group *group)
{
    for (unsigned i = 0; i < group->targets_count; i++)
        json_decref(group->targets[i].runs);
    group->targets_count = 0;
}

static void add_run(struct report_group *group, const json_t *record)
{
    const char *name = text_of(record, "target");
    unsigned i = 0;
    while (i < group->targets_count && strcmp(group->targets[i].name, name) != 0)
        i++;
    if (i == REPORT_TARGETS_MAX)
        return;
    if (i == group->targets_count)
        group->targets[group->targets_count++] =
            (struct report_target){.name = name, .runs = must(json_array())};
    json_t *figures = json_object_get(record, "figures");
    json_t *round = json_object_get(record, "round");
    if (round != NULL && json_object_set(figures, "round", round) != 0)
        must(NULL);
    keep(group->targets[i].runs, figures);
}

static bool same_group(const struct report_group *group, const json_t *record)
{
    return strcmp(group->group, text_of(record, "group")) == 0;
}

void report_group(struct report *report)
{
    size_t index;
    json_t *record;
    report->groups = bench_alloc(json_array_size(report->lines) + 1, sizeof *report->groups);
    const char *home = congestion_control(report_newest(report));
    json_array_foreach(report->lines, index, record)
    {
        bool apart = set_apart(record, home);
        struct report_group *group = find(report, record);
        if (group == NULL) {
            group = &report->groups[report->groups_count++];
        } else if (!same_group(group, record)) {
            /* The newer one stays, whatever the order of the files. */
            if (strcmp(text_of(record, "time"), text_of(group->line, "time")) < 0)
                continue;
            clear(group);
        }
        group->scenario = text_of(record, "scenario");
        group->label = text_of(record, "label");
        group->apart = apart;
        group->group = text_of(record, "group");
        group->line = record;
        add_run(group, record);
    }
}

void report_free(struct report *report)
{
    for (size_t i = 0; i < report->groups_count; i++)
        clear(&report->groups[i]);
    free(report->groups);
    json_decref(report->lines);
    *report = (struct report){0};
}

const json_t *report_figure(const json_t *figures, const char *path)
{
    char name[64];
    const char *dot = strchr(path, '.');
    if (dot == NULL)
        return json_object_get(figures, path);
    snprintf(name, sizeof name, "%.*s", (int)(dot - path), path);
    return report_figure(json_object_get(figures, name), dot + 1);
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

bool report_median(const struct report_target *target, const char *path, double *median_out,
                   double *least_out, double *most_out)
{
    size_t index;
    json_t *figures;
    size_t count = 0;
    double *values = bench_alloc(json_array_size(target->runs), sizeof *values);
    json_array_foreach(target->runs, index, figures)
    {
        const json_t *value = report_figure(figures, path);
        if (json_is_number(value))
            values[count++] = json_number_value(value);
    }
    if (count > 0) {
        qsort(values, count, sizeof *values, by_value);
        *median_out =
            count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
        if (least_out != NULL)
            *least_out = values[0];
        if (most_out != NULL)
            *most_out = values[count - 1];
    }
    free(values);
    return count > 0;
}
