/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Three levels in place of one test for each unit and KPI, so that what happens everywhere is one
 * notice and does not hide what happens in one place:
 *   parent      one series per KPI: all units merged;
 *   unit        one per unit: the mean over its KPIs of d = unit − rest, in SD;
 *   unit × KPI  d itself.   (rest: the parent without the unit)
 * Each level has its part of the alert budget (cx_watch_parts), its own threshold, profiles and
 * autocorrelation. Threads: pure. */
#ifndef CX_WATCH_LEVELS_H
#define CX_WATCH_LEVELS_H

#include "analytics/watch.h"

/* Buckets within which notices are one incident: a unit × KPI with its unit's; parents of several
 * KPIs with each other. The higher level is looked at first. */
#define CX_WATCH_JOIN_UNIT 14
#define CX_WATCH_JOIN_PARENT 7
#define CX_WATCH_LEVELS_SERIES_MIN 8 /* fewer series: flat, without levels */

/* ---- thresholds ------------------------------------------------------------------------------ */

/* False episodes per 1,000 buckets of a series whose points have their weekdays apart
 * (cx_watch_profile.apart), by the machine of watch_episode.h at this threshold. least: the
 * minimum shift in SD of a bucket's mean, which only short stretches can reach (0: no minimum). */
double cx_watch_level_rate(double fire, double least);

#define CX_WATCH_LIMITS 24

/* Series by their `least`; all zero = none. */
struct cx_watch_limits {
    int series, of[CX_WATCH_LIMITS];
};
void cx_watch_limits_add(struct cx_watch_limits *limits, double least);
/* False episodes a bucket of all of them. */
double cx_watch_limits_per_day(const struct cx_watch_limits *limits, double fire);
/* The threshold at which they have `per_year`; in CX_WATCH_FIRE_MIN … CX_WATCH_FIRE_MAX. */
double cx_watch_limits_threshold(const struct cx_watch_limits *limits, double per_year);
/* A budget in equal parts over the levels that have series; what a level cannot spend even at
 * CX_WATCH_FIRE_MIN goes to the others. */
void cx_watch_parts(double per_year, const struct cx_watch_limits *limits, double *part,
                    int levels);

/* ---- series ---------------------------------------------------------------------------------- */

/* d: variance s²_unit (1/n_unit + 1/n_rest). No bucket (n = 0) when either has no answers; flags
 * of both. The unit's answers must be among the parent's. */
struct cx_watch_bucket cx_watch_against_rest(const struct cx_watch_bucket *unit,
                                             const struct cx_watch_bucket *parent);

/* What brings one KPI's d to a common scale. */
struct cx_watch_part {
    double level; /* d's usual value (its profile's level): KPIs that are missing on a day then do
                     not move the mean of the others */
    double scale; /* 1/SD of an answer, negative where lower is better; 0 = leave out */
    double skewness; /* of single answers (cx_watch_skewness) */
};

/* Mean over KPIs of (d − level)·scale, variance 1/k² [(1−ρ)Σe² + ρ(Σe)²], e² = 1/n_unit + 1/n_rest,
 * ρ the correlation of the KPIs among respondents (for equal n: e²(1 + (k−1)ρ)/k). A KPI without
 * answers, or flagged, is left out; flags only when all with answers have them. s² = 1; third: as
 * of independent KPIs. */
struct cx_watch_bucket cx_watch_composite(const struct cx_watch_bucket *against,
                                          const struct cx_watch_part *part, int count, double rho);

/* Does a notice at `bucket` belong to an incident that opened at `opened`? */
bool cx_watch_joins(int64_t bucket, int64_t opened, int within);

#endif
