/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sets of a window → what is published of them.
 *
 * The question is the one `flightpath analyze drivers` puts, with what a stream knows beside: the
 * width of a scale, the sign that is expected, which drivers were key before. Of anything the
 * library does not define it gives NAN, which becomes NULL; nothing here replaces it. */
#include <math.h>

#include "daemon/log.h"
#include "daemon/refresh_parts.h"

void fp_fit_blank(const struct fp_refresh_job *job, struct fp_fit_row *fit,
                  struct fp_driver_result *driver)
{
    *fit = (struct fp_fit_row){.segment = job->segment,
                               .method = fp_method_word(CX_METHOD_AUTO),
                               .status = fp_fit_status_word(CX_FIT_NO_ROWS),
                               .driver = driver};
    for (int i = 0; i < FP_FIT_NUMBERS; i++)
        fit->number[i] = NAN;
    for (int j = 0; j < job->fitting->columns - 1; j++) {
        driver[j] = (struct fp_driver_result){.status = fit->status};
        for (int i = 0; i < FP_DRIVER_NUMBERS; i++)
            driver[j].number[i] = NAN;
    }
}

enum fp_status fp_refresh_drivers(struct fp_refresh_job *job, const char *segment, bool grouped,
                                  struct fp_error *err)
{
    struct fp_refresh_sets *sets = &job->scratch->sets;
    const struct cx_set *group[CX_GROUPS_MAX];
    for (int g = 0; g < sets->groups; g++)
        group[g] = &sets->group[g];
    const struct cx_drivers_question question = {
        .total = &sets->total,
        .group = grouped && sets->groups > 0 ? group : NULL,
        .groups = grouped ? sets->groups : 0,
        .pattern_cap = FP_PATTERN_CAP,
        .decimals = job->fitting->decimals,
        .range = job->range,
        .direction = job->direction,
        .was_key = job->was_key,
        .level = FP_REFRESH_LEVEL,
        .seed = fp_refresh_seed(job->fitting->model, segment, job->day)};
    void *memory = fp_room_take(job, FP_ROOM_LIBRARY,
                                cx_drivers_memory(sets->total.columns, sets->total.count));
    if (memory == NULL)
        return fp_refresh_no_memory(err);
    cx_drivers(&job->scratch->result, &question, memory);
    cx_collect_report(&sets->collect, &job->scratch->result);
    if (!job->scratch->result.converged)
        fp_log(FP_LOG_DEBUG, "driver_not_converged", "%s: the estimates are near, not final",
               job->what);
    return FP_OK;
}

/* ---- the result as numbers ------------------------------------------------------------------- */

static void put_interval(double *to, struct cx_interval interval)
{
    to[0] = interval.value;
    to[1] = interval.low;
    to[2] = interval.high;
}

static void driver_of_result(const struct cx_drivers *r, int j, struct fp_driver_result *out)
{
    const struct cx_fit *fit = &r->fit;
    double *number = out->number;
    number[FP_DRIVER_COEF] = fit->coef[j + 1];
    number[FP_DRIVER_SE] = fit->se[j + 1];
    number[FP_DRIVER_ROBUST_SE] = r->robust_se[j];
    number[FP_DRIVER_T] = fit->t[j + 1];
    number[FP_DRIVER_LOW] = fit->low[j + 1];
    number[FP_DRIVER_HIGH] = fit->high[j + 1];
    number[FP_DRIVER_P] = fit->p[j + 1];
    number[FP_DRIVER_Q] = r->q[j];
    number[FP_DRIVER_BETA] = fit->beta[j];
    number[FP_DRIVER_VIF] = fit->vif[j];
    number[FP_DRIVER_R] = fit->r[j];
    number[FP_DRIVER_FMI] = r->fmi[j];
    number[FP_DRIVER_MAR] = r->mar[j];
    put_interval(&number[FP_DRIVER_WEIGHT], r->weight[j]);
    put_interval(&number[FP_DRIVER_LMG], r->lmg[j]);
    number[FP_DRIVER_TOP1] = r->p_top1[j];
    number[FP_DRIVER_TOP3] = r->p_top3[j];
    out->rank_low = r->rank_low[j];
    out->rank_high = r->rank_high[j];
    out->answered = r->counts.answered[j];
    out->skipped = r->counts.skipped[j];
    out->does_not_apply = r->counts.does_not_apply[j];
    out->status = fp_driver_status_word(fit->dropped[j], fit->status);
    if (isfinite(r->p_top3[j]))
        out->key = fp_key_word(r->key[j]);
    fp_flag_words(r->flags[j], out->flags, sizeof out->flags);
}

void fp_fit_of_result(struct fp_refresh_job *job, struct fp_fit_row *out)
{
    const struct cx_drivers *r = &job->scratch->result;
    const struct cx_fit *fit = &r->fit;
    int outcome = job->fitting->columns - 1;
    out->n = r->method == CX_METHOD_LISTWISE ? r->n_complete : r->counts.answered[outcome];
    out->n_complete = r->n_complete;
    out->method = fp_method_word(r->method);
    out->status = fp_fit_status_word(fit->status);
    out->groups = r->groups;
    out->model_based = r->model_based;
    out->patterns = r->fold.patterns;
    out->values_dropped = r->fold.values_dropped;
    out->rows_dropped = r->fold.rows_dropped;
    out->top_group = r->top_group;
    out->number[FP_FIT_N_EFF] = fit->n_effective;
    out->number[FP_FIT_INTERCEPT] = fit->coef[0];
    out->number[FP_FIT_R2] = fit->r2;
    out->number[FP_FIT_ADJ_R2] = fit->adj_r2;
    out->number[FP_FIT_R2_LOW] = r->r2_low;
    out->number[FP_FIT_R2_HIGH] = r->r2_high;
    out->number[FP_FIT_SIGMA] = fit->sigma;
    out->number[FP_FIT_F] = fit->f;
    out->number[FP_FIT_F_P] = fit->f_p;
    out->number[FP_FIT_CONDITION] = fit->condition;
    out->number[FP_FIT_MISSING] = r->missing;
    bool solved = fit->status == CX_FIT_OK || fit->status == CX_FIT_PERFECT;
    for (int j = 0; j < outcome; j++) {
        driver_of_result(r, j, &out->driver[j]);
        if (solved && fit->dropped[j] == CX_KEPT)
            out->kept |= UINT64_C(1) << j;
    }
}

/* ---- means ----------------------------------------------------------------------------------- */

static struct cx_interval mean_of(struct fp_refresh_job *job, int column)
{
    const struct cx_interval none = {NAN, NAN, NAN};
    struct cx_cross *cross = &job->scratch->cross;
    cx_wide cell[8]; /* of one column */
    if (!cx_set_complete(&job->scratch->sets.total, UINT64_C(1) << column, cell) ||
        cell[CX_MOMENTS_N] <= 0)
        return none;
    cx_cross_from_moments(cross, cell, 1, &job->fitting->decimals[column], true);
    double n = cross->n_effective, variance = cross->variance[0].hi * n / (n - 1);
    return cx_mean(cross->mean[0].hi, n > 1 ? variance : 0, n, job->low[column], job->high[column],
                   FP_REFRESH_LEVEL);
}

void fp_fit_performance(struct fp_refresh_job *job, struct fp_fit_row *fit)
{
    const struct cx_set_counts *counts = &job->scratch->sets.collect.counts;
    int outcome = job->fitting->columns - 1;
    for (int j = 0; j < outcome; j++) {
        put_interval(&fit->driver[j].number[FP_DRIVER_PERFORMANCE], mean_of(job, j));
        fit->driver[j].answered = counts->answered[j];
        fit->driver[j].skipped = counts->skipped[j];
        fit->driver[j].does_not_apply = counts->does_not_apply[j];
    }
    fit->number[FP_FIT_OUTCOME_MEAN] = mean_of(job, outcome).value;
}

/* ---- ahead in time --------------------------------------------------------------------------- */

const cx_wide **fp_refresh_blocks(struct fp_refresh_job *job, const struct fp_fit_row *fit,
                                  int *decimals)
{
    struct fp_refresh_sets *sets = &job->scratch->sets;
    uint64_t columns = fit->kept | UINT64_C(1) << (job->fitting->columns - 1);
    size_t cells = cx_moments_cells(cx_mask_count(columns)), groups = (size_t)sets->groups;
    int at = 0;
    cx_wide *cell =
        fp_room_take(job, FP_ROOM_BLOCKS, groups * (cells * sizeof *cell + sizeof(cx_wide *)) + 16);
    if (cell == NULL)
        return NULL;
    const cx_wide **block = (const cx_wide **)(cell + groups * cells);
    for (size_t g = 0; g < groups; g++) {
        block[g] = cell + g * cells;
        if (!cx_set_complete(&sets->group[g], columns, cell + g * cells))
            return NULL;
    }
    for (uint64_t rest = columns; rest; rest &= rest - 1)
        decimals[at++] = job->fitting->decimals[__builtin_ctzll(rest)];
    return block;
}

enum fp_status fp_fit_fitness(struct fp_refresh_job *job, struct fp_fit_row *fit,
                              struct fp_error *err)
{
    int decimals[CX_COLUMNS_MAX], columns = cx_mask_count(fit->kept) + 1;
    int groups = job->scratch->sets.groups;
    struct cx_fitness fitness;
    if (fit->kept == 0 || groups == 0)
        return FP_OK;
    const cx_wide **block = fp_refresh_blocks(job, fit, decimals);
    void *work = fp_room_take(job, FP_ROOM_WORK, cx_fitness_work(columns, groups));
    if (block == NULL || work == NULL)
        return fp_refresh_no_memory(err);
    const struct cx_fitness_question question = {block, groups, columns, decimals,
                                                 FP_REFRESH_LEVEL};
    if (!cx_fitness(&fitness, &question, work))
        return FP_OK;
    put_interval(&fit->number[FP_FIT_Q2], fitness.q2);
    fit->number[FP_FIT_SLOPE] = fitness.slope;
    fit->number[FP_FIT_SLOPE_LOW] = fitness.slope_low;
    fit->number[FP_FIT_SLOPE_HIGH] = fitness.slope_high;
    fit->number[FP_FIT_MEAN_ERROR] = fitness.mean_error;
    return FP_OK;
}
