/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `flightpath backtest`: what would have been alerted under a model and a budget, beside what was.
 *
 *   fp_backtest_open       model, programme, days, series of the KPIs: one snapshot, read only
 *   fp_backtest_responses  KPIs that are counted differently: recomputed from stored responses
 *   fp_backtest_compare    episodes found against those stored
 *   fp_backtest_print
 * Judging is the daemon's own: the same cells (watch_cells.h), the same estate, the same alerts
 * (watch_parts.h). Changes only; missing and suspect data are of the newest days. Used by
 * backtest_*.c and cmd_backtest.c only. Threads: one. */
#ifndef FP_BACKTEST_H
#define FP_BACKTEST_H

#include <stdio.h>

#include "daemon/options.h"
#include "daemon/verify_sum.h"
#include "daemon/watch_parts.h"

enum fp_backtest_source { /* of a KPI's cells */
                          FP_BACKTEST_TALLIES,
                          FP_BACKTEST_OLD_TALLIES, /* of a definition that is not counted any more
                                                    */
                          FP_BACKTEST_RESPONSES,
                          FP_BACKTEST_LEFT_OUT
};

struct fp_backtest_kpi {
    enum fp_backtest_source source;
    int64_t counted; /* contributions of responses */
};

struct fp_backtest_then { /* an alert that is stored */
    int level, kpi;       /* dense id; FP_NONE: all KPIs of a unit, or one the model has not */
    bool known;           /* the model has its KPI */
    int32_t unit;
    struct fp_watch_span span;
    char fingerprint[FP_FINGERPRINT], verdict[12];
    char *kpi_id, *scope;
    bool matched, judged; /* judged: its series is, on the day it was noticed */
};

struct fp_backtest_found {
    const struct fp_alert *alert;
    int joined; /* place of what it belongs to; its own */
    int then;   /* place of the stored one, −1 */
    bool shown; /* it has answers enough for its numbers */
};

struct fp_backtest {
    const struct fp_options *options;
    struct fp_pg *pg;
    struct fp_model *model;
    struct fp_binding *binding;
    struct fp_backtest_kpi *kpi;
    int only;          /* --kpi, or FP_NONE */
    int32_t from, day; /* reported from; judged up to */
    double per_year;
    bool progress;

    struct fp_sum sums;           /* of recomputed KPIs; values are a tally's columns */
    struct fp_watch_given *given; /* per recomputed KPI */
    size_t given_count;
    int64_t responses, unreadable, items_dropped;
    char problem[240]; /* of the first response that does not fit the model */

    struct fp_watch_cells *cells;
    struct fp_found_list list;
    struct fp_backtest_found *found;
    size_t found_count;
    struct fp_backtest_then *then;
    size_t then_count, then_capacity;
};

/* FP_REJECT: an option or the model cannot be used. */
enum fp_status fp_backtest_open(struct fp_backtest *b, struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_backtest_responses(struct fp_backtest *b, struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_backtest_compare(struct fp_backtest *b, struct fp_error *err) FP_MUST_CHECK;
/* False: it could not be written. */
bool fp_backtest_print(const struct fp_backtest *b, FILE *out);
void fp_backtest_free(struct fp_backtest *b);

/* Whether --from and --kpi let an alert be reported. */
bool fp_backtest_reported(const struct fp_backtest *b, int kpi, int32_t incident);

#endif
