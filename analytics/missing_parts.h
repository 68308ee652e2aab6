/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two halves of missing.h share: patterns as doubles in standardised units. */
#ifndef CX_MISSING_PARTS_H
#define CX_MISSING_PARTS_H

#include "analytics/missing.h"

/* Sums of one pattern about `shift`, divided by `scale`, n in effective rows. */
struct cx_em_pattern {
    double n;
    int observed, missing;
    int o[CX_COLUMNS_MAX], m[CX_COLUMNS_MAX]; /* columns of the model */
    const double *sum, *product;              /* [observed], [observed²] */
};

struct cx_em_data {
    int q, patterns;
    double shift[CX_COLUMNS_MAX], scale[CX_COLUMNS_MAX]; /* fixed-point units */
    double n, n_outcome;                                 /* effective rows */
    double per_weight;                                   /* effective rows per unit of weight */
    double *packed; /* per pattern: n, mask as two halves, sums, products */
};

/* q² + q + 3 doubles a pattern at most. False with em->column set: nobody answered it, or all the
 * same. */
size_t cx_em_data_size(int q, int patterns);
bool cx_em_load(struct cx_em_data *data, struct cx_em *em, const struct cx_set *set);
/* The next pattern from `at` (0 first); returns where the one after it begins. */
size_t cx_em_pattern(const struct cx_em_data *data, size_t at, struct cx_em_pattern *pattern);
/* a (n × n, by rows) = LL' in place, pivots below `floor` are replaced; returns how many were. */
int cx_em_cholesky(int n, double *a, double floor);
void cx_em_substitute(int n, const double *l, double *x); /* x = (LL')⁻¹x */

#endif
