/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The coefficients in force, read from PostgreSQL.
 *
 * One statement reads the newest version and the rows, so that both are of one moment. Hazard: a
 * version must never become visible before a smaller one, else a replica would name in the ledger a
 * version whose rows it has not all seen; a trigger on flightpath.scoring gives versions out in the
 * order of commits (0007_predictions.sql). */
#include "daemon/scoring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/fixed.h"
#include "daemon/params.h"

bool fp_scoring_covers(const struct fp_fitting *fitting)
{
    int measures = fitting->columns - 1 - fitting->first_measure;
    return fitting->touchpoint != FP_NONE && measures > 0 && measures <= CX_SCORE_MEASURES_MAX;
}

struct fp_scoring *fp_scoring_retain(struct fp_scoring *scoring)
{
    if (scoring)
        __atomic_add_fetch(&scoring->references, 1, __ATOMIC_RELAXED);
    return scoring;
}

void fp_scoring_release(struct fp_scoring *scoring)
{
    if (scoring == NULL || __atomic_sub_fetch(&scoring->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    fp_binding_release(scoring->binding);
    free(scoring->scored);
    free(scoring);
}

bool fp_scoring_newer(const struct fp_scoring *next, const struct fp_scoring *current)
{
    return next->binding == current->binding && next->version > current->version;
}

/* ---- coefficients ---------------------------------------------------------------------------- */

/* "1.5,2" → numbers; false: not that many, or one that is not finite. */
static bool read_numbers(const char *text, double *values, int count)
{
    for (int i = 0; i < count; i++) {
        char *end;
        values[i] = strtod(text, &end);
        if (end == text || !isfinite(values[i]) || *end != (i + 1 < count ? ',' : '\0'))
            return false;
        text = end + 1;
    }
    return true;
}

/* Columns: version, n, mean, coef, then centre, low, high, cut, sigma as one list. */
static bool read_score(const struct fp_pg_result *r, int row, const struct fp_fitting *f,
                       struct cx_score_model *score)
{
    double coef[CX_SCORE_MEASURES_MAX], rest[5];
    int measures = f->columns - 1 - f->first_measure;
    *score = (struct cx_score_model){.measures = measures};
    if (!read_numbers(fp_pg_text(r, row, 2), score->mean, measures) ||
        !read_numbers(fp_pg_text(r, row, 3), coef, measures) ||
        !read_numbers(fp_pg_text(r, row, 4), rest, 5))
        return false;
    for (int i = 0; i < measures; i++) {
        score->coef[i] = (float)coef[i];
        score->scale[i] = 1 / cx_fixed_unit(f->decimals[f->first_measure + i]);
    }
    score->centre = (float)rest[0];
    score->low = (float)rest[1];
    score->high = (float)rest[2];
    score->cut = (float)rest[3];
    score->sigma = (float)rest[4];
    return true;
}

static const char load_sql[] =
    "SELECT v.version, s.n, s.mean, s.coef, s.rest"
    " FROM (SELECT coalesce(max(version), 0) AS version FROM flightpath.scoring) AS v"
    " LEFT JOIN (SELECT k.n, c.* FROM unnest($1, $2, $3) WITH ORDINALITY"
    "   AS k (model, definition, measures, n),"
    "  LATERAL (SELECT array_to_string(c.mean, ',') AS mean, array_to_string(c.coef, ',') AS coef,"
    "    concat_ws(',', c.centre, c.low, c.high, c.cut, c.sigma) AS rest"
    "   FROM flightpath.driver_series d JOIN flightpath.scoring c USING (series)"
    "   WHERE d.model = k.model AND d.definition = k.definition"
    "   AND cardinality(c.mean) = k.measures AND cardinality(c.coef) = k.measures"
    "   AND c.centre - c.centre = 0 AND c.low - c.low = 0 AND c.high - c.high = 0"
    "   AND c.cut - c.cut = 0 AND c.sigma - c.sigma = 0"
    "   AND (SELECT bool_and(x - x = 0) FROM unnest(c.mean || c.coef) AS x)"
    "   ORDER BY c.version DESC LIMIT 1) AS c) AS s ON true ORDER BY s.n";

static enum fp_status load_scores(struct fp_pg *pg, struct fp_scoring *s, int deadline_ms,
                                  struct fp_error *err)
{
    const struct fp_model *model = s->binding->model;
    struct fp_params p;
    struct fp_pg_result *r = NULL;
    fp_params_init(&p, "TTI");
    for (int i = 0; i < model->driver_model_count; i++) {
        const struct fp_driver_model *dm = &model->driver_models[i];
        bool covers = fp_scoring_covers(&s->binding->fittings[i]);
        fp_pg_put_slice(&p.at[0], fp_slice_of(dm->id));
        fp_pg_put_slice(&p.at[1], fp_slice_of(dm->definition));
        fp_pg_put_int(&p.at[2], covers ? dm->measure_count : -1); /* −1: no row fits */
    }
    enum fp_status status = fp_pg_exec(pg, load_sql, p.ref, p.count, deadline_ms, &r, err);
    fp_params_free(&p);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(r); i++) {
        s->version = fp_pg_int(r, i, 0);
        if (fp_pg_is_null(r, i, 1))
            continue;
        int m = (int)fp_pg_int(r, i, 1) - 1;
        const struct fp_fitting *f = &s->binding->fittings[m];
        struct fp_scored *scored = &s->scored[s->scored_count];
        *scored = (struct fp_scored){.model = m, .series = f->series, .touchpoint = f->touchpoint};
        s->scored_count += read_score(r, i, f, &scored->score);
    }
    fp_pg_result_free(r);
    return status;
}

enum fp_status fp_scoring_load(struct fp_pg *pg, struct fp_binding *binding, int deadline_ms,
                               struct fp_scoring **scoring, struct fp_error *err)
{
    struct fp_scoring *s = calloc(1, sizeof *s);
    if (s == NULL)
        return fp_fail(err, FP_RETRY, "no_memory", "scoring", "out of memory");
    s->references = 1;
    s->binding = fp_binding_retain(binding);
    s->path = cx_score_best();
    s->scored = calloc((size_t)binding->model->driver_model_count + 1, sizeof *s->scored);
    enum fp_status status = FP_OK;
    if (s->scored == NULL)
        status = fp_fail(err, FP_RETRY, "no_memory", "scoring", "out of memory");
    if (status == FP_OK)
        status = load_scores(pg, s, deadline_ms, err);
    if (status == FP_OK)
        *scoring = s;
    else
        fp_scoring_release(s);
    return status;
}
