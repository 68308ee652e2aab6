/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How units compare on one KPI: shrunk values, ranges of ranks, tiers, each unit against the rest,
 * funnel limits, an external value. Any metric (points, shares, means, rates): the caller gives
 * values and their sampling variances. Intervals are at 95 %, within the scale, never of width 0.
 *
 * Shrunk: y_i ~ N(θ_i, v_i), θ_i ~ N(μ, τ²); τ² by REML; w = 1/(v + τ²), B = v w,
 * B* = B (K−3)/(K−1): θ_i = (1−B*)y + B*μ, variance
 * (1−B*)v + B²/Σw + 2/(K−3)·B*²·(mean v + τ²)/(v + τ²)·(y−μ)² (Morris 1983, JASA 78:47).
 * Ranks: draws from the posterior with τ and μ flat, τ on a grid.
 * Funnel: around Σny/Σn at the pooled variance of an answer over n; wider for overdispersion by √φ,
 * φ the mean square of z winsorised at 10 % (Spiegelhalter 2005, Qual. Saf. Health Care 14:347), or
 * by τ².
 * Memory: the caller's. Threads: pure. The same question gives the same answer. */
#ifndef CX_BENCHMARK_H
#define CX_BENCHMARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analytics/interval.h"

#define CX_BENCHMARK_UNITS_MAX 5000
#define CX_BENCHMARK_SHRINK_MIN 4   /* units; below, values stay as they are */
#define CX_BENCHMARK_OWN_VARIANCE 5 /* answers; below, variance is that of everybody's answers */
#define CX_BENCHMARK_BORROWED 20    /* answers of everybody's variance in a unit's own */
#define CX_BENCHMARK_TIER_P 0.9

/* ---- between units --------------------------------------------------------------------------- */

struct cx_between {
    double tau2, mu, mu_variance; /* variance between units; typical unit; 1/Σw */
    double q, i2;                 /* Cochran's Q; share of it beyond chance (Higgins), 0 … 1 */
    bool paule_mandel;            /* REML did not settle: τ² is Paule and Mandel's */
};

/* k ≥ 2 values y with variances v > 0. REML by fixed point, at most `steps` (≤ 0: 1000). */
void cx_between(int k, const double *y, const double *v, int steps, struct cx_between *out);
/* τ² with Σw(y−μ)² = k − 1, 0 when there is none (Paule & Mandel 1982). */
double cx_between_paule_mandel(int k, const double *y, const double *v);

/* ---- question -------------------------------------------------------------------------------- */

/* The variance taken is (n−1)/(n−1+20) of the unit's own and the rest of everybody's: pooled
 * variance of an answer over n. Own variances of a few whole numbers are often much too small: with
 * them alone ranges of ranks cover .93 (100 units of 5 … 200 NPS answers) instead of .95, and twice
 * as many tiers are false. Units whose variances do differ threefold lose nothing to speak of.
 * Variance 0, unknown, or of fewer than 5 answers: everybody's alone. */
struct cx_benchmark_unit {
    double n;        /* answers, effective; > 0 */
    double value;    /* in the KPI's unit */
    double variance; /* of the value, not of an answer; NAN = unknown */
};

struct cx_benchmark_question {
    const struct cx_benchmark_unit *unit;
    int units;
    int direction;                      /* 1: more is better; −1: less is */
    double scale_min, scale_max;        /* −INFINITY, INFINITY: open */
    double external, external_variance; /* to compare with; NAN = none; 0 = exactly known */
    uint64_t seed;                      /* of the draws, e.g. hash of KPI and window */
    int draws;                          /* ≤ 0 = 1000 */
};

/* ---- answer ---------------------------------------------------------------------------------- */

enum cx_benchmark_status {
    CX_BENCHMARK_OK,
    CX_BENCHMARK_FEW,         /* 2 or 3 units: nothing is shrunk, τ and I² are NAN */
    CX_BENCHMARK_ONE,         /* one unit: nothing to compare with but the external value */
    CX_BENCHMARK_NO_VARIANCE, /* no unit tells how answers vary: values only, the rest is NAN, 0 */
    CX_BENCHMARK_REFUSED      /* the question: no unit, too many, not finite, n ≤ 0, variance < 0,
                                 value off the scale, direction; nothing is written */
};

/* Top: P(among the best third) ≥ CX_BENCHMARK_TIER_P, a third being units/3, rounded, at least 1;
 * bottom likewise of the worst third; middle: anything else, so also who cannot be told. In
 * simulations 3 … 8 of 100 calls are false when units differ by 0.15 SD of an answer; when they
 * hardly differ calls are rare: at most 1 of 100 units is called falsely. */
enum cx_benchmark_tier { CX_TIER_NONE, CX_TIER_TOP, CX_TIER_MIDDLE, CX_TIER_BOTTOM };

enum cx_benchmark_side { CX_SIDE_NONE, CX_SIDE_ABOVE, CX_SIDE_BELOW, CX_SIDE_UNDECIDED };

enum cx_funnel { CX_FUNNEL_PLAIN, CX_FUNNEL_MULTIPLIED, CX_FUNNEL_ADDED, CX_FUNNELS };

struct cx_funnel_limits {
    double low95, high95, low998, high998;
};

struct cx_benchmark {
    double variance;             /* of the value, as used */
    bool pooled;                 /* it is that of all units */
    struct cx_interval raw;      /* ± t */
    struct cx_interval shrunk;   /* raw when nothing is shrunk */
    double own;                  /* weight of its own data in it, 0 … 1 */
    int rank_low, rank_high;     /* 95 % range, 1 = best */
    double rank_expected;        /* mean rank */
    double p_top, p_bottom;      /* P(among the best, the worst third) */
    enum cx_benchmark_tier tier; /* NONE: fewer than two units */
    struct cx_interval rest;     /* raw value − level of the other units, ± t (Welch) */
    double rest_z;               /* that difference over its standard error */
    double funnel_z;             /* from the funnel's centre, in plain standard errors */
    struct cx_funnel_limits funnel[CX_FUNNELS];
    struct cx_interval external;          /* shrunk − external value */
    enum cx_benchmark_side external_side; /* undecided: 0 is within the interval */
};

struct cx_benchmark_all {
    double mu;              /* the typical unit */
    double tau;             /* SD between units, beyond chance */
    double i2;              /* share of the spread of values beyond chance */
    double answer_variance; /* pooled within units */
    double centre, phi;     /* of the funnel; overdispersion, ≥ 1 */
    bool paule_mandel;      /* as in cx_between */
    int third;              /* units in a third */
};

/* Doubles of work; draws as in the question. */
size_t cx_benchmark_work(int units, int draws);
/* out: room for each unit. */
enum cx_benchmark_status cx_benchmark(struct cx_benchmark_all *all, struct cx_benchmark *out,
                                      const struct cx_benchmark_question *question, double *work);

#endif
