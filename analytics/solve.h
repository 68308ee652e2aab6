/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Least squares from means, variances and correlations (solve_cross.h), in double-double.
 * The last column is the outcome, the others are the drivers.
 *
 *   R = LL', R over kept drivers and the outcome;  1 − R² = L_yy²;  β* by back substitution;
 *   b_j = β*_j s_y/s_j;  SE_j² = RSS/df · (R_xx⁻¹)_jj /(n s_j²);  VIF_j = (R_xx⁻¹)_jj;
 *   b_0 = ȳ − Σ b_j x̄_j;  Var b_0 = σ²(1/n + x̄'C_xx⁻¹x̄);  adjusted R² = 1 − (1 − R²)(n − 1)/df;
 *   F = (R²/k)/((1 − R²)/df);  df = n − k − 1 (n − k through the origin; n is Kish's with weights).
 *
 * Accuracy: on the NIST StRD sets as many digits as the certified values have (tests/unit/solve.c).
 * Memory: plain values; about 90 kB each, so not for a small stack. Threads: pure. */
#ifndef CX_SOLVE_H
#define CX_SOLVE_H

#include "analytics/solve_cross.h"

enum cx_fit_status {
    CX_FIT_OK,
    CX_FIT_PERFECT,          /* residual 0: coefficients hold, no tests */
    CX_FIT_NO_ROWS,          /* nothing is set but n */
    CX_FIT_OUTCOME_CONSTANT, /* R² and coefficients are undefined: NAN */
    CX_FIT_NO_DRIVERS,       /* every driver was dropped: NAN */
    CX_FIT_INSUFFICIENT      /* df < 1: correlations only */
};

enum cx_drop_reason {
    CX_KEPT,
    CX_DROP_EMPTY,     /* nobody answered it */
    CX_DROP_CONSTANT,  /* everybody answered the same */
    CX_DROP_ALIASED,   /* an exact linear combination of the drivers before it */
    CX_DROP_COLLINEAR, /* 1 − R² given the drivers before it is below the tolerance */
    CX_DROP_NO_VALUE   /* left out before solving, e.g. "does not apply" to all */
};

struct cx_solve_options {
    double level;         /* of the intervals; 0 = 0.95 */
    double collinear_min; /* least 1 − R²_j; 0 = 1e-10; below 1e-24 only exact dependence drops */
};

struct cx_fit {
    enum cx_fit_status status;
    int drivers, kept;
    int64_t n;
    double n_effective, df;
    bool few_df;                                 /* df < 10: show no p-values */
    enum cx_drop_reason dropped[CX_COLUMNS_MAX]; /* per driver */
    int alias_of[CX_COLUMNS_MAX];                /* the one driver it repeats (|r| = 1), or −1 */
    double coef[CX_COLUMNS_MAX],
        se[CX_COLUMNS_MAX]; /* [0] intercept, [1 + j] driver j; NAN = none */
    double t[CX_COLUMNS_MAX], p[CX_COLUMNS_MAX];
    double low[CX_COLUMNS_MAX], high[CX_COLUMNS_MAX];
    double beta[CX_COLUMNS_MAX], vif[CX_COLUMNS_MAX], r[CX_COLUMNS_MAX]; /* per driver */
    double r2, adj_r2, sigma, rss, f, f_p;
    double condition; /* largest ÷ smallest eigenvalue of the kept drivers' correlations */
};

struct cx_fit_work {
    int column[CX_COLUMNS_MAX]; /* kept drivers, then the outcome */
    struct cx_dd l[CX_COLUMNS_MAX * CX_COLUMNS_MAX];
    struct cx_dd inverse[CX_COLUMNS_MAX * CX_COLUMNS_MAX]; /* of R over the kept drivers */
    struct cx_dd beta[CX_COLUMNS_MAX], row[CX_COLUMNS_MAX];
    double small[2 * CX_COLUMNS_MAX * CX_COLUMNS_MAX + 4 * CX_COLUMNS_MAX];
};

/* options NULL = defaults. Returns fit->status. */
enum cx_fit_status cx_solve(struct cx_fit *fit, const struct cx_cross *cross,
                            const struct cx_solve_options *options, struct cx_fit_work *work);

/* Correlations of the kept drivers and the outcome, (kept + 1)² doubles by rows, for importance.h.
 */
void cx_fit_correlations(const struct cx_fit *fit, const struct cx_cross *cross, double *r);

/* Σ(y − b_0 − Σ b_j x_j)² over the rows of a block (drivers, outcome), from its sums alone: error
 * out of sample when the block is not what the coefficients came from. coef[0] intercept, NAN = not
 * in the model. Weighted by w. Values are fixed point / 10^decimals (NULL = 0). */
double cx_squared_error(const cx_wide *cell, int q, const double *coef, const int *decimals);

#endif
