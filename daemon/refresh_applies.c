/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What it is worth that a driver applies at all: a dummy of its own beside its answers
 * (solve_applicable.h). The sets of the estimate do not tell "does not apply" from "skipped", and
 * need not: this reads the states once more, for the few patterns in which nothing was skipped. */
#include <math.h>

#include "analytics/solve_applicable.h"
#include "daemon/refresh_parts.h"

/* Drivers that anybody spoke of, and the outcome; 0: none applies to some and not to others. */
static uint64_t columns_of(const struct fp_refresh_job *job)
{
    const struct cx_set_counts *counts = &job->scratch->sets.collect.counts;
    int outcome = job->fitting->columns - 1;
    uint64_t columns = UINT64_C(1) << outcome;
    bool varies = false;
    for (int j = 0; j < outcome; j++) {
        double not = (double)counts->does_not_apply[j], all = (double)counts->answered[j] + not ;
        columns |= (uint64_t)(all > 0) << j;
        varies |=
            not >= CX_APPLICABLE_SHARE_MIN * all && not <= CX_APPLICABLE_SHARE_MAX * all && not > 0;
    }
    return varies ? columns : 0;
}

static void put(const struct cx_applicable *found, struct fp_fit_row *fit, int drivers)
{
    for (int j = 0; j < drivers && found->status == CX_FIT_OK; j++) {
        if (!found->has_level[j] || found->level_dropped[j] != CX_KEPT)
            continue;
        fit->driver[j].number[FP_DRIVER_APPLIES] = found->level[j].value;
        fit->driver[j].number[FP_DRIVER_APPLIES_SE] = found->level[j].se;
    }
}

enum fp_status fp_fit_applies(struct fp_refresh_job *job, struct fp_fit_row *fit,
                              struct fp_error *err)
{
    int q = job->fitting->columns;
    uint64_t columns = columns_of(job);
    size_t cells = cx_moments_cells(q) * FP_PATTERN_CAP;
    bool full = false;
    struct cx_applicable found;
    struct cx_set set;
    if (columns == 0 || !(fit->number[FP_FIT_N_EFF] > 0))
        return FP_OK;
    struct cx_pattern *pattern =
        fp_room_take(job, FP_ROOM_BLOCKS, FP_PATTERN_CAP * sizeof *pattern);
    cx_wide *cell = fp_room_take(job, FP_ROOM_UNITS, cells * sizeof *cell);
    void *adding = fp_room_take(job, FP_ROOM_WORK, cx_collect_work(q));
    void *work = fp_room_take(job, FP_ROOM_LIBRARY, cx_applicable_work(q));
    if (pattern == NULL || cell == NULL || adding == NULL || work == NULL)
        return fp_refresh_no_memory(err);
    cx_set_init(&set, q, pattern, FP_PATTERN_CAP);
    cx_set_give_cells(&set, cell, cells);
    for (int i = 0; i < job->state_count && !full; i++) {
        const struct fp_refresh_state *state = &job->states[i];
        enum cx_state_status status =
            cx_collect_applicable(&set, columns, state->bytes, state->len, adding, &full);
        if (status != CX_STATE_OK)
            return fp_refresh_bad_state(job, state, status, err);
    }
    const struct cx_applicable_question question = {&set, job->fitting->decimals, FP_REFRESH_LEVEL};
    if (!full && set.count > 0 && cx_applicable(&found, &question, work) == CX_FIT_OK)
        put(&found, fit, q - 1);
    return FP_OK;
}
