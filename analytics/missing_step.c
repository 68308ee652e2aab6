/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Iterations of EM.
 *
 * Problem: an analysis runs EM a dozen times over hundreds of patterns. Way: the E step of a
 * pattern needs the regression of its missing columns on its observed ones, B, and their residual
 * covariance, C. With K = Σ⁻¹, inverted once an iteration, C = K_MM⁻¹ and B = −C·K_MO: the cost is
 * that of the few missing columns, and a complete pattern costs nothing, as its sums never change.
 * Sums are about a fixed origin with a constant column (B has an intercept), so no pattern is
 * centred again. The log-likelihood comes along: ln|Σ_OO| = ln|Σ| + ln|K_MM| and
 * Σ tr(Σ_OO⁻¹D) = tr(K·T2) − Σ n·|M|.
 * Two steps are extrapolated by SQUAREM (Varadhan & Roland 2008, scheme S3); an extrapolation
 * that is not positive definite or less likely than the step before is given up.
 * Hazard: Σ nearly singular (copies of a driver, a perfect fit): K would be noise. Then B comes
 * from a Cholesky factor of each Σ_OO with floored pivots, without extrapolation. */
#include <math.h>

#include "analytics/missing_parts.h"

#define PIVOT_INVERT 1e-6 /* smallest pivot of Σ for which it is inverted */
#define STEP_MAX 32       /* of an extrapolation */
#define SLACK 1e-10       /* rounding of the fit, per row */

size_t cx_em_step_size(int q)
{
    size_t estimates = (size_t)q * (size_t)(q + 1), square = (size_t)(q + 1) * (size_t)(q + 1);
    return 3 * estimates + 7 * square;
}

void cx_em_step_lay_out(struct cx_em_step *s, const struct cx_em_data *data, double *work)
{
    size_t q = (size_t)data->q, square = (q + 1) * (q + 1);
    *s = (struct cx_em_step){.data = data, .mu = work, .sigma = work + q, .fit = NAN};
    s->start = s->mu + q * (q + 1);
    s->first = s->start + q * (q + 1);
    s->known = s->first + q * (q + 1);
    s->t = s->known + square;
    s->k = s->t + square;
    s->l = s->k + square;
    s->b = s->l + square;
    s->e = s->b + square;
    s->c = s->e + square;
}

/* ---- B and C of a pattern -------------------------------------------------------------------- */

/* K and ln|Σ|; or that Σ cannot be inverted. */
static void invert(struct cx_em_step *s)
{
    int q = s->data->q;
    double least = INFINITY;
    for (int i = 0; i < q * q; i++)
        s->l[i] = s->sigma[i];
    s->direct = cx_em_cholesky(q, s->l, CX_EM_PIVOT_FLOOR) > 0;
    s->log_det = 0;
    for (int i = 0; i < q; i++) {
        least = fmin(least, s->l[i * q + i]);
        s->log_det += 2 * log(s->l[i * q + i]);
    }
    s->direct |= least * least < PIVOT_INVERT;
    if (!s->direct)
        cx_em_invert(q, s->l, s->k);
}

/* From K; adds n·ln|Σ_OO| − n·|M| to the fit. */
static void regress_by_precision(struct cx_em_step *s, const struct cx_em_pattern *p)
{
    int n = p->observed, m = p->missing, q = s->data->q, wide = n + 1;
    double log_det = s->log_det;
    for (int i = 0; i < m; i++) {
        const double *row = &s->k[p->m[i] * q];
        for (int j = 0; j < m; j++)
            s->l[i * m + j] = row[p->m[j]];
        for (int j = 0; j < n; j++)
            s->e[i * wide + j + 1] = row[p->o[j]];
        s->e[i * wide] = 0;
    }
    cx_em_cholesky(m, s->l, 1e-300);
    cx_em_invert(m, s->l, s->c);
    for (int i = 0; i < m; i++) {
        double *restrict b = &s->b[i * wide];
        log_det += 2 * log(s->l[i * m + i]);
        for (int j = 0; j < wide; j++)
            b[j] = 0;
        for (int k = 0; k < m; k++) {
            const double *restrict e = &s->e[k * wide];
            double c = s->c[i * m + k];
            for (int j = 0; j < wide; j++)
                b[j] -= c * e[j];
        }
    }
    s->fit += p->n * (log_det - m);
}

/* From L of Σ_OO, its pivots floored. */
static void regress_directly(struct cx_em_step *s, const struct cx_em_pattern *p)
{
    int n = p->observed, m = p->missing, q = s->data->q, wide = n + 1;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            s->l[i * n + j] = s->sigma[p->o[i] * q + p->o[j]];
    s->floored += cx_em_cholesky(n, s->l, CX_EM_PIVOT_FLOOR);
    for (int i = 0; i < m; i++) {
        double *b = &s->b[i * wide];
        for (int j = 0; j < n; j++)
            b[j + 1] = s->sigma[p->m[i] * q + p->o[j]];
        cx_em_substitute(n, s->l, b + 1);
        for (int k = 0; k <= i; k++) {
            double c = s->sigma[p->m[i] * q + p->m[k]];
            for (int j = 0; j < n; j++)
                c -= s->b[k * wide + j + 1] * s->sigma[p->m[i] * q + p->o[j]];
            s->c[i * m + k] = s->c[k * m + i] = c;
        }
    }
}

/* ---- an iteration ---------------------------------------------------------------------------- */

/* e += b × rows, `wide` values each. */
static void combine(int wide, const double *b, const double *restrict rows, double *restrict e)
{
    int i = 0;
    for (; i + 4 <= wide; i += 4) {
        const double *restrict row = &rows[i * wide];
        double b0 = b[i], b1 = b[i + 1], b2 = b[i + 2], b3 = b[i + 3];
        for (int j = 0; j < wide; j++)
            e[j] += (b0 * row[j] + b1 * row[wide + j]) +
                    (b2 * row[2 * wide + j] + b3 * row[3 * wide + j]);
    }
    for (; i < wide; i++)
        for (int j = 0; j < wide; j++)
            e[j] += b[i] * rows[i * wide + j];
}

/* Adds what the pattern tells of its missing columns: below the diagonal among those. */
static void expect(struct cx_em_step *s, const struct cx_em_pattern *p)
{
    int n = p->observed, m = p->missing, wide = n + 1, across = s->data->q + 1;
    if (s->direct)
        regress_directly(s, p);
    else
        regress_by_precision(s, p);
    for (int i = 0; i < m; i++) {
        double *b = &s->b[i * wide], *e = &s->e[i * wide];
        double *to = &s->t[(p->m[i] + 1) * across];
        b[0] = s->mu[p->m[i]];
        for (int j = 0; j < n; j++)
            b[0] -= b[j + 1] * s->mu[p->o[j]];
        for (int j = 0; j < wide; j++)
            e[j] = 0;
        combine(wide, b, p->cross, e);
        to[0] += e[0];
        for (int j = 0; j < n; j++)
            to[p->o[j] + 1] += e[j + 1];
        for (int k = 0; k <= i; k++) {
            double sum = p->n * s->c[i * m + k];
            for (int j = 0; j < wide; j++)
                sum += e[j] * s->b[k * wide + j];
            to[p->m[k] + 1] += sum;
        }
    }
}

/* Adds tr(K·T2), T2 about the means the step began with. */
static void add_trace(struct cx_em_step *s)
{
    int q = s->data->q, across = q + 1;
    double n = s->data->n;
    for (int i = 0; i < q; i++)
        for (int j = 0; j < q; j++) {
            double a = s->mu[i], b = s->mu[j];
            double about = s->t[(i + 1) * across + j + 1] - a * s->t[j + 1] - b * s->t[i + 1];
            s->fit += s->k[i * q + j] * (about + n * a * b);
        }
}

/* t whole, above and below; its first row are the sums. */
static void complete(struct cx_em_step *s)
{
    int across = s->data->q + 1;
    for (int i = 0; i < across; i++)
        for (int j = 0; j <= i; j++) {
            double sum = s->known[i * across + j] + s->t[i * across + j];
            sum += i != j ? s->t[j * across + i] : 0;
            s->t[i * across + j] = s->t[j * across + i] = sum;
        }
}

/* One iteration; returns the largest change. */
static double iterate(struct cx_em_step *s)
{
    int q = s->data->q, across = q + 1;
    struct cx_em_pattern p;
    size_t at = 0;
    double change = 0, n = s->data->n;
    for (int i = 0; i < across * across; i++)
        s->t[i] = 0;
    s->fit = 0;
    invert(s);
    for (int k = 0; k < s->data->patterns; k++) {
        at = cx_em_pattern(s->data, at, &p);
        if (p.missing > 0)
            expect(s, &p);
        else
            s->fit += p.n * s->log_det;
    }
    complete(s);
    if (s->direct)
        s->fit = NAN;
    else
        add_trace(s);
    for (int i = 0; i < q; i++) {
        double mean = s->t[i + 1] / n;
        change = fmax(change, fabs(mean - s->mu[i]));
        s->mu[i] = mean;
        for (int j = 0; j <= i; j++) {
            double own = s->t[(i + 1) * across + j + 1] / n - mean * s->mu[j];
            change = fmax(change, fabs(own - s->sigma[i * q + j]));
            s->sigma[i * q + j] = s->sigma[j * q + i] = own;
        }
    }
    return change;
}

double cx_em_misfit(struct cx_em_step *s)
{
    struct cx_em_pattern p;
    size_t at = 0;
    double total = 0;
    for (int k = 0; k < s->data->patterns; k++) {
        at = cx_em_pattern(s->data, at, &p);
        int n = p.observed, wide = n + 1, q = s->data->q;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                s->l[i * n + j] = s->sigma[p.o[i] * q + p.o[j]];
        cx_em_cholesky(n, s->l, CX_EM_PIVOT_FLOOR);
        for (int i = 0; i < n; i++) {
            double a = s->mu[p.o[i]];
            const double *row = &p.cross[(i + 1) * wide];
            for (int j = 0; j < n; j++) {
                double b = s->mu[p.o[j]];
                s->e[j] = row[j + 1] - a * p.cross[j + 1] - b * row[0] + p.n * a * b;
            }
            cx_em_substitute(n, s->l, s->e);
            total += 2 * p.n * log(s->l[i * n + i]) + s->e[i];
        }
    }
    return total;
}

/* ---- acceleration ---------------------------------------------------------------------------- */

static void copy(struct cx_em_step *s, double *to, const double *from)
{
    for (int i = 0; i < s->data->q * (s->data->q + 1); i++)
        to[i] = from[i];
}

/* From the estimates before two steps (start, first) and after them: an extrapolation, and those
 * after the steps into `first`. False: none that is worth it, the estimates stay. */
static bool extrapolate(struct cx_em_step *s)
{
    int q = s->data->q, count = q * (q + 1);
    double first = 0, second = 0;
    for (int i = 0; i < count; i++) {
        double r = s->first[i] - s->start[i], v = s->mu[i] - s->first[i] - r;
        first += r * r;
        second += v * v;
    }
    double step = fmin(sqrt(first / second), STEP_MAX);
    if (!(step > 1)) /* also when nothing is left to divide by */
        return false;
    for (int i = 0; i < count; i++) {
        double r = s->first[i] - s->start[i], v = s->mu[i] - s->first[i] - r;
        s->first[i] = s->mu[i];
        s->mu[i] = s->start[i] + 2 * step * r + step * step * v;
    }
    for (int i = 0; i < q * q; i++)
        s->l[i] = s->sigma[i];
    if (cx_em_cholesky(q, s->l, PIVOT_INVERT) == 0)
        return true;
    copy(s, s->mu, s->first);
    return false;
}

/* What the observed cells add up to: the same in every iteration. */
static void sum_known(struct cx_em_step *s)
{
    int across = s->data->q + 1;
    struct cx_em_pattern p;
    size_t at = 0;
    for (int i = 0; i < across * across; i++)
        s->known[i] = 0;
    for (int k = 0; k < s->data->patterns; k++) {
        at = cx_em_pattern(s->data, at, &p);
        for (int i = 0; i <= p.observed; i++)
            for (int j = 0; j <= p.observed; j++) {
                int row = i ? p.o[i - 1] + 1 : 0, column = j ? p.o[j - 1] + 1 : 0;
                s->known[row * across + column] += p.cross[i * (p.observed + 1) + j];
            }
    }
}

double cx_em_converge(struct cx_em_step *s, double tolerance, int most, int *iterations)
{
    double change = INFINITY;
    sum_known(s);
    while (*iterations < most && change > tolerance) {
        copy(s, s->start, s->mu);
        change = iterate(s);
        if (++*iterations >= most || change <= tolerance || s->direct)
            continue;
        copy(s, s->first, s->mu);
        change = iterate(s);
        double fit = s->fit;
        if (++*iterations >= most || change <= tolerance || s->direct || !extrapolate(s))
            continue;
        double moved = iterate(s);
        ++*iterations;
        if (s->direct || !(s->fit <= fit + SLACK * s->data->n))
            copy(s, s->mu, s->first);
        else
            change = moved;
    }
    return change;
}
