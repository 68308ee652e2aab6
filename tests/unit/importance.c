/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shares of R² against 50-digit references and against the definition. */
#include "analytics/importance.h"

#include "analytics/random.h"
#include "tests/unit/solve_support.h"

static struct cx_cross cross;
static struct cx_fit_work solve_work;
static struct cx_fit fit;

/* Correlations of a reference set; returns p. */
static int correlations(const struct data_set *set, double *r)
{
    cx_wide *cell = block_of_set(set);
    cx_cross_from_moments(&cross, cell, set->columns, set->decimals, true);
    cr_assert_eq(cx_solve(&fit, &cross, NULL, &solve_work), CX_FIT_OK);
    cx_fit_correlations(&fit, &cross, r);
    free(cell);
    return fit.kept;
}

Test(importance, reference_sets)
{
    const char *names[] = {"attitude", "swiss", "stackloss",    "longley",
                           "scotland", "ccard", "diabetes_raw", "survey_lcg12"};
    for (size_t s = 0; s < sizeof names / sizeof *names; s++) {
        struct data_set set = read_set(names[s]);
        double r[400], weight[20], share[20], sum_weight = 0, sum_share = 0;
        int p = correlations(&set, r);
        double *work = calloc(cx_johnson_work(p) + cx_lmg_work(p), sizeof *work);
        cr_assert(cx_johnson(p, r, weight, work));
        cr_assert(cx_lmg(p, r, share, work));
        for (int j = 0; j < p; j++) {
            cr_assert_geq(lre(weight[j], element(set.expected, "johnson_rw", j), 16), 12, "%s",
                          names[s]);
            cr_assert_geq(lre(share[j], element(set.expected, "lmg", j), 16), 12, "%s", names[s]);
            sum_weight += weight[j];
            sum_share += share[j];
        }
        /* both share out R²; doubles on correlations of condition κ lose ε·κ */
        double room = fmax(1e-13, 1e-16 * fit.condition);
        cr_assert_float_eq(sum_weight, fit.r2, room, "%s", names[s]);
        cr_assert_float_eq(sum_share, fit.r2, room, "%s", names[s]);
        free(work);
        free_set(&set);
    }
}

/* Correlations of p drivers with one common factor and an outcome of known make. */
static void make(int p, double *r)
{
    struct cx_random random = cx_random_seed(99, (uint64_t)p);
    double load[64], effect[64], variance = 1;
    int size = p + 1;
    for (int i = 0; i < p; i++) {
        load[i] = 0.3 + 0.5 * cx_random_unit(&random);
        effect[i] = 0.4 * cx_random_unit(&random) / sqrt(p);
    }
    for (int i = 0; i < p; i++)
        for (int j = 0; j < p; j++)
            r[i * size + j] = i == j ? 1 : load[i] * load[j];
    for (int i = 0; i < p; i++) {
        r[i * size + p] = 0;
        for (int j = 0; j < p; j++)
            r[i * size + p] += r[i * size + j] * effect[j];
    }
    for (int i = 0; i < p; i++)
        variance += effect[i] * r[i * size + p];
    for (int i = 0; i < p; i++)
        r[p * size + i] = r[i * size + p] /= sqrt(variance);
    r[p * size + p] = 1;
}

/* R² of a set of drivers, by Gauss–Jordan: another way than a Schur complement kept along. */
static double r2_of(int p, const double *r, unsigned set)
{
    double a[12][13];
    int member[12], k = 0, size = p + 1;
    for (int i = 0; i < p; i++)
        if (set >> i & 1)
            member[k++] = i;
    for (int i = 0; i < k; i++) {
        for (int j = 0; j < k; j++)
            a[i][j] = r[member[i] * size + member[j]];
        a[i][k] = r[member[i] * size + p];
    }
    for (int d = 0; d < k; d++)
        for (int i = 0; i < k; i++) {
            double factor = i == d ? 0 : a[i][d] / a[d][d];
            for (int j = d; j <= k && i != d; j++)
                a[i][j] -= factor * a[d][j];
        }
    double r2 = 0;
    for (int i = 0; i < k; i++)
        r2 += a[i][k] / a[i][i] * r[member[i] * size + p];
    return r2;
}

Test(importance, lmg_by_definition)
{
    for (int p = 1; p <= 9; p++) {
        double r[100], share[10], *work = calloc(cx_lmg_work(p), sizeof *work);
        make(p, r);
        cr_assert(cx_lmg(p, r, share, work));
        for (int i = 0; i < p; i++) {
            double want = 0;
            for (unsigned set = 0; set < 1u << p; set++) {
                if (set >> i & 1)
                    continue;
                double ways = p; /* p·C(p − 1, m) */
                for (int m = 0, size = __builtin_popcount(set); m < size; m++)
                    ways = ways * (p - 1 - m) / (m + 1);
                want += (r2_of(p, r, set | 1u << i) - r2_of(p, r, set)) / ways;
            }
            cr_assert_float_eq(share[i], want, 1e-14, "p %d driver %d", p, i);
        }
        free(work);
    }
}

/* Sampled shares keep the promised error, are the same for a seed, and know when to stop. */
/* A copy adds nothing to any set that has the original: the two share alike, wherever they stand
 * among the drivers, and the sum is R² without the copy. */
Test(importance, lmg_of_a_copy)
{
    enum { P = 7, SIZE = P + 1 };
    for (int at = 0; at < P; at++)
        for (int of = 0; of < P; of++) {
            double base[SIZE * SIZE], r[SIZE * SIZE], share[P], sum = 0;
            double *work = calloc(cx_lmg_work(P), sizeof *work);
            make(P, base);
            for (int i = 0; i < SIZE; i++)
                for (int j = 0; j < SIZE; j++)
                    r[i * SIZE + j] = base[(i == at ? of : i) * SIZE + (j == at ? of : j)];
            cr_assert(cx_lmg(P, r, share, work));
            cr_assert_float_eq(share[at], share[of], 1e-12, "%d of %d", at, of);
            for (int j = 0; j < P; j++)
                sum += share[j];
            unsigned rest = ((1u << P) - 1) & ~(at == of ? 0 : 1u << at);
            cr_assert_float_eq(sum, r2_of(P, base, rest), 1e-12, "%d of %d", at, of);
            free(work);
        }
}

Test(importance, lmg_sampled)
{
    enum { P = 18 };
    double r[(P + 1) * (P + 1)], exact[P], share[P], again[P];
    double *work = calloc(cx_lmg_work(P), sizeof *work);
    make(P, r);
    cr_assert(cx_lmg(P, r, exact, work));
    struct cx_lmg_sample sample = {.seed = 4};
    cr_assert(cx_lmg_sampled(P, r, share, &sample, work));
    double sum = 0, r2 = 0;
    for (int i = 0; i < P; i++) {
        cr_assert_float_eq(share[i], exact[i],
                           4.5 * sample.se_max); /* 18 draws beyond 4.5 σ: 1e-4 */
        sum += share[i];
        r2 += exact[i];
    }
    cr_assert_float_eq(sum, r2, 1e-12); /* every order shares out R² */
    cr_assert_lt(sample.se_max, 0.001 * r2);
    cr_assert(sample.pairs % 100 == 0 && sample.pairs <= 10000);
    struct cx_lmg_sample same = {.seed = 4};
    cr_assert(cx_lmg_sampled(P, r, again, &same, work));
    cr_assert_arr_eq(again, share, sizeof share);
    struct cx_lmg_sample few = {.seed = 5, .pairs_max = 7, .se_target = 1e-9};
    cr_assert(cx_lmg_sampled(P, r, again, &few, work));
    cr_assert(few.pairs == 7 && few.se_max > sample.se_max);
    free(work);
}

Test(importance, sampled_beyond_the_exact)
{
    enum { P = 40 };
    static double r[(P + 1) * (P + 1)], share[P], work[4000];
    cr_assert_leq(cx_lmg_sample_work(P), 4000);
    make(P, r);
    cr_assert_not(cx_lmg(P, r, share, work));
    struct cx_lmg_sample sample = {.seed = 1};
    cr_assert(cx_lmg_sampled(P, r, share, &sample, work));
    double sum = 0;
    for (int i = 0; i < P; i++)
        sum += share[i];
    cr_assert_lt(sample.se_max, 0.001 * sum);
}

Test(importance, independent_drivers) /* then both are r² */
{
    const double r[] = {1, 0, 0, .5, 0, 1, 0, -.3, 0, 0, 1, 0, .5, -.3, 0, 1};
    double weight[3], share[3], work[200];
    cr_assert(cx_johnson(3, r, weight, work));
    cr_assert(cx_lmg(3, r, share, work));
    const double want[] = {.25, .09, 0};
    for (int i = 0; i < 3; i++) {
        cr_assert_float_eq(weight[i], want[i], 1e-15);
        cr_assert_float_eq(share[i], want[i], 1e-15);
    }
}

Test(importance, refusals)
{
    double bad[] = {1, NAN, NAN, 1}, out[1], work[64];
    struct cx_lmg_sample sample = {0};
    cr_assert_not(cx_johnson(1, bad, out, work));
    cr_assert_not(cx_lmg(1, bad, out, work));
    cr_assert_not(cx_lmg_sampled(1, bad, out, &sample, work));
    cr_assert_not(cx_lmg(0, bad, out, work));
    double infinite[] = {1, INFINITY, .1, INFINITY, 1, .1, .1, .1, 1}, two[2];
    cr_assert_not(cx_johnson(2, infinite, two, work));
}

Test(importance, flags)
{
    struct cx_importance_check c = {.n = 500,
                                    .drivers = 6,
                                    .coef = .3,
                                    .coef_p = .001,
                                    .r = .4,
                                    .vif = 2,
                                    .weight = .1,
                                    .low = .06,
                                    .high = .15,
                                    .sd = 2,
                                    .range = 10};
    cr_assert_eq(cx_importance_flags(&c), 0);
    c.r = -.2;
    cr_assert_eq(cx_importance_flags(&c), CX_FLAG_SIGN_CONFLICT);
    c.r = -.08; /* noise at n = 500 */
    cr_assert_eq(cx_importance_flags(&c), 0);
    c.sd = .4;
    cr_assert_eq(cx_importance_flags(&c), CX_FLAG_LOW_VARIANCE);
    c.sd = 2, c.n = 109;
    cr_assert_eq(cx_importance_flags(&c), CX_FLAG_THIN_N);
    c.n = 500, c.vif = 11;
    cr_assert_eq(cx_importance_flags(&c), CX_FLAG_UNSTABLE);
    c.vif = 2, c.high = .17;
    cr_assert_eq(cx_importance_flags(&c), CX_FLAG_UNSTABLE);
    c.low = c.high = NAN;
    cr_assert_eq(cx_importance_flags(&c), 0);
}
