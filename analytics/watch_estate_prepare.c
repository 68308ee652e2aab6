/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From cells to the points of every series.
 *
 * Problem: a unit's composite needs the levels and scales of its KPIs' differences, and their
 * correlation ρ, all of which are estimates; what a bucket is judged by must not depend on buckets
 * after it.
 * Way: a KPI's level and scale are those of its baseline. Once two KPIs of a unit have one, the
 * unit is known: what was known by then counts from the beginning (none of that is judged before),
 * a KPI that is known later counts from then on. ρ is that of differences D over a season, as τ²
 * is: no level and no weekday enters it, a step only for one season, a large one (|z| > 4) not at
 * all. Days that a unit's KPIs have in common correlate D too, but do not shrink with n as sampling
 * does, and are a part of the composite's τ². So by weighted least squares over units and buckets
 *   Σ D_i D_j = ρ Σ (e_i e_j + e'_i e'_j) + c · pairs,  e² = 1/n_unit + 1/n_rest of both buckets
 * and, where n hardly varies, nearer to ρ with c = 0: that is taken to be off by .15 (sd). Sums
 * over the 182 buckets before each fit; a fit holds for the buckets from it on, the first one for
 * those before it too.
 * τ² is lent between the units of a KPI, and between composites (watch_days.h): each is fitted
 * alone, then again with what is usual among them up to each bucket. KPIs as a whole lend nothing:
 * they have their days in common, so five of them know no more than one.
 * Hazard: `from` saves work only where a later bucket cannot reach back: not within a baseline. */
#include <math.h>
#include <stddef.h>

#include "analytics/watch_estate_parts.h"
#include "analytics/watch_parts.h"

#define CHANCE_MAX 4.0     /* |z| beyond it is an event */
#define CROSSED_VARIANCE 3 /* of a weighted product: 2, and 1.5 as buckets are in two pairs */
#define DAYS_SHARE_SD .15

static int64_t last_answers(const struct cx_estate *estate, int kpi, int unit, int count)
{
    const struct cx_watch_bucket *cell = cx_estate_cell(estate, kpi, unit);
    for (int t = count - 1; cell != NULL && t >= 0; t--)
        if (cell[t].n > 0)
            return estate->config.first + t;
    return INT64_MIN;
}

/* Of n answers in a baseline, its mean; 0 and 0: there are none. */
static double mean_of(const struct cx_watch_bucket *answers, int baseline, double *n)
{
    double mean = 0;
    *n = 0;
    for (int t = 0; t < baseline; t++)
        if (answers[t].n > 0 && answers[t].flags == 0) {
            *n += answers[t].n;
            mean += (answers[t].mean - mean) * (answers[t].n / *n);
        }
    return mean;
}

/* The unit's KPI as a whole, where it can be judged; NULL: no unit's, or it cannot. */
static const struct cx_estate_series *whole_of(const struct cx_estate *estate,
                                               const struct cx_estate_series *series)
{
    int s = series->level == CX_ESTATE_CELL ? estate->parent_of[series->kpi] : -1;
    return s >= 0 && estate->series[s].baseline > 0 ? &estate->series[s] : NULL;
}

/* Few answers of which none failed do not show that none can: a unit borrows from its KPI. */
static double skewness_of(const struct cx_estate *estate, const struct cx_estate_series *series)
{
    const struct cx_estate_kpi *kpi = &estate->kpi[series->kpi];
    const struct cx_estate_series *whole = whole_of(estate, series);
    double n, all;
    if (!(kpi->high > kpi->low))
        return 0;
    double mean = mean_of(cx_estate_cell(estate, series->kpi, series->unit), series->baseline, &n);
    if (whole != NULL) {
        double usual = mean_of(cx_estate_cell(estate, series->kpi, -1), whole->baseline, &all);
        mean += (usual - mean) * (CX_ESTATE_BORROWED / (n + CX_ESTATE_BORROWED));
    }
    return cx_watch_skewness(mean, series->profile.s2, kpi->low, kpi->high);
}

/* Buckets before the first answers. */
static int lead_of(const struct cx_watch_bucket *bucket, int count)
{
    int lead = 0;
    while (lead < count && !(bucket[lead].n > 0))
        lead++;
    return lead;
}

/* Of the `count` points from `from` on that have any. */
static double mean_weight(const struct cx_watch_point *point, int from, int count)
{
    double sum = 0, used = 0;
    for (int t = from; t < from + count; t++) {
        sum += point[t].w;
        used += point[t].w > 0;
    }
    return used > 0 ? sum / used : 0;
}

/* A series begins with its first answers; what is before is no data, and no part of a baseline.
 * usual: by bucket, or NULL. */
static void fit(struct cx_estate *estate, struct cx_estate_series *series,
                const struct cx_watch_bucket *bucket, int count, const struct cx_watch_usual *usual)
{
    const struct cx_estate_config *config = &estate->config;
    struct cx_watch_point *point =
        estate->point + (series - estate->series) * (ptrdiff_t)config->capacity;
    int lead = lead_of(bucket, count);
    for (int t = 0; t < lead; t++)
        point[t] = (struct cx_watch_point){.data = CX_WATCH_EMPTY};
    memset(&series->profile, 0, sizeof series->profile); /* padding too */
    series->profile.apart = true;
    series->profile.usual = usual != NULL ? usual + lead : NULL;
    series->skewness = series->least = 0;
    if (whole_of(estate, series) != NULL) {
        series->profile.prior_s2 = whole_of(estate, series)->profile.s2;
        series->profile.prior_n = CX_ESTATE_BORROWED;
    }
    int own = cx_watch_prepare(&series->profile, point + lead, bucket + lead, count - lead,
                               config->first + lead, config->season);
    series->profile.usual = NULL;
    series->baseline = own > 0 ? lead + own : 0;
    series->point = own > 0 ? point : NULL;
    series->judged_from = own > 0 ? config->first + series->baseline : 0;
    if (own == 0)
        return;
    series->least = CX_WATCH_SHIFT_MIN * series->profile.sd * sqrt(mean_weight(point, lead, own));
    series->skewness = series->level == CX_ESTATE_UNIT ? NAN : skewness_of(estate, series);
    cx_watch_skew(point, bucket, count, series->profile.s2, series->skewness);
}

/* ---- τ² that series alike lend each other ---------------------------------------------------- */

static void begin_pool(struct cx_estate *estate, int count)
{
    memset(estate->pool, 0, (size_t)count * sizeof *estate->pool);
}

static void pool(struct cx_estate *estate, const struct cx_estate_series *series,
                 const struct cx_watch_bucket *bucket, int count)
{
    if (series->baseline > 0)
        cx_watch_pool_add(estate->pool, bucket, series->baseline - 1, count, estate->config.season,
                          series->profile.s2);
}

static void end_pool(struct cx_estate *estate, int count)
{
    for (int t = 0; t < count; t++)
        estate->usual[t] = cx_watch_usual(&estate->pool[t]);
}

/* ---- parents and cells ----------------------------------------------------------------------- */

static const struct cx_watch_bucket *against_rest(struct cx_estate *estate, int kpi, int unit,
                                                  int count)
{
    const struct cx_watch_bucket *bucket = cx_estate_cell(estate, kpi, unit);
    const struct cx_watch_bucket *parent = cx_estate_cell(estate, kpi, -1);
    if (estate->flat)
        return bucket;
    for (int t = 0; t < count; t++)
        estate->work[t] = cx_watch_against_rest(&bucket[t], &parent[t]);
    return estate->work;
}

static void prepare_cells(struct cx_estate *estate, int kpi, int count)
{
    begin_pool(estate, count);
    for (int pass = 0; pass < 2; pass++) {
        for (int u = 0; u < estate->config.units; u++) {
            int s = estate->cell_of[u * estate->config.kpis + kpi];
            if (s < 0)
                continue;
            struct cx_estate_series *series = &estate->series[s];
            const struct cx_watch_bucket *bucket = against_rest(estate, kpi, u, count);
            fit(estate, series, bucket, count, pass > 0 ? estate->usual : NULL);
            if (pass == 0)
                pool(estate, series, bucket, count);
        }
        if (pass == 0)
            end_pool(estate, count);
    }
}

static void prepare_parents_and_cells(struct cx_estate *estate, int count)
{
    for (int s = 0; s < estate->count; s++) {
        struct cx_estate_series *series = &estate->series[s];
        if (series->level == CX_ESTATE_UNIT)
            continue;
        series->last_answers = last_answers(estate, series->kpi, series->unit, count);
        if (series->level == CX_ESTATE_PARENT)
            fit(estate, series, cx_estate_cell(estate, series->kpi, -1), count, NULL);
    }
    for (int k = 0; k < estate->config.kpis; k++)
        prepare_cells(estate, k, count);
}

/* ---- units: what is known of their KPIs ------------------------------------------------------ */

/* The unit's KPI in its composite; NULL: none, or too little history. */
static const struct cx_estate_series *part_of(const struct cx_estate *estate, int unit, int kpi)
{
    int s = estate->cell_of[unit * estate->config.kpis + kpi];
    bool counts = estate->kpi[kpi].composite && s >= 0 && estate->series[s].baseline > 0;
    return counts ? &estate->series[s] : NULL;
}

/* t from which two of the unit's KPIs are known: the second smallest baseline. 0: not yet. */
static int known_at(const struct cx_estate *estate, int unit)
{
    int least = 0, second = 0;
    for (int k = 0; k < estate->config.kpis; k++) {
        const struct cx_estate_series *part = part_of(estate, unit, k);
        if (part == NULL)
            continue;
        if (least == 0 || part->baseline < least) {
            second = least;
            least = part->baseline;
        } else if (second == 0 || part->baseline < second) {
            second = part->baseline;
        }
    }
    return second;
}

/* Parts of a unit of which something is known at `known`. */
static void load_parts(struct cx_estate *estate, int unit, int known)
{
    for (int k = 0; k < estate->config.kpis; k++) {
        const struct cx_estate_series *part = part_of(estate, unit, k);
        estate->part[k] = (struct cx_watch_part){0};
        if (part == NULL || !(part->profile.sd > 0))
            continue;
        estate->part[k].level = part->profile.level;
        estate->part[k].scale = cx_estate_direction(estate, k) / part->profile.sd;
        estate->part[k].skewness = part->skewness;
        estate->part_from[k] = part->baseline <= known ? 0 : part->baseline;
    }
}

/* ---- ρ --------------------------------------------------------------------------------------- */

/* √ of the sampling variance of the unit's KPI against the rest, in SD. */
static double sampling_sd(const struct cx_estate *estate, int unit, int kpi, int t)
{
    struct cx_watch_bucket d = cx_watch_against_rest(&cx_estate_cell(estate, kpi, unit)[t],
                                                     &cx_estate_cell(estate, kpi, -1)[t]);
    return d.n > 0 ? sqrt(1 / (d.effective > 0 ? d.effective : d.n)) : 0;
}

/* Of the KPIs of a unit at a bucket and a season before it. */
struct together {
    int count;
    double sum, square;           /* Σ D, Σ D²: differences in SD */
    double e[2], ee[2], variance; /* Σ e, Σ e² of both buckets; Σ of what D varies by */
};

static void add_part(const struct cx_estate *estate, struct together *all, int unit, int kpi, int t)
{
    const int before = t - estate->config.season;
    const struct cx_estate_series *series =
        &estate->series[estate->cell_of[unit * estate->config.kpis + kpi]];
    const struct cx_watch_point *point = series->point;
    double scale = estate->part[kpi].scale;
    if (!(point[t].w > 0) || !(point[before].w > 0))
        return;
    double variance = 1 / point[t].w + 1 / point[before].w, d = point[t].r - point[before].r;
    if (d * d > CHANCE_MAX * CHANCE_MAX * variance)
        return;
    for (int i = 0; i < 2; i++) {
        double e = sampling_sd(estate, unit, kpi, i == 0 ? t : before);
        all->e[i] += e;
        all->ee[i] += e * e;
    }
    all->count++;
    all->sum += d * scale;
    all->square += d * d * scale * scale;
    all->variance += variance * scale * scale;
}

/* Adds the unit's bucket t; part is set. */
static void add_products(struct cx_estate *estate, int unit, int t)
{
    struct cx_estate_crossed *to = &estate->crossed[t];
    struct together all = {0};
    for (int k = 0; k < estate->config.kpis; k++)
        if (estate->part[k].scale != 0 && t - estate->config.season >= estate->part_from[k])
            add_part(estate, &all, unit, k, t);
    if (all.count < 2)
        return;
    double pairs = (double)all.count * (all.count - 1), mean = all.variance / all.count;
    double y = all.sum * all.sum - all.square, g = 1 / (pairs * mean * mean);
    double x = all.e[0] * all.e[0] - all.ee[0] + all.e[1] * all.e[1] - all.ee[1];
    to->xx += g * x * x;
    to->xp += g * x * pairs;
    to->pp += g * pairs * pairs;
    to->xy += g * x * y;
    to->py += g * pairs * y;
}

/* Of the buckets before t. */
static double rho_before(const struct cx_estate *estate, int t)
{
    struct cx_estate_crossed s = {0};
    for (int i = t > CX_ESTATE_REFIT_OVER ? t - CX_ESTATE_REFIT_OVER : 0; i < t; i++) {
        const struct cx_estate_crossed *at = &estate->crossed[i];
        s.xx += at->xx;
        s.xp += at->xp;
        s.pp += at->pp;
        s.xy += at->xy;
        s.py += at->py;
    }
    if (!(s.xx > 0))
        return 0;
    double without = s.xy / s.xx, apart = s.xx - s.xp * s.xp / s.pp;
    double sure = fmax(0, apart) / CROSSED_VARIANCE, before = 1 / (DAYS_SHARE_SD * DAYS_SHARE_SD);
    double with = apart > 0 ? (s.xy - s.xp * s.py / s.pp) / apart : without;
    return fmin(fmax((with * sure + without * before) / (sure + before), 0), 1);
}

static void fit_rho(struct cx_estate *estate, int count, int from)
{
    const struct cx_estate_config *config = &estate->config;
    for (int t = from; t < count; t++)
        estate->crossed[t] = (struct cx_estate_crossed){0};
    for (int u = 0; u < config->units; u++) {
        if (estate->unit_of[u] < 0)
            continue;
        load_parts(estate, u, estate->known_first);
        for (int t = from > config->season ? from : config->season; t < count; t++)
            add_products(estate, u, t);
    }
    double rho = estate->known_first > 0 ? rho_before(estate, estate->known_first) : 0;
    for (int t = 0; t < count; t++) {
        bool again = cx_watch_phase(config->first + t, CX_ESTATE_REFIT) == 0;
        if (t > estate->known_first && estate->known_first > 0 && again)
            rho = rho_before(estate, t);
        estate->rho[t] = rho;
    }
}

/* ---- composites ------------------------------------------------------------------------------ */

static void compose(struct cx_estate *estate, int unit, int count, int from)
{
    const int kpis = estate->config.kpis;
    struct cx_watch_bucket *to = estate->composite + (ptrdiff_t)unit * estate->config.capacity,
                           none = {0};
    load_parts(estate, unit, estate->known[unit]);
    for (int t = from; t < count; t++) {
        for (int k = 0; k < kpis; k++) {
            bool counts = estate->part[k].scale != 0 && t >= estate->part_from[k];
            estate->work[k] = counts ? cx_watch_against_rest(&cx_estate_cell(estate, k, unit)[t],
                                                             &cx_estate_cell(estate, k, -1)[t])
                                     : none;
        }
        to[t] = cx_watch_composite(estate->work, estate->part, kpis, estate->rho[t]);
    }
}

static const struct cx_watch_bucket *composite_of(const struct cx_estate *estate, int unit)
{
    return estate->composite + (ptrdiff_t)unit * estate->config.capacity;
}

static void compose_unit(struct cx_estate *estate, int unit, int count, int from)
{
    struct cx_estate_series *series = &estate->series[estate->unit_of[unit]];
    int known = known_at(estate, unit);
    bool again = known != estate->known[unit] || from < known;
    series->last_answers = INT64_MIN;
    for (int k = 0; k < estate->config.kpis; k++) {
        int64_t last = last_answers(estate, k, unit, count);
        if (estate->kpi[k].composite && last > series->last_answers)
            series->last_answers = last;
    }
    estate->known[unit] = known;
    if (known > 0)
        compose(estate, unit, count, again ? 0 : from);
}

static void prepare_units(struct cx_estate *estate, int count)
{
    begin_pool(estate, count);
    for (int pass = 0; pass < 2; pass++) {
        for (int u = 0; u < estate->config.units; u++) {
            if (estate->unit_of[u] < 0)
                continue;
            struct cx_estate_series *series = &estate->series[estate->unit_of[u]];
            const struct cx_watch_bucket *bucket = composite_of(estate, u);
            int known = estate->known[u];
            fit(estate, series, bucket, known > 0 ? count : 0, pass > 0 ? estate->usual : NULL);
            if (series->baseline > 0 && series->baseline < known)
                series->judged_from = estate->config.first + known;
            if (pass == 0)
                pool(estate, series, bucket, count);
        }
        if (pass == 0)
            end_pool(estate, count);
    }
}

void cx_estate_prepare(struct cx_estate *estate, int count, int from)
{
    int first = 0;
    prepare_parents_and_cells(estate, count);
    for (int u = 0; u < estate->config.units; u++) {
        int known = estate->unit_of[u] >= 0 ? known_at(estate, u) : 0;
        first = known > 0 && (first == 0 || known < first) ? known : first;
    }
    bool again = first != estate->known_first || from < first;
    estate->known_first = first;
    fit_rho(estate, count, again ? 0 : from);
    for (int u = 0; u < estate->config.units; u++)
        if (estate->unit_of[u] >= 0)
            compose_unit(estate, u, count, from);
    prepare_units(estate, count);
}
