/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Autocorrelation of residuals, pooled over series: one series of 56 days cannot tell it. */
#include "analytics/watch.h"

#include <math.h>
#include <stddef.h>

#define CENTRING_BIAS .01 /* autocorrelations about a fitted mean and weekdays come out too low */
#define LEAST .02
#define FITTED 2 /* numbers fitted: a, φ */
#define STANDARDISED_MAX 1e6

static double standardised(const struct cx_watch_point *point, double mean)
{
    double z = (point->r - mean) * sqrt(point->w);
    return fmax(-STANDARDISED_MAX, fmin(z, STANDARDISED_MAX));
}

void cx_watch_lags_add(struct cx_watch_lags *lags, const struct cx_watch_series *series, int from,
                       int until)
{
    const struct cx_watch_point *point = series->point;
    double weight = 0, total = 0, reference = 0;
    from = from > 0 ? from : 0;
    until = until < series->count ? until : series->count;
    for (int t = from; t < until; t++) {
        if (weight == 0)
            reference = point[t].r;
        weight += point[t].w;
        total += point[t].w * (point[t].r - reference);
    }
    if (!(weight > 0))
        return;
    double mean = reference + total / weight;
    lags->series++;
    for (int t = from; t < until; t++) {
        double z = standardised(&point[t], mean);
        lags->square += z * z;
        lags->buckets++;
        lags->used += point[t].w > 0;
        for (int k = 1; k <= CX_WATCH_LAGS && t + k < until; k++) {
            lags->expected[k - 1]++;
            if (!(point[t].w > 0) || !(point[t + k].w > 0))
                continue;
            lags->product[k - 1] += z * standardised(&point[t + k], mean);
            lags->pairs[k - 1]++;
        }
    }
}

struct cx_watch_memory cx_watch_memory_fit(const struct cx_watch_lags *lags)
{
    static const double grid[] = {0, .2, .3, .4, .5, .6, .7, .8, .85, .9, .95};
    struct cx_watch_memory best = {0, 0};
    double r[CX_WATCH_LAGS], least = INFINITY;
    if (!(lags->square > 0))
        return best;
    for (int k = 0; k < CX_WATCH_LAGS; k++) {
        /* gaps take away more of the products than of the squares; 1 without gaps */
        double gaps = lags->pairs[k] > 0 ? lags->expected[k] / lags->pairs[k] : 0;
        gaps *= lags->used / lags->buckets;
        r[k] = lags->product[k] * gaps / lags->square + CENTRING_BIAS;
    }
    for (size_t g = 0; g < sizeof grid / sizeof *grid; g++) {
        double power = 1, cross = 0, square = 0, error = 0;
        for (int k = 0; k < CX_WATCH_LAGS; k++, power *= grid[g]) {
            cross += r[k] * power;
            square += power * power;
        }
        double a = fmax(0, cross / square);
        power = 1;
        for (int k = 0; k < CX_WATCH_LAGS; k++, power *= grid[g])
            error += (r[k] - a * power) * (r[k] - a * power);
        if (error < least) {
            least = error;
            best = (struct cx_watch_memory){a, grid[g]};
        }
    }
    return best.a < LEAST ? (struct cx_watch_memory){0, 0} : best;
}

struct cx_watch_memory cx_watch_memory_shrunk(struct cx_watch_memory memory, double buckets)
{
    double power = 1, square = 0;
    for (int k = 0; k < CX_WATCH_LAGS; k++, power *= memory.phi)
        square += power * power;
    double explained = memory.a * memory.a * square * buckets; /* χ² of two numbers by chance */
    memory.a *= explained > FITTED ? 1 - FITTED / explained : 0;
    return memory.a < LEAST ? (struct cx_watch_memory){0, 0} : memory;
}

double cx_watch_memory_factor(struct cx_watch_memory memory, int m)
{
    double power = 1, rest = 1 - memory.phi;
    for (int i = 0; i < m; i++)
        power *= memory.phi;
    return 1 + 2 * memory.a * (1 / rest - (1 - power) / (m * rest * rest));
}
