/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ranks of units: draws of the true values, ranked.
 *
 * Problem: a league table of estimates says who is first, not how surely. Way: draws of τ, then μ,
 * then every unit's value, from their posterior; the range a rank takes in 95 % of them, and how
 * often a unit is among the best or the worst third. τ comes from a grid, laid twice: coarsely over
 * everything possible, then finely where its weight is. Hazard: REML's τ² instead of draws would be
 * 0 for many small estates, and then all ranks would follow the size of units alone.
 *
 * Below four units nothing is shrunk here either: values are drawn around what was seen. */
#include "analytics/benchmark_parts.h"

#include <math.h>

#include <gsl/gsl_sort_double.h>

#include "analytics/distribution.h"
#include "analytics/random.h"

#define GRID 80
#define REACH 5  /* of the grid, in SDs of values or of their errors, whichever is larger */
#define FAINT 12 /* ln weight below the best that is left out */
#define TAIL 0.025

struct posterior {
    double tau[GRID], weight[GRID]; /* weights cumulated */
};

/* ln of the marginal likelihood of τ, μ integrated out. */
static double log_weight(const struct cx_benchmark_state *s, double tau)
{
    double weight = 0, sum = 0, square = 0, log_det = 0;
    for (int i = 0; i < s->units; i++) {
        double all = s->v[i] + tau * tau;
        weight += 1 / all;
        sum += s->y[i] / all;
        log_det += log(all);
    }
    for (int i = 0; i < s->units; i++) {
        double off = s->y[i] - sum / weight;
        square += off * off / (s->v[i] + tau * tau);
    }
    return -0.5 * (log_det + log(weight) + square);
}

/* Weights at the points of tau; returns the best. */
static double weigh(const struct cx_benchmark_state *s, struct posterior *p)
{
    double best = -INFINITY;
    for (int g = 0; g < GRID; g++)
        best = fmax(best, p->weight[g] = log_weight(s, p->tau[g]));
    return best;
}

static void lay_grid(const struct cx_benchmark_state *s, struct posterior *p)
{
    double mean = 0, spread = 0, error = 0, k = s->units;
    for (int i = 0; i < s->units; i++)
        mean += s->y[i] / k;
    for (int i = 0; i < s->units; i++) {
        spread += (s->y[i] - mean) * (s->y[i] - mean) / (k - 1);
        error += s->v[i] / k;
    }
    double most = REACH * sqrt(fmax(spread, error));
    for (int g = 0; g < GRID; g++) /* closer near 0 */
        p->tau[g] = most * g * g / ((GRID - 1.0) * (GRID - 1.0));
    double best = weigh(s, p);
    int first = 0, last = GRID - 1;
    while (p->weight[first] < best - FAINT)
        first++;
    while (p->weight[last] < best - FAINT)
        last--;
    double low = p->tau[first > 0 ? first - 1 : 0],
           high = p->tau[last < GRID - 1 ? last + 1 : last];
    for (int g = 0; g < GRID; g++)
        p->tau[g] = low + (high - low) * (g + 0.5) / GRID;
    best = weigh(s, p);
    double total = 0;
    for (int g = 0; g < GRID; g++)
        p->weight[g] = total += exp(p->weight[g] - best);
}

/* ---- draws ----------------------------------------------------------------------------------- */

static double normal(struct cx_random *random)
{
    /* (0, 1): half a step off the multiples of 2^-53 */
    return cx_normal_quantile(cx_random_unit(random) * (1 - 0x1p-52) + 0x1p-54);
}

/* True values, one draw, into x. */
static void draw(struct cx_benchmark_state *s, const struct posterior *p, struct cx_random *random)
{
    double at = cx_random_unit(random) * p->weight[GRID - 1], weight = 0, sum = 0;
    int g = 0;
    while (g < GRID - 1 && p->weight[g] <= at)
        g++;
    double tau2 = p->tau[g] * p->tau[g];
    for (int i = 0; i < s->units; i++) {
        weight += 1 / (s->v[i] + tau2);
        sum += s->y[i] / (s->v[i] + tau2);
    }
    double mu = sum / weight + normal(random) / sqrt(weight);
    for (int i = 0; i < s->units; i++) {
        double shrinkage = s->v[i] / (s->v[i] + tau2);
        s->x[i] =
            s->y[i] + shrinkage * (mu - s->y[i]) + sqrt((1 - shrinkage) * s->v[i]) * normal(random);
    }
}

static void draw_unshrunk(struct cx_benchmark_state *s, struct cx_random *random)
{
    for (int i = 0; i < s->units; i++)
        s->x[i] = s->y[i] + sqrt(s->v[i]) * normal(random);
}

/* x → ranks of draw d. */
static void rank(struct cx_benchmark_state *s, int d)
{
    size_t draws = (size_t)s->draws;
    for (int i = 0; i < s->units; i++) {
        s->x[i] *= -s->question->direction; /* the best first */
        s->order[i] = i;
    }
    gsl_sort2(s->x, 1, s->order, 1, (size_t)s->units);
    for (int at = 0; at < s->units; at++)
        s->rank[(size_t)s->order[at] * draws + (size_t)d] = at + 1;
}

static void summarise(const struct cx_benchmark_state *s, int third, double *ranks,
                      struct cx_benchmark *out)
{
    int draws = s->draws, low = (int)(TAIL * draws), top = 0, bottom = 0;
    double sum = 0;
    for (int d = 0; d < draws; d++) {
        sum += ranks[d];
        top += ranks[d] <= third;
        bottom += ranks[d] > s->units - third;
    }
    gsl_sort(ranks, 1, (size_t)draws);
    out->rank_low = (int)ranks[low];
    out->rank_high = (int)ranks[draws - 1 - low];
    out->rank_expected = sum / draws;
    out->p_top = (double)top / draws;
    out->p_bottom = (double)bottom / draws;
    out->tier = out->p_top >= CX_BENCHMARK_TIER_P      ? CX_TIER_TOP
                : out->p_bottom >= CX_BENCHMARK_TIER_P ? CX_TIER_BOTTOM
                                                       : CX_TIER_MIDDLE;
}

void cx_benchmark_ranks(struct cx_benchmark_state *s, bool shrink, int third,
                        struct cx_benchmark *out)
{
    struct cx_random random = cx_random_seed(s->question->seed, 0x62656e63);
    struct posterior posterior;
    if (shrink)
        lay_grid(s, &posterior);
    for (int d = 0; d < s->draws; d++) {
        if (shrink)
            draw(s, &posterior, &random);
        else
            draw_unshrunk(s, &random);
        rank(s, d);
    }
    for (int i = 0; i < s->units; i++)
        summarise(s, third, s->rank + (size_t)i * (size_t)s->draws, &out[i]);
}
