/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cells of the watched series, loaded as a whole and kept up day by day.
 *
 * A refresh must leave what a load would have given, or say that it cannot (*stale): when the
 * history begins elsewhere, when there is no room for a unit, or when the last answers of a cell
 * went. The history begins at a multiple of 28 days, so that this is seldom: FP_WATCH_HISTORY_DAYS
 * back, or later, in the step that holds the oldest answers. Hazard: flags of a day follow from the
 * 56 days before it, and those of a KPI also from the KPI of straight-lining; a change is therefore
 * carried that far. */
#include "daemon/watch_cells.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/memory.h"
#include "daemon/watch_cells_parts.h"

#define CAPACITY (FP_WATCH_HISTORY_DAYS + FP_WATCH_STEP_DAYS)
#define SEASON 7
#define SETTINGS_MS 10000
#define SPARE_UNITS 16

static int32_t step_of(int32_t day)
{
    int32_t step = day / FP_WATCH_STEP_DAYS - (day % FP_WATCH_STEP_DAYS < 0);
    return step * FP_WATCH_STEP_DAYS;
}

/* ---- what is watched ------------------------------------------------------------------------- */

static void make_kpis(struct fp_watch_cells *cells)
{
    const struct fp_binding *binding = cells->binding;
    cells->kpis = binding->model->kpi_count;
    cells->kpi = fp_must_calloc((size_t)cells->kpis, sizeof *cells->kpi);
    for (int k = 0; k < cells->kpis; k++) {
        cells->kpi[k] = fp_cells_kpi(binding->model, k);
        cells->kpi[k].series = binding->series[k];
        cells->kpi[k].unit =
            fp_must_calloc((size_t)cells->unit_capacity, sizeof *cells->kpi[k].unit);
    }
}

static void make_estate(struct fp_watch_cells *cells, double per_year)
{
    const struct fp_model *model = cells->binding->model;
    struct cx_estate_kpi *kpi = fp_must_calloc((size_t)model->kpi_count, sizeof *kpi);
    for (int k = 0; k < model->kpi_count; k++) {
        kpi[k] = (struct cx_estate_kpi){
            .direction = model->kpis[k].direction == FP_LOWER_IS_BETTER ? -1 : 1,
            .composite = model->kpis[k].source != FP_SOURCE_STRAIGHT_LINING,
            .n_min = FP_WATCH_N_MIN};
        fp_cells_bounds(model, k, &kpi[k].low, &kpi[k].high);
    }
    struct cx_estate_config config = {.first = cells->first,
                                      .capacity = cells->capacity,
                                      .season = SEASON,
                                      .kpis = model->kpi_count,
                                      .units = cells->unit_capacity,
                                      .per_year =
                                          per_year > 0 ? per_year : model->false_episodes_per_year,
                                      .resize = realloc};
    cells->estate = cx_estate_new(&config, kpi);
    free(kpi);
    if (cells->estate == NULL)
        abort();
    for (int k = 0; k < cells->kpis; k++) {
        cells->kpi[k].whole = cx_estate_cells(cells->estate, k, -1);
        if (cells->kpi[k].whole == NULL)
            abort();
    }
}

/* Compiling a query for a moment's work costs more than it saves. */
static enum fp_status settings(struct fp_pg *pg, struct fp_error *err)
{
    return fp_pg_exec(pg, "SELECT set_config('jit', 'off', true)", NULL, 0, SETTINGS_MS, NULL, err);
}

/* ---- loading --------------------------------------------------------------------------------- */

static int32_t oldest_given(const struct fp_watch_history *history, int32_t from)
{
    int32_t oldest = INT32_MAX;
    for (size_t g = 0; g < history->given_count; g++)
        for (size_t i = 0; i < history->given[g].count; i++) {
            const struct fp_watch_given_row *row = &history->given[g].row[i];
            if (row->day >= from && row->day <= history->until && row->tally.n != 0)
                oldest = row->day < oldest ? row->day : oldest;
        }
    return oldest;
}

static enum fp_status load_kpi(struct fp_pg *pg, struct fp_watch_cells *cells, int kpi,
                               const struct fp_watch_history *history, struct fp_error *err)
{
    bool known;
    struct fp_cells_days all = {.from = cells->first, .until = cells->until};
    for (size_t g = 0; g < history->given_count; g++)
        if (history->given[g].kpi == kpi) {
            fp_cells_take_given(cells, &history->given[g]);
            return FP_OK;
        }
    return fp_cells_read_kpi(pg, cells, kpi, &all, &known, err);
}

static enum fp_status load(struct fp_pg *pg, struct fp_watch_cells *cells,
                           const struct fp_watch_history *history, struct fp_error *err)
{
    bool fits;
    int32_t earliest = step_of(cells->until - FP_WATCH_HISTORY_DAYS), oldest = INT32_MAX;
    enum fp_status status = settings(pg, err);
    if (status == FP_OK)
        status = fp_cells_read_units(pg, cells, &fits, err);
    if (status == FP_OK)
        status = fp_cells_read_oldest(pg, cells->binding, earliest, cells->until, &oldest, err);
    if (status != FP_OK)
        return status;
    int32_t given = oldest_given(history, earliest);
    oldest = given < oldest ? given : oldest;
    cells->first = oldest == INT32_MAX ? earliest : step_of(oldest);
    cells->first = cells->first < earliest ? earliest : cells->first;
    cells->unit_capacity = cells->units + cells->units / 4 + SPARE_UNITS;
    make_kpis(cells);
    make_estate(cells, history->per_year);
    for (int k = 0; status == FP_OK && k < cells->kpis; k++)
        status = load_kpi(pg, cells, k, history, err);
    for (int k = 0; status == FP_OK && k < cells->kpis; k++)
        fp_cells_flag(cells, k, cells->first, cells->until);
    cx_estate_changed(cells->estate, cells->first);
    return status;
}

enum fp_status fp_watch_cells_load(struct fp_pg *pg, const struct fp_binding *binding,
                                   int32_t until, double per_year, struct fp_watch_cells **cells,
                                   struct fp_error *err)
{
    const struct fp_watch_history stored = {.until = until, .per_year = per_year};
    return fp_watch_cells_load_given(pg, binding, &stored, cells, err);
}

enum fp_status fp_watch_cells_load_given(struct fp_pg *pg, const struct fp_binding *binding,
                                         const struct fp_watch_history *history,
                                         struct fp_watch_cells **cells, struct fp_error *err)
{
    *cells = fp_must_calloc(1, sizeof **cells);
    (*cells)->binding = fp_binding_retain((struct fp_binding *)(uintptr_t)binding);
    (*cells)->until = history->until;
    (*cells)->capacity = CAPACITY;
    enum fp_status status = load(pg, *cells, history, err);
    if (status != FP_OK) {
        fp_watch_cells_free(*cells);
        *cells = NULL;
    }
    return status;
}

void fp_watch_cells_free(struct fp_watch_cells *cells)
{
    if (cells == NULL)
        return;
    for (int k = 0; k < cells->kpis; k++) {
        for (int c = 0; c < cells->kpi[k].channels; c++)
            free(cells->kpi[k].count[c]);
        free(cells->kpi[k].count);
        free(cells->kpi[k].channel);
        free(cells->kpi[k].unit);
    }
    for (int u = 0; u < cells->units; u++)
        free(cells->unit_name[u]);
    free(cells->unit_name);
    free(cells->unit_id);
    free(cells->kpi);
    cx_estate_free(cells->estate);
    fp_binding_release(cells->binding);
    free(cells);
}

/* ---- refreshing ------------------------------------------------------------------------------ */

struct touched_days { /* of one KPI */
    int32_t *day;
    size_t count, capacity;
};

static int by_day(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void add_day(struct touched_days *days, int32_t day)
{
    FP_GROW(days->day, days->count, days->capacity);
    days->day[days->count++] = day;
}

static void sort_days(struct touched_days *days)
{
    size_t kept = 0;
    if (days->count)
        qsort(days->day, days->count, sizeof *days->day, by_day);
    for (size_t i = 0; i < days->count; i++)
        if (i == 0 || days->day[i] != days->day[kept - 1])
            days->day[kept++] = days->day[i];
    days->count = kept;
}

/* Which days each KPI is to be read of. False: an answer older than the history, which should begin
 * there. */
static bool gather(const struct fp_watch_cells *cells, const struct fp_watch_news *news,
                   struct touched_days *days)
{
    const struct fp_watch_touch *touched = news->touched;
    int32_t earliest = step_of(news->closed - FP_WATCH_HISTORY_DAYS);
    int hint = 0;
    for (size_t i = 0; i < news->count; i++) {
        int k = hint, looked = 0;
        while (looked < cells->kpis && cells->kpi[k].series != touched[i].series) {
            k = (k + 1) % cells->kpis;
            looked++;
        }
        if (looked == cells->kpis) /* of another model */
            continue;
        hint = k;
        if (touched[i].day < cells->first && touched[i].day >= earliest)
            return false;
        if (touched[i].day >= cells->first && touched[i].day <= cells->until)
            add_day(&days[k], touched[i].day);
    }
    for (int k = 0; k < cells->kpis; k++) {
        for (int32_t day = cells->until + 1; day <= news->closed; day++)
            add_day(&days[k], day);
        sort_days(&days[k]);
    }
    return true;
}

static enum fp_status read_days(struct fp_pg *pg, struct fp_watch_cells *cells, int k,
                                const struct touched_days *days, bool *stale, struct fp_error *err)
{
    bool known = true;
    struct fp_cells_days some = {.list = days->day, .count = (int)days->count};
    enum fp_status status = fp_cells_read_kpi(pg, cells, k, &some, &known, err);
    if (status != FP_OK || known)
        return status;
    bool fits = false;
    status = fp_cells_read_units(pg, cells, &fits, err);
    if (status == FP_OK && fits)
        status = fp_cells_read_kpi(pg, cells, k, &some, &known, err);
    *stale |= status == FP_OK && !(fits && known);
    return status;
}

static bool has_answers(const struct cx_watch_bucket *bucket, int days)
{
    for (int i = 0; i < days; i++)
        if (bucket[i].n > 0)
            return true;
    return false;
}

/* The last answers of a cell went, of days that were read: a load would not have asked for it. */
static bool cell_went(const struct fp_watch_cells *cells, int k, const struct touched_days *days)
{
    const struct fp_cells_kpi *kpi = &cells->kpi[k];
    for (int u = 0; u < cells->units; u++) {
        bool some = kpi->unit[u] == NULL;
        for (size_t i = 0; !some && i < days->count; i++)
            some = kpi->unit[u][days->day[i] - cells->first].n > 0;
        if (!some && !has_answers(kpi->unit[u], cells->until - cells->first + 1))
            return true;
    }
    return false;
}

/* The last answers of the history's first step went: a load would have begun later. */
static bool beginning_went(const struct fp_watch_cells *cells, const struct touched_days *days)
{
    bool touched = false;
    for (int k = 0; k < cells->kpis; k++)
        touched |= days[k].count && days[k].day[0] < cells->first + FP_WATCH_STEP_DAYS;
    int step = cells->until - cells->first + 1;
    step = step < FP_WATCH_STEP_DAYS ? step : FP_WATCH_STEP_DAYS;
    for (int k = 0; touched && k < cells->kpis; k++)
        touched = !has_answers(cells->kpi[k].whole, step);
    return touched;
}

/* Flags that the days of a KPI that were read may have changed, its own and those of the KPIs that
 * it is the straight-lining of; the estate is told of all that changed. */
static void flag_again(struct fp_watch_cells *cells, const struct touched_days *days)
{
    for (int k = 0; k < cells->kpis; k++) {
        int32_t from = INT32_MAX, until = INT32_MIN;
        const int source[] = {k, cells->kpi[k].straight};
        for (int i = 0; i < 2; i++) {
            const struct touched_days *d = source[i] == FP_NONE ? NULL : &days[source[i]];
            if (d == NULL || d->count == 0)
                continue;
            from = d->day[0] < from ? d->day[0] : from;
            until = d->day[d->count - 1] > until ? d->day[d->count - 1] : until;
        }
        if (from == INT32_MAX)
            continue;
        until = until > cells->until - CX_QUALITY_REACH ? cells->until : until + CX_QUALITY_REACH;
        int32_t flagged = fp_cells_flag(cells, k, from, until);
        if (flagged != INT32_MAX)
            cx_estate_changed(cells->estate, flagged);
        if (days[k].count)
            cx_estate_changed(cells->estate, days[k].day[0]);
    }
}

static enum fp_status refresh(struct fp_pg *pg, struct fp_watch_cells *cells,
                              const struct touched_days *days, bool *stale, struct fp_error *err)
{
    enum fp_status status = settings(pg, err);
    for (int k = 0; status == FP_OK && !*stale && k < cells->kpis; k++)
        if (days[k].count)
            status = read_days(pg, cells, k, &days[k], stale, err);
    if (status != FP_OK || *stale)
        return status;
    flag_again(cells, days);
    for (int k = 0; !*stale && k < cells->kpis; k++)
        *stale = days[k].count && cell_went(cells, k, &days[k]);
    *stale |= beginning_went(cells, days);
    return FP_OK;
}

enum fp_status fp_watch_cells_refresh(struct fp_pg *pg, struct fp_watch_cells *cells,
                                      const struct fp_watch_news *news, bool *stale,
                                      struct fp_error *err)
{
    enum fp_status status = FP_OK;
    *stale =
        news->closed < cells->until || step_of(news->closed - FP_WATCH_HISTORY_DAYS) > cells->first;
    if (*stale)
        return FP_OK;
    struct touched_days *days = fp_must_calloc((size_t)cells->kpis, sizeof *days);
    int32_t before = cells->until;
    *stale = !gather(cells, news, days);
    cells->until = news->closed;
    if (!*stale)
        status = refresh(pg, cells, days, stale, err);
    if (status != FP_OK) /* the same call again reads the same days */
        cells->until = before;
    for (int k = 0; k < cells->kpis; k++)
        free(days[k].day);
    free(days);
    return status;
}

/* ---- what there is --------------------------------------------------------------------------- */

struct cx_estate *fp_watch_cells_estate(struct fp_watch_cells *cells)
{
    return cells->estate;
}

const char *fp_watch_cells_unit(const struct fp_watch_cells *cells, int unit, int32_t *id)
{
    *id = cells->unit_id[unit];
    return cells->unit_name[unit];
}
