/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Driver models of many small units: each borrows from the others as much as the data says units
 * are alike. Multivariate empirical Bayes in information form, so units with fewer rows than
 * drivers or with constant drivers take part. b_u ~ N(μ, T), T diagonal: J_u = C_xx/s², k_u =
 * C_xy/s²;  P_u = (J_u + T⁻¹)⁻¹;  W = Σ T⁻¹P_uJ_u, μ = W⁻¹ Σ T⁻¹P_uk_u; b_u = P_u(k_u + T⁻¹μ),
 * Cov_u = P_u + P_uT⁻¹W⁻¹T⁻¹P_u; T blends one τ for all drivers (REML on a grid) with one per
 * driver (EM), weight 40 to U, and is then integrated over its size. Shares of R² come from draws
 * of the shrunk coefficients over the pooled correlations of the drivers. In simulations (40 units
 * of 20 … 400 rows) the intervals cover .93 … .99 and errors are ½ to ⅔ of separate fits; below 8
 * units it was not tested and is refused. With a third of the answers missing (units of 50 … 400
 * rows) EM of each unit covers .945 … .994 and errors are .4 … .8 of those by complete rows.
 * Memory: the caller's. Threads: pure. */
#ifndef CX_SOLVE_UNITS_H
#define CX_SOLVE_UNITS_H

#include "analytics/interval.h"
#include "analytics/moments.h"

#define CX_UNITS_MIN 8
#define CX_UNIT_ROWS_MIN 15

enum cx_units_status {
    CX_UNITS_OK,
    CX_UNITS_TOO_FEW,  /* fewer than CX_UNITS_MIN units */
    CX_UNITS_NO_ERROR, /* no unit has enough rows to tell the residual variance */
    CX_UNITS_CONSTANT  /* a driver or the outcome never varies within a unit: leave it out */
};

enum cx_unit_label {
    CX_UNIT_PARENT,        /* under CX_UNIT_ROWS_MIN rows: show the parent's values */
    CX_UNIT_MOSTLY_PARENT, /* own data weigh < .25 */
    CX_UNIT_BLENDED,       /* < .5 */
    CX_UNIT_OWN
};

struct cx_unit {
    double n;
    double own; /* weight of its own data, 0 … 1 */
    enum cx_unit_label label;
    struct cx_interval coef[CX_COLUMNS_MAX];   /* per driver, in the units of the data */
    struct cx_interval weight[CX_COLUMNS_MAX]; /* share of R² (Johnson) */
};

struct cx_units {
    double mu[CX_COLUMNS_MAX];  /* the typical unit's coefficients */
    double tau[CX_COLUMNS_MAX]; /* how much they vary between units (SD) */
    double s2;                  /* residual variance, pooled */
};

/* A unit whose rows have answers missing, estimated by itself (missing.h), in the units of the
 * data. Its information is then the inverse of `covariance`, on the residual variance of all units.
 */
struct cx_unit_missing {
    double n;                 /* effective rows × share of driver answers there; 0 = its block */
    const double *sigma;      /* columns², of EM */
    const double *covariance; /* drivers², of the coefficients (observed information) */
};

struct cx_units_question {
    const cx_wide *const *cell; /* per unit: a block of `columns`, drivers then the outcome */
    int units, columns;
    const int *decimals; /* per column; NULL = 0 */
    uint64_t seed;
    int draws;                             /* for shares; ≤ 0 = 400 */
    const struct cx_unit_missing *missing; /* per unit; NULL = blocks of all */
};

size_t cx_units_work(int columns, int units);
/* unit: room for each. work: cx_units_work doubles. */
enum cx_units_status cx_units(struct cx_units *all, struct cx_unit *unit,
                              const struct cx_units_question *question, double *work);

#endif
