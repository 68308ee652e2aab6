/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Certainty of ranks.
 *
 * Problem: the largest of twelve noisy weights looks larger than it is, so plain draws around the
 * estimates call a winner too often. Way: put the weights under a common normal law of unknown
 * spread τ, integrate over τ on a grid, and count ranks in draws of the shrunk weights. The
 * covariance is that of normal theory, by central differences of the weights along the directions
 * in which a correlation matrix R = AA' can move: D = A(e_ij + e_ji)A'; twelve jackknife groups are
 * too few for a whole covariance matrix and give its size only. Hazard: R + eD has no unit
 * diagonal; weights are those of a correlation matrix, so it is scaled back first. */
#include "analytics/importance_rank.h"

#include <math.h>

#include "analytics/distribution.h"
#include "analytics/importance.h"
#include "analytics/random.h"

#define STEP 1e-4
#define GRID 40
#define DRAWS 4000
#define TOP 3

/* a = LL', L in place below the diagonal (n × n by rows). False: not positive definite. */
static bool cholesky(int n, double *a)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            for (int k = 0; k < j; k++)
                sum -= a[i * n + k] * a[j * n + k];
            if (i == j && !(sum > 0))
                return false;
            a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
        }
    return true;
}

static void forward(int n, const double *l, double *x) /* L⁻¹x */
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++)
            x[i] -= l[i * n + k] * x[k];
        x[i] /= l[i * n + i];
    }
}

static void backward(int n, const double *l, double *x) /* L⁻ᵀx */
{
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++)
            x[i] -= l[k * n + i] * x[k];
        x[i] /= l[i * n + i];
    }
}

/* ---- covariance of √weights ------------------------------------------------------------------ */

size_t cx_weight_covariance_work(int p)
{
    size_t size = (size_t)p + 1;
    return 2 * size * size + 3 * size + cx_johnson_work(p);
}

struct slope {
    int p;
    const double *r;
    double *root, *moved, *up, *down, *spread, *work;
};

/* √weights of R + step·A(e_ij + e_ji)A', scaled back to correlations. */
static bool weights_at(const struct slope *s, int i, int j, double step, double *theta)
{
    int size = s->p + 1;
    const double *a = s->root;
    for (int k = 0; k < size; k++)
        for (int m = 0; m < size; m++) {
            double aki = i <= k ? a[k * size + i] : 0, akj = j <= k ? a[k * size + j] : 0;
            double ami = i <= m ? a[m * size + i] : 0, amj = j <= m ? a[m * size + j] : 0;
            double d = i == j ? aki * ami : aki * amj + akj * ami;
            s->moved[k * size + m] = s->r[k * size + m] + step * d;
        }
    for (int k = 0; k < size; k++)
        s->spread[k] = 1 / sqrt(s->moved[k * size + k]);
    for (int k = 0; k < size; k++)
        for (int m = 0; m < size; m++)
            s->moved[k * size + m] *= s->spread[k] * s->spread[m];
    if (!cx_johnson(s->p, s->moved, theta, s->work))
        return false;
    for (int k = 0; k < s->p; k++)
        theta[k] = sqrt(theta[k]);
    return true;
}

bool cx_weight_covariance(int p, const double *r, double m, double *v, double *work)
{
    int size = p + 1;
    double *moved = work + size * size, *up = moved + size * size;
    struct slope s = {p, r, work, moved, up, up + size, up + 2 * size, up + 3 * size};
    for (int i = 0; i < size * size; i++)
        s.root[i] = r[i];
    for (int i = 0; i < p * p; i++)
        v[i] = 0;
    if (!cholesky(size, s.root))
        return false;
    m = m > 5 ? m : 5; /* also when NAN */
    for (int i = 0; i < size; i++)
        for (int j = 0; j <= i; j++) {
            if (!weights_at(&s, i, j, STEP, s.up) || !weights_at(&s, i, j, -STEP, s.down))
                return false;
            double scale = sqrt((i == j ? 2 : 1) / m) / (2 * STEP);
            for (int k = 0; k < p; k++)
                s.up[k] = (s.up[k] - s.down[k]) * scale;
            for (int k = 0; k < p; k++)
                for (int q = 0; q < p; q++)
                    v[k * p + q] += s.up[k] * s.up[q];
        }
    return true;
}

double cx_weight_covariance_scale(int p, double *v, double jackknife_trace)
{
    double trace = 0, c = 1;
    for (int i = 0; i < p; i++)
        trace += v[i * p + i];
    if (jackknife_trace > trace)
        c = fmin(4, jackknife_trace / trace);
    for (int i = 0; i < p * p; i++)
        v[i] *= c;
    for (int i = 0; i < p; i++)
        v[i * p + i] += 1e-9 * c * trace / p;
    return c;
}

/* ---- draws ----------------------------------------------------------------------------------- */

size_t cx_rank_work(int p)
{
    return (size_t)p * (size_t)p * 2 + (size_t)p * (size_t)(p + 4);
}

struct draw {
    int p;
    const double *theta, *v;
    double *matrix, *inverse, *pull, *mean, *x; /* inverse = V⁻¹; pull = V⁻¹θ */
    double *rank_count;                         /* p × p: times that j had rank k */
    double tau[GRID];
};

/* ln weight of τ: the marginal likelihood of θ with μ integrated out. */
static bool log_weight(const struct draw *d, double tau, double *out)
{
    int p = d->p;
    double *m = d->matrix, *one = d->x, *off = d->mean, log_det = 0, q = 0, mu = 0, square = 0;
    for (int i = 0; i < p * p; i++)
        m[i] = d->v[i];
    for (int i = 0; i < p; i++)
        m[i * p + i] += tau * tau;
    if (!cholesky(p, m))
        return false;
    for (int i = 0; i < p; i++) {
        one[i] = 1;
        off[i] = d->theta[i];
        log_det += 2 * log(m[i * p + i]);
    }
    forward(p, m, one);
    forward(p, m, off);
    for (int i = 0; i < p; i++) {
        q += one[i] * one[i];
        mu += one[i] * off[i];
    }
    mu /= q;
    for (int i = 0; i < p; i++)
        square += (off[i] - mu * one[i]) * (off[i] - mu * one[i]);
    *out = -0.5 * (log_det + log(q) + square);
    return true;
}

static bool prepare(struct draw *d, double *cumulative)
{
    int p = d->p;
    double mean = 0, spread = 0, trace = 0, best = -INFINITY, total = 0;
    for (int i = 0; i < p; i++) {
        mean += d->theta[i] / p;
        trace += d->v[i * p + i];
    }
    for (int i = 0; i < p; i++)
        spread += (d->theta[i] - mean) * (d->theta[i] - mean);
    double s = fmax(sqrt(trace / p), p > 1 ? sqrt(spread / (p - 1)) : 0);
    for (int i = 0; i < GRID; i++) {
        d->tau[i] = s * (0.05 + (6 - 0.05) * i / (GRID - 1));
        if (!log_weight(d, d->tau[i], &cumulative[i]))
            return false;
        best = fmax(best, cumulative[i]);
    }
    for (int i = 0; i < GRID; i++)
        cumulative[i] = total += exp(cumulative[i] - best);
    for (int i = 0; i < p * p; i++)
        d->matrix[i] = d->v[i];
    if (!cholesky(p, d->matrix))
        return false;
    for (int i = 0; i < p; i++) { /* columns of V⁻¹ */
        for (int k = 0; k < p; k++)
            d->x[k] = k == i;
        forward(p, d->matrix, d->x);
        backward(p, d->matrix, d->x);
        d->pull[i] = 0;
        for (int k = 0; k < p; k++) {
            d->inverse[k * p + i] = d->x[k];
            d->pull[i] += d->x[k] * d->theta[k];
        }
    }
    return isfinite(total);
}

static void count_ranks(const struct draw *d)
{
    int p = d->p;
    for (int i = 0; i < p; i++) {
        int ahead = 0;
        for (int k = 0; k < p; k++)
            ahead += d->x[k] > d->x[i] || (d->x[k] == d->x[i] && k < i);
        d->rank_count[i * p + ahead]++;
    }
}

/* Draws from N(K⁻¹V⁻¹θ, K⁻¹), K = V⁻¹ + (I − 11'/p)/τ². */
static bool draw_at(const struct draw *d, double tau, int count, struct cx_random *random)
{
    int p = d->p;
    for (int i = 0; i < p; i++) {
        for (int k = 0; k < p; k++)
            d->matrix[i * p + k] = d->inverse[i * p + k] + ((i == k) - 1.0 / p) / (tau * tau);
        d->mean[i] = d->pull[i];
    }
    if (!cholesky(p, d->matrix))
        return false;
    forward(p, d->matrix, d->mean);
    backward(p, d->matrix, d->mean);
    while (count-- > 0) {
        for (int i = 0; i < p; i++) /* (0, 1): half a step off the multiples of 2^-53 */
            d->x[i] = cx_normal_quantile(cx_random_unit(random) * (1 - 0x1p-52) + 0x1p-54);
        backward(p, d->matrix, d->x);
        for (int i = 0; i < p; i++)
            d->x[i] += d->mean[i];
        count_ranks(d);
    }
    return true;
}

static void summarise(const struct draw *d, int draws, struct cx_rank *rank)
{
    int p = d->p;
    for (int j = 0; j < p; j++) {
        double seen = 0;
        rank->expected[j] = 0;
        rank->low[j] = rank->high[j] = p;
        for (int k = 0; k < p; k++) {
            double here = d->rank_count[j * p + k] / draws;
            rank->expected[j] += (k + 1) * here;
            if (seen < 0.05 && seen + here >= 0.05)
                rank->low[j] = k + 1;
            if (seen < 0.95 && seen + here >= 0.95)
                rank->high[j] = k + 1;
            seen += here;
            if (k < TOP)
                rank->top[k][j] = seen;
        }
        for (int k = p; k < TOP; k++)
            rank->top[k][j] = 1;
    }
}

bool cx_rank(struct cx_rank *rank, const struct cx_rank_question *question, double *work)
{
    int p = question->drivers, draws = question->draws > 0 ? question->draws : DRAWS;
    *rank = (struct cx_rank){0};
    if (p < 1 || p > CX_RANK_DRIVERS_MAX)
        return false;
    for (int i = 0; i < p; i++)
        if (!isfinite(question->theta[i]))
            return false;
    struct draw d = {.p = p, .theta = question->theta, .v = question->v, .matrix = work};
    d.inverse = work + p * p;
    d.rank_count = d.inverse + p * p;
    d.pull = d.rank_count + p * p;
    d.mean = d.pull + p;
    d.x = d.mean + p;
    double cumulative[GRID];
    int count[GRID] = {0};
    if (!prepare(&d, cumulative))
        return false;
    for (int i = 0; i < p * p; i++)
        d.rank_count[i] = 0;
    struct cx_random random = cx_random_seed(question->seed, 0x72616e6b);
    for (int i = 0; i < draws; i++) {
        double at = cx_random_unit(&random) * cumulative[GRID - 1];
        int k = 0;
        while (k < GRID - 1 && cumulative[k] <= at)
            k++;
        count[k]++;
    }
    for (int k = 0; k < GRID; k++)
        if (count[k] > 0 && !draw_at(&d, d.tau[k], count[k], &random))
            return false;
    summarise(&d, draws, rank);
    return true;
}

/* ---- what may be said ------------------------------------------------------------------------ */

enum cx_key cx_key_driver(const struct cx_key_question *q)
{
    double p = q->top[q->drivers <= 3 ? 0 : q->drivers <= 5 ? 1 : 2];
    bool wanted = q->direction < 0 ? q->coef < 0 : q->coef > 0;
    bool enough = q->n >= 100 && q->n >= 20 * q->drivers && q->r2_low > 0.02;
    if (!wanted || !enough)
        return CX_KEY_NO;
    if (p >= 0.90 || (q->was_key && p >= 0.80))
        return CX_KEY_YES;
    return p >= 0.70 ? CX_KEY_LIKELY : CX_KEY_NO;
}

uint64_t cx_top_group(int p, const double *top1)
{
    uint64_t group = 0;
    double sum = 0;
    while (sum < 0.90 - 1e-12) {
        int best = -1;
        for (int i = 0; i < p; i++)
            if (!(group >> i & 1) && (best < 0 || top1[i] > top1[best]))
                best = i;
        if (best < 0)
            break;
        group |= UINT64_C(1) << best;
        sum += top1[best];
    }
    return group;
}
