/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Means of few skew answers are skew: one failure among five, where one in twenty fails, is no
 * event. How skew single answers are is taken from their mean, variance and bounds, so that no
 * third moments need be kept: exact for shares, near for ratings, a guess of the right order for
 * durations and costs. */
#include <math.h>

#include "analytics/watch_parts.h"

double cx_watch_skewness(double mean, double s2, double low, double high)
{
    bool below = isfinite(low), above = isfinite(high);
    if (!(s2 > 0) || (!below && !above) || (below && above && !(high > low)))
        return 0;
    if (!above)
        return mean > low ? 2 * sqrt(s2) / (mean - low) : 0; /* gamma */
    if (!below)
        return mean < high ? -2 * sqrt(s2) / (high - mean) : 0;
    double p = (mean - low) / (high - low), spread = p * (1 - p);
    if (!(spread > 0))
        return 0;
    /* beta; nu = α + β, 0 = two points at the bounds */
    double nu = fmax(spread * (high - low) * (high - low) / s2 - 1, 0);
    return 2 * (1 - 2 * p) * sqrt(nu + 1) / ((nu + 2) * sqrt(spread));
}

void cx_watch_skew(struct cx_watch_point *point, const struct cx_watch_bucket *bucket, int count,
                   double s2, double skewness)
{
    double third = skewness * s2 * sqrt(s2);
    for (int t = 0; t < count; t++) {
        double n = bucket[t].effective > 0 ? bucket[t].effective : bucket[t].n;
        double of_mean = isnan(skewness) ? bucket[t].third : third / (n * n);
        double w = point[t].w;
        point[t].third = w > 0 ? w * w * w * of_mean : 0;
    }
}

double cx_watch_unskewed(double z, double skewness)
{
    if (!(z > 0) || !(skewness > 1e-6))
        return z;
    double g = skewness;
    return fmin(z, 6 / g * (cbrt(g / 2 * z + 1) - 1) + g / 6);
}
