/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The units of a model, together.
 *
 * Problem: forty branches with a hundred answers each; alone they are noise. Way: from CX_UNITS_MIN
 * units on each borrows from all (solve_units.h). The drivers are those that the whole of them can
 * tell apart, less those that never vary within a unit. Of a unit in which answers are missing all
 * rows count, by EM and its information, when there are enough of them; else the complete ones:
 * when each person is asked eight items of twelve, those are next to none. A unit under
 * CX_UNIT_ROWS_MIN rows shows the typical unit's coefficients and no more. Fewer units stand alone,
 * where they have rows enough (Green 1991). Hazard: memory grows with units × drivers², so it is
 * asked for in one piece a purpose and a refusal is an error of the task. */
#include <math.h>
#include <stdio.h>

#include "analytics/solve_units.h"
#include "daemon/refresh_parts.h"

#define Z95 1.959963984540054
#define GREEN_ROWS 104
#define EM_ROWS_PER_COLUMN 3
#define EM_TOLERANCE 1e-8
#define EM_ITERATIONS 300

struct units {
    int count, drivers;
    struct unit {
        int32_t segment;
        int from, to; /* states */
    } * unit;
    struct fp_fit_row *fit;
    struct fp_driver_result *driver; /* units × drivers */
    struct cx_unit *shrunk;
    cx_wide *cells; /* units × a block of the kept columns */
    const cx_wide **block;
    uint64_t varies; /* columns that vary within some unit */
    struct cx_unit_missing *missing;
    double *sigma, *covariance; /* units × columns², drivers² */
};

static void *take(char *start, size_t *used, size_t bytes)
{
    void *here = start ? start + *used : NULL;
    *used += (bytes + 15) / 16 * 16;
    return here;
}

static size_t lay_out(struct units *u, char *start, size_t most, int columns)
{
    size_t used = 0, drivers = (size_t)columns - 1;
    u->unit = take(start, &used, most * sizeof *u->unit);
    u->fit = take(start, &used, most * sizeof *u->fit);
    u->driver = take(start, &used, most * drivers * sizeof *u->driver);
    u->shrunk = take(start, &used, most * sizeof *u->shrunk);
    u->cells = take(start, &used, most * cx_moments_cells(columns) * sizeof *u->cells);
    u->block = take(start, &used, most * sizeof *u->block);
    u->missing = take(start, &used, most * sizeof *u->missing);
    u->sigma = take(start, &used, most * (drivers + 1) * (drivers + 1) * sizeof *u->sigma);
    u->covariance = take(start, &used, most * drivers * drivers * sizeof *u->covariance);
    return used;
}

/* ---- who there is ---------------------------------------------------------------------------- */

static int segments(const struct fp_refresh_job *job)
{
    int count = 0;
    for (int i = 0; i < job->state_count; i++)
        count += i == 0 || job->states[i].segment != job->states[i - 1].segment;
    return count;
}

/* Columns of the unit in the sets that are not the same in all its answers. */
static uint64_t vary(struct fp_refresh_job *job)
{
    struct cx_cross *cross = &job->scratch->cross;
    uint64_t found = 0;
    cx_wide cell[8]; /* of one column */
    for (int c = 0; c < job->fitting->columns; c++) {
        if (!cx_set_complete(&job->scratch->sets.total, UINT64_C(1) << c, cell))
            continue;
        cx_cross_from_moments(cross, cell, 1, NULL, true);
        found |= (uint64_t)(cross->n > 0 && !(cross->constant & 1)) << c;
    }
    return found;
}

/* Units with outcomes; their counts and means are published whatever else can be said. */
static enum fp_status list(struct fp_refresh_job *job, struct units *u, struct fp_error *err)
{
    for (int from = 0, to; from < job->state_count; from = to) {
        int32_t segment = job->states[from].segment;
        for (to = from; to < job->state_count && job->states[to].segment == segment;)
            to++;
        enum fp_status status = fp_refresh_sets(job, from, to, FP_GROUPS_NONE, err);
        if (status != FP_OK)
            return status;
        const struct cx_collect *collect = &job->scratch->sets.collect;
        if (collect->counts.answered[u->drivers] <= 0)
            continue;
        struct fp_fit_row *fit = &u->fit[u->count];
        fp_fit_blank(job, fit, u->driver + (size_t)u->count * (size_t)u->drivers);
        fp_fit_performance(job, fit);
        fit->segment = segment;
        fit->n = collect->counts.answered[u->drivers];
        fit->patterns = collect->fold.patterns;
        fit->values_dropped = collect->fold.values_dropped;
        fit->rows_dropped = collect->fold.rows_dropped;
        u->unit[u->count++] = (struct unit){segment, from, to};
        u->varies |= vary(job);
    }
    return FP_OK;
}

static void set_status(const struct units *u, struct fp_fit_row *fit, enum cx_fit_status status)
{
    fit->status = fp_fit_status_word(status);
    for (int j = 0; j < u->drivers; j++)
        fit->driver[j].status = fit->status;
}

/* ---- borrowing ------------------------------------------------------------------------------- */

/* Complete rows of `columns` of each unit. */
static enum fp_status gather(struct fp_refresh_job *job, struct units *u, uint64_t columns,
                             struct fp_error *err)
{
    size_t cells = cx_moments_cells(cx_mask_count(columns));
    for (int i = 0; i < u->count; i++) {
        cx_wide *cell = u->cells + (size_t)i * cells;
        u->block[i] = cell;
        enum fp_status status =
            fp_refresh_sets(job, u->unit[i].from, u->unit[i].to, FP_GROUPS_NONE, err);
        if (status != FP_OK)
            return status;
        if (!cx_set_complete(&job->scratch->sets.total, columns, cell))
            return fp_fail(err, FP_POISON, "state_overflow", "flightpath.driver_state",
                           "a sum is beyond its range");
        u->fit[i].n_complete = (int64_t)cell[CX_MOMENTS_N];
    }
    return FP_OK;
}

/* EM of the unit in the sets; false: it has to do with its complete rows. */
static bool inform_one(struct fp_refresh_job *job, struct units *u, int i, uint64_t columns,
                       double *work)
{
    const struct cx_set *total = &job->scratch->sets.total;
    const int *decimals = job->fitting->decimals;
    struct cx_em em;
    int q = cx_mask_count(columns), p = q - 1;
    size_t em_work = cx_em_errors_work(q, total->count);
    double *sigma = u->sigma + (size_t)i * (size_t)q * (size_t)q;
    double *covariance = u->covariance + (size_t)i * (size_t)p * (size_t)p;
    const struct cx_em_options options = {
        .tolerance = EM_TOLERANCE, .iterations_max = EM_ITERATIONS, .decimals = decimals};
    if (cx_em(&em, total, columns, &options, work) != CX_EM_OK ||
        !(em.n_outcome * (1 - em.missing) >= EM_ROWS_PER_COLUMN * q) ||
        !cx_em_covariance(covariance, &em, total, decimals, work, work + em_work))
        return false;
    for (int k = 0; k < q * q; k++)
        sigma[k] = em.sigma[k];
    u->missing[i] = (struct cx_unit_missing){em.n_outcome * (1 - em.missing), sigma, covariance};
    return true;
}

/* Units with answers missing, as far as they tell enough by themselves; *count of them. */
static enum fp_status inform(struct fp_refresh_job *job, struct units *u, uint64_t columns,
                             int *count, struct fp_error *err)
{
    int q = cx_mask_count(columns);
    *count = 0;
    for (int i = 0; i < u->count; i++) {
        u->missing[i] = (struct cx_unit_missing){0};
        if (u->fit[i].n == u->fit[i].n_complete || u->fit[i].n < EM_ROWS_PER_COLUMN * q)
            continue;
        enum fp_status status =
            fp_refresh_sets(job, u->unit[i].from, u->unit[i].to, FP_GROUPS_NONE, err);
        if (status != FP_OK)
            return status;
        int patterns = job->scratch->sets.total.count;
        size_t size = cx_em_work(q, patterns) + cx_em_errors_work(q, patterns) +
                      (size_t)q * (size_t)q * (size_t)(q + 3) / 2;
        double *work = fp_room_take(job, FP_ROOM_LIBRARY, size * sizeof *work);
        if (work == NULL)
            return fp_refresh_no_memory(err);
        *count += inform_one(job, u, i, columns, work);
    }
    return FP_OK;
}

/* Of `columns` those that vary within complete rows of some unit. */
static uint64_t varying(struct fp_refresh_job *job, const struct units *u, uint64_t columns)
{
    struct cx_cross *cross = &job->scratch->cross;
    uint64_t varies = 0;
    int q = cx_mask_count(columns), at = 0;
    for (int i = 0; i < u->count; i++) {
        cx_cross_from_moments(cross, u->block[i], q, NULL, true);
        for (int c = 0; c < q && cross->n > 0; c++)
            varies |= (uint64_t)(cross->constant >> c & 1 ? 0 : 1) << c;
    }
    uint64_t left = 0;
    for (uint64_t rest = columns; rest; rest &= rest - 1, at++)
        left |= varies >> at & 1 ? rest & -rest : 0;
    return left;
}

static enum cx_fit_status shrink(struct fp_refresh_job *job, struct units *u, uint64_t columns,
                                 struct cx_units *all)
{
    int decimals[CX_COLUMNS_MAX], q = cx_mask_count(columns), at = 0;
    for (uint64_t rest = columns; rest; rest &= rest - 1)
        decimals[at++] = job->fitting->decimals[__builtin_ctzll(rest)];
    double *work = fp_room_take(job, FP_ROOM_LIBRARY, cx_units_work(q, u->count) * sizeof *work);
    if (work == NULL)
        return CX_FIT_INSUFFICIENT;
    const struct cx_units_question question = {
        .cell = u->block,
        .units = u->count,
        .columns = q,
        .decimals = decimals,
        .missing = u->missing,
        .seed = fp_refresh_seed(job->fitting->model, job->name, job->day)};
    return cx_units(all, u->shrunk, &question, work) == CX_UNITS_OK ? CX_FIT_OK
                                                                    : CX_FIT_INSUFFICIENT;
}

static void put_interval(double *to, struct cx_interval interval)
{
    to[0] = interval.value;
    to[1] = interval.low;
    to[2] = interval.high;
}

/* Driver `at` of the kept ones. */
static void put_shrunk(struct fp_driver_result *out, const struct cx_unit *unit,
                       const struct cx_units *all, int at)
{
    static const char *const labels[] = {[CX_UNIT_PARENT] = "",
                                         [CX_UNIT_MOSTLY_PARENT] = "mostly_parent",
                                         [CX_UNIT_BLENDED] = "blended",
                                         [CX_UNIT_OWN] = "own"};
    bool parent = unit->label == CX_UNIT_PARENT;
    struct cx_interval coef = unit->coef[at];
    double *number = out->number;
    out->status = parent ? "parent" : fp_fit_status_word(CX_FIT_OK);
    number[FP_DRIVER_OWN] = unit->own;
    number[FP_DRIVER_TAU] = all->tau[at];
    number[FP_DRIVER_COEF] = parent ? all->mu[at] : coef.value;
    if (parent)
        return;
    number[FP_DRIVER_LOW] = coef.low;
    number[FP_DRIVER_HIGH] = coef.high;
    number[FP_DRIVER_SE] = (coef.high - coef.low) / (2 * Z95);
    put_interval(&number[FP_DRIVER_WEIGHT], unit->weight[at]);
    snprintf(out->flags, sizeof out->flags, "%s", labels[unit->label]);
}

static void put_unit(struct fp_refresh_job *job, struct units *u, int i, uint64_t columns,
                     const struct cx_units *all)
{
    const struct cx_fit *whole = &job->scratch->result.fit;
    struct fp_fit_row *fit = &u->fit[i];
    int at = 0;
    fit->method = "shrunk";
    fit->status = fp_fit_status_word(CX_FIT_OK);
    fit->number[FP_FIT_N_EFF] = u->shrunk[i].n;
    fit->number[FP_FIT_SIGMA] = sqrt(all->s2);
    fit->model_based = true;
    for (int j = 0; j < u->drivers; j++)
        if (columns >> j & 1)
            put_shrunk(&fit->driver[j], &u->shrunk[i], all, at++);
        else
            fit->driver[j].status = fp_driver_status_word(
                whole->dropped[j] == CX_KEPT ? CX_DROP_CONSTANT : whole->dropped[j], CX_FIT_OK);
}

/* Blocks and EM of the units over the columns that can be told, which are left in *columns. */
static enum fp_status prepare(struct fp_refresh_job *job, struct units *u, uint64_t *columns,
                              struct fp_error *err)
{
    int informed = 0;
    *columns &= u->varies;
    if (!(*columns >> u->drivers) || !(*columns & (*columns - 1)))
        return FP_OK;
    enum fp_status status = gather(job, u, *columns, err);
    if (status == FP_OK)
        status = inform(job, u, *columns, &informed, err);
    if (status != FP_OK || informed > 0)
        return status;
    uint64_t left = varying(job, u, *columns);
    bool fewer = left != *columns;
    *columns = left;
    /* rows that only lacked a left-out driver count */
    if (fewer && left >> u->drivers && left & (left - 1))
        status = gather(job, u, left, err);
    return status;
}

static enum fp_status borrow(struct fp_refresh_job *job, struct units *u, struct fp_error *err)
{
    uint64_t outcome = UINT64_C(1) << u->drivers, columns = outcome;
    struct cx_units all;
    const struct cx_fit *whole = &job->scratch->result.fit;
    enum fp_status status = fp_refresh_sets(job, 0, job->state_count, FP_GROUPS_NONE, err);
    if (status == FP_OK)
        status = fp_refresh_drivers(job, job->name, false, err);
    if (status != FP_OK)
        return status;
    enum cx_fit_status solved = whole->status == CX_FIT_PERFECT ? CX_FIT_OK : whole->status;
    for (int j = 0; j < CX_COLUMNS_MAX && j < u->drivers && solved == CX_FIT_OK; j++)
        columns |= (uint64_t)(whole->dropped[j] == CX_KEPT) << j;
    status = prepare(job, u, &columns, err);
    if (status != FP_OK)
        return status;
    if (solved == CX_FIT_OK && !(columns & outcome))
        solved = CX_FIT_OUTCOME_CONSTANT;
    else if (solved == CX_FIT_OK && columns == outcome)
        solved = CX_FIT_NO_DRIVERS;
    if (solved == CX_FIT_OK)
        solved = shrink(job, u, columns, &all);
    for (int i = 0; i < u->count; i++)
        if (solved == CX_FIT_OK)
            put_unit(job, u, i, columns, &all);
        else
            set_status(u, &u->fit[i], solved);
    return FP_OK;
}

/* ---- standing alone -------------------------------------------------------------------------- */

/* unit:<id> */
static enum fp_status name_unit(struct fp_refresh_job *job, int32_t unit, char *text, size_t size,
                                struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *result = NULL;
    fp_params_init(&p, "i");
    fp_pg_put_int(&p.at[0], unit);
    enum fp_status status =
        fp_pg_exec(job->pg, "SELECT name FROM flightpath.name WHERE kind = 0 AND id = $1", p.ref,
                   p.count, FP_REFRESH_DEADLINE_MS, &result, err);
    fp_params_free(&p);
    if (status == FP_OK)
        fp_segment_text(FP_SEGMENT_UNIT, unit,
                        fp_pg_rows(result) > 0 ? fp_pg_text(result, 0, 0) : "", text, size);
    fp_pg_result_free(result);
    return status;
}

static enum fp_status alone(struct fp_refresh_job *job, struct units *u, int i,
                            struct fp_error *err)
{
    char segment[sizeof job->name];
    struct fp_fit_row *fit = &u->fit[i];
    const struct cx_drivers *r = &job->scratch->result;
    enum fp_status status = name_unit(job, u->unit[i].segment, segment, sizeof segment, err);
    if (status == FP_OK)
        status = fp_refresh_sets(job, u->unit[i].from, u->unit[i].to, FP_GROUPS_DAYS, err);
    if (status == FP_OK)
        status = fp_refresh_drivers(job, segment, true, err);
    if (status != FP_OK)
        return status;
    bool few = r->n_complete < GREEN_ROWS + r->fit.kept;
    bool solved = r->fit.status == CX_FIT_OK || r->fit.status == CX_FIT_PERFECT;
    if (solved && few) {
        fit->n_complete = r->n_complete;
        set_status(u, fit, CX_FIT_INSUFFICIENT);
        return FP_OK;
    }
    fp_fit_of_result(job, fit);
    return fp_fit_fitness(job, fit, err);
}

enum fp_status fp_refresh_units(struct fp_refresh_job *job, struct fp_error *err)
{
    struct units u = {.drivers = job->fitting->columns - 1};
    size_t most = (size_t)segments(job) + 1;
    char *start = fp_room_take(job, FP_ROOM_UNITS, lay_out(&u, NULL, most, u.drivers + 1));
    if (start == NULL)
        return fp_refresh_no_memory(err);
    lay_out(&u, start, most, u.drivers + 1);
    enum fp_status status = list(job, &u, err);
    if (status == FP_OK && u.count >= CX_UNITS_MIN)
        status = borrow(job, &u, err);
    else
        for (int i = 0; i < u.count && status == FP_OK; i++)
            status = alone(job, &u, i, err);
    return status == FP_OK ? fp_refresh_write(job, u.fit, u.count, err) : status;
}
