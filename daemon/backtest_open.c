/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The model, the programme it must be of, and where the cells of each KPI come from.
 *
 * A binding is made without installing anything. A KPI's definition is looked for among all that
 * were ever stored: the current one is counted as the daemon goes; one of before has tallies only
 * until it was replaced, so that answers are better taken from the responses; one that never was
 * has none. */
#include <stdlib.h>
#include <string.h>

#include "daemon/backtest.h"
#include "daemon/memory.h"
#include "daemon/params.h"
#include "daemon/timestamp.h"
#include "daemon/verify.h"

#define CALL_MS 60000
#define NO_SERIES (-1)

/* ---- the model ------------------------------------------------------------------------------- */

static enum fp_status load_model(struct fp_backtest *b, struct fp_error *err)
{
    struct fp_problems problems = {0};
    enum fp_status status = fp_model_load(b->options->model, &b->model, &problems);
    if (status != FP_OK)
        status = fp_fail(err, FP_REJECT, "model", b->options->model,
                         "%s: %s (`flightpath check` tells all of it)",
                         problems.count ? problems.at[0].path : "$",
                         problems.count ? problems.at[0].what : "it cannot be read");
    fp_problems_free(&problems);
    return status;
}

static enum fp_status find_kpi(struct fp_backtest *b, struct fp_error *err)
{
    const char *name = b->options->kpi;
    char known[160] = "";
    b->only = FP_NONE;
    if (*name == '\0')
        return FP_OK;
    b->only = fp_model_find(b->model, FP_KIND_KPI, fp_slice_of(name));
    if (b->only != FP_NONE)
        return FP_OK;
    for (int k = 0; k < b->model->kpi_count; k++) {
        size_t used = strlen(known);
        if (used + strlen(b->model->kpis[k].id) + 8 > sizeof known) {
            strcpy(known + used, ", ...");
            break;
        }
        snprintf(known + used, sizeof known - used, "%s%s", k ? ", " : "", b->model->kpis[k].id);
    }
    return fp_fail(err, FP_REJECT, "unknown_kpi", "--kpi",
                   "the model has no KPI \"%.60s\"; there are: %s", name, known);
}

/* ---- programme and days ---------------------------------------------------------------------- */

static enum fp_status check_programme(const struct fp_backtest *b, const struct fp_pg_result *r,
                                      struct fp_error *err)
{
    if (fp_pg_rows(r) == 0)
        return fp_fail(err, FP_FATAL, "no_programme", "--postgres",
                       "nothing was ever counted in this database; let `flightpath run` fill it");
    if (strcmp(fp_pg_text(r, 0, 0), b->model->programme) != 0)
        return fp_fail(err, FP_REJECT, "other_programme", "programme.id",
                       "the database holds the programme \"%s\", the model is of \"%s\"; give the "
                       "other database or mend the model",
                       fp_pg_text(r, 0, 0), b->model->programme);
    if (strcmp(fp_pg_text(r, 0, 1), b->model->time_zone) != 0)
        return fp_fail(err, FP_REJECT, "other_time_zone", "programme.time_zone",
                       "the database counts days in \"%s\", the model in \"%s\"; keep the zone",
                       fp_pg_text(r, 0, 1), b->model->time_zone);
    if (fp_pg_is_null(r, 0, 3))
        return fp_fail(err, FP_FATAL, "no_history", "--postgres",
                       "no history: 0 days of answers are there, 56 are needed");
    return FP_OK;
}

/* The day up to which is judged: the one the daemon judged last, else the newest but one. */
static enum fp_status take_days(struct fp_backtest *b, const struct fp_pg_result *r,
                                struct fp_error *err)
{
    const struct fp_options *o = b->options;
    int32_t until = INT32_MAX;
    char text[24];
    b->day = (int32_t)(fp_pg_is_null(r, 0, 2) ? fp_pg_int(r, 0, 3) - 1 : fp_pg_int(r, 0, 2));
    b->from = INT32_MIN;
    fp_verify_bucket_text(text, sizeof text, b->day, false);
    if (*o->from && !fp_date_parse(fp_slice_of(o->from), &b->from))
        return fp_fail(err, FP_REJECT, "date", "--from", "no date like 2026-03-02");
    if (*o->until && !fp_date_parse(fp_slice_of(o->until), &until))
        return fp_fail(err, FP_REJECT, "date", "--until", "no date like 2026-03-02");
    if (b->from > until)
        return fp_fail(err, FP_REJECT, "days", "--from",
                       "%s is after --until %s; give days in their order", o->from, o->until);
    if (b->from > b->day)
        return fp_fail(err, FP_REJECT, "days", "--from",
                       "%s is after the newest day that can be judged; give %s or one before",
                       o->from, text);
    b->day = until < b->day ? until : b->day;
    return FP_OK;
}

static enum fp_status read_programme(struct fp_backtest *b, struct fp_error *err)
{
    struct fp_pg_result *r = NULL;
    enum fp_status status = fp_pg_exec(
        b->pg,
        "SELECT p.id, p.time_zone, l.judged, (SELECT max(t.day) FROM flightpath.kpi k CROSS JOIN"
        "  LATERAL (SELECT max(x.bucket) AS day FROM flightpath.tally_day x"
        "   WHERE x.series = k.series) t)"
        " FROM flightpath.programme p CROSS JOIN flightpath.watch_lease l",
        NULL, 0, CALL_MS, &r, err);
    if (status == FP_OK)
        status = check_programme(b, r, err);
    if (status == FP_OK)
        status = take_days(b, r, err);
    fp_pg_result_free(r);
    return status;
}

/* ---- series ---------------------------------------------------------------------------------- */

static void take_series(struct fp_backtest *b, const struct fp_pg_result *r)
{
    for (int k = 0; k < b->model->kpi_count; k++) {
        b->binding->series[k] = NO_SERIES;
        b->kpi[k].source =
            fp_kpi_of_answers(&b->model->kpis[k]) ? FP_BACKTEST_RESPONSES : FP_BACKTEST_LEFT_OUT;
    }
    for (int i = 0; i < fp_pg_rows(r); i++) {
        int k = (int)fp_pg_int(r, i, 0) - 1;
        bool current = *fp_pg_text(r, i, 2) == 't';
        if (!current && fp_kpi_of_answers(&b->model->kpis[k]))
            continue;
        b->binding->series[k] = (int32_t)fp_pg_int(r, i, 1);
        b->kpi[k].source = current ? FP_BACKTEST_TALLIES : FP_BACKTEST_OLD_TALLIES;
    }
}

static enum fp_status bind(struct fp_backtest *b, struct fp_error *err)
{
    const struct fp_model *m = b->model;
    struct fp_pg_result *r = NULL;
    struct fp_params p;
    b->kpi = fp_must_calloc((size_t)m->kpi_count, sizeof *b->kpi);
    b->binding = fp_must_calloc(1, sizeof *b->binding);
    b->binding->references = 1;
    b->binding->model = fp_model_retain(b->model);
    b->binding->series = fp_must_calloc((size_t)m->kpi_count, sizeof *b->binding->series);
    b->binding->fittings =
        fp_must_calloc((size_t)m->driver_model_count + 1, sizeof *b->binding->fittings);
    fp_params_init(&p, "TT");
    for (int k = 0; k < m->kpi_count; k++) {
        fp_pg_put_slice(&p.at[0], fp_slice_of(m->kpis[k].id));
        fp_pg_put_slice(&p.at[1], fp_slice_of(m->kpis[k].definition));
    }
    enum fp_status status =
        fp_pg_exec(b->pg,
                   "SELECT u.n, k.series, k.current FROM unnest($1, $2) WITH ORDINALITY"
                   "  AS u (kpi, definition, n)"
                   " JOIN flightpath.kpi k ON k.kpi = u.kpi AND k.definition = u.definition",
                   p.ref, p.count, CALL_MS, &r, err);
    fp_params_free(&p);
    if (status == FP_OK)
        take_series(b, r);
    fp_pg_result_free(r);
    return status;
}

enum fp_status fp_backtest_open(struct fp_backtest *b, struct fp_error *err)
{
    const struct fp_options *o = b->options;
    fp_sum_init(&b->sums, FP_SUM_TALLY);
    enum fp_status status = load_model(b, err);
    if (status == FP_OK)
        status = find_kpi(b, err);
    if (status == FP_OK)
        status = fp_pg_open(o->postgres, o->postgres_password, "flightpath/backtest", CALL_MS / 6,
                            &b->pg, err);
    if (status == FP_OK)
        status = fp_pg_exec(b->pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, 0,
                            CALL_MS, NULL, err);
    if (status == FP_OK)
        status = read_programme(b, err);
    if (status == FP_OK)
        status = bind(b, err);
    if (status == FP_OK)
        b->per_year = o->false_episodes > 0 ? o->false_episodes : b->model->false_episodes_per_year;
    return status;
}

void fp_backtest_free(struct fp_backtest *b)
{
    for (size_t i = 0; i < b->then_count; i++) {
        free(b->then[i].kpi_id);
        free(b->then[i].scope);
    }
    for (size_t i = 0; i < b->given_count; i++)
        free((void *)(uintptr_t)b->given[i].row);
    free(b->then);
    free(b->given);
    free(b->found);
    free(b->list.at);
    free(b->kpi);
    fp_sum_free(&b->sums);
    fp_watch_cells_free(b->cells);
    fp_binding_release(b->binding);
    fp_model_release(b->model);
    fp_pg_close(b->pg); /* ends the snapshot */
}
