/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The estate's cells, and the order in which they are judged.
 *
 * Points are a function of the cells alone, so they are all prepared first; episodes need the
 * fitted autocorrelation, which needs earlier episodes, so judging goes through time. Whatever
 * changed, points are made anew and judging goes on from the newest checkpoint before the change:
 * nothing that is found can depend on how often somebody asked. */
#include "analytics/watch_estate.h"

#include <string.h>

#include "analytics/watch_estate_parts.h"

static size_t cells_of(const struct cx_estate_config *config)
{
    return (size_t)config->kpis * ((size_t)config->units + 1);
}

struct cx_estate *cx_estate_new(const struct cx_estate_config *config,
                                const struct cx_estate_kpi *kpi)
{
    struct cx_estate *estate = config->resize(NULL, sizeof *estate);
    if (estate == NULL)
        return NULL;
    memset(estate, 0, sizeof *estate);
    estate->config = *config;
    estate->changed = INT64_MAX;
    estate->evaluated = INT64_MIN;
    estate->kpi = cx_estate_get(estate, (size_t)config->kpis + 1, sizeof *estate->kpi);
    estate->cell = cx_estate_get(estate, cells_of(config) + 1, sizeof(struct cx_watch_bucket *));
    if (estate->kpi == NULL || estate->cell == NULL) {
        cx_estate_free(estate);
        return NULL;
    }
    for (int k = 0; k < config->kpis; k++)
        estate->kpi[k] = kpi[k];
    return estate;
}

void cx_estate_free(struct cx_estate *estate)
{
    if (estate == NULL)
        return;
    cx_estate_unbuild(estate);
    if (estate->cell != NULL)
        for (size_t c = 0; c < cells_of(&estate->config); c++)
            cx_estate_give(estate, estate->cell[c]);
    cx_estate_give(estate, estate->cell);
    cx_estate_give(estate, estate->kpi);
    cx_estate_give(estate, estate);
}

struct cx_watch_bucket *cx_estate_cells(struct cx_estate *estate, int kpi, int unit)
{
    size_t at = (size_t)kpi * ((size_t)estate->config.units + 1) + (size_t)(unit + 1);
    if (estate->cell[at] == NULL) {
        estate->cell[at] =
            cx_estate_get(estate, (size_t)estate->config.capacity + 1, sizeof **estate->cell);
        if (estate->cell[at] != NULL)
            estate->built = false;
    }
    return estate->cell[at];
}

void cx_estate_changed(struct cx_estate *estate, int64_t bucket)
{
    if (bucket < estate->changed)
        estate->changed = bucket;
}

/* Earliest bucket to be judged again; the last one always is, for its reports. */
static int64_t begin_at(const struct cx_estate *estate, int64_t until)
{
    int64_t from = estate->config.first;
    if (estate->evaluated == INT64_MIN)
        return from;
    from = estate->changed <= estate->evaluated ? estate->changed : estate->evaluated + 1;
    from = from < until ? from : until;
    return from > estate->config.first ? from : estate->config.first;
}

bool cx_estate_evaluate(struct cx_estate *estate, int64_t until)
{
    const struct cx_estate_config *config = &estate->config;
    int64_t last = config->first + config->capacity - 1;
    until = until < last ? until : last;
    until = until >= config->first ? until : config->first - 1;
    if (!estate->built && !cx_estate_build(estate))
        return false;
    if (until == estate->evaluated && estate->changed > until)
        return true;
    int64_t from = begin_at(estate, until);
    cx_estate_prepare(estate, (int)(until - config->first + 1), (int)(from - config->first));
    if (!cx_estate_judge(estate, from, until)) {
        estate->evaluated = INT64_MIN;
        return false;
    }
    cx_estate_join(estate);
    estate->evaluated = until;
    estate->changed = INT64_MAX;
    return true;
}

/* ---- results --------------------------------------------------------------------------------- */

int64_t cx_estate_first(const struct cx_estate *estate)
{
    return estate->config.first;
}

bool cx_estate_flat(const struct cx_estate *estate)
{
    return estate->flat;
}

int cx_estate_series_count(const struct cx_estate *estate)
{
    return estate->count;
}

const struct cx_estate_series *cx_estate_series(const struct cx_estate *estate, int index)
{
    return &estate->series[index];
}

struct cx_estate_rule cx_estate_rule(const struct cx_estate *estate, enum cx_estate_level level)
{
    struct cx_estate_rule rule = {0};
    int64_t t = estate->evaluated - estate->config.first;
    if (estate->evaluated < estate->config.first)
        return rule;
    const struct cx_estate_judged *judged = &estate->judged[level];
    rule.series = estate->ready[level][t];
    rule.fire = estate->threshold[level][t].fire;
    rule.per_year = 365 * rule.series * estate->threshold[level][t].chance;
    rule.clear = cx_watch_rule(rule.fire, judged->memory).clear;
    rule.memory = judged->memory;
    rule.expected = judged->expected;
    rule.judged = judged->buckets;
    return rule;
}

double cx_estate_rho(const struct cx_estate *estate)
{
    if (estate->evaluated < estate->config.first)
        return 0;
    return estate->rho[estate->evaluated - estate->config.first];
}
