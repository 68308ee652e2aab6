/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the sections of `coverage` share: the table of figures and verdicts, normal numbers, and
 * streams of answers by day whose population is known.
 * Memory: the functions named _new allocate, _free frees. Threads: none. */
#ifndef TESTS_BENCH_COVERAGE_PARTS_H
#define TESTS_BENCH_COVERAGE_PARTS_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analytics/random.h"
#include "analytics/solve_drivers.h"

/* ---- figures --------------------------------------------------------------------------------- */

struct cover_run {
    const char *only; /* of the cells: those whose name has this in it; NULL = all */
    int replicates;   /* 0 = what the section takes by itself */
    uint64_t seed;
    int judged, outside, failed;
};

/* Reads `[SECTION …] [--replicates N] [--seed S] [--only CELL]`. names: of the sections, NULL at
 * the end; wanted[i] of those named. False: it is none of that. */
bool cover_arguments(int argc, char **argv, struct cover_run *run, const char *const *names,
                     bool *wanted);
int cover_replicates(const struct cover_run *run, int own);
bool cover_wanted(const struct cover_run *run, const char *cell);
void cover_head(const char *title);

struct cover_figure {
    const char *cell, *name;
    double value, error; /* Monte-Carlo standard error */
    double low, high;    /* demanded; NAN = open; both NAN = shown only */
};
/* One line of the table. `inside` is the plain verdict; a figure fails when it is outside by more
 * than two standard errors, or is no number. */
void cover_report(struct cover_run *run, const struct cover_figure *figure);

/* Of a figure over replicates. */
struct cover_mean {
    double count, sum, square;
};
void cover_add(struct cover_mean *mean, double value);
double cover_value(const struct cover_mean *mean);
double cover_error(const struct cover_mean *mean); /* standard error of the value */
/* cover_report of a mean. */
void cover_report_mean(struct cover_run *run, const char *cell, const char *name,
                       const struct cover_mean *mean, const double demanded[2]);

/* ---- populations ----------------------------------------------------------------------------- */

struct cover_random {
    struct cx_random random;
    double spare;
    bool has_spare;
};
struct cover_random cover_seed(const struct cover_run *run, uint64_t stream);
double cover_normal(struct cover_random *random); /* Marsaglia & Bray 1964 */
int cover_poisson(struct cover_random *random, double mean);

#define COVER_P_MAX 12

/* Drivers of variance 1 with one correlation, outcome = Σ b x + residual of SD `noise`; a day's
 * effect is added to the outcome, or to the outcome and every driver. */
struct cover_population {
    int p;
    double rho, noise, day_sd;
    bool day_shared;
    double b[COVER_P_MAX];
};
/* b times a number and the residual such that R² is r2 and the outcome's variance 1, days apart. */
void cover_scale(struct cover_population *population, double r2);

struct cover_truth {
    double coef[COVER_P_MAX], weight[COVER_P_MAX], lmg[COVER_P_MAX], r2;
};
/* Of answers drawn over all days: from the covariance matrix. */
void cover_truth(const struct cover_population *population, struct cover_truth *truth);

/* ---- answers --------------------------------------------------------------------------------- */

#define COVER_SCALE 1000 /* answers are fixed point with three decimals */
extern const int cover_decimals[COVER_P_MAX + 1];

struct cover_data {
    int columns, groups, capacity;
    struct cx_set total, group[CX_DAY_GROUPS];
    void *memory; /* of cx_drivers */
};
/* groups 0: no groups; capacity: patterns. */
struct cover_data *cover_data_new(int columns, int groups, int capacity);
void cover_data_free(struct cover_data *data);
void cover_data_clear(struct cover_data *data);
/* Ends the program when a row cannot be added: then nothing measured would mean anything. */
void cover_data_add(struct cover_data *data, int group, uint64_t observed, const double *value);

/* One row of drivers and outcome; day_effect as drawn for its day. */
void cover_row(const struct cover_population *population, struct cover_random *random,
               double day_effect, double *row);
/* About n rows over so many days with a weekly profile, cut into the groups of the data. */
void cover_stream(struct cover_data *data, const struct cover_population *population,
                  struct cover_random *random, const int n_days[2]);
/* cx_drivers of the data; method AUTO unless given. */
enum cx_fit_status cover_analyse(struct cover_data *data, enum cx_method method, uint64_t seed,
                                 struct cx_drivers *out);

/* ---- sections -------------------------------------------------------------------------------- */

void cover_missing(struct cover_run *run);
void cover_blocks(struct cover_run *run);
void cover_rank(struct cover_run *run);
void cover_units(struct cover_run *run);

#endif
