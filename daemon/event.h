/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One decoded message: the shape of DESIGN §4 before names are resolved against a model.
 * Strings are slices of the message (or of the JSON reader's scratch): borrowed, valid until the
 * next decode with the same decoder. Absent members have slice.at == NULL. */
#ifndef FP_EVENT_H
#define FP_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/json.h"
#include "daemon/slice.h"
#include "daemon/status.h"

enum fp_event_type {
    FP_EVENT_TOUCHPOINT,
    FP_EVENT_RESPONSE,
    FP_EVENT_INVITATION,
    FP_EVENT_CASE,
    FP_EVENT_INTERVENTION,
    FP_EVENT_ERASURE,
    FP_EVENT_FOREIGN, /* a CloudEvent of another family (type not "experience.*"): ignored */
    FP_EVENT_TYPES
};

enum fp_audience { FP_AUDIENCE_CUSTOMER, FP_AUDIENCE_EMPLOYEE, FP_AUDIENCE_INTERNAL, FP_AUDIENCES };

enum fp_outcome { /* of a touchpoint event; absent counts as completed */
                  FP_OUTCOME_COMPLETED,
                  FP_OUTCOME_FAILED,
                  FP_OUTCOME_ABANDONED,
                  FP_OUTCOME_RECOVERED,
                  FP_OUTCOMES
};

enum fp_response_status { FP_RESPONSE_COMPLETE, FP_RESPONSE_PARTIAL, FP_RESPONSE_VOID };

enum fp_case_state { FP_CASE_OPENED, FP_CASE_CONTACTED, FP_CASE_RESOLVED, FP_CASE_REOPENED };

enum fp_intervention_state {
    FP_INTERVENTION_STARTED,
    FP_INTERVENTION_ENDED,
    FP_INTERVENTION_CANCELLED
};

enum fp_answer_kind {
    FP_ANSWER_VALUE,
    FP_ANSWER_SKIPPED /* null */,
    FP_ANSWER_NOT_APPLICABLE /* "na" */
};

#define FP_SCORES_MAX 64
#define FP_MEASURES_MAX 32
#define FP_TENURE_ABSENT (-1)
#define FP_TENURE_APPLICANT (-2)

struct fp_score {
    struct fp_slice item;
    enum fp_answer_kind kind;
    int64_t value;
};

struct fp_measurement {
    struct fp_slice name;
    struct fp_slice number; /* decimal text, made fixed-point when the measure is known */
};

struct fp_event {
    enum fp_event_type type;
    struct fp_slice id, source, subject;
    int64_t time_us; /* event time, µs since 1970 UTC; submitted_at where `time` is absent */

    /* touchpoint, response, invitation */
    struct fp_slice survey, journey, touchpoint, unit, channel, interaction;
    enum fp_outcome outcome;
    struct fp_measurement measures[FP_MEASURES_MAX];
    uint32_t measure_count;

    /* response */
    enum fp_audience audience;
    bool has_submitted_at;
    int64_t submitted_at_us; /* = time_us when absent */
    int32_t revision;        /* ≥ 1, default 1 */
    enum fp_response_status status;
    int32_t weight;        /* 0 … 100000, default 1 */
    int32_t tenure_months; /* ≥ 0, or FP_TENURE_ABSENT, FP_TENURE_APPLICANT */
    struct fp_score scores[FP_SCORES_MAX];
    uint32_t score_count;
    struct fp_slice comment;

    /* case, intervention, erasure (data.subject in `erase_subject`) */
    struct fp_slice case_id, response, owner, intervention, erase_subject;
    enum fp_case_state case_state;
    enum fp_intervention_state intervention_state;
    int64_t at_us; /* of an intervention: `at`, or the event time */
    struct fp_slice
        at_date; /* set instead when `at` is a bare date: local midnight of the programme */
};

/* A record as it came from the log; everything borrowed. */
struct fp_header {
    const char *name;
    const void *value; /* NULL: null header */
    size_t len;
};

struct fp_record {
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* of the record, -1 when unknown */
    const void *key;
    size_t key_len;
    const void *value; /* NULL: a tombstone */
    size_t len;
    const struct fp_header *headers;
    size_t header_count;
};

struct fp_decoder;

struct fp_decoder *fp_decoder_new(const struct fp_json_limits *limits); /* NULL = defaults */
void fp_decoder_free(struct fp_decoder *decoder);

/* Decodes one record: CloudEvents structured or binary mode, or plain JSON; an optional 5-byte wire
 * prefix (0x00 + schema id) is skipped. FP_REJECT fills err with a reason code and the field path.
 * Codes beyond those of fp_json_parse: missing_field, type_mismatch, bad_value, out_of_range,
 * too_many_items, bad_time, unknown_type, bad_specversion, bad_content_type, not_an_object.
 * A null value (tombstone) is FP_OK with type FP_EVENT_FOREIGN. Unknown members are allowed. */
enum fp_status fp_decode(struct fp_decoder *decoder, const struct fp_record *record,
                         struct fp_event *event, struct fp_error *err) FP_MUST_CHECK;

#endif
