/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From buckets to points: what a day's mean varies by, and what its weekday does to it.
 *
 * Way: one pass finds how much history is needed, a second fits. Sums run about the first mean, so
 * a KPI with a large level and a small variance keeps its digits. Hazards: a series whose answers
 * are all alike has no scale to judge a change by, so the baseline grows until something varies; a
 * weekday nobody answered on has an unknown effect: E = 0, V = the variance of effects. Numbers
 * beyond any KPI are taken for no data, since their squares overflow. */
#include "analytics/watch.h"

#include <math.h>
#include <string.h>

#include "analytics/watch_days.h"
#include "analytics/watch_parts.h"

#define USABLE_MIN 28
#define PAIRS_MIN 14
#define MEAN_MAX 1e60
#define N_MIN 1e-9
#define N_MAX 1e18

enum cx_watch_data cx_watch_data_of(const struct cx_watch_bucket *bucket)
{
    if (!(bucket->n > 0 && bucket->n <= N_MAX) ||
        !(cx_watch_effective(bucket) >= N_MIN && cx_watch_effective(bucket) <= N_MAX) ||
        !(fabs(bucket->mean) <= MEAN_MAX))
        return CX_WATCH_EMPTY;
    if (bucket->flags & CX_WATCH_SUSPECT)
        return CX_WATCH_IS_SUSPECT;
    return bucket->flags & CX_WATCH_CALENDAR ? CX_WATCH_LEFT_OUT : CX_WATCH_USABLE;
}

static bool has_spread(const struct cx_watch_bucket *bucket)
{
    return bucket->n > 1 && bucket->s2 >= 0 && bucket->s2 <= MEAN_MAX;
}

/* How many of the first buckets make a baseline; 0 = all are too few. */
static int baseline_length(const struct cx_watch_bucket *bucket, int count, int season)
{
    int days = 0, pairs = 0;
    bool varies = false;
    for (int t = 0; t < count; t++) {
        bool pair =
            t >= season && cx_watch_usable(&bucket[t]) && cx_watch_usable(&bucket[t - season]);
        days += cx_watch_usable(&bucket[t]);
        pairs += pair;
        varies |= cx_watch_usable(&bucket[t]) && has_spread(&bucket[t]) && bucket[t].s2 > 0;
        varies |= pair && bucket[t].mean != bucket[t - season].mean;
        if (t + 1 >= CX_WATCH_BASELINE && days >= USABLE_MIN && pairs >= PAIRS_MIN && varies)
            return t + 1;
    }
    return 0;
}

static double pooled_variance(const struct cx_watch_bucket *bucket, int count,
                              const struct cx_watch_profile *prior)
{
    double sum = prior->prior_n * prior->prior_s2, df = prior->prior_n;
    for (int t = 0; t < count; t++)
        if (cx_watch_usable(&bucket[t]) && has_spread(&bucket[t])) {
            sum += (bucket[t].n - 1) * bucket[t].s2;
            df += bucket[t].n - 1;
        }
    return df > 0 ? sum / df : 0;
}

struct weekday {
    double weight, total; /* of means about the first */
};

static void fit_effects(struct cx_watch_profile *profile, const struct weekday *day, double level)
{
    double squares = 0, variances = 0, seen = 0;
    for (int k = 0; k < profile->season; k++)
        if (day[k].weight > 0) {
            double effect = day[k].total / day[k].weight - level;
            squares += effect * effect;
            variances += 1 / day[k].weight;
            seen++;
        }
    double spread = fmax(0, (squares - (seen - 1) / seen * variances) / seen);
    for (int k = 0; k < profile->season; k++) {
        bool known = day[k].weight > 0;
        double shrink = known ? spread / (spread + 1 / day[k].weight) : 0;
        profile->effect[k] = known ? shrink * (day[k].total / day[k].weight - level) : 0;
        profile->unsure[k] = known ? shrink / day[k].weight : spread;
        if (profile->season == 1)
            profile->effect[k] = profile->unsure[k] = 0;
    }
}

/* Level and weekday effects of the baseline, given its variances. */
static void fit_means(struct cx_watch_profile *profile, const struct cx_watch_bucket *bucket,
                      int64_t first)
{
    struct weekday day[CX_WATCH_SEASON_MAX] = {{0}};
    double weight = 0, total = 0, reference = 0;
    for (int t = 0; t < profile->baseline; t++) {
        if (!cx_watch_usable(&bucket[t]))
            continue;
        if (weight == 0)
            reference = bucket[t].mean;
        double w = 1 / (profile->s2 / cx_watch_effective(&bucket[t]) + profile->tau2);
        struct weekday *own = &day[cx_watch_phase(first + t, profile->season)];
        own->weight += w;
        own->total += w * (bucket[t].mean - reference);
        weight += w;
        total += w * (bucket[t].mean - reference);
    }
    profile->level = reference + total / weight;
    fit_effects(profile, day, total / weight);
}

static struct cx_watch_point point_of(const struct cx_watch_bucket *bucket,
                                      const struct cx_watch_profile *profile, int phase,
                                      const struct cx_watch_variance *variance)
{
    struct cx_watch_point point = {.data = cx_watch_data_of(bucket), .phase = phase};
    if (point.data == CX_WATCH_EMPTY)
        return point;
    point.r = bucket->mean - profile->effect[phase];
    point.n = bucket->n;
    double v = profile->s2 / cx_watch_effective(bucket) + variance->tau2;
    if (profile->apart) {
        point.unsure = profile->unsure[phase];
        point.df = (float)variance->df;
    } else {
        v += profile->unsure[phase];
    }
    point.w = point.data == CX_WATCH_USABLE ? 1 / v : 0;
    return point;
}

int cx_watch_prepare(struct cx_watch_profile *profile, struct cx_watch_point *point,
                     const struct cx_watch_bucket *bucket, int count, int64_t first, int season)
{
    struct cx_watch_days days = {0};
    bool asked = season >= 1 && season <= CX_WATCH_SEASON_MAX;
    int baseline = asked ? baseline_length(bucket, count, season) : 0;
    if (baseline == 0)
        return 0;
    struct cx_watch_profile set = *profile;
    const struct cx_watch_usual *usual = set.apart ? set.usual : NULL;
    memset(profile, 0, sizeof *profile); /* padding too: equal profiles are equal bytes */
    profile->prior_s2 = set.prior_s2;
    profile->prior_n = set.prior_n;
    profile->apart = set.apart;
    profile->season = season;
    profile->baseline = baseline;
    profile->s2 = pooled_variance(bucket, baseline, profile);
    for (int t = 0; t < baseline; t++)
        cx_watch_days_add(&days, bucket, t, season, profile->s2);
    struct cx_watch_variance variance =
        cx_watch_days(&days, usual != NULL ? &usual[baseline - 1] : NULL);
    profile->tau2 = variance.tau2;
    profile->sd = sqrt(profile->s2 > 0 ? profile->s2 : profile->tau2);
    fit_means(profile, bucket, first);
    for (int t = 0; t < count; t++) {
        if (t >= baseline) {
            cx_watch_days_add(&days, bucket, t, season, profile->s2);
            variance = cx_watch_days(&days, usual != NULL ? &usual[t] : NULL);
        }
        point[t] = point_of(&bucket[t], profile, cx_watch_phase(first + t, season), &variance);
    }
    return baseline;
}
