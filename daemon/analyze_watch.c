/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath analyze watch: episodes of one series of buckets, by the machine that watches KPIs.
 *
 * Way: rows in any order → buckets by their number (days since 1970, hours, or steps of the
 * smallest gap; what is between is a bucket without answers) → points → the machine from the first
 * bucket after the baseline to the last. An alarm that goes on silently is one line.
 * Hazard: days given as local midnights are 23 or 25 hours apart twice a year, so with gaps of
 * about a day the date counts and not the instant. Other columns are not looked at. */
#include "daemon/analyze.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/watch_episode.h"
#include "analytics/watch_levels.h"
#include "daemon/timestamp.h"
#include "daemon/watch_cells.h"

#define HOUR_US INT64_C(3600000000)
#define DAY_US (24 * HOUR_US)
#define SPAN_MAX 200000 /* buckets */
#define TEXT_BYTES 40

enum { BUCKET, N, MEAN, SD, COLUMNS };
static const char *const column_names[COLUMNS] = {"bucket", "n", "mean", "sd"};

struct row {
    char text[TEXT_BYTES]; /* of the bucket, as it is in the file */
    int64_t time_us;
    int32_t day;
    long line;
    struct cx_watch_bucket bucket;
};

struct alarm {
    int64_t opened, cleared; /* cleared < opened: it has not */
    enum cx_watch_change how;
    struct cx_watch_class class;
};

struct watch {
    const struct fp_options *options;
    const char *name;
    int at[COLUMNS];
    struct row *row;
    int64_t rows, capacity;
    int64_t first, step_us; /* number of the first bucket; 0 = days by date */
    int count, season;
    int *row_of; /* of each bucket, −1 = none */
    struct cx_watch_bucket *bucket;
    struct cx_watch_point *point;
    struct cx_watch_profile profile;
    double skewness; /* of single answers; 0: taken for symmetric */
    struct cx_watch_series series;
    struct cx_watch_rule rule;
    int baseline;
    struct alarm *alarm;
    int alarms;
};

/* ---- the file -------------------------------------------------------------------------------- */

static enum fp_status refuse_row(const struct watch *w, long line, int column, const char *what,
                                 struct fp_error *err)
{
    char where[160];
    snprintf(where, sizeof where, "%.100s:%ld", w->name, line);
    return fp_fail(err, FP_REJECT, "cell", where, "column \"%s\": %s", column_names[column], what);
}

static enum fp_status find_columns(struct watch *w, const struct fp_csv *csv, struct fp_error *err)
{
    for (int c = 0; c < COLUMNS; c++) {
        int found = 0;
        for (int i = 0; i < fp_csv_columns(csv); i++)
            if (strcmp(fp_csv_column(csv, i), column_names[c]) == 0) {
                w->at[c] = i;
                found++;
            }
        if (found != 1)
            return fp_fail(err, FP_REJECT, "column", w->name,
                           "%s column \"%s\"; analyze watch reads bucket, n, mean and sd",
                           found == 0 ? "there is no" : "there is more than one", column_names[c]);
    }
    return FP_OK;
}

/* The cell without blanks around it, as a string; false: too long. */
static bool text_of(struct fp_slice cell, char *text, size_t size)
{
    while (cell.len > 0 && isspace((unsigned char)*cell.at)) {
        cell.at++;
        cell.len--;
    }
    while (cell.len > 0 && isspace((unsigned char)cell.at[cell.len - 1]))
        cell.len--;
    if (cell.len >= size)
        return false;
    if (cell.len > 0)
        memcpy(text, cell.at, cell.len);
    text[cell.len] = '\0';
    return true;
}

/* "2026-03-02", RFC 3339, or as PostgreSQL writes times: a blank for T, no zone (UTC) or +01. */
static bool read_time(struct row *row)
{
    char full[TEXT_BYTES + 4];
    snprintf(full, sizeof full, "%s", row->text);
    size_t len = strlen(full);
    if (len == 10) {
        bool good = fp_date_parse(fp_slice_of(full), &row->day);
        row->time_us = good ? row->day * DAY_US : 0;
        return good;
    }
    if (len < 19)
        return false;
    full[10] = full[10] == ' ' ? 'T' : full[10];
    size_t zone = 19 + strspn(full + 19, ".0123456789");
    if (full[zone] == '\0')
        strcpy(full + zone, "Z");
    else if ((full[zone] == '+' || full[zone] == '-') && len == zone + 3)
        strcpy(full + len, ":00");
    return fp_timestamp_parse(fp_slice_of(full), &row->time_us) &&
           fp_date_parse((struct fp_slice){full, 10}, &row->day);
}

static bool read_number(struct fp_slice cell, double *value)
{
    char text[TEXT_BYTES], *end;
    if (!text_of(cell, text, sizeof text))
        return false;
    *value = NAN;
    if (*text == '\0')
        return true;
    *value = strtod(text, &end);
    return *end == '\0' && strspn(text, "+-.0123456789eE") == strlen(text) && isfinite(*value);
}

static enum fp_status read_row(const struct watch *w, const struct fp_slice *cells, struct row *row,
                               struct fp_error *err)
{
    double number[COLUMNS] = {0};
    if (!text_of(cells[w->at[BUCKET]], row->text, sizeof row->text) || !read_time(row))
        return refuse_row(w, row->line, BUCKET,
                          "no date or time from 1970 to 9999 like 2026-03-02 or "
                          "2026-03-02T14:00:00Z",
                          err);
    for (int c = N; c < COLUMNS; c++)
        if (!read_number(cells[w->at[c]], &number[c]))
            return refuse_row(w, row->line, c, "not a number", err);
    double n = isnan(number[N]) ? 0 : number[N];
    if (n < 0)
        return refuse_row(w, row->line, N, "below 0", err);
    if (n > 0 && isnan(number[MEAN]))
        return refuse_row(w, row->line, MEAN, "empty, where there are answers", err);
    if (number[SD] < 0)
        return refuse_row(w, row->line, SD, "below 0", err);
    row->bucket = (struct cx_watch_bucket){
        .n = n, .mean = n > 0 ? number[MEAN] : 0, .s2 = number[SD] * number[SD]};
    return FP_OK;
}

static enum fp_status no_memory(struct fp_error *err)
{
    return fp_fail(err, FP_FATAL, "memory", "", "not enough memory");
}

static enum fp_status read_rows(struct watch *w, struct fp_csv *csv, struct fp_error *err)
{
    const struct fp_slice *cells;
    enum fp_status status = find_columns(w, csv, err);
    while (status == FP_OK && (status = fp_csv_next(csv, &cells, err)) == FP_OK && cells != NULL) {
        if (w->rows == w->capacity) {
            w->capacity = w->capacity == 0 ? 1024 : 2 * w->capacity;
            struct row *more = realloc(w->row, (size_t)w->capacity * sizeof *more);
            if (more == NULL)
                return no_memory(err);
            w->row = more;
        }
        w->row[w->rows].line = fp_csv_line(csv);
        status = read_row(w, cells, &w->row[w->rows], err);
        w->rows += status == FP_OK;
    }
    return status;
}

/* ---- rows → buckets -------------------------------------------------------------------------- */

static int by_time(const void *one, const void *other)
{
    const struct row *a = one, *b = other;
    return (a->time_us > b->time_us) - (a->time_us < b->time_us);
}

static int64_t number_of(const struct watch *w, const struct row *row)
{
    if (w->step_us == 0)
        return row->day;
    if (w->step_us == HOUR_US) /* hours of the day have the same phase every day */
        return row->time_us / HOUR_US;
    return (row->time_us - w->row[0].time_us) / w->step_us;
}

static enum fp_status find_step(struct watch *w, struct fp_error *err)
{
    int64_t least = DAY_US;
    qsort(w->row, (size_t)w->rows, sizeof *w->row, by_time);
    for (int64_t i = 1; i < w->rows; i++) {
        int64_t gap = w->row[i].time_us - w->row[i - 1].time_us;
        if (gap == 0)
            return refuse_row(w, w->row[i].line, BUCKET, "this bucket has come before", err);
        least = i == 1 || gap < least ? gap : least;
    }
    bool days = least >= DAY_US - HOUR_US && least <= DAY_US + HOUR_US;
    w->step_us = days ? 0 : least;
    w->season = days ? 7 : least == HOUR_US ? 24 : 1;
    for (int64_t i = 1; i < w->rows; i++) {
        int64_t gap = w->row[i].time_us - w->row[i - 1].time_us;
        bool same = days && w->row[i].day == w->row[i - 1].day;
        if (same || (!days && gap % least != 0))
            return refuse_row(w, w->row[i].line, BUCKET,
                              "not a whole number of buckets after the one before it; buckets are "
                              "as far apart as the two that are nearest to each other",
                              err);
    }
    return FP_OK;
}

static enum fp_status place(struct watch *w, struct fp_error *err)
{
    if (w->rows == 0)
        return FP_OK;
    enum fp_status status = find_step(w, err);
    if (status != FP_OK)
        return status;
    w->first = number_of(w, &w->row[0]);
    int64_t span = number_of(w, &w->row[w->rows - 1]) - w->first + 1;
    if (span > SPAN_MAX)
        return refuse_row(w, w->row[w->rows - 1].line, BUCKET,
                          "more than 200,000 buckets after the first; is a date wrong?", err);
    w->count = (int)span;
    w->row_of = malloc((size_t)span * sizeof *w->row_of);
    w->bucket = calloc((size_t)span, sizeof *w->bucket);
    w->point = calloc((size_t)span, sizeof *w->point);
    w->alarm = calloc((size_t)span, sizeof *w->alarm);
    if (w->row_of == NULL || w->bucket == NULL || w->point == NULL || w->alarm == NULL)
        return no_memory(err);
    memset(w->row_of, 0xff, (size_t)span * sizeof *w->row_of);
    for (int64_t i = 0; i < w->rows; i++) {
        int64_t at = number_of(w, &w->row[i]) - w->first;
        w->row_of[at] = (int)i;
        w->bucket[at] = w->row[i].bucket;
    }
    return FP_OK;
}

/* ---- episodes -------------------------------------------------------------------------------- */

/* Text of a bucket that has a row. */
static const char *text_at(const struct watch *w, int64_t bucket)
{
    return w->row[w->row_of[bucket - w->first]].text;
}

static void put_path(FILE *out, const struct watch *w, int64_t bucket,
                     const struct cx_watch_report *report)
{
    const struct cx_watch_point *point = &w->point[bucket - w->first];
    if (w->row_of[bucket - w->first] < 0)
        return;
    bool judged = report->state != CX_WATCH_NO_DATA && report->state != CX_WATCH_INSUFFICIENT_N;
    double statistic = judged ? report->split.z : NAN;
    if (!w->options->json) {
        fprintf(out, "%-26s %8g %12.6g %9.3f  %s\n", text_at(w, bucket), point->n, point->r,
                statistic, cx_watch_state_name(report->state));
        return;
    }
    fputs("{\"bucket\": ", out);
    fp_put_text(out, text_at(w, bucket));
    fputs(", \"statistic\": ", out);
    fp_put_number(out, statistic);
    fputs(", \"residual\": ", out);
    fp_put_number(out, judged ? point->r : NAN);
    fputs(", \"variance\": ", out);
    fp_put_number(out, judged ? 1 / point->w + point->unsure : NAN);
    fprintf(out, ", \"state\": \"%s\"}\n", cx_watch_state_name(report->state));
}

static void take(struct watch *w, int64_t bucket, const struct cx_watch_report *report)
{
    if (report->change == CX_WATCH_OPENED)
        w->alarm[w->alarms++] = (struct alarm){.opened = bucket};
    struct alarm *alarm = &w->alarm[w->alarms - 1];
    if (w->alarms == 0 || report->incident != alarm->opened)
        return;
    if (report->class.verdict != CX_WATCH_UNKNOWN)
        alarm->class = report->class;
    bool closed = report->state == CX_WATCH_RESOLVED;
    alarm->cleared = closed ? bucket : INT64_MIN;
    alarm->how = report->change;
}

/* With --fire the rule of watched KPIs: their threshold, and their least number of answers (and
 * their variances: profile.apart). */
static struct cx_watch_rule rule_of(const struct fp_options *options)
{
    struct cx_watch_memory memory = {0, 0};
    double rate = options->false_alarms > 0 ? options->false_alarms : 1;
    if (*options->autocorrelation) /* checked when it was read */
        (void)!sscanf(options->autocorrelation, "%lf,%lf", &memory.a, &memory.phi);
    struct cx_watch_rule rule =
        cx_watch_rule(options->fire > 0 ? options->fire : cx_watch_threshold(rate), memory);
    if (options->fire > 0)
        rule.n_min = FP_WATCH_N_MIN;
    return rule;
}

/* --scale LOW:HIGH: what single answers lie between. */
static void allow_for_skewness(struct watch *w)
{
    double low, high, n = 0, mean = 0;
    if (sscanf(w->options->scale, "%lf:%lf", &low, &high) != 2)
        return;
    for (int t = 0; t < w->baseline; t++)
        if (w->bucket[t].n > 0) {
            n += w->bucket[t].n;
            mean += (w->bucket[t].mean - mean) * (w->bucket[t].n / n);
        }
    w->skewness = cx_watch_skewness(mean, w->profile.s2, low, high);
    cx_watch_skew(w->point, w->bucket, w->count, w->profile.s2, w->skewness);
}

static void watch(struct watch *w)
{
    struct cx_watch_episode episode;
    struct cx_watch_report report;
    w->profile.apart = w->options->fire > 0;
    w->baseline = cx_watch_prepare(&w->profile, w->point, w->bucket, w->count, w->first, w->season);
    if (w->baseline == 0)
        return;
    allow_for_skewness(w);
    w->series = (struct cx_watch_series){w->first, w->count, w->profile.sd, w->point};
    w->rule = rule_of(w->options);
    cx_watch_begin(&episode, w->first, w->first + w->baseline);
    if (w->options->path && !w->options->json)
        printf("%-26s %8s %12s %9s  %s\n", "bucket", "n", "residual", "statistic", "state");
    while (cx_watch_step(&episode, &w->series, &w->rule, &report)) {
        take(w, episode.last, &report);
        if (w->options->path)
            put_path(stdout, w, episode.last, &report);
    }
}

/* ---- print ----------------------------------------------------------------------------------- */

static void print_json(FILE *out, const struct watch *w)
{
    for (int i = 0; i < w->alarms; i++) {
        const struct alarm *alarm = &w->alarm[i];
        const struct cx_watch_class *class = &alarm->class;
        bool cleared = alarm->cleared >= alarm->opened, known = class->verdict != CX_WATCH_UNKNOWN;
        fputs("{\"bucket\": ", out);
        fp_put_text(out, text_at(w, alarm->opened));
        fputs(", \"start\": ", out);
        fp_put_text(out, text_at(w, known ? class->start : alarm->opened));
        fprintf(out, ", \"verdict\": \"%s\"", cx_watch_verdict_name(class->verdict));
        const struct {
            const char *key;
            double value;
        } all[] = {{"size", class->size},
                   {"ci_low", class->low},
                   {"ci_high", class->high},
                   {"posterior", class->posterior},
                   {"n", class->n}};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
            fp_put_key(out, all[k].key);
            fp_put_number(out, known ? all[k].value : NAN);
        }
        fputs(", \"cleared\": ", out);
        if (cleared)
            fp_put_text(out, text_at(w, alarm->cleared));
        else
            fputs("null", out);
        fputs(", \"cleared_by\": ", out);
        if (cleared)
            fp_put_text(out, cx_watch_change_name(alarm->how));
        else
            fputs("null", out);
        fputs("}\n", out);
    }
}

static void print_text(FILE *out, const struct watch *w)
{
    if (w->alarms > 0)
        fprintf(out, "%-26s %-26s %-11s %10s %10s %10s %9s  %s\n", "alarm", "began", "verdict",
                "size", "low", "high", "posterior", "cleared");
    for (int i = 0; i < w->alarms; i++) {
        const struct alarm *alarm = &w->alarm[i];
        const struct cx_watch_class *class = &alarm->class;
        bool cleared = alarm->cleared >= alarm->opened, known = class->verdict != CX_WATCH_UNKNOWN;
        fprintf(out, "%-26s %-26s %-11s %10.4g %10.4g %10.4g %9.2f  ", text_at(w, alarm->opened),
                text_at(w, known ? class->start : alarm->opened),
                cx_watch_verdict_name(class->verdict), class->size, class->low, class->high,
                class->posterior);
        if (cleared)
            fprintf(out, "%s (%s)\n", text_at(w, alarm->cleared), cx_watch_change_name(alarm->how));
        else
            fputs("not yet\n", out);
    }
    fprintf(out,
            "%d alarm%s in %d buckets after a baseline of %d; fires above %.3g, by chance about "
            "%.3g times in 1,000 buckets\n",
            w->alarms, w->alarms == 1 ? "" : "s", w->count - w->baseline, w->baseline, w->rule.fire,
            w->options->fire > 0           ? cx_watch_level_rate(w->options->fire, 0)
            : w->options->false_alarms > 0 ? w->options->false_alarms
                                           : 1.0);
}

static void explain(FILE *out, const struct watch *w)
{
    struct cx_watch_lags lags = {0};
    cx_watch_lags_add(&lags, &w->series, 0, w->baseline);
    struct cx_watch_memory memory = cx_watch_memory_fit(&lags);
    fprintf(out,
            "statistic: largest |mean of the last m - mean of up to %d before| / se, m = 1 .. %d\n"
            "residual = mean - effect of its place in a season of %d; variance = s^2/n + tau^2 + "
            "that of the effect\n"
            "baseline: s %.6g, tau %.6g, level %.6g; skewness of an answer %.3g (by --scale)\n"
            "autocorrelation of the baseline: %.2f falling by %.2f a bucket; %s\n",
            CX_WATCH_LOOKBACK, CX_WATCH_WINDOW, w->season, sqrt(w->profile.s2),
            sqrt(w->profile.tau2), w->profile.level, w->skewness, memory.a, memory.phi,
            *w->options->autocorrelation ? "that of --autocorrelation is allowed for"
                                         : "not allowed for, one series cannot tell it");
    if (w->step_us != 0)
        fputs("the rate of false alarms was measured on days; for other buckets it is a guide\n",
              out);
}

static void print(const struct watch *w)
{
    if (w->baseline == 0) {
        fprintf(w->options->json ? stderr : stdout,
                "not enough history: %" PRId64 " rows over %d buckets; %d buckets are needed, 28 "
                "of them with answers, whose means differ\n",
                w->rows, w->count, CX_WATCH_BASELINE);
        return;
    }
    if (w->options->json)
        print_json(stdout, w);
    else
        print_text(stdout, w);
    if (w->options->explain)
        explain(w->options->json ? stderr : stdout, w);
}

enum fp_status fp_analyze_watch(const struct fp_options *options, struct fp_csv *csv,
                                struct fp_error *err)
{
    struct watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return no_memory(err);
    w->options = options;
    w->name = options->arguments[1];
    enum fp_status status = read_rows(w, csv, err);
    if (status == FP_OK)
        status = place(w, err);
    if (status == FP_OK) {
        watch(w);
        print(w);
    }
    free(w->alarm);
    free(w->point);
    free(w->bucket);
    free(w->row_of);
    free(w->row);
    free(w);
    return status;
}
