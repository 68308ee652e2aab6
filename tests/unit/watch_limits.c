/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Thresholds of levels from a budget of false episodes. */
#include "analytics/watch_levels.h"

#include <math.h>

#include <criterion/criterion.h>

/* Per 1,000 series-days, of 22 million simulated with known variances (less for low thresholds);
 * standard errors 3 to 6 %, 12 % at 5.1. */
Test(watch_limits, rates_as_simulated)
{
    static const double fire[] = {3.0, 3.3, 3.6, 3.9, 4.2, 4.5, 4.8, 5.1};
    static const double none[] = {7.105, 3.197, 1.335, .4872, .1514, .04612, .01215, .0032};
    static const double least[] = {.7, 1, 1.4, 1.8, 2.4, 3}; /* at 3.9 */
    static const double with[] = {.4763, .4219, .3438, .2813, .1890, .1324};
    for (int i = 0; i < 8; i++)
        cr_assert_float_eq(cx_watch_level_rate(fire[i], 0) / none[i], 1, .08, "%g", fire[i]);
    for (int i = 0; i < 6; i++)
        cr_assert_float_eq(cx_watch_level_rate(3.9, least[i]) / with[i], 1, .08, "%g", least[i]);
    cr_assert_float_eq(cx_watch_level_rate(3.3, 4) / .348, 1, .4);
    cr_assert(cx_watch_level_rate(3.3, 6) < .001); /* no bucket is so far off */
    for (double h = 3.3; h < 6; h += .1)
        for (double l = 0; l < 7; l += .25) {
            cr_assert(cx_watch_level_rate(h, l + .25) <= cx_watch_level_rate(h, l));
            cr_assert(cx_watch_level_rate(h + .1, l) <= cx_watch_level_rate(h, l));
        }
}

static struct cx_watch_limits limits_of(int series, double least)
{
    struct cx_watch_limits limits = {0};
    for (int s = 0; s < series; s++)
        cx_watch_limits_add(&limits, least);
    return limits;
}

Test(watch_limits, series_are_kept_by_their_least)
{
    for (double least = 0; least < 4; least += .1) {
        struct cx_watch_limits limits = limits_of(3, least);
        double wanted = 3 * cx_watch_level_rate(4, least) / 1000;
        cr_assert_float_eq(cx_watch_limits_per_day(&limits, 4) / wanted, 1, .2, "%g", least);
        cr_assert_eq(limits.series, 3);
    }
    struct cx_watch_limits both = limits_of(3, 0), beyond = limits_of(1, 1e9);
    double alone = cx_watch_limits_per_day(&both, 4);
    cx_watch_limits_add(&both, 2);
    struct cx_watch_limits other = limits_of(1, 2);
    cr_assert_float_eq(cx_watch_limits_per_day(&both, 4),
                       alone + cx_watch_limits_per_day(&other, 4), 1e-15);
    cr_assert(cx_watch_limits_per_day(&beyond, 4) < 1e-6);
}

Test(watch_limits, the_threshold_spends_the_budget)
{
    static const int series[] = {5, 40, 200, 10000};
    for (int i = 0; i < 4; i++)
        for (double per_year = .5; per_year < 20; per_year *= 2) {
            struct cx_watch_limits limits = limits_of(series[i], .6);
            double fire = cx_watch_limits_threshold(&limits, per_year);
            double spent = 365 * cx_watch_limits_per_day(&limits, fire);
            cr_assert(fire >= 3.3 && fire < 6);
            if (fire > 3.3)
                cr_assert_float_eq(spent / per_year, 1, 1e-9);
            else
                cr_assert(spent <= per_year);
        }
    struct cx_watch_limits some = limits_of(40, 0), none = {0};
    cr_assert_eq(cx_watch_limits_threshold(&some, 1e9), 3.3);
    cr_assert_float_eq(cx_watch_limits_threshold(&some, 0), 6, 1e-9);
    cr_assert_eq(cx_watch_limits_threshold(&none, 4), 3.3);
    /* K = 200, a third of 4 a year */
    struct cx_watch_limits cells = limits_of(200, .5);
    cr_assert_float_eq(cx_watch_limits_threshold(&cells, 4. / 3), 4.71, .02);
}

Test(watch_limits, parts_of_a_budget)
{
    double part[3];
    const struct cx_watch_limits even[3] = {limits_of(5, 1), limits_of(40, .5), limits_of(200, .5)};
    cx_watch_parts(4, even, part, 3);
    for (int l = 0; l < 3; l++)
        cr_assert_float_eq(part[l], 4. / 3, 1e-12);
    /* five as a whole of which only 5 SD tell: almost nothing, and the rest has it */
    const struct cx_watch_limits idle[3] = {limits_of(5, 5), limits_of(40, .5), limits_of(200, .5)};
    cx_watch_parts(4, idle, part, 3);
    cr_assert_float_eq(part[0], 365 * cx_watch_limits_per_day(&idle[0], 3.3), 1e-12);
    cr_assert(part[0] < .1);
    cr_assert_float_eq(part[1], (4 - part[0]) / 2, 1e-12);
    cr_assert_eq(part[1], part[2]);
    /* more than anybody can spend */
    cx_watch_parts(1e6, even, part, 3);
    for (int l = 0; l < 3; l++)
        cr_assert_float_eq(part[l], 365 * cx_watch_limits_per_day(&even[l], 3.3), 1e-9);
    const struct cx_watch_limits one[3] = {limits_of(0, 0), limits_of(9, .5), limits_of(0, 0)};
    cx_watch_parts(2, one, part, 3);
    cr_assert_eq(part[0], 0);
    cr_assert_eq(part[1], 2);
    cr_assert_eq(part[2], 0);
    const struct cx_watch_limits nobody[3] = {{0}};
    cx_watch_parts(2, nobody, part, 3);
    cr_assert_eq(part[0] + part[1] + part[2], 0);
}
