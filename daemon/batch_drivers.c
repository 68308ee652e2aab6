/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a batch holds for driver models: which ones a response is a row of, and the measures of
 * events that answers may be joined with. */
#include <stdlib.h>
#include <string.h>

#include "daemon/batch.h"

struct fp_answers fp_row_answers(const struct fp_row *row)
{
    return (struct fp_answers){.day = row->day,
                               .unit = row->names.unit,
                               .touchpoint = row->names.touchpoint,
                               .tenure = row->tenure,
                               .weight = row->weight,
                               .time_us = row->time_us,
                               .source = row->names.source,
                               .id = row->id,
                               .interaction = row->interaction,
                               .has_subject = row->has_subject,
                               .subject = row->subject,
                               .score_count = row->score_count,
                               .measure_count = row->measure_count,
                               .items = row->items,
                               .scores = row->scores,
                               .measures = row->measures,
                               .amounts = row->amounts};
}

void fp_batch_fit(struct fp_batch *b, const struct fp_fact *fact, struct fp_row *row)
{
    const struct fp_binding *bind = b->binding;
    const struct fp_answers answers = fp_row_answers(row);
    int32_t journey =
        fact->place.journey == FP_NONE ? FP_ID_ABSENT : bind->journeys[fact->place.journey];
    struct fp_driver_row unused;
    int64_t fitted[FP_FITTED_MAX];
    for (int i = 0; i < bind->model->driver_model_count && row->fitted_count < FP_FITTED_MAX; i++) {
        const struct fp_fitting *f = &bind->fittings[i];
        if (fp_fitting_covers(bind->model, f, fact) &&
            fp_fitting_project(f, &answers, journey, &unused))
            fitted[row->fitted_count++] = fp_fitted_pack(f->series, journey);
    }
    size_t size = row->fitted_count * sizeof *fitted;
    row->fitted = memcpy(fp_batch_alloc(b, size + 1), fitted, size);
}

static void make_joins(struct fp_batch *b)
{
    int count = b->binding->model->driver_model_count;
    if (count <= b->join_count)
        return;
    b->joins = realloc(b->joins, sizeof *b->joins * (size_t)count);
    if (b->joins == NULL)
        abort();
    memset(b->joins + b->join_count, 0, sizeof *b->joins * (size_t)(count - b->join_count));
    b->join_count = count;
}

void fp_batch_offer(struct fp_batch *b, const struct fp_fact *fact)
{
    const struct fp_binding *bind = b->binding;
    struct fp_driver_row row;
    if (fact->event->interaction.len == 0 || fact->measure_count == 0)
        return;
    for (int i = 0; i < bind->model->driver_model_count; i++) {
        const struct fp_fitting *f = &bind->fittings[i];
        if (!fp_fitting_joins(f, fact) || !fp_fitting_event(f, fact, bind->measures, &row))
            continue;
        make_joins(b);
        size_t before = b->joins[i].len;
        fp_driver_put(&b->joins[i], f, &row);
        b->bytes += b->joins[i].len - before;
    }
}
