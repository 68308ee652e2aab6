/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A response as `verify` holds it, from the log or from the database, in one comparable form:
 * answers sorted by item, measures by measure, contributions by value; long texts as hashes.
 * Threads: none; caller serialises. */
#ifndef FP_VERIFY_ROW_H
#define FP_VERIFY_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/pg.h"
#include "daemon/resolve.h"
#include "daemon/subject.h"
#include "daemon/verify_spill.h"

#define FP_ROW_ITEMS_MAX 1024 /* of what the database may hold; the log has less */

struct fp_row_key {
    uint64_t part[2];
};

/* What the log says is known by message; what the database says is stored. */
struct fp_verify_row {
    struct fp_row_key key; /* of source and id */
    bool stored, has_submitted_at, has_subject, has_pseudonym;
    bool old; /* a reject of this record would be beyond its retention */
    int32_t part, range;
    int64_t offset, time_us;
    int32_t source, revision, status, audience, survey, journey, touchpoint, unit, channel, tenure,
        weight, day;
    uint64_t subject[2];  /* hash of the raw subject, of the log only */
    uint64_t observed_by; /* driver models (bits), of the log only: verify_predictions.h */
    uint8_t pseudonym[FP_PSEUDONYM_LEN];
    uint64_t interaction[2], comment[2]; /* hashes; zeros: none */
    bool has_interaction;
    uint64_t joined_by[2]; /* hash of the interaction as joins have it, of the log only */
    uint32_t id_len, score_count, measure_count, tallied_count, fitted_count, size;
    const char *id;
    const int64_t *tallied, *fitted, *amounts; /* fitted: series of driver models, and journeys */
    const int16_t *items, *scores, *measures;
};

struct fp_row_scratch { /* where a row's arrays stand until it is put away */
    char id[1024];
    int64_t tallied[FP_ROW_ITEMS_MAX], fitted[FP_ROW_ITEMS_MAX], amounts[FP_ROW_ITEMS_MAX];
    int16_t items[FP_ROW_ITEMS_MAX], scores[FP_ROW_ITEMS_MAX], measures[FP_ROW_ITEMS_MAX];
    uint64_t packed[4 * FP_ROW_ITEMS_MAX + 512];
};

/* What the log's side of a row needs beyond the message. */
struct fp_row_ids {
    int32_t source, survey, journey, touchpoint, unit, channel;
    const int32_t *series;           /* per KPI of the model */
    const int16_t *items, *measures; /* per dense id */
    const struct fp_model *model;
};

void fp_hash_text(struct fp_slice text, uint64_t hash[2]); /* zeros when absent */

void fp_row_of_fact(struct fp_verify_row *row, struct fp_row_scratch *scratch,
                    const struct fp_fact *fact, const struct fp_row_ids *ids);
/* Row `at` of the result of fp_row_sql. */
void fp_row_of_result(struct fp_verify_row *row, struct fp_row_scratch *scratch,
                      const struct fp_pg_result *result, int at);
extern const char fp_row_sql[];

enum fp_status fp_row_put(struct fp_spill *spill, struct fp_verify_row *row,
                          struct fp_row_scratch *scratch, struct fp_error *err) FP_MUST_CHECK;
/* The row that begins at `bytes`, with its arrays in place; the next one is `size` further. */
struct fp_verify_row *fp_row_at(uint8_t *bytes);

/* NULL when the stored row is what the log says, else the first column that differs, told in log
 * and database. time_us and day may come from another message, so they are arguments of their own.
 */
struct fp_row_when {
    int64_t time_us;
    int32_t day;
};
const char *fp_row_differs(const struct fp_verify_row *log, struct fp_row_when when,
                           const struct fp_verify_row *stored, char texts[2][200]);
/* Whether two messages of the log would be stored alike, times apart. */
bool fp_row_same_content(const struct fp_verify_row *a, const struct fp_verify_row *b);

/* A contribution as `tallied` keeps it: see schemas/sql/0001_tables.sql and 0008_kpis.sql. */
struct fp_contributed {
    int32_t series;
    bool hour;
    int32_t at; /* of verify_sum.h: a bin, none, a numerator or a pair */
    int64_t y, per;
};
struct fp_contributed fp_contributed_of(int64_t tallied);

#endif
