/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was found against what is stored.
 *
 * Alerts are the same by the rule that the daemon keeps them by (fp_watch_match), among those of
 * the same KPI, level and unit; of a KPI that is counted differently, those of its definition in
 * force. Withdrawn ones do not count: late answers took them back. A stored alert of a series that
 * is not judged on its day (too long ago, too little history, a KPI that is gone) is no miss. */
#include <stdlib.h>
#include <string.h>

#include "daemon/backtest.h"
#include "daemon/memory.h"
#include "daemon/params.h"

#define CALL_MS 60000

bool fp_backtest_reported(const struct fp_backtest *b, int kpi, int32_t incident)
{
    return incident >= b->from && incident <= b->day && (b->only == FP_NONE || kpi == b->only);
}

/* ---- stored ---------------------------------------------------------------------------------- */

static char *copy(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(fp_must_calloc(size, 1), text, size);
}

static void take_then(struct fp_backtest *b, const struct fp_pg_result *r, int row)
{
    FP_GROW(b->then, b->then_count, b->then_capacity);
    struct fp_backtest_then *t = &b->then[b->then_count++];
    const char *kpi = fp_pg_text(r, row, 1);
    bool all = strcmp(kpi, "*") == 0;
    *t = (struct fp_backtest_then){
        .level = (int)fp_pg_int(r, row, 0),
        .kpi = all ? FP_NONE : fp_model_find(b->model, FP_KIND_KPI, fp_slice_of(kpi)),
        .unit = (int32_t)fp_pg_int(r, row, 2),
        .span = {.incident = (int32_t)fp_pg_int(r, row, 4),
                 .start = (int32_t)fp_pg_int(r, row, 5),
                 .closed = fp_pg_is_null(r, row, 6) ? FP_NO_DAY : (int32_t)fp_pg_int(r, row, 6),
                 .sign = (int)fp_pg_int(r, row, 7)},
        .kpi_id = copy(kpi),
        .scope = copy(fp_pg_text(r, row, 3))};
    t->known = all || t->kpi != FP_NONE;
    snprintf(t->fingerprint, sizeof t->fingerprint, "%.16s", fp_pg_text(r, row, 8));
    snprintf(t->verdict, sizeof t->verdict, "%.11s", fp_pg_text(r, row, 9));
}

static enum fp_status read_then(struct fp_backtest *b, struct fp_error *err)
{
    struct fp_pg_result *r = NULL;
    struct fp_params p;
    fp_params_init(&p, "i");
    fp_pg_put_int(&p.at[0], b->day);
    enum fp_status status = fp_pg_exec(
        b->pg,
        "SELECT a.level, coalesce(k.kpi, '*'), a.unit,"
        " flightpath.watch_scope(a.unit, u.name, k.journey), a.incident, a.start, a.closed, a.sign,"
        " a.fingerprint, a.verdict FROM flightpath.alert a"
        " LEFT JOIN flightpath.kpi k ON k.series = a.series"
        " LEFT JOIN flightpath.name u ON u.kind = 0 AND u.id = a.unit"
        " WHERE a.kind = 0 AND a.state <> 'withdrawn' AND a.incident <= $1"
        "  AND (a.series = 0 OR k.current) ORDER BY a.incident, a.level, 2, 4, a.fingerprint",
        p.ref, p.count, CALL_MS, &r, err);
    fp_params_free(&p);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(r); i++)
        take_then(b, r, i);
    fp_pg_result_free(r);
    return status;
}

/* ---- matching -------------------------------------------------------------------------------- */

static bool same_series(const struct fp_alert *a, const struct fp_backtest_then *t)
{
    return t->known && a->level == t->level && a->kpi == t->kpi && a->unit == t->unit;
}

/* Found ones first … first + count − 1 are of one series. */
static void match_series(struct fp_backtest *b, size_t first, size_t count)
{
    struct fp_watch_span *found = fp_must_calloc(count, sizeof *found);
    struct fp_watch_span *stored = fp_must_calloc(b->then_count, sizeof *stored);
    size_t *place = fp_must_calloc(b->then_count, sizeof *place);
    int *match = fp_must_calloc(count, sizeof *match);
    int those = 0;
    for (size_t i = 0; i < count; i++) {
        const struct fp_alert *a = b->found[first + i].alert;
        found[i] = (struct fp_watch_span){a->incident, a->start, a->closed, a->sign, false};
    }
    for (size_t i = 0; i < b->then_count; i++)
        if (same_series(b->found[first].alert, &b->then[i])) {
            place[those] = i;
            stored[those++] = b->then[i].span;
        }
    fp_watch_match(found, (int)count, stored, those, match);
    for (size_t i = 0; i < count; i++)
        if (match[i] >= 0) {
            b->found[first + i].then = (int)place[match[i]];
            b->then[place[match[i]]].matched = true;
        }
    free(found);
    free(stored);
    free(place);
    free(match);
}

static void match_all(struct fp_backtest *b)
{
    for (size_t i = 0, end; i < b->found_count; i = end) {
        const struct fp_alert *a = b->found[i].alert;
        for (end = i + 1; end < b->found_count; end++) {
            const struct fp_alert *next = b->found[end].alert;
            if (next->level != a->level || next->kpi != a->kpi || next->unit != a->unit)
                break;
        }
        match_series(b, i, end - i);
    }
}

/* Whether the series of a stored alert is judged on the day it was noticed. */
static bool is_judged(const struct fp_backtest *b, const struct fp_backtest_then *t)
{
    const struct cx_estate *estate = fp_watch_cells_estate(b->cells);
    for (int s = 0; t->known && s < cx_estate_series_count(estate); s++) {
        const struct cx_estate_series *series = cx_estate_series(estate, s);
        int32_t unit = FP_ALL_UNITS;
        if ((int)series->level != t->level || series->kpi != (t->kpi == FP_NONE ? -1 : t->kpi))
            continue;
        if (series->unit >= 0)
            (void)fp_watch_cells_unit(b->cells, series->unit, &unit);
        if (unit == t->unit)
            return series->baseline > 0 && t->span.incident >= series->judged_from;
    }
    return false;
}

/* ---- found ----------------------------------------------------------------------------------- */

static bool may_be_shown(const struct fp_model *model, const struct fp_alert *alert)
{
    int min_n = model->min_n;
    if (alert->kpi == FP_NONE)
        min_n = model->min_n_employee > min_n ? model->min_n_employee : min_n;
    else if (fp_kpi_of_events(&model->kpis[alert->kpi]))
        return true;
    else if (model->kpis[alert->kpi].audience == FP_AUDIENCE_EMPLOYEE)
        min_n = model->min_n_employee;
    return alert->n >= min_n;
}

static void take_found(struct fp_backtest *b, const struct fp_watch_work *work)
{
    fp_watch_find(work, &b->list);
    b->found = fp_must_calloc(b->list.count, sizeof *b->found);
    for (size_t i = 0; i < b->list.count; i++) { /* changes lead the list */
        struct fp_found *f = &b->list.at[i];
        if (f->alert.kind != FP_ALERT_CHANGE)
            break;
        fp_watch_fingerprint(work, &f->alert);
        b->found[b->found_count++] =
            (struct fp_backtest_found){.alert = &f->alert,
                                       .joined = f->joined,
                                       .then = -1,
                                       .shown = may_be_shown(b->model, &f->alert)};
    }
}

/* First day with answers of any KPI; beyond `day`: none. */
static int32_t first_answers(const struct fp_backtest *b)
{
    struct cx_estate *estate = fp_watch_cells_estate(b->cells);
    int32_t first = (int32_t)cx_estate_first(estate), oldest = b->day + 1;
    for (int k = 0; k < b->model->kpi_count; k++) {
        const struct cx_watch_bucket *cell = cx_estate_cells(estate, k, -1);
        for (int32_t day = first; cell != NULL && day < oldest; day++)
            if (cell[day - first].n > 0)
                oldest = day;
    }
    return oldest;
}

static enum fp_status check_history(const struct fp_backtest *b, struct fp_error *err)
{
    const struct cx_estate *estate = fp_watch_cells_estate(b->cells);
    for (int s = 0; s < cx_estate_series_count(estate); s++)
        if (cx_estate_series(estate, s)->baseline > 0)
            return FP_OK;
    return fp_fail(err, FP_FATAL, "no_history", *b->options->until ? "--until" : "--postgres",
                   "not enough history: %d days since the first answers are there, %d are needed, "
                   "28 of them with answers; wait%s",
                   (int)(b->day + 1 - first_answers(b)), CX_WATCH_BASELINE,
                   *b->options->until ? ", or give a later --until" : " for more");
}

enum fp_status fp_backtest_compare(struct fp_backtest *b, struct fp_error *err)
{
    const struct fp_watch_work work = {
        .pg = b->pg, .binding = b->binding, .cells = b->cells, .day = b->day, .before = FP_NO_DAY};
    enum fp_status status = check_history(b, err);
    if (status != FP_OK)
        return status;
    take_found(b, &work);
    status = read_then(b, err);
    if (status != FP_OK)
        return status;
    match_all(b);
    for (size_t i = 0; i < b->then_count; i++)
        b->then[i].judged = b->then[i].matched || is_judged(b, &b->then[i]);
    return FP_OK;
}
