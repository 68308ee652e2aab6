/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Additive tables: one INSERT … SELECT … FROM unnest(binary arrays) ON CONFLICT DO UPDATE each.
 *
 * Rows come sorted by primary key, and unnest keeps their order: every writer locks in the same
 * order, so there is no deadlock (an ORDER BY would only sort again). Updates touch no indexed
 * column and find room on the page (fillfactor), so they stay HOT. Event tallies have no histogram:
 * they go by a statement of their own, half as many parameters. */
#include "daemon/flush_sql.h"

#include <stdio.h>

enum fp_status fp_queue_add(struct fp_queue *q, const char *sql, struct fp_params *params)
{
    enum fp_status status = fp_pg_flight_add(q->pg, sql, params->ref, params->count, q->err);
    q->queued += status == FP_OK;
    fp_params_free(params);
    return status;
}

#define BIN_COLUMNS "b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10"
#define ADD_MOMENTS \
    " ON CONFLICT (series, bucket, unit, channel, lane) DO UPDATE SET n = t.n + excluded.n," \
    " weight = t.weight + excluded.weight," \
    " weight_square = t.weight_square + excluded.weight_square," \
    " sum = t.sum + excluded.sum, sum_square = t.sum_square + excluded.sum_square"
#define ADD_BINS \
    ", b0 = t.b0 + excluded.b0, b1 = t.b1 + excluded.b1, b2 = t.b2 + excluded.b2," \
    " b3 = t.b3 + excluded.b3, b4 = t.b4 + excluded.b4, b5 = t.b5 + excluded.b5," \
    " b6 = t.b6 + excluded.b6, b7 = t.b7 + excluded.b7, b8 = t.b8 + excluded.b8," \
    " b9 = t.b9 + excluded.b9, b10 = t.b10 + excluded.b10"
#define MOMENT_COLUMNS \
    "series, bucket, unit, channel, lane, n, weight, weight_square, sum, sum_square, "

static const char plain_sql[] =
    "(" MOMENT_COLUMNS BIN_COLUMNS ")"
    " SELECT k.s, k.b, k.u, k.c, $1, k.n, k.w, k.w2, k.y, k.y2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0"
    " FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10) AS k(s, b, u, c, n, w, w2, y, y2)"
    ADD_MOMENTS;

static const char binned_sql[] =
    "(" MOMENT_COLUMNS BIN_COLUMNS ")"
    " SELECT k.s, k.b, k.u, k.c, $1, k.n, k.w, k.w2, k.y, k.y2,"
    " k.b0, k.b1, k.b2, k.b3, k.b4, k.b5, k.b6, k.b7, k.b8, k.b9, k.b10"
    " FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
    " $19, $20, $21)"
    " AS k(s, b, u, c, n, w, w2, y, y2, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10)" ADD_MOMENTS
        ADD_BINS;

static void put_tally(struct fp_params *p, const struct fp_cell *cell, bool bins)
{
    for (int i = 0; i < 4; i++)
        fp_pg_put_int(&p->at[1 + i], cell->key.part[i]);
    const int64_t moments[] = {cell->tally.n, cell->tally.weight, cell->tally.weight_square,
                               cell->tally.sum, cell->tally.sum_square};
    for (int i = 0; i < 5; i++)
        fp_pg_put_int(&p->at[5 + i], moments[i]);
    for (int i = 0; bins && i < CX_TALLY_BINS; i++)
        fp_pg_put_int(&p->at[10 + i], cell->tally.bin[i]);
}

enum fp_status fp_queue_tallies(struct fp_queue *q, const char *table, struct fp_delta *delta,
                                int lane)
{
    enum fp_status status = FP_OK;
    fp_delta_sort(delta);
    for (int bins = 0; status == FP_OK && bins < 2; bins++) {
        struct fp_params p;
        char sql[2048];
        size_t rows = 0;
        fp_params_init(&p, bins ? "hIIIILLLLLLLLLLLLLLLL" : "hIIIILLLLL");
        fp_pg_put_int(&p.at[0], lane);
        for (size_t i = 0; i < delta->count; i++)
            if (delta->cells[i].has_bins == (bool)bins) {
                put_tally(&p, &delta->cells[i], bins);
                rows++;
            }
        snprintf(sql, sizeof sql, "INSERT INTO flightpath.%s AS t %s", table,
                 bins ? binned_sql : plain_sql);
        if (rows)
            status = fp_queue_add(q, sql, &p);
        fp_params_free(&p);
    }
    return status;
}

enum fp_status fp_queue_sketch(struct fp_queue *q, struct fp_delta *delta, int lane)
{
    struct fp_params p;
    fp_delta_sort(delta);
    if (delta->count == 0)
        return FP_OK;
    fp_params_init(&p, "hIIIIHL");
    fp_pg_put_int(&p.at[0], lane);
    for (size_t i = 0; i < delta->count; i++) {
        for (int k = 0; k < 5; k++)
            fp_pg_put_int(&p.at[1 + k], delta->cells[i].key.part[k]);
        fp_pg_put_int(&p.at[6], delta->cells[i].count[0]);
    }
    return fp_queue_add(
        q,
        "INSERT INTO flightpath.sketch_day AS t (series, bucket, unit, channel, bin, lane, n)"
        " SELECT k.s, k.b, k.u, k.c, k.bin, $1, k.n FROM unnest($2, $3, $4, $5, $6, $7) AS k(s,"
        " b, u, c, bin, n)"
        " ON CONFLICT (series, bucket, unit, channel, bin, lane) DO UPDATE SET n = t.n +"
        " excluded.n",
        &p);
}

/* Of the cells that are next in each table, the one with the smallest (series, day); NULL: none. */
static const struct fp_key *next_touched(const struct fp_delta *const table[3], size_t at[3])
{
    const struct fp_key *least = NULL;
    for (int i = 0; i < 3; i++) {
        const struct fp_key *key = at[i] < table[i]->count ? &table[i]->cells[at[i]].key : NULL;
        if (key && (least == NULL || key->part[0] < least->part[0] ||
                    (key->part[0] == least->part[0] && key->part[1] < least->part[1])))
            least = key;
    }
    return least;
}

enum fp_status fp_queue_touched(struct fp_queue *q, const struct fp_batch *batch,
                                const struct fp_settlement *s)
{
    const struct fp_delta *const table[3] = {&batch->days, &batch->sketch, &s->days};
    size_t at[3] = {0};
    struct fp_params p;
    fp_params_init(&p, "II");
    for (const struct fp_key *key; (key = next_touched(table, at)) != NULL;) {
        fp_pg_put_int(&p.at[0], key->part[0]);
        fp_pg_put_int(&p.at[1], key->part[1]);
        for (int i = 0; i < 3; i++)
            while (at[i] < table[i]->count && table[i]->cells[at[i]].key.part[0] == key->part[0] &&
                   table[i]->cells[at[i]].key.part[1] == key->part[1])
                at[i]++;
    }
    if (p.at[0].count)
        return fp_queue_add(q, "INSERT INTO flightpath.watch_touched (series, day) VALUES ($1, $2)",
                            &p);
    fp_params_free(&p);
    return FP_OK;
}

enum fp_status fp_queue_coverage(struct fp_queue *q, struct fp_delta *delta, int lane)
{
    struct fp_params p;
    fp_delta_sort(delta);
    if (delta->count == 0)
        return FP_OK;
    fp_params_init(&p, "hIILLLLLLLL");
    fp_pg_put_int(&p.at[0], lane);
    for (size_t i = 0; i < delta->count; i++) {
        fp_pg_put_int(&p.at[1], delta->cells[i].key.part[0]);
        fp_pg_put_int(&p.at[2], delta->cells[i].key.part[1]);
        for (int k = 0; k < FP_COVERS; k++)
            fp_pg_put_int(&p.at[3 + k], delta->cells[i].count[k]);
    }
    return fp_queue_add(
        q,
        "INSERT INTO flightpath.coverage_day AS t (touchpoint, bucket, lane, events, failed,"
        " abandoned, recovered,"
        " customer, employee, internal, invited)"
        " SELECT k.t, k.b, $1, k.e, k.f, k.a, k.r, k.c, k.m, k.i, k.v"
        " FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS k(t, b, e, f, a, r, c, m, i, v)"
        " ON CONFLICT (touchpoint, bucket, lane) DO UPDATE SET events = t.events + excluded.events,"
        " failed = t.failed + excluded.failed, abandoned = t.abandoned + excluded.abandoned,"
        " recovered = t.recovered + excluded.recovered, customer = t.customer + excluded.customer,"
        " employee = t.employee + excluded.employee, internal = t.internal + excluded.internal,"
        " invited = t.invited + excluded.invited",
        &p);
}

static void put_prediction(struct fp_params *p, const struct fp_cell *cell)
{
    for (int k = 0; k < 3; k++)
        fp_pg_put_int(&p->at[1 + k], cell->key.part[k]);
    fp_pg_put_int(&p->at[4], (int64_t)cell->key.part[3] << 32 | (uint32_t)cell->key.part[4]);
    for (int k = 0; k < FP_PREDICTS; k++)
        fp_pg_put_int(&p->at[5 + k], cell->count[k]);
}

enum fp_status fp_queue_predictions(struct fp_queue *q, struct fp_delta *events,
                                    struct fp_delta *settled, int lane)
{
    struct fp_params p;
    fp_delta_sort(events);
    fp_delta_sort(settled);
    if (events->count + settled->count == 0)
        return FP_OK;
    fp_params_init(&p, "hIIILLLLLLLLL");
    fp_pg_put_int(&p.at[0], lane);
    for (size_t i = 0, j = 0; i < events->count || j < settled->count;) {
        bool first = j == settled->count ||
                     (i < events->count &&
                      fp_key_compare(&events->cells[i].key, &settled->cells[j].key) < 0);
        put_prediction(&p, first ? &events->cells[i++] : &settled->cells[j++]);
    }
    return fp_queue_add(
        q,
        "INSERT INTO flightpath.prediction AS t (series, bucket, unit, version, lane, events,"
        " predicted, detractor, n_observed, weight_observed, weight_square_observed, sum_observed,"
        " sum_square_observed)"
        " SELECT k.s, k.b, k.u, k.v, $1, k.e, k.p, k.d, k.n, k.w, k.w2, k.y, k.y2"
        " FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
        " AS k(s, b, u, v, e, p, d, n, w, w2, y, y2)"
        " ON CONFLICT (series, bucket, unit, version, lane) DO UPDATE SET"
        " events = t.events + excluded.events, predicted = t.predicted + excluded.predicted,"
        " detractor = t.detractor + excluded.detractor,"
        " n_observed = t.n_observed + excluded.n_observed,"
        " weight_observed = t.weight_observed + excluded.weight_observed,"
        " weight_square_observed = t.weight_square_observed + excluded.weight_square_observed,"
        " sum_observed = t.sum_observed + excluded.sum_observed,"
        " sum_square_observed = t.sum_square_observed + excluded.sum_square_observed",
        &p);
}

static void put_log(struct fp_params *p, int32_t series, const struct fp_driver_log *log)
{
    if (log->len == 0)
        return;
    fp_pg_put_int(&p->at[0], series);
    fp_pg_put_bytes(&p->at[1], log->bytes, log->len);
}

enum fp_status fp_queue_drivers(struct fp_queue *q, const struct fp_batch *batch,
                                const struct fp_settlement *s)
{
    struct fp_params p;
    fp_params_init(&p, "IB");
    int models = batch->binding ? batch->binding->model->driver_model_count : 0;
    for (int i = 0; i < models && i < batch->join_count; i++)
        put_log(&p, batch->binding->fittings[i].series, &batch->joins[i]);
    for (int i = 0; batch->row_count && i < models; i++)
        put_log(&p, batch->binding->fittings[i].series, &s->drivers[i]);
    for (int i = 0; batch->row_count && i < s->strange_count; i++)
        put_log(&p, s->strange[i].series, &s->strange[i].log);
    if (p.at[0].count)
        return fp_queue_add(q,
                            "INSERT INTO flightpath.driver_log (series, rows)"
                            " SELECT * FROM unnest($1, $2)",
                            &p);
    fp_params_free(&p);
    return FP_OK;
}
