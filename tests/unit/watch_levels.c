/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Units against the rest of their parent, and their KPIs together. */
#include "analytics/watch_levels.h"

#include "tests/unit/watch_support.h"

Test(watch_levels, against_the_rest)
{
    /* 4 answers of mean 3 among 16 of mean 2.25: the other 12 have mean 2 */
    const struct cx_watch_bucket unit = {.n = 4, .mean = 3, .s2 = 1.5, .flags = CX_WATCH_SUSPECT};
    const struct cx_watch_bucket parent = {.n = 16, .mean = 2.25, .flags = CX_WATCH_CALENDAR};
    struct cx_watch_bucket d = cx_watch_against_rest(&unit, &parent);
    cr_assert_float_eq(d.mean, 1, 1e-15);
    cr_assert_float_eq(1 / d.effective, 1. / 4 + 1. / 12, 1e-15);
    cr_assert_eq(d.s2, 1.5);
    cr_assert_eq(d.n, 4);
    cr_assert_eq(d.flags, CX_WATCH_SUSPECT | CX_WATCH_CALENDAR);
}

Test(watch_levels, with_weights)
{
    const struct cx_watch_bucket unit = {.n = 4, .effective = 3, .mean = 3, .s2 = 1};
    const struct cx_watch_bucket parent = {.n = 16, .effective = 8, .mean = 2.25};
    struct cx_watch_bucket d = cx_watch_against_rest(&unit, &parent);
    cr_assert_float_eq(1 / d.effective, 1. / 3 + 1. / 6, 1e-15);
}

Test(watch_levels, nobody_to_compare_with)
{
    const struct cx_watch_bucket some = {.n = 4, .mean = 3}, none = {0};
    cr_assert_eq(cx_watch_against_rest(&none, &some).n, 0);
    cr_assert_eq(cx_watch_against_rest(&some, &some).n, 0); /* the only unit */
    cr_assert_eq(cx_watch_against_rest(&some, &none).n, 0);
}

Test(watch_levels, composite)
{
    const struct cx_watch_bucket d[3] = {{.n = 4, .effective = 3, .mean = 10, .s2 = 100},
                                         {.n = 4, .effective = 3, .mean = -.5, .s2 = .25},
                                         {.n = 9, .effective = 6, .mean = 99, .s2 = 1}};
    const struct cx_watch_part part[3] = {{0, .1, 0}, {0, -2, 0}, {99, 1, 0}};
    struct cx_watch_bucket two = cx_watch_composite(d, part, 2, .5);
    cr_assert_float_eq(two.mean, 1, 1e-15); /* both are 1 SD better */
    cr_assert_float_eq(1 / two.effective, 1. / 3 * (1 + (2 - 1) * .5) / 2, 1e-15);
    cr_assert_eq(two.n, 8);
    cr_assert_eq(two.s2, 1);
    struct cx_watch_bucket three = cx_watch_composite(d, part, 3, .3);
    double e[3] = {sqrt(1. / 3), sqrt(1. / 3), sqrt(1. / 6)}, variance = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            variance += e[i] * e[j] * (i == j ? 1 : .3) / 9;
    cr_assert_float_eq(1 / three.effective, variance, 1e-15);
    cr_assert_float_eq(three.mean, 2. / 3, 1e-15);
}

Test(watch_levels, a_kpi_that_is_missing_moves_nothing)
{
    struct cx_watch_bucket d[2] = {{.n = 4, .effective = 3, .mean = 7, .s2 = 1},
                                   {.n = 4, .effective = 3, .mean = -2, .s2 = 1}};
    const struct cx_watch_part part[2] = {{7, 1, 0}, {-2, 1, 0}};
    cr_assert_float_eq(cx_watch_composite(d, part, 2, .5).mean, 0, 1e-15);
    d[1].n = 0;
    cr_assert_float_eq(cx_watch_composite(d, part, 2, .5).mean, 0, 1e-15);
    cr_assert_float_eq(cx_watch_composite(d, part, 2, .5).effective, 3, 1e-12);
    d[1].n = 4;
    d[1].flags = CX_WATCH_SUSPECT;
    struct cx_watch_bucket one = cx_watch_composite(d, part, 2, .5);
    cr_assert_eq(one.n, 4);
    cr_assert_eq(one.flags, 0);
    d[0].flags = CX_WATCH_CALENDAR;
    one = cx_watch_composite(d, part, 2, .5);
    cr_assert_eq(one.flags, CX_WATCH_SUSPECT | CX_WATCH_CALENDAR);
    cr_assert_eq(one.n, 8); /* there were answers */
    const struct cx_watch_part unused[2] = {{0, 0, 0}, {0, 0, 0}};
    cr_assert_eq(cx_watch_composite(d, unused, 2, .5).n, 0);
    d[0] = (struct cx_watch_bucket){.n = 4, .mean = NAN};
    cr_assert_eq(cx_watch_composite(d, part, 1, .5).n, 0);
}

Test(watch_levels, incidents)
{
    cr_assert(cx_watch_joins(100, 100, CX_WATCH_JOIN_UNIT));
    cr_assert(cx_watch_joins(114, 100, CX_WATCH_JOIN_UNIT));
    cr_assert_not(cx_watch_joins(115, 100, CX_WATCH_JOIN_UNIT));
    cr_assert_not(cx_watch_joins(99, 100, CX_WATCH_JOIN_UNIT));
    cr_assert_not(cx_watch_joins(108, 100, CX_WATCH_JOIN_PARENT));
}

/* A day effect that all units share is in the parent and not in the difference. */
Test(watch_levels, what_is_common_drops_out)
{
    enum { UNITS = 20, DAYS = 200 };
    struct story *unit[UNITS], *parent = story_new(DAYS, 1, 1), *against = story_new(DAYS, 1, 1);
    struct cx_random random = cx_random_seed(5, 5);
    double common[DAYS];
    for (int t = 0; t < DAYS; t++)
        common[t] = .5 * cx_random_normal(&random) - (t >= 120 ? 1 : 0);
    for (int t = 0; t < DAYS; t++)
        parent->bucket[t] = (struct cx_watch_bucket){.s2 = 1};
    for (int u = 0; u < UNITS; u++) {
        unit[u] = story_new(DAYS, 30, 100 + (uint64_t)u);
        for (int t = 0; t < DAYS; t++) {
            struct cx_watch_bucket *to = &parent->bucket[t];
            unit[u]->bucket[t].mean += common[t];
            to->mean = (to->mean * to->n + unit[u]->bucket[t].mean * 30) / (to->n + 30);
            to->n += 30;
        }
    }
    for (int t = 0; t < DAYS; t++)
        against->bucket[t] = cx_watch_against_rest(&unit[3]->bucket[t], &parent->bucket[t]);
    struct cx_watch_rule rule = plain_rule(3.8);
    story_prepare(parent, 7);
    story_prepare(against, 7);
    cr_assert(parent->profile.tau2 > .1 && against->profile.tau2 < .03);
    int64_t at = parent->first + 140;
    cr_assert(cx_watch_glr(&parent->series, &rule, NULL, parent->first, at).z > 5);
    cr_assert(cx_watch_glr(&against->series, &rule, NULL, parent->first, at).z < 3.8);
    for (int u = 0; u < UNITS; u++)
        free(unit[u]);
    free(parent);
    free(against);
}
