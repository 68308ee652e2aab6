/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Driver × applicability: the numbers of another tool, whatever the origin of the scale; which rows
 * and which drivers take part. */
#include "analytics/solve_applicable.h"

#include "analytics/random.h"
#include "tests/unit/solve_support.h"

static struct cx_applicable out;

static struct cx_set *new_set(int columns)
{
    enum { CAPACITY = 64 };
    struct cx_set *set = calloc(1, sizeof *set);
    size_t cells = cx_moments_cells(columns) * CAPACITY;
    cx_set_init(set, columns, calloc(CAPACITY, sizeof(struct cx_pattern)), CAPACITY);
    cx_set_give_cells(set, calloc(cells, sizeof(cx_wide)), cells);
    return set;
}

static void drop(struct cx_set *set)
{
    free(set->pattern);
    free(set->cells);
    free(set);
}

/* One row; not_applicable: drivers; skipped: drivers without an answer. */
static void add(struct cx_set *set, const int64_t *z, uint64_t not_applicable, uint64_t skipped)
{
    uint64_t all = set->columns == 64 ? UINT64_MAX : (UINT64_C(1) << set->columns) - 1;
    const struct cx_pattern key = {.observed = all & ~not_applicable & ~skipped,
                                   .does_not_apply = not_applicable};
    cr_assert_eq(cx_set_add(set, &key, z, 1, 1), CX_SET_OK);
}

static enum cx_fit_status solve(const struct cx_set *set, const int *decimals)
{
    const struct cx_applicable_question question = {set, decimals, 0};
    void *work = malloc(cx_applicable_work(set->columns));
    memset(work, 0xaa, cx_applicable_work(set->columns));
    enum cx_fit_status status = cx_applicable(&out, &question, work);
    cr_assert_eq(status, out.status);
    free(work);
    return status;
}

static int next(uint64_t *state, int below)
{
    *state = (*state * 1103515245 + 12345) % 2147483648U;
    return (int)(*state >> 8) % below;
}

/* 300 rows: driver 0 applies to all, 1 and 2 do not to three and four tenths. tens[c]: column c is
 * written with so many decimals; origin is added to drivers 1 and 2. */
static struct cx_set *sample(int64_t origin, const int64_t *tens)
{
    struct cx_set *set = new_set(4);
    uint64_t state = 11;
    for (int r = 0; r < 300; r++) {
        int64_t x = next(&state, 11), u = next(&state, 11), v = next(&state, 11);
        bool no_u = next(&state, 10) < 3, no_v = next(&state, 10) < 4;
        int64_t y = 2 * x + next(&state, 9) + (no_u ? 0 : 5 + u) + (no_v ? 0 : 3 * v - 8);
        const int64_t z[4] = {x * tens[0], (u + origin) * tens[1], (v + origin) * tens[2],
                              y * tens[3]};
        add(set, z, (no_u ? 2U : 0) | (no_v ? 4U : 0), 0);
    }
    return set;
}

/* OLS of statsmodels 0.14 over (x₀, x₁ − m₁ or 0, x₂ − m₂ or 0, dummy 1, dummy 2). */
static const double coefs[] = {1.987856621204465, 0.9880064788034013, 2.926107416684972,
                               9.753059048045062, 7.720301558115571};
static const double errors[] = {0.04794830549511431, 0.057154850682178425, 0.05924516518308601,
                                0.3279001290681254, 0.31068651226165644};
static const double ts[] = {41.45832893733893, 17.286485171615954, 49.38980940710333,
                            29.743992708275943, 24.849168706794796};

static void agrees(const struct cx_effect *got, int at, double unit, double least)
{
    cr_assert_geq(lre(got->value, coefs[at] * unit, 16), least, "%d: %.17g", at, got->value);
    cr_assert_geq(lre(got->se, errors[at] * unit, 16), least, "%d: %.17g", at, got->se);
    cr_assert_geq(lre(got->t, ts[at], 16), least);
}

static void agrees_all(double origin, double least)
{
    for (int j = 0; j < 3; j++)
        agrees(&out.effect[j], j, 1, least);
    for (int j = 1; j < 3; j++)
        agrees(&out.level[j], j + 2, 1, least);
    cr_assert(!out.has_level[0] && out.has_level[1] && out.has_level[2]);
    cr_assert(isnan(out.level[0].value) && isnan(out.mean[0]) && out.share[0] == 0);
    cr_assert_float_eq(out.share[1], .3, 1e-15);
    cr_assert_float_eq(out.share[2], 115 / 300.0, 1e-15);
    cr_assert_geq(lre(out.mean[1], origin + 4.852380952380952, 16), 15);
    cr_assert_geq(lre(out.mean[2], origin + 5.032432432432432, 16), 15);
    cr_assert_geq(lre(out.r2, 0.9504941038330728, 16), least);
    cr_assert_geq(lre(out.adj_r2, 0.9496521668234311, 16), least);
    cr_assert_geq(lre(out.sigma, 2.597639741830985, 16), least);
    cr_assert(out.n == 300 && out.df == 294 && out.n_effective == 300);
}

Test(solve_applicable, reference)
{
    const int64_t ones[4] = {1, 1, 1, 1}, tens[4] = {1, 100, 10, 1000};
    const int decimals[4] = {0, 2, 1, 3};
    struct cx_set *set = sample(0, ones);
    cr_assert_eq(solve(set, NULL), CX_FIT_OK);
    agrees_all(0, 13);
    cr_assert_float_eq(out.effect[1].low, 0.87552198, 1e-8);
    cr_assert_float_eq(out.level[2].high, 8.33175302, 1e-8);
    cr_assert_geq(lre(out.effect[1].p, 1.1011418785599465e-46, 16), 9);
    drop(set);
    set = sample(0, tens);
    cr_assert_eq(solve(set, decimals), CX_FIT_OK);
    agrees_all(0, 13);
    drop(set);
}

/* The origin of a scale is nobody's business: years, incomes. */
Test(solve_applicable, far_from_zero)
{
    const int64_t ones[4] = {1, 1, 1, 1};
    const int64_t origins[] = {2000, 1000000, -1000000000};
    for (int k = 0; k < 3; k++) {
        struct cx_set *set = sample(origins[k], ones);
        cr_assert_eq(solve(set, NULL), CX_FIT_OK);
        agrees_all((double)origins[k], 13);
        drop(set);
    }
}

/* The dummy's coefficient of the plain parametrisation is d − b·m: by cx_solve on rows of a block
 * with zeros and dummies. */
Test(solve_applicable, plain_parametrisation)
{
    static struct cx_cross cross;
    static struct cx_fit fit;
    static struct cx_fit_work work;
    const int64_t ones[4] = {1, 1, 1, 1};
    struct cx_set *set = sample(0, ones);
    cr_assert_eq(solve(set, NULL), CX_FIT_OK);
    cx_wide *cell = new_block(6);
    uint64_t state = 11;
    for (int r = 0; r < 300; r++) {
        int64_t x = next(&state, 11), u = next(&state, 11), v = next(&state, 11);
        bool no_u = next(&state, 10) < 3, no_v = next(&state, 10) < 4;
        int64_t y = 2 * x + next(&state, 9) + (no_u ? 0 : 5 + u) + (no_v ? 0 : 3 * v - 8);
        const int64_t z[6] = {x, no_u ? 0 : u, no_v ? 0 : v, !no_u, !no_v, y};
        cr_assert(cx_moments_add(cell, 6, z, 1, 1));
    }
    cx_cross_from_moments(&cross, cell, 6, NULL, true);
    cr_assert_eq(cx_solve(&fit, &cross, NULL, &work), CX_FIT_OK);
    for (int j = 0; j < 3; j++)
        cr_assert_geq(lre(out.effect[j].value, fit.coef[j + 1], 16), 14);
    for (int j = 1; j < 3; j++)
        cr_assert_geq(
            lre(out.level[j].value - out.effect[j].value * out.mean[j], fit.coef[3 + j], 16), 13);
    cr_assert_geq(lre(out.r2, fit.r2, 16), 15);
    free(cell);
    drop(set);
}

/* Two drivers of one module (applying together) share a level, at the means of both: the outcome
 * of those to whom the module applies less that of the others, when nothing else differs. */
Test(solve_applicable, a_module_has_one_level)
{
    struct cx_set *set = new_set(3);
    struct cx_random random = cx_random_seed(2, 2);
    double sum[2] = {0}, count[2] = {0};
    for (int r = 0; r < 400; r++) {
        bool no = r % 4 == 0;
        int64_t u = cx_random_below(&random, 11), v = cx_random_below(&random, 7) * u / 3;
        const int64_t z[3] = {u, v, cx_random_below(&random, 9) + (no ? 4 : 3 * u - v)};
        add(set, z, no ? 3 : 0, 0);
        sum[no] += (double)z[2];
        count[no]++;
    }
    cr_assert_eq(solve(set, NULL), CX_FIT_OK);
    cr_assert_float_eq(out.level[0].value, sum[0] / count[0] - sum[1] / count[1], 1e-12);
    cr_assert(out.level_dropped[1] == CX_DROP_ALIASED && out.level_of[1] == 0);
    cr_assert(isnan(out.level[1].value) && out.level_of[0] == -1);
    cr_assert_leq(fabs(out.effect[0].value - 3), 4.5 * out.effect[0].se);
    cr_assert_leq(fabs(out.effect[1].value + 1), 4.5 * out.effect[1].se);
    drop(set);
}

/* Which rows count. Driver 0: never "does not apply", sometimes skipped. 1: to 3 % it does not. 2:
 * to half. 3: to 97 %. 4: nobody said anything. 5: the same answer from all of a third. */
Test(solve_applicable, rows_and_drivers)
{
    struct cx_set *set = new_set(7);
    struct cx_random random = cx_random_seed(3, 3);
    int64_t n = 0;
    for (int r = 0; r < 1000; r++) {
        int64_t z[7] = {0};
        for (int j = 0; j < 6; j++)
            z[j] = cx_random_below(&random, 11);
        z[5] = 8;
        uint64_t none = 0, skipped = 0x10;
        none |= r % 100 < 3 ? 2 : 0;
        none |= r % 2 ? 4 : 0;
        none |= r % 100 < 97 ? 8 : 0;
        none |= r % 3 ? 32 : 0;
        skipped |= r % 10 == 9 ? 1 : 0;
        skipped |= r % 20 == 4 ? 4 : 0;   /* would apply, was not answered: an even r */
        skipped |= r % 50 == 31 ? 64 : 0; /* without the outcome it does not count */
        z[6] = 2 * z[0] + z[1] + (none & 4 ? 0 : z[2] + 3) + (none & 32 ? 0 : 6);
        z[6] += cx_random_below(&random, 9);
        n += !(none & 2) && !(skipped & (1 | 4 | 64));
        add(set, z, none, skipped);
    }
    cr_assert_eq(solve(set, NULL), CX_FIT_OK);
    const enum cx_drop_reason want[] = {CX_KEPT,          CX_KEPT,       CX_KEPT,
                                        CX_DROP_NO_VALUE, CX_DROP_EMPTY, CX_DROP_CONSTANT};
    for (int j = 0; j < 6; j++) {
        cr_assert_eq(out.dropped[j], want[j], "%d", j);
        cr_assert_eq(out.has_level[j], j == 2 || j == 5);
        cr_assert_eq(isnan(out.effect[j].value), want[j] != CX_KEPT);
    }
    cr_assert_eq(out.n, n);
    cr_assert(isnan(out.share[4]) && out.share[3] > .95 && out.share[1] < .05);
    cr_assert_leq(fabs(out.effect[2].value - 1), 4.5 * out.effect[2].se);
    /* 3 + 1·(mean of about 5) */
    cr_assert_leq(fabs(out.level[2].value - 3 - out.mean[2]), 4.5 * out.level[2].se);
    cr_assert_leq(fabs(out.level[5].value - 6), 4.5 * out.level[5].se); /* level without effect */
    cr_assert_float_eq(out.mean[5], 8, 0);
    drop(set);
}

Test(solve_applicable, nothing_to_estimate)
{
    const int64_t z[3] = {1, 2, 3};
    struct cx_set *set = new_set(3);
    cr_assert_eq(solve(set, NULL), CX_FIT_NO_DRIVERS); /* no rows at all */
    cr_assert(isnan(out.share[0]) && out.dropped[0] == CX_DROP_EMPTY && isnan(out.r2));
    add(set, z, 0, 4);
    cr_assert_eq(solve(set, NULL), CX_FIT_NO_DRIVERS); /* nobody answered the outcome */
    add(set, z, 0, 1);
    add(set, z, 0, 2);
    cr_assert_eq(solve(set, NULL), CX_FIT_NO_ROWS); /* never answered together */
    add(set, z, 0, 0);
    cr_assert_eq(solve(set, NULL), CX_FIT_OUTCOME_CONSTANT);
    const int64_t other[3] = {2, 9, 4};
    add(set, other, 0, 0);
    cr_assert_eq(solve(set, NULL), CX_FIT_INSUFFICIENT);
    cr_assert(isnan(out.effect[0].value) && out.n == 2);
    drop(set);
    set = new_set(3); /* 128 bits: x² of 2^62 is 2^124, twenty of them too many */
    const int64_t large[3] = {INT64_MAX / 2, 1, 1}, small[3] = {-INT64_MAX / 2, 1, 2};
    for (int r = 0; r < 6; r++) {
        add(set, r % 2 ? large : small, 0, 0);
        add(set, r % 2 ? large : small, 1, 0);
    }
    for (int i = 0; i < set->count; i++) /* as if far more rows had been merged */
        set->pattern[i].cell[cx_moments_at(cx_mask_count(set->pattern[i].observed), 0, 1)] =
            ((cx_wide)1 << 126) - 1 + ((cx_wide)1 << 126);
    cr_assert_eq(solve(set, NULL), CX_FIT_INSUFFICIENT);
    drop(set);
    set = new_set(41); /* 40 drivers and 40 dummies */
    int64_t row[41] = {0};
    for (int r = 0; r < 40; r++)
        add(set, row, r % 2 ? (UINT64_C(1) << 40) - 1 : 0, 0);
    cr_assert_eq(solve(set, NULL), CX_FIT_INSUFFICIENT);
    cr_assert(out.share[7] == .5 && isnan(out.effect[7].value));
    drop(set);
}
