/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much of R² each driver carries, from correlations alone. All matrices: (p + 1)² doubles by
 * rows, drivers then the outcome, 1 on the diagonal, no aliased driver (cx_fit_correlations gives
 * this).
 *
 * Johnson's relative weights (2000; equal to Genizi 1993): R_xx = QLQ', r = R_xy,
 *   Λ = QL^½Q', b = QL^-½Q'r, w_j = Σ_k Λ_jk² b_k².  Sum = R². Digits against references ≥ 12.
 * LMG (Lindeman, Merenda & Gold 1980; the Shapley value of R²): the gain of a driver averaged over
 *   all orders of entry. Sum = R². Exact to CX_LMG_EXACT_MAX drivers in O(2^p), sampled beyond.
 * Both are ≥ 0 and share R² among correlated drivers; neither says what a change would cause.
 * Memory: `work` of the caller. Threads: pure. */
#ifndef CX_IMPORTANCE_H
#define CX_IMPORTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CX_LMG_EXACT_MAX 25

/* Doubles of work for p drivers. */
size_t cx_johnson_work(int p);
size_t cx_lmg_work(int p);
size_t cx_lmg_sample_work(int p);

/* False: r is not finite. Eigenvalues below 1e-12 count as 1e-12. */
bool cx_johnson(int p, const double *r, double *weight, double *work);

/* False: p > CX_LMG_EXACT_MAX or r is not finite. A pivot ≤ 1e-12 adds nothing. */
bool cx_lmg(int p, const double *r, double *share, double *work);

struct cx_lmg_sample {
    uint64_t seed;    /* e.g. hash of segment and window: the same question, the same answer */
    int pairs_max;    /* of an order and its reverse; ≤ 0 = 10000 */
    double se_target; /* stop when every standard error is below se_target × R²; ≤ 0 = 0.001 */
    int pairs;        /* out: used */
    double se_max;    /* out: largest standard error of a share, in units of R² */
};
bool cx_lmg_sampled(int p, const double *r, double *share, struct cx_lmg_sample *sample,
                    double *work);

enum cx_importance_flag {
    CX_FLAG_SIGN_CONFLICT = 1,  /* coefficient and correlation point apart: a suppressor */
    CX_FLAG_LOW_VARIANCE = 2,   /* nearly everybody answers the same: little to learn from */
    CX_FLAG_THIN_N = 4,         /* n < 104 + p (Green 1991) or n < 10 p */
    CX_FLAG_UNSTABLE = 8,       /* VIF > 10, or the weight's interval is wider than the weight */
    CX_FLAG_WIDE = 16,          /* 4 or 5 jackknife blocks */
    CX_FLAG_MODEL_BASED = 32,   /* interval by normal theory, for want of blocks */
    CX_FLAG_CLUSTERED = 64,     /* people answered repeatedly; intervals were widened */
    CX_FLAG_NOT_CONVERGED = 128 /* EM was cut short: estimates are near, not final */
};

struct cx_importance_check {
    double n; /* effective */
    int drivers;
    double coef, coef_p, r;        /* of the driver */
    double vif, weight, low, high; /* weight's interval; NAN = none */
    double sd, range;              /* its spread and the width of its scale; range ≤ 0 = open */
};
/* Sign conflict: both are more than noise (|r| > 1.96/√n, coef_p < 0.05) and differ in sign. Low
 * variance: sd < 5 % of the range. */
unsigned cx_importance_flags(const struct cx_importance_check *check);

#endif
