/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of missing.h share: patterns as doubles in standardised units, a step of EM. */
#ifndef CX_MISSING_PARTS_H
#define CX_MISSING_PARTS_H

#include "analytics/missing.h"

/* Sums of one pattern about `shift`, divided by `scale`, n in effective rows. */
struct cx_em_pattern {
    double n;
    int observed, missing;
    int o[CX_COLUMNS_MAX], m[CX_COLUMNS_MAX]; /* columns of the model */
    const double *cross; /* (observed + 1)², of the constant (row and column 0) and each column */
};

struct cx_em_data {
    int q, patterns;
    double shift[CX_COLUMNS_MAX], scale[CX_COLUMNS_MAX]; /* fixed-point units; shift is whole */
    double n, n_outcome;                                 /* effective rows */
    double per_weight;                                   /* effective rows per unit of weight */
    double *packed; /* per pattern: mask as two halves, cross */
};

/* (q + 1)² + 2 doubles a pattern at most. False with em->column set: nobody answered it, or all the
 * same. */
size_t cx_em_data_size(int q, int patterns);
bool cx_em_load(struct cx_em_data *data, struct cx_em *em, const struct cx_set *set);
/* The next pattern from `at` (0 first); returns where the one after it begins. */
size_t cx_em_pattern(const struct cx_em_data *data, size_t at, struct cx_em_pattern *pattern);
/* a (n × n, by rows) = LL' in place, pivots below `floor` are replaced; returns how many were. */
int cx_em_cholesky(int n, double *a, double floor);
void cx_em_substitute(int n, const double *l, double *x);   /* x = (LL')⁻¹x */
void cx_em_invert(int n, const double *l, double *inverse); /* (LL')⁻¹; not in place */

/* ---- missing_step.c -------------------------------------------------------------------------- */

#define CX_EM_PIVOT_FLOOR 1e-10 /* a step goes on with this in place of a smaller pivot */

struct cx_em_step {
    const struct cx_em_data *data;
    double *mu, *sigma;        /* standardised, next to each other: q, q² */
    double *start, *first;     /* estimates before, q + q² each */
    double *known, *t;         /* (q + 1)²: sums of what was observed; of what was expected */
    double *k, *l, *b, *e, *c; /* scratch, (q + 1)² each */
    bool direct;               /* Σ is too close to singular to be inverted as a whole */
    double log_det;            /* ln|Σ| */
    double fit;                /* Σ n ln|Σ_OO| + tr(Σ_OO⁻¹D) of the estimates before the last
                                  iteration; NAN when direct */
    int floored;
};

size_t cx_em_step_size(int q);
void cx_em_step_lay_out(struct cx_em_step *s, const struct cx_em_data *data, double *work);
/* After loading and setting mu and sigma: iterates until the largest change is `tolerance`, or
 * `most` times. Returns the last change. */
double cx_em_converge(struct cx_em_step *s, double tolerance, int most, int *iterations);
/* The same quantity as `fit`, of the estimates as they are, also close to singular. */
double cx_em_misfit(struct cx_em_step *s);

#endif
