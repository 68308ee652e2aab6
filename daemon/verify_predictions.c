/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Predictions by another path: every event of the log is scored alone, with the coefficients that
 * its range of the ledger names.
 *
 * A range names a model's hash and a version of the coefficients; the newest row of
 * flightpath.scoring up to that version holds, whichever series of the same definition it was made
 * for. A definition that came back has several series: cells are compared by the first of them. */
#include "daemon/verify_predictions.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analytics/fixed.h"
#include "analytics/score.h"

#define READ_MS 600000

enum column {
    EVENTS,
    N = 3
}; /* of a cell: where the three of events and the five of answers begin */

struct series {
    char *model, *definition;
    int32_t id; /* the first one of the definition */
};

struct row { /* of flightpath.scoring, by model, definition and version */
    const struct series *series;
    int64_t version;
    struct cx_score_model score; /* but for the units of the measures */
};

struct fp_verify_predictions {
    struct series *series;
    int series_count;
    struct row *rows;
    int row_count;
    struct cx_score_rows one;
};

/* ---- what the database has ------------------------------------------------------------------- */

static char *copy(const char *text)
{
    char *made = strdup(text);
    if (made == NULL)
        abort();
    return made;
}

static const struct series *find_series(const struct fp_verify_predictions *p, const char *model,
                                        const char *definition)
{
    for (int i = 0; i < p->series_count; i++)
        if (strcmp(p->series[i].model, model) == 0 &&
            strcmp(p->series[i].definition, definition) == 0)
            return &p->series[i];
    return NULL;
}

static enum fp_status read_series(struct fp_verify *v, struct fp_error *err)
{
    struct fp_verify_predictions *p = v->predictions;
    struct fp_pg_result *r = NULL;
    enum fp_status status =
        fp_pg_exec(v->pg,
                   "SELECT model, definition, min(series) FROM flightpath.driver_series"
                   " GROUP BY 1, 2",
                   NULL, 0, READ_MS, &r, err);
    int count = status == FP_OK ? fp_pg_rows(r) : 0;
    p->series = calloc((size_t)count + 1, sizeof *p->series);
    if (p->series == NULL)
        abort();
    for (int i = 0; i < count; i++)
        p->series[p->series_count++] = (struct series){
            copy(fp_pg_text(r, i, 0)), copy(fp_pg_text(r, i, 1)), (int32_t)fp_pg_int(r, i, 2)};
    fp_pg_result_free(r);
    return status;
}

/* How many numbers, all finite; −1: one is not, or there are too many. */
static int numbers(const char *text, double *values, int most)
{
    int count = 0;
    while (*text && count >= 0) {
        char *end;
        double value = strtod(text, &end);
        if (end == text || !isfinite(value) || count == most)
            return -1;
        values[count++] = value;
        text = *end == ',' ? end + 1 : end;
    }
    return count;
}

/* False: a row that no event is scored with. */
static bool read_row(const struct fp_pg_result *r, int i, struct row *row)
{
    double coef[CX_SCORE_MEASURES_MAX], rest[5];
    row->version = fp_pg_int(r, i, 2);
    row->score.measures = numbers(fp_pg_text(r, i, 3), row->score.mean, CX_SCORE_MEASURES_MAX);
    if (row->score.measures < 1 ||
        numbers(fp_pg_text(r, i, 4), coef, CX_SCORE_MEASURES_MAX) != row->score.measures ||
        numbers(fp_pg_text(r, i, 5), rest, 5) != 5)
        return false;
    for (int k = 0; k < row->score.measures; k++)
        row->score.coef[k] = (float)coef[k];
    float *const into[] = {&row->score.centre, &row->score.low, &row->score.high, &row->score.cut,
                           &row->score.sigma};
    for (int k = 0; k < 5; k++)
        *into[k] = (float)rest[k];
    return true;
}

static enum fp_status read_rows(struct fp_verify *v, struct fp_error *err)
{
    struct fp_verify_predictions *p = v->predictions;
    struct fp_pg_result *r = NULL;
    enum fp_status status =
        fp_pg_exec(v->pg,
                   "SELECT d.model, d.definition, c.version, array_to_string(c.mean, ',', 'x'),"
                   " array_to_string(c.coef, ',', 'x'),"
                   " concat_ws(',', c.centre, c.low, c.high, c.cut, c.sigma)"
                   " FROM flightpath.scoring c JOIN flightpath.driver_series d USING (series)"
                   " ORDER BY c.version",
                   NULL, 0, READ_MS, &r, err);
    int count = status == FP_OK ? fp_pg_rows(r) : 0;
    p->rows = calloc((size_t)count + 1, sizeof *p->rows);
    if (p->rows == NULL)
        abort();
    for (int i = 0; i < count; i++) {
        struct row *row = &p->rows[p->row_count];
        row->series = find_series(p, fp_pg_text(r, i, 0), fp_pg_text(r, i, 1));
        p->row_count += row->series && read_row(r, i, row);
    }
    fp_pg_result_free(r);
    return status;
}

enum fp_status fp_verify_predictions_open(struct fp_verify *v, struct fp_error *err)
{
    v->predictions = aligned_alloc(64, (sizeof *v->predictions + 63) / 64 * 64);
    if (v->predictions == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "verify", "out of memory");
    memset(v->predictions, 0, sizeof *v->predictions);
    enum fp_status status = read_series(v, err);
    return status == FP_OK ? read_rows(v, err) : status;
}

void fp_verify_predictions_free(struct fp_verify_predictions *predictions)
{
    if (predictions == NULL)
        return;
    for (int i = 0; i < predictions->series_count; i++) {
        free(predictions->series[i].model);
        free(predictions->series[i].definition);
    }
    free(predictions->series);
    free(predictions->rows);
    free(predictions);
}

/* ---- scope ----------------------------------------------------------------------------------- */

/* Where a driver model's events happen: its own touchpoint, else that of its outcome. */
static int touchpoint_of(const struct fp_model *model, const struct fp_driver_model *dm)
{
    return dm->touchpoint != FP_NONE ? dm->touchpoint : model->items[dm->outcome].touchpoint;
}

static bool is_scored(const struct fp_model *model, const struct fp_driver_model *dm)
{
    return dm->measure_count > 0 && dm->measure_count <= CX_SCORE_MEASURES_MAX &&
           touchpoint_of(model, dm) != FP_NONE;
}

static enum fp_audience audience_of(const struct fp_model *model, const struct fp_driver_model *dm)
{
    int journey = dm->journey != FP_NONE
                      ? dm->journey
                      : model->touchpoints[touchpoint_of(model, dm)].only_journey;
    return journey == FP_NONE ? FP_AUDIENCE_CUSTOMER : model->journeys[journey].audience;
}

static bool answers(const struct fp_fact *fact, int item)
{
    for (int i = 0; i < fact->score_count; i++)
        if (fact->items[i] == item && fact->scores[i] > FP_SCORE_NOT_APPLICABLE)
            return true;
    return false;
}

static bool is_in_scope(const struct fp_model *model, const struct fp_driver_model *dm,
                        const struct fp_fact *fact)
{
    bool there = dm->touchpoint == FP_NONE || fact->place.touchpoint == dm->touchpoint ||
                 model->items[dm->outcome].touchpoint == dm->touchpoint;
    return there && fact->place.audience == audience_of(model, dm) &&
           (dm->journey == FP_NONE || fp_journey_covers(model, dm->journey, &fact->place));
}

/* ---- events ---------------------------------------------------------------------------------- */

static const struct row *coefficients_of(const struct fp_verify_predictions *p,
                                         const struct fp_driver_model *dm, int64_t version)
{
    for (int i = p->row_count - 1; i >= 0; i--) /* the newest comes last */
        if (p->rows[i].version <= version && p->rows[i].score.measures == dm->measure_count &&
            strcmp(p->rows[i].series->model, dm->id) == 0 &&
            strcmp(p->rows[i].series->definition, dm->definition) == 0)
            return &p->rows[i];
    return NULL;
}

static uint32_t measures_of(const struct fp_driver_model *dm, const struct fp_fact *fact,
                            int64_t *amount)
{
    uint32_t present = 0;
    for (int j = 0; j < dm->measure_count; j++)
        for (int k = 0; k < fact->measure_count; k++)
            if (fact->measures[k] == dm->measures[j]) {
                amount[j] = fact->amounts[k];
                present |= UINT32_C(1) << j;
            }
    return present;
}

void fp_verify_predict(struct fp_verify *v, int range, const struct fp_fact *fact, int32_t unit,
                       void (*add)(void *context, const struct fp_sum_entry *entry), void *context)
{
    struct fp_verify_predictions *p = v->predictions;
    const struct fp_model *model = v->models[v->ranges[range].model].model;
    int64_t version = v->ranges[range].coefficients;
    struct cx_score_result result;
    for (int m = 0; version > 0 && m < model->driver_model_count; m++) {
        const struct fp_driver_model *dm = &model->driver_models[m];
        int64_t amount[CX_SCORE_MEASURES_MAX] = {0};
        if (!is_scored(model, dm) || touchpoint_of(model, dm) != fact->place.touchpoint)
            continue;
        const struct row *row = coefficients_of(p, dm, version);
        uint32_t present = measures_of(dm, fact, amount);
        if (row == NULL || present == 0)
            continue;
        struct cx_score_model score = row->score;
        for (int j = 0; j < score.measures; j++)
            score.scale[j] = 1 / cx_fixed_unit(model->measures[dm->measures[j]].decimals);
        p->one.rows = 0;
        cx_score_put(&p->one, &score, amount, present);
        cx_score(&result, &score, &p->one, CX_SCORE_BASELINE);
        const int64_t values[] = {1, result.predicted[0], result.detractor[0]};
        for (int c = 0; c < 3; c++)
            add(context,
                &(struct fp_sum_entry){{row->series->id, fact->hour, unit, (int32_t)(version >> 32),
                                        (int32_t)(uint32_t)version},
                                       EVENTS + c,
                                       0,
                                       values[c],
                                       0});
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

uint64_t fp_verify_observed_by(const struct fp_verify *v, int range, const struct fp_fact *fact)
{
    const struct fp_model *model = v->models[v->ranges[range].model].model;
    uint64_t by = 0;
    for (int m = 0; m < model->driver_model_count && m < 64; m++) {
        const struct fp_driver_model *dm = &model->driver_models[m];
        if (is_scored(model, dm) && answers(fact, dm->outcome) && is_in_scope(model, dm, fact))
            by |= UINT64_C(1) << m;
    }
    return by;
}

static void observe(struct fp_verify *v, const struct fp_verify_row *row, int32_t series,
                    int32_t hour, int64_t y)
{
    const int64_t w = row->weight;
    const int64_t values[] = {1, w, w * w, w * y, w * y * y};
    for (int c = 0; c < 5; c++)
        fp_sum_add(&v->predicted,
                   &(struct fp_sum_entry){{series, hour, row->unit, 0, 0}, N + c, 0, values[c], 0});
}

void fp_verify_observe(struct fp_verify *v, const struct fp_verify_row *row, int32_t hour)
{
    const struct fp_verify_model *m = &v->models[v->ranges[row->range].model];
    for (uint64_t rest = row->weight > 0 ? row->observed_by : 0; rest; rest &= rest - 1) {
        const struct fp_driver_model *dm = &m->model->driver_models[__builtin_ctzll(rest)];
        const struct series *s = find_series(v->predictions, dm->id, dm->definition);
        for (uint32_t i = 0; s && i < row->score_count; i++)
            if (row->items[i] == m->items[dm->outcome])
                observe(v, row, s->id, hour, row->scores[i]);
    }
}

/* ---- cells ----------------------------------------------------------------------------------- */

const char fp_verify_predictions_sql[] =
    "SELECT d.first, bucket, unit, (version >> 32)::int,"
    " (version % 4294967296 - version / 2147483648 % 2 * 4294967296)::int, sum(events),"
    " sum(predicted), sum(detractor), sum(n_observed), sum(weight_observed),"
    " sum(weight_square_observed), sum(sum_observed), sum(sum_square_observed)"
    " FROM flightpath.prediction JOIN (SELECT series, min(series) OVER"
    " (PARTITION BY model, definition) AS first FROM flightpath.driver_series) AS d USING (series)";

void fp_verify_predictions_name(const struct fp_verify *v, int32_t series, char *text, size_t size)
{
    const struct fp_verify_predictions *p = v->predictions;
    snprintf(text, size, "driver series %d", series);
    for (int i = 0; i < p->series_count; i++)
        if (p->series[i].id == series)
            snprintf(text, size, "%.100s (driver series %d)", p->series[i].model, series);
}
