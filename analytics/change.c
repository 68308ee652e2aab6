/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Change points of coefficients.
 *
 * Problem: sums over the blocks of one side mix what drivers do to people with what happened from
 * block to block; a driver and an outcome that both moved to another level, for a reason outside
 * the model, then look like a coefficient that changed (in four of five simulated worlds). Way:
 * least squares with an intercept a block, from cross-products about each block's own means
 * (solve_cross.h, exact), added over the side. cx_solve takes them as they are when rows are
 * counted as n − (blocks − 1): its df is then n − blocks − k.
 * Sides are added up anew for each boundary: double-double sums that were subtracted would leave
 * rounding where a constant column must leave 0. */
#include "analytics/change.h"

#include "analytics/distribution.h"
#include "analytics/fdr.h"
#include "analytics/solve.h"

#define ROWS_MIN 30
#define ROWS_PER_DRIVER 5

struct memory {
    struct cx_fit_work solver;
    struct cx_cross cross;
    struct cx_fit before, after;
    double df[CX_COLUMNS_MAX]; /* of the largest |z| */
    double p[CX_COLUMNS_MAX], q[CX_COLUMNS_MAX];
    size_t order[CX_COLUMNS_MAX];
    int tried[CX_COLUMNS_MAX];
    struct cx_dd about[]; /* per block: Σw(z_i − z̄_i)(z_j − z̄_j), i ≤ j, by rows */
};

static size_t triangle(int columns)
{
    return (size_t)columns * (size_t)(columns + 1) / 2;
}

size_t cx_changes_work(int columns, int blocks)
{
    size_t count = blocks > 0 ? (size_t)blocks : 0;
    return sizeof(struct memory) + count * triangle(columns) * sizeof(struct cx_dd);
}

static void blank(struct cx_change *change, int drivers)
{
    for (int j = 0; j < drivers; j++)
        change[j] = (struct cx_change){-1, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
}

/* Cross-products of each block about its means. */
static void load(struct memory *m, const struct cx_change_question *question)
{
    int q = question->columns;
    struct cx_dd *to = m->about;
    for (int t = 0; t < question->blocks; t++) {
        const struct cx_cross *cross = &m->cross;
        cx_cross_from_moments(&m->cross, question->cell[t], q, question->decimals, true);
        struct cx_dd weight = cx_wide_to_dd(question->cell[t][CX_MOMENTS_WEIGHT]);
        for (int i = 0; i < q; i++)
            for (int j = i; j < q; j++) {
                bool none = cross->n <= 0 || ((cross->constant >> i | cross->constant >> j) & 1);
                struct cx_dd size = cx_dd_mul(cross->variance[i], cross->variance[j]);
                struct cx_dd cov = cx_dd_mul(CX_CROSS(cross, i, j), cx_dd_sqrt(size));
                *to++ = none ? cx_dd_of(0) : cx_dd_mul(cov, weight);
            }
    }
}

/* m->cross of the blocks from … until-1, each about its own means. False: too few rows. */
static bool gather(struct memory *m, const struct cx_change_question *question, int from, int until)
{
    int q = question->columns, blocks = 0, least = ROWS_PER_DRIVER * (q - 1);
    struct cx_cross *cross = &m->cross;
    struct cx_dd weight = {0, 0}, squares = {0, 0};
    *cross = (struct cx_cross){.columns = q, .centred = true, .noise = 16 * CX_DD_EPSILON};
    for (int t = from; t < until; t++) {
        const cx_wide *cell = question->cell[t];
        const struct cx_dd *own = m->about + (size_t)t * triangle(q);
        if (cell[CX_MOMENTS_WEIGHT] <= 0)
            continue;
        blocks++;
        cross->n += (int64_t)cell[CX_MOMENTS_N];
        weight = cx_dd_add(weight, cx_wide_to_dd(cell[CX_MOMENTS_WEIGHT]));
        squares = cx_dd_add(squares, cx_wide_to_dd(cell[CX_MOMENTS_WEIGHT_SQUARE]));
        for (int i = 0; i < q; i++)
            for (int j = i; j < q; j++)
                CX_CROSS(cross, i, j) = cx_dd_add(CX_CROSS(cross, i, j), *own++);
    }
    if (blocks == 0)
        return false;
    double rows = cx_dd_div(cx_dd_mul(weight, weight), squares).hi;
    cross->n_effective = rows - (blocks - 1);
    /* Σ over effective rows, divided by those that cx_solve will count */
    struct cx_dd scale = cx_dd_scale(weight, cross->n_effective / rows);
    for (int i = 0; i < q; i++) {
        cross->variance[i] = cx_dd_div(CX_CROSS(cross, i, i), scale);
        if (!(cross->variance[i].hi > 0))
            cross->constant |= UINT64_C(1) << i;
    }
    return rows >= (least > ROWS_MIN ? least : ROWS_MIN);
}

/* Sums about means → correlations. */
static void correlate(struct cx_cross *cross)
{
    int q = cross->columns;
    struct cx_dd root[CX_COLUMNS_MAX];
    for (int i = 0; i < q; i++)
        root[i] = cx_dd_sqrt(CX_CROSS(cross, i, i));
    for (int i = 0; i < q; i++)
        for (int j = i; j < q; j++) {
            bool none = (cross->constant >> i | cross->constant >> j) & 1;
            struct cx_dd r = {i == j, 0};
            if (i != j && !none)
                r = cx_dd_div(cx_dd_div(CX_CROSS(cross, i, j), root[i]), root[j]);
            CX_CROSS(cross, i, j) = CX_CROSS(cross, j, i) = r;
        }
}

static bool fit_side(struct memory *m, const struct cx_change_question *question, int from,
                     int until, struct cx_fit *fit)
{
    if (!gather(m, question, from, until))
        return false;
    correlate(&m->cross);
    return cx_solve(fit, &m->cross, NULL, &m->solver) == CX_FIT_OK;
}

/* The boundary before `block`: where a driver's |z| is the largest yet, it is kept. */
static void compare(struct memory *m, struct cx_change *change, int drivers, int block)
{
    for (int j = 0; j < drivers; j++) {
        double one = m->before.se[j + 1] * m->before.se[j + 1];
        double two = m->after.se[j + 1] * m->after.se[j + 1];
        double z = (m->after.coef[j + 1] - m->before.coef[j + 1]) / sqrt(one + two);
        if (!isfinite(z)) /* a side dropped it */
            continue;
        m->tried[j]++;
        if (change[j].block >= 0 && !(fabs(z) > fabs(change[j].z)))
            continue;
        change[j] = (struct cx_change){.block = block,
                                       .before = m->before.coef[j + 1],
                                       .after = m->after.coef[j + 1],
                                       .se_before = m->before.se[j + 1],
                                       .se_after = m->after.se[j + 1],
                                       .z = z};
        m->df[j] = (one + two) * (one + two) / (one * one / m->before.df + two * two / m->after.df);
    }
}

static bool write_p(struct memory *m, struct cx_change *change, int drivers)
{
    bool any = false;
    for (int j = 0; j < drivers; j++) {
        m->p[j] = NAN;
        if (change[j].block < 0)
            continue;
        m->p[j] = fmin(m->tried[j] * cx_t_two_sided(change[j].z, m->df[j]), 1);
        any = true;
    }
    cx_fdr(m->p, (size_t)drivers, m->q, m->order);
    for (int j = 0; j < drivers; j++) {
        change[j].p = m->p[j];
        change[j].q = m->q[j];
    }
    return any;
}

bool cx_changes(struct cx_change *change, const struct cx_change_question *question, void *work)
{
    int q = question->columns, drivers = q - 1, blocks = question->blocks;
    struct memory *m = work;
    if (q < 2 || q > CX_COLUMNS_MAX)
        return false;
    blank(change, drivers);
    for (int j = 0; j < drivers; j++)
        m->tried[j] = 0;
    load(m, question);
    for (int t = 1; t < blocks; t++)
        /* before an empty block: the boundary after it splits the rows in the same way */
        if (question->cell[t][CX_MOMENTS_WEIGHT] > 0 && fit_side(m, question, 0, t, &m->before) &&
            fit_side(m, question, t, blocks, &m->after))
            compare(m, change, drivers, t);
    return write_p(m, change, drivers);
}
