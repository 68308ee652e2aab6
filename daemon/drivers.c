/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One pass: absorb every driver model's log, then solve tasks until none is due, then wait a
 * moment. Adding up is cheap and bounded, solving may be not: each model's log is absorbed at most
 * as often as keeps it to a tenth of a core, and tasks say themselves when they are due again.
 * Errors of PostgreSQL are waited out; the log keeps what is not absorbed. */
#include "daemon/drivers.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/absorb.h"
#include "daemon/clock.h"
#include "daemon/fault.h"
#include "daemon/log.h"
#include "daemon/refresh.h"

#define CONNECT_MS 5000
#define TICK_MS 200
#define BACKOFF_MS 2000
#define ABSORB_BYTES ((size_t)4 << 20)
#define TAKE_UP_ROWS 2000
#define TIDY_MS 3600000
#define STRAGGLERS_MS 60000
#define SCORING_LOOK_MS 5000
#define SCORING_MS 5000
#define LOOK_AGAIN_MS 60000 /* after a model came, at what laggards stored meanwhile */
#define DAMAGED_MS 60000    /* until a model that could not be absorbed is tried again */
#define MEMORY_MAX ((size_t)64 << 20)

struct turn { /* of one driver model */
    int64_t absorb_after_ms, take_up_after_ms;
    int64_t aside_until_ms; /* it could not be absorbed */
    bool looked_again;
};

struct fp_drivers {
    const struct fp_options *options;
    struct fp_health *health;
    struct fp_pg *pg;
    struct fp_refresh_scratch *scratch;
    struct fp_worker *worker;
    struct fp_binding *binding;
    struct fp_binding *next;    /* under the worker's lock */
    struct fp_scoring *scoring; /* newest that was seen; under the lock, too */
    struct turn *turns;
    int64_t tidy_after_ms, stragglers_after_ms, scoring_after_ms;
};

/* Takes over a model that was bound meanwhile. */
static void take_over(struct fp_drivers *d)
{
    fp_worker_lock(d->worker);
    struct fp_binding *next = d->next;
    d->next = NULL;
    fp_worker_unlock(d->worker);
    if (next == NULL)
        return;
    fp_binding_release(d->binding);
    d->binding = next;
    free(d->turns);
    d->turns = calloc((size_t)next->model->driver_model_count + 1, sizeof *d->turns);
    if (d->turns == NULL)
        abort();
}

static enum fp_status connect(struct fp_drivers *d, struct fp_error *err)
{
    if (fp_pg_alive(d->pg))
        return FP_OK;
    fp_pg_close(d->pg);
    d->pg = NULL;
    return fp_pg_open(d->options->postgres, d->options->postgres_password, "flightpath/drivers",
                      CONNECT_MS, &d->pg, err);
}

static enum fp_status absorb_one(struct fp_drivers *d, int model, bool draining, bool *busy,
                                 struct fp_error *err)
{
    struct turn *turn = &d->turns[model];
    struct fp_absorbed done = {0};
    int64_t now = fp_now_ms();
    enum fp_status status = FP_OK;
    if (draining || now >= turn->absorb_after_ms) {
        status = fp_absorb(d->pg, d->binding, model, ABSORB_BYTES, &done, err);
        turn->absorb_after_ms = fp_now_ms() + (done.more ? 0 : (int64_t)(9 * done.cost_ms));
        *busy |= done.rows > 0 || done.more || done.locked;
        fp_health_count(&d->health->driver_rows, done.rows);
    }
    if (status == FP_OK && now >= turn->take_up_after_ms) {
        const struct fp_take_up how = {TAKE_UP_ROWS,
                                       turn->take_up_after_ms > 0 && !turn->looked_again};
        done = (struct fp_absorbed){0};
        status = fp_absorb_stored(d->pg, d->binding, model, &how, &done, err);
        if (done.rows == 0 && !done.more) { /* also after a failure: the others get their turn */
            turn->looked_again |= how.again && status == FP_OK;
            turn->take_up_after_ms = fp_now_ms() + LOOK_AGAIN_MS;
        }
        *busy |= done.rows > 0 || done.more;
    }
    return status;
}

/* What is wrong with one driver model must stop neither the others nor a drain; a lost connection
 * stops them all. */
static enum fp_status absorb_all(struct fp_drivers *d, bool draining, bool *busy,
                                 struct fp_error *err)
{
    enum fp_status status = FP_OK;
    for (int i = 0; status == FP_OK && i < d->binding->model->driver_model_count; i++) {
        if (fp_now_ms() < d->turns[i].aside_until_ms)
            continue;
        status = absorb_one(d, i, draining, busy, err);
        if (status != FP_POISON && status != FP_FATAL)
            continue;
        fp_log(FP_LOG_ERROR, "driver_not_absorbed", "%s: %s: %s (%s)",
               d->binding->model->driver_models[i].id, err->code, err->what, err->where);
        d->turns[i].aside_until_ms = fp_now_ms() + DAMAGED_MS;
        status = fp_pg_alive(d->pg) ? FP_OK : FP_RETRY;
    }
    return status;
}

/* For the ingest loop, which must not wait for PostgreSQL. */
static enum fp_status look_for_scoring(struct fp_drivers *d, struct fp_error *err)
{
    struct fp_scoring *seen = NULL;
    if (fp_now_ms() < d->scoring_after_ms)
        return FP_OK;
    enum fp_status status = fp_scoring_load(d->pg, d->binding, SCORING_MS, &seen, err);
    if (status != FP_OK)
        return status;
    d->scoring_after_ms = fp_now_ms() + SCORING_LOOK_MS;
    fp_worker_lock(d->worker);
    struct fp_scoring *before = d->scoring;
    d->scoring = seen;
    fp_worker_unlock(d->worker);
    fp_scoring_release(before);
    d->health->scoring_version = seen ? seen->version : 0;
    return FP_OK;
}

static enum fp_status solve_due(struct fp_drivers *d, bool draining, bool *busy,
                                struct fp_error *err)
{
    const struct fp_refresh_config config = {.refresh_ms = d->options->drivers_refresh_ms,
                                             .scoring_ms = d->options->scoring_ms,
                                             .memory_max = MEMORY_MAX};
    const struct fp_refresh_with with = {d->pg, d->binding, &config, d->scratch};
    enum fp_status status = FP_OK;
    struct fp_refreshed done = {.found = true};
    while (status == FP_OK && done.found && !*fp_worker_stopping(d->worker)) {
        status = fp_refresh(&with, draining, &done, err);
        if (status == FP_OK && done.found) {
            *busy = true;
            d->scoring_after_ms = 0; /* it may have written coefficients */
            fp_health_count(&d->health->driver_refreshes, 1);
            fp_log(FP_LOG_DEBUG, "drivers_solved", "%s in %.1f ms", done.what, done.cost_ms);
        }
        if (status == FP_OK)
            status = look_for_scoring(d, err);
    }
    return status;
}

static struct fp_turn pass(void *context, bool draining)
{
    struct fp_drivers *d = context;
    struct fp_error err = {"", "", ""};
    bool busy = false;
    take_over(d);
    if (d->binding == NULL || d->binding->model->driver_model_count == 0)
        return (struct fp_turn){.idle = true, .wait_ms = TICK_MS};
    enum fp_status status = connect(d, &err);
    if (status == FP_OK)
        status = look_for_scoring(d, &err);
    if (status == FP_OK)
        status = absorb_all(d, draining, &busy, &err);
    FP_POINT("between_absorb_and_solve");
    if (status == FP_OK)
        status = solve_due(d, draining, &busy, &err);
    if (status == FP_OK && fp_now_ms() >= d->stragglers_after_ms) {
        status = fp_absorb_stragglers(d->pg, &err);
        d->stragglers_after_ms = fp_now_ms() + STRAGGLERS_MS;
    }
    if (status == FP_OK && fp_now_ms() >= d->tidy_after_ms) {
        status = fp_absorb_tidy(d->pg, &err);
        d->tidy_after_ms = fp_now_ms() + TIDY_MS;
    }
    if (status != FP_OK) {
        fp_log(FP_LOG_WARN, "drivers_waiting", "%s: %s (%s)", err.code, err.what, err.where);
        return (struct fp_turn){.idle = false, .wait_ms = BACKOFF_MS};
    }
    return (struct fp_turn){.idle = !busy, .wait_ms = draining && busy ? 0 : TICK_MS};
}

static void release(void *context)
{
    struct fp_drivers *d = context;
    fp_pg_close(d->pg);
    fp_binding_release(d->binding);
    fp_binding_release(d->next);
    fp_scoring_release(d->scoring);
    fp_refresh_scratch_free(d->scratch);
    free(d->turns);
    free(d);
}

enum fp_status fp_drivers_start(const struct fp_options *options, struct fp_health *health,
                                struct fp_workers *workers, struct fp_drivers **drivers,
                                struct fp_error *err)
{
    static const struct fp_worker_job job = {.name = "drivers",
                                             .left =
                                                 "a refresh is still under way; it is done again",
                                             .pass = pass,
                                             .release = release};
    struct fp_drivers *d = calloc(1, sizeof *d);
    struct fp_refresh_scratch *scratch = fp_refresh_scratch_new();
    if (d == NULL || scratch == NULL) {
        free(d);
        fp_refresh_scratch_free(scratch);
        return fp_fail(err, FP_FATAL, "no_memory", "drivers", "out of memory");
    }
    d->options = options;
    d->health = health;
    d->scratch = scratch;
    enum fp_status status = fp_worker_start(workers, &job, d, &d->worker, err);
    if (status == FP_OK)
        *drivers = d;
    return status;
}

void fp_drivers_bind(struct fp_drivers *drivers, struct fp_binding *binding)
{
    if (drivers == NULL)
        return;
    fp_worker_lock(drivers->worker);
    struct fp_binding *before = drivers->next;
    drivers->next = fp_binding_retain(binding);
    fp_worker_unlock(drivers->worker);
    fp_binding_release(before);
    fp_worker_wake(drivers->worker);
}

struct fp_scoring *fp_drivers_scoring(struct fp_drivers *drivers, const struct fp_scoring *current)
{
    struct fp_scoring *newer = NULL;
    if (drivers == NULL)
        return NULL;
    fp_worker_lock(drivers->worker);
    if (drivers->scoring && fp_scoring_newer(drivers->scoring, current))
        newer = fp_scoring_retain(drivers->scoring);
    fp_worker_unlock(drivers->worker);
    return newer;
}

void fp_drivers_finish(struct fp_drivers *drivers, const atomic_bool *stop)
{
    fp_worker_drain(drivers->worker, stop);
}
