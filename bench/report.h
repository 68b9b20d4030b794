/* report.h: records of runs, read back and grouped; and the plots made of them.
 *
 * thread: main
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_REPORT_H
#define FW_BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define REPORT_TARGETS_MAX 64

/* One target's runs within a group. */
struct report_target {
    const char *name;
    json_t *runs; /* an array of `figures`, each with its `round` */
};

/* Runs that were made in turns and may be compared: the newest of each label. The label says as
 * well when server and load had the same CPUs, or the sockets another congestion control than those
 * of the newest record. */
struct report_group {
    const char *scenario;
    const char *label;
    bool apart; /* it does say one of these */
    const char *group;
    json_t *line; /* the last record of it: time, machine, options */
    struct report_target targets[REPORT_TARGETS_MAX];
    unsigned targets_count;
};

struct report {
    json_t *lines; /* every record, in the files' order; what the groups point into */
    struct report_group *groups;
    size_t groups_count;
    size_t passed_over; /* lines of other formats */
};

/* Reads a file of JSON lines into a report.
 *
 * returns      false when the file cannot be read or a line is no JSON: the reason is on stderr
 */
bool report_read(struct report *report, const char *path);

/* Groups what was read. Called once, after the last file. */
void report_group(struct report *report);
void report_free(struct report *report);

/* Groups what was read, writes the page of it (scenario_report.c), says so, and frees the report.
 * Ends the program when there is no run in it, or the page cannot be written. */
void report_write(struct report *report, const char *page);

/* Whether a record's server and load had the same CPUs. */
bool report_cpus_shared(const json_t *record);

/* The newest of all records, whatever the order of the files; NULL when there is none. */
const json_t *report_newest(const struct report *report);

/* A figure of a run; NULL when it has none of that name.
 *
 * path         "per_s", or "latency_us.p99" for one inside another
 */
const json_t *report_figure(const json_t *figures, const char *path);

/* What targets are compared by when messages go out by the clock: p50, p99, p99.9; NULL ends it. */
extern const char *const report_latencies[];

/* The median of a figure over a target's runs.
 *
 * least_out, most_out  its range; NULL when not wanted
 * returns      false when no run has it
 */
bool report_median(const struct report_target *target, const char *path, double *median_out,
                   double *least_out, double *most_out);

/* ---- tables: HTML --------------------------------------------------------------------------- */

/* In how many of a target's runs something speaks against the figures. */
struct marks {
    size_t saturated; /* the load was the limit */
    size_t contended; /* somebody else had the CPUs */
    size_t late_tail; /* most of p99.9 is how late the load itself was */
};
struct marks report_marks(const struct report_group *group, const struct report_target *target);

/* How many rounds a group was to be played for; a target that was too slow has fewer. */
size_t report_rounds(const struct report_group *group);

/* Writes when, of what commit and on which CPUs a group was made, as one small line. */
void report_circumstances(FILE *to, const struct report_group *group);

/* Writes one table a group; all of connect in one, and all of transports, with headings. */
void report_tables(FILE *to, const struct report *report);
void report_connect(FILE *to, const struct report *report);
void report_transports(FILE *to, const struct report *report);

/* ---- plots: SVG of 420 units' width ---------------------------------------------------------- */

#define PLOT_SERIES_MAX REPORT_TARGETS_MAX
#define PLOT_POINTS_MAX 512

struct plot_series {
    const char *name;
    double x[PLOT_POINTS_MAX];
    double y[PLOT_POINTS_MAX];
    size_t count;
};

enum plot_axis {
    PLOT_LINEAR,
    PLOT_LOG,  /* powers of ten */
    PLOT_TAIL, /* x is a share under 1, drawn as nines: 0, 0.9, 0.99, ... */
};

struct plot {
    const char *x_title;
    const char *y_title;
    enum plot_axis x_axis;
    enum plot_axis y_axis;
    bool x_bytes; /* ticks as B, KiB, MiB */
    bool y_time;  /* us, ticks in what suits them */
    struct plot_series *series;
    size_t series_count;
};

/* Draws lines with a legend. */
void plot_lines(FILE *to, const struct plot *plot);

struct plot_bar {
    const char *name;
    double value, least, most;
    const char *note; /* behind the value, or NULL */
    bool time;        /* the value is in us, and told in what suits it */
    bool marked;      /* something speaks against it: a star */
};

/* Draws horizontal bars with their ranges, from 0; the unit stands in the heading. */
void plot_bars(FILE *to, const struct plot_bar *bars, size_t count);

/* Writes text with &, <, > and quotes made harmless. */
void html_text(FILE *to, const char *text);

/* Three significant digits: 0.123, 12.3, 1,230, 1.23 M. */
void html_number(FILE *to, double value);

/* Writes a time with its unit: 12.3 µs, 4.56 ms, 7.89 s. */
void html_time(FILE *to, double us);

/* The class that gives a target its colour: the same one in every plot of a page, and the same for
 * NAME-tls and NAME-deflate. */
#define PLOT_COLOURS 16
unsigned plot_colour(const char *name);

/* What a target is beside its plain self.
 *
 * plain_chars_out  of the plain one's name
 * returns      0: nothing, 1: over TLS, 2: with permessage-deflate, 3: both
 */
unsigned plot_variant(const char *name, size_t *plain_chars_out);

#endif
