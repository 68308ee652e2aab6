/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Units compared: τ² and shrunk values against reference numbers, ranks against a posterior sampled
 * by another program (numpy, 2,000,000 draws), φ against scipy; the rest by another way to the same
 * number. What it promises over many estates is looked at by tests/bench/benchmark.c. */
#include "analytics/benchmark.h"

#include <math.h>
#include <stdlib.h>

#include "analytics/distribution.h"
#include "analytics/random.h"
#include "tests/unit/solve_support.h"

#define Z 1.959963984540054
#define MANY 1e15 /* answers: a unit's variance is then its own to the last digits */

enum { MOST = 40 };

struct result {
    struct cx_benchmark_all all;
    struct cx_benchmark out[MOST];
    enum cx_benchmark_status status;
};

static struct cx_benchmark_question ask(const struct cx_benchmark_unit *unit, int units)
{
    return (struct cx_benchmark_question){.unit = unit,
                                          .units = units,
                                          .direction = 1,
                                          .scale_min = -INFINITY,
                                          .scale_max = INFINITY,
                                          .external = NAN,
                                          .seed = 7};
}

static struct result answer(const struct cx_benchmark_question *question)
{
    struct result result;
    memset(&result, 0, sizeof result);
    double *work = calloc(cx_benchmark_work(question->units, question->draws), sizeof *work);
    result.status = cx_benchmark(&result.all, result.out, question, work);
    free(work);
    return result;
}

static void near(double got, double want, double relative)
{
    cr_assert_leq(fabs(got - want), relative * fmax(1, fabs(want)), "%.17g, not %.17g", got, want);
}

/* ---- reference ------------------------------------------------------------------------------- */

static int read_units(const cJSON *set, double *y, double *v, struct cx_benchmark_unit *unit)
{
    int k = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(set, "y"));
    cr_assert(k >= 8 && k <= MOST);
    for (int i = 0; i < k; i++) {
        y[i] = element(set, "y", i);
        v[i] = element(set, "v", i);
        unit[i] = (struct cx_benchmark_unit){MANY, y[i], v[i]};
    }
    return k;
}

/* REML of the reference is settled to 2e-12. */
Test(benchmark, reference)
{
    cJSON *json = read_json("eb_shrinkage");
    const char *const names[] = {"eight_schools", "units12"};
    for (int s = 0; s < 2; s++) {
        const cJSON *set = cJSON_GetObjectItemCaseSensitive(json, names[s]);
        const cJSON *reml = cJSON_GetObjectItemCaseSensitive(set, "reml");
        double y[MOST], v[MOST], mean, tau2 = member(reml, "tau2");
        struct cx_benchmark_unit unit[MOST];
        int k = read_units(set, y, v, unit);
        struct cx_between between;
        cx_between(k, y, v, 0, &between);
        near(between.tau2, tau2, 1e-11);
        near(between.mu, member(reml, "mu"), 1e-12);
        near(between.q, member(set, "Q"), 1e-13);
        near(between.i2, fmax(0, 1 - (k - 1) / member(set, "Q")), 1e-13);
        cr_assert_not(between.paule_mandel);
        struct cx_benchmark_question question = ask(unit, k);
        struct result r = answer(&question);
        cr_assert_eq(r.status, CX_BENCHMARK_OK);
        near(r.all.tau, sqrt(tau2), 1e-11);
        near(r.all.mu, member(reml, "mu"), 1e-12);
        near(r.all.i2, between.i2, 1e-12);
        for (int i = 0; i < k; i++) {
            mean = element(reml, "post_mean", i);
            double reach = Z * element(reml, "post_sd", i);
            near(r.out[i].shrunk.value, mean, 1e-11);
            near(r.out[i].shrunk.low, mean - reach, 1e-11);
            near(r.out[i].shrunk.high, mean + reach, 1e-11);
        }
    }
    cJSON_Delete(json);
}

Test(benchmark, paule_mandel)
{
    cJSON *json = read_json("eb_shrinkage");
    const char *const names[] = {"eight_schools", "units12"};
    for (int s = 0; s < 2; s++) {
        const cJSON *set = cJSON_GetObjectItemCaseSensitive(json, names[s]);
        const cJSON *pm = cJSON_GetObjectItemCaseSensitive(set, "pm");
        double y[MOST], v[MOST];
        struct cx_benchmark_unit unit[MOST];
        int k = read_units(set, y, v, unit);
        near(cx_between_paule_mandel(k, y, v), member(pm, "tau2"), 1e-12);
        struct cx_between between;
        cx_between(k, y, v, 1, &between); /* one step: cannot have settled */
        cr_assert(between.paule_mandel);
        near(between.tau2, member(pm, "tau2"), 1e-12);
        near(between.mu, member(pm, "mu"), 1e-12);
    }
    cJSON_Delete(json);
}

static double restricted_likelihood(int k, const double *y, const double *v, double tau2)
{
    double weight = 0, sum = 0, out = 0;
    for (int i = 0; i < k; i++) {
        weight += 1 / (v[i] + tau2);
        sum += y[i] / (v[i] + tau2);
    }
    for (int i = 0; i < k; i++)
        out -= log(v[i] + tau2) / 2 + pow(y[i] - sum / weight, 2) / (v[i] + tau2) / 2;
    return out - log(weight) / 2;
}

/* By another way: nothing on a fine grid is more likely. */
Test(benchmark, most_likely)
{
    struct cx_random random = cx_random_seed(5, 1);
    int zero = 0;
    for (int repeat = 0; repeat < 200; repeat++) {
        enum { K = 12 };
        double y[K], v[K];
        for (int i = 0; i < K; i++) {
            v[i] = 0.01 + 0.09 * cx_random_unit(&random);
            y[i] = sqrt(v[i] + 0.01) * cx_random_normal(&random);
        }
        struct cx_between between;
        cx_between(K, y, v, 0, &between);
        double best = restricted_likelihood(K, y, v, between.tau2);
        zero += between.tau2 <= 0;
        for (int g = 0; g <= 400; g++)
            cr_assert_geq(best, restricted_likelihood(K, y, v, 0.3 * g * g / 160000.0) - 1e-9);
    }
    cr_assert(zero > 10 && zero < 190, "%d", zero);
}

/* ---- variances, and few units ---------------------------------------------------------------- */

Test(benchmark, variances)
{
    const struct cx_benchmark_unit unit[] = {{20, 7, 0.2}, {4, 9, 0.0001}, {30, 8, 0},
                                             {8, 6, NAN},  {1, 5, NAN},    {50, 7.5, 0.1}};
    struct cx_benchmark_question question = ask(unit, 6);
    struct result r = answer(&question);
    /* the 30 answers that agree are in the pool, the unknown ones are not */
    double df = 19 + 3 + 29 + 49, pool = (19 * 4 + 3 * 0.0004 + 49 * 5) / df;
    cr_assert_eq(r.status, CX_BENCHMARK_OK);
    near(r.all.answer_variance, pool, 1e-14);
    near(r.out[0].variance, (19 * 4 + 20 * pool) / 39 / 20, 1e-14);
    near(r.out[5].variance, (49 * 5 + 20 * pool) / 69 / 50, 1e-14);
    for (int i = 0; i < 6; i++) {
        bool own = i == 0 || i == 5;
        cr_assert_eq(r.out[i].pooled, !own);
        if (!own)
            near(r.out[i].variance, pool / unit[i].n, 1e-14);
        double t = cx_t_quantile(0.95, i == 0 ? 39 : i == 5 ? 69 : df);
        near(r.out[i].raw.high - unit[i].value, t * sqrt(r.out[i].variance), 1e-13);
        cr_assert_lt(r.out[i].shrunk.low, r.out[i].shrunk.high);
        cr_assert(r.out[i].own > 0 && r.out[i].own < 1);
    }
}

Test(benchmark, one_unit)
{
    const struct cx_benchmark_unit unit = {16, 7, 0.25};
    struct cx_benchmark_question question = ask(&unit, 1);
    question.external = 5;
    struct result r = answer(&question);
    double reach = 2.1314495455597742 * 0.5; /* t(15) */
    cr_assert_eq(r.status, CX_BENCHMARK_ONE);
    near(r.out[0].shrunk.low, 7 - reach, 1e-12);
    near(r.out[0].raw.high, 7 + reach, 1e-12);
    near(r.out[0].external.low, 2 - reach, 1e-12);
    cr_assert_eq(r.out[0].external_side, CX_SIDE_ABOVE);
    cr_assert_eq(r.out[0].tier, CX_TIER_NONE);
    cr_assert_eq(r.out[0].rank_low, 0);
    cr_assert(isnan(r.out[0].rest.value) && isnan(r.out[0].funnel_z) && isnan(r.all.tau));
    cr_assert(isnan(r.out[0].funnel[CX_FUNNEL_PLAIN].low95) && isnan(r.out[0].p_top));
}

Test(benchmark, few_units)
{
    const struct cx_benchmark_unit unit[] = {{100, 8, 0.01}, {100, 5, 0.01}, {100, 6, 0.01}};
    for (int k = 2; k <= 3; k++) {
        struct cx_benchmark_question question = ask(unit, k);
        struct result r = answer(&question);
        cr_assert_eq(r.status, CX_BENCHMARK_FEW);
        cr_assert(isnan(r.all.tau) && isnan(r.all.i2) && isnan(r.all.mu) && r.all.third == 1);
        for (int i = 0; i < k; i++) {
            cr_assert_eq(r.out[i].own, 1);
            cr_assert_eq(memcmp(&r.out[i].raw, &r.out[i].shrunk, sizeof r.out[i].raw), 0);
            cr_assert(isnan(r.out[i].funnel[CX_FUNNEL_ADDED].low95)); /* no τ */
            cr_assert_lt(r.out[i].funnel[CX_FUNNEL_PLAIN].low95, r.all.centre);
        }
        cr_assert(r.out[0].rank_low == 1 && r.out[0].rank_high == 1);
        cr_assert(r.out[1].rank_low == k && r.out[1].rank_high == k);
        cr_assert(r.out[0].tier == CX_TIER_TOP && r.out[1].tier == CX_TIER_BOTTOM);
        near(r.out[0].rest.value, k == 2 ? 3 : 2.5, 1e-14); /* plain mean of the others */
        near(r.out[0].rest_z, k == 2 ? 3 / sqrt(0.02) : 2.5 / sqrt(0.015), 1e-13);
    }
}

/* P(first ahead of second) = Φ(d/√(v₁+v₂)), here .8. */
Test(benchmark, two_units_not_told_apart)
{
    const double apart = 0.8416212335729143 * sqrt(0.02);
    const struct cx_benchmark_unit unit[] = {{100, apart, 0.01}, {100, 0, 0.01}};
    struct cx_benchmark_question question = ask(unit, 2);
    question.draws = 40000;
    struct result r = answer(&question);
    cr_assert_float_eq(r.out[0].p_top, 0.8, 0.008);
    cr_assert_float_eq(r.out[1].rank_expected, 1.8, 0.008);
    cr_assert(r.out[0].rank_low == 1 && r.out[0].rank_high == 2);
    cr_assert(r.out[0].tier == CX_TIER_MIDDLE && r.out[1].tier == CX_TIER_MIDDLE);
}

Test(benchmark, nobody_varies)
{
    const struct cx_benchmark_unit agree[] = {{20, 10, 0}, {5, 10, 0}, {9, 9, 0}, {7, 8, 0}},
                                   unknown[] = {
                                       {20, 10, NAN}, {1, 9, 0.5}, {3, 8, NAN}, {9, 7, NAN}};
    const struct cx_benchmark_unit *const both[] = {agree, unknown};
    for (int s = 0; s < 2; s++) {
        struct cx_benchmark_question question = ask(both[s], 4);
        question.external = 5;
        struct result r = answer(&question);
        cr_assert_eq(r.status, CX_BENCHMARK_NO_VARIANCE);
        cr_assert(isnan(r.all.tau) && isnan(r.all.answer_variance) && isnan(r.all.centre));
        for (int i = 0; i < 4; i++) {
            cr_assert_eq(r.out[i].raw.value, both[s][i].value);
            cr_assert(isnan(r.out[i].raw.low) && isnan(r.out[i].shrunk.high));
            cr_assert(isnan(r.out[i].variance) && isnan(r.out[i].external.value));
            cr_assert_eq(r.out[i].external_side, CX_SIDE_NONE);
            cr_assert_eq(r.out[i].tier, CX_TIER_NONE);
        }
    }
}

Test(benchmark, scale)
{
    const struct cx_benchmark_unit unit[] = {
        {6, 100, 0}, {9, 95, 20}, {40, -100, 0}, {60, 20, 90}, {12, -60, 500}};
    struct cx_benchmark_question question = ask(unit, 5);
    question.scale_min = -100;
    question.scale_max = 100;
    struct result r = answer(&question);
    for (int i = 0; i < 5; i++) {
        const struct cx_interval both[] = {r.out[i].raw, r.out[i].shrunk};
        for (int s = 0; s < 2; s++)
            cr_assert(-100 <= both[s].low && both[s].low < both[s].high && both[s].high <= 100);
        for (int f = 0; f < CX_FUNNELS; f++)
            cr_assert(r.out[i].funnel[f].low998 >= -100 && r.out[i].funnel[f].high998 <= 100);
    }
    cr_assert_eq(r.out[0].raw.high, 100);
}

/* ---- ranks ----------------------------------------------------------------------------------- */

/* 20,000 draws: σ ≤ .0035 of a share, ≤ .02 of a mean rank. */
Test(benchmark, ranks_of_the_posterior)
{
    static const double expected[] = {5.893,  9.0225, 2.9428, 11.5782, 5.4447, 1.9758,
                                      7.5157, 3.8443, 9.3687, 3.8929,  6.4236, 10.0979};
    static const double top[] = {.2239, .0175, .8500, 0,     .3984, .9328,
                                 .0554, .7027, .0203, .6727, .1020, .0243};
    static const double bottom[] = {.0809, .7033, .0087, .9998, .1353, .0055,
                                    .3018, .0154, .7588, .0785, .0812, .8308};
    static const int low[] = {2, 5, 1, 10, 1, 1, 4, 1, 5, 1, 3, 5},
                     high[] = {9, 11, 7, 12, 10, 6, 11, 8, 12, 10, 9, 12};
    cJSON *json = read_json("eb_shrinkage");
    double y[MOST], v[MOST];
    struct cx_benchmark_unit unit[MOST];
    read_units(cJSON_GetObjectItemCaseSensitive(json, "units12"), y, v, unit);
    struct cx_benchmark_question question = ask(unit, 12);
    question.draws = 20000;
    struct result r = answer(&question);
    int off = 0;
    for (int i = 0; i < 12; i++) {
        cr_assert_float_eq(r.out[i].rank_expected, expected[i], 0.08, "%d", i);
        cr_assert_float_eq(r.out[i].p_top, top[i], 0.014, "%d", i);
        cr_assert_float_eq(r.out[i].p_bottom, bottom[i], 0.014, "%d", i);
        cr_assert(abs(r.out[i].rank_low - low[i]) <= 1 && abs(r.out[i].rank_high - high[i]) <= 1);
        off += (r.out[i].rank_low != low[i]) + (r.out[i].rank_high != high[i]);
        cr_assert_eq(r.out[i].tier, i == 5   ? CX_TIER_TOP
                                    : i == 3 ? CX_TIER_BOTTOM
                                             : CX_TIER_MIDDLE);
    }
    cr_assert_leq(off, 3); /* of 24; .976 where .975 is asked may fall on either side */
    cr_assert_eq(r.all.third, 4);
    cJSON_Delete(json);
}

static void estate(struct cx_benchmark_unit *unit, int k, double tau, uint64_t seed)
{
    struct cx_random random = cx_random_seed(seed, 2);
    for (int i = 0; i < k; i++) {
        double n = 10 + cx_random_below(&random, 90);
        double value = tau * cx_random_normal(&random) + cx_random_normal(&random) / sqrt(n);
        unit[i] = (struct cx_benchmark_unit){n, value, (0.8 + 0.4 * cx_random_unit(&random)) / n};
    }
}

Test(benchmark, direction)
{
    struct cx_benchmark_unit unit[30];
    estate(unit, 30, 0.3, 1);
    struct cx_benchmark_question question = ask(unit, 30);
    struct result more = answer(&question);
    question.direction = -1;
    struct result less = answer(&question);
    for (int i = 0; i < 30; i++) {
        cr_assert_eq(less.out[i].rank_low, 31 - more.out[i].rank_high);
        cr_assert_eq(less.out[i].rank_high, 31 - more.out[i].rank_low);
        near(less.out[i].rank_expected, 31 - more.out[i].rank_expected, 1e-12);
        cr_assert_eq(less.out[i].p_top, more.out[i].p_bottom);
        cr_assert_eq(less.out[i].tier == CX_TIER_TOP, more.out[i].tier == CX_TIER_BOTTOM);
        cr_assert_eq(less.out[i].shrunk.low, more.out[i].shrunk.low);
    }
}

/* Units that are all alike are not sorted into tiers; clear groups are. */
Test(benchmark, tiers)
{
    struct cx_benchmark_unit unit[MOST];
    int called = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        estate(unit, 30, 0, seed);
        struct cx_benchmark_question question = ask(unit, 30);
        struct result r = answer(&question);
        for (int i = 0; i < 30; i++)
            called += r.out[i].tier != CX_TIER_MIDDLE;
    }
    cr_assert_leq(called, 12, "%d of 1200", called);
    for (int i = 0; i < 9; i++)
        unit[i] = (struct cx_benchmark_unit){50, 10 * (i / 3) + 0.1 * i, 0.02};
    struct cx_benchmark_question question = ask(unit, 9);
    struct result r = answer(&question);
    for (int i = 0; i < 9; i++)
        cr_assert_eq(r.out[i].tier, i < 3 ? CX_TIER_BOTTOM : i < 6 ? CX_TIER_MIDDLE : CX_TIER_TOP);
}

Test(benchmark, same_question_same_answer)
{
    struct cx_benchmark_unit unit[30];
    estate(unit, 30, 0.2, 9);
    struct cx_benchmark_question question = ask(unit, 30);
    struct result one = answer(&question), two = answer(&question);
    int differ = 0;
    for (int i = 0; i < 30; i++) {
        cr_assert_eq(one.out[i].rank_expected, two.out[i].rank_expected);
        cr_assert_eq(one.out[i].shrunk.value, two.out[i].shrunk.value);
    }
    question.seed++;
    two = answer(&question);
    for (int i = 0; i < 30; i++)
        differ += one.out[i].rank_expected != two.out[i].rank_expected;
    cr_assert_gt(differ, 20);
}

/* Another unit of measurement: everything moves with it. */
Test(benchmark, units_of_measurement)
{
    struct cx_benchmark_unit unit[20], other[20];
    estate(unit, 20, 0.2, 4);
    for (int i = 0; i < 20; i++)
        other[i] = (struct cx_benchmark_unit){unit[i].n, 1000 * unit[i].value - 30,
                                              1e6 * unit[i].variance};
    struct cx_benchmark_question q1 = ask(unit, 20), q2 = ask(other, 20);
    struct result a = answer(&q1), b = answer(&q2);
    near(b.all.tau, 1000 * a.all.tau, 1e-9);
    near(b.all.phi, a.all.phi, 1e-9);
    near(b.all.i2, a.all.i2, 1e-9);
    for (int i = 0; i < 20; i++) {
        near(b.out[i].shrunk.low, 1000 * a.out[i].shrunk.low - 30, 1e-9);
        near(b.out[i].rest_z, a.out[i].rest_z, 1e-9);
        near(b.out[i].funnel[CX_FUNNEL_ADDED].high998,
             1000 * a.out[i].funnel[CX_FUNNEL_ADDED].high998 - 30, 1e-9);
        cr_assert_float_eq(b.out[i].rank_expected, a.out[i].rank_expected, 0.01);
    }
}

/* ---- comparisons ----------------------------------------------------------------------------- */

Test(benchmark, rest)
{
    struct cx_benchmark_unit unit[15];
    estate(unit, 15, 0.2, 3);
    struct cx_benchmark_question question = ask(unit, 15);
    struct result r = answer(&question);
    cr_assert_gt(r.all.tau, 0.05);
    for (int i = 0; i < 15; i++) {
        double weight = 0, mean = 0, variance = 0, denominator = 0;
        for (int m = 0; m < 15; m++)
            if (m != i)
                weight += 1 / (r.out[m].variance + r.all.tau * r.all.tau);
        for (int m = 0; m < 15; m++)
            if (m != i) {
                double share = 1 / (r.out[m].variance + r.all.tau * r.all.tau) / weight;
                double part = share * share * r.out[m].variance;
                mean += share * unit[m].value;
                variance += part;
                denominator += part * part / (unit[m].n + 19);
            }
        double own = r.out[i].variance;
        variance += own;
        denominator += own * own / (unit[i].n + 19);
        double t = cx_t_quantile(0.95, variance * variance / denominator);
        near(r.out[i].rest.value, unit[i].value - mean, 1e-12);
        near(r.out[i].rest.high, unit[i].value - mean + t * sqrt(variance), 1e-12);
        near(r.out[i].rest.low, unit[i].value - mean - t * sqrt(variance), 1e-12);
        near(r.out[i].rest_z, (unit[i].value - mean) / sqrt(variance), 1e-11);
    }
}

/* φ by scipy.stats.mstats.winsorize(z, limits=(.1, .1)). */
Test(benchmark, funnel)
{
    enum { K = 20 };
    static const double n[K] = {12, 40,  25, 80, 15, 200, 33, 60, 18, 90,
                                27, 110, 45, 22, 70, 150, 31, 55, 19, 64};
    static const double value[K] = {7.1, 8.2, 6.4, 7.9, 9.3, 7.6, 7.2, 8.8, 5.1, 7.7,
                                    8.1, 7.4, 6.9, 8.6, 7.0, 7.8, 8.3, 7.3, 6.0, 8.0};
    static const double s2[K] = {3.1, 2.2, 4.0, 2.8, 1.1, 3.0, 2.5, 1.7, 5.2, 2.6,
                                 2.4, 3.3, 3.7, 1.9, 3.5, 2.9, 2.1, 3.2, 4.4, 2.7};
    const double pool = 2.9084642233856894, centre = 7.626329331046311, phi = 5.170177166669673;
    struct cx_benchmark_unit unit[K];
    for (int i = 0; i < K; i++)
        unit[i] = (struct cx_benchmark_unit){n[i], value[i], s2[i] / n[i]};
    struct cx_benchmark_question question = ask(unit, K);
    struct result r = answer(&question);
    near(r.all.answer_variance, pool, 1e-14);
    near(r.all.centre, centre, 1e-14);
    near(r.all.phi, phi, 1e-13);
    near(r.out[0].funnel_z, -1.0690950848771388, 1e-13);
    for (int i = 0; i < K; i++) {
        const double v = pool / n[i], tau2 = r.all.tau * r.all.tau;
        const double sd[CX_FUNNELS] = {sqrt(v), sqrt(v * phi), sqrt(v + tau2)};
        for (int f = 0; f < CX_FUNNELS; f++) {
            const struct cx_funnel_limits *l = &r.out[i].funnel[f];
            near(l->low95, centre - Z * sd[f], 1e-12);
            near(l->high95, centre + Z * sd[f], 1e-12);
            near(l->low998, centre - 3.090232306167813 * sd[f], 1e-12);
            near(l->high998, centre + 3.090232306167813 * sd[f], 1e-12);
        }
    }
    for (int i = 0; i < K; i++) /* like each other: no overdispersion, never narrower limits */
        unit[i].value = 7.5 + 0.01 * i;
    r = answer(&question);
    cr_assert_eq(r.all.phi, 1);
    cr_assert_eq(r.out[3].funnel[CX_FUNNEL_PLAIN].low95,
                 r.out[3].funnel[CX_FUNNEL_MULTIPLIED].low95);
}

Test(benchmark, external)
{
    struct cx_benchmark_unit unit[] = {
        {50, 8, 0.05}, {50, 4, 0.05}, {50, 6.1, 0.05}, {50, 6, 0.05}, {50, 5.8, 0.05}};
    struct cx_benchmark_question question = ask(unit, 5);
    struct result none = answer(&question);
    cr_assert_eq(none.out[0].external_side, CX_SIDE_NONE);
    cr_assert(isnan(none.out[0].external.value));
    question.external = 6;
    struct result r = answer(&question);
    cr_assert_eq(r.out[0].external_side, CX_SIDE_ABOVE);
    cr_assert_eq(r.out[1].external_side, CX_SIDE_BELOW);
    cr_assert_eq(r.out[2].external_side, CX_SIDE_UNDECIDED);
    for (int i = 0; i < 5; i++) {
        near(r.out[i].external.value, r.out[i].shrunk.value - 6, 1e-14);
        near(r.out[i].external.low, r.out[i].shrunk.low - 6, 1e-13);
        near(r.out[i].external.high, r.out[i].shrunk.high - 6, 1e-13);
    }
    question.external_variance = 4; /* itself hardly known */
    struct result unsure = answer(&question);
    double reach = hypot(r.out[0].external.high - r.out[0].external.value, Z * 2);
    near(unsure.out[0].external.high, r.out[0].external.value + reach, 1e-13);
    cr_assert_eq(unsure.out[0].external_side, CX_SIDE_UNDECIDED);
    cr_assert_eq(unsure.out[1].external_side, CX_SIDE_UNDECIDED);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refused(const struct cx_benchmark_question *question)
{
    struct cx_benchmark_all all = {.mu = 42};
    struct cx_benchmark out[4] = {{.variance = 42}};
    double work[64];
    cr_assert_eq(cx_benchmark(&all, out, question, work), CX_BENCHMARK_REFUSED);
    cr_assert(all.mu == 42 && out[0].variance == 42);
}

Test(benchmark, refusals)
{
    const struct cx_benchmark_unit good[] = {{20, 1, .1}, {20, 2, .1}, {20, 3, .1}, {20, 4, .1}};
    const struct cx_benchmark_unit bad[] = {
        {0, 1, .1},         {-3, 1, .1},  {NAN, 1, .1},      {INFINITY, 1, .1}, {20, NAN, .1},
        {20, INFINITY, .1}, {20, 1, -.1}, {20, 1, INFINITY}, {20, 11, .1},      {20, -1, .1}};
    struct cx_benchmark_question question = ask(good, 4);
    question.scale_min = 0;
    question.scale_max = 10;
    cr_assert_eq(answer(&question).status, CX_BENCHMARK_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cx_benchmark_unit unit[] = {good[0], good[1], good[2], bad[i]};
        struct cx_benchmark_question one = question;
        one.unit = unit;
        refused(&one);
    }
    struct cx_benchmark_question q[8];
    for (int i = 0; i < 8; i++)
        q[i] = question;
    q[0].units = 0;
    q[1].units = CX_BENCHMARK_UNITS_MAX + 1;
    q[2].direction = 0;
    q[3].direction = 2;
    q[4].scale_min = 10;
    q[5].external = INFINITY;
    q[6].external = 3, q[6].external_variance = -1;
    q[7].external = 3, q[7].external_variance = NAN;
    for (int i = 0; i < 8; i++)
        refused(&q[i]);
}
