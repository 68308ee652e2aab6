/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cells → alerts, as they are after the newest closed day.
 *
 * Changes are the estate's episodes, one alert each. Missing answers and suspect data are looked at
 * on the newest days only, and are of a KPI as a whole before they are of its units: what stops
 * everywhere is told once. When all KPIs stop, or all of a unit, the first to stop is the incident
 * and the others belong to it; so do KPIs whose data become suspect within a week.
 * Hazard: what is found here must follow from the cells alone. A unit that is missing together with
 * its KPI as a whole, or data that were suspect long ago, are found all the same and marked
 * `only_stored`: an alert that is open stays open, but none is opened. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/memory.h"
#include "daemon/model_build.h"
#include "daemon/watch_parts.h"

#define BEFORE_DAYS 56  /* that `before` is the mean of */
#define UNJUDGED_DAYS 3 /* running, until it shows */
#define ALIVE_DAYS 56   /* since its last answers a KPI counts among those that can stop */
#define SUSPECT_DAYS 7  /* since suspect data came last */
#define SUSPECT_BACK 28 /* how far back they can have begun */

/* ---- of one series --------------------------------------------------------------------------- */

struct fp_alert fp_found_blank(const struct fp_watch_work *work,
                               const struct cx_estate_series *series, enum fp_alert_kind kind)
{
    struct fp_alert alert = {.kind = kind,
                             .level = (int)series->level,
                             .kpi = series->kpi < 0 ? FP_NONE : series->kpi,
                             .unit = FP_ALL_UNITS,
                             .unit_name = "",
                             .until = FP_NO_DAY,
                             .closed = FP_NO_DAY,
                             .how = "",
                             .verdict = "",
                             .posterior = NAN,
                             .dip = NAN,
                             .shift = NAN,
                             .trend = NAN,
                             .size = NAN,
                             .low = NAN,
                             .high = NAN,
                             .before = NAN,
                             .n = NAN,
                             .z = NAN};
    if (series->kpi >= 0)
        alert.series = work->binding->series[series->kpi];
    if (series->unit >= 0)
        alert.unit_name = fp_watch_cells_unit(work->cells, series->unit, &alert.unit);
    return alert;
}

enum fp_alert_state fp_watch_shown_state(const struct cx_estate_series *series, int64_t first,
                                         int32_t day)
{
    static const enum fp_alert_state open_states[] = {[CX_WATCH_QUIET] = FP_ALERT_FIRING,
                                                      [CX_WATCH_PENDING] = FP_ALERT_PENDING,
                                                      [CX_WATCH_FIRING] = FP_ALERT_FIRING,
                                                      [CX_WATCH_RECOVERING] = FP_ALERT_RECOVERING,
                                                      [CX_WATCH_RESOLVED] = FP_ALERT_RESOLVED};
    enum cx_watch_state now = series->now.state;
    bool few = now == CX_WATCH_INSUFFICIENT_N, none = true, suspect = false;
    enum fp_alert_state state = open_states[series->now.episode_state];
    if ((now != CX_WATCH_NO_DATA && !few) || day - first < UNJUDGED_DAYS)
        return state;
    const struct cx_watch_point *newest = &series->point[day - first];
    for (int back = 0; back < UNJUDGED_DAYS; back++) {
        const struct cx_watch_point *p = newest - back;
        /* more answers than on a day that has too few: taken for enough */
        if (p->data == CX_WATCH_LEFT_OUT ||
            (p->data == CX_WATCH_USABLE && !(few && p->n <= newest->n)))
            return state;
        none &= p->data == CX_WATCH_EMPTY;
        suspect |= p->data == CX_WATCH_IS_SUSPECT;
    }
    return suspect ? FP_ALERT_STATE_SUSPECT
           : none  ? FP_ALERT_STATE_NO_DATA
                   : FP_ALERT_STATE_INSUFFICIENT_N;
}

void fp_watch_fingerprint(const struct fp_watch_work *work, struct fp_alert *alert)
{
    static const char *const kinds[] = {"change", "no_data", "suspect_data"};
    const struct fp_model *model = work->binding->model;
    const struct fp_kpi *kpi = alert->kpi == FP_NONE ? NULL : &model->kpis[alert->kpi];
    char *text = NULL, hex[FP_HASH_HEX];
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL)
        abort(); /* out of memory, as in memory.h */
    fprintf(out, "%s\x1f%s\x1f%s\x1f", model->programme, kpi ? kpi->id : "*",
            kpi ? kpi->definition : "");
    if (alert->unit != FP_ALL_UNITS)
        fprintf(out, "unit:%s", alert->unit_name);
    else if (kpi && kpi->journey != FP_NONE)
        fprintf(out, "journey:%s", model->journeys[kpi->journey].id);
    else
        fputs("all", out);
    fprintf(out, "\x1f%s\x1f%d", kinds[alert->kind], (int)alert->incident);
    if (fclose(out) != 0)
        abort();
    fp_hash_hex(text, len, hex);
    free(text);
    snprintf(alert->fingerprint, sizeof alert->fingerprint, "%.16s", hex);
}

static const struct cx_watch_bucket *cells_of(const struct fp_watch_work *work,
                                              const struct cx_estate_series *series)
{
    return cx_estate_cells(fp_watch_cells_estate(work->cells), series->kpi, series->unit);
}

/* Mean of all answers of the days before `start`; NAN: there are none, or it is of several KPIs. */
static double level_before(const struct fp_watch_work *work, const struct cx_estate_series *series,
                           int64_t start)
{
    int64_t first = cx_estate_first(fp_watch_cells_estate(work->cells));
    double n = 0, mean = 0;
    if (series->kpi < 0)
        return NAN;
    const struct cx_watch_bucket *cell = cells_of(work, series);
    for (int64_t day = start - BEFORE_DAYS; cell != NULL && day < start; day++) {
        const struct cx_watch_bucket *b = &cell[day - first];
        if (day < first || b->n <= 0 || b->flags)
            continue;
        n += b->n;
        mean += (b->mean - mean) * b->n / n;
    }
    return n > 0 ? mean : NAN;
}

int32_t fp_watch_answers_again(const struct fp_watch_work *work,
                               const struct cx_estate_series *series, int32_t start)
{
    int64_t first = cx_estate_first(fp_watch_cells_estate(work->cells));
    const struct cx_watch_bucket *cell = series->kpi < 0 ? NULL : cells_of(work, series);
    for (int32_t day = start + 1; cell != NULL && day < work->day; day++)
        if (day >= first && cell[day - first].n > 0 &&
            !(cell[day - first].flags & CX_WATCH_SUSPECT))
            return day;
    return work->day;
}

static struct fp_found *add(struct fp_found_list *list)
{
    FP_GROW(list->at, list->count, list->capacity);
    struct fp_found *found = &list->at[list->count++];
    *found = (struct fp_found){.joined = (int)list->count - 1, .stored = -1};
    return found;
}

/* ---- changes --------------------------------------------------------------------------------- */

static bool is_worse(const struct fp_watch_work *work, const struct fp_alert *alert)
{
    if (alert->kpi == FP_NONE)
        return alert->sign < 0; /* SD, + is better */
    bool higher = work->binding->model->kpis[alert->kpi].direction == FP_HIGHER_IS_BETTER;
    return higher ? alert->sign < 0 : alert->sign > 0;
}

static void take_class(struct fp_alert *alert, const struct cx_estate_episode *e)
{
    const struct cx_watch_class *class = &e->class;
    alert->start = (int32_t)e->split.start;
    alert->z = e->split.z;
    if (class->verdict == CX_WATCH_UNKNOWN) {
        alert->size = e->split.shift;
        return;
    }
    alert->verdict = cx_watch_verdict_name(class->verdict);
    alert->posterior = class->posterior;
    alert->dip = class->dip;
    alert->shift = class->shift;
    alert->trend = class->trend;
    alert->start = (int32_t) class->start;
    if (class->verdict == CX_WATCH_DIP)
        alert->until = (int32_t) class->until;
    alert->size = class->size;
    alert->low = class->low;
    alert->high = class->high;
    alert->n = class->n;
}

static void take_episode(const struct fp_watch_work *work, const struct cx_estate_series *series,
                         const struct cx_estate_episode *e, struct fp_alert *alert)
{
    int64_t first = cx_estate_first(fp_watch_cells_estate(work->cells));
    *alert = fp_found_blank(work, series, FP_ALERT_CHANGE);
    alert->incident = alert->noticed = (int32_t)e->incident;
    alert->opened = (int32_t)e->opened;
    alert->sign = e->sign;
    take_class(alert, e);
    alert->before = level_before(work, series, alert->start);
    alert->worse = is_worse(work, alert);
    if (e->closed != INT64_MIN) {
        alert->closed = (int32_t)e->closed;
        alert->how = cx_watch_change_name(e->how);
        alert->state = FP_ALERT_RESOLVED;
    } else {
        alert->state = fp_watch_shown_state(series, first, work->day);
        alert->provisional = series->now.episode_state == CX_WATCH_PENDING;
    }
}

static void find_changes(const struct fp_watch_work *work, struct fp_found_list *list)
{
    const struct cx_estate *estate = fp_watch_cells_estate(work->cells);
    int count = cx_estate_series_count(estate);
    int *base = fp_must_calloc((size_t)count, sizeof *base); /* place of a series' first episode */
    for (int s = 0, place = 0; s < count; s++) {
        base[s] = place;
        place += cx_estate_series(estate, s)->episodes;
    }
    for (int s = 0; s < count; s++) {
        const struct cx_estate_series *series = cx_estate_series(estate, s);
        for (int e = 0; e < series->episodes; e++) {
            struct fp_found *found = add(list);
            const struct cx_estate_episode *episode = &series->episode[e];
            take_episode(work, series, episode, &found->alert);
            found->joined = base[episode->joined_series] + episode->joined_episode;
        }
    }
    free(base);
}

/* ---- missing answers ------------------------------------------------------------------------- */

struct stopped { /* KPIs, as a whole or of one unit */
    int alive, missing;
    int from, first; /* places in the list: of the first added, of the one that stopped first */
};

static void note_missing(const struct fp_watch_work *work, struct fp_found_list *list,
                         const struct cx_estate_series *series, struct stopped *stopped,
                         bool *missing)
{
    int32_t since = 0;
    *missing =
        fp_watch_cells_missing(work->cells, series->kpi, series->unit, work->day, &since) > 0;
    stopped->alive += *missing || (series->last_answers != INT64_MIN &&
                                   work->day - series->last_answers <= ALIVE_DAYS);
    if (!*missing)
        return;
    struct fp_found *found = add(list);
    int place = (int)list->count - 1;
    found->alert = fp_found_blank(work, series, FP_ALERT_NO_DATA);
    found->alert.incident = found->alert.noticed = found->alert.opened = found->alert.start = since;
    found->alert.state = FP_ALERT_STATE_NO_DATA;
    found->alert.sign = -1;
    if (stopped->missing++ == 0)
        stopped->from = stopped->first = place;
    else if (since < list->at[stopped->first].alert.start)
        stopped->first = place;
}

/* All that could stop did: one incident. */
static void join_missing(struct fp_found_list *list, const struct stopped *stopped)
{
    if (stopped->missing < 2 || stopped->missing < stopped->alive)
        return;
    for (int i = stopped->from; i < stopped->from + stopped->missing; i++)
        list->at[i].joined = stopped->first;
}

static void find_missing(const struct fp_watch_work *work, struct fp_found_list *list)
{
    const struct cx_estate *estate = fp_watch_cells_estate(work->cells);
    bool *whole = fp_must_calloc((size_t)work->binding->model->kpi_count, sizeof *whole);
    struct stopped stopped = {0};
    int unit = -1; /* series come wholes first, then by unit */
    for (int s = 0; s < cx_estate_series_count(estate); s++) {
        const struct cx_estate_series *series = cx_estate_series(estate, s);
        bool missing = false;
        if (series->kpi < 0)
            continue;
        if (series->unit != unit) {
            join_missing(list, &stopped);
            stopped = (struct stopped){0};
            unit = series->unit;
        }
        note_missing(work, list, series, &stopped, &missing);
        if (missing && unit >= 0)
            list->at[list->count - 1].only_stored = whole[series->kpi];
        if (unit < 0)
            whole[series->kpi] = missing;
    }
    join_missing(list, &stopped);
    free(whole);
}

/* ---- suspect data ---------------------------------------------------------------------------- */

/* First of the suspect days that end at `day`. */
static int32_t suspect_since(const struct fp_watch_work *work,
                             const struct cx_estate_series *series, int32_t day)
{
    int32_t since = day;
    while (day - since < SUSPECT_BACK &&
           fp_watch_cells_suspect(work->cells, series->kpi, series->unit, since - 1) != NULL)
        since--;
    return since;
}

/* Whether this series' newest answers are suspect; then it is in the list. */
static bool note_suspect(const struct fp_watch_work *work, struct fp_found_list *list,
                         const struct cx_estate_series *series)
{
    if (series->last_answers == INT64_MIN)
        return false;
    int32_t last = (int32_t)series->last_answers;
    const char *reason = fp_watch_cells_suspect(work->cells, series->kpi, series->unit, last);
    if (reason == NULL)
        return false;
    struct fp_found *found = add(list);
    found->reason = strdup(reason); /* the words of one day at a time; NULL: then without */
    found->only_stored = work->day - last >= SUSPECT_DAYS;
    found->alert = fp_found_blank(work, series, FP_ALERT_SUSPECT);
    found->alert.incident = found->alert.noticed = found->alert.opened = found->alert.start =
        suspect_since(work, series, last);
    found->alert.state = FP_ALERT_STATE_SUSPECT;
    found->alert.sign = -1;
    return true;
}

/* The newest joins the first one from `from` on that began within a week of it and is an incident.
 */
static void join_suspect(struct fp_found_list *list, size_t from)
{
    struct fp_found *newest = &list->at[list->count - 1];
    for (size_t i = from; i + 1 < list->count; i++)
        if (list->at[i].joined == (int)i && !list->at[i].only_stored &&
            abs(newest->alert.start - list->at[i].alert.start) <= CX_WATCH_JOIN_PARENT) {
            newest->joined = (int)i;
            return;
        }
}

static void find_suspect(const struct fp_watch_work *work, struct fp_found_list *list)
{
    const struct cx_estate *estate = fp_watch_cells_estate(work->cells);
    bool *whole = fp_must_calloc((size_t)work->binding->model->kpi_count, sizeof *whole);
    size_t from = list->count;
    int unit = -1;
    for (int s = 0; s < cx_estate_series_count(estate); s++) {
        const struct cx_estate_series *series = cx_estate_series(estate, s);
        if (series->kpi < 0)
            continue;
        if (series->unit != unit)
            from = list->count;
        unit = series->unit;
        if (!note_suspect(work, list, series))
            continue;
        if (unit < 0)
            whole[series->kpi] = true;
        else
            list->at[list->count - 1].only_stored |= whole[series->kpi];
        join_suspect(list, from);
    }
    free(whole);
}

void fp_watch_find(const struct fp_watch_work *work, struct fp_found_list *list)
{
    find_changes(work, list);
    find_missing(work, list);
    find_suspect(work, list);
}

void fp_watch_found_free(struct fp_found_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->at[i].reason);
    free(list->at);
}
