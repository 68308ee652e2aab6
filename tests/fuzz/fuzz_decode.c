/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any record through fp_decode. What is accepted must keep every promise of event.h, what is
 * refused must carry a known code. The first byte chooses headers, and a second one how many bytes
 * of the input become the value of ce_id. */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/decode.h"
#include "daemon/timestamp.h"

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

/* ---- promises -------------------------------------------------------------------------------- */

static void check_text(struct fp_slice text, uint32_t min, uint32_t max)
{
    if (text.at == NULL) {
        require(text.len == 0, "absent is empty");
        return;
    }
    require(text.len >= min && text.len <= max, "length of a text");
    if (text.len > 0)
        require(fp_json_valid_utf8(text.at, text.len) && !memchr(text.at, 0, text.len),
                "UTF-8 without NUL");
}

static void check_time(int64_t us)
{
    require(us >= 0 && us <= FP_TIMESTAMP_MAX, "a time in 1970 to 9999");
}

static void check_maps(const struct fp_event *event)
{
    require(event->score_count <= FP_SCORES_MAX && event->measure_count <= FP_MEASURES_MAX, "maps");
    for (uint32_t i = 0; i < event->score_count; i++) {
        const struct fp_score *score = &event->scores[i];
        check_text(score->item, 1, FP_NAME_BYTES_MAX);
        require(score->item.at != NULL && score->kind <= FP_ANSWER_NOT_APPLICABLE, "an answer");
        require(score->value >= -FP_SCORE_MAX && score->value <= FP_SCORE_MAX, "a score");
    }
    for (uint32_t i = 0; i < event->measure_count; i++) {
        check_text(event->measures[i].name, 1, FP_NAME_BYTES_MAX);
        check_text(event->measures[i].number, 1, 64);
        require(event->measures[i].name.at && event->measures[i].number.at, "a measure");
    }
}

static void check_event(const struct fp_event *event)
{
    const struct fp_slice names[] = {event->id, event->source, event->subject, event->survey,
                                     event->journey, event->touchpoint, event->unit, event->channel,
                                     event->interaction, event->case_id, event->response,
                                     event->owner, event->intervention, event->erase_subject};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_text(names[i], 1, FP_NAME_BYTES_MAX);
    check_text(event->comment, 0, FP_COMMENT_BYTES_MAX);
    check_maps(event);
    require(event->id.at && event->source.at, "id and source");
    require(event->type < FP_EVENT_TYPES, "a type");
    if (event->type == FP_EVENT_FOREIGN)
        return;
    check_time(event->time_us);
    check_time(event->submitted_at_us);
    require(event->revision >= 1 && event->revision <= FP_REVISION_MAX, "revision");
    require(event->weight >= 0 && event->weight <= FP_WEIGHT_MAX, "weight");
    require(event->tenure_months >= FP_TENURE_APPLICANT &&
            event->tenure_months <= FP_TENURE_MONTHS_MAX, "tenure");
    require(event->audience < FP_AUDIENCES && event->outcome < FP_OUTCOMES &&
            event->status <= FP_RESPONSE_VOID && event->case_state <= FP_CASE_REOPENED &&
            event->intervention_state <= FP_INTERVENTION_CANCELLED, "enums");
    if (event->type == FP_EVENT_RESPONSE)
        require(event->survey.at != NULL, "a survey");
    if (event->type == FP_EVENT_RESPONSE || event->type == FP_EVENT_TOUCHPOINT)
        require(event->journey.at != NULL || event->touchpoint.at != NULL, "a place");
    if (event->type == FP_EVENT_INTERVENTION)
        check_time(event->at_us);
}

static void check_refusal(const struct fp_error *err)
{
    static const char *const codes[] = {
        "empty", "too_long", "bad_utf8", "bad_json", "too_deep", "too_many_values",
        "string_too_long", "number_too_long", "duplicate_key", "nul_in_string", "trailing_bytes",
        "missing_field", "type_mismatch", "bad_value", "out_of_range", "too_many_items", "bad_time",
        "unknown_type", "bad_specversion", "bad_content_type", "not_an_object"};
    bool known = false;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        known = known || strcmp(err->code, codes[i]) == 0;
    require(known, err->code);
    require(err->what[0] != '\0' && fp_json_valid_utf8(err->where, strlen(err->where)), "a reason");
}

/* ---- input ----------------------------------------------------------------------------------- */

#define HEADER(header_name, text) {.name = header_name, .value = text, .len = sizeof text - 1}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fp_decoder *decoder;
    static struct fp_event event;
    struct fp_header headers[] = {
        HEADER("ce_id", ""), HEADER("ce_specversion", "1.0"), HEADER("ce_source", "/s"),
        HEADER("ce_type", "experience.response.v1"), HEADER("ce_time", "2026-03-02T11:04:09Z"),
        HEADER("content-type", "application/cloudevents+json"),
        HEADER("content-type", "application/json")};
    struct fp_header chosen[8];
    struct fp_record record = {.headers = chosen, .value = data, .len = size, .timestamp_ms = -1};
    /* '{' is how most of the corpus begins: a record without headers */
    if (size >= 2 && data[0] != '{' && data[1] <= size - 2) {
        headers[0].value = data + 2;
        headers[0].len = data[1];
        for (unsigned i = 0; i < sizeof headers / sizeof *headers; i++)
            if (data[0] >> i & 1)
                chosen[record.header_count++] = headers[i];
        record.value = data + 2 + data[1];
        record.len = size - 2 - data[1];
    }
    if (decoder == NULL)
        decoder = fp_decoder_new(NULL);
    struct fp_error err = {0};
    memset(&event, 0xA5, sizeof event);
    if (fp_decode(decoder, &record, &event, &err) == FP_OK)
        check_event(&event);
    else
        check_refusal(&err);
    return 0;
}
