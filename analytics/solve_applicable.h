/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The other model for drivers that do not apply to everybody. Estimation with missing answers
 * (missing.h) treats "does not apply" as an answer that could have been given; here it is a fact of
 * its own ("driver × applicability", least squares on exact sums):
 *
 *   y = b₀ + Σ b_j·a_j·(x_j − m_j) + Σ d_j·a_j + Σ b_k·x_k + e
 *
 * a_j = 1 where driver j applies, 0 where it does not (its x_j then counts for nothing); m_j = mean
 * of x_j among those to whom it applies; k runs over the drivers that apply to (nearly) everybody.
 *   b_j  effect: what a point of x_j is worth where it applies.
 *   d_j  level: outcome of somebody to whom it applies, with the average answer m_j, less that of
 *        somebody to whom it does not, all else equal. m_j counts as known in its standard error.
 * It is the fit over (x_j, 0 where not applicable; dummy a_j), whose dummy has d_j − b_j·m_j.
 *
 * A driver has a dummy when the share of "does not apply" among those who answered it or said so
 * (of rows with the outcome) is 5 % … 95 %. Below, rows without its answer are left out; above, it
 * is (CX_DROP_NO_VALUE). Rows used: outcome answered, every driver answered or, with a dummy, not
 * applicable. Drivers that apply to the same people share one level: it stays with the first, and
 * is then at the means of all of them.
 * Memory: the caller's. Threads: pure. */
#ifndef CX_SOLVE_APPLICABLE_H
#define CX_SOLVE_APPLICABLE_H

#include "analytics/moments_set.h"
#include "analytics/solve.h"

#define CX_APPLICABLE_SHARE_MIN 0.05
#define CX_APPLICABLE_SHARE_MAX 0.95

struct cx_applicable_question {
    const struct cx_set *total; /* columns: drivers, then the outcome */
    const int *decimals;        /* per column; NULL = 0 */
    double level;               /* 0 = 0.95 */
};

struct cx_effect { /* in the units of the data; NAN = none */
    double value, se, t, p, low, high;
};

struct cx_applicable {
    enum cx_fit_status status;
    int64_t n; /* rows used */
    double n_effective, df, r2, adj_r2, sigma;
    /* per driver: */
    double share[CX_COLUMNS_MAX]; /* "does not apply"; NAN = nobody said anything */
    bool has_level[CX_COLUMNS_MAX];
    double mean[CX_COLUMNS_MAX]; /* m_j; NAN without a level */
    struct cx_effect effect[CX_COLUMNS_MAX], level[CX_COLUMNS_MAX];
    enum cx_drop_reason dropped[CX_COLUMNS_MAX], level_dropped[CX_COLUMNS_MAX];
    int level_of[CX_COLUMNS_MAX]; /* the driver whose level it shares, or −1 */
};

size_t cx_applicable_work(int columns); /* bytes, 16-byte aligned */
/* Returns result->status. CX_FIT_INSUFFICIENT also when drivers and dummies together are more than
 * CX_COLUMNS_MAX − 1, or sums are beyond 128 bits. */
enum cx_fit_status cx_applicable(struct cx_applicable *result,
                                 const struct cx_applicable_question *question, void *work);

#endif
