/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Repeats attempts until a batch is committed, fenced, poisoned or given up.
 *
 * States of a batch here: attempt → OK | RETRY (back off, reconnect if need be, attempt again) |
 * UNKNOWN (a COMMIT's answer is missing: reconnect, lock the positions, compare; then OK, RETRY or
 * FENCED) | FENCED, POISON, FATAL (the ingest loop decides). An infrastructure error never ends a
 * batch: it is retried for ever, with the health page saying so. */
#include "daemon/flusher.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/flush.h"
#include "daemon/log.h"

#define CONNECT_MS 5000
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

struct fp_flusher {
    struct fp_flusher_config config;
    struct fp_flush flush;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fp_batch *work, *done;
    enum fp_status verdict;
    struct fp_error err;
    bool stop, give_up;
    unsigned seed;
};

static bool told_to_end(struct fp_flusher *f)
{
    pthread_mutex_lock(&f->lock);
    bool end = f->give_up || f->stop;
    pthread_mutex_unlock(&f->lock);
    return end;
}

static void wait_changed(struct fp_flusher *f, int ms)
{
    struct timespec until = fp_clock_in_ms(CLOCK_MONOTONIC, ms);
    pthread_cond_timedwait(&f->changed, &f->lock, &until);
}

static void back_off(struct fp_flusher *f, int *ms)
{
    int jitter = (int)((unsigned)rand_r(&f->seed) % (unsigned)(*ms / 2 + 1));
    pthread_mutex_lock(&f->lock);
    if (!f->give_up && !f->stop)
        wait_changed(f, *ms / 2 + jitter);
    pthread_mutex_unlock(&f->lock);
    *ms = *ms * 2 < BACKOFF_MAX_MS ? *ms * 2 : BACKOFF_MAX_MS;
}

static enum fp_status connect(struct fp_flusher *f, struct fp_error *err)
{
    if (fp_pg_alive(f->flush.pg))
        return FP_OK;
    fp_pg_close(f->flush.pg);
    f->flush.pg = NULL;
    return fp_pg_open(f->config.options->postgres, f->config.password, "flightpath/flush",
                      CONNECT_MS, &f->flush.pg, err);
}

/* One step towards a certain outcome. `unknown`: the last attempt's COMMIT got no answer. */
static enum fp_status step(struct fp_flusher *f, struct fp_batch *batch, bool *unknown,
                           struct fp_error *err)
{
    enum fp_status status = connect(f, err);
    if (status != FP_OK)
        return FP_RETRY; /* also when refused: someone may be repairing the role or the database */
    if (*unknown) {
        bool known = false;
        status = fp_flush_outcome(&f->flush, batch, &known, err);
        *unknown = !known;
        if (known && status != FP_RETRY)
            return status;
        if (!known)
            return FP_RETRY;
    }
    status = fp_flush_attempt(&f->flush, batch, err);
    if (status == FP_UNKNOWN) {
        *unknown = true;
        fp_health_count(&f->config.health->flush_unknown, 1);
        fp_log(FP_LOG_WARN, "commit_unknown",
               "%s; its outcome is looked up under the position's lock", err->what);
        return FP_RETRY;
    }
    return status;
}

static enum fp_status write_batch(struct fp_flusher *f, struct fp_batch *batch,
                                  struct fp_error *err)
{
    struct fp_health *health = f->config.health;
    int64_t started_us = fp_clock_us(CLOCK_MONOTONIC);
    int wait_ms = BACKOFF_MIN_MS;
    bool unknown = false;
    enum fp_status status;
    fp_flush_start(&f->flush);
    while ((status = step(f, batch, &unknown, err)) == FP_RETRY) {
        bool lost = !fp_pg_alive(f->flush.pg);
        if (lost) {
            health->postgres_ok = false;
            fp_health_count(&health->postgres_errors, 1);
        }
        fp_health_count(&health->flush_retries, 1);
        fp_log(FP_LOG_WARN, "flush_retry", "%s: %s (%s)", err->code, err->what, err->where);
        if (told_to_end(f))
            return FP_RETRY;
        back_off(f, &wait_ms);
    }
    health->postgres_ok = fp_pg_alive(f->flush.pg);
    if (status == FP_OK)
        fp_health_flushed(health, fp_clock_us(CLOCK_MONOTONIC) - started_us);
    return status;
}

/* The rows' outcomes join the shares' counts, and dead letters of the settlement are counted. */
static void account(struct fp_flusher *f, struct fp_batch *batch)
{
    struct fp_health *h = f->config.health;
    fp_gauge *counters[FP_COUNTS] = {&h->applied, &h->duplicate, &h->revised,
                                     &h->voided,  &h->rejected,  &h->ignored};
    for (int i = 0; i < batch->share_count; i++)
        for (int k = 0; k < FP_COUNTS; k++) {
            batch->shares[i].count[k] += f->flush.settlement.count[i][k];
            fp_health_count(counters[k], batch->shares[i].count[k]);
        }
    fp_health_count(&h->dead_letters,
                    (int64_t)(batch->rejected_count + f->flush.settlement.rejected_count));
    fp_health_count(&h->predictions, batch->predicted);
}

static void *flusher_main(void *context)
{
    struct fp_flusher *f = context;
    pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        if (f->work == NULL || f->done) {
            wait_changed(f, 1000);
            continue;
        }
        struct fp_batch *batch = f->work;
        struct fp_error err = {"", "", ""};
        pthread_mutex_unlock(&f->lock);
        enum fp_status status = write_batch(f, batch, &err);
        if (status == FP_OK)
            account(f, batch);
        pthread_mutex_lock(&f->lock);
        f->verdict = status;
        f->err = err;
        f->done = batch;
        f->work = NULL;
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

enum fp_status fp_flusher_start(const struct fp_flusher_config *config, struct fp_flusher **flusher,
                                struct fp_error *err)
{
    struct fp_flusher *f = calloc(1, sizeof *f);
    if (f == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "flusher", "out of memory");
    f->config = *config;
    f->flush.owner = (const char *)f->config.owner;
    f->flush.lane = config->lane;
    f->flush.deadline_ms = (int)config->options->flush_deadline_ms;
    f->flush.dead_letters_topic = config->options->dead_letters_topic;
    f->flush.predictions_topic = config->options->predictions_topic;
    f->seed = (unsigned)config->owner[0] | (unsigned)config->owner[1] << 8;
    fp_settlement_init(&f->flush.settlement);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->changed, &attr);
    pthread_mutex_init(&f->lock, NULL);
    enum fp_status status = fp_producer_open(&config->options->kafka, &f->flush.dead_letters, err);
    if (status == FP_OK && pthread_create(&f->thread, NULL, flusher_main, f) != 0)
        status = fp_fail(err, FP_FATAL, "no_thread", "flusher", "cannot start a thread");
    if (status == FP_OK) {
        *flusher = f;
    } else {
        fp_producer_close(f->flush.dead_letters);
        fp_settlement_free(&f->flush.settlement);
        free(f);
    }
    return status;
}

bool fp_flusher_idle(struct fp_flusher *flusher)
{
    pthread_mutex_lock(&flusher->lock);
    bool idle = flusher->work == NULL && flusher->done == NULL;
    pthread_mutex_unlock(&flusher->lock);
    return idle;
}

void fp_flusher_submit(struct fp_flusher *flusher, struct fp_batch *batch)
{
    pthread_mutex_lock(&flusher->lock);
    flusher->work = batch;
    pthread_cond_broadcast(&flusher->changed);
    pthread_mutex_unlock(&flusher->lock);
}

struct fp_batch *fp_flusher_take(struct fp_flusher *flusher, int timeout_ms,
                                 enum fp_status *verdict, struct fp_error *err)
{
    int64_t until = fp_now_ms() + timeout_ms, left;
    pthread_mutex_lock(&flusher->lock);
    while (flusher->done == NULL && flusher->work && (left = until - fp_now_ms()) > 0)
        wait_changed(flusher, (int)left);
    struct fp_batch *batch = flusher->done;
    if (batch) {
        flusher->done = NULL;
        *verdict = flusher->verdict;
        *err = flusher->err;
        pthread_cond_broadcast(&flusher->changed);
    }
    pthread_mutex_unlock(&flusher->lock);
    return batch;
}

void fp_flusher_give_up(struct fp_flusher *flusher, bool give_up)
{
    pthread_mutex_lock(&flusher->lock);
    flusher->give_up = give_up;
    pthread_cond_broadcast(&flusher->changed);
    pthread_mutex_unlock(&flusher->lock);
}

void fp_flusher_stop(struct fp_flusher *flusher)
{
    if (flusher == NULL)
        return;
    pthread_mutex_lock(&flusher->lock);
    flusher->stop = true;
    pthread_cond_broadcast(&flusher->changed);
    pthread_mutex_unlock(&flusher->lock);
    pthread_join(flusher->thread, NULL);
    fp_batch_free(flusher->work); /* given up, and nobody takes it any more */
    fp_batch_free(flusher->done);
    fp_producer_close(flusher->flush.dead_letters);
    fp_pg_close(flusher->flush.pg);
    fp_settlement_free(&flusher->flush.settlement);
    pthread_cond_destroy(&flusher->changed);
    pthread_mutex_destroy(&flusher->lock);
    free(flusher);
}
