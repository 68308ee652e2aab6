/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From cells to the points of every series.
 *
 * Problem: a unit's composite needs the levels and scales of its KPIs' differences, and their
 * correlation ρ, all of which are estimates; what a bucket is judged by must not depend on buckets
 * after it.
 * Way: a KPI's level and scale are those of its baseline. Once two KPIs of a unit have one, the
 * unit is known: what was known by then counts from the beginning (none of that is judged before),
 * a KPI that is known later counts from then on. ρ is that of differences over a season, as τ² is:
 * no level and no weekday enters it, a step only for one season, a large one (|z| > 4) not at all.
 *   ρ = Σ (S² − Q) / Σ (m − 1) Q,  S = Σ z, Q = Σ z² over the m KPIs of a unit and bucket,
 *   z = ±(r_t − r_{t−season})/√(v_t + v_{t−season})
 * over the 182 buckets before each fit; a fit holds for the buckets from it on, the first one for
 * those before it too.
 * Hazard: `from` saves work only where a later bucket cannot reach back: not within a baseline. */
#include <math.h>
#include <stddef.h>

#include "analytics/watch_estate_parts.h"
#include "analytics/watch_parts.h"

#define CHANCE_MAX 4.0 /* |z| beyond it is an event */

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

/* A series begins with its first answers; what is before is no data, and no part of a baseline. */
static void fit(struct cx_estate *estate, struct cx_estate_series *series,
                const struct cx_watch_bucket *bucket, int count)
{
    const struct cx_estate_config *config = &estate->config;
    struct cx_watch_point *point =
        estate->point + (series - estate->series) * (ptrdiff_t)config->capacity;
    int lead = 0;
    for (; lead < count && !(bucket[lead].n > 0); lead++)
        point[lead] = (struct cx_watch_point){.data = CX_WATCH_EMPTY};
    series->profile = (struct cx_watch_profile){0};
    series->skewness = 0;
    if (whole_of(estate, series) != NULL) {
        series->profile.prior_s2 = whole_of(estate, series)->profile.s2;
        series->profile.prior_n = CX_ESTATE_BORROWED;
    }
    int own = cx_watch_prepare(&series->profile, point + lead, bucket + lead, count - lead,
                               config->first + lead, config->season);
    series->baseline = own > 0 ? lead + own : 0;
    series->point = own > 0 ? point : NULL;
    series->judged_from = own > 0 ? config->first + series->baseline : 0;
    if (own == 0)
        return;
    series->skewness = series->level == CX_ESTATE_UNIT ? NAN : skewness_of(estate, series);
    cx_watch_skew(point, bucket, count, series->profile.s2, series->skewness);
}

static void prepare_parents_and_cells(struct cx_estate *estate, int count)
{
    for (int s = 0; s < estate->count; s++) {
        struct cx_estate_series *series = &estate->series[s];
        const struct cx_watch_bucket *bucket;
        if (series->level == CX_ESTATE_UNIT)
            continue;
        bucket = cx_estate_cell(estate, series->kpi, series->unit);
        series->last_answers = last_answers(estate, series->kpi, series->unit, count);
        if (series->level == CX_ESTATE_CELL && !estate->flat) {
            const struct cx_watch_bucket *parent = cx_estate_cell(estate, series->kpi, -1);
            for (int t = 0; t < count; t++)
                estate->work[t] = cx_watch_against_rest(&bucket[t], &parent[t]);
            bucket = estate->work;
        }
        fit(estate, series, bucket, count);
    }
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

/* Adds the unit's bucket t; part is set. */
static void add_products(struct cx_estate *estate, int unit, int t)
{
    const int kpis = estate->config.kpis, before = t - estate->config.season;
    double sum = 0, square = 0;
    int count = 0;
    for (int k = 0; k < kpis; k++) {
        if (estate->part[k].scale == 0 || before < estate->part_from[k])
            continue;
        const struct cx_watch_point *point = estate->series[estate->cell_of[unit * kpis + k]].point;
        if (!(point[t].w > 0) || !(point[before].w > 0))
            continue;
        double z = (point[t].r - point[before].r) / sqrt(1 / point[t].w + 1 / point[before].w);
        if (fabs(z) > CHANCE_MAX)
            continue;
        sum += estate->part[k].scale < 0 ? -z : z;
        square += z * z;
        count++;
    }
    if (count >= 2) {
        estate->product[t] += sum * sum - square;
        estate->square[t] += (count - 1) * square;
    }
}

/* Of the buckets before t. */
static double rho_before(const struct cx_estate *estate, int t)
{
    double product = 0, square = 0;
    for (int i = t > CX_ESTATE_REFIT_OVER ? t - CX_ESTATE_REFIT_OVER : 0; i < t; i++) {
        product += estate->product[i];
        square += estate->square[i];
    }
    return square > 0 ? fmin(fmax(product / square, 0), 1) : 0;
}

static void fit_rho(struct cx_estate *estate, int count, int from)
{
    const struct cx_estate_config *config = &estate->config;
    for (int t = from; t < count; t++)
        estate->product[t] = estate->square[t] = 0;
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

static void prepare_unit(struct cx_estate *estate, int unit, int count, int from)
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
    fit(estate, series, estate->composite + (ptrdiff_t)unit * estate->config.capacity,
        known > 0 ? count : 0);
    if (series->baseline > 0 && series->baseline < known)
        series->judged_from = estate->config.first + known;
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
            prepare_unit(estate, u, count, from);
}
