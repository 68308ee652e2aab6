/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The statistic at one bucket.
 *
 * Way: sums are formed anew from the last 196 points at each bucket, about 1 µs, and nothing runs
 * on from bucket to bucket: a late answer, a mask or a new floor cannot leave a trace, and the same
 * points give the same bits wherever a caller begins. The sum after the split grows backwards, so
 * only the longer stretch before it is a difference of prefix sums. Residuals are taken about one
 * of them: a large level costs no digits. A split before an empty bucket divides the answers as the
 * next one does, and is passed over. */
#include "analytics/watch.h"

#include <math.h>

#include "analytics/watch_parts.h"

#define CLEAR 3.0
#define KNOWN 1e9 /* degrees of freedom */
#define REACH (CX_WATCH_WINDOW + CX_WATCH_LOOKBACK)

double cx_watch_threshold(double per_1000)
{
    if (!(per_1000 > 0))
        return CX_WATCH_FIRE_MAX;
    double square = (5.5 - log(per_1000)) / .38;
    return fmin(fmax(sqrt(fmax(square, 0)), CX_WATCH_FIRE_MIN), CX_WATCH_FIRE_MAX);
}

double cx_watch_rate(double fire)
{
    return exp(5.5 - .38 * fire * fire);
}

double cx_watch_threshold_budget(double per_year, int series, double share)
{
    return cx_watch_threshold(1000 * per_year * share / (365.0 * (series > 0 ? series : 1)));
}

struct cx_watch_rule cx_watch_rule(double fire, struct cx_watch_memory memory)
{
    struct cx_watch_rule rule = {
        .fire = fire, .clear = fmin(CLEAR, fire - .5), .shift_min = CX_WATCH_SHIFT_MIN, .n_min = 1};
    rule.factor[0] = 1;
    for (int m = 1; m <= CX_WATCH_LOOKBACK; m++)
        rule.factor[m] = cx_watch_memory_factor(memory, m);
    return rule;
}

struct prefix {
    int64_t from;
    int length;
    double reference;
    double w[REACH], r[REACH];                  /* of single buckets; r about reference */
    double third[REACH];                        /* third cumulant of w·r */
    double weight[REACH + 1], total[REACH + 1]; /* Σ before index i */
    double thirds[REACH + 1];
    int used[REACH + 1];
    int phase[REACH];
    double unsure[CX_WATCH_SEASON_MAX];
};

static void load(struct prefix *p, const struct cx_watch_series *series,
                 const struct cx_watch_masks *masks, int64_t from, int64_t bucket)
{
    *p = (struct prefix){.from = from, .length = (int)(bucket - from + 1)};
    for (int i = 0; i < p->length; i++) {
        const struct cx_watch_point *point = &series->point[from + i - series->first];
        double w = cx_watch_weight(series, masks, from + i), r = 0;
        if (w > 0) {
            if (p->used[i] == 0)
                p->reference = point->r;
            r = point->r - p->reference;
        }
        p->w[i] = w;
        p->r[i] = r;
        p->phase[i] = point->phase;
        p->unsure[point->phase] = point->unsure > 0 ? point->unsure : p->unsure[point->phase];
        p->third[i] = w > 0 ? point->third : 0;
        p->thirds[i + 1] = p->thirds[i] + p->third[i];
        p->weight[i + 1] = p->weight[i] + w;
        p->total[i + 1] = p->total[i] + w * r;
        p->used[i + 1] = p->used[i] + (w > 0);
    }
}

/* Variance that a difference of two means has by effects of weekdays they share: Σ V_k (a_k −
 * b_k)², a_k and b_k the weekday's parts of the weights; nothing when both hold whole weeks. */
struct weekdays {
    double after[CX_WATCH_SEASON_MAX], before[CX_WATCH_SEASON_MAX];
    double aa, ab, bb; /* Σ V_k A_k² and so on */
};

static void add_after(struct weekdays *days, const struct prefix *p, int i)
{
    int k = p->phase[i];
    double v = p->unsure[k], w = p->w[i];
    days->aa += v * w * (2 * days->after[k] + w);
    days->ab += v * w * days->before[k];
    days->after[k] += w;
}

static void add_before(struct weekdays *days, const struct prefix *p, int i, int sign)
{
    int k = p->phase[i];
    double v = p->unsure[k], w = sign * p->w[i];
    days->bb += v * w * (2 * days->before[k] + w);
    days->ab += v * w * days->after[k];
    days->before[k] += w;
}

static double shared(const struct weekdays *days, double after, double before)
{
    return fmax(0, days->aa / (after * after) - 2 * days->ab / (after * before) +
                       days->bb / (before * before));
}

/* z of a t with df degrees of freedom (Wallace 1959, Ann Math Stat 30:1121). */
static double normal_of(double t, double df)
{
    return df > 0 && df < KNOWN ? (8 * df + 1) / (8 * df + 3) * sqrt(df * log1p(t * t / df)) : t;
}

static int lowest(int at)
{
    return at > CX_WATCH_LOOKBACK ? at - CX_WATCH_LOOKBACK : 0;
}

static struct cx_watch_split largest(const struct prefix *p, const double *factor)
{
    struct cx_watch_split best = {.start = p->from + p->length - 1};
    struct weekdays days = {0};
    double weight = 0, total = 0, third = 0, most = 0;
    for (int i = lowest(p->length - 1); i < p->length - 1; i++)
        add_before(&days, p, i, 1);
    for (int m = 1; m <= CX_WATCH_WINDOW && m < p->length; m++) {
        int at = p->length - m, low = lowest(at);
        if (m > 1)
            add_before(&days, p, at, -1);
        if (m > 1 && low < lowest(at + 1))
            add_before(&days, p, low, 1);
        add_after(&days, p, at);
        if (!(p->w[at] > 0))
            continue;
        weight += p->w[at];
        total += p->w[at] * p->r[at];
        third += p->third[at];
        int before = p->used[at] - p->used[low], after = p->used[p->length] - p->used[at];
        double rest = p->weight[at] - p->weight[low];
        if (before < CX_WATCH_BEFORE_MIN || !(rest > 0))
            continue;
        double shift = total / weight - (p->total[at] - p->total[low]) / rest;
        double variance =
            factor[after] / weight + factor[before] / rest + shared(&days, weight, rest);
        if (!(shift * shift > most * most * variance))
            continue; /* nor is it when skewness is allowed for */
        double cumulant = third / (weight * weight * weight) -
                          (p->thirds[at] - p->thirds[low]) / (rest * rest * rest);
        double skewness = copysign(1, shift) * cumulant / (variance * sqrt(variance));
        double z = cx_watch_unskewed(fabs(shift) / sqrt(variance), skewness);
        if (z > most) {
            most = z;
            best = (struct cx_watch_split){z, shift, p->from + at};
        }
    }
    return best;
}

struct cx_watch_split cx_watch_glr(const struct cx_watch_series *series,
                                   const struct cx_watch_rule *rule,
                                   const struct cx_watch_masks *masks, int64_t floor,
                                   int64_t bucket)
{
    struct prefix p;
    int64_t from = bucket - (REACH - 1);
    from = from < floor ? floor : from;
    from = from < series->first ? series->first : from;
    if (from >= bucket || bucket - series->first >= series->count)
        return (struct cx_watch_split){.start = bucket};
    load(&p, series, masks, from, bucket);
    struct cx_watch_split split = largest(&p, rule->factor);
    split.z = normal_of(split.z, series->point[bucket - series->first].df);
    return split;
}
