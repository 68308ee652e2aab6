/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mix.c: a published case of Simpson's paradox, SciPy's Welch interval, cases worked out by hand,
 * and the identities on random segments. */
#include "analytics/mix.h"

#include <criterion/criterion.h>
#include <math.h>

#include "analytics/random.h"

static struct cx_mix_sums of(int n, const double *x, const double *y, const double *w)
{
    struct cx_mix_sums s = {0};
    for (int i = 0; i < n; i++) {
        double weight = w ? w[i] : 1, z = y ? y[i] : 1;
        struct cx_mix_sums one = {
            1,          weight,         weight * weight,  weight * x[i], weight * x[i] * x[i],
            weight * z, weight * z * z, weight * x[i] * z};
        cx_mix_add(&s, &one, 1);
    }
    return s;
}

static struct cx_mix_sums share(double hits, double n)
{
    return (struct cx_mix_sums){n, n, n, hits, hits, n, n, hits};
}

static void near(double got, double want)
{
    cr_assert(fabs(got - want) <= 1e-12 * fmax(1, fabs(want)), "%.17g, not %.17g", got, want);
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* numpy. */
Test(mix, value_and_variance)
{
    struct cx_mix_sums ratio = of(4, (double[]){10, 20, 15, 40}, (double[]){2, 5, 3, 7}, NULL);
    near(cx_mix_value(&ratio), 5);
    near(cx_mix_variance(&ratio), 50. / 3 / 4 / (4.25 * 4.25));
    near(cx_mix_sd(&ratio), sqrt(50. / 3));
    struct cx_mix_sums weighted = of(4, (double[]){4, 5, 9, 6}, NULL, (double[]){1, 2, 1, 3});
    near(cx_mix_value(&weighted), 41. / 7);
    near(cx_mix_variance(&weighted), 104. / 49 / (49. / 15 - 1));
}

Test(mix, nothing_has_no_value)
{
    struct cx_mix_sums none = {0}, one = share(1, 1);
    cr_assert(isnan(cx_mix_value(&none)));
    cr_assert(isnan(cx_mix_variance(&none)));
    cr_assert(isnan(cx_mix_sd(&none)));
    cr_assert(isnan(cx_mix_variance(&one)), "one answer has no variance");
    cr_assert_eq(cx_mix_value(&one), 1);
}

Test(mix, a_factor_weighs_answers_but_does_not_count_them)
{
    struct cx_mix_sums s = share(6, 10), into = {0};
    cx_mix_add(&into, &s, 0);
    cr_assert_eq(into.n, 0);
    cx_mix_add(&into, &s, NAN);
    cr_assert_eq(into.n, 0);
    cx_mix_add(&into, &s, .5);
    cr_assert_eq(into.n, 10);
    cr_assert_eq(into.weight, 5);
    cr_assert_eq(into.square, 2.5);
    near(cx_mix_value(&into), .6);
    struct cx_mix_sums twice = into; /* equal weights: as many answers as there were */
    near(cx_mix_variance(&twice), .6 * .4 / 9);
}

/* scipy.stats.ttest_ind(after, before, equal_var=False).confidence_interval() */
Test(mix, difference_is_welch)
{
    struct cx_mix_sums before = of(6, (double[]){3, 7, 8, 8, 9, 10}, NULL, NULL);
    struct cx_mix_sums after = of(7, (double[]){1, 2, 2, 5, 6, 7, 4}, NULL, NULL);
    struct cx_mix_interval d = cx_mix_difference(&before, &after);
    near(d.change, 27. / 7 - 7.5);
    cr_assert_float_eq(d.low, -6.547594794941366, 1e-9, "%.17g", d.low);
    cr_assert_float_eq(d.high, -0.7381194907729198, 1e-9, "%.17g", d.high);
    struct cx_mix_sums none = {0}, same = share(0, 5);
    d = cx_mix_difference(&none, &after);
    cr_assert(isnan(d.change) && isnan(d.low) && isnan(d.high));
    d = cx_mix_difference(&same, &same);
    cr_assert(d.change == 0 && d.low == 0 && d.high == 0);
}

Test(mix, weekdays_in_proportion)
{
    /* From Friday to Monday after eight weeks: four of the seven days count, an eighth each. */
    double factor[7];
    cx_mix_weekdays((int[]){8, 8, 8, 8, 8, 7, 0}, (int[]){1, 1, 0, 0, 1, 2, 1}, factor);
    static const double want[] = {.125, .125, 0, 0, .125, 2. / 7, 0};
    for (int d = 0; d < 7; d++)
        near(factor[d], want[d]);
    /* Mondays are good (.9), the others bad (.1); nothing changed but the days looked at. */
    struct cx_mix_sums before = {0}, monday = share(72, 80), other = share(8, 80);
    struct cx_mix_sums after = share(9, 10);
    cx_mix_weekdays((int[]){8, 8, 8, 8, 8, 8, 8}, (int[]){0, 0, 0, 0, 1, 0, 0}, factor);
    for (int d = 0; d < 7; d++)
        cx_mix_add(&before, d == 4 ? &monday : &other, factor[d]);
    near(cx_mix_difference(&before, &after).change, 0);
}

/* ---- what may be shown ----------------------------------------------------------------------- */

static struct cx_mix_part part(int id, double n_before, double n_after)
{
    return (struct cx_mix_part){
        .id = id, .before = share(n_before / 2, n_before), .after = share(n_after / 2, n_after)};
}

Test(mix, small_segments_are_others)
{
    struct cx_mix_part p[] = {part(1, 50, 50), part(2, 9, 50), part(3, 50, 3), part(4, 60, 60)};
    cr_assert_eq(cx_mix_fold(p, 4, 10), 3);
    cr_assert(p[0].id == 1 && p[1].id == 4 && p[2].id == CX_MIX_OTHERS);
    cr_assert(p[2].before.n == 59 && p[2].after.n == 53);
}

/* One small segment alone would be the whole less the others: the next smallest goes with it. */
Test(mix, no_segment_is_found_by_taking_away)
{
    struct cx_mix_part p[] = {part(1, 500, 50), part(2, 400, 40), part(3, 30, 4)};
    cr_assert_eq(cx_mix_fold(p, 3, 10), 2);
    cr_assert(p[0].id == 1 && p[1].id == CX_MIX_OTHERS && p[1].after.n == 44);
    struct cx_mix_part q[] = {part(1, 20, 4), part(2, 12, 12)};
    cr_assert_eq(cx_mix_fold(q, 2, 10), 1);
    cr_assert(q[0].id == CX_MIX_OTHERS && q[0].after.n == 16 && q[0].before.n == 32);
}

Test(mix, a_segment_that_came_or_went_may_be_shown)
{
    struct cx_mix_part p[] = {part(1, 0, 50), part(2, 50, 0), part(3, 50, 50)};
    cr_assert_eq(cx_mix_fold(p, 3, 10), 3);
    cr_assert_eq(p[2].id, 3);
    cr_assert_eq(cx_mix_fold(p, 0, 10), 0);
}

/* ---- the split ------------------------------------------------------------------------------- */

/* Kidney stones (Charig et al. 1986, BMJ 292:879): treatment B had more successes than A, and fewer
 * with small stones as with large ones. Parts worked out by hand. */
Test(mix, simpson)
{
    struct cx_mix_part p[] = {{.id = 1, .before = share(81, 87), .after = share(234, 270)},
                              {.id = 2, .before = share(192, 263), .after = share(55, 80)}};
    struct cx_mix_change c;
    cr_assert(cx_mix_split(p, 2, &c));
    near(c.before, 273. / 350);
    near(c.after, 289. / 350);
    double small = 357. / 700 * (234. / 270 - 81. / 87);
    double large = 343. / 700 * (55. / 80 - 192. / 263);
    near(p[0].within, small);
    near(p[1].within, large);
    near(c.within, small + large);
    near(c.mix, 16. / 350 - small - large);
    cr_assert(c.within < 0 && c.mix > 0 && c.after > c.before);
    /* The good segment grew, the bad one shrank: both did their part. */
    cr_assert(p[0].mix > 0 && p[1].mix > 0);
}

/* 100 answers each of two segments, NPS 50 and 0; the first loses 20 points: 10 of the whole. */
Test(mix, all_of_it_within)
{
    struct cx_mix_part p[] = {{.before = {100, 100, 100, 5000, 5e5, 100, 100, 5000},
                               .after = {100, 100, 100, 3000, 5e5, 100, 100, 3000}},
                              {.before = {100, 100, 100, 0, 5e5, 100, 100, 0},
                               .after = {100, 100, 100, 0, 5e5, 100, 100, 0}}};
    struct cx_mix_change c;
    cr_assert(cx_mix_split(p, 2, &c));
    near(p[0].within, -10);
    near(p[1].within, 0);
    near(c.mix, 0);
    near(c.after - c.before, -10);
}

Test(mix, a_segment_on_one_side_is_mix)
{
    struct cx_mix_part p[] = {{.before = share(80, 100), .after = share(80, 100)},
                              {.before = {0}, .after = share(20, 100)}};
    struct cx_mix_change c;
    cr_assert(cx_mix_split(p, 2, &c));
    near(c.within, 0);
    near(c.mix, -.3);
    near(p[1].within, 0);
}

Test(mix, refusals)
{
    struct cx_mix_change c;
    struct cx_mix_part none[] = {{.before = share(1, 2), .after = {0}}};
    cr_assert_not(cx_mix_split(none, 1, &c));
    cr_assert_not(cx_mix_split(none, 0, &c));
    struct cx_mix_part no_base[] = {{.before = share(1, 2), .after = share(1, 2)},
                                    {.before = {.n = 1, .x = 3}, .after = share(1, 2)}};
    cr_assert_not(cx_mix_split(no_base, 2, &c));
}

/* ---- identities ------------------------------------------------------------------------------ */

static struct cx_mix_sums any(struct cx_random *random)
{
    struct cx_mix_sums s = {0};
    int n = (int)(cx_random_unit(random) * 30);
    if (cx_random_unit(random) < .2)
        n = 0;
    for (int i = 0; i < n; i++) {
        double x = 1000 * cx_random_unit(random) - 300, y = .1 + cx_random_unit(random),
               w = 1 + floor(3 * cx_random_unit(random));
        struct cx_mix_sums one = of(1, &x, &y, &w);
        cx_mix_add(&s, &one, 1);
    }
    return s;
}

Test(mix, identities_on_random_segments)
{
    struct cx_random random = cx_random_seed(20260312, 0);
    int split = 0;
    for (int run = 0; run < 20000; run++) {
        struct cx_mix_part p[12];
        int count = 1 + (int)(cx_random_unit(&random) * 12), folded;
        struct cx_mix_sums before = {0}, after = {0}, kept = {0};
        for (int i = 0; i < count; i++) {
            p[i] = (struct cx_mix_part){.id = i, .before = any(&random), .after = any(&random)};
            cx_mix_add(&before, &p[i].before, 1);
            cx_mix_add(&after, &p[i].after, 1);
        }
        folded = cx_mix_fold(p, count, 8);
        for (int i = 0; i < folded; i++) {
            cx_mix_add(&kept, &p[i].after, 1);
            cr_assert(p[i].id == CX_MIX_OTHERS || cx_mix_shown(&p[i], 8));
            if (p[i].id == CX_MIX_OTHERS && folded > 1)
                cr_assert(cx_mix_shown(&p[i], 8));
        }
        cr_assert_eq(kept.n, after.n);
        struct cx_mix_change c;
        if (!cx_mix_split(p, folded, &c))
            continue;
        split++;
        double mix = 0, within = 0, raw = 0;
        for (int i = 0; i < folded; i++) {
            double a = cx_mix_value(&p[i].before), b = cx_mix_value(&p[i].after);
            mix += p[i].mix;
            within += p[i].within;
            a = isfinite(a) ? a : isfinite(b) ? b : 0;
            b = isfinite(b) ? b : a;
            raw += (p[i].after.y / after.y - p[i].before.y / before.y) * (a + b) / 2;
        }
        double change = after.x / after.y - before.x / before.y;
        cr_assert_float_eq(mix + within, change, 1e-9);
        cr_assert_float_eq(mix, c.mix, 1e-9);
        cr_assert_float_eq(raw, c.mix, 1e-9, "Kitagawa's own form of the mix");
        cr_assert_float_eq(c.after - c.before, change, 1e-9);
    }
    cr_assert_gt(split, 15000);
}
