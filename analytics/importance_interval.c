/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/importance_interval.h"

#include <math.h>

#include "analytics/distribution.h"

int cx_day_groups(int days_with_answers)
{
    return days_with_answers < CX_DAY_GROUPS ? days_with_answers : CX_DAY_GROUPS;
}

int cx_day_group(int day, int days, int groups)
{
    return (int)((long)day * groups / days);
}

static bool usable(const struct cx_jackknife *j, double *n)
{
    *n = 0;
    for (int g = 0; g < j->groups; g++) {
        if (!(j->rows[g] > 0))
            return false;
        *n += j->rows[g];
    }
    for (int s = 0; s < j->statistics; s++) {
        if (!isfinite(j->theta[s]))
            return false;
        for (int g = 0; g < j->groups; g++)
            if (!isfinite(j->without[g * j->statistics + s]))
                return false;
    }
    return j->groups >= 2;
}

bool cx_jackknife_variance(const struct cx_jackknife *j, double *variance, double *direction)
{
    double n;
    if (!usable(j, &n))
        return false;
    for (int s = 0; s < j->statistics; s++) {
        /* θ_J and ps_g by their distance from θ: nothing cancels */
        double centre = 0, sum = 0;
        for (int g = 0; g < j->groups; g++)
            centre += (1 - j->rows[g] / n) * (j->theta[s] - j->without[g * j->statistics + s]);
        for (int g = 0; g < j->groups; g++) {
            double more = n / j->rows[g] - 1; /* h_g − 1 */
            double off = more * (j->theta[s] - j->without[g * j->statistics + s]) - centre;
            sum += off * off / more;
            if (direction)
                direction[g * j->statistics + s] = off / sqrt(j->groups * more);
        }
        variance[s] = sum / j->groups;
    }
    return true;
}

struct cx_interval cx_plain_interval(double theta, double variance, double df, double level)
{
    double reach = cx_t_quantile(level, df) * sqrt(variance);
    return (struct cx_interval){theta, theta - reach, theta + reach};
}

struct cx_interval cx_squared_interval(double theta, double variance, double df, double level)
{
    struct cx_interval i = cx_plain_interval(theta, variance, df, level);
    double low = i.low < 0 ? 0 : i.low; /* keeps NAN */
    return (struct cx_interval){theta * theta, low * low, i.high * i.high};
}
