/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small units by multivariate empirical Bayes.
 *
 * Problem: forty branches with a hundred answers each; fits of their own are noise, the pooled fit
 * denies that branches differ. Way: see the header. Drivers are divided by their pooled spread
 * within units, so one τ is fair to all; T's size is averaged over rather than fixed at its best
 * value, which would be too sure of itself when there are few units. Hazard: T⁻¹ − T⁻¹PT⁻¹ cancels
 * for small T; it is taken as T⁻¹PJ. */
#include "analytics/solve_units.h"

#include <math.h>

#include "analytics/importance.h"
#include "analytics/missing_parts.h"
#include "analytics/random.h"

#define BLEND 40
#define EM_STEPS 150
#define SCALES 11
#define WIDEN 1.1
#define Z95 1.959963984540054

static const double iso_grid[] = {.004, .01, .02, .03, .04, .05, .06, .075, .09,
                                  .105, .12, .14, .16, .19, .23, .28, .35};
static const double scale_grid[SCALES] = {.05, .1, .2, .35, .5, .7, 1, 1.4, 2, 2.8, 4};

struct state {
    int p, units;
    double *j, *k, *n;         /* per unit: p², p, 1; standardised drivers */
    double *post;              /* P_u, p² */
    double *w, *mu, *sxx;      /* V_μ = W⁻¹; μ; pooled correlations of the drivers */
    double *a, *b, *c;         /* p² each, scratch */
    double *x, *t, *tau2;      /* p each: scratch, T's diagonal, τ_j² */
    double *yy;                /* per unit */
    double sd[CX_COLUMNS_MAX]; /* pooled within units; the outcome's last */
    double s2;
};

size_t cx_units_work(int columns, int units)
{
    size_t p = (size_t)columns - 1, u = (size_t)units, q = (size_t)columns;
    return u * (2 * p * p + 5 * p + 4) + 5 * p * p + 5 * p + q * q + cx_johnson_work((int)p);
}

static double *lay_out(struct state *s, double *work)
{
    size_t p = (size_t)s->p, u = (size_t)s->units;
    s->j = work;
    s->post = s->j + u * p * p;
    s->k = s->post + u * p * p;
    s->n = s->k + u * p;
    s->yy = s->n + u;
    s->w = s->yy + u;
    s->sxx = s->w + p * p;
    s->a = s->sxx + p * p;
    s->b = s->a + p * p;
    s->c = s->b + p * p;
    s->mu = s->c + p * p;
    s->x = s->mu + p;
    s->t = s->x + p;
    s->tau2 = s->t + p;
    return s->tau2 + p;
}

/* inverse = a⁻¹ by Cholesky; a becomes L. Returns ln|a|, NAN when not positive definite. */
static double invert(int p, double *a, double *inverse, double *column)
{
    double log_det = 0;
    if (cx_em_cholesky(p, a, 1e-300) > 0)
        return NAN;
    for (int i = 0; i < p; i++) {
        log_det += 2 * log(a[i * p + i]);
        for (int m = 0; m < p; m++)
            column[m] = m == i;
        cx_em_substitute(p, a, column);
        for (int m = 0; m < p; m++)
            inverse[m * p + i] = column[m];
    }
    return log_det;
}

/* C_u of a unit with missing answers; returns its n. */
static double load_missing(struct state *s, const struct cx_unit_missing *unit, int u)
{
    int p = s->p, q = p + 1;
    for (int i = 0; i < p; i++) {
        for (int m = 0; m < p; m++)
            s->j[(u * p + i) * p + m] = unit->n * unit->sigma[i * q + m];
        s->k[u * p + i] = unit->n * unit->sigma[i * q + p];
    }
    s->yy[u] = unit->n * unit->sigma[p * q + p];
    return unit->n;
}

/* C_u of a unit from its block; returns its n. */
static double load_block(struct state *s, const struct cx_cross *cross, int u)
{
    int p = s->p;
    double n = cross->n > 0 ? cross->n_effective : 0;
    for (int i = 0; i <= p; i++)
        for (int m = 0; m <= p; m++) {
            double c = n > 0 ? n * CX_CROSS(cross, i, m).hi *
                                   sqrt(cross->variance[i].hi * cross->variance[m].hi)
                             : 0;
            if (i < p && m < p)
                s->j[(u * p + i) * p + m] = c;
            else if (i < p)
                s->k[u * p + i] = c;
            else if (m == p)
                s->yy[u] = c;
        }
    return n;
}

static bool has_missing(const struct cx_units_question *question, int u)
{
    return question->missing && question->missing[u].n > 0;
}

/* C_u of every unit: j and k hold C_xx and C_xy, yy C_yy; then the pooled spreads. */
static bool load(struct state *s, const struct cx_units_question *question, struct cx_cross *cross)
{
    int p = s->p;
    double df = 0, sum[CX_COLUMNS_MAX] = {0};
    for (int u = 0; u < s->units; u++) {
        if (has_missing(question, u)) {
            s->n[u] = load_missing(s, &question->missing[u], u);
        } else {
            cx_cross_from_moments(cross, question->cell[u], p + 1, question->decimals, true);
            s->n[u] = load_block(s, cross, u);
        }
        df += s->n[u] > 1 ? s->n[u] - 1 : 0;
        for (int i = 0; i < p; i++)
            sum[i] += s->j[(u * p + i) * p + i];
        sum[p] += s->yy[u];
    }
    for (int i = 0; i <= p; i++) {
        s->sd[i] = sqrt(sum[i] / df);
        if (!(s->sd[i] > 0))
            return false;
    }
    return true;
}

/* J and k of a unit with missing answers: its coefficients by their precision, brought to the
 * residual variance of all (its own is noisy, and would weigh the unit by its luck). */
static void inform(struct state *s, const struct cx_unit_missing *unit, int u)
{
    int p = s->p;
    double *j = s->j + u * p * p, *k = s->k + u * p, fitted = 0;
    for (int i = 0; i < p; i++)
        s->x[i] = k[i];
    for (int i = 0; i < p * p; i++)
        s->a[i] = j[i];
    cx_em_cholesky(p, s->a, 1e-12 * unit->n);
    cx_em_substitute(p, s->a, s->x);
    for (int i = 0; i < p; i++)
        fitted += s->x[i] * k[i];
    double scale = (s->yy[u] - fitted) / unit->n / s->s2;
    for (int i = 0; i < p; i++)
        for (int m = 0; m < p; m++)
            s->a[i * p + m] = unit->covariance[i * p + m] * s->sd[i] * s->sd[m];
    bool known = !isnan(invert(p, s->a, s->b, s->c));
    for (int i = 0; i < p; i++) {
        k[i] = 0;
        for (int m = 0; m < p; m++) {
            j[i * p + m] = known ? scale * s->b[i * p + m] : 0;
            k[i] += j[i * p + m] * s->x[m];
        }
    }
}

/* Standardises the drivers, pools their correlations and the residual variance; J and k. */
static bool standardise(struct state *s, const struct cx_units_question *question)
{
    int p = s->p;
    double rss = 0, df = 0;
    for (int i = 0; i < p * p; i++)
        s->sxx[i] = 0;
    for (int u = 0; u < s->units; u++) {
        double *j = s->j + u * p * p, *k = s->k + u * p, fitted = 0;
        for (int i = 0; i < p; i++) {
            k[i] /= s->sd[i];
            s->x[i] = k[i];
            for (int m = 0; m < p; m++) {
                j[i * p + m] /= s->sd[i] * s->sd[m];
                s->a[i * p + m] = j[i * p + m];
                s->sxx[i * p + m] += j[i * p + m];
            }
        }
        if (s->n[u] < p + 2 || cx_em_cholesky(p, s->a, 1e-8 * s->n[u]) > 0)
            continue;
        cx_em_substitute(p, s->a, s->x);
        for (int i = 0; i < p; i++)
            fitted += s->x[i] * k[i];
        rss += s->yy[u] - fitted;
        df += s->n[u] - p - 1;
    }
    s->s2 = rss / df;
    if (!(df > 0) || !(s->s2 > 0))
        return false;
    for (int u = 0; u < s->units; u++) {
        if (has_missing(question, u)) {
            inform(s, &question->missing[u], u);
            continue;
        }
        for (int i = 0; i < p * p; i++)
            s->j[u * p * p + i] /= s->s2;
        for (int i = 0; i < p; i++)
            s->k[u * p + i] /= s->s2;
    }
    for (int i = 0; i < p; i++)
        for (int m = 0; m < p; m++)
            if (i != m)
                s->sxx[i * p + m] /= sqrt(s->sxx[i * p + i] * s->sxx[m * p + m]);
    for (int i = 0; i < p; i++)
        s->sxx[i * p + i] = 1;
    return true;
}

/* For T = diag(t): P_u, W⁻¹, μ; returns the REML deviance. */
static double solve_at(struct state *s, const double *t)
{
    int p = s->p;
    double deviance = 0;
    for (int i = 0; i < p * p; i++)
        s->b[i] = 0;
    for (int i = 0; i < p; i++)
        s->mu[i] = 0;
    for (int u = 0; u < s->units; u++) {
        const double *j = s->j + u * p * p, *k = s->k + u * p;
        double *post = s->post + u * p * p;
        for (int i = 0; i < p * p; i++)
            s->a[i] = j[i] + (i % (p + 1) == 0 ? 1 / t[i / p] : 0);
        deviance += invert(p, s->a, post, s->x);
        for (int i = 0; i < p; i++) {
            double pk = 0;
            for (int m = 0; m < p; m++) {
                double pj = 0;
                for (int l = 0; l < p; l++)
                    pj += post[i * p + l] * j[l * p + m];
                s->b[i * p + m] += pj / t[i];
                pk += post[i * p + m] * k[m];
            }
            s->mu[i] += pk / t[i];
            deviance += log(t[i]) - k[i] * pk;
        }
    }
    for (int i = 0; i < p; i++) /* T⁻¹PJ is symmetric but for rounding */
        for (int m = 0; m < i; m++)
            s->b[i * p + m] = s->b[m * p + i] = (s->b[i * p + m] + s->b[m * p + i]) / 2;
    deviance += invert(p, s->b, s->w, s->x);
    for (int i = 0; i < p; i++)
        s->x[i] = s->mu[i];
    for (int i = 0; i < p; i++) {
        s->mu[i] = 0;
        for (int m = 0; m < p; m++)
            s->mu[i] += s->w[i * p + m] * s->x[m];
        deviance -= s->x[i] * s->mu[i];
    }
    return deviance;
}

/* b_u (into b) and the matrix H = P_uT⁻¹ (into s->a), for the T last solved. */
static void unit_at(struct state *s, const double *t, int u, double *b)
{
    int p = s->p;
    const double *post = s->post + u * p * p, *k = s->k + u * p;
    for (int i = 0; i < p; i++) {
        b[i] = 0;
        for (int m = 0; m < p; m++) {
            s->a[i * p + m] = post[i * p + m] / t[m];
            b[i] += post[i * p + m] * (k[m] + s->mu[m] / t[m]);
        }
    }
}

/* out = P_u + HV_μH' */
static void covariance(const struct state *s, int u, const double *h, double *out)
{
    int p = s->p;
    const double *post = s->post + u * p * p;
    for (int i = 0; i < p; i++) {
        double row[CX_COLUMNS_MAX];
        for (int m = 0; m < p; m++) {
            row[m] = 0;
            for (int l = 0; l < p; l++)
                row[m] += h[i * p + l] * s->w[l * p + m];
        }
        for (int m = 0; m < p; m++) {
            out[i * p + m] = post[i * p + m];
            for (int l = 0; l < p; l++)
                out[i * p + m] += row[l] * h[m * p + l];
        }
    }
}

/* τ_j² by EM: mean of (b_uj − μ_j)² and of its expected error. */
static void spread_by_driver(struct state *s, double start)
{
    int p = s->p;
    for (int i = 0; i < p; i++)
        s->tau2[i] = start;
    for (int step = 0; step < EM_STEPS; step++) {
        double next[CX_COLUMNS_MAX] = {0}, b[CX_COLUMNS_MAX], change = 0;
        solve_at(s, s->tau2);
        for (int u = 0; u < s->units; u++) {
            unit_at(s, s->tau2, u, b);
            for (int i = 0; i < p * p; i++) /* A = I − P_uT⁻¹ */
                s->a[i] = (i % (p + 1) == 0) - s->a[i];
            covariance(s, u, s->a, s->c);
            for (int i = 0; i < p; i++)
                next[i] += ((b[i] - s->mu[i]) * (b[i] - s->mu[i]) + s->c[i * p + i]) / s->units;
        }
        for (int i = 0; i < p; i++) {
            change = fmax(change, fabs(next[i] - s->tau2[i]));
            s->tau2[i] = fmax(next[i], 1e-12 * start);
        }
        if (change < 1e-7 * start * 100)
            return;
    }
}

/* T: one τ for all blended with one per driver. */
static void choose_spread(struct state *s)
{
    double sd = s->sd[s->p], best = INFINITY, iso = 0;
    for (size_t g = 0; g < sizeof iso_grid / sizeof *iso_grid; g++) {
        double tau = iso_grid[g] * sd;
        for (int i = 0; i < s->p; i++)
            s->t[i] = tau * tau;
        double deviance = solve_at(s, s->t);
        if (deviance < best) {
            best = deviance;
            iso = tau;
        }
    }
    spread_by_driver(s, 0.01 * sd * sd);
    for (int i = 0; i < s->p; i++)
        s->t[i] = (s->units * s->tau2[i] + BLEND * iso * iso) / (s->units + BLEND) + 1e-8 * sd * sd;
}

/* Weights of the sizes of T, from the deviance and the spacing of the grid. */
static void weigh_scales(struct state *s, double *weight)
{
    double least = INFINITY, total = 0, scaled[CX_COLUMNS_MAX];
    for (int g = 0; g < SCALES; g++) {
        for (int i = 0; i < s->p; i++)
            scaled[i] = s->t[i] * scale_grid[g] * scale_grid[g];
        weight[g] = solve_at(s, scaled);
        least = fmin(least, weight[g]);
    }
    for (int g = 0; g < SCALES; g++) {
        double low = scale_grid[g > 0 ? g - 1 : 0], high = scale_grid[g < SCALES - 1 ? g + 1 : g];
        weight[g] = exp(-(weight[g] - least) / 2) * (high - low) / 2;
        total += weight[g];
    }
    for (int g = 0; g < SCALES; g++)
        weight[g] /= total;
}

/* ---- shares of R² from draws ----------------------------------------------------------------- */

struct shares {
    double *r, *theta, *work; /* (p + 1)² correlations; p; of cx_johnson */
    double *sum, *square;     /* units × p: of √weights */
    double *count;            /* per unit */
    struct cx_random random;
};

/* One set of coefficients → correlations over the pooled drivers → √weights. */
static void share_of(const struct state *s, struct shares *d, int u, const double *b)
{
    int p = s->p, size = p + 1;
    double explained = 0;
    for (int i = 0; i < p; i++) {
        double c = 0;
        for (int m = 0; m < p; m++) {
            d->r[i * size + m] = s->sxx[i * p + m];
            c += s->sxx[i * p + m] * b[m];
        }
        d->r[i * size + p] = c;
        explained += b[i] * c;
    }
    double sd = sqrt(explained + s->s2);
    for (int i = 0; i < p; i++)
        d->r[p * size + i] = d->r[i * size + p] /= sd;
    d->r[p * size + p] = 1;
    if (!cx_johnson(p, d->r, d->theta, d->work))
        return;
    for (int i = 0; i < p; i++) {
        d->sum[u * p + i] += sqrt(d->theta[i]);
        d->square[u * p + i] += d->theta[i];
    }
    d->count[u]++;
}

/* Draws of unit u: b and the covariance in s->c, which becomes its Cholesky factor. */
static void draw(struct state *s, struct shares *d, int u, const double *b, int count)
{
    int p = s->p;
    double x[CX_COLUMNS_MAX], z[CX_COLUMNS_MAX];
    cx_em_cholesky(p, s->c, 1e-300);
    while (count-- > 0) {
        for (int i = 0; i < p; i++) {
            z[i] = cx_random_normal(&d->random);
            x[i] = b[i];
            for (int m = 0; m <= i; m++)
                x[i] += s->c[i * p + m] * z[m];
        }
        share_of(s, d, u, x);
    }
}

/* ---- averages over the size of T ------------------------------------------------------------- */

struct average {
    double *mean, *square, *own; /* units × p, × p, × 1 */
    double mu[CX_COLUMNS_MAX], tau2[CX_COLUMNS_MAX];
};

static void average_at(struct state *s, struct average *out, const double *t, double weight,
                       struct shares *d, int draws)
{
    int p = s->p;
    double b[CX_COLUMNS_MAX];
    solve_at(s, t);
    for (int i = 0; i < p; i++) {
        out->mu[i] += weight * s->mu[i];
        out->tau2[i] += weight * t[i];
    }
    for (int u = 0; u < s->units; u++) {
        unit_at(s, t, u, b);
        covariance(s, u, s->a, s->c);
        for (int i = 0; i < p; i++) {
            out->mean[u * p + i] += weight * b[i];
            out->square[u * p + i] += weight * (s->c[i * p + i] + b[i] * b[i]);
            out->own[u] += weight * (1 - s->post[(u * p + i) * p + i] / t[i]) / p;
        }
        draw(s, d, u, b, draws);
    }
}

static void write_unit(const struct state *s, const struct average *v, const struct shares *d,
                       int u, struct cx_unit *unit)
{
    int p = s->p;
    unit->n = s->n[u];
    unit->own = v->own[u];
    unit->label = unit->n < CX_UNIT_ROWS_MIN ? CX_UNIT_PARENT
                  : unit->own < 0.25         ? CX_UNIT_MOSTLY_PARENT
                  : unit->own < 0.5          ? CX_UNIT_BLENDED
                                             : CX_UNIT_OWN;
    for (int i = 0; i < p; i++) {
        double mean = v->mean[u * p + i], size = 1 / s->sd[i];
        double reach = Z95 * sqrt(fmax(v->square[u * p + i] - mean * mean, 0));
        unit->coef[i] =
            (struct cx_interval){mean * size, (mean - reach) * size, (mean + reach) * size};
        double centre = d->sum[u * p + i] / d->count[u];
        double spread = d->square[u * p + i] / d->count[u] - centre * centre;
        double low = fmax(centre - Z95 * WIDEN * sqrt(fmax(spread, 0)), 0);
        double high = centre + Z95 * WIDEN * sqrt(fmax(spread, 0));
        unit->weight[i] = (struct cx_interval){centre * centre, low * low, high * high};
    }
}

static void average(struct state *s, const struct cx_units_question *question, struct average *v,
                    struct shares *d)
{
    double weight[SCALES], sum = 0, scaled[CX_COLUMNS_MAX];
    int draws = question->draws > 0 ? question->draws : 400, done = 0;
    d->random = cx_random_seed(question->seed, 0x756e6974);
    choose_spread(s);
    weigh_scales(s, weight);
    for (int g = 0; g < SCALES; g++) {
        sum += weight[g];
        int until = (int)lround(fmin(sum, 1) * draws);
        for (int i = 0; i < s->p; i++)
            scaled[i] = s->t[i] * scale_grid[g] * scale_grid[g];
        average_at(s, v, scaled, weight[g], d, until - done);
        done = until;
    }
}

enum cx_units_status cx_units(struct cx_units *all, struct cx_unit *unit,
                              const struct cx_units_question *question, double *work)
{
    struct state s = {.p = question->columns - 1, .units = question->units};
    struct cx_cross cross;
    int p = s.p, each = p * s.units;
    if (s.units < CX_UNITS_MIN)
        return CX_UNITS_TOO_FEW;
    double *rest = lay_out(&s, work);
    if (!load(&s, question, &cross))
        return CX_UNITS_CONSTANT;
    if (!standardise(&s, question))
        return CX_UNITS_NO_ERROR;
    struct average v = {.mean = rest, .square = rest + each, .own = rest + 2 * each};
    struct shares d = {.sum = v.own + s.units, .square = v.own + s.units + each};
    d.count = d.square + each;
    d.theta = d.count + s.units;
    d.r = d.theta + p;
    d.work = d.r + (p + 1) * (p + 1);
    for (double *at = rest; at < d.theta; at++)
        *at = 0;
    average(&s, question, &v, &d);
    all->s2 = s.s2;
    for (int i = 0; i < p; i++) {
        all->mu[i] = v.mu[i] / s.sd[i];
        all->tau[i] = sqrt(v.tau2[i]) / s.sd[i];
    }
    for (int u = 0; u < s.units; u++)
        write_unit(&s, &v, &d, u, &unit[u]);
    return CX_UNITS_OK;
}
