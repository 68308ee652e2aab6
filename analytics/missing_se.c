/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Standard errors under missing answers: the observed information, analytically.
 *
 * Parameters: the means and Σ_ij, i ≤ j. For a pattern with A = Σ_OO⁻¹, v = Ad, C = ADA − nA/2,
 * and E, F the symmetric unit matrices of two covariances, minus the second derivatives of the
 * log-likelihood are
 *   means: nA;   mean a, Σ_E: (AEv)_a;   Σ_E, Σ_F: tr(EAFC),
 * zero for what the pattern did not observe. Observed, not expected: only then do the errors hold
 * when answers are missing at random (Kenward & Molenberghs 1998).
 * Delta method: β = Σ_xx⁻¹Σ_xy, dβ = Σ_xx⁻¹(dΣ_xy − dΣ_xx β).
 * Cost: patterns × (q²/2)² and (q²/2)³/6; a third of a second for forty drivers. */
#include "analytics/missing_parts.h"

#include <math.h>

struct information {
    int q, k; /* parameters: q + q(q + 1)/2 */
    const struct cx_em_data *data;
    double *mu, *sigma;                /* standardised */
    double *a, *d, *c, *v, *matrix;    /* matrix k × k */
    double *inverse, *beta, *gradient; /* Σ_xx⁻¹ (q − 1)², β, k */
};

static size_t parameters(int q)
{
    return (size_t)q * (size_t)(q + 3) / 2;
}

size_t cx_em_errors_work(int q, int patterns)
{
    size_t k = parameters(q), square = (size_t)q * (size_t)q;
    return cx_em_data_size(q, patterns) + k * k + k + 5 * square + 4 * (size_t)q;
}

static void lay_out(struct information *s, struct cx_em_data *data, int q, double *work)
{
    size_t square = (size_t)q * (size_t)q;
    s->q = q;
    s->k = (int)parameters(q);
    s->data = data;
    s->mu = work;
    s->v = s->mu + q;
    s->beta = s->v + q;
    s->sigma = s->beta + 2 * q; /* 2q: a spare column for the inverse */
    s->a = s->sigma + square;
    s->d = s->a + square;
    s->c = s->d + square;
    s->inverse = s->c + square;
    s->gradient = s->inverse + square;
    s->matrix = s->gradient + s->k;
    data->packed = s->matrix + (size_t)s->k * (size_t)s->k;
}

/* Index of Σ_ij among the parameters. */
static int at_sigma(int q, int i, int j)
{
    int low = i < j ? i : j, high = i < j ? j : i;
    return q + low * (2 * q - low + 1) / 2 + (high - low);
}

/* inverse (n × n) of LL'; column is room for n. */
static void invert(int n, const double *l, double *inverse, double *column)
{
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++)
            column[j] = i == j;
        cx_em_substitute(n, l, column);
        for (int j = 0; j < n; j++)
            inverse[j * n + i] = column[j];
    }
}

/* A, v and C of a pattern. */
static void derive(struct information *s, const struct cx_em_pattern *p)
{
    int n = p->observed, q = s->q;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            s->c[i * n + j] = s->sigma[p->o[i] * q + p->o[j]];
    cx_em_cholesky(n, s->c, 1e-12);
    invert(n, s->c, s->a, s->v);
    for (int i = 0; i < n; i++) {
        double x = s->mu[p->o[i]];
        for (int j = 0; j < n; j++) {
            double y = s->mu[p->o[j]];
            s->d[i * n + j] = p->product[i * n + j] - x * p->sum[j] - p->sum[i] * y + p->n * x * y;
        }
        s->v[i] = 0;
        for (int j = 0; j < n; j++)
            s->v[i] += s->a[i * n + j] * (p->sum[j] - p->n * s->mu[p->o[j]]);
    }
    for (int i = 0; i < n; i++) { /* row i of AD, then of ADA − nA/2 */
        double row[CX_COLUMNS_MAX];
        for (int j = 0; j < n; j++) {
            row[j] = 0;
            for (int m = 0; m < n; m++)
                row[j] += s->a[i * n + m] * s->d[m * n + j];
        }
        for (int j = 0; j < n; j++) {
            double sum = -p->n / 2 * s->a[i * n + j];
            for (int m = 0; m < n; m++)
                sum += row[m] * s->a[m * n + j];
            s->c[i * n + j] = sum;
        }
    }
}

/* tr(EAFC) of E = (i, j), F = (k, m): over both orders of each pair, once when it is one. */
static double curvature(const struct information *s, int n, const int pair[4])
{
    const double *a = s->a, *c = s->c;
    int i = pair[0] * n, j = pair[1] * n, k = pair[2], m = pair[3];
    double sum = a[j + k] * c[i + m];
    if (i != j)
        sum += a[i + k] * c[j + m];
    if (k != m)
        sum += a[j + m] * c[i + k];
    if (i != j && k != m)
        sum += a[i + m] * c[j + k];
    return sum;
}

static void add_pattern(struct information *s, const struct cx_em_pattern *p)
{
    int n = p->observed, q = s->q;
    size_t k = (size_t)s->k;
    derive(s, p);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++)
            s->matrix[(size_t)p->o[i] * k + (size_t)p->o[j]] += p->n * s->a[i * n + j];
        for (int j = i; j < n; j++) {
            double *row = &s->matrix[(size_t)at_sigma(q, p->o[i], p->o[j]) * k];
            for (int m = 0; m < n; m++) {
                double term = s->a[m * n + i] * s->v[j];
                row[p->o[m]] += i == j ? term : term + s->a[m * n + j] * s->v[i];
            }
            for (int e = 0; e < n; e++)
                for (int f = e; f < n; f++) {
                    int column = at_sigma(q, p->o[e], p->o[f]);
                    if (column <= at_sigma(q, p->o[i], p->o[j])) /* below the diagonal only */
                        row[column] += curvature(s, n, (const int[4]){i, j, e, f});
                }
        }
    }
}

/* Σ_xx⁻¹ and β in standardised units; returns the residual variance. */
static double regress(struct information *s)
{
    int p = s->q - 1, q = s->q;
    for (int i = 0; i < p; i++)
        for (int j = 0; j < p; j++)
            s->a[i * p + j] = s->sigma[i * q + j];
    cx_em_cholesky(p, s->a, 1e-12);
    invert(p, s->a, s->inverse, s->beta + q);
    double residual = s->sigma[p * q + p];
    for (int j = 0; j < p; j++) {
        s->beta[j] = 0;
        for (int m = 0; m < p; m++)
            s->beta[j] += s->inverse[j * p + m] * s->sigma[m * q + p];
        residual -= s->beta[j] * s->sigma[j * q + p];
    }
    return residual;
}

/* Adds times × dβ_j to the gradient. */
static void add_slope(struct information *s, int j, double times)
{
    int p = s->q - 1;
    const double *x = &s->inverse[j * p];
    for (int i = 0; i < p; i++) {
        s->gradient[at_sigma(s->q, i, p)] += times * x[i];
        for (int k = i; k < p; k++) {
            double term = x[i] * s->beta[k] + (i == k ? 0 : x[k] * s->beta[i]);
            s->gradient[at_sigma(s->q, i, k)] -= times * term;
        }
    }
}

/* Variance of the quantity whose gradient stands: |L⁻¹g|². */
static double variance(struct information *s)
{
    double sum = 0;
    for (int i = 0; i < s->k; i++) {
        const double *row = &s->matrix[(size_t)i * (size_t)s->k];
        for (int m = 0; m < i; m++)
            s->gradient[i] -= row[m] * s->gradient[m];
        s->gradient[i] /= row[i];
        sum += s->gradient[i] * s->gradient[i];
    }
    return sum;
}

static void write(struct information *s, const struct cx_em *em, const int *decimals,
                  struct cx_em_errors *out)
{
    int p = s->q - 1;
    double unit[CX_COLUMNS_MAX], residual = regress(s);
    for (int j = 0; j <= p; j++)
        unit[j] = s->data->scale[j] / cx_dd_ten(decimals ? decimals[em->index[j]] : 0);
    double widen = sqrt(em->n_outcome / (em->n_outcome - p - 1));
    for (int j = -1; j < p; j++) {
        for (int i = 0; i < s->k; i++)
            s->gradient[i] = 0;
        if (j >= 0)
            add_slope(s, j, unit[p] / unit[j]);
        for (int i = 0; j < 0 && i < p; i++) { /* b_0 = μ_y − Σ μ_j β_j, from the true origin */
            add_slope(s, i, -unit[p] * (s->mu[i] + s->data->shift[i] / s->data->scale[i]));
            s->gradient[i] -= unit[p] * s->beta[i];
        }
        if (j < 0)
            s->gradient[p] += unit[p];
        out->observed[j + 1] = sqrt(variance(s));
        out->se[j + 1] = out->observed[j + 1] * widen;
        if (j < 0)
            continue;
        double complete = residual * s->inverse[j * p + j] / em->n_outcome;
        complete *= unit[p] / unit[j] * (unit[p] / unit[j]);
        out->fmi[j] = 1 - complete / (out->observed[j + 1] * out->observed[j + 1]);
    }
    out->df = em->n_outcome * (1 - em->missing) - p - 1;
}

bool cx_em_errors(struct cx_em_errors *errors, const struct cx_em *em, const struct cx_set *set,
                  const int *decimals, double *work)
{
    struct information s;
    struct cx_em_data data;
    struct cx_em again = *em; /* loading counts rows anew */
    struct cx_em_pattern p;
    int q = em->columns;
    lay_out(&s, &data, q, work);
    if (!cx_em_load(&data, &again, set))
        return false;
    for (int i = 0; i < q; i++) {
        double a = cx_dd_ten(decimals ? decimals[em->index[i]] : 0);
        s.mu[i] = (em->mu[i] * a - data.shift[i]) / data.scale[i];
        for (int j = 0; j < q; j++) {
            double b = cx_dd_ten(decimals ? decimals[em->index[j]] : 0);
            s.sigma[i * q + j] = em->sigma[i * q + j] * a * b / (data.scale[i] * data.scale[j]);
        }
    }
    for (size_t i = 0; i < (size_t)s.k * (size_t)s.k; i++)
        s.matrix[i] = 0;
    size_t at = 0;
    for (int k = 0; k < data.patterns; k++) {
        at = cx_em_pattern(&data, at, &p);
        add_pattern(&s, &p);
    }
    /* a covariance that nobody saw has no information: its pivot is 0 */
    if (cx_em_cholesky(s.k, s.matrix, 1e-9) > 0)
        return false;
    write(&s, em, decimals, errors);
    return true;
}
