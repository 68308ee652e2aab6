/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Certainty of ranks: the covariance against closed form and simulation, probabilities for sense,
 * and the rules of what may be called key. */
#include "analytics/importance_rank.h"

#include "analytics/importance.h"
#include "analytics/random.h"

#include <math.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#define ask(rank, p, theta, v, seed, draws, work) \
    cx_rank(rank, &(struct cx_rank_question){p, theta, v, seed, draws}, work)

/* One driver: θ = |r|, variance (1 − r²)²/m. The central difference is good to its step squared. */
Test(importance_rank, covariance_of_one)
{
    double v, work[64];
    for (double rho = 0.1; rho < 0.95; rho += 0.2) {
        const double r[] = {1, rho, rho, 1};
        cr_assert_leq(cx_weight_covariance_work(1), 64);
        cr_assert(cx_weight_covariance(1, r, 200, &v, work));
        cr_assert_float_eq(v, pow(1 - rho * rho, 2) / 200, 1e-7 * v);
    }
}

/* Correlations of n rows x1, x2, y with cor .5 of the drivers and effects .5 and .3. */
static void sample(struct cx_random *random, int n, double *r)
{
    double s[3] = {0}, c[9] = {0};
    for (int i = 0; i < n; i++) {
        double z[3];
        z[0] = cx_random_normal(random);
        z[1] = 0.5 * z[0] + sqrt(0.75) * cx_random_normal(random);
        z[2] = 0.5 * z[0] + 0.3 * z[1] + 0.7 * cx_random_normal(random);
        for (int a = 0; a < 3; a++) {
            s[a] += z[a];
            for (int b = 0; b < 3; b++)
                c[a * 3 + b] += z[a] * z[b];
        }
    }
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++)
            r[a * 3 + b] = (c[a * 3 + b] - s[a] * s[b] / n) /
                           sqrt((c[a * 4] - s[a] * s[a] / n) * (c[b * 4] - s[b] * s[b] / n));
}

/* 3000 samples: standard error of a variance 2.6 %, so 12 % is beyond 4 of them (n = 400 leaves 1
 * %). */
Test(importance_rank, covariance_by_simulation)
{
    enum { REPEATS = 3000, N = 400 };
    double r[9], w[2], mean[2] = {0}, square[3] = {0}, work[200], v[4];
    struct cx_random random = cx_random_seed(8, 8);
    for (int i = 0; i < REPEATS; i++) {
        sample(&random, N, r);
        cr_assert(cx_johnson(2, r, w, work));
        for (int j = 0; j < 2; j++) {
            mean[j] += sqrt(w[j]) / REPEATS;
            square[j] += w[j] / REPEATS;
        }
        square[2] += sqrt(w[0] * w[1]) / REPEATS;
    }
    const double truth[] = {
        1, .5, .65 / sqrt(.98), .5, 1, .55 / sqrt(.98), .65 / sqrt(.98), .55 / sqrt(.98),
        1}; /* var y = .25 + .09 + 2·.5·.3·.5 + .49 */
    cr_assert(cx_weight_covariance(2, truth, N - 3, v, work));
    for (int j = 0; j < 2; j++)
        cr_assert_float_eq((square[j] - mean[j] * mean[j]) / v[j * 3], 1, 0.12);
    cr_assert_float_eq((square[2] - mean[0] * mean[1]) / sqrt(v[0] * v[3]),
                       v[1] / sqrt(v[0] * v[3]), 0.08);
    cr_assert_eq(v[1], v[2]);
}

Test(importance_rank, scale)
{
    double v[] = {2, 0.5, 0.5, 2};
    cr_assert_eq(cx_weight_covariance_scale(2, v, NAN), 1);
    cr_assert_float_eq(v[0], 2 + 2e-9, 1e-14);
    cr_assert_float_eq(cx_weight_covariance_scale(2, v, 8), 2, 1e-8);
    cr_assert_float_eq(v[1], 1, 1e-8);
    cr_assert_eq(cx_weight_covariance_scale(2, v, 1), 1);
    cr_assert_eq(cx_weight_covariance_scale(2, v, 1e9), 4);
}

static void diagonal(int p, double variance, double *v)
{
    for (int i = 0; i < p * p; i++)
        v[i] = i % (p + 1) == 0 ? variance : 0;
}

Test(importance_rank, clear_and_tied)
{
    enum { P = 6 };
    const double clear[P] = {.2, .5, .1, .35, .05, .02}, tied[P] = {.3, .3, .3, .3, .3, .3};
    double v[P * P], *work = calloc(cx_rank_work(P), sizeof *work);
    struct cx_rank rank, again;
    diagonal(P, 0.0001, v);
    cr_assert(ask(&rank, P, clear, v, 7, 0, work));
    cr_assert(rank.top[0][1] > .999 && rank.top[2][0] > .99 && rank.top[2][4] < .01);
    cr_assert(rank.low[1] == 1 && rank.high[1] == 1 && rank.low[3] == 2 && rank.high[3] == 2);
    cr_assert_float_eq(rank.expected[1], 1, 0.01);
    cr_assert(ask(&again, P, clear, v, 7, 0, work));
    cr_assert_arr_eq(&rank, &again, sizeof rank);

    double sum = 0;
    cr_assert(ask(&rank, P, tied, v, 7, 0, work));
    for (int j = 0; j < P; j++) {
        cr_assert_float_eq(rank.top[0][j], 1.0 / P, 0.04); /* 4000 draws: σ = .006 */
        cr_assert_float_eq(rank.expected[j], 3.5, 0.2);
        sum += rank.top[2][j];
    }
    cr_assert_float_eq(sum, 3, 1e-9);
    free(work);
}

/* Shrinkage: plain draws would call the first one P = Φ(.1/√(2·.01)/…) far too surely. */
Test(importance_rank, less_sure_than_plain_draws)
{
    enum { P = 8, DRAWS = 4000 };
    const double theta[P] = {.38, .30, .29, .28, .28, .27, .26, .25};
    double v[P * P], *work = calloc(cx_rank_work(P), sizeof *work);
    struct cx_rank rank;
    diagonal(P, 0.0016, v);
    cr_assert(ask(&rank, P, theta, v, 3, DRAWS, work));
    struct cx_random random = cx_random_seed(3, 3);
    int plain = 0;
    for (int i = 0; i < DRAWS; i++) {
        double first = theta[0] + 0.04 * cx_random_normal(&random), best = 0;
        for (int j = 1; j < P; j++)
            best = fmax(best, theta[j] + 0.04 * cx_random_normal(&random));
        plain += first > best;
    }
    cr_assert_lt(rank.top[0][0], plain / (double)DRAWS - 0.1);
    cr_assert_gt(rank.top[0][0], 1.0 / P);
    free(work);
}

/* Nothing explains the outcome: hardly ever a false call. Errors of θ there are half-normal. */
Test(importance_rank, no_effect_no_call)
{
    enum { P = 6, REPEATS = 60 };
    double v[P * P], theta[P], *work = calloc(cx_rank_work(P), sizeof *work);
    int calls = 0;
    struct cx_random random = cx_random_seed(12, 3);
    diagonal(P, 0.0025, v);
    for (int i = 0; i < REPEATS; i++) {
        struct cx_rank rank;
        for (int j = 0; j < P; j++)
            theta[j] = fabs(0.05 * cx_random_normal(&random));
        cr_assert(ask(&rank, P, theta, v, (uint64_t)i, 1000, work));
        for (int j = 0; j < P; j++)
            calls += rank.top[2][j] >= 0.9;
    }
    cr_assert_leq(calls, 1);
    free(work);
}

Test(importance_rank, few_drivers)
{
    const double theta[] = {.3, .2}, v[] = {.0001, 0, 0, .0001}, one = 0.01;
    double work[64];
    struct cx_rank rank;
    cr_assert(ask(&rank, 2, theta, v, 1, 500, work));
    cr_assert(rank.top[0][0] > .99 && rank.top[1][1] == 1 && rank.top[2][1] == 1);
    cr_assert(ask(&rank, 1, theta, &one, 1, 500, work));
    cr_assert(rank.top[0][0] == 1 && rank.expected[0] == 1 && rank.high[0] == 1);
}

Test(importance_rank, refusals)
{
    const double theta[] = {.3, NAN}, good[] = {1, 0, 0, 1}, singular[] = {1, -2, -2, 1},
                 fine[] = {1, 2};
    double work[200], v[4];
    struct cx_rank rank;
    cr_assert_not(ask(&rank, 2, theta, good, 1, 10, work));
    cr_assert_not(ask(&rank, 2, fine, singular, 1, 10, work));
    cr_assert_not(ask(&rank, 0, fine, good, 1, 10, work));
    const double r[] = {1, 1, .5, 1, 1, .5, .5, .5, 1};
    cr_assert_not(cx_weight_covariance(2, r, 100, v, work));
}

Test(importance_rank, key_gate)
{
    struct cx_key_question q = {
        .drivers = 6, .n = 500, .top = {.3, .7, .95}, .r2_low = .1, .coef = 1};
    cr_assert_eq(cx_key_driver(&q), CX_KEY_YES);
    q.drivers = 5; /* the two strongest */
    cr_assert_eq(cx_key_driver(&q), CX_KEY_LIKELY);
    q.drivers = 3; /* the strongest */
    cr_assert_eq(cx_key_driver(&q), CX_KEY_NO);
    q.drivers = 6, q.coef = -1;
    cr_assert_eq(cx_key_driver(&q), CX_KEY_NO);
    q.direction = -1;
    cr_assert_eq(cx_key_driver(&q), CX_KEY_YES);
    q.r2_low = .02;
    cr_assert_eq(cx_key_driver(&q), CX_KEY_NO);
    q.r2_low = .1, q.n = 119; /* 20 p */
    cr_assert_eq(cx_key_driver(&q), CX_KEY_NO);
    q.drivers = 4, q.n = 99, q.top[1] = .99;
    cr_assert_eq(cx_key_driver(&q), CX_KEY_NO);
    q.n = 100;
    cr_assert_eq(cx_key_driver(&q), CX_KEY_YES);
    q.top[1] = .85;
    cr_assert_eq(cx_key_driver(&q), CX_KEY_LIKELY);
    q.was_key = true;
    cr_assert_eq(cx_key_driver(&q), CX_KEY_YES);
    q.top[1] = .79;
    cr_assert_eq(cx_key_driver(&q), CX_KEY_LIKELY);
    q.r2_low = NAN;
    cr_assert_eq(cx_key_driver(&q), CX_KEY_NO);
}

Test(importance_rank, top_group)
{
    const double sure[] = {.05, .93, .02}, open[] = {.5, .05, .4, .05};
    cr_assert_eq(cx_top_group(3, sure), 2);
    cr_assert_eq(cx_top_group(4, open), 5);
}
