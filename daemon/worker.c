/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A worker has two holders, its thread and its group. Whoever goes last frees it: the group, once
 * the thread was joined; the thread, if it was left alone.
 *
 * Hazard: a pass waits for servers that may be gone. Deadlines of a minute are right for work and
 * too long for an end, hence the interrupt; a pass that waits for something else (a name to be
 * resolved, a long computation) is left behind. */
#include "daemon/worker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/pg.h"

#define WORKERS_MAX 8
#define GRACE_MS 3000       /* for a pass under way to finish */
#define INTERRUPTED_MS 2000 /* for one that was broken off */
#define LOOK_MS 200         /* how soon a drain notices *stop */

struct fp_worker {
    struct fp_worker_job job;
    void *context;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int interrupt; /* an eventfd; readable: waits for PostgreSQL are broken off */
    atomic_bool stop;
    bool draining, news, idle; /* under the lock; idle: so was the last pass, of a drain */
    bool ended, abandoned;
};

struct fp_workers {
    struct fp_worker *at[WORKERS_MAX];
    int count;
};

static void wait_ms(struct fp_worker *w, int64_t ms)
{
    struct timespec until = fp_clock_in_ms(CLOCK_MONOTONIC, ms);
    pthread_cond_timedwait(&w->changed, &w->lock, &until);
}

static void discard(struct fp_worker *w)
{
    w->job.release(w->context);
    if (w->interrupt >= 0)
        close(w->interrupt);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->changed);
    free(w);
}

static void *worker_main(void *context)
{
    struct fp_worker *w = context;
    fp_pg_interrupt_on(w->interrupt);
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        bool draining = w->draining;
        w->news = false;
        pthread_mutex_unlock(&w->lock);
        struct fp_turn turn = w->job.pass(w->context, draining);
        pthread_mutex_lock(&w->lock);
        w->idle = draining && turn.idle && !w->news;
        pthread_cond_broadcast(&w->changed);
        if (!w->stop && !w->news && turn.wait_ms > 0)
            wait_ms(w, turn.wait_ms);
    }
    pthread_mutex_unlock(&w->lock);
    if (w->job.farewell)
        w->job.farewell(w->context);
    pthread_mutex_lock(&w->lock);
    w->ended = true;
    pthread_cond_broadcast(&w->changed);
    bool last = w->abandoned;
    pthread_mutex_unlock(&w->lock);
    if (last)
        discard(w);
    return NULL;
}

struct fp_workers *fp_workers_new(void)
{
    return calloc(1, sizeof(struct fp_workers));
}

static enum fp_status no_memory(const struct fp_worker_job *job, void *context,
                                struct fp_error *err)
{
    job->release(context);
    return fp_fail(err, FP_FATAL, "no_memory", job->name, "out of memory");
}

enum fp_status fp_worker_start(struct fp_workers *workers, const struct fp_worker_job *job,
                               void *context, struct fp_worker **worker, struct fp_error *err)
{
    struct fp_worker *w = workers->count < WORKERS_MAX ? calloc(1, sizeof *w) : NULL;
    if (w == NULL)
        return no_memory(job, context, err);
    w->job = *job;
    w->context = context;
    w->interrupt = eventfd(0, EFD_CLOEXEC);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&w->lock, NULL);
    *worker = w;
    if (w->interrupt < 0 || pthread_create(&w->thread, NULL, worker_main, w) != 0) {
        discard(w);
        return fp_fail(err, FP_FATAL, "no_thread", job->name, "cannot start a thread");
    }
    workers->at[workers->count++] = w;
    return FP_OK;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* False: it still runs after `until`. */
static bool join(struct fp_worker *w, int64_t until)
{
    int64_t left;
    pthread_mutex_lock(&w->lock);
    while (!w->ended && (left = until - fp_now_ms()) > 0)
        wait_ms(w, left);
    bool ended = w->ended;
    pthread_mutex_unlock(&w->lock);
    if (!ended)
        return false;
    pthread_join(w->thread, NULL);
    discard(w);
    return true;
}

static void join_some(struct fp_workers *workers, int64_t ms)
{
    int64_t until = fp_now_ms() + ms;
    for (int i = 0; i < workers->count; i++)
        if (workers->at[i] && join(workers->at[i], until))
            workers->at[i] = NULL;
}

static void leave(struct fp_worker *w)
{
    pthread_mutex_lock(&w->lock);
    w->abandoned = !w->ended;
    bool abandoned = w->abandoned;
    const char *name = w->job.name, *left = w->job.left;
    pthread_t thread = w->thread;
    pthread_mutex_unlock(&w->lock);
    if (abandoned) { /* it is the thread's now */
        char event[64];
        pthread_detach(thread);
        snprintf(event, sizeof event, "%s_abandoned", name);
        fp_log(FP_LOG_INFO, event, "%s", left);
    } else {
        pthread_join(thread, NULL);
        discard(w);
    }
}

void fp_workers_stop(struct fp_workers *workers)
{
    if (workers == NULL)
        return;
    for (int i = 0; i < workers->count; i++) {
        struct fp_worker *w = workers->at[i];
        pthread_mutex_lock(&w->lock);
        w->stop = true;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->lock);
    }
    join_some(workers, GRACE_MS);
    for (int i = 0; i < workers->count; i++)
        if (workers->at[i])
            (void)!eventfd_write(workers->at[i]->interrupt, 1);
    join_some(workers, INTERRUPTED_MS);
    for (int i = 0; i < workers->count; i++)
        if (workers->at[i])
            leave(workers->at[i]);
    free(workers);
}

/* ---- from other threads ---------------------------------------------------------------------- */

void fp_worker_lock(struct fp_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
}

void fp_worker_unlock(struct fp_worker *worker)
{
    pthread_mutex_unlock(&worker->lock);
}

void fp_worker_wake(struct fp_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->news = true;
    worker->idle = false;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

void fp_worker_drain(struct fp_worker *worker, const atomic_bool *stop)
{
    pthread_mutex_lock(&worker->lock);
    worker->draining = true;
    worker->news = true;
    worker->idle = false;
    pthread_cond_broadcast(&worker->changed);
    while (!worker->idle && !atomic_load(stop))
        wait_ms(worker, LOOK_MS);
    pthread_mutex_unlock(&worker->lock);
}

const atomic_bool *fp_worker_stopping(const struct fp_worker *worker)
{
    return &worker->stop;
}
