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
 * Entries are sums over patterns of A_ab·C_cd and A_ab·v_c, so these products are summed first, all
 * at once, and put together once at the end.
 * Cost: patterns × (q²/2)² and (q²/2)³/6; half a second for forty drivers. */
#include "analytics/missing_parts.h"

#include <math.h>

#define BATCH 8 /* patterns that are added together */

struct information {
    int q, k, pairs; /* parameters: q + pairs, pairs = q(q + 1)/2 */
    const struct cx_em_data *data;
    double *mu, *sigma;                /* standardised */
    double *a, *d, *c, *v, *matrix;    /* matrix k × k */
    double *inverse, *beta, *gradient; /* Σ_xx⁻¹ (q − 1)², β, k */
    double *as, *cs;                   /* of a batch: A; C, then v. 0 where not observed */
    double *means, *outer;             /* Σ nA; Σ A × (C, v), pairs × (pairs + q) */
    int waiting;                       /* in the batch */
};

static size_t parameters(int q)
{
    return (size_t)q * (size_t)(q + 3) / 2;
}

size_t cx_em_errors_work(int q, int patterns)
{
    size_t k = parameters(q), square = (size_t)q * (size_t)q, pairs = k - (size_t)q;
    return cx_em_data_size(q, patterns) + k * k + k + 5 * square + 4 * (size_t)q +
           BATCH * (pairs + k) + pairs + pairs * k;
}

static void lay_out(struct information *s, struct cx_em_data *data, int q, double *work)
{
    size_t square = (size_t)q * (size_t)q, k = parameters(q), pairs = k - (size_t)q;
    s->q = q;
    s->k = (int)k;
    s->pairs = (int)pairs;
    s->data = data;
    s->mu = work;
    s->v = s->mu + q;
    s->beta = s->v + q;
    s->sigma = s->beta + q;
    s->a = s->sigma + square;
    s->d = s->a + square;
    s->c = s->d + square;
    s->inverse = s->c + square;
    s->gradient = s->inverse + square;
    s->matrix = s->gradient + k;
    s->as = s->matrix + k * k;
    s->cs = s->as + BATCH * pairs;
    s->means = s->cs + BATCH * k;
    s->outer = s->means + pairs;
    data->packed = s->outer + pairs * k;
    for (double *at = s->matrix; at < data->packed; at++)
        *at = 0;
    s->waiting = 0;
}

/* Index of the pair i, j. */
static int at_pair(int q, int i, int j)
{
    int low = i < j ? i : j, high = i < j ? j : i;
    return low * (2 * q - low + 1) / 2 + (high - low);
}

/* Index of Σ_ij among the parameters. */
static int at_sigma(int q, int i, int j)
{
    return q + at_pair(q, i, j);
}

/* to = a × b, n × n each, by rows. */
static void multiply(int n, const double *a, const double *restrict b, double *restrict to)
{
    for (int i = 0; i < n; i++, to += n) {
        for (int j = 0; j < n; j++)
            to[j] = 0;
        for (int m = 0; m < n; m++)
            for (int j = 0; j < n; j++)
                to[j] += a[i * n + m] * b[m * n + j];
    }
}

/* A, v and C of a pattern. */
static void derive(struct information *s, const struct cx_em_pattern *p)
{
    int n = p->observed, q = s->q, wide = n + 1;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            s->c[i * n + j] = s->sigma[p->o[i] * q + p->o[j]];
    cx_em_cholesky(n, s->c, 1e-12);
    cx_em_invert(n, s->c, s->a);
    for (int i = 0; i < n; i++) {
        double x = s->mu[p->o[i]];
        const double *row = &p->cross[(i + 1) * wide];
        for (int j = 0; j < n; j++) {
            double y = s->mu[p->o[j]];
            s->d[i * n + j] = row[j + 1] - x * p->cross[j + 1] - row[0] * y + p->n * x * y;
        }
        s->v[i] = 0;
        for (int j = 0; j < n; j++)
            s->v[i] += s->a[i * n + j] * (p->cross[j + 1] - p->n * s->mu[p->o[j]]);
    }
    multiply(n, s->a, s->d, s->inverse); /* free until the end */
    multiply(n, s->inverse, s->a, s->c);
    for (int i = 0; i < n * n; i++)
        s->c[i] -= p->n / 2 * s->a[i];
}

/* Adds the batch: outer += Σ A × (C, v). */
static void add_batch(struct information *s)
{
    const int pairs = s->pairs, k = s->k;
    for (int e = 0; e < pairs && s->waiting; e++) {
        double *restrict to = &s->outer[(size_t)e * (size_t)k];
        for (int b = 0; b < BATCH; b += 4) {
            const double *restrict c = &s->cs[b * k];
            double a0 = s->as[b * pairs + e], a1 = s->as[(b + 1) * pairs + e];
            double a2 = s->as[(b + 2) * pairs + e], a3 = s->as[(b + 3) * pairs + e];
            if (a0 == 0 && a1 == 0 && a2 == 0 && a3 == 0)
                continue;
            for (int f = 0; f < k; f++)
                to[f] += (a0 * c[f] + a1 * c[k + f]) + (a2 * c[2 * k + f] + a3 * c[3 * k + f]);
        }
    }
    for (int i = 0; i < BATCH * pairs; i++)
        s->as[i] = 0;
    for (int i = 0; i < BATCH * k; i++)
        s->cs[i] = 0;
    s->waiting = 0;
}

static void add_pattern(struct information *s, const struct cx_em_pattern *p)
{
    int n = p->observed, q = s->q;
    double *a = &s->as[s->waiting * s->pairs], *c = &s->cs[s->waiting * s->k];
    derive(s, p);
    for (int i = 0; i < n; i++) {
        c[s->pairs + p->o[i]] = s->v[i];
        for (int j = i; j < n; j++) {
            int at = at_pair(q, p->o[i], p->o[j]);
            a[at] = s->a[i * n + j];
            c[at] = (s->c[i * n + j] + s->c[j * n + i]) / 2;
            s->means[at] += p->n * s->a[i * n + j];
        }
    }
    if (++s->waiting == BATCH)
        add_batch(s);
}

/* Σ A_ab·C_cd */
static double outer(const struct information *s, int a, int b, int c, int d)
{
    size_t row = (size_t)at_pair(s->q, a, b) * (size_t)s->k;
    return s->outer[row + (size_t)at_pair(s->q, c, d)];
}

/* Σ tr(EAFC) of E = (i, j), F = (k, m): over both orders of each pair, once when it is one. */
static double curvature(const struct information *s, int i, int j, int k, int m)
{
    double sum = outer(s, j, k, i, m);
    if (i != j)
        sum += outer(s, i, k, j, m);
    if (k != m)
        sum += outer(s, j, m, i, k);
    if (i != j && k != m)
        sum += outer(s, i, m, j, k);
    return sum;
}

/* The information below its diagonal, from the sums over patterns. */
static void assemble(struct information *s)
{
    int q = s->q;
    size_t k = (size_t)s->k;
    for (int i = 0; i < q; i++)
        for (int j = 0; j < q; j++)
            s->matrix[(size_t)i * k + (size_t)j] = s->means[at_pair(q, i, j)];
    for (int i = 0; i < q; i++)
        for (int j = i; j < q; j++) {
            double *row = &s->matrix[(size_t)at_sigma(q, i, j) * k];
            for (int m = 0; m < q; m++) {
                const double *with_i = &s->outer[(size_t)at_pair(q, m, i) * k + (size_t)s->pairs];
                const double *with_j = &s->outer[(size_t)at_pair(q, m, j) * k + (size_t)s->pairs];
                row[m] = i == j ? with_i[j] : with_i[j] + with_j[i];
            }
            for (int e = 0; e <= i; e++)
                for (int f = e; f < q && at_pair(q, e, f) <= at_pair(q, i, j); f++)
                    row[at_sigma(q, e, f)] = curvature(s, i, j, e, f);
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
    cx_em_invert(p, s->a, s->inverse);
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

/* The factor of the information at the estimates. False: not positive definite. */
static bool inform(struct information *s, struct cx_em_data *data, const struct cx_em *em,
                   const struct cx_set *set, const int *decimals)
{
    struct cx_em again = *em; /* loading counts rows anew */
    struct cx_em_pattern p;
    int q = em->columns;
    if (!cx_em_load(data, &again, set))
        return false;
    for (int i = 0; i < q; i++) {
        double a = cx_dd_ten(decimals ? decimals[em->index[i]] : 0);
        s->mu[i] = (em->mu[i] * a - data->shift[i]) / data->scale[i];
        for (int j = 0; j < q; j++) {
            double b = cx_dd_ten(decimals ? decimals[em->index[j]] : 0);
            s->sigma[i * q + j] = em->sigma[i * q + j] * a * b / (data->scale[i] * data->scale[j]);
        }
    }
    size_t at = 0;
    for (int k = 0; k < data->patterns; k++) {
        at = cx_em_pattern(data, at, &p);
        add_pattern(s, &p);
    }
    add_batch(s);
    assemble(s);
    /* a covariance that nobody saw has no information: its pivot is 0 */
    return cx_em_cholesky(s->k, s->matrix, 1e-9) == 0;
}

bool cx_em_errors(struct cx_em_errors *errors, const struct cx_em *em, const struct cx_set *set,
                  const int *decimals, double *work)
{
    struct information s;
    struct cx_em_data data;
    lay_out(&s, &data, em->columns, work);
    if (!inform(&s, &data, em, set, decimals))
        return false;
    write(&s, em, decimals, errors);
    return true;
}

bool cx_em_covariance(double *covariance, const struct cx_em *em, const struct cx_set *set,
                      const int *decimals, double *work, double *room)
{
    struct information s;
    struct cx_em_data data;
    int p = em->columns - 1;
    lay_out(&s, &data, em->columns, work);
    if (!inform(&s, &data, em, set, decimals))
        return false;
    regress(&s);
    for (int j = 0; j <= p; j++)
        s.v[j] = data.scale[j] / cx_dd_ten(decimals ? decimals[em->index[j]] : 0);
    for (int j = 0; j < p; j++) { /* L⁻¹ of each gradient; their products are the covariances */
        double *own = &room[j * s.k];
        for (int i = 0; i < s.k; i++)
            s.gradient[i] = 0;
        add_slope(&s, j, s.v[p] / s.v[j]);
        variance(&s);
        for (int i = 0; i < s.k; i++)
            own[i] = s.gradient[i];
        for (int m = 0; m <= j; m++) {
            double sum = 0;
            for (int i = 0; i < s.k; i++)
                sum += own[i] * room[m * s.k + i];
            covariance[j * p + m] = covariance[m * p + j] = sum;
        }
    }
    return true;
}
