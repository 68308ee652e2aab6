/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What went along with a change: drivers of a driver model, and input KPIs that moved before.
 *
 * Way: a driver model whose outcome is the item that the KPI counts says what a point of a driver
 * goes with; exact sums of its states say by how much the driver's mean moved between the same days
 * as the KPI's. The product is what would go with it. Told are those only whose coefficient is
 * known to differ from 0 in the direction the model declares, whose mean is known to have moved,
 * and whose product goes the way of the KPI. An input KPI of the same journey counts when an alert
 * of its own, for the worse as this one or for the better as this one, began up to 60 days earlier.
 * Hazard: associations. A driver may move because the outcome did, or both by something else. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/driver_state.h"
#include "analytics/fixed.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/watch_explain_parts.h"

#define DRIVERS_MAX (CX_COLUMNS_MAX * 2)
#define Z_95 1.959963984540054

struct place { /* a segment of a driver model */
    enum fp_segment kind;
    int32_t segment;  /* id */
    const char *name; /* of a touchpoint, whose id is not known here; "" */
};

struct found {
    struct fp_cofactor at[DRIVERS_MAX];
    int count;
};

/* ---- which models ---------------------------------------------------------------------------- */

/* The segment whose people are those of the KPI. False: the model has none. */
static bool place_of(const struct fp_facts *f, const struct fp_fitting *fitting,
                     struct place *place)
{
    const struct fp_model *model = f->binding->model;
    const struct fp_kpi *kpi = &model->kpis[f->alert->kpi];
    const struct fp_driver_model *dm = fitting->model;
    bool same = dm->journey == kpi->journey && dm->touchpoint == kpi->touchpoint;
    *place = (struct place){.kind = FP_SEGMENT_ALL, .name = ""};
    if (f->alert->unit != FP_ALL_UNITS) {
        *place = (struct place){FP_SEGMENT_UNIT, f->alert->unit, ""};
        return same && fitting->segments & 1u << FP_SEGMENT_UNIT;
    }
    if (same)
        return true;
    if (dm->journey != FP_NONE || dm->touchpoint != FP_NONE)
        return false;
    if (kpi->touchpoint != FP_NONE) {
        *place = (struct place){FP_SEGMENT_TOUCHPOINT, 0, model->touchpoints[kpi->touchpoint].id};
        return fitting->segments & 1u << FP_SEGMENT_TOUCHPOINT;
    }
    bool main_one = model->journeys[kpi->journey].parent == FP_NONE;
    *place = (struct place){FP_SEGMENT_JOURNEY, f->binding->journeys[kpi->journey], ""};
    return main_one && fitting->segments & 1u << FP_SEGMENT_JOURNEY;
}

/* ---- means ----------------------------------------------------------------------------------- */

struct means {
    struct cx_mix_part column[CX_COLUMNS_MAX];
};

static void add_columns(const struct fp_fitting *fitting, const struct cx_state_column *column,
                        bool after, double factor, struct means *means)
{
    for (int i = 0; i < fitting->columns; i++) {
        double unit = cx_fixed_unit(fitting->decimals[i]);
        struct cx_mix_sums s = {.n = (double)column[i].n,
                                .weight = (double)column[i].weight,
                                .square = (double)column[i].square,
                                .x = (double)column[i].sum / unit,
                                .xx = (double)column[i].sum_square / (unit * unit)};
        s.y = s.yy = s.weight;
        s.xy = s.x;
        struct cx_mix_part *part = &means->column[i];
        cx_mix_add(after ? &part->after : &part->before, &s, factor);
    }
}

/* The weekdays of the days after, of the days that have states. */
static void weekday_factors(const struct fp_facts *f, struct fp_pg_result *rows, double factor[7])
{
    int before[7] = {0}, after[7] = {0};
    int32_t first = f->first;
    for (int i = 0; i < fp_pg_rows(rows); i++)
        if ((int32_t)fp_pg_int(rows, i, 0) < first)
            first = (int32_t)fp_pg_int(rows, i, 0);
    const struct fp_model *model = f->binding->model;
    for (int32_t day = first; day <= f->last; day++) {
        bool known = false;
        for (int i = 0; i < model->calendar_count; i++)
            known |= day >= model->calendar[i].from && day <= model->calendar[i].until;
        if (!known)
            (day < f->first ? before : after)[day % 7]++;
    }
    cx_mix_weekdays(before, after, factor);
}

/* A state that cannot be read is no reason to keep an alert back: its model is left out, and the
 * log says so. */
static void sum_states(const struct fp_facts *f, const struct fp_fitting *fitting,
                       struct fp_pg_result *rows, struct means *means)
{
    double factor[7];
    weekday_factors(f, rows, factor);
    void *work = fp_must_realloc(NULL, cx_state_columns_work(fitting->columns));
    enum cx_state_status status = CX_STATE_OK;
    for (int i = 0; i < fp_pg_rows(rows) && status == CX_STATE_OK; i++) {
        struct cx_state_column column[CX_COLUMNS_MAX] = {0};
        size_t len = 0;
        int32_t day = (int32_t)fp_pg_int(rows, i, 0);
        const uint8_t *bytes = fp_pg_bytes(rows, i, 1, &len);
        status = cx_state_columns(bytes, len, fitting->columns, column, work);
        if (status == CX_STATE_OK)
            add_columns(fitting, column, day >= f->first, day >= f->first ? 1 : factor[day % 7],
                        means);
    }
    free(work);
    if (status == CX_STATE_OK)
        return;
    memset(means, 0, sizeof *means);
    fp_log(FP_LOG_WARN, "driver_state_unread",
           "flightpath.driver_state, series %" PRId32
           ": the bytes are no state of this model, or a "
           "sum is beyond its range; alerts are explained without it",
           fitting->series);
}

static enum fp_status read_means(struct fp_pg *pg, const struct fp_facts *f,
                                 const struct fp_fitting *fitting, const struct place *place,
                                 struct means *means, struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *rows = NULL;
    fp_params_init(&p, "ihiiit");
    fp_pg_put_int(&p.at[0], fitting->series);
    fp_pg_put_int(&p.at[1], place->kind);
    fp_pg_put_int(&p.at[2], place->segment);
    fp_pg_put_int(&p.at[3], f->first - FP_EXPLAIN_BEFORE);
    fp_pg_put_int(&p.at[4], f->last);
    fp_pg_put_slice(&p.at[5], fp_slice_of(place->name));
    enum fp_status status = fp_pg_exec(
        pg,
        "SELECT s.day, s.state FROM flightpath.driver_state s"
        " WHERE s.series = $1 AND s.kind = $2 AND s.segment = CASE WHEN $6 = '' THEN $3 ELSE"
        "  (SELECT n.id FROM flightpath.name n WHERE n.kind = 2 AND n.name = $6) END"
        " AND s.day BETWEEN $4 AND $5 AND NOT EXISTS (SELECT FROM flightpath.calendar c"
        "  WHERE s.day BETWEEN c.from_day AND c.until_day)",
        p.ref, p.count, FP_EXPLAIN_DEADLINE_MS, &rows, err);
    fp_params_free(&p);
    if (status == FP_OK && fp_pg_rows(rows) > 0)
        sum_states(f, fitting, rows, means);
    fp_pg_result_free(rows);
    return status;
}

/* ---- coefficients ---------------------------------------------------------------------------- */

/* A unit's own when there is one, else that of all. */
static enum fp_status read_coefficients(struct fp_pg *pg, const struct fp_fitting *fitting,
                                        const struct place *place, struct fp_pg_result **rows,
                                        struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "ihit");
    fp_pg_put_int(&p.at[0], fitting->series);
    fp_pg_put_int(&p.at[1], place->kind);
    fp_pg_put_int(&p.at[2], place->segment);
    fp_pg_put_slice(&p.at[3], fp_slice_of(place->name));
    enum fp_status status = fp_pg_exec(
        pg,
        "WITH place AS (SELECT $2 AS kind, CASE WHEN $4 = '' THEN $3 ELSE"
        "   (SELECT n.id FROM flightpath.name n WHERE n.kind = 2 AND n.name = $4) END AS segment),"
        " newest AS (SELECT r.kind, r.segment, max(r.day) AS day FROM flightpath.driver_result r,"
        "   place p WHERE r.series = $1 AND (r.kind = 0 OR (r.kind, r.segment) ="
        "   (p.kind, p.segment)) GROUP BY 1, 2)"
        " SELECT DISTINCT ON (r.driver) r.driver, r.coef, r.ci_low, r.ci_high, r.se"
        " FROM newest w JOIN flightpath.driver_result r ON r.series = $1 AND r.kind = w.kind"
        "  AND r.segment = w.segment AND r.day = w.day"
        " WHERE r.coef IS NOT NULL AND r.ci_low IS NOT NULL AND r.ci_high IS NOT NULL"
        "  AND NOT r.flags && ARRAY['sign_conflict'] AND r.status = 'ok'"
        " ORDER BY r.driver, r.kind DESC",
        p.ref, p.count, FP_EXPLAIN_DEADLINE_MS, rows, err);
    fp_params_free(&p);
    return status;
}

/* ---- effects --------------------------------------------------------------------------------- */

static void name_driver(const struct fp_model *model, const struct fp_fitting *fitting, int column,
                        struct fp_cofactor *out)
{
    const struct fp_driver_model *dm = fitting->model;
    const char *id, *label = NULL;
    if (column < dm->driver_count) {
        id = model->items[dm->drivers[column]].id;
        label = model->items[dm->drivers[column]].text;
    } else
        id = model->measures[dm->measures[column - dm->driver_count]].id;
    snprintf(out->name, sizeof out->name, "%s", id);
    if (label && *label)
        snprintf(out->label, sizeof out->label, "\u201c%.200s\u201d", label);
    else
        snprintf(out->label, sizeof out->label, "%s", id);
    snprintf(out->model, sizeof out->model, "%s", dm->id);
}

static int declared_sign(const struct fp_model *model, const struct fp_fitting *fitting, int column)
{
    const struct fp_driver_model *dm = fitting->model;
    enum fp_direction driver =
        column < dm->driver_count
            ? model->items[dm->drivers[column]].direction
            : model->measures[dm->measures[column - dm->driver_count]].direction;
    return driver == model->items[dm->outcome].direction ? 1 : -1;
}

/* False: not to be told. */
static bool effect_of(const struct fp_facts *f, const struct cx_mix_part *mean, int sign,
                      struct fp_cofactor *c)
{
    struct cx_mix_interval moved = cx_mix_difference(&mean->before, &mean->after);
    if (!isfinite(moved.low) || !(moved.low * moved.high > 0) || !(c->low * c->high > 0) ||
        c->coef * sign <= 0)
        return false;
    c->before = cx_mix_value(&mean->before);
    c->after = cx_mix_value(&mean->after);
    double se_coef = (c->high - c->low) / (2 * Z_95),
           se_moved = (moved.high - moved.low) / (2 * Z_95);
    c->effect.change = c->coef * moved.change;
    double half = Z_95 * hypot(c->coef * se_moved, moved.change * se_coef);
    c->effect.low = c->effect.change - half;
    c->effect.high = c->effect.change + half;
    return c->effect.change * f->alert->size > 0;
}

static bool enough(const struct fp_facts *f, const struct cx_mix_part *mean)
{
    const struct fp_model *model = f->binding->model;
    bool employee = model->kpis[f->alert->kpi].audience == FP_AUDIENCE_EMPLOYEE;
    int min_n = employee ? model->min_n_employee : model->min_n;
    return mean->before.n >= min_n && mean->after.n >= min_n;
}

static enum fp_status explain_model(struct fp_pg *pg, const struct fp_facts *f,
                                    const struct fp_fitting *fitting, struct found *found,
                                    struct fp_error *err)
{
    struct place place;
    if (!place_of(f, fitting, &place))
        return FP_OK;
    const struct fp_model *model = f->binding->model;
    const char *metric = fp_kpi_metric(model, &model->kpis[f->alert->kpi]);
    struct means *means = fp_must_calloc(1, sizeof *means);
    struct fp_pg_result *rows = NULL;
    enum fp_status status = read_means(pg, f, fitting, &place, means, err);
    if (status == FP_OK)
        status = read_coefficients(pg, fitting, &place, &rows, err);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(rows); i++) {
        int column = (int)fp_pg_int(rows, i, 0) - 1;
        if (column < 0 || column >= fitting->columns - 1 || found->count == DRIVERS_MAX ||
            !enough(f, &means->column[column]))
            continue;
        struct fp_cofactor *c = &found->at[found->count];
        *c = (struct fp_cofactor){.coef = strtod(fp_pg_text(rows, i, 1), NULL),
                                  .low = strtod(fp_pg_text(rows, i, 2), NULL),
                                  .high = strtod(fp_pg_text(rows, i, 3), NULL)};
        c->in_unit = strcmp(metric, "mean") == 0 || strcmp(metric, "ces") == 0;
        name_driver(model, fitting, column, c);
        found->count +=
            effect_of(f, &means->column[column], declared_sign(model, fitting, column), c);
    }
    fp_pg_result_free(rows);
    free(means);
    return status;
}

static int by_effect(const void *a, const void *b)
{
    const struct fp_cofactor *x = a, *y = b;
    double size_x = fabs(x->effect.change), size_y = fabs(y->effect.change);
    return size_x != size_y ? size_x < size_y ? 1 : -1 : strcmp(x->name, y->name);
}

/* ---- input KPIs ------------------------------------------------------------------------------ */

static int main_journey(const struct fp_model *model, int journey)
{
    return model->journeys[journey].parent == FP_NONE ? journey : model->journeys[journey].parent;
}

/* An input of the same journey, or of one of its touchpoints; of the same touchpoint. */
static bool leads(const struct fp_model *model, int input, int kpi)
{
    const struct fp_kpi *in = &model->kpis[input], *out = &model->kpis[kpi];
    if (input == kpi || strcmp(in->role, "input") != 0)
        return false;
    if (out->journey == FP_NONE)
        return out->touchpoint != FP_NONE && in->touchpoint == out->touchpoint;
    if (in->journey != FP_NONE)
        return main_journey(model, in->journey) == main_journey(model, out->journey);
    const struct fp_journey *journey = &model->journeys[main_journey(model, out->journey)];
    for (int i = 0; i < journey->touchpoint_count; i++)
        if (in->touchpoint == journey->touchpoints[i])
            return true;
    return false;
}

static void put_leading(struct fp_facts *f, struct fp_pg_result *rows, int row)
{
    const struct fp_binding *b = f->binding;
    int kpi = 0;
    while (kpi < b->model->kpi_count && b->series[kpi] != fp_pg_int(rows, row, 0))
        kpi++;
    if (kpi == b->model->kpi_count)
        return;
    const struct fp_kpi *k = &b->model->kpis[kpi];
    struct fp_cofactor *c = &f->cofactors[f->cofactor_count++];
    *c = (struct fp_cofactor){.is_kpi = true, .since = (int32_t)fp_pg_int(rows, row, 1)};
    c->effect.change = fp_pg_is_null(rows, row, 3) ? NAN : strtod(fp_pg_text(rows, row, 3), NULL);
    snprintf(c->fingerprint, sizeof c->fingerprint, "%s", fp_pg_text(rows, row, 2));
    snprintf(c->name, sizeof c->name, "%s", k->id);
    snprintf(c->label, sizeof c->label, "%s", k->id);
}

static enum fp_status leading(struct fp_pg *pg, struct fp_facts *f, struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *rows = NULL;
    fp_params_init(&p, "Iiioii");
    int inputs = 0;
    for (int i = 0; i < f->binding->model->kpi_count; i++)
        if (leads(f->binding->model, i, f->alert->kpi)) {
            fp_pg_put_int(&p.at[0], f->binding->series[i]);
            inputs++;
        }
    fp_pg_put_int(&p.at[1], f->first - FP_EXPLAIN_LEADING_DAYS);
    fp_pg_put_int(&p.at[2], f->first - 1);
    fp_pg_put_int(&p.at[3], f->alert->worse);
    fp_pg_put_int(&p.at[4], f->alert->unit);
    fp_pg_put_int(&p.at[5], FP_EXPLAIN_DRIVERS);
    enum fp_status status = FP_OK;
    if (inputs > 0)
        status = fp_pg_exec(pg,
                            "SELECT l.* FROM (SELECT DISTINCT ON (a.series) a.series, a.start,"
                            "  a.fingerprint, a.size, abs(a.z) AS z FROM flightpath.alert a"
                            "  WHERE a.series = ANY ($1) AND a.kind = 0 AND a.level <> 1"
                            "  AND a.start BETWEEN $2 AND $3 AND a.worse = $4"
                            "  AND a.unit IN (-1, $5) AND a.state <> 'withdrawn'"
                            "  ORDER BY a.series, a.start DESC, a.fingerprint) AS l"
                            " ORDER BY l.z DESC NULLS LAST, l.series LIMIT $6",
                            p.ref, p.count, FP_EXPLAIN_DEADLINE_MS, &rows, err);
    fp_params_free(&p);
    for (int i = 0; status == FP_OK && inputs > 0 && i < fp_pg_rows(rows); i++)
        put_leading(f, rows, i);
    fp_pg_result_free(rows);
    return status;
}

/* ---- both ------------------------------------------------------------------------------------ */

enum fp_status fp_explain_drivers(struct fp_pg *pg, struct fp_facts *f, struct fp_error *err)
{
    if (f->alert->kpi == FP_NONE)
        return FP_OK;
    const struct fp_binding *b = f->binding;
    const struct fp_kpi *kpi = &b->model->kpis[f->alert->kpi];
    struct found *found = fp_must_calloc(1, sizeof *found);
    enum fp_status status = FP_OK;
    for (int i = 0; i < b->model->driver_model_count && status == FP_OK; i++)
        if (kpi->source == FP_SOURCE_ITEM && b->fittings[i].model->outcome == kpi->item)
            status = explain_model(pg, f, &b->fittings[i], found, err);
    qsort(found->at, (size_t)found->count, sizeof *found->at, by_effect);
    for (int i = 0; i < found->count && i < FP_EXPLAIN_DRIVERS; i++)
        f->cofactors[f->cofactor_count++] = found->at[i];
    free(found);
    return status == FP_OK ? leading(pg, f, err) : status;
}
