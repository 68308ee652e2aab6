/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/watch_levels.h"

#include <math.h>

static double effective(const struct cx_watch_bucket *bucket)
{
    return bucket->effective > 0 ? bucket->effective : bucket->n;
}

struct cx_watch_bucket cx_watch_against_rest(const struct cx_watch_bucket *unit,
                                             const struct cx_watch_bucket *parent)
{
    double n = unit->n, rest = parent->n - unit->n;
    struct cx_watch_bucket against = {.flags = unit->flags | parent->flags};
    if (!(n > 0) || !(rest > 0))
        return against;
    /* Kish's n of the rest: weights of the rest are taken to vary as those of the parent do */
    double rest_effective = effective(parent) * (rest / parent->n);
    against.n = n;
    against.effective = 1 / (1 / effective(unit) + 1 / rest_effective);
    against.mean = unit->mean - (parent->n * parent->mean - n * unit->mean) / rest;
    against.s2 = unit->s2;
    return against;
}

struct cx_watch_bucket cx_watch_composite(const struct cx_watch_bucket *against,
                                          const struct cx_watch_part *part, int count, double rho)
{
    struct cx_watch_bucket composite = {0};
    double square = 0, root = 0, sum = 0, third = 0, flagged = 0;
    int k = 0;
    unsigned flags = 0;
    for (int i = 0; i < count; i++) {
        double mean = (against[i].mean - part[i].level) * part[i].scale;
        if (!(against[i].n > 0) || part[i].scale == 0 || !isfinite(mean))
            continue;
        if (against[i].flags != 0) {
            flags |= against[i].flags;
            flagged += against[i].n;
            continue;
        }
        double variance = 1 / effective(&against[i]);
        square += variance;
        root += sqrt(variance);
        sum += mean;
        third += copysign(part[i].skewness, part[i].skewness * part[i].scale) * variance * variance;
        composite.n += against[i].n;
        k++;
    }
    if (k == 0)
        return (struct cx_watch_bucket){.n = flagged, .s2 = 1, .flags = flags};
    composite.mean = sum / k;
    composite.effective = (double)k * k / ((1 - rho) * square + rho * root * root);
    composite.s2 = 1;
    composite.third = third / ((double)k * k * k);
    return composite;
}

bool cx_watch_joins(int64_t bucket, int64_t opened, int within)
{
    return bucket >= opened && bucket - opened <= within;
}
