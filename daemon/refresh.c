/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A task from claim to commit.
 *
 * Problem: solving takes from a millisecond to seconds; meanwhile the log is absorbed and marks the
 * same task again, a second replica looks for work, and the process may be killed. Way: two
 * transactions. The first is short: it moves dirty_at to claimed_at, so a mark that comes later
 * stands apart and is still there afterwards, however it is made, and absorbing never waits for a
 * solver. The second solves and writes under an advisory lock of the task: a task that is claimed
 * but not locked was left by a solver that died, and is taken up again. Nothing is leased, no clock
 * decides, and a lost COMMIT is only done once more: the same states give the same rows.
 *
 * Hazard: a task that fails for a reason of its own (a damaged state) must not keep the others
 * waiting. It is put aside for a minute, with the reason in last_error. */
#include "daemon/refresh.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/clock.h"
#include "daemon/fault.h"
#include "daemon/log.h"
#include "daemon/refresh_parts.h"

#define ASIDE_S 60
#define SHARE_OF_TIME 9 /* of each second of work so many of rest */

/* ---- memory ---------------------------------------------------------------------------------- */

struct fp_refresh_scratch *fp_refresh_scratch_new(void)
{
    return calloc(1, sizeof(struct fp_refresh_scratch));
}

void fp_refresh_scratch_free(struct fp_refresh_scratch *scratch)
{
    if (scratch == NULL)
        return;
    for (int i = 0; i < FP_ROOMS; i++)
        free(scratch->room[i].bytes);
    free(scratch);
}

void *fp_room_take(struct fp_refresh_job *job, enum fp_room_use use, size_t bytes)
{
    struct fp_room *room = &job->scratch->room[use];
    if (bytes > room->size || room->bytes == NULL) {
        size_t size = (bytes + bytes / 4 + 4096) / 16 * 16;
        free(room->bytes);
        room->bytes = aligned_alloc(16, size);
        room->size = room->bytes ? size : 0;
    }
    return room->bytes;
}

enum fp_status fp_refresh_no_memory(struct fp_error *err)
{
    return fp_fail(err, FP_FATAL, "no_memory", "drivers", "not enough memory for this analysis");
}

/* ---- claim -----------------------------------------------------------------------------------
 * The lock's key is one number of 64 bits; locks elsewhere have two keys or are hashes. */

static const struct fp_fitting *fitting_of(const struct fp_binding *binding, int32_t series)
{
    for (int i = 0; i < binding->model->driver_model_count; i++)
        if (binding->fittings[i].series == series)
            return &binding->fittings[i];
    return NULL;
}

static void name_job(struct fp_refresh_job *job, const char *name)
{
    fp_segment_text(job->kind, job->segment, name, job->name, sizeof job->name);
    snprintf(job->what, sizeof job->what, "%.60s %.130s", job->fitting->model->id, job->name);
}

/* The oldest task that is due; one that failed waits also when `any_time`. */
static enum fp_status claim(struct fp_refresh_job *job, bool any_time, bool *found,
                            struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *result = NULL;
    fp_params_init(&p, "Io");
    for (int i = 0; i < job->binding->model->driver_model_count; i++)
        fp_pg_put_int(&p.at[0], job->binding->fittings[i].series);
    fp_pg_put_int(&p.at[1], any_time);
    enum fp_status status = fp_pg_exec(
        job->pg,
        "WITH due AS MATERIALIZED (SELECT series, kind, segment FROM flightpath.driver_task"
        "  WHERE series = ANY ($1) AND (claimed_at IS NOT NULL OR dirty_at IS NOT NULL"
        "   AND (run_after <= clock_timestamp() OR $2 AND last_error IS NULL))"
        "  ORDER BY coalesce(claimed_at, dirty_at), series, kind, segment LIMIT 64),"
        " one AS (SELECT t.* FROM due d CROSS JOIN LATERAL ("
        "   SELECT t.series, t.kind, t.segment FROM flightpath.driver_task t"
        "   WHERE t.series = d.series AND t.kind = d.kind AND t.segment = d.segment"
        "   AND (t.claimed_at IS NOT NULL OR t.dirty_at IS NOT NULL) FOR UPDATE SKIP LOCKED) t"
        "  WHERE pg_try_advisory_xact_lock(d.series::bigint << 36 | d.kind::bigint << 32"
        "   | d.segment) LIMIT 1)"
        " UPDATE flightpath.driver_task t SET dirty_at = NULL,"
        "  claimed_at = coalesce(t.claimed_at, t.dirty_at)"
        " FROM one WHERE t.series = one.series AND t.kind = one.kind AND t.segment = one.segment"
        " RETURNING t.series, t.kind, t.segment, coalesce((SELECT name FROM flightpath.name n"
        "  WHERE n.kind = CASE t.kind WHEN 1 THEN 3 WHEN 2 THEN 2 WHEN 3 THEN 0 END"
        "  AND n.id = t.segment AND t.segment > 0), '')",
        p.ref, p.count, FP_REFRESH_DEADLINE_MS, &result, err);
    fp_params_free(&p);
    *found = status == FP_OK && fp_pg_rows(result) > 0;
    if (*found) {
        job->fitting = fitting_of(job->binding, (int32_t)fp_pg_int(result, 0, 0));
        job->kind = (int)fp_pg_int(result, 0, 1);
        job->segment = (int32_t)fp_pg_int(result, 0, 2);
        name_job(job, fp_pg_text(result, 0, 3));
    }
    fp_pg_result_free(result);
    return status;
}

static void put_key(struct fp_params *p, const struct fp_refresh_job *job)
{
    fp_pg_put_int(&p->at[0], job->fitting->series);
    fp_pg_put_int(&p->at[1], job->kind);
    fp_pg_put_int(&p->at[2], job->segment);
}

/* False: another replica took it in between, because it was claimed and not locked. */
static enum fp_status lock(struct fp_refresh_job *job, bool *locked, struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *result = NULL;
    fp_params_init(&p, "ihi");
    put_key(&p, job);
    enum fp_status status =
        fp_pg_exec(job->pg,
                   "SELECT claimed_at IS NOT NULL AND pg_try_advisory_xact_lock("
                   "series::bigint << 36 | kind::bigint << 32 | segment)"
                   " FROM flightpath.driver_task WHERE series = $1 AND kind = $2 AND segment = $3",
                   p.ref, p.count, FP_REFRESH_DEADLINE_MS, &result, err);
    fp_params_free(&p);
    *locked = status == FP_OK && fp_pg_rows(result) > 0 && *fp_pg_text(result, 0, 0) == 't';
    fp_pg_result_free(result);
    return status;
}

/* ---- the transaction ------------------------------------------------------------------------- */

static enum fp_status solve_whole(struct fp_refresh_job *job, struct fp_error *err)
{
    struct fp_refresh_scratch *s = job->scratch;
    bool panel = job->fitting->model->panel;
    enum fp_status status =
        fp_refresh_sets(job, 0, job->state_count, panel ? FP_GROUPS_PEOPLE : FP_GROUPS_DAYS, err);
    if (status == FP_OK)
        status = fp_refresh_drivers(job, job->name, true, err);
    if (status != FP_OK)
        return status;
    fp_fit_blank(job, &s->fit, s->driver);
    fp_fit_of_result(job, &s->fit);
    fp_fit_performance(job, &s->fit);
    s->fit.segment = job->segment;
    if (panel) /* what is ahead in time is told by days all the same */
        status = fp_refresh_sets(job, 0, job->state_count, FP_GROUPS_DAYS, err);
    if (status == FP_OK)
        status = fp_fit_fitness(job, &s->fit, err);
    if (status == FP_OK)
        status = fp_fit_applies(job, &s->fit, err);
    if (status == FP_OK)
        status = fp_refresh_write(job, &s->fit, 1, err);
    if (status == FP_OK)
        status = fp_refresh_changes(job, &s->fit, err);
    if (status == FP_OK && job->kind == FP_SEGMENT_ALL)
        status = fp_refresh_scoring(job, &s->fit, err);
    return status;
}

static enum fp_status solve(struct fp_refresh_job *job, struct fp_error *err)
{
    fp_refresh_scales(job);
    enum fp_status status = fp_refresh_read_series(job, err);
    if (status != FP_OK || !job->has_window)
        return status;
    status = fp_refresh_read_states(job, err);
    if (status == FP_OK && job->kind == FP_SEGMENT_UNIT)
        return fp_refresh_units(job, err);
    if (status == FP_OK)
        status = fp_refresh_read_before(job, err);
    return status == FP_OK ? solve_whole(job, err) : status;
}

static enum fp_status finish(struct fp_refresh_job *job, double cost_ms, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "ihidd");
    put_key(&p, job);
    fp_pg_put_double(&p.at[3], cost_ms);
    fp_pg_put_double(&p.at[4], fmax((double)job->config->refresh_ms, SHARE_OF_TIME * cost_ms));
    enum fp_status status =
        fp_pg_exec(job->pg,
                   "UPDATE flightpath.driver_task SET claimed_at = NULL, last_error = NULL,"
                   " computed_at = clock_timestamp(), cost_ms = $4,"
                   " run_after = clock_timestamp() + $5 * interval '1 ms'"
                   " WHERE series = $1 AND kind = $2 AND segment = $3",
                   p.ref, p.count, FP_REFRESH_DEADLINE_MS, NULL, err);
    fp_params_free(&p);
    return status;
}

static enum fp_status exec(struct fp_refresh_job *job, const char *sql, struct fp_error *err)
{
    return fp_pg_exec(job->pg, sql, NULL, 0, FP_REFRESH_DEADLINE_MS, NULL, err);
}

static enum fp_status run(struct fp_refresh_job *job, struct fp_refreshed *done,
                          struct fp_error *err)
{
    int64_t start = fp_clock_us(CLOCK_MONOTONIC);
    bool locked = false;
    enum fp_status status = exec(job, "BEGIN", err);
    if (status != FP_OK)
        return status;
    status = lock(job, &locked, err);
    if (status == FP_OK && locked)
        status = solve(job, err);
    FP_POINT("refresh_before_commit");
    done->cost_ms = (double)(fp_clock_us(CLOCK_MONOTONIC) - start) / 1000;
    if (status == FP_OK && locked)
        status = finish(job, done->cost_ms, err);
    if (status == FP_OK)
        status = exec(job, "COMMIT", err);
    else if (fp_pg_alive(job->pg))
        (void)!exec(job, "ROLLBACK", NULL);
    fp_pg_result_free(job->rows);
    job->rows = NULL;
    done->found = status == FP_OK && locked;
    return status;
}

/* A task that failed for a reason of its own: behind again, but not before a minute. */
static enum fp_status put_aside(struct fp_refresh_job *job, struct fp_error *err)
{
    struct fp_params p;
    struct fp_error why = *err;
    char text[sizeof why.what + sizeof why.code + 4];
    snprintf(text, sizeof text, "%s: %s", why.code, why.what);
    fp_log(FP_LOG_ERROR, "driver_task_failed",
           "%s (series %" PRId32 ", segment %d/%" PRId32 "): %s", job->what, job->fitting->series,
           job->kind, job->segment, text);
    fp_params_init(&p, "ihiti");
    put_key(&p, job);
    fp_pg_put_slice(&p.at[3], fp_slice_of(text));
    fp_pg_put_int(&p.at[4], ASIDE_S);
    enum fp_status status =
        fp_pg_exec(job->pg,
                   "UPDATE flightpath.driver_task SET dirty_at = coalesce(dirty_at, claimed_at),"
                   " claimed_at = NULL, last_error = $4,"
                   " run_after = clock_timestamp() + $5 * interval '1 s'"
                   " WHERE series = $1 AND kind = $2 AND segment = $3 AND claimed_at IS NOT NULL",
                   p.ref, p.count, FP_REFRESH_DEADLINE_MS, NULL, err);
    fp_params_free(&p);
    return status;
}

enum fp_status fp_refresh(const struct fp_refresh_with *with, bool any_time,
                          struct fp_refreshed *done, struct fp_error *err)
{
    enum fp_status status = FP_OK;
    bool found = true;
    *done = (struct fp_refreshed){0};
    while (status == FP_OK && !done->found) {
        struct fp_refresh_job job = {.pg = with->pg,
                                     .binding = with->binding,
                                     .config = with->config,
                                     .scratch = with->scratch};
        status = claim(&job, any_time, &found, err);
        if (status != FP_OK || !found)
            return status;
        snprintf(done->what, sizeof done->what, "%.95s", job.what);
        status = run(&job, done, err);
        if (status == FP_POISON || status == FP_FATAL || status == FP_REJECT) {
            status = put_aside(&job, err);
            done->found = status == FP_OK;
        }
    }
    return status == FP_UNKNOWN || status == FP_FENCED ? FP_RETRY : status;
}
