/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What days vary by beyond sampling, τ², and how well that is known.
 *
 * Of one series: from differences over a season, so that neither a level nor a weekday enters it.
 *   τ̂² = Σ (Δ²/2 − s̄)/P,  s̄ mean sampling variance of the two buckets of a pair, P pairs
 *   Var τ̂² = 2·1.5 Σ (s̄ + τ²)²/P²   (1.5: neighbouring pairs share a bucket)
 * After eight weeks that is known to ± a third or worse, and the largest of many series is one
 * whose τ² came out too small. So series that are alike lend each other theirs, as far as they
 * show to be alike: normal-normal empirical Bayes with spread ω² between series by moments
 * (cf. Smyth 2004, Stat Appl Genet Mol Biol 3:3); and what is still unknown makes the statistic a
 * t with `df` degrees of freedom (Satterthwaite 1946), which cx_watch_glr turns into a normal
 * quantile. Threads: pure. */
#ifndef CX_WATCH_DAYS_H
#define CX_WATCH_DAYS_H

#include "analytics/watch.h"

/* Sums over pairs of a series; all zero = none. */
struct cx_watch_days {
    double sum, pairs, sampling, square; /* Σ(Δ²/2 − s̄), P, Σ s̄, Σ s̄² */
};
/* Adds bucket t and the one a season before it, s2 the variance of answers; nothing when either
 * cannot be used. */
void cx_watch_days_add(struct cx_watch_days *days, const struct cx_watch_bucket *bucket, int t,
                       int season, double s2);

/* Sums over series at one bucket; all zero = none. */
struct cx_watch_pool {
    int series;
    double sum, pairs, mean, square, error[3];
};
/* To pool[t], for every t from `from` on, what a series' buckets up to t tell. */
void cx_watch_pool_add(struct cx_watch_pool *pool, const struct cx_watch_bucket *bucket, int from,
                       int count, int season, double s2);
/* None below 5 series: spread is infinite. */
struct cx_watch_usual cx_watch_usual(const struct cx_watch_pool *pool);

struct cx_watch_variance {
    double tau2, df; /* df of s̄ + τ²; 0 = no pairs, nothing is known */
};
/* Of a series by its own pairs and, unless NULL, what is usual among those like it. */
struct cx_watch_variance cx_watch_days(const struct cx_watch_days *days,
                                       const struct cx_watch_usual *usual);

#endif
