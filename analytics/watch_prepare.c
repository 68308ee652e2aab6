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

#include "analytics/watch_parts.h"

#define USABLE_MIN 28
#define PAIRS_MIN 14
#define MEAN_MAX 1e60
#define N_MIN 1e-9
#define N_MAX 1e18

static double effective(const struct cx_watch_bucket *bucket)
{
    return bucket->effective > 0 ? bucket->effective : bucket->n;
}

static enum cx_watch_data data_of(const struct cx_watch_bucket *bucket)
{
    if (!(bucket->n > 0 && bucket->n <= N_MAX) ||
        !(effective(bucket) >= N_MIN && effective(bucket) <= N_MAX) ||
        !(fabs(bucket->mean) <= MEAN_MAX))
        return CX_WATCH_EMPTY;
    if (bucket->flags & CX_WATCH_SUSPECT)
        return CX_WATCH_IS_SUSPECT;
    return bucket->flags & CX_WATCH_CALENDAR ? CX_WATCH_LEFT_OUT : CX_WATCH_USABLE;
}

static bool usable(const struct cx_watch_bucket *bucket)
{
    return data_of(bucket) == CX_WATCH_USABLE;
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
        bool pair = t >= season && usable(&bucket[t]) && usable(&bucket[t - season]);
        days += usable(&bucket[t]);
        pairs += pair;
        varies |= usable(&bucket[t]) && has_spread(&bucket[t]) && bucket[t].s2 > 0;
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
        if (usable(&bucket[t]) && has_spread(&bucket[t])) {
            sum += (bucket[t].n - 1) * bucket[t].s2;
            df += bucket[t].n - 1;
        }
    return df > 0 ? sum / df : 0;
}

struct between {
    double sum;
    int pairs;
};

/* Adds bucket t and the one a season before it. */
static void add_pair(struct between *days, const struct cx_watch_bucket *bucket, int t, int season,
                     double s2)
{
    if (t < season || !usable(&bucket[t]) || !usable(&bucket[t - season]))
        return;
    double difference = bucket[t].mean - bucket[t - season].mean;
    double sampling = s2 / effective(&bucket[t]) + s2 / effective(&bucket[t - season]);
    days->sum += (difference * difference - sampling) / 2;
    days->pairs++;
}

static double variance_of_days(const struct between *days)
{
    return days->pairs > 0 && days->sum > 0 ? days->sum / days->pairs : 0;
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
        if (!usable(&bucket[t]))
            continue;
        if (weight == 0)
            reference = bucket[t].mean;
        double w = 1 / (profile->s2 / effective(&bucket[t]) + profile->tau2);
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
                                      double tau2)
{
    struct cx_watch_point point = {.data = data_of(bucket)};
    if (point.data == CX_WATCH_EMPTY)
        return point;
    point.r = bucket->mean - profile->effect[phase];
    point.n = bucket->n;
    double v = profile->s2 / effective(bucket) + tau2 + profile->unsure[phase];
    point.w = point.data == CX_WATCH_USABLE ? 1 / v : 0;
    return point;
}

int cx_watch_prepare(struct cx_watch_profile *profile, struct cx_watch_point *point,
                     const struct cx_watch_bucket *bucket, int count, int64_t first, int season)
{
    struct between days = {0, 0};
    bool asked = season >= 1 && season <= CX_WATCH_SEASON_MAX;
    int baseline = asked ? baseline_length(bucket, count, season) : 0;
    if (baseline == 0)
        return 0;
    *profile = (struct cx_watch_profile){.prior_s2 = profile->prior_s2,
                                         .prior_n = profile->prior_n,
                                         .season = season,
                                         .baseline = baseline};
    profile->s2 = pooled_variance(bucket, baseline, profile);
    for (int t = 0; t < baseline; t++)
        add_pair(&days, bucket, t, season, profile->s2);
    profile->tau2 = variance_of_days(&days);
    profile->sd = sqrt(profile->s2 > 0 ? profile->s2 : profile->tau2);
    fit_means(profile, bucket, first);
    for (int t = 0; t < count; t++) {
        if (t >= baseline)
            add_pair(&days, bucket, t, season, profile->s2);
        double tau2 = variance_of_days(&days);
        int phase = cx_watch_phase(first + t, season);
        point[t] = point_of(&bucket[t], profile, phase, tau2);
    }
    return baseline;
}
