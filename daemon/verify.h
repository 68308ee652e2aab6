/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `flightpath verify`: what its parts share. Used by verify_*.c and cmd_verify.c only.
 *
 * The steps, in this order:
 *   fp_verify_snapshot   positions, ledger, models, names: one snapshot of the database
 *   fp_verify_read       the log up to the snapshot's positions (verify_log.c)
 *   fp_verify_responses  what stands of each response, against the stored ones
 *   fp_verify_drivers    states of driver models (verify_drivers.h)
 *   fp_verify_tables     cells (then fp_verify_ledger: rejects, ledger, tombstones); then stored
 *                        responses against cells by SQL
 * What comes after decoding and resolving shares no code with the daemon. */
#ifndef FP_VERIFY_H
#define FP_VERIFY_H

#include "daemon/kafka.h"
#include "daemon/model.h"
#include "daemon/options.h"
#include "daemon/pg.h"
#include "daemon/verify_report.h"
#include "daemon/verify_row.h"
#include "daemon/verify_spill.h"
#include "daemon/verify_standing.h"
#include "daemon/verify_sum.h"

#define FP_VERIFY_PG_MS 3600000 /* a statement may read everything there is */
#define FP_VERIFY_COUNTS 6      /* enum fp_count: applied … ignored */
#define FP_VERIFY_COVERS 8      /* columns of coverage_day, in the order of enum fp_coverage */
#define FP_VERIFY_PREDICTED 8   /* columns of prediction, in the order of the table */

struct fp_verify_model { /* one that a range names */
    char hash[FP_HASH_HEX];
    struct fp_model *model;
    int32_t *series;
    int16_t *items, *measures;
};

struct fp_verify_range { /* of the ledger */
    int part, model;
    int64_t first, next;
    int64_t coefficients; /* version, 0 = none */
    int64_t stored_consumed, stored[FP_VERIFY_COUNTS];
    int64_t consumed, count[FP_VERIFY_COUNTS]; /* by the log */
    int64_t undecided; /* messages whose outcome hung on the order between partitions */
};

struct fp_verify_part {
    char *topic;
    int32_t partition, incarnation;
    int64_t first, next; /* counted so far, by the position */
    bool has_anchor;     /* the record that was applied last, and its hash */
    int64_t anchor_offset, anchor_hash;
    int64_t start; /* where the log is read from: first, unless it no longer goes back so far */
    int range_first, range_count;
};

struct fp_verify_gap { /* offsets that were passed */
    int part;
    int64_t from, to;
};

struct fp_verify_place { /* of a record */
    int32_t part;
    int64_t offset;
};

struct fp_verify_places {
    struct fp_verify_place *at;
    size_t count, capacity;
};

struct fp_verify_erasure {
    struct fp_forget forget;
    bool has_pseudonym;
    uint8_t pseudonym[FP_PSEUDONYM_LEN];
};

struct fp_verify_names;
struct fp_verify_predictions;
struct fp_verify_drivers;

struct fp_verify {
    const struct fp_options *options;
    struct fp_pg *pg;
    struct fp_reader *reader;
    struct fp_subject_key *key; /* NULL: pseudonyms are not compared */
    struct fp_report *report;
    bool progress;

    struct fp_verify_model *models;
    int model_count;
    struct fp_verify_part *parts;
    int part_count;
    struct fp_verify_range *ranges;
    int range_count;
    struct fp_verify_gap *gaps;
    int gap_count;
    struct fp_verify_names *names;
    int32_t tally_floor; /* local day; cells before it are beyond retention */
    int64_t response_floor_us, reject_floor_us, latest_tombstone_us;
    bool whole; /* the log goes back to where counting began, everywhere */

    struct fp_sum hours, days, sketch, coverage, predicted;
    struct fp_verify_predictions *predictions;
    struct fp_verify_drivers *drivers;
    struct fp_spill spill;
    struct fp_row_scratch *scratch;
    struct fp_verify_erasure *erasures;
    size_t erasure_count, erasure_capacity;
    struct fp_verify_places stored_changed; /* rejects of the table: submitted_at_changed */
    struct fp_verify_places changed;        /* the same as the log has it */
    struct fp_verify_places undecided;      /* messages that may or may not be among them */
};

enum fp_status fp_verify_snapshot(struct fp_verify *v, struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_verify_read(struct fp_verify *v, struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_verify_responses(struct fp_verify *v, struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_verify_ledger(struct fp_verify *v, struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_verify_tables(struct fp_verify *v, struct fp_error *err) FP_MUST_CHECK;
void fp_verify_free(struct fp_verify *v); /* what fp_verify_snapshot and later steps made */

void fp_verify_place_add(struct fp_verify_places *places, int32_t part, int64_t offset);

/* ---- names (verify_names.c) ------------------------------------------------------------------ */

struct fp_verify_names *fp_verify_names_new(void);
void fp_verify_names_free(struct fp_verify_names *names);
void fp_verify_names_add(struct fp_verify_names *names, enum fp_kind kind, int32_t id,
                         const char *name);
void fp_verify_names_index(struct fp_verify_names *names); /* after the last one is added */
/* 0 when absent, 1 ("__other__") when the name is not registered. */
int32_t fp_verify_names_id(const struct fp_verify_names *names, enum fp_kind kind,
                           struct fp_slice name);
/* "" when there is none; slow, for what a person reads. */
const char *fp_verify_names_text(const struct fp_verify_names *names, enum fp_kind kind,
                                 int32_t id);

/* What a person calls a bucket: an hour of UTC or a local day. */
void fp_verify_bucket_text(char *text, size_t size, int32_t bucket, bool hours);

/* ---- a query, row by row --------------------------------------------------------------------- */

struct fp_rows {
    struct fp_pg *pg;
    char name[32], fetch[64];
    struct fp_pg_result *result;
    int at;
    bool open, done;
};
/* Within the snapshot's transaction; several may be open under different names. */
enum fp_status fp_rows_open(struct fp_rows *rows, struct fp_pg *pg, const char *name,
                            const char *sql, struct fp_error *err) FP_MUST_CHECK;
/* *result is NULL at the end; else the row is number *at of it. */
enum fp_status fp_rows_next(struct fp_rows *rows, const struct fp_pg_result **result, int *at,
                            struct fp_error *err) FP_MUST_CHECK;
void fp_rows_close(struct fp_rows *rows);

#endif
