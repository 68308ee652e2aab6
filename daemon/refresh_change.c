/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When something changed.
 *
 * Coefficients: the change points inside the window; they replace those found before whose day lies
 * in it, since every refresh looks at the same days with more answers. Top and key: today against
 * the last earlier day that was solved, so a day that is refreshed a hundred times says the same as
 * one that is refreshed once. found_at stays that of the first time. */
#include <math.h>

#include "analytics/change.h"
#include "daemon/refresh_parts.h"

#define CHANGE_Q 0.05

static void put_key(struct fp_params *p, const struct fp_refresh_job *job)
{
    fp_pg_put_int(&p->at[0], job->fitting->series);
    fp_pg_put_int(&p->at[1], job->kind);
    fp_pg_put_int(&p->at[2], job->segment);
}

/* What p says stands for these kinds of change from first_day to day; anything else of them goes.
 */
static enum fp_status replace(struct fp_refresh_job *job, struct fp_params *p, struct fp_error *err)
{
    return fp_pg_exec(
        job->pg,
        "WITH found AS (SELECT * FROM unnest($7, $8, $9, $10, $11, $12)"
        "  AS u (driver, what, day, before, after, p)),"
        " gone AS (DELETE FROM flightpath.driver_change c WHERE series = $1 AND kind = $2"
        "  AND segment = $3 AND c.what = ANY ($4) AND c.day BETWEEN $5 AND $6"
        "  AND NOT EXISTS (SELECT FROM found f WHERE f.driver = c.driver AND f.what = c.what"
        "   AND f.day = c.day))"
        " INSERT INTO flightpath.driver_change (series, kind, segment, driver, what, day, before,"
        "  after, p) SELECT $1, $2, $3, driver, what, day, nullif(before, 'NaN'),"
        "  nullif(after, 'NaN'), nullif(p, 'NaN') FROM found"
        " ON CONFLICT (series, kind, segment, driver, what, day) DO UPDATE SET"
        "  before = excluded.before, after = excluded.after, p = excluded.p"
        "  WHERE (driver_change.before, driver_change.after, driver_change.p)"
        "   IS DISTINCT FROM (excluded.before, excluded.after, excluded.p)",
        p->ref, p->count, FP_REFRESH_DEADLINE_MS, NULL, err);
}

static void put_change(struct fp_params *p, int driver, const char *what, int32_t day,
                       const double *numbers)
{
    fp_pg_put_int(&p->at[6], driver + 1);
    fp_pg_put_slice(&p->at[7], fp_slice_of(what));
    fp_pg_put_int(&p->at[8], day);
    for (int i = 0; i < 3; i++)
        fp_pg_put_double(&p->at[9 + i], isfinite(numbers[i]) ? numbers[i] : NAN);
}

static void begin(struct fp_params *p, const struct fp_refresh_job *job, int32_t first_day)
{
    fp_params_init(p, "ihiTiiITIDDD");
    put_key(p, job);
    fp_pg_put_int(&p->at[4], first_day);
    fp_pg_put_int(&p->at[5], job->day);
}

/* ---- coefficients ---------------------------------------------------------------------------- */

/* change[j] of the j-th kept driver; false: none could be looked at. */
static bool find(struct fp_refresh_job *job, const struct fp_fit_row *fit, struct cx_change *change)
{
    int decimals[CX_COLUMNS_MAX], columns = cx_mask_count(fit->kept) + 1;
    int groups = job->scratch->sets.groups;
    if (fit->kept == 0 || groups < 2)
        return false;
    const cx_wide **block = fp_refresh_blocks(job, fit, decimals);
    void *work = fp_room_take(job, FP_ROOM_WORK, cx_changes_work(columns, groups));
    if (block == NULL || work == NULL)
        return false;
    const struct cx_change_question question = {block, groups, columns, decimals};
    return cx_changes(change, &question, work);
}

static enum fp_status coefficients(struct fp_refresh_job *job, const struct fp_fit_row *fit,
                                   struct fp_error *err)
{
    struct cx_change change[CX_COLUMNS_MAX];
    struct fp_params p;
    int at = 0;
    bool looked = find(job, fit, change);
    begin(&p, job, job->first_day);
    fp_pg_put_slice(&p.at[3], fp_slice_of("coefficient"));
    for (uint64_t rest = looked ? fit->kept : 0; rest; rest &= rest - 1, at++)
        if (change[at].block >= 0 && change[at].q < CHANGE_Q) {
            const double numbers[] = {change[at].before, change[at].after, change[at].q};
            put_change(&p, __builtin_ctzll(rest), "coefficient",
                       job->scratch->sets.first_day[change[at].block], numbers);
        }
    enum fp_status status = replace(job, &p, err);
    fp_params_free(&p);
    return status;
}

/* ---- the top driver, key drivers ------------------------------------------------------------- */

static enum fp_status standings(struct fp_refresh_job *job, const struct fp_fit_row *fit,
                                struct fp_error *err)
{
    struct fp_params p;
    const struct cx_drivers *r = &job->scratch->result;
    bool named = fit->top_group && !(fit->top_group & (fit->top_group - 1));
    begin(&p, job, job->day);
    fp_pg_put_slice(&p.at[3], fp_slice_of("top"));
    fp_pg_put_slice(&p.at[3], fp_slice_of("key"));
    fp_pg_put_slice(&p.at[3], fp_slice_of("not_key"));
    for (int j = 0; r->fit.status == CX_FIT_OK && j < job->fitting->columns - 1; j++) {
        const double top[] = {NAN, r->p_top1[j], NAN}, key[] = {NAN, r->p_top3[j], NAN};
        bool is_key = r->key[j] == CX_KEY_YES;
        if (named && fit->top_group >> j & 1 && job->was_top != fit->top_group)
            put_change(&p, j, "top", job->day, top);
        if (is_key != job->was_key[j])
            put_change(&p, j, is_key ? "key" : "not_key", job->day, key);
    }
    enum fp_status status = replace(job, &p, err);
    fp_params_free(&p);
    return status;
}

enum fp_status fp_refresh_changes(struct fp_refresh_job *job, const struct fp_fit_row *fit,
                                  struct fp_error *err)
{
    if (job->kind == FP_SEGMENT_TENURE || job->kind == FP_SEGMENT_UNIT)
        return FP_OK;
    enum fp_status status = coefficients(job, fit, err);
    return status == FP_OK ? standings(job, fit, err) : status;
}
