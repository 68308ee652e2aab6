/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One KPI from claim to commit.
 *
 * Problem: every replica may do this, may die in it, and tallies change all the time; a result must
 * not depend on who computed it, nor cost much when nothing changed. Way: a row per KPI says when
 * it was looked at and from what its result was made (benchmarks_read.c). One transaction locks
 * that row, reads, and, only if the sums differ, computes and replaces the rows. The draws of ranks
 * are seeded by the definition and the window, so the same tallies give the same rows everywhere.
 *
 * A KPI is looked at no more often than every_ms, and so rarely that all of them together take at
 * most a tenth of the caller's time. Within one call none is looked at twice: the caller asks
 * until nothing is found, and that ends. A KPI that fails for a reason of its own (a sum beyond its
 * range) is put aside for a minute with the reason in last_error; the others go on. */
#include "daemon/benchmarks.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/benchmarks_parts.h"
#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/memory.h"

#define ASIDE_S 60
#define SHARE_OF_TIME 9 /* of each second of work so many of rest */

static enum fp_status exec(struct fp_pg *pg, const char *sql, struct fp_params *p,
                           struct fp_error *err)
{
    enum fp_status status = fp_pg_exec(pg, sql, p ? p->ref : NULL, p ? p->count : 0,
                                       FP_BENCHMARK_DEADLINE_MS, NULL, err);
    if (p)
        fp_params_free(p);
    return status;
}

/* ---- tasks ----------------------------------------------------------------------------------- */

/* A task for each KPI; what is left of definitions that are no longer in force goes. The time by
 * the server's clock. */
static enum fp_status make_tasks(struct fp_pg *pg, const struct fp_binding *binding, char *now,
                                 size_t size, struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *result = NULL;
    fp_params_init(&p, "I");
    for (int i = 0; i < binding->model->kpi_count; i++)
        fp_pg_put_int(&p.at[0], binding->series[i]);
    enum fp_status status = fp_pg_exec(
        pg,
        "WITH made AS (INSERT INTO flightpath.benchmark_task (series)"
        "  SELECT k.series FROM flightpath.kpi k WHERE k.series = ANY ($1) AND k.current"
        "   AND NOT EXISTS (SELECT FROM flightpath.benchmark_task t WHERE t.series = k.series)"
        "  ON CONFLICT DO NOTHING),"
        " old AS MATERIALIZED (SELECT t.series FROM flightpath.benchmark_task t"
        "  JOIN flightpath.kpi k ON k.series = t.series AND NOT k.current"
        "  FOR UPDATE OF t SKIP LOCKED),"
        " task AS (DELETE FROM flightpath.benchmark_task t USING old WHERE t.series = old.series),"
        " fit AS (DELETE FROM flightpath.benchmark_fit f USING old WHERE f.series = old.series),"
        " unit AS (DELETE FROM flightpath.benchmark_result r USING old WHERE r.series = old.series)"
        " SELECT clock_timestamp()::text",
        p.ref, p.count, FP_BENCHMARK_DEADLINE_MS, &result, err);
    fp_params_free(&p);
    if (status == FP_OK)
        snprintf(now, size, "%s", fp_pg_text(result, 0, 0));
    fp_pg_result_free(result);
    return status;
}

static enum fp_status finish(struct fp_benchmark_job *job, bool computed, double cost_ms,
                             double rest_ms, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "itodd");
    fp_pg_put_int(&p.at[0], job->kpi.series);
    fp_pg_put_slice(&p.at[1], fp_slice_of(job->signature));
    fp_pg_put_int(&p.at[2], computed);
    fp_pg_put_double(&p.at[3], cost_ms);
    fp_pg_put_double(&p.at[4], rest_ms);
    return exec(job->pg,
                "UPDATE flightpath.benchmark_task SET looked_at = clock_timestamp(),"
                " run_after = clock_timestamp() + $5 * interval '1 ms', signature = $2,"
                " computed_at = CASE WHEN $3 THEN clock_timestamp() ELSE computed_at END,"
                " cost_ms = CASE WHEN $3 THEN $4 ELSE cost_ms END, last_error = NULL"
                " WHERE series = $1",
                &p, err);
}

static enum fp_status put_aside(struct fp_benchmark_job *job, struct fp_error *err)
{
    struct fp_params p;
    char why[sizeof err->what + sizeof err->code + 4];
    snprintf(why, sizeof why, "%s: %s", err->code, err->what);
    fp_log(FP_LOG_ERROR, "benchmark_failed", "%s (series %" PRId32 "): %s", job->kpi.kpi,
           job->kpi.series, why);
    fp_params_init(&p, "iti");
    fp_pg_put_int(&p.at[0], job->kpi.series);
    fp_pg_put_slice(&p.at[1], fp_slice_of(why));
    fp_pg_put_int(&p.at[2], ASIDE_S);
    return exec(job->pg,
                "UPDATE flightpath.benchmark_task SET looked_at = clock_timestamp(),"
                " run_after = clock_timestamp() + $3 * interval '1 s', last_error = $2"
                " WHERE series = $1",
                &p, err);
}

/* ---- computing ------------------------------------------------------------------------------- */

static struct cx_benchmark_question question_of(const struct fp_benchmark_job *job)
{
    const struct fp_benchmark_kpi *k = &job->kpi;
    return (struct cx_benchmark_question){.unit = job->unit,
                                          .units = job->compared,
                                          .direction = k->direction,
                                          .scale_min = k->scale_min,
                                          .scale_max = k->scale_max,
                                          .external = k->external,
                                          .external_variance = fp_benchmark_external_variance(k, 0),
                                          .seed = fp_benchmark_seed(k)};
}

/* An external value with n but no SD borrows the variance of our answers, known afterwards. */
static enum fp_status compute(struct fp_benchmark_job *job, struct fp_error *err)
{
    const struct fp_benchmark_kpi *k = &job->kpi;
    job->all = (struct cx_benchmark_all){NAN, NAN, NAN, NAN, NAN, NAN, false, 0};
    job->too_many = job->compared > CX_BENCHMARK_UNITS_MAX;
    if (job->compared == 0 || job->too_many)
        return FP_OK;
    struct cx_benchmark_question question = question_of(job);
    double *work = malloc(cx_benchmark_work(job->compared, 0) * sizeof *work);
    if (work == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", k->kpi, "not enough memory to compare units");
    job->result = fp_must_calloc((size_t)job->compared, sizeof *job->result);
    job->outcome = cx_benchmark(&job->all, job->result, &question, work);
    if (isnan(k->external_sd) && !isnan(k->external_n) && !isnan(job->all.answer_variance)) {
        question.external_variance = fp_benchmark_external_variance(k, job->all.answer_variance);
        job->outcome = cx_benchmark(&job->all, job->result, &question, work);
    }
    free(work);
    if (job->outcome == CX_BENCHMARK_REFUSED)
        return fp_fail(err, FP_FATAL, "benchmark_refused", k->kpi,
                       "a unit's value or variance is not a number on the KPI's scale");
    return FP_OK;
}

/* ---- one look -------------------------------------------------------------------------------- */

struct look {
    struct fp_benchmark_claim claim;
    int64_t every_ms;
    bool claimed, computed;
};

static enum fp_status look_inside(struct fp_benchmark_job *job, struct look *look,
                                  struct fp_error *err)
{
    int64_t start = fp_clock_us(CLOCK_MONOTONIC);
    enum fp_status status = fp_benchmark_claim(job, &look->claim, &look->claimed, err);
    if (status != FP_OK || !look->claimed)
        return status;
    status = fp_benchmark_read(job, err);
    if (status == FP_OK && strcmp(job->before, job->signature) != 0) {
        look->computed = true;
        status = compute(job, err);
        if (status == FP_OK)
            status = fp_benchmark_write(job, err);
    }
    double cost_ms = (double)(fp_clock_us(CLOCK_MONOTONIC) - start) / 1000;
    double rest_ms = fmax((double)look->every_ms,
                          SHARE_OF_TIME * cost_ms * look->claim.binding->model->kpi_count);
    if (status == FP_OK)
        status = finish(job, look->computed, cost_ms, rest_ms, err);
    if (status == FP_OK && look->computed)
        fp_log(FP_LOG_DEBUG, "benchmark_computed", "%s: %d units in %.1f ms", job->kpi.kpi,
               job->compared, cost_ms);
    return status;
}

static enum fp_status look_once(struct fp_pg *pg, struct look *look, struct fp_error *err)
{
    struct fp_benchmark_job job = {.pg = pg};
    look->claimed = look->computed = false;
    enum fp_status status = exec(pg, "BEGIN", NULL, err);
    if (status != FP_OK)
        return status;
    status = look_inside(&job, look, err);
    if (status == FP_OK)
        status = exec(pg, "COMMIT", NULL, err);
    else if (fp_pg_alive(pg))
        (void)!exec(pg, "ROLLBACK", NULL, NULL);
    if (look->claimed && (status == FP_POISON || status == FP_FATAL)) {
        look->computed = false;
        status = put_aside(&job, err);
    }
    fp_benchmark_job_free(&job);
    return status;
}

enum fp_status fp_benchmarks_refresh(struct fp_pg *pg, const struct fp_binding *binding,
                                     int64_t every_ms, bool any_time, bool *found,
                                     struct fp_error *err)
{
    char now[64];
    struct look look = {.claim = {binding, now, any_time}, .every_ms = every_ms, .claimed = true};
    *found = false;
    if (binding->model->kpi_count == 0)
        return FP_OK;
    enum fp_status status = make_tasks(pg, binding, now, sizeof now, err);
    while (status == FP_OK && look.claimed && !look.computed)
        status = look_once(pg, &look, err);
    *found = status == FP_OK && look.computed;
    return status == FP_UNKNOWN || status == FP_FENCED ? FP_RETRY : status;
}
