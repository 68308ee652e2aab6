/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One batch: what some messages add, and the positions they move. Filled by the ingest loop, then
 * handed to the flusher as a whole; nothing in it points outside itself but the binding.
 *
 * Events are tallied as they come (their contribution never depends on what is stored), invitations
 * apart from them: the cells of a response rate hold responses too, and a flush adds both at once,
 * so that every writer locks rows in one order. Responses and erasures wait as rows: what they add
 * depends on the stored revision, known under a row lock only (settle.h). Memory is bounded by
 * cells, rows and bytes; `full` says when to hand over. */
#ifndef FP_BATCH_H
#define FP_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/delta.h"
#include "daemon/registry.h"
#include "daemon/resolve.h"
#include "daemon/scoring.h"
#include "daemon/subject.h"

enum fp_count {
    FP_APPLIED,
    FP_DUPLICATE,
    FP_REVISED,
    FP_VOIDED,
    FP_REJECTED,
    FP_IGNORED,
    FP_COUNTS
};

/* A partition's share of the batch. */
struct fp_share {
    const char *topic; /* lives as long as the consumer */
    int32_t partition, incarnation;
    int64_t epoch, expected, next, ledger_first;
    int64_t anchor_offset, anchor_hash, high;
    int64_t last_event_us;    /* 0 = none */
    int64_t count[FP_COUNTS]; /* without the rows, which are counted when settled */
    int part;                 /* index of the ingest loop's partition */
};

struct fp_names {
    int32_t source, survey, journey, touchpoint, unit, channel;
};

/* A response (or an erasure among them, in log order). Slices live in the batch's arena. */
struct fp_row {
    bool erasure;
    int share;
    int64_t offset;
    struct fp_names names;
    struct fp_slice id, interaction, comment;
    bool has_subject, has_submitted_at;
    uint8_t subject[FP_PSEUDONYM_LEN]; /* of an erasure: whom */
    int64_t time_us;                   /* submitted_at; of an erasure: erase what came until then */
    int32_t hour, day, revision, weight;
    int16_t tenure;
    enum fp_response_status status;
    enum fp_audience audience;
    uint32_t score_count, measure_count, tallied_count, fitted_count, observed_count;
    const int16_t *items, *scores, *measures;
    const int64_t *amounts, *tallied, *fitted, *observed;
    const struct fp_record *record; /* kept copy: a row can still be rejected when settled */
    int64_t filed_us;               /* … and then under this time */
};

struct fp_filed { /* invitation, case or intervention: stored as it comes */
    enum fp_event_type type;
    struct fp_names names;
    struct fp_slice id, case_id, interaction, response, owner, intervention;
    bool has_subject;
    uint8_t subject[FP_PSEUDONYM_LEN];
    int64_t time_us, effective_us;
    int state;
};

struct fp_rejected {
    int share;
    const struct fp_record *record; /* a copy in the arena */
    int64_t at_us;                  /* of the record, for the partition it is filed in */
    struct fp_error why;
};

struct fp_published { /* a prediction for the topic of predictions; slices end with a NUL */
    int scored;       /* index of the batch's scoring */
    struct fp_slice id, source, unit, interaction;
    int64_t time_us;
    int32_t predicted, detractor; /* CX_SCORE_UNIT, CX_SCORE_PROBABILITY; after fp_batch_score */
};

#define FP_FITTED_MAX 64 /* driver models that one response can be a row of */

struct fp_chunk;
struct fp_score_rows;

struct fp_batch {
    struct fp_binding *binding;
    struct fp_scoring *scoring; /* coefficients of all its events; NULL: none are scored */
    struct fp_share *shares;
    int share_count, share_capacity;
    struct fp_delta hours, days, sketch, coverage; /* of events; coverage also of invitations */
    struct fp_delta invited_hours, invited_days;
    struct fp_driver_log *joins; /* per driver model: events that answers may be joined with */
    int join_count;
    struct fp_delta predictions;   /* of events */
    struct fp_score_rows **scores; /* per scored model: events that wait for the kernel */
    int score_count;
    bool publish; /* keep a copy of each prediction */
    struct fp_published *published;
    size_t published_count, published_capacity;
    int64_t predicted;
    struct fp_row *rows;
    size_t row_count, row_capacity;
    struct fp_filed *filed;
    size_t filed_count, filed_capacity;
    struct fp_rejected *rejected;
    size_t rejected_count, rejected_capacity;
    uint64_t months[25]; /* bit m: month m since 1970-01 is needed in the partitioned tables */
    int64_t month_from_us, month_to_us; /* of the last one set */
    struct fp_chunk *chunks, *chunk;
    size_t bytes;                 /* in the arena */
    int64_t messages, started_ms; /* 0 = empty */
};

struct fp_addend { /* what one contribution adds to a cell */
    enum fp_adds adds;
    int64_t y, per;
    int bin; /* −1 = none */
};

/* tallied: see 0001_tables.sql and, of those not plain, 0008_kpis.sql. */
static inline int64_t fp_tallied_pack(int32_t series, bool hour, int bin, int64_t answer)
{
    return ((int64_t)series * 2 + hour) << 24 | (int64_t)(bin + 1) << 16 | (answer & 0xffff);
}
static inline int32_t fp_tallied_series(int64_t tallied)
{
    return (int32_t)(tallied >> 25 & INT32_MAX);
}
static inline bool fp_tallied_hour(int64_t tallied)
{
    return tallied >> 24 & 1;
}
static inline int fp_tallied_bin(int64_t tallied)
{
    return (int)(tallied >> 16 & 0xff) - 1;
}
static inline int16_t fp_tallied_answer(int64_t tallied)
{
    return (int16_t)(tallied & 0xffff);
}
static inline int64_t fp_tallied_of(int32_t series, bool hour, const struct fp_contribution *c)
{
    int bin = c->adds == FP_ADDS_PAIR ? (int)c->per - 1 : c->bin;
    return (int64_t)c->adds << 61 | fp_tallied_pack(series, hour, bin, c->y);
}
static inline struct fp_addend fp_tallied_addend(int64_t tallied)
{
    struct fp_addend what = {(enum fp_adds)(tallied >> 61 & 3), fp_tallied_answer(tallied), 0,
                             fp_tallied_bin(tallied)};
    if (what.adds == FP_ADDS_PAIR) {
        what.per = what.bin + 1;
        what.bin = -1;
    }
    return what;
}

struct fp_batch *fp_batch_new(size_t cells_max);
void fp_batch_free(struct fp_batch *batch);
void fp_batch_reset(struct fp_batch *batch); /* releases the binding, keeps the memory */

/* The share of a partition, added when new: `fresh` gives its starting values. */
int fp_batch_share(struct fp_batch *batch, const struct fp_share *fresh);
/* Whether one more message surely fits. */
bool fp_batch_has_room(const struct fp_batch *batch, int64_t messages_max, size_t bytes_max);

/* Adds a resolved message. subject may be NULL (absent or no key). False, with nothing added, when
 * a sum would exceed 64 bits: no table could hold it either (sums of squares never shrink). */
bool fp_batch_add(struct fp_batch *batch, int share, const struct fp_record *record,
                  const struct fp_fact *fact, const struct fp_names *names, const uint8_t *subject);
void fp_batch_reject(struct fp_batch *batch, int share, const struct fp_record *record,
                     const struct fp_error *why);
/* In batch_drivers.c. fit: which driver models a response is a row of (row->fitted). offer: the
 * measures of an event, for answers about the same interaction. */
void fp_batch_fit(struct fp_batch *batch, const struct fp_fact *fact, struct fp_row *row);
void fp_batch_offer(struct fp_batch *batch, const struct fp_fact *fact);
struct fp_answers fp_row_answers(const struct fp_row *row); /* borrows the row's memory */
/* observed: see 0007_predictions.sql. */
static inline int64_t fp_observed_pack(int32_t series, int64_t answer)
{
    return (int64_t)series << 16 | (answer & 0xffff);
}
static inline int32_t fp_observed_series(int64_t observed)
{
    return (int32_t)(observed >> 16);
}
static inline int16_t fp_observed_answer(int64_t observed)
{
    return (int16_t)(observed & 0xffff);
}

/* In scoring_batch.c. observe: which predictions a response is held against (row->observed).
 * predict: an event becomes a row of the models that score it. score: what is left of rows becomes
 * cells; before the batch is handed over. */
void fp_batch_observe(struct fp_batch *batch, const struct fp_fact *fact, struct fp_row *row);
void fp_batch_predict(struct fp_batch *batch, const struct fp_fact *fact,
                      const struct fp_names *names);
void fp_batch_score(struct fp_batch *batch);
void fp_batch_predictions_reset(struct fp_batch *batch);
void fp_batch_predictions_free(struct fp_batch *batch);
struct fp_key fp_prediction_key(int32_t series, int32_t hour, int32_t unit, int64_t version);
void fp_batch_need_month(struct fp_batch *batch, int64_t time_us);

/* Memory that lives until the batch is reset. Never NULL. */
void *fp_batch_alloc(struct fp_batch *batch, size_t size);
/* Adds to one cell, for a bin ≥ 0 also to its histogram; aborts on overflow of int64, which
 * bounded answers and weights cannot reach within one batch. */
void fp_tally_put(struct fp_delta *delta, struct fp_key key, struct fp_addend what, int64_t weight,
                  int sign);

#endif
