/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Errors out of sample, from cross-products.
 *
 * Problem: rows are gone, and the quadratic form q'Gq over raw sums loses twice the digits by which
 * means exceed spreads. Way: the block about its own means, which solve_cross.h takes exactly in
 * 256 bits, and the distance of its means from those of the rows before it:
 *   SSE_t/n_t = (Δȳ − Σ b_jΔx̄_j)² + s²_y − 2Σ b_j s_jy + Σ b_i b_j s_ij
 * in double-double, so what cancels there (a good model) costs nothing that matters. The same parts
 * give the sums of predictions that calibration needs, about one common centre. */
#include "analytics/fitness.h"

#include "analytics/importance_interval.h"
#include "analytics/solve.h"

#define ROWS_MIN 30
#define ROWS_PER_DRIVER 3
#define SPREAD_MIN 1e-24 /* of predictions, against the outcome's: less is rounding */

/* Sums over the rows of a block; p and y (prediction, outcome) about the common centre. */
struct part {
    struct cx_dd w, sse, sst, p, y, pp, py;
};

struct memory {
    struct cx_fit_work solver;
    struct cx_cross before, block;
    struct cx_fit fit;
    struct part part[CX_FITNESS_BLOCKS_MAX];
    double rows[CX_FITNESS_BLOCKS_MAX], without[2][CX_FITNESS_BLOCKS_MAX];
    struct cx_dd centre; /* mean outcome of the rows before the first predicted block */
    int parts;
    cx_wide cell[]; /* the blocks before */
};

size_t cx_fitness_work(int columns, int blocks)
{
    (void)blocks;
    return sizeof(struct memory) + cx_moments_cells(columns) * sizeof(cx_wide);
}

static void blank(struct cx_fitness *out)
{
    *out = (struct cx_fitness){.q2 = {NAN, NAN, NAN}, .blocks = 0, .n = NAN};
    out->slope = out->intercept = out->slope_low = out->slope_high = out->mean_error = NAN;
}

static struct cx_dd square(struct cx_dd a)
{
    return cx_dd_mul(a, a);
}

/* ---- one block ------------------------------------------------------------------------------- */

/* Of a row of the block, on average: outcome and prediction less the mean outcome before, and the
 * second moments within the block. */
struct means {
    struct cx_dd y, p, var_y, var_p, cov;
};

static struct means means_of(const struct memory *m, int y)
{
    const struct cx_cross *block = &m->block;
    struct means out = {.y = cx_dd_sub(block->mean[y], m->before.mean[y]),
                        .var_y = block->variance[y]};
    struct cx_dd u[CX_COLUMNS_MAX], sd_y = cx_dd_sqrt(block->variance[y]); /* u: b_j s_j */
    for (int i = 0; i < y; i++) {
        double b = m->fit.dropped[i] == CX_KEPT ? m->fit.coef[i + 1] : 0;
        struct cx_dd shift = cx_dd_sub(block->mean[i], m->before.mean[i]);
        out.p = cx_dd_add(out.p, cx_dd_scale(shift, b));
        u[i] = cx_dd_scale(cx_dd_sqrt(block->variance[i]), b);
    }
    for (int i = 0; i < y; i++) {
        struct cx_dd row = {0, 0};
        for (int j = 0; j < y; j++)
            row = cx_dd_add(row, cx_dd_mul(CX_CROSS(block, i, j), u[j]));
        out.var_p = cx_dd_add(out.var_p, cx_dd_mul(u[i], row));
        struct cx_dd with_y = cx_dd_mul(CX_CROSS(block, i, y), sd_y);
        out.cov = cx_dd_add(out.cov, cx_dd_mul(u[i], with_y));
    }
    return out;
}

static struct part part_of(const struct memory *m, int y, cx_wide weight)
{
    struct means a = means_of(m, y);
    struct cx_dd w = cx_wide_to_dd(weight), off = cx_dd_sub(m->before.mean[y], m->centre);
    struct cx_dd error = cx_dd_sub(a.y, a.p);
    struct cx_dd spread = cx_dd_add(cx_dd_sub(a.var_y, cx_dd_scale(a.cov, 2)), a.var_p);
    if (spread.hi < 0) /* of a perfect prediction only rounding is left */
        spread = cx_dd_of(0);
    struct cx_dd p = cx_dd_add(a.p, off), own = cx_dd_add(a.y, off);
    return (struct part){
        .w = w,
        .sse = cx_dd_mul(w, cx_dd_add(square(error), spread)),
        .sst = cx_dd_mul(w, cx_dd_add(square(a.y), a.var_y)),
        .p = cx_dd_mul(w, p),
        .y = cx_dd_mul(w, own),
        .pp = cx_dd_mul(w, cx_dd_add(square(p), a.var_p)),
        .py = cx_dd_mul(w, cx_dd_add(cx_dd_mul(p, own), a.cov)),
    };
}

/* Fits the blocks before; true when they can predict. */
static bool learn(struct memory *m, const struct cx_fitness_question *question)
{
    int q = question->columns, least = ROWS_PER_DRIVER * (q - 1);
    cx_cross_from_moments(&m->before, m->cell, q, question->decimals, true);
    if (m->before.n_effective < (least > ROWS_MIN ? least : ROWS_MIN))
        return false;
    enum cx_fit_status status = cx_solve(&m->fit, &m->before, NULL, &m->solver);
    return status == CX_FIT_OK || status == CX_FIT_PERFECT;
}

/* Predicts each block from those before it. False: sums beyond 128 bits. */
static bool predict_all(struct memory *m, const struct cx_fitness_question *question)
{
    int q = question->columns;
    size_t cells = cx_moments_cells(q);
    m->parts = 0;
    for (size_t i = 0; i < cells; i++)
        m->cell[i] = 0;
    for (int t = 0; t < question->blocks; t++) {
        const cx_wide *cell = question->cell[t];
        if (cell[CX_MOMENTS_WEIGHT] <= 0)
            continue;
        if (learn(m, question)) {
            if (m->parts == 0)
                m->centre = m->before.mean[q - 1];
            cx_cross_from_moments(&m->block, cell, q, question->decimals, true);
            m->rows[m->parts] = (double)cell[CX_MOMENTS_WEIGHT];
            m->part[m->parts++] = part_of(m, q - 1, cell[CX_MOMENTS_WEIGHT]);
        }
        if (!cx_moments_merge(m->cell, cell, q, 1))
            return false;
    }
    return true;
}

/* ---- all blocks ------------------------------------------------------------------------------ */

/* All parts but one (−1: all), added in the same order each time. */
static struct part sum_without(const struct memory *m, int left_out)
{
    struct part sum = {0};
    for (int t = 0; t < m->parts; t++) {
        const struct part *one = &m->part[t];
        if (t == left_out)
            continue;
        sum.w = cx_dd_add(sum.w, one->w);
        sum.sse = cx_dd_add(sum.sse, one->sse);
        sum.sst = cx_dd_add(sum.sst, one->sst);
        sum.p = cx_dd_add(sum.p, one->p);
        sum.y = cx_dd_add(sum.y, one->y);
        sum.pp = cx_dd_add(sum.pp, one->pp);
        sum.py = cx_dd_add(sum.py, one->py);
    }
    return sum;
}

static double q2_of(const struct part *sum)
{
    return sum->sst.hi > 0 ? cx_dd_sub(cx_dd_of(1), cx_dd_div(sum->sse, sum->sst)).hi : NAN;
}

static double slope_of(const struct part *s)
{
    struct cx_dd spread = cx_dd_sub(s->pp, cx_dd_div(square(s->p), s->w));
    struct cx_dd joint = cx_dd_sub(s->py, cx_dd_div(cx_dd_mul(s->p, s->y), s->w));
    return spread.hi > SPREAD_MIN * s->sst.hi ? cx_dd_div(joint, spread).hi : NAN;
}

/* θ with its limits; NAN limits when they cannot be told. */
static struct cx_interval limits(const struct memory *m, double theta, const double *without,
                                 double level)
{
    const struct cx_jackknife jackknife = {1, m->parts, m->rows, &theta, without};
    double variance;
    if (m->parts < CX_FITNESS_LIMITS_MIN || !cx_jackknife_variance(&jackknife, &variance, NULL))
        return (struct cx_interval){theta, NAN, NAN};
    return cx_plain_interval(theta, variance, m->parts - 1, level);
}

static void write(struct cx_fitness *out, struct memory *m, double level)
{
    struct part all = sum_without(m, -1);
    for (int t = 0; t < m->parts; t++) {
        struct part rest = sum_without(m, t);
        m->without[0][t] = q2_of(&rest);
        m->without[1][t] = slope_of(&rest);
    }
    out->q2 = limits(m, q2_of(&all), m->without[0], level);
    if (out->q2.high > 1)
        out->q2.high = 1;
    struct cx_interval slope = limits(m, slope_of(&all), m->without[1], level);
    out->slope = slope.value;
    out->slope_low = slope.low;
    out->slope_high = slope.high;
    struct cx_dd y = cx_dd_div(all.y, all.w), p = cx_dd_div(all.p, all.w);
    struct cx_dd fitted = cx_dd_scale(cx_dd_add(p, m->centre), slope.value);
    out->intercept = cx_dd_sub(cx_dd_add(y, m->centre), fitted).hi;
    out->mean_error = cx_dd_sub(y, p).hi;
    out->blocks = m->parts;
    out->n = all.w.hi;
}

bool cx_fitness(struct cx_fitness *fitness, const struct cx_fitness_question *question, void *work)
{
    struct memory *m = work;
    double level = question->level > 0 ? question->level : 0.95;
    blank(fitness);
    if (question->columns < 2 || question->columns > CX_COLUMNS_MAX || question->blocks < 0 ||
        question->blocks > CX_FITNESS_BLOCKS_MAX)
        return false;
    if (!predict_all(m, question) || m->parts == 0)
        return false;
    write(fitness, m, level);
    return true;
}
