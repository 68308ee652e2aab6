/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From names to meaning. A message is judged whole before anything of it counts: one bad score
 * rejects the record, since half a response would be a number nobody sent. Unknown places are no
 * fault of the message: they are counted as unmapped (coverage). Hazard: an item with a
 * touchpoint of its own counts there, whichever survey asked it, so the place differs from item
 * to item. */
#include "daemon/resolve.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "analytics/fixed.h"
#include "analytics/sketch.h"
#include "analytics/tally.h"

#define HOUR_US INT64_C(3600000000)
#define DAY_US (24 * HOUR_US)

static enum fp_status reject(struct fp_error *err, const char *code, const char *group,
                             struct fp_slice name, const char *what)
{
    char where[160];
    snprintf(where, sizeof where, "data.%s.%.*s", group, (int)(name.len < 120 ? name.len : 120),
             name.at);
    return fp_fail(err, FP_REJECT, code, where, "%s", what);
}

/* ---- time ------------------------------------------------------------------------------------ */

static enum fp_status place_in_time(const struct fp_model *model, int64_t record_ms,
                                    struct fp_fact *fact, struct fp_error *err)
{
    const struct fp_event *e = fact->event;
    bool response = e->type == FP_EVENT_RESPONSE;
    const char *where = response && e->has_submitted_at ? "data.submitted_at" : "time";
    fact->time_us = response ? e->submitted_at_us : e->time_us;
    if (fact->time_us < 0 ||
        fact->time_us >= FP_TIME_END_US) /* what the time zone's table and the partitions cover */
        return fp_fail(err, FP_REJECT, fact->time_us < 0 ? "too_old" : "future", where,
                       "outside the years 1970 to 2099");
    fact->hour = (int32_t)(fact->time_us / HOUR_US);
    fact->day = fp_timezone_day(model->zone, fact->time_us);
    if (record_ms < 0)
        return FP_OK;
    int64_t record_us = record_ms * 1000;
    int days = response ? model->responses_days : model->tallies_days;
    if (fact->time_us > record_us + (int64_t)model->limits.future_skew_s * 1000000)
        return fp_fail(
            err, FP_REJECT, "future", where,
            "more than %d s after the record's own time; check the producer's clock and time zone",
            model->limits.future_skew_s);
    bool dated =
        e->type != FP_EVENT_ERASURE && e->type != FP_EVENT_INTERVENTION; /* those hold for ever */
    if (dated && fact->time_us < record_us - days * DAY_US)
        return fp_fail(err, FP_REJECT, "too_old", where, "older than the retention of %d days",
                       days);
    return FP_OK;
}

/* ---- scores and measures --------------------------------------------------------------------- */

static enum fp_status resolve_scores(const struct fp_model *model, struct fp_fact *fact,
                                     struct fp_error *err)
{
    const struct fp_event *e = fact->event;
    for (uint32_t i = 0; i < e->score_count; i++) {
        const struct fp_score *s = &e->scores[i];
        int item = fp_model_find(model, FP_KIND_ITEM, s->item);
        if (item == FP_NONE)
            return reject(err, "unknown_item", "scores", s->item,
                          "the model has no such item; add it to items or fix the name");
        const struct fp_scale *scale = &model->scales[model->items[item].scale];
        int16_t score = FP_SCORE_SKIPPED;
        if (s->kind == FP_ANSWER_NOT_APPLICABLE)
            score = FP_SCORE_NOT_APPLICABLE;
        if (s->kind == FP_ANSWER_VALUE) {
            bool not_applicable = false;
            for (int k = 0; k < scale->na_count; k++)
                not_applicable |= s->value == scale->na_codes[k];
            if (!not_applicable && (s->value < scale->min || s->value > scale->max)) {
                char what[120];
                snprintf(what, sizeof what, "%" PRId64 " is outside the item's scale %d … %d",
                         s->value, scale->min, scale->max);
                return reject(err, "out_of_scale", "scores", s->item, what);
            }
            score = not_applicable ? FP_SCORE_NOT_APPLICABLE : (int16_t)s->value;
        }
        fact->items[fact->score_count] = (int16_t)item;
        fact->scores[fact->score_count++] = score;
    }
    return FP_OK;
}

static enum fp_status resolve_measures(const struct fp_model *model, struct fp_fact *fact,
                                       struct fp_error *err)
{
    const struct fp_event *e = fact->event;
    for (uint32_t i = 0; i < e->measure_count; i++) {
        const struct fp_measurement *m = &e->measures[i];
        int measure = fp_model_find(model, FP_KIND_MEASURE, m->name);
        if (measure == FP_NONE)
            return reject(err, "unknown_measure", "measures", m->name,
                          "the model has no such measure; add it to measures or fix the name");
        const struct fp_measure *def = &model->measures[measure];
        int64_t amount = 0;
        switch (cx_fixed_parse(m->number.at, m->number.len, def->decimals, &amount)) {
        case CX_FIXED_OK:
            break;
        case CX_FIXED_TOO_MANY_DECIMALS:
            return reject(err, "too_many_decimals", "measures", m->name,
                          "more decimals than the model declares for it");
        case CX_FIXED_OUT_OF_RANGE:
            return reject(err, "out_of_range", "measures", m->name, "too large a number");
        case CX_FIXED_NOT_A_NUMBER:
            return reject(err, "type_mismatch", "measures", m->name, "not a number");
        }
        if (amount < def->min || amount > def->max)
            return reject(err, "out_of_range", "measures", m->name,
                          "outside the measure's min … max in the model");
        fact->measures[fact->measure_count] = (int16_t)measure;
        fact->amounts[fact->measure_count++] = amount;
    }
    return FP_OK;
}

/* ---- contributions --------------------------------------------------------------------------- */

static void put(struct fp_fact *fact, struct fp_contribution contribution)
{
    if (fact->contribution_count <
        FP_CONTRIBUTIONS_MAX) /* the model's validation keeps within this */
        fact->contributions[fact->contribution_count++] = contribution;
}

static void contribute(struct fp_fact *fact, int kpi, int64_t y, int bin, int sketch)
{
    put(fact, (struct fp_contribution){.kpi = kpi, .y = y, .bin = bin, .sketch = sketch});
}

static void contribute_pair(struct fp_fact *fact, int kpi, int64_t x, int64_t y)
{
    put(fact, (struct fp_contribution){
                  .kpi = kpi, .y = x, .bin = -1, .sketch = -1, .adds = FP_ADDS_PAIR, .per = y});
}

/* An item with a touchpoint of its own counts there, whichever survey asked it. */
static struct fp_place place_of_item(const struct fp_item *item, struct fp_place place)
{
    if (item->touchpoint != FP_NONE)
        place.touchpoint = item->touchpoint;
    return place;
}

static void contribute_scores(const struct fp_model *model, struct fp_fact *fact)
{
    for (int i = 0; i < fact->score_count; i++) {
        if (fact->scores[i] <= FP_SCORE_NOT_APPLICABLE)
            continue;
        const struct fp_item *item = &model->items[fact->items[i]];
        const struct fp_scale *scale = &model->scales[item->scale];
        struct fp_place place = place_of_item(item, fact->place);
        int count,
            bin = scale->max - scale->min < CX_TALLY_BINS ? fact->scores[i] - scale->min : -1;
        const int *kpis = fp_model_item_kpis(model, fact->items[i], &count);
        for (int k = 0; k < count; k++)
            if (fp_kpi_covers(model, &model->kpis[kpis[k]], &place))
                contribute(fact, kpis[k], fact->scores[i], bin, -1);
    }
}

/* Σ of the answers to its items, and how many there are, when that is at least half of the items.
 * What points the other way than the index is turned around on the scale. */
static void contribute_index(const struct fp_model *model, int kpi_id, struct fp_fact *fact)
{
    const struct fp_kpi *kpi = &model->kpis[kpi_id];
    const struct fp_scale *scale = fp_kpi_scale(model, kpi);
    int64_t sum = 0, answered = 0;
    for (int k = 0; k < kpi->item_count; k++) {
        const struct fp_item *item = &model->items[kpi->items[k]];
        int i = 0;
        while (i < fact->score_count && fact->items[i] != kpi->items[k])
            i++;
        struct fp_place place = place_of_item(item, fact->place);
        if (i == fact->score_count || fact->scores[i] <= FP_SCORE_NOT_APPLICABLE ||
            !fp_kpi_covers(model, kpi, &place))
            continue;
        answered++;
        sum += item->direction == kpi->direction ? fact->scores[i]
                                                 : scale->min + scale->max - fact->scores[i];
    }
    if (answered > 0 && 2 * answered >= kpi->item_count)
        contribute_pair(fact, kpi_id, sum, answered);
}

static int answers_on(const struct fp_model *model, const struct fp_fact *fact, int scale,
                      bool *equal)
{
    int count = 0;
    int16_t first = 0;
    *equal = true;
    for (int i = 0; i < fact->score_count; i++) {
        if (fact->scores[i] <= FP_SCORE_NOT_APPLICABLE ||
            model->items[fact->items[i]].scale != scale)
            continue;
        first = count == 0 ? fact->scores[i] : first;
        *equal &= fact->scores[i] == first;
        count++;
    }
    return count;
}

/* Of the scale with most answers (the first by id, when several have as many), from
 * FP_STRAIGHT_MIN on: 1 when all are equal. */
static void contribute_straight_lining(const struct fp_model *model, int kpi_id,
                                       struct fp_fact *fact)
{
    int most = 0, chosen = FP_NONE;
    bool hit = false;
    for (int i = 0; i < fact->score_count; i++) {
        int scale = model->items[fact->items[i]].scale;
        bool equal;
        if (scale == chosen)
            continue;
        int count = answers_on(model, fact, scale, &equal);
        if (count < most ||
            (count == most &&
             (chosen == FP_NONE || strcmp(model->scales[scale].id, model->scales[chosen].id) > 0)))
            continue;
        most = count;
        chosen = scale;
        hit = equal;
    }
    if (most >= FP_STRAIGHT_MIN)
        contribute(fact, kpi_id, hit, -1, -1);
}

static bool is_survey(const struct fp_kpi *kpi, const struct fp_event *event)
{
    return kpi->survey == NULL || fp_slice_is(event->survey, kpi->survey);
}

static void contribute_response(const struct fp_model *model, struct fp_fact *fact)
{
    int count;
    const int *kpis = fp_model_response_kpis(model, &count);
    for (int k = 0; k < count; k++) {
        const struct fp_kpi *kpi = &model->kpis[kpis[k]];
        if (kpi->source == FP_SOURCE_INDEX) {
            contribute_index(model, kpis[k], fact); /* looks at the places of its items */
        } else if (!fp_kpi_covers(model, kpi, &fact->place)) {
            continue;
        } else if (kpi->source == FP_SOURCE_STRAIGHT_LINING) {
            contribute_straight_lining(model, kpis[k], fact);
        } else if (is_survey(kpi, fact->event)) {
            put(fact,
                (struct fp_contribution){
                    .kpi = kpis[k], .y = 1, .bin = -1, .sketch = -1, .adds = FP_ADDS_NUMERATOR});
        }
    }
}

/* An invitation has no audience of its own: the survey, where the KPI names one, says whose it is,
 * else the journey. */
static void contribute_invitation(const struct fp_model *model, struct fp_fact *fact)
{
    int count;
    const int *kpis = fp_model_response_kpis(model, &count);
    for (int k = 0; k < count; k++) {
        const struct fp_kpi *kpi = &model->kpis[kpis[k]];
        struct fp_place place = fact->place;
        if (kpi->survey)
            place.audience = kpi->audience;
        if (kpi->source == FP_SOURCE_RESPONSE_RATE && is_survey(kpi, fact->event) &&
            fp_kpi_covers(model, kpi, &place))
            contribute(fact, kpis[k], 0, -1, -1);
    }
}

/* Index of a measure among those of the message; FP_NONE: it has none. */
static int find_amount(const struct fp_fact *fact, int measure)
{
    for (int i = 0; i < fact->measure_count; i++)
        if (fact->measures[i] == measure)
            return i;
    return FP_NONE;
}

static void contribute_ratio(const struct fp_kpi *kpi, int kpi_id, struct fp_fact *fact)
{
    int x = find_amount(fact, kpi->measure), y = find_amount(fact, kpi->per);
    if (x != FP_NONE && y != FP_NONE)
        contribute_pair(fact, kpi_id, fact->amounts[x], fact->amounts[y]);
}

static void contribute_measure(const struct fp_kpi *kpi, int kpi_id, struct fp_fact *fact)
{
    for (int i = 0; i < fact->measure_count; i++) {
        if (fact->measures[i] != kpi->measure)
            continue;
        int64_t amount = fact->amounts[i];
        if (kpi->source == FP_SOURCE_MEASURE_WITHIN)
            contribute(fact, kpi_id, amount <= kpi->within, -1, -1);
        else
            contribute(fact, kpi_id, amount, -1,
                       kpi->source == FP_SOURCE_MEASURE_QUANTILE ? cx_sketch_bin(amount) : -1);
    }
}

static void contribute_event(const struct fp_model *model, struct fp_fact *fact)
{
    int count;
    const int *kpis = fp_model_touchpoint_kpis(model, fact->place.touchpoint, &count);
    for (int k = 0; k < count; k++) {
        const struct fp_kpi *kpi = &model->kpis[kpis[k]];
        if (!fp_kpi_covers(model, kpi, &fact->place))
            continue;
        if (kpi->source == FP_SOURCE_OUTCOME)
            contribute(fact, kpis[k], fact->event->outcome == kpi->outcome, -1, -1);
        else if (kpi->source == FP_SOURCE_MEASURE_PER)
            contribute_ratio(kpi, kpis[k], fact);
        else
            contribute_measure(kpi, kpis[k], fact);
    }
}

enum fp_status fp_resolve(const struct fp_model *model, const struct fp_event *event,
                          int64_t record_ms, struct fp_fact *fact, struct fp_error *err)
{
    fact->event = event;
    fact->score_count = fact->measure_count = fact->contribution_count = 0;
    fact->place = fp_model_place(model, event);
    fact->mapped =
        event->touchpoint.at ? fact->place.touchpoint != FP_NONE : fact->place.journey != FP_NONE;
    enum fp_status status = place_in_time(model, record_ms, fact, err);
    if (status == FP_OK)
        status = resolve_scores(model, fact, err);
    if (status == FP_OK)
        status = resolve_measures(model, fact, err);
    if (status != FP_OK)
        return status;
    if (event->type == FP_EVENT_RESPONSE && event->status != FP_RESPONSE_VOID) {
        contribute_scores(model, fact);
        contribute_response(model, fact);
    } else if (event->type == FP_EVENT_TOUCHPOINT) {
        contribute_event(model, fact);
    } else if (event->type == FP_EVENT_INVITATION) {
        contribute_invitation(model, fact);
    }
    return FP_OK;
}
