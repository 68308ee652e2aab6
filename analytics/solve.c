/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Least squares in double-double.
 *
 * Problem: exact sums are worth nothing if the solve then loses half of the digits, and survey
 * drivers are often near copies of each other. Way: Cholesky of the correlation matrix in about 106
 * bits; a hundred microseconds for twenty drivers, done once a refresh.
 *
 * Dependent drivers are found with a bound instead of a taste: the pivot of column j is
 * γ'Rγ, γ = (−weights on the earlier columns, 1), so an error of at most `noise` in each r and the
 * rounding of the elimination move it by at most (noise + k·ε)(Σ|γ|)². A pivot within that cannot
 * be told from 0: aliased. A residual of the outcome within it: a perfect fit. */
#include "analytics/solve.h"

#include "analytics/distribution.h"
#include "analytics/solve_eigen.h"

#define AT(matrix, i, j) ((matrix)[(i)*CX_COLUMNS_MAX + (j)])

/* Row `at` of L for column c, given the rows above; returns the pivot 1 − Σ l². */
static struct cx_dd eliminate(const struct cx_cross *cross, struct cx_fit_work *work, int at, int c)
{
    struct cx_dd *row = &AT(work->l, at, 0), pivot = CX_CROSS(cross, c, c);
    for (int k = 0; k < at; k++) {
        struct cx_dd sum = CX_CROSS(cross, work->column[k], c);
        for (int m = 0; m < k; m++)
            sum = cx_dd_sub(sum, cx_dd_mul(row[m], AT(work->l, k, m)));
        row[k] = cx_dd_div(sum, AT(work->l, k, k));
        pivot = cx_dd_sub(pivot, cx_dd_mul(row[k], row[k]));
    }
    return pivot;
}

/* Weights of the earlier columns on this row: L'γ = l. */
static void back_substitute(struct cx_fit_work *work, int at, struct cx_dd *weight)
{
    for (int k = at - 1; k >= 0; k--) {
        struct cx_dd sum = AT(work->l, at, k);
        for (int m = k + 1; m < at; m++)
            sum = cx_dd_sub(sum, cx_dd_mul(AT(work->l, m, k), weight[m]));
        weight[k] = cx_dd_div(sum, AT(work->l, k, k));
    }
}

static double pivot_error(const struct cx_cross *cross, const struct cx_dd *weight, int at)
{
    double total = 1;
    for (int k = 0; k < at; k++)
        total += fabs(weight[k].hi);
    return (cross->noise + (at + 4) * CX_DD_EPSILON) * total * total;
}

static int twin(const struct cx_cross *cross, const struct cx_fit_work *work, int kept, int c)
{
    for (int k = 0; k < kept; k++) {
        struct cx_dd r = CX_CROSS(cross, work->column[k], c);
        struct cx_dd off = cx_dd_sub(cx_dd_of(1), r.hi < 0 ? cx_dd_neg(r) : r);
        if (fabs(off.hi) <= cross->noise + 4 * CX_DD_EPSILON)
            return work->column[k];
    }
    return -1;
}

/* Keeps driver c as the next row of L, or says why not. */
static enum cx_drop_reason take(struct cx_fit *fit, const struct cx_cross *cross, double least,
                                struct cx_fit_work *work, int c)
{
    if (cross->constant >> c & 1)
        return CX_DROP_CONSTANT;
    int at = fit->kept;
    struct cx_dd pivot = eliminate(cross, work, at, c);
    back_substitute(work, at, work->row);
    if (pivot.hi <= pivot_error(cross, work->row, at)) {
        fit->alias_of[c] = twin(cross, work, at, c);
        return CX_DROP_ALIASED;
    }
    if (pivot.hi < least)
        return CX_DROP_COLLINEAR;
    AT(work->l, at, at) = cx_dd_sqrt(pivot);
    work->column[fit->kept++] = c;
    return CX_KEPT;
}

/* inverse = L⁻ᵀL⁻¹ over the kept drivers */
static void invert(struct cx_fit_work *work, int kept)
{
    struct cx_dd *inverse = work->inverse;
    for (int j = 0; j < kept; j++) { /* the columns of L⁻¹, below the diagonal of `inverse` */
        AT(inverse, j, j) = cx_dd_div(cx_dd_of(1), AT(work->l, j, j));
        for (int i = j + 1; i < kept; i++) {
            struct cx_dd sum = {0, 0};
            for (int m = j; m < i; m++)
                sum = cx_dd_sub(sum, cx_dd_mul(AT(work->l, i, m), AT(inverse, m, j)));
            AT(inverse, i, j) = cx_dd_div(sum, AT(work->l, i, i));
        }
    }
    /* In place: (i, j ≥ i) of the product needs rows ≥ j of the columns i and j alone. */
    for (int i = 0; i < kept; i++)
        for (int j = i; j < kept; j++) {
            struct cx_dd sum = {0, 0};
            for (int m = j; m < kept; m++)
                sum = cx_dd_add(sum, cx_dd_mul(AT(inverse, m, i), AT(inverse, m, j)));
            AT(inverse, i, j) = sum;
        }
    for (int i = 0; i < kept; i++)
        for (int j = 0; j < i; j++)
            AT(inverse, i, j) = AT(inverse, j, i);
}

static void test(struct cx_fit *fit, int at, double level)
{
    if (fit->status == CX_FIT_PERFECT) {
        fit->low[at] = fit->high[at] = fit->coef[at];
        return;
    }
    double reach = cx_t_quantile(level, fit->df) * fit->se[at];
    fit->t[at] = fit->coef[at] / fit->se[at];
    fit->p[at] = cx_t_two_sided(fit->t[at], fit->df);
    fit->low[at] = fit->coef[at] - reach;
    fit->high[at] = fit->coef[at] + reach;
}

/* Coefficients and standard errors in the units of the data. variance = σ² = RSS/df. */
static void write_coefficients(struct cx_fit *fit, const struct cx_cross *cross,
                               struct cx_fit_work *work, struct cx_dd variance, double level)
{
    int y = cross->columns - 1, kept = fit->kept;
    struct cx_dd n = cx_dd_of(cross->n_effective), intercept = cross->mean[y];
    struct cx_dd *share = work->row, spread = cx_dd_div(cx_dd_of(1), n);
    for (int k = 0; k < kept; k++) {
        int c = work->column[k];
        struct cx_dd size = cx_dd_sqrt(cx_dd_div(cross->variance[y], cross->variance[c]));
        struct cx_dd coef = cx_dd_mul(work->beta[k], size), vif = AT(work->inverse, k, k);
        struct cx_dd own = cx_dd_div(cx_dd_div(cx_dd_mul(variance, vif), cross->variance[c]), n);
        fit->coef[c + 1] = coef.hi;
        fit->se[c + 1] = cx_dd_sqrt(own).hi;
        fit->beta[c] = work->beta[k].hi;
        fit->vif[c] = vif.hi;
        test(fit, c + 1, level);
        intercept = cx_dd_sub(intercept, cx_dd_mul(coef, cross->mean[c]));
        share[k] = cx_dd_div(cross->mean[c], cx_dd_sqrt(cross->variance[c]));
    }
    if (!cross->centred)
        return;
    for (int i = 0; i < kept; i++)
        for (int j = 0; j < kept; j++) {
            struct cx_dd term = cx_dd_mul(AT(work->inverse, i, j), cx_dd_mul(share[i], share[j]));
            spread = cx_dd_add(spread, cx_dd_div(term, n));
        }
    fit->coef[0] = intercept.hi;
    fit->se[0] = cx_dd_sqrt(cx_dd_mul(variance, spread)).hi;
    test(fit, 0, level);
}

static void write_quality(struct cx_fit *fit, const struct cx_cross *cross, struct cx_dd residual,
                          struct cx_dd rss)
{
    struct cx_dd explained = cx_dd_sub(cx_dd_of(1), residual);
    struct cx_dd total = cx_dd_of(cross->n_effective - (cross->centred ? 1 : 0));
    struct cx_dd per_df = cx_dd_div(cx_dd_mul(residual, total), cx_dd_of(fit->df));
    fit->r2 = explained.hi;
    fit->adj_r2 = cx_dd_sub(cx_dd_of(1), per_df).hi;
    fit->rss = rss.hi;
    fit->sigma = cx_dd_sqrt(cx_dd_div(rss, cx_dd_of(fit->df))).hi;
    if (fit->status == CX_FIT_PERFECT)
        return;
    fit->f = cx_dd_div(explained, residual).hi * fit->df / fit->kept;
    fit->f_p = cx_f_upper(fit->f, fit->kept, fit->df);
}

static double condition(const struct cx_fit *fit, const struct cx_cross *cross,
                        struct cx_fit_work *work)
{
    int k = fit->kept;
    double *a = work->small, *vector = a + k * k, *value = vector + k * k, largest = 0;
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++)
            a[i * k + j] = CX_CROSS(cross, work->column[i], work->column[j]).hi;
    double rest[4 * CX_COLUMNS_MAX], smallest = INFINITY;
    if (!cx_eigen(k, a, value, vector, rest))
        return NAN;
    for (int i = 0; i < k; i++) {
        largest = fmax(largest, value[i]);
        smallest = fmin(smallest, value[i]);
    }
    return smallest > 0 ? largest / smallest : INFINITY;
}

static void blank(struct cx_fit *fit, const struct cx_cross *cross)
{
    *fit = (struct cx_fit){
        .drivers = cross->columns - 1, .n = cross->n, .n_effective = cross->n_effective};
    double *const lists[] = {fit->coef, fit->se,   fit->t,   fit->p, fit->low,
                             fit->high, fit->beta, fit->vif, fit->r};
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        for (int i = 0; i < CX_COLUMNS_MAX; i++)
            lists[l][i] = NAN;
    for (int i = 0; i < CX_COLUMNS_MAX; i++)
        fit->alias_of[i] = -1;
    fit->df = fit->r2 = fit->adj_r2 = fit->sigma = fit->rss = fit->f = fit->f_p = NAN;
    fit->condition = NAN;
}

/* Everything up to the choice of drivers; CX_FIT_OK when there is something to solve. */
static enum cx_fit_status choose(struct cx_fit *fit, const struct cx_cross *cross, double least,
                                 struct cx_fit_work *work)
{
    int y = fit->drivers;
    if (cross->n <= 0)
        return CX_FIT_NO_ROWS;
    bool flat = cross->constant >> y & 1;
    for (int c = 0; c < y; c++) {
        if (!flat && !(cross->constant >> c & 1))
            fit->r[c] = CX_CROSS(cross, c, y).hi;
        fit->dropped[c] = take(fit, cross, least, work, c);
    }
    if (flat)
        return CX_FIT_OUTCOME_CONSTANT;
    if (fit->kept == 0)
        return CX_FIT_NO_DRIVERS;
    fit->df = cross->n_effective - fit->kept - (cross->centred ? 1 : 0);
    fit->few_df = fit->df < 10;
    return fit->df < 1 ? CX_FIT_INSUFFICIENT : CX_FIT_OK;
}

enum cx_fit_status cx_solve(struct cx_fit *fit, const struct cx_cross *cross,
                            const struct cx_solve_options *options, struct cx_fit_work *work)
{
    double level = options && options->level > 0 ? options->level : 0.95;
    double least = options && options->collinear_min > 0 ? options->collinear_min : 1e-10;
    blank(fit, cross);
    fit->status = choose(fit, cross, least, work);
    if (fit->status != CX_FIT_OK)
        return fit->status;
    int y = fit->drivers, kept = fit->kept;
    work->column[kept] = y;
    struct cx_dd residual = eliminate(cross, work, kept, y);
    back_substitute(work, kept, work->beta);
    if (residual.hi <= pivot_error(cross, work->beta, kept)) {
        fit->status = CX_FIT_PERFECT;
        residual = cx_dd_of(0);
    }
    struct cx_dd rss = cx_dd_scale(cx_dd_mul(residual, cross->variance[y]), cross->n_effective);
    invert(work, kept);
    write_quality(fit, cross, residual, rss);
    write_coefficients(fit, cross, work, cx_dd_div(rss, cx_dd_of(fit->df)), level);
    fit->condition = condition(fit, cross, work);
    return fit->status;
}

void cx_fit_correlations(const struct cx_fit *fit, const struct cx_cross *cross, double *r)
{
    int column[CX_COLUMNS_MAX], size = 0;
    for (int c = 0; c < fit->drivers; c++)
        if (fit->dropped[c] == CX_KEPT)
            column[size++] = c;
    column[size++] = fit->drivers;
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++)
            r[i * size + j] = CX_CROSS(cross, column[i], column[j]).hi;
}

double cx_squared_error(const cx_wide *cell, int q, const double *coef, const int *decimals)
{
    struct cx_dd u[CX_COLUMNS_MAX + 1]; /* (−b_0, −b_j …, 1), fixed point divided out */
    for (int i = 0; i <= q; i++) {
        double b = i == q ? -1 : coef[i];
        double ten = cx_dd_ten(decimals && i > 0 ? decimals[i - 1] : 0);
        u[i] = cx_dd_div(cx_dd_of(isnan(b) ? 0 : -b), cx_dd_of(ten));
    }
    struct cx_dd total = {0, 0};
    for (int i = 0; i <= q; i++)
        for (int j = i; j <= q; j++) {
            struct cx_dd sum = cx_wide_to_dd(cell[cx_moments_at(q, i, j)]);
            struct cx_dd term = cx_dd_mul(cx_dd_mul(u[i], u[j]), sum);
            total = cx_dd_add(total, cx_dd_scale(term, i == j ? 1 : 2));
        }
    return total.hi;
}
