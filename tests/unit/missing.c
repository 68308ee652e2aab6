/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Missing answers: against a reference of EM and of numerical second derivatives, against closed
 * forms, and on data where listwise deletion goes wrong. */
#include "analytics/missing.h"

#include "analytics/random.h"
#include "tests/unit/solve_support.h"

static struct cx_em em;
static struct cx_em_errors errors;
static struct cx_cross cross;
static struct cx_fit fit;
static struct cx_fit_work solve_work;

static struct cx_set *new_set(int columns, int capacity)
{
    struct cx_set *set = calloc(1, sizeof *set);
    size_t cells = cx_moments_cells(columns) * (size_t)capacity;
    cx_set_init(set, columns, calloc((size_t)capacity, sizeof(struct cx_pattern)), capacity);
    cx_set_give_cells(set, calloc(cells, sizeof(cx_wide)), cells);
    return set;
}

static void drop(struct cx_set *set)
{
    free(set->pattern);
    free(set->cells);
    free(set);
}

static void add(struct cx_set *set, uint64_t observed, const int64_t *z)
{
    struct cx_pattern key = {.observed = observed};
    cr_assert_eq(cx_set_add(set, &key, z, 1, 1), CX_SET_OK);
}

static enum cx_em_status estimate(const struct cx_set *set, uint64_t columns,
                                  const struct cx_em_options *options)
{
    double *work = calloc(cx_em_work(set->columns, set->count), sizeof *work);
    enum cx_em_status status = cx_em(&em, set, columns, options, work);
    free(work);
    return status;
}

/* Also that the covariance has the same errors on its diagonal. */
static bool find_errors(const struct cx_set *set, const int *decimals)
{
    int q = set->columns, p = em.columns - 1;
    double *work = calloc(cx_em_errors_work(q, set->count), sizeof *work);
    double *room = calloc((size_t)(q * q * (q + 3)), sizeof *room);
    double covariance[CX_COLUMNS_MAX * CX_COLUMNS_MAX];
    bool found = cx_em_errors(&errors, &em, set, decimals, work);
    cr_assert_eq(cx_em_covariance(covariance, &em, set, decimals, work, room), found);
    for (int j = 0; j < p && found; j++)
        cr_assert_float_eq(sqrt(covariance[j * p + j]) / errors.observed[j + 1], 1, 1e-12);
    free(room);
    free(work);
    return found;
}

/* attitude with the holes of the reference. factor: units of the columns. */
static struct cx_set *holes(const int64_t *factor)
{
    struct data_set data = read_set("attitude");
    struct cx_set *set = new_set(7, 32);
    for (int i = 0; i < data.rows; i++) {
        uint64_t observed = 64;
        int64_t z[7];
        for (int j = 0; j < 7; j++) {
            z[j] = data.value[i * 7 + j] * factor[j];
            if (j < 6 && (7 * i + 5 * j) % 9 >= 2)
                observed |= UINT64_C(1) << j;
        }
        add(set, observed, z);
    }
    free_set(&data);
    return set;
}

static void near(double got, double want, double tolerance, const char *what)
{
    cr_assert_leq(fabs(got - want), tolerance * fmax(1, fabs(want)), "%s: %.17g, not %.17g", what,
                  got, want);
}

/* The tolerances are those stated with the reference; its errors are numerical differences. */
static void check_reference(const int64_t *factor, const int *decimals)
{
    cJSON *want = read_json("em_missing");
    struct cx_set *set = holes(factor);
    struct cx_em_options options = {.decimals = decimals};
    cr_assert_eq(set->count, member(want, "patterns"));
    cr_assert_eq(estimate(set, 127, &options), CX_EM_OK);
    for (int i = 0; i < 7; i++) {
        near(em.mu[i], element(want, "mu", i), 1e-8, "mu");
        const cJSON *row = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(want, "sigma"), i);
        for (int j = 0; j < 7; j++)
            near(em.sigma[i * 7 + j], value_of(cJSON_GetArrayItem(row, j)), 1e-8, "sigma");
    }
    near(em.log_likelihood, member(want, "loglik"), 1e-10, "log-likelihood");
    near(em.missing, member(want, "missing_share"), 1e-12, "missing");
    cr_assert(em.rows == 30 && em.n == 30 && em.n_outcome == 30 && !em.ridged);

    cx_em_cross(&em, &cross);
    cr_assert_eq(cx_solve(&fit, &cross, NULL, &solve_work), CX_FIT_OK);
    near(fit.coef[0], member(want, "intercept"), 1e-8, "intercept");
    near(fit.r2, member(want, "r2"), 1e-8, "r2");
    near(fit.rss / 30, member(want, "sigma2_ml"), 1e-8, "sigma2");
    cr_assert(find_errors(set, decimals));
    for (int j = 0; j < 6; j++) {
        near(fit.coef[j + 1], element(want, "beta", j), 1e-8, "beta");
        near(errors.observed[j + 1], element(want, "se_observed_information", j), 1e-5, "SE");
        near(errors.se[j + 1], errors.observed[j + 1] * sqrt(30.0 / 23), 1e-14, "published SE");
        cr_assert(errors.fmi[j] > 0 && errors.fmi[j] < 1);
    }
    near(errors.df, 30 * (1 - member(want, "missing_share")) - 7, 1e-9, "df");
    cx_em_tests(&fit, &errors, 0);
    cr_assert(fit.se[3] == errors.se[3] && fit.low[3] < fit.coef[3] && fit.p[3] > 0);
    drop(set);
    cJSON_Delete(want);
}

Test(missing, reference)
{
    const int64_t plain[7] = {1, 1, 1, 1, 1, 1, 1}, hundred[7] = {1, 100, 1, 1000, 1, 1, 10};
    const int decimals[7] = {0, 2, 0, 3, 0, 0, 1};
    check_reference(plain, NULL);
    check_reference(hundred, decimals); /* fixed point is divided out everywhere */
}

/* Nothing missing: EM is least squares, and observed information × √(n/(n−p−1)) its errors,
 * exactly. */
Test(missing, complete_data_is_least_squares)
{
    const char *names[] = {"attitude", "swiss", "diabetes_raw"};
    for (int k = 0; k < 3; k++) {
        struct data_set data = read_set(names[k]);
        int q = data.columns;
        struct cx_set *set = new_set(q, 2);
        uint64_t all = (UINT64_C(1) << q) - 1;
        for (int r = 0; r < data.rows; r++)
            add(set, all, &data.value[r * q]);
        struct cx_em_options options = {.decimals = data.decimals};
        cr_assert_eq(estimate(set, all, &options), CX_EM_OK);
        cr_assert_leq(em.iterations, 3);
        cr_assert(em.complete == data.rows && em.missing == 0);
        cx_em_cross(&em, &cross);
        cr_assert_eq(cx_solve(&fit, &cross, NULL, &solve_work), CX_FIT_OK);
        cr_assert(find_errors(set, data.decimals));
        for (int i = 0; i < q; i++) {
            near(fit.coef[i], element(data.expected, "coef", i), 1e-9, "coef");
            near(errors.se[i], element(data.expected, "se", i), 1e-9, "se");
        }
        for (int j = 0; j < q - 1; j++)
            near(errors.fmi[j], 0, 1e-9, "fmi");
        near(errors.df, member(data.expected, "df_resid"), 1e-12, "df");
        drop(set);
        free_set(&data);
    }
}

/* x missing for some, y always there: the likelihood factors into y and x given y (Anderson 1957).
 */
Test(missing, monotone_closed_form)
{
    struct cx_set *set = new_set(2, 4);
    struct cx_random random = cx_random_seed(6, 1);
    double n = 0, sy = 0, syy = 0, m = 0, tx = 0, ty = 0, txy = 0, tyy = 0, txx = 0;
    for (int r = 0; r < 500; r++) {
        int64_t y = cx_random_below(&random, 11), x = y + cx_random_below(&random, 9);
        int64_t z[2] = {x, y};
        bool seen = y > 3 || cx_random_chance(&random, 0.3);
        add(set, seen ? 3 : 2, z);
        n++, sy += (double)y, syy += (double)(y * y);
        if (seen)
            m++, tx += (double)x, ty += (double)y, txy += (double)(x * y), tyy += (double)(y * y),
                txx += (double)(x * x);
    }
    cr_assert_eq(estimate(set, 3, NULL), CX_EM_OK);
    double slope = (txy / m - tx * ty / m / m) / (tyy / m - ty * ty / m / m);
    double rest = txx / m - tx * tx / m / m - slope * (txy / m - tx * ty / m / m);
    double mean_y = sy / n, var_y = syy / n - mean_y * mean_y;
    near(em.mu[1], mean_y, 1e-9, "mean y");
    near(em.mu[0], tx / m + slope * (mean_y - ty / m), 1e-9, "mean x");
    near(em.sigma[1], slope * var_y, 1e-9, "covariance");
    near(em.sigma[0], rest + slope * slope * var_y, 1e-9, "variance x");
    drop(set);
}

/* Dissatisfied people skip the second driver: listwise is off by many of its errors, EM is not. */
Test(missing, unbiased_where_listwise_is_not)
{
    enum { N = 20000 };
    struct cx_set *set = new_set(3, 8);
    struct cx_random random = cx_random_seed(77, 1);
    for (int r = 0; r < N; r++) {
        double a = cx_random_normal(&random), b = 0.5 * a + 0.9 * cx_random_normal(&random);
        double y = 0.3 * a + 0.2 * b + 0.8 * cx_random_normal(&random);
        int64_t z[3] = {llround(a * 1000), llround(b * 1000), llround(y * 1000)};
        add(set, cx_random_chance(&random, y < 0 ? 0.8 : 0.1) ? 5 : 7, z);
    }
    const int decimals[3] = {3, 3, 3};
    struct cx_em_options options = {.decimals = decimals};
    cr_assert_eq(estimate(set, 7, &options), CX_EM_OK);
    cr_assert(find_errors(set, decimals));
    cx_em_cross(&em, &cross);
    cr_assert_eq(cx_solve(&fit, &cross, NULL, &solve_work), CX_FIT_OK);
    const double truth[3] = {0, 0.3, 0.2};
    for (int i = 0; i < 3; i++) /* 4.5 standard errors: 7e-6 each */
        cr_assert_leq(fabs(fit.coef[i] - truth[i]), 4.5 * errors.se[i], "%d: %g", i, fit.coef[i]);
    cr_assert_gt(errors.fmi[1], errors.fmi[0]); /* it is the second that is missing */
    cx_wide cell[15];
    cr_assert(cx_set_complete(set, 7, cell));
    cx_cross_from_moments(&cross, cell, 3, decimals, true);
    cr_assert_eq(cx_solve(&fit, &cross, NULL, &solve_work), CX_FIT_OK);
    cr_assert_gt(fabs(fit.coef[1] - truth[1]), 6 * fit.se[1]);
    drop(set);
}

Test(missing, warm_start_weights_and_rows_without_outcome)
{
    const int64_t plain[7] = {1, 1, 1, 1, 1, 1, 1};
    struct cx_set *set = holes(plain), *heavy = new_set(7, 32);
    cr_assert_eq(estimate(set, 127, NULL), CX_EM_OK);
    struct cx_em cold = em;
    struct cx_em_options options = {.warm = &cold};
    cr_assert_eq(estimate(set, 127, &options), CX_EM_OK);
    cr_assert_leq(em.iterations, 3);
    near(em.sigma[8], cold.sigma[8], 1e-9, "warm");
    for (int i = 0; i < set->count; i++) {
        struct cx_pattern block = set->pattern[i];
        size_t cells = cx_moments_cells(__builtin_popcountll(block.observed));
        cx_wide *cell = calloc(cells, sizeof *cell);
        cell[0] = block.cell[0];
        cell[1] = block.cell[1] * 1024 * 1024; /* each weight 1024 */
        for (size_t c = 2; c < cells; c++)
            cell[c] = block.cell[c] * 1024;
        block.cell = cell;
        cr_assert_eq(cx_set_add_block(heavy, &block, 1), CX_SET_OK);
        free(cell);
    }
    cr_assert_eq(estimate(heavy, 127, NULL), CX_EM_OK);
    near(em.sigma[8], cold.sigma[8], 1e-9, "weighted");
    cr_assert_eq(em.n, 30);
    /* a row without the outcome counts for the drivers, not for the degrees of freedom */
    const int64_t more[7] = {60, 50, 50, 60, 70, 40, 0};
    add(set, 63, more);
    cr_assert_eq(estimate(set, 127, NULL), CX_EM_OK);
    cr_assert(em.n == 31 && em.n_outcome == 30 && em.rows == 31);
    cr_assert_neq(em.mu[0], cold.mu[0]);
    drop(set);
    drop(heavy);
}

Test(missing, some_columns_only)
{
    const int64_t plain[7] = {1, 1, 1, 1, 1, 1, 1};
    struct cx_set *set = holes(plain);
    cr_assert_eq(estimate(set, 0x45, NULL), CX_EM_OK); /* drivers 0 and 2, outcome 6 */
    cr_assert(em.columns == 3 && em.index[1] == 2 && em.index[2] == 6);
    near(em.mu[2], 64.633333333333333, 1e-12, "mean of the outcome");
    drop(set);
}

Test(missing, awkward)
{
    struct cx_set *set = new_set(3, 8);
    const int64_t z[3] = {4, 5, 6}, u[3] = {1, 5, 2};
    cr_assert_eq(estimate(set, 7, NULL), CX_EM_EMPTY_COLUMN); /* no rows: the first column */
    cr_assert_eq(em.column, 0);
    add(set, 3, z);
    add(set, 3, u);
    cr_assert_eq(estimate(set, 7, NULL), CX_EM_EMPTY_COLUMN);
    cr_assert_eq(em.column, 1); /* everybody answered 5 */
    cr_assert_eq(estimate(set, 5, NULL), CX_EM_NO_ROWS);
    add(set, 7, z);
    add(set, 7, u);
    cr_assert_eq(estimate(set, 5, NULL), CX_EM_TOO_FEW);
    drop(set);
}

Test(missing, dependent_driver_is_named)
{
    struct cx_set *set = new_set(4, 8);
    struct cx_random random = cx_random_seed(3, 9);
    for (int r = 0; r < 300; r++) {
        int64_t a = cx_random_below(&random, 11), b = cx_random_below(&random, 11);
        int64_t z[4] = {a, b, 10 - a, a + b + cx_random_below(&random, 5)};
        add(set, r % 4 == 0 ? 13 : 15, z); /* the second one is missing for a quarter */
    }
    cr_assert_eq(estimate(set, 15, NULL), CX_EM_SINGULAR);
    cr_assert(em.column == 2 && em.ridged);
    cr_assert_eq(estimate(set, 11, NULL), CX_EM_OK);
    drop(set);
}

Test(missing, never_together)
{
    struct cx_set *set = new_set(3, 8);
    struct cx_random random = cx_random_seed(4, 9);
    for (int r = 0; r < 400; r++) {
        int64_t a = cx_random_below(&random, 11), b = cx_random_below(&random, 11);
        int64_t z[3] = {a, b, a + b + cx_random_below(&random, 5)};
        add(set, r % 2 ? 5 : 6, z); /* each driver in half of the surveys */
    }
    struct cx_em_options options = {.iterations_max = 50};
    enum cx_em_status status = estimate(set, 7, &options);
    cr_assert(status == CX_EM_OK || status == CX_EM_NOT_CONVERGED);
    cr_assert_not(
        find_errors(set, NULL)); /* their correlation is unknowable: no errors are claimed */
    options.iterations_max = 1;
    cr_assert_eq(estimate(set, 7, &options), CX_EM_NOT_CONVERGED);
    drop(set);
}

Test(missing, pairwise)
{
    const int64_t plain[7] = {1, 1, 1, 1, 1, 1, 1};
    struct cx_set *set = holes(plain);
    struct data_set data = read_set("attitude");
    int64_t pairs, least = 30;
    double work[49];
    cx_pairwise_cross(set, 127, NULL, &cross, &pairs);
    for (int a = 0; a < 6; a++) /* one correlation by hand each: with the outcome */
    {
        double n = 0, x = 0, y = 0, xx = 0, xy = 0, yy = 0;
        for (int i = 0; i < 30; i++)
            if ((7 * i + 5 * a) % 9 >= 2) {
                double u = (double)data.value[i * 7 + a], v = (double)data.value[i * 7 + 6];
                n++, x += u, y += v, xx += u * u, xy += u * v, yy += v * v;
            }
        near(CX_CROSS(&cross, a, 6).hi,
             (n * xy - x * y) / sqrt((n * xx - x * x) * (n * yy - y * y)), 1e-13, "pair");
        near(cross.mean[a].hi, x / n, 1e-14, "mean");
        for (int b = 0; b < a; b++) {
            int64_t both = 0;
            for (int i = 0; i < 30; i++)
                both += (7 * i + 5 * a) % 9 >= 2 && (7 * i + 5 * b) % 9 >= 2;
            least = both < least ? both : least;
        }
    }
    cr_assert_eq(pairs, least);
    cr_assert(cx_cross_is_proper(&cross, work));
    CX_CROSS(&cross, 0, 1) = CX_CROSS(&cross, 1, 0) = cx_dd_of(-0.99);
    cr_assert_not(cx_cross_is_proper(&cross, work)); /* such a matrix belongs to no data */
    free_set(&data);
    drop(set);
}
