/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/fdr.h"

#include <math.h>

#include <criterion/criterion.h>

Test(fdr, by_hand)
{
    /* sorted .01 .02 .03 .04 .5 of 5: .05 .05 .05 .05 .5 */
    const double p[] = {.04, .5, .01, .03, .02};
    double q[5];
    size_t order[5];
    cx_fdr(p, 5, q, order);
    const double want[] = {.05, .5, .05, .05, .05};
    for (int i = 0; i < 5; i++)
        cr_assert_float_eq(q[i], want[i], 1e-15);
}

Test(fdr, untested_do_not_count)
{
    const double p[] = {NAN, .01, NAN, .9};
    double q[4];
    size_t order[4];
    cx_fdr(p, 4, q, order);
    cr_assert(isnan(q[0]) && isnan(q[2]));
    cr_assert_float_eq(q[1], .02, 1e-15);
    cr_assert_float_eq(q[3], .9, 1e-15);
    cx_fdr(p, 1, q, order);
    cr_assert(isnan(q[0]));
    cx_fdr(p, 0, q, order);
}

Test(fdr, never_above_one_never_below_p)
{
    double p[50], q[50];
    size_t order[50];
    for (int i = 0; i < 50; i++)
        p[i] = fmod(i * 0.618033988749895, 1);
    cx_fdr(p, 50, q, order);
    for (int i = 0; i < 50; i++)
        for (int j = 0; j < 50; j++) {
            cr_assert(q[i] <= 1 && q[i] >= p[i]);
            cr_assert(p[i] > p[j] || q[i] <= q[j]); /* keeps the order */
        }
}
