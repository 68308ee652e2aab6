/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Units compared on one KPI: everything but ranks.
 *
 * Problem: the best and the worst of forty branches are mostly those with few answers. Way: values
 * are shrunk as far as the spread between units says, with an interval that knows that spread is
 * itself estimated; what is compared is said to be undecided unless it is clear. The rest of a unit
 * is a weighted mean of the other units as they are, w = 1/(v + τ²), not of units that might have
 * been: its error is that of their answers only, Σw²v/(Σw)². With fewer than four units τ² is not
 * known and the weights are equal.
 *
 * Hazard: a unit whose few answers nearly agree has a variance near 0, hence all the weight in a
 * mean and an interval of hardly any width; so units borrow from the variance of everybody's
 * answers (benchmark.h). The funnel takes that alone: its limits are those of one population. */
#include "analytics/benchmark.h"

#include <math.h>

#include <gsl/gsl_sort_double.h>

#include "analytics/benchmark_parts.h"
#include "analytics/distribution.h"

#define LEVEL 0.95
#define Z95 1.959963984540054
#define Z998 3.090232306167813
#define REML_STEPS 1000
#define SETTLED 1e-13
#define WINSORISED 0.1
#define DRAWS 1000

/* ---- between units --------------------------------------------------------------------------- */

/* At w = 1/(v + τ²): Σwy/Σw, Σw, Σw(y−μ)². */
struct weighted {
    double mu, weight, square;
};

static struct weighted weigh(int k, const double *y, const double *v, double tau2)
{
    struct weighted sum = {0};
    for (int i = 0; i < k; i++) {
        sum.weight += 1 / (v[i] + tau2);
        sum.mu += y[i] / (v[i] + tau2);
    }
    sum.mu /= sum.weight;
    for (int i = 0; i < k; i++)
        sum.square += (y[i] - sum.mu) * (y[i] - sum.mu) / (v[i] + tau2);
    return sum;
}

double cx_between_paule_mandel(int k, const double *y, const double *v)
{
    double low = 0, high = 0;
    if (!(weigh(k, y, v, 0).square > k - 1))
        return 0;
    for (int i = 0; i < k; i++) /* Σw(y−μ)² falls in τ² and is at most this sum over τ² */
        high += (y[i] - y[0]) * (y[i] - y[0]);
    for (int step = 0; step < 200 && high - low > SETTLED * high; step++) {
        double middle = (low + high) / 2;
        if (weigh(k, y, v, middle).square > k - 1)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

/* The next τ² of the fixed point. */
static double reml_step(int k, const double *y, const double *v, double tau2)
{
    struct weighted at = weigh(k, y, v, tau2);
    double above = 0, below = 0;
    for (int i = 0; i < k; i++) {
        double w = 1 / (v[i] + tau2), off = y[i] - at.mu;
        above += w * w * (off * off - v[i]);
        below += w * w;
    }
    return fmax(0, above / below + 1 / at.weight);
}

static bool reml(int k, const double *y, const double *v, int steps, double *tau2)
{
    double mean = 0, square = 0;
    for (int i = 0; i < k; i++)
        mean += y[i] / k;
    for (int i = 0; i < k; i++)
        square += (y[i] - mean) * (y[i] - mean) / k;
    *tau2 = square; /* from above */
    while (steps-- > 0) {
        double next = reml_step(k, y, v, *tau2), moved = fabs(next - *tau2);
        *tau2 = next;
        if (moved <= SETTLED * (next + k / weigh(k, y, v, next).weight))
            return true;
    }
    return false;
}

void cx_between(int k, const double *y, const double *v, int steps, struct cx_between *out)
{
    struct weighted none = weigh(k, y, v, 0);
    *out = (struct cx_between){.q = none.square};
    out->i2 = none.square > 0 ? fmax(0, 1 - (k - 1) / none.square) : 0;
    if (!reml(k, y, v, steps > 0 ? steps : REML_STEPS, &out->tau2)) {
        out->paule_mandel = true;
        out->tau2 = cx_between_paule_mandel(k, y, v);
    }
    struct weighted at = weigh(k, y, v, out->tau2);
    out->mu = at.mu;
    out->mu_variance = 1 / at.weight;
}

/* ---- the question ---------------------------------------------------------------------------- */

static bool answerable(const struct cx_benchmark_question *q)
{
    bool external = isnan(q->external) || (isfinite(q->external) && q->external_variance >= 0 &&
                                           isfinite(q->external_variance));
    if (q->units < 1 || q->units > CX_BENCHMARK_UNITS_MAX || !external ||
        (q->direction != 1 && q->direction != -1) || !(q->scale_min < q->scale_max))
        return false;
    for (int i = 0; i < q->units; i++) {
        const struct cx_benchmark_unit *u = &q->unit[i];
        bool known = isnan(u->variance) || (u->variance >= 0 && isfinite(u->variance));
        if (!isfinite(u->n) || !(u->n > 0) || !isfinite(u->value) || !known ||
            u->value < q->scale_min || u->value > q->scale_max)
            return false;
    }
    return true;
}

/* Values and variances as used; the pooled variance of an answer, 0 = nobody tells. */
static double take_up(struct cx_benchmark_state *s, struct cx_benchmark *out)
{
    const struct cx_benchmark_unit *unit = s->question->unit;
    double sum = 0, df = 0;
    for (int i = 0; i < s->units; i++)
        if (unit[i].n > 1 && !isnan(unit[i].variance)) {
            sum += (unit[i].n - 1) * unit[i].n * unit[i].variance;
            df += unit[i].n - 1;
        }
    double answer = df > 0 ? sum / df : 0;
    for (int i = 0; i < s->units; i++) {
        double n = unit[i].n, own_df = n - 1, borrowed = fmin(CX_BENCHMARK_BORROWED, df);
        bool own = n >= CX_BENCHMARK_OWN_VARIANCE && unit[i].variance > 0;
        s->y[i] = unit[i].value;
        s->v[i] = answer / n;
        if (own)
            s->v[i] = (own_df * unit[i].variance + borrowed * s->v[i]) / (own_df + borrowed);
        s->df[i] = own ? fmin(own_df + borrowed, df) : df;
        out[i].variance = s->v[i];
        out[i].pooled = !own;
    }
    return answer;
}

static struct cx_interval around(double value, double reach)
{
    return (struct cx_interval){value, value - reach, value + reach};
}

static struct cx_interval on_scale(const struct cx_benchmark_question *q, double value,
                                   double reach)
{
    if (isnan(reach)) /* fmax would make a limit of it */
        return (struct cx_interval){value, NAN, NAN};
    return (struct cx_interval){value, fmax(value - reach, q->scale_min),
                                fmin(value + reach, q->scale_max)};
}

/* ---- shrunk values --------------------------------------------------------------------------- */

/* Returns the reach of the interval. */
static double shrink(const struct cx_benchmark_state *s, int i, double mean_variance,
                     struct cx_benchmark *out)
{
    const struct cx_between *b = &s->between;
    double k = s->units, v = s->v[i], all = v + b->tau2, weight = v / all;
    double corrected = (k - 3) / (k - 1) * weight, off = s->y[i] - b->mu;
    double value = (1 - corrected) * s->y[i] + corrected * b->mu;
    double variance =
        (1 - corrected) * v + weight * weight * b->mu_variance +
        2 / (k - 3) * corrected * corrected * (mean_variance + b->tau2) / all * off * off;
    double reach = Z95 * sqrt(variance);
    out->own = 1 - corrected;
    out->shrunk = on_scale(s->question, value, reach);
    return reach;
}

static void beside_external(const struct cx_benchmark_question *q, double reach,
                            struct cx_benchmark *out)
{
    out->external = (struct cx_interval){NAN, NAN, NAN};
    out->external_side = CX_SIDE_NONE;
    if (isnan(q->external))
        return;
    double error = Z95 * sqrt(q->external_variance);
    out->external = around(out->shrunk.value - q->external, hypot(reach, error));
    out->external_side = out->external.low > 0    ? CX_SIDE_ABOVE
                         : out->external.high < 0 ? CX_SIDE_BELOW
                                                  : CX_SIDE_UNDECIDED;
}

static void values(const struct cx_benchmark_state *s, bool shrinks, struct cx_benchmark *out)
{
    double mean_variance = 0;
    for (int i = 0; i < s->units; i++)
        mean_variance += s->v[i] / s->units;
    for (int i = 0; i < s->units; i++) {
        double reach = cx_t_quantile(LEVEL, s->df[i]) * sqrt(s->v[i]);
        out[i].raw = out[i].shrunk = on_scale(s->question, s->y[i], reach);
        out[i].own = 1;
        if (shrinks)
            reach = shrink(s, i, mean_variance, &out[i]);
        beside_external(s->question, reach, &out[i]);
    }
}

/* ---- each unit against the rest -------------------------------------------------------------- */

static void beside_rest(const struct cx_benchmark_state *s, bool shrinks, struct cx_benchmark *out)
{
    double weight = 0, sum = 0, error = 0, fourth = 0;
    for (int i = 0; i < s->units; i++) {
        double w = shrinks ? 1 / (s->v[i] + s->between.tau2) : 1, e = w * w * s->v[i];
        weight += s->x[i] = w;
        sum += w * s->y[i];
        error += e;
        fourth += e * e / s->df[i];
    }
    for (int i = 0; i < s->units; i++) {
        double w = s->x[i], v = s->v[i], e = w * w * v, rest = weight - w;
        double variance = v + (error - e) / (rest * rest);
        double denominator = v * v / s->df[i] + (fourth - e * e / s->df[i]) / pow(rest, 4);
        double t = cx_t_quantile(LEVEL, variance * variance / denominator);
        double difference = s->y[i] - (sum - w * s->y[i]) / rest;
        out[i].rest = around(difference, t * sqrt(variance));
        out[i].rest_z = difference / sqrt(variance);
    }
}

/* ---- funnel ---------------------------------------------------------------------------------- */

/* Mean square of z, the outer tenth on each side drawn in to its neighbour. */
static double overdispersion(int k, const struct cx_benchmark *out, double *z)
{
    int cut = (int)(WINSORISED * k);
    double square = 0;
    for (int i = 0; i < k; i++)
        z[i] = out[i].funnel_z;
    gsl_sort(z, 1, (size_t)k);
    for (int i = 0; i < k; i++) {
        double drawn = z[i < cut ? cut : i > k - 1 - cut ? k - 1 - cut : i];
        square += drawn * drawn;
    }
    return fmax(1, square / k);
}

static struct cx_funnel_limits limits(const struct cx_benchmark_question *q, double centre,
                                      double sd)
{
    struct cx_interval inner = on_scale(q, centre, Z95 * sd),
                       outer = on_scale(q, centre, Z998 * sd);
    return (struct cx_funnel_limits){inner.low, inner.high, outer.low, outer.high};
}

static void funnel(struct cx_benchmark_state *s, struct cx_benchmark_all *all,
                   struct cx_benchmark *out)
{
    const struct cx_benchmark_question *q = s->question;
    double n = 0, sum = 0;
    for (int i = 0; i < s->units; i++) {
        n += q->unit[i].n;
        sum += q->unit[i].n * s->y[i];
    }
    all->centre = sum / n;
    for (int i = 0; i < s->units; i++)
        out[i].funnel_z = (s->y[i] - all->centre) / sqrt(all->answer_variance / q->unit[i].n);
    all->phi = overdispersion(s->units, out, s->x);
    for (int i = 0; i < s->units; i++) {
        double v = all->answer_variance / q->unit[i].n, tau2 = all->tau * all->tau;
        struct cx_funnel_limits *to = out[i].funnel;
        to[CX_FUNNEL_PLAIN] = limits(q, all->centre, sqrt(v));
        to[CX_FUNNEL_MULTIPLIED] = limits(q, all->centre, sqrt(v * all->phi));
        to[CX_FUNNEL_ADDED] = limits(q, all->centre, sqrt(v + tau2));
    }
}

/* ---- all ------------------------------------------------------------------------------------- */

static int draws_of(int draws)
{
    return draws > 0 ? draws : DRAWS;
}

size_t cx_benchmark_work(int units, int draws)
{
    return (size_t)units * (5 + (size_t)draws_of(draws));
}

/* Nothing known but the values. */
static void clear(const struct cx_benchmark_state *s, struct cx_benchmark_all *all,
                  struct cx_benchmark *out)
{
    const struct cx_interval none = {NAN, NAN, NAN};
    const struct cx_funnel_limits open = {NAN, NAN, NAN, NAN};
    *all = (struct cx_benchmark_all){NAN, NAN, NAN, NAN, NAN, NAN, false, 0};
    for (int i = 0; i < s->units; i++) {
        double value = s->question->unit[i].value;
        out[i] = (struct cx_benchmark){.variance = NAN, .raw = {value, NAN, NAN}, .own = NAN};
        out[i].shrunk = out[i].raw;
        out[i].rank_expected = out[i].p_top = out[i].p_bottom = NAN;
        out[i].rest = out[i].external = none;
        out[i].rest_z = out[i].funnel_z = NAN;
        for (int f = 0; f < CX_FUNNELS; f++)
            out[i].funnel[f] = open;
    }
}

enum cx_benchmark_status cx_benchmark(struct cx_benchmark_all *all, struct cx_benchmark *out,
                                      const struct cx_benchmark_question *question, double *work)
{
    if (!answerable(question))
        return CX_BENCHMARK_REFUSED;
    int k = question->units;
    bool shrinks = k >= CX_BENCHMARK_SHRINK_MIN;
    struct cx_benchmark_state s = {.question = question, .units = k, .y = work, .v = work + k};
    s.draws = draws_of(question->draws);
    s.df = work + 2 * k;
    s.x = work + 3 * k;
    s.order = work + 4 * k;
    s.rank = work + 5 * k;
    clear(&s, all, out);
    double answer = take_up(&s, out);
    if (!(answer > 0)) {
        clear(&s, all, out);
        return CX_BENCHMARK_NO_VARIANCE;
    }
    all->answer_variance = answer;
    if (shrinks) {
        cx_between(k, s.y, s.v, 0, &s.between);
        all->mu = s.between.mu;
        all->tau = sqrt(s.between.tau2);
        all->i2 = s.between.i2;
        all->paule_mandel = s.between.paule_mandel;
    }
    values(&s, shrinks, out);
    if (k == 1)
        return CX_BENCHMARK_ONE;
    beside_rest(&s, shrinks, out);
    funnel(&s, all, out);
    all->third = (k + 1) / 3; /* k/3, rounded; at least 1 */
    cx_benchmark_ranks(&s, shrinks, all->third, out);
    return shrinks ? CX_BENCHMARK_OK : CX_BENCHMARK_FEW;
}
