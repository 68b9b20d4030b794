/* report_plot.c: plots as SVG, small and without scripts: colours and fonts are the page's.
 *
 * 420 units wide, which is about a phone's width: the page shows one or several beside each other,
 * so that their text has the same size everywhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report.h"

#include <math.h>
#include <string.h>

#define WIDTH      420.0
#define HEIGHT     280.0
#define LEFT       60.0
#define RIGHT      14.0
#define TOP        12.0
#define BOTTOM     44.0
#define BAR_ROW    26.0
#define BAR_NAME   112.0
#define BAR_VALUE  62.0
#define BAR_NOTE   74.0
#define BAR_RANGE  1.08 /* as far as ranges are drawn, the longest bar being 1 */
#define CHAR_WIDTH 6.7  /* of a name's letter, at 12 units of height */
#define TICK_HALF  24.0 /* of the longest label, "99.999 %" */
#define LEGEND_ROW 18.0
#define LEGEND_ALL 390.0

void html_text(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", to);
            break;
        case '<':
            fputs("&lt;", to);
            break;
        case '>':
            fputs("&gt;", to);
            break;
        case '"':
            fputs("&quot;", to);
            break;
        default:
            fputc(*text, to);
        }
    }
}

void html_number(FILE *to, double value)
{
    double size = fabs(value);
    if (size >= 999.5e6)
        fprintf(to, "%.3g G", value / 1e9);
    else if (size >= 999.5e3)
        fprintf(to, "%.3g M", value / 1e6);
    else if (size >= 9999.5)
        fprintf(to, "%.3g k", value / 1e3);
    else if (size >= 99.5)
        fprintf(to, "%.0f", value);
    else
        fprintf(to, "%.3g", value);
}

void html_time(FILE *to, double us)
{
    double size = fabs(us);
    const char *unit = size >= 999.5e3 ? "s" : size >= 999.5 ? "ms" : "µs";
    double value = size >= 999.5e3 ? us / 1e6 : size >= 999.5 ? us / 1e3 : us;
    fprintf(to, fabs(value) >= 99.5 ? "%.0f %s" : "%.3g %s", value, unit);
}

unsigned plot_variant(const char *name, size_t *plain_chars_out)
{
    static const char *const ends[] = {"", "-tls", "-deflate", "-tls-deflate"};
    size_t chars = strlen(name);
    for (unsigned variant = 3; variant > 0; variant--) {
        size_t end = strlen(ends[variant]);
        if (chars > end && strcmp(name + chars - end, ends[variant]) == 0) {
            *plain_chars_out = chars - end;
            return variant;
        }
    }
    *plain_chars_out = chars;
    return 0;
}

/* Whom this suite knows has a colour of its own; others take theirs by name. */
unsigned plot_colour(const char *name)
{
    static const char *const known[] = {
        "fanwire", "fanwire-uring", "fanwire-epoll", "raw-uring", "raw-epoll",
        "ws",      "gorilla",       "libwebsockets", "beast",     "tornado",
        "aiohttp", "websockets",    "nchan",         "nats",      "socket.io"};
    static const unsigned colours[] = {0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
    enum { PLOT_KNOWN = 14 };
    unsigned sum = 0;
    size_t chars;
    plot_variant(name, &chars);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i]) == chars && strncmp(known[i], name, chars) == 0)
            return colours[i];
    }
    for (size_t i = 0; i < chars; i++)
        sum = sum * 31 + (unsigned char)name[i];
    return PLOT_KNOWN + sum % (PLOT_COLOURS - PLOT_KNOWN); /* nobody's of the known */
}

static unsigned variant_of(const char *name)
{
    size_t chars;
    return plot_variant(name, &chars);
}

/* ---- bars ------------------------------------------------------------------------------------ */

/* The width that the longest name takes. */
static double name_width(const struct plot_bar *bars, size_t count)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++)
        most = strlen(bars[i].name) > most ? strlen(bars[i].name) : most;
    return fmax(BAR_NAME, (double)most * CHAR_WIDTH + 8);
}

static bool any_note(const struct plot_bar *bars, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bars[i].note != NULL)
            return true;
    }
    return false;
}

void plot_bars(FILE *to, const struct plot_bar *bars, size_t count)
{
    double most = 0;
    double left = name_width(bars, count);
    double room = (WIDTH - left - BAR_VALUE - (any_note(bars, count) ? BAR_NOTE : 0)) / BAR_RANGE;
    for (size_t i = 0; i < count; i++)
        most = bars[i].value > most ? bars[i].value : most;
    if (most <= 0)
        most = 1;
    fprintf(to, "<svg viewBox='0 0 %.0f %.0f' role='img' aria-label='bars'>\n", WIDTH,
            BAR_ROW * (double)count + 6);
    for (size_t i = 0; i < count; i++) {
        double y = BAR_ROW * (double)i + 4;
        double width = bars[i].value > 0 ? bars[i].value / most * room : 0;
        double end = fmax(width, fmin(bars[i].most / most, BAR_RANGE) * room);
        fprintf(to, "<text class='name' x='%.1f' y='%.1f'>", left - 8, y + 15);
        html_text(to, bars[i].name);
        fprintf(to,
                "</text><rect class='c%u v%u' x='%.1f' y='%.1f' width='%.1f' height='%.1f' rx='3'>",
                plot_colour(bars[i].name), variant_of(bars[i].name), left, y, width < 1 ? 1 : width,
                BAR_ROW - 6);
        fprintf(to, "<title>%g (%g to %g)</title></rect>", bars[i].value, bars[i].least,
                bars[i].most);
        if (bars[i].most > bars[i].least)
            fprintf(to, "<path class='range' d='M%.1f %.1fH%.1f'/>",
                    left + bars[i].least / most * room, y + BAR_ROW / 2 - 3, left + end);
        fprintf(to, "<text class='value' x='%.1f' y='%.1f'>", left + end + 6, y + 15);
        if (bars[i].time)
            html_time(to, bars[i].value);
        else
            html_number(to, bars[i].value);
        if (bars[i].marked)
            fputs("<tspan class='star'>*</tspan>", to);
        if (bars[i].note != NULL) {
            fputs("<tspan class='note' dx='5'>", to);
            html_text(to, bars[i].note);
            fputs("</tspan>", to);
        }
        fputs("</text>\n", to);
    }
    fputs("</svg>\n", to);
}

/* ---- lines ----------------------------------------------------------------------------------- */

struct scale {
    enum plot_axis axis;
    double least, most; /* of what is drawn: logarithms, nines */
    double from, to;    /* where, in units */
};

static double measured(enum plot_axis axis, double value)
{
    if (axis == PLOT_LOG)
        return log10(value);
    if (axis == PLOT_TAIL)
        return -log10(1 - fmin(value, 1 - 1e-7));
    return value;
}

static double place(const struct scale *scale, double value)
{
    double share = (measured(scale->axis, value) - scale->least) / (scale->most - scale->least);
    return scale->from + share * (scale->to - scale->from);
}

/* Whether a point can be drawn: logarithms want what is above 0, tails what is under 1. */
static bool drawable(const struct plot *plot, double x, double y)
{
    return (plot->x_axis != PLOT_LOG || x > 0) && (plot->y_axis != PLOT_LOG || y > 0) &&
           (plot->x_axis != PLOT_TAIL || x < 1);
}

static struct scale scale_of(const struct plot *plot, bool is_x)
{
    struct scale scale = {.axis = is_x ? plot->x_axis : plot->y_axis,
                          .least = INFINITY,
                          .most = -INFINITY,
                          .from = is_x ? LEFT : HEIGHT - BOTTOM,
                          .to = is_x ? WIDTH - RIGHT : TOP};
    for (size_t i = 0; i < plot->series_count; i++) {
        const struct plot_series *series = &plot->series[i];
        for (size_t p = 0; p < series->count; p++) {
            if (!drawable(plot, series->x[p], series->y[p]))
                continue;
            double value = measured(scale.axis, is_x ? series->x[p] : series->y[p]);
            scale.least = fmin(scale.least, value);
            scale.most = fmax(scale.most, value);
        }
    }
    if (scale.axis == PLOT_LINEAR && !is_x)
        scale.least = fmin(0, scale.least);
    if (scale.axis == PLOT_LOG && !is_x) {
        scale.least = floor(scale.least);
        scale.most = ceil(scale.most);
    }
    if (!(scale.most > scale.least)) {
        scale.most = (isfinite(scale.most) ? scale.most : 0) + 1;
        scale.least = scale.most - 2;
    }
    if (scale.axis == PLOT_LINEAR && !is_x)
        scale.most += (scale.most - scale.least) * 0.06;
    return scale;
}

static void tick(FILE *to, const struct scale *scale, bool is_x, double value, const char *label)
{
    double at = place(scale, value);
    bool at_end = at > WIDTH - RIGHT - TICK_HALF; /* its middle there would cut it */
    if (is_x)
        fprintf(to,
                "<path class='grid' d='M%.1f %.1fV%.1f'/>"
                "<text class='tick %s' x='%.1f' y='%.1f'>",
                at, TOP, HEIGHT - BOTTOM, at_end ? "end" : "x", at_end ? WIDTH - 1 : at,
                HEIGHT - BOTTOM + 15);
    else
        fprintf(to,
                "<path class='grid' d='M%.1f %.1fH%.1f'/><text class='tick y' x='%.1f' y='%.1f'>",
                LEFT, at, WIDTH - RIGHT, LEFT - 6, at + 4);
    if (label != NULL)
        html_text(to, label);
    else
        html_number(to, value);
    fputs("</text>\n", to);
}

static void ticks_of_tail(FILE *to, const struct scale *scale)
{
    static const char *const labels[] = {"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"};
    /* 99.99 % and 99.999 % do not stand beside each other when there are no more than that. */
    for (int nines = 0; nines < 6 && nines <= scale->most; nines++) {
        bool crowded = nines == 4 && scale->most >= 5;
        tick(to, scale, true, 1 - pow(10, -nines), crowded ? "" : labels[nines]);
    }
}

static void ticks_of_bytes(FILE *to, const struct plot *plot, const struct scale *scale)
{
    const struct plot_series *first = &plot->series[0];
    char label[32];
    for (size_t i = 0; i < first->count; i++) {
        double value = first->x[i];
        if (value >= 1 << 20)
            snprintf(label, sizeof label, "%.3g MiB", value / (1 << 20));
        else if (value >= 1024)
            snprintf(label, sizeof label, "%.3g KiB", value / 1024);
        else
            snprintf(label, sizeof label, "%.3g B", value);
        tick(to, scale, true, value, label);
    }
}

static void ticks_of_time(FILE *to, const struct scale *scale)
{
    for (double power = ceil(scale->least); power <= scale->most; power++) {
        char label[32];
        double us = pow(10, power);
        const char *unit = us >= 1e6 ? "s" : us >= 1e3 ? "ms" : "µs";
        snprintf(label, sizeof label, "%.3g %s",
                 us / (us >= 1e6   ? 1e6
                       : us >= 1e3 ? 1e3
                                   : 1),
                 unit);
        tick(to, scale, false, us, label);
    }
}

static void ticks(FILE *to, const struct plot *plot, const struct scale *scale, bool is_x)
{
    if (scale->axis == PLOT_TAIL)
        ticks_of_tail(to, scale);
    else if (is_x && plot->x_bytes)
        ticks_of_bytes(to, plot, scale);
    else if (!is_x && plot->y_time && plot->y_axis == PLOT_LOG)
        ticks_of_time(to, scale);
    else if (scale->axis == PLOT_LOG) {
        for (double power = ceil(scale->least); power <= scale->most; power++)
            tick(to, scale, is_x, pow(10, power), NULL);
    } else {
        double step = pow(10, floor(log10((scale->most - scale->least) / 2)));
        while ((scale->most - scale->least) / step > 6)
            step *= fmod(log10(step), 1) == 0 ? 2 : 2.5;
        for (double at = ceil(scale->least / step) * step; at <= scale->most; at += step)
            tick(to, scale, is_x, at, NULL);
    }
}

/* Series differ by shape too: colours alone do not tell them apart for everybody, nor on paper. */
#define SHAPES     6
#define SHAPE_MANY 24 /* more points than this have marks only here and there */
static void draw_shape(FILE *to, unsigned shape, const char *name, double x, double y)
{
    static const char *const paths[SHAPES] = {
        "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",  /* circle */
        "m-3.2 -3.2h6.4v6.4h-6.4z",                       /* square */
        "m0 -4.4l4.2 7.4h-8.4z",                          /* triangle */
        "m0 -4.8l4.4 4.8l-4.4 4.8l-4.4 -4.8z",            /* diamond */
        "m0 4.4l4.2 -7.4h-8.4z",                          /* triangle, downwards */
        "m-1.4 -4.4h2.8v3h3v2.8h-3v3h-2.8v-3h-3v-2.8h3z", /* cross */
    };
    fprintf(to, "<path class='c%u dot' d='M%.1f %.1f%s'/>", plot_colour(name), x, y,
            paths[shape % SHAPES]);
}

/* Where they stand differs from series to series, so that they do not cover each other. */
static bool shape_here(const struct plot_series *series, unsigned number, size_t point)
{
    size_t step = series->count / 4;
    return series->count <= SHAPE_MANY || point % step == (number * 5 + 3) % step;
}

static void draw_series(FILE *to, const struct plot *plot, unsigned number, const struct scale *x,
                        const struct scale *y)
{
    const struct plot_series *series = &plot->series[number];
    bool begun = false;
    fprintf(to, "<path class='line c%u v%u' d='", plot_colour(series->name),
            variant_of(series->name));
    for (size_t i = 0; i < series->count; i++) {
        if (!drawable(plot, series->x[i], series->y[i]))
            continue;
        fprintf(to, "%c%.1f %.1f", begun ? 'L' : 'M', place(x, series->x[i]),
                place(y, series->y[i]));
        begun = true;
    }
    fputs("'/>\n", to);
    for (size_t i = 0; i < series->count; i++) {
        if (drawable(plot, series->x[i], series->y[i]) && shape_here(series, number, i))
            draw_shape(to, number, series->name, place(x, series->x[i]), place(y, series->y[i]));
    }
}

/* Long names take half of the width each, others a third. */
static size_t legend_columns(const struct plot *plot)
{
    for (size_t i = 0; i < plot->series_count; i++) {
        if ((double)strlen(plot->series[i].name) * CHAR_WIDTH + 26 > LEGEND_ALL / 3)
            return 2;
    }
    return 3;
}

static double legend_height(const struct plot *plot)
{
    size_t columns = legend_columns(plot);
    return LEGEND_ROW * (double)((plot->series_count + columns - 1) / columns) + 4;
}

static void legend(FILE *to, const struct plot *plot)
{
    const size_t columns = legend_columns(plot);
    for (size_t i = 0; i < plot->series_count; i++) {
        double x = LEFT - 46 + LEGEND_ALL / (double)columns * (double)(i % columns);
        double y = HEIGHT + LEGEND_ROW * (double)(i / columns) + 8;
        fprintf(to,
                "<path class='line c%u v%u' d='M%.1f %.1fh16'/>"
                "<text class='key' x='%.1f' y='%.1f'>",
                plot_colour(plot->series[i].name), variant_of(plot->series[i].name), x, y, x + 22,
                y + 4);
        html_text(to, plot->series[i].name);
        fputs("</text>\n", to);
        draw_shape(to, (unsigned)i, plot->series[i].name, x + 8, y);
    }
}

void plot_lines(FILE *to, const struct plot *plot)
{
    struct scale x = scale_of(plot, true);
    struct scale y = scale_of(plot, false);
    fprintf(to, "<svg viewBox='0 0 %.0f %.0f' role='img' aria-label='lines'>\n", WIDTH,
            HEIGHT + legend_height(plot));
    ticks(to, plot, &x, true);
    ticks(to, plot, &y, false);
    fprintf(to, "<text class='title x' x='%.1f' y='%.1f'>", (LEFT + WIDTH - RIGHT) / 2,
            HEIGHT - 10);
    html_text(to, plot->x_title);
    fprintf(to, "</text><text class='title y' transform='translate(11 %.1f) rotate(-90)'>",
            (TOP + HEIGHT - BOTTOM) / 2);
    html_text(to, plot->y_title);
    fputs("</text>\n", to);
    for (unsigned i = 0; i < plot->series_count; i++)
        draw_series(to, plot, i, &x, &y);
    legend(to, plot);
    fputs("</svg>\n", to);
}
