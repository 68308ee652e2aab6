/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A change taken apart over segments.
 *
 * Problem: "the score fell" may mean that people judge worse, or that other people answered. Way:
 * everything is a ratio of sums, so that one formula serves means, shares and ratios alike, and
 * factors on the sums give the days before the weekdays of the days after. Hazard: a segment of a
 * few people must not be read out of the whole less the others (cx_mix_fold). */
#include "analytics/mix.h"

#include <math.h>

#include "analytics/distribution.h"

#define LEVEL 0.95

/* ---- sums ------------------------------------------------------------------------------------ */

void cx_mix_add(struct cx_mix_sums *into, const struct cx_mix_sums *from, double factor)
{
    if (!(factor > 0))
        return;
    into->n += from->n;
    into->weight += factor * from->weight;
    into->square += factor * factor * from->square;
    into->x += factor * from->x;
    into->xx += factor * from->xx;
    into->y += factor * from->y;
    into->yy += factor * from->yy;
    into->xy += factor * from->xy;
}

double cx_mix_value(const struct cx_mix_sums *sums)
{
    return sums->y > 0 ? sums->x / sums->y : NAN;
}

static double effective(const struct cx_mix_sums *sums)
{
    return sums->square > 0 ? sums->weight * sums->weight / sums->square : 0;
}

/* Variance of x − Vy of single answers. */
static double spread(const struct cx_mix_sums *sums)
{
    double value = cx_mix_value(sums), n = effective(sums);
    if (!(n > 1) || !isfinite(value))
        return NAN;
    double rest = sums->xx - 2 * value * sums->xy + value * value * sums->yy;
    return fmax(rest, 0) / sums->weight * (n / (n - 1));
}

double cx_mix_sd(const struct cx_mix_sums *sums)
{
    return sqrt(spread(sums));
}

double cx_mix_variance(const struct cx_mix_sums *sums)
{
    double mean = sums->y / sums->weight;
    return spread(sums) / effective(sums) / (mean * mean);
}

void cx_mix_weekdays(const int before[7], const int after[7], double factor[7])
{
    for (int d = 0; d < 7; d++)
        factor[d] = before[d] > 0 && after[d] > 0 ? (double)after[d] / before[d] : 0;
}

struct cx_mix_interval cx_mix_difference(const struct cx_mix_sums *before,
                                         const struct cx_mix_sums *after)
{
    struct cx_mix_interval out = {cx_mix_value(after) - cx_mix_value(before), NAN, NAN};
    double a = cx_mix_variance(after), b = cx_mix_variance(before), both = a + b;
    if (!isfinite(both) || !isfinite(out.change))
        return out;
    double half = 0;
    if (both > 0) {
        double df =
            both * both / (a * a / (effective(after) - 1) + b * b / (effective(before) - 1));
        half = cx_t_quantile(LEVEL, df) * sqrt(both);
    }
    out.low = out.change - half;
    out.high = out.change + half;
    return out;
}

/* ---- what may be shown ----------------------------------------------------------------------- */

static bool enough(double n, double min_n)
{
    return !(n > 0) || n >= min_n;
}

bool cx_mix_shown(const struct cx_mix_part *part, double min_n)
{
    return enough(part->before.n, min_n) && enough(part->after.n, min_n);
}

/* Moves part i into others; the last place becomes free. */
static void move(struct cx_mix_part *part, int *count, int i, struct cx_mix_part *others)
{
    cx_mix_add(&others->before, &part[i].before, 1);
    cx_mix_add(&others->after, &part[i].after, 1);
    for (--*count; i < *count; i++)
        part[i] = part[i + 1];
}

static double least(const struct cx_mix_part *part)
{
    return fmin(part->before.n, part->after.n);
}

int cx_mix_fold(struct cx_mix_part *part, int count, double min_n)
{
    struct cx_mix_part others = {.id = CX_MIX_OTHERS};
    int before = count;
    for (int i = count - 1; i >= 0; i--)
        if (!cx_mix_shown(&part[i], min_n))
            move(part, &count, i, &others);
    while (count > 0 && !cx_mix_shown(&others, min_n)) {
        int smallest = 0;
        for (int i = 1; i < count; i++)
            if (least(&part[i]) < least(&part[smallest]))
                smallest = i;
        move(part, &count, smallest, &others);
    }
    if (count < before)
        part[count++] = others;
    return count;
}

/* ---- the split ------------------------------------------------------------------------------- */

static bool usable(const struct cx_mix_sums *sums)
{
    return sums->y > 0 || (sums->y == 0 && sums->x == 0);
}

static void split_part(struct cx_mix_part *part, const struct cx_mix_sums *before,
                       const struct cx_mix_sums *after, double middle)
{
    double old = cx_mix_value(&part->before), new = cx_mix_value(&part->after);
    if (!isfinite(old))
        old = new;
    if (!isfinite(new))
        new = old;
    part->mix = part->within = 0;
    if (!isfinite(old))
        return; /* on neither side */
    double share_before = part->before.y / before->y, share_after = part->after.y / after->y;
    part->mix = (share_after - share_before) * ((old + new) / 2 - middle);
    part->within = (share_before + share_after) / 2 * (new - old);
}

bool cx_mix_split(struct cx_mix_part *part, int count, struct cx_mix_change *change)
{
    struct cx_mix_sums before = {0}, after = {0};
    for (int i = 0; i < count; i++) {
        if (!usable(&part[i].before) || !usable(&part[i].after))
            return false;
        cx_mix_add(&before, &part[i].before, 1);
        cx_mix_add(&after, &part[i].after, 1);
    }
    if (!(before.y > 0) || !(after.y > 0))
        return false;
    change->before = cx_mix_value(&before);
    change->after = cx_mix_value(&after);
    change->mix = change->within = 0;
    for (int i = 0; i < count; i++) {
        split_part(&part[i], &before, &after, (change->before + change->after) / 2);
        change->mix += part[i].mix;
        change->within += part[i].within;
    }
    return true;
}
