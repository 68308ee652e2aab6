/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One snapshot of the database: REPEATABLE READ, so that the positions, the ledger and every table
 * that is compared later belong together, whatever a running daemon adds meanwhile.
 *
 * Small tables are read here as a whole; the large ones through cursors while they are compared. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/memory.h"
#include "daemon/verify.h"
#include "daemon/verify_drivers.h"
#include "daemon/verify_predictions.h"

#define SMALL_MS 60000
/* clang-format off */
#define PARTS                                                                        \
    "(SELECT topic, partition, incarnation, row_number() OVER (ORDER BY topic, partition)" \
    " - 1 AS part FROM flightpath.ingest_position) AS p"
/* clang-format on */

static enum fp_status ask(struct fp_verify *v, const char *sql, struct fp_pg_result **result,
                          struct fp_error *err)
{
    return fp_pg_exec(v->pg, sql, NULL, 0, SMALL_MS, result, err);
}

/* ---- a query, row by row --------------------------------------------------------------------- */

enum fp_status fp_rows_open(struct fp_rows *rows, struct fp_pg *pg, const char *name,
                            const char *sql, struct fp_error *err)
{
    char text[4096];
    *rows = (struct fp_rows){.pg = pg};
    snprintf(rows->name, sizeof rows->name, "%s", name);
    snprintf(rows->fetch, sizeof rows->fetch, "FETCH 5000 FROM %s", name);
    if (snprintf(text, sizeof text, "DECLARE %s NO SCROLL CURSOR FOR %s", name, sql) >=
        (int)sizeof text)
        return fp_fail(err, FP_FATAL, "too_long", "verify", "a query does not fit its buffer");
    enum fp_status status = fp_pg_exec(pg, text, NULL, 0, FP_VERIFY_PG_MS, NULL, err);
    rows->open = status == FP_OK;
    return status;
}

enum fp_status fp_rows_next(struct fp_rows *rows, const struct fp_pg_result **result, int *at,
                            struct fp_error *err)
{
    if (rows->result && ++rows->at == fp_pg_rows(rows->result)) {
        fp_pg_result_free(rows->result);
        rows->result = NULL;
    }
    if (rows->result == NULL && !rows->done) {
        enum fp_status status =
            fp_pg_exec(rows->pg, rows->fetch, NULL, 0, FP_VERIFY_PG_MS, &rows->result, err);
        if (status != FP_OK)
            return status;
        rows->at = 0;
        rows->done = fp_pg_rows(rows->result) == 0;
    }
    *result = rows->done ? NULL : rows->result;
    *at = rows->at;
    return FP_OK;
}

void fp_rows_close(struct fp_rows *rows)
{
    char text[64];
    fp_pg_result_free(rows->result);
    snprintf(text, sizeof text, "CLOSE %s", rows->name);
    if (rows->open && fp_pg_alive(rows->pg))
        (void)!fp_pg_exec(rows->pg, text, NULL, 0, SMALL_MS, NULL, NULL);
    *rows = (struct fp_rows){.done = true};
}

/* ---- programme, positions -------------------------------------------------------------------- */

/* The first month that retention leaves alone, by the rule of flightpath.drop_expired(). */
/* clang-format off */
#define KEPT(days)                                                                       \
    "date_trunc('month', (now() AT TIME ZONE 'UTC') - (" days " + 1) * interval '1 day')"
#define KEPT_US(days) "(extract(epoch FROM " KEPT(days) ") * 1000000)::bigint"
static const char programme_sql[] =
    "SELECT " KEPT("tallies_days") "::date - DATE '1970-01-01', " KEPT_US("responses_days") ", "
    KEPT_US("rejects_days") ", (SELECT (extract(epoch FROM max(erased_before)) * 1000000)::bigint"
    " FROM flightpath.tombstone) FROM flightpath.programme";
/* clang-format on */

static enum fp_status read_programme(struct fp_verify *v, struct fp_error *err)
{
    struct fp_pg_result *r = NULL;
    enum fp_status status = ask(v, programme_sql, &r, err);
    if (status == FP_OK && fp_pg_rows(r) != 1)
        status = fp_fail(err, FP_FATAL, "no_programme", "postgres",
                         "this database holds no programme yet: `flightpath run` makes it");
    if (status == FP_OK) {
        v->tally_floor = (int32_t)fp_pg_int(r, 0, 0);
        v->response_floor_us = fp_pg_int(r, 0, 1);
        v->reject_floor_us = fp_pg_int(r, 0, 2);
        v->latest_tombstone_us = fp_pg_is_null(r, 0, 3) ? INT64_MIN : fp_pg_int(r, 0, 3);
    }
    fp_pg_result_free(r);
    return status;
}

static enum fp_status read_positions(struct fp_verify *v, struct fp_error *err)
{
    struct fp_pg_result *r = NULL;
    enum fp_status status =
        ask(v,
            "SELECT topic, partition, incarnation, first_offset, next_offset, anchor_offset,"
            " anchor_hash FROM flightpath.ingest_position ORDER BY topic, partition",
            &r, err);
    v->part_count = status == FP_OK ? fp_pg_rows(r) : 0;
    v->parts = fp_must_calloc((size_t)v->part_count, sizeof *v->parts);
    for (int i = 0; i < v->part_count; i++) {
        struct fp_verify_part *p = &v->parts[i];
        *p = (struct fp_verify_part){.topic = strdup(fp_pg_text(r, i, 0)),
                                     .partition = (int32_t)fp_pg_int(r, i, 1),
                                     .incarnation = (int32_t)fp_pg_int(r, i, 2),
                                     .first = fp_pg_int(r, i, 3),
                                     .next = fp_pg_int(r, i, 4),
                                     .has_anchor = !fp_pg_is_null(r, i, 5),
                                     .anchor_offset = fp_pg_int(r, i, 5),
                                     .anchor_hash = fp_pg_int(r, i, 6)};
        p->start = p->first;
        if (p->topic == NULL)
            abort();
        if (p->incarnation > 1) {
            v->whole = false;
            fp_report_note(
                v->report,
                "%s/%d: the log was replaced (incarnation %d); what was counted from the "
                "earlier one cannot be read",
                p->topic, p->partition, p->incarnation);
        }
    }
    fp_pg_result_free(r);
    return status;
}

static enum fp_status read_gaps(struct fp_verify *v, struct fp_error *err)
{
    struct fp_pg_result *r = NULL;
    enum fp_status status =
        ask(v,
            "SELECT p.part, from_offset, to_offset FROM flightpath.data_gap JOIN " PARTS
            " USING (topic, partition, incarnation) ORDER BY 1, 2",
            &r, err);
    v->gap_count = status == FP_OK ? fp_pg_rows(r) : 0;
    v->gaps = fp_must_calloc((size_t)v->gap_count, sizeof *v->gaps);
    for (int i = 0; i < v->gap_count; i++) {
        struct fp_verify_gap *g = &v->gaps[i];
        *g =
            (struct fp_verify_gap){(int)fp_pg_int(r, i, 0), fp_pg_int(r, i, 1), fp_pg_int(r, i, 2)};
        fp_report_note(v->report,
                       "%s/%d: offsets %" PRId64 " to %" PRId64 " were passed (data gap)",
                       v->parts[g->part].topic, v->parts[g->part].partition, g->from, g->to);
    }
    fp_pg_result_free(r);
    return status;
}

/* ---- names and models ------------------------------------------------------------------------ */

/* A KPI's series by its id and its definition, among the names. */
static void series_name(char *name, size_t size, const char *kpi, const char *definition)
{
    snprintf(name, size, "%s\n%s", kpi, definition);
}

static enum fp_status read_names(struct fp_verify *v, struct fp_error *err)
{
    struct fp_pg_result *r = NULL;
    char name[512];
    v->names = fp_verify_names_new();
    enum fp_status status =
        ask(v, "SELECT kind, id, name FROM flightpath.name WHERE id > 0", &r, err);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(r); i++)
        fp_verify_names_add(v->names, (enum fp_kind)fp_pg_int(r, i, 0), (int32_t)fp_pg_int(r, i, 1),
                            fp_pg_text(r, i, 2));
    fp_pg_result_free(r);
    r = NULL;
    if (status == FP_OK)
        status = ask(v, "SELECT series, kpi, definition FROM flightpath.kpi", &r, err);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(r); i++) {
        series_name(name, sizeof name, fp_pg_text(r, i, 1), fp_pg_text(r, i, 2));
        fp_verify_names_add(v->names, FP_KIND_KPI, (int32_t)fp_pg_int(r, i, 0), name);
    }
    fp_pg_result_free(r);
    fp_verify_names_index(v->names);
    return status;
}

/* The ids that the database has for what the model declares. */
static enum fp_status bind(struct fp_verify *v, struct fp_verify_model *m, struct fp_error *err)
{
    const struct fp_model *model = m->model;
    char name[512];
    m->series = fp_must_calloc((size_t)model->kpi_count, sizeof *m->series);
    m->items = fp_must_calloc((size_t)model->item_count, sizeof *m->items);
    m->measures = fp_must_calloc((size_t)model->measure_count, sizeof *m->measures);
    for (int i = 0; i < model->item_count; i++)
        m->items[i] =
            (int16_t)fp_verify_names_id(v->names, FP_KIND_ITEM, fp_slice_of(model->items[i].id));
    for (int i = 0; i < model->measure_count; i++)
        m->measures[i] = (int16_t)fp_verify_names_id(v->names, FP_KIND_MEASURE,
                                                     fp_slice_of(model->measures[i].id));
    for (int i = 0; i < model->kpi_count; i++) {
        series_name(name, sizeof name, model->kpis[i].id, model->kpis[i].definition);
        m->series[i] = fp_verify_names_id(v->names, FP_KIND_KPI, fp_slice_of(name));
        if (m->series[i] <= 1 && strncmp(fp_verify_names_text(v->names, FP_KIND_KPI, m->series[i]),
                                         name, strlen(name)) != 0)
            return fp_fail(err, FP_FATAL, "series_missing", "flightpath.kpi",
                           "the KPI \"%s\" of model %.12s has no series in the database",
                           model->kpis[i].id, m->hash);
    }
    return FP_OK;
}

static enum fp_status read_model(struct fp_verify *v, struct fp_verify_model *m, const char *body,
                                 struct fp_error *err)
{
    struct fp_problems problems = {0};
    enum fp_status status = fp_model_parse(body, strlen(body), &m->model, &problems);
    if (status != FP_OK)
        status = fp_fail(err, FP_FATAL, "bad_model", "flightpath.model",
                         "the stored model %.12s is not valid: %s: %s", m->hash,
                         problems.count ? problems.at[0].path : "$",
                         problems.count ? problems.at[0].what : "it cannot be read");
    else if (strcmp(m->model->hash, m->hash) != 0)
        status = fp_fail(err, FP_FATAL, "model_altered", "flightpath.model",
                         "the stored model %.12s has another hash than its name: it was altered",
                         m->hash);
    fp_problems_free(&problems);
    return status == FP_OK ? bind(v, m, err) : status;
}

static enum fp_status read_models(struct fp_verify *v, struct fp_error *err)
{
    struct fp_pg_result *r = NULL;
    enum fp_status status =
        ask(v,
            "SELECT hash, body::text FROM flightpath.model m WHERE"
            " EXISTS (SELECT FROM flightpath.programme p WHERE p.model_hash = m.hash) OR"
            " EXISTS (SELECT FROM flightpath.ledger l WHERE l.model_hash = m.hash)"
            " ORDER BY (SELECT model_hash FROM flightpath.programme) = hash DESC",
            &r, err);
    int count = status == FP_OK ? fp_pg_rows(r) : 0;
    v->models = fp_must_calloc((size_t)count, sizeof *v->models);
    for (int i = 0; status == FP_OK && i < count; i++) {
        snprintf(v->models[i].hash, sizeof v->models[i].hash, "%s", fp_pg_text(r, i, 0));
        v->model_count = i + 1;
        status = read_model(v, &v->models[i], fp_pg_text(r, i, 1), err);
    }
    if (status == FP_OK && count == 0)
        status = fp_fail(err, FP_FATAL, "no_model", "flightpath.model",
                         "this database holds no model: `flightpath run` installs it");
    fp_pg_result_free(r);
    return status;
}

/* Names that became "__other__" once a kind was full, and were declared by a later model, were
 * counted under the one and are looked up as the other. */
static enum fp_status read_overflow(struct fp_verify *v, struct fp_error *err)
{
    static const char *const kinds[] = {"units",   "channels", "touchpoints", "journeys", "sources",
                                        "surveys", "items",    "measures",    "owners"};
    struct fp_pg_result *r = NULL;
    enum fp_status status = ask(
        v,
        "SELECT kind FROM flightpath.name_overflow o WHERE EXISTS (SELECT FROM flightpath.model m"
        " WHERE m.installed_at > o.since) ORDER BY 1",
        &r, err);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(r); i++)
        fp_report_note(
            v->report,
            "%s that a model declared after their registry was full: what came before that "
            "was counted as __other__ and will show as a difference",
            kinds[fp_pg_int(r, i, 0) % 9]);
    fp_pg_result_free(r);
    return status;
}

/* ---- ledger ---------------------------------------------------------------------------------- */

static int model_of(const struct fp_verify *v, const char *hash)
{
    for (int i = 0; i < v->model_count; i++)
        if (strcmp(v->models[i].hash, hash) == 0)
            return i;
    return -1;
}

static void add_range(struct fp_verify *v, const struct fp_pg_result *r, int row)
{
    struct fp_verify_range *range = &v->ranges[v->range_count];
    *range = (struct fp_verify_range){.part = (int)fp_pg_int(r, row, 0),
                                      .first = fp_pg_int(r, row, 1),
                                      .next = fp_pg_int(r, row, 2),
                                      .model = model_of(v, fp_pg_text(r, row, 3)),
                                      .stored_consumed = fp_pg_int(r, row, 4),
                                      .coefficients = fp_pg_int(r, row, 11)};
    for (int k = 0; k < FP_VERIFY_COUNTS; k++)
        range->stored[k] = fp_pg_int(r, row, 5 + k);
    struct fp_verify_part *part = &v->parts[range->part];
    if (part->range_count++ == 0)
        part->range_first = v->range_count;
    if (range->model < 0) {
        struct fp_difference *d = fp_report_differ(v->report, FP_CHECK_LEDGER);
        snprintf(d->key, sizeof d->key, "%s/%d from %" PRId64 ": model", part->topic,
                 part->partition, range->first);
        snprintf(d->log, sizeof d->log, "unknown");
        snprintf(d->database, sizeof d->database, "%.64s, which is not stored",
                 fp_pg_text(r, row, 3));
        range->model = 0;
    }
    v->range_count++;
}

/* Every partition has a range to count into, be it one that the ledger lacks. */
static void complete_ranges(struct fp_verify *v)
{
    for (int i = 0; i < v->part_count; i++) {
        struct fp_verify_part *part = &v->parts[i];
        if (part->range_count || part->first == part->next)
            continue;
        part->range_first = v->range_count;
        part->range_count = 1;
        v->ranges[v->range_count++] =
            (struct fp_verify_range){.part = i, .first = part->first, .next = part->next};
        struct fp_difference *d = fp_report_differ(v->report, FP_CHECK_LEDGER);
        snprintf(d->key, sizeof d->key, "%s/%d", part->topic, part->partition);
        snprintf(d->log, sizeof d->log, "offsets %" PRId64 " to %" PRId64, part->first, part->next);
        snprintf(d->database, sizeof d->database, "no range");
    }
}

static enum fp_status read_ledger(struct fp_verify *v, struct fp_error *err)
{
    struct fp_pg_result *r = NULL;
    enum fp_status status =
        ask(v,
            "SELECT p.part, first_offset, next_offset, model_hash, consumed, applied, duplicate,"
            " revised, voided, rejected, ignored, coefficients FROM flightpath.ledger JOIN " PARTS
            " USING (topic, partition, incarnation) ORDER BY 1, 2",
            &r, err);
    int count = status == FP_OK ? fp_pg_rows(r) : 0;
    v->ranges = fp_must_calloc((size_t)(count + v->part_count), sizeof *v->ranges);
    for (int i = 0; i < count; i++)
        add_range(v, r, i);
    fp_pg_result_free(r);
    if (status == FP_OK)
        complete_ranges(v);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

enum fp_status fp_verify_snapshot(struct fp_verify *v, struct fp_error *err)
{
    typedef enum fp_status (*step)(struct fp_verify *, struct fp_error *);
    static const step steps[] = {
        read_programme,        read_positions, read_gaps,   read_names,
        read_models,           read_overflow,  read_ledger, fp_verify_predictions_open,
        fp_verify_drivers_open};
    static const char *const opening[] = {
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "SELECT set_config('statement_timeout', '0', true),"
        " set_config('idle_in_transaction_session_timeout', '0', true),"
        " set_config('timezone', 'UTC', true), set_config('cursor_tuple_fraction', '1', true)"};
    enum fp_status status = FP_OK;
    v->whole = true;
    for (int i = 0; status == FP_OK && i < 2; i++)
        status = fp_pg_exec(v->pg, opening[i], NULL, 0, SMALL_MS, NULL, err);
    for (size_t i = 0; status == FP_OK && i < sizeof steps / sizeof *steps; i++)
        status = steps[i](v, err);
    return status;
}

void fp_verify_place_add(struct fp_verify_places *places, int32_t part, int64_t offset)
{
    if (places->count == places->capacity) {
        places->capacity = places->capacity ? places->capacity * 2 : 64;
        places->at = realloc(places->at, places->capacity * sizeof *places->at);
        if (places->at == NULL)
            abort();
    }
    places->at[places->count++] = (struct fp_verify_place){part, offset};
}

void fp_verify_free(struct fp_verify *v)
{
    for (int i = 0; i < v->model_count; i++) {
        fp_model_release(v->models[i].model);
        free(v->models[i].series);
        free(v->models[i].items);
        free(v->models[i].measures);
    }
    for (int i = 0; i < v->part_count; i++)
        free(v->parts[i].topic);
    fp_verify_names_free(v->names);
    fp_verify_predictions_free(v->predictions);
    fp_verify_drivers_free(v->drivers);
    free(v->models);
    free(v->parts);
    free(v->ranges);
    free(v->gaps);
    free(v->erasures);
    free(v->stored_changed.at);
    free(v->changed.at);
    free(v->undecided.at);
}
