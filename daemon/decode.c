/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One record to one event, in five steps that each may reject it: envelope, JSON, identity, time,
 * data. Nothing is allocated, and no step depends on anything but the record, so a record decodes
 * to the same event whenever it is read again. */
#include "daemon/decode.h"

#include <stddef.h>
#include <stdlib.h>

#include "daemon/envelope.h"
#include "daemon/timestamp.h"

struct fp_decoder {
    struct fp_json_reader *reader;
};

struct fp_decoder *fp_decoder_new(const struct fp_json_limits *limits)
{
    struct fp_decoder *decoder = malloc(sizeof *decoder);
    if (decoder == NULL)
        return NULL;
    decoder->reader = fp_json_reader_new(limits);
    if (decoder->reader == NULL) {
        free(decoder);
        return NULL;
    }
    return decoder;
}

void fp_decoder_free(struct fp_decoder *decoder)
{
    if (decoder == NULL)
        return;
    fp_json_reader_free(decoder->reader);
    free(decoder);
}

/* Everything absent. The arrays are covered by their counts and stay as they are. */
static void clear_event(struct fp_event *event)
{
    const size_t measures = offsetof(struct fp_event, measures);
    const size_t middle = offsetof(struct fp_event, measure_count);
    const size_t scores = offsetof(struct fp_event, scores);
    const size_t rest = offsetof(struct fp_event, score_count);
    memset(event, 0, measures);
    memset((char *)event + middle, 0, scores - middle);
    memset((char *)event + rest, 0, sizeof *event - rest);
    event->revision = 1;
    event->weight = 1;
    event->tenure_months = FP_TENURE_ABSENT;
}

/* ---- identity -------------------------------------------------------------------------------- */

static enum fp_status check_attribute(struct fp_slice text, const char *name, bool required,
                                      struct fp_error *err)
{
    if (text.at == NULL && !required)
        return FP_OK;
    if (text.at == NULL)
        return fp_fail(err, FP_REJECT, "missing_field", name, "%s is required", name);
    if (text.len == 0)
        return fp_fail(err, FP_REJECT, "bad_value", name, "%s must not be empty", name);
    if (text.len > FP_NAME_BYTES_MAX)
        return fp_fail(err, FP_REJECT, "string_too_long", name,
                       "%s has %u bytes; at most %d are allowed", name, text.len,
                       FP_NAME_BYTES_MAX);
    return FP_OK;
}

static const struct {
    struct fp_slice name; /* behind "experience." */
    enum fp_event_type type;
} types[] = {
#define TYPE(text, type) {{text, sizeof text - 1}, type}
    TYPE("touchpoint.v1", FP_EVENT_TOUCHPOINT),
    TYPE("response.v1", FP_EVENT_RESPONSE),
    TYPE("invitation.v1", FP_EVENT_INVITATION),
    TYPE("case.v1", FP_EVENT_CASE),
    TYPE("intervention.v1", FP_EVENT_INTERVENTION),
    TYPE("erasure.v1", FP_EVENT_ERASURE),
#undef TYPE
};

static enum fp_status read_type(struct fp_slice text, enum fp_event_type *type,
                                struct fp_error *err)
{
    static const char family[] = "experience.";
    const uint32_t length = sizeof family - 1;
    *type = FP_EVENT_FOREIGN;
    if (text.len < length || memcmp(text.at, family, length) != 0)
        return FP_OK;
    struct fp_slice name = {text.at + length, text.len - length};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (fp_slice_equal(name, types[i].name)) {
            *type = types[i].type;
            return FP_OK;
        }
    }
    return fp_fail(err, FP_REJECT, "unknown_type", "type",
                   "\"%.*s\" is not known; experience.touchpoint.v1, .response.v1, .invitation.v1, "
                   ".case.v1, .intervention.v1 and .erasure.v1 are",
                   text.len < 80 ? (int)text.len : 80, text.at);
}

static enum fp_status identify(const struct fp_envelope *envelope, struct fp_event *event,
                               struct fp_error *err)
{
    if (envelope->specversion.at != NULL && !fp_slice_is(envelope->specversion, "1.0"))
        return fp_fail(err, FP_REJECT, "bad_specversion", "specversion",
                       "specversion must be \"1.0\" (CloudEvents), or be left out in plain JSON");
    enum fp_status status;
    if ((status = check_attribute(envelope->id, "id", true, err)) != FP_OK ||
        (status = check_attribute(envelope->source, "source", true, err)) != FP_OK ||
        (status = check_attribute(envelope->type, "type", true, err)) != FP_OK ||
        (status = read_type(envelope->type, &event->type, err)) != FP_OK)
        return status;
    event->id = envelope->id;
    event->source = envelope->source;
    if (event->type == FP_EVENT_FOREIGN)
        return FP_OK; /* what else it says is between others */
    event->subject = envelope->subject;
    return check_attribute(envelope->subject, "subject", false, err);
}

/* ---- data and times -------------------------------------------------------------------------- */

static enum fp_status check_data(const struct fp_json_node *nodes,
                                 const struct fp_envelope *envelope, struct fp_error *err)
{
    enum fp_content content = fp_content_of(envelope->data_content_type);
    if (content == FP_CONTENT_OTHER)
        return fp_fail(err, FP_REJECT, "bad_content_type", "datacontenttype",
                       "the data must be JSON in UTF-8 (application/json)");
    if (!envelope->has_data)
        return fp_fail(err, FP_REJECT, "missing_field", "data",
                       "data is required, as a JSON object (data_base64 is not read)");
    if (nodes[envelope->data].type != FP_JSON_OBJECT)
        return fp_fail(err, FP_REJECT, envelope->binary ? "not_an_object" : "type_mismatch", "data",
                       "data must be a JSON object");
    return FP_OK;
}

/* Event time, and the other times where they were left out. */
static enum fp_status settle_times(const struct fp_envelope *envelope, struct fp_event *event,
                                   struct fp_error *err)
{
    if (envelope->time.at != NULL) {
        if (!fp_timestamp_parse(envelope->time, &event->time_us))
            return fp_fail(err, FP_REJECT, "bad_time", "time",
                           "time must be an RFC 3339 date and time with an offset, such as "
                           "2026-03-02T11:04:09Z, in the years 1970 to 9999");
    } else if (event->has_submitted_at) {
        event->time_us = event->submitted_at_us;
    } else {
        bool response = event->type == FP_EVENT_RESPONSE;
        return fp_fail(err, FP_REJECT, "missing_field", "time", "time is required%s",
                       response ? ", or data.submitted_at" : "");
    }
    if (!event->has_submitted_at)
        event->submitted_at_us = event->time_us;
    int32_t day;
    if (event->type != FP_EVENT_INTERVENTION)
        return FP_OK;
    if (event->at_date.at == NULL) {
        event->at_us = event->at_us < 0 ? event->time_us : event->at_us;
    } else if (fp_date_parse(event->at_date, &day)) {
        event->at_us = day * INT64_C(86400000000); /* until the programme's time zone is known */
    }
    return FP_OK;
}

/* Everything that needs the parsed body. */
static enum fp_status decode_body(const struct fp_json_node *nodes, struct fp_envelope *envelope,
                                  struct fp_event *event, struct fp_error *err)
{
    enum fp_status status = fp_envelope_read(nodes, envelope, err);
    if (status != FP_OK || (status = identify(envelope, event, err)) != FP_OK)
        return status;
    if (event->type == FP_EVENT_FOREIGN)
        return FP_OK;
    event->at_us = -1;
    if ((status = check_data(nodes, envelope, err)) != FP_OK ||
        (status = fp_decode_data(nodes, envelope->data, event, err)) != FP_OK)
        return status;
    return settle_times(envelope, event, err);
}

/* The body is declared to be something else than JSON: fine, if the event is none of ours. */
static enum fp_status decode_opaque(const struct fp_envelope *envelope, struct fp_event *event,
                                    struct fp_error *err)
{
    if (envelope->binary) {
        enum fp_status status = identify(envelope, event, err);
        if (status != FP_OK || event->type == FP_EVENT_FOREIGN)
            return status;
    }
    return fp_fail(err, FP_REJECT, "bad_content_type", "content-type",
                   "the content-type must be application/json or application/cloudevents+json, "
                   "in UTF-8, or be left out");
}

enum fp_status fp_decode(struct fp_decoder *decoder, const struct fp_record *record,
                         struct fp_event *event, struct fp_error *err)
{
    clear_event(event);
    if (record->value == NULL) { /* a tombstone of a compacted topic */
        event->type = FP_EVENT_FOREIGN;
        return FP_OK;
    }
    struct fp_envelope envelope;
    enum fp_status status = fp_envelope_open(record, &envelope, err);
    if (status != FP_OK)
        return status;
    if (envelope.len == 0)
        return fp_fail(err, FP_REJECT, "empty", "", "the message has no value");
    if (envelope.content == FP_CONTENT_OTHER)
        return decode_opaque(&envelope, event, err);
    const struct fp_json_node *nodes;
    uint32_t count;
    status = fp_json_parse(decoder->reader, envelope.body, envelope.len, &nodes, &count, err);
    return status == FP_OK ? decode_body(nodes, &envelope, event, err) : status;
}
