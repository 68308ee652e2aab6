/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Days that are not judged: known ones (the model's calendar) and suspect ones
 * (analytics/quality.h).
 *
 * What is said of a KPI as a whole counts for all of its units; a unit's own volume for the unit
 * alone. A known day is not looked at: it may well have five times the usual answers.
 * Straight-lining is told by the model's KPI of it, for the KPIs of the same audience and journey.
 * A KPI of straight-lining is never suspect by its own value, which is what it is watched for. */
#include <math.h>
#include <stdio.h>

#include "daemon/watch_cells_parts.h"

static bool is_known_day(const struct fp_model *model, int32_t day)
{
    for (int i = 0; i < model->calendar_count; i++)
        if (day >= model->calendar[i].from && day <= model->calendar[i].until)
            return true;
    return false;
}

static bool whole_is_suspect(const struct fp_watch_cells *cells, const struct fp_cells_kpi *kpi,
                             int day)
{
    return cx_quality_volume(kpi->whole, day).suspect ||
           cx_quality_mix((const uint32_t *const *)kpi->count, kpi->channels, day).suspect ||
           (kpi->straight != FP_NONE &&
            cx_quality_share(cells->kpi[kpi->straight].whole, day).suspect);
}

static bool set(struct cx_watch_bucket *bucket, unsigned flags)
{
    bool differs = bucket->flags != flags;
    bucket->flags = flags;
    return differs;
}

int32_t fp_cells_flag(struct fp_watch_cells *cells, int k, int32_t from, int32_t until)
{
    struct fp_cells_kpi *kpi = &cells->kpi[k];
    int32_t first = INT32_MAX;
    for (int32_t d = from < cells->first ? cells->first : from; d <= until; d++) {
        int day = d - cells->first;
        bool known = is_known_day(cells->binding->model, d), differs = false;
        unsigned flags = known                               ? CX_WATCH_CALENDAR
                         : whole_is_suspect(cells, kpi, day) ? CX_WATCH_SUSPECT
                                                             : 0;
        differs |= set(&kpi->whole[day], flags);
        for (int u = 0; u < cells->units; u++)
            if (kpi->unit[u])
                differs |= set(&kpi->unit[u][day],
                               flags == 0 && cx_quality_volume(kpi->unit[u], day).suspect
                                   ? CX_WATCH_SUSPECT
                                   : flags);
        if (differs && first == INT32_MAX)
            first = d;
    }
    return first;
}

/* ---- in words -------------------------------------------------------------------------------- */

static bool say_volume(struct fp_watch_cells *cells, const struct cx_watch_bucket *bucket, int day)
{
    struct cx_quality_volume v = cx_quality_volume(bucket, day);
    if (!v.suspect)
        return false;
    double n = bucket[day].n;
    snprintf(cells->why, sizeof cells->why,
             n > v.expected
                 ? "%.0f answers where %.0f are usual on this weekday (%.1f times as many)"
                 : "%.0f answers where %.0f are usual on this weekday (%.0f %% of them)",
             n, v.expected, n > v.expected ? n / v.expected : 100 * n / v.expected);
    return true;
}

static bool say_mix(struct fp_watch_cells *cells, const struct fp_cells_kpi *kpi, int day)
{
    struct cx_quality_mix m =
        cx_quality_mix((const uint32_t *const *)kpi->count, kpi->channels, day);
    if (!m.suspect)
        return false;
    snprintf(cells->why, sizeof cells->why,
             "the mix of channels: one channel has %.0f %% of the answers, before it was %.0f %%"
             " (%.0f %% of all answers lie elsewhere than usual)",
             100 * m.share, 100 * m.before, 100 * m.distance);
    return true;
}

static bool say_straight(struct fp_watch_cells *cells, const struct fp_cells_kpi *kpi, int day)
{
    if (kpi->straight == FP_NONE)
        return false;
    struct cx_quality_share s = cx_quality_share(cells->kpi[kpi->straight].whole, day);
    if (!s.suspect)
        return false;
    snprintf(cells->why, sizeof cells->why,
             "%.0f %% of the responses give the same answer to everything, before it was %.0f %%",
             100 * s.share, 100 * s.before);
    return true;
}

const char *fp_watch_cells_suspect(struct fp_watch_cells *cells, int kpi, int unit, int32_t day)
{
    int at = day - cells->first;
    if (day < cells->first || day > cells->until || unit >= cells->units)
        return NULL;
    struct fp_cells_kpi *k = &cells->kpi[kpi];
    const struct cx_watch_bucket *bucket = unit < 0 ? k->whole : k->unit[unit];
    if (bucket == NULL || !(bucket[at].flags & CX_WATCH_SUSPECT))
        return NULL;
    bool said = say_volume(cells, k->whole, at) || say_mix(cells, k, at) ||
                say_straight(cells, k, at) || say_volume(cells, bucket, at);
    return said ? cells->why : NULL;
}

double fp_watch_cells_missing(const struct fp_watch_cells *cells, int kpi, int unit, int32_t newest,
                              int32_t *since)
{
    const struct fp_cells_kpi *k = &cells->kpi[kpi];
    if (newest < cells->first || newest > cells->until || unit >= cells->units)
        return 0;
    const struct cx_watch_bucket *bucket = unit < 0 ? k->whole : k->unit[unit];
    if (bucket == NULL)
        return 0;
    struct cx_quality_missing m = cx_quality_missing(bucket, newest - cells->first);
    if (m.since < 0)
        return 0;
    *since = cells->first + m.since;
    return m.expected;
}
