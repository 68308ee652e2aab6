/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quantiles before and after a change.
 *
 * Counts per bin add up, quantiles do not: there is no mix of them, and a segment's change is no
 * part of the whole's. Days before count with the weekdays of the days after, in whole numbers, as
 * the sketch counts; limits go with the counts as they are. */
#include <math.h>
#include <stdlib.h>

#include "analytics/sketch.h"
#include "daemon/memory.h"
#include "daemon/watch_explain_parts.h"

#define EVERY_WEEKDAYS_SHARE 840 /* a multiple of 1 … 8, the weekdays of 56 days */

struct quantile {
    double n, value, low, high;
};

/* Of the rows whose column is `id` (−1: all), on one side. Counts × a weekday's share of the days
 * after, in whole numbers, for the value; as they are for its limits. */
static struct quantile quantile_of(const struct fp_explain_cells *c, int column, int id, bool after)
{
    const struct fp_model *model = c->facts->binding->model;
    const struct fp_kpi *kpi = &model->kpis[c->facts->alert->kpi];
    int rows = fp_pg_rows(c->rows), used = 0;
    struct cx_sketch_count *shared = fp_must_calloc((size_t)rows, 2 * sizeof *shared);
    struct cx_sketch_count *plain = shared + rows;
    struct quantile q = {0, NAN, NAN, NAN};
    for (int i = 0; i < rows; i++) {
        int day = (int)fp_pg_int(c->rows, i, FP_CELL_WEEKDAY);
        int64_t n = fp_pg_int(c->rows, i, FP_SKETCH_N);
        int64_t times = after                ? 1
                        : c->factor[day] > 0 ? (int64_t)c->after_days[day] * EVERY_WEEKDAYS_SHARE /
                                                   c->before_days[day]
                                             : 0;
        if ((fp_pg_int(c->rows, i, FP_CELL_AFTER) == 1) != after || times == 0 ||
            (id >= 0 && fp_pg_int(c->rows, i, column) != id))
            continue;
        int bin = (int)fp_pg_int(c->rows, i, FP_SKETCH_BIN);
        shared[used] = (struct cx_sketch_count){bin, n * times};
        plain[used++] = (struct cx_sketch_count){bin, n};
        q.n += (double)n;
    }
    double unit = pow(10, fp_kpi_decimals(model, kpi));
    const struct fp_measure *m = &model->measures[kpi->measure];
    q.value = cx_sketch_quantile(shared, (size_t)used, kpi->quantile) / unit;
    q.value = fmin(fmax(q.value, (double)m->min / unit), (double)m->max / unit);
    double middle = cx_sketch_quantile(plain, (size_t)used, kpi->quantile) / unit;
    struct cx_sketch_limits limits = cx_sketch_interval(plain, (size_t)used, kpi->quantile, .95);
    q.low = q.value - (middle - limits.low / unit);
    q.high = q.value + (limits.high / unit - middle);
    free(shared);
    return q;
}

/* Limits of a difference from the limits of both (Zou & Donner 2008, MOVER). */
static struct cx_mix_interval mover(const struct quantile *before, const struct quantile *after)
{
    struct cx_mix_interval out = {after->value - before->value, NAN, NAN};
    out.low = out.change - hypot(after->value - after->low, before->high - before->value);
    out.high = out.change + hypot(after->high - after->value, before->value - before->low);
    return out;
}

struct quantile_row {
    int id;
    struct quantile before, after;
    double weight;
};

static int by_weight(const void *a, const void *b)
{
    const struct quantile_row *x = a, *y = b;
    return x->weight != y->weight ? x->weight < y->weight ? 1 : -1 : x->id - y->id;
}

static int quantile_ids(const struct fp_explain_cells *c, int column, struct quantile_row *row)
{
    int count = 0;
    for (int i = 0; i < fp_pg_rows(c->rows); i++) {
        int id = (int)fp_pg_int(c->rows, i, column), known = 0;
        while (known < count && row[known].id != id)
            known++;
        if (known == count)
            row[count++] = (struct quantile_row){.id = id};
    }
    return count;
}

/* Ordered by answers × own change, which is no part of the whole's change. */
static void tell_quantiles(struct fp_explain_cells *c, const char *by, int column)
{
    struct quantile_row *row = fp_must_calloc((size_t)fp_pg_rows(c->rows) + 1, sizeof *row);
    int count = quantile_ids(c, column, row), used = 0;
    for (int i = 0; i < count; i++) {
        struct quantile_row r = row[i];
        r.before = quantile_of(c, column, r.id, false);
        r.after = quantile_of(c, column, r.id, true);
        r.weight = r.after.n * fabs(r.after.value - r.before.value);
        if (r.before.n >= c->min_n && r.after.n >= c->min_n)
            row[used++] = r;
    }
    qsort(row, (size_t)used, sizeof *row, by_weight);
    for (int i = 0; i < used && i < FP_EXPLAIN_SEGMENTS; i++) {
        struct fp_contributor *out = fp_explain_new_row(c->facts, by, row[i].id);
        out->n_before = row[i].before.n;
        out->n = row[i].after.n;
        out->before = row[i].before.value;
        out->after = row[i].after.value;
        out->interval = mover(&row[i].before, &row[i].after);
    }
    free(row);
}

void fp_explain_quantile(struct fp_explain_cells *c)
{
    struct fp_facts *f = c->facts;
    struct quantile before = quantile_of(c, FP_CELL_UNIT, -1, false);
    struct quantile after = quantile_of(c, FP_CELL_UNIT, -1, true);
    for (int i = 0; i < fp_pg_rows(c->rows); i++)
        if (fp_pg_int(c->rows, i, FP_CELL_AFTER) == 0)
            f->usual += (double)fp_pg_int(c->rows, i, FP_SKETCH_N) *
                        c->factor[fp_pg_int(c->rows, i, FP_CELL_WEEKDAY)];
    f->n = after.n;
    f->shown = true; /* events */
    f->whole.before = before.value;
    f->whole.after = after.value;
    if (f->alert->kind != FP_ALERT_CHANGE)
        return;
    if (f->alert->unit == FP_ALL_UNITS)
        tell_quantiles(c, "unit", FP_CELL_UNIT);
    tell_quantiles(c, "channel", FP_CELL_CHANNEL);
}
