/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A model becomes rows: programme, names, series of KPIs, and the texts the views show.
 *
 * Everything happens in one transaction under one advisory lock, so replicas that start together
 * take turns and the second finds the work done. The programme's row names the model installed
 * last; when that is this model and all its definitions are current, nothing is written. Rows
 * travel as one array per column. A KPI whose definition changed gets a new series and the old one
 * stays, no longer `current`; one whose target or owner changed keeps its series. */
#include "daemon/install.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_MS 30000
#define COLUMNS_MAX 24
#define LIST_SEPARATOR "\x1f" /* no name holds it: see model_schema.c */

/* ---- columns --------------------------------------------------------------------------------- */

struct columns {
    struct fp_pg_param param[COLUMNS_MAX];
    struct fp_pg_param *list[COLUMNS_MAX];
    size_t count;
};

/* types: one letter per column: t text, i int4, d float8; upper case = an array. */
static void columns_init(struct columns *columns, const char *types)
{
    columns->count = strlen(types);
    for (size_t i = 0; i < columns->count; i++) {
        bool array = types[i] < 'a';
        enum fp_pg_type type = (types[i] | 0x20) == 't'   ? FP_PG_TEXT
                               : (types[i] | 0x20) == 'i' ? FP_PG_INT4
                                                          : FP_PG_FLOAT8;
        fp_pg_param_init(&columns->param[i], type, array);
        columns->list[i] = &columns->param[i];
    }
}

static void columns_free(struct columns *columns)
{
    for (size_t i = 0; i < columns->count; i++)
        fp_pg_param_free(&columns->param[i]);
}

static void put_text(struct columns *columns, int column, const char *text) /* NULL: null */
{
    fp_pg_put_slice(&columns->param[column], fp_slice_of(text));
}

static void put_number(struct columns *columns, int column, bool present, double value)
{
    if (present)
        fp_pg_put_double(&columns->param[column], value);
    else
        fp_pg_put_null(&columns->param[column]);
}

static enum fp_status run(struct fp_pg *pg, const char *sql, struct columns *columns,
                          struct fp_error *err)
{
    enum fp_status status =
        fp_pg_exec(pg, sql, columns->list, columns->count, DEADLINE_MS, NULL, err);
    columns_free(columns);
    return status;
}

/* ---- programme ------------------------------------------------------------------------------- */

static enum fp_status check_programme(struct fp_pg *pg, const struct fp_model *model,
                                      bool *installed, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    enum fp_status status =
        fp_pg_exec(pg, "SELECT id, time_zone, model_hash FROM flightpath.programme", NULL, 0,
                   DEADLINE_MS, &result, err);
    *installed = false;
    if (status != FP_OK || fp_pg_rows(result) == 0) {
        fp_pg_result_free(result);
        return status;
    }
    const char *id = fp_pg_text(result, 0, 0), *zone = fp_pg_text(result, 0, 1);
    *installed = strcmp(fp_pg_text(result, 0, 2), model->hash) == 0;
    if (strcmp(id, model->programme) != 0)
        status = fp_fail(err, FP_FATAL, "other_programme", "programme.id",
                         "this database holds the programme \"%s\", the model is of \"%s\": "
                         "use another database, or mend programme.id",
                         id, model->programme);
    else if (strcmp(zone, model->time_zone) != 0)
        status = fp_fail(err, FP_FATAL, "other_time_zone", "programme.time_zone",
                         "this database counts days in \"%s\", the model in \"%s\", and days that "
                         "were counted cannot be cut anew: keep the zone, or use a new database",
                         zone, model->time_zone);
    fp_pg_result_free(result);
    return status;
}

static enum fp_status put_programme(struct fp_pg *pg, const struct fp_model *model,
                                    struct fp_error *err)
{
    struct columns columns;
    columns_init(&columns, "tttttiiiii");
    put_text(&columns, 0, model->programme);
    put_text(&columns, 1, model->programme_name);
    put_text(&columns, 2, model->time_zone);
    put_text(&columns, 3, model->currency);
    put_text(&columns, 4, model->hash);
    const int numbers[] = {model->min_n, model->min_n_employee, model->responses_days,
                           model->tallies_days, model->rejects_days};
    for (int i = 0; i < 5; i++)
        fp_pg_put_int(&columns.param[5 + i], numbers[i]);
    return run(pg,
               "INSERT INTO flightpath.programme (id, name, time_zone, currency, model_hash, min_n,"
               " min_n_employee, responses_days, tallies_days, rejects_days)"
               " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
               " ON CONFLICT (only_row) DO UPDATE SET name = excluded.name,"
               " currency = excluded.currency, model_hash = excluded.model_hash,"
               " min_n = excluded.min_n, min_n_employee = excluded.min_n_employee,"
               " responses_days = excluded.responses_days, tallies_days = excluded.tallies_days,"
               " rejects_days = excluded.rejects_days",
               &columns, err);
}

static enum fp_status put_model(struct fp_pg *pg, const struct fp_model *model,
                                struct fp_error *err)
{
    struct columns columns;
    columns_init(&columns, "tt");
    put_text(&columns, 0, model->hash);
    put_text(&columns, 1, model->text);
    return run(pg,
               "INSERT INTO flightpath.model (hash, body) VALUES ($1, $2::jsonb)"
               " ON CONFLICT (hash) DO NOTHING",
               &columns, err);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Ids come first in every declared struct. */
static const char *id_of(const void *array, size_t size, int i)
{
    return *(const char *const *)(const void *)((const char *)array + (size_t)i * size);
}

static enum fp_status put_names(struct fp_pg *pg, const struct fp_model *m, struct fp_error *err)
{
    const struct {
        enum fp_kind kind;
        const void *array;
        size_t size;
        int count;
    } kinds[] = {{FP_KIND_UNIT, m->units, sizeof *m->units, m->unit_count},
                 {FP_KIND_TOUCHPOINT, m->touchpoints, sizeof *m->touchpoints, m->touchpoint_count},
                 {FP_KIND_JOURNEY, m->journeys, sizeof *m->journeys, m->journey_count},
                 {FP_KIND_ITEM, m->items, sizeof *m->items, m->item_count},
                 {FP_KIND_MEASURE, m->measures, sizeof *m->measures, m->measure_count},
                 {FP_KIND_OWNER, m->owners, sizeof *m->owners, m->owner_count}};
    enum fp_status status = FP_OK;
    for (size_t k = 0; status == FP_OK && k < sizeof kinds / sizeof *kinds; k++) {
        struct columns columns;
        columns_init(&columns, "iT");
        fp_pg_put_int(&columns.param[0], kinds[k].kind);
        for (int i = 0; i < kinds[k].count; i++)
            put_text(&columns, 1, id_of(kinds[k].array, kinds[k].size, i));
        status =
            run(pg, "SELECT count(*) FROM flightpath.declare_names($1::int2, $2)", &columns, err);
    }
    return status;
}

/* ---- what the views say of the names --------------------------------------------------------- */

static void put_list(struct columns *columns, int column, const char *const *texts, int count)
{
    char *joined = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&joined, &len);
    for (int i = 0; out && i < count; i++)
        fprintf(out, "%s%s", i ? LIST_SEPARATOR : "", texts[i]);
    if (out == NULL || fclose(out) != 0)
        columns->param[column].failed = true; /* the statement is then refused */
    else
        fp_pg_put_bytes(&columns->param[column], joined, len);
    free(joined);
}

/* Journeys, main and detailed, that hold the touchpoint. */
static void put_journeys(struct columns *columns, int column, const struct fp_model *model,
                         int touchpoint)
{
    const char **ids = calloc((size_t)model->journey_count + 1, sizeof *ids);
    int count = 0;
    for (int i = 0; ids && i < model->journey_count; i++) {
        const struct fp_journey *journey = &model->journeys[i];
        bool held = false;
        for (int k = 0; k < journey->touchpoint_count; k++)
            held |= journey->touchpoints[k] == touchpoint;
        if (held)
            ids[count++] = journey->id;
    }
    put_list(columns, column, ids, count);
    columns->param[column].failed |= ids == NULL;
    free(ids);
}

static enum fp_status put_touchpoints(struct fp_pg *pg, const struct fp_model *model,
                                      struct fp_error *err)
{
    struct columns columns;
    columns_init(&columns, "TTTTTTT");
    for (int i = 0; i < model->touchpoint_count; i++) {
        const struct fp_touchpoint *touchpoint = &model->touchpoints[i];
        put_text(&columns, 0, touchpoint->id);
        put_text(&columns, 1, touchpoint->name);
        put_text(&columns, 2, touchpoint->department);
        put_text(&columns, 3,
                 touchpoint->owner == FP_NONE ? NULL : model->owners[touchpoint->owner].id);
        put_list(&columns, 4, touchpoint->processes, touchpoint->process_count);
        put_list(&columns, 5, touchpoint->systems, touchpoint->system_count);
        put_journeys(&columns, 6, model, i);
    }
    return run(pg,
               "WITH info AS (SELECT n.id, u.label, u.department, u.owner,"
               "  string_to_array(u.processes, E'\\x1f') AS processes,"
               "  string_to_array(u.systems, E'\\x1f') AS systems,"
               "  string_to_array(u.journeys, E'\\x1f') AS journeys"
               " FROM unnest($1, $2, $3, $4, $5, $6, $7)"
               "  AS u (name, label, department, owner, processes, systems, journeys)"
               " JOIN flightpath.name n ON n.kind = 2 AND n.name = u.name),"
               " gone AS (DELETE FROM flightpath.touchpoint_info t"
               "  WHERE NOT EXISTS (SELECT FROM info WHERE info.id = t.touchpoint))"
               " INSERT INTO flightpath.touchpoint_info AS t"
               "  (touchpoint, label, department, owner, processes, systems, journeys)"
               " SELECT * FROM info ORDER BY id"
               " ON CONFLICT (touchpoint) DO UPDATE SET label = excluded.label,"
               "  department = excluded.department, owner = excluded.owner,"
               "  processes = excluded.processes, systems = excluded.systems,"
               "  journeys = excluded.journeys",
               &columns, err);
}

static enum fp_status put_units(struct fp_pg *pg, const struct fp_model *model,
                                struct fp_error *err)
{
    struct columns columns;
    columns_init(&columns, "TTT");
    for (int i = 0; i < model->unit_count; i++) {
        const struct fp_unit *unit = &model->units[i];
        put_text(&columns, 0, unit->id);
        put_text(&columns, 1, unit->name);
        put_text(&columns, 2, unit->parent == FP_NONE ? NULL : model->units[unit->parent].id);
    }
    return run(pg,
               "WITH info AS (SELECT n.id, u.label, p.id AS parent"
               " FROM unnest($1, $2, $3) AS u (name, label, parent)"
               " JOIN flightpath.name n ON n.kind = 0 AND n.name = u.name"
               " LEFT JOIN flightpath.name p ON p.kind = 0 AND p.name = u.parent),"
               " gone AS (DELETE FROM flightpath.unit_info t"
               "  WHERE NOT EXISTS (SELECT FROM info WHERE info.id = t.unit))"
               " INSERT INTO flightpath.unit_info AS t (unit, label, parent)"
               " SELECT * FROM info ORDER BY id"
               " ON CONFLICT (unit) DO UPDATE SET label = excluded.label, parent = excluded.parent",
               &columns, err);
}

static enum fp_status put_owners(struct fp_pg *pg, const struct fp_model *model,
                                 struct fp_error *err)
{
    struct columns columns;
    columns_init(&columns, "TTT");
    for (int i = 0; i < model->owner_count; i++) {
        put_text(&columns, 0, model->owners[i].id);
        put_text(&columns, 1, model->owners[i].name);
        put_text(&columns, 2, model->owners[i].department);
    }
    return run(pg,
               "WITH gone AS (DELETE FROM flightpath.owner_info WHERE owner <> ALL ($1))"
               " INSERT INTO flightpath.owner_info (owner, label, department)"
               " SELECT * FROM unnest($1, $2, $3) AS u (owner, label, department) ORDER BY owner"
               " ON CONFLICT (owner) DO UPDATE SET label = excluded.label,"
               "  department = excluded.department",
               &columns, err);
}

/* ---- KPIs ------------------------------------------------------------------------------------ */

/* Columns 12 … 16: what the sums and bins mean. scale_min and scale_max are those of the answers.
 */
static void put_meaning(struct columns *columns, const struct fp_model *model,
                        const struct fp_kpi *kpi)
{
    const struct fp_scale *scale = fp_kpi_scale(model, kpi);
    int top = kpi->item == FP_NONE ? 0 : model->items[kpi->item].top;
    fp_pg_put_int(&columns->param[12], fp_kpi_decimals(model, kpi));
    put_number(columns, 13, scale, scale ? scale->min : 0);
    put_number(columns, 14, scale, scale ? scale->max : 0);
    if (top > 0)
        fp_pg_put_int(&columns->param[15], top);
    else
        fp_pg_put_null(&columns->param[15]);
    put_number(columns, 16, kpi->source == FP_SOURCE_MEASURE_QUANTILE, kpi->quantile);
}

/* Columns 19 … 21: what a ratio is divided by, what an index is over, whose response rate it is. */
static void put_parts(struct columns *columns, const struct fp_model *model,
                      const struct fp_kpi *kpi)
{
    const char *items[FP_SCORES_MAX];
    for (int i = 0; i < kpi->item_count; i++)
        items[i] = model->items[kpi->items[i]].id;
    put_text(columns, 19, kpi->per == FP_NONE ? NULL : model->measures[kpi->per].id);
    if (kpi->item_count)
        put_list(columns, 20, items, kpi->item_count);
    else
        put_text(columns, 20, NULL);
    put_text(columns, 21, kpi->survey);
}

static void put_kpi(struct columns *columns, const struct fp_model *model, const struct fp_kpi *kpi)
{
    static const char *const sources[FP_SOURCES] = {[FP_SOURCE_ITEM] = "item",
                                                    [FP_SOURCE_MEASURE_MEAN] = "measure",
                                                    [FP_SOURCE_MEASURE_WITHIN] = "measure",
                                                    [FP_SOURCE_MEASURE_QUANTILE] = "measure",
                                                    [FP_SOURCE_OUTCOME] = "outcome",
                                                    [FP_SOURCE_INDEX] = "item",
                                                    [FP_SOURCE_MEASURE_PER] = "measure",
                                                    [FP_SOURCE_RESPONSE_RATE] = "invitation",
                                                    [FP_SOURCE_STRAIGHT_LINING] = "item"};
    static const char *const audiences[] = {"customer", "employee", "internal"};
    put_text(columns, 0, kpi->id);
    put_text(columns, 1, kpi->definition);
    put_text(columns, 2, kpi->statement);
    put_text(columns, 3, kpi->role);
    put_text(columns, 4, fp_kpi_metric(model, kpi));
    put_text(columns, 5, sources[kpi->source]);
    put_text(columns, 6, audiences[kpi->audience]);
    put_text(columns, 7, kpi->journey == FP_NONE ? NULL : model->journeys[kpi->journey].id);
    put_text(columns, 8,
             kpi->touchpoint == FP_NONE ? NULL : model->touchpoints[kpi->touchpoint].id);
    put_text(columns, 9, kpi->owner == FP_NONE ? NULL : model->owners[kpi->owner].id);
    put_text(columns, 10, kpi->grain == FP_GRAIN_HOUR ? "hour" : "day");
    put_text(columns, 11, kpi->direction == FP_HIGHER_IS_BETTER ? "higher" : "lower");
    put_meaning(columns, model, kpi);
    put_number(columns, 17, kpi->has_target, kpi->target);
    put_number(columns, 18, kpi->has_good_enough, kpi->good_enough);
    put_parts(columns, model, kpi);
}

static void put_definitions(struct columns *columns, const struct fp_model *model)
{
    columns_init(columns, "TT");
    for (int i = 0; i < model->kpi_count; i++) {
        put_text(columns, 0, model->kpis[i].id);
        put_text(columns, 1, model->kpis[i].definition);
    }
}

static enum fp_status put_kpis(struct fp_pg *pg, const struct fp_model *model, struct fp_error *err)
{
    struct columns columns;
    put_definitions(&columns, model);
    enum fp_status status =
        run(pg,
            "UPDATE flightpath.kpi k SET current = false WHERE current AND NOT EXISTS"
            " (SELECT FROM unnest($1, $2) AS u (kpi, definition)"
            "  WHERE u.kpi = k.kpi AND u.definition = k.definition)",
            &columns, err);
    if (status != FP_OK)
        return status;
    columns_init(&columns, "TTTTTTTTTTTTIDDIDDDTTTt");
    for (int i = 0; i < model->kpi_count; i++)
        put_kpi(&columns, model, &model->kpis[i]);
    put_text(&columns, 22, model->hash);
    return run(pg,
               "INSERT INTO flightpath.kpi (kpi, definition, statement, role, metric, source,"
               "  audience, journey, touchpoint, owner, grain, direction, decimals, scale_min,"
               "  scale_max, top_k, quantile, target, good_enough, per, items, survey, current,"
               "  model_hash)"
               " SELECT u.kpi, u.definition, u.statement, u.role, u.metric, u.source, u.audience,"
               "  u.journey, u.touchpoint, u.owner, u.grain, u.direction, u.decimals, u.scale_min,"
               "  u.scale_max, u.top_k, u.quantile, u.target, u.good_enough, u.per,"
               "  string_to_array(u.items, E'\\x1f'), u.survey, true, $23"
               " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,"
               "  $17, $18, $19, $20, $21, $22) AS u (kpi, definition, statement, role, metric,"
               "  source, audience, journey, touchpoint, owner, grain, direction, decimals,"
               "  scale_min, scale_max, top_k, quantile, target, good_enough, per, items, survey)"
               " ON CONFLICT (kpi, definition) DO UPDATE SET current = true,"
               "  statement = excluded.statement, role = excluded.role, owner = excluded.owner,"
               "  grain = excluded.grain, direction = excluded.direction,"
               "  target = excluded.target, good_enough = excluded.good_enough,"
               "  model_hash = excluded.model_hash",
               &columns, err);
}

static void put_day(struct columns *columns, int column, int32_t day) /* open: null */
{
    if (day == INT32_MIN || day == INT32_MAX)
        fp_pg_put_null(&columns->param[column]);
    else
        fp_pg_put_int(&columns->param[column], day);
}

/* What others reach, and days that are known to differ: replaced as a whole. */
static enum fp_status put_benchmarks(struct fp_pg *pg, const struct fp_model *model,
                                     struct fp_error *err)
{
    struct columns columns;
    columns_init(&columns, "TTDDDTII");
    for (int i = 0; i < model->kpi_count; i++) {
        const struct fp_external_benchmark *b = &model->kpis[i].benchmark;
        if (!b->present)
            continue;
        put_text(&columns, 0, model->kpis[i].id);
        put_text(&columns, 1, model->kpis[i].definition);
        put_number(&columns, 2, true, b->value);
        put_number(&columns, 3, !isnan(b->sd), b->sd);
        put_number(&columns, 4, !isnan(b->n), b->n);
        put_text(&columns, 5, b->source);
        put_day(&columns, 6, b->from);
        put_day(&columns, 7, b->until);
    }
    return run(
        pg,
        "WITH given AS (SELECT k.series, u.*"
        " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)"
        "  AS u (kpi, definition, value, sd, n, source, from_day, until_day)"
        " JOIN flightpath.kpi k ON k.kpi = u.kpi AND k.definition = u.definition),"
        " gone AS (DELETE FROM flightpath.benchmark_external b"
        "  WHERE NOT EXISTS (SELECT FROM given WHERE given.series = b.series))"
        " INSERT INTO flightpath.benchmark_external"
        "  (series, value, sd, n, source, from_day, until_day)"
        " SELECT series, value, sd, n, source, from_day, until_day FROM given ORDER BY series"
        " ON CONFLICT (series) DO UPDATE SET value = excluded.value, sd = excluded.sd,"
        "  n = excluded.n, source = excluded.source, from_day = excluded.from_day,"
        "  until_day = excluded.until_day",
        &columns, err);
}

static enum fp_status put_calendar(struct fp_pg *pg, const struct fp_model *model,
                                   struct fp_error *err)
{
    struct columns columns;
    columns_init(&columns, "IITI");
    for (int i = 0; i < model->calendar_count; i++) {
        fp_pg_put_int(&columns.param[0], model->calendar[i].from);
        fp_pg_put_int(&columns.param[1], model->calendar[i].until);
        put_text(&columns, 2, model->calendar[i].text);
        fp_pg_put_int(&columns.param[3], i);
    }
    return run(pg,
               "WITH gone AS (DELETE FROM flightpath.calendar WHERE place <> ALL ($4))"
               " INSERT INTO flightpath.calendar (from_day, until_day, text, place)"
               " SELECT * FROM unnest($1, $2, $3, $4) AS u (from_day, until_day, text, place)"
               " ON CONFLICT (place) DO UPDATE SET from_day = excluded.from_day,"
               "  until_day = excluded.until_day, text = excluded.text",
               &columns, err);
}

/* *complete: every definition of the model has a current series. */
static enum fp_status read_series(struct fp_pg *pg, const struct fp_model *model, int32_t *series,
                                  bool *complete, struct fp_error *err)
{
    struct columns columns;
    struct fp_pg_result *result = NULL;
    put_definitions(&columns, model);
    enum fp_status status =
        fp_pg_exec(pg,
                   "SELECT k.series FROM unnest($1, $2) WITH ORDINALITY AS u (kpi, definition, n)"
                   " JOIN flightpath.kpi k ON k.kpi = u.kpi AND k.definition = u.definition"
                   " AND k.current ORDER BY u.n",
                   columns.list, columns.count, DEADLINE_MS, &result, err);
    columns_free(&columns);
    if (status == FP_OK) {
        *complete = fp_pg_rows(result) == model->kpi_count;
        for (int i = 0; *complete && i < model->kpi_count; i++)
            series[i] = (int32_t)fp_pg_int(result, i, 0);
    }
    fp_pg_result_free(result);
    return status;
}

/* ---- the transaction ------------------------------------------------------------------------- */

static enum fp_status install(struct fp_pg *pg, const struct fp_model *model,
                              struct fp_series *series, struct fp_error *err)
{
    typedef enum fp_status (*step)(struct fp_pg *, const struct fp_model *, struct fp_error *);
    static const step steps[] = {put_programme, put_model,         put_names, put_touchpoints,
                                 put_units,     put_owners,        put_kpis,  put_benchmarks,
                                 put_calendar,  fp_install_drivers};
    bool installed = false, complete = false, fitted = false;
    /* class "flip" (see 0002), object 2: models */
    enum fp_status status = fp_pg_exec(pg, "SELECT pg_advisory_xact_lock(x'666c6970'::int, 2)",
                                       NULL, 0, DEADLINE_MS, NULL, err);
    if (status == FP_OK)
        status = check_programme(pg, model, &installed, err);
    if (status == FP_OK && installed)
        status = read_series(pg, model, series->kpis, &complete, err);
    if (status == FP_OK && complete)
        status = fp_install_driver_series(pg, model, series->drivers, &fitted, err);
    if (status != FP_OK || (complete && fitted))
        return status;
    for (size_t i = 0; status == FP_OK && i < sizeof steps / sizeof *steps; i++)
        status = steps[i](pg, model, err);
    if (status == FP_OK)
        status = read_series(pg, model, series->kpis, &complete, err);
    if (status == FP_OK)
        status = fp_install_driver_series(pg, model, series->drivers, &fitted, err);
    if (status == FP_OK && !(complete && fitted))
        status = fp_fail(err, FP_FATAL, "series_missing", "flightpath.kpi",
                         "not every KPI and driver model has a series after the installation");
    return status;
}

enum fp_status fp_install(struct fp_pg *pg, const struct fp_model *model, struct fp_series *series,
                          struct fp_error *err)
{
    enum fp_status status = fp_pg_exec(pg, "BEGIN", NULL, 0, DEADLINE_MS, NULL, err);
    if (status != FP_OK)
        return status;
    status = install(pg, model, series, err);
    /* a COMMIT whose answer was lost may be repeated: the same model writes the same rows */
    if (status == FP_OK)
        status = fp_pg_exec(pg, "COMMIT", NULL, 0, DEADLINE_MS, NULL, err);
    else if (fp_pg_alive(pg))
        (void)!fp_pg_exec(pg, "ROLLBACK", NULL, 0, DEADLINE_MS, NULL, NULL);
    return status == FP_POISON ? FP_FATAL : status == FP_UNKNOWN ? FP_RETRY : status;
}
