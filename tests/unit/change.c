/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Change points: planted ones are found where they are, none where there is none, and the numbers
 * are those of another tool. */
#include "analytics/change.h"

#include "analytics/random.h"
#include "tests/unit/solve_support.h"

enum { BLOCKS = 12, P = 4, Q = P + 1 };

struct plan {
    int per_block; /* rows, on average */
    int at;        /* block from which on … */
    double by;     /* … the coefficient of driver 1 is larger */
    double x_by;   /* … driver 1 is larger */
    double y_by;   /* … the outcome is */
};

struct stream {
    cx_wide *cell[BLOCKS];
};

static void make(struct stream *s, const struct plan *plan, uint64_t seed)
{
    const double coef[P] = {.5, .3, .2, 0};
    struct cx_random random = cx_random_seed(seed, 7);
    for (int t = 0; t < BLOCKS; t++) {
        s->cell[t] = new_block(Q);
        double share = .4 + .1 * ((t * 5) % BLOCKS); /* .4 … 1.5 */
        int rows = (int)(plan->per_block * share);
        bool late = t >= plan->at;
        for (int r = 0; r < rows; r++) {
            double common = cx_random_normal(&random), y = cx_random_normal(&random);
            int64_t z[Q];
            for (int j = 0; j < P; j++) {
                double x = .7 * common + .7 * cx_random_normal(&random);
                x += late && j == 1 ? plan->x_by : 0;
                y += (coef[j] + (late && j == 1 ? plan->by : 0)) * x;
                z[j] = llround(x * 100);
            }
            z[P] = llround((y + (late ? plan->y_by : 0)) * 100);
            cr_assert(cx_moments_add(s->cell[t], Q, z, 1, 1));
        }
    }
}

static void drop(struct stream *s)
{
    for (int t = 0; t < BLOCKS; t++)
        free(s->cell[t]);
}

static bool look(struct stream *s, int blocks, struct cx_change *change)
{
    const int decimals[Q] = {2, 2, 2, 2, 2};
    const struct cx_change_question question = {(const cx_wide *const *)s->cell, blocks, Q,
                                                decimals};
    void *work = malloc(cx_changes_work(Q, blocks));
    memset(work, 0xaa, cx_changes_work(Q, blocks));
    bool any = cx_changes(change, &question, work);
    free(work);
    return any;
}

static double least_q(const struct cx_change *change)
{
    double least = 1;
    for (int j = 0; j < P; j++)
        least = fmin(least, change[j].q);
    return least;
}

Test(change, planted_is_found)
{
    for (uint64_t seed = 0; seed < 12; seed++) {
        const struct plan plan = {.per_block = 120, .at = 3 + (int)(seed % 6), .by = .6};
        struct stream s;
        struct cx_change change[P];
        make(&s, &plan, seed);
        cr_assert(look(&s, BLOCKS, change));
        cr_assert_lt(change[1].q, .001);
        cr_assert_leq(abs(change[1].block - plan.at), 1, "seed %d: %d, want %d", (int)seed,
                      change[1].block, plan.at);
        cr_assert_leq(fabs(change[1].before - .3), 4.5 * change[1].se_before + .05);
        cr_assert_leq(fabs(change[1].after - .9), 4.5 * change[1].se_after + .05);
        cr_assert(change[1].z > 0 && change[1].p <= change[1].q);
        for (int j = 0; j < P; j++)
            cr_assert(j == 1 || change[j].q > .001, "seed %d driver %d", (int)seed, j);
        drop(&s);
    }
}

/* 300 data sets without a change: q < .05 in at most 7 % (binomial: 5 % and 1.6 standard errors).
 */
Test(change, none_where_there_is_none)
{
    const int sizes[] = {20, 100};
    for (int k = 0; k < 2; k++) {
        int called = 0;
        for (uint64_t seed = 0; seed < 150; seed++) {
            const struct plan plan = {.per_block = sizes[k]};
            struct stream s;
            struct cx_change change[P];
            make(&s, &plan, 1000 + seed);
            cr_assert(look(&s, BLOCKS, change));
            called += least_q(change) < .05;
            drop(&s);
        }
        cr_assert_leq(called, 10, "%d rows a block: %d of 150", sizes[k], called);
    }
}

/* The level of the outcome, of a driver, or of both, is not its coefficient: no more calls than by
 * chance (40 sets each, 5 %: 6 or fewer with probability .99). */
Test(change, a_shift_of_a_mean_is_no_change)
{
    const struct plan plans[] = {{.per_block = 100, .at = 6, .y_by = 2},
                                 {.per_block = 100, .at = 6, .x_by = 2},
                                 {.per_block = 100, .at = 6, .x_by = 1, .y_by = -1}};
    for (int k = 0; k < 3; k++) {
        int called = 0;
        for (uint64_t seed = 0; seed < 40; seed++) {
            struct stream s;
            struct cx_change change[P];
            make(&s, &plans[k], 2000 + seed);
            cr_assert(look(&s, BLOCKS, change));
            called += least_q(change) < .05;
            drop(&s);
        }
        cr_assert_leq(called, 6, "%s: %d of 40", k == 0 ? "y" : k == 1 ? "x" : "both", called);
    }
}

/* ---- against statsmodels --------------------------------------------------------------------- */

static int next(uint64_t *state, int below)
{
    *state = (*state * 1103515245 + 12345) % 2147483648U;
    return (int)(*state >> 8) % below;
}

/* Three blocks of 40 rows of two drivers, the coefficient of the first 1 in block 0, then 2, and
 * levels of their own. OLS of statsmodels 0.14 on either side with a dummy a block (rows 0 … 39, 40
 * … 119); Welch's degrees of freedom and Student's t by scipy. Two boundaries were tried. */
Test(change, by_hand)
{
    cx_wide *cell[3];
    uint64_t state = 7;
    for (int t = 0; t < 3; t++) {
        cell[t] = new_block(3);
        for (int r = 0; r < 40; r++) {
            int64_t x = next(&state, 11) + t * t, w = next(&state, 11), e = next(&state, 9);
            const int64_t z[3] = {x, w, (t < 1 ? 1 : 2) * x + w + e + 5 * t};
            cr_assert(cx_moments_add(cell[t], 3, z, 1, 1));
        }
    }
    const struct cx_change_question question = {(const cx_wide *const *)cell, 3, 3, NULL};
    void *work = malloc(cx_changes_work(3, 3));
    struct cx_change change[2];
    cr_assert(cx_changes(change, &question, work));
    cr_assert_eq(change[0].block, 1); /* 2.42 at 2 */
    cr_assert_geq(lre(change[0].before, 1.0947218988727192, 16), 13);
    cr_assert_geq(lre(change[0].after, 2.081423425084232, 16), 13);
    cr_assert_geq(lre(change[0].se_before, 0.12111437722306989, 16), 13);
    cr_assert_geq(lre(change[0].se_after, 0.08522302151528001, 16), 13);
    cr_assert_geq(lre(change[0].z, 6.6626974041553915, 16), 12);
    cr_assert_geq(lre(change[0].p, 2 * 4.177039091563418e-09, 16), 10);
    cr_assert_geq(lre(change[0].q, 4 * 4.177039091563418e-09, 16), 10);
    cr_assert_eq(change[1].block, 1); /* −.0896 at 2 */
    cr_assert_geq(lre(change[1].z, -0.4753607243340767, 16), 11);
    cr_assert(change[1].p == 1 && change[1].q == 1); /* 2 × .636 */
    free(work);
    for (int t = 0; t < 3; t++)
        free(cell[t]);
}

/* Weights of one size are no weights; and rows may be worth more than others. */
Test(change, weights)
{
    cx_wide *cell[2][3];
    uint64_t state = 9;
    struct cx_change change[2][2];
    void *work = malloc(cx_changes_work(3, 3));
    for (int t = 0; t < 3; t++) {
        for (int k = 0; k < 2; k++)
            cell[k][t] = new_block(3);
        for (int r = 0; r < 50; r++) {
            int64_t x = next(&state, 11), w = next(&state, 11), e = next(&state, 9);
            const int64_t z[3] = {x, w, (t < 1 ? 1 : 2) * x + w + e};
            cr_assert(cx_moments_add(cell[0][t], 3, z, 1, 1));
            cr_assert(cx_moments_add(cell[1][t], 3, z, 1024, 1));
        }
    }
    for (int k = 0; k < 2; k++) {
        const struct cx_change_question question = {(const cx_wide *const *)cell[k], 3, 3, NULL};
        cr_assert(cx_changes(change[k], &question, work));
    }
    for (int j = 0; j < 2; j++) {
        cr_assert_geq(lre(change[1][j].z, change[0][j].z, 16), 13);
        cr_assert_geq(lre(change[1][j].se_after, change[0][j].se_after, 16), 13);
        cr_assert_geq(lre(change[1][j].p, change[0][j].p, 16), 12);
    }
    free(work);
    for (int t = 0; t < 6; t++)
        free(cell[t / 3][t % 3]);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refused(const struct cx_change *change)
{
    for (int j = 0; j < P; j++)
        cr_assert(change[j].block == -1 && isnan(change[j].z) && isnan(change[j].p) &&
                  isnan(change[j].q) && isnan(change[j].before) && isnan(change[j].se_after));
}

Test(change, too_few_rows)
{
    struct stream s;
    struct cx_change change[P];
    make(&s, &(struct plan){.per_block = 40}, 1); /* 16, 36, 56, 28, … rows */
    cr_assert(!look(&s, 0, change));
    refused(change);
    cr_assert(!look(&s, 1, change));
    refused(change);
    cr_assert(!look(&s, 2, change)); /* 16 | 36 */
    refused(change);
    cr_assert(look(&s, 3, change)); /* 52 | 56: one boundary */
    for (int j = 0; j < P; j++)
        cr_assert_eq(change[j].block, 2);
    memset(s.cell[2], 0, cx_moments_cells(Q) * sizeof(cx_wide));
    cr_assert(!look(&s, 3, change)); /* nothing after it */
    refused(change);
    cr_assert(look(&s, 5, change)); /* an empty block is not named: 52 | 28 + 48 */
    for (int j = 0; j < P; j++)
        cr_assert(change[j].block == 3 || change[j].block == 4);
    drop(&s);
    const struct cx_change_question narrow = {NULL, 0, 1, NULL}, wide = {NULL, 0, 65, NULL};
    cr_assert(!cx_changes(change, &narrow, NULL) && !cx_changes(change, &wide, NULL));
}

/* Driver 2 stands still within the blocks until 6, driver 3 repeats driver 0: they cannot be told
 * there, the others can. */
Test(change, drivers_that_cannot_be_estimated)
{
    struct stream s;
    struct cx_change change[P];
    struct cx_random random = cx_random_seed(5, 5);
    for (int t = 0; t < BLOCKS; t++) {
        s.cell[t] = new_block(Q);
        for (int r = 0; r < 60; r++) {
            int64_t z[Q];
            for (int j = 0; j < 3; j++)
                z[j] = cx_random_below(&random, 11);
            z[2] = t < 6 ? 4 + t : z[2];
            z[3] = z[0] + 2;
            z[4] = z[0] + (t < 4 ? 1 : 3) * z[1] + cx_random_below(&random, 9);
            cr_assert(cx_moments_add(s.cell[t], Q, z, 1, 1));
        }
    }
    cr_assert(look(&s, BLOCKS, change));
    cr_assert(change[1].block == 4 && change[1].q < 1e-6);
    cr_assert(change[0].block >= 1 && change[0].q > .01);
    cr_assert(change[2].block >= 7); /* before that one side has nothing to go by */
    cr_assert(change[3].block == -1 && isnan(change[3].q));
    drop(&s);
}
