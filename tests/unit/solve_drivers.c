/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A whole analysis: the parts agree with each other and with the references, and drivers that
 * cannot be estimated do not stop the others. */
#include "analytics/solve_drivers.h"

#include "analytics/random.h"
#include "tests/unit/solve_support.h"

static struct cx_drivers out;

static struct cx_set *new_set(int columns, int capacity)
{
    struct cx_set *set = calloc(1, sizeof *set);
    size_t cells = cx_moments_cells(columns) * (size_t)capacity;
    cx_set_init(set, columns, calloc((size_t)capacity, sizeof(struct cx_pattern)), capacity);
    cx_set_give_cells(set, calloc(cells, sizeof(cx_wide)), cells);
    return set;
}

struct analysis {
    struct cx_set *total, *group[12];
    struct cx_drivers_question question;
};

static void begin_with(struct analysis *a, int columns, int groups, int patterns)
{
    *a = (struct analysis){.total = new_set(columns, patterns)};
    for (int g = 0; g < groups; g++)
        a->group[g] = new_set(columns, patterns);
    a->question = (struct cx_drivers_question){.total = a->total,
                                               .group = (const struct cx_set *const *)a->group,
                                               .groups = groups,
                                               .seed = 17};
}

static void begin(struct analysis *a, int columns, int groups)
{
    begin_with(a, columns, groups, 128);
}

static void add(struct analysis *a, int group, const struct cx_pattern *key, const int64_t *z)
{
    cr_assert_eq(cx_set_add(a->total, key, z, 1, 1), CX_SET_OK);
    if (a->question.groups > 0)
        cr_assert_eq(cx_set_add(a->group[group], key, z, 1, 1), CX_SET_OK);
}

static enum cx_fit_status analyse(struct analysis *a)
{
    void *memory = malloc(cx_drivers_memory(a->total->columns, a->total->count));
    memset(memory, 0xaa, cx_drivers_memory(a->total->columns, a->total->count));
    enum cx_fit_status status = cx_drivers(&out, &a->question, memory);
    free(memory);
    return status;
}

static void end(struct analysis *a)
{
    for (int g = -1; g < a->question.groups; g++) {
        struct cx_set *set = g < 0 ? a->total : a->group[g];
        free(set->pattern);
        free(set->cells);
        free(set);
    }
}

static void load(struct analysis *a, const struct data_set *data, int groups)
{
    begin(a, data->columns, groups);
    a->question.decimals = data->decimals;
    struct cx_pattern all = {.observed = (UINT64_C(1) << data->columns) - 1};
    for (int r = 0; r < data->rows; r++)
        add(a, groups > 0 ? cx_day_group(r, data->rows, groups) : 0, &all,
            &data->value[r * data->columns]);
}

Test(solve_drivers, reference)
{
    const char *names[] = {"survey_lcg12", "diabetes_raw"};
    for (int k = 0; k < 2; k++) {
        struct data_set data = read_set(names[k]);
        struct analysis a;
        int p = data.columns - 1, keys = 0;
        double top1 = 0;
        load(&a, &data, 12);
        cr_assert_eq(analyse(&a), CX_FIT_OK);
        cr_assert(out.method == CX_METHOD_LISTWISE && out.groups == 12 && !out.model_based);
        cr_assert(out.n_complete == data.rows && out.missing == 0);
        for (int j = 0; j < p; j++) {
            cr_assert_geq(lre(out.fit.coef[j + 1], element(data.expected, "coef", j + 1), 16), 15);
            cr_assert_geq(lre(out.weight[j].value, element(data.expected, "johnson_rw", j), 16),
                          12);
            cr_assert_geq(lre(out.lmg[j].value, element(data.expected, "lmg", j), 16), 12);
            cr_assert(out.weight[j].low >= 0 && out.weight[j].low < out.weight[j].value &&
                      out.weight[j].value < out.weight[j].high);
            cr_assert(out.lmg[j].low < out.lmg[j].value && out.lmg[j].value < out.lmg[j].high);
            cr_assert(out.q[j] >= out.fit.p[j + 1] && out.q[j] <= 1);
            /* alike when nothing is wrong with the data: 11 degrees of freedom, 4 σ */
            double ratio = out.robust_se[j] / out.fit.se[j + 1];
            cr_assert(ratio > 0.3 && ratio < 2.2, "%s %d: %g", names[k], j, ratio);
            cr_assert(out.p_top1[j] <= out.p_top3[j] && out.rank_low[j] <= out.rank_high[j]);
            top1 += out.p_top1[j];
            keys += out.key[j] == CX_KEY_YES;
            cr_assert_eq(out.key[j] == CX_KEY_YES && out.p_top3[j] < 0.9, false);
        }
        cr_assert_float_eq(top1, 1, 1e-9);
        cr_assert_geq(keys, 1);
        double adjusted = member(data.expected, "adj_r2");
        cr_assert(out.r2_low > 0.2 && out.r2_low < adjusted && adjusted < out.r2_high);
        cr_assert_neq(out.top_group, 0);
        end(&a);
        free_set(&data);
    }
}

/* Everybody answers four times, the same: errors that count rows are half of what they should be,
 * errors by people left out are not. */
Test(solve_drivers, groups_of_people_see_repeated_answers)
{
    struct data_set data = read_set("survey_lcg12");
    struct analysis once, four;
    struct cx_pattern all = {.observed = (UINT64_C(1) << data.columns) - 1};
    begin(&once, data.columns, 12);
    begin(&four, data.columns, 12);
    for (int r = 0; r < data.rows; r++)
        for (int times = 0; times < 4; times++) {
            add(&four, r % 12, &all, &data.value[r * data.columns]);
            if (times == 0)
                add(&once, r % 12, &all, &data.value[r * data.columns]);
        }
    cr_assert_eq(analyse(&once), CX_FIT_OK);
    double se = out.fit.se[1], robust = out.robust_se[0];
    cr_assert_eq(analyse(&four), CX_FIT_OK);
    cr_assert_float_eq(out.fit.se[1] / se, 0.5, 0.01);
    cr_assert_float_eq(out.robust_se[0] / robust, 1, 1e-9);
    end(&once);
    end(&four);
    free_set(&data);
}

/* Half of the distance between the limits on the square-root scale; both limits are above 0. */
static double reach(double low, double high)
{
    cr_assert_gt(low, 0);
    return (sqrt(high) - sqrt(low)) / 2;
}

static double surest(const struct cx_drivers *drivers)
{
    double top = 0;
    for (int j = 0; j < 12; j++)
        top = fmax(top, drivers->p_top1[j]);
    return top;
}

/* √deff on everything that leaving days out gives, nothing on the model's own errors. */
Test(solve_drivers, repeated_answers_widen)
{
    const struct {
        double repeats, icc, deff;
    } cases[] = {{1.2, .9, 1},  {0.3, 0, 1}, {1.21, 0, 1 + .21 * .25}, {3, 0, 1.5}, {3, .25, 1.125},
                 {11, .5, 3.5}, {2, 7, 2} /* an icc above 1 is 1 */};
    struct data_set data = read_set("survey_lcg12");
    for (int groups = 12; groups >= 0; groups -= 12) {
        struct analysis a;
        static struct cx_drivers plain;
        load(&a, &data, groups);
        cr_assert_eq(analyse(&a), CX_FIT_OK);
        plain = out;
        cr_assert_eq(plain.flags[0] & CX_FLAG_CLUSTERED, 0);
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            a.question.repeats = cases[c].repeats;
            a.question.icc = cases[c].icc;
            cr_assert_eq(analyse(&a), CX_FIT_OK);
            double root = sqrt(cases[c].deff);
            if (root == 1) /* not a bit of difference */
                cr_assert_arr_eq(&out, &plain, sizeof out);
            cr_assert_eq(out.model_based, groups == 0);
            cr_assert_float_eq(reach(out.r2_low, out.r2_high) / reach(plain.r2_low, plain.r2_high),
                               root, 1e-9);
            for (int j = 0; j < 12; j++) {
                cr_assert_eq((out.flags[j] & CX_FLAG_CLUSTERED) != 0, root > 1);
                cr_assert_eq(out.weight[j].value, plain.weight[j].value);
                cr_assert_eq(out.fit.se[j + 1], plain.fit.se[j + 1]);
                cr_assert_leq(out.weight[j].low, plain.weight[j].low);
                double up = sqrt(out.weight[j].high) - sqrt(out.weight[j].value);
                double was = sqrt(plain.weight[j].high) - sqrt(plain.weight[j].value);
                cr_assert_float_eq(up / was, root, 1e-9, "driver %d: %g", j, up / was);
                if (groups == 0)
                    continue;
                cr_assert_float_eq(out.robust_se[j] / plain.robust_se[j], root, 1e-12);
                up = sqrt(out.lmg[j].high) - sqrt(out.lmg[j].value);
                was = sqrt(plain.lmg[j].high) - sqrt(plain.lmg[j].value);
                cr_assert_float_eq(up / was, root, 1e-9);
            }
            cr_assert_leq(surest(&out), surest(&plain) + (root > 1 ? .005 : 0)); /* of 4000 draws */
            if (root > 1.8)
                cr_assert_lt(surest(&out), surest(&plain) - .02, "%g %g", surest(&out),
                             surest(&plain));
        }
        end(&a);
    }
    free_set(&data);
}

/* One world of `people` who answer 1 … 7 times on any of 90 days, half of every variance between
 * people; no driver matters, so a coefficient is covered when its interval holds 0. */
static void people_answer(struct analysis *a, int people, uint64_t seed)
{
    struct cx_random random = cx_random_seed(seed, 4);
    double n = 0, squares = 0;
    begin(a, 4, 12);
    for (int i = 0; i < people; i++) {
        int answers = 1 + (int)cx_random_below(&random, 7);
        double own[4];
        for (int j = 0; j < 4; j++)
            own[j] = cx_random_normal(&random);
        for (int k = 0; k < answers; k++) {
            const struct cx_pattern all = {.observed = 15};
            int64_t z[4];
            for (int j = 0; j < 4; j++)
                z[j] = llround(100 * sqrt(.5) * (own[j] + cx_random_normal(&random)));
            add(a, cx_day_group((int)cx_random_below(&random, 90), 90, 12), &all, z);
        }
        n += answers;
        squares += answers * answers;
    }
    a->question.repeats = squares / n;
}

/* 150 worlds, 450 coefficients: a share of .95 has a standard error of .01. Simulations elsewhere
 * put the intervals of days alone at .85 for as many answers a person. */
Test(solve_drivers, repeated_answers_are_covered)
{
    double covered = 0, alone = 0, count = 0, t = 2.200985160082949; /* 11 degrees of freedom */
    for (uint64_t seed = 0; seed < 150; seed++) {
        struct analysis a;
        people_answer(&a, 250, seed);
        cr_assert_eq(analyse(&a), CX_FIT_OK);
        double root = sqrt(1 + (a.question.repeats - 1) / 4);
        for (int j = 0; j < 3; j++) {
            covered += fabs(out.fit.coef[j + 1]) <= t * out.robust_se[j];
            alone += fabs(out.fit.coef[j + 1]) <= t * out.robust_se[j] / root;
            count++;
        }
        end(&a);
    }
    cr_assert(covered / count > .92 && covered / count < .985, "%g", covered / count);
    cr_assert_lt(alone / count, .90, "%g", alone / count);
}

Test(solve_drivers, without_groups_by_normal_theory)
{
    struct data_set data = read_set("survey_lcg12");
    struct analysis a;
    load(&a, &data, 0);
    cr_assert_eq(analyse(&a), CX_FIT_OK);
    cr_assert(out.model_based && out.groups == 0);
    for (int j = 0; j < 12; j++) {
        cr_assert(out.flags[j] & CX_FLAG_MODEL_BASED);
        cr_assert(out.weight[j].low < out.weight[j].value &&
                  out.weight[j].value < out.weight[j].high);
        cr_assert(isnan(out.robust_se[j]) && isnan(out.lmg[j].low));
        cr_assert_geq(lre(out.lmg[j].value, element(data.expected, "lmg", j), 16), 12);
    }
    double width = out.weight[0].high - out.weight[0].low;
    end(&a);
    load(&a, &data, 5);
    cr_assert_eq(analyse(&a), CX_FIT_OK);
    cr_assert(!out.model_based && (out.flags[0] & CX_FLAG_WIDE));
    double ratio = (out.weight[0].high - out.weight[0].low) / width;
    cr_assert(ratio > 0.3 && ratio < 4, "%g", ratio); /* the same thing measured two ways */
    end(&a);
    load(&a, &data, 3);
    cr_assert_eq(analyse(&a), CX_FIT_OK);
    cr_assert(out.model_based); /* three groups are too few */
    end(&a);
    free_set(&data);
}

/* Rows with two good drivers and five that cannot be estimated, a fifth of one good one missing. */
static void awkward(struct analysis *a, int rows, bool holes)
{
    struct cx_random random = cx_random_seed(31, 1);
    begin(a, 8, 8);
    for (int r = 0; r < rows; r++) {
        int64_t x = cx_random_below(&random, 11), w = cx_random_below(&random, 11);
        int64_t z[8] = {x, 7, w, 10 - x, 0, 0, x + 2 * w, 0};
        z[7] = 2 * x + w + cx_random_below(&random, 9);
        struct cx_pattern key = {.observed = 0xcf, .does_not_apply = 0x10}; /* 4: NA, 5: skipped */
        if (holes && r % 5 == 0)
            key.observed &= ~UINT64_C(4);
        if (r % 3 == 0)
            key.observed &= ~UINT64_C(2); /* the constant one is not always answered */
        add(a, r % 8, &key, z);
    }
}

Test(solve_drivers, drivers_that_cannot_be_estimated)
{
    for (int holes = 0; holes < 2; holes++) {
        struct analysis a;
        awkward(&a, 600, holes);
        a.question.method = holes ? CX_METHOD_EM : CX_METHOD_LISTWISE;
        cr_assert_eq(analyse(&a), CX_FIT_OK);
        const enum cx_drop_reason want[] = {CX_KEPT,         CX_DROP_CONSTANT, CX_KEPT,
                                            CX_DROP_ALIASED, CX_DROP_NO_VALUE, CX_DROP_EMPTY,
                                            CX_DROP_ALIASED};
        for (int j = 0; j < 7; j++) {
            cr_assert_eq(out.fit.dropped[j], want[j], "%d: driver %d: %d", holes, j,
                         out.fit.dropped[j]);
            cr_assert_eq(isnan(out.fit.coef[j + 1]), want[j] != CX_KEPT);
            cr_assert_eq(isnan(out.weight[j].value), want[j] != CX_KEPT);
            cr_assert_eq(isnan(out.q[j]), want[j] != CX_KEPT);
        }
        cr_assert(out.fit.kept == 2 && out.groups == 8);
        cr_assert_eq(out.n_complete, holes ? 480 : 600); /* a dropped driver costs no rows */
        cr_assert_eq(out.fit.n, 600);
        cr_assert_leq(fabs(out.fit.coef[1] - 2), 4.5 * out.fit.se[1]);
        cr_assert_leq(fabs(out.fit.coef[3] - 1), 4.5 * out.fit.se[3]);
        cr_assert_eq(out.counts.does_not_apply[4], 600);
        cr_assert_eq(out.counts.skipped[5], 600);
        if (holes) {
            cr_assert(out.fmi[2] > 0 && out.fmi[2] < 0.5 && fabs(out.mar[2]) < 3);
            cr_assert_float_eq(out.missing, 0.1, 1e-12); /* a fifth of one of two */
        }
        cr_assert_eq(out.key[0], CX_KEY_YES);
        cr_assert_eq(out.top_group, 1);
        end(&a);
    }
}

Test(solve_drivers, pairwise_beside)
{
    struct analysis a;
    awkward(&a, 600, true);
    a.question.method = CX_METHOD_EM;
    cr_assert_eq(analyse(&a), CX_FIT_OK);
    double coef = out.fit.coef[3], se = out.fit.se[3];
    a.question.method = CX_METHOD_PAIRWISE;
    cr_assert_eq(analyse(&a), CX_FIT_OK);
    cr_assert(out.method == CX_METHOD_PAIRWISE && out.fit.kept == 2 && out.groups == 8);
    cr_assert_leq(fabs(out.fit.coef[3] - coef), 2 * se); /* missing altogether at random here */
    cr_assert(out.robust_se[2] > 0.3 * se && out.robust_se[2] < 3 * se);
    /* pairs: 480 with the holes (two of three), 600 without */
    cr_assert(out.fit.n_effective >= 480 && out.fit.n_effective <= 600);
    end(&a);

    begin(&a, 3, 0); /* never answered together */
    struct cx_random random = cx_random_seed(5, 5);
    for (int r = 0; r < 100; r++) {
        int64_t x = cx_random_below(&random, 11), y = x + cx_random_below(&random, 5);
        int64_t z[3] = {x, x, y};
        struct cx_pattern key = {.observed = r % 2 ? 5 : 6};
        add(&a, 0, &key, z);
    }
    a.question.method = CX_METHOD_PAIRWISE;
    cr_assert_eq(analyse(&a), CX_FIT_INSUFFICIENT);
    cr_assert(isnan(out.fit.coef[1]) && isnan(out.fit.r2) && isnan(out.weight[0].value));
    end(&a);
}

Test(solve_drivers, method_by_itself)
{
    struct analysis a;
    awkward(&a, 400, true);
    cr_assert_eq(analyse(&a), CX_FIT_OK);
    cr_assert(out.method == CX_METHOD_EM && out.converged);
    end(&a);
    begin(&a, 2, 0);
    for (int64_t r = 0; r < 200; r++) { /* one of 200 missing: complete rows will do */
        struct cx_pattern key = {.observed = r == 7 ? 2 : 3};
        int64_t z[2] = {r % 11, r % 11 + r % 7};
        add(&a, 0, &key, z);
    }
    cr_assert_eq(analyse(&a), CX_FIT_OK);
    cr_assert(out.method == CX_METHOD_LISTWISE && out.n_complete == 199);
    end(&a);
}

Test(solve_drivers, nothing_to_estimate)
{
    struct analysis a;
    struct cx_pattern both = {.observed = 3}, driver = {.observed = 1}, outcome = {.observed = 2};
    const int64_t z[2] = {4, 5}, u[2] = {6, 9}, v[2] = {7, 9};
    begin(&a, 2, 2);
    cr_assert_eq(analyse(&a), CX_FIT_NO_ROWS);
    add(&a, 0, &driver, z);
    cr_assert_eq(analyse(&a), CX_FIT_NO_ROWS); /* nobody answered the outcome */
    end(&a);
    begin(&a, 2, 2);
    add(&a, 0, &outcome, z);
    add(&a, 1, &outcome, u);
    cr_assert_eq(analyse(&a), CX_FIT_NO_DRIVERS);
    cr_assert_eq(out.fit.dropped[0], CX_DROP_EMPTY);
    end(&a);
    begin(&a, 2, 2);
    add(&a, 0, &both, z);
    add(&a, 1, &both, u);
    cr_assert_eq(analyse(&a), CX_FIT_INSUFFICIENT); /* n = p + 1 */
    cr_assert(out.fit.n == 2 && isnan(out.weight[0].value) && out.key[0] == CX_KEY_NO);
    add(&a, 1, &both, v);
    enum cx_fit_status status = analyse(&a); /* n = p + 2: something, flagged */
    cr_assert_eq(status, CX_FIT_OK);
    cr_assert(out.model_based && out.fit.few_df && (out.flags[0] & CX_FLAG_THIN_N));
    end(&a);
    begin(&a, 2, 0);
    for (int r = 0; r < 30; r++) {
        const int64_t flat[2] = {r % 4, 5};
        add(&a, 0, &both, flat);
    }
    cr_assert_eq(analyse(&a), CX_FIT_OUTCOME_CONSTANT);
    a.question.method = CX_METHOD_EM;
    cr_assert_eq(analyse(&a), CX_FIT_OUTCOME_CONSTANT);
    end(&a);
    begin(&a, 2, 0);
    for (int r = 0; r < 30; r++) {
        const int64_t line[2] = {r % 4, 3 * (r % 4)};
        add(&a, 0, &both, line);
    }
    cr_assert_eq(analyse(&a), CX_FIT_PERFECT);
    cr_assert(out.fit.coef[1] == 3 && out.fit.r2 == 1);
    end(&a);
}

/* More drivers than LMG is exact for; some answers missing. */
Test(solve_drivers, many_drivers)
{
    enum { P = 27 };
    struct analysis a;
    struct cx_random random = cx_random_seed(40, 1);
    begin(&a, P + 1, 6);
    for (int r = 0; r < 700; r++) {
        int64_t z[P + 1], common = cx_random_below(&random, 6);
        z[P] = cx_random_below(&random, 20);
        for (int j = 0; j < P; j++) {
            z[j] = common + cx_random_below(&random, 6);
            z[P] += j < 4 ? 2 * z[j] : 0;
        }
        struct cx_pattern key = {.observed = (UINT64_C(1) << (P + 1)) - 1};
        if (r % 9 == 0)
            key.observed &= ~(UINT64_C(1) << (r % 7));
        add(&a, r % 6, &key, z);
    }
    cr_assert_eq(analyse(&a), CX_FIT_OK);
    cr_assert(out.method == CX_METHOD_EM && out.groups == 6 && out.lmg_se_sampled > 0);
    double weights = 0, shares = 0, top3 = 0;
    for (int j = 0; j < P; j++) {
        weights += out.weight[j].value;
        shares += out.lmg[j].value;
        top3 += out.p_top3[j];
        cr_assert(out.lmg[j].low <= out.lmg[j].value && out.lmg[j].value <= out.lmg[j].high);
    }
    cr_assert_float_eq(weights, out.fit.r2, 1e-9);
    cr_assert_float_eq(shares, out.fit.r2, 1e-9);
    cr_assert_float_eq(top3, 3, 1e-9);
    for (int j = 4; j < P; j++) /* the four that matter */
        cr_assert_lt(out.weight[j].value, out.weight[j % 4].value);
    end(&a);
}

/* Rows of a pattern each, most answers missing: iterations are slow and many. */
Test(solve_drivers, what_takes_too_long_is_cut_short)
{
    enum { P = 24, ROWS = 560, GROUPS = 6 };
    struct analysis a;
    struct cx_random random = cx_random_seed(41, 1);
    begin_with(&a, P + 1, GROUPS, ROWS);
    for (int r = 0; r < ROWS; r++) {
        struct cx_pattern key = {.observed = UINT64_C(1) << P};
        int64_t z[P + 1], common = cx_random_below(&random, 6);
        z[P] = cx_random_below(&random, 20);
        for (int j = 0; j < P; j++) {
            z[j] = common + cx_random_below(&random, 6);
            z[P] += j < 4 ? 2 * z[j] : 0;
            key.observed |= (uint64_t)cx_random_chance(&random, .25) << j;
        }
        add(&a, r % GROUPS, &key, z);
    }
    cr_assert_eq(analyse(&a), CX_FIT_OK);
    cr_assert(out.method == CX_METHOD_EM && out.fold.patterns == 512);
    cr_assert(out.model_based && out.groups == 0 && !out.converged);
    for (int j = 0; j < P; j++)
        cr_assert(isfinite(out.fit.coef[j + 1]) && out.flags[j] & CX_FLAG_MODEL_BASED);
    end(&a);
}
