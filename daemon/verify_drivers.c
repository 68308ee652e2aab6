/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the log to rows of driver models, by the words of the model and not by the daemon's tables
 * of columns: for each column of a series its item or measure is looked for among the answers.
 *
 * What a message is a row of is decided under the model of its ledger range, like everything else.
 * Hazard: a series that began later has taken up stored responses of its window; which ones, only
 * the stored row tells, so there its word is taken, and how often is told. */
#include "daemon/verify_drivers.h"
#include "daemon/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define HELD_BYTES_MAX (192u << 20) /* of each kind in memory; more go to temporary files */
#define DAY_US INT64_C(86400000000)

/* ---- series ---------------------------------------------------------------------------------- */

static int audience_of(const struct fp_model *model, const struct fp_driver_model *dm)
{
    int touchpoint =
        dm->touchpoint == FP_NONE ? model->items[dm->outcome].touchpoint : dm->touchpoint;
    if (dm->journey != FP_NONE)
        return (int)model->journeys[dm->journey].audience;
    if (touchpoint == FP_NONE || model->touchpoints[touchpoint].only_journey == FP_NONE)
        return FP_AUDIENCE_CUSTOMER;
    return (int)model->journeys[model->touchpoints[touchpoint].only_journey].audience;
}

static void set_columns(struct fp_moment_series *s, const struct fp_verify_model *m)
{
    const struct fp_driver_model *dm = s->model;
    const struct fp_model *model = m->model;
    for (int i = 0; i < dm->driver_count; i++) {
        s->ids[s->columns] = m->items[dm->drivers[i]];
        s->names[s->columns++] = model->items[dm->drivers[i]].id;
    }
    for (int i = 0; i < dm->measure_count; i++) {
        s->ids[s->columns] = m->measures[dm->measures[i]];
        s->names[s->columns++] = model->measures[dm->measures[i]].id;
    }
    s->ids[s->columns] = m->items[dm->outcome];
    s->names[s->columns++] = model->items[dm->outcome].id;
}

/* The columns as the database names them. */
static void check_columns(struct fp_verify *v, struct fp_moment_series *s, const char *stored)
{
    char text[CX_COLUMNS_MAX * 72];
    size_t used = 0;
    for (int i = 0; i < s->columns && used < sizeof text; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? "," : "", s->names[i]);
    if (strcmp(text, stored) == 0)
        return;
    struct fp_difference *d = fp_report_differ(v->report, FP_CHECK_DRIVERS);
    snprintf(d->key, sizeof d->key, "driver model %.100s: columns", s->id);
    snprintf(d->log, sizeof d->log, "%.190s", text);
    snprintf(d->database, sizeof d->database, "%.190s", stored);
    s->ready = false;
}

static bool start_series(struct fp_verify *v, struct fp_moment_series *s, int number)
{
    const struct fp_verify_model *m = &v->models[0];
    s->model = &m->model->driver_models[number];
    s->id = s->model->id;
    s->audience = audience_of(m->model, s->model);
    s->touchpoint = s->model->touchpoint != FP_NONE ? s->model->touchpoint
                                                    : m->model->items[s->model->outcome].touchpoint;
    set_columns(s, m);
    return fp_fitting_init(&s->decode, m->model, number, m->items, m->measures);
}

/* Days whose states tidying leaves alone and whose responses are all stored: no window reaches
 * further back, and the word of a stored response is needed now and then. */
static int32_t floor_of(const struct fp_verify *v, int32_t kept)
{
    int32_t whole = (int32_t)(v->response_floor_us / DAY_US) + 1;
    return kept > whole ? kept : whole;
}

static enum fp_status read_series(struct fp_verify_drivers *d, struct fp_error *err)
{
    struct fp_verify *v = d->v;
    struct fp_pg_result *r = NULL;
    const struct fp_model *model = v->models[0].model;
    enum fp_status status = fp_pg_exec(
        v->pg,
        "SELECT series, model, definition, taken_up IS NOT NULL,"
        " array_to_string(drivers || outcome, ','), EXISTS (SELECT FROM flightpath.driver_series o"
        "  WHERE o.model = s.model AND o.definition = s.definition AND NOT o.current),"
        " least((extract(epoch FROM clock_timestamp()) / 86400)::int - (SELECT tallies_days FROM"
        "  flightpath.programme), newest - window_days)"
        " FROM flightpath.driver_series s WHERE current ORDER BY series",
        NULL, 0, FP_VERIFY_PG_MS, &r, err);
    d->series = fp_must_calloc(status == FP_OK ? (size_t)fp_pg_rows(r) : 0, sizeof *d->series);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(r); i++)
        for (int k = 0; k < model->driver_model_count; k++) {
            if (strcmp(model->driver_models[k].id, fp_pg_text(r, i, 1)) != 0 ||
                strcmp(model->driver_models[k].definition, fp_pg_text(r, i, 2)) != 0)
                continue;
            struct fp_moment_series *s = &d->series[d->count++];
            s->series = (int32_t)fp_pg_int(r, i, 0);
            s->ready = s->taken_up = *fp_pg_text(r, i, 3) == 't';
            s->restarted = *fp_pg_text(r, i, 5) == 't';
            s->ready &= !s->restarted || model->driver_models[k].join_window_hours == 0;
            s->floor = floor_of(v, (int32_t)fp_pg_int(r, i, 6));
            if (!start_series(v, s, k))
                abort();
            s->decode.series = s->series;
            check_columns(v, s, fp_pg_text(r, i, 4));
        }
    if (status == FP_OK && d->count < model->driver_model_count)
        status = fp_fail(err, FP_FATAL, "series_missing", "flightpath.driver_series",
                         "a driver model of the installed model has no current series");
    fp_pg_result_free(r);
    return status;
}

static void map_models(struct fp_verify_drivers *d)
{
    const struct fp_verify *v = d->v;
    d->of_model = fp_must_calloc((size_t)v->model_count, sizeof *d->of_model);
    for (int i = 0; i < v->model_count; i++) {
        const struct fp_model *model = v->models[i].model;
        d->of_model[i] = fp_must_calloc((size_t)model->driver_model_count, sizeof **d->of_model);
        for (int k = 0; k < model->driver_model_count; k++) {
            d->of_model[i][k] = FP_NONE;
            for (int s = 0; s < d->count; s++)
                if (strcmp(d->series[s].id, model->driver_models[k].id) == 0 &&
                    strcmp(d->series[s].model->definition, model->driver_models[k].definition) == 0)
                    d->of_model[i][k] = s;
        }
    }
}

enum fp_status fp_verify_drivers_open(struct fp_verify *v, struct fp_error *err)
{
    struct fp_verify_drivers *d = v->drivers = fp_must_calloc(1, sizeof *d);
    d->v = v;
    d->no_people = v->key == NULL;
    d->room = fp_must_calloc(1, sizeof(struct fp_moment_row) + CX_COLUMNS_MAX * sizeof(int64_t));
    fp_spill_init(&d->rows, HELD_BYTES_MAX);
    fp_spill_init(&d->joins, HELD_BYTES_MAX);
    enum fp_status status = read_series(d, err);
    map_models(d);
    return status;
}

void fp_verify_drivers_free(struct fp_verify_drivers *d)
{
    if (d == NULL)
        return;
    for (int i = 0; i < d->count; i++)
        fp_fitting_free(&d->series[i].decode);
    for (int i = 0; d->of_model && i < d->v->model_count; i++)
        free(d->of_model[i]);
    fp_spill_free(&d->rows);
    fp_spill_free(&d->joins);
    free(d->of_model);
    free(d->series);
    free(d->offers);
    free(d->index);
    free(d->room);
    free(d);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static enum fp_status put(struct fp_spill *spill, uint64_t hash, struct fp_moment_row *row,
                          struct fp_error *err)
{
    if (row->kind != FP_MOMENT_STATE)
        row->size = (uint32_t)(sizeof *row + fp_moment_values(row) * sizeof *row->z);
    return fp_spill_put(spill, hash, row, row->size, err);
}

enum fp_status fp_moment_put(struct fp_verify_drivers *d, struct fp_moment_row *row,
                             struct fp_error *err)
{
    const int32_t key[2] = {row->at, row->day};
    if (row->day < d->series[row->at].floor) {
        d->expired += !row->stored;
        return FP_OK;
    }
    return put(&d->rows, XXH3_64bits(key, sizeof key), row, err);
}

enum fp_status fp_moment_put_join(struct fp_verify_drivers *d, struct fp_moment_row *row,
                                  struct fp_error *err)
{
    return put(&d->joins, XXH3_64bits(row->interaction, FP_KEY_LEN), row, err);
}

/* Columns in rising order, so values stand as they are found. */
static void put_value(struct fp_moment_row *row, int column, int64_t value)
{
    row->z[fp_moment_values(row)] = value;
    row->observed |= UINT64_C(1) << column;
}

static bool is_measure(const struct fp_moment_series *s, int column)
{
    return column >= s->model->driver_count && column < s->columns - 1;
}

static void look_for(const struct fp_moment_series *s, int column, const struct fp_verify_row *from,
                     struct fp_moment_row *row)
{
    for (uint32_t i = 0; is_measure(s, column) && i < from->measure_count; i++)
        if (from->measures[i] == s->ids[column]) {
            put_value(row, column, from->amounts[i]);
            return;
        }
    for (uint32_t i = 0; !is_measure(s, column) && i < from->score_count; i++) {
        if (from->items[i] != s->ids[column])
            continue;
        if (from->scores[i] == FP_SCORE_NOT_APPLICABLE)
            row->does_not_apply |= UINT64_C(1) << column;
        else if (from->scores[i] != FP_SCORE_SKIPPED)
            put_value(row, column, from->scores[i]);
        return;
    }
}

static void project(const struct fp_moment_series *s, const struct fp_verify_row *from,
                    struct fp_moment_row *row)
{
    *row = (struct fp_moment_row){.kind = FP_MOMENT_ROW, .weight = from->weight, .count = 1};
    for (int i = 0; i < s->columns; i++)
        look_for(s, i, from, row);
}

/* Months with us: applicants, up to 3, up to 12, more; 0 when not told. */
static int32_t band_of(int32_t tenure)
{
    if (tenure == FP_TENURE_APPLICANT)
        return 1;
    return tenure < 0 ? 0 : 2 + (tenure > 3) + (tenure > 12);
}

/* ---- a message of the log -------------------------------------------------------------------- */

static bool tells_outcome(const struct fp_driver_model *dm, const struct fp_fact *fact)
{
    bool tells = false;
    for (int i = 0; i < fact->score_count; i++)
        tells |= fact->items[i] == dm->outcome;
    return tells;
}

static bool in_scope(const struct fp_model *model, const struct fp_driver_model *dm,
                     const struct fp_fact *fact)
{
    bool there = dm->touchpoint == FP_NONE || fact->place.touchpoint == dm->touchpoint;
    bool about = model->items[dm->outcome].touchpoint == dm->touchpoint && tells_outcome(dm, fact);
    return (int)fact->place.audience == audience_of(model, dm) && (there || about) &&
           (dm->journey == FP_NONE || fp_journey_covers(model, dm->journey, &fact->place));
}

void fp_verify_drivers_fit(struct fp_verify_drivers *d, int model, const struct fp_fact *fact,
                           struct fp_verify_row *row, struct fp_row_scratch *scratch)
{
    const struct fp_model *m = d->v->models[model].model;
    struct fp_moment_row *out = (struct fp_moment_row *)(void *)d->room;
    int64_t journey = 0;
    if (fact->place.journey != FP_NONE)
        journey = fp_verify_names_id(d->v->names, FP_KIND_JOURNEY,
                                     fp_slice_of(m->journeys[fact->place.journey].id));
    row->fitted_count = 0;
    row->fitted = scratch->fitted;
    for (int i = 0; i < m->driver_model_count && row->status != FP_RESPONSE_VOID; i++) {
        int at = d->of_model[model][i];
        if (at == FP_NONE || row->weight == 0 || !in_scope(m, &m->driver_models[i], fact))
            continue;
        project(&d->series[at], row, out);
        if (out->observed)
            scratch->fitted[row->fitted_count++] =
                d->series[at].series * (INT64_C(1) << 32) + journey;
    }
}

/* A hash in the order of its digits, as the database keeps it. */
static void write_key(uint8_t key[FP_KEY_LEN], uint64_t high, uint64_t low)
{
    for (int i = 0; i < 8; i++) {
        key[i] = (uint8_t)(high >> (56 - 8 * i));
        key[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
}

static void offer(struct fp_verify_drivers *d, const struct fp_moment_row *row, uint32_t index)
{
    size_t words = (sizeof *row + fp_moment_values(row) * sizeof *row->z) / sizeof *d->offers;
    d->offers =
        fp_must_grow(d->offers, &d->offer_capacity, d->offer_len + words, sizeof *d->offers);
    d->index = fp_must_grow(d->index, &d->index_capacity, d->index_count + 1, sizeof *d->index);
    memcpy(d->offers + d->offer_len, row, words * sizeof *d->offers);
    d->index[d->index_count++] = (struct fp_moment_offer){index, d->offer_len};
    d->offer_len += words;
}

static void offer_to(struct fp_verify_drivers *d, int at, int model, const struct fp_fact *fact,
                     uint32_t index)
{
    const struct fp_moment_series *s = &d->series[at];
    const struct fp_event *e = fact->event;
    struct fp_moment_row *row = (struct fp_moment_row *)(void *)d->room;
    *row = (struct fp_moment_row){.kind = FP_MOMENT_EVENT, .at = at, .time_us = fact->time_us};
    for (int i = 0; i < s->columns; i++)
        for (int k = 0; is_measure(s, i) && k < fact->measure_count; k++)
            if (d->v->models[model].measures[fact->measures[k]] == s->ids[i])
                put_value(row, i, fact->amounts[k]);
    if (row->observed == 0)
        return;
    XXH128_hash_t interaction = XXH3_128bits(e->interaction.at, e->interaction.len);
    XXH128_hash_t record =
        XXH3_128bits_withSeed(e->id.at, e->id.len, XXH3_64bits(e->source.at, e->source.len));
    write_key(row->interaction, interaction.high64, interaction.low64);
    write_key(row->record, record.high64, record.low64);
    offer(d, row, index);
}

void fp_verify_drivers_event(struct fp_verify_drivers *d, int model, const struct fp_fact *fact,
                             uint32_t index)
{
    const struct fp_model *m = d->v->models[model].model;
    if (fact->event->interaction.len == 0 || fact->measure_count == 0)
        return;
    for (int i = 0; i < m->driver_model_count; i++) {
        const struct fp_driver_model *dm = &m->driver_models[i];
        int place = dm->touchpoint != FP_NONE ? dm->touchpoint : m->items[dm->outcome].touchpoint;
        if (d->of_model[model][i] != FP_NONE && dm->join_window_hours > 0 &&
            (place == FP_NONE || place == fact->place.touchpoint))
            offer_to(d, d->of_model[model][i], model, fact, index);
    }
}

void fp_verify_drivers_judge(struct fp_verify_drivers *d, const bool *repeated)
{
    for (size_t i = 0; i < d->index_count && d->status == FP_OK; i++)
        if (!repeated[d->index[i].index])
            d->status = fp_moment_put_join(
                d, (struct fp_moment_row *)(void *)(d->offers + d->index[i].at), &d->err);
    d->index_count = d->offer_len = 0;
}

/* ---- what stands ----------------------------------------------------------------------------- */

static const int64_t *find(const struct fp_verify_row *row, int32_t series)
{
    for (uint32_t i = 0; row && i < row->fitted_count; i++)
        if (row->fitted[i] / (INT64_C(1) << 32) == series)
            return &row->fitted[i];
    return NULL;
}

static void differ(struct fp_verify_drivers *d, const struct fp_moment_series *s,
                   const struct fp_verify_row *row, const int64_t *log, const int64_t *stored)
{
    struct fp_difference *w = fp_report_differ(d->v->report, FP_CHECK_DRIVERS);
    const int64_t *const fitted[2] = {log, stored};
    snprintf(w->key, sizeof w->key, "driver model %.60s: response %.120s of %.120s", s->id, row->id,
             fp_verify_names_text(d->v->names, FP_KIND_SOURCE, row->source));
    for (int i = 0; i < 2; i++) {
        char *text = i ? w->database : w->log;
        if (fitted[i] == NULL)
            snprintf(text, sizeof w->log, "no row of it");
        else
            snprintf(text, sizeof w->log, "a row of it, journey %.100s",
                     fp_verify_names_text(d->v->names, FP_KIND_JOURNEY,
                                          (int32_t)(*fitted[i] % (INT64_C(1) << 32))));
    }
}

/* The contribution that holds, NULL: none. */
static const int64_t *decide(struct fp_verify_drivers *d, int at, const struct fp_verify_row *row,
                             const struct fp_verify_row *stored)
{
    const struct fp_moment_series *s = &d->series[at];
    const struct fp_verify *v = d->v;
    const int64_t *log = find(row, s->series), *held = find(stored, s->series);
    int of = v->ranges[row->range].model;
    bool known = false;
    for (int i = 0; i < v->models[of].model->driver_model_count; i++)
        known |= d->of_model[of][i] == at;
    if (stored == NULL || (log && held && *log == *held) || (!log && !held))
        return log;
    if (!known || (s->restarted && !held)) { /* taken up, or beyond the window when it was */
        d->trusted++;
        return held;
    }
    differ(d, s, row, log, held);
    return log;
}

static void stand_in(struct fp_verify_drivers *d, int at, const struct fp_verify_row *row,
                     struct fp_row_when when, int32_t journey)
{
    const struct fp_moment_series *s = &d->series[at];
    struct fp_moment_row *out = (struct fp_moment_row *)(void *)d->room;
    project(s, row, out);
    if (out->observed == 0 || out->weight == 0)
        return;
    out->at = at;
    out->day = when.day;
    out->journey = journey;
    out->touchpoint = row->touchpoint;
    out->unit = row->unit;
    out->band = band_of(row->tenure);
    if (s->model->panel && row->has_pseudonym)
        out->people = (int32_t)(XXH3_64bits(row->pseudonym, FP_PSEUDONYM_LEN) % FP_PANEL_GROUPS);
    out->time_us = when.time_us;
    bool joins = s->model->join_window_hours > 0 && row->has_interaction;
    write_key(out->interaction, row->joined_by[1], row->joined_by[0]);
    write_key(out->record, row->key.part[1], row->key.part[0]);
    d->status = joins ? fp_moment_put_join(d, out, &d->err) : fp_moment_put(d, out, &d->err);
}

void fp_verify_drivers_stand(struct fp_verify_drivers *d, const struct fp_verify_row *row,
                             struct fp_row_when when, const struct fp_verify_row *stored)
{
    for (int i = 0; i < d->count && d->status == FP_OK && row->status != FP_RESPONSE_VOID; i++) {
        const int64_t *fitted = d->series[i].ready ? decide(d, i, row, stored) : NULL;
        if (fitted)
            stand_in(d, i, row, when, (int32_t)(*fitted % (INT64_C(1) << 32)));
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void tell_what_is_not(struct fp_verify_drivers *d)
{
    struct fp_report *report = d->v->report;
    for (int i = 0; i < d->count; i++)
        if (!d->series[i].taken_up)
            fp_report_note(report,
                           "driver model %s: its series is still taking up stored responses",
                           d->series[i].id);
        else if (d->series[i].restarted && d->series[i].model->join_window_hours > 0)
            fp_report_note(report,
                           "driver model %s: its definition came back; events of before are not "
                           "told from those of since",
                           d->series[i].id);
    if (d->expired)
        fp_report_note(report, "%" PRId64 " rows of driver models beyond their retention",
                       d->expired);
    if (d->trusted)
        fp_report_note(report,
                       "whether %" PRId64 " responses of before a driver model's series were taken "
                       "up: the stored responses are believed",
                       d->trusted);
}

enum fp_status fp_verify_drivers(struct fp_verify *v, struct fp_error *err)
{
    struct fp_verify_drivers *d = v->drivers;
    if (!v->whole) {
        if (d->count)
            fp_report_note(v->report, "driver models: the log does not hold everything they count");
        return FP_OK;
    }
    if (d->status != FP_OK)
        *err = d->err;
    enum fp_status status = d->status;
    if (status == FP_OK)
        status = fp_moment_load(d, err);
    if (status == FP_OK)
        status = fp_moment_join(d, err);
    if (status == FP_OK)
        status = fp_moment_compare(d, err);
    if (status == FP_OK)
        tell_what_is_not(d);
    v->report->check[FP_CHECK_DRIVERS].done = status == FP_OK && d->count > 0;
    return status;
}
