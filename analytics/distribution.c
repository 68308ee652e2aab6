/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/distribution.h"

#include <math.h>

#include <gsl/gsl_cdf.h>

double cx_t_two_sided(double t, double df)
{
    if (!(df > 0) || isnan(t))
        return NAN;
    return isinf(t) ? 0 : 2 * gsl_cdf_tdist_Q(fabs(t), df);
}

double cx_t_quantile(double level, double df)
{
    if (!(df > 0) || !(level > 0 && level < 1))
        return NAN;
    return gsl_cdf_tdist_Qinv((1 - level) / 2, df);
}

double cx_f_upper(double f, double df1, double df2)
{
    if (!(df1 > 0) || !(df2 > 0) || !(f >= 0))
        return NAN;
    return isinf(f) ? 0 : gsl_cdf_fdist_Q(f, df1, df2);
}

double cx_normal_quantile(double probability)
{
    return probability > 0 && probability < 1 ? gsl_cdf_ugaussian_Pinv(probability) : NAN;
}
