/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Driver × applicability, from patterns of answers.
 *
 * Problem: the block of (x with 0 where not applicable, dummy, outcome) was never collected. Way: a
 * pattern knows which drivers do not apply, so in its rows each column of that block is one of its
 * own columns, 1, or 0, and its products are sums the pattern holds.
 * Hazard: with 0 for "does not apply", x and its dummy are nearly the same column when answers lie
 * far from 0 (a year, an income). Way: x less a whole number next to its mean, exactly in integers;
 * the rest of the way to the mean, under half a unit, in double-double on the covariances. Then x
 * and its dummy are uncorrelated, and the dummy's coefficient is the level as it is published. */
#include "analytics/solve_applicable.h"

/* What a column of the model is in the rows of one pattern. */
struct source {
    int at; /* 1 + column of the pattern's block; 0 = the constant; −1 = zero in all of them */
    cx_wide shift;
};

struct memory {
    struct cx_fit_work solver;
    struct cx_cross cross;
    struct cx_fit fit;
    uint64_t always, sometimes;     /* drivers without and with a dummy */
    int driver[CX_COLUMNS_MAX];     /* per column of the model: whose x, or whose dummy */
    int drivers, columns;           /* x first, then dummies, then the outcome */
    cx_wide centre[CX_COLUMNS_MAX]; /* per column of the set: taken from x */
    int decimals[CX_COLUMNS_MAX];
    struct source source[CX_COLUMNS_MAX + 1];
    cx_wide cell[];
};

size_t cx_applicable_work(int columns)
{
    int most = 2 * columns - 1 < CX_COLUMNS_MAX ? 2 * columns - 1 : CX_COLUMNS_MAX;
    return sizeof(struct memory) + cx_moments_cells(most) * sizeof(cx_wide);
}

static void blank(struct cx_applicable *out)
{
    const struct cx_effect none = {NAN, NAN, NAN, NAN, NAN, NAN};
    *out = (struct cx_applicable){.df = NAN, .r2 = NAN, .adj_r2 = NAN, .sigma = NAN};
    for (int j = 0; j < CX_COLUMNS_MAX; j++) {
        out->share[j] = out->mean[j] = NAN;
        out->effect[j] = out->level[j] = none;
        out->level_of[j] = -1;
    }
}

/* ---- which drivers, which rows --------------------------------------------------------------- */

static void classify(struct memory *m, const struct cx_set *set, struct cx_applicable *out)
{
    int y = set->columns - 1;
    m->always = m->sometimes = 0;
    for (int j = 0; j < y; j++) {
        double applies = 0, not = 0;
        for (int i = 0; i < set->count; i++) {
            const struct cx_pattern *pattern = &set->pattern[i];
            if (!(pattern->observed >> y & 1))
                continue;
            applies += pattern->observed >> j & 1 ? (double)pattern->cell[CX_MOMENTS_N] : 0;
            not += pattern->does_not_apply >> j & 1 ? (double)pattern->cell[CX_MOMENTS_N] : 0;
        }
        double share = out->share[j] = applies + not > 0 ? not / (applies + not ) : NAN;
        if (isnan(share))
            out->dropped[j] = CX_DROP_EMPTY;
        else if (share > CX_APPLICABLE_SHARE_MAX)
            out->dropped[j] = CX_DROP_NO_VALUE;
        else if (share < CX_APPLICABLE_SHARE_MIN)
            m->always |= UINT64_C(1) << j;
        else
            m->sometimes |= UINT64_C(1) << j;
        out->has_level[j] = m->sometimes >> j & 1;
    }
}

/* Lays the columns out. False: too many. */
static bool arrange(struct memory *m, int y, const int *decimals)
{
    uint64_t all = m->always | m->sometimes;
    m->drivers = cx_mask_count(all);
    m->columns = m->drivers + cx_mask_count(m->sometimes) + 1;
    if (m->columns > CX_COLUMNS_MAX)
        return false;
    int at = 0;
    for (uint64_t rest = all; rest; rest &= rest - 1)
        m->driver[at++] = __builtin_ctzll(rest);
    for (uint64_t rest = m->sometimes; rest; rest &= rest - 1)
        m->driver[at++] = __builtin_ctzll(rest);
    m->driver[at] = y;
    for (int c = 0; c <= at; c++) {
        bool dummy = c >= m->drivers && c < at;
        m->decimals[c] = decimals && !dummy ? decimals[m->driver[c]] : 0;
    }
    return true;
}

static bool used(const struct memory *m, const struct cx_pattern *pattern, int y)
{
    uint64_t known = pattern->observed | pattern->does_not_apply;
    uint64_t needed = m->always | UINT64_C(1) << y;
    return (pattern->observed & needed) == needed && (known & m->sometimes) == m->sometimes &&
           pattern->cell[CX_MOMENTS_WEIGHT] > 0;
}

/* 1 + place of column c in a pattern's block. */
static int place(const struct cx_pattern *pattern, int c)
{
    return 1 + cx_mask_count(pattern->observed & ((UINT64_C(1) << c) - 1));
}

/* The whole number next to the mean of each driver with a dummy. False: overflow. */
static bool choose_centres(struct memory *m, const struct cx_set *set)
{
    for (uint64_t rest = m->sometimes; rest; rest &= rest - 1) {
        int c = __builtin_ctzll(rest);
        cx_wide sum = 0, weight = 0;
        for (int i = 0; i < set->count; i++) {
            const struct cx_pattern *pattern = &set->pattern[i];
            if (!used(m, pattern, set->columns - 1) || !(pattern->observed >> c & 1))
                continue;
            int q = cx_mask_count(pattern->observed);
            cx_wide own = pattern->cell[cx_moments_at(q, 0, place(pattern, c))];
            if (__builtin_add_overflow(sum, own, &sum))
                return false;
            weight += pattern->cell[CX_MOMENTS_WEIGHT];
        }
        cx_wide near = weight > 0 ? sum / weight : 0, left = weight > 0 ? sum % weight : 0;
        near += left > weight / 2 ? 1 : 0;
        m->centre[c] = near - (left < -(weight / 2) ? 1 : 0);
    }
    return true;
}

/* ---- the block ------------------------------------------------------------------------------- */

static bool add_times(cx_wide *to, cx_wide factor, cx_wide value)
{
    cx_wide product;
    return !__builtin_mul_overflow(factor, value, &product) &&
           !__builtin_add_overflow(*to, product, to);
}

/* to += Σ w(z_a − s_a)(z_b − s_b) */
static bool add_product(cx_wide *to, const cx_wide *cell, int q, const struct source *a,
                        const struct source *b)
{
    cx_wide both;
    if (a->at < 0 || b->at < 0)
        return true;
    return add_times(to, 1, cell[cx_moments_at(q, a->at, b->at)]) &&
           add_times(to, -a->shift, cell[cx_moments_at(q, 0, b->at)]) &&
           add_times(to, -b->shift, cell[cx_moments_at(q, 0, a->at)]) &&
           !__builtin_mul_overflow(a->shift, b->shift, &both) &&
           add_times(to, both, cell[CX_MOMENTS_WEIGHT]);
}

static bool add_pattern(struct memory *m, const struct cx_pattern *pattern)
{
    int q = cx_mask_count(pattern->observed), columns = m->columns;
    m->source[0] = (struct source){0, 0};
    for (int c = 0; c < columns; c++) {
        int from = m->driver[c];
        bool dummy = c >= m->drivers && c < columns - 1, x = c < m->drivers;
        struct source *s = &m->source[c + 1];
        if (!(pattern->observed >> from & 1))
            *s = (struct source){-1, 0};
        else if (dummy)
            *s = (struct source){0, 0};
        else
            *s = (struct source){place(pattern, from),
                                 x && m->sometimes >> from & 1 ? m->centre[from] : 0};
    }
    for (int c = CX_MOMENTS_N; c < CX_MOMENTS_WEIGHT; c++)
        if (!add_times(&m->cell[c], 1, pattern->cell[c]))
            return false;
    cx_wide *to = &m->cell[CX_MOMENTS_WEIGHT];
    for (int i = 0; i <= columns; i++)
        for (int j = i; j <= columns; j++, to++)
            if (!add_product(to, pattern->cell, q, &m->source[i], &m->source[j]))
                return false;
    return true;
}

static bool build(struct memory *m, const struct cx_set *set)
{
    size_t cells = cx_moments_cells(m->columns);
    for (size_t i = 0; i < cells; i++)
        m->cell[i] = 0;
    for (int i = 0; i < set->count; i++)
        if (used(m, &set->pattern[i], set->columns - 1) && !add_pattern(m, &set->pattern[i]))
            return false;
    return true;
}

/* ---- from the whole number to the mean ------------------------------------------------------- */

/* Correlations ↔ covariances, in place; constant columns keep 0 and 1. */
static void to_covariances(struct cx_cross *cross)
{
    int q = cross->columns;
    for (int i = 0; i < q; i++)
        for (int j = 0; j < q; j++) {
            struct cx_dd sd = cx_dd_sqrt(cx_dd_mul(cross->variance[i], cross->variance[j]));
            CX_CROSS(cross, i, j) =
                i == j ? cross->variance[i] : cx_dd_mul(CX_CROSS(cross, i, j), sd);
        }
}

static void to_correlations(struct cx_cross *cross)
{
    int q = cross->columns;
    double worst = 1;
    for (int i = 0; i < q; i++) {
        struct cx_dd own = CX_CROSS(cross, i, i);
        if (own.hi > 0)
            worst = fmax(worst, cross->variance[i].hi / own.hi);
        cross->variance[i] = own;
    }
    cross->noise *= worst;
    for (int i = 0; i < q; i++)
        for (int j = 0; j < q; j++) {
            bool none = (cross->constant >> i | cross->constant >> j) & 1;
            struct cx_dd sd = cx_dd_sqrt(cx_dd_mul(cross->variance[i], cross->variance[j]));
            struct cx_dd r = {i == j, 0};
            if (i != j && !none)
                r = cx_dd_div(CX_CROSS(cross, i, j), sd);
            CX_CROSS(cross, i, j) = r;
        }
}

/* x −= δ·dummy, so that x has mean 0 where it applies; returns δ. */
static struct cx_dd recentre(struct cx_cross *cross, int x, int dummy)
{
    int q = cross->columns;
    struct cx_dd by = {0, 0};
    if (!(cross->mean[dummy].hi > 0))
        return by;
    by = cx_dd_div(cross->mean[x], cross->mean[dummy]);
    for (int i = 0; i < q; i++)
        CX_CROSS(cross, x, i) =
            cx_dd_sub(CX_CROSS(cross, x, i), cx_dd_mul(by, CX_CROSS(cross, dummy, i)));
    for (int i = 0; i < q; i++)
        CX_CROSS(cross, i, x) =
            cx_dd_sub(CX_CROSS(cross, i, x), cx_dd_mul(by, CX_CROSS(cross, i, dummy)));
    cross->mean[x] = cx_dd_of(0);
    return by;
}

static void centre(struct memory *m, struct cx_applicable *out)
{
    struct cx_cross *cross = &m->cross;
    if (cross->n <= 0)
        return;
    to_covariances(cross);
    for (int d = m->drivers; d < m->columns - 1; d++) {
        int x = 0, c = m->driver[d];
        while (m->driver[x] != c)
            x++;
        if (cross->mean[d].hi > 0) {
            struct cx_dd whole = cx_wide_to_dd(m->centre[c]);
            struct cx_dd ten = cx_dd_of(cx_dd_ten(m->decimals[x]));
            struct cx_dd rest = recentre(cross, x, d);
            out->mean[c] = cx_dd_add(cx_dd_div(whole, ten), rest).hi;
        }
    }
    to_correlations(cross);
}

/* ---- results --------------------------------------------------------------------------------- */

static struct cx_effect effect_of(const struct cx_fit *fit, int c)
{
    return (struct cx_effect){fit->coef[c + 1], fit->se[c + 1],  fit->t[c + 1],
                              fit->p[c + 1],    fit->low[c + 1], fit->high[c + 1]};
}

static void write(const struct memory *m, struct cx_applicable *out)
{
    const struct cx_fit *fit = &m->fit;
    out->n = fit->n;
    out->n_effective = fit->n_effective;
    out->df = fit->df;
    out->r2 = fit->r2;
    out->adj_r2 = fit->adj_r2;
    out->sigma = fit->sigma;
    for (int c = 0; c < m->columns - 1; c++) {
        int j = m->driver[c], alias = fit->alias_of[c];
        if (c < m->drivers) {
            out->effect[j] = effect_of(fit, c);
            out->dropped[j] = fit->dropped[c];
            continue;
        }
        out->level[j] = effect_of(fit, c);
        out->level_dropped[j] = fit->dropped[c];
        out->level_of[j] = alias >= m->drivers ? m->driver[alias] : -1;
    }
}

enum cx_fit_status cx_applicable(struct cx_applicable *result,
                                 const struct cx_applicable_question *question, void *work)
{
    struct memory *m = work;
    const struct cx_set *set = question->total;
    const struct cx_solve_options options = {.level = question->level};
    blank(result);
    classify(m, set, result);
    result->status = CX_FIT_NO_DRIVERS;
    if (!(m->always | m->sometimes))
        return result->status;
    result->status = CX_FIT_INSUFFICIENT;
    if (!arrange(m, set->columns - 1, question->decimals) || !choose_centres(m, set) ||
        !build(m, set))
        return result->status;
    cx_cross_from_moments(&m->cross, m->cell, m->columns, m->decimals, true);
    centre(m, result);
    result->status = cx_solve(&m->fit, &m->cross, &options, &m->solver);
    write(m, result);
    return result->status;
}
