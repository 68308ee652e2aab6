/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How sure a rank is. θ_j = √w_j (Johnson). Weights seen as they come are over-confident (the
 * winner's curse): draws are shrunk towards the mean weight, with an unknown spread τ, by θ ~
 * N(mean, V), mean_j ~ N(μ, τ²), μ and τ flat:  V = c·V_NT + ridge, V_NT the normal-theory
 * covariance of θ, c how much more the jackknife saw (clamped to 1 … 4). Calibrated by simulation:
 * of calls at P ≥ 0.9 about 0.98 are true. Draws come from a seed. Memory: work of the caller.
 * Threads: pure. */
#ifndef CX_IMPORTANCE_RANK_H
#define CX_IMPORTANCE_RANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CX_RANK_DRIVERS_MAX 63

/* V_NT: p² doubles, from correlations r as in importance.h; m = n − p − 1, at least 5 is taken
 * (with missing answers n(1 − FMI) − p − 1). (p + 1)(p + 2) evaluations of the weights. False: r is
 * not positive definite. */
size_t cx_weight_covariance_work(int p);
bool cx_weight_covariance(int p, const double *r, double m, double *v, double *work);

/* c·V_NT + ridge in place. jackknife_trace: Σ of the jackknife variances of θ, NAN = none. Returns
 * c. */
double cx_weight_covariance_scale(int p, double *v, double jackknife_trace);

struct cx_rank {
    double top[3][CX_RANK_DRIVERS_MAX]; /* [k-1][j]: P(j is among the k strongest) */
    double expected[CX_RANK_DRIVERS_MAX];
    int low[CX_RANK_DRIVERS_MAX],
        high[CX_RANK_DRIVERS_MAX]; /* 90 % range of the rank, 1 = strongest */
};

struct cx_rank_question {
    int drivers;         /* p */
    const double *theta; /* p */
    const double *v;     /* p², scaled */
    uint64_t seed;       /* e.g. hash of segment and window */
    int draws;           /* ≤ 0 = 4000 */
};
/* False: v is not positive definite or θ not finite. */
size_t cx_rank_work(int p);
bool cx_rank(struct cx_rank *rank, const struct cx_rank_question *question, double *work);

enum cx_key { CX_KEY_NO, CX_KEY_LIKELY, CX_KEY_YES };

struct cx_key_question {
    int drivers;
    double n;      /* effective */
    double top[3]; /* P of being among the 1, 2, 3 strongest */
    double r2_low; /* lower limit of R² */
    double coef;   /* of the driver, as standardised or not */
    int direction; /* the sign the user expects; 0 = positive */
    bool was_key;  /* at the last refresh: stays until P < 0.80 */
};
/* Key: P ≥ 0.90 of being among the strongest (3; 2 of 4 or 5 drivers; 1 of up to 3), n ≥ max(100,
 * 20 p), R² lower limit > 0.02, coefficient of the expected sign. Likely: the same at P ≥ 0.70. */
enum cx_key cx_key_driver(const struct cx_key_question *question);

/* The smallest set with Σ P(top 1) ≥ 0.90, as a bit mask; one bit = a top driver may be named. */
uint64_t cx_top_group(int p, const double *top1);

#endif
