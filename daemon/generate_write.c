/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plan as a record: CloudEvents in structured or binary mode, plain JSON, or with a wire prefix.
 * What is wrong with a bad message's fields is written here; spoiled text follows in
 * generate_bad.c. */
#include "daemon/generate_parts.h"

static const char *const event_names[] = {"experience.touchpoint.v1",   "experience.response.v1",
                                          "experience.invitation.v1",   "experience.case.v1",
                                          "experience.intervention.v1", "experience.erasure.v1"};

static const char *const comments[] = {
    "Waited long, then all went well.", "Snel geholpen \xe2\x80\x93 dank u!",
    "She said \"no\", twice.\nThen a \\ appeared.", "\xf0\x9f\x91\x8d tr\xc3\xa8s bien"};

static void member(struct fp_text *t, const char *name)
{
    char last = t->at[t->len - 1];
    fp_text_bytes(t, ",\"", last == '{' ? 0 : 1);
    fp_text_bytes(t, "\"", 1);
    fp_text_put(t, name);
    fp_text_bytes(t, "\":", 2);
}

static void text_member(struct fp_text *t, const char *name, const char *value)
{
    member(t, name);
    fp_text_string(t, value);
}

static void id_of(struct fp_text *t, char letter, const struct fp_generator *gen, uint64_t serial)
{
    fp_text_bytes(t, &letter, 1);
    fp_text_base36(t, gen->params.seed);
    fp_text_bytes(t, "-", 1);
    fp_text_int(t, (int64_t)serial);
}

static void id_member(struct fp_text *t, const char *name, char letter,
                      const struct fp_generator *gen, uint64_t serial)
{
    member(t, name);
    fp_text_bytes(t, "\"", 1);
    id_of(t, letter, gen, serial);
    fp_text_bytes(t, "\"", 1);
}

void fp_write_id(struct fp_text *t, const struct fp_generator *gen, const struct fp_plan *plan)
{
    id_of(t, "trvkpx"[plan->type], gen, plan -> serial);
}

static const char *survey_of(const struct fp_plan *plan)
{
    if (plan->audience == FP_AUDIENCE_EMPLOYEE)
        return "pulse";
    if (plan->audience == FP_AUDIENCE_INTERNAL)
        return "self-assessment";
    return plan->survey_journey == FP_NONE ? "relationship" : "visit";
}

static const char *type_of(const struct fp_plan *plan)
{
    if (plan->bad == FP_BAD_UNKNOWN_TYPE)
        return "experience.dream.v1";
    return plan->bad == FP_BAD_FOREIGN ? "com.example.ping" : event_names[plan->type];
}

static const char *source_of(const struct fp_plan *plan)
{
    switch (plan->type) {
    case FP_EVENT_TOUCHPOINT:
        return "/queue";
    case FP_EVENT_CASE:
        return "/crm";
    case FP_EVENT_INTERVENTION:
        return "/plan";
    case FP_EVENT_ERASURE:
        return "/privacy-desk";
    default:
        break;
    }
    if (plan->audience == FP_AUDIENCE_EMPLOYEE)
        return "/survey/pulse";
    return plan->audience == FP_AUDIENCE_INTERNAL ? "/survey/self-assessment" : "/survey/visit";
}

/* "" when the message has no subject. */
static void write_subject(struct fp_text *t, const struct fp_plan *plan)
{
    if (plan->audience == FP_AUDIENCE_INTERNAL || plan->type == FP_EVENT_INTERVENTION)
        return;
    fp_text_bytes(t, plan->audience == FP_AUDIENCE_EMPLOYEE ? "e-" : "c-", 2);
    fp_text_base36(t, plan->customer);
}

static int64_t spoiled_time(const struct fp_generator *gen, const struct fp_plan *plan,
                            int64_t time_us)
{
    if (plan->bad == FP_BAD_FUTURE)
        return plan->send_us + gen->world.model->limits.future_skew_s * FP_SECOND + FP_DAY;
    return plan->bad == FP_BAD_TOO_OLD ? 8000 * FP_DAY : time_us; /* in 1991 */
}

static void write_time(struct fp_text *t, const struct fp_generator *gen,
                       const struct fp_plan *plan, int64_t time_us)
{
    if (plan->bad == FP_BAD_TIME)
        fp_text_put(t, "2026-13-45T99:00:00Z");
    else
        fp_text_time(t, spoiled_time(gen, plan, time_us), plan->odd_text ? 330 : 0);
}

static void time_member(struct fp_text *t, const char *name, const struct fp_generator *gen,
                        const struct fp_plan *plan, int64_t time_us)
{
    member(t, name);
    fp_text_bytes(t, "\"", 1);
    write_time(t, gen, plan, time_us);
    fp_text_bytes(t, "\"", 1);
}

/* ---- data -------------------------------------------------------------------------------------
 */

static void write_place(struct fp_text *t, const struct fp_generator *gen,
                        const struct fp_plan *plan)
{
    const struct fp_model *model = gen->world.model;
    if (plan->journey != FP_NONE)
        text_member(t, "journey", model->journeys[plan->journey].id);
    if (plan->touchpoint != FP_NONE)
        text_member(t, "touchpoint",
                    plan->touchpoint == FP_UNDECLARED ? "unheard_of"
                                                      : model->touchpoints[plan->touchpoint].id);
    if (plan->bad == FP_BAD_TYPE_MISMATCH) {
        member(t, "unit");
        fp_text_bytes(t, "17", 2);
    } else if (plan->unit != FP_NONE) {
        text_member(t, "unit", gen->world.units[plan->unit]);
    }
    if (plan->channel != FP_NONE)
        text_member(t, "channel", fp_channels[plan->channel]);
}

static void write_amount(struct fp_text *t, const struct fp_measure *measure, int64_t amount,
                         const struct fp_plan *plan)
{
    if (plan->bad == FP_BAD_DECIMALS) {
        fp_text_fixed(t, amount, measure->decimals, false);
        fp_text_put(t, measure->decimals == 0 ? ".5" : "5");
    } else if (plan->bad == FP_BAD_OUT_OF_RANGE) {
        if (measure->max < INT64_MAX)
            fp_text_fixed(t, measure->max + 1, measure->decimals, false);
        else
            fp_text_put(t, "1e30");
    } else if (plan->odd_text) {
        fp_text_int(t, amount);
        fp_text_put(t, "e-");
        fp_text_int(t, measure->decimals);
    } else {
        fp_text_fixed(t, amount, measure->decimals, plan->serial % 2 == 0);
    }
}

static void write_measures(struct fp_text *t, const struct fp_generator *gen,
                           const struct fp_plan *plan)
{
    bool unknown = plan->bad == FP_BAD_UNKNOWN_MEASURE;
    if (plan->measure_count == 0 && !unknown)
        return;
    member(t, "measures");
    fp_text_bytes(t, "{", 1);
    for (uint32_t i = 0; i < plan->measure_count; i++) {
        const struct fp_measure *measure = &gen->world.model->measures[plan->measures[i].measure];
        member(t, measure->id);
        write_amount(t, measure, plan->measures[i].amount, plan);
    }
    if (unknown) {
        member(t, "no_such_measure");
        fp_text_bytes(t, "1", 1);
    }
    fp_text_bytes(t, "}", 1);
}

static void write_score(struct fp_text *t, const struct fp_planned_score *score)
{
    if (score->kind == FP_ANSWER_SKIPPED)
        fp_text_bytes(t, "null", 4);
    else if (score->kind == FP_ANSWER_NOT_APPLICABLE && score->value == INT16_MIN)
        fp_text_bytes(t, "\"na\"", 4);
    else
        fp_text_int(t, score->value);
}

static int32_t beyond(const struct fp_scale *scale)
{
    int32_t value = scale->max + 1;
    for (int i = 0; i < scale->na_count; i++)
        if (scale->na_codes[i] == value) {
            value++;
            i = -1;
        }
    return value;
}

/* A void has no scores, a bad one at most the wrong ones. */
static void write_scores(struct fp_text *t, const struct fp_generator *gen,
                         const struct fp_plan *plan)
{
    const struct fp_model *model = gen->world.model;
    if (plan->status == FP_RESPONSE_VOID)
        return;
    member(t, "scores");
    fp_text_bytes(t, "{", 1);
    if (plan->bad == FP_BAD_OUT_OF_SCALE) {
        member(t, model->items[0].id);
        fp_text_int(t, beyond(&model->scales[model->items[0].scale]));
    } else if (plan->bad == FP_BAD_UNKNOWN_ITEM) {
        member(t, "no_such_item");
        fp_text_bytes(t, "1", 1);
    } else {
        for (uint32_t i = 0; i < plan->score_count; i++) {
            member(t, model->items[plan->scores[i].item].id);
            write_score(t, &plan->scores[i]);
        }
    }
    fp_text_bytes(t, "}", 1);
}

static void write_touchpoint(struct fp_text *t, const struct fp_generator *gen,
                             const struct fp_plan *plan)
{
    static const char *const outcomes[] = {"completed", "failed", "abandoned", "recovered"};
    write_place(t, gen, plan);
    if (plan->bad == FP_BAD_VALUE)
        text_member(t, "outcome", "exploded");
    else if (plan->outcome != FP_OUTCOME_COMPLETED || plan->serial % 2 == 0 ||
             !gen->world.mix.headers)
        text_member(t, "outcome", outcomes[plan->outcome]);
    write_measures(t, gen, plan);
    id_member(t, "interaction", 'i', gen, plan->visit);
}

static void write_response(struct fp_text *t, const struct fp_generator *gen,
                           const struct fp_plan *plan)
{
    static const char *const audiences[] = {"customer", "employee", "internal"};
    static const char *const states[] = {"complete", "partial", "void"};
    bool terse = !gen->world.mix.headers; /* the reference workload: only what is needed */
    if (plan->bad != FP_BAD_MISSING_FIELD)
        text_member(t, "audience", audiences[plan->audience]);
    text_member(t, "survey", survey_of(plan));
    write_place(t, gen, plan);
    time_member(t, "submitted_at", gen, plan, plan->submitted_us);
    if (plan->tenure_months == FP_TENURE_APPLICANT) {
        member(t, "applicant");
        fp_text_put(t, "true");
    } else if (plan->tenure_months != FP_TENURE_ABSENT) {
        member(t, "tenure_months");
        fp_text_int(t, plan->tenure_months);
    }
    if (plan->revision != 1 || (!terse && plan->serial % 2 == 0)) {
        member(t, "revision");
        fp_text_int(t, plan->revision);
    }
    if (plan->bad == FP_BAD_VALUE)
        text_member(t, "status", "finished");
    else if (plan->status != FP_RESPONSE_COMPLETE || !terse)
        text_member(t, "status", states[plan->status]);
    write_scores(t, gen, plan);
    write_measures(t, gen, plan);
    if (plan->weight != 1) {
        member(t, "weight");
        fp_text_int(t, plan->weight);
    }
    if (plan->visit != 0)
        id_member(t, "interaction", 'i', gen, plan->visit);
    if (plan->comment > 0)
        text_member(t, "comment", comments[plan->comment - 1]);
}

static void write_case(struct fp_text *t, const struct fp_generator *gen,
                       const struct fp_plan *plan)
{
    static const char *const states[] = {"opened", "contacted", "resolved", "reopened"};
    const struct fp_model *model = gen->world.model;
    id_member(t, "case", 'c', gen, plan->visit);
    text_member(t, "state", states[plan->case_state]);
    id_member(t, "response", 'r', gen, plan->related);
    if (model->owner_count > 0)
        text_member(t, "owner", model->owners[plan->visit % (uint64_t)model->owner_count].id);
}

static void write_intervention(struct fp_text *t, const struct fp_generator *gen,
                               const struct fp_plan *plan)
{
    static const char *const states[] = {"started", "ended", "cancelled"};
    text_member(t, "intervention", gen->world.model->interventions[gen->world.intervention].id);
    text_member(t, "state", states[plan->intervention_state]);
    time_member(t, "at", gen, plan, plan->time_us);
}

static void write_data(struct fp_text *t, const struct fp_generator *gen,
                       const struct fp_plan *plan)
{
    fp_text_bytes(t, "{", 1);
    switch (plan->type) {
    case FP_EVENT_TOUCHPOINT:
        write_touchpoint(t, gen, plan);
        break;
    case FP_EVENT_RESPONSE:
        write_response(t, gen, plan);
        break;
    case FP_EVENT_INVITATION:
        text_member(t, "survey", survey_of(plan));
        write_place(t, gen, plan);
        break;
    case FP_EVENT_CASE:
        write_case(t, gen, plan);
        break;
    case FP_EVENT_INTERVENTION:
        write_intervention(t, gen, plan);
        break;
    case FP_EVENT_ERASURE:
        member(t, "subject");
        fp_text_bytes(t, "\"", 1);
        write_subject(t, plan);
        fp_text_bytes(t, "\"", 1);
        break;
    default:
        break;
    }
    fp_text_bytes(t, "}", 1);
}

/* ---- envelope ---------------------------------------------------------------------------------
 */

/* Members that make a structured message unreadable although each part of it looks fine. */
static void write_spoiler(struct fp_text *t, enum fp_bad bad)
{
    if (bad == FP_BAD_UTF8)
        fp_text_put(t, ",\"note\":\"caf\xe9\"");
    else if (bad == FP_BAD_DUPLICATE_KEY)
        fp_text_put(t, ",\"source\":\"/again\"");
    else if (bad == FP_BAD_DEEP)
        fp_text_put(t,
                    ",\"note\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
}

static void write_envelope(struct fp_text *t, const struct fp_generator *gen,
                           const struct fp_plan *plan)
{
    fp_text_bytes(t, "{", 1);
    if (plan->format != FP_FORMAT_PLAIN)
        text_member(t, "specversion", plan->bad == FP_BAD_SPECVERSION ? "0.3" : "1.0");
    member(t, "id");
    fp_text_bytes(t, "\"", 1);
    fp_write_id(t, gen, plan);
    fp_text_bytes(t, "\"", 1);
    text_member(t, "source", source_of(plan));
    text_member(t, "type", type_of(plan));
    size_t before = t->len;
    member(t, "subject");
    fp_text_bytes(t, "\"", 1);
    size_t start = t->len;
    write_subject(t, plan);
    if (t->len == start)
        t->len = before;
    else
        fp_text_bytes(t, "\"", 1);
    time_member(t, "time", gen, plan, plan->time_us);
    member(t, "data");
    write_data(t, gen, plan);
    write_spoiler(t, plan->bad);
    fp_text_bytes(t, "}", 1);
}

/* Binary mode: the attributes as headers. Their bytes lie one after another in gen->fields. */
static size_t binary_headers(struct fp_generator *gen, const struct fp_plan *plan)
{
    static const char *const names[] = {"ce_specversion", "ce_id",        "ce_source", "ce_type",
                                        "ce_time",        "content-type", "ce_subject"};
    struct fp_text *t = &gen->fields;
    size_t end[7];
    t->len = 0;
    fp_text_put(t, "1.0");
    end[0] = t->len;
    fp_write_id(t, gen, plan);
    end[1] = t->len;
    fp_text_put(t, source_of(plan));
    end[2] = t->len;
    fp_text_put(t, type_of(plan));
    end[3] = t->len;
    write_time(t, gen, plan, plan->time_us);
    end[4] = t->len;
    fp_text_put(t, "application/json");
    end[5] = t->len;
    write_subject(t, plan);
    end[6] = t->len;
    size_t count = end[6] > end[5] ? 7 : 6;
    for (size_t i = 0; i < count && !t->failed; i++) {
        size_t start = i > 0 ? end[i - 1] : 0;
        gen->headers[i] = (struct fp_header){names[i], t->at + start, end[i] - start};
    }
    return count;
}

static size_t structured_headers(struct fp_generator *gen)
{
    static const char type[] = "application/cloudevents+json";
    if (!gen->world.mix.headers)
        return 0;
    gen->headers[0] = (struct fp_header){"content-type", type, sizeof type - 1};
    return 1;
}

/* The key is the subject; what has none goes by unit or intervention. */
static size_t write_key(struct fp_generator *gen, const struct fp_plan *plan)
{
    struct fp_text key = {.at = gen->key, .capacity = sizeof gen->key};
    write_subject(&key, plan);
    if (key.len == 0) {
        const char *name = plan->unit != FP_NONE ? gen->world.units[plan->unit] : "plan";
        fp_text_bytes(&key, name, strnlen(name, sizeof gen->key - 1));
    }
    return key.len;
}

void fp_write(struct fp_generator *gen, const struct fp_plan *plan, struct fp_record *record)
{
    bool whole = plan->bad != FP_BAD_NONE && plan->bad != FP_BAD_SUBMITTED_AT;
    enum fp_format format = whole ? FP_FORMAT_STRUCTURED : plan->format;
    struct fp_plan shown = *plan;
    shown.format = format;
    size_t headers = 0;
    gen->value.len = 0;
    if (format == FP_FORMAT_WIRE)
        fp_text_bytes(&gen->value, "\0\0\0\0\7", 5);
    if (format == FP_FORMAT_BINARY) {
        write_data(&gen->value, gen, &shown);
        headers = binary_headers(gen, &shown);
    } else {
        write_envelope(&gen->value, gen, &shown);
        headers = format == FP_FORMAT_PLAIN ? 0 : structured_headers(gen);
    }
    fp_bad_text(&gen->value, plan->bad);
    bool tombstone = plan->bad == FP_BAD_TOMBSTONE;
    bool responses = plan->type != FP_EVENT_TOUCHPOINT;
    *record = (struct fp_record){.topic = gen->topics[responses],
                                 .partition = -1,
                                 .offset = -1,
                                 .timestamp_ms = plan->send_us / 1000,
                                 .key = gen->key,
                                 .key_len = write_key(gen, plan),
                                 .value = tombstone ? NULL : gen->value.at,
                                 .len = tombstone ? 0 : gen->value.len,
                                 .headers = gen->headers,
                                 .header_count = tombstone ? 0 : headers};
}
