/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Means, variances and correlations of q columns in double-double: what a solver reads from state.
 * Two ways in: exact integer state (moments.h), and double-double raw sums for data that is not
 * fixed point. Units: those of the columns (fixed point is divided out). Threads: pure. */
#ifndef CX_SOLVE_CROSS_H
#define CX_SOLVE_CROSS_H

#include "analytics/dd.h"
#include "analytics/moments.h"

#define CX_CROSS(cross, i, j) ((cross)->r[(i)*CX_COLUMNS_MAX + (j)])

struct cx_cross {
    int columns;
    bool centred;
    int64_t n;          /* rows */
    double n_effective; /* (Σw)²/Σw² (Kish); = n without weights */
    double noise;       /* bound of the error of an r, absolute */
    uint64_t constant;  /* columns without variance: exact from integers */
    struct cx_dd mean[CX_COLUMNS_MAX];
    struct cx_dd variance[CX_COLUMNS_MAX]; /* Σw(z − z̄)²/Σw; about 0 when not centred */
    struct cx_dd r[CX_COLUMNS_MAX * CX_COLUMNS_MAX]; /* symmetric, 1 on the diagonal */
};

struct cx_dd cx_wide_to_dd(cx_wide value);

/* From a block of q columns. decimals[c]: column c is the value × 10^decimals[c], 0 … 22; NULL =
 * all 0. centred false: products about 0, for a regression through the origin. Centring is exact
 * in 256 bits. No rows: n = 0 and every column constant. */
void cx_cross_from_moments(struct cx_cross *cross, const cx_wide *cell, int q, const int *decimals,
                           bool centred);

/* Raw sums of doubles in double-double; same layout of cells as moments.h. They add and merge, but
 * do not subtract to the same bits: a window over them is merged anew. */
void cx_sums_add(struct cx_dd *cell, int q, const double *z, double weight);
void cx_sums_merge(struct cx_dd *into, const struct cx_dd *from, int q);
void cx_cross_from_sums(struct cx_cross *cross, const struct cx_dd *cell, int q, bool centred);

#endif
