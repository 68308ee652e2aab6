/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One stretch of a driver model's log into its state.
 *
 * What a replica has to know is under the lock of the series' row, so whoever gets it goes on where
 * the last one stopped: log rows leave and states change in one transaction, and one that ended
 * without an answer is told by the log itself. Numbers of log rows are given before they are
 * committed, so rows with lower numbers may come later; those of one response cannot, since its row
 * is locked from the lookup to the commit of whoever writes them, and nothing else depends on
 * order. Hazards: a lookup of an empty log must write nothing (a row lock is a write), and tasks
 * are marked last, since a solver holds its task while it works. */
#include "daemon/absorb.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/absorb_parts.h"
#include "daemon/clock.h"
#include "daemon/fault.h"
#include "daemon/log.h"
#include "daemon/params.h"

#define LOG_ROWS_MAX "2000" /* looked at in one stretch */

struct absorbing {
    struct fp_pg *pg;
    const struct fp_fitting *fitting;
    struct fp_error *err;
    struct fp_pg_result *log;
    int log_rows; /* of the result, that are taken */
    int64_t rows; /* in them */
    bool known_newest;
    int64_t newest; /* of the series, then of what is added too */
    bool advanced;
    struct fp_gather gather;
    struct fp_joins joins;
    struct fp_params taken; /* series, seqs */
};

/* ---- the series' row ------------------------------------------------------------------------- */

enum fp_status fp_series_lock(struct fp_pg *pg, int32_t series, const char *columns,
                              struct fp_series_hold *hold, struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *there = NULL;
    char sql[512];
    *hold = (struct fp_series_hold){false, false, NULL};
    snprintf(sql, sizeof sql,
             "SELECT %s FROM flightpath.driver_series WHERE series = $1 AND current"
             " FOR UPDATE SKIP LOCKED",
             columns);
    fp_params_init(&p, "i");
    fp_pg_put_int(&p.at[0], series);
    enum fp_status status = fp_pg_exec(pg, "BEGIN", NULL, 0, FP_ABSORB_DEADLINE_MS, NULL, err);
    if (status == FP_OK)
        status = fp_pg_exec(pg, sql, p.ref, 1, FP_ABSORB_DEADLINE_MS, &hold->row, err);
    if (status == FP_OK && fp_pg_rows(hold->row) == 0) {
        status =
            fp_pg_exec(pg, "SELECT FROM flightpath.driver_series WHERE series = $1 AND current",
                       p.ref, 1, FP_ABSORB_DEADLINE_MS, &there, err);
        hold->elsewhere = fp_pg_rows(there) > 0;
        fp_pg_result_free(there);
    }
    fp_params_free(&p);
    hold->held = status == FP_OK && fp_pg_rows(hold->row) > 0;
    if (!hold->held)
        status = fp_series_end(pg, status, err);
    return status;
}

enum fp_status fp_series_end(struct fp_pg *pg, enum fp_status status, struct fp_error *err)
{
    if (status == FP_OK)
        status = fp_pg_exec(pg, "COMMIT", NULL, 0, FP_ABSORB_DEADLINE_MS, NULL, err);
    else if (fp_pg_alive(pg))
        (void)!fp_pg_exec(pg, "ROLLBACK", NULL, 0, FP_ABSORB_DEADLINE_MS, NULL, NULL);
    return status == FP_UNKNOWN || status == FP_FENCED ? FP_RETRY : status;
}

/* ---- the log --------------------------------------------------------------------------------- */

static enum fp_status has_log(struct fp_pg *pg, int32_t series, bool *has, struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *result = NULL;
    fp_params_init(&p, "i");
    fp_pg_put_int(&p.at[0], series);
    enum fp_status status =
        fp_pg_exec(pg, "SELECT FROM flightpath.driver_log WHERE series = $1 LIMIT 1", p.ref, 1,
                   FP_ABSORB_DEADLINE_MS, &result, err);
    fp_params_free(&p);
    *has = status == FP_OK && fp_pg_rows(result) > 0;
    fp_pg_result_free(result);
    return status;
}

/* Rows in order, bytes only of those within the budget. */
static enum fp_status read_log(struct absorbing *a, size_t bytes_max)
{
    struct fp_params p;
    fp_params_init(&p, "il");
    fp_pg_put_int(&p.at[0], a->fitting->series);
    fp_pg_put_int(&p.at[1], (int64_t)bytes_max);
    enum fp_status status =
        fp_pg_exec(a->pg,
                   "SELECT seq, CASE WHEN upto - octet_length(rows) = 0 OR upto <= $2"
                   "  THEN '\\x' || encode(rows, 'hex') END FROM"
                   " (SELECT seq, rows, sum(octet_length(rows)) OVER (ORDER BY seq) AS upto FROM"
                   "  (SELECT seq, rows FROM flightpath.driver_log WHERE series = $1 ORDER BY seq"
                   "   LIMIT " LOG_ROWS_MAX ") l) l ORDER BY seq",
                   p.ref, p.count, FP_ABSORB_DEADLINE_MS, &a->log, a->err);
    fp_params_free(&p);
    while (a->log_rows < fp_pg_rows(a->log) && !fp_pg_is_null(a->log, a->log_rows, 1))
        fp_pg_put_int(&a->taken.at[1], fp_pg_int(a->log, a->log_rows++, 0));
    return status;
}

static enum fp_status delete_log(struct absorbing *a)
{
    return fp_pg_exec(a->pg,
                      "DELETE FROM flightpath.driver_log WHERE series = $1 AND seq = ANY ($2)",
                      a->taken.ref, a->taken.count, FP_ABSORB_DEADLINE_MS, NULL, a->err);
}

/* Whether every byte is of a row of the model; their sides are asked for. */
static bool check_log(struct absorbing *a, const uint8_t *bytes, size_t len)
{
    struct fp_driver_row row;
    size_t at = 0;
    bool good = bytes != NULL;
    while (good && fp_driver_get(a->fitting, bytes, len, &at, &row))
        good = row.event || row.weight > 0;
    if (!good || at < len)
        return false;
    for (at = 0; fp_driver_get(a->fitting, bytes, len, &at, &row);)
        if (row.joins || row.event)
            fp_joins_need(&a->joins, &row);
    return true;
}

/* Drops what cannot be read from the result, with a warning each. */
static void check_logs(struct absorbing *a, bool *good)
{
    for (int i = 0; i < a->log_rows; i++) {
        size_t len;
        const uint8_t *bytes = fp_pg_bytes(a->log, i, 1, &len);
        good[i] = check_log(a, bytes, len);
        if (!good[i])
            fp_log(FP_LOG_WARN, "driver_log_dropped",
                   "%s: entry %s of series %d, %zu bytes, is not of this model; what it would have"
                   " added is lost",
                   a->fitting->model->id, fp_pg_text(a->log, i, 0), a->fitting->series, len);
    }
}

static void take_log(struct absorbing *a, const uint8_t *bytes, size_t len)
{
    struct fp_driver_row row;
    for (size_t at = 0; fp_driver_get(a->fitting, bytes, len, &at, &row); a->rows++) {
        /* also when it is taken away again: not a matter of how the log is cut */
        if (!row.event && row.sign > 0 && (!a->known_newest || row.day > a->newest)) {
            a->newest = row.day;
            a->advanced = a->known_newest = true;
        }
        if (row.joins || row.event)
            fp_joins_take(&a->joins, &row, &a->gather);
        else
            fp_gather_add(&a->gather, &row, row.sign);
    }
}

static enum fp_status gather_log(struct absorbing *a)
{
    bool *good = calloc((size_t)a->log_rows + 1, sizeof *good);
    if (good == NULL)
        return fp_fail(a->err, FP_RETRY, "no_memory", "absorb", "out of memory");
    check_logs(a, good);
    enum fp_status status = fp_absorb_load_sides(a->pg, &a->joins, a->err);
    for (int i = 0; status == FP_OK && i < a->log_rows; i++) {
        size_t len;
        const uint8_t *bytes = fp_pg_bytes(a->log, i, 1, &len);
        if (good[i])
            take_log(a, bytes, len);
    }
    free(good);
    if (status == FP_OK && !fp_joins_settle(&a->joins, &a->gather))
        status = fp_fail(a->err, FP_FATAL, "driver_join_corrupt", "flightpath.driver_waiting",
                         "series %d: a stored side of a join is damaged", a->fitting->series);
    return status;
}

/* ---- tasks ----------------------------------------------------------------------------------- */

/* An update without a look at dirty_at: one that a solver is about to clear waits for it. */
static enum fp_status mark_all(struct absorbing *a)
{
    struct fp_params p;
    fp_params_init(&p, "ii");
    fp_pg_put_int(&p.at[0], a->fitting->series);
    fp_pg_put_int(&p.at[1], a->newest);
    enum fp_status status = fp_pg_exec(
        a->pg,
        "WITH newest AS (UPDATE flightpath.driver_series SET newest = $2 WHERE series = $1)"
        " UPDATE flightpath.driver_task SET dirty_at = coalesce(dirty_at, clock_timestamp())"
        " WHERE series = $1",
        p.ref, p.count, FP_ABSORB_DEADLINE_MS, NULL, a->err);
    fp_params_free(&p);
    return status;
}

static enum fp_status mark_tasks(struct absorbing *a)
{
    struct fp_params p;
    int64_t last_kind = -1, last_segment = -1;
    enum fp_status status = FP_OK;
    fp_params_init(&p, "iHI");
    fp_pg_put_int(&p.at[0], a->fitting->series);
    for (uint32_t i = 0; i < a->gather.group_count; i++) {
        const struct fp_group *g = &a->gather.groups[i];
        int32_t segment = g->kind == FP_SEGMENT_UNIT ? 0 : g->segment;
        if (g->kind == last_kind && segment == last_segment)
            continue;
        fp_pg_put_int(&p.at[1], last_kind = g->kind);
        fp_pg_put_int(&p.at[2], last_segment = segment);
    }
    if (p.at[1].count)
        status =
            fp_pg_exec(a->pg,
                       "INSERT INTO flightpath.driver_task AS t (series, kind, segment, dirty_at)"
                       " SELECT $1, k.kind, k.segment, clock_timestamp()"
                       " FROM unnest($2, $3) AS k (kind, segment)"
                       " ON CONFLICT (series, kind, segment)"
                       "  DO UPDATE SET dirty_at = excluded.dirty_at WHERE t.dirty_at IS NULL",
                       p.ref, p.count, FP_ABSORB_DEADLINE_MS, NULL, a->err);
    fp_params_free(&p);
    return status == FP_OK && a->advanced ? mark_all(a) : status;
}

/* ---- the transaction ------------------------------------------------------------------------- */

static enum fp_status absorb(struct absorbing *a, size_t bytes_max)
{
    enum fp_status status = read_log(a, bytes_max);
    if (status == FP_OK)
        status = gather_log(a);
    if (status == FP_OK) {
        fp_gather_group(&a->gather);
        status = fp_absorb_save_sides(a->pg, &a->joins, a->err);
    }
    if (status == FP_OK)
        status = fp_absorb_states(a->pg, &a->gather, a->err);
    if (status == FP_OK && a->log_rows)
        status = delete_log(a);
    if (status == FP_OK)
        status = mark_tasks(a);
    if (status == FP_OK)
        FP_POINT("absorb_before_commit");
    return status;
}

static enum fp_status absorb_locked(struct fp_pg *pg, const struct fp_fitting *fitting,
                                    size_t bytes_max, const struct fp_pg_result *series,
                                    struct fp_absorbed *done, struct fp_error *err)
{
    struct absorbing a = {.pg = pg,
                          .fitting = fitting,
                          .err = err,
                          .known_newest = !fp_pg_is_null(series, 0, 0),
                          .newest = fp_pg_int(series, 0, 0)};
    fp_gather_init(&a.gather, fitting);
    fp_joins_init(&a.joins, fitting);
    fp_params_init(&a.taken, "iL");
    fp_pg_put_int(&a.taken.at[0], fitting->series);
    enum fp_status status = fp_series_end(pg, absorb(&a, bytes_max), err);
    if (status == FP_OK) {
        FP_POINT("absorb_after_commit");
        done->rows = a.rows;
        done->more = a.log_rows < fp_pg_rows(a.log) || a.log_rows >= atoi(LOG_ROWS_MAX);
    }
    fp_pg_result_free(a.log);
    fp_params_free(&a.taken);
    fp_joins_free(&a.joins);
    fp_gather_free(&a.gather);
    return status;
}

enum fp_status fp_absorb(struct fp_pg *pg, const struct fp_binding *binding, int driver_model,
                         size_t bytes_max, struct fp_absorbed *done, struct fp_error *err)
{
    const struct fp_fitting *fitting = &binding->fittings[driver_model];
    struct fp_series_hold hold;
    int64_t started = fp_clock_us(CLOCK_MONOTONIC);
    bool has = false;
    *done = (struct fp_absorbed){0};
    enum fp_status status = has_log(pg, fitting->series, &has, err);
    if (status != FP_OK || !has)
        return status;
    status = fp_series_lock(pg, fitting->series, "newest", &hold, err);
    done->locked = hold.elsewhere;
    if (hold.held)
        status = absorb_locked(pg, fitting, bytes_max, hold.row, done, err);
    fp_pg_result_free(hold.row);
    done->cost_ms = (double)(fp_clock_us(CLOCK_MONOTONIC) - started) / 1000;
    return status;
}
