/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Housekeeping. A job's row is locked by the very statement that does the work, so two replicas
 * never do it twice and a replica that dies gives it back. Hazard: these statements may wait for
 * locks; they run on a connection of their own, and the data path never waits for this thread.
 * */
#include "daemon/keeper.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/params.h"

#define CALL_MS 60000
#define TICK_MS 5000

struct fp_keeper {
    const struct fp_options *options;
    struct fp_health *health;
    uint8_t owner[16];
    struct fp_worker *worker;
    struct fp_pg *pg;
};

enum fp_status fp_keeper_slot(struct fp_pg *pg, const uint8_t owner[16], int *slot,
                              struct fp_error *err)
{
    char host[65] = "";
    gethostname(host, sizeof host - 1);
    for (int attempt = 0; attempt < 20; attempt++) {
        struct fp_params p;
        struct fp_pg_result *r = NULL;
        fp_params_init(&p, "utt");
        fp_pg_put_bytes(&p.at[0], owner, 16);
        fp_pg_put_slice(&p.at[1], fp_slice_of(FLIGHTPATH_VERSION));
        fp_pg_put_slice(&p.at[2], fp_slice_of(host));
        enum fp_status status = fp_pg_exec(
            pg,
            "INSERT INTO flightpath.replica AS r (slot, owner, heartbeat, version, host)"
            " SELECT s, $1, clock_timestamp(), $2, $3 FROM generate_series(0, 1023) AS s"
            " WHERE NOT EXISTS (SELECT 1 FROM flightpath.replica x WHERE x.slot = s"
            "   AND x.heartbeat > clock_timestamp() - interval '1 minute') ORDER BY s LIMIT 1"
            " ON CONFLICT (slot) DO UPDATE SET owner = excluded.owner, heartbeat ="
            " excluded.heartbeat,"
            " version = excluded.version, host = excluded.host"
            " WHERE r.heartbeat <= clock_timestamp() - interval '1 minute' RETURNING slot",
            p.ref, p.count, CALL_MS, &r, err);
        fp_params_free(&p);
        bool taken = status == FP_OK && fp_pg_rows(r) == 1;
        if (taken)
            *slot = (int)fp_pg_int(r, 0, 0);
        fp_pg_result_free(r);
        if (taken || status != FP_OK)
            return status;
    }
    return fp_fail(err, FP_RETRY, "no_slot", "replica", "no free replica slot could be taken");
}

/* A job and its work in one statement: the row lock lasts as long as the work. */
static const struct {
    const char *name, *sql;
} jobs[] = {
    {"partitions",
     "WITH j AS (SELECT name FROM flightpath.job WHERE name = 'partitions' AND run_after <="
     " clock_timestamp() FOR UPDATE SKIP LOCKED),"
     " w AS (SELECT sum(flightpath.ensure_partitions(t, now() - interval '1 month', now() +"
     " interval '2 months')) AS n FROM j,"
     "   unnest(ARRAY['response', 'invitation', 'case_event', 'reject', 'tally_hour',"
     " 'tally_day', 'sketch_day', 'coverage_day', 'prediction']) AS t)"
     " UPDATE flightpath.job SET run_after = clock_timestamp() + interval '6 hours', last_run ="
     " clock_timestamp()"
     " FROM j, w WHERE job.name = j.name"},
    {"fold",
     "WITH j AS (SELECT name FROM flightpath.job WHERE name = 'fold' AND run_after <="
     " clock_timestamp() FOR UPDATE SKIP LOCKED),"
     " w AS (SELECT flightpath.fold(now() - interval '3 hours', 20000) AS n FROM j)"
     " UPDATE flightpath.job SET run_after = clock_timestamp() + interval '1 minute', last_run ="
     " clock_timestamp()"
     " FROM j, w WHERE job.name = j.name AND w.n >= 0"},
    {"retention",
     "WITH j AS (SELECT name FROM flightpath.job WHERE name = 'retention' AND run_after <="
     " clock_timestamp() FOR UPDATE SKIP LOCKED),"
     " w AS (SELECT count(*) AS n FROM j, LATERAL flightpath.drop_expired(now()))"
     " UPDATE flightpath.job SET run_after = clock_timestamp() + interval '1 hour', last_run ="
     " clock_timestamp()"
     " FROM j, w WHERE job.name = j.name AND w.n >= 0"}};

/* A replica that stands still (frozen, not dead) in the middle of sending a flush holds the locks
 * of its positions, and no time-out of the server covers that. Whoever has kept the server waiting
 * longer than a flush may take is cut off: its batch was lost to it anyway. */
static void release_stuck(struct fp_keeper *k)
{
    struct fp_params p;
    struct fp_error err;
    struct fp_pg_result *r = NULL;
    fp_params_init(&p, "l");
    fp_pg_put_int(&p.at[0], k->options->flush_deadline_ms);
    enum fp_status status =
        fp_pg_exec(k->pg,
                   "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                   " WHERE datname = current_database() AND usename = current_user"
                   " AND application_name = 'flightpath/flush' AND wait_event = 'ClientRead'"
                   " AND xact_start IS NOT NULL"
                   " AND state_change < clock_timestamp() - $1 * interval '1 millisecond'",
                   p.ref, p.count, CALL_MS, &r, &err);
    fp_params_free(&p);
    if (status == FP_OK && fp_pg_int(r, 0, 0) > 0)
        fp_log(FP_LOG_WARN, "stuck_flush_ended", "%s flushes that stood still were cut off",
               fp_pg_text(r, 0, 0));
    fp_pg_result_free(r);
}

/* A job that takes long is broken off at the end of the process: the server ends it by itself. */
static void tick(struct fp_keeper *k)
{
    struct fp_error err;
    struct fp_params p;
    if (!fp_pg_alive(k->pg)) {
        fp_pg_close(k->pg);
        k->pg = NULL;
        if (fp_pg_open(k->options->postgres, k->options->postgres_password, "flightpath/keeper",
                       5000, &k->pg, &err) != FP_OK) {
            k->health->postgres_ok = false;
            return; /* the data path logs it when it matters */
        }
    }
    fp_params_init(&p, "u");
    fp_pg_put_bytes(&p.at[0], k->owner, 16);
    enum fp_status status = fp_pg_exec(
        k->pg, "UPDATE flightpath.replica SET heartbeat = clock_timestamp() WHERE owner = $1",
        p.ref, p.count, CALL_MS, NULL, &err);
    fp_params_free(&p);
    k->health->postgres_ok = status == FP_OK;
    if (status == FP_OK)
        release_stuck(k);
    for (size_t i = 0; status == FP_OK && fp_pg_alive(k->pg) && !*fp_worker_stopping(k->worker) &&
                       i < sizeof jobs / sizeof *jobs;
         i++) {
        enum fp_status job = fp_pg_exec(k->pg, jobs[i].sql, NULL, 0, CALL_MS, NULL, &err);
        if (job != FP_OK)
            fp_log(FP_LOG_WARN, "job_failed", "%s: %s: %s", jobs[i].name, err.code, err.what);
    }
}

static struct fp_turn pass(void *context, bool draining)
{
    (void)draining; /* nobody waits for it */
    tick(context);
    return (struct fp_turn){.idle = true, .wait_ms = TICK_MS};
}

/* The slot is free at once. */
static void farewell(void *context)
{
    struct fp_keeper *k = context;
    struct fp_params p;
    fp_params_init(&p, "u");
    fp_pg_put_bytes(&p.at[0], k->owner, 16);
    if (fp_pg_alive(k->pg) &&
        fp_pg_exec(k->pg, "UPDATE flightpath.replica SET heartbeat = '-infinity' WHERE owner = $1",
                   p.ref, p.count, CALL_MS, NULL, NULL) != FP_OK)
        fp_log(FP_LOG_DEBUG, "slot_kept", "the replica's slot is free in a minute");
    fp_params_free(&p);
}

static void release(void *context)
{
    struct fp_keeper *k = context;
    fp_pg_close(k->pg);
    free(k);
}

enum fp_status fp_keeper_start(const struct fp_options *options, const uint8_t owner[16],
                               struct fp_health *health, struct fp_workers *workers,
                               struct fp_error *err)
{
    static const struct fp_worker_job job = {
        .name = "keeper",
        .left = "a job is still under way; the replica's slot is free in a minute",
        .pass = pass,
        .farewell = farewell,
        .release = release};
    struct fp_keeper *k = calloc(1, sizeof *k);
    if (k == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "keeper", "out of memory");
    k->options = options;
    k->health = health;
    memcpy(k->owner, owner, sizeof k->owner);
    return fp_worker_start(workers, &job, k, &k->worker, err);
}
