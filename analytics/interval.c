/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intervals of the KPI metrics.
 *
 * Net promoter score. Of n answers the share p promotes, m detracts; δ = p − m. Tango's limits are
 * the D where the score statistic (δ − D) / sqrt(v(D)/n) is ±z. v(D) = 2q + D(1 − D), where q is
 * the constrained maximum likelihood share of detractors given the difference D: the root of
 * 2q² + Bq + C with B = −(p + m) + (2 − δ)D and C = −mD(1 − D).
 * The statistic falls in D, so each limit is the only sign change of (δ − D)² − (z²/n)·v(D) on its
 * side of δ, and bisection finds it wherever the answers lie, also where the other solutions of the
 * equation come near (few promoters, short histories). Two cancellations would cost digits:
 *   – the discriminant R² = B² + 8mD(1 − D) near zero. For D ≤ 0 it is a sum of terms ≥ 0 when
 *     written by b0 = (2 + m)D − m:  R² = (m + (2 − m)D)² + p(1 + D)(p(1 + D) − 2·b0);
 *   – R − B for B > 0, written as (R² − B²)/(R + B).
 * D > 0 is mapped to D < 0 by swapping promoters and detractors.
 * (The database's views use another way to the same limits, a cubic in closed form; the tests
 * compare the two.) */
#include "analytics/interval.h"

#include <math.h>
#include <stdbool.h>

#include <gsl/gsl_cdf.h>

#define BISECTIONS_MAX 80

static const struct cx_interval nothing = {NAN, NAN, NAN};

static double normal_quantile(double level)
{
    return gsl_cdf_ugaussian_Qinv((1 - level) / 2);
}

static bool usable(double n_eff, double level)
{
    return isfinite(n_eff) && n_eff > 0 && level > 0 && level < 1;
}

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* Variance of one answer's contribution, given that the true difference is d. */
static double score_variance(double p, double m, double d)
{
    if (d > 0) {
        double swap = p;
        p = m;
        m = swap;
        d = -d;
    }
    double b0 = (2 + m) * d - m;
    double b = b0 - p * (1 + d);
    double line = m + (2 - m) * d;
    double root = sqrt(line * line + p * (1 + d) * (p * (1 + d) - 2 * b0));
    double twice_q = b > 0 ? 4 * m * d * (1 - d) / (root + b) : (root - b) / 2;
    return fmax(twice_q + d * (1 - d), 0);
}

/* The limit between `inside` (= δ) and `edge` (−1 or 1); k = z²/n. */
static double score_limit(double p, double m, double k, double edge)
{
    double delta = p - m, inside = delta, outside = edge;
    if (delta == edge)
        return edge;
    for (int i = 0; i < BISECTIONS_MAX; i++) {
        double d = inside + (outside - inside) / 2;
        if (d == inside || d == outside)
            break;
        if ((delta - d) * (delta - d) < k * score_variance(p, m, d))
            inside = d;
        else
            outside = d;
    }
    return inside;
}

struct cx_interval cx_nps(double promoters, double detractors, double n_eff, double level)
{
    if (!usable(n_eff, level))
        return nothing;
    double z = normal_quantile(level), k = z * z / n_eff;
    double p = clamp(promoters / n_eff, 0, 1), m = clamp(detractors / n_eff, 0, 1 - p);
    return (struct cx_interval){
        .value = 100 * (promoters - detractors) / n_eff,
        .low = 100 * score_limit(p, m, k, -1),
        .high = 100 * score_limit(p, m, k, 1),
    };
}

/* Wilson's limits (p + k/2 ∓ √(k(pq + k/4))) / (1 + k) with k = z²/n, free of cancellation. */
struct cx_interval cx_share(double successes, double n_eff, double level)
{
    if (!usable(n_eff, level))
        return nothing;
    double z = normal_quantile(level), k = z * z / n_eff;
    double p = clamp(successes / n_eff, 0, 1), q = 1 - p;
    double r = k / 2 + sqrt(k * (p * q + k / 4));
    return (struct cx_interval){
        .value = p,
        .low = p * p / (p + r),
        .high = q > 0 ? (p + r) / (1 + k) : 1,
    };
}

struct cx_interval cx_mean(double mean, double variance, double n_eff, double scale_min,
                           double scale_max, double level)
{
    if (!usable(n_eff, level) || !isfinite(mean))
        return nothing;
    bool bounded = isfinite(scale_min) && isfinite(scale_max);
    if (bounded && !(variance > 0)) { /* every answer was the same: how wide may the rest be? */
        double z = normal_quantile(level), rest = z * z / (n_eff + z * z);
        return (struct cx_interval){
            .value = mean,
            .low = mean - rest * (mean - scale_min),
            .high = mean + rest * (scale_max - mean),
        };
    }
    if (n_eff < 2) /* no degree of freedom left: the whole scale, or nothing to say */
        return (struct cx_interval){mean, bounded ? scale_min : NAN, bounded ? scale_max : NAN};
    double half = gsl_cdf_tdist_Qinv((1 - level) / 2, n_eff - 1) * sqrt(fmax(variance, 0) / n_eff);
    return (struct cx_interval){
        .value = mean,
        .low = fmax(mean - half, scale_min),
        .high = fmin(mean + half, scale_max),
    };
}
