/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/watch_days.h"

#include <math.h>

#include "analytics/watch_parts.h"

#define NEIGHBOURS 1.5 /* 1 + 2·.25: correlation of the squares of pairs that share a bucket */
#define SERIES_MIN 5

void cx_watch_days_add(struct cx_watch_days *days, const struct cx_watch_bucket *bucket, int t,
                       int season, double s2)
{
    if (t < season || !cx_watch_usable(&bucket[t]) || !cx_watch_usable(&bucket[t - season]))
        return;
    double difference = bucket[t].mean - bucket[t - season].mean;
    double sampling =
        (s2 / cx_watch_effective(&bucket[t]) + s2 / cx_watch_effective(&bucket[t - season])) / 2;
    days->sum += difference * difference / 2 - sampling;
    days->pairs++;
    days->sampling += sampling;
    days->square += sampling * sampling;
}

/* Var τ̂² if τ² is so much. */
static double error_of(const struct cx_watch_days *days, double tau2)
{
    double squares = days->square + 2 * tau2 * days->sampling + days->pairs * tau2 * tau2;
    return 2 * NEIGHBOURS * squares / (days->pairs * days->pairs);
}

void cx_watch_pool_add(struct cx_watch_pool *pool, const struct cx_watch_bucket *bucket, int from,
                       int count, int season, double s2)
{
    struct cx_watch_days days = {0};
    for (int t = 0; t < count; t++) {
        cx_watch_days_add(&days, bucket, t, season, s2);
        if (t < from || !(days.pairs > 0))
            continue;
        double own = days.sum / days.pairs, scale = 2 * NEIGHBOURS / (days.pairs * days.pairs);
        pool[t].series++;
        pool[t].sum += days.sum;
        pool[t].pairs += days.pairs;
        pool[t].mean += own;
        pool[t].square += own * own;
        pool[t].error[0] += scale * days.square;
        pool[t].error[1] += scale * 2 * days.sampling;
        pool[t].error[2] += scale * days.pairs;
    }
}

struct cx_watch_usual cx_watch_usual(const struct cx_watch_pool *pool)
{
    struct cx_watch_usual usual = {0, INFINITY};
    if (pool->series < SERIES_MIN)
        return usual;
    double k = pool->series;
    usual.tau2 = fmax(0, pool->sum / pool->pairs);
    double off = (pool->square - 2 * usual.tau2 * pool->mean) / k + usual.tau2 * usual.tau2;
    double error =
        (pool->error[0] + usual.tau2 * pool->error[1] + usual.tau2 * usual.tau2 * pool->error[2]) /
        k;
    /* so much can hide in chance */
    usual.spread = fmax(off - error, 0) + error * sqrt(2 / k);
    return usual;
}

struct cx_watch_variance cx_watch_days(const struct cx_watch_days *days,
                                       const struct cx_watch_usual *usual)
{
    struct cx_watch_variance got = {0, 0};
    if (!(days->pairs > 0))
        return got;
    double own = days->sum / days->pairs, error;
    if (usual != NULL && isfinite(usual->spread)) {
        error = error_of(days, usual->tau2);
        double weight = error > 0 ? usual->spread / (usual->spread + error) : 1;
        got.tau2 = fmax(0, usual->tau2 + weight * (own - usual->tau2));
        error *= weight;
    } else {
        got.tau2 = fmax(0, own);
        error = error_of(days, got.tau2);
    }
    double v = days->sampling / days->pairs + got.tau2;
    got.df = error > 0 ? 2 * v * v / error : 0;
    return got;
}
