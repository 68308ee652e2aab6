/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of watch_explain.h share: the facts of an alert, and what is told of them.
 *
 *   watch_explain.c         facts in their order; JSON
 *   watch_explain_cells.c   daily tallies → before, after, mix and within, contributors
 *   watch_explain_quantile.c the same of quantiles, which have no mix
 *   watch_explain_drivers.c states of driver models, alerts of input KPIs → what went along
 *   watch_explain_needed.c  what would make it certain; pure
 *   watch_explain_text.c    the sentences; pure
 *
 * Threads: those of the caller. */
#ifndef FP_WATCH_EXPLAIN_PARTS_H
#define FP_WATCH_EXPLAIN_PARTS_H

#include <stdio.h>

#include "analytics/mix.h"
#include "daemon/params.h"
#include "daemon/watch_explain.h"

#define FP_EXPLAIN_BEFORE 56 /* days */
#define FP_EXPLAIN_SEGMENTS 5
#define FP_EXPLAIN_ROWS (2 * (FP_EXPLAIN_SEGMENTS + 1)) /* of both splits, with their others */
#define FP_EXPLAIN_DRIVERS 3
#define FP_EXPLAIN_LEADING_DAYS 60
#define FP_EXPLAIN_DEADLINE_MS 30000
#define FP_EXPLAIN_NAME 256
#define FP_EXPLAIN_TEXT 4096
#define FP_EXPLAIN_SURE .8
#define FP_EXPLAIN_FIRM_DAYS 3 /* from the notice on a verdict is provisional */

struct fp_contributor {
    const char *by; /* unit, channel, kpi */
    int id;         /* of the database; by kpi: dense; CX_MIX_OTHERS */
    char name[FP_EXPLAIN_NAME], label[FP_EXPLAIN_NAME];
    double n_before, n, before, after; /* NAN: not known, not to be told */
    double mix, within;                /* in the KPI's unit; NAN: not taken apart */
    double share;                      /* of the change */
    struct cx_mix_interval interval; /* of after − before; by kpi: of unit − rest in SD, + better */
};

struct fp_cofactor { /* what went along */
    bool is_kpi;     /* an input KPI that moved before; else a driver of a driver model */
    char name[FP_EXPLAIN_NAME], label[FP_EXPLAIN_NAME], model[FP_EXPLAIN_NAME];
    double before, after;          /* means */
    double coef, low, high;        /* coefficient */
    struct cx_mix_interval effect; /* coefficient × change */
    bool in_unit;                  /* the effect is in the KPI's unit; else on the mean answer */
    int32_t since;                 /* of a KPI: when its own change began */
    char fingerprint[FP_FINGERPRINT];
};

struct fp_facts {
    const struct fp_binding *binding;
    const struct fp_alert *alert;
    int32_t first, last, newest; /* days of after; newest judged day */
    bool against_rest;           /* the series is a unit's value less that of the others */
    bool shown;                  /* the whole has enough answers */
    bool split;                  /* mix and within are known */
    double n, usual;             /* answers of after; expected by the days before */
    struct cx_mix_change whole;  /* before and after: of the KPI, or of it in the unit */
    struct fp_contributor rows[FP_EXPLAIN_ROWS];
    int row_count;
    struct fp_cofactor cofactors[2 * FP_EXPLAIN_DRIVERS];
    int cofactor_count;
    char shifted[FP_EXPLAIN_NAME]; /* channel whose share of the answers changed most */
    double shifted_before, shifted_after;
    double to_tell; /* days until shift and trend can be told apart; NAN: not to be said */
};

/* Tallies on their way to facts. */
struct fp_explain_cells {
    struct fp_facts *facts;
    int before_days[7], after_days[7];
    double factor[7];
    double min_n;
    struct fp_pg_result *rows;
    struct cx_mix_part *part; /* room for a row each */
    int parts;
};

/* Columns of a row of tallies, of a row of the sketch. */
enum {
    FP_CELL_SERIES,
    FP_CELL_UNIT,
    FP_CELL_CHANNEL,
    FP_CELL_AFTER,
    FP_CELL_WEEKDAY,
    FP_CELL_N,
    FP_CELL_WEIGHT,
    FP_CELL_SQUARE,
    FP_CELL_SUM,
    FP_CELL_SUM_SQUARE,
    FP_CELL_BIN
};
enum { FP_SKETCH_BIN = FP_CELL_N, FP_SKETCH_N };

/* An empty row; there is room for FP_EXPLAIN_SEGMENTS and the others of two splits. */
struct fp_contributor *fp_explain_new_row(struct fp_facts *facts, const char *by, int id);
/* Of a quantile: whole, contributors. */
void fp_explain_quantile(struct fp_explain_cells *cells);

/* A growing text. Aborts without memory. */
struct fp_words {
    FILE *out;
    char *at;
    size_t len;
};
void fp_words_open(struct fp_words *words);
char *fp_words_close(struct fp_words *words); /* the caller's */

/* How a KPI's numbers are written. */
struct fp_number_form {
    double factor; /* shares: 100 */
    int decimals;
    const char *unit, *change; /* " %" of a value, " percentage points" of a change; may be "" */
};
struct fp_number_form fp_number_form(const struct fp_model *model, int kpi);
void fp_put_value(FILE *out, const struct fp_number_form *form, double value);
void fp_put_change(FILE *out, const struct fp_number_form *form, double change); /* no sign */
void fp_put_day(FILE *out, int32_t day);                                         /* 12 March 2026 */
void fp_put_iso_day(FILE *out, int32_t day);                                     /* 2026-03-12 */
/* A unit's name in the model; the one given when it is not declared. */
const char *fp_unit_label(const struct fp_model *model, const char *unit);

enum fp_status fp_explain_cells(struct fp_pg *pg, struct fp_facts *facts, struct fp_error *err);
enum fp_status fp_explain_drivers(struct fp_pg *pg, struct fp_facts *facts, struct fp_error *err);
/* Days from now until the verdict can be shift or trend, if it goes on like this; 0: it can, NAN:
 * not within ten weeks, or nothing is known of its size. */
double fp_explain_days_to_tell(const struct fp_alert *alert, int32_t newest);
void fp_explain_needed(FILE *out, const struct fp_facts *facts);
void fp_explain_text(FILE *out, const struct fp_facts *facts);

#endif
