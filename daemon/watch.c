/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The thread of watch.h.
 *
 * One statement looks whether there is anything to do; it costs a millisecond. A pass is one
 * REPEATABLE READ transaction: the lease's row is locked, touched days are taken, cells brought up
 * to date, everything is judged, results are written, the lease says up to which day. The snapshot
 * cannot be older than the last holder's commit: its row would then have changed, and the server
 * refuses the lock (40001). So touched days and the tallies they point to are of one moment, a
 * replica that lost the lease writes nothing, and whoever dies leaves nothing half done.
 * The cells in memory are a copy that may be dropped at any time: after any failure, and after a
 * COMMIT whose outcome is not known, they are.
 *
 * Hazards. A backlog must not pass for silence: nothing is judged beyond what the partitions that
 * are behind have reached, and nothing at all while that lies before what was judged already. A
 * holder that stands still in its transaction is ended by the server after five minutes. */
#include "daemon/watch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/benchmarks.h"
#include "daemon/clock.h"
#include "daemon/fault.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/params.h"
#include "daemon/watch_sync.h"

#define CONNECT_MS 5000
#define CALL_MS 60000
#define TICK_MAX_MS 2000
#define BACKOFF_MS 2000
#define RENEW_MS 4000   /* a lease that is older than 15 s may be taken (lease_sql) */
#define ASIDE_MS 60000  /* after a failure that is not the server's */
#define JOIN_MS 60000   /* how long partitions may take to be known, at start */
#define SHARE_OF_TIME 9 /* of each second of work so many of rest */

struct fp_watch {
    const struct fp_options *options;
    struct fp_health *health;
    uint8_t owner[16];
    struct fp_pg *pg;
    struct fp_worker *worker;
    struct fp_binding *binding;
    struct fp_binding *next;      /* under the worker's lock */
    struct fp_watch_cells *cells; /* as of the last commit that is known; NULL: to be read */
    int64_t started_ms, work_after_ms, renewed_ms, aside_until_ms;
};

static void drop_cells(struct fp_watch *w)
{
    fp_watch_cells_free(w->cells);
    w->cells = NULL;
    w->health->watch_series = 0;
}

/* Takes over a model that was bound meanwhile. */
static void take_over(struct fp_watch *w)
{
    fp_worker_lock(w->worker);
    struct fp_binding *next = w->next;
    w->next = NULL;
    fp_worker_unlock(w->worker);
    if (next == NULL)
        return;
    drop_cells(w);
    fp_binding_release(w->binding);
    w->binding = next;
    w->aside_until_ms = 0;
}

static enum fp_status connect(struct fp_watch *w, struct fp_error *err)
{
    if (fp_pg_alive(w->pg))
        return FP_OK;
    drop_cells(w);
    fp_pg_close(w->pg);
    w->pg = NULL;
    return fp_pg_open(w->options->postgres, w->options->postgres_password, "flightpath/watch",
                      CONNECT_MS, &w->pg, err);
}

static enum fp_status script(struct fp_watch *w, const char *sql, struct fp_error *err)
{
    return fp_pg_script(w->pg, sql, CALL_MS, err);
}

/* ---- what there is to do --------------------------------------------------------------------- */

struct outlook {
    bool ours, lapsed; /* the lease */
    bool installed;    /* this model is the one installed last */
    bool touched, other_model;
    int32_t judged; /* FP_NO_DAY: never */
    int32_t closed; /* FP_NO_DAY: no day can be judged */
};

/* $1 owner, $2 model, $3 and $4 partitions that are behind as far as this process knows, $5 whether
 * the clock closes days, too. A position that stood still for a day is no backlog but a partition
 * that is halted or gone. */
static const char lease_sql[] =
    "WITH newest AS (SELECT max(greatest(t.day, s.day)) AS day FROM flightpath.kpi k"
    "  CROSS JOIN LATERAL (SELECT max(x.bucket) AS day FROM flightpath.tally_day x"
    "   WHERE x.series = k.series) t"
    "  CROSS JOIN LATERAL (SELECT max(x.bucket) AS day FROM flightpath.sketch_day x"
    "   WHERE x.series = k.series) s WHERE k.current),"
    " behind AS (SELECT min(coalesce((i.last_event_at AT TIME ZONE p.time_zone)::date"
    "   - DATE '1970-01-01' - 1, -1000000)) AS day"
    "  FROM flightpath.ingest_position i, flightpath.programme p"
    "  WHERE i.next_offset < i.high_offset AND i.updated_at > clock_timestamp() - interval '1 day'"
    "   OR (i.topic, i.partition) IN (SELECT * FROM unnest($3, $4)))"
    " SELECT l.owner IS NOT DISTINCT FROM $1, l.renewed_at < clock_timestamp() - interval '15 s',"
    "  p.model_hash = $2, EXISTS (SELECT FROM flightpath.watch_touched),"
    "  l.model_hash IS DISTINCT FROM $2, l.judged,"
    "  CASE WHEN n.day IS NOT NULL THEN nullif(least(greatest(n.day - 1, CASE WHEN $5 THEN"
    "   (clock_timestamp() AT TIME ZONE p.time_zone)::date - DATE '1970-01-01' - 1 END), b.day),"
    "   -1000000) END"
    " FROM flightpath.watch_lease l, flightpath.programme p, newest n, behind b";

/* Behind, or just taken over: how far the log goes is then not known yet. */
static void put_behind(const struct fp_health *health, struct fp_params *p)
{
    int count = health->partition_count;
    for (int i = 0; i < count; i++) {
        const struct fp_health_partition *part = &health->partition[i];
        if (!part->owned || part->halted || part->high_offset == part->next_offset)
            continue;
        fp_pg_put_slice(&p->at[2], fp_slice_of(part->topic));
        fp_pg_put_int(&p->at[3], part->partition);
    }
}

static bool is_true(const struct fp_pg_result *r, int column)
{
    return *fp_pg_text(r, 0, column) == 't';
}

static int32_t day_of(const struct fp_pg_result *r, int column)
{
    return fp_pg_is_null(r, 0, column) ? FP_NO_DAY : (int32_t)fp_pg_int(r, 0, column);
}

/* In a pass: `lock`, and *found says whether the row was there to be locked. */
static enum fp_status look(struct fp_watch *w, bool lock, struct outlook *out, bool *found,
                           struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *r = NULL;
    char sql[sizeof lease_sql + 40];
    memcpy(sql, lease_sql, sizeof lease_sql);
    if (lock)
        strcat(sql, " FOR UPDATE OF l SKIP LOCKED");
    fp_params_init(&p, "utTIo");
    fp_pg_put_bytes(&p.at[0], w->owner, sizeof w->owner);
    fp_pg_put_slice(&p.at[1], fp_slice_of(w->binding->model->hash));
    put_behind(w->health, &p);
    fp_pg_put_int(&p.at[4], !w->health->replaying);
    enum fp_status status = fp_pg_exec(w->pg, sql, p.ref, p.count, CALL_MS, &r, err);
    fp_params_free(&p);
    *found = status == FP_OK && fp_pg_rows(r) > 0;
    if (*found)
        *out = (struct outlook){.ours = is_true(r, 0),
                                .lapsed = is_true(r, 1),
                                .installed = is_true(r, 2),
                                .touched = is_true(r, 3),
                                .other_model = is_true(r, 4),
                                .judged = day_of(r, 5),
                                .closed = day_of(r, 6)};
    fp_pg_result_free(r);
    return status;
}

/* A day that lies before what was judged: a backlog is being read. */
static bool can_judge(const struct outlook *o)
{
    return o->closed != FP_NO_DAY && (o->judged == FP_NO_DAY || o->closed >= o->judged);
}

static bool is_due(const struct outlook *o)
{
    return can_judge(o) && (o->touched || o->other_model || o->judged != o->closed);
}

/* ---- the lease ------------------------------------------------------------------------------- */

/* The lease; takes it, too, when it lapsed. */
static enum fp_status renew(struct fp_watch *w, struct fp_error *err)
{
    struct fp_params p;
    if (fp_now_ms() - w->renewed_ms < RENEW_MS)
        return FP_OK;
    fp_params_init(&p, "u");
    fp_pg_put_bytes(&p.at[0], w->owner, sizeof w->owner);
    enum fp_status status =
        fp_pg_exec(w->pg,
                   "UPDATE flightpath.watch_lease SET owner = $1, renewed_at = clock_timestamp()"
                   " WHERE only_row IN (SELECT l.only_row FROM flightpath.watch_lease l"
                   "  WHERE l.owner = $1 OR l.renewed_at < clock_timestamp() - interval '15 s'"
                   "  FOR UPDATE SKIP LOCKED)",
                   p.ref, p.count, CALL_MS, NULL, err);
    fp_params_free(&p);
    if (status == FP_OK)
        w->renewed_ms = fp_now_ms();
    return status;
}

/* ---- a pass ---------------------------------------------------------------------------------- */

/* Days that flushes touched, taken away: those up to `closed`. Later ones are read when they are
 * closed, since a refresh reads every day that is added. */
static enum fp_status take_touched(struct fp_watch *w, int32_t closed,
                                   struct fp_watch_touch **touched, size_t *count,
                                   struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *r = NULL;
    fp_params_init(&p, "i");
    fp_pg_put_int(&p.at[0], closed);
    enum fp_status status =
        fp_pg_exec(w->pg,
                   "WITH gone AS (DELETE FROM flightpath.watch_touched RETURNING series, day)"
                   " SELECT DISTINCT u.series, u.day FROM gone,"
                   " unnest(gone.series, gone.day) AS u (series, day) WHERE u.day <= $1",
                   p.ref, p.count, CALL_MS, &r, err);
    fp_params_free(&p);
    *count = status == FP_OK ? (size_t)fp_pg_rows(r) : 0;
    *touched = fp_must_calloc(*count, sizeof **touched);
    for (size_t i = 0; i < *count; i++)
        (*touched)[i] = (struct fp_watch_touch){(int32_t)fp_pg_int(r, (int)i, 0),
                                                (int32_t)fp_pg_int(r, (int)i, 1)};
    fp_pg_result_free(r);
    return status;
}

/* Cells up to the closed day. */
static enum fp_status bring_up(struct fp_watch *w, int32_t closed,
                               const struct fp_watch_touch *touched, size_t count,
                               struct fp_error *err)
{
    bool stale = w->cells == NULL;
    enum fp_status status = FP_OK;
    if (!stale) {
        const struct fp_watch_news news = {.touched = touched, .count = count, .closed = closed};
        status = fp_watch_cells_refresh(w->pg, w->cells, &news, &stale, err);
    }
    if (status != FP_OK || !stale)
        return status;
    drop_cells(w);
    return fp_watch_cells_load(w->pg, w->binding, closed, 0, &w->cells, err);
}

static enum fp_status sign_off(struct fp_watch *w, int32_t judged, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "uit");
    fp_pg_put_bytes(&p.at[0], w->owner, sizeof w->owner);
    fp_pg_put_int(&p.at[1], judged);
    fp_pg_put_slice(&p.at[2], fp_slice_of(w->binding->model->hash));
    enum fp_status status =
        fp_pg_exec(w->pg,
                   "UPDATE flightpath.watch_lease SET owner = $1, renewed_at = clock_timestamp(),"
                   " judged = $2, judged_at = clock_timestamp(), model_hash = $3",
                   p.ref, p.count, CALL_MS, NULL, err);
    fp_params_free(&p);
    return status;
}

static enum fp_status judge(struct fp_watch *w, const struct outlook *o,
                            const struct fp_watch_touch *touched, size_t count,
                            struct fp_watch_synced *synced, struct fp_error *err)
{
    enum fp_status status = bring_up(w, o->closed, touched, count, err);
    if (status != FP_OK)
        return status;
    if (!cx_estate_evaluate(fp_watch_cells_estate(w->cells), o->closed))
        return fp_fail(err, FP_FATAL, "no_memory", "watch", "not enough memory for the series");
    FP_POINT("watch_before_sync");
    const struct fp_watch_work work = {.pg = w->pg,
                                       .binding = w->binding,
                                       .cells = w->cells,
                                       .day = o->closed,
                                       .before = o->judged};
    status = fp_watch_sync(&work, synced, err);
    if (status == FP_OK)
        status = sign_off(w, o->closed, err);
    w->renewed_ms = fp_now_ms();
    return status;
}

/* Nothing to judge when the only answers are of days that are not closed. */
static enum fp_status catch_up(struct fp_watch *w, const struct outlook *o,
                               struct fp_watch_synced *synced, struct fp_error *err)
{
    struct fp_watch_touch *touched = NULL;
    size_t count = 0;
    if (!o->ours)
        drop_cells(w);
    enum fp_status status = take_touched(w, o->closed, &touched, &count, err);
    if (status == FP_OK && (count > 0 || o->other_model || o->judged != o->closed))
        status = judge(w, o, touched, count, synced, err);
    else if (status == FP_OK) {
        w->renewed_ms = 0;
        status = renew(w, err);
    }
    free(touched);
    return status;
}

/* *done: everything was judged; else the lease is another's. */
static enum fp_status work(struct fp_watch *w, bool *done, struct fp_error *err)
{
    struct outlook o;
    struct fp_watch_synced synced = {0};
    int64_t start = fp_now_ms();
    bool found = false;
    *done = false;
    enum fp_status status = script(w,
                                   "BEGIN ISOLATION LEVEL REPEATABLE READ;"
                                   " SET LOCAL idle_in_transaction_session_timeout = '300s'",
                                   err);
    if (status == FP_OK)
        status = look(w, true, &o, &found, err);
    if (status == FP_OK && found && (o.ours || o.lapsed) && is_due(&o)) {
        status = catch_up(w, &o, &synced, err);
        *done = status == FP_OK;
    }
    if (*done) {
        FP_POINT("watch_before_commit");
        status = script(w, "COMMIT", err);
        FP_POINT("watch_after_commit");
    } else if (fp_pg_alive(w->pg))
        (void)!script(w, "ROLLBACK", NULL);
    if (status != FP_OK || !*done)
        drop_cells(w);
    int64_t now = fp_now_ms(), rest = SHARE_OF_TIME * (now - start);
    w->work_after_ms = now + (rest > w->options->watch_ms ? rest : w->options->watch_ms);
    if (status == FP_OK && *done && synced.judged) {
        fp_health_count(&w->health->watch_passes, 1);
        fp_health_count(&w->health->watch_micros, 1000 * (now - start));
        w->health->watch_series = cx_estate_series_count(fp_watch_cells_estate(w->cells));
        fp_log(synced.opened + synced.resolved > 0 ? FP_LOG_INFO : FP_LOG_DEBUG, "watched",
               "%d alerts; %d opened, %d updated, %d resolved, %d withdrawn; %lld ms", synced.found,
               synced.opened, synced.updated, synced.resolved, synced.withdrawn,
               (long long)(now - start));
    }
    return status;
}

/* ---- the lease and passes -------------------------------------------------------------------- */

/* Of the lease: to whoever comes next. */
static void give_back(void *context)
{
    struct fp_watch *w = context;
    struct fp_params p;
    fp_params_init(&p, "u");
    fp_pg_put_bytes(&p.at[0], w->owner, sizeof w->owner);
    if (fp_pg_alive(w->pg) &&
        fp_pg_exec(w->pg,
                   "UPDATE flightpath.watch_lease SET renewed_at = '-infinity' WHERE owner = $1",
                   p.ref, p.count, CALL_MS, NULL, NULL) != FP_OK)
        fp_log(FP_LOG_DEBUG, "lease_kept", "the lease of the watch is free in 15 s");
    fp_params_free(&p);
    w->renewed_ms = 0;
}

/* One look, and a pass if one is due. *busy: something is left to do, here or elsewhere. */
static enum fp_status watch_once(struct fp_watch *w, bool draining, bool *busy,
                                 struct fp_error *err)
{
    struct outlook o;
    bool found = false, done = false;
    enum fp_status status = look(w, false, &o, &found, err);
    if (status != FP_OK || !found)
        return status;
    if (!o.installed) { /* whoever runs the model installed last watches */
        if (o.ours && !o.lapsed)
            give_back(w);
        drop_cells(w);
        return FP_OK;
    }
    *busy |= is_due(&o);
    if (!o.ours && !o.lapsed) {
        drop_cells(w);
        return FP_OK;
    }
    if (is_due(&o) && (draining || fp_now_ms() >= w->work_after_ms)) {
        status = work(w, &done, err);
        if (status == FP_RETRY && strcmp(err->code, "40001") == 0) /* another was faster */
            status = FP_OK;
        return status;
    }
    return renew(w, err);
}

/* ---- benchmarks ------------------------------------------------------------------------------ */

static enum fp_status compare_units(struct fp_watch *w, bool draining, bool *busy,
                                    struct fp_error *err)
{
    enum fp_status status = FP_OK;
    bool found = true;
    while (status == FP_OK && found && !*fp_worker_stopping(w->worker)) {
        status = fp_benchmarks_refresh(w->pg, w->binding, w->options->benchmark_ms, draining,
                                       &found, err);
        *busy |= status == FP_OK && found;
        if (status == FP_OK)
            status = renew(w, err);
    }
    return status;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Before the partitions are known, their backlog is not either. */
static bool is_ready(const struct fp_watch *w, bool draining)
{
    return w->binding != NULL &&
           (draining || w->health->group_joined || fp_now_ms() - w->started_ms > JOIN_MS);
}

/* What is wrong with the data or the program does not mend itself in a moment, and must not keep a
 * drain from ending. */
static enum fp_status put_aside(struct fp_watch *w, enum fp_status status,
                                const struct fp_error *err)
{
    drop_cells(w);
    if (status == FP_OK || status == FP_RETRY || status == FP_UNKNOWN || !fp_pg_alive(w->pg))
        return status;
    fp_log(FP_LOG_ERROR, "watch_failed", "%s: %s (%s)", err->code, err->what, err->where);
    w->aside_until_ms = fp_now_ms() + ASIDE_MS;
    return FP_OK;
}

static struct fp_turn pass(void *context, bool draining)
{
    struct fp_watch *w = context;
    struct fp_error err = {"", "", ""};
    bool busy = false;
    int64_t tick = w->options->watch_ms < TICK_MAX_MS ? w->options->watch_ms : TICK_MAX_MS;
    if (draining)
        tick = TICK_MAX_MS / 20;
    take_over(w);
    if (!is_ready(w, draining) || fp_now_ms() < w->aside_until_ms)
        return (struct fp_turn){.idle = true, .wait_ms = tick};
    enum fp_status status = connect(w, &err);
    if (status == FP_OK)
        status = watch_once(w, draining, &busy, &err);
    if (status == FP_OK)
        status = compare_units(w, draining, &busy, &err);
    if (status != FP_OK)
        status = put_aside(w, status, &err);
    if (status != FP_OK) {
        fp_log(FP_LOG_WARN, "watch_waiting", "%s: %s (%s)", err.code, err.what, err.where);
        return (struct fp_turn){.idle = false, .wait_ms = BACKOFF_MS};
    }
    return (struct fp_turn){.idle = !busy, .wait_ms = tick};
}

static void release(void *context)
{
    struct fp_watch *w = context;
    fp_watch_cells_free(w->cells);
    fp_pg_close(w->pg);
    fp_binding_release(w->binding);
    fp_binding_release(w->next);
    free(w);
}

enum fp_status fp_watch_start(const struct fp_options *options, const uint8_t owner[16],
                              struct fp_health *health, struct fp_workers *workers,
                              struct fp_watch **watch, struct fp_error *err)
{
    static const struct fp_worker_job job = {.name = "watch",
                                             .left = "a pass is still under way; it is done again",
                                             .pass = pass,
                                             .farewell = give_back,
                                             .release = release};
    struct fp_watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "watch", "out of memory");
    w->options = options;
    w->health = health;
    w->started_ms = fp_now_ms();
    memcpy(w->owner, owner, sizeof w->owner);
    enum fp_status status = fp_worker_start(workers, &job, w, &w->worker, err);
    if (status == FP_OK)
        *watch = w;
    return status;
}

void fp_watch_bind(struct fp_watch *watch, struct fp_binding *binding)
{
    if (watch == NULL)
        return;
    fp_worker_lock(watch->worker);
    struct fp_binding *before = watch->next;
    watch->next = fp_binding_retain(binding);
    fp_worker_unlock(watch->worker);
    fp_binding_release(before);
    fp_worker_wake(watch->worker);
}

void fp_watch_finish(struct fp_watch *watch, const atomic_bool *stop)
{
    fp_worker_drain(watch->worker, stop);
}
