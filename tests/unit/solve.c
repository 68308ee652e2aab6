/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The solver against 50-digit reference numbers, certified values, and everything that can be wrong
 * with a driver. The references have 17 digits, so 15 common digits is what a double can show after
 * one rounding here and one there. */
#include "tests/unit/solve_support.h"

static struct cx_cross cross;
static struct cx_fit_work work;
static struct cx_fit fit;

static enum cx_fit_status solve_rows(const int64_t *rows, int n, int q)
{
    cx_wide *cell = new_block(q);
    for (int r = 0; r < n; r++)
        cr_assert(cx_moments_add(cell, q, &rows[r * q], 1, 1));
    cx_cross_from_moments(&cross, cell, q, NULL, true);
    free(cell);
    return cx_solve(&fit, &cross, NULL, &work);
}

static void same(double got, const cJSON *expected, const char *name, int at, double digits)
{
    double want = at < 0 ? member(expected, name) : element(expected, name, at);
    cr_assert_geq(lre(got, want, 16), digits, "%s[%d]: %.17g, not %.17g", name, at, got, want);
}

/* p-values come from GSL: 12 digits are claimed. The condition number is a double's eigenvalue:
 * relative error ε·condition. */
static void check_set(const char *name)
{
    struct data_set set = read_set(name);
    cx_wide *cell = block_of_set(&set);
    cx_cross_from_moments(&cross, cell, set.columns, set.decimals, true);
    cr_assert_eq(cx_solve(&fit, &cross, NULL, &work), CX_FIT_OK, "%s", name);
    const cJSON *e = set.expected;
    for (int i = 0; i < set.columns; i++) {
        same(fit.coef[i], e, "coef", i, 15);
        same(fit.se[i], e, "se", i, 15);
        same(fit.t[i], e, "t", i, 14.9);
        same(fit.p[i], e, "pvalue", i, 12);
        same(fit.low[i], e, "ci95_lo", i, 13);
        same(fit.high[i], e, "ci95_hi", i, 13);
    }
    for (int j = 0; j < set.columns - 1; j++) {
        same(fit.vif[j], e, "vif", j, 15);
        same(fit.beta[j], e, "beta_std", j, 15);
        cr_assert_eq(fit.dropped[j], CX_KEPT);
    }
    same(fit.r2, e, "r2", -1, 15);
    same(fit.adj_r2, e, "adj_r2", -1, 15);
    same(fit.rss, e, "rss", -1, 15);
    same(fit.sigma, e, "sigma", -1, 15);
    same(fit.f, e, "F", -1, 14.9);
    same(fit.condition, e, "cond_corr", -1, 11);
    cr_assert_eq(fit.df, member(e, "df_resid"));
    cr_assert_eq(fit.few_df, fit.df < 10);
    free(cell);
    free_set(&set);
}

Test(solve, reference_sets)
{
    const char *names[] = {"attitude", "swiss", "stackloss",    "longley",
                           "scotland", "ccard", "diabetes_raw", "survey_lcg12"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_set(names[i]);
}

/* The same sets as doubles: what rounding the input to double leaves is bounded by the condition of
 * the raw columns (Longley's year 1947 … 1962 has mean ÷ spread of 400, condition 1e4). */
Test(solve, reference_sets_as_doubles)
{
    const char *names[] = {"attitude", "swiss", "longley", "ccard", "survey_lcg12"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct data_set set = read_set(names[i]);
        int q = set.columns;
        struct cx_dd *part[2] = {calloc(cx_moments_cells(q), sizeof(struct cx_dd)),
                                 calloc(cx_moments_cells(q), sizeof(struct cx_dd))};
        for (int r = 0; r < set.rows; r++) {
            double z[CX_COLUMNS_MAX];
            for (int c = 0; c < q; c++)
                z[c] = strtod(text_at(&set, r, c), NULL);
            cx_sums_add(part[r % 2], q, z, 1);
            cx_sums_add(part[r % 2], q, z, 0); /* weight 0 is a no-op */
        }
        cx_sums_merge(part[0], part[1], q);
        cx_cross_from_sums(&cross, part[0], q, true);
        cr_assert_eq(cx_solve(&fit, &cross, NULL, &work), CX_FIT_OK);
        for (int k = 0; k < q; k++) {
            same(fit.coef[k], set.expected, "coef", k, 12.5);
            same(fit.se[k], set.expected, "se", k, 12.5);
        }
        free(part[0]);
        free(part[1]);
        free_set(&set);
    }
}

/* Wampler's polynomials (NIST StRD) by their formulas; certified coefficients are exact. */
static void wampler(int number, double coef_digits)
{
    static const int64_t noise[] = {759,   -2048, 2048,  -2048, 2523,  -2048, 2048,
                                    -2048, 1838,  -2048, 2048,  -2048, 1838,  -2048,
                                    2048,  -2048, 2523,  -2048, 2048,  -2048, 759};
    static const int64_t factor[] = {0, 0, 0, 1, 100, 10000};
    static const double se[] = {2152.32624678170, 2363.55173469681, 779.343524331583,
                                101.475507550350, 5.64566512170752, 0.112324854679312};
    int decimals[6] = {0, 0, 0, 0, 0, number == 2 ? 5 : 0};
    cx_wide *cell = new_block(6);
    for (int64_t x = 0; x <= 20; x++) {
        int64_t z[6] = {x, x * x, x * x * x, x * x * x * x, x * x * x * x * x, 0};
        z[5] = 1 + z[0] + z[1] + z[2] + z[3] + z[4] + factor[number] * noise[x];
        if (number == 2) /* powers of x/10, in 10^-5 */
            z[5] = 100000 + 10000 * z[0] + 1000 * z[1] + 100 * z[2] + 10 * z[3] + z[4];
        cr_assert(cx_moments_add(cell, 6, z, 1, 1));
    }
    cx_cross_from_moments(&cross, cell, 6, decimals, true);
    struct cx_solve_options options = {.collinear_min = 1e-24};
    enum cx_fit_status status = cx_solve(&fit, &cross, &options, &work);
    cr_assert_eq(status, number <= 2 ? CX_FIT_PERFECT : CX_FIT_OK, "wampler %d: %d", number,
                 status);
    for (int k = 0; k < 6; k++) {
        double want = number == 2 ? pow(10, -k) : 1;
        cr_assert_geq(lre(fit.coef[k], want, 15), coef_digits, "wampler %d b%d = %.17g", number, k,
                      fit.coef[k]);
        double spread = number <= 2 ? 0 : se[k] * (double)factor[number];
        cr_assert_geq(lre(fit.se[k], spread, 15), 14, "wampler %d se%d = %.17g", number, k,
                      fit.se[k]);
    }
    free(cell);
}

Test(solve, wampler)
{
    for (int number = 1; number <= 5; number++)
        wampler(number, 14);
    cr_assert_gt(fit.vif[2], 1e5); /* the badly conditioned case it is meant to be */
}

Test(solve, perfect_fit)
{
    const int64_t rows[] = {1, 5, 13, 2, 3, 10, 3, 9, 23, 4, 4, 14, 7, 1, 11, 0, 0, 2};
    /* y = 2 + x1 + 2 x2 but for the second value: 1 + 10 + 2 = 13, 2 + 6 + 2 = 10, … */
    cr_assert_eq(solve_rows(rows, 6, 3), CX_FIT_PERFECT);
    cr_assert_eq(fit.coef[0], 2);
    cr_assert_eq(fit.coef[1], 1);
    cr_assert_eq(fit.coef[2], 2);
    cr_assert(fit.r2 == 1 && fit.rss == 0 && fit.se[1] == 0 && fit.low[1] == 1 && fit.high[1] == 1);
    cr_assert(isnan(fit.t[1]) && isnan(fit.p[1]) && isnan(fit.f));
    int64_t off[sizeof rows / sizeof *rows]; /* one answer off by one: not perfect any more */
    memcpy(off, rows, sizeof rows);
    off[2]++;
    cr_assert_eq(solve_rows(off, 6, 3), CX_FIT_OK);
    cr_assert(fit.rss > 0 && fit.p[1] < 1);
}

Test(solve, no_rows_and_too_few)
{
    const int64_t rows[] = {1, 5, 13, 2, 3, 10, 3, 8, 23};
    cr_assert_eq(solve_rows(rows, 0, 3), CX_FIT_NO_ROWS);
    cr_assert(fit.n == 0 && isnan(fit.coef[0]) && isnan(fit.r2));
    cr_assert_eq(solve_rows(rows, 3, 3), CX_FIT_INSUFFICIENT); /* n = p + 1 */
    cr_assert(isnan(fit.coef[1]) && isnan(fit.r2) && fabs(fit.r[1] - 1) < 0.1);
    cr_assert_eq(fit.few_df, true);
    cr_assert_eq(solve_rows(rows, 1, 3), CX_FIT_OUTCOME_CONSTANT);
    cr_assert_eq(fit.dropped[0], CX_DROP_CONSTANT);
}

Test(solve, dropped_drivers)
{
    enum { N = 60, Q = 7 };
    int64_t rows[N * Q];
    for (int r = 0; r < N; r++) {
        int64_t *z = &rows[r * Q], a = r * 7 % 11, b = r * r % 7;
        z[0] = a;
        z[1] = 5;         /* constant */
        z[2] = b;         /* */
        z[3] = 10 - a;    /* the first one reversed */
        z[4] = a + 2 * b; /* a combination */
        z[5] = r % 5;
        z[6] = a + b + r % 3;
    }
    cr_assert_eq(solve_rows(rows, N, Q), CX_FIT_OK);
    const enum cx_drop_reason want[] = {CX_KEPT,         CX_DROP_CONSTANT, CX_KEPT,
                                        CX_DROP_ALIASED, CX_DROP_ALIASED,  CX_KEPT};
    for (int j = 0; j < Q - 1; j++)
        cr_assert_eq(fit.dropped[j], want[j], "driver %d", j);
    cr_assert_eq(fit.alias_of[3], 0);
    cr_assert_eq(fit.alias_of[4], -1);
    cr_assert(isnan(fit.coef[2]) && isnan(fit.vif[3]) && !isnan(fit.coef[6]));
    double kept[] = {fit.coef[1], fit.coef[3], fit.coef[6]};

    int64_t lean[N * 4]; /* the same without them */
    for (int r = 0; r < N; r++) {
        const int from[] = {0, 2, 5, 6};
        for (int c = 0; c < 4; c++)
            lean[r * 4 + c] = rows[r * Q + from[c]];
    }
    cr_assert_eq(solve_rows(lean, N, 4), CX_FIT_OK);
    for (int c = 0; c < 3; c++)
        cr_assert_eq(fit.coef[c + 1], kept[c]);
}

Test(solve, near_copy_is_collinear_not_aliased)
{
    enum { N = 400 };
    int64_t rows[N * 3];
    for (int64_t r = 0; r < N; r++) {
        rows[r * 3] = r * 1000000;
        rows[r * 3 + 1] = r * 1000000 + r % 2; /* 1 − R² about 1e-17 */
        rows[r * 3 + 2] = r + r % 3;
    }
    cr_assert_eq(solve_rows(rows, N, 3), CX_FIT_OK);
    cr_assert_eq(fit.dropped[1], CX_DROP_COLLINEAR);
    struct cx_solve_options all = {.collinear_min = 1e-30};
    cr_assert_eq(cx_solve(&fit, &cross, &all, &work), CX_FIT_OK);
    cr_assert_eq(fit.dropped[1], CX_KEPT); /* and two more digits than a double has are enough */
    cr_assert_gt(fit.vif[0], 1e16);
}

Test(solve, constant_outcome_and_no_drivers)
{
    const int64_t flat[] = {1, 5, 2, 5, 9, 5, 4, 5}, idle[] = {3, 1, 3, 2, 3, 7, 3, 4};
    cr_assert_eq(solve_rows(flat, 4, 2), CX_FIT_OUTCOME_CONSTANT);
    cr_assert(isnan(fit.r2) && isnan(fit.coef[1]) && isnan(fit.r[0]));
    cr_assert_eq(solve_rows(idle, 4, 2), CX_FIT_NO_DRIVERS);
    cr_assert_eq(fit.dropped[0], CX_DROP_CONSTANT);
}

/* Equal weights change nothing, to the bit; weights 0 take rows out; others give Kish's n. */
Test(solve, weights)
{
    struct data_set set = read_set("attitude");
    int q = set.columns;
    cx_wide *one = block_of_set(&set), *many = new_block(q), *half = new_block(q);
    double sum = 0, square = 0;
    for (int r = 0; r < set.rows; r++) {
        const int64_t *z = &set.value[r * q];
        cr_assert(cx_moments_add(many, q, z, 1024, 1));
        int64_t w = r < 20 ? 1024 * (1 + r % 2) : 0;
        cr_assert(cx_moments_add(half, q, z, w, 1));
        sum += (double)w;
        square += (double)w * (double)w;
    }
    cx_cross_from_moments(&cross, one, q, NULL, true);
    cx_solve(&fit, &cross, NULL, &work);
    struct cx_fit plain = fit;
    cx_cross_from_moments(&cross, many, q, NULL, true);
    cx_solve(&fit, &cross, NULL, &work);
    cr_assert_arr_eq(&plain.coef, &fit.coef, sizeof(double) * (size_t)q);
    cr_assert_arr_eq(&plain.se, &fit.se, sizeof(double) * (size_t)q);
    cx_cross_from_moments(&cross, half, q, NULL, true);
    cx_solve(&fit, &cross, NULL, &work);
    cr_assert_eq(fit.n, 20);
    cr_assert_float_eq(fit.n_effective, sum * sum / square, 1e-12);
    cr_assert_float_eq(fit.df, sum * sum / square - 7, 1e-12);
    free(one);
    free(many);
    free(half);
    free_set(&set);
}

/* Error of new rows from their sums, against the same worked out row by row. */
Test(solve, error_out_of_sample)
{
    struct data_set set = read_set("attitude");
    cJSON *json = read_json("prequential");
    int q = set.columns;
    cx_wide *first = new_block(q), *last = new_block(q);
    for (int r = 0; r < set.rows; r++)
        cr_assert(cx_moments_add(r < 20 ? first : last, q, &set.value[r * q], 1, 1));
    cx_cross_from_moments(&cross, first, q, NULL, true);
    cr_assert_eq(cx_solve(&fit, &cross, NULL, &work), CX_FIT_OK);
    for (int k = 0; k < q; k++)
        same(fit.coef[k], json, "coef", k, 13); /* that reference is a double solve */
    same(cx_squared_error(last, q, fit.coef, NULL), json, "sse", -1, 13);
    cr_assert_geq(lre(cx_squared_error(first, q, fit.coef, NULL), fit.rss, 16), 13);
    free(first);
    free(last);
    cJSON_Delete(json);
    free_set(&set);
}

Test(solve, correlations_of_the_kept)
{
    const int64_t rows[] = {1, 7, 2, 3, 2, 7, 5, 1, 3, 7, 1, 4, 4, 7, 4, 2, 5, 7, 9, 9};
    solve_rows(rows, 5, 4);
    cr_assert_eq(fit.kept, 2);
    double r[9];
    cx_fit_correlations(&fit, &cross, r);
    cr_assert(r[0] == 1 && r[4] == 1 && r[8] == 1);
    cr_assert_eq(r[2], fit.r[0]);
    cr_assert_eq(r[5], fit.r[2]);
    cr_assert_eq(r[1], r[3]);
}
