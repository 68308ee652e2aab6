/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What days vary by: of one series, of series alike; and what not knowing it does to the statistic.
 */
#include "analytics/watch_days.h"

#include "tests/unit/watch_support.h"

enum { SEASON = 7 };

static struct cx_watch_days sums(const struct cx_watch_bucket *bucket, int count, double s2)
{
    struct cx_watch_days days = {0};
    for (int t = 0; t < count; t++)
        cx_watch_days_add(&days, bucket, t, SEASON, s2);
    return days;
}

Test(watch_days, by_its_definition)
{
    struct cx_watch_bucket bucket[20] = {{0}};
    double sum = 0, square = 0, sampling = 0;
    int pairs = 0;
    for (int t = 0; t < 20; t++)
        bucket[t] = (struct cx_watch_bucket){.n = 4 + t % 3, .mean = t * t % 11};
    bucket[3].n = 0;
    bucket[9].flags = CX_WATCH_SUSPECT;
    for (int t = 7; t < 20; t++) {
        if (t - 7 == 3 || t == 9 || t - 7 == 9)
            continue;
        double of_pair = (2 / bucket[t].n + 2 / bucket[t - 7].n) / 2;
        sum += pow(bucket[t].mean - bucket[t - 7].mean, 2) / 2 - of_pair;
        sampling += of_pair;
        square += of_pair * of_pair;
        pairs++;
    }
    struct cx_watch_days days = sums(bucket, 20, 2);
    cr_assert_eq(days.pairs, pairs);
    cr_assert_float_eq(days.sum, sum, 1e-12);
    cr_assert_float_eq(days.sampling, sampling, 1e-12);
    cr_assert_float_eq(days.square, square, 1e-12);
    struct cx_watch_variance got = cx_watch_days(&days, NULL);
    cr_assert_float_eq(got.tau2, sum / pairs, 1e-12);
    double error =
        3 * (square + 2 * got.tau2 * sampling + pairs * got.tau2 * got.tau2) / pairs / pairs;
    cr_assert_float_eq(got.df, 2 * pow(sampling / pairs + got.tau2, 2) / error, 1e-9);
    cr_assert_eq(cx_watch_days(&(struct cx_watch_days){0}, NULL).df, 0);
    cr_assert_eq(cx_watch_days(&(struct cx_watch_days){0}, NULL).tau2, 0);
}

/* Days of one series vary by tau[…], n = 25; 56 of them. */
static void draw(struct cx_watch_bucket *bucket, double tau, struct cx_random *random)
{
    for (int t = 0; t < 56; t++)
        bucket[t] = (struct cx_watch_bucket){
            .n = 25, .mean = sqrt(1. / 25 + tau * tau) * cx_random_normal(random)};
}

/* Error of the estimate as it is said to be: over 4,000 series. */
Test(watch_days, how_well_it_is_known)
{
    struct cx_watch_bucket bucket[56];
    struct cx_random random = cx_random_seed(5, 5);
    double sum = 0, square = 0, v = 1. / 25 + .04;
    const int times = 4000;
    for (int i = 0; i < times; i++) {
        draw(bucket, .2, &random);
        struct cx_watch_days days = sums(bucket, 56, 1);
        sum += days.sum / days.pairs;
        square += pow(days.sum / days.pairs, 2);
    }
    double mean = sum / times, variance = square / times - mean * mean;
    cr_assert_float_eq(mean, .04, .0015, "%g", mean);
    cr_assert_float_eq(variance / (3 * v * v / 49), 1, .1, "%g", variance / (3 * v * v / 49));
}

/* Mean squared error of τ² and the prior of 40 series, alike or not. */
static double error_of(double differ, bool lend, struct cx_watch_usual *usual)
{
    enum { SERIES = 40, TIMES = 40 };
    static struct cx_watch_bucket bucket[SERIES][56];
    struct cx_random random = cx_random_seed(6, 5);
    double error = 0;
    for (int i = 0; i < TIMES; i++) {
        struct cx_watch_pool pool[56] = {{0}};
        double tau[SERIES];
        for (int s = 0; s < SERIES; s++) {
            tau[s] = .2 * exp(differ * cx_random_normal(&random));
            draw(bucket[s], tau[s], &random);
            cx_watch_pool_add(pool, bucket[s], 55, 56, SEASON, 1);
        }
        cr_assert_eq(pool[55].series, SERIES);
        cr_assert_eq(pool[54].series, 0);
        *usual = cx_watch_usual(&pool[55]);
        for (int s = 0; s < SERIES; s++) {
            struct cx_watch_days days = sums(bucket[s], 56, 1);
            double got = cx_watch_days(&days, lend ? usual : NULL).tau2;
            error += pow(got - tau[s] * tau[s], 2) / (SERIES * TIMES);
        }
    }
    return error;
}

Test(watch_days, series_alike_lend_and_others_do_not)
{
    struct cx_watch_usual usual;
    double own = error_of(0, false, &usual), lent = error_of(0, true, &usual);
    cr_assert_float_eq(usual.tau2, .04, .01);
    cr_assert(lent < own / 4, "%g %g", lent, own);
    own = error_of(.8, false, &usual);
    lent = error_of(.8, true, &usual);
    cr_assert(usual.spread > .01 * .01);
    cr_assert(lent < own * 1.02, "%g %g", lent, own);
}

Test(watch_days, what_is_usual)
{
    struct cx_watch_bucket bucket[56];
    struct cx_random random = cx_random_seed(7, 5);
    struct cx_watch_pool pool[56] = {{0}};
    draw(bucket, .3, &random);
    for (int s = 0; s < 4; s++)
        cx_watch_pool_add(pool, bucket, 0, 56, SEASON, 1);
    cr_assert(isinf(cx_watch_usual(&pool[55]).spread)); /* four are too few */
    struct cx_watch_usual few = cx_watch_usual(&pool[55]), usual;
    cx_watch_pool_add(pool, bucket, 0, 56, SEASON, 1);
    usual = cx_watch_usual(&pool[55]); /* five that are equal: chance alone */
    struct cx_watch_days days = sums(bucket, 56, 1);
    double own = days.sum / days.pairs;
    double error = 3 * (days.square + 2 * own * days.sampling + 49 * own * own) / (49. * 49);
    cr_assert_float_eq(usual.tau2, own, 1e-12);
    cr_assert_float_eq(usual.spread, error * sqrt(2. / 5), 1e-12);
    struct cx_watch_variance alone = cx_watch_days(&days, &few),
                             lent = cx_watch_days(&days, &usual);
    cr_assert_float_eq(lent.tau2, own, 1e-12);
    double weight = sqrt(2. / 5) / (1 + sqrt(2. / 5));
    cr_assert_float_eq(lent.df, alone.df / weight, 1e-9);
    cr_assert_eq(pool[6].series, 0); /* no pairs yet */
}

/* ---- the statistic --------------------------------------------------------------------------- */

/* Largest Z at t by its definition, the effects' errors as a covariance. */
static double by_definition(const struct cx_watch_point *p, int t)
{
    double most = 0;
    for (int m = 1; m <= CX_WATCH_WINDOW && m <= t; m++) {
        int at = t + 1 - m, low = at > CX_WATCH_LOOKBACK ? at - CX_WATCH_LOOKBACK : 0, used = 0;
        double after = 0, before = 0, shift = 0, variance = 0, part[SEASON] = {0};
        for (int i = low; i <= t; i++) {
            *(i >= at ? &after : &before) += p[i].w;
            used += i < at && p[i].w > 0;
        }
        if (!(p[at].w > 0) || used < 7)
            continue;
        for (int i = low; i <= t; i++) {
            double share = i >= at ? p[i].w / after : -p[i].w / before;
            shift += share * p[i].r;
            part[p[i].phase] += share;
        }
        for (int k = 0; k < SEASON; k++)
            variance += part[k] * part[k] * (.01 + .002 * k);
        most = fmax(most, fabs(shift) / sqrt(1 / after + 1 / before + variance));
    }
    return most;
}

Test(watch_days, weekdays_apart)
{
    struct cx_watch_point p[260] = {{0}};
    struct cx_random random = cx_random_seed(8, 5);
    const struct cx_watch_rule rule = plain_rule(4);
    const struct cx_watch_series series = {100, 260, 1, p};
    for (int t = 0; t < 260; t++) {
        p[t] = (struct cx_watch_point){.r = 50 + cx_random_normal(&random),
                                       .w = t % 11 == 4 ? 0 : 1 + t % 5,
                                       .n = 9,
                                       .phase = t % SEASON};
        p[t].unsure = .01 + .002 * p[t].phase;
    }
    for (int t = 8; t < 260; t++) {
        double z = cx_watch_glr(&series, &rule, NULL, 100, 100 + t).z;
        cr_assert_float_eq(z, by_definition(p, t), 1e-9, "%d: %g", t, z);
    }
}

/* Of a t with so many degrees of freedom: scipy 1.x, norm.isf(t.sf(z, df)). */
Test(watch_days, not_knowing_is_allowed_for)
{
    static const double known[][3] = {{3, 10, 2.47446},
                                      {4, 33, 3.58548},
                                      {5, 33, 4.28290},
                                      {4.7, 100, 4.45656},
                                      {5, 400, 4.92135}};
    struct cx_watch_point p[60];
    const struct cx_watch_rule rule = plain_rule(4);
    const struct cx_watch_series series = {0, 60, 1, p};
    for (int i = 0; i < 5; i++) {
        for (int t = 0; t < 60; t++)
            p[t] = (struct cx_watch_point){.w = 1, .n = 1, .df = (float)known[i][1]};
        p[59].r = known[i][0] * sqrt(1 + 1. / 59);
        double z = cx_watch_glr(&series, &rule, NULL, 0, 59).z;
        cr_assert_float_eq(z, known[i][2], .01, "%g", z);
        p[59].df = 0;
        cr_assert_float_eq(cx_watch_glr(&series, &rule, NULL, 0, 59).z, known[i][0], 1e-6);
        p[59].df = INFINITY;
        cr_assert_float_eq(cx_watch_glr(&series, &rule, NULL, 0, 59).z, known[i][0], 1e-6);
    }
}

/* Prepared apart: the same residuals, V_k by itself. */
Test(watch_days, prepared_apart)
{
    struct story *one = story_new(200, 30, 3), *other = story_new(200, 30, 3);
    cr_assert_eq(story_prepare(one, SEASON), 56);
    other->profile.apart = true;
    cr_assert_eq(story_prepare(other, SEASON), 56);
    for (int t = 0; t < 200; t++) {
        const struct cx_watch_point *a = &one->point[t], *b = &other->point[t];
        cr_assert_eq(a->r, b->r);
        cr_assert_eq(a->unsure, 0);
        cr_assert_eq(a->df, 0);
        cr_assert(b->unsure > 0);
        cr_assert_eq(b->unsure, other->profile.unsure[(20000 + t) % SEASON]);
        cr_assert_float_eq(1 / a->w, 1 / b->w + b->unsure, 1e-12);
        cr_assert(b->df > 20 && b->df >= other->point[0].df);
    }
    free(one);
    free(other);
}
