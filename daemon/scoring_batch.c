/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Events of a batch as predictions: rows are gathered per driver model and scored 256 at a time,
 * and the integers go into cells. Memory for the rows is made once per model and kept over resets;
 * nothing is allocated for an event, unless its prediction is to be published. */
#include "daemon/batch.h"

#include <stdlib.h>
#include <string.h>

struct fp_score_rows {
    struct cx_score_rows rows;
    struct {
        int32_t hour, unit;
    } at[CX_SCORE_ROWS];
    size_t published[CX_SCORE_ROWS];
};

static struct fp_score_rows *rows_of(struct fp_batch *b, int i)
{
    while (b->score_count <= i) {
        struct fp_score_rows *rows = aligned_alloc(64, sizeof *rows);
        b->scores = realloc(b->scores, sizeof *b->scores * (size_t)(b->score_count + 1));
        if (rows == NULL || b->scores == NULL)
            abort();
        rows->rows.rows = 0;
        b->scores[b->score_count++] = rows;
    }
    return b->scores[i];
}

/* ---- cells ----------------------------------------------------------------------------------- */

struct fp_key fp_prediction_key(int32_t series, int32_t hour, int32_t unit, int64_t version)
{
    return (struct fp_key){
        {series, hour, unit, (int32_t)(version >> 32), (int32_t)(uint32_t)version}};
}

static void score(struct fp_batch *b, int i)
{
    const struct fp_scored *s = &b->scoring->scored[i];
    struct fp_score_rows *r = b->scores[i];
    struct cx_score_result result;
    cx_score(&result, &s->score, &r->rows, b->scoring->path);
    for (size_t row = 0; row < r->rows.rows; row++) {
        struct fp_cell *cell =
            fp_delta_cell(&b->predictions, fp_prediction_key(s->series, r->at[row].hour,
                                                             r->at[row].unit, b->scoring->version));
        cell->count[FP_PREDICT_EVENTS]++;
        cell->count[FP_PREDICT_SUM] += result.predicted[row];
        cell->count[FP_PREDICT_DETRACTOR] += result.detractor[row];
        if (b->publish) {
            struct fp_published *p = &b->published[r->published[row]];
            p->predicted = result.predicted[row];
            p->detractor = result.detractor[row];
        }
    }
    b->predicted += (int64_t)r->rows.rows;
    r->rows.rows = 0;
}

void fp_batch_score(struct fp_batch *batch)
{
    for (int i = 0; batch->scoring && i < batch->scoring->scored_count; i++)
        if (i < batch->score_count && batch->scores[i]->rows.rows)
            score(batch, i);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static struct fp_slice keep(struct fp_batch *b, struct fp_slice s)
{
    if (s.at == NULL)
        return s;
    char *at = fp_batch_alloc(b, (size_t)s.len + 1);
    memcpy(at, s.at, s.len);
    at[s.len] = '\0';
    return (struct fp_slice){at, s.len};
}

/* What the record about this prediction will say of the event. Returns its index. */
static size_t publish(struct fp_batch *b, int scored, const struct fp_event *e)
{
    if (b->published_count == b->published_capacity) {
        b->published_capacity = b->published_capacity ? b->published_capacity * 2 : 256;
        b->published = realloc(b->published, b->published_capacity * sizeof *b->published);
        if (b->published == NULL)
            abort();
    }
    b->bytes += sizeof *b->published;
    b->published[b->published_count] = (struct fp_published){.scored = scored,
                                                             .id = keep(b, e->id),
                                                             .source = keep(b, e->source),
                                                             .unit = keep(b, e->unit),
                                                             .interaction = keep(b, e->interaction),
                                                             .time_us = e->time_us};
    return b->published_count++;
}

static void put(struct fp_batch *b, int i, const struct fp_fact *fact, const struct fp_names *names)
{
    const struct fp_scored *s = &b->scoring->scored[i];
    const struct fp_binding *bind = b->binding;
    const struct fp_fitting *f = &bind->fittings[s->model];
    int64_t amount[CX_SCORE_MEASURES_MAX] = {0};
    uint32_t present = 0;
    for (int k = 0; k < fact->measure_count; k++) {
        int id = bind->measures[fact->measures[k]];
        int column = id < f->measure_ids ? f->measure_column[id] : -1;
        if (column < 0)
            continue;
        amount[column - f->first_measure] = fact->amounts[k];
        present |= UINT32_C(1) << (column - f->first_measure);
    }
    if (present == 0)
        return;
    struct fp_score_rows *r = rows_of(b, i);
    size_t row = r->rows.rows;
    r->at[row].hour = fact->hour;
    r->at[row].unit = names->unit;
    if (b->publish)
        r->published[row] = publish(b, i, fact->event);
    cx_score_put(&r->rows, &s->score, amount, present);
    if (r->rows.rows == CX_SCORE_ROWS)
        score(b, i);
}

void fp_batch_predict(struct fp_batch *batch, const struct fp_fact *fact,
                      const struct fp_names *names)
{
    if (batch->scoring == NULL || fact->measure_count == 0 || fact->place.touchpoint == FP_NONE)
        return;
    for (int i = 0; i < batch->scoring->scored_count; i++)
        if (batch->scoring->scored[i].touchpoint == fact->place.touchpoint)
            put(batch, i, fact, names);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Kept with the response, as `tallied` is, so that it can be taken away whatever the model is then.
 */
void fp_batch_observe(struct fp_batch *batch, const struct fp_fact *fact, struct fp_row *row)
{
    const struct fp_binding *bind = batch->binding;
    int64_t observed[FP_FITTED_MAX];
    for (int i = 0; i < bind->model->driver_model_count && row->weight > 0; i++) {
        const struct fp_fitting *f = &bind->fittings[i];
        if (!fp_scoring_covers(f) || !fp_fitting_covers(bind->model, f, fact))
            continue;
        for (int k = 0; k < fact->score_count && row->observed_count < FP_FITTED_MAX; k++)
            if (fact->items[k] == f->model->outcome && fact->scores[k] != FP_SCORE_SKIPPED &&
                fact->scores[k] != FP_SCORE_NOT_APPLICABLE)
                observed[row->observed_count++] = fp_observed_pack(f->series, fact->scores[k]);
    }
    size_t size = row->observed_count * sizeof *observed;
    row->observed = memcpy(fp_batch_alloc(batch, size + 1), observed, size);
}

/* ---- life ------------------------------------------------------------------------------------ */

void fp_batch_predictions_reset(struct fp_batch *batch)
{
    fp_delta_reset(&batch->predictions);
    for (int i = 0; i < batch->score_count; i++)
        batch->scores[i]->rows.rows = 0;
    fp_scoring_release(batch->scoring);
    batch->scoring = NULL;
    batch->publish = false;
    batch->published_count = 0;
    batch->predicted = 0;
}

void fp_batch_predictions_free(struct fp_batch *batch)
{
    for (int i = 0; i < batch->score_count; i++)
        free(batch->scores[i]);
    free(batch->scores);
    free(batch->published);
    fp_delta_free(&batch->predictions);
}
