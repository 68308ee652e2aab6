/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Daily tallies as the cells of an estate (analytics/watch_estate.h): read, turned into n, mean and
 * variance by each KPI's metric, and flagged where a day is a known one (the model's calendar) or
 * its data are suspect (analytics/quality.h: volume, mix of channels, straight-lining).
 *
 * Rows read are sums over lanes and channels. A reading is of one snapshot: the caller's
 * transaction. Threads: one; the caller's connection. */
#ifndef FP_WATCH_CELLS_H
#define FP_WATCH_CELLS_H

#include "analytics/tally.h"
#include "analytics/watch_estate.h"
#include "daemon/alert.h"
#include "daemon/pg.h"
#include "daemon/registry.h"

/* History that is judged: from a boundary of this many days, so that it moves rarely. */
#define FP_WATCH_STEP_DAYS 28
/* Answers of a day that is judged. One says nothing of a day's spread, and two are no majority;
 * three is where a mean that is far off begins to be more than one person's bad day. */
#define FP_WATCH_N_MIN 3
#define FP_WATCH_HISTORY_DAYS 280 /* at least, where there is that much; at most one step more */

struct fp_watch_cells; /* opaque: the estate, which unit is which, channel counts */

struct fp_watch_touch { /* a KPI's day that a flush changed */
    int32_t series, day;
};

struct fp_watch_news {
    const struct fp_watch_touch *touched;
    size_t count;
    int32_t closed; /* newest day that is judged */
};

/* Reads everything up to and including day `until`. KPIs are those of the binding's model, in its
 * order; units are found in the data. per_year: ≤ 0 takes the model's. */
enum fp_status fp_watch_cells_load(struct fp_pg *pg, const struct fp_binding *binding,
                                   int32_t until, double per_year, struct fp_watch_cells **cells,
                                   struct fp_error *err) FP_MUST_CHECK;

struct fp_watch_given { /* what a KPI's tallies would be, from elsewhere: never a quantile's */
    int kpi;
    const struct fp_watch_given_row *row; /* in rising order of day, unit (id), channel (id) */
    size_t count;
};

struct fp_watch_given_row {
    int32_t day, unit, channel;
    struct cx_tally tally;
};

struct fp_watch_history {
    int32_t until;
    double per_year;
    const struct fp_watch_given *given; /* taken in place of these KPIs' stored tallies */
    size_t given_count;
};

/* The same with cells of the caller's own; a series of −1 has no stored ones. Such cells cannot be
 * refreshed. */
enum fp_status fp_watch_cells_load_given(struct fp_pg *pg, const struct fp_binding *binding,
                                         const struct fp_watch_history *history,
                                         struct fp_watch_cells **cells,
                                         struct fp_error *err) FP_MUST_CHECK;

/* Reads the touched days again, and all days between the last `until` and `closed`, so that days
 * after `closed` may be left out. FP_OK with *stale: begin again with fp_watch_cells_load; what is
 * in the cells is then no longer of use. */
enum fp_status fp_watch_cells_refresh(struct fp_pg *pg, struct fp_watch_cells *cells,
                                      const struct fp_watch_news *news, bool *stale,
                                      struct fp_error *err) FP_MUST_CHECK;
void fp_watch_cells_free(struct fp_watch_cells *cells);

struct cx_estate *fp_watch_cells_estate(struct fp_watch_cells *cells);
/* Name and database id of the estate's unit. */
const char *fp_watch_cells_unit(const struct fp_watch_cells *cells, int unit, int32_t *id);
/* Why a KPI's day is suspect, in words, valid until the next call; NULL: it is not. unit −1: as a
 * whole. */
const char *fp_watch_cells_suspect(struct fp_watch_cells *cells, int kpi, int unit, int32_t day);
/* Days from `newest` back that have no answers although answers were usual: expected number of
 * answers in that stretch by the same weekdays of the 56 days before it, *since its first day; 0:
 * nothing is missing (fewer than 20 expected, or answers on fewer than 14 of these days). */
double fp_watch_cells_missing(const struct fp_watch_cells *cells, int kpi, int unit, int32_t newest,
                              int32_t *since);

#endif
