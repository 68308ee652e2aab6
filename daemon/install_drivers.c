/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Driver models become series. One whose definition changed is a new series, which begins with what
 * is stored of responses (absorb_stored.c); the old one's state goes, its results stay. */
#include "daemon/install.h"

#include <math.h>

#include "analytics/fixed.h"
#include "daemon/fitting.h"
#include "daemon/params.h"

#define DEADLINE_MS 30000

static void put_text(struct fp_pg_param *param, const char *text)
{
    fp_pg_put_slice(param, fp_slice_of(text));
}

/* An outcome up to here counts as a detractor: 6 of 0–10 for the NPS, else below the middle. */
static double detractor_cut(const struct fp_item *outcome, const struct fp_scale *scale)
{
    if (outcome->metric == FP_METRIC_NPS)
        return 6;
    return ceil((scale->min + scale->max) / 2.0) - 1;
}

static void put_item(struct fp_params *p, const struct fp_model *model, int item)
{
    const struct fp_scale *scale = &model->scales[model->items[item].scale];
    fp_pg_put_int(&p->at[5], 0);
    fp_pg_put_double(&p->at[7], scale->min);
    fp_pg_put_double(&p->at[8], scale->max);
}

static int direction(enum fp_direction direction)
{
    return direction == FP_HIGHER_IS_BETTER ? 1 : -1;
}

static void put_columns(struct fp_params *p, const struct fp_model *model,
                        const struct fp_driver_model *dm)
{
    for (int i = 0; i < dm->driver_count; i++) {
        const struct fp_item *item = &model->items[dm->drivers[i]];
        put_text(&p->at[4], item->id);
        put_item(p, model, dm->drivers[i]);
        fp_pg_put_int(&p->at[6], direction(item->direction));
    }
    for (int i = 0; i < dm->measure_count; i++) {
        const struct fp_measure *m = &model->measures[dm->measures[i]];
        put_text(&p->at[4], m->id);
        fp_pg_put_int(&p->at[5], m->decimals);
        fp_pg_put_int(&p->at[6], direction(m->direction));
        fp_pg_put_double(&p->at[7], (double)m->min / cx_fixed_unit(m->decimals));
        fp_pg_put_double(&p->at[8], (double)m->max / cx_fixed_unit(m->decimals));
    }
    put_item(p, model, dm->outcome);
}

static void put_scope(struct fp_params *p, const struct fp_model *model,
                      const struct fp_driver_model *dm, const struct fp_fitting *fitting)
{
    static const char *const audiences[] = {"customer", "employee", "internal"};
    put_text(&p->at[10], audiences[fitting->audience]);
    put_text(&p->at[11], dm->journey == FP_NONE ? NULL : model->journeys[dm->journey].id);
    put_text(&p->at[12],
             fitting->touchpoint == FP_NONE ? NULL : model->touchpoints[fitting->touchpoint].id);
    fp_pg_put_int(&p->at[13], dm->window_days);
    fp_pg_put_int(&p->at[14], dm->join_window_hours);
    fp_pg_put_int(&p->at[15], dm->panel);
    for (int i = 0; i < dm->segment_count; i++)
        put_text(&p->at[16], dm->segments[i]);
    fp_pg_put_int(&p->at[17], dm->measure_count);
}

static enum fp_status put_driver_model(struct fp_pg *pg, const struct fp_model *model, int i,
                                       struct fp_error *err)
{
    const struct fp_driver_model *dm = &model->driver_models[i];
    struct fp_fitting fitting;
    struct fp_params p;
    fp_fitting_scope(&fitting, model, dm);
    const struct fp_item *outcome = &model->items[dm->outcome];
    fp_params_init(&p, "ttttTIIDDdtttiioTi");
    put_text(&p.at[0], dm->id);
    put_text(&p.at[1], dm->definition);
    put_text(&p.at[2], model->hash);
    put_text(&p.at[3], outcome->id);
    put_columns(&p, model, dm);
    fp_pg_put_double(&p.at[9], detractor_cut(outcome, &model->scales[outcome->scale]));
    put_scope(&p, model, dm, &fitting);
    enum fp_status status = fp_pg_exec(
        pg,
        "WITH gone AS (UPDATE flightpath.driver_series SET current = false"
        "  WHERE model = $1 AND current AND definition <> $2),"
        " same AS (UPDATE flightpath.driver_series SET model_hash = $3, direction = $7,"
        "  segments = $17 WHERE model = $1 AND current AND definition = $2 RETURNING 1)"
        " INSERT INTO flightpath.driver_series (model, definition, current, model_hash, outcome,"
        "  drivers, decimals, direction, scale_min, scale_max, detractor_cut, audience, journey,"
        "  touchpoint, window_days, join_hours, panel, segments, measures)"
        " SELECT $1, $2, true, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,"
        "  $18 WHERE NOT EXISTS (SELECT FROM same)",
        p.ref, p.count, DEADLINE_MS, NULL, err);
    fp_params_free(&p);
    return status;
}

/* Series of models that are no more, and all their state. */
static enum fp_status retire(struct fp_pg *pg, const struct fp_model *model, struct fp_error *err)
{
    static const char *const statements[] = {
        "UPDATE flightpath.driver_series SET current = false"
        " WHERE current AND NOT EXISTS (SELECT FROM unnest($1, $2) AS u (model, definition)"
        "  WHERE u.model = driver_series.model AND u.definition = driver_series.definition)",
        "DELETE FROM flightpath.driver_log l USING flightpath.driver_series s"
        " WHERE s.series = l.series AND NOT s.current",
        "DELETE FROM flightpath.driver_state l USING flightpath.driver_series s"
        " WHERE s.series = l.series AND NOT s.current",
        "DELETE FROM flightpath.driver_waiting l USING flightpath.driver_series s"
        " WHERE s.series = l.series AND NOT s.current",
        "DELETE FROM flightpath.driver_event l USING flightpath.driver_series s"
        " WHERE s.series = l.series AND NOT s.current",
        "DELETE FROM flightpath.driver_task l USING flightpath.driver_series s"
        " WHERE s.series = l.series AND NOT s.current"};
    struct fp_params p;
    enum fp_status status = FP_OK;
    fp_params_init(&p, "TT");
    for (int i = 0; i < model->driver_model_count; i++) {
        put_text(&p.at[0], model->driver_models[i].id);
        put_text(&p.at[1], model->driver_models[i].definition);
    }
    for (size_t i = 0; status == FP_OK && i < sizeof statements / sizeof *statements; i++)
        status = fp_pg_exec(pg, statements[i], p.ref, i == 0 ? p.count : 0, DEADLINE_MS, NULL, err);
    fp_params_free(&p);
    return status;
}

enum fp_status fp_install_drivers(struct fp_pg *pg, const struct fp_model *model,
                                  struct fp_error *err)
{
    enum fp_status status = retire(pg, model, err);
    for (int i = 0; status == FP_OK && i < model->driver_model_count; i++)
        status = put_driver_model(pg, model, i, err);
    return status;
}

enum fp_status fp_install_driver_series(struct fp_pg *pg, const struct fp_model *model,
                                        int32_t *series, bool *complete, struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *result = NULL;
    fp_params_init(&p, "TT");
    for (int i = 0; i < model->driver_model_count; i++) {
        put_text(&p.at[0], model->driver_models[i].id);
        put_text(&p.at[1], model->driver_models[i].definition);
    }
    enum fp_status status =
        fp_pg_exec(pg,
                   "SELECT s.series FROM unnest($1, $2) WITH ORDINALITY AS u (model, definition, n)"
                   " JOIN flightpath.driver_series s ON s.model = u.model"
                   " AND s.definition = u.definition AND s.current ORDER BY u.n",
                   p.ref, p.count, DEADLINE_MS, &result, err);
    fp_params_free(&p);
    if (status == FP_OK) {
        *complete = fp_pg_rows(result) == model->driver_model_count;
        for (int i = 0; *complete && i < model->driver_model_count; i++)
            series[i] = (int32_t)fp_pg_int(result, i, 0);
    }
    fp_pg_result_free(result);
    return status;
}
