/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Daily tallies before and after a change, by unit and by channel.
 *
 * Way: PostgreSQL adds the exact integers up by segment, side (before, after) and weekday; here
 * they become Σwx and Σwy of the KPI's metric, and the days before get the weekdays of the days
 * after, so that a change that began on a Friday is not compared with whole weeks. Days of the
 * model's calendar are on neither side. Quantiles do not add up: they have no mix, and each
 * segment's own quantile is all that is told.
 * Hazard: what one segment's few people said. A segment below the programme's minimum, on either
 * side, is told with the others only, and those only when they are enough together; when the whole
 * is below it nothing is told at all (KPIs of events have no people to protect). */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/memory.h"
#include "daemon/watch_explain_parts.h"

/* ---- reading --------------------------------------------------------------------------------- */

#define NO_CALENDAR \
    " AND NOT EXISTS (SELECT FROM flightpath.calendar c WHERE t.bucket BETWEEN c.from_day" \
    "  AND c.until_day)"

static const char days_sql[] =
    "SELECT t.bucket % 7, count(*) FILTER (WHERE t.bucket < $2),"
    " count(*) FILTER (WHERE t.bucket >= $2)"
    " FROM generate_series(greatest($3, (SELECT min(f.bucket) FROM flightpath.tally_day f"
    "  WHERE f.series = ANY ($1) AND f.bucket BETWEEN $3 AND $2 - 1 AND f.n > 0)), $4)"
    "  AS t (bucket) WHERE true" NO_CALENDAR " GROUP BY 1";

#define TALLIES_FROM \
    " FROM flightpath.tally_day t" \
    " WHERE t.series = ANY ($1) AND t.bucket BETWEEN $3 AND $4" NO_CALENDAR
#define TALLIES_SUMS \
    " (t.bucket >= $2)::int, t.bucket % 7, flightpath.total(t.n), flightpath.total(t.weight)," \
    " flightpath.total(t.weight_square), flightpath.total(t.sum)," \
    " flightpath.total(t.sum_square), flightpath.total(t.b0), flightpath.total(t.b1)," \
    " flightpath.total(t.b2), flightpath.total(t.b3), flightpath.total(t.b4)," \
    " flightpath.total(t.b5), flightpath.total(t.b6), flightpath.total(t.b7)," \
    " flightpath.total(t.b8), flightpath.total(t.b9), flightpath.total(t.b10)"

static const char segments_sql[] = /* of all units, or of one */
    "SELECT t.series, t.unit, t.channel," TALLIES_SUMS TALLIES_FROM
    " AND ($5 < 0 OR t.unit = $5) GROUP BY 1, 2, 3, 4, 5";
static const char unit_sql[] = /* a unit, and the rest */
    "SELECT t.series, (t.unit = $5)::int, 0," TALLIES_SUMS TALLIES_FROM " GROUP BY 1, 2, 4, 5";
static const char sketch_sql[] =
    "SELECT t.series, t.unit, t.channel, (t.bucket >= $2)::int, t.bucket % 7, t.bin,"
    " flightpath.total(t.n) FROM flightpath.sketch_day t"
    " WHERE t.series = ANY ($1) AND t.bucket BETWEEN $3 AND $4" NO_CALENDAR
    " AND ($5 < 0 OR t.unit = $5)"
    " GROUP BY 1, 2, 3, 4, 5, 6 HAVING flightpath.total(t.n) > 0 ORDER BY 6";

static enum fp_status query(struct fp_pg *pg, const struct fp_facts *f, const char *sql,
                            struct fp_pg_result **result, struct fp_error *err)
{
    struct fp_params p;
    bool units = sql != days_sql;
    fp_params_init(&p, units ? "Iiiii" : "Iiii");
    const struct fp_binding *b = f->binding;
    for (int i = 0; i < b->model->kpi_count; i++)
        if (f->alert->kpi == FP_NONE || f->alert->kpi == i)
            fp_pg_put_int(&p.at[0], b->series[i]);
    fp_pg_put_int(&p.at[1], f->first);
    fp_pg_put_int(&p.at[2], f->first - FP_EXPLAIN_BEFORE);
    fp_pg_put_int(&p.at[3], f->last);
    if (units)
        fp_pg_put_int(&p.at[4], f->alert->unit);
    enum fp_status status =
        fp_pg_exec(pg, sql, p.ref, p.count, FP_EXPLAIN_DEADLINE_MS, result, err);
    fp_params_free(&p);
    return status;
}

static enum fp_status read_days(struct fp_pg *pg, struct fp_explain_cells *c, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    enum fp_status status = query(pg, c->facts, days_sql, &result, err);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(result); i++) {
        int weekday = (int)fp_pg_int(result, i, 0);
        c->before_days[weekday] = (int)fp_pg_int(result, i, 1);
        c->after_days[weekday] = (int)fp_pg_int(result, i, 2);
    }
    fp_pg_result_free(result);
    cx_mix_weekdays(c->before_days, c->after_days, c->factor);
    return status;
}

static enum fp_status read_against_rest(struct fp_pg *pg, struct fp_facts *f, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    f->against_rest = f->alert->level != 0 && f->alert->unit != FP_ALL_UNITS;
    if (!f->against_rest)
        return FP_OK;
    enum fp_status status =
        fp_pg_exec(pg, "SELECT count(*) FROM flightpath.watch_level WHERE level = 3", NULL, 0,
                   FP_EXPLAIN_DEADLINE_MS, &result, err); /* flat: a unit's own level is watched */
    if (status == FP_OK && fp_pg_int(result, 0, 0) > 0)
        f->against_rest = false;
    fp_pg_result_free(result);
    return status;
}

/* ---- a row's sums ---------------------------------------------------------------------------- */

static double top_box(const struct fp_model *model, const struct fp_kpi *kpi,
                      struct fp_pg_result *rows, int row)
{
    const struct fp_scale *scale = fp_kpi_scale(model, kpi);
    int last = scale->max - scale->min, first = last - model->items[kpi->item].top + 1;
    int64_t sum = 0;
    for (int i = first < 0 ? 0 : first; i <= last; i++)
        sum += fp_pg_int(rows, row, FP_CELL_BIN + i);
    return (double)sum;
}

static void sums_of_ratio(struct cx_mix_sums *s, struct fp_pg_result *rows, int row, double unit)
{
    s->x = (double)fp_pg_int(rows, row, FP_CELL_SUM) / unit;
    s->xx = (double)fp_pg_int(rows, row, FP_CELL_SUM_SQUARE) / (unit * unit);
    s->y = (double)fp_pg_int(rows, row, FP_CELL_BIN);
    s->yy = (double)fp_pg_int(rows, row, FP_CELL_BIN + 1);
    s->xy = (double)fp_pg_int(rows, row, FP_CELL_BIN + 2) / unit;
}

static struct cx_mix_sums sums_of(const struct fp_model *model, const struct fp_kpi *kpi,
                                  struct fp_pg_result *rows, int row)
{
    const char *metric = fp_kpi_metric(model, kpi);
    double unit = pow(10, fp_kpi_decimals(model, kpi));
    struct cx_mix_sums s = {.n = (double)fp_pg_int(rows, row, FP_CELL_N),
                            .weight = (double)fp_pg_int(rows, row, FP_CELL_WEIGHT),
                            .square = (double)fp_pg_int(rows, row, FP_CELL_SQUARE)};
    s.y = s.yy = s.weight;
    if (strcmp(metric, "nps") == 0) {
        int64_t detractors = 0, promoters = 0;
        for (int i = 0; i <= 10; i++)
            *(i <= 6 ? &detractors : &promoters) +=
                i <= 6 || i >= 9 ? fp_pg_int(rows, row, FP_CELL_BIN + i) : 0;
        s.x = 100. * (double)(promoters - detractors);
        s.xx = 1e4 * (double)(promoters + detractors);
    } else if (strcmp(metric, "csat") == 0 || strcmp(metric, "top_box") == 0)
        s.x = s.xx = top_box(model, kpi, rows, row);
    else if (strcmp(metric, "share") == 0 || strcmp(metric, "response_rate") == 0)
        s.x = s.xx = (double)fp_pg_int(rows, row, FP_CELL_SUM);
    else if (strcmp(metric, "index") == 0 || strcmp(metric, "ratio") == 0) {
        sums_of_ratio(&s, rows, row, unit);
        return s;
    } else {
        s.x = (double)fp_pg_int(rows, row, FP_CELL_SUM) / unit;
        s.xx = (double)fp_pg_int(rows, row, FP_CELL_SUM_SQUARE) / (unit * unit);
    }
    s.xy = s.x;
    return s;
}

static void add_row(struct fp_explain_cells *c, int kpi, int row, struct cx_mix_sums *before,
                    struct cx_mix_sums *after)
{
    const struct fp_model *model = c->facts->binding->model;
    struct cx_mix_sums s = sums_of(model, &model->kpis[kpi], c->rows, row);
    if (fp_pg_int(c->rows, row, FP_CELL_AFTER) == 1)
        cx_mix_add(after, &s, 1);
    else
        cx_mix_add(before, &s, c->factor[fp_pg_int(c->rows, row, FP_CELL_WEEKDAY)]);
}

/* ---- parts ----------------------------------------------------------------------------------- */

static struct cx_mix_part *part_of(struct fp_explain_cells *c, int id)
{
    for (int i = 0; i < c->parts; i++)
        if (c->part[i].id == id)
            return &c->part[i];
    c->part[c->parts] = (struct cx_mix_part){.id = id};
    return &c->part[c->parts++];
}

static void gather(struct fp_explain_cells *c, int column)
{
    c->parts = 0;
    for (int row = 0; row < fp_pg_rows(c->rows); row++) {
        struct cx_mix_part *part = part_of(c, (int)fp_pg_int(c->rows, row, column));
        add_row(c, c->facts->alert->kpi, row, &part->before, &part->after);
    }
    int used = 0;
    for (int i = 0; i < c->parts; i++)
        if (c->part[i].before.n > 0 || c->part[i].after.n > 0)
            c->part[used++] = c->part[i];
    c->parts = used;
}

static struct cx_mix_part whole_of(const struct fp_explain_cells *c)
{
    struct cx_mix_part whole = {.id = CX_MIX_OTHERS};
    for (int i = 0; i < c->parts; i++) {
        cx_mix_add(&whole.before, &c->part[i].before, 1);
        cx_mix_add(&whole.after, &c->part[i].after, 1);
    }
    return whole;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static int by_size(const void *a, const void *b)
{
    const struct cx_mix_part *x = a, *y = b;
    double size_x = fabs(x->mix + x->within), size_y = fabs(y->mix + y->within);
    if ((x->id == CX_MIX_OTHERS) != (y->id == CX_MIX_OTHERS))
        return x->id == CX_MIX_OTHERS ? 1 : -1;
    return size_x != size_y ? size_x < size_y ? 1 : -1 : x->id < y->id ? -1 : x->id > y->id;
}

struct fp_contributor *fp_explain_new_row(struct fp_facts *f, const char *by, int id)
{
    struct fp_contributor *row = &f->rows[f->row_count++];
    *row = (struct fp_contributor){.by = by, .id = id, .share = NAN, .mix = NAN, .within = NAN};
    return row;
}

static void fill_row(struct fp_contributor *row, const struct cx_mix_part *part, double change)
{
    row->n_before = part->before.n;
    row->n = part->after.n;
    row->before = cx_mix_value(&part->before);
    row->after = cx_mix_value(&part->after);
    row->mix = part->mix;
    row->within = part->within;
    row->share = change != 0 ? (part->mix + part->within) / change : NAN;
    row->interval = cx_mix_difference(&part->before, &part->after);
}

/* The largest, and what is left of them together: rows of one split add up to the change. */
static void tell(struct fp_explain_cells *c, const char *by, double change)
{
    struct fp_facts *f = c->facts;
    qsort(c->part, (size_t)c->parts, sizeof *c->part, by_size);
    struct cx_mix_part rest = {.id = CX_MIX_OTHERS};
    for (int i = 0; i < c->parts; i++) {
        if (i < FP_EXPLAIN_SEGMENTS && c->part[i].id != CX_MIX_OTHERS) {
            fill_row(fp_explain_new_row(f, by, c->part[i].id), &c->part[i], change);
            continue;
        }
        cx_mix_add(&rest.before, &c->part[i].before, 1);
        cx_mix_add(&rest.after, &c->part[i].after, 1);
        rest.mix += c->part[i].mix;
        rest.within += c->part[i].within;
    }
    if (rest.before.n > 0 || rest.after.n > 0)
        fill_row(fp_explain_new_row(f, by, CX_MIX_OTHERS), &rest, change);
}

/* One split; *change: its whole. False: it cannot be made, or has one part only. */
static bool split_by(struct fp_explain_cells *c, const char *by, int column,
                     struct cx_mix_change *change)
{
    gather(c, column);
    c->parts = cx_mix_fold(c->part, c->parts, c->min_n);
    if (!cx_mix_split(c->part, c->parts, change))
        return false;
    if (c->parts > 1 || (c->parts == 1 && c->part[0].id != CX_MIX_OTHERS))
        tell(c, by, change->after - change->before);
    return true;
}

/* The channel whose share of the answers moved most, of those that may be shown; of two that moved
 * alike, the one that grew. */
static void find_shifted(struct fp_explain_cells *c)
{
    struct fp_facts *f = c->facts;
    double before = 0, after = 0, most = 0;
    for (int i = 0; i < c->parts; i++) {
        before += c->part[i].before.weight;
        after += c->part[i].after.weight;
    }
    for (int i = 0; i < c->parts && before > 0 && after > 0; i++) {
        double old = c->part[i].before.weight / before, new = c->part[i].after.weight / after;
        double moved = fabs(new - old) + (new > old ? 1e-9 : 0);
        if (c->part[i].id == CX_MIX_OTHERS || moved <= most)
            continue;
        most = moved;
        f->shifted_before = old;
        f->shifted_after = new;
        snprintf(f->shifted, sizeof f->shifted, "%d", c->part[i].id); /* named later */
    }
}

/* n and what would be usual: by the same weekdays, so factors are no weights here. */
static void count_answers(struct fp_explain_cells *c)
{
    struct fp_facts *f = c->facts;
    for (int row = 0; row < fp_pg_rows(c->rows); row++) {
        double n = (double)fp_pg_int(c->rows, row, FP_CELL_N);
        if (fp_pg_int(c->rows, row, FP_CELL_AFTER) == 1)
            f->n += n;
        else
            f->usual += n * c->factor[fp_pg_int(c->rows, row, FP_CELL_WEEKDAY)];
    }
}

static double min_n_of(const struct fp_model *model, const struct fp_kpi *kpi)
{
    if (fp_kpi_of_events(kpi))
        return 1;
    return kpi->audience == FP_AUDIENCE_EMPLOYEE ? model->min_n_employee : model->min_n;
}

static void explain_kpi(struct fp_explain_cells *c)
{
    struct fp_facts *f = c->facts;
    bool all = f->alert->unit == FP_ALL_UNITS;
    gather(c, FP_CELL_CHANNEL);
    struct cx_mix_part whole = whole_of(c);
    count_answers(c);
    f->shown = cx_mix_shown(&whole, c->min_n) && whole.after.n + whole.before.n > 0;
    if (f->alert->kind == FP_ALERT_SUSPECT && f->shown) {
        c->parts = cx_mix_fold(c->part, c->parts, c->min_n);
        find_shifted(c);
    }
    if (!f->shown || f->alert->kind != FP_ALERT_CHANGE)
        return;
    f->whole.before = cx_mix_value(&whole.before);
    f->whole.after = cx_mix_value(&whole.after);
    struct cx_mix_change change, channels;
    f->split = (!all || split_by(c, "unit", FP_CELL_UNIT, &change)) && //
               split_by(c, "channel", FP_CELL_CHANNEL, &channels);
    if (f->split)
        f->whole = all ? change : channels;
}

/* ---- all KPIs of a unit ---------------------------------------------------------------------- */

struct kpi_row {
    int kpi;
    struct cx_mix_part unit, rest;
    struct cx_mix_interval change; /* of unit − rest, in SD, + better */
};

static int by_change(const void *a, const void *b)
{
    const struct kpi_row *x = a, *y = b;
    double size_x = fabs(x->change.change), size_y = fabs(y->change.change);
    return size_x != size_y ? size_x < size_y ? 1 : -1 : x->kpi - y->kpi;
}

static bool standardise(struct fp_explain_cells *c, struct kpi_row *row)
{
    const struct fp_kpi *kpi = &c->facts->binding->model->kpis[row->kpi];
    struct cx_mix_sums all = row->unit.before;
    cx_mix_add(&all, &row->rest.before, 1);
    double sd = cx_mix_sd(&all), better = kpi->direction == FP_LOWER_IS_BETTER ? -1 : 1;
    if (kpi->source != FP_SOURCE_MEASURE_QUANTILE && all.y > 0)
        sd /= all.y / all.weight; /* a ratio's, in its own unit */
    bool alone = !c->facts->against_rest;
    struct cx_mix_interval own = cx_mix_difference(&row->unit.before, &row->unit.after);
    struct cx_mix_interval rest = {0, 0, 0};
    if (!alone)
        rest = cx_mix_difference(&row->rest.before, &row->rest.after);
    double change = better * (own.change - rest.change) / sd;
    double half = hypot(own.high - own.change, rest.high - rest.change) / sd;
    row->change = (struct cx_mix_interval){change, change - half, change + half};
    double min_n = min_n_of(c->facts->binding->model, kpi);
    return sd > 0 && isfinite(change) && row->unit.before.n >= min_n && row->unit.after.n >= min_n;
}

static void explain_unit(struct fp_explain_cells *c)
{
    struct fp_facts *f = c->facts;
    const struct fp_binding *b = f->binding;
    struct kpi_row *row = fp_must_calloc((size_t)b->model->kpi_count, sizeof *row);
    int used = 0;
    for (int kpi = 0; kpi < b->model->kpi_count; kpi++) {
        if (b->model->kpis[kpi].source == FP_SOURCE_MEASURE_QUANTILE)
            continue;
        struct kpi_row r = {.kpi = kpi};
        for (int i = 0; i < fp_pg_rows(c->rows); i++) {
            struct cx_mix_part *part = fp_pg_int(c->rows, i, FP_CELL_UNIT) == 1 ? &r.unit : &r.rest;
            if (fp_pg_int(c->rows, i, FP_CELL_SERIES) == b->series[kpi])
                add_row(c, kpi, i, &part->before, &part->after);
        }
        if (standardise(c, &r))
            row[used++] = r;
    }
    qsort(row, (size_t)used, sizeof *row, by_change);
    for (int i = 0; i < used && i < FP_EXPLAIN_SEGMENTS; i++) {
        struct fp_contributor *out = fp_explain_new_row(f, "kpi", row[i].kpi);
        out->n_before = row[i].unit.before.n;
        out->n = row[i].unit.after.n;
        out->before = cx_mix_value(&row[i].unit.before);
        out->after = cx_mix_value(&row[i].unit.after);
        out->interval = row[i].change;
    }
    count_answers(c);
    f->shown = used > 0;
    free(row);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void name_row(struct fp_facts *f, struct fp_contributor *row, int kind, const char *name)
{
    if (strcmp(row->by, kind == FP_KIND_UNIT ? "unit" : "channel") != 0)
        return;
    snprintf(row->name, sizeof row->name, "%s", name);
    snprintf(row->label, sizeof row->label, "%s",
             kind == FP_KIND_UNIT ? fp_unit_label(f->binding->model, name) : name);
}

static void own_names(struct fp_facts *f)
{
    for (int i = 0; i < f->row_count; i++) {
        struct fp_contributor *row = &f->rows[i];
        if (strcmp(row->by, "kpi") == 0) {
            const struct fp_kpi *kpi = &f->binding->model->kpis[row->id];
            snprintf(row->name, sizeof row->name, "%s", kpi->id);
            snprintf(row->label, sizeof row->label, "%s", kpi->id);
        } else
            snprintf(row->label, sizeof row->label, "%s",
                     row->id == CX_MIX_OTHERS ? "others" : "not given");
    }
}

static enum fp_status name_rows(struct fp_pg *pg, struct fp_facts *f, struct fp_error *err)
{
    own_names(f);
    struct fp_params p;
    struct fp_pg_result *result = NULL;
    int shifted = *f->shifted ? atoi(f->shifted) : 0;
    *f->shifted = '\0';
    fp_params_init(&p, "I");
    fp_pg_put_int(&p.at[0], shifted);
    for (int i = 0; i < f->row_count; i++)
        fp_pg_put_int(&p.at[0], f->rows[i].id);
    enum fp_status status = fp_pg_exec(pg,
                                       "SELECT kind, id, name FROM flightpath.name"
                                       " WHERE kind IN (0, 1) AND id = ANY ($1) AND id > 0",
                                       p.ref, p.count, FP_EXPLAIN_DEADLINE_MS, &result, err);
    fp_params_free(&p);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(result); i++) {
        int kind = (int)fp_pg_int(result, i, 0), id = (int)fp_pg_int(result, i, 1);
        if (kind == FP_KIND_CHANNEL && id == shifted)
            snprintf(f->shifted, sizeof f->shifted, "%s", fp_pg_text(result, i, 2));
        for (int r = 0; r < f->row_count; r++)
            if (f->rows[r].id == id)
                name_row(f, &f->rows[r], kind, fp_pg_text(result, i, 2));
    }
    fp_pg_result_free(result);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

enum fp_status fp_explain_cells(struct fp_pg *pg, struct fp_facts *facts, struct fp_error *err)
{
    const struct fp_model *model = facts->binding->model;
    bool all = facts->alert->kpi == FP_NONE;
    const struct fp_kpi *kpi = all ? NULL : &model->kpis[facts->alert->kpi];
    bool quantile = kpi && kpi->source == FP_SOURCE_MEASURE_QUANTILE;
    struct fp_explain_cells c = {.facts = facts, .min_n = all ? 1 : min_n_of(model, kpi)};
    enum fp_status status = read_against_rest(pg, facts, err);
    if (status == FP_OK)
        status = read_days(pg, &c, err);
    if (status == FP_OK)
        status = query(pg, facts,
                       quantile ? sketch_sql
                       : all    ? unit_sql
                                : segments_sql,
                       &c.rows, err);
    if (status == FP_OK) {
        c.part = fp_must_calloc((size_t)fp_pg_rows(c.rows) + 1, sizeof *c.part);
        if (quantile)
            fp_explain_quantile(&c);
        else if (all)
            explain_unit(&c);
        else
            explain_kpi(&c);
        free(c.part);
        status = name_rows(pg, facts, err);
    }
    fp_pg_result_free(c.rows);
    return status;
}
