/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Against closed forms: t with 1 and 2 degrees of freedom, F(2, n), and the link t² = F(1, n). */
#include "analytics/distribution.h"

#include <math.h>

#include <criterion/criterion.h>

#define NEAR(got, want) cr_assert_float_eq((got) / (want), 1, 1e-12, "%.17g", (double)(got))

Test(distribution, closed_forms)
{
    for (double t = 0.1; t < 1e4; t *= 1.7) {
        NEAR(cx_t_two_sided(t, 1), 2 * atan(1 / t) / acos(-1));
        NEAR(cx_t_two_sided(-t, 2), 2 / (2 + t * t) / (1 + t / sqrt(2 + t * t)));
        NEAR(cx_f_upper(t, 2, 7), pow(1 + 2 * t / 7, -3.5));
        NEAR(cx_f_upper(t * t, 1, 13.5), cx_t_two_sided(t, 13.5));
    }
}

Test(distribution, quantiles)
{
    NEAR(cx_t_quantile(0.95, 9), 2.2621571627982043);
    NEAR(cx_t_quantile(0.95, 2.5), 3.5746548420036832);
    NEAR(cx_t_quantile(0.95, 999999), 1.9599663568164793);
    NEAR(cx_normal_quantile(0.975), 1.959963984540054);
    for (double df = 1; df < 1e6; df *= 3.7)
        NEAR(cx_t_two_sided(cx_t_quantile(0.9, df), df), 0.1);
}

Test(distribution, nothing_to_say)
{
    cr_assert(isnan(cx_t_two_sided(NAN, 3)) && isnan(cx_t_two_sided(1, 0)));
    cr_assert(isnan(cx_t_quantile(0, 3)) && isnan(cx_t_quantile(1, 3)) &&
              isnan(cx_t_quantile(.9, -1)));
    cr_assert(isnan(cx_f_upper(-1, 1, 1)) && isnan(cx_f_upper(1, 0, 1)) &&
              isnan(cx_f_upper(NAN, 1, 1)));
    cr_assert(isnan(cx_normal_quantile(0)) && isnan(cx_normal_quantile(1)));
    cr_assert_eq(cx_t_two_sided(INFINITY, 3), 0);
    cr_assert_eq(cx_f_upper(INFINITY, 1, 3), 0);
}
