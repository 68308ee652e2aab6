/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A decoded message against the model: places, scores on their scale, measures as fixed point,
 * buckets of event time, and what it contributes to which KPI. Pure: no database, no clock (time
 * bounds are taken against the record's own timestamp, so a replay decides alike). */
#ifndef FP_RESOLVE_H
#define FP_RESOLVE_H

#include "daemon/event.h"
#include "daemon/model.h"

#define FP_CONTRIBUTIONS_MAX 256
/* 2100-01-01: neither time zones nor partitions go on from there. */
#define FP_TIME_END_US (INT64_C(4102444800) * 1000000)
#define FP_SCORE_SKIPPED INT16_MIN
#define FP_SCORE_NOT_APPLICABLE (INT16_MIN + 1)

#define FP_STRAIGHT_MIN 4 /* answers on one scale that straight-lining is judged by, at least */

enum fp_adds {                    /* how a contribution enters the columns of a tally */
               FP_ADDS_PLAIN,     /* one observation y */
               FP_ADDS_NUMERATOR, /* to the sum alone: a response to the invitations counted in n */
               FP_ADDS_PAIR       /* a pair (y, per) of a ratio: cx_tally_add_pair */
};

struct fp_contribution {
    int kpi;    /* dense id in the model */
    int64_t y;  /* scale points (of an index: their sum), fixed point, or 0/1 for a share */
    int bin;    /* of the histogram, −1 = none */
    int sketch; /* bin of the quantile sketch, −1 = none */
    enum fp_adds adds;
    int64_t per; /* of a pair: the denominator; of an index the number of answers */
};

struct fp_fact {
    const struct fp_event *event; /* borrowed */
    struct fp_place place;
    bool mapped;       /* the touchpoint (or, without one, the journey) is in the model */
    int64_t time_us;   /* of the observation: submitted_at of a response, else event time */
    int32_t hour, day; /* buckets: UTC hours, local days since 1970-01-01 */

    int16_t items[FP_SCORES_MAX], scores[FP_SCORES_MAX]; /* dense items */
    int score_count;
    int16_t measures[FP_MEASURES_MAX]; /* dense */
    int64_t amounts[FP_MEASURES_MAX];  /* fixed point */
    int measure_count;

    struct fp_contribution contributions[FP_CONTRIBUTIONS_MAX];
    int contribution_count;
};

/* FP_REJECT codes: unknown_item, out_of_scale, unknown_measure, too_many_decimals, out_of_range,
 * duplicate_item is impossible (keys are unique); future, too_old. record_ms: the record's
 * timestamp, −1 = unknown (time bounds are then not checked). */
enum fp_status fp_resolve(const struct fp_model *model, const struct fp_event *event,
                          int64_t record_ms, struct fp_fact *fact,
                          struct fp_error *err) FP_MUST_CHECK;

#endif
