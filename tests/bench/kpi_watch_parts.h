/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the sections of `kpi_watch` share: streams with a known history, an estate of them, the way
 * from buckets to alarms, and the rivals. Figures and verdicts: coverage_parts.h.
 * Units: standard deviations of single answers; days. Memory: the functions named _new allocate.
 * Threads: none. */
#ifndef TESTS_BENCH_KPI_WATCH_PARTS_H
#define TESTS_BENCH_KPI_WATCH_PARTS_H

#include "analytics/watch_episode.h"
#include "analytics/watch_levels.h"
#include "tests/bench/coverage_parts.h"

enum {
    KPI_BASELINE = CX_WATCH_BASELINE,
    KPI_STREAM_DAYS = KPI_BASELINE + 240,
    /* when something happens: the last weekday before two with few answers */
    KPI_EVENT_DAY = KPI_BASELINE + 60,
    KPI_YEAR_DAYS = KPI_BASELINE + 365
};

/* ---- streams (kpi_watch_world.c) ------------------------------------------------------------- */

struct kpi_world {
    double n;       /* answers a day, on average; negative binomial, dispersion 4, weekly profile */
    double day_sd;  /* of what days vary by beyond sampling … */
    double phi;     /* … and its autocorrelation from day to day */
    double weekday; /* SD of weekday effects */
};
extern const struct kpi_world kpi_reference; /* 30, .1, 0, .12 */

enum kpi_shape { KPI_NOTHING, KPI_STEP, KPI_RAMP, KPI_DIP };

struct kpi_event {
    enum kpi_shape shape;
    double size;
    int length; /* of a dip; days in which a ramp grows; a step: days after which it is undone, or 0
                 */
};
/* What the event adds to a mean on a day; it begins on day `from`. */
double kpi_effect(const struct kpi_event *event, int from, int day);

double kpi_answers(struct cover_random *random, double mean, int day);
/* A stream of so many days, with the event from KPI_EVENT_DAY. */
void kpi_stream(struct cx_watch_bucket *bucket, int days, const struct kpi_world *world,
                const struct kpi_event *event, struct cover_random *random);

/* ---- from buckets to alarms (kpi_watch_world.c) ---------------------------------------------- */

struct kpi_series {
    int days;
    struct cx_watch_bucket bucket[KPI_YEAR_DAYS];
    struct cx_watch_point point[KPI_YEAR_DAYS];
    struct cx_watch_profile profile;
    struct cx_watch_series series;
};
/* Profile and points of the buckets. */
void kpi_prepare(struct kpi_series *series);
/* (a, φ) pooled over the baselines of prepared series. */
struct cx_watch_memory kpi_memory(const struct kpi_series *series, int count);

enum { KPI_NOTICES_MAX = 64 };
struct kpi_notices {
    int count, day[KPI_NOTICES_MAX];
};
/* The episode machine over all days after the baseline. */
void kpi_watch(struct kpi_notices *notices, const struct kpi_series *series,
               const struct cx_watch_rule *rule);
int kpi_notices_between(const struct kpi_notices *notices, int from, int until);

/* ---- rivals (kpi_watch_rivals.c) ------------------------------------------------------------- */

enum kpi_method { KPI_GLR, KPI_FIXED, KPI_CUSUM, KPI_EWMA, KPI_METHODS };
extern const char *const kpi_method_name[KPI_METHODS];
/* First day ≥ from with an alarm; `days` when there is none. The rule is that of KPI_GLR. */
int kpi_first_alarm(const struct kpi_series *series, enum kpi_method method,
                    const struct cx_watch_rule *rule, int from);

/* ---- sections -------------------------------------------------------------------------------- */

void kpi_streams(struct cover_run *run);        /* the benchmark: nulls, delays, dip or not */
void kpi_memory_section(struct cover_run *run); /* days that remember */
void kpi_episodes(struct cover_run *run);       /* notices of one event, second changes */
void kpi_rates(struct cover_run *run);          /* chance alone, beside the formula */
void kpi_estate(struct cover_run *run);         /* 200 series: the budget, levels */
void kpi_speed(struct cover_run *run);          /* CPU time of one series, and of 10,000 */

#endif
