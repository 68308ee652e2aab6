/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Exact pattern sums to standardised doubles. Sums are moved to the whole number next to each mean
 * in exact integers, before the rounding: a mean may be far from 0 and the spread small, but it is
 * not far from a whole number then (of integers, |mean − whole| ≤ 1 SD), so nothing is lost
 * afterwards. Rows are counted in effective ones: the sum of weights is scaled to Kish's n. */
#include "analytics/missing_parts.h"

#include <math.h>

size_t cx_em_data_size(int q, int patterns)
{
    return (size_t)patterns * ((size_t)(q + 1) * (size_t)(q + 1) + 2);
}

/* The columns of the model that a pattern has: `place` in its block, `column` in the model. */
static int shared(const struct cx_em *em, uint64_t observed, int *place, int *column)
{
    int count = 0;
    for (int c = 0; c < em->columns; c++)
        if (observed >> em->index[c] & 1) {
            uint64_t before = observed & ((UINT64_C(1) << em->index[c]) - 1);
            place[count] = cx_mask_count(before);
            column[count++] = c;
        }
    return count;
}

/* Weight, Σ and Σ² of each column over the rows that have it: shift and scale. */
static bool standardise(struct cx_em_data *data, struct cx_em *em, const struct cx_set *set)
{
    struct cx_dd weight[CX_COLUMNS_MAX], sum[CX_COLUMNS_MAX], square[CX_COLUMNS_MAX];
    for (int c = 0; c < em->columns; c++)
        weight[c] = sum[c] = square[c] = cx_dd_of(0);
    for (int i = 0; i < set->count; i++) {
        const struct cx_pattern *p = &set->pattern[i];
        int place[CX_COLUMNS_MAX], column[CX_COLUMNS_MAX], q = cx_mask_count(p->observed);
        int count = shared(em, p->observed, place, column);
        struct cx_dd own = cx_wide_to_dd(p->cell[CX_MOMENTS_WEIGHT]);
        for (int k = 0; k < count; k++) {
            int c = column[k], at = place[k] + 1;
            weight[c] = cx_dd_add(weight[c], own);
            sum[c] = cx_dd_add(sum[c], cx_wide_to_dd(p->cell[cx_moments_at(q, 0, at)]));
            square[c] = cx_dd_add(square[c], cx_wide_to_dd(p->cell[cx_moments_at(q, at, at)]));
        }
    }
    for (int c = 0; c < em->columns; c++) {
        struct cx_dd all = cx_dd_mul(weight[c], square[c]);
        struct cx_dd centred = cx_dd_sub(all, cx_dd_mul(sum[c], sum[c]));
        em->column = em->index[c];
        if (!(weight[c].hi > 0) || centred.hi <= 64 * CX_DD_EPSILON * all.hi)
            return false;
        data->shift[c] = nearbyint(sum[c].hi / weight[c].hi);
        data->scale[c] = sqrt(centred.hi) / weight[c].hi;
    }
    em->column = -1;
    return true;
}

/* Σw(z_i − a)(z_j − b) = S_ij − aS_j − bS_i + abW, exactly; modulo 2¹²⁸, so what is on the way does
 * not matter. i, j: of the constant (0) and the pattern's columns. */
static void pack(const struct cx_em_data *data, const struct cx_pattern *p, const int *place,
                 const int *column, int count, double *to)
{
    typedef unsigned __int128 word;
    int q = cx_mask_count(p->observed), wide = count + 1;
    word weight = (word)p->cell[CX_MOMENTS_WEIGHT], sum[CX_COLUMNS_MAX], shift[CX_COLUMNS_MAX];
    double size[CX_COLUMNS_MAX];
    to[0] = (double)(cx_wide)weight * data->per_weight;
    for (int i = 0; i < count; i++) {
        shift[i] = (word)(cx_wide)data->shift[column[i]];
        size[i] = 1 / data->scale[column[i]];
        sum[i] = (word)p->cell[cx_moments_at(q, 0, place[i] + 1)];
        double own = (double)(cx_wide)(sum[i] - shift[i] * weight);
        to[i + 1] = to[(i + 1) * wide] = own * data->per_weight * size[i];
    }
    for (int i = 0; i < count; i++) {
        double unit = data->per_weight * size[i];
        for (int j = i; j < count; j++) {
            word own = (word)p->cell[cx_moments_at(q, place[i] + 1, place[j] + 1)];
            own -= shift[i] * sum[j] + shift[j] * (sum[i] - shift[i] * weight);
            double value = (double)(cx_wide)own * unit * size[j];
            to[(i + 1) * wide + j + 1] = to[(j + 1) * wide + i + 1] = value;
        }
    }
}

/* Effective rows per unit of weight, Σw/Σw² over rows that tell something. */
static double rows_per_weight(const struct cx_em *em, const struct cx_set *set)
{
    double weight = 0, square = 0;
    for (int i = 0; i < set->count; i++) {
        const struct cx_pattern *p = &set->pattern[i];
        int place[CX_COLUMNS_MAX], column[CX_COLUMNS_MAX];
        if (shared(em, p->observed, place, column) == 0)
            continue;
        weight += (double)p->cell[CX_MOMENTS_WEIGHT];
        square += (double)p->cell[CX_MOMENTS_WEIGHT_SQUARE];
    }
    return square > 0 ? weight / square : 0;
}

static void tell(struct cx_em *em, const struct cx_pattern *p, int count, bool outcome)
{
    em->rows += (int64_t)p->cell[CX_MOMENTS_N];
    em->complete += count == em->columns ? (int64_t)p->cell[CX_MOMENTS_N] : 0;
    if (outcome)
        em->missing += (em->columns - count) * (double)p->cell[CX_MOMENTS_WEIGHT];
}

bool cx_em_load(struct cx_em_data *data, struct cx_em *em, const struct cx_set *set)
{
    data->q = em->columns;
    data->patterns = 0;
    data->n = data->n_outcome = 0;
    em->rows = em->complete = 0;
    em->missing = 0;
    if (!standardise(data, em, set))
        return false;
    double per_weight = data->per_weight = rows_per_weight(em, set), *to = data->packed;
    for (int i = 0; i < set->count; i++) {
        const struct cx_pattern *p = &set->pattern[i];
        int place[CX_COLUMNS_MAX], column[CX_COLUMNS_MAX];
        int count = shared(em, p->observed, place, column);
        if (count == 0 || p->cell[CX_MOMENTS_WEIGHT] <= 0)
            continue;
        uint64_t mask = 0;
        for (int k = 0; k < count; k++)
            mask |= UINT64_C(1) << column[k];
        bool outcome = mask >> (em->columns - 1) & 1;
        to[0] = (double)(uint32_t)mask;
        to[1] = (double)(uint32_t)(mask >> 32);
        pack(data, p, place, column, count, to + 2);
        tell(em, p, count, outcome);
        data->n += to[2];
        data->n_outcome += outcome ? to[2] : 0;
        data->patterns++;
        to += 2 + (count + 1) * (count + 1);
    }
    if (data->n_outcome > 0 && em->columns > 1)
        em->missing *= per_weight / (data->n_outcome * (em->columns - 1));
    return true;
}

size_t cx_em_pattern(const struct cx_em_data *data, size_t at, struct cx_em_pattern *pattern)
{
    const double *from = data->packed + at;
    uint64_t mask = (uint64_t)from[0] | (uint64_t)from[1] << 32;
    pattern->n = from[2];
    pattern->observed = pattern->missing = 0;
    for (int c = 0; c < data->q; c++)
        if (mask >> c & 1)
            pattern->o[pattern->observed++] = c;
        else
            pattern->m[pattern->missing++] = c;
    pattern->cross = from + 2;
    return at + 2 + (size_t)(pattern->observed + 1) * (size_t)(pattern->observed + 1);
}

int cx_em_cholesky(int n, double *a, double floor)
{
    int replaced = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            for (int k = 0; k < j; k++)
                sum -= a[i * n + k] * a[j * n + k];
            if (i == j && !(sum > floor)) {
                sum = floor;
                replaced++;
            }
            a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
        }
    return replaced;
}

void cx_em_substitute(int n, const double *l, double *x)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++)
            x[i] -= l[i * n + k] * x[k];
        x[i] /= l[i * n + i];
    }
    for (int i = n - 1; i >= 0; i--) {
        x[i] /= l[i * n + i];
        for (int k = 0; k < i; k++) /* by rows of L: in order in memory */
            x[k] -= l[i * n + k] * x[i];
    }
}

/* L⁻¹ below the diagonal, then L⁻ᵀL⁻¹ in its place, row by row: row i needs only rows from i on. */
void cx_em_invert(int n, const double *l, double *inverse)
{
    for (int i = 0; i < n; i++) {
        double over = 1 / l[i * n + i];
        for (int j = 0; j < i; j++) {
            double sum = 0;
            for (int k = j; k < i; k++)
                sum -= l[i * n + k] * inverse[k * n + j];
            inverse[i * n + j] = sum * over;
        }
        inverse[i * n + i] = over;
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            double sum = 0;
            for (int k = i; k < n; k++)
                sum += inverse[k * n + i] * inverse[k * n + j];
            inverse[i * n + j] = sum;
        }
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            inverse[i * n + j] = inverse[j * n + i];
}
