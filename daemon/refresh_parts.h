/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of refresh.h share: a task on its way from states to rows.
 *
 *   refresh.c          claim, transaction, what happens to a task that fails
 *   refresh_read.c     series, states of the window, sets of patterns
 *   refresh_solve.c    sets → the library → struct fp_fit_row
 *   refresh_applies.c  what it is worth that a driver applies at all
 *   refresh_units.c    the same for small units, which borrow from each other
 *   refresh_write.c    struct fp_fit_row → driver_fit, driver_result
 *   refresh_change.c   what changed: coefficients, the top driver, key drivers
 *   refresh_scoring.c  a version of the scoring coefficients
 *   refresh_words.c    enums as the words of the database
 *
 * Every function here works for one thread, with the job's connection and scratch memory. */
#ifndef FP_REFRESH_PARTS_H
#define FP_REFRESH_PARTS_H

#include "analytics/driver_state.h"
#include "analytics/fitness.h"
#include "analytics/solve_drivers.h"
#include "daemon/fitting.h"
#include "daemon/params.h"
#include "daemon/refresh.h"

#define FP_REFRESH_DEADLINE_MS 30000
#define FP_REFRESH_LEVEL 0.95
#define FP_PATTERN_CAP 512

/* ---- memory that grows and is kept ----------------------------------------------------------- */

enum fp_room_use {
    FP_ROOM_STATES,
    FP_ROOM_SLOTS,
    FP_ROOM_WORK,
    FP_ROOM_SETS,
    FP_ROOM_CELLS,
    FP_ROOM_LIBRARY,
    FP_ROOM_BLOCKS,
    FP_ROOM_UNITS,
    FP_ROOMS
};
struct fp_room {
    void *bytes;
    size_t size;
};

/* ---- what is published ----------------------------------------------------------------------- */

enum fp_fit_number {
    FP_FIT_N_EFF,
    FP_FIT_INTERCEPT,
    FP_FIT_R2,
    FP_FIT_ADJ_R2,
    FP_FIT_R2_LOW,
    FP_FIT_R2_HIGH,
    FP_FIT_SIGMA,
    FP_FIT_F,
    FP_FIT_F_P,
    FP_FIT_CONDITION,
    FP_FIT_Q2,
    FP_FIT_Q2_LOW,
    FP_FIT_Q2_HIGH,
    FP_FIT_SLOPE,
    FP_FIT_SLOPE_LOW,
    FP_FIT_SLOPE_HIGH,
    FP_FIT_MEAN_ERROR,
    FP_FIT_OUTCOME_MEAN,
    FP_FIT_MISSING,
    FP_FIT_REPEATS,
    FP_FIT_NUMBERS
};
enum fp_driver_number {
    FP_DRIVER_COEF,
    FP_DRIVER_SE,
    FP_DRIVER_ROBUST_SE,
    FP_DRIVER_T,
    FP_DRIVER_LOW,
    FP_DRIVER_HIGH,
    FP_DRIVER_P,
    FP_DRIVER_Q,
    FP_DRIVER_BETA,
    FP_DRIVER_VIF,
    FP_DRIVER_R,
    FP_DRIVER_FMI,
    FP_DRIVER_MAR,
    FP_DRIVER_WEIGHT, /* intervals: value, low, high */
    FP_DRIVER_LMG = FP_DRIVER_WEIGHT + 3,
    FP_DRIVER_PERFORMANCE = FP_DRIVER_LMG + 3,
    FP_DRIVER_TOP1 = FP_DRIVER_PERFORMANCE + 3,
    FP_DRIVER_TOP3,
    FP_DRIVER_OWN,
    FP_DRIVER_TAU,
    FP_DRIVER_APPLIES,
    FP_DRIVER_APPLIES_SE,
    FP_DRIVER_NUMBERS
};

struct fp_driver_result {
    int64_t answered, skipped, does_not_apply;
    double number[FP_DRIVER_NUMBERS]; /* not finite = NULL */
    int rank_low, rank_high;          /* 0 = NULL */
    const char *key, *status;         /* key may be NULL */
    char flags[128];                  /* words between commas */
};
struct fp_fit_row {
    int32_t segment;
    int64_t n, n_complete, values_dropped, rows_dropped;
    double number[FP_FIT_NUMBERS]; /* not finite = NULL */
    const char *method, *status;
    int groups, patterns;
    bool model_based;
    uint64_t kept, top_group; /* drivers */
    struct fp_driver_result *driver;
};

/* ---- a task under way ------------------------------------------------------------------------ */

struct fp_refresh_state { /* one row of driver_state */
    const uint8_t *bytes;
    size_t len;
    int32_t segment, day;
    int people;
    int64_t rows; /* after fp_refresh_sets */
};

struct fp_refresh_sets {
    struct cx_collect collect;
    struct cx_set total, group[CX_GROUPS_MAX];
    int groups;
    int32_t first_day[CX_GROUPS_MAX]; /* of each run of days */
};

struct fp_refresh_scratch {
    struct fp_room room[FP_ROOMS];
    struct fp_refresh_sets sets;
    struct cx_drivers result;
    struct cx_cross cross;
    struct fp_fit_row fit;
    struct fp_driver_result driver[CX_COLUMNS_MAX];
    uint64_t kept_observed[FP_PATTERN_CAP];
};

struct fp_refresh_job {
    struct fp_pg *pg;
    const struct fp_binding *binding;
    const struct fp_refresh_config *config;
    struct fp_refresh_scratch *scratch;
    const struct fp_fitting *fitting;
    int kind;
    int32_t segment;
    char name[160]; /* of the segment: all, journey:<id>, … */
    char what[200]; /* model and segment, for messages */
    /* of the series: */
    bool has_window;
    int32_t first_day, day; /* the window */
    double cut;             /* an outcome up to here counts as a detractor */
    double range[CX_COLUMNS_MAX], low[CX_COLUMNS_MAX], high[CX_COLUMNS_MAX]; /* scale, by column */
    int direction[CX_COLUMNS_MAX];
    /* of the last day before this one: */
    bool was_key[CX_COLUMNS_MAX];
    uint64_t was_top; /* the driver that could be named top; 0 = none */
    /* of the window: */
    struct fp_pg_result *rows;
    struct fp_refresh_state *states;
    int state_count;
};

/* 16-byte aligned; what was there is lost. NULL: no memory. */
void *fp_room_take(struct fp_refresh_job *job, enum fp_room_use use, size_t bytes);
enum fp_status fp_refresh_no_memory(struct fp_error *err);

/* ---- refresh_read.c -------------------------------------------------------------------------- */

/* Scales, decimals and signs, from the model. */
void fp_refresh_scales(struct fp_refresh_job *job);
/* The series: its window; has_window false: nobody has answered yet. Then what was before. */
enum fp_status fp_refresh_read_series(struct fp_refresh_job *job, struct fp_error *err);
enum fp_status fp_refresh_read_before(struct fp_refresh_job *job, struct fp_error *err);
/* Every state of the window, ascending by segment (kind unit: all units), day, people. They point
 * into job->rows. */
enum fp_status fp_refresh_read_states(struct fp_refresh_job *job, struct fp_error *err);

/* The failure of a state that the library refused. */
enum fp_status fp_refresh_bad_state(const struct fp_refresh_job *job,
                                    const struct fp_refresh_state *state,
                                    enum cx_state_status status, struct fp_error *err);

enum fp_refresh_groups { FP_GROUPS_NONE, FP_GROUPS_DAYS, FP_GROUPS_PEOPLE };
/* The states from … to−1 as sets in scratch->sets: a total, and its parts. FP_POISON: a state is
 * corrupt or beyond its range. */
enum fp_status fp_refresh_sets(struct fp_refresh_job *job, int from, int to,
                               enum fp_refresh_groups groups, struct fp_error *err);
/* Largest cap ≤ FP_PATTERN_CAP for which `needed(context, cap)` ≤ most, at least 1. */
int fp_pattern_cap(size_t (*needed)(void *context, int cap), void *context, size_t most);

/* ---- refresh_solve.c ------------------------------------------------------------------------- */

/* Everything in NULL; counts 0. driver: one per driver of the job. */
void fp_fit_blank(const struct fp_refresh_job *job, struct fp_fit_row *fit,
                  struct fp_driver_result *driver);
/* scratch->sets → scratch->result; with `grouped` intervals come from leaving groups out. */
enum fp_status fp_refresh_drivers(struct fp_refresh_job *job, const char *segment, bool grouped,
                                  struct fp_error *err);
/* scratch->result (of the sets) as numbers to be published. */
void fp_fit_of_result(struct fp_refresh_job *job, struct fp_fit_row *fit);
/* From the sets: means of what was answered, and how many said so. */
void fp_fit_performance(struct fp_refresh_job *job, struct fp_fit_row *fit);
/* Complete rows of fit->kept and the outcome in each group; their decimals. NULL: no memory, or
 * beyond 128 bits. */
const cx_wide **fp_refresh_blocks(struct fp_refresh_job *job, const struct fp_fit_row *fit,
                                  int *decimals);
/* Q², calibration: the sets' groups must be days. */
enum fp_status fp_fit_fitness(struct fp_refresh_job *job, struct fp_fit_row *fit,
                              struct fp_error *err);

/* ---- refresh_applies.c ----------------------------------------------------------------------- */

/* From the states of the job, after fp_refresh_sets of all: the level of each driver that does not
 * apply to 5 … 95 % of those asked (solve_applicable.h), of rows in which every driver is answered
 * or does not apply. Nothing when no driver is one, or answers come in too many patterns. */
enum fp_status fp_fit_applies(struct fp_refresh_job *job, struct fp_fit_row *fit,
                              struct fp_error *err);

/* ---- the rest -------------------------------------------------------------------------------- */

enum fp_status fp_refresh_units(struct fp_refresh_job *job, struct fp_error *err);
/* Replaces what the job's day has of these segments (kind unit: of every one). */
enum fp_status fp_refresh_write(struct fp_refresh_job *job, const struct fp_fit_row *fits,
                                int count, struct fp_error *err);
enum fp_status fp_refresh_changes(struct fp_refresh_job *job, const struct fp_fit_row *fit,
                                  struct fp_error *err);
/* A version of the scoring coefficients: none before n_eff ≥ max(100, 20 drivers); then one when
 * there is none, when n has doubled since the newest, or when that is older than scoring_ms and
 * something differs. */
enum fp_status fp_refresh_scoring(struct fp_refresh_job *job, const struct fp_fit_row *fit,
                                  struct fp_error *err);

const char *fp_fit_status_word(enum cx_fit_status status);
const char *fp_method_word(enum cx_method method);
const char *fp_key_word(enum cx_key key);
/* Of a driver: why it has no coefficient, or the status of the fit. */
const char *fp_driver_status_word(enum cx_drop_reason dropped, enum cx_fit_status status);
void fp_flag_words(unsigned flags, char *text, size_t size);
/* all, journey:<name>, touchpoint:<name>, unit:<name>, tenure:<band>; kind unit, segment 0: unit.
 * name "": the number instead. */
void fp_segment_text(int kind, int32_t segment, const char *name, char *text, size_t size);
/* Of draws: the same question has the same answer, in any database. */
uint64_t fp_refresh_seed(const struct fp_driver_model *model, const char *segment, int32_t day);

#endif
