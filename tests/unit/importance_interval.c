/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The grouped jackknife: against the textbook formula when groups are equal, against its own
 * formula written another way when they are not, and for what it promises. */
#include "analytics/importance_interval.h"

#include "analytics/random.h"

#include <math.h>

#include <criterion/criterion.h>

enum { G = 7, S = 2 };

Test(importance_interval, equal_groups_are_the_textbook)
{
    const double rows[G] = {40, 40, 40, 40, 40, 40, 40}, theta[S] = {0.5, -3};
    double without[G * S], variance[S], direction[G * S];
    struct cx_random random = cx_random_seed(1, 1);
    for (int i = 0; i < G * S; i++)
        without[i] = theta[i % S] + 0.1 * cx_random_normal(&random);
    struct cx_jackknife j = {S, G, rows, theta, without};
    cr_assert(cx_jackknife_variance(&j, variance, direction));
    for (int s = 0; s < S; s++) {
        double mean = 0, sum = 0, square = 0;
        for (int g = 0; g < G; g++)
            mean += without[g * S + s] / G;
        for (int g = 0; g < G; g++) {
            sum += (without[g * S + s] - mean) * (without[g * S + s] - mean);
            square += direction[g * S + s] * direction[g * S + s];
        }
        cr_assert_float_eq(variance[s], (G - 1.0) / G * sum, 1e-12);
        cr_assert_float_eq(square, variance[s], 1e-12);
    }
}

Test(importance_interval, unequal_groups_by_the_formula)
{
    const double rows[G] = {10, 3, 77, 40, 1, 25, 9}, theta[S] = {0.5, 2}, n = 165;
    double without[G * S], variance[S];
    struct cx_random random = cx_random_seed(2, 1);
    for (int i = 0; i < G * S; i++)
        without[i] = theta[i % S] + 0.1 * cx_random_normal(&random);
    struct cx_jackknife j = {S, G, rows, theta, without};
    cr_assert(cx_jackknife_variance(&j, variance, NULL));
    for (int s = 0; s < S; s++) {
        double centre = G * theta[s], sum = 0;
        for (int g = 0; g < G; g++)
            centre -= (1 - rows[g] / n) * without[g * S + s];
        for (int g = 0; g < G; g++) {
            double h = n / rows[g], pseudo = h * theta[s] - (h - 1) * without[g * S + s];
            sum += (pseudo - centre) * (pseudo - centre) / (h - 1);
        }
        cr_assert_float_eq(variance[s], sum / G, 1e-11);
    }
}

/* The variance of a mean of unequal groups of independent values: s²/n on average. 4000 repeats of
 * 11 degrees of freedom: standard error of the ratio about .7 %. */
Test(importance_interval, mean_of_independent_values)
{
    enum { GROUPS = 12, REPEATS = 4000 };
    double ratio = 0;
    struct cx_random random = cx_random_seed(3, 1);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double rows[GROUPS], sum[GROUPS], without[GROUPS], total = 0, n = 0, mean, variance;
        for (int g = 0; g < GROUPS; g++) {
            rows[g] = 5 + 3 * g;
            sum[g] = 0;
            for (int i = 0; i < rows[g]; i++)
                sum[g] += cx_random_normal(&random);
            total += sum[g];
            n += rows[g];
        }
        mean = total / n;
        for (int g = 0; g < GROUPS; g++)
            without[g] = (total - sum[g]) / (n - rows[g]);
        struct cx_jackknife j = {1, GROUPS, rows, &mean, without};
        cr_assert(cx_jackknife_variance(&j, &variance, NULL));
        ratio += variance * n / REPEATS;
    }
    cr_assert_float_eq(ratio, 1, 0.03);
}

Test(importance_interval, refusals)
{
    double rows[2] = {4, 4}, theta = 1, without[2] = {1, 1.2}, variance = -1;
    struct cx_jackknife j = {1, 2, rows, &theta, without};
    cr_assert(cx_jackknife_variance(&j, &variance, NULL));
    rows[1] = 0;
    cr_assert_not(cx_jackknife_variance(&j, &variance, NULL));
    rows[1] = 4, without[0] = NAN;
    cr_assert_not(cx_jackknife_variance(&j, &variance, NULL));
    without[0] = 1, j.groups = 1;
    cr_assert_not(cx_jackknife_variance(&j, &variance, NULL));
}

Test(importance_interval, limits)
{
    /* t(11, .975) = 2.200985160091639 */
    struct cx_interval i = cx_plain_interval(2, 0.25, 11, 0.95);
    cr_assert_float_eq(i.low, 2 - 0.5 * 2.200985160091639, 1e-12);
    i = cx_squared_interval(0.4, 0.01, 11, 0.95);
    cr_assert_float_eq(i.value, 0.16, 1e-15);
    cr_assert_float_eq(i.low, pow(0.4 - 0.2200985160091639, 2), 1e-12);
    cr_assert_float_eq(i.high, pow(0.4 + 0.2200985160091639, 2), 1e-12);
    cr_assert_eq(cx_squared_interval(0.1, 0.01, 11, 0.95).low, 0);
    cr_assert(isnan(cx_squared_interval(0.1, NAN, 11, 0.95).low));
    cr_assert(isnan(cx_squared_interval(0.1, 0.01, 0, 0.95).high));
}

Test(importance_interval, day_groups)
{
    cr_assert_eq(cx_day_groups(5), 5);
    cr_assert_eq(cx_day_groups(90), 12);
    int size[12] = {0}, last = 0;
    for (int day = 0; day < 90; day++) {
        int g = cx_day_group(day, 90, 12);
        cr_assert(g >= last && g <= last + 1 && g < 12);
        size[last = g]++;
    }
    for (int g = 0; g < 12; g++)
        cr_assert(size[g] == 7 || size[g] == 8);
}
