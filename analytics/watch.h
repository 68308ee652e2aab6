/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Does a KPI's daily series still stand where it stood? Preparation of the series, thresholds, and
 * the statistic; watch_episode.h makes episodes of it, watch_classify.h tells dip, shift and trend
 * apart, watch_levels.h sets a unit against its parent.
 *
 *   bucket (n, mean, s²)  →  cx_watch_prepare  →  points (r, w)  →  cx_watch_glr per bucket
 *
 *   r_t = y_t − E_k,  1/w_t = v_t = s²/n_t + τ² + V_k   (k: weekday)
 *   s²  variance of single answers, pooled;  τ²  what days vary beyond that, by differences at one
 *   season's lag, so a level or a weekday cannot enter it;  E_k  weekday effects, shrunk, V_k what
 *   they are uncertain by.
 *   Z_m = |R_a − R_b| / √(f_ma/W_a + f_mb/W_b): the last m buckets against up to 140 before them,
 *   largest over m = 1 … 56 (two-sample window-limited GLR: Lai 1995, Siegmund & Venkatraman 1995).
 *   f_m = 1 + 2a[1/(1−φ) − (1−φ^m)/(m(1−φ)²)]: what autocorrelation a·φ^(k−1) of the residuals
 *   does to the variance of a mean of m.
 *
 * With the profile's `apart`, as watched estates have it, V_k is not in v but in the variance of
 * R_a − R_b, as Σ_k V_k (part of weekday k in a − in b)²: a weekday's error is the same each week,
 * and none in whole weeks. And Z is a t with the degrees of freedom of v, made a normal quantile
 * (watch_days.h); without, v is taken for known.
 *
 * Units: those of the KPI. Buckets are numbered by the caller, days since 1970 say; a missing one
 * is a bucket with n = 0. Memory: the caller's. Threads: pure. No result is NAN unless said. */
#ifndef CX_WATCH_H
#define CX_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define CX_WATCH_WINDOW 56     /* longest stretch after a change */
#define CX_WATCH_LOOKBACK 140  /* longest stretch before it */
#define CX_WATCH_BEFORE_MIN 7  /* buckets with answers before a change */
#define CX_WATCH_BASELINE 56   /* buckets of history before anything is judged */
#define CX_WATCH_SEASON_MAX 24 /* 7 for days, 24 for hours, 1 = no season */
#define CX_WATCH_LAGS 6

/* ---- the series ------------------------------------------------------------------------------ */

enum cx_watch_flag {
    CX_WATCH_SUSPECT = 1, /* data quality: left out, and nothing is judged on that bucket */
    CX_WATCH_CALENDAR = 2 /* a known event (holiday, outage): the same */
};

struct cx_watch_bucket {
    double n;         /* answers; 0 = none, then the rest is not read */
    double effective; /* n that the mean's variance goes with (weights, differences); 0 = n */
    double mean;
    double s2;      /* variance of the answers, divisor n − 1; not read when n ≤ 1 or NAN */
    double third;   /* third cumulant of the mean, where it is known (cx_watch_skew); else 0 */
    unsigned flags; /* enum cx_watch_flag */
};

enum cx_watch_data { CX_WATCH_USABLE, CX_WATCH_EMPTY, CX_WATCH_IS_SUSPECT, CX_WATCH_LEFT_OUT };

struct cx_watch_point {
    double r, w, n; /* residual, weight (0 unless usable), answers */
    double third;   /* third cumulant of w·r; 0: symmetric, or cx_watch_skew was not called */
    enum cx_watch_data data;
    int phase;     /* bucket modulo season */
    double unsure; /* V_k where it is not in w: the same effect in all buckets of a phase */
    float df;      /* degrees of freedom of 1/w; 0: taken for known */
};

/* A stretch of points without gaps; point[i] is bucket first + i. */
struct cx_watch_series {
    int64_t first;
    int count;
    double sd; /* of single answers: the profile's */
    const struct cx_watch_point *point;
};

/* ---- preparation (watch_prepare.c) ----------------------------------------------------------- */

/* What τ² is usual among series alike, and the variance of theirs about it; INFINITY: not known. */
struct cx_watch_usual {
    double tau2, spread;
};

struct cx_watch_profile {
    /* set before. apart: V_k is not in w but in point.unsure, and point.df is set */
    bool apart;
    const struct cx_watch_usual *usual; /* only with apart: by bucket; NULL = own τ² alone */
    double prior_s2, prior_n; /* set before: variance of answers like these, and for how many of its
                                 own it counts; 0 = none */
    int season, baseline;
    double s2, tau2;                    /* of the baseline */
    double sd;                          /* √s², or τ when single answers never differ */
    double level;                       /* weighted mean of the baseline */
    double effect[CX_WATCH_SEASON_MAX]; /* E_k, k = bucket modulo season */
    double unsure[CX_WATCH_SEASON_MAX]; /* V_k */
};

/* Fits the profile on a baseline, the first buckets of the series: CX_WATCH_BASELINE of them, more
 * while they hold fewer than 28 with answers or 14 pairs a season apart, or do not vary at all; and
 * makes a point of each bucket, from those before it and itself (bucket[i] has number first + i).
 * Returns the length of the baseline; what comes after it can be judged. 0: not enough history or a
 * bad season; nothing is set. τ² is that of the baseline in its points; later ones have that of all
 * pairs up to themselves. Weekdays stay those of the baseline: over years, begin later. */
int cx_watch_prepare(struct cx_watch_profile *profile, struct cx_watch_point *point,
                     const struct cx_watch_bucket *bucket, int count, int64_t first, int season);

/* ---- skewness (watch_skew.c) ----------------------------------------------------------------- */

/* Of single answers with this mean and variance between two bounds: of a beta distribution (of a
 * share: exact); of a gamma distribution when one bound is infinite; 0 when both are. */
double cx_watch_skewness(double mean, double s2, double low, double high);
/* Sets point.third of prepared points from the skewness of single answers (s2 of the profile), or,
 * when it is NAN, from each bucket's own third cumulant. */
void cx_watch_skew(struct cx_watch_point *point, const struct cx_watch_bucket *bucket, int count,
                   double s2, double skewness);
/* The normal quantile with the upper tail that z has in a standardised sum of this skewness: of a
 * Pearson III distribution by Wilson and Hilferty's cube root (1931, PNAS 17:684; Kite 1977). Never
 * more than z. */
double cx_watch_unskewed(double z, double skewness);

/* ---- autocorrelation (watch_memory.c) -------------------------------------------------------- */

struct cx_watch_memory {
    double a, phi; /* a = 0: none */
};

/* Sums over many series, which add; all zero = none. */
struct cx_watch_lags {
    double square, buckets, used; /* used: with weight */
    double product[CX_WATCH_LAGS], pairs[CX_WATCH_LAGS], expected[CX_WATCH_LAGS];
    int series;
};

/* Adds points [from, until) of a series about their mean: the baseline, or up to 182 buckets
 * without a change among them (a step would pass for memory). */
void cx_watch_lags_add(struct cx_watch_lags *lags, const struct cx_watch_series *series, int from,
                       int until);
/* Least squares on the pooled autocorrelations. Below 5 series better those of a larger set. */
struct cx_watch_memory cx_watch_memory_fit(const struct cx_watch_lags *lags);
/* Shrunk by what so many independent buckets fit by chance (positive-part James & Stein 1961): f_m
 * is never below 1, so noise in it only ever makes thresholds too high. */
struct cx_watch_memory cx_watch_memory_shrunk(struct cx_watch_memory memory, double buckets);
double cx_watch_memory_factor(struct cx_watch_memory memory, int m); /* f_m, m ≥ 1 */

/* ---- thresholds (watch_glr.c) ---------------------------------------------------------------- */

/* √((5.5 − ln rate)/.38) for so many false alarms per 1,000 buckets of a series without `apart`, in
 * 3.3 … 6; within 8 % for rates .009 … 2.5 on the reference stream. rate ≤ 0: 6. With `apart`:
 * cx_watch_level_rate (watch_levels.h). */
double cx_watch_threshold(double per_1000);
double cx_watch_rate(double fire); /* its inverse: false alarms per 1,000 buckets */
/* The same from false episodes a year over `series` daily series that have `share` of the budget.
 */
double cx_watch_threshold_budget(double per_year, int series, double share);

#define CX_WATCH_SHIFT_MIN .1 /* SD of single answers */
#define CX_WATCH_FIRE_MIN 3.3
#define CX_WATCH_FIRE_MAX 6.0

struct cx_watch_rule {
    double fire, clear; /* Z above, below */
    double shift_min;   /* in SD of single answers */
    double n_min;       /* answers of a bucket that is judged */
    double factor[CX_WATCH_LOOKBACK + 1];
};

/* clear = min(3, fire − .5); shift_min .1; n_min 1 may be changed afterwards. */
struct cx_watch_rule cx_watch_rule(double fire, struct cx_watch_memory memory);

/* ---- the statistic (watch_glr.c) ------------------------------------------------------------- */

#define CX_WATCH_MASKS 32

/* Buckets left out of every mean because an episode that is over lies there; a ring. */
struct cx_watch_masks {
    int count, next;
    struct {
        int64_t from, until;
    } mask[CX_WATCH_MASKS];
};

struct cx_watch_split {
    double z;      /* as a normal quantile, skewness allowed for; 0 when nothing can be compared */
    double shift;  /* mean after less mean before */
    int64_t start; /* first bucket after; the bucket itself when z = 0 */
};

/* At a bucket of the series; nothing before bucket `floor` counts. masks may be NULL. */
struct cx_watch_split cx_watch_glr(const struct cx_watch_series *series,
                                   const struct cx_watch_rule *rule,
                                   const struct cx_watch_masks *masks, int64_t floor,
                                   int64_t bucket);

#endif
