/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the rows of driver_state to sets of patterns.
 *
 * The window is that of the series as it stood when the states were read: its newest day is read
 * first, so a state of a later day is left to the next refresh. States are read twice, first to
 * count (driver_state.h), so that memory follows from the patterns that are kept; there are as many
 * of those as config->memory_max allows, at most FP_PATTERN_CAP. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/fixed.h"
#include "daemon/refresh_parts.h"

#define SLOTS_MIN 1024

/* ---- the series ------------------------------------------------------------------------------ */

static int sign_of(enum fp_direction direction)
{
    return direction == FP_HIGHER_IS_BETTER ? 1 : -1;
}

static void scale_of_item(struct fp_refresh_job *job, int column, int item)
{
    const struct fp_model *model = job->binding->model;
    const struct fp_scale *scale = &model->scales[model->items[item].scale];
    job->low[column] = scale->min;
    job->high[column] = scale->max;
    job->range[column] = (double)scale->max - scale->min;
    job->direction[column] = sign_of(model->items[item].direction);
}

void fp_refresh_scales(struct fp_refresh_job *job)
{
    const struct fp_driver_model *dm = job->fitting->model;
    for (int i = 0; i < dm->driver_count; i++)
        scale_of_item(job, i, dm->drivers[i]);
    for (int i = 0; i < dm->measure_count; i++) {
        const struct fp_measure *m = &job->binding->model->measures[dm->measures[i]];
        int column = job->fitting->first_measure + i;
        job->low[column] = (double)m->min / cx_fixed_unit(m->decimals);
        job->high[column] = (double)m->max / cx_fixed_unit(m->decimals);
        job->range[column] = 0;
        job->direction[column] = sign_of(m->direction);
    }
    scale_of_item(job, job->fitting->columns - 1, dm->outcome);
}

enum fp_status fp_refresh_read_series(struct fp_refresh_job *job, struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *result = NULL;
    fp_params_init(&p, "i");
    fp_pg_put_int(&p.at[0], job->fitting->series);
    enum fp_status status = fp_pg_exec(job->pg,
                                       "SELECT newest, newest - window_days + 1, detractor_cut"
                                       " FROM flightpath.driver_series WHERE series = $1",
                                       p.ref, p.count, FP_REFRESH_DEADLINE_MS, &result, err);
    fp_params_free(&p);
    job->has_window = status == FP_OK && fp_pg_rows(result) == 1 && !fp_pg_is_null(result, 0, 0);
    if (job->has_window) {
        job->day = (int32_t)fp_pg_int(result, 0, 0);
        job->first_day = (int32_t)fp_pg_int(result, 0, 1);
        job->cut = strtod(fp_pg_text(result, 0, 2), NULL);
    }
    fp_pg_result_free(result);
    return status;
}

enum fp_status fp_refresh_read_before(struct fp_refresh_job *job, struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *result = NULL;
    fp_params_init(&p, "ihii");
    fp_pg_put_int(&p.at[0], job->fitting->series);
    fp_pg_put_int(&p.at[1], job->kind);
    fp_pg_put_int(&p.at[2], job->segment);
    fp_pg_put_int(&p.at[3], job->day);
    enum fp_status status = fp_pg_exec(
        job->pg,
        "SELECT r.driver, (r.key = 'key')::int, (f.top_group = ARRAY[r.driver])::int"
        " FROM flightpath.driver_fit f JOIN flightpath.driver_result r"
        "  ON r.series = f.series AND r.kind = f.kind AND r.segment = f.segment AND r.day = f.day"
        " WHERE f.series = $1 AND f.kind = $2 AND f.segment = $3 AND f.day = ("
        "  SELECT max(day) FROM flightpath.driver_fit WHERE series = $1 AND kind = $2"
        "  AND segment = $3 AND day < $4 AND status = 'ok')",
        p.ref, p.count, FP_REFRESH_DEADLINE_MS, &result, err);
    fp_params_free(&p);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(result); i++) {
        int driver = (int)fp_pg_int(result, i, 0) - 1;
        if (driver < 0 || driver >= job->fitting->columns - 1)
            continue;
        job->was_key[driver] = fp_pg_int(result, i, 1) == 1;
        if (fp_pg_int(result, i, 2) == 1)
            job->was_top = UINT64_C(1) << driver;
    }
    fp_pg_result_free(result);
    return status;
}

/* ---- states ---------------------------------------------------------------------------------- */

enum fp_status fp_refresh_read_states(struct fp_refresh_job *job, struct fp_error *err)
{
    struct fp_params p;
    bool units = job->kind == FP_SEGMENT_UNIT;
    fp_params_init(&p, "ihiiio");
    fp_pg_put_int(&p.at[0], job->fitting->series);
    fp_pg_put_int(&p.at[1], job->kind);
    fp_pg_put_int(&p.at[2], job->segment);
    fp_pg_put_int(&p.at[3], job->first_day);
    fp_pg_put_int(&p.at[4], job->day);
    fp_pg_put_int(&p.at[5], units);
    enum fp_status status =
        fp_pg_exec(job->pg,
                   "SELECT segment, day, people, state FROM flightpath.driver_state"
                   " WHERE series = $1 AND kind = $2 AND ($6 OR segment = $3)"
                   " AND day BETWEEN $4 AND $5 ORDER BY segment, day, people",
                   p.ref, p.count, FP_REFRESH_DEADLINE_MS, &job->rows, err);
    fp_params_free(&p);
    if (status != FP_OK)
        return status;
    job->state_count = fp_pg_rows(job->rows);
    job->states = fp_room_take(job, FP_ROOM_STATES, (size_t)job->state_count * sizeof *job->states);
    if (job->states == NULL)
        return fp_refresh_no_memory(err);
    for (int i = 0; i < job->state_count; i++) {
        struct fp_refresh_state *state = &job->states[i];
        *state = (struct fp_refresh_state){.segment = (int32_t)fp_pg_int(job->rows, i, 0),
                                           .day = (int32_t)fp_pg_int(job->rows, i, 1),
                                           .people = (int)fp_pg_int(job->rows, i, 2)};
        state->bytes = fp_pg_bytes(job->rows, i, 3, &state->len);
    }
    return FP_OK;
}

enum fp_status fp_refresh_bad_state(const struct fp_refresh_job *job,
                                    const struct fp_refresh_state *state,
                                    enum cx_state_status status, struct fp_error *err)
{
    return fp_fail(err, FP_POISON, status == CX_STATE_OVERFLOW ? "state_overflow" : "state_corrupt",
                   "flightpath.driver_state",
                   "series %" PRId32 ", kind %d, segment %" PRId32 ", day %" PRId32
                   ", people %d: %s",
                   job->fitting->series, job->kind, state->segment, state->day, state->people,
                   status == CX_STATE_OVERFLOW ? "a sum is beyond its range"
                                               : "the bytes are no state of this model");
}

/* ---- counting, the cap ----------------------------------------------------------------------- */

static enum fp_status count(struct fp_refresh_job *job, int from, int to, struct fp_error *err)
{
    struct cx_collect *collect = &job->scratch->sets.collect;
    bool full = true;
    for (size_t slots = SLOTS_MIN; full; slots *= 2) {
        struct cx_collect_slot *slot = fp_room_take(job, FP_ROOM_SLOTS, slots * sizeof *slot);
        if (slot == NULL)
            return fp_refresh_no_memory(err);
        cx_collect_init(collect, job->fitting->columns, slot, slots, job->scratch->kept_observed);
        full = false;
        for (int i = from; i < to && !full; i++) {
            struct fp_refresh_state *state = &job->states[i];
            int64_t before = collect->counts.rows;
            enum cx_state_status status =
                cx_collect_count(collect, state->bytes, state->len, &full);
            if (status != CX_STATE_OK)
                return fp_refresh_bad_state(job, state, status, err);
            state->rows = collect->counts.rows - before;
        }
    }
    return FP_OK;
}

int fp_pattern_cap(size_t (*needed)(void *context, int cap), void *context, size_t most)
{
    int low = 1, high = FP_PATTERN_CAP; /* the answer is within; low is taken as fitting */
    if (needed(context, high) <= most)
        return high;
    for (high--; low < high;) {
        int middle = (low + high + 1) / 2;
        if (needed(context, middle) <= most)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Bytes of the total, of the groups (none has more than the total) and of the library. */
static size_t bytes_needed(void *context, int cap)
{
    struct fp_refresh_sets *sets = context;
    struct cx_collect *collect = &sets->collect;
    cx_collect_plan(collect, cap);
    size_t each = cx_collect_cells(collect) * sizeof(cx_wide) +
                  (size_t)collect->kept * sizeof(struct cx_pattern);
    return each * (size_t)(sets->groups + 1) + cx_drivers_memory(collect->columns, collect->kept);
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* group[i] of state from + i, −1 = none; how many, and when each run of days begins. */
static bool group_by_days(struct fp_refresh_job *job, int from, int to, int8_t *group)
{
    struct fp_refresh_sets *sets = &job->scratch->sets;
    int32_t first = INT32_MAX, last = INT32_MIN;
    for (int i = from; i < to; i++)
        if (job->states[i].rows > 0) {
            first = job->states[i].day < first ? job->states[i].day : first;
            last = job->states[i].day > last ? job->states[i].day : last;
        }
    int days = last < first ? 0 : (int)(last - first) + 1;
    int64_t *rows = fp_room_take(job, FP_ROOM_WORK, (size_t)(days + 1) * (sizeof *rows + 1));
    if (rows == NULL)
        return false;
    int8_t *run = (int8_t *)(rows + days);
    memset(rows, 0, (size_t)days * sizeof *rows);
    for (int i = from; i < to; i++)
        if (job->states[i].day >= first && job->states[i].day <= last)
            rows[job->states[i].day - first] += job->states[i].rows;
    sets->groups = cx_day_runs(rows, days, run);
    for (int d = days - 1; d >= 0; d--)
        if (run[d] >= 0)
            sets->first_day[run[d]] = first + d;
    for (int i = from; i < to; i++) {
        int32_t day = job->states[i].day;
        group[i - from] = day >= first && day <= last ? run[day - first] : -1;
    }
    return true;
}

static void group_by_people(struct fp_refresh_job *job, int from, int to, int8_t *group)
{
    job->scratch->sets.groups = FP_PANEL_GROUPS;
    for (int i = from; i < to; i++) {
        int people = job->states[i].people;
        group[i - from] = people >= 0 && people < FP_PANEL_GROUPS ? (int8_t)people : -1;
    }
}

/* ---- adding ---------------------------------------------------------------------------------- */

/* An empty set at *patterns, *cells, which move on. */
static void place(struct cx_set *set, const struct cx_collect *collect,
                  struct cx_pattern **patterns, cx_wide **cells)
{
    size_t size = cx_collect_cells(collect);
    cx_set_init(set, collect->columns, *patterns, collect->kept);
    cx_set_give_cells(set, *cells, size);
    *patterns += collect->kept;
    *cells += size;
}

static enum fp_status add(struct fp_refresh_job *job, int from, int to, const int8_t *group,
                          struct fp_error *err)
{
    struct fp_refresh_sets *sets = &job->scratch->sets;
    const struct cx_collect *collect = &sets->collect;
    size_t parts = (size_t)sets->groups + 1;
    cx_wide *cells =
        fp_room_take(job, FP_ROOM_CELLS, parts * cx_collect_cells(collect) * sizeof *cells);
    struct cx_pattern *patterns =
        fp_room_take(job, FP_ROOM_SETS, parts * (size_t)collect->kept * sizeof *patterns);
    void *work = fp_room_take(job, FP_ROOM_WORK, cx_collect_work(collect->columns));
    if (cells == NULL || patterns == NULL || work == NULL)
        return fp_refresh_no_memory(err);
    place(&sets->total, collect, &patterns, &cells);
    for (int g = 0; g < sets->groups; g++)
        place(&sets->group[g], collect, &patterns, &cells);
    for (int i = from; i < to; i++) {
        const struct fp_refresh_state *state = &job->states[i];
        struct cx_set *set = group[i - from] < 0 ? &sets->total : &sets->group[group[i - from]];
        enum cx_state_status status = cx_collect_add(collect, set, state->bytes, state->len, work);
        if (status != CX_STATE_OK)
            return fp_refresh_bad_state(job, state, status, err);
    }
    for (int g = 0; g < sets->groups; g++)
        if (cx_set_merge(&sets->total, &sets->group[g], 1) != CX_SET_OK)
            return fp_refresh_bad_state(job, &job->states[from], CX_STATE_OVERFLOW, err);
    return FP_OK;
}

enum fp_status fp_refresh_sets(struct fp_refresh_job *job, int from, int to,
                               enum fp_refresh_groups groups, struct fp_error *err)
{
    struct fp_refresh_sets *sets = &job->scratch->sets;
    enum fp_status status = count(job, from, to, err);
    if (status != FP_OK)
        return status;
    int8_t *group = fp_room_take(job, FP_ROOM_BLOCKS, (size_t)(to - from) + 1);
    if (group == NULL)
        return fp_refresh_no_memory(err);
    memset(group, -1, (size_t)(to - from) + 1);
    sets->groups = 0;
    if (groups == FP_GROUPS_PEOPLE)
        group_by_people(job, from, to, group);
    else if (groups == FP_GROUPS_DAYS && !group_by_days(job, from, to, group))
        return fp_refresh_no_memory(err);
    cx_collect_plan(&sets->collect, fp_pattern_cap(bytes_needed, sets, job->config->memory_max));
    return add(job, from, to, group, err);
}
