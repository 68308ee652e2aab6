/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The members of `data`, one table per type of event: name, kind, where it goes, whether it must be
 * there. A new member is a new line in a table. JSON null counts as absent; members that no table
 * names are allowed and not looked at. Producers tend to write members in one order, the tables
 * have that of the documentation, and a search begins behind the last hit: mostly one look. */
#include "daemon/decode.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "analytics/fixed.h"
#include "daemon/timestamp.h"

enum kind { TEXT, CHOICE, WHOLE, APPLICANT, SUBMITTED_AT, AT, SCORES, MEASURES };

struct range {
    int32_t min, max;
};

struct field {
    struct fp_slice name;
    enum kind kind;
    bool required;
    size_t offset;              /* within the event: a slice, an enum or an int32_t */
    struct range range;         /* of a whole number; of the bytes of a text */
    const char *const *choices; /* by enum value, NULL-terminated */
};

static const char *const audiences[] = {"customer", "employee", "internal", NULL};
static const char *const outcomes[] = {"completed", "failed", "abandoned", "recovered", NULL};
static const char *const statuses[] = {"complete", "partial", "void", NULL};
static const char *const case_states[] = {"opened", "contacted", "resolved", "reopened", NULL};
static const char *const intervention_states[] = {"started", "ended", "cancelled", NULL};
_Static_assert(sizeof(enum fp_audience) == sizeof(uint32_t), "enums are stored by their offset");

#define NAME(text) .name = {text, sizeof text - 1}
#define PUT(member) .offset = offsetof(struct fp_event, member)
#define REQUIRED .required = true
#define TEXT_FIELD(text, member) \
    NAME(text), .kind = TEXT, PUT(member), .range = {1, FP_NAME_BYTES_MAX}
#define CHOICE_FIELD(text, member, names) NAME(text), .kind = CHOICE, PUT(member), .choices = names
#define WHOLE_FIELD(text, member, least, most) \
    NAME(text), .kind = WHOLE, PUT(member), .range = {least, most}

static const struct field touchpoint_fields[] = {
    {TEXT_FIELD("journey", journey)},
    {TEXT_FIELD("touchpoint", touchpoint)},
    {TEXT_FIELD("unit", unit)},
    {TEXT_FIELD("channel", channel)},
    {CHOICE_FIELD("outcome", outcome, outcomes)},
    {NAME("measures"), .kind = MEASURES},
    {TEXT_FIELD("interaction", interaction)},
};

static const struct field response_fields[] = {
    {CHOICE_FIELD("audience", audience, audiences), REQUIRED},
    {TEXT_FIELD("survey", survey), REQUIRED},
    {TEXT_FIELD("journey", journey)},
    {TEXT_FIELD("touchpoint", touchpoint)},
    {TEXT_FIELD("unit", unit)},
    {TEXT_FIELD("channel", channel)},
    {NAME("submitted_at"), .kind = SUBMITTED_AT},
    {WHOLE_FIELD("revision", revision, 1, FP_REVISION_MAX)},
    {CHOICE_FIELD("status", status, statuses)},
    {NAME("scores"), .kind = SCORES},
    {NAME("measures"), .kind = MEASURES},
    {WHOLE_FIELD("weight", weight, 0, FP_WEIGHT_MAX)},
    {WHOLE_FIELD("tenure_months", tenure_months, 0, FP_TENURE_MONTHS_MAX)},
    {NAME("applicant"), .kind = APPLICANT},
    {TEXT_FIELD("interaction", interaction)},
    {NAME("comment"), .kind = TEXT, PUT(comment), .range = {0, FP_COMMENT_BYTES_MAX}},
};

static const struct field invitation_fields[] = {
    {TEXT_FIELD("survey", survey), REQUIRED},
    {TEXT_FIELD("journey", journey)},
    {TEXT_FIELD("touchpoint", touchpoint)},
    {TEXT_FIELD("unit", unit)},
    {TEXT_FIELD("channel", channel)},
};

static const struct field case_fields[] = {
    {TEXT_FIELD("case", case_id), REQUIRED},
    {CHOICE_FIELD("state", case_state, case_states), REQUIRED},
    {TEXT_FIELD("interaction", interaction)},
    {TEXT_FIELD("response", response)},
    {TEXT_FIELD("owner", owner)},
};

static const struct field intervention_fields[] = {
    {TEXT_FIELD("intervention", intervention), REQUIRED},
    {CHOICE_FIELD("state", intervention_state, intervention_states), REQUIRED},
    {NAME("at"), .kind = AT},
};

static const struct field erasure_fields[] = {
    {TEXT_FIELD("subject", erase_subject), REQUIRED},
};

static const struct shape {
    const struct field *fields;
    uint32_t count;
    bool placed; /* needs a journey or a touchpoint */
} shapes[FP_EVENT_FOREIGN] = {
#define SHAPE(fields) fields, sizeof fields / sizeof *fields
    [FP_EVENT_TOUCHPOINT] = {SHAPE(touchpoint_fields), true},
    [FP_EVENT_RESPONSE] = {SHAPE(response_fields), true},
    [FP_EVENT_INVITATION] = {SHAPE(invitation_fields), false},
    [FP_EVENT_CASE] = {SHAPE(case_fields), false},
    [FP_EVENT_INTERVENTION] = {SHAPE(intervention_fields), false},
    [FP_EVENT_ERASURE] = {SHAPE(erasure_fields), false},
#undef SHAPE
};

/* ---- errors ---------------------------------------------------------------------------------- */

/* Rejects with the path parent.name. Values are never quoted: they may be personal. */
__attribute__((format(printf, 5, 6), cold)) static enum fp_status
reject(struct fp_error *err, const char *code, const char *parent, struct fp_slice name,
       const char *format, ...)
{
    char path[400], what[320];
    snprintf(path, sizeof path, "%s.%.*s", parent, (int)name.len, name.at);
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return fp_fail(err, FP_REJECT, code, path, "%s", what);
}

__attribute__((cold)) static enum fp_status
not_of_type(struct fp_error *err, const char *parent, struct fp_slice name, const char *wanted)
{
    return reject(err, "type_mismatch", parent, name, "it must be %s", wanted);
}

__attribute__((cold)) static enum fp_status bad_choice(const struct field *field,
                                                       struct fp_error *err)
{
    char names[128] = "";
    for (size_t i = 0, at = 0; field->choices[i] != NULL; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s\"%s\"", i ? ", " : "",
                               field->choices[i]);
    return reject(err, "bad_value", "data", field->name, "it must be one of %s", names);
}

/* ---- single values --------------------------------------------------------------------------- */

static void *target(struct fp_event *event, const struct field *field)
{
    return (char *)event + field->offset;
}

static enum fp_status check_text(struct fp_slice text, struct range range, const char *parent,
                                 struct fp_slice name, struct fp_error *err)
{
    if (text.len < (uint32_t)range.min)
        return reject(err, "bad_value", parent, name, "it must not be empty");
    if (text.len > (uint32_t)range.max)
        return reject(err, "string_too_long", parent, name, "%u bytes; at most %d are allowed",
                      text.len, range.max);
    return FP_OK;
}

static enum fp_status read_text(const struct field *field, const struct fp_json_node *node,
                                struct fp_event *event, struct fp_error *err)
{
    if (node->type != FP_JSON_STRING)
        return not_of_type(err, "data", field->name, "a string");
    enum fp_status status = check_text(node->text, field->range, "data", field->name, err);
    if (status == FP_OK)
        memcpy(target(event, field), &node->text, sizeof node->text);
    return status;
}

static enum fp_status read_choice(const struct field *field, const struct fp_json_node *node,
                                  struct fp_event *event, struct fp_error *err)
{
    if (node->type != FP_JSON_STRING)
        return not_of_type(err, "data", field->name, "a string");
    for (uint32_t i = 0; field->choices[i] != NULL; i++) {
        if (fp_slice_is(node->text, field->choices[i])) {
            memcpy(target(event, field), &i, sizeof i);
            return FP_OK;
        }
    }
    return bad_choice(field, err);
}

/* A whole number by value, as JSON Schema has it: 7, 7.0 and 70e-1 are the same. */
static enum fp_status read_whole(const struct fp_json_node *node, struct range range,
                                 const char *parent, struct fp_slice name, int64_t *value,
                                 struct fp_error *err)
{
    if (node->type != FP_JSON_NUMBER)
        return not_of_type(err, parent, name, "a whole number");
    enum cx_fixed_result result = cx_fixed_parse(node->text.at, node->text.len, 0, value);
    if (result == CX_FIXED_TOO_MANY_DECIMALS || result == CX_FIXED_NOT_A_NUMBER)
        return not_of_type(err, parent, name, "a whole number, without a fraction");
    if (result == CX_FIXED_OUT_OF_RANGE || *value < range.min || *value > range.max)
        return reject(err, "out_of_range", parent, name, "it must be %d to %d", range.min,
                      range.max);
    return FP_OK;
}

static enum fp_status read_int32(const struct field *field, const struct fp_json_node *node,
                                 struct fp_event *event, struct fp_error *err)
{
    int64_t value;
    enum fp_status status = read_whole(node, field->range, "data", field->name, &value, err);
    if (status != FP_OK)
        return status;
    int32_t narrow = (int32_t)value; /* the limits are */
    memcpy(target(event, field), &narrow, sizeof narrow);
    return FP_OK;
}

static enum fp_status read_submitted_at(const struct field *field, const struct fp_json_node *node,
                                        struct fp_event *event, struct fp_error *err)
{
    if (node->type != FP_JSON_STRING)
        return not_of_type(err, "data", field->name, "a string with a date and time");
    if (!fp_timestamp_parse(node->text, &event->submitted_at_us))
        return reject(err, "bad_time", "data", field->name,
                      "it must be an RFC 3339 date and time with an offset, such as "
                      "2026-03-02T11:04:09Z, in the years 1970 to 9999");
    event->has_submitted_at = true;
    return FP_OK;
}

static enum fp_status read_at(const struct field *field, const struct fp_json_node *node,
                              struct fp_event *event, struct fp_error *err)
{
    int32_t day;
    if (node->type != FP_JSON_STRING)
        return not_of_type(err, "data", field->name, "a string with a date, or a date and time");
    if (fp_timestamp_parse(node->text, &event->at_us))
        return FP_OK;
    if (!fp_date_parse(node->text, &day))
        return reject(err, "bad_time", "data", field->name,
                      "it must be a date such as 2026-04-06, or an RFC 3339 date and time with an "
                      "offset, in the years 1970 to 9999");
    event->at_date = node->text;
    return FP_OK;
}

/* ---- maps ------------------------------------------------------------------------------------ */

static const struct range name_range = {1, FP_NAME_BYTES_MAX};

static enum fp_status check_map(const struct field *field, const struct fp_json_node *node,
                                uint32_t max, struct fp_error *err)
{
    if (node->type != FP_JSON_OBJECT)
        return not_of_type(err, "data", field->name, "an object");
    if (node->count > max)
        return reject(err, "too_many_items", "data", field->name,
                      "%u members; at most %u are allowed", node->count, max);
    return FP_OK;
}

static enum fp_status read_answer(const struct fp_json_node *node, struct fp_score *score,
                                  struct fp_error *err)
{
    static const char parent[] = "data.scores";
    static const struct range range = {-FP_SCORE_MAX, FP_SCORE_MAX};
    score->item = node->key;
    score->value = 0;
    score->kind = FP_ANSWER_VALUE;
    switch (node->type) {
    case FP_JSON_NULL:
        score->kind = FP_ANSWER_SKIPPED;
        return FP_OK;
    case FP_JSON_STRING:
        score->kind = FP_ANSWER_NOT_APPLICABLE;
        return fp_slice_is(node->text, "na")
                   ? FP_OK
                   : reject(err, "bad_value", parent, node->key, "the only word allowed is \"na\"");
    case FP_JSON_NUMBER:
        return read_whole(node, range, parent, node->key, &score->value, err);
    default:
        return not_of_type(err, parent, node->key, "a whole number, null or \"na\"");
    }
}

static enum fp_status read_scores(const struct field *field, const struct fp_json_node *nodes,
                                  uint32_t map, struct fp_event *event, struct fp_error *err)
{
    enum fp_status status = check_map(field, &nodes[map], FP_SCORES_MAX, err);
    for (uint32_t i = map + 1; status == FP_OK && i < nodes[map].next; i = nodes[i].next) {
        status = check_text(nodes[i].key, name_range, "data.scores", nodes[i].key, err);
        if (status == FP_OK)
            status = read_answer(&nodes[i], &event->scores[event->score_count++], err);
    }
    return status;
}

static enum fp_status read_measures(const struct field *field, const struct fp_json_node *nodes,
                                    uint32_t map, struct fp_event *event, struct fp_error *err)
{
    static const char parent[] = "data.measures";
    enum fp_status status = check_map(field, &nodes[map], FP_MEASURES_MAX, err);
    for (uint32_t i = map + 1; status == FP_OK && i < nodes[map].next; i = nodes[i].next) {
        status = check_text(nodes[i].key, name_range, parent, nodes[i].key, err);
        if (status != FP_OK || nodes[i].type == FP_JSON_NULL)
            continue;
        if (nodes[i].type != FP_JSON_NUMBER)
            return not_of_type(err, parent, nodes[i].key, "a number");
        event->measures[event->measure_count++] =
            (struct fp_measurement){.name = nodes[i].key, .number = nodes[i].text};
    }
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static uint32_t find_field(const struct shape *shape, struct fp_slice name, uint32_t from)
{
    for (uint32_t i = 0; i < shape->count; i++, from++) {
        from = from < shape->count ? from : 0;
        if (fp_slice_equal(shape->fields[from].name, name))
            return from;
    }
    return shape->count;
}

static enum fp_status read_field(const struct field *field, const struct fp_json_node *nodes,
                                 uint32_t i, struct fp_event *event, bool *applicant,
                                 struct fp_error *err)
{
    switch (field->kind) {
    case TEXT:
        return read_text(field, &nodes[i], event, err);
    case CHOICE:
        return read_choice(field, &nodes[i], event, err);
    case WHOLE:
        return read_int32(field, &nodes[i], event, err);
    case SUBMITTED_AT:
        return read_submitted_at(field, &nodes[i], event, err);
    case AT:
        return read_at(field, &nodes[i], event, err);
    case SCORES:
        return read_scores(field, nodes, i, event, err);
    case MEASURES:
        return read_measures(field, nodes, i, event, err);
    case APPLICANT:
        if (nodes[i].type != FP_JSON_TRUE && nodes[i].type != FP_JSON_FALSE)
            return not_of_type(err, "data", field->name, "true or false");
        *applicant = nodes[i].type == FP_JSON_TRUE;
    }
    return FP_OK;
}

static enum fp_status check_complete(const struct shape *shape, uint32_t seen,
                                     const struct fp_event *event, struct fp_error *err)
{
    for (uint32_t k = 0; k < shape->count; k++)
        if (shape->fields[k].required && !(seen >> k & 1))
            return reject(err, "missing_field", "data", shape->fields[k].name, "it is required");
    if (shape->placed && event->journey.at == NULL && event->touchpoint.at == NULL)
        return reject(err, "missing_field", "data", (struct fp_slice){"journey", 7},
                      "journey or touchpoint is required");
    return FP_OK;
}

enum fp_status fp_decode_data(const struct fp_json_node *nodes, uint32_t data,
                              struct fp_event *event, struct fp_error *err)
{
    const struct shape *shape = &shapes[event->type];
    uint32_t seen = 0, from = 0;
    bool applicant = false;
    for (uint32_t i = data + 1; i < nodes[data].next; i = nodes[i].next) {
        uint32_t k = find_field(shape, nodes[i].key, from);
        if (k == shape->count || nodes[i].type == FP_JSON_NULL)
            continue;
        enum fp_status status = read_field(&shape->fields[k], nodes, i, event, &applicant, err);
        if (status != FP_OK)
            return status;
        seen |= UINT32_C(1) << k;
        from = k + 1;
    }
    if (applicant && event->tenure_months != FP_TENURE_ABSENT)
        return reject(err, "bad_value", "data", (struct fp_slice){"applicant", 9},
                      "an applicant has no tenure_months; give one of the two");
    if (applicant)
        event->tenure_months = FP_TENURE_APPLICANT;
    return check_complete(shape, seen, event, err);
}
