/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Delete-a-group jackknife with unequal groups (Busing, Meijer & van der Leeden 1999). Groups are
 * runs of consecutive days, since answers of a day are alike; for a panel, groups of people. θ_J =
 * Gθ − Σ(1 − m_g/n)θ_(g);  ps_g = h_gθ − (h_g − 1)θ_(g), h_g = n/m_g; var = (1/G) Σ (ps_g −
 * θ_J)²/(h_g − 1);  interval θ ± t(G − 1)·√var, around θ, not θ_J. Shares of R² are taken on the
 * square-root scale: pass √w, and √w without each group. Threads: pure. */
#ifndef CX_IMPORTANCE_INTERVAL_H
#define CX_IMPORTANCE_INTERVAL_H

#include <stdbool.h>

#include "analytics/interval.h"

#define CX_GROUPS_MAX 20
#define CX_DAY_GROUPS 12

/* Groups to cut a window into: min(12, days with answers). */
int cx_day_groups(int days_with_answers);
/* The group of a day 0 … days-1: runs of (nearly) equal calendar length. */
int cx_day_group(int day, int days, int groups);

struct cx_jackknife {
    int statistics, groups;
    const double *rows;    /* per group, > 0: m_g */
    const double *theta;   /* per statistic, from all */
    const double *without; /* groups × statistics: without group g */
};

/* variance[s]; direction (groups × statistics, or NULL): the covariance matrix is Σ_g d_g d_g'.
 * False: fewer than two groups, an empty one, or a θ that is not finite. */
bool cx_jackknife_variance(const struct cx_jackknife *jackknife, double *variance,
                           double *direction);

/* θ ± t·√variance. */
struct cx_interval cx_plain_interval(double theta, double variance, double df, double level);
/* θ on the square-root scale → value and limits of θ²: (max(0, θ − t·s))² … (θ + t·s)². */
struct cx_interval cx_squared_interval(double theta, double variance, double df, double level);

#endif
