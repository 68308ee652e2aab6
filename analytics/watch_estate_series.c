/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which series an estate has, and room for them.
 *
 * That follows from the cells that were asked for, not from what they hold: a unit that has no
 * answers yet is a series that cannot be judged yet. In the order of series: parents by KPI, units,
 * cells by unit and KPI, so that a unit's cells lie together. One asked for later makes all anew.
 */
#include <string.h>

#include "analytics/watch_estate_parts.h"

static bool has_whole(const struct cx_estate *estate, int kpi)
{
    return cx_estate_cell(estate, kpi, -1) != NULL;
}

/* KPIs of which units are set apart: at least two have answers of their own. */
static bool has_units(const struct cx_estate *estate, int kpi)
{
    int units = 0;
    for (int u = 0; u < estate->config.units && units < 2; u++)
        units += cx_estate_cell(estate, kpi, u) != NULL;
    return units == 2 && has_whole(estate, kpi);
}

static void add(struct cx_estate *estate, enum cx_estate_level level, int kpi, int unit)
{
    if (estate->series != NULL)
        estate->series[estate->count] =
            (struct cx_estate_series){.level = level, .kpi = kpi, .unit = unit};
    estate->count++;
}

/* Counts the series; fills them in when there is room. */
static void list_series(struct cx_estate *estate)
{
    const int kpis = estate->config.kpis, units = estate->config.units;
    estate->count = 0;
    for (int k = 0; k < kpis; k++) {
        estate->parent_of[k] = has_whole(estate, k) ? estate->count : -1;
        if (has_whole(estate, k))
            add(estate, CX_ESTATE_PARENT, k, -1);
        estate->cursor[k] = has_units(estate, k);
    }
    for (int u = 0; u < units; u++) {
        int together = 0;
        for (int k = 0; k < kpis; k++)
            together += estate->cursor[k] && estate->kpi[k].composite &&
                        cx_estate_cell(estate, k, u) != NULL;
        estate->unit_of[u] = !estate->flat && together >= 2 ? estate->count : -1;
        if (estate->unit_of[u] >= 0)
            add(estate, CX_ESTATE_UNIT, -1, u);
    }
    for (int u = 0; u < units; u++)
        for (int k = 0; k < kpis; k++) {
            bool apart = estate->cursor[k] && cx_estate_cell(estate, k, u) != NULL;
            estate->cell_of[u * kpis + k] = apart ? estate->count : -1;
            if (apart)
                add(estate, CX_ESTATE_CELL, k, u);
        }
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void *room(const struct cx_estate *estate, size_t count, size_t size, bool *enough)
{
    void *memory = cx_estate_get(estate, count, size);
    *enough &= memory != NULL;
    return memory;
}

static bool room_for_cells(struct cx_estate *estate)
{
    const struct cx_estate_config *config = &estate->config;
    size_t kpis = (size_t)config->kpis, units = (size_t)config->units;
    size_t buckets = (size_t)config->capacity;
    bool enough = true;
    estate->parent_of = room(estate, kpis, sizeof(int), &enough);
    estate->unit_of = room(estate, units, sizeof(int), &enough);
    estate->cell_of = room(estate, kpis * units, sizeof(int), &enough);
    estate->cursor = room(estate, kpis, sizeof(int), &enough);
    estate->part = room(estate, kpis, sizeof *estate->part, &enough);
    estate->part_from = room(estate, kpis, sizeof(int), &enough);
    estate->work = room(estate, kpis > buckets ? kpis : buckets, sizeof *estate->work, &enough);
    estate->pool = room(estate, buckets, sizeof *estate->pool, &enough);
    estate->usual = room(estate, buckets, sizeof *estate->usual, &enough);
    estate->composite = room(estate, units * buckets, sizeof *estate->composite, &enough);
    estate->known = room(estate, units, sizeof(int), &enough);
    estate->crossed = room(estate, buckets, sizeof *estate->crossed, &enough);
    estate->rho = room(estate, buckets, sizeof(double), &enough);
    for (int l = 0; l < CX_ESTATE_LEVELS; l++) {
        estate->ready[l] = room(estate, buckets, sizeof(int), &enough);
        estate->threshold[l] = room(estate, buckets, sizeof **estate->threshold, &enough);
    }
    estate->masked = room(estate, CX_ESTATE_REFIT_OVER, sizeof *estate->masked, &enough);
    return enough;
}

static bool room_for_series(struct cx_estate *estate)
{
    size_t count = (size_t)estate->count, buckets = (size_t)estate->config.capacity;
    bool enough = true;
    estate->series = room(estate, count, sizeof *estate->series, &enough);
    estate->point = room(estate, count * buckets, sizeof *estate->point, &enough);
    estate->machine = room(estate, count, sizeof *estate->machine, &enough);
    estate->list = room(estate, count, sizeof *estate->list, &enough);
    for (int c = 0; c < CX_ESTATE_CHECKPOINTS; c++) {
        struct cx_estate_checkpoint *checkpoint = &estate->checkpoint[c];
        checkpoint->bucket = INT64_MIN;
        checkpoint->machine = room(estate, count, sizeof *checkpoint->machine, &enough);
        checkpoint->last = room(estate, count, sizeof *checkpoint->last, &enough);
        checkpoint->episodes = room(estate, count, sizeof(int), &enough);
    }
    return enough;
}

static void free_series(struct cx_estate *estate)
{
    for (int s = 0; estate->list != NULL && s < estate->count; s++)
        cx_estate_give(estate, estate->list[s].episode);
    cx_estate_give(estate, estate->list);
    cx_estate_give(estate, estate->series);
    cx_estate_give(estate, estate->point);
    cx_estate_give(estate, estate->machine);
    for (int c = 0; c < CX_ESTATE_CHECKPOINTS; c++) {
        cx_estate_give(estate, estate->checkpoint[c].machine);
        cx_estate_give(estate, estate->checkpoint[c].last);
        cx_estate_give(estate, estate->checkpoint[c].episodes);
    }
}

void cx_estate_unbuild(struct cx_estate *estate)
{
    struct cx_estate kept = {.config = estate->config,
                             .kpi = estate->kpi,
                             .cell = estate->cell,
                             .changed = INT64_MAX,
                             .evaluated = INT64_MIN};
    free_series(estate);
    cx_estate_give(estate, estate->parent_of);
    cx_estate_give(estate, estate->unit_of);
    cx_estate_give(estate, estate->cell_of);
    cx_estate_give(estate, estate->cursor);
    cx_estate_give(estate, estate->part);
    cx_estate_give(estate, estate->part_from);
    cx_estate_give(estate, estate->work);
    cx_estate_give(estate, estate->pool);
    cx_estate_give(estate, estate->usual);
    cx_estate_give(estate, estate->composite);
    cx_estate_give(estate, estate->known);
    cx_estate_give(estate, estate->crossed);
    cx_estate_give(estate, estate->rho);
    for (int l = 0; l < CX_ESTATE_LEVELS; l++) {
        cx_estate_give(estate, estate->ready[l]);
        cx_estate_give(estate, estate->threshold[l]);
    }
    cx_estate_give(estate, estate->masked);
    *estate = kept;
}

bool cx_estate_build(struct cx_estate *estate)
{
    cx_estate_unbuild(estate);
    if (!room_for_cells(estate)) {
        cx_estate_unbuild(estate);
        return false;
    }
    list_series(estate);
    estate->flat = estate->count < CX_WATCH_LEVELS_SERIES_MIN;
    list_series(estate);
    if (!room_for_series(estate)) {
        cx_estate_unbuild(estate);
        return false;
    }
    list_series(estate);
    estate->built = true;
    return true;
}
