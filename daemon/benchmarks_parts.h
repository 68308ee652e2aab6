/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of benchmarks.h share: one KPI on its way from tallies to rows.
 *
 *   benchmarks.c        claim, transaction, what happens to a KPI that fails
 *   benchmarks_read.c   the KPI, its units' sums of the window, what tells that they changed
 *   benchmarks_value.c  sums → n, value and variance by metric; pure
 *   benchmarks_write.c  results → benchmark_fit, benchmark_result
 *
 * Every function here works for one thread, with the job's connection. */
#ifndef FP_BENCHMARKS_PARTS_H
#define FP_BENCHMARKS_PARTS_H

#include "analytics/benchmark.h"
#include "analytics/sketch.h"
#include "analytics/tally.h"
#include "daemon/benchmarks.h"
#include "daemon/event.h"
#include "daemon/model.h"
#include "daemon/params.h"

#define FP_BENCHMARK_DEADLINE_MS 30000
#define FP_BENCHMARK_WINDOW_DAYS 30 /* that of experience.kpi_now */
#define FP_BENCHMARK_SIGNATURE 33   /* 32 hexadecimal digits and a NUL */

/* ---- values of units ------------------------------------------------------------------------- */

enum fp_benchmark_form { /* how a metric's sums become a value */
                         FP_FORM_NPS,
                         FP_FORM_BOX, /* share of answers in the top box */
                         FP_FORM_SHARE,
                         FP_FORM_MEAN,
                         FP_FORM_RATIO, /* of two sums */
                         FP_FORM_QUANTILE
};

struct fp_benchmark_kpi {
    int32_t series;
    char kpi[128], definition[FP_HASH_HEX];
    enum fp_benchmark_form form;
    bool answers; /* of people: fewer than min_n are not shown */
    int64_t min_n;
    int decimals, top_k;
    double quantile;
    double item_min, item_max;                /* scale of an answer; −INFINITY, INFINITY: open */
    double scale_min, scale_max;              /* of the value */
    int direction;                            /* 1: more is better; −1: less is */
    double external, external_sd, external_n; /* NAN: not given */
    char external_source[256];
    bool has_window;
    int32_t first_day, last_day; /* of the window */
};

/* The form of a metric of flightpath.kpi; false: this program does not know it. */
bool fp_benchmark_form_of(const char *metric, enum fp_benchmark_form *form);
/* Sets form and scale_min/max from the metric and item_min/max. */
bool fp_benchmark_scale(struct fp_benchmark_kpi *kpi, const char *metric);

struct fp_benchmark_sums { /* a row of tallies, added up; all of one size: its bytes are hashed */
    int64_t unit, n, weight, weight_square, sum, sum_square, bin[CX_TALLY_BINS];
};

/* n effective (Kish), value in the KPI's unit, variance of the value, NAN when one answer alone
 * cannot tell. value NAN: there is none. Bins of a ratio: Σy, Σy², Σxy. */
struct cx_benchmark_unit fp_benchmark_value(const struct fp_benchmark_kpi *kpi,
                                            const struct fp_benchmark_sums *sums);
/* The same of a quantile: its variance from the width of its 95 % interval by order statistics,
 * NAN when the data set no limit on a side. Counts in rising order of bin. */
struct cx_benchmark_unit fp_benchmark_quantile(const struct fp_benchmark_kpi *kpi,
                                               const struct cx_sketch_count *counts, size_t size);
/* Too little to steer by, as the KPI's own views say it: events fewer than min_n, answers with a
 * 95 % half width above 15 NPS points, 0.10 of a share or 7.5 % of the scale. */
bool fp_benchmark_insufficient(const struct fp_benchmark_kpi *kpi, int64_t n,
                               const struct cx_interval *raw);
/* The error variance of the external value: sd²/n; answer_variance/n when sd is not given; 0 when n
 * is not. */
double fp_benchmark_external_variance(const struct fp_benchmark_kpi *kpi, double answer_variance);
/* Of the draws: the same for every replica. */
uint64_t fp_benchmark_seed(const struct fp_benchmark_kpi *kpi);

/* ---- a job ----------------------------------------------------------------------------------- */

struct fp_benchmark_cell { /* a unit that has data in the window */
    int32_t unit;
    int64_t n;
    int place; /* in job.unit and job.result; FP_NONE = suppressed */
};

struct fp_benchmark_job {
    struct fp_pg *pg;
    struct fp_benchmark_kpi kpi;
    char before[FP_BENCHMARK_SIGNATURE], signature[FP_BENCHMARK_SIGNATURE];
    struct fp_benchmark_cell *cells; /* by unit */
    struct cx_benchmark_unit *unit;  /* those that are compared, by unit */
    struct cx_benchmark *result;
    int cell_count, compared;
    enum cx_benchmark_status outcome;
    struct cx_benchmark_all all;
    bool too_many;
};
void fp_benchmark_job_free(struct fp_benchmark_job *job);

/* What to claim: the KPI that was looked at longest ago. */
struct fp_benchmark_claim {
    const struct fp_binding *binding;
    const char *before; /* looked at before this time, as text */
    bool any_time;
};
/* Locks one and fills job->kpi; in the caller's transaction. */
enum fp_status fp_benchmark_claim(struct fp_benchmark_job *job,
                                  const struct fp_benchmark_claim *what, bool *found,
                                  struct fp_error *err) FP_MUST_CHECK;
/* Fills cells, unit and signature. */
enum fp_status fp_benchmark_read(struct fp_benchmark_job *job, struct fp_error *err) FP_MUST_CHECK;
/* Replaces the KPI's rows. */
enum fp_status fp_benchmark_write(struct fp_benchmark_job *job, struct fp_error *err) FP_MUST_CHECK;

#endif
