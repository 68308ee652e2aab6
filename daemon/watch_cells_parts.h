/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the watched cells share: sums → bucket (watch_cells_bucket.c, pure), rows →
 * sums (watch_cells_read.c), flags (watch_cells_flags.c). Used by these and by their tests only. */
#ifndef FP_WATCH_CELLS_PARTS_H
#define FP_WATCH_CELLS_PARTS_H

#include "analytics/quality.h"
#include "analytics/sketch.h"
#include "daemon/watch_cells.h"

/* What a KPI's tallies say. */
enum fp_cells_form {
    FP_CELLS_NPS,   /* x = promoters − detractors, xx = their sum */
    FP_CELLS_BOX,   /* x = xx = answers in the top points */
    FP_CELLS_SHARE, /* x = xx = hits; also invitations answered */
    FP_CELLS_MEAN,
    FP_CELLS_RATIO, /* Σx ÷ Σy */
    FP_CELLS_QUANTILE
};

/* Sums over lanes and channels, and for a whole over units: 128 bits, so that nothing overflows. */
struct fp_cells_sums {
    __int128 n, weight, weight_square, x, xx, y, yy, xy;
};

struct fp_cells_kpi {
    int32_t series;
    enum fp_cells_form form;
    double one;              /* sums are in units of 1/one; NPS: .01 */
    int top_first, top_last; /* bins of the top points */
    double quantile, scale_min, scale_max;
    int straight;                  /* KPI that counts straight-lined responses of the same people */
    struct cx_watch_bucket *whole; /* the estate's */
    struct cx_watch_bucket **unit; /* per unit of the estate, NULL: no answers there */
    int32_t *channel;              /* ids */
    uint32_t **count;              /* [channel][day]: answers */
    int channels;
};

struct fp_watch_cells {
    struct fp_binding *binding;
    struct cx_estate *estate;
    int32_t first, until; /* days */
    int capacity;         /* days */
    int32_t *unit_id;     /* per unit of the estate, rising */
    char **unit_name;
    int units, unit_capacity;
    struct fp_cells_kpi *kpi;
    int kpis;
    char why[240]; /* fp_watch_cells_suspect */
};

/* ---- sums → bucket (pure) -------------------------------------------------------------------- */

/* What the model's KPI counts; series, cells and channels are left empty. */
struct fp_cells_kpi fp_cells_kpi(const struct fp_model *model, int kpi);
/* What single answers lie between, in the KPI's unit; high is infinite for measures. */
void fp_cells_bounds(const struct fp_model *model, int kpi, double *low, double *high);
/* All zero when nothing can be said. flags 0. */
struct cx_watch_bucket fp_cells_bucket(const struct fp_cells_kpi *kpi,
                                       const struct fp_cells_sums *sums);
/* counts in rising order of bin. The error of the quantile is half its order statistics' interval
 * of 68.27 %: few answers set no limit at 95 %. */
struct cx_watch_bucket fp_cells_quantile(const struct fp_cells_kpi *kpi,
                                         const struct cx_sketch_count *counts, size_t size);

/* ---- rows → cells ---------------------------------------------------------------------------- */

struct fp_cells_days { /* which days of a KPI: list != NULL: these; else from … until */
    int32_t from, until;
    const int32_t *list; /* rising */
    int count;
};

/* Units by name; *fits: no more than there is room for, and those known before are as they were. */
enum fp_status fp_cells_read_units(struct fp_pg *pg, struct fp_watch_cells *cells, bool *fits,
                                   struct fp_error *err) FP_MUST_CHECK;
/* Oldest day with answers of any KPI among from … until; INT32_MAX: none. */
enum fp_status fp_cells_read_oldest(struct fp_pg *pg, const struct fp_binding *binding,
                                    int32_t from, int32_t until, int32_t *oldest,
                                    struct fp_error *err) FP_MUST_CHECK;
/* Reads days of a KPI anew: what was there is cleared, flags are none. *known false: a unit that
 * the estate does not have. Days are within first … until. */
enum fp_status fp_cells_read_kpi(struct fp_pg *pg, struct fp_watch_cells *cells, int kpi,
                                 const struct fp_cells_days *days, bool *known,
                                 struct fp_error *err) FP_MUST_CHECK;
/* Sets a KPI's cells from given sums; days outside first … until are left out. */
void fp_cells_take_given(struct fp_watch_cells *cells, const struct fp_watch_given *given);
/* Index of a unit's id, −1: not known. */
int fp_cells_unit_index(const struct fp_watch_cells *cells, int32_t id);

/* ---- flags ----------------------------------------------------------------------------------- */

/* Sets the flags of a KPI's buckets from day `from` to `until`, of the whole and of all units.
 * Returns the first day whose flags changed, INT32_MAX: none. */
int32_t fp_cells_flag(struct fp_watch_cells *cells, int kpi, int32_t from, int32_t until);

#endif
