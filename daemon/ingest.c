/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loop. One batch fills while another is being written; when both are full the loop waits for
 * the flusher, and if that takes long it pauses the partitions and goes on polling, so that the
 * group never takes it for dead.
 *
 * Whatever goes wrong with a batch has one mend: drop what is in memory and go back to the stored
 * positions (`rewind`). Nothing is lost, since nothing but the database counts. */
#include "daemon/ingest.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/fault.h"
#include "daemon/ingest_state.h"
#include "daemon/keeper.h"
#include "daemon/log.h"

#define CELLS_MAX 65536
#define CONNECT_MS 5000
#define COMPLAIN_MS 5000 /* the same complaint at most this often */
#define PAUSE_AFTER_MS 3000
#define CLAIM_MS 20000
#define REVOKE_MS 10000
#define ADVISE_MS 5000
#define MODEL_CHECK_MS 5000
#define SCORING_MS 10000
#define BURST 1000

/* ---- connection ------------------------------------------------------------------------------ */

static enum fp_status connect_pg(void *context, struct fp_error *err)
{
    struct fp_ingest *in = context;
    if (fp_pg_alive(in->pg))
        return FP_OK;
    if (fp_now_ms() < in->connect_after_ms)
        return fp_fail(err, FP_RETRY, "not_connected", "postgres", "not connected to PostgreSQL");
    fp_pg_close(in->pg);
    in->pg = NULL;
    enum fp_status status = fp_pg_open(in->options->postgres, in->options->postgres_password,
                                       "flightpath/ingest", CONNECT_MS, &in->pg, err);
    in->connect_after_ms = fp_now_ms() + 500;
    in->health->postgres_ok = status == FP_OK;
    if (status != FP_OK && fp_now_ms() >= in->complain_after_ms) {
        fp_log(FP_LOG_WARN, "postgres_away", "%s: %s; reading waits for it", err->code, err->what);
        in->complain_after_ms = fp_now_ms() + COMPLAIN_MS;
    }
    return status;
}

/* ---- batches --------------------------------------------------------------------------------- */

static bool is_empty(const struct fp_batch *batch)
{
    return batch->share_count == 0;
}

static bool has_room(const struct fp_ingest *in)
{
    return fp_batch_has_room(in->filling, in->limit, (size_t)in->options->batch_bytes);
}

static bool is_due(const struct fp_ingest *in)
{
    return !is_empty(in->filling) &&
           (!has_room(in) || in->next_binding || in->config->stop[0] ||
            fp_now_ms() - in->filling->started_ms >= in->options->flush_ms);
}

static void drop_filling(struct fp_ingest *in)
{
    fp_batch_reset(in->filling);
    in->rewind = true;
}

static void advise(struct fp_ingest *in, const struct fp_batch *batch)
{
    if (fp_now_ms() - in->advised_ms < ADVISE_MS && !in->config->stop[0])
        return;
    struct fp_partition *list = calloc((size_t)batch->share_count + 1, sizeof *list);
    for (int i = 0; list && i < batch->share_count; i++)
        list[i] = (struct fp_partition){batch->shares[i].topic, batch->shares[i].partition,
                                        batch->shares[i].next};
    if (list)
        fp_consumer_advise(in->consumer, list, (size_t)batch->share_count);
    free(list);
    in->advised_ms = fp_now_ms();
}

static void committed(struct fp_ingest *in, const struct fp_batch *batch)
{
    for (int i = 0; i < batch->share_count; i++) {
        const struct fp_share *s = &batch->shares[i];
        struct fp_part *part = &in->ownership.parts[s->part];
        if (part->epoch != s->epoch)
            continue;
        part->stored = s->next;
        if (part->health)
            part->health->next_offset = s->next;
        if (s->last_event_us > in->health->last_event_us)
            in->health->last_event_us = s->last_event_us;
    }
    in->health->last_commit_us = fp_wall_us();
    in->health->batch_rows = (int64_t)(batch->row_count + batch->hours.count + batch->days.count);
    in->health->batch_bytes = (int64_t)batch->bytes;
    if (in->limit < in->options->batch_messages)
        in->limit = in->limit * 2 < in->options->batch_messages ? in->limit * 2
                                                                : in->options->batch_messages;
    advise(in, batch);
}

/* PostgreSQL refuses the data of this batch: halve until one record stands accused. */
static void poisoned(struct fp_ingest *in, const struct fp_batch *batch, const struct fp_error *err)
{
    fp_health_count(&in->health->poisoned, 1);
    fp_log(FP_LOG_WARN, "batch_poisoned", "%s: %s; %lld messages, halving", err->code, err->what,
           (long long)batch->messages);
    if (batch->messages > 1 ||
        in->condemned_count == (int)(sizeof in->condemned / sizeof *in->condemned)) {
        in->limit = batch->messages / 2 > 1 ? batch->messages / 2 : 1;
        return;
    }
    const struct fp_share *s = batch->shares;
    while (s->anchor_offset < s->expected && s < batch->shares + batch->share_count - 1)
        s++; /* a share that passed control records only has no record of its own */
    struct fp_condemned *c = &in->condemned[in->condemned_count++];
    *c = (struct fp_condemned){.partition = s->partition, .offset = s->anchor_offset};
    strncpy(c->topic, s->topic, sizeof c->topic - 1);
    (void)fp_fail(&c->why, FP_REJECT, "poison", "", "PostgreSQL cannot store it (%s): %s",
                  err->code, err->what);
}

/* Forgets the condemned records that this batch has passed. */
static void pardon(struct fp_ingest *in, const struct fp_batch *batch)
{
    for (int i = 0; i < batch->share_count; i++)
        for (int k = 0; k < in->condemned_count;) {
            const struct fp_condemned *c = &in->condemned[k];
            const struct fp_share *s = &batch->shares[i];
            if (c->partition == s->partition && c->offset < s->next &&
                strcmp(c->topic, s->topic) == 0)
                in->condemned[k] = in->condemned[--in->condemned_count];
            else
                k++;
        }
}

/* Takes a finished batch, if there is one by the time-out. FP_FATAL ends the loop. */
static enum fp_status collect(struct fp_ingest *in, int timeout_ms, struct fp_error *err)
{
    enum fp_status verdict = FP_OK;
    struct fp_batch *batch = fp_flusher_take(in->flusher, timeout_ms, &verdict, err);
    if (batch == NULL)
        return FP_OK;
    if (verdict == FP_OK) {
        committed(in, batch);
        pardon(in, batch);
    } else if (verdict != FP_FATAL) {
        if (verdict == FP_FENCED)
            fp_health_count(&in->health->fenced, 1);
        if (verdict == FP_POISON)
            poisoned(in, batch, err);
        fp_log(FP_LOG_WARN, "batch_dropped", "%s: %s; going back to the stored positions",
               err->code, err->what);
        drop_filling(in);
    }
    fp_batch_reset(batch);
    in->spare = batch;
    return verdict == FP_FATAL ? FP_FATAL : FP_OK;
}

static void submit(struct fp_ingest *in)
{
    struct fp_batch *full = in->filling;
    in->filling = in->spare;
    in->spare = NULL;
    fp_batch_score(full);
    fp_flusher_submit(in->flusher, full);
}

static void submit_if_due(struct fp_ingest *in)
{
    if (!is_due(in) || in->rewind || !fp_flusher_idle(in->flusher) || in->spare == NULL)
        return;
    FP_POINT("before_submit");
    submit(in);
}

/* Writes everything there is; false when that was not possible by the deadline. */
static bool drain(struct fp_ingest *in, int deadline_ms, struct fp_error *err)
{
    int64_t deadline = fp_now_ms() + deadline_ms;
    while (!in->rewind && (!is_empty(in->filling) || !fp_flusher_idle(in->flusher))) {
        int64_t left = deadline - fp_now_ms();
        if (left <= 0 || collect(in, left < 100 ? (int)left : 100, err) != FP_OK)
            return false;
        if (!is_empty(in->filling) && fp_flusher_idle(in->flusher) && in->spare && !in->rewind)
            submit(in);
        fp_health_beat(in->health);
    }
    return !in->rewind;
}

/* ---- rebalance ------------------------------------------------------------------------------- */

static void on_assigned(void *context, struct fp_partition *partitions, size_t count)
{
    struct fp_ingest *in = context;
    FP_POINT("in_assign");
    fp_health_count(&in->health->rebalances, 1);
    fp_ownership_claim(&in->ownership, partitions, count, CLAIM_MS);
    in->health->group_joined = true;
    in->assigned_once = true;
}

static void on_revoked(void *context, const struct fp_partition *partitions, size_t count,
                       bool lost)
{
    struct fp_ingest *in = context;
    struct fp_error err;
    FP_POINT("in_revoke");
    fp_health_count(&in->health->rebalances, 1);
    fp_log(FP_LOG_INFO, "partitions_revoked", "%zu partitions%s", count, lost ? ", lost" : "");
    /* what is not written in time is fenced by the next owner's epoch: dropping it is safe */
    if (lost || !drain(in, REVOKE_MS, &err))
        drop_filling(in);
    for (size_t i = 0; i < count; i++)
        fp_ownership_drop(&in->ownership, partitions[i].topic, partitions[i].partition);
}

/* ---- model ----------------------------------------------------------------------------------- */

static void complain(const struct fp_problems *problems)
{
    for (int i = 0; i < problems->count; i++)
        fp_log(FP_LOG_ERROR, "model_problem", "%s: %s. %s", problems->at[i].path,
               problems->at[i].what, problems->at[i].hint);
}

/* Installs the model and reads its coefficients: both wait for the open batch. */
static enum fp_status bind_model(struct fp_ingest *in, struct fp_model *model, struct fp_error *err)
{
    struct fp_binding *binding = NULL;
    struct fp_scoring *scoring = NULL;
    enum fp_status status = fp_binding_new(in->registry, in->pg, model, &binding, err);
    if (status == FP_OK)
        status = fp_scoring_load(in->pg, binding, SCORING_MS, &scoring, err);
    if (status != FP_OK) {
        fp_binding_release(binding);
        return status;
    }
    fp_binding_release(in->next_binding);
    fp_scoring_release(in->next_scoring);
    in->next_binding = binding;
    in->next_scoring = scoring;
    return FP_OK;
}

void fp_ingest_reload(struct fp_ingest *in, bool asked)
{
    struct stat st;
    struct fp_error err;
    struct fp_model *model = NULL;
    struct fp_problems problems = {0};
    if (!asked && fp_now_ms() - in->model_checked_ms < MODEL_CHECK_MS)
        return;
    in->model_checked_ms = fp_now_ms();
    if (stat(in->options->model, &st) != 0)
        return;
    if (!asked && st.st_mtim.tv_sec == in->model_stamp[0] &&
        st.st_mtim.tv_nsec == in->model_stamp[1])
        return;
    in->model_stamp[0] = st.st_mtim.tv_sec;
    in->model_stamp[1] = st.st_mtim.tv_nsec;
    if (fp_model_load(in->options->model, &model, &problems) != FP_OK) {
        complain(&problems);
        fp_log(FP_LOG_ERROR, "model_kept",
               "the new model has %d problems; the old one stays in force", problems.count);
    } else if (strcmp(model->hash, in->binding->model->hash) != 0) {
        enum fp_status status = connect_pg(in, &err);
        if (status == FP_OK)
            status = bind_model(in, model, &err);
        if (status == FP_OK) {
            fp_log(FP_LOG_INFO, "model_reloaded", "model %.12s", model->hash);
            fp_health_count(&in->health->model_reloads, 1);
        } else {
            in->model_stamp[0] = 0; /* look again */
            fp_log(FP_LOG_ERROR, "model_kept",
                   "the new model could not be installed (%s); the old one stays in force",
                   err.what);
        }
    }
    fp_model_release(model);
    fp_problems_free(&problems);
}

/* Between batches: another model, or newer coefficients. */
static void swap_model(struct fp_ingest *in)
{
    if (!is_empty(in->filling))
        return;
    if (in->next_binding) {
        fp_binding_release(in->binding);
        fp_scoring_release(in->scoring);
        in->binding = in->next_binding;
        in->scoring = in->next_scoring;
        in->next_binding = NULL;
        in->next_scoring = NULL;
        fp_drivers_bind(in->config->drivers, in->binding);
        fp_watch_bind(in->config->watch, in->binding);
    }
    struct fp_scoring *newer = fp_drivers_scoring(in->config->drivers, in->scoring);
    if (newer) {
        if (newer->version > in->scoring->version)
            fp_log(FP_LOG_INFO, "scoring_adopted", "version %lld of the coefficients, %d models",
                   (long long)newer->version, newer->scored_count);
        fp_scoring_release(in->scoring);
        in->scoring = newer;
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static bool caught_up(const struct fp_ingest *in)
{
    if (!in->options->until_caught_up || !in->assigned_once || in->rewind)
        return false;
    for (int i = 0; i < in->ownership.count; i++) {
        const struct fp_part *part = &in->ownership.parts[i];
        if (part->state == FP_PART_FENCED ||
            ((part->state == FP_PART_LIVE || part->state == FP_PART_LOADING) &&
             (part->next < part->end || part->state == FP_PART_LOADING)))
            return false;
    }
    return true;
}

/* Both batches are full: wait for the flusher; after a while pause, so that polling can go on. */
static enum fp_status wait_for_room(struct fp_ingest *in, struct fp_error *err)
{
    if (in->blocked_ms == 0)
        in->blocked_ms = fp_now_ms();
    if (fp_now_ms() - in->blocked_ms > PAUSE_AFTER_MS && !in->health->paused) {
        fp_log(FP_LOG_WARN, "paused",
               "PostgreSQL does not keep up or is away; partitions are paused");
        fp_consumer_pause(in->consumer, true);
        in->health->paused = 1;
    }
    return collect(in, 100, err);
}

static void go_on(struct fp_ingest *in)
{
    in->blocked_ms = 0;
    if (in->health->paused) {
        fp_consumer_pause(in->consumer, false);
        in->health->paused = 0;
    }
}

/* A record was polled that cannot be taken now (PostgreSQL is away): read it again later. */
static void put_back(struct fp_ingest *in)
{
    drop_filling(in);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
}

/* Reading on would mean to pass what cannot be read: stand still, and let a person decide. */
static void halt_corrupt(struct fp_ingest *in, const struct fp_record *record,
                         const struct fp_error *err)
{
    struct fp_part *part = fp_ownership_find(&in->ownership, record->topic, record->partition);
    char why[640];
    fp_health_count(&in->health->kafka_errors, 1);
    if (part == NULL || part->state == FP_PART_HALTED || part->state == FP_PART_ABSENT)
        return;
    snprintf(
        why, sizeof why,
        "the log cannot be read from offset %lld on (%s: %s); delete the records up to the next"
        " good one, set on_offset_lost = skip and start again",
        (long long)part->next, err->code, err->what);
    fp_ownership_halt(&in->ownership, part, why);
}

static enum fp_status poll_some(struct fp_ingest *in, struct fp_error *err)
{
    struct fp_record record;
    int timeout = is_empty(in->filling) ? 100 : 20;
    /* while paused or rewinding the group must still be served; what arrives then is passed by */
    bool serve = in->rewind || in->health->paused;
    for (int i = 0; i < BURST && (serve || (has_room(in) && !in->rewind)); i++) {
        enum fp_status status = FP_OK;
        switch (fp_consumer_poll(in->consumer, i ? 0 : timeout, &record, err)) {
        case FP_POLL_RECORD:
            status = fp_ingest_record(in, &record, err);
            break;
        case FP_POLL_END:
            fp_ingest_end(in, &record);
            break;
        case FP_POLL_OFFSET_LOST: {
            struct fp_part *part =
                fp_ownership_find(&in->ownership, record.topic, record.partition);
            if (part)
                in->rewind =
                    true; /* the rewind compares the position with the log, and halts or skips */
            break;
        }
        case FP_POLL_CORRUPT:
            halt_corrupt(in, &record, err);
            break;
        case FP_POLL_ERROR:
            fp_health_count(&in->health->kafka_errors, 1);
            fp_log(FP_LOG_WARN, "kafka_error", "%s: %s", err->code, err->what);
            break;
        case FP_POLL_FATAL:
            return FP_FATAL;
        case FP_POLL_NOTHING:
            return FP_OK;
        }
        if (status == FP_RETRY)
            put_back(in);
        else if (status != FP_OK)
            return status;
    }
    return FP_OK;
}

/* Back to the stored positions; false: not now. */
static bool go_back(struct fp_ingest *in, struct fp_error *err)
{
    if (connect_pg(in, err) != FP_OK)
        return false;
    fp_batch_reset(in->filling);
    in->rewind = !fp_ownership_rewind(&in->ownership);
    return !in->rewind;
}

static enum fp_status step(struct fp_ingest *in, struct fp_error *err)
{
    fp_health_beat(in->health);
    fp_ingest_reload(in, atomic_exchange(in->config->reload, false));
    if (collect(in, 0, err) == FP_FATAL)
        return FP_FATAL;
    if (in->rewind) {
        if (!fp_flusher_idle(in->flusher))
            return collect(in, 100, err);
        if (!go_back(in, err)) {
            fp_consumer_pause(in->consumer, true);
            in->health->paused = 1;
            nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
            return poll_some(in, err);
        }
        go_on(in);
    }
    fp_ownership_retry(&in->ownership);
    submit_if_due(in);
    swap_model(in);
    if (!has_room(in) && wait_for_room(in, err) == FP_FATAL)
        return FP_FATAL;
    if (has_room(in))
        go_on(in);
    return poll_some(in, err);
}

/* Whatever hangs, a shutdown ends: what is not written by then is read again by the next owner. */
static void *shutdown_watch(void *ms)
{
    int64_t left = (int64_t)(intptr_t)ms;
    nanosleep(&(struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000}, NULL);
    fp_log(FP_LOG_ERROR, "shutdown_deadline",
           "the shutdown took longer than shutdown_ms and is broken off");
    _exit(1);
}

static void bound_shutdown(const struct fp_ingest *in)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, shutdown_watch, (void *)(intptr_t)in->options->shutdown_ms) ==
        0)
        pthread_detach(thread);
}

static enum fp_status loop(struct fp_ingest *in, struct fp_error *err)
{
    enum fp_status status = FP_OK;
    while (status == FP_OK && !*in->config->stop && !caught_up(in))
        status = step(in, err);
    in->health->stopping = true;
    if (*in->config->stop)
        bound_shutdown(in);
    if (status != FP_OK)
        return status;
    /* told to stop on the way back to the stored positions, or fenced meanwhile: what is in memory
     * is the next owner's to read */
    bool dropped = in->rewind;
    int64_t fenced = in->health->fenced;
    bool drained = drain(in, (int)in->options->shutdown_ms * 2 / 3, err);
    if (drained || (*in->config->stop && (dropped || in->health->fenced > fenced)))
        return FP_OK;
    fp_flusher_give_up(in->flusher, true);
    return fp_fail(err, FP_RETRY, "not_drained", "shutdown",
                   "not everything could be written in time; it will be read again");
}

/* ---- life ------------------------------------------------------------------------------------ */

static enum fp_status open_parts(struct fp_ingest *in, struct fp_flusher_config *flusher,
                                 struct fp_error *err)
{
    const struct fp_options *o = in->options;
    enum fp_status status = fp_subject_key_open(o->subject_key_file, &in->subject_key, err);
    if (status == FP_OK && in->subject_key == NULL)
        fp_log(FP_LOG_WARN, "no_subject_key",
               "no subject_key_file: subjects are not stored, erasures are rejected");
    if (status == FP_OK)
        status = connect_pg(in, err);
    if (status == FP_OK)
        status = bind_model(in, in->config->model, err);
    if (status == FP_OK)
        swap_model(in);
    if (status == FP_OK)
        status = fp_keeper_slot(in->pg, in->config->owner, &flusher->lane, err);
    flusher->lane = flusher->lane % (int)o->lanes;
    if (status == FP_OK)
        status = fp_flusher_start(flusher, &in->flusher, err);
    struct fp_rebalance rebalance = {in, on_assigned, on_revoked};
    if (status == FP_OK)
        status = fp_consumer_open(&o->kafka, o->group, o->topic, o->topic_count, &rebalance,
                                  &in->consumer, err);
    in->ownership.consumer = in->consumer;
    return status;
}

/* The group is left first, so that others can take over; the flusher may still be writing, and its
 * batch names the consumer's topics. */
static void close_parts(struct fp_ingest *in)
{
    in->rewind = true; /* what the loop has not written is dropped, not written on the way out */
    if (in->flusher)
        fp_flusher_give_up(in->flusher, true);
    if (in->consumer && !fp_consumer_close(in->consumer, 10000))
        fp_log(FP_LOG_WARN, "close_abandoned", "the group could not be left in time");
    fp_flusher_stop(in->flusher);
    fp_consumer_free(in->consumer);
    fp_ownership_free(&in->ownership);
    fp_batch_free(in->filling);
    fp_batch_free(in->spare);
    fp_binding_release(in->binding);
    fp_binding_release(in->next_binding);
    fp_scoring_release(in->scoring);
    fp_scoring_release(in->next_scoring);
    fp_registry_free(in->registry);
    fp_subject_key_free(in->subject_key);
    fp_decoder_free(in->decoder);
    fp_pg_close(in->pg);
    free(in->event);
    free(in->fact);
}

enum fp_status fp_ingest_run(const struct fp_ingest_config *config, struct fp_error *err)
{
    struct fp_ingest in = {.config = config,
                           .options = config->options,
                           .health = config->health,
                           .limit = config->options->batch_messages};
    struct fp_flusher_config flusher = {.options = config->options,
                                        .health = config->health,
                                        .password = config->options->postgres_password};
    memcpy(flusher.owner, config->owner, sizeof flusher.owner);
    if (getrandom(&in.seed, sizeof in.seed, 0) != sizeof in.seed)
        in.seed = (uint64_t)fp_wall_us();
    in.registry = fp_registry_new();
    in.decoder = fp_decoder_new(NULL);
    in.event = calloc(1, sizeof *in.event);
    in.fact = calloc(1, sizeof *in.fact);
    in.filling = fp_batch_new(CELLS_MAX);
    in.spare = fp_batch_new(CELLS_MAX);
    in.ownership =
        (struct fp_ownership){.window_size = config->options->dedup_window,
                              .skip_gaps = strcmp(config->options->on_offset_lost, "skip") == 0,
                              .owner = config->owner,
                              .pg = &in.pg,
                              .health = config->health,
                              .context = &in,
                              .connect = connect_pg};
    enum fp_status status = fp_fail(err, FP_FATAL, "no_memory", "ingest", "out of memory");
    if (in.registry && in.decoder && in.event && in.fact)
        status = open_parts(&in, &flusher, err);
    if (status == FP_OK)
        status = loop(&in, err);
    close_parts(&in);
    return status;
}
