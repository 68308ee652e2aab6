/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The predictions topic: one JSON record a scored event.
 *
 * At least once: they are acknowledged before the COMMIT that counts them, so a batch that is tried
 * again sends them again. The id of a record is made of the event's, the driver model's and the
 * version of the coefficients: whoever reads can drop repetitions. */
#include "daemon/scoring_publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/fault.h"
#include "daemon/log.h"

struct text {
    char *at;
    size_t len, capacity;
};

static void reserve(struct text *t, size_t more)
{
    if (t->len + more <= t->capacity)
        return;
    t->capacity = (t->len + more) * 2;
    t->at = realloc(t->at, t->capacity);
    if (t->at == NULL)
        abort();
}

static void put(struct text *t, const char *text)
{
    size_t len = strlen(text);
    reserve(t, len + 1);
    memcpy(t->at + t->len, text, len + 1);
    t->len += len;
}

/* The inside of a JSON string; slices of a batch end with a NUL. */
static void put_escaped(struct text *t, const char *text)
{
    size_t room = 6 * strlen(text) + 1;
    reserve(t, room);
    t->len += fp_log_escape(t->at + t->len, room, text);
}

static void put_member(struct text *t, const char *before, const char *text)
{
    put(t, before);
    put_escaped(t, text);
    put(t, "\"");
}

/* RFC 3339, with microseconds where there are any. */
static void put_time(struct text *t, int64_t time_us)
{
    char day[40], fraction[16] = "";
    int64_t us = time_us % 1000000 + (time_us % 1000000 < 0 ? 1000000 : 0);
    time_t seconds = (time_t)((time_us - us) / 1000000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL)
        return;
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    if (us)
        snprintf(fraction, sizeof fraction, ".%06d", (int)us);
    put(t, day);
    put(t, fraction);
    put(t, "Z");
}

static void write_record(struct text *t, const struct fp_batch *batch, const struct fp_published *p)
{
    const struct fp_model *model = batch->binding->model;
    const struct fp_scored *s = &batch->scoring->scored[p->scored];
    const char *name = model->driver_models[s->model].id;
    char numbers[128];
    t->len = 0;
    put_member(t, "{\"id\":\"", p->id.at);
    t->len--; /* the id goes on */
    put_member(t, ":", name);
    t->len--;
    snprintf(numbers, sizeof numbers, ":%" PRId64 "\"", batch->scoring->version);
    put(t, numbers);
    put_member(t, ",\"event\":\"", p->id.at);
    put_member(t, ",\"source\":\"", p->source.at);
    put_member(t, ",\"touchpoint\":\"", model->touchpoints[s->touchpoint].id);
    if (p->unit.at)
        put_member(t, ",\"unit\":\"", p->unit.at);
    else
        put(t, ",\"unit\":null");
    if (p->interaction.at)
        put_member(t, ",\"interaction\":\"", p->interaction.at);
    put(t, ",\"time\":\"");
    put_time(t, p->time_us);
    put_member(t, "\",\"model\":\"", name);
    snprintf(numbers, sizeof numbers,
             ",\"version\":%" PRId64 ",\"predicted\":%.3f,\"p_detractor\":%.6f}",
             batch->scoring->version, p->predicted / (double)CX_SCORE_UNIT,
             p->detractor / (double)CX_SCORE_PROBABILITY);
    put(t, numbers);
}

enum fp_status fp_predictions_send(struct fp_producer *producer, const char *topic,
                                   const struct fp_batch *batch, int deadline_ms,
                                   struct fp_error *err)
{
    struct text t = {0};
    enum fp_status status = FP_OK;
    FP_POINT("before_predictions");
    for (size_t i = 0; status == FP_OK && i < batch->published_count; i++) {
        const struct fp_published *p = &batch->published[i];
        struct fp_slice key = p->interaction.at ? p->interaction : p->id;
        write_record(&t, batch, p);
        struct fp_record record = {.topic = topic,
                                   .partition = -1,
                                   .key = key.at,
                                   .key_len = key.len,
                                   .value = t.at,
                                   .len = t.len,
                                   .timestamp_ms = p->time_us / 1000};
        status = fp_producer_send(producer, &record, err);
    }
    if (status == FP_OK && batch->published_count)
        status = fp_producer_flush(producer, deadline_ms, err);
    if (status == FP_OK)
        FP_POINT("after_predictions");
    free(t.at);
    return status;
}
