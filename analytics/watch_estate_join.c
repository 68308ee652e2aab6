/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Notices that are one incident. A cell's belongs to the newest incident of its unit that it came
 * after by at most CX_WATCH_JOIN_UNIT buckets; a parent's to that of the KPI which was first within
 * CX_WATCH_JOIN_PARENT, counted from that one, so that a chain has an end. Made anew from all
 * episodes each time: few are found. */
#include "analytics/watch_estate_parts.h"

static void join_cell(struct cx_estate *estate, int s, int unit)
{
    struct cx_estate_list *list = &estate->list[s];
    const struct cx_estate_list *over = &estate->list[unit];
    for (int e = 0; e < list->count; e++)
        for (int o = 0; o < over->count; o++)
            if (cx_watch_joins(list->episode[e].incident, over->episode[o].incident,
                               CX_WATCH_JOIN_UNIT)) {
                list->episode[e].joined_series = unit;
                list->episode[e].joined_episode = o;
            }
}

/* The parent with the earliest notice not yet passed; −1: none is left. */
static int next_parent(const struct cx_estate *estate)
{
    int next = -1;
    int64_t earliest = INT64_MAX;
    for (int k = 0; k < estate->config.kpis; k++) {
        int s = estate->parent_of[k], at = estate->cursor[k];
        if (s < 0 || at >= estate->list[s].count)
            continue;
        if (estate->list[s].episode[at].incident < earliest) {
            earliest = estate->list[s].episode[at].incident;
            next = k;
        }
    }
    return next;
}

static void join_parents(struct cx_estate *estate)
{
    int root = -1, root_episode = 0;
    for (int k = 0; k < estate->config.kpis; k++)
        estate->cursor[k] = 0;
    for (int k = next_parent(estate); k >= 0; k = next_parent(estate)) {
        int s = estate->parent_of[k], at = estate->cursor[k]++;
        struct cx_estate_episode *episode = &estate->list[s].episode[at];
        bool joins =
            root >= 0 && root != s &&
            cx_watch_joins(episode->incident, estate->list[root].episode[root_episode].incident,
                           CX_WATCH_JOIN_PARENT);
        if (!joins) {
            root = s;
            root_episode = at;
        }
        episode->joined_series = root;
        episode->joined_episode = root_episode;
    }
}

void cx_estate_join(struct cx_estate *estate)
{
    for (int s = 0; s < estate->count; s++)
        for (int e = 0; e < estate->list[s].count; e++) {
            estate->list[s].episode[e].joined_series = s;
            estate->list[s].episode[e].joined_episode = e;
        }
    for (int s = 0; s < estate->count; s++) {
        const struct cx_estate_series *series = &estate->series[s];
        int unit = series->level == CX_ESTATE_CELL ? estate->unit_of[series->unit] : -1;
        if (unit >= 0)
            join_cell(estate, s, unit);
    }
    join_parents(estate);
}
