/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a budget of false episodes to the thresholds of levels.
 *
 * Problem: how often chance makes an episode has no closed form: the machine looks again each day,
 * at 56 splits, holds still while it is open, and tells of nothing below the minimum shift.
 * Way: the tail of a maximum of normals, whose constants are those of simulated years; the minimum
 * takes a part of it that depends on the shortest stretches alone, so on shift and noise, hardly on
 * the threshold. `kpi_watch rates` makes the years again and demands what is said here:
 *   ln rate = 4.84 + 1.48 ln h − h²/2       within 6 %, h 3 … 5.1
 *   × 1/(1 + (least/2.03)^2.65)             within 8 % for least ≤ 3; at 4 up to a third
 *   never more than at h = least − .25      (least above h: no bucket less far off tells)
 * Source of the form: Siegmund & Venkatraman 1995, Ann Stat 23:255. */
#include "analytics/watch_levels.h"

#include <math.h>

#define STEPS 60 /* of a bisection: to the last bit */
#define LEAST_FIRST .3
#define LEAST_RATIO 1.15

static double rate_of(double fire)
{
    return exp(4.84 + 1.48 * log(fire) - fire * fire / 2);
}

double cx_watch_level_rate(double fire, double least)
{
    double rate = rate_of(fire) / (1 + pow(fmax(least, 0) / 2.03, 2.65));
    return least - .25 > fire ? fmin(rate, rate_of(least - .25)) : rate;
}

void cx_watch_limits_add(struct cx_watch_limits *limits, double least)
{
    int i = least > LEAST_FIRST ? (int)(log(least / LEAST_FIRST) / log(LEAST_RATIO)) + 1 : 0;
    limits->of[i < CX_WATCH_LIMITS ? i : CX_WATCH_LIMITS - 1]++;
    limits->series++;
}

double cx_watch_limits_per_day(const struct cx_watch_limits *limits, double fire)
{
    double sum = 0, least = LEAST_FIRST * sqrt(LEAST_RATIO);
    for (int i = 0; i < CX_WATCH_LIMITS; i++) {
        if (limits->of[i] > 0)
            sum += limits->of[i] * cx_watch_level_rate(fire, i > 0 ? least : 0) / 1000;
        least *= i > 0 ? LEAST_RATIO : 1;
    }
    return sum;
}

double cx_watch_limits_threshold(const struct cx_watch_limits *limits, double per_year)
{
    double low = CX_WATCH_FIRE_MIN, high = CX_WATCH_FIRE_MAX;
    if (!(cx_watch_limits_per_day(limits, low) * 365 > per_year))
        return low;
    for (int i = 0; i < STEPS; i++) {
        double middle = (low + high) / 2;
        bool more = cx_watch_limits_per_day(limits, middle) * 365 > per_year;
        low = more ? middle : low;
        high = more ? high : middle;
    }
    return high;
}

void cx_watch_parts(double per_year, const struct cx_watch_limits *limits, double *part, int levels)
{
    double left = per_year;
    int open = 0;
    for (int l = 0; l < levels; l++) {
        part[l] = -1;
        open += limits[l].series > 0;
    }
    /* the smallest first: what one leaves makes the others' parts larger, never smaller */
    for (bool again = open > 0; again && open > 0;) {
        again = false;
        for (int l = 0; l < levels && open > 0; l++) {
            double most = 365 * cx_watch_limits_per_day(&limits[l], CX_WATCH_FIRE_MIN);
            if (part[l] >= 0 || limits[l].series == 0 || most >= left / open)
                continue;
            part[l] = most;
            left -= most;
            open--;
            again = true;
        }
    }
    for (int l = 0; l < levels; l++)
        if (part[l] < 0)
            part[l] = limits[l].series > 0 && open > 0 ? left / open : 0;
}
