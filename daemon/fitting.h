/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a response contributes to which driver model: rows of a regression, in the ids of the
 * database, and the text of the log that carries them from a flush to whoever adds them up.
 *
 *   fact ─ fp_fittings_of ─> series that a response belongs to (kept with it: `fitted`)
 *   stored or new response ─ fp_fitting_project ─> struct fp_driver_row ─ fp_driver_put ─> log
 *   log ─ fp_driver_get ─> struct fp_driver_row (absorb.c)
 *
 * A response is taken away by projecting what is stored of it, so a series' columns never change:
 * another definition is another series. Pure. Threads: none; immutable once made. */
#ifndef FP_FITTING_H
#define FP_FITTING_H

#include "analytics/moments.h"
#include "daemon/resolve.h"
#include "daemon/subject.h"

#define FP_PANEL_GROUPS 20 /* of people, in models whose people answer repeatedly */
#define FP_KEY_LEN 16      /* of a hashed name */

enum fp_segment {
    FP_SEGMENT_ALL,
    FP_SEGMENT_JOURNEY,
    FP_SEGMENT_TOUCHPOINT,
    FP_SEGMENT_UNIT,
    FP_SEGMENT_TENURE, /* enum fp_tenure_band */
    FP_SEGMENTS
};
enum fp_tenure_band {
    FP_BAND_NONE, /* not given: part of no band */
    FP_BAND_APPLICANT,
    FP_BAND_TO_3,
    FP_BAND_TO_12,
    FP_BAND_LONGER
};
enum fp_tenure_band fp_tenure_band(int tenure_months);

/* One driver model, bound to the database's ids. Columns: drivers, measures, outcome. */
struct fp_fitting {
    int32_t series;
    const struct fp_driver_model *model;
    enum fp_audience audience;
    int touchpoint; /* dense: where its events are scored and joined; FP_NONE */
    int columns;
    int first_measure;         /* column */
    unsigned segments;         /* bit: enum fp_segment */
    int8_t *item_column;       /* by id of the database; −1 = none */
    int8_t *measure_column;    /* the same */
    int item_ids, measure_ids; /* sizes of the two */
    int decimals[CX_COLUMNS_MAX];
};

/* A response as far as driver models see it: of a message or of the table. */
struct fp_answers {
    int32_t day, unit, touchpoint;
    int16_t tenure;
    int32_t weight;
    int64_t time_us; /* submitted */
    int32_t source;
    struct fp_slice id, interaction;
    bool has_subject;
    const uint8_t *subject;
    uint32_t score_count, measure_count;
    const int16_t *items, *scores, *measures;
    const int64_t *amounts;
};

struct fp_driver_row {
    bool event; /* a touchpoint event's measures, for a join: no weight, place or day */
    int sign;   /* +1, −1 */
    bool joins; /* waits for the event of its interaction */
    int32_t day, unit, touchpoint, journey; /* ids of the database */
    int32_t band, group;
    int64_t weight;
    uint64_t observed, does_not_apply;
    int64_t z[CX_COLUMNS_MAX]; /* by column, where observed */
    int64_t time_us;           /* of joins and events: submitted, happened */
    uint8_t interaction[FP_KEY_LEN], record[FP_KEY_LEN]; /* hashes: interaction; source and id */
};

/* fitted: series in the upper half, id of the main journey in the lower. */
static inline int64_t fp_fitted_pack(int32_t series, int32_t journey)
{
    return (int64_t)series << 32 | (uint32_t)journey;
}
static inline int32_t fp_fitted_series(int64_t fitted)
{
    return (int32_t)(fitted >> 32);
}
static inline int32_t fp_fitted_journey(int64_t fitted)
{
    return (int32_t)(fitted & 0xffffffff);
}

/* Whose answers, and at which touchpoint: the two members of a fitting that installing needs. */
void fp_fitting_scope(struct fp_fitting *fitting, const struct fp_model *model,
                      const struct fp_driver_model *driver_model);
/* Fills the fitting of a driver model. items, measures: the database's ids by dense id. Memory:
 * fp_fitting_free. False: no memory. */
bool fp_fitting_init(struct fp_fitting *fitting, const struct fp_model *model, int driver_model,
                     const int16_t *items, const int16_t *measures);
void fp_fitting_free(struct fp_fitting *fitting);

/* Whether a response (or, with event, a touchpoint event to be joined or scored) is in scope. */
bool fp_fitting_covers(const struct fp_model *model, const struct fp_fitting *fitting,
                       const struct fp_fact *fact);
bool fp_fitting_joins(const struct fp_fitting *fitting, const struct fp_fact *fact);

/* The row of a response. False: it answers nothing the model asks. */
bool fp_fitting_project(const struct fp_fitting *fitting, const struct fp_answers *answers,
                        int32_t journey, struct fp_driver_row *row);
/* The row of an event; measures of the fact in fixed point, ids by `measures`. False: none. */
bool fp_fitting_event(const struct fp_fitting *fitting, const struct fp_fact *fact,
                      const int16_t *measures, struct fp_driver_row *row);

/* A response's row with the measures of its interaction's event; its own go first. False, row as it
 * was: not within the model's join window. */
bool fp_driver_join(const struct fp_fitting *fitting, struct fp_driver_row *row,
                    const struct fp_driver_row *event);

/* Growing bytes. Aborts without memory. */
struct fp_driver_log {
    uint8_t *bytes;
    size_t len, capacity;
};
void fp_driver_put(struct fp_driver_log *log, const struct fp_fitting *fitting,
                   const struct fp_driver_row *row);
/* A response of a series whose columns are not known here: all its answers, for fp_driver_get of
 * whoever knows them. */
void fp_driver_put_whole(struct fp_driver_log *log, const struct fp_answers *answers,
                         int32_t journey, int sign);
/* The next row; *at moves on. False: the end, or (then *at < len) bytes that are no row. */
bool fp_driver_get(const struct fp_fitting *fitting, const uint8_t *bytes, size_t len, size_t *at,
                   struct fp_driver_row *row);

#endif
