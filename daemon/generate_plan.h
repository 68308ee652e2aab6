/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plan is one message to come; a text is what it is written into. For daemon/generate*.c only. */
#ifndef FP_GENERATE_PLAN_H
#define FP_GENERATE_PLAN_H

#include <stddef.h>

#include "daemon/generate.h"

#define FP_UNDECLARED (-2) /* a journey or touchpoint the model does not know */
#define FP_PLAN_MEASURES 16

/* ---- text: a growing buffer -------------------------------------------------------------------
 */

struct fp_text {
    char *at;
    size_t len, capacity;
    bool failed; /* no memory */
};

void fp_text_bytes(struct fp_text *text, const char *bytes, size_t len);
void fp_text_put(struct fp_text *text, const char *string);
void fp_text_int(struct fp_text *text, int64_t value);
void fp_text_base36(struct fp_text *text, uint64_t value);
void fp_text_fixed(struct fp_text *text, int64_t amount, int decimals, bool trim);
void fp_text_time(struct fp_text *text, int64_t time_us, int offset_minutes); /* RFC 3339, ms */
void fp_text_string(struct fp_text *text, const char *string);                /* quoted, escaped */
void fp_text_number(struct fp_text *text, double value);

/* ---- plan: one message to come ----------------------------------------------------------------
 */

enum fp_format {
    FP_FORMAT_STRUCTURED,
    FP_FORMAT_BINARY,
    FP_FORMAT_PLAIN,
    FP_FORMAT_WIRE,
    FP_FORMATS
};

/* Ways a message can be wrong; the table in generate_bad.c names the reason of each. */
enum fp_bad {
    FP_BAD_NONE,
    FP_BAD_TRUNCATED,
    FP_BAD_EMPTY,
    FP_BAD_UTF8,
    FP_BAD_DUPLICATE_KEY,
    FP_BAD_TRAILING,
    FP_BAD_DEEP,
    FP_BAD_ARRAY,
    FP_BAD_TYPE_MISMATCH,
    FP_BAD_MISSING_FIELD,
    FP_BAD_VALUE,
    FP_BAD_TIME,
    FP_BAD_UNKNOWN_TYPE,
    FP_BAD_SPECVERSION,
    FP_BAD_UNKNOWN_ITEM,
    FP_BAD_OUT_OF_SCALE,
    FP_BAD_UNKNOWN_MEASURE,
    FP_BAD_OUT_OF_RANGE,
    FP_BAD_DECIMALS,
    FP_BAD_FUTURE,
    FP_BAD_TOO_OLD,
    FP_BAD_SUBMITTED_AT,
    FP_BAD_TOMBSTONE,
    FP_BAD_FOREIGN,
    FP_BADS
};

struct fp_planned_score {
    int16_t item; /* dense */
    int16_t value;
    enum fp_answer_kind kind;
};

struct fp_planned_measure {
    int measure;
    int64_t amount;
};

struct fp_plan {
    int64_t send_us, time_us, submitted_us;
    uint64_t order;         /* breaks ties of send_us */
    uint64_t serial, visit; /* make the id; the interaction or the case */
    uint64_t related;       /* of a case: the serial of its response */
    enum fp_event_type type;
    enum fp_audience audience;
    uint32_t customer;       /* number of the subject, within its audience */
    int journey, touchpoint; /* as written: dense, FP_NONE absent or FP_UNDECLARED */
    int survey_journey;      /* names the survey; FP_NONE: the relationship survey */
    int unit, channel;       /* indices of the world, FP_NONE absent */
    enum fp_outcome outcome;
    struct fp_planned_measure measures[FP_PLAN_MEASURES];
    struct fp_planned_score scores[FP_SCORES_MAX];
    uint32_t measure_count, score_count;
    int32_t revision, weight, tenure_months;
    enum fp_response_status status;
    enum fp_case_state case_state;
    enum fp_intervention_state intervention_state;
    enum fp_format format;
    enum fp_bad bad;
    enum fp_truth_class expected; /* unless an erasure comes between */
    uint32_t comment;             /* 0: none */
    bool odd_text;                /* spell numbers and times in unusual but valid ways */
};

#endif
