/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Exact pattern sums to standardised doubles. Centring is done in double-double, before the
 * rounding: a pattern's mean may be far from 0 and its spread small. Rows are counted in effective
 * ones: the sum of weights is scaled to Kish's n. */
#include "analytics/missing_parts.h"

#include <math.h>

size_t cx_em_data_size(int q, int patterns)
{
    return (size_t)patterns * ((size_t)q * (size_t)q + (size_t)q + 3);
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
    for (int c = 0; c < em->columns; c++) {
        struct cx_dd weight = {0, 0}, sum = {0, 0}, square = {0, 0};
        uint64_t bit = UINT64_C(1) << em->index[c];
        for (int i = 0; i < set->count; i++) {
            const struct cx_pattern *p = &set->pattern[i];
            if (!(p->observed & bit))
                continue;
            int q = cx_mask_count(p->observed), at = cx_mask_count(p->observed & (bit - 1));
            weight = cx_dd_add(weight, cx_wide_to_dd(p->cell[CX_MOMENTS_WEIGHT]));
            sum = cx_dd_add(sum, cx_wide_to_dd(p->cell[cx_moments_at(q, 0, at + 1)]));
            square = cx_dd_add(square, cx_wide_to_dd(p->cell[cx_moments_at(q, at + 1, at + 1)]));
        }
        struct cx_dd centred = cx_dd_sub(cx_dd_mul(weight, square), cx_dd_mul(sum, sum));
        em->column = em->index[c];
        if (!(weight.hi > 0) || centred.hi <= 64 * CX_DD_EPSILON * weight.hi * square.hi)
            return false;
        data->shift[c] = sum.hi / weight.hi;
        data->scale[c] = sqrt(centred.hi) / weight.hi;
    }
    em->column = -1;
    return true;
}

/* Σw(z_i − a)(z_j − b) = S_ij − aS_j − bS_i + abW in double-double: nothing cancels. */
static void pack(const struct cx_em_data *data, const struct cx_pattern *p, const int *place,
                 const int *column, int count, double *to)
{
    int q = cx_mask_count(p->observed);
    double per_weight = data->per_weight;
    struct cx_dd weight = cx_wide_to_dd(p->cell[CX_MOMENTS_WEIGHT]), s[CX_COLUMNS_MAX];
    for (int i = 0; i < count; i++) {
        double a = data->shift[column[i]];
        s[i] = cx_wide_to_dd(p->cell[cx_moments_at(q, 0, place[i] + 1)]);
        to[i] = cx_dd_sub(s[i], cx_dd_scale(weight, a)).hi * per_weight / data->scale[column[i]];
    }
    double *product = to + count;
    for (int i = 0; i < count; i++)
        for (int j = i; j < count; j++) {
            double a = data->shift[column[i]], b = data->shift[column[j]];
            struct cx_dd c = cx_wide_to_dd(p->cell[cx_moments_at(q, place[i] + 1, place[j] + 1)]);
            c = cx_dd_sub(c, cx_dd_add(cx_dd_scale(s[j], a), cx_dd_scale(s[i], b)));
            c = cx_dd_add(c, cx_dd_mul(weight, cx_dd_product(a, b)));
            double size = data->scale[column[i]] * data->scale[column[j]];
            product[i * count + j] = product[j * count + i] = c.hi * per_weight / size;
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
        to[0] = (double)p->cell[CX_MOMENTS_WEIGHT] * per_weight;
        to[1] = (double)(uint32_t)mask;
        to[2] = (double)(uint32_t)(mask >> 32);
        pack(data, p, place, column, count, to + 3);
        tell(em, p, count, outcome);
        data->n += to[0];
        data->n_outcome += outcome ? to[0] : 0;
        data->patterns++;
        to += 3 + count + count * count;
    }
    if (data->n_outcome > 0 && em->columns > 1)
        em->missing *= per_weight / (data->n_outcome * (em->columns - 1));
    return true;
}

size_t cx_em_pattern(const struct cx_em_data *data, size_t at, struct cx_em_pattern *pattern)
{
    const double *from = data->packed + at;
    uint64_t mask = (uint64_t)from[1] | (uint64_t)from[2] << 32;
    pattern->n = from[0];
    pattern->observed = pattern->missing = 0;
    for (int c = 0; c < data->q; c++)
        if (mask >> c & 1)
            pattern->o[pattern->observed++] = c;
        else
            pattern->m[pattern->missing++] = c;
    pattern->sum = from + 3;
    pattern->product = pattern->sum + pattern->observed;
    return at + 3 + (size_t)pattern->observed * (size_t)(pattern->observed + 1);
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
