/* SPDX-License-Identifier: GPL-3.0-or-later */
/* EM on pattern statistics.
 *
 * Problem: two thirds of the rows of a long survey have something missing. Way: the likelihood of a
 * normal model needs of each pattern only its count, sums and cross-products, so the cost of an
 * iteration depends on the number of patterns, not of rows. Columns are standardised by the rows
 * that have them, so one tolerance fits all. Hazards: a duplicated driver makes Σ singular, which
 * is noticed by its pivot and reported (the caller leaves the column out and starts again);
 * convergence is linear, at a rate of the missing information, so the tolerance is set far below
 * what is published. */
#include "analytics/missing_parts.h"

#include "analytics/distribution.h"

#define PIVOT_SINGULAR 1e-8 /* final estimates below this are reported as dependent */
#define LOG_2PI 1.8378770664093454836

size_t cx_em_work(int q, int patterns)
{
    return cx_em_data_size(q, patterns) + cx_em_step_size(q);
}

/* −½ Σ [n(o ln 2π + ln|Σ_OO|) + tr(Σ_OO⁻¹D)], in the units of the data. */
static double log_likelihood(struct cx_em_step *s, const struct cx_em *em, const int *decimals)
{
    double total = isnan(s->fit) ? cx_em_misfit(s) : s->fit;
    struct cx_em_pattern p;
    size_t at = 0;
    for (int k = 0; k < s->data->patterns; k++) {
        at = cx_em_pattern(s->data, at, &p);
        for (int i = 0; i < p.observed; i++) {
            double ten = cx_dd_ten(decimals ? decimals[em->index[p.o[i]]] : 0);
            total += p.n * (LOG_2PI + 2 * log(s->data->scale[p.o[i]] / ten));
        }
    }
    return -total / 2;
}

static void begin(struct cx_em_step *s, const struct cx_em *em, const struct cx_em_options *options)
{
    int q = em->columns;
    const struct cx_em *warm = options->warm;
    for (int i = 0; i < q; i++) {
        double ten = cx_dd_ten(options->decimals ? options->decimals[em->index[i]] : 0);
        s->mu[i] = warm ? (warm->mu[i] * ten - s->data->shift[i]) / s->data->scale[i] : 0;
        for (int j = 0; j < q; j++) {
            double other = cx_dd_ten(options->decimals ? options->decimals[em->index[j]] : 0);
            double size = s->data->scale[i] * s->data->scale[j];
            s->sigma[i * q + j] = warm ? warm->sigma[i * q + j] * ten * other / size : i == j;
        }
    }
}

/* Writes estimates in the units of the data; the first column that depends on those before, or −1.
 */
static int finish(struct cx_em_step *s, struct cx_em *em, const int *decimals)
{
    int q = em->columns, dependent = -1;
    for (int i = 0; i < q; i++) {
        double a = s->data->scale[i] / cx_dd_ten(decimals ? decimals[em->index[i]] : 0);
        double origin = s->data->shift[i] / cx_dd_ten(decimals ? decimals[em->index[i]] : 0);
        em->mu[i] = origin + s->mu[i] * a;
        for (int j = 0; j < q; j++) {
            double b = s->data->scale[j] / cx_dd_ten(decimals ? decimals[em->index[j]] : 0);
            em->sigma[i * q + j] = s->sigma[i * q + j] * a * b;
            s->l[i * q + j] = s->sigma[i * q + j] / sqrt(s->sigma[i * q + i] * s->sigma[j * q + j]);
        }
    }
    cx_em_cholesky(q, s->l, CX_EM_PIVOT_FLOOR / 100);
    for (int i = 0; i < q - 1 && dependent < 0; i++) /* a perfect fit of the outcome is none */
        if (s->l[i * q + i] * s->l[i * q + i] < PIVOT_SINGULAR)
            dependent = em->index[i];
    return dependent;
}

static enum cx_em_status run(struct cx_em *em, struct cx_em_step *s,
                             const struct cx_em_options *options)
{
    double tolerance = options->tolerance > 0 ? options->tolerance : 1e-11, change;
    int most = options->iterations_max > 0 ? options->iterations_max : 2000;
    begin(s, em, options);
    change = cx_em_converge(s, tolerance, most, &em->iterations);
    em->ridged = s->floored > 0;
    em->column = finish(s, em, options->decimals);
    if (em->column >= 0)
        return CX_EM_SINGULAR;
    em->log_likelihood = log_likelihood(s, em, options->decimals);
    return change <= tolerance ? CX_EM_OK : CX_EM_NOT_CONVERGED;
}

enum cx_em_status cx_em(struct cx_em *em, const struct cx_set *set, uint64_t columns,
                        const struct cx_em_options *options, double *work)
{
    const struct cx_em_options defaults = {0};
    options = options ? options : &defaults;
    em->columns = em->iterations = 0;
    em->column = -1;
    em->ridged = false;
    em->log_likelihood = NAN;
    for (uint64_t rest = columns; rest; rest &= rest - 1)
        em->index[em->columns++] = __builtin_ctzll(rest);
    struct cx_em_step s;
    struct cx_em_data data = {.q = em->columns, .packed = work + cx_em_step_size(em->columns)};
    cx_em_step_lay_out(&s, &data, work);
    bool fine = cx_em_load(&data, em, set);
    em->n = data.n;
    em->n_outcome = data.n_outcome;
    em->patterns = data.patterns;
    if (!fine) {
        bool outcome = em->column == em->index[em->columns - 1];
        struct cx_set_counts counts;
        cx_set_count(set, &counts);
        return outcome && counts.answered[em->column] == 0 ? CX_EM_NO_ROWS : CX_EM_EMPTY_COLUMN;
    }
    if (data.n_outcome < em->columns + 1)
        return CX_EM_TOO_FEW;
    return run(em, &s, options);
}

/* ---- from estimates to a fit ----------------------------------------------------------------- */

void cx_em_cross(const struct cx_em *em, struct cx_cross *cross)
{
    int q = em->columns;
    *cross = (struct cx_cross){.columns = q, .centred = true, .n = em->rows};
    cross->n_effective = em->n_outcome;
    cross->noise = 1e-13; /* the estimates are doubles */
    for (int i = 0; i < q; i++) {
        cross->mean[i] = cx_dd_of(em->mu[i]);
        cross->variance[i] = cx_dd_of(em->sigma[i * q + i]);
        for (int j = 0; j < q; j++) {
            struct cx_dd size =
                cx_dd_sqrt(cx_dd_product(em->sigma[i * q + i], em->sigma[j * q + j]));
            double c = (em->sigma[i * q + j] + em->sigma[j * q + i]) / 2;
            CX_CROSS(cross, i, j) = i == j ? cx_dd_of(1) : cx_dd_div(cx_dd_of(c), size);
        }
    }
}

void cx_em_tests(struct cx_fit *fit, const struct cx_em_errors *errors, double level)
{
    double reach = cx_t_quantile(level > 0 ? level : 0.95, errors->df);
    fit->df = errors->df;
    fit->few_df = !(errors->df >= 10);
    for (int i = 0; i <= fit->drivers; i++) {
        if (isnan(fit->coef[i]))
            continue;
        fit->se[i] = errors->se[i];
        fit->t[i] = fit->coef[i] / fit->se[i];
        fit->p[i] = cx_t_two_sided(fit->t[i], errors->df);
        fit->low[i] = fit->coef[i] - reach * fit->se[i];
        fit->high[i] = fit->coef[i] + reach * fit->se[i];
    }
}

/* ---- pairwise -------------------------------------------------------------------------------- */

/* Both columns (i = j: the one) over the rows that have them. */
static void pair(const struct cx_set *set, int i, int j, const int *decimals, struct cx_cross *out)
{
    cx_wide block[8]; /* cx_moments_cells(2) */
    uint64_t both = UINT64_C(1) << i | UINT64_C(1) << j;
    int low = i < j ? i : j, high = i < j ? j : i;
    const int tens[2] = {decimals ? decimals[low] : 0, decimals ? decimals[high] : 0};
    if (!cx_set_complete(set, both, block))
        block[CX_MOMENTS_WEIGHT] = 0;
    cx_cross_from_moments(out, block, i == j ? 1 : 2, tens, true);
}

void cx_pairwise_cross(const struct cx_set *set, uint64_t columns, const int *decimals,
                       struct cx_cross *cross, int64_t *pairs)
{
    int index[CX_COLUMNS_MAX], q = 0;
    for (uint64_t rest = columns; rest; rest &= rest - 1)
        index[q++] = __builtin_ctzll(rest);
    struct cx_cross two;
    double sum = 0;
    *cross = (struct cx_cross){.columns = q, .centred = true, .noise = 4 * CX_DD_EPSILON};
    *pairs = INT64_MAX;
    for (int i = 0; i < q; i++) {
        pair(set, index[i], index[i], decimals, &two);
        cross->mean[i] = two.mean[0];
        cross->variance[i] = two.variance[0];
        cross->constant |= two.constant << i;
        cross->n = two.n; /* in the end: of the outcome */
        CX_CROSS(cross, i, i) = cx_dd_of(1);
        for (int j = 0; j < i; j++) {
            pair(set, index[j], index[i], decimals, &two);
            CX_CROSS(cross, i, j) = CX_CROSS(cross, j, i) = CX_CROSS(&two, 0, 1);
            *pairs = two.n < *pairs ? two.n : *pairs;
            sum += two.n_effective;
        }
    }
    cross->n_effective = q > 1 ? sum / (q * (q - 1) / 2) : 0;
}

bool cx_cross_is_proper(const struct cx_cross *cross, double *work)
{
    int q = cross->columns;
    for (int i = 0; i < q * q; i++)
        work[i] = CX_CROSS(cross, i / q, i % q).hi;
    return cx_em_cholesky(q, work, CX_EM_PIVOT_FLOOR) == 0;
}
