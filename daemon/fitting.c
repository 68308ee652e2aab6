/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Responses as rows of regressions.
 *
 * Scope: the model's audience (that of its journey; customers without one), its journey, its
 * touchpoint. Like a KPI, a model of a touchpoint also takes an answer to an outcome that belongs
 * there, whichever survey asked. What is kept of a response for later (`fitted`) is what cannot be
 * told from the row of the table: the series, and the journey it was counted under. */
#include "daemon/fitting.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum fp_tenure_band fp_tenure_band(int tenure_months)
{
    if (tenure_months == FP_TENURE_APPLICANT)
        return FP_BAND_APPLICANT;
    if (tenure_months < 0)
        return FP_BAND_NONE;
    return tenure_months <= 3 ? FP_BAND_TO_3 : tenure_months <= 12 ? FP_BAND_TO_12 : FP_BAND_LONGER;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int8_t *columns_by_id(int ids)
{
    int8_t *column = malloc((size_t)ids + 1);
    if (column)
        memset(column, -1, (size_t)ids + 1);
    return column;
}

static int most(const int16_t *ids, int count)
{
    int most = 0;
    for (int i = 0; i < count; i++)
        most = ids[i] > most ? ids[i] : most;
    return most;
}

static unsigned segments_of(const struct fp_driver_model *model)
{
    static const char *const names[FP_SEGMENTS] = {"all", "journey", "touchpoint", "unit",
                                                   "tenure"};
    unsigned segments = 0;
    for (int i = 0; i < model->segment_count; i++)
        for (int k = 0; k < FP_SEGMENTS; k++)
            if (strcmp(model->segments[i], names[k]) == 0)
                segments |= 1U << k;
    return segments;
}

void fp_fitting_scope(struct fp_fitting *f, const struct fp_model *model,
                      const struct fp_driver_model *dm)
{
    int own = model->items[dm->outcome].touchpoint, journey = dm->journey;
    f->touchpoint = dm->touchpoint != FP_NONE ? dm->touchpoint : own;
    if (journey == FP_NONE && f->touchpoint != FP_NONE)
        journey = model->touchpoints[f->touchpoint].only_journey;
    f->audience = journey == FP_NONE ? FP_AUDIENCE_CUSTOMER : model->journeys[journey].audience;
}

bool fp_fitting_init(struct fp_fitting *f, const struct fp_model *model, int driver_model,
                     const int16_t *items, const int16_t *measures)
{
    const struct fp_driver_model *dm = &model->driver_models[driver_model];
    *f = (struct fp_fitting){.model = dm,
                             .first_measure = dm->driver_count,
                             .columns = dm->driver_count + dm->measure_count + 1,
                             .segments = segments_of(dm),
                             .item_ids = most(items, model->item_count) + 1,
                             .measure_ids = most(measures, model->measure_count) + 1};
    fp_fitting_scope(f, model, dm);
    f->item_column = columns_by_id(f->item_ids);
    f->measure_column = columns_by_id(f->measure_ids);
    if (f->item_column == NULL || f->measure_column == NULL) {
        fp_fitting_free(f);
        return false;
    }
    for (int i = 0; i < dm->driver_count; i++)
        f->item_column[items[dm->drivers[i]]] = (int8_t)i;
    for (int i = 0; i < dm->measure_count; i++) {
        f->measure_column[measures[dm->measures[i]]] = (int8_t)(f->first_measure + i);
        f->decimals[f->first_measure + i] = model->measures[dm->measures[i]].decimals;
    }
    f->item_column[items[dm->outcome]] = (int8_t)(f->columns - 1);
    return true;
}

void fp_fitting_free(struct fp_fitting *fitting)
{
    free(fitting->item_column);
    free(fitting->measure_column);
    fitting->item_column = fitting->measure_column = NULL;
}

/* ---- scope ----------------------------------------------------------------------------------- */

static bool has_outcome(const struct fp_fitting *f, const struct fp_fact *fact)
{
    for (int i = 0; i < fact->score_count; i++)
        if (fact->items[i] == f->model->outcome)
            return true;
    return false;
}

bool fp_fitting_covers(const struct fp_model *model, const struct fp_fitting *f,
                       const struct fp_fact *fact)
{
    const struct fp_driver_model *dm = f->model;
    if (fact->place.audience != f->audience)
        return false;
    int own = model->items[dm->outcome].touchpoint;
    if (dm->touchpoint != FP_NONE && fact->place.touchpoint != dm->touchpoint &&
        !(own == dm->touchpoint && has_outcome(f, fact)))
        return false;
    return dm->journey == FP_NONE || fp_journey_covers(model, dm->journey, &fact->place);
}

bool fp_fitting_joins(const struct fp_fitting *f, const struct fp_fact *fact)
{
    return f->model->join_window_hours > 0 && fact->event->interaction.len > 0 &&
           (f->touchpoint == FP_NONE || fact->place.touchpoint == f->touchpoint);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void key_of(uint8_t key[FP_KEY_LEN], struct fp_slice name, uint64_t seed)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(name.at, name.len, seed));
    memcpy(key, canonical.digest, FP_KEY_LEN);
}

static void put_measure(const struct fp_fitting *f, struct fp_driver_row *row, int id,
                        int64_t amount)
{
    int column = id < f->measure_ids ? f->measure_column[id] : -1;
    if (column < 0)
        return;
    row->observed |= UINT64_C(1) << column;
    row->z[column] = amount;
}

bool fp_fitting_project(const struct fp_fitting *f, const struct fp_answers *a, int32_t journey,
                        struct fp_driver_row *row)
{
    row->event = false;
    row->sign = 1;
    row->observed = row->does_not_apply = 0;
    for (uint32_t i = 0; i < a->score_count; i++) {
        int column = a->items[i] < f->item_ids ? f->item_column[a->items[i]] : -1;
        if (column < 0 || a->scores[i] == FP_SCORE_SKIPPED)
            continue;
        if (a->scores[i] == FP_SCORE_NOT_APPLICABLE) {
            row->does_not_apply |= UINT64_C(1) << column;
            continue;
        }
        row->observed |= UINT64_C(1) << column;
        row->z[column] = a->scores[i];
    }
    for (uint32_t i = 0; i < a->measure_count; i++)
        put_measure(f, row, a->measures[i], a->amounts[i]);
    if (row->observed == 0 || a->weight == 0)
        return false;
    row->day = a->day;
    row->unit = a->unit;
    row->touchpoint = a->touchpoint;
    row->journey = journey;
    row->band = (int32_t)fp_tenure_band(a->tenure);
    row->weight = a->weight;
    row->group = f->model->panel && a->has_subject
                     ? (int32_t)(XXH3_64bits(a->subject, FP_PSEUDONYM_LEN) % FP_PANEL_GROUPS)
                     : 0;
    row->joins = f->model->join_window_hours > 0 && a->interaction.len > 0;
    row->time_us = a->time_us;
    if (row->joins) {
        key_of(row->interaction, a->interaction, 0);
        key_of(row->record, a->id, (uint64_t)a->source);
    }
    return true;
}

bool fp_fitting_event(const struct fp_fitting *f, const struct fp_fact *fact,
                      const int16_t *measures, struct fp_driver_row *row)
{
    const struct fp_event *e = fact->event;
    *row =
        (struct fp_driver_row){.event = true, .sign = 1, .joins = true, .time_us = fact->time_us};
    for (int i = 0; i < fact->measure_count; i++)
        put_measure(f, row, measures[fact->measures[i]], fact->amounts[i]);
    if (row->observed == 0)
        return false;
    key_of(row->interaction, e->interaction, 0);
    key_of(row->record, e->id, XXH3_64bits(e->source.at, e->source.len));
    return true;
}

bool fp_driver_join(const struct fp_fitting *f, struct fp_driver_row *row,
                    const struct fp_driver_row *event)
{
    int64_t apart = row->time_us - event->time_us;
    if ((apart < 0 ? -apart : apart) > f->model->join_window_hours * INT64_C(3600000000))
        return false;
    for (uint64_t rest = event->observed & ~row->observed; rest; rest &= rest - 1)
        row->z[__builtin_ctzll(rest)] = event->z[__builtin_ctzll(rest)];
    row->observed |= event->observed;
    return true;
}
