/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The generator of random numbers: the published algorithm's own numbers, and fair draws. */
#include <criterion/criterion.h>

#include "analytics/random.h"

#define DRAWS 200000

Test(random, is_xoshiro256_star_star)
{
    /* From state {1, 2, 3, 4}, worked out by hand: rotl(s1 · 5, 7) · 9 with s1 = 2, then 0, … */
    struct cx_random r = {{1, 2, 3, 4}};
    cr_assert_eq(cx_random_next(&r), 11520u);
    cr_assert_eq(cx_random_next(&r), 0u);
    cr_assert_eq(cx_random_next(&r), 1509978240u);
    cr_assert_eq(cx_random_next(&r), UINT64_C(1215971899390074240));
}

Test(random, streams_of_one_seed_differ_and_repeat)
{
    struct cx_random a = cx_random_seed(1, 1), b = cx_random_seed(1, 1), c = cx_random_seed(1, 2),
                     d = cx_random_seed(2, 1);
    uint64_t first = cx_random_next(&a);
    cr_assert_eq(first, cx_random_next(&b));
    cr_assert_neq(first, cx_random_next(&c));
    cr_assert_neq(first, cx_random_next(&d));
}

Test(random, below_is_in_range_and_even)
{
    struct cx_random r = cx_random_seed(3, 0);
    int count[7] = {0};
    for (int i = 0; i < DRAWS; i++) {
        uint32_t value = cx_random_below(&r, 7);
        cr_assert_lt(value, 7u);
        count[value]++;
    }
    for (int i = 0; i < 7; i++) /* six standard deviations: 6 √(n · 1/7 · 6/7) < 940 */
        cr_assert(count[i] > DRAWS / 7 - 940 && count[i] < DRAWS / 7 + 940, "%d: %d", i, count[i]);
    cr_assert_eq(cx_random_below(&r, 1), 0u);
}

static void moments(double (*draw)(struct cx_random *), double *mean, double *variance)
{
    struct cx_random r = cx_random_seed(4, 0);
    double sum = 0, square = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = draw(&r);
        sum += x;
        square += x * x;
    }
    *mean = sum / DRAWS;
    *variance = square / DRAWS - *mean * *mean;
}

Test(random, distributions_have_their_moments)
{
    double mean, variance; /* standard error of a mean: √(variance / 200,000) ≤ 0.0023 */
    moments(cx_random_unit, &mean, &variance);
    cr_assert_float_eq(mean, 0.5, 0.004);
    cr_assert_float_eq(variance, 1.0 / 12, 0.002);
    moments(cx_random_normal, &mean, &variance);
    cr_assert_float_eq(mean, 0, 0.012);
    cr_assert_float_eq(variance, 1, 0.02);
    moments(cx_random_exponential, &mean, &variance);
    cr_assert_float_eq(mean, 1, 0.012);
    cr_assert_float_eq(variance, 1, 0.04);
}

Test(random, pick_follows_the_weights)
{
    struct cx_random r = cx_random_seed(5, 0);
    const uint64_t cumulative[4] = {1, 1, 4, 10}; /* weights 1, 0, 3, 6 */
    int count[4] = {0};
    for (int i = 0; i < DRAWS; i++)
        count[cx_random_pick(&r, cumulative, 4)]++;
    cr_assert_eq(count[1], 0);
    cr_assert_float_eq(count[0] / (double)DRAWS, 0.1, 0.005);
    cr_assert_float_eq(count[2] / (double)DRAWS, 0.3, 0.007);
}
